//! Rows by account and market, found without a search: four bytes for each account up to the highest that ever had a row,
//! then a short chain, by market.
//!
//! Where a row lies in memory is nobody's business: bytes and comparisons go by account and market.

use borsh::io::{Error, ErrorKind, Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{AccountId, MarketId};

use super::observation::short;

/// No row.
const NOWHERE: u32 = u32::MAX;

/// See the module.
#[derive(Clone, Debug)]
pub struct RowTable<T> {
    /// The first row of each account, by its market.
    heads: Vec<u32>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// For what cannot be: an account that memory has no place for.
    spare: T,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    market: MarketId,
    next: u32,
    row: T,
}

impl<T: Default> Default for RowTable<T> {
    fn default() -> Self {
        Self { heads: Vec::new(), slots: Vec::new(), free: Vec::new(), spare: T::default() }
    }
}

impl<T: Default> RowTable<T> {
    /// A row, if there is one.
    #[must_use]
    pub fn get(&self, account: AccountId, market: MarketId) -> Option<&T> {
        self.of_account(account).find(|(of, _)| *of == market).map(|(_, row)| row)
    }

    /// Rows of an account, by market.
    pub fn of_account(&self, account: AccountId) -> impl Iterator<Item = (MarketId, &T)> {
        let head = self.heads.get(place(short(account))).copied().unwrap_or(NOWHERE);
        core::iter::successors(self.slots.get(place(head)), |slot| self.slots.get(place(slot.next)))
            .map(|slot| (slot.market, &slot.row))
    }

    /// A row to change; comes into being if there is none.
    pub fn row_mut(&mut self, account: AccountId, market: MarketId) -> &mut T {
        let number = place(short(account));
        if number >= self.heads.len() {
            self.heads.resize(number.saturating_add(1), NOWHERE);
        }
        // The last slot of a smaller market, then the one that is looked for.
        let mut before = NOWHERE;
        let mut here = self.heads.get(number).copied().unwrap_or(NOWHERE);
        while let Some(slot) = self.slots.get(place(here)).filter(|slot| slot.market < market) {
            (before, here) = (here, slot.next);
        }
        let is_there = self.slots.get(place(here)).is_some_and(|slot| slot.market == market);
        if !is_there {
            here = self.insert(Slot { market, next: here, row: T::default() });
            self.link(number, before, here);
        }
        match self.slots.get_mut(place(here)) {
            Some(slot) => &mut slot.row,
            None => &mut self.spare,
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, account: AccountId, market: MarketId) -> Option<T> {
        let number = place(short(account));
        let mut before = NOWHERE;
        let mut here = self.heads.get(number).copied()?;
        while let Some(slot) = self.slots.get(place(here)).filter(|slot| slot.market < market) {
            (before, here) = (here, slot.next);
        }
        let slot = self.slots.get_mut(place(here)).filter(|slot| slot.market == market)?;
        let (next, row) = (slot.next, core::mem::take(&mut slot.row));
        slot.next = NOWHERE;
        self.free.push(here);
        self.link(number, before, next);
        Some(row)
    }

    /// Every row, by account and market.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, MarketId, &T)> {
        let used = (0u64..).zip(&self.heads).filter(|(_, head)| **head != NOWHERE);
        used.map(|(number, _)| AccountId::new(number))
            .flat_map(|account| self.of_account(account).map(move |(market, row)| (account, market, row)))
    }

    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    /// Accounts up to the highest that ever had a row.
    #[must_use]
    pub fn accounts(&self) -> u64 {
        u64::try_from(self.heads.len()).unwrap_or(u64::MAX)
    }

    fn insert(&mut self, slot: Slot<T>) -> u32 {
        if let Some(here) = self.free.pop() {
            if let Some(old) = self.slots.get_mut(place(here)) {
                *old = slot;
            }
            return here;
        }
        self.slots.push(slot);
        u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(NOWHERE)
    }

    fn link(&mut self, number: usize, before: u32, here: u32) {
        if let Some(slot) = self.slots.get_mut(place(before)) {
            slot.next = here;
        } else if let Some(head) = self.heads.get_mut(number) {
            *head = here;
        }
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl<T: Default + PartialEq> PartialEq for RowTable<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Default + Eq> Eq for RowTable<T> {}

impl<T: Default + BorshSerialize> BorshSerialize for RowTable<T> {
    fn serialize<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        u32::try_from(self.len()).unwrap_or(u32::MAX).serialize(writer)?;
        self.iter().try_for_each(|row| row.serialize(writer))
    }
}

impl<T: Default + BorshDeserialize> BorshDeserialize for RowTable<T> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let mut table = Self::default();
        let mut last = None;
        for _ in 0..u32::deserialize_reader(reader)? {
            let (account, market, row) = <(AccountId, MarketId, T)>::deserialize_reader(reader)?;
            let is_next = last.is_none_or(|last| last < (account, market));
            if !is_next {
                return Err(Error::from(ErrorKind::InvalidData));
            }
            *table.row_mut(account, market) = row;
            last = Some((account, market));
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The table is a map by account and market, in its order, whatever was removed; and its bytes give it back.
        #[test]
        fn prop_it_is_a_map(steps in proptest::collection::vec((1u64..20, 1u16..5, 0u32..6), 0..120)) {
            let mut table = RowTable::<u32>::default();
            let mut map = BTreeMap::new();
            for (account, market, value) in steps {
                let (account, market) = (AccountId::new(account), MarketId::new(market));
                if value == 0 {
                    prop_assert_eq!(table.remove(account, market), map.remove(&(account, market)));
                } else {
                    *table.row_mut(account, market) = value;
                    map.insert((account, market), value);
                }
                prop_assert_eq!(table.get(account, market), map.get(&(account, market)));
            }
            prop_assert_eq!(table.len(), map.len());
            prop_assert!(table.iter().map(|(account, market, row)| ((account, market), *row)).eq(map));
            let bytes = borsh::to_vec(&table).unwrap();
            let read: RowTable<u32> = borsh::from_slice(&bytes).unwrap();
            prop_assert_eq!(&read, &table);
        }
    }

    #[test]
    fn rows_out_of_order_are_not_read() {
        let rows = vec![(AccountId::new(2), MarketId::new(1), 5u32), (AccountId::new(1), MarketId::new(1), 5)];
        assert!(borsh::from_slice::<RowTable<u32>>(&borsh::to_vec(&rows).unwrap()).is_err());
    }
}
