//! What a client must know of a chain before it signs, and how the node does.

use casemate_protocol::genesis::{Genesis, Principal, PrincipalKind};
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
    /// A development chain: its money is worth nothing, and its keys derive from a public seed.
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
    /// Everybody whom genesis names; accounts from 1 on, in this order.
    pub principals: Vec<PrincipalJson>,
    /// Distinct operators of risk officers that must approve a proposal.
    pub risk_officer_quorum: u16,
    /// Distinct operators of governors that must approve one that is theirs.
    pub governor_quorum: u16,
    /// Longest life of a proposal.
    pub proposal_life_ms_max: u64,
    /// The segments.
    pub segments: Vec<SegmentJson>,
}

/// A party that genesis names.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PrincipalJson {
    /// Its account.
    pub account: u64,
    /// What it is there for.
    pub role: PrincipalRoleJson,
    /// The operator behind it.
    pub operator: u16,
    /// Its root key.
    pub root_key: KeyText,
}

/// What a party that genesis names is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalRoleJson {
    /// Attests deposits.
    Attestor,
    /// Publishes prices.
    Publisher,
    /// Reopens segments after a breaker.
    RiskOfficer,
    /// Decides what risk officers cannot.
    Governor,
    /// Takes over positions that the book cannot close.
    Backstop,
    /// Reads what it must to check.
    Auditor,
}

impl From<PrincipalKind> for PrincipalRoleJson {
    fn from(kind: PrincipalKind) -> Self {
        match kind {
            PrincipalKind::Attestor => Self::Attestor,
            PrincipalKind::Publisher => Self::Publisher,
            PrincipalKind::RiskOfficer => Self::RiskOfficer,
            PrincipalKind::Governor => Self::Governor,
            PrincipalKind::Backstop => Self::Backstop,
            PrincipalKind::Auditor => Self::Auditor,
        }
    }
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
        let attestor = |(account, attestor): (u64, &Principal)| AttestorJson {
            account,
            operator: attestor.operator.number(),
            root_key: KeyText(attestor.root_key),
        };
        let principal = |(account, (kind, principal)): (u64, (PrincipalKind, &Principal))| PrincipalJson {
            account,
            role: kind.into(),
            operator: principal.operator.number(),
            root_key: KeyText(principal.root_key),
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
            principals: (1..).zip(genesis.principals()).map(principal).collect(),
            risk_officer_quorum: genesis.risk_officers.quorum,
            governor_quorum: genesis.governors.quorum,
            proposal_life_ms_max: genesis.proposals.life_ms_max.ms(),
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
