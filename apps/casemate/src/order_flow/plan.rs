//! Turns the rows of a record into steps for the engine.
//!
//! A create is a limit order that stands until it is cancelled; a delete with volume left is a cancel; a change of price
//! is a cancel and a new order; everything else is a fill, which the engine must find on its own. Steps keep the order
//! of the file. Inside a block the engine takes cancels first, so a block is closed before every cancel that follows an
//! order of the same block.
//!
//! **The opening book.** Orders without a create existed before the file begins. Their price and side are those of their
//! first row, their place in the queue that of their number, and their volume is what was left after the first row plus
//! what that row filled. A first row does not say what it filled, but the other side of the same trade does: the two
//! rows of a trade follow each other among all fills, with the same volume to within a rounding of two satoshi. Where no
//! such neighbour exists the volume in the row is taken, and an order of which nothing but its end is known is left out
//! and counted. Orders that existed before the file and are in no row of it stay unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use casemate_protocol::command::Side;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::{PriceTicks, QuantityLots, TimeMs};

use super::LOT_SATOSHI;
use super::record::{Contradiction, LiveOrder, Record, RecordEvent};
use super::rows::{Row, RowAction};

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Place an order of the opening book. These come first, and none trades with another.
    Open(OrderStep),
    /// Place a limit order, good till cancelled.
    Create(OrderStep),
    /// Cancel what is left of an order. The engine may have filled it and then refuses: that is a difference to the
    /// record, not an error.
    Cancel(CancelStep),
    /// Close the block, so that the orders in it rest before the next cancel.
    CloseBlock {
        /// All rows up to this line, and none after it, have been turned into steps.
        through_line: u64,
        /// When the last of them was received; the genesis of the replay for the opening book.
        time: TimeMs,
    },
}

/// An order to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderStep {
    /// The row it comes from.
    pub line: u64,
    /// When that row was received.
    pub time: TimeMs,
    /// The order's number in the record. An order that changes its price keeps it.
    pub id: u64,
    /// Buy or sell.
    pub side: Side,
    /// Its limit.
    pub price: PriceTicks,
    /// How many lots, at least one.
    pub quantity: QuantityLots,
}

/// An order to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelStep {
    /// The row it comes from.
    pub line: u64,
    /// When that row was received.
    pub time: TimeMs,
    /// The order's number in the record.
    pub id: u64,
}

/// The steps, and what the record expects of them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// Every order of the record.
    pub orders: BTreeMap<u64, RecordedOrder>,
    /// The record with its opening book, before the first row.
    pub start: Record,
    /// What was found in the file.
    pub counts: PlanCounts,
}

/// What the record says of one order, and what became of it in the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedOrder {
    /// Filled over the whole record.
    pub filled_satoshi: u64,
    /// Rows that show a fill.
    pub fill_rows: u32,
    /// How often it is placed: once, and once more for each change of its price.
    pub placements: u32,
    /// Lost to rounding down to lots, over all its placements.
    pub remainder_satoshi: u64,
    /// Why it was never placed; `None` if it was.
    pub not_sent: Option<NotSent>,
}

/// Why an order of the record is not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotSent {
    /// It existed before the file begins, and the record does not say with how much.
    OpeningVolumeUnknown,
    /// It would trade with another order of the opening book.
    OpeningCrosses,
    /// It is smaller than one lot.
    BelowOneLot,
    /// The record shows its end before its create.
    DeletedBeforeCreated,
}

/// What was found in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanCounts {
    /// Rows by action.
    pub created_rows: u64,
    /// Rows by action.
    pub changed_rows: u64,
    /// Rows by action.
    pub deleted_rows: u64,
    /// Orders without a create.
    pub opening_orders: u64,
    /// Of these: volume at the first row known from the other side of its trade.
    pub opening_orders_inferred: u64,
    /// Orders placed, opening book and changed prices included.
    pub orders_placed: u64,
    /// Of these: with a new price for an order placed before.
    pub orders_repriced: u64,
    /// Cancels sent, those of changed prices included.
    pub cancels: u64,
    /// Rows that show a fill.
    pub fill_rows: u64,
    /// Filled over the whole record, both sides of each trade.
    pub filled_satoshi: u64,
    /// Lost to rounding down to lots, over all placements.
    pub remainder_satoshi: u64,
    /// Blocks closed.
    pub blocks: u64,
    /// Orders that are not placed, by reason.
    pub not_sent: BTreeMap<NotSent, u64>,
    /// Rows that mean nothing, by reason.
    pub contradictions: BTreeMap<Contradiction, u64>,
}

