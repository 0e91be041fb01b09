//! Markets: orders, matching, positions and fees, as docs/trading-rules.md says.
//!
//! Owns:        books, positions, market facts (written through the segment's primitives).   Reads: sub-accounts, risk, grants.
//! Commands:    `PlaceOrder`, `AmendOrder`, `CancelOrder`, `CancelAllOrders`, `QuoteLadder`, `SetDeadMan`, and the `System` work
//!              that expires orders and grants.   Events: `OrderRested`, `OrderRemoved`, `OrderReduced`, `TradeExecuted`, and kin.
//! Invariants:  M1 best price first, then place in the queue. M2 longs equal shorts. M3 what a session trades with orders
//!              that can add risk, plus what they reserve, stays within its budget. M4 no position passes its maximum.
//!              M5 resting reduce-only orders of an account never promise more than its position when they are placed.
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

use std::borrow::Cow;

use casemate_protocol::genesis::MarketRules;
use casemate_protocol::limits::POSITIONS_MAX;
use casemate_protocol::units::notional;
use casemate_protocol::{Event, MarketId, PriceTicks, QuantityLots, QuoteMicros, Reject, RejectCode, Side, TimeMs};

pub(crate) use amend::amend;
pub(crate) use cancel::{
    cancel, cancel_all, cancel_grant_orders, expire_grant_orders, expire_order, fire_dead_man, lower_grant_loss,
    remove_where, require_own_order, set_dead_man,
};
pub(crate) use evolve::evolve;
pub(crate) use ladder::quote_ladder;
pub(crate) use matching::match_order;
pub(crate) use order::{Arriving, Remainder, Taking};
pub(crate) use place::place;

use crate::context::{BlockContext, CommandContext};
use crate::risk::{self, Risk};
use crate::segment::{MarketFacts, Position, Segment, SubAccount};

/// A command's work on a segment: events take effect as they are written down.
pub(crate) struct Work<'a> {
    pub(crate) segment: &'a mut Segment,
    pub(crate) events: &'a mut Vec<Event>,
    pub(crate) context: &'a CommandContext,
}

impl Work<'_> {
    /// Writes an event down and lets it take effect.
    pub(crate) fn emit(&mut self, event: Event) {
        self.segment.see(self.context, &event);
        evolve(self.segment, &self.context.block, &event);
        self.events.push(event);
    }

    pub(crate) const fn block(&self) -> &BlockContext {
        &self.context.block
    }

    /// The account's row; one that never had money in the segment is judged as empty.
    fn account_row(&self) -> Cow<'_, SubAccount> {
        let row = self.segment.sub_account(self.context.account);
        row.map_or_else(|| Cow::Owned(SubAccount::default()), Cow::Borrowed)
    }

    /// The calculation of risk as of this block.
    pub(crate) fn risk(&self) -> Risk<'_> {
        Risk::new(&self.segment.markets, self.block().waiting_ms)
    }

    /// What is free now.
    fn free_collateral(&self) -> QuoteMicros {
        self.risk().free_collateral(&self.account_row(), None)
    }

    /// Best price of a side now.
    fn best_price(&self, market: &MarketNow, side: Side) -> Option<PriceTicks> {
        self.segment.market(market.place)?.book.best_price(side)
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
                loss_max: grant.loss_max,
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
    pub(crate) fn of(segment: &Segment, id: MarketId) -> Result<Self, Reject> {
        let unknown = || Reject::of(RejectCode::MarketNotFound).present(u64::from(id.number()));
        let place = segment.market_place(id).ok_or_else(unknown)?;
        let market = segment.market(place).ok_or_else(unknown)?;
        Ok(Self { place, rules: market.rules, facts: market.facts })
    }

    fn notional(&self, price: PriceTicks, quantity: QuantityLots) -> Result<QuoteMicros, Reject> {
        notional(price, quantity, self.rules.tick_value).ok_or(Reject::of(RejectCode::AmountOverflow))
    }

    /// Check 2.
    fn require_quantity(&self, quantity: QuantityLots) -> Result<(), Reject> {
        if quantity < self.rules.order_lots_min {
            return Err(Reject::of(RejectCode::QuantityBelowMinimum)
                .required(self.rules.order_lots_min.lots())
                .present(quantity.lots()));
        }
        if quantity > self.rules.order_lots_max {
            return Err(Reject::of(RejectCode::QuantityTooLarge)
                .required(self.rules.order_lots_max.lots())
                .present(quantity.lots()));
        }
        Ok(())
    }

    /// Checks 3 and 4.
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

    /// Check 5.
    fn require_time(block: &BlockContext, expires_ms: TimeMs) -> Result<(), Reject> {
        if expires_ms <= block.time_ms {
            return Err(Reject::of(RejectCode::GoodTillTimePast).required(expires_ms.ms()).present(block.time_ms.ms()));
        }
        Ok(())
    }
}

