use casemate_protocol::envelope::{GroupMode, Intent};
use casemate_protocol::{BoundedVec, PublicKey, SignatureBytes};
use proptest::prelude::*;

use super::*;
use crate::decode::Decoded;
use crate::decode::fixture::{chain_id, intent, opening, order};
use crate::ecdsa::P256_HALF_ORDER;
use crate::people::{Passkey, other_half};
use crate::{Authenticated, NoProofs};

fn wanted(passkey: &Passkey) -> Intent {
    intent(passkey.key(), 1, GroupMode::EachAlone, vec![order(1), order(2)])
}

/// What becomes of an order under an answer that was changed.
fn verdict(passkey: &Passkey, change: impl FnOnce(&mut Assertion)) -> Result<(), RejectCode> {
    let mut envelope = passkey.seal(&wanted(passkey));
    if let SignatureBytes::WebAuthn(assertion) = &mut envelope.signature {
        change(assertion);
    }
    authenticated(&envelope.encode())
}

fn authenticated(bytes: &[u8]) -> Result<(), RejectCode> {
    let verdict = Decoded::from_bytes(bytes.to_vec(), &chain_id()).and_then(|item| Authenticated::one(item, &NoProofs));
    verdict.map(|_| ()).map_err(|reject| reject.code())
}

fn text(bytes: &[u8]) -> BoundedVec<u8, 1_024> {
    BoundedVec::new(bytes.to_vec()).unwrap()
}

#[test]
fn a_passkey_signs_many_commands_and_opens_accounts() {
    for number in 1..=8 {
        let passkey = Passkey::new(number);
        assert_eq!(verdict(&passkey, |_| ()), Ok(()));
        assert_eq!(authenticated(&passkey.seal(&opening(passkey.key())).encode()), Ok(()));
    }
    let later = Passkey { client_data_tail: ",\"crossOrigin\":false,\"topOrigin\":\"x\"}", ..Passkey::new(1) };
    assert_eq!(verdict(&later, |_| ()), Ok(()), "what browsers may add later");
}

#[test]
fn an_x_that_is_no_point_never_opens_an_account() {
    // The first is above the field's modulus; which of the others are points was found out by the square root.
    let not_on_curve: Vec<[u8; 32]> =
        (0..=u8::MAX).rev().map(|byte| [byte; 32]).filter(|&x| !P256Key { x, is_y_odd: false }.is_on_curve()).collect();
    assert_eq!(not_on_curve[0], [0xff; 32]);
    assert!((64..192).contains(&not_on_curve.len()), "about half of all x are points");
    for x in not_on_curve {
        let passkey = Passkey::new(1);
        assert_eq!(authenticated(&passkey.seal(&opening(PublicKey::P256(x))).encode()), Err(RejectCode::KeyInvalid));
    }
}

#[test]
fn an_answer_to_another_challenge_is_refused_however_well_it_is_signed() {
    let passkey = Passkey::new(1);
    let other = passkey.answer(&Digest([9; 32]));
    assert_eq!(verdict(&passkey, |assertion| *assertion = other), Err(RejectCode::PasskeyChallengeWrong));
    let padded = verdict(&passkey, |assertion| {
        let client = String::from_utf8(assertion.client_data.as_slice().to_vec()).unwrap();
        assertion.client_data = text(client.replace("\",\"origin", "=\",\"origin").as_bytes());
        passkey.sign(assertion);
    });
    assert_eq!(padded, Err(RejectCode::PasskeyChallengeWrong));
}

#[test]
fn a_user_who_was_not_verified_or_not_there_signs_nothing() {
    for flags in 0..=u8::MAX {
        let passkey = Passkey { flags, ..Passkey::new(1) };
        let expected = if flags & 0b101 == 0b101 { Ok(()) } else { Err(RejectCode::PasskeyUserNotVerified) };
        assert_eq!(verdict(&passkey, |_| ()), expected, "flags {flags:08b}");
    }
}

#[test]
fn the_upper_half_another_parity_and_another_key_are_refused() {
    let passkey = Passkey::new(1);
    let high = |assertion: &mut Assertion| assertion.s = other_half(&assertion.s, &P256_HALF_ORDER);
    assert_eq!(verdict(&passkey, high), Err(RejectCode::SignatureNotLow));
    let turned = |assertion: &mut Assertion| assertion.is_key_y_odd = !assertion.is_key_y_odd;
    assert_eq!(verdict(&passkey, turned), Err(RejectCode::SignatureInvalid));
    let other = Passkey::new(2);
    assert_eq!(verdict(&passkey, |assertion| other.sign(assertion)), Err(RejectCode::SignatureInvalid));
    assert_eq!(verdict(&passkey, |assertion| assertion.r = [0; 32]), Err(RejectCode::SignatureInvalid));
}

