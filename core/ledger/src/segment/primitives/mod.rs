//! The only writers of a segment. Each remembers how to take itself back.
//!
//! A command that fails half way, a group that must act whole, a segment that fails an invariant and a block that is
//! not decided are all the same thing here: the write set is undone to where it was. Each primitive keeps the derived
//! sums (totals, reserves, budgets, queues) in step, so that no caller can forget one. What takes a step back stands
//! beside what makes it: balances, positions, orders, grants, moves over the border, and clearing (`segment/clearing`).

mod balances;
mod grants;
mod moves;
mod orders;
mod positions;

use casemate_protocol::{QuantityLots, QuoteMicros, RecordIndex, TimeMs};

use super::{
    ClearingFacts, DepositState, FeedFacts, GrantUsage, MarketFacts, Pricing, Proposal, Segment, Transfer, Withdrawal,
};
use crate::funds::limiter::LimiterState;
use crate::price::maturing::Maturing;
pub(crate) use moves::{OUTBOUND_TRANSFER, OUTBOUND_WITHDRAWAL, output_key};

/// A point to which a segment can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(usize);

/// One step back.
#[derive(Clone, Debug)]
pub(crate) enum SegmentUndo {
    /// A sub-account came into being.
    SubAccountMade { account: u64, row_count: u64 },
    /// Balances before.
    Balances { account: u64, cash: QuoteMicros, pending: QuoteMicros, pending_count: u32, net_deposits: i64 },
    /// Position before.
    Position { account: u64, market: u16, lots: i64, entry_notional: i64, entry_gain: i64, funding_entry: i64 },
    /// Young profit before.
    Maturing { account: u64, maturing: Vec<Maturing> },
    /// An order came to rest.
    OrderLinked { slot: u32 },
    /// An order left the book.
    OrderUnlinked { slot: u32 },
    /// What was left of an order.
    Remaining { slot: u32, remaining: QuantityLots },
    /// Notional traded and lost under a grant before.
    Traded { account: u64, grant: u32, traded_notional: i64, lost: i64 },
    /// What a grant's fills could cost before.
    LossMax { account: u64, grant: u32, loss_max: i64 },
    /// A usage entry came into being.
    UsageMade { account: u64 },
    /// A usage entry was dropped from its place.
    UsageDropped { account: u64, place: usize, usage: GrantUsage },
    /// Dead-man switch before.
    DeadMan { account: u64, fires_ms: TimeMs, origin: RecordIndex },
    /// A usage entry was no longer watched.
    Unwatched { account: u64, grant: u32 },
    /// The next place in the queues of a market before.
    Priority { market: u16, next_priority: u64 },
    /// Facts of a market before.
    Facts { market: u16, facts: Box<MarketFacts> },
    /// A total before.
    Total { field: TotalField, value: i128 },
    /// A withdrawal before.
    Withdrawal { number: u64, withdrawal: Option<Box<Withdrawal>> },
    /// A transfer before.
    Transfer { number: u64, transfer: Option<Box<Transfer>> },
    /// A transfer left.
    Left { to: u16, sequence: u64, before: Option<u64> },
    /// A transfer arrived.
    Arrived { from: u16, before: Option<u64> },
    /// A deposit claim came into being.
    DepositMade,
    /// A deposit before.
    Deposit { index: usize, operators: usize, state: DepositState },
    /// The limiter before.
    Limiter(Box<LimiterState>),
    /// A feed before.
    Feed { place: usize, facts: Box<FeedFacts> },
    /// Pricing of a market before.
    Pricing { market: u16, pricing: Box<Pricing> },
    /// Breaker and draws before.
    Clearing(Box<ClearingFacts>),
    /// Something was seen.
    Seen,
    /// Conduct band before.
    ConductBand { account: u64, band: u8 },
    /// A proposal before.
    Proposal { number: u64, proposal: Option<Box<Proposal>> },
}

/// Names a field of [`super::Totals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each names the field of `Totals` of the same name")]
pub enum TotalField {
    Cash,
    Pending,
    Bonds,
    Unclaimed,
    Insurance,
    Uncovered,
    FeesValidators,
    FeesVenue,
    AttestedIn,
    TransferredIn,
    ReleasedOut,
    TransferredOut,
    LastOrder,
    LastTrade,
    LastWithdrawal,
    LastTransfer,
    LastProposal,
    LastAlert,
    Banded,
}

