//! `casemate policy check`.

use std::path::PathBuf;

use casemate_policy_cedar::analysis::{self, PropertyReport};
use casemate_policy_cedar::{CedarDecider, Policies, describe_amount};
use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::{Value, json};

use super::read;
use crate::error::CliError;

/// Arguments of `policy check`.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// Folder with policy files and their schema.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `policy check`.
///
/// # Errors
/// What is wrong with a file, that the solver is missing, or which properties do not hold.
pub fn run(args: &CheckArgs) -> Result<(), CliError> {
    let policies = read(&args.folder)?;
    let reports = analysis::check(&policies).map_err(|error| CliError::new(error.to_string(), error.hint()))?;
    let decider = CedarDecider::new(&policies).ok();
    if args.json {
        outln!("{:#}", as_json(&policies, decider.as_ref(), &reports));
    } else {
        show(&policies, decider.as_ref(), &reports);
    }
    let failing: Vec<&str> = reports.iter().filter(|report| !report.holds).map(|report| report.name).collect();
    if failing.is_empty() {
        return Ok(());
    }
    Err(CliError::new(
        format!("does not hold: {}", failing.join(", ")),
        "read the counterexamples: each is a request that this set answers as it must not",
    ))
}

fn as_json(policies: &Policies, decider: Option<&CedarDecider>, reports: &[PropertyReport]) -> Value {
    let properties = reports.iter().map(|report| {
        json!({
            "name": report.name,
            "meaning": report.meaning,
            "method": report.method.name(),
            "holds": report.holds,
            "counterexample": report.counterexample,
        })
    });
    let table = decider.map(|decider| {
        let table = decider.table();
        let borders = table.borders().iter().map(|border| border.micros().to_string());
        json!({
            "digest": table.digest().to_string(),
            "cells": table.cells_count(),
            "amount_borders_micros": borders.collect::<Vec<_>>(),
        })
    });
    json!({
        "policies": policies.policies().len(),
        "slow_policies": policies.policies().iter().filter(|policy| policy.is_slow()).count(),
        "table": table,
        "properties": properties.collect::<Vec<_>>(),
    })
}

fn show(policies: &Policies, decider: Option<&CedarDecider>, reports: &[PropertyReport]) {
    let slow = policies.policies().iter().filter(|policy| policy.is_slow()).count();
    outln!("{} policies, {slow} of them on the slow path", policies.policies().len());
    if let Some(decider) = decider {
        let table = decider.table();
        let borders: Vec<String> = table.borders().iter().map(|border| describe_amount(*border)).collect();
        outln!("table    {} of {} cells", table.digest(), table.cells_count());
        outln!("amounts  parted at {}", if borders.is_empty() { "nothing".to_owned() } else { borders.join(", ") });
    }
    let mut shown = Table::new();
    shown.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    shown.set_header(["property", "", "by", "what it says"]);
    for report in reports {
        let verdict = if report.holds { "holds" } else { "FAILS" };
        shown.add_row([report.name, verdict, report.method.name(), report.meaning]);
    }
    outln!("{shown}");
    for report in reports {
        if let Some(counterexample) = &report.counterexample {
            outln!("{}: {counterexample}", report.name);
        }
    }
}
