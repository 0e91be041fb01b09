//! What a wallet is asked to sign, as `eth_signTypedData_v4` takes it, from the same list of fields as the verifier's hash.

use casemate_gate::eip712::{Field, TypedData, Value};
use casemate_protocol::envelope::{ENVELOPE_VERSION, Intent, digests_without_evidence};
use casemate_protocol::hash::Hex;
use casemate_protocol::{Digest, PublicKey, Reject, RejectCode};
use serde::Serialize;
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::values::{HexArray, HexBytes};

/// What is to be signed, in every form that a key may need.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ToSignJson {
    /// Canonical bytes of everything before the evidence. SHA-256 over the tag of the domain `Intent`
    /// (spec/vectors/hash-domains.tsv) and these is the intent digest.
    pub intent: HexBytes,
    /// The envelope's id, which a wallet shows as `intentDigest`.
    pub intent_digest: HexArray<32>,
    /// What an Ed25519 key signs, and the challenge of a passkey.
    pub envelope_digest: HexArray<32>,
    /// What a wallet shows and signs; none for a key of another scheme.
    pub typed_data: Option<TypedDataJson>,
}

/// Typed data under EIP-712, as `eth_signTypedData_v4` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TypedDataJson {
    /// Name, version, and the chain id as salt.
    #[schema(value_type = Object)]
    pub domain: Json,
    /// The types `EIP712Domain` and that of the message.
    #[schema(value_type = Object)]
    pub types: Json,
    /// The type of the message: the action's name.
    #[serde(rename = "primaryType")]
    #[schema(rename = "primaryType")]
    pub primary_type: &'static str,
    /// The values by name. Numbers are strings of digits.
    #[schema(value_type = Object)]
    pub message: Json,
}

impl ToSignJson {
    /// What a key signs for an intent without evidence on this chain.
    ///
    /// # Errors
    /// `EnvelopeVersionUnsupported`, `WrongChain`, `EnvelopeEmpty`, `WalletCommandCount`: it could not be submitted.
    pub fn of_intent(intent: &Intent, chain_id: &Digest) -> Result<Self, ApiError> {
        let refused = |reject: Reject| Err(ApiError::refused(&reject));
        let count = u64::try_from(intent.commands.len()).unwrap_or(u64::MAX);
        if intent.version != ENVELOPE_VERSION {
            let version = Reject::of(RejectCode::EnvelopeVersionUnsupported);
            return refused(version.required(ENVELOPE_VERSION.into()).present(intent.version.into()));
        }
        if intent.chain_id != *chain_id {
            return refused(RejectCode::WrongChain.into());
        }
        if count == 0 {
            return refused(RejectCode::EnvelopeEmpty.into());
        }
        let digests = digests_without_evidence(intent);
        let typed_data = match intent.signer.key {
            PublicKey::Secp256k1(_) => match TypedData::of_intent(intent) {
                Some(shown) => Some(TypedDataJson::from(&shown)),
                None => return refused(Reject::of(RejectCode::WalletCommandCount).required(1).present(count)),
            },
            PublicKey::Ed25519(_) | PublicKey::P256(_) => None,
        };
        Ok(Self {
            // Writing into memory cannot fail, and no type of the protocol refuses to encode.
            intent: HexBytes(borsh::to_vec(intent).unwrap_or_default()),
            intent_digest: digests.intent.into(),
            envelope_digest: digests.envelope.into(),
            typed_data,
        })
    }
}

impl From<&TypedData> for TypedDataJson {
    fn from(data: &TypedData) -> Self {
        let domain = data.domain();
        let primary_type = data.primary_type();
        Self {
            domain: values(&domain),
            types: json!({ "EIP712Domain": types(&domain), primary_type: types(data.fields()) }),
            primary_type,
            message: values(data.fields()),
        }
    }
}

fn types(fields: &[Field]) -> Json {
    fields.iter().map(|field| json!({ "name": field.name, "type": field.value.kind() })).collect()
}

