//! `casemate breakers`, `casemate propose` and `casemate approve`: what holds a segment back, and how officers let it go.

use std::path::PathBuf;

use casemate_node::development_keys::{governor_key, public_key, public_key_text, read_key_file, risk_officer_key};
use casemate_node::genesis_file::DEVELOPMENT_SEED;
use casemate_protocol::command::{Approve, Change, LeaveBreaker, Propose};
use casemate_protocol::{BreakerState, Command, ProposalNumber, SegmentId, TimeMs};
use clap::ValueEnum;
use ed25519_zebra::SigningKey;
use serde_json::Value;

use super::http::Http;
use super::signing::{Identity, account_of_key, now_ms};
use super::{NodeUrl, rows, show_receipt, show_receipt_and, table, text};
use crate::error::CliError;

/// Arguments of `breakers`.
#[derive(clap::Args, Debug)]
pub struct BreakersArgs {
    #[command(flatten)]
    node: NodeUrl,
}

/// Arguments of `propose`.
#[derive(clap::Args, Debug)]
pub struct ProposeArgs {
    /// The segment whose breaker is to move.
    #[arg(long)]
    segment: u16,
    /// The looser state.
    #[arg(long)]
    to: LooserState,
    /// Minutes of block time until nothing comes of it any more.
    #[arg(long, default_value = "60")]
    minutes: u64,
    #[command(flatten)]
    officer: OfficerArgs,
    #[command(flatten)]
    node: NodeUrl,
}

/// Arguments of `approve`.
#[derive(clap::Args, Debug)]
pub struct ApproveArgs {
    /// The proposal's segment.
    #[arg(long)]
    segment: u16,
    /// The proposal's number there.
    #[arg(long)]
    number: u64,
    #[command(flatten)]
    officer: OfficerArgs,
    #[command(flatten)]
    node: NodeUrl,
}

/// Who decides.
#[derive(clap::Args, Debug)]
pub struct OfficerArgs {
    /// File of the officer's root key. Without it, on a development chain, the next officer who has not approved signs.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Which officer of a development chain signs, from 1.
    #[arg(long, conflicts_with = "key")]
    officer: Option<u64>,
}

/// A state that a breaker can be loosened to.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LooserState {
    /// Everything that the rules allow.
    Normal,
    /// Limits halved.
    Elevated,
    /// Reductions only.
    ReduceOnly,
    /// Nothing leaves.
    WithdrawGated,
}

/// Runs `breakers`.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run(args: &BreakersArgs) -> Result<(), CliError> {
    let breakers = args.node.connect()?.get("/v1/breakers")?;
    if args.node.json {
        outln!("{breakers:#}");
        return Ok(());
    }
    let mut shown = table(["segment", "state", "cause", "for", "stays at least", "clear for", "may leave"]);
    for row in rows(&breakers, "breakers") {
        let breaker = &row["breaker"];
        shown.add_row([
            text(&row["segment"]),
            text(&breaker["state"]),
            breaker["cause"].as_str().unwrap_or("-").to_owned(),
            seconds(&breaker["since_ms"]),
            seconds(&breaker["cooldown_left_ms"]),
            seconds(&breaker["clear_for_ms"]),
            text(&breaker["may_leave"]),
        ]);
    }
    outln!("{shown}");
    for row in rows(&breakers, "breakers") {
        for proposal in rows(row, "proposals") {
            let operators: Vec<String> = rows(proposal, "approvals").map(text).collect();
            let leave = &proposal["change"]["leave_breaker"];
            outln!(
                "proposal {} of segment {}: from {} to {}, approved by operators {}, due in {}",
                proposal["number"],
                row["segment"],
                text(&leave["from"]),
                text(&leave["to"]),
                operators.join(", "),
                seconds(&proposal["due_in_ms"]),
            );
        }
    }
    for moved in rows(&breakers, "moves") {
        outln!(
            "block {}: segment {} from {} to {}: {} ({})",
            moved["height"],
            moved["segment"],
            text(&moved["from"]),
            text(&moved["to"]),
            text(&moved["cause"]),
            text(&moved["figure"]),
        );
    }
    Ok(())
}

fn seconds(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |ms| format!("{}.{:01} s", ms / 1_000, ms % 1_000 / 100))
}

