//! The laws that hold at every block end. A law that fails faults its segment on every replica: what the segment did in
//! the block is undone and it is halted; the rest of the block stands.

use casemate_protocol::SegmentId;

use crate::ledger::Ledger;
use crate::segment::Segment;

/// A law of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Vault = cash + pending + bonds + unclaimed − entry notional + insurance + fees.
    Conservation,
    /// Longs equal shorts in every market.
    LongsEqualShorts,
    /// No vault and no pending sum is below zero.
    NothingNegative,
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
    /// Checks every segment's laws from its running sums: constant work for each market. Faults those that fail.
    pub fn enforce_laws(&mut self) -> Vec<BrokenLaw> {
        let broken: Vec<BrokenLaw> = self.segments.iter().filter_map(|segment| broken_law(segment)).collect();
        for broken in &broken {
            if let Some(segment) = self.segment_mut(broken.segment) {
                segment.fault();
            }
            self.faulted.push(broken.segment);
        }
        broken
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
    let entry_notional =
        segment.markets().iter().fold(0i128, |sum, market| sum.saturating_add(market.facts().entry_notional));
    let owed = [
        totals.cash,
        totals.pending,
        totals.bonds,
        totals.unclaimed,
        totals.insurance,
        totals.fees_validators,
        totals.fees_venue,
        entry_notional.saturating_neg(),
    ];
    if owed.iter().fold(0i128, |sum, part| sum.saturating_add(*part)) != totals.vault() {
        return broken(Law::Conservation);
    }
    let is_balanced = |market: &crate::segment::Market| {
        market.facts().open_long == market.facts().open_short.saturating_neg()
    };
    if !segment.markets().iter().all(is_balanced) {
        return broken(Law::LongsEqualShorts);
    }
    if totals.vault() < 0 || totals.pending < 0 || totals.bonds < 0 || totals.unclaimed < 0 {
        return broken(Law::NothingNegative);
    }
    None
}

fn broken_law_from_rows(segment: &Segment) -> Option<BrokenLaw> {
    let broken = |law| Some(BrokenLaw { segment: segment.id(), law });
    let totals = segment.totals();
    let (mut cash, mut pending) = (0i128, 0i128);
    let mut markets = vec![(0i128, 0i64, 0i64); segment.markets().len()];
    for (_, row) in segment.sub_accounts.iter() {
        cash = cash.saturating_add(row.cash().micros().into());
        pending = pending.saturating_add(row.pending().micros().into());
        for position in row.positions() {
            let Some(sums) = markets.get_mut(usize::from(position.market)) else { return broken(Law::Conservation) };
            sums.0 = sums.0.saturating_add(position.entry_notional.into());
            sums.1 = sums.1.saturating_add(position.lots.max(0));
            sums.2 = sums.2.saturating_add(position.lots.min(0));
        }
    }
    if cash != totals.cash || pending != totals.pending {
        return broken(Law::Conservation);
    }
    for (market, (entry_notional, long, short)) in segment.markets().iter().zip(markets) {
        let facts = market.facts();
        if facts.entry_notional != entry_notional {
            return broken(Law::Conservation);
        }
        if facts.open_long != long || facts.open_short != short {
            return broken(Law::LongsEqualShorts);
        }
    }
    broken_law(segment)
}
