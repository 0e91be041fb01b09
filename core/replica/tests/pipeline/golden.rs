//! A tiny chain whose roots must not change by accident.

use casemate_protocol::testing::golden::{assert_golden, table};

use crate::kit::{FIRST, Venue, ask, bid};

#[test]
fn two_commands_lead_to_the_roots_of_the_golden_file() {
    let mut venue = Venue::new();
    let mut rows = vec![row(&venue, "genesis")];
    let letter = venue.root(FIRST, vec![ask(1, 1_000, 10)]);
    venue.step(&[letter]);
    rows.push(row(&venue, "an order rests"));
    let letter = venue.session(FIRST + 1, 1, vec![bid(1, 1_000, 4)]);
    venue.step(&[letter]);
    rows.push(row(&venue, "a session trades with it"));
    let columns = ["height", "what", "block_id", "state_root", "log_size", "log_root"];
    assert_golden("two-command-replay.tsv", &table(columns, &rows));
}

fn row(venue: &Venue, what: &str) -> [String; 6] {
    [
        venue.ledger().chain().height.to_string(),
        what.to_owned(),
        venue.replica.last_block_id().to_string(),
        venue.replica.state_root().to_string(),
        venue.replica.log().size().to_string(),
        venue.replica.log().root().to_string(),
    ]
}
