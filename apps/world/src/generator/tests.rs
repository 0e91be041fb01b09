use proptest::prelude::*;

use super::*;
use crate::DAY_MS;
use crate::draws::QUANTILES;
use crate::klines::VolumeUnit;
use crate::recorded_data;

const MINUTES_A_DAY: usize = (DAY_MS / MINUTE_MS) as usize;
const START: Start = Start { time_ms: 1_700_000_040_000, price_micros: 40_000 * MICROS };

fn stream(number: u64) -> Generator {
    Generator::new(Seed::from_number(number), START).unwrap()
}

/// Minutes alone, without their seconds.
fn minutes(seed: u64, count: usize) -> Vec<DrawnMinute> {
    let mut state = stream(seed).state();
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let minute = draw_minute(&Seed::from_number(seed), START, &state);
        state = after(&minute, state.step + SECONDS as u64);
        all.push(minute);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn prop_a_stream_goes_on_from_any_step_and_any_state(number in any::<u64>(), skipped in 0..4_000_usize) {
        let mut whole = stream(number);
        let mut before = Vec::new();
        for _ in 0..skipped {
            before.push(whole.next_step());
        }
        let expected: Vec<Step> = whole.clone().take(200).collect();
        let recomputed = Generator::at_step(Seed::from_number(number), START, skipped as u64).unwrap();
        prop_assert_eq!(recomputed.state(), whole.state());
        prop_assert_eq!(recomputed.take(200).collect::<Vec<_>>(), expected.clone());
        let resumed = Generator::resume(Seed::from_number(number), START, whole.state()).unwrap();
        prop_assert_eq!(resumed.take(200).collect::<Vec<_>>(), expected);
        for (index, step) in before.iter().enumerate() {
            prop_assert_eq!(step.time_ms, START.time_ms + index as u64 * SECOND_MS);
        }
    }

    #[test]
    fn prop_seconds_stay_inside_their_minute_and_begin_where_the_last_ended(number in any::<u64>()) {
        let mut stream = stream(number);
        let mut last = START.price_micros;
        for _ in 0..30 {
            let ohlc = stream.minute().ohlc;
            prop_assert_eq!(ohlc.open_micros(), last);
            let prices: Vec<u64> = (0..SECONDS).map(|_| stream.next_step().price_micros.unwrap()).collect();
            prop_assert_eq!(prices.iter().min().copied(), Some(ohlc.low_micros()));
            prop_assert_eq!(prices.iter().max().copied(), Some(ohlc.high_micros()));
            last = prices[SECONDS - 1];
        }
    }

    #[test]
    fn prop_any_allowed_start_works_for_days(
        number in any::<u64>(), price_micros in START_PRICE_MICROS_MIN..=START_PRICE_MICROS_MAX,
    ) {
        let start = Start { price_micros, ..START };
        let stream = Generator::at_step(Seed::from_number(number), start, 3 * 86_400).unwrap();
        prop_assert!(stream.minute().ohlc.low_micros() > 0);
    }
}

#[test]
fn another_seed_is_another_stream() {
    let prices = |number| stream(number).take(600).map(|step| step.price_micros).collect::<Vec<_>>();
    assert_eq!(prices(1), prices(1));
    assert_ne!(prices(1), prices(2));
}

#[test]
fn starts_and_states_that_make_no_sense_are_refused() {
    let new = |start| Generator::new(Seed::from_number(1), start).map(|_| ());
    assert_eq!(new(Start { time_ms: 1, ..START }), Err(GeneratorError::NotOnMinute { time_ms: 1 }));
    for price_micros in [0, START_PRICE_MICROS_MIN - 1, START_PRICE_MICROS_MAX + 1] {
        assert_eq!(new(Start { price_micros, ..START }), Err(GeneratorError::StartPrice { price_micros }));
    }
    for price_micros in [START_PRICE_MICROS_MIN, START_PRICE_MICROS_MAX] {
        assert_eq!(new(Start { price_micros, ..START }), Ok(()));
    }
    let late = Start { time_ms: TIME_MS_MAX / MINUTE_MS * MINUTE_MS + MINUTE_MS, ..START };
    assert_eq!(new(late), Err(GeneratorError::TooLate { start: late, step: 0 }));
    let far = Generator::at_step(Seed::from_number(1), START, u64::MAX).map(|_| ());
    assert_eq!(far, Err(GeneratorError::TooLate { start: START, step: u64::MAX }));
    let state = GeneratorState { step: 0, regime: Regime::Calm, price_micros: 0 };
    let resumed = Generator::resume(Seed::from_number(1), START, state).map(|_| ());
    assert_eq!(resumed, Err(GeneratorError::StateOfAnother { price_micros: 0 }));
}

