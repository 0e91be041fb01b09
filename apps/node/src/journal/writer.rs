//! Writing: the one place that changes a journal folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::{Errno, retry_on_intr};
use rustix::rand::{GetRandomFlags, getrandom};

use super::SEGMENTS;
use super::format::{self, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES};
use super::reader::Journal;
use super::recovery::Tail;
use super::segment_reader::Location;
use crate::Fault;
use crate::durable_files::{FILE_HEADER_BYTES, FileHeader, FileKind, FolderLock, publish};

/// Appends blocks. One exists per folder, and dropping it releases the folder.
#[derive(Debug)]
pub struct JournalWriter {
    journal: Journal,
    segment_bytes: u64,
    /// The segment being written; nothing before the first block of a new journal.
    active: Option<ActiveSegment>,
    /// Records appended since the last sync, to be written at the end of the active segment.
    buffer: Vec<u8>,
    next_height: u64,
    /// The failure after which nothing is written any more.
    stopped: Option<Fault>,
    _lock: FolderLock,
}

impl JournalWriter {
    /// Takes the next block. It is not durable until [`JournalWriter::sync`] returns, and not visible to readers until
    /// that or [`JournalWriter::publish`] does.
    /// The first block of a new journal may have any height.
    ///
    /// # Errors
    /// [`Fault::HeightOutOfOrder`] and [`Fault::PayloadTooLarge`] change nothing. [`Fault::WriterStopped`] is final.
    pub fn append(&mut self, height: u64, payload: &[u8]) -> Result<Location, Fault> {
        self.require_running()?;
        self.require_appendable(height, payload)?;
        let result = self.append_checked(height, payload);
        self.stop_on_fault(result)
    }

    /// Makes every appended block durable with one `fdatasync`; receipts for them may go out once it returns.
    ///
    /// # Errors
    /// [`Fault::WriterStopped`]: whether the blocks are on disk is unknown until the journal is opened again. The
    /// call is never repeated, see the module documentation.
    pub fn sync(&mut self) -> Result<(), Fault> {
        self.require_running()?;
        let result = self.write_buffer();
        self.stop_on_fault(result)?;
        // The blocks are durable whatever becomes of the mark, so its failure is reported by the next call.
        let marked = self.write_mark();
        let _ = self.stop_on_fault(marked);
        Ok(())
    }

    /// Writes every appended block and lets readers see it, without waiting for the disk: for what can be made again
    /// from elsewhere. The kernel is asked to begin writing, so that a later sync finds little left to do.
    ///
    /// # Errors
    /// [`Fault::WriterStopped`], as for [`JournalWriter::sync`].
    pub fn publish(&mut self) -> Result<(), Fault> {
        self.require_running()?;
        let written = self.write_unsynced();
        self.stop_on_fault(written)
    }

    /// Syncs, and makes the last mark durable too, so that damage to any block of this journal will be recognised.
    ///
    /// # Errors
    /// [`Fault::WriterStopped`], as for [`JournalWriter::sync`].
    pub fn close(mut self) -> Result<(), Fault> {
        self.sync()?;
        self.require_running()?;
        let synced = self.active.as_mut().map_or(Ok(()), ActiveSegment::sync);
        self.stop_on_fault(synced)
    }

    /// The height the next block must have; nothing if the journal is new and any height will do.
    #[must_use]
    pub fn next_height(&self) -> Option<u64> {
        self.active.as_ref().map(|_| self.next_height)
    }

    /// Takes over the folder after recovery: drops a torn tail, makes what stands durable, and marks it.
    pub(super) fn open(
        journal: Journal,
        lock: FolderLock,
        segment_bytes: u64,
        tail: Option<Tail>,
    ) -> Result<Self, Fault> {
        let active = match &tail {
            Some(tail) => Some(ActiveSegment::reopen(&journal, tail, segment_bytes)?),
            None => None,
        };
        let next_height = tail.map_or(0, |tail| tail.next_height);
        let buffer = Vec::new();
        Ok(Self { journal, segment_bytes, active, buffer, next_height, stopped: None, _lock: lock })
    }

