//! Public keys and signatures as bytes. Whether they are valid is for `gate` to find out.
//!
//! A root key has one of three schemes; a session key is always Ed25519. Each key is named by what identifies it where it
//! lives, in at most 32 bytes, because every account keeps one for ever.

use borsh::io::{Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::hash::Hex;
use crate::limits::{AUTHENTICATOR_DATA_BYTES_MAX, CLIENT_DATA_BYTES_MAX};

/// Bytes of an Ed25519 public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of the address by which a wallet shows its key.
pub const ADDRESS_BYTES: usize = 20;

/// A public key with its scheme. The scheme's number is permanent; other schemes take the next numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum PublicKey {
    /// Ed25519 under the rules of ZIP-215.
    Ed25519([u8; PUBLIC_KEY_BYTES]) = 1,
    /// ECDSA on secp256k1, named by the Ethereum address: the last 20 bytes of Keccak-256 over the point. The key itself
    /// is recovered from each signature.
    Secp256k1([u8; ADDRESS_BYTES]) = 2,
    /// ECDSA on P-256, named by the point's x coordinate, big-endian. Which of the two points with that coordinate it
    /// is, each signature says: whoever can sign for one can sign for the other, so both are one owner.
    P256([u8; PUBLIC_KEY_BYTES]) = 3,
}

impl PublicKey {
    /// The key's bytes without the scheme.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes) | Self::P256(bytes) => bytes,
            Self::Secp256k1(address) => address,
        }
    }

    /// The form in which the key signs envelopes.
    #[must_use]
    pub const fn form(&self) -> SignatureForm {
        match self {
            Self::Ed25519(_) => SignatureForm::Ed25519,
            Self::Secp256k1(_) => SignatureForm::Eip712,
            Self::P256(_) => SignatureForm::WebAuthn,
        }
    }

    /// Whether the key can be a session key: only an Ed25519 key can.
    #[must_use]
    pub const fn is_for_sessions(&self) -> bool {
        matches!(self, Self::Ed25519(_))
    }

    /// The key in the text that [`core::fmt::Display`] writes, with digits in either case; none for anything else. Wallets
    /// write an address with capital letters as a checksum, which is not looked at.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (scheme, digits) = text.split_once(':')?;
        match scheme {
            ED25519_NAME => array_of_hex(digits).map(Self::Ed25519),
            SECP256K1_NAME => array_of_hex(digits.strip_prefix("0x")?).map(Self::Secp256k1),
            P256_NAME => array_of_hex(digits).map(Self::P256),
            _ => None,
        }
    }
}

impl core::fmt::Display for PublicKey {
    /// `ed25519:` and 64 hexadecimal digits, `secp256k1:0x` and the 40 of an address, or `p256:` and the 64 of x.
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Ed25519(bytes) => write!(formatter, "{ED25519_NAME}:{}", Hex(bytes)),
            Self::Secp256k1(address) => write!(formatter, "{SECP256K1_NAME}:0x{}", Hex(address)),
            Self::P256(x) => write!(formatter, "{P256_NAME}:{}", Hex(x)),
        }
    }
}

const ED25519_NAME: &str = "ed25519";
const SECP256K1_NAME: &str = "secp256k1";
const P256_NAME: &str = "p256";

fn array_of_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != N.checked_mul(2)? || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// What a signature looks like. Numbers are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureForm {
    /// An Ed25519 signature over the envelope digest.
    Ed25519,
    /// An ECDSA signature on secp256k1 over typed data that a wallet showed.
    Eip712,
    /// A passkey's assertion whose challenge is the envelope digest.
    WebAuthn,
}

impl SignatureForm {
    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Eip712 => 2,
            Self::WebAuthn => 3,
        }
    }
}

/// A signature over an envelope: by way of the envelope digest, or of the two digests that it is made of.
///
/// # Encoding
/// An Ed25519 key has one form, and its 64 bytes stand alone. Under any other key the form's number comes first, so a
/// form that does not fit the key decodes and is refused with a number of its own.
#[derive(Clone, PartialEq, Eq)]
pub enum SignatureBytes {
    /// See [`SignatureForm::Ed25519`].
    Ed25519([u8; SIGNATURE_BYTES]),
    /// See [`SignatureForm::Eip712`].
    Eip712(RecoverableSignature),
    /// See [`SignatureForm::WebAuthn`].
    WebAuthn(Box<Assertion>),
}

