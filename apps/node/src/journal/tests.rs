mod damage;
mod power_cut;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::writer::SyncFile;
use super::*;
use crate::durable_files::{FileHeader, FileKind, STORE_FORMAT_VERSION};

const CHAIN: [u8; 32] = [7; 32];
const SMALL: JournalOptions = JournalOptions { segment_bytes: 2048, verify_from_height: 0 };

type Opened = (Journal, JournalWriter, OpenReport);

fn open(dir: &Path) -> Result<Opened, Fault> {
    Journal::open(dir, &CHAIN, SMALL)
}

/// Contents that differ from block to block and between generations of the same height.
fn payload(height: u64, generation: u64, size_bytes: usize) -> Vec<u8> {
    let mut state = height.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ generation.wrapping_mul(0xD1B5_4A32_D192_ED03) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(size_bytes).collect()
}

/// Appends blocks from height 1 on, syncing each, and closes.
fn write_journal(dir: &Path, sizes_bytes: &[usize]) -> Vec<Location> {
    let (_, mut writer, _) = open(dir).unwrap();
    let mut locations = Vec::new();
    for (height, size_bytes) in (1..).zip(sizes_bytes) {
        locations.push(writer.append(height, &payload(height, 0, *size_bytes)).unwrap());
        writer.sync().unwrap();
    }
    writer.close().unwrap();
    locations
}

fn read_all(journal: &Journal, from_height: u64) -> Vec<(u64, Vec<u8>)> {
    let blocks = journal.read_from(from_height).unwrap();
    blocks.map(|block| block.map(|block| (block.height, block.payload)).unwrap()).collect()
}

fn expected(sizes_bytes: &[usize]) -> Vec<(u64, Vec<u8>)> {
    (1..).zip(sizes_bytes).map(|(height, size)| (height, payload(height, 0, *size))).collect()
}

fn segments(dir: &Path) -> Vec<u64> {
    SEGMENTS.heights(dir).unwrap()
}

fn last_segment_path(dir: &Path) -> PathBuf {
    SEGMENTS.path(dir, *segments(dir).last().unwrap())
}

#[test]
fn a_new_journal_is_empty_and_takes_any_first_height() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("data").join("journal");
    let (journal, mut writer, report) = open(&folder).unwrap();
    assert_eq!((report.blocks, report.first_height, report.last_height), (0, None, None));
    assert_eq!((journal.held(), writer.next_height()), (None, None));
    assert!(read_all(&journal, 0).is_empty());
    writer.append(41, b"x").unwrap();
    writer.sync().unwrap();
    assert_eq!((journal.held(), writer.next_height()), (Some((41, 41)), Some(42)));
}

#[test]
fn blocks_come_back_after_reopening_and_appending_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[10, 0, 300]);
    let (journal, mut writer, report) = open(dir.path()).unwrap();
    assert_eq!((report.blocks, report.first_height, report.last_height), (3, Some(1), Some(3)));
    assert_eq!(report.torn_bytes_dropped, 0);
    writer.append(4, &payload(4, 0, 20)).unwrap();
    writer.append(5, &payload(5, 0, 30)).unwrap();
    writer.sync().unwrap();
    let all = expected(&[10, 0, 300, 20, 30]);
    assert_eq!(read_all(&journal, 1), all);
    drop(writer);
    let (journal, _writer, report) = open(dir.path()).unwrap();
    assert_eq!(report.last_height, Some(5));
    assert_eq!(read_all(&journal, 4), all[3..]);
}

#[test]
fn segments_roll_and_reading_crosses_them() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [900; 20];
    let locations = write_journal(dir.path(), &sizes);
    assert_eq!(segments(dir.path()).len(), 10, "two blocks of 900 bytes fit a segment of 2048");
    let (journal, _writer, _) = open(dir.path()).unwrap();
    let all = expected(&sizes);
    for from in 1..=20_u64 {
        assert_eq!(read_all(&journal, from), all[from as usize - 1..]);
    }
    for (location, (height, payload)) in locations.iter().zip(all) {
        assert_eq!(journal.read_at(*location).unwrap(), Some(Block { height, location: *location, payload }));
    }
}

