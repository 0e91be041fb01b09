//! Truncation and flipped bits at any byte: what is recovered, what is refused.

use proptest::prelude::*;

use super::super::format::{self, RECORD_HEADER_BYTES};
use super::*;

const FILE_HEADER_BYTES: usize = crate::durable_files::FILE_HEADER_BYTES;

/// Where the last record of the last segment ends, not counting the final mark.
fn end_of_blocks(locations: &[Location], sizes_bytes: &[usize]) -> usize {
    locations.last().unwrap().offset_bytes as usize + RECORD_HEADER_BYTES + sizes_bytes.last().unwrap()
}

fn cut_last_segment(dir: &Path, size_bytes: usize) {
    writable(&last_segment_path(dir)).set_len(size_bytes as u64).unwrap();
}

fn flip_bit(path: &Path, byte: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

/// Opens a journal whose last segment ends after `size_bytes` and compares with the blocks that fit.
fn check_truncation(dir: &Path, locations: &[Location], sizes_bytes: &[usize], size_bytes: usize) {
    let last_segment = locations.last().unwrap().segment_first_height;
    let fits = |(location, size): &(&Location, &usize)| {
        location.segment_first_height < last_segment
            || location.offset_bytes as usize + RECORD_HEADER_BYTES + **size <= size_bytes
    };
    let kept = locations.iter().zip(sizes_bytes).take_while(fits).count();
    cut_last_segment(dir, size_bytes);
    if size_bytes < FILE_HEADER_BYTES {
        assert!(matches!(open(dir), Err(Fault::CorruptSegment { offset_bytes: 0, .. })));
        return;
    }
    let (journal, mut writer, report) = open(dir).unwrap();
    assert_eq!(report.blocks, kept as u64);
    assert_eq!(read_all(&journal, 1), expected(sizes_bytes)[..kept]);
    // Going on must work, and what was cut off must not come back.
    let next = kept as u64 + 1;
    writer.append(next, &payload(next, 1, 5)).unwrap();
    writer.sync().unwrap();
    drop(writer);
    let (journal, _writer, report) = open(dir).unwrap();
    assert_eq!((report.last_height, report.torn_bytes_dropped), (Some(next), 0));
    assert_eq!(read_all(&journal, next), [(next, payload(next, 1, 5))]);
}

#[test]
fn every_truncation_of_a_small_journal_recovers_the_whole_blocks_before_it() {
    let sizes = [40, 0, 25];
    for size_bytes in 0..340 {
        let dir = tempfile::tempdir().unwrap();
        let locations = write_journal(dir.path(), &sizes);
        check_truncation(dir.path(), &locations, &sizes, size_bytes);
    }
}

#[test]
fn a_torn_tail_is_reported_with_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let locations = write_journal(dir.path(), &[100, 100]);
    cut_last_segment(dir.path(), end_of_blocks(&locations, &[100, 100]) - 1);
    let report = open(dir.path()).unwrap().2;
    assert_eq!((report.last_height, report.torn_bytes_dropped), (Some(1), (RECORD_HEADER_BYTES + 99) as u64));
    assert_eq!(open(dir.path()).unwrap().2.torn_bytes_dropped, 0);
}

#[test]
fn damage_in_an_acknowledged_block_changes_nothing_in_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let locations = write_journal(dir.path(), &[100, 100, 100]);
    let path = last_segment_path(dir.path());
    let damaged_from_bytes = locations[1].offset_bytes;
    flip_bit(&path, damaged_from_bytes as usize + 50, 3);
    let before = fs::read(&path).unwrap();
    for _ in 0..2 {
        let fault = open(dir.path()).unwrap_err();
        assert!(matches!(&fault, Fault::CorruptSegment { path: named, offset_bytes, .. }
            if *named == path && *offset_bytes == damaged_from_bytes));
        assert!(fault.hint().contains("nothing was changed"));
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_torn_batch_is_dropped_although_a_later_block_of_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[50]);
    let (_, mut writer, _) = open(dir.path()).unwrap();
    let torn = writer.append(2, &payload(2, 0, 50)).unwrap();
    writer.append(3, &payload(3, 0, 50)).unwrap();
    writer.sync().unwrap();
    drop(writer);
    // A power cut that kept block 3 but neither block 2 nor the mark, which is written after both.
    let path = last_segment_path(dir.path());
    flip_bit(&path, torn.offset_bytes as usize, 0);
    cut_last_segment(dir.path(), torn.offset_bytes as usize + 2 * (RECORD_HEADER_BYTES + 50));
    let (_, mut writer, report) = open(dir.path()).unwrap();
    assert_eq!(report.last_height, Some(1));
    assert!(report.torn_bytes_dropped > 0);
    // The stale block 3 must not be found behind what follows now, not even by a scan after a second tear.
    writer.append(2, &payload(2, 1, 10)).unwrap();
    writer.sync().unwrap();
    drop(writer);
    assert_eq!(open(dir.path()).unwrap().2.last_height, Some(2));
}

#[test]
fn a_payload_that_imitates_records_cannot_turn_a_torn_tail_into_damage() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[50]);
    let (_, mut writer, _) = open(dir.path()).unwrap();
    // All a client can know is the format: the salt stays in the folder.
    let mut hostile = vec![0; 7];
    for guess in [0, 1, 7, u64::MAX] {
        hostile.extend_from_slice(&format::mark(guess, 1000));
        format::put_block(&mut hostile, guess, 999, 999, b"imitation");
    }
    let location = writer.append(2, &hostile).unwrap();
    writer.sync().unwrap();
    drop(writer);
    cut_last_segment(dir.path(), location.offset_bytes as usize + RECORD_HEADER_BYTES + hostile.len() - 1);
    assert_eq!(open(dir.path()).unwrap().2.last_height, Some(1));
}

