//! What a wallet shows before it signs, and its hash: typed data under EIP-712.
//!
//! A wallet shows names and values and signs a hash of them. So that a person can read what is signed, each action has a
//! type of its own with amounts in whole units, times as dates and addresses as they are written; so that nothing else is
//! signed than what is carried out, the verifier builds every field again from the command that arrived, and two
//! digests stand for the whole envelope: together they are what any other key signs.
//!
//! The types hold only values that need no nested type. One list of fields gives both the hash and what a client hands to
//! the wallet ([`TypedData`] is public for that), so the two cannot drift apart. `docs/wallets.md` shows every type.
//!
//! Texts and names are wire format: a changed letter is another hash.

mod fields;
#[cfg(test)]
mod reference;
mod time_text;

use casemate_protocol::envelope::Intent;
use casemate_protocol::keys::SIGNATURE_BYTES;
use casemate_protocol::read_pass::{ReadScope, ReadTerms};
use casemate_protocol::{BoundedVec, Digest, Envelope, SignatureBytes};
use sha3::{Digest as _, Keccak256};

pub use time_text::time_text;

/// One action as a wallet shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedData {
    version: u16,
    chain_id: Digest,
    primary_type: &'static str,
    fields: Vec<Field>,
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the type.
    pub name: &'static str,
    /// What it is.
    pub value: Value,
}

/// A value of one of the kinds that the types use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `string`: for people.
    Text(String),
    /// `uint64`: ids and counts.
    Number(u64),
    /// `bool`.
    Flag(bool),
    /// `bytes`: an address of some outside chain.
    Bytes(Vec<u8>),
    /// `bytes32`.
    Digest(Digest),
}

impl TypedData {
    /// What a wallet shows for an envelope; none unless it holds exactly one command.
    #[must_use]
    pub fn of_envelope(envelope: &Envelope, intent_digest: Digest) -> Option<Self> {
        Self::new(&envelope.intent, intent_digest, envelope.evidence_hash())
    }

    /// What a wallet shows for an intent without evidence; none unless it holds exactly one command.
    #[must_use]
    pub fn of_intent(intent: &Intent) -> Option<Self> {
        let unsigned = Envelope {
            intent: intent.clone(),
            evidence: BoundedVec::empty(),
            signature: SignatureBytes::Ed25519([0; SIGNATURE_BYTES]),
        };
        Self::of_envelope(&unsigned, intent.digest())
    }

    /// What a wallet shows for an intent with evidence of this hash; none unless it holds exactly one command.
    #[must_use]
    pub fn new(intent: &Intent, intent_digest: Digest, evidence_hash: Digest) -> Option<Self> {
        let [command] = intent.commands.as_slice() else { return None };
        let (primary_type, mut fields) = fields::of_command(command);
        fields.extend([
            Field { name: "account", value: Value::Number(intent.account.number()) },
            Field { name: "nonce", value: Value::Number(intent.nonce) },
            Field { name: "validUntil", value: Value::Text(time_text(intent.valid_until_ms)) },
            Field { name: "intentDigest", value: Value::Digest(intent_digest) },
            Field { name: "evidenceHash", value: Value::Digest(evidence_hash) },
        ]);
        Some(Self { version: intent.version, chain_id: intent.chain_id, primary_type, fields })
    }

    /// What a wallet shows for a read pass: who reads what, from when until when.
    #[must_use]
    pub fn of_read_terms(terms: &ReadTerms, digest: Digest) -> Self {
        let reads = match terms.scope {
            ReadScope::Account => "the account, everything of its own".to_owned(),
            ReadScope::Market(market) => format!("private data of market {market}"),
            ReadScope::Auditor => "everything, as an auditor".to_owned(),
            ReadScope::Key => "which account the key has".to_owned(),
        };
        let fields = vec![
            Field { name: "reads", value: Value::Text(reads) },
            Field { name: "account", value: Value::Number(terms.account.number()) },
            Field { name: "begins", value: Value::Text(time_text(terms.not_before_ms)) },
            Field { name: "ends", value: Value::Text(time_text(terms.expires_ms)) },
            Field { name: "passDigest", value: Value::Digest(digest) },
        ];
        Self { version: terms.version, chain_id: terms.chain_id, primary_type: "ReadPass", fields }
    }

    /// The name of the type, which is the name of the action.
    #[must_use]
    pub const fn primary_type(&self) -> &'static str {
        self.primary_type
    }

    /// The fields in the order of the type.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The fields of the domain, in the order of its type `EIP712Domain`.
    #[must_use]
    pub fn domain(&self) -> [Field; 3] {
        [
            Field { name: "name", value: Value::Text(NAME.to_owned()) },
            Field { name: "version", value: Value::Text(self.version.to_string()) },
            Field { name: "salt", value: Value::Digest(self.chain_id) },
        ]
    }

    /// The hash that the wallet signs.
    #[must_use]
    pub fn signing_hash(&self) -> [u8; 32] {
        let domain = hash_struct(DOMAIN_TYPE, &self.domain());
        let message = hash_struct(self.primary_type, &self.fields);
        let mut hasher = Keccak256::new_with_prefix([0x19, 0x01]);
        hasher.update(domain);
        hasher.update(message);
        hasher.finalize().into()
    }
}

impl Value {
    /// The kind's name in Solidity.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Number(_) => "uint64",
            Self::Flag(_) => "bool",
            Self::Bytes(_) => "bytes",
            Self::Digest(_) => "bytes32",
        }
    }

    /// The value as 32 bytes: itself, or the hash of what is longer.
    fn word(&self) -> [u8; 32] {
        match self {
            Self::Text(text) => Keccak256::digest(text).into(),
            Self::Bytes(bytes) => Keccak256::digest(bytes).into(),
            Self::Digest(digest) => digest.0,
            Self::Number(number) => word_of(*number),
            Self::Flag(is_set) => word_of(u64::from(*is_set)),
        }
    }
}

/// A number as a big-endian word.
fn word_of(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    if let Some(last) = word.last_chunk_mut() {
        *last = number.to_be_bytes();
    }
    word
}

/// `hashStruct` of EIP-712 for a type without nested types.
fn hash_struct(name: &str, fields: &[Field]) -> [u8; 32] {
    let mut type_text = Keccak256::new_with_prefix(name);
    for (place, field) in fields.iter().enumerate() {
        type_text.update(if place == 0 { "(" } else { "," });
        type_text.update(field.value.kind());
        type_text.update(" ");
        type_text.update(field.name);
    }
    type_text.update(")");
    let mut hasher = Keccak256::new_with_prefix(type_text.finalize());
    for field in fields {
        hasher.update(field.value.word());
    }
    hasher.finalize().into()
}

/// The domain's name: what the wallet says who asks.
const NAME: &str = "Casemate";

const DOMAIN_TYPE: &str = "EIP712Domain";

#[cfg(test)]
mod tests;
