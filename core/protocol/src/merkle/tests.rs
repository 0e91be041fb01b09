use proptest::prelude::*;

use super::*;
use crate::hash::Hex;

/// Distinct leaf hashes.
fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|index| leaf_hash(&index.to_le_bytes())).collect()
}

/// The largest power of two below a length of at least 2.
fn split(length: usize) -> usize {
    length.next_power_of_two() / 2
}

/// MTH of RFC 6962 §2.1, word for word.
fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH of RFC 6962 §2.1.1.
fn naive_path(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() < 2 {
        return vec![];
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = match index.checked_sub(left.len()) {
        None => (naive_path(index, left), naive_root(right)),
        Some(index) => (naive_path(index, right), naive_root(left)),
    };
    path.push(sibling);
    path
}

/// SUBPROOF of RFC 6962 §2.1.2.
fn naive_subproof(old_size: usize, leaves: &[Digest], is_known: bool) -> Vec<Digest> {
    if old_size == leaves.len() {
        return if is_known { vec![] } else { vec![naive_root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = match old_size.checked_sub(left.len()).filter(|&beyond| beyond > 0) {
        None => (naive_subproof(old_size, left, is_known), naive_root(right)),
        Some(beyond) => (naive_subproof(beyond, right, false), naive_root(left)),
    };
    path.push(sibling);
    path
}

fn inclusion(index: usize, leaves: &[Digest]) -> InclusionProof {
    InclusionProof {
        index: number(index),
        size: number(leaves.len()),
        path: BoundedVec::new(naive_path(index, leaves)).unwrap(),
    }
}

fn consistency(old_size: usize, leaves: &[Digest]) -> ConsistencyProof {
    ConsistencyProof {
        old_size: number(old_size),
        new_size: number(leaves.len()),
        path: BoundedVec::new(naive_subproof(old_size, leaves, true)).unwrap(),
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

fn altered(digest: &Digest) -> Digest {
    let mut other = *digest;
    other.0[7] ^= 1;
    other
}

/// Every path with one hash altered, left out or put in.
fn altered_paths<const MAX: usize>(path: &BoundedVec<Digest, MAX>) -> Vec<BoundedVec<Digest, MAX>> {
    let mut paths = Vec::new();
    for place in 0..=path.len() {
        let mut longer = path.as_slice().to_vec();
        longer.insert(place, leaf_hash(b"put in"));
        paths.push(longer);
        if let Some(hash) = path.as_slice().get(place) {
            let mut changed = path.as_slice().to_vec();
            changed[place] = altered(hash);
            let mut shorter = path.as_slice().to_vec();
            shorter.remove(place);
            paths.extend([changed, shorter]);
        }
    }
    paths.into_iter().map(|path| BoundedVec::new(path).unwrap()).collect()
}

const SIZE_MAX: usize = 40;

/// Roots of the trees over the first 0, 1, 2 … leaves.
fn roots(leaves: &[Digest]) -> Vec<Digest> {
    (0..=leaves.len()).map(|size| naive_root(&leaves[..size])).collect()
}

#[test]
fn the_frontier_has_the_root_of_the_whole_tree() {
    let leaves = leaves(300);
    let mut frontier = Frontier::default();
    for (size, leaf) in leaves.iter().enumerate() {
        assert_eq!(frontier.root(), naive_root(&leaves[..size]), "{size} leaves");
        assert_eq!(frontier.size(), number(size));
        assert!(frontier.is_consistent());
        let decoded: Frontier = borsh::from_slice(&borsh::to_vec(&frontier).unwrap()).unwrap();
        assert_eq!(decoded, frontier);
        frontier.append(*leaf);
    }
}

#[test]
fn a_frontier_whose_subtrees_do_not_fit_its_size_does_not_decode() {
    for (size, subtrees) in [(0, 1), (1, 0), (1, 2), (2, 2), (7, 2), (u64::MAX, 63)] {
        let bytes = borsh::to_vec(&(size, leaves(subtrees))).unwrap();
        assert!(borsh::from_slice::<Frontier>(&bytes).is_err(), "size {size} with {subtrees} subtrees");
    }
    let bytes = borsh::to_vec(&(u64::MAX, leaves(64))).unwrap();
    assert!(borsh::from_slice::<Frontier>(&bytes).is_ok());
}

/// The test vectors of the Certificate Transparency reference implementation.
#[test]
fn known_answers_of_certificate_transparency() {
    let inputs: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::default();
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(frontier.root().to_string(), *root, "{size} leaves");
        if let Some(input) = inputs.get(size) {
            frontier.append(leaf_hash(input));
        }
    }
    assert_eq!(Hex(empty_root().bytes()).to_string(), roots[0]);
}

#[test]
fn every_inclusion_proof_leads_to_the_root() {
    let leaves = leaves(SIZE_MAX);
    for size in 1..=SIZE_MAX {
        let tree = &leaves[..size];
        for (index, leaf) in tree.iter().enumerate() {
            let proof = inclusion(index, tree);
            assert_eq!(proof.root_from(*leaf), Some(naive_root(tree)), "leaf {index} of {size}");
            assert_eq!(borsh::from_slice::<InclusionProof>(&borsh::to_vec(&proof).unwrap()).unwrap(), proof);
        }
    }
}

/// A proof is checked against the root of the size that it states: a checkpoint names both.
#[test]
fn an_altered_inclusion_proof_leads_nowhere() {
    let leaves = leaves(SIZE_MAX + 2);
    let roots = roots(&leaves);
    for size in 1..=SIZE_MAX {
        for index in 0..size {
            let (leaf, proof) = (leaves[index], inclusion(index, &leaves[..size]));
            let is_accepted = |proof: &InclusionProof, leaf: Digest| {
                let root = usize::try_from(proof.size).ok().and_then(|size| roots.get(size));
                root.is_some() && proof.root_from(leaf) == root.copied()
            };
            assert!(is_accepted(&proof, leaf));
            assert!(!is_accepted(&proof, altered(&leaf)));
            for path in altered_paths(&proof.path) {
                assert!(!is_accepted(&InclusionProof { path, ..proof.clone() }, leaf));
            }
            for index in (0..=number(SIZE_MAX) + 2).chain([u64::MAX]).filter(|&index| index != proof.index) {
                assert!(!is_accepted(&InclusionProof { index, ..proof.clone() }, leaf), "{proof:?} as leaf {index}");
            }
            for size in (0..=number(SIZE_MAX) + 2).filter(|&size| size != proof.size) {
                assert!(!is_accepted(&InclusionProof { size, ..proof.clone() }, leaf), "{proof:?} of size {size}");
            }
        }
    }
}

#[test]
fn every_consistency_proof_verifies() {
    let leaves = leaves(SIZE_MAX);
    let roots = roots(&leaves);
    for new in 1..=SIZE_MAX {
        for old in 1..=new {
            let proof = consistency(old, &leaves[..new]);
            assert!(proof.verify(&roots[old], &roots[new]), "{old} of {new}");
            assert_eq!(borsh::from_slice::<ConsistencyProof>(&borsh::to_vec(&proof).unwrap()).unwrap(), proof);
        }
    }
}

#[test]
fn an_altered_consistency_proof_does_not_verify() {
    let leaves = leaves(SIZE_MAX + 2);
    let roots = roots(&leaves);
    for new in 1..=SIZE_MAX {
        for old in 1..=new {
            let proof = consistency(old, &leaves[..new]);
            let (old_root, new_root) = (&roots[old], &roots[new]);
            assert!(!proof.verify(&altered(old_root), new_root) && !proof.verify(old_root, &altered(new_root)));
            for path in altered_paths(&proof.path) {
                assert!(!ConsistencyProof { path, ..proof.clone() }.verify(old_root, new_root));
            }
            for other in (0..=SIZE_MAX + 2).filter(|&other| other != old) {
                let old_size = number(other);
                let altered = ConsistencyProof { old_size, ..proof.clone() };
                assert!(!altered.verify(&roots[other], new_root), "{proof:?} from size {other}");
            }
            for other in (0..=SIZE_MAX + 2).filter(|&other| other != new) {
                let new_size = number(other);
                let altered = ConsistencyProof { new_size, ..proof.clone() };
                assert!(!altered.verify(old_root, &roots[other]), "{proof:?} to size {other}");
            }
        }
    }
}

#[test]
fn a_fork_has_no_consistency_proof() {
    let honest = leaves(SIZE_MAX);
    for old in 1..SIZE_MAX {
        let mut forked = honest.clone();
        forked[old - 1] = altered(&forked[old - 1]);
        let old_root = naive_root(&honest[..old]);
        assert!(!consistency(old, &forked).verify(&old_root, &naive_root(&forked)), "forked at {old}");
    }
}

proptest! {
    #[test]
    fn prop_hostile_proofs_never_panic(index in any::<u64>(), size in any::<u64>(), hashes in 0usize..=64) {
        let path = BoundedVec::new(leaves(hashes)).unwrap();
        let _root = InclusionProof { index, size, path }.root_from(Digest::ZERO);
        let path = BoundedVec::new(leaves(hashes)).unwrap();
        let proof = ConsistencyProof { old_size: index, new_size: size, path };
        prop_assert!(!proof.verify(&Digest::ZERO, &Digest([1; 32])));
    }

    #[test]
    fn prop_proofs_of_large_trees_verify(size in 1usize..600, place in any::<prop::sample::Index>()) {
        let leaves = leaves(size);
        let index = place.index(size);
        let root = naive_root(&leaves);
        prop_assert_eq!(inclusion(index, &leaves).root_from(leaves[index]), Some(root));
        prop_assert!(consistency(index + 1, &leaves).verify(&naive_root(&leaves[..=index]), &root));
    }
}

/// A table in the plainest form: its rows' commitments level by level.
struct NaiveTable {
    id: TableId,
    rows: Vec<(Vec<u8>, Digest)>,
}

impl NaiveTable {
    fn new(kind: TableKind, segment: u16, row_count: usize) -> Self {
        let row = |index: usize| (format!("row {index}").into_bytes(), leaf_hash(&index.to_be_bytes()));
        Self { id: TableId { kind, segment }, rows: (0..row_count).map(row).collect() }
    }

    /// All levels from the commitments up to the root; each but the last has whole nodes of children.
    fn levels(&self) -> Vec<Vec<[Digest; TABLE_ARITY]>> {
        let mut level: Vec<Digest> = self.rows.iter().map(|(row, salt)| row_commitment(salt, row)).collect();
        let mut levels = Vec::new();
        loop {
            let nodes: Vec<_> = level
                .chunks(TABLE_ARITY)
                .map(|chunk| {
                    let mut children = [Digest::ZERO; TABLE_ARITY];
                    children[..chunk.len()].copy_from_slice(chunk);
                    children
                })
                .collect();
            level = nodes.iter().map(table_node_hash).collect();
            levels.push(nodes);
            if level.len() <= 1 {
                return levels;
            }
        }
    }

    fn summary(&self) -> TableSummary {
        let levels = self.levels();
        let tree_root = levels.last().and_then(|level| level.first()).map_or(Digest::ZERO, table_node_hash);
        TableSummary { table: self.id, row_count: number(self.rows.len()), tree_root }
    }

    fn proof(&self, index: usize, tables: &[TableSummary]) -> RowProof {
        let mut place = index;
        let levels = self.levels().into_iter().map(|level| {
            place /= TABLE_ARITY;
            level[place]
        });
        let (row, salt) = &self.rows[index];
        RowProof {
            table: self.id,
            index: number(index),
            row: BoundedVec::new(row.clone()).unwrap(),
            salt: *salt,
            levels: BoundedVec::new(levels.collect()).unwrap(),
            tables: BoundedVec::new(tables.to_vec()).unwrap(),
        }
    }
}

fn tables(row_count: usize) -> (NaiveTable, Vec<TableSummary>) {
    let accounts = NaiveTable::new(TableKind::Accounts, 0, row_count);
    let neighbours = [NaiveTable::new(TableKind::Chain, 0, 3), NaiveTable::new(TableKind::Vault, 1, 0)];
    let [chain, vault] = neighbours.map(|table| table.summary());
    let summaries = vec![chain, accounts.summary(), vault];
    (accounts, summaries)
}

const ROW_COUNTS: [usize; 10] = [1, 2, 7, 8, 9, 63, 64, 65, 512, 513];

#[test]
fn every_row_proof_leads_to_the_state_root() {
    for row_count in ROW_COUNTS {
        let (accounts, summaries) = tables(row_count);
        let root = state_root(&summaries);
        for index in (0..row_count).filter(|index| row_count < 100 || index % 37 == 0 || index + 1 == row_count) {
            let proof = accounts.proof(index, &summaries);
            assert_eq!(proof.state_root(), Some(root), "row {index} of {row_count}");
            assert_eq!(borsh::from_slice::<RowProof>(&borsh::to_vec(&proof).unwrap()).unwrap(), proof);
        }
    }
}

#[test]
fn an_altered_row_proof_leads_elsewhere() {
    for row_count in ROW_COUNTS {
        let (accounts, summaries) = tables(row_count);
        let root = Some(state_root(&summaries));
        let index = row_count / 2;
        let proof = accounts.proof(index, &summaries);
        let is_accepted = |change: &dyn Fn(&mut RowProof)| {
            let mut altered = proof.clone();
            change(&mut altered);
            altered.state_root() == root
        };
        assert!(is_accepted(&|_| ()));
        assert!(!is_accepted(&|proof| proof.row = BoundedVec::new(b"another row".to_vec()).unwrap()));
        assert!(!is_accepted(&|proof| proof.salt = altered(&proof.salt)));
        assert!(!is_accepted(&|proof| proof.table.kind = TableKind::Chain));
        assert!(!is_accepted(&|proof| proof.table.segment = 1));
        for other in (0..row_count + 70).filter(|&other| other != index) {
            assert!(!is_accepted(&|proof| proof.index = number(other)), "row {index} as {other} of {row_count}");
        }
        for level in 0..proof.levels.len() {
            for child in 0..TABLE_ARITY {
                assert!(!is_accepted(&|proof| {
                    let mut levels = proof.levels.as_slice().to_vec();
                    levels[level][child] = altered(&levels[level][child]);
                    proof.levels = BoundedVec::new(levels).unwrap();
                }));
            }
        }
        for table in 0..summaries.len() {
            let with = |change: &dyn Fn(&mut TableSummary)| {
                is_accepted(&|proof| {
                    let mut tables = proof.tables.as_slice().to_vec();
                    change(&mut tables[table]);
                    proof.tables = BoundedVec::new(tables).unwrap();
                })
            };
            assert!(!with(&|summary| summary.row_count += 1));
            assert!(!with(&|summary| summary.tree_root = altered(&summary.tree_root)));
            assert!(!with(&|summary| summary.table.segment += 1));
        }
    }
}

/// A row proof of another height than the table's never counts, even where every hash fits: a node is not a row.
#[test]
fn a_row_proof_has_exactly_the_height_of_its_table() {
    for row_count in ROW_COUNTS {
        let (accounts, summaries) = tables(row_count);
        let proof = accounts.proof(0, &summaries);
        let with_levels = |levels: Vec<[Digest; TABLE_ARITY]>| {
            let tree_root = levels.last().map_or(Digest::ZERO, table_node_hash);
            let mut tables = summaries.clone();
            tables[1].tree_root = tree_root;
            let levels = BoundedVec::new(levels).unwrap();
            RowProof { levels, tables: BoundedVec::new(tables).unwrap(), ..proof.clone() }.state_root()
        };
        let levels = proof.levels.as_slice().to_vec();
        assert!(with_levels(levels.clone()).is_some());
        assert_eq!(with_levels(levels[..levels.len() - 1].to_vec()), None, "{row_count} rows, a level less");
        let mut above = [Digest::ZERO; TABLE_ARITY];
        above[0] = summaries[1].tree_root;
        let higher = [levels, vec![above]].concat();
        assert_eq!(with_levels(higher), None, "{row_count} rows, a level more");
    }
}

#[test]
fn the_state_root_commits_to_order_count_and_name_of_its_tables() {
    let (_, summaries) = tables(3);
    let root = state_root(&summaries);
    let mut swapped = summaries.clone();
    swapped.swap(0, 1);
    assert_ne!(state_root(&swapped), root);
    assert_ne!(state_root(&summaries[..2]), root);
    let renamed = table_root(TableId { kind: TableKind::Vault, segment: 2 }, 3, &Digest::ZERO);
    assert_ne!(table_root(TableId { kind: TableKind::Vault, segment: 1 }, 3, &Digest::ZERO), renamed);
}

#[test]
fn table_kinds_encode_as_their_numbers() {
    use TableKind::*;
    for kind in [Chain, Accounts, Segment, SubAccounts, Markets, Vault, Withdrawals, Transfers, Deposits] {
        let table = TableId { kind, segment: 0x0201 };
        assert_eq!(borsh::to_vec(&table).unwrap(), [kind.number(), 1, 2]);
        assert_eq!(table.bytes(), [kind.number(), 1, 2]);
    }
}
