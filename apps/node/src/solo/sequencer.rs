//! What the sequencer does, one turn after the other.

use std::sync::Arc;
use std::time::Duration;

use casemate_gate::{Authenticated, Decoded, ProofVerifier, authenticate_batch, require_includable};
use casemate_ledger::BlockContext;
use casemate_protocol::limits::CLOCK_STEP_MS_MAX;
use casemate_protocol::parallel::Parallel;
use casemate_protocol::{Digest, DurationMs, Reject, RejectCode, TimeMs};

use super::clock::Clock;
use super::old_receipts::OldReceipts;
use super::questions::{QUESTIONS_BUDGET, QUESTIONS_PER_TURN_MAX, View};
use super::receipts::{BlockObserver, Delivery, DurableBlock, Identity, Known, Postman, RecentReceipts};
use super::waiting::{Waiting, WaitingEnvelope};
use super::{Answer, ClosedNode, Inbox, Receipt, ReplyTo, SoloOptions, Submission};
use crate::node::{Node, ProposedBlock};
use crate::node_error::NodeError;
use crate::threads::Threads;

/// A node, what waits for it, and what it answered lately.
pub(super) struct Sequencer<C> {
    pub(super) node: Node,
    options: SoloOptions,
    clock: C,
    inbox: Inbox,
    pub(super) waiting: Waiting,
    recent: RecentReceipts,
    old: OldReceipts,
    postman: Postman,
    /// When the last block closed, on the sequencer's clock.
    last_block: Duration,
    last_snapshot: LastSnapshot,
    /// Replies of a block that failed.
    unanswered: Vec<ReplyTo>,
}

#[derive(Clone, Copy, Debug)]
struct LastSnapshot {
    height: u64,
    at: Duration,
}

/// A submission after the stateless stages.
struct Judged {
    reply: ReplyTo,
    verdict: EdgeVerdict,
}

/// What the stateless stages know.
struct Edge {
    chain_id: Digest,
    proofs: &'static dyn ProofVerifier,
}

impl Edge {
    fn of(node: &Node) -> Self {
        let replica = node.replica();
        Self { chain_id: *replica.ledger().chain_id(), proofs: replica.proofs() }
    }
}

enum EdgeVerdict {
    Authentic(Box<Authenticated>),
    /// These very bytes are in a block already.
    Known(Arc<Receipt>),
    Refused(Reject),
}

impl<C: Clock> Sequencer<C> {
    pub(super) fn new(
        node: Node,
        options: SoloOptions,
        clock: C,
        inbox: Inbox,
        observer: Option<Box<dyn BlockObserver>>,
    ) -> Self {
        let postman = Postman::start(node.keeper().watch(), observer);
        Self::with_postman(node, options, clock, inbox, postman)
    }

    pub(super) fn with_postman(node: Node, options: SoloOptions, clock: C, inbox: Inbox, postman: Postman) -> Self {
        let now = clock.elapsed();
        let last_snapshot = LastSnapshot { height: node.height(), at: now };
        Self {
            node,
            options,
            clock,
            inbox,
            waiting: Waiting::default(),
            recent: RecentReceipts::default(),
            old: OldReceipts::default(),
            postman,
            last_block: now,
            last_snapshot,
            unanswered: Vec::new(),
        }
    }

