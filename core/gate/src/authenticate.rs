//! Stages 2 and 4: the signature fits key and envelope digest: Ed25519 under the rules of ZIP-215, ECDSA by wallets and passkeys
//! as `eip712` and `webauthn` say.
//!
//! A batch may mix them. Wallets and passkeys sign now and then, so theirs are checked one by one in the same pieces; what
//! follows is about Ed25519.
//!
//! This is the floor under the engine's speed, so envelopes are checked in batches: one equation over many signatures
//! costs about half of checking each. Single check and batch come from one library and use the same cofactored
//! equation, so they accept the same signatures, also under keys and points of mixed order, where most libraries
//! disagree with themselves.
//!
//! # Why two replicas reach the same verdict
//!
//! The single check is the law, and it is a function of the bytes. A batch agrees with it:
//!
//! - If every signature passes alone, every term of the batch equation is zero, so the batch passes whatever the
//!   coefficients are. A failing batch therefore always holds a signature that fails alone.
//! - If one fails alone, the batch passes only if the coefficients happen to cancel it: for coefficients of 128 bits,
//!   once in 2^128 tries.
//!
//! An attacker who knows the coefficients before choosing the signatures makes two failures cancel, so they come from a
//! hash over the whole batch: count, keys, digests, signatures. Changing any bit changes all of them, and one can
//! only try again. No secret is needed, and none is used: core has no randomness.
//!
//! Inside the library the signatures sit in a hash map by key, seeded anew for each map, so which signature gets which
//! coefficient differs from run to run; and a machine with more cores cuts other batches. Neither weakens the argument.
//! The order is chosen without regard to the coefficients, so the bound holds for *each* order and therefore for one
//! drawn at random: to find a batch that one in k replicas accepts wrongly, an attacker hashes about 2^128 / k batches.
//! Nothing but the verdict leaves the library, so nothing else can differ. Keys that collide in that map, if anyone
//! can make them, cost at most a search through one batch each.

use casemate_protocol::envelope::EnvelopeDigests;
use casemate_protocol::hash::{Domain, Hasher};
use casemate_protocol::keys::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES};
use casemate_protocol::parallel::Parallel;
use casemate_protocol::{Digest, Envelope, PublicKey, Reject, RejectCode, SignatureBytes};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{CryptoRng, SeedableRng};
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_zebra::batch::{Item, Verifier};
use ed25519_zebra::{Signature, VerificationKeyBytes};

use crate::decode::{Decoded, EnvelopeParts};
use crate::ecdsa::{P256Key, recover_address};
use crate::eip712::TypedData;
use crate::proofs::ProofVerifier;
use crate::webauthn;

/// An envelope of this chain whose signature and evidence were checked. Whether its key may act is for the next stage.
#[derive(Debug)]
pub struct Authenticated(Decoded);

impl Authenticated {
    /// Checks one envelope by itself. In a batch it costs half as much.
    ///
    /// # Errors
    /// `KeyInvalid`, `SignatureInvalid`, what a wallet's or passkey's signature can be refused with, and what the verifier
    /// refuses evidence with.
    pub fn one(item: Decoded, proofs: &dyn ProofVerifier) -> Result<Self, Reject> {
        match refusal_alone(&item).or_else(|| refusal_of_evidence(&item, proofs)) {
            None => Ok(Self(item)),
            Some(refusal) => Err(refusal),
        }
    }

    /// The bytes that arrived.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The envelope in them.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        self.0.envelope()
    }

    /// Its id, and what its signature signs.
    #[must_use]
    pub const fn digests(&self) -> &EnvelopeDigests {
        self.0.digests()
    }

    /// Its verification weight.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.0.weight()
    }

    /// Whether it opens an account, with a key that is canonical and of large order.
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        self.0.is_opening()
    }

    /// Whether it is what an announced root key signs to take over, and nothing besides.
    #[must_use]
    pub fn is_acceptance(&self) -> bool {
        self.0.is_acceptance()
    }

    /// Takes the stage apart. What comes out is plain data and proves nothing.
    #[must_use]
    pub fn into_parts(self) -> EnvelopeParts {
        self.0.into_parts()
    }
}

