//! Accounts: root keys, grants of session keys, nonces and verification budgets.
//!
//! Owns:        `accounts` table, the registry of keys.        Reads: genesis rules, waiting deposits.
//! Commands:    `OpenAccount`, `CloseAccount`, `RegisterGrant`, `RevokeGrant`.   Events: `AccountOpened`, `AccountClosed`, `GrantRegistered`, `GrantRevoked`.
//! Invariants:  A1 a root key opens at most one account. A2 a session key is registered once, ever. A3 a nonce is used once.
//!              A4 a child has no right that its parent lacks, ends with it, and what both may use the parent had alone.
//! Not here:    signatures (`gate`); address books and whatever else guards an account (`safeguards`); balances (`segment`); what a grant has used (`segment`).

mod ages;
mod close;
mod grants;
mod key_index;
mod open;
mod reading;
mod row;
pub mod safeguards;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::genesis::AccountRules;
use casemate_protocol::hash::{Domain, Hasher};
use casemate_protocol::nonce::NonceWindow;
use casemate_protocol::{AccountId, Digest, Event, GrantNumber, PublicKey, TimeMs};

pub(crate) use ages::AccountAges;
pub(crate) use close::close;
pub(crate) use grants::{GrantUsed, Registering, register_grant, revoke_grant};
pub(crate) use open::open;
pub use open::opening_deposit;
pub use row::{Account, AccountStatus, Grant, RateBudget, WeightBudget};

use safeguards::{Safeguard, Safeguards};

use crate::paged::PagedTable;
use key_index::KeyIndex;

/// All accounts.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    pub(crate) rows: PagedTable<Account>,
    pub(crate) registry: KeyRegistry,
    index: KeyIndex,
    /// Session keys whose grants were swept from their rows.
    retired: BTreeSet<PublicKey>,
    pub(crate) safeguards: Safeguards,
    pub(crate) ages: AccountAges,
    /// Time of the block that is being executed.
    now_ms: TimeMs,
    undo: Vec<AccountsUndo>,
}

/// What the state root says about keys and accounts beyond their rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeyRegistry {
    /// Last account number.
    pub(crate) last_account: AccountId,
    /// Keys ever registered, root and session.
    pub(crate) key_count: u64,
    /// Running digest over those keys, in order.
    pub(crate) keys_digest: Digest,
}

/// One step back.
#[derive(Clone, Debug)]
enum AccountsUndo {
    Opened { account: u64, row_count: u64, registry: KeyRegistry },
    Status { account: u64, status: AccountStatus },
    Nonces { account: u64, grant: GrantNumber, nonces: NonceWindow, weight: WeightBudget },
    Passkey { account: u64, count: u32 },
    Rate { account: u64, grant: GrantNumber, rate: RateBudget },
    Registered { account: u64, key: PublicKey, grants: Box<[Grant]>, retired: Vec<PublicKey>, registry: KeyRegistry },
    Revoked { account: u64, grant: GrantNumber },
    Safeguard { account: u64, before: Option<Box<Safeguard>> },
    RootKey { account: u64, key: PublicKey, passkey_count: u32, registry: KeyRegistry },
}

impl AccountsUndo {
    /// The account whose row it changes back, if it is one of this table.
    const fn account(&self) -> Option<u64> {
        match self {
            Self::Safeguard { .. } => None,
            Self::Opened { account, .. }
            | Self::Status { account, .. }
            | Self::Nonces { account, .. }
            | Self::Passkey { account, .. }
            | Self::RootKey { account, .. }
            | Self::Rate { account, .. }
            | Self::Registered { account, .. }
            | Self::Revoked { account, .. } => Some(*account),
        }
    }
}

impl Accounts {
    /// An account's row.
    #[must_use]
    pub fn account(&self, account: AccountId) -> Option<&Account> {
        self.rows.row(account.number())
    }

    /// What guards accounts against their own keys.
    #[must_use]
    pub const fn safeguards(&self) -> &Safeguards {
        &self.safeguards
    }

    /// The last account number in use.
    #[must_use]
    pub const fn last_account(&self) -> AccountId {
        self.registry.last_account
    }

    /// The account whose root key it is or was.
    #[must_use]
    pub fn account_of_root(&self, key: &PublicKey) -> Option<AccountId> {
        let is_announced = |row: &Safeguard| row.root_keys().announced().is_some_and(|it| it.key() == key);
        let holder = self.holder_of_root(key)?;
        Some(holder).filter(|holder| !self.safeguards.of(*holder).is_some_and(is_announced))
    }

