//! Signatures as JSON: a string for the two forms that are bytes, an object for a passkey's answer.

use std::fmt;

use casemate_protocol::SignatureBytes;
use casemate_protocol::keys::{Assertion, RecoverableSignature};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Deserialize as DeserializeDerive, Serialize};
use utoipa::ToSchema;

use super::conversion::bounded;
use crate::error::ApiError;
use crate::values::{HexArray, HexBytes};

/// The signature of an envelope, in the form of its key's scheme: 128 hexadecimal digits by an Ed25519 key, 130 as a wallet
/// returns them (r, s and v, with or without `0x`), or a passkey's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum SignatureJson {
    /// By an Ed25519 key.
    Ed25519(HexArray<64>),
    /// By a wallet: r, s, and 27 or 28 (or 0 or 1) for the parity of y.
    Wallet(HexArray<65>),
    /// By a passkey.
    Passkey(Box<AssertionJson>),
}

/// A passkey's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeserializeDerive, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssertionJson {
    /// `response.authenticatorData` of the browser; at most 256 bytes.
    pub authenticator_data: HexBytes,
    /// `response.clientDataJSON` of the browser, byte by byte; at most 1,024 bytes.
    pub client_data: HexBytes,
    /// r of the signature, taken out of its DER form.
    pub r: HexArray<32>,
    /// s of the signature, in the lower half: s or the group order minus s.
    pub s: HexArray<32>,
    /// Whether y of the public key is odd.
    pub is_key_y_odd: bool,
}

impl SignatureJson {
    /// The signature that this says.
    ///
    /// # Errors
    /// `ValueOutOfRange`: a text of the passkey is longer than its maximum; the message names the field.
    pub fn into_signature(self) -> Result<SignatureBytes, ApiError> {
        Ok(match self {
            Self::Ed25519(bytes) => SignatureBytes::Ed25519(bytes.0),
            Self::Wallet(HexArray([both @ .., v])) => {
                let (r, s) = halves(&both);
                SignatureBytes::Eip712(RecoverableSignature { r, s, is_y_odd: matches!(v, 1 | 28) })
            }
            Self::Passkey(answer) => SignatureBytes::WebAuthn(Box::new(Assertion {
                authenticator_data: bounded("authenticator_data", answer.authenticator_data.0)?,
                client_data: bounded("client_data", answer.client_data.0)?,
                r: answer.r.0,
                s: answer.s.0,
                is_key_y_odd: answer.is_key_y_odd,
            })),
        })
    }
}

impl From<&SignatureBytes> for SignatureJson {
    fn from(signature: &SignatureBytes) -> Self {
        match signature {
            SignatureBytes::Ed25519(bytes) => Self::Ed25519(HexArray(*bytes)),
            SignatureBytes::Eip712(signature) => {
                let mut bytes = [0; 65];
                let v = if signature.is_y_odd { 28 } else { 27 };
                let written = signature.r.iter().chain(&signature.s).chain([&v]);
                bytes.iter_mut().zip(written).for_each(|(byte, written)| *byte = *written);
                Self::Wallet(HexArray(bytes))
            }
            SignatureBytes::WebAuthn(assertion) => Self::Passkey(Box::new(AssertionJson {
                authenticator_data: HexBytes(assertion.authenticator_data.as_slice().to_vec()),
                client_data: HexBytes(assertion.client_data.as_slice().to_vec()),
                r: HexArray(assertion.r),
                s: HexArray(assertion.s),
                is_key_y_odd: assertion.is_key_y_odd,
            })),
        }
    }
}

impl<'de> Deserialize<'de> for SignatureJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;
        impl<'de> Visitor<'de> for AnyForm {
            type Value = SignatureJson;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("128 hexadecimal digits, 130 as a wallet returns them, or a passkey's answer")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SignatureJson, E> {
                let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
                if text.len() == ED25519_DIGITS {
                    return text.parse().map(SignatureJson::Ed25519).map_err(|_not_hex| wrong());
                }
                let bytes: HexArray<65> =
                    text.strip_prefix("0x").unwrap_or(text).parse().map_err(|_not_hex| wrong())?;
                match bytes.0 {
                    [.., 0 | 1 | 27 | 28] => Ok(SignatureJson::Wallet(bytes)),
                    _ => Err(E::custom("the last byte of a wallet's signature must be 27 or 28, or 0 or 1")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SignatureJson, A::Error> {
                let answer = AssertionJson::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SignatureJson::Passkey(Box::new(answer)))
            }
        }
        deserializer.deserialize_any(AnyForm)
    }
}

/// r and s.
fn halves(both: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (mut r, mut s) = ([0; 32], [0; 32]);
    r.iter_mut().chain(&mut s).zip(both).for_each(|(byte, from)| *byte = *from);
    (r, s)
}

const ED25519_DIGITS: usize = 128;

#[cfg(test)]
mod tests {
    use casemate_protocol::BoundedVec;

    use super::*;

    fn every_form() -> [SignatureBytes; 3] {
        let wallet = RecoverableSignature { r: [1; 32], s: [2; 32], is_y_odd: true };
        let passkey = Assertion {
            authenticator_data: BoundedVec::new(vec![3; 37]).unwrap(),
            client_data: BoundedVec::new(b"{}".to_vec()).unwrap(),
            r: [4; 32],
            s: [5; 32],
            is_key_y_odd: true,
        };
        [SignatureBytes::Ed25519([6; 64]), SignatureBytes::Eip712(wallet), SignatureBytes::WebAuthn(Box::new(passkey))]
    }

    #[test]
    fn every_form_comes_back_as_it_went() {
        for signature in every_form() {
            let text = serde_json::to_string(&SignatureJson::from(&signature)).unwrap();
            let read: SignatureJson = serde_json::from_str(&text).unwrap();
            assert_eq!(read.into_signature().unwrap(), signature, "{text}");
        }
    }

    #[test]
    fn a_wallets_signature_is_taken_as_wallets_return_it() {
        let digits = format!("{}{}", "01".repeat(32), "02".repeat(32));
        for (v, is_odd) in [("1b", false), ("1c", true), ("00", false), ("01", true)] {
            for prefix in ["", "0x"] {
                let read: SignatureJson = serde_json::from_str(&format!("\"{prefix}{digits}{v}\"")).unwrap();
                let expected = RecoverableSignature { r: [1; 32], s: [2; 32], is_y_odd: is_odd };
                assert_eq!(read.into_signature().unwrap(), SignatureBytes::Eip712(expected));
            }
        }
        let wrong = |text: &str| serde_json::from_str::<SignatureJson>(text).unwrap_err().to_string();
        assert!(wrong(&format!("\"{digits}02\"")).contains("must be 27 or 28"));
        assert!(wrong("\"0102\"").contains("expected 128 hexadecimal digits"));
        assert!(wrong("{\"r\":\"00\"}").contains("expected 64 hexadecimal digits"));
        assert!(wrong("7").contains("expected 128 hexadecimal digits"));
    }

    #[test]
    fn a_text_of_a_passkey_that_is_too_long_is_named() {
        let [_, _, passkey] = every_form();
        let SignatureJson::Passkey(mut answer) = SignatureJson::from(&passkey) else { panic!("another form") };
        answer.client_data = HexBytes(vec![0; 1_025]);
        let error = SignatureJson::Passkey(answer).into_signature().unwrap_err();
        assert!(error.detail().message.contains("`client_data` has `1025` elements"), "{}", error.detail().message);
    }
}