/// Checks envelopes from many senders: each gets its own verdict, in the order of the items.
///
/// A batch that fails is checked again in slices, and the slices that fail one by one. A single bad signature makes a
/// full batch cost 2.3 times as much, and nothing but bad ones make it cost 4.2 times as much; more is not possible.
pub fn authenticate_batch<P: Parallel>(
    items: Vec<Decoded>,
    proofs: &dyn ProofVerifier,
    parallel: &P,
) -> Vec<Result<Authenticated, Reject>> {
    let mut refusals: Vec<Option<Reject>> = vec![None; items.len()];
    let (mut items_left, mut refusals_left) = (items.as_slice(), refusals.as_mut_slice());
    let mut batches = Vec::new();
    for length in batch_lengths(items.len(), parallel.width()) {
        let (items, refusals);
        (items, items_left) = items_left.split_at(length);
        (refusals, refusals_left) = refusals_left.split_at_mut(length);
        batches.push(Batch { items, refusals, proofs });
    }
    parallel.for_each_mut(&mut batches, Batch::judge);
    let judged = items.into_iter().zip(refusals);
    judged.map(|(item, refusal)| refusal.map_or_else(|| Ok(Authenticated(item)), Err)).collect()
}

/// Checks a proposed block, which one bad signature makes invalid.
///
/// # Errors
/// Index and refusal (as of [`Authenticated::one`]) of the first envelope that fails.
pub fn authenticate_block<P: Parallel>(
    items: Vec<Decoded>,
    proofs: &dyn ProofVerifier,
    parallel: &P,
) -> Result<Vec<Authenticated>, (usize, Reject)> {
    let mut left = items.as_slice();
    let mut batches: Vec<(&[Decoded], bool)> = Vec::new();
    for length in batch_lengths(items.len(), parallel.width()) {
        let batch;
        (batch, left) = left.split_at(length);
        batches.push((batch, false));
    }
    parallel.for_each_mut(&mut batches, |(items, is_good)| *is_good = holds(items, proofs));
    if batches.iter().any(|&(_, is_good)| !is_good) {
        // Every batch before the first failing one held, so the first failure of all lies there.
        let held = batches.iter().take_while(|&&(_, is_good)| is_good).map(|(items, _)| items.len()).sum();
        for (index, item) in items.iter().enumerate().skip(held) {
            if let Some(refusal) = refusal_alone(item).or_else(|| refusal_of_evidence(item, proofs)) {
                return Err((index, refusal));
            }
        }
    }
    Ok(items.into_iter().map(Authenticated).collect())
}

/// Checks that a key may become a root key: its bytes are the one encoding of their point, so two names never stand for
/// one key, and the point is not of small order, so a signature by it binds to its message. An address is a hash and
/// proves itself with the first signature.
///
/// Keys of mixed order pass: ZIP-215 treats them consistently, and their owner gains nothing by them. Costs about
/// as much as a signature in a batch, so callers check what is cheap first.
///
/// # Errors
/// `KeyInvalid`.
pub fn require_valid_key(key: &PublicKey) -> Result<(), Reject> {
    let is_valid = match key {
        PublicKey::Ed25519(bytes) => {
            let compressed = CompressedEdwardsY(*bytes);
            compressed.decompress().is_some_and(|point| !point.is_small_order() && point.compress() == compressed)
        }
        PublicKey::Secp256k1(_) => true,
        PublicKey::P256(x) => P256Key { x: *x, is_y_odd: false }.is_on_curve(),
    };
    if is_valid { Ok(()) } else { Err(RejectCode::KeyInvalid.into()) }
}

/// Checks that a key may become a session key: as [`require_valid_key`], and of the one scheme that sessions have.
///
/// # Errors
/// `KeyInvalid`.
pub fn require_valid_session_key(key: &PublicKey) -> Result<(), Reject> {
    if key.is_for_sessions() { require_valid_key(key) } else { Err(RejectCode::KeyInvalid.into()) }
}

/// Most signatures in one batch. The cost of one falls with the size of its batch, from 1.2 times the least in batches
/// of 64, over 1.05 in 256, to within 1 % of the least in 768 and more; longer batches leave the cache and only make
/// the first verdict later.
pub const BATCH_SIGNATURES_MAX: usize = 1_024;

/// Fewest signatures for which another worker is given a batch of its own. Below this a signature quickly costs more:
/// 1.25 times the least in batches of 16, 1.3 in 8, 1.7 in 2.
pub const BATCH_SIGNATURES_MIN: usize = 16;

