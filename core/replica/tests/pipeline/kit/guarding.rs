//! Random guardians, and what they and the owner of the account are at.

use casemate_protocol::command::{GuardianAct, GuardianSet, RequestWithdrawal, VoteAsGuardian};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::RecoveryRules;
use casemate_protocol::{AccountId, Command, DurationMs, SegmentId};

use super::random::Choices;
use super::{Letter, SEEDED, Venue, list, micros, next_root_key, public_key};

/// Guardians and recoveries within the blocks of a short sequence.
pub(super) const QUICK: RecoveryRules = RecoveryRules {
    guardian_change_delay_ms: DurationMs::from_ms(1_500),
    recovery_delay_ms: DurationMs::from_ms(1_000),
    recovery_cancels_max: 1,
    recovery_pause_ms: DurationMs::from_ms(1_000),
    freeze_ms_max: DurationMs::from_ms(1_000),
    recovery_hold_ms: DurationMs::from_ms(2_000),
    ..RecoveryRules::STAGED
};

/// The next step of a story around the first seeded account: it is guarded, its guardians vote, and a recovery ends in one
/// way or the other. By chance alone too few votes would meet.
pub(super) fn letter(choices: &mut Choices<'_>, venue: &mut Venue) -> Letter {
    let account = venue.first;
    let row = venue.ledger().accounts().safeguards().of(AccountId::new(account)).cloned();
    let (is_guarded, is_announced, is_recovering) = row.map_or((false, false, false), |row| {
        let guarding = row.guardians();
        (!guarding.in_force().is_empty(), guarding.announced().is_some(), row.root_keys().recovery().is_some())
    });
    if is_recovering && choices.one_in(2) {
        let key = next_root_key(account);
        return venue.letter(account, SignerRole::Root, key, vec![Command::AcceptRootKey]);
    }
    let command = match choices.below(8) {
        0 | 1 if is_recovering => Command::CancelRecovery,
        2..=4 if is_recovering => Command::RequestWithdrawal(Box::new(RequestWithdrawal {
            segment: SegmentId::new(1),
            amount: micros(1_000),
            chain: 1,
            destination: list(vec![9; 20]),
        })),
        0 if is_announced => Command::CancelGuardianChange,
        1 if is_guarded && !is_announced => Command::SetGuardians(Box::new(set(choices, venue, account))),
        _ if is_guarded => {
            let guardian = account + 1 + choices.below(SEEDED - 1);
            let vote = Command::VoteAsGuardian(vote(choices, venue, guardian));
            return venue.root(guardian, vec![vote]);
        }
        _ => Command::SetGuardians(Box::new(set(choices, venue, account))),
    };
    venue.root(account, vec![command])
}

/// Seeded accounts but this one, now and then with something wrong about them.
pub(super) fn set(choices: &mut Choices<'_>, venue: &Venue, account: u64) -> GuardianSet {
    if choices.one_in(8) {
        return GuardianSet::default();
    }
    let is_wrong = choices.one_in(8);
    let others = (venue.first..venue.first + SEEDED).filter(|other| *other != account || is_wrong);
    GuardianSet { threshold: choices.pick(&[2, 2, 2, 3]), accounts: list(others.map(AccountId::new).collect()) }
}

/// A vote about an account that a guardian guards, if there is one.
pub(super) fn vote(choices: &mut Choices<'_>, venue: &Venue, guardian: u64) -> VoteAsGuardian {
    let rows = venue.ledger().accounts().safeguards();
    let guards = |account: &u64| {
        let row = rows.of(AccountId::new(*account));
        row.is_some_and(|row| row.guardians().in_force().contains(AccountId::new(guardian)))
    };
    let guarded = (venue.first..venue.first + SEEDED).find(guards).filter(|_| !choices.one_in(8));
    let account = guarded.unwrap_or(venue.first + choices.below(SEEDED));
    let recover = GuardianAct::Recover(public_key(&next_root_key(account)));
    let act = choices.pick(&[recover, recover, GuardianAct::Freeze, GuardianAct::StopChange]);
    VoteAsGuardian { account: AccountId::new(account), act }
}
