//! The queue by proven bounds: which accounts a price has brought to where they must be looked at again.
//!
//! Of each account the ledger knows a price up to which it is safe in a market, whatever else is the case. An account whose
//! bound is not passed needs no look, so the cost of a block grows with the accounts that prices reach and not with those
//! that there are. There is one queue for each market and direction.
//!
//! Bounds are kept in buckets of prices, not in order: an account's bound changes with many of its trades, a bucket is passed
//! seldom. Taking passes on whole buckets, so in the bucket of the price itself accounts may come out that are still safe;
//! none is ever missed. A bound that is nearer than it need be is left where it is while it is not much nearer: its account is
//! looked at early, and most trades change no bucket. What is replaced or cleared stays where it is until it is met or until
//! there is more of it than of what counts.
//!
//! Not part of the state: it is rebuilt from rows, and after a start other accounts may come out early than would have without it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// The way in which a price moves towards trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// A falling price passes the bounds that are at least as high as it: those of accounts that lose when it falls.
    Falling,
    /// A rising price passes the bounds that are at most as high as it.
    Rising,
}

/// The queues of a segment, two for each market: accounts by the price up to which they are safe in that market and direction.
/// Each account has at most one bound in each. Prices of a queue have any one unit, and may be negative.
#[derive(Clone, Debug, Default)]
pub(super) struct BoundQueues {
    /// A market's falling queue, then its rising one.
    queues: Vec<Queue>,
    /// By account number, the account's bounds, sorted by queue. Kept by account, because most accounts are in few queues.
    bounds_of: Vec<Vec<Bound>>,
}

#[derive(Clone, Debug)]
struct Queue {
    direction: Direction,
    width: i64,
    /// Accounts by bound over width, rounded down. What a price passes is at or above its own bucket.
    buckets: BTreeMap<i32, Vec<u32>>,
    /// Entries that count: accounts in the queue.
    live_count: usize,
    /// Entries that do not count any more, or once more in the same bucket.
    dead_count: usize,
}

/// Where an account counts: other entries of it in the queue do not.
#[derive(Clone, Copy, Debug)]
struct Bound {
    queue: u16,
    bucket: i32,
}

/// Below this many entries that do not count, tidying up would cost more than it frees.
const DEAD_COUNT_MIN: usize = 1_024;

impl BoundQueues {
    /// Empty queues. The wider a market's buckets, the fewer there are and the more accounts come out early.
    ///
    /// `bucket_widths` are those of the markets, in the unit of their bounds.
    pub(super) fn new(bucket_widths: impl IntoIterator<Item = NonZeroU32>) -> Self {
        let queues_of = |width| [Direction::Falling, Direction::Rising].map(|direction| Queue::new(direction, width));
        Self { queues: bucket_widths.into_iter().flat_map(queues_of).collect(), bounds_of: Vec::new() }
    }

    /// Gives an account its bound, in place of the one that it had, unless that is nearer and no nearer than `near`.
    pub(super) fn set(&mut self, market: u16, direction: Direction, account: u32, bound: i64, near: i64) {
        let number = queue_number(market, direction);
        let Some(queue) = self.queues.get_mut(usize::from(number)) else { return };
        let (far, near) = (queue.key(bound), queue.key(near));
        let place = place(account);
        if place >= self.bounds_of.len() {
            // Numbers grow from 1, so the list is as long as the highest is.
            self.bounds_of.resize_with(place.saturating_add(1), Vec::new);
        }
        let Some(bounds) = self.bounds_of.get_mut(place) else { return };
        match bounds.binary_search_by_key(&number, |bound| bound.queue) {
            Ok(found) => {
                let Some(Bound { bucket, .. }) = bounds.get_mut(found) else { return };
                if far <= *bucket && *bucket <= near {
                    return;
                }
                *bucket = far;
                queue.buckets.entry(far).or_default().push(account);
                queue.dead_count = queue.dead_count.saturating_add(1);
                queue.tidy(number, &self.bounds_of);
            }
            Err(found) => {
                bounds.insert(found, Bound { queue: number, bucket: far });
                queue.buckets.entry(far).or_default().push(account);
                queue.live_count = queue.live_count.saturating_add(1);
            }
        }
    }

    /// Reads what [`Self::set`] will need of an account; see `touch`.
    pub(super) fn touch(&self, account: u32) -> u64 {
        let first = self.bounds_of.get(place(account)).and_then(|bounds| bounds.first());
        first.map_or(0, |bound| u64::from(bound.bucket.unsigned_abs()))
    }

