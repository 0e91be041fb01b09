//! Why a node does not run, and what to do about it.

use casemate_ledger::SnapshotError;
use casemate_protocol::Digest;
use casemate_protocol::genesis::GenesisError;
use casemate_replica::InvalidBlock;

use crate::fault::Fault;
use crate::genesis_file::GenesisFileError;

/// Why a node does not run.
#[derive(Debug)]
pub enum NodeError {
    /// The machine failed.
    Fault(Fault),
    /// The genesis file is wrong.
    GenesisFile(Box<GenesisFileError>),
    /// A rule of genesis does not hold.
    Genesis(GenesisError),
    /// The policies of genesis cannot be in force.
    Policies(String),
    /// The folder belongs to another genesis.
    OtherGenesis {
        /// Chain id of the folder.
        found: Digest,
        /// Chain id asked for.
        expected: Digest,
    },
    /// A block of the journal does not execute.
    Block {
        /// Its height.
        height: u64,
        /// Why.
        invalid: InvalidBlock,
    },
    /// A block of the journal does not decode.
    BlockMalformed {
        /// Its height.
        height: u64,
    },
    /// A snapshot is whole and still not the state that it claims.
    Snapshot(SnapshotError),
    /// Threads could not be started.
    Threads(String),
}

impl From<Fault> for NodeError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<GenesisFileError> for NodeError {
    fn from(error: GenesisFileError) -> Self {
        Self::GenesisFile(Box::new(error))
    }
}

impl std::fmt::Display for NodeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(formatter),
            Self::GenesisFile(error) => error.fmt(formatter),
            Self::Genesis(error) => error.fmt(formatter),
            Self::Policies(reason) => write!(formatter, "the policies of genesis cannot be in force: {reason}"),
            Self::OtherGenesis { found, expected } => {
                write!(formatter, "the folder belongs to chain `{found}`, not to chain `{expected}`")
            }
            Self::Block { height, invalid } => write!(formatter, "block `{height}` does not execute: {invalid}"),
            Self::BlockMalformed { height } => write!(formatter, "block `{height}` does not decode"),
            Self::Snapshot(error) => error.fmt(formatter),
            Self::Threads(error) => write!(formatter, "threads could not be started: {error}"),
        }
    }
}

impl std::error::Error for NodeError {}

impl NodeError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.hint(),
            Self::GenesisFile(_) | Self::Genesis(_) => {
                "correct the genesis file; `casemate genesis init --dev` writes a full one"
            }
            Self::Policies(_) => "write them into a folder and let `casemate policy check` say more",
            Self::OtherGenesis { .. } => "name another folder, or the genesis that the folder was made with",
            Self::Block { invalid: InvalidBlock::PolicyFault, .. } => {
                "start it again: the policy engine of this machine could not decide, which says nothing about the block"
            }
            Self::Block { .. } | Self::BlockMalformed { .. } => {
                "the journal is whole but not a valid chain for this software: restore it from a copy, and keep this one as evidence"
            }
            Self::Snapshot(_) => "delete the newest snapshot: the state is made again from the journal",
            Self::Threads(_) => "free memory or raise the limit of processes",
        }
    }
}
