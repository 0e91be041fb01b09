//! Tests of the breaker: each rule by example, laws for random histories, and every state of a small machine explored.

use std::collections::BTreeSet;

use casemate_protocol::RatioPpm;
use proptest::prelude::*;

use super::*;
use BreakerState::{Elevated, Halted, Normal, ReduceOnly, WithdrawGated};

const STATES: [BreakerState; 5] = [Normal, Elevated, ReduceOnly, WithdrawGated, Halted];

const HOUR_MS: u64 = 60 * 60 * 1_000;

const fn ms(ms: u64) -> DurationMs {
    DurationMs::from_ms(ms)
}

const fn levels(scale: u32) -> RatioLevels {
    RatioLevels {
        leave: RatioPpm::from_ppm(scale),
        elevated: RatioPpm::from_ppm(2 * scale),
        reduce_only: RatioPpm::from_ppm(3 * scale),
        withdraw_gated: RatioPpm::from_ppm(4 * scale),
        halted: RatioPpm::from_ppm(5 * scale),
    }
}

const RULES: BreakerRules = BreakerRules {
    price_move: levels(10),
    divergence: levels(100),
    price_age: levels(1_000),
    insurance_draw: levels(10_000),
    outflow: levels(100_000),
    deficit_floor: QuoteMicros::from_micros(500),
    clear_ms: ms(3 * HOUR_MS),
    cooldown_ms: ms(3 * HOUR_MS),
    cooldown_ms_max: ms(12 * HOUR_MS),
};

/// The figure of a trigger that is `tenths` tenths of where it is left: 20 is Elevated, 50 Halted.
fn figure_of(trigger: Trigger, tenths: u64, market: u16) -> Figure {
    let leave = u64::from(trigger.levels(&RULES).leave.ppm());
    Figure { ppm: leave * tenths / 10, market: MarketId::new(market) }
}

fn signals(observed: &[(Trigger, u64, u16)]) -> Signals {
    let mut signals = Signals::default();
    observed.iter().for_each(|&(trigger, tenths, market)| signals.observe(trigger, figure_of(trigger, tenths, market)));
    signals
}

fn deficit(micros: i64) -> Signals {
    Signals { deficit: QuoteMicros::from_micros(micros), ..Signals::default() }
}

const CALM: [(Trigger, u64, u16); 0] = [];

/// A breaker that tightened at a time.
fn tripped(figures: &Signals, now: DurationMs) -> Breaker {
    let mut breaker = Breaker::new(&RULES, ms(0));
    let trip = tighten(&breaker, figures, &RULES, now).unwrap();
    breaker.apply(&trip, &RULES, now);
    breaker
}

/// A breaker with clear tests since `since`.
fn cleared(mut breaker: Breaker, since: DurationMs) -> Breaker {
    breaker.note_clear(&signals(&CALM), &RULES, since);
    breaker
}

#[test]
fn each_trigger_asks_for_the_state_whose_level_it_reaches() {
    let breaker = Breaker::new(&RULES, ms(0));
    for trigger in Trigger::ALL {
        let asked = |tenths| {
            let trip = tighten(&breaker, &signals(&[(trigger, tenths, 7)]), &RULES, ms(5))?;
            assert_eq!((trip.cause, trip.market), (trigger.cause(), MarketId::new(7)));
            assert_eq!(trip.figure, figure_of(trigger, tenths, 7).ppm);
            Some(trip.to)
        };
        assert_eq!([0, 10, 19].map(asked), [None; 3], "{trigger:?}");
        let states = [Elevated, Elevated, ReduceOnly, WithdrawGated, Halted, Halted].map(Some);
        assert_eq!([20, 29, 30, 40, 50, 9_999].map(asked), states, "{trigger:?}");
    }
}

#[test]
fn a_loss_above_the_floor_gates_withdrawals() {
    let breaker = Breaker::new(&RULES, ms(0));
    assert_eq!(tighten(&breaker, &deficit(500), &RULES, ms(5)), None);
    let trip = tighten(&breaker, &deficit(501), &RULES, ms(5)).unwrap();
    let expected = Move {
        from: Normal,
        to: WithdrawGated,
        cause: BreakerCause::Deficit,
        market: MarketId::NONE,
        figure: 501,
        cooldown_until_ms: ms(5 + 3 * HOUR_MS),
    };
    assert_eq!(trip, expected);
}

