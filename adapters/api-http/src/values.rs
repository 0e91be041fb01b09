//! How single values are written in JSON: whole numbers that may be large as strings, bytes in hexadecimal.
//!
//! A JSON number is a float to many readers, and a float loses money. So amounts, prices, quantities and whatever else can
//! pass 2^53 are strings of digits, named by their unit; heights, ids and times of day stay numbers.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use casemate_protocol::hash::Hex;
use casemate_protocol::{Digest, PublicKey};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A whole number as a string of digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int<T>(pub T);

/// A signed number, as money is.
pub type Signed = Int<i64>;
/// A number that is never below zero, as prices and quantities are.
pub type Unsigned = Int<u64>;
/// A signed number that a product may need.
pub type Wide = Int<i128>;

impl<T: Display> Serialize for Int<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Int<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits<T>(PhantomData<T>);
        impl<T: FromStr> Visitor<'_> for Digits<T> {
            type Value = Int<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number in range, as a string of digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int<T>, E> {
                // `parse` takes a leading plus, which would give one number two spellings.
                let parsed = if text.starts_with('+') { None } else { text.parse().ok() };
                parsed.map(Int).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Digits(PhantomData))
    }
}

impl<T> PartialSchema for Int<T> {
    fn schema() -> RefOr<Schema> {
        string_schema("A whole number as a string of digits; the field's name says its unit.", "^-?[0-9]+$")
    }
}

impl<T> ToSchema for Int<T> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Int")
    }
}

/// Exactly `N` bytes, as twice as many hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HexArray<const N: usize>(pub [u8; N]);

/// Some bytes, as twice as many hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl<const N: usize> fmt::Debug for HexArray<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(formatter)
    }
}

impl<const N: usize> FromStr for HexArray<N> {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        bytes_of_hex(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(NotHex)
    }
}

/// Text that is not the hexadecimal digits of as many bytes as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHex;

impl From<Digest> for HexArray<32> {
    fn from(digest: Digest) -> Self {
        Self(digest.0)
    }
}

impl<const N: usize> Serialize for HexArray<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for HexArray<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|_not_hex| de::Error::custom(format_args!("expected {} hexadecimal digits", 2 * N)))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        bytes_of_hex(&text).map(Self).ok_or_else(|| de::Error::custom("expected an even number of hexadecimal digits"))
    }
}

impl<const N: usize> PartialSchema for HexArray<N> {
    fn schema() -> RefOr<Schema> {
        string_schema("Bytes in hexadecimal.", &format!("^[0-9a-f]{{{}}}$", 2 * N))
    }
}

impl<const N: usize> ToSchema for HexArray<N> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("Hex{N}"))
    }
}

impl PartialSchema for HexBytes {
    fn schema() -> RefOr<Schema> {
        string_schema("Bytes in hexadecimal.", "^([0-9a-f]{2})*$")
    }
}

impl ToSchema for HexBytes {}

/// A public key as people read and write it: `ed25519:` and 64 hexadecimal digits, `secp256k1:0x` and the 40 of an address,
/// or `p256:` and the 64 of a passkey's x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyText(pub PublicKey);

impl Display for KeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for KeyText {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        PublicKey::from_text(text).map(Self).ok_or(NotHex)
    }
}

/// What a key must look like, for people.
pub const KEY_FORMS: &str = "a key: `ed25519:` and 64 hexadecimal digits, `secp256k1:0x` and 40, or `p256:` and 64";

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|_not_hex| de::Error::custom(format_args!("expected {KEY_FORMS}")))
    }
}

impl PartialSchema for KeyText {
    fn schema() -> RefOr<Schema> {
        string_schema("A public key.", "^(ed25519:[0-9a-f]{64}|secp256k1:0x[0-9a-f]{40}|p256:[0-9a-f]{64})$")
    }
}

impl ToSchema for KeyText {}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        })
        .collect()
}

fn string_schema(description: &str, pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).pattern(Some(pattern)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_strings_of_digits_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<Int<i64>>(text).map(|Int(number)| number).ok();
        assert_eq!(read("\"-9223372036854775808\""), Some(i64::MIN));
        for wrong in ["1", "1.0", "\"+1\"", "\" 1\"", "\"\"", "\"9223372036854775808\"", "\"1e3\"", "null"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(serde_json::to_string(&Int(u64::MAX)).unwrap(), "\"18446744073709551615\"");
    }

    #[test]
    fn bytes_and_keys_come_back_as_they_went() {
        let keys = [PublicKey::Ed25519([0xa5; 32]), PublicKey::Secp256k1([0xb6; 20]), PublicKey::P256([0xc7; 32])];
        for key in keys.map(KeyText) {
            let text = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<KeyText>(&text).unwrap(), key);
        }
        assert!(serde_json::from_str::<KeyText>("\"rsa:00\"").unwrap_err().to_string().contains("expected a key"));
        assert_eq!("0G".parse::<HexArray<1>>(), Err(NotHex));
        assert_eq!("é0".parse::<HexArray<1>>(), Err(NotHex));
        assert!(serde_json::from_str::<HexArray<2>>("\"00\"").unwrap_err().to_string().contains("expected 4 hex"));
    }
}
