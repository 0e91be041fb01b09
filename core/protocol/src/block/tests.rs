use proptest::prelude::*;

use super::*;
use crate::merkle::{leaf_hash, node_hash};
use crate::testing::golden::{assert_golden, hex_of, table};
use crate::testing::{arbitrary, examples};

proptest! {
    #[test]
    fn prop_headers_survive_decode_and_encode(header in arbitrary::header()) {
        let bytes = borsh::to_vec(&header).unwrap();
        prop_assert_eq!(borsh::from_slice::<Header>(&bytes).unwrap(), header);
    }

    #[test]
    fn prop_blocks_survive_decode_and_encode(block in arbitrary::block(6)) {
        let bytes = borsh::to_vec(&block).unwrap();
        prop_assert_eq!(borsh::from_slice::<Block>(&bytes).unwrap(), block);
    }
}

#[test]
fn every_bit_of_a_header_is_part_of_its_id() {
    let header = examples::header();
    let bytes = borsh::to_vec(&header).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let other: Header = borsh::from_slice(&flipped).unwrap();
        assert_ne!(other.id(), header.id(), "bit {bit}");
    }
}

#[test]
fn the_envelope_root_is_the_log_tree_over_the_bytes() {
    let bytes: [&[u8]; 3] = [b"one", b"two", b"three"];
    let [one, two, three] = bytes.map(leaf_hash);
    assert_eq!(envelope_root(bytes.into_iter()), node_hash(&node_hash(&one, &two), &three));
    assert_eq!(envelope_root([].into_iter()), merkle::empty_root());
    let reversed = bytes.into_iter().rev();
    assert_ne!(envelope_root(reversed), envelope_root(bytes.into_iter()), "order counts");
}

#[test]
fn a_seal_secret_is_never_shown() {
    assert_eq!(format!("{:?}", examples::seal_secret()), "SealSecret(..)");
    assert_ne!(examples::seal_secret().commitment(), SealSecret([0; 32]).commitment());
}

#[test]
fn envelope_bytes_end_at_the_maximum_of_an_envelope() {
    assert!(EnvelopeBytes::new(vec![0; ENVELOPE_SIZE_BYTES_MAX]).is_some());
    assert!(EnvelopeBytes::new(vec![0; ENVELOPE_SIZE_BYTES_MAX + 1]).is_none());
}

#[test]
fn golden_headers() {
    let first = Header {
        height: Height::new(1),
        parent: Digest::ZERO,
        envelope_count: 0,
        envelope_root: merkle::empty_root(),
        log_size: 0,
        log_root: merkle::empty_root(),
        ..examples::header()
    };
    let rows = [("first", first), ("later", examples::header())]
        .map(|(name, header)| [name.to_owned(), hex_of(&header), header.id().to_string()]);
    assert_golden("header.tsv", &table(["name", "bytes", "id"], &rows));
}
