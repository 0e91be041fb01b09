//! `casemate conduct evaluate`: how well the detectors of conduct do, on recorded pumps that somebody labelled, on recorded
//! order flow with manipulation injected into it, and on recorded days without any.
//!
//! Three kinds of data, and each proves something else. The labels of pumps are real, and their trades name no account.
//! Injected manipulation has labels because it was put there: recall on it is recall on what the injector does
//! ([`injection`], `docs/conduct.md`). Recorded flow has no labels at all: who is alerted in it counts as honest.

mod book;
mod calm;
mod injection;
mod pumps;
mod report;
mod stage;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::CliError;
use crate::order_flow::plan::Plan;
use crate::order_flow::rows;
use injection::{Kind, STRENGTHS_PERCENT};
use report::Report;
use stage::Stage;

/// What to do about conduct.
#[derive(Subcommand, Debug)]
pub enum ConductCommand {
    /// Runs the detectors over recorded and injected manipulation and says what they find and whom they touch.
    Evaluate(EvaluateArgs),
    /// Drops what is inferred about an account's links to others; again after seven days.
    Contest(crate::client::evidence::ContestArgs),
}

/// Arguments of `conduct evaluate`.
#[derive(clap::Args, Debug)]
pub struct EvaluateArgs {
    /// Folder of recorded data, with `orderbook` and `market` in it. Otherwise the variable CASEMATE_DATA, or
    /// `../shared/data`. A part whose files are not there is skipped, and says so.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What is drawn: owners of recorded orders, and when and how injected manipulation happens.
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Prints the report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// Sizes of the crowd that recorded orders are spread over. The record names no owners, so several guesses are tried.
const CROWDS: [u64; 3] = [30, 300, 3_000];
/// The crowd that manipulation is injected among.
const INJECTED_CROWD: u64 = 300;

/// Recorded order flow.
const FLOW: &str = "orderbook/bitstamp_l3/orders.csv.zst";

/// Runs a command on conduct.
///
/// # Errors
/// A file is there and cannot be read.
pub fn run(command: &ConductCommand) -> Result<(), CliError> {
    let args = match command {
        ConductCommand::Evaluate(args) => args,
        ConductCommand::Contest(args) => return crate::client::evidence::contest(args),
    };
    let named = args.data.clone().or_else(|| std::env::var_os("CASEMATE_DATA").map(PathBuf::from));
    let data = named.unwrap_or_else(|| PathBuf::from("../shared/data"));
    let report = evaluate(&data, args.seed, args.json)?;
    if args.json {
        outln!("{}", report.json());
    } else {
        out!("{report}");
    }
    Ok(())
}

fn evaluate(data: &Path, seed: u64, is_quiet: bool) -> Result<Report, CliError> {
    let mut report = Report { seed, ..Report::default() };
    let runs = pumps::FILES + CROWDS.len() + Kind::ALL.len() * STRENGTHS_PERCENT.len() + calm::MONTHS.len();
    let bar = progress_bar(runs as u64, is_quiet);
    match pumps::evaluate(&data.join(pumps::FOLDER), &bar)? {
        Some(found) => report.pumps = found,
        None => report.skip(data, pumps::FOLDER),
    }
    let flow = data.join(FLOW);
    if flow.exists() {
        let rows = rows::read(&flow).map_err(|error| CliError::new(error.to_string(), error.hint()))?;
        let plan = Plan::of(&rows);
        for crowd in CROWDS {
            report.calm_flow.push((crowd, Stage::play(&plan, crowd, seed, &[])));
            bar.inc(1);
        }
        for kind in Kind::ALL {
            for strength in STRENGTHS_PERCENT {
                let schedule = injection::schedule(kind, strength, seed, &plan);
                let played = Stage::play(&plan, INJECTED_CROWD, seed, &schedule.acts);
                report.injected.push(report::Injected::of(kind, strength, &schedule, &played));
                bar.inc(1);
            }
        }
    } else {
        report.skip(data, FLOW);
    }
    for month in &calm::MONTHS {
        match calm::evaluate(data, month)? {
            Some(found) => report.months.push(found),
            None => report.skip(data, month.file),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(report)
}

fn progress_bar(runs: u64, is_quiet: bool) -> ProgressBar {
    let bar = if is_quiet { ProgressBar::hidden() } else { ProgressBar::new(runs) };
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {elapsed} of about {duration}");
    bar.with_style(style.unwrap_or_else(|_error| ProgressStyle::default_bar()))
}
