//! What journal segments and snapshots share: the file header, numbered names, and making a new file durable.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::Fault;

/// Version of what the files in a node's data folder hold. A file of another version is refused, never guessed at.
/// 2 since rows say their grants' watches (docs/decisions/0009), 3 since segments may clear on margin and rows say what
/// that needs: blocks from before lead to other roots. 4 since a position's row has its gain of entry and the limiter keeps what
/// was charged. 5 since markets keep their regime, and genesis names the origins of passkeys.
pub const STORE_FORMAT_VERSION: u32 = 6;

/// Size of [`FileHeader`] in a file.
pub(crate) const FILE_HEADER_BYTES: usize = 64;

/// The first bytes of a segment or snapshot. **This layout is frozen for all store format versions**, so that a
/// newer version (intact checksum, other number) and a damaged header (checksum does not match) are told apart.
///
/// Little-endian: magic 8, store format version 4, chain id 32, height 8, salt 8, CRC32C of all before 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) chain_id: [u8; 32],
    /// First height of a segment; height of a snapshot.
    pub(crate) height: u64,
    /// Random per journal segment, see `journal::format`; zero in a snapshot.
    pub(crate) salt: u64,
}

/// Which file a header belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment,
    Snapshot,
}

impl FileHeader {
    pub(crate) fn encode(&self, kind: FileKind) -> [u8; FILE_HEADER_BYTES] {
        self.encode_version(kind, STORE_FORMAT_VERSION)
    }

    /// Reads a header and requires that it is whole, of this store format and of this chain, in that order.
    pub(crate) fn decode(
        kind: FileKind,
        path: &Path,
        chain_id: &[u8; 32],
        bytes: &[u8; FILE_HEADER_BYTES],
    ) -> Result<Self, Fault> {
        let mut fields = Fields(bytes);
        let magic: [u8; 8] = fields.take();
        let version = u32::from_le_bytes(fields.take());
        let header = Self {
            chain_id: fields.take(),
            height: u64::from_le_bytes(fields.take()),
            salt: u64::from_le_bytes(fields.take()),
        };
        if magic != kind.magic() {
            return Err(kind.corrupt(path, 0, "this is not the header of such a file"));
        }
        if header.encode_version(kind, version) != *bytes {
            return Err(kind.corrupt(path, 0, "checksum of the header does not match"));
        }
        let supported = STORE_FORMAT_VERSION;
        let path = path.to_path_buf();
        if version > supported {
            return Err(Fault::FormatTooNew { path, found: version, supported });
        }
        if version < supported {
            return Err(Fault::FormatTooOld { path, found: version, supported });
        }
        if header.chain_id != *chain_id {
            return Err(Fault::WrongChain { path, expected: *chain_id, found: header.chain_id });
        }
        Ok(header)
    }

    /// Any version, so that a test can write a file of the future.
    pub(crate) fn encode_version(&self, kind: FileKind, version: u32) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        let mut rest = put(&mut bytes, &kind.magic());
        rest = put(rest, &version.to_le_bytes());
        rest = put(rest, &self.chain_id);
        rest = put(rest, &self.height.to_le_bytes());
        put(rest, &self.salt.to_le_bytes());
        let (checked, crc) = bytes.split_at_mut(FILE_HEADER_BYTES - 4);
        put(crc, &crc32c::crc32c(checked).to_le_bytes());
        bytes
    }
}

impl FileKind {
    pub(crate) fn corrupt(self, path: &Path, offset_bytes: u64, found: &'static str) -> Fault {
        let path = path.to_path_buf();
        match self {
            Self::Segment => Fault::CorruptSegment { path, offset_bytes, found },
            Self::Snapshot => Fault::CorruptSnapshot { path, offset_bytes, found },
        }
    }

    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => *b"CASEMJNL",
            Self::Snapshot => *b"CASEMSNP",
        }
    }
}

