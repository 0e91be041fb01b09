//! Guardians: accounts of others that, enough of them together, can freeze an account or give it another root key.
//!
//! Each side has a bounded answer to the other. The root key can cancel a recovery, but only so many times within a window,
//! so a thief who has it is outlasted; the guardians can freeze and begin recoveries, but with pauses between, so whoever
//! stole their keys does not hold the account for ever. Other guardians guard only after longer than a recovery takes, and
//! those that there are can strike them out, so neither thief replaces them unseen.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::command::{GuardianAct, GuardianSet, VoteAsGuardian};
use casemate_protocol::event::{
    AccountFrozen, GuardianChangeAnnounced, GuardianChangeCancelled, GuardianVoted, GuardiansChanged, RecoveryBegun,
    RecoveryCancelled,
};
use casemate_protocol::genesis::RecoveryRules;
use casemate_protocol::{AccountId, DurationMs, Event, PublicKey, Reject, RejectCode};

use super::{Safeguard, remaining, root_key};
use crate::accounts::Accounts;

/// Who guards one account, and what they are at.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Guarding {
    in_force: GuardianSet,
    announced: Option<AnnouncedGuardians>,
    /// The last vote of each guardian that has one, in the order of the votes.
    votes: Vec<Vote>,
    /// Waiting clock of the root key's cancels, as far as they may still count.
    cancels_ms: Vec<DurationMs>,
    /// Waiting clock from which another recovery can begin.
    recovery_again_ms: DurationMs,
    frozen_until_ms: DurationMs,
    freeze_again_ms: DurationMs,
    held_until_ms: DurationMs,
}

/// Guardians that are to guard.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AnnouncedGuardians {
    guardians: GuardianSet,
    due_ms: DurationMs,
}

/// A guardian's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    guardian: AccountId,
    act: GuardianAct,
    lapses_ms: DurationMs,
}

impl AnnouncedGuardians {
    /// The guardians.
    #[must_use]
    pub const fn guardians(&self) -> &GuardianSet {
        &self.guardians
    }

    /// Waiting clock at which they guard.
    #[must_use]
    pub const fn due_ms(&self) -> DurationMs {
        self.due_ms
    }
}

impl Vote {
    /// Who voted.
    #[must_use]
    pub const fn guardian(&self) -> AccountId {
        self.guardian
    }

    /// For what.
    #[must_use]
    pub const fn act(&self) -> GuardianAct {
        self.act
    }

    /// Waiting clock from which the vote does not count any more.
    #[must_use]
    pub const fn lapses_ms(&self) -> DurationMs {
        self.lapses_ms
    }
}

impl Guarding {
    /// Who guards the account now.
    #[must_use]
    pub const fn in_force(&self) -> &GuardianSet {
        &self.in_force
    }

    /// Who is to guard it.
    #[must_use]
    pub const fn announced(&self) -> Option<&AnnouncedGuardians> {
        self.announced.as_ref()
    }

    /// The last vote of each guardian, lapsed or not.
    #[must_use]
    pub fn votes(&self) -> &[Vote] {
        &self.votes
    }

    /// Waiting clock from which guardians can begin another recovery.
    #[must_use]
    pub const fn recovery_again_ms(&self) -> DurationMs {
        self.recovery_again_ms
    }

    /// Waiting clock until which nothing leaves, because guardians froze the account.
    #[must_use]
    pub const fn frozen_until_ms(&self) -> DurationMs {
        self.frozen_until_ms
    }

    /// Waiting clock from which guardians can freeze it again.
    #[must_use]
    pub const fn freeze_again_ms(&self) -> DurationMs {
        self.freeze_again_ms
    }

    /// Waiting clock until which nothing leaves, because the account was recovered.
    #[must_use]
    pub const fn held_until_ms(&self) -> DurationMs {
        self.held_until_ms
    }

    /// How many more recoveries the root key can cancel now.
    #[must_use]
    pub fn cancels_left(&self, rules: &RecoveryRules, now_ms: DurationMs) -> usize {
        usize::from(rules.recovery_cancels_max).saturating_sub(self.counted_cancels(rules, now_ms).count())
    }

