//! Placing an order: the thirteen checks, in the order of the page.

use casemate_protocol::command::{OrderKind, PlaceOrder, Side, TimeInForce};
use casemate_protocol::event::RemainderDropped;
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::limits::POSITIONS_MAX;
use casemate_protocol::{Event, GrantNumber, MarketId, OrderNumber, Reject, RejectCode, SegmentId, TimeMs};

use super::account::{check_free, fee, sign, tick_value};
use super::market::Order;
use super::{Asker, MILLION, Model, bare, divide_down, divide_up, lots, micros, ticks};

/// What is settled when the limits are checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// Free collateral before the command did anything.
    pub(super) free: i128,
    /// Whether the orders may take, and so must have the taker fee at hand.
    pub(super) may_take: bool,
}

impl Model {
    pub(super) fn place(&mut self, asker: Asker, place: &PlaceOrder) -> Result<Vec<Event>, Reject> {
        // 1.
        let rules = self.rules_or_reject(place.market)?;
        // 2.
        let asked = i128::from(place.quantity.lots());
        check_quantity(&rules, asked)?;
        // 3 and 4; a market order has no price yet.
        if let OrderKind::Limit(terms) = place.kind {
            self.check_price(&rules, place.side, i128::from(terms.price.ticks()))?;
        }
        // 5.
        let expires_ms = good_till(place.kind);
        check_good_till(asker, expires_ms)?;
        // 6.
        let resting = self.orders_of(rules.segment, asker.account);
        if !place.client_id.is_none() && resting.iter().any(|(_, order)| order.client_id == place.client_id) {
            return Err(Reject::of(RejectCode::ClientIdInUse).present(place.client_id.number()));
        }
        // 7.
        let quantity = match place.is_reduce_only {
            true => self.reduced(asker, &rules, place.side, asked, can_rest(place.kind))?,
            false => asked,
        };
        // 8 and 9.
        let price = match place.kind {
            OrderKind::Market(terms) => self.bounded_price(&rules, place.side, terms.slippage_ppm_max.ppm())?,
            OrderKind::Limit(terms) => {
                self.post_only_price(&rules, place.side, i128::from(terms.price.ticks()), terms.time_in_force)?
            }
        };
        // 10.
        if can_rest(place.kind) {
            self.check_open_orders(rules.segment, asker, 1)?;
        }
        // 11 to 13.
        let order = Order {
            number: OrderNumber::NONE,
            account: asker.account,
            client_id: place.client_id,
            grant: asker.grant.unwrap_or(GrantNumber::NONE),
            side: place.side,
            price,
            quantity,
            is_reduce_only: place.is_reduce_only,
            is_ladder: false,
            expires_ms,
            origin: asker.origin,
        };
        let before = Before { free: self.free(rules.segment, asker.account), may_take: !is_post_only(place.kind) };
        self.check_limits(asker, &rules, &[order], before)?;

        let mut taker = Order { number: self.next_order_number(rules.segment), ..order };
        let matched = self.match_order(asker, &rules, &mut taker, place.self_trade)?;
        if is_fill_or_kill(place.kind) && taker.quantity > 0 {
            let reject = Reject::of(RejectCode::FillOrKillNotFillable);
            return Err(reject.required(bare(quantity)).present(bare(quantity - taker.quantity)));
        }
        let mut events = matched.events;
        events.extend(self.rest_or_drop(place.market, taker, can_rest(place.kind) && !matched.is_stopped));
        Ok(events)
    }

