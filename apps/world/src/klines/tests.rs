use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;
use crate::{DAY_MS, recorded_data};

fn read_text(text: &str, unit: VolumeUnit) -> Result<KlineFile, KlineFileError> {
    collect(KlineRows::new(Cursor::new(text.as_bytes()), Path::new("p.csv"), unit))
}

fn minutes_of(text: &str) -> Vec<Kline> {
    read_text(text, VolumeUnit::Base).unwrap_or_else(|error| panic!("{error}")).minutes
}

/// Line, column and problem of the error that a text gives.
fn problem_of(text: &str) -> (Option<u64>, Option<&'static str>, KlineProblem) {
    let error = read_text(text, VolumeUnit::Base).expect_err("the text is wrong");
    assert!(!error.hint().is_empty());
    (error.line(), error.column(), error.problem().clone())
}

const SHORT: &str = "60000,100.5,110,90.25,95,2\n";
const LONG: &str = "120000,100.5,110,90.25,95.00000000,2,179999,190.1,7,1,95.3,0\n";

fn kline(open_time_ms: u64, [open, high, low, close]: [u64; 4], volume_quote_micros: u64) -> Kline {
    let ohlc = Ohlc::new(OhlcMicros { open, high, low, close }).unwrap();
    Kline { open_time_ms, ohlc, volume_quote_micros }
}

#[test]
fn both_forms_are_read_with_and_without_a_header() {
    let prices = [100_500_000, 110_000_000, 90_250_000, 95_000_000];
    // Two of base at the middle of 90.25 and 110.
    let (short, long) = (kline(60_000, prices, 200_250_000), kline(120_000, prices, 200_250_000));
    assert_eq!(minutes_of(SHORT), [short]);
    assert_eq!(minutes_of(LONG), [long]);
    assert_eq!(
        minutes_of(&format!("open_time_ms,open,high,low,close,volume_base\r\n{}", SHORT.replace('\n', "\r\n"))),
        [short]
    );
    let header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,\
                  taker_buy_quote_volume,ignore\n";
    assert_eq!(minutes_of(&format!("{header}{LONG}")), [long]);
    assert_eq!(minutes_of(SHORT.trim_end()), [short], "the last line needs no end");
}

#[test]
fn microseconds_are_times_too() {
    let text = "1735689600000000,100,110,90,95,2,1735689659999999,190,7,1,95,0\n";
    assert_eq!(minutes_of(text)[0].open_time_ms, 1_735_689_600_000);
    let wrong_end = text.replace("659999999", "659999000");
    let expected = KlineProblem::CloseTime { found: 1_735_689_659_999_000, expected: 1_735_689_659_999_999 };
    assert_eq!(problem_of(&wrong_end), (Some(1), Some("close_time"), expected));
}

#[test]
fn volume_counts_what_the_user_says() {
    let volume = |unit| read_text("60000,100,120,80,100,1.5\n", unit).unwrap().minutes[0].volume_quote_micros;
    assert_eq!(volume(VolumeUnit::Base), 150_000_000);
    assert_eq!(volume(VolumeUnit::Contracts100Usd), 150_000_000);
    assert_eq!(volume(VolumeUnit::Quote), 1_500_000);
    let too_large = "60000,1000000000,1000000000,1000000000,1000000000,184467440737\n";
    let error = read_text(too_large, VolumeUnit::Base).unwrap_err();
    assert_eq!(error.column(), Some("volume"));
    assert!(matches!(error.problem(), KlineProblem::TooLarge { .. }));
}

#[test]
fn finer_prices_than_millionths_are_rounded_and_stay_in_order() {
    let minutes = minutes_of("60000,1.00000049,1.00000050,1.00000049,1.0000005,2\n");
    assert_eq!(
        minutes[0].ohlc,
        Ohlc::new(OhlcMicros { open: 1_000_000, high: 1_000_001, low: 1_000_000, close: 1_000_001 }).unwrap()
    );
}

