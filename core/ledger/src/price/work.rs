//! `System` work on prices: one aggregate a feed, then marks and funding.

use casemate_protocol::clearing::{FINE_PER_TICK, fine_ticks};
use casemate_protocol::command::{SegmentFeed, SegmentMarket, Side, SystemWork};
use casemate_protocol::event::{FundingSettled, MarkMoved, PriceAggregated};
use casemate_protocol::units::{Round, notional, price_moved};
use casemate_protocol::{
    DurationMs, Event, FeedId, FineTicks, MarketId, PriceTicks, PriceUse, QuoteMicros, TickValueMicros,
};

use super::aggregate::{Median, Observation, Standing, cap_move, grade, median};
use super::mark::{average_step, funding_per_lot, mark, premium_ppm};
use crate::context::BlockContext;
use crate::market::Work;
use crate::segment::{Feed, Margin, Market, RestingOrder, Segment, next_boundary};

/// Feeds whose price must be put together anew: something was published, or what there is has aged, or the cap holds the
/// price back and lets it move on.
pub(crate) fn due_aggregates<'a>(
    segment: &'a Segment,
    block: &'a BlockContext,
) -> impl Iterator<Item = SystemWork> + 'a {
    let feeds = segment.clearing().map_or(&[][..], |clearing| &clearing.feeds);
    let due = feeds.iter().filter(|feed| is_due(feed, block));
    due.map(|feed| SystemWork::AggregatePrice(SegmentFeed { segment: segment.id(), feed: feed.rules.id }))
}

fn is_due(feed: &Feed, block: &BlockContext) -> bool {
    if feed.facts.is_changed {
        return true;
    }
    if feed.facts.source_ms.is_zero() {
        return false;
    }
    let catches_up = feed.facts.price != feed.facts.published
        && block.waiting_ms.saturating_sub(feed.facts.capped_ms).ms() >= CATCH_UP_MS;
    catches_up || assess(feed, block).grade != feed.facts.grade
}

/// How often a price that the cap holds back moves on when nothing new is published.
const CATCH_UP_MS: u64 = 100;

/// Puts a feed's price together.
pub(crate) fn aggregate_price(work: &mut Work<'_>, id: FeedId) {
    let feed = work.segment.clearing().and_then(|clearing| clearing.feeds.get(clearing.feed_place(id)?));
    let Some(event) = feed.map(|feed| assess(feed, &work.context.block)) else { return };
    work.emit(Event::PriceAggregated(event));
}

/// What a feed's price is now.
fn assess(feed: &Feed, block: &BlockContext) -> PriceAggregated {
    let (rules, facts) = (&feed.rules, &feed.facts);
    let observations = feed.publishers.iter().zip(&facts.seen).map(|((_, operator), seen)| Observation {
        operator: *operator,
        price: seen.price,
        confidence: seen.confidence,
        source_ms: seen.source_ms,
    });
    let now = median(observations, block.time_ms, rules.observation_age_ms_max, rules.operators_min);
    let had_one = !facts.source_ms.is_zero();
    let last = now.or(had_one.then_some(Median {
        price: facts.published,
        confidence: facts.confidence,
        source_ms: facts.source_ms,
        operators: facts.operators,
    }));
    let wanted = last.map_or(facts.published, |median| median.price);
    let saved_ms = block.waiting_ms.saturating_sub(facts.capped_ms);
    let moved = cap_move(facts.price, wanted, rules.move_per_second_max, saved_ms);
    let standing = last.map(|last| Standing { last, is_current: now.is_some(), is_clamped: moved.is_clamped });
    PriceAggregated {
        feed: rules.id,
        published: wanted,
        price: moved.price,
        confidence: last.map_or(facts.confidence, |median| median.confidence),
        source_ms: last.map_or(facts.source_ms, |median| median.source_ms),
        operators: now.map_or(0, |median| median.operators),
        grade: grade(standing.as_ref(), block.time_ms, rules),
    }
}

/// Markets whose mark must move: the index did, or a second has passed.
pub(crate) fn due_marks<'a>(segment: &'a Segment, block: &'a BlockContext) -> impl Iterator<Item = SystemWork> + 'a {
    let due = segment.markets().iter().filter(|market| is_mark_due(segment, market, block));
    due.map(|market| SystemWork::MoveMark(SegmentMarket { segment: segment.id(), market: market.rules.id }))
}

