//! Markets, their books and their trades.

use casemate_ledger::segment::{Market, Segment};
use casemate_protocol::event::TradeExecuted;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::SideJson;
use crate::ports::StateView;
use crate::values::{HexArray, Int, Signed, Unsigned};

/// Every market.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MarketsJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The markets, by id.
    pub markets: Vec<MarketJson>,
}

/// A market: a linear perpetual.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MarketJson {
    /// Its id.
    pub market: u16,
    /// Its segment.
    pub segment: u16,
    /// The segment failed a law: only cancels and deposits are taken.
    pub is_halted: bool,
    /// Micro-quote per tick per lot.
    pub tick_value_quote_micros: u32,
    /// Highest price.
    pub price_ticks_max: Unsigned,
    /// Price of the last trade; before the first, that of genesis.
    pub reference_price_ticks: Unsigned,
    /// Lower edge of the price band.
    pub band_lower_ticks: Unsigned,
    /// Upper edge of the price band.
    pub band_upper_ticks: Unsigned,
    /// Smallest order.
    pub order_lots_min: Unsigned,
    /// Largest order.
    pub order_lots_max: Unsigned,
    /// Largest position, resting orders included.
    pub position_lots_max: Unsigned,
    /// Maker fee in parts per million; below zero is a rebate.
    pub maker_fee_ppm: i32,
    /// Taker fee in parts per million.
    pub taker_fee_ppm: i32,
    /// Best bid, if there is one.
    pub best_bid_ticks: Option<Unsigned>,
    /// Best ask, if there is one.
    pub best_ask_ticks: Option<Unsigned>,
    /// Lots held long, which equal those held short.
    pub open_interest_lots: Signed,
    /// Lots traded since genesis.
    pub traded_lots: Unsigned,
}

impl MarketsJson {
    /// Reads all markets.
    #[must_use]
    pub fn read(view: &StateView<'_>) -> Self {
        let mut markets: Vec<MarketJson> = Vec::new();
        for segment in view.ledger.segments() {
            markets.extend(segment.markets().iter().map(|market| MarketJson::of(segment, market)));
        }
        markets.sort_by_key(|market| market.market);
        Self { height: view.ledger.chain().height.number(), state_root: view.state_root.into(), markets }
    }
}

impl MarketJson {
    fn of(segment: &Segment, market: &Market) -> Self {
        use casemate_protocol::Side;
        let (rules, facts) = (market.rules(), market.facts());
        let best = |side| market.book().best_price(side).map(|price| Int(price.ticks()));
        Self {
            market: rules.id.number(),
            segment: rules.segment.number(),
            is_halted: segment.totals().is_halted,
            tick_value_quote_micros: rules.tick_value.micros(),
            price_ticks_max: Int(rules.price_max.ticks()),
            reference_price_ticks: Int(facts.reference_price.ticks()),
            band_lower_ticks: Int(facts.band_lower.ticks()),
            band_upper_ticks: Int(facts.band_upper.ticks()),
            order_lots_min: Int(rules.order_lots_min.lots()),
            order_lots_max: Int(rules.order_lots_max.lots()),
            position_lots_max: Int(rules.position_lots_max.lots()),
            maker_fee_ppm: rules.maker_fee.ppm(),
            taker_fee_ppm: rules.taker_fee.ppm(),
            best_bid_ticks: best(Side::Bid),
            best_ask_ticks: best(Side::Ask),
            open_interest_lots: Int(facts.open_long),
            traded_lots: Int(facts.traded_lots),
        }
    }
}

/// The book of a market by price level.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BookJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The market.
    pub market: u16,
    /// Height of the last block that changed the book: what a stream of changes goes on from.
    pub sequence: u64,
    /// Buying levels, best first.
    pub bids: Vec<LevelJson>,
    /// Selling levels, best first.
    pub asks: Vec<LevelJson>,
}

/// One price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LevelJson {
    /// Its price.
    pub price_ticks: Unsigned,
    /// Lots that rest there; `0` in a change means that the level is gone.
    pub quantity_lots: Unsigned,
    /// Orders that rest there.
    pub orders: u32,
}

/// Trades of a market.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TradesJson {
    /// Height of the last durable block.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The market.
    pub market: u16,
    /// Trades after the one asked for have been forgotten here: the list begins later.
    pub has_gap: bool,
    /// Oldest first.
    pub trades: Vec<TradeJson>,
}

/// A trade, without who traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TradeJson {
    /// Its number in the segment; grows.
    pub number: u64,
    /// Height of its block.
    pub height: u64,
    /// Block time.
    pub time_ms: u64,
    /// The price.
    pub price_ticks: Unsigned,
    /// Lots traded.
    pub quantity_lots: Unsigned,
    /// The side of the arriving order.
    pub taker_side: SideJson,
}

impl TradeJson {
    /// A trade of a block.
    #[must_use]
    pub fn of(trade: &TradeExecuted, height: u64, time_ms: u64) -> Self {
        Self {
            number: trade.number.number(),
            height,
            time_ms,
            price_ticks: Int(trade.price.ticks()),
            quantity_lots: Int(trade.quantity.lots()),
            taker_side: trade.taker_side.into(),
        }
    }
}
