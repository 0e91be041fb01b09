//! `casemate replay --prices` as a user runs it.

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{casemate, program, stderr, stdout};

const START_MS: u64 = 1_600_000_020_000;
const MINUTE_MS: u64 = 60_000;
/// How long a regime of the replayed venue waits before it is left.
const REGIME_HOLD_MS: u64 = 10 * MINUTE_MS;

/// An hour: it swings, is out for three minutes, falls by a quarter and comes half the way back.
fn hour() -> String {
    let mut text = String::from("open_time,open,high,low,close,volume\n");
    let mut open = 3.2_f64;
    for index in 0..60 {
        let close = match index {
            0..25 => open * if index % 2 == 0 { 1.004 } else { 0.9962 },
            25..40 => open * 0.98,
            _ => open * 1.006,
        };
        let (high, low) = (open.max(close) * 1.0005, open.min(close) * 0.9995);
        if !(15..18).contains(&index) {
            let time_ms = START_MS + index * MINUTE_MS;
            writeln!(text, "{time_ms},{open:.5},{high:.5},{low:.5},{close:.5},{}", 40_000 + 1_000 * index).unwrap();
        }
        open = close;
    }
    text
}

fn candles(folder: &Path, text: &str) -> String {
    let path = folder.join("FILUSDT-1m.csv");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_str(&stdout(output)).unwrap()
}

#[test]
fn an_hour_with_an_outage_and_a_fall_ends_alike_each_time_also_when_killed_between() {
    let folder = tempfile::tempdir().unwrap();
    let prices = candles(folder.path(), &hour());
    let arguments = ["replay", "--prices", &prices, "--accounts", "100", "--json"];
    let whole = report(&casemate(&arguments));
    assert_eq!((&whole["asset_class"], &whole["preset"]), (&Value::from("mid"), &Value::from("usual")));
    assert_eq!(
        (&whole["named_minutes"], &whole["warm_up_minutes"], &whole["gaps"]),
        (&57.into(), &0.into(), &1.into())
    );
    assert_eq!((&whole["height"], &whole["conservation_ok"]), (&3_600.into(), &true.into()));
    assert!(whole["liquidations"].as_u64().unwrap() > 0, "{whole}");
    assert!(whole["liquidated_share_ppm"].as_u64().unwrap() > 0, "{whole}");
    let causes: Vec<&Value> =
        whole["breaker_transitions"].as_array().unwrap().iter().map(|row| &row["cause"]).collect();
    assert!(causes.contains(&&"stale price".into()), "{causes:?}");
    let continued = killed_between(&arguments, folder.path());
    let is_same = |field: &&str| whole[*field] == continued[*field];
    let told = [
        "final_state_root",
        "final_log_root",
        "envelopes",
        "commands",
        "trades",
        "refusals",
        "liquidations",
        "liquidated_micros",
        "crowd_peak_open_interest_micros",
        "breaker_transitions",
        "result_micros",
    ];
    assert_eq!(told.iter().filter(|field| !is_same(field)).collect::<Vec<_>>(), Vec::<&&str>::new());
    let other = report(&casemate(&[&arguments[..], &["--seed", "7"]].concat()));
    assert_ne!(whole["final_state_root"], other["final_state_root"]);
}

/// The report of a run that went on where another was killed. When that is depends on the machine, so if nothing was there
/// yet another one gets more time.
fn killed_between(arguments: &[&str], folder: &Path) -> Value {
    for wait_ms in [1_500, 3_000, 6_000, 12_000] {
        let data = folder.join(format!("data-{wait_ms}"));
        let kept = [arguments, &["--data", data.to_str().unwrap(), "--sync-every-blocks", "20"]].concat();
        let mut killed = program(&kept).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let continued = casemate(&kept);
        if stderr(&continued).contains("continuing at block") {
            return report(&continued);
        }
    }
    panic!("no run had a block before it was killed");
}

/// What a run says about a file, which must name the line where it has one, and a hint.
fn refused(text: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let prices = candles(folder.path(), text);
    let output = casemate(&[&["replay", "--prices", &prices], more].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("hint: "), "{said}");
    said
}

#[test]
fn a_bad_file_is_named_by_line_with_a_hint() {
    let good = hour();
    let lines: Vec<&str> = good.lines().collect();
    let malformed = good.replacen(lines[3], &lines[3].replace("3.2", "3,2"), 1);
    let said = refused(&malformed, &[]);
    assert!(said.contains("line 4") || said.contains("line `4`"), "{said}");
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    let said = refused(&swapped.join("\n"), &[]);
    assert!(said.contains("line 7") || said.contains("line `7`"), "{said}");
    refused(lines[0], &[]);
    let output = casemate(&["replay", "--prices", "there-is-no-such-file.csv"]);
    assert!(stderr(&output).contains("there-is-no-such-file.csv") && stderr(&output).contains("hint: "));
}

