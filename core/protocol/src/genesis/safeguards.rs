//! Rules of what guards an account against its own keys.

use borsh::{BorshDeserialize, BorshSerialize};

use super::RecoveryRules;
use crate::limits::SAFEGUARD_DELAY_MS_MAX;
use crate::regime::Regime;
use crate::units::DurationMs;

/// Delays on the waiting clock, so that an outage does not use them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SafeguardRules {
    /// From the adding of a payout address to its first use, and from the removal of the last one to a book that does not
    /// bind any more; in calm markets.
    pub address_cooling_ms: DurationMs,
    /// From the announcement of another root key to the moment from which it can take over.
    pub root_change_delay_ms: DurationMs,
    /// Guardians and recovery.
    pub recovery: RecoveryRules,
}

impl SafeguardRules {
    /// What a chain has that is staged by software, for replays, benchmarks and tests: an hour of each,
    /// and hours for guardians.
    pub const STAGED: Self = Self {
        address_cooling_ms: DurationMs::from_ms(HOUR_MS),
        root_change_delay_ms: DurationMs::from_ms(HOUR_MS),
        recovery: RecoveryRules::STAGED,
    };

    /// How long a payout address cools off that is added in a regime: twice as long when markets are elevated, three times
    /// when they are stressed, four times when they are extreme. In a panic fewer people look at what their keys do.
    #[must_use]
    pub const fn cooling_ms(&self, regime: Regime) -> DurationMs {
        let times = match regime {
            Regime::Calm => 1,
            Regime::Elevated => 2,
            Regime::Stressed => 3,
            Regime::Extreme => 4,
        };
        DurationMs::from_ms(self.address_cooling_ms.ms().saturating_mul(times))
    }

    /// Whether the delays are within range.
    pub(super) fn are_sound(&self) -> bool {
        let delays = [self.address_cooling_ms, self.root_change_delay_ms];
        delays.iter().all(|delay| (1..=SAFEGUARD_DELAY_MS_MAX).contains(&delay.ms()))
    }
}

const HOUR_MS: u64 = 3_600_000;
