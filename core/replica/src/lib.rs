//! One deterministic replica: a ledger, a log and a gate, without network, disk or clock.
//!
//! Whoever drives it (a solo sequencer, a consensus engine, a simulator, an auditor) brings envelopes, time and seal
//! secrets. The same blocks give the same bytes and the same roots on every machine.
//!
//! ```text
//! propose: envelopes ─> block, executed         verify: block ─> executed, or why not
//! adopt:   the executed block stands            discard: nothing of it remains
//! ```
//!
//! Deliberately absent: choosing time, drawing secrets, keeping blocks, talking to anybody.

mod execute;
mod invalid;
mod replica;
#[cfg(test)]
mod tests;

pub use execute::{CommandOutcome, EnvelopeOutcome, Executed, StageTimer, Stages};
pub use invalid::InvalidBlock;
pub use replica::{Proposal, Replica, SnapshotHeader};
