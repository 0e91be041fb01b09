//! Merkle trees: the RFC 6962 log tree (hashing, appending, proof verification) and the verification of table rows.
//!
//! The log tree is binary with the prefixes of RFC 6962 §2.1. The page tree of a table has eight children a node: a
//! changed row then costs about half the hashing of a binary tree, and a page of 64 rows is exactly two of its levels
//! (`docs/decisions/0004`). Building page trees is the business of `ledger`; here is only what a verifier needs.

use borsh::io::{Error, ErrorKind, Read};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::hash::{self, Digest, Domain};

/// Leaf hash of RFC 6962: SHA-256(0x00 ‖ data).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Digest {
    hash::plain(&[&[0], data])
}

/// Node hash of RFC 6962: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    hash::plain(&[&[1], left.bytes(), right.bytes()])
}

/// Root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Digest {
    hash::plain(&[])
}

/// The right edge of a log tree: enough to append and to know the root, whatever the size.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, largest first; one for each set bit of `size`.
    subtrees: BoundedVec<Digest, 64>,
}

impl Frontier {
    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    pub fn append(&mut self, leaf: Digest) {
        let mut subtrees = core::mem::take(&mut self.subtrees).into_vec();
        let mut root = leaf;
        let mut size = self.size;
        while size & 1 == 1 {
            let Some(left) = subtrees.pop() else { break };
            root = node_hash(&left, &root);
            size >>= 1;
        }
        subtrees.push(root);
        self.size = self.size.saturating_add(1);
        self.subtrees = BoundedVec::new(subtrees).unwrap_or_default();
    }

    /// Root over all leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(smallest) = subtrees.next() else {
            return empty_root();
        };
        subtrees.fold(*smallest, |right, left| node_hash(left, &right))
    }

    /// Whether the number of subtrees fits the size, as it does in every frontier made by appending.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        u32::try_from(self.subtrees.len()) == Ok(self.size.count_ones())
    }
}

impl BorshDeserialize for Frontier {
    fn deserialize_reader<R: Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let (size, subtrees) = BorshDeserialize::deserialize_reader(reader)?;
        let frontier = Self { size, subtrees };
        if frontier.is_consistent() {
            Ok(frontier)
        } else {
            Err(Error::new(ErrorKind::InvalidData, "number of subtrees does not fit the size of the log"))
        }
    }
}

/// Proof that a record is in the log: RFC 6962 §2.1.1, verified as in RFC 9162 §2.1.3.2.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InclusionProof {
    /// Index of the leaf.
    pub index: u64,
    /// Size of the tree.
    pub size: u64,
    /// Sibling hashes, lowest first.
    pub path: BoundedVec<Digest, 64>,
}

