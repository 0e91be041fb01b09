//! What each kind of change asks: who decides it, how long it waits, when it can be carried out, and when it is over.

use casemate_protocol::clearing::ProposalRules;
use casemate_protocol::command::{AdoptPolicies, Change, LeaveBreaker};
use casemate_protocol::genesis::PrincipalKind;
use casemate_protocol::limits::{POLICY_LOOSENING_DELAY_MS_MIN, POLICY_TIGHTENING_DELAY_MS_MIN};
use casemate_protocol::{AccountId, BreakerState, DurationMs, PolicyEpoch, Reject, RejectCode};

use super::Officer;
use crate::breaker::machine::{self, Move};
use crate::context::BlockContext;
use crate::ledger::VENUE_SEGMENT;
use crate::market::Work;
use crate::segment::{Proposal, Segment};

/// What can be carried out now.
pub(super) enum Decided {
    /// A move of the segment's breaker.
    Breaker(Move),
    /// A set of policies, if it turns out as proposed.
    Policies,
}

/// Whose quorum decides. INVARIANT(B5): leaving Halted and loosening policies is for governors, everything else for risk officers.
pub(super) fn office_of(change: &Change) -> PrincipalKind {
    match change {
        Change::LeaveBreaker(leave) if leave.from == BreakerState::Halted => PrincipalKind::Governor,
        Change::AdoptPolicies(adopt) if !adopt.is_tightening => PrincipalKind::Governor,
        Change::LeaveBreaker(_) | Change::AdoptPolicies(_) => PrincipalKind::RiskOfficer,
    }
}

/// What waits between the last approval that is needed and the change.
pub(super) fn delay_ms(change: &Change, rules: &ProposalRules) -> DurationMs {
    let least = match change {
        Change::LeaveBreaker(_) => 0,
        Change::AdoptPolicies(adopt) if adopt.is_tightening => POLICY_TIGHTENING_DELAY_MS_MIN,
        Change::AdoptPolicies(_) => POLICY_LOOSENING_DELAY_MS_MIN,
    };
    rules.delay_ms.max(DurationMs::from_ms(least))
}

pub(super) fn require_competent(officer: &Officer, change: &Change, account: AccountId) -> Result<(), Reject> {
    let asked = office_of(change);
    if officer.kind == asked {
        return Ok(());
    }
    let is_officer = matches!(officer.kind, PrincipalKind::RiskOfficer | PrincipalKind::Governor);
    Err(match change {
        Change::AdoptPolicies(adopt) if is_officer && adopt.is_tightening => {
            Reject::of(RejectCode::RiskOfficersTighten)
        }
        Change::AdoptPolicies(_) if is_officer => Reject::of(RejectCode::GovernorsLoosen),
        Change::LeaveBreaker(leave) if officer.kind == PrincipalKind::RiskOfficer => {
            Reject::of(RejectCode::GovernorRequired).present(u64::from(leave.from.number()))
        }
        Change::LeaveBreaker(_) | Change::AdoptPolicies(_) => {
            Reject::of(RejectCode::NotAnOfficer).present(account.number())
        }
    })
}

/// Whether the change is about what is there, names its value as the old one, and leads where a proposal may lead.
pub(super) fn require_proposable(change: &Change, work: &Work<'_>, epoch: PolicyEpoch) -> Result<(), Reject> {
    match change {
        Change::LeaveBreaker(leave) => require_leavable(*leave, work.segment.breaker_state()),
        Change::AdoptPolicies(adopt) => {
            let segment = work.segment.id();
            if segment != VENUE_SEGMENT {
                return Err(Reject::of(RejectCode::VenueChangeElsewhere)
                    .required(u64::from(VENUE_SEGMENT.number()))
                    .present(u64::from(segment.number())));
            }
            if work.segment.clearing().is_none() {
                // Full collateral: a segment without officers.
                return Err(Reject::of(RejectCode::NotAnOfficer).present(work.context.account.number()));
            }
            require_old_epoch(adopt, epoch)
        }
    }
}

fn require_leavable(leave: LeaveBreaker, state: BreakerState) -> Result<(), Reject> {
    let numbers = |code: RejectCode, required: BreakerState, present: BreakerState| {
        Reject::of(code).required(u64::from(required.number())).present(u64::from(present.number()))
    };
    if leave.from != state {
        return Err(numbers(RejectCode::OldValueDiffers, state, leave.from));
    }
    if leave.to >= leave.from {
        return Err(numbers(RejectCode::ChangeNotAllowed, leave.from, leave.to));
    }
    Ok(())
}

fn require_old_epoch(adopt: &AdoptPolicies, epoch: PolicyEpoch) -> Result<(), Reject> {
    if adopt.old_epoch == epoch {
        return Ok(());
    }
    Err(Reject::of(RejectCode::OldValueDiffers)
        .required(u64::from(epoch.number()))
        .present(u64::from(adopt.old_epoch.number())))
}

/// Whether its time is over. That of policies bounds voting alone: their delay may be longer than any proposal lives.
pub(super) fn is_over(proposal: &Proposal, block: &BlockContext) -> bool {
    let is_voted = !proposal.due_waiting_ms.is_zero() && matches!(proposal.change, Change::AdoptPolicies(_));
    !is_voted && proposal.expires_ms <= block.time_ms
}

/// What can be carried out now of a proposal.
pub(super) fn decided(segment: &Segment, proposal: &Proposal, block: &BlockContext) -> Option<Decided> {
    let clearing = segment.clearing()?;
    let is_due = !proposal.due_waiting_ms.is_zero() && proposal.due_waiting_ms <= block.waiting_ms;
    if !is_due {
        return None;
    }
    match &proposal.change {
        Change::LeaveBreaker(leave) if segment.breaker_state() == leave.from => {
            let rules = &clearing.rules.breakers;
            machine::decide(&clearing.facts.breaker, leave.to, rules, block.waiting_ms).map(Decided::Breaker)
        }
        Change::LeaveBreaker(_) => None,
        Change::AdoptPolicies(_) => Some(Decided::Policies),
    }
}

/// Whether what it names as the old value is another one by now.
pub(super) fn is_superseded(change: &Change, segment: &Segment, adopted: Option<PolicyEpoch>) -> bool {
    match change {
        Change::LeaveBreaker(leave) => leave.from != segment.breaker_state(),
        Change::AdoptPolicies(adopt) => adopted.is_some_and(|epoch| adopt.old_epoch != epoch),
    }
}