    /// Whether value may leave the account.
    ///
    /// # Errors
    /// `AccountFrozen`, `RecoveryHold`.
    pub(super) fn require_may_leave(&self, now_ms: DurationMs) -> Result<(), Reject> {
        // INVARIANT(K4)
        if now_ms < self.frozen_until_ms {
            return Err(Reject::of(RejectCode::AccountFrozen).required(remaining(self.frozen_until_ms, now_ms)));
        }
        if now_ms < self.held_until_ms {
            return Err(Reject::of(RejectCode::RecoveryHold).required(remaining(self.held_until_ms, now_ms)));
        }
        Ok(())
    }

    fn counted_cancels(&self, rules: &RecoveryRules, now_ms: DurationMs) -> impl Iterator<Item = DurationMs> {
        let window_ms = rules.recovery_cancels_window_ms;
        self.cancels_ms.iter().copied().filter(move |at_ms| at_ms.saturating_add(window_ms) > now_ms)
    }

    /// When the last thing that it waits for is over. Votes and cancels only stop to count, for which no block need close.
    pub(super) fn ends(&self) -> DurationMs {
        let due_ms = self.announced.as_ref().map_or(DurationMs::ZERO, |announced| announced.due_ms);
        let ends = [self.recovery_again_ms, self.frozen_until_ms, self.freeze_again_ms, self.held_until_ms];
        ends.into_iter().fold(due_ms, DurationMs::max)
    }

    /// Whether, with this vote, enough guardians want the same.
    fn is_decided(&self, guardian: AccountId, act: GuardianAct, now_ms: DurationMs) -> bool {
        let agrees = |vote: &&Vote| {
            vote.guardian != guardian
                && vote.act == act
                && now_ms < vote.lapses_ms
                && self.in_force.contains(vote.guardian)
        };
        self.votes.iter().filter(agrees).count().saturating_add(1) >= usize::from(self.in_force.threshold)
    }

    fn forget_votes(&mut self, is_over: impl Fn(GuardianAct) -> bool) {
        self.votes.retain(|vote| !is_over(vote.act));
    }

    pub(super) fn announce(&mut self, announced: &GuardianChangeAnnounced) {
        self.announced =
            Some(AnnouncedGuardians { guardians: announced.guardians.clone(), due_ms: announced.due_waiting_ms });
    }

    pub(super) fn strike_out(&mut self) {
        self.announced = None;
        self.forget_votes(|act| act == GuardianAct::StopChange);
    }

    /// Others guard now: what those before them wanted counts for nothing.
    pub(super) fn change(&mut self, guardians: &GuardianSet) {
        self.in_force = guardians.clone();
        self.announced = None;
        self.votes.clear();
    }

    pub(super) fn vote(&mut self, voted: &GuardianVoted) {
        self.votes.retain(|vote| vote.guardian != voted.guardian);
        self.votes.push(Vote { guardian: voted.guardian, act: voted.act, lapses_ms: voted.lapses_waiting_ms });
    }

    pub(super) fn begin_recovery(&mut self) {
        self.forget_votes(|act| matches!(act, GuardianAct::Recover(_)));
    }

    pub(super) fn cancel_recovery(&mut self, cancelled: &RecoveryCancelled, rules: &RecoveryRules) {
        let now_ms = cancelled.cancelled_waiting_ms;
        self.cancels_ms = self.counted_cancels(rules, now_ms).collect();
        self.cancels_ms.push(now_ms);
        self.recovery_again_ms = cancelled.again_waiting_ms;
        self.forget_votes(|act| matches!(act, GuardianAct::Recover(_)));
    }

    pub(super) fn freeze(&mut self, frozen: &AccountFrozen) {
        self.frozen_until_ms = frozen.until_waiting_ms;
        self.freeze_again_ms = frozen.again_waiting_ms;
        self.forget_votes(|act| act == GuardianAct::Freeze);
    }

    /// The guardians' key is the root key now: what the one before began is over, and so is what kept it in check.
    pub(super) fn complete(&mut self, held_until_ms: DurationMs) {
        self.announced = None;
        self.votes.clear();
        self.cancels_ms.clear();
        self.recovery_again_ms = DurationMs::ZERO;
        self.frozen_until_ms = DurationMs::ZERO;
        self.held_until_ms = held_until_ms;
    }
}

