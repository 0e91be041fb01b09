//! Proposals: officers decide what no trigger may and no single key can.
//!
//! Owns:        the proposals of a segment (written through its primitives); those about the venue live in the first one.
//!              Reads: breakers, the policy in force, genesis.
//! Commands:    `Propose`, `Approve`, and the `System` work that carries out or ends proposals.
//!              Events: `ProposalMade`, `ProposalApproved`, `ProposalEnded`; those of what is carried out.
//! Invariants:  B3 an operator counts once. B4 a proposal ends with the value that it names as the old one. B5 one set of officers
//!              never stands for the other.
//! Not here:    what a change does (`breaker`, `policy`); who officers are (genesis).

mod change;
mod evolve;

use casemate_protocol::clearing::ProposalRules;
use casemate_protocol::command::{Approve, Change, Propose, SegmentProposal, SystemWork};
use casemate_protocol::event::{PolicyAdopted, ProposalApproved, ProposalEnded, ProposalMade, ProposalOutcome};
use casemate_protocol::genesis::PrincipalKind;
use casemate_protocol::limits::PROPOSALS_OPEN_MAX;
use casemate_protocol::policy::{ChangeClass, PolicyStamp};
use casemate_protocol::{DurationMs, Event, OperatorId, PolicyEpoch, ProposalNumber, Reject, RejectCode};

use crate::breaker;
use crate::context::BlockContext;
use crate::market::Work;
use crate::segment::{Proposal, Segment};
use change::Decided;
pub(crate) use evolve::evolve;

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
    /// Of the policy in force.
    pub(crate) policy_epoch: PolicyEpoch,
}

/// A policy that was compiled for a proposal, and what it comes to. None if it must not come into force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adopting {
    pub(crate) policy: PolicyStamp,
    pub(crate) class: ChangeClass,
}

/// Makes a proposal, which counts as its proposer's approval.
///
/// # Errors
/// `NotAnOfficer`, `GovernorRequired`, `GovernorsLoosen`, `RiskOfficersTighten`, `VenueChangeElsewhere`, `OldValueDiffers`,
/// `ChangeNotAllowed`, `ProposalLifeNotAllowed`, `ProposalsMax`.
pub(crate) fn propose(work: &mut Work<'_>, command: &Propose, officer: &Officer) -> Result<(), Reject> {
    change::require_competent(officer, &command.change, work.context.account)?;
    change::require_proposable(&command.change, work, officer.policy_epoch)?;
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
        change: command.change.clone(),
        expires_ms: command.expires_ms,
        origin: work.context.record,
    }));
    count_approval(work, number, officer, &command.change, 0);
    Ok(())
}

/// Approves a proposal. INVARIANT(B3): an operator counts once, however many keys it has.
///
/// # Errors
/// `ProposalNotFound`, `NotAnOfficer`, `GovernorRequired`, `GovernorsLoosen`, `RiskOfficersTighten`, `AlreadyApproved`.
pub(crate) fn approve(work: &mut Work<'_>, command: &Approve, officer: &Officer) -> Result<(), Reject> {
    let missing = Reject::of(RejectCode::ProposalNotFound).present(command.number.number());
    let proposal = proposal(work.segment, command.number).ok_or(missing)?;
    change::require_competent(officer, &proposal.change, work.context.account)?;
    if proposal.expires_ms <= work.block().time_ms {
        return Err(missing);
    }
    if proposal.approvals.iter().any(|operator| *operator == officer.operator) {
        return Err(Reject::of(RejectCode::AlreadyApproved).present(u64::from(officer.operator.number())));
    }
    let before = proposal.approvals.len();
    // Approvals beyond the quorum do not start the delay anew.
    if proposal.due_waiting_ms.is_zero() {
        let change = proposal.change.clone();
        count_approval(work, command.number, officer, &change, before);
    }
    Ok(())
}

