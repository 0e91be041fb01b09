//! `casemate node`.

use std::path::PathBuf;

use crate::error::CliError;

/// Arguments of `node`.
#[derive(clap::Args, Debug)]
pub struct NodeArgs {
    /// The node's folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Genesis file; needed when the folder is new.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
}

/// Runs a node until standard input ends.
///
/// # Errors
/// What went wrong, and what to do.
pub fn run(args: &NodeArgs) -> Result<(), CliError> {
    let _ = (&args.data, &args.genesis);
    Err(CliError::defect("being built"))
}
