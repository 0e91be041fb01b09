//! Breakers: a segment that misbehaves is held back before it infects the rest, and let go only by those who may.
//!
//! Owns:        the breaker of a segment (written through its primitives).   Reads: prices, insurance, limiter.
//! Commands:    the `System` work that moves the breaker; what officers decide comes from `proposals`.
//!              Events: `BreakerMoved`.
//! Invariants:  B1 figures only ever tighten; by itself a breaker loosens from Elevated alone. B2 nothing loosens before its
//!              clear tests have held for their time and its cool-down is over.
//! Not here:    what a state forbids (`market`, `funds`, `liquidation`); deciding what no figure may (`proposals`).

mod evolve;
pub mod machine;
mod signals;

use casemate_protocol::command::SystemWork;
use casemate_protocol::event::BreakerMoved;
use casemate_protocol::{Event, SegmentId};

pub(crate) use evolve::{evolve, note_clear};
pub use machine::Breaker;
pub(crate) use signals::signals;

use crate::context::BlockContext;
use crate::market::Work;
use crate::proposals;
use crate::segment::Segment;

/// The move that figures ask for now, if any.
pub(crate) fn due_trip(segment: &Segment, block: &BlockContext) -> Option<SystemWork> {
    let clearing = segment.clearing()?;
    let figures = signals(segment, block)?;
    let rules = &clearing.rules.breakers;
    machine::tighten(&clearing.facts.breaker, &figures, rules, block.waiting_ms)
        .map(|_| SystemWork::MoveBreaker(segment.id()))
}

/// The move by which a breaker lets go by itself, if it may.
pub(crate) fn due_relief(segment: &Segment, block: &BlockContext) -> Option<SystemWork> {
    let clearing = segment.clearing()?;
    machine::relax(&clearing.facts.breaker, &clearing.rules.breakers, block.waiting_ms)
        .map(|_| SystemWork::MoveBreaker(segment.id()))
}

/// `System`: moves the breaker as its figures ask, or lets it go.
pub(crate) fn move_breaker(work: &mut Work<'_>) {
    let Some(clearing) = work.segment.clearing() else { return };
    let Some(figures) = signals(work.segment, work.block()) else { return };
    let (breaker, rules, now) = (&clearing.facts.breaker, &clearing.rules.breakers, work.block().waiting_ms);
    let wanted = machine::tighten(breaker, &figures, rules, now).or_else(|| machine::relax(breaker, rules, now));
    let segment = work.segment.id();
    if let Some(change) = wanted {
        work.emit(moved(segment, &change));
        proposals::end_superseded(work, None);
    }
}

/// The event of a move.
pub(crate) fn moved(segment: SegmentId, change: &machine::Move) -> Event {
    Event::BreakerMoved(BreakerMoved {
        segment,
        from: change.from,
        to: change.to,
        cause: change.cause,
        market: change.market,
        figure: change.figure,
        cooldown_until_ms: change.cooldown_until_ms,
    })
}