    /// Check 7: the quantity of a reduce-only order, cut to the position, or if it can rest to what resting ones leave of it.
    pub(super) fn reduced(
        &self,
        asker: Asker,
        rules: &MarketRules,
        side: Side,
        quantity: i128,
        can_rest: bool,
    ) -> Result<i128, Reject> {
        let position = self.position_of(rules.id, asker.account);
        let resting = self
            .orders_of(rules.segment, asker.account)
            .into_iter()
            .filter(|(market, order)| can_rest && *market == rules.id && order.is_reduce_only && order.side == side);
        let promised: i128 = resting.map(|(_, order)| order.quantity).sum();
        let room = (position.reducible_by(side) - promised).max(0);
        if room == 0 {
            let reject = Reject::of(RejectCode::ReduceOnlyWouldIncrease);
            return Err(reject.required(bare(promised)).present(bare(position.lots.abs())));
        }
        Ok(quantity.min(room))
    }

    /// What becomes of the rest of an order that has matched.
    pub(super) fn rest_or_drop(&mut self, market: MarketId, order: Order, rests: bool) -> Option<Event> {
        if order.quantity == 0 {
            return None;
        }
        if rests {
            self.push(market, order);
            return Some(Event::OrderRested(order.rested(market)));
        }
        let dropped = RemainderDropped { market, number: order.number, quantity: lots(order.quantity) };
        Some(Event::RemainderDropped(dropped))
    }

    /// Checks 3 and 4.
    pub(super) fn check_price(&self, rules: &MarketRules, side: Side, price: i128) -> Result<(), Reject> {
        if price < 1 || price > i128::from(rules.price_max.ticks()) {
            return Err(price_out_of_range(rules, price));
        }
        let (lower, upper) = self.band(rules);
        let edge = match side {
            Side::Bid if price > upper => upper,
            Side::Ask if price < lower => lower,
            Side::Bid | Side::Ask => return Ok(()),
        };
        Err(Reject::of(RejectCode::PriceOutsideBand).required(bare(edge)).present(bare(price)))
    }

    /// Check 8: the limit price of a market order.
    fn bounded_price(&self, rules: &MarketRules, side: Side, slippage_ppm: u32) -> Result<i128, Reject> {
        let best = self.market(rules.id).and_then(|market| market.best_opposite(side));
        let Some(best) = best else {
            return Err(Reject::of(RejectCode::NoLiquidity));
        };
        let slippage = i128::from(slippage_ppm);
        let (lower, upper) = self.band(rules);
        // The band ends a market order where it ends a limit order of its side: buys above, sells below.
        let (limit, is_within) = match side {
            Side::Bid => {
                let limit = divide_down(best.price * (MILLION + slippage), MILLION).min(upper);
                (limit, best.price <= limit)
            }
            Side::Ask => {
                let limit = divide_up(best.price * (MILLION - slippage), MILLION).max(lower);
                (limit, best.price >= limit)
            }
        };
        if is_within { Ok(limit) } else { Err(Reject::of(RejectCode::NoLiquidity)) }
    }

    /// Check 9: post-only refuses or slides, other orders keep their price.
    fn post_only_price(
        &self,
        rules: &MarketRules,
        side: Side,
        price: i128,
        time_in_force: TimeInForce,
    ) -> Result<i128, Reject> {
        match time_in_force {
            TimeInForce::PostOnly => {
                self.check_post_only(rules.id, side, price)?;
                Ok(price)
            }
            TimeInForce::PostOnlySlide => {
                let Some(best) = self.would_take(rules.id, side, price) else {
                    return Ok(price);
                };
                let slid = match side {
                    Side::Bid => best - 1,
                    Side::Ask => best + 1,
                };
                if slid < 1 || slid > i128::from(rules.price_max.ticks()) {
                    return Err(price_out_of_range(rules, slid));
                }
                Ok(slid)
            }
            TimeInForce::GoodTillCancel
            | TimeInForce::GoodTillTime(_)
            | TimeInForce::ImmediateOrCancel
            | TimeInForce::FillOrKill => Ok(price),
        }
    }

    pub(super) fn check_post_only(&self, market: MarketId, side: Side, price: i128) -> Result<(), Reject> {
        match self.would_take(market, side, price) {
            Some(best) => Err(Reject::of(RejectCode::PostOnlyWouldTake).required(bare(best)).present(bare(price))),
            None => Ok(()),
        }
    }

