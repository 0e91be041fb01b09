use casemate_protocol::merkle::{empty_root, leaf_hash, node_hash};
use proptest::prelude::*;

use super::*;

fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|index| leaf_hash(&index.to_le_bytes())).collect()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

/// MTH of RFC 6962 §2.1, word for word.
fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

#[test]
fn a_log_counts_its_records_and_has_the_root_of_their_tree() {
    let leaves = leaves(70);
    let mut log = Log::default();
    for (index, leaf) in leaves.iter().enumerate() {
        assert_eq!((log.size(), log.root()), (number(index), naive_root(&leaves[..index])));
        assert_eq!(log.append(*leaf), RecordIndex::new(number(index)));
        let restored: Log = borsh::from_slice(&borsh::to_vec(&log).unwrap()).unwrap();
        assert_eq!(restored, log);
    }
}

#[test]
fn a_log_whose_parts_contradict_each_other_does_not_decode() {
    let mut log = Log::default();
    leaves(11).into_iter().for_each(|leaf| {
        log.append(leaf);
    });
    let bytes = borsh::to_vec(&log).unwrap();
    for size in (0u64..40).filter(|size| size.count_ones() != 3) {
        let mut changed = bytes.clone();
        changed[..8].copy_from_slice(&size.to_le_bytes());
        assert!(borsh::from_slice::<Log>(&changed).is_err(), "size {size}");
    }
    assert!(borsh::from_slice::<Log>(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn every_inclusion_proof_verifies() {
    let leaves = leaves(130);
    for size in 1..=leaves.len() {
        let root = naive_root(&leaves[..size]);
        for (index, leaf) in leaves[..size].iter().enumerate() {
            let proof = inclusion_proof(&leaves, RecordIndex::new(number(index)), number(size)).unwrap();
            assert_eq!(proof.root_from(*leaf), Some(root), "{index} of {size}");
        }
    }
}

#[test]
fn every_consistency_proof_verifies() {
    let leaves = leaves(130);
    let roots: Vec<Digest> = (0..=leaves.len()).map(|size| naive_root(&leaves[..size])).collect();
    for new in 1..=leaves.len() {
        for old in 1..=new {
            let proof = consistency_proof(&leaves, number(old), number(new)).unwrap();
            assert!(proof.verify(&roots[old], &roots[new]), "{old} of {new}");
        }
    }
}

#[test]
fn what_is_not_there_is_not_proven() {
    let leaves = leaves(10);
    let inclusion = |index, size| inclusion_proof(&leaves, RecordIndex::new(index), size);
    for (index, size) in [(0, 0), (10, 10), (0, 11), (u64::MAX, u64::MAX), (3, u64::MAX)] {
        assert_eq!(inclusion(index, size), None, "{index} of {size}");
    }
    for (old, new) in [(0, 10), (0, 0), (5, 4), (5, 11), (11, 12), (1, u64::MAX), (1 << 63, u64::MAX)] {
        assert_eq!(consistency_proof(&leaves, old, new), None, "{old} of {new}");
    }
    // Equal logs need no leaf: the roots are compared.
    assert!(consistency_proof(&leaves, 99, 99).is_some_and(|proof| proof.path.is_empty()));
}

proptest! {
    #[test]
    fn prop_proofs_of_any_log_verify(
        size in 1usize..3_000,
        place in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves(size);
        let (index, old_size) = (place.index(size), old.index(size) + 1);
        let mut log = Log::default();
        let mut old_root = log.root();
        for leaf in &leaves {
            log.append(*leaf);
            if log.size() == number(old_size) {
                old_root = log.root();
            }
        }
        let proof = inclusion_proof(leaves.as_slice(), RecordIndex::new(number(index)), log.size()).unwrap();
        prop_assert_eq!(proof.root_from(leaves[index]), Some(log.root()));
        let proof = consistency_proof(&leaves, number(old_size), log.size()).unwrap();
        prop_assert!(proof.verify(&old_root, &log.root()));
    }

    #[test]
    fn prop_a_rewritten_log_has_no_consistency_proof(size in 2usize..300, place in any::<prop::sample::Index>()) {
        let honest = leaves(size);
        let old_size = place.index(size - 1) + 1;
        let mut rewritten = honest.clone();
        rewritten[old_size - 1] = leaf_hash(b"rewritten");
        let proof = consistency_proof(&rewritten, number(old_size), number(size)).unwrap();
        prop_assert!(!proof.verify(&naive_root(&honest[..old_size]), &naive_root(&rewritten)));
    }
}
