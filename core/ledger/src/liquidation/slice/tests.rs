//! Tests of slices: each sentence of their descriptions, and laws for any input.

use proptest::prelude::*;

use super::*;

const fn quote(micros: i64) -> QuoteMicros {
    QuoteMicros::from_micros(micros)
}

const fn lots(lots: u64) -> QuantityLots {
    QuantityLots::from_lots(lots)
}

const fn ppm(ppm: u32) -> RatioPpm {
    RatioPpm::from_ppm(ppm)
}

const fn ms(ms: u64) -> DurationMs {
    DurationMs::from_ms(ms)
}

const RULES: LiquidationRules = LiquidationRules {
    fee: ppm(5_000),
    depth_share: ppm(200_000),
    slice_min: quote(1_000),
    per_second_max: quote(10_001),
    slippage_max: ppm(10_000),
    backstop_below: ppm(666_667),
    backstop_loss_max: quote(1_000_000),
    insurance_share_max: ppm(100_000),
    insurance_window_ms: ms(3_600_000),
};

/// 1,000 lots of 100 in a book of 50,000 and a budget beyond all of it.
const LIMITS: SliceLimits = SliceLimits {
    position: lots(1_000),
    lot_notional: quote(100),
    depth: quote(50_000),
    median_depth: quote(60_000),
    budget: quote(1_000_000),
};

fn slice(limits: SliceLimits) -> u64 {
    slice_lots(&limits, &RULES).lots()
}

#[test]
fn a_slice_is_a_share_of_the_lesser_depth() {
    assert_eq!(slice(LIMITS), 100, "a fifth of 50,000");
    assert_eq!(slice(SliceLimits { median_depth: quote(40_049), ..LIMITS }), 80, "a fifth of 40,049, in whole lots");
}

#[test]
fn a_slice_is_at_least_the_minimum_and_one_lot() {
    assert_eq!(slice(SliceLimits { depth: quote(0), ..LIMITS }), 10);
    assert_eq!(slice(SliceLimits { depth: quote(-5), lot_notional: quote(30_000), ..LIMITS }), 1);
    assert_eq!(slice(SliceLimits { lot_notional: quote(30_000), budget: quote(29_999), ..LIMITS }), 0);
}

#[test]
fn a_slice_stays_within_budget() {
    assert_eq!(slice(SliceLimits { budget: quote(1_234), ..LIMITS }), 12);
    assert_eq!(slice(SliceLimits { budget: quote(-1), ..LIMITS }), 0);
}

#[test]
fn a_rest_below_the_minimum_is_closed_along() {
    assert_eq!(slice(SliceLimits { position: lots(109), ..LIMITS }), 109, "9 lots would be left");
    assert_eq!(slice(SliceLimits { position: lots(110), ..LIMITS }), 100, "10 lots are a slice of their own");
    let short = SliceLimits { position: lots(109), budget: quote(10_550), ..LIMITS };
    assert_eq!(slice(short), 105, "as far as the budget goes");
    assert_eq!(slice(SliceLimits { position: lots(0), ..LIMITS }), 0);
}

#[test]
fn a_budget_grows_by_the_second_and_saves_up_for_ten() {
    assert_eq!(budget_step(quote(5), ms(1_000), &RULES), quote(10_006));
    assert_eq!(budget_step(quote(0), ms(1), &RULES), quote(10), "rounded down");
    assert_eq!(budget_step(quote(100_009), ms(2_000), &RULES), quote(100_010));
    assert_eq!(budget_step(quote(0), ms(u64::MAX), &RULES), quote(100_010));
    let vast = LiquidationRules { per_second_max: quote(i64::MAX), ..RULES };
    assert_eq!(budget_step(quote(1), ms(2_000), &vast), quote(i64::MAX));
}

const ALL: MarginShare = MarginShare { part: quote(7), whole: quote(7) };
const THIRD: MarginShare = MarginShare { part: quote(1), whole: quote(3) };

#[test]
fn a_long_position_goes_bankrupt_below_its_value_and_a_short_one_above() {
    assert_eq!(bankruptcy_notional(quote(100), quote(1_000), ALL), Some(quote(900)));
    assert_eq!(bankruptcy_notional(quote(100), quote(-1_000), ALL), Some(quote(1_100)));
    assert_eq!(bankruptcy_notional(quote(-100), quote(1_000), ALL), Some(quote(1_100)), "what is missing comes on top");
    assert_eq!(bankruptcy_notional(quote(-100), quote(-1_000), ALL), Some(quote(900)));
}

#[test]
fn a_share_of_equity_is_rounded_for_the_account() {
    assert_eq!(bankruptcy_notional(quote(100), quote(1_000), THIRD), Some(quote(967)));
    assert_eq!(bankruptcy_notional(quote(100), quote(-1_000), THIRD), Some(quote(1_033)));
    assert_eq!(bankruptcy_notional(quote(-100), quote(1_000), THIRD), Some(quote(1_034)));
    assert_eq!(bankruptcy_notional(quote(-100), quote(-1_000), THIRD), Some(quote(966)));
}