#[test]
fn client_data_of_another_form_is_malformed() {
    let passkey = Passkey::new(1);
    let as_written = passkey.answer(&Digest([0; 32])).client_data;
    let as_written = String::from_utf8(as_written.into_vec()).unwrap();
    let wrong = [
        as_written.replace("webauthn.get", "webauthn.create"),
        as_written.replace("\"crossOrigin\":false", "\"crossOrigin\":true"),
        as_written.replace(",\"crossOrigin\":false", ""),
        as_written.replace("false}", "falsely}"),
        as_written.replace(":\"", ": \""),
        format!(" {as_written}"),
        as_written.strip_suffix('}').unwrap().to_owned(),
        String::new(),
    ];
    for client in wrong {
        let malformed = verdict(&passkey, |assertion| assertion.client_data = text(client.as_bytes()));
        assert_eq!(malformed, Err(RejectCode::PasskeyDataMalformed), "{client}");
    }
    let short = verdict(&passkey, |assertion| {
        assertion.authenticator_data = BoundedVec::new(vec![0; 36]).unwrap();
    });
    assert_eq!(short, Err(RejectCode::PasskeyDataMalformed));
}

#[test]
fn origin_and_relying_party_are_taken_together() {
    let pair = |origin: &str, party: &str| PasskeyOrigin {
        origin: BoundedVec::new(origin.as_bytes().to_vec()).unwrap(),
        relying_party: BoundedVec::new(party.as_bytes().to_vec()).unwrap(),
    };
    let allowed = [pair("https://app.casemate.example", "casemate.example"), pair("https://b.example", "b.example")];
    let judge = |passkey: &Passkey| {
        let answer = passkey.answer(&Digest([0; 32]));
        let statement = Statement::of(&answer).unwrap();
        (statement.require_origin(&allowed).is_ok(), statement.require_origin(&[]).is_ok())
    };
    let good = Passkey::new(1);
    assert_eq!(judge(&good), (true, false));
    for origin in ["https://app.casemate.example.evil.example", "http://app.casemate.example", "https://b.example", ""]
    {
        assert_eq!(judge(&Passkey { origin, ..good.clone() }), (false, false), "{origin}");
    }
    for relying_party in ["app.casemate.example", "b.example", ""] {
        assert_eq!(judge(&Passkey { relying_party, ..good.clone() }), (false, false), "{relying_party}");
    }
}

#[test]
fn a_counter_has_to_rise_once_it_was_above_zero() {
    let judge = |count, last| {
        let answer = Passkey { count, ..Passkey::new(1) }.answer(&Digest([0; 32]));
        let statement = Statement::of(&answer).unwrap();
        statement.require_count_above(last).map_err(|reject| reject.numbers())
    };
    assert_eq!([judge(0, 0), judge(7, 0), judge(8, 7), judge(u32::MAX, 7)], [Ok(()); 4]);
    assert_eq!(judge(7, 7), Err((7, 7)));
    assert_eq!(judge(6, 7), Err((7, 6)));
    assert_eq!(judge(0, 7), Err((7, 0)), "a passkey that counts does not stop counting");
}

#[test]
fn a_challenge_is_written_as_browsers_write_it() {
    assert_eq!(&base64url(&[0; 32]), &[b'A'; 43]);
    assert_eq!(&base64url(&[0xff; 32])[..], format!("{}8", "_".repeat(42)).as_bytes());
    let counting: [u8; 32] = core::array::from_fn(|place| u8::try_from(place).unwrap());
    assert_eq!(&base64url(&counting), b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
}

proptest! {
    #[test]
    fn prop_any_texts_are_read_without_panic(
        authenticator in proptest::collection::vec(any::<u8>(), 0..64), client in ".{0,200}"
    ) {
        let answer = Assertion {
            authenticator_data: BoundedVec::new(authenticator).unwrap(),
            client_data: text(client.as_bytes()),
            r: [0; 32],
            s: [0; 32],
            is_key_y_odd: false,
        };
        prop_assert!(Statement::of(&answer).is_err(), "nothing made at random begins as it must");
    }
}
