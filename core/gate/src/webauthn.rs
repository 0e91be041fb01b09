//! Passkeys: what an authenticator signs when a page asks it for an assertion, and what of it is looked at.
//!
//! The authenticator signs its own data and the hash of what the browser wrote about the request. That text is JSON, but
//! browsers must write it so that its beginning can be compared byte by byte: the "limited verification algorithm" of
//! WebAuthn (section 5.8.1.2). So no JSON is read here: what does not begin as documented is refused.
//!
//! Stateless and checked with the signature: the form, the challenge (which is the envelope digest), that the user was
//! there and was verified, the signature. What genesis and the account's row decide comes with inclusion: the origin,
//! the relying party and the counter.

use casemate_protocol::genesis::PasskeyOrigin;
use casemate_protocol::keys::Assertion;
use casemate_protocol::{Digest, Reject, RejectCode};
use sha2::{Digest as _, Sha256};

use crate::ecdsa::{P256Key, verify_p256};

/// What an assertion says besides its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// SHA-256 of the relying party.
    relying_party_hash: &'a [u8; 32],
    flags: u8,
    /// Uses of the passkey so far; zero from one that does not count, as synchronised ones do not.
    count: u32,
    /// The challenge as the browser wrote it: base64url without padding.
    challenge: &'a [u8],
    /// The page's origin.
    origin: &'a [u8],
}

impl<'a> Statement<'a> {
    /// Reads both parts. What follows the parts that are looked at is signed too, and left alone.
    ///
    /// # Errors
    /// `PasskeyDataMalformed`.
    pub fn of(assertion: &'a Assertion) -> Result<Self, RejectCode> {
        let malformed = RejectCode::PasskeyDataMalformed;
        let authenticator = assertion.authenticator_data.as_slice();
        let (relying_party_hash, rest) = authenticator.split_first_chunk::<32>().ok_or(malformed)?;
        let (flags, rest) = rest.split_first().ok_or(malformed)?;
        let (count, _extensions) = rest.split_first_chunk::<4>().ok_or(malformed)?;
        let (challenge, origin) = client_data(assertion.client_data.as_slice()).ok_or(malformed)?;
        Ok(Self { relying_party_hash, flags: *flags, count: u32::from_be_bytes(*count), challenge, origin })
    }

    /// Uses of the passkey so far.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether genesis names the page and the relying party together.
    ///
    /// # Errors
    /// `PasskeyOriginNotAllowed`.
    pub fn require_origin(&self, allowed: &[PasskeyOrigin]) -> Result<(), Reject> {
        let is_this = |named: &PasskeyOrigin| {
            named.origin.as_slice() == self.origin && named.relying_party_hash().bytes() == self.relying_party_hash
        };
        if allowed.iter().any(is_this) { Ok(()) } else { Err(RejectCode::PasskeyOriginNotAllowed.into()) }
    }

    /// A passkey that counts its uses has to count on: one that does not was copied, or this is an older answer.
    ///
    /// # Errors
    /// `PasskeyCounterNotHigher`.
    pub fn require_count_above(&self, last: u32) -> Result<(), Reject> {
        if last == 0 || self.count > last {
            return Ok(());
        }
        Err(Reject::of(RejectCode::PasskeyCounterNotHigher).required(last.into()).present(self.count.into()))
    }
}

/// Whether the passkey with this x answered this challenge, with its user present and verified.
///
/// # Errors
/// `PasskeyDataMalformed`, `PasskeyChallengeWrong`, `PasskeyUserNotVerified`, `SignatureNotLow`, `SignatureInvalid`.
pub fn verify(x: &[u8; 32], assertion: &Assertion, challenge: &Digest) -> Result<(), RejectCode> {
    let statement = Statement::of(assertion)?;
    if statement.challenge != base64url(challenge.bytes()) {
        return Err(RejectCode::PasskeyChallengeWrong);
    }
    if statement.flags & USER_WAS_VERIFIED != USER_WAS_VERIFIED {
        return Err(RejectCode::PasskeyUserNotVerified);
    }
    let key = P256Key { x: *x, is_y_odd: assertion.is_key_y_odd };
    verify_p256(&key, &signed_hash(assertion), &assertion.r, &assertion.s)
}

/// What the authenticator signed.
#[must_use]
pub fn signed_hash(assertion: &Assertion) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(assertion.authenticator_data.as_slice());
    hasher.update(Sha256::digest(assertion.client_data.as_slice()));
    hasher.finalize().into()
}

/// 32 bytes as browsers write a challenge.
#[must_use]
pub fn base64url(bytes: &[u8; 32]) -> [u8; CHALLENGE_LENGTH] {
    let mut text = [0; CHALLENGE_LENGTH];
    for (group, letters) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let at = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for (letter, shift) in letters.iter_mut().zip([18u32, 12, 6, 0]) {
            let place = usize::try_from((bits >> shift) & 0x3f).unwrap_or(0);
            *letter = ALPHABET.get(place).copied().unwrap_or(0);
        }
    }
    text
}

/// Challenge and origin of what a browser wrote, if it begins as it must: an assertion, asked for by the page itself
/// and not by a frame of another origin. Escapes never appear in an origin that genesis can name, so a quotation mark
/// ends it.
fn client_data(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = text.strip_prefix(br#"{"type":"webauthn.get","challenge":""#)?;
    let (challenge, rest) = until_quote(rest)?;
    let (origin, rest) = until_quote(rest.strip_prefix(br#","origin":""#)?)?;
    let rest = rest.strip_prefix(br#","crossOrigin":false"#)?;
    (rest == b"}" || rest.starts_with(b",")).then_some((challenge, origin))
}

fn until_quote(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'"')?;
    let (inside, rest) = text.split_at(end);
    Some((inside, rest.strip_prefix(b"\"")?))
}

/// Base64url letters of 32 bytes.
pub const CHALLENGE_LENGTH: usize = 43;

/// Flags "user present" and "user verified".
const USER_WAS_VERIFIED: u8 = 0b101;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests;
