//! Public keys and signatures as bytes. Whether they are valid is for `gate` to find out.

use borsh::{BorshDeserialize, BorshSerialize};

/// Bytes of an Ed25519 public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// A public key with its scheme. The scheme's number is permanent; other schemes take the next numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum PublicKey {
    /// Ed25519 under the rules of ZIP-215.
    Ed25519([u8; PUBLIC_KEY_BYTES]) = 1,
}

impl PublicKey {
    /// The key's bytes without the scheme.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        match self {
            Self::Ed25519(bytes) => bytes,
        }
    }
}

/// Signature bytes; the scheme is that of the key.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignatureBytes(pub [u8; SIGNATURE_BYTES]);

impl core::fmt::Debug for SignatureBytes {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "SignatureBytes({}…)", crate::hash::Hex(self.0.get(..8).unwrap_or(&[])))
    }
}
