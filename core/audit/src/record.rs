//! Records: what one holds, and how its body is sealed.
//!
//! The log is over *headers*. A header shows where the record stands and a commitment to its body, which is a digest
//! over a salt and the body. The salt derives from a secret of the block and the record's index, so that equal bodies
//! have different commitments, a short body cannot be guessed from its commitment, and one body with its salt can be
//! shown without opening any other. In an open log (`LogMode::Open`) nothing of this differs: header, commitment and
//! salt are made the same way, and the tile entry of each record also shows salt and body, as an [`OpenedRecord`].
//! Salts never lead back to the secret.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::block::SealSecret;
use casemate_protocol::hash::{self, Domain, Hasher};
use casemate_protocol::limits::RECORD_EVENTS_MAX;
use casemate_protocol::merkle::{self, InclusionProof};
use casemate_protocol::{
    AccountId, Action, BoundedVec, Digest, Event, Height, PolicyEpoch, PublicKey, RecordIndex, Reject, SystemCommand,
};

/// What a record tells: who asked for what, what was decided, and what changed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordBody {
    /// Where the command came from.
    pub source: RecordSource,
    /// What was decided.
    pub verdict: Verdict,
    /// What changed, in order; empty after a refusal.
    pub events: BoundedVec<Event, RECORD_EVENTS_MAX>,
}

/// Where the command of a record came from. Numbers are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum RecordSource {
    /// From an envelope. The command itself stands in the block; it is named here, not repeated.
    Command {
        /// Intent digest of the envelope: its id.
        envelope: Digest,
        /// Place of the command in the envelope, from 0.
        command_index: u16,
        /// The account that acted.
        account: AccountId,
        /// The key that signed.
        signer_key: PublicKey,
        /// The policy by which it was judged.
        policy_epoch: PolicyEpoch,
        /// What kind of command it was.
        action: Action,
    } = 1,
    /// From the ledger itself.
    System(SystemCommand) = 2,
}

/// What was decided. Numbers are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Verdict {
    /// The command took effect.
    Accepted = 1,
    /// The command changed nothing, for this reason.
    Refused(Reject) = 2,
}

/// What the log shows of a record: where it stands, and a commitment to its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordHeader {
    /// Index in the log, from 0.
    pub index: RecordIndex,
    /// Height of the block that made it.
    pub height: Height,
    /// Place among the records of that block, from 0.
    pub position: u32,
    /// Commitment to the body.
    pub commitment: Digest,
}

impl RecordHeader {
    /// The header's leaf in the log: the RFC 6962 leaf hash over its canonical bytes.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        let mut bytes = [0; HEADER_SIZE_BYTES];
        let encoded = self.serialize(&mut bytes.as_mut_slice());
        debug_assert!(encoded.is_ok(), "a header is longer than its size");
        merkle::leaf_hash(&bytes)
    }

    /// Whether a proof shows this header at its index in a log of this size and root.
    ///
    /// Size and root come from one block header or checkpoint: a root alone does not say how large its log is.
    #[must_use]
    pub fn is_in_log(&self, proof: &InclusionProof, log_size: u64, log_root: &Digest) -> bool {
        proof.index == self.index.number() && proof.size == log_size && proof.root_from(self.leaf()) == Some(*log_root)
    }
}

/// A record with its body and the salt that opens it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenedRecord {
    /// What the log shows.
    pub header: RecordHeader,
    /// The salt of this record alone.
    pub salt: Digest,
    /// The body.
    pub body: RecordBody,
}

impl OpenedRecord {
    /// Whether salt and body are those that the header commits to.
    ///
    /// The rest of the header is bound by the log: see [`RecordHeader::is_in_log`].
    #[must_use]
    pub fn verify(&self) -> bool {
        let mut hasher = Hasher::new(Domain::RecordBody);
        hasher.update(self.salt.bytes());
        hasher.update_value(&self.body);
        hasher.finish() == self.header.commitment
    }
}

/// Seals a record whose body is encoded already. Allocates nothing.
#[must_use]
pub fn seal(secret: &SealSecret, index: RecordIndex, height: Height, position: u32, body_bytes: &[u8]) -> RecordHeader {
    let salt = record_salt(secret, index);
    let commitment = hash::digest(Domain::RecordBody, &[salt.bytes(), body_bytes]);
    RecordHeader { index, height, position, commitment }
}

/// The salt of a record: shown with its body, it opens this record alone.
#[must_use]
pub fn record_salt(secret: &SealSecret, index: RecordIndex) -> Digest {
    hash::digest(Domain::RecordSalt, &[&secret.0, &index.number().to_le_bytes()])
}

/// Appends the canonical bytes of a body to `out`: exactly those of a [`RecordBody`] made of these parts.
///
/// # Errors
/// If there are more events than a record holds; `out` stays as it was.
pub fn encode_body(
    out: &mut Vec<u8>,
    source: &RecordSource,
    verdict: &Verdict,
    events: &[Event],
) -> Result<(), TooManyEvents> {
    if events.len() > RECORD_EVENTS_MAX {
        return Err(TooManyEvents { count: events.len() });
    }
    // Writing into memory cannot fail, and no type of the protocol refuses to encode.
    let encoded = (source, verdict, events).serialize(out);
    debug_assert!(encoded.is_ok(), "a record body refuses to encode");
    Ok(())
}

/// A command made more events than its record holds. The limits of the protocol are chosen so that none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyEvents {
    /// How many it made.
    pub count: usize,
}

impl core::fmt::Display for TooManyEvents {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "`{}` events do not fit one record, which holds `{RECORD_EVENTS_MAX}`", self.count)
    }
}

impl core::error::Error for TooManyEvents {}

/// Bytes of an encoded header: index, height, position, commitment.
const HEADER_SIZE_BYTES: usize = 8 + 8 + 4 + 32;

#[cfg(test)]
mod tests;
