//! `casemate replay --scenario`: incidents of other venues, played to a replica with every control on, each loose, each
//! alone (`spec/scenarios/README.md`).

use std::num::NonZeroUsize;
use std::path::Path;

use casemate_scenarios::{ScenarioError, ScenarioReport, json, markdown, read, run as run_scenario, text};

use crate::error::CliError;

/// How reports are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// For people.
    Text,
    /// As one JSON object.
    Json,
    /// As the table of the documentation.
    Markdown,
}

/// Plays a scenario or a folder of them and prints what they came to.
///
/// # Errors
/// What is wrong with a file, or that a scenario is not as it must be.
pub fn run(path: &Path, seed: u64, threads: Option<usize>, shown: Shown) -> Result<(), CliError> {
    let available = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = threads.unwrap_or(available);
    let (catalogue, files) = read(path).map_err(refused)?;
    let mut reports = Vec::with_capacity(files.len());
    for file in &files {
        reports.push(run_scenario(file, &catalogue, seed, threads).map_err(refused)?);
    }
    match shown {
        Shown::Text => out!("{}", text(&reports)),
        Shown::Json => outln!("{}", json(&reports)),
        Shown::Markdown => out!("{}", markdown(&reports)),
    }
    let unsound: Vec<&str> =
        reports.iter().filter(|report| !report.is_sound()).map(|report: &ScenarioReport| report.id.as_str()).collect();
    if unsound.is_empty() {
        return Ok(());
    }
    Err(CliError::new(
        format!("not as it must be: {}", unsound.join(", ")),
        "read the findings of the report: a control does not hold, or the scenario says something that is not so",
    ))
}

fn refused(error: ScenarioError) -> CliError {
    let hint = error.hint.clone();
    CliError::new(error.to_string(), hint)
}
