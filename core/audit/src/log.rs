//! The log of records: an RFC 6962 tree over record headers.
//!
//! A replica keeps only the right edge of the tree, which is enough to append and to know the root. Proofs are made
//! from the leaves by whoever keeps them. One proof hashes each leaf at most once, so its cost is linear in the size
//! of the log; tiles, which keep the subtrees' roots, will make it logarithmic without changing a proof.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::merkle::{ConsistencyProof, Frontier, InclusionProof};
use casemate_protocol::{BoundedVec, Digest, RecordIndex};

/// The right edge of the log. A log whose parts contradict each other does not decode.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Log {
    frontier: Frontier,
}

impl Log {
    /// Adds a record by its header's leaf. Returns the record's index.
    pub fn append(&mut self, leaf: Digest) -> RecordIndex {
        let index = RecordIndex::new(self.frontier.size());
        self.frontier.append(leaf);
        index
    }

    /// Number of records; also the index of the next one.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root over all records.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.frontier.root()
    }
}

/// Someone who keeps the leaves of a log.
pub trait LeafSource {
    /// The leaf at an index, or `None` if it is not kept or not there yet.
    fn leaf(&self, index: RecordIndex) -> Option<Digest>;
}

impl LeafSource for [Digest] {
    fn leaf(&self, index: RecordIndex) -> Option<Digest> {
        self.get(usize::try_from(index.number()).ok()?).copied()
    }
}

impl LeafSource for Vec<Digest> {
    fn leaf(&self, index: RecordIndex) -> Option<Digest> {
        self.as_slice().leaf(index)
    }
}

/// Proof that a record is in the log of the first `size` records (RFC 6962 §2.1.1).
///
/// `None` if the index is outside, or a leaf is missing.
#[must_use]
pub fn inclusion_proof<L: LeafSource + ?Sized>(leaves: &L, index: RecordIndex, size: u64) -> Option<InclusionProof> {
    let place = index.number();
    if place >= size {
        return None;
    }
    let (mut begin, mut end) = (0, size);
    let mut path = Vec::new();
    while let Some(left) = left_size(end - begin) {
        let middle = begin + left;
        if place < middle {
            path.push(subtree_root(leaves, middle, end)?);
            end = middle;
        } else {
            path.push(subtree_root(leaves, begin, middle)?);
            begin = middle;
        }
    }
    path.reverse();
    Some(InclusionProof { index: place, size, path: BoundedVec::new(path)? })
}

/// Proof that the log of the first `old_size` records is a prefix of that of the first `new_size` (RFC 6962 §2.1.2).
///
/// `None` if the old log is empty or larger than the new one, or a leaf is missing.
#[must_use]
pub fn consistency_proof<L: LeafSource + ?Sized>(leaves: &L, old_size: u64, new_size: u64) -> Option<ConsistencyProof> {
    if old_size == 0 || old_size > new_size {
        return None;
    }
    let (mut begin, mut end) = (0, new_size);
    let mut path = Vec::new();
    while old_size < end {
        let middle = begin + left_size(end - begin)?;
        if old_size <= middle {
            path.push(subtree_root(leaves, middle, end)?);
            end = middle;
        } else {
            path.push(subtree_root(leaves, begin, middle)?);
            begin = middle;
        }
    }
    // A whole old log is known to the verifier by its root; a part of it is not.
    if begin > 0 {
        path.push(subtree_root(leaves, begin, end)?);
    }
    path.reverse();
    Some(ConsistencyProof { old_size, new_size, path: BoundedVec::new(path)? })
}

/// Root over the leaves of a range.
fn subtree_root<L: LeafSource + ?Sized>(leaves: &L, begin: u64, end: u64) -> Option<Digest> {
    let mut subtree = Frontier::default();
    for index in begin..end {
        subtree.append(leaves.leaf(RecordIndex::new(index))?);
    }
    Some(subtree.root())
}

/// Leaves in the left half of a tree: the largest power of two below its size. `None` for a single leaf.
fn left_size(size: u64) -> Option<u64> {
    let exponent = size.checked_sub(1)?.checked_ilog2()?;
    1u64.checked_shl(exponent)
}

#[cfg(test)]
mod tests;
