//! One market's book by level, kept from events.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use casemate_ledger::Ledger;
use casemate_ledger::segment::{Market, Segment};
use casemate_protocol::{Event, MarketId, Side};

use crate::dto::market::LevelJson;
use crate::values::Int;

/// Levels of both sides, and the orders that make them.
#[derive(Debug, Default)]
pub struct LevelBook {
    bids: BTreeMap<u64, Level>,
    asks: BTreeMap<u64, Level>,
    orders: HashMap<u64, Resting>,
    /// Levels that changed since they were last told.
    changed: BTreeSet<(Side, u64)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    lots: u64,
    orders: u32,
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    side: Side,
    price: u64,
    lots: u64,
}

impl LevelBook {
    /// The book as the ledger has it.
    pub fn of_market(segment: &Segment, market: &Market) -> Self {
        let mut book = Self::default();
        for side in [Side::Bid, Side::Ask] {
            for slot in market.book().slots(side, segment.orders()) {
                let Some(order) = segment.orders().order(slot) else { continue };
                let resting = Resting { side, price: order.price.ticks(), lots: order.remaining.lots() };
                book.add(order.number.number(), resting);
            }
        }
        book.changed.clear();
        book
    }

    /// Lets an event take effect.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::OrderRested(it) => {
                let resting = Resting { side: it.side, price: it.price.ticks(), lots: it.quantity.lots() };
                self.add(it.number.number(), resting);
            }
            Event::OrderRemoved(it) => {
                self.take(it.number.number());
            }
            Event::OrderReduced(it) => {
                if let Some(resting) = self.take(it.number.number()) {
                    self.add(it.number.number(), Resting { lots: it.quantity.lots(), ..resting });
                }
            }
            Event::TradeExecuted(it) => {
                let number = it.maker_order.number();
                if let Some(resting) = self.take(number) {
                    let lots = resting.lots.saturating_sub(it.quantity.lots());
                    if lots > 0 {
                        self.add(number, Resting { lots, ..resting });
                    }
                }
            }
            // Every other event leaves the book as it is.
            _ => {}
        }
    }

    /// The best levels of both sides.
    pub fn best(&self, depth: usize) -> (Vec<LevelJson>, Vec<LevelJson>) {
        let show = |(&price, level): (&u64, &Level)| level_json(price, *level);
        let bids = self.bids.iter().rev().take(depth).map(show).collect();
        let asks = self.asks.iter().take(depth).map(show).collect();
        (bids, asks)
    }

    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Levels that changed since the last call, best first; one without lots is gone.
    pub fn take_changes(&mut self) -> (Vec<LevelJson>, Vec<LevelJson>) {
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        for (side, price) in std::mem::take(&mut self.changed) {
            let level = self.levels(side).get(&price).copied().unwrap_or_default();
            match side {
                Side::Bid => bids.push(level_json(price, level)),
                Side::Ask => asks.push(level_json(price, level)),
            }
        }
        bids.reverse();
        (bids, asks)
    }

    fn add(&mut self, number: u64, resting: Resting) {
        self.orders.insert(number, resting);
        let level = self.levels_mut(resting.side).entry(resting.price).or_default();
        level.lots = level.lots.saturating_add(resting.lots);
        level.orders = level.orders.saturating_add(1);
        self.changed.insert((resting.side, resting.price));
    }

    fn take(&mut self, number: u64) -> Option<Resting> {
        let resting = self.orders.remove(&number)?;
        let levels = self.levels_mut(resting.side);
        if let Some(level) = levels.get_mut(&resting.price) {
            level.lots = level.lots.saturating_sub(resting.lots);
            level.orders = level.orders.saturating_sub(1);
            if level.orders == 0 {
                levels.remove(&resting.price);
            }
        }
        self.changed.insert((resting.side, resting.price));
        Some(resting)
    }

    const fn levels(&self, side: Side) -> &BTreeMap<u64, Level> {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    const fn levels_mut(&mut self, side: Side) -> &mut BTreeMap<u64, Level> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}

/// Every market with its segment.
pub fn markets(ledger: &Ledger) -> impl Iterator<Item = (MarketId, &Segment, &Market)> {
    ledger
        .segments()
        .iter()
        .flat_map(|segment| segment.markets().iter().map(move |market| (market.rules().id, segment, market)))
}

fn level_json(price: u64, level: Level) -> LevelJson {
    LevelJson { price_ticks: Int(price), quantity_lots: Int(level.lots), orders: level.orders }
}
