//! `Propose` and `Approve`: officers decide what no trigger may.

use casemate_protocol::clearing::ProposalRules;
use casemate_protocol::command::{Approve, Change, LeaveBreaker, Propose, SegmentProposal, SystemWork};
use casemate_protocol::event::{ProposalApproved, ProposalEnded, ProposalMade, ProposalOutcome};
use casemate_protocol::genesis::PrincipalKind;
use casemate_protocol::limits::PROPOSALS_OPEN_MAX;
use casemate_protocol::{BreakerState, DurationMs, Event, OperatorId, ProposalNumber, Reject, RejectCode};

use super::{machine, moved};
use crate::context::BlockContext;
use crate::market::Work;
use crate::segment::{Proposal, Segment};

/// The officer who acts, and the rules of officers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Officer {
    pub(crate) kind: PrincipalKind,
    pub(crate) operator: OperatorId,
    /// Distinct operators that must approve what risk officers decide.
    pub(crate) risk_officer_quorum: u16,
    /// Distinct operators that must approve what governors decide.
    pub(crate) governor_quorum: u16,
    pub(crate) rules: ProposalRules,
}

/// Makes a proposal, which counts as its proposer's approval.
///
/// # Errors
/// `NotAnOfficer`, `GovernorRequired`, `OldValueDiffers`, `ChangeNotAllowed`, `ProposalLifeNotAllowed`, `ProposalsMax`.
pub(crate) fn propose(work: &mut Work<'_>, command: &Propose, officer: &Officer) -> Result<(), Reject> {
    let Change::LeaveBreaker(leave) = command.change;
    require_competent(officer, &leave, work)?;
    let state = work.segment.breaker_state();
    if leave.from != state {
        return Err(numbers(RejectCode::OldValueDiffers, state, leave.from));
    }
    if leave.to >= leave.from {
        return Err(numbers(RejectCode::ChangeNotAllowed, leave.from, leave.to));
    }
    let life_ms = command.expires_ms.since(work.block().time_ms);
    if life_ms.is_zero() || life_ms > officer.rules.life_ms_max {
        return Err(Reject::of(RejectCode::ProposalLifeNotAllowed)
            .required(officer.rules.life_ms_max.ms())
            .present(life_ms.ms()));
    }
    // Each operator has room of its own: nobody can fill that of others, least of all that of those who end a halt.
    let open = open_of(work.segment, officer.operator);
    if open >= PROPOSALS_OPEN_MAX {
        return Err(Reject::of(RejectCode::ProposalsMax)
            .required(u64::try_from(PROPOSALS_OPEN_MAX).unwrap_or(u64::MAX))
            .present(u64::try_from(open).unwrap_or(u64::MAX)));
    }
    let number = ProposalNumber::new(work.segment.totals.last_proposal).next();
    work.emit(Event::ProposalMade(ProposalMade {
        segment: work.segment.id(),
        number,
        proposer: work.context.account,
        change: command.change,
        expires_ms: command.expires_ms,
        origin: work.context.record,
    }));
    count_approval(work, number, officer, &leave, 0);
    Ok(())
}

/// Approves a proposal. INVARIANT(B3): an operator counts once, however many keys it has.
///
/// # Errors
/// `ProposalNotFound`, `NotAnOfficer`, `GovernorRequired`, `AlreadyApproved`.
pub(crate) fn approve(work: &mut Work<'_>, command: &Approve, officer: &Officer) -> Result<(), Reject> {
    let missing = Reject::of(RejectCode::ProposalNotFound).present(command.number.number());
    let proposal = proposal(work.segment, command.number).ok_or(missing)?;
    let Change::LeaveBreaker(leave) = proposal.change;
    require_competent(officer, &leave, work)?;
    if proposal.expires_ms <= work.block().time_ms {
        return Err(missing);
    }
    if proposal.approvals.iter().any(|operator| *operator == officer.operator) {
        return Err(Reject::of(RejectCode::AlreadyApproved).present(u64::from(officer.operator.number())));
    }
    let before = proposal.approvals.len();
    // Approvals beyond the quorum do not start the delay anew.
    if proposal.due_waiting_ms.is_zero() {
        count_approval(work, command.number, officer, &leave, before);
    }
    Ok(())
}

fn count_approval(work: &mut Work<'_>, number: ProposalNumber, officer: &Officer, leave: &LeaveBreaker, before: usize) {
    let quorum =
        usize::from(if needs_governors(leave) { officer.governor_quorum } else { officer.risk_officer_quorum });
    let is_complete = before.saturating_add(1) >= quorum;
    let due = work.block().waiting_ms.saturating_add(officer.rules.delay_ms);
    work.emit(Event::ProposalApproved(ProposalApproved {
        segment: work.segment.id(),
        number,
        operator: officer.operator,
        due_waiting_ms: if is_complete { due } else { DurationMs::ZERO },
    }));
}

