//! `casemate inspect`: what a data folder holds, shown only after it was checked.
//!
//! Opening the folder verifies every block behind the newest snapshot. What is shown is then proven the way a stranger
//! would check it: against the roots in a block's header, by the code that verifies proofs, from the bytes in the proof.

mod account;
mod block;
mod record;

use std::path::{Path, PathBuf};
use std::time::Duration;

use casemate_node::node::decode_block;
use casemate_node::{Node, NodeOptions};
use casemate_protocol::block::{Block, Header};
use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::error::CliError;

/// What can be shown.
#[derive(Subcommand, Debug)]
pub enum InspectCommand {
    /// A block: its header and envelopes, with roots and links checked.
    Block {
        /// Height, or `latest`.
        height: String,
        #[command(flatten)]
        at: InspectArgs,
    },
    /// A record of a verdict, opened, with proof that the log holds it.
    Record {
        /// Index in the log, from 0.
        index: u64,
        #[command(flatten)]
        at: InspectArgs,
    },
    /// An account: balances and positions, with proofs against the last block's state root.
    Account {
        /// The account's number.
        number: u64,
        /// This segment only; all segments if not given.
        #[arg(long)]
        segment: Option<u16>,
        #[command(flatten)]
        at: InspectArgs,
    },
}

/// Where to look, and how to show it.
#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// The node's folder. The node itself must not run.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Prints JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// Runs an `inspect` command.
///
/// # Errors
/// It is not there, or it does not fit its proof.
pub fn run(command: &InspectCommand) -> Result<(), CliError> {
    let (InspectCommand::Block { at, .. } | InspectCommand::Record { at, .. } | InspectCommand::Account { at, .. }) =
        command;
    let node = open(&at.data)?;
    let shown = match command {
        InspectCommand::Block { height, .. } => block::inspect(&node, height)?,
        InspectCommand::Record { index, .. } => record::inspect(&node, *index)?,
        InspectCommand::Account { number, segment, .. } => account::inspect(&node, *number, *segment)?,
    };
    node.close()?;
    if at.json {
        outln!("{:#}", shown.json);
    } else {
        out!("{}", shown.text);
    }
    Ok(())
}

/// What was found, for people and for programs.
struct Shown {
    text: String,
    json: Value,
}

/// Lines of a name and a value.
#[derive(Default)]
struct Sheet(String);

impl Sheet {
    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0 += &format!("{name:<18} {value}\n");
    }

    /// What was checked, and against what.
    fn proof(&mut self, verified: impl std::fmt::Display) {
        self.0 += &format!("proof: {verified}\n");
    }
}

fn open(data: &Path) -> Result<Node, CliError> {
    crate::node::require_node_folder(data)?;
    let spinner = ProgressBar::new_spinner().with_message("opening and verifying");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let opened = Node::open(data, NodeOptions::default());
    spinner.finish_and_clear();
    let (node, report) = opened?;
    crate::genesis::banner(node.genesis());
    crate::node::tell(&report);
    Ok(node)
}

fn read_block(node: &Node, height: u64) -> Result<Block, CliError> {
    let mut blocks = node.journal().read_from(height)?;
    let kept = blocks.next().ok_or_else(|| no_block(node, height))??;
    Ok(decode_block(kept.height, &kept.payload)?)
}

/// The header that proofs are checked against.
fn last_header(node: &Node) -> Result<Header, CliError> {
    let height = node.height();
    if height == 0 {
        return Err(no_block(node, 0));
    }
    let header = read_block(node, height)?.header;
    if header.id() != *node.replica().last_block_id() {
        return Err(CliError::defect(format!("block `{height}` of the journal is not the last block of the state")));
    }
    Ok(header)
}

fn no_block(node: &Node, height: u64) -> CliError {
    let message = match node.height() {
        0 => "the chain has no block yet".to_owned(),
        last => format!("there is no block `{height}`: the chain has blocks `1` to `{last}`"),
    };
    CliError::new(message, "blocks close when envelopes come: see `casemate node --help`")
}
