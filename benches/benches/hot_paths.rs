//! The hot paths against the clock, on one thread.
//!
//! What to expect on paper: a hash of one block takes 0.05 µs with SHA extensions, a row in cache a few nanoseconds.
//! Decoding is three digests over two or three blocks; a resting order touches a dozen rows; a leaf of the log is one
//! hash of two blocks and one node; a changed row is its salt, a commitment of three blocks and a bit more than one node
//! of five blocks, so half a microsecond in cache and twice that out of it; a command of a block is one order, two
//! changed rows, two hashes of a record and a leaf of the log.

use std::time::{Duration, Instant};

use casemate_benches::{HOT_PATHS, HotPath};
use criterion::Criterion;

fn main() {
    // A preparation may cost more than what it prepares, so samples are few.
    let mut criterion =
        Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2)).configure_from_args();
    for path in &HOT_PATHS {
        criterion.bench_function(path.name, |bencher| bencher.iter_custom(|operations| time(path, operations)));
    }
    criterion.final_summary();
}

/// The operations alone, in as many preparations as they need.
fn time(path: &HotPath, operations: u64) -> Duration {
    let mut left = operations;
    let mut elapsed = Duration::ZERO;
    while left > 0 {
        let batch = u32::try_from(left).unwrap_or(u32::MAX).min(path.prepared_max);
        let mut run = (path.prepare)(batch);
        let started = Instant::now();
        run(batch);
        elapsed += started.elapsed();
        left -= u64::from(batch);
    }
    elapsed
}
