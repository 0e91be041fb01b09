//! Receipts: sent when their block is durable, and remembered for those who ask again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use casemate_gate::{Authenticated, Decoded};
use casemate_protocol::block::Header;
use casemate_protocol::envelope::EnvelopeDigests;
use casemate_protocol::{Digest, Envelope, SignatureBytes};

use super::{Answer, Receipt, ReplyTo, Telling};
use crate::fault::Fault;
use crate::keeper::DurableWatch;
use crate::node_error::NodeError;

/// What makes two envelopes the same bytes: encoding is canonical, so intent, evidence and signature say all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: Digest,
    envelope: Digest,
    signature: SignatureBytes,
}

impl Identity {
    pub(super) fn new(envelope: &Envelope, digests: &EnvelopeDigests) -> Self {
        Self { id: digests.intent, envelope: digests.envelope, signature: envelope.signature.clone() }
    }

    pub(super) fn of_decoded(decoded: &Decoded) -> Self {
        Self::new(decoded.envelope(), decoded.digests())
    }

    pub(super) fn of(envelope: &Authenticated) -> Self {
        Self::new(envelope.envelope(), envelope.digests())
    }
}

/// A receipt and the bytes it is for.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) identity: Identity,
    pub(super) receipt: Arc<Receipt>,
}

/// Receipts of the latest blocks. Older ones are found through the indexes.
#[derive(Debug, Default)]
pub(super) struct RecentReceipts {
    by_id: HashMap<Digest, Known>,
    /// Ids by block, oldest first.
    blocks: VecDeque<(u64, Vec<Digest>)>,
}

impl RecentReceipts {
    /// Remembers the receipts of a block.
    pub(super) fn begin_block(&mut self, height: u64) {
        self.blocks.push_back((height, Vec::new()));
    }

    pub(super) fn add(&mut self, known: Known) {
        if let Some((_, ids)) = self.blocks.back_mut() {
            ids.push(known.identity.id);
        }
        self.by_id.insert(known.identity.id, known);
    }

    /// The receipt of exactly these bytes.
    pub(super) fn find(&self, identity: &Identity) -> Option<Arc<Receipt>> {
        let known = self.by_id.get(&identity.id).filter(|known| known.identity == *identity)?;
        Some(Arc::clone(&known.receipt))
    }

    /// The receipt of an envelope, whatever its signature was.
    pub(super) fn by_id(&self, envelope: &Digest) -> Option<Arc<Receipt>> {
        self.by_id.get(envelope).map(|known| Arc::clone(&known.receipt))
    }

    /// Lets the oldest go, as far as the indexes have them.
    pub(super) fn forget(&mut self, indexed_height: u64) {
        while self.by_id.len() > RECEIPTS_KEPT {
            let Some((_, ids)) = self.blocks.pop_front_if(|(height, _)| *height <= indexed_height) else { break };
            for id in ids {
                self.by_id.remove(&id);
            }
        }
    }
}

/// Receipts that stay in memory whatever the indexes have.
const RECEIPTS_KEPT: usize = 32_768;

/// Something that knows when a block is durable.
pub(super) trait Durability: Send + 'static {
    /// Waits until a block is durable, or never will be.
    fn wait_durable(&self, height: u64) -> Result<(), Fault>;
}

impl Durability for DurableWatch {
    fn wait_durable(&self, height: u64) -> Result<(), Fault> {
        Self::wait_durable(self, height)
    }
}

/// Is shown every block, in order, once it is durable and its receipts are out.
///
/// It is called on the thread that sends receipts, so it must be quick: whoever needs time takes it on another thread.
pub trait BlockObserver: Send + 'static {
    /// A block became durable.
    fn durable_block(&mut self, block: DurableBlock);
}

/// A durable block as its observer sees it.
#[derive(Clone, Debug)]
pub struct DurableBlock {
    /// Its header.
    pub header: Header,
    /// The canonical list of its records' encoded bodies, as they are kept.
    pub records: Arc<Vec<u8>>,
}

/// Sends receipts from a thread of its own, each when its block is durable.
pub(super) struct Postman {
    deliveries: Option<Sender<Delivery>>,
    thread: Option<JoinHandle<()>>,
    is_observed: bool,
}

/// What waits for one block.
#[derive(Default)]
pub(super) struct Delivery {
    pub(super) height: u64,
    pub(super) receipts: Vec<(ReplyTo, Receipt)>,
    /// The block itself, for the observer.
    pub(super) block: Option<DurableBlock>,
    pub(super) tellings: Vec<Telling>,
}

impl Postman {
    pub(super) fn start(durability: impl Durability, observer: Option<Box<dyn BlockObserver>>) -> Self {
        let (deliveries, inbox) = channel();
        let is_observed = observer.is_some();
        let thread = std::thread::spawn(move || deliver(&durability, &inbox, observer));
        Self { deliveries: Some(deliveries), thread: Some(thread), is_observed }
    }

    /// Whether blocks are shown to somebody.
    pub(super) const fn is_observed(&self) -> bool {
        self.is_observed
    }

    pub(super) fn post(&self, delivery: Delivery) {
        let is_empty = delivery.receipts.is_empty() && delivery.block.is_none() && delivery.tellings.is_empty();
        if let Some(deliveries) = self.deliveries.as_ref().filter(|_| !is_empty) {
            // The thread ends only when this end is dropped.
            let _ = deliveries.send(delivery);
        }
    }

    /// Waits until everything is delivered.
    pub(super) fn finish(&mut self) {
        drop(self.deliveries.take());
        if let Some(thread) = self.thread.take() {
            // Delivering cannot panic; if it did, the replies' senders are dropped and their owners see that.
            let _ = thread.join();
        }
    }
}

fn deliver(durability: &impl Durability, inbox: &Receiver<Delivery>, mut observer: Option<Box<dyn BlockObserver>>) {
    for delivery in inbox {
        match durability.wait_durable(delivery.height) {
            Ok(()) => {
                for (reply, receipt) in delivery.receipts {
                    reply.send(Answer::Receipt(receipt));
                }
                for tell in delivery.tellings {
                    tell();
                }
                if let (Some(observer), Some(block)) = (&mut observer, delivery.block) {
                    observer.durable_block(block);
                }
            }
            Err(fault) => {
                let cause = Arc::new(NodeError::Fault(fault));
                for (reply, _) in delivery.receipts {
                    reply.send(Answer::Failed(Arc::clone(&cause)));
                }
            }
        }
    }
}
