//! Work that the ledger lists for itself.

use borsh::{BorshDeserialize, BorshSerialize};

use super::Waiting;
use crate::ids::{
    AccountId, FeedId, GrantNumber, MarketId, OrderNumber, ProposalNumber, RecordIndex, SegmentId, TransferNumber,
    WithdrawalNumber,
};
use crate::policy::Tier;

/// Work that the ledger lists for itself. It goes through the gate like any command and has a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SystemCommand {
    /// The record that this work comes from.
    pub origin: RecordIndex,
    /// What is due.
    pub work: SystemWork,
}

/// What can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SystemWork {
    /// A good-till-time order reached its time.
    ExpireOrder(SegmentOrder) = 1,
    /// A grant with resting orders ended; those that can add risk are cancelled.
    ExpireGrantOrders(SegmentGrant) = 2,
    /// A dead-man switch was not re-armed in time.
    FireDeadMan(SegmentAccount) = 3,
    /// A withdrawal's delay is over.
    ReleaseWithdrawal(SegmentWithdrawal) = 4,
    /// A transfer's delay is over: it leaves its source.
    ReleaseTransfer(SegmentTransfer) = 5,
    /// A transfer that left arrives at its target.
    ArriveTransfer(SegmentTransfer) = 6,
    /// A grant was revoked: its orders in a segment are cancelled.
    CancelGrantOrders(SegmentGrant) = 7,
    /// An account was opened: deposits that waited for its root key in a segment are credited.
    CreditDeposits(SegmentAccount) = 8,
    /// Observations of a feed changed, or its price aged: it is put together anew.
    AggregatePrice(SegmentFeed) = 9,
    /// An index or a book moved: the mark follows.
    MoveMark(SegmentMarket) = 10,
    /// A funding interval is over.
    SettleFunding(SegmentMarket) = 11,
    /// An account's equity is below its maintenance margin: one step of its liquidation.
    Liquidate(SegmentAccount) = 12,
    /// A trigger of the segment's breaker was pulled, or all its clear tests hold.
    MoveBreaker(SegmentId) = 13,
    /// A proposal's approvals and delay are complete.
    CarryOutProposal(SegmentProposal) = 14,
    /// A proposal's time is over.
    ExpireProposal(SegmentProposal) = 15,
    /// Insurance has money again and pays for losses that stayed uncovered.
    RepayDeficit(SegmentId) = 16,
    /// A market got rougher, or has been calmer for long enough.
    MoveRegime(SegmentMarket) = 17,
    /// Detectors of conduct fired, or bands of accounts move.
    MoveConduct(SegmentId) = 18,
    /// A child was carved out of a grant: what the grant may still lose in a segment follows.
    LowerGrantLoss(SegmentGrant) = 20,
    /// The delay of announced guardians is over: they guard from now on.
    ChangeGuardians(AccountId) = 22,
    /// An account was recovered: what waits to leave it in a segment goes back to the balance.
    RecallWithdrawals(SegmentAccount) = 23,
    /// A withdrawal or transfer is due, and the policy in force asks for more evidence than it came with.
    HoldBack(HeldBack) = 26,
    /// A withdrawal or transfer was held back for so long that it goes back to the balance.
    GiveBack(SegmentWaiting) = 27,
}

/// Something that waits to leave a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentWaiting {
    /// The segment that it leaves.
    pub segment: SegmentId,
    /// What waits.
    pub waiting: Waiting,
}

/// What is held back, and what it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeldBack {
    /// The segment that it would leave.
    pub segment: SegmentId,
    /// What waits.
    pub waiting: Waiting,
    /// The least evidence that is enough; none if no evidence is.
    pub required: Option<Tier>,
}

/// A feed of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentFeed {
    /// The segment.
    pub segment: SegmentId,
    /// The feed.
    pub feed: FeedId,
}

/// A market of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentMarket {
    /// The segment.
    pub segment: SegmentId,
    /// The market.
    pub market: MarketId,
}

/// A proposal of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentProposal {
    /// The segment.
    pub segment: SegmentId,
    /// The proposal.
    pub proposal: ProposalNumber,
}

/// An order of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentOrder {
    /// The segment.
    pub segment: SegmentId,
    /// Its market.
    pub market: MarketId,
    /// Its owner.
    pub account: AccountId,
    /// Its number.
    pub order: OrderNumber,
}

/// A grant's orders in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentGrant {
    /// The segment.
    pub segment: SegmentId,
    /// The account.
    pub account: AccountId,
    /// The grant.
    pub grant: GrantNumber,
}

/// An account in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentAccount {
    /// The segment.
    pub segment: SegmentId,
    /// The account.
    pub account: AccountId,
}

/// A withdrawal of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentWithdrawal {
    /// The segment that pays.
    pub segment: SegmentId,
    /// The withdrawal.
    pub withdrawal: WithdrawalNumber,
}

/// A transfer, named by its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentTransfer {
    /// The segment that pays.
    pub from: SegmentId,
    /// The segment that receives.
    pub to: SegmentId,
    /// The transfer's number in its source.
    pub transfer: TransferNumber,
}

impl SystemWork {
    /// The segment whose tables the work writes; none for work on accounts alone.
    #[must_use]
    pub const fn segment(&self) -> Option<SegmentId> {
        let segment = match self {
            Self::ChangeGuardians(_) => return None,
            Self::ExpireOrder(order) => order.segment,
            Self::ExpireGrantOrders(grant) | Self::CancelGrantOrders(grant) | Self::LowerGrantLoss(grant) => {
                grant.segment
            }
            Self::FireDeadMan(account)
            | Self::CreditDeposits(account)
            | Self::Liquidate(account)
            | Self::RecallWithdrawals(account) => account.segment,
            Self::AggregatePrice(feed) => feed.segment,
            Self::MoveMark(market) | Self::SettleFunding(market) | Self::MoveRegime(market) => market.segment,
            Self::MoveBreaker(segment) | Self::RepayDeficit(segment) | Self::MoveConduct(segment) => *segment,
            Self::CarryOutProposal(proposal) | Self::ExpireProposal(proposal) => proposal.segment,
            Self::ReleaseWithdrawal(withdrawal) => withdrawal.segment,
            Self::HoldBack(held) => held.segment,
            Self::GiveBack(waiting) => waiting.segment,
            Self::ReleaseTransfer(transfer) => transfer.from,
            Self::ArriveTransfer(transfer) => transfer.to,
        };
        Some(segment)
    }
}
