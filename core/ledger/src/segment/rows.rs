//! What an account has in a segment.

use borsh::io::Write;
use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::units::notional;
use casemate_protocol::{GrantNumber, QuoteMicros, RecordIndex, Side, TickValueMicros, TimeMs};

use super::{RestingOrder, Segment};
use crate::paged::Row;
use crate::price::maturing::Maturing;

/// An account's part in a segment. Small while idle: what trading needs comes with the first order.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SubAccount {
    pub(crate) cash: QuoteMicros,
    pub(crate) pending: QuoteMicros,
    pub(crate) pending_count: u32,
    /// Deposits and arrivals less everything asked to leave, in micro-quote: what of its money is no profit.
    pub(crate) net_deposits: i64,
    /// Conduct band as events state it, 0 to 3.
    pub(crate) conduct_band: u8,
    /// Always true; gives absent rows a representation of their own, so that a row of the table needs no extra word.
    is_present: Present,
    /// Written as absent when nothing is in it: an order that was undone leaves an empty one behind, and bytes must not
    /// tell who tried and failed.
    #[borsh(serialize_with = "serialize_trading")]
    pub(crate) trading: Option<Box<Trading>>,
}

/// See [`SubAccount::is_present`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
enum Present {
    #[default]
    Yes = 1,
}

/// Positions, resting orders and budgets of an account that trades.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Trading {
    /// Sorted by market.
    pub(crate) positions: Vec<Position>,
    /// Sorted by number.
    pub(crate) orders: Vec<OpenOrder>,
    /// In the order of first use.
    pub(crate) usage: Vec<GrantUsage>,
    /// Profit that is too young to count, realised or made when a position was opened, by market and age.
    pub(crate) maturing: Vec<Maturing>,
    /// When the dead-man switch fires; zero if it is not armed.
    pub(crate) dead_man_ms: TimeMs,
    pub(crate) dead_man_origin: RecordIndex,
}

/// A position with the sums of the account's resting orders in the market (those that are not reduce-only).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Position {
    /// Market, as its place in the segment.
    pub(crate) market: u16,
    /// Number of resting orders, reduce-only ones included.
    pub(crate) order_count: u32,
    /// Signed lots.
    pub(crate) lots: i64,
    /// Signed entry notional in micro-quote.
    pub(crate) entry_notional: i64,
    /// By how much its lots were opened at better prices than the mark of that moment, in micro-quote, at least zero. It
    /// waits among young profit as if it had been realised then. Zero where collateral is full.
    pub(crate) entry_gain: i64,
    /// Cumulative funding of the market up to which it has settled.
    pub(crate) funding_entry: i64,
    /// Lots of resting bids.
    pub(crate) bid_lots: i64,
    /// Their notional at their own prices.
    pub(crate) bid_notional: i64,
    /// Lots of resting asks.
    pub(crate) ask_lots: i64,
    /// Their notional at their own prices.
    pub(crate) ask_notional: i64,
}

/// Finds a resting order of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenOrder {
    pub(crate) number: u64,
    pub(crate) client_id: u64,
    /// Where the order is in memory; found anew when a snapshot is read.
    #[borsh(skip)]
    pub(crate) slot: u32,
    pub(crate) market: u16,
}

/// What a grant has used of its budget in this segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantUsage {
    pub(crate) grant: u32,
    pub(crate) open_orders: u32,
    /// Notional traded under the grant.
    pub(crate) traded_notional: i64,
    /// Reserves of its resting orders, reduce-only ones excluded.
    pub(crate) open_notional: i64,
    /// What its fills cost against the index, fees included.
    pub(crate) lost: i64,
    /// What they may cost here.
    pub(crate) loss_max: i64,
    /// The grant's end.
    pub(crate) expires_ms: TimeMs,
    /// The record of its first use here.
    pub(crate) origin: RecordIndex,
    /// Its end is still to come: it stands in the queue of ends.
    pub(crate) is_watched: bool,
}

impl SubAccount {
    /// Cash, without what is set aside.
    #[must_use]
    pub const fn cash(&self) -> QuoteMicros {
        self.cash
    }

