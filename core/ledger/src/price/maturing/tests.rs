use proptest::prelude::*;

use super::*;

const MATURITY: Maturity = maturity(600, 1_000);
/// An eighth of 1,600.
const QUANTUM: u64 = 200;
/// A gain at 1,000 lies on the grid, so its wait begins at once.
const START: u64 = 1_000;

const fn maturity(cliff_ms: u64, ramp_ms: u64) -> Maturity {
    Maturity { cliff_ms: ms(cliff_ms), ramp_ms: ms(ramp_ms) }
}

const fn ms(value: u64) -> DurationMs {
    DurationMs::from_ms(value)
}

const fn micros(value: i64) -> QuoteMicros {
    QuoteMicros::from_micros(value)
}

/// Market, start and amount of each entry.
fn entries(list: &[Maturing]) -> Vec<(u16, u64, i64)> {
    list.iter().map(|gain| (gain.market, gain.start_ms.ms(), gain.amount.micros())).collect()
}

fn unmatured_at(list: &[Maturing], market: u16, now: u64) -> i64 {
    unmatured(list, market, ms(now), MATURITY)
}

fn unmatured(mut list: &[Maturing], market: u16, now_ms: DurationMs, maturity: Maturity) -> i64 {
    let (_, gains) = take_up_to(&mut list, market);
    unmatured_after_loss(gains, QuoteMicros::ZERO, now_ms, maturity).micros()
}

#[test]
fn a_gain_waits_for_its_cliff_and_then_for_its_share_rounded_up() {
    let mut list = Vec::new();
    add(&mut list, 1, micros(999), ms(START), MATURITY);
    for (age, unmatured) in [(0, 999), (599, 999), (600, 999), (601, 999), (1_100, 500), (1_599, 1), (1_600, 0)] {
        assert_eq!(unmatured_at(&list, 1, START + age), unmatured, "age {age}");
    }
    assert_eq!(unmatured_at(&list, 1, 0), 999, "before its start");
    assert_eq!(unmatured_at(&list, 2, START), 0, "another market");
}

#[test]
fn waits_begin_on_the_grid_and_never_before_the_gain() {
    let mut list = Vec::new();
    for (now, amount) in [(801, 1), (1_000, 2), (1_001, 4), (1_199, 8)] {
        add(&mut list, 1, micros(amount), ms(now), MATURITY);
    }
    assert_eq!(entries(&list), [(1, 1_000, 3), (1, 1_200, 12)]);
    assert_eq!(unmatured_at(&list, 1, 1_801), 15, "the gain at 1,199 has waited 602 and counts for nothing yet");
}

#[test]
fn markets_stay_apart_and_the_list_sorted() {
    let mut list = Vec::new();
    for (market, now, amount) in [(2, 1_000, 1), (1, 1_200, 2), (3, 1_000, 4), (1, 1_400, 8), (2, 1_400, 16)] {
        add(&mut list, market, micros(amount), ms(now), MATURITY);
    }
    assert_eq!(entries(&list), [(1, 1_200, 2), (1, 1_400, 8), (2, 1_000, 1), (2, 1_400, 16), (3, 1_000, 4)]);
    assert_eq!(lose(&mut list, 2, micros(100)), micros(83));
    assert_eq!(entries(&list), [(1, 1_200, 2), (1, 1_400, 8), (3, 1_000, 4)]);
    let mut left = list.as_slice();
    let (before, own) = take_up_to(&mut left, 2);
    assert_eq!((entries(before), entries(own)), (vec![(1, 1_200, 2), (1, 1_400, 8)], vec![]));
    assert_eq!(entries(left), [(3, 1_000, 4)]);
    let (before, own) = take_up_to(&mut left, 3);
    assert_eq!((before.len(), entries(own), left.len()), (0, vec![(3, 1_000, 4)], 0));
}

#[test]
fn what_counts_in_full_is_dropped_with_the_next_gain_of_its_market() {
    let mut list = Vec::new();
    add(&mut list, 1, micros(5), ms(START), MATURITY);
    add(&mut list, 2, micros(6), ms(START), MATURITY);
    add(&mut list, 1, micros(7), ms(START + 1_599), MATURITY);
    assert_eq!(entries(&list), [(1, 1_000, 5), (1, 2_600, 7), (2, 1_000, 6)]);
    add(&mut list, 1, micros(0), ms(START + 1_600), MATURITY);
    assert_eq!(entries(&list), [(1, 2_600, 7), (2, 1_000, 6)]);
}

