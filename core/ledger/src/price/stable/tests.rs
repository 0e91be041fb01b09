use proptest::prelude::*;

use super::*;

/// Windows of 850, 1,100, 1,350 and 1,600; buckets of 54.
const MATURITY: Maturity = maturity(600, 1_000);
const BUCKET: u64 = 54;

const fn maturity(cliff_ms: u64, ramp_ms: u64) -> Maturity {
    Maturity { cliff_ms: ms(cliff_ms), ramp_ms: ms(ramp_ms) }
}

const fn ms(value: u64) -> DurationMs {
    DurationMs::from_ms(value)
}

/// Shows a window the same mark at a moment, and returns both stable prices.
fn show(window: &mut PriceWindow, mark: u64, now: u64) -> (u64, u64) {
    window.observe(FineTicks::from_fine(mark), ms(now), MATURITY);
    (window.long().fine(), window.short().fine())
}

#[test]
fn before_the_first_mark_no_profit_counts() {
    let window = PriceWindow::default();
    assert_eq!((window.long().fine(), window.short().fine()), (0, u64::MAX));
}

#[test]
fn the_first_mark_is_taken_as_history() {
    let mut window = PriceWindow::default();
    assert_eq!(show(&mut window, 100, 5), (100, 100));
    assert_eq!(show(&mut window, 101, 6), (100, 101));
    assert_eq!(show(&mut window, 98, 7), (98, 101));
}

#[test]
fn a_jump_comes_to_count_by_quarters_once_each_window_has_passed() {
    let mut window = PriceWindow::default();
    show(&mut window, 1_000, 540);
    show(&mut window, 1_400, 594);
    // The old mark stood in the bucket that begins at 594, so it is the last to leave each window: after 16, 21, 25 and
    // 30 whole buckets behind it.
    let counted = [
        (594 + 16 * BUCKET, 0),
        (594 + 17 * BUCKET, 100),
        (594 + 22 * BUCKET, 200),
        (594 + 26 * BUCKET, 300),
        (594 + 31 * BUCKET, 400),
    ];
    for (at, gain) in counted {
        let (long, short) = show(&mut window, 1_400, at);
        assert_eq!(long, 1_000 + gain, "at {at}");
        assert_eq!(short, 1_400, "a short's loss counts at once");
    }
    assert_eq!(show(&mut window, 1_400, 594 + 31 * BUCKET - 1).0, 1_400, "time moves forward only");
}

#[test]
fn a_fall_mirrors_a_rise() {
    let (mut rising, mut falling) = (PriceWindow::default(), PriceWindow::default());
    show(&mut rising, 1_000, 0);
    show(&mut falling, 1_000, 0);
    for step in 1..80 {
        let (long, _) = show(&mut rising, 1_403, step * 30);
        let (_, short) = show(&mut falling, 597, step * 30);
        assert_eq!(long - 1_000, 1_000 - short, "both rounded against the position");
    }
}

#[test]
fn a_dip_starts_the_wait_anew() {
    let mut window = PriceWindow::default();
    show(&mut window, 1_000, 0);
    show(&mut window, 1_400, 10);
    assert_eq!(show(&mut window, 1_400, 1_700).0, 1_400);
    assert_eq!(show(&mut window, 1_000, 1_710).0, 1_000);
    assert_eq!(show(&mut window, 1_400, 1_711).0, 1_000);
    assert_eq!(show(&mut window, 1_400, 1_711 + 850).0, 1_000);
    assert_eq!(show(&mut window, 1_400, 1_711 + 1_600 + 2 * BUCKET).0, 1_400);
}

#[test]
fn the_mark_seen_last_stands_through_an_outage_of_any_length() {
    let mut window = PriceWindow::default();
    show(&mut window, 1_000, 0);
    show(&mut window, 1_400, 10);
    for later in [5_000, u64::MAX / 2, u64::MAX] {
        let mut window = window.clone();
        // It stood at 1,400, so that counts; what it is at now does not yet.
        assert_eq!(show(&mut window, 1_500, later), (1_400, 1_500));
    }
}

