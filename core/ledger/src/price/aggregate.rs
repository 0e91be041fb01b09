//! From what publishers said to one price: the median, the cap on its movement, and its grade.

use casemate_protocol::clearing::FeedRules;
use casemate_protocol::limits::{FEED_PUBLISHERS_MAX, SAVED_UP_MS_MAX};
use casemate_protocol::units::PPM;
use casemate_protocol::{DurationMs, OperatorId, PriceGrade, PriceNanos, RatioPpm, TimeMs};

/// What a publisher said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The operator behind the publisher's key. Keys of one operator count once.
    pub operator: OperatorId,
    /// The price.
    pub price: PriceNanos,
    /// How far from it the true price may be, as the publisher sees it.
    pub confidence: PriceNanos,
    /// When the price was true at its source.
    pub source_ms: TimeMs,
}

/// What the operators of a feed say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Median {
    /// The median price; never zero.
    pub price: PriceNanos,
    /// How far from it the true price may be.
    pub confidence: PriceNanos,
    /// The lower median of the source times.
    pub source_ms: TimeMs,
    /// How many operators it stands on.
    pub operators: u16,
}

/// The median of the newest usable observation of each operator, in whatever order they come.
///
/// Left out are prices of zero and observations whose source time is more than `age_ms_max` before `now_ms`, or after
/// it: one from the future would never age. Of one operator only the newest counts; of equally new ones the lower
/// price, then the lower confidence. With an even number of operators the price is the mean of the two in the middle,
/// rounded down.
///
/// The confidence is the larger of the median of confidences (rounded up) and the distance from the price to the
/// farther of the 25th and the 75th percentile. Percentiles are prices that somebody said, the next one outward: of `n`
/// operators, `(n - 1) / 4` can lie and not widen it, and one of four can widen it, which only makes the grade worse.
///
/// `None` where fewer than `operators_min` operators are left (at least one is needed whatever it is), or more than
/// `FEED_PUBLISHERS_MAX`, which no feed can have.
#[must_use]
pub fn median(
    observations: impl Iterator<Item = Observation>,
    now_ms: TimeMs,
    age_ms_max: DurationMs,
    operators_min: u16,
) -> Option<Median> {
    let is_usable = |seen: &Observation| {
        seen.source_ms <= now_ms && now_ms.since(seen.source_ms) <= age_ms_max && !seen.price.is_zero()
    };
    let newest = newest_of_each(observations.filter(is_usable))?;
    let prices = Ranked::of(&newest, |seen| seen.price.nanos());
    // Before any averaging: the median of too few is the price of whoever is left. None at all have no middle.
    let operators = u16::try_from(prices.count).ok()?;
    if operators < operators_min {
        return None;
    }
    let (below, above) = prices.middle()?;
    let price = below.midpoint(above);
    let (first_quarter, last_quarter) = prices.quartiles()?;
    let spread = price.saturating_sub(first_quarter).max(last_quarter.saturating_sub(price));
    let (surer, less_sure) = Ranked::of(&newest, |seen| seen.confidence.nanos()).middle()?;
    let said = surer.saturating_add(less_sure.saturating_sub(surer).div_ceil(2));
    let (source_ms, _) = Ranked::of(&newest, |seen| seen.source_ms.ms()).middle()?;
    Some(Median {
        price: PriceNanos::from_nanos(price),
        confidence: PriceNanos::from_nanos(said.max(spread)),
        source_ms: TimeMs::from_ms(source_ms),
        operators,
    })
}

/// Where the price in use comes to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CappedMove {
    /// The price in use from now on.
    pub price: PriceNanos,
    /// Whether the cap held it back, so that it is not the price wanted.
    pub is_clamped: bool,
}

/// Moves the price in use toward the one wanted, as far as the cap lets it.
///
/// The cap is `per_second` of the price in use for each second of `saved_ms`, the block time that no move has used yet,
/// of which at most `SAVED_UP_MS_MAX` counts; rounded down, but at least one nano where both are more than zero, so
/// that a small price is never stuck. The price never passes the one wanted.
#[must_use]
pub fn cap_move(in_use: PriceNanos, wanted: PriceNanos, per_second: RatioPpm, saved_ms: DurationMs) -> CappedMove {
    let (from, to) = (in_use.nanos(), wanted.nanos());
    let allowed = move_max(from, per_second, saved_ms);
    let price = if to >= from { from.saturating_add(allowed).min(to) } else { from.saturating_sub(allowed).max(to) };
    CappedMove { price: PriceNanos::from_nanos(price), is_clamped: price != to }
}

/// What is known of a feed's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last median there was.
    pub last: Median,
    /// Whether there is one now; otherwise too few operators have something usable to say.
    pub is_current: bool,
    /// Whether the price in use is held back by the cap.
    pub is_clamped: bool,
}

