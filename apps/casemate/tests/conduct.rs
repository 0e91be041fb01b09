//! `casemate conduct evaluate` as a user runs it.

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::{casemate, stderr, stdout};

fn evaluated(data: &str) -> Value {
    let output = casemate(&["conduct", "evaluate", "--data", data, "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn conduct_without_data_is_skipped_with_a_reason_and_damaged_data_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let report = evaluated(data);
    assert_eq!(report["skipped"].as_array().map(Vec::len), Some(6));
    assert_eq!(report["injected"], serde_json::json!([]));
    let pumps = folder.path().join("orderbook/pump_dump_labelled");
    std::fs::create_dir_all(&pumps).unwrap();
    std::fs::write(pumps.join("labels_shared.csv"), "header\nfile,coin,BTC,binance,yesterday,1%\n").unwrap();
    let output = casemate(&["conduct", "evaluate", "--data", data]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("line 2") && stderr(&output).contains("hint: "), "{}", stderr(&output));
}

/// What docs/conduct.md claims, on the recorded data where the machine has it.
#[test]
fn slow_conduct_finds_what_the_documentation_says_and_blocks_nobody_honest() {
    let named = std::env::var_os("CASEMATE_DATA").map(PathBuf::from);
    let data = named.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    if !data.join("orderbook").exists() {
        println!("skipped: no recorded data at `{}`; set CASEMATE_DATA to the folder that has it", data.display());
        return;
    }
    let report = evaluated(data.to_str().unwrap());
    let pumps = report["pumps"]["events"].as_array().unwrap();
    assert!(pumps.iter().filter(|pump| pump["detected_ms"].is_i64()).count() >= 8, "{pumps:?}");
    for row in report["injected"].as_array().unwrap() {
        let (strength, recall) = (row["strength_percent"].as_u64().unwrap(), row["recall"].as_f64().unwrap());
        assert!(strength < 400 || recall >= 0.75, "{row}");
        assert!(strength > 25 || recall == 0.0, "{row}");
        assert_eq!(row["honest_accounts_told"], 0, "{row}");
    }
    for row in report["calm_flow"].as_array().unwrap() {
        assert_eq!(row["orders_blocked"], 0, "{row}");
    }
}
