//! Evidence beyond a signature: what a holder adds to an envelope, bound to the very intent that it was made for.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::hash::Digest;
use crate::limits::EVIDENCE_BODY_BYTES_MAX;

/// What a piece of evidence is. Kinds take permanent numbers as they come; a number without a name here is read all the
/// same, and refused by that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct EvidenceKind(u16);

impl EvidenceKind {
    /// A zero-knowledge proof of a credential that is enrolled to the account.
    pub const CREDENTIAL: Self = Self(1);
    /// A zero-knowledge proof of membership in a group.
    pub const MEMBERSHIP: Self = Self(2);

    /// The kind of a number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Evidence {
    /// What it is.
    pub kind: EvidenceKind,
    /// Digest of the intent that it was made for. What verifies the body holds it against this, so that a body which was made
    /// for another intent fails there.
    pub intent: Digest,
    /// What its kind says.
    pub body: BoundedVec<u8, EVIDENCE_BODY_BYTES_MAX>,
}
