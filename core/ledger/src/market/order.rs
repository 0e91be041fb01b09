//! An order on its way into the book, whatever command it comes from.

use casemate_protocol::command::SelfTradeMode;
use casemate_protocol::event::{OrderRested, RemainderDropped};
use casemate_protocol::{
    BreakerState, ClientOrderId, Event, GrantNumber, OrderNumber, PriceGrade, PriceTicks, PriceUse, QuantityLots,
    QuoteMicros, Reject, RejectCode, Side, TimeMs,
};

use super::matching::{MatchEnd, match_order, reducible};
use super::{AddedOrders, MarketNow, OrderCost, Work};
use crate::risk::value::notional_at;

/// What an order does when it would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// It takes.
    Allowed,
    /// It is refused.
    Refused,
    /// It moves to the best price at which it rests.
    Slides,
}

/// What happens to the rest of an order that did not fill whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remainder {
    /// It rests.
    Rests,
    /// It is dropped.
    Dropped,
    /// The whole order is refused.
    Kills,
}

/// An order whose own terms have been checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arriving {
    pub(crate) side: Side,
    pub(crate) limit: PriceTicks,
    pub(crate) quantity: QuantityLots,
    pub(crate) taking: Taking,
    pub(crate) remainder: Remainder,
    pub(crate) self_trade: SelfTradeMode,
    pub(crate) is_reduce_only: bool,
    pub(crate) is_ladder: bool,
    /// A slice of a liquidation: it pays no taker fee, and it is not for its account to carry it.
    pub(crate) is_liquidation: bool,
    pub(crate) client_id: ClientOrderId,
    pub(crate) expires_ms: TimeMs,
    /// The number it has already, if it was amended.
    pub(crate) number: Option<OrderNumber>,
}

/// Checks 9 to 13, then matches and rests the order. `free_before` is what was free before the command, where the
/// command has changed something since.
pub(crate) fn enter(
    work: &mut Work<'_>,
    market: &MarketNow,
    mut order: Arriving,
    free_before: Option<QuoteMicros>,
) -> Result<(), Reject> {
    require_may_add(work, market, &order)?;
    order.limit = resting_price(work, market, &order)?;
    let resting_count = u32::from(order.remainder == Remainder::Rests);
    if order.is_reduce_only {
        work.require_order_slots(market.place, resting_count)?;
    } else {
        let mut added = AddedOrders { resting_count, ..AddedOrders::default() };
        let mut cost = cost(work, market, &order)?;
        if reduces_on_margin(work, market, &order) {
            // INVARIANT(R1): each fill is judged whole, with its fee and what it frees; what never rests reserves nothing.
            cost.taker_fee = QuoteMicros::ZERO;
            added.is_judged_by_fills = order.remainder != Remainder::Rests;
        }
        added.add(order.side, order.quantity, cost);
        work.require_room(market, &added, free_before)?;
    }
    work.watch_grant();
    let number = order.number.unwrap_or_else(|| OrderNumber::new(work.segment.totals.last_order).next());
    let end = match_order(work, market, &order, number)?;
    finish(work, market, &order, number, &end)
}

/// On margin: what adds risk needs a breaker that lets it, a price that is good enough, and room in open interest. An
/// order that cannot make its account's position larger adds none. Orders that never take may rest while there is any
/// price, so that makers can quote against reductions and liquidations.
fn require_may_add(work: &Work<'_>, market: &MarketNow, order: &Arriving) -> Result<(), Reject> {
    let Some(margin) = work.segment.market(market.place).and_then(|market| market.margin()) else { return Ok(()) };
    let held = work.account_row().position(market.place).lots;
    let added = order.quantity.saturating_sub(reducible(held, order.side));
    if order.is_reduce_only || added.is_zero() {
        return Ok(());
    }
    let grade = margin.pricing.grade;
    let (is_good_enough, needed) = match order.taking {
        Taking::Allowed => (grade.allows(PriceUse::NewRisk), PriceGrade::Valid),
        Taking::Refused | Taking::Slides => (grade.allows(PriceUse::Margin), PriceGrade::Uncertain),
    };
    if !is_good_enough {
        return Err(Reject::of(RejectCode::PriceNotGoodEnough)
            .required(u64::from(needed.number()))
            .present(u64::from(grade.number())));
    }
    if order.taking != Taking::Allowed {
        return Ok(());
    }
    let state = work.segment.breaker_state();
    if state >= BreakerState::ReduceOnly {
        return Err(Reject::of(RejectCode::BreakerForbids)
            .required(u64::from(BreakerState::Elevated.number()))
            .present(u64::from(state.number())));
    }
    let lots = market.facts.open_long.saturating_add(i64::try_from(added.lots()).unwrap_or(i64::MAX));
    let open_interest = QuoteMicros::from_micros(notional_at(lots, margin.pricing.mark, market.rules.tick_value));
    let most = margin.rules.open_interest_notional_max;
    if open_interest > most {
        return Err(Reject::of(RejectCode::OpenInterestMax).quote(most, open_interest));
    }
    Ok(())
}

