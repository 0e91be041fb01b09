//! Which account a key belongs to, in twelve bytes a key.
//!
//! Only eight bytes of a key's digest are kept; the account's row has the whole key and decides. The digest and not the
//! key: anyone can make keys that begin alike, and looking one up would then cost as much as there are of them. Entries
//! live in sorted runs whose lengths at least halve from one to the next, so an insertion costs amortised logarithmic
//! time and no slack is held as a tree would.

use casemate_protocol::PublicKey;
use casemate_protocol::hash::{Domain, Hasher};

/// Key prefixes with their account numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyIndex {
    runs: Vec<Vec<Entry>>,
}

/// Big-endian prefix, then big-endian account: bytes compare as the pair does.
type Entry = [u8; 12];

impl KeyIndex {
    /// Adds a key of an account.
    pub(super) fn insert(&mut self, key: &PublicKey, account: u32) {
        self.runs.push(vec![entry(key, account)]);
        while let [.., longer, shorter] = self.runs.as_slice() {
            if longer.len() >= shorter.len().saturating_mul(2) {
                break;
            }
            let (Some(shorter), Some(longer)) = (self.runs.pop(), self.runs.pop()) else { break };
            self.runs.push(merge(&longer, &shorter));
        }
    }

    /// Takes a key out again: because it was undone, or because it is retired.
    pub(super) fn remove(&mut self, key: &PublicKey, account: u32) {
        let entry = entry(key, account);
        for run in &mut self.runs {
            if let Ok(place) = run.binary_search(&entry) {
                run.remove(place);
                break;
            }
        }
        self.runs.retain(|run| !run.is_empty());
    }

    /// Accounts that may have the key: those of all keys with the same prefix.
    pub(super) fn candidates(&self, key: &PublicKey) -> impl Iterator<Item = u64> {
        let first = entry(key, 0);
        let prefix = prefix(key);
        self.runs.iter().flat_map(move |run| {
            let start = run.partition_point(|entry| *entry < first);
            run.iter().skip(start).take_while(move |entry| entry.starts_with(&prefix)).map(|entry| {
                let [.., a, b, c, d] = *entry;
                u64::from(u32::from_be_bytes([a, b, c, d]))
            })
        })
    }
}

fn prefix(key: &PublicKey) -> [u8; 8] {
    let mut hasher = Hasher::new(Domain::Running);
    hasher.update(b"key index");
    hasher.update_value(key);
    let [a, b, c, d, e, f, g, h, ..] = hasher.finish().0;
    [a, b, c, d, e, f, g, h]
}

fn entry(key: &PublicKey, account: u32) -> Entry {
    let [a, b, c, d, e, f, g, h] = prefix(key);
    let [w, x, y, z] = account.to_be_bytes();
    [a, b, c, d, e, f, g, h, w, x, y, z]
}

fn merge(left: &[Entry], right: &[Entry]) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(left.len().saturating_add(right.len()));
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let smaller = if a <= b { left.next() } else { right.next() };
        merged.extend(smaller);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(first: u8, last: u8) -> PublicKey {
        let mut bytes = [first; 32];
        bytes[31] = last;
        PublicKey::Ed25519(bytes)
    }

    #[test]
    fn keys_that_begin_alike_do_not_share_a_bucket_because_the_index_is_by_digest() {
        let mut index = KeyIndex::default();
        for (last, account) in (0..200u8).zip(0..) {
            index.insert(&key(7, last), account);
        }
        for (last, account) in (0..200u8).zip(0..) {
            assert_eq!(index.candidates(&key(7, last)).collect::<Vec<u64>>(), [account]);
        }
    }

    proptest! {
        #[test]
        fn prop_index_finds_exactly_the_accounts_inserted_and_not_removed(
            keys in proptest::collection::vec((0u8..6, 0u8..2), 1..120), removed in 0usize..60
        ) {
            let mut index = KeyIndex::default();
            for (&(first, last), account) in keys.iter().zip(0..) {
                index.insert(&key(first, last), account);
            }
            for (&(first, last), account) in keys.iter().zip(0..).take(removed) {
                index.remove(&key(first, last), account);
            }
            for first in 0u8..6 {
                for last in 0u8..2 {
                    let mut found: Vec<u64> = index.candidates(&key(first, last)).collect();
                    found.sort_unstable();
                    let expected: Vec<u64> = keys.iter().zip(0..).skip(removed)
                        .filter(|(pair, _)| **pair == (first, last)).map(|(_, account)| account).collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