#[test]
fn a_share_that_is_none_has_no_bankruptcy() {
    let shares = [(1, 0), (0, 0), (-1, 3), (4, 3), (-4, -3)];
    for (part, whole) in shares {
        let share = MarginShare { part: quote(part), whole: quote(whole) };
        assert_eq!(bankruptcy_notional(quote(5), quote(5), share), None, "{part} of {whole}");
    }
    assert_eq!(bankruptcy_notional(quote(i64::MIN), quote(i64::MAX), ALL), None);
    assert_eq!(bankruptcy_notional(quote(i64::MAX), quote(i64::MIN), ALL), None);
}

/// 100 lots of tick value 2: one tick is 200. The index is 1,000.5 ticks.
const PRICES: PriceLimits = PriceLimits {
    is_long: true,
    position: lots(100),
    bankruptcy: quote(190_001),
    tick_value: TickValueMicros::from_micros(2),
    index: FineTicks::from_fine(1_000 * FINE_PER_TICK + FINE_PER_TICK / 2),
    slippage_max: ppm(10_000),
};

fn limit(limits: PriceLimits) -> Option<u64> {
    limit_price(&limits).map(PriceTicks::ticks)
}

#[test]
fn a_sale_is_bound_by_the_higher_of_bankruptcy_and_slippage() {
    assert_eq!(limit(PRICES), Some(991), "990.495 ticks are the edge");
    assert_eq!(limit(PriceLimits { bankruptcy: quote(199_801), ..PRICES }), Some(1_000), "999.005 ticks");
    assert_eq!(limit(PriceLimits { bankruptcy: quote(-5), slippage_max: ppm(1_000_000), ..PRICES }), Some(1));
}

#[test]
fn a_purchase_is_bound_by_the_lower_of_both() {
    let short = PriceLimits { is_long: false, bankruptcy: quote(203_999), ..PRICES };
    assert_eq!(limit(short), Some(1_010), "1,010.505 ticks are the edge");
    assert_eq!(limit(PriceLimits { bankruptcy: quote(201_999), ..short }), Some(1_009));
    assert_eq!(limit(PriceLimits { bankruptcy: quote(199), ..short }), None, "below a tick nobody sells");
    assert_eq!(limit(PriceLimits { bankruptcy: quote(-200), ..short }), None);
    assert_eq!(limit(PriceLimits { position: lots(0), ..short }), None);
}

#[test]
fn insurance_room_is_the_share_less_what_was_spent() {
    assert_eq!(insurance_room(1_005, quote(30), ppm(100_000)), quote(70), "a tenth, rounded down");
    assert_eq!(insurance_room(1_005, quote(101), ppm(100_000)), quote(0));
    assert_eq!(insurance_room(-1, quote(0), ppm(100_000)), quote(0));
    assert_eq!(insurance_room(9, quote(0), ppm(u32::MAX)), quote(9), "never more than there is");
    assert_eq!(insurance_room(i128::MAX, quote(0), ppm(1_000_000)), quote(i64::MAX));
}

#[test]
fn insurance_spent_is_forgotten_slowly() {
    assert_eq!(insurance_decay(quote(1_000), ms(36), ms(3_600)), quote(990));
    assert_eq!(insurance_decay(quote(1_001), ms(36), ms(3_600)), quote(991), "rounded up");
    assert_eq!(insurance_decay(quote(1_000), ms(3_600), ms(3_600)), quote(0));
    assert_eq!(insurance_decay(quote(1_000), ms(9_999), ms(3_600)), quote(0));
    let spent = (0..3_600).fold(quote(1_000_000), |spent, _| insurance_decay(spent, ms(1_000), ms(3_600_000)));
    assert!((367_700..=371_500).contains(&spent.micros()), "{spent} of 1.000000");
}

