//! Reads of what is not public, attacked by whoever has no key, a former one, another's, or a policy against them.

use casemate_gate::read::{Clocks, authorize};
use casemate_gate::{DecodedPass, PolicyDecider, Read};
use casemate_protocol::command::{ChangeRootKey, RevokeGrant};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::{Genesis, Principal};
use casemate_protocol::limits::{FRESH_GRANT_MS, READ_PASS_LIFE_MS_MAX};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::read_pass::{READ_PASS_VERSION, ReadPass, ReadScope, ReadTerms};
use casemate_protocol::{
    AccountId, Command, Digest, DurationMs, GrantNumber, MarketId, OperatorId, RejectCode, SignatureBytes, TimeMs,
};
use casemate_replica::Replica;
use ed25519_zebra::SigningKey;

use crate::kit::words::{self, Words};
use crate::kit::{
    FIRST, GRANT_LIFETIME_MS, Venue, genesis, list, margined, next_root_key, opener_key, public_key, root_key,
    safeguard_rules, session_key, signing_key, terms,
};

type Verdict = Result<(), RejectCode>;

/// A moment on the clock of whoever serves: far from the venue's.
const NOW_MS: u64 = 1_790_000_000_000;
const MARKET: Read = Read::Market(MarketId::new(1));

/// Terms that hold at [`NOW_MS`].
fn good<D: PolicyDecider>(venue: &Venue<D>, account: u64, key: &SigningKey, scope: ReadScope) -> ReadTerms {
    ReadTerms {
        version: READ_PASS_VERSION,
        chain_id: venue.chain_id(),
        account: if scope == ReadScope::Key { AccountId::NONE } else { AccountId::new(account) },
        key: public_key(key),
        scope,
        not_before_ms: TimeMs::from_ms(NOW_MS - 60_000),
        expires_ms: TimeMs::from_ms(NOW_MS + 60_000),
    }
}

fn sign(terms: ReadTerms, key: &SigningKey) -> Vec<u8> {
    ReadPass { terms, signature: SignatureBytes::Ed25519(key.sign(terms.digest().bytes()).into()) }.encode()
}

fn judge<D: PolicyDecider>(venue: &Venue<D>, decider: &D, pass: &[u8], read: Read) -> Verdict {
    let clocks = Clocks { reader_ms: TimeMs::from_ms(NOW_MS), venue_ms: TimeMs::from_ms(0) };
    judge_at(venue, decider, pass, read, clocks)
}

fn judge_at<D: PolicyDecider>(venue: &Venue<D>, decider: &D, pass: &[u8], read: Read, clocks: Clocks) -> Verdict {
    let judged = || {
        let pass = DecodedPass::decode(pass, &venue.chain_id())?.authenticate()?;
        let read = authorize(&pass, read, clocks, venue.ledger(), decider)?;
        assert_eq!(read.reader(), pass.terms().account);
        Ok(())
    };
    judged().map_err(|reject: casemate_protocol::Reject| reject.code())
}

fn reads_own<D: PolicyDecider>(venue: &Venue<D>, decider: &D, account: u64, key: &SigningKey) -> Verdict {
    let pass = sign(good(venue, account, key, ReadScope::Account), key);
    judge(venue, decider, &pass, Read::Account(AccountId::new(account)))
}

const BUILT_IN: casemate_gate::BuiltInTable = casemate_gate::BuiltInTable;

/// A venue on margin with an auditor, whose account is the last of the principals.
fn audited(text: &str) -> (Venue<Words>, u64) {
    let auditor = Principal { operator: OperatorId::new(41), root_key: public_key(&signing_key("auditor", 1)) };
    let genesis =
        Genesis { policies: words::set(text), auditors: list(vec![auditor]), seeded: None, ..margined::genesis() };
    let replica = Replica::new(&genesis, std::iter::empty(), Words, &Sequential).unwrap();
    let account = u64::try_from(genesis.principals().count()).unwrap();
    (Venue::at_start(genesis, replica), account)
}

#[test]
fn the_root_key_and_live_sessions_read_their_account_and_nobody_elses() {
    let venue = Venue::new();
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &root_key(FIRST)), Ok(()));
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &session_key(FIRST, 1)), Ok(()));
    let stranger = Err(RejectCode::KeyNotOfAccount);
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &root_key(FIRST + 1)), stranger);
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &session_key(FIRST + 1, 1)), stranger);
    // Not "unknown account": who has no key learns nothing of which accounts there are.
    assert_eq!(reads_own(&venue, &BUILT_IN, 9_999, &root_key(FIRST)), stranger);
    let own = sign(good(&venue, FIRST, &root_key(FIRST), ReadScope::Account), &root_key(FIRST));
    for other in [Read::Account(AccountId::new(FIRST + 1)), MARKET, Read::Auditor] {
        assert_eq!(judge(&venue, &BUILT_IN, &own, other), Err(RejectCode::PassDoesNotCover));
    }
}