    /// The best opposite price, if an order at `price` crosses it. Whose order it is does not matter.
    pub(super) fn would_take(&self, market: MarketId, side: Side, price: i128) -> Option<i128> {
        let best = self.market(market)?.best_opposite(side)?.price;
        let crosses = side.crosses(ticks(price), ticks(best));
        crosses.then_some(best)
    }

    /// Check 10.
    pub(super) fn check_open_orders(&self, segment: SegmentId, asker: Asker, added: usize) -> Result<(), Reject> {
        let most = u64::from(self.segment_or_reject(segment)?.open_orders_max);
        let resting = self.orders_of(segment, asker.account).len();
        let count = u64::try_from(resting + added).unwrap_or(u64::MAX);
        if count > most {
            return Err(Reject::of(RejectCode::OpenOrdersMax).required(most).present(count));
        }
        Ok(())
    }

    /// Checks 11 to 13, for one order or all levels of a ladder. Orders that they replace are gone from `self`.
    pub(super) fn check_limits(
        &self,
        asker: Asker,
        rules: &MarketRules,
        new: &[Order],
        before: Before,
    ) -> Result<(), Reject> {
        if new.is_empty() {
            return Ok(());
        }
        self.check_markets(asker, rules)?;
        // Nothing else concerns an order that can only reduce.
        let adding: Vec<Order> = new.iter().filter(|order| !order.is_reduce_only).copied().collect();
        if adding.is_empty() {
            return Ok(());
        }
        self.check_position_size(asker, rules, &adding)?;
        self.check_grant_budget(asker, rules, &adding)?;
        self.check_collateral(asker, rules, &adding, before)
    }

    /// Check 11, first half: this market counts too.
    fn check_markets(&self, asker: Asker, rules: &MarketRules) -> Result<(), Reject> {
        let is_in_use = |id: MarketId, has_orders: bool| {
            id == rules.id || has_orders || self.position_of(id, asker.account).lots != 0
        };
        let in_use = self.markets_of(rules.segment).filter(|market| {
            is_in_use(market.rules.id, market.orders.iter().any(|order| order.account == asker.account))
        });
        let count = in_use.count();
        if count > POSITIONS_MAX {
            let [most, count] = [POSITIONS_MAX, count].map(|number| u64::try_from(number).unwrap_or(u64::MAX));
            return Err(Reject::of(RejectCode::PositionsMax).required(most).present(count));
        }
        Ok(())
    }

    /// Check 11, second half: the position with all orders of a side filled, on each side that gets an order. A position
    /// of the other side counts as closed: something that only reduces may close it first.
    fn check_position_size(&self, asker: Asker, rules: &MarketRules, adding: &[Order]) -> Result<(), Reject> {
        let most = i128::from(rules.position_lots_max.lots());
        let position = self.position_of(rules.id, asker.account).lots;
        for side in [Side::Bid, Side::Ask] {
            let added: i128 = adding.iter().filter(|order| order.side == side).map(|order| order.quantity).sum();
            let orders = self.orders_of(rules.segment, asker.account).into_iter();
            let on_side = orders.filter(|(market, order)| *market == rules.id && order.side == side);
            let resting: i128 =
                on_side.filter(|(_, order)| !order.is_reduce_only).map(|(_, order)| order.quantity).sum();
            let total = (sign(side) * position).max(0) + resting + added;
            if added > 0 && total > most {
                return Err(Reject::of(RejectCode::PositionTooLarge).required(bare(most)).present(bare(total)));
            }
        }
        Ok(())
    }

