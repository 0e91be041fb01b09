//! How events about prices change a segment.

use casemate_protocol::clearing::FINE_PER_TICK;
use casemate_protocol::event::{FundingSettled, MarkMoved, PriceAggregated, PriceObserved};
use casemate_protocol::units::Round;
use casemate_protocol::{DurationMs, Event, FineTicks, PriceTicks, QuoteMicros};

use super::mark::average_step;
use super::maturing::Maturity;
use crate::breaker;
use crate::context::BlockContext;
use crate::liquidation::slice::budget_step;
use crate::regime::{self, Sighting};
use crate::segment::{DEPTH_SAMPLES, Pricing, Seen, Segment};

/// Applies an event about prices.
pub(crate) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    match event {
        Event::PriceObserved(observed) => price_observed(segment, observed),
        Event::PriceAggregated(aggregated) => price_aggregated(segment, block, aggregated),
        Event::MarkMoved(moved) => mark_moved(segment, block, moved),
        Event::FundingSettled(settled) => funding_settled(segment, settled),
        Event::RegimeMoved(moved) => regime::evolve(segment, block, moved),
        _ => {}
    }
}

fn price_observed(segment: &mut Segment, observed: &PriceObserved) {
    let Some(clearing) = segment.clearing() else { return };
    let Some(feed) = clearing.feed_place(observed.feed) else { return };
    let publishers = clearing.feeds.get(feed).map_or(&[][..], |feed| &feed.publishers);
    let Some(place) = publishers.iter().position(|(account, _)| *account == observed.publisher) else { return };
    segment.change_feed(feed, |facts| {
        facts.is_changed = true;
        if let Some(seen) = facts.seen.as_mut_slice().get_mut(place) {
            *seen = Seen { price: observed.price, confidence: observed.confidence, source_ms: observed.source_ms };
        }
    });
}

fn price_aggregated(segment: &mut Segment, block: &BlockContext, aggregated: &PriceAggregated) {
    let Some(feed) = segment.clearing().and_then(|clearing| clearing.feed_place(aggregated.feed)) else { return };
    segment.change_feed(feed, |facts| {
        facts.published = aggregated.published;
        facts.price = aggregated.price;
        facts.confidence = aggregated.confidence;
        facts.source_ms = aggregated.source_ms;
        facts.operators = aggregated.operators;
        facts.grade = aggregated.grade;
        facts.capped_ms = block.waiting_ms;
        facts.is_changed = false;
    });
    for place in 0..u16::try_from(segment.markets.len()).unwrap_or(u16::MAX) {
        let margin = segment.market(place).and_then(|market| market.margin());
        if margin.is_some_and(|margin| margin.feed == feed && margin.pricing.grade != aggregated.grade) {
            segment.change_pricing(place, |pricing, _| pricing.grade = aggregated.grade);
        }
    }
}

fn mark_moved(segment: &mut Segment, block: &BlockContext, moved: &MarkMoved) {
    let Some(place) = segment.market_place(moved.market) else { return };
    segment.change_pricing(place, |pricing, rules| {
        let step_ms = block.waiting_ms.saturating_sub(pricing.moved_ms);
        let is_first = pricing.mark.is_zero();
        // Nothing was measured before the first.
        let step_ms = if is_first { DurationMs::ZERO } else { step_ms };
        pricing.index = moved.index;
        pricing.published = moved.published;
        pricing.mark = moved.mark;
        pricing.basis = moved.basis;
        pricing.moved_ms = block.waiting_ms;
        pricing.index_mean = if is_first { moved.index } else { mean_step(pricing.index_mean, moved.index, step_ms) };
        let step = i64::try_from(step_ms.ms()).unwrap_or(i64::MAX);
        pricing.premium_sum = pricing.premium_sum.saturating_add(step.saturating_mul(i64::from(moved.premium_ppm)));
        pricing.premium_ms = pricing.premium_ms.saturating_add(step_ms.ms());
        pricing.window.observe(moved.mark, block.waiting_ms, Maturity::of(rules));
        note_depth(pricing, moved.depth, block.waiting_ms);
        let shallow = moved.depth.min(median_depth(pricing));
        pricing.slice_left = shallow.scale(rules.liquidation.depth_share, Round::Down).unwrap_or_default();
        pricing.budget_left = budget_step(pricing.budget_left, step_ms, &rules.liquidation);
        let sighting = Sighting {
            published: moved.published,
            depth: median_depth(pricing),
            spread_ppm: moved.spread_ppm,
            imbalance_ppm: moved.imbalance_ppm,
        };
        pricing.regime.observe(&sighting, step_ms, block.waiting_ms, &rules.regime);
    });
    segment.remember_facts(place);
    if let Some(market) = segment.markets.get_mut(usize::from(place)) {
        let ticks = PriceTicks::from_ticks((moved.mark.fine() / FINE_PER_TICK).max(1));
        let rules = market.rules;
        market.facts.move_reference(&rules, ticks);
    }
    breaker::note_clear(segment, block);
}

/// The average of the index over about five minutes.
fn mean_step(mean: FineTicks, index: FineTicks, step_ms: DurationMs) -> FineTicks {
    let signed = |fine: FineTicks| i64::try_from(fine.fine()).unwrap_or(i64::MAX);
    let next = average_step(signed(mean), Some(signed(index)), step_ms, MEAN_WINDOW);
    FineTicks::from_fine(u64::try_from(next).unwrap_or(0))
}

const MEAN_WINDOW: DurationMs = DurationMs::from_ms(300_000);
const SAMPLE_MS: u64 = 30_000;

/// Keeps the newest depth of each half minute; halves without a move of the mark keep what there was before.
fn note_depth(pricing: &mut Pricing, depth: QuoteMicros, waiting_ms: DurationMs) {
    let slot = waiting_ms.ms() / SAMPLE_MS;
    let samples = u64::try_from(DEPTH_SAMPLES).unwrap_or(1);
    if pricing.depth_slot == 0 || slot.saturating_sub(pricing.depth_slot) >= samples {
        pricing.depth_samples = [depth; DEPTH_SAMPLES];
    }
    pricing.depth_slot = slot.max(1);
    let place = usize::try_from(slot.checked_rem(samples).unwrap_or(0)).unwrap_or(0);
    if let Some(sample) = pricing.depth_samples.get_mut(place) {
        *sample = depth;
    }
}

/// The middle of the last five minutes' depths, the lower one of two.
pub(crate) fn median_depth(pricing: &Pricing) -> QuoteMicros {
    let mut samples = pricing.depth_samples;
    samples.sort_unstable();
    samples.get(DEPTH_SAMPLES.saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn funding_settled(segment: &mut Segment, settled: &FundingSettled) {
    let Some(place) = segment.market_place(settled.market) else { return };
    segment.remember_facts(place);
    if let Some(market) = segment.markets.get_mut(usize::from(place)) {
        market.facts.funding_cumulative = settled.cumulative;
    }
    segment.change_pricing(place, |pricing, _| {
        (pricing.premium_sum, pricing.premium_ms) = (0, 0);
        pricing.funding_next_ms = settled.next_ms;
    });
}
