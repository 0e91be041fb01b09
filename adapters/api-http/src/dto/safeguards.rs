//! What guards an account against its own keys.

use casemate_ledger::accounts::safeguards::{AddressBook, AnnouncedKey, Safeguard};
use casemate_protocol::DurationMs;
use serde::Serialize;
use utoipa::ToSchema;

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
        };
        Self {
            waiting_ms: now_ms.ms(),
            address_book: AddressBookJson::of(row.book(), now_ms),
            announced_root_key: row.root_keys().announced().map(announced),
            former_root_keys: row.root_keys().former().iter().copied().map(KeyText).collect(),
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