#[test]
fn a_batch_may_cross_a_segment_border() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, mut writer, _) = open(dir.path()).unwrap();
    for height in 1..=7 {
        writer.append(height, &payload(height, 0, 900)).unwrap();
    }
    writer.sync().unwrap();
    assert_eq!(read_all(&journal, 1), expected(&[900; 7]));
    drop(writer);
    assert_eq!(open(dir.path()).unwrap().2.blocks, 7);
}

#[test]
fn a_block_larger_than_a_segment_gets_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [10, 70_000, 10];
    write_journal(dir.path(), &sizes);
    assert_eq!(segments(dir.path()), [1, 2, 3]);
    let (journal, _writer, _) = open(dir.path()).unwrap();
    assert_eq!(read_all(&journal, 1), expected(&sizes));
}

#[test]
fn a_block_larger_than_a_record_is_refused_and_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut writer, _) = open(dir.path()).unwrap();
    let refused = writer.append(1, &vec![0; PAYLOAD_BYTES_MAX + 1]);
    assert!(matches!(refused, Err(Fault::PayloadTooLarge { height: 1, .. })));
    writer.append(1, b"fits").unwrap();
    writer.sync().unwrap();
}

#[test]
fn blocks_are_invisible_until_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, mut writer, _) = open(dir.path()).unwrap();
    writer.append(1, b"one").unwrap();
    writer.sync().unwrap();
    let location = writer.append(2, b"two").unwrap();
    assert_eq!(read_all(&journal, 1).len(), 1);
    assert_eq!(journal.read_at(location).unwrap(), None);
    assert!(matches!(journal.read_from(3), Err(Fault::HeightNotHeld { height: 3, held: Some((1, 1)), .. })));
    writer.sync().unwrap();
    assert_eq!(read_all(&journal, 1).len(), 2);
    assert_eq!(journal.read_at(location).unwrap().unwrap().payload, b"two");
}

#[test]
fn published_blocks_are_visible_and_the_next_sync_makes_them_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, mut writer, _) = open(dir.path()).unwrap();
    writer.append(1, b"one").unwrap();
    writer.publish().unwrap();
    assert_eq!(read_all(&journal, 1), [(1, b"one".to_vec())]);
    // Nothing is appended in between, and still there is something to sync.
    let syncs = SyncCounter::default();
    let file = writable(&last_segment_path(dir.path()));
    writer.replace_file(Box::new(CountedFile { file, syncs: syncs.clone() }));
    writer.sync().unwrap();
    writer.sync().unwrap();
    assert_eq!(*syncs.lock().unwrap(), 1);
}

type SyncCounter = std::sync::Arc<std::sync::Mutex<usize>>;

/// A file that counts what it is told to sync.
#[derive(Debug)]
struct CountedFile {
    file: File,
    syncs: SyncCounter,
}

impl SyncFile for CountedFile {
    fn write_range(&mut self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        self.file.write_range(bytes, offset_bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        *self.syncs.lock().unwrap() += 1;
        SyncFile::sync_data(&mut self.file)
    }

    fn truncate_and_sync(&mut self, size_bytes: u64) -> io::Result<()> {
        self.file.truncate_and_sync(size_bytes)
    }
}

#[test]
fn reading_goes_on_in_other_threads_while_the_writer_appends() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, mut writer, _) = open(dir.path()).unwrap();
    let follower = std::thread::spawn(move || {
        let mut next = 1;
        while next <= 200 {
            for block in journal.read_from(next).into_iter().flatten() {
                let block = block.unwrap();
                assert_eq!((block.height, &block.payload), (next, &payload(next, 0, 100)));
                next += 1;
            }
            std::thread::yield_now();
        }
    });
    for height in 1..=200 {
        writer.append(height, &payload(height, 0, 100)).unwrap();
        writer.sync().unwrap();
    }
    follower.join().unwrap();
}

#[test]
fn a_wrong_location_gives_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let locations = write_journal(dir.path(), &[100, 100]);
    let (journal, _writer, _) = open(dir.path()).unwrap();
    for offset_bytes in (0..3000).filter(|offset| locations.iter().all(|location| location.offset_bytes != *offset)) {
        let location = Location { segment_first_height: 1, offset_bytes };
        assert_eq!(journal.read_at(location).unwrap(), None);
    }
    let location = Location { segment_first_height: 2, offset_bytes: 64 };
    assert_eq!(journal.read_at(location).unwrap(), None);
}

