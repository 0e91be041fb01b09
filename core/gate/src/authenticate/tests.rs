use core::convert::Infallible;

use casemate_protocol::envelope::{GroupMode, Intent};
use casemate_protocol::parallel::Sequential;
use chacha20::rand_core::{Rng, TryCryptoRng, TryRng};
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::{ED25519_BASEPOINT_TABLE, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

use super::*;
use crate::NoProofs;
use crate::decode::fixture::{chain_id, intent, opening, order, public_key, sealed, signed, signing_key};
use crate::people::{Passkey, Wallet};

// ---- envelopes, good and forged

fn decoded(bytes: &[u8]) -> Decoded {
    Decoded::from_bytes(bytes.to_vec(), &chain_id()).unwrap()
}

/// An order under a key, made different from others by its nonce.
fn one_order(key: PublicKey, nonce: u64) -> Intent {
    intent(key, nonce, GroupMode::EachAlone, vec![order(nonce)])
}

fn good(key_number: u64, nonce: u64) -> Vec<u8> {
    let key = signing_key(key_number);
    signed(&one_order(public_key(&key), nonce), &key)
}

fn scalar_of(parts: &[&[u8]]) -> Scalar {
    let mut hasher = Sha512::new();
    parts.iter().for_each(|part| hasher.update(part));
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}

/// A signer who may add a point of small order to the key and to each signature's point.
#[derive(Clone, Copy)]
struct Forger {
    secret: Scalar,
    key: [u8; 32],
    torsion: EdwardsPoint,
}

impl Forger {
    fn new(number: u64, key_torsion: EdwardsPoint, torsion: EdwardsPoint) -> Self {
        let secret = scalar_of(&[b"secret", &number.to_le_bytes()]);
        let key = (&secret * ED25519_BASEPOINT_TABLE + key_torsion).compress().to_bytes();
        Self { secret, key, torsion }
    }

    fn honest(number: u64) -> Self {
        Self::new(number, EdwardsPoint::default(), EdwardsPoint::default())
    }

    fn key(&self) -> PublicKey {
        PublicKey::Ed25519(self.key)
    }

    /// Signs, then adds `error` to the scalar: zero for a signature that holds.
    fn sign(&self, digest: &[u8; 32], error: Scalar) -> [u8; 64] {
        let nonce = scalar_of(&[b"nonce", &self.key, digest]);
        let point = (&nonce * ED25519_BASEPOINT_TABLE + self.torsion).compress().to_bytes();
        let scalar = nonce + scalar_of(&[&point, &self.key, digest]) * self.secret + error;
        joined(&point, &scalar.to_bytes())
    }

    fn order(&self, nonce: u64, error: Scalar) -> Decoded {
        decoded(&sealed(&one_order(self.key(), nonce), |digest| self.sign(digest, error)))
    }
}

fn joined(point: &[u8; 32], scalar: &[u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(point);
    signature[32..].copy_from_slice(scalar);
    signature
}

/// Pieces in reverse order, as many at a time as it likes: a strategy may do that.
struct Reversed(usize);

impl Parallel for Reversed {
    fn width(&self) -> usize {
        self.0
    }

    fn for_each_mut<T: Send>(&self, items: &mut [T], work: impl Fn(&mut T) + Sync + Send) {
        items.iter_mut().rev().for_each(work);
    }
}

type Verdict = Result<(), RejectCode>;

fn verdict<T>(result: Result<T, Reject>) -> Verdict {
    result.map(|_| ()).map_err(|reject| reject.code())
}

/// Verdicts one by one, in batches and as a block of several widths; asserts that all agree.
fn agreed_verdicts(envelopes: &[Vec<u8>]) -> Vec<Verdict> {
    let fresh = || envelopes.iter().map(|bytes| decoded(bytes)).collect::<Vec<_>>();
    let alone: Vec<Verdict> = fresh().into_iter().map(|item| verdict(Authenticated::one(item, &NoProofs))).collect();
    let first_bad = alone.iter().enumerate().find_map(|(index, verdict)| verdict.err().map(|code| (index, code)));
    for width in [1, 2, 3] {
        let batch: Vec<Verdict> =
            authenticate_batch(fresh(), &NoProofs, &Reversed(width)).into_iter().map(verdict).collect();
        assert_eq!(batch, alone, "width {width}");
        let block = authenticate_block(fresh(), &NoProofs, &Reversed(width));
        let refused = block.err().map(|(index, reject)| (index, reject.code()));
        assert_eq!(refused, first_bad, "width {width}");
    }
    alone
}

// ---- what is accepted and what is not

#[test]
fn good_signatures_pass_alone_in_a_batch_and_in_a_block() {
    let envelopes: Vec<Vec<u8>> = (0..70).map(|nonce| good(nonce % 9, nonce + 1)).collect();
    assert!(agreed_verdicts(&envelopes).iter().all(Result::is_ok));
    let item = Authenticated::one(decoded(&envelopes[3]), &NoProofs).unwrap();
    assert_eq!(item.bytes(), envelopes[3]);
    assert_eq!(item.digests(), decoded(&envelopes[3]).digests());
    assert!(authenticate_batch(Vec::new(), &NoProofs, &Sequential).is_empty());
    assert!(authenticate_block(Vec::new(), &NoProofs, &Sequential).unwrap().is_empty());
}

#[test]
fn verdicts_come_in_the_order_of_the_items() {
    let envelopes: Vec<Vec<u8>> = (1..=90).map(|nonce| good(nonce, nonce)).collect();
    let items = envelopes.iter().map(|bytes| decoded(bytes)).collect();
    let authenticated = authenticate_block(items, &NoProofs, &Reversed(4)).unwrap();
    assert!(authenticated.iter().map(Authenticated::bytes).eq(envelopes.iter().map(Vec::as_slice)));
}

#[test]
fn every_bit_of_an_envelope_is_covered_by_its_signature() {
    let bytes = good(1, 1);
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            let verdict =
                Decoded::from_bytes(flipped, &chain_id()).and_then(|item| Authenticated::one(item, &NoProofs));
            assert!(verdict.is_err(), "bit {bit} of byte {position}");
        }
    }
}

