//! `Fault`: the machine failed, or a file is not what it should be.
//!
//! A fault goes to the operator and never changes ledger state. `Display` says what happened; [`Fault::hint`] says
//! what to do. A fault can be cloned, because a stopped journal writer answers every later call with the one that
//! stopped it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What failed, where, and (by [`Fault::hint`]) what to do about it.
#[derive(Clone, Debug)]
pub enum Fault {
    /// No space, quota or file-size allowance is left.
    DiskFull {
        /// The file or folder concerned.
        path: PathBuf,
        /// The attempted action, as a verb.
        doing: &'static str,
    },
    /// The operating system refused access.
    PermissionDenied {
        /// The file or folder concerned.
        path: PathBuf,
        /// The attempted action, as a verb.
        doing: &'static str,
    },
    /// Any other failure of the operating system or the disk.
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// The attempted action, as a verb.
        doing: &'static str,
        /// What the operating system said.
        error: Arc<io::Error>,
    },
    /// Another process has the folder or file open.
    FolderLocked {
        /// The folder or file.
        path: PathBuf,
    },
    /// A journal segment is damaged where blocks had been acknowledged.
    CorruptSegment {
        /// The segment file.
        path: PathBuf,
        /// Where the damaged record or header starts.
        offset_bytes: u64,
        /// What is wrong there.
        found: &'static str,
    },
    /// Blocks are missing between two journal segments.
    SegmentGap {
        /// The segment after the gap.
        path: PathBuf,
        /// The height that should come next.
        expected_height: u64,
        /// The height this segment starts with.
        found_height: u64,
    },
    /// A snapshot file is damaged.
    CorruptSnapshot {
        /// The snapshot file.
        path: PathBuf,
        /// Where the damaged chunk or header starts.
        offset_bytes: u64,
        /// What is wrong there.
        found: &'static str,
    },
    /// The file belongs to another chain.
    WrongChain {
        /// The file.
        path: PathBuf,
        /// The chain this node runs.
        expected: [u8; 32],
        /// The chain named in the file.
        found: [u8; 32],
    },
    /// The file was written by newer software.
    FormatTooNew {
        /// The file.
        path: PathBuf,
        /// Store format version of the file.
        found: u32,
        /// Store format version of this software.
        supported: u32,
    },
    /// The file was written by software whose format is no longer read.
    FormatTooOld {
        /// The file.
        path: PathBuf,
        /// Store format version of the file.
        found: u32,
        /// Store format version of this software.
        supported: u32,
    },
    /// The journal ends before a block that another file proves was acknowledged.
    JournalBehind {
        /// The journal folder.
        path: PathBuf,
        /// The last block the journal holds.
        last_height: Option<u64>,
        /// The block it should reach.
        required_height: u64,
        /// The file that proves it, in the operator's words.
        evidence: &'static str,
    },
    /// Blocks must be consecutive, and this one is not the next.
    HeightOutOfOrder {
        /// The journal folder or index file.
        path: PathBuf,
        /// The height that comes next.
        expected_height: u64,
        /// The height that was given.
        given_height: u64,
    },
    /// The journal does not hold the block asked for.
    HeightNotHeld {
        /// The journal folder.
        path: PathBuf,
        /// The height that was asked for.
        height: u64,
        /// First and last height held, if any.
        held: Option<(u64, u64)>,
    },
    /// A block is larger than a journal record may be.
    PayloadTooLarge {
        /// The block's height.
        height: u64,
        /// Its size.
        size_bytes: usize,
        /// The largest size.
        size_bytes_max: usize,
    },
    /// The index file failed. It holds nothing that the journal does not.
    Index {
        /// The index file.
        path: PathBuf,
        /// The attempted action, as a verb.
        doing: &'static str,
        /// What the index library said.
        error: String,
    },
    /// The journal writer stopped at an earlier failure and takes no more blocks.
    WriterStopped {
        /// The failure that stopped it.
        cause: Arc<Fault>,
    },
    /// The thread that keeps blocks has ended.
    KeeperEnded,
}

