//! D7, sandwiching: someone takes, another takes on the same side at once after, and the first takes back the same size at a
//! better price, all within one or two blocks; again and again.
//!
//! Once is chance in a busy market, so one hit is no alert. Who ordered the block is not known here; batch auctions prevent
//! what this only sees.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{DurationMs, Side, TimeMs};

use super::features::{HalfLife, WHOLE_PPM};
use super::observation::{Traded, short};

/// Hits are seen over this \[D\].
pub const FADES: HalfLife = HalfLife::of_ms(10 * 60 * 1_000);
/// Three within ten minutes leave at least this \[D\].
pub const HITS_PPM: u32 = 2 * WHOLE_PPM;
/// From the first to the last of the three: two blocks of the longest (R§4.2 D7: k blocks).
pub const WITHIN: DurationMs = DurationMs::from_ms(2_000);
/// Both sizes are equal to within a twentieth (R§4.2 D7: ±5 %).
pub const SIZE_PART: u64 = 20;
/// Arriving orders that are looked back on (R§4.2 D7: k positions).
const POSITIONS: usize = 8;

/// The last orders that took in a market, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Takers {
    last: [Taker; POSITIONS],
}

/// An order that took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Taker {
    /// Zero where there is none.
    account: u32,
    is_bid: bool,
    /// Already part of a hit.
    is_spent: bool,
    order: u64,
    lots: u64,
    price: u64,
    at: TimeMs,
}

/// A hit: who took twice, and around whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SandwichFigures {
    /// The orders of the account, first and last.
    pub orders: [u64; 2],
    /// The order between them.
    pub between: u64,
    /// What the account gained on a lot, in ticks.
    pub gain_ticks: u64,
    /// Hits, faded, in millionths, with this one.
    pub hits_ppm: u32,
}

impl Takers {
    /// Takes in a trade, and says whether its taker has just closed a sandwich.
    pub fn note(&mut self, trade: &Traded, now: TimeMs) -> Option<SandwichFigures> {
        let order = trade.taker_order.number();
        let (price, lots) = (trade.price.ticks(), trade.lots.lots());
        match self.last.last_mut().filter(|last| last.account != 0 && last.order == order) {
            Some(last) => {
                last.lots = last.lots.saturating_add(lots);
                last.price = price;
            }
            None => {
                self.last.rotate_left(1);
                if let Some(last) = self.last.last_mut() {
                    let is_bid = trade.taker_side == Side::Bid;
                    *last = Taker { account: short(trade.taker), is_bid, is_spent: false, order, lots, price, at: now };
                }
            }
        }
        self.closed(now)
    }

    fn closed(&mut self, now: TimeMs) -> Option<SandwichFigures> {
        let (close, before) = self.last.split_last_mut()?;
        if close.is_spent {
            return None;
        }
        let opened = before.iter().position(|open| open.is_closed_by(close) && now.since(open.at) <= WITHIN)?;
        let (open, between) = before.get_mut(opened..)?.split_first_mut()?;
        let victim = between.iter().find(|taker| taker.account != close.account && taker.is_bid == open.is_bid)?;
        close.is_spent = true;
        open.is_spent = true;
        Some(SandwichFigures {
            orders: [open.order, close.order],
            between: victim.order,
            gain_ticks: open.price.abs_diff(close.price),
            hits_ppm: 0,
        })
    }
}

impl Taker {
    /// Same account, other side, same size, better price.
    fn is_closed_by(&self, close: &Self) -> bool {
        let is_better = if self.is_bid { close.price > self.price } else { close.price < self.price };
        let is_same_size = self.lots.abs_diff(close.lots).saturating_mul(SIZE_PART) <= self.lots;
        self.account == close.account && !self.is_spent && self.is_bid != close.is_bid && is_better && is_same_size
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::{AccountId, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, TradeNumber};
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Played {
        takers: Takers,
        order: u64,
    }

    impl Played {
        fn take(&mut self, account: u64, side: Side, price: u64, lots: u64, now_ms: u64) -> bool {
            self.order += 1;
            let trade = Traded {
                trade: TradeNumber::new(1),
                maker: AccountId::new(99),
                taker: AccountId::new(account),
                taker_order: OrderNumber::new(self.order),
                taker_side: side,
                price: PriceTicks::from_ticks(price),
                index: PriceTicks::ZERO,
                lots: QuantityLots::from_lots(lots),
                notional: QuoteMicros::ZERO,
            };
            self.takers.note(&trade, TimeMs::from_ms(now_ms)).is_some()
        }

        fn sandwich(&mut self, victim: u64, victim_side: Side, sold_at: u64, sold: u64, ms: u64) -> bool {
            self.take(1, Side::Bid, 100, 1_000, 10_000);
            self.take(victim, victim_side, 103, 5_000, 10_000);
            self.take(1, Side::Ask, sold_at, sold, 10_000 + ms)
        }
    }

    #[test]
    fn buying_before_a_buyer_and_selling_to_it_is_a_hit_once() {
        let mut played = Played::default();
        assert!(played.sandwich(2, Side::Bid, 102, 1_040, 0));
        assert!(!played.take(1, Side::Ask, 102, 1_000, 10_000), "both orders are spent");
    }

    /// The benign twins: who turns a position with nobody between, with somebody on the other side, at a loss, by another
    /// size, or later.
    #[test]
    fn turning_a_position_is_not() {
        assert!(!Played::default().sandwich(1, Side::Bid, 102, 1_000, 0), "the order between is one's own");
        assert!(!Played::default().sandwich(2, Side::Ask, 102, 1_000, 0));
        assert!(!Played::default().sandwich(2, Side::Bid, 99, 1_000, 0));
        assert!(!Played::default().sandwich(2, Side::Bid, 102, 1_100, 0));
        assert!(!Played::default().sandwich(2, Side::Bid, 102, 1_000, WITHIN.ms() + 1));
    }

    #[test]
    fn parts_of_one_order_are_one_order() {
        let mut played = Played::default();
        played.take(1, Side::Bid, 100, 600, 10_000);
        played.order -= 1;
        played.take(1, Side::Bid, 100, 400, 10_000);
        played.take(2, Side::Bid, 103, 10, 10_000);
        assert!(played.take(1, Side::Ask, 101, 1_000, 10_000));
    }

    proptest! {
        /// A better price never makes a hit none.
        #[test]
        fn prop_more_gain_is_no_less_of_a_hit(price in 1u64..200, more in 0u64..100) {
            let is_hit = |price| Played::default().sandwich(2, Side::Bid, price, 1_000, 0);
            prop_assert!(!is_hit(price) || is_hit(price + more));
        }
    }
}
