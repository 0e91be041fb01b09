//! Segments: the unit of containment, with their own tables, totals and write set.
//!
//! Owns:        sub-accounts, markets with books, totals, queues, and the write set of the block.   Reads: genesis rules.
//! Commands:    none itself; `market` and `funds` act through its primitives.   Events: none itself.
//! Invariants:  S1 every change of a segment is in its write set, so dropping the write set restores the state before.
//!              S2 totals equal the sums over rows. S3 longs equal shorts in every market.
//! Not here:    whether a change is allowed (`market`, `funds`, `risk`); hashing (`roots`).

mod book;
mod clearing;
mod primitives;
mod reading;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::command::OutsideReference;
use casemate_protocol::genesis::{Genesis, MarketRules, SegmentRules};
use casemate_protocol::policy::Tier;
use casemate_protocol::{
    AccountId, Digest, DurationMs, MarketId, OrderNumber, PriceTicks, PublicKey, QuantityLots, QuoteMicros,
    RecordIndex, Regime, SegmentId, Side, TimeMs, TransferNumber, WithdrawalNumber,
};

pub use book::{Book, Level};
pub(crate) use clearing::next_boundary;
pub use clearing::{Clearing, ClearingFacts, DEPTH_SAMPLES, Fading, Feed, FeedFacts, Margin, Pricing, Proposal, Seen};
pub(crate) use primitives::SegmentUndo;
pub(crate) use primitives::{OUTBOUND_TRANSFER, OUTBOUND_WITHDRAWAL, output_key};
pub use primitives::{Savepoint, TotalField};
pub use rows::{GrantUsage, OpenOrder, Position, SubAccount, Trading};

use crate::conduct::{Conduct, Observation};
use crate::funds::limiter::LimiterState;
use crate::paged::PagedTable;

/// One segment of the ledger.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its rules, from genesis.
    pub(crate) rules: SegmentRules,
    pub(crate) sub_accounts: PagedTable<SubAccount>,
    pub(crate) markets: Vec<Market>,
    pub(crate) orders: OrderSlab,
    pub(crate) totals: Totals,
    /// Follows from the pricing of its markets; see [`Segment::regime`].
    pub(crate) worst_regime: Regime,
    /// Prices, breaker and proposals; none if collateral is full.
    pub(crate) clearing: Option<Box<Clearing>>,
    pub(crate) limiter: LimiterState,
    pub(crate) withdrawals: BTreeMap<u64, Withdrawal>,
    pub(crate) transfers: BTreeMap<u64, Transfer>,
    pub(crate) deposits: Vec<Deposit>,
    pub(crate) deposit_index: BTreeMap<Digest, u32>,
    /// Outside outputs that were accepted; one claim on each.
    pub(crate) accepted_outputs: BTreeSet<Digest>,
    /// Accepted deposits that wait for a root key, by key and place.
    pub(crate) unclaimed: BTreeSet<(PublicKey, u32)>,
    /// Withdrawals (0) and transfers (1) that wait, by (due, kind, number).
    pub(crate) outbound: BTreeSet<(u64, u8, u64)>,
    /// What left, by account, waiting clock at which it did, kind and number: how much that was. Derived.
    pub(crate) left_by: BTreeMap<(u64, u64, u8, u64), QuoteMicros>,
    /// The same by (account, kind, number).
    pub(crate) outbound_of: BTreeSet<(u64, u8, u64)>,
    /// Transfers that left, by (target, sequence), until they arrived.
    pub(crate) left: BTreeMap<(u16, u64), u64>,
    /// Last sequence that left for each target, by segment number.
    pub(crate) last_left: BTreeMap<u16, u64>,
    /// Last sequence that arrived from each source, by segment number.
    pub(crate) last_arrived: BTreeMap<u16, u64>,
    /// Good-till-time orders by (end, number), with their owner and market.
    pub(crate) order_expiries: BTreeMap<(u64, u64), (AccountId, MarketId)>,
    /// Grants that are watched for their end, by (end, account, grant): what the usage in the rows says, in order.
    pub(crate) grant_watches: BTreeSet<(u64, u64, u32)>,
    /// Armed dead-man switches by (time, account), with the record that armed them.
    pub(crate) dead_men: BTreeMap<(u64, u64), RecordIndex>,
    /// What its detectors know. Changes when a block stands.
    pub(crate) conduct: Conduct,
    /// What they are to learn of this block.
    pub(crate) seen: Vec<Observation>,
    /// Withdrawal and transfer rows, deposits and markets that changed since the last root.
    pub(crate) changed: ChangedRows,
    pub(crate) undo: Vec<SegmentUndo>,
}