/// Whether an order of a segment on margin closes at most the position that its account has.
fn reduces_on_margin(work: &Work<'_>, market: &MarketNow, order: &Arriving) -> bool {
    let is_on_margin = work.segment.market(market.place).is_some_and(|market| market.margin().is_some());
    is_on_margin && order.quantity <= reducible(work.account_row().position(market.place).lots, order.side)
}

/// What checks 12 and 13 count for an order. INVARIANT(M3): no fill of it and no rest costs more of a grant's budget.
fn cost(work: &Work<'_>, market: &MarketNow, order: &Arriving) -> Result<OrderCost, Reject> {
    let reserve = market.notional(order.limit, order.quantity)?;
    // A bid trades at its limit or below; an ask may trade as high as the best bid.
    let best_bid = match order.side {
        Side::Bid => None,
        Side::Ask => work.best_price(market, Side::Bid).filter(|&best| best > order.limit),
    };
    let dearest = best_bid.map_or(Ok(reserve), |best| market.notional(best, order.quantity))?;
    let taker_fee = match order.taking {
        Taking::Allowed => dearest.fee(market.rules.taker_fee).ok_or(Reject::of(RejectCode::AmountOverflow))?,
        Taking::Refused | Taking::Slides => QuoteMicros::ZERO,
    };
    Ok(OrderCost { reserve, dearest, taker_fee })
}

/// Check 9: where a post-only order may stand.
fn resting_price(work: &Work<'_>, market: &MarketNow, order: &Arriving) -> Result<PriceTicks, Reject> {
    let best = work.best_price(market, order.side.opposite());
    let Some(best) = best.filter(|&best| order.side.crosses(order.limit, best)) else { return Ok(order.limit) };
    match order.taking {
        Taking::Allowed => Ok(order.limit),
        Taking::Refused => {
            Err(Reject::of(RejectCode::PostOnlyWouldTake).required(best.ticks()).present(order.limit.ticks()))
        }
        Taking::Slides => {
            let one = PriceTicks::from_ticks(1);
            let slid = match order.side {
                Side::Bid => best.saturating_sub(one),
                Side::Ask => best.saturating_add(one),
            };
            if slid.is_zero() || slid > market.rules.price_max {
                return Err(Reject::of(RejectCode::PriceOutOfRange)
                    .required(market.rules.price_max.ticks())
                    .present(slid.ticks()));
            }
            Ok(slid)
        }
    }
}

fn finish(
    work: &mut Work<'_>,
    market: &MarketNow,
    order: &Arriving,
    number: OrderNumber,
    end: &MatchEnd,
) -> Result<(), Reject> {
    if end.remaining.is_zero() {
        return Ok(());
    }
    if order.remainder == Remainder::Kills {
        let filled = order.quantity.saturating_sub(end.remaining);
        return Err(Reject::of(RejectCode::FillOrKillNotFillable)
            .required(order.quantity.lots())
            .present(filled.lots()));
    }
    if order.remainder == Remainder::Dropped || end.is_stopped {
        work.emit(Event::RemainderDropped(RemainderDropped {
            market: market.rules.id,
            number,
            quantity: end.remaining,
        }));
        return Ok(());
    }
    rest(work, market, order, number, end.remaining);
    Ok(())
}

/// Puts an order to rest.
pub(crate) fn rest(
    work: &mut Work<'_>,
    market: &MarketNow,
    order: &Arriving,
    number: OrderNumber,
    quantity: QuantityLots,
) {
    work.emit(Event::OrderRested(OrderRested {
        market: market.rules.id,
        number,
        account: work.context.account,
        client_id: order.client_id,
        grant: work.context.grant.map_or(GrantNumber::NONE, |grant| grant.number),
        side: order.side,
        price: order.limit,
        quantity,
        is_reduce_only: order.is_reduce_only,
        is_ladder: order.is_ladder,
        expires_ms: order.expires_ms,
        origin: work.context.record,
    }));
}
