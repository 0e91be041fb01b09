//! The laws that hold at every block end. A law that fails faults its segment on every replica: what the segment did in
//! the block is undone and it is halted; the rest of the block stands.

#[cfg(feature = "testing")]
use casemate_protocol::limits::RECORD_EVENTS_MAX;
#[cfg(feature = "testing")]
use casemate_protocol::{Event, Height};
use casemate_protocol::{SegmentId, Side};

use crate::ledger::{Faulted, Ledger};
use crate::risk::value::FINE;
#[cfg(feature = "testing")]
use crate::segment::TotalField;
use crate::segment::{DepositState, MarketFacts, Segment, SubAccount, TransferState, WithdrawalState};

/// A law of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Vault = cash + pending + bonds + unclaimed − entry notional − unsettled funding + insurance − uncovered + fees + dust.
    Conservation,
    /// Longs equal shorts in every market.
    LongsEqualShorts,
    /// No vault and no pending sum is below zero.
    NothingNegative,
    /// What resting orders reserve is what their owners' rows say, and every order is in book and row. Held by the
    /// segment's primitives and checked from the rows alone.
    Reserves,
    /// The events of a command, or of a piece of internal work, fit one record. Checked by who executes blocks.
    RecordFits,
}

/// A law that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenLaw {
    /// Where.
    pub segment: SegmentId,
    /// Which.
    pub law: Law,
}

impl Ledger {
    /// Checks every segment's laws from its running sums: constant work for each market.
    ///
    /// If any fails, a segment that failed loses its write set of the block and is halted, and everything else is taken
    /// back to where the block's commands began ([`Ledger::begin_commands`]): the caller runs them again, and those of
    /// the failed segments are refused. Only so does the rest of the block stand as if the failed segment had never
    /// been touched, also where a command read one segment to decide about another or about an account.
    pub fn enforce_laws(&mut self) -> Vec<BrokenLaw> {
        self.enforce_laws_and(&[])
    }

    /// As [`Self::enforce_laws`], where the caller has found laws broken besides.
    pub fn enforce_laws_and(&mut self, found: &[BrokenLaw]) -> Vec<BrokenLaw> {
        #[cfg(feature = "testing")]
        self.break_law_as_told();
        let is_new = |broken: &BrokenLaw| self.faulted.iter().all(|faulted| faulted.segment != broken.segment);
        let of_segment = |segment: &Segment| {
            let found = || found.iter().find(|broken| broken.segment == segment.id()).copied();
            broken_law(segment).or_else(found)
        };
        let broken: Vec<BrokenLaw> = self.segments.iter().filter_map(of_segment).filter(is_new).collect();
        if !broken.is_empty() {
            self.take_commands_back();
        }
        for broken in &broken {
            let Some(segment) = self.segment_mut(broken.segment) else { continue };
            let was_halted = segment.totals.is_halted;
            segment.fault();
            self.faulted.push(Faulted { segment: broken.segment, was_halted });
        }
        broken
    }

    fn take_commands_back(&mut self) {
        let Some(begin) = self.commands_begin.clone() else { return };
        self.take_policy_back();
        self.accounts.roll_back(begin.accounts);
        for (segment, savepoint) in self.segments.iter_mut().zip(begin.segments) {
            segment.roll_back(savepoint);
        }
        self.take_follow_ups();
    }

    /// Makes a segment's cash wrong in the block of a height, as a bug of ours would.
    #[cfg(feature = "testing")]
    pub fn break_law_for_testing(&mut self, segment: SegmentId, height: Height) {
        self.breaks_law_at = Some((segment, height));
    }

    #[cfg(feature = "testing")]
    fn break_law_as_told(&mut self) {
        let Some((id, height)) = self.breaks_law_at else { return };
        let is_faulted = self.faulted.iter().any(|faulted| faulted.segment == id);
        if height != self.chain.height || is_faulted {
            return;
        }
        if let Some(segment) = self.segment_mut(id) {
            segment.add_total(TotalField::Cash, 1);
        }
    }

    /// Makes the first thing that a segment does in the block of a height have more events than a record holds, as a bug of
    /// ours would.
    #[cfg(feature = "testing")]
    pub fn flood_record_for_testing(&mut self, segment: SegmentId, height: Height) {
        self.floods_record_at = Some((segment, height));
    }

    #[cfg(feature = "testing")]
    pub(crate) fn flood_as_told(&self, segment: Option<SegmentId>, events: &mut Vec<Event>) {
        let is_told = self.floods_record_at.is_some_and(|told| (segment, self.chain.height) == (Some(told.0), told.1));
        if let Some(last) = events.last().cloned().filter(|_| is_told) {
            events.extend(core::iter::repeat_n(last, RECORD_EVENTS_MAX));
        }
    }

    /// Checks the same laws from the rows themselves: a second code path, for tests, audits and start-up.
    #[must_use]
    pub fn check_laws_from_rows(&self) -> Vec<BrokenLaw> {
        self.segments.iter().filter_map(broken_law_from_rows).collect()
    }
}

