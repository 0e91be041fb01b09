//! D9, account takeover (R§2 S18): money asked to leave to a new address soon after a key changed; and a key that trades
//! against its owner at bad prices.
//!
//! What only an edge sees (addresses of the network, client versions) is not here. Hours, markets and sizes of an account's
//! own past are.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{DurationMs, MarketId, QuoteMicros, RatioPpm, Side, TimeMs};

use super::features::{Baseline, HalfLife, Scale, WHOLE_PPM, share_ppm};
use super::observation::{LeaveAsked, Traded};

/// A key is new for so long (R§4.2 D9: 24 h).
pub const KEY_IS_NEW: DurationMs = DurationMs::from_ms(24 * 60 * 60 * 1_000);
/// Who changes keys more often than this has no new key when he does it again \[D\]: session keys come and go all day.
pub const KEY_IS_RARE: DurationMs = DurationMs::from_ms(7 * 24 * 60 * 60 * 1_000);
/// Addresses that money left to, the last ones.
const ADDRESSES: usize = 4;
/// Points of a new key, a new address, and a high value: only all three make a whole (R§4.2 D9).
const KEY_PPM: u32 = 350_000;
const ADDRESS_PPM: u32 = 300_000;
const VALUE_PPM: u32 = 350_000;
/// Points of an hour of the day, or a market, in which the account never acted before.
const HOUR_PPM: u32 = 100_000;
const MARKET_PPM: u32 = 100_000;
/// A value is high from this share of what the account has \[D\].
pub const HIGH_PPM: u32 = 250_000;
/// Commands before the account's own past says anything \[D\].
const PAST_MIN: u32 = 64;

/// What was lost against the index fades like this \[D\]: it is a loss of the same hour that a damage test adds up.
pub const LOST_FADES: HalfLife = HalfLife::of_ms(60 * 60 * 1_000);
/// Losses deviate by at least 0.05 %, and an account may begin with 0.3 % \[D\].
const LOSSES: Scale = Scale { deviation_min: 500, first_max: 3_000 };
/// Cumulative excess of losses, in thousandths of a deviation (R§4.3: h = 5; two fills at z = 6 and one of the usual).
pub const LOSS_EXCESS_MILLIS: u32 = 10_000;

/// What is usual for an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Takeover {
    /// The last change that was rare.
    key_changed: TimeMs,
    /// The last change.
    key_touched: TimeMs,
    /// Zero where there is none.
    addresses: [u64; ADDRESSES],
    /// Hours of the day in which it acted, a bit each.
    hours: u32,
    /// Markets in which it acted, by number modulo 64.
    markets: u64,
    acts: u32,
    /// Parts per million that fills were worse than the index.
    losses: Baseline,
    /// What they cost against it, faded, in micro-quote.
    lost: u64,
}

/// Why an account is taken for taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TakeoverFigures {
    /// How long ago a key changed; the largest number if never.
    pub key_age: DurationMs,
    /// Money of the account has left to the address before.
    pub is_known_address: bool,
    /// What is asked for, of what the account had.
    pub value_ppm: u32,
    /// It acted at this hour before.
    pub is_usual_hour: bool,
}

/// Why a key is taken for trading against its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LossFigures {
    /// By how much the fill was worse than the index.
    pub loss_ppm: u32,
    /// What is usual.
    pub usual_ppm: u32,
    /// Cumulative excess, in thousandths of a deviation.
    pub excess_millis: u32,
    /// Notional of the fill.
    pub notional: QuoteMicros,
}

impl Takeover {
    /// Lets time pass.
    pub fn fade(&mut self, before: TimeMs, now: TimeMs) {
        self.lost = LOST_FADES.fading(before, now).of(self.lost);
    }

    /// What fills cost against the index of late, as last faded at a moment.
    #[must_use]
    pub fn lost_at(&self, faded_at: TimeMs, now: TimeMs) -> QuoteMicros {
        let lost = LOST_FADES.fading(faded_at, now).of(self.lost);
        QuoteMicros::from_micros(i64::try_from(lost).unwrap_or(i64::MAX))
    }

    /// Takes in an act of the account.
    pub fn note_act(&mut self, market: MarketId, now: TimeMs) {
        self.hours |= hour(now);
        self.markets |= market_bit(market);
        self.acts = self.acts.saturating_add(1);
    }

    /// Takes in a change of a key.
    pub fn note_key(&mut self, now: TimeMs) {
        if self.key_touched.is_zero() || now.since(self.key_touched) >= KEY_IS_RARE {
            self.key_changed = now;
        }
        self.key_touched = now;
    }

