//! D2, spoofing and layering: outsized volume near the touch that leaves within two seconds, or within one of a fill on the
//! other side, again and again, and hardly ever fills.
//!
//! A *hit* is quick-cancelled volume of one side that adds up, in one burst, to ten median orders, and whose owner was filled on
//! the other side while it rested: without that fill nobody gained. One order or ten at several prices count alike. Size
//! alone proves nothing (R§4.2 D2), and neither does speed: who quotes both sides alike is a maker.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{DurationMs, Side, TimeMs};

use super::features::{Fading, HalfLife, WHOLE_PPM, share_ppm};
use super::observation::{BySide, Cancelled};

/// R§4.2 D2: repeated within ten minutes.
pub const FADES: HalfLife = HalfLife::of_ms(10 * 60 * 1_000);
/// What belongs to one burst \[D\].
pub const BURST_FADES: HalfLife = HalfLife::of_ms(1_000);

/// Lifetime of a quick order (R§4.2 D2: τ = 2 s).
pub const QUICK: DurationMs = DurationMs::from_ms(2_000);
/// Or so soon after a fill on the other side (R§4.2 D2).
pub const AFTER_FILL: DurationMs = DurationMs::from_ms(1_000);
/// Farther from the touch an order moves nobody \[D\].
pub const NEAR_PPM: u32 = 10_000;
/// The most that a burst comes to, so that it is over a second after it.
const BURST_PPM_MAX: u32 = 2 * WHOLE_PPM;
/// Hits within the window, faded: three within ten minutes leave at least this (R§4.2 D2).
pub const HITS_PPM: u32 = 2 * WHOLE_PPM;
/// Filled volume is at most a twentieth of what left quickly (R§4.2 D2: cancel share above 95 %).
pub const FILLED_PART: u64 = 20;
/// Quick volume of the side against that of the other \[D\].
pub const ONE_SIDED: u64 = 4;

/// What an account does on both sides of a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Spoof {
    sides: BySide<SpoofSide>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct SpoofSide {
    /// In parts per million of an outsized burst.
    burst_ppm: u32,
    hits_ppm: u32,
    /// Near lots that left quickly, in 1/256.
    quick: u64,
    /// Lots filled, in 1/256.
    filled: u64,
    /// The last fill.
    filled_at: TimeMs,
}

/// Why an account is taken for a spoofer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SpoofFigures {
    /// The side with the volume that was not meant.
    pub side: Side,
    /// Hits, faded, in millionths.
    pub hits_ppm: u32,
    /// Lots that left quickly on it, faded.
    pub quick_lots: u64,
    /// Lots that left quickly on the other side, faded.
    pub other_lots: u64,
    /// Lots filled on it, faded.
    pub filled_lots: u64,
}

const LOT_SHIFT: u32 = 8;

impl Spoof {
    /// Lets time pass.
    pub fn fade(&mut self, fading: Fading, burst: Fading) {
        for side in [&mut self.sides.bid, &mut self.sides.ask] {
            side.burst_ppm = burst.of_small(side.burst_ppm);
            if fading.is_still() {
                continue;
            }
            side.hits_ppm = fading.of_small(side.hits_ppm);
            side.quick = fading.of(side.quick);
            side.filled = fading.of(side.filled);
        }
    }

    /// Takes in a fill, as maker or taker.
    pub fn note_fill(&mut self, side: Side, lots: u64, now: TimeMs) {
        let side = self.sides.of_mut(side);
        side.filled = side.filled.saturating_add(lots.saturating_mul(1 << LOT_SHIFT));
        side.filled_at = now;
    }

    /// Takes in a cancel; `outsized` is what a hit adds up to, in lots.
    pub fn note_cancel(&mut self, cancel: &Cancelled, outsized: u64, now: TimeMs) {
        let other_fill = self.sides.of(cancel.side.opposite()).filled_at;
        let since_fill = now.since(other_fill);
        let has_fill = !other_fill.is_zero();
        let is_quick = cancel.age < QUICK || has_fill && since_fill <= AFTER_FILL;
        if !is_quick || cancel.distance_ppm > NEAR_PPM {
            return;
        }
        let lots = cancel.lots.lots();
        let side = self.sides.of_mut(cancel.side);
        side.quick = side.quick.saturating_add(lots.saturating_mul(1 << LOT_SHIFT));
        if !has_fill || since_fill > cancel.age {
            return;
        }
        let worth = share_ppm(lots, outsized);
        let before = side.burst_ppm;
        side.burst_ppm = before.saturating_add(worth).min(BURST_PPM_MAX);
        // Once for each burst, however large it is.
        if before < WHOLE_PPM && side.burst_ppm >= WHOLE_PPM {
            side.hits_ppm = side.hits_ppm.saturating_add(WHOLE_PPM);
        }
    }