impl Fault {
    /// What the operator can do about it: a sentence in the style of the message.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::DiskFull { .. } => {
                "free space on this disk, or move the folder to a larger one, then restart the node"
            }
            Self::PermissionDenied { .. } => {
                "run the node as the owner of this folder, or give its user read and write access"
            }
            Self::Io { .. } => "check the disk and the system log, then restart the node",
            Self::FolderLocked { .. } => "stop the other node, or give this one a data folder of its own",
            Self::CorruptSegment { .. } | Self::SegmentGap { .. } => {
                "acknowledged blocks are damaged: keep a copy of the folder, check the disk, and restore the journal \
                 from another replica or a backup; nothing was changed"
            }
            Self::CorruptSnapshot { .. } => {
                "an older snapshot and the journal are enough to restart; check the disk, then delete this file"
            }
            Self::WrongChain { .. } => {
                "point the node at the data folder of its own chain, or start it with this folder's genesis file"
            }
            Self::FormatTooNew { .. } => "start the version of the software that wrote this folder, or a newer one",
            Self::FormatTooOld { .. } => {
                "its blocks were made under other rules: use the version that made them, or start a new chain in another folder"
            }
            Self::JournalBehind { .. } => {
                "acknowledged blocks are missing: restore the journal from another replica or a backup"
            }
            Self::HeightOutOfOrder { .. } => {
                "this is a defect of the node: keep the log and report it; nothing was written"
            }
            Self::HeightNotHeld { .. } => {
                "older blocks were pruned and later ones are not durable yet: ask another replica"
            }
            Self::PayloadTooLarge { .. } => {
                "this is a defect of the node: keep the log and report it; nothing was written"
            }
            Self::Index { .. } => {
                "stop the node and delete the index file: it is rebuilt from the journal at the next start"
            }
            Self::KeeperEnded => "restart the node: it recovers every acknowledged block",
            Self::WriterStopped { .. } => {
                "a failed write or sync cannot be repeated safely: remove the cause, then restart the node, which \
                 recovers every acknowledged block"
            }
        }
    }

    /// The fault for a failed system call on `path`; `doing` is a verb, such as `write`.
    pub(crate) fn io(path: &Path, doing: &'static str, error: io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path, doing }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::PermissionDenied { path, doing }
            }
            _ => Self::Io { path, doing, error: Arc::new(error) },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeeperEnded => f.write_str("the thread that keeps blocks has ended"),
            Self::DiskFull { path, doing } => {
                write!(f, "disk is full: cannot {doing} `{}`", path.display())
            }
            Self::PermissionDenied { path, doing } => {
                write!(f, "permission denied: cannot {doing} `{}`", path.display())
            }
            Self::Io { path, doing, error } => {
                write!(f, "cannot {doing} `{}`: {error}", path.display())
            }
            Self::FolderLocked { path } => {
                write!(f, "`{}` is in use by another process", path.display())
            }
            Self::CorruptSegment { path, offset_bytes, found } => {
                write!(f, "journal segment `{}` is damaged at byte `{offset_bytes}`: {found}", path.display())
            }
            Self::SegmentGap { path, expected_height, found_height } => write!(
                f,
                "journal segment `{}` starts at height `{found_height}` where `{expected_height}` should come next",
                path.display()
            ),
            Self::CorruptSnapshot { path, offset_bytes, found } => {
                write!(f, "snapshot `{}` is damaged at byte `{offset_bytes}`: {found}", path.display())
            }
            Self::WrongChain { path, expected, found } => {
                write!(f, "`{}` belongs to chain `{}`, not to `{}`", path.display(), Hex(found), Hex(expected))
            }
            Self::FormatTooNew { path, found, supported } => write!(
                f,
                "`{}` has store format `{found}`, newer than `{supported}`, the newest this software reads",
                path.display()
            ),
            Self::FormatTooOld { path, found, supported } => write!(
                f,
                "`{}` has store format `{found}`, older than `{supported}`, the oldest this software reads",
                path.display()
            ),
            Self::JournalBehind { path, last_height, required_height, evidence } => {
                write!(f, "journal `{}` ", path.display())?;
                match last_height {
                    Some(last_height) => write!(f, "ends at height `{last_height}`")?,
                    None => write!(f, "is empty")?,
                }
                write!(f, ", but {evidence} shows that it reached `{required_height}`")
            }
            Self::HeightOutOfOrder { path, expected_height, given_height } => write!(
                f,
                "block at height `{given_height}` does not follow in `{}`: `{expected_height}` comes next",
                path.display()
            ),
            Self::HeightNotHeld { path, height, held } => {
                write!(f, "journal `{}` does not hold height `{height}`", path.display())?;
                match held {
                    Some((first, last)) => write!(f, ", only `{first}` to `{last}`"),
                    None => write!(f, ": it is empty"),
                }
            }
            Self::PayloadTooLarge { height, size_bytes, size_bytes_max } => write!(
                f,
                "block at height `{height}` has `{size_bytes}` bytes, more than the `{size_bytes_max}` of a record"
            ),
            Self::Index { path, doing, error } => {
                write!(f, "cannot {doing} index `{}`: {error}", path.display())
            }
            Self::WriterStopped { cause } => write!(f, "journal writer has stopped: {cause}"),
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error.as_ref()),
            Self::WriterStopped { cause } => Some(cause.as_ref()),
            _ => None,
        }
    }
}