#[test]
fn a_time_that_the_file_does_not_have_is_refused() {
    for (from, to) in [
        ("2020-09-13T12:30:00Z", "2020-09-13T12:30:00Z"),
        ("2020-09-13T12:40:00Z", "2020-09-13T12:30:00Z"),
        ("2020-09-12", "2020-09-13T12:40:00Z"),
        ("yesterday", "2020-09-13T12:40:00Z"),
    ] {
        refused(&hour(), &["--from", from, "--to", to]);
    }
}

#[test]
fn wrong_usage_is_answered_with_what_there_is() {
    let usage = |arguments: &[&str]| {
        let output = casemate(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    assert!(usage(&["replay", "--prices", "x.csv", "--preset", "rich"]).contains("thin-insurance"));
    assert!(usage(&["replay", "--prices", "x.csv", "--orders", "y.csv"]).contains("cannot be used with"));
    assert!(usage(&["replay"]).contains("--orders"));
    assert!(usage(&["replay", "--orders", "y.csv", "--from", "2021-05-19"]).contains("--from"));
}

/// The day on which bitcoin fell by a third and came half the way back: recorded, where the machine has it. It has the levels of
/// a market of the long tail: by those of its own class the whole week was rough. And one trader, so that makers are left with
/// two sides to quote: a crash that empties their books is another test's.
#[test]
fn slow_what_a_withdrawal_needs_rises_with_the_crash_and_comes_back_only_after_the_cool_down() {
    if std::env::var_os("CASEMATE_SLOW").is_none() {
        println!("skipped: two days of blocks take minutes; CASEMATE_SLOW=1 plays them");
        return;
    }
    let named = std::env::var_os("CASEMATE_DATA").map(PathBuf::from);
    let data = named.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let candles = data.join("market/may19_2021/binance_spot_BTCUSDT_1m.csv.zst");
    if !candles.exists() {
        println!("skipped: no recorded prices at `{}`; set CASEMATE_DATA to the folder that has them", data.display());
        return;
    }
    let span = ["--from", "2021-05-19T09:00:00Z", "--to", "2021-05-20T07:00:00Z"];
    let venue = ["--class", "long-tail", "--accounts", "1", "--json"];
    let told = report(&casemate(&[&["replay", "--prices", candles.to_str().unwrap()][..], &span, &venue].concat()));
    let time = |row: &Value| row["block_time_ms"].as_u64().unwrap();
    // The warm-up's moves of tiers are told too, those of regimes and breakers are not.
    let all = told["tier_moves"].as_array().unwrap();
    let tiers: Vec<&Value> = all.iter().filter(|row| time(row) >= told["named_from_ms"].as_u64().unwrap()).collect();
    let regimes = told["regime_transitions"].as_array().unwrap();
    let breakers = told["breaker_transitions"].as_array().unwrap();
    // From the root key to a quorum, and back to the root key.
    let walked: Vec<(&str, &str)> =
        tiers.iter().map(|row| (row["to"].as_str().unwrap(), row["regime"].as_str().unwrap())).collect();
    assert_eq!(tiers[0]["from"], "Rooted", "{tiers:?}");
    let expected = [("Proven", "Elevated"), ("Quorum", "Extreme"), ("Proven", "Stressed"), ("Rooted", "Calm")];
    assert_eq!(walked, expected, "{tiers:?}");
    // Every move has its cause at the same time: a move of the regime or of the breaker, which are events.
    for row in &tiers {
        let has_cause = regimes.iter().chain(breakers).any(|cause| time(cause) == time(row));
        assert!(has_cause, "{row} has no cause among {regimes:?} and {breakers:?}");
    }
    // A regime is left a step at a time, and none sooner than its cool-down after the move before.
    let rank = |name: &Value| ["calm", "elevated", "stressed", "extreme"].iter().position(|word| name == word).unwrap();
    let mut falls = 0;
    for pair in regimes.windows(2).filter(|pair| rank(&pair[1]["to"]) < rank(&pair[1]["from"])) {
        assert_eq!(rank(&pair[1]["to"]) + 1, rank(&pair[1]["from"]), "{pair:?}");
        assert!(time(&pair[1]) - time(&pair[0]) >= REGIME_HOLD_MS, "{pair:?}");
        falls += 1;
    }
    assert!(falls >= 4, "{regimes:?}");
    println!("tiers of a withdrawal of 5,000: {walked:?}");
}
