//! D8, accounts that act together: money of the same origin, and opposite positions of the same size opened within minutes
//! (the signature of JELLY and of Mango, R§2).
//!
//! Each gives weight to an inferred link, and only both together reach what a link is acted on at. Opposite positions are
//! opened all day by strangers, so they count between accounts that share an origin and between no others; an origin that
//! four accounts or more came from is a venue's purse and says nothing.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{AccountId, Digest, DurationMs, QuoteMicros, Side, TimeMs};

use super::observation::{leading, short};

/// Deposits of the same origin within this (R§4.2 D8: 24 h).
pub const FUNDED_WITHIN: DurationMs = DurationMs::from_ms(24 * 60 * 60 * 1_000);
/// Opposite positions within this (R§4.2 D8: 5 min).
pub const OPENED_WITHIN: DurationMs = DurationMs::from_ms(5 * 60 * 1_000);
/// Sizes of opposite positions are equal to within a tenth \[D\].
pub const SIZE_PART: u64 = 10;
/// Weight of a common origin \[D\].
pub const ORIGIN_PPM: u32 = 500_000;
/// More if both came with about the same amount, to within a factor of two (R§4.2 D8: same deposit size class).
pub const SAME_CLASS_PPM: u32 = 250_000;
/// Weight of opposite positions \[D\].
pub const OPPOSED_PPM: u32 = 500_000;
/// An origin of so many accounts is a venue's.
pub const PUBLIC_ORIGIN: usize = 4;

const DEPOSITS: usize = 32;
const OPENINGS: usize = 8;