#[test]
fn the_strictest_state_wins_and_of_its_causes_the_lowest() {
    let breaker = Breaker::new(&RULES, ms(0));
    let cause = |figures: &Signals| {
        let trip = tighten(&breaker, figures, &RULES, ms(5)).unwrap();
        (trip.to, trip.cause)
    };
    let mixed = [(Trigger::PriceMove, 25, 1), (Trigger::Outflow, 35, 0), (Trigger::Divergence, 35, 2)];
    assert_eq!(cause(&signals(&mixed)), (ReduceOnly, BreakerCause::Divergence));
    let beside = |trigger| Signals { deficit: deficit(501).deficit, ..signals(&[(trigger, 40, 1)]) };
    assert_eq!(cause(&beside(Trigger::PriceAge)), (WithdrawGated, BreakerCause::StalePrice));
    assert_eq!(cause(&beside(Trigger::InsuranceDraw)), (WithdrawGated, BreakerCause::Deficit));
}

#[test]
fn of_equal_levels_the_strictest_state_counts() {
    let same = RatioLevels { reduce_only: RULES.price_move.elevated, ..RULES.price_move };
    let rules = BreakerRules { price_move: same, ..RULES };
    let trip = tighten(&Breaker::new(&rules, ms(0)), &signals(&[(Trigger::PriceMove, 20, 1)]), &rules, ms(5));
    assert_eq!(trip.map(|trip| trip.to), Some(ReduceOnly));
}

#[test]
fn a_state_is_left_after_clear_tests_and_cool_down() {
    let trip_ms = 100;
    let elevated = tripped(&signals(&[(Trigger::Outflow, 20, 0)]), ms(trip_ms));
    assert!(!may_leave(&elevated, &RULES, ms(1_000 * HOUR_MS)), "nothing was ever clear");
    // Clear from the second hour on: the cool-down ends at 3 h, the clear time at 5 h.
    let clear = cleared(elevated, ms(trip_ms + 2 * HOUR_MS));
    let end = ms(trip_ms + 5 * HOUR_MS);
    assert_eq!(relax(&clear, &RULES, ms(end.ms() - 1)), None);
    let home = relax(&clear, &RULES, end).unwrap();
    assert_eq!((home.to, home.cause, home.cooldown_until_ms), (Normal, BreakerCause::Cleared, end));
    // A longer cool-down holds when the tests are long clear.
    let slow = Breaker { cooldown_until_ms: ms(end.ms() + 1), ..clear };
    assert_eq!((relax(&slow, &RULES, end), relax(&slow, &RULES, ms(end.ms() + 1)).is_some()), (None, true));
}

#[test]
fn a_gap_in_the_clear_tests_starts_them_again() {
    let mut breaker = cleared(tripped(&signals(&[(Trigger::PriceMove, 20, 1)]), ms(0)), ms(1));
    breaker.note_clear(&signals(&[(Trigger::PriceMove, 10, 1)]), &RULES, ms(2));
    assert_eq!(breaker.clear_since_ms, Some(ms(1)), "at the level of leaving the test holds");
    breaker.note_clear(&signals(&[(Trigger::PriceMove, 11, 1)]), &RULES, ms(3));
    assert_eq!(breaker.clear_since_ms, None);
    breaker.note_clear(&deficit(500), &RULES, ms(4));
    assert_eq!(breaker.clear_since_ms, Some(ms(4)));
    breaker.note_clear(&deficit(501), &RULES, ms(5));
    assert_eq!(breaker.clear_since_ms, None);
}

#[test]
fn only_a_decision_leaves_a_state_stricter_than_elevated() {
    for (tenths, state) in [(30, ReduceOnly), (40, WithdrawGated), (50, Halted)] {
        let breaker = cleared(tripped(&signals(&[(Trigger::PriceMove, tenths, 1)]), ms(0)), ms(0));
        let later = ms(100 * HOUR_MS);
        assert_eq!(relax(&breaker, &RULES, later), None, "{state:?}");
        assert_eq!(decide(&breaker, state, &RULES, later), None, "to where it is");
        assert_eq!(decide(&breaker, Elevated, &RULES, ms(HOUR_MS)), None, "too early");
        let to_elevated = decide(&breaker, Elevated, &RULES, later).unwrap();
        assert_eq!((to_elevated.from, to_elevated.cause), (state, BreakerCause::Decided));
        assert_eq!(to_elevated.cooldown_until_ms, ms(103 * HOUR_MS), "Elevated has its own time");
        let mut after = breaker;
        after.apply(&to_elevated, &RULES, later);
        assert_eq!((after.state, after.clear_since_ms, after.entered_ms), (Elevated, None, later));
        assert_eq!(decide(&after, Halted, &RULES, ms(999 * HOUR_MS)), None, "decisions do not tighten");
    }
}

