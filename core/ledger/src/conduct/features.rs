//! Integer statistics that can run on every replica: fading sums, a rate with its own baseline and a cumulative sum of what
//! exceeds it, a running median, and shares.
//!
//! Everything rounds towards less suspicion, saturates, and fades to exactly zero. Time is cut into steps of absolute block
//! time, so that fading by parts passes the same number of steps as fading at once.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::TimeMs;

/// One million: what a figure is at its threshold, and what one hit counts.
pub const WHOLE_PPM: u32 = 1_000_000;

/// Steps of one half-life.
const STEPS: u64 = 16;

/// 2³² × 2^(−i/16), rounded down.
const FACTORS: [u64; 16] = [
    4_294_967_296,
    4_112_874_773,
    3_938_502_375,
    3_771_522_796,
    3_611_622_602,
    3_458_501_652,
    3_311_872_529,
    3_171_459_998,
    3_037_000_499,
    2_908_241_642,
    2_784_941_737,
    2_666_869_344,
    2_553_802_833,
    2_445_529_971,
    2_341_847_524,
    2_242_560_871,
];

/// How fast a sum fades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfLife {
    step_ms: u64,
}

impl HalfLife {
    /// A half-life in milliseconds, rounded down to a multiple of 16, at least 16.
    #[must_use]
    pub const fn of_ms(ms: u64) -> Self {
        let step_ms = ms >> 4;
        Self { step_ms: if step_ms == 0 { 1 } else { step_ms } }
    }

    /// What fading does between two moments; nothing if the second is not later.
    #[must_use]
    pub fn fading(self, from: TimeMs, to: TimeMs) -> Fading {
        let step = |time: TimeMs| time.ms().checked_div(self.step_ms).unwrap_or(0);
        Fading::of_steps(step(to).saturating_sub(step(from)))
    }
}

/// Fading over some time, to be applied to any number of sums with the same half-life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fading {
    factor: u64,
    halvings: u32,
}

impl Fading {
    /// Over so many sixteenths of a half-life.
    #[must_use]
    pub fn of_steps(steps: u64) -> Self {
        let place = usize::try_from(steps.rem_euclid(STEPS)).unwrap_or(0);
        let halvings = u32::try_from(steps.div_euclid(STEPS)).unwrap_or(u32::MAX);
        Self { factor: FACTORS.get(place).copied().unwrap_or(0), halvings }
    }

    /// Whether no step has passed, so that nothing fades.
    #[must_use]
    pub const fn is_still(self) -> bool {
        self.halvings == 0 && self.factor == 1 << 32
    }

    /// What is left of a value, rounded down. Never more for a longer time, never less for a larger value.
    #[must_use]
    pub fn of(self, value: u64) -> u64 {
        if self.halvings >= u64::BITS {
            return 0;
        }
        let product = u128::from(value).saturating_mul(u128::from(self.factor));
        // At most the value, since the factor is at most 2³².
        u64::try_from(product >> 32).unwrap_or(u64::MAX) >> self.halvings
    }

    /// As [`Self::of`], for small figures.
    #[must_use]
    pub fn of_small(self, value: u32) -> u32 {
        u32::try_from(self.of(u64::from(value))).unwrap_or(u32::MAX)
    }

    /// As [`Self::of`] for the size of a signed value; the sign stays.
    #[must_use]
    pub fn of_signed(self, value: i64) -> i64 {
        let size = i64::try_from(self.of(value.unsigned_abs())).unwrap_or(i64::MAX);
        if value < 0 { size.saturating_neg() } else { size }
    }
}

/// `part` in parts per million of `whole`, rounded down, held at the end of the range; 0 for a whole of zero.
#[must_use]
pub fn share_ppm(part: u64, whole: u64) -> u32 {
    // Most figures fit, and dividing 64 bits is many times faster than 128.
    let ppm = match part.checked_mul(u64::from(WHOLE_PPM)) {
        Some(scaled) => scaled.checked_div(whole).unwrap_or(0),
        None => {
            let scaled = u128::from(part).saturating_mul(u128::from(WHOLE_PPM));
            u64::try_from(scaled.checked_div(u128::from(whole)).unwrap_or(0)).unwrap_or(u64::MAX)
        }
    };
    u32::try_from(ppm).unwrap_or(u32::MAX)
}

/// A new value moves mean and deviation by this share, 2⁻⁶.
const LEARNING_SHIFT: u32 = 6;
/// A value teaches the mean nothing beyond this many deviations above it, so that a surge does not teach itself away.
const TAUGHT_DEVIATIONS: u32 = 3;
/// One value counts at most so many deviations in thousandths, so that one outlier alone does not decide (R§4.2 D3: z > 6).
const Z_MAX_MILLIS: u32 = 6_000;
/// Slack of the cumulative sum, in thousandths of a deviation (R§4.3: k = 0.5).
const SLACK_MILLIS: u32 = 500;

/// The most that the sum comes to: what is over is over soon.
pub const EXCESS_MILLIS_MAX: u32 = 20_000;

/// What values of a kind are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// A smaller deviation counts as this.
    pub deviation_min: u32,
    /// The first value is taken for the mean, up to this: an account does not begin with a surge.
    pub first_max: u32,
}

/// Values against their own past: mean, mean deviation, and a cumulative sum of what exceeds them (one-sided CUSUM, R§4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Baseline {
    mean: u32,
    deviation: u32,
    /// In thousandths of a deviation.
    excess_millis: u32,
}

