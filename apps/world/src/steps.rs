//! The seconds of recorded minutes, laid out in time.

use crate::bridge::{self, SECONDS};
use crate::klines::Kline;
use crate::{MINUTE_MS, SECOND_MS, Seed};

/// One second of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it is, Unix milliseconds, a whole second.
    pub time_ms: u64,
    /// The price, micro-quote; none in a gap, when the market is out.
    pub price_micros: Option<u64>,
}

/// Every second from the first minute's start to the last minute's end, those of gaps included.
pub fn of_minutes(seed: Seed, minutes: &[Kline]) -> impl Iterator<Item = Step> {
    let mut expected_ms = minutes.first().map_or(0, |minute| minute.open_time_ms);
    minutes.iter().flat_map(move |minute| {
        let out_ms = (expected_ms..minute.open_time_ms).step_by(SECOND_MS as usize);
        expected_ms = minute.open_time_ms + MINUTE_MS;
        let out = out_ms.map(|time_ms| Step { time_ms, price_micros: None });
        out.chain(of_minute(&seed, minute))
    })
}

/// The sixty seconds of a minute.
pub(crate) fn of_minute(seed: &Seed, minute: &Kline) -> impl Iterator<Item = Step> + use<> {
    let (start_ms, prices) = (minute.open_time_ms, bridge::seconds(seed, minute.open_time_ms, &minute.ohlc));
    (0..SECONDS)
        .map(move |second| Step { time_ms: start_ms + second as u64 * SECOND_MS, price_micros: Some(prices[second]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::klines::{Ohlc, OhlcMicros};

    #[test]
    fn seconds_follow_each_other_and_those_of_a_gap_have_no_price() {
        let ohlc = Ohlc::new(OhlcMicros { open: 100, high: 190, low: 90, close: 110 }).unwrap();
        let minute = |index: u64| Kline { open_time_ms: index * MINUTE_MS, ohlc, volume_quote_micros: 0 };
        let steps: Vec<Step> = of_minutes(Seed::from_number(1), &[minute(5), minute(6), minute(9)]).collect();
        let times: Vec<u64> = steps.iter().map(|step| step.time_ms).collect();
        let expected: Vec<u64> = (0..5 * 60).map(|second| 5 * MINUTE_MS + second * SECOND_MS).collect();
        assert_eq!(times, expected);
        for (index, step) in steps.iter().enumerate() {
            assert_eq!(step.price_micros.is_none(), (120..240).contains(&index), "{index}");
        }
        assert_eq!((steps[0].price_micros, steps[299].price_micros), (Some(100), Some(110)));
    }

    #[test]
    fn a_part_has_the_prices_that_the_whole_has() {
        let ohlc = Ohlc::new(OhlcMicros { open: 100_000, high: 190_000, low: 90_000, close: 110_000 }).unwrap();
        let minutes: Vec<Kline> =
            (0..4).map(|index| Kline { open_time_ms: index * MINUTE_MS, ohlc, volume_quote_micros: 0 }).collect();
        let whole: Vec<Step> = of_minutes(Seed::from_number(1), &minutes).collect();
        let part: Vec<Step> = of_minutes(Seed::from_number(1), &minutes[2..]).collect();
        assert_eq!(part, whole[120..]);
    }
}
