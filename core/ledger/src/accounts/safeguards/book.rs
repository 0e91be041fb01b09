//! The address book: where an account's money may leave to, once it says so.
//!
//! An account without a book may name any address. The first entry makes the book binding; from then on each new entry
//! cools off before it can be used, so a thief who has the root key cannot name an address of his own and be gone. Taking
//! an entry out has effect at once, because it only tightens; the book that loses its last entry goes on to bind for as
//! long as an address cools off, or emptying it would be the short way around.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::command::{OutsideReference, PayoutAddress};
use casemate_protocol::event::{PayoutAddressAdded, PayoutAddressRemoved};
use casemate_protocol::genesis::SafeguardRules;
use casemate_protocol::limits::PAYOUT_ADDRESSES_MAX;
use casemate_protocol::{AccountId, DurationMs, Event, Regime, Reject, RejectCode};

use super::{Safeguards, remaining};

/// The addresses of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AddressBook {
    /// In the order in which they were added.
    entries: Vec<PayoutEntry>,
    /// Waiting clock until which a book without entries binds.
    opens_ms: DurationMs,
}

/// An address of a book.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PayoutEntry {
    address: PayoutAddress,
    usable_ms: DurationMs,
}

impl PayoutEntry {
    /// The address.
    #[must_use]
    pub const fn address(&self) -> &PayoutAddress {
        &self.address
    }

    /// Waiting clock from which it can be used.
    #[must_use]
    pub const fn usable_ms(&self) -> DurationMs {
        self.usable_ms
    }
}

impl AddressBook {
    /// The addresses, in the order in which they were added.
    #[must_use]
    pub fn entries(&self) -> &[PayoutEntry] {
        &self.entries
    }

    /// Waiting clock until which the book binds although it holds no address.
    #[must_use]
    pub const fn opens_ms(&self) -> DurationMs {
        self.opens_ms
    }

    /// Whether money leaves to addresses of the book only.
    #[must_use]
    pub fn binds(&self, now_ms: DurationMs) -> bool {
        !self.entries.is_empty() || now_ms < self.opens_ms
    }

    /// Whether money may leave to an address now.
    ///
    /// # Errors
    /// `DestinationNotInBook`, `DestinationCooling`, `AddressBookBinds`.
    pub(super) fn require_usable(
        &self,
        chain: u32,
        destination: &OutsideReference,
        now_ms: DurationMs,
    ) -> Result<(), Reject> {
        self.require_known(chain, destination, now_ms)?;
        match self.entry(chain, destination) {
            Some(entry) if now_ms < entry.usable_ms => {
                let left = remaining(entry.usable_ms, now_ms);
                Err(Reject::of(RejectCode::DestinationCooling).required(left))
            }
            _ => Ok(()),
        }
    }

    /// Whether the book lets an address be named, cooled off or not.
    ///
    /// # Errors
    /// `DestinationNotInBook`, `AddressBookBinds`.
    pub(super) fn require_known(
        &self,
        chain: u32,
        destination: &OutsideReference,
        now_ms: DurationMs,
    ) -> Result<(), Reject> {
        if !self.binds(now_ms) || self.entry(chain, destination).is_some() {
            return Ok(());
        }
        if self.entries.is_empty() {
            let left = remaining(self.opens_ms, now_ms);
            return Err(Reject::of(RejectCode::AddressBookBinds).required(left));
        }
        Err(Reject::of(RejectCode::DestinationNotInBook))
    }

    fn entry(&self, chain: u32, destination: &OutsideReference) -> Option<&PayoutEntry> {
        let is_named = |entry: &&PayoutEntry| entry.address.chain == chain && entry.address.destination == *destination;
        self.entries.iter().find(is_named)
    }

    /// When the last thing that the book waits for is over.
    pub(super) fn ends(&self) -> DurationMs {
        self.entries.iter().map(|entry| entry.usable_ms).fold(self.opens_ms, DurationMs::max)
    }

