//! Maturity of profit that a fill makes, by realising it or by a price better than the mark: a gain counts for nothing until
//! its cliff, then by equal parts until the end of its ramp.
//!
//! Each gain has its own clock, losses consume the youngest gain first, and whatever merges gains makes them wait
//! longer, never shorter. So closing, reopening and closing again gains no time.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::clearing::MarginRules;
use casemate_protocol::units::{Round, div_round};
use casemate_protocol::{DurationMs, QuoteMicros};

/// How long a market's profit waits. Listing refuses zero for either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maturity {
    /// Younger profit counts for nothing.
    pub cliff_ms: DurationMs,
    /// After the cliff, profit comes to count in equal parts over this time.
    pub ramp_ms: DurationMs,
}

/// Profit of one market that fills made at about the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Maturing {
    /// Market, as its place in the segment.
    pub market: u16,
    /// Where on the waiting clock its wait begins: when it was made, rounded up to the market's quantum.
    pub start_ms: DurationMs,
    /// What is left of it after losses; positive.
    pub amount: QuoteMicros,
}

/// Gains of one market that start in the same span of this many parts of the whole wait are kept as one.
const QUANTA_PER_WAIT: u64 = 8;

impl Maturity {
    /// What the market's rules say.
    #[must_use]
    pub const fn of(rules: &MarginRules) -> Self {
        Self { cliff_ms: rules.profit_cliff_ms, ramp_ms: rules.profit_ramp_ms }
    }

    /// From a gain to the moment when all of it counts, in milliseconds; exact for any rules.
    #[must_use]
    pub fn whole_ms(self) -> u128 {
        u128::from(self.cliff_ms.ms()).saturating_add(u128::from(self.ramp_ms.ms()))
    }

    /// The grid on which waits begin: an eighth of the whole wait, rounded up, at least one millisecond.
    #[must_use]
    pub fn quantum_ms(self) -> DurationMs {
        let quantum = self.whole_ms().div_ceil(u128::from(QUANTA_PER_WAIT)).max(1);
        DurationMs::from_ms(u64::try_from(quantum).unwrap_or(u64::MAX))
    }