#[test]
fn a_gap_in_heights_is_refused_and_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut writer, _) = open(dir.path()).unwrap();
    writer.append(5, b"five").unwrap();
    for wrong in [4, 5, 7, u64::MAX] {
        let refused = writer.append(wrong, b"?");
        assert!(
            matches!(refused, Err(Fault::HeightOutOfOrder { expected_height: 6, given_height, .. }) if given_height == wrong)
        );
    }
    writer.append(6, b"six").unwrap();
    writer.sync().unwrap();
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (_, writer, _) = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(Fault::FolderLocked { .. })));
    drop(writer);
    open(dir.path()).unwrap();
}

#[test]
fn a_journal_of_another_chain_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[10]);
    let refused = Journal::open(dir.path(), &[8; 32], SMALL);
    assert!(matches!(refused, Err(Fault::WrongChain { expected: [8, ..], found: [7, ..], .. })));
}

#[test]
fn a_journal_of_another_format_is_refused_by_its_age() {
    let now = STORE_FORMAT_VERSION;
    for (version, is_new) in [(0, false), (now - 1, false), (now + 1, true), (u32::MAX, true)] {
        let dir = tempfile::tempdir().unwrap();
        let header = FileHeader { chain_id: CHAIN, height: 1, salt: 1 };
        fs::write(SEGMENTS.path(dir.path(), 1), header.encode_version(FileKind::Segment, version)).unwrap();
        match open(dir.path()) {
            Err(Fault::FormatTooNew { found, .. }) => assert!(is_new && found == version),
            Err(Fault::FormatTooOld { found, .. }) => assert!(!is_new && found == version),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_missing_segment_is_a_fault_that_names_the_gap() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[900; 6]);
    fs::remove_file(SEGMENTS.path(dir.path(), 3)).unwrap();
    assert!(matches!(open(dir.path()), Err(Fault::SegmentGap { expected_height: 3, found_height: 5, .. })));
}

#[test]
fn a_segment_under_another_name_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[10]);
    fs::rename(SEGMENTS.path(dir.path(), 1), SEGMENTS.path(dir.path(), 2)).unwrap();
    assert!(matches!(open(dir.path()), Err(Fault::CorruptSegment { .. })));
}

#[test]
fn segments_below_the_verified_height_are_checked_when_read_instead() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[900; 6]);
    let path = SEGMENTS.path(dir.path(), 3);
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, bytes).unwrap();
    let options = |verify_from_height| JournalOptions { verify_from_height, ..SMALL };
    assert!(matches!(Journal::open(dir.path(), &CHAIN, options(4)), Err(Fault::CorruptSegment { .. })));
    let (journal, _writer, report) = Journal::open(dir.path(), &CHAIN, options(5)).unwrap();
    assert_eq!(report.blocks, 6);
    assert_eq!(read_all(&journal, 5).len(), 2);
    let mut blocks = journal.read_from(1).unwrap();
    assert_eq!(blocks.by_ref().take(2).filter(Result::is_ok).count(), 2);
    assert!(matches!(blocks.next(), Some(Err(Fault::CorruptSegment { .. }))));
    assert!(blocks.next().is_none(), "a stream ends after a fault");
}

#[test]
fn a_journal_behind_what_another_file_proves_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let report = open(dir.path()).unwrap().2;
    assert!(matches!(report.require_reaches(1, "the newest snapshot"), Err(Fault::JournalBehind { .. })));
    write_journal(dir.path(), &[10, 10]);
    let report = open(dir.path()).unwrap().2;
    report.require_reaches(2, "the newest snapshot").unwrap();
    assert!(report.require_reaches(3, "the newest snapshot").is_err());
}

#[test]
fn a_half_created_segment_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[900, 900]);
    let leftover = SEGMENTS.temporary_path(dir.path(), 3);
    fs::write(&leftover, b"half a header").unwrap();
    assert_eq!(open(dir.path()).unwrap().2.blocks, 2);
    assert!(!leftover.exists());
}