/// Decides the announcement of other guardians.
///
/// # Errors
/// `GuardianChangePending`, `GuardianThresholdNotAllowed`, `GuardianIsSelf`, `GuardianTwice`, `GuardianNotFound`,
/// `GuardiansUnchanged`.
pub(crate) fn announce_guardians(
    accounts: &Accounts,
    account: AccountId,
    guardians: &GuardianSet,
    rules: &RecoveryRules,
    now_ms: DurationMs,
) -> Result<Event, Reject> {
    let guarding = accounts.safeguards.of(account).map(Safeguard::guardians);
    if let Some(announced) = guarding.and_then(Guarding::announced) {
        return Err(Reject::of(RejectCode::GuardianChangePending).required(remaining(announced.due_ms, now_ms)));
    }
    require_sound(accounts, account, guardians)?;
    let is_unchanged = guarding.map_or(guardians.is_empty(), |guarding| guarding.in_force == *guardians);
    if is_unchanged {
        return Err(Reject::of(RejectCode::GuardiansUnchanged));
    }
    // INVARIANT(K3)
    Ok(Event::GuardianChangeAnnounced(Box::new(GuardianChangeAnnounced {
        account,
        guardians: guardians.clone(),
        due_waiting_ms: now_ms.saturating_add(rules.guardian_change_delay_ms),
    })))
}

/// Whether a set can decide anything: two at least must agree, of accounts of others that there are.
fn require_sound(accounts: &Accounts, account: AccountId, guardians: &GuardianSet) -> Result<(), Reject> {
    let named = guardians.accounts.as_slice();
    let threshold = usize::from(guardians.threshold);
    let is_possible = if named.is_empty() { threshold == 0 } else { (2..=named.len()).contains(&threshold) };
    if !is_possible {
        return Err(Reject::of(RejectCode::GuardianThresholdNotAllowed)
            .required(super::number(named.len()))
            .present(u64::from(guardians.threshold)));
    }
    for (place, guardian) in named.iter().enumerate() {
        let refused = |code| Err(Reject::of(code).present(guardian.number()));
        if *guardian == account {
            return refused(RejectCode::GuardianIsSelf);
        }
        if named.iter().take(place).any(|before| before == guardian) {
            return refused(RejectCode::GuardianTwice);
        }
        if !accounts.account(*guardian).is_some_and(|row| row.is_open()) {
            return refused(RejectCode::GuardianNotFound);
        }
    }
    Ok(())
}

/// Decides that announced guardians do not guard.
///
/// # Errors
/// `GuardianChangeNotFound`.
pub(crate) fn cancel_guardian_change(accounts: &Accounts, account: AccountId) -> Result<Event, Reject> {
    require_announced(accounts, account)?;
    Ok(Event::GuardianChangeCancelled(GuardianChangeCancelled { account, is_by_guardians: false }))
}

/// `System`: decides that announced guardians guard from now on.
///
/// # Errors
/// `GuardianChangeNotFound`, `GuardianChangePending`.
pub(crate) fn change_guardians(accounts: &Accounts, account: AccountId, now_ms: DurationMs) -> Result<Event, Reject> {
    let announced = require_announced(accounts, account)?;
    if now_ms < announced.due_ms {
        return Err(Reject::of(RejectCode::GuardianChangePending).required(remaining(announced.due_ms, now_ms)));
    }
    let guardians = announced.guardians.clone();
    Ok(Event::GuardiansChanged(Box::new(GuardiansChanged { account, guardians })))
}

fn require_announced(accounts: &Accounts, account: AccountId) -> Result<&AnnouncedGuardians, Reject> {
    let guarding = accounts.safeguards.of(account).map(Safeguard::guardians);
    guarding.and_then(Guarding::announced).ok_or_else(|| Reject::of(RejectCode::GuardianChangeNotFound))
}

/// Decides a guardian's vote, and what happens if it is the last one that was needed.
///
/// # Errors
/// `AccountNotFound`, `NotAGuardian`, `AccountClosed`; for a recovery `RecoveryPending`, `RecoveryPaused`,
/// `FormerRootKeysMax`, `RootKeyInUse`; for a freeze `FreezeSpent`; for a change `GuardianChangeNotFound`.
pub(crate) fn vote(
    accounts: &Accounts,
    guardian: AccountId,
    vote: &VoteAsGuardian,
    rules: &RecoveryRules,
    now_ms: DurationMs,
) -> Result<Vec<Event>, Reject> {
    let (account, act) = (vote.account, vote.act);
    let guarded =
        accounts.account(account).ok_or_else(|| Reject::of(RejectCode::AccountNotFound).present(account.number()))?;
    let row = accounts
        .safeguards
        .of(account)
        .filter(|row| row.guardians.in_force.contains(guardian))
        .ok_or_else(|| Reject::of(RejectCode::NotAGuardian).present(guardian.number()))?;
    if !guarded.is_open() {
        return Err(Reject::of(RejectCode::AccountClosed).present(account.number()));
    }
    require_possible(accounts, row, act, now_ms)?;
    let lapses_waiting_ms = now_ms.saturating_add(rules.guardian_vote_lifetime_ms);
    let mut events = vec![Event::GuardianVoted(GuardianVoted { account, guardian, act, lapses_waiting_ms })];
    if row.guardians.is_decided(guardian, act, now_ms) {
        events.extend(decided(row, act, rules, now_ms));
    }
    Ok(events)
}