impl Plan {
    /// Plans the replay of a record.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let mut start = Record::before(rows);
        let opening = opening_book(rows, &start);
        let mut planner = Planner::default();
        planner.counts.opening_orders = opening.len() as u64;
        planner.open_book(&opening, rows.first());
        for order in &opening {
            if let Some(remaining_satoshi) = order.volume_satoshi {
                let OpeningOrder { side, price, .. } = *order;
                start.open(order.id, LiveOrder { side, price, remaining_satoshi });
            }
        }
        let mut record = start.clone();
        for row in rows {
            let event = record.follow(row);
            planner.take(row, event);
        }
        planner.close_block();
        planner.counts.filled_satoshi = planner.orders.values().map(|order| order.filled_satoshi).sum();
        for reason in planner.orders.values().filter_map(|order| order.not_sent) {
            *planner.counts.not_sent.entry(reason).or_default() += 1;
        }
        let Planner { steps, orders, counts, .. } = planner;
        Self { steps, orders, start, counts }
    }
}

/// Which of `accounts` owns an order of the record: the record does not say, so a hash of seed and number does.
#[must_use]
pub fn account_index(seed: &[u8; 32], id: u64, accounts: NonZeroU64) -> u64 {
    let digest = hash::digest(Domain::Development, &[b"flow.own", seed, &id.to_le_bytes()]);
    let [first, ..] = digest.bytes().as_chunks::<8>().0 else {
        return 0;
    };
    u64::from_le_bytes(*first) % accounts
}

/// Builds the steps row by row.
#[derive(Default)]
struct Planner {
    steps: Vec<Step>,
    orders: BTreeMap<u64, RecordedOrder>,
    counts: PlanCounts,
    /// Orders that were placed and not cancelled.
    placed: BTreeSet<u64>,
    /// The block holds a step.
    is_block_open: bool,
    /// The block holds an order, so a cancel needs a new one.
    has_order_in_block: bool,
    /// The last row taken.
    line: u64,
    time: TimeMs,
}

impl Planner {
    fn open_book(&mut self, opening: &[OpeningOrder], first: Option<&Row>) {
        let Some(first) = first else { return };
        self.line = first.line.saturating_sub(1);
        self.time = first.time;
        let mut best_bid = None;
        let mut best_ask = None;
        for order in opening {
            let OpeningOrder { line, id, side, price, volume_satoshi, is_inferred } = *order;
            self.counts.opening_orders_inferred += u64::from(is_inferred);
            let (own, other) = match side {
                Side::Bid => (&mut best_bid, &best_ask),
                Side::Ask => (&mut best_ask, &best_bid),
            };
            let recorded = self.orders.entry(id).or_default();
            let Some(volume_satoshi) = volume_satoshi else {
                recorded.not_sent = Some(NotSent::OpeningVolumeUnknown);
                continue;
            };
            if other.is_some_and(|resting| side.crosses(price, resting)) {
                recorded.not_sent = Some(NotSent::OpeningCrosses);
                continue;
            }
            if own.is_none_or(|best| side.crosses(price, best)) {
                *own = Some(price);
            }
            if let Some(quantity) = self.lots(id, volume_satoshi) {
                self.place(Step::Open(OrderStep { line, time: first.time, id, side, price, quantity }), id);
            }
        }
        self.close_block();
    }

    fn take(&mut self, row: &Row, event: RecordEvent) {
        match row.action {
            RowAction::Created => self.counts.created_rows += 1,
            RowAction::Changed => self.counts.changed_rows += 1,
            RowAction::Deleted => self.counts.deleted_rows += 1,
        }
        self.orders.entry(row.id).or_default();
        match event {
            RecordEvent::Created => self.create(row),
            RecordEvent::Filled { satoshi } => self.expect_fill(row.id, satoshi.unwrap_or(0)),
            RecordEvent::Repriced => {
                self.cancel(row);
                self.counts.orders_repriced += 1;
                self.create(row);
            }
            RecordEvent::Cancelled { filled_satoshi } => {
                if filled_satoshi > 0 {
                    self.expect_fill(row.id, filled_satoshi);
                }
                self.cancel(row);
            }
            RecordEvent::Contradiction(contradiction) => {
                *self.counts.contradictions.entry(contradiction).or_default() += 1;
                if contradiction == Contradiction::BeforeCreated {
                    self.orders.entry(row.id).or_default().not_sent = Some(NotSent::DeletedBeforeCreated);
                }
            }
        }
        self.line = row.line;
        self.time = row.time;
    }

    fn create(&mut self, row: &Row) {
        let Row { line, id, time, price, side, .. } = *row;
        if let Some(quantity) = self.lots(id, row.volume_satoshi) {
            self.place(Step::Create(OrderStep { line, time, id, side, price, quantity }), id);
        }
    }

    fn place(&mut self, step: Step, id: u64) {
        self.steps.push(step);
        self.placed.insert(id);
        self.counts.orders_placed += 1;
        self.is_block_open = true;
        self.has_order_in_block = true;
    }