#[test]
fn a_law_that_fails_halts() {
    let mut breaker = Breaker::new(&RULES, ms(0));
    let halted = halt(&breaker, BreakerCause::LawFailed, &RULES, ms(9)).unwrap();
    assert_eq!((halted.to, halted.cause, halted.figure), (Halted, BreakerCause::LawFailed, 0));
    breaker.apply(&halted, &RULES, ms(9));
    assert_eq!((breaker.state, breaker.cooldown_until_ms), (Halted, ms(9 + 3 * HOUR_MS)));
    assert_eq!(halt(&breaker, BreakerCause::LawFailed, &RULES, ms(10)), None);
}

/// Trips at `hours`, home again in between by decision; the cool-downs in hours.
fn cooldowns(hours: &[u64]) -> Vec<u64> {
    let mut breaker = Breaker::new(&RULES, ms(0));
    let figures = signals(&[(Trigger::PriceMove, 20, 1)]);
    let mut cooldowns = Vec::new();
    for hour in hours {
        let now = ms(hour * HOUR_MS);
        let trip = tighten(&breaker, &figures, &RULES, now).unwrap();
        breaker.apply(&trip, &RULES, now);
        assert_eq!(trip.cooldown_until_ms, now.saturating_add(breaker.cooldown_ms));
        cooldowns.push(breaker.cooldown_ms.ms() / HOUR_MS);
        let home = loosening(&breaker, Normal, BreakerCause::Cleared, now);
        breaker.apply(&home, &RULES, now);
    }
    cooldowns
}

#[test]
fn a_new_trip_within_a_day_doubles_the_cool_down_up_to_its_maximum() {
    assert_eq!(cooldowns(&[1, 10, 20, 30, 40]), [3, 6, 12, 12, 12]);
    assert_eq!(cooldowns(&[1, 24, 48, 73, 96]), [3, 6, 3, 3, 6], "exactly a day later is not within it");
}

#[test]
fn one_trip_in_steps_has_one_cool_down() {
    let mut breaker = tripped(&signals(&[(Trigger::PriceMove, 20, 1)]), ms(0));
    for (tenths, now) in [(30, ms(1)), (50, ms(2))] {
        let trip = tighten(&breaker, &signals(&[(Trigger::PriceMove, tenths, 1)]), &RULES, now).unwrap();
        breaker.apply(&trip, &RULES, now);
        assert_eq!((breaker.cooldown_ms, breaker.cooldown_until_ms), (RULES.cooldown_ms, ms(now.ms() + 3 * HOUR_MS)));
    }
    let back = cleared(breaker, ms(3));
    let mut back_in_elevated = back;
    let later = ms(4 * HOUR_MS);
    back_in_elevated.apply(&decide(&back, Elevated, &RULES, later).unwrap(), &RULES, later);
    let again = tighten(&back_in_elevated, &signals(&[(Trigger::PriceMove, 30, 1)]), &RULES, later).unwrap();
    assert_eq!(again.cooldown_until_ms, ms(10 * HOUR_MS), "a new one, twice as long");
}

fn trigger() -> impl Strategy<Value = Trigger> {
    proptest::sample::select(Trigger::ALL.to_vec())
}

fn observations() -> impl Strategy<Value = Vec<(Trigger, u64, u16)>> {
    proptest::collection::vec((trigger(), 0u64..60, 0u16..4), 0..8)
}

fn figures() -> impl Strategy<Value = Signals> {
    let deficit = prop_oneof![4 => Just(0i64), 1 => 490i64..510];
    (observations(), deficit)
        .prop_map(|(seen, micros)| Signals { deficit: QuoteMicros::from_micros(micros), ..signals(&seen) })
}

/// What a segment does with its breaker in a block; the moves that it made.
fn step(
    breaker: &mut Breaker,
    figures: &Signals,
    decided: Option<BreakerState>,
    rules: &BreakerRules,
    now: DurationMs,
) -> Vec<Move> {
    let mut moves = Vec::new();
    let mut go = |breaker: &mut Breaker, change: Option<Move>| {
        if let Some(change) = change {
            assert_eq!(change.from, breaker.state);
            breaker.apply(&change, rules, now);
            moves.push(change);
        }
    };
    let change = tighten(breaker, figures, rules, now);
    go(breaker, change);
    breaker.note_clear(figures, rules, now);
    let change = relax(breaker, rules, now);
    go(breaker, change);
    let change = decided.and_then(|to| decide(breaker, to, rules, now));
    go(breaker, change);
    moves
}

