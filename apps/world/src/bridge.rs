//! Sixty one-second prices of a candle.
//!
//! A candle says where a minute began, where it ended, and how far it went, and nothing between. The bridge fills it in:
//! open, low, high, close if the minute closed at or above its open, else open, high, low, close. Laws, each with a test:
//!
//! - B1 the first price is the open, the last the close.
//! - B2 no price is outside of low and high, and both are touched.
//! - B3 the first of the two extremes is touched before the second, unless the open is the second already.
//! - B4 the prices depend on seed, minute and candle alone.

use crate::draws::Draws;
use crate::klines::Ohlc;
use crate::{MINUTE_MS, Seed};

/// Prices of a minute, one a second.
pub const SECONDS: usize = 60;

/// The minute's prices in micro-quote, at second 0 to 59 of it. `open_time_ms` is when it begins.
#[must_use]
pub fn seconds(seed: &Seed, open_time_ms: u64, ohlc: &Ohlc) -> [u64; SECONDS] {
    let mut draws = Draws::new(seed, b"bridge__", &[open_time_ms / MINUTE_MS]);
    let (low, high) = (ohlc.low_micros(), ohlc.high_micros());
    let (open, close) = (ohlc.open_micros(), ohlc.close_micros());
    let (first, second) = if close >= open { (low, high) } else { (high, low) };

    // An open or close that is an extreme is the touch of it; otherwise the touch is somewhere between.
    let last = SECONDS - 1;
    let first_at = if open == first { 0 } else { draws.between(1, last as u64 - 2) as usize };
    let second_at = if close == second { last } else { draws.between(first_at as u64 + 1, last as u64 - 1) as usize };

    let mut prices = [open; SECONDS];
    prices[first_at] = first;
    prices[second_at] = second;
    prices[last] = close;
    for (from, to) in [(0, first_at), (first_at, second_at), (second_at, last)] {
        join(&mut draws, &mut prices, from, to, (low, high));
    }
    prices
}

/// Fills what lies strictly between two seconds: steps towards the target, and a draw to either side that stays strictly
/// inside the range, so that neither extreme is touched before its time.
fn join(draws: &mut Draws, prices: &mut [u64; SECONDS], from: usize, to: usize, (low, high): (u64, u64)) {
    let spread = (high - low) / NOISE_SHARE;
    for at in from + 1..to {
        let (before, target, left) = (prices[at - 1], prices[to], (to - at + 1) as u64);
        // Too narrow for a price strictly inside: wait at the last one.
        if high - low < 2 {
            prices[at] = before;
            continue;
        }
        let towards =
            if target >= before { before + (target - before) / left } else { before - (before - target) / left };
        let drawn = (towards + draws.between(0, 2 * spread)).saturating_sub(spread);
        prices[at] = drawn.clamp(low + 1, high - 1);
    }
}

/// A second's own draw goes an eighth of the minute's range to either side at most.
const NOISE_SHARE: u64 = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PRICE_MICROS_MAX;
    use crate::klines::{OhlcMicros, VolumeUnit};
    use crate::recorded_data;

    /// Candles of every shape: wide, narrow, flat, with open and close at the extremes or between.
    fn candle() -> impl Strategy<Value = Ohlc> {
        let wide = (1..=PRICE_MICROS_MAX, 0..=PRICE_MICROS_MAX);
        let narrow = (1..=PRICE_MICROS_MAX, 0..=4_u64);
        let place = prop_oneof![Just(0_u64), Just(1_000), 0..=1_000_u64];
        (prop_oneof![wide, narrow], place.clone(), place).prop_map(|((low, width), open, close)| {
            let high = low.saturating_add(width).min(PRICE_MICROS_MAX);
            let at = |place: u64| low + (u128::from(high - low) * u128::from(place) / 1_000) as u64;
            Ohlc::new(OhlcMicros { open: at(open), high, low, close: at(close) }).unwrap()
        })
    }

    fn first_touch(prices: &[u64], price: u64) -> Option<usize> {
        prices.iter().position(|found| *found == price)
    }

    fn assert_laws(prices: &[u64; SECONDS], ohlc: &Ohlc) -> Result<(), TestCaseError> {
        let (low, high) = (ohlc.low_micros(), ohlc.high_micros());
        prop_assert_eq!(prices[0], ohlc.open_micros(), "B1");
        prop_assert_eq!(prices[SECONDS - 1], ohlc.close_micros(), "B1");
        prop_assert!(prices.iter().all(|price| (low..=high).contains(price)), "B2");
        let (low_at, high_at) = (first_touch(prices, low), first_touch(prices, high));
        prop_assert!(low_at.is_some() && high_at.is_some(), "B2");
        let is_up = ohlc.close_micros() >= ohlc.open_micros();
        let (first_at, second_at, second) = if is_up { (low_at, high_at, high) } else { (high_at, low_at, low) };
        if ohlc.open_micros() != second {
            prop_assert!(first_at < second_at, "B3: {:?} then {:?}", first_at, second_at);
        } else {
            // The second extreme is touched again behind the first.
            let again = prices.iter().rposition(|price| *price == second);
            prop_assert!(first_at <= again, "B3");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn prop_every_law_holds_for_any_candle(ohlc in candle(), minute in 0..1_u64 << 40, number in any::<u64>()) {
            let prices = seconds(&Seed::from_number(number), minute * MINUTE_MS, &ohlc);
            assert_laws(&prices, &ohlc)?;
        }

        #[test]
        fn prop_prices_depend_on_seed_minute_and_candle(ohlc in candle(), minute in 0..1_u64 << 40, number in any::<u64>()) {
            let at = |number, minute| seconds(&Seed::from_number(number), minute * MINUTE_MS, &ohlc);
            prop_assert_eq!(at(number, minute), at(number, minute), "B4");
            // With room for draws, another seed or minute takes another road.
            if ohlc.range_micros() > 1_000_000 {
                prop_assert_ne!(at(number, minute), at(number.wrapping_add(1), minute));
                prop_assert_ne!(at(number, minute), at(number, minute + 1));
            }
        }
    }

    #[test]
    fn a_rising_minute_dips_first_and_a_falling_one_rises_first() {
        let at = |open, close| {
            let ohlc = Ohlc::new(OhlcMicros { open, high: 2_000, low: 1_000, close }).unwrap();
            let prices = seconds(&Seed::from_number(7), 0, &ohlc);
            (first_touch(&prices, 1_000).unwrap(), first_touch(&prices, 2_000).unwrap())
        };
        let (low_at, high_at) = at(1_400, 1_600);
        assert!(low_at < high_at);
        let (low_at, high_at) = at(1_500, 1_500);
        assert!(low_at < high_at, "a close at the open counts as rising");
        let (low_at, high_at) = at(1_600, 1_400);
        assert!(high_at < low_at);
    }

    #[test]
    fn every_candle_of_a_crash_month_is_bridged_by_the_laws() {
        let Some(file) = recorded_data::klines(recorded_data::BTC_MAY_2021, VolumeUnit::Base) else { return };
        let seed = Seed::from_number(1);
        for minute in file.minutes() {
            let prices = seconds(&seed, minute.open_time_ms, &minute.ohlc);
            assert_laws(&prices, &minute.ohlc).unwrap_or_else(|error| panic!("{}: {error}", minute.open_time_ms));
        }
    }
}
