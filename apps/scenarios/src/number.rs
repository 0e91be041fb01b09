//! Exact decimal numbers, and how a seed varies them.

use std::collections::BTreeMap;

use casemate_protocol::hash::{self, Domain};
use serde::{Deserialize, Deserializer, de};

/// A decimal number with nine places: a price, an amount of the quote asset, a quantity of the underlying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(i128);

/// Billionths in one.
const SCALE: i128 = 1_000_000_000;
/// Places after the point.
const PLACES: usize = 9;
/// Digits before the point; more than any amount, price or quantity of a venue has.
const WHOLE_DIGITS_MAX: usize = 18;

/// Numbers that a scenario names.
pub type Numbers = BTreeMap<String, Number>;

/// A seed moves a number by at most this share, up or down, in parts per million.
pub const VARIATION_PPM: u64 = 200_000;

impl Number {
    /// From whole units.
    #[must_use]
    pub const fn whole(units: i64) -> Self {
        Self(units as i128 * SCALE)
    }

    /// Reads a decimal such as `483_000_000` or `0.0382`. `None` for anything that is not one, exactly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|character| *character != '_').collect();
        let (whole, places) = digits.split_once('.').unwrap_or((&digits, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let is_fine = !whole.is_empty() && whole.len() <= WHOLE_DIGITS_MAX && places.len() <= PLACES;
        if !is_fine || !is_digits(whole) || !is_digits(places) || digits.ends_with('.') {
            return None;
        }
        let places: i128 = format!("{places:0<PLACES$}").parse().ok()?;
        Some(Self(whole.parse::<i128>().ok()? * SCALE + places))
    }

    /// In billionths.
    #[must_use]
    pub const fn nanos(self) -> i128 {
        self.0
    }

    /// In millionths, rounded down.
    #[must_use]
    pub fn micros(self) -> i64 {
        i64::try_from(self.0.div_euclid(1_000)).unwrap_or(i64::MAX)
    }

    /// Times a ratio in parts per million, rounded down; the largest or smallest number if it is beyond it.
    #[must_use]
    pub const fn scaled_ppm(self, ppm: i128) -> Self {
        Self(self.0.saturating_mul(ppm).div_euclid(1_000_000))
    }

    /// The number so many parts per million on the way to another, rounded down; the largest or smallest number if it is
    /// beyond it.
    #[must_use]
    pub const fn between(self, other: Self, way_ppm: i128) -> Self {
        let way = other.0.saturating_sub(self.0).saturating_mul(way_ppm).div_euclid(1_000_000);
        Self(self.0.saturating_add(way))
    }

    /// How often another number fits, rounded down. `None` for zero, and for more than a market can count.
    #[must_use]
    pub fn divided_by(self, other: Self) -> Option<u64> {
        u64::try_from(self.0.checked_div(other.0)?).ok()
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a whole number, or a decimal in quotes such as \"0.0382\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                if value < 0 {
                    Err(E::custom("a number of a scenario is not negative"))
                } else {
                    Ok(Number::whole(value))
                }
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Number, E> {
                Number::parse(value)
                    .ok_or_else(|| E::custom(format!("`{value}` is not a decimal with at most nine places")))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The numbers as a seed has them: seed 0 as they are stated, any other each by itself up to a fifth more or less.
#[must_use]
pub fn varied(numbers: &Numbers, scenario: &str, seed: u64) -> Numbers {
    let vary = |name: &str, number: Number| {
        if seed == 0 {
            return number;
        }
        let parts: [&[u8]; 4] = [b"scenario number", scenario.as_bytes(), name.as_bytes(), &seed.to_le_bytes()];
        let digest = hash::digest(Domain::Development, &parts).0;
        let drawn = digest.iter().take(8).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let ppm = 1_000_000 - VARIATION_PPM + drawn % (2 * VARIATION_PPM + 1);
        number.scaled_ppm(i128::from(ppm))
    };
    numbers.iter().map(|(name, number)| (name.clone(), vary(name, *number))).collect()
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = format!("{:09}", self.0.rem_euclid(SCALE));
        let places = places.trim_end_matches('0');
        write!(formatter, "{}{}{places}", self.0.div_euclid(SCALE), if places.is_empty() { "" } else { "." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_nothing_else_is_a_number() {
        assert_eq!(Number::parse("0.0382").map(Number::nanos), Some(38_200_000));
        assert_eq!(Number::parse("483_000_000"), Some(Number::whole(483_000_000)));
        for text in ["", ".", "1.", ".5", "-1", "1e6", "0.0000000001", "1234567890123456789"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse("12.500").unwrap().to_string(), "12.5");
        assert_eq!(Number::whole(100).to_string(), "100");
    }

    #[test]
    fn what_is_beyond_every_market_neither_wraps_nor_stops_the_program() {
        let most = Number::parse("999999999999999999").unwrap();
        assert_eq!(most.scaled_ppm(i128::MAX), Number(i128::MAX.div_euclid(1_000_000)));
        assert!(Number::whole(1).between(most, 1_000_000) == most && most.between(most, i128::MAX) == most);
        assert!(Number::default().between(most, i128::MAX) > most);
        assert_eq!(most.divided_by(Number::parse("0.000000001").unwrap()), None);
        assert_eq!((most.divided_by(Number::default()), most.divided_by(most)), (None, Some(1)));
    }

    #[test]
    fn a_seed_moves_each_number_by_itself_and_by_a_fifth_at_most() {
        let numbers: Numbers = ["a", "b"].map(|name| (name.to_owned(), Number::whole(1_000_000))).into();
        assert_eq!(varied(&numbers, "S4", 0), numbers);
        let (mut least, mut most) = (i64::MAX, 0);
        for seed in 1..200 {
            let now = varied(&numbers, "S4", seed);
            assert_ne!(now["a"], now["b"]);
            for number in now.values() {
                (least, most) = (least.min(number.micros()), most.max(number.micros()));
            }
        }
        assert!((800_000_000_000..805_000_000_000).contains(&least), "{least}");
        assert!((1_195_000_000_000..=1_200_000_000_000).contains(&most), "{most}");
    }
}
