//! A book kept from events alone, with the plainest data there is: every trade must be with the order that is first.

use std::collections::BTreeMap;

use casemate_ledger::Ledger;
use casemate_protocol::event::{OrderRested, TradeExecuted};
use casemate_protocol::{Event, MarketId, Side};

/// Resting orders of all markets, in the order in which they came to rest.
#[derive(Default)]
pub struct EventBook {
    orders: BTreeMap<u16, Vec<OrderRested>>,
}

impl EventBook {
    pub fn orders(&self) -> impl Iterator<Item = &OrderRested> {
        self.orders.values().flatten()
    }

    pub fn order(&self, market: MarketId, number: u64) -> Option<&OrderRested> {
        self.orders.get(&market.number())?.iter().find(|order| order.number.number() == number)
    }

    /// Follows one event. Returns what is wrong about a trade.
    pub fn follow(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::OrderRested(rested) => {
                self.orders.entry(rested.market.number()).or_default().push(*rested);
            }
            Event::OrderRemoved(removed) => self.remove(removed.market, removed.number.number()),
            Event::OrderReduced(reduced) => {
                let orders = self.orders.entry(reduced.market.number()).or_default();
                let order = orders.iter_mut().find(|order| order.number == reduced.number);
                order.ok_or("an order that does not rest was reduced")?.quantity = reduced.quantity;
            }
            Event::TradeExecuted(trade) => self.trade(trade)?,
            _ => {}
        }
        Ok(())
    }

    fn remove(&mut self, market: MarketId, number: u64) {
        self.orders.entry(market.number()).or_default().retain(|order| order.number.number() != number);
    }

    fn first(&self, market: MarketId, side: Side) -> Option<&OrderRested> {
        let orders = self.orders.get(&market.number())?.iter().filter(|order| order.side == side);
        orders.reduce(|best, order| {
            let is_better = match side {
                Side::Bid => order.price > best.price,
                Side::Ask => order.price < best.price,
            };
            if is_better { order } else { best }
        })
    }

    fn trade(&mut self, trade: &TradeExecuted) -> Result<(), String> {
        let first = *self.first(trade.market, trade.taker_side.opposite()).ok_or("a trade with an empty book")?;
        if first.number != trade.maker_order || first.account != trade.maker || first.price != trade.price {
            return Err(format!("{trade:?} passed over {first:?}"));
        }
        if trade.quantity.is_zero() || trade.quantity > first.quantity {
            return Err(format!("{trade:?} is larger than {first:?}"));
        }
        if first.quantity == trade.quantity {
            self.remove(trade.market, first.number.number());
        } else if let Some(order) =
            self.orders.entry(trade.market.number()).or_default().iter_mut().find(|order| order.number == first.number)
        {
            order.quantity = order.quantity.saturating_sub(trade.quantity);
        }
        Ok(())
    }

    /// Whether the ledger's books hold the same orders in the same queues.
    pub fn agrees_with(&self, ledger: &Ledger) -> bool {
        ledger.segments().iter().flat_map(|segment| segment.markets().iter().map(move |market| (segment, market))).all(
            |(segment, market)| {
                [Side::Bid, Side::Ask].into_iter().all(|side| {
                    let theirs = market.book().slots(side, segment.orders()).map(|slot| {
                        let order = segment.orders().order(slot).expect("a slot of the book");
                        (order.price, order.number, order.remaining)
                    });
                    let mut ours: Vec<_> = self
                        .orders
                        .get(&market.rules().id.number())
                        .into_iter()
                        .flatten()
                        .filter(|order| order.side == side)
                        .map(|order| (order.price, order.number, order.quantity))
                        .collect();
                    // Stable, so that arrival decides inside a price.
                    ours.sort_by_key(|(price, ..)| match side {
                        Side::Bid => u64::MAX - price.ticks(),
                        Side::Ask => price.ticks(),
                    });
                    ours == theirs.collect::<Vec<_>>()
                })
            },
        )
    }
}
