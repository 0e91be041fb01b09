//! Reads what a chain holds on disk, from any thread, while the node works.

use std::collections::HashMap;
use std::sync::Arc;

use casemate_audit::{RecordSource, Verdict};
use casemate_protocol::block::{Block, Header};
use casemate_protocol::{Digest, Envelope, RecordIndex};
use casemate_replica::CommandOutcome;

use crate::indexes::Indexes;
use crate::journal::Journal;
use crate::node::{KeptRecord, decode_block, decode_records};
use crate::node_error::NodeError;
use crate::solo::Receipt;

/// A handle for reading blocks, records and receipts; cheap to clone.
///
/// It shows durable blocks only. Records and the index of envelopes are written some blocks behind: the receipts of the
/// latest envelopes are known to the sequencer alone.
#[derive(Clone, Debug)]
pub struct ChainReader {
    journal: Journal,
    records: Journal,
    indexes: Arc<Indexes>,
}

impl ChainReader {
    pub(crate) fn new(journal: Journal, records: Journal, indexes: Arc<Indexes>) -> Self {
        Self { journal, records, indexes }
    }

    /// The block at a height; none if there is no such block yet.
    ///
    /// # Errors
    /// The files cannot be read, or do not decode.
    pub fn block(&self, height: u64) -> Result<Option<Block>, NodeError> {
        if !is_held(&self.journal, height) {
            return Ok(None);
        }
        // The index knows where the block begins; without it, or if it is wrong, the segment is read through.
        let hinted = match self.indexes.block_location(height) {
            Ok(Some(location)) => self.journal.read_at(location)?.filter(|kept| kept.height == height),
            Ok(None) | Err(_) => None,
        };
        let kept = match hinted {
            Some(kept) => Some(kept),
            None => self.journal.read_from(height)?.next().transpose()?,
        };
        kept.map(|kept| decode_block(height, &kept.payload)).transpose()
    }

    /// The records of a block, opened; none while they are not written yet, or if the oldest are not kept.
    ///
    /// # Errors
    /// The files cannot be read, or do not decode.
    pub fn records(&self, block: &Block) -> Result<Option<Vec<KeptRecord>>, NodeError> {
        let height = block.header.height.number();
        if !is_held(&self.records, height) {
            return Ok(None);
        }
        let kept = self.records.read_from(height)?.next().transpose()?;
        kept.map(|kept| decode_records(block, &kept.payload)).transpose()
    }

    /// The last blocks of which blocks and records can be read, oldest first, at most so many.
    ///
    /// # Errors
    /// The files cannot be read, or do not decode.
    pub fn last_blocks(&self, count_max: u64) -> Result<Vec<(Header, Vec<KeptRecord>)>, NodeError> {
        let (Some(blocks), Some(records)) = (self.journal.held(), self.records.held()) else { return Ok(Vec::new()) };
        let (first, last) = (blocks.0.max(records.0), blocks.1.min(records.1));
        let from = first.max((last + 1).saturating_sub(count_max));
        if from > last {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (block, records) in self.journal.read_from(from)?.zip(self.records.read_from(from)?) {
            let (block, records) = (block?, records?);
            let block = decode_block(block.height, &block.payload)?;
            let records = decode_records(&block, &records.payload)?;
            found.push((block.header, records));
        }
        Ok(found)
    }

    /// The receipts of a block's envelopes, in their order; none at all if its records cannot be read yet.
    ///
    /// # Errors
    /// The files cannot be read, or do not decode.
    pub fn receipts(&self, block: &Block) -> Result<Vec<Receipt>, NodeError> {
        let height = block.header.height.number();
        let Some(records) = self.records(block)? else { return Ok(Vec::new()) };
        let mut verdicts = verdicts(&records);
        let mut receipts = Vec::with_capacity(block.envelopes.len());
        for (bytes, position) in block.envelopes.iter().zip(0..) {
            let malformed = |_reject| NodeError::BlockMalformed { height };
            let (envelope, digests) = Envelope::decode(bytes.as_slice()).map_err(malformed)?;
            let none = CommandOutcome { record: RecordIndex::NONE, refusal: None };
            let mut commands = vec![none; envelope.intent.commands.len()];
            for (index, outcome) in verdicts.remove(&digests.intent).unwrap_or_default() {
                let place = commands.get_mut(usize::from(index)).ok_or(NodeError::BlockMalformed { height })?;
                *place = outcome;
            }
            receipts.push(Receipt { envelope: digests.intent, height, position, commands, is_duplicate: false });
        }
        Ok(receipts)
    }

    /// The receipt of an envelope by its id, if an indexed block holds it.
    ///
    /// # Errors
    /// The files cannot be read, or do not decode.
    pub fn receipt(&self, envelope: &Digest) -> Result<Option<Receipt>, NodeError> {
        let Some(place) = self.indexes.envelope_place(envelope.bytes())? else { return Ok(None) };
        let Some(block) = self.block(place.height)? else { return Ok(None) };
        Ok(self.receipts(&block)?.into_iter().find(|receipt| receipt.envelope == *envelope))
    }
}

fn is_held(journal: &Journal, height: u64) -> bool {
    journal.held().is_some_and(|(first, last)| (first..=last).contains(&height))
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
