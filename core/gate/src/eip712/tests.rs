use std::path::PathBuf;

use casemate_protocol::envelope::{GroupMode, digests_without_evidence};
use casemate_protocol::hash::Hex;
use casemate_protocol::testing::golden::{assert_golden, table};
use casemate_protocol::testing::{arbitrary, examples};
use casemate_protocol::{Action, BoundedVec, Command, PublicKey, QuoteMicros, RejectCode, SignatureBytes, TimeMs};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::decode::Decoded;
use crate::decode::fixture::{chain_id, intent, opening, order};
use crate::ecdsa::SECP256K1_HALF_ORDER;
use crate::people::{Passkey, Wallet, other_half};
use crate::{Authenticated, NoProofs};

fn shown(intent: &Intent) -> TypedData {
    let digests = digests_without_evidence(intent);
    let envelope =
        Envelope { intent: intent.clone(), evidence: BoundedVec::empty(), signature: SignatureBytes::Ed25519([0; 64]) };
    TypedData::of_envelope(&envelope, digests.intent).unwrap()
}

/// What a client hands to the wallet, as `eth_signTypedData_v4` takes it.
fn for_the_wallet(data: &TypedData) -> Json {
    let types = |fields: &[Field]| -> Json {
        fields.iter().map(|field| json!({ "name": field.name, "type": field.value.kind() })).collect()
    };
    let values = |fields: &[Field]| -> Json {
        let value = |value: &Value| match value {
            Value::Text(text) => json!(text),
            Value::Number(number) => json!(number.to_string()),
            Value::Flag(is_set) => json!(is_set),
            Value::Bytes(bytes) => json!(format!("0x{}", Hex(bytes))),
            Value::Digest(digest) => json!(format!("0x{digest}")),
        };
        Json::Object(fields.iter().map(|field| (field.name.to_owned(), value(&field.value))).collect())
    };
    json!({
        "types": { "EIP712Domain": types(&data.domain()), data.primary_type(): types(data.fields()) },
        "primaryType": data.primary_type(),
        "domain": values(&data.domain()),
        "message": values(data.fields()),
    })
}

fn reference_hash(data: &TypedData) -> [u8; 32] {
    reference::signing_hash(&for_the_wallet(data))
}

fn example(action: Action) -> Intent {
    let mut intent = examples::intent(vec![examples::command(action)]);
    intent.signer.role = casemate_protocol::envelope::SignerRole::Root;
    intent.signer.key = Wallet::new(1).key();
    intent
}

fn authenticated(bytes: &[u8], chain_id: &Digest) -> Result<(), RejectCode> {
    let verdict = Decoded::from_bytes(bytes.to_vec(), chain_id).and_then(|item| Authenticated::one(item, &NoProofs));
    verdict.map(|_| ()).map_err(|reject| reject.code())
}

// ---- another implementation

/// The other implementation is held against published vectors first, so that agreeing with it means something.
#[test]
#[expect(clippy::disallowed_methods, reason = "test vectors are too large for the repository")]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn the_reference_agrees_with_the_published_vectors() {
    let beside_the_workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("CASEMATE_DATA").map_or(beside_the_workspace, PathBuf::from);
    let path = folder.join("crypto/eip712/typed_data_vectors.json");
    let Ok(text) = std::fs::read(&path) else {
        println!("skipped: no vectors at `{}`; set CASEMATE_DATA to the folder that has them", path.display());
        return;
    };
    let file: Json = serde_json::from_slice(&text).unwrap();
    let mut hashes = 0;
    for item in file["items"].as_array().unwrap() {
        // Without a hash stand errors that only a reader of foreign types can make.
        if let Some(expected) = item["expected_signing_hash"].as_str() {
            let found = reference::signing_hash(&item["typed_data"]);
            assert_eq!(Hex(&found).to_string(), expected, "{}", item["primaryType"]);
            hashes += 1;
        }
    }
    assert!(hashes >= 6, "{hashes} hashes");
}

#[test]
fn every_action_hashes_as_the_reference_hashes_what_the_wallet_is_given() {
    let config = ProptestConfig { cases: 24, ..ProptestConfig::default() };
    for action in Action::ALL {
        assert_eq!(shown(&example(action)).primary_type(), format!("{action:?}"));
        proptest!(config.clone(), |(command in arbitrary::command_of(action))| {
            let mut intent = example(action);
            intent.commands = BoundedVec::new(vec![command]).unwrap();
            let data = shown(&intent);
            prop_assert_eq!(data.signing_hash(), reference_hash(&data));
        });
    }
}

