//! What conduct adds to a command: one observation, among a thousand accounts that trade.

use std::hint::black_box;

use casemate_ledger::conduct::{Act, Alert, Cancelled, Conduct, Observation, Traded};
use casemate_protocol::command::Side;
use casemate_protocol::{
    AccountId, DurationMs, MarketId, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, TimeMs, TradeNumber,
};

use crate::{HotPath, Prepared};

/// An order that arrives.
pub const PLACED: HotPath = path("conduct::observe/act=placed accounts=1000", |operations| prepare(operations, placed));
/// A cancel.
pub const CANCELLED: HotPath =
    path("conduct::observe/act=cancelled accounts=1000", |operations| prepare(operations, cancelled));
/// A trade, which touches both sides and the market.
pub const TRADED: HotPath = path("conduct::observe/act=traded accounts=1000", |operations| prepare(operations, traded));

const fn path(name: &'static str, prepare: fn(u32) -> Prepared) -> HotPath {
    HotPath { name, counted: 8_192, prepared_max: u32::MAX, prepare }
}

const ACCOUNTS: u64 = 1_000;
const MARKET: MarketId = MarketId::new(1);

fn prepare(_operations: u32, act: fn(u64) -> Act) -> Prepared {
    let mut conduct = Conduct::default();
    let mut alerts: Vec<Alert> = Vec::new();
    let mut next = 1;
    let mut observe = move |act: fn(u64) -> Act| {
        next += 1;
        // Two observations a millisecond of block time.
        let at = TimeMs::from_ms(1_000_000_000 + next / 2);
        conduct.observe(&Observation { at, market: MARKET, act: black_box(act(next)) }, &mut alerts);
        alerts.clear();
    };
    for _ in 0..4 * ACCOUNTS {
        [placed, cancelled, traded].into_iter().for_each(&mut observe);
    }
    Box::new(move |operations| (0..operations).for_each(|_| observe(act)))
}

fn account(number: u64, times: u64) -> AccountId {
    AccountId::new(1 + number * times % ACCOUNTS)
}

fn placed(number: u64) -> Act {
    Act::Placed { account: account(number, 7), messages: 1 }
}

fn cancelled(number: u64) -> Act {
    Act::Cancelled(Cancelled {
        account: account(number, 7),
        order: OrderNumber::new(number),
        side: if number.is_multiple_of(2) { Side::Bid } else { Side::Ask },
        lots: QuantityLots::from_lots(10 + number % 90),
        age: DurationMs::from_ms(500 + number % 4_000),
        messages: 1,
        distance_ppm: 300,
    })
}

fn traded(number: u64) -> Act {
    let (price, lots) = (100_000 + number % 50, 10 + number % 90);
    Act::Traded(Traded {
        trade: TradeNumber::new(number),
        maker: account(number, 11),
        taker: AccountId::new(ACCOUNTS + 1 + number % ACCOUNTS),
        taker_order: OrderNumber::new(number),
        taker_side: if number.is_multiple_of(2) { Side::Bid } else { Side::Ask },
        price: PriceTicks::from_ticks(price),
        index: PriceTicks::from_ticks(100_020),
        lots: QuantityLots::from_lots(lots),
        notional: QuoteMicros::from_micros(i64::try_from(price * lots * 100).unwrap_or(i64::MAX)),
    })
}