    /// How much of a gain of this age does not count yet, rounded up.
    #[must_use]
    pub fn unmatured(self, amount: QuoteMicros, age_ms: DurationMs) -> QuoteMicros {
        if age_ms < self.cliff_ms {
            return amount;
        }
        let left_ms = self.ramp_ms.saturating_sub(age_ms.saturating_sub(self.cliff_ms));
        let product = i128::from(amount.micros()).saturating_mul(i128::from(left_ms.ms()));
        // Without a ramp there is no share to wait for. Otherwise the share is at most the amount.
        let micros = div_round(product, i128::from(self.ramp_ms.ms()), Round::Up).unwrap_or(0);
        QuoteMicros::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// Adds a gain to a list sorted by market and start, and drops what the market has in it that counts in full by now.
///
/// Gains whose wait begins at the same point of the grid are one entry, so a market has at most nine. An amount that is
/// not positive adds nothing.
pub fn add(list: &mut Vec<Maturing>, market: u16, amount: QuoteMicros, now_ms: DurationMs, maturity: Maturity) {
    list.retain(|gain| gain.market != market || u128::from(gain.age_ms(now_ms).ms()) < maturity.whole_ms());
    if !amount.is_positive() {
        return;
    }
    let start_ms = rounded_up(now_ms, maturity.quantum_ms());
    match list.binary_search_by_key(&(market, start_ms), |gain| (gain.market, gain.start_ms)) {
        Ok(place) => {
            if let Some(gain) = list.get_mut(place) {
                gain.amount = gain.amount.saturating_add(amount);
            }
        }
        Err(place) => list.insert(place, Maturing { market, start_ms, amount }),
    }
}

/// Takes a loss from the gains of its market, the youngest first, and returns what they did not cover. Gains that count
/// in full and are not dropped yet cover it too.
///
/// A loss takes gains whole, with what of them counts already: afterwards no more counts than before it. A loss that is
/// not positive takes nothing and leaves nothing.
pub fn lose(list: &mut Vec<Maturing>, market: u16, loss: QuoteMicros) -> QuoteMicros {
    let mut left = loss.max(QuoteMicros::ZERO);
    for gain in list.iter_mut().rev().filter(|gain| gain.market == market) {
        let taken = left.min(gain.amount);
        gain.amount = gain.amount.saturating_sub(taken);
        left = left.saturating_sub(taken);
    }
    list.retain(|gain| gain.amount.is_positive());
    left
}

/// A gain or loss of one market that becomes cash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realised {
    /// Market, as its place in the segment.
    pub market: u16,
    /// What is added to cash, funding and fee included; negative for a loss.
    pub amount: QuoteMicros,
    /// What a better price than the mark gains on the lots that a fill opens, less what was gained so on those that it
    /// closes, in micro-quote. It waits with the amount, though it is not cash yet.
    pub of_entry: i64,
    /// What of a gain counted before it was realised, in micro-quote, from 0; it counts on.
    pub matured: i64,
}

/// The list after something was realised: a gain enters it but for what counted before, a loss eats its market's youngest
/// first. `None` where the list stays as it is.
#[must_use]
pub fn after_realising(
    list: &[Maturing],
    realised: &Realised,
    now_ms: DurationMs,
    maturity: Maturity,
) -> Option<Vec<Maturing>> {
    let Realised { market, amount, of_entry, matured } = *realised;
    let gained = amount.micros().saturating_add(of_entry);
    let young = gained.saturating_sub(matured.min(gained).max(0));
    if young == 0 || young < 0 && list.is_empty() {
        return None;
    }
    let mut list = list.to_vec();
    if young < 0 {
        lose(&mut list, market, QuoteMicros::from_micros(young.saturating_neg()));
    } else {
        add(&mut list, market, QuoteMicros::from_micros(young), now_ms, maturity);
    }
    Some(list)
}

/// How much of the listed gains of one market would not count yet after a loss in it, each gain rounded up. A loss that is
/// not positive changes nothing.
#[must_use]
pub fn unmatured_after_loss(
    gains: &[Maturing],
    loss: QuoteMicros,
    now_ms: DurationMs,
    maturity: Maturity,
) -> QuoteMicros {
    let mut left = loss.max(QuoteMicros::ZERO);
    let kept = gains.iter().rev().map(|gain| {
        let taken = left.min(gain.amount);
        left = left.saturating_sub(taken);
        maturity.unmatured(gain.amount.saturating_sub(taken), gain.age_ms(now_ms))
    });
    kept.fold(QuoteMicros::ZERO, QuoteMicros::saturating_add)
}

/// Takes the entries off the front of a list, sorted by market, that come before those of a market, and then its own.
pub fn take_up_to<'a>(list: &mut &'a [Maturing], market: u16) -> (&'a [Maturing], &'a [Maturing]) {
    let before = take_while(list, |other| other < market);
    (before, take_while(list, |other| other == market))
}

fn take_while<'a>(list: &mut &'a [Maturing], wanted: impl Fn(u16) -> bool) -> &'a [Maturing] {
    let count = list.iter().take_while(|gain| wanted(gain.market)).count();
    let (taken, left) = list.split_at_checked(count).unwrap_or((list, &[]));
    *list = left;
    taken
}

impl Maturing {
    /// Time waited so far; zero while the start lies ahead.
    fn age_ms(&self, now_ms: DurationMs) -> DurationMs {
        now_ms.saturating_sub(self.start_ms)
    }
}

/// The first point of the grid that is not before a moment.
fn rounded_up(moment_ms: DurationMs, quantum_ms: DurationMs) -> DurationMs {
    let up = moment_ms.ms().checked_next_multiple_of(quantum_ms.ms());
    DurationMs::from_ms(up.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
