use casemate_protocol::QuoteMicros;
use proptest::prelude::*;

use super::*;

const fn ms(value: u64) -> DurationMs {
    DurationMs::from_ms(value)
}

const fn fine(value: u64) -> FineTicks {
    FineTicks::from_fine(value)
}

#[test]
fn the_basis_moves_by_its_share_rounded_away_from_where_it_was() {
    assert_eq!(average_step(0, Some(31_000), ms(1_000), ms(30_000)), 1_000);
    assert_eq!(average_step(0, Some(31_001), ms(1_000), ms(30_000)), 1_001);
    assert_eq!(average_step(0, Some(-31_001), ms(1_000), ms(30_000)), -1_001);
    assert_eq!(average_step(31_000, None, ms(1_000), ms(30_000)), 30_000, "no sample pulls to zero");
    assert_eq!(average_step(5, Some(6), ms(1), ms(u64::MAX)), 6, "no dead zone");
    assert_eq!(average_step(5, Some(600), ms(0), ms(30_000)), 5);
    assert_eq!(average_step(5, Some(600), ms(0), ms(0)), 5);
    assert_eq!(average_step(5, Some(600), ms(1), ms(0)), 600, "without a window there is no average");
    assert_eq!(average_step(i64::MIN, Some(i64::MAX), ms(u64::MAX), ms(0)), i64::MAX);
    assert_eq!(average_step(i64::MAX, Some(i64::MIN), ms(u64::MAX), ms(0)), i64::MIN);
}

#[test]
fn the_mark_follows_the_basis_to_its_limit() {
    let one_percent = RatioPpm::from_ppm(10_000);
    assert_eq!(mark(fine(100_000), 300, one_percent), fine(100_300));
    assert_eq!(mark(fine(100_000), -300, one_percent), fine(99_700));
    assert_eq!(mark(fine(100_099), 5_000, one_percent), fine(101_099), "1,000.99 rounded inward");
    assert_eq!(mark(fine(100_099), -5_000, one_percent), fine(99_099));
    assert_eq!(mark(fine(100_000), 300, RatioPpm::ZERO), fine(100_000));
    assert_eq!(mark(fine(100), i64::MIN, RatioPpm::from_ppm(u32::MAX)), fine(1), "never zero");
    assert_eq!(mark(fine(u64::MAX), i64::MAX, one_percent), fine(u64::MAX));
}

#[test]
fn the_premium_is_what_bids_have_above_and_asks_below_the_index() {
    let index = fine(1_000_000);
    assert_eq!(premium_ppm(index, Some(fine(1_000_700)), Some(fine(1_001_000))), 700);
    assert_eq!(premium_ppm(index, Some(fine(998_000)), Some(fine(999_100))), -900);
    assert_eq!(premium_ppm(index, Some(fine(999_000)), Some(fine(1_001_000))), 0, "the index lies inside the spread");
    assert_eq!(premium_ppm(index, Some(fine(1_000_700)), None), 700);
    assert_eq!(premium_ppm(index, None, Some(fine(999_100))), -900);
    assert_eq!(premium_ppm(index, None, None), 0);
    assert_eq!(premium_ppm(fine(3), Some(fine(4)), None), 333_333);
    assert_eq!(premium_ppm(fine(3), None, Some(fine(1))), -666_666, "toward zero");
    assert_eq!(premium_ppm(fine(1), Some(fine(u64::MAX)), None), 1_000_000);
    assert_eq!(premium_ppm(fine(0), Some(fine(5)), Some(fine(5))), 0);
}

fn rules() -> FundingRules {
    FundingRules {
        interval_ms: ms(60 * 60 * 1_000),
        interest: RatioPpm::from_ppm(100),
        clamp: RatioPpm::from_ppm(500),
        rate_max: RatioPpm::from_ppm(40_000),
        impact_notional: QuoteMicros::from_micros(1),
    }
}