#[test]
fn the_toss_leans_back_to_the_start_and_is_certain_far_away() {
    let at = |price| rise_probability_ppm(price, 1_000_000);
    assert_eq!(at(1_000_000), 500_000);
    assert_eq!(at(500_000), 525_000);
    assert_eq!(at(1_200_000), 490_000);
    assert_eq!((at(3_000_000), at(50_000_000)), (400_000, 400_000));
    assert_eq!((at(9_999), at(100_000_001)), (MICROS, 0));
}

#[test]
fn a_year_of_prices_stays_around_its_start() {
    let year = minutes(5, 365 * MINUTES_A_DAY);
    let low = year.iter().map(|minute| minute.kline.ohlc.low_micros()).min().unwrap();
    let high = year.iter().map(|minute| minute.kline.ohlc.high_micros()).max().unwrap();
    assert!(low > START.price_micros / 20 && high < START.price_micros * 20, "{low} to {high}");
}

// What the tables were fitted to.

struct CrashDay {
    minutes: Vec<Kline>,
    is_crash: Vec<bool>,
    /// Base volume in 10⁻⁸, read with the unit that leaves it as it is.
    volumes_e8: Vec<u64>,
}

fn crash_day() -> Option<CrashDay> {
    let of_day = |unit| {
        let file = recorded_data::klines(recorded_data::BTC_MAY_2021, unit)?;
        let day = recorded_data::CRASH_DAY_MS..recorded_data::CRASH_DAY_MS + DAY_MS;
        Some(file.minutes().iter().filter(|minute| day.contains(&minute.open_time_ms)).copied().collect::<Vec<_>>())
    };
    let minutes = of_day(VolumeUnit::Base)?;
    assert_eq!(minutes.len(), MINUTES_A_DAY);
    let volumes_e8 = of_day(VolumeUnit::Contracts100Usd)?.iter().map(|minute| minute.volume_quote_micros).collect();
    let ranges: Vec<u64> = minutes.iter().map(|minute| minute.ohlc.range_ppm()).collect();
    let is_crash_at = |index: usize| {
        let latest = &ranges[(index + 1_usize).saturating_sub(15)..=index];
        latest.iter().sum::<u64>() > 8_000 * latest.len() as u64
    };
    let is_crash = (0..minutes.len()).map(is_crash_at).collect();
    Some(CrashDay { minutes, is_crash, volumes_e8 })
}

fn quantiles(mut values: Vec<u64>) -> QuantileTable {
    values.sort_unstable();
    let mut table = [0; QUANTILES];
    for (index, point) in table.iter_mut().enumerate() {
        *point = values[(values.len() - 1) * index / (QUANTILES - 1)];
    }
    table
}

/// Spearman's coefficient in parts per million, rounded down; ties ranked in the order given.
fn rank_correlation_ppm(left: &[u64], right: &[u64]) -> u64 {
    let ranks = |values: &[u64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|index| values[*index]);
        let mut ranks = vec![0_u64; values.len()];
        order.into_iter().enumerate().for_each(|(rank, index)| ranks[index] = rank as u64);
        ranks
    };
    let squares = |(left, right): (&u64, &u64)| left.abs_diff(*right).pow(2);
    let apart: u64 = ranks(left).iter().zip(&ranks(right)).map(squares).sum();
    let count = left.len() as u64;
    let whole = count * (count * count - 1);
    (whole - 6 * apart) * MICROS / whole
}