impl Segment {
    /// Where the segment stands now.
    #[must_use]
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
    }

    /// Takes back everything since a savepoint.
    pub fn roll_back(&mut self, to: Savepoint) {
        while self.undo.len() > to.0 {
            let Some(step) = self.undo.pop() else { break };
            if let Some(account) = self.account_of_step(&step) {
                self.sub_accounts.unmark(account);
            }
            self.note_risk(&step);
            self.step_back(step);
        }
    }

    /// Takes the whole block back, the digests of books included.
    pub(crate) fn roll_back_block(&mut self) {
        self.roll_back(Savepoint(0));
    }

    /// Drops the segment's write set of the block and halts it.
    pub(crate) fn fault(&mut self) {
        self.roll_back_block();
        self.settle();
        self.totals.is_halted = true;
    }

    /// INVARIANT(S1): writes down how to take a change back, and marks the row that it changes.
    #[inline(always)]
    pub(super) fn remember(&mut self, step: SegmentUndo) {
        if let Some(account) = self.account_of_step(&step) {
            self.sub_accounts.mark(account);
        }
        self.note_risk(&step);
        self.undo.push(step);
    }

    /// An account whose cash or position changes needs a new bound before the next liquidations.
    fn note_risk(&mut self, step: &SegmentUndo) {
        let Some(clearing) = self.clearing.as_mut() else { return };
        if let SegmentUndo::Balances { account, .. } | SegmentUndo::Position { account, .. } = step {
            clearing.queue.note_changed(*account);
        }
    }

    /// The sub-account whose row a step changes.
    fn account_of_step(&self, step: &SegmentUndo) -> Option<u64> {
        match step {
            SegmentUndo::Balances { account, .. }
            | SegmentUndo::SubAccountMade { account, .. }
            | SegmentUndo::Position { account, .. }
            | SegmentUndo::Maturing { account, .. }
            | SegmentUndo::Traded { account, .. }
            | SegmentUndo::LossMax { account, .. }
            | SegmentUndo::UsageMade { account }
            | SegmentUndo::UsageDropped { account, .. }
            | SegmentUndo::Unwatched { account, .. }
            | SegmentUndo::ConductBand { account, .. }
            | SegmentUndo::DeadMan { account, .. } => Some(*account),
            SegmentUndo::OrderLinked { slot }
            | SegmentUndo::OrderUnlinked { slot }
            | SegmentUndo::Remaining { slot, .. } => self.orders.order(*slot).map(|order| u64::from(order.account)),
            SegmentUndo::Seen
            | SegmentUndo::Priority { .. }
            | SegmentUndo::Facts { .. }
            | SegmentUndo::Total { .. }
            | SegmentUndo::Withdrawal { .. }
            | SegmentUndo::Transfer { .. }
            | SegmentUndo::Left { .. }
            | SegmentUndo::Arrived { .. }
            | SegmentUndo::DepositMade
            | SegmentUndo::Deposit { .. }
            | SegmentUndo::Limiter(_)
            | SegmentUndo::Feed { .. }
            | SegmentUndo::Pricing { .. }
            | SegmentUndo::Clearing(_)
            | SegmentUndo::Proposal { .. } => None,
        }
    }

    /// Forgets how to take the block back: it stands.
    pub fn settle(&mut self) {
        self.undo.clear();
        self.orders.settle();
    }

    /// Takes one step back, where it was made.
    fn step_back(&mut self, step: SegmentUndo) {
        match &step {
            SegmentUndo::SubAccountMade { .. }
            | SegmentUndo::Balances { .. }
            | SegmentUndo::ConductBand { .. }
            | SegmentUndo::Seen
            | SegmentUndo::Total { .. } => {
                self.step_balances_back(step);
            }
            SegmentUndo::Position { .. }
            | SegmentUndo::Maturing { .. }
            | SegmentUndo::Priority { .. }
            | SegmentUndo::Facts { .. } => self.step_positions_back(step),
            SegmentUndo::OrderLinked { .. } | SegmentUndo::OrderUnlinked { .. } | SegmentUndo::Remaining { .. } => {
                self.step_orders_back(step);
            }
            SegmentUndo::Traded { .. }
            | SegmentUndo::LossMax { .. }
            | SegmentUndo::UsageMade { .. }
            | SegmentUndo::UsageDropped { .. }
            | SegmentUndo::DeadMan { .. }
            | SegmentUndo::Unwatched { .. } => self.step_grants_back(step),
            SegmentUndo::Withdrawal { .. }
            | SegmentUndo::Transfer { .. }
            | SegmentUndo::Left { .. }
            | SegmentUndo::Arrived { .. }
            | SegmentUndo::DepositMade
            | SegmentUndo::Deposit { .. }
            | SegmentUndo::Limiter(_) => self.step_moves_back(step),
            SegmentUndo::Feed { .. }
            | SegmentUndo::Pricing { .. }
            | SegmentUndo::Clearing(_)
            | SegmentUndo::Proposal { .. } => self.step_clearing_back(step),
        }
    }
}
