//! What price publishers report of the world: late, noisy, with a confidence; and one of them falls silent when it
//! matters most.
//!
//! Each publisher has a road to the market of its own length, and each second adds to it: together 0 to
//! [`LAG_MS_MAX`]. What one second adds is less than a second, so a publisher's source times grow strictly. Noise and
//! confidence come from the range of the minute before: a calm market is reported sharply, a wild one vaguely. The true
//! price that was seen is always within half a confidence of what is reported.
//!
//! While the market is out nobody publishes, and who is still waiting for the last price before never gets it.

use crate::draws::Draws;
use crate::klines::{Kline, ppm_of};
use crate::past::Past;
use crate::{MICROS, MINUTE_MS, SECOND_MS, Seed};

/// The longest way of a price from the market to a report.
pub const LAG_MS_MAX: u64 = LAG_ROAD_MS_MAX + LAG_SECOND_MS_MAX;

/// Part of the lag that a publisher always has, at most.
const LAG_ROAD_MS_MAX: u64 = 1_100;
/// Part of the lag that is drawn each second, at most; less than a second, so that source times grow.
const LAG_SECOND_MS_MAX: u64 = 900;
const _: () = assert!(LAG_SECOND_MS_MAX < SECOND_MS && LAG_MS_MAX == 2_000);

/// Seconds of the past that publishers need: a minute of range behind the longest lag.
pub const PAST_SECONDS: usize = RANGE_SECONDS + LAG_MS_MAX.div_ceil(SECOND_MS) as usize;
const RANGE_SECONDS: usize = 60;

/// A confidence is a quarter of the range of the minute before,
const CONFIDENCE_RANGE_SHARE: u64 = 4;
/// and at least this part of the price.
const CONFIDENCE_PPM_MIN: u64 = 20;

/// Who publishes.
#[derive(Clone, Copy, Debug)]
pub struct Publishers {
    seed: Seed,
    count: u64,
    silence: Option<Silence>,
}

/// A publisher that is silent for a time. Only the world knows when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Which, from 0.
    pub publisher_index: u64,
    /// First silent millisecond.
    pub from_ms: u64,
    /// First millisecond that is not silent any more.
    pub to_ms: u64,
}

/// What a publisher reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Who, from 0.
    pub publisher_index: u64,
    /// When the price was the market's, Unix milliseconds. Later than in this publisher's observation before.
    pub source_time_ms: u64,
    /// The price as reported, micro-quote, above zero.
    pub price_micros: u64,
    /// How far from the truth it may be, micro-quote, above zero.
    pub confidence_micros: u64,
}

impl Publishers {
    /// So many publishers, numbered from 0, of whom one may be silent for a time.
    #[must_use]
    pub const fn new(seed: Seed, count: u64, silence: Option<Silence>) -> Self {
        Self { seed, count, silence }
    }

    /// The usual set: five publishers, and one that the seed chooses is silent in the worst hour, if there is one.
    #[must_use]
    pub fn usual(seed: Seed, worst_hour: Option<Hour>) -> Self {
        let publisher_index = Draws::new(&seed, b"silence_", &[]).below(USUAL_COUNT);
        let silence = worst_hour.map(|Hour { from_ms, to_ms, .. }| Silence { publisher_index, from_ms, to_ms });
        Self::new(seed, USUAL_COUNT, silence)
    }

    /// Who is silent when.
    #[must_use]
    pub const fn silence(&self) -> Option<Silence> {
        self.silence
    }

    /// What is reported in the latest second of the past, by publisher. Depends on seed and past alone, so it can be
    /// recomputed for any second. The past has to reach back [`PAST_SECONDS`] for the full range.
    #[must_use]
    pub fn observations(&self, past: &Past) -> Vec<Observation> {
        if past.now_micros().is_none() {
            return Vec::new();
        }
        (0..self.count).filter_map(|publisher_index| self.observation(publisher_index, past)).collect()
    }

    fn observation(&self, publisher_index: u64, past: &Past) -> Option<Observation> {
        let now_ms = past.now_ms();
        let is_silent = |silence: Silence| {
            silence.publisher_index == publisher_index && (silence.from_ms..silence.to_ms).contains(&now_ms)
        };
        if self.silence.is_some_and(is_silent) {
            return None;
        }
        let road_ms = Draws::new(&self.seed, b"pub_road", &[publisher_index]).between(0, LAG_ROAD_MS_MAX);
        let mut draws = Draws::new(&self.seed, b"pub_step", &[publisher_index, now_ms / SECOND_MS]);
        let lag_ms = road_ms + draws.between(0, LAG_SECOND_MS_MAX);
        let source_time_ms = now_ms.checked_sub(lag_ms)?;
        // A second's price holds until the next second.
        let seen_micros = past.ago_micros(lag_ms.div_ceil(SECOND_MS) as usize)?;
        let range_micros = past.range_micros(PAST_SECONDS)?;
        let least_micros = seen_micros.saturating_mul(CONFIDENCE_PPM_MIN) / MICROS;
        let confidence_micros = (range_micros / CONFIDENCE_RANGE_SHARE).max(least_micros).max(1);
        let noise_micros = confidence_micros / 2;
        let price_micros = (seen_micros + draws.between(0, 2 * noise_micros)).saturating_sub(noise_micros).max(1);
        Some(Observation { publisher_index, source_time_ms, price_micros, confidence_micros })
    }
}