/// Signatures in one slice of a batch that failed. Slices cost a signature little more than halves do, so one round of
/// small slices finds the bad ones sooner than halving again and again: among 1,024 with one bad, 16 ms instead of 19
/// on average and 26 at worst, and checking each alone would take 24.
const SLICE_SIGNATURES: usize = 16;

const _: () = assert!(BATCH_SIGNATURES_MIN > 0 && SLICE_SIGNATURES > 0, "cutting needs a length");

/// A batch and where its refusals go.
struct Batch<'a> {
    items: &'a [Decoded],
    refusals: &'a mut [Option<Reject>],
    proofs: &'a dyn ProofVerifier,
}

impl Batch<'_> {
    /// Writes down the refusals, if there are any. Evidence is looked at only where the signature holds: it costs more.
    fn judge(&mut self) {
        self.judge_signatures();
        for (item, refusal) in self.items.iter().zip(self.refusals.iter_mut()).filter(|(_, refusal)| refusal.is_none())
        {
            *refusal = refusal_of_evidence(item, self.proofs);
        }
    }

    /// Whatever is not Ed25519 is judged once, by itself.
    fn judge_signatures(&mut self) {
        for (item, refusal) in self.items.iter().zip(self.refusals.iter_mut()).filter(|(item, _)| !is_ed25519(item)) {
            *refusal = refusal_alone(item);
        }
        if ed25519_holds(self.items) {
            return;
        }
        let slices = self.items.chunks(SLICE_SIGNATURES).zip(self.refusals.chunks_mut(SLICE_SIGNATURES));
        for (items, refusals) in slices {
            if ed25519_holds(items) {
                continue;
            }
            for (item, refusal) in items.iter().zip(refusals).filter(|(item, _)| is_ed25519(item)) {
                *refusal = refusal_alone(item);
            }
        }
    }
}

/// Signatures of the batches that are handed out last: a worker that ends early takes one of them over, and they cost
/// little more than the longest.
const LAST_BATCH_SIGNATURES: usize = 256;

/// How to cut a number of signatures into batches for so many workers.
///
/// One worker gets as few as the maximum allows, of equal length. Several get long ones first and shorter ones towards
/// the end: whoever is done with other work joins in, and nobody waits long for the last.
fn batch_lengths(item_count: usize, width: usize) -> Vec<usize> {
    let per_worker = item_count.div_ceil(width.max(1));
    if width <= 1 {
        let rounds = per_worker.div_ceil(BATCH_SIGNATURES_MAX).max(1);
        return cut(item_count, |_left| per_worker.div_ceil(rounds));
    }
    let shortest = per_worker.min(LAST_BATCH_SIGNATURES);
    cut(item_count, |left| (left / width.saturating_mul(2)).clamp(shortest, BATCH_SIGNATURES_MAX))
}

/// Cuts a number into lengths that sum up to it, each as long as asked for with what is left.
fn cut(item_count: usize, length: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut left = item_count;
    let mut lengths = Vec::new();
    while left > 0 {
        let next = length(left).max(BATCH_SIGNATURES_MIN).min(left);
        lengths.push(next);
        left = left.saturating_sub(next);
    }
    lengths
}

/// Why an envelope is refused, if it is, by the check that defines the verdict.
fn refusal_alone(item: &Decoded) -> Option<Reject> {
    if let Err(refusal) = require_opening_key(item) {
        return Some(refusal);
    }
    verify_alone(item).err().map(Reject::from)
}

fn verify_alone(item: &Decoded) -> Result<(), RejectCode> {
    let envelope = item.envelope();
    let shown = || TypedData::of_envelope(envelope, item.digests().intent).ok_or(RejectCode::WalletCommandCount);
    verify_signature(&envelope.intent.signer.key, &envelope.signature, &item.digests().envelope, shown)
}

/// Whether a signature fits a key and a digest. What a wallet shows of the digest is made only where a wallet signed.
pub(crate) fn verify_signature(
    key: &PublicKey,
    signature: &SignatureBytes,
    digest: &Digest,
    shown: impl FnOnce() -> Result<TypedData, RejectCode>,
) -> Result<(), RejectCode> {
    match (key, signature) {
        (PublicKey::Ed25519(key), SignatureBytes::Ed25519(signature)) => {
            signed(digest, key, signature).verify_single().map_err(|_error| RejectCode::SignatureInvalid)
        }
        (PublicKey::Secp256k1(address), SignatureBytes::Eip712(signature)) => {
            let is_by_key = recover_address(&shown()?.signing_hash(), signature)? == *address;
            if is_by_key { Ok(()) } else { Err(RejectCode::SignatureInvalid) }
        }
        (PublicKey::P256(x), SignatureBytes::WebAuthn(assertion)) => webauthn::verify(x, assertion, digest),
        (PublicKey::Ed25519(_) | PublicKey::Secp256k1(_) | PublicKey::P256(_), _) => {
            Err(RejectCode::SignatureFormUnfit)
        }
    }
}

