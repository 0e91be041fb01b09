//! Rows by account and market, found without a search: four bytes for each account up to the highest that ever had a row,
//! then a short chain, by market.
//!
//! Both grow by pieces, so that nothing that is there is copied, and a number far off costs a piece and no more. Where a row
//! lies in memory is nobody's business: bytes and comparisons go by account and market.

use borsh::io::{Error, ErrorKind, Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{AccountId, MarketId};

use super::observation::short;

/// No row.
const NOWHERE: u32 = u32::MAX;
/// First rows of so many accounts lie together.
const HEADS: usize = 1 << HEADS_BITS;
const HEADS_BITS: u32 = 12;
/// So many rows lie together.
const SLOTS: usize = 1 << SLOTS_BITS;
const SLOTS_BITS: u32 = 6;

/// See the module.
#[derive(Clone, Debug)]
pub struct RowTable<T> {
    /// The first row of each account, by its market. Pieces without one are empty.
    heads: Vec<Vec<u32>>,
    slots: Vec<Vec<Slot<T>>>,
    free: Vec<u32>,
    used: u32,
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
        Self { heads: Vec::new(), slots: Vec::new(), free: Vec::new(), used: 0, spare: T::default() }
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
        let head = self.slot(self.head(short(account)));
        core::iter::successors(head, |slot| self.slot(slot.next)).map(|slot| (slot.market, &slot.row))
    }

    /// A row to change; comes into being if there is none.
    pub fn row_mut(&mut self, account: AccountId, market: MarketId) -> &mut T {
        let account = short(account);
        let (before, mut here) = self.place_of(account, market);
        let is_there = self.slot(here).is_some_and(|slot| slot.market == market);
        if !is_there {
            here = self.insert(Slot { market, next: here, row: T::default() });
            self.link(account, before, here);
        }
        let (piece, place) = split(here, SLOTS_BITS);
        match self.slots.get_mut(piece).and_then(|piece| piece.get_mut(place)) {
            Some(slot) => &mut slot.row,
            None => &mut self.spare,
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, account: AccountId, market: MarketId) -> Option<T> {
        let account = short(account);
        let (before, here) = self.place_of(account, market);
        let slot = self.slot_mut(here).filter(|slot| slot.market == market)?;
        let (next, row) = (slot.next, core::mem::take(&mut slot.row));
        slot.next = NOWHERE;
        self.free.push(here);
        self.link(account, before, next);
        Some(row)
    }

    /// Every row, by account and market.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, MarketId, &T)> {
        let pieces = (0u64..).step_by(HEADS).zip(&self.heads);
        let used = pieces.flat_map(|(first, piece)| (first..).zip(piece)).filter(|(_, head)| **head != NOWHERE);
        used.map(|(number, _)| AccountId::new(number))
            .flat_map(|account| self.of_account(account).map(move |(market, row)| (account, market, row)))
    }

    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        index(self.used).saturating_sub(self.free.len())
    }

    /// Accounts up to the end of the piece of the highest that ever had a row.
    #[must_use]
    pub fn accounts(&self) -> u64 {
        u64::try_from(self.heads.len()).unwrap_or(u64::MAX) << HEADS_BITS
    }

    fn head(&self, account: u32) -> u32 {
        let (piece, place) = split(account, HEADS_BITS);
        self.heads.get(piece).and_then(|piece| piece.get(place)).copied().unwrap_or(NOWHERE)
    }

    fn slot(&self, number: u32) -> Option<&Slot<T>> {
        let (piece, place) = split(number, SLOTS_BITS);
        self.slots.get(piece)?.get(place)
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot<T>> {
        let (piece, place) = split(number, SLOTS_BITS);
        self.slots.get_mut(piece)?.get_mut(place)
    }

    /// The last slot of a smaller market, then the first of this or a larger one.
    fn place_of(&self, account: u32, market: MarketId) -> (u32, u32) {
        let (mut before, mut here) = (NOWHERE, self.head(account));
        while let Some(slot) = self.slot(here).filter(|slot| slot.market < market) {
            (before, here) = (here, slot.next);
        }
        (before, here)
    }

    fn insert(&mut self, slot: Slot<T>) -> u32 {
        if let Some(here) = self.free.pop() {
            if let Some(old) = self.slot_mut(here) {
                *old = slot;
            }
            return here;
        }
        let here = self.used;
        self.used = self.used.saturating_add(1);
        if split(here, SLOTS_BITS).0 >= self.slots.len() {
            self.slots.push(Vec::with_capacity(SLOTS));
        }
        if let Some(piece) = self.slots.last_mut() {
            piece.push(slot);
        }
        here
    }

    fn link(&mut self, account: u32, before: u32, here: u32) {
        if let Some(slot) = self.slot_mut(before) {
            slot.next = here;
            return;
        }
        let (piece, place) = split(account, HEADS_BITS);
        if piece >= self.heads.len() {
            self.heads.resize_with(piece.saturating_add(1), Vec::new);
        }
        let Some(piece) = self.heads.get_mut(piece) else { return };
        if piece.is_empty() {
            piece.resize(HEADS, NOWHERE);
        }
        if let Some(head) = piece.get_mut(place) {
            *head = here;
        }
    }
}

/// Which piece, and where in it.
fn split(number: u32, bits: u32) -> (usize, usize) {
    let mask = 1u32.checked_shl(bits).unwrap_or(0).saturating_sub(1);
    (index(number >> bits), index(number & mask))
}

fn index(number: u32) -> usize {
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
        fn prop_it_is_a_map(steps in proptest::collection::vec((1u64..20, 1u16..5, 0u32..6), 0..300)) {
            let mut table = RowTable::<u32>::default();
            let mut map = BTreeMap::new();
            for (account, market, value) in steps {
                // Two pieces of accounts, and rows in more than one piece.
                let (account, market) = (AccountId::new(account * 300), MarketId::new(market));
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

    /// What a damaged snapshot may say: the largest account costs no more than any other.
    #[test]
    fn a_number_far_off_costs_a_piece() {
        let mut table = RowTable::<u32>::default();
        let last = AccountId::new(u64::from(u32::MAX));
        *table.row_mut(last, MarketId::new(1)) = 7;
        assert_eq!((table.get(last, MarketId::new(1)), table.len()), (Some(&7), 1));
        assert_eq!(table.heads.iter().map(Vec::len).sum::<usize>(), HEADS);
        assert_eq!(table.iter().map(|(account, ..)| account).collect::<Vec<_>>(), [last]);
    }

    #[test]
    fn rows_out_of_order_are_not_read() {
        let rows = vec![(AccountId::new(2), MarketId::new(1), 5u32), (AccountId::new(1), MarketId::new(1), 5)];
        assert!(borsh::from_slice::<RowTable<u32>>(&borsh::to_vec(&rows).unwrap()).is_err());
    }
}