impl Baseline {
    /// Takes in a value.
    pub fn note(&mut self, value: u32, scale: Scale) {
        if *self == Self::default() {
            self.mean = value.min(scale.first_max);
        }
        let z = self.z_millis(value, scale);
        let excess = self.excess_millis.saturating_add(z).saturating_sub(SLACK_MILLIS);
        self.excess_millis = excess.min(EXCESS_MILLIS_MAX);
        let spread = self.deviation.max(scale.deviation_min);
        let taught = value.min(self.mean.saturating_add(spread.saturating_mul(TAUGHT_DEVIATIONS)));
        let distance = taught.abs_diff(self.mean);
        self.mean = moved_towards(self.mean, taught);
        self.deviation = moved_towards(self.deviation, distance);
    }

    /// By how many deviations a value exceeds the mean, in thousandths, at most 6,000; 0 below the mean.
    #[must_use]
    pub fn z_millis(&self, value: u32, scale: Scale) -> u32 {
        let above = u64::from(value.saturating_sub(self.mean)).saturating_mul(1_000);
        let z = above.checked_div(u64::from(self.deviation.max(scale.deviation_min))).unwrap_or(0);
        u32::try_from(z).unwrap_or(u32::MAX).min(Z_MAX_MILLIS)
    }

    /// The cumulative sum in thousandths of a deviation.
    #[must_use]
    pub const fn excess_millis(&self) -> u32 {
        self.excess_millis
    }

    /// The mean, in the unit of the values.
    #[must_use]
    pub const fn mean(&self) -> u32 {
        self.mean
    }

    /// Values of zero, all at once: mean and deviation fade with the half-life that taking them in one by one would have, and
    /// the sum loses its slack for each.
    fn stay_quiet(&mut self, values: u64) {
        // (63/64)^44.4 = 1/2, so a value is 0.36 of the 16 steps of a half-life.
        let fading = Fading::of_steps(values.saturating_mul(36).div_euclid(100));
        self.mean = fading.of_small(self.mean);
        self.deviation = fading.of_small(self.deviation);
        let slack = u64::from(SLACK_MILLIS).saturating_mul(values);
        self.excess_millis = self.excess_millis.saturating_sub(u32::try_from(slack).unwrap_or(u32::MAX));
    }
}

/// Length of a bin of a [`Rate`].
const BIN_MS: u64 = 1_000;
/// Counts of a bin are kept in 1/256.
const COUNT_SHIFT: u32 = 8;
/// Deviation is at least a count of one: quiet accounts are not suspicious for their second message. And ten in the first
/// second are a start \[D\].
const COUNTS: Scale = Scale { deviation_min: 1 << COUNT_SHIFT, first_max: 10 << COUNT_SHIFT };

/// How often something happens a second, against its own past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rate {
    count: u32,
    past: Baseline,
}

impl Rate {
    /// Counts something that happens now. The rate must have been brought up to date.
    pub fn note(&mut self, count: u32) {
        self.count = self.count.saturating_add(count.saturating_mul(1 << COUNT_SHIFT));
    }

    /// Closes the bins that ended between two moments.
    pub fn bring_to(&mut self, before: TimeMs, now: TimeMs) {
        let bin = |time: TimeMs| time.ms().checked_div(BIN_MS).unwrap_or(0);
        let ended = bin(now).saturating_sub(bin(before));
        if ended > 0 {
            self.close();
            self.past.stay_quiet(ended.saturating_sub(1));
        }
    }

    /// The cumulative sum in thousandths of a deviation, the running bin included.
    #[must_use]
    pub fn excess_millis(&self) -> u32 {
        let z = self.past.z_millis(self.count, COUNTS);
        self.past.excess_millis.saturating_add(z.saturating_sub(SLACK_MILLIS))
    }

    /// The mean count a second, in thousandths, rounded down.
    #[must_use]
    pub fn mean_millis(&self) -> u32 {
        u32::try_from(u64::from(self.past.mean).saturating_mul(1_000) >> COUNT_SHIFT).unwrap_or(u32::MAX)
    }

    fn close(&mut self) {
        let count = core::mem::take(&mut self.count);
        self.past.note(count, COUNTS);
    }
}

/// A 64th of the way to a target; below 64 units it goes one by one, so that it arrives.
const fn moved_towards(value: u32, target: u32) -> u32 {
    if target > value {
        let step = target.saturating_sub(value) >> LEARNING_SHIFT;
        value.saturating_add(if step == 0 { 1 } else { step })
    } else if target < value {
        let step = value.saturating_sub(target) >> LEARNING_SHIFT;
        value.saturating_sub(if step == 0 { 1 } else { step })
    } else {
        value
    }
}

/// A running median that keeps one number: it goes up by a 64th for a larger value and down for a smaller one (frugal
/// streaming). Nobody moves it twice in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Median {
    /// In 1/256 of a unit; zero before the first value.
    value: u64,
    by: u32,
}

impl Median {
    /// Takes in a value of somebody.
    pub fn note(&mut self, value: u64, by: u32) {
        let scaled = value.saturating_mul(1 << COUNT_SHIFT);
        if self.value == 0 {
            *self = Self { value: scaled.max(1), by };
            return;
        }
        if self.by == by {
            return;
        }
        self.by = by;
        let step = (self.value >> 6).max(1);
        if scaled > self.value {
            self.value = self.value.saturating_add(step).min(scaled);
        } else if scaled < self.value {
            self.value = self.value.saturating_sub(step).max(scaled).max(1);
        }
    }

    /// The median, rounded up, at least 1.
    #[must_use]
    pub const fn value(&self) -> u64 {
        let up = self.value.saturating_add(255) >> COUNT_SHIFT;
        if up == 0 { 1 } else { up }
    }
}

#[cfg(test)]
mod tests;
