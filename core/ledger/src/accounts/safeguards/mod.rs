//! Safeguards: what guards an account against its own keys, for accounts that use any.
//!
//! Owns:        the `safeguards` table, a row for each account that ever used one.        Reads: accounts, genesis rules.
//! Commands:    `AddPayoutAddress`, `RemovePayoutAddress`, `ChangeRootKey`, `CancelRootKeyChange`, `AcceptRootKey`,
//!              `SetGuardians`, `CancelGuardianChange`, `VoteAsGuardian`, `CancelRecovery`; `System`: `ChangeGuardians`.
//! Events:      `PayoutAddressAdded`, `PayoutAddressRemoved`, `RootKeyChangeAnnounced`, `RootKeyChangeCancelled`,
//!              `RootKeyChanged`, `GuardianChangeAnnounced`, `GuardianChangeCancelled`, `GuardiansChanged`, `GuardianVoted`,
//!              `RecoveryBegun`, `RecoveryCancelled`, `AccountFrozen`, `RecoveryCompleted`.
//! Invariants:  K1 while a book binds, money leaves only to an address in it that has cooled off: at the request, and again
//!              at the release. K2 another key becomes the root key only after its delay, and only if it signs that itself.
//!              K3 other guardians guard only after their delay, which is longer than a recovery. K4 no value leaves a frozen
//!              account, or one that was recovered lately. K5 a root key cancels only so many recoveries within the window.
//! Not here:    who may ask (`gate`); what happens to money that may not leave (`funds`: it waits, and its owner can take it
//!              back).
//!
//! Everything here waits on the waiting clock, which an outage does not move. An account that uses none of this has no row.

mod book;
mod guardians;
mod root_key;

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::command::OutsideReference;
use casemate_protocol::genesis::RecoveryRules;
use casemate_protocol::{AccountId, DurationMs, Event, PublicKey, Reject};

pub use book::{AddressBook, PayoutEntry};
pub(crate) use book::{Weather, add_address, remove_address};
pub use guardians::{AnnouncedGuardians, Guarding, Vote};
pub(crate) use guardians::{announce_guardians, cancel_guardian_change, cancel_recovery, change_guardians, vote};
pub use root_key::{AnnouncedKey, RootKeys};
pub(crate) use root_key::{accept_root_key, announce_root_key, cancel_root_key_change};

use crate::segment::{Marks, Withdrawal};

/// The safeguards of one account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Safeguard {
    account: AccountId,
    book: AddressBook,
    root_keys: RootKeys,
    guardians: Guarding,
}

/// All safeguards, in the order in which accounts first used one.
#[derive(Clone, Debug, Default)]
pub struct Safeguards {
    rows: Vec<Safeguard>,
    /// The row of each account that has one.
    places: BTreeMap<u64, usize>,
    /// When the last thing that a row waits for is over, so that blocks close until then.
    ends: BTreeSet<(u64, u64)>,
    /// Announced guardians, by the time at which they guard.
    changes: BTreeSet<(u64, u64)>,
    /// Rows that changed since the last root.
    pub(crate) changed: Marks,
}

impl Safeguard {
    fn new(account: AccountId) -> Self {
        Self { account, book: AddressBook::default(), root_keys: RootKeys::default(), guardians: Guarding::default() }
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Where its money may leave to.
    #[must_use]
    pub const fn book(&self) -> &AddressBook {
        &self.book
    }

    /// Its root keys besides the one that it has.
    #[must_use]
    pub const fn root_keys(&self) -> &RootKeys {
        &self.root_keys
    }

    /// Who guards it, and what they are at.
    #[must_use]
    pub const fn guardians(&self) -> &Guarding {
        &self.guardians
    }

    /// The root keys that lead to the account besides the one that it has: former ones, and one that is announced.
    pub(super) fn other_root_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.root_keys.former().iter().chain(self.root_keys.announced().map(AnnouncedKey::key))
    }

    /// When announced guardians guard, and whose.
    fn change(&self) -> Option<(u64, u64)> {
        self.guardians.announced().map(|announced| (announced.due_ms().ms(), self.account.number()))
    }

    /// When the last thing that it waits for is over.
    fn ends(&self) -> DurationMs {
        self.book.ends().max(self.root_keys.ends()).max(self.guardians.ends())
    }
}

