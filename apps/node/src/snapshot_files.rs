//! Snapshot files: a state at a height, streamed to disk in checked chunks and renamed into place.
//!
//! A snapshot only shortens a restart; the journal is the record. So a damaged snapshot costs time, not data: opening
//! falls back to the one before, and says which was skipped and why. Two are kept for that.
//!
//! Layout, little-endian: the common file header; chunks of length 4, CRC32C 4 (over chunk number 8, length and
//! bytes), bytes; a last frame of length 0 with the CRC32C over header, contents and total length, then the total
//! length 8; end of file. Nothing here knows what the contents mean.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::Fault;
use crate::durable_files::{
    FILE_HEADER_BYTES, FileHeader, FileKind, NumberedFiles, create_directory, publish, sync_directory,
};

/// How many snapshots stay: the newest, and one to fall back to.
pub const SNAPSHOTS_KEPT: usize = 2;

/// A snapshot that is durable under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotWritten {
    /// The file.
    pub path: PathBuf,
    /// Size of the contents.
    pub contents_bytes: u64,
    /// Older snapshots deleted afterwards.
    pub deleted: Vec<PathBuf>,
}

/// Writes a snapshot of `height`. `write` streams the contents; nothing is visible under the snapshot's name before
/// all of it is durable, and older snapshots are deleted only after that.
///
/// # Errors
/// A [`Fault`] if `write` or the disk fails. The unfinished file is deleted and earlier snapshots stay as they are.
pub fn write_snapshot(
    dir: &Path,
    height: u64,
    chain_id: &[u8; 32],
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<SnapshotWritten, Fault> {
    create_directory(dir)?;
    let temporary = SNAPSHOTS.temporary_path(dir, height);
    let path = SNAPSHOTS.path(dir, height);
    let header = FileHeader { chain_id: *chain_id, height, salt: 0 };
    let contents_bytes = write_file(&temporary, &path, &header, write).inspect_err(|_| {
        // Opening deletes it too; this only frees the space sooner.
        let _ = fs::remove_file(&temporary);
    })?;
    let deleted = delete_older(dir, height)?;
    Ok(SnapshotWritten { path, contents_bytes, deleted })
}

/// What a folder of snapshots holds.
#[derive(Debug)]
pub struct SnapshotsOpened {
    /// The newest whole snapshot.
    pub latest: Option<SnapshotReader>,
    /// Newer snapshots that are damaged, newest first. If `latest` is missing and this is not empty, the state can
    /// only come from the start of the journal or from another replica.
    pub skipped: Vec<Fault>,
    /// Unfinished files that a crash left behind, now deleted.
    pub temporaries_deleted: Vec<PathBuf>,
}

/// Finds the newest snapshot that is whole from the first byte to the last.
///
/// # Errors
/// A [`Fault`] if a file is of another chain or store format, which no older snapshot would cure, or cannot be read.
pub fn open_latest(dir: &Path, chain_id: &[u8; 32]) -> Result<SnapshotsOpened, Fault> {
    create_directory(dir)?;
    let temporaries_deleted = SNAPSHOTS.remove_temporaries(dir)?;
    let mut opened = SnapshotsOpened { latest: None, skipped: Vec::new(), temporaries_deleted };
    for height in SNAPSHOTS.heights(dir)?.into_iter().rev() {
        match open_verified(dir, height, chain_id) {
            Ok(reader) => {
                opened.latest = Some(reader);
                break;
            }
            Err(fault @ Fault::CorruptSnapshot { .. }) => opened.skipped.push(fault),
            Err(fault) => return Err(fault),
        }
    }
    Ok(opened)
}

/// Streams the contents of a snapshot. The file was checked as a whole when it was opened; each chunk is checked
/// again when read, as the disk may answer differently the second time.
#[derive(Debug)]
pub struct SnapshotReader {
    path: PathBuf,
    header: FileHeader,
    file: BufReader<File>,
    /// Where the frame being read starts.
    offset_bytes: u64,
    chunk: Vec<u8>,
    chunk_read_bytes: usize,
    chunks: u64,
    contents_bytes: u64,
    /// Over header and contents so far.
    crc: u32,
    is_finished: bool,
}

impl SnapshotReader {
    /// The height of the state.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.header.height
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(dir: &Path, height: u64, chain_id: &[u8; 32]) -> Result<Self, Fault> {
        let path = SNAPSHOTS.path(dir, height);
        let file = File::open(&path).map_err(|error| Fault::io(&path, "open", error))?;
        let mut reader = Self {
            path,
            header: FileHeader { chain_id: *chain_id, height, salt: 0 },
            file: BufReader::with_capacity(CHUNK_BYTES, file),
            offset_bytes: 0,
            chunk: Vec::new(),
            chunk_read_bytes: 0,
            chunks: 0,
            contents_bytes: 0,
            crc: 0,
            is_finished: false,
        };
        let mut bytes = [0; FILE_HEADER_BYTES];
        reader.read_exact_or_corrupt(&mut bytes)?;
        let header = FileHeader::decode(FileKind::Snapshot, &reader.path, chain_id, &bytes)?;
        if header != reader.header {
            return Err(reader.corrupt("the header does not match the file's name"));
        }
        reader.crc = crc32c::crc32c(&bytes);
        reader.offset_bytes = FILE_HEADER_BYTES as u64;
        Ok(reader)
    }

    /// Loads and checks the next chunk; at the end, checks the totals instead.
    fn load_chunk(&mut self) -> Result<(), Fault> {
        let (mut length, mut crc) = ([0; 4], [0; 4]);
        self.read_exact_or_corrupt(&mut length)?;
        self.read_exact_or_corrupt(&mut crc)?;
        let (length_bytes, crc) = (u32::from_le_bytes(length) as usize, u32::from_le_bytes(crc));
        if length_bytes == 0 {
            return self.finish(crc);
        }
        if length_bytes > CHUNK_BYTES {
            return Err(self.corrupt("a chunk is longer than chunks are"));
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(length_bytes, 0);
        self.read_exact_or_corrupt(&mut chunk)?;
        if crc != chunk_crc(self.chunks, &chunk) {
            return Err(self.corrupt("checksum of a chunk does not match"));
        }
        self.crc = crc32c::crc32c_append(self.crc, &chunk);
        self.chunks += 1;
        self.contents_bytes += length_bytes as u64;
        self.offset_bytes += (CHUNK_HEADER_BYTES + length_bytes) as u64;
        self.chunk = chunk;
        self.chunk_read_bytes = 0;
        Ok(())
    }

    fn finish(&mut self, crc: u32) -> Result<(), Fault> {
        let mut total = [0; 8];
        self.read_exact_or_corrupt(&mut total)?;
        if u64::from_le_bytes(total) != self.contents_bytes || crc != crc32c::crc32c_append(self.crc, &total) {
            return Err(self.corrupt("length or checksum of the whole does not match"));
        }
        let behind = self.file.read(&mut [0]).map_err(|error| Fault::io(&self.path, "read", error))?;
        if behind > 0 {
            return Err(self.corrupt("there is more behind the end"));
        }
        self.chunk.clear();
        self.chunk_read_bytes = 0;
        self.is_finished = true;
        Ok(())
    }

    fn read_exact_or_corrupt(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        self.file.read_exact(buffer).map_err(|error| match error.raw_os_error() {
            None => self.corrupt("the file is cut short"),
            // A sector that cannot be read is damage too, and the snapshot before may be sound.
            Some(EIO) => self.corrupt("the disk cannot read it"),
            Some(_) => Fault::io(&self.path, "read", error),
        })
    }

    fn corrupt(&self, found: &'static str) -> Fault {
        FileKind::Snapshot.corrupt(&self.path, self.offset_bytes, found)
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk_read_bytes == self.chunk.len() && !self.is_finished {
            self.load_chunk().map_err(io::Error::other)?;
        }
        let mut unread = &self.chunk[self.chunk_read_bytes..];
        let read_bytes = unread.read(buffer)?;
        self.chunk_read_bytes += read_bytes;
        Ok(read_bytes)
    }
}

/// Reads the file once to check it, then opens it again from the start.
fn open_verified(dir: &Path, height: u64, chain_id: &[u8; 32]) -> Result<SnapshotReader, Fault> {
    let mut reader = SnapshotReader::open(dir, height, chain_id)?;
    while !reader.is_finished {
        reader.load_chunk()?;
    }
    SnapshotReader::open(dir, height, chain_id)
}

fn write_file(
    temporary: &Path,
    path: &Path,
    header: &FileHeader,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, Fault> {
    let file = File::create(temporary).map_err(|error| Fault::io(temporary, "create", error))?;
    let written = ChunkWriter::start(&file, header).and_then(|mut writer| {
        write(&mut writer)?;
        writer.finish()
    });
    let contents_bytes = written.map_err(|error| Fault::io(temporary, "write", error))?;
    publish(&file, temporary, path)?;
    Ok(contents_bytes)
}

/// Splits what is written to it into chunks.
struct ChunkWriter<'a> {
    file: &'a File,
    chunk: Vec<u8>,
    chunks: u64,
    contents_bytes: u64,
    crc: u32,
}

impl<'a> ChunkWriter<'a> {
    fn start(mut file: &'a File, header: &FileHeader) -> io::Result<Self> {
        let header = header.encode(FileKind::Snapshot);
        file.write_all(&header)?;
        let crc = crc32c::crc32c(&header);
        Ok(Self { file, chunk: Vec::with_capacity(CHUNK_BYTES), chunks: 0, contents_bytes: 0, crc })
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.write_frame(self.chunk.len(), chunk_crc(self.chunks, &self.chunk))?;
        self.file.write_all(&self.chunk)?;
        self.crc = crc32c::crc32c_append(self.crc, &self.chunk);
        self.chunks += 1;
        self.contents_bytes += self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.write_chunk()?;
        let total = self.contents_bytes.to_le_bytes();
        self.write_frame(0, crc32c::crc32c_append(self.crc, &total))?;
        self.file.write_all(&total)?;
        Ok(self.contents_bytes)
    }

    fn write_frame(&mut self, length_bytes: usize, crc: u32) -> io::Result<()> {
        self.file.write_all(&(length_bytes as u32).to_le_bytes())?;
        self.file.write_all(&crc.to_le_bytes())
    }
}

impl Write for ChunkWriter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken_bytes = buffer.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&buffer[..taken_bytes]);
        if self.chunk.len() == CHUNK_BYTES {
            self.write_chunk()?;
        }
        Ok(taken_bytes)
    }

    /// Chunks are full but for the last, whatever the caller flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Binds a chunk to its place, so that chunks cannot be swapped or repeated.
fn chunk_crc(chunk_number: u64, chunk: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&chunk_number.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &(chunk.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc, chunk)
}

/// Keeps the snapshot just written at `height` and the newest before it. One above `height` is left alone: it was
/// skipped as damaged, and must not take the place of a sound one.
fn delete_older(dir: &Path, height: u64) -> Result<Vec<PathBuf>, Fault> {
    let older = SNAPSHOTS.heights(dir)?.into_iter().rev().filter(|other| *other <= height);
    let mut deleted = Vec::new();
    for superseded in older.skip(SNAPSHOTS_KEPT) {
        let path = SNAPSHOTS.path(dir, superseded);
        fs::remove_file(&path).map_err(|error| Fault::io(&path, "delete", error))?;
        deleted.push(path);
    }
    if !deleted.is_empty() {
        sync_directory(dir)?;
    }
    Ok(deleted)
}

const SNAPSHOTS: NumberedFiles = NumberedFiles { prefix: "snapshot-", suffix: ".snap" };
const CHUNK_BYTES: usize = 1024 * 1024;
const CHUNK_HEADER_BYTES: usize = 8;
const EIO: i32 = 5;

#[cfg(test)]
mod tests;
