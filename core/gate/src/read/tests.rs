use casemate_ledger::SeededKeys;
use casemate_protocol::genesis::{Genesis, PasskeyOrigin};
use casemate_protocol::hash::Hex;
use casemate_protocol::testing::examples;
use casemate_protocol::testing::golden::{assert_golden, table};
use casemate_protocol::{BoundedVec, SignatureForm};
use ed25519_zebra::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::BuiltInTable;
use crate::decode::fixture::{public_key, signing_key};
use crate::people::{Passkey, Wallet, other_half};

/// The first seeded account of the example, which is a wallet's, and the one after, which is a passkey's; the third is of
/// an Ed25519 key.
const WALLETS: u64 = 13;
const PASSKEYS: u64 = 14;
const PLAIN: u64 = 15;

fn genesis() -> Genesis {
    let mut genesis = examples::genesis();
    let bytes = |text: &str| BoundedVec::new(text.as_bytes().to_vec()).unwrap();
    let origin =
        PasskeyOrigin { origin: bytes("https://app.casemate.example"), relying_party: bytes("casemate.example") };
    genesis.passkey_origins = BoundedVec::new(vec![origin]).unwrap();
    genesis
}

fn ledger() -> Ledger {
    let roots = [Wallet::new(1).key(), Passkey::new(1).key(), public_key(&signing_key(1))];
    let others = (10..).map(|number| public_key(&signing_key(number)));
    let keys = roots.into_iter().chain(others);
    let sessions = (100..).map(|number| public_key(&signing_key(number)));
    Ledger::new(&genesis(), keys.zip(sessions).map(|(root, session)| SeededKeys { root, session }).take(10)).unwrap()
}

fn terms(account: u64, key: PublicKey, scope: ReadScope) -> ReadTerms {
    let account = if scope == ReadScope::Key { AccountId::NONE } else { AccountId::new(account) };
    ReadTerms { chain_id: genesis().chain_id(), account, key, ..examples::read_terms(scope) }
}

fn by_plain(terms: ReadTerms, key: &SigningKey) -> ReadPass {
    ReadPass { terms, signature: SignatureBytes::Ed25519(key.sign(terms.digest().bytes()).into()) }
}

fn by_wallet(terms: ReadTerms, wallet: &Wallet) -> ReadPass {
    let shown = TypedData::of_read_terms(&terms, terms.digest());
    ReadPass { terms, signature: SignatureBytes::Eip712(wallet.sign_hash(shown.signing_hash())) }
}

fn by_passkey(terms: ReadTerms, passkey: &Passkey) -> ReadPass {
    ReadPass { terms, signature: SignatureBytes::WebAuthn(Box::new(passkey.answer(&terms.digest()))) }
}

fn authentic(pass: &ReadPass) -> Result<AuthenticPass, RejectCode> {
    let decoded = DecodedPass::decode(&pass.encode(), &genesis().chain_id());
    decoded.and_then(DecodedPass::authenticate).map_err(|reject| reject.code())
}

fn verdict(pass: &ReadPass, account: u64) -> Result<(), RejectCode> {
    let pass = authentic(pass)?;
    let clocks = Clocks { reader_ms: pass.terms().not_before_ms, venue_ms: TimeMs::from_ms(0) };
    let read = Read::Account(AccountId::new(account));
    authorize(&pass, read, clocks, &ledger(), &BuiltInTable).map(drop).map_err(|reject| reject.code())
}

#[test]
fn keys_of_all_three_schemes_read_their_account() {
    let (wallet, passkey, plain) = (Wallet::new(1), Passkey::new(1), signing_key(1));
    let passes = [
        (WALLETS, by_wallet(terms(WALLETS, wallet.key(), ReadScope::Account), &wallet)),
        (PASSKEYS, by_passkey(terms(PASSKEYS, passkey.key(), ReadScope::Account), &passkey)),
        (PLAIN, by_plain(terms(PLAIN, public_key(&plain), ReadScope::Account), &plain)),
    ];
    for (account, pass) in &passes {
        assert_eq!(verdict(pass, *account), Ok(()), "{account}");
        assert_eq!(verdict(pass, account + 1), Err(RejectCode::PassDoesNotCover));
    }
}

#[test]
fn a_signature_is_of_this_key_over_these_terms_in_its_own_form() {
    let (wallet, plain) = (Wallet::new(1), signing_key(1));
    let of_wallet = by_wallet(terms(WALLETS, wallet.key(), ReadScope::Account), &wallet);
    let longer = |mut pass: ReadPass| {
        pass.terms.expires_ms = TimeMs::from_ms(pass.terms.expires_ms.ms() + 1);
        pass
    };
    let wrong = Err(RejectCode::PassSignatureInvalid);
    assert_eq!(authentic(&longer(of_wallet.clone())).map(drop), wrong);
    let of_plain = by_plain(terms(PLAIN, public_key(&plain), ReadScope::Account), &plain);
    assert_eq!(authentic(&longer(of_plain.clone())).map(drop), wrong);
    // Somebody else's signature under the owner's key.
    let forged = by_plain(of_plain.terms, &signing_key(2));
    assert_eq!(authentic(&forged).map(drop), wrong);
    let forged = by_wallet(of_wallet.terms, &Wallet::new(2));
    assert_eq!(authentic(&forged).map(drop), wrong);
    // The other form, and the other half of s.
    let unfit = ReadPass { terms: of_wallet.terms, signature: of_plain.signature };
    assert_eq!(unfit.signature.form(), SignatureForm::Ed25519);
    assert_eq!(authentic(&unfit).map(drop), Err(RejectCode::SignatureFormUnfit));
    let mut high = of_wallet;
    let SignatureBytes::Eip712(signature) = &mut high.signature else { panic!("a wallet signs so") };
    signature.s = other_half(&signature.s, &crate::ecdsa::SECP256K1_HALF_ORDER);
    signature.is_y_odd = !signature.is_y_odd;
    assert_eq!(authentic(&high).map(drop), Err(RejectCode::SignatureNotLow));
}