/// An ECDSA signature from which the key can be recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoverableSignature {
    /// x of the signature's point, modulo the group order; big-endian.
    pub r: [u8; 32],
    /// The other half, in the lower half of its range; big-endian.
    pub s: [u8; 32],
    /// Whether y of the signature's point is odd: what wallets write as 28 and not 27.
    pub is_y_odd: bool,
}

/// What a passkey answers when it is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Assertion {
    /// What the authenticator says of itself and of the user: hash of the relying party, flags, counter, extensions.
    pub authenticator_data: BoundedVec<u8, AUTHENTICATOR_DATA_BYTES_MAX>,
    /// What the browser says of the request, as JSON text.
    pub client_data: BoundedVec<u8, CLIENT_DATA_BYTES_MAX>,
    /// r of the signature over both, big-endian.
    pub r: [u8; 32],
    /// s of it, in the lower half of its range; big-endian.
    pub s: [u8; 32],
    /// Whether y of the public key is odd.
    pub is_key_y_odd: bool,
}

impl SignatureBytes {
    /// The form.
    #[must_use]
    pub const fn form(&self) -> SignatureForm {
        match self {
            Self::Ed25519(_) => SignatureForm::Ed25519,
            Self::Eip712(_) => SignatureForm::Eip712,
            Self::WebAuthn(_) => SignatureForm::WebAuthn,
        }
    }

    /// Writes the signature as it stands in an envelope of this key.
    pub(crate) fn write_under<W: Write>(&self, key: &PublicKey, writer: &mut W) -> borsh::io::Result<()> {
        match (key, self) {
            (PublicKey::Ed25519(_), Self::Ed25519(bytes)) => return bytes.serialize(writer),
            // Not an envelope that anyone can decode: the number and what follows are longer than a signature.
            (PublicKey::Ed25519(_) | PublicKey::Secp256k1(_) | PublicKey::P256(_), _) => {}
        }
        self.form().number().serialize(writer)?;
        match self {
            Self::Ed25519(bytes) => bytes.serialize(writer),
            Self::Eip712(signature) => signature.serialize(writer),
            Self::WebAuthn(assertion) => assertion.serialize(writer),
        }
    }

    /// Reads the signature of an envelope of this key.
    pub(crate) fn read_under<R: Read>(key: &PublicKey, reader: &mut R) -> borsh::io::Result<Self> {
        if let PublicKey::Ed25519(_) = key {
            return BorshDeserialize::deserialize_reader(reader).map(Self::Ed25519);
        }
        match u8::deserialize_reader(reader)? {
            1 => BorshDeserialize::deserialize_reader(reader).map(Self::Ed25519),
            2 => BorshDeserialize::deserialize_reader(reader).map(Self::Eip712),
            3 => BorshDeserialize::deserialize_reader(reader).map(Self::WebAuthn),
            _ => Err(borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, "unknown form of signature")),
        }
    }
}

impl core::fmt::Debug for SignatureBytes {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let start: &[u8] = match self {
            Self::Ed25519(bytes) => bytes,
            Self::Eip712(signature) => &signature.r,
            Self::WebAuthn(assertion) => &assertion.r,
        };
        write!(formatter, "SignatureBytes({:?} {}…)", self.form(), Hex(start.get(..8).unwrap_or(&[])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_text_and_other_text_is_none() {
        let keys = [PublicKey::Ed25519([0xa5; 32]), PublicKey::Secp256k1([0xb6; 20]), PublicKey::P256([0xc7; 32])];
        for key in keys {
            let text = key.to_string();
            assert_eq!(PublicKey::from_text(&text), Some(key));
            for wrong in [format!("{text}0"), text.replace(':', ""), text.replace(':', ":x"), format!(" {text}")] {
                assert_eq!(PublicKey::from_text(&wrong), None, "{wrong}");
            }
        }
        let shown_by_a_wallet = "secp256k1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(PublicKey::from_text(shown_by_a_wallet).unwrap().to_string(), shown_by_a_wallet.to_lowercase());
        assert_eq!(PublicKey::from_text(&format!("ed25519:{}", "é".repeat(32))), None);
        assert_eq!(PublicKey::from_text(&format!("p256:{}", "+1".repeat(32))), None);
    }

    #[test]
    fn a_key_of_any_scheme_takes_the_room_of_an_ed25519_key() {
        assert_eq!(size_of::<PublicKey>(), 33);
    }
}
