use std::fs::OpenOptions;

use proptest::prelude::*;

use super::*;

const CHAIN: [u8; 32] = [7; 32];

fn contents(height: u64, size_bytes: usize) -> Vec<u8> {
    (0..size_bytes).map(|index| (index as u64).wrapping_mul(height | 1).to_le_bytes()[1]).collect()
}

fn write(dir: &Path, height: u64, size_bytes: usize) -> SnapshotWritten {
    write_snapshot(dir, height, &CHAIN, |writer| writer.write_all(&contents(height, size_bytes))).unwrap()
}

fn read_latest(dir: &Path) -> (u64, Vec<u8>, Vec<Fault>) {
    let opened = open_latest(dir, &CHAIN).unwrap();
    let mut reader = opened.latest.unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    (reader.height(), bytes, opened.skipped)
}

fn flip_bit(path: &Path, byte: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_folder_without_snapshots_has_no_latest() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open_latest(&dir.path().join("snapshots"), &CHAIN).unwrap();
    assert!(opened.latest.is_none() && opened.skipped.is_empty());
}

#[test]
fn contents_of_any_size_come_back_in_whatever_pieces_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    for (height, size_bytes) in (1..).zip([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]) {
        let expected = contents(height, size_bytes);
        let written = write_snapshot(dir.path(), height, &CHAIN, |writer| {
            expected.chunks(70_001).try_for_each(|piece| {
                writer.write_all(piece)?;
                writer.flush()
            })
        });
        assert_eq!(written.unwrap().contents_bytes, size_bytes as u64);
        let (latest_height, bytes, skipped) = read_latest(dir.path());
        assert_eq!(latest_height, height);
        assert!(bytes == expected && skipped.is_empty());
    }
}

#[test]
fn two_snapshots_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    assert!(write(dir.path(), 10, 5).deleted.is_empty());
    assert!(write(dir.path(), 20, 5).deleted.is_empty());
    assert_eq!(write(dir.path(), 30, 5).deleted, [SNAPSHOTS.path(dir.path(), 10)]);
    assert_eq!(SNAPSHOTS.heights(dir.path()).unwrap(), [20, 30]);
}

#[test]
fn a_corrupt_newest_snapshot_falls_back_to_the_one_before_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 10, 100);
    let newest = write(dir.path(), 20, 100).path;
    flip_bit(&newest, 120, 4);
    let (height, bytes, skipped) = read_latest(dir.path());
    assert_eq!((height, bytes), (10, contents(10, 100)));
    assert!(matches!(&skipped[..], [Fault::CorruptSnapshot { path, offset_bytes: 64, .. }] if *path == newest));
}

#[test]
fn a_corrupt_snapshot_does_not_take_the_place_of_a_sound_one() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 10, 100);
    flip_bit(&write(dir.path(), 40, 100).path, 100, 0);
    // The node restarts from 10 and takes snapshots again on its way to 40.
    assert!(write(dir.path(), 20, 100).deleted.is_empty());
    assert_eq!(write(dir.path(), 30, 100).deleted, [SNAPSHOTS.path(dir.path(), 10)]);
    assert_eq!(SNAPSHOTS.heights(dir.path()).unwrap(), [20, 30, 40]);
    assert_eq!(read_latest(dir.path()).0, 30);
    // Writing 40 anew replaces the damaged file.
    write(dir.path(), 40, 100);
    assert_eq!(read_latest(dir.path()).0, 40);
}

#[test]
fn no_sound_snapshot_is_not_an_error_but_all_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    for height in [1, 2] {
        flip_bit(&write(dir.path(), height, 10).path, 0, 0);
    }
    let opened = open_latest(dir.path(), &CHAIN).unwrap();
    assert!(opened.latest.is_none());
    assert_eq!(opened.skipped.len(), 2);
}

#[test]
fn a_leftover_temporary_file_is_deleted_and_never_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 10, 100);
    let leftover = SNAPSHOTS.temporary_path(dir.path(), 20);
    fs::write(&leftover, b"half").unwrap();
    fs::write(dir.path().join("notes.tmp"), b"not ours").unwrap();
    let opened = open_latest(dir.path(), &CHAIN).unwrap();
    assert_eq!(opened.temporaries_deleted, std::slice::from_ref(&leftover));
    assert_eq!(opened.latest.unwrap().height(), 10);
    assert!(!leftover.exists() && dir.path().join("notes.tmp").exists());
}

#[test]
fn a_failed_writer_leaves_the_earlier_snapshots_and_no_temporary_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 10, 100);
    let failed = write_snapshot(dir.path(), 20, &CHAIN, |writer| {
        writer.write_all(&vec![1; 2 * CHUNK_BYTES])?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    assert!(matches!(failed, Err(Fault::DiskFull { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(read_latest(dir.path()).0, 10);
}

#[test]
fn a_snapshot_of_another_chain_is_refused_rather_than_skipped() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 10, 100);
    assert!(matches!(open_latest(dir.path(), &[8; 32]), Err(Fault::WrongChain { .. })));
}

#[test]
fn a_snapshot_of_newer_software_is_refused_rather_than_skipped() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 10, 100);
    let header = FileHeader { chain_id: CHAIN, height: 20, salt: 0 };
    fs::write(SNAPSHOTS.path(dir.path(), 20), header.encode_version(FileKind::Snapshot, 9)).unwrap();
    assert!(matches!(open_latest(dir.path(), &CHAIN), Err(Fault::FormatTooNew { found: 9, .. })));
}

#[test]
fn damage_that_appears_after_opening_ends_the_stream_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), 10, 2 * CHUNK_BYTES).path;
    let mut reader = open_latest(dir.path(), &CHAIN).unwrap().latest.unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"?", CHUNK_BYTES as u64 + 500).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("is damaged at byte"), "{error}");
}

#[test]
fn swapped_chunks_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), 10, 2 * CHUNK_BYTES).path;
    let mut bytes = fs::read(&path).unwrap();
    let frame_bytes = CHUNK_HEADER_BYTES + CHUNK_BYTES;
    let (first, rest) = bytes[FILE_HEADER_BYTES..].split_at_mut(frame_bytes);
    first.swap_with_slice(&mut rest[..frame_bytes]);
    fs::write(&path, bytes).unwrap();
    assert_eq!(open_latest(dir.path(), &CHAIN).unwrap().skipped.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn prop_any_flipped_bit_truncation_or_added_byte_is_noticed(
        size_bytes in 0_usize..3000,
        byte in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        cut in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), 1, size_bytes).path;
        let sound = fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        flipped[byte.index(sound.len())] ^= 1 << bit;
        let truncated = sound[..cut.index(sound.len())].to_vec();
        let lengthened = [&sound[..], &[0]].concat();
        for damaged in [flipped, truncated, lengthened] {
            fs::write(&path, damaged).unwrap();
            let opened = open_latest(dir.path(), &CHAIN).unwrap();
            prop_assert!(opened.latest.is_none());
            prop_assert_eq!(opened.skipped.len(), 1);
        }
        fs::write(&path, &sound).unwrap();
        prop_assert_eq!(read_latest(dir.path()).1, contents(1, size_bytes));
    }
}