#[test]
fn tables_are_those_of_the_crash_day() {
    let Some(day) = crash_day() else { return };
    let body = |ohlc: &Ohlc| ohlc.close_micros().abs_diff(ohlc.open_micros());
    for (is_crash, tables) in [(false, &CALM), (true, &CRASH)] {
        let of_regime = || (0..MINUTES_A_DAY).filter(|index| day.is_crash[*index] == is_crash);
        let each = |value: &dyn Fn(usize) -> u64| quantiles(of_regime().map(value).collect());
        let ohlc = |index: usize| day.minutes[index].ohlc;
        assert_eq!(each(&|index| ohlc(index).range_ppm()), tables.range_ppm);
        let body_share = |index: usize| body(&ohlc(index)) * MICROS / ohlc(index).range_micros();
        assert_eq!(each(&body_share), tables.body_ppm_of_range);
        let volume = |index: usize| {
            let quote_e14 = u128::from(day.volumes_e8[index]) * u128::from(ohlc(index).close_micros());
            (quote_e14 / 100_000_000_000_000) as u64
        };
        assert_eq!(each(&volume), tables.volume_quote);
        let in_time = |value: &dyn Fn(usize) -> u64| of_regime().map(value).collect::<Vec<u64>>();
        let follows_ppm = rank_correlation_ppm(&in_time(&|index| ohlc(index).range_ppm()), &in_time(&volume));
        assert_eq!(follows_ppm, tables.volume_follows_range_ppm);
        let begins = |index: &usize| *index == 0 || day.is_crash[index - 1] != is_crash;
        assert_eq!((of_regime().count() / of_regime().filter(begins).count()) as u64, tables.dwell_minutes);
    }
    let above_share = |ohlc: Ohlc| {
        let above = ohlc.high_micros() - ohlc.open_micros().max(ohlc.close_micros());
        (above * MICROS).checked_div(ohlc.range_micros() - body(&ohlc))
    };
    let above = day.minutes.iter().filter_map(|minute| above_share(minute.ohlc)).collect();
    assert_eq!(quantiles(above), ABOVE_PPM_OF_WICKS);
}

#[test]
fn generated_days_are_like_the_crash_day() {
    let Some(day) = crash_day() else { return };
    let klines: Vec<Kline> = minutes(11, 200 * MINUTES_A_DAY).iter().map(|minute| minute.kline).collect();

    // Range of a day: the crash day's lies in the middle half of the generated ones'.
    let day_range_ppm = |minutes: &[Kline]| {
        let low = minutes.iter().map(|minute| minute.ohlc.low_micros()).min().unwrap();
        let high = minutes.iter().map(|minute| minute.ohlc.high_micros()).max().unwrap();
        crate::klines::ppm_of(high - low, low)
    };
    let day_ranges = quantiles(klines.chunks(MINUTES_A_DAY).map(day_range_ppm).collect());
    let real_range = day_range_ppm(&day.minutes);
    println!("day range: {real_range} ppm; generated quartiles {:?}", [day_ranges[4], day_ranges[8], day_ranges[12]]);
    assert!((day_ranges[4]..=day_ranges[12]).contains(&real_range));

    // Share of minutes that go further than one per cent.
    let wide_ppm = |minutes: &[Kline]| {
        let wide = minutes.iter().filter(|minute| minute.ohlc.range_ppm() > 10_000).count();
        wide as u64 * MICROS / minutes.len() as u64
    };
    let (real_wide, generated_wide) = (wide_ppm(&day.minutes), wide_ppm(&klines));
    println!("minutes over 1 %: {real_wide} ppm; generated {generated_wide} ppm");
    assert!(generated_wide.abs_diff(real_wide) * 8 < real_wide);

    // Moves from open to close, by size, and volumes: the points in the middle.
    let moves = |minutes: &[Kline]| {
        let size = |minute: &Kline| {
            crate::klines::ppm_of(
                minute.ohlc.close_micros().abs_diff(minute.ohlc.open_micros()),
                minute.ohlc.open_micros(),
            )
        };
        quantiles(minutes.iter().map(size).collect())
    };
    let volumes = |minutes: &[Kline]| quantiles(minutes.iter().map(|minute| minute.volume_quote_micros).collect());
    let compared =
        [("move ppm", moves(&day.minutes), moves(&klines)), ("volume", volumes(&day.minutes), volumes(&klines))];
    for (name, real, generated) in compared {
        for index in [4, 6, 8, 10, 12, 14, 15] {
            println!("{name}, {index} sixteenths: {} generated {}", real[index], generated[index]);
            assert!(generated[index].abs_diff(real[index]) * 6 < real[index], "{name} {index}");
        }
    }
    let ranges_and_volumes = |minutes: &[Kline]| {
        let ranges: Vec<u64> = minutes.iter().map(|minute| minute.ohlc.range_ppm()).collect();
        let volumes: Vec<u64> = minutes.iter().map(|minute| minute.volume_quote_micros).collect();
        rank_correlation_ppm(&ranges, &volumes)
    };
    let (real, generated) = (ranges_and_volumes(&day.minutes), ranges_and_volumes(&klines[..20_000]));
    println!("rank correlation of range and volume: {real} ppm; generated {generated} ppm");
    assert!(generated.abs_diff(real) < 100_000);
    let rising = klines.iter().filter(|minute| minute.ohlc.close_micros() > minute.ohlc.open_micros()).count();
    assert!((rising * 100 / klines.len()).abs_diff(50) <= 1);
}
