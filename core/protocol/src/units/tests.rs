use proptest::prelude::*;

use super::*;

/// A non-zero divisor and a numerator, both far enough from the ends for exact checks.
fn division() -> impl Strategy<Value = (i128, i128)> {
    let number = prop_oneof![-20i128..=20, any::<i64>().prop_map(i128::from)];
    (number.clone(), number.prop_filter("zero has a test of its own", |&divisor| divisor != 0))
}

proptest! {
    #[test]
    fn prop_div_round_encloses_the_exact_quotient((numerator, divisor) in division()) {
        let down = div_round(numerator, divisor, Round::Down).unwrap();
        let up = div_round(numerator, divisor, Round::Up).unwrap();
        // Multiplied by the divisor's sign, so that the comparison keeps its direction.
        let sign = divisor.signum();
        prop_assert!(down * divisor * sign <= numerator * sign && numerator * sign <= up * divisor * sign);
        prop_assert_eq!(up - down, i128::from(numerator % divisor != 0), "as close as it can be");
    }

    #[test]
    fn prop_div_round_mirrors((numerator, divisor) in division()) {
        let up = div_round(numerator, divisor, Round::Up).unwrap();
        prop_assert_eq!(div_round(-numerator, divisor, Round::Down), Some(-up));
        prop_assert_eq!(div_round(-numerator, -divisor, Round::Up), Some(up));
    }

    #[test]
    fn prop_scale_is_the_exact_share_rounded(amount in any::<i64>(), ppm in any::<u32>()) {
        let (amount, ratio) = (QuoteMicros::from_micros(amount), RatioPpm::from_ppm(ppm));
        let product = i128::from(amount.micros()) * i128::from(ppm);
        for round in [Round::Up, Round::Down] {
            let exact = div_round(product, PPM, round).unwrap();
            prop_assert_eq!(amount.scale(ratio, round).map(|scaled| i128::from(scaled.micros())),
                i64::try_from(exact).ok().map(i128::from));
        }
    }

    /// Who pays a fee never pays less than the exact fee, and who gets a rebate never gets more; by less than 1 micro.
    #[test]
    fn prop_a_fee_rounds_against_its_payer(amount in 0i64..=i64::MAX / 4, ppm in -2_000_000i32..2_000_000) {
        let fee = QuoteMicros::from_micros(amount).fee(FeePpm::from_ppm(ppm)).unwrap();
        let (exact, charged) = (i128::from(amount) * i128::from(ppm), i128::from(fee.micros()) * PPM);
        prop_assert!(charged >= exact && charged - exact < PPM);
        prop_assert!(ppm < 0 || !fee.is_negative());
        prop_assert!(ppm > 0 || !fee.is_positive());
    }

    #[test]
    fn prop_fee_and_rebate_of_a_fill_never_cost_the_vault(amount in 0i64..=i64::MAX / 4, ppm in 0i32..1_000_000) {
        let amount = QuoteMicros::from_micros(amount);
        let (fee, rebate) = (amount.fee(FeePpm::from_ppm(ppm)).unwrap(), amount.fee(FeePpm::from_ppm(-ppm)).unwrap());
        prop_assert!(!fee.checked_add(rebate).unwrap().is_negative());
    }

    #[test]
    fn prop_notional_is_exact_or_refused(price in any::<u64>(), lots in any::<u64>(), tick in any::<u32>()) {
        for (price, lots) in [(price, lots), (price % 1_000_000, lots % 1_000_000), (price >> 40, lots >> 40)] {
            let exact = u128::from(price).checked_mul(u128::from(lots)).and_then(|product| product.checked_mul(tick.into()));
            let exact = exact.and_then(|exact| i64::try_from(exact).ok());
            let notional = notional(
                PriceTicks::from_ticks(price),
                QuantityLots::from_lots(lots),
                TickValueMicros::from_micros(tick),
            );
            prop_assert_eq!(notional.map(QuoteMicros::micros), exact);
        }
    }

    #[test]
    fn prop_a_split_fill_costs_what_the_whole_costs(price in 0u64..1 << 30, a in 0u64..1 << 15, b in 0u64..1 << 15, tick in 0u32..1 << 16) {
        let notional = |lots| {
            notional(PriceTicks::from_ticks(price), QuantityLots::from_lots(lots), TickValueMicros::from_micros(tick)).unwrap()
        };
        prop_assert_eq!(notional(a).checked_add(notional(b)).unwrap(), notional(a + b));
    }

    #[test]
    fn prop_a_moved_price_is_the_exact_price_rounded_and_never_below_a_tick(price in any::<u64>(), by_ppm in any::<i64>()) {
        for (price, by_ppm) in [(price, by_ppm), (price >> 24, by_ppm % 2_000_000)] {
            let exact = i128::from(price) * (PPM + i128::from(by_ppm));
            for round in [Round::Up, Round::Down] {
                let expected = u64::try_from(div_round(exact, PPM, round).unwrap().max(1)).ok();
                let moved = price_moved(PriceTicks::from_ticks(price), by_ppm, round);
                prop_assert_eq!(moved.map(PriceTicks::ticks), expected);
            }
        }
    }

    #[test]
    fn prop_sums_and_differences_are_exact_or_refused_and_saturation_holds_at_the_end(a in any::<i64>(), b in any::<i64>()) {
        let [one, other] = [a, b].map(QuoteMicros::from_micros);
        prop_assert_eq!(one.checked_add(other).map(QuoteMicros::micros), a.checked_add(b));
        prop_assert_eq!(one.checked_sub(other).map(QuoteMicros::micros), a.checked_sub(b));
        prop_assert_eq!(one.saturating_add(other).micros(), a.saturating_add(b));
        prop_assert_eq!(one.saturating_sub(other).micros(), a.saturating_sub(b));
    }
}

