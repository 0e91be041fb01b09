//! Guardians and recovery, attacked by whoever has the root key, and by whoever has the guardians' keys.

use casemate_gate::BuiltInTable;
use casemate_protocol::command::{ChangeRootKey, GuardianAct, GuardianSet, RequestWithdrawal, VoteAsGuardian};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::{AccountRules, Genesis, RecoveryRules};
use casemate_protocol::grant::ActionSet;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{AccountId, Action, Command, DurationMs, Event, PublicKey, RejectCode, SegmentId};
use casemate_replica::Replica;
use ed25519_zebra::SigningKey;

use crate::kit::margined;
use crate::kit::{
    FIRST, Step, Venue, bid, genesis, list, micros, next_root_key, opener_key, public_key, root_key, safeguard_rules,
    session_key, terms,
};

type Verdict = Result<(), RejectCode>;

/// Guardians by their place after the owner, who is the first seeded account.
const GUARDIANS: [u64; 3] = [1, 2, 3];

fn rules() -> RecoveryRules {
    safeguard_rules().recovery
}

fn set(venue: &Venue, threshold: u8, places: &[u64]) -> Command {
    let accounts = places.iter().map(|place| AccountId::new(venue.first + place)).collect();
    Command::SetGuardians(Box::new(GuardianSet { threshold, accounts: list(accounts) }))
}

/// A venue whose first seeded account is guarded by any two of the next three.
fn guarded() -> Venue {
    guard(Venue::new())
}

fn guard(mut venue: Venue) -> Venue {
    let command = set(&venue, 2, &GUARDIANS);
    assert_eq!(venue.ask(venue.first, command), Ok(()));
    venue.wait_through(rules().guardian_change_delay_ms.ms());
    assert_eq!(guardians(&venue), GUARDIANS.map(|place| venue.first + place));
    venue
}

/// The same with other rules.
fn loose(change: fn(&mut RecoveryRules)) -> Venue {
    let genesis = genesis();
    let mut safeguards = genesis.accounts.safeguards;
    change(&mut safeguards.recovery);
    guard(Venue::of(Genesis { accounts: AccountRules { safeguards, ..genesis.accounts }, ..genesis }))
}

fn guardians(venue: &Venue) -> Vec<u64> {
    let row = venue.ledger().accounts().safeguards().of(AccountId::new(venue.first));
    row.map_or_else(Vec::new, |row| row.guardians().in_force().accounts.iter().map(|it| it.number()).collect())
}

fn is_recovery_under_way(venue: &Venue) -> bool {
    let row = venue.ledger().accounts().safeguards().of(AccountId::new(venue.first));
    row.is_some_and(|row| row.root_keys().recovery().is_some())
}

fn ballot(venue: &Venue, act: GuardianAct) -> Command {
    Command::VoteAsGuardian(VoteAsGuardian { account: AccountId::new(venue.first), act })
}

fn vote(venue: &mut Venue, place: u64, act: GuardianAct) -> Verdict {
    let command = ballot(venue, act);
    venue.ask(venue.first + place, command)
}

/// Two guardians agree.
fn agree(venue: &mut Venue, act: GuardianAct) -> Verdict {
    vote(venue, 1, act)?;
    vote(venue, 2, act)
}

fn recover() -> GuardianAct {
    GuardianAct::Recover(public_key(&next_root_key(FIRST)))
}

/// A guarded account whose recovery is under way.
fn recovering() -> Venue {
    let mut venue = guarded();
    assert_eq!(agree(&mut venue, recover()), Ok(()));
    assert!(is_recovery_under_way(&venue));
    venue
}

fn accept(venue: &mut Venue, key: SigningKey) -> Verdict {
    let letter = venue.letter(venue.first, SignerRole::Root, key, vec![Command::AcceptRootKey]);
    venue.step(&[letter]).only()
}

/// An account that was recovered just now.
fn recovered() -> Venue {
    let mut venue = recovering();
    venue.wait_through(rules().recovery_delay_ms.ms());
    assert_eq!(accept(&mut venue, next_root_key(FIRST)), Ok(()));
    venue
}

fn request(segment: u16, amount: i64) -> Box<RequestWithdrawal> {
    let (segment, destination) = (SegmentId::new(segment), list(vec![66; 20]));
    Box::new(RequestWithdrawal { segment, amount: micros(amount), chain: 1, destination })
}

