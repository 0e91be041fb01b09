//! What one durable block costs: append and `fdatasync`, for three ways to lay out the segment file, and by the journal.
//!
//! Run: `cargo run --release -p casemate-node --example journal_latency [folder]`. The folder must be on the disk
//! that will hold the journal; a memory file system measures nothing. This program documents the choice that
//! `JournalOptions::default` makes, and lets an operator repeat it on their own disk.

use std::env;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use casemate_node::journal::{Journal, JournalOptions};
use rustix::fs::{FallocateFlags, fallocate};

fn main() -> Result<(), Box<dyn Error>> {
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
        for (layout, times) in LAYOUTS.into_iter().zip(samples) {
            print_line(block_bytes, &format!("{layout:?}"), times);
        }
        print_line(block_bytes, "journal", measure_journal(&folder, block_bytes)?);
    }
    measure_open(&folder)
}

fn print_line(block_bytes: usize, layout: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let [p50, p90, p99] = [50, 90, 99].map(|percent| quantile_ms(&times, percent));
    println!("{:>6} KiB {layout:>14} {p50:>10.3} {p90:>10.3} {p99:>10.3}", block_bytes / KIB);
}

/// The journal itself: checksum, copy, `append`, `sync` and mark, across segment borders.
fn measure_journal(folder: &Path, block_bytes: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let dir = folder.join("journal-latency.d");
    let (_, mut writer, _) = Journal::open(&dir, &CHAIN, JournalOptions::default())?;
    let block = vec![0xA5; block_bytes];
    let mut times = Vec::new();
    for height in 1..=SAMPLES as u64 {
        let started = Instant::now();
        writer.append(height, &block)?;
        writer.sync()?;
        times.push(started.elapsed());
    }
    writer.close()?;
    fs::remove_dir_all(&dir)?;
    Ok(times)
}

/// How fast opening reads through a journal that is in the page cache.
fn measure_open(folder: &Path) -> Result<(), Box<dyn Error>> {
    let dir = folder.join("journal-latency.d");
    let (_, mut writer, _) = Journal::open(&dir, &CHAIN, JournalOptions::default())?;
    for height in 1..=1024 {
        writer.append(height, &vec![0xA5; 512 * KIB])?;
    }
    writer.close()?;
    let started = Instant::now();
    let (_, _, report) = Journal::open(&dir, &CHAIN, JournalOptions::default())?;
    println!("opening and checking 512 MiB in {} blocks: {:?}", report.blocks, started.elapsed());
    fs::remove_dir_all(&dir)?;
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

const CHAIN: [u8; 32] = [1; 32];
const KIB: usize = 1024;
const BLOCK_BYTES: [usize; 3] = [64 * KIB, 512 * KIB, 1024 * KIB];
const LAYOUTS: [Layout; 3] = [Layout::Growing, Layout::Fallocated, Layout::ZeroFilled];
const ROUND_SAMPLES: usize = 20;
const SAMPLES: usize = 400;