#[test]
fn losses_consume_the_youngest_first_and_return_the_rest() {
    let mut list = Vec::new();
    for (now, amount) in [(1_000, 10), (1_200, 20), (1_400, 30)] {
        add(&mut list, 1, micros(amount), ms(now), MATURITY);
    }
    assert_eq!(lose(&mut list, 1, micros(35)), micros(0));
    assert_eq!(entries(&list), [(1, 1_000, 10), (1, 1_200, 15)]);
    assert_eq!(lose(&mut list, 9, micros(5)), micros(5));
    assert_eq!(lose(&mut list, 1, micros(-5)), micros(0));
    assert_eq!(lose(&mut list, 1, micros(26)), micros(1));
    assert_eq!(entries(&list), []);
}

#[test]
fn what_is_no_gain_is_not_kept() {
    let mut list = Vec::new();
    add(&mut list, 1, micros(0), ms(START), MATURITY);
    add(&mut list, 1, micros(-4), ms(START), MATURITY);
    assert_eq!(entries(&list), []);
}

#[test]
fn the_ends_of_the_range_hold() {
    let longest = maturity(u64::MAX, u64::MAX);
    let mut list = Vec::new();
    for _ in 0..2 {
        add(&mut list, 1, micros(i64::MAX), ms(u64::MAX), longest);
    }
    assert_eq!(entries(&list), [(1, u64::MAX, i64::MAX)]);
    assert_eq!(unmatured(&list, 1, ms(u64::MAX), longest), i64::MAX);
    let none = maturity(0, 0);
    assert_eq!(none.quantum_ms(), ms(1));
    assert_eq!(none.unmatured(micros(7), ms(0)), micros(0));
    assert_eq!(maturity(5, 0).unmatured(micros(7), ms(4)), micros(7));
    assert_eq!(maturity(5, 0).unmatured(micros(7), ms(5)), micros(0));
}

#[test]
fn an_entry_reads_back_from_its_bytes() {
    let gain = Maturing { market: 3, start_ms: ms(1_200), amount: micros(77) };
    let bytes = borsh::to_vec(&gain).unwrap();
    assert_eq!(bytes.len(), 2 + 8 + 8);
    assert_eq!(borsh::from_slice::<Maturing>(&bytes).unwrap(), gain);
}