#[test]
fn a_segment_created_just_before_a_crash_still_says_which_height_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (_, mut writer, _) = open(dir.path()).unwrap();
        writer.append(9, b"never synced").unwrap();
    }
    let (_, mut writer, report) = open(dir.path()).unwrap();
    assert_eq!((report.blocks, writer.next_height()), (0, Some(9)));
    assert!(matches!(writer.append(1, b"?"), Err(Fault::HeightOutOfOrder { expected_height: 9, .. })));
    writer.append(9, b"again").unwrap();
    writer.sync().unwrap();
}

/// Fails once at a chosen operation, and counts what is asked of it afterwards.
#[derive(Debug)]
struct FailingFile {
    file: File,
    fail_at: FailAt,
    has_failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailAt {
    /// Half of the bytes are written.
    Write,
    Sync,
    /// The write of the mark that follows a successful sync.
    Mark,
}

impl FailingFile {
    fn fail(&mut self) -> io::Result<()> {
        assert!(!self.has_failed, "a stopped writer must not touch the disk again");
        self.has_failed = true;
        Err(io::Error::from_raw_os_error(5))
    }
}

impl SyncFile for FailingFile {
    fn write_range(&mut self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        let is_mark = bytes.len() == format::RECORD_HEADER_BYTES;
        if self.fail_at == if is_mark { FailAt::Mark } else { FailAt::Write } {
            self.file.write_range(&bytes[..bytes.len() / 2], offset_bytes)?;
            return self.fail();
        }
        self.file.write_range(bytes, offset_bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if self.fail_at == FailAt::Sync {
            return self.fail();
        }
        SyncFile::sync_data(&mut self.file)
    }

    fn truncate_and_sync(&mut self, size_bytes: u64) -> io::Result<()> {
        self.file.truncate_and_sync(size_bytes)
    }
}

fn writable(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn a_failed_write_or_sync_stops_the_writer_for_good_and_a_restart_recovers() {
    for fail_at in [FailAt::Write, FailAt::Sync, FailAt::Mark] {
        let dir = tempfile::tempdir().unwrap();
        write_journal(dir.path(), &[100, 100]);
        let (journal, mut writer, _) = open(dir.path()).unwrap();
        let file = writable(&last_segment_path(dir.path()));
        writer.replace_file(Box::new(FailingFile { file, fail_at, has_failed: false }));
        writer.append(3, &payload(3, 0, 100)).unwrap();
        let acknowledged = writer.sync();
        assert_eq!(acknowledged.is_ok(), fail_at == FailAt::Mark, "the block is durable before its mark is");
        let faults = [
            writer.sync().unwrap_err(),
            writer.append(4, b"four").unwrap_err(),
            writer.append(9, b"also not the next").unwrap_err(),
            writer.close().unwrap_err(),
        ];
        for fault in faults {
            assert!(matches!(&fault, Fault::WriterStopped { cause } if matches!(**cause, Fault::Io { .. })));
            assert!(fault.hint().contains("restart the node"));
        }
        assert_eq!(journal.held(), Some((1, if acknowledged.is_ok() { 3 } else { 2 })));
        let (journal, mut writer, report) = open(dir.path()).unwrap();
        let survivors = report.blocks as usize;
        assert!(survivors == 3 || (survivors == 2 && acknowledged.is_err()));
        assert_eq!(read_all(&journal, 1), expected(&[100; 3])[..survivors]);
        writer.append(report.blocks + 1, b"on").unwrap();
        writer.sync().unwrap();
    }
}

#[test]
fn a_full_disk_stops_the_writer_and_is_named() {
    // The kernel's own answer: every write to this device fails with "no space left".
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[100]);
    let (_, mut writer, _) = open(dir.path()).unwrap();
    writer.replace_file(Box::new(full));
    writer.append(2, b"two").unwrap();
    for _ in 0..2 {
        let fault = writer.sync().unwrap_err();
        assert!(matches!(&fault, Fault::WriterStopped { cause } if matches!(**cause, Fault::DiskFull { .. })));
        assert!(fault.to_string().contains("disk is full"), "{fault}");
    }
    drop(writer);
    assert_eq!(open(dir.path()).unwrap().2.last_height, Some(1));
}
