//! A surge of refused commands: somebody tries doors, or a client has gone wrong. Counted for an account, and for a market
//! over all accounts.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::TimeMs;

use super::features::{Fading, HalfLife, Rate, share_ppm};

/// What belongs to a surge \[D\].
pub const FADES: HalfLife = HalfLife::of_ms(60_000);
/// Share of commands that are refused \[D\].
pub const SHARE_PPM: u32 = 500_000;
/// Cumulative excess over the past, in thousandths of a deviation (R§4.3: h = 5).
pub const EXCESS_MILLIS: u32 = 5_000;

const COUNT_SHIFT: u32 = 8;

/// Commands and refusals of an account or a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Refusals {
    refused: u32,
    accepted: u32,
    rate: Rate,
    excess_millis: u32,
}

/// Why refusals are taken for a surge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RefusalFigures {
    /// Refused, faded over a minute.
    pub refused: u32,
    /// Share of all commands.
    pub share_ppm: u32,
    /// Excess over the past, in thousandths of a deviation.
    pub excess_millis: u32,
    /// The rule that refused last, as in `RejectCode`.
    pub last_code: u16,
}

impl Refusals {
    /// Lets time pass.
    pub fn fade(&mut self, fading: Fading, before: TimeMs, now: TimeMs) {
        self.refused = fading.of_small(self.refused);
        self.accepted = fading.of_small(self.accepted);
        self.excess_millis = fading.of_small(self.excess_millis);
        self.rate.bring_to(before, now);
    }

    /// Takes in an accepted command.
    pub fn note_accepted(&mut self) {
        self.accepted = self.accepted.saturating_add(1 << COUNT_SHIFT);
    }

    /// Takes in a refusal.
    pub fn note_refused(&mut self) {
        self.refused = self.refused.saturating_add(1 << COUNT_SHIFT);
        self.rate.note(1);
        self.excess_millis = self.excess_millis.max(self.rate.excess_millis());
    }

    /// How far this is towards a surge, in parts per million of all thresholds at once; `least` is how many make one.
    #[must_use]
    pub fn judge(&self, least: u32, last_code: u16) -> (u32, RefusalFigures) {
        let all = u64::from(self.refused).saturating_add(self.accepted.into());
        let refused_ppm = share_ppm(self.refused.into(), all);
        let score = share_ppm(self.refused.into(), u64::from(least) << COUNT_SHIFT)
            .min(share_ppm(refused_ppm.into(), SHARE_PPM.into()))
            .min(share_ppm(self.excess_millis.into(), EXCESS_MILLIS.into()));
        let refused = self.refused >> COUNT_SHIFT;
        (score, RefusalFigures { refused, share_ppm: refused_ppm, excess_millis: self.excess_millis, last_code })
    }

    /// Whether nothing is left to tell.
    #[must_use]
    pub fn is_faded(&self) -> bool {
        self.refused == 0 && self.accepted == 0 && self.excess_millis == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conduct::features::WHOLE_PPM;

    const LEAST: u32 = 20;

    fn played(seconds: &[(u32, u32)]) -> (Refusals, u32) {
        let mut refusals = Refusals::default();
        let mut most = 0;
        for (second, (refused, accepted)) in (0u64..).zip(seconds) {
            let (before, now) = (TimeMs::from_ms(1_000 * second), TimeMs::from_ms(1_000 * (second + 1)));
            refusals.fade(FADES.fading(before, now), before, now);
            (0..*accepted).for_each(|_| refusals.note_accepted());
            (0..*refused).for_each(|_| refusals.note_refused());
            most = most.max(refusals.judge(LEAST, 402).0);
        }
        (refusals, most)
    }

    #[test]
    fn a_surge_of_refusals_is_seen() {
        assert!(played(&[vec![(0, 1); 60], vec![(15, 1); 4]].concat()).1 >= WHOLE_PPM);
    }

    /// The benign twin: a maker of whose many orders some are refused in a fast market.
    #[test]
    fn a_share_of_refusals_in_much_traffic_is_not() {
        assert!(played(&[vec![(0, 40); 60], vec![(15, 40); 20]].concat()).1 < WHOLE_PPM);
    }

    proptest! {
        #[test]
        fn prop_more_refused_scores_no_less_and_it_fades(refused in 0u32..60, more in 0u32..60, accepted in 0u32..60) {
            let before = vec![(0, 3); 30];
            let score = |refused| played(&[before.clone(), vec![(refused, accepted)]].concat()).0.judge(LEAST, 0).0;
            prop_assert!(score(refused) <= score(refused + more));
            let (mut refusals, _) = played(&[(refused, accepted); 5]);
            let (from, to) = (TimeMs::from_ms(5_000), TimeMs::from_ms(7_200_000));
            refusals.fade(FADES.fading(from, to), from, to);
            prop_assert!(refusals.is_faded());
        }
    }
}
