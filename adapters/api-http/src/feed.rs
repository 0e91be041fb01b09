//! Brings durable blocks to the hub, on a thread of its own, so that decoding them holds nobody up.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use casemate_audit::RecordBody;
use casemate_protocol::block::Header;

use crate::hub::Hub;

/// Takes durable blocks in their order.
///
/// If the hub falls [`BLOCKS_WAITING_MAX`] blocks behind, [`BlockFeeder::block`] waits: nothing is ever skipped, because a
/// stream with a hole that nobody is told of is worse than a late one.
#[derive(Clone)]
pub struct BlockFeeder(SyncSender<FedBlock>);

struct FedBlock {
    header: Header,
    records: Arc<Vec<u8>>,
}

/// The thread that feeds the hub; ends when every [`BlockFeeder`] is dropped.
pub type FeedThread = JoinHandle<io::Result<()>>;

impl BlockFeeder {
    /// Starts the thread.
    #[must_use]
    pub fn start(hub: Arc<Hub>) -> (Self, FeedThread) {
        let (sender, blocks) = sync_channel(BLOCKS_WAITING_MAX);
        let thread = std::thread::spawn(move || run(&hub, &blocks));
        (Self(sender), thread)
    }

    /// A block became durable. `records` is the canonical list of its records' encoded bodies.
    pub fn block(&self, header: Header, records: Arc<Vec<u8>>) {
        // The thread ends early only if a record does not decode, and then its result says so.
        let _ = self.0.send(FedBlock { header, records });
    }
}

fn run(hub: &Hub, blocks: &Receiver<FedBlock>) -> io::Result<()> {
    for block in blocks {
        hub.advance(&block.header, &bodies(&block.records)?);
    }
    Ok(())
}

/// Decodes the records of a block.
///
/// # Errors
/// They are not the canonical list of encoded bodies.
pub fn bodies(records: &[u8]) -> io::Result<Vec<RecordBody>> {
    let encoded: Vec<Vec<u8>> = borsh::from_slice(records)?;
    encoded.iter().map(|body| borsh::from_slice(body)).collect()
}

/// Blocks that may wait for the hub.
pub const BLOCKS_WAITING_MAX: usize = 1_024;
