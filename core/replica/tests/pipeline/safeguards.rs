//! What guards an account against its own keys, attacked by whoever has one of them.

use casemate_gate::BuiltInTable;
use casemate_protocol::command::{
    Beneficiary, ChangeRootKey, CloseAccount, PayoutAddress, RequestWithdrawal, SystemWork,
};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::{AccountRules, Genesis, SafeguardRules};
use casemate_protocol::limits::{FORMER_ROOT_KEYS_MAX, PAYOUT_ADDRESSES_MAX};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{AccountId, Command, DurationMs, Event, PublicKey, RejectCode, SegmentId, WithdrawalNumber};
use casemate_replica::Replica;
use ed25519_zebra::SigningKey;

use crate::kit::margined;
use crate::kit::{
    FIRST, OPENING_MIN, Step, Venue, bid, claim, genesis, list, micros, next_root_key, opener_key, public_key,
    root_key, safeguard_rules, session_key, terms,
};

type Verdict = Result<(), RejectCode>;

/// The owner's own address, and one of a thief.
const HOME: u8 = 1;
const THIEF: u8 = 66;

fn address(letter: u8) -> Box<PayoutAddress> {
    Box::new(PayoutAddress { chain: 1, destination: list(vec![letter; 20]) })
}

fn add(letter: u8) -> Command {
    Command::AddPayoutAddress(address(letter))
}

fn remove(letter: u8) -> Command {
    Command::RemovePayoutAddress(address(letter))
}

fn request(letter: u8, amount: i64) -> Box<RequestWithdrawal> {
    let PayoutAddress { chain, destination } = *address(letter);
    Box::new(RequestWithdrawal { segment: SegmentId::new(1), amount: micros(amount), chain, destination })
}

fn withdraw(letter: u8) -> Command {
    Command::RequestWithdrawal(request(letter, 1_000))
}

fn cooling_ms() -> u64 {
    safeguard_rules().address_cooling_ms.ms()
}

/// Withdrawals that left in some blocks.
fn released(steps: &[Step]) -> Vec<u64> {
    let number = |event: &Event| match event {
        Event::WithdrawalReleased(ended) => Some(ended.number.number()),
        _ => None,
    };
    steps.iter().flat_map(Step::events).filter_map(number).collect()
}

/// A venue whose first seeded account has an address that it can use.
fn at_home() -> Venue {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, add(HOME)), Ok(()));
    venue.wait_through(cooling_ms());
    assert_eq!(venue.ask(FIRST, withdraw(HOME)), Ok(()));
    venue
}

fn delay_ms() -> u64 {
    safeguard_rules().root_change_delay_ms.ms()
}

fn change(key: &SigningKey) -> Command {
    Command::ChangeRootKey(ChangeRootKey { key: public_key(key) })
}

/// The key says that it takes an account over.
fn accept(venue: &mut Venue, account: u64, key: SigningKey) -> Verdict {
    let letter = venue.letter(account, SignerRole::Root, key, vec![Command::AcceptRootKey]);
    venue.step(&[letter]).only()
}

/// A venue whose first seeded account has announced another root key.
fn announced() -> Venue {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, change(&next_root_key(FIRST))), Ok(()));
    venue
}

/// The same venue with a safeguard that guards nothing.
fn loose(change: fn(&mut SafeguardRules)) -> Venue {
    let genesis = genesis();
    let mut safeguards = genesis.accounts.safeguards;
    change(&mut safeguards);
    Venue::of(Genesis { accounts: AccountRules { safeguards, ..genesis.accounts }, ..genesis })
}

fn owner(venue: &Venue, key: &PublicKey) -> Option<u64> {
    venue.ledger().accounts().account_of_root(key).map(AccountId::number)
}