fn count_approval(work: &mut Work<'_>, number: ProposalNumber, officer: &Officer, change: &Change, before: usize) {
    let quorum = match change::office_of(change) {
        PrincipalKind::Governor => officer.governor_quorum,
        _ => officer.risk_officer_quorum,
    };
    let is_complete = before.saturating_add(1) >= usize::from(quorum);
    let due = work.block().waiting_ms.saturating_add(change::delay_ms(change, &officer.rules));
    work.emit(Event::ProposalApproved(ProposalApproved {
        segment: work.segment.id(),
        number,
        operator: officer.operator,
        due_waiting_ms: if is_complete { due } else { DurationMs::ZERO },
    }));
}

/// Open proposals that an operator made: its approval is their first.
fn open_of(segment: &Segment, operator: OperatorId) -> usize {
    let is_own = |proposal: &&Proposal| proposal.approvals.as_slice().first() == Some(&operator);
    segment.clearing().map_or(0, |clearing| clearing.proposals.values().filter(is_own).count())
}

pub(crate) fn proposal(segment: &Segment, number: ProposalNumber) -> Option<&Proposal> {
    segment.clearing()?.proposals.get(&number.number())
}

/// Proposals whose time is over, and the first whose approvals and delay are complete and that can be carried out: it ends
/// all others about the same.
pub(crate) fn due_proposals<'a>(
    segment: &'a Segment,
    block: &'a BlockContext,
) -> impl Iterator<Item = SystemWork> + 'a {
    let named = |number: &u64| SegmentProposal { segment: segment.id(), proposal: ProposalNumber::new(*number) };
    let all = segment.clearing().map(|clearing| clearing.proposals.iter());
    let (expired, open): (Vec<_>, Vec<_>) =
        all.into_iter().flatten().partition(|(_, proposal)| change::is_over(proposal, block));
    let due = open.into_iter().find(|(_, proposal)| change::decided(segment, proposal, block).is_some());
    let expired = expired.into_iter().map(move |(number, _)| SystemWork::ExpireProposal(named(number)));
    expired.chain(due.map(|(number, _)| SystemWork::CarryOutProposal(named(number))))
}

/// `System`: carries a proposal out; one about policies with what its set compiled into.
///
/// # Errors
/// `ProposalNotFound`.
pub(crate) fn carry_out(work: &mut Work<'_>, number: ProposalNumber, adopting: Option<Adopting>) -> Result<(), Reject> {
    let missing = Reject::of(RejectCode::ProposalNotFound).present(number.number());
    let named = proposal(work.segment, number).ok_or(missing)?;
    let segment = work.segment.id();
    let mut outcome = ProposalOutcome::CarriedOut;
    match (change::decided(work.segment, named, work.block()).ok_or(missing)?, adopting) {
        (Decided::Breaker(change), _) => work.emit(breaker::moved(segment, &change)),
        (Decided::Policies, Some(Adopting { policy, class })) => {
            work.emit(Event::PolicyAdopted(Box::new(PolicyAdopted { segment, proposal: number, policy, class })));
        }
        (Decided::Policies, None) => outcome = ProposalOutcome::Failed,
    }
    work.emit(Event::ProposalEnded(ProposalEnded { segment, number, outcome }));
    end_superseded(work, adopting.map(|adopting| adopting.policy.epoch));
    Ok(())
}

/// Ends what was proposed for a state of the breaker that has been left, or for policies that were in force before those of
/// an epoch. INVARIANT(B4): at once, so that no approval of what was then outlives it and is carried out when the state comes
/// back.
pub(crate) fn end_superseded(work: &mut Work<'_>, adopted: Option<PolicyEpoch>) {
    let segment = work.segment.id();
    let proposals = work.segment.clearing().map(|clearing| clearing.proposals.iter()).into_iter().flatten();
    let is_over = |proposal: &Proposal| change::is_superseded(&proposal.change, work.segment, adopted);
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