fn is_mark_due(segment: &Segment, market: &Market, block: &BlockContext) -> bool {
    let Some((margin, feed)) = priced(segment, market) else { return false };
    let Some((index, published)) = index_of(margin, feed) else { return false };
    let pricing = &margin.pricing;
    let is_late = block.waiting_ms.saturating_sub(pricing.moved_ms).ms() >= MARK_INTERVAL_MS;
    pricing.mark.is_zero() || pricing.index != index || pricing.published != published || is_late
}

/// Without a move of the index, the mark follows the book this often.
const MARK_INTERVAL_MS: u64 = 1_000;

/// A market's margin and feed, if the feed ever had a price.
fn priced<'a>(segment: &'a Segment, market: &'a Market) -> Option<(&'a Margin, &'a Feed)> {
    let margin = market.margin()?;
    let feed = segment.clearing()?.feeds.get(margin.feed)?;
    (!feed.facts.source_ms.is_zero()).then_some((margin, feed))
}

fn index_of(margin: &Margin, feed: &Feed) -> Option<(FineTicks, FineTicks)> {
    let fine = |price| fine_ticks(price, margin.rules.tick_size);
    Some((fine(feed.facts.price)?, fine(feed.facts.published)?))
}

/// Moves a market's mark: index and the average distance of the book from it.
pub(crate) fn move_mark(work: &mut Work<'_>, id: MarketId) {
    let segment = &*work.segment;
    let market = segment.market_place(id).and_then(|place| segment.market(place));
    let Some(event) = market.and_then(|market| mark_now(segment, market, &work.context.block)) else { return };
    work.emit(Event::MarkMoved(event));
}

fn mark_now(segment: &Segment, market: &Market, block: &BlockContext) -> Option<MarkMoved> {
    let (margin, feed) = priced(segment, market)?;
    let (index, published) = index_of(margin, feed)?;
    let (pricing, rules) = (&margin.pricing, &margin.rules);
    let best =
        |side| shown(segment, market, side).next().map(|order| order.price.ticks().saturating_mul(FINE_PER_TICK));
    let middle = best(Side::Bid).zip(best(Side::Ask)).map(|(bid, ask)| bid.midpoint(ask));
    let sample = middle.and_then(|middle| middle.checked_signed_diff(index.fine()));
    // A market's first mark is its index.
    let step_ms =
        if pricing.mark.is_zero() { DurationMs::ZERO } else { block.waiting_ms.saturating_sub(pricing.moved_ms) };
    let basis = average_step(pricing.basis, sample, step_ms, rules.basis_window_ms);
    let slippage_ppm = i64::from(rules.liquidation.slippage_max.ppm());
    let [bid_depth, ask_depth] = [Side::Bid, Side::Ask].map(|side| depth(segment, market, index, side, slippage_ppm));
    let impact = |side| impact_price(segment, market, side, rules.funding.impact_notional);
    Some(MarkMoved {
        market: market.rules.id,
        index,
        published,
        mark: mark(index, basis, rules.basis_max),
        basis,
        premium_ppm: premium_ppm(index, impact(Side::Bid), impact(Side::Ask)),
        depth: bid_depth.min(ask_depth),
        spread_ppm: best(Side::Bid).zip(best(Side::Ask)).map_or(WHOLE_PPM, |(bid, ask)| spread_ppm(bid, ask)),
        imbalance_ppm: imbalance_ppm(bid_depth, ask_depth),
    })
}

/// All of it, in parts per million.
const WHOLE_PPM: u32 = 1_000_000;

/// Distance of the best bid from the best ask as a share of their middle, at most the whole.
fn spread_ppm(bid: u64, ask: u64) -> u32 {
    share_ppm(ask.saturating_sub(bid).into(), bid.midpoint(ask).into())
}

/// What one side has more than the other as a share of both; zero if neither has anything.
fn imbalance_ppm(bid: QuoteMicros, ask: QuoteMicros) -> u32 {
    let both = i128::from(bid.micros()).saturating_add(ask.micros().into());
    share_ppm(bid.micros().abs_diff(ask.micros()).into(), u128::try_from(both).unwrap_or(0))
}

fn share_ppm(part: u128, whole: u128) -> u32 {
    let share = part.saturating_mul(WHOLE_PPM.into()).checked_div(whole).unwrap_or(0);
    u32::try_from(share).unwrap_or(WHOLE_PPM).min(WHOLE_PPM)
}

