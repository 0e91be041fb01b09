use proptest::prelude::*;

use super::*;
use crate::SECOND_MS;
use crate::steps::Step;

const LEVERAGE_MILLI_MAX: u64 = 48_000;

fn traders(number: u64, count: u64) -> Vec<Trader> {
    (0..count).map(|index| trader(&Seed::from_number(number), index, LEVERAGE_MILLI_MAX)).collect()
}

/// Traders for whom it holds, in a thousand.
fn per_mille(traders: &[Trader], holds: impl Fn(&Trader) -> bool) -> usize {
    traders.iter().filter(|trader| holds(trader)).count() * 1_000 / traders.len()
}

fn past(prices: &[u64]) -> Past {
    let mut past = Past::new(PAST_SECONDS);
    for (second, price) in prices.iter().enumerate() {
        past.push(Step { time_ms: second as u64 * SECOND_MS, price_micros: Some(*price) });
    }
    past
}

/// A price that goes from 100 by so many ppm within the last thirty seconds, the shortest horizon.
fn moved(ppm: i64) -> Past {
    let mut prices = vec![100 * MICROS; PAST_SECONDS - 1];
    prices.push((100 * MICROS).saturating_add_signed(100 * ppm));
    past(&prices)
}

fn of_motive(wanted: Motive) -> Trader {
    traders(1, 1_000).into_iter().find(|trader| trader.motive == wanted).unwrap()
}

fn opened(trader: &Trader, past: &Past) -> Option<Direction> {
    let view = View { past, position: None, equity_quote_micros: 0 };
    match decide(&Seed::from_number(1), 0, trader, &view) {
        Intent::Open { direction, notional_quote_micros, leverage_milli } => {
            assert_eq!(notional_quote_micros, trader.notional_quote_micros);
            assert_eq!(leverage_milli, trader.leverage_milli);
            Some(direction)
        }
        Intent::Wait => None,
        other => panic!("{other:?}"),
    }
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Long), Just(Direction::Short)]
}

proptest! {
    #[test]
    fn prop_the_same_inputs_give_the_same_intents_and_intents_make_sense(
        number in any::<u64>(), step in any::<u64>(), index in any::<u64>(),
        prices in prop::collection::vec(1..1_u64 << 50, 0..PAST_SECONDS),
        position in prop::option::of((direction(), 1..1_u64 << 50, 1..1_u64 << 50)),
        equity_quote_micros in any::<i64>(),
    ) {
        let seed = Seed::from_number(number);
        let position = position.map(|(direction, notional_quote_micros, paid_in_quote_micros)| Position {
            direction, notional_quote_micros, paid_in_quote_micros,
        });
        let trader = trader(&seed, index, LEVERAGE_MILLI_MAX);
        let past = past(&prices);
        let view = View { past: &past, position, equity_quote_micros };
        let intent = decide(&seed, step, &trader, &view);
        prop_assert_eq!(intent, decide(&seed, step, &super::trader(&seed, index, LEVERAGE_MILLI_MAX), &view));
        match intent {
            Intent::Wait => {}
            Intent::Open { .. } => prop_assert!(position.is_none() && !prices.is_empty()),
            Intent::Close => prop_assert!(position.is_some()),
            Intent::TopUp { amount_quote_micros } => {
                prop_assert!(amount_quote_micros > 0 && trader.distress == Distress::TopsUp);
                let position = position.unwrap();
                let first_margin = position.notional_quote_micros * 1_000 / trader.leverage_milli;
                let in_all = position.paid_in_quote_micros + amount_quote_micros;
                prop_assert!(in_all <= first_margin * PAID_IN_FACTOR_MAX);
            }
        }
    }

    #[test]
    fn prop_characters_are_in_their_ranges(number in any::<u64>(), index in any::<u64>(), max in 0..1_000_000_u64) {
        let trader = trader(&Seed::from_number(number), index, max);
        let expected = LEVERAGE_MILLI_MIN.min(max)..=max;
        prop_assert!(expected.contains(&trader.leverage_milli), "{}", trader.leverage_milli);
        prop_assert!((NOTIONAL_QUOTE_MICROS_MIN..=NOTIONAL_QUOTE_MICROS_MAX).contains(&trader.notional_quote_micros));
        prop_assert!((30..=HORIZON_SECONDS_MAX).contains(&trader.horizon_seconds));
    }

    #[test]
    fn prop_arrivals_are_bounded_and_the_same_for_the_same_second(
        number in any::<u64>(), step in any::<u64>(), quote_micros in any::<u64>(),
        mean_quote_micros in any::<u64>(), at_mean in any::<u64>(),
    ) {
        let volume = MinuteVolume { quote_micros, mean_quote_micros };
        let at = || arrivals(&Seed::from_number(number), step, volume, at_mean);
        prop_assert!(at() <= ARRIVALS_MAX);
        prop_assert_eq!(at(), at());
    }
}