/// Publishers of the usual set.
pub const USUAL_COUNT: u64 = 5;

/// Sixty minutes and how far the price went in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// When it begins, Unix milliseconds.
    pub from_ms: u64,
    /// When it ends, an hour later.
    pub to_ms: u64,
    /// Highest less lowest price in parts per million of the lowest, rounded down.
    pub range_ppm: u64,
}

/// The sixty minutes with the largest ratio of highest to lowest price, the first of them if there are several. None
/// without minutes. An hour starts at a minute that is there, and what is missing in it does not count.
#[must_use]
pub fn worst_hour(minutes: &[Kline]) -> Option<Hour> {
    let hours = minutes.iter().enumerate().map(|(index, minute)| {
        let (from_ms, to_ms) = (minute.open_time_ms, minute.open_time_ms + 60 * MINUTE_MS);
        let hour = minutes[index..].iter().take_while(|minute| minute.open_time_ms < to_ms);
        let (low, high) = hour.fold((u64::MAX, 0), |(low, high), minute| {
            (low.min(minute.ohlc.low_micros()), high.max(minute.ohlc.high_micros()))
        });
        (low, high, Hour { from_ms, to_ms, range_ppm: ppm_of(high - low, low) })
    });
    let worse = |best: (u64, u64, Hour), next: (u64, u64, Hour)| {
        let is_worse = u128::from(next.1) * u128::from(best.0) > u128::from(best.1) * u128::from(next.0);
        if is_worse { next } else { best }
    };
    hours.reduce(worse).map(|(_, _, hour)| hour)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::klines::{Ohlc, OhlcMicros, VolumeUnit, parse_utc};
    use crate::recorded_data;
    use crate::steps::{self, Step};

    /// All observations of a run of seconds, with the second they were made in.
    fn observed(publishers: &Publishers, run: &[Step]) -> Vec<(u64, Observation)> {
        let mut past = Past::new(PAST_SECONDS);
        let mut all = Vec::new();
        for step in run {
            past.push(*step);
            all.extend(publishers.observations(&past).into_iter().map(|observation| (step.time_ms, observation)));
        }
        all
    }

    /// A run of seconds with prices that jump about and times in which the market is out.
    fn run() -> impl Strategy<Value = Vec<Step>> {
        let price = prop_oneof![9 => (1..1_000_000_000_u64).prop_map(Some), 1 => Just(None)];
        (0..1_u64 << 30, prop::collection::vec((price, 1..9_usize), 1..40)).prop_map(|(start, parts)| {
            let prices = parts.into_iter().flat_map(|(price, seconds)| std::iter::repeat_n(price, seconds));
            let at = |(second, price_micros)| Step { time_ms: (start + second as u64) * SECOND_MS, price_micros };
            prices.enumerate().map(at).collect()
        })
    }

    proptest! {
        #[test]
        fn prop_reports_are_late_within_bounds_true_within_confidence_and_ever_newer(
            run in run(), number in any::<u64>(), count in 0..9_u64,
        ) {
            let publishers = Publishers::new(Seed::from_number(number), count, None);
            let mut newest = vec![None; count as usize];
            let start_ms = run[0].time_ms;
            for (now_ms, observation) in observed(&publishers, &run) {
                let source_ms = observation.source_time_ms;
                prop_assert!(now_ms - source_ms <= LAG_MS_MAX);
                let newest = &mut newest[observation.publisher_index as usize];
                prop_assert!(newest.is_none_or(|newest| newest < source_ms));
                *newest = Some(source_ms);
                // The truth at the source time, from the run itself.
                let truth = run[((source_ms - start_ms) / SECOND_MS) as usize].price_micros;
                let off = truth.map(|truth| truth.abs_diff(observation.price_micros));
                prop_assert!(off.is_some_and(|off| off <= observation.confidence_micros / 2));
                prop_assert!(observation.confidence_micros > 0 && observation.price_micros > 0);
                let now = run[((now_ms - start_ms) / SECOND_MS) as usize];
                prop_assert!(now.price_micros.is_some(), "published while the market is out");
            }
        }

        #[test]
        fn prop_a_second_alone_gives_what_the_whole_run_gave(run in run(), number in any::<u64>()) {
            let publishers = Publishers::new(Seed::from_number(number), 5, None);
            let whole = observed(&publishers, &run);
            let tail = &run[run.len().saturating_sub(PAST_SECONDS)..];
            let last_ms = run[run.len() - 1].time_ms;
            let at_last = |all: &[(u64, Observation)]| -> Vec<Observation> {
                all.iter().filter(|(now_ms, _)| *now_ms == last_ms).map(|(_, observation)| *observation).collect()
            };
            prop_assert_eq!(at_last(&whole), at_last(&observed(&publishers, tail)));
        }
    }

    #[test]
    fn in_a_steady_market_everyone_reports_every_second() {
        let run: Vec<Step> = (0..1_000)
            .map(|second| Step { time_ms: second * SECOND_MS, price_micros: Some(50_000 * MICROS) })
            .collect();
        let publishers = Publishers::new(Seed::from_number(2), 5, None);
        let all = observed(&publishers, &run);
        assert_eq!(all.iter().filter(|(now_ms, _)| *now_ms >= LAG_MS_MAX).count(), 5 * 998);
        let lags: Vec<u64> = all.iter().map(|(now_ms, observation)| now_ms - observation.source_time_ms).collect();
        assert!(lags.iter().any(|lag| *lag < 300) && lags.iter().any(|lag| *lag > 1_500), "lags are spread");
        assert!(all.iter().all(|(_, observation)| observation.confidence_micros == 50_000 * CONFIDENCE_PPM_MIN));
    }

    #[test]
    fn confidence_widens_with_the_range() {
        let confidence = |swing: u64| {
            let price = |second: u64| Some(50_000 * MICROS + (second % 2) * swing);
            let run: Vec<Step> =
                (0..80).map(|second| Step { time_ms: second * SECOND_MS, price_micros: price(second) }).collect();
            observed(&Publishers::new(Seed::from_number(2), 1, None), &run).last().unwrap().1.confidence_micros
        };
        assert_eq!(confidence(400 * MICROS), 100 * MICROS);
        assert_eq!(confidence(0), MICROS);
    }

    #[test]
    fn one_publisher_is_silent_in_the_worst_hour_and_nobody_else_ever() {
        let Some(file) = recorded_data::klines(recorded_data::BTC_MAY_2021, VolumeUnit::Base) else { return };
        let hour = worst_hour(file.minutes()).unwrap();
        // From 38,896 down to 30,000.
        assert_eq!(hour.from_ms, parse_utc("2021-05-19T12:11:00Z").unwrap());
        assert_eq!(hour.range_ppm, 296_533);
        let publishers = Publishers::usual(Seed::from_number(3), Some(hour));
        let silent = publishers.silence().unwrap().publisher_index;
        let around: Vec<Kline> = file
            .minutes()
            .iter()
            .filter(|minute| (hour.from_ms - 5 * MINUTE_MS..hour.to_ms + 5 * MINUTE_MS).contains(&minute.open_time_ms))
            .copied()
            .collect();
        let run: Vec<Step> = steps::of_minutes(Seed::from_number(3), &around).collect();
        let mut counts = [0; 5];
        for (now_ms, observation) in observed(&publishers, &run) {
            let is_in_hour = (hour.from_ms..hour.to_ms).contains(&now_ms);
            assert!(!(is_in_hour && observation.publisher_index == silent));
            counts[observation.publisher_index as usize] += 1;
        }
        for (publisher, count) in counts.iter().enumerate() {
            let expected = if publisher as u64 == silent { 600 } else { 4_200 };
            assert!((expected - 3..=expected).contains(count), "{publisher}: {count} of {expected}");
        }
    }

    #[test]
    fn the_worst_hour_has_the_largest_ratio_and_is_the_first_of_equals() {
        let minute = |index: u64, low: u64, high: u64| {
            let ohlc = Ohlc::new(OhlcMicros { open: low, high, low, close: high }).unwrap();
            Kline { open_time_ms: index * MINUTE_MS, ohlc, volume_quote_micros: 0 }
        };
        assert_eq!(worst_hour(&[]), None);
        // From 100 to 130 in two minutes, later from 1000 to 1300: the same ratio. Missing minutes do not count.
        let minutes = [minute(0, 100, 110), minute(30, 120, 130), minute(100, 1_000, 1_100), minute(150, 1_200, 1_300)];
        let worst = worst_hour(&minutes).unwrap();
        assert_eq!((worst.from_ms, worst.to_ms, worst.range_ppm), (0, 60 * MINUTE_MS, 300_000));
        // The minute at 60 belongs to the next hour.
        let minutes = [minute(0, 100, 110), minute(60, 120, 150)];
        assert_eq!(worst_hour(&minutes).unwrap().from_ms, 60 * MINUTE_MS);
    }
}