impl InclusionProof {
    /// The root that the proof leads to from this leaf, or `None` if its shape is impossible.
    #[must_use]
    pub fn root_from(&self, leaf: Digest) -> Option<Digest> {
        if self.index >= self.size {
            return None;
        }
        let (mut node, mut last, mut root) = (self.index, self.size.checked_sub(1)?, leaf);
        for sibling in &self.path {
            if last == 0 {
                return None;
            }
            if node & 1 == 1 || node == last {
                root = node_hash(sibling, &root);
                while node & 1 == 0 && node != 0 {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                root = node_hash(&root, sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        (last == 0).then_some(root)
    }
}

/// Proof that a smaller log is a prefix of a larger one: RFC 9162 §2.1.4.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ConsistencyProof {
    /// Size of the smaller tree, at least 1.
    pub old_size: u64,
    /// Size of the larger tree.
    pub new_size: u64,
    /// Hashes, as in RFC 9162 §2.1.4.1.
    pub path: BoundedVec<Digest, 65>,
}

impl ConsistencyProof {
    /// Whether the proof leads from the old root to the new one.
    #[must_use]
    pub fn verify(&self, old_root: &Digest, new_root: &Digest) -> bool {
        self.roots(old_root).is_some_and(|(old, new)| old == *old_root && new == *new_root)
    }

    fn roots(&self, old_root: &Digest) -> Option<(Digest, Digest)> {
        if self.old_size == 0 || self.old_size > self.new_size {
            return None;
        }
        if self.old_size == self.new_size {
            return self.path.is_empty().then_some((*old_root, *old_root));
        }
        let mut path = self.path.iter().copied();
        let (mut node, mut last) = (self.old_size.checked_sub(1)?, self.new_size.checked_sub(1)?);
        while node & 1 == 1 {
            node >>= 1;
            last >>= 1;
        }
        let seed = if self.old_size.is_power_of_two() { *old_root } else { path.next()? };
        let (mut old, mut new) = (seed, seed);
        for sibling in path {
            if last == 0 {
                return None;
            }
            if node & 1 == 1 || node == last {
                old = node_hash(&sibling, &old);
                new = node_hash(&sibling, &new);
                while node & 1 == 0 && node != 0 {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                new = node_hash(&new, &sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        (last == 0).then_some((old, new))
    }
}

/// Children of a page-tree node.
pub const TABLE_ARITY: usize = 8;
/// Levels of a page tree that any row count needs at most.
pub const TABLE_LEVELS_MAX: usize = 22;

/// Hash of a page-tree node over its children; absent children are zero, and a node without any child is absent itself.
#[must_use]
pub fn table_node_hash(children: &[Digest; TABLE_ARITY]) -> Digest {
    if children.iter().all(|child| *child == Digest::ZERO) {
        return Digest::ZERO;
    }
    hash::digest_of_digests(Domain::TableNode, children)
}

/// Commitment of one row: hides it until row and salt are shown.
#[must_use]
pub fn row_commitment(salt: &Digest, row: &[u8]) -> Digest {
    hash::digest(Domain::Row, &[salt.bytes(), row])
}

/// Root of a table over its row count and page tree.
#[must_use]
pub fn table_root(table: TableId, row_count: u64, tree_root: &Digest) -> Digest {
    hash::digest(Domain::TableRoot, &[&table.bytes(), &row_count.to_le_bytes(), tree_root.bytes()])
}

/// Name of a table in the state root: what it holds, and of which segment (0 for the whole chain).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct TableId {
    /// What the rows are.
    pub kind: TableKind,
    /// The segment, or zero.
    pub segment: u16,
}

/// What the rows of a table are. Numbers are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum TableKind {
    /// Chain-wide facts: clocks, registries, policy epoch.
    Chain = 1,
    /// Accounts with keys, grants and nonces; row = account number.
    Accounts = 2,
    /// A segment's totals, counters and limiter.
    Segment = 3,
    /// Sub-accounts of a segment: balances and positions; row = account number.
    SubAccounts = 4,
    /// Markets of a segment with the digests of their books.
    Markets = 5,
    /// The segment's vault.
    Vault = 6,
    /// Withdrawals by number.
    Withdrawals = 7,
    /// Transfers by number.
    Transfers = 8,
    /// Deposit claims in the order in which they were first attested.
    Deposits = 9,
    /// Safeguards of accounts that use any, in the order in which they first did.
    Safeguards = 10,
}

impl TableId {
    fn bytes(self) -> [u8; 3] {
        let [low, high] = self.segment.to_le_bytes();
        [self.kind.number(), low, high]
    }
}

impl TableKind {
    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Chain => 1,
            Self::Accounts => 2,
            Self::Segment => 3,
            Self::SubAccounts => 4,
            Self::Markets => 5,
            Self::Vault => 6,
            Self::Withdrawals => 7,
            Self::Transfers => 8,
            Self::Deposits => 9,
            Self::Safeguards => 10,
        }
    }
}

/// The state root: over every table, its row count and root, in order.
#[must_use]
pub fn state_root(tables: &[TableSummary]) -> Digest {
    let mut hasher = hash::Hasher::new(Domain::StateRoot);
    for table in tables {
        hasher.update(table_root(table.table, table.row_count, &table.tree_root).bytes());
    }
    hasher.finish()
}

/// One table as the state root sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TableSummary {
    /// Which table.
    pub table: TableId,
    /// Rows, absent ones included.
    pub row_count: u64,
    /// Root of its page tree.
    pub tree_root: Digest,
}

/// Tables of a state at most, for decoding.
pub const TABLES_MAX: usize = 3 + 8 * crate::limits::SEGMENTS_MAX;

/// Proof that a row is in a state: shows one row, its salt, and hashes only.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RowProof {
    /// The row's table.
    pub table: TableId,
    /// The row's index.
    pub index: u64,
    /// Canonical bytes of the row.
    pub row: BoundedVec<u8, ROW_SIZE_BYTES_MAX>,
    /// The row's salt.
    pub salt: Digest,
    /// For each level from the rows up, the eight children of the node on the path.
    pub levels: BoundedVec<[Digest; TABLE_ARITY], TABLE_LEVELS_MAX>,
    /// Every table of the state, in order.
    pub tables: BoundedVec<TableSummary, TABLES_MAX>,
}

/// Bytes of a row at most, for decoding.
pub const ROW_SIZE_BYTES_MAX: usize = 1 << 20;

impl RowProof {
    /// The state root that the proof leads to, or `None` if it contradicts itself.
    #[must_use]
    pub fn state_root(&self) -> Option<Digest> {
        let summary = self.tables.iter().find(|summary| summary.table == self.table)?;
        if self.index >= summary.row_count {
            return None;
        }
        let mut node = row_commitment(&self.salt, self.row.as_slice());
        let mut index = self.index;
        let mut width = summary.row_count;
        let arity = u64::try_from(TABLE_ARITY).ok()?;
        for (level, children) in self.levels.iter().enumerate() {
            // The path has exactly the height of a tree over that many rows: one level at least, and none above the
            // first node that covers all of them.
            if level > 0 && width == 1 {
                return None;
            }
            let place = usize::try_from(index.checked_rem(arity)?).ok()?;
            if *children.get(place)? != node {
                return None;
            }
            node = table_node_hash(children);
            index = index.checked_div(arity)?;
            width = width.div_ceil(arity);
        }
        (width == 1 && !self.levels.is_empty() && node == summary.tree_root).then(|| state_root(self.tables.as_slice()))
    }
}

#[cfg(test)]
mod tests;
