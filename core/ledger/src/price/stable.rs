//! Maturity of unrealised profit: a move of the mark counts only as far as the mark has been there all the time.
//!
//! A ring of buckets of time keeps the low and the high of the mark. The stable price of longs is the mean of the
//! lowest marks within four windows, that of shorts the mean of the highest. The windows are the cliff and one, two,
//! three or four quarters of the ramp long, so of a jump in favour of a position nothing counts until the cliff and a
//! quarter of the ramp have passed, then one quarter more with each window that holds nothing older than the jump, and
//! all of it at the end of the ramp: never more than a straight ramp would let count. A move against the position
//! counts at once.
//!
//! Buckets make windows longer, never shorter: each may reach back by up to two buckets more, each a thirtieth of the
//! wait.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{DurationMs, FineTicks};

use super::maturing::Maturity;

/// Lows and highs of a market's mark, and the stable prices that follow from them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PriceWindow {
    /// Bucket `n` is at place `n` modulo their number.
    buckets: [Bucket; BUCKETS],
    /// The bucket of the latest observation: the waiting clock over the length of a bucket.
    current: u64,
    /// Length of a bucket; zero before the first observation.
    bucket_ms: DurationMs,
    /// The latest observation.
    last: FineTicks,
    /// Stable price of longs, kept so that reading it is cheap.
    long: FineTicks,
    /// Stable price of shorts.
    short: FineTicks,
}

/// Extremes of the mark within a bucket, the mark with which it began included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Bucket {
    low: FineTicks,
    high: FineTicks,
}

/// Places of the ring, as a length and as a number of buckets.
const BUCKETS: usize = 32;
const RING: u64 = 32;
/// Buckets of the whole wait.
const BUCKETS_PER_WAIT: u64 = 30;
const WINDOWS: u64 = 4;

/// The longest window needs its own buckets and the current one, which has only begun.
const _: () = assert!(RING == 32 && BUCKETS == 32 && BUCKETS_PER_WAIT < RING);

impl Default for PriceWindow {
    /// No mark yet: no profit counts on either side.
    fn default() -> Self {
        Self {
            buckets: [Bucket::default(); BUCKETS],
            current: 0,
            bucket_ms: DurationMs::ZERO,
            last: FineTicks::ZERO,
            long: FineTicks::ZERO,
            short: FineTicks::from_fine(u64::MAX),
        }
    }
}

impl PriceWindow {
    /// The price up to which longs' profit counts, where the mark is not lower. At most the latest mark; zero before
    /// the first.
    #[must_use]
    pub const fn long(&self) -> FineTicks {
        self.long
    }

    /// The price down to which shorts' profit counts, where the mark is not higher. At least the latest mark; the
    /// largest number before the first.
    #[must_use]
    pub const fn short(&self) -> FineTicks {
        self.short
    }

    /// Takes in the mark at a moment of the waiting clock, and brings the stable prices up to date.
    ///
    /// The first mark is taken as the history of a new market. Between observations the mark is taken to stand where it
    /// was last seen. A moment before the latest one counts as the latest. Where the market's rules change the length
    /// of buckets, the extremes of all of the past are taken for each part of it, so no change makes profit count
    /// earlier.
    pub fn observe(&mut self, mark: FineTicks, waiting_ms: DurationMs, maturity: Maturity) {
        let bucket_ms = bucket_ms(maturity);
        // Rounded down: the bucket that holds the moment. Its length is at least 1.
        let number = waiting_ms.ms().checked_div(bucket_ms.ms()).unwrap_or(0);
        if self.bucket_ms.is_zero() {
            self.fill(Bucket { low: mark, high: mark }, number, bucket_ms);
        } else if self.bucket_ms != bucket_ms {
            self.fill(self.extremes(self.buckets.iter()), number, bucket_ms);
        } else {
            self.open_up_to(number);
        }
        self.last = mark;
        if let Some(bucket) = self.buckets.get_mut(place(self.current)) {
            bucket.low = bucket.low.min(mark);
            bucket.high = bucket.high.max(mark);
        }
        self.renew(maturity);
    }

    /// Starts over with the same extremes in every bucket.
    fn fill(&mut self, with: Bucket, number: u64, bucket_ms: DurationMs) {
        self.buckets = [with; BUCKETS];
        self.current = number;
        self.bucket_ms = bucket_ms;
    }

    /// Opens the buckets that have begun since the latest observation. Each begins with the latest mark, which stood
    /// until now: a jump at the border of a bucket would otherwise count one bucket too early.
    fn open_up_to(&mut self, number: u64) {
        let standing = Bucket { low: self.last, high: self.last };
        let begun = number.saturating_sub(self.current);
        for ahead in (1..=begun).take(BUCKETS) {
            if let Some(bucket) = self.buckets.get_mut(place(self.current.saturating_add(ahead))) {
                *bucket = standing;
            }
        }
        self.current = self.current.max(number);
    }

    /// Works out the stable prices: the mean over the windows, rounded against the position.
    fn renew(&mut self, maturity: Maturity) {
        let (mut low_sum, mut high_sum) = (0u128, 0u128);
        for part in 1..=WINDOWS {
            let Bucket { low, high } = self.extremes(self.within(window_ms(maturity, part)));
            low_sum = low_sum.saturating_add(u128::from(low.fine()));
            high_sum = high_sum.saturating_add(u128::from(high.fine()));
        }
        let windows = u128::from(WINDOWS);
        let fine = |mean: u128| FineTicks::from_fine(u64::try_from(mean).unwrap_or(u64::MAX));
        self.long = fine(low_sum.div_euclid(windows));
        self.short = fine(high_sum.div_ceil(windows));
    }

    /// The buckets that cover a window back from now: the current one, which may have just begun, and whole ones.
    fn within(&self, window_ms: u128) -> impl Iterator<Item = &Bucket> {
        let whole = window_ms.div_ceil(u128::from(self.bucket_ms.ms()).max(1));
        let whole = u64::try_from(whole).unwrap_or(u64::MAX).min(BUCKETS_PER_WAIT);
        // The waiting clock may have begun less than a window ago. Then numbers go below zero, and places stay right
        // because 2^64 is a multiple of the ring's length.
        (0..=whole).filter_map(|back| self.buckets.get(place(self.current.wrapping_sub(back))))
    }

    /// Lowest and highest of some buckets, the latest mark included.
    fn extremes<'a>(&self, buckets: impl Iterator<Item = &'a Bucket>) -> Bucket {
        buckets.fold(Bucket { low: self.last, high: self.last }, |sum, bucket| Bucket {
            low: sum.low.min(bucket.low),
            high: sum.high.max(bucket.high),
        })
    }
}

/// The length of one bucket: a thirtieth of the whole wait, rounded up, at least one millisecond.
fn bucket_ms(maturity: Maturity) -> DurationMs {
    let length = maturity.whole_ms().div_ceil(u128::from(BUCKETS_PER_WAIT)).max(1);
    DurationMs::from_ms(u64::try_from(length).unwrap_or(u64::MAX))
}

/// The length of a window: the cliff and so many quarters of the ramp, rounded up.
fn window_ms(maturity: Maturity, quarters: u64) -> u128 {
    let ramp = u128::from(maturity.ramp_ms.ms()).saturating_mul(u128::from(quarters)).div_ceil(u128::from(WINDOWS));
    u128::from(maturity.cliff_ms.ms()).saturating_add(ramp)
}

/// Where a bucket is in the ring.
fn place(number: u64) -> usize {
    // Below the ring's length, so the conversion holds.
    usize::try_from(number.rem_euclid(RING)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