#[test]
fn a_revoked_or_ended_session_reads_nothing() {
    let mut venue = Venue::new();
    let session = session_key(FIRST, 1);
    let pass = sign(good(&venue, FIRST, &session, ReadScope::Account), &session);
    let own = Read::Account(AccountId::new(FIRST));
    assert_eq!(judge(&venue, &BUILT_IN, &pass, own), Ok(()));
    let revoke = Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) });
    assert_eq!(venue.ask(FIRST, revoke), Ok(()));
    assert_eq!(judge(&venue, &BUILT_IN, &pass, own), Err(RejectCode::GrantRevoked), "the same bytes, a block later");

    let venue = Venue::new();
    let ends_ms = venue.time_ms + GRANT_LIFETIME_MS;
    let at = |venue_ms| Clocks { reader_ms: TimeMs::from_ms(NOW_MS), venue_ms: TimeMs::from_ms(venue_ms) };
    assert_eq!(judge_at(&venue, &BUILT_IN, &pass, own, at(ends_ms - 1)), Ok(()));
    // No block has come since: an idle chain keeps no grant alive.
    assert_eq!(judge_at(&venue, &BUILT_IN, &pass, own, at(ends_ms)), Err(RejectCode::GrantExpired));
}

#[test]
fn a_replaced_root_key_reads_nothing_and_its_successor_only_once_it_could_take_over() {
    let mut venue = Venue::new();
    let (old, new) = (root_key(FIRST), next_root_key(FIRST));
    let stranger = Err(RejectCode::KeyNotOfAccount);
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &new), stranger);
    assert_eq!(venue.ask(FIRST, Command::ChangeRootKey(ChangeRootKey { key: public_key(&new) })), Ok(()));
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &new), Err(RejectCode::RootKeyChangeWaiting));
    venue.wait_through(safeguard_rules().root_change_delay_ms.ms());
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &new), Ok(()));
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &old), Ok(()), "until then both can act");
    let accept = venue.letter(FIRST, SignerRole::Root, new, vec![Command::AcceptRootKey]);
    assert_eq!(venue.step(&[accept]).only(), Ok(()));
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &new), Ok(()));
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &old), stranger);
}

#[test]
fn a_key_learns_its_own_account_and_of_no_other_key() {
    let mut venue = Venue::new();
    let account = venue.open(0, crate::kit::OPENING_MIN);
    let key = opener_key(0);
    let pass = sign(good(&venue, 0, &key, ReadScope::Key), &key);
    let asked = |key: &SigningKey| {
        let decoded = DecodedPass::decode(&pass, &venue.chain_id()).unwrap().authenticate().unwrap();
        let clocks = Clocks { reader_ms: TimeMs::from_ms(NOW_MS), venue_ms: TimeMs::from_ms(0) };
        let read = authorize(&decoded, Read::Key(public_key(key)), clocks, venue.ledger(), &BUILT_IN);
        read.map(|read| read.reader().number()).map_err(|reject| reject.code())
    };
    assert_eq!(asked(&key), Ok(account));
    assert_eq!(asked(&root_key(FIRST)), Err(RejectCode::PassDoesNotCover));
    let unknown = opener_key(5);
    let of_none = sign(good(&venue, 0, &unknown, ReadScope::Key), &unknown);
    assert_eq!(judge(&venue, &BUILT_IN, &of_none, Read::Key(public_key(&unknown))), Ok(()), "and finds none");
}

#[test]
fn auditors_read_everything_and_traders_what_is_theirs() {
    let (venue, auditor) = audited("");
    let key = signing_key("auditor", 1);
    let pass = sign(good(&venue, auditor, &key, ReadScope::Auditor), &key);
    for read in [Read::Auditor, MARKET, Read::Account(AccountId::new(1))] {
        assert_eq!(judge(&venue, &Words, &pass, read), Ok(()), "{read:?}");
    }
    let of_key = Read::Key(public_key(&key));
    assert_eq!(judge(&venue, &Words, &pass, of_key), Err(RejectCode::PassDoesNotCover));
    // Whoever signs the same with the key of an ordinary account has a pass, and no policy behind it.
    let venue = Venue::new();
    for (scope, read) in [(ReadScope::Auditor, Read::Auditor), (ReadScope::Market(MarketId::new(1)), MARKET)] {
        let wide = sign(good(&venue, FIRST, &root_key(FIRST), scope), &root_key(FIRST));
        assert_eq!(judge(&venue, &BUILT_IN, &wide, read), Err(RejectCode::ReadNotPermitted));
    }
}

