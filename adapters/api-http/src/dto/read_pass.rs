//! Read passes before they are signed, for clients that do not encode them by themselves.

use casemate_gate::eip712::TypedData;
use casemate_protocol::read_pass::{READ_PASS_VERSION, ReadScope, ReadTerms};
use casemate_protocol::{AccountId, Digest, MarketId, PublicKey, TimeMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::typed_data::TypedDataJson;
use crate::error::{ApiError, ApiRule};
use crate::values::{HexArray, HexBytes, KeyText};

/// Who reads what, and when.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsignedPassJson {
    /// The account that reads; left out under `key`.
    pub account: Option<u64>,
    /// The key of it that signs.
    pub key: KeyText,
    /// What is read.
    pub reads: ReadsJson,
    /// The market of `market`.
    pub market: Option<u16>,
    /// Not good before, by the node's clock.
    pub not_before_ms: u64,
    /// Not good from here on; at most 15 minutes later.
    pub expires_ms: u64,
}

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadsJson {
    /// The account that reads.
    Account,
    /// What a market shows to few.
    Market,
    /// Everything, as an auditor.
    Auditor,
    /// Which account the key has.
    Key,
}

/// What is to be signed, in every form that a key may need.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PassToSignJson {
    /// Canonical bytes of everything before the signature. With it behind them they are the pass.
    pub terms: HexBytes,
    /// What an Ed25519 key signs, the challenge of a passkey, and what a wallet shows as `passDigest`.
    pub pass_digest: HexArray<32>,
    /// What a wallet shows and signs; none for a key of another scheme.
    pub typed_data: Option<TypedDataJson>,
}

impl From<ReadScope> for ReadsJson {
    fn from(scope: ReadScope) -> Self {
        match scope {
            ReadScope::Account => Self::Account,
            ReadScope::Market(_) => Self::Market,
            ReadScope::Auditor => Self::Auditor,
            ReadScope::Key => Self::Key,
        }
    }
}

impl UnsignedPassJson {
    /// The terms for a chain.
    ///
    /// # Errors
    /// `ValueOutOfRange`: an account or a market is missing, or has no place here.
    pub fn into_terms(self, chain_id: Digest) -> Result<ReadTerms, ApiError> {
        let wrong = |message: &str| Err(ApiError::of(ApiRule::ValueOutOfRange, message));
        let scope = match (self.reads, self.market) {
            (ReadsJson::Account, None) => ReadScope::Account,
            (ReadsJson::Auditor, None) => ReadScope::Auditor,
            (ReadsJson::Key, None) => ReadScope::Key,
            (ReadsJson::Market, Some(market)) => ReadScope::Market(MarketId::new(market)),
            (ReadsJson::Market, None) => return wrong("`market` is missing"),
            (ReadsJson::Account | ReadsJson::Auditor | ReadsJson::Key, Some(_)) => {
                return wrong("`market` is for reads of a market alone");
            }
        };
        let account = match (scope, self.account) {
            (ReadScope::Key, None) => AccountId::NONE,
            (ReadScope::Key, Some(_)) => return wrong("whoever asks which account a key has names none"),
            (_, None | Some(0)) => return wrong("`account` is missing: it is who reads"),
            (_, Some(account)) => AccountId::new(account),
        };
        Ok(ReadTerms {
            version: READ_PASS_VERSION,
            chain_id,
            account,
            key: self.key.0,
            scope,
            not_before_ms: TimeMs::from_ms(self.not_before_ms),
            expires_ms: TimeMs::from_ms(self.expires_ms),
        })
    }
}

impl PassToSignJson {
    /// What a key signs for terms.
    #[must_use]
    pub fn of(terms: &ReadTerms) -> Self {
        let digest = terms.digest();
        let typed_data = match terms.key {
            PublicKey::Secp256k1(_) => Some(TypedDataJson::from(&TypedData::of_read_terms(terms, digest))),
            PublicKey::Ed25519(_) | PublicKey::P256(_) => None,
        };
        // Writing into memory cannot fail, and no type of the protocol refuses to encode.
        Self { terms: HexBytes(borsh::to_vec(terms).unwrap_or_default()), pass_digest: digest.into(), typed_data }
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::testing::examples;

    use super::*;

    fn unsigned(reads: &str, more: &str) -> Result<ReadTerms, u16> {
        let key = "secp256k1:0x1a642f0e3c3af545e7acbd38b07251b3990914f1";
        let text = format!(
            "{{ \"key\": \"{key}\", \"reads\": \"{reads}\", \"not_before_ms\": 1, \"expires_ms\": 600001{more} }}"
        );
        let read: UnsignedPassJson = serde_json::from_str(&text).unwrap();
        read.into_terms(examples::genesis().chain_id()).map_err(|error| error.detail().number)
    }

    #[test]
    fn terms_hold_what_was_said_and_nothing_that_has_no_place() {
        let market = unsigned("market", ", \"account\": 8, \"market\": 3").unwrap();
        assert_eq!((market.scope, market.account), (ReadScope::Market(MarketId::new(3)), AccountId::new(8)));
        assert_eq!(unsigned("key", "").unwrap().account, AccountId::NONE);
        for (reads, more) in [
            ("account", ""),
            ("account", ", \"account\": 0"),
            ("account", ", \"account\": 8, \"market\": 1"),
            ("market", ", \"account\": 8"),
            ("key", ", \"account\": 8"),
        ] {
            assert_eq!(unsigned(reads, more), Err(ApiRule::ValueOutOfRange.number()), "{reads}{more}");
        }
    }

    #[test]
    fn a_wallet_gets_typed_data_of_the_very_digest() {
        let terms = unsigned("auditor", ", \"account\": 8").unwrap();
        let told = PassToSignJson::of(&terms);
        assert_eq!(told.pass_digest, HexArray::from(terms.digest()));
        let shown = told.typed_data.unwrap();
        assert_eq!(shown.primary_type, "ReadPass");
        assert_eq!(shown.message["passDigest"], format!("0x{}", terms.digest()));
        assert_eq!(shown.message["reads"], "everything, as an auditor");
        let plain = ReadTerms { key: PublicKey::Ed25519([1; 32]), ..terms };
        assert!(PassToSignJson::of(&plain).typed_data.is_none(), "it signs the digest");
    }
}