    /// The account whose root key it is, was, or is announced to become.
    #[must_use]
    pub fn holder_of_root(&self, key: &PublicKey) -> Option<AccountId> {
        let is_other = |row: &Safeguard| row.other_root_keys().any(|other| other == key);
        let is_held = |account: &AccountId| {
            self.account(*account).is_some_and(|row| row.root_key == *key)
                || self.safeguards.of(*account).is_some_and(is_other)
        };
        self.index.candidates(key).map(AccountId::new).find(is_held)
    }

    /// Whether a session key was ever registered.
    #[must_use]
    pub fn is_session_key_known(&self, key: &PublicKey) -> bool {
        self.retired.contains(key)
            || self
                .index
                .candidates(key)
                .any(|account| self.rows.row(account).is_some_and(|row| row.grant_of(key).is_some()))
    }

    /// Uses a nonce and verification weight of an account's key. Stays used whatever becomes of the commands.
    pub fn consume(
        &mut self,
        account: AccountId,
        grant: Option<GrantNumber>,
        nonce: u64,
        weight: u32,
        rules: &AccountRules,
        now_ms: TimeMs,
    ) {
        let number = account.number();
        let Some(row) = self.rows.row_mut(number) else { return };
        let grant = grant.unwrap_or(GrantNumber::NONE);
        let nonces = if grant.is_none() {
            Some(&mut row.nonces)
        } else {
            row.grants.iter_mut().find(|row| row.number == grant).map(|row| &mut row.nonces)
        };
        let Some(nonces) = nonces else { return };
        let before = *nonces;
        // INVARIANT(A3)
        nonces.consume(nonce);
        let before_weight = row.weight();
        row.set_weight(before_weight.spend(rules, now_ms, weight));
        self.remember(AccountsUndo::Nonces { account: number, grant, nonces: before, weight: before_weight });
    }

    /// Keeps the latest counter of the passkey that is an account's root key.
    pub(crate) fn count_passkey(&mut self, account: AccountId, count: u32) {
        let number = account.number();
        let Some(row) = self.rows.row_mut(number) else { return };
        let before = core::mem::replace(&mut row.passkey_count, count);
        self.remember(AccountsUndo::Passkey { account: number, count: before });
    }

    /// Counts a command of a session.
    pub fn count_command(&mut self, account: AccountId, grant: GrantNumber, now_ms: TimeMs) {
        let number = account.number();
        let Some(row) = self.rows.row_mut(number) else { return };
        let Some(row) = row.grants.iter_mut().find(|row| row.number == grant) else { return };
        let before = row.rate;
        row.rate = before.spend(now_ms);
        self.remember(AccountsUndo::Rate { account: number, grant, rate: before });
    }

    /// Applies an event about accounts and grants; other events change nothing here.
    pub(crate) fn evolve(&mut self, event: &Event, rules: &AccountRules) {
        let root_key = |account: AccountId| self.account(account).map(|row| row.root_key);
        if let Some(row) = safeguards::evolved(&self.safeguards, event, &rules.safeguards.recovery, root_key) {
            self.put_safeguard(row);
        }
        match event {
            Event::AccountOpened(opened) => {
                self.insert(Account::new(opened.root_key, opened.segment, rules.bond, rules), opened.account);
                self.ages.open(opened.account.number(), self.now_ms);
            }
            Event::AccountClosed(closed) => self.set_status(closed.account, AccountStatus::Closed),
            Event::GrantRegistered(registered) => {
                self.add_grant(registered.account, Grant::new(&registered.terms, registered.registered_ms));
            }
            Event::RootKeyChanged(changed) => self.set_root_key(changed.account, changed.key),
            Event::GrantRevoked(revoked) => {
                let number = revoked.account.number();
                let Some(row) = self.rows.row_mut(number) else { return };
                let Some(grant) = row.grants.iter_mut().find(|row| row.number == revoked.number) else { return };
                grant.is_revoked = true;
                self.remember(AccountsUndo::Revoked { account: number, grant: revoked.number });
            }
            _ => {}
        }
    }

    /// Adds an account under its number, which must be the next one.
    pub(crate) fn insert(&mut self, row: Account, account: AccountId) {
        let (number, key) = (account.number(), row.root_key);
        let (row_count, registry) = (self.rows.row_count(), self.registry);
        self.rows.row_or_insert(number, || row);
        self.registry.last_account = account;
        self.register_key(number, &key);
        self.remember(AccountsUndo::Opened { account: number, row_count, registry });
    }

