//! The book of a market: one list of orders in the order of their arrival.

use casemate_protocol::command::Side;
use casemate_protocol::event::{OrderRemoved, OrderRested, RemovalCause};
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::{AccountId, ClientOrderId, Event, GrantNumber, MarketId, OrderNumber, RecordIndex, TimeMs};

use super::{lots, ticks};

/// A market and its resting orders. A later place in the list is a later place in the queue.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Market {
    pub(super) rules: MarketRules,
    pub(super) orders: Vec<Order>,
}

/// An order, resting or arriving; `quantity` is what is left of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) number: OrderNumber,
    pub(super) account: AccountId,
    pub(super) client_id: ClientOrderId,
    pub(super) grant: GrantNumber,
    pub(super) side: Side,
    pub(super) price: i128,
    pub(super) quantity: i128,
    pub(super) is_reduce_only: bool,
    pub(super) is_ladder: bool,
    pub(super) expires_ms: TimeMs,
    pub(super) origin: RecordIndex,
}

impl Market {
    /// Bids in priority order: highest price first, then arrival.
    pub(super) fn bids(&self) -> Vec<Order> {
        let mut bids: Vec<Order> = self.orders.iter().filter(|order| order.side == Side::Bid).copied().collect();
        bids.sort_by_key(|bid| -bid.price); // A stable sort: arrival decides between equal prices.
        bids
    }

    /// Asks in priority order: lowest price first, then arrival.
    pub(super) fn asks(&self) -> Vec<Order> {
        let mut asks: Vec<Order> = self.orders.iter().filter(|order| order.side == Side::Ask).copied().collect();
        asks.sort_by_key(|ask| ask.price);
        asks
    }

    /// The highest price at which an arriving order can trade or rest.
    pub(super) fn dearest_price(&self, order: &Order) -> i128 {
        match (order.side, self.bids().first()) {
            (Side::Ask, Some(bid)) => order.price.max(bid.price),
            (Side::Ask, None) | (Side::Bid, _) => order.price,
        }
    }

    /// The order that one of this side meets first.
    pub(super) fn best_opposite(&self, side: Side) -> Option<Order> {
        match side {
            Side::Bid => self.asks().first().copied(),
            Side::Ask => self.bids().first().copied(),
        }
    }
}

impl Order {
    /// Remaining lots at the order's own price; nothing for an order that only reduces.
    pub(super) fn reserve(&self, tick_value: i128) -> i128 {
        if self.is_reduce_only { 0 } else { self.quantity * self.price * tick_value }
    }

    /// Whether this order would trade with a resting one at that price.
    pub(super) fn reaches(&self, resting_price: i128) -> bool {
        match self.side {
            Side::Bid => self.price >= resting_price,
            Side::Ask => self.price <= resting_price,
        }
    }

    pub(super) fn rested(&self, market: MarketId) -> OrderRested {
        OrderRested {
            market,
            number: self.number,
            account: self.account,
            client_id: self.client_id,
            grant: self.grant,
            side: self.side,
            price: ticks(self.price),
            quantity: lots(self.quantity),
            is_reduce_only: self.is_reduce_only,
            is_ladder: self.is_ladder,
            expires_ms: self.expires_ms,
            origin: self.origin,
        }
    }

    pub(super) fn removed(&self, market: MarketId, cause: RemovalCause) -> Event {
        let (number, account, quantity) = (self.number, self.account, lots(self.quantity));
        Event::OrderRemoved(OrderRemoved { market, number, account, quantity, cause })
    }
}
