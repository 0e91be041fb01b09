//! The gate: turns bytes into commands that the ledger may decide.
//!
//! One type per stage. Each holds private fields and is made only by consuming the one before it, so leaving out a
//! stage, or swapping two, does not compile.
//!
//! ```text
//! bytes ─ decode ─> Decoded ─ authenticate ─> Authenticated ─ ...      stateless: any core, any order, any time
//! ```
//!
//! The stages here know the chain id and nothing else of the state. Their verdicts never change, so they may be
//! remembered by envelope digest.

pub mod authenticate;
pub mod decode;
pub mod weight;

pub use authenticate::{Authenticated, authenticate_batch, authenticate_block, require_valid_key};
pub use decode::Decoded;
