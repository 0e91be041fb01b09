//! D3, quote stuffing: messages far above the account's own past, far above what anybody sends, and hardly a trade.
//!
//! All three must hold at once. The limits are per account and market; a ladder is one message whatever it holds, so makers
//! have a cheap way to quote.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::TimeMs;

use super::features::{Fading, HalfLife, Rate, share_ppm};

/// Messages and trades are compared over this \[D\]: long enough to mean a rate, short enough to answer it.
pub const FADES: HalfLife = HalfLife::of_ms(10_000);
/// Messages to one trade \[D\], with at least one trade assumed (R§4.2 D3, order-to-trade ratio with a floor).
pub const MESSAGES_PER_TRADE: u32 = 100;
/// Cumulative excess over the account's own past, in thousandths of a deviation: two bins at z = 6 (R§4.2 D3, R§4.3).
pub const EXCESS_MILLIS: u32 = 11_000;

/// Counts are kept in 1/256, so that fading rounds little away.
const COUNT_SHIFT: u32 = 8;

/// How much an account sends and trades in a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Stuffing {
    rate: Rate,
    messages: u32,
    trades: u32,
    /// The largest excess of late, which fades: a surge that goes on becomes its own past.
    excess_millis: u32,
}

/// Why an account is taken for a stuffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StuffingFigures {
    /// Messages, faded over ten seconds.
    pub messages: u32,
    /// Trades, likewise.
    pub trades: u32,
    /// Excess over its own past, in thousandths of a deviation.
    pub excess_millis: u32,
    /// What it sends a second on average, in thousandths.
    pub mean_millis: u32,
}

impl Stuffing {
    /// Lets time pass.
    pub fn fade(&mut self, fading: Fading, before: TimeMs, now: TimeMs) {
        self.messages = fading.of_small(self.messages);
        self.trades = fading.of_small(self.trades);
        self.excess_millis = fading.of_small(self.excess_millis);
        self.rate.bring_to(before, now);
    }

    /// Takes in messages.
    pub fn note_messages(&mut self, count: u32) {
        self.messages = self.messages.saturating_add(count.saturating_mul(1 << COUNT_SHIFT));
        self.rate.note(count);
        self.excess_millis = self.excess_millis.max(self.rate.excess_millis());
    }

    /// Takes in a trade.
    pub fn note_trade(&mut self) {
        self.trades = self.trades.saturating_add(1 << COUNT_SHIFT);
    }

    /// How far the account is, in parts per million of all thresholds at once.
    #[must_use]
    pub fn judge(&self, messages_min: u32) -> (u32, StuffingFigures) {
        let trades = self.trades.max(1 << COUNT_SHIFT);
        let score = share_ppm(self.messages.into(), u64::from(messages_min) << COUNT_SHIFT)
            .min(share_ppm(self.messages.into(), u64::from(trades).saturating_mul(MESSAGES_PER_TRADE.into())))
            .min(share_ppm(self.excess_millis.into(), EXCESS_MILLIS.into()));
        let figures = StuffingFigures {
            messages: self.messages >> COUNT_SHIFT,
            trades: self.trades >> COUNT_SHIFT,
            excess_millis: self.excess_millis,
            mean_millis: self.rate.mean_millis(),
        };
        (score, figures)
    }

    /// Adds what an account did that turns out to be the same one. The past of the larger one stays.
    pub fn absorb(&mut self, gone: &Self) {
        if gone.rate.mean_millis() > self.rate.mean_millis() {
            self.rate = gone.rate;
        }
        self.messages = self.messages.saturating_add(gone.messages);
        self.trades = self.trades.saturating_add(gone.trades);
        self.excess_millis = self.excess_millis.max(gone.excess_millis);
    }

    /// Whether nothing is left to tell.
    #[must_use]
    pub fn is_faded(&self) -> bool {
        self.messages == 0 && self.excess_millis == 0 && self.rate == Rate::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conduct::features::WHOLE_PPM;

    /// Seconds with so many messages and trades each.
    fn played(mut stuffing: Stuffing, from_s: u64, seconds: &[(u32, u32)]) -> (Stuffing, u32) {
        let mut most = 0;
        for (second, (messages, trades)) in seconds.iter().enumerate() {
            let at = |seconds: u64| TimeMs::from_ms(1_000 * (from_s + seconds));
            let (before, now) = (at(u64::try_from(second).unwrap()), at(u64::try_from(second).unwrap() + 1));
            stuffing.fade(FADES.fading(before, now), before, now);
            (0..*messages).for_each(|_| stuffing.note_messages(1));
            (0..*trades).for_each(|_| stuffing.note_trade());
            most = most.max(stuffing.judge(300).0);
        }
        (stuffing, most)
    }

    #[test]
    fn a_flood_without_trades_is_caught_within_four_seconds() {
        let (quiet, most) = played(Stuffing::default(), 0, &[(2, 0); 120]);
        assert!(most < WHOLE_PPM);
        assert!(played(quiet, 120, &[(150, 0); 4]).1 >= WHOLE_PPM);
    }

    /// The benign twin: a maker who requotes both sides four times a second, all day.
    #[test]
    fn a_maker_who_requotes_quickly_is_not() {
        assert!(played(Stuffing::default(), 0, &[(16, 0); 900]).1 < WHOLE_PPM);
    }

    /// The benign twin: a hot market, with fills.
    #[test]
    fn a_surge_with_trades_is_not() {
        let (usual, _) = played(Stuffing::default(), 0, &[(10, 0); 120]);
        assert!(played(usual, 120, &[(80, 3); 60]).1 < WHOLE_PPM);
    }

    /// Forty messages in the first second of an account are a start, not a flood.
    #[test]
    fn an_account_that_begins_is_not() {
        assert!(played(Stuffing::default(), 0, &[(40, 0), (5, 0), (5, 0)]).1 < WHOLE_PPM);
    }

    proptest! {
        #[test]
        fn prop_more_messages_score_no_less_and_more_trades_no_more(usual in 0u32..30, flood in 0u32..400, more in 0u32..200) {
            let (past, _) = played(Stuffing::default(), 0, &[(usual, 0); 90]);
            let score = |messages, trades| played(past, 90, &[(messages, trades)]).0.judge(300).0;
            prop_assert!(score(flood, 0) <= score(flood + more, 0));
            prop_assert!(score(flood, 1) >= score(flood, 1 + more));
        }

        #[test]
        fn prop_it_fades_to_nothing(seconds in proptest::collection::vec((0u32..400, 0u32..4), 1..60)) {
            let (mut stuffing, _) = played(Stuffing::default(), 0, &seconds);
            let (before, now) = (TimeMs::from_ms(60_000), TimeMs::from_ms(7_200_000));
            stuffing.fade(FADES.fading(before, now), before, now);
            prop_assert!(stuffing.is_faded());
            prop_assert_eq!(stuffing.judge(300).0, 0);
        }
    }
}
