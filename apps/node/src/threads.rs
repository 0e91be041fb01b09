//! How the node spreads core's pure batches over threads.

use casemate_protocol::parallel::Parallel;
use rayon::prelude::*;

/// A pool of threads that core's batches run on, or the calling thread alone.
pub struct Threads {
    pool: Option<rayon::ThreadPool>,
    width: usize,
}

impl Threads {
    /// Uses this many threads; with one, everything runs on the caller's.
    ///
    /// # Errors
    /// If the operating system gives no threads.
    pub fn new(width: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = if width > 1 { Some(rayon::ThreadPoolBuilder::new().num_threads(width).build()?) } else { None };
        Ok(Self { pool, width: width.max(1) })
    }

    /// Runs two pieces of work, side by side if there are threads for it.
    pub fn join<A: Send, B: Send>(&self, a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
        match &self.pool {
            Some(pool) => pool.join(a, b),
            None => (a(), b()),
        }
    }
}

impl Parallel for Threads {
    fn width(&self) -> usize {
        self.width
    }

    fn for_each_mut<T: Send>(&self, items: &mut [T], work: impl Fn(&mut T) + Sync + Send) {
        match &self.pool {
            Some(pool) if items.len() > 1 => pool.install(|| items.par_iter_mut().for_each(work)),
            _ => items.iter_mut().for_each(work),
        }
    }
}
