//! Drives a replica: journal, snapshots, recovery, sequencing.
//!
//! The storage modules here know nothing of blocks but a height and opaque bytes. The [`journal`] is the record;
//! [`snapshot_files`] shorten a restart; [`indexes`] are rebuilt from the journal whenever they are missing.

pub mod chain_reader;
pub mod development_keys;
pub mod fault;
pub mod genesis_file;
pub mod indexes;
pub mod journal;
pub mod keeper;
pub mod node;
mod node_error;
pub mod snapshot_files;
pub mod solo;
pub mod threads;

mod durable_files;

pub use chain_reader::ChainReader;
pub use durable_files::STORE_FORMAT_VERSION;
pub use fault::Fault;
pub use node::{Node, NodeOptions, OpenedNode, ProposedBlock, SecretSource};
pub use node_error::NodeError;
pub use threads::Threads;
