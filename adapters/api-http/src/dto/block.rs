//! Blocks: headers, and which envelopes they hold.

use casemate_protocol::Envelope;
use casemate_protocol::block::{Block, Header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::values::HexArray;

/// A block's header.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HeaderJson {
    /// The block id: digest of the header.
    pub id: HexArray<32>,
    /// Its height.
    pub height: u64,
    /// Rules in force.
    pub protocol_version: u32,
    /// The chain.
    pub chain_id: HexArray<32>,
    /// Block time.
    pub time_ms: u64,
    /// Id of the block before.
    pub parent: HexArray<32>,
    /// Who proposed it; 0 for a solo sequencer.
    pub proposer: u16,
    /// Policy in force.
    pub policy_epoch: u32,
    /// Number of envelopes.
    pub envelope_count: u32,
    /// Root over their bytes.
    pub envelope_root: HexArray<32>,
    /// State after the block.
    pub state_root: HexArray<32>,
    /// Records in the log after the block.
    pub log_size: u64,
    /// Root of the log after the block.
    pub log_root: HexArray<32>,
    /// Commitment to the block's seal secret.
    pub seal_commitment: HexArray<32>,
    /// The proposer's next reveal; zero for a solo sequencer.
    pub randomness_reveal: HexArray<32>,
    /// Hash of the next validator set; zero for a solo sequencer.
    pub next_validators: HexArray<32>,
}

/// A durable block.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BlockJson {
    /// Its header. The seal secret is never shown.
    pub header: HeaderJson,
    /// Ids of its envelopes, in order.
    pub envelopes: Vec<HexArray<32>>,
}

impl From<&Header> for HeaderJson {
    fn from(header: &Header) -> Self {
        Self {
            id: header.id().into(),
            height: header.height.number(),
            protocol_version: header.protocol_version,
            chain_id: header.chain_id.into(),
            time_ms: header.time_ms.ms(),
            parent: header.parent.into(),
            proposer: header.proposer.number(),
            policy_epoch: header.policy_epoch.number(),
            envelope_count: header.envelope_count,
            envelope_root: header.envelope_root.into(),
            state_root: header.state_root.into(),
            log_size: header.log_size,
            log_root: header.log_root.into(),
            seal_commitment: header.seal_commitment.into(),
            randomness_reveal: header.randomness_reveal.into(),
            next_validators: header.next_validators.into(),
        }
    }
}

impl From<&Block> for BlockJson {
    fn from(block: &Block) -> Self {
        let id = |bytes: &[u8]| Envelope::decode(bytes).map(|(_, digests)| digests.intent.into()).ok();
        Self {
            header: HeaderJson::from(&block.header),
            // Every envelope of a durable block was decoded before it was included.
            envelopes: block.envelopes.iter().filter_map(|bytes| id(bytes.as_slice())).collect(),
        }
    }
}
