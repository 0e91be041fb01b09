//! Root keys of people: wallets that sign typed data and passkeys, from the deposit to the withdrawal, and the attacks on
//! them. Each refusal has its number.

use casemate_gate::BuiltInTable;
use casemate_gate::eip712::TypedData;
use casemate_gate::webauthn::{base64url, signed_hash};
use casemate_protocol::command::{Beneficiary, ChangeRootKey, RequestWithdrawal};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole, digests_without_evidence};
use casemate_protocol::genesis::{AccountRules, Genesis, PasskeyOrigin};
use casemate_protocol::keys::{Assertion, RecoverableSignature};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{
    AccountId, BoundedVec, Command, Digest, Envelope, PublicKey, RejectCode, SegmentId, SignatureBytes, TimeMs,
};
use casemate_replica::Replica;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use secp256k1::ecdsa::RecoveryId;
use secp256k1::{Message, SecretKey};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use crate::kit::{FIRST, OPENING_MIN, Venue, bid, claim, genesis, list, micros, root_key, safeguard_rules, terms};

type Verdict = Result<(), RejectCode>;

/// Somebody whose root key is a wallet's or a passkey's.
#[derive(Clone)]
enum Person {
    Wallet(SecretKey),
    Passkey(Passkey),
}

#[derive(Clone)]
struct Passkey {
    key: p256::ecdsa::SigningKey,
    origin: &'static str,
    flags: u8,
    count: u32,
}

fn wallet(number: u8) -> Person {
    Person::Wallet(SecretKey::from_secret_bytes([number; 32]).unwrap())
}

fn passkey(number: u8) -> Passkey {
    let key = p256::ecdsa::SigningKey::from_slice(&[number; 32]).unwrap();
    Passkey { key, origin: ORIGIN, flags: 0b101, count: 0 }
}

const ORIGIN: &str = "https://app.casemate.example";

impl Passkey {
    fn point(&self) -> [u8; 33] {
        self.key.verifying_key().to_sec1_point(true).as_bytes().try_into().unwrap()
    }

    fn answer(&self, challenge: &Digest) -> Assertion {
        let letters = base64url(challenge.bytes());
        let (letters, origin) = (core::str::from_utf8(&letters).unwrap(), self.origin);
        let client =
            format!(r#"{{"type":"webauthn.get","challenge":"{letters}","origin":"{origin}","crossOrigin":false}}"#);
        let mut authenticator = Sha256::digest("casemate.example").to_vec();
        authenticator.push(self.flags);
        authenticator.extend(self.count.to_be_bytes());
        let mut answer = Assertion {
            authenticator_data: list(authenticator),
            client_data: list(client.into_bytes()),
            r: [0; 32],
            s: [0; 32],
            is_key_y_odd: self.point()[0] == 3,
        };
        let signature: p256::ecdsa::Signature = self.key.sign_prehash(&signed_hash(&answer)).unwrap();
        let both = signature.normalize_s().to_bytes();
        (answer.r, answer.s) = (both[..32].try_into().unwrap(), both[32..].try_into().unwrap());
        answer
    }
}

impl Person {
    fn key(&self) -> PublicKey {
        match self {
            Self::Wallet(secret) => {
                let point = secp256k1::PublicKey::from_secret_key(secret).serialize_uncompressed();
                let hash: [u8; 32] = Keccak256::digest(&point[1..]).into();
                PublicKey::Secp256k1(hash[12..].try_into().unwrap())
            }
            Self::Passkey(passkey) => PublicKey::P256(passkey.point()[1..].try_into().unwrap()),
        }
    }

