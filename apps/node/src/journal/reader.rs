//! Reading: a stream from a height, or one block by its location. Readers see what the writer lets them see: blocks that
//! are durable, or that it published without waiting for the disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::recovery::Recovered;
use super::segment_reader::{Block, Found, Location, SegmentReader};
use crate::Fault;

/// A handle for reading the journal, cheap to clone and usable from any thread while the writer appends.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    chain_id: [u8; 32],
    /// First heights of the segments, ascending.
    segments: Mutex<Vec<u64>>,
    /// Blocks below this height are durable; zero while there is no segment.
    durable_before: AtomicU64,
    /// Blocks below this height can be read; never less than what is durable.
    readable_before: AtomicU64,
}

impl Journal {
    /// First and last height that can be read, if there is a block.
    #[must_use]
    pub fn held(&self) -> Option<(u64, u64)> {
        let first = *self.segments().first()?;
        let end = self.readable_before();
        (end > first).then(|| (first, end - 1))
    }

    /// The blocks from `height` to the last that can be read now, one at a time. Starting just behind the last block
    /// gives an empty stream, so a follower can ask again from where it stopped.
    ///
    /// # Errors
    /// [`Fault::HeightNotHeld`] if `height` was pruned or lies further ahead; otherwise if the file cannot be read.
    pub fn read_from(&self, height: u64) -> Result<Blocks, Fault> {
        let end_height = self.readable_before();
        let mut blocks = Blocks { journal: self.clone(), segment: None, next_height: height, end_height };
        if height != end_height {
            blocks.segment = Some(self.segment_at(height)?);
        }
        Ok(blocks)
    }

    /// The block at `location`, as `append` returned it. Nothing if no whole and readable block starts there, or if
    /// its segment was pruned: a location that comes from the indexes is a hint, and [`Journal::read_from`] tells a
    /// wrong hint from a damaged block.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_at(&self, location: Location) -> Result<Option<Block>, Fault> {
        if !self.segments().contains(&location.segment_first_height) {
            return Ok(None);
        }
        let mut segment = self.open_segment(location.segment_first_height)?;
        let height = segment.height_at(location.offset_bytes)?;
        let Some(height) = height.filter(|height| *height < self.readable_before()) else {
            return Ok(None);
        };
        segment.seek(location.offset_bytes, height)?;
        match segment.next()? {
            Found::Block(block) => Ok(Some(block)),
            Found::Mark | Found::End | Found::Damage(_) => Ok(None),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.dir
    }

    pub(super) fn new(dir: &Path, chain_id: &[u8; 32], recovered: &Recovered) -> Self {
        let next_height = recovered.tail.map_or(0, |tail| tail.next_height);
        Self {
            shared: Arc::new(Shared {
                dir: dir.to_path_buf(),
                chain_id: *chain_id,
                segments: Mutex::new(recovered.segments.clone()),
                durable_before: AtomicU64::new(next_height),
                readable_before: AtomicU64::new(next_height),
            }),
        }
    }

    pub(super) fn chain_id(&self) -> &[u8; 32] {
        &self.shared.chain_id
    }

    pub(super) fn durable_before(&self) -> u64 {
        self.shared.durable_before.load(Ordering::Acquire)
    }

    fn readable_before(&self) -> u64 {
        self.shared.readable_before.load(Ordering::Acquire)
    }

    /// Only the writer calls this, after `fdatasync`.
    pub(super) fn publish_durable_before(&self, height: u64) {
        self.shared.durable_before.store(height, Ordering::Release);
        self.publish_readable_before(height);
    }

    /// Only the writer calls this, after writing.
    pub(super) fn publish_readable_before(&self, height: u64) {
        self.shared.readable_before.store(height, Ordering::Release);
    }

    /// The list is a plain vector of numbers, whole at every moment, so a panic elsewhere does not spoil it.
    pub(super) fn segments(&self) -> MutexGuard<'_, Vec<u64>> {
        self.shared.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the segment that holds `height`, positioned at its first record.
    fn segment_at(&self, height: u64) -> Result<SegmentReader, Fault> {
        let first_height = self.segments().iter().rev().find(|first| **first <= height).copied();
        match first_height {
            Some(first_height) if height < self.readable_before() => self.open_segment(first_height),
            _ => Err(self.not_held(height)),
        }
    }

    fn open_segment(&self, first_height: u64) -> Result<SegmentReader, Fault> {
        SegmentReader::open(&self.shared.dir, first_height, &self.shared.chain_id)
    }

    fn not_held(&self, height: u64) -> Fault {
        Fault::HeightNotHeld { path: self.shared.dir.clone(), height, held: self.held() }
    }
}

/// Stream of blocks in order of height. Ends after the first fault.
#[derive(Debug)]
pub struct Blocks {
    journal: Journal,
    /// The segment being read; nothing before the first and after a fault.
    segment: Option<SegmentReader>,
    next_height: u64,
    end_height: u64,
}

impl Iterator for Blocks {
    type Item = Result<Block, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next_height >= self.end_height {
            return None;
        }
        let next = self.read_next();
        match &next {
            Ok(block) => self.next_height = block.height + 1,
            Err(_) => self.end_height = self.next_height,
        }
        Some(next)
    }
}

impl Blocks {
    fn read_next(&mut self) -> Result<Block, Fault> {
        loop {
            let segment = match &mut self.segment {
                Some(segment) => segment,
                none => none.insert(self.journal.segment_at(self.next_height)?),
            };
            match segment.next()? {
                Found::Block(block) if block.height >= self.next_height => return Ok(block),
                Found::Block(_) | Found::Mark => {}
                Found::End if segment.next_height() == self.next_height => self.segment = None,
                Found::End => return Err(segment.corrupt("blocks are missing at the end of the segment")),
                Found::Damage(found) => return Err(segment.corrupt(found)),
            }
        }
    }
}