/// What happens to an account.
#[derive(Clone, Copy, Debug)]
enum Step {
    Gain(u16, i64),
    Lose(u16, i64),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = || prop_oneof![1..=20i64, 1..=1_000_000i64];
    let step = prop_oneof![
        4 => (1..=2u16, amount()).prop_map(|(market, amount)| Step::Gain(market, amount)),
        1 => (1..=2u16, amount()).prop_map(|(market, amount)| Step::Lose(market, amount)),
        4 => prop_oneof![1..=QUANTUM, 1..=700u64].prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The slow model: every gain of a market with its own time, oldest first, nothing merged, nothing dropped.
#[derive(Default)]
struct Unmerged(Vec<(u64, i64)>);

impl Unmerged {
    fn lose(&mut self, mut loss: i64) {
        while let Some((_, amount)) = self.0.last_mut().filter(|_| loss > 0) {
            let taken = loss.min(*amount);
            (*amount, loss) = (*amount - taken, loss - taken);
            if *amount == 0 {
                self.0.pop();
            }
        }
    }

    /// What does not count yet, times the ramp, so that nothing is rounded.
    fn unmatured_times_ramp(&self, now: i64) -> i128 {
        let waits = self.0.iter().map(|(at, amount)| {
            let age = now - i64::try_from(*at).unwrap();
            i128::from(*amount) * i128::from((1_600 - age).clamp(0, 1_000))
        });
        waits.sum()
    }
}

fn ramps(amount: i64) -> i128 {
    i128::from(amount) * 1_000
}

proptest! {
    /// INVARIANT(P3): merging never makes a gain count earlier than on its own clock, and later by one quantum at most.
    #[test]
    fn prop_merging_never_shortens_a_wait_and_prolongs_it_by_less_than_a_quantum(steps in steps()) {
        let (mut list, mut now) = (Vec::new(), 10_000u64);
        let mut models = [Unmerged::default(), Unmerged::default()];
        for step in steps {
            match step {
                Step::Gain(market, amount) => {
                    add(&mut list, market, micros(amount), ms(now), MATURITY);
                    models[usize::from(market) - 1].0.push((now, amount));
                    prop_assert!(list.iter().filter(|gain| gain.market == market).count() <= 9);
                }
                Step::Lose(market, amount) => {
                    let before = unmatured_at(&list, market, now);
                    let left = lose(&mut list, market, micros(amount)).micros();
                    models[usize::from(market) - 1].lose(amount);
                    // What counts never rises by a loss: what does not count falls by no more than was lost.
                    prop_assert!((0..=amount).contains(&left));
                    prop_assert!((0..=amount - left).contains(&(before - unmatured_at(&list, market, now))));
                }
                Step::Wait(time) => now += time,
            }
            prop_assert!(list.is_sorted_by_key(|gain| (gain.market, gain.start_ms)));
            prop_assert!(list.iter().all(|gain| gain.amount.is_positive()));
            for (model, market) in models.iter().zip(1..) {
                let found = unmatured_at(&list, market, now);
                let signed = i64::try_from(now).unwrap();
                prop_assert!(ramps(found) >= model.unmatured_times_ramp(signed));
                // Each of nine entries may be rounded up by less than one.
                let later = model.unmatured_times_ramp(signed - i64::try_from(QUANTUM).unwrap());
                prop_assert!(ramps(found) < later + ramps(9));
            }
        }
    }

    /// INVARIANT(P3): nothing before the cliff, everything after the wait and a quantum, and never less as time passes.
    #[test]
    fn prop_nothing_counts_before_the_cliff_and_all_of_it_at_the_end(
        cliff in 1..=5_000u64, ramp in 1..=5_000u64, at in 0..=20_000u64, amount in 1..=i64::MAX,
        moments in (0..=15_000u64, 0..=15_000u64),
    ) {
        let rules = maturity(cliff, ramp);
        let mut list = Vec::new();
        add(&mut list, 1, micros(amount), ms(at), rules);
        let left = |after: u64| unmatured(&list, 1, ms(at + after), rules);
        prop_assert_eq!(left(cliff - 1), amount);
        prop_assert_eq!(left(cliff), amount);
        prop_assert_eq!(left(cliff + ramp + rules.quantum_ms().ms()), 0);
        prop_assert!(left(cliff + ramp - 1) > 0);
        let (first, second) = (moments.0.min(moments.1), moments.0.max(moments.1));
        prop_assert!(left(first) >= left(second));
    }

    #[test]
    fn prop_splitting_a_gain_at_one_moment_changes_nothing(
        earlier in proptest::collection::vec((0..=3_000u64, 1..=1_000i64), 0..6),
        parts in proptest::collection::vec(1..=1_000_000i64, 1..8),
        at in 3_000..=6_000u64,
    ) {
        let mut sorted = earlier;
        sorted.sort_unstable();
        let mut whole = Vec::new();
        for (now, amount) in sorted {
            add(&mut whole, 1, micros(amount), ms(now), MATURITY);
        }
        let mut split = whole.clone();
        add(&mut whole, 1, micros(parts.iter().sum()), ms(at), MATURITY);
        for part in parts {
            add(&mut split, 1, micros(part), ms(at), MATURITY);
        }
        prop_assert_eq!(split, whole);
    }

    /// INVARIANT(P3): giving a gain back and making it again starts its wait anew, whichever comes first.
    #[test]
    fn prop_losing_and_regaining_never_makes_more_count(
        gains in proptest::collection::vec((0..=2_000u64, 1..=1_000i64), 1..6),
        churned in 1..=5_000i64, at in 2_000..=4_000u64, later in 0..=2_000u64,
    ) {
        let mut sorted = gains;
        sorted.sort_unstable();
        let mut kept = Vec::new();
        for (now, amount) in sorted {
            add(&mut kept, 1, micros(amount), ms(now), MATURITY);
        }
        for is_loss_first in [true, false] {
            let mut list = kept.clone();
            let mut uncovered = 0;
            if is_loss_first {
                uncovered = lose(&mut list, 1, micros(churned)).micros();
            }
            add(&mut list, 1, micros(churned), ms(at), MATURITY);
            if !is_loss_first {
                uncovered = lose(&mut list, 1, micros(churned)).micros();
            }
            prop_assert!(uncovered == 0 || is_loss_first);
            let moment = at + later;
            prop_assert!(unmatured_at(&list, 1, moment) >= unmatured_at(&kept, 1, moment));
        }
    }
}
