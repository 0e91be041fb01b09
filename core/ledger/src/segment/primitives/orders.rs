//! Resting orders: the book, its owner's list, reserves and expiry in step.

use casemate_protocol::command::Side;
use casemate_protocol::units::notional;
use casemate_protocol::{QuantityLots, QuoteMicros};

use super::SegmentUndo;
use crate::segment::{OpenOrder, RestingOrder, Segment};

impl Segment {
    /// Puts an order at the end of the queue of its price, with everything that follows from that.
    pub(crate) fn link_order(&mut self, order: RestingOrder) -> u32 {
        let slot = self.orders.insert(order);
        if let Some(market) = self.markets.get_mut(usize::from(order.market)) {
            market.book.push_back(slot, &mut self.orders);
        }
        self.remember(SegmentUndo::OrderLinked { slot });
        self.note_book_change(BookChange::Linked, &order);
        self.index_order(slot, &order);
        slot
    }

    /// Takes an order out of the book, with everything that follows from that.
    pub(crate) fn unlink_order(&mut self, slot: u32) {
        let Some(order) = self.orders.order(slot).copied() else { return };
        if let Some(market) = self.markets.get_mut(usize::from(order.market)) {
            market.book.unlink(slot, &mut self.orders);
        }
        self.orders.retire(slot);
        self.remember(SegmentUndo::OrderUnlinked { slot });
        self.note_book_change(BookChange::Unlinked, &order);
        self.unindex_order(&order);
        if order.grant != 0 {
            self.drop_ended_usage(u64::from(order.account), order.grant);
        }
    }

    /// Changes what is left of an order, above zero, in its place.
    pub(crate) fn set_remaining(&mut self, slot: u32, remaining: QuantityLots) {
        let Some(order) = self.orders.order(slot).copied() else { return };
        self.remember(SegmentUndo::Remaining { slot, remaining: order.remaining });
        self.note_book_change(BookChange::Remaining, &RestingOrder { remaining, ..order });
        self.put_remaining(slot, remaining);
    }

    /// Writes a change of the book down for the market's running digest.
    fn note_book_change(&mut self, change: BookChange, order: &RestingOrder) {
        let Some(market) = self.markets.get_mut(usize::from(order.market)) else { return };
        market.book_changes.push(change.number() | order.side.number());
        market.book_changes.extend_from_slice(&order.number.number().to_le_bytes());
        market.book_changes.extend_from_slice(&order.price.ticks().to_le_bytes());
        market.book_changes.extend_from_slice(&order.remaining.lots().to_le_bytes());
        market.book_changes.extend_from_slice(&order.account.to_le_bytes());
    }

    fn forget_book_change(&mut self, market: u16) {
        let Some(market) = self.markets.get_mut(usize::from(market)) else { return };
        let kept = market.book_changes.len().saturating_sub(BOOK_CHANGE_BYTES);
        market.book_changes.truncate(kept);
    }

    fn put_remaining(&mut self, slot: u32, remaining: QuantityLots) {
        let Some(order) = self.orders.order_mut(slot) else { return };
        let before = *order;
        order.remaining = remaining;
        let after = *order;
        self.add_reserve(&before, Direction::Less, 0);
        self.add_reserve(&after, Direction::More, 0);
    }

    fn index_order(&mut self, slot: u32, order: &RestingOrder) {
        if !order.expires_ms.is_zero()
            && let Some(market) = self.market(order.market).map(|market| market.rules.id)
        {
            self.order_expiries.insert((order.expires_ms.ms(), order.number.number()), (order.owner(), market));
        }
        if let Some(row) = self.sub_accounts.row_mut(u64::from(order.account)) {
            let trading = row.trading_mut();
            let number = order.number.number();
            let place = trading.orders.partition_point(|open| open.number < number);
            trading.orders.insert(place, OpenOrder { number, client_id: order.client_id, slot, market: order.market });
        }
        self.add_reserve(order, Direction::More, 1);
    }

    fn unindex_order(&mut self, order: &RestingOrder) {
        if !order.expires_ms.is_zero() {
            self.order_expiries.remove(&(order.expires_ms.ms(), order.number.number()));
        }
        if let Some(row) = self.sub_accounts.row_mut(u64::from(order.account)) {
            let trading = row.trading_mut();
            let number = order.number.number();
            if let Ok(place) = trading.orders.binary_search_by_key(&number, |open| open.number) {
                trading.orders.remove(place);
            }
        }
        self.add_reserve(order, Direction::Less, 1);
    }