/// Rows of the smaller tables that changed since the last root.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangedRows {
    pub(crate) withdrawals: Marks,
    pub(crate) transfers: Marks,
    pub(crate) deposits: Marks,
}

/// Counts, for each row, the changes that stand since the last root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(BTreeMap<u64, u32>);

impl Marks {
    pub(crate) fn mark(&mut self, number: u64) {
        let marks = self.0.entry(number).or_default();
        *marks = marks.saturating_add(1);
    }

    pub(crate) fn unmark(&mut self, number: u64) {
        if let Some(marks) = self.0.get_mut(&number) {
            *marks = marks.saturating_sub(1);
        }
    }

    /// Rows with a change that stands, in order; forgets the marks.
    pub(crate) fn take(&mut self) -> Vec<u64> {
        core::mem::take(&mut self.0).into_iter().filter(|(_, marks)| *marks > 0).map(|(number, _)| number).collect()
    }
}

/// A linear perpetual market.
#[derive(Clone, Debug)]
pub struct Market {
    /// Its rules, from genesis.
    pub(crate) rules: MarketRules,
    pub(crate) book: Book,
    pub(crate) facts: MarketFacts,
    /// Margin rules and prices; none if collateral is full.
    pub(crate) margin: Option<Box<Margin>>,
    /// Running digest over every change of the book, up to the last root.
    pub(crate) book_digest: Digest,
    /// Encoded changes of the book in this block, not yet in the digest.
    pub(crate) book_changes: Vec<u8>,
}

/// What changes in a market with each trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarketFacts {
    /// What bands refer to: on margin the mark; else the last trade, and before the first the genesis reference.
    pub reference_price: PriceTicks,
    /// Lower edge of the price band.
    pub band_lower: PriceTicks,
    /// Upper edge of the price band.
    pub band_upper: PriceTicks,
    /// Lots held long.
    pub open_long: i64,
    /// Lots held short.
    pub open_short: i64,
    /// Sum of entry notional over all positions.
    pub entry_notional: i128,
    /// What one lot held long since genesis has paid in funding, in 1/65536 micro-quote.
    pub funding_cumulative: i64,
    /// Sum over all positions of lots times the cumulative funding up to which they have settled.
    pub funding_weight: i128,
    /// What rounding of settled funding left over, in 1/65536 micro-quote; below one micro-quote.
    pub funding_dust: u32,
    /// Lots traded since genesis.
    pub traded_lots: u64,
    /// Next priority in the queue.
    pub next_priority: u64,
}

/// Sums and counters of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Totals {
    /// Cash of all sub-accounts.
    pub cash: i128,
    /// Set aside for withdrawals and transfers that have not left.
    pub pending: i128,
    /// Bonds locked here.
    pub bonds: i128,
    /// Accepted deposits that wait for their beneficiary.
    pub unclaimed: i128,
    /// Insurance.
    pub insurance: i128,
    /// Losses that nothing covered: what accounts are owed and the vault does not hold, until insurance repays it.
    pub uncovered: i128,
    /// Fees of validators.
    pub fees_validators: i128,
    /// Fees of the venue.
    pub fees_venue: i128,
    /// Attested into the vault since genesis.
    pub attested_in: i128,
    /// Arrived from other segments since genesis.
    pub transferred_in: i128,
    /// Released out of the vault since genesis.
    pub released_out: i128,
    /// Left for other segments since genesis.
    pub transferred_out: i128,
    /// Last order number.
    pub last_order: u64,
    /// Last trade number.
    pub last_trade: u64,
    /// Last withdrawal number.
    pub last_withdrawal: u64,
    /// Last transfer number.
    pub last_transfer: u64,
    /// Last proposal number.
    pub last_proposal: u64,
    /// Last alert of conduct that was told.
    pub last_alert: u64,
    /// Accounts in a conduct band.
    pub banded: u64,
    /// Failed an invariant; only cancels and deposits are taken.
    pub is_halted: bool,
}