    fn seal(&self, intent: &Intent) -> Envelope {
        let digests = digests_without_evidence(intent);
        let signature = SignatureBytes::Ed25519([0; 64]);
        let mut envelope = Envelope { intent: intent.clone(), evidence: BoundedVec::empty(), signature };
        envelope.signature = match self {
            Self::Wallet(secret) => {
                let shown = TypedData::of_envelope(&envelope, digests.intent).unwrap();
                let message = Message::from_digest(shown.signing_hash());
                let signed = secp256k1::ecdsa::RecoverableSignature::sign_ecdsa_recoverable(message, secret);
                let (recovery, both) = signed.serialize_compact();
                SignatureBytes::Eip712(RecoverableSignature {
                    r: both[..32].try_into().unwrap(),
                    s: both[32..].try_into().unwrap(),
                    is_y_odd: recovery == RecoveryId::One,
                })
            }
            Self::Passkey(passkey) => SignatureBytes::WebAuthn(Box::new(passkey.answer(&digests.envelope))),
        };
        envelope
    }
}

fn with_passkeys() -> Genesis {
    let origin = PasskeyOrigin { origin: list(ORIGIN.into()), relying_party: list(b"casemate.example".to_vec()) };
    let small = genesis();
    // An assertion weighs half of what the small venue lets an account save up.
    let accounts = AccountRules { weight_burst: 1_000_000, ..small.accounts };
    Genesis { passkey_origins: list(vec![origin]), accounts, ..small }
}

/// A venue on which a person has opened an account.
struct Opened {
    venue: Venue,
    person: Person,
    account: AccountId,
}

impl Opened {
    fn new(person: Person) -> Self {
        let mut venue = Venue::of(with_passkeys());
        let money = claim(1, OPENING_MIN, Beneficiary::RootKey(person.key()));
        venue.attest(&[1, 2], &money);
        let mut opened = Self { venue, person, account: AccountId::NONE };
        assert_eq!(opened.ask(vec![Command::OpenAccount]), Ok(()));
        opened.account = opened.venue.ledger().accounts().last_account();
        opened
    }

    fn intent(&self, commands: Vec<Command>) -> Intent {
        let row = self.venue.ledger().accounts().account(self.account);
        Intent {
            version: ENVELOPE_VERSION,
            chain_id: self.venue.chain_id(),
            account: self.account,
            signer: Signer { role: SignerRole::Root, key: self.person.key() },
            nonce: row.map_or(1, |row| row.nonces().next()),
            valid_until_ms: TimeMs::from_ms(self.venue.time_ms + 3_600_000),
            group: GroupMode::EachAlone,
            commands: list(commands),
        }
    }

    fn send(&mut self, envelope: &Envelope) -> Verdict {
        self.venue.step_after(10, vec![envelope.encode()]).only()
    }

    fn ask(&mut self, commands: Vec<Command>) -> Verdict {
        let envelope = self.person.seal(&self.intent(commands));
        self.send(&envelope)
    }