impl Safeguards {
    /// The safeguards of an account; none if it never used one.
    #[must_use]
    pub fn of(&self, account: AccountId) -> Option<&Safeguard> {
        self.rows.get(*self.places.get(&account.number())?)
    }

    /// The place of an account's row in the table, and the row.
    pub(crate) fn find(&self, account: AccountId) -> Option<(u64, &Safeguard)> {
        let place = *self.places.get(&account.number())?;
        Some((number(place), self.rows.get(place)?))
    }

    /// The rows in the order of the table.
    pub(crate) fn rows(&self) -> &[Safeguard] {
        &self.rows
    }

    /// Puts a row in place of the account's row; returns what was there.
    pub(super) fn put(&mut self, row: Safeguard) -> Option<Safeguard> {
        let account = row.account.number();
        let (end, change) = ((row.ends().ms(), account), row.change());
        let before = match self.places.get(&account) {
            Some(&place) => {
                self.changed.mark(number(place));
                self.rows.get_mut(place).map(|slot| core::mem::replace(slot, row))
            }
            None => {
                self.changed.mark(number(self.rows.len()));
                self.places.insert(account, self.rows.len());
                self.rows.push(row);
                None
            }
        };
        if let Some(before) = &before {
            self.ends.remove(&(before.ends().ms(), account));
            self.move_change(before.change(), change);
        } else {
            self.move_change(None, change);
        }
        self.ends.insert(end);
        before
    }

    /// Takes a change of an account's row back. Changes are taken back in reverse, so a row that was new is the last one.
    pub(super) fn take_back(&mut self, account: u64, before: Option<Safeguard>) {
        let Some(&place) = self.places.get(&account) else { return };
        self.changed.unmark(number(place));
        if let Some(row) = self.rows.get(place) {
            self.ends.remove(&(row.ends().ms(), account));
            let change = row.change();
            self.move_change(change, before.as_ref().and_then(Safeguard::change));
        }
        match before {
            Some(before) => {
                self.ends.insert((before.ends().ms(), account));
                if let Some(slot) = self.rows.get_mut(place) {
                    *slot = before;
                }
            }
            None => {
                self.rows.truncate(place);
                self.places.remove(&account);
            }
        }
    }

    fn move_change(&mut self, before: Option<(u64, u64)>, after: Option<(u64, u64)>) {
        if let Some(before) = before {
            self.changes.remove(&before);
        }
        self.changes.extend(after);
    }

    /// Accounts whose announced guardians guard from now on, in the order in which they fell due.
    pub(crate) fn due_changes(&self, now_ms: DurationMs) -> impl Iterator<Item = AccountId> {
        self.changes.range(..=(now_ms.ms(), u64::MAX)).map(|(_, account)| AccountId::new(*account))
    }

    /// Whether the account's guardians, or its recovery, let value leave it.
    ///
    /// # Errors
    /// `AccountFrozen`, `RecoveryHold`.
    pub(crate) fn require_not_held(&self, account: AccountId, now_ms: DurationMs) -> Result<(), Reject> {
        self.of(account).map_or(Ok(()), |row| row.guardians.require_may_leave(now_ms))
    }

    /// An account's row to be changed, as it is or new.
    pub(super) fn row_or_new(&self, account: AccountId) -> Safeguard {
        self.of(account).cloned().unwrap_or_else(|| Safeguard::new(account))
    }

    /// Whether something waits that a moving clock brings nearer.
    pub(crate) fn is_anything_waiting(&self, now_ms: DurationMs) -> bool {
        self.ends.last().is_some_and(|(end_ms, _)| *end_ms > now_ms.ms())
    }

    /// Whether an account's money may be asked to leave to an address.
    ///
    /// # Errors
    /// `DestinationNotInBook`, `DestinationCooling`, `AddressBookBinds`.
    pub(crate) fn require_payout(
        &self,
        account: AccountId,
        chain: u32,
        destination: &OutsideReference,
        now_ms: DurationMs,
    ) -> Result<(), Reject> {
        // INVARIANT(K1)
        self.of(account).map_or(Ok(()), |row| row.book.require_usable(chain, destination, now_ms))
    }

    /// Whether principal may be asked to leave to an address by the slow way: the address may still cool off, because the
    /// exit's own delay runs at the same time and the release asks again. So the way out is never longer than the longer
    /// of the two, and a thief who names an address of his own waits like anybody else.
    ///
    /// # Errors
    /// `DestinationNotInBook`, `AddressBookBinds`.
    pub(crate) fn require_exit(
        &self,
        account: AccountId,
        chain: u32,
        destination: &OutsideReference,
        now_ms: DurationMs,
    ) -> Result<(), Reject> {
        self.of(account).map_or(Ok(()), |row| row.book.require_known(chain, destination, now_ms))
    }

