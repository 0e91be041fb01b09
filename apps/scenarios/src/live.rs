//! A running venue that a scenario is played to: what it must be able to do, and who signs there.
//!
//! The scenario sends signed envelopes and follows durable blocks with a replica of its own, as any stranger could: it
//! verifies every block, and judges what came of it from what it verified. The venue is told nothing of the scenario.

use casemate_protocol::block::Block;
use casemate_protocol::genesis::PrincipalKind;
use casemate_protocol::{Reject, TimeMs};
use ed25519_zebra::SigningKey;

/// A node behind its sequencer, with a clock that the scenario sets.
pub trait LiveVenue: Send {
    /// Waits until it is time for this block time, at whatever pace; later blocks have no earlier one.
    ///
    /// # Errors
    /// The venue ends.
    fn come_to(&mut self, time: TimeMs) -> Result<(), Ended>;

    /// Hands envelopes over in their order, and waits until each is in a durable block or refused before one. What the
    /// edge refused is said with its place.
    ///
    /// # Errors
    /// The venue ends.
    fn submit(&mut self, envelopes: Vec<Vec<u8>>) -> Result<Vec<(usize, Reject)>, Ended>;

    /// The durable block of a height; none if there is none yet.
    ///
    /// # Errors
    /// The venue ends, or the block cannot be read.
    fn block(&mut self, height: u64) -> Result<Option<Block>, Ended>;
}

/// Why a venue gives no more answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop, or stopped for a reason that it tells itself.
    Stopped,
    /// Something went wrong between the scenario and the venue.
    Failed {
        /// What.
        message: String,
        /// What to do about it.
        hint: String,
    },
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHolder {
    /// Who holds an office, by place in the list of genesis, from 0.
    Principal(PrincipalKind, u64),
    /// The root of an account that genesis seeds, from 0.
    Root(u64),
    /// The session of such an account; nobody in a scenario signs with it.
    Session(u64),
}

/// Keys of a venue whose node derives those of seeded accounts itself.
#[derive(Clone, Copy, Debug)]
pub struct LiveKeys {
    /// The seed that genesis names for seeded accounts.
    pub seed: [u8; 32],
    /// The key of each.
    pub key: fn(&[u8; 32], KeyHolder) -> SigningKey,
}
