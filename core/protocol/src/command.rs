//! Commands: what accounts ask for, and what the ledger asks of itself.
//!
//! Discriminants are permanent: add, never renumber, never reuse. Each command names exactly one [`Action`], the word
//! that grants and policies use.

mod system;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::clearing::BreakerState;
use crate::grant::GrantTerms;
use crate::hash::Digest;
use crate::ids::{
    AccountId, AssetId, ClientOrderId, FeedId, GrantNumber, MarketId, OrderNumber, PolicyEpoch, ProposalNumber,
    SegmentId, TransferNumber, WithdrawalNumber,
};
use crate::keys::PublicKey;
use crate::limits::{OUTSIDE_REFERENCE_BYTES_MAX, QUOTE_LEVELS_MAX};
use crate::policy::PolicySet;
use crate::units::{DurationMs, PriceNanos, PriceTicks, QuantityLots, QuoteMicros, RatioPpm, TimeMs};
pub use system::{
    HeldBack, SegmentAccount, SegmentFeed, SegmentGrant, SegmentMarket, SegmentOrder, SegmentProposal, SegmentTransfer,
    SegmentWaiting, SegmentWithdrawal, SystemCommand, SystemWork,
};

/// What an account asks for, inside an envelope.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Command {
    /// Opens the account of the root key that signs; the envelope names account 0.
    OpenAccount = 1,
    /// Closes the account; the bond leaves as a withdrawal.
    CloseAccount(Box<CloseAccount>) = 2,
    /// Registers a session key, for a grant of the root key or for a child of another grant.
    RegisterGrant(Box<GrantTerms>) = 3,
    /// Ends a grant and its descendants now and cancels their resting orders.
    RevokeGrant(RevokeGrant) = 4,
    /// An attestor's statement that a deposit happened outside.
    AttestDeposit(Box<DepositClaim>) = 10,
    /// Asks for money to leave.
    RequestWithdrawal(Box<RequestWithdrawal>) = 11,
    /// Takes back a withdrawal that was not released.
    CancelWithdrawal(CancelWithdrawal) = 12,
    /// Moves money to another segment of the same account.
    RequestTransfer(RequestTransfer) = 13,
    /// Takes back a transfer that has not left.
    CancelTransfer(CancelTransfer) = 14,
    /// Asks for principal to leave by the slow way that no breaker short of Halted holds up.
    RequestPrincipalExit(Box<RequestWithdrawal>) = 15,
    /// Places an order.
    PlaceOrder(PlaceOrder) = 20,
    /// Changes price or quantity of a resting order.
    AmendOrder(AmendOrder) = 21,
    /// Cancels a resting order.
    CancelOrder(CancelOrder) = 22,
    /// Cancels all resting orders of the account in one market, or in all markets of a segment.
    CancelAllOrders(CancelAllOrders) = 23,
    /// Replaces the account's whole ladder of quotes in one market.
    QuoteLadder(Box<QuoteLadder>) = 24,
    /// Arms, re-arms or disarms the dead-man switch of a segment.
    SetDeadMan(SetDeadMan) = 25,
    /// A publisher's observation of a price.
    SubmitPrice(SubmitPrice) = 30,
    /// Proposes a change that officers must approve.
    Propose(Box<Propose>) = 40,
    /// Approves a proposal.
    Approve(Approve) = 41,
    /// Adds the evidence of its envelope to what waits to leave, where a policy asks for more than that came with.
    AddEvidence(AddEvidence) = 42,
    /// Contests what is inferred about the account's links to others in a segment.
    ContestLink(ContestLink) = 50,
}

/// The word by which grants and policies call a command. Numbers are those of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// See [`Command::OpenAccount`].
    OpenAccount = 1,
    /// See [`Command::CloseAccount`].
    CloseAccount = 2,
    /// See [`Command::RegisterGrant`].
    RegisterGrant = 3,
    /// See [`Command::RevokeGrant`].
    RevokeGrant = 4,
    /// See [`Command::AttestDeposit`].
    AttestDeposit = 10,
    /// See [`Command::RequestWithdrawal`].
    RequestWithdrawal = 11,
    /// See [`Command::CancelWithdrawal`].
    CancelWithdrawal = 12,
    /// See [`Command::RequestTransfer`].
    RequestTransfer = 13,
    /// See [`Command::CancelTransfer`].
    CancelTransfer = 14,
    /// See [`Command::RequestPrincipalExit`].
    RequestPrincipalExit = 15,
    /// See [`Command::PlaceOrder`].
    PlaceOrder = 20,
    /// See [`Command::AmendOrder`].
    AmendOrder = 21,
    /// See [`Command::CancelOrder`].
    CancelOrder = 22,
    /// See [`Command::CancelAllOrders`].
    CancelAllOrders = 23,
    /// See [`Command::QuoteLadder`].
    QuoteLadder = 24,
    /// See [`Command::SetDeadMan`].
    SetDeadMan = 25,
    /// See [`Command::SubmitPrice`].
    SubmitPrice = 30,
    /// See [`Command::Propose`].
    Propose = 40,
    /// See [`Command::Approve`].
    Approve = 41,
    /// See [`Command::AddEvidence`].
    AddEvidence = 42,
    /// See [`Command::ContestLink`].
    ContestLink = 50,
}