/// Leaving Halted is for governors, everything else for risk officers: one set never stands for the other.
fn needs_governors(leave: &LeaveBreaker) -> bool {
    leave.from == BreakerState::Halted
}

fn require_competent(officer: &Officer, leave: &LeaveBreaker, work: &Work<'_>) -> Result<(), Reject> {
    match (officer.kind, needs_governors(leave)) {
        (PrincipalKind::Governor, true) | (PrincipalKind::RiskOfficer, false) => Ok(()),
        (PrincipalKind::RiskOfficer, true) => {
            Err(Reject::of(RejectCode::GovernorRequired).present(u64::from(leave.from.number())))
        }
        _ => Err(Reject::of(RejectCode::NotAnOfficer).present(work.context.account.number())),
    }
}

fn numbers(code: RejectCode, required: BreakerState, present: BreakerState) -> Reject {
    Reject::of(code).required(u64::from(required.number())).present(u64::from(present.number()))
}

/// Open proposals that an operator made: its approval is their first.
fn open_of(segment: &Segment, operator: OperatorId) -> usize {
    let is_own = |proposal: &&Proposal| proposal.approvals.as_slice().first() == Some(&operator);
    segment.clearing().map_or(0, |clearing| clearing.proposals.values().filter(is_own).count())
}

fn proposal(segment: &Segment, number: ProposalNumber) -> Option<&Proposal> {
    segment.clearing()?.proposals.get(&number.number())
}

/// Proposals whose time is over, and the first whose approvals and delay are complete and that can be carried out: it ends
/// all others.
pub(crate) fn due_proposals<'a>(
    segment: &'a Segment,
    block: &'a BlockContext,
) -> impl Iterator<Item = SystemWork> + 'a {
    let named = |number: &u64| SegmentProposal { segment: segment.id(), proposal: ProposalNumber::new(*number) };
    let all = segment.clearing().map(|clearing| clearing.proposals.iter());
    let (expired, open): (Vec<_>, Vec<_>) =
        all.into_iter().flatten().partition(|(_, proposal)| proposal.expires_ms <= block.time_ms);
    let due = open.into_iter().find(|(_, proposal)| decided(segment, proposal, block).is_some());
    let expired = expired.into_iter().map(move |(number, _)| SystemWork::ExpireProposal(named(number)));
    expired.chain(due.map(|(number, _)| SystemWork::CarryOutProposal(named(number))))
}

/// The move of a proposal that can be carried out now.
fn decided(segment: &Segment, proposal: &Proposal, block: &BlockContext) -> Option<machine::Move> {
    let clearing = segment.clearing()?;
    let is_due = !proposal.due_waiting_ms.is_zero() && proposal.due_waiting_ms <= block.waiting_ms;
    let Change::LeaveBreaker(leave) = proposal.change;
    if !is_due || segment.breaker_state() != leave.from {
        return None;
    }
    machine::decide(&clearing.facts.breaker, leave.to, &clearing.rules.breakers, block.waiting_ms)
}

/// `System`: carries a proposal out.
///
/// # Errors
/// `ProposalNotFound`.
pub(crate) fn carry_out(work: &mut Work<'_>, number: ProposalNumber) -> Result<(), Reject> {
    let missing = Reject::of(RejectCode::ProposalNotFound).present(number.number());
    let named = proposal(work.segment, number).ok_or(missing)?;
    let change = decided(work.segment, named, work.block()).ok_or(missing)?;
    let segment = work.segment.id();
    work.emit(moved(segment, &change));
    work.emit(Event::ProposalEnded(ProposalEnded { segment, number, outcome: ProposalOutcome::CarriedOut }));
    end_superseded(work);
    Ok(())
}

/// Ends what was proposed for a state that has been left. INVARIANT(B4): at once, so that no approval of what was then
/// outlives it and is carried out when the state comes back.
pub(super) fn end_superseded(work: &mut Work<'_>) {
    let (segment, state) = (work.segment.id(), work.segment.breaker_state());
    let proposals = work.segment.clearing().map(|clearing| clearing.proposals.iter()).into_iter().flatten();
    let is_over = |proposal: &Proposal| {
        let Change::LeaveBreaker(leave) = proposal.change;
        leave.from != state
    };
    let over: Vec<u64> = proposals.filter(|(_, proposal)| is_over(proposal)).map(|(number, _)| *number).collect();
    for number in over.into_iter().map(ProposalNumber::new) {
        work.emit(Event::ProposalEnded(ProposalEnded { segment, number, outcome: ProposalOutcome::Superseded }));
    }
}

/// `System`: ends a proposal whose time is over.
pub(crate) fn expire(work: &mut Work<'_>, number: ProposalNumber) {
    let segment = work.segment.id();
    work.emit(Event::ProposalEnded(ProposalEnded { segment, number, outcome: ProposalOutcome::Expired }));
}