#[test]
fn another_key_another_message_and_an_unreduced_scalar_are_refused() {
    let refused = Err(RejectCode::SignatureInvalid);
    let wanted = one_order(public_key(&signing_key(1)), 1);
    let other_key = signed(&wanted, &signing_key(2));
    let other_message = sealed(&wanted, |_| signing_key(1).sign(b"something else").to_bytes());
    // s + l holds in the equation as s does; accepting it would give one envelope two byte strings.
    let unreduced = sealed(&wanted, |digest| plus_group_order(signing_key(1).sign(digest).to_bytes()));
    for bytes in [other_key, other_message, unreduced] {
        assert_eq!(agreed_verdicts(&[bytes]), [refused]);
    }
}

/// Adds the order of the prime group to a signature's scalar, byte by byte.
fn plus_group_order(mut signature: [u8; 64]) -> [u8; 64] {
    let mut order_bytes = (-Scalar::ONE).to_bytes();
    order_bytes[0] += 1;
    let mut carry = 0u16;
    for (byte, add) in signature[32..].iter_mut().zip(order_bytes) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(carry, 0, "s + l fits 256 bits");
    signature
}

// ---- keys

#[test]
fn signatures_of_mixed_order_pass_alone_and_in_batches_and_their_keys_may_register() {
    let mut envelopes = Vec::new();
    for (number, key_torsion) in (0..).zip(EIGHT_TORSION) {
        for (nonce, torsion) in (1..).zip(EIGHT_TORSION) {
            let forger = Forger::new(number, key_torsion, torsion);
            assert_eq!(require_valid_key(&forger.key()), Ok(()));
            envelopes.push(forger.order(nonce, Scalar::ZERO).bytes().to_vec());
        }
    }
    assert!(agreed_verdicts(&envelopes).iter().all(Result::is_ok));
}

/// All encodings of points of small order, canonical or not: such a key signs everything at once.
#[test]
fn keys_of_small_order_never_open_an_account_though_their_signatures_hold() {
    let anything = joined(&EdwardsPoint::default().compress().to_bytes(), &[0; 32]);
    let small = small_order_encodings();
    assert_eq!(small.len(), 14);
    let mut envelopes = Vec::new();
    for key in small.into_iter().map(PublicKey::Ed25519) {
        assert_eq!(verdict(require_valid_key(&key)), Err(RejectCode::KeyInvalid));
        let opens = sealed(&opening(key), |_| anything);
        assert_eq!(agreed_verdicts(&[opens, good(1, 1)]), [Err(RejectCode::KeyInvalid), Ok(())]);
        envelopes.push(sealed(&one_order(key, 1), |_| anything));
    }
    assert!(agreed_verdicts(&envelopes).iter().all(Result::is_ok));
}