fn withdraw(amount: i64) -> Command {
    Command::RequestWithdrawal(request(1, amount))
}

fn change(key: &SigningKey) -> Command {
    Command::ChangeRootKey(ChangeRootKey { key: public_key(key) })
}

fn released(steps: &[Step]) -> usize {
    steps.iter().flat_map(Step::events).filter(|event| matches!(event, Event::WithdrawalReleased(_))).count()
}

fn owner(venue: &Venue, key: &PublicKey) -> Option<u64> {
    venue.ledger().accounts().account_of_root(key).map(AccountId::number)
}

/// The scenario of a refusal.
pub fn scenario(code: RejectCode) -> fn() -> Verdict {
    use RejectCode as Code;
    match code {
        Code::NotAGuardian => || vote(&mut guarded(), 4, GuardianAct::Freeze),
        Code::GuardianThresholdNotAllowed => || announced(1, &GUARDIANS),
        Code::GuardianTwice => || announced(2, &[1, 2, 1]),
        Code::GuardianIsSelf => || announced(2, &[1, 2, 0]),
        Code::GuardianNotFound => || announced(2, &[1, 2, 9_999]),
        Code::GuardianChangePending => || {
            let mut venue = Venue::new();
            let (first, second) = (set(&venue, 2, &GUARDIANS), set(&venue, 2, &[4, 5]));
            venue.ask(FIRST, first)?;
            venue.ask(FIRST, second)
        },
        Code::GuardianChangeNotFound => || guarded().ask(FIRST, Command::CancelGuardianChange),
        Code::RecoveryPending => || vote(&mut recovering(), 3, recover()),
        Code::RecoveryNotFound => || guarded().ask(FIRST, Command::CancelRecovery),
        Code::RecoveryPaused => || {
            let mut venue = recovering();
            venue.ask(FIRST, Command::CancelRecovery)?;
            vote(&mut venue, 1, recover())
        },
        Code::RecoveryCancelsMax => || {
            let mut venue = recovering();
            for _ in 0..rules().recovery_cancels_max {
                venue.ask(FIRST, Command::CancelRecovery)?;
                venue.wait_through(rules().recovery_pause_ms.ms());
                agree(&mut venue, recover())?;
            }
            venue.ask(FIRST, Command::CancelRecovery)
        },
        Code::FreezeSpent => || {
            let mut venue = guarded();
            agree(&mut venue, GuardianAct::Freeze)?;
            vote(&mut venue, 3, GuardianAct::Freeze)
        },
        Code::AccountFrozen => || {
            let mut venue = guarded();
            agree(&mut venue, GuardianAct::Freeze)?;
            venue.ask(FIRST, withdraw(1_000))
        },
        Code::RecoveryHold => || recovered().ask(FIRST, withdraw(1_000)),
        Code::GuardiansUnchanged => || {
            let mut venue = guarded();
            let same = set(&venue, 2, &GUARDIANS);
            venue.ask(FIRST, same)
        },
        other => panic!("`{}` has its scenario elsewhere", other.name()),
    }
}

fn announced(threshold: u8, places: &[u64]) -> Verdict {
    let mut venue = Venue::new();
    let command = set(&venue, threshold, places);
    venue.ask(FIRST, command)
}

#[test]
fn a_lost_key_is_recovered_and_what_it_handed_out_ends() {
    let mut venue = guarded();
    let new = next_root_key(FIRST);
    assert_eq!(venue.ask_session(FIRST, 1, bid(1, 900, 2)), Ok(()));
    assert_eq!(vote(&mut venue, 1, recover()), Ok(()));
    assert!(!is_recovery_under_way(&venue));
    assert_eq!(vote(&mut venue, 3, recover()), Ok(()));
    assert_eq!(accept(&mut venue, new), Err(RejectCode::RootKeyChangeWaiting));
    venue.wait_through(rules().recovery_delay_ms.ms() - 2_000);
    assert_eq!(accept(&mut venue, new), Err(RejectCode::RootKeyChangeWaiting));
    venue.wait_through(2_000);
    assert_eq!(accept(&mut venue, new), Ok(()));
    assert_eq!(venue.open_orders(1, FIRST), 0);
    assert_eq!(venue.ask_session(FIRST, 1, bid(1, 900, 2)), Err(RejectCode::GrantRevoked));
    let letter = venue.letter(FIRST, SignerRole::Root, root_key(FIRST), vec![withdraw(1_000)]);
    assert_eq!(venue.step(&[letter]).only(), Err(RejectCode::KeyNotOfAccount));
    for command in [withdraw(1_000), change(&opener_key(7)), set(&venue, 2, &[4, 5])] {
        assert_eq!(venue.ask(FIRST, command), Err(RejectCode::RecoveryHold));
    }
    venue.wait_through(rules().recovery_hold_ms.ms());
    assert_eq!(venue.ask(FIRST, withdraw(1_000)), Ok(()));
    assert_eq!(guardians(&venue).len(), 3, "the guardians stay");
}

