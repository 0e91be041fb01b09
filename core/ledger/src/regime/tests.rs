//! Tests of the figures and of the moves that they make.

use casemate_protocol::regime::RegimeRules;
use casemate_protocol::testing::examples;
use casemate_protocol::{DurationMs, FineTicks, QuoteMicros, RegimeCause};
use proptest::prelude::*;

use super::*;

/// A market seen second by second, moving its regime as soon as it is due.
struct Watch {
    facts: RegimeFacts,
    rules: RegimeRules,
    now_ms: u64,
    moves: Vec<(u64, Regime, RegimeCause)>,
}

const START: u64 = 1_000_000_000;
const DEEP: i64 = 1_000_000_000_000;
const HOLD_MS: u64 = 600_000;

fn ms(value: u64) -> DurationMs {
    DurationMs::from_ms(value)
}

fn seen(published: u64, depth: i64) -> Sighting {
    Sighting {
        published: FineTicks::from_fine(published),
        depth: QuoteMicros::from_micros(depth),
        spread_ppm: 100,
        imbalance_ppm: 50_000,
    }
}

impl Watch {
    fn new() -> Self {
        let mut watch =
            Self { facts: RegimeFacts::default(), rules: examples::regime(), now_ms: 1_000, moves: Vec::new() };
        watch.facts.observe(&seen(START, DEEP), DurationMs::ZERO, ms(1_000), &watch.rules);
        watch
    }

    fn step(&mut self, step_ms: u64, seen: &Sighting) {
        self.now_ms += step_ms;
        self.facts.observe(seen, ms(step_ms), ms(self.now_ms), &self.rules);
        while let Some(change) = machine::due(&self.facts, &self.rules, ms(self.now_ms)) {
            self.moves.push((self.now_ms, change.to, change.cause));
            self.facts.enter(change.to, ms(self.now_ms));
            machine::note_clear(&mut self.facts, &self.rules, ms(self.now_ms));
        }
    }

    /// So many seconds in which nothing changes.
    fn rest(&mut self, seconds: u64, seen: &Sighting) {
        (0..seconds).for_each(|_| self.step(1_000, seen));
    }

    fn last_move(&self) -> (Regime, RegimeCause) {
        self.moves.last().map(|(_, to, cause)| (*to, *cause)).unwrap()
    }
}

#[test]
fn a_quiet_market_is_calm() {
    let mut watch = Watch::new();
    for second in 0..3_600 {
        // Two publishers that differ by 0.02 %, which the median follows to and fro.
        watch.step(1_000, &seen(START + (second % 2) * START / 5_000, DEEP));
    }
    assert_eq!(watch.moves, []);
}

#[test]
fn a_jump_is_stressed_at_once_and_calm_again_step_by_step() {
    let mut watch = Watch::new();
    watch.rest(3_600, &seen(START, DEEP));
    let after = seen(START - START / 33, DEEP);
    watch.step(1_000, &after);
    let (at, to, cause) = watch.moves[0];
    assert_eq!((at, to, cause), (watch.now_ms, Regime::Stressed, RegimeCause::Jump));
    watch.rest(4 * 3_600, &after);
    let to: Vec<Regime> = watch.moves.iter().map(|(_, to, _)| *to).collect();
    assert_eq!(to, [Regime::Stressed, Regime::Elevated, Regime::Calm]);
    assert!(watch.moves.windows(2).all(|pair| pair[1].0 - pair[0].0 >= HOLD_MS));
}

#[test]
fn a_slow_fall_shows_as_volatility_and_not_as_a_jump() {
    let mut watch = Watch::new();
    let mut price = START;
    for _ in 0..3_600 {
        // 0.01 % a second: 30 % an hour in small steps.
        price -= price / 10_000;
        watch.step(1_000, &seen(price, DEEP));
    }
    assert_eq!(watch.moves[0].2, RegimeCause::Volatility);
    assert!(watch.facts.figure_ppm(RegimeCause::Jump) < 10_000);
}

#[test]
fn volatility_is_the_standard_deviation_over_an_hour() {
    let mut watch = Watch::new();
    for half_minute in 0..1_200 {
        // 0.2 % to and fro every half minute: the root of 120 of them in an hour is 2.19 %.
        let price = if half_minute % 2 == 0 { START + START / 500 } else { START };
        watch.rest(30, &seen(price, DEEP));
    }
    let volatility = watch.facts.figure_ppm(RegimeCause::Volatility);
    assert!((21_500..22_300).contains(&volatility), "{volatility} of 21,909");
}

#[test]
fn a_book_that_empties_is_thin_and_one_that_was_never_deep_is_not() {
    let mut watch = Watch::new();
    watch.rest(3_600, &seen(START, DEEP));
    watch.step(1_000, &seen(START, DEEP / 10));
    assert_eq!(watch.last_move(), (Regime::Stressed, RegimeCause::Thinness));
    let mut shallow = Watch::new();
    shallow.facts = RegimeFacts::default();
    shallow.rest(7_200, &seen(START, 5));
    assert_eq!(shallow.moves, []);
}

