use casemate_protocol::{AccountId, OrderNumber, QuantityLots, QuoteMicros, TradeNumber};
use proptest::prelude::*;

use super::*;

const RUN: RatioPpm = RatioPpm::from_ppm(10_000);
const PUMP: RatioPpm = RatioPpm::from_ppm(80_000);

const A: u64 = 1;
const CROWD: u64 = 50;

/// A market with the aggression of its accounts.
#[derive(Clone, Default)]
struct Played {
    momentum: Momentum,
    takers: std::collections::BTreeMap<u64, Aggression>,
    now: u64,
    fired: Option<(u32, IgnitionFigures)>,
    score: u32,
}

impl Played {
    fn new() -> Self {
        Self { now: 1_000_000, ..Self::default() }
    }

    fn trade(&mut self, taker: u64, maker: u64, side: Side, price: u64, lots: u64) {
        let (before, now) = (TimeMs::from_ms(self.now), TimeMs::from_ms(self.now + 1_000));
        self.now += 1_000;
        self.momentum.fade(before, now);
        self.takers.values_mut().for_each(|taker| taker.fade(FADES.fading(before, now)));
        let takers = self.takers.entry(taker).or_default();
        takers.note(side, lots);
        let trade = Traded {
            trade: TradeNumber::new(1),
            maker: AccountId::new(maker),
            taker: AccountId::new(taker),
            taker_order: OrderNumber::new(1),
            taker_side: side,
            price: PriceTicks::from_ticks(price),
            index: PriceTicks::ZERO,
            lots: QuantityLots::from_lots(lots),
            notional: QuoteMicros::from_micros(i64::try_from(price * lots).unwrap()),
        };
        self.momentum.note(&trade, takers, RUN, now);
        if let Some((score, account, figures)) = self.momentum.judge_ignitions(trade.price, RUN) {
            self.score = self.score.max(score);
            if score >= WHOLE_PPM {
                self.fired = Some((account, figures));
            }
        }
    }

    fn usual(&mut self, price: u64, trades: u64) {
        for index in 0..trades {
            let side = if index % 2 == 0 { Side::Bid } else { Side::Ask };
            self.trade(CROWD + index % 7, 90, side, price, 10);
        }
    }
}

/// The account lifts the price by 3 %, sells into it, and the price falls back.
fn ignited(lots: u64, unwound: u64, back_to: u64) -> Played {
    let mut played = Played::new();
    played.usual(10_000, 60);
    for step in 1..=6 {
        played.trade(A, 90, Side::Bid, 10_000 + 50 * step, lots);
    }
    played.usual(10_300, 4);
    for _ in 0..6 {
        played.trade(A, 91, Side::Ask, 10_280, unwound);
    }
    played.usual(back_to, 4);
    played
}

#[test]
fn who_lights_the_fire_and_sells_into_it_is_caught_when_the_price_falls_back() {
    let played = ignited(200, 200, 10_050);
    let (account, figures) = played.fired.expect("it fires");
    assert_eq!(u64::from(account), A);
    assert!(figures.share_ppm > SHARE_PPM && figures.reversed_ppm >= HALF_PPM, "{figures:?}");
}

#[test]
fn a_buyer_who_keeps_what_it_bought_is_not() {
    assert_eq!(ignited(200, 0, 10_050).fired, None);
}

#[test]
fn a_price_that_stays_is_news() {
    assert_eq!(ignited(200, 200, 10_280).fired, None);
}

#[test]
fn a_small_part_of_the_volume_ignites_nothing() {
    assert_eq!(ignited(5, 5, 10_050).fired, None);
}

/// The benign twin: a hedger who turns its position at one price.
#[test]
fn a_hedger_who_flips_is_not() {
    let mut played = Played::new();
    played.usual(10_000, 60);
    (0..6).for_each(|_| played.trade(A, 90, Side::Bid, 10_010, 200));
    (0..12).for_each(|_| played.trade(A, 90, Side::Ask, 10_000, 200));
    assert_eq!(played.fired, None);
}

#[test]
fn an_ignition_is_forgotten_after_half_an_hour() {
    let mut played = ignited(200, 0, 10_280);
    played.now += EXPIRES.ms();
    for _ in 0..6 {
        played.trade(A, 91, Side::Ask, 10_280, 200);
    }
    played.usual(10_050, 4);
    assert_eq!(played.fired, None);
}

fn pumped(run_ppm: u64, buying: u64) -> u32 {
    let mut played = Played::new();
    for _ in 0..400 {
        played.usual(10_000, 2);
        played.now += 60_000;
    }
    let price = 10_000 + run_ppm / 100;
    played.trade(A, 90, Side::Bid, price, buying);
    played.momentum.judge_pump(PriceTicks::from_ticks(price), PUMP, TimeMs::from_ms(played.now)).0
}

#[test]
fn a_pump_needs_run_and_buying() {
    assert!(pumped(100_000, 5_000) >= WHOLE_PPM);
    assert!(pumped(100_000, 10) < WHOLE_PPM);
    assert!(pumped(10_000, 5_000) < WHOLE_PPM);
}

#[test]
fn a_young_market_has_no_past_to_exceed() {
    let mut played = Played::new();
    played.usual(10_000, 10);
    played.trade(A, 90, Side::Bid, 12_000, 100_000);
    let price = PriceTicks::from_ticks(12_000);
    assert_eq!(played.momentum.judge_pump(price, PUMP, TimeMs::from_ms(played.now)).0, 0);
}

proptest! {
    #[test]
    fn prop_a_deeper_fall_or_more_unwound_scores_no_less(unwound in 0u64..200, more in 0u64..100, back in 0u64..280, deeper in 0u64..280) {
        let score = |unwound, back: u64| {
            let played = ignited(200, unwound, 10_280 - back);
            played.score
        };
        prop_assert!(score(unwound, 230) <= score(unwound + more, 230));
        prop_assert!(score(150, back.min(deeper)) <= score(150, back.max(deeper)));
    }

    #[test]
    fn prop_more_buying_or_run_is_no_less_of_a_pump(run in 0u64..200_000, more in 0u64..100_000, buying in 1u64..10_000, larger in 0u64..10_000) {
        prop_assert!(pumped(run, buying) <= pumped(run + more, buying));
        prop_assert!(pumped(run, buying) <= pumped(run, buying + larger));
    }
}
