//! Events of an account's safeguards.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::command::PayoutAddress;
use crate::ids::AccountId;
use crate::keys::PublicKey;
use crate::units::DurationMs;

/// See [`super::Event::PayoutAddressAdded`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PayoutAddressAdded {
    /// The account.
    pub account: AccountId,
    /// The address.
    pub address: PayoutAddress,
    /// Waiting clock from which it can be used.
    pub usable_waiting_ms: DurationMs,
}

/// See [`super::Event::PayoutAddressRemoved`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PayoutAddressRemoved {
    /// The account.
    pub account: AccountId,
    /// The address.
    pub address: PayoutAddress,
    /// Waiting clock from which the book does not bind any more; zero if another address is left in it.
    pub opens_waiting_ms: DurationMs,
}

/// See [`super::Event::RootKeyChangeAnnounced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RootKeyChangeAnnounced {
    /// The account.
    pub account: AccountId,
    /// The key that is to take over.
    pub key: PublicKey,
    /// Waiting clock from which it can.
    pub ready_waiting_ms: DurationMs,
}

/// See [`super::Event::RootKeyChangeCancelled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RootKeyChangeCancelled {
    /// The account.
    pub account: AccountId,
    /// The key that does not take over.
    pub key: PublicKey,
}

/// See [`super::Event::RootKeyChanged`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RootKeyChanged {
    /// The account.
    pub account: AccountId,
    /// Its root key from now on.
    pub key: PublicKey,
}
