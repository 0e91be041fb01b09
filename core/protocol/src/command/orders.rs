//! What commands say of orders.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::ids::{ClientOrderId, MarketId, OrderNumber, SegmentId};
use crate::limits::QUOTE_LEVELS_MAX;
use crate::units::{DurationMs, PriceTicks, QuantityLots, RatioPpm, TimeMs};

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Side {
    /// Buys.
    Bid = 1,
    /// Sells.
    Ask = 2,
}

impl Side {
    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Bid => 1,
            Self::Ask => 2,
        }
    }

    /// The side that this one trades with.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
        }
    }

    /// Whether an order of this side at `limit` trades with a resting order at `resting`.
    #[must_use]
    pub fn crosses(self, limit: PriceTicks, resting: PriceTicks) -> bool {
        match self {
            Self::Bid => limit >= resting,
            Self::Ask => limit <= resting,
        }
    }
}

/// What happens to a limit order that does not trade at once, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum TimeInForce {
    /// Rests until it is filled or cancelled.
    GoodTillCancel = 1,
    /// Rests until a time.
    GoodTillTime(TimeMs) = 2,
    /// Trades what it can now; the rest is dropped.
    ImmediateOrCancel = 3,
    /// Trades whole now or not at all.
    FillOrKill = 4,
    /// Never takes: refused if it would.
    PostOnly = 5,
    /// Never takes: moved to the best price at which it rests.
    PostOnlySlide = 6,
}

/// How an order is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum OrderKind {
    /// Trades at this price or better.
    Limit(LimitTerms) = 1,
    /// Trades at once, no further from the best opposite price than a bound; the rest is dropped.
    Market(MarketTerms) = 2,
}

/// Terms of a limit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LimitTerms {
    /// Worst price accepted.
    pub price: PriceTicks,
    /// How long it stands.
    pub time_in_force: TimeInForce,
}

/// Terms of a bounded market order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarketTerms {
    /// Furthest from the best opposite price.
    pub slippage_ppm_max: RatioPpm,
}

/// What happens when an account would trade with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SelfTradeMode {
    /// The resting order is cancelled and matching goes on.
    CancelResting = 1,
    /// What is left of the arriving order is dropped.
    CancelArriving = 2,
    /// Both.
    CancelBoth = 3,
}

/// Places an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PlaceOrder {
    /// The market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// Limit or bounded market.
    pub kind: OrderKind,
    /// How many lots; above zero.
    pub quantity: QuantityLots,
    /// The owner's name for it; zero for none. Unique among the owner's resting orders of the segment.
    pub client_id: ClientOrderId,
    /// May only bring the position closer to zero.
    pub is_reduce_only: bool,
    /// What happens on a trade with oneself.
    pub self_trade: SelfTradeMode,
}

/// Names a resting order of the signing account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum OrderReference {
    /// By its number in the segment.
    Number(OrderNumber) = 1,
    /// By the owner's name for it.
    Client(ClientOrderId) = 2,
}

/// Changes a resting order. A smaller quantity at the same price keeps its place in the queue; anything else loses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AmendOrder {
    /// The order's market.
    pub market: MarketId,
    /// The order.
    pub order: OrderReference,
    /// Its price from now on.
    pub price: PriceTicks,
    /// What is left to fill from now on; above zero.
    pub quantity: QuantityLots,
}

/// Cancels a resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CancelOrder {
    /// The order's market.
    pub market: MarketId,
    /// The order.
    pub order: OrderReference,
}

/// Where all orders are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum CancelScope {
    /// In one market.
    Market(MarketId) = 1,
    /// In all markets of a segment.
    Segment(SegmentId) = 2,
}

/// Cancels all resting orders of the account in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CancelAllOrders {
    /// Where.
    pub scope: CancelScope,
}

/// One level of a ladder of quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct QuoteLevel {
    /// Price of the quote.
    pub price: PriceTicks,
    /// Lots offered; above zero.
    pub quantity: QuantityLots,
}

/// Replaces the account's quotes in a market: former ladder quotes are cancelled, these are placed post-only.
/// A level that would take is left out and reported. Two empty sides withdraw the ladder.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct QuoteLadder {
    /// The market.
    pub market: MarketId,
    /// Buying levels, best first, prices strictly falling.
    pub bids: BoundedVec<QuoteLevel, QUOTE_LEVELS_MAX>,
    /// Selling levels, best first, prices strictly rising.
    pub asks: BoundedVec<QuoteLevel, QUOTE_LEVELS_MAX>,
}

/// Arms the dead-man switch: without another call before the time is over, all orders of the segment are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SetDeadMan {
    /// The segment whose orders it guards.
    pub segment: SegmentId,
    /// Block time until it fires; zero disarms.
    pub timeout_ms: DurationMs,
}
