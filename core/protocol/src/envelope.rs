//! Envelopes: the only way in. One signature over one to sixty-four commands.
//!
//! The bytes before the evidence are the *intent*; its digest is the envelope's id and never depends on the
//! signature. The *envelope digest* adds the evidence hash, and every signature form signs it, so evidence can be
//! neither added, lifted nor stripped.

mod evidence;

use borsh::io::Write;
use borsh::{BorshDeserialize, BorshSerialize};

pub use evidence::{Evidence, EvidenceKind};

use crate::BoundedVec;
use crate::command::Command;
use crate::hash::{self, Digest, Domain};
use crate::ids::AccountId;
use crate::keys::{PublicKey, SignatureBytes};
use crate::limits::{ENVELOPE_COMMANDS_MAX, ENVELOPE_EVIDENCE_MAX, ENVELOPE_SIZE_BYTES_MAX};
use crate::reject::{Reject, RejectCode};
use crate::units::TimeMs;

/// The envelope version that this software reads and writes.
pub const ENVELOPE_VERSION: u16 = 1;

/// How the commands of an envelope hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum GroupMode {
    /// Each command stands alone.
    EachAlone = 1,
    /// All commands take effect, or none; they name one segment.
    AllOrNothing = 2,
}

/// Which key of the account signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SignerRole {
    /// The root key.
    Root = 1,
    /// A session key with a grant.
    Session = 2,
}

/// The signing key and the role it claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signer {
    /// Root or session.
    pub role: SignerRole,
    /// The key.
    pub key: PublicKey,
}

/// Everything of an envelope before its evidence.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Intent {
    /// Format of these bytes.
    pub version: u16,
    /// The chain that this is meant for.
    pub chain_id: Digest,
    /// The acting account; 0 only to open one.
    pub account: AccountId,
    /// Who signs.
    pub signer: Signer,
    /// A free nonce of the signer's window.
    pub nonce: u64,
    /// Not accepted after this time.
    pub valid_until_ms: TimeMs,
    /// Alone or together.
    pub group: GroupMode,
    /// What is asked for; at least one command.
    pub commands: BoundedVec<Command, ENVELOPE_COMMANDS_MAX>,
}

impl Intent {
    /// The envelope id.
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash::digest_of(Domain::Intent, self)
    }
}

/// A signed envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What is asked for.
    pub intent: Intent,
    /// Evidence for it.
    pub evidence: BoundedVec<Evidence, ENVELOPE_EVIDENCE_MAX>,
    /// The signer's signature over the envelope digest, in the form of its key's scheme.
    pub signature: SignatureBytes,
}

impl BorshSerialize for Envelope {
    fn serialize<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.intent.serialize(writer)?;
        self.evidence.serialize(writer)?;
        self.signature.write_under(&self.intent.signer.key, writer)
    }
}

/// The digests of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeDigests {
    /// Digest of the intent: the envelope's id.
    pub intent: Digest,
    /// What the signature signs.
    pub envelope: Digest,
}

impl Envelope {
    /// Decodes canonical bytes and computes the digests from the very bytes that arrived.
    ///
    /// # Errors
    /// `EnvelopeTooLarge`, `Malformed` (truncated, trailing bytes, unknown tags, too long lists),
    /// `EnvelopeVersionUnsupported`, `EnvelopeEmpty`.
    pub fn decode(bytes: &[u8]) -> Result<(Self, EnvelopeDigests), Reject> {
        if bytes.len() > ENVELOPE_SIZE_BYTES_MAX {
            let count = |size_bytes: usize| u64::try_from(size_bytes).unwrap_or(u64::MAX);
            return Err(Reject::of(RejectCode::EnvelopeTooLarge)
                .required(count(ENVELOPE_SIZE_BYTES_MAX))
                .present(count(bytes.len())));
        }
        let malformed = |_error| Reject::of(RejectCode::Malformed);
        let mut rest = bytes;
        let version = u16::deserialize(&mut rest).map_err(malformed)?;
        if version != ENVELOPE_VERSION {
            return Err(Reject::of(RejectCode::EnvelopeVersionUnsupported)
                .required(u64::from(ENVELOPE_VERSION))
                .present(u64::from(version)));
        }
        rest = bytes;
        let intent = Intent::deserialize(&mut rest).map_err(malformed)?;
        let after_intent = rest;
        let evidence = BoundedVec::deserialize(&mut rest).map_err(malformed)?;
        let after_evidence = rest;
        let signature = SignatureBytes::read_under(&intent.signer.key, &mut rest).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(Reject::of(RejectCode::Malformed));
        }
        if intent.commands.is_empty() {
            return Err(Reject::of(RejectCode::EnvelopeEmpty));
        }
        let intent_bytes = leading(bytes, after_intent);
        let evidence_bytes = leading(after_intent, after_evidence);
        let digests = digests_of(hash::digest(Domain::Intent, &[intent_bytes]), evidence_bytes);
        Ok((Self { intent, evidence, signature }, digests))
    }

    /// The digests, computed anew. They do not depend on the signature, so a client asks for them to sign.
    #[must_use]
    pub fn digests(&self) -> EnvelopeDigests {
        let intent = self.intent.digest();
        let envelope = hash::digest(Domain::Envelope, &[intent.bytes(), self.evidence_hash().bytes()]);
        EnvelopeDigests { intent, envelope }
    }

    /// Digest of the evidence list. With the intent digest it makes the envelope digest, so typed data that shows both
    /// signs the same as the envelope digest does.
    #[must_use]
    pub fn evidence_hash(&self) -> Digest {
        if self.evidence.is_empty() { EMPTY_LIST_DIGEST } else { hash::digest_of(Domain::Evidence, &self.evidence) }
    }

    /// Canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        // Writing into memory cannot fail, and no type of this crate refuses to encode.
        let encoded = self.serialize(&mut bytes);
        debug_assert!(encoded.is_ok(), "an envelope refuses to encode");
        bytes
    }
}

/// The digests of an intent without evidence: what a client signs.
#[must_use]
pub fn digests_without_evidence(intent: &Intent) -> EnvelopeDigests {
    digests_of(intent.digest(), &EMPTY_LIST)
}

/// Encoding of a list without elements.
const EMPTY_LIST: [u8; 4] = [0; 4];
/// Its digest under [`Domain::Evidence`]: most envelopes need no other, and the hot path should not hash it again.
const EMPTY_LIST_DIGEST: Digest = Digest([
    0xcd, 0xa7, 0x4e, 0x13, 0x21, 0xcd, 0x75, 0x49, 0x2a, 0x1d, 0x7e, 0x80, 0x76, 0x9c, 0x10, 0x87, 0xbc, 0xd3, 0x9a,
    0x9d, 0x95, 0xdd, 0x83, 0xa6, 0x75, 0xb8, 0x1d, 0xda, 0x98, 0x04, 0x66, 0xbb,
]);

fn digests_of(intent: Digest, evidence_bytes: &[u8]) -> EnvelopeDigests {
    let evidence = if evidence_bytes == EMPTY_LIST {
        EMPTY_LIST_DIGEST
    } else {
        hash::digest(Domain::Evidence, &[evidence_bytes])
    };
    let envelope = hash::digest(Domain::Envelope, &[intent.bytes(), evidence.bytes()]);
    EnvelopeDigests { intent, envelope }
}

/// The bytes of `all` that come before its suffix `rest`.
fn leading<'a>(all: &'a [u8], rest: &[u8]) -> &'a [u8] {
    all.get(..all.len().saturating_sub(rest.len())).unwrap_or(&[])
}

#[cfg(test)]
mod tests;
