//! Conduct: what accounts do, watched by integer statistics inside execution; raises bands, alerts, and gives one of the two
//! keys that it takes to block an act.
//!
//! Owns:        rows by account and market, by account, by market; clusters.   Reads: observations of accepted events.
//! Commands:    `ContestLink`, the `System` work that tells.      Events: `ConductAlerted`, `ConductBandMoved`, `LinksContested`.
//! Invariants:  C1 nothing here can hold up a cancel, a reduction or the slow exit: they are not [`Blockable`].
//!              C2 bands rise at once and fall with hysteresis; all evidence fades to zero. C3 what is only inferred raises
//!              bands, to 2 at most. C4 clusters grow by acts of both sides alone. C5 rows are bounded and follow from the old
//!              row and the observation alone. C6 statistics change when a block stands and at no other time; bands change by
//!              events alone.
//! Not here:    what a band forbids (policy); network and reference-price signals (D5, D6, D10, outside); matching by cluster
//!              (`market`).

pub mod alert;
pub mod band;
pub mod clusters;
pub mod collusion;
mod damage;
mod execution;
pub mod features;
pub mod ignition;
pub mod observation;
pub mod refusals;
mod row_table;
pub mod rows;
pub mod sandwich;
pub mod spoof;
pub mod stuffing;
mod table;
pub mod takeover;
pub mod two_keys;
pub mod wash;

pub use alert::{Alert, Detector, Evidence};
pub(crate) use execution::{contest, evolve, move_conduct};
pub use observation::{Act, Cancelled, LeaveAsked, Observation, Traded};
pub use table::Conduct;
pub use two_keys::{Blockable, Gate};