    /// Takes every account out whose bound the price passes, and appends them to `out`, in the order of their numbers.
    ///
    /// INVARIANT(Q1): none whose bound is passed stays. In the bucket of the price itself, accounts come out too whose bound
    /// it does not pass.
    pub(super) fn take_passed(&mut self, market: u16, direction: Direction, price: i64, out: &mut Vec<u32>) {
        let number = queue_number(market, direction);
        let Some(queue) = self.queues.get_mut(usize::from(number)) else { return };
        let key = queue.key(price);
        if queue.buckets.last_key_value().is_none_or(|(highest, _)| *highest < key) {
            return;
        }
        let first = out.len();
        for (key, accounts) in queue.buckets.split_off(&key) {
            for account in accounts {
                if take_bound(&mut self.bounds_of, account, number, key) {
                    out.push(account);
                    queue.live_count = queue.live_count.saturating_sub(1);
                } else {
                    queue.dead_count = queue.dead_count.saturating_sub(1);
                }
            }
        }
        out.get_mut(first..).unwrap_or_default().sort_unstable();
    }

    /// Buckets in the order in which the price would pass them, the nearest first: by how much it must move at least to pass
    /// a bound in the bucket, negative where it has passed it, and the accounts in it, some more than once.
    pub(super) fn nearest(
        &self,
        market: u16,
        direction: Direction,
        price: i64,
    ) -> impl Iterator<Item = (i64, impl Iterator<Item = u32>)> {
        let number = queue_number(market, direction);
        self.queues.get(usize::from(number)).into_iter().flat_map(move |queue| {
            let from = queue.towards(price);
            queue.buckets.iter().rev().map(move |(&key, accounts)| {
                let above = i64::from(key).saturating_add(1).saturating_mul(queue.width);
                // The last bucket has no end.
                let nearest_bound = if key == i32::MAX { i64::MAX } else { above.saturating_sub(1) };
                let counts = move |account: &u32| has_bound(&self.bounds_of, *account, number, key);
                (from.saturating_sub(nearest_bound), accounts.iter().copied().filter(counts))
            })
        })
    }
}

impl Queue {
    fn new(direction: Direction, bucket_width: NonZeroU32) -> Self {
        let width = i64::from(bucket_width.get());
        Self { direction, width, buckets: BTreeMap::new(), live_count: 0, dead_count: 0 }
    }

    /// The bucket of a bound or price, rounded down; mirrored for rising prices, so that passed is always at or above. What
    /// lies beyond the last bucket on either side is in it.
    fn key(&self, price: i64) -> i32 {
        let key = self.towards(price).div_euclid(self.width);
        i32::try_from(key).unwrap_or(if key < 0 { i32::MIN } else { i32::MAX })
    }

    const fn towards(&self, price: i64) -> i64 {
        match self.direction {
            Direction::Falling => price,
            Direction::Rising => price.saturating_neg(),
        }
    }

    /// Drops the entries that do not count once they are more than those that do: what it costs has been saved before.
    fn tidy(&mut self, number: u16, bounds_of: &[Vec<Bound>]) {
        if self.dead_count <= self.live_count.max(DEAD_COUNT_MIN) {
            return;
        }
        self.buckets.retain(|key, accounts| {
            accounts.retain(|account| has_bound(bounds_of, *account, number, *key));
            accounts.sort_unstable();
            accounts.dedup();
            !accounts.is_empty()
        });
        self.dead_count = 0;
    }
}

/// Whether an account counts in this bucket of a queue.
fn has_bound(bounds_of: &[Vec<Bound>], account: u32, queue: u16, bucket: i32) -> bool {
    let bounds = bounds_of.get(place(account)).map_or(&[][..], Vec::as_slice);
    let found = bounds.binary_search_by_key(&queue, |bound| bound.queue).ok().and_then(|found| bounds.get(found));
    found.is_some_and(|bound| bound.bucket == bucket)
}

/// Takes an account's bound away, if it is in this bucket of a queue.
fn take_bound(bounds_of: &mut [Vec<Bound>], account: u32, queue: u16, bucket: i32) -> bool {
    let Some(bounds) = bounds_of.get_mut(place(account)) else { return false };
    let Some(found) = bounds.iter().position(|bound| bound.queue == queue && bound.bucket == bucket) else {
        return false;
    };
    bounds.remove(found);
    true
}

const fn queue_number(market: u16, direction: Direction) -> u16 {
    let rising = match direction {
        Direction::Falling => 0,
        Direction::Rising => 1,
    };
    market.saturating_mul(2).saturating_add(rising)
}

/// An account's place in a list by number. On machines with a smaller address space there would be no such list.
fn place(account: u32) -> usize {
    usize::try_from(account).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