/// The scenario of a refusal.
pub fn refusal(code: RejectCode) -> Verdict {
    use RejectCode as Code;
    match code {
        Code::DestinationNotInBook => at_home().ask(FIRST, withdraw(THIEF)),
        Code::DestinationCooling => {
            let mut venue = at_home();
            venue.ask(FIRST, add(THIEF))?;
            venue.wait_through(cooling_ms() - 2_000);
            venue.ask(FIRST, withdraw(THIEF))
        }
        Code::AddressBookBinds => {
            let mut venue = at_home();
            venue.ask(FIRST, remove(HOME))?;
            venue.ask(FIRST, withdraw(THIEF))
        }
        Code::PayoutAddressKnown => at_home().ask(FIRST, add(HOME)),
        Code::PayoutAddressNotFound => at_home().ask(FIRST, remove(THIEF)),
        Code::PayoutAddressesMax => {
            let mut venue = at_home();
            for letter in 2..=u8::try_from(PAYOUT_ADDRESSES_MAX).unwrap() {
                venue.ask(FIRST, add(letter))?;
            }
            venue.ask(FIRST, add(THIEF))
        }
        Code::RootKeyChangePending => {
            let mut venue = announced();
            venue.ask(FIRST, change(&opener_key(9)))
        }
        Code::RootKeyChangeNotFound => Venue::new().ask(FIRST, Command::CancelRootKeyChange),
        Code::RootKeyChangeWaiting => accept(&mut announced(), FIRST, next_root_key(FIRST)),
        Code::RootKeyInUse => Venue::new().ask(FIRST, change(&root_key(FIRST + 1))),
        Code::RootKeyNotProven => announced().ask(FIRST, Command::AcceptRootKey),
        Code::RootKeyReplaced => {
            let mut venue = announced();
            venue.wait_through(delay_ms());
            let letters = [
                venue.letter(FIRST, SignerRole::Root, next_root_key(FIRST), vec![Command::AcceptRootKey]),
                venue.root(FIRST, vec![withdraw(THIEF)]),
            ];
            // Both are in the block: the key was the root key before it.
            let [first, second] = letters;
            let nonce = first.intent.nonce + 1;
            let step = venue.step(&[first, second.nonce(nonce)]);
            assert_eq!((&step.refused_outside[..], step.verdict(0, 0)), (&[][..], Ok(())));
            step.verdict(1, 0)
        }
        Code::FormerRootKeysMax => {
            let mut venue = Venue::new();
            let mut key = root_key(FIRST);
            for number in 0..=FORMER_ROOT_KEYS_MAX {
                let next = opener_key(1_000 + u64::try_from(number).unwrap());
                let letter = venue.letter(FIRST, SignerRole::Root, key, vec![change(&next)]);
                venue.step(&[letter]).only()?;
                venue.wait_through(delay_ms());
                accept(&mut venue, FIRST, next)?;
                key = next;
            }
            Ok(())
        }
        other => panic!("`{}` has its scenario elsewhere", other.name()),
    }
}

#[test]
fn without_a_book_money_leaves_to_any_address() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, withdraw(THIEF)), Ok(()));
    assert_eq!(released(&venue.wait_through(4_000)), [1]);
}

#[test]
fn a_thief_with_the_root_key_waits_for_his_address_like_anybody_else() {
    let mut venue = at_home();
    assert_eq!(venue.ask(FIRST, add(THIEF)), Ok(()));
    let before = released(&venue.wait_through(cooling_ms() - 2_000));
    assert_eq!(before, [1], "only what the owner had asked for");
    assert_eq!(venue.ask(FIRST, withdraw(THIEF)), Err(RejectCode::DestinationCooling));
    venue.wait_through(2_000);
    assert_eq!(venue.ask(FIRST, withdraw(THIEF)), Ok(()), "time enough to stop him has passed");
}

#[test]
fn with_no_time_to_cool_off_a_thief_is_gone_within_a_block() {
    let mut venue = loose(|rules| rules.address_cooling_ms = DurationMs::from_ms(1));
    venue.ask(FIRST, add(HOME)).unwrap();
    venue.ask(FIRST, add(THIEF)).unwrap();
    assert_eq!(venue.ask(FIRST, withdraw(THIEF)), Ok(()));
    assert_eq!(released(&venue.wait_through(4_000)), [1]);
}

