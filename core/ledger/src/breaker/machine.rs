//! The state machine of a segment's breaker (R§5.2, R§5.3), as a calculation on values.
//!
//! A breaker tightens by itself, as soon as a figure reaches a level, to the strictest state that any figure asks for. It
//! loosens by itself from Elevated to Normal only; any other state is left when those who may decide it. Both ways out need
//! that all clear tests held without a gap for `clear_ms` and that the cool-down is over. Enter and leave have levels of
//! their own: a figure between them changes nothing, so a breaker does not flutter around one level.
//!
//! Times are those of the waiting clock, which does not count outages.
//!
//! Not here: how figures are measured, what a state forbids, and who may decide to leave one.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::clearing::{BreakerRules, RatioLevels};
use casemate_protocol::{BreakerCause, BreakerState, DurationMs, MarketId, QuoteMicros};

/// What a figure measures. What it is a share of stands at the levels in [`BreakerRules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// Move of an index.
    PriceMove,
    /// Distance between mark and index, or between the price published and the price in use.
    Divergence,
    /// Age of a price.
    PriceAge,
    /// Insurance used.
    InsuranceDraw,
    /// Use of the withdrawal limiter.
    Outflow,
}

impl Trigger {
    /// All of them, by the number of their cause.
    pub const ALL: [Self; 5] = [Self::PriceMove, Self::Divergence, Self::PriceAge, Self::InsuranceDraw, Self::Outflow];

    /// The cause that it is recorded as.
    #[must_use]
    pub const fn cause(self) -> BreakerCause {
        match self {
            Self::PriceMove => BreakerCause::PriceMove,
            Self::Divergence => BreakerCause::Divergence,
            Self::PriceAge => BreakerCause::StalePrice,
            Self::InsuranceDraw => BreakerCause::InsuranceDraw,
            Self::Outflow => BreakerCause::Outflow,
        }
    }

    /// Its levels.
    #[must_use]
    pub const fn levels(self, rules: &BreakerRules) -> &RatioLevels {
        match self {
            Self::PriceMove => &rules.price_move,
            Self::Divergence => &rules.divergence,
            Self::PriceAge => &rules.price_age,
            Self::InsuranceDraw => &rules.insurance_draw,
            Self::Outflow => &rules.outflow,
        }
    }
}

/// The worst figure of a trigger and where it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figure {
    /// In parts per million of what its trigger measures. Wider than a ratio: a price can be older than 4,294 times its age.
    pub ppm: u64,
    /// The market; none if it is the segment's, or if there is nothing to see.
    pub market: MarketId,
}

/// What a segment's breaker is judged by in one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// See [`Trigger::PriceMove`].
    pub price_move: Figure,
    /// See [`Trigger::Divergence`].
    pub divergence: Figure,
    /// See [`Trigger::PriceAge`].
    pub price_age: Figure,
    /// See [`Trigger::InsuranceDraw`].
    pub insurance_draw: Figure,
    /// See [`Trigger::Outflow`].
    pub outflow: Figure,
    /// Losses of the segment that nothing covers, from 0.
    pub deficit: QuoteMicros,
}

impl Signals {
    /// Adds what was seen somewhere: the worse figure counts, of equal ones that of the smaller market number. In which
    /// order and how often something is added is irrelevant.
    pub fn observe(&mut self, trigger: Trigger, seen: Figure) {
        let worst = match trigger {
            Trigger::PriceMove => &mut self.price_move,
            Trigger::Divergence => &mut self.divergence,
            Trigger::PriceAge => &mut self.price_age,
            Trigger::InsuranceDraw => &mut self.insurance_draw,
            Trigger::Outflow => &mut self.outflow,
        };
        let is_worse = seen.ppm > worst.ppm || seen.ppm == worst.ppm && seen.ppm > 0 && seen.market < worst.market;
        if is_worse {
            *worst = seen;
        }
    }

    /// The figure of a trigger.
    #[must_use]
    pub const fn figure(&self, trigger: Trigger) -> Figure {
        match trigger {
            Trigger::PriceMove => self.price_move,
            Trigger::Divergence => self.divergence,
            Trigger::PriceAge => self.price_age,
            Trigger::InsuranceDraw => self.insurance_draw,
            Trigger::Outflow => self.outflow,
        }
    }

    /// Whether all clear tests hold: each figure is at or below where its trigger is left, and no loss is uncovered above
    /// the floor.
    #[must_use]
    pub fn are_clear(&self, rules: &BreakerRules) -> bool {
        let is_clear = |trigger: Trigger| self.figure(trigger).ppm <= u64::from(trigger.levels(rules).leave.ppm());
        Trigger::ALL.into_iter().all(is_clear) && self.deficit <= rules.deficit_floor
    }

