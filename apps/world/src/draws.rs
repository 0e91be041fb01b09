//! Seeded draws: a value depends on the seed, what it is for, and where in the world it stands, and on nothing drawn
//! before it elsewhere. So any second can be recomputed alone.

use casemate_protocol::hash::{self, Domain};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::MICROS;

/// What a world is drawn from. The same seed gives the same world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed that a user names by a number.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(hash::digest(Domain::Development, &[b"world", &number.to_le_bytes()]).0)
    }
}

/// The draws of one place in the world.
pub(crate) struct Draws(ChaCha20Rng);

impl Draws {
    /// `purpose` has eight bytes always, so that no purpose with its places reads like another.
    pub(crate) fn new(seed: &Seed, purpose: &[u8; 8], places: &[u64]) -> Self {
        let mut bytes = Vec::with_capacity(8 * places.len());
        places.iter().for_each(|place| bytes.extend(place.to_le_bytes()));
        Self(ChaCha20Rng::from_seed(hash::digest(Domain::Development, &[purpose, &seed.0, &bytes]).0))
    }

    /// Uniform in `0..bound`; 0 for a bound of 0. The bias is below 2⁻⁶⁴ × bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.0.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// Uniform in `low..=high`, and `low` where `high` is below it.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True with a probability in parts per million; always from a million on.
    pub(crate) fn happens_ppm(&mut self, probability_ppm: u64) -> bool {
        self.below(MICROS) < probability_ppm
    }

    /// A value whose quantiles are the table's, linear between them.
    pub(crate) fn quantile(&mut self, table: &QuantileTable) -> u64 {
        quantile_at(table, self.place())
    }

    /// Where in a distribution a draw falls, for [`quantile_at`] and [`heavy_quantile_at`]; uniform.
    pub(crate) fn place(&mut self) -> Place {
        Place(self.below((QUANTILES - 1) as u64 * PLACES_BETWEEN))
    }
}

/// A part of a distribution's values, in steps of a sixteenth over [`PLACES_BETWEEN`].
#[derive(Clone, Copy)]
pub(crate) struct Place(u64);

const PLACES_BETWEEN: u64 = 1 << 16;

/// The value at a place, linear between points; the same place in two tables is the same rank in both.
pub(crate) fn quantile_at(table: &QuantileTable, Place(place): Place) -> u64 {
    between_points(table, place / PLACES_BETWEEN, place % PLACES_BETWEEN)
}

/// As [`quantile_at`], but quadratic in the last sixteenth: for a value whose maximum is far out, and most of whose tail
/// is near its start.
pub(crate) fn heavy_quantile_at(table: &QuantileTable, Place(place): Place) -> u64 {
    let (index, fraction) = (place / PLACES_BETWEEN, place % PLACES_BETWEEN);
    let is_last = index as usize + 2 == QUANTILES;
    between_points(table, index, if is_last { fraction * fraction / PLACES_BETWEEN } else { fraction })
}

fn between_points(table: &QuantileTable, index: u64, fraction: u64) -> u64 {
    let (low, high) = (table[index as usize], table[index as usize + 1]);
    low + (high - low) * fraction / PLACES_BETWEEN
}

/// Points of a quantile table: minimum, fifteen sixteenths between, maximum.
pub(crate) const QUANTILES: usize = 17;

/// Values at the sixteenths of a distribution, not falling.
pub(crate) type QuantileTable = [u64; QUANTILES];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_purpose_and_place() {
        let first = |seed, purpose, places: &[u64]| Draws::new(&Seed::from_number(seed), purpose, places).0.next_u64();
        let one = first(1, b"purpose1", &[1, 2]);
        assert_eq!(one, first(1, b"purpose1", &[1, 2]));
        let others = [first(2, b"purpose1", &[1, 2]), first(1, b"purpose2", &[1, 2]), first(1, b"purpose1", &[2, 1])];
        assert!(!others.contains(&one));
    }

    #[test]
    fn draws_stay_in_their_bounds_and_reach_both_ends() {
        let mut draws = Draws::new(&Seed::from_number(3), b"boundary", &[]);
        let drawn: Vec<u64> = (0..1_000).map(|_| draws.between(5, 9)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&5), Some(&9)));
        assert_eq!(draws.below(0), 0);
        assert_eq!(draws.between(7, 7), 7);
        assert_eq!(draws.between(0, u64::MAX - 1).checked_add(1).map(|_| ()), Some(()));
        assert!(!draws.happens_ppm(0) && draws.happens_ppm(MICROS));
    }

    #[test]
    fn quantiles_of_many_draws_are_those_of_the_table() {
        let mut table = [0; QUANTILES];
        for (index, value) in table.iter_mut().enumerate() {
            *value = (index * index * 1_000) as u64;
        }
        let mut draws = Draws::new(&Seed::from_number(4), b"quantile", &[]);
        let mut drawn: Vec<u64> = (0..40_000).map(|_| draws.quantile(&table)).collect();
        drawn.sort_unstable();
        for index in 1..QUANTILES - 1 {
            let found = drawn[drawn.len() * index / (QUANTILES - 1)];
            assert!(found.abs_diff(table[index]) <= 1_000 + table[index] / 20, "{index}: {found} for {}", table[index]);
        }
    }

    #[test]
    fn a_heavy_tail_differs_in_the_last_sixteenth_alone() {
        let mut table = [0; QUANTILES];
        table[QUANTILES - 2] = 100;
        table[QUANTILES - 1] = 500;
        let both = |sixteenth: u64, quarters: u64| {
            let place = || Place(sixteenth * PLACES_BETWEEN + quarters * PLACES_BETWEEN / 4);
            (quantile_at(&table, place()), heavy_quantile_at(&table, place()))
        };
        assert_eq!((both(14, 2), both(15, 0), both(15, 2)), ((50, 50), (100, 100), (300, 200)));
        assert_eq!(both(15, 3), (400, 325));
    }
}
