use casemate_protocol::{BoundedVec, FeedId, SegmentId};
use proptest::prelude::*;

use super::*;

const NOW: TimeMs = TimeMs::from_ms(1_000);
const AGE_MAX: DurationMs = DurationMs::from_ms(100);

fn seen(operator: u16, price: u64, confidence: u64, source_ms: u64) -> Observation {
    Observation {
        operator: OperatorId::new(operator),
        price: PriceNanos::from_nanos(price),
        confidence: PriceNanos::from_nanos(confidence),
        source_ms: TimeMs::from_ms(source_ms),
    }
}

fn median_of(observations: &[Observation], operators_min: u16) -> Option<Median> {
    median(observations.iter().copied(), NOW, AGE_MAX, operators_min)
}

/// Price, confidence, source time and operators.
fn numbers(found: Option<Median>) -> Option<(u64, u64, u64, u16)> {
    found.map(|found| (found.price.nanos(), found.confidence.nanos(), found.source_ms.ms(), found.operators))
}

#[test]
fn an_odd_count_has_one_in_the_middle_and_an_even_count_the_mean_rounded_down() {
    let three = [seen(1, 90, 1, 990), seen(2, 100, 2, 980), seen(3, 105, 3, 1_000)];
    assert_eq!(numbers(median_of(&three, 3)), Some((100, 10, 990, 3)));
    let four = [three[0], three[1], three[2], seen(4, 103, 20, 960)];
    // Between 100 and 103; the confidence is the farther quartile, 90; the lower middle of the times is 980.
    assert_eq!(numbers(median_of(&four, 3)), Some((101, 11, 980, 4)));
    let one = [seen(7, u64::MAX, 5, 1_000)];
    assert_eq!(numbers(median_of(&one, 1)), Some((u64::MAX, 5, 1_000, 1)));
}

#[test]
fn the_median_of_confidences_counts_where_prices_agree_and_is_rounded_up() {
    let four = [seen(1, 100, 1, 990), seen(2, 100, 4, 990), seen(3, 100, 7, 990), seen(4, 100, 900, 990)];
    assert_eq!(numbers(median_of(&four, 1)), Some((100, 6, 990, 4)));
}

#[test]
fn two_of_three_are_no_price_where_three_are_required() {
    // Two feeds alive, one of them at a thousand times the price: their mean must not become the price.
    let alive = [seen(1, 100, 1, 990), seen(2, 100_000, 1, 990)];
    assert_eq!(median_of(&alive, 3), None);
    // What is too old or zero does not help to reach the number, nor does a second key of the same operator.
    let helped = [alive[0], alive[1], seen(3, 100, 1, 899), seen(4, 0, 1, 990), seen(1, 101, 1, 995)];
    assert_eq!(median_of(&helped, 3), None);
    assert_eq!(numbers(median_of(&helped, 2)).map(|found| found.3), Some(2));
}

#[test]
fn a_required_number_of_zero_still_needs_one() {
    assert_eq!(median_of(&[], 0), None);
    assert_eq!(median_of(&[seen(1, 0, 0, 1_000)], 0), None);
    assert!(median_of(&[seen(1, 1, 0, 1_000)], 0).is_some());
}

#[test]
fn age_counts_from_the_source_and_the_future_is_left_out() {
    assert!(median_of(&[seen(1, 5, 1, 900)], 1).is_some(), "exactly as old as allowed");
    assert_eq!(median_of(&[seen(1, 5, 1, 899)], 1), None);
    assert_eq!(median_of(&[seen(1, 5, 1, 1_001)], 1), None);
    // Near the start of time nothing becomes new by wrapping around.
    let young = median([seen(1, 5, 1, 3)].into_iter(), TimeMs::from_ms(4), DurationMs::from_ms(u64::MAX), 1);
    assert!(young.is_some());
    // One from the future does not hide what its operator said before.
    assert_eq!(numbers(median_of(&[seen(1, 9, 1, 1_001), seen(1, 5, 1, 950)], 1)), Some((5, 1, 950, 1)));
}

