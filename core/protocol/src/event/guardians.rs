//! Events of an account's guardians and of its recovery.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::command::{GuardianAct, GuardianSet};
use crate::ids::AccountId;
use crate::keys::PublicKey;
use crate::units::DurationMs;

/// See [`super::Event::GuardianChangeAnnounced`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GuardianChangeAnnounced {
    /// The account.
    pub account: AccountId,
    /// Who is to guard it.
    pub guardians: GuardianSet,
    /// Waiting clock at which they do.
    pub due_waiting_ms: DurationMs,
}

/// See [`super::Event::GuardianChangeCancelled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GuardianChangeCancelled {
    /// The account.
    pub account: AccountId,
    /// Whether its guardians stopped the change; else the root key took it back.
    pub is_by_guardians: bool,
}

/// See [`super::Event::GuardiansChanged`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GuardiansChanged {
    /// The account.
    pub account: AccountId,
    /// Who guards it from now on.
    pub guardians: GuardianSet,
}

/// See [`super::Event::GuardianVoted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GuardianVoted {
    /// The account that is guarded.
    pub account: AccountId,
    /// The guardian.
    pub guardian: AccountId,
    /// What it wants; in place of what it wanted before.
    pub act: GuardianAct,
    /// Waiting clock from which the vote does not count any more.
    pub lapses_waiting_ms: DurationMs,
}

/// See [`super::Event::RecoveryBegun`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryBegun {
    /// The account.
    pub account: AccountId,
    /// The key that is to take over.
    pub key: PublicKey,
    /// Waiting clock from which it can.
    pub ready_waiting_ms: DurationMs,
}

/// See [`super::Event::RecoveryCancelled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryCancelled {
    /// The account.
    pub account: AccountId,
    /// The key that does not take over.
    pub key: PublicKey,
    /// Waiting clock at which it was cancelled.
    pub cancelled_waiting_ms: DurationMs,
    /// Waiting clock from which guardians can begin another one.
    pub again_waiting_ms: DurationMs,
}

/// See [`super::Event::AccountFrozen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountFrozen {
    /// The account.
    pub account: AccountId,
    /// Waiting clock until which nothing leaves it.
    pub until_waiting_ms: DurationMs,
    /// Waiting clock from which guardians can freeze it again.
    pub again_waiting_ms: DurationMs,
}

/// See [`super::Event::RecoveryCompleted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryCompleted {
    /// The account.
    pub account: AccountId,
    /// Its root key from now on.
    pub key: PublicKey,
    /// Waiting clock until which nothing leaves it.
    pub held_until_waiting_ms: DurationMs,
}