/// Takes fixed-size fields from the front of a buffer whose size the caller's type guarantees.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    /// The next `N` bytes; zeros if the buffer is shorter, which the checksum over them then refuses.
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }
}

/// Copies `field` to the front of `buffer` and returns the rest.
pub(crate) fn put<'a>(buffer: &'a mut [u8], field: &[u8]) -> &'a mut [u8] {
    let (front, rest) = buffer.split_at_mut(field.len());
    front.copy_from_slice(field);
    rest
}

/// Numbered files of one kind in one folder, such as `journal-00000000000000000001.seg`. The number has 20 digits,
/// so that names sort as heights do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberedFiles {
    pub(crate) prefix: &'static str,
    pub(crate) suffix: &'static str,
}

impl NumberedFiles {
    pub(crate) fn path(self, dir: &Path, height: u64) -> PathBuf {
        dir.join(format!("{}{height:020}{}", self.prefix, self.suffix))
    }

    /// Where the file is built before [`publish`] gives it its name.
    pub(crate) fn temporary_path(self, dir: &Path, height: u64) -> PathBuf {
        dir.join(format!("{}{height:020}{}{TEMPORARY_SUFFIX}", self.prefix, self.suffix))
    }

    /// Heights of the files present, ascending. Files with other names are not ours and are left alone.
    pub(crate) fn heights(self, dir: &Path) -> Result<Vec<u64>, Fault> {
        let mut heights: Vec<u64> =
            file_names(dir)?.iter().filter_map(|name| self.height_in(name.strip_suffix(self.suffix)?)).collect();
        heights.sort_unstable();
        Ok(heights)
    }

    /// Deletes files that a crash left half built. They were never given their name, so nothing refers to them.
    pub(crate) fn remove_temporaries(self, dir: &Path) -> Result<Vec<PathBuf>, Fault> {
        let mut removed = Vec::new();
        for name in file_names(dir)? {
            let stem = name.strip_suffix(TEMPORARY_SUFFIX).and_then(|n| n.strip_suffix(self.suffix));
            if stem.and_then(|stem| self.height_in(stem)).is_some() {
                let path = dir.join(&name);
                fs::remove_file(&path).map_err(|error| Fault::io(&path, "delete", error))?;
                removed.push(path);
            }
        }
        Ok(removed)
    }

    fn height_in(self, stem: &str) -> Option<u64> {
        let digits = stem.strip_prefix(self.prefix)?;
        let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    }
}

/// Makes a finished file durable and gives it its name: contents first, then the name, then the folder. After a
/// crash the name therefore either does not exist or leads to the whole file.
pub(crate) fn publish(file: &File, temporary: &Path, path: &Path) -> Result<(), Fault> {
    file.sync_all().map_err(|error| Fault::io(temporary, "sync", error))?;
    fs::rename(temporary, path).map_err(|error| Fault::io(path, "create", error))?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Makes names created, renamed or deleted in `dir` durable.
pub(crate) fn sync_directory(dir: &Path) -> Result<(), Fault> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|error| Fault::io(dir, "sync", error))
}

/// Creates `dir` with its parents if missing, each made durable in its own parent.
pub(crate) fn create_directory(dir: &Path) -> Result<(), Fault> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_directory(parent)?;
    fs::create_dir(dir).map_err(|error| Fault::io(dir, "create", error))?;
    sync_directory(parent)
}

/// Holds a folder for one process. The kernel releases the lock when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    pub(crate) fn acquire(dir: &Path) -> Result<Self, Fault> {
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Fault::io(&path, "open", error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Fault::FolderLocked { path: dir.to_path_buf() }),
            Err(error) => Err(Fault::io(&path, "lock", io::Error::from(error))),
        }
    }
}

fn file_names(dir: &Path) -> Result<Vec<String>, Fault> {
    let unreadable = |error| Fault::io(dir, "read", error);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    Ok(names)
}

const TEMPORARY_SUFFIX: &str = ".tmp";