    /// Takes in that money left to an address.
    pub fn note_address(&mut self, address: u64) {
        let place = self.addresses.iter().position(|known| *known == address);
        // The last one stands first, and the oldest goes.
        let end = place.unwrap_or(ADDRESSES.saturating_sub(1));
        if let Some(known) = self.addresses.get_mut(..=end) {
            known.rotate_right(1);
            if let Some(first) = known.first_mut() {
                *first = address;
            }
        }
    }

    /// Whether money left to an address before, as far as that is remembered.
    #[must_use]
    pub fn knows_address(&self, address: u64) -> bool {
        self.addresses.contains(&address)
    }

    /// How suspicious it is that money is asked to leave, in parts per million of a whole.
    #[must_use]
    pub fn judge_leave(&self, leave: &LeaveAsked, now: TimeMs) -> (u32, TakeoverFigures) {
        let is_key_new = !self.key_changed.is_zero() && now.since(self.key_changed) < KEY_IS_NEW;
        let size = |amount: QuoteMicros| u64::try_from(amount.micros()).unwrap_or(0);
        let value_ppm = share_ppm(size(leave.amount), size(leave.balance)).min(WHOLE_PPM);
        let is_usual_hour = self.acts < PAST_MIN || self.hours & hour(now) != 0;
        let points = [
            (is_key_new, KEY_PPM),
            (!leave.is_known_address, ADDRESS_PPM),
            (value_ppm >= HIGH_PPM, VALUE_PPM),
            (!is_usual_hour, HOUR_PPM),
        ];
        let score = points.iter().filter(|(holds, _)| *holds).map(|(_, worth)| worth).sum();
        let key_age =
            if self.key_changed.is_zero() { DurationMs::from_ms(u64::MAX) } else { now.since(self.key_changed) };
        (score, TakeoverFigures { key_age, is_known_address: leave.is_known_address, value_ppm, is_usual_hour })
    }

    /// Takes in a fill, and says how far losses against the index are beyond what is usual for the account; a new market
    /// counts for something. Nothing where there is no index.
    pub fn note_fill(
        &mut self,
        side: Side,
        trade: &Traded,
        market: MarketId,
        loss_of_fill: RatioPpm,
    ) -> Option<(u32, LossFigures)> {
        let (price, index) = (trade.price.ticks(), trade.index.ticks());
        let worse = match side {
            Side::Bid => price.saturating_sub(index),
            Side::Ask => index.saturating_sub(price),
        };
        if index == 0 {
            return None;
        }
        let loss_ppm = share_ppm(worse, index).min(WHOLE_PPM);
        let usual_ppm = self.losses.mean();
        self.losses.note(loss_ppm, LOSSES);
        let size = u128::from(trade.notional.micros().unsigned_abs());
        let lost = size.saturating_mul(loss_ppm.into()).div_euclid(WHOLE_PPM.into());
        self.lost = self.lost.saturating_add(u64::try_from(lost).unwrap_or(u64::MAX));
        let excess_millis = self.losses.excess_millis();
        let is_new_market = self.acts >= PAST_MIN && self.markets & market_bit(market) == 0;
        let extra = if is_new_market { MARKET_PPM } else { 0 };
        let score = share_ppm(loss_ppm.into(), loss_of_fill.ppm().into())
            .min(share_ppm(excess_millis.into(), LOSS_EXCESS_MILLIS.into()).saturating_add(extra));
        Some((score, LossFigures { loss_ppm, usual_ppm, excess_millis, notional: trade.notional }))
    }
}

fn hour(now: TimeMs) -> u32 {
    let hour = now.ms().div_euclid(3_600_000).rem_euclid(24);
    1u32.checked_shl(u32::try_from(hour).unwrap_or(0)).unwrap_or(0)
}

