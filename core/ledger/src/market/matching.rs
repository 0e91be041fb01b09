//! Matching: best price first, then place in the queue; each maker is judged again when it trades.

use casemate_protocol::command::SelfTradeMode;
use casemate_protocol::event::{OrderRemoved, RemovalCause, TradeExecuted};
use casemate_protocol::limits::{MAKERS_REMOVED_MAX, MATCH_STEPS_MAX, OPEN_ORDERS_MAX, RECORD_EVENTS_MAX};
use casemate_protocol::{
    AccountId, Event, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, Reject, RejectCode, Side, TradeNumber,
};

use super::order::{Arriving, Taking};
use super::{MarketNow, Work};
use crate::risk::{ProposedFill, Reserved, require_fill, value};
use crate::segment::RestingOrder;

/// How matching ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MatchEnd {
    /// What was not filled.
    pub(crate) remaining: QuantityLots,
    /// Matching stopped although the book still crosses: what is left cannot rest.
    pub(crate) is_stopped: bool,
}

/// What the next resting order lets happen.
enum Step {
    /// Trade.
    Trade { maker: RestingOrder, quantity: QuantityLots, maker_fee: QuoteMicros, taker_fee: QuoteMicros },
    /// Remove the resting order and go on.
    Remove { maker: RestingOrder, cause: RemovalCause, is_failing_maker: bool },
    /// Stop.
    Stop,
}

/// Matches an arriving order against the book.
///
/// # Errors
/// `BandEdgeInsolvent` or `InsufficientFreeCollateral` if the taker cannot carry the first fill.
pub(crate) fn match_order(
    work: &mut Work<'_>,
    market: &MarketNow,
    order: &Arriving,
    number: OrderNumber,
) -> Result<MatchEnd, Reject> {
    let mut end = MatchEnd { remaining: order.quantity, is_stopped: false };
    if order.taking != Taking::Allowed {
        return Ok(end);
    }
    let (mut makers_removed, mut has_traded, mut looked_at_left) = (0u32, false, LOOKED_AT_MAX);
    for _ in 0..MATCH_STEPS_MAX {
        if makers_removed == MAKERS_REMOVED_MAX {
            break;
        }
        let Some((price, slot)) = crossing_best(work, market, order).filter(|_| !end.remaining.is_zero()) else {
            return Ok(end);
        };
        match next_step(work, market, order, (price, slot), end.remaining, has_traded)? {
            Step::Trade { maker, quantity, maker_fee, taker_fee } => {
                has_traded = true;
                end.remaining = end.remaining.saturating_sub(quantity);
                let trade = TradeNumber::new(work.segment.totals.last_trade).next();
                work.emit(Event::TradeExecuted(TradeExecuted {
                    market: market.rules.id,
                    number: trade,
                    maker_order: maker.number,
                    maker: maker.owner(),
                    taker_order: number,
                    taker: work.context.account,
                    taker_grant: work.context.grant_number(),
                    taker_side: order.side,
                    price,
                    quantity,
                    maker_fee,
                    taker_fee,
                }));
                // A slice leaves them to whoever meets them: its record has enough in it.
                if !order.is_liquidation {
                    for (account, side) in [(maker.owner(), maker.side), (work.context.account, order.side)] {
                        remove_nothing_to_reduce(work, market, (account, side, quantity), &mut looked_at_left);
                    }
                }
            }
            Step::Remove { maker, cause, is_failing_maker } => {
                remove(work, market, &maker, cause);
                makers_removed = makers_removed.saturating_add(u32::from(is_failing_maker));
                if cause == RemovalCause::SelfTrade && order.self_trade == SelfTradeMode::CancelBoth {
                    end.is_stopped = true;
                    return Ok(end);
                }
            }
            Step::Stop => {
                end.is_stopped = true;
                return Ok(end);
            }
        }
    }
    end.is_stopped = crossing_best(work, market, order).is_some();
    Ok(end)
}

/// Resting orders that one command looks at, for accounts whose position it closed.
const LOOKED_AT_MAX: u32 = 2 * OPEN_ORDERS_MAX;
#[expect(clippy::as_conversions, reason = "widening only, and `From` is not usable in constants")]
const _: () = assert!(
    RECORD_EVENTS_MAX > (MATCH_STEPS_MAX + LOOKED_AT_MAX) as usize + 8,
    "a step is one event and so is each order that goes with a position: a record that does not fit halts its segment"
);

