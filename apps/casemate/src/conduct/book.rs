//! A price-time book, as small as it can be: what is evaluated here is conduct, and `replay --orders` is the test of the
//! engine's own.

use std::collections::{BTreeMap, VecDeque};

use casemate_protocol::command::Side;

/// An order that rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    pub id: u64,
    pub account: u64,
    pub side: Side,
    pub price: u64,
    pub lots: u64,
    pub rested_ms: u64,
}

/// A fill of an arriving order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub maker: u64,
    pub price: u64,
    pub lots: u64,
}

/// Orders by price, then by time.
#[derive(Clone, Debug, Default)]
pub struct Book {
    bids: BTreeMap<u64, VecDeque<u64>>,
    asks: BTreeMap<u64, VecDeque<u64>>,
    orders: BTreeMap<u64, Resting>,
}

impl Book {
    /// Best price of a side.
    pub fn best(&self, side: Side) -> Option<u64> {
        match side {
            Side::Bid => self.bids.last_key_value().map(|(price, _)| *price),
            Side::Ask => self.asks.first_key_value().map(|(price, _)| *price),
        }
    }

    /// How far a price is from the best of its side, in parts per million of that; 0 if it is better or there is none.
    pub fn distance_ppm(&self, side: Side, price: u64) -> u32 {
        let Some(best) = self.best(side) else { return 0 };
        let away = match side {
            Side::Bid => best.saturating_sub(price),
            Side::Ask => price.saturating_sub(best),
        };
        u32::try_from(away * 1_000_000 / best.max(1)).unwrap_or(u32::MAX)
    }

    /// Lots within a distance of the best price of a side.
    pub fn depth(&self, side: Side, within_ppm: u64) -> u64 {
        let Some(best) = self.best(side) else { return 0 };
        let reach = best * within_ppm / 1_000_000;
        let levels: Box<dyn Iterator<Item = &VecDeque<u64>>> = match side {
            Side::Bid => Box::new(self.bids.range(best.saturating_sub(reach)..).map(|(_, queue)| queue)),
            Side::Ask => Box::new(self.asks.range(..=best + reach).map(|(_, queue)| queue)),
        };
        levels.flatten().filter_map(|id| self.orders.get(id)).map(|order| order.lots).sum()
    }

    /// The worst price that an order would trade at, if it would trade.
    pub fn reached(&self, side: Side, limit: u64, lots: u64) -> Option<u64> {
        let mut left = lots;
        let mut reached = None;
        for (price, queue) in self.opposite(side, limit) {
            if left == 0 {
                break;
            }
            reached = Some(price);
            let there: u64 = queue.iter().filter_map(|id| self.orders.get(id)).map(|order| order.lots).sum();
            left = left.saturating_sub(there);
        }
        reached
    }

    /// Levels that an order of this side and limit trades with, best first.
    fn opposite(&self, side: Side, limit: u64) -> Box<dyn Iterator<Item = (u64, &VecDeque<u64>)> + '_> {
        match side {
            Side::Bid => Box::new(self.asks.range(..=limit).map(|(price, queue)| (*price, queue))),
            Side::Ask => Box::new(self.bids.range(limit..).rev().map(|(price, queue)| (*price, queue))),
        }
    }

    /// Matches an arriving order and lets the rest of it rest. Orders of its own account leave instead of trading.
    pub fn place(&mut self, order: Resting) -> Vec<Fill> {
        let mut fills = Vec::new();
        let mut left = order.lots;
        while left > 0 {
            let next = self.opposite(order.side, order.price).next().and_then(|(_, queue)| queue.front().copied());
            let Some(maker) = next.and_then(|id| self.orders.get(&id).copied()) else { break };
            if maker.account == order.account {
                self.remove(maker.id);
                continue;
            }
            let lots = left.min(maker.lots);
            fills.push(Fill { maker: maker.account, price: maker.price, lots });
            left -= lots;
            if lots == maker.lots {
                self.remove(maker.id);
            } else if let Some(maker) = self.orders.get_mut(&maker.id) {
                maker.lots -= lots;
            }
        }
        if left > 0 {
            self.side_mut(order.side).entry(order.price).or_default().push_back(order.id);
            self.orders.insert(order.id, Resting { lots: left, ..order });
        }
        fills
    }

    /// Takes an order out, if it is there.
    pub fn remove(&mut self, id: u64) -> Option<Resting> {
        let order = self.orders.remove(&id)?;
        let side = self.side_mut(order.side);
        if let Some(queue) = side.get_mut(&order.price) {
            queue.retain(|other| *other != id);
            if queue.is_empty() {
                side.remove(&order.price);
            }
        }
        Some(order)
    }

    /// The order, if it rests.
    pub fn order(&self, id: u64) -> Option<&Resting> {
        self.orders.get(&id)
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<u64, VecDeque<u64>> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}
