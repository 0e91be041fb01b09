//! How pure batches are spread over cores without core knowing what a thread is.

/// Runs independent pieces of pure work. The caller of core chooses how; results may not depend on the choice.
pub trait Parallel: Sync {
    /// Number of pieces that can make progress at the same time, at least 1.
    fn width(&self) -> usize;

    /// Calls `work` once for every item, in any order, and returns when all calls have returned.
    fn for_each_mut<T: Send>(&self, items: &mut [T], work: impl Fn(&mut T) + Sync + Send);
}

/// Everything on the calling thread, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl Parallel for Sequential {
    fn width(&self) -> usize {
        1
    }

    fn for_each_mut<T: Send>(&self, items: &mut [T], work: impl Fn(&mut T) + Sync + Send) {
        items.iter_mut().for_each(work);
    }
}
