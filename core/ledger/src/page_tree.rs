//! The page tree of a table: a Merkle tree with eight children a node over salted row commitments.
//!
//! Changed rows and their paths are hashed once per root, each node once however many of its rows changed. The tree
//! keeps, for each row, the commitment and the height at which it was made, from which the row's salt derives.
//!
//! Public because it is most of a block's cost, and so is measured by itself.

use casemate_protocol::hash::{self, Domain};
use casemate_protocol::merkle::{TABLE_ARITY, TableId, table_node_hash};
use casemate_protocol::parallel::{Parallel, Sequential};
use casemate_protocol::{Digest, Height};

/// Nodes that one piece of parallel work hashes.
const NODES_PER_PIECE: usize = 256;
/// Nodes whose children are read together.
const NODES_TOUCHED: usize = 32;

/// A row's commitment and when it was made. Heights have 40 bits here: a block every 5 ms for 170 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowSeal {
    commitment: Digest,
    height: [u8; 5],
}

/// The seals of a table. Hashing a node reads eight commitments in a row and no height, so the two are kept apart.
#[derive(Clone, Debug, Default)]
pub struct RowSeals {
    commitments: Vec<Digest>,
    heights: Vec<[u8; 5]>,
}

impl RowSeal {
    /// A commitment made at a height.
    #[must_use]
    pub fn new(commitment: Digest, height: Height) -> Self {
        Self { commitment, height: low_forty_bits(height.number()) }
    }

    /// The commitment; zero for an absent row.
    #[must_use]
    pub const fn commitment(&self) -> Digest {
        self.commitment
    }

    /// The height at which the commitment was made.
    #[must_use]
    pub const fn height(&self) -> Height {
        let [a, b, c, d, e] = self.height;
        Height::new(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
    }
}

impl RowSeals {
    /// Number of rows, absent ones included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.commitments.len()
    }

    /// True for a table that never had a row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.commitments.is_empty()
    }

    /// Every seal, in order.
    pub fn iter(&self) -> impl Iterator<Item = RowSeal> + '_ {
        self.commitments.iter().zip(&self.heights).map(|(&commitment, &height)| RowSeal { commitment, height })
    }

    fn get(&self, index: usize) -> Option<RowSeal> {
        Some(RowSeal { commitment: *self.commitments.get(index)?, height: *self.heights.get(index)? })
    }

    /// Puts a seal in the place of another, and returns that one; `None` if there is no such place.
    fn replace(&mut self, index: usize, seal: RowSeal) -> Option<RowSeal> {
        let (commitment, height) = (self.commitments.get_mut(index)?, self.heights.get_mut(index)?);
        Some(RowSeal {
            commitment: core::mem::replace(commitment, seal.commitment),
            height: core::mem::replace(height, seal.height),
        })
    }

    fn resize(&mut self, count: usize) {
        if count > self.commitments.capacity() {
            let wanted = count.saturating_sub(self.len()).max(self.len() / 8);
            self.commitments.reserve_exact(wanted);
            self.heights.reserve_exact(wanted);
        }
        self.commitments.resize(count, Digest::ZERO);
        self.heights.resize(count, [0; 5]);
    }
}

impl FromIterator<RowSeal> for RowSeals {
    fn from_iter<I: IntoIterator<Item = RowSeal>>(seals: I) -> Self {
        let (commitments, heights) = seals.into_iter().map(|seal| (seal.commitment, seal.height)).unzip();
        Self { commitments, heights }
    }
}

/// The page tree of one table.
#[derive(Clone, Debug, Default)]
pub struct PageTree {
    rows: RowSeals,
    /// Nodes above the rows, lowest level first; the last level has one node.
    levels: Vec<Vec<Digest>>,
}

/// What a root replaced: enough to take it back.
#[derive(Clone, Debug, Default)]
pub struct TreeUndo {
    row_count: usize,
    seals: Vec<(usize, RowSeal)>,
}

