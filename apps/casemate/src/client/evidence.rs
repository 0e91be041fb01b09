//! `casemate evidence` and `casemate conduct contest`: what an account does about what holds it up.

use casemate_protocol::command::{AddEvidence, ContestLink, Waiting};
use casemate_protocol::{Command, SegmentId, TransferNumber, WithdrawalNumber};

use super::signing::SignerArgs;
use super::{NodeUrl, show_receipt};
use crate::error::CliError;

/// Arguments of `evidence`.
#[derive(clap::Args, Debug)]
pub struct EvidenceArgs {
    #[command(flatten)]
    signer: SignerArgs,
    /// The segment that it leaves.
    #[arg(long, default_value = "1")]
    segment: u16,
    /// The withdrawal that is held back, by its number.
    #[arg(long, value_name = "NUMBER", required_unless_present = "transfer", conflicts_with = "transfer")]
    withdrawal: Option<u64>,
    /// The transfer that is held back, by its number.
    #[arg(long, value_name = "NUMBER")]
    transfer: Option<u64>,
    #[command(flatten)]
    node: NodeUrl,
}

/// Runs `evidence`: the key signs for what waits, which is judged again at once.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run(args: &EvidenceArgs) -> Result<(), CliError> {
    let waiting = match (args.withdrawal, args.transfer) {
        (Some(number), _) => Waiting::Withdrawal(WithdrawalNumber::new(number)),
        (None, Some(number)) => Waiting::Transfer(TransferNumber::new(number)),
        (None, None) => return Err(CliError::new("nothing that waits is named", "use --withdrawal or --transfer")),
    };
    let added = AddEvidence { segment: SegmentId::new(args.segment), waiting };
    submit(&args.signer, Command::AddEvidence(added), &args.node)
}

/// Arguments of `conduct contest`.
#[derive(clap::Args, Debug)]
pub struct ContestArgs {
    #[command(flatten)]
    signer: SignerArgs,
    /// The segment whose detectors inferred the links.
    #[arg(long, default_value = "1")]
    segment: u16,
    #[command(flatten)]
    node: NodeUrl,
}

/// Runs `conduct contest`: drops what is inferred about the account's links to others.
///
/// # Errors
/// The node's refusal, or no node.
pub fn contest(args: &ContestArgs) -> Result<(), CliError> {
    let contest = ContestLink { segment: SegmentId::new(args.segment) };
    submit(&args.signer, Command::ContestLink(contest), &args.node)
}

fn submit(signer: &SignerArgs, command: Command, node: &NodeUrl) -> Result<(), CliError> {
    let http = node.connect()?;
    let (identity, _) = signer.identity(&http)?;
    show_receipt(&identity.submit(&http, command)?, node.json)
}