/// What orders that are not reduce-only would add to an account in a market.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AddedOrders {
    /// They close a position and never rest, so collateral is judged fill by fill.
    is_judged_by_fills: bool,
    /// How many of them can rest.
    resting_count: u32,
    bid_lots: i64,
    bid_notional: i64,
    ask_lots: i64,
    ask_notional: i64,
    /// Notional at their dearest prices.
    dearest: i64,
    taker_fee: i64,
}

/// What one order costs in notional.
#[derive(Clone, Copy, Debug)]
struct OrderCost {
    /// At its limit price.
    reserve: QuoteMicros,
    /// At the highest price at which it can trade or rest.
    dearest: QuoteMicros,
    /// The taker fee on the latter, if it may take.
    taker_fee: QuoteMicros,
}

impl AddedOrders {
    fn add(&mut self, side: Side, quantity: QuantityLots, cost: OrderCost) {
        let lots = i64::try_from(quantity.lots()).unwrap_or(i64::MAX);
        let (side_lots, side_notional) = match side {
            Side::Bid => (&mut self.bid_lots, &mut self.bid_notional),
            Side::Ask => (&mut self.ask_lots, &mut self.ask_notional),
        };
        *side_lots = side_lots.saturating_add(lots);
        *side_notional = side_notional.saturating_add(cost.reserve.micros());
        self.dearest = self.dearest.saturating_add(cost.dearest.micros());
        self.taker_fee = self.taker_fee.saturating_add(cost.taker_fee.micros());
    }
}

impl Work<'_> {
    /// Checks 10 to 13 for orders that are not reduce-only.
    fn require_room(
        &self,
        market: &MarketNow,
        added: &AddedOrders,
        free_before: Option<QuoteMicros>,
    ) -> Result<(), Reject> {
        self.require_order_slots(market.place, added.resting_count)?;
        let row = self.account_row();
        let before = row.position(market.place);
        require_position_size(market, &before, added)?;
        self.require_grant_budget(added.dearest)?;
        if added.is_judged_by_fills {
            return Ok(());
        }
        let after = Position {
            bid_lots: before.bid_lots.saturating_add(added.bid_lots),
            bid_notional: before.bid_notional.saturating_add(added.bid_notional),
            ask_lots: before.ask_lots.saturating_add(added.ask_lots),
            ask_notional: before.ask_notional.saturating_add(added.ask_notional),
            ..before
        };
        let fee = QuoteMicros::from_micros(added.taker_fee.saturating_neg());
        risk::require_free(&self.risk(), &row, &after, fee, free_before)
    }

    /// Checks 10 and the first half of 11: resting orders of the account, and markets it is in.
    fn require_order_slots(&self, place: u16, added: u32) -> Result<(), Reject> {
        let row = self.account_row();
        let orders = u32::try_from(row.orders().len()).unwrap_or(u32::MAX).saturating_add(added);
        if added > 0 && orders > self.segment.rules.open_orders_max {
            return Err(Reject::of(RejectCode::OpenOrdersMax)
                .required(u64::from(self.segment.rules.open_orders_max))
                .present(u64::from(orders)));
        }
        let others = row.positions().iter().filter(|position| position.market != place).count();
        if others >= POSITIONS_MAX {
            return Err(Reject::of(RejectCode::PositionsMax)
                .required(u64::try_from(POSITIONS_MAX).unwrap_or(u64::MAX))
                .present(u64::try_from(others).unwrap_or(u64::MAX).saturating_add(1)));
        }
        Ok(())
    }

    /// Check 12. INVARIANT(M3): what a grant used plus what is asked for stays within its budget.
    fn require_grant_budget(&self, asked: i64) -> Result<(), Reject> {
        let Some(grant) = self.context.grant else { return Ok(()) };
        let row = self.account_row();
        let used = row
            .usage()
            .iter()
            .find(|usage| usage.grant == grant.number.number())
            .map_or(0, |usage| usage.traded_notional.saturating_add(usage.open_notional));
        let left = grant.notional_max.micros().saturating_sub(grant.used_elsewhere.micros()).saturating_sub(used);
        if asked > left {
            return Err(Reject::of(RejectCode::GrantNotionalExceeded)
                .quote(QuoteMicros::from_micros(left.max(0)), QuoteMicros::from_micros(asked)));
        }
        Ok(())
    }
}

/// Check 11, second half. INVARIANT(M4): an opposite position gives no room, since a reduce-only order may close it
/// first; so no order of any fill takes a position beyond its maximum.
fn require_position_size(market: &MarketNow, position: &Position, added: &AddedOrders) -> Result<(), Reject> {
    let most = market.rules.position_lots_max.lots();
    let sides = [
        (position.lots, position.bid_lots, added.bid_lots),
        (position.lots.saturating_neg(), position.ask_lots, added.ask_lots),
    ];
    for (held, resting, added) in sides {
        let reached = u64::try_from(held.max(0).saturating_add(resting).saturating_add(added)).unwrap_or(0);
        if added > 0 && reached > most {
            return Err(Reject::of(RejectCode::PositionTooLarge).required(most).present(reached));
        }
    }
    Ok(())
}