#[test]
fn of_one_operator_the_newest_counts_then_the_lower_price_then_the_lower_confidence() {
    let older = seen(1, 1, 1, 980);
    let [high, low_unsure, low] = [seen(1, 8, 1, 990), seen(1, 7, 9, 990), seen(1, 7, 2, 990)];
    assert_eq!(numbers(median_of(&[older, high, low_unsure, low], 1)), Some((7, 2, 990, 1)));
    assert_eq!(numbers(median_of(&[low, low_unsure, high, older], 1)), Some((7, 2, 990, 1)));
}

#[test]
fn more_operators_than_a_feed_can_have_are_no_price() {
    let many: Vec<_> = (1..=17).map(|operator| seen(operator, 100, 1, 990)).collect();
    assert_eq!(median_of(&many, 1), None);
    assert_eq!(numbers(median_of(&many[1..], 16)), Some((100, 1, 990, 16)));
}

/// Observations of few operators with few values, so that they tie, age and repeat often.
fn observations() -> impl Strategy<Value = Vec<Observation>> {
    let one = (1..=9u16, 0..=12u64, 0..=4u64, 890..=1_005u64);
    proptest::collection::vec(
        one.prop_map(|(operator, price, confidence, at)| seen(operator, price, confidence, at)),
        0..=16,
    )
}

/// The usable observations that count, found the slow way: each operator's best by sorting.
fn used(observations: &[Observation]) -> Vec<Observation> {
    let mut usable: Vec<_> = observations.to_vec();
    usable.retain(|seen| (900..=1_000).contains(&seen.source_ms.ms()) && seen.price.nanos() > 0);
    usable.sort_by_key(|seen| (seen.operator, u64::MAX - seen.source_ms.ms(), seen.price, seen.confidence));
    usable.dedup_by_key(|seen| seen.operator);
    usable
}

fn sorted(used: &[Observation], number: impl Fn(&Observation) -> u64) -> Vec<u64> {
    let mut values: Vec<u64> = used.iter().map(number).collect();
    values.sort_unstable();
    values
}

/// An operator's usable observation with a number of its own.
fn honest(count: usize) -> impl Strategy<Value = Vec<Observation>> {
    let one = (1_000..=1_100u64, 0..=50u64, 950..=1_000u64);
    proptest::collection::vec(one, count).prop_map(|all| {
        let numbered = all.into_iter().zip(1..);
        numbered.map(|((price, confidence, at), operator)| seen(operator, price, confidence, at)).collect()
    })
}

/// Operators that tell the truth and, with numbers from 101, operators that say what they like.
fn with_liars(liars_max: fn(usize) -> usize) -> impl Strategy<Value = (Vec<Observation>, Vec<Observation>)> {
    let counts = (1..=16usize).prop_flat_map(move |count| (Just(count), 0..=liars_max(count)));
    counts.prop_flat_map(|(count, liars)| {
        let lie = (1..=u64::MAX, any::<u64>(), 900..=1_000u64);
        let lies = proptest::collection::vec(lie, liars).prop_map(|all| {
            let numbered = all.into_iter().zip(101..);
            numbered.map(|((price, confidence, at), operator)| seen(operator, price, confidence, at)).collect()
        });
        (honest(count - liars), lies)
    })
}

