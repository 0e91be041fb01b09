//! D1, wash trading: two accounts that trade nearly only with each other and end where they began.
//!
//! The online form of R§4.2 D1: for the largest counterparties of an account, what was traded and what is left of it net.
//! *Mean net* is an average over trades of what the pair was apart after each, not the net of one moment: a walk passes
//! zero often, a wash stays there. Both accounts must be nearly exclusive, which no maker of an open book is.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::QuoteMicros;

use super::features::{Fading, HalfLife, WHOLE_PPM, share_ppm};

/// R§4.2 D1 names windows of an hour, a day and a week; this is the first.
pub const FADES: HalfLife = HalfLife::of_ms(60 * 60 * 1_000);

/// Share of each one's trading that is with the other \[D\].
pub const EXCLUSIVE_PPM: u32 = 800_000;
/// Mean net below a hundredth of gross (R§4.2 D1: 1 %).
pub const NET_PART: u64 = 100;
/// Weight of the last trade in the mean net, 2⁻⁴.
const NET_SHIFT: u32 = 4;
/// Counterparties that a row keeps.
const OTHERS: usize = 3;

/// What an account traded with whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Wash {
    /// With everybody, micro-quote.
    gross: u64,
    others: [Pair; OTHERS],
}

/// What an account traded with one other, in micro-quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Pair {
    other: u32,
    gross: u64,
    /// Bought less sold.
    net: i64,
    /// Mean of the size of `net` over the last trades.
    mean_net: u64,
}

/// Why a pair is taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WashFigures {
    /// Traded between them, faded.
    pub gross: QuoteMicros,
    /// What they were apart after each trade, on average.
    pub mean_net: QuoteMicros,
    /// The smaller share of either one's trading that is with the other.
    pub exclusive_ppm: u32,
}

impl Wash {
    /// Lets time pass.
    pub fn fade(&mut self, fading: Fading) {
        if fading.is_still() {
            return;
        }
        self.gross = fading.of(self.gross);
        for pair in &mut self.others {
            pair.gross = fading.of(pair.gross);
            pair.net = fading.of_signed(pair.net);
            pair.mean_net = fading.of(pair.mean_net);
        }
    }

    /// Takes in a trade: what the account bought from the other, negative for what it sold. A counterparty that is not kept
    /// takes the place of the smallest.
    pub fn note(&mut self, other: u32, bought: i64) {
        let size = bought.unsigned_abs();
        self.gross = self.gross.saturating_add(size);
        let known = self.others.iter().position(|pair| pair.other == other && pair.gross > 0);
        let smallest = || self.others.iter().enumerate().min_by_key(|(_, pair)| pair.gross).map(|(place, _)| place);
        let Some(pair) = known.or_else(smallest).and_then(|place| self.others.get_mut(place)) else { return };
        if known.is_none() {
            *pair = Pair { other, gross: size, net: bought, mean_net: size };
            return;
        }
        pair.gross = pair.gross.saturating_add(size);
        pair.net = pair.net.saturating_add(bought);
        let kept = pair.mean_net.saturating_sub(pair.mean_net >> NET_SHIFT);
        pair.mean_net = kept.saturating_add(pair.net.unsigned_abs() >> NET_SHIFT);
    }

    /// What was traded with another.
    #[must_use]
    pub fn pair(&self, other: u32) -> Option<&Pair> {
        self.others.iter().find(|pair| pair.other == other && pair.gross > 0)
    }

    /// Whether nothing is left to tell.
    #[must_use]
    pub const fn is_faded(&self) -> bool {
        self.gross == 0
    }

    /// Adds the trading of an account that turns out to be the same one. What the two traded with each other goes.
    pub fn absorb(&mut self, gone: &Self, kept_account: u32, gone_account: u32) {
        let between = gone.pair(kept_account).map_or(0, |pair| pair.gross);
        self.gross = self.gross.saturating_add(gone.gross).saturating_sub(between.saturating_mul(2));
        for pair in self.others.iter_mut().filter(|pair| pair.other == gone_account) {
            *pair = Pair::default();
        }
        for pair in gone.others.iter().filter(|pair| pair.other != kept_account && pair.gross > 0) {
            match self.others.iter_mut().find(|own| own.other == pair.other && own.gross > 0) {
                Some(own) => {
                    own.gross = own.gross.saturating_add(pair.gross);
                    own.net = own.net.saturating_add(pair.net);
                    own.mean_net = own.mean_net.saturating_add(pair.mean_net);
                }
                None => {
                    if let Some(own) =
                        self.others.iter_mut().min_by_key(|own| own.gross).filter(|own| own.gross < pair.gross)
                    {
                        *own = *pair;
                    }
                }
            }
        }
    }
}

