//! `casemate up --attack` from the built program: a recorded attack on a running venue, with its controls and without.

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use support::{casemate, program, stderr, stdout};

/// S12 to its end, as fast as the machine can; standard output by key, in order.
fn played(folder: &Path, more: &[&str]) -> (Output, Vec<Value>) {
    let mut command =
        program(&["up", "--attack", "S12", "--exit", "--json", "--listen", "127.0.0.1:0", "--speed", "1000"]);
    let output = command.arg("--folder").arg(folder).args(more).output().unwrap();
    let lines = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output, lines)
}

fn told<'a>(lines: &'a [Value], kind: &str, start: &str) -> Vec<&'a Value> {
    let told = lines.iter().map(|line| &line["told"]).filter(|told| told["kind"] == kind);
    told.filter(|told| told["sentence"].as_str().unwrap().starts_with(start)).collect()
}

fn verdict(lines: &[Value]) -> &Value {
    lines.iter().find(|line| line.get("played").is_some()).map(|line| &line["played"]).expect("it has a verdict")
}

#[test]
fn slow_a_forged_price_is_refused_on_a_running_venue_and_everybody_else_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("attack");
    let (output, lines) = played(&data, &[]);
    assert!(output.status.success(), "{}", stderr(&output));

    let forged = told(&lines, "step", "mallory says ETH is");
    assert_eq!(forged.len(), 2, "{forged:?}");
    for step in forged {
        assert_eq!(
            (&step["is_accepted"], &step["refusal"]["name"]),
            (&false.into(), &"PolicyForbids".into()),
            "{step}"
        );
    }
    let bystanders = told(&lines, "step", "carol withdraws");
    assert_eq!(bystanders[0]["is_accepted"], true, "{bystanders:?}");
    assert_eq!(told(&lines, "withdrawn", "carol took out")[0]["amount_quote_micros"], 50_000_000_000i64);

    let verdict = verdict(&lines);
    assert_eq!((&verdict["holds"], &verdict["loss_micros"]), (&true.into(), &0.into()), "{verdict}");
    assert_eq!(verdict["controls"][0]["name"], "publisher registration");
    assert_eq!(verdict["controls"][0]["is_seen"], true, "{verdict}");
    // People are told the same.
    let said = stderr(&output);
    for line in ["mallory says ETH is 100: REFUSED, 302 PolicyForbids", "S12 is over: every condition holds"] {
        assert!(said.contains(line), "{said}");
    }

    // What is there is neither continued nor overwritten, and can be looked at.
    let again = data.to_str().unwrap();
    let refusal = refused(&["--attack", "S12", "--folder", again]);
    assert!(refusal.contains("is there and not empty") && refusal.contains("nothing was changed"), "{refusal}");
    let refusal = refused(&["--folder", again, "--listen", "127.0.0.1:0"]);
    assert!(refusal.contains("holds `casemate up, attack S12`"), "{refusal}");
    let closed = &lines.last().unwrap()["closed"];
    let inspected = casemate(&["inspect", "account", "20", "--data", again]);
    assert!(inspected.status.success(), "{}", stderr(&inspected));
    assert!(stdout(&inspected).contains(&format!("of block {}", closed["height"])), "{}", stdout(&inspected));
}

#[test]
fn slow_without_its_controls_the_attack_succeeds_and_the_exit_code_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (output, lines) = played(folder.path(), &["--without", "all"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("error: S12: its conditions do not hold"), "{}", stderr(&output));
    for step in told(&lines, "step", "mallory says ETH is") {
        assert_eq!(step["is_accepted"], true, "{step}");
    }
    // The venue believed it.
    let indexes =
        lines.iter().map(|line| &line["told"]).filter(|told| told["kind"] == "index" && told["market"] == "ETH");
    let indexes: Vec<&str> = indexes.map(|told| told["index"].as_str().unwrap()).collect();
    assert!(indexes.contains(&"100") && indexes.contains(&"10,000"), "{indexes:?}");
    let verdict = verdict(&lines);
    assert_eq!(verdict["holds"], false, "{verdict}");
    let (loss, limit) = (verdict["loss_micros"].as_i64().unwrap(), verdict["limit_micros"].as_i64().unwrap());
    assert!(loss > 100 * limit, "{verdict}");
    assert!(verdict["controls"].as_array().unwrap().iter().all(|control| control["is_loose"] == true), "{verdict}");
}

fn refused(arguments: &[&str]) -> String {
    let output = casemate(&[&["up"], arguments].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.contains("hint: "), "{told}");
    told
}

#[test]
fn names_that_there_are_not_are_answered_with_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("attack");
    let named = data.to_str().unwrap();
    let told = refused(&["--attack", "S99", "--folder", named]);
    for line in ["`S99` is neither a scenario", "  S4    Mango, 11 October 2022", "  S16b  MakerDAO"] {
        assert!(told.contains(line), "{told}");
    }
    let told = refused(&["--attack", "s12", "--without", "goodwill", "--folder", named]);
    for line in ["`goodwill` is no control of S12", "\n  price cap: the price in use moves only so far"] {
        assert!(told.contains(line), "{told}");
    }
    assert!(!data.exists(), "nothing was made for an attack that could not start");
}

#[test]
fn a_scenario_of_ones_own_is_named_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["venue.toml", "controls.toml", "S12-price-setter.toml"] {
        let source = format!("{}/../../spec/scenarios/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(source, folder.path().join(name)).unwrap();
    }
    let file = folder.path().join("S12-price-setter.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    // Its set-up alone, and a title of its own.
    let text = text.replace("id = \"S12\"", "id = \"mine\"").replace("lasts = \"46:00\"", "lasts = \"0:20\"");
    std::fs::write(&file, text).unwrap();
    let data = folder.path().join("data");
    let command = ["up", "--attack", file.to_str().unwrap(), "--exit", "--listen", "127.0.0.1:0", "--speed", "1000"];
    let output = casemate(&[&command, ["--folder", data.to_str().unwrap()].as_slice()].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("mine is over: every condition holds"), "{}", stderr(&output));
}

#[test]
fn options_that_make_no_sense_together_are_wrong_usage() {
    for arguments in [
        ["up", "--attack", "S12", "--prices", "x.csv"].as_slice(),
        &["up", "--without", "all"],
        &["up", "--exit"],
        &["up", "--json"],
    ] {
        assert_eq!(casemate(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
