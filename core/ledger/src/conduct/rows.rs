//! What is kept: a row for an account (or the cluster that it speaks for) in a market, one for an account, one for a market.
//!
//! Rows are plain values with one canonical encoding. A row is brought up to the moment it is read at, then changed: the new
//! row follows from the old one and the observation alone, so a write set can take it back.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{DurationMs, QuoteMicros, TimeMs};

use super::alert::Detector;
use super::band::Band;
use super::collusion::Openings;
use super::features::{HalfLife, Median, WHOLE_PPM};
use super::ignition::{self, Aggression, Momentum};
use super::refusals::{self, Refusals};
use super::sandwich::{self, Takers};
use super::spoof::{self, Spoof};
use super::stuffing::{self, Stuffing};
use super::takeover::Takeover;
use super::two_keys::History;
use super::wash::{self, Wash};

/// Bytes of an encoded [`SubjectRow`] at most.
pub const SUBJECT_ROW_BYTES_MAX: usize = 256;
/// A detector that goes on firing alerts again after this \[D\].
pub const REPEATS: DurationMs = DurationMs::from_ms(5 * 60 * 1_000);
/// How fast the worst score of late fades \[D\].
const SEEN_FADES: HalfLife = HalfLife::of_ms(10 * 60 * 1_000);
/// A row in which nothing happened for so long goes, with its history \[D\].
const KEPT: DurationMs = DurationMs::from_ms(24 * 60 * 60 * 1_000);
/// And an account's, with its usual hours and addresses \[D\].
const ACCOUNT_KEPT: DurationMs = DurationMs::from_ms(30 * 24 * 60 * 60 * 1_000);

/// An account, or a cluster by the account that speaks for it, in one market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SubjectRow {
    at: TimeMs,
    pub(crate) wash: Wash,
    pub(crate) spoof: Spoof,
    pub(crate) stuffing: Stuffing,
    pub(crate) aggression: Aggression,
    pub(crate) sandwiches_ppm: u32,
    pub(crate) history: History,
    pub(crate) firing: Firing,
    seen_ppm: u32,
    /// The detector that `seen_ppm` is of, by its number.
    seen_by: u8,
}

impl SubjectRow {
    /// Lets time pass.
    pub fn bring_to(&mut self, now: TimeMs) {
        let (before, now) = (self.at, self.at.max(now));
        if before == now {
            return;
        }
        self.at = now;
        self.wash.fade(wash::FADES.fading(before, now));
        self.spoof.fade(spoof::FADES.fading(before, now), spoof::BURST_FADES.fading(before, now));
        self.stuffing.fade(stuffing::FADES.fading(before, now), before, now);
        self.aggression.fade(ignition::FADES.fading(before, now));
        self.sandwiches_ppm = sandwich::FADES.fading(before, now).of_small(self.sandwiches_ppm);
        self.seen_ppm = SEEN_FADES.fading(before, now).of_small(self.seen_ppm);
    }

    /// Takes in the worst score of an observation, and gives how rare it is.
    pub(crate) fn note_score(&mut self, detector: Detector, score_ppm: u32) -> u8 {
        let level = self.history.level(score_ppm);
        self.history.note(score_ppm);
        if score_ppm > self.seen_ppm {
            (self.seen_ppm, self.seen_by) = (score_ppm, detector.number());
        }
        level
    }

    /// How rare the worst score of late is for the account, 0 to 10: the first key.
    #[must_use]
    pub fn level_at(&self, now: TimeMs) -> u8 {
        self.history.level(SEEN_FADES.fading(self.at, now).of_small(self.seen_ppm))
    }

    /// The detector of that score.
    #[must_use]
    pub const fn seen_by(&self) -> u8 {
        self.seen_by
    }

    /// Adds the row of an account that turns out to be the same one. Both have been brought to the same moment.
    pub(crate) fn absorb(&mut self, gone: &Self, kept_account: u32, gone_account: u32) {
        self.wash.absorb(&gone.wash, kept_account, gone_account);
        self.spoof.absorb(&gone.spoof);
        self.stuffing.absorb(&gone.stuffing);
        self.aggression.absorb(&gone.aggression);
        self.sandwiches_ppm = self.sandwiches_ppm.saturating_add(gone.sandwiches_ppm);
        self.history.absorb(&gone.history);
        if gone.seen_ppm > self.seen_ppm {
            (self.seen_ppm, self.seen_by) = (gone.seen_ppm, gone.seen_by);
        }
    }

