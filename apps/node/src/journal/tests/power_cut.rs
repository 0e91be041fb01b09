//! Power cuts: any subset of the sectors written since the last sync may be on the disk.

use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;

const SECTOR_BYTES: usize = 512;
const ROOMY: JournalOptions = JournalOptions { segment_bytes: 1 << 20, verify_from_height: 0 };

/// A disk with a volatile cache: the file underneath holds only what was synced.
#[derive(Clone, Debug)]
struct CachedDisk {
    file: Arc<File>,
    cache: Arc<Mutex<Vec<CachedWrite>>>,
    has_power: bool,
}

#[derive(Debug)]
struct CachedWrite {
    offset_bytes: u64,
    bytes: Vec<u8>,
}

impl CachedDisk {
    fn new(path: &Path) -> Self {
        Self { file: Arc::new(writable(path)), cache: Arc::default(), has_power: true }
    }

    /// The power goes: each sector of each cached write reached the disk or did not, as `luck` has it.
    fn cut(&self, mut luck: impl FnMut() -> bool) {
        for CachedWrite { offset_bytes, bytes } in self.cache.lock().unwrap().drain(..) {
            let mut done = 0;
            while done < bytes.len() {
                let position = offset_bytes as usize + done;
                let sector_end = (position / SECTOR_BYTES + 1) * SECTOR_BYTES;
                let part = &bytes[done..bytes.len().min(done + sector_end - position)];
                if luck() {
                    self.file.write_all_at(part, position as u64).unwrap();
                }
                done += part.len();
            }
        }
    }
}

impl SyncFile for CachedDisk {
    fn write_range(&mut self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        self.cache.lock().unwrap().push(CachedWrite { offset_bytes, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if !self.has_power {
            return Err(io::Error::other("the power went during this sync"));
        }
        self.cut(|| true);
        Ok(())
    }

    fn truncate_and_sync(&mut self, _size_bytes: u64) -> io::Result<()> {
        unreachable!("segments in this test never fill")
    }
}

/// One life of a node: batches of block sizes, each synced or only published; in the sync of the last the power goes.
#[derive(Clone, Debug)]
struct Life {
    batches: Vec<(Vec<usize>, bool)>,
    luck: Vec<bool>,
}

fn life() -> impl Strategy<Value = Life> {
    let batch = (prop::collection::vec(0_usize..1500, 1..4), any::<bool>());
    let luck = prop::collection::vec(any::<bool>(), 1..40);
    (prop::collection::vec(batch, 1..4), luck).prop_map(|(batches, luck)| Life { batches, luck })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever the power cuts leave, opening succeeds, every acknowledged block is there, and nothing else appears
    /// than blocks that were appended last, in order.
    #[test]
    fn prop_power_cuts_lose_no_acknowledged_block_and_never_look_like_damage(
        lives in prop::collection::vec(life(), 1..5),
    ) {
        let dir = tempfile::tempdir().unwrap();
        {
            let (_, mut writer, _) = Journal::open(dir.path(), &CHAIN, ROOMY).unwrap();
            writer.append(1, &payload(1, 0, 10)).unwrap();
            writer.close().unwrap();
        }
        let mut held = vec![(1, payload(1, 0, 10))];
        for (generation, life) in (1..).zip(&lives) {
            let (_, mut writer, _) = Journal::open(dir.path(), &CHAIN, ROOMY).unwrap();
            let disk = CachedDisk::new(&last_segment_path(dir.path()));
            writer.replace_file(Box::new(disk.clone()));
            let mut appended = held.clone();
            for (batches_left, (batch, is_published)) in (0..life.batches.len()).rev().zip(&life.batches) {
                for size_bytes in batch {
                    let height = appended.len() as u64 + 1;
                    appended.push((height, payload(height, generation, *size_bytes)));
                    writer.append(height, &appended.last().unwrap().1).unwrap();
                }
                if batches_left == 0 {
                    writer.replace_file(Box::new(CachedDisk { has_power: false, ..disk.clone() }));
                    prop_assert!(writer.sync().is_err());
                } else if *is_published {
                    writer.publish().unwrap();
                } else {
                    writer.sync().unwrap();
                    held = appended.clone();
                }
            }
            drop(writer);
            let mut luck = life.luck.iter().copied().cycle();
            disk.cut(|| luck.next().unwrap());

            let (journal, writer, report) = Journal::open(dir.path(), &CHAIN, ROOMY).unwrap();
            let found = read_all(&journal, 1);
            prop_assert_eq!(report.blocks as usize, found.len());
            prop_assert!(found.len() >= held.len());
            prop_assert_eq!(&found[..], &appended[..found.len()]);
            held = found;
            drop(writer);
        }
    }
}
