//! Clusters: which accounts act as one.
//!
//! A cluster grows only by *acts of both sides*, and only that may ever change margin or matching: nobody can pull another in.
//! *Inferred* links are kept apart: they fade, they can be contested, and they do no more than raise bands.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{AccountId, TimeMs};

use super::features::{HalfLife, WHOLE_PPM};

/// How fast an inferred link fades \[D\].
pub const LINK_FADES: HalfLife = HalfLife::of_ms(7 * 24 * 60 * 60 * 1_000);
/// From this weight a link is acted on.
pub const LINK_PPM: u32 = WHOLE_PPM;
/// The most that a link weighs: what it takes, twice.
pub const LINK_PPM_MAX: u32 = 2 * WHOLE_PPM;
/// Inferred links of one account.
pub const LINKS_MAX: usize = 8;
/// Declarations of one account that wait for their other side.
pub const DECLARATIONS_MAX: usize = 8;

/// An act of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SharedAct {
    /// One root key or credential stands behind both: they show the same nullifier.
    Nullifier = 1,
    /// One sent money to the other, who accepted it.
    Transfer = 2,
    /// Each declared the other.
    Declared = 3,
}

/// An account's place in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Place {
    /// The account above it; itself at the top.
    above: AccountId,
    /// Accounts below the top, itself included; of the top alone.
    size: u32,
}

/// Two clusters that became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Joined {
    /// Speaks for all of them.
    pub kept: AccountId,
    /// No longer speaks for its own.
    pub gone: AccountId,
    /// What they did.
    pub by: SharedAct,
}

/// A link that was inferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Link {
    weight_ppm: u32,
    at: TimeMs,
}

/// Clusters and inferred links of all accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Clusters {
    /// Accounts that are in one; all others stand for themselves.
    places: BTreeMap<AccountId, Place>,
    /// Who declared whom, and waits for the answer.
    declared: BTreeSet<(AccountId, AccountId)>,
    /// Both ways.
    links: BTreeMap<(AccountId, AccountId), Link>,
}

impl Clusters {
    /// The account that speaks for a cluster.
    ///
    /// The smaller cluster always goes below the larger one, so the way up has at most as many steps as a count of accounts
    /// has bits, and reading writes nothing.
    #[must_use]
    pub fn representative(&self, account: AccountId) -> AccountId {
        let mut top = account;
        for _ in 0..u64::BITS {
            match self.places.get(&top) {
                Some(place) if place.above != top => top = place.above,
                _ => return top,
            }
        }
        top
    }

    /// Whether two accounts act as one.
    #[must_use]
    pub fn are_one(&self, first: AccountId, second: AccountId) -> bool {
        self.representative(first) == self.representative(second)
    }

    /// Accounts of a cluster, by the account that speaks for it.
    #[must_use]
    pub fn size(&self, representative: AccountId) -> u32 {
        self.places.get(&representative).map_or(1, |place| place.size)
    }

    /// Takes in an act of both sides. Nothing if they are one already. Of two clusters of the same size, the smaller number
    /// speaks.
    pub fn join(&mut self, first: AccountId, second: AccountId, by: SharedAct) -> Option<Joined> {
        let (one, two) = (self.representative(first), self.representative(second));
        if one == two {
            return None;
        }
        let (size_one, size_two) = (self.size(one), self.size(two));
        let one_stays = size_one > size_two || size_one == size_two && one < two;
        let (kept, gone) = if one_stays { (one, two) } else { (two, one) };
        self.places.insert(kept, Place { above: kept, size: size_one.saturating_add(size_two) });
        self.places.insert(gone, Place { above: kept, size: 0 });
        // What was inferred about them is known now.
        self.unlink(first, second);
        Some(Joined { kept, gone, by })
    }

    /// One side declares that the other belongs to it. It counts when the other does the same; until then nothing changes.
    pub fn declare(&mut self, from: AccountId, to: AccountId) -> Option<Joined> {
        if from == to {
            return None;
        }
        if self.declared.remove(&(to, from)) {
            return self.join(from, to, SharedAct::Declared);
        }
        let waiting = self.declared.range((from, AccountId::NONE)..=(from, AccountId::new(u64::MAX))).count();
        if waiting < DECLARATIONS_MAX {
            self.declared.insert((from, to));
        }
        None
    }

    /// Adds to the weight of an inferred link. Where one of the two has as many links as it may, the lightest of them goes if
    /// it is lighter.
    pub fn infer(&mut self, first: AccountId, second: AccountId, worth_ppm: u32, now: TimeMs) {
        if self.are_one(first, second) || worth_ppm == 0 {
            return;
        }
        let known = self.links.get(&(first, second)).copied();
        if known.is_none() && !(self.has_room(first, worth_ppm, now) && self.has_room(second, worth_ppm, now)) {
            return;
        }
        let mut link = known.unwrap_or_default();
        link.weight_ppm = link.weight_at(now).saturating_add(worth_ppm).min(LINK_PPM_MAX);
        link.at = now;
        self.links.insert((first, second), link);
        self.links.insert((second, first), link);
    }

    /// The weight of a link now.
    #[must_use]
    pub fn link_ppm(&self, first: AccountId, second: AccountId, now: TimeMs) -> u32 {
        self.links.get(&(first, second)).map_or(0, |link| link.weight_at(now))
    }

    /// Whether anything at all is inferred about an account.
    #[must_use]
    pub fn has_links(&self, account: AccountId) -> bool {
        self.links.range((account, AccountId::NONE)..=(account, AccountId::new(u64::MAX))).next().is_some()
    }

