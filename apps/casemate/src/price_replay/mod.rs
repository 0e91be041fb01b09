//! `casemate replay --prices`: recorded one-minute candles through a venue on margin, with publishers, makers and a crowd
//! that trades on leverage.
//!
//! The world outside (`casemate_world`) makes sixty seconds of each minute and decides what publishers see and traders
//! want. Here it meets the engine: every participant is an ordinary client that signs with its own key and passes the gate
//! like everybody, one block a second. What is simulated, and every number that was fitted, stands in
//! `docs/price-replay.md`.
//!
//! ```text
//! outside ─ step, signed prices ─> driver ─ scene ─> offices, makers, crowd ─ letters ─> cast ─ envelopes ─> node
//!                                     └────────────── records ──> tally ──> report
//! ```

pub mod cast;
pub mod crowd;
pub mod driver;
pub mod makers;
pub mod offices;
mod options;
pub mod outside;
mod report;
pub mod scene;
mod scrutiny;
mod tally;
#[cfg(test)]
mod tests;
pub mod venue;

use std::path::Path;
use std::time::Instant;

use casemate_node::keeper::KeeperOptions;
use casemate_node::{Node, NodeOptions, SecretSource};
use casemate_protocol::hash::{self, Domain};
use casemate_world::Seed;
use casemate_world::klines::{self, KlineFile};
use casemate_world::publishers::{Publishers, worst_hour};

pub use options::PriceOptions;

use crate::error::CliError;
use driver::{Driver, DriverPlan, in_size_of_venue};
use report::{PriceReport, Subject};
use venue::VenuePlan;

/// How to run a replay, whatever it replays.
pub struct RunOptions<'a> {
    /// Accounts of the crowd.
    pub accounts: u64,
    /// What everything is drawn from.
    pub seed: u64,
    /// Folder of the node.
    pub dir: &'a Path,
    /// Threads for signatures and hashing; as many as there are cores if none is named.
    pub threads: Option<usize>,
    /// Blocks between two syncs of the journal.
    pub sync_every_blocks: u64,
    /// The report is for programs.
    pub is_json: bool,
}

/// Runs the replay and prints its report.
///
/// # Errors
/// What went wrong, and what to do.
pub fn run(path: &Path, options: &PriceOptions, run: &RunOptions<'_>) -> Result<(), CliError> {
    let file =
        klines::read(path, options.volume_unit()).map_err(|error| CliError::new(error.to_string(), error.hint()))?;
    let report = replay(&file, path, options, run)?;
    if run.is_json {
        outln!("{}", report.json());
    } else {
        out!("{report}");
    }
    Ok(())
}

fn replay(
    file: &KlineFile,
    path: &Path,
    options: &PriceOptions,
    run: &RunOptions<'_>,
) -> Result<PriceReport, CliError> {
    let selection = file.select(options.span()?).map_err(|error| CliError::new(error.to_string(), error.hint()))?;
    let (Some(first), Some(named)) = (selection.minutes().first(), selection.named().first()) else {
        return Err(CliError::defect("a selection without minutes"));
    };
    let world = Seed::from_number(run.seed);
    let seed = hash::digest(Domain::Development, &[b"price replay", &run.seed.to_le_bytes()]).0;
    let venue_plan = VenuePlan {
        first_price_micros: first.ohlc.open_micros(),
        first_ms: first.open_time_ms,
        class: options.class(path),
        preset: options.preset(),
        crowd: run.accounts,
        seed,
    };
    let genesis = venue_plan.genesis().map_err(|error| {
        CliError::new(error.to_string(), "choose another number of accounts, or a file whose prices are not so extreme")
    })?;
    let plan = DriverPlan {
        venue: venue_plan.venue(),
        world,
        seed,
        minutes: in_size_of_venue(selection.minutes(), file.has_volume()),
        named_from_ms: named.open_time_ms,
    };
    let subject = Subject {
        class: venue_plan.class,
        preset: venue_plan.preset,
        named_from_ms: named.open_time_ms,
        minutes: selection.named().len() as u64,
        warm_up_minutes: selection.warm_up().len() as u64,
        has_whole_warm_up: selection.has_whole_warm_up(),
        has_volume: file.has_volume(),
        gaps: selection.gaps().len() as u64,
        recorded_micros: plan.minutes.iter().skip(selection.warm_up().len()).map(|row| row.volume_quote_micros).sum(),
    };
    let publishers = Publishers::usual(world, worst_hour(selection.named()));
    let defaults = NodeOptions::default();
    let node_options = NodeOptions {
        threads: run.threads.unwrap_or(defaults.threads),
        // Nobody asks for receipts of a replay, and an index of them would cost more than the blocks.
        keeper: KeeperOptions { sync_every_blocks: run.sync_every_blocks.max(1), index_envelopes: false },
        secrets: SecretSource::Seeded(seed),
    };
    let (node, opened) = Node::create_or_open(run.dir, &genesis, node_options)?;
    for note in &opened.notes {
        eprintln!("note: {note}");
    }
    let started = Instant::now();
    let mut driver = Driver::new(node, &plan);
    driver.run(plan, publishers, run.is_json)?;
    PriceReport::of(driver, subject, started.elapsed())
}
