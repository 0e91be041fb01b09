//! Commands: what accounts ask for, and what the ledger asks of itself.
//!
//! Discriminants are permanent: add, never renumber, never reuse. Each command names exactly one [`Action`], the word
//! that grants and policies use.

mod guardians;
mod orders;
mod safeguards;
mod system;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::clearing::BreakerState;
use crate::grant::GrantTerms;
use crate::hash::Digest;
use crate::ids::{
    AccountId, AssetId, FeedId, GrantNumber, MarketId, PolicyEpoch, ProposalNumber, SegmentId, TransferNumber,
    WithdrawalNumber,
};
use crate::keys::PublicKey;
use crate::limits::OUTSIDE_REFERENCE_BYTES_MAX;
use crate::policy::PolicySet;
use crate::units::{PriceNanos, QuoteMicros, TimeMs};
pub use guardians::{GuardianAct, GuardianSet, VoteAsGuardian};
pub use orders::{
    AmendOrder, CancelAllOrders, CancelOrder, CancelScope, LimitTerms, MarketTerms, OrderKind, OrderReference,
    PlaceOrder, QuoteLadder, QuoteLevel, SelfTradeMode, SetDeadMan, Side, TimeInForce,
};
pub use safeguards::{ChangeRootKey, PayoutAddress};
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
    /// Adds an address to the book of addresses that money may leave to.
    AddPayoutAddress(Box<PayoutAddress>) = 5,
    /// Takes an address out of that book.
    RemovePayoutAddress(Box<PayoutAddress>) = 6,
    /// Announces another root key; it can take over after a delay.
    ChangeRootKey(ChangeRootKey) = 7,
    /// Takes such an announcement back.
    CancelRootKeyChange = 8,
    /// The announced key takes over. It signs this itself, as the root key of the account.
    AcceptRootKey = 9,
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
    /// Announces other guardians; they guard after a delay.
    SetGuardians(Box<GuardianSet>) = 16,
    /// Takes such an announcement back.
    CancelGuardianChange = 17,
    /// A guardian's vote about another account, signed by the guardian's root key.
    VoteAsGuardian(VoteAsGuardian) = 18,
    /// The present root key stops a recovery.
    CancelRecovery = 19,
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
    /// See [`Command::AddPayoutAddress`].
    AddPayoutAddress = 5,
    /// See [`Command::RemovePayoutAddress`].
    RemovePayoutAddress = 6,
    /// See [`Command::ChangeRootKey`].
    ChangeRootKey = 7,
    /// See [`Command::CancelRootKeyChange`].
    CancelRootKeyChange = 8,
    /// See [`Command::AcceptRootKey`].
    AcceptRootKey = 9,
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
    /// See [`Command::SetGuardians`].
    SetGuardians = 16,
    /// See [`Command::CancelGuardianChange`].
    CancelGuardianChange = 17,
    /// See [`Command::VoteAsGuardian`].
    VoteAsGuardian = 18,
    /// See [`Command::CancelRecovery`].
    CancelRecovery = 19,
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
    pub const ALL: [Self; 30] = [
        Self::OpenAccount,
        Self::CloseAccount,
        Self::RegisterGrant,
        Self::RevokeGrant,
        Self::AddPayoutAddress,
        Self::RemovePayoutAddress,
        Self::ChangeRootKey,
        Self::CancelRootKeyChange,
        Self::AcceptRootKey,
        Self::AttestDeposit,
        Self::RequestWithdrawal,
        Self::CancelWithdrawal,
        Self::RequestTransfer,
        Self::CancelTransfer,
        Self::RequestPrincipalExit,
        Self::SetGuardians,
        Self::CancelGuardianChange,
        Self::VoteAsGuardian,
        Self::CancelRecovery,
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
            Self::AddPayoutAddress => 5,
            Self::RemovePayoutAddress => 6,
            Self::ChangeRootKey => 7,
            Self::CancelRootKeyChange => 8,
            Self::AcceptRootKey => 9,
            Self::AttestDeposit => 10,
            Self::RequestWithdrawal => 11,
            Self::CancelWithdrawal => 12,
            Self::RequestTransfer => 13,
            Self::CancelTransfer => 14,
            Self::RequestPrincipalExit => 15,
            Self::SetGuardians => 16,
            Self::CancelGuardianChange => 17,
            Self::VoteAsGuardian => 18,
            Self::CancelRecovery => 19,
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
            Self::AddPayoutAddress(_) => Action::AddPayoutAddress,
            Self::RemovePayoutAddress(_) => Action::RemovePayoutAddress,
            Self::ChangeRootKey(_) => Action::ChangeRootKey,
            Self::CancelRootKeyChange => Action::CancelRootKeyChange,
            Self::AcceptRootKey => Action::AcceptRootKey,
            Self::AttestDeposit(_) => Action::AttestDeposit,
            Self::RequestWithdrawal(_) => Action::RequestWithdrawal,
            Self::CancelWithdrawal(_) => Action::CancelWithdrawal,
            Self::RequestTransfer(_) => Action::RequestTransfer,
            Self::CancelTransfer(_) => Action::CancelTransfer,
            Self::RequestPrincipalExit(_) => Action::RequestPrincipalExit,
            Self::SetGuardians(_) => Action::SetGuardians,
            Self::CancelGuardianChange => Action::CancelGuardianChange,
            Self::VoteAsGuardian(_) => Action::VoteAsGuardian,
            Self::CancelRecovery => Action::CancelRecovery,
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
            | Self::AddPayoutAddress(_)
            | Self::RemovePayoutAddress(_)
            | Self::ChangeRootKey(_)
            | Self::CancelRootKeyChange
            | Self::AcceptRootKey
            | Self::AttestDeposit(_)
            | Self::RequestWithdrawal(_)
            | Self::CancelWithdrawal(_)
            | Self::RequestTransfer(_)
            | Self::CancelTransfer(_)
            | Self::RequestPrincipalExit(_)
            | Self::SetGuardians(_)
            | Self::CancelGuardianChange
            | Self::VoteAsGuardian(_)
            | Self::CancelRecovery
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
