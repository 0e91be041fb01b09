//! `casemate breakers` and `casemate propose`: what holds a segment back, and how officers let it go.

use casemate_protocol::command::{Change, LeaveBreaker, Propose};
use casemate_protocol::{BreakerState, Command, SegmentId, TimeMs};
use clap::ValueEnum;
use serde_json::Value;

use super::http::Http;
use super::officers::{Office, OfficerArgs};
use super::signing::now_ms;
use super::{NodeUrl, rows, show_receipt_and, table, text};
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
            outln!(
                "proposal {} of segment {}: {}, approved by operators {}, due in {}",
                proposal["number"],
                row["segment"],
                change_in_words(&proposal["change"]),
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

fn change_in_words(change: &Value) -> String {
    let (leave, adopt) = (&change["leave_breaker"], &change["adopt_policies"]);
    if adopt.is_null() {
        return format!("from {} to {}", text(&leave["from"]), text(&leave["to"]));
    }
    let class = if adopt["is_tightening"] == true { "tightening" } else { "loosening" };
    format!("policies after epoch {}, {class}, {} files", adopt["old_epoch"], rows(adopt, "files").count())
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
    let identity = args.officer.identity(&http, Office::to_leave(from), &Value::Null)?;
    let expires_ms = now_ms(&http)?.saturating_add(args.minutes.saturating_mul(60_000));
    let propose = Propose {
        segment: SegmentId::new(args.segment),
        change: Change::LeaveBreaker(LeaveBreaker { from, to: args.to.into() }),
        expires_ms: TimeMs::from_ms(expires_ms),
    };
    let receipt = identity.submit(&http, Command::Propose(Box::new(propose)))?;
    let newest = || newest_proposal(&http, args.segment);
    let number = show_receipt_and(&receipt, args.node.json, "proposal", newest)?;
    if !args.node.json && !number.is_null() {
        outln!("proposal {number} of segment {}; approve it with `casemate approve`", args.segment);
    }
    Ok(())
}

/// Number of a segment's newest proposal; null if there is none.
///
/// # Errors
/// The segment has no breaker, or no node.
pub fn newest_proposal(http: &Http, segment: u16) -> Result<Value, CliError> {
    let row = breaker(http, segment)?;
    let number = rows(&row, "proposals").last().map(|proposal| proposal["number"].clone());
    Ok(number.unwrap_or_default())
}

/// A segment's breaker and proposals, as the node shows them.
pub(super) fn breaker(http: &Http, segment: u16) -> Result<Value, CliError> {
    let breakers = http.get("/v1/breakers")?;
    let found = rows(&breakers, "breakers").find(|row| row["segment"] == segment).cloned();
    found.ok_or_else(|| {
        CliError::new(format!("segment `{segment}` has no breaker"), "list them with `casemate breakers`")
    })
}

pub(super) fn state_of(word: &Value) -> Result<BreakerState, CliError> {
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