#[test]
fn missing_minutes_are_a_gap_before_the_next_minute() {
    let row = |minute: u64| format!("{},100,110,90,95,2\n", minute * MINUTE_MS);
    let text: String = [1, 2, 5, 6, 8].into_iter().map(row).collect();
    let rows = KlineRows::new(Cursor::new(text.as_bytes()), Path::new("p.csv"), VolumeUnit::Base);
    let found: Vec<(u64, u64)> = rows
        .map(|item| match item.unwrap() {
            KlineItem::Minute(minute) => (minute.open_time_ms / MINUTE_MS, 0),
            KlineItem::Gap(gap) => (gap.from_ms / MINUTE_MS, gap.to_ms / MINUTE_MS),
        })
        .collect();
    assert_eq!(found, [(1, 0), (2, 0), (3, 5), (5, 0), (6, 0), (7, 8), (8, 0)]);
    let file = read_text(&text, VolumeUnit::Base).unwrap();
    let gaps = [Gap { from_ms: 180_000, to_ms: 300_000 }, Gap { from_ms: 420_000, to_ms: 480_000 }];
    assert_eq!(file.gaps(), gaps);
    assert_eq!((file.start_ms(), file.end_ms()), (60_000, 540_000));
}

#[test]
fn what_is_wrong_is_named_with_line_and_column() {
    let at = |line, column, problem| (Some(line), column, problem);
    let second = |row: &str| problem_of(&format!("{SHORT}{row}\n"));
    let found = |text: &str| text.to_owned();

    assert_eq!(second("120000,100,110,90,95"), at(2, None, KlineProblem::ColumnCount { count: 5, expected: Some(6) }));
    assert_eq!(
        problem_of("60000,100,110,90,95,2,1\n"),
        at(1, None, KlineProblem::ColumnCount { count: 7, expected: None })
    );
    assert_eq!(problem_of("time,a\n"), at(1, None, KlineProblem::UnknownHeader { found: found("time,a") }));
    assert_eq!(second(""), at(2, None, KlineProblem::ColumnCount { count: 1, expected: Some(6) }));
    assert_eq!(second("120000,1O0,110,90,95,2"), at(2, Some("open"), KlineProblem::NotANumber { found: found("1O0") }));
    assert_eq!(second("120000,100,110,-90,95,2"), at(2, Some("low"), KlineProblem::Negative { found: found("-90") }));
    assert_eq!(second("120000,100,90,110,95,2"), at(2, None, KlineProblem::LowAboveHigh));
    assert_eq!(second("120000,111,110,90,95,2"), at(2, None, KlineProblem::OutsideRange { what: "open" }));
    assert_eq!(second("120000,100,110,90,89.999999,2"), at(2, None, KlineProblem::OutsideRange { what: "close" }));
    assert_eq!(second("120000,100,110,0,95,2"), at(2, None, KlineProblem::PriceNotPositive));
    assert_eq!(second("120000,100,110,0.0000004,95,2"), at(2, None, KlineProblem::PriceNotPositive));
    assert_eq!(second("120000,100,1000000001,90,95,2"), at(2, None, KlineProblem::PriceTooHigh));
    assert_eq!(
        second("120001,100,110,90,95,2"),
        at(2, Some("open_time"), KlineProblem::NotOnMinute { found: found("120001") })
    );
    assert_eq!(second("60000,100,110,90,95,2"), at(2, Some("open_time"), KlineProblem::Duplicate { time_ms: 60_000 }));
    let out_of_order = KlineProblem::OutOfOrder { time_ms: 0, before_ms: 60_000 };
    assert_eq!(second("0,100,110,90,95,2"), at(2, Some("open_time"), out_of_order));
    assert_eq!(second(&"1".repeat(600)), at(2, None, KlineProblem::LineTooLong));
    let wrong_end = KlineProblem::CloseTime { found: 180_000, expected: 179_999 };
    assert_eq!(problem_of(&LONG.replace("179999", "180000")), at(1, Some("close_time"), wrong_end));
    let not_a_number = KlineProblem::NotANumber { found: found("x") };
    assert_eq!(problem_of(&LONG.replace(",7,", ",x,")), at(1, Some("count"), not_a_number));

    assert_eq!(problem_of(""), (None, None, KlineProblem::NoRows));
    assert_eq!(problem_of("open_time,open,high,low,close,volume\n"), (None, None, KlineProblem::NoRows));
    let five_minutes: String = (1..9).map(|index| format!("{},100,110,90,95,2\n", index * 300_000)).collect();
    assert_eq!(problem_of(&five_minutes), (None, None, KlineProblem::NotMinutes { there: 8, spanned: 36 }));
}

