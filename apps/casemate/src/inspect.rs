//! `casemate inspect`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::error::CliError;

/// What can be shown.
#[derive(Subcommand, Debug)]
pub enum InspectCommand {
    /// A block.
    Block {
        /// Height, or `latest`.
        height: String,
        /// The node's folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}

/// Runs an `inspect` command.
///
/// # Errors
/// What went wrong, and what to do.
pub fn run(command: &InspectCommand) -> Result<(), CliError> {
    let InspectCommand::Block { height, data } = command;
    let _ = (height, data);
    Err(CliError::defect("being built"))
}