    /// Puts another file behind the active segment: the way tests let a disk fail.
    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: Box<dyn SyncFile>) {
        self.active.as_mut().unwrap().file = file;
    }

    fn append_checked(&mut self, height: u64, payload: &[u8]) -> Result<Location, Fault> {
        if self.must_roll(payload.len()) {
            self.finish_segment()?;
        }
        self.next_height = height;
        let buffered_bytes = self.buffer.len() as u64;
        let active = self.active_or_new()?;
        let (salt, segment_first_height) = (active.salt, active.first_height);
        let offset_bytes = active.end_bytes + buffered_bytes;
        let durable_before = self.journal.durable_before();
        format::put_block(&mut self.buffer, salt, height, durable_before, payload);
        self.next_height = height + 1;
        Ok(Location { segment_first_height, offset_bytes })
    }

    /// Whether the block would make the segment too large. A segment always takes at least one.
    fn must_roll(&self, payload_bytes: usize) -> bool {
        let added_bytes = (self.buffer.len() + RECORD_HEADER_BYTES + payload_bytes + RECORD_HEADER_BYTES) as u64;
        self.active.as_ref().is_some_and(|active| {
            self.next_height > active.first_height && active.end_bytes + added_bytes > self.segment_bytes
        })
    }

    /// Finishes the active segment for good before it gets a successor: only the last can have a torn tail.
    fn finish_segment(&mut self) -> Result<(), Fault> {
        self.write_buffer()?;
        self.write_mark()?;
        self.active.take().map_or(Ok(()), ActiveSegment::seal)
    }

    fn active_or_new(&mut self) -> Result<&ActiveSegment, Fault> {
        match &mut self.active {
            Some(active) => Ok(active),
            none => {
                let active = ActiveSegment::create(&self.journal, self.next_height, self.segment_bytes)?;
                self.journal.publish_durable_before(active.first_height);
                self.journal.segments().push(active.first_height);
                Ok(none.insert(active))
            }
        }
    }

    /// Writes and syncs what was appended, then lets readers see it.
    fn write_buffer(&mut self) -> Result<(), Fault> {
        let durable_before = self.journal.durable_before();
        let Some(active) = self.active.as_mut().filter(|_| durable_before < self.next_height) else {
            return Ok(());
        };
        if !self.buffer.is_empty() {
            active.append(&self.buffer)?;
            self.buffer.clear();
        }
        active.sync()?;
        self.journal.publish_durable_before(self.next_height);
        Ok(())
    }

    /// Writes what was appended and lets readers see it. No mark: nothing new is known to be durable.
    fn write_unsynced(&mut self) -> Result<(), Fault> {
        let Some(active) = self.active.as_mut().filter(|_| !self.buffer.is_empty()) else {
            return Ok(());
        };
        let from_bytes = active.end_bytes;
        active.append(&self.buffer)?;
        active.file.begin_writing_back(from_bytes, self.buffer.len() as u64);
        self.buffer.clear();
        self.journal.publish_readable_before(self.next_height);
        Ok(())
    }

    /// Leaves evidence that all blocks so far are durable, unless it stands there already.
    fn write_mark(&mut self) -> Result<(), Fault> {
        let durable_before = self.journal.durable_before();
        self.active.as_mut().map_or(Ok(()), |active| active.mark(durable_before))
    }

    fn require_running(&self) -> Result<(), Fault> {
        self.stopped.clone().map_or(Ok(()), Err)
    }

    fn require_appendable(&self, height: u64, payload: &[u8]) -> Result<(), Fault> {
        // The last number of all is kept free, so that "the height behind" always exists.
        if self.next_height().is_some_and(|next| next != height) || height == u64::MAX {
            return Err(self.out_of_order(height));
        }
        let (size_bytes, size_bytes_max) = (payload.len(), PAYLOAD_BYTES_MAX);
        if size_bytes > size_bytes_max {
            return Err(Fault::PayloadTooLarge { height, size_bytes, size_bytes_max });
        }
        Ok(())
    }

    fn out_of_order(&self, given_height: u64) -> Fault {
        let path = self.journal.path().to_path_buf();
        Fault::HeightOutOfOrder { path, expected_height: self.next_height, given_height }
    }

    fn stop_on_fault<T>(&mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|cause| {
            let stopped = Fault::WriterStopped { cause: Arc::new(cause) };
            self.stopped.insert(stopped).clone()
        })
    }
}

/// The few operations a segment is written with: the place where tests let disks fail.
pub(super) trait SyncFile: std::fmt::Debug + Send {
    /// Writes all bytes at an offset, or fails having written any part of them.
    fn write_range(&mut self, bytes: &[u8], offset_bytes: u64) -> io::Result<()>;
    /// Asks for a range to be written to the disk soon. A wish: nothing depends on it.
    fn begin_writing_back(&mut self, _offset_bytes: u64, _size_bytes: u64) {}
    /// `fdatasync`.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Cuts the file off at a size, and `fsync`.
    fn truncate_and_sync(&mut self, size_bytes: u64) -> io::Result<()>;
}

impl SyncFile for File {
    fn write_range(&mut self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset_bytes)
    }

    fn begin_writing_back(&mut self, offset_bytes: u64, size_bytes: u64) {
        // On Linux, giving up a range of the page cache starts writing its dirty pages and waits for none of them.
        let _ = fadvise(&*self, offset_bytes, NonZeroU64::new(size_bytes), Advice::DontNeed);
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn truncate_and_sync(&mut self, size_bytes: u64) -> io::Result<()> {
        self.set_len(size_bytes)?;
        self.sync_all()
    }
}