#[test]
fn fewer_guardians_than_the_threshold_do_nothing_however_often_they_vote() {
    let mut venue = guarded();
    for act in [recover(), GuardianAct::Freeze, recover(), recover()] {
        assert_eq!(vote(&mut venue, 1, act), Ok(()));
    }
    // Another one wants another key.
    let other = GuardianAct::Recover(public_key(&opener_key(8)));
    assert_eq!(vote(&mut venue, 2, other), Ok(()));
    assert!(!is_recovery_under_way(&venue));
    assert_eq!(venue.ask(FIRST, withdraw(1_000)), Ok(()));
    // A vote that is too old does not count any more.
    venue.wait_through(rules().guardian_vote_lifetime_ms.ms());
    assert_eq!(vote(&mut venue, 2, recover()), Ok(()));
    assert!(!is_recovery_under_way(&venue));
    assert_eq!(vote(&mut venue, 1, recover()), Ok(()));
    assert!(is_recovery_under_way(&venue), "two that are not");
}

#[test]
fn a_session_of_a_guardian_does_not_vote_and_no_grant_lets_it() {
    let mut venue = guarded();
    assert_eq!(vote(&mut venue, 1, recover()), Ok(()));
    let command = ballot(&venue, recover());
    assert_eq!(venue.ask_session(FIRST + 2, 1, command), Err(RejectCode::RootRequired));
    let mut voting = terms(&venue, FIRST + 2, 2);
    voting.actions = ActionSet::TRADING.with(Action::VoteAsGuardian);
    let register = Command::RegisterGrant(Box::new(voting));
    assert_eq!(venue.ask(FIRST + 2, register), Err(RejectCode::GrantActionsNotAllowed));
    assert!(!is_recovery_under_way(&venue));
}

#[test]
fn a_recovery_by_stolen_guardians_is_cancelled_and_another_waits() {
    let mut venue = recovering();
    venue.wait_through(rules().recovery_delay_ms.ms() - 2_000);
    assert_eq!(venue.ask(FIRST, Command::CancelRecovery), Ok(()));
    venue.wait_through(2_000);
    assert_eq!(accept(&mut venue, next_root_key(FIRST)), Err(RejectCode::KeyNotOfAccount));
    assert_eq!(vote(&mut venue, 1, recover()), Err(RejectCode::RecoveryPaused));
    venue.wait_through(rules().recovery_pause_ms.ms() - 4_000);
    assert_eq!(vote(&mut venue, 1, recover()), Err(RejectCode::RecoveryPaused));
    venue.wait_through(4_000);
    assert_eq!(agree(&mut venue, recover()), Ok(()));
    // Without somebody who cancels, they have the account.
    venue.wait_through(rules().recovery_delay_ms.ms());
    assert_eq!(accept(&mut venue, next_root_key(FIRST)), Ok(()));
}

/// Cancels recoveries until that is refused or has gone well this often; says how often it went well.
fn cancelled(venue: &mut Venue, most: usize) -> usize {
    for count in 0..most {
        agree(venue, recover()).unwrap();
        venue.wait_through(rules().recovery_delay_ms.ms() - 2_000);
        if venue.ask(FIRST, Command::CancelRecovery) == Err(RejectCode::RecoveryCancelsMax) {
            return count;
        }
        venue.wait_through(rules().recovery_pause_ms.ms());
    }
    most
}

#[test]
fn a_thief_with_the_root_key_does_not_cancel_for_ever() {
    let mut venue = guarded();
    assert_eq!(cancelled(&mut venue, 5), 2);
    venue.wait_through(2_000);
    assert_eq!(accept(&mut venue, next_root_key(FIRST)), Ok(()));
    // With cancels that are hardly bounded he does.
    let mut venue = loose(|rules| {
        rules.recovery_cancels_max = 8;
        rules.recovery_cancels_window_ms = DurationMs::from_ms(3_600_000);
    });
    assert_eq!(cancelled(&mut venue, 5), 5);
}