    /// Works until told to stop, then ends in good order; or until the machine fails, and then says so to everyone.
    pub(super) fn run(mut self) -> Result<ClosedNode, Arc<NodeError>> {
        match self.work() {
            Ok(()) => self.close(),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn work(&mut self) -> Result<(), NodeError> {
        loop {
            let idle = self.turn()?;
            if self.inbox.is_stopping() {
                // Whoever saw the flag down has sent before it went up, or finds the queue gone.
                if !self.inbox.has_next() && self.waiting.is_empty() {
                    return Ok(());
                }
            } else if !idle.is_zero() {
                self.inbox.wait(idle);
            }
        }
    }

    /// Takes what came, closes a block if one is due, and says how long there is nothing to do unless something comes.
    pub(super) fn turn(&mut self) -> Result<Duration, NodeError> {
        let has_more_questions = self.answer_questions();
        let idle = self.work_on_envelopes()?;
        Ok(if has_more_questions { Duration::ZERO } else { idle })
    }

    /// Answers questions within their budget; says whether more may wait.
    fn answer_questions(&mut self) -> bool {
        self.inbox.questions.begin_turn();
        let Some(first) = self.inbox.questions.next() else { return false };
        let began = self.clock.elapsed();
        let view = View::new(&self.node, &self.recent);
        let mut tellings = vec![first(&view)];
        let mut has_more = true;
        while tellings.len() < QUESTIONS_PER_TURN_MAX && self.clock.elapsed().saturating_sub(began) < QUESTIONS_BUDGET {
            let Some(question) = self.inbox.questions.next() else {
                has_more = false;
                break;
            };
            tellings.push(question(&view));
        }
        self.postman.post(Delivery { height: self.node.height(), tellings, ..Delivery::default() });
        has_more
    }

    fn work_on_envelopes(&mut self) -> Result<Duration, NodeError> {
        let (envelopes_max, bytes_max) = self.waiting.room();
        let arrivals = self.inbox.drain(envelopes_max, bytes_max);
        if !arrivals.is_empty() {
            let edge = Edge::of(&self.node);
            let judged = judge(arrivals, &edge, &self.recent, self.node.threads());
            self.admit(judged);
        }
        let now = self.clock.elapsed();
        let is_stopping = self.inbox.is_stopping();
        match self.waiting.closes_in(now) {
            Some(closes_in) if closes_in.is_zero() || is_stopping => {
                self.close_block()?;
                Ok(Duration::ZERO)
            }
            Some(closes_in) => Ok(closes_in),
            None => {
                self.idle(now)?;
                Ok(POLL_EVERY)
            }
        }
    }

    /// Nothing waits: time for what falls due by itself, and for a snapshot.
    fn idle(&mut self, now: Duration) -> Result<(), NodeError> {
        if let Some(fault) = self.node.keeper().fault() {
            return Err(fault.into());
        }
        let since_block = now.saturating_sub(self.last_block);
        if since_block >= POLL_EVERY && self.is_idle_block_due(since_block) {
            self.close_block()?;
        }
        let blocks = self.node.height() - self.last_snapshot.height;
        let is_old = blocks > 0 && now.saturating_sub(self.last_snapshot.at) >= self.options.snapshot_every;
        if is_old || blocks >= self.options.snapshot_every_blocks {
            self.snapshot(now);
        }
        Ok(())
    }

    fn is_idle_block_due(&self, since_block: Duration) -> bool {
        let ledger = self.node.replica().ledger();
        let chain = ledger.chain();
        let time_ms = self.next_time();
        let step_ms = DurationMs::from_ms(time_ms.since(chain.time_ms).ms().min(CLOCK_STEP_MS_MAX));
        let waiting_ms = chain.waiting_ms.saturating_add(step_ms);
        let next = BlockContext { height: chain.height.next(), time_ms, step_ms, waiting_ms };
        ledger.is_anything_due(&next) || (since_block >= CLOSE_WHILE_WAITING && ledger.is_anything_waiting())
    }

    /// Executes the next block. Beside it, the stateless stages of what came meanwhile.
    fn close_block(&mut self) -> Result<(), NodeError> {
        let block = self.waiting.take_block();
        let (envelopes_max, bytes_max) = self.waiting.room();
        let arrivals = self.inbox.drain(envelopes_max, bytes_max);
        let time_ms = self.next_time();
        let mut seats = Vec::with_capacity(block.len());
        let mut envelopes = Vec::with_capacity(block.len());
        for waiting in block {
            seats.push((waiting.reply, waiting.arrived, Identity::of(&waiting.envelope)));
            envelopes.push(waiting.envelope);
        }
        let threads = self.node.shared_threads();
        let edge = Edge::of(&self.node);
        let (node, recent) = (&mut self.node, &self.recent);
        let (proposed, judged) =
            threads.join(|| node.propose(envelopes, time_ms, &mut ()), || judge(arrivals, &edge, recent, &threads));
        self.last_block = self.clock.elapsed();
        match proposed {
            Ok(proposed) => self.answer_block(proposed, seats),
            Err(error) => {
                self.unanswered.extend(seats.into_iter().map(|(reply, ..)| reply));
                self.unanswered.extend(judged.into_iter().map(|judged| judged.reply));
                return Err(error);
            }
        }
        self.admit(judged);
        self.recent.forget(self.node.keeper().indexed_height());
        if self.node.height() - self.last_snapshot.height >= 4 * self.options.snapshot_every_blocks {
            self.snapshot(self.last_block);
        }
        Ok(())
    }

    fn answer_block(&mut self, proposed: ProposedBlock, seats: Vec<(ReplyTo, Duration, Identity)>) {
        let height = proposed.height;
        let (header, records) = (proposed.header, proposed.records);
        let block = self.postman.is_observed().then_some(DurableBlock { header, records });
        for broken in &proposed.broken {
            (self.options.on_note)(&format!("block `{height}`: a law of the ledger failed: {broken:?}"));
        }
        let mut outcomes = proposed.outcomes.into_iter().zip(0..);
        let mut left_out = proposed.left_out.into_iter().peekable();
        let mut receipts = Vec::with_capacity(seats.len());
        let mut carried_over = Vec::new();
        let mut refused = Vec::new();
        self.recent.begin_block(height);
        for (place, (reply, arrived, identity)) in seats.into_iter().enumerate() {
            if let Some((_, reject, envelope)) = left_out.next_if(|(at, ..)| *at == place) {
                match reject.code() {
                    RejectCode::BlockFull => carried_over.push(WaitingEnvelope { envelope, reply, arrived }),
                    _ => refused.push((reply, identity, reject)),
                }
            } else if let Some((outcome, position)) = outcomes.next() {
                let (envelope, commands) = (outcome.envelope, outcome.commands);
                let receipt = Receipt { envelope, height, position, commands, is_duplicate: false };
                self.recent.add(Known { identity, receipt: Arc::new(receipt.clone()) });
                receipts.push((reply, receipt));
            }
        }
        self.postman.post(Delivery { height, receipts, block, ..Delivery::default() });
        // After the receipts, so that of the same bytes twice in a block the first answer is the receipt itself.
        for (reply, identity, reject) in refused {
            self.answer_refusal(reply, &identity, reject);
        }
        self.waiting.put_back(carried_over);
    }

    /// Lets judged submissions wait for a block, or answers them.
    fn admit(&mut self, judged: Vec<Judged>) {
        let now_ms = self.next_time();
        let arrived = self.clock.elapsed();
        for Judged { reply, verdict } in judged {
            let envelope = match verdict {
                EdgeVerdict::Authentic(envelope) => *envelope,
                EdgeVerdict::Known(receipt) => {
                    self.answer_again(reply, &receipt);
                    continue;
                }
                EdgeVerdict::Refused(reject) => {
                    reply.send(Answer::Refused(reject));
                    continue;
                }
            };
            match require_includable(self.node.replica().ledger(), now_ms, &envelope) {
                Err(reject) if !self.may_pass_later(&envelope, &reject) => {
                    self.answer_refusal(reply, &Identity::of(&envelope), reject);
                }
                _ => self.waiting.push(WaitingEnvelope { envelope, reply, arrived }),
            }
        }
    }

    /// A nonce too far ahead of the state is in the window by its turn if those before it wait for the same block.
    fn may_pass_later(&self, envelope: &Authenticated, reject: &Reject) -> bool {
        let (next, nonce) = reject.numbers();
        reject.code() == RejectCode::NonceOutOfWindow
            && nonce > next
            && self.waiting.has_signer(&envelope.envelope().intent.signer.key)
    }

    /// Refuses, unless these very bytes are in a block already, whatever the rules would say of them now.
    fn answer_refusal(&mut self, reply: ReplyTo, identity: &Identity, reject: Reject) {
        match self.recent.find(identity).or_else(|| self.old.find(&self.node, identity)) {
            Some(receipt) => self.answer_again(reply, &receipt),
            None => reply.send(Answer::Refused(reject)),
        }
    }

    fn answer_again(&self, reply: ReplyTo, receipt: &Receipt) {
        let receipt = Receipt { is_duplicate: true, ..receipt.clone() };
        let height = receipt.height;
        self.postman.post(Delivery { height, receipts: vec![(reply, receipt)], ..Delivery::default() });
    }

    /// A snapshot only shortens a restart, so its failure stops nothing.
    fn snapshot(&mut self, now: Duration) {
        if let Err(error) = self.node.snapshot() {
            (self.options.on_note)(&format!("no snapshot was written: {error}"));
        }
        self.last_snapshot = LastSnapshot { height: self.node.height(), at: now };
    }

    fn next_time(&self) -> TimeMs {
        let last = self.node.replica().ledger().chain().time_ms;
        self.clock.wall().max(last.plus(DurationMs::from_ms(1)))
    }

    fn close(mut self) -> Result<ClosedNode, Arc<NodeError>> {
        if let Err(fault) = self.node.keeper().flush() {
            return Err(self.fail(fault.into()));
        }
        self.postman.finish();
        let closed = ClosedNode { height: self.node.height(), state_root: *self.node.replica().state_root() };
        if closed.height > self.last_snapshot.height {
            self.snapshot(self.clock.elapsed());
        }
        self.node.close().map_err(Arc::new)?;
        Ok(closed)
    }

    /// Tells everyone whose envelope was taken that nothing is certain.
    fn fail(mut self, error: NodeError) -> Arc<NodeError> {
        let error = Arc::new(error);
        let mut unanswered = std::mem::take(&mut self.unanswered);
        while !self.waiting.is_empty() {
            unanswered.extend(self.waiting.take_block().into_iter().map(|waiting| waiting.reply));
        }
        unanswered.extend(self.inbox.drain(usize::MAX, usize::MAX).into_iter().map(|submission| submission.reply));
        for reply in unanswered {
            reply.send(Answer::Failed(Arc::clone(&error)));
        }
        self.postman.finish();
        error
    }
}

/// The stateless stages, over all threads.
fn judge(arrivals: Vec<Submission>, edge: &Edge, recent: &RecentReceipts, threads: &Threads) -> Vec<Judged> {
    struct Decoding {
        submission: Option<Submission>,
        done: Option<(ReplyTo, Result<Decoded, Reject>)>,
    }
    let pending = |submission| Decoding { submission: Some(submission), done: None };
    let mut items: Vec<Decoding> = arrivals.into_iter().map(pending).collect();
    let mut pieces: Vec<&mut [Decoding]> = items.chunks_mut(DECODED_PER_PIECE).collect();
    threads.for_each_mut(&mut pieces, |piece| {
        for item in piece.iter_mut() {
            let Some(Submission { bytes, reply }) = item.submission.take() else { continue };
            item.done = Some((reply, Decoded::from_bytes(bytes, &edge.chain_id)));
        }
    });
    let mut judged = Vec::with_capacity(items.len());
    let mut replies = Vec::with_capacity(items.len());
    let mut decoded = Vec::with_capacity(items.len());
    for (reply, outcome) in items.into_iter().filter_map(|item| item.done) {
        let outcome = outcome.map(|one| (recent.find(&Identity::of_decoded(&one)), one));
        match outcome {
            Err(reject) => judged.push(Judged { reply, verdict: EdgeVerdict::Refused(reject) }),
            Ok((Some(receipt), _)) => judged.push(Judged { reply, verdict: EdgeVerdict::Known(receipt) }),
            Ok((None, one)) => {
                replies.push(reply);
                decoded.push(one);
            }
        }
    }
    for (reply, verdict) in replies.into_iter().zip(authenticate_batch(decoded, edge.proofs, threads)) {
        let verdict = match verdict {
            Ok(envelope) => EdgeVerdict::Authentic(Box::new(envelope)),
            Err(reject) => EdgeVerdict::Refused(reject),
        };
        judged.push(Judged { reply, verdict });
    }
    judged
}

/// How often an idle sequencer looks whether something fell due; also the shortest time between two idle blocks.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// A block closes this often while withdrawals or transfers wait, so that their clocks go on.
const CLOSE_WHILE_WAITING: Duration = Duration::from_millis(1_000);
/// Envelopes that one piece of parallel work decodes.
const DECODED_PER_PIECE: usize = 256;
