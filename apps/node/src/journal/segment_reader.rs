//! Reads one segment record by record and checks each. Recovery and readers share it.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::SEGMENTS;
use super::format::{RECORD_HEADER_BYTES, RecordHeader};
use crate::Fault;
use crate::durable_files::{FILE_HEADER_BYTES, FileHeader, FileKind};

/// Where a block's record starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// First height of the segment, which is also its name.
    pub segment_first_height: u64,
    /// Distance from the start of the segment file.
    pub offset_bytes: u64,
}

/// A block as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The block's height.
    pub height: u64,
    /// Where it is stored.
    pub location: Location,
    /// The bytes given to `append`.
    pub payload: Vec<u8>,
}

/// What stands at the reader's position.
#[derive(Debug)]
pub(super) enum Found {
    Block(Block),
    Mark,
    /// Only zeros, or nothing, up to the end of the file.
    End,
    /// Something that is no whole record. The reader does not move.
    Damage(&'static str),
}

#[derive(Debug)]
pub(super) struct SegmentReader {
    path: PathBuf,
    file: BufReader<File>,
    segment_first_height: u64,
    salt: u64,
    size_bytes: u64,
    offset_bytes: u64,
    next_height: u64,
}

impl SegmentReader {
    /// Opens a segment and checks its header.
    pub(super) fn open(dir: &Path, first_height: u64, chain_id: &[u8; 32]) -> Result<Self, Fault> {
        let path = SEGMENTS.path(dir, first_height);
        let file = File::open(&path).map_err(|error| Fault::io(&path, "open", error))?;
        let size_bytes = file.metadata().map_err(|error| Fault::io(&path, "read", error))?.len();
        let mut reader = Self {
            path,
            file: BufReader::with_capacity(READ_BUFFER_BYTES, file),
            segment_first_height: first_height,
            salt: 0,
            size_bytes,
            offset_bytes: 0,
            next_height: first_height,
        };
        if size_bytes < FILE_HEADER_BYTES as u64 {
            return Err(reader.corrupt("the header is cut short"));
        }
        let mut bytes = [0; FILE_HEADER_BYTES];
        reader.read_exact(&mut bytes)?;
        let header = FileHeader::decode(FileKind::Segment, &reader.path, chain_id, &bytes)?;
        if header.height != first_height {
            return Err(reader.corrupt("the first height in the header is not the one in the file's name"));
        }
        reader.salt = header.salt;
        reader.offset_bytes = FILE_HEADER_BYTES as u64;
        Ok(reader)
    }

    /// Continues at `offset_bytes`, where the record of block `height` starts.
    pub(super) fn seek(&mut self, offset_bytes: u64, height: u64) -> Result<(), Fault> {
        self.file.seek(SeekFrom::Start(offset_bytes)).map_err(|error| self.unreadable(error))?;
        self.offset_bytes = offset_bytes;
        self.next_height = height;
        Ok(())
    }

    /// The height of the record at `offset_bytes`, if a record header stands there.
    pub(super) fn height_at(&mut self, offset_bytes: u64) -> Result<Option<u64>, Fault> {
        self.seek(offset_bytes, self.segment_first_height)?;
        if self.remaining_bytes() < RECORD_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; RECORD_HEADER_BYTES];
        self.read_exact(&mut bytes)?;
        Ok(RecordHeader::parse(&bytes, self.salt).map(|header| header.height))
    }

    /// Reads the record at the current position and moves behind it.
    pub(super) fn next(&mut self) -> Result<Found, Fault> {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        let header_bytes = self.remaining_bytes().min(RECORD_HEADER_BYTES as u64) as usize;
        self.read_exact(&mut bytes[..header_bytes])?;
        if bytes == [0; RECORD_HEADER_BYTES] && self.trailing_bytes_used()? == 0 {
            return Ok(Found::End);
        }
        if header_bytes < RECORD_HEADER_BYTES {
            return Ok(Found::Damage("a record is cut short"));
        }
        let Some(header) = RecordHeader::parse(&bytes, self.salt) else {
            return Ok(Found::Damage("no record starts here"));
        };
        if header.record_bytes() > self.remaining_bytes() {
            return Ok(Found::Damage("a record is cut short"));
        }
        let mut payload = vec![0; header.payload_bytes()];
        self.read_exact(&mut payload)?;
        if !header.matches(&payload) {
            return Ok(Found::Damage("checksum of a record does not match"));
        }
        if header.height != self.next_height {
            return Ok(Found::Damage("a record has another height than the one that comes next"));
        }
        let location = self.location();
        self.offset_bytes += header.record_bytes();
        if header.is_mark() {
            return Ok(Found::Mark);
        }
        self.next_height += 1;
        Ok(Found::Block(Block { height: header.height, location, payload }))
    }

    /// Everything from `offset_bytes` to the end of the file.
    pub(super) fn rest_from(&mut self, offset_bytes: u64) -> Result<Vec<u8>, Fault> {
        self.seek(offset_bytes, self.next_height)?;
        let mut rest = Vec::new();
        self.file.read_to_end(&mut rest).map_err(|error| self.unreadable(error))?;
        Ok(rest)
    }

    /// Distance from the current position to the last byte that is not zero. Moves the file's own position.
    pub(super) fn trailing_bytes_used(&mut self) -> Result<u64, Fault> {
        self.seek(self.offset_bytes, self.next_height)?;
        let mut chunk = [0; READ_BUFFER_BYTES];
        let (mut position, mut used) = (0, 0);
        loop {
            let read_bytes = match self.file.read(&mut chunk) {
                Ok(0) => return Ok(used),
                Ok(read_bytes) => read_bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(error)),
            };
            if let Some(last) = chunk[..read_bytes].iter().rposition(|byte| *byte != 0) {
                used = position + last as u64 + 1;
            }
            position += read_bytes as u64;
        }
    }

    /// The fault for damage at the current position.
    pub(super) fn corrupt(&self, found: &'static str) -> Fault {
        FileKind::Segment.corrupt(&self.path, self.offset_bytes, found)
    }

    pub(super) fn location(&self) -> Location {
        Location { segment_first_height: self.segment_first_height, offset_bytes: self.offset_bytes }
    }

    pub(super) fn next_height(&self) -> u64 {
        self.next_height
    }

    pub(super) fn salt(&self) -> u64 {
        self.salt
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn remaining_bytes(&self) -> u64 {
        self.size_bytes.saturating_sub(self.offset_bytes)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        self.file.read_exact(buffer).map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, error: io::Error) -> Fault {
        Fault::io(&self.path, "read", error)
    }
}

const READ_BUFFER_BYTES: usize = 64 * 1024;
