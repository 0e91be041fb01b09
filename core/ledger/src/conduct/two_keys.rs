//! The two-key rule (R§4.6): an act is blocked only where the account is anomalous by its own past *and* the act would do
//! damage by an exact test. One key alone never blocks: an anomaly that harms nobody alerts, and a large act of somebody
//! who behaves as always passes.
//!
//! INVARIANT(C1): only what is [`Blockable`] can be judged. Cancels, reductions, top-ups, proposals, votes and the slow
//! exit of principal have no variant there, so nothing here can hold them up.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::conduct::DamageRules;
use casemate_protocol::{QuoteMicros, RatioPpm};

use super::features::{WHOLE_PPM, share_ppm};

/// The level that is anomalous: one per cent of the account's own past reached it (R§4.6: level 7 ≈ 1 %).
pub const ANOMALOUS: u8 = 7;
/// Scores before an account's own past says anything \[D\].
pub const PAST_MIN: u32 = 256;
/// From here a score is anomalous whatever the account's past: who misbehaves all day does not become usual \[D\].
pub const ALWAYS_PPM: u32 = 2 * WHOLE_PPM;

/// Share of the past that reached as much, at most, for levels 1 to 10.
const LEVELS_PPM: [u32; 10] = [500_000, 250_000, 100_000, 50_000, 30_000, 20_000, 10_000, 3_000, 1_000, 100];

/// The last one begins below [`ALWAYS_PPM`], from where no past is asked.
const BUCKETS: usize = 14;

/// How often an account's scores reached what: a bucket for each doubling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct History {
    counts: [u16; BUCKETS],
}

impl History {
    /// Takes in a score. When a bucket is full all are halved, so that the past is the recent past.
    pub fn note(&mut self, score_ppm: u32) {
        let Some(count) = self.counts.get_mut(bucket(score_ppm)) else { return };
        *count = count.saturating_add(1);
        if *count == u16::MAX {
            self.counts.iter_mut().for_each(|count| *count >>= 1);
        }
    }

    /// The level of a score, 0 to 10: how rare it is to reach its bucket. A score of zero has none. Where there is too little
    /// past, a detector that fires is anomalous and nothing else is.
    #[must_use]
    pub fn level(&self, score_ppm: u32) -> u8 {
        if score_ppm == 0 {
            return 0;
        }
        if score_ppm >= ALWAYS_PPM {
            return 10;
        }
        let all: u32 = self.counts.iter().map(|count| u32::from(*count)).sum();
        if all < PAST_MIN {
            return if score_ppm >= WHOLE_PPM { ANOMALOUS } else { 0 };
        }
        let reached: u32 = self.counts.iter().skip(bucket(score_ppm)).map(|count| u32::from(*count)).sum();
        let reached_ppm = share_ppm(reached.into(), all.into());
        (1u8..).zip(LEVELS_PPM).filter(|(_, most)| reached_ppm <= *most).map(|(level, _)| level).max().unwrap_or(0)
    }

    /// Adds the past of an account that turns out to be the same one.
    pub fn absorb(&mut self, gone: &Self) {
        for (own, other) in self.counts.iter_mut().zip(gone.counts) {
            *own = own.saturating_add(other);
        }
    }
}

/// The bucket of a score: 0 below a 4,000th of a threshold, then one for each doubling.
fn bucket(score_ppm: u32) -> usize {
    let bits = (score_ppm >> 8).checked_ilog2().map_or(0, |bits| bits.saturating_add(1));
    usize::try_from(bits).unwrap_or(0).min(BUCKETS.saturating_sub(1))
}

/// An act that may be blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blockable {
    /// An order that can add to a position.
    NewRisk(NewRisk),
    /// Money that would leave, other than by the slow exit of principal.
    ValueLeaves(ValueLeaves),
    /// A key, guardian or payout address would change.
    KeysChange {
        /// Money that waits to leave, as a share of what the account has.
        pending_ppm: u32,
    },
}

/// What an order would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewRisk {
    /// Lots that would rest near the touch.
    pub resting_lots: u64,
    /// Lots that rest there on its side already.
    pub depth_lots: u64,
    /// Position of the account's cluster after it, without sign.
    pub cluster_lots: u64,
    /// Open interest of the market after it.
    pub open_interest_lots: u64,
    /// How far it would move the last price.
    pub step_ppm: u32,
    /// What it would cost against the index, with what fills cost the account of late.
    pub loss: QuoteMicros,
    /// Equity of the account.
    pub equity: QuoteMicros,
}