proptest! {
    #[test]
    fn prop_a_slice_keeps_its_limits(
        position in any::<u64>(), lot in 1i64..1 << 40, depths in (any::<i64>(), any::<i64>()), budget in any::<i64>(),
    ) {
        let limits = SliceLimits {
            position: lots(position),
            lot_notional: quote(lot),
            depth: quote(depths.0),
            median_depth: quote(depths.1),
            budget: quote(budget),
        };
        let taken = slice(limits);
        prop_assert!(taken <= position);
        let notional = i128::from(taken) * i128::from(lot);
        prop_assert!(notional <= i128::from(budget.max(0)));
        let is_able = budget >= lot && position > 0;
        prop_assert_eq!(taken > 0, is_able, "at least a lot wherever the budget allows one");
        // Beyond the share only for the minimum, a lot, or a rest that is too small.
        let share = i128::from(depths.0.min(depths.1).max(0)) / 5;
        let most = share.max(1_000).max(lot.into()) + 1_000;
        prop_assert!(notional <= most);
        let rest = i128::from(position - taken) * i128::from(lot);
        prop_assert!(rest == 0 || rest >= 1_000 || notional + i128::from(lot) > i128::from(budget));
    }

    #[test]
    fn prop_more_depth_or_budget_never_makes_the_slice_smaller(
        position in 0u64..1 << 30, lot in 1i64..1_000, depth in 0i64..1 << 30, budget in 0i64..1 << 30, more in 0i64..1 << 20,
    ) {
        let limits = SliceLimits { position: lots(position), lot_notional: quote(lot), depth: quote(depth),
            median_depth: quote(depth), budget: quote(budget) };
        let richer = SliceLimits { budget: quote(budget + more), ..limits };
        prop_assert!(slice(richer) >= slice(limits));
        let deeper = SliceLimits { depth: quote(depth + more), median_depth: quote(depth + more), ..limits };
        prop_assert!(slice(deeper) >= slice(limits));
    }

    #[test]
    fn prop_short_steps_bring_no_more_than_one_long_one(
        per_second in 1i64..1 << 50, steps in proptest::collection::vec(0u64..2_000, 0..20),
    ) {
        let rules = LiquidationRules { per_second_max: quote(per_second), ..RULES };
        let split = steps.iter().fold(quote(0), |saved, step| budget_step(saved, ms(*step), &rules));
        let whole = budget_step(quote(0), ms(steps.iter().sum()), &rules);
        prop_assert!(split <= whole);
        let lost = i64::try_from(steps.len()).unwrap();
        prop_assert!(split.micros() >= whole.micros() - lost, "rounding loses less than one in each step");
    }

    /// INVARIANT(D3): all positions closed at their bankruptcy notional, solvent accounts stay solvent, by rounding at most
    /// one micro-quote a position.
    #[test]
    fn prop_closing_everything_at_bankruptcy_leaves_nothing_and_nobody_below(
        equity in -(1i64 << 50)..1 << 50,
        positions in proptest::collection::vec((-(1i64 << 50)..1 << 50, 0i64..1 << 45), 1..10),
    ) {
        let whole: i64 = positions.iter().map(|(_, margin)| *margin).sum();
        prop_assume!(whole > 0);
        let mut left = i128::from(equity);
        for (value, margin) in &positions {
            let share = MarginShare { part: quote(*margin), whole: quote(whole) };
            let notional = bankruptcy_notional(quote(equity), quote(*value), share).unwrap();
            // A long position gives up its value and gets the notional, a short one the other way round.
            let signed = if *value >= 0 { notional.micros() } else { -notional.micros() };
            left += i128::from(signed) - i128::from(*value);
        }
        prop_assert!(left >= 0);
        prop_assert!(left < i128::try_from(positions.len()).unwrap());
    }

    #[test]
    fn prop_a_limit_price_keeps_both_limits_and_is_the_worst_that_does(
        is_long in any::<bool>(), size in 1u64..1 << 20, tick_value in 1u32..1_000, bankruptcy in -(1i64 << 40)..1 << 50,
        index in 1u64..1 << 50, slippage in 1u32..1_000_000,
    ) {
        let limits = PriceLimits { is_long, position: lots(size), bankruptcy: quote(bankruptcy),
            tick_value: TickValueMicros::from_micros(tick_value), index: FineTicks::from_fine(index),
            slippage_max: ppm(slippage) };
        let is_fine = |ticks: u64| {
            let notional = i128::from(ticks) * i128::from(size) * i128::from(tick_value);
            let scaled = i128::from(ticks) * i128::from(FINE_PER_TICK) * PPM;
            let edge = |ppm: i128| i128::from(index) * ppm;
            if is_long {
                notional >= i128::from(bankruptcy) && scaled >= edge(PPM - i128::from(slippage))
            } else {
                notional <= i128::from(bankruptcy) && scaled <= edge(PPM + i128::from(slippage))
            }
        };
        match limit(limits) {
            Some(ticks) => {
                prop_assert!(is_fine(ticks));
                let worse = if is_long { ticks - 1 } else { ticks + 1 };
                prop_assert!(worse == 0 || !is_fine(worse));
            }
            None => prop_assert!(!is_long && !is_fine(1)),
        }
    }

    #[test]
    fn prop_taking_all_the_room_again_and_again_stays_below_the_share(
        fund in 0i64..1 << 60, share in 1u32..1_000_000, takes in proptest::collection::vec(0u32..=1_000_000, 0..20),
    ) {
        let (mut left, mut spent) = (i128::from(fund), 0i64);
        for take in takes {
            let room = insurance_room(left, quote(spent), ppm(share));
            let taken = room.scale(ppm(take), Round::Up).unwrap().micros();
            left -= i128::from(taken);
            spent += taken;
        }
        prop_assert!(left >= 0 && i128::from(spent) * PPM <= i128::from(fund) * i128::from(share));
    }

    #[test]
    fn prop_spent_insurance_fades_and_never_below_the_exact_rest(
        spent in 0i64..=i64::MAX, step in 0u64..5_000, window in 1u64..1 << 40,
    ) {
        let left = insurance_decay(quote(spent), ms(step), ms(window)).micros();
        prop_assert!((0..=spent).contains(&left));
        let exact = i128::from(spent) * i128::from(window.saturating_sub(step));
        prop_assert!(i128::from(left) * i128::from(window) >= exact);
        prop_assert!((i128::from(left) - 1) * i128::from(window) < exact);
    }
}
