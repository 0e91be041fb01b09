//! Preview: what a command would do if it came next, and how an account stands.
//!
//! Owns:        no table.        Reads: everything that the command would read.
//! Commands:    none.            Events: those that the command would write, in a copy that is thrown away.
//! Invariants:  V1 a preview runs the code that will judge the command, on a copy of what that reads; so fills, fees, margin
//!              and refusal are those of the command itself, had it come now, signed by the root key.
//! Not here:    inclusion, grants and policy, which the gate judges before a command comes here.
//!
//! A copy holds the books and resting orders of one segment, and of its rows the account's own and those of the makers that
//! matching can reach. So the cost grows with resting orders and not with accounts.

use std::collections::{BTreeMap, BTreeSet};

use casemate_protocol::limits::MATCH_STEPS_MAX;
use casemate_protocol::policy::Tier;
use casemate_protocol::{
    AccountId, BreakerState, Command, Event, MarketId, QuoteMicros, RecordIndex, Reject, RejectCode, SegmentId, Side,
};

use crate::breaker::machine::Signals;
use crate::conduct::Conduct;
use crate::context::{BlockContext, CommandContext};
use crate::ledger::{Ledger, require_not_halted};
use crate::liquidation::RiskQueue;
use crate::market::{self, Work};
use crate::paged::PagedTable;
use crate::risk::{Health, InitialView, Risk};
use crate::segment::{ChangedRows, Clearing, Segment, SubAccount};
use crate::{breaker, funds};

/// How an account stands in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Cash, without what is set aside.
    pub cash: QuoteMicros,
    /// What it has and needs for more.
    pub initial: InitialView,
    /// What it has and needs to be left alone.
    pub health: Health,
    /// Profit that fills made, realised or by a price better than the mark, and that is too young to count.
    pub young_realised: QuoteMicros,
    /// Most that a request for a withdrawal may name now. The release is judged again.
    pub withdrawable: QuoteMicros,
}

/// What a command would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Its verdict.
    pub verdict: Result<(), Reject>,
    /// What it would change; empty if it is refused.
    pub events: Vec<Event>,
    /// How the account stands in the command's segment.
    pub before: Standing,
    /// How it would stand; as before if the command is refused.
    pub after: Standing,
}

impl Ledger {
    /// What would become of a command of an account. INVARIANT(V1).
    ///
    /// # Errors
    /// `PolicyForbids` for a command that is neither an order nor money that leaves; `SegmentNotFound` or `MarketNotFound`
    /// for one that names nothing. Every other refusal is the preview's verdict.
    pub fn preview(&self, account: AccountId, command: &Command) -> Result<Preview, Reject> {
        let unknown = self.missing_segment(command);
        let id = self.segment_of_command(command).ok_or(unknown)?;
        let segment = self.segment(id).ok_or(unknown)?;
        let block = self.next_block();
        let context = CommandContext { block, account, grant: None, record: RecordIndex::new(0), tier: Tier::Rooted };
        let before = segment.standing(account, &block);
        let mut scratch = scratch(segment, account, command.market());
        let mut events = Vec::new();
        let mut work = Work { segment: &mut scratch, events: &mut events, context: &context };
        let is_safe = self.require_payout(&block, account, command);
        let verdict = is_safe.and_then(|()| require_not_halted(segment, command)).and_then(|()| match command {
            Command::PlaceOrder(order) => market::place(&mut work, order),
            Command::RequestWithdrawal(request) => funds::request_withdrawal(&mut work, request),
            Command::RequestPrincipalExit(request) => funds::request_exit(&mut work, request),
            Command::RequestTransfer(request) => {
                self.require_transfer_target(request, id).and_then(|()| funds::request_transfer(&mut work, request))
            }
            other => Err(Reject::of(RejectCode::PolicyForbids).present(u64::from(other.action().number()))),
        });
        Ok(match verdict {
            Ok(()) => Preview { verdict, events, before, after: scratch.standing(account, &block) },
            Err(reject) if reject.code() == RejectCode::PolicyForbids => return Err(reject),
            Err(_) => Preview { verdict, events: Vec::new(), before, after: before },
        })
    }

    /// How an account stands in a segment; none if it never had anything there.
    #[must_use]
    pub fn standing(&self, account: AccountId, segment: SegmentId) -> Option<Standing> {
        let segment = self.segment(segment)?;
        segment.sub_account(account)?;
        Some(segment.standing(account, &self.next_block()))
    }

    /// The accounts of a segment that are closest to liquidation, the closest first: each with its health and the share of
    /// its positions' size, in parts per million, that is left between equity and maintenance margin. Below zero it is due.
    ///
    /// Looks at every row of the segment.
    #[must_use]
    pub fn nearest_liquidation(&self, segment: &Segment, count: usize) -> Vec<(AccountId, Health, i64)> {
        let risk = Risk::new(segment.markets(), self.chain().waiting_ms);
        let of_row = |(account, row): (u64, &SubAccount)| {
            let size = risk.initial(row, None).gross_notional;
            let health = (size > 0).then(|| risk.health(row))?;
            let slack = i128::from(health.equity).saturating_sub(health.maintenance.into());
            let ppm = slack.saturating_mul(1_000_000).checked_div(size.into())?;
            let ppm = i64::try_from(ppm).unwrap_or(if slack < 0 { i64::MIN } else { i64::MAX });
            Some((AccountId::new(account), health, ppm))
        };
        let mut nearest: Vec<_> = segment.sub_accounts.iter().filter_map(of_row).collect();
        nearest.sort_unstable_by_key(|(account, _, ppm)| (*ppm, *account));
        nearest.truncate(count);
        nearest
    }

