//! The state of Casemate and every rule that changes it.
//!
//! A command reaches this crate only as [`Verified`]; `decide` reads and may refuse, `evolve` applies events and cannot
//! fail, and every change is in a write set that can be undone. One [`Ledger`] owns everything.
//!
//! Deliberately absent: signatures (this crate knows keys as bytes and verifies nothing), records and logs (`audit`),
//! clocks and randomness (block time and seal secret are inputs), networks and disks.

pub mod accounts;
pub mod breaker;
pub mod conduct;
pub mod context;
pub mod funds;
mod invariants;
mod ledger;
pub mod liquidation;
pub mod market;
pub mod page_tree;
pub mod paged;
mod policy;
pub mod preview;
pub mod price;
mod proposals;
pub mod regime;
pub mod risk;
mod roots;
pub mod segment;
mod snapshot;
mod touch;
mod verified;
mod work;

pub use context::{BlockContext, CommandContext, GrantFacts};
pub use invariants::{BrokenLaw, Law};
pub use ledger::{ChainFacts, GroupSavepoint, Ledger, SeededKeys, VENUE_SEGMENT};
pub use policy::PolicyInForce;
pub use preview::{Preview, Standing};
pub use roots::{SubAccountRow, VaultRow};
pub use snapshot::SnapshotError;
pub use verified::{Verified, VerifiedWork};
