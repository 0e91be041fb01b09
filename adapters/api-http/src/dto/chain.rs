//! What a client must know of a chain before it signs, and how the node does.

use casemate_protocol::genesis::Genesis;
use casemate_protocol::limits::{ENVELOPE_COMMANDS_MAX, ENVELOPE_SIZE_BYTES_MAX, ENVELOPE_VALIDITY_MS_MAX};
use serde::Serialize;
use utoipa::ToSchema;

use crate::values::{HexArray, Int, KeyText, Signed};

/// The chain's name and the rules that a client needs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChainJson {
    /// What every envelope names.
    pub chain_id: HexArray<32>,
    /// For people.
    pub name: String,
    /// A development chain: its money is worth nothing, and everything on it is public.
    pub is_development: bool,
    /// Largest envelope.
    pub envelope_size_bytes_max: u64,
    /// Most commands in an envelope.
    pub envelope_commands_max: u64,
    /// Longest time between signing and inclusion.
    pub envelope_validity_ms_max: u64,
    /// Least deposit that opens an account.
    pub opening_deposit_quote_micros_min: Signed,
    /// What of it is locked as the bond.
    pub bond_quote_micros: Signed,
    /// Distinct operators that must attest a deposit.
    pub attestor_quorum: u16,
    /// Who may attest; accounts from 1 on, in this order.
    pub attestors: Vec<AttestorJson>,
    /// The segments.
    pub segments: Vec<SegmentJson>,
}

/// An attestor of deposits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AttestorJson {
    /// Its account.
    pub account: u64,
    /// The operator behind it.
    pub operator: u16,
    /// Its root key.
    pub root_key: KeyText,
}

/// A segment's rules, as far as a client needs them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SegmentJson {
    /// Its id.
    pub segment: u16,
    /// The asset that its vault holds.
    pub asset: u16,
    /// Delay between request and release of a withdrawal.
    pub withdrawal_delay_ms: u64,
    /// Resting orders of one account at most.
    pub open_orders_max: u32,
}

impl ChainJson {
    /// What genesis says.
    #[must_use]
    pub fn of(genesis: &Genesis) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let attestor = |(account, attestor): (u64, &casemate_protocol::genesis::Attestor)| AttestorJson {
            account,
            operator: attestor.operator.number(),
            root_key: KeyText(attestor.root_key),
        };
        Self {
            chain_id: genesis.chain_id().into(),
            name: String::from_utf8_lossy(genesis.name.as_slice()).into_owned(),
            is_development: genesis.is_development,
            envelope_size_bytes_max: count(ENVELOPE_SIZE_BYTES_MAX),
            envelope_commands_max: count(ENVELOPE_COMMANDS_MAX),
            envelope_validity_ms_max: ENVELOPE_VALIDITY_MS_MAX,
            opening_deposit_quote_micros_min: Int(genesis.accounts.opening_deposit_min.micros()),
            bond_quote_micros: Int(genesis.accounts.bond.micros()),
            attestor_quorum: genesis.attestor_quorum,
            attestors: (1..).zip(genesis.attestors.iter()).map(attestor).collect(),
            segments: genesis
                .segments
                .iter()
                .map(|rules| SegmentJson {
                    segment: rules.id.number(),
                    asset: rules.asset.number(),
                    withdrawal_delay_ms: rules.withdrawal_delay_ms.ms(),
                    open_orders_max: rules.open_orders_max,
                })
                .collect(),
        }
    }
}

/// How the node does.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthJson {
    /// `ok` while it takes envelopes, `stopping` afterwards.
    pub status: &'static str,
    /// The chain.
    pub chain_id: HexArray<32>,
    /// A development chain.
    pub is_development: bool,
    /// One sequencer: integrity is proved, order, time and availability are that machine's word.
    pub sequencer: &'static str,
    /// Last durable block.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// Its block time.
    pub time_ms: u64,
    /// How long ago it became durable; none if there was no block since the node started.
    pub last_block_age_ms: Option<u64>,
}
