//! Envelopes that passed the edge and wait for a block, and when that block closes.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use casemate_gate::Authenticated;
use casemate_protocol::PublicKey;
use casemate_protocol::limits::BLOCK_ENVELOPES_MAX;

use super::ReplyTo;

/// Envelopes in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    envelopes: VecDeque<WaitingEnvelope>,
    size_bytes: usize,
    /// How many of them each key signed.
    signers: HashMap<PublicKey, usize>,
    /// A block was full: what it left behind has waited long enough.
    is_carried_over: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct WaitingEnvelope {
    pub(super) envelope: Authenticated,
    pub(super) reply: ReplyTo,
    /// When it came, on the sequencer's clock.
    pub(super) arrived: Duration,
}

impl Waiting {
    pub(super) fn push(&mut self, waiting: WaitingEnvelope) {
        self.count(&waiting);
        self.envelopes.push_back(waiting);
    }

    /// What a full block left out goes in front again, in its order.
    pub(super) fn put_back(&mut self, left_out: Vec<WaitingEnvelope>) {
        self.is_carried_over |= !left_out.is_empty();
        for waiting in left_out.into_iter().rev() {
            self.count(&waiting);
            self.envelopes.push_front(waiting);
        }
    }

    /// Takes the envelopes of the next block.
    pub(super) fn take_block(&mut self) -> Vec<WaitingEnvelope> {
        let mut block = Vec::with_capacity(self.envelopes.len().min(CLOSE_AT_ENVELOPES));
        let mut size_bytes = 0;
        while block.len() < CLOSE_AT_ENVELOPES && size_bytes < CLOSE_AT_BYTES {
            let Some(waiting) = self.envelopes.pop_front() else { break };
            size_bytes += waiting.envelope.bytes().len();
            self.discount(&waiting);
            block.push(waiting);
        }
        self.is_carried_over = false;
        block
    }

    /// How long until the block closes; nothing while none waits.
    pub(super) fn closes_in(&self, now: Duration) -> Option<Duration> {
        let first = self.envelopes.front()?;
        let is_full = self.envelopes.len() >= CLOSE_AT_ENVELOPES || self.size_bytes >= CLOSE_AT_BYTES;
        if is_full || self.is_carried_over {
            return Some(Duration::ZERO);
        }
        Some(CLOSE_AFTER.saturating_sub(now.saturating_sub(first.arrived)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    /// Whether an earlier envelope of this key waits, so that a nonce that is too far ahead now need not be so then.
    pub(super) fn has_signer(&self, key: &PublicKey) -> bool {
        self.signers.contains_key(key)
    }

    /// Envelopes and bytes that may still come before there are enough for two blocks.
    pub(super) fn room(&self) -> (usize, usize) {
        let envelopes = (2 * CLOSE_AT_ENVELOPES).saturating_sub(self.envelopes.len());
        (envelopes.min(CLOSE_AT_ENVELOPES), (2 * CLOSE_AT_BYTES).saturating_sub(self.size_bytes).min(CLOSE_AT_BYTES))
    }

    fn count(&mut self, waiting: &WaitingEnvelope) {
        self.size_bytes += waiting.envelope.bytes().len();
        *self.signers.entry(signer(waiting)).or_default() += 1;
    }

    fn discount(&mut self, waiting: &WaitingEnvelope) {
        self.size_bytes -= waiting.envelope.bytes().len();
        if let Some(count) = self.signers.get_mut(&signer(waiting)) {
            *count -= 1;
            if *count == 0 {
                self.signers.remove(&signer(waiting));
            }
        }
    }
}

fn signer(waiting: &WaitingEnvelope) -> PublicKey {
    waiting.envelope.envelope().intent.signer.key
}

/// A block closes at this many envelopes.
pub const CLOSE_AT_ENVELOPES: usize = BLOCK_ENVELOPES_MAX;
/// A block closes at this many bytes.
pub const CLOSE_AT_BYTES: usize = 1024 * 1024;
/// A block closes this long after its first envelope came.
pub const CLOSE_AFTER: Duration = Duration::from_millis(5);