/// Runs `propose`.
///
/// # Errors
/// The breaker's present state is not stricter, or the node's refusal.
pub fn propose(args: &ProposeArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let row = breaker(&http, args.segment)?;
    let from = state_of(&row["breaker"]["state"])?;
    let identity = args.officer.identity(&http, from, &Value::Null)?;
    let expires_ms = now_ms(&http)?.saturating_add(args.minutes.saturating_mul(60_000));
    let propose = Propose {
        segment: SegmentId::new(args.segment),
        change: Change::LeaveBreaker(LeaveBreaker { from, to: args.to.into() }),
        expires_ms: TimeMs::from_ms(expires_ms),
    };
    let receipt = identity.submit(&http, Command::Propose(Box::new(propose)))?;
    let newest = || {
        let row = breaker(&http, args.segment)?;
        let number = rows(&row, "proposals").last().map(|proposal| proposal["number"].clone());
        Ok(number.unwrap_or_default())
    };
    let number = show_receipt_and(&receipt, args.node.json, "proposal", newest)?;
    if !args.node.json && !number.is_null() {
        outln!("proposal {number} of segment {}; approve it with `casemate approve`", args.segment);
    }
    Ok(())
}

/// Runs `approve`.
///
/// # Errors
/// The node's refusal, or no node.
pub fn approve(args: &ApproveArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let row = breaker(&http, args.segment)?;
    let missing = || {
        CliError::new(
            format!("segment `{}` has no open proposal `{}`", args.segment, args.number),
            "list them with `casemate breakers`",
        )
    };
    let proposal = rows(&row, "proposals").find(|proposal| proposal["number"] == args.number).ok_or_else(missing)?;
    let from = state_of(&proposal["change"]["leave_breaker"]["from"])?;
    let identity = args.officer.identity(&http, from, &proposal["approvals"])?;
    let approve = Approve { segment: SegmentId::new(args.segment), number: ProposalNumber::new(args.number) };
    show_receipt(&identity.submit(&http, Command::Approve(approve))?, args.node.json)
}

fn breaker(http: &Http, segment: u16) -> Result<Value, CliError> {
    let breakers = http.get("/v1/breakers")?;
    let found = rows(&breakers, "breakers").find(|row| row["segment"] == segment).cloned();
    found.ok_or_else(|| {
        CliError::new(format!("segment `{segment}` has no breaker"), "list them with `casemate breakers`")
    })
}

fn state_of(word: &Value) -> Result<BreakerState, CliError> {
    let state = match word.as_str() {
        Some("normal") => BreakerState::Normal,
        Some("elevated") => BreakerState::Elevated,
        Some("reduce_only") => BreakerState::ReduceOnly,
        Some("withdraw_gated") => BreakerState::WithdrawGated,
        Some("halted") => BreakerState::Halted,
        _ => return Err(CliError::defect(format!("the node names the unknown state {word}"))),
    };
    Ok(state)
}

impl From<LooserState> for BreakerState {
    fn from(state: LooserState) -> Self {
        match state {
            LooserState::Normal => Self::Normal,
            LooserState::Elevated => Self::Elevated,
            LooserState::ReduceOnly => Self::ReduceOnly,
            LooserState::WithdrawGated => Self::WithdrawGated,
        }
    }
}

impl OfficerArgs {
    /// The officer who signs: leaving Halted is for governors, everything else for risk officers.
    fn identity(&self, http: &Http, from: BreakerState, approvals: &Value) -> Result<Identity, CliError> {
        let (key, account) = match &self.key {
            Some(file) => {
                let key = read_key_file(file)?;
                let account = account_of_key(http, &public_key(&key))?;
                (key, account)
            }
            None => self.development_officer(http, from, approvals)?,
        };
        Identity::of(key, &http.get(&format!("/v1/accounts/{account}"))?)
    }

    fn development_officer(
        &self,
        http: &Http,
        from: BreakerState,
        approvals: &Value,
    ) -> Result<(SigningKey, u64), CliError> {
        let chain = http.get("/v1/chain")?;
        let (role, derive): (_, fn(&[u8; 32], u64) -> SigningKey) = match from {
            BreakerState::Halted => ("governor", governor_key),
            _ => ("risk_officer", risk_officer_key),
        };
        let officers: Vec<&Value> = rows(&chain, "principals").filter(|principal| principal["role"] == role).collect();
        let has_approved = |officer: &Value| approvals.as_array().is_some_and(|all| all.contains(&officer["operator"]));
        let place = match self.officer {
            Some(number) => usize::try_from(number).ok().and_then(|number| number.checked_sub(1)),
            None => officers.iter().position(|officer| !has_approved(officer)),
        };
        let place = place.filter(|place| *place < officers.len()).ok_or_else(|| {
            CliError::new(format!("there is no such {role} left of `{}`", officers.len()), "name one with --officer")
        })?;
        let key = derive(&DEVELOPMENT_SEED, u64::try_from(place).unwrap_or(u64::MAX));
        if officers[place]["root_key"] != public_key_text(&public_key(&key)) {
            return Err(CliError::new(
                format!("the {role}s of this chain have keys of their own"),
                "sign with --key and the officer's key file",
            ));
        }
        Ok((key, officers[place]["account"].as_u64().unwrap_or_default()))
    }
}