fn small_order_encodings() -> Vec<[u8; 32]> {
    let canonical = EIGHT_TORSION.map(|point| point.compress().to_bytes());
    let others = non_canonical_encodings().into_iter();
    let small = |bytes: &[u8; 32]| CompressedEdwardsY(*bytes).decompress().unwrap().is_small_order();
    canonical.into_iter().chain(others.filter(small)).collect()
}

/// Every encoding of a point that is not its only one: y from p to 2^255 - 1, and zero x with a sign.
fn non_canonical_encodings() -> Vec<[u8; 32]> {
    let mut encodings = Vec::new();
    for sign in [0, 0x80] {
        for low in 0xed..=0xff {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, 0x7f | sign);
            encodings.push(bytes);
        }
    }
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    encodings.extend([one, minus_one]);
    let is_point = |bytes: &[u8; 32]| CompressedEdwardsY(*bytes).decompress().is_some();
    encodings.into_iter().filter(is_point).collect()
}

#[test]
fn non_canonical_keys_never_open_an_account() {
    let encodings = non_canonical_encodings();
    assert!(encodings.iter().any(|bytes| !CompressedEdwardsY(*bytes).decompress().unwrap().is_small_order()));
    for key in encodings.into_iter().map(PublicKey::Ed25519) {
        assert_eq!(verdict(require_valid_key(&key)), Err(RejectCode::KeyInvalid));
        let opens = sealed(&opening(key), |_| [0; 64]);
        assert_eq!(agreed_verdicts(&[opens]), [Err(RejectCode::KeyInvalid)]);
    }
    let mut not_a_point = [0; 32];
    not_a_point[0] = 2;
    let key = PublicKey::Ed25519(not_a_point);
    assert_eq!(verdict(require_valid_key(&key)), Err(RejectCode::KeyInvalid));
    assert_eq!(
        agreed_verdicts(&[sealed(&one_order(key, 1), |_| [0; 64])]),
        [Err(RejectCode::SignatureInvalid)],
        "outside an opening, a key that is no point has no valid signature"
    );
}

#[test]
fn an_opening_by_a_good_key_passes_and_one_by_a_bad_signature_is_refused_for_the_signature() {
    let key = signing_key(1);
    let wanted = opening(public_key(&key));
    let envelopes = [signed(&wanted, &key), sealed(&wanted, |_| [0; 64])];
    assert_eq!(agreed_verdicts(&envelopes), [Ok(()), Err(RejectCode::SignatureInvalid)]);
}

// ---- cancelling pairs: the attack works with the control off and fails with it on

/// Every coefficient is the same, as with a batch that simply adds the signatures up.
struct EqualCoefficients;

impl TryRng for EqualCoefficients {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(7);
        Ok(())
    }
}

impl TryCryptoRng for EqualCoefficients {}

#[test]
fn errors_that_cancel_under_equal_coefficients_are_refused() {
    let error = Scalar::from(1_234_567u64);
    for (left, right) in [(1, 1), (1, 2)] {
        let pair = || vec![Forger::honest(left).order(1, error), Forger::honest(right).order(2, -error)];
        assert!(equation_holds(&pair(), EqualCoefficients), "the attack works if coefficients are equal");
        assert!(!holds(&pair(), &NoProofs));
        let verdicts: Vec<Verdict> =
            authenticate_batch(pair(), &NoProofs, &Sequential).into_iter().map(verdict).collect();
        assert_eq!(verdicts, [Err(RejectCode::SignatureInvalid); 2]);
        assert_eq!(authenticate_block(pair(), &NoProofs, &Sequential).unwrap_err().0, 0);
    }
}

/// A transcript without the signatures: what an implementation might hash that forgets them.
fn coefficients_without_signatures(items: &[Decoded]) -> ChaCha20Rng {
    let mut transcript = Hasher::new(Domain::BatchCoefficients);
    for item in items {
        transcript.update_value(&item.envelope().intent.signer.key);
        transcript.update(item.digests().envelope.bytes());
    }
    ChaCha20Rng::from_seed(transcript.finish().0)
}