impl Action {
    /// Every action, in the order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::OpenAccount,
        Self::CloseAccount,
        Self::RegisterGrant,
        Self::RevokeGrant,
        Self::AttestDeposit,
        Self::RequestWithdrawal,
        Self::CancelWithdrawal,
        Self::RequestTransfer,
        Self::CancelTransfer,
        Self::RequestPrincipalExit,
        Self::PlaceOrder,
        Self::AmendOrder,
        Self::CancelOrder,
        Self::CancelAllOrders,
        Self::QuoteLadder,
        Self::SetDeadMan,
        Self::SubmitPrice,
        Self::Propose,
        Self::Approve,
        Self::AddEvidence,
        Self::ContestLink,
    ];

    /// The permanent number, below 64.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::OpenAccount => 1,
            Self::CloseAccount => 2,
            Self::RegisterGrant => 3,
            Self::RevokeGrant => 4,
            Self::AttestDeposit => 10,
            Self::RequestWithdrawal => 11,
            Self::CancelWithdrawal => 12,
            Self::RequestTransfer => 13,
            Self::CancelTransfer => 14,
            Self::RequestPrincipalExit => 15,
            Self::PlaceOrder => 20,
            Self::AmendOrder => 21,
            Self::CancelOrder => 22,
            Self::CancelAllOrders => 23,
            Self::QuoteLadder => 24,
            Self::SetDeadMan => 25,
            Self::SubmitPrice => 30,
            Self::Propose => 40,
            Self::Approve => 41,
            Self::AddEvidence => 42,
            Self::ContestLink => 50,
        }
    }
}

impl Command {
    /// The action that this command is.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::OpenAccount => Action::OpenAccount,
            Self::CloseAccount(_) => Action::CloseAccount,
            Self::RegisterGrant(_) => Action::RegisterGrant,
            Self::RevokeGrant(_) => Action::RevokeGrant,
            Self::AttestDeposit(_) => Action::AttestDeposit,
            Self::RequestWithdrawal(_) => Action::RequestWithdrawal,
            Self::CancelWithdrawal(_) => Action::CancelWithdrawal,
            Self::RequestTransfer(_) => Action::RequestTransfer,
            Self::CancelTransfer(_) => Action::CancelTransfer,
            Self::RequestPrincipalExit(_) => Action::RequestPrincipalExit,
            Self::PlaceOrder(_) => Action::PlaceOrder,
            Self::AmendOrder(_) => Action::AmendOrder,
            Self::CancelOrder(_) => Action::CancelOrder,
            Self::CancelAllOrders(_) => Action::CancelAllOrders,
            Self::QuoteLadder(_) => Action::QuoteLadder,
            Self::SetDeadMan(_) => Action::SetDeadMan,
            Self::SubmitPrice(_) => Action::SubmitPrice,
            Self::Propose(_) => Action::Propose,
            Self::Approve(_) => Action::Approve,
            Self::AddEvidence(_) => Action::AddEvidence,
            Self::ContestLink(_) => Action::ContestLink,
        }
    }

    /// The market that the command names, if it names one.
    #[must_use]
    pub const fn market(&self) -> Option<MarketId> {
        match self {
            Self::PlaceOrder(order) => Some(order.market),
            Self::AmendOrder(amend) => Some(amend.market),
            Self::CancelOrder(cancel) => Some(cancel.market),
            Self::CancelAllOrders(cancel) => match cancel.scope {
                CancelScope::Market(market) => Some(market),
                CancelScope::Segment(_) => None,
            },
            Self::QuoteLadder(ladder) => Some(ladder.market),
            Self::OpenAccount
            | Self::CloseAccount(_)
            | Self::RegisterGrant(_)
            | Self::RevokeGrant(_)
            | Self::AttestDeposit(_)
            | Self::RequestWithdrawal(_)
            | Self::CancelWithdrawal(_)
            | Self::RequestTransfer(_)
            | Self::CancelTransfer(_)
            | Self::RequestPrincipalExit(_)
            | Self::SetDeadMan(_)
            | Self::SubmitPrice(_)
            | Self::Propose(_)
            | Self::Approve(_)
            | Self::AddEvidence(_)
            | Self::ContestLink(_) => None,
        }
    }
}

