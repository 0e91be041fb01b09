//! Regimes: how rough each market is, from what is published and from what rests in its book.
//!
//! Owns:        no table: what it keeps of a market is part of its pricing.   Reads: prices and books.
//! Commands:    the `System` work that moves a regime.            Events: `RegimeMoved`; figures follow `MarkMoved`.
//! Invariants:  G1 a regime rises at once to the roughest that a figure reaches. G2 it falls one step at a time, never before
//!              all figures were below its own levels without a gap, and it had lasted, for the time that the rules say.
//!              G3 figures are a function of what the marks' events say and of when they came.
//! Not here:    what a regime asks for (policy); breakers, which stop things (`breaker`).

mod figures;
mod machine;

use casemate_protocol::command::{SegmentMarket, SystemWork};
use casemate_protocol::event::RegimeMoved;
use casemate_protocol::{Event, MarketId, Regime};

pub use figures::RegimeFacts;
pub(crate) use figures::Sighting;

use crate::context::BlockContext;
use crate::market::Work;
use crate::segment::{Market, Segment};

/// Markets whose regime must move.
pub(crate) fn due_moves<'a>(segment: &'a Segment, block: &'a BlockContext) -> impl Iterator<Item = SystemWork> + 'a {
    let due = segment.markets().iter().filter(|market| due_move(market, block).is_some());
    due.map(|market| SystemWork::MoveRegime(SegmentMarket { segment: segment.id(), market: market.rules.id }))
}

/// `System`: moves a market's regime as its figures ask.
pub(crate) fn move_regime(work: &mut Work<'_>, id: MarketId) {
    let segment = &*work.segment;
    let market = segment.market_place(id).and_then(|place| segment.market(place));
    let Some(event) = market.and_then(|market| due_move(market, work.block())) else { return };
    work.emit(Event::RegimeMoved(event));
}

fn due_move(market: &Market, block: &BlockContext) -> Option<RegimeMoved> {
    let margin = market.margin().filter(|margin| !margin.pricing.mark.is_zero())?;
    let facts = &margin.pricing.regime;
    let change = machine::due(facts, &margin.rules.regime, block.waiting_ms)?;
    Some(RegimeMoved {
        market: market.rules.id,
        from: facts.regime,
        to: change.to,
        cause: change.cause,
        figure_ppm: change.figure_ppm,
    })
}

/// Lets a move take effect.
pub(crate) fn evolve(segment: &mut Segment, block: &BlockContext, moved: &RegimeMoved) {
    let Some(place) = segment.market_place(moved.market) else { return };
    segment.change_pricing(place, |pricing, rules| {
        pricing.regime.enter(moved.to, block.waiting_ms);
        machine::note_clear(&mut pricing.regime, &rules.regime, block.waiting_ms);
    });
    segment.note_worst_regime();
}

impl Segment {
    /// The worst regime of its markets; calm where collateral is full. Kept, because commands ask for it and regimes move
    /// seldom.
    #[must_use]
    pub const fn regime(&self) -> Regime {
        self.worst_regime
    }

    /// Keeps the worst regime of the markets: whenever one moved, and when a move is taken back or read.
    pub(crate) fn note_worst_regime(&mut self) {
        let regimes = self.markets().iter().filter_map(|market| Some(market.margin()?.pricing.regime.regime));
        self.worst_regime = regimes.max().unwrap_or_default();
    }

    /// The regime of one of its markets; calm where collateral is full.
    #[must_use]
    pub fn regime_of(&self, market: MarketId) -> Regime {
        let market = self.market_place(market).and_then(|place| self.market(place));
        market.and_then(Market::margin).map_or(Regime::Calm, |margin| margin.pricing.regime.regime)
    }
}

#[cfg(test)]
mod tests;
