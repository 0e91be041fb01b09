//! What commands say of an account's safeguards: its address book and its root key.

use borsh::{BorshDeserialize, BorshSerialize};

use super::OutsideReference;
use crate::keys::PublicKey;

/// Where money may leave to.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PayoutAddress {
    /// Outside chain.
    pub chain: u32,
    /// Payout address on that chain; not empty.
    pub destination: OutsideReference,
}

/// Announces another root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChangeRootKey {
    /// The key that is to take over; one that nobody has used here.
    pub key: PublicKey,
}