/// Orders of a side that middle, depth and impact look at.
const LOOKED_AT_MAX: usize = 256;

/// The best orders of a side that somebody stands behind. A reduce-only order reserves nothing and may outlive the position
/// that it reduces, so it moves no price and is no depth.
fn shown<'a>(segment: &'a Segment, market: &'a Market, side: Side) -> impl Iterator<Item = &'a RestingOrder> {
    let slots = market.book().slots(side, segment.orders()).take(LOOKED_AT_MAX);
    slots.filter_map(|slot| segment.orders().order(slot)).filter(|order| !order.is_reduce_only)
}

/// Average price of a side for a notional, in fine ticks; none if the best orders do not reach it.
fn impact_price(segment: &Segment, market: &Market, side: Side, wanted: QuoteMicros) -> Option<FineTicks> {
    let tick_value = market.rules.tick_value;
    let (mut lots, mut taken) = (0u128, 0u128);
    let wanted = u128::try_from(wanted.micros()).ok()?;
    for order in shown(segment, market, side) {
        let each = u128::from(order.price.ticks()).saturating_mul(u128::from(tick_value.micros()));
        let all = each.saturating_mul(u128::from(order.remaining.lots()));
        if taken.saturating_add(all) >= wanted {
            // As many whole lots as the rest needs.
            let rest = wanted.saturating_sub(taken).div_ceil(each.max(1));
            lots = lots.saturating_add(rest);
            taken = taken.saturating_add(rest.saturating_mul(each));
            return average(taken, lots, tick_value);
        }
        lots = lots.saturating_add(u128::from(order.remaining.lots()));
        taken = taken.saturating_add(all);
    }
    None
}

fn average(notional: u128, lots: u128, tick_value: TickValueMicros) -> Option<FineTicks> {
    let fine = notional.checked_mul(u128::from(FINE_PER_TICK))?;
    let per_lot = fine.checked_div(lots.checked_mul(u128::from(tick_value.micros()))?)?;
    u64::try_from(per_lot).ok().map(FineTicks::from_fine)
}

/// Notional that rests within a distance of the index on a side.
fn depth(segment: &Segment, market: &Market, index: FineTicks, side: Side, distance_ppm: i64) -> QuoteMicros {
    let ticks = PriceTicks::from_ticks(index.fine() / FINE_PER_TICK);
    let edge = match side {
        Side::Bid => price_moved(ticks, distance_ppm.saturating_neg(), Round::Up),
        Side::Ask => price_moved(ticks, distance_ppm, Round::Down),
    };
    let edge = edge.unwrap_or(ticks);
    let near = shown(segment, market, side).take_while(|order| order.side.opposite().crosses(edge, order.price));
    near.fold(QuoteMicros::ZERO, |sum, order| {
        sum.saturating_add(notional(order.price, order.remaining, market.rules.tick_value).unwrap_or_default())
    })
}

/// Markets whose funding interval is over, while the price is good enough.
pub(crate) fn due_funding<'a>(segment: &'a Segment, block: &'a BlockContext) -> impl Iterator<Item = SystemWork> + 'a {
    let is_due = |margin: &Margin| {
        let pricing = &margin.pricing;
        block.time_ms >= pricing.funding_next_ms && pricing.premium_ms > 0 && pricing.grade.allows(PriceUse::Funding)
    };
    let due = segment.markets().iter().filter(move |market| market.margin().is_some_and(is_due));
    due.map(|market| SystemWork::SettleFunding(SegmentMarket { segment: segment.id(), market: market.rules.id }))
}

/// Settles one interval's funding by moving the market's cumulative index.
pub(crate) fn settle_funding(work: &mut Work<'_>, id: MarketId) {
    let segment = &*work.segment;
    let Some(market) = segment.market_place(id).and_then(|place| segment.market(place)) else { return };
    let Some(margin) = market.margin() else { return };
    let rate_ppm = margin.funding_rate_now_ppm();
    let payment = funding_per_lot(rate_ppm, margin.pricing.index, market.rules.tick_value).unwrap_or(0);
    let event = FundingSettled {
        market: id,
        rate_ppm,
        cumulative: market.facts().funding_cumulative.saturating_add(payment),
        next_ms: next_boundary(work.context.block.time_ms, margin.rules.funding.interval_ms),
    };
    work.emit(Event::FundingSettled(event));
}
