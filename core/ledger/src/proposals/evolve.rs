//! How events of proposals change a segment.

use casemate_protocol::{BoundedVec, DurationMs, Event};

use crate::segment::{Proposal, Segment, TotalField};

/// Applies an event of a proposal.
pub(crate) fn evolve(segment: &mut Segment, event: &Event) {
    match event {
        Event::ProposalMade(made) => {
            segment.next_number(TotalField::LastProposal);
            let proposal = Proposal {
                proposer: made.proposer,
                change: made.change.clone(),
                expires_ms: made.expires_ms,
                origin: made.origin,
                approvals: BoundedVec::empty(),
                due_waiting_ms: DurationMs::ZERO,
            };
            segment.put_proposal(made.number.number(), Some(proposal));
        }
        Event::ProposalApproved(approved) => {
            let number = approved.number.number();
            let Some(clearing) = segment.clearing() else { return };
            let Some(mut proposal) = clearing.proposals.get(&number).cloned() else { return };
            let mut approvals = proposal.approvals.into_vec();
            approvals.push(approved.operator);
            proposal.approvals = BoundedVec::new(approvals).unwrap_or_default();
            proposal.due_waiting_ms = approved.due_waiting_ms;
            segment.put_proposal(number, Some(proposal));
        }
        Event::ProposalEnded(ended) => segment.put_proposal(ended.number.number(), None),
        _ => {}
    }
}
