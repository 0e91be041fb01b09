//! Indexes: where a block, a record or an envelope is found in the journal.
//!
//! Written behind the journal and rebuildable from it, so they are never synced on the way of a block, and a file that
//! is missing, damaged, of another chain or of another layout is replaced by an empty one; [`IndexesOpened`] says so
//! and the caller fills it from the journal. **An answer is a hint**: the caller checks that the journal holds what
//! it was looking for at the place named, because a flipped bit in this file may go unnoticed.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};

use crate::Fault;
use crate::durable_files::{STORE_FORMAT_VERSION, create_directory};
use crate::journal::Location;

/// What the indexes learn from one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockIndexEntry {
    /// The block's height.
    pub height: u64,
    /// Where the journal holds it.
    pub location: Location,
    /// Number of its first log record; for a block without records, the number the next record will get.
    pub first_record: u64,
    /// Ids of its envelopes, in block order.
    pub envelope_ids: Vec<[u8; 32]>,
}

/// Where an envelope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopePlace {
    /// The block.
    pub height: u64,
    /// Its place in the block, from 0.
    pub position: u32,
}

/// What opening the index file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexesOpened {
    /// A sound file. Blocks above [`Indexes::indexed_up_to`] are still to be added.
    Existing,
    /// There was none; it is empty now.
    Created,
    /// The file was of no use and was replaced by an empty one.
    Recreated {
        /// What was wrong with it.
        reason: String,
    },
}

/// The index file.
///
/// The index library panics on some damage, even when closing. Every call into it is therefore caught and becomes a
/// [`Fault::Index`]: nothing in this file is worth stopping a node for.
#[derive(Debug)]
pub struct Indexes {
    path: PathBuf,
    /// There until dropped.
    database: Option<Database>,
}