    /// How far the account is, in parts per million of the threshold of hits, on the side where that is more; 0 while it
    /// fills, or quotes both sides.
    #[must_use]
    pub fn judge(&self) -> (u32, SpoofFigures) {
        let (bid, ask) = (self.judge_side(Side::Bid), self.judge_side(Side::Ask));
        if ask.0 > bid.0 { ask } else { bid }
    }

    fn judge_side(&self, side: Side) -> (u32, SpoofFigures) {
        let (own, other) = (self.sides.of(side), self.sides.of(side.opposite()));
        let is_unfilled = own.filled.saturating_mul(FILLED_PART) <= own.quick;
        let is_one_sided = other.quick.saturating_mul(ONE_SIDED) <= own.quick;
        let score = if is_unfilled && is_one_sided { share_ppm(own.hits_ppm.into(), HITS_PPM.into()) } else { 0 };
        let figures = SpoofFigures {
            side,
            hits_ppm: own.hits_ppm,
            quick_lots: own.quick >> LOT_SHIFT,
            other_lots: other.quick >> LOT_SHIFT,
            filled_lots: own.filled >> LOT_SHIFT,
        };
        (score, figures)
    }

    /// Adds what an account did that turns out to be the same one.
    pub fn absorb(&mut self, gone: &Self) {
        for side in [Side::Bid, Side::Ask] {
            let (own, other) = (self.sides.of_mut(side), gone.sides.of(side));
            own.burst_ppm = own.burst_ppm.saturating_add(other.burst_ppm).min(BURST_PPM_MAX);
            own.hits_ppm = own.hits_ppm.saturating_add(other.hits_ppm);
            own.quick = own.quick.saturating_add(other.quick);
            own.filled = own.filled.saturating_add(other.filled);
            own.filled_at = own.filled_at.max(other.filled_at);
        }
    }

