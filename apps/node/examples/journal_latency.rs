//! What one durable block costs: append and `fdatasync`, for three ways to lay out the segment file.
//!
//! Run: `cargo run --release -p casemate-node --example journal_latency [folder]`. The folder must be on the disk
//! that will hold the journal; a memory file system measures nothing. This program documents the choice that
//! `JournalOptions::default` makes, and lets an operator repeat it on their own disk.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FallocateFlags, fallocate};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    println!("append and fdatasync in `{}`, {SAMPLES} samples each, in rounds", folder.display());
    println!("{:>10} {:>14} {:>10} {:>10} {:>10}", "block", "layout", "p50 ms", "p90 ms", "p99 ms");
    for block_bytes in BLOCK_BYTES {
        // Layouts take turns in short rounds, so that a disk that slows down for a while slows all of them.
        let mut samples = LAYOUTS.map(|_| Vec::with_capacity(SAMPLES));
        for _ in 0..SAMPLES / ROUND_SAMPLES {
            for (layout, times) in LAYOUTS.into_iter().zip(&mut samples) {
                times.extend(measure_round(&folder, layout, block_bytes)?);
            }
        }
        for (layout, mut times) in LAYOUTS.into_iter().zip(samples) {
            times.sort_unstable();
            println!(
                "{:>6} KiB {:>14} {:>10.3} {:>10.3} {:>10.3}",
                block_bytes / KIB,
                format!("{layout:?}"),
                quantile_ms(&times, 50),
                quantile_ms(&times, 90),
                quantile_ms(&times, 99),
            );
        }
    }
    Ok(())
}

/// How the file looks before the first append.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// Empty: each append makes it longer.
    Growing,
    /// `fallocate` to full size: length and blocks are settled, extents are still marked unwritten.
    Fallocated,
    /// Written with zeros to full size: an append changes no metadata at all, but every byte is written twice.
    ZeroFilled,
}

fn measure_round(folder: &Path, layout: Layout, block_bytes: usize) -> io::Result<Vec<Duration>> {
    let path = folder.join("journal-latency.tmp");
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    let size_bytes = block_bytes * (ROUND_SAMPLES + 1);
    match layout {
        Layout::Growing => {}
        Layout::Fallocated => fallocate(&file, FallocateFlags::empty(), 0, size_bytes as u64)?,
        Layout::ZeroFilled => file.write_all_at(&vec![0; size_bytes], 0)?,
    }
    file.sync_all()?;
    let block = vec![0xA5; block_bytes];
    // The first append pays for opening the extent tree; a segment pays that once.
    append(&file, &block, 0)?;
    let times = (1..=ROUND_SAMPLES).map(|index| append(&file, &block, (index * block_bytes) as u64)).collect();
    drop(file);
    fs::remove_file(&path)?;
    times
}

fn append(file: &File, block: &[u8], offset_bytes: u64) -> io::Result<Duration> {
    let started = Instant::now();
    file.write_all_at(block, offset_bytes)?;
    file.sync_data()?;
    Ok(started.elapsed())
}

fn quantile_ms(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

const KIB: usize = 1024;
const BLOCK_BYTES: [usize; 3] = [64 * KIB, 512 * KIB, 1024 * KIB];
const LAYOUTS: [Layout; 3] = [Layout::Growing, Layout::Fallocated, Layout::ZeroFilled];
const ROUND_SAMPLES: usize = 20;
const SAMPLES: usize = 400;