#[test]
fn cancels_that_are_older_than_the_window_do_not_count() {
    let mut venue = recovering();
    assert_eq!(venue.ask(FIRST, Command::CancelRecovery), Ok(()));
    venue.wait_through(rules().recovery_cancels_window_ms.ms());
    assert_eq!(cancelled(&mut venue, 5), 2);
}

#[test]
fn a_thief_cannot_replace_the_guardians_before_they_recover_the_account() {
    let mut venue = guarded();
    let own = set(&venue, 2, &[4, 5]);
    assert_eq!(venue.ask(FIRST, own), Ok(()));
    assert_eq!(agree(&mut venue, recover()), Ok(()));
    venue.wait_through(rules().recovery_delay_ms.ms());
    assert_eq!(vote(&mut venue, 4, GuardianAct::Freeze), Err(RejectCode::NotAGuardian), "announced is not enough");
    assert_eq!(accept(&mut venue, next_root_key(FIRST)), Ok(()));
    venue.wait_through(rules().guardian_change_delay_ms.ms());
    assert_eq!(guardians(&venue), GUARDIANS.map(|place| FIRST + place), "his went with his key");
}

#[test]
fn the_guardians_that_there_are_strike_announced_ones_out() {
    let mut venue = guarded();
    let own = set(&venue, 2, &[4, 5]);
    assert_eq!(venue.ask(FIRST, own.clone()), Ok(()));
    assert_eq!(agree(&mut venue, GuardianAct::StopChange), Ok(()));
    venue.wait_through(rules().guardian_change_delay_ms.ms());
    assert_eq!(guardians(&venue).len(), 3);
    // A vote against one change is none against the next.
    assert_eq!(venue.ask(FIRST, own), Ok(()));
    assert_eq!(vote(&mut venue, 1, GuardianAct::StopChange), Ok(()));
    assert_eq!(venue.ask(FIRST, Command::CancelGuardianChange), Ok(()));
    let nobody = set(&venue, 0, &[]);
    assert_eq!(venue.ask(FIRST, nobody), Ok(()));
    assert_eq!(vote(&mut venue, 2, GuardianAct::StopChange), Ok(()));
    // Where enough do not stop it, it comes, and those before it guard no more.
    venue.wait_through(rules().guardian_change_delay_ms.ms());
    assert_eq!(guardians(&venue), []);
    assert_eq!(vote(&mut venue, 1, GuardianAct::Freeze), Err(RejectCode::NotAGuardian));
}

#[test]
fn what_waits_does_not_leave_a_frozen_account() {
    let mut venue = guarded();
    assert_eq!(venue.ask(FIRST, withdraw(1_000)), Ok(()));
    assert_eq!(agree(&mut venue, GuardianAct::Freeze), Ok(()));
    assert_eq!(released(&venue.wait_through(rules().freeze_ms_max.ms() - 2_000)), 0);
    for command in [withdraw(1_000), change(&opener_key(7)), set(&venue, 2, &[4, 5])] {
        assert_eq!(venue.ask(FIRST, command), Err(RejectCode::AccountFrozen));
    }
    assert_eq!(venue.ask(FIRST, bid(1, 900, 2)), Ok(()), "it goes on trading");
    assert_eq!(released(&venue.wait_through(4_000)), 1, "and it leaves once the freeze is over");
    let mut venue = guarded();
    assert_eq!(venue.ask(FIRST, withdraw(1_000)), Ok(()));
    assert_eq!(released(&venue.wait_through(4_000)), 1, "without one it is gone");
}

#[test]
fn a_freeze_is_followed_by_as_long_without_one() {
    let mut venue = guarded();
    let freeze_ms = rules().freeze_ms_max.ms();
    assert_eq!(agree(&mut venue, GuardianAct::Freeze), Ok(()));
    venue.wait_through(freeze_ms);
    assert_eq!(venue.ask(FIRST, withdraw(1_000)), Ok(()));
    assert_eq!(agree(&mut venue, GuardianAct::Freeze), Err(RejectCode::FreezeSpent));
    assert_eq!(released(&venue.wait_through(freeze_ms)), 1);
    assert_eq!(agree(&mut venue, GuardianAct::Freeze), Ok(()));
}