fn next_coefficient(stream: &mut impl Rng) -> Scalar {
    let mut bytes = [0; 16];
    stream.fill_bytes(&mut bytes);
    Scalar::from(u128::from_le_bytes(bytes))
}

#[test]
fn errors_that_cancel_under_coefficients_known_beforehand_are_refused() {
    // One key, so that the library keeps the two in the order in which they were queued.
    let forger = Forger::honest(1);
    let honest = [forger.order(1, Scalar::ZERO), forger.order(2, Scalar::ZERO)];
    let cancelling = |mut known: ChaCha20Rng| {
        let (first, second) = (next_coefficient(&mut known), next_coefficient(&mut known));
        let error = Scalar::from(99u64);
        [forger.order(1, error), forger.order(2, -error * first * second.invert())]
    };

    let forgetful = cancelling(coefficients_without_signatures(&honest));
    assert!(
        equation_holds(&forgetful, coefficients_without_signatures(&forgetful)),
        "the attack works if coefficients do not depend on the signatures"
    );
    assert!(!holds(&forgetful, &NoProofs));

    let complete = cancelling(coefficients(&honest));
    assert!(
        equation_holds(&complete, coefficients(&honest)),
        "the attack would work if coefficients stayed what they were before the change"
    );
    assert!(!holds(&complete, &NoProofs));
}

#[test]
fn coefficients_depend_on_every_message_with_its_key_on_every_signature_and_on_the_count() {
    let first_coefficients = |items: &[Decoded]| {
        let mut stream = coefficients(items);
        (next_coefficient(&mut stream), next_coefficient(&mut stream))
    };
    let base = || vec![Forger::honest(1).order(1, Scalar::ZERO), Forger::honest(2).order(2, Scalar::ZERO)];
    let expected = first_coefficients(&base());
    assert_eq!(first_coefficients(&base()), expected, "same batch, same coefficients");
    assert_ne!(expected.0, expected.1);
    for position in [0, 1] {
        let mut changed = base();
        let error_free = &base()[position];
        let other_message = one_order(error_free.envelope().intent.signer.key, 9);
        let SignatureBytes::Ed25519(signature) = error_free.envelope().signature else { panic!("another form") };
        changed[position] = decoded(&sealed(&other_message, |_| signature));
        assert_ne!(first_coefficients(&changed), expected, "message {position}");
        for byte in [0, 31, 32, 63] {
            let mut bytes = error_free.bytes().to_vec();
            let signature_start = bytes.len() - 64;
            bytes[signature_start + byte] ^= 1;
            changed[position] = decoded(&bytes);
            assert_ne!(first_coefficients(&changed), expected, "byte {byte} of signature {position}");
        }
    }
    assert_ne!(first_coefficients(&base()[..1]), expected);
    assert_ne!(first_coefficients(&[]), expected);
}

// ---- finding the bad ones

#[test]
fn slicing_finds_exactly_the_bad_ones() {
    let all: Vec<Vec<u8>> = (1..=200).map(|nonce| good(nonce % 5, nonce)).collect();
    let bad_sets: [&[usize]; 7] =
        [&[0], &[199], &[99, 100], &[0, 199], &[7, 63, 64, 65, 128], &[50, 51, 52, 53], &[17, 130]];
    for bad in bad_sets {
        let mut envelopes = all.clone();
        bad.iter().for_each(|&index| *envelopes[index].last_mut().unwrap() ^= 1);
        let found: Vec<usize> = agreed_verdicts(&envelopes)
            .iter()
            .enumerate()
            .filter_map(|(index, verdict)| verdict.is_err().then_some(index))
            .collect();
        assert_eq!(found, bad);
    }
}

#[test]
fn a_batch_of_nothing_but_bad_signatures_is_refused_whole() {
    let envelopes: Vec<Vec<u8>> =
        (1..=150).map(|nonce| Forger::honest(nonce).order(nonce, Scalar::ONE).bytes().to_vec()).collect();
    assert!(agreed_verdicts(&envelopes).iter().all(Result::is_err));
}

