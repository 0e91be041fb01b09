//! The queue by proven bounds: which accounts a price has brought to where they must be looked at again.
//!
//! Of each account the ledger knows a price up to which it is safe in a market, whatever else is the case. An account whose
//! bound is not passed needs no look, so the cost of a block grows with the accounts that prices reach and not with those
//! that there are. There is one queue for each market and direction.
//!
//! Bounds are kept in buckets of prices, not in order: an account's bound changes with each of its trades, a bucket is passed
//! seldom. Taking passes on whole buckets, so in the bucket of the price itself accounts may come out that are still safe;
//! none is ever missed. What is replaced or cleared stays where it is until it is met or until there is more of it than of
//! what counts.
//!
//! Not part of the state: it is rebuilt from rows, and what comes out depends on bounds alone and not on how they came about.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// The way in which a price moves towards trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A falling price passes the bounds that are at least as high as it: those of accounts that lose when it falls.
    Falling,
    /// A rising price passes the bounds that are at most as high as it.
    Rising,
}

/// Accounts by the price up to which they are safe in one direction. Each account has at most one bound.
#[derive(Clone, Debug)]
pub struct BoundQueue {
    direction: Direction,
    width: i64,
    /// Entries by bound over width, rounded down. What a price passes is at or above its own bucket.
    buckets: BTreeMap<i64, Vec<Entry>>,
    /// By account number. Odd while the account is in the queue; only the entry with this very version counts.
    versions: Vec<u32>,
    /// Entries that count: accounts in the queue.
    live_count: usize,
    /// Entries that do not count any more.
    dead_count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    account: u32,
    version: u32,
}

/// Below this many entries that do not count, tidying up would cost more than it frees.
const DEAD_COUNT_MIN: usize = 1_024;

impl BoundQueue {
    /// An empty queue. The wider its buckets, the fewer there are and the more accounts come out early.
    ///
    /// `bucket_width` has the unit of bounds.
    #[must_use]
    pub fn new(direction: Direction, bucket_width: NonZeroU32) -> Self {
        Self {
            direction,
            width: i64::from(bucket_width.get()),
            buckets: BTreeMap::new(),
            versions: Vec::new(),
            live_count: 0,
            dead_count: 0,
        }
    }

    /// Accounts in the queue.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live_count
    }

    /// Whether no account is in the queue.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live_count == 0
    }

    /// Gives an account its bound, in place of the one that it had. Bounds have any one unit, the same for all and for
    /// prices, and may be negative.
    pub fn set(&mut self, account: u32, bound: i64) {
        let key = self.key(bound);
        let Some(version) = self.version_mut(account) else { return };
        let is_in = is_in_queue(*version);
        // Odd after odd, odd after even. An old entry could pass for a new one only after two billion changes of one
        // account without a tidying, which comes whenever more than half of the entries do not count.
        *version = version.wrapping_add(if is_in { 2 } else { 1 });
        let entry = Entry { account, version: *version };
        self.buckets.entry(key).or_default().push(entry);
        if is_in {
            self.dead_count = self.dead_count.saturating_add(1);
            self.tidy();
        } else {
            self.live_count = self.live_count.saturating_add(1);
        }
    }

    /// Takes an account out of the queue, if it is in it.
    pub fn clear(&mut self, account: u32) {
        let Some(version) = self.versions.get_mut(place(account)).filter(|version| is_in_queue(**version)) else {
            return;
        };
        *version = version.wrapping_add(1);
        self.live_count = self.live_count.saturating_sub(1);
        self.dead_count = self.dead_count.saturating_add(1);
        self.tidy();
    }

    /// Takes every account out whose bound the price passes, and appends them to `out`, in the order of their numbers.
    ///
    /// INVARIANT(Q1): none whose bound is passed stays. In the bucket of the price itself, accounts come out too whose bound
    /// it does not pass.
    pub fn take_passed(&mut self, price: i64, out: &mut Vec<u32>) {
        let key = self.key(price);
        if self.buckets.last_key_value().is_none_or(|(highest, _)| *highest < key) {
            return;
        }
        let first = out.len();
        for entry in self.buckets.split_off(&key).into_values().flatten() {
            match self.versions.get_mut(place(entry.account)).filter(|version| **version == entry.version) {
                Some(version) => {
                    *version = version.wrapping_add(1);
                    out.push(entry.account);
                    self.live_count = self.live_count.saturating_sub(1);
                }
                None => self.dead_count = self.dead_count.saturating_sub(1),
            }
        }
        out.get_mut(first..).unwrap_or_default().sort_unstable();
    }

    /// Buckets in the order in which the price would pass them, the nearest first: by how much it must move at least to pass
    /// a bound in the bucket, negative where it has passed it, and the accounts in it.
    pub(super) fn nearest(&self, price: i64) -> impl Iterator<Item = (i64, impl Iterator<Item = u32>)> {
        let from = self.towards(price);
        self.buckets.iter().rev().map(move |(key, entries)| {
            let nearest_bound = key.saturating_add(1).saturating_mul(self.width).saturating_sub(1);
            let counts = |entry: &&Entry| self.versions.get(place(entry.account)) == Some(&entry.version);
            (from.saturating_sub(nearest_bound), entries.iter().filter(counts).map(|entry| entry.account))
        })
    }

    /// The bucket of a bound or price, rounded down; mirrored for rising prices, so that passed is always at or above.
    fn key(&self, price: i64) -> i64 {
        self.towards(price).div_euclid(self.width)
    }

    const fn towards(&self, price: i64) -> i64 {
        match self.direction {
            Direction::Falling => price,
            Direction::Rising => price.saturating_neg(),
        }
    }

    /// An account's version; numbers grow from 1, so the list is as long as the highest is.
    fn version_mut(&mut self, account: u32) -> Option<&mut u32> {
        let place = place(account);
        if place >= self.versions.len() {
            self.versions.resize(place.saturating_add(1), 0);
        }
        self.versions.get_mut(place)
    }

    /// Drops the entries that do not count once they are more than those that do: what it costs has been saved before.
    fn tidy(&mut self) {
        if self.dead_count <= self.live_count.max(DEAD_COUNT_MIN) {
            return;
        }
        let versions = &self.versions;
        self.buckets.retain(|_, entries| {
            entries.retain(|entry| versions.get(place(entry.account)) == Some(&entry.version));
            !entries.is_empty()
        });
        self.dead_count = 0;
    }
}

const fn is_in_queue(version: u32) -> bool {
    version % 2 == 1
}

/// An account's place in a list by number. On machines with a smaller address space there would be no such list.
fn place(account: u32) -> usize {
    usize::try_from(account).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