fn values(fields: &[Field]) -> Json {
    let value = |value: &Value| match value {
        Value::Text(text) => json!(text),
        Value::Number(number) => json!(number.to_string()),
        Value::Flag(is_set) => json!(is_set),
        Value::Bytes(bytes) => json!(format!("0x{}", Hex(bytes))),
        Value::Digest(digest) => json!(format!("0x{digest}")),
    };
    Json::Object(fields.iter().map(|field| (field.name.to_owned(), value(&field.value))).collect())
}

#[cfg(test)]
mod tests {
    use casemate_protocol::envelope::SignerRole;
    use casemate_protocol::testing::examples;
    use casemate_protocol::{Action, BoundedVec, Command};

    use super::*;

    fn intent(action: Action) -> Intent {
        let mut intent = examples::intent(vec![examples::command(action)]);
        intent.signer.role = SignerRole::Root;
        intent.signer.key = PublicKey::Secp256k1([0x1a; 20]);
        intent
    }

    /// The golden rows hold what a second implementation of EIP-712, which shares nothing with the verifier, hashed to the
    /// verifier's digest; so a served text that equals its row has that digest too.
    #[test]
    fn what_is_served_is_the_text_whose_independent_hash_is_the_verifiers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/typed-data.tsv");
        let golden = std::fs::read_to_string(path).unwrap();
        for (action, row) in Action::ALL.into_iter().zip(golden.lines().skip(1)) {
            let [name, hash, text] = row.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let expected: Json = serde_json::from_str(text).unwrap();
            let mut intent = intent(action);
            // The rows are of a wallet whose key is in the gate's tests, which shows in the intent digest alone.
            let mut served = serde_json::to_value(ToSignJson::of_intent(&intent, &intent.chain_id).unwrap()).unwrap();
            let served = &mut served["typed_data"];
            assert_ne!(served["message"]["intentDigest"], expected["message"]["intentDigest"]);
            served["message"]["intentDigest"] = expected["message"]["intentDigest"].clone();
            assert_eq!((name, &*served), (format!("{action:?}").as_str(), &expected));
            // With the digest of that row the verifier's own hash is that of the row.
            intent.signer.key = PublicKey::Secp256k1([0; 20]);
            let HexArray(digest) = expected["message"]["intentDigest"].as_str().unwrap()[2..].parse().unwrap();
            let evidence = casemate_protocol::Envelope {
                intent: intent.clone(),
                evidence: BoundedVec::empty(),
                signature: casemate_protocol::SignatureBytes::Ed25519([0; 64]),
            };
            let shown = TypedData::of_envelope(&evidence, Digest(digest)).unwrap();
            assert_eq!(Hex(&shown.signing_hash()).to_string(), hash);
        }
    }

    #[test]
    fn what_could_not_be_submitted_is_refused_as_submitting_it_would_be() {
        let good = intent(Action::CloseAccount);
        let number = |intent: &Intent, chain_id: &Digest| {
            ToSignJson::of_intent(intent, chain_id).map(|_| 0).unwrap_or_else(|error| error.detail().number)
        };
        let chain_id = good.chain_id;
        assert_eq!(number(&good, &chain_id), 0);
        assert_eq!(number(&good, &Digest::ZERO), 104);
        assert_eq!(number(&Intent { version: 2, ..good.clone() }, &chain_id), 101);
        let commands = |count: usize| BoundedVec::new(vec![Command::OpenAccount; count]).unwrap();
        assert_eq!(number(&Intent { commands: commands(0), ..good.clone() }, &chain_id), 103);
        let mut two = Intent { commands: commands(2), ..good };
        assert_eq!(number(&two, &chain_id), 124);
        two.signer.key = PublicKey::P256([3; 32]);
        assert!(ToSignJson::of_intent(&two, &chain_id).unwrap().typed_data.is_none(), "a passkey signs the digest");
    }
}
