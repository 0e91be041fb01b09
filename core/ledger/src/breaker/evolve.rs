//! How events of breakers and proposals change a segment.

use casemate_protocol::event::BreakerMoved;
use casemate_protocol::{BoundedVec, BreakerState, DurationMs, Event};

use super::machine::Move;
use super::signals::signals;
use crate::context::BlockContext;
use crate::segment::{Proposal, Segment, TotalField};

/// Applies an event of a breaker or of a proposal.
pub(crate) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    match event {
        Event::BreakerMoved(moved) => breaker_moved(segment, block, moved),
        Event::ProposalMade(made) => {
            segment.next_number(TotalField::LastProposal);
            let proposal = Proposal {
                proposer: made.proposer,
                change: made.change,
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

fn breaker_moved(segment: &mut Segment, block: &BlockContext, moved: &BreakerMoved) {
    segment.change_clearing(|facts, rules| {
        let change = Move {
            from: moved.from,
            to: moved.to,
            cause: moved.cause,
            market: moved.market,
            figure: moved.figure,
            cooldown_until_ms: moved.cooldown_until_ms,
        };
        facts.breaker.apply(&change, &rules.breakers, block.waiting_ms);
    });
    note_clear(segment, block);
}

/// Keeps since when the clear tests hold, after something that they look at has changed.
pub(crate) fn note_clear(segment: &mut Segment, block: &BlockContext) {
    let is_tight = segment.clearing().is_some_and(|clearing| clearing.facts.breaker.state != BreakerState::Normal);
    // A breaker that is Normal has nothing to leave.
    if !is_tight {
        return;
    }
    let Some(figures) = signals(segment, block) else { return };
    segment.change_clearing(|facts, rules| facts.breaker.note_clear(&figures, &rules.breakers, block.waiting_ms));
}