    /// The strictest state that anything asks for, and what asks for it: of several the lowest cause number.
    fn asked(&self, rules: &BreakerRules) -> Option<Asked> {
        let figures = Trigger::ALL.into_iter().filter_map(|trigger| {
            let Figure { ppm, market } = self.figure(trigger);
            let state = state_at(ppm, trigger.levels(rules))?;
            Some(Asked { state, cause: trigger.cause(), market, figure: ppm })
        });
        let deficit = (self.deficit > rules.deficit_floor).then(|| Asked {
            state: BreakerState::WithdrawGated,
            cause: BreakerCause::Deficit,
            market: MarketId::NONE,
            figure: u64::try_from(self.deficit.micros()).unwrap_or(0),
        });
        figures.chain(deficit).max_by_key(|asked| (asked.state, core::cmp::Reverse(cause_number(asked.cause))))
    }
}

/// A state that something asks for.
struct Asked {
    state: BreakerState,
    cause: BreakerCause,
    market: MarketId,
    figure: u64,
}

/// The strictest state whose level a figure reaches.
fn state_at(ppm: u64, levels: &RatioLevels) -> Option<BreakerState> {
    let strictest_first = [
        (levels.halted, BreakerState::Halted),
        (levels.withdraw_gated, BreakerState::WithdrawGated),
        (levels.reduce_only, BreakerState::ReduceOnly),
        (levels.elevated, BreakerState::Elevated),
    ];
    strictest_first.into_iter().find(|(level, _)| ppm >= u64::from(level.ppm())).map(|(_, state)| state)
}

/// The permanent number of a cause.
const fn cause_number(cause: BreakerCause) -> u8 {
    match cause {
        BreakerCause::PriceMove => 1,
        BreakerCause::Divergence => 2,
        BreakerCause::StalePrice => 3,
        BreakerCause::Deficit => 4,
        BreakerCause::InsuranceDraw => 5,
        BreakerCause::Outflow => 6,
        BreakerCause::LawFailed => 7,
        BreakerCause::Cleared => 8,
        BreakerCause::Decided => 9,
    }
}

/// A breaker's state and what its next move depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Breaker {
    /// The state.
    pub state: BreakerState,
    /// Waiting clock when the state was entered.
    pub entered_ms: DurationMs,
    /// Waiting clock before which the state is not left.
    pub cooldown_until_ms: DurationMs,
    /// The cool-down of the last trip.
    pub cooldown_ms: DurationMs,
    /// Waiting clock since which all clear tests have held without a gap, within this state; `None` while one fails.
    pub clear_since_ms: Option<DurationMs>,
    /// Why the state was entered.
    pub cause: BreakerCause,
    /// Waiting clock when it last tightened; `None` if it never did.
    pub last_trip_ms: Option<DurationMs>,
}

/// A change of a breaker's state, decided and not yet in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// Why.
    pub cause: BreakerCause,
    /// The market whose figure pulled the trigger; none if it is the segment's.
    pub market: MarketId,
    /// The figure, in parts per million of what its trigger measures; in micro-quote for uncovered losses; else 0.
    pub figure: u64,
    /// Waiting clock before which the state is not left.
    pub cooldown_until_ms: DurationMs,
}

/// A trip within this time of the last one has twice its cool-down (R§5.6).
pub const BACK_OFF_MS: DurationMs = DurationMs::from_ms(24 * 60 * 60 * 1_000);

impl Breaker {
    /// A breaker that never tripped.
    #[must_use]
    pub const fn new(rules: &BreakerRules, now: DurationMs) -> Self {
        Self {
            state: BreakerState::Normal,
            entered_ms: now,
            cooldown_until_ms: now,
            cooldown_ms: rules.cooldown_ms,
            clear_since_ms: None,
            cause: BreakerCause::Cleared,
            last_trip_ms: None,
        }
    }

    /// Keeps since when all clear tests have held. To be told whenever figures change, at least once a block, with the worst
    /// figures since the last time: a gap that it is not told of counts as none.
    pub fn note_clear(&mut self, signals: &Signals, rules: &BreakerRules, now: DurationMs) {
        self.clear_since_ms = signals.are_clear(rules).then(|| self.clear_since_ms.unwrap_or(now));
    }