/// See [`Command::ContestLink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ContestLink {
    /// The segment whose detectors inferred them.
    pub segment: SegmentId,
}

/// Closes an account that has nothing left but its bond.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CloseAccount {
    /// Outside chain that the bond goes to.
    pub chain: u32,
    /// Payout address on that chain.
    pub destination: OutsideReference,
}

/// Ends a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RevokeGrant {
    /// The grant's number in the signing account.
    pub number: GrantNumber,
}

/// Bytes that name something outside: a transaction, an address.
pub type OutsideReference = BoundedVec<u8, OUTSIDE_REFERENCE_BYTES_MAX>;

/// A claim that money arrived outside. Its digest is its key: credited once, never forgotten.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DepositClaim {
    /// Outside chain, as numbered by the venue.
    pub chain: u32,
    /// Transaction on that chain.
    pub transaction: OutsideReference,
    /// Output or log entry within the transaction.
    pub output: u32,
    /// The asset that arrived.
    pub asset: AssetId,
    /// How much arrived; above zero.
    pub amount: QuoteMicros,
    /// The segment whose vault holds it.
    pub segment: SegmentId,
    /// Who gets it.
    pub beneficiary: Beneficiary,
}

/// Who a deposit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Beneficiary {
    /// An open account.
    Account(AccountId) = 1,
    /// A root key that may open its account later; until then the deposit waits unclaimed.
    RootKey(PublicKey) = 2,
}

/// Asks for money to leave the venue.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RequestWithdrawal {
    /// The segment that pays.
    pub segment: SegmentId,
    /// How much; above zero.
    pub amount: QuoteMicros,
    /// Outside chain.
    pub chain: u32,
    /// Payout address on that chain.
    pub destination: OutsideReference,
}

/// Takes back a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CancelWithdrawal {
    /// The segment that would have paid.
    pub segment: SegmentId,
    /// The withdrawal's number there.
    pub number: WithdrawalNumber,
}

/// Moves money between segments of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RequestTransfer {
    /// The segment that pays.
    pub from: SegmentId,
    /// The segment that receives, in a later block.
    pub to: SegmentId,
    /// How much; above zero.
    pub amount: QuoteMicros,
}

/// Takes back a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CancelTransfer {
    /// The segment that would have paid.
    pub segment: SegmentId,
    /// The transfer's number there.
    pub number: TransferNumber,
}

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Side {
    /// Buys.
    Bid = 1,
    /// Sells.
    Ask = 2,
}

impl Side {
    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Bid => 1,
            Self::Ask => 2,
        }
    }

    /// The side that this one trades with.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
        }
    }

    /// Whether an order of this side at `limit` trades with a resting order at `resting`.
    #[must_use]
    pub fn crosses(self, limit: PriceTicks, resting: PriceTicks) -> bool {
        match self {
            Self::Bid => limit >= resting,
            Self::Ask => limit <= resting,
        }
    }
}

/// What happens to a limit order that does not trade at once, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum TimeInForce {
    /// Rests until it is filled or cancelled.
    GoodTillCancel = 1,
    /// Rests until a time.
    GoodTillTime(TimeMs) = 2,
    /// Trades what it can now; the rest is dropped.
    ImmediateOrCancel = 3,
    /// Trades whole now or not at all.
    FillOrKill = 4,
    /// Never takes: refused if it would.
    PostOnly = 5,
    /// Never takes: moved to the best price at which it rests.
    PostOnlySlide = 6,
}

/// How an order is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum OrderKind {
    /// Trades at this price or better.
    Limit(LimitTerms) = 1,
    /// Trades at once, no further from the best opposite price than a bound; the rest is dropped.
    Market(MarketTerms) = 2,
}

/// Terms of a limit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LimitTerms {
    /// Worst price accepted.
    pub price: PriceTicks,
    /// How long it stands.
    pub time_in_force: TimeInForce,
}

/// Terms of a bounded market order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarketTerms {
    /// Furthest from the best opposite price.
    pub slippage_ppm_max: RatioPpm,
}

/// What happens when an account would trade with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SelfTradeMode {
    /// The resting order is cancelled and matching goes on.
    CancelResting = 1,
    /// What is left of the arriving order is dropped.
    CancelArriving = 2,
    /// Both.
    CancelBoth = 3,
}