    /// Adds a grant, takes what it is given off its parent, and sweeps ended ones.
    pub(crate) fn add_grant(&mut self, account: AccountId, grant: Grant) {
        let number = account.number();
        let (key, now_ms, registry) = (grant.session_key, grant.registered_ms, self.registry);
        let Some(row) = self.rows.row_mut(number) else { return };
        let before = core::mem::take(&mut row.grants);
        let (live, ended): (Vec<&Grant>, Vec<&Grant>) = before.iter().partition(|grant| grant.is_live(now_ms));
        let retired: Vec<PublicKey> = ended.iter().map(|grant| grant.session_key).collect();
        let parent = grant.parent();
        let mut grants: Vec<Grant> = live.into_iter().cloned().collect();
        if let Some(parent) = grants.iter_mut().find(|row| row.number == parent) {
            parent.carve(&grant);
        }
        row.grants = grants.into_iter().chain(core::iter::once(grant)).collect();
        row.next_grant = row.next_grant.next();
        // The set of retired keys remembers them from now on, so an account has few keys in the index at any time.
        for key in &retired {
            self.index.remove(key, index_number(number));
        }
        self.retired.extend(retired.iter().copied());
        self.register_key(number, &key);
        self.remember(AccountsUndo::Registered { account: number, key, grants: before, retired, registry });
    }

    /// Puts a row of safeguards in place of the account's; announced keys come into the index with it and leave it again.
    fn put_safeguard(&mut self, row: Safeguard) {
        let account = row.account();
        let number = account.number();
        let announced = |row: &Safeguard| row.root_keys().announced().map(|it| *it.key());
        let key = announced(&row);
        let before = self.safeguards.put(row).map(Box::new);
        let key_before = before.as_deref().and_then(announced);
        self.move_in_index(number, key_before, key);
        self.remember(AccountsUndo::Safeguard { account: number, before });
    }

    /// An account's announced key was one and is another. What became the root key, or is the root key again, stays.
    fn move_in_index(&mut self, account: u64, before: Option<PublicKey>, after: Option<PublicKey>) {
        if before == after {
            return;
        }
        if let Some(key) = before.filter(|key| self.holder_of_root(key).is_none()) {
            self.index.remove(&key, index_number(account));
        }
        if let Some(key) = after {
            self.index.insert(&key, index_number(account));
        }
    }

    /// Another key becomes the root key; a passkey's counter begins anew.
    fn set_root_key(&mut self, account: AccountId, key: PublicKey) {
        let (number, registry) = (account.number(), self.registry);
        let Some(row) = self.rows.row_mut(number) else { return };
        let before = core::mem::replace(&mut row.root_key, key);
        let passkey_count = core::mem::take(&mut row.passkey_count);
        self.register_key(number, &key);
        self.remember(AccountsUndo::RootKey { account: number, key: before, passkey_count, registry });
    }

    fn set_status(&mut self, account: AccountId, status: AccountStatus) {
        let number = account.number();
        let Some(row) = self.rows.row_mut(number) else { return };
        let before = core::mem::replace(&mut row.status, status);
        self.remember(AccountsUndo::Status { account: number, status: before });
    }

    fn register_key(&mut self, account: u64, key: &PublicKey) {
        self.index.insert(key, index_number(account));
        self.registry.key_count = self.registry.key_count.saturating_add(1);
        let mut running = Hasher::new(Domain::Running);
        running.update(self.registry.keys_digest.bytes());
        running.update_value(key);
        self.registry.keys_digest = running.finish();
    }

    /// Where the table stands now.
    #[must_use]
    pub fn savepoint(&self) -> usize {
        self.undo.len()
    }

    /// Takes back everything since a savepoint.
    pub fn roll_back(&mut self, to: usize) {
        while self.undo.len() > to {
            let Some(step) = self.undo.pop() else { break };
            if let Some(account) = step.account() {
                self.rows.unmark(account);
            }
            self.step_back(step);
        }
    }

    fn remember(&mut self, step: AccountsUndo) {
        if let Some(account) = step.account() {
            self.rows.mark(account);
        }
        self.undo.push(step);
    }

    /// A block of this time begins.
    pub(crate) const fn begin_block(&mut self, now_ms: TimeMs) {
        self.now_ms = now_ms;
    }