impl PageTree {
    /// Root of the tree; zero while there is no row.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or(Digest::ZERO)
    }

    /// The seal of a row.
    #[must_use]
    pub fn seal(&self, index: u64) -> Option<RowSeal> {
        self.rows.get(usize::try_from(index).ok()?)
    }

    /// Replaces seals, in increasing order of index, and rehashes their paths. Returns how to take it back.
    pub fn update<P: Parallel>(&mut self, row_count: u64, seals: &[(u64, RowSeal)], parallel: &P) -> TreeUndo {
        let mut undo = TreeUndo { row_count: self.rows.len(), seals: Vec::with_capacity(seals.len()) };
        self.resize(usize::try_from(row_count).unwrap_or(usize::MAX));
        let mut changed = Vec::with_capacity(seals.len());
        for &(index, seal) in seals {
            let Ok(index) = usize::try_from(index) else { continue };
            let Some(before) = self.rows.replace(index, seal) else { continue };
            undo.seals.push((index, before));
            changed.push(index);
        }
        self.rehash(changed, parallel);
        undo
    }

    /// Takes an update back. Updates are taken back in the reverse of their order.
    pub fn undo(&mut self, undo: &TreeUndo) {
        let mut changed = Vec::with_capacity(undo.seals.len());
        for &(index, seal) in undo.seals.iter().rev() {
            if self.rows.replace(index, seal).is_some() {
                changed.push(index);
            }
        }
        self.resize(undo.row_count);
        changed.retain(|&index| index < undo.row_count);
        // The last row's path is the right edge, where nodes may have covered rows that are gone.
        changed.extend(undo.row_count.checked_sub(1));
        changed.sort_unstable();
        self.rehash(changed, &Sequential);
    }

    /// For each level from the rows up, the eight children of the node on a row's path.
    #[must_use]
    pub fn path(&self, index: u64) -> Option<Vec<[Digest; TABLE_ARITY]>> {
        let mut index = usize::try_from(index).ok().filter(|&index| index < self.rows.len())?;
        let mut path = Vec::with_capacity(self.levels.len());
        for level in 0..self.levels.len() {
            index /= TABLE_ARITY;
            path.push(self.children(level, index));
        }
        Some(path)
    }

    /// Rebuilds a tree from its row seals, as a snapshot keeps them.
    #[must_use]
    pub fn from_seals<P: Parallel>(seals: RowSeals, parallel: &P) -> Self {
        let count = seals.len();
        let mut tree = Self::default();
        tree.resize(count);
        tree.rows = seals;
        tree.rehash((0..count).collect(), parallel);
        tree
    }

    /// Every row's seal, in order.
    #[must_use]
    pub const fn seals(&self) -> &RowSeals {
        &self.rows
    }

    fn resize(&mut self, row_count: usize) {
        self.rows.resize(row_count);
        let mut width = row_count;
        let mut level = 0;
        while width > 1 || (level == 0 && width == 1) {
            width = width.div_ceil(TABLE_ARITY);
            match self.levels.get_mut(level) {
                Some(nodes) => nodes.resize(width, Digest::ZERO),
                None => self.levels.push(vec![Digest::ZERO; width]),
            }
            level = level.saturating_add(1);
        }
        self.levels.truncate(level);
    }

    /// Rehashes the nodes above rows given in increasing order.
    fn rehash<P: Parallel>(&mut self, mut changed: Vec<usize>, parallel: &P) {
        // A tree that grew a level has new nodes on the left edge whose children did not change.
        let grown = self.levels.iter().enumerate().skip(1).filter(|(_, nodes)| nodes.first() == Some(&Digest::ZERO));
        let refresh_left_edge = grown.count() > 0 && !self.rows.is_empty();
        if refresh_left_edge && changed.first() != Some(&0) {
            changed.insert(0, 0);
        }
        for level in 0..self.levels.len() {
            let mut parents = core::mem::take(&mut changed);
            parents.iter_mut().for_each(|index| *index /= TABLE_ARITY);
            parents.dedup();
            let mut pieces: Vec<(&[usize], Vec<Digest>)> =
                parents.chunks(NODES_PER_PIECE).map(|piece| (piece, Vec::with_capacity(piece.len()))).collect();
            let tree = &*self;
            parallel.for_each_mut(&mut pieces, |(parents, hashes)| tree.hash_nodes(level, parents, hashes));
            let hashes: Vec<Digest> = pieces.into_iter().flat_map(|(_, hashes)| hashes).collect();
            for (&parent, hash) in parents.iter().zip(hashes) {
                if let Some(node) = self.levels.get_mut(level).and_then(|nodes| nodes.get_mut(parent)) {
                    *node = hash;
                }
            }
            changed = parents;
        }
    }

    /// Hashes nodes, reading the children of many before hashing the first: such loads overlap, see `touch`.
    fn hash_nodes(&self, level: usize, parents: &[usize], hashes: &mut Vec<Digest>) {
        for parents in parents.chunks(NODES_TOUCHED) {
            let touched = parents.iter().fold(0u8, |sum, &parent| {
                self.children(level, parent).iter().fold(sum, |sum, child| sum ^ child.0.first().copied().unwrap_or(0))
            });
            core::hint::black_box(touched);
            hashes.extend(parents.iter().map(|&parent| table_node_hash(&self.children(level, parent))));
        }
    }

    fn children(&self, level: usize, parent: usize) -> [Digest; TABLE_ARITY] {
        let first = parent.saturating_mul(TABLE_ARITY);
        let below = match level.checked_sub(1) {
            None => Some(&self.rows.commitments),
            Some(below) => self.levels.get(below),
        };
        let present = below.and_then(|below| below.get(first..)).unwrap_or(&[]);
        if let Some(children) = present.first_chunk() {
            return *children;
        }
        core::array::from_fn(|place| present.get(place).copied().unwrap_or(Digest::ZERO))
    }
}

