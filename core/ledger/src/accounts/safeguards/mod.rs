//! Safeguards: what guards an account against its own keys, for accounts that use any.
//!
//! Owns:        the `safeguards` table, a row for each account that ever used one.        Reads: accounts, genesis rules.
//! Commands:    `AddPayoutAddress`, `RemovePayoutAddress`, `ChangeRootKey`, `CancelRootKeyChange`, `AcceptRootKey`.   Events:
//!              `PayoutAddressAdded`, `PayoutAddressRemoved`, `RootKeyChangeAnnounced`, `RootKeyChangeCancelled`,
//!              `RootKeyChanged`.
//! Invariants:  K1 while a book binds, money leaves only to an address in it that has cooled off: at the request, and again
//!              at the release. K2 another key becomes the root key only after its delay, and only if it signs that itself.
//! Not here:    who may ask (`gate`); what happens to money that may not leave (`funds`: it waits, and its owner can take it
//!              back).
//!
//! Everything here waits on the waiting clock, which an outage does not move. An account that uses none of this has no row.

mod book;
mod root_key;

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::command::OutsideReference;
use casemate_protocol::{AccountId, DurationMs, Event, PublicKey, Reject};

pub use book::{AddressBook, PayoutEntry};
pub(crate) use book::{Weather, add_address, remove_address};
pub use root_key::{AnnouncedKey, RootKeys};
pub(crate) use root_key::{accept_root_key, announce_root_key, cancel_root_key_change};

use crate::segment::{Marks, Withdrawal};

/// The safeguards of one account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Safeguard {
    account: AccountId,
    book: AddressBook,
    root_keys: RootKeys,
}

/// All safeguards, in the order in which accounts first used one.
#[derive(Clone, Debug, Default)]
pub struct Safeguards {
    rows: Vec<Safeguard>,
    /// The row of each account that has one.
    places: BTreeMap<u64, usize>,
    /// When the last thing that a row waits for is over, so that blocks close until then.
    ends: BTreeSet<(u64, u64)>,
    /// Rows that changed since the last root.
    pub(crate) changed: Marks,
}

impl Safeguard {
    fn new(account: AccountId) -> Self {
        Self { account, book: AddressBook::default(), root_keys: RootKeys::default() }
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

    /// The root keys that lead to the account besides the one that it has: former ones, and one that is announced.
    pub(super) fn other_root_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.root_keys.former().iter().chain(self.root_keys.announced().map(AnnouncedKey::key))
    }

    /// When the last thing that it waits for is over.
    fn ends(&self) -> DurationMs {
        self.book.ends().max(self.root_keys.ends())
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
        let end = (row.ends().ms(), account);
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
    /// As [`Self::require_payout`].
    pub(crate) fn require_release(&self, row: &Withdrawal, now_ms: DurationMs) -> Result<(), Reject> {
        self.require_payout(row.account, row.chain, &row.destination, now_ms)
    }

    /// What a snapshot has.
    pub(crate) fn from_rows(rows: Vec<Safeguard>) -> Self {
        let places = rows.iter().zip(0usize..).map(|(row, place)| (row.account.number(), place)).collect();
        let ends = rows.iter().map(|row| (row.ends().ms(), row.account.number())).collect();
        Self { rows, places, ends, changed: Marks::default() }
    }
}

/// What an event changes in the row of its account; none for events of others. `root_key` is the account's before it.
pub(super) fn evolved(
    safeguards: &Safeguards,
    event: &Event,
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
        _ => None,
    }
}

fn remaining(end_ms: DurationMs, now_ms: DurationMs) -> u64 {
    end_ms.ms().saturating_sub(now_ms.ms())
}

fn number(place: usize) -> u64 {
    u64::try_from(place).unwrap_or(u64::MAX)
}
