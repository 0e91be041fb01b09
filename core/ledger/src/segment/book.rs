//! The book of a market: price levels, each a queue of orders by slot.

use std::collections::BTreeMap;

use casemate_protocol::{PriceTicks, Side};

use super::{NO_SLOT, OrderSlab, RestingOrder};

/// Both sides of a market.
#[derive(Clone, Debug, Default)]
pub struct Book {
    bids: BTreeMap<PriceTicks, Level>,
    asks: BTreeMap<PriceTicks, Level>,
}

/// The queue of one price, first in line at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    head: u32,
    tail: u32,
}

impl Book {
    /// Price and first slot of the best level of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<(PriceTicks, u32)> {
        let best = match side {
            Side::Bid => self.bids.last_key_value(),
            Side::Ask => self.asks.first_key_value(),
        };
        best.map(|(&price, level)| (price, level.head))
    }

    /// Best price of a side.
    #[must_use]
    pub fn best_price(&self, side: Side) -> Option<PriceTicks> {
        self.best(side).map(|(price, _)| price)
    }

    /// Slots of a side from best to worst, in the order of their queues.
    pub fn slots<'a>(&'a self, side: Side, orders: &'a OrderSlab) -> impl Iterator<Item = u32> + 'a {
        let levels: Box<dyn Iterator<Item = &Level>> = match side {
            Side::Bid => Box::new(self.bids.values().rev()),
            Side::Ask => Box::new(self.asks.values()),
        };
        levels.flat_map(move |level| {
            core::iter::successors(Some(level.head), move |&slot| {
                orders.order(slot).map(|order| order.next).filter(|&next| next != NO_SLOT)
            })
        })
    }

    pub(super) fn levels_mut(&mut self, side: Side) -> &mut BTreeMap<PriceTicks, Level> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }

    /// Puts an order at the end of its price's queue.
    pub(super) fn push_back(&mut self, slot: u32, orders: &mut OrderSlab) {
        let Some(order) = orders.order(slot).copied() else { return };
        let levels = self.levels_mut(order.side);
        let level = levels.entry(order.price).or_insert(Level { head: slot, tail: NO_SLOT });
        let previous = core::mem::replace(&mut level.tail, slot);
        if let Some(tail) = orders.order_mut(previous) {
            tail.next = slot;
        }
        if let Some(order) = orders.order_mut(slot) {
            order.previous = previous;
            order.next = NO_SLOT;
        }
    }

    /// Takes an order out of its queue. Its own links stay as they were, so that `relink` can put it back.
    pub(super) fn unlink(&mut self, slot: u32, orders: &mut OrderSlab) {
        let Some(RestingOrder { previous, next, side, price, .. }) = orders.order(slot).copied() else { return };
        if let Some(neighbour) = orders.order_mut(previous) {
            neighbour.next = next;
        }
        if let Some(neighbour) = orders.order_mut(next) {
            neighbour.previous = previous;
        }
        let levels = self.levels_mut(side);
        if previous == NO_SLOT && next == NO_SLOT {
            levels.remove(&price);
        } else if let Some(level) = levels.get_mut(&price) {
            if previous == NO_SLOT {
                level.head = next;
            }
            if next == NO_SLOT {
                level.tail = previous;
            }
        }
    }

    /// Puts an order back exactly where `unlink` took it out; everything since must have been undone.
    pub(super) fn relink(&mut self, slot: u32, orders: &mut OrderSlab) {
        let Some(RestingOrder { previous, next, side, price, .. }) = orders.order(slot).copied() else { return };
        if let Some(neighbour) = orders.order_mut(previous) {
            neighbour.next = slot;
        }
        if let Some(neighbour) = orders.order_mut(next) {
            neighbour.previous = slot;
        }
        let level = self.levels_mut(side).entry(price).or_insert(Level { head: slot, tail: slot });
        if previous == NO_SLOT {
            level.head = slot;
        }
        if next == NO_SLOT {
            level.tail = slot;
        }
    }
}

impl OrderSlab {
    /// The order in a slot.
    #[must_use]
    pub fn order(&self, slot: u32) -> Option<&RestingOrder> {
        self.orders.get(usize::try_from(slot).ok()?)
    }

    /// Resting orders now.
    #[must_use]
    pub const fn live_count(&self) -> u64 {
        self.live_count
    }

    pub(super) fn order_mut(&mut self, slot: u32) -> Option<&mut RestingOrder> {
        self.orders.get_mut(usize::try_from(slot).ok()?)
    }

    /// Finds a slot for an order.
    pub(super) fn insert(&mut self, order: RestingOrder) -> u32 {
        self.live_count = self.live_count.saturating_add(1);
        if let Some(slot) = self.free.pop() {
            if let Some(place) = self.order_mut(slot) {
                *place = order;
            }
            return slot;
        }
        self.orders.push(order);
        u32::try_from(self.orders.len().saturating_sub(1)).unwrap_or(NO_SLOT)
    }

    /// Gives an order up; the slot keeps its content until the block ends.
    pub(super) fn retire(&mut self, slot: u32) {
        self.live_count = self.live_count.saturating_sub(1);
        self.freed_in_block.push(slot);
    }

    /// Undoes `retire`.
    pub(super) fn revive(&mut self, slot: u32) {
        self.live_count = self.live_count.saturating_add(1);
        let last = self.freed_in_block.pop();
        debug_assert_eq!(last, Some(slot), "retirements are undone in the reverse of their order");
    }

    /// Undoes `insert`.
    pub(super) fn release(&mut self, slot: u32) {
        self.live_count = self.live_count.saturating_sub(1);
        self.free.push(slot);
    }

    /// Makes the slots given up in the block free again, now that nothing can bring them back.
    pub(super) fn settle(&mut self) {
        self.free.append(&mut self.freed_in_block);
    }
}