/// How far two accounts are towards a wash, in parts per million of all thresholds at once, and why. Both have been brought
/// up to date.
#[must_use]
pub fn judge(first: (u32, &Wash), second: (u32, &Wash), gross_min: QuoteMicros) -> Option<(u32, WashFigures)> {
    let (pair, back) = (first.1.pair(second.0)?, second.1.pair(first.0)?);
    let gross = pair.gross.min(back.gross);
    let mean_net = pair.mean_net.max(back.mean_net);
    let exclusive_ppm = share_ppm(gross, first.1.gross.max(second.1.gross)).min(WHOLE_PPM);
    let score = share_ppm(gross, gross_min.micros().unsigned_abs())
        .min(share_ppm(u64::from(exclusive_ppm), u64::from(EXCLUSIVE_PPM)))
        .min(share_ppm(gross.div_euclid(NET_PART), mean_net.max(1)));
    let quote = |micros: u64| QuoteMicros::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
    Some((score, WashFigures { gross: quote(gross), mean_net: quote(mean_net), exclusive_ppm }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: u32 = 1;
    const B: u32 = 2;
    const GROSS_MIN: QuoteMicros = casemate_protocol::conduct::ConductRules::STARTING.wash_gross_min;
    const THOUSAND: i64 = 1_000_000_000;

    /// Trades of two accounts: what the first buys from the second.
    fn traded(first: &mut (u32, Wash), second: &mut (u32, Wash), bought: i64) {
        first.1.note(second.0, bought);
        second.1.note(first.0, -bought);
    }

    fn score(first: &(u32, Wash), second: &(u32, Wash)) -> u32 {
        judge((first.0, &first.1), (second.0, &second.1), GROSS_MIN).map_or(0, |(score, _)| score)
    }

    fn two() -> ((u32, Wash), (u32, Wash)) {
        ((A, Wash::default()), (B, Wash::default()))
    }

    #[test]
    fn two_who_pass_the_same_lots_to_and_fro_are_caught() {
        let (mut a, mut b) = two();
        for round in 0..120 {
            traded(&mut a, &mut b, if round % 2 == 0 { THOUSAND } else { -THOUSAND });
        }
        assert!(score(&a, &b) >= WHOLE_PPM, "{a:?}");
    }

    /// The benign twin: a maker and a customer who trade as often, but the maker serves others too.
    #[test]
    fn a_maker_and_its_most_faithful_customer_are_not() {
        let (mut maker, mut customer) = two();
        for round in 0..120 {
            traded(&mut maker, &mut customer, if round % 2 == 0 { THOUSAND } else { -THOUSAND });
            maker.1.note(10 + round % 2, THOUSAND);
        }
        assert!(score(&maker, &customer) < WHOLE_PPM);
    }

    /// The benign twin: two unrelated accounts who happen to be the only ones there. Whoever is apart from the other for a
    /// while is not washing, however often both sides come out even.
    #[test]
    fn two_strangers_who_trade_often_are_not() {
        let (mut a, mut b) = two();
        let mut state = 7u64;
        let mut most = 0;
        for _ in 0..400 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            traded(&mut a, &mut b, if state >> 63 == 0 { THOUSAND } else { -THOUSAND });
            most = most.max(score(&a, &b));
        }
        assert!(most < WHOLE_PPM, "{most}");
    }

    /// A hedger flips rarely and holds what it bought.
    #[test]
    fn a_hedger_who_flips_is_not() {
        let (mut a, mut b) = two();
        for round in 0..40 {
            let side = if round / 5 % 2 == 0 { 1 } else { -1 };
            traded(&mut a, &mut b, side * THOUSAND);
        }
        assert!(score(&a, &b) < WHOLE_PPM);
    }

    /// The obvious model: all trades kept, every sum worked out anew.
    fn judged_slowly(trades: &[i64]) -> (u64, u64, i64) {
        let gross = trades.iter().map(|bought| bought.unsigned_abs()).sum();
        let mut net = 0i64;
        let mut mean: Option<u64> = None;
        for bought in trades {
            net += bought;
            let size = net.unsigned_abs();
            mean = Some(mean.map_or(size, |mean| mean - mean / 16 + size / 16));
        }
        (gross, mean.unwrap_or(0), net)
    }

    proptest! {
        #[test]
        fn prop_sums_are_those_of_the_model(trades in proptest::collection::vec(-THOUSAND..THOUSAND, 1..200)) {
            let trades: Vec<i64> = trades.into_iter().filter(|bought| *bought != 0).collect();
            let (mut a, mut b) = two();
            trades.iter().for_each(|bought| traded(&mut a, &mut b, *bought));
            if let Some(pair) = a.1.pair(B) {
                prop_assert_eq!((pair.gross, pair.mean_net, pair.net), judged_slowly(&trades));
            }
        }

        /// More of the same is no less suspicious, and time lets all of it go.
        #[test]
        fn prop_more_rounds_score_no_less_and_fade(rounds in 1u32..300, more in 0u32..100, size in 1i64..THOUSAND) {
            let run = |rounds: u32| {
                let (mut a, mut b) = two();
                for _ in 0..rounds {
                    traded(&mut a, &mut b, size);
                    traded(&mut a, &mut b, -size);
                }
                (a, b)
            };
            let (mut a, mut b) = run(rounds);
            let (more_a, more_b) = run(rounds + more);
            prop_assert!(score(&a, &b) <= score(&more_a, &more_b));
            let long = FADES.fading(casemate_protocol::TimeMs::ZERO, casemate_protocol::TimeMs::from_ms(80 * 3_600_000));
            a.1.fade(long);
            b.1.fade(long);
            prop_assert_eq!(a.1.gross, 0);
            prop_assert_eq!(score(&a, &b), 0);
        }

        #[test]
        fn prop_trading_with_others_as_well_scores_no_more(rounds in 1u32..200, others in 0u32..200) {
            let (mut a, mut b) = two();
            for _ in 0..rounds {
                traded(&mut a, &mut b, THOUSAND);
                traded(&mut a, &mut b, -THOUSAND);
            }
            let before = score(&a, &b);
            for _ in 0..others {
                a.1.note(9, THOUSAND);
            }
            prop_assert!(score(&a, &b) <= before);
        }
    }
}