#[test]
fn shares_of_motives_and_of_answers_to_distress_are_as_described() {
    let traders = traders(2, 20_000);
    let share = |holds: &dyn Fn(&Trader) -> bool| per_mille(&traders, holds);
    assert!(share(&|trader| trader.motive == Motive::FollowsTrend).abs_diff(600) <= 10);
    assert!(share(&|trader| trader.motive == Motive::AgainstTrend).abs_diff(250) <= 10);
    assert!(share(&|trader| trader.motive == Motive::Hedges { outside: Direction::Long }).abs_diff(120) <= 10);
    assert!(share(&|trader| trader.distress == Distress::TopsUp).abs_diff(250) <= 10);
    assert!(share(&|trader| trader.distress == Distress::Closes).abs_diff(250) <= 10);
    let both = |trader: &Trader| trader.motive == Motive::FollowsTrend && trader.distress == Distress::TopsUp;
    assert!(share(&both).abs_diff(150) <= 10, "motive says nothing about distress");
}

#[test]
fn leverage_is_log_uniform() {
    // From 3 to 48 there are four doublings, so a quarter of all traders is in each.
    let traders = traders(3, 20_000);
    for doubling in [3_000, 6_000, 12_000, 24_000] {
        let share = per_mille(&traders, |trader| (doubling..2 * doubling).contains(&trader.leverage_milli));
        assert!(share.abs_diff(250) <= 10, "{doubling}: {share}");
    }
}

#[test]
fn sizes_have_a_heavy_tail() {
    let traders = traders(4, 50_000);
    for (factor, expected, tolerance) in [(2, 500, 10), (10, 100, 6), (100, 10, 2)] {
        let share = per_mille(&traders, |trader| trader.notional_quote_micros >= factor * NOTIONAL_QUOTE_MICROS_MIN);
        assert!(share.abs_diff(expected) <= tolerance, "{factor}: {share}");
    }
}

#[test]
fn arrivals_follow_volume() {
    let mean = |quote_micros: u64| {
        let volume = MinuteVolume { quote_micros, mean_quote_micros: 1_000 };
        let seed = Seed::from_number(5);
        (0..4_000).map(|step| arrivals(&seed, step, volume, 2 * MICROS)).sum::<u64>() * 1_000 / 4_000
    };
    assert!(mean(1_000).abs_diff(2_000) < 100, "{}", mean(1_000));
    assert!(mean(5_000).abs_diff(10_000) < 300, "{}", mean(5_000));
    assert_eq!(mean(0), 0);
    let nothing = MinuteVolume { quote_micros: 9, mean_quote_micros: 0 };
    assert_eq!(arrivals(&Seed::from_number(5), 0, nothing, MICROS), 0);
}

#[test]
fn the_trend_is_followed_opposed_or_of_no_interest() {
    let (follower, opponent) = (of_motive(Motive::FollowsTrend), of_motive(Motive::AgainstTrend));
    let (up, flat, down) = (moved(9_000), moved(100), moved(-9_000));
    assert_eq!(
        [&up, &flat, &down].map(|past| opened(&follower, past)),
        [Some(Direction::Long), None, Some(Direction::Short)]
    );
    assert_eq!(
        [&up, &flat, &down].map(|past| opened(&opponent, past)),
        [Some(Direction::Short), None, Some(Direction::Long)]
    );
    let hedger = of_motive(Motive::Hedges { outside: Direction::Long });
    assert_eq!([&up, &flat, &down].map(|past| opened(&hedger, past)), [Some(Direction::Short); 3]);
    let threshold = i64::try_from(follower.threshold_ppm).unwrap();
    assert_eq!(opened(&follower, &moved(threshold)), Some(Direction::Long));
    assert_eq!(opened(&follower, &moved(threshold - 1)), None);
}

