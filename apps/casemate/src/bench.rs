//! `casemate bench`: the engine, end to end and durable, against bare verification of the same signatures.
//!
//! Each row runs in a process of its own, pinned to its cores. It makes a chain of seeded accounts that hold positions,
//! generates and signs its load, then measures in turns: bare batch verification of the load's signatures, and the
//! engine from raw bytes to durable blocks. Both use the same library, flags, longest batch and cores.
//!
//! With `--http` it measures instead what a client of the HTTP interface waits for.

mod engine;
mod http;
mod keys;
mod latency;
mod margin;
mod memory;
mod row;
mod workload;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::error::CliError;
use row::{RowPlan, RowResult};

/// Arguments of `bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    /// Fewer rows and shorter ones: under a minute.
    #[arg(long)]
    quick: bool,
    /// Prints rows as JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Runs one row only, in this process.
    #[arg(long, value_name = "NAME")]
    row: Option<String>,
    /// Seed of keys and load.
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Measures the HTTP interface on loopback instead: submissions to durable receipts, and reads meanwhile.
    #[arg(long, conflicts_with = "row")]
    http: bool,
    /// Submissions in a second, with `--http`.
    #[arg(long, default_value = "2000", requires = "http", value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// How long, with `--http`.
    #[arg(long, default_value = "10", requires = "http", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Where the folder `casemate-bench` is made, which holds the chains of the benchmark and is deleted at the end; the
    /// system's temporary folder if not given.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs the rows and prints them.
///
/// # Errors
/// What went wrong, and what to do.
pub fn run(args: &BenchArgs) -> Result<(), CliError> {
    let plans = RowPlan::all(args.quick);
    let parent = args.data.clone().unwrap_or_else(std::env::temp_dir);
    // A folder of its own: what is named may hold other things, and this one is deleted.
    let dir = parent.join(FOLDER);
    std::fs::create_dir_all(&dir).map_err(|error| cannot("create", &dir, &error))?;
    if args.http {
        let plan = http::HttpPlan {
            submissions_per_s: args.rate,
            seconds: args.seconds,
            accounts: if args.quick { 1_000 } else { 100_000 },
            seed: args.seed,
        };
        let result = http::run(plan, &dir)?;
        outln!("{}", if args.json { format!("{result:#}") } else { http_table(&result) });
        let _ = std::fs::remove_dir_all(&dir);
        return Ok(());
    }
    if let Some(name) = &args.row {
        let plan = plans.iter().find(|plan| plan.name == *name).ok_or_else(|| {
            CliError::new(
                format!("there is no row `{name}`"),
                format!("rows: {}", plans.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>().join(", ")),
            )
        })?;
        let result = row::run(plan, args.seed, &dir)?;
        outln!("{}", if args.json { result.to_string() } else { table(std::slice::from_ref(&result)) });
        return Ok(());
    }
    let started = Instant::now();
    let progress = ProgressBar::new(plans.len() as u64);
    let mut results = Vec::new();
    for plan in &plans {
        progress.set_message(plan.name.clone());
        progress.tick();
        results.push(run_in_child(plan, args, &parent)?);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let report = json!({
        "machine": machine(),
        "commit": commit(),
        "quick": args.quick,
        "elapsed_s": started.elapsed().as_secs_f64(),
        "rows": results,
    });
    if args.json {
        outln!("{report:#}");
    } else {
        out!("{}", table(&results));
        outln!("machine: {}; commit {}; {:.0} s", machine(), commit(), started.elapsed().as_secs_f64());
    }
    // The cache of keys only saves time within one run.
    let _ = std::fs::remove_dir_all(&dir);
    Ok(())
}

/// The folder that is made, used and deleted.
const FOLDER: &str = "casemate-bench";

fn run_in_child(plan: &RowPlan, args: &BenchArgs, parent: &std::path::Path) -> Result<RowResult, CliError> {
    let this = std::env::current_exe().map_err(|error| cannot("find", std::path::Path::new("this program"), &error))?;
    let mut command = Command::new(this);
    command.arg("bench").arg("--json").arg("--row").arg(&plan.name).arg("--data").arg(parent);
    command.arg("--seed").arg(args.seed.to_string());
    if args.quick {
        command.arg("--quick");
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| cannot("run", parent, &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).map_err(|error| {
        CliError::new(format!("row `{}` gave no result: {error}", plan.name), "run it alone with --row to see why")
    })
}

fn cannot(doing: &str, path: &std::path::Path, error: &std::io::Error) -> CliError {
    CliError::new(
        format!("cannot {doing} `{}`: {error}", path.display()),
        "name a folder with room and write access with --data",
    )
}

/// A row for people: the numbers that the bars are about.
fn table(results: &[Value]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_header([
        "row",
        "cores",
        "raw/s",
        "engine/s",
        "ratio",
        "commands/s/core",
        "p50 ms",
        "p99 ms",
        "fills/cmd",
        "refused",
    ]);
    for row in results {
        let number = |field: &str, digits: usize| {
            row.get(field).and_then(Value::as_f64).map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        table.add_row([
            row.get("name").and_then(Value::as_str).unwrap_or("?").to_owned(),
            number("cores", 0),
            number("raw_per_s", 0),
            number("engine_per_s", 0),
            number("ratio", 3),
            number("commands_per_s", 0),
            number("receipt_p50_ms", 1),
            number("receipt_p99_ms", 1),
            number("fills_per_command", 3),
            number("refused_share", 4),
        ]);
    }
    format!("{table}\n")
}

/// Times over HTTP for people.
fn http_table(result: &Value) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_header(["what", "count", "p50 ms", "p99 ms"]);
    let kinds = [("submit", "submissions"), ("account", "account_reads"), ("markets", "markets_reads")];
    for (kind, count) in kinds.into_iter().chain([("book", "book_reads")]) {
        let ms = |name: &str| {
            let value = result.get(format!("{kind}_{name}_ms")).and_then(Value::as_f64);
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
        };
        let count = result.get(count).map_or_else(|| "-".to_owned(), ToString::to_string);
        table.add_row([kind.to_owned(), count, ms("p50"), ms("p99")]);
    }
    table.to_string()
}

/// The processor and its cores, as the operating system names them.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |key: &str| {
        let found = info.lines().find(|line| line.starts_with(key));
        found.and_then(|line| line.split(':').nth(1)).map_or("unknown", str::trim).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{} family {} model {}, {cores} cores", line("model name"), line("cpu family"), line("model\t"))
}

fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output
        .map_or_else(|_error| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
