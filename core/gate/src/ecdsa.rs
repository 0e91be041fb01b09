//! ECDSA on the two curves of root keys, over hashes that others made.
//!
//! Both halves of a signature stand for the same statement: with (r, s) also (r, n - s) holds. Only the lower half is
//! taken, so nobody can turn one envelope into two byte strings. Which of the two it is, is not looked at by either
//! library on its own, so it is looked at here, and first.

use casemate_protocol::RejectCode;
use casemate_protocol::keys::{ADDRESS_BYTES, RecoverableSignature};
use p256::ecdsa::VerifyingKey;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use secp256k1::Message;
use secp256k1::ecdsa::RecoveryId;
use sha3::{Digest as _, Keccak256};

/// The Ethereum address of the key that signed a hash on secp256k1. Every signature fits some key; whose it is, says the
/// address.
///
/// # Errors
/// `SignatureNotLow`; `SignatureInvalid` if no key fits.
pub fn recover_address(hash: &[u8; 32], signature: &RecoverableSignature) -> Result<[u8; ADDRESS_BYTES], RejectCode> {
    require_low(&signature.s, &SECP256K1_HALF_ORDER)?;
    let invalid = |_error| RejectCode::SignatureInvalid;
    let recovery = if signature.is_y_odd { RecoveryId::One } else { RecoveryId::Zero };
    let parsed = secp256k1::ecdsa::RecoverableSignature::from_compact(&joined(&signature.r, &signature.s), recovery);
    let key = parsed.and_then(|parsed| parsed.recover_ecdsa(Message::from_digest(*hash))).map_err(invalid)?;
    Ok(address_of(&key.serialize_uncompressed()))
}

/// The Ethereum address of an uncompressed point: the last 20 bytes of Keccak-256 over its coordinates.
fn address_of(point: &[u8; 65]) -> [u8; ADDRESS_BYTES] {
    let [_form, coordinates @ ..] = point;
    let hash: [u8; 32] = Keccak256::digest(coordinates).into();
    let [_, _, _, _, _, _, _, _, _, _, _, _, address @ ..] = hash;
    address
}

/// Whether a P-256 key signed a hash.
///
/// # Errors
/// `SignatureNotLow`, `SignatureInvalid`.
pub fn verify_p256(key: &P256Key, hash: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> Result<(), RejectCode> {
    require_low(s, &P256_HALF_ORDER)?;
    let invalid = |_error| RejectCode::SignatureInvalid;
    let signature = p256::ecdsa::Signature::from_scalars(*r, *s).map_err(invalid)?;
    key.point().ok_or(RejectCode::SignatureInvalid)?.verify_prehash(hash, &signature).map_err(invalid)
}

/// A P-256 public key in its compressed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct P256Key {
    /// The point's x coordinate, big-endian.
    pub x: [u8; 32],
    /// Whether its y is odd.
    pub is_y_odd: bool,
}

impl P256Key {
    /// Whether a point of the curve has this x, written as the one number below the field's modulus. The curve has no
    /// points of small order, so nothing else can be wrong with it.
    #[must_use]
    pub fn is_on_curve(&self) -> bool {
        self.point().is_some()
    }

    fn point(&self) -> Option<VerifyingKey> {
        let mut compressed = [0; 33];
        let (form, x) = compressed.split_first_mut()?;
        *form = if self.is_y_odd { 3 } else { 2 };
        x.copy_from_slice(&self.x);
        VerifyingKey::from_sec1_bytes(&compressed).ok()
    }
}

fn require_low(s: &[u8; 32], half_order: &[u8; 32]) -> Result<(), RejectCode> {
    if s <= half_order { Ok(()) } else { Err(RejectCode::SignatureNotLow) }
}

fn joined(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    let mut both = [0; 64];
    let (first, second) = both.split_at_mut(32);
    first.copy_from_slice(r);
    second.copy_from_slice(s);
    both
}

/// Half of secp256k1's group order, rounded down, big-endian.
pub(crate) const SECP256K1_HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Half of P-256's group order, rounded down, big-endian.
pub(crate) const P256_HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d,
    0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

#[cfg(test)]
pub(crate) mod tests;
