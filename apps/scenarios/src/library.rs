//! The scenarios of the repository, carried in the program: an installed one has no folder of them beside it.

use std::path::Path;

use crate::file::{CONTROLS_FILE, Catalogue, ScenarioFile, VENUE_FILE};
use crate::problem::ScenarioError;

/// Reads the scenarios that the program carries, in the order of their ids.
///
/// # Errors
/// One of them is none, which the tests of this crate exclude.
pub fn library() -> Result<(Catalogue, Vec<ScenarioFile>), ScenarioError> {
    let path = |name: &str| Path::new("spec/scenarios").join(name);
    let catalogue = Catalogue::parse((&path(VENUE_FILE), VENUE), (&path(CONTROLS_FILE), CONTROLS))?;
    let files: Result<Vec<_>, _> =
        SCENARIOS.iter().map(|(name, text)| ScenarioFile::parse(&path(name), (*text).to_owned())).collect();
    Ok((catalogue, files?))
}

macro_rules! carried {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../spec/scenarios/", $name)))),*]
    };
}

const VENUE: &str = include_str!("../../../spec/scenarios/venue.toml");
const CONTROLS: &str = include_str!("../../../spec/scenarios/controls.toml");
const SCENARIOS: [(&str, &str); 8] = carried![
    "S4-self-trade.toml",
    "S4b-self-trade-realised.toml",
    "S6-withdraw-to-liquidate.toml",
    "S12-price-setter.toml",
    "S13-two-feeds.toml",
    "S16-thin-book.toml",
    "S16b-zero-bids.toml",
    "S18-leaked-session.toml",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_program_carries_every_scenario_of_the_repository() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/scenarios");
        let (_, files) = crate::read(&folder).unwrap();
        let in_folder: BTreeSet<&str> = files.iter().map(ScenarioFile::text).collect();
        let (_, carried) = library().unwrap();
        let in_program: BTreeSet<&str> = carried.iter().map(ScenarioFile::text).collect();
        assert!(in_folder == in_program, "add to or take from SCENARIOS what spec/scenarios has more or less");
    }
}