    /// Set aside for withdrawals and transfers.
    #[must_use]
    pub const fn pending(&self) -> QuoteMicros {
        self.pending
    }

    /// Positions, sorted by market.
    #[must_use]
    pub fn positions(&self) -> &[Position] {
        self.trading.as_ref().map_or(&[], |trading| &trading.positions)
    }

    /// Resting orders, sorted by number.
    #[must_use]
    pub fn orders(&self) -> &[OpenOrder] {
        self.trading.as_ref().map_or(&[], |trading| &trading.orders)
    }

    /// Profit that is too young to count, realised or made when a position was opened, by market and age.
    #[must_use]
    pub fn maturing(&self) -> &[Maturing] {
        self.trading.as_ref().map_or(&[], |trading| &trading.maturing)
    }

    /// Deposits and arrivals less everything asked to leave.
    #[must_use]
    pub const fn net_deposits(&self) -> QuoteMicros {
        QuoteMicros::from_micros(self.net_deposits)
    }

    /// What grants have used.
    #[must_use]
    pub fn usage(&self) -> &[GrantUsage] {
        self.trading.as_ref().map_or(&[], |trading| &trading.usage)
    }

    /// The position in a market, zero if there is none.
    #[must_use]
    pub fn position(&self, market: u16) -> Position {
        let positions = self.positions();
        positions
            .iter()
            .find(|position| position.market == market)
            .copied()
            .unwrap_or(Position { market, ..Position::default() })
    }

    /// True if nothing is left: no money, position, order, or pending move.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cash.is_zero() && self.pending_count == 0 && self.positions().is_empty() && self.orders().is_empty()
    }

    /// Sums up one more resting order, by a road of its own: to compare with what the segment keeps step by step.
    pub(crate) fn add_order_for_check(&mut self, order: &RestingOrder, segment: &Segment) {
        let tick_value = segment.market(order.market).map_or(TickValueMicros::ZERO, |market| market.rules.tick_value);
        let notional = notional(order.price, order.remaining, tick_value).map_or(i64::MAX, QuoteMicros::micros);
        let lots = i64::try_from(order.remaining.lots()).unwrap_or(i64::MAX);
        let (lots, notional) = if order.is_reduce_only { (0, 0) } else { (lots, notional) };
        let trading = self.trading_mut();
        let mut position = trading.positions.iter().find(|row| row.market == order.market).copied().unwrap_or_default();
        position.market = order.market;
        position.order_count = position.order_count.saturating_add(1);
        match order.side {
            Side::Bid => {
                position.bid_lots = position.bid_lots.saturating_add(lots);
                position.bid_notional = position.bid_notional.saturating_add(notional);
            }
            Side::Ask => {
                position.ask_lots = position.ask_lots.saturating_add(lots);
                position.ask_notional = position.ask_notional.saturating_add(notional);
            }
        }
        trading.positions.retain(|row| row.market != order.market);
        trading.positions.push(position);
        if order.grant != 0 {
            let mut usage = trading.usage.iter().find(|row| row.grant == order.grant).copied().unwrap_or_default();
            usage.grant = order.grant;
            usage.open_orders = usage.open_orders.saturating_add(1);
            usage.open_notional = usage.open_notional.saturating_add(notional);
            trading.usage.retain(|row| row.grant != order.grant);
            trading.usage.push(usage);
        }
    }

    /// Whether another row reserves exactly what this one summed up.
    pub(crate) fn has_reserves_of(&self, other: &Self) -> bool {
        let reserves =
            |position: &Position| Position { lots: 0, entry_notional: 0, entry_gain: 0, funding_entry: 0, ..*position };
        let positions_agree =
            other.positions().iter().all(|position| reserves(position) == self.position(position.market))
                && self.positions().iter().all(|position| other.position(position.market).order_count > 0);
        let open = |row: &Self, grant| {
            let usage = row.usage().iter().find(|usage| usage.grant == grant);
            usage.map_or((0, 0), |usage| (usage.open_orders, usage.open_notional))
        };
        let mut grants = self.usage().iter().chain(other.usage()).map(|usage| usage.grant);
        positions_agree && grants.all(|grant| open(self, grant) == open(other, grant))
    }

    pub(crate) fn trading_mut(&mut self) -> &mut Trading {
        self.trading.get_or_insert_with(Box::default)
    }
}