#[test]
fn a_division_without_an_answer_gives_none() {
    assert_eq!(div_round(1, 0, Round::Up), None);
    assert_eq!(div_round(i128::MIN, -1, Round::Down), None);
    assert_eq!(div_round(i128::MIN, 1, Round::Down), Some(i128::MIN));
    assert_eq!(div_round(i128::MAX, -2, Round::Down), Some(i128::MIN / 2));
}

#[test]
fn the_smallest_fee_costs_one_and_the_smallest_rebate_gives_nothing() {
    let fee = |amount, ppm| QuoteMicros::from_micros(amount).fee(FeePpm::from_ppm(ppm)).unwrap().micros();
    assert_eq!((fee(1, 1), fee(1, -1), fee(0, 400)), (1, 0, 0));
    assert_eq!((fee(96_000_000, 400), fee(96_000_000, -50)), (38_400, -4_800));
    assert_eq!((fee(999_999, -1), fee(1_000_000, -1), fee(1_000_001, -1)), (0, -1, -1));
    assert_eq!((fee(999_999, 1), fee(1_000_000, 1), fee(1_000_001, 1)), (1, 1, 2));
}

#[test]
fn a_fee_or_notional_out_of_range_is_refused() {
    assert_eq!(QuoteMicros::from_micros(i64::MAX).fee(FeePpm::from_ppm(1_000_001)), None);
    assert_eq!(QuoteMicros::from_micros(i64::MIN).scale(RatioPpm::from_ppm(u32::MAX), Round::Down), None);
    let most =
        notional(PriceTicks::from_ticks(u64::MAX), QuantityLots::from_lots(u64::MAX), TickValueMicros::from_micros(1));
    assert_eq!(most, None);
}

#[test]
fn a_price_moves_both_ways() {
    let moved = |ticks, by_ppm, round| price_moved(PriceTicks::from_ticks(ticks), by_ppm, round).map(PriceTicks::ticks);
    assert_eq!(moved(64_000, 0, Round::Up), Some(64_000));
    assert_eq!(moved(64_000, 100_000, Round::Down), Some(70_400));
    assert_eq!(moved(3, 500_000, Round::Up), Some(5));
    assert_eq!(moved(3, 500_000, Round::Down), Some(4));
    assert_eq!(moved(64_000, -1_000_000, Round::Up), Some(1));
    assert_eq!(moved(64_000, -9_000_000, Round::Up), Some(1));
    assert_eq!(moved(u64::MAX, 1_000_000, Round::Up), None);
}

#[test]
fn money_is_shown_with_six_places() {
    let shown = |micros| QuoteMicros::from_micros(micros).to_string();
    assert_eq!([shown(12_500_000), shown(-1), shown(0)], ["12.500000", "-0.000001", "0.000000"]);
    assert_eq!(shown(i64::MIN), "-9223372036854.775808");
}

#[test]
fn the_one_value_without_a_counterpart_is_refused() {
    let least = QuoteMicros::from_micros(i64::MIN);
    assert_eq!((least.checked_abs(), least.checked_neg()), (None, None));
    assert_eq!(PositionLots::from_lots(i64::MIN).size().lots(), 1 << 63);
}

#[test]
fn time_holds_at_its_ends() {
    let [early, late] = [5, 8].map(TimeMs::from_ms);
    assert_eq!((late.since(early).ms(), early.since(late).ms()), (3, 0));
    assert_eq!(TimeMs::from_ms(u64::MAX).plus(DurationMs::from_ms(1)).ms(), u64::MAX);
}