/// The first eight bytes are enough to tell chains apart in a message.
struct Hex<'a>(&'a [u8; 32]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_become_the_fault_an_operator_can_act_on() {
        let path = Path::new("journal/x.seg");
        let fault_of = |code| Fault::io(path, "write", io::Error::from_raw_os_error(code));
        assert!(matches!(fault_of(28), Fault::DiskFull { .. }), "ENOSPC");
        assert!(matches!(fault_of(122), Fault::DiskFull { .. }), "EDQUOT");
        assert!(matches!(fault_of(27), Fault::DiskFull { .. }), "EFBIG");
        assert!(matches!(fault_of(13), Fault::PermissionDenied { .. }), "EACCES");
        assert!(matches!(fault_of(30), Fault::PermissionDenied { .. }), "EROFS");
        assert!(matches!(fault_of(5), Fault::Io { .. }), "EIO");
    }

    #[test]
    fn messages_are_lower_case_without_full_stop_and_quote_values() {
        let path = PathBuf::from("data/x");
        let stopped = Fault::DiskFull { path: path.clone(), doing: "sync" };
        let faults = [
            Fault::io(&path, "read", io::Error::other("gone")),
            Fault::FolderLocked { path: path.clone() },
            Fault::CorruptSegment { path: path.clone(), offset_bytes: 64, found: "checksum does not match" },
            Fault::WrongChain { path: path.clone(), expected: [1; 32], found: [2; 32] },
            Fault::FormatTooNew { path: path.clone(), found: 2, supported: 1 },
            Fault::JournalBehind {
                path: path.clone(),
                last_height: None,
                required_height: 7,
                evidence: "the newest snapshot",
            },
            Fault::HeightNotHeld { path, height: 7, held: Some((8, 9)) },
            Fault::WriterStopped { cause: Arc::new(stopped) },
        ];
        for fault in faults {
            for text in [fault.to_string(), fault.hint().to_owned()] {
                assert!(text.starts_with(|c: char| c.is_lowercase() || c == '`'), "{text}");
                assert!(!text.ends_with('.'), "{text}");
            }
            assert!(fault.to_string().contains("`data/x`"), "{fault}");
        }
    }

    #[test]
    fn a_stopped_writer_says_why_and_that_a_restart_is_needed() {
        let cause = Fault::DiskFull { path: PathBuf::from("j.seg"), doing: "sync" };
        let stopped = Fault::WriterStopped { cause: Arc::new(cause) };
        assert_eq!(stopped.to_string(), "journal writer has stopped: disk is full: cannot sync `j.seg`");
        assert!(stopped.hint().contains("restart the node"));
    }
}
