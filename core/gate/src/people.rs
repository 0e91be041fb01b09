//! Wallets and passkeys for the tests of this crate: the other side of what is verified here.

use casemate_protocol::envelope::{Intent, digests_without_evidence};
use casemate_protocol::keys::{Assertion, RecoverableSignature};
use casemate_protocol::{BoundedVec, Digest, Envelope, PublicKey, SignatureBytes};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use secp256k1::ecdsa::RecoveryId;
use secp256k1::{Message, SecretKey};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use crate::eip712::TypedData;
use crate::webauthn::{base64url, signed_hash};

/// Somebody with a browser wallet.
pub(crate) struct Wallet(SecretKey);

impl Wallet {
    pub(crate) fn new(number: u8) -> Self {
        Self(SecretKey::from_secret_bytes([number; 32]).unwrap())
    }

    pub(crate) fn key(&self) -> PublicKey {
        let point = secp256k1::PublicKey::from_secret_key(&self.0).serialize_uncompressed();
        let hash: [u8; 32] = Keccak256::digest(&point[1..]).into();
        PublicKey::Secp256k1(hash[12..].try_into().unwrap())
    }

    pub(crate) fn sign_hash(&self, hash: [u8; 32]) -> RecoverableSignature {
        let signature =
            secp256k1::ecdsa::RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(hash), &self.0);
        let (recovery, both) = signature.serialize_compact();
        let (r, s) = (both[..32].try_into().unwrap(), both[32..].try_into().unwrap());
        RecoverableSignature { r, s, is_y_odd: recovery == RecoveryId::One }
    }

    /// Signs what the wallet shows of an intent.
    pub(crate) fn seal(&self, intent: &Intent) -> Envelope {
        let mut envelope = unsigned(intent);
        let shown = TypedData::of_envelope(&envelope, intent.digest()).unwrap();
        envelope.signature = SignatureBytes::Eip712(self.sign_hash(shown.signing_hash()));
        envelope
    }
}

/// Somebody with a passkey, and what their authenticator and browser would say.
#[derive(Clone)]
pub(crate) struct Passkey {
    pub(crate) key: SigningKey,
    pub(crate) relying_party: &'static str,
    pub(crate) origin: &'static str,
    pub(crate) flags: u8,
    pub(crate) count: u32,
    pub(crate) client_data_tail: &'static str,
}

impl Passkey {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[number; 32]).unwrap(),
            relying_party: "casemate.example",
            origin: "https://app.casemate.example",
            flags: 0b1_1101,
            count: 0,
            client_data_tail: ",\"crossOrigin\":false}",
        }
    }

    fn point(&self) -> [u8; 33] {
        self.key.verifying_key().to_sec1_point(true).as_bytes().try_into().unwrap()
    }

    pub(crate) fn key(&self) -> PublicKey {
        PublicKey::P256(self.point()[1..].try_into().unwrap())
    }

    pub(crate) fn answer(&self, challenge: &Digest) -> Assertion {
        let challenge = base64url(challenge.bytes());
        let challenge = core::str::from_utf8(&challenge).unwrap();
        let (origin, tail) = (self.origin, self.client_data_tail);
        let client_data =
            format!("{{\"type\":\"webauthn.get\",\"challenge\":\"{challenge}\",\"origin\":\"{origin}\"{tail}");
        let mut authenticator_data = Sha256::digest(self.relying_party).to_vec();
        authenticator_data.push(self.flags);
        authenticator_data.extend(self.count.to_be_bytes());
        let mut assertion = Assertion {
            authenticator_data: BoundedVec::new(authenticator_data).unwrap(),
            client_data: BoundedVec::new(client_data.into_bytes()).unwrap(),
            r: [0; 32],
            s: [0; 32],
            is_key_y_odd: self.point()[0] == 3,
        };
        self.sign(&mut assertion);
        assertion
    }

    /// Signs what an answer says now.
    pub(crate) fn sign(&self, assertion: &mut Assertion) {
        let signature: p256::ecdsa::Signature = self.key.sign_prehash(&signed_hash(assertion)).unwrap();
        let both = signature.normalize_s().to_bytes();
        (assertion.r, assertion.s) = (both[..32].try_into().unwrap(), both[32..].try_into().unwrap());
    }

    pub(crate) fn seal(&self, intent: &Intent) -> Envelope {
        let answer = self.answer(&digests_without_evidence(intent).envelope);
        Envelope { signature: SignatureBytes::WebAuthn(Box::new(answer)), ..unsigned(intent) }
    }
}

fn unsigned(intent: &Intent) -> Envelope {
    Envelope { intent: intent.clone(), evidence: BoundedVec::empty(), signature: SignatureBytes::Ed25519([0; 64]) }
}

/// The group order minus a scalar, both big-endian: the other s of a signature. Orders are odd, so they are twice their
/// half and one.
pub(crate) fn other_half(s: &[u8; 32], half_order: &[u8; 32]) -> [u8; 32] {
    let mut carry = 1i16;
    let mut other = [0; 32];
    for place in (0..32).rev() {
        let digit = 2 * i16::from(half_order[place]) + carry - i16::from(s[place]);
        other[place] = u8::try_from(digit.rem_euclid(256)).unwrap();
        carry = digit.div_euclid(256);
    }
    assert_eq!(carry, 0, "s is below the order");
    other
}