#[test]
fn batches_cover_everything_are_never_too_long_and_shrink_towards_the_end() {
    assert!(batch_lengths(0, 1).is_empty());
    assert_eq!(batch_lengths(5, 0), [5]);
    for width in [1, 2, 3, 7, 64] {
        for item_count in [1, 15, 16, 17, 100, 1_000, 1_023, 1_024, 1_025, 2_048, 4_095, 4_096] {
            let lengths = batch_lengths(item_count, width);
            assert_eq!(lengths.iter().sum::<usize>(), item_count);
            assert!(lengths.is_sorted_by(|left, right| left >= right), "{lengths:?}");
            assert!(lengths.iter().all(|&length| length <= BATCH_SIGNATURES_MAX));
            let (_, but_last) = lengths.split_last().unwrap();
            assert!(but_last.iter().all(|&length| length >= BATCH_SIGNATURES_MIN));
            assert!(lengths.len() >= width.min(item_count / (2 * BATCH_SIGNATURES_MIN)), "work for everyone");
        }
    }
    assert_eq!(batch_lengths(4_096, 1), [1_024; 4]);
    assert_eq!(batch_lengths(4_096, 2)[..3], [1_024, 768, 576]);
    assert!(batch_lengths(4_096, 2)[4..].iter().all(|&length| length <= 2 * LAST_BATCH_SIGNATURES));
}

// ---- schemes side by side

/// Good and bad ones of three schemes in any order get their own verdicts, and no bad one spoils its neighbours.
#[test]
fn a_batch_of_three_schemes_gets_the_verdicts_of_each_alone() {
    let wallet = |number: u8, nonce: u64, is_good: bool| {
        let wallet = Wallet::new(number);
        let wanted = one_order(wallet.key(), nonce);
        let signer = if is_good { wallet } else { Wallet::new(number + 100) };
        signer.seal(&wanted).encode()
    };
    let passkey = |number: u8, nonce: u64, is_good: bool| {
        let passkey = Passkey::new(number);
        let wanted = one_order(passkey.key(), nonce);
        let flags = if is_good { passkey.flags } else { 0 };
        Passkey { flags, ..passkey }.seal(&wanted).encode()
    };
    let mut envelopes = Vec::new();
    let mut expected = Vec::new();
    for nonce in 1..=20u64 {
        let number = u8::try_from(nonce).unwrap();
        envelopes.extend([
            good(nonce, nonce),
            wallet(number, nonce, nonce % 7 != 0),
            passkey(number, nonce, nonce % 9 != 0),
        ]);
        let of = |is_good, code| if is_good { Ok(()) } else { Err(code) };
        expected.push(Ok(()));
        expected.push(of(nonce % 7 != 0, RejectCode::SignatureInvalid));
        expected.push(of(nonce % 9 != 0, RejectCode::PasskeyUserNotVerified));
    }
    assert_eq!(agreed_verdicts(&envelopes), expected);
    // A bad one of each scheme, and batches in which there is nothing for the equation.
    envelopes[30] = Forger::honest(1).order(1, Scalar::ONE).bytes().to_vec();
    expected[30] = Err(RejectCode::SignatureInvalid);
    assert_eq!(agreed_verdicts(&envelopes), expected);
    for wallets in 1..4 {
        let envelopes: Vec<Vec<u8>> = (1..=wallets).map(|number| wallet(number, number.into(), true)).collect();
        assert!(agreed_verdicts(&envelopes).iter().all(Result::is_ok));
    }
}

// ---- Wycheproof

/// Wycheproof judges by RFC 8032, this chain by ZIP-215. They see one vector of the file differently: its point R is the
/// neutral element with the sign of a zero x set. ZIP-215 takes such encodings, so that all software agrees about them; the
/// signature says nothing that its key's owner did not sign.
#[test]
fn wycheproof_on_ed25519() {
    let Some(file) = crate::ecdsa::tests::wycheproof("ed25519_test") else { return };
    let (mut judged, mut seen_differently) = (0, Vec::new());
    for group in file["testGroups"].as_array().unwrap() {
        let key: [u8; 32] = crate::ecdsa::tests::bytes_of(&group["publicKey"]["pk"]).try_into().unwrap();
        for test in group["tests"].as_array().unwrap() {
            let message = crate::ecdsa::tests::bytes_of(&test["msg"]);
            let verdict = <[u8; 64]>::try_from(crate::ecdsa::tests::bytes_of(&test["sig"])).is_ok_and(|signature| {
                let signature = Signature::from_bytes(&signature);
                let item = Item::from((VerificationKeyBytes::from(key), signature, message.as_slice()));
                let mut batch = Verifier::new();
                batch.queue(item.clone());
                batch.queue(item.clone());
                let alone = item.verify_single().is_ok();
                assert_eq!(batch.verify(ChaCha20Rng::from_seed([1; 32])).is_ok(), alone, "{test}");
                alone
            });
            if verdict != (test["result"] == "valid") {
                seen_differently.push(test["tcId"].as_u64().unwrap());
            }
            judged += 1;
        }
    }
    assert_eq!(judged, file["numberOfTests"].as_u64().unwrap());
    assert_eq!(seen_differently, [151]);
}