impl Indexes {
    /// Opens the index file at `path`, or replaces it by an empty one if it is of no use.
    ///
    /// # Errors
    /// [`Fault::FolderLocked`] if another process has the file, or a [`Fault`] if the machine fails.
    pub fn open(path: &Path, chain_id: &[u8; 32]) -> Result<(Self, IndexesOpened), Fault> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            create_directory(parent)?;
        }
        if !path.exists() {
            return Ok((Self::create(path, chain_id)?, IndexesOpened::Created));
        }
        let reason = match Self::open_existing(path, chain_id)? {
            Usable::Yes(indexes) => return Ok((indexes, IndexesOpened::Existing)),
            Usable::No(reason) => reason,
        };
        fs::remove_file(path).map_err(|error| Fault::io(path, "delete", error))?;
        Ok((Self::create(path, chain_id)?, IndexesOpened::Recreated { reason }))
    }

    /// Adds consecutive blocks, starting behind [`Indexes::indexed_up_to`], in one transaction. Visible at once,
    /// durable with the next [`Indexes::persist`]. Index only blocks that are durable in the journal.
    ///
    /// # Errors
    /// [`Fault::HeightOutOfOrder`] if a block is not the next one; [`Fault::Index`] if the file fails. Nothing is
    /// added then.
    pub fn put_batch(&self, entries: &[BlockIndexEntry]) -> Result<(), Fault> {
        self.require_consecutive(entries)?;
        self.write(Durability::None, |transaction| put_entries(transaction, entries))
    }

    /// Makes everything added so far durable. Call it now and then (with each snapshot, say): it bounds both what is
    /// indexed again after a crash and the memory that uncommitted pages take. Closing persists too.
    ///
    /// # Errors
    /// [`Fault::Index`] if the file fails.
    pub fn persist(&self) -> Result<(), Fault> {
        self.write(Durability::Immediate, |_| Ok(()))
    }

    /// The newest block added.
    ///
    /// # Errors
    /// [`Fault::Index`] if the file fails.
    pub fn indexed_up_to(&self) -> Result<Option<u64>, Fault> {
        self.read(|transaction| {
            let blocks = transaction.open_table(BLOCKS)?;
            Ok(blocks.last()?.map(|(height, _)| height.value()))
        })
    }

    /// Where the journal holds the block at `height`.
    ///
    /// # Errors
    /// [`Fault::Index`] if the file fails.
    pub fn block_location(&self, height: u64) -> Result<Option<Location>, Fault> {
        self.read(|transaction| {
            let place = transaction.open_table(BLOCKS)?.get(height)?.map(|place| place.value());
            Ok(place.map(|(segment_first_height, offset_bytes)| Location { segment_first_height, offset_bytes }))
        })
    }

    #[cfg(test)]
    /// The block that holds log record `record`, or the newest block if the record is still to come.
    ///
    /// # Errors
    /// [`Fault::Index`] if the file fails.
    pub fn height_of_record(&self, record: u64) -> Result<Option<u64>, Fault> {
        self.read(|transaction| {
            let records = transaction.open_table(RECORDS)?;
            let at_or_before = records.range(..=record)?.next_back().transpose()?;
            Ok(at_or_before.map(|(_, height)| height.value()))
        })
    }

    /// Where the envelope with this id is.
    ///
    /// # Errors
    /// [`Fault::Index`] if the file fails.
    pub fn envelope_place(&self, id: &[u8; 32]) -> Result<Option<EnvelopePlace>, Fault> {
        self.read(|transaction| {
            let place = transaction.open_table(ENVELOPES)?.get(id)?.map(|place| place.value());
            Ok(place.map(|(height, position)| EnvelopePlace { height, position }))
        })
    }

    fn create(path: &Path, chain_id: &[u8; 32]) -> Result<Self, Fault> {
        let database = builder().create(path).map_err(|error| fault(path, "create", error))?;
        let indexes = Self { path: path.to_path_buf(), database: Some(database) };
        indexes.write(Durability::Immediate, |transaction| put_owner(transaction, chain_id))?;
        Ok(indexes)
    }

    /// Sorts failures into those that an empty file cures and those that it does not.
    fn open_existing(path: &Path, chain_id: &[u8; 32]) -> Result<Usable, Fault> {
        let opened = caught(path, "open", || Ok(builder().open(path)?)).and_then(|database| {
            let indexes = Self { path: path.to_path_buf(), database: Some(database) };
            let owner = indexes.owner()?;
            // A commit loads and stores the list of free pages, the part of the file where damage shows late.
            indexes.persist()?;
            Ok((indexes, owner))
        });
        match opened {
            Ok((indexes, Some((STORE_FORMAT_VERSION, owner)))) if owner == *chain_id => Ok(Usable::Yes(indexes)),
            Ok((_, Some((STORE_FORMAT_VERSION, _)))) => Ok(Usable::No("it belongs to another chain".to_owned())),
            Ok(_) => Ok(Usable::No("it has another store format".to_owned())),
            Err(Fault::Index { error, .. }) => Ok(Usable::No(error)),
            Err(fault) => Err(fault),
        }
    }

    /// Whose file this is; requires that all tables are there.
    fn owner(&self) -> Result<Option<(u32, [u8; 32])>, Fault> {
        self.read(|transaction| {
            transaction.open_table(BLOCKS)?;
            transaction.open_table(RECORDS)?;
            transaction.open_table(ENVELOPES)?;
            Ok(transaction.open_table(OWNER)?.get(())?.map(|owner| owner.value()))
        })
    }

    fn require_consecutive(&self, entries: &[BlockIndexEntry]) -> Result<(), Fault> {
        let mut last_height = self.indexed_up_to()?;
        for entry in entries {
            if let Some(expected_height) = last_height.map(|last| last + 1).filter(|next| *next != entry.height) {
                let path = self.path.clone();
                return Err(Fault::HeightOutOfOrder { path, expected_height, given_height: entry.height });
            }
            last_height = Some(entry.height);
        }
        Ok(())
    }

    fn write(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Fault> {
        caught(&self.path, "write", || {
            let mut transaction = self.database()?.begin_write()?;
            transaction.set_durability(durability)?;
            // After a crash, opening then takes milliseconds; without it the whole file would be walked.
            transaction.set_quick_repair(matches!(durability, Durability::Immediate));
            change(&transaction)?;
            Ok(transaction.commit()?)
        })
    }

    fn read<T>(&self, look_up: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, Fault> {
        caught(&self.path, "read", || look_up(&self.database()?.begin_read()?))
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }
}

/// Closing persists. What goes wrong is found when the file is opened again.
impl Drop for Indexes {
    fn drop(&mut self) {
        let database = self.database.take();
        let _ = caught(&self.path, "close", || {
            drop(database);
            Ok(())
        });
    }
}

enum Usable {
    Yes(Indexes),
    No(String),
}

/// Keys go in sorted, which takes a quarter off the cost of random ids (`examples/index_cost.rs`): neighbours share
/// the path from the root.
fn put_entries(transaction: &WriteTransaction, entries: &[BlockIndexEntry]) -> Result<(), redb::Error> {
    let mut blocks = transaction.open_table(BLOCKS)?;
    let mut records = transaction.open_table(RECORDS)?;
    // In order of height, so that of two blocks with the same first record the later one stays: it has the record.
    for entry in entries {
        blocks.insert(entry.height, (entry.location.segment_first_height, entry.location.offset_bytes))?;
        records.insert(entry.first_record, entry.height)?;
    }
    let mut places: Vec<(&[u8; 32], u64, u32)> = entries
        .iter()
        .flat_map(|entry| (0..).zip(&entry.envelope_ids).map(|(position, id)| (id, entry.height, position)))
        .collect();
    places.sort_unstable();
    let mut envelopes = transaction.open_table(ENVELOPES)?;
    for (id, height, position) in places {
        envelopes.insert(id, (height, position))?;
    }
    Ok(())
}

/// Creates all tables, and writes whose they are.
fn put_owner(transaction: &WriteTransaction, chain_id: &[u8; 32]) -> Result<(), redb::Error> {
    transaction.open_table(BLOCKS)?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(ENVELOPES)?;
    transaction.open_table(OWNER)?.insert((), (STORE_FORMAT_VERSION, *chain_id))?;
    Ok(())
}

/// Calls into the index library. After a panic its locks are poisoned, so that later calls fail instead of seeing a
/// half-made change; hence `AssertUnwindSafe`.
fn caught<T>(path: &Path, doing: &'static str, call: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| fault(path, doing, error)),
        Err(_) => Err(Fault::Index { path: path.to_path_buf(), doing, error: "the file is damaged".to_owned() }),
    }
}

/// Everything that an empty file would cure becomes [`Fault::Index`]; no space and no access would meet it too.
fn fault(path: &Path, doing: &'static str, error: impl Into<redb::Error>) -> Fault {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen => Fault::FolderLocked { path: path.to_path_buf() },
        redb::Error::Io(error) if !is_damage(&error) => Fault::io(path, doing, error),
        error => Fault::Index { path: path.to_path_buf(), doing, error: error.to_string() },
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Height to (first height of the segment, offset in bytes).
const BLOCKS: TableDefinition<'_, u64, (u64, u64)> = TableDefinition::new("blocks");
/// Number of a block's first record to its height.
const RECORDS: TableDefinition<'_, u64, u64> = TableDefinition::new("records");
/// Envelope id to (height, position).
const ENVELOPES: TableDefinition<'_, &[u8; 32], (u64, u32)> = TableDefinition::new("envelopes");
/// One row: store format version and chain id.
const OWNER: TableDefinition<'_, (), (u32, [u8; 32])> = TableDefinition::new("owner");
/// The library's default of 1 GiB is more than a small venue's machine should give to look-ups.
const CACHE_BYTES: usize = 256 * 1024 * 1024;

#[cfg(test)]
mod tests;