fn broken_law(segment: &Segment) -> Option<BrokenLaw> {
    let totals = segment.totals();
    let broken = |law| Some(BrokenLaw { segment: segment.id(), law });
    let sum = |part: fn(&MarketFacts) -> i128| {
        segment.markets().iter().fold(0i128, |sum, market| sum.saturating_add(part(market.facts())))
    };
    let entry_notional = sum(|facts| facts.entry_notional);
    // Funding is kept in 1/65536 micro-quote: what was received and not paid on, and what rounding left.
    let funding = sum(|facts| facts.funding_weight.saturating_add(i128::from(facts.funding_dust)));
    let owed = [
        totals.cash,
        totals.pending,
        totals.bonds,
        totals.unclaimed,
        totals.insurance,
        totals.uncovered.saturating_neg(),
        totals.fees_validators,
        totals.fees_venue,
        entry_notional.saturating_neg(),
    ];
    let owed = owed.iter().fold(0i128, |sum, part| sum.saturating_add(*part));
    if owed.saturating_mul(FINE).saturating_add(funding) != totals.vault().saturating_mul(FINE) {
        return broken(Law::Conservation);
    }
    let is_balanced =
        |market: &crate::segment::Market| market.facts().open_long == market.facts().open_short.saturating_neg();
    if !segment.markets().iter().all(is_balanced) {
        return broken(Law::LongsEqualShorts);
    }
    let sums = [totals.vault(), totals.pending, totals.bonds, totals.unclaimed, totals.uncovered];
    if sums.iter().any(|sum| *sum < 0) {
        return broken(Law::NothingNegative);
    }
    None
}

fn broken_law_from_rows(segment: &Segment) -> Option<BrokenLaw> {
    let broken = |law| Some(BrokenLaw { segment: segment.id(), law });
    let totals = segment.totals();
    let (mut cash, mut pending) = (0i128, 0i128);
    let mut markets = vec![(0i128, 0i64, 0i64, 0i128); segment.markets().len()];
    for (_, row) in segment.sub_accounts.iter() {
        cash = cash.saturating_add(row.cash().micros().into());
        pending = pending.saturating_add(row.pending().micros().into());
        for position in row.positions() {
            let Some(sums) = markets.get_mut(usize::from(position.market)) else { return broken(Law::Conservation) };
            sums.0 = sums.0.saturating_add(position.entry_notional.into());
            sums.1 = sums.1.saturating_add(position.lots.max(0));
            sums.2 = sums.2.saturating_add(position.lots.min(0));
            let weight = i128::from(position.lots).saturating_mul(i128::from(position.funding_entry));
            sums.3 = sums.3.saturating_add(weight);
        }
    }
    if cash != totals.cash || pending != totals.pending || pending != waiting_to_leave(segment) {
        return broken(Law::Conservation);
    }
    if unclaimed(segment) != totals.unclaimed {
        return broken(Law::Conservation);
    }
    if !are_reserves_right(segment) {
        return broken(Law::Reserves);
    }
    for (market, (entry_notional, long, short, funding_weight)) in segment.markets().iter().zip(markets) {
        let facts = market.facts();
        if facts.entry_notional != entry_notional || facts.funding_weight != funding_weight {
            return broken(Law::Conservation);
        }
        if facts.open_long != long || facts.open_short != short {
            return broken(Law::LongsEqualShorts);
        }
    }
    broken_law(segment)
}

fn waiting_to_leave(segment: &Segment) -> i128 {
    let withdrawals = segment.withdrawals.values().filter(|row| row.state == WithdrawalState::Pending);
    let transfers = segment.transfers.values().filter(|row| row.state == TransferState::Pending);
    let amounts = withdrawals.map(|row| row.amount).chain(transfers.map(|row| row.amount));
    amounts.fold(0, |sum, amount| sum.saturating_add(amount.micros().into()))
}

fn unclaimed(segment: &Segment) -> i128 {
    let waiting = segment.deposits.iter().filter(|deposit| deposit.state == DepositState::Unclaimed);
    waiting.fold(0, |sum, deposit| sum.saturating_add(deposit.claim.amount.micros().into()))
}

fn are_reserves_right(segment: &Segment) -> bool {
    let in_books = segment.markets().iter().map(|market| {
        let sides = [Side::Bid, Side::Ask].into_iter();
        sides.map(|side| market.book().slots(side, segment.orders()).count()).sum::<usize>()
    });
    let mut in_rows = 0usize;
    let rows_are_right = segment.sub_accounts.iter().all(|(account, row)| {
        in_rows = in_rows.saturating_add(row.orders().len());
        let mut sums = SubAccount::default();
        for open in row.orders() {
            let Some(order) = segment.orders().order(open.slot).filter(|order| {
                order.number.number() == open.number && order.owner().number() == account && order.market == open.market
            }) else {
                return false;
            };
            sums.add_order_for_check(order, segment);
        }
        sums.has_reserves_of(row)
    });
    rows_are_right && in_books.sum::<usize>() == in_rows && u64::try_from(in_rows) == Ok(segment.orders().live_count())
}