/// Whether an act could happen now.
fn require_possible(accounts: &Accounts, row: &Safeguard, act: GuardianAct, now_ms: DurationMs) -> Result<(), Reject> {
    let guarding = &row.guardians;
    match act {
        GuardianAct::Recover(key) => {
            if let Some(recovery) = row.root_keys.recovery() {
                let left = remaining(recovery.ready_ms(), now_ms);
                return Err(Reject::of(RejectCode::RecoveryPending).required(left));
            }
            if now_ms < guarding.recovery_again_ms {
                let left = remaining(guarding.recovery_again_ms, now_ms);
                return Err(Reject::of(RejectCode::RecoveryPaused).required(left));
            }
            root_key::require_may_follow(accounts, row.account, &key)
        }
        GuardianAct::Freeze if now_ms < guarding.freeze_again_ms => {
            Err(Reject::of(RejectCode::FreezeSpent).required(remaining(guarding.freeze_again_ms, now_ms)))
        }
        GuardianAct::StopChange if guarding.announced.is_none() => Err(Reject::of(RejectCode::GuardianChangeNotFound)),
        GuardianAct::Freeze | GuardianAct::StopChange => Ok(()),
    }
}

/// What happens when enough guardians agree. A recovery takes the place of a key that the root key announced.
fn decided(row: &Safeguard, act: GuardianAct, rules: &RecoveryRules, now_ms: DurationMs) -> Vec<Event> {
    let account = row.account;
    match act {
        GuardianAct::Recover(key) => {
            let cancelled = row.root_keys.announced().map(|announced| root_key::cancelled(account, announced));
            let ready_waiting_ms = now_ms.saturating_add(rules.recovery_delay_ms);
            let begun = Event::RecoveryBegun(RecoveryBegun { account, key, ready_waiting_ms });
            cancelled.into_iter().chain([begun]).collect()
        }
        GuardianAct::Freeze => {
            let until_waiting_ms = now_ms.saturating_add(rules.freeze_ms_max);
            let again_waiting_ms = until_waiting_ms.saturating_add(rules.freeze_ms_max);
            vec![Event::AccountFrozen(AccountFrozen { account, until_waiting_ms, again_waiting_ms })]
        }
        GuardianAct::StopChange => {
            vec![Event::GuardianChangeCancelled(GuardianChangeCancelled { account, is_by_guardians: true })]
        }
    }
}

/// Decides that the root key stops a recovery.
///
/// # Errors
/// `RecoveryNotFound`, `RecoveryCancelsMax`.
pub(crate) fn cancel_recovery(
    accounts: &Accounts,
    account: AccountId,
    rules: &RecoveryRules,
    now_ms: DurationMs,
) -> Result<Event, Reject> {
    let row = accounts.safeguards.of(account);
    let running = row.and_then(|row| row.root_keys.recovery().map(|recovery| (&row.guardians, *recovery.key())));
    let (guarding, key): (&Guarding, PublicKey) = running.ok_or_else(|| Reject::of(RejectCode::RecoveryNotFound))?;
    // INVARIANT(K5)
    if guarding.cancels_left(rules, now_ms) == 0 {
        let first = guarding.counted_cancels(rules, now_ms).next().unwrap_or(now_ms);
        let again_ms = first.saturating_add(rules.recovery_cancels_window_ms);
        return Err(Reject::of(RejectCode::RecoveryCancelsMax).required(remaining(again_ms, now_ms)));
    }
    Ok(Event::RecoveryCancelled(RecoveryCancelled {
        account,
        key,
        cancelled_waiting_ms: now_ms,
        again_waiting_ms: now_ms.saturating_add(rules.recovery_pause_ms),
    }))
}