#[test]
fn an_outage_does_not_use_up_the_cooling() {
    let mut venue = at_home();
    venue.ask(FIRST, add(THIEF)).unwrap();
    // A day passes in one step: the waiting clock gains two seconds.
    venue.wait(86_400_000);
    assert_eq!(venue.ask(FIRST, withdraw(THIEF)), Err(RejectCode::DestinationCooling));
    assert!(venue.ledger().is_anything_waiting(), "blocks close until the address has cooled off");
    venue.wait_through(cooling_ms());
    assert!(!venue.ledger().is_anything_waiting());
}

#[test]
fn an_address_that_was_taken_out_holds_the_withdrawal_back_and_its_owner_takes_it_back() {
    let mut venue = at_home();
    venue.ask(FIRST, add(2)).unwrap();
    venue.ask(FIRST, remove(HOME)).unwrap();
    assert_eq!(released(&venue.wait_through(10_000)), []);
    let number = WithdrawalNumber::new(1);
    let cancel =
        Command::CancelWithdrawal(casemate_protocol::command::CancelWithdrawal { segment: SegmentId::new(1), number });
    assert_eq!(venue.ask(FIRST, cancel), Ok(()));
    // Who is held back holds up nobody.
    let mut venue = at_home();
    venue.ask(FIRST, add(2)).unwrap();
    venue.ask(FIRST, remove(HOME)).unwrap();
    venue.ask(FIRST + 1, withdraw(7)).unwrap();
    assert_eq!(released(&venue.wait_through(4_000)), [2]);
    // Back in the book it cools off again, and then the withdrawal goes.
    venue.ask(FIRST, add(HOME)).unwrap();
    assert_eq!(released(&venue.wait_through(cooling_ms() - 2_000)), []);
    assert_eq!(released(&venue.wait_through(4_000)), [1]);
}

#[test]
fn a_book_that_loses_its_last_address_binds_for_as_long_as_one_cools_off() {
    let mut venue = at_home();
    venue.ask(FIRST, remove(HOME)).unwrap();
    assert_eq!(released(&venue.wait_through(cooling_ms() - 2_000)), [], "what was asked for waits with it");
    assert_eq!(venue.ask(FIRST, withdraw(THIEF)), Err(RejectCode::AddressBookBinds));
    assert_eq!(released(&venue.wait_through(4_000)), [1]);
    assert_eq!(venue.ask(FIRST, withdraw(THIEF)), Ok(()));
}

#[test]
fn an_account_closes_to_an_address_of_its_book_only() {
    let mut venue = Venue::new();
    let account = 4;
    venue.ask(account, add(HOME)).unwrap();
    let close = |letter| {
        let PayoutAddress { chain, destination } = *address(letter);
        Command::CloseAccount(Box::new(CloseAccount { chain, destination }))
    };
    assert_eq!(venue.ask(account, close(THIEF)), Err(RejectCode::DestinationNotInBook));
    assert_eq!(venue.ask(account, close(HOME)), Err(RejectCode::DestinationCooling));
    venue.wait_through(cooling_ms());
    assert_eq!(venue.ask(account, close(HOME)), Ok(()));
}

#[test]
fn the_slow_exit_waits_with_an_address_that_cools_off_and_goes_to_no_other() {
    let mut venue = margined::patient_venue();
    let account = venue.first;
    let exit = |letter| Command::RequestPrincipalExit(request(letter, 1_000));
    venue.ask(account, add(HOME)).unwrap();
    assert_eq!(venue.ask(account, exit(THIEF)), Err(RejectCode::DestinationNotInBook));
    assert_eq!(venue.ask(account, exit(HOME)), Ok(()), "both clocks run at the same time");
    let steps = venue.wait_through(cooling_ms() - 2_000);
    assert_eq!(released(&steps), []);
    let delay_ms = venue.genesis.clearing.as_slice()[0].principal_exit.delay_ms.ms();
    assert_eq!(released(&venue.wait_through(delay_ms.max(4_000))), [1]);
}

