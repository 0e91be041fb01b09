//! The journal: the append-only record of blocks, and the only file whose loss cannot be repaired from the others.
//!
//! A folder of segments `journal-<first height, 20 digits>.seg`. A segment is a header and records; a record is one
//! block or one *mark* (`format`). [`JournalWriter::append`] collects blocks in memory, [`JournalWriter::sync`] writes
//! them and calls `fdatasync` once; [`JournalWriter::publish`] writes them for readers and waits for nothing, which is for
//! what can be made again, and acknowledges nothing. A block is **acknowledged** when `sync` has returned; receipts go out after it.
//!
//! # Torn tail or damage: what may be dropped at open
//!
//! A crash may leave the last batch half written: the kernel writes pages in any order, so any subset of the sectors
//! of the last, unacknowledged batch can be on disk, a later block of that batch whole and an earlier one torn. Such
//! a tail must be dropped, or the node could not start after a power cut. Bad bytes among *acknowledged* blocks must
//! never be dropped. Position alone does not separate the two ("a valid record follows" is true for both), so every
//! record carries the evidence: `durable_before`, the height below which all blocks were durable **when that record
//! was written**. After each `fdatasync` the writer also appends a mark, a record with no block, which carries the
//! new value; nobody waits for it to reach the disk, the next `fdatasync` takes it along.
//!
//! Rule: let the first unreadable record of the last segment be the place of block *h*.
//! If any valid record behind it says `durable_before > h`, block *h* was acknowledged: this is damage, a [`Fault`],
//! and nothing is changed. Otherwise the tail is torn: it is cut off and counted in
//! [`OpenReport::torn_bytes_dropped`]. In every other segment any bad byte is damage, because a segment is synced,
//! cut to size and synced again before its successor gets a name.
//!
//! Why a power cut never raises the fault: a record with `durable_before > h` is only written after the `fdatasync`
//! that covered *h* has returned, so if it can be seen, *h* was on the disk whole.
//!
//! Why acknowledged blocks are not dropped: dropping *h* needs *h* unreadable **and** no later record. A lying disk or
//! flipped bits in any batch but the last meet the records of the batches behind. The last batch has its mark, which
//! is on the disk after a clean [`JournalWriter::close`], after a crash of the process alone, and after a power
//! cut some seconds later (the kernel writes it back). What remains is a power cut within those seconds **and** a
//! disk that loses what it had confirmed: that is indistinguishable from a torn tail by anything in this folder. The
//! loss is then of the last batch only, it is reported, and [`OpenReport::require_reaches`] compares with what other
//! files prove (a snapshot, the indexes, another replica). Cutting whole acknowledged blocks *and* their marks off
//! the end, as no crash does, is of the same kind.
//!
//! Scanning for records behind damage must not be fooled by payloads: a client could place bytes in a block that look
//! like a record with a high `durable_before`, and a torn tail would become a node that refuses to start. Every
//! record therefore starts with its segment's random 64-bit salt, which never leaves this folder.
//!
//! # After a failed write or sync
//!
//! Linux marks pages clean when writing them back fails, so a second `fsync` may succeed without the data being on
//! disk (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). The writer therefore
//! never tries again: the first failure stops it and every later call returns the same [`Fault::WriterStopped`]. For
//! the same reason opening does not trust what it reads from the page cache: everything behind the last mark is
//! written again, synced and marked before the journal accepts a block.
//!
//! # Preallocation
//!
//! A segment is allocated to full size with `fallocate` when created. On ext4 that takes 5 to 15 % off append and
//! `fdatasync` (`examples/journal_latency.rs`), and a disk without room is noticed when the segment is created, not
//! between two blocks. Filling the segment with zeros instead takes off 40 to 50 %, but writes every byte twice and would
//! stall the block that opens a segment; it would pay only if a background thread prepared the next segment.

mod format;
mod reader;
mod recovery;
mod segment_reader;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use format::PAYLOAD_BYTES_MAX;
pub use reader::{Blocks, Journal};
pub use segment_reader::{Block, Location};
pub use writer::JournalWriter;

use crate::Fault;
use crate::durable_files::{FolderLock, NumberedFiles, create_directory};

/// How a journal is laid out and how much of it is read at open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// A segment is closed when the next block would make it larger than this.
    pub segment_bytes: u64,
    /// Segments wholly below this height are not read through at open; their records are still checked when read.
    /// A node with a snapshot at this height saves the time (0.4 s per gigabyte in memory, more from disk).
    pub verify_from_height: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, verify_from_height: 0 }
    }
}

/// What opening a journal found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// The folder.
    pub path: PathBuf,
    /// Number of blocks held.
    pub blocks: u64,
    /// The oldest block held.
    pub first_height: Option<u64>,
    /// The newest block held. All of them are durable.
    pub last_height: Option<u64>,
    /// Size of an unacknowledged, half-written tail that was cut off.
    pub torn_bytes_dropped: u64,
}

impl OpenReport {
    /// Requires that the journal reaches `height`, which `evidence` (`the newest snapshot`, say) proves was acknowledged.
    ///
    /// # Errors
    /// [`Fault::JournalBehind`] if it ends earlier.
    pub fn require_reaches(&self, height: u64, evidence: &'static str) -> Result<(), Fault> {
        if self.last_height.is_some_and(|last| last >= height) {
            return Ok(());
        }
        Err(Fault::JournalBehind {
            path: self.path.clone(),
            last_height: self.last_height,
            required_height: height,
            evidence,
        })
    }
}

impl Journal {
    /// Opens the journal in `dir`, creating the folder if missing: checks every record, cuts off a torn tail, and
    /// makes everything it found durable before it returns. The writer holds the folder's lock.
    ///
    /// # Errors
    /// A [`Fault`] if another process has the folder, if a file is of another chain or store format, if acknowledged
    /// blocks are damaged or missing, or if the machine fails. Damage changes nothing in the folder.
    pub fn open(
        dir: &Path,
        chain_id: &[u8; 32],
        options: JournalOptions,
    ) -> Result<(Self, JournalWriter, OpenReport), Fault> {
        create_directory(dir)?;
        let lock = FolderLock::acquire(dir)?;
        SEGMENTS.remove_temporaries(dir)?;
        let recovered = recovery::scan(dir, chain_id, options.verify_from_height)?;
        let report = recovered.report(dir);
        let journal = Self::new(dir, chain_id, &recovered);
        let writer = JournalWriter::open(journal.clone(), lock, options.segment_bytes, recovered.tail)?;
        Ok((journal, writer, report))
    }
}

const SEGMENTS: NumberedFiles = NumberedFiles { prefix: "journal-", suffix: ".seg" };