#[test]
fn spread_and_imbalance_must_last_to_count() {
    let wide = Sighting { spread_ppm: 20_000, ..seen(START, DEEP) };
    let mut watch = Watch::new();
    watch.step(1_000, &wide);
    assert_eq!(watch.moves, [], "one second of it");
    watch.rest(120, &wide);
    assert_eq!(watch.last_move(), (Regime::Stressed, RegimeCause::Spread));
    let lone = Sighting { imbalance_ppm: 1_000_000, ..seen(START, DEEP) };
    let mut watch = Watch::new();
    watch.rest(60, &lone);
    assert_eq!(watch.moves, [], "a minute of it");
    watch.rest(3_600, &lone);
    assert_eq!(watch.last_move(), (Regime::Extreme, RegimeCause::Imbalance));
}

#[test]
fn a_figure_between_leaving_and_entering_changes_nothing() {
    let mut watch = Watch::new();
    watch.rest(60, &seen(START, DEEP));
    let spread = |spread_ppm| Sighting { spread_ppm, ..seen(START, DEEP) };
    watch.rest(600, &spread(2_000));
    assert_eq!(watch.last_move(), (Regime::Elevated, RegimeCause::Spread));
    // 1,400 is where it is left.
    watch.rest(7_200, &spread(1_400));
    assert_eq!(watch.moves.len(), 1);
    watch.rest(7_200, &spread(1_390));
    assert_eq!(watch.last_move(), (Regime::Calm, RegimeCause::Cleared));
}

proptest! {
    /// INVARIANT(G1) INVARIANT(G2): against what the rules say in words, over the whole history.
    #[test]
    fn prop_it_rises_at_once_and_falls_one_step_after_a_clear_hold(
        steps in proptest::collection::vec(
            (1u64..120_000, -30_000i64..30_000, 0i64..=DEEP, 0u32..30_000, 0u32..=1_000_000), 1..200,
        ),
    ) {
        let mut watch = Watch::new();
        let mut price = i64::try_from(START).unwrap();
        let (mut regime, mut entered) = (Regime::Calm, 0);
        // Since when every figure has been below the share of each regime's levels.
        let mut clear_since = [None; 4];
        for (step_ms, move_ppm, depth, spread_ppm, imbalance_ppm) in steps {
            price = (price + price * move_ppm / 1_000_000).max(1_000);
            let published = FineTicks::from_fine(u64::try_from(price).unwrap());
            let depth = QuoteMicros::from_micros(depth);
            let before = watch.moves.len();
            watch.step(step_ms, &Sighting { published, depth, spread_ppm, imbalance_ppm });
            let now = watch.now_ms;
            let reached = Regime::ALL.into_iter().rev().find(|regime| {
                watch.rules.levels().into_iter().any(|(cause, levels)| {
                    levels.level(*regime).is_some_and(|level| watch.facts.figure_ppm(cause) >= u64::from(level.ppm()))
                })
            }).unwrap_or(Regime::Calm);
            let below = |regime: Regime| watch.rules.levels().into_iter().all(|(cause, levels)| {
                let level = levels.level(regime).map_or(0, |level| u64::from(level.ppm()));
                watch.facts.figure_ppm(cause) * 1_000_000 < level * u64::from(watch.rules.leave.ppm())
            });
            for (since, of) in clear_since.iter_mut().zip(Regime::ALL) {
                *since = if below(of) { since.or(Some(now)) } else { None };
            }
            if reached > regime {
                prop_assert_eq!(watch.moves[before].1, reached, "up at once");
                (regime, entered) = (reached, now);
            } else if watch.moves.len() > before {
                let (_, to, cause) = watch.moves[before];
                prop_assert_eq!((Some(to), cause), (regime.calmer(), RegimeCause::Cleared), "down by one");
                let since = clear_since[usize::from(regime.number() - 1)].unwrap();
                prop_assert!(now - since.max(entered) >= HOLD_MS, "after {} ms", now - since.max(entered));
                (regime, entered) = (to, now);
            } else if regime > Regime::Calm {
                let since = clear_since[usize::from(regime.number() - 1)];
                let is_over = since.is_some_and(|since| now - since.max(entered) >= HOLD_MS);
                prop_assert!(!is_over, "still {regime:?} after a clear hold");
            }
            prop_assert_eq!(watch.facts.regime, regime);
            prop_assert!(watch.moves.len() <= before + 1, "one move at a time");
        }
    }

    /// Figures never overflow, whatever comes.
    #[test]
    fn prop_figures_hold_at_the_ends_of_the_range(
        steps in proptest::collection::vec((any::<u64>(), any::<u64>(), 0i64.., any::<u32>(), any::<u32>()), 1..50),
    ) {
        let (mut facts, rules) = (RegimeFacts::default(), examples::regime());
        let mut now = 0u64;
        for (step_ms, published, depth, spread_ppm, imbalance_ppm) in steps {
            now = now.saturating_add(step_ms);
            let published = FineTicks::from_fine(published.max(1));
            let depth = QuoteMicros::from_micros(depth);
            facts.observe(&Sighting { published, depth, spread_ppm, imbalance_ppm }, ms(step_ms), ms(now), &rules);
            prop_assert!(facts.figure_ppm(RegimeCause::Thinness) <= 1_000_000);
            prop_assert!(facts.figure_ppm(RegimeCause::Spread) <= u64::from(u32::MAX));
        }
    }
}
