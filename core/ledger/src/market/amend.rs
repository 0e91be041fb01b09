//! `AmendOrder`.

use casemate_protocol::command::{AmendOrder, SelfTradeMode};
use casemate_protocol::event::{OrderReduced, RemovalCause};
use casemate_protocol::{ClientOrderId, Event, Reject, RejectCode};

use super::cancel::require_own_order;
use super::matching::{reducible, remove};
use super::order::{Arriving, Remainder, Taking, enter};
use super::{MarketNow, Work};

/// Changes a resting order: smaller at the same price keeps its place, anything else takes it out and enters it anew.
///
/// # Errors
/// The first check that fails; the order then stands as it was, because the whole command is undone.
pub(crate) fn amend(work: &mut Work<'_>, command: &AmendOrder) -> Result<(), Reject> {
    let market = MarketNow::of(work.segment, command.market)?;
    let (_, order) = require_own_order(work.segment, work.context.account, market.place, command.order)?;
    if command.quantity > order.remaining || command.quantity.is_zero() {
        market.require_quantity(command.quantity)?;
    } else {
        market.require_quantity_below_maximum(command.quantity)?;
    }
    market.require_price(order.side, command.price)?;
    if command.price == order.price && command.quantity <= order.remaining {
        work.emit(Event::OrderReduced(OrderReduced {
            market: market.rules.id,
            number: order.number,
            account: order.owner(),
            quantity: command.quantity,
        }));
        return Ok(());
    }
    remove(work, &market, &order, RemovalCause::Amended);
    let mut quantity = command.quantity;
    if order.is_reduce_only {
        let lots = work.segment.sub_account(order.owner()).map_or(0, |row| row.position(market.place).lots);
        quantity = quantity.min(reducible(lots, order.side));
        if quantity.is_zero() {
            return Err(Reject::of(RejectCode::ReduceOnlyWouldIncrease).present(lots.unsigned_abs()));
        }
    }
    let arriving = Arriving {
        side: order.side,
        limit: command.price,
        quantity,
        taking: if order.is_ladder { Taking::Refused } else { Taking::Allowed },
        remainder: Remainder::Rests,
        self_trade: SelfTradeMode::CancelResting,
        is_reduce_only: order.is_reduce_only,
        is_ladder: order.is_ladder,
        client_id: ClientOrderId::new(order.client_id),
        expires_ms: order.expires_ms,
        number: Some(order.number),
    };
    enter(work, &market, arriving)
}