/// What a key signs for commands is no pass, and the other way round: the digests are of different domains.
#[test]
fn a_signature_over_an_envelope_is_none_over_a_pass() {
    let key = signing_key(1);
    let terms = terms(PLAIN, public_key(&key), ReadScope::Account);
    let under_another_domain = casemate_protocol::hash::digest_of(casemate_protocol::hash::Domain::Intent, &terms);
    let signature = SignatureBytes::Ed25519(key.sign(under_another_domain.bytes()).into());
    assert_eq!(authentic(&ReadPass { terms, signature }).map(drop), Err(RejectCode::PassSignatureInvalid));
}

#[test]
fn a_passkey_reads_from_its_own_page_with_its_user_verified_whatever_its_counter_says() {
    let passkey = Passkey { count: 7, ..Passkey::new(1) };
    let terms = terms(PASSKEYS, passkey.key(), ReadScope::Account);
    // Twice, and with a lower count: a pass is shown again and again.
    for count in [7, 7, 3] {
        assert_eq!(verdict(&by_passkey(terms, &Passkey { count, ..passkey.clone() }), PASSKEYS), Ok(()));
    }
    let elsewhere = Passkey { origin: "https://casemate.example.evil", ..passkey.clone() };
    assert_eq!(verdict(&by_passkey(terms, &elsewhere), PASSKEYS), Err(RejectCode::PasskeyOriginNotAllowed));
    let asleep = Passkey { flags: 0b1, ..passkey.clone() };
    assert_eq!(verdict(&by_passkey(terms, &asleep), PASSKEYS), Err(RejectCode::PasskeyUserNotVerified));
    let other = ReadTerms { expires_ms: TimeMs::from_ms(terms.expires_ms.ms() - 1), ..terms };
    let replayed = ReadPass { terms: other, signature: by_passkey(terms, &passkey).signature };
    assert_eq!(verdict(&replayed, PASSKEYS), Err(RejectCode::PasskeyChallengeWrong));
}

#[test]
fn a_wallet_shows_who_reads_what_and_until_when() {
    let shown = |scope| {
        let terms = terms(WALLETS, Wallet::new(1).key(), scope);
        let data = TypedData::of_read_terms(&terms, terms.digest());
        assert_eq!(data.primary_type(), "ReadPass");
        let names: Vec<&str> = data.fields().iter().map(|field| field.name).collect();
        assert_eq!(names, ["reads", "account", "begins", "ends", "passDigest"]);
        data.fields()[0].value.clone()
    };
    let text = |text: &str| crate::eip712::Value::Text(text.to_owned());
    assert_eq!(shown(ReadScope::Auditor), text("everything, as an auditor"));
    assert_eq!(shown(ReadScope::Market(MarketId::new(3))), text("private data of market 3"));
}

proptest! {
    #[test]
    fn prop_any_bytes_are_refused_and_never_more(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let refused = DecodedPass::decode(&bytes, &genesis().chain_id()).and_then(DecodedPass::authenticate);
        prop_assert!(refused.is_err());
    }

    #[test]
    fn prop_a_bit_of_a_signed_pass_is_all_it_takes(place in any::<prop::sample::Index>()) {
        let key = signing_key(1);
        let bytes = by_plain(terms(PLAIN, public_key(&key), ReadScope::Account), &key).encode();
        let bit = place.index(bytes.len() * 8);
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(DecodedPass::decode(&flipped, &genesis().chain_id()).and_then(DecodedPass::authenticate).is_err());
    }
}

/// One pass of each scheme, signed.
#[test]
fn golden_read_passes() {
    let (wallet, passkey, plain) = (Wallet::new(1), Passkey { count: 7, ..Passkey::new(1) }, signing_key(1));
    let passes = [
        ("ed25519", by_plain(terms(PLAIN, public_key(&plain), ReadScope::Account), &plain)),
        ("secp256k1", by_wallet(terms(WALLETS, wallet.key(), ReadScope::Account), &wallet)),
        ("p256", by_passkey(terms(PASSKEYS, passkey.key(), ReadScope::Account), &passkey)),
        ("ed25519, as an auditor", by_plain(terms(PLAIN, public_key(&plain), ReadScope::Auditor), &plain)),
    ];
    let rows = passes.map(|(name, pass)| {
        assert!(authentic(&pass).is_ok());
        let bytes = Hex(&pass.encode()).to_string();
        [name.to_owned(), pass.terms.key.to_string(), bytes, pass.terms.digest().to_string()]
    });
    assert_golden("read-passes.tsv", &table(["scheme", "key", "bytes", "digest"], &rows));
}