    pub(super) fn add(&mut self, added: &PayoutAddressAdded) {
        self.entries.push(PayoutEntry { address: added.address.clone(), usable_ms: added.usable_waiting_ms });
        self.opens_ms = DurationMs::ZERO;
    }

    pub(super) fn remove(&mut self, removed: &PayoutAddressRemoved) {
        self.entries.retain(|entry| entry.address != removed.address);
        self.opens_ms = removed.opens_waiting_ms;
    }
}

/// When it is, and how rough markets are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) now_ms: DurationMs,
    /// The worst of all segments.
    pub(crate) regime: Regime,
}

impl Weather {
    /// When what begins to cool off now has cooled off.
    const fn cooled_ms(self, rules: &SafeguardRules) -> DurationMs {
        self.now_ms.saturating_add(rules.cooling_ms(self.regime))
    }
}

/// Decides the adding of an address.
///
/// # Errors
/// `DestinationEmpty`, `PayoutAddressKnown`, `PayoutAddressesMax`.
pub(crate) fn add_address(
    safeguards: &Safeguards,
    account: AccountId,
    address: &PayoutAddress,
    rules: &SafeguardRules,
    weather: Weather,
) -> Result<Event, Reject> {
    if address.destination.is_empty() {
        return Err(Reject::of(RejectCode::DestinationEmpty));
    }
    let book = safeguards.of(account).map(|row| &row.book);
    if book.is_some_and(|book| book.entry(address.chain, &address.destination).is_some()) {
        return Err(Reject::of(RejectCode::PayoutAddressKnown));
    }
    let count = book.map_or(0, |book| book.entries.len());
    if count >= PAYOUT_ADDRESSES_MAX {
        return Err(Reject::of(RejectCode::PayoutAddressesMax)
            .required(super::number(PAYOUT_ADDRESSES_MAX))
            .present(super::number(count)));
    }
    Ok(Event::PayoutAddressAdded(Box::new(PayoutAddressAdded {
        account,
        address: address.clone(),
        usable_waiting_ms: weather.cooled_ms(rules),
    })))
}

/// Decides the removal of an address.
///
/// # Errors
/// `PayoutAddressNotFound`.
pub(crate) fn remove_address(
    safeguards: &Safeguards,
    account: AccountId,
    address: &PayoutAddress,
    rules: &SafeguardRules,
    weather: Weather,
) -> Result<Event, Reject> {
    let book = safeguards.of(account).map(|row| &row.book);
    let book = book
        .filter(|book| book.entry(address.chain, &address.destination).is_some())
        .ok_or_else(|| Reject::of(RejectCode::PayoutAddressNotFound))?;
    let is_last = book.entries.len() == 1;
    Ok(Event::PayoutAddressRemoved(Box::new(PayoutAddressRemoved {
        account,
        address: address.clone(),
        opens_waiting_ms: if is_last { weather.cooled_ms(rules) } else { DurationMs::ZERO },
    })))
}

#[cfg(test)]
mod tests {
    use casemate_protocol::BoundedVec;

    use super::*;

    #[test]
    fn an_address_cools_off_longer_the_rougher_markets_are() {
        let address = PayoutAddress { chain: 1, destination: BoundedVec::new(vec![7; 20]).unwrap() };
        let added = |regime| {
            let weather = Weather { now_ms: DurationMs::from_ms(500), regime };
            let rows = Safeguards::default();
            match add_address(&rows, AccountId::new(3), &address, &SafeguardRules::STAGED, weather) {
                Ok(Event::PayoutAddressAdded(added)) => added.usable_waiting_ms.ms() - 500,
                other => panic!("{other:?}"),
            }
        };
        let regimes = [Regime::Calm, Regime::Elevated, Regime::Stressed, Regime::Extreme];
        assert_eq!(regimes.map(added), [1, 2, 3, 4].map(|hours| hours * 3_600_000));
    }
}
