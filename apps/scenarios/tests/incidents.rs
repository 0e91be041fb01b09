//! The scenarios of the repository, played.

use std::path::PathBuf;

use casemate_scenarios::{Catalogue, ScenarioFile, ScenarioReport, json, markdown, read, run};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/scenarios")
}

fn scenarios() -> (Catalogue, Vec<ScenarioFile>) {
    read(&folder()).unwrap_or_else(|error| panic!("{error}"))
}

fn play(name: &str, seed: u64) -> ScenarioReport {
    let file = folder().join(name);
    let (catalogue, files) = read(&file).unwrap_or_else(|error| panic!("{error}"));
    run(&files[0], &catalogue, seed, 2).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

/// With numbers that are not the stated ones everything is as it must be; the stated ones are played for the table.
fn is_sound(name: &str) {
    is_sound_with(name, 1);
}

fn is_sound_with(name: &str, seed: u64) {
    let report = play(name, seed);
    assert!(report.is_sound(), "{name}, seed {seed}: {:#?}", report.findings);
}

#[test]
fn s4_a_self_trade_and_a_thin_price_take_nothing_out() {
    is_sound("S4-self-trade.toml");
}

#[test]
fn s4b_a_self_trade_whose_profit_is_realised_at_the_peak_takes_nothing_out() {
    is_sound("S4b-self-trade-realised.toml");
}

#[test]
fn s6_a_whale_cannot_withdraw_its_margin_and_leave_the_position_behind() {
    is_sound("S6-withdraw-to-liquidate.toml");
}

#[test]
fn s12_who_is_no_publisher_sets_no_price_and_one_price_does_not_jump() {
    is_sound("S12-price-setter.toml");
}

#[test]
fn s13_two_of_five_feeds_publish_no_price() {
    is_sound("S13-two-feeds.toml");
}

#[test]
fn s16_liquidations_do_not_empty_the_book() {
    is_sound("S16-thin-book.toml");
}

#[test]
fn s16b_who_bids_far_below_the_index_wins_nothing_that_is_liquidated() {
    is_sound("S16b-zero-bids.toml");
}

#[test]
fn s18_a_leaked_session_does_not_trade_its_owner_empty() {
    is_sound("S18-leaked-session.toml");
}

// The numbers of a scenario are those of one incident; what stops it must not depend on them.

#[test]
fn prop_a_whale_of_another_size_is_stopped_all_the_same() {
    is_sound_with("S6-withdraw-to-liquidate.toml", 2);
}

#[test]
fn prop_a_bid_at_another_distance_wins_nothing_either() {
    is_sound_with("S16b-zero-bids.toml", 2);
}

#[test]
fn prop_a_leaked_session_with_another_size_is_stopped_all_the_same() {
    is_sound_with("S18-leaked-session.toml", 2);
}

#[test]
fn a_self_trade_with_large_positions_and_small_deposits_still_opens_where_nothing_stops_it() {
    is_sound_with("S4b-self-trade-realised.toml", 4);
}

#[test]
fn a_trader_of_the_benign_twin_who_gains_little_still_takes_it_out() {
    is_sound_with("S13-two-feeds.toml", 6);
}

#[test]
fn the_same_scenario_and_seed_give_the_same_report() {
    let [one, other] = [1, 2].map(|threads| {
        let (catalogue, files) = read(&folder().join("S16b-zero-bids.toml")).unwrap_or_else(|error| panic!("{error}"));
        json(&[run(&files[0], &catalogue, 1, threads).unwrap_or_else(|error| panic!("{error}"))])
    });
    assert_eq!(one, other);
}

/// The documentation's table is what `replay --scenario --markdown` prints.
#[test]
fn the_table_in_the_documentation_is_what_the_scenarios_come_to() {
    let (catalogue, files) = scenarios();
    let reports: Vec<ScenarioReport> =
        files.iter().map(|file| run(file, &catalogue, 0, 2).unwrap_or_else(|error| panic!("{error}"))).collect();
    for report in &reports {
        assert!(report.is_sound(), "{}: {:#?}", report.id, report.findings);
    }
    let document = std::fs::read_to_string(folder().join("../../docs/scenarios.md")).expect("the document exists");
    let table = markdown(&reports);
    assert!(document.contains(&table), "docs/scenarios.md does not hold this table:\n{table}");
}