    /// Lets a move take effect at the time at which it was decided.
    pub fn apply(&mut self, change: &Move, rules: &BreakerRules, now: DurationMs) {
        if change.to > change.from {
            self.cooldown_ms = cooldown_of_trip(self, rules, now);
            self.last_trip_ms = Some(now);
        }
        self.state = change.to;
        self.entered_ms = now;
        self.cooldown_until_ms = change.cooldown_until_ms;
        // Each state must hold its own time: what was clear before it says nothing about it.
        self.clear_since_ms = None;
        self.cause = change.cause;
    }
}

/// The move that figures ask for: to the strictest state that any of them reaches, if that is stricter than the present.
///
/// INVARIANT(B1): it never loosens. Of several figures that ask for the same state the one with the lowest number of its
/// cause is named.
#[must_use]
pub fn tighten(breaker: &Breaker, signals: &Signals, rules: &BreakerRules, now: DurationMs) -> Option<Move> {
    let Asked { state, cause, market, figure } = signals.asked(rules)?;
    let trip = trip_to(state, cause, breaker, rules, now)?;
    Some(Move { market, figure, ..trip })
}

/// The move to Halted, for a cause that no figure measures: a law that failed. `None` if it is halted already.
#[must_use]
pub fn halt(breaker: &Breaker, cause: BreakerCause, rules: &BreakerRules, now: DurationMs) -> Option<Move> {
    trip_to(BreakerState::Halted, cause, breaker, rules, now)
}

/// Whether the present state may be left: all clear tests have held for their time, and the cool-down is over.
///
/// INVARIANT(B2): nothing loosens without this.
#[must_use]
pub fn may_leave(breaker: &Breaker, rules: &BreakerRules, now: DurationMs) -> bool {
    let is_clear = breaker.clear_since_ms.is_some_and(|since| since.saturating_add(rules.clear_ms) <= now);
    breaker.state != BreakerState::Normal && is_clear && breaker.cooldown_until_ms <= now
}

/// The move that a breaker makes by itself when it may leave its state: from Elevated to Normal, and no other.
#[must_use]
pub fn relax(breaker: &Breaker, rules: &BreakerRules, now: DurationMs) -> Option<Move> {
    let is_open = breaker.state == BreakerState::Elevated && may_leave(breaker, rules, now);
    is_open.then(|| loosening(breaker, BreakerState::Normal, BreakerCause::Cleared, now))
}

/// The move of an approved proposal: to a looser state, if the present one may be left.
#[must_use]
pub fn decide(breaker: &Breaker, to: BreakerState, rules: &BreakerRules, now: DurationMs) -> Option<Move> {
    let is_open = to < breaker.state && may_leave(breaker, rules, now);
    is_open.then(|| loosening(breaker, to, BreakerCause::Decided, now))
}

/// A state that was loosened to has the cool-down of the last trip too, unless it is Normal, which has none.
const fn loosening(breaker: &Breaker, to: BreakerState, cause: BreakerCause, now: DurationMs) -> Move {
    let cooldown_until_ms = match to {
        BreakerState::Normal => now,
        BreakerState::Elevated | BreakerState::ReduceOnly | BreakerState::WithdrawGated | BreakerState::Halted => {
            now.saturating_add(breaker.cooldown_ms)
        }
    };
    Move { from: breaker.state, to, cause, market: MarketId::NONE, figure: 0, cooldown_until_ms }
}

fn trip_to(
    to: BreakerState,
    cause: BreakerCause,
    breaker: &Breaker,
    rules: &BreakerRules,
    now: DurationMs,
) -> Option<Move> {
    let cooldown_until_ms = now.saturating_add(cooldown_of_trip(breaker, rules, now));
    let trip = Move { from: breaker.state, to, cause, market: MarketId::NONE, figure: 0, cooldown_until_ms };
    (to > breaker.state).then_some(trip)
}

/// The cool-down of a trip that happens now.
///
/// A trip from a state that was tightened to is the same trip going on: its cool-down begins again and does not grow, or one
/// crash in three steps would count as three. From a state that was loosened to, or from Normal, it is a new one: within a
/// day of the last it doubles, up to its maximum.
fn cooldown_of_trip(breaker: &Breaker, rules: &BreakerRules, now: DurationMs) -> DurationMs {
    let is_going_on = !matches!(breaker.cause, BreakerCause::Cleared | BreakerCause::Decided);
    let is_within_a_day = breaker.last_trip_ms.is_some_and(|last| now < last.saturating_add(BACK_OFF_MS));
    if is_going_on {
        breaker.cooldown_ms
    } else if is_within_a_day {
        breaker.cooldown_ms.saturating_add(breaker.cooldown_ms).min(rules.cooldown_ms_max)
    } else {
        rules.cooldown_ms
    }
}

#[cfg(test)]
mod tests;
