//! The book as the record shows it, to compare best prices with the engine's.
//!
//! It differs from a real book in two ways. The record shows an order's arrival before its fills, so an order that takes
//! crosses the recorded book until its fills have been reported: such a moment has no best prices to compare. And what is
//! left of an order can be less than a lot, which the replay market cannot hold: such a rest does not count.

use std::collections::BTreeMap;

use casemate_protocol::PriceTicks;
use casemate_protocol::command::Side;

use super::LOT_SATOSHI;
use super::plan::Plan;
use super::record::{LiveOrder, Record};
use super::rows::Row;

/// Best prices of a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BestPrices {
    /// Highest price that somebody buys at.
    pub bid: Option<PriceTicks>,
    /// Lowest price that somebody sells at.
    pub ask: Option<PriceTicks>,
}

impl BestPrices {
    /// Whether bid and ask would trade with each other.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        matches!((self.bid, self.ask), (Some(bid), Some(ask)) if bid >= ask)
    }
}

/// Follows the rows of a record.
#[derive(Clone, Debug)]
pub struct RecordedBook {
    record: Record,
    /// Orders at each price.
    bids: BTreeMap<PriceTicks, u64>,
    asks: BTreeMap<PriceTicks, u64>,
}

impl RecordedBook {
    /// The opening book of a plan.
    #[must_use]
    pub fn opening(plan: &Plan) -> Self {
        let mut book = Self { record: plan.start.clone(), bids: BTreeMap::new(), asks: BTreeMap::new() };
        for (_, order) in plan.start.orders() {
            book.add(*order);
        }
        book
    }

    /// Takes in the next row.
    pub fn follow(&mut self, row: &Row) {
        if let Some(before) = self.record.order(row.id).copied() {
            self.remove(before);
        }
        self.record.follow(row);
        if let Some(after) = self.record.order(row.id).copied() {
            self.add(after);
        }
    }

    /// Best bid and ask among orders of at least one lot.
    #[must_use]
    pub fn best(&self) -> BestPrices {
        BestPrices {
            bid: self.bids.last_key_value().map(|(price, _)| *price),
            ask: self.asks.first_key_value().map(|(price, _)| *price),
        }
    }

    /// The order, if the record shows it as resting.
    #[cfg(test)]
    #[must_use]
    pub fn order(&self, id: u64) -> Option<&LiveOrder> {
        self.record.order(id)
    }

    fn add(&mut self, order: LiveOrder) {
        if order.remaining_satoshi >= LOT_SATOSHI {
            *self.side(order.side).entry(order.price).or_default() += 1;
        }
    }

    fn remove(&mut self, order: LiveOrder) {
        if order.remaining_satoshi < LOT_SATOSHI {
            return;
        }
        let side = self.side(order.side);
        let Some(orders) = side.get_mut(&order.price) else {
            return;
        };
        *orders -= 1;
        if *orders == 0 {
            side.remove(&order.price);
        }
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<PriceTicks, u64> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}