// ---- what is shown

#[test]
fn a_person_reads_amount_destination_and_dates() {
    let data = shown(&example(Action::RequestWithdrawal));
    let read = |name: &str| data.fields().iter().find(|field| field.name == name).unwrap().value.clone();
    let Command::RequestWithdrawal(request) = examples::command(Action::RequestWithdrawal) else { panic!() };
    assert_eq!(read("amount"), Value::Text(request.amount.to_string()));
    assert_eq!(read("destination"), Value::Bytes(request.destination.as_slice().to_vec()));
    assert!(matches!(read("validUntil"), Value::Text(text) if text.ends_with(" UTC")));
    let grant = shown(&example(Action::RegisterGrant));
    let texts: Vec<String> = grant.fields().iter().map(|field| format!("{:?}", field.value)).collect();
    assert!(texts.iter().any(|text| text.contains("PlaceOrder")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("ed25519:")), "{texts:?}");
}

#[test]
fn moments_are_dates_of_the_calendar() {
    for (ms, text) in [
        (0, "1970-01-01 00:00:00.000 UTC"),
        (951_782_399_999, "2000-02-28 23:59:59.999 UTC"),
        (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
        (1_752_926_400_250, "2025-07-19 12:00:00.250 UTC"),
        (4_107_542_399_000, "2100-02-28 23:59:59.000 UTC"),
        (4_107_542_400_000, "2100-03-01 00:00:00.000 UTC"),
        (253_402_300_799_999, "9999-12-31 23:59:59.999 UTC"),
    ] {
        assert_eq!(time_text(TimeMs::from_ms(ms)), text);
    }
    assert!(time_text(TimeMs::from_ms(u64::MAX)).ends_with(" UTC"));
}

proptest! {
    #[test]
    fn prop_days_follow_each_other(day in 0u64..4_000_000) {
        let date = |day: u64| {
            let text = time_text(TimeMs::from_ms(day * 86_400_000));
            let parts: Vec<u64> = text.split(' ').next().unwrap().split('-').map(|part| part.parse().unwrap()).collect();
            (parts[0], parts[1], parts[2])
        };
        let ((year, month, of_month), next) = (date(day), date(day + 1));
        let is_next = next == (year, month, of_month + 1)
            || next == (year, month + 1, 1) && of_month >= 28
            || next == (year + 1, 1, 1) && (month, of_month) == (12, 31);
        prop_assert!(is_next && next.1 <= 12 && next.2 <= 31);
    }
}

// ---- what is signed

#[test]
fn a_wallet_signs_every_action_of_a_root_key() {
    let wallet = Wallet::new(1);
    for action in Action::ALL {
        let intent = if action == Action::OpenAccount { opening(wallet.key()) } else { example(action) };
        assert_eq!(authenticated(&wallet.seal(&intent).encode(), &intent.chain_id), Ok(()), "{action:?}");
    }
}

#[test]
fn a_signature_lifted_to_another_command_chain_or_evidence_is_refused() {
    let wallet = Wallet::new(1);
    let signed = wallet.seal(&example(Action::RequestWithdrawal));
    let refused = |change: &dyn Fn(&mut Envelope)| {
        let mut lifted = signed.clone();
        change(&mut lifted);
        assert_eq!(authenticated(&lifted.encode(), &lifted.intent.chain_id), Err(RejectCode::SignatureInvalid));
    };
    let Command::RequestWithdrawal(request) = examples::command(Action::RequestWithdrawal) else { panic!() };
    let with = |command: Command| BoundedVec::new(vec![command]).unwrap();
    refused(&|envelope| envelope.intent.commands = with(Command::RequestPrincipalExit(request.clone())));
    refused(&|envelope| {
        let amount = QuoteMicros::from_micros(request.amount.micros() + 1);
        let more = casemate_protocol::command::RequestWithdrawal { amount, ..(*request).clone() };
        envelope.intent.commands = with(Command::RequestWithdrawal(Box::new(more)));
    });
    refused(&|envelope| envelope.intent.chain_id = Digest([1; 32]));
    refused(&|envelope| envelope.intent.nonce += 1);
    refused(&|envelope| envelope.intent.valid_until_ms = TimeMs::from_ms(1));
    refused(&|envelope| envelope.intent.group = GroupMode::AllOrNothing);
    refused(&|envelope| envelope.intent.account = casemate_protocol::AccountId::new(43));
    // No evidence exists yet to add, so the wallet is shown the hash of some.
    let digest = signed.intent.digest();
    let with_evidence = TypedData::new(&signed.intent, digest, Digest([7; 32])).unwrap();
    let signature = SignatureBytes::Eip712(wallet.sign_hash(with_evidence.signing_hash()));
    refused(&|envelope| envelope.signature = signature.clone());
}

#[test]
fn another_wallet_and_the_upper_half_are_refused() {
    let (wallet, other) = (Wallet::new(1), Wallet::new(2));
    let intent = example(Action::CloseAccount);
    assert_eq!(authenticated(&other.seal(&intent).encode(), &intent.chain_id), Err(RejectCode::SignatureInvalid));
    let mut high = wallet.seal(&intent);
    if let SignatureBytes::Eip712(signature) = &mut high.signature {
        signature.s = other_half(&signature.s, &SECP256K1_HALF_ORDER);
        signature.is_y_odd = !signature.is_y_odd;
    }
    assert_eq!(authenticated(&high.encode(), &intent.chain_id), Err(RejectCode::SignatureNotLow));
}

#[test]
fn a_wallet_signs_one_command_and_in_its_own_form() {
    let (wallet, passkey) = (Wallet::new(1), Passkey::new(1));
    let two = intent(wallet.key(), 1, GroupMode::EachAlone, vec![order(1), order(2)]);
    let one = intent(wallet.key(), 1, GroupMode::EachAlone, vec![order(1)]);
    let signature = wallet.seal(&one).signature;
    let sealed = |intent: &Intent, signature: SignatureBytes| {
        Envelope { intent: intent.clone(), evidence: BoundedVec::empty(), signature }.encode()
    };
    assert_eq!(authenticated(&sealed(&two, signature.clone()), &chain_id()), Err(RejectCode::WalletCommandCount));
    let by_passkey = intent(passkey.key(), 1, GroupMode::EachAlone, vec![order(1)]);
    let answer = passkey.seal(&by_passkey).signature;
    let plain = SignatureBytes::Ed25519([0; 64]);
    let unfit = Err(RejectCode::SignatureFormUnfit);
    for form in [answer.clone(), plain.clone()] {
        assert_eq!(authenticated(&sealed(&one, form), &chain_id()), unfit);
    }
    for form in [signature, plain] {
        assert_eq!(authenticated(&sealed(&by_passkey, form), &chain_id()), unfit);
    }
    assert_eq!(authenticated(&sealed(&by_passkey, answer), &chain_id()), Ok(()));
}

// ---- golden

/// One envelope of each scheme, and what a wallet shows for each action.
#[test]
fn golden_signatures() {
    let (wallet, passkey) = (Wallet::new(1), Passkey { count: 7, ..Passkey::new(1) });
    let signing_key = crate::decode::fixture::signing_key(1);
    let intent_of = |key: PublicKey| {
        let mut intent = example(Action::RequestWithdrawal);
        intent.signer.key = key;
        intent
    };
    let ed25519 = intent_of(crate::decode::fixture::public_key(&signing_key));
    let chain_id = ed25519.chain_id;
    let envelopes = [
        ("ed25519", crate::decode::fixture::signed(&ed25519, &signing_key)),
        ("secp256k1", wallet.seal(&intent_of(wallet.key())).encode()),
        ("p256", passkey.seal(&intent_of(passkey.key())).encode()),
    ];
    let rows = envelopes.map(|(name, bytes)| {
        assert_eq!(authenticated(&bytes, &chain_id), Ok(()));
        let (envelope, digests) = Envelope::decode(&bytes).unwrap();
        let key = envelope.intent.signer.key.to_string();
        [name.to_owned(), key, Hex(&bytes).to_string(), digests.envelope.to_string()]
    });
    assert_golden("root-keys.tsv", &table(["scheme", "key", "bytes", "envelope_digest"], &rows));
}

#[test]
fn golden_typed_data() {
    let rows: Vec<[String; 3]> = Action::ALL
        .into_iter()
        .map(|action| {
            let data = shown(&example(action));
            let mut typed_data = for_the_wallet(&data);
            // Whether objects keep the order of their fields depends on what else is built.
            typed_data.sort_all_objects();
            let text = serde_json::to_string(&typed_data).unwrap();
            [format!("{action:?}"), Hex(&data.signing_hash()).to_string(), text]
        })
        .collect();
    assert_golden("typed-data.tsv", &table(["action", "signing_hash", "typed_data"], &rows));
}
