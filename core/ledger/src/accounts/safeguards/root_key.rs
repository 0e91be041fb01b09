//! Changing the root key: announced by the key that there is, taken over by the key that comes.
//!
//! Whoever holds the root key can announce another one, and so can a thief. The delay gives the owner, who holds it too,
//! time to take the announcement back. The new key takes over by signing that itself, so a key that was mistyped, or whose
//! holder never agreed, takes over nothing. What it had is kept: former keys open no other account, and deposits to them
//! still find their owner.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::event::{
    RecoveryBegun, RecoveryCompleted, RootKeyChangeAnnounced, RootKeyChangeCancelled, RootKeyChanged,
};
use casemate_protocol::genesis::{RecoveryRules, SafeguardRules};
use casemate_protocol::limits::FORMER_ROOT_KEYS_MAX;
use casemate_protocol::{AccountId, DurationMs, Event, PublicKey, Reject, RejectCode};

use super::remaining;
use crate::accounts::Accounts;

/// The root keys of one account besides the one that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RootKeys {
    announced: Option<AnnouncedKey>,
    /// In the order in which they were the root key.
    former: Vec<PublicKey>,
}

/// A key that is to become the root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AnnouncedKey {
    key: PublicKey,
    ready_ms: DurationMs,
    /// Whether guardians agreed on it; else the root key announced it.
    is_recovery: bool,
}

impl AnnouncedKey {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Waiting clock from which it can take over.
    #[must_use]
    pub const fn ready_ms(&self) -> DurationMs {
        self.ready_ms
    }

    /// Whether guardians agreed on it; else the root key announced it.
    #[must_use]
    pub const fn is_recovery(&self) -> bool {
        self.is_recovery
    }

    /// Whether it can take over.
    ///
    /// # Errors
    /// `RootKeyChangeWaiting`.
    pub fn require_ready(&self, now_ms: DurationMs) -> Result<(), Reject> {
        if now_ms >= self.ready_ms {
            return Ok(());
        }
        Err(Reject::of(RejectCode::RootKeyChangeWaiting).required(remaining(self.ready_ms, now_ms)))
    }
}

impl RootKeys {
    /// The key that is to take over, if one is announced.
    #[must_use]
    pub const fn announced(&self) -> Option<&AnnouncedKey> {
        self.announced.as_ref()
    }

    /// The key that guardians agreed on, if a recovery is under way.
    #[must_use]
    pub fn recovery(&self) -> Option<&AnnouncedKey> {
        self.announced.as_ref().filter(|announced| announced.is_recovery)
    }

    /// The keys that were the root key before, in that order.
    #[must_use]
    pub fn former(&self) -> &[PublicKey] {
        &self.former
    }

    /// When what it waits for is over.
    pub(super) fn ends(&self) -> DurationMs {
        self.announced.map_or(DurationMs::ZERO, |announced| announced.ready_ms)
    }

    pub(super) const fn announce(&mut self, announced: &RootKeyChangeAnnounced) {
        self.announced =
            Some(AnnouncedKey { key: announced.key, ready_ms: announced.ready_waiting_ms, is_recovery: false });
    }

    pub(super) const fn begin_recovery(&mut self, begun: &RecoveryBegun) {
        self.announced = Some(AnnouncedKey { key: begun.key, ready_ms: begun.ready_waiting_ms, is_recovery: true });
    }

    pub(super) const fn cancel(&mut self) {
        self.announced = None;
    }

    /// The announced key has taken over from `before`.
    pub(super) fn replace(&mut self, before: PublicKey) {
        self.announced = None;
        self.former.push(before);
    }
}

