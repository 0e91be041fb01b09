//! Rules of guardians and of the recovery of an account.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::limits::{RECOVERY_CANCELS_MAX, SAFEGUARD_DELAY_MS_MAX};
use crate::units::DurationMs;

/// What guardians can do, and how long everybody else has to answer. All times on the waiting clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryRules {
    /// From the announcement of other guardians to the moment at which they guard; longer than a recovery takes.
    pub guardian_change_delay_ms: DurationMs,
    /// From the quorum for a recovery to the moment from which its key can take over.
    pub recovery_delay_ms: DurationMs,
    /// How long a vote counts.
    pub guardian_vote_lifetime_ms: DurationMs,
    /// How many recoveries the root key can cancel within the window.
    pub recovery_cancels_max: u8,
    /// The window in which cancels are counted.
    pub recovery_cancels_window_ms: DurationMs,
    /// From a cancel to the moment from which guardians can begin another recovery.
    pub recovery_pause_ms: DurationMs,
    /// How long a freeze lasts; as long again guardians cannot freeze.
    pub freeze_ms_max: DurationMs,
    /// How long nothing leaves an account after its recovery.
    pub recovery_hold_ms: DurationMs,
}

impl RecoveryRules {
    /// What a chain has that is staged by software: hours of what are days elsewhere.
    pub const STAGED: Self = Self {
        guardian_change_delay_ms: DurationMs::from_ms(4 * HOUR_MS),
        recovery_delay_ms: DurationMs::from_ms(2 * HOUR_MS),
        guardian_vote_lifetime_ms: DurationMs::from_ms(HOUR_MS),
        recovery_cancels_max: 2,
        recovery_cancels_window_ms: DurationMs::from_ms(24 * HOUR_MS),
        recovery_pause_ms: DurationMs::from_ms(HOUR_MS),
        freeze_ms_max: DurationMs::from_ms(3 * HOUR_MS),
        recovery_hold_ms: DurationMs::from_ms(3 * HOUR_MS),
    };

    /// Whether the times are within range and leave the root key, whoever has it, no way to outlast the guardians.
    pub(super) fn are_sound(&self) -> bool {
        let times = [
            self.guardian_change_delay_ms,
            self.recovery_delay_ms,
            self.guardian_vote_lifetime_ms,
            self.recovery_cancels_window_ms,
            self.recovery_pause_ms,
            self.freeze_ms_max,
            self.recovery_hold_ms,
        ];
        let are_in_range = times.iter().all(|time| (1..=SAFEGUARD_DELAY_MS_MAX).contains(&time.ms()));
        let is_change_slower = self.guardian_change_delay_ms > self.recovery_delay_ms;
        are_in_range
            && is_change_slower
            && self.freeze_ms_max >= self.recovery_delay_ms
            && (1..=RECOVERY_CANCELS_MAX).contains(&usize::from(self.recovery_cancels_max))
            && self.recovery_cancels_window_ms.ms() > self.cancelled_recoveries_ms()
    }

    /// How long it takes until as many recoveries as can be cancelled are, one begun as soon as it can be after another: a
    /// window that is not longer forgets the first cancel before the last one, and counts nothing.
    fn cancelled_recoveries_ms(&self) -> u64 {
        let each = self
            .recovery_delay_ms
            .saturating_add(self.recovery_pause_ms)
            .saturating_add(self.guardian_vote_lifetime_ms);
        each.ms().saturating_mul(u64::from(self.recovery_cancels_max))
    }
}

const HOUR_MS: u64 = 3_600_000;
