//! To which segment a command, an event or a party belongs.

use casemate_protocol::command::CancelScope;
use casemate_protocol::genesis::PrincipalKind;
use casemate_protocol::limits::{ATTESTORS_MAX, AUDITORS_MAX, OFFICERS_MAX, PUBLISHERS_MAX, SEGMENTS_MAX};
use casemate_protocol::{
    AccountId, Command, Event, FeedId, MarketId, OperatorId, Reject, RejectCode, SegmentId, TimeMs,
};

use super::Ledger;
use crate::segment::Segment;
use crate::verified::VerifiedWork;
use crate::{accounts, market};

impl Ledger {
    /// The segment of a market.
    #[must_use]
    pub fn segment_of(&self, market: MarketId) -> Option<SegmentId> {
        self.genesis.market(market).map(|rules| rules.segment)
    }

    fn segment_of_feed(&self, feed: FeedId) -> Option<SegmentId> {
        self.genesis.feed(feed).map(|rules| rules.segment)
    }

    /// The operator behind an attestor's account.
    #[must_use]
    pub fn attestor(&self, account: AccountId) -> Option<OperatorId> {
        let place = usize::try_from(account.number()).ok()?.checked_sub(1)?;
        self.genesis.attestors.as_slice().get(place).map(|attestor| attestor.operator)
    }

    /// What an account is there for, and for which operator, if genesis names it.
    #[must_use]
    pub fn principal(&self, account: AccountId) -> Option<(PrincipalKind, OperatorId)> {
        let place = usize::try_from(account.number()).ok()?.checked_sub(1)?;
        // Almost every account is beyond the last of them.
        if place >= PRINCIPALS_MAX {
            return None;
        }
        self.genesis.principals().nth(place).map(|(kind, principal)| (kind, principal.operator))
    }

    /// The segment that a command writes, where it names one that exists.
    #[must_use]
    pub fn segment_of_command(&self, command: &Command) -> Option<SegmentId> {
        self.named_segment(command).and_then(|named| self.segment(named)).map(Segment::id)
    }

    /// The segment that a command names, directly or by its market, whether it exists or not.
    fn named_segment(&self, command: &Command) -> Option<SegmentId> {
        let named = match command {
            Command::OpenAccount
            | Command::CloseAccount(_)
            | Command::RegisterGrant(_)
            | Command::RevokeGrant(_)
            | Command::AddPayoutAddress(_)
            | Command::RemovePayoutAddress(_)
            | Command::ChangeRootKey(_)
            | Command::CancelRootKeyChange
            | Command::AcceptRootKey
            | Command::SetGuardians(_)
            | Command::CancelGuardianChange
            | Command::VoteAsGuardian(_)
            | Command::CancelRecovery => return None,
            Command::AttestDeposit(claim) => claim.segment,
            Command::RequestWithdrawal(request) => request.segment,
            Command::CancelWithdrawal(cancel) => cancel.segment,
            Command::RequestTransfer(request) => request.from,
            Command::CancelTransfer(cancel) => cancel.segment,
            Command::AddEvidence(added) => added.segment,
            Command::RequestPrincipalExit(request) => request.segment,
            Command::Propose(propose) => propose.segment,
            Command::Approve(approve) => approve.segment,
            Command::SubmitPrice(price) => self.genesis.feed(price.feed)?.segment,
            Command::SetDeadMan(set) => set.segment,
            Command::ContestLink(contest) => contest.segment,
            Command::CancelAllOrders(cancel) => match cancel.scope {
                CancelScope::Segment(segment) => segment,
                CancelScope::Market(market) => self.segment_of(market)?,
            },
            Command::PlaceOrder(_) | Command::AmendOrder(_) | Command::CancelOrder(_) | Command::QuoteLadder(_) => {
                self.segment_of(command.market()?)?
            }
        };
        Some(named)
    }

    pub(crate) fn missing_segment(&self, command: &Command) -> Reject {
        if let Command::SubmitPrice(price) = command {
            return Reject::of(RejectCode::FeedNotFound).present(u64::from(price.feed.number()));
        }
        match command.market() {
            Some(market) => Reject::of(RejectCode::MarketNotFound).present(u64::from(market.number())),
            None => {
                let named = self.named_segment(command).map_or(0, SegmentId::number);
                Reject::of(RejectCode::SegmentNotFound).present(u64::from(named))
            }
        }
    }

    /// Whether a command belongs to the phase of cancels: it takes risk off an order that rested before this block.
    #[must_use]
    pub fn is_early(&self, account: AccountId, command: &Command, time: TimeMs) -> bool {
        let rested_before = |market, reference| {
            let segment = self.segment(self.segment_of(market)?)?;
            let place = segment.market_place(market)?;
            let (_, order) = market::require_own_order(segment, account, place, reference).ok()?;
            (order.rested_ms < time).then_some(order)
        };
        match command {
            Command::CancelOrder(cancel) => rested_before(cancel.market, cancel.order).is_some(),
            Command::AmendOrder(amend) => rested_before(amend.market, amend.order)
                .is_some_and(|order| amend.price == order.price && amend.quantity <= order.remaining),
            _ => false,
        }
    }

