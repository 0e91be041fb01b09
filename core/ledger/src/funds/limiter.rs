//! Refilling limiters: how much may leave a segment, and how much may come in, over several windows (R§5.4).
//!
//! What was charged is kept, times the window's length, so that forgetting it by small steps loses nothing to rounding. A
//! window that was never charged is unused whatever its capacity is: a deposit makes room and uses none.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::genesis::{LimiterRules, SegmentRules};
use casemate_protocol::limits::LIMITER_WINDOWS_MAX;
use casemate_protocol::units::{PPM, Round, div_round};
use casemate_protocol::{BoundedVec, DurationMs, QuoteMicros};

/// What is in use of each window.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LimiterState {
    /// For each outbound window of the rules.
    outbound: BoundedVec<Outbound, LIMITER_WINDOWS_MAX>,
    /// For the inbound window: what came in, in micro-quote times window milliseconds.
    inbound: i128,
}

/// Use of an outbound window, in micro-quote times window milliseconds. Both fade by one capacity a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Outbound {
    /// What left.
    left: i128,
    /// What left, each amount as many times as it counted when it did: this is what stays within capacity.
    counted: i128,
}

/// An amount that leaves, and how many times it counts in the state that the segment is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The amount, from 0.
    pub amount: QuoteMicros,
    /// At least 1.
    pub weight: i64,
}

impl Leaving {
    fn counted(self, window_ms: DurationMs) -> i128 {
        times_window(i128::from(self.amount.micros()).saturating_mul(self.weight.into()), window_ms)
    }
}

impl LimiterState {
    /// All windows unused.
    #[must_use]
    pub fn unused(rules: &SegmentRules) -> Self {
        let outbound = rules.outbound.iter().map(|_| Outbound::default()).collect();
        Self { outbound: BoundedVec::new(outbound).unwrap_or_default(), inbound: 0 }
    }