#[test]
fn accounts_that_use_no_safeguard_have_no_row_and_a_book_is_proved_against_the_root() {
    let mut venue = at_home();
    assert!(venue.ledger().accounts().safeguards().of(AccountId::new(FIRST + 1)).is_none());
    assert!(venue.ledger().prove_safeguard(AccountId::new(FIRST + 1)).is_none());
    let proof = venue.ledger().prove_safeguard(AccountId::new(FIRST)).unwrap();
    assert_eq!(proof.state_root(), Some(venue.ledger().state_root()));
    venue.ask(FIRST, add(2)).unwrap();
    let after = venue.ledger().prove_safeguard(AccountId::new(FIRST)).unwrap();
    assert_ne!(proof.row, after.row);
}

#[test]
fn due_work_never_releases_what_safeguards_hold_back() {
    let mut venue = at_home();
    venue.ask(FIRST, remove(HOME)).unwrap();
    let steps = venue.wait_through(10_000);
    let is_release = |record: &casemate_audit::RecordBody| {
        matches!(&record.source, casemate_audit::RecordSource::System(command)
            if matches!(command.work, SystemWork::ReleaseWithdrawal(_)))
    };
    assert!(!steps.iter().flat_map(|step| &step.records).any(is_release), "it is not even listed");
}

// Change of root key.

#[test]
fn a_root_key_changes_after_its_delay_by_its_own_signature_and_ends_the_sessions_of_the_one_before() {
    let mut venue = Venue::new();
    let new = next_root_key(FIRST);
    assert_eq!(venue.ask_session(FIRST, 1, bid(1, 900, 2)), Ok(()));
    assert_eq!(venue.ask(FIRST, change(&new)), Ok(()));
    assert_eq!(accept(&mut venue, FIRST, new), Err(RejectCode::RootKeyChangeWaiting));
    venue.wait_through(delay_ms() - 2_000);
    assert_eq!(accept(&mut venue, FIRST, new), Err(RejectCode::RootKeyChangeWaiting));
    venue.wait_through(2_000);
    assert_eq!(venue.ask(FIRST, withdraw(HOME)), Ok(()), "until then the key that there is has its full power");
    assert_eq!(venue.open_orders(1, FIRST), 1);
    assert_eq!(accept(&mut venue, FIRST, new), Ok(()));
    assert_eq!(venue.open_orders(1, FIRST), 0, "the orders of its sessions went with them");
    let letter = venue.letter(FIRST, SignerRole::Root, root_key(FIRST), vec![withdraw(THIEF)]);
    assert_eq!(venue.step(&[letter]).only(), Err(RejectCode::KeyNotOfAccount));
    assert_eq!(venue.ask_session(FIRST, 1, bid(1, 900, 2)), Err(RejectCode::GrantRevoked));
    assert_eq!(venue.ask(FIRST, withdraw(HOME)), Ok(()), "by the new key");
    let row = venue.ledger().accounts().safeguards().of(AccountId::new(FIRST)).unwrap();
    assert_eq!(row.root_keys().former(), [public_key(&root_key(FIRST))]);
    assert_eq!(row.root_keys().announced(), None);
}

#[test]
fn a_thief_who_announces_his_key_is_stopped_by_the_owner_within_the_delay() {
    let thief = next_root_key(FIRST);
    let mut venue = announced();
    venue.wait_through(delay_ms() - 2_000);
    assert_eq!(venue.ask(FIRST, Command::CancelRootKeyChange), Ok(()));
    venue.wait_through(delay_ms());
    assert_eq!(accept(&mut venue, FIRST, thief), Err(RejectCode::KeyNotOfAccount));
    assert_eq!(owner(&venue, &public_key(&thief)), None);
    // Without a delay there is no time for that.
    let mut venue = loose(|rules| rules.root_change_delay_ms = DurationMs::from_ms(1));
    venue.ask(FIRST, change(&thief)).unwrap();
    assert_eq!(accept(&mut venue, FIRST, thief), Ok(()));
    let letter = venue.letter(FIRST, SignerRole::Root, root_key(FIRST), vec![Command::CancelRootKeyChange]);
    assert_eq!(venue.step(&[letter]).only(), Err(RejectCode::KeyNotOfAccount), "the owner is locked out");
}