impl Totals {
    /// What the vault holds.
    #[must_use]
    pub const fn vault(&self) -> i128 {
        self.attested_in
            .saturating_add(self.transferred_in)
            .saturating_sub(self.released_out)
            .saturating_sub(self.transferred_out)
    }
}

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RestingOrder {
    /// Price.
    pub price: PriceTicks,
    /// What is left to fill.
    pub remaining: QuantityLots,
    /// Number in the segment.
    pub number: OrderNumber,
    /// Place in the queue of its price.
    pub priority: u64,
    /// The owner's name for it; zero for none.
    pub client_id: u64,
    /// Its own end; zero for none.
    pub expires_ms: TimeMs,
    /// Its grant's end; zero for orders of the root key.
    pub grant_expires_ms: TimeMs,
    /// Block time at which it came to rest with this priority.
    pub rested_ms: TimeMs,
    /// The record it comes from.
    pub origin: RecordIndex,
    /// Owner; account numbers fit 32 bits (`limits::ACCOUNTS_MAX`).
    pub account: u32,
    /// Grant number; zero for the root key.
    pub grant: u32,
    /// Neighbours in the queue of its price, by slot.
    pub previous: u32,
    /// See `previous`.
    pub next: u32,
    /// Market, as its place in the segment.
    pub market: u16,
    /// Buy or sell.
    pub side: Side,
    /// May only reduce.
    pub is_reduce_only: bool,
    /// Part of the owner's ladder.
    pub is_ladder: bool,
}

impl RestingOrder {
    /// Its owner.
    #[must_use]
    pub fn owner(&self) -> AccountId {
        AccountId::new(u64::from(self.account))
    }
}

/// No slot.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// Resting orders of a segment by slot. A slot freed in a block is used again only after it.
#[derive(Clone, Debug, Default)]
pub struct OrderSlab {
    orders: Vec<RestingOrder>,
    free: Vec<u32>,
    freed_in_block: Vec<u32>,
    live_count: u64,
}

/// A withdrawal, waiting or over.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Withdrawal {
    /// Whose money.
    pub account: AccountId,
    /// How much.
    pub amount: QuoteMicros,
    /// Waiting clock at which the delay is over.
    pub due_waiting_ms: DurationMs,
    /// Outside chain.
    pub chain: u32,
    /// Payout address.
    pub destination: OutsideReference,
    /// The record of the request.
    pub origin: RecordIndex,
    /// Principal that leaves by the slow way.
    pub is_principal_exit: bool,
    /// Where it stands.
    pub state: WithdrawalState,
    /// The evidence that it was asked with, or that was added since.
    pub tier: Tier,
    /// The evidence that it was last found to lack; none while it lacks none.
    pub held: Option<Held>,
    /// Waiting clock at which it was released; zero before.
    pub released_ms: DurationMs,
}

/// What holds a withdrawal or transfer back although its delay is over: the policy in force asks for more evidence than it
/// has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Held {
    /// The least evidence that is enough; none if no evidence is.
    pub required: Option<Tier>,
    /// Waiting clock since which it has been held.
    pub since_ms: DurationMs,
    /// Waiting clock at which it is judged again.
    pub again_ms: DurationMs,
}

impl Withdrawal {
    /// Waiting clock at which it is due, or judged again.
    #[must_use]
    pub fn wakes_ms(&self) -> DurationMs {
        self.held.map_or(self.due_waiting_ms, |held| held.again_ms)
    }
}

impl Transfer {
    /// Waiting clock at which it is due, or judged again.
    #[must_use]
    pub fn wakes_ms(&self) -> DurationMs {
        self.held.map_or(self.due_waiting_ms, |held| held.again_ms)
    }
}

/// Where a withdrawal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum WithdrawalState {
    /// Waits for its delay and the limiter.
    Pending = 1,
    /// Left the vault.
    Released = 2,
    /// Taken back.
    Cancelled = 3,
}

/// A transfer to another segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Transfer {
    /// Whose money.
    pub account: AccountId,
    /// Target segment.
    pub to: SegmentId,
    /// How much.
    pub amount: QuoteMicros,
    /// Waiting clock at which the delay is over.
    pub due_waiting_ms: DurationMs,
    /// The record of the request.
    pub origin: RecordIndex,
    /// Where it stands.
    pub state: TransferState,
    /// See [`Withdrawal::tier`].
    pub tier: Tier,
    /// See [`Withdrawal::held`].
    pub held: Option<Held>,
    /// Waiting clock at which it left; zero before.
    pub released_ms: DurationMs,
}

