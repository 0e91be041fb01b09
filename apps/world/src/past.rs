//! Prices that have been: all that publishers and traders may see. There is no way from here to the next price.

use std::collections::VecDeque;

use crate::steps::Step;
use crate::{MICROS, SECOND_MS};

/// The latest seconds, up to a fixed number.
#[derive(Clone, Debug)]
pub struct Past {
    seconds_max: usize,
    now_ms: u64,
    /// Oldest first; none where the market was out.
    prices_micros: VecDeque<Option<u64>>,
}

impl Past {
    /// Remembers at most `seconds_max` seconds, at least one.
    #[must_use]
    pub fn new(seconds_max: usize) -> Self {
        let seconds_max = seconds_max.max(1);
        Self { seconds_max, now_ms: 0, prices_micros: VecDeque::with_capacity(seconds_max) }
    }

    /// The next second has come. A step that does not follow the one before by a second begins anew: what lies between
    /// was never seen.
    pub fn push(&mut self, step: Step) {
        if step.time_ms != self.now_ms + SECOND_MS {
            self.prices_micros.clear();
        }
        if self.prices_micros.len() == self.seconds_max {
            self.prices_micros.pop_front();
        }
        self.prices_micros.push_back(step.price_micros);
        self.now_ms = step.time_ms;
    }

    /// When the latest second is, Unix milliseconds.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The latest price, micro-quote; none while the market is out.
    #[must_use]
    pub fn now_micros(&self) -> Option<u64> {
        self.ago_micros(0)
    }

    /// The price so many seconds ago; none where the market was out or nobody remembers.
    #[must_use]
    pub fn ago_micros(&self, seconds: usize) -> Option<u64> {
        let index = self.prices_micros.len().checked_sub(seconds + 1)?;
        self.prices_micros.get(index).copied().flatten()
    }

    /// Highest less lowest price of the latest seconds, micro-quote; none without any price.
    #[must_use]
    pub fn range_micros(&self, seconds: usize) -> Option<u64> {
        let latest = || self.prices_micros.iter().rev().take(seconds).flatten();
        Some(latest().max()? - latest().min()?)
    }

    /// How far the price has moved in so many seconds, in parts per million of the older price, rounded towards zero. None
    /// unless both are there.
    #[must_use]
    pub fn move_ppm(&self, seconds: usize) -> Option<i64> {
        let (now, then) = (i128::from(self.now_micros()?), i128::from(self.ago_micros(seconds)?));
        let ppm = ((now - then) * i128::from(MICROS)).checked_div(then)?;
        Some(ppm.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(seconds_max: usize, prices: &[Option<u64>]) -> Past {
        let mut past = Past::new(seconds_max);
        for (second, price_micros) in prices.iter().enumerate() {
            past.push(Step { time_ms: 60_000 + second as u64 * SECOND_MS, price_micros: *price_micros });
        }
        past
    }

    #[test]
    fn the_past_is_seen_up_to_its_length() {
        let past = past(3, &[Some(100), Some(110), None, Some(121)]);
        assert_eq!(past.now_ms(), 63_000);
        assert_eq!([0, 1, 2, 3].map(|ago| past.ago_micros(ago)), [Some(121), None, Some(110), None]);
        assert_eq!((past.range_micros(1), past.range_micros(3), past.range_micros(99)), (Some(0), Some(11), Some(11)));
        assert_eq!((past.move_ppm(2), past.move_ppm(1), past.move_ppm(9)), (Some(100_000), None, None));
    }

    #[test]
    fn a_fall_is_negative_and_nothing_is_seen_without_prices() {
        assert_eq!(past(9, &[Some(200), Some(100)]).move_ppm(1), Some(-500_000));
        assert_eq!(past(9, &[None, None]).range_micros(2), None);
        assert_eq!(Past::new(0).now_micros(), None);
    }

    #[test]
    fn a_jump_in_time_begins_anew() {
        let mut past = past(9, &[Some(200), Some(100)]);
        past.push(Step { time_ms: 120_000, price_micros: Some(50) });
        assert_eq!((past.ago_micros(0), past.ago_micros(1)), (Some(50), None));
    }
}
