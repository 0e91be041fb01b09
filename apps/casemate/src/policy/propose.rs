//! `casemate policy propose` and `casemate policy show`: policies of a running venue.

use std::path::PathBuf;

use casemate_ledger::VENUE_SEGMENT;
use casemate_policy_cedar::PolicyFolder;
use casemate_policy_cedar::analysis;
use casemate_protocol::command::{AdoptPolicies, Change, Propose};
use casemate_protocol::{Command, PolicyEpoch, TimeMs};
use serde_json::Value;

use super::review::{self, Told};
use super::{compiled, diff};
use crate::client::breakers::newest_proposal;
use crate::client::officers::{Office, OfficerArgs};
use crate::client::signing::now_ms;
use crate::client::{NodeUrl, rows, show_receipt_and, text};
use crate::error::CliError;

/// Arguments of `policy propose`.
#[derive(clap::Args, Debug)]
pub struct ProposeArgs {
    /// Folder with the policies as they would be.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Minutes of block time in which it can be voted on.
    #[arg(long, default_value = "60")]
    minutes: u64,
    #[command(flatten)]
    officer: OfficerArgs,
    #[command(flatten)]
    node: NodeUrl,
}

/// Arguments of `policy show`.
#[derive(clap::Args, Debug)]
pub struct ShowArgs {
    /// Writes the files into this folder, which must be new.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    node: NodeUrl,
}

/// Runs `policy propose`: checks the set, classes the change against what is in force, and signs.
///
/// # Errors
/// What is wrong with a file; a property that does not hold; nothing changes; the node's refusal.
pub fn propose(args: &ProposeArgs) -> Result<(), CliError> {
    let (policies, decider) = compiled(&args.folder)?;
    require_every_property(&policies)?;
    let set = super::texts_in(&args.folder)?;
    let http = args.node.connect()?;
    let told = http.get("/v1/policy")?;
    let old = review::compiled(&told)?;
    let new = Told { policies: Some(policies), table: decider.table().clone() };
    let difference = review::difference(&old, &new)?;
    if told["set"] == set.digest().to_string() {
        return Err(CliError::new("the folder is what is in force", "change something"));
    }
    if !args.node.json {
        diff::show(&difference);
    }
    let is_tightening = difference.class.is_tightening();
    let identity = args.officer.identity(&http, Office::of_policies(is_tightening), &Value::Null)?;
    let epoch = told["epoch"].as_u64().and_then(|epoch| u32::try_from(epoch).ok());
    let adopt = AdoptPolicies {
        old_epoch: PolicyEpoch::new(epoch.ok_or_else(|| CliError::defect("the node names no epoch"))?),
        set,
        table: new.table.digest(),
        is_tightening,
    };
    let expires_ms = now_ms(&http)?.saturating_add(args.minutes.saturating_mul(60_000));
    let propose = Propose {
        segment: VENUE_SEGMENT,
        change: Change::AdoptPolicies(Box::new(adopt)),
        expires_ms: TimeMs::from_ms(expires_ms),
    };
    let receipt = identity.submit(&http, Command::Propose(Box::new(propose)))?;
    let newest = || newest_proposal(&http, VENUE_SEGMENT.number());
    let number = show_receipt_and(&receipt, args.node.json, "proposal", newest)?;
    if !args.node.json && !number.is_null() {
        let office = if is_tightening { "risk officers" } else { "governors" };
        outln!("proposal {number} of segment {VENUE_SEGMENT}, for {office}; approve it with `casemate approve`");
    }
    Ok(())
}

fn require_every_property(policies: &casemate_policy_cedar::Policies) -> Result<(), CliError> {
    let reports = analysis::check(policies).map_err(|error| CliError::new(error.to_string(), error.hint()))?;
    let failing: Vec<&str> = reports.iter().filter(|report| !report.holds).map(|report| report.name).collect();
    if failing.is_empty() {
        return Ok(());
    }
    Err(CliError::new(
        format!("does not hold: {}", failing.join(", ")),
        "read the counterexamples of `casemate policy check`: a set that fails is not proposed",
    ))
}

/// Runs `policy show`.
///
/// # Errors
/// No node, or a folder that cannot be written.
pub fn show(args: &ShowArgs) -> Result<(), CliError> {
    let told = args.node.connect()?.get("/v1/policy")?;
    if let Some(folder) = &args.out {
        write(folder, &told)?;
    }
    if args.node.json {
        outln!("{told:#}");
        return Ok(());
    }
    outln!("epoch    {}", told["epoch"]);
    outln!("set      {}", text(&told["set"]));
    outln!("table    {} of {} cells", text(&told["table"]), told["cells"]);
    let files: Vec<String> = rows(&told, "files").map(|file| text(&file["name"])).collect();
    outln!("files    {}", if files.is_empty() { "none: the built-in table".to_owned() } else { files.join(", ") });
    Ok(())
}

fn write(folder: &std::path::Path, told: &Value) -> Result<(), CliError> {
    let texts = PolicyFolder::of_set(&review::set_of(told)?).map_err(|error| super::refused(folder, &error))?;
    // A name comes from the chain, where it is only bytes: it must not lead out of the folder.
    let leads_elsewhere = |name: &&String| name.contains(['/', '\\']) || name.starts_with('.');
    if let Some(name) = texts.files.keys().find(leads_elsewhere) {
        let message = format!("the venue has a policy file `{name}`, whose name leads out of the folder");
        return Err(CliError::new(message, "look at it with --json; nothing was written"));
    }
    std::fs::create_dir(folder).map_err(|error| CliError::io("create", folder, &error))?;
    let schema = [("schema.cedarschema".to_owned(), texts.schema)];
    for (name, text) in texts.files.into_iter().chain(schema) {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| CliError::io("write", &path, &error))?;
    }
    Ok(())
}
