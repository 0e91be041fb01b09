//! `casemate policy` as people and programs use it: on the shipped set, and on sets that are broken on purpose.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::{program, stderr};

fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/policies")
}

/// A copy of the shipped set with one file changed.
fn changed(file: &str, change: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in shipped().read_dir().unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap();
        let text = if name == file { change(&text) } else { text };
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn policy(arguments: &[&str], folders: &[&Path]) -> Output {
    program(&["policy"]).args(arguments).args(folders).output().unwrap()
}

fn stdout_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

#[test]
fn the_shipped_set_has_every_property() {
    let output = policy(&["check", "--json"], &[&shipped()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report = stdout_json(&output);
    let properties = report["properties"].as_array().unwrap();
    assert!(properties.len() >= 10);
    for property in properties {
        assert_eq!(property["holds"], true, "{property}");
        assert!(property["name"].is_string() && property["counterexample"].is_null(), "{property}");
    }
}

#[test]
fn a_broken_set_fails_with_a_counterexample() {
    let folder = changed("20-value-leaves.cedar", |text| {
        text.replace("\"Extreme\" && context.tier < 4", "\"Extreme\" && context.tier < 3")
    });
    let output = policy(&["check", "--json"], &[folder.path()]);
    assert_eq!(output.status.code(), Some(1));
    let report = stdout_json(&output);
    let failing: Vec<&Value> =
        report["properties"].as_array().unwrap().iter().filter(|row| row["holds"] == false).collect();
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0]["name"], "value-leaves-with-evidence-in-wild-markets");
    let counterexample = failing[0]["counterexample"].as_str().unwrap();
    assert!(
        counterexample.contains("regime Extreme") && counterexample.contains("tier 3 (proven) is permitted"),
        "{counterexample}"
    );
    let told = policy(&["check"], &[folder.path()]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("FAILS"));
    assert!(stderr(&told).contains("does not hold: value-leaves-with-evidence-in-wild-markets"));
}

#[test]
fn a_mistake_is_told_with_file_line_and_column() {
    let folder = changed("60-reads.cedar", |text| {
        text.replace("unless { principal is Anonymous };", "unless { principal is };")
    });
    let output = policy(&["check"], &[folder.path()]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("60-reads.cedar:8:") && told.contains("\nhint: "), "{told}");
}

#[test]
fn without_the_solver_it_says_what_to_install() {
    let output = program(&["policy", "check"]).arg(shipped()).env("CVC5", "/nowhere/cvc5").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("install the Debian package `cvc5`"), "{}", stderr(&output));
}

#[test]
fn a_change_is_classed_with_an_example() {
    let folder = changed("20-value-leaves.cedar", |text| {
        text.replace(">= 100000000000 && context.tier < 4", ">= 50000000000 && context.tier < 4")
    });
    let output = policy(&["diff", "--json"], &[&shipped(), folder.path()]);
    let report = stdout_json(&output);
    assert_eq!(report["class"], "tightening");
    let example = report["differences"][0]["example"].as_str().unwrap();
    assert!(example.contains("of 50,000"), "{example}");
    assert_eq!(report["differences"][0]["example_tier"], 3);
    assert_eq!(stdout_json(&policy(&["diff", "--json"], &[folder.path(), &shipped()]))["class"], "loosening");
    assert_eq!(stdout_json(&policy(&["diff", "--json"], &[&shipped(), &shipped()]))["class"], "same");
    let told = policy(&["diff"], &[&shipped(), folder.path()]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.starts_with("tightening: nothing is easier than before"), "{told}");
    assert!(told.contains("was permitted, would be refused"), "{told}");
}

#[test]
fn a_question_is_explained() {
    let shipped = shipped();
    let question = ["--action", "requestwithdrawal", "--regime", "Stressed", "--amount", "5000"];
    let arguments = [&["explain", "--json", "--policies", shipped.to_str().unwrap()], &question[..]].concat();
    let report = stdout_json(&policy(&arguments, &[]));
    assert_eq!(report["tier"], 3);
    assert_eq!(report["held_by"][0]["id"], "in-a-stressed-market-a-proof");
    assert_eq!(report["permitted_by"][0]["id"], "value-leaves-with-the-root-key");
    let would_change = report["would_change"].as_array().unwrap();
    assert!(would_change.iter().any(|row| row["change"] == "regime Calm" && row["tier"] == 2), "{would_change:?}");
    let unknown = policy(&["explain", "--policies", ".", "--action", "Steal"], &[]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("RequestWithdrawal"));
}
