use proptest::prelude::*;

use super::*;
use crate::testing::examples;

fn micros(micros: i64) -> QuoteMicros {
    QuoteMicros::from_micros(micros)
}

/// The same brackets in the deduction form of R§3.2: rate of the bracket times notional, less what the brackets below
/// would have been overcharged. Rounded down, so the sum of rounded-up brackets lies at most one unit a bracket above.
fn deduction_form(rules: &MarginRules, notional: i64) -> i128 {
    let (mut deduction, mut before, mut sum) = (0i128, 0i128, 0i128);
    for tier in &rules.tiers {
        let (from, rate) = (i128::from(tier.notional_from.micros()), i128::from(tier.initial.ppm()));
        if i128::from(notional) <= from {
            break;
        }
        deduction += from * (rate - before);
        before = rate;
        sum = i128::from(notional) * rate - deduction;
    }
    sum.div_euclid(PPM)
}

fn without_add_on() -> MarginRules {
    MarginRules { size_rate: RatioPpm::ZERO, ..examples::margin(3, 1) }
}

#[test]
fn margin_is_what_the_brackets_say() {
    let rules = without_add_on();
    assert_eq!(rules.initial_margin(QuoteMicros::ZERO), Some(QuoteMicros::ZERO));
    // 5 % of 1,000 quote.
    assert_eq!(rules.initial_margin(micros(1_000_000_000)), Some(micros(50_000_000)));
    assert_eq!(rules.maintenance_margin(micros(1_000_000_000)), Some(micros(30_000_000)));
    // 5 million at 5 %, one million more at 10 %.
    assert_eq!(rules.initial_margin(micros(6_000_000_000_000)), Some(micros(350_000_000_000)));
    assert_eq!(rules.initial_margin(micros(-1)), None);
}

#[test]
fn the_size_add_on_is_rate_times_root_of_size() {
    let rules = examples::margin(3, 1);
    // As large as the constant, 10 million: the root is one, so the add-on is 2 %.
    let notional = micros(10_000_000_000_000);
    let brackets = without_add_on().initial_margin(notional).unwrap();
    assert_eq!(rules.initial_margin(notional).unwrap().micros() - brackets.micros(), 200_000_000_000);
    // A quarter of it: the root is a half, so 1 %.
    let quarter = micros(2_500_000_000_000);
    let brackets = without_add_on().initial_margin(quarter).unwrap();
    assert_eq!(rules.initial_margin(quarter).unwrap().micros() - brackets.micros(), 25_000_000_000);
}

/// Regression: the root was cut to hundredths, so that margin jumped by a hundredth of the rate at each of them. A long could
/// fall below maintenance margin because its price rose, which the queue of liquidation does not watch.
#[test]
fn margin_does_not_jump_where_the_root_was_cut_to_hundredths() {
    let rules = examples::margin(3, 1);
    let of = |notional| rules.initial_margin(micros(notional)).unwrap().micros();
    for hundredths in 1..2_000i64 {
        // A hundredth of the root begins at its square, of ten thousandths of ten million quote.
        let notional = hundredths * hundredths * 1_000_000_000;
        // At a slope below one, 2 and what rounding makes.
        assert!(of(notional + 1) - of(notional - 1) <= 4, "{hundredths}");
    }
}

proptest! {
    /// The larger of two positions never needs less, which lets risk skip the smaller one; close to where the add-on begins and
    /// where its lines meet, too.
    #[test]
    fn prop_margin_never_falls_with_size(
        near in prop_oneof![0..1i64 << 50, (1..1_000i64).prop_map(|root| root * root * 1_000_000_000), Just(571_428_571)],
        below in 0..1_000i64, above in 0..1_000i64,
    ) {
        let rules = examples::margin(3, 1);
        let of = |notional: i64| rules.initial_margin(micros(notional.max(0))).unwrap();
        prop_assert!(of(near - below) <= of(near + above));
    }
}

#[test]
fn small_notionals_have_no_size_add_on() {
    let rules = examples::margin(3, 1);
    let add_on = |notional| rules.size_add_on(micros(notional)).unwrap().micros();
    let none_below = 10_000_000_000_000 / 70_000 * 4;
    assert_eq!((add_on(0), add_on(none_below)), (0, 0));
    assert!(add_on(none_below + 10_000) > 0);
    // Exact at one hundredth: 2 % of a hundredth.
    assert_eq!(add_on(1_000_000_000), 200_000);
}