#[test]
fn an_hour_pays_an_eighth_of_premium_and_interest() {
    let eight_hours = FundingRules { interval_ms: ms(EIGHT_HOURS_MS), ..rules() };
    // Premium and eight hours' rate: inside the clamp the rate is the interest, beyond it the premium less the clamp.
    for (premium, rate) in [(0, 100), (600, 100), (-400, 100), (601, 101), (1_000, 500), (-401, 99), (-1_000, -500)] {
        assert_eq!(funding_rate_ppm(premium, &eight_hours), rate, "premium {premium}");
    }
    assert_eq!(funding_rate_ppm(0, &rules()), 12, "12.5 toward zero");
    assert_eq!(funding_rate_ppm(-1_000, &rules()), -62, "-62.5 toward zero");
}

#[test]
fn a_rate_is_held_to_its_limit() {
    assert_eq!(funding_rate_ppm(1_000_000, &rules()), 40_000);
    assert_eq!(funding_rate_ppm(-1_000_000, &rules()), -40_000);
    assert_eq!(funding_rate_ppm(i64::MAX, &rules()), 40_000);
    assert_eq!(funding_rate_ppm(i64::MIN, &rules()), -40_000);
    let unlisted = FundingRules { interval_ms: ms(u64::MAX), rate_max: RatioPpm::from_ppm(u32::MAX), ..rules() };
    assert_eq!(funding_rate_ppm(i64::MAX, &unlisted), i32::MAX);
    assert_eq!(funding_rate_ppm(i64::MIN, &unlisted), -i32::MAX);
}

#[test]
fn a_lot_pays_the_rate_on_its_notional_at_the_index() {
    let tick_value = TickValueMicros::from_micros(10);
    // 50,000 ticks of 10 micro-quote are 500,000 micro-quote; 100 ppm of them are 50.
    let index = fine(50_000 << 16);
    assert_eq!(funding_per_lot(100, index, tick_value), Some(50 << 16));
    assert_eq!(funding_per_lot(-100, index, tick_value), Some(-50 * 65_536));
    assert_eq!(funding_per_lot(1, fine(99_999), tick_value), Some(0), "0.99999 toward zero");
    assert_eq!(funding_per_lot(-1, fine(199_999), tick_value), Some(-1), "-1.99999 toward zero");
    assert_eq!(funding_per_lot(i32::MAX, fine(u64::MAX), TickValueMicros::from_micros(u32::MAX)), None);
    assert_eq!(funding_per_lot(i32::MIN, fine(u64::MAX), TickValueMicros::from_micros(u32::MAX)), None);
}

#[test]
fn what_is_due_is_exact_at_the_ends_of_the_range() {
    assert_eq!(funding_due(-3, 10, 4), -18);
    let whole = (1i128 << 64) - 1;
    assert_eq!(funding_due(i64::MIN, i64::MAX, i64::MIN), -(1i128 << 63) * whole);
    assert_eq!(funding_due(i64::MIN, i64::MIN, i64::MAX), (1i128 << 63) * whole);
}