impl Position {
    /// Signed lots.
    #[must_use]
    pub const fn lots(&self) -> i64 {
        self.lots
    }

    /// Signed entry notional in micro-quote.
    #[must_use]
    pub const fn entry_notional(&self) -> i64 {
        self.entry_notional
    }

    /// By how much its lots were opened at better prices than the mark of that moment, in micro-quote, at least zero.
    #[must_use]
    pub const fn entry_gain(&self) -> i64 {
        self.entry_gain
    }

    /// Signed entry notional as if no lot had been opened at a better price than the mark: from here on only moves of the
    /// mark make profit.
    pub(crate) const fn entry_at_mark(&self) -> i64 {
        self.entry_notional.saturating_add(self.entry_gain)
    }

    /// Cumulative funding of the market up to which the position has settled.
    #[must_use]
    pub const fn funding_entry(&self) -> i64 {
        self.funding_entry
    }

    /// True if there is neither a position nor a resting order.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lots == 0 && self.entry_notional == 0 && self.order_count == 0
    }
}

impl GrantUsage {
    /// Where the grant of an account stands in the queue of ends.
    pub(crate) const fn watch_key(&self, account: u64) -> (u64, u64, u32) {
        (self.expires_ms.ms(), account, self.grant)
    }

    /// The grant.
    #[must_use]
    pub const fn grant(&self) -> GrantNumber {
        GrantNumber::new(self.grant)
    }

    /// Notional traded under it in this segment.
    #[must_use]
    pub const fn traded(&self) -> QuoteMicros {
        QuoteMicros::from_micros(self.traded_notional)
    }

    /// What its fills cost against the index in this segment, fees included.
    #[must_use]
    pub const fn lost(&self) -> QuoteMicros {
        QuoteMicros::from_micros(self.lost)
    }

    /// What its resting orders reserve in this segment.
    #[must_use]
    pub const fn reserved(&self) -> QuoteMicros {
        QuoteMicros::from_micros(self.open_notional)
    }
}

impl OpenOrder {
    /// The order's number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl Row for SubAccount {
    fn touch(&self) -> u64 {
        let position = self.positions().first().map_or(0, |position| position.lots.unsigned_abs());
        position ^ self.usage().first().map_or(0, |usage| u64::from(usage.grant))
    }

    /// Balance, what is set aside, positions with the sums of resting orders, budgets used, dead-man switch. The
    /// orders one by one are in the book's digest.
    fn encode_row(&self, out: &mut Vec<u8>) {
        let _infallible = self.encode(out);
    }
}

impl SubAccount {
    fn encode(&self, out: &mut Vec<u8>) -> borsh::io::Result<()> {
        self.cash.serialize(out)?;
        self.pending.serialize(out)?;
        self.pending_count.serialize(out)?;
        self.net_deposits.serialize(out)?;
        self.conduct_band.serialize(out)?;
        let Some(trading) = self.trading.as_ref().filter(|trading| !trading.shows_nothing()) else {
            return 0u8.serialize(out);
        };
        1u8.serialize(out)?;
        trading.positions.serialize(out)?;
        trading.usage.serialize(out)?;
        trading.maturing.serialize(out)?;
        trading.dead_man_ms.serialize(out)
    }
}

impl Trading {
    /// True if there is nothing in it that a row's bytes show.
    fn shows_nothing(&self) -> bool {
        self.positions.is_empty() && self.usage.is_empty() && self.maturing.is_empty() && self.dead_man_ms.is_zero()
    }
}

fn serialize_trading<W: Write>(trading: &Option<Box<Trading>>, writer: &mut W) -> borsh::io::Result<()> {
    trading.as_ref().filter(|trading| ***trading != Trading::default()).serialize(writer)
}
