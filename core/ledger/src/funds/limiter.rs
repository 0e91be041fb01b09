//! Refilling limiters: how much may leave a segment, and how much may come in, over several windows (R§5.4).
//!
//! Capacity is kept times the window's length, so that refilling by small steps loses nothing to rounding.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::genesis::{LimiterRules, SegmentRules};
use casemate_protocol::limits::LIMITER_WINDOWS_MAX;
use casemate_protocol::units::{PPM, Round, div_round};
use casemate_protocol::{BoundedVec, DurationMs, QuoteMicros};

/// Capacity left in each window.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LimiterState {
    /// For each outbound window of the rules: capacity left, in micro-quote times window milliseconds.
    outbound: BoundedVec<i128, LIMITER_WINDOWS_MAX>,
    /// For the inbound window, likewise.
    inbound: i128,
}

impl LimiterState {
    /// All windows full, for a vault that is still empty.
    #[must_use]
    pub fn full(rules: &SegmentRules) -> Self {
        let outbound = rules.outbound.iter().map(|window| scaled_ceiling(window, 0)).collect();
        Self {
            outbound: BoundedVec::new(outbound).unwrap_or_default(),
            inbound: times_window(rules.inbound.amount_max.micros().into(), rules.inbound.window_ms),
        }
    }

    /// Whether nothing would change by refilling.
    #[must_use]
    pub fn is_full(&self, rules: &SegmentRules, vault: i128) -> bool {
        let inbound_max = times_window(rules.inbound.amount_max.micros().into(), rules.inbound.window_ms);
        self.inbound == inbound_max
            && rules.outbound.iter().zip(&self.outbound).all(|(window, left)| *left == scaled_ceiling(window, vault))
    }

    /// Lets block time pass: each window regains its share, up to what the vault's size allows now.
    pub fn refill(&mut self, rules: &SegmentRules, vault: i128, step_ms: DurationMs) {
        let step = i128::from(step_ms.ms());
        let outbound = rules.outbound.iter().zip(&self.outbound).map(|(window, left)| {
            let ceiling = ceiling(window, vault);
            left.saturating_add(ceiling.saturating_mul(step)).min(times_window(ceiling, window.window_ms))
        });
        self.outbound = BoundedVec::new(outbound.collect()).unwrap_or_default();
        let inbound_max: i128 = rules.inbound.amount_max.micros().into();
        self.inbound = self
            .inbound
            .saturating_add(inbound_max.saturating_mul(step))
            .min(times_window(inbound_max, rules.inbound.window_ms));
    }

    /// Whether every outbound window has room for an amount.
    #[must_use]
    pub fn has_room_out(&self, rules: &SegmentRules, amount: QuoteMicros) -> bool {
        rules
            .outbound
            .iter()
            .zip(&self.outbound)
            .all(|(window, left)| times_window(amount.micros().into(), window.window_ms) <= *left)
    }

    /// Takes an amount from every outbound window.
    pub fn charge_out(&mut self, rules: &SegmentRules, amount: QuoteMicros) {
        let outbound = rules
            .outbound
            .iter()
            .zip(&self.outbound)
            .map(|(window, left)| left.saturating_sub(times_window(amount.micros().into(), window.window_ms)));
        self.outbound = BoundedVec::new(outbound.collect()).unwrap_or_default();
    }

    /// How much of the fullest outbound window is in use, in parts per million, rounded down.
    #[must_use]
    pub fn used_ppm(&self, rules: &SegmentRules, vault: i128) -> u64 {
        let used = rules.outbound.iter().zip(&self.outbound).map(|(window, left)| {
            let whole = scaled_ceiling(window, vault);
            let used = whole.saturating_sub(*left).max(0);
            // Both are multiplied by the window's length; a share needs only the leading digits.
            let ppm = used.checked_div(whole.checked_div(PPM).unwrap_or(0).max(1)).unwrap_or(0);
            u64::try_from(ppm).unwrap_or(u64::MAX)
        });
        used.max().unwrap_or(0)
    }

    /// What the inbound window has left.
    #[must_use]
    pub fn inbound_left(&self, rules: &SegmentRules) -> QuoteMicros {
        let left = div_round(self.inbound, i128::from(rules.inbound.window_ms.ms()), Round::Down).unwrap_or(0);
        QuoteMicros::from_micros(i64::try_from(left).unwrap_or(i64::MAX))
    }

    /// Takes an amount from the inbound window.
    pub fn charge_in(&mut self, rules: &SegmentRules, amount: QuoteMicros) {
        self.inbound = self.inbound.saturating_sub(times_window(amount.micros().into(), rules.inbound.window_ms));
    }
}

/// The most that all outbound windows together can let through at once, for this vault.
#[must_use]
pub fn capacity_max(rules: &SegmentRules, vault: i128) -> QuoteMicros {
    let least = rules.outbound.iter().map(|window| ceiling(window, vault)).min().unwrap_or(0);
    QuoteMicros::from_micros(i64::try_from(least).unwrap_or(i64::MAX))
}

/// Full capacity of a window: its floor, or its share of the vault.
fn ceiling(window: &LimiterRules, vault: i128) -> i128 {
    let share = vault.saturating_mul(i128::from(window.vault_share.ppm()));
    div_round(share, PPM, Round::Down).unwrap_or(0).max(window.floor.micros().into())
}

fn scaled_ceiling(window: &LimiterRules, vault: i128) -> i128 {
    times_window(ceiling(window, vault), window.window_ms)
}

fn times_window(amount: i128, window_ms: DurationMs) -> i128 {
    amount.saturating_mul(i128::from(window_ms.ms()))
}