    fn count(&self) -> u32 {
        self.venue.ledger().accounts().account(self.account).unwrap().passkey_count()
    }
}

fn withdrawal(amount: i64) -> Command {
    let destination = list(vec![0xaa; 20]);
    let (segment, amount) = (SegmentId::new(1), micros(amount));
    Command::RequestWithdrawal(Box::new(RequestWithdrawal { segment, amount, chain: 1, destination }))
}

#[test]
fn a_wallet_and_a_passkey_open_grant_trade_and_withdraw() {
    for person in [wallet(1), Person::Passkey(passkey(1))] {
        let mut opened = Opened::new(person);
        let account = opened.account.number();
        let grant = terms(&opened.venue, account, 1);
        assert_eq!(opened.ask(vec![Command::RegisterGrant(Box::new(grant))]), Ok(()));
        assert_eq!(opened.venue.ask_session(account, 1, bid(1, 900, 2)), Ok(()));
        assert_eq!(opened.ask(vec![withdrawal(1_000)]), Ok(()));
        let key = opened.person.key();
        assert_eq!(opened.venue.ledger().accounts().account_of_root(&key), Some(opened.account));
    }
}

#[test]
fn wallets_and_passkeys_share_a_block_with_other_keys() {
    let mut opened = Opened::new(wallet(1));
    let other = passkey(2);
    let key = Person::Passkey(other.clone()).key();
    opened.venue.attest(&[1, 2], &claim(2, OPENING_MIN, Beneficiary::RootKey(key)));
    let mut opening = opened.intent(vec![Command::OpenAccount]);
    (opening.account, opening.nonce, opening.signer.key) = (AccountId::NONE, 1, key);
    let trader = opened.venue.root(FIRST, vec![bid(1, 900, 2)]).sealed();
    let forged = opened.person.seal(&opened.intent(vec![withdrawal(1)]));
    let forged = Envelope { intent: opened.intent(vec![withdrawal(2)]), ..forged };
    let envelopes = vec![
        opened.person.seal(&opened.intent(vec![withdrawal(1)])).encode(),
        forged.encode(),
        trader,
        Person::Passkey(other).seal(&opening).encode(),
    ];
    let step = opened.venue.step_after(10, envelopes);
    assert_eq!(step.refused_outside, [(1, RejectCode::SignatureInvalid)]);
    assert_eq!([0, 1, 2].map(|place| step.verdict(place, 0)), [Ok(()); 3]);
}

#[test]
fn a_session_key_is_no_wallets_and_no_passkeys() {
    for key in [wallet(9).key(), Person::Passkey(passkey(9)).key()] {
        let mut opened = Opened::new(wallet(1));
        let mut grant = terms(&opened.venue, opened.account.number(), 1);
        grant.session_key = key;
        assert_eq!(opened.ask(vec![Command::RegisterGrant(Box::new(grant))]), Err(RejectCode::KeyInvalid));
    }
}

#[test]
fn another_wallet_is_a_key_of_another_account_and_not_an_unknown_account() {
    let mut opened = Opened::new(wallet(1));
    let stranger = wallet(2);
    let mut intent = opened.intent(vec![withdrawal(1)]);
    intent.signer.key = stranger.key();
    assert_eq!(opened.send(&stranger.seal(&intent)), Err(RejectCode::KeyNotOfAccount));
    let mut as_session = opened.intent(vec![bid(1, 900, 2)]);
    as_session.signer.role = SignerRole::Session;
    assert_eq!(opened.send(&opened.person.clone().seal(&as_session)), Err(RejectCode::KeyNotOfAccount));
}

#[test]
fn a_signature_for_another_chain_a_late_one_and_a_repeated_one_are_refused() {
    for person in [wallet(1), Person::Passkey(passkey(1))] {
        let mut opened = Opened::new(person.clone());
        let intent = opened.intent(vec![withdrawal(1)]);
        let elsewhere = person.seal(&Intent { chain_id: Digest([1; 32]), ..intent.clone() });
        assert_eq!(opened.send(&elsewhere), Err(RejectCode::WrongChain));
        let here = Envelope { intent: intent.clone(), ..elsewhere };
        let expected = match person {
            Person::Wallet(_) => RejectCode::SignatureInvalid,
            Person::Passkey(_) => RejectCode::PasskeyChallengeWrong,
        };
        assert_eq!(opened.send(&here), Err(expected), "lifted to this chain");
        let late = Intent { valid_until_ms: TimeMs::from_ms(opened.venue.time_ms), ..intent.clone() };
        assert_eq!(opened.send(&person.seal(&late)), Err(RejectCode::EnvelopeExpired));
        let signed = person.seal(&intent);
        assert_eq!(opened.send(&signed), Ok(()));
        assert_eq!(opened.send(&signed), Err(RejectCode::NonceUsed));
    }
}

#[test]
fn a_passkeys_counter_is_state_and_survives_a_snapshot() {
    let with = |count| Person::Passkey(Passkey { count, ..passkey(1) });
    let mut opened = Opened::new(with(0));
    for (count, expected) in [
        (0, Ok(())),
        (7, Ok(())),
        (7, Err(RejectCode::PasskeyCounterNotHigher)),
        (0, Err(RejectCode::PasskeyCounterNotHigher)),
        (8, Ok(())),
    ] {
        opened.person = with(count);
        assert_eq!(opened.ask(vec![withdrawal(1)]), expected, "counter {count}");
    }
    assert_eq!(opened.count(), 8);
    let snapshot = opened.venue.snapshot();
    let restored = Replica::read_snapshot(&with_passkeys(), BuiltInTable, &mut snapshot.as_slice(), &Sequential);
    assert_eq!(restored.unwrap().ledger().accounts().account(opened.account).unwrap().passkey_count(), 8);
}

#[test]
fn an_account_passes_from_a_wallet_to_a_passkey_and_on_to_another_whose_counter_begins_anew() {
    let with = |number, count| Person::Passkey(Passkey { count, ..passkey(number) });
    let mut opened = Opened::new(wallet(1));
    for (keeper, taker) in [(wallet(1), with(1, 7)), (with(1, 9), with(2, 2))] {
        opened.person = keeper.clone();
        assert_eq!(opened.ask(vec![Command::ChangeRootKey(ChangeRootKey { key: taker.key() })]), Ok(()));
        opened.venue.wait_through(safeguard_rules().root_change_delay_ms.ms());
        opened.person = taker;
        assert_eq!(opened.ask(vec![Command::AcceptRootKey]), Ok(()), "what it counted elsewhere is not compared");
        assert_eq!(opened.count(), 0);
        assert_eq!(opened.ask(vec![withdrawal(1)]), Ok(()));
        opened.person = keeper;
        assert_eq!(opened.ask(vec![withdrawal(1)]), Err(RejectCode::KeyNotOfAccount));
    }
    assert_eq!(opened.count(), 2);
}

#[test]
fn without_origins_in_genesis_a_passkey_opens_nothing() {
    let person = Person::Passkey(passkey(1));
    let mut venue = Venue::new();
    venue.attest(&[1, 2], &claim(1, OPENING_MIN, Beneficiary::RootKey(person.key())));
    let mut opened = Opened { venue, person, account: AccountId::NONE };
    assert_eq!(opened.ask(vec![Command::OpenAccount]), Err(RejectCode::PasskeyOriginNotAllowed));
}

/// The scenarios of `refusals.rs` for root keys of people.
pub fn refusal(code: RejectCode) -> Verdict {
    let changed = |change: fn(&mut Passkey)| {
        let mut asked = passkey(1);
        let mut opened = Opened::new(Person::Passkey(Passkey { count: 3, ..asked.clone() }));
        asked.count = 5;
        opened.person = Person::Passkey(asked.clone());
        opened.ask(vec![withdrawal(1)]).unwrap();
        asked.count = 6;
        change(&mut asked);
        opened.person = Person::Passkey(asked);
        opened.ask(vec![withdrawal(1)])
    };
    match code {
        RejectCode::SignatureFormUnfit => {
            let mut opened = Opened::new(wallet(1));
            let answer = Person::Passkey(passkey(1)).seal(&opened.intent(vec![withdrawal(1)]));
            opened.send(&answer)
        }
        RejectCode::WalletCommandCount => {
            let mut opened = Opened::new(wallet(1));
            let one = opened.person.seal(&opened.intent(vec![withdrawal(1)]));
            let two = opened.intent(vec![withdrawal(1), withdrawal(2)]);
            opened.send(&Envelope { intent: two, ..one })
        }
        RejectCode::SignatureNotLow => {
            let mut opened = Opened::new(wallet(1));
            let mut envelope = opened.person.seal(&opened.intent(vec![withdrawal(1)]));
            if let SignatureBytes::Eip712(signature) = &mut envelope.signature {
                signature.s = [0xf0; 32];
            }
            opened.send(&envelope)
        }
        RejectCode::PasskeyDataMalformed => {
            let mut opened = Opened::new(Person::Passkey(passkey(1)));
            let mut envelope = opened.person.seal(&opened.intent(vec![withdrawal(1)]));
            if let SignatureBytes::WebAuthn(answer) = &mut envelope.signature {
                answer.client_data = list(b"{}".to_vec());
            }
            opened.send(&envelope)
        }
        RejectCode::PasskeyChallengeWrong => {
            let mut opened = Opened::new(Person::Passkey(passkey(1)));
            let envelope = opened.person.seal(&opened.intent(vec![withdrawal(1)]));
            let intent = opened.intent(vec![withdrawal(2)]);
            opened.send(&Envelope { intent, ..envelope })
        }
        RejectCode::PasskeyUserNotVerified => changed(|passkey| passkey.flags = 0b001),
        RejectCode::PasskeyOriginNotAllowed => changed(|passkey| passkey.origin = "https://app.casemate.example.evil"),
        RejectCode::PasskeyCounterNotHigher => changed(|passkey| passkey.count = 5),
        other => panic!("`{}` has its scenario elsewhere", other.name()),
    }
}

#[test]
fn an_ed25519_root_key_goes_on_as_before() {
    let mut venue = Venue::of(with_passkeys());
    let letter = venue.letter(FIRST, SignerRole::Root, root_key(FIRST), vec![withdrawal(1), bid(1, 900, 2)]);
    let step = venue.step(&[letter]);
    assert_eq!([step.verdict(0, 0), step.verdict(0, 1)], [Ok(()); 2]);
}