proptest! {
    #[test]
    fn prop_a_step_of_the_basis_is_its_share_rounded_up_in_size(
        basis in any::<i64>(), target in any::<i64>(), step in 0..=1u64 << 32, window in 0..=1u64 << 32,
    ) {
        let after = average_step(basis, Some(target), ms(step), ms(window));
        prop_assert!(basis.min(target) <= after && after <= basis.max(target));
        let (moved, distance) = (u128::from(after.abs_diff(basis)), u128::from(target.abs_diff(basis)));
        let (step, whole) = (u128::from(step), u128::from(step + window));
        prop_assert!(moved * whole >= distance * step);
        prop_assert!(moved == 0 || (moved - 1) * whole < distance * step);
    }

    #[test]
    fn prop_a_constant_sample_is_reached_exactly(
        basis in -5_000..=5_000i64, target in -5_000..=5_000i64, step in 1..=2_000u64, window in 0..=60_000u64,
    ) {
        // Each step moves by one at least, so no more steps than the distance are needed.
        let mut now = basis;
        for _ in 0..basis.abs_diff(target) {
            let after = average_step(now, Some(target), ms(step), ms(window));
            prop_assert!(now == target || after.abs_diff(target) < now.abs_diff(target));
            now = after;
        }
        prop_assert_eq!(now, target);
        prop_assert_eq!(average_step(now, Some(target), ms(step), ms(window)), target);
    }

    #[test]
    fn prop_the_basis_mirrors(basis in -1i64 << 60..=1 << 60, sample in -1i64 << 60..=1 << 60, step in 0..=9_000u64) {
        let mirrored = average_step(-basis, Some(-sample), ms(step), ms(30_000));
        prop_assert_eq!(mirrored, -average_step(basis, Some(sample), ms(step), ms(30_000)));
    }

    #[test]
    fn prop_the_mark_stays_within_its_distance_of_the_index(
        index in 1..=1u64 << 56, basis in any::<i64>(), ppm in 0..=1_000_000u32,
    ) {
        let marked = mark(fine(index), basis, RatioPpm::from_ppm(ppm));
        prop_assert!(marked.fine() > 0);
        let distance = u128::from(marked.fine().abs_diff(index));
        prop_assert!(distance <= u128::from(basis.unsigned_abs()));
        prop_assert!(distance * 1_000_000 <= u128::from(index) * u128::from(ppm));
        prop_assert!(mark(fine(index), basis.saturating_add(1), RatioPpm::from_ppm(ppm)) >= marked);
    }

    #[test]
    fn prop_a_premium_is_the_distance_over_the_index_toward_zero(
        index in 1..=1u64 << 40,
        bid in proptest::option::of(1..=1u64 << 41), ask in proptest::option::of(1..=1u64 << 41),
    ) {
        let premium = i128::from(premium_ppm(fine(index), bid.map(fine), ask.map(fine)));
        let wide = i128::from(index);
        let above = bid.map_or(0, |bid| (i128::from(bid) - wide).max(0));
        let below = ask.map_or(0, |ask| (wide - i128::from(ask)).max(0));
        let exact = (above - below) * 1_000_000;
        prop_assert!(premium.abs() <= 1_000_000);
        prop_assert!(premium * exact >= 0, "no wrong sign");
        prop_assert!(premium.abs() * wide <= exact.abs());
        prop_assert!((premium.abs() + 1) * wide > exact.abs() || premium.abs() == 1_000_000);
    }

    #[test]
    fn prop_a_rate_rises_with_the_premium_and_never_leaves_its_limit(
        premium in -2_000_000..=2_000_000i64, more in 0..=10_000i64, hours in prop_oneof![Just(1u64), Just(4), Just(8)],
        interest in 0..=1_000u32, clamp in 1..=5_000u32, rate_max in 1..=50_000u32,
    ) {
        let rules = FundingRules {
            interval_ms: ms(hours * 3_600_000),
            interest: RatioPpm::from_ppm(interest),
            clamp: RatioPpm::from_ppm(clamp),
            rate_max: RatioPpm::from_ppm(rate_max),
            ..rules()
        };
        let rate = funding_rate_ppm(premium, &rules);
        prop_assert!(rate.unsigned_abs() <= rate_max);
        prop_assert!(funding_rate_ppm(premium + more, &rules) >= rate);
        // Eight hours' rate is never further from the premium than the clamp, so neither is the settlement's share of
        // it.
        let limit = (premium.unsigned_abs() + u64::from(clamp)) * hours / 8;
        prop_assert!(u64::from(rate.unsigned_abs()) <= limit);
    }

    #[test]
    fn prop_a_payment_per_lot_is_exact_toward_zero_and_mirrors(
        rate in -1_000_000..=1_000_000i32, index in 1..=1u64 << 56, tick_value in 1..=1_000u32,
    ) {
        let pay = |rate| funding_per_lot(rate, fine(index), TickValueMicros::from_micros(tick_value));
        let exact = i128::from(index) * i128::from(tick_value) * i128::from(rate);
        let Some(paid) = pay(rate) else {
            prop_assert!(exact.abs() >= (1i128 << 63) * 1_000_000);
            return Ok(());
        };
        prop_assert_eq!(i128::from(paid), exact / 1_000_000);
        prop_assert_eq!(pay(-rate), Some(-paid));
    }

    #[test]
    fn prop_what_is_due_adds_up_over_time_and_over_both_sides(
        lots in any::<i64>(), entry in any::<i64>(), between in any::<i64>(), now in any::<i64>(),
    ) {
        let lots = lots.max(-i64::MAX) / 4;
        let parts = funding_due(lots, between, entry) + funding_due(lots, now, between);
        prop_assert_eq!(parts, funding_due(lots, now, entry));
        prop_assert_eq!(funding_due(lots, now, entry) + funding_due(-lots, now, entry), 0);
    }
}
