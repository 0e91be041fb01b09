//! `PlaceOrder`.

use casemate_protocol::command::{MarketTerms, OrderKind, PlaceOrder, SelfTradeMode, TimeInForce};
use casemate_protocol::units::{Round, price_moved};
use casemate_protocol::{PriceTicks, QuantityLots, Reject, RejectCode, Side, TimeMs};

use super::matching::reducible;
use super::order::{Arriving, Remainder, Taking, enter};
use super::{MarketNow, Work};
use crate::segment::SubAccount;

/// Places an order: checks in the order of docs/trading-rules.md, then matches.
///
/// # Errors
/// The first check that fails.
pub(crate) fn place(work: &mut Work<'_>, command: &PlaceOrder) -> Result<(), Reject> {
    let market = MarketNow::of(work.segment, command.market)?;
    market.require_quantity(command.quantity)?;
    let mut order = Arriving {
        side: command.side,
        limit: PriceTicks::ZERO,
        quantity: command.quantity,
        taking: Taking::Allowed,
        remainder: Remainder::Dropped,
        self_trade: command.self_trade,
        is_reduce_only: command.is_reduce_only,
        is_ladder: false,
        is_liquidation: false,
        client_id: command.client_id,
        expires_ms: TimeMs::ZERO,
        number: None,
    };
    if let OrderKind::Limit(terms) = command.kind {
        market.require_price(command.side, terms.price)?;
        order.limit = terms.price;
        apply_time_in_force(&mut order, terms.time_in_force);
        if let TimeInForce::GoodTillTime(expires_ms) = terms.time_in_force {
            MarketNow::require_time(work.block(), expires_ms)?;
        }
    }
    require_client_id_free(work, command)?;
    if command.is_reduce_only {
        order.quantity = reduce_only_quantity(work, &market, &order)?;
    }
    if let OrderKind::Market(terms) = command.kind {
        order.limit = market_limit(work, &market, command.side, terms)?;
    }
    enter(work, &market, order, None)
}

fn apply_time_in_force(order: &mut Arriving, time_in_force: TimeInForce) {
    let (taking, remainder) = match time_in_force {
        TimeInForce::GoodTillCancel => (Taking::Allowed, Remainder::Rests),
        TimeInForce::GoodTillTime(expires_ms) => {
            order.expires_ms = expires_ms;
            (Taking::Allowed, Remainder::Rests)
        }
        TimeInForce::ImmediateOrCancel => (Taking::Allowed, Remainder::Dropped),
        TimeInForce::FillOrKill => (Taking::Allowed, Remainder::Kills),
        TimeInForce::PostOnly => (Taking::Refused, Remainder::Rests),
        TimeInForce::PostOnlySlide => (Taking::Slides, Remainder::Rests),
    };
    order.taking = taking;
    order.remainder = remainder;
    if taking != Taking::Allowed {
        // It never takes, so it never meets an order of its own account.
        order.self_trade = SelfTradeMode::CancelArriving;
    }
}

/// Check 6.
fn require_client_id_free(work: &Work<'_>, command: &PlaceOrder) -> Result<(), Reject> {
    let client_id = command.client_id.number();
    let is_taken = client_id != 0
        && work
            .segment
            .sub_account(work.context.account)
            .is_some_and(|row| row.orders().iter().any(|order| order.client_id == client_id));
    if is_taken { Err(Reject::of(RejectCode::ClientIdInUse).present(client_id)) } else { Ok(()) }
}

/// Check 7: the quantity of a reduce-only order, cut to the position. INVARIANT(M5): one that can rest is cut to what the
/// account's resting orders of its kind leave of the position, so together they never promise more than there is. One that
/// cannot rest may close all of it, whatever rests.
pub(super) fn reduce_only_quantity(
    work: &Work<'_>,
    market: &MarketNow,
    order: &Arriving,
) -> Result<QuantityLots, Reject> {
    let row = work.account_row();
    let lots = row.position(market.place).lots;
    let promised = match order.remainder {
        Remainder::Rests => promised(work, &row, market.place, order.side),
        Remainder::Dropped | Remainder::Kills => QuantityLots::ZERO,
    };
    let room = reducible(lots, order.side).saturating_sub(promised);
    if room.is_zero() {
        return Err(Reject::of(RejectCode::ReduceOnlyWouldIncrease)
            .required(promised.lots())
            .present(lots.unsigned_abs()));
    }
    Ok(room.min(order.quantity))
}

/// Lots of an account's resting reduce-only orders of a side of a market.
fn promised(work: &Work<'_>, row: &SubAccount, place: u16, side: Side) -> QuantityLots {
    let resting = row.orders().iter().filter(|order| order.market == place);
    resting
        .filter_map(|order| work.segment.orders.order(order.slot))
        .filter(|order| order.is_reduce_only && order.side == side)
        .fold(QuantityLots::ZERO, |sum, order| sum.saturating_add(order.remaining))
}

/// Check 8: the furthest price that a bounded market order accepts.
fn market_limit(work: &Work<'_>, market: &MarketNow, side: Side, terms: MarketTerms) -> Result<PriceTicks, Reject> {
    let best = work.best_price(market, side.opposite()).ok_or(Reject::of(RejectCode::NoLiquidity))?;
    let slippage = i64::from(terms.slippage_ppm_max.ppm());
    let overflow = Reject::of(RejectCode::AmountOverflow);
    // The band ends a market order where it ends a limit order of its side: buys above, sells below.
    let limit = match side {
        Side::Bid => price_moved(best, slippage, Round::Down).ok_or(overflow)?.min(market.facts.band_upper),
        Side::Ask => {
            price_moved(best, slippage.saturating_neg(), Round::Up).ok_or(overflow)?.max(market.facts.band_lower)
        }
    };
    // The band may end before the best price: then nothing within the bound can trade.
    if side.crosses(limit, best) { Ok(limit) } else { Err(Reject::of(RejectCode::NoLiquidity)) }
}
