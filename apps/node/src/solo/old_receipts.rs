//! Receipts of blocks that are no longer in memory, made again from journal and records.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use casemate_audit::{RecordSource, Verdict};
use casemate_protocol::{Digest, Envelope, RecordIndex};
use casemate_replica::CommandOutcome;

use super::Receipt;
use super::receipts::{Identity, Known};
use crate::node::{KeptRecord, Node, decode_block, decode_records};

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
            let block = receipts_of_block(node, place.height)?;
            self.blocks.truncate(BLOCKS_KEPT - 1);
            self.blocks.push_front((place.height, block));
        }
        let (_, block) = self.blocks.iter().find(|(height, _)| *height == place.height)?;
        let known = block.get(&identity.id).filter(|known| known.identity == *identity)?;
        Some(Arc::clone(&known.receipt))
    }
}

/// Receipts of a durable block, by envelope.
fn receipts_of_block(node: &Node, height: u64) -> Option<HashMap<Digest, Known>> {
    let kept = node.journal().read_from(height).ok()?.next()?.ok()?;
    let block = decode_block(height, &kept.payload).ok()?;
    let kept = node.records().read_from(height).ok()?.next()?.ok()?;
    let records = decode_records(&block, &kept.payload).ok()?;
    let mut verdicts = verdicts(&records);
    let mut receipts = HashMap::with_capacity(block.envelopes.len());
    for (bytes, position) in block.envelopes.iter().zip(0..) {
        let (envelope, digests) = Envelope::decode(bytes.as_slice()).ok()?;
        let none = CommandOutcome { record: RecordIndex::NONE, refusal: None };
        let mut commands = vec![none; envelope.intent.commands.len()];
        for (index, outcome) in verdicts.remove(&digests.intent).unwrap_or_default() {
            *commands.get_mut(usize::from(index))? = outcome;
        }
        let receipt = Receipt { envelope: digests.intent, height, position, commands, is_duplicate: false };
        let identity = Identity::new(&envelope, &digests);
        receipts.insert(digests.intent, Known { identity, receipt: Arc::new(receipt) });
    }
    Some(receipts)
}

/// Verdicts by envelope. A command may have two records; its last one counts, so order is kept.
fn verdicts(records: &[KeptRecord]) -> HashMap<Digest, Vec<(u16, CommandOutcome)>> {
    let mut verdicts: HashMap<Digest, Vec<(u16, CommandOutcome)>> = HashMap::new();
    for record in records {
        let RecordSource::Command { envelope, command_index, .. } = record.body.source else { continue };
        let refusal = match record.body.verdict {
            Verdict::Accepted => None,
            Verdict::Refused(reject) => Some(reject),
        };
        let outcome = CommandOutcome { record: record.header.index, refusal };
        verdicts.entry(envelope).or_default().push((command_index, outcome));
    }
    verdicts
}
