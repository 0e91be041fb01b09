//! What commands say of an account's guardians, and what guardians say of the account.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::ids::AccountId;
use crate::keys::PublicKey;
use crate::limits::GUARDIANS_MAX;

/// Who guards an account, and how many of them must agree. A guardian is an account: it has a root key of its own, of any
/// scheme, which it can change.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GuardianSet {
    /// How many must agree: at least two; zero in a set of nobody.
    pub threshold: u8,
    /// The guardians' accounts; each once.
    pub accounts: BoundedVec<AccountId, GUARDIANS_MAX>,
}

impl GuardianSet {
    /// Whether it is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.as_slice().is_empty()
    }

    /// Whether an account is one of them.
    #[must_use]
    pub fn contains(&self, account: AccountId) -> bool {
        self.accounts.as_slice().contains(&account)
    }
}

/// A guardian's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VoteAsGuardian {
    /// The account that is guarded.
    pub account: AccountId,
    /// What is to happen to it.
    pub act: GuardianAct,
}

/// What guardians can do to the account that they guard, once enough of them agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum GuardianAct {
    /// This key becomes the root key, after a delay and by its own signature.
    Recover(PublicKey) = 1,
    /// Nothing leaves the account for a while.
    Freeze = 2,
    /// The announced change of guardians does not come into force.
    StopChange = 3,
}