    /// Whether there is nothing to forget.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.inbound == 0 && self.outbound.iter().all(|window| *window == Outbound::default())
    }

    /// Lets block time pass: each window forgets its share of what the vault's size allows now.
    pub fn refill(&mut self, rules: &SegmentRules, vault: i128, step_ms: DurationMs) {
        let step = i128::from(step_ms.ms());
        let outbound = rules.outbound.iter().zip(&self.outbound).map(|(window, used)| {
            let forgotten = ceiling(window, vault).saturating_mul(step);
            let fade = |used: i128| used.saturating_sub(forgotten).max(0);
            Outbound { left: fade(used.left), counted: fade(used.counted) }
        });
        self.outbound = BoundedVec::new(outbound.collect()).unwrap_or_default();
        let forgotten = i128::from(rules.inbound.amount_max.micros()).saturating_mul(step);
        self.inbound = self.inbound.saturating_sub(forgotten).max(0);
    }

    /// Whether every outbound window has room: what counted already and this, as often as it counts, stay within capacity.
    #[must_use]
    pub fn has_room_out(&self, rules: &SegmentRules, vault: i128, leaving: Leaving) -> bool {
        rules.outbound.iter().zip(&self.outbound).all(|(window, used)| {
            let after = used.counted.saturating_add(leaving.counted(window.window_ms));
            after <= times_window(ceiling(window, vault), window.window_ms)
        })
    }

    /// Charges an amount to every outbound window.
    pub fn charge_out(&mut self, rules: &SegmentRules, leaving: Leaving) {
        let outbound = rules.outbound.iter().zip(&self.outbound).map(|(window, used)| Outbound {
            left: used.left.saturating_add(times_window(leaving.amount.micros().into(), window.window_ms)),
            counted: used.counted.saturating_add(leaving.counted(window.window_ms)),
        });
        self.outbound = BoundedVec::new(outbound.collect()).unwrap_or_default();
    }

    /// How much of the fullest outbound window what left is, in parts per million, rounded down. Each amount counts once:
    /// a stricter state does not trip the breaker again by how it counts.
    #[must_use]
    pub fn used_ppm(&self, rules: &SegmentRules, vault: i128) -> u64 {
        let used = rules.outbound.iter().zip(&self.outbound).map(|(window, used)| {
            let whole = times_window(ceiling(window, vault), window.window_ms);
            // Both are multiplied by the window's length; a share needs only the leading digits.
            let ppm = used.left.checked_div(whole.checked_div(PPM).unwrap_or(0).max(1)).unwrap_or(0);
            u64::try_from(ppm).unwrap_or(u64::MAX)
        });
        used.max().unwrap_or(0)
    }

    /// What the inbound window has left.
    #[must_use]
    pub fn inbound_left(&self, rules: &SegmentRules) -> QuoteMicros {
        let inbound = &rules.inbound;
        let left =
            times_window(inbound.amount_max.micros().into(), inbound.window_ms).saturating_sub(self.inbound).max(0);
        let left = div_round(left, i128::from(inbound.window_ms.ms()), Round::Down).unwrap_or(0);
        QuoteMicros::from_micros(i64::try_from(left).unwrap_or(i64::MAX))
    }

    /// Charges an amount to the inbound window.
    pub fn charge_in(&mut self, rules: &SegmentRules, amount: QuoteMicros) {
        self.inbound = self.inbound.saturating_add(times_window(amount.micros().into(), rules.inbound.window_ms));
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

fn times_window(amount: i128, window_ms: DurationMs) -> i128 {
    amount.saturating_mul(i128::from(window_ms.ms()))
}

#[cfg(test)]
mod tests {
    use casemate_protocol::testing::examples;

    use super::*;

    const HOUR: u64 = 3_600_000;

    /// One window of an hour and a tenth of the vault, at least 1,000.
    fn rules() -> SegmentRules {
        let window = LimiterRules {
            window_ms: DurationMs::from_ms(HOUR),
            floor: QuoteMicros::from_micros(1_000),
            vault_share: casemate_protocol::RatioPpm::from_ppm(100_000),
        };
        SegmentRules { outbound: BoundedVec::new(vec![window]).unwrap(), ..examples::segment(1) }
    }

    fn leaving(amount: i64, weight: i64) -> Leaving {
        Leaving { amount: QuoteMicros::from_micros(amount), weight }
    }

    /// Lets as many as fit leave, one after the other; says how much left.
    fn drain(state: &mut LimiterState, vault: &mut i128, part: Leaving) -> i64 {
        let mut sum = 0;
        while state.has_room_out(&rules(), *vault, part) {
            state.charge_out(&rules(), part);
            *vault -= i128::from(part.amount.micros());
            sum += part.amount.micros();
        }
        sum
    }

    /// Cause: the weight was in the test and not in the charge, so small parts used nearly all of the window.
    #[test]
    fn half_and_a_quarter_hold_however_small_the_parts_are_that_leave() {
        for (weight, most) in [(1, 100_000), (2, 50_000), (4, 25_000)] {
            for part in [1, 1_000, 10_000] {
                let mut vault = 1_000_000;
                let left = drain(&mut LimiterState::unused(&rules()), &mut vault, leaving(part, weight));
                // Capacity shrinks with the vault while it is used.
                assert!(left <= most && left >= most * 8 / 10, "{left} in parts of {part} at {weight}");
            }
        }
    }

    #[test]
    fn over_any_time_what_leaves_is_within_its_share_of_what_normal_lets_out_and_a_change_of_state_gives_nothing_back()
    {
        let mut state = LimiterState::unused(&rules());
        let mut vault = 1_000_000;
        let first = drain(&mut state, &mut vault, leaving(100, 2));
        let hours = 3;
        let mut later = 0;
        for _ in 0..hours * 60 {
            state.refill(&rules(), vault, DurationMs::from_ms(60_000));
            later += drain(&mut state, &mut vault, leaving(100, 2));
        }
        assert!(first + later <= 50_000 * (1 + hours), "{first} and {later}");
        assert!(later >= 30_000 * hours, "and it does leave");
        assert!(state.used_ppm(&rules(), vault) <= 520_000, "an amount is one amount to the trigger");
        let again = drain(&mut state, &mut vault, leaving(100, 1));
        assert!(again <= 200, "what counted twice fades like everything else: {again}");
    }

    /// Cause: capacity grew with the vault at once, what was left of it over a window, and the difference counted as use.
    #[test]
    fn a_deposit_uses_nothing_and_makes_room() {
        let mut state = LimiterState::unused(&rules());
        assert_eq!(state.used_ppm(&rules(), 0), 0);
        assert_eq!(state.used_ppm(&rules(), 1_000_000_000), 0, "nothing ever left");
        let mut vault = 100_000;
        drain(&mut state, &mut vault, leaving(1_000, 1));
        let before = state.used_ppm(&rules(), vault);
        assert!(before > 900_000);
        assert!(state.used_ppm(&rules(), vault * 10) <= before / 9, "a deposit of ten vaults");
        assert!(state.has_room_out(&rules(), vault * 10, leaving(80_000, 1)));
    }

    #[test]
    fn what_came_in_is_forgotten_over_its_window() {
        let rules = rules();
        let most = rules.inbound.amount_max;
        let mut state = LimiterState::unused(&rules);
        assert_eq!(state.inbound_left(&rules), most);
        state.charge_in(&rules, most);
        assert_eq!(state.inbound_left(&rules), QuoteMicros::ZERO);
        state.refill(&rules, 0, DurationMs::from_ms(rules.inbound.window_ms.ms() / 2));
        assert_eq!(state.inbound_left(&rules), QuoteMicros::from_micros(most.micros() / 2));
        state.refill(&rules, 0, rules.inbound.window_ms);
        assert!(state.is_unused());
    }
}
