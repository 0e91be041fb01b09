//! What an account has and what it needs: positions, fees, collateral, band-edge equity.

use casemate_protocol::command::Side;
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::{AccountId, FeePpm, MarketId, QuoteMicros, Reject, RejectCode, SegmentId};

use super::market::{Market, Order};
use super::{MILLION, Model, divide_up, micros};

/// Signed lots and signed entry notional.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Position {
    pub(super) lots: i128,
    pub(super) entry: i128,
}

/// One side of a trade.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill {
    pub(super) market: MarketId,
    pub(super) account: AccountId,
    pub(super) side: Side,
    pub(super) price: i128,
    pub(super) quantity: i128,
    pub(super) fee: i128,
}

impl Position {
    /// The position after a fill, and what the fill gains.
    pub(super) fn filled(self, side: Side, price: i128, quantity: i128, tick_value: i128) -> (Self, i128) {
        let direction = sign(side);
        let is_opening = self.lots == 0 || self.lots.signum() == direction;
        if is_opening {
            let lots = self.lots + direction * quantity;
            let entry = self.entry + direction * price * quantity * tick_value;
            return (Self { lots, entry }, 0);
        }
        let closed = quantity.min(self.lots.abs());
        let cost = divide_up(self.entry * closed, self.lots.abs());
        let gain = -direction * price * closed * tick_value - cost;
        let rest = Self { lots: self.lots + direction * closed, entry: self.entry - cost };
        if closed == quantity {
            return (rest, gain);
        }
        let (opened, nothing) = rest.filled(side, price, quantity - closed, tick_value);
        (opened, gain + nothing)
    }

    /// How many lots an order of this side can take off the position.
    pub(super) fn reducible_by(self, side: Side) -> i128 {
        if self.lots.signum() == -sign(side) { self.lots.abs() } else { 0 }
    }

    fn with_orders<'a>(self, orders: impl Iterator<Item = &'a Order>, tick_value: i128) -> Self {
        orders.fold(self, |position, order| Self {
            lots: position.lots + sign(order.side) * order.quantity,
            entry: position.entry + sign(order.side) * order.reserve(tick_value),
        })
    }

    /// Cash that a position asks for.
    pub(super) fn need(self, reference: i128, tick_value: i128) -> i128 {
        if self.lots >= 0 {
            return self.entry.max(0);
        }
        // For an entry of either sign: a short's entry notional is negative, so adding it takes its size away.
        let at_reference = self.lots.abs() * reference * tick_value;
        (2 * at_reference + self.entry).max(at_reference)
    }
}

/// +1 buys, -1 sells.
pub(super) fn sign(side: Side) -> i128 {
    match side {
        Side::Bid => 1,
        Side::Ask => -1,
    }
}

/// Fee on a notional, rounded up; a rebate rounds towards zero by the same formula.
pub(super) fn fee(notional: i128, rate: FeePpm) -> i128 {
    divide_up(notional * i128::from(rate.ppm()), MILLION)
}

/// What makes free collateral smaller must leave it at zero or above.
pub(super) fn check_free(before: i128, after: i128) -> Result<(), Reject> {
    if after < before && after < 0 {
        let (needed, present) = (micros(before - after), micros(before));
        return Err(Reject::of(RejectCode::InsufficientFreeCollateral).quote(needed, present));
    }
    Ok(())
}

pub(super) fn tick_value(rules: &MarketRules) -> i128 {
    i128::from(rules.tick_value.micros())
}

impl Model {
    pub(super) fn position_of(&self, market: MarketId, account: AccountId) -> Position {
        self.positions.get(&(market, account)).copied().unwrap_or_default()
    }

    /// Books one side of a trade: position, gain and fee. The trade itself is not listed by this.
    pub(super) fn book_fill(&mut self, fill: Fill) {
        let Some(rules) = self.market(fill.market).map(|market| market.rules) else {
            return;
        };
        let position = self.position_of(fill.market, fill.account);
        let (after, gain) = position.filled(fill.side, fill.price, fill.quantity, tick_value(&rules));
        self.positions.insert((fill.market, fill.account), after);
        self.credit(rules.segment, fill.account, gain - fill.fee);
    }

    /// What a market's position and orders ask of an account's cash.
    fn requirement(&self, market: &Market, account: AccountId) -> i128 {
        let (reference, value) = (self.reference(market.rules.id), tick_value(&market.rules));
        let position = self.position_of(market.rules.id, account);
        let adding = |side: Side| {
            let orders = market.orders.iter().filter(move |order| order.account == account && order.side == side);
            orders.filter(|order| !order.is_reduce_only)
        };
        let as_is = position.need(reference, value);
        let if_bought = position.with_orders(adding(Side::Bid), value).need(reference, value);
        let if_sold = position.with_orders(adding(Side::Ask), value).need(reference, value);
        as_is.max(if_bought).max(if_sold)
    }

    /// Free collateral: cash that no position and no order asks for. Negative if something is missing.
    pub fn free(&self, segment: SegmentId, account: AccountId) -> i128 {
        let required: i128 = self.markets_of(segment).map(|market| self.requirement(market, account)).sum();
        self.cash(segment, account) - required
    }

    /// What an account would be worth with every price at the edge of its band that hurts.
    pub fn band_edge_equity(&self, segment: SegmentId, account: AccountId) -> i128 {
        let worth = |market: &Market| {
            let position = self.position_of(market.rules.id, account);
            let (lower, upper) = self.band(&market.rules);
            let edge = if position.lots < 0 { upper } else { lower };
            position.lots * edge * tick_value(&market.rules) - position.entry
        };
        self.cash(segment, account) + self.markets_of(segment).map(worth).sum::<i128>()
    }

    /// Whether an account can carry a fill of an order of its own. The reference is still that before the trade.
    pub(super) fn check_fill(&self, fill: Fill, order: &Order) -> Result<(), Reject> {
        let segment = self.rules_or_reject(fill.market)?.segment;
        let mut filled = self.clone();
        filled.book_fill(fill);

        let before = self.band_edge_equity(segment, fill.account);
        let after = filled.band_edge_equity(segment, fill.account);
        if after < before && after < 0 {
            return Err(Reject::of(RejectCode::BandEdgeInsolvent).quote(QuoteMicros::ZERO, micros(after)));
        }
        // An order that only reduces was not asked for collateral when it came.
        if order.is_reduce_only {
            check_free(self.free(segment, fill.account), filled.free(segment, fill.account))?;
        }
        Ok(())
    }

    /// Lower and upper edge of a market's band.
    pub fn band(&self, rules: &MarketRules) -> (i128, i128) {
        let (reference, band) = (self.reference(rules.id), i128::from(rules.band.ppm()));
        let lower = super::divide_down(reference * (MILLION - band), MILLION).max(1);
        let upper = divide_up(reference * (MILLION + band), MILLION).min(i128::from(rules.price_max.ticks()));
        (lower, upper)
    }
}
