use std::collections::BTreeSet;

use super::*;
use crate::testing::golden::{assert_golden, table};

#[test]
fn tags_are_distinct_and_begin_with_their_length() {
    let tags: BTreeSet<&[u8]> = Domain::ALL.iter().map(|domain| domain.tag()).collect();
    assert_eq!(tags.len(), Domain::ALL.len());
    for tag in tags {
        assert_eq!(usize::from(tag[0]), tag.len() - 1);
        // The log tree hashes without a tag; its first bytes are 0 and 1.
        assert!(tag[0] > 1);
    }
}

#[test]
fn parts_values_and_pieces_give_the_same_digest() {
    let whole = digest(Domain::Row, &[b"abc"]);
    assert_eq!(digest(Domain::Row, &[b"a", b"", b"bc"]), whole);
    let mut hasher = Hasher::new(Domain::Row);
    hasher.update(b"ab");
    hasher.update_value(&b'c');
    assert_eq!(hasher.finish(), whole);
    assert_eq!(digest_of(Domain::Row, b"abc"), whole, "an array encodes as its bytes");
    assert_ne!(digest(Domain::RowSalt, &[b"abc"]), whole);
}

#[test]
fn digests_are_shown_in_lower_case_hexadecimal() {
    let mut bytes = [0; 32];
    bytes[0] = 0xab;
    bytes[31] = 0x01;
    assert_eq!(Digest(bytes).to_string(), format!("ab{}01", "0".repeat(60)));
    assert_eq!(format!("{:?}", Digest(bytes)), Digest(bytes).to_string());
}

#[test]
fn plain_sha256_is_that_of_fips_180() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(plain(&[b"a", b"bc"]).to_string(), abc);
}

#[test]
fn golden_domains() {
    let row = |&domain: &Domain| {
        let tag = Hex(domain.tag()).to_string();
        [format!("{domain:?}"), tag, digest(domain, &[b"abc"]).to_string()]
    };
    let rows: Vec<_> = Domain::ALL.iter().map(row).collect();
    assert_golden("hash-domains.tsv", &table(["domain", "tag", "digest_of_abc"], &rows));
}

#[test]
fn hashing_in_one_pass_gives_what_hashing_in_parts_gives() {
    let digests: [Digest; 8] =
        core::array::from_fn(|place| digest(Domain::Development, &[&[u8::try_from(place).unwrap()]]));
    let parts: Vec<&[u8]> = digests.iter().map(|digest| digest.bytes().as_slice()).collect();
    assert_eq!(digest_of_digests(Domain::TableNode, &digests), digest(Domain::TableNode, &parts));
    let mut buffer = vec![1, 2, 3];
    prepare(Domain::Row, &mut buffer);
    buffer.extend_from_slice(b"abc");
    assert_eq!(digest_prepared(&buffer), digest(Domain::Row, &[b"abc"]));
}
