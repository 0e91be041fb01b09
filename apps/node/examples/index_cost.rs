//! What one envelope id costs in the indexes, and what persisting costs, while the file grows.
//!
//! Run: `cargo run --release -p casemate-node --example index_cost [folder]`.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use casemate_node::indexes::{BlockIndexEntry, Indexes};
use casemate_node::journal::Location;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let path = folder.join("index-cost.redb");
    let (indexes, opened) = Indexes::open(&path, &[1; 32])?;
    println!("`{}`: {opened:?}; batches of {BATCH_IDS} random ids", path.display());
    println!("{:>12} {:>14} {:>12} {:>12} {:>12}", "ids before", "us per id", "persist ms", "look-up us", "file MiB");
    let mut ids = random_ids();
    let mut height = indexes.indexed_up_to()?.unwrap_or(0);
    let mut count = 0;
    while count < IDS_MAX {
        let mut times = Vec::new();
        for _ in 0..BATCHES_PER_LINE {
            let entries: Vec<_> = (1..=BATCH_IDS / BLOCK_IDS).map(|next| entry(height + next, &mut ids)).collect();
            height += entries.len() as u64;
            let started = Instant::now();
            indexes.put_batch(&entries)?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        let started = Instant::now();
        indexes.persist()?;
        let persist = started.elapsed();
        let started = Instant::now();
        for id in ids.by_ref().take(LOOK_UPS) {
            indexes.envelope_place(&id)?;
        }
        println!(
            "{count:>12} {:>14.2} {:>12.1} {:>12.2} {:>12}",
            micros(times[times.len() / 2]) / BATCH_IDS as f64,
            micros(persist) / 1e3,
            micros(started.elapsed()) / LOOK_UPS as f64,
            path.metadata()?.len() >> 20,
        );
        count += BATCH_IDS * BATCHES_PER_LINE;
    }
    drop(indexes);
    let started = Instant::now();
    drop(Indexes::open(&path, &[1; 32])?);
    println!("open and close again: {:.1} ms", micros(started.elapsed()) / 1e3);
    std::fs::remove_file(&path)?;
    Ok(())
}

fn entry(height: u64, ids: &mut impl Iterator<Item = [u8; 32]>) -> BlockIndexEntry {
    BlockIndexEntry {
        height,
        location: Location { segment_first_height: height / 100, offset_bytes: height },
        first_record: height * 10_000,
        envelope_ids: ids.take(BLOCK_IDS as usize).collect(),
    }
}

/// Spread like hashes; a fixed sequence, so that two runs do the same work.
fn random_ids() -> impl Iterator<Item = [u8; 32]> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(move || {
        let mut id = [0; 32];
        for part in id.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            part.copy_from_slice(&state.wrapping_mul(0xD1B5_4A32_D192_ED03).to_be_bytes());
        }
        id
    })
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

const BLOCK_IDS: u64 = 2_000;
const BATCH_IDS: u64 = 50_000;
const BATCHES_PER_LINE: u64 = 5;
const IDS_MAX: u64 = 2_000_000;
const LOOK_UPS: usize = 10_000;