/// What a price is good for. `None` stands for a feed that never had one.
///
/// The age is that of the last median's source time. The worst that holds: unusable without a price or beyond
/// `liquidate_age_ms_max`; uncertain where the confidence is more than `confidence_max` of the price; clamped; aged
/// beyond `open_age_ms_max` or without a median now.
#[must_use]
pub fn grade(standing: Option<&Standing>, now_ms: TimeMs, rules: &FeedRules) -> PriceGrade {
    let Some(Standing { last, is_current, is_clamped }) = standing else { return PriceGrade::Unusable };
    let age_ms = now_ms.since(last.source_ms);
    if last.price.is_zero() || age_ms > rules.liquidate_age_ms_max {
        PriceGrade::Unusable
    } else if is_uncertain(last, rules.confidence_max) {
        PriceGrade::Uncertain
    } else if *is_clamped {
        PriceGrade::Clamped
    } else if age_ms > rules.open_age_ms_max || !is_current {
        PriceGrade::Aged
    } else {
        PriceGrade::Valid
    }
}

/// Whether the confidence is more than this share of the price. Multiplied out on both sides, so nothing is rounded.
fn is_uncertain(median: &Median, confidence_max: RatioPpm) -> bool {
    // Each product of a 64-bit and a 32-bit number fits 128 bits.
    let confidence = u128::from(median.confidence.nanos()).saturating_mul(PPM.unsigned_abs());
    confidence > u128::from(median.price.nanos()).saturating_mul(u128::from(confidence_max.ppm()))
}

/// Parts per million of a second, in milliseconds: the divisor of price times rate times time.
const PPM_MS_PER_SECOND: u128 = 1_000_000_000;

/// How far a price may move, in nanos, rounded down but not to nothing.
fn move_max(price: u64, per_second: RatioPpm, saved_ms: DurationMs) -> u64 {
    let rate = u128::from(per_second.ppm());
    let time_ms = u128::from(saved_ms.ms().min(SAVED_UP_MS_MAX));
    if rate == 0 || time_ms == 0 {
        return 0;
    }
    // 64, 32 and 14 bits: the product fits.
    let product = u128::from(price).saturating_mul(rate).saturating_mul(time_ms);
    u64::try_from(product.div_euclid(PPM_MS_PER_SECOND)).unwrap_or(u64::MAX).max(1)
}

type PerOperator = [Option<Observation>; FEED_PUBLISHERS_MAX];

/// The newest observation of each operator; `None` where there are more operators than places.
fn newest_of_each(observations: impl Iterator<Item = Observation>) -> Option<PerOperator> {
    let mut newest: PerOperator = [None; FEED_PUBLISHERS_MAX];
    for seen in observations {
        // Places fill from the front, so an operator's own place comes before the first empty one.
        let place = newest.iter_mut().find(|place| place.is_none_or(|known| known.operator == seen.operator))?;
        if place.is_none_or(|known| counts_before(&seen, &known)) {
            *place = Some(seen);
        }
    }
    Some(newest)
}

/// Whether one observation of an operator counts instead of another. A total order, so their sequence does not matter.
fn counts_before(one: &Observation, other: &Observation) -> bool {
    let rank = |seen: &Observation| (core::cmp::Reverse(seen.source_ms), seen.price, seen.confidence);
    rank(one) < rank(other)
}

/// One number of each operator, in rising order.
struct Ranked {
    values: [u64; FEED_PUBLISHERS_MAX],
    count: usize,
}

impl Ranked {
    fn of(newest: &PerOperator, number: impl Fn(&Observation) -> u64) -> Self {
        // Empty places sort behind all others, where nothing below `count` reads them.
        let mut values = [u64::MAX; FEED_PUBLISHERS_MAX];
        let mut count = 0usize;
        for (value, seen) in values.iter_mut().zip(newest.iter().flatten()) {
            *value = number(seen);
            count = count.saturating_add(1);
        }
        values.sort_unstable();
        Self { values, count }
    }

    /// The two in the middle, the same one twice for an odd count. `None` where there are none.
    fn middle(&self) -> Option<(u64, u64)> {
        let last = self.count.checked_sub(1)?;
        Some((self.at(last.div_euclid(2))?, self.at(self.count.div_euclid(2))?))
    }

    /// The 25th and 75th percentile, each rounded outward to one of the values. `None` where there are none.
    fn quartiles(&self) -> Option<(u64, u64)> {
        let last = self.count.checked_sub(1)?;
        let outside = last.div_euclid(4);
        Some((self.at(outside)?, self.at(last.saturating_sub(outside))?))
    }

    fn at(&self, place: usize) -> Option<u64> {
        self.values.get(..self.count)?.get(place).copied()
    }
}

#[cfg(test)]
mod tests;
