//! `casemate genesis`: the file that holds every rule of a chain.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use casemate_gate::PolicyDecider as _;
use casemate_node::NodeError;
use casemate_node::genesis_file::{self, GenesisFileError};
use casemate_policy_cedar::CedarPolicies;
use casemate_protocol::TimeMs;
use casemate_protocol::genesis::Genesis;
use clap::Subcommand;

use crate::error::CliError;
use crate::policy;

/// What can be done with genesis files.
#[derive(Subcommand, Debug)]
pub enum GenesisCommand {
    /// Writes a full genesis file, every value explained.
    Init(InitArgs),
    /// Reads a genesis file, checks every rule, and prints the chain id.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// Arguments of `genesis init`.
#[derive(clap::Args, Debug)]
pub struct InitArgs {
    /// A development chain: seeded accounts whose keys anyone can derive. The only kind that can be written so far.
    #[arg(long, required = true)]
    dev: bool,
    /// Folder with the policies in force from the start; those that come with this version if not given.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Where to; standard output if not given. An existing file is not overwritten.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs a `genesis` command.
///
/// # Errors
/// What is wrong with the file, with its line.
pub fn run(command: &GenesisCommand) -> Result<(), CliError> {
    match command {
        GenesisCommand::Init(args) => init(args),
        GenesisCommand::Check { file } => check(file),
    }
}

/// Says that a chain is for development only, to people.
pub fn banner(genesis: &Genesis) {
    if genesis.is_development {
        eprintln!("*** DEVELOPMENT CHAIN: its keys derive from a public seed. Play money only. ***");
    }
}

/// A genesis file's error, as the command says it.
pub fn file_error(error: &GenesisFileError) -> CliError {
    CliError::new(error.to_string(), error.hint())
}

fn init(args: &InitArgs) -> Result<(), CliError> {
    let mut genesis = genesis_file::development_genesis(now());
    if let Some(folder) = &args.policies {
        genesis.policies = policy::set_in(folder)?;
    }
    let text = genesis_file::write(&genesis);
    banner(&genesis);
    let Some(path) = &args.out else {
        out!("{text}");
        return Ok(());
    };
    write_new(path, &text)?;
    eprintln!("wrote `{}`; start it with: casemate node --data DIR --genesis {}", path.display(), path.display());
    outln!("{}", genesis.chain_id());
    Ok(())
}

fn check(file: &Path) -> Result<(), CliError> {
    let genesis = genesis_file::read(file).map_err(|error| file_error(&error))?;
    CedarPolicies::new().compile(&genesis.policies).map_err(|refused| {
        let error = NodeError::Policies(refused.0);
        CliError::new(error.to_string(), error.hint())
    })?;
    banner(&genesis);
    outln!("{}", genesis.chain_id());
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).open(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            let message = format!("`{}` exists and is not overwritten", path.display());
            return CliError::new(message, "choose another name: the file of a running chain must be kept");
        }
        CliError::io("create", path, &error)
    })?;
    file.write_all(text.as_bytes()).map_err(|error| CliError::io("write", path, &error))
}

/// The clock, as block time.
pub fn now() -> TimeMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeMs::from_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
