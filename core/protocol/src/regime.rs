//! Regimes: how rough a market is, and the levels at which that is judged.
//!
//! A regime changes nothing by itself: what it asks for says the policy in force. It rises at once and falls step by step, and
//! by itself: nobody is asked.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::genesis::GenesisRule;
use crate::units::{DurationMs, PPM, RatioPpm};

/// How rough a market is, from calm to extreme. That of a segment is the worst of its markets'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Regime {
    /// As on most days.
    #[default]
    Calm = 1,
    /// Rougher than most days.
    Elevated = 2,
    /// As in a sell-off.
    Stressed = 3,
    /// As in the worst hours of a year.
    Extreme = 4,
}

/// Why a regime moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum RegimeCause {
    /// The published price varies too much.
    Volatility = 1,
    /// It moved too far at once.
    Jump = 2,
    /// Much less rests in the book than usual.
    Thinness = 3,
    /// Bid and ask are too far apart.
    Spread = 4,
    /// One side of the book is much thinner than the other.
    Imbalance = 5,
    /// All figures stayed below for long enough.
    Cleared = 6,
}

/// When a market's regime moves. Levels rise from elevated to extreme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RegimeRules {
    /// Standard deviation of the published price over an hour.
    pub volatility: RegimeLevels,
    /// Largest move within half a minute; forgotten over ten minutes.
    pub jump: RegimeLevels,
    /// What is missing of the usual depth of the thinner side of the book, near the index.
    pub thinness: RegimeLevels,
    /// Distance of the best bid from the best ask, as a share of their middle; averaged over a minute.
    pub spread: RegimeLevels,
    /// What one side of the book has more than the other near the index, as a share of both; averaged over a minute.
    pub imbalance: RegimeLevels,
    /// Share of a regime's own levels below which all figures must be before it falls.
    pub leave: RatioPpm,
    /// For how long they must be, and the least time in a regime. Outages do not count.
    pub hold_ms: DurationMs,
    /// Time constant of volatility.
    pub volatility_window_ms: DurationMs,
    /// Time constant of the usual depth.
    pub depth_window_ms: DurationMs,
}

/// Levels of one figure, at or above which a market has a regime at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RegimeLevels {
    /// Elevated.
    pub elevated: RatioPpm,
    /// Stressed.
    pub stressed: RatioPpm,
    /// Extreme.
    pub extreme: RatioPpm,
}

impl Regime {
    /// All of them, from calm to extreme.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Elevated, Self::Stressed, Self::Extreme];

    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Calm => 1,
            Self::Elevated => 2,
            Self::Stressed => 3,
            Self::Extreme => 4,
        }
    }

    /// The name, as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Elevated => "elevated",
            Self::Stressed => "stressed",
            Self::Extreme => "extreme",
        }
    }

    /// The next calmer one; calm has none.
    #[must_use]
    pub const fn calmer(self) -> Option<Self> {
        match self {
            Self::Calm => None,
            Self::Elevated => Some(Self::Calm),
            Self::Stressed => Some(Self::Elevated),
            Self::Extreme => Some(Self::Stressed),
        }
    }
}

impl RegimeCause {
    /// The name, as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Volatility => "volatility",
            Self::Jump => "jump",
            Self::Thinness => "thin book",
            Self::Spread => "spread",
            Self::Imbalance => "imbalance",
            Self::Cleared => "cleared",
        }
    }
}

impl RegimeLevels {
    /// The level of a regime; calm has none.
    #[must_use]
    pub const fn level(&self, regime: Regime) -> Option<RatioPpm> {
        match regime {
            Regime::Calm => None,
            Regime::Elevated => Some(self.elevated),
            Regime::Stressed => Some(self.stressed),
            Regime::Extreme => Some(self.extreme),
        }
    }

    fn are_rising(&self) -> bool {
        self.elevated.ppm() > 0 && self.elevated < self.stressed && self.stressed < self.extreme
    }
}

impl RegimeRules {
    /// Levels by what they are levels of.
    #[must_use]
    pub const fn levels(&self) -> [(RegimeCause, &RegimeLevels); 5] {
        [
            (RegimeCause::Volatility, &self.volatility),
            (RegimeCause::Jump, &self.jump),
            (RegimeCause::Thinness, &self.thinness),
            (RegimeCause::Spread, &self.spread),
            (RegimeCause::Imbalance, &self.imbalance),
        ]
    }

    /// Checks that levels rise and that nothing is zero: zero never means off.
    ///
    /// # Errors
    /// `RegimeLevels` or `RegimeTimes`.
    pub fn validate(&self) -> Result<(), GenesisRule> {
        let is_left_below = self.leave.ppm() > 0 && i128::from(self.leave.ppm()) < PPM;
        if !is_left_below || !self.levels().into_iter().all(|(_, levels)| levels.are_rising()) {
            return Err(GenesisRule::RegimeLevels);
        }
        let times = [self.hold_ms, self.volatility_window_ms, self.depth_window_ms];
        if times.iter().any(|time| time.is_zero()) { Err(GenesisRule::RegimeTimes) } else { Ok(()) }
    }
}
