//! Events: what changed, in the past tense. The ledger's state changes by events and by nothing else, so replaying
//! them is a second road to the same state. Discriminants are permanent.

mod clearing;
mod conduct;
mod guardians;
mod safeguards;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::command::{DepositClaim, OutsideReference, Side, Waiting};
use crate::grant::GrantTerms;
use crate::hash::Digest;
use crate::ids::{
    AccountId, ClientOrderId, GrantNumber, MarketId, OperatorId, OrderNumber, RecordIndex, SegmentId, TradeNumber,
    TransferNumber, WithdrawalNumber,
};
use crate::keys::PublicKey;
use crate::policy::Tier;
use crate::units::{DurationMs, PriceTicks, QuantityLots, QuoteMicros, TimeMs};
pub use clearing::{
    BreakerMoved, DeficitRepaid, FundingSettled, InsurancePaid, LiquidationSliced, LiquidationStepped, LossUncovered,
    MarkMoved, PassCause, PolicyAdopted, PositionPassed, PriceAggregated, PriceObserved, ProposalApproved,
    ProposalEnded, ProposalMade, ProposalOutcome, RegimeMoved,
};
pub use conduct::{ConductAlerted, ConductBandMoved, LinksContested};
pub use guardians::{
    AccountFrozen, GuardianChangeAnnounced, GuardianChangeCancelled, GuardianVoted, GuardiansChanged, RecoveryBegun,
    RecoveryCancelled, RecoveryCompleted,
};
pub use safeguards::{
    PayoutAddressAdded, PayoutAddressRemoved, RootKeyChangeAnnounced, RootKeyChangeCancelled, RootKeyChanged,
};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Event {
    /// An account was opened; the bond was locked.
    AccountOpened(AccountOpened) = 1,
    /// An account was closed; its bond became cash of the segment that held it.
    AccountClosed(AccountClosed) = 2,
    /// A session key was registered.
    GrantRegistered(Box<GrantRegistered>) = 3,
    /// A grant was revoked.
    GrantRevoked(GrantRevoked) = 4,
    /// What a grant may lose in a segment was lowered, because a child was carved out of it.
    GrantLossLowered(GrantLossLowered) = 5,
    /// An address came into an account's book; it can be used once it has cooled off.
    PayoutAddressAdded(Box<PayoutAddressAdded>) = 7,
    /// An address left an account's book.
    PayoutAddressRemoved(Box<PayoutAddressRemoved>) = 8,
    /// Another root key was announced; it can take over once the delay has passed.
    RootKeyChangeAnnounced(Box<RootKeyChangeAnnounced>) = 9,
    /// An operator's statement about a deposit was counted.
    DepositAttested(Box<DepositAttested>) = 10,
    /// A deposit reached its quorum: the vault grew, and the money waits for its beneficiary.
    DepositAccepted(DepositAccepted) = 11,
    /// A waiting deposit was credited to an account.
    DepositCredited(DepositCredited) = 12,
    /// Money was set aside to leave.
    WithdrawalRequested(Box<WithdrawalRequested>) = 13,
    /// A withdrawal was taken back.
    WithdrawalCancelled(WithdrawalEnded) = 14,
    /// A withdrawal left the vault.
    WithdrawalReleased(WithdrawalEnded) = 15,
    /// Money was set aside for another segment.
    TransferRequested(TransferRequested) = 16,
    /// A transfer was taken back.
    TransferCancelled(TransferEnded) = 17,
    /// A transfer left its source.
    TransferReleased(TransferReleased) = 18,
    /// A transfer arrived at its target.
    TransferArrived(TransferArrived) = 19,
    /// An order rests in the book.
    OrderRested(OrderRested) = 20,
    /// An order left the book without a fill.
    OrderRemoved(OrderRemoved) = 21,
    /// A resting order became smaller and kept its place.
    OrderReduced(OrderReduced) = 22,
    /// Two orders traded.
    TradeExecuted(TradeExecuted) = 23,
    /// A level of a ladder was left out.
    LadderLevelSkipped(LadderLevelSkipped) = 24,
    /// What was left of an arriving order was dropped.
    RemainderDropped(RemainderDropped) = 25,
    /// A dead-man switch was armed, re-armed or disarmed.
    DeadManSet(DeadManSet) = 26,
    /// A grant with resting orders is watched for its end.
    GrantWatched(GrantWatched) = 27,
    /// A grant's end was handled: it has no resting orders that add risk.
    GrantUnwatched(GrantWatched) = 28,
    /// Principal was set aside to leave by the slow way.
    PrincipalExitRequested(Box<WithdrawalRequested>) = 29,
    /// Something that was due to leave is held back until it has more evidence, or less is asked for.
    LeavingHeld(LeavingHeld) = 30,
    /// Evidence was added to something that waits to leave.
    EvidenceAdded(EvidenceAdded) = 31,
    /// A publisher's observation was taken.
    PriceObserved(PriceObserved) = 40,
    /// A feed's price was put together from its observations.
    PriceAggregated(PriceAggregated) = 41,
    /// A market's index and mark moved.
    MarkMoved(MarkMoved) = 42,
    /// Funding of an interval was settled.
    FundingSettled(FundingSettled) = 43,
    /// A market got rougher or calmer.
    RegimeMoved(RegimeMoved) = 44,
    /// A step was taken to liquidate an account.
    LiquidationStepped(LiquidationStepped) = 50,
    /// A slice of a liquidated position traded on the book, and its account paid the fee to insurance.
    LiquidationSliced(LiquidationSliced) = 51,
    /// A position passed to another account without an order.
    PositionPassed(PositionPassed) = 52,
    /// Insurance made an account's loss good.
    InsurancePaid(InsurancePaid) = 53,
    /// An account's loss stayed uncovered.
    LossUncovered(LossUncovered) = 54,
    /// Insurance repaid losses that had stayed uncovered.
    DeficitRepaid(DeficitRepaid) = 55,
    /// A breaker moved.
    BreakerMoved(BreakerMoved) = 60,
    /// A proposal was made.
    ProposalMade(ProposalMade) = 61,
    /// An operator approved a proposal.
    ProposalApproved(ProposalApproved) = 62,
    /// A proposal came to its end.
    ProposalEnded(ProposalEnded) = 63,
    /// A set of policies came into force.
    PolicyAdopted(Box<PolicyAdopted>) = 64,
    /// A detector of conduct fired.
    ConductAlerted(Box<ConductAlerted>) = 70,
    /// The conduct band of an account moved.
    ConductBandMoved(ConductBandMoved) = 71,
    /// An account contested what was inferred about it.
    LinksContested(LinksContested) = 72,
    /// The announcement of another root key was taken back.
    RootKeyChangeCancelled(RootKeyChangeCancelled) = 90,
    /// Another key is the account's root key from now on.
    RootKeyChanged(RootKeyChanged) = 91,
    /// Other guardians were announced.
    GuardianChangeAnnounced(Box<GuardianChangeAnnounced>) = 92,
    /// Such an announcement was taken back, or stopped by the guardians that there are.
    GuardianChangeCancelled(GuardianChangeCancelled) = 93,
    /// Other guardians guard the account from now on.
    GuardiansChanged(Box<GuardiansChanged>) = 94,
    /// A guardian voted.
    GuardianVoted(GuardianVoted) = 95,
    /// Enough guardians agree on another root key.
    RecoveryBegun(RecoveryBegun) = 96,
    /// The root key stopped a recovery.
    RecoveryCancelled(RecoveryCancelled) = 97,
    /// Enough guardians agree that nothing leaves the account for a while.
    AccountFrozen(AccountFrozen) = 98,
    /// The key that guardians agreed on is the root key from now on.
    RecoveryCompleted(RecoveryCompleted) = 99,
}

