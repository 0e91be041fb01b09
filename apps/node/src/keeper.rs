//! The keeper: makes blocks durable on a thread of its own and says when they are.
//!
//! The node executes the next block while the last one is being written. Whatever waits when a write ends is taken
//! into the next one (group commit), so the cost of `fdatasync` is shared by all blocks that arrived meanwhile.
//!
//! Records and index entries can be made again from the blocks. They are written behind, by a second thread, and nobody
//! waits until the disk has them, so that they never stand between a block and its receipts: a sync of theirs would
//! hold up the journal's on the same disk. They are never written before the block is durable, or a crash could leave
//! records of a block that does not exist; and a snapshot, behind which nothing can be made again, syncs them first.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::fault::Fault;
use crate::indexes::{BlockIndexEntry, Indexes};
use crate::journal::JournalWriter;

/// A block to keep.
#[derive(Debug)]
pub struct BlockToKeep {
    /// Its height.
    pub height: u64,
    /// Its canonical bytes.
    pub block: Vec<u8>,
    /// Its records, encoded.
    pub records: Arc<Vec<u8>>,
    /// Index of its first record.
    pub first_record: u64,
    /// Ids of its envelopes.
    pub envelope_ids: Vec<[u8; 32]>,
}

/// Says up to which height everything is durable, and since when.
#[derive(Clone, Copy, Debug)]
pub struct DurableNotice {
    /// All blocks up to this one are durable.
    pub height: u64,
    /// When that was known.
    pub at: Instant,
}

/// How the keeper works.
#[derive(Clone, Copy, Debug)]
pub struct KeeperOptions {
    /// Blocks between two syncs at least; 1 syncs whenever something waits.
    pub sync_every_blocks: u64,
    /// Whether envelope ids are indexed, which costs more than everything else here.
    pub index_envelopes: bool,
}

/// Handle on the keeper's threads.
pub struct Keeper {
    blocks: Option<SyncSender<Order>>,
    state: Arc<Shared>,
    journal: Option<JoinHandle<JournalWriter>>,
    behind: Option<JoinHandle<WriteBehind>>,
    notices: Receiver<DurableNotice>,
}

/// What the keeper writes to.
pub struct KeptFiles {
    /// Blocks.
    pub journal: JournalWriter,
    /// Records.
    pub records: JournalWriter,
    /// Indexes.
    pub indexes: Arc<Indexes>,
}

/// Waits for durability from another thread than the keeper's owner.
#[derive(Clone)]
pub struct DurableWatch(Arc<Shared>);

enum Order {
    Keep(BlockToKeep),
    /// Make everything durable now, records included.
    Flush,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    durable_height: u64,
    indexed_height: u64,
    flushes: u64,
    fault: Option<Fault>,
}

/// Blocks that may wait for the keeper before the sequencer waits itself.
const BLOCKS_WAITING_MAX: usize = 64;

impl Keeper {
    /// Starts the threads. `durable_height` is the last block that the journal holds.
    #[must_use]
    pub fn start(files: KeptFiles, durable_height: u64, options: KeeperOptions) -> Self {
        let (blocks, orders) = sync_channel(BLOCKS_WAITING_MAX);
        let (notify, notices) = channel();
        let state = Arc::new(Shared::default());
        {
            let mut progress = lock(&state);
            progress.durable_height = durable_height;
            progress.indexed_height = durable_height;
        }
        let KeptFiles { journal, records, indexes } = files;
        let (to_behind, behind_orders) = sync_channel(BLOCKS_BEHIND_MAX);
        let mut behind = WriteBehind { records, indexes, waiting: Vec::new() };
        let shared = Arc::clone(&state);
        let behind = std::thread::spawn(move || {
            let ended = Ended(shared);
            let result = behind.run(&behind_orders, &ended.0);
            ended.0.note(result);
            behind
        });
        let shared = Arc::clone(&state);
        let journal = std::thread::spawn(move || {
            let ended = Ended(Arc::clone(&shared));
            let mut worker = Worker { journal, options, shared, notify, to_behind, unsynced: Vec::new() };
            let result = worker.run(&orders);
            ended.0.note(result);
            worker.journal
        });
        Self { blocks: Some(blocks), state, journal: Some(journal), behind: Some(behind), notices }
    }

    /// Hands a block over. Waits if too many wait already.
    ///
    /// # Errors
    /// The fault that stopped the keeper.
    pub fn keep(&self, block: BlockToKeep) -> Result<(), Fault> {
        self.order(Order::Keep(block))
    }

