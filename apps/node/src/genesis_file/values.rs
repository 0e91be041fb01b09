//! Values that the file writes as strings, and how they are read: exactly or not at all.

use casemate_protocol::limits::{ORIGIN_BYTES_MAX, POLICY_FILE_BYTES_MAX, POLICY_FILE_NAME_BYTES_MAX};
use casemate_protocol::{BoundedVec, PriceNanos, PublicKey, QuoteMicros, TickValueMicros};
use serde::{Deserialize, Deserializer, de};

use crate::development_keys::{bytes_of_hex, parse_public_key};

/// At most 64 bytes of text.
pub(super) struct ChainName(pub(super) BoundedVec<u8, 64>);

/// An amount of the quote asset as a decimal string.
pub(super) struct Quote(pub(super) QuoteMicros);

/// Quote per tick per lot as a decimal string.
pub(super) struct TickValue(pub(super) TickValueMicros);

/// A price of one unit of an underlying as a decimal string.
pub(super) struct Price(pub(super) PriceNanos);

/// A web origin, or the host of a relying party.
pub(super) struct Host(pub(super) BoundedVec<u8, ORIGIN_BYTES_MAX>);

/// Name of a policy file.
pub(super) struct PolicyName(pub(super) BoundedVec<u8, POLICY_FILE_NAME_BYTES_MAX>);

/// Text of a policy file.
pub(super) struct PolicyText(pub(super) BoundedVec<u8, POLICY_FILE_BYTES_MAX>);

/// A public key.
pub(super) struct Key(pub(super) PublicKey);

/// 32 bytes.
pub(super) struct Seed(pub(super) [u8; 32]);

/// Values written as strings say themselves what they are; serde adds the place.
macro_rules! from_text {
    ($name:ident, $parse:expr, $expected:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<Self> = $parse;
                parse(&text).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &$expected))
            }
        }
    };
}

from_text!(ChainName, |text| BoundedVec::new(text.as_bytes().to_vec()).map(Self), "at most 64 bytes of text");
from_text!(PolicyName, |text| BoundedVec::new(text.as_bytes().to_vec()).map(Self), "at most 64 bytes of text");
from_text!(PolicyText, |text| BoundedVec::new(text.as_bytes().to_vec()).map(Self), "at most 48 KiB of text");
from_text!(
    Quote,
    |text| parse_micros(text).map(QuoteMicros::from_micros).map(Self),
    "a decimal amount with at most six places, such as \"12.500000\""
);
from_text!(
    TickValue,
    |text| u32::try_from(parse_micros(text)?).ok().map(TickValueMicros::from_micros).map(Self),
    "a decimal amount of at least zero with at most six places, such as \"0.000001\""
);
from_text!(
    Price,
    |text| u64::try_from(parse_decimal(text, PRICE_PLACES)?).ok().map(PriceNanos::from_nanos).map(Self),
    "a price of at least zero with at most nine places, such as \"64000.250000000\""
);
from_text!(
    Host,
    |text| BoundedVec::new(text.as_bytes().to_vec()).map(Self),
    "an origin or a host of at most 253 bytes, such as \"https://app.example.org\" or \"example.org\""
);
from_text!(
    Key,
    |text| parse_public_key(text).map(Self),
    "a key: `ed25519:` and 64 hexadecimal digits, `secp256k1:0x` and 40, or `p256:` and 64"
);
from_text!(Seed, |text| bytes_of_hex(text).map(Self), "64 hexadecimal digits");

/// Millionths of a decimal number; see [`parse_decimal`].
pub(super) fn parse_micros(text: &str) -> Option<i64> {
    i64::try_from(parse_decimal(text, QUOTE_PLACES)?).ok()
}

/// A decimal number in units of its last place, exact: digits, and at most so many of them after a point as it has
/// places. `None` for anything else, so that no amount is ever rounded on its way in.
pub(super) fn parse_decimal(text: &str, places: usize) -> Option<i128> {
    let (magnitude, is_negative) = match text.strip_prefix('-') {
        Some(magnitude) => (magnitude, true),
        None => (text, false),
    };
    let (whole, fraction) = match magnitude.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (magnitude, ""),
    };
    let are_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits || fraction.len() > places {
        return None;
    }
    let units: i128 = format!("{whole}{fraction:0<places$}").parse().ok()?;
    Some(if is_negative { -units } else { units })
}

/// Places of an amount of the quote asset.
const QUOTE_PLACES: usize = 6;
/// Places of a price of one unit.
pub(super) const PRICE_PLACES: usize = 9;