    /// The segment that an event changes; none for one that only changes accounts.
    pub(super) fn segment_of_event(&self, event: &Event) -> Option<SegmentId> {
        match event {
            Event::AccountOpened(_)
            | Event::GrantRegistered(_)
            | Event::GrantRevoked(_)
            | Event::PayoutAddressAdded(_)
            | Event::PayoutAddressRemoved(_)
            | Event::RootKeyChangeAnnounced(_)
            | Event::RootKeyChangeCancelled(_)
            | Event::RootKeyChanged(_)
            | Event::GuardianChangeAnnounced(_)
            | Event::GuardianChangeCancelled(_)
            | Event::GuardiansChanged(_)
            | Event::GuardianVoted(_)
            | Event::RecoveryBegun(_)
            | Event::RecoveryCancelled(_)
            | Event::AccountFrozen(_)
            | Event::RecoveryCompleted(_) => None,
            Event::AccountClosed(closed) => Some(closed.segment).filter(|_| closed.bond.is_positive()),
            Event::DepositAttested(attested) => Some(attested.claim.segment),
            Event::DepositAccepted(accepted) => Some(accepted.segment),
            Event::DepositCredited(credited) => Some(credited.segment),
            Event::WithdrawalRequested(requested) => Some(requested.segment),
            Event::WithdrawalCancelled(ended) | Event::WithdrawalReleased(ended) => Some(ended.segment),
            Event::LeavingHeld(held) => Some(held.segment),
            Event::EvidenceAdded(added) => Some(added.segment),
            Event::TransferRequested(requested) => Some(requested.from),
            Event::TransferCancelled(ended) => Some(ended.from),
            Event::TransferReleased(released) => Some(released.from),
            Event::TransferArrived(arrived) => Some(arrived.to),
            Event::OrderRested(rested) => self.segment_of(rested.market),
            Event::OrderRemoved(removed) => self.segment_of(removed.market),
            Event::OrderReduced(reduced) => self.segment_of(reduced.market),
            Event::TradeExecuted(trade) => self.segment_of(trade.market),
            Event::LadderLevelSkipped(skipped) => self.segment_of(skipped.market),
            Event::RemainderDropped(dropped) => self.segment_of(dropped.market),
            Event::DeadManSet(set) => Some(set.segment),
            Event::PrincipalExitRequested(requested) => Some(requested.segment),
            Event::PriceObserved(observed) => self.segment_of_feed(observed.feed),
            Event::PriceAggregated(aggregated) => self.segment_of_feed(aggregated.feed),
            Event::MarkMoved(moved) => self.segment_of(moved.market),
            Event::FundingSettled(settled) => self.segment_of(settled.market),
            Event::RegimeMoved(moved) => self.segment_of(moved.market),
            Event::LiquidationStepped(stepped) => Some(stepped.segment),
            Event::LiquidationSliced(sliced) => self.segment_of(sliced.market),
            Event::PositionPassed(passed) => self.segment_of(passed.market),
            Event::InsurancePaid(paid) => Some(paid.segment),
            Event::LossUncovered(loss) => Some(loss.segment),
            Event::DeficitRepaid(repaid) => Some(repaid.segment),
            Event::BreakerMoved(moved) => Some(moved.segment),
            Event::ProposalMade(made) => Some(made.segment),
            Event::ProposalApproved(approved) => Some(approved.segment),
            Event::ProposalEnded(ended) => Some(ended.segment),
            Event::GrantLossLowered(lowered) => Some(lowered.segment),
            Event::PolicyAdopted(adopted) => Some(adopted.segment),
            Event::ConductAlerted(alerted) => Some(alerted.segment),
            Event::ConductBandMoved(moved) => Some(moved.segment),
            Event::LinksContested(contested) => Some(contested.segment),
            Event::GrantWatched(watched) | Event::GrantUnwatched(watched) => Some(watched.segment),
        }
    }

    /// The segment whose tables the work writes, if it writes any.
    #[must_use]
    pub fn target(&self, work: &VerifiedWork<'_>) -> Option<SegmentId> {
        match work {
            VerifiedWork::System(command) => command.work.segment(),
            VerifiedWork::Account { account, key, command, .. } => match command {
                Command::OpenAccount => {
                    accounts::opening_deposit(&self.accounts, &self.segments, &self.genesis.accounts, *key).ok()
                }
                Command::CloseAccount(_) => self.accounts.account(*account).map(|row| row.bond_segment),
                _ => self.segment_of_command(command),
            },
        }
    }
}

/// More than the parties that any genesis can name.
const PRINCIPALS_MAX: usize = ATTESTORS_MAX + PUBLISHERS_MAX + 2 * OFFICERS_MAX + SEGMENTS_MAX + AUDITORS_MAX;
