//! Matching: the rules before each fill, the fill, and what it leaves behind.

use casemate_protocol::command::SelfTradeMode;
use casemate_protocol::event::{RemovalCause, TradeExecuted};
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::limits::{MAKERS_REMOVED_MAX, MATCH_STEPS_MAX};
use casemate_protocol::{Event, OrderNumber, Reject, TimeMs};

use super::account::{Fill, Position, fee, sign, tick_value};
use super::market::Order;
use super::{Asker, Model, Trade, lots, micros, ticks};

/// What matching did with an arriving order.
#[derive(Clone, Debug, Default)]
pub(super) struct Matched {
    pub(super) events: Vec<Event>,
    /// A rule ended the matching: the rest must be dropped even if the order could rest.
    pub(super) is_stopped: bool,
}

impl Model {
    /// Trades an arriving order until nothing of it is left, nothing crosses it, or a rule stops it. `taker.quantity`
    /// is what is left.
    pub(super) fn match_order(
        &mut self,
        asker: Asker,
        rules: &MarketRules,
        taker: &mut Order,
        self_trade: SelfTradeMode,
    ) -> Result<Matched, Reject> {
        let mut matched = Matched::default();
        let (mut touched, mut makers_removed, mut fills) = (0, 0, 0);
        while taker.quantity > 0 {
            let best = self.market(rules.id).and_then(|market| market.best_opposite(taker.side));
            let Some(maker) = best.filter(|maker| taker.reaches(maker.price)) else {
                break;
            };
            if touched == MATCH_STEPS_MAX || makers_removed == MAKERS_REMOVED_MAX {
                matched.is_stopped = true;
                break;
            }
            touched += 1;

            // 1.
            if maker.account == taker.account {
                let (is_resting_removed, is_arriving_dropped) = match self_trade {
                    SelfTradeMode::CancelResting => (true, false),
                    SelfTradeMode::CancelArriving => (false, true),
                    SelfTradeMode::CancelBoth => (true, true),
                };
                if is_resting_removed {
                    matched.events.push(self.remove(rules, maker, RemovalCause::SelfTrade));
                }
                if is_arriving_dropped {
                    matched.is_stopped = true;
                    break;
                }
                continue;
            }
            // 2.
            if !maker.expires_ms.is_zero() && maker.expires_ms <= asker.time_ms {
                makers_removed += 1;
                matched.events.push(self.remove(rules, maker, RemovalCause::Expired));
                continue;
            }
            if !maker.is_reduce_only && self.has_grant_ended(&maker, asker.time_ms) {
                makers_removed += 1;
                matched.events.push(self.remove(rules, maker, RemovalCause::GrantEnded));
                continue;
            }
            // 3.
            let maker_reducible = self.position_of(rules.id, maker.account).reducible_by(maker.side);
            if maker.is_reduce_only && maker_reducible == 0 {
                makers_removed += 1;
                matched.events.push(self.remove(rules, maker, RemovalCause::NothingToReduce));
                continue;
            }
            // 4.
            let mut quantity = taker.quantity.min(maker.quantity);
            if maker.is_reduce_only {
                quantity = quantity.min(maker_reducible);
            }
            // 5.
            let notional = maker.price * quantity * tick_value(rules);
            let fill_of = |order: &Order, fee: i128| Fill {
                market: rules.id,
                account: order.account,
                side: order.side,
                price: maker.price,
                quantity,
                fee,
            };
            let maker_fill = fill_of(&maker, fee(notional, rules.maker_fee));
            let taker_fill = fill_of(taker, fee(notional, rules.taker_fee));
            if self.check_fill(maker_fill, &maker).is_err() {
                makers_removed += 1;
                matched.events.push(self.remove(rules, maker, RemovalCause::MakerRisk));
                continue;
            }
            // 6.
            if let Err(reject) = self.check_fill(taker_fill, taker) {
                if fills == 0 {
                    return Err(reject);
                }
                matched.is_stopped = true;
                break;
            }
            // 7.
            fills += 1;
            self.book_fill(maker_fill);
            self.book_fill(taker_fill);
            taker.quantity -= quantity;
            self.shrink(rules, maker.number, quantity);
            let event = TradeExecuted {
                market: rules.id,
                number: self.next_trade_number(rules.segment),
                maker_order: maker.number,
                maker: maker.account,
                taker_order: taker.number,
                taker: taker.account,
                taker_grant: taker.grant,
                taker_side: taker.side,
                price: ticks(maker.price),
                quantity: lots(quantity),
                maker_fee: micros(maker_fill.fee),
                taker_fee: micros(taker_fill.fee),
            };
            // Listing the trade moves the reference.
            self.trades.push(Trade {
                event,
                segment: rules.segment,
                notional,
                maker_grant: maker.grant,
                is_maker_reducing: maker.is_reduce_only,
                is_taker_reducing: taker.is_reduce_only,
            });
            matched.events.push(Event::TradeExecuted(event));
            // 8.
            for fill in [maker_fill, taker_fill] {
                matched.events.extend(self.remove_nothing_to_reduce(rules, &fill));
            }
        }
        Ok(matched)
    }

    /// After a fill that closed its account's position: what rests to reduce it goes, in the order of numbers.
    fn remove_nothing_to_reduce(&mut self, rules: &MarketRules, fill: &Fill) -> Vec<Event> {
        let after = self.position_of(rules.id, fill.account);
        let before = Position { lots: after.lots - sign(fill.side) * fill.quantity, ..after };
        if before.reducible_by(fill.side) == 0 || after.reducible_by(fill.side) > 0 {
            return Vec::new();
        }
        let mut resting = self.orders_of(rules.segment, fill.account);
        resting.sort_by_key(|(_, order)| order.number);
        let gone = resting
            .into_iter()
            .filter(|(market, order)| *market == rules.id && order.is_reduce_only && order.side == fill.side);
        let gone: Vec<Order> = gone.map(|(_, order)| order).collect();
        gone.into_iter().map(|order| self.remove(rules, order, RemovalCause::NothingToReduce)).collect()
    }

    /// Whether the grant that an order rests under is over. The root key's orders have none.
    fn has_grant_ended(&self, order: &Order, time_ms: TimeMs) -> bool {
        !order.grant.is_none() && !self.is_grant_live(order.account, order.grant, time_ms)
    }

    /// Takes an order out of the book.
    pub(super) fn remove(&mut self, rules: &MarketRules, order: Order, cause: RemovalCause) -> Event {
        for market in self.markets.iter_mut().filter(|market| market.rules.id == rules.id) {
            market.orders.retain(|resting| resting.number != order.number);
        }
        order.removed(rules.id, cause)
    }

    /// Takes filled lots off a resting order; without lots it is gone.
    fn shrink(&mut self, rules: &MarketRules, number: OrderNumber, quantity: i128) {
        for market in self.markets.iter_mut().filter(|market| market.rules.id == rules.id) {
            for order in market.orders.iter_mut().filter(|order| order.number == number) {
                order.quantity -= quantity;
            }
            market.orders.retain(|order| order.quantity > 0);
        }
    }
}