#[test]
fn what_a_thief_asked_for_is_back_in_the_balance_after_the_recovery() {
    let mut venue = guarded();
    let before = [1, 2].map(|segment| venue.cash(segment, FIRST));
    let own = set(&venue, 2, &[4, 5]);
    for command in [withdraw(1_000), withdraw(2_000), own] {
        assert_eq!(venue.ask(FIRST, command), Ok(()));
    }
    assert_eq!(venue.cash(1, FIRST), before[0] - 3_000);
    assert_eq!(agree(&mut venue, GuardianAct::Freeze), Ok(()));
    assert_eq!(agree(&mut venue, recover()), Ok(()));
    venue.wait_through(rules().recovery_delay_ms.ms());
    assert_eq!(accept(&mut venue, next_root_key(FIRST)), Ok(()));
    assert_eq!([1, 2].map(|segment| venue.cash(segment, FIRST)), before);
    let steps = venue.wait_through(rules().freeze_ms_max.ms() + rules().recovery_hold_ms.ms());
    assert_eq!(released(&steps), 0, "nothing of it is left to leave");
}

#[test]
fn the_slow_exit_can_be_asked_for_while_the_account_is_frozen_and_leaves_after() {
    let mut venue = guard(margined::patient_venue());
    let account = venue.first;
    let exit = Command::RequestPrincipalExit(request(1, 1_000));
    assert_eq!(agree(&mut venue, GuardianAct::Freeze), Ok(()));
    assert_eq!(venue.ask(account, withdraw(1_000)), Err(RejectCode::AccountFrozen));
    assert_eq!(venue.ask(account, exit), Ok(()));
    let delay_ms = venue.genesis.clearing.as_slice()[0].principal_exit.delay_ms.ms();
    let frozen_ms = rules().freeze_ms_max.ms() - 2_000;
    assert_eq!(released(&venue.wait_through(frozen_ms)), 0);
    assert_eq!(released(&venue.wait_through(delay_ms.max(4_000))), 1, "its clock ran on");
}

#[test]
fn an_outage_uses_up_none_of_the_delays() {
    let mut venue = recovering();
    venue.wait(86_400_000);
    assert_eq!(accept(&mut venue, next_root_key(FIRST)), Err(RejectCode::RootKeyChangeWaiting));
    assert!(venue.ledger().is_anything_waiting(), "blocks close until it can take over");
    let mut venue = Venue::new();
    let command = set(&venue, 2, &GUARDIANS);
    assert_eq!(venue.ask(FIRST, command), Ok(()));
    venue.wait(86_400_000);
    assert_eq!(guardians(&venue), []);
    assert!(venue.ledger().is_anything_waiting());
    let mut venue = guarded();
    assert_eq!(agree(&mut venue, GuardianAct::Freeze), Ok(()));
    venue.wait(86_400_000);
    assert_eq!(venue.ask(FIRST, withdraw(1_000)), Err(RejectCode::AccountFrozen));
}

#[test]
fn a_recovery_takes_the_place_of_a_key_that_the_root_key_announced() {
    let mut venue = guarded();
    let own = opener_key(7);
    assert_eq!(venue.ask(FIRST, change(&own)), Ok(()));
    assert_eq!(agree(&mut venue, recover()), Ok(()));
    venue.wait_through(safeguard_rules().root_change_delay_ms.ms());
    assert_eq!(accept(&mut venue, own), Err(RejectCode::KeyNotOfAccount));
    assert_eq!(venue.ask(FIRST, change(&own)), Err(RejectCode::RecoveryPending));
    assert_eq!(venue.ask(FIRST, Command::CancelRootKeyChange), Err(RejectCode::RecoveryPending));
    assert_eq!(venue.ask(FIRST + 1, change(&next_root_key(FIRST))), Err(RejectCode::RootKeyInUse));
    // Once the owner has cancelled it, he can change his key before guardians can begin again.
    assert_eq!(venue.ask(FIRST, Command::CancelRecovery), Ok(()));
    assert_eq!(venue.ask(FIRST, change(&own)), Ok(()));
    venue.wait_through(safeguard_rules().root_change_delay_ms.ms());
    assert_eq!(accept(&mut venue, own), Ok(()));
}