    /// Whether nothing is left to tell.
    #[must_use]
    pub fn is_faded(&self) -> bool {
        [&self.sides.bid, &self.sides.ask].iter().all(|side| side.hits_ppm == 0 && side.quick == 0 && side.filled == 0)
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::{AccountId, OrderNumber, QuantityLots};
    use proptest::prelude::*;

    use super::*;

    const MEDIAN: u64 = 100;

    /// A row with its own clock.
    #[derive(Clone, Default)]
    struct Played {
        spoof: Spoof,
        now: u64,
    }

    impl Played {
        fn wait(&mut self, ms: u64) {
            let (before, now) = (TimeMs::from_ms(self.now), TimeMs::from_ms(self.now + ms));
            self.spoof.fade(FADES.fading(before, now), BURST_FADES.fading(before, now));
            self.now += ms;
        }

        fn fill(&mut self, side: Side, lots: u64) {
            self.spoof.note_fill(side, lots, TimeMs::from_ms(self.now));
        }

        fn cancel(&mut self, side: Side, lots: u64, age_ms: u64, distance_ppm: u32) {
            let cancel = Cancelled {
                account: AccountId::new(1),
                order: OrderNumber::new(1),
                side,
                lots: QuantityLots::from_lots(lots),
                age: DurationMs::from_ms(age_ms),
                messages: 1,
                distance_ppm,
            };
            self.spoof.note_cancel(&cancel, 10 * MEDIAN, TimeMs::from_ms(self.now));
        }

        /// Large bids that are not meant, a small ask that is.
        fn spoof(&mut self, rounds: u32, lots: u64, orders: u64) {
            for _ in 0..rounds {
                self.wait(60_000);
                self.fill(Side::Ask, MEDIAN);
                self.wait(300);
                (0..orders).for_each(|_| self.cancel(Side::Bid, lots / orders, 1_500, 1_000));
            }
        }

        fn score(&self) -> u32 {
            self.spoof.judge().0
        }
    }

    #[test]
    fn a_large_bid_that_leaves_when_the_ask_fills_is_caught_at_the_third_time() {
        let mut played = Played { now: 1_000, ..Played::default() };
        played.spoof(2, 20 * MEDIAN, 1);
        assert!(played.score() < WHOLE_PPM);
        played.spoof(1, 20 * MEDIAN, 1);
        assert!(played.score() >= WHOLE_PPM);
        assert_eq!(played.spoof.judge().1.side, Side::Bid);
    }

    /// Cause: a burst began anew with each hit, so enough layers were three hits at once.
    #[test]
    fn a_burst_is_one_hit_however_large() {
        let mut played = Played { now: 1_000, ..Played::default() };
        played.spoof(1, 500 * MEDIAN, 10);
        assert!(played.score() < WHOLE_PPM);
    }

    #[test]
    fn layers_count_like_one_order() {
        let mut played = Played { now: 1_000, ..Played::default() };
        played.spoof(3, 20 * MEDIAN, 8);
        assert!(played.score() >= WHOLE_PPM);
    }

    /// The benign twin: a large maker who is filled on one side and requotes both at once, all day.
    #[test]
    fn a_maker_who_cancels_and_requotes_quickly_is_not() {
        let mut played = Played { now: 1_000, ..Played::default() };
        for round in 0..500 {
            played.wait(1_000);
            if round % 3 == 0 {
                played.fill(if round % 2 == 0 { Side::Ask } else { Side::Bid }, MEDIAN);
            }
            played.cancel(Side::Bid, 30 * MEDIAN, 1_000, 200);
            played.cancel(Side::Ask, 30 * MEDIAN, 1_000, 200);
            assert!(played.score() < WHOLE_PPM, "round {round}");
        }
    }

    /// The benign twin: someone who works a large order at the touch and follows it, without selling anything.
    #[test]
    fn a_buyer_who_follows_the_price_is_not() {
        let mut played = Played { now: 1_000, ..Played::default() };
        for _ in 0..500 {
            played.wait(1_500);
            played.cancel(Side::Bid, 50 * MEDIAN, 1_500, 0);
        }
        assert_eq!(played.score(), 0);
    }

    #[test]
    fn volume_far_from_the_touch_or_slow_to_leave_is_not() {
        let mut played = Played { now: 1_000, ..Played::default() };
        for _ in 0..10 {
            played.wait(60_000);
            played.fill(Side::Ask, MEDIAN);
            played.cancel(Side::Bid, 50 * MEDIAN, 1_500, NEAR_PPM + 1);
            played.wait(1_100);
            played.cancel(Side::Bid, 50 * MEDIAN, 9_000, 0);
        }
        assert_eq!(played.score(), 0);
    }

    #[test]
    fn what_fills_was_meant() {
        let mut played = Played { now: 1_000, ..Played::default() };
        for _ in 0..10 {
            played.spoof(1, 20 * MEDIAN, 1);
            played.fill(Side::Bid, 2 * MEDIAN);
        }
        assert_eq!(played.score(), 0);
    }

    proptest! {
        #[test]
        fn prop_more_or_larger_scores_no_less(rounds in 0u32..12, more in 0u32..6, lots in 1u64..5_000, larger in 0u64..5_000) {
            let score = |rounds, lots| {
                let mut played = Played { now: 1_000, ..Played::default() };
                played.spoof(rounds, lots, 1);
                played.score()
            };
            prop_assert!(score(rounds, lots) <= score(rounds, lots + larger));
            // A round more is a minute later, so a hit more makes up for what faded.
            prop_assert!(score(rounds, 20 * MEDIAN) <= score(rounds + more, 20 * MEDIAN));
        }

        #[test]
        fn prop_it_fades_to_nothing(rounds in 0u32..50, lots in any::<u64>()) {
            let mut played = Played { now: 1_000, ..Played::default() };
            played.spoof(rounds, lots, 1);
            let mut score = played.score();
            for _ in 0..40 {
                played.wait(600_000);
                prop_assert!(played.score() <= score);
                score = played.score();
            }
            prop_assert_eq!(score, 0);
            played.wait(30 * 600_000);
            prop_assert!(played.spoof.is_faded());
        }
    }
}
