//! `replay --scenario` as a user runs it.

mod support;

use serde_json::Value;
use support::{casemate, stderr, stdout};

fn scenarios() -> String {
    format!("{}/../../spec/scenarios", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_scenario_is_replayed_with_a_report_for_programs() {
    let file = format!("{}/S16b-zero-bids.toml", scenarios());
    let output = casemate(&["replay", "--scenario", &file, "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let scenario = &report["scenarios"][0];
    assert_eq!(scenario["id"], "S16b");
    assert_eq!((&scenario["passes"], &scenario["benign_twin_passes"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(scenario["loss_micros"].as_i64() <= scenario["limit_micros"].as_i64(), "{scenario}");
    let control = &scenario["controls"][0];
    assert_eq!(control["name"], "slippage bound");
    assert_eq!((&control["passes_weakened"], &control["passes_alone"]), (&Value::Bool(false), &Value::Bool(true)));
    assert_eq!(control["redundant"], false);
    assert!(control["loss_weakened_micros"].is_i64() && control["expected_event"].is_string(), "{control}");
}

#[test]
fn what_is_wrong_with_a_scenario_is_told_with_its_line_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["venue.toml", "controls.toml"] {
        std::fs::copy(format!("{}/{name}", scenarios()), folder.path().join(name)).unwrap();
    }
    let file = folder.path().join("S0.toml");
    std::fs::write(&file, "id = \"S0\"\nblame = \"nobody\"\n").unwrap();
    let output = casemate(&["replay", "--scenario", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("S0.toml:2: unknown field `blame`") && told.contains("hint: "), "{told}");
    let output = casemate(&["replay", "--scenario", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("hint: "), "{}", stderr(&output));
}

#[test]
fn a_replay_names_what_is_replayed() {
    assert_eq!(casemate(&["replay"]).status.code(), Some(2));
    assert_eq!(casemate(&["replay", "--scenario", "a", "--orders", "b"]).status.code(), Some(2));
    assert_eq!(casemate(&["replay", "--orders", "b", "--markdown"]).status.code(), Some(2));
}