    /// Makes everything handed over so far durable, records and indexes too, and waits for it.
    ///
    /// # Errors
    /// The fault that stopped the keeper.
    pub fn flush(&self) -> Result<(), Fault> {
        let before = lock(&self.state).flushes;
        self.order(Order::Flush)?;
        self.state.wait(|progress| progress.flushes > before)
    }

    /// Waits until a block is durable. With more than one block between syncs, something must still come to fill the
    /// number, or ask for a flush.
    ///
    /// # Errors
    /// The fault that stopped the keeper.
    pub fn wait_durable(&self, height: u64) -> Result<(), Fault> {
        self.state.wait(|progress| progress.durable_height >= height)
    }

    /// A handle that waits for durability from another thread.
    #[must_use]
    pub fn watch(&self) -> DurableWatch {
        DurableWatch(Arc::clone(&self.state))
    }

    /// The last block whose records can be read and whose envelopes are indexed.
    #[must_use]
    pub fn indexed_height(&self) -> u64 {
        lock(&self.state).indexed_height
    }

    /// The fault that stopped the keeper, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        lock(&self.state).fault.clone()
    }

    /// The last durable block.
    #[must_use]
    pub fn durable_height(&self) -> u64 {
        lock(&self.state).durable_height
    }

    /// Notices since the last call.
    pub fn notices(&self) -> impl Iterator<Item = DurableNotice> + '_ {
        self.notices.try_iter()
    }

    /// Makes everything durable and ends the threads.
    ///
    /// # Errors
    /// The fault that stopped the keeper.
    pub fn close(mut self) -> Result<(), Fault> {
        let flushed = self.flush();
        // Without orders the journal's thread ends, and without blocks from it the other one.
        drop(self.blocks.take());
        let journal = self.journal.take().and_then(|thread| thread.join().ok());
        let behind = self.behind.take().and_then(|thread| thread.join().ok());
        flushed?;
        let (Some(journal), Some(behind)) = (journal, behind) else { return Err(Fault::KeeperEnded) };
        journal.close()?;
        behind.indexes.persist()?;
        behind.records.close()
    }

    fn order(&self, order: Order) -> Result<(), Fault> {
        let sent = self.blocks.as_ref().is_some_and(|blocks| blocks.send(order).is_ok());
        match lock(&self.state).fault.clone() {
            Some(fault) => Err(fault),
            None if sent => Ok(()),
            None => Err(Fault::KeeperEnded),
        }
    }
}

impl DurableWatch {
    /// Waits until a block is durable.
    ///
    /// # Errors
    /// The fault that stopped the keeper.
    pub fn wait_durable(&self, height: u64) -> Result<(), Fault> {
        self.0.wait(|progress| progress.durable_height >= height)
    }
}

impl Shared {
    /// Writes the first fault down, and tells those who wait.
    fn note(&self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            lock(self).fault.get_or_insert(fault);
            self.changed.notify_all();
        }
    }

    fn wait(&self, reached: impl Fn(&Progress) -> bool) -> Result<(), Fault> {
        let mut progress = lock(self);
        while !reached(&progress) {
            if let Some(fault) = &progress.fault {
                return Err(fault.clone());
            }
            progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

/// However the thread ends, those who wait for it are told.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.0).fault.get_or_insert(Fault::KeeperEnded);
        self.0.changed.notify_all();
    }
}

/// Writes blocks.
struct Worker {
    journal: JournalWriter,
    options: KeeperOptions,
    shared: Arc<Shared>,
    notify: Sender<DurableNotice>,
    to_behind: SyncSender<BehindOrder>,
    /// Blocks that were appended and are not durable yet.
    unsynced: Vec<BehindOrder>,
}

impl Worker {
    fn run(&mut self, orders: &Receiver<Order>) -> Result<(), Fault> {
        while let Ok(first) = orders.recv() {
            self.work(std::iter::once(first).chain(orders.try_iter().take(BLOCKS_WAITING_MAX)))?;
        }
        Ok(())
    }

    fn work(&mut self, batch: impl Iterator<Item = Order>) -> Result<(), Fault> {
        let mut flushes = 0;
        for order in batch {
            match order {
                Order::Keep(block) => self.append(block)?,
                Order::Flush => flushes += 1,
            }
        }
        if flushes > 0 || self.unsynced.len() as u64 >= self.options.sync_every_blocks {
            self.journal.sync()?;
            self.tell_durable();
            for order in std::mem::take(&mut self.unsynced) {
                self.send_behind(order)?;
            }
        }
        (0..flushes).try_for_each(|_| self.send_behind(BehindOrder::Flush))
    }

