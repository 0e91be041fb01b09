//! The moves of a regime, as a calculation on values.
//!
//! Enter and leave have levels of their own, so a regime does not flutter around one: it rises at its levels, and falls when
//! all figures have been below a share of them for a while.

use casemate_protocol::regime::RegimeRules;
use casemate_protocol::{DurationMs, Regime, RegimeCause};

use super::figures::RegimeFacts;

/// A move, decided and not yet in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) to: Regime,
    pub(super) cause: RegimeCause,
    pub(super) figure_ppm: u64,
}

/// The move that is due, if any. INVARIANT(G1) INVARIANT(G2)
pub(super) fn due(facts: &RegimeFacts, rules: &RegimeRules, now: DurationMs) -> Option<Change> {
    rise(facts, rules).or_else(|| fall(facts, rules, now))
}

/// To the roughest regime whose level a figure reaches; of several figures the first in the order of causes is named.
fn rise(facts: &RegimeFacts, rules: &RegimeRules) -> Option<Change> {
    let reached = |(cause, levels): (RegimeCause, &casemate_protocol::regime::RegimeLevels)| {
        let figure_ppm = facts.figure_ppm(cause);
        let is_reached = |regime: &Regime| levels.level(*regime).is_some_and(|level| figure_ppm >= level.ppm().into());
        let to = Regime::ALL.into_iter().rev().find(is_reached)?;
        Some(Change { to, cause, figure_ppm })
    };
    let roughest = rules.levels().into_iter().filter_map(reached);
    let roughest = roughest.max_by_key(|change| (change.to, core::cmp::Reverse(change.cause)));
    roughest.filter(|change| change.to > facts.regime)
}

fn fall(facts: &RegimeFacts, rules: &RegimeRules, now: DurationMs) -> Option<Change> {
    let to = facts.regime.calmer()?;
    let has_lasted = facts.entered_ms.saturating_add(rules.hold_ms) <= now;
    let is_clear = facts.clear_since_ms.is_some_and(|since| since.saturating_add(rules.hold_ms) <= now);
    (has_lasted && is_clear).then_some(Change { to, cause: RegimeCause::Cleared, figure_ppm: 0 })
}

/// Keeps since when all figures have been below where the present regime is left. To be told whenever figures change.
pub(super) fn note_clear(facts: &mut RegimeFacts, rules: &RegimeRules, now: DurationMs) {
    let regime = facts.regime;
    let is_below = |(cause, levels): (RegimeCause, &casemate_protocol::regime::RegimeLevels)| {
        // Nothing is below calm.
        let Some(level) = levels.level(regime) else { return false };
        let scaled = u128::from(facts.figure_ppm(cause)).saturating_mul(1_000_000);
        scaled < u128::from(level.ppm()).saturating_mul(rules.leave.ppm().into())
    };
    let is_clear = rules.levels().into_iter().all(is_below);
    facts.clear_since_ms = is_clear.then(|| facts.clear_since_ms.unwrap_or(now));
}