    /// The figures by which a segment's breaker is judged; none if it has no breaker.
    #[must_use]
    pub fn breaker_figures(&self, segment: &Segment) -> Option<Signals> {
        breaker::signals(segment, &self.next_block())
    }

    /// A block that would come at once: for what is asked between two blocks.
    #[must_use]
    pub fn next_block(&self) -> BlockContext {
        let chain = self.chain();
        BlockContext {
            height: chain.height.next(),
            time_ms: chain.time_ms,
            step_ms: casemate_protocol::DurationMs::ZERO,
            waiting_ms: chain.waiting_ms,
        }
    }
}

impl Segment {
    fn standing(&self, account: AccountId, block: &BlockContext) -> Standing {
        let empty = SubAccount::default();
        let row = self.sub_account(account).unwrap_or(&empty);
        let risk = Risk::new(self.markets(), block.waiting_ms);
        let initial = risk.initial(row, None);
        Standing {
            cash: row.cash(),
            initial,
            health: risk.health(row),
            young_realised: risk.young_realised(row),
            withdrawable: self.withdrawable(row, &initial),
        }
    }

    /// The largest amount that passes the checks of a withdrawal's request.
    fn withdrawable(&self, row: &SubAccount, initial: &InitialView) -> QuoteMicros {
        let covered = match self.clearing() {
            Some(clearing) => {
                let must_stay = initial.must_stay(clearing.rules().transfer_margin);
                QuoteMicros::from_micros(initial.counted_equity).saturating_sub(must_stay).min(row.cash())
            }
            None => initial.free(),
        };
        let capacity = funds::limiter::capacity_max(&self.rules, self.totals.vault());
        let is_halted = self.breaker_state() == BreakerState::Halted;
        if is_halted { QuoteMicros::ZERO } else { covered.min(capacity).max(QuoteMicros::ZERO) }
    }
}

/// A copy of what a command of an account can read and write of a segment.
fn scratch(segment: &Segment, account: AccountId, market: Option<MarketId>) -> Segment {
    let place = market.and_then(|id| segment.market_place(id)).and_then(|place| segment.market(place));
    let steps = usize::try_from(MATCH_STEPS_MAX).unwrap_or(usize::MAX);
    let side = |side| place.into_iter().flat_map(move |market| market.book().slots(side, segment.orders()).take(steps));
    let makers = side(Side::Bid).chain(side(Side::Ask)).filter_map(|slot| segment.orders().order(slot));
    let mut accounts: BTreeSet<AccountId> = makers.map(|order| order.owner()).collect();
    accounts.insert(account);
    let mut sub_accounts = PagedTable::default();
    for number in accounts.into_iter().map(AccountId::number) {
        if let Some(row) = segment.sub_accounts.row(number) {
            sub_accounts.row_or_insert(number, || row.clone());
        }
    }
    Segment {
        rules: segment.rules.clone(),
        sub_accounts,
        markets: segment.markets.clone(),
        orders: segment.orders.clone(),
        totals: segment.totals,
        worst_regime: segment.worst_regime,
        clearing: segment.clearing.as_ref().map(|clearing| Box::new(scratch_clearing(clearing))),
        limiter: segment.limiter.clone(),
        withdrawals: BTreeMap::new(),
        transfers: BTreeMap::new(),
        deposits: Vec::new(),
        deposit_index: BTreeMap::new(),
        accepted_outputs: BTreeSet::new(),
        unclaimed: BTreeSet::new(),
        outbound: BTreeSet::new(),
        left_by: BTreeMap::new(),
        outbound_of: BTreeSet::new(),
        left: BTreeMap::new(),
        last_left: BTreeMap::new(),
        last_arrived: BTreeMap::new(),
        order_expiries: BTreeMap::new(),
        grant_watches: BTreeSet::new(),
        dead_men: BTreeMap::new(),
        // What a preview does is not seen.
        conduct: Conduct::new(&segment.rules.conduct),
        seen: Vec::new(),
        changed: ChangedRows::default(),
        undo: Vec::new(),
    }
}

/// Everything but proposals, which no order reads, and the queue, which derives from rows that are not all here.
fn scratch_clearing(clearing: &Clearing) -> Clearing {
    Clearing {
        rules: clearing.rules.clone(),
        backstop: clearing.backstop,
        feeds: clearing.feeds.clone(),
        facts: clearing.facts.clone(),
        proposals: BTreeMap::new(),
        queue: RiskQueue::default(),
    }
}
