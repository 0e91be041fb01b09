//! Markets, their books and their trades.

use casemate_ledger::regime::RegimeFacts;
use casemate_ledger::segment::{Market, Segment};
use casemate_protocol::clearing::FINE_PER_TICK;
use casemate_protocol::event::TradeExecuted;
use casemate_protocol::{FineTicks, MarketId, RegimeCause};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{PriceGradeJson, RegimeJson, SideJson};
use crate::ports::StateView;
use crate::values::{HexArray, Int, Signed, Unsigned, Wide};

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
    /// The segment is halted: only cancels, deposits, prices, proposals, and asking for the slow exit are taken.
    pub is_halted: bool,
    /// Micro-quote per tick per lot.
    pub tick_value_quote_micros: u32,
    /// Highest price.
    pub price_ticks_max: Unsigned,
    /// What the price band refers to: on margin the mark; else the last trade, and before the first that of genesis.
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
    /// Prices from outside and what follows from them; none if collateral is full.
    pub pricing: Option<PricingJson>,
}

/// Prices of a market on margin. A price in nanos is of one unit of the underlying: ticks times `tick_size_nanos`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PricingJson {
    /// The feed that the index comes from.
    pub feed: u16,
    /// Price of the underlying per tick.
    pub tick_size_nanos: Unsigned,
    /// The feed's price in use.
    pub index_nanos: Unsigned,
    /// What positions are valued at; `0` before the first price.
    pub mark_nanos: Unsigned,
    /// The median that is published; the index follows it as far as its cap lets it.
    pub published_nanos: Unsigned,
    /// Half the width of the interval around the median.
    pub confidence_nanos: Unsigned,
    /// When the median was seen; 0 before the first.
    pub source_ms: u64,
    /// Independent operators that it stands on.
    pub operators: u16,
    /// What the price is good for.
    pub grade: PriceGradeJson,
    /// How rough the market is.
    pub regime: RegimeJson,
    /// The figures that its regime is judged by.
    pub roughness: RoughnessJson,
    /// The rate that would be settled now; positive is paid by longs.
    pub funding_rate_ppm: i32,
    /// When the funding interval ends.
    pub funding_next_ms: u64,
    /// Open interest at the mark.
    pub open_interest_quote_micros: Wide,
    /// Beyond it nothing that adds to it is taken.
    pub open_interest_quote_micros_max: Signed,
    /// Notional on the thinner side of the book near the index: the newest sample.
    pub depth_quote_micros: Signed,
    /// The same, as the median of five minutes.
    pub depth_median_quote_micros: Signed,
    /// Initial rate of the smallest positions, in parts per million.
    pub initial_ppm: u32,
    /// Maintenance rate of the smallest positions, in parts per million.
    pub maintenance_ppm: u32,
}

/// What a market's regime is judged by, in parts per million.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct RoughnessJson {
    /// Standard deviation of the published price over an hour.
    pub volatility_ppm: u64,
    /// Largest move within half a minute, fading over ten.
    pub jump_ppm: u64,
    /// What is missing of the usual depth.
    pub thinness_ppm: u64,
    /// Distance of best bid and ask, averaged over a minute.
    pub spread_ppm: u64,
    /// What one side of the book has more than the other, averaged over a minute.
    pub imbalance_ppm: u64,
}

/// One market.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OneMarketJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The market.
    #[serde(flatten)]
    pub market: MarketJson,
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
            is_halted: segment.breaker_state() == casemate_protocol::BreakerState::Halted,
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
            pricing: PricingJson::of(segment, market),
        }
    }
}

impl OneMarketJson {
    /// Reads a market; none if it does not exist.
    #[must_use]
    pub fn read(view: &StateView<'_>, id: MarketId) -> Option<Self> {
        let ledger = view.ledger;
        let segment = ledger.segment(ledger.segment_of(id)?)?;
        let market = segment.market(segment.market_place(id)?)?;
        let market = MarketJson::of(segment, market);
        Some(Self { height: ledger.chain().height.number(), state_root: view.state_root.into(), market })
    }
}

impl RoughnessJson {
    fn of(facts: &RegimeFacts) -> Self {
        Self {
            volatility_ppm: facts.figure_ppm(RegimeCause::Volatility),
            jump_ppm: facts.figure_ppm(RegimeCause::Jump),
            thinness_ppm: facts.figure_ppm(RegimeCause::Thinness),
            spread_ppm: facts.figure_ppm(RegimeCause::Spread),
            imbalance_ppm: facts.figure_ppm(RegimeCause::Imbalance),
        }
    }
}

impl PricingJson {
    fn of(segment: &Segment, market: &Market) -> Option<Self> {
        let margin = market.margin()?;
        let (rules, pricing) = (margin.rules(), margin.pricing());
        let feed = segment.clearing()?.feeds().iter().find(|feed| feed.rules().id == rules.feed)?.facts();
        let nanos = |price: FineTicks| {
            let nanos = u128::from(price.fine()) * u128::from(rules.tick_size.nanos()) / u128::from(FINE_PER_TICK);
            Int(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        let lots = i128::from(market.facts().open_long) * i128::from(market.rules().tick_value.micros());
        let open_interest = lots * i128::from(pricing.mark.fine()) / i128::from(FINE_PER_TICK);
        let tier = rules.tiers.iter().next().copied().unwrap_or_default();
        Some(Self {
            feed: rules.feed.number(),
            tick_size_nanos: Int(rules.tick_size.nanos()),
            index_nanos: nanos(pricing.index),
            mark_nanos: nanos(pricing.mark),
            published_nanos: nanos(pricing.published),
            confidence_nanos: Int(feed.confidence.nanos()),
            source_ms: feed.source_ms.ms(),
            operators: feed.operators,
            grade: pricing.grade.into(),
            regime: pricing.regime.regime.into(),
            roughness: RoughnessJson::of(&pricing.regime),
            funding_rate_ppm: margin.funding_rate_now_ppm(),
            funding_next_ms: pricing.funding_next_ms.ms(),
            open_interest_quote_micros: Int(open_interest),
            open_interest_quote_micros_max: Int(rules.open_interest_notional_max.micros()),
            depth_quote_micros: Int(margin.depth().micros()),
            depth_median_quote_micros: Int(margin.median_depth().micros()),
            initial_ppm: tier.initial.ppm(),
            maintenance_ppm: tier.maintenance.ppm(),
        })
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
