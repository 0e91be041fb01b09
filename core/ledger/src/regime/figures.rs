//! What a regime is judged by: volatility, jumps, depth, spread and imbalance, as integer averages over the waiting clock.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::regime::RegimeRules;
use casemate_protocol::{DurationMs, FineTicks, QuoteMicros, Regime, RegimeCause};

use super::machine::note_clear;
use crate::price::mark::average_step;

/// A market's regime, and the figures that move it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RegimeFacts {
    /// The regime.
    pub regime: Regime,
    /// Waiting clock when it was entered.
    pub entered_ms: DurationMs,
    /// Waiting clock since which all figures have been below where it is left; `None` while one is not.
    pub clear_since_ms: Option<DurationMs>,
    /// Variance of the published price over an hour, in squared parts per million.
    variance: i64,
    /// Published price of the last sample of variance.
    sampled: FineTicks,
    /// Waiting clock of that sample.
    sampled_ms: DurationMs,
    /// The largest move since a sample, fading, in parts per million.
    jump_ppm: i64,
    /// Usual depth of the thinner side of the book.
    depth_mean: i64,
    /// Time that it is the average of, at most its window.
    depth_seen_ms: DurationMs,
    /// What is missing of it.
    missing_ppm: u64,
    /// Average spread.
    spread_ppm: i64,
    /// Average imbalance.
    imbalance_ppm: i64,
}

/// What is seen of a market when its mark moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) published: FineTicks,
    /// Middle of the depths of the last five minutes, of the thinner side.
    pub(crate) depth: QuoteMicros,
    pub(crate) spread_ppm: u32,
    pub(crate) imbalance_ppm: u32,
}

const HOUR_MS: i128 = 3_600_000;
/// Variance is sampled this often: the noise between publishers from second to second is no volatility.
const SAMPLE_MS: u64 = 30_000;
/// How long a jump is remembered.
const JUMP_WINDOW: DurationMs = DurationMs::from_ms(600_000);
/// How long spread and imbalance are averaged.
const BOOK_WINDOW: DurationMs = DurationMs::from_ms(60_000);
const WHOLE_PPM: i128 = 1_000_000;

impl RegimeFacts {
    /// A figure as its levels measure it, in parts per million.
    #[must_use]
    pub fn figure_ppm(&self, cause: RegimeCause) -> u64 {
        let positive = |value: i64| u64::try_from(value).unwrap_or(0);
        match cause {
            RegimeCause::Volatility => positive(self.variance).isqrt(),
            RegimeCause::Jump => positive(self.jump_ppm),
            RegimeCause::Thinness => self.missing_ppm,
            RegimeCause::Spread => positive(self.spread_ppm),
            RegimeCause::Imbalance => positive(self.imbalance_ppm),
            RegimeCause::Cleared => 0,
        }
    }

    /// Takes in what is seen when a mark moves, `step_ms` after the last move; zero at the first. INVARIANT(G3)
    pub(crate) fn observe(&mut self, seen: &Sighting, step_ms: DurationMs, now: DurationMs, rules: &RegimeRules) {
        if self.sampled.is_zero() {
            (self.sampled, self.sampled_ms) = (seen.published, now);
        }
        let move_ppm = distance_ppm(seen.published, self.sampled);
        self.jump_ppm = average_step(self.jump_ppm, None, step_ms, JUMP_WINDOW).max(move_ppm);
        let sample_ms = now.saturating_sub(self.sampled_ms);
        if sample_ms.ms() >= SAMPLE_MS {
            let rate = variance_per_hour(move_ppm, sample_ms);
            self.variance = average_step(self.variance, Some(rate), sample_ms, rules.volatility_window_ms);
            (self.sampled, self.sampled_ms) = (seen.published, now);
        }
        self.note_depth(seen.depth.micros(), step_ms, rules.depth_window_ms);
        self.spread_ppm = average_step(self.spread_ppm, Some(seen.spread_ppm.into()), step_ms, BOOK_WINDOW);
        self.imbalance_ppm = average_step(self.imbalance_ppm, Some(seen.imbalance_ppm.into()), step_ms, BOOK_WINDOW);
        note_clear(self, rules, now);
    }

    /// Until a window has passed, the usual depth is the average of all that was seen.
    fn note_depth(&mut self, depth: i64, step_ms: DurationMs, window_ms: DurationMs) {
        self.depth_mean = average_step(self.depth_mean, Some(depth), step_ms, self.depth_seen_ms);
        self.depth_seen_ms = self.depth_seen_ms.saturating_add(step_ms).min(window_ms);
        let missing = i128::from(self.depth_mean.saturating_sub(depth).max(0));
        let share = missing.saturating_mul(WHOLE_PPM).checked_div(self.depth_mean.max(1).into()).unwrap_or(0);
        self.missing_ppm = u64::try_from(share).unwrap_or(0);
    }

    /// Enters a regime.
    pub(super) const fn enter(&mut self, regime: Regime, now: DurationMs) {
        self.regime = regime;
        self.entered_ms = now;
        // Each regime must be clear for a time of its own.
        self.clear_since_ms = None;
    }
}

/// Distance of a price from another, as a share of the latter, rounded up; held to what squares into 64 bits.
fn distance_ppm(price: FineTicks, from: FineTicks) -> i64 {
    let distance = u128::from(price.fine().abs_diff(from.fine())).saturating_mul(1_000_000);
    let share = distance.div_ceil(u128::from(from.fine()).max(1));
    i64::try_from(share).unwrap_or(i64::MAX).min(MOVE_PPM_MAX)
}

/// A thousandfold price.
const MOVE_PPM_MAX: i64 = 1_000_000_000;

fn variance_per_hour(move_ppm: i64, over: DurationMs) -> i64 {
    let square = i128::from(move_ppm).saturating_mul(move_ppm.into());
    let rate = square.saturating_mul(HOUR_MS).checked_div(over.ms().max(1).into()).unwrap_or(0);
    i64::try_from(rate).unwrap_or(i64::MAX)
}