/// What must hold of a move, told by what was before it.
fn require_lawful(before: &Breaker, change: &Move, since_trouble_ms: u64, rules: &BreakerRules, now: DurationMs) {
    if change.to > change.from {
        assert!(!matches!(change.cause, BreakerCause::Cleared | BreakerCause::Decided), "{change:?}");
        assert!(change.cooldown_until_ms >= now.saturating_add(rules.cooldown_ms));
        assert!(change.cooldown_until_ms <= now.saturating_add(rules.cooldown_ms_max));
        return;
    }
    // INVARIANT(B1), INVARIANT(B2).
    let by_itself = (change.from, change.to) == (Elevated, Normal) && change.cause == BreakerCause::Cleared;
    assert!(by_itself || change.cause == BreakerCause::Decided, "{change:?}");
    assert!(change.to < change.from);
    assert!(since_trouble_ms >= rules.clear_ms.ms(), "left {since_trouble_ms} ms after trouble");
    assert!(before.cooldown_until_ms <= now && before.entered_ms.saturating_add(rules.cooldown_ms) <= now);
}

proptest! {
    #[test]
    fn prop_order_and_repetition_of_signals_are_irrelevant(
        (seen, shuffled) in observations().prop_flat_map(|seen| {
            let twice = [seen.clone(), seen.clone()].concat();
            (Just(seen), Just(twice).prop_shuffle())
        }),
    ) {
        prop_assert_eq!(signals(&seen), signals(&shuffled));
        for trigger in Trigger::ALL {
            let of_trigger = seen.iter().filter(|(of, ..)| *of == trigger);
            let worst = of_trigger.map(|(_, tenths, market)| figure_of(trigger, *tenths, *market).ppm).max();
            prop_assert_eq!(signals(&seen).figure(trigger).ppm, worst.unwrap_or(0));
        }
    }

    #[test]
    fn prop_histories_keep_the_laws(
        blocks in proptest::collection::vec(
            (prop_oneof![1 => figures(), 3 => Just(Signals::default())], 1u64..6 * HOUR_MS,
                proptest::option::of(proptest::sample::select(STATES.to_vec()))),
            1..60,
        ),
    ) {
        let (mut breaker, mut now, mut trouble) = (Breaker::new(&RULES, ms(0)), ms(0), ms(0));
        for (figures, step_ms, decided) in blocks {
            now = now.saturating_add(ms(step_ms));
            if !figures.are_clear(&RULES) {
                trouble = now;
            }
            let before = breaker;
            for change in step(&mut breaker, &figures, decided, &RULES, now) {
                require_lawful(&before, &change, now.saturating_sub(trouble).ms(), &RULES, now);
            }
            // Whatever figures ask for is the least that holds after them.
            let asked = tighten(&Breaker::new(&RULES, now), &figures, &RULES, now).map_or(Normal, |trip| trip.to);
            prop_assert!(breaker.state >= asked);
            let bytes = borsh::to_vec(&breaker).unwrap();
            prop_assert_eq!(borsh::from_slice::<Breaker>(&bytes).unwrap(), breaker);
        }
    }

    /// INVARIANT(B3): above leave and below enter nothing moves, however long it lasts.
    #[test]
    fn prop_between_leave_and_enter_nothing_moves(
        trigger in trigger(), tenths in 11u64..20, state in proptest::sample::select(STATES.to_vec()),
        steps in proptest::collection::vec(1u64..100 * HOUR_MS, 1..20),
    ) {
        let mut breaker = Breaker { state, ..Breaker::new(&RULES, ms(0)) };
        let between = signals(&[(trigger, tenths, 1)]);
        let mut now = ms(0);
        for step_ms in steps {
            now = now.saturating_add(ms(step_ms));
            prop_assert_eq!(step(&mut breaker, &between, Some(Normal), &RULES, now), vec![]);
        }
        prop_assert_eq!(breaker.state, state);
    }

    #[test]
    fn prop_back_off_doubles_and_is_capped(gaps in proptest::collection::vec(1u64..40, 1..20)) {
        let hours: Vec<u64> = gaps.iter().scan(0, |hour, gap| { *hour += gap; Some(*hour) }).collect();
        let mut expected = 3;
        for (place, cooldown) in cooldowns(&hours).into_iter().enumerate() {
            if place > 0 {
                expected = if gaps[place] < 24 { 12.min(expected * 2) } else { 3 };
            }
            prop_assert_eq!(cooldown, expected);
        }
    }
}

