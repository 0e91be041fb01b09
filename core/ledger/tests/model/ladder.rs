//! Mass quote: the whole ladder of a market is replaced, or nothing is.

use casemate_protocol::command::{QuoteLadder, QuoteLevel, Side};
use casemate_protocol::event::{LadderLevelSkipped, RemovalCause};
use casemate_protocol::{ClientOrderId, Event, GrantNumber, OrderNumber, Reject, RejectCode, TimeMs};

use super::market::Order;
use super::place::{Before, check_quantity};
use super::{Asker, Model, ticks};

impl Model {
    pub(super) fn quote_ladder(&mut self, asker: Asker, ladder: &QuoteLadder) -> Result<Vec<Event>, Reject> {
        let rules = self.rules_or_reject(ladder.market)?;
        check_sorted(Side::Bid, ladder.bids.as_slice())?;
        check_sorted(Side::Ask, ladder.asks.as_slice())?;
        check_not_crossed(ladder)?;
        let levels: Vec<(Side, QuoteLevel)> = ladder
            .bids
            .iter()
            .map(|bid| (Side::Bid, *bid))
            .chain(ladder.asks.iter().map(|ask| (Side::Ask, *ask)))
            .collect();
        for (side, level) in &levels {
            check_quantity(&rules, i128::from(level.quantity.lots()))?;
            self.check_price(&rules, *side, i128::from(level.price.ticks()))?;
        }

        let free = self.free(rules.segment, asker.account);
        let mut events = Vec::new();
        let mut former = self.orders_of(rules.segment, asker.account);
        former.retain(|(market, order)| *market == ladder.market && order.is_ladder);
        former.sort_by_key(|(_, order)| order.number);
        for (_, order) in former {
            events.push(self.remove(&rules, order, RemovalCause::LadderReplaced));
        }

        // A ladder does not cross itself, so which levels would take does not depend on those before them.
        let would_take = |level: &QuoteLevel, side: Side| {
            self.would_take(ladder.market, side, i128::from(level.price.ticks())).is_some()
        };
        let order_of = |side: Side, level: &QuoteLevel| Order {
            number: OrderNumber::NONE,
            account: asker.account,
            client_id: ClientOrderId::NONE,
            grant: asker.grant.unwrap_or(GrantNumber::NONE),
            side,
            price: i128::from(level.price.ticks()),
            quantity: i128::from(level.quantity.lots()),
            is_reduce_only: false,
            is_ladder: true,
            expires_ms: TimeMs::ZERO,
            origin: asker.origin,
        };
        let judged: Vec<(Order, bool)> =
            levels.iter().map(|(side, level)| (order_of(*side, level), would_take(level, *side))).collect();
        let placed: Vec<Order> = judged.iter().filter(|(_, takes)| !takes).map(|(order, _)| *order).collect();
        if !placed.is_empty() {
            self.check_open_orders(rules.segment, asker, placed.len())?;
        }
        self.check_limits(asker, &rules, &placed, Before { free, may_take: false })?;

        for (order, takes) in judged {
            if takes {
                let (market, side, price) = (ladder.market, order.side, ticks(order.price));
                let rule = RejectCode::PostOnlyWouldTake.number();
                events.push(Event::LadderLevelSkipped(LadderLevelSkipped { market, side, price, rule }));
                continue;
            }
            let order = Order { number: self.next_order_number(rules.segment), ..order };
            self.push(ladder.market, order);
            events.push(Event::OrderRested(order.rested(ladder.market)));
        }
        Ok(events)
    }
}

/// Best first: bids fall, asks rise.
fn check_sorted(side: Side, levels: &[QuoteLevel]) -> Result<(), Reject> {
    for (before, level) in levels.iter().zip(levels.iter().skip(1)) {
        let is_sorted = match side {
            Side::Bid => level.price < before.price,
            Side::Ask => level.price > before.price,
        };
        if !is_sorted {
            let reject = Reject::of(RejectCode::LadderNotSorted);
            return Err(reject.required(before.price.ticks()).present(level.price.ticks()));
        }
    }
    Ok(())
}

fn check_not_crossed(ladder: &QuoteLadder) -> Result<(), Reject> {
    let best = (ladder.bids.as_slice().first(), ladder.asks.as_slice().first());
    let (Some(bid), Some(ask)) = best else { return Ok(()) };
    if bid.price >= ask.price {
        let reject = Reject::of(RejectCode::LadderCrossed);
        return Err(reject.required(ask.price.ticks()).present(bid.price.ticks()));
    }
    Ok(())
}