/// Places an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PlaceOrder {
    /// The market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// Limit or bounded market.
    pub kind: OrderKind,
    /// How many lots; above zero.
    pub quantity: QuantityLots,
    /// The owner's name for it; zero for none. Unique among the owner's resting orders of the segment.
    pub client_id: ClientOrderId,
    /// May only bring the position closer to zero.
    pub is_reduce_only: bool,
    /// What happens on a trade with oneself.
    pub self_trade: SelfTradeMode,
}

/// Names a resting order of the signing account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum OrderReference {
    /// By its number in the segment.
    Number(OrderNumber) = 1,
    /// By the owner's name for it.
    Client(ClientOrderId) = 2,
}

/// Changes a resting order. A smaller quantity at the same price keeps its place in the queue; anything else loses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AmendOrder {
    /// The order's market.
    pub market: MarketId,
    /// The order.
    pub order: OrderReference,
    /// Its price from now on.
    pub price: PriceTicks,
    /// What is left to fill from now on; above zero.
    pub quantity: QuantityLots,
}

/// Cancels a resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CancelOrder {
    /// The order's market.
    pub market: MarketId,
    /// The order.
    pub order: OrderReference,
}

/// Where all orders are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum CancelScope {
    /// In one market.
    Market(MarketId) = 1,
    /// In all markets of a segment.
    Segment(SegmentId) = 2,
}

/// Cancels all resting orders of the account in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CancelAllOrders {
    /// Where.
    pub scope: CancelScope,
}

/// One level of a ladder of quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct QuoteLevel {
    /// Price of the quote.
    pub price: PriceTicks,
    /// Lots offered; above zero.
    pub quantity: QuantityLots,
}

/// Replaces the account's quotes in a market: former ladder quotes are cancelled, these are placed post-only.
/// A level that would take is left out and reported. Two empty sides withdraw the ladder.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct QuoteLadder {
    /// The market.
    pub market: MarketId,
    /// Buying levels, best first, prices strictly falling.
    pub bids: BoundedVec<QuoteLevel, QUOTE_LEVELS_MAX>,
    /// Selling levels, best first, prices strictly rising.
    pub asks: BoundedVec<QuoteLevel, QUOTE_LEVELS_MAX>,
}

/// Arms the dead-man switch: without another call before the time is over, all orders of the segment are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SetDeadMan {
    /// The segment whose orders it guards.
    pub segment: SegmentId,
    /// Block time until it fires; zero disarms.
    pub timeout_ms: DurationMs,
}

/// What a publisher saw, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SubmitPrice {
    /// The feed.
    pub feed: FeedId,
    /// The price; above zero.
    pub price: PriceNanos,
    /// Half the width of the interval in which the publisher believes the price to be.
    pub confidence: PriceNanos,
    /// When it was seen: later than the publisher's last observation of the feed, and not ahead of block time.
    pub source_ms: TimeMs,
}

/// Proposes a change.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Propose {
    /// The segment that changes.
    pub segment: SegmentId,
    /// What is to change, with the value it has now.
    pub change: Change,
    /// After this block time nothing comes of it any more.
    pub expires_ms: TimeMs,
}

/// A change that officers decide. Each names the old value, and fails if it differs by then.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Change {
    /// Moves a breaker to a looser state, once its clear tests hold.
    LeaveBreaker(LeaveBreaker) = 1,
    /// Puts a set of policies in force, in the whole venue.
    AdoptPolicies(Box<AdoptPolicies>) = 2,
}

/// See [`Change::LeaveBreaker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LeaveBreaker {
    /// The state it is in now.
    pub from: BreakerState,
    /// The state it moves to.
    pub to: BreakerState,
}

/// See [`Change::AdoptPolicies`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AdoptPolicies {
    /// Epoch of the set that is in force now.
    pub old_epoch: PolicyEpoch,
    /// The set; without a file, the built-in table.
    pub set: PolicySet,
    /// Digest of the table that it compiles into: who approves has compiled it.
    pub table: Digest,
    /// Whether it is declared to make nothing easier. Risk officers decide that, after the short delay; if the cells say
    /// otherwise by then, nothing comes of it.
    pub is_tightening: bool,
}

/// Approves a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Approve {
    /// The proposal's segment.
    pub segment: SegmentId,
    /// The proposal.
    pub number: ProposalNumber,
}

/// Adds evidence to what waits to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AddEvidence {
    /// The segment that it leaves.
    pub segment: SegmentId,
    /// What waits.
    pub waiting: Waiting,
}

/// Something that waits to leave a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Waiting {
    /// A withdrawal.
    Withdrawal(WithdrawalNumber) = 1,
    /// A transfer to another segment.
    Transfer(TransferNumber) = 2,
}

#[cfg(test)]
mod tests;