    /// Adds an order's reserve to its owner's sums, or takes it off. Reduce-only orders reserve nothing.
    fn add_reserve(&mut self, order: &RestingOrder, direction: Direction, orders: u32) {
        let Some(tick_value) = self.market(order.market).map(|market| market.rules.tick_value) else { return };
        let Some(row) = self.sub_accounts.row_mut(u64::from(order.account)) else { return };
        let trading = row.trading_mut();
        let (lots, micros) = if order.is_reduce_only {
            (0, 0)
        } else {
            let reserve = notional(order.price, order.remaining, tick_value).map_or(i64::MAX, QuoteMicros::micros);
            (i64::try_from(order.remaining.lots()).unwrap_or(i64::MAX), reserve)
        };
        if let Some(usage) = trading.usage.iter_mut().find(|usage| usage.grant == order.grant && order.grant != 0) {
            direction.apply(&mut usage.open_notional, micros);
            direction.count(&mut usage.open_orders, orders);
        }
        let position = trading.position_mut(order.market);
        direction.count(&mut position.order_count, orders);
        let (side_lots, side_notional) = match order.side {
            Side::Bid => (&mut position.bid_lots, &mut position.bid_notional),
            Side::Ask => (&mut position.ask_lots, &mut position.ask_notional),
        };
        direction.apply(side_lots, lots);
        direction.apply(side_notional, micros);
        trading.prune(order.market);
    }

    /// Puts an order of a snapshot back: at the end of its queue, its owner's list pointing at its new slot. Reserves
    /// are in the owner's row already. False if there is no market, or no owner who says that it is there.
    pub(crate) fn restore_order(&mut self, order: RestingOrder) -> bool {
        let number = order.number.number();
        let Some(row) = self.sub_accounts.row_mut(u64::from(order.account)) else { return false };
        let Some(market) = self.markets.get_mut(usize::from(order.market)) else { return false };
        let orders = &mut row.trading_mut().orders;
        let Ok(place) = orders.binary_search_by_key(&number, |open| open.number) else { return false };
        let Some(open) = orders.get_mut(place).filter(|open| open.market == order.market) else { return false };
        open.slot = self.orders.insert(order);
        market.book.push_back(open.slot, &mut self.orders);
        if !order.expires_ms.is_zero() {
            self.order_expiries.insert((order.expires_ms.ms(), number), (order.owner(), market.rules.id));
        }
        true
    }

    /// Whether every open order that an account lists is in the book.
    pub(crate) fn has_every_open_order(&self) -> bool {
        self.sub_accounts.iter().all(|(account, row)| {
            row.orders().iter().all(|open| {
                self.orders.order(open.slot).is_some_and(|order| {
                    order.number.number() == open.number
                        && u64::from(order.account) == account
                        && order.market == open.market
                        && order.client_id == open.client_id
                })
            })
        })
    }

    pub(super) fn step_orders_back(&mut self, step: SegmentUndo) {
        match step {
            SegmentUndo::OrderLinked { slot } => {
                let Some(order) = self.orders.order(slot).copied() else { return };
                if let Some(market) = self.markets.get_mut(usize::from(order.market)) {
                    market.book.unlink(slot, &mut self.orders);
                }
                self.forget_book_change(order.market);
                self.unindex_order(&order);
                self.orders.release(slot);
            }
            SegmentUndo::OrderUnlinked { slot } => {
                let Some(order) = self.orders.order(slot).copied() else { return };
                self.orders.revive(slot);
                if let Some(market) = self.markets.get_mut(usize::from(order.market)) {
                    market.book.relink(slot, &mut self.orders);
                }
                self.forget_book_change(order.market);
                self.index_order(slot, &order);
            }
            SegmentUndo::Remaining { slot, remaining } => {
                let market = self.orders.order(slot).map_or(u16::MAX, |order| order.market);
                self.forget_book_change(market);
                self.put_remaining(slot, remaining);
            }
            _ => {}
        }
    }
}

/// What happened to an order in the book, as its running digest says it; the low bits name the side.
#[derive(Clone, Copy)]
enum BookChange {
    Linked,
    Unlinked,
    Remaining,
}

impl BookChange {
    const fn number(self) -> u8 {
        match self {
            Self::Linked => 0x10,
            Self::Unlinked => 0x20,
            Self::Remaining => 0x30,
        }
    }
}

/// Bytes that one change of the book takes in the digest's input.
const BOOK_CHANGE_BYTES: usize = 1 + 8 + 8 + 8 + 4;

/// Whether a sum grows or shrinks.
#[derive(Clone, Copy)]
enum Direction {
    More,
    Less,
}

impl Direction {
    fn apply(self, sum: &mut i64, amount: i64) {
        *sum = match self {
            Self::More => sum.saturating_add(amount),
            Self::Less => sum.saturating_sub(amount),
        };
    }

    fn count(self, sum: &mut u32, amount: u32) {
        *sum = match self {
            Self::More => sum.saturating_add(amount),
            Self::Less => sum.saturating_sub(amount),
        };
    }
}