#[test]
fn nobody_does_anything_while_the_market_is_out() {
    let mut past = moved(9_000);
    past.push(Step { time_ms: PAST_SECONDS as u64 * SECOND_MS, price_micros: None });
    let position = Position { direction: Direction::Long, notional_quote_micros: 100, paid_in_quote_micros: 10 };
    for trader in traders(6, 100) {
        for position in [None, Some(position)] {
            let view = View { past: &past, position, equity_quote_micros: 0 };
            assert_eq!(decide(&Seed::from_number(6), 1, &trader, &view), Intent::Wait);
        }
    }
}

/// A follower in a long position of its size, with so many per cent of the margin left as equity.
fn long_with_equity(trader: &Trader, past: &Past, equity_per_cent: u64, step: u64) -> (Position, Intent) {
    let margin = trader.notional_quote_micros * 1_000 / trader.leverage_milli;
    let position = Position {
        direction: Direction::Long,
        notional_quote_micros: trader.notional_quote_micros,
        paid_in_quote_micros: margin,
    };
    let equity_quote_micros = i64::try_from(margin * equity_per_cent / 100).unwrap();
    let view = View { past, position: Some(position), equity_quote_micros };
    (position, decide(&Seed::from_number(7), step, trader, &view))
}

#[test]
fn in_distress_each_does_what_its_character_says() {
    let flat = moved(0);
    for trader in traders(7, 200) {
        let (position, intent) = long_with_equity(&trader, &flat, 40, 1);
        match (trader.distress, intent) {
            (Distress::TopsUp, Intent::TopUp { amount_quote_micros }) => {
                let equity = position.paid_in_quote_micros * 40 / 100;
                assert_eq!(equity + amount_quote_micros, position.paid_in_quote_micros);
            }
            (Distress::Closes, Intent::Close) | (Distress::Holds, Intent::Wait) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_purse_that_is_empty_tops_up_no_more() {
    let trader = traders(7, 200).into_iter().find(|trader| trader.distress == Distress::TopsUp).unwrap();
    let margin = trader.notional_quote_micros * 1_000 / trader.leverage_milli;
    let position = |paid_in_quote_micros| Position {
        direction: Direction::Long,
        notional_quote_micros: trader.notional_quote_micros,
        paid_in_quote_micros,
    };
    let flat = moved(0);
    let intent = |paid_in| {
        let view = View { past: &flat, position: Some(position(paid_in)), equity_quote_micros: 0 };
        decide(&Seed::from_number(7), 1, &trader, &view)
    };
    assert_eq!(intent(3 * margin), Intent::TopUp { amount_quote_micros: margin });
    assert_eq!(intent(5 * margin), Intent::Wait);
}

#[test]
fn gains_end_a_bet_but_not_a_hedge_and_a_turn_ends_a_trend() {
    let (flat, down) = (moved(0), moved(-9_000));
    let follower = of_motive(Motive::FollowsTrend);
    let hedger = of_motive(Motive::Hedges { outside: Direction::Short });
    // Steps at which patience does not end it, to see the other reasons alone.
    let step = (0..).find(|step| {
        [follower, hedger].iter().all(|trader| long_with_equity(trader, &flat, 100, *step).1 == Intent::Wait)
    });
    let step = step.unwrap();
    assert_eq!(long_with_equity(&follower, &flat, 500, step).1, Intent::Close);
    assert_eq!(long_with_equity(&hedger, &flat, 500, step).1, Intent::Wait);
    assert_eq!(long_with_equity(&follower, &down, 100, step).1, Intent::Close);
    assert_eq!(long_with_equity(&hedger, &down, 100, step).1, Intent::Wait);
}

#[test]
fn patience_ends_positions_after_its_time_on_average() {
    let flat = moved(0);
    let trader = of_motive(Motive::AgainstTrend);
    let closed = (0..40 * trader.patience_seconds)
        .filter(|step| long_with_equity(&trader, &flat, 100, *step).1 == Intent::Close)
        .count();
    assert!((20..=60).contains(&closed), "{closed} of 40");
}