#[test]
fn any_damage_in_a_segment_with_a_successor_is_a_fault_even_behind_its_last_block() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[900; 3]);
    let path = SEGMENTS.path(dir.path(), 1);
    let mark_byte = fs::metadata(&path).unwrap().len() as usize - 1;
    flip_bit(&path, mark_byte, 0);
    assert!(matches!(open(dir.path()), Err(Fault::CorruptSegment { path: named, .. }) if named == path));
}

#[test]
fn a_finished_segment_is_marked_before_its_successor_exists() {
    let dir = tempfile::tempdir().unwrap();
    let locations = write_journal(dir.path(), &[900; 3]);
    // As if the crash had come just before the successor got its name.
    fs::remove_file(SEGMENTS.path(dir.path(), 3)).unwrap();
    flip_bit(&SEGMENTS.path(dir.path(), 1), locations[1].offset_bytes as usize + 40, 0);
    assert!(matches!(open(dir.path()), Err(Fault::CorruptSegment { .. })));
}

#[test]
fn opening_leaves_a_mark_behind_blocks_that_had_none() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [50, 3_000_001];
    let locations = write_journal(dir.path(), &sizes);
    let end = end_of_blocks(&locations, &sizes);
    cut_last_segment(dir.path(), end);
    let (journal, writer, _) = open(dir.path()).unwrap();
    assert!(read_all(&journal, 1) == expected(&sizes));
    drop(writer);
    // Now the last block counts as acknowledged, and damage to it is no torn tail any more.
    flip_bit(&last_segment_path(dir.path()), end - 1, 0);
    assert!(matches!(open(dir.path()), Err(Fault::CorruptSegment { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Every truncation of the last segment recovers exactly the blocks that are whole in front of it.
    #[test]
    fn prop_truncation_recovers_the_whole_blocks_before_it(
        sizes in prop::collection::vec(0_usize..900, 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let locations = write_journal(dir.path(), &sizes);
        let size_bytes = cut.index(end_of_blocks(&locations, &sizes) + RECORD_HEADER_BYTES + 100);
        check_truncation(dir.path(), &locations, &sizes, size_bytes);
    }

    /// After a clean close, one flipped bit loses no block: before the final mark it is damage that names the segment;
    /// in or behind the final mark every block is still there.
    #[test]
    fn prop_a_flipped_bit_after_a_clean_close_loses_no_block(
        sizes in prop::collection::vec(0_usize..900, 1..12),
        segment in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let locations = write_journal(dir.path(), &sizes);
        let path = SEGMENTS.path(dir.path(), *segment.get(&segments(dir.path())));
        let byte = byte.index(fs::metadata(&path).unwrap().len() as usize);
        flip_bit(&path, byte, bit);
        let is_harmless = path == last_segment_path(dir.path()) && byte >= end_of_blocks(&locations, &sizes);
        match open(dir.path()) {
            Ok((journal, _writer, report)) => {
                prop_assert!(is_harmless);
                prop_assert!(report.torn_bytes_dropped > 0);
                prop_assert_eq!(read_all(&journal, 1), expected(&sizes));
            }
            Err(Fault::CorruptSegment { path: named, offset_bytes, .. }) => {
                prop_assert!(!is_harmless);
                prop_assert_eq!(named, path);
                prop_assert!(offset_bytes as usize <= byte);
            }
            Err(fault) => prop_assert!(false, "{}", fault),
        }
    }

    /// The one case no rule can decide: the mark of the last batch never reached the disk, and a bit flipped. Either
    /// it is named as damage, or the loss is of the last batch alone, and reported.
    #[test]
    fn prop_a_flipped_bit_without_final_mark_loses_at_most_the_last_batch(
        sizes in prop::collection::vec(0_usize..300, 2..12),
        batch_blocks in 1_usize..4,
        byte in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let options = JournalOptions { segment_bytes: 1 << 20, ..SMALL };
        let (_, mut writer, _) = Journal::open(dir.path(), &CHAIN, options).unwrap();
        let mut last = Vec::new();
        let mut before_last_batch = 0;
        let all = expected(&sizes);
        for batch in all.chunks(batch_blocks) {
            before_last_batch = batch[0].0 - 1;
            last = batch.iter().map(|(height, payload)| writer.append(*height, payload).unwrap()).collect();
            writer.sync().unwrap();
        }
        drop(writer);
        let end = end_of_blocks(&last, &sizes);
        cut_last_segment(dir.path(), end);
        flip_bit(&last_segment_path(dir.path()), byte.index(end), bit);
        match Journal::open(dir.path(), &CHAIN, options) {
            Ok((journal, _writer, report)) => {
                prop_assert!(report.blocks >= before_last_batch);
                prop_assert!(report.torn_bytes_dropped > 0);
                prop_assert_eq!(&read_all(&journal, 1)[..], &all[..report.blocks as usize]);
            }
            Err(Fault::CorruptSegment { offset_bytes, .. }) => prop_assert!(offset_bytes as usize <= byte.index(end)),
            Err(fault) => prop_assert!(false, "{}", fault),
        }
    }
}
