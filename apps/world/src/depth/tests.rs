use std::collections::BTreeMap;
use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::klines::{OhlcMicros, VolumeUnit, parse_utc};
use crate::{DAY_MS, MINUTE_MS, recorded_data};

fn activity(volume_quote: u64, range_ppm: u64) -> Activity {
    Activity { volume_quote_micros_per_minute: volume_quote * MICROS, range_ppm }
}

fn side() -> impl Strategy<Value = BookSide> {
    prop_oneof![Just(BookSide::Bid), Just(BookSide::Ask)]
}

proptest! {
    #[test]
    fn prop_depth_grows_with_distance_and_volume_and_shrinks_with_range(
        side in side(), distance in 0..100_000_u64, further in 0..100_000_u64,
        volume in 0..1_000_000_000_u64, range in 1..500_000_u64, more in 0..1_000_000_u64,
    ) {
        let at = |distance, volume, range| quoted_quote_micros(side, distance, &activity(volume, range));
        let depth = at(distance, volume, range);
        prop_assert!(at(distance + further, volume, range) >= depth);
        prop_assert!(at(distance, volume + more, range) >= depth);
        prop_assert!(at(distance, volume, range + more) <= depth);
        prop_assert_eq!(at(0, volume, range), 0);
    }

    #[test]
    fn prop_depth_never_overflows(
        side in side(), distance in any::<u64>(), volume in any::<u64>(), range_ppm in any::<u64>(),
    ) {
        let extreme = Activity { volume_quote_micros_per_minute: volume, range_ppm };
        // The largest coefficient over the least range.
        prop_assert!(quoted_quote_micros(side, distance, &extreme) <= volume.saturating_mul(597));
    }
}

#[test]
fn depth_is_the_coefficient_times_volume_over_range() {
    let at = |distance_ppm| quoted_quote_micros(BookSide::Ask, distance_ppm, &activity(10_000_000, 10_000));
    assert_eq!(at(10_000), 10_000_000 * MICROS / 10_000 * ASK_PPM_MINUTES[1]);
    assert_eq!(at(5_000), at(10_000) / 2);
    assert_eq!(at(50_000), at(900_000));
}

#[test]
fn activity_is_the_mean_volume_of_four_hours_and_the_range_of_one() {
    let minute = |low: u64, high: u64, volume_quote_micros: u64| {
        let ohlc = Ohlc::new(OhlcMicros { open: low, high, low, close: high }).unwrap();
        Kline { open_time_ms: 0, ohlc, volume_quote_micros }
    };
    let mut recent = RecentMinutes::new();
    assert_eq!(recent.activity(), None);
    // Forgotten altogether, then forgotten by the range, then remembered by both.
    recent.push(minute(1, 1_000_000_000, 1_000_000));
    (0..180).for_each(|_| recent.push(minute(500_000, 2_000_000, 70)));
    (0..59).for_each(|_| recent.push(minute(1_000_000, 1_010_000, 30)));
    recent.push(minute(1_000_000, 1_030_000, 30));
    let expected = Activity { volume_quote_micros_per_minute: 60, range_ppm: 30_000 };
    assert_eq!(recent.activity(), Some(expected));
    let mut calm = RecentMinutes::new();
    calm.push(minute(1_000_000, 1_000_000, 0));
    assert_eq!(calm.activity(), Some(Activity { volume_quote_micros_per_minute: 0, range_ppm: RANGE_PPM_MIN }));
}

// What the coefficients were fitted to.

const DAY: &str = "2025-10-10";
const FIVE_MINUTES_MS: u64 = 5 * MINUTE_MS;

struct RecordedDay {
    start_ms: u64,
    /// Depth in whole quote by side and per cent, with the time of the snapshot; stale rows left out.
    depths: BTreeMap<i64, Vec<(u64, u64)>>,
    /// Of each minute from the day before on.
    minutes: BTreeMap<u64, Ohlc>,
    /// Whole quote that was traded in each five minutes, at the middle and at the close.
    volumes: BTreeMap<u64, (u64, u64)>,
}

fn table(name: &str) -> Option<Vec<Vec<String>>> {
    let mut text = String::new();
    let file = std::fs::File::open(recorded_data::path(name)?).unwrap();
    zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
    Some(text.lines().skip(1).map(|line| line.split(',').map(|field| field.trim().to_owned()).collect()).collect())
}

/// Thousandths of a decimal number, what is finer cut off.
fn milli(text: &str) -> u64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{:0<3.3}", fraction).parse().unwrap()
}

fn recorded_day() -> Option<RecordedDay> {
    let start_ms = parse_utc(DAY).unwrap();
    let mut minutes = BTreeMap::new();
    for name in ["oct10_2025/BTCUSD_PERP-1m-2025-10-09.csv.zst", "oct10_2025/BTCUSD_PERP-1m-2025-10-10.csv.zst"] {
        let file = recorded_data::klines(name, VolumeUnit::Contracts100Usd)?;
        minutes.extend(file.minutes().iter().map(|minute| (minute.open_time_ms, minute.ohlc)));
    }
    let mut volumes = BTreeMap::new();
    for row in table("perp_mark_funding_2025_2026/binance_perp_BTCUSDT_5m.csv.zst")? {
        let [high, low, close, volume] = [&row[2], &row[3], &row[4], &row[5]].map(|field| u128::from(milli(field)));
        let quote = |price_milli: u128| (volume * price_milli / 1_000_000) as u64;
        volumes.insert(row[0].parse().unwrap(), (quote((high + low) / 2), quote(close)));
    }
    let mut depths = BTreeMap::<i64, Vec<(u64, u64)>>::new();
    let mut rows_before = BTreeMap::new();
    for row in table("oct10_2025/BTCUSDT-bookDepth-2025-10-10.csv.zst")? {
        let per_cent: i64 = row[1].parse().unwrap();
        if rows_before.insert(per_cent, row[2..].to_vec()).is_none_or(|before| before != row[2..]) {
            depths.entry(per_cent).or_default().push((snapshot_ms(&row[0]), milli(&row[3]) / 1_000));
        }
    }
    Some(RecordedDay { start_ms, depths, minutes, volumes })
}