#[test]
fn errors_are_sentences_for_people() {
    let error = read_text(&format!("{SHORT}{SHORT}"), VolumeUnit::Base).unwrap_err();
    let expected = "price file `p.csv`, line 2, column `open_time`: the minute `1970-01-01T00:01:00Z` is there twice";
    assert_eq!(error.to_string(), expected);
    let error = read_text(&format!("{SHORT}60000,1\u{1b}[2J,1,1,1,1\n"), VolumeUnit::Base).unwrap_err();
    assert!(error.to_string().contains("`1\\u{1b}[2J`"), "{error}: nothing of a file reaches the terminal raw");
}

#[test]
fn after_an_error_there_is_nothing_more() {
    let text = format!("{SHORT}x\n{SHORT}");
    let mut rows = KlineRows::new(Cursor::new(text.as_bytes()), Path::new("p.csv"), VolumeUnit::Base);
    assert!(rows.next().unwrap().is_ok() && rows.next().unwrap().is_err());
    assert!(rows.next().is_none());
}

#[test]
fn compression_is_seen_by_content_and_damage_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("named-plain.csv");
    let compressed = zstd::encode_all(SHORT.as_bytes(), 3).unwrap();
    let written = |bytes: &[u8]| {
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        read(&path, VolumeUnit::Base)
    };
    let plain = written(SHORT.as_bytes()).unwrap();
    assert_eq!(written(&compressed).unwrap(), plain);
    let cut = written(&compressed[..compressed.len() - 4]).unwrap_err();
    assert_eq!(cut.problem(), &KlineProblem::CompressedDataEnds);
    let mut damaged = compressed;
    damaged[5] ^= 0xff;
    assert!(matches!(written(&damaged).unwrap_err().problem(), KlineProblem::CompressedDataDamaged(_)));
    let missing = read(&dir.path().join("nowhere.csv"), VolumeUnit::Base).unwrap_err();
    assert!(matches!(missing.problem(), KlineProblem::CannotRead(_)));
}

proptest! {
    #[test]
    fn prop_any_bytes_are_read_or_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = collect(KlineRows::new(Cursor::new(bytes), Path::new("p.csv"), VolumeUnit::Base));
    }

    #[test]
    fn prop_lines_of_numbers_are_read_or_refused_and_never_panic(text in "([0-9]{1,20}(\\.[0-9]{1,9})?,?){1,13}\n") {
        for unit in [VolumeUnit::Base, VolumeUnit::Contracts100Usd, VolumeUnit::Quote] {
            let _ = read_text(&text, unit);
        }
    }

    #[test]
    fn prop_times_of_any_text_are_read_or_refused(text in "\\PC{0,30}") {
        let _ = parse_utc(&text);
    }

    #[test]
    fn prop_a_time_that_is_shown_is_read_back(minute in 0..4_000_000_000_u64 / 60 * 60) {
        let time_ms = minute * MINUTE_MS;
        prop_assume!(time_ms < 253_402_300_800_000);
        prop_assert_eq!(parse_utc(&utc_text(time_ms)), Ok(time_ms));
    }
}

