//! What guards an account against its own keys.

use casemate_ledger::accounts::safeguards::{AddressBook, AnnouncedKey, Safeguard, Vote};
use casemate_protocol::DurationMs;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{GuardianActJson, GuardianSetJson};
use crate::values::{HexBytes, KeyText};

/// The safeguards of an account, with times on the chain's waiting clock.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SafeguardsJson {
    /// The waiting clock now, in milliseconds since genesis without outages.
    pub waiting_ms: u64,
    /// Where its money may leave to.
    pub address_book: AddressBookJson,
    /// The root key that is announced; none if none is.
    pub announced_root_key: Option<AnnouncedKeyJson>,
    /// The keys that were the root key before, in that order.
    pub former_root_keys: Vec<KeyText>,
    /// Who guards the account, and what they are at.
    pub guarding: GuardingJson,
}

/// Guardians of an account, and what they are at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GuardingJson {
    /// Who guards it now.
    pub guardians: GuardianSetJson,
    /// Who is to guard it; none if no change is announced.
    pub announced: Option<AnnouncedGuardiansJson>,
    /// Votes that count.
    pub votes: Vec<CountedVoteJson>,
    /// Whether the announced root key is one that guardians agreed on.
    pub is_recovery_under_way: bool,
    /// From when guardians can begin another recovery after one that was cancelled; 0 if none was.
    pub recovery_again_waiting_ms: u64,
    /// Whether nothing leaves the account, because guardians froze it or it was recovered lately.
    pub is_held: bool,
    /// Until when guardians froze it; 0 if they did not.
    pub frozen_until_waiting_ms: u64,
    /// From when guardians can freeze it again; 0 if they never did.
    pub freeze_again_waiting_ms: u64,
    /// Until when nothing leaves after a recovery; 0 if there was none.
    pub held_until_waiting_ms: u64,
}

/// Guardians that are to guard.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnnouncedGuardiansJson {
    /// Who.
    pub guardians: GuardianSetJson,
    /// From when.
    pub due_waiting_ms: u64,
}

/// A vote that counts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CountedVoteJson {
    /// Who voted.
    pub guardian: u64,
    /// For what.
    pub act: GuardianActJson,
    /// Until when it counts.
    pub lapses_waiting_ms: u64,
}

/// A key that is to become the root key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnnouncedKeyJson {
    /// The key.
    pub key: KeyText,
    /// From when it can take over.
    pub ready_waiting_ms: u64,
    /// Whether it can take over now.
    pub is_ready: bool,
    /// Whether guardians agreed on it; else the root key announced it.
    pub is_recovery: bool,
}

/// An address book.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AddressBookJson {
    /// Whether money leaves to addresses of the book only.
    pub binds: bool,
    /// Until when a book that was emptied binds; 0 if it holds addresses or never did.
    pub opens_waiting_ms: u64,
    /// Its addresses, in the order in which they were added.
    pub addresses: Vec<PayoutEntryJson>,
}

/// An address of a book.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PayoutEntryJson {
    /// Outside chain.
    pub chain: u32,
    /// Payout address on it.
    pub destination: HexBytes,
    /// From when it can be used.
    pub usable_waiting_ms: u64,
    /// Whether it can be used now.
    pub is_usable: bool,
}

impl SafeguardsJson {
    /// Shows an account's safeguards at a moment of the waiting clock.
    #[must_use]
    pub fn of(row: &Safeguard, now_ms: DurationMs) -> Self {
        let announced = |announced: &AnnouncedKey| AnnouncedKeyJson {
            key: KeyText(*announced.key()),
            ready_waiting_ms: announced.ready_ms().ms(),
            is_ready: announced.ready_ms() <= now_ms,
            is_recovery: announced.is_recovery(),
        };
        Self {
            waiting_ms: now_ms.ms(),
            address_book: AddressBookJson::of(row.book(), now_ms),
            announced_root_key: row.root_keys().announced().map(announced),
            former_root_keys: row.root_keys().former().iter().copied().map(KeyText).collect(),
            guarding: GuardingJson::of(row, now_ms),
        }
    }
}

impl GuardingJson {
    fn of(row: &Safeguard, now_ms: DurationMs) -> Self {
        let guarding = row.guardians();
        let counts = |vote: &&Vote| vote.lapses_ms() > now_ms;
        let shown = |vote: &Vote| CountedVoteJson {
            guardian: vote.guardian().number(),
            act: vote.act().into(),
            lapses_waiting_ms: vote.lapses_ms().ms(),
        };
        Self {
            guardians: guarding.in_force().into(),
            announced: guarding.announced().map(|announced| AnnouncedGuardiansJson {
                guardians: announced.guardians().into(),
                due_waiting_ms: announced.due_ms().ms(),
            }),
            votes: guarding.votes().iter().filter(counts).map(shown).collect(),
            is_recovery_under_way: row.root_keys().recovery().is_some(),
            recovery_again_waiting_ms: guarding.recovery_again_ms().ms(),
            is_held: guarding.frozen_until_ms().max(guarding.held_until_ms()) > now_ms,
            frozen_until_waiting_ms: guarding.frozen_until_ms().ms(),
            freeze_again_waiting_ms: guarding.freeze_again_ms().ms(),
            held_until_waiting_ms: guarding.held_until_ms().ms(),
        }
    }
}

impl AddressBookJson {
    fn of(book: &AddressBook, now_ms: DurationMs) -> Self {
        let addresses = book.entries().iter().map(|entry| PayoutEntryJson {
            chain: entry.address().chain,
            destination: HexBytes(entry.address().destination.as_slice().to_vec()),
            usable_waiting_ms: entry.usable_ms().ms(),
            is_usable: entry.usable_ms() <= now_ms,
        });
        Self { binds: book.binds(now_ms), opens_waiting_ms: book.opens_ms().ms(), addresses: addresses.collect() }
    }
}