/// After a fill that closed the position of an account: its resting orders that could only have reduced it go, as long as
/// the command may look at more. Otherwise they would stand in the way of others with nothing behind them.
fn remove_nothing_to_reduce(
    work: &mut Work<'_>,
    market: &MarketNow,
    (account, side, quantity): (AccountId, Side, QuantityLots),
    looked_at_left: &mut u32,
) {
    let Some(row) = work.segment.sub_account(account) else { return };
    let (lots, filled) = (row.position(market.place).lots, i64::try_from(quantity.lots()).unwrap_or(i64::MAX));
    let before = match side {
        Side::Bid => lots.saturating_sub(filled),
        Side::Ask => lots.saturating_add(filled),
    };
    if row.orders().is_empty() || reducible(before, side).is_zero() || !reducible(lots, side).is_zero() {
        return;
    }
    let most = usize::try_from(*looked_at_left).unwrap_or(usize::MAX);
    let own = row.orders().iter().filter(|order| order.market == market.place).take(most);
    let slots: Vec<u32> = own.map(|order| order.slot).collect();
    *looked_at_left = looked_at_left.saturating_sub(u32::try_from(slots.len()).unwrap_or(u32::MAX));
    for slot in slots {
        let order = work.segment.orders.order(slot).copied();
        if let Some(order) = order.filter(|order| order.is_reduce_only && order.side == side) {
            remove(work, market, &order, RemovalCause::NothingToReduce);
        }
    }
}

/// Best resting order that the arriving one trades with.
fn crossing_best(work: &Work<'_>, market: &MarketNow, order: &Arriving) -> Option<(PriceTicks, u32)> {
    let best = work.segment.market(market.place)?.book.best(order.side.opposite())?;
    order.side.crosses(order.limit, best.0).then_some(best)
}

/// Judges the next resting order: rules 1 to 6 of docs/trading-rules.md, Matching.
fn next_step(
    work: &Work<'_>,
    market: &MarketNow,
    order: &Arriving,
    (price, slot): (PriceTicks, u32),
    remaining: QuantityLots,
    has_traded: bool,
) -> Result<Step, Reject> {
    let Some(maker) = work.segment.orders.order(slot).copied() else { return Ok(Step::Stop) };
    let remove = |cause, is_failing_maker| Ok(Step::Remove { maker, cause, is_failing_maker });
    if maker.owner() == work.context.account {
        return match order.self_trade {
            SelfTradeMode::CancelResting | SelfTradeMode::CancelBoth => remove(RemovalCause::SelfTrade, false),
            SelfTradeMode::CancelArriving => Ok(Step::Stop),
        };
    }
    // Ends are internal work with a cap in each block: what waits there for its turn must not trade meanwhile.
    if !maker.expires_ms.is_zero() && maker.expires_ms <= work.block().time_ms {
        return remove(RemovalCause::Expired, true);
    }
    let has_grant_ended = !maker.grant_expires_ms.is_zero() && maker.grant_expires_ms <= work.block().time_ms;
    if has_grant_ended && !maker.is_reduce_only {
        return remove(RemovalCause::GrantEnded, true);
    }
    let available = maker_available(work, market, &maker);
    if available.is_zero() {
        return remove(RemovalCause::NothingToReduce, true);
    }
    let quantity = remaining.min(available);
    let notional = market.notional(price, quantity)?;
    let overflow = Reject::of(RejectCode::AmountOverflow);
    let maker_fee = notional.fee(market.rules.maker_fee).ok_or(overflow)?;
    let (maker_fee, taker_fee) = match order.is_liquidation {
        // Nobody pays for a rebate: it would come out of insurance and of fees of others.
        true => (maker_fee.max(QuoteMicros::ZERO), QuoteMicros::ZERO),
        false => (maker_fee, notional.fee(market.rules.taker_fee).ok_or(overflow)?),
    };
    let fill = |side, fee, reserved| ProposedFill { market: market.place, side, quantity, price, fee, reserved };
    let maker_reserved = if maker.is_reduce_only { Reserved::NotAtAll } else { Reserved::ByOrder };
    if carry(work, maker.owner(), &fill(maker.side, maker_fee, maker_reserved)).is_err() {
        return remove(RemovalCause::MakerRisk, true);
    }
    let traded = Traded { is_buy: maker.side == Side::Bid, quantity, notional };
    if exceeds_loss_budget(work, market, &maker, &traded, maker_fee) {
        return remove(RemovalCause::GrantLoss, true);
    }
    if order.is_liquidation {
        return Ok(Step::Trade { maker, quantity, maker_fee, taker_fee });
    }
    let taker_reserved = if order.is_reduce_only { Reserved::NotAtAll } else { Reserved::OnArrival };
    let taker = carry(work, work.context.account, &fill(order.side, taker_fee, taker_reserved))
        .and_then(|()| require_loss_budget(work, market, &Traded { is_buy: !traded.is_buy, ..traded }, taker_fee));
    match taker {
        Ok(()) => Ok(Step::Trade { maker, quantity, maker_fee, taker_fee }),
        Err(_) if has_traded => Ok(Step::Stop),
        Err(reject) => Err(reject),
    }
}

