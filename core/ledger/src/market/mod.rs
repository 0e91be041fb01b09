//! Markets: orders, matching, positions and fees, as docs/trading-rules.md says.
//!
//! Owns:        books, positions, market facts (written through the segment's primitives).   Reads: sub-accounts, risk, grants.
//! Commands:    `PlaceOrder`, `AmendOrder`, `CancelOrder`, `CancelAllOrders`, `QuoteLadder`, `SetDeadMan`, and the `System` work
//!              that expires orders and grants.   Events: `OrderRested`, `OrderRemoved`, `OrderReduced`, `TradeExecuted`, and kin.
//! Invariants:  M1 best price first, then place in the queue. M2 longs equal shorts. M3 a session trades at most its budget.
//! Not here:    what an account needs (`risk`); who may act (`gate`); money over the border (`funds`).

mod amend;
mod cancel;
mod evolve;
pub(crate) mod fill;
mod ladder;
mod matching;
mod order;
mod place;
#[cfg(test)]
mod tests;

use casemate_protocol::genesis::MarketRules;
use casemate_protocol::units::notional;
use casemate_protocol::{Event, MarketId, PriceTicks, QuantityLots, QuoteMicros, Reject, RejectCode, Side, TimeMs};

pub(crate) use amend::amend;
pub(crate) use cancel::{
    cancel, cancel_all, cancel_grant_orders, expire_grant_orders, expire_order, fire_dead_man, require_own_order,
    set_dead_man,
};
pub(crate) use evolve::evolve;
pub(crate) use ladder::quote_ladder;
pub(crate) use place::place;

use crate::context::{BlockContext, CommandContext};
use crate::risk::{self, FullCollateral};
use crate::segment::{MarketFacts, Segment, SubAccount};

/// A command's work on a segment: events take effect as they are written down.
pub(crate) struct Work<'a> {
    pub(crate) segment: &'a mut Segment,
    pub(crate) events: &'a mut Vec<Event>,
    pub(crate) context: &'a CommandContext,
}

impl Work<'_> {
    /// Writes an event down and lets it take effect.
    pub(crate) fn emit(&mut self, event: Event) {
        evolve(self.segment, &self.context.block, &event);
        self.events.push(event);
    }

    pub(crate) const fn block(&self) -> &BlockContext {
        &self.context.block
    }

    fn account_row(&self) -> Result<&SubAccount, Reject> {
        self.segment.sub_account(self.context.account).ok_or_else(|| {
            // An account without a row in the segment has no money there.
            Reject::of(RejectCode::InsufficientFreeCollateral).quote(QuoteMicros::from_micros(1), QuoteMicros::ZERO)
        })
    }

    /// Starts counting what the grant uses in this segment, if the command comes under one.
    fn watch_grant(&mut self) {
        let Some(grant) = self.context.grant else { return };
        let account = self.context.account;
        let is_counted = self
            .segment
            .sub_account(account)
            .is_none_or(|row| row.usage().iter().any(|usage| usage.grant == grant.number.number()));
        if !is_counted {
            self.emit(Event::GrantWatched(casemate_protocol::event::GrantWatched {
                segment: self.segment.id(),
                account,
                grant: grant.number,
                expires_ms: grant.expires_ms,
                origin: self.context.record,
            }));
        }
    }
}

impl Segment {
    /// A market's place in the segment.
    #[must_use]
    pub fn market_place(&self, id: MarketId) -> Option<u16> {
        u16::try_from(self.markets.binary_search_by_key(&id, |market| market.rules.id).ok()?).ok()
    }

    /// A market by its place.
    #[must_use]
    pub fn market(&self, place: u16) -> Option<&crate::segment::Market> {
        self.markets.get(usize::from(place))
    }
}

/// A market's unchanging rules and present facts, copied out so that the segment stays free to change.
#[derive(Clone, Copy)]
pub(crate) struct MarketNow {
    pub(crate) place: u16,
    pub(crate) rules: MarketRules,
    pub(crate) facts: MarketFacts,
}

impl MarketNow {
    fn of(segment: &Segment, id: MarketId) -> Result<Self, Reject> {
        let unknown = || Reject::of(RejectCode::MarketNotFound).present(u64::from(id.number()));
        let place = segment.market_place(id).ok_or_else(unknown)?;
        let market = segment.market(place).ok_or_else(unknown)?;
        Ok(Self { place, rules: market.rules, facts: market.facts })
    }

    fn notional(&self, price: PriceTicks, quantity: QuantityLots) -> Result<QuoteMicros, Reject> {
        notional(price, quantity, self.rules.tick_value).ok_or(Reject::of(RejectCode::AmountOverflow))
    }

    /// Checks 2 and 3: sizes and range.
    fn require_quantity(&self, quantity: QuantityLots) -> Result<(), Reject> {
        if quantity < self.rules.order_lots_min {
            return Err(Reject::of(RejectCode::QuantityBelowMinimum)
                .required(self.rules.order_lots_min.lots())
                .present(quantity.lots()));
        }
        self.require_quantity_below_maximum(quantity)
    }

    fn require_quantity_below_maximum(&self, quantity: QuantityLots) -> Result<(), Reject> {
        if quantity > self.rules.order_lots_max {
            return Err(Reject::of(RejectCode::QuantityTooLarge)
                .required(self.rules.order_lots_max.lots())
                .present(quantity.lots()));
        }
        Ok(())
    }