fn low_forty_bits(number: u64) -> [u8; 5] {
    let [a, b, c, d, e, _, _, _] = number.to_le_bytes();
    [a, b, c, d, e]
}

/// The salt of a row: fresh at each height, so that showing one version of a row opens no other.
#[must_use]
pub fn row_salt(seed: &Digest, table: TableId, index: u64, height: Height) -> Digest {
    let [low, high] = table.segment.to_le_bytes();
    let place = [table.kind.number(), low, high];
    // Forty bits each, as everywhere in this module: tag, seed and place then fit one block of SHA-256.
    let (index, height) = (low_forty_bits(index), low_forty_bits(height.number()));
    hash::digest(Domain::RowSalt, &[seed.bytes(), &place, &index, &height])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seal(number: u64) -> RowSeal {
        RowSeal::new(hash::digest(Domain::Development, &[&number.to_le_bytes()]), Height::new(number))
    }

    /// The same root, computed by the obvious recursion.
    fn naive_root(rows: &[RowSeal]) -> Digest {
        let mut nodes: Vec<Digest> = rows.iter().map(RowSeal::commitment).collect();
        if nodes.is_empty() {
            return Digest::ZERO;
        }
        loop {
            nodes = nodes
                .chunks(TABLE_ARITY)
                .map(|chunk| {
                    table_node_hash(&core::array::from_fn(|place| chunk.get(place).copied().unwrap_or(Digest::ZERO)))
                })
                .collect();
            if nodes.len() == 1 {
                return nodes[0];
            }
        }
    }

    proptest! {
        #[test]
        fn prop_incremental_root_equals_the_naive_root_and_undo_restores_it(
            steps in proptest::collection::vec((1u64..700, proptest::collection::btree_set(0u64..700, 0..40)), 1..12)
        ) {
            let mut tree = PageTree::default();
            let mut rows: Vec<RowSeal> = Vec::new();
            let mut history = Vec::new();
            for (version, (count, changed)) in (0u64..).zip(steps) {
                let count = count.max(u64::try_from(rows.len()).unwrap());
                let before = tree.root();
                rows.resize(usize::try_from(count).unwrap(), RowSeal::default());
                let seals: Vec<(u64, RowSeal)> = changed.into_iter().filter(|&index| index < count)
                    .map(|index| (index, seal(index * 1000 + version))).collect();
                for &(index, seal) in &seals { rows[usize::try_from(index).unwrap()] = seal; }
                history.push((before, tree.update(count, &seals, &Sequential)));
                prop_assert_eq!(tree.root(), naive_root(&rows));
                prop_assert_eq!(PageTree::from_seals(rows.iter().copied().collect(), &Sequential).root(), tree.root());
            }
            for (before, undo) in history.into_iter().rev() {
                tree.undo(&undo);
                prop_assert_eq!(tree.root(), before);
            }
        }
    }
}