/// The last deposits of all accounts, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Funding {
    last: [Deposit; DEPOSITS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Deposit {
    account: u32,
    source: u64,
    /// Bits of the amount.
    class: u8,
    at: TimeMs,
}

/// The last positions opened in a market, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Openings {
    last: [Opening; OPENINGS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Opening {
    account: u32,
    is_long: bool,
    lots: u64,
    at: TimeMs,
}

impl Funding {
    /// Takes in a deposit. Gives accounts that money of the same origin came to within a day, with the weight for each.
    pub fn note(
        &mut self,
        account: AccountId,
        source: &Digest,
        amount: QuoteMicros,
        now: TimeMs,
    ) -> Vec<(AccountId, u32)> {
        let source = leading(source);
        let class = amount.micros().unsigned_abs().checked_ilog2().unwrap_or(0);
        let found = Deposit { account: short(account), source, class: u8::try_from(class).unwrap_or(u8::MAX), at: now };
        let before = self.last;
        self.last.rotate_left(1);
        if let Some(last) = self.last.last_mut() {
            *last = found;
        }
        let of_origin = |deposit: &&Deposit| {
            deposit.account != 0 && deposit.source == source && now.since(deposit.at) <= FUNDED_WITHIN
        };
        let mut others: Vec<&Deposit> =
            before.iter().filter(of_origin).filter(|deposit| deposit.account != found.account).collect();
        others.sort_by_key(|deposit| deposit.account);
        others.dedup_by_key(|deposit| deposit.account);
        if others.len().saturating_add(1) >= PUBLIC_ORIGIN {
            return Vec::new();
        }
        let worth = |other: &Deposit| if other.class.abs_diff(found.class) <= 1 { SAME_CLASS_PPM } else { 0 };
        let weighed = |other: &Deposit| (AccountId::new(other.account.into()), ORIGIN_PPM.saturating_add(worth(other)));
        others.into_iter().map(weighed).collect()
    }
}

impl Openings {
    /// Takes in a position that was opened. Gives accounts that opened the opposite one of the same size within minutes.
    pub fn note(&mut self, account: AccountId, side: Side, lots: u64, now: TimeMs) -> Vec<AccountId> {
        let found = Opening { account: short(account), is_long: side == Side::Bid, lots, at: now };
        let is_opposed = |other: &&Opening| {
            other.account != 0
                && other.account != found.account
                && other.is_long != found.is_long
                && now.since(other.at) <= OPENED_WITHIN
                && other.lots.abs_diff(lots).saturating_mul(SIZE_PART) <= lots
        };
        let opposed: Vec<_> =
            self.last.iter().filter(is_opposed).map(|other| AccountId::new(other.account.into())).collect();
        // Fills of one order are one position.
        match self.last.last_mut().filter(|last| last.account == found.account && last.is_long == found.is_long) {
            Some(last) => {
                last.lots = last.lots.saturating_add(lots);
                last.at = now;
            }
            None => {
                self.last.rotate_left(1);
                if let Some(last) = self.last.last_mut() {
                    *last = found;
                }
            }
        }
        opposed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conduct::clusters::{Clusters, LINK_PPM};

    const HOUR: u64 = 3_600_000;

    fn id(number: u64) -> AccountId {
        AccountId::new(number)
    }

    fn origin(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn deposit(funding: &mut Funding, account: u64, source: u8, micros: i64, hour: u64) -> Vec<(AccountId, u32)> {
        funding.note(id(account), &origin(source), QuoteMicros::from_micros(micros), TimeMs::from_ms(hour * HOUR))
    }

    #[test]
    fn a_common_origin_and_opposite_positions_make_a_link() {
        let (mut funding, mut openings, mut clusters) = (Funding::default(), Openings::default(), Clusters::default());
        let now = TimeMs::from_ms(3 * HOUR);
        assert_eq!(deposit(&mut funding, 1, 7, 1_000, 1), []);
        for (other, worth) in deposit(&mut funding, 2, 7, 1_100, 2) {
            clusters.infer(other, id(2), worth, now);
        }
        assert!(clusters.link_ppm(id(1), id(2), now) < LINK_PPM);
        assert_eq!(openings.note(id(1), Side::Bid, 100, now), []);
        for other in openings.note(id(2), Side::Ask, 104, TimeMs::from_ms(3 * HOUR + 60_000)) {
            clusters.infer(other, id(2), OPPOSED_PPM, now);
        }
        assert!(clusters.link_ppm(id(1), id(2), now) >= LINK_PPM);
    }

    #[test]
    fn money_from_a_venue_says_nothing() {
        let mut funding = Funding::default();
        let found: Vec<usize> = (1..=6).map(|account| deposit(&mut funding, account, 7, 1_000, 1).len()).collect();
        assert_eq!(found, [0, 1, 2, 0, 0, 0]);
    }

    #[test]
    fn other_origins_other_days_and_oneself_say_nothing() {
        let mut funding = Funding::default();
        assert_eq!(deposit(&mut funding, 1, 7, 1_000, 1), []);
        assert_eq!(deposit(&mut funding, 2, 8, 1_000, 1), []);
        assert_eq!(deposit(&mut funding, 1, 7, 1_000, 2), []);
        assert_eq!(deposit(&mut funding, 3, 7, 1_000, 27), []);
    }

    #[test]
    fn the_same_side_another_size_or_later_is_no_opposition() {
        let now = TimeMs::from_ms(HOUR);
        let found = |side, lots, later| {
            let mut openings = Openings::default();
            openings.note(id(1), Side::Bid, 100, now);
            openings.note(id(2), side, lots, TimeMs::from_ms(HOUR + later)).len()
        };
        assert_eq!([found(Side::Ask, 100, 0), found(Side::Bid, 100, 0)], [1, 0]);
        assert_eq!([found(Side::Ask, 120, 0), found(Side::Ask, 100, OPENED_WITHIN.ms() + 1)], [0, 0]);
    }

    proptest! {
        /// Weights are bounded and symmetric in who came first.
        #[test]
        fn prop_what_links_two_does_not_depend_on_who_came_first(first in 1i64..1_000_000_000, second in 1i64..1_000_000_000) {
            let worth = |one, two| {
                let mut funding = Funding::default();
                deposit(&mut funding, 1, 7, one, 1);
                deposit(&mut funding, 2, 7, two, 1).first().map(|(_, worth)| *worth)
            };
            prop_assert_eq!(worth(first, second), worth(second, first));
            prop_assert!(worth(first, second).is_some_and(|worth| worth < LINK_PPM));
        }
    }
}