/// Where a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum TransferState {
    /// Waits for its delay and the limiter.
    Pending = 1,
    /// Left its source.
    Left = 2,
    /// Taken back.
    Cancelled = 3,
}

/// A deposit claim and its attestations. Never forgotten.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Deposit {
    /// The claim's key.
    pub claim_key: Digest,
    /// What was claimed.
    pub claim: casemate_protocol::command::DepositClaim,
    /// Operators that attested it, in the order of their statements.
    pub operators: Vec<casemate_protocol::OperatorId>,
    /// Where it stands.
    pub state: DepositState,
}

/// Where a deposit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum DepositState {
    /// Waits for its quorum.
    Attesting = 1,
    /// In the vault, waiting for its beneficiary to open an account.
    Unclaimed = 2,
    /// Credited.
    Credited = 3,
}

impl Segment {
    /// An empty segment with its markets.
    #[must_use]
    pub fn new(rules: &SegmentRules, genesis: &Genesis) -> Self {
        let markets = genesis.markets.iter().filter(|market| market.segment == rules.id);
        let markets = markets.map(|market| Market::new(market, genesis)).collect();
        Self {
            rules: rules.clone(),
            sub_accounts: PagedTable::default(),
            markets,
            orders: OrderSlab::default(),
            totals: Totals::default(),
            worst_regime: Regime::Calm,
            clearing: Clearing::of(rules.id, genesis),
            limiter: LimiterState::unused(rules),
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
            conduct: Conduct::new(&rules.conduct),
            seen: Vec::new(),
            changed: ChangedRows::default(),
            undo: Vec::new(),
        }
    }

    /// The segment's id.
    #[must_use]
    pub const fn id(&self) -> SegmentId {
        self.rules.id
    }

    /// The segment's sums and counters.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The segment's markets.
    #[must_use]
    pub fn markets(&self) -> &[Market] {
        &self.markets
    }

    /// An account's part in this segment.
    #[must_use]
    pub fn sub_account(&self, account: AccountId) -> Option<&SubAccount> {
        self.sub_accounts.row(account.number())
    }

    /// A withdrawal, wherever it stands.
    #[must_use]
    pub fn withdrawal(&self, number: WithdrawalNumber) -> Option<&Withdrawal> {
        self.withdrawals.get(&number.number())
    }

    /// A transfer out of this segment, wherever it stands.
    #[must_use]
    pub fn transfer(&self, number: TransferNumber) -> Option<&Transfer> {
        self.transfers.get(&number.number())
    }

    /// The resting orders of the segment.
    #[must_use]
    pub const fn orders(&self) -> &OrderSlab {
        &self.orders
    }
}

impl Market {
    fn new(rules: &MarketRules, genesis: &Genesis) -> Self {
        let margin = Margin::of(rules.id, genesis);
        let mut facts = MarketFacts {
            reference_price: rules.reference_price,
            band_lower: PriceTicks::ZERO,
            band_upper: PriceTicks::ZERO,
            open_long: 0,
            open_short: 0,
            entry_notional: 0,
            funding_cumulative: 0,
            funding_weight: 0,
            funding_dust: 0,
            traded_lots: 0,
            next_priority: 1,
        };
        facts.move_reference(rules, rules.reference_price);
        Self {
            rules: *rules,
            book: Book::default(),
            facts,
            margin,
            book_digest: Digest::ZERO,
            book_changes: Vec::new(),
        }
    }

    /// The market's rules.
    #[must_use]
    pub const fn rules(&self) -> &MarketRules {
        &self.rules
    }

    /// Margin rules and prices; none if collateral is full.
    #[must_use]
    pub fn margin(&self) -> Option<&Margin> {
        self.margin.as_deref()
    }

    /// What changes with each trade.
    #[must_use]
    pub const fn facts(&self) -> &MarketFacts {
        &self.facts
    }

    /// The book.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }
}

impl MarketFacts {
    /// Makes a price the reference and moves the band with it.
    pub(crate) fn move_reference(&mut self, rules: &MarketRules, price: PriceTicks) {
        use casemate_protocol::units::{Round, price_moved};
        let band = i64::from(rules.band.ppm());
        self.reference_price = price;
        self.band_lower = price_moved(price, band.saturating_neg(), Round::Down).unwrap_or(PriceTicks::from_ticks(1));
        self.band_upper = price_moved(price, band, Round::Up).unwrap_or(rules.price_max).min(rules.price_max);
    }
}