#[test]
fn days_and_times_are_read_in_utc() {
    assert_eq!(parse_utc("2021-05-19"), Ok(recorded_data::CRASH_DAY_MS));
    for text in
        ["2021-05-19T00:01:00Z", "2021-05-19t00:01:00z", "2021-05-19T00:01:00.000Z", "2021-05-19T00:01:00+00:00"]
    {
        assert_eq!(parse_utc(text), Ok(recorded_data::CRASH_DAY_MS + MINUTE_MS), "{text}");
    }
    assert_eq!(parse_utc("1970-01-01"), Ok(0));
    assert_eq!(parse_utc("2024-02-29"), Ok(1_709_164_800_000));
    assert_eq!(parse_utc("2000-03-01"), Ok(951_868_800_000));
    let refused = [
        "",
        "2021",
        "2021-5-19",
        "2021-05-19T",
        "2021-05-19 00:00:00Z",
        "2021-05-19T00:00:00",
        "2021-05-19T24:00:00Z",
        "2021-05-19T00:60:00Z",
        "2021-02-29",
        "2100-02-29",
        "2021-13-01",
        "2021-00-01",
        "2021-04-31",
        "2021-01-00",
        "1969-12-31",
        "2021-05-19T00:00:00.Z",
        "2021-05-19T00:00:00.0",
        "+021-05-19",
        "2021-05-1９",
    ];
    for text in refused {
        assert!(matches!(parse_utc(text), Err(SpanError::NotATime { .. })), "{text}");
    }
    assert!(matches!(parse_utc("2021-05-19T02:00:00+02:00"), Err(SpanError::NotUtc { .. })));
    assert!(matches!(parse_utc("2021-05-19T02:00:01Z"), Err(SpanError::NotOnMinute { .. })));
    assert!(matches!(parse_utc("2021-05-19T02:00:00.001Z"), Err(SpanError::NotOnMinute { .. })));
}

fn file_of(days: std::ops::Range<u64>) -> KlineFile {
    let minute = |index: u64| kline(index * MINUTE_MS, [100, 110, 90, 95], 0);
    KlineFile { minutes: (days.start * 1_440..days.end * 1_440).map(minute).collect() }
}

#[test]
fn a_day_is_selected_with_the_day_before_it_and_its_end_is_exclusive() {
    let file = file_of(10..13);
    let day = |index: u64| index * DAY_MS;
    let selection = file.select(Span { from_ms: Some(day(11)), to_ms: Some(day(12)) }).unwrap();
    assert_eq!((selection.warm_up().len(), selection.named().len()), (1_440, 1_440));
    assert_eq!(selection.named()[0].open_time_ms, day(11));
    assert_eq!(selection.named()[1_439].open_time_ms, day(12) - MINUTE_MS);
    assert!(selection.has_whole_warm_up());

    let first = file.select(Span { from_ms: None, to_ms: Some(day(11)) }).unwrap();
    assert_eq!((first.warm_up().len(), first.named().len()), (0, 1_440));
    assert!(!first.has_whole_warm_up());
    let half = file.select(Span { from_ms: Some(day(10) + DAY_MS / 2), to_ms: None }).unwrap();
    assert_eq!((half.warm_up().len(), half.named().len()), (720, 1_440 * 2 + 720));
    assert!(!half.has_whole_warm_up());
    assert_eq!(file.select(Span::default()).unwrap().named(), file.minutes());
}