#[test]
fn what_a_policy_asks_of_reads_binds_them_and_only_as_long_as_it_is_in_force() {
    let reads = |text: &str, key: &SigningKey| {
        let genesis = Genesis { policies: words::set(text), ..genesis() };
        let replica = Replica::new(&genesis, crate::kit::seeded_keys(&genesis), Words, &Sequential).unwrap();
        reads_own(&Venue::at_start(genesis, replica), &Words, FIRST, key)
    };
    let (root, session) = (root_key(FIRST), session_key(FIRST, 1));
    // The control off: both read. On: one, and then none.
    assert_eq!((reads("", &root), reads("", &session)), (Ok(()), Ok(())));
    let rooted = "ReadOwnAccount Rooted";
    assert_eq!((reads(rooted, &root), reads(rooted, &session)), (Ok(()), Err(RejectCode::ReadEvidenceTooLow)));
    assert_eq!(reads("ReadOwnAccount never", &root), Err(RejectCode::ReadNotPermitted));
    // A rule on this one account is asked on the slow path, and a machine that cannot tell opens nothing.
    let slow = format!("slow ReadOwnAccount account {FIRST} Rooted");
    assert_eq!((reads(&slow, &root), reads(&slow, &session)), (Ok(()), Err(RejectCode::ReadEvidenceTooLow)));
    assert_eq!(reads("fault ReadOwnAccount", &root), Err(RejectCode::PolicyEngineFault));
}

#[test]
fn a_session_that_the_root_key_made_just_now_is_fresh_for_ten_minutes() {
    let mut genesis = Genesis { policies: words::set("ReadOwnAccount Fresh"), ..genesis() };
    if let Some(seeded) = &mut genesis.seeded {
        seeded.grant_lifetime_ms = DurationMs::from_ms(2 * FRESH_GRANT_MS);
    }
    let replica = Replica::new(&genesis, crate::kit::seeded_keys(&genesis), Words, &Sequential).unwrap();
    let venue = Venue::at_start(genesis, replica);
    let of_genesis = session_key(FIRST, 1);
    let pass = sign(good(&venue, FIRST, &of_genesis, ReadScope::Account), &of_genesis);
    let own = Read::Account(AccountId::new(FIRST));
    let after = |ms: u64| Clocks { reader_ms: TimeMs::from_ms(NOW_MS), venue_ms: TimeMs::from_ms(venue.time_ms + ms) };
    assert_eq!(judge_at(&venue, &Words, &pass, own, after(FRESH_GRANT_MS - 1)), Ok(()));
    let stale = judge_at(&venue, &Words, &pass, own, after(FRESH_GRANT_MS));
    assert_eq!(stale, Err(RejectCode::ReadEvidenceTooLow));
}

// ---- every refusal, for `refusals.rs`

/// A scenario that ends with this refusal of reads.
pub fn refusal(code: RejectCode) -> Verdict {
    let venue = Venue::new();
    let key = root_key(FIRST);
    let changed = |change: &dyn Fn(&mut ReadTerms)| {
        let mut terms = good(&venue, FIRST, &key, ReadScope::Account);
        change(&mut terms);
        judge(&venue, &BUILT_IN, &sign(terms, &key), Read::Account(AccountId::new(FIRST)))
    };
    let ms = TimeMs::from_ms;
    match code {
        RejectCode::PassMalformed => changed(&|terms| terms.version = 2),
        RejectCode::PassOfAnotherChain => changed(&|terms| terms.chain_id = Digest([1; 32])),
        RejectCode::PassNotYetValid => changed(&|terms| terms.not_before_ms = ms(NOW_MS + 1)),
        RejectCode::PassExpired => changed(&|terms| terms.expires_ms = ms(NOW_MS)),
        RejectCode::PassLifeNotAllowed => {
            let ended = changed(&|terms| terms.expires_ms = terms.not_before_ms);
            assert_eq!(ended, Err(RejectCode::PassLifeNotAllowed));
            assert_eq!(
                changed(&|terms| terms.expires_ms = ms(terms.not_before_ms.ms() + READ_PASS_LIFE_MS_MAX)),
                Ok(())
            );
            changed(&|terms| terms.expires_ms = ms(terms.not_before_ms.ms() + READ_PASS_LIFE_MS_MAX + 1))
        }
        RejectCode::PassSignatureInvalid => {
            let terms = good(&venue, FIRST, &key, ReadScope::Account);
            judge(&venue, &BUILT_IN, &sign(terms, &root_key(FIRST + 1)), Read::Account(AccountId::new(FIRST)))
        }
        RejectCode::PassDoesNotCover => changed(&|terms| terms.scope = ReadScope::Market(MarketId::new(1))),
        RejectCode::ReadNotPermitted => {
            let pass = sign(good(&venue, FIRST, &key, ReadScope::Auditor), &key);
            judge(&venue, &BUILT_IN, &pass, Read::Auditor)
        }
        RejectCode::ReadEvidenceTooLow => {
            let venue = crate::policies::venue("ReadOwnAccount Proven");
            reads_own(&venue, &Words, FIRST, &key)
        }
        other => panic!("`{}` has its scenario elsewhere", other.name()),
    }
}

#[test]
fn registering_a_grant_opens_reads_and_its_terms_are_not_asked() {
    let mut venue = Venue::new();
    let grant = Command::RegisterGrant(Box::new(terms(&venue, FIRST, 2)));
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &session_key(FIRST, 2)), Err(RejectCode::KeyNotOfAccount));
    assert_eq!(venue.ask(FIRST, grant), Ok(()));
    assert_eq!(reads_own(&venue, &BUILT_IN, FIRST, &session_key(FIRST, 2)), Ok(()));
}