proptest! {
    #[test]
    fn prop_the_order_of_observations_never_matters(
        (given, shuffled) in observations().prop_flat_map(|given| (Just(given.clone()), Just(given).prop_shuffle())),
        operators_min in 0..=4u16,
    ) {
        prop_assert_eq!(median_of(&given, operators_min), median_of(&shuffled, operators_min));
    }

    #[test]
    fn prop_the_median_is_that_of_the_slow_model(given in observations(), operators_min in 0..=4u16) {
        let used = used(&given);
        let found = median_of(&given, operators_min);
        prop_assert_eq!(found.is_some(), used.len() >= usize::from(operators_min.max(1)));
        let Some(found) = found else { return Ok(()) };
        let (prices, last) = (sorted(&used, |seen| seen.price.nanos()), used.len() - 1);
        let price = found.price.nanos();
        prop_assert_eq!(usize::from(found.operators), used.len());
        prop_assert_eq!(price, (prices[last / 2] + prices[used.len() / 2]) / 2);
        prop_assert!(prices[0] <= price && price <= prices[last]);
        let confidences = sorted(&used, |seen| seen.confidence.nanos());
        let said = (confidences[last / 2] + confidences[used.len() / 2]).div_ceil(2);
        let spread = (price - prices[last / 4]).max(prices[last - last / 4] - price);
        prop_assert_eq!(found.confidence.nanos(), said.max(spread));
        prop_assert_eq!(found.source_ms.ms(), sorted(&used, |seen| seen.source_ms.ms())[last / 2]);
    }

    /// INVARIANT(P1): one operator counts once, however many keys it publishes with.
    #[test]
    fn prop_more_keys_of_an_operator_weigh_no_more_than_one(
        honest in honest(5), lie in 1..=u64::MAX, keys in 1..=11usize,
    ) {
        let single: Vec<_> = honest.iter().copied().chain([seen(101, lie, 1, 990)]).collect();
        let many: Vec<_> = honest.iter().copied().chain(vec![seen(101, lie, 1, 990); keys]).collect();
        prop_assert_eq!(median_of(&many, 3), median_of(&single, 3));
    }

    /// INVARIANT(P1)
    #[test]
    fn prop_fewer_than_half_never_move_price_or_time_out_of_the_range_of_the_others(
        (honest, lies) in with_liars(|count| (count - 1) / 2),
    ) {
        let all: Vec<_> = lies.iter().chain(&honest).copied().collect();
        let found = median_of(&all, 1).unwrap();
        let prices = sorted(&honest, |seen| seen.price.nanos());
        let times = sorted(&honest, |seen| seen.source_ms.ms());
        prop_assert!(prices[0] <= found.price.nanos() && found.price.nanos() <= prices[prices.len() - 1]);
        prop_assert!(times[0] <= found.source_ms.ms() && found.source_ms.ms() <= times[times.len() - 1]);
    }

    #[test]
    fn prop_a_quarter_cannot_widen_the_confidence((honest, lies) in with_liars(|count| (count - 1) / 4)) {
        let all: Vec<_> = honest.iter().chain(&lies).copied().collect();
        let found = median_of(&all, 1).unwrap();
        let prices = sorted(&honest, |seen| seen.price.nanos());
        let unsure = sorted(&honest, |seen| seen.confidence.nanos());
        let widest = unsure[unsure.len() - 1].max(prices[prices.len() - 1] - prices[0]);
        prop_assert!(found.confidence.nanos() <= widest);
    }
}

fn moved(in_use: u64, wanted: u64, ppm: u32, saved_ms: u64) -> (u64, bool) {
    let nanos = PriceNanos::from_nanos;
    let result = cap_move(nanos(in_use), nanos(wanted), RatioPpm::from_ppm(ppm), DurationMs::from_ms(saved_ms));
    (result.price.nanos(), result.is_clamped)
}

#[test]
fn a_price_moves_by_its_cap_for_the_time_saved_and_for_ten_seconds_at_most() {
    assert_eq!(moved(1_000_000, 2_000_000, 10_000, 1_000), (1_010_000, true));
    assert_eq!(moved(1_000_000, 1, 10_000, 1_000), (990_000, true));
    assert_eq!(moved(1_000_000, 2_000_000, 10_000, 250), (1_002_500, true));
    assert_eq!(moved(1_000_000, 1_002_500, 10_000, 250), (1_002_500, false));
    assert_eq!(moved(1_000_000, 2_000_000, 10_000, 10_000), (1_100_000, true));
    assert_eq!(moved(1_000_000, 2_000_000, 10_000, u64::MAX), (1_100_000, true));
    // Rounded down: 999,999 times a hundredth is 9,999.99.
    assert_eq!(moved(999_999, 2_000_000, 10_000, 1_000), (1_009_998, true));
}

#[test]
fn a_price_without_time_or_rate_stands_and_a_small_one_is_never_stuck() {
    assert_eq!(moved(100, 200, 10_000, 0), (100, true));
    assert_eq!(moved(100, 200, 0, 1_000), (100, true));
    assert_eq!(moved(100, 100, 0, 0), (100, false));
    assert_eq!(moved(3, 200, 1, 1), (4, true));
    assert_eq!(moved(0, 200, 1, 1), (1, true));
    assert_eq!(moved(200, 3, 1, 1), (199, true));
}