#[test]
fn a_time_that_the_file_does_not_have_is_refused_with_what_it_has() {
    let file = file_of(10..11);
    let select = |from_ms, to_ms| file.select(Span { from_ms, to_ms }).map(|_| ());
    let (start_ms, end_ms) = (10 * DAY_MS, 11 * DAY_MS);
    for (from_ms, to_ms) in [(start_ms - MINUTE_MS, end_ms), (start_ms, end_ms + MINUTE_MS), (end_ms, end_ms + DAY_MS)]
    {
        let expected = SpanError::OutsideFile { from_ms, to_ms, start_ms, end_ms };
        assert_eq!(select(Some(from_ms), Some(to_ms)), Err(expected));
    }
    let behind = SpanError::OutsideFile { from_ms: end_ms, to_ms: end_ms, start_ms, end_ms };
    assert_eq!(select(Some(end_ms), None), Err(behind.clone()));
    let expected = "asked for `1970-01-12T00:00:00Z` to `1970-01-12T00:00:00Z`, but the file has \
                    `1970-01-11T00:00:00Z` to `1970-01-12T00:00:00Z`";
    assert_eq!(behind.to_string(), expected);
    let empty = SpanError::Empty { from_ms: start_ms, to_ms: start_ms };
    assert_eq!(select(Some(start_ms), Some(start_ms)), Err(empty));
}

#[test]
fn what_is_between_two_days_is_a_gap() {
    let minutes = [file_of(10..11), file_of(12..13)].into_iter().flat_map(|file| file.minutes).collect();
    let joined = KlineFile { minutes };
    assert_eq!(joined.gaps(), [Gap { from_ms: 11 * DAY_MS, to_ms: 12 * DAY_MS }]);
    let in_gap = joined.select(Span { from_ms: Some(11 * DAY_MS), to_ms: Some(12 * DAY_MS) });
    assert_eq!(in_gap, Err(SpanError::InGap { from_ms: 11 * DAY_MS, to_ms: 12 * DAY_MS }));
    assert_eq!(file_of(10..12).gaps(), []);
}

#[test]
fn recorded_files_are_read_whole() {
    let expected = [
        (recorded_data::BTC_MAY_2021, VolumeUnit::Base, 42_915, 1, true),
        ("may19_2021/binance_spot_XRPUSDT_1m.csv.zst", VolumeUnit::Base, 42_916, 1, true),
        ("oct10_2025/BTCUSD_PERP-1m-2025-10-09.csv.zst", VolumeUnit::Contracts100Usd, 1_440, 0, false),
        ("oct10_2025/BTCUSD_PERP-1m-2025-10-10.csv.zst", VolumeUnit::Contracts100Usd, 1_440, 0, false),
        ("alt_crash_months_um_futures/AVAXUSDT-1m-2025-02.csv.zst", VolumeUnit::Base, 40_320, 0, true),
        ("alt_crash_months_um_futures/AVAXUSDT-1m-2026-02.csv.zst", VolumeUnit::Base, 40_320, 0, true),
        ("alt_crash_months_um_futures/FILUSDT-1m-2023-09.csv.zst", VolumeUnit::Base, 43_200, 0, true),
        ("alt_crash_months_um_futures/FILUSDT-1m-2024-04.csv.zst", VolumeUnit::Base, 43_200, 0, true),
    ];
    for (name, unit, minutes, gaps, has_volume) in expected {
        let Some(file) = recorded_data::klines(name, unit) else { continue };
        assert_eq!((file.minutes().len(), file.gaps().len(), file.has_volume()), (minutes, gaps, has_volume), "{name}");
    }
}

#[test]
fn the_low_of_the_crash_is_where_the_record_has_it() {
    let Some(file) = recorded_data::klines(recorded_data::BTC_MAY_2021, VolumeUnit::Base) else { return };
    let lowest = file.minutes().iter().min_by_key(|minute| minute.ohlc.low_micros()).unwrap();
    assert_eq!(lowest.ohlc.low_micros(), 30_000_000_000);
    assert_eq!(Ok(lowest.open_time_ms), parse_utc("2021-05-19T13:10:00Z"));
}

#[test]
fn candles_of_another_interval_are_refused() {
    let name = "perp_mark_funding_2025_2026/binance_perp_BTCUSDT_5m.csv.zst";
    let Some(path) = recorded_data::path(name) else { return };
    let error = read(&path, VolumeUnit::Base).unwrap_err();
    assert!(matches!(error.problem(), KlineProblem::NotMinutes { there: 119_724, .. }), "{error}");
}
