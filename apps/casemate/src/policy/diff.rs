//! `casemate policy diff`.

use std::path::PathBuf;

use casemate_policy_cedar::{DifferenceGroup, PolicyDifference, describe, differences};
use casemate_protocol::policy::{ChangeClass, PolicyKind};
use serde_json::{Value, json};

use super::{compiled, tier_in_words};
use crate::error::CliError;

/// Arguments of `policy diff`.
#[derive(clap::Args, Debug)]
pub struct DiffArgs {
    /// Folder with the policies as they are.
    old: PathBuf,
    /// Folder with the policies as they would be.
    new: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `policy diff`.
///
/// # Errors
/// What is wrong with a file, or why a set does not compile.
pub fn run(args: &DiffArgs) -> Result<(), CliError> {
    let (old, old_decider) = compiled(&args.old)?;
    let (new, new_decider) = compiled(&args.new)?;
    let difference = differences((old.policies(), old_decider.table()), (new.policies(), new_decider.table()))
        .map_err(|error| super::refused(&args.new, &error))?;
    if args.json {
        outln!("{:#}", as_json(&difference));
    } else {
        show(&difference);
    }
    Ok(())
}

fn as_json(difference: &PolicyDifference) -> Value {
    let groups = difference.groups.iter().map(|group| {
        json!({
            "action": group.action.name(),
            "change": if group.tightens { "tightening" } else { "loosening" },
            "old_tier": group.old.map(|tier| tier.number()),
            "new_tier": group.new.map(|tier| tier.number()),
            "cells": group.cells_count,
            "kinds": group.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
            "example": describe(&group.example),
            "example_tier": group.example_tier.number(),
        })
    });
    let rules = |rules: &[(String, bool)]| {
        rules.iter().map(|(id, is_forbid)| json!({ "id": id, "forbids": is_forbid })).collect::<Vec<_>>()
    };
    json!({
        "class": difference.class.name(),
        "differences": groups.collect::<Vec<_>>(),
        "slow_added": rules(&difference.slow_added),
        "slow_removed": rules(&difference.slow_removed),
    })
}

/// Shows a change to people.
pub(super) fn show(difference: &PolicyDifference) {
    let meaning = match difference.class {
        ChangeClass::Same => "no request is answered differently",
        ChangeClass::Tightening => "nothing is easier than before",
        ChangeClass::Loosening => "it waits as long as loosenings do",
        ChangeClass::Both => "it waits as long as loosenings do; split it to have what tightens at once",
    };
    outln!("{}: {meaning}", difference.class.name());
    difference.groups.iter().for_each(show_group);
    for (rules, sign) in [(&difference.slow_added, '+'), (&difference.slow_removed, '-')] {
        for (id, is_forbid) in rules {
            outln!("{sign} slow path: `{id}`, {}", if *is_forbid { "a forbid" } else { "a permit" });
        }
    }
}

fn show_group(group: &DifferenceGroup) {
    let (old, new) = (tier_in_words(group.old), tier_in_words(group.new));
    let kinds: Vec<&str> = group.kinds.iter().map(|kind| kind.name()).collect();
    let is_everybody = kinds.len() + 1 >= PolicyKind::ALL.len();
    let kinds = if is_everybody { "everybody".to_owned() } else { kinds.join(", ") };
    let change = if group.tightens { "tightened" } else { "loosened" };
    outln!("{} {change} from {old} to {new} in {} cells, for {kinds}", group.action.name(), group.cells_count);
    let (before, after) = if group.tightens { ("permitted", "refused") } else { ("refused", "permitted") };
    let tier = tier_in_words(Some(group.example_tier));
    outln!("  for example: {}, tier {tier}: was {before}, would be {after}", describe(&group.example));
}
