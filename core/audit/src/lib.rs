//! Records of verdicts, and the Merkle log that they form.
//!
//! Every command that a block includes, and every piece of work that the ledger lists for itself, leaves one record:
//! who asked, what was decided, and which events followed. `record` says what a record holds and how its body is
//! sealed; `log` appends records to an RFC 6962 tree and proves what is in it.
//!
//! Deliberately absent: why a verdict is what it is (`gate` and `ledger` decide), where records are kept (`node`), how
//! tiles and checkpoints are published, and who may see a body.

pub mod log;
pub mod record;

pub use log::{LeafSource, Log, consistency_proof, inclusion_proof};
pub use record::{
    OpenedRecord, RecordBody, RecordHeader, RecordSource, TooManyEvents, Verdict, encode_body, record_salt, seal,
};