/// Decides the announcement of another root key. That it is a proper key was checked by the gate.
///
/// # Errors
/// `RecoveryPending`, `RootKeyChangePending`, and what [`require_may_follow`] refuses.
pub(crate) fn announce_root_key(
    accounts: &Accounts,
    account: AccountId,
    key: PublicKey,
    rules: &SafeguardRules,
    now_ms: DurationMs,
) -> Result<Event, Reject> {
    let keys = accounts.safeguards.of(account).map(|row| &row.root_keys);
    if let Some(announced) = keys.and_then(RootKeys::announced) {
        let code = if announced.is_recovery { RejectCode::RecoveryPending } else { RejectCode::RootKeyChangePending };
        return Err(Reject::of(code).required(remaining(announced.ready_ms, now_ms)));
    }
    require_may_follow(accounts, account, &key)?;
    Ok(Event::RootKeyChangeAnnounced(Box::new(RootKeyChangeAnnounced {
        account,
        key,
        ready_waiting_ms: now_ms.saturating_add(rules.root_change_delay_ms),
    })))
}

/// Whether a key may become the root key of an account: nobody has used it here, and there is room for the one before it.
///
/// # Errors
/// `FormerRootKeysMax`, `RootKeyInUse`.
pub(super) fn require_may_follow(accounts: &Accounts, account: AccountId, key: &PublicKey) -> Result<(), Reject> {
    let keys = accounts.safeguards.of(account).map(|row| &row.root_keys);
    let count = keys.map_or(0, |keys| keys.former.len());
    if count >= FORMER_ROOT_KEYS_MAX {
        return Err(Reject::of(RejectCode::FormerRootKeysMax)
            .required(super::number(FORMER_ROOT_KEYS_MAX))
            .present(super::number(count)));
    }
    // INVARIANT(A1)
    if accounts.holder_of_root(key).is_some() || accounts.is_session_key_known(key) {
        return Err(Reject::of(RejectCode::RootKeyInUse));
    }
    Ok(())
}

/// Decides that the key which the root key announced does not take over. A recovery is cancelled otherwise, and not for ever.
///
/// # Errors
/// `RootKeyChangeNotFound`, `RecoveryPending`.
pub(crate) fn cancel_root_key_change(
    accounts: &Accounts,
    account: AccountId,
    now_ms: DurationMs,
) -> Result<Event, Reject> {
    let announced = require_announced(accounts, account)?;
    if announced.is_recovery {
        return Err(Reject::of(RejectCode::RecoveryPending).required(remaining(announced.ready_ms, now_ms)));
    }
    Ok(cancelled(account, announced))
}

/// The announcement of a key is over.
pub(super) const fn cancelled(account: AccountId, announced: &AnnouncedKey) -> Event {
    Event::RootKeyChangeCancelled(RootKeyChangeCancelled { account, key: announced.key })
}

/// Decides that the key that signs takes over, and what a recovery brings with that.
///
/// # Errors
/// `RootKeyChangeNotFound`, `RootKeyNotProven`, `RootKeyChangeWaiting`.
pub(crate) fn accept_root_key(
    accounts: &Accounts,
    account: AccountId,
    signer: PublicKey,
    rules: &RecoveryRules,
    now_ms: DurationMs,
) -> Result<Vec<Event>, Reject> {
    let announced = require_announced(accounts, account)?;
    // INVARIANT(K2)
    if announced.key != signer {
        return Err(Reject::of(RejectCode::RootKeyNotProven));
    }
    announced.require_ready(now_ms)?;
    let held_until_waiting_ms = now_ms.saturating_add(rules.recovery_hold_ms);
    let completed = RecoveryCompleted { account, key: signer, held_until_waiting_ms };
    let completed = announced.is_recovery.then_some(Event::RecoveryCompleted(completed));
    let changed = Event::RootKeyChanged(RootKeyChanged { account, key: signer });
    Ok([changed].into_iter().chain(completed).collect())
}

fn require_announced(accounts: &Accounts, account: AccountId) -> Result<&AnnouncedKey, Reject> {
    let keys = accounts.safeguards.of(account).map(|row| &row.root_keys);
    keys.and_then(RootKeys::announced).ok_or_else(|| Reject::of(RejectCode::RootKeyChangeNotFound))
}
