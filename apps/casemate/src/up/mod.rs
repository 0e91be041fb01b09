//! `casemate up`: a development venue with everybody who makes one, in one process, and a page to look at it.
//!
//! Three markets in two segments on margin; five publishers, attestors, officers, backstops, market makers and a crowd that
//! trades and hedges on leverage. All of them are clients: what they want is signed with their own keys and handed to the
//! same sequencer as everybody's envelopes. They see only prices that have been and the durable chain, and remember
//! nothing else, so a folder that was left goes on where it was.
//!
//! ```text
//! world ─ a second of prices ─> stage ─ what participants want ─> troupe ─ signed ─> sequencer ─> receipts
//!                 clock <── block time is the second that is played ──┘
//! ```
//!
//! With `--attack` the venue is a scenario's and so are its participants ([`attack`]); the rest is the same.
//!
//! Its page shows accounts near liquidation under a pass of the venue's auditor ([`page_pass`]): the key is as public as all
//! keys of a development chain, so nothing is opened that was closed.
//!
//! Deliberately absent: any right that the participants have and a user has not.

mod attack;
mod clock;
mod page_pass;
mod plan;
mod sequenced;
mod stage;
mod troupe;
mod world;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use casemate_node::genesis_file;
use casemate_node::solo::SoloOptions;
use casemate_node::{Node, NodeOptions};
use casemate_protocol::genesis::Genesis;
use serde_json::json;

use crate::error::CliError;
use crate::node::serving::{Face, ServedNode};
use crate::node::{Output, bind, closed_json, opened_json, stop_signals, tell};
use clock::StageClock;
use plan::Plan;
use troupe::Troupe;
use world::World;

/// Arguments of `up`.
#[derive(clap::Args, Debug)]
pub struct UpArgs {
    /// Folder of the chain: made if it is not there, continued if it is. `casemate-up` if not given; an attack has one of
    /// its own, such as `casemate-up-attack-s4`, and is not continued.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Serves the page, HTTP and WebSocket here; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// What prices and participants are drawn from; 1 for a new folder, and what the folder has for an old one. With
    /// `--attack`: how its numbers vary, 0 for as they are stated.
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds of the venue that pass in one of yours.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    speed: u32,
    /// One-minute candles (CSV, plain or zstd) that the first market follows, instead of the generator.
    #[arg(long, value_name = "FILE", conflicts_with = "attack")]
    prices: Option<PathBuf>,
    #[command(flatten)]
    attack: attack::AttackArgs,
}

/// Runs the venue until it is told to stop.
///
/// # Errors
/// What went wrong, and what to do.
pub fn run(args: &UpArgs) -> Result<(), CliError> {
    if let Some(name) = &args.attack.attack {
        return attack::run(args, name);
    }
    let is_told_to_stop = stop_signals()?;
    // Before anything is written: a port in use is known at once.
    let listener = bind(args.listen, Some(ELSEWHERE))?;
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
    let found = found_genesis(&folder)?;
    if let Some(found) = &found {
        attack::require_none(&folder, found)?;
    }
    let plan = Plan::new(args.seed, args.prices.as_deref(), found.as_ref())?;
    let genesis = plan.genesis()?;
    require_own_chain(&folder, found.as_ref(), &genesis)?;
    let mut output = Output::new();
    let node = open(&folder, &genesis, &mut output)?;

    let begins_at = node.replica().ledger().chain().time_ms;
    let world = World::new(&plan, &genesis, begins_at.ms())?;
    let clock = StageClock::new(begins_at);
    let served = serve(node, clock.clone(), listener, &genesis)?;
    let is_stopping = Arc::new(AtomicBool::new(false));
    let troupe = Troupe { plan, genesis, world, clock, submitter: served.submitter(), questions: served.questions() };
    let playing = troupe.start(args.speed, Arc::clone(&is_stopping))?;

    let address = tell_address(&served, &mut output)?;
    eprintln!(
        "open http://{address}/ to look; {} seconds pass in one; Ctrl-C ends, the same command continues",
        args.speed
    );
    while !is_told_to_stop.load(Ordering::Relaxed) && !served.has_ended() && !playing.is_finished() {
        std::thread::sleep(STOP_CHECK_EVERY);
    }
    is_stopping.store(true, Ordering::Relaxed);
    // Participants first, so that the node ends with nothing half said; then the node, whose failure explains theirs.
    let played = playing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let closed = served.stop()?;
    played?;
    output.write(&closed_json(&closed))?;
    output.flush()
}

/// Makes or opens the node, and says what it is.
fn open(folder: &Path, genesis: &Genesis, output: &mut Output) -> Result<Node, CliError> {
    let (node, opened) = Node::create_or_open(folder, genesis, NodeOptions::default())?;
    tell(&opened);
    crate::genesis::banner(genesis);
    output.write(&opened_json(&node, &opened))?;
    output.flush()?;
    Ok(node)
}

/// Puts the node behind its sequencer and the page.
fn serve(node: Node, clock: StageClock, listener: TcpListener, genesis: &Genesis) -> Result<ServedNode, CliError> {
    let options = SoloOptions { on_note: |note| eprintln!("note: {note}"), ..SoloOptions::default() };
    let face = Face { page_pass: page_pass::of(genesis), ..Face::default() };
    ServedNode::start(node, options, clock, listener, face)
}

fn tell_address(served: &ServedNode, output: &mut Output) -> Result<SocketAddr, CliError> {
    let address = served.address();
    output.write(&json!({ "listening": { "address": address.to_string() } }))?;
    output.flush()?;
    Ok(address)
}

/// Genesis of the chain in a folder, if there is one.
fn found_genesis(folder: &Path) -> Result<Option<Genesis>, CliError> {
    let file = folder.join("genesis.toml");
    if !file.exists() {
        return Ok(None);
    }
    genesis_file::read(&file).map(Some).map_err(|error| crate::genesis::file_error(&error))
}

/// A folder goes on only with the options that it was made with.
fn require_own_chain(folder: &Path, found: Option<&Genesis>, wanted: &Genesis) -> Result<(), CliError> {
    let Some(found) = found.filter(|found| found.chain_id() != wanted.chain_id()) else { return Ok(()) };
    let name = |genesis: &Genesis| String::from_utf8_lossy(genesis.name.as_slice()).into_owned();
    Err(CliError::new(
        format!(
            "`{}` holds another chain: `{}`, and these options make `{}`",
            folder.display(),
            name(found),
            name(wanted)
        ),
        "name another folder with --folder, or the --seed and --prices that this one was made with; nothing was changed",
    ))
}

/// What to do about an address that other machines reach.
const ELSEWHERE: &str =
    "listen on an address of this machine alone, such as 127.0.0.1:8080, with a proxy in front if others are to look";
/// The folder where none is named.
const FOLDER: &str = "casemate-up";
const STOP_CHECK_EVERY: Duration = Duration::from_millis(50);
