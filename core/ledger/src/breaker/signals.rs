//! The figures that a breaker is judged by, measured.

use casemate_protocol::{FineTicks, MarketId, QuoteMicros};

use super::machine::{Figure, Signals, Trigger};
use crate::context::BlockContext;
use crate::liquidation::DRAW_WINDOW;
use crate::segment::{Clearing, Margin, Segment};

/// The figures of a segment now; none if it has no breaker.
pub(crate) fn signals(segment: &Segment, block: &BlockContext) -> Option<Signals> {
    let clearing = segment.clearing()?;
    let mut signals = Signals::default();
    for market in segment.markets() {
        let Some(margin) = market.margin().filter(|margin| !margin.pricing.mark.is_zero()) else { continue };
        observe_market(&mut signals, clearing, margin, market.rules.id, block);
    }
    let of_segment = |ppm| Figure { ppm, market: MarketId::NONE };
    let drawn = u128::try_from(clearing.facts.insurance_drawn.left(block.waiting_ms, DRAW_WINDOW)).unwrap_or(0);
    let fund = u128::try_from(segment.totals.insurance).unwrap_or(0);
    // Below the floor it is no damage: a young fund would trip over its first payment.
    let floor = u128::try_from(clearing.rules.breakers.deficit_floor.micros()).unwrap_or(0);
    let draw_ppm = if drawn > floor { share_ppm(drawn, fund.saturating_add(drawn)) } else { 0 };
    signals.observe(Trigger::InsuranceDraw, of_segment(draw_ppm));
    let used = segment.limiter.used_ppm(&segment.rules, segment.totals.vault());
    signals.observe(Trigger::Outflow, of_segment(used));
    let deficit = i64::try_from(segment.totals.uncovered).unwrap_or(i64::MAX);
    signals.deficit = QuoteMicros::from_micros(deficit);
    Some(signals)
}

fn observe_market(signals: &mut Signals, clearing: &Clearing, margin: &Margin, market: MarketId, block: &BlockContext) {
    let pricing = &margin.pricing;
    let figure = |ppm| Figure { ppm, market };
    // What is published counts, not what the cap lets through: the cap must not hide a move from the breaker.
    signals.observe(Trigger::PriceMove, figure(distance_ppm(pricing.published, pricing.index_mean)));
    let basis = distance_ppm(pricing.mark, pricing.index);
    let held_back = distance_ppm(pricing.published, pricing.index);
    signals.observe(Trigger::Divergence, figure(basis.max(held_back)));
    if let Some(feed) = clearing.feeds.get(margin.feed) {
        let age_ms = block.time_ms.since(feed.facts.source_ms).ms();
        let limit_ms = feed.rules.liquidate_age_ms_max.ms();
        signals.observe(Trigger::PriceAge, figure(share_ppm(age_ms.into(), limit_ms.into())));
    }
}

/// Distance of a price from another, as a share of the latter, rounded up.
fn distance_ppm(price: FineTicks, from: FineTicks) -> u64 {
    share_ppm(price.fine().abs_diff(from.fine()).into(), from.fine().into())
}

fn share_ppm(part: u128, whole: u128) -> u64 {
    if part == 0 {
        return 0;
    }
    let ppm = part.saturating_mul(1_000_000).div_ceil(whole.max(1));
    u64::try_from(ppm).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use casemate_protocol::testing::examples;
    use casemate_protocol::{DurationMs, Height, TimeMs};

    use super::*;
    use crate::segment::TotalField;

    /// The draw, with a fund of 50,000 quote left after so much was paid out of it.
    fn draw_after(paid: QuoteMicros) -> u64 {
        let mut segment = Segment::new(&examples::segment(2), &examples::genesis());
        let waiting_ms = DurationMs::from_ms(1_000);
        segment.add_total(TotalField::Insurance, 50_000_000_000);
        segment.change_clearing(|facts, _| facts.insurance_drawn.add(paid.micros(), waiting_ms, DRAW_WINDOW));
        let block =
            BlockContext { height: Height::new(1), time_ms: TimeMs::from_ms(1), step_ms: waiting_ms, waiting_ms };
        signals(&segment, &block).unwrap().insurance_draw.ppm
    }

    #[test]
    fn what_insurance_pays_up_to_the_floor_is_no_draw_and_beyond_it_all_of_it_is() {
        let floor = examples::genesis().clearing.as_slice().first().unwrap().breakers.deficit_floor;
        assert_eq!(floor, QuoteMicros::from_micros(10_000_000_000));
        assert_eq!(draw_after(floor), 0);
        assert_eq!(draw_after(floor.saturating_add(QuoteMicros::from_micros(1))), 166_667);
    }
}
