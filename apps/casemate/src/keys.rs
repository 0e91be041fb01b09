//! `casemate keys`: secret keys in files that only their owner can read.

use std::path::PathBuf;

use casemate_node::development_keys::{create_key_file, public_key, public_key_text, read_key_file};
use clap::Subcommand;

use crate::error::CliError;

/// What can be done with keys.
#[derive(Subcommand, Debug)]
pub enum KeysCommand {
    /// Makes a new secret key in a new file, and prints its public key.
    New {
        /// The file; an existing one is not overwritten.
        file: PathBuf,
    },
    /// Prints the public key of a file. The secret is never shown.
    Show {
        /// The file.
        file: PathBuf,
    },
}

/// Runs a `keys` command.
///
/// # Errors
/// The file exists, is not a key, or other users can read it.
pub fn run(command: &KeysCommand) -> Result<(), CliError> {
    let key = match command {
        KeysCommand::New { file } => create_key_file(file)?,
        KeysCommand::Show { file } => read_key_file(file)?,
    };
    outln!("{}", public_key_text(&public_key(&key)));
    Ok(())
}
