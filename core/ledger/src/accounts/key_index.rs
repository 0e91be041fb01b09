//! Which account a key belongs to, in twelve bytes a key.
//!
//! Only a key's first eight bytes are kept; the account's row has the whole key and decides. Entries live in sorted
//! runs whose lengths at least halve from one to the next, so an insertion costs amortised logarithmic time and no
//! slack is held as a tree would.

/// Key prefixes with their account numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyIndex {
    runs: Vec<Vec<Entry>>,
}

/// Big-endian prefix, then big-endian account: bytes compare as the pair does.
type Entry = [u8; 12];

impl KeyIndex {
    /// Adds a key of an account.
    pub(super) fn insert(&mut self, key: &[u8; 32], account: u32) {
        self.runs.push(vec![entry(key, account)]);
        while let [.., longer, shorter] = self.runs.as_slice() {
            if longer.len() >= shorter.len().saturating_mul(2) {
                break;
            }
            let (Some(shorter), Some(longer)) = (self.runs.pop(), self.runs.pop()) else { break };
            self.runs.push(merge(&longer, &shorter));
        }
    }

    /// Takes a key out again; only undoing does this.
    pub(super) fn remove(&mut self, key: &[u8; 32], account: u32) {
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
    pub(super) fn candidates(&self, key: &[u8; 32]) -> impl Iterator<Item = u64> {
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

fn prefix(key: &[u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    [a, b, c, d, e, f, g, h]
}

fn entry(key: &[u8; 32], account: u32) -> Entry {
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

    proptest! {
        #[test]
        fn prop_index_finds_exactly_the_accounts_inserted_and_not_removed(
            keys in proptest::collection::vec((0u8..6, 0u8..4), 1..120), removed in 0usize..60
        ) {
            let key = |(a, b): (u8, u8)| { let mut key = [a; 32]; key[31] = b; key };
            let mut index = KeyIndex::default();
            for (account, &pair) in keys.iter().enumerate() { index.insert(&key(pair), account as u32); }
            let removed = removed.min(keys.len());
            for (account, &pair) in keys.iter().enumerate().take(removed) { index.remove(&key(pair), account as u32); }
            for probe in 0u8..6 {
                let mut found: Vec<u64> = index.candidates(&key((probe, 0))).collect();
                found.sort_unstable();
                let expected: Vec<u64> = keys.iter().enumerate().skip(removed)
                    .filter(|(_, pair)| pair.0 == probe).map(|(account, _)| account as u64).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
