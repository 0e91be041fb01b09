//! How events of breakers change a segment.

use casemate_protocol::event::BreakerMoved;
use casemate_protocol::{BreakerState, Event};

use super::machine::Move;
use super::signals::signals;
use crate::context::BlockContext;
use crate::segment::Segment;

/// Applies an event of a breaker.
pub(crate) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    if let Event::BreakerMoved(moved) = event {
        breaker_moved(segment, block, moved);
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