/// The last segment, open for writing.
#[derive(Debug)]
struct ActiveSegment {
    file: Box<dyn SyncFile>,
    path: PathBuf,
    first_height: u64,
    salt: u64,
    /// Where the next record goes.
    end_bytes: u64,
    is_marked: bool,
}

impl ActiveSegment {
    /// The file gets its name when its header is durable, so a segment without a whole header is always damage.
    fn create(journal: &Journal, first_height: u64, segment_bytes: u64) -> Result<Self, Fault> {
        let temporary = SEGMENTS.temporary_path(journal.path(), first_height);
        let path = SEGMENTS.path(journal.path(), first_height);
        let salt = random_salt(&path)?;
        let header = FileHeader { chain_id: *journal.chain_id(), height: first_height, salt };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(|error| Fault::io(&temporary, "create", error))?;
        file.write_all_at(&header.encode(FileKind::Segment), 0)
            .map_err(|error| Fault::io(&temporary, "write", error))?;
        preallocate(&file, &temporary, segment_bytes.max(FILE_HEADER_BYTES as u64))?;
        publish(&file, &temporary, &path)?;
        let end_bytes = FILE_HEADER_BYTES as u64;
        Ok(Self { file: Box::new(file), path, first_height, salt, end_bytes, is_marked: false })
    }

    fn reopen(journal: &Journal, tail: &Tail, segment_bytes: u64) -> Result<Self, Fault> {
        let path = SEGMENTS.path(journal.path(), tail.segment_first_height);
        let file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(|error| Fault::io(&path, "open", error))?;
        if tail.torn_bytes > 0 {
            // Cut off, not overwritten: a stale record behind the end must never be found by a later scan.
            file.set_len(tail.end_bytes).map_err(|error| Fault::io(&path, "truncate", error))?;
        }
        let unmarked_bytes = tail.end_bytes - tail.unmarked_from_bytes;
        rewrite(&file, tail.unmarked_from_bytes, unmarked_bytes).map_err(|error| Fault::io(&path, "write", error))?;
        preallocate(&file, &path, segment_bytes.max(tail.end_bytes))?;
        file.sync_all().map_err(|error| Fault::io(&path, "sync", error))?;
        let mut segment = Self {
            file: Box::new(file),
            path,
            first_height: tail.segment_first_height,
            salt: tail.salt,
            end_bytes: tail.end_bytes,
            is_marked: unmarked_bytes == 0,
        };
        segment.mark(tail.next_height)?;
        Ok(segment)
    }

    fn append(&mut self, records: &[u8]) -> Result<(), Fault> {
        let written = self.file.write_range(records, self.end_bytes);
        written.map_err(|error| Fault::io(&self.path, "write", error))?;
        self.end_bytes += records.len() as u64;
        self.is_marked = false;
        Ok(())
    }

    fn mark(&mut self, durable_before: u64) -> Result<(), Fault> {
        if !self.is_marked {
            self.append(&format::mark(self.salt, durable_before))?;
            self.is_marked = true;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.file.sync_data().map_err(|error| Fault::io(&self.path, "sync", error))
    }

    /// Gives unused preallocated space back and makes the last mark durable.
    fn seal(mut self) -> Result<(), Fault> {
        let sealed = self.file.truncate_and_sync(self.end_bytes);
        sealed.map_err(|error| Fault::io(&self.path, "sync", error))
    }
}

/// Reads a range and writes the same bytes again, so that the next sync covers pages that an earlier, failed sync
/// may have left in memory only, marked clean.
fn rewrite(file: &File, from_bytes: u64, size_bytes: u64) -> io::Result<()> {
    let mut chunk = vec![0; 1024 * 1024];
    let mut done_bytes = 0;
    while done_bytes < size_bytes {
        let chunk_bytes = (size_bytes - done_bytes).min(chunk.len() as u64) as usize;
        let part = &mut chunk[..chunk_bytes];
        file.read_exact_at(part, from_bytes + done_bytes)?;
        file.write_all_at(part, from_bytes + done_bytes)?;
        done_bytes += chunk_bytes as u64;
    }
    Ok(())
}

/// Reserves room up to `size_bytes`. File systems that cannot do it are fine; a disk without room is not.
fn preallocate(file: &File, path: &Path, size_bytes: u64) -> Result<(), Fault> {
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, size_bytes)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(Fault::io(path, "reserve space for", io::Error::from(error))),
    }
}

/// Not zero, so that preallocated zeros never look like the start of a record.
fn random_salt(path: &Path) -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    match retry_on_intr(|| getrandom(&mut bytes, GetRandomFlags::empty())) {
        Ok(_) => Ok(u64::from_le_bytes(bytes).max(1)),
        Err(error) => Err(Fault::io(path, "draw randomness for", io::Error::from(error))),
    }
}