    fn append(&mut self, block: BlockToKeep) -> Result<(), Fault> {
        let BlockToKeep { height, block, records, first_record, envelope_ids } = block;
        let location = self.journal.append(height, &block)?;
        let envelope_ids = if self.options.index_envelopes { envelope_ids } else { Vec::new() };
        let entry = BlockIndexEntry { height, location, first_record, envelope_ids };
        self.unsynced.push(BehindOrder::Keep { entry, records });
        Ok(())
    }

    fn send_behind(&self, order: BehindOrder) -> Result<(), Fault> {
        // The other thread ends early only by a fault, which it has written down.
        let fault = || lock(&self.shared).fault.clone().unwrap_or(Fault::KeeperEnded);
        self.to_behind.send(order).map_err(|_ended| fault())
    }

    fn tell_durable(&mut self) {
        let Some(height) = self.journal.next_height().map(|next| next.saturating_sub(1)) else { return };
        lock(&self.shared).durable_height = height;
        self.shared.changed.notify_all();
        // Nobody may be listening; then nobody waits for the notice.
        let _ = self.notify.send(DurableNotice { height, at: Instant::now() });
    }
}

/// Writes what can be made again.
struct WriteBehind {
    records: JournalWriter,
    indexes: Arc<Indexes>,
    waiting: Vec<BlockIndexEntry>,
}

enum BehindOrder {
    /// A durable block's records and index entry.
    Keep { entry: BlockIndexEntry, records: Arc<Vec<u8>> },
    /// Make everything durable now.
    Flush,
}

impl WriteBehind {
    fn run(&mut self, orders: &Receiver<BehindOrder>, shared: &Shared) -> Result<(), Fault> {
        while let Ok(order) = orders.recv() {
            match order {
                BehindOrder::Keep { entry, records } => {
                    self.records.append(entry.height, &records)?;
                    self.waiting.push(entry);
                    if self.waiting.len() >= BLOCKS_BEHIND {
                        self.write(shared)?;
                    }
                }
                BehindOrder::Flush => {
                    self.write(shared)?;
                    self.records.sync()?;
                    self.indexes.persist()?;
                    lock(shared).flushes += 1;
                    shared.changed.notify_all();
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, shared: &Shared) -> Result<(), Fault> {
        self.records.publish()?;
        self.indexes.put_batch(&self.waiting)?;
        if let Some(last) = self.waiting.last() {
            lock(shared).indexed_height = last.height;
        }
        self.waiting.clear();
        Ok(())
    }
}

/// Blocks between two writes of records and indexes.
const BLOCKS_BEHIND: usize = 16;
/// Blocks whose records may wait in memory before the journal waits too.
const BLOCKS_BEHIND_MAX: usize = 256;

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Progress> {
    shared.progress.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, JournalOptions};

    /// Cause: records went to their own journal as blocks came, and a full segment is synced when it is closed, so
    /// that after a crash there were records of blocks that the journal did not have, and the next block's records did
    /// not follow. Fix: they are written when the block is durable.
    #[test]
    fn records_are_never_on_disk_before_their_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let small = JournalOptions { segment_bytes: 4_096, ..JournalOptions::default() };
        let open = |name: &str, options| Journal::open(&folder.path().join(name), &[1; 32], options).unwrap();
        let files = || {
            let (_, journal, _) = open("journal", JournalOptions::default());
            let (_, records, _) = open("records", small);
            let (indexes, _) = Indexes::open(&folder.path().join("indexes.redb"), &[1; 32]).unwrap();
            KeptFiles { journal, records, indexes: Arc::new(indexes) }
        };
        let options = KeeperOptions { sync_every_blocks: 1_000, index_envelopes: true };
        let mut keeper = Keeper::start(files(), 0, options);
        for height in 1..=50 {
            let (block, records) = (vec![1; 100], Arc::new(vec![2; 1_000]));
            keeper.keep(BlockToKeep { height, block, records, first_record: height, envelope_ids: vec![] }).unwrap();
        }
        // As a crash would: everything was handed over and nothing was synced.
        drop(keeper.blocks.take());
        drop((keeper.journal.take().unwrap().join().unwrap(), keeper.behind.take().unwrap().join().unwrap()));
        assert!(matches!(keeper.wait_durable(1), Err(Fault::KeeperEnded)), "whoever waits is told");
        let (journal, _, _) = open("journal", JournalOptions::default());
        let (records, _, _) = open("records", small);
        assert_eq!((journal.held(), records.held()), (None, None));
    }
}