#[test]
fn a_key_that_nobody_holds_takes_over_nothing() {
    let mut venue = announced();
    venue.wait_through(5 * delay_ms());
    assert_eq!(venue.ask(FIRST, withdraw(HOME)), Ok(()));
    // Nor does the key that there is in its name, or a stranger.
    assert_eq!(venue.ask(FIRST, Command::AcceptRootKey), Err(RejectCode::RootKeyNotProven));
    assert_eq!(accept(&mut venue, FIRST, opener_key(5)), Err(RejectCode::KeyNotOfAccount));
    assert_eq!(accept(&mut venue, FIRST, root_key(FIRST + 1)), Err(RejectCode::KeyNotOfAccount));
    assert_eq!(venue.ask_session(FIRST, 1, Command::AcceptRootKey), Err(RejectCode::RootRequired));
}

#[test]
fn an_announced_key_signs_that_it_takes_over_and_nothing_else() {
    let mut venue = announced();
    venue.wait_through(delay_ms());
    let new = next_root_key(FIRST);
    for commands in
        [vec![withdraw(THIEF)], vec![Command::AcceptRootKey, withdraw(THIEF)], vec![Command::CancelRootKeyChange]]
    {
        let letter = venue.letter(FIRST, SignerRole::Root, new, commands);
        assert_eq!(venue.step(&[letter]).only(), Err(RejectCode::KeyNotOfAccount));
    }
    let elsewhere = venue.letter(FIRST + 1, SignerRole::Root, new, vec![Command::AcceptRootKey]);
    assert_eq!(venue.step(&[elsewhere]).only(), Err(RejectCode::KeyNotOfAccount));
    assert_eq!(accept(&mut venue, FIRST, new), Ok(()));
}

#[test]
fn a_cancel_that_comes_first_in_the_block_holds() {
    let mut venue = announced();
    venue.wait_through(delay_ms());
    let new = next_root_key(FIRST);
    let cancel = venue.root(FIRST, vec![Command::CancelRootKeyChange]);
    let accept = venue.letter(FIRST, SignerRole::Root, new, vec![Command::AcceptRootKey]);
    let accept = accept.nonce(cancel.intent.nonce + 1);
    let step = venue.step(&[cancel, accept]);
    assert_eq!(step.refused_outside, []);
    assert_eq!((step.verdict(0, 0), step.verdict(1, 0)), (Ok(()), Err(RejectCode::RootKeyChangeNotFound)));
    assert_eq!(owner(&venue, &public_key(&root_key(FIRST))), Some(FIRST));
}

#[test]
fn an_outage_does_not_use_up_the_delay_of_a_root_key() {
    let mut venue = announced();
    venue.wait(86_400_000);
    assert_eq!(accept(&mut venue, FIRST, next_root_key(FIRST)), Err(RejectCode::RootKeyChangeWaiting));
    assert!(venue.ledger().is_anything_waiting());
}

