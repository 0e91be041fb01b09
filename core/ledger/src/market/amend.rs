//! `AmendOrder`.

use casemate_protocol::command::{AmendOrder, SelfTradeMode};
use casemate_protocol::event::{OrderReduced, RemovalCause};
use casemate_protocol::{ClientOrderId, Event, Reject};

use super::cancel::require_own_order;
use super::matching::remove;
use super::order::{Arriving, Remainder, Taking, enter};
use super::place::reduce_only_quantity;
use super::{MarketNow, Work};

/// Changes a resting order: smaller at the same price keeps its place, anything else takes it out and enters it anew.
///
/// # Errors
/// The first check that fails; the order then stands as it was, because the whole command is undone.
pub(crate) fn amend(work: &mut Work<'_>, command: &AmendOrder) -> Result<(), Reject> {
    let market = MarketNow::of(work.segment, command.market)?;
    let (_, order) = require_own_order(work.segment, work.context.account, market.place, command.order)?;
    let is_reduction = command.quantity <= order.remaining && !command.quantity.is_zero();
    if command.price == order.price && is_reduction {
        work.emit(Event::OrderReduced(OrderReduced {
            market: market.rules.id,
            number: order.number,
            account: order.owner(),
            quantity: command.quantity,
        }));
        return Ok(());
    }
    market.require_quantity(command.quantity)?;
    market.require_price(order.side, command.price)?;
    if !order.expires_ms.is_zero() {
        MarketNow::require_time(work.block(), order.expires_ms)?;
    }
    let free_before = work.free_collateral();
    remove(work, &market, &order, RemovalCause::Amended);
    let mut arriving = Arriving {
        side: order.side,
        limit: command.price,
        quantity: command.quantity,
        taking: if order.is_ladder { Taking::Refused } else { Taking::Allowed },
        remainder: Remainder::Rests,
        self_trade: SelfTradeMode::CancelResting,
        is_reduce_only: order.is_reduce_only,
        is_ladder: order.is_ladder,
        is_liquidation: false,
        client_id: ClientOrderId::new(order.client_id),
        expires_ms: order.expires_ms,
        number: Some(order.number),
    };
    if order.is_reduce_only {
        arriving.quantity = reduce_only_quantity(work, &market, &arriving)?;
    }
    enter(work, &market, arriving, Some(free_before))
}
