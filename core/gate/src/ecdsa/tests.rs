use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::people::{Wallet, other_half};

// ---- Wycheproof: vectors that broke other implementations

/// The vectors of a file of Wycheproof, if the data folder is there.
#[expect(clippy::disallowed_methods, reason = "test vectors are too large for the repository")]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn wycheproof(name: &str) -> Option<Value> {
    let beside_the_workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("CASEMATE_DATA").map_or(beside_the_workspace, PathBuf::from);
    let path = folder.join("crypto/wycheproof").join(format!("{name}.json.zst"));
    let Ok(packed) = std::fs::read(&path) else {
        println!("skipped: no vectors at `{}`; set CASEMATE_DATA to the folder that has them", path.display());
        return None;
    };
    Some(serde_json::from_slice(&zstd::decode_all(packed.as_slice()).unwrap()).unwrap())
}

pub(crate) fn bytes_of(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// One signature of a file: the key, the hash, and the two halves.
struct Case<'a> {
    point: [u8; 65],
    hash: [u8; 32],
    r: [u8; 32],
    s: [u8; 32],
    is_valid: bool,
    flags: Vec<&'a str>,
    comment: &'a str,
}

/// Hands every signature of a file that can be written as two halves of 32 bytes to `judge`; how many there were, and
/// how many could not be written. Only forms that a standard DER reader refuses may fall into the second.
fn for_each_case(file: &Value, mut judge: impl FnMut(&Case<'_>)) -> (usize, usize) {
    let (mut judged, mut left_out) = (0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let point = bytes_of(&group["publicKey"]["uncompressed"]).try_into().unwrap();
        for test in group["tests"].as_array().unwrap() {
            let is_valid = test["result"] == "valid";
            let Some((r, s)) = strict_der(&bytes_of(&test["sig"])) else {
                assert!(!is_valid, "a valid signature cannot be written: {test}");
                left_out += 1;
                continue;
            };
            let hash = sha2::Sha256::digest(bytes_of(&test["msg"])).into();
            let flags = test["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()).collect();
            judge(&Case { point, hash, r, s, is_valid, flags, comment: test["comment"].as_str().unwrap() });
            judged += 1;
        }
    }
    (judged, left_out)
}

/// The halves of a DER signature whose integers are written in the shortest way and fit 32 bytes.
fn strict_der(bytes: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    let (body, rest) = element(bytes, 0x30)?;
    let (r, after) = element(body, 0x02)?;
    let (s, nothing) = element(after, 0x02)?;
    (rest.is_empty() && nothing.is_empty()).then_some((integer(r)?, integer(s)?))
}

fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = bytes.split_first_chunk::<2>()?;
    (found == tag && length < 0x80).then_some(())?;
    rest.split_at_checked(length.into())
}

fn integer(bytes: &[u8]) -> Option<[u8; 32]> {
    let magnitude = match bytes {
        [0, rest @ ..] if rest.is_empty() || rest[0] >= 0x80 => rest,
        [] | [0 | 0x80..=0xff, ..] => return None,
        _ => bytes,
    };
    let mut word = [0; 32];
    word.get_mut(32usize.checked_sub(magnitude.len())?..)?.copy_from_slice(magnitude);
    Some(word)
}

/// A verdict is Wycheproof's, with one exception: the upper half is refused, and its lower twin is taken instead.
fn assert_as_wycheproof(
    case: &Case<'_>,
    half_order: &[u8; 32],
    is_taken: impl Fn(&[u8; 32]) -> Result<(), RejectCode>,
) {
    let verdict = is_taken(&case.s);
    if case.is_valid && case.s > *half_order {
        assert_eq!(verdict, Err(RejectCode::SignatureNotLow), "{}", case.comment);
        assert_eq!(is_taken(&other_half(&case.s, half_order)), Ok(()), "{}", case.comment);
    } else if case.is_valid {
        assert_eq!(verdict, Ok(()), "{} {:?}", case.comment, case.flags);
    } else {
        assert!(verdict.is_err(), "{} {:?}", case.comment, case.flags);
    }
}

#[test]
fn wycheproof_on_p256() {
    let Some(file) = wycheproof("ecdsa_secp256r1_sha256_test") else { return };
    let (judged, left_out) = for_each_case(&file, |case| {
        let key = P256Key { x: case.point[1..33].try_into().unwrap(), is_y_odd: case.point[64] % 2 == 1 };
        assert_as_wycheproof(case, &P256_HALF_ORDER, |s| verify_p256(&key, &case.hash, &case.r, s));
    });
    assert_eq!(judged + left_out, usize::try_from(file["numberOfTests"].as_u64().unwrap()).unwrap());
    assert!(judged > 200, "{judged} judged, {left_out} are no strict DER");
}

/// Recovery finds a key for most signatures, so the question is whether it finds this one, with either parity. A point
/// whose x is above the group order is the one valid case that is refused: it needs a recovery number that wallets do not
/// write and Ethereum does not take. Nobody finds such a point but by design.
#[test]
fn wycheproof_on_secp256k1() {
    let Some(file) = wycheproof("ecdsa_secp256k1_sha256_test") else { return };
    let mut beyond_order = 0;
    let (judged, left_out) = for_each_case(&file, |case| {
        let address = address_of(&case.point);
        let is_taken = |s: &[u8; 32]| {
            let recover = |is_y_odd| recover_address(&case.hash, &RecoverableSignature { r: case.r, s: *s, is_y_odd });
            match [recover(false), recover(true)] {
                [Err(RejectCode::SignatureNotLow), _] => Err(RejectCode::SignatureNotLow),
                found if found.contains(&Ok(address)) => Ok(()),
                _ => Err(RejectCode::SignatureInvalid),
            }
        };
        if case.is_valid {
            let low = case.s.min(other_half(&case.s, &SECP256K1_HALF_ORDER));
            if is_beyond_order(&case.hash, &joined(&case.r, &low), address) {
                assert_eq!(is_taken(&low), Err(RejectCode::SignatureInvalid), "{}", case.comment);
                beyond_order += 1;
                return;
            }
        }
        assert_as_wycheproof(case, &SECP256K1_HALF_ORDER, is_taken);
    });
    assert_eq!(judged + left_out, usize::try_from(file["numberOfTests"].as_u64().unwrap()).unwrap());
    assert!(
        judged > 200 && (1..10).contains(&beyond_order),
        "{judged} judged, {left_out} no DER, {beyond_order} beyond"
    );
}

/// Whether a signature is by this address with one of the two recovery numbers for points beyond the group order.
fn is_beyond_order(hash: &[u8; 32], both: &[u8; 64], address: [u8; ADDRESS_BYTES]) -> bool {
    [RecoveryId::Two, RecoveryId::Three].into_iter().any(|number| {
        let parsed = secp256k1::ecdsa::RecoverableSignature::from_compact(both, number);
        let key = parsed.and_then(|parsed| parsed.recover_ecdsa(Message::from_digest(*hash)));
        key.is_ok_and(|key| address_of(&key.serialize_uncompressed()) == address)
    })
}

// ---- by hand

#[test]
fn a_known_key_has_its_known_address() {
    // The private key 1, whose address is in every wallet's tests.
    let mut one = [0; 32];
    one[31] = 1;
    let point = secp256k1::PublicKey::from_secret_key(&secp256k1::SecretKey::from_secret_bytes(one).unwrap());
    let address = address_of(&point.serialize_uncompressed());
    assert_eq!(casemate_protocol::hash::Hex(&address).to_string(), "7e5f4552091a69125d5dfcb7b8c2659029395bdf");
}

#[test]
fn recovery_finds_the_signer_in_the_lower_half_only() {
    for number in 1..40 {
        let wallet = Wallet::new(number);
        let signature = wallet.sign_hash([number; 32]);
        let found = |signature: &RecoverableSignature| recover_address(&[number; 32], signature);
        let address: [u8; 20] = wallet.key().bytes().try_into().unwrap();
        assert_eq!(found(&signature), Ok(address));
        let high = other_half(&signature.s, &SECP256K1_HALF_ORDER);
        let high = RecoverableSignature { s: high, is_y_odd: !signature.is_y_odd, ..signature };
        assert_eq!(found(&high), Err(RejectCode::SignatureNotLow));
        assert_ne!(found(&RecoverableSignature { is_y_odd: !signature.is_y_odd, ..signature }), Ok(address));
        for r in [[0; 32], [0xff; 32]] {
            assert_eq!(found(&RecoverableSignature { r, ..signature }), Err(RejectCode::SignatureInvalid));
        }
        assert_eq!(found(&RecoverableSignature { s: [0; 32], ..signature }), Err(RejectCode::SignatureInvalid));
    }
}