#[test]
fn maintenance_is_at_least_half_of_initial() {
    let rules = MarginRules { size_rate: RatioPpm::from_ppm(500_000), ..examples::margin(3, 1) };
    let notional = micros(10_000_000_000_000);
    let initial = rules.initial_margin(notional).unwrap().micros();
    assert_eq!(rules.maintenance_margin(notional).unwrap().micros(), (initial + 1) / 2);
}

#[test]
fn fine_ticks_are_prices_in_units_of_the_market() {
    let tick = PriceNanos::from_nanos(100_000_000);
    let price = PriceNanos::from_nanos(64_000_050_000_000);
    assert_eq!(fine_ticks(price, tick), Some(FineTicks::from_fine(640_000 * FINE_PER_TICK + FINE_PER_TICK / 2)));
    assert_eq!(fine_ticks(price, PriceNanos::ZERO), None);
    assert_eq!(fine_ticks(PriceNanos::from_nanos(u64::MAX), PriceNanos::from_nanos(1)), None);
}

#[test]
fn a_worse_grade_never_allows_what_a_better_one_refuses() {
    let grades =
        [PriceGrade::Valid, PriceGrade::Aged, PriceGrade::Clamped, PriceGrade::Uncertain, PriceGrade::Unusable];
    for pair in grades.windows(2) {
        for wanted in [PriceUse::NewRisk, PriceUse::Funding, PriceUse::Margin, PriceUse::Liquidation] {
            assert!(pair[0].allows(wanted) || !pair[1].allows(wanted), "{pair:?} {wanted:?}");
        }
    }
    assert!(grades.iter().skip(1).all(|grade| !grade.allows(PriceUse::NewRisk)));
}

#[test]
fn the_range_of_every_legal_notional_fits() {
    let rules = examples::margin(3, 1);
    let largest = micros(2 * POSITION_NOTIONAL_MICROS_MAX);
    assert!(rules.maintenance_margin(largest).is_some());
}

proptest! {
    #[test]
    fn prop_brackets_equal_the_deduction_form(notional in 0i64..POSITION_NOTIONAL_MICROS_MAX) {
        let rules = without_add_on();
        let sum = i128::from(rules.initial_margin(micros(notional)).unwrap().micros());
        let expected = deduction_form(&rules, notional);
        prop_assert!(sum >= expected && sum <= expected + 2, "{} {}", sum, expected);
    }

    #[test]
    fn prop_margin_grows_with_size_and_splitting_never_pays_for_more(
        left in 0i64..POSITION_NOTIONAL_MICROS_MAX / 2, right in 0i64..POSITION_NOTIONAL_MICROS_MAX / 2
    ) {
        let rules = examples::margin(3, 1);
        let of = |notional| rules.initial_margin(micros(notional)).unwrap().micros();
        prop_assert!(of(left + right) >= of(left).max(of(right)));
        // Brackets and add-on are convex: two small positions never need more than one of both, but for rounding.
        prop_assert!(of(left) + of(right) <= of(left + right) + 4);
    }

    /// What the bounds of liquidation rest on: the slope of maintenance margin never falls, but for rounding.
    #[test]
    fn prop_maintenance_is_convex(
        notional in 0i64..POSITION_NOTIONAL_MICROS_MAX / 2, step in 1i64..POSITION_NOTIONAL_MICROS_MAX / 4, bits in 0u32..50,
    ) {
        let rules = examples::margin(3, 1);
        let of = |notional| rules.maintenance_margin(micros(notional)).unwrap().micros();
        let (notional, step) = (notional >> bits, (step >> bits).max(1));
        let (low, middle, high) = (of(notional), of(notional + step), of(notional + 2 * step));
        prop_assert!(low <= middle && middle <= high);
        prop_assert!(middle - low <= high - middle + 8, "{} {} {}", low, middle, high);
    }

    #[test]
    fn prop_maintenance_lies_between_half_and_whole_of_initial(notional in 0i64..POSITION_NOTIONAL_MICROS_MAX) {
        let rules = examples::margin(3, 1);
        let initial = rules.initial_margin(micros(notional)).unwrap().micros();
        let maintenance = rules.maintenance_margin(micros(notional)).unwrap().micros();
        prop_assert!(2 * maintenance >= initial && maintenance <= initial);
    }
}