/// See [`Event::AccountOpened`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountOpened {
    /// The new account.
    pub account: AccountId,
    /// Its root key.
    pub root_key: PublicKey,
    /// The segment that holds the bond.
    pub segment: SegmentId,
}

/// See [`Event::LeavingHeld`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LeavingHeld {
    /// The segment that it would leave.
    pub segment: SegmentId,
    /// What waits.
    pub waiting: Waiting,
    /// The least evidence that is enough; none if no evidence is.
    pub required: Option<Tier>,
    /// Waiting clock at which it is judged again.
    pub again_ms: DurationMs,
}

/// See [`Event::EvidenceAdded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EvidenceAdded {
    /// The segment that it would leave.
    pub segment: SegmentId,
    /// What waits.
    pub waiting: Waiting,
    /// The evidence that it has now.
    pub tier: Tier,
}

/// See [`Event::AccountClosed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountClosed {
    /// The account.
    pub account: AccountId,
    /// The segment that held the bond.
    pub segment: SegmentId,
    /// The bond.
    pub bond: QuoteMicros,
}

/// See [`Event::GrantRegistered`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantRegistered {
    /// The account.
    pub account: AccountId,
    /// What the root key signed.
    pub terms: GrantTerms,
    /// Block time of registration.
    pub registered_ms: TimeMs,
}