fn market_bit(market: MarketId) -> u64 {
    1u64.checked_shl(u32::from(market.number()).rem_euclid(64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use casemate_protocol::{AccountId, OrderNumber, PriceTicks, QuantityLots, TradeNumber};
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400_000;

    fn leave(is_known_address: bool, percent: i64) -> LeaveAsked {
        LeaveAsked {
            account: AccountId::new(1),
            is_known_address,
            amount: QuoteMicros::from_micros(percent * 1_000),
            balance: QuoteMicros::from_micros(100_000),
        }
    }

    fn score(key_age_ms: u64, is_known_address: bool, percent: i64) -> u32 {
        let mut takeover = Takeover::default();
        takeover.note_key(TimeMs::from_ms(DAY));
        takeover.judge_leave(&leave(is_known_address, percent), TimeMs::from_ms(DAY + key_age_ms)).0
    }

    #[test]
    fn new_key_new_address_and_high_value_together_are_caught() {
        assert!(score(60_000, false, 80) >= WHOLE_PPM);
    }

    /// The benign twins: any two of the three.
    #[test]
    fn any_two_of_the_three_are_not() {
        assert!(score(DAY, false, 80) < WHOLE_PPM, "an old key");
        assert!(score(60_000, true, 80) < WHOLE_PPM, "an address in use");
        assert!(score(60_000, false, 5) < WHOLE_PPM, "a small sum");
        let (never, figures) = Takeover::default().judge_leave(&leave(false, 80), TimeMs::from_ms(DAY));
        assert!(never < WHOLE_PPM && figures.key_age.ms() == u64::MAX);
    }

    /// Session keys are new every day; a key after a week without one is news.
    #[test]
    fn a_key_is_new_where_keys_are_rare() {
        let mut takeover = Takeover::default();
        (0..10).for_each(|day| takeover.note_key(TimeMs::from_ms((10 + day) * DAY)));
        let score = |takeover: &Takeover, now| takeover.judge_leave(&leave(false, 80), TimeMs::from_ms(now)).0;
        assert!(score(&takeover, 19 * DAY + 1) < WHOLE_PPM);
        takeover.note_key(TimeMs::from_ms(27 * DAY));
        assert!(score(&takeover, 27 * DAY + 1) >= WHOLE_PPM);
    }

    #[test]
    fn the_last_four_addresses_are_known() {
        let mut takeover = Takeover::default();
        [1, 2, 1, 3, 4, 1, 5].into_iter().for_each(|address| takeover.note_address(address));
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(|address| takeover.knows_address(address)),
            [true, false, true, true, true, false]
        );
    }

    fn fill(takeover: &mut Takeover, price: u64) -> u32 {
        let trade = Traded {
            trade: TradeNumber::new(1),
            maker: AccountId::new(2),
            taker: AccountId::new(1),
            taker_order: OrderNumber::new(1),
            taker_side: Side::Bid,
            price: PriceTicks::from_ticks(price),
            index: PriceTicks::from_ticks(100_000),
            lots: QuantityLots::from_lots(1),
            notional: QuoteMicros::from_micros(1_000),
        };
        takeover.note_fill(Side::Bid, &trade, MarketId::new(1), RatioPpm::from_ppm(5_000)).map_or(0, |(score, _)| score)
    }

    /// S18: a leaked session key buys from the thief at two per cent above the index.
    #[test]
    fn a_key_that_pays_too_much_again_and_again_is_caught() {
        let mut takeover = Takeover::default();
        (0..100).for_each(|_| takeover.note_act(MarketId::new(1), TimeMs::from_ms(DAY)));
        let usual = (0..100).map(|round| fill(&mut takeover, 100_010 + round % 40)).max();
        assert!(usual < Some(WHOLE_PPM));
        let scores: Vec<u32> = (0..3).map(|_| fill(&mut takeover, 102_000)).collect();
        assert!(scores[0] < WHOLE_PPM && scores[1..].iter().any(|score| *score >= WHOLE_PPM), "{scores:?}");
    }

    /// The benign twin: a taker who always pays half a spread, and once pays for size.
    #[test]
    fn one_bad_fill_is_not() {
        let mut takeover = Takeover::default();
        (0..100).for_each(|_| takeover.note_act(MarketId::new(1), TimeMs::from_ms(DAY)));
        (0..100).for_each(|_| assert!(fill(&mut takeover, 100_200) < WHOLE_PPM));
        assert!(fill(&mut takeover, 103_000) < WHOLE_PPM);
    }

    proptest! {
        #[test]
        fn prop_a_younger_key_or_more_value_is_no_less_suspicious(age in 0u64..2 * DAY, older in 0u64..DAY, percent in 0i64..100, more in 0i64..100) {
            // By whole days, so that the hour of the day is the same.
            let (age, older) = (age / DAY * DAY, older / DAY * DAY);
            prop_assert!(score(age, false, percent) >= score(age + older, false, percent));
            prop_assert!(score(age, false, percent) <= score(age, false, percent + more));
            prop_assert!(score(age, true, percent) <= score(age, false, percent));
        }

        #[test]
        fn prop_a_worse_price_is_no_less_suspicious_and_good_ones_calm(price in 90_000u64..110_000, worse in 0u64..10_000) {
            let mut takeover = Takeover::default();
            (0..50).for_each(|_| { fill(&mut takeover, 100_020); });
            let mut other = takeover;
            prop_assert!(fill(&mut takeover, price) <= fill(&mut other, price + worse));
            (0..200).for_each(|_| { fill(&mut other, 100_000); });
            prop_assert_eq!(other.losses.excess_millis(), 0);
        }
    }
}