#[test]
fn a_key_that_is_a_root_key_was_one_or_becomes_one_is_nobody_elses() {
    let mut venue = announced();
    let (old, new) = (root_key(FIRST), next_root_key(FIRST));
    let in_use = Err(RejectCode::RootKeyInUse);
    assert_eq!(venue.ask(FIRST + 1, change(&new)), in_use, "announced by another");
    assert_eq!(venue.ask(FIRST + 1, change(&session_key(FIRST, 1))), in_use);
    assert_eq!(venue.ask(FIRST + 1, change(&root_key(FIRST + 1))), in_use, "its own");
    // A deposit for the announced key waits; nobody opens an account with it.
    let waiting = claim(1, OPENING_MIN, Beneficiary::RootKey(public_key(&new)));
    assert_eq!(venue.attest(&[1, 2], &waiting).verdict(1, 0), Ok(()));
    let opening = venue.opening(new);
    assert_eq!(venue.step(&[opening]).only(), Err(RejectCode::RootKeyTaken));
    let mut session = terms(&venue, FIRST + 1, 2);
    session.session_key = public_key(&new);
    let register = Command::RegisterGrant(Box::new(session));
    assert_eq!(venue.ask(FIRST + 1, register), Err(RejectCode::SessionKeyTaken));
    venue.wait_through(delay_ms());
    let before = venue.cash(1, FIRST);
    assert_eq!(accept(&mut venue, FIRST, new), Ok(()));
    assert_eq!(venue.cash(1, FIRST), before + OPENING_MIN, "what waited for the key has its owner");
    // Deposits that still name the key of before find their owner too.
    let late = claim(2, 1_000, Beneficiary::RootKey(public_key(&old)));
    venue.attest(&[1, 2], &late);
    assert_eq!(venue.cash(1, FIRST), before + OPENING_MIN + 1_000);
    let opening = venue.opening(old);
    assert_eq!(venue.step(&[opening]).only(), Err(RejectCode::RootKeyTaken));
    assert_eq!(venue.ask(FIRST, change(&old)), in_use, "a key that was replaced never comes back");
}

#[test]
fn a_discarded_block_leaves_no_trace_of_a_root_keys_change() {
    let mut venue = announced();
    let (old, new) = (public_key(&root_key(FIRST)), public_key(&next_root_key(FIRST)));
    venue.wait_through(delay_ms());
    let root = venue.ledger().state_root();
    let accepting = venue.letter(FIRST, SignerRole::Root, next_root_key(FIRST), vec![Command::AcceptRootKey]);
    let cancelling = venue.root(FIRST, vec![Command::CancelRootKeyChange, change(&opener_key(3))]);
    for letter in [accepting.clone(), cancelling] {
        let step = venue.propose(10, vec![letter.sealed()]);
        assert_eq!(step.verdict(0, 0), Ok(()));
        assert_ne!(step.block.header.state_root, root);
        venue.replica.discard();
        assert_eq!(venue.ledger().state_root(), root);
        assert_eq!((owner(&venue, &old), owner(&venue, &new)), (Some(FIRST), None));
        assert_eq!(venue.ledger().accounts().holder_of_root(&new), Some(AccountId::new(FIRST)));
        assert_eq!(venue.ledger().accounts().holder_of_root(&public_key(&opener_key(3))), None);
    }
    assert_eq!(venue.step(&[accepting]).only(), Ok(()));
    assert_eq!((owner(&venue, &old), owner(&venue, &new)), (Some(FIRST), Some(FIRST)));
}

#[test]
fn a_snapshot_keeps_announced_and_former_keys() {
    let mut venue = announced();
    venue.ask(FIRST + 1, change(&next_root_key(FIRST + 1))).unwrap();
    venue.wait_through(delay_ms());
    accept(&mut venue, FIRST, next_root_key(FIRST)).unwrap();
    let bytes = venue.snapshot();
    let root = venue.ledger().state_root();
    venue.replica = Replica::read_snapshot(&genesis(), BuiltInTable, &mut bytes.as_slice(), &Sequential).unwrap();
    assert_eq!(venue.ledger().state_root(), root);
    assert_eq!(owner(&venue, &public_key(&root_key(FIRST))), Some(FIRST));
    assert_eq!(owner(&venue, &public_key(&next_root_key(FIRST))), Some(FIRST));
    assert_eq!(venue.ask(FIRST + 2, change(&next_root_key(FIRST + 1))), Err(RejectCode::RootKeyInUse));
    assert_eq!(accept(&mut venue, FIRST + 1, next_root_key(FIRST + 1)), Ok(()));
}

#[test]
fn a_key_of_small_order_cannot_be_announced() {
    let identity = PublicKey::Ed25519(core::array::from_fn(|place| u8::from(place == 0)));
    let verdict = Venue::new().ask(FIRST, Command::ChangeRootKey(ChangeRootKey { key: identity }));
    assert_eq!(verdict, Err(RejectCode::KeyInvalid));
}
