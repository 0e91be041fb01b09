//! Amending a resting order: smaller in place, or out and in again.

use casemate_protocol::command::{AmendOrder, OrderReference, SelfTradeMode};
use casemate_protocol::event::{OrderReduced, RemovalCause};
use casemate_protocol::{AccountId, Event, GrantNumber, MarketId, Reject, RejectCode};

use super::market::Order;
use super::place::{Before, check_good_till, check_quantity};
use super::{Asker, Model, lots};

impl Model {
    pub(super) fn amend(&mut self, asker: Asker, amend: &AmendOrder) -> Result<Vec<Event>, Reject> {
        let rules = self.rules_or_reject(amend.market)?;
        let old = self.order_or_reject(amend.market, asker.account, amend.order)?;
        let (price, quantity) = (i128::from(amend.price.ticks()), i128::from(amend.quantity.lots()));
        // Nothing speaks against an order that only becomes smaller; but nothing is no quantity.
        if price == old.price && quantity <= old.quantity && quantity > 0 {
            for order in self.orders_mut(amend.market).filter(|order| order.number == old.number) {
                order.quantity = quantity;
            }
            let (number, account, quantity) = (old.number, old.account, lots(quantity));
            return Ok(vec![Event::OrderReduced(OrderReduced { market: amend.market, number, account, quantity })]);
        }

        check_quantity(&rules, quantity)?;
        self.check_price(&rules, old.side, price)?;
        check_good_till(asker, old.expires_ms)?;
        let free = self.free(rules.segment, asker.account);
        let mut events = vec![self.remove(&rules, old, RemovalCause::Amended)];
        let quantity =
            if old.is_reduce_only { self.reduced(asker, &rules, old.side, quantity, true)? } else { quantity };
        if old.is_ladder {
            self.check_post_only(amend.market, old.side, price)?;
        }
        self.check_open_orders(rules.segment, asker, 1)?;
        let grant = asker.grant.unwrap_or(GrantNumber::NONE);
        let mut order = Order { price, quantity, grant, origin: asker.origin, ..old };
        self.check_limits(asker, &rules, &[order], Before { free, may_take: !old.is_ladder })?;
        let matched = self.match_order(asker, &rules, &mut order, SelfTradeMode::CancelResting)?;
        events.extend(matched.events);
        events.extend(self.rest_or_drop(amend.market, order, !matched.is_stopped));
        Ok(events)
    }

    /// The account's resting order of that number or name in that market.
    pub(super) fn order_or_reject(
        &self,
        market: MarketId,
        account: AccountId,
        reference: OrderReference,
    ) -> Result<Order, Reject> {
        let is_meant = |order: &&Order| match reference {
            OrderReference::Number(number) => order.number == number,
            OrderReference::Client(client_id) => !client_id.is_none() && order.client_id == client_id,
        };
        let name = match reference {
            OrderReference::Number(number) => number.number(),
            OrderReference::Client(client_id) => client_id.number(),
        };
        let mut orders = self.market(market).into_iter().flat_map(|market| market.orders.iter());
        let found = orders.find(|order| order.account == account && is_meant(order));
        found.copied().ok_or(Reject::of(RejectCode::OrderNotFound).present(name))
    }
}