/// Rules 5 and 6.
fn carry(work: &Work<'_>, account: AccountId, fill: &ProposedFill) -> Result<(), Reject> {
    work.segment.sub_account(account).map_or(Ok(()), |row| require_fill(&work.risk(), row, fill))
}

/// One side of a trade that has not happened.
#[derive(Clone, Copy)]
struct Traded {
    is_buy: bool,
    quantity: QuantityLots,
    notional: QuoteMicros,
}

/// What a fill costs against the index; nothing in markets that have none.
fn cost_of(work: &Work<'_>, market: &MarketNow, traded: &Traded, fee: QuoteMicros) -> Option<i64> {
    let margin = work.segment.market(market.place)?.margin()?;
    let Traded { is_buy, quantity, notional } = *traded;
    Some(value::fill_cost(is_buy, quantity, notional, fee, &margin.pricing, market.rules.tick_value).micros())
}

/// Whether the fill of a resting order would cost more than its grant has left in this segment.
fn exceeds_loss_budget(
    work: &Work<'_>,
    market: &MarketNow,
    maker: &RestingOrder,
    traded: &Traded,
    fee: QuoteMicros,
) -> bool {
    if maker.grant == 0 {
        return false;
    }
    let Some(cost) = cost_of(work, market, traded, fee) else { return false };
    let usage = work
        .segment
        .sub_account(maker.owner())
        .and_then(|row| row.usage().iter().find(|usage| usage.grant == maker.grant));
    usage.is_some_and(|usage| usage.lost.saturating_add(cost) > usage.loss_max)
}

/// Refuses a fill that would cost more than the acting grant has left.
fn require_loss_budget(work: &Work<'_>, market: &MarketNow, traded: &Traded, fee: QuoteMicros) -> Result<(), Reject> {
    let Some(grant) = work.context.grant else { return Ok(()) };
    let Some(cost) = cost_of(work, market, traded, fee) else { return Ok(()) };
    let row = work.segment.sub_account(work.context.account);
    let usage = row.and_then(|row| row.usage().iter().find(|usage| usage.grant == grant.number.number()));
    let lost = usage.map_or(0, |usage| usage.lost).saturating_add(grant.lost_elsewhere.micros());
    let left = grant.loss_max.micros().saturating_sub(lost);
    if cost > left {
        let (left, cost) = (QuoteMicros::from_micros(left.max(0)), QuoteMicros::from_micros(cost));
        return Err(Reject::of(RejectCode::GrantLossExceeded).quote(left, cost));
    }
    Ok(())
}

/// What of a resting order can trade: all of it, or for reduce-only at most the position it reduces.
fn maker_available(work: &Work<'_>, market: &MarketNow, maker: &RestingOrder) -> QuantityLots {
    if !maker.is_reduce_only {
        return maker.remaining;
    }
    let lots = work.segment.sub_account(maker.owner()).map_or(0, |row| row.position(market.place).lots);
    reducible(lots, maker.side).min(maker.remaining)
}

/// Lots of a position that an order of this side closes.
pub(super) fn reducible(lots: i64, side: Side) -> QuantityLots {
    let closes = match side {
        Side::Bid => lots < 0,
        Side::Ask => lots > 0,
    };
    QuantityLots::from_lots(if closes { lots.unsigned_abs() } else { 0 })
}

pub(super) fn remove(work: &mut Work<'_>, market: &MarketNow, order: &RestingOrder, cause: RemovalCause) {
    work.emit(Event::OrderRemoved(OrderRemoved {
        market: market.rules.id,
        number: order.number,
        account: order.owner(),
        quantity: order.remaining,
        cause,
    }));
}
