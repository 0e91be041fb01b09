//! The keeper: makes blocks durable on a thread of its own and says when they are.
//!
//! The node executes the next block while the last one is being written. Whatever waits when a write ends is taken
//! into the next one (group commit), so the cost of `fdatasync` is shared by all blocks that arrived meanwhile. The
//! records of a block are kept beside the journal; they can be made again from the blocks, so they are written behind.

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
    pub records: Vec<u8>,
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

/// Handle on the keeper's thread.
pub struct Keeper {
    blocks: Option<SyncSender<Order>>,
    state: Arc<Shared>,
    thread: Option<JoinHandle<KeptFiles>>,
    notices: Receiver<DurableNotice>,
}

/// What the keeper writes to.
pub struct KeptFiles {
    /// Blocks.
    pub journal: JournalWriter,
    /// Records.
    pub records: JournalWriter,
    /// Indexes.
    pub indexes: Indexes,
}

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
    flushes: u64,
    fault: Option<Fault>,
}

/// Blocks that may wait for the keeper before the sequencer waits itself.
const BLOCKS_WAITING_MAX: usize = 64;

impl Keeper {
    /// Starts the thread. `durable_height` is the last block that the journal holds.
    #[must_use]
    pub fn start(files: KeptFiles, durable_height: u64, options: KeeperOptions) -> Self {
        let (blocks, orders) = sync_channel(BLOCKS_WAITING_MAX);
        let (notify, notices) = channel();
        let state = Arc::new(Shared::default());
        lock(&state).durable_height = durable_height;
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let mut worker = Worker { files, options, shared, notify, waiting: Vec::new(), unsynced_blocks: 0 };
            worker.run(&orders);
            worker.files
        });
        Self { blocks: Some(blocks), state, thread: Some(thread), notices }
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
        self.wait(|progress| progress.flushes > before)
    }

    /// Waits until a block is durable.
    ///
    /// # Errors
    /// The fault that stopped the keeper.
    pub fn wait_durable(&self, height: u64) -> Result<(), Fault> {
        self.wait(|progress| progress.durable_height >= height)
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

    /// Makes everything durable and ends the thread.
    ///
    /// # Errors
    /// The fault that stopped the keeper.
    pub fn close(mut self) -> Result<(), Fault> {
        let flushed = self.flush();
        drop(self.blocks.take());
        if let Some(files) = self.thread.take().and_then(|thread| thread.join().ok()) {
            flushed?;
            files.indexes.persist()?;
            files.journal.close()?;
            return files.records.close();
        }
        flushed
    }

    fn order(&self, order: Order) -> Result<(), Fault> {
        let sent = self.blocks.as_ref().is_some_and(|blocks| blocks.send(order).is_ok());
        match lock(&self.state).fault.clone() {
            Some(fault) => Err(fault),
            None if sent => Ok(()),
            None => Err(Fault::KeeperEnded),
        }
    }

    fn wait(&self, reached: impl Fn(&Progress) -> bool) -> Result<(), Fault> {
        let mut progress = lock(&self.state);
        while !reached(&progress) {
            if let Some(fault) = &progress.fault {
                return Err(fault.clone());
            }
            progress = self.state.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

struct Worker {
    files: KeptFiles,
    options: KeeperOptions,
    shared: Arc<Shared>,
    notify: Sender<DurableNotice>,
    waiting: Vec<BlockIndexEntry>,
    unsynced_blocks: u64,
}

impl Worker {
    fn run(&mut self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let batch = std::iter::once(first).chain(orders.try_iter().take(BLOCKS_WAITING_MAX));
            if let Err(fault) = self.work(batch) {
                let mut progress = lock(&self.shared);
                progress.fault = Some(fault);
                self.shared.changed.notify_all();
                return;
            }
        }
    }

    fn work(&mut self, batch: impl Iterator<Item = Order>) -> Result<(), Fault> {
        let mut flushes = 0;
        let mut last = None;
        for order in batch {
            match order {
                Order::Keep(block) => {
                    last = Some(block.height);
                    self.append(block)?;
                }
                Order::Flush => flushes += 1,
            }
        }
        if flushes > 0 || self.unsynced_blocks >= self.options.sync_every_blocks {
            self.files.journal.sync()?;
            self.unsynced_blocks = 0;
            self.write_behind(flushes > 0)?;
            self.tell_durable(last);
        }
        if flushes > 0 {
            lock(&self.shared).flushes += flushes;
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    fn append(&mut self, block: BlockToKeep) -> Result<(), Fault> {
        let location = self.files.journal.append(block.height, &block.block)?;
        self.files.records.append(block.height, &block.records)?;
        let envelope_ids = if self.options.index_envelopes { block.envelope_ids } else { Vec::new() };
        self.waiting.push(BlockIndexEntry {
            height: block.height,
            location,
            first_record: block.first_record,
            envelope_ids,
        });
        self.unsynced_blocks += 1;
        Ok(())
    }

    /// Records and indexes follow the journal in larger steps: they can be made again.
    fn write_behind(&mut self, everything: bool) -> Result<(), Fault> {
        if everything || self.waiting.len() >= BLOCKS_BEHIND {
            self.files.records.sync()?;
            self.files.indexes.put_batch(&self.waiting)?;
            self.waiting.clear();
        }
        if everything {
            self.files.indexes.persist()?;
        }
        Ok(())
    }

    fn tell_durable(&mut self, last: Option<u64>) {
        let height = {
            let mut progress = lock(&self.shared);
            progress.durable_height = self.files.journal.next_height().map_or(last.unwrap_or(0), |next| next - 1);
            progress.durable_height
        };
        self.shared.changed.notify_all();
        // Nobody may be listening; then nobody waits for the notice.
        let _ = self.notify.send(DurableNotice { height, at: Instant::now() });
    }
}

/// Blocks whose records and index entries may wait in memory.
const BLOCKS_BEHIND: usize = 64;

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Progress> {
    shared.progress.lock().unwrap_or_else(PoisonError::into_inner)
}
