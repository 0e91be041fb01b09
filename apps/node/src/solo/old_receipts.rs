//! Receipts of blocks that are no longer in memory, made again from journal and records.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use casemate_protocol::{Digest, Envelope};

use super::Receipt;
use super::receipts::{Identity, Known};
use crate::chain_reader::ChainReader;
use crate::node::Node;

/// Receipts of old blocks, with those read last.
#[derive(Debug, Default)]
pub(super) struct OldReceipts {
    blocks: VecDeque<(u64, HashMap<Digest, Known>)>,
}

/// Blocks whose receipts stay in memory: whoever asks for one often asks for its neighbours next.
const BLOCKS_KEPT: usize = 16;

impl OldReceipts {
    /// The receipt of exactly these bytes, if a durable and indexed block holds them.
    ///
    /// Where the files do not answer, there is none: the caller then refuses with the reason that it has.
    pub(super) fn find(&mut self, node: &Node, identity: &Identity) -> Option<Arc<Receipt>> {
        let place = node.indexes().envelope_place(identity.id.bytes()).ok()??;
        if self.blocks.iter().all(|(height, _)| *height != place.height) {
            let block = receipts_of_block(&node.reader(), place.height)?;
            self.blocks.truncate(BLOCKS_KEPT - 1);
            self.blocks.push_front((place.height, block));
        }
        let (_, block) = self.blocks.iter().find(|(height, _)| *height == place.height)?;
        let known = block.get(&identity.id).filter(|known| known.identity == *identity)?;
        Some(Arc::clone(&known.receipt))
    }
}

/// Receipts of a durable block, by envelope.
fn receipts_of_block(reader: &ChainReader, height: u64) -> Option<HashMap<Digest, Known>> {
    let block = reader.block(height).ok()??;
    let receipts = reader.receipts(&block).ok()?;
    let mut by_id = HashMap::with_capacity(receipts.len());
    for (bytes, receipt) in block.envelopes.iter().zip(receipts) {
        let (envelope, digests) = Envelope::decode(bytes.as_slice()).ok()?;
        let identity = Identity::new(&envelope, &digests);
        by_id.insert(digests.intent, Known { identity, receipt: Arc::new(receipt) });
    }
    Some(by_id)
}
