//! `casemate replay`: recorded order flow through the engine, as signed commands of ordinary accounts; or recorded prices,
//! see [`crate::price_replay`], or scenarios, see [`crate::scenario_replay`].
//!
//! Every order of the file becomes a signed envelope with one command, passes the gate, is matched, recorded and made
//! durable; then what the engine filled is held against what the record says, order by order. The same file, seed and
//! number of accounts give the same final root on every run, also when the run was killed and started again.

mod driver;
mod report;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Instant;

use casemate_node::genesis_file::order_replay_genesis;
use casemate_node::keeper::KeeperOptions;
use casemate_node::{Node, NodeOptions, SecretSource};
use casemate_protocol::hash::{self, Domain};

use crate::error::CliError;
use crate::order_flow::comparison::Comparison;
use crate::order_flow::plan::Plan;
use crate::order_flow::{recorded_book::RecordedBook, rows};
use crate::price_replay::{self, PriceOptions, RunOptions};
use crate::scenario_replay::{self, Shown};
use driver::Driver;
use report::ReplayReport;

/// Arguments of `replay`.
#[derive(clap::Args, Debug)]
pub struct ReplayArgs {
    /// Level-3 order events as CSV, plain or zstd.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["prices", "scenario"])]
    orders: Option<PathBuf>,
    /// One-minute candles as CSV, plain or zstd: twelve columns as Binance has them, or the first six.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["orders", "scenario"])]
    prices: Option<PathBuf>,
    #[command(flatten)]
    price_options: PriceOptions,
    /// A scenario, or a folder of them: incidents of other venues.
    #[arg(long, value_name = "PATH", conflicts_with = "orders")]
    scenario: Option<PathBuf>,
    /// Prints the scenarios' table of controls as the documentation has it.
    #[arg(long, requires = "scenario", conflicts_with_all = ["json", "orders", "prices"])]
    markdown: bool,
    /// Accounts that the orders are spread over, or traders of the crowd.
    #[arg(long, default_value = "1000", conflicts_with = "scenario")]
    accounts: NonZeroU64,
    /// What is drawn. With `--orders`: account keys, ownership of orders, seal secrets. With `--prices`: keys, prices inside
    /// each minute, and what everybody does. With `--scenario`: how its numbers vary, 0 for as they are stated.
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Folder of the node; a run that was killed continues here. Without it, a temporary folder is used.
    #[arg(long, value_name = "DIR", conflicts_with = "scenario")]
    data: Option<PathBuf>,
    /// Threads for signatures and hashing.
    #[arg(long)]
    threads: Option<usize>,
    /// Blocks between two syncs of the journal.
    #[arg(long, default_value = "1000", conflicts_with = "scenario")]
    sync_every_blocks: u64,
    /// Prints the report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// Runs the replay and prints its report.
///
/// # Errors
/// What went wrong, and what to do.
pub fn run(args: &ReplayArgs) -> Result<(), CliError> {
    if let Some(path) = &args.scenario {
        let shown = match (args.json, args.markdown) {
            (true, _) => Shown::Json,
            (false, true) => Shown::Markdown,
            (false, false) => Shown::Text,
        };
        return scenario_replay::run(path, args.seed, args.threads, shown);
    }
    let temporary = TemporaryFolder::unless(args.data.as_deref())?;
    let dir = args.data.as_deref().unwrap_or(&temporary.0);
    match (&args.prices, &args.orders) {
        (Some(prices), _) => price_replay::run(prices, &args.price_options, &args.run_options(dir)),
        (None, Some(orders)) => run_orders(orders, args, dir),
        (None, None) => Err(CliError::new(
            "nothing to replay was named",
            "name a file with --orders or --prices, or scenarios with --scenario",
        )),
    }
}

impl ReplayArgs {
    const fn run_options<'a>(&self, dir: &'a Path) -> RunOptions<'a> {
        RunOptions {
            accounts: self.accounts.get(),
            seed: self.seed,
            dir,
            threads: self.threads,
            sync_every_blocks: self.sync_every_blocks,
            is_json: self.json,
        }
    }
}

fn run_orders(orders: &Path, args: &ReplayArgs, dir: &Path) -> Result<(), CliError> {
    let rows = read_rows(orders)?;
    let plan = Plan::of(&rows);
    let seed = hash::digest(Domain::Development, &[b"replay", &args.seed.to_le_bytes()]).0;
    let genesis = order_replay_genesis(args.accounts.get(), seed)
        .map_err(|error| CliError::new(error.to_string(), "choose another number of accounts"))?;
    let defaults = NodeOptions::default();
    let options = NodeOptions {
        threads: args.threads.unwrap_or(defaults.threads),
        keeper: KeeperOptions { sync_every_blocks: args.sync_every_blocks.max(1), index_envelopes: true },
        secrets: SecretSource::Seeded(seed),
    };
    let (node, opened) = Node::create_or_open(dir, &genesis, options)?;
    for note in &opened.notes {
        eprintln!("note: {note}");
    }
    let comparison = Comparison::new(&plan);
    let started = Instant::now();
    let mut driver = Driver::new(node, &plan, comparison, seed, args.accounts);
    driver.run(&rows, RecordedBook::opening(&plan), args.json)?;
    let report = ReplayReport::of(driver, started.elapsed())?;
    if args.json {
        outln!("{}", report.json());
    } else {
        out!("{report}");
    }
    Ok(())
}

fn read_rows(path: &Path) -> Result<Vec<rows::Row>, CliError> {
    let fail = |error: rows::OrderFileError| CliError::new(error.to_string(), error.hint());
    rows::read(path).map_err(fail)
}

/// A folder that goes away with the run, if the user named none.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn unless(named: Option<&Path>) -> Result<Self, CliError> {
        if named.is_some() {
            return Ok(Self(PathBuf::new()));
        }
        let dir = std::env::temp_dir().join(format!("casemate-replay-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|error| {
            CliError::new(
                format!("cannot create `{}`: {error}", dir.display()),
                "name a folder with --data, or set TMPDIR to one that can be written",
            )
        })?;
        Ok(Self(dir))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // What cannot be deleted stays in the temporary folder; nothing depends on it.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