    /// Whether a withdrawal whose delay is over may leave, as far as its account's safeguards go.
    ///
    /// # Errors
    /// As [`Self::require_not_held`] and [`Self::require_payout`].
    pub(crate) fn require_release(&self, row: &Withdrawal, now_ms: DurationMs) -> Result<(), Reject> {
        self.require_not_held(row.account, now_ms)?;
        self.require_payout(row.account, row.chain, &row.destination, now_ms)
    }

    /// What a snapshot has.
    pub(crate) fn from_rows(rows: Vec<Safeguard>) -> Self {
        let places = rows.iter().zip(0usize..).map(|(row, place)| (row.account.number(), place)).collect();
        let ends = rows.iter().map(|row| (row.ends().ms(), row.account.number())).collect();
        let changes = rows.iter().filter_map(Safeguard::change).collect();
        Self { rows, places, ends, changes, changed: Marks::default() }
    }
}

/// What an event changes in the row of its account; none for events of others. `root_key` is the account's before it.
pub(super) fn evolved(
    safeguards: &Safeguards,
    event: &Event,
    rules: &RecoveryRules,
    root_key: impl Fn(AccountId) -> Option<PublicKey>,
) -> Option<Safeguard> {
    match event {
        Event::RootKeyChangeAnnounced(announced) => {
            let mut row = safeguards.row_or_new(announced.account);
            row.root_keys.announce(announced);
            Some(row)
        }
        Event::RootKeyChangeCancelled(cancelled) => {
            let mut row = safeguards.row_or_new(cancelled.account);
            row.root_keys.cancel();
            Some(row)
        }
        Event::RootKeyChanged(changed) => {
            let mut row = safeguards.row_or_new(changed.account);
            row.root_keys.replace(root_key(changed.account)?);
            Some(row)
        }
        Event::PayoutAddressAdded(added) => {
            let mut row = safeguards.row_or_new(added.account);
            row.book.add(added);
            Some(row)
        }
        Event::PayoutAddressRemoved(removed) => {
            let mut row = safeguards.row_or_new(removed.account);
            row.book.remove(removed);
            Some(row)
        }
        _ => guardians_evolved(safeguards, event, rules),
    }
}

fn guardians_evolved(safeguards: &Safeguards, event: &Event, rules: &RecoveryRules) -> Option<Safeguard> {
    let account = match event {
        Event::GuardianChangeAnnounced(announced) => announced.account,
        Event::GuardianChangeCancelled(cancelled) => cancelled.account,
        Event::GuardiansChanged(changed) => changed.account,
        Event::GuardianVoted(voted) => voted.account,
        Event::RecoveryBegun(begun) => begun.account,
        Event::RecoveryCancelled(cancelled) => cancelled.account,
        Event::AccountFrozen(frozen) => frozen.account,
        Event::RecoveryCompleted(completed) => completed.account,
        _ => return None,
    };
    let mut row = safeguards.row_or_new(account);
    match event {
        Event::GuardianChangeAnnounced(announced) => row.guardians.announce(announced),
        Event::GuardianChangeCancelled(_) => row.guardians.strike_out(),
        Event::GuardiansChanged(changed) => row.guardians.change(&changed.guardians),
        Event::GuardianVoted(voted) => row.guardians.vote(voted),
        Event::RecoveryBegun(begun) => {
            row.root_keys.begin_recovery(begun);
            row.guardians.begin_recovery();
        }
        Event::RecoveryCancelled(cancelled) => {
            row.root_keys.cancel();
            row.guardians.cancel_recovery(cancelled, rules);
        }
        Event::AccountFrozen(frozen) => row.guardians.freeze(frozen),
        Event::RecoveryCompleted(completed) => row.guardians.complete(completed.held_until_waiting_ms),
        _ => {}
    }
    Some(row)
}

fn remaining(end_ms: DurationMs, now_ms: DurationMs) -> u64 {
    end_ms.ms().saturating_sub(now_ms.ms())
}

fn number(place: usize) -> u64 {
    u64::try_from(place).unwrap_or(u64::MAX)
}
