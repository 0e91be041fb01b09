//! What is wrong with a scenario's files is named, with the file, the line and what to do.

use std::path::{Path, PathBuf};

use casemate_scenarios::{ScenarioError, read, run};

const SCENARIO: &str = "S16b-zero-bids.toml";

/// A copy of the repository's venue, controls and one scenario, with one text in one file replaced.
fn error_of(file: &str, from: &str, to: &str) -> ScenarioError {
    error_with(file, &[(from, to)])
}

fn error_with(file: &str, changes: &[(&str, &str)]) -> ScenarioError {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/scenarios");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["venue.toml", "controls.toml", SCENARIO] {
        let mut text = std::fs::read_to_string(source.join(name)).expect("the repository has it");
        if name == file {
            for (from, to) in changes {
                assert!(text.contains(from), "`{from}` is not in {file}");
                text = text.replacen(from, to, 1);
            }
        }
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    }
    let path = folder.path().join(SCENARIO);
    let played = read(&path).and_then(|(catalogue, files)| run(&files[0], &catalogue, 0, 1));
    played.expect_err("it is wrong")
}

fn name_of(error: &ScenarioError) -> &str {
    error.path.file_name().and_then(|name| name.to_str()).unwrap_or("")
}

#[test]
fn an_unknown_field_is_named_with_its_line() {
    let error = error_of(SCENARIO, "limit =", "limits = \"1\"\nlimit =");
    assert!(error.message.contains("limits"), "{error}");
    assert_eq!((name_of(&error), error.line), (SCENARIO, Some(5)), "{error}");
}

#[test]
fn a_field_that_the_venue_does_not_have_is_named_with_its_line() {
    let error = error_of(SCENARIO, "[genesis.market.XBT.feed]", "[genesis.market.XBT.feed]\nsources_min = 3");
    assert_eq!(error.message, "`market.XBT.feed.sources_min` is no field of the venue");
    assert!(error.line.is_some_and(|line| line > 80), "{error}");
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_its_line() {
    let error = error_of(SCENARIO, "move_per_second_max_ppm = 800", "move_per_second_max_ppm = true");
    assert_eq!(error.message, "this is boolean, and must be integer");
    assert!(error.line.is_some(), "{error}");
}

#[test]
fn a_line_that_is_no_sentence_is_named() {
    let error = error_of(SCENARIO, "desk stops quoting XBT", "desk stops quotes XBT");
    assert_eq!(error.message, "`quotes` stands where `quoting` is missing");
    assert!(error.line.is_some_and(|line| (30..50).contains(&line)), "{error}");
}

#[test]
fn a_control_that_no_catalogue_has_is_named() {
    let error = error_of(SCENARIO, "name = \"slippage bound\"", "name = \"goodwill\"");
    assert_eq!(error.message, "`goodwill` is no control of controls.toml");
    assert!(error.line.is_some(), "{error}");
}

#[test]
fn a_venue_that_is_no_genesis_says_which_rule_fails() {
    let error = error_of(SCENARIO, "move_per_second_max_ppm = 800", "move_per_second_max_ppm = 500_000");
    assert!(error.message.contains("fails its listing check"), "{error}");
}

#[test]
fn a_set_up_that_does_not_stand_is_no_verdict() {
    let error = error_of(SCENARIO, "check long-4 is long $each XBT", "check long-4 is short $each XBT");
    assert!(error.message.contains("it is not ready: long-4 holds"), "{error}");
    assert!(error.line.is_some(), "{error}");
    let error = error_of(SCENARIO, "long-1 deposits $margin into 1", "long-1 deposits 1 into 1");
    assert!(error.message.contains("the set-up is refused"), "{error}");
}

#[test]
fn an_id_that_is_no_plain_name_is_refused_with_its_line() {
    for id in ["", "../S4", "S 4", "S/4", "seventeen-letters"] {
        let error = error_of(SCENARIO, "id = \"S16b\"", &format!("id = \"{id}\""));
        let message = format!("the id `{id}` must be 1 to 16 letters, digits and hyphens");
        assert_eq!((error.message.as_str(), error.line), (message.as_str(), Some(1)), "{error}");
    }
}

#[test]
fn orders_beyond_the_limits_are_refused_with_their_line_and_not_cut() {
    let line = 32;
    for (step, message) in [
        (
            "desk quotes 20_001 XBT within 0.3 %",
            "a quote of `2000100` lots is larger than an order may be: `2000000` lots",
        ),
        (
            "desk offers 9_000_000 XBT at $start",
            "`900000000` lots take `450` orders of at most `2000000` lots, and one envelope holds `64`",
        ),
        (
            "desk offers 999_999_999_999_999_999 XBT at $start",
            "`999999999999999999` is more than a market with lots of `0.01` can count",
        ),
        (
            "desk offers 1 XBT at 999_999_999_999_999_999",
            "`999999999999999999` is more than a market with ticks of `0.05` can count",
        ),
    ] {
        let changes = [
            ("at 0:58   desk stops quoting XBT\nat 0:59   vulture", &format!("at 0:58   {step}\nat 0:59   vulture")),
            ("order_max = 40_000", &"order_max = 20_000".to_owned()),
            ("tick_size = \"0.5\"", &"tick_size = \"0.05\"".to_owned()),
        ];
        let error = error_with(SCENARIO, &changes.each_ref().map(|(from, to)| (*from, to.as_str())));
        assert!(error.message.ends_with(message), "{error}");
        assert_eq!(error.line, Some(line), "{error}");
    }
}

#[test]
fn sizes_whose_product_no_number_holds_are_refused() {
    let most = "\"999999999999999999\"";
    let changes =
        [("tick_size = \"0.5\"", format!("tick_size = {most}")), ("lot_size = \"0.01\"", format!("lot_size = {most}"))];
    let error = error_with(SCENARIO, &changes.each_ref().map(|(from, to)| (*from, to.as_str())));
    assert!(error.message.contains("[genesis]"), "{error}");
}

#[test]
fn a_control_that_loosens_no_field_is_named() {
    let error = error_of("controls.toml", "market.*.liquidation.slippage_max_ppm up", "market.*.slippage_ppm up");
    assert!(error.message.contains("`market.*.slippage_ppm` is no field of the venue"), "{error}");
}

#[test]
fn a_scenario_that_says_what_is_not_so_is_not_sound() {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/scenarios");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["venue.toml", "controls.toml", SCENARIO] {
        let text = std::fs::read_to_string(source.join(name)).expect("the repository has it");
        let text = text.replace("redundant = false", "redundant = true");
        let text = text.replace("PositionPassed to the backstop", "OpenInterestMax");
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    }
    let (catalogue, files) = read(&folder.path().join(SCENARIO)).expect("it reads");
    let report = run(&files[0], &catalogue, 0, 2).expect("it plays");
    assert_eq!(report.findings.len(), 2, "{:#?}", report.findings);
    assert!(report.findings[0].contains("is marked redundant, and without it the scenario fails"));
    assert!(report.findings[1].contains("does not show as `OpenInterestMax`"));
}

#[test]
fn a_file_that_is_not_there_says_where_scenarios_lie() {
    let error = read(Path::new("nowhere/S0.toml")).expect_err("it is not there");
    assert!(error.hint.contains("beside venue.toml"), "{error}");
}