    fn require_price(&self, side: Side, price: PriceTicks) -> Result<(), Reject> {
        if price.is_zero() || price > self.rules.price_max {
            return Err(Reject::of(RejectCode::PriceOutOfRange)
                .required(self.rules.price_max.ticks())
                .present(price.ticks()));
        }
        let edge = match side {
            Side::Bid if price > self.facts.band_upper => self.facts.band_upper,
            Side::Ask if price < self.facts.band_lower => self.facts.band_lower,
            Side::Bid | Side::Ask => return Ok(()),
        };
        Err(Reject::of(RejectCode::PriceOutsideBand).required(edge.ticks()).present(price.ticks()))
    }

    fn require_time(block: &BlockContext, expires_ms: TimeMs) -> Result<(), Reject> {
        if expires_ms <= block.time_ms {
            return Err(Reject::of(RejectCode::GoodTillTimePast)
                .required(expires_ms.ms())
                .present(block.time_ms.ms()));
        }
        Ok(())
    }
}

/// What orders would add to an account in a market: lots and reserves of each side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AddedOrders {
    count: u32,
    bid_lots: i64,
    bid_notional: i64,
    ask_lots: i64,
    ask_notional: i64,
    taker_fee: i64,
}

impl AddedOrders {
    fn add(&mut self, side: Side, quantity: QuantityLots, reserve: QuoteMicros, taker_fee: QuoteMicros, rests: bool) {
        let lots = i64::try_from(quantity.lots()).unwrap_or(i64::MAX);
        let (side_lots, side_notional) = match side {
            Side::Bid => (&mut self.bid_lots, &mut self.bid_notional),
            Side::Ask => (&mut self.ask_lots, &mut self.ask_notional),
        };
        *side_lots = side_lots.saturating_add(lots);
        *side_notional = side_notional.saturating_add(reserve.micros());
        self.taker_fee = self.taker_fee.saturating_add(taker_fee.micros());
        self.count = self.count.saturating_add(u32::from(rests));
    }
}

impl Work<'_> {
    /// Checks 10 to 13: room, sizes, budget and collateral for orders that are not reduce-only.
    fn require_room(&self, market: &MarketNow, added: &AddedOrders) -> Result<(), Reject> {
        self.require_order_slots(market.place, added.count)?;
        let row = self.account_row()?;
        let mut after = row.position(market.place);
        after.bid_lots = after.bid_lots.saturating_add(added.bid_lots);
        after.bid_notional = after.bid_notional.saturating_add(added.bid_notional);
        after.ask_lots = after.ask_lots.saturating_add(added.ask_lots);
        after.ask_notional = after.ask_notional.saturating_add(added.ask_notional);
        let longest = if added.bid_lots > 0 { after.lots.saturating_add(after.bid_lots) } else { 0 };
        let shortest = if added.ask_lots > 0 { after.ask_lots.saturating_sub(after.lots) } else { 0 };
        let reached = u64::try_from(longest.max(shortest)).unwrap_or(0);
        if reached > market.rules.position_lots_max.lots() {
            return Err(Reject::of(RejectCode::PositionTooLarge)
                .required(market.rules.position_lots_max.lots())
                .present(reached));
        }
        self.require_grant_budget(added.bid_notional.saturating_add(added.ask_notional))?;
        let fee = QuoteMicros::from_micros(added.taker_fee.saturating_neg());
        risk::require_free(&FullCollateral, row, &self.segment.markets, &after, fee)
    }

    /// Checks 10 and the first half of 11: resting orders of the account, and markets it is in.
    fn require_order_slots(&self, place: u16, added: u32) -> Result<(), Reject> {
        let row = self.account_row()?;
        let orders = u32::try_from(row.orders().len()).unwrap_or(u32::MAX).saturating_add(added);
        if added > 0 && orders > self.segment.rules.open_orders_max {
            return Err(Reject::of(RejectCode::OpenOrdersMax)
                .required(u64::from(self.segment.rules.open_orders_max))
                .present(u64::from(orders)));
        }
        let others = row.positions().iter().filter(|position| position.market != place).count();
        if others >= casemate_protocol::limits::POSITIONS_MAX {
            return Err(Reject::of(RejectCode::PositionsMax)
                .required(u64::try_from(casemate_protocol::limits::POSITIONS_MAX).unwrap_or(u64::MAX))
                .present(u64::try_from(others).unwrap_or(u64::MAX).saturating_add(1)));
        }
        Ok(())
    }

    /// Check 12. INVARIANT(M3): traded plus resting plus new notional stays within the grant's budget.
    fn require_grant_budget(&self, added: i64) -> Result<(), Reject> {
        let Some(grant) = self.context.grant else { return Ok(()) };
        let row = self.account_row()?;
        let used = row
            .usage()
            .iter()
            .find(|usage| usage.grant == grant.number.number())
            .map_or(0, |usage| usage.traded_notional.saturating_add(usage.open_notional));
        let left = grant.notional_max.micros().saturating_sub(grant.used_elsewhere.micros()).saturating_sub(used);
        if added > left {
            return Err(Reject::of(RejectCode::GrantNotionalExceeded)
                .quote(QuoteMicros::from_micros(left.max(0)), QuoteMicros::from_micros(added)));
        }
        Ok(())
    }
}
