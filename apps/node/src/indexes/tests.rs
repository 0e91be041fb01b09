use super::*;

const CHAIN: [u8; 32] = [7; 32];

fn entry(height: u64, first_record: u64, envelopes: u8) -> BlockIndexEntry {
    let location = Location { segment_first_height: height / 10 * 10, offset_bytes: height * 100 };
    let envelope_ids = (0..envelopes).map(|position| id(height, position)).collect();
    BlockIndexEntry { height, location, first_record, envelope_ids }
}

fn id(height: u64, position: u8) -> [u8; 32] {
    let mut id = [position; 32];
    id[..8].copy_from_slice(&height.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    id
}

fn open(path: &Path) -> (Indexes, IndexesOpened) {
    Indexes::open(path, &CHAIN).unwrap()
}

#[test]
fn blocks_records_and_envelopes_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (indexes, opened) = open(&dir.path().join("indexes.redb"));
    assert_eq!(opened, IndexesOpened::Created);
    assert_eq!(indexes.indexed_up_to().unwrap(), None);
    assert_eq!(indexes.height_of_record(5).unwrap(), None);
    let entries = [entry(11, 100, 3), entry(12, 103, 0), entry(13, 103, 2)];
    indexes.put_batch(&entries).unwrap();
    indexes.put_batch(&[entry(14, 110, 1)]).unwrap();
    assert_eq!(indexes.indexed_up_to().unwrap(), Some(14));
    assert_eq!(indexes.block_location(12).unwrap(), Some(entries[1].location));
    assert_eq!(indexes.block_location(15).unwrap(), None);
    let place = |height, position| Some(EnvelopePlace { height, position });
    assert_eq!(indexes.envelope_place(&id(11, 2)).unwrap(), place(11, 2));
    assert_eq!(indexes.envelope_place(&id(13, 1)).unwrap(), place(13, 1));
    assert_eq!(indexes.envelope_place(&id(12, 0)).unwrap(), None);
}

#[test]
fn a_record_belongs_to_the_last_block_that_starts_at_or_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (indexes, _) = open(&dir.path().join("indexes.redb"));
    // Block 12 has no records: record 103 is the first of block 13.
    indexes.put_batch(&[entry(11, 100, 0), entry(12, 103, 0), entry(13, 103, 0), entry(14, 110, 0)]).unwrap();
    let heights = [99, 100, 102, 103, 109, 110, 999].map(|record| indexes.height_of_record(record).unwrap());
    assert_eq!(heights, [None, Some(11), Some(11), Some(13), Some(13), Some(14), Some(14)]);
}

#[test]
fn a_gap_is_refused_and_nothing_of_the_batch_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let (indexes, _) = open(&dir.path().join("indexes.redb"));
    indexes.put_batch(&[entry(1, 1, 1)]).unwrap();
    for batch in [vec![entry(3, 2, 1)], vec![entry(2, 2, 1), entry(4, 3, 1)], vec![entry(1, 1, 1)]] {
        assert!(matches!(indexes.put_batch(&batch), Err(Fault::HeightOutOfOrder { .. })));
    }
    assert_eq!(indexes.indexed_up_to().unwrap(), Some(1));
    assert_eq!(indexes.envelope_place(&id(2, 0)).unwrap(), None);
}

#[test]
fn closing_persists_what_was_added() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("indexes.redb");
    open(&path).0.put_batch(&[entry(1, 1, 4)]).unwrap();
    let (indexes, opened) = open(&path);
    assert_eq!(opened, IndexesOpened::Existing);
    assert_eq!(indexes.indexed_up_to().unwrap(), Some(1));
}

#[test]
fn after_a_crash_the_indexes_stand_where_they_were_persisted() {
    let dir = tempfile::tempdir().unwrap();
    let (indexes, _) = open(&dir.path().join("indexes.redb"));
    indexes.put_batch(&[entry(1, 1, 4)]).unwrap();
    indexes.persist().unwrap();
    indexes.put_batch(&[entry(2, 5, 4)]).unwrap();
    // What a crash leaves: the file as it is while still open.
    let crashed = dir.path().join("crashed.redb");
    fs::copy(&indexes.path, &crashed).unwrap();
    let (recovered, opened) = open(&crashed);
    assert_eq!(opened, IndexesOpened::Existing);
    assert_eq!(recovered.indexed_up_to().unwrap(), Some(1));
    assert_eq!(recovered.envelope_place(&id(2, 0)).unwrap(), None);
    recovered.put_batch(&[entry(2, 5, 4)]).unwrap();
}

#[test]
fn a_second_opener_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("indexes.redb");
    let (_indexes, _) = open(&path);
    assert!(matches!(Indexes::open(&path, &CHAIN), Err(Fault::FolderLocked { .. })));
}

#[test]
fn a_file_of_no_use_is_replaced_by_an_empty_one_and_the_reason_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("indexes.redb");
    open(&path).0.put_batch(&[entry(1, 1, 4)]).unwrap();
    let sound = fs::read(&path).unwrap();
    let garbage: Vec<u8> = sound.iter().map(|byte| byte ^ 0xA5).collect();
    for useless in [b"short".to_vec(), garbage, vec![0; 10_000], sound[..sound.len() / 2].to_vec()] {
        fs::write(&path, useless).unwrap();
        let (indexes, opened) = open(&path);
        assert!(matches!(opened, IndexesOpened::Recreated { reason } if !reason.is_empty()));
        assert_eq!(indexes.indexed_up_to().unwrap(), None);
        indexes.put_batch(&[entry(1, 1, 4)]).unwrap();
    }
}

#[test]
fn indexes_of_another_chain_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("indexes.redb");
    open(&path).0.put_batch(&[entry(1, 1, 4)]).unwrap();
    let (indexes, opened) = Indexes::open(&path, &[8; 32]).unwrap();
    assert!(matches!(opened, IndexesOpened::Recreated { reason } if reason.contains("another chain")));
    assert_eq!(indexes.indexed_up_to().unwrap(), None);
}

#[test]
fn a_flipped_byte_anywhere_never_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("indexes.redb");
    open(&path).0.put_batch(&[entry(1, 1, 200), entry(2, 300, 200)]).unwrap();
    let sound = fs::read(&path).unwrap();
    // Every eighth byte of the header, then a sample of the pages in use: some make the library panic.
    for byte in (0..512).step_by(8).chain((512..100_000).step_by(1531)) {
        let mut flipped = sound.clone();
        flipped[byte] ^= 0xFF;
        fs::write(&path, flipped).unwrap();
        let (indexes, _) = open(&path);
        // Answers may be wrong or missing, and a look-up may be a fault; the caller checks them against the journal.
        let _ = indexes.envelope_place(&id(1, 3));
        let _ = indexes.block_location(1);
    }
}
