//! What each row of the record means, given the rows before it.
//!
//! The record is one venue's feed with its quirks: an order's fill is the decrease of its volume from one row to the
//! next; a market order walks the book by changing its price, and its volume then shrinks without a fill, because its
//! budget buys less; some rows arrive in the wrong order or twice. This is the one place that decides, so that the plan
//! and the recorded book cannot disagree about it.

use std::collections::{BTreeMap, BTreeSet};

use casemate_protocol::PriceTicks;
use casemate_protocol::command::Side;

use super::rows::{Row, RowAction};

/// The record up to some row: which orders it shows as resting.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Orders that have a create anywhere in the file; all others existed before it begins.
    created_in_file: BTreeSet<u64>,
    live: BTreeMap<u64, LiveOrder>,
    ended: BTreeSet<u64>,
}

/// An order as the record shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveOrder {
    /// Buy or sell.
    pub side: Side,
    /// Its price.
    pub price: PriceTicks,
    /// What is left of it.
    pub remaining_satoshi: u64,
}

/// What a row means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordEvent {
    /// The order arrived.
    Created,
    /// The order was filled by this much; unknown where the record does not say what was left before.
    Filled {
        /// How much.
        satoshi: Option<u64>,
    },
    /// The order left its price for that of the row, with the row's volume. A decrease of volume is no fill here.
    Repriced,
    /// The order was withdrawn by its owner; if less was left than before, the difference was filled first.
    Cancelled {
        /// How much had been filled unseen.
        filled_satoshi: u64,
    },
    /// The row contradicts earlier rows and means nothing.
    Contradiction(Contradiction),
}

/// How a row contradicts the rows before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contradiction {
    /// A row before the order's create: the feed delivered the two in the wrong order.
    BeforeCreated,
    /// A create after the order was deleted: the other half of the same thing.
    CreatedAfterDeleted,
    /// A create of a live order.
    CreatedTwice,
    /// A change or a second delete after the order was deleted.
    AfterDeleted,
    /// A live order's volume grew.
    VolumeRose,
    /// The order changed sides.
    SideChanged,
}

impl Record {
    /// The record before its first row: no order known, but which orders the file creates.
    #[must_use]
    pub fn before(rows: &[Row]) -> Self {
        let creates = rows.iter().filter(|row| row.action == RowAction::Created);
        Self { created_in_file: creates.map(|row| row.id).collect(), ..Self::default() }
    }

    /// Adds an order that existed before the file begins.
    pub fn open(&mut self, id: u64, order: LiveOrder) {
        self.live.insert(id, order);
    }

    /// Whether the order existed before the file begins.
    #[must_use]
    pub fn is_opening(&self, id: u64) -> bool {
        !self.created_in_file.contains(&id)
    }

    /// The order, if the record shows it as resting.
    #[must_use]
    pub fn order(&self, id: u64) -> Option<&LiveOrder> {
        self.live.get(&id)
    }

    /// The orders that the record shows as resting, by number.
    pub fn orders(&self) -> impl Iterator<Item = (u64, &LiveOrder)> {
        self.live.iter().map(|(id, order)| (*id, order))
    }

    /// Takes in the next row and says what it means.
    pub fn follow(&mut self, row: &Row) -> RecordEvent {
        let is_ended = self.ended.contains(&row.id);
        let known = self.live.get(&row.id).copied();
        if known.is_some_and(|order| order.side != row.side) {
            return RecordEvent::Contradiction(Contradiction::SideChanged);
        }
        match row.action {
            RowAction::Created if is_ended => RecordEvent::Contradiction(Contradiction::CreatedAfterDeleted),
            RowAction::Created if known.is_some() => RecordEvent::Contradiction(Contradiction::CreatedTwice),
            RowAction::Created => {
                self.put(row);
                RecordEvent::Created
            }
            RowAction::Changed | RowAction::Deleted if is_ended => {
                RecordEvent::Contradiction(Contradiction::AfterDeleted)
            }
            RowAction::Changed => self.change(row, known),
            RowAction::Deleted => self.delete(row, known),
        }
    }

    fn change(&mut self, row: &Row, known: Option<LiveOrder>) -> RecordEvent {
        if known.is_none() && !self.is_opening(row.id) {
            return RecordEvent::Contradiction(Contradiction::BeforeCreated);
        }
        self.put(row);
        match known {
            None => RecordEvent::Filled { satoshi: None },
            Some(order) if order.price != row.price => RecordEvent::Repriced,
            Some(order) => match order.remaining_satoshi.checked_sub(row.volume_satoshi) {
                Some(satoshi) => RecordEvent::Filled { satoshi: Some(satoshi) },
                None => RecordEvent::Contradiction(Contradiction::VolumeRose),
            },
        }
    }

    fn delete(&mut self, row: &Row, known: Option<LiveOrder>) -> RecordEvent {
        self.live.remove(&row.id);
        self.ended.insert(row.id);
        if known.is_none() && !self.is_opening(row.id) {
            return RecordEvent::Contradiction(Contradiction::BeforeCreated);
        }
        let remaining = known.map(|order| order.remaining_satoshi);
        if row.volume_satoshi == 0 {
            return RecordEvent::Filled { satoshi: remaining };
        }
        let filled_satoshi = remaining.map_or(0, |remaining| remaining.saturating_sub(row.volume_satoshi));
        RecordEvent::Cancelled { filled_satoshi }
    }

    fn put(&mut self, row: &Row) {
        let order = LiveOrder { side: row.side, price: row.price, remaining_satoshi: row.volume_satoshi };
        self.live.insert(row.id, order);
    }
}
