//! `casemate policy`: what a set of policies allows, whether it has the properties that it must have, and what a change of it
//! comes to; proposing one to a running venue, and showing the one in force there.

mod check;
mod diff;
mod explain;
mod propose;
pub mod review;

use std::path::Path;

use casemate_policy_cedar::{CedarDecider, Policies, PolicyError, PolicyFolder};
use casemate_protocol::policy::{PolicySet, Tier};
use clap::Subcommand;

use crate::error::CliError;

/// What can be done with policies.
#[derive(Subcommand, Debug)]
pub enum PolicyCommand {
    /// Compiles a set and proves its properties, with a counterexample where one does not hold.
    Check(check::CheckArgs),
    /// Says whether a change tightens or loosens, with an example for each difference.
    Diff(diff::DiffArgs),
    /// Says which tier an action needs, which policies say so, and what would change it.
    Explain(explain::ExplainArgs),
    /// Proposes a set to a running venue, once every property is proved.
    Propose(propose::ProposeArgs),
    /// Shows the set that a running venue is judged by.
    Show(propose::ShowArgs),
}

/// Runs a `policy` command.
///
/// # Errors
/// What is wrong with a file, with its place; or that a property does not hold.
pub fn run(command: &PolicyCommand) -> Result<(), CliError> {
    match command {
        PolicyCommand::Check(args) => check::run(args),
        PolicyCommand::Diff(args) => diff::run(args),
        PolicyCommand::Explain(args) => explain::run(args),
        PolicyCommand::Propose(args) => propose::propose(args),
        PolicyCommand::Show(args) => propose::show(args),
    }
}

fn read(folder: &Path) -> Result<Policies, CliError> {
    Policies::read(folder).map_err(|error| refused(folder, &error))
}

fn compiled(folder: &Path) -> Result<(Policies, CedarDecider), CliError> {
    let policies = read(folder)?;
    let decider = CedarDecider::new(&policies).map_err(|error| refused(folder, &error))?;
    Ok((policies, decider))
}

/// The set of a folder that compiles, as genesis and proposals carry it.
///
/// # Errors
/// What is wrong with a file, with its place.
pub fn set_in(folder: &Path) -> Result<PolicySet, CliError> {
    compiled(folder)?;
    texts_in(folder)
}

/// The texts of a folder, for those who have compiled it.
fn texts_in(folder: &Path) -> Result<PolicySet, CliError> {
    PolicyFolder::read(folder).and_then(|texts| texts.to_set()).map_err(|error| refused(folder, &error))
}

/// The error with the whole path, so that an editor can follow it.
fn refused(folder: &Path, error: &PolicyError) -> CliError {
    let message = match &error.place {
        Some(place) => format!("{}: {}", folder.join(place.to_string()).display(), error.message),
        None => error.message.clone(),
    };
    CliError::new(message, error.hint.clone())
}

/// A tier as people read it: `2 (rooted)`, or `never`.
fn tier_in_words(least: Option<Tier>) -> String {
    least.map_or_else(|| "never".to_owned(), |tier| format!("{} ({})", tier.number(), tier.name().to_lowercase()))
}