/// What a withdrawal or transfer would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValueLeaves {
    /// What left on balance within the limiter's window, with this.
    pub net_outflow: QuoteMicros,
    /// What the vault holds.
    pub reserve: QuoteMicros,
}

/// A damage test that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Damage {
    /// Net outflow of the reserve (R§4.6: 2.5 %).
    Outflow = 1,
    /// Keys change while money waits to leave.
    KeysWhilePending = 2,
    /// A step of the price beyond tolerance.
    PriceStep = 3,
    /// Loss of the account's own equity against the index (R§2 S18).
    OwnLoss = 4,
    /// The order would be most of what stands on its side of the book, which the mark is made from.
    BookDepth = 5,
    /// Open interest of one cluster (R§4.2 D5: 10 % of the market).
    OpenInterest = 6,
}

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Gate {
    /// It goes on.
    Pass = 1,
    /// It goes on, and is told.
    Alert = 2,
    /// It is refused.
    Block(Damage) = 3,
}

impl Blockable {
    /// The first damage test that holds, in the order of their numbers.
    #[must_use]
    pub fn damage(&self, rules: &DamageRules) -> Option<Damage> {
        let reaches = |part: u64, whole: u64, share: RatioPpm| {
            part > 0
                && u128::from(part).saturating_mul(1_000_000) >= u128::from(whole).saturating_mul(share.ppm().into())
        };
        let size = |amount: QuoteMicros| u64::try_from(amount.micros()).unwrap_or(0);
        let first = |tests: &[(bool, Damage)]| tests.iter().find(|(holds, _)| *holds).map(|(_, damage)| *damage);
        match self {
            Self::ValueLeaves(leaves) => {
                first(&[(reaches(size(leaves.net_outflow), size(leaves.reserve), rules.outflow), Damage::Outflow)])
            }
            Self::KeysChange { pending_ppm } => {
                first(&[(*pending_ppm >= rules.pending.ppm(), Damage::KeysWhilePending)])
            }
            Self::NewRisk(risk) => {
                let depth = risk.depth_lots.saturating_add(risk.resting_lots);
                first(&[
                    (risk.step_ppm >= rules.price_step.ppm(), Damage::PriceStep),
                    (reaches(size(risk.loss), size(risk.equity), rules.own_loss), Damage::OwnLoss),
                    (reaches(risk.resting_lots, depth, rules.book_depth), Damage::BookDepth),
                    (reaches(risk.cluster_lots, risk.open_interest_lots, rules.open_interest), Damage::OpenInterest),
                ])
            }
        }
    }
}