/// The start of the minute of `2025-10-10 21:34:32` and the like, which is all that is needed of it.
fn snapshot_ms(text: &str) -> u64 {
    parse_utc(&format!("{}T{}:00Z", &text[..10], &text[11..16])).unwrap()
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

impl RecordedDay {
    /// Activity before a snapshot, in whole quote; computed from the records alone.
    fn activity(&self, minute_ms: u64) -> Activity {
        let hour = (1..=60).map(|ago| self.minutes[&(minute_ms - ago * MINUTE_MS)]);
        let (low, high) =
            hour.fold((u64::MAX, 0), |(low, high), ohlc| (low.min(ohlc.low_micros()), high.max(ohlc.high_micros())));
        let five_ms = minute_ms - minute_ms % FIVE_MINUTES_MS;
        let volume: u64 = (1..=48).map(|ago| self.volumes[&(five_ms - ago * FIVE_MINUTES_MS)].0).sum();
        activity(volume / 240, ppm_of(high - low, low))
    }
}

#[test]
fn coefficients_are_those_of_the_recorded_day() {
    let Some(day) = recorded_day() else { return };
    for (per_cent, snapshots) in &day.depths {
        let coefficient = |(minute_ms, depth_quote): &(u64, u64)| {
            let Activity { volume_quote_micros_per_minute: volume, range_ppm } = day.activity(*minute_ms);
            depth_quote * range_ppm / (volume / MICROS)
        };
        let fitted = median(snapshots.iter().map(coefficient).collect());
        let table = if *per_cent < 0 { BID_PPM_MINUTES } else { ASK_PPM_MINUTES };
        let used = table[per_cent.unsigned_abs() as usize];
        println!("{per_cent} %: {} snapshots, fitted {fitted}, used {used}", snapshots.len());
        assert!(fitted.abs_diff(used) * 10 <= used, "{per_cent} %: fitted {fitted}, used {used}");

        // Half of the snapshots are near what the model says.
        let off_ppm = |(minute_ms, depth_quote): &(u64, u64)| {
            let side = if *per_cent < 0 { BookSide::Bid } else { BookSide::Ask };
            let distance_ppm = per_cent.unsigned_abs() * PER_CENT_PPM;
            let model = quoted_quote_micros(side, distance_ppm, &day.activity(*minute_ms)) / MICROS;
            ppm_of(model.abs_diff(*depth_quote), *depth_quote)
        };
        let off = median(snapshots.iter().map(off_ppm).collect());
        println!("{per_cent} %: half of the snapshots within {off} ppm");
        assert!(off < 350_000, "{per_cent} %: {off} ppm");
    }
}

#[test]
fn the_stand_in_for_volume_is_that_of_the_recorded_day() {
    let Some(day) = recorded_day() else { return };
    let ratio = |five_ms: u64| {
        let ranges: u64 = (0..5).map(|minute| day.minutes[&(five_ms + minute * MINUTE_MS)].range_ppm()).sum();
        // A fifth of the volume over a fifth of the ranges.
        day.volumes[&five_ms].1 / ranges
    };
    let fitted =
        median((0..DAY_MS / FIVE_MINUTES_MS).map(|five| ratio(day.start_ms + five * FIVE_MINUTES_MS)).collect());
    println!("fitted {fitted}, used {VOLUME_QUOTE_PER_RANGE_PPM}");
    assert!(fitted.abs_diff(VOLUME_QUOTE_PER_RANGE_PPM) * 10 <= VOLUME_QUOTE_PER_RANGE_PPM);
}

#[test]
fn depth_collapses_in_the_crash_as_it_did() {
    let Some(day) = recorded_day() else { return };
    // At noon, and at 21:18, when the price had fallen most; later the recorder had no bids any more.
    let (calm_ms, crash_ms) = (day.start_ms + 12 * 60 * MINUTE_MS, day.start_ms + (21 * 60 + 18) * MINUTE_MS);
    let model = |side, minute_ms| quoted_quote_micros(side, 5 * PER_CENT_PPM, &day.activity(minute_ms));
    let recorded = |per_cent: i64, minute_ms: u64| {
        let at = day.depths[&per_cent].iter().filter(|(snapshot_ms, _)| *snapshot_ms == minute_ms);
        median(at.map(|(_, depth_quote)| *depth_quote).collect())
    };
    for (side, per_cent) in [(BookSide::Bid, -5), (BookSide::Ask, 5)] {
        let modelled_share = model(side, crash_ms) * 1_000 / model(side, calm_ms);
        let recorded_share = recorded(per_cent, crash_ms) * 1_000 / recorded(per_cent, calm_ms);
        println!("{side:?}: in the crash {modelled_share} ‰ of noon, recorded {recorded_share} ‰");
        assert!(modelled_share < 400 && recorded_share < 600);
    }
}