/// A breaker with its times told from now and cut off where they can make no more difference, so that the machine is finite.
fn relative(breaker: &Breaker, trouble: DurationMs, now: DurationMs) -> (Breaker, DurationMs) {
    let age = |then: DurationMs, most: u64| ms(now.saturating_sub(then).ms().min(most));
    let relative = Breaker {
        entered_ms: age(breaker.entered_ms, RULES.cooldown_ms_max.ms()),
        cooldown_until_ms: breaker.cooldown_until_ms.saturating_sub(now),
        clear_since_ms: breaker.clear_since_ms.map(|since| age(since, RULES.clear_ms.ms())),
        last_trip_ms: breaker.last_trip_ms.map(|last| age(last, BACK_OFF_MS.ms())),
        ..*breaker
    };
    (relative, age(trouble, RULES.clear_ms.ms()))
}

/// The same breaker at a time that is far enough from zero.
fn absolute(relative: &Breaker, now: DurationMs) -> Breaker {
    let before = |age: DurationMs| now.saturating_sub(age);
    Breaker {
        entered_ms: before(relative.entered_ms),
        cooldown_until_ms: now.saturating_add(relative.cooldown_until_ms),
        clear_since_ms: relative.clear_since_ms.map(before),
        last_trip_ms: relative.last_trip_ms.map(before),
        ..*relative
    }
}

/// Every state that a breaker can reach from Normal with blocks three hours apart (clear time and cool-down three hours, at
/// most twelve), figures at one of seven levels or a loss above the floor, and any decision or a failed law in any block.
/// Ages are cut off at the clear time, the longest cool-down and a day, beyond which the machine does not tell them apart.
#[test]
fn every_state_of_a_small_machine_keeps_the_laws() {
    let now = ms(1_000 * HOUR_MS);
    let block_ms = 3 * HOUR_MS;
    let mut inputs: Vec<Signals> =
        [0, 10, 15, 20, 30, 40, 50].map(|tenths| signals(&[(Trigger::PriceMove, tenths, 1)])).to_vec();
    inputs.push(deficit(501));
    let decisions: Vec<Option<BreakerState>> = STATES.into_iter().map(Some).chain([None]).collect();

    let key = |state: &(Breaker, DurationMs)| borsh::to_vec(state).unwrap();
    let first = relative(&Breaker::new(&RULES, now), now, now);
    let mut known = BTreeSet::from([key(&first)]);
    let mut waiting = vec![first];
    let (mut transitions, mut reached) = (0u64, BTreeSet::new());
    while let Some((from, trouble_age)) = waiting.pop() {
        reached.insert(from.state);
        let at = now.saturating_sub(ms(block_ms));
        let (breaker, trouble) = (absolute(&from, at), at.saturating_sub(trouble_age));
        let mut visit = |after: Breaker, trouble: DurationMs| {
            transitions += 1;
            let next = relative(&after, trouble, now);
            if known.insert(key(&next)) {
                waiting.push(next);
            }
        };
        for figures in &inputs {
            let trouble = if figures.are_clear(&RULES) { trouble } else { now };
            for decided in &decisions {
                let mut after = breaker;
                let moves = step(&mut after, figures, *decided, &RULES, now);
                let by_figures = moves.iter().filter(|change| change.cause != BreakerCause::Decided);
                assert!(by_figures.clone().all(|change| change.to > change.from || change.to == Normal));
                for change in &moves {
                    require_lawful(&breaker, change, now.saturating_sub(trouble).ms(), &RULES, now);
                }
                assert!(moves.len() <= 1, "one block does not leave two states");
                assert!(after.cooldown_ms >= RULES.cooldown_ms && after.cooldown_ms <= RULES.cooldown_ms_max);
                visit(after, trouble);
            }
        }
        let mut after = breaker;
        if let Some(change) = halt(&after, BreakerCause::LawFailed, &RULES, now) {
            after.apply(&change, &RULES, now);
        }
        assert_eq!(after.state, Halted);
        visit(after, trouble);
    }
    assert_eq!(reached, BTreeSet::from(STATES), "nothing is out of reach, so nothing went untested");
    assert_eq!((known.len(), transitions), (1_153, 56_497), "the machine explored is the one described");
}