/// See [`Event::GrantRevoked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantRevoked {
    /// The account.
    pub account: AccountId,
    /// The grant.
    pub number: GrantNumber,
}

/// See [`Event::GrantLossLowered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantLossLowered {
    /// The segment.
    pub segment: SegmentId,
    /// The account.
    pub account: AccountId,
    /// The grant that gave some of its budget to a child.
    pub grant: GrantNumber,
    /// Most that its fills may cost in the segment from now on, with what they have cost.
    pub loss_max: QuoteMicros,
}

/// See [`Event::DepositAttested`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DepositAttested {
    /// Key of the claim.
    pub claim_key: Digest,
    /// The operator that made the statement.
    pub operator: OperatorId,
    /// The claim.
    pub claim: DepositClaim,
}

/// See [`Event::DepositAccepted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DepositAccepted {
    /// The segment.
    pub segment: SegmentId,
    /// Key of the claim.
    pub claim_key: Digest,
    /// What the vault gained.
    pub amount: QuoteMicros,
}

/// See [`Event::DepositCredited`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DepositCredited {
    /// The segment.
    pub segment: SegmentId,
    /// Key of the claim.
    pub claim_key: Digest,
    /// Who got it.
    pub account: AccountId,
    /// What was credited as balance.
    pub amount: QuoteMicros,
    /// What was locked as the account's bond.
    pub bond: QuoteMicros,
}

/// See [`Event::WithdrawalRequested`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WithdrawalRequested {
    /// The segment.
    pub segment: SegmentId,
    /// The new withdrawal.
    pub number: WithdrawalNumber,
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
    /// The evidence that came with the request.
    pub tier: Tier,
}

/// See [`Event::WithdrawalCancelled`] and [`Event::WithdrawalReleased`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WithdrawalEnded {
    /// The segment.
    pub segment: SegmentId,
    /// The withdrawal.
    pub number: WithdrawalNumber,
}

/// See [`Event::TransferRequested`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransferRequested {
    /// The source segment.
    pub from: SegmentId,
    /// The new transfer.
    pub number: TransferNumber,
    /// The target segment.
    pub to: SegmentId,
    /// Whose money.
    pub account: AccountId,
    /// How much.
    pub amount: QuoteMicros,
    /// Waiting clock at which the delay is over.
    pub due_waiting_ms: DurationMs,
    /// The record of the request.
    pub origin: RecordIndex,
    /// The evidence that came with the request.
    pub tier: Tier,
}

/// See [`Event::TransferReleased`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransferReleased {
    /// The source segment.
    pub from: SegmentId,
    /// The transfer.
    pub number: TransferNumber,
    /// Its place among all transfers from this source to its target, from 1; they arrive in this order.
    pub sequence: u64,
}

/// See [`Event::TransferCancelled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransferEnded {
    /// The source segment.
    pub from: SegmentId,
    /// The transfer.
    pub number: TransferNumber,
}

/// See [`Event::TransferArrived`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransferArrived {
    /// The source segment.
    pub from: SegmentId,
    /// The transfer's number there.
    pub number: TransferNumber,
    /// The target segment.
    pub to: SegmentId,
    /// Its place among all transfers from this source to this target.
    pub sequence: u64,
    /// Whose money.
    pub account: AccountId,
    /// How much.
    pub amount: QuoteMicros,
}

