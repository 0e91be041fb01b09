use proptest::prelude::*;

use super::*;

const MINUTE: HalfLife = HalfLife::of_ms(60_000);

fn at(ms: u64) -> TimeMs {
    TimeMs::from_ms(ms)
}

/// The obvious model: multiplies by the factor of one step, with 64 more bits, once for each step.
fn faded_slowly(value: u64, steps: u64) -> u64 {
    let mut wide = u128::from(value) << 60;
    for _ in 0..steps {
        wide = wide / 10_000_000_000 * 9_576_032_807;
    }
    u64::try_from(wide >> 60).unwrap()
}

/// The obvious model of a rate: every bin is closed alone, also the empty ones.
fn rate_slowly(counts: &[u32]) -> Rate {
    let mut rate = Rate::default();
    for count in counts {
        rate.count = count << COUNT_SHIFT;
        rate.close();
    }
    rate
}

#[test]
fn a_half_life_halves() {
    let fading = MINUTE.fading(at(0), at(60_000));
    assert_eq!((fading.of(1_000), fading.of(1), fading.of(0)), (500, 0, 0));
    assert_eq!(MINUTE.fading(at(0), at(3_749)).of(77), 77, "less than a step");
    assert_eq!(MINUTE.fading(at(9_000), at(1)).of(77), 77, "time does not go back");
    assert_eq!(fading.of_signed(-1_000), -500);
    assert_eq!(MINUTE.fading(at(0), at(u64::MAX)).of(u64::MAX), 0);
}

#[test]
fn shares_round_down_and_hold_at_the_end() {
    assert_eq!(share_ppm(1, 3), 333_333);
    assert_eq!(share_ppm(5, 0), 0);
    assert_eq!(share_ppm(u64::MAX, u64::MAX), WHOLE_PPM);
    assert_eq!(share_ppm(u64::MAX, 1), u32::MAX);
}

#[test]
fn a_steady_rate_has_no_excess_and_a_surge_has() {
    let mut counts = vec![20; 400];
    assert_eq!(rate_slowly(&counts).past.excess_millis, 0, "after some minutes a rate is its own baseline");
    counts.extend([200; 4]);
    let surge = rate_slowly(&counts);
    assert!(surge.past.excess_millis == EXCESS_MILLIS_MAX, "{surge:?}");
    assert!(surge.mean_millis() < 30_000, "the surge has not taught itself away: {surge:?}");
}

/// A median of the values seen, and half of them on each side.
#[test]
fn the_running_median_is_near_the_true_one() {
    let mut median = Median::default();
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) % 1_000 + 100
    };
    let mut values: Vec<u64> = (0..4_000).map(|_| next()).collect();
    for (index, value) in (0u32..).zip(&values) {
        median.note(*value, index);
    }
    values.sort_unstable();
    let exact = values[values.len() / 2];
    assert!(median.value().abs_diff(exact) * 4 <= exact, "{} for {exact}", median.value());
}

#[test]
fn nobody_moves_the_median_alone() {
    let mut median = Median::default();
    median.note(100, 1);
    for _ in 0..1_000 {
        median.note(1_000_000, 2);
    }
    assert!(median.value() <= 104, "{}", median.value());
}

proptest! {
    #[test]
    fn prop_fading_is_near_the_model_and_never_above_it(value in any::<u64>(), steps in 0u64..400) {
        let (fast, slow) = (Fading::of_steps(steps).of(value), faded_slowly(value, steps));
        prop_assert!(fast <= slow + slow / 1_000_000 + 1, "{fast} {slow}");
        prop_assert!(fast + slow / 1_000_000 + 2 >= slow, "{fast} {slow}");
    }

    #[test]
    fn prop_fading_is_monotone(value in any::<u64>(), more in any::<u64>(), steps in 0u64..1_200, later in 0u64..40) {
        let fading = Fading::of_steps(steps);
        prop_assert!(fading.of(value) <= fading.of(value.saturating_add(more)));
        prop_assert!(Fading::of_steps(steps + later).of(value) <= fading.of(value));
    }

    /// By parts, only rounding makes a difference, and it makes less.
    #[test]
    fn prop_fading_by_parts_passes_the_same_steps(value in any::<u64>(), times in proptest::collection::vec(0u64..90_000, 1..20)) {
        let end: u64 = times.iter().sum();
        let (mut now, mut parts) = (0, value);
        for length in &times {
            parts = MINUTE.fading(at(now), at(now + length)).of(parts);
            now += length;
        }
        let whole = MINUTE.fading(at(0), at(end)).of(value);
        prop_assert!(parts <= whole + whole / 1_000_000 + 1 && parts + 40 + whole / 100_000_000 >= whole, "{parts} {whole}");
    }

    #[test]
    fn prop_a_rate_decays_to_zero(counts in proptest::collection::vec(0u32..2_000, 1..200)) {
        let mut rate = rate_slowly(&counts);
        rate.bring_to(at(0), at(10_000_000));
        prop_assert_eq!(rate, Rate::default());
    }

    /// Empty bins at once are near empty bins one by one, and leave no more excess.
    #[test]
    fn prop_quiet_bins_pass_at_once(counts in proptest::collection::vec(0u32..500, 1..120), quiet in 1u64..600) {
        let mut fast = rate_slowly(&counts).past;
        let mut slow = fast;
        fast.stay_quiet(quiet);
        for _ in 0..quiet {
            slow.note(0, COUNTS);
        }
        // One step of fading is 4.3 %; the model moves at least one unit a bin.
        prop_assert!(u64::from(fast.mean.abs_diff(slow.mean)) <= u64::from(slow.mean) / 8 + quiet.min(64) + 8, "{fast:?} {slow:?}");
        prop_assert_eq!(fast.excess_millis, slow.excess_millis);
    }

    #[test]
    fn prop_more_in_a_bin_is_no_less_excess(counts in proptest::collection::vec(0u32..500, 1..120), count in 0u32..5_000, more in 0u32..5_000) {
        let rate = rate_slowly(&counts);
        let excess = |count: u32| Rate { count: count << COUNT_SHIFT, ..rate }.excess_millis();
        prop_assert!(excess(count) <= excess(count + more));
    }
}