    /// Accounts that an account seems to be one with, at most [`LINKS_MAX`].
    pub fn linked(&self, account: AccountId, now: TimeMs) -> impl Iterator<Item = AccountId> {
        let links = self.links.range((account, AccountId::NONE)..=(account, AccountId::new(u64::MAX)));
        links.filter(move |(_, link)| link.weight_at(now) >= LINK_PPM).map(|((_, other), _)| *other)
    }

    /// An account contests all its links: what was inferred is dropped, for both sides.
    pub fn contest(&mut self, account: AccountId) {
        for other in self.others(account) {
            self.unlink(account, other);
        }
    }

    fn has_room(&mut self, account: AccountId, worth_ppm: u32, now: TimeMs) -> bool {
        let links = self.links.range((account, AccountId::NONE)..=(account, AccountId::new(u64::MAX)));
        let weights: Vec<_> = links.map(|((_, other), link)| (link.weight_at(now), *other)).collect();
        if weights.len() < LINKS_MAX {
            return true;
        }
        match weights.into_iter().min() {
            Some((weight, other)) if weight < worth_ppm => {
                self.unlink(account, other);
                true
            }
            _ => false,
        }
    }

    fn others(&self, account: AccountId) -> Vec<AccountId> {
        let links = self.links.range((account, AccountId::NONE)..=(account, AccountId::new(u64::MAX)));
        links.map(|((_, other), _)| *other).collect()
    }

    fn unlink(&mut self, first: AccountId, second: AccountId) {
        self.links.remove(&(first, second));
        self.links.remove(&(second, first));
    }
}

impl Link {
    fn weight_at(&self, now: TimeMs) -> u32 {
        LINK_FADES.fading(self.at, now).of_small(self.weight_ppm)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u64) -> AccountId {
        AccountId::new(number)
    }

    fn at(ms: u64) -> TimeMs {
        TimeMs::from_ms(ms)
    }

    #[test]
    fn a_declaration_of_one_side_changes_nothing() {
        let mut clusters = Clusters::default();
        assert_eq!(clusters.declare(id(1), id(2)), None);
        assert_eq!(clusters.declare(id(1), id(2)), None);
        assert!(!clusters.are_one(id(1), id(2)));
        let joined = clusters.declare(id(2), id(1));
        assert_eq!(joined, Some(Joined { kept: id(1), gone: id(2), by: SharedAct::Declared }));
        assert_eq!(clusters.declare(id(1), id(1)), None);
    }

    #[test]
    fn declarations_that_nobody_answers_are_bounded() {
        let mut clusters = Clusters::default();
        (2..1_000).for_each(|other| assert_eq!(clusters.declare(id(1), id(other)), None));
        assert_eq!(clusters.declared.len(), DECLARATIONS_MAX);
    }

    #[test]
    fn an_inferred_link_makes_no_cluster_fades_and_goes_when_contested() {
        let mut clusters = Clusters::default();
        clusters.infer(id(1), id(2), WHOLE_PPM, at(1));
        assert!(!clusters.are_one(id(1), id(2)));
        assert_eq!(clusters.linked(id(2), at(1)).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(clusters.linked(id(2), at(8 * 86_400_000)).count(), 0, "it has faded");
        assert!(clusters.has_links(id(1)) && !clusters.has_links(id(3)));
        clusters.contest(id(1));
        assert_eq!(clusters.linked(id(2), at(1)).count(), 0);
        assert!(!clusters.has_links(id(1)) && !clusters.has_links(id(2)));
        clusters.infer(id(1), id(2), WHOLE_PPM, at(1));
        assert_eq!(clusters.linked(id(2), at(1)).count(), 1, "what is seen anew counts");
    }

    #[test]
    fn links_of_an_account_are_bounded_and_the_lightest_goes() {
        let mut clusters = Clusters::default();
        (2..200).for_each(|other| clusters.infer(id(1), id(other), 400_000 + u32::try_from(other).unwrap(), at(1)));
        assert_eq!(clusters.others(id(1)).len(), LINKS_MAX);
        assert!(clusters.link_ppm(id(1), id(199), at(1)) > 0);
    }

    proptest! {
        /// The obvious model: a list of sets.
        #[test]
        fn prop_clusters_are_those_of_the_model(joins in proptest::collection::vec((1u64..40, 1u64..40), 0..60)) {
            let mut clusters = Clusters::default();
            let mut sets: Vec<BTreeSet<u64>> = (1..40).map(|number| BTreeSet::from([number])).collect();
            for (first, second) in joins {
                let joined = clusters.join(id(first), id(second), SharedAct::Transfer);
                let of = |sets: &[BTreeSet<u64>], number| sets.iter().position(|set| set.contains(&number)).unwrap();
                let (one, two) = (of(&sets, first), of(&sets, second));
                prop_assert_eq!(joined.is_some(), one != two);
                if one != two {
                    let gone = sets[two].clone();
                    sets[one].extend(gone);
                    sets.remove(two);
                }
            }
            for set in &sets {
                let tops: BTreeSet<_> = set.iter().map(|number| clusters.representative(id(*number))).collect();
                prop_assert_eq!(tops.len(), 1);
                let top = tops.into_iter().next().unwrap();
                prop_assert!(set.contains(&top.number()));
                prop_assert_eq!(usize::try_from(clusters.size(top)).unwrap(), set.len());
            }
        }

        #[test]
        fn prop_links_only_fade(worths in proptest::collection::vec(0u32..900_000, 1..12), wait in 0u64..100 * 86_400_000) {
            let mut clusters = Clusters::default();
            worths.iter().for_each(|worth| clusters.infer(id(1), id(2), *worth, at(1)));
            let before = clusters.link_ppm(id(1), id(2), at(1));
            prop_assert!(before <= LINK_PPM_MAX);
            prop_assert!(clusters.link_ppm(id(2), id(1), at(1 + wait)) <= before);
        }
    }
}
