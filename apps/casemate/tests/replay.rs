//! `casemate replay` and `casemate bench` as a user runs them.

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::{casemate, program, stderr, stdout};

/// The recorded order flow, where the machine has it.
fn recorded_orders() -> Option<PathBuf> {
    let data = std::env::var_os("CASEMATE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = data.join("orderbook/bitstamp_l3/orders.csv.zst");
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no recorded orders at `{}`; set CASEMATE_DATA to the folder that has them", path.display());
    None
}

fn report(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_str(&stdout(output)).unwrap()
}

/// A record small enough to be worked out by hand: two makers, a taker that fills one and a half, a cancel.
const SMALL_RECORD: &str = "\
id,timestamp,exchange.timestamp,price,volume,action,direction
1,1430438400100,1430438400000,236.00,100000000,created,ask
2,1430438400200,1430438400000,236.10,100000000,created,ask
3,1430438400300,1430438400000,236.10,150000000,created,bid
1,1430438400310,1430438400000,236.00,0,deleted,ask
2,1430438400320,1430438400000,236.10,50000000,changed,ask
3,1430438400330,1430438400000,236.10,0,deleted,bid
4,1430438400400,1430438400000,235.00,100000000,created,bid
4,1430438400500,1430438400000,235.00,100000000,deleted,bid
";

#[test]
fn a_small_record_is_reproduced_whole_and_twice_alike() {
    let folder = tempfile::tempdir().unwrap();
    let orders = folder.path().join("orders.csv");
    std::fs::write(&orders, SMALL_RECORD).unwrap();
    let arguments = ["replay", "--orders", orders.to_str().unwrap(), "--json"];
    let first = report(&casemate(&arguments));
    assert_eq!(first["commands"], 5, "four orders and a cancel");
    assert_eq!(first["trades"], 2);
    assert_eq!(first["filled_volume_ratio"], 1.0);
    assert_eq!(first["conservation_ok"], true);
    assert_eq!(first["refusals"], serde_json::json!({}));
    let second = report(&casemate(&arguments));
    assert_eq!(first["final_state_root"], second["final_state_root"]);
    let other_seed = report(&casemate(&[&arguments[..], &["--seed", "7"]].concat()));
    assert_ne!(first["final_state_root"], other_seed["final_state_root"], "the seed decides keys and owners");
}

#[test]
fn a_malformed_row_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let orders = folder.path().join("orders.csv");
    std::fs::write(&orders, SMALL_RECORD.replace("236.10,50000000,changed", "236.1O,50000000,changed")).unwrap();
    let output = casemate(&["replay", "--orders", orders.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("line 6") || stderr(&output).contains("line `6`"), "{}", stderr(&output));
}

/// Regenerating the golden root is an approval: run with CASEMATE_BLESS=1 and say why it changed.
#[test]
fn slow_recorded_order_flow_gives_the_golden_root_also_after_being_killed() {
    let Some(orders) = recorded_orders() else { return };
    let orders = orders.to_str().unwrap();
    let whole = report(&casemate(&["replay", "--orders", orders, "--json"]));
    assert!(whole["filled_volume_ratio"].as_f64().unwrap() >= 0.95, "{whole}");
    assert_eq!(whole["conservation_ok"], true);
    assert_golden_root(&whole);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let arguments = ["replay", "--orders", orders, "--json", "--data", data];
    let mut killed = program(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1_200));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let continued = report(&casemate(&arguments));
    for field in ["final_state_root", "final_log_root", "commands", "trades", "refusals", "filled_volume_ratio"] {
        assert_eq!(whole[field], continued[field], "{field}");
    }
}

fn assert_golden_root(report: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/order-replay.tsv");
    let text = |field: &str| report[field].as_str().unwrap().to_owned();
    let found = format!(
        "# Roots of the recorded level-3 flow with 1000 accounts and seed 0.\nstate\t{}\nlog\t{}\n",
        text("final_state_root"),
        text("final_log_root"),
    );
    if std::env::var_os("CASEMATE_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), found, "a root changed: say so in the commit");
}

#[test]
fn an_unknown_benchmark_row_is_answered_with_the_rows_there_are() {
    let output = casemate(&["bench", "--quick", "--row", "nothing"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("engine commands=1 accounts=100000 markets=4 cores=1"), "{}", stderr(&output));
}