#[test]
fn the_ends_of_the_range_hold() {
    assert_eq!(moved(u64::MAX, 0, u32::MAX, u64::MAX), (0, false));
    assert_eq!(moved(u64::MAX - 5, u64::MAX, u32::MAX, 10_000), (u64::MAX, false));
    assert_eq!(moved(1_000, 1, 1_000_000, 5_000), (1, false));
}

/// How far a price moves up (or down) when nothing but the cap stops it.
fn distance(in_use: u64, is_up: bool, ppm: u32, saved_ms: u64) -> u64 {
    moved(in_use, if is_up { u64::MAX } else { 0 }, ppm, saved_ms).0.abs_diff(in_use)
}

proptest! {
    /// INVARIANT(P2): never past the price wanted, never faster than the cap, and clamped exactly where it falls short.
    #[test]
    fn prop_a_move_stays_between_its_ends_and_inside_its_cap(
        in_use in any::<u64>(), wanted in any::<u64>(), ppm in 1..=1_000_000u32, saved_ms in 0..=20_000u64,
    ) {
        let (price, is_clamped) = moved(in_use, wanted, ppm, saved_ms);
        prop_assert!(in_use.min(wanted) <= price && price <= in_use.max(wanted));
        prop_assert_eq!(is_clamped, price != wanted);
        let allowed = u128::from(in_use) * u128::from(ppm) * u128::from(saved_ms.min(10_000));
        let used = u128::from(price.abs_diff(in_use)) * 1_000_000_000;
        prop_assert!(used <= allowed || price.abs_diff(in_use) == 1 && saved_ms > 0);
        if is_clamped && saved_ms > 0 {
            prop_assert!(used + 1_000_000_000 > allowed, "the whole cap is used");
            prop_assert!(price != in_use, "never stuck");
        }
    }

    #[test]
    fn prop_more_time_a_larger_rate_or_a_higher_wish_never_lead_to_a_lower_price_on_the_way_up(
        in_use in 1..=1u64 << 40, rise in 0..=1u64 << 40, more in 0..=1u64 << 20,
        ppm in 0..=100_000u32, saved_ms in 0..=12_000u64, later_ms in 0..=2_000u64,
    ) {
        let price = moved(in_use, in_use + rise, ppm, saved_ms).0;
        prop_assert!(moved(in_use, in_use + rise, ppm, saved_ms + later_ms).0 >= price);
        prop_assert!(moved(in_use, in_use + rise, ppm + 1, saved_ms).0 >= price);
        prop_assert!(moved(in_use, in_use + rise + more, ppm, saved_ms).0 >= price);
    }

    /// A move in two steps goes further up than one of the same time by what the first step's gain earns in the second
    /// and by three nanos of rounding; down, by two nanos of rounding.
    #[test]
    fn prop_two_steps_move_further_than_one_by_compounding_and_rounding_only(
        in_use in prop_oneof![1..=2_000u64, 1..=1u64 << 50],
        ppm in 1..=100_000u32, first_ms in 1..=5_000u64, second_ms in 1..=5_000u64, is_up in any::<bool>(),
    ) {
        let whole = distance(in_use, is_up, ppm, first_ms + second_ms);
        let first = distance(in_use, is_up, ppm, first_ms);
        let between = if is_up { in_use + first } else { in_use - first };
        let both = first + distance(between, is_up, ppm, second_ms);
        let earned = u128::from(first) * u128::from(ppm) * u128::from(second_ms) / 1_000_000_000;
        let earned = if is_up { u64::try_from(earned).unwrap() + 1 } else { 0 };
        prop_assert!(both <= whole + earned + 2, "{both} instead of {whole}");
    }

    #[test]
    fn prop_any_price_is_reached_in_the_end(in_use in 1..=400u64, wanted in 1..=400u64, ppm in 1..=1_000u32) {
        let mut price = in_use;
        for _ in 0..400 {
            price = moved(price, wanted, ppm, 1).0;
        }
        prop_assert_eq!(price, wanted);
    }
}