#[test]
fn guardians_agree_on_no_key_that_is_in_use_or_invalid() {
    let mut venue = guarded();
    for key in [root_key(FIRST), root_key(FIRST + 1), session_key(FIRST + 2, 1)] {
        let act = GuardianAct::Recover(public_key(&key));
        assert_eq!(vote(&mut venue, 1, act), Err(RejectCode::RootKeyInUse));
    }
    let identity = PublicKey::Ed25519(core::array::from_fn(|place| u8::from(place == 0)));
    assert_eq!(vote(&mut venue, 1, GuardianAct::Recover(identity)), Err(RejectCode::KeyInvalid));
}

#[test]
fn a_discarded_block_leaves_no_trace_of_guardians() {
    let mut venue = guarded();
    let own = set(&venue, 2, &[4, 5]);
    let (recovering, freezing) = (ballot(&venue, recover()), ballot(&venue, GuardianAct::Freeze));
    venue.ask(FIRST, own).unwrap();
    vote(&mut venue, 1, recover()).unwrap();
    vote(&mut venue, 3, GuardianAct::Freeze).unwrap();
    let cancel = Command::CancelGuardianChange;
    for (account, command) in [(2, recovering.clone()), (2, freezing), (0, cancel)] {
        let before = venue.ledger().accounts().safeguards().of(AccountId::new(FIRST)).cloned();
        let root = venue.ledger().state_root();
        let letter = venue.root(FIRST + account, vec![command]);
        let step = venue.propose(10, vec![letter.sealed()]);
        assert_eq!(step.verdict(0, 0), Ok(()));
        assert_ne!(step.block.header.state_root, root);
        venue.replica.discard();
        assert_eq!(venue.ledger().state_root(), root);
        assert_eq!(venue.ledger().accounts().safeguards().of(AccountId::new(FIRST)).cloned(), before);
        assert_eq!(venue.ledger().accounts().holder_of_root(&public_key(&next_root_key(FIRST))), None);
    }
    assert_eq!(venue.ask(FIRST + 2, recovering), Ok(()));
    venue.wait_through(rules().recovery_delay_ms.ms());
    for command in [Command::CancelRecovery, Command::AcceptRootKey] {
        let root = venue.ledger().state_root();
        let key = if command == Command::AcceptRootKey { next_root_key(FIRST) } else { root_key(FIRST) };
        let letter = venue.letter(FIRST, SignerRole::Root, key, vec![command]);
        assert_eq!(venue.propose(10, vec![letter.sealed()]).verdict(0, 0), Ok(()));
        venue.replica.discard();
        assert_eq!(venue.ledger().state_root(), root);
        assert_eq!(owner(&venue, &public_key(&root_key(FIRST))), Some(FIRST));
        assert!(is_recovery_under_way(&venue));
    }
    // The announced guardians are due in a block that is discarded: they are due in the next one again.
    assert_eq!(venue.ask(FIRST, Command::CancelRecovery), Ok(()));
    venue.wait_through(rules().guardian_change_delay_ms.ms() - rules().recovery_delay_ms.ms() - 2_000);
    assert_eq!(guardians(&venue).len(), 3);
    venue.propose(2_000, Vec::new());
    assert_eq!(guardians(&venue).len(), 2);
    venue.replica.discard();
    assert_eq!(guardians(&venue).len(), 3);
    venue.wait(2_000);
    assert_eq!(guardians(&venue), [FIRST + 4, FIRST + 5]);
}

#[test]
fn a_snapshot_keeps_guardians_votes_and_recoveries() {
    let mut venue = recovering();
    let own = set(&venue, 2, &[4, 5]);
    venue.ask(FIRST, own).unwrap();
    vote(&mut venue, 1, GuardianAct::Freeze).unwrap();
    let bytes = venue.snapshot();
    let root = venue.ledger().state_root();
    venue.replica = Replica::read_snapshot(&genesis(), BuiltInTable, &mut bytes.as_slice(), &Sequential).unwrap();
    assert_eq!(venue.ledger().state_root(), root);
    assert_eq!(vote(&mut venue, 3, GuardianAct::Freeze), Ok(()));
    assert_eq!(venue.ask(FIRST, withdraw(1_000)), Err(RejectCode::AccountFrozen));
    let mut other = Replica::read_snapshot(&genesis(), BuiltInTable, &mut bytes.as_slice(), &Sequential).unwrap();
    core::mem::swap(&mut venue.replica, &mut other);
    venue.wait_through(rules().guardian_change_delay_ms.ms());
    assert_eq!(guardians(&venue), [FIRST + 4, FIRST + 5], "the change is still due");
    assert_eq!(accept(&mut venue, next_root_key(FIRST)), Ok(()));
}