    /// Block time since an account opened, rounded down by at most an hour and told up to a limit.
    #[must_use]
    pub fn age_ms(&self, account: AccountId, now_ms: TimeMs) -> u64 {
        self.ages.age_ms(account, now_ms)
    }

    /// Forgets how to take the block back: it stands.
    pub fn settle(&mut self) {
        self.ages.forget(self.now_ms);
        self.undo.clear();
    }

    fn step_back(&mut self, step: AccountsUndo) {
        match step {
            AccountsUndo::Opened { account, row_count, registry } => {
                if let Some(row) = self.rows.remove(account) {
                    self.index.remove(&row.root_key, index_number(account));
                }
                self.ages.take_back(account);
                self.rows.truncate_row_count(row_count);
                self.registry = registry;
            }
            AccountsUndo::Status { account, status } => {
                if let Some(row) = self.rows.row_mut(account) {
                    row.status = status;
                }
            }
            AccountsUndo::Nonces { account, grant, nonces, weight } => {
                let Some(row) = self.rows.row_mut(account) else { return };
                row.set_weight(weight);
                if grant.is_none() {
                    row.nonces = nonces;
                } else if let Some(row) = row.grants.iter_mut().find(|row| row.number == grant) {
                    row.nonces = nonces;
                }
            }
            AccountsUndo::Passkey { account, count } => {
                if let Some(row) = self.rows.row_mut(account) {
                    row.passkey_count = count;
                }
            }
            AccountsUndo::Safeguard { account, before } => {
                let announced = |row: &Safeguard| row.root_keys().announced().map(|it| *it.key());
                let now = self.safeguards.of(AccountId::new(account)).and_then(announced);
                let then = before.as_deref().and_then(announced);
                self.safeguards.take_back(account, before.map(|before| *before));
                self.move_in_index(account, now, then);
            }
            AccountsUndo::RootKey { account, key, passkey_count, registry } => {
                let Some(row) = self.rows.row_mut(account) else { return };
                let taken_back = core::mem::replace(&mut row.root_key, key);
                row.passkey_count = passkey_count;
                self.index.remove(&taken_back, index_number(account));
                self.registry = registry;
            }
            AccountsUndo::Rate { account, grant, rate } => {
                let Some(row) = self.rows.row_mut(account) else { return };
                if let Some(row) = row.grants.iter_mut().find(|row| row.number == grant) {
                    row.rate = rate;
                }
            }
            AccountsUndo::Registered { account, key, grants, retired, registry } => {
                self.index.remove(&key, index_number(account));
                self.registry = registry;
                for key in retired {
                    self.retired.remove(&key);
                    self.index.insert(&key, index_number(account));
                }
                if let Some(row) = self.rows.row_mut(account) {
                    let newest = row.grants.last().map_or(row.next_grant, |grant| grant.number);
                    row.grants = grants;
                    row.next_grant = newest;
                }
            }
            AccountsUndo::Revoked { account, grant } => {
                let Some(row) = self.rows.row_mut(account) else { return };
                if let Some(row) = row.grants.iter_mut().find(|row| row.number == grant) {
                    row.is_revoked = false;
                }
            }
        }
    }
}

/// Account numbers fit 32 bits (`limits::ACCOUNTS_MAX`).
fn index_number(account: u64) -> u32 {
    u32::try_from(account).unwrap_or(u32::MAX)
}

/// What a snapshot keeps of the key registry beyond the rows.
pub(crate) type Retired = BTreeSet<PublicKey>;

impl Accounts {
    pub(crate) const fn retired(&self) -> &Retired {
        &self.retired
    }

    /// Rebuilds the table from its rows, as a snapshot has them.
    pub(crate) fn from_rows(
        rows: PagedTable<Account>,
        registry: KeyRegistry,
        retired: Retired,
        safeguards: Safeguards,
        ages: AccountAges,
    ) -> Self {
        let mut index = KeyIndex::default();
        for (account, row) in rows.iter() {
            let account = index_number(account);
            index.insert(&row.root_key, account);
            for grant in &row.grants {
                index.insert(&grant.session_key, account);
            }
        }
        for row in safeguards.rows() {
            for key in row.other_root_keys() {
                index.insert(key, index_number(row.account().number()));
            }
        }
        Self { rows, registry, index, retired, safeguards, ages, now_ms: TimeMs::ZERO, undo: Vec::new() }
    }
}