/// Why the evidence of an envelope is refused, if it is.
fn refusal_of_evidence(item: &Decoded, proofs: &dyn ProofVerifier) -> Option<Reject> {
    let (account, intent) = (item.envelope().intent.account, &item.digests().intent);
    item.envelope().evidence.iter().find_map(|piece| proofs.verify(piece, account, intent).err())
}

/// Whether no envelope of a batch is refused.
fn holds(items: &[Decoded], proofs: &dyn ProofVerifier) -> bool {
    ed25519_holds(items)
        && items.iter().filter(|item| !is_ed25519(item)).all(|item| refusal_alone(item).is_none())
        && items.iter().all(|item| refusal_of_evidence(item, proofs).is_none())
}

/// Whether no envelope of a batch that an Ed25519 key signs is refused.
fn ed25519_holds(items: &[Decoded]) -> bool {
    match items {
        // The batch equation costs more than the single one until there are two signatures to share it.
        [item] => !is_ed25519(item) || refusal_alone(item).is_none(),
        _ => {
            items.iter().all(|item| !is_ed25519(item) || require_opening_key(item).is_ok())
                && equation_holds(items, coefficients(items))
        }
    }
}

fn is_ed25519(item: &Decoded) -> bool {
    matches!(item.envelope().intent.signer.key, PublicKey::Ed25519(_))
}

/// Any other key was looked at when it was registered; a key that never was is refused by the next stage.
fn require_opening_key(item: &Decoded) -> Result<(), Reject> {
    if item.is_opening() { require_valid_key(&item.envelope().intent.signer.key) } else { Ok(()) }
}

/// The batch equation. The library draws one coefficient of 128 bits per signature, after all are queued.
fn equation_holds(items: &[Decoded], coefficients: impl CryptoRng) -> bool {
    let mut verifier = Verifier::new();
    for item in items {
        if let Some((key, signature)) = ed25519_of(item) {
            verifier.queue(signed(&item.digests().envelope, key, signature));
        }
    }
    verifier.verify(coefficients).is_ok()
}

/// A stream that is fixed by everything that goes into the batch equation, and by nothing else.
fn coefficients(items: &[Decoded]) -> ChaCha20Rng {
    let mut transcript = Hasher::new(Domain::BatchCoefficients);
    // The count and the fixed width of what follows make the transcript readable in one way only.
    let count = items.iter().filter(|item| is_ed25519(item)).count();
    transcript.update_value(&u64::try_from(count).unwrap_or(u64::MAX));
    for item in items {
        let Some((_, signature)) = ed25519_of(item) else { continue };
        transcript.update_value(&item.envelope().intent.signer.key);
        transcript.update(item.digests().envelope.bytes());
        transcript.update(signature);
    }
    ChaCha20Rng::from_seed(transcript.finish().0)
}

/// Key and signature of an envelope that goes into the batch equation.
fn ed25519_of(item: &Decoded) -> Option<(&[u8; PUBLIC_KEY_BYTES], &[u8; SIGNATURE_BYTES])> {
    match (&item.envelope().intent.signer.key, &item.envelope().signature) {
        (PublicKey::Ed25519(key), SignatureBytes::Ed25519(signature)) => Some((key, signature)),
        (PublicKey::Ed25519(_) | PublicKey::Secp256k1(_) | PublicKey::P256(_), _) => None,
    }
}

/// Key, signature and challenge in the library's form. The challenge, SHA-512 over point, key and digest, is computed
/// here.
fn signed(digest: &Digest, key: &[u8; PUBLIC_KEY_BYTES], signature: &[u8; SIGNATURE_BYTES]) -> Item {
    let signature = Signature::from_bytes(signature);
    Item::from((VerificationKeyBytes::from(*key), signature, digest.bytes()))
}

#[cfg(test)]
mod tests;