fn rules() -> FeedRules {
    FeedRules {
        id: FeedId::new(1),
        segment: SegmentId::new(1),
        publishers: BoundedVec::new(vec![0, 1, 2]).unwrap(),
        operators_min: 2,
        reference_price: PriceNanos::from_nanos(1_000),
        observation_age_ms_max: DurationMs::from_ms(2_000),
        open_age_ms_max: DurationMs::from_ms(3_000),
        liquidate_age_ms_max: DurationMs::from_ms(60_000),
        confidence_max: RatioPpm::from_ppm(5_000),
        move_per_second_max: RatioPpm::from_ppm(10_000),
    }
}

/// A standing of a price of 1,000 nanos, published at 10,000 ms.
fn standing(confidence: u64, is_current: bool, is_clamped: bool) -> Standing {
    let last = Median {
        price: PriceNanos::from_nanos(1_000),
        confidence: PriceNanos::from_nanos(confidence),
        source_ms: TimeMs::from_ms(10_000),
        operators: 3,
    };
    Standing { last, is_current, is_clamped }
}

fn grade_at(standing: Standing, age_ms: u64) -> PriceGrade {
    grade(Some(&standing), TimeMs::from_ms(10_000 + age_ms), &rules())
}

#[test]
fn each_limit_holds_up_to_itself() {
    assert_eq!(grade(None, TimeMs::ZERO, &rules()), PriceGrade::Unusable);
    assert_eq!(grade_at(standing(5, true, false), 3_000), PriceGrade::Valid);
    assert_eq!(grade_at(standing(5, true, false), 3_001), PriceGrade::Aged);
    assert_eq!(grade_at(standing(5, true, false), 60_000), PriceGrade::Aged);
    assert_eq!(grade_at(standing(5, true, false), 60_001), PriceGrade::Unusable);
    assert_eq!(grade_at(standing(6, true, false), 0), PriceGrade::Uncertain);
}

#[test]
fn the_worst_that_holds_is_the_grade() {
    assert_eq!(grade_at(standing(5, false, false), 0), PriceGrade::Aged, "no median now");
    assert_eq!(grade_at(standing(5, true, true), 0), PriceGrade::Clamped);
    assert_eq!(grade_at(standing(5, false, true), 3_001), PriceGrade::Clamped);
    assert_eq!(grade_at(standing(6, false, true), 3_001), PriceGrade::Uncertain);
    assert_eq!(grade_at(standing(6, false, true), 60_001), PriceGrade::Unusable);
    let mut nothing = standing(0, true, false);
    nothing.last.price = PriceNanos::ZERO;
    assert_eq!(grade_at(nothing, 0), PriceGrade::Unusable);
}

#[test]
fn the_largest_confidence_is_compared_without_overflow() {
    let mut unsure = standing(u64::MAX, true, false);
    assert_eq!(grade_at(unsure, 0), PriceGrade::Uncertain);
    unsure.last.price = PriceNanos::from_nanos(u64::MAX);
    let rules = FeedRules { confidence_max: RatioPpm::from_ppm(1_000_000), ..rules() };
    assert_eq!(grade(Some(&unsure), TimeMs::from_ms(10_000), &rules), PriceGrade::Valid);
}

proptest! {
    #[test]
    fn prop_a_price_that_ages_never_gets_better(
        confidence in 0..=10u64, is_current in any::<bool>(), is_clamped in any::<bool>(),
        age_ms in 0..=70_000u64, later_ms in 0..=70_000u64,
    ) {
        let standing = standing(confidence, is_current, is_clamped);
        prop_assert!(grade_at(standing, age_ms + later_ms) >= grade_at(standing, age_ms));
        // Losing the median makes nothing better either, and nothing useless that is young enough.
        let without = grade_at(Standing { is_current: false, ..standing }, age_ms);
        prop_assert!(without >= grade_at(standing, age_ms) && without > PriceGrade::Valid);
        prop_assert_eq!(without == PriceGrade::Unusable, age_ms > 60_000);
    }
}
