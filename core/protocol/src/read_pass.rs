//! Read passes: what a key signs so that somebody is shown what is not public.
//!
//! A pass names who reads (an account and one of its keys), what, and from when until when; it carries nothing that acts, so
//! it has no nonce and can be shown as often as it is good. Whether the key is one of the account and whether the policy in
//! force lets it read is looked at on each read, by `gate`: a pass is a question with a signature, not a right.
//!
//! Reads are not part of blocks. The times of a pass are therefore those of whoever serves it, and no replica need agree on
//! what was read.
//!
//! Deliberately absent: which node it is for (any node of the chain serves the same data), and who is behind the key.

use borsh::io::Write;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::hash::{self, Digest, Domain};
use crate::ids::{AccountId, MarketId};
use crate::keys::{PublicKey, SignatureBytes};
use crate::limits::READ_PASS_SIZE_BYTES_MAX;
use crate::reject::{Reject, RejectCode};
use crate::units::TimeMs;

/// The version of passes that this software reads and writes.
pub const READ_PASS_VERSION: u16 = 1;

/// What a pass is for. Numbers are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ReadScope {
    /// The account that reads: everything of its own.
    Account = 1,
    /// What a market shows to few.
    Market(MarketId) = 2,
    /// Everything, to check it.
    Auditor = 3,
    /// Which account the key is or was the root key of: what whoever opened one has to find out. Names no account.
    Key = 4,
}

impl ReadScope {
    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Account => 1,
            Self::Market(_) => 2,
            Self::Auditor => 3,
            Self::Key => 4,
        }
    }
}

/// Everything of a pass before its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReadTerms {
    /// Format of these bytes.
    pub version: u16,
    /// The chain that is read.
    pub chain_id: Digest,
    /// The account that reads; none under [`ReadScope::Key`].
    pub account: AccountId,
    /// A key of it: its root key, or that of a live session.
    pub key: PublicKey,
    /// What is read.
    pub scope: ReadScope,
    /// Not good before.
    pub not_before_ms: TimeMs,
    /// Not good from here on.
    pub expires_ms: TimeMs,
}

impl ReadTerms {
    /// What the signature signs.
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash::digest_of(Domain::ReadPass, self)
    }

    /// Whether an account is named exactly where one reads.
    const fn names_its_reader(&self) -> bool {
        self.account.is_none() == matches!(self.scope, ReadScope::Key)
    }
}

/// A signed pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPass {
    /// Who reads what, and when.
    pub terms: ReadTerms,
    /// The key's signature over [`ReadTerms::digest`], in the form of its scheme: an Ed25519 key signs the digest, a passkey
    /// answers it as its challenge, a wallet signs typed data that holds it.
    pub signature: SignatureBytes,
}

impl BorshSerialize for ReadPass {
    fn serialize<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.terms.serialize(writer)?;
        self.signature.write_under(&self.terms.key, writer)
    }
}

impl ReadPass {
    /// Decodes canonical bytes and computes the digest from the very bytes that arrived.
    ///
    /// # Errors
    /// `PassMalformed`: too long, truncated, trailing bytes, unknown tags or version, an account where none is named or none
    /// where one reads.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Digest), Reject> {
        let malformed = || Reject::of(RejectCode::PassMalformed);
        if bytes.len() > READ_PASS_SIZE_BYTES_MAX {
            return Err(malformed());
        }
        let mut rest = bytes;
        let terms = ReadTerms::deserialize(&mut rest).map_err(|_error| malformed())?;
        let terms_bytes = bytes.get(..bytes.len().saturating_sub(rest.len())).unwrap_or(&[]);
        let signature = SignatureBytes::read_under(&terms.key, &mut rest).map_err(|_error| malformed())?;
        if !rest.is_empty() || terms.version != READ_PASS_VERSION || !terms.names_its_reader() {
            return Err(malformed());
        }
        Ok((Self { terms, signature }, hash::digest(Domain::ReadPass, &[terms_bytes])))
    }

    /// Canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        // Writing into memory cannot fail, and no type of this crate refuses to encode.
        let encoded = self.serialize(&mut bytes);
        debug_assert!(encoded.is_ok(), "a pass refuses to encode");
        bytes
    }
}

#[cfg(test)]
mod tests;
