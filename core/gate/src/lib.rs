//! The gate: turns bytes into commands that the ledger may decide.
//!
//! One type per stage. Each holds private fields and is made only by consuming the one before it, so leaving out a
//! stage, or swapping two, does not compile.
//!
//! ```text
//! bytes ─ decode ─> Decoded ─ authenticate ─> Authenticated        stateless: any core, any order, any time
//!       ─ include ─> Included                                      once per envelope, against the state before the block
//!       ─ s3 grant ─> Entitled ─ s5 freshness ─> Fresh ─ s6 policy ─> Authorized ─> Verified      per command, in order
//! ```
//!
//! Reads of what is not public come by stages of their own ([`read`]), outside of any block.
//!
//! The stateless stages know the chain id and nothing else of the state. Their verdicts never change, so they may be
//! remembered by envelope digest. Everything after them is judged inside block execution, by every replica.

pub mod authenticate;
pub mod decode;
pub mod ecdsa;
pub mod eip712;
pub mod inclusion;
#[cfg(test)]
mod people;
pub mod pipeline;
pub mod policy;
pub mod proofs;
pub mod read;
pub mod webauthn;
pub mod weight;

pub use authenticate::{
    Authenticated, authenticate_batch, authenticate_block, require_valid_key, require_valid_session_key,
};
pub use decode::Decoded;
pub use inclusion::{BlockBudget, Included, require_includable};
pub use policy::{BuiltInTable, DecisionFault, PolicyDecider, SetAnswer, SetRefused, judge_leaving};
pub use proofs::{NoProofs, ProofVerifier};
pub use read::{AuthenticPass, AuthorizedRead, DecodedPass, Read};
