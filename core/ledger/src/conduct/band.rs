//! The conduct band of an account, 0 to 3: what policies read.
//!
//! Evidence fades with a half-life of an hour. A band is entered at once and left one by one, at half of what it was entered
//! at, so it does not flutter. What follows from links that are only inferred reaches band 2 and no further, fades like the
//! rest, and goes when it is contested.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::TimeMs;

use super::features::{HalfLife, WHOLE_PPM};

/// How fast evidence fades \[D\].
pub const FADES: HalfLife = HalfLife::of_ms(60 * 60 * 1_000);
/// Evidence at which bands 1, 2 and 3 are entered \[D\]: one alert, two, three within minutes. Left at half.
pub const ENTERED_PPM: [u32; 3] = [WHOLE_PPM / 2, WHOLE_PPM + WHOLE_PPM / 2, 3 * WHOLE_PPM];
/// The most that inferred evidence counts: less than band 3 needs.
pub const INFERRED_PPM_MAX: u32 = 3 * WHOLE_PPM - 1;
/// The most evidence kept: what band 3 needs, twice. Four half-lives later the account is out of every band.
pub const EVIDENCE_PPM_MAX: u32 = 6 * WHOLE_PPM;

/// Evidence against an account, and its band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Band {
    level: u8,
    /// Of what the account, or its cluster by acts of both sides, did itself.
    own_ppm: u32,
    /// Of what accounts did that it seems to belong to.
    inferred_ppm: u32,
    at: TimeMs,
}

impl Band {
    /// The band, as it stands now: fading alone can have lowered it.
    #[must_use]
    pub fn level_at(&self, now: TimeMs) -> u8 {
        let mut band = *self;
        band.bring_to(now);
        band.level
    }

    /// Lets time pass.
    pub fn bring_to(&mut self, now: TimeMs) {
        let fading = FADES.fading(self.at, now);
        self.own_ppm = fading.of_small(self.own_ppm);
        self.inferred_ppm = fading.of_small(self.inferred_ppm);
        self.at = self.at.max(now);
        self.settle();
    }

    /// Takes in evidence of what the account did.
    pub fn note_own(&mut self, worth_ppm: u32, now: TimeMs) {
        self.bring_to(now);
        self.own_ppm = self.own_ppm.saturating_add(worth_ppm).min(EVIDENCE_PPM_MAX);
        self.settle();
    }

    /// Takes in evidence of what an account did to which it seems to be linked.
    pub fn note_inferred(&mut self, worth_ppm: u32, now: TimeMs) {
        self.bring_to(now);
        self.inferred_ppm = self.inferred_ppm.saturating_add(worth_ppm).min(EVIDENCE_PPM_MAX);
        self.settle();
    }

    /// The account says that it belongs to nobody: inferred evidence is dropped.
    pub fn contest(&mut self, now: TimeMs) {
        self.bring_to(now);
        self.inferred_ppm = 0;
        self.settle();
    }

    /// Evidence that counts, in millionths of an alert.
    #[must_use]
    pub fn evidence_ppm(&self) -> u32 {
        // Inferred evidence fills up to just below band 3; what the account did counts whole.
        self.own_ppm.max(self.own_ppm.saturating_add(self.inferred_ppm).min(INFERRED_PPM_MAX))
    }

    /// INVARIANT(C2): up at once, down at half of what was needed to come up.
    fn settle(&mut self) {
        let evidence = self.evidence_ppm();
        let holds = |level: u8, entered: u32| evidence >= if level <= self.level { entered >> 1 } else { entered };
        let level = (1u8..).zip(ENTERED_PPM).filter(|(level, entered)| holds(*level, *entered)).map(|(level, _)| level);
        let level = level.max().unwrap_or(0);
        self.level = level;
    }

    /// Whether nothing will be left to tell at a moment.
    #[must_use]
    pub fn is_faded_at(&self, now: TimeMs) -> bool {
        let mut band = *self;
        band.bring_to(now);
        band.is_faded()
    }

    /// Whether nothing is left to tell.
    #[must_use]
    pub const fn is_faded(&self) -> bool {
        self.own_ppm == 0 && self.inferred_ppm == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(ms: u64) -> TimeMs {
        TimeMs::from_ms(ms)
    }

    fn alerted(count: u32) -> Band {
        let mut band = Band::default();
        (0..count).for_each(|_| band.note_own(WHOLE_PPM, at(1)));
        band
    }

    #[test]
    fn one_alert_is_band_1_two_are_band_2_and_three_are_band_3() {
        assert_eq!([0, 1, 2, 3].map(|count| alerted(count).level_at(at(1))), [0, 1, 2, 3]);
    }

    #[test]
    fn a_band_is_left_later_than_it_is_entered() {
        let band = alerted(1);
        assert_eq!(band.level_at(at(HOUR + HOUR / 2)), 1, "less than what enters it");
        assert_eq!(band.level_at(at(3 * HOUR)), 0);
        let high = alerted(100);
        let bands = [1, 3, 4, 6].map(|hours| high.level_at(at(hours * HOUR)));
        assert_eq!(bands, [3, 2, 1, 0], "{high:?}");
    }

    #[test]
    fn what_is_inferred_reaches_band_2_and_can_be_contested() {
        let mut band = Band::default();
        (0..50).for_each(|_| band.note_inferred(WHOLE_PPM, at(1)));
        assert_eq!(band.level_at(at(1)), 2);
        band.contest(at(2));
        assert_eq!(band.level_at(at(2)), 0);
        band.note_inferred(WHOLE_PPM, at(3));
        assert_eq!(band.level_at(at(3)), 1, "what is seen anew counts");
    }

    #[test]
    fn contesting_does_not_help_against_what_the_account_did_itself() {
        let mut band = alerted(4);
        band.contest(at(1));
        assert_eq!(band.level_at(at(1)), 3);
    }

    proptest! {
        #[test]
        fn prop_more_evidence_is_no_lower_a_band(own in 0u32..8, inferred in 0u32..8, more in 0u32..4, wait in 0u64..6 * HOUR) {
            let level = |own, inferred| {
                let mut band = alerted(own);
                (0..inferred).for_each(|_| band.note_inferred(WHOLE_PPM, at(1)));
                band.level_at(at(1 + wait))
            };
            prop_assert!(level(own, inferred) <= level(own + more, inferred));
            prop_assert!(level(own, inferred) <= level(own, inferred + more));
            prop_assert!(level(0, inferred) <= 2 && level(own, inferred) <= 3);
        }

        #[test]
        fn prop_a_band_only_falls_with_time_and_ends_at_zero(own in 0u32..20, waits in proptest::collection::vec(1u64..HOUR, 0..30)) {
            let mut band = alerted(own);
            let mut now = 1;
            for wait in waits {
                now += wait;
                let before = band.level_at(at(now - wait));
                band.bring_to(at(now));
                prop_assert!(band.level_at(at(now)) <= before);
            }
            band.bring_to(at(now + 40 * HOUR));
            prop_assert!(band.is_faded() && band.level_at(at(now + 40 * HOUR)) == 0);
        }

        /// Reading ahead of time and bringing up to date agree.
        #[test]
        fn prop_reading_is_what_bringing_up_to_date_gives(own in 0u32..20, wait in 0u64..20 * HOUR) {
            let band = alerted(own);
            let mut brought = band;
            brought.bring_to(at(1 + wait));
            prop_assert_eq!(band.level_at(at(1 + wait)), brought.level_at(at(1 + wait)));
        }
    }
}
