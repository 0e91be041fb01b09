//! Proofs of rows against the state root in a block's header.

use casemate_ledger::Ledger;
use casemate_protocol::AccountId;
use casemate_protocol::merkle::{RowProof, TableKind, TableSummary};
use serde::Serialize;
use utoipa::ToSchema;

use super::block::HeaderJson;
use crate::values::{HexArray, HexBytes};

/// Proofs of an account's rows, all against one header.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountProofsJson {
    /// The header whose state root the proofs lead to.
    pub header: HeaderJson,
    /// The account's row, that of its safeguards if it ever used one, then its row in each segment where it has one.
    pub proofs: Vec<RowProofJson>,
}

/// Proof of one row: the row, its salt, and hashes only.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RowProofJson {
    /// What the row is.
    pub table: &'static str,
    /// Permanent number of that kind.
    pub table_kind: u8,
    /// The segment; 0 for the whole chain.
    pub segment: u16,
    /// The row's index.
    pub index: u64,
    /// Canonical bytes of the row.
    pub row: HexBytes,
    /// The row's salt.
    pub salt: HexArray<32>,
    /// For each level from the rows up, the eight children of the node on the path.
    pub levels: Vec<Vec<HexArray<32>>>,
    /// Every table of the state, in order.
    pub tables: Vec<TableJson>,
    /// The whole proof in canonical bytes, for programs that verify with the reference code.
    pub canonical: HexBytes,
}

/// One table as the state root sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TableJson {
    /// Permanent number of its kind.
    pub table_kind: u8,
    /// The segment; 0 for the whole chain.
    pub segment: u16,
    /// Rows, absent ones included.
    pub row_count: u64,
    /// Root of its page tree.
    pub tree_root: HexArray<32>,
}

/// Every proof about an account; empty if it does not exist.
#[must_use]
pub fn account_proofs(ledger: &Ledger, account: AccountId) -> Vec<RowProof> {
    let Some(own) = ledger.prove_account(account) else { return Vec::new() };
    let parts = ledger.segments().iter().filter_map(|segment| ledger.prove_sub_account(segment.id(), account));
    std::iter::once(own).chain(ledger.prove_safeguard(account)).chain(parts).collect()
}

impl From<&RowProof> for RowProofJson {
    fn from(proof: &RowProof) -> Self {
        Self {
            table: table_name(proof.table.kind),
            table_kind: proof.table.kind.number(),
            segment: proof.table.segment,
            index: proof.index,
            row: HexBytes(proof.row.as_slice().to_vec()),
            salt: proof.salt.into(),
            levels: proof.levels.iter().map(|children| children.iter().map(|&child| child.into()).collect()).collect(),
            tables: proof.tables.iter().map(TableJson::from).collect(),
            // Writing into memory cannot fail.
            canonical: HexBytes(borsh::to_vec(proof).unwrap_or_default()),
        }
    }
}

impl From<&TableSummary> for TableJson {
    fn from(summary: &TableSummary) -> Self {
        Self {
            table_kind: summary.table.kind.number(),
            segment: summary.table.segment,
            row_count: summary.row_count,
            tree_root: summary.tree_root.into(),
        }
    }
}

const fn table_name(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Chain => "chain",
        TableKind::Accounts => "accounts",
        TableKind::Segment => "segment",
        TableKind::SubAccounts => "sub_accounts",
        TableKind::Markets => "markets",
        TableKind::Vault => "vault",
        TableKind::Withdrawals => "withdrawals",
        TableKind::Transfers => "transfers",
        TableKind::Deposits => "deposits",
        TableKind::Safeguards => "safeguards",
    }
}