/// The two-key rule. `level` is that of the account's worst detector of now.
#[must_use]
pub fn judge(level: u8, act: &Blockable, rules: &DamageRules) -> Gate {
    match (level >= ANOMALOUS, act.damage(rules)) {
        (false, _) => Gate::Pass,
        (true, None) => Gate::Alert,
        (true, Some(damage)) => Gate::Block(damage),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: DamageRules = casemate_protocol::conduct::ConductRules::STARTING.damage;

    fn quote(micros: i64) -> QuoteMicros {
        QuoteMicros::from_micros(micros)
    }

    fn outflow(permille: i64) -> Blockable {
        Blockable::ValueLeaves(ValueLeaves { net_outflow: quote(permille), reserve: quote(1_000) })
    }

    /// R§4.6, cell by cell.
    #[test]
    fn it_takes_two_keys_to_block() {
        assert_eq!(judge(ANOMALOUS, &outflow(25), &RULES), Gate::Block(Damage::Outflow));
        assert_eq!(judge(ANOMALOUS, &outflow(24), &RULES), Gate::Alert);
        assert_eq!(judge(ANOMALOUS - 1, &outflow(900), &RULES), Gate::Pass, "a whale that behaves as always");
        assert_eq!(judge(0, &outflow(1), &RULES), Gate::Pass);
    }

    #[test]
    fn every_damage_test_holds_at_its_number_and_not_below() {
        let risk = |change: fn(&mut NewRisk, u64), value| {
            let mut risk = NewRisk { equity: quote(1_000), open_interest_lots: 1_000, ..NewRisk::default() };
            change(&mut risk, value);
            Blockable::NewRisk(risk).damage(&RULES)
        };
        let step = |risk: &mut NewRisk, value| risk.step_ppm = u32::try_from(value).unwrap();
        assert_eq!([risk(step, 19_999), risk(step, 20_000)], [None, Some(Damage::PriceStep)]);
        let loss = |risk: &mut NewRisk, value| risk.loss = quote(i64::try_from(value).unwrap());
        assert_eq!([risk(loss, 24), risk(loss, 25)], [None, Some(Damage::OwnLoss)]);
        let depth = |risk: &mut NewRisk, value| (risk.resting_lots, risk.depth_lots) = (value, 1_000);
        assert_eq!([risk(depth, 999), risk(depth, 1_000)], [None, Some(Damage::BookDepth)]);
        let interest = |risk: &mut NewRisk, value| risk.cluster_lots = value;
        assert_eq!([risk(interest, 99), risk(interest, 100)], [None, Some(Damage::OpenInterest)]);
        let keys = |pending_ppm| Blockable::KeysChange { pending_ppm }.damage(&RULES);
        assert_eq!([keys(24_999), keys(25_000)], [None, Some(Damage::KeysWhilePending)]);
        assert_eq!(outflow(0).damage(&RULES), None);
        let empty = ValueLeaves { net_outflow: quote(1), reserve: quote(0) };
        assert_eq!(Blockable::ValueLeaves(empty).damage(&RULES), Some(Damage::Outflow), "anything is much of nothing");
    }

    #[test]
    fn a_level_is_how_rare_a_score_is_for_this_account() {
        let mut usual = History::default();
        (0..2_000).for_each(|_| usual.note(1_000));
        assert!(usual.level(900_000) >= ANOMALOUS, "half a threshold is much for somebody who is always calm");
        let mut lively = History::default();
        (0..1_000).for_each(|_| lively.note(1_000));
        (0..100).for_each(|_| lively.note(900_000));
        assert!(lively.level(900_000) < ANOMALOUS, "and nothing new for somebody who is not");
        assert_eq!(lively.level(0), 0);
        assert!(lively.level(ALWAYS_PPM) >= ANOMALOUS, "but nobody becomes used to this");
    }

    #[test]
    fn without_a_past_only_what_fires_is_anomalous() {
        assert_eq!(History::default().level(WHOLE_PPM - 1), 0);
        assert_eq!(History::default().level(WHOLE_PPM), ANOMALOUS);
    }

    /// The obvious model: all scores kept, and counted.
    fn level_slowly(past: &[u32], score: u32) -> u8 {
        let reached = past.iter().filter(|other| bucket(**other) >= bucket(score)).count();
        let rare = |most: u32| reached * 1_000_000 / past.len() <= usize::try_from(most).unwrap();
        u8::try_from(LEVELS_PPM.iter().take_while(|most| rare(**most)).count()).unwrap()
    }

    proptest! {
        #[test]
        fn prop_levels_are_those_of_the_model(past in proptest::collection::vec(0u32..1_500_000, 256..700), score in 1u32..ALWAYS_PPM) {
            let mut history = History::default();
            past.iter().for_each(|score| history.note(*score));
            prop_assert_eq!(history.level(score), level_slowly(&past, score));
        }

        #[test]
        fn prop_a_higher_score_is_no_lower_a_level(past in proptest::collection::vec(any::<u32>(), 0..700), score in any::<u32>(), more in any::<u32>()) {
            let mut history = History::default();
            past.iter().for_each(|score| history.note(*score));
            prop_assert!(history.level(score) <= history.level(score.saturating_add(more)));
            prop_assert!(history.level(score) <= 10);
        }

        #[test]
        fn prop_no_level_blocks_what_does_no_damage_and_no_damage_blocks_below_the_level(level in 0u8..=10, permille in 0i64..1_000) {
            let gate = judge(level, &outflow(permille), &RULES);
            prop_assert_eq!(gate == Gate::Block(Damage::Outflow), level >= ANOMALOUS && permille >= 25);
        }
    }
}