/// See [`Event::OrderRested`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OrderRested {
    /// The market.
    pub market: MarketId,
    /// The order's number in its segment.
    pub number: OrderNumber,
    /// Its owner.
    pub account: AccountId,
    /// The owner's name for it.
    pub client_id: ClientOrderId,
    /// The grant it was placed under; none for the root key.
    pub grant: GrantNumber,
    /// Buy or sell.
    pub side: Side,
    /// Its price.
    pub price: PriceTicks,
    /// What is left to fill.
    pub quantity: QuantityLots,
    /// May only reduce.
    pub is_reduce_only: bool,
    /// Part of the owner's ladder.
    pub is_ladder: bool,
    /// Its end, or zero for none.
    pub expires_ms: TimeMs,
    /// The record it comes from.
    pub origin: RecordIndex,
}

/// Why an order left the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum RemovalCause {
    /// Its owner cancelled it.
    Cancelled = 1,
    /// Its owner cancelled everything.
    CancelledAll = 2,
    /// Its owner changed it: it comes again.
    Amended = 3,
    /// A new ladder replaced it.
    LadderReplaced = 4,
    /// It would have traded with its owner.
    SelfTrade = 5,
    /// Its time came.
    Expired = 6,
    /// Its grant ended.
    GrantEnded = 7,
    /// Its grant was revoked.
    GrantRevoked = 8,
    /// Its owner's dead-man switch fired.
    DeadMan = 9,
    /// Its owner could not carry the fill.
    MakerRisk = 10,
    /// It was reduce-only and there was nothing to reduce.
    NothingToReduce = 11,
    /// Its owner is being liquidated.
    Liquidated = 12,
    /// The breaker's state lets only reductions fill, and it met no reduction.
    Breaker = 13,
    /// Its grant has used up its loss budget.
    GrantLoss = 14,
}

/// See [`Event::OrderRemoved`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OrderRemoved {
    /// The market.
    pub market: MarketId,
    /// The order.
    pub number: OrderNumber,
    /// Its owner.
    pub account: AccountId,
    /// What was left of it.
    pub quantity: QuantityLots,
    /// Why.
    pub cause: RemovalCause,
}

/// See [`Event::OrderReduced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OrderReduced {
    /// The market.
    pub market: MarketId,
    /// The order.
    pub number: OrderNumber,
    /// Its owner.
    pub account: AccountId,
    /// What is left of it now.
    pub quantity: QuantityLots,
}

/// See [`Event::TradeExecuted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TradeExecuted {
    /// The market.
    pub market: MarketId,
    /// The trade's number in its segment.
    pub number: TradeNumber,
    /// The resting order.
    pub maker_order: OrderNumber,
    /// Its owner.
    pub maker: AccountId,
    /// The arriving order's number.
    pub taker_order: OrderNumber,
    /// Its owner.
    pub taker: AccountId,
    /// The grant the arriving order came under; none for the root key.
    pub taker_grant: GrantNumber,
    /// The side of the arriving order.
    pub taker_side: Side,
    /// The resting order's price.
    pub price: PriceTicks,
    /// Lots traded.
    pub quantity: QuantityLots,
    /// What the maker pays; negative is a rebate.
    pub maker_fee: QuoteMicros,
    /// What the taker pays.
    pub taker_fee: QuoteMicros,
}

/// See [`Event::LadderLevelSkipped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LadderLevelSkipped {
    /// The market.
    pub market: MarketId,
    /// Side of the level.
    pub side: Side,
    /// Price of the level.
    pub price: PriceTicks,
    /// Number of the rule that left it out, as in [`crate::RejectCode`].
    pub rule: u16,
}

/// See [`Event::RemainderDropped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RemainderDropped {
    /// The market.
    pub market: MarketId,
    /// The arriving order's number.
    pub number: OrderNumber,
    /// What was dropped.
    pub quantity: QuantityLots,
}

/// See [`Event::DeadManSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DeadManSet {
    /// The segment.
    pub segment: SegmentId,
    /// The account.
    pub account: AccountId,
    /// Block time at which it fires; zero if disarmed.
    pub fires_ms: TimeMs,
    /// The record that set it.
    pub origin: RecordIndex,
}

/// See [`Event::GrantWatched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantWatched {
    /// The segment.
    pub segment: SegmentId,
    /// The account.
    pub account: AccountId,
    /// The grant.
    pub grant: GrantNumber,
    /// The grant's end.
    pub expires_ms: TimeMs,
    /// What its fills may cost against the index in this segment.
    pub loss_max: QuoteMicros,
    /// The record of the order that made it worth watching.
    pub origin: RecordIndex,
}
