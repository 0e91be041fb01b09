//! Policies as Cedar files.
//!
//! `files` reads a folder within bounds; `cells` makes sure that what is not marked slow looks at cells alone; `compile` runs
//! Cedar over every cell and fills the table of the hot path; `decide` answers one request with all that is known about it;
//! `explain` says why, and what would change it; `analysis` proves properties of a set with a solver before anybody votes on
//! it; `port` is what the gate asks. The words are those of `casemate_protocol::policy`; nothing of Cedar is in the interface but its texts.
//!
//! Cedar skips a policy that errors, and a set that permits by accident of a skipped `forbid` is worse than one that is
//! down: here an error of any policy denies.

#[cfg(feature = "analysis")]
pub mod analysis;
mod cells;
mod compile;
mod decide;
mod difference;
mod error;
mod explain;
mod expression;
mod files;
mod nesting;
mod port;
mod request;
mod slices;

pub use compile::compile;
pub use decide::{CedarDecider, Decision, DecisionFault};
pub use difference::{DifferenceGroup, PolicyDifference, differences};
pub use error::{Place, PolicyError};
pub use explain::{Explanation, Remedy, explain};
pub use files::{LoadedPolicy, Policies, PolicyFolder};
pub use port::CedarPolicies;
pub use request::{describe, describe_amount};

/// Most policies in a set.
pub const POLICIES_MAX: usize = 256;
/// Deepest nesting of one policy's conditions, in expressions.
pub const DEPTH_MAX: usize = 32;
/// Most expressions in one policy.
pub const EXPRESSIONS_MAX: usize = 512;

/// Stack that every decision has, whoever asks: the caller's if so much is left of it, else one made for the decision. Cedar
/// gives up when less than 100 KiB are left, so what it answers would depend on the caller; with this much and policies no
/// deeper than `DEPTH_MAX` it never comes near.
const DECISION_STACK_BYTES: usize = 512 * 1024;
/// Stack on which files are parsed and checked: before the bounds are known to hold, a file may nest as deep as its size lets
/// it. Pages that are not touched cost nothing.
const LOADING_STACK_BYTES: usize = 64 * 1024 * 1024;