// ---- any mix

#[derive(Clone, Copy, Debug)]
enum Kind {
    Good,
    MixedOrder(usize, usize),
    WrongScalar,
    WrongPoint,
    PointNotOnCurve,
    UnreducedScalar,
    OtherMessage,
    SmallOrderKey(usize),
    OpeningBySmallOrder(usize),
    Opening,
}

impl Kind {
    fn expected(self) -> Verdict {
        match self {
            Self::Good | Self::MixedOrder(..) | Self::SmallOrderKey(_) | Self::Opening => Ok(()),
            Self::OpeningBySmallOrder(_) => Err(RejectCode::KeyInvalid),
            Self::WrongScalar
            | Self::WrongPoint
            | Self::PointNotOnCurve
            | Self::UnreducedScalar
            | Self::OtherMessage => Err(RejectCode::SignatureInvalid),
        }
    }

    fn envelope(self, key_number: u64, nonce: u64) -> Vec<u8> {
        let forger = Forger::honest(key_number);
        let wanted = one_order(forger.key(), nonce);
        let holds = |digest: &[u8; 32]| forger.sign(digest, Scalar::ZERO);
        let small_key = |index: usize| PublicKey::Ed25519(EIGHT_TORSION[index].compress().to_bytes());
        let anything = joined(&EdwardsPoint::default().compress().to_bytes(), &[0; 32]);
        match self {
            Self::Good => sealed(&wanted, holds),
            Self::MixedOrder(key, point) => {
                let forger = Forger::new(key_number, EIGHT_TORSION[key], EIGHT_TORSION[point]);
                forger.order(nonce, Scalar::ZERO).bytes().to_vec()
            }
            Self::WrongScalar => sealed(&wanted, |digest| forger.sign(digest, Scalar::ONE)),
            Self::WrongPoint => sealed(&wanted, |digest| {
                let signature = holds(digest);
                let other = (EdwardsPoint::mul_base(&Scalar::from(nonce))).compress().to_bytes();
                joined(&other, signature.last_chunk().unwrap())
            }),
            Self::PointNotOnCurve => sealed(&wanted, |digest| {
                let mut point = [0; 32];
                point[0] = 2;
                joined(&point, holds(digest).last_chunk().unwrap())
            }),
            Self::UnreducedScalar => sealed(&wanted, |digest| plus_group_order(holds(digest))),
            Self::OtherMessage => sealed(&wanted, |_| holds(&[3; 32])),
            Self::SmallOrderKey(index) => sealed(&one_order(small_key(index), nonce), |_| anything),
            Self::OpeningBySmallOrder(index) => sealed(&opening(small_key(index)), |_| anything),
            Self::Opening => sealed(&opening(forger.key()), holds),
        }
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        60 => Just(Kind::Good),
        8 => (0usize..8, 0usize..8).prop_map(|(key, point)| Kind::MixedOrder(key, point)),
        1 => Just(Kind::WrongScalar),
        1 => Just(Kind::WrongPoint),
        1 => Just(Kind::PointNotOnCurve),
        1 => Just(Kind::UnreducedScalar),
        1 => Just(Kind::OtherMessage),
        1 => (0usize..8).prop_map(Kind::SmallOrderKey),
        1 => (0usize..8).prop_map(Kind::OpeningBySmallOrder),
        1 => Just(Kind::Opening),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn prop_single_batch_and_block_agree_on_any_mix(
        items in proptest::collection::vec((any_kind(), 0u64..12), 0..300)
    ) {
        let envelopes: Vec<Vec<u8>> =
            (1..).zip(&items).map(|(nonce, &(kind, key))| kind.envelope(key, nonce)).collect();
        let expected: Vec<Verdict> = items.iter().map(|&(kind, _)| kind.expected()).collect();
        prop_assert_eq!(agreed_verdicts(&envelopes), expected);
    }
}