    fn cancel(&mut self, row: &Row) {
        if !self.placed.remove(&row.id) {
            return;
        }
        if self.has_order_in_block {
            self.close_block();
        }
        self.steps.push(Step::Cancel(CancelStep { line: row.line, time: row.time, id: row.id }));
        self.counts.cancels += 1;
        self.is_block_open = true;
    }

    fn close_block(&mut self) {
        if self.is_block_open {
            self.steps.push(Step::CloseBlock { through_line: self.line, time: self.time });
            self.counts.blocks += 1;
        }
        self.is_block_open = false;
        self.has_order_in_block = false;
    }

    /// Whole lots of a volume, at least one; the remainder is counted.
    fn lots(&mut self, id: u64, volume_satoshi: u64) -> Option<QuantityLots> {
        let lots = volume_satoshi / LOT_SATOSHI;
        let remainder_satoshi = volume_satoshi % LOT_SATOSHI;
        self.counts.remainder_satoshi += remainder_satoshi;
        let order = self.orders.entry(id).or_default();
        order.remainder_satoshi += remainder_satoshi;
        if lots == 0 {
            if order.placements == 0 {
                order.not_sent = Some(NotSent::BelowOneLot);
            }
            return None;
        }
        order.placements += 1;
        order.not_sent = None;
        Some(QuantityLots::from_lots(lots))
    }

    fn expect_fill(&mut self, id: u64, satoshi: u64) {
        let order = self.orders.entry(id).or_default();
        order.filled_satoshi += satoshi;
        order.fill_rows += 1;
        self.counts.fill_rows += 1;
    }
}

/// An order that existed before the file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OpeningOrder {
    line: u64,
    id: u64,
    side: Side,
    price: PriceTicks,
    volume_satoshi: Option<u64>,
    is_inferred: bool,
}

/// A fill in the record.
#[derive(Clone, Copy, Debug)]
struct Fill {
    id: u64,
    side: Side,
    time: TimeMs,
    satoshi: Option<u64>,
}

/// The orders without a create, in the order of their numbers, which is the order in which they had arrived.
fn opening_book(rows: &[Row], start: &Record) -> Vec<OpeningOrder> {
    let mut record = start.clone();
    let mut first_rows: BTreeMap<u64, &Row> = BTreeMap::new();
    let mut fills = Vec::new();
    for row in rows {
        if record.is_opening(row.id) {
            first_rows.entry(row.id).or_insert(row);
        }
        if let RecordEvent::Filled { satoshi } = record.follow(row) {
            fills.push(Fill { id: row.id, side: row.side, time: row.time, satoshi });
        }
    }
    let inferred = infer_fills(&fills);
    let order_of = |(id, row): (u64, &Row)| {
        let inferred = inferred.get(&id).copied();
        let volume_satoshi = match (row.action, row.volume_satoshi) {
            (RowAction::Deleted, 0) => inferred,
            (_, volume_satoshi) => Some(volume_satoshi + inferred.unwrap_or(0)),
        };
        let is_inferred = inferred.is_some();
        OpeningOrder { line: row.line, id, side: row.side, price: row.price, volume_satoshi, is_inferred }
    };
    first_rows.into_iter().map(order_of).collect()
}

/// Unknown fills that the other side of the same trade tells, by order. The rows of a trade follow each other among all
/// fills; each fill belongs to one trade at most.
fn infer_fills(fills: &[Fill]) -> BTreeMap<u64, u64> {
    let mut inferred = BTreeMap::new();
    let mut waiting: Option<&Fill> = None;
    for fill in fills {
        let Some(other) = waiting.take_if(|other| is_same_trade(other, fill)) else {
            waiting = Some(fill);
            continue;
        };
        match (other.satoshi, fill.satoshi) {
            (Some(known), None) => inferred.insert(fill.id, known),
            (None, Some(known)) => inferred.insert(other.id, known),
            (Some(_), Some(_)) | (None, None) => None,
        };
    }
    inferred
}

fn is_same_trade(first: &Fill, second: &Fill) -> bool {
    let is_same_volume = match (first.satoshi, second.satoshi) {
        (Some(first), Some(second)) => first.abs_diff(second) <= TRADE_ROUNDING_SATOSHI,
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    };
    let gap_ms = first.time.ms().abs_diff(second.time.ms());
    first.side != second.side && is_same_volume && gap_ms <= TRADE_GAP_MS_MAX
}

/// The venue rounded the two sides of a trade apart by this much at most.
const TRADE_ROUNDING_SATOSHI: u64 = 2;
/// The two rows of a trade are milliseconds apart.
const TRADE_GAP_MS_MAX: u64 = 1_000;