    /// Whether the row may go: nothing has happened for a day, and nothing is left to tell.
    #[must_use]
    pub fn is_faded(&self, now: TimeMs) -> bool {
        let mut row = *self;
        row.bring_to(now);
        let is_silent = row.spoof.is_faded() && row.stuffing.is_faded() && row.aggression.is_faded();
        now.since(self.at) >= KEPT && is_silent && row.wash.is_faded() && row.sandwiches_ppm == 0
    }
}

/// An account over all markets. Its band is that of its cluster where it speaks for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountRow {
    at: TimeMs,
    pub(crate) band: Band,
    pub(crate) refusals: Refusals,
    pub(crate) takeover: Takeover,
    pub(crate) firing: Firing,
    seen_ppm: u32,
    seen_by: u8,
    /// The alert that raised the band last, and whether it was about another account.
    pub(crate) raised_by: u64,
    pub(crate) is_raised_by_link: bool,
    /// When it contested its links last.
    pub(crate) contested: TimeMs,
}

impl AccountRow {
    /// Lets time pass.
    pub fn bring_to(&mut self, now: TimeMs) {
        let (before, now) = (self.at, self.at.max(now));
        if before == now {
            return;
        }
        self.at = now;
        self.band.bring_to(now);
        self.refusals.fade(refusals::FADES.fading(before, now), before, now);
        self.takeover.fade(before, now);
        self.seen_ppm = SEEN_FADES.fading(before, now).of_small(self.seen_ppm);
    }

    /// Takes in the worst score of an observation.
    pub(crate) fn note_score(&mut self, detector: Detector, score_ppm: u32) {
        if score_ppm > self.seen_ppm {
            (self.seen_ppm, self.seen_by) = (score_ppm, detector.number());
        }
    }

    /// How rare the worst score of late of what is judged by account is, 0 to 10, and the detector of that score.
    #[must_use]
    pub fn level_at(&self, now: TimeMs) -> (u8, u8) {
        (History::default().level(self.seen_ppm_at(now)), self.seen_by)
    }

    /// What fills cost the account against the index of late.
    #[must_use]
    pub fn lost_at(&self, now: TimeMs) -> QuoteMicros {
        self.takeover.lost_at(self.at, now)
    }

    /// Whether the row may go: nothing has happened for a month, and no evidence is left.
    #[must_use]
    pub fn is_faded(&self, now: TimeMs) -> bool {
        now.since(self.at) >= ACCOUNT_KEPT && self.band.is_faded_at(now)
    }

    /// The worst score of late of what is judged by account.
    #[must_use]
    pub fn seen_ppm_at(&self, now: TimeMs) -> u32 {
        SEEN_FADES.fading(self.at, now).of_small(self.seen_ppm)
    }
}

/// A market as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarketRow {
    at: TimeMs,
    /// The usual order, in lots.
    pub(crate) median: Median,
    pub(crate) momentum: Momentum,
    pub(crate) takers: Takers,
    pub(crate) openings: Openings,
    pub(crate) refusals: Refusals,
    pub(crate) firing: Firing,
}

impl MarketRow {
    /// Lets time pass.
    pub fn bring_to(&mut self, now: TimeMs) {
        let (before, now) = (self.at, self.at.max(now));
        if before == now {
            return;
        }
        self.at = now;
        self.momentum.fade(before, now);
        self.refusals.fade(refusals::FADES.fading(before, now), before, now);
    }
}

/// A detector's bit among those of a row.
fn bit(detector: Detector) -> u16 {
    1u16.checked_shl(u32::from(detector.number())).unwrap_or(0)
}

/// Which detectors of a row fire, so that each alerts once and not with every observation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Firing {
    bits: u16,
    at: TimeMs,
}

impl Firing {
    /// Takes in a score; whether it is to be told. It is when the detector begins to fire, and again while it goes on. It must
    /// fall below half before it can begin again.
    pub(crate) fn note(&mut self, detector: Detector, score_ppm: u32, now: TimeMs) -> bool {
        let was_firing = self.bits & bit(detector) != 0;
        if score_ppm < WHOLE_PPM {
            if score_ppm < WHOLE_PPM >> 1 {
                self.bits &= !bit(detector);
            }
            return false;
        }
        if was_firing && now.since(self.at) < REPEATS {
            return false;
        }
        self.bits |= bit(detector);
        self.at = now;
        true
    }
}
