//! Blocks: headers, bodies and the digest that names them.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::hash::{self, Digest, Domain};
use crate::ids::{Height, OperatorId, PolicyEpoch};
use crate::limits::{BLOCK_ENVELOPES_MAX, ENVELOPE_SIZE_BYTES_MAX};
use crate::merkle;
use crate::units::TimeMs;

/// The protocol version whose rules this software applies.
pub const PROTOCOL_VERSION: u32 = 1;

/// One envelope's bytes as they arrived.
pub type EnvelopeBytes = BoundedVec<u8, ENVELOPE_SIZE_BYTES_MAX>;

/// A block header. Roots are those after the block, so a voter executes before it votes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// Rules in force.
    pub protocol_version: u32,
    /// The chain.
    pub chain_id: Digest,
    /// Height of this block.
    pub height: Height,
    /// Block time; grows strictly.
    pub time_ms: TimeMs,
    /// Id of the block before; zero at height 1's parent, genesis.
    pub parent: Digest,
    /// Who proposed it.
    pub proposer: OperatorId,
    /// Policy in force.
    pub policy_epoch: PolicyEpoch,
    /// Number of envelopes.
    pub envelope_count: u32,
    /// Root over the envelopes' bytes, in order.
    pub envelope_root: Digest,
    /// State after the block.
    pub state_root: Digest,
    /// Records in the log after the block.
    pub log_size: u64,
    /// Root of the log after the block.
    pub log_root: Digest,
    /// Commitment to the block's seal secret.
    pub seal_commitment: Digest,
    /// The proposer's next randomness reveal; zero under a solo sequencer.
    pub randomness_reveal: Digest,
    /// Hash of the next validator set; zero under a solo sequencer.
    pub next_validators: Digest,
}

impl Header {
    /// The block id.
    #[must_use]
    pub fn id(&self) -> Digest {
        hash::digest_of(Domain::Header, self)
    }
}

/// A block: header, the seal secret that its header commits to, and the envelopes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Secret from which the salts of this block's records and rows derive.
    pub seal_secret: SealSecret,
    /// Envelopes in order.
    pub envelopes: BoundedVec<EnvelopeBytes, BLOCK_ENVELOPES_MAX>,
}

/// A secret of replicas. Shown in no message, log or dump.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealSecret(pub [u8; 32]);

impl core::fmt::Debug for SealSecret {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("SealSecret(..)")
    }
}

impl SealSecret {
    /// What a header commits to.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        hash::digest(Domain::SealSecret, &[&self.0])
    }
}

/// Root over envelopes' bytes: the RFC 6962 tree over their digests.
#[must_use]
pub fn envelope_root<'a>(envelopes: impl Iterator<Item = &'a [u8]>) -> Digest {
    let mut tree = merkle::Frontier::default();
    for bytes in envelopes {
        tree.append(merkle::leaf_hash(bytes));
    }
    tree.root()
}

#[cfg(test)]
mod tests;