#[test]
fn a_moment_before_the_latest_counts_as_the_latest() {
    let mut window = PriceWindow::default();
    show(&mut window, 1_000, 5_000);
    let mut straight = window.clone();
    show(&mut window, 900, 3_000);
    show(&mut straight, 900, 5_000);
    assert_eq!(window, straight);
}

#[test]
fn a_change_of_rules_never_makes_profit_count_earlier() {
    let mut window = PriceWindow::default();
    show(&mut window, 1_000, 0);
    show(&mut window, 1_400, 10);
    assert_eq!(show(&mut window, 1_400, 1_200).0, 1_200, "two of four windows have passed");
    // A tenth of the wait, all of which the jump has passed; and ten times the wait.
    for rules in [maturity(60, 100), maturity(6_000, 10_000)] {
        let mut window = window.clone();
        window.observe(FineTicks::from_fine(1_400), ms(1_201), rules);
        assert_eq!(window.long().fine(), 1_000, "all that is known is kept for the whole of the new wait");
        window.observe(FineTicks::from_fine(1_400), ms(1_201 + rules.cliff_ms.ms()), rules);
        assert_eq!(window.long().fine(), 1_000);
        let whole = rules.cliff_ms.ms() + rules.ramp_ms.ms();
        window.observe(FineTicks::from_fine(1_400), ms(1_201 + whole * 16 / 15 + 2), rules);
        assert_eq!(window.long().fine(), 1_400);
    }
}

#[test]
fn the_longest_wait_and_the_largest_mark_hold() {
    let mut window = PriceWindow::default();
    let longest = maturity(u64::MAX, u64::MAX);
    for (mark, now) in [(u64::MAX, 0), (1, u64::MAX / 2), (u64::MAX, u64::MAX)] {
        window.observe(FineTicks::from_fine(mark), ms(now), longest);
    }
    assert_eq!((window.long().fine(), window.short().fine()), (1, u64::MAX));
    let mut none = PriceWindow::default();
    for (mark, now) in [(5, 0), (9, 1), (9, 2)] {
        none.observe(FineTicks::from_fine(mark), ms(now), maturity(0, 0));
    }
    assert_eq!(none.long().fine(), 9, "without a wait only the bucket of now counts");
}

#[test]
fn a_window_reads_back_from_its_bytes() {
    let mut window = PriceWindow::default();
    for (mark, now) in [(1_000, 0), (1_400, 10), (900, 700)] {
        show(&mut window, mark, now);
    }
    let bytes = borsh::to_vec(&window).unwrap();
    assert_eq!(bytes.len(), 32 * 16 + 5 * 8);
    assert_eq!(borsh::from_slice::<PriceWindow>(&bytes).unwrap(), window);
}

/// The slow model: every mark with its moment, the first as if it had always stood.
struct Remembered(Vec<(u64, u64)>);

impl Remembered {
    /// Each mark with the end of the time that it stood, none for the latest.
    fn stood(&self) -> impl Iterator<Item = (u64, Option<u64>)> {
        let ends = self.0.iter().skip(1).map(|(at, _)| Some(*at)).chain([None]);
        self.0.iter().zip(ends).map(|((_, mark), end)| (*mark, end))
    }

    /// Lowest mark that stood within a time before now.
    fn low(&self, now: u64, window: u64) -> u64 {
        let inside = self.stood().filter(|(_, end)| end.is_none_or(|end| end + window > now));
        inside.map(|(mark, _)| mark).min().unwrap()
    }

    fn high(&self, now: u64, window: u64) -> u64 {
        let inside = self.stood().filter(|(_, end)| end.is_none_or(|end| end + window > now));
        inside.map(|(mark, _)| mark).max().unwrap()
    }

    /// The sum over the four windows, each longer by a time.
    fn sum(&self, rules: Maturity, longer: u64, extreme: impl Fn(u64) -> u64) -> u64 {
        let (cliff, ramp) = (rules.cliff_ms.ms(), rules.ramp_ms.ms());
        (1..=4).map(|quarters| extreme(cliff + (ramp * quarters).div_ceil(4) + longer)).sum()
    }
}

