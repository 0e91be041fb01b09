//! Mark and funding: how far the book stands from the index, what positions are valued at, and what one side pays the
//! other.

use casemate_protocol::clearing::{EIGHT_HOURS_MS, FundingRules};
use casemate_protocol::units::{PPM, Round, div_round};
use casemate_protocol::{DurationMs, FineTicks, RatioPpm, TickValueMicros};

/// An exponential average after `step_ms`, with the time constant `window_ms`, in the unit of its samples: the basis (the
/// distance between book and index in fine ticks, positive where the book is above), and what else is averaged over time.
///
/// It moves by `step / (window + step)` of what separates it from the sample. The move is rounded up in size, so a constant
/// sample is reached exactly and never passed. Without a sample (a one-sided or empty book) it falls back to zero at the
/// same pace. A step of zero moves nothing.
#[must_use]
pub fn average_step(average: i64, sample: Option<i64>, step_ms: DurationMs, window_ms: DurationMs) -> i64 {
    let target = sample.unwrap_or(0);
    let step = u128::from(step_ms.ms());
    let whole = u128::from(window_ms.ms()).saturating_add(step);
    // Both factors are below 2^64, so the product fits; a quotient exists because the divisor is at least `step`.
    let product = u128::from(average.abs_diff(target)).saturating_mul(step);
    let size = if product == 0 { 0 } else { product.div_ceil(whole) };
    // The quotient is at most the distance, so both conversions hold, and the result lies between average and target.
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    if target >= average { average.saturating_add_unsigned(size) } else { average.saturating_sub_unsigned(size) }
}

/// The price that positions are valued at: the index and the basis, the latter held to `basis_max` of the index
/// (rounded down, that is inward). Never zero.
#[must_use]
pub fn mark(index: FineTicks, basis: i64, basis_max: RatioPpm) -> FineTicks {
    // 64 and 32 bits: the product fits.
    let room = u128::from(index.fine()).saturating_mul(u128::from(basis_max.ppm())).div_euclid(PPM.unsigned_abs());
    let distance = basis.unsigned_abs().min(u64::try_from(room).unwrap_or(u64::MAX));
    let fine = if basis >= 0 { index.fine().saturating_add(distance) } else { index.fine().saturating_sub(distance) };
    FineTicks::from_fine(fine.max(1))
}

/// How far the book's prices for the impact notional lie beyond the index, in ppm of the index, from -1,000,000 to
/// 1,000,000 and rounded toward zero (R§3.7): what the bid has above it minus what the ask has below it.
///
/// `None` is a side whose depth does not reach the impact notional; it adds nothing. An index of zero has no premium.
#[must_use]
pub fn premium_ppm(index: FineTicks, impact_bid: Option<FineTicks>, impact_ask: Option<FineTicks>) -> i32 {
    let above = impact_bid.map_or(0, |bid| bid.fine().saturating_sub(index.fine()));
    let below = impact_ask.map_or(0, |ask| index.fine().saturating_sub(ask.fine()));
    let distance = i128::from(above).saturating_sub(i128::from(below));
    let ratio = toward_zero(distance.saturating_mul(PPM), i128::from(index.fine())).unwrap_or(0);
    held_to_i32(ratio, PPM)
}

/// The rate of one settlement in ppm, positive where longs pay, rounded toward zero (R§3.7).
///
/// For eight hours it is the mean premium plus interest minus premium, the latter held to `clamp`; the interval has its
/// share of it, held to `rate_max`.
#[must_use]
pub fn funding_rate_ppm(premium_mean_ppm: i64, rules: &FundingRules) -> i32 {
    let premium = i128::from(premium_mean_ppm);
    let clamp = i128::from(rules.clamp.ppm());
    let pull = i128::from(rules.interest.ppm()).saturating_sub(premium).clamp(clamp.saturating_neg(), clamp);
    let eight_hours = premium.saturating_add(pull);
    // 65 and 64 bits at most, so the product is held only for intervals that no listing allows.
    let share = eight_hours.saturating_mul(i128::from(rules.interval_ms.ms()));
    let rate = toward_zero(share, i128::from(EIGHT_HOURS_MS)).unwrap_or(0);
    held_to_i32(rate, i128::from(rules.rate_max.ppm()))
}

/// What one long lot pays in a settlement, in 1/65536 micro-quote, rounded toward zero; negative where it receives.
/// Shorts have the opposite. `None` where it leaves the range.
#[must_use]
pub fn funding_per_lot(rate_ppm: i32, index: FineTicks, tick_value: TickValueMicros) -> Option<i64> {
    // Fine ticks times micro-quote per tick are 1/65536 micro-quote already.
    let notional = i128::from(index.fine()).checked_mul(i128::from(tick_value.micros()))?;
    let payment = toward_zero(notional.checked_mul(i128::from(rate_ppm))?, PPM)?;
    i64::try_from(payment).ok()
}

/// What a position owes since it was last settled, in 1/65536 micro-quote, exact; negative where it is owed.
///
/// `lots` is signed, `cumulative` the market's sum of payments per long lot, `entry` that sum when the position last
/// settled.
#[must_use]
pub fn funding_due(lots: i64, cumulative: i64, entry: i64) -> i128 {
    // Exact: the difference is below 2^64 and the lots at most 2^63 in size, so the product is below 2^127.
    i128::from(lots).saturating_mul(i128::from(cumulative).saturating_sub(i128::from(entry)))
}

/// Divides and drops the fraction, so that a payment and its mirror image stay equal. `None` for a zero divisor.
fn toward_zero(numerator: i128, divisor: i128) -> Option<i128> {
    div_round(numerator, divisor, if (numerator < 0) == (divisor < 0) { Round::Down } else { Round::Up })
}

/// Holds a number to a size, and to what 32 bits hold.
fn held_to_i32(number: i128, size_max: i128) -> i32 {
    let size = size_max.clamp(0, i128::from(i32::MAX));
    i32::try_from(number.clamp(size.saturating_neg(), size)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
