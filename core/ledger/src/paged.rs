//! Rows by number, in pages of 64, with the rows that changed since the last root remembered.
//!
//! A page comes into being with its first row, so a segment that few accounts use stays small. Whoever changes a row
//! marks it, and undoing takes the mark back, so that a row counts as changed exactly if a change of it stands: two
//! replicas that reach the same state by different roads (re-running commands, replaying events) then agree on which
//! rows are committed to anew.

use std::collections::BTreeMap;

use casemate_protocol::Digest;
use casemate_protocol::hash::{self, Domain};

/// Rows in a page: exactly two levels of the page tree.
pub const PAGE_ROWS: usize = 64;
const PAGE_BITS: u32 = 6;
const ROW_MASK: u64 = 63;

#[derive(Clone, Debug)]
struct Page<T> {
    rows: [Option<T>; PAGE_ROWS],
    /// Changes of each row that stand, since the last root.
    /// Most rows change a few times in a block; what does not fit here is counted in [`PagedTable::overflow`].
    marks: [u8; PAGE_ROWS],
}

/// A table of rows by number.
#[derive(Clone, Debug)]
pub struct PagedTable<T> {
    pages: Vec<Option<Box<Page<T>>>>,
    changed: Vec<u64>,
    /// Marks of rows that changed more than 255 times since the last root, beyond those.
    overflow: BTreeMap<u64, u64>,
    row_count: u64,
}

impl<T> Default for PagedTable<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), changed: Vec::new(), overflow: BTreeMap::new(), row_count: 0 }
    }
}

impl<T> PagedTable<T> {
    /// The row, if it exists.
    #[must_use]
    pub fn row(&self, number: u64) -> Option<&T> {
        let (page, place) = split(number)?;
        self.pages.get(page)?.as_ref()?.rows.get(place)?.as_ref()
    }

    /// The row, if it exists, to be changed. The caller marks it.
    pub fn row_mut(&mut self, number: u64) -> Option<&mut T> {
        let (page, place) = split(number)?;
        self.pages.get_mut(page)?.as_mut()?.rows.get_mut(place)?.as_mut()
    }

    /// The row, made if it did not exist, to be changed. The caller marks it.
    pub fn row_or_insert(&mut self, number: u64, make: impl FnOnce() -> T) -> Option<&mut T> {
        let (page, place) = split(number)?;
        if page >= self.pages.len() {
            // Growing by an eighth keeps slack small; doubling could waste as much as the table holds.
            let wanted = page.saturating_add(1).saturating_sub(self.pages.len());
            self.pages.reserve_exact(wanted.max(self.pages.len() / 8));
            self.pages.resize_with(page.saturating_add(1), || None);
        }
        self.row_count = self.row_count.max(number.saturating_add(1));
        let page = self
            .pages
            .get_mut(page)?
            .get_or_insert_with(|| Box::new(Page { rows: core::array::from_fn(|_| None), marks: [0; PAGE_ROWS] }));
        Some(page.rows.get_mut(place)?.get_or_insert_with(make))
    }

    /// Takes a row out.
    pub fn remove(&mut self, number: u64) -> Option<T> {
        self.row_mut(number)?;
        let (page, place) = split(number)?;
        self.pages.get_mut(page)?.as_mut()?.rows.get_mut(place)?.take()
    }

    /// Rows up to the highest number ever used, absent ones included.
    #[must_use]
    pub const fn row_count(&self) -> u64 {
        self.row_count
    }

    /// Sets the row count back when the rows above it were undone.
    pub fn truncate_row_count(&mut self, row_count: u64) {
        self.row_count = self.row_count.min(row_count);
    }

    /// Every row with its number, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.pages.iter().zip(0u64..).filter_map(|(page, index)| Some((page.as_ref()?, index))).flat_map(
            |(page, index)| {
                page.rows
                    .iter()
                    .zip(0u64..)
                    .filter_map(move |(row, place)| Some(((index << PAGE_BITS) | place, row.as_ref()?)))
            },
        )
    }

    /// Reads the marks of a row; see `touch`.
    pub(crate) fn touch_marks(&self, number: u64) -> u64 {
        let Some((page, place)) = split(number) else { return 0 };
        let page = self.pages.get(page).and_then(Option::as_ref);
        page.and_then(|page| page.marks.get(place)).map_or(0, |marks| u64::from(*marks))
    }

    /// Counts a change of a row.
    pub fn mark(&mut self, number: u64) {
        let Some(marks) = self.marks_mut(number) else { return };
        match marks.checked_add(1) {
            Some(more) => *marks = more,
            None => {
                let overflow = self.overflow.entry(number).or_default();
                *overflow = overflow.saturating_add(1);
                return;
            }
        }
        if *marks == 1 {
            self.changed.push(number);
        }
    }

    /// Takes a mark back, because the change was undone.
    pub fn unmark(&mut self, number: u64) {
        if let Some(overflow) = self.overflow.get_mut(&number) {
            *overflow = overflow.saturating_sub(1);
            if *overflow == 0 {
                self.overflow.remove(&number);
            }
        } else if let Some(marks) = self.marks_mut(number) {
            *marks = marks.saturating_sub(1);
        }
    }

    /// Numbers of the rows with a change that stands, in order; forgets the marks.
    pub fn take_changed(&mut self) -> Vec<u64> {
        let mut changed = core::mem::take(&mut self.changed);
        self.overflow.clear();
        changed.sort_unstable();
        changed.dedup();
        changed.retain(|&number| self.marks_mut(number).is_some_and(|marks| core::mem::take(marks) > 0));
        changed
    }

    fn marks_mut(&mut self, number: u64) -> Option<&mut u8> {
        let (page, place) = split(number)?;
        self.pages.get_mut(page)?.as_mut()?.marks.get_mut(place)
    }
}

/// What a table shows of a row to the page tree.
pub trait Row {
    /// Appends the row's canonical bytes.
    fn encode_row(&self, out: &mut Vec<u8>);

    /// Reads what encoding the row will need; see `touch`.
    fn touch(&self) -> u64;

    /// Commitment of the row under a salt.
    fn commitment(&self, salt: &Digest, buffer: &mut Vec<u8>) -> Digest {
        hash::prepare(Domain::Row, buffer);
        buffer.extend_from_slice(salt.bytes());
        self.encode_row(buffer);
        hash::digest_prepared(buffer)
    }
}

fn split(number: u64) -> Option<(usize, usize)> {
    Some((usize::try_from(number >> PAGE_BITS).ok()?, usize::try_from(number & ROW_MASK).ok()?))
}