/// Waits from tiny, where buckets are a millisecond, to long.
fn rules() -> impl Strategy<Value = Maturity> {
    let wait = || prop_oneof![1..=20u64, 1..=3_000u64];
    (wait(), wait()).prop_map(|(cliff, ramp)| maturity(cliff, ramp))
}

/// Times between observations and marks.
fn path() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let time = prop_oneof![Just(0u64), 1..=5u64, 1..=100u64, 1..=1_500u64];
    proptest::collection::vec((time, 1..=1_000u64), 1..60)
}

proptest! {
    /// INVARIANT(P3): what counts stood through each window, and at most two buckets more are asked of it.
    #[test]
    fn prop_stable_prices_lie_between_the_true_windows_and_windows_two_buckets_longer(
        rules in rules(), start in 0..=100_000u64, path in path(),
    ) {
        let longer = 2 * bucket_ms(rules).ms();
        let (mut window, mut seen, mut now) = (PriceWindow::default(), Remembered(Vec::new()), start);
        for (time, mark) in path {
            now += time;
            window.observe(FineTicks::from_fine(mark), ms(now), rules);
            seen.0.push((now, mark));
            let (long, short) = (window.long().fine(), window.short().fine());
            prop_assert!(long <= mark && mark <= short);
            prop_assert!(long <= seen.sum(rules, 0, |length| seen.low(now, length)) / 4);
            prop_assert!(long >= seen.sum(rules, longer, |length| seen.low(now, length)) / 4);
            prop_assert!(short >= seen.sum(rules, 0, |length| seen.high(now, length)).div_ceil(4));
            prop_assert!(short <= seen.sum(rules, longer, |length| seen.high(now, length)).div_ceil(4));
        }
    }

    /// INVARIANT(P3): of a jump no more counts than a straight ramp after the cliff lets, and all of it two buckets
    /// after it.
    #[test]
    fn prop_a_jump_counts_for_nothing_until_the_cliff_and_then_never_more_than_the_ramp(
        rules in rules(), jump_at in 1..=10_000u64, gain in 1..=1_000_000u64,
        times in proptest::collection::vec(1..=400u64, 1..60),
    ) {
        let (cliff, ramp) = (rules.cliff_ms.ms(), rules.ramp_ms.ms());
        let mut window = PriceWindow::default();
        window.observe(FineTicks::from_fine(1_000), ms(jump_at - 1), rules);
        window.observe(FineTicks::from_fine(1_000 + gain), ms(jump_at), rules);
        let (mut age, mut before) = (0, 0);
        for time in times {
            age += time;
            window.observe(FineTicks::from_fine(1_000 + gain), ms(jump_at + age), rules);
            let counted = window.long().fine() - 1_000;
            prop_assert!(counted >= before, "what counts never shrinks while the mark stands");
            before = counted;
            if age < cliff {
                prop_assert_eq!(counted, 0);
            } else if age < cliff + ramp {
                prop_assert!(counted * ramp <= gain * (age - cliff));
            } else if age >= cliff + ramp + 2 * bucket_ms(rules).ms() {
                prop_assert_eq!(counted, gain);
            }
        }
    }

    #[test]
    fn prop_a_dip_takes_all_of_a_jump_back(
        rules in rules(), stood in 0..=20_000u64, gain in 1..=1_000u64, after in 0..=5_000u64,
    ) {
        let mut window = PriceWindow::default();
        for (mark, now) in [(1_000, 0), (1_000 + gain, 1), (1_000, 1 + stood), (1_000 + gain, 2 + stood)] {
            window.observe(FineTicks::from_fine(mark), ms(now), rules);
        }
        window.observe(FineTicks::from_fine(1_000 + gain), ms(2 + stood + after), rules);
        let first_window = rules.cliff_ms.ms() + rules.ramp_ms.ms().div_ceil(4);
        prop_assert!(after >= first_window || window.long().fine() == 1_000);
    }
}