    /// Check 12.
    fn check_grant_budget(&self, asker: Asker, rules: &MarketRules, adding: &[Order]) -> Result<(), Reject> {
        let Some(number) = asker.grant else { return Ok(()) };
        let Some(grant) = self.grants.get(&(asker.account, number)) else {
            return Err(Reject::of(RejectCode::GrantNotFound).present(u64::from(number.number())));
        };
        let left = grant.notional_max - self.grant_used(asker.account, number);
        let asked: i128 = adding.iter().map(|order| self.dearest_notional(rules, order)).sum();
        if asked > left {
            return Err(Reject::of(RejectCode::GrantNotionalExceeded).quote(micros(left.max(0)), micros(asked)));
        }
        Ok(())
    }

    /// Check 13: would they all rest, and the taker fee be paid on all?
    fn check_collateral(
        &self,
        asker: Asker,
        rules: &MarketRules,
        adding: &[Order],
        before: Before,
    ) -> Result<(), Reject> {
        let mut rested = self.clone();
        for order in adding {
            rested.push(rules.id, *order);
            if before.may_take {
                let fee = fee(self.dearest_notional(rules, order), rules.taker_fee);
                rested.credit(rules.segment, asker.account, -fee);
            }
        }
        check_free(before.free, rested.free(rules.segment, asker.account))
    }

    /// An order's lots at its dearest price.
    fn dearest_notional(&self, rules: &MarketRules, order: &Order) -> i128 {
        let price = self.market(rules.id).map_or(order.price, |market| market.dearest_price(order));
        order.quantity * price * tick_value(rules)
    }
}

/// Check 2.
pub(super) fn check_quantity(rules: &MarketRules, quantity: i128) -> Result<(), Reject> {
    let (least, most) = (rules.order_lots_min.lots(), rules.order_lots_max.lots());
    if quantity < i128::from(least) {
        return Err(Reject::of(RejectCode::QuantityBelowMinimum).required(least).present(bare(quantity)));
    }
    if quantity > i128::from(most) {
        return Err(Reject::of(RejectCode::QuantityTooLarge).required(most).present(bare(quantity)));
    }
    Ok(())
}

fn price_out_of_range(rules: &MarketRules, price: i128) -> Reject {
    Reject::of(RejectCode::PriceOutOfRange).required(rules.price_max.ticks()).present(bare(price))
}

/// Check 5. Zero is no end.
pub(super) fn check_good_till(asker: Asker, expires_ms: TimeMs) -> Result<(), Reject> {
    if !expires_ms.is_zero() && expires_ms <= asker.time_ms {
        let reject = Reject::of(RejectCode::GoodTillTimePast);
        return Err(reject.required(expires_ms.ms()).present(asker.time_ms.ms()));
    }
    Ok(())
}

/// The order's end, or zero for none.
fn good_till(kind: OrderKind) -> TimeMs {
    match kind {
        OrderKind::Limit(terms) => match terms.time_in_force {
            TimeInForce::GoodTillTime(expires_ms) => expires_ms,
            TimeInForce::GoodTillCancel
            | TimeInForce::ImmediateOrCancel
            | TimeInForce::FillOrKill
            | TimeInForce::PostOnly
            | TimeInForce::PostOnlySlide => TimeMs::ZERO,
        },
        OrderKind::Market(_) => TimeMs::ZERO,
    }
}

fn can_rest(kind: OrderKind) -> bool {
    match kind {
        OrderKind::Limit(terms) => match terms.time_in_force {
            TimeInForce::GoodTillCancel
            | TimeInForce::GoodTillTime(_)
            | TimeInForce::PostOnly
            | TimeInForce::PostOnlySlide => true,
            TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill => false,
        },
        OrderKind::Market(_) => false,
    }
}

fn is_post_only(kind: OrderKind) -> bool {
    let OrderKind::Limit(terms) = kind else { return false };
    matches!(terms.time_in_force, TimeInForce::PostOnly | TimeInForce::PostOnlySlide)
}

fn is_fill_or_kill(kind: OrderKind) -> bool {
    let OrderKind::Limit(terms) = kind else { return false };
    matches!(terms.time_in_force, TimeInForce::FillOrKill)
}
