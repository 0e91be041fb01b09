//! The words of Casemate: units, ids, commands, events, refusals, envelopes, and their canonical bytes.
//!
//! Everything that crosses a border (wire, journal, record, proof) is defined here and nowhere else, so that a client,
//! a replica and an auditor agree on every byte. The crate decides nothing: rules about state live in `ledger`,
//! signature checks in `gate`.
//!
//! Deliberately absent: clocks, randomness, floats, hash maps, unbounded lists, and any notion of who is allowed to
//! do what.

pub mod block;
pub mod bounded;
pub mod clearing;
pub mod command;
pub mod conduct;
pub mod envelope;
pub mod event;
pub mod genesis;
pub mod grant;
pub mod hash;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod merkle;
pub mod nonce;
pub mod parallel;
pub mod policy;
pub mod read_pass;
pub mod regime;
pub mod reject;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod units;

pub use bounded::BoundedVec;
pub use clearing::{BreakerCause, BreakerState, PriceGrade, PriceUse};
pub use command::{Action, Command, Side, SystemCommand};
pub use envelope::Envelope;
pub use event::Event;
pub use hash::Digest;
pub use ids::*;
pub use keys::{PublicKey, SignatureBytes, SignatureForm};
pub use read_pass::ReadPass;
pub use regime::{Regime, RegimeCause};
pub use reject::{Reject, RejectCode};
pub use units::*;
