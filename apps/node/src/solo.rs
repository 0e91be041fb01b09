//! The solo sequencer: one node that decides alone which envelopes come next, driven by a real clock.
//!
//! ```text
//! bytes ─ queue ─> [decode, known already?, signature, inclusion hint] ─> waiting ─> [block] ─> [durable] ─> receipt
//!                        └─ refusal, at once, recorded nowhere                └─ refusal        └─ fault: nothing is known
//! ```
//!
//! - A block closes at 4,096 envelopes, at 1 MiB, or 5 ms after the first waiting envelope came. While one executes, the
//!   signatures of the next are checked beside it.
//! - A receipt leaves after its block is durable, never before.
//! - The same bytes again get the first receipt again, marked as a duplicate, also after a restart. Another envelope
//!   under a used nonce is refused.
//! - What the edge says is a hint and carries the numbers that a block would answer with; only the block's own check
//!   counts.
//! - Blocks without envelopes close only when the ledger has something due, and every second while a withdrawal or
//!   transfer waits: waiting clocks advance by at most two seconds a block.
//!
//! Questions about the state ([`Questions`]) are answered between two blocks and told when that state is durable;
//! a [`BlockObserver`] is shown every durable block. Neither sees anything that a crash could take back.
//!
//! Deliberately absent: any choice between envelopes. First come, first served.

pub mod clock;
mod old_receipts;
mod questions;
mod receipts;
mod sequencer;
mod waiting;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use casemate_protocol::{Digest, Reject};
use casemate_replica::CommandOutcome;

use crate::node::Node;
use crate::node_error::NodeError;
use clock::Clock;
use questions::QuestionInbox;
pub use questions::{NotAsked, Question, Questions, Telling, View};
pub use receipts::{BlockObserver, DurableBlock};
use sequencer::Sequencer;
pub use waiting::{CLOSE_AFTER, CLOSE_AT_BYTES, CLOSE_AT_ENVELOPES};

/// A node under a sequencer that runs on a thread of its own.
pub struct Solo {
    submitter: Submitter,
    questions: Questions,
    thread: JoinHandle<Result<ClosedNode, Arc<NodeError>>>,
}

/// How a sequencer works.
#[derive(Clone, Copy, Debug)]
pub struct SoloOptions {
    /// Envelopes that may wait before the gate; one more is refused.
    pub queue_envelopes_max: usize,
    /// Their bytes.
    pub queue_bytes_max: usize,
    /// Blocks after which a snapshot is due. It is written when nothing waits, at the latest after four times as many.
    pub snapshot_every_blocks: u64,
    /// Time after which a snapshot is due if there was a block.
    pub snapshot_every: Duration,
    /// Told what a person should know and no program acts on.
    pub on_note: fn(&str),
}

impl Default for SoloOptions {
    fn default() -> Self {
        Self {
            queue_envelopes_max: 65_536,
            queue_bytes_max: 64 * 1024 * 1024,
            snapshot_every_blocks: 4_096,
            snapshot_every: Duration::from_secs(300),
            on_note: |_note| {},
        }
    }
}

/// What becomes of an envelope.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is in a durable block.
    Receipt(Receipt),
    /// It is in no block, and recorded nowhere.
    Refused(Reject),
    /// The machine failed before anything was certain. Submitted again after a restart, the same bytes get the first
    /// receipt if they are in a block, and are taken if they are not.
    Failed(Arc<NodeError>),
}

/// Where an included envelope stands, and the verdicts of its commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The envelope's id.
    pub envelope: Digest,
    /// Height of its block.
    pub height: u64,
    /// Place in the block, from 0.
    pub position: u32,
    /// One verdict for each command, in order.
    pub commands: Vec<CommandOutcome>,
    /// These bytes had been included before; nothing happened twice.
    pub is_duplicate: bool,
}

/// Where an answer goes.
pub struct ReplyTo(Reply);

enum Reply {
    /// The tag is the submitter's own.
    Channel {
        tag: u64,
        answers: Sender<(u64, Answer)>,
    },
    Call(Box<dyn FnOnce(Answer) + Send>),
}

/// A handle for submitting envelopes, from any thread.
#[derive(Clone)]
pub struct Submitter {
    queue: SyncSender<Message>,
    queued_bytes: Arc<AtomicUsize>,
    queue_bytes_max: usize,
    is_stopping: Arc<AtomicBool>,
}

/// Why an envelope was not taken for judgement. Nothing is known of it and it can be submitted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Too many wait already.
    QueueFull,
    /// The sequencer ends or has ended.
    Stopped,
}

/// How a node stood when it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedNode {
    /// Height of the last block; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: Digest,
}

/// What comes through the queue.
enum Message {
    Submission(Submission),
    /// A question waits in its own queue.
    Wake,
}

/// Bytes that wait for the sequencer.
#[derive(Debug)]
struct Submission {
    bytes: Vec<u8>,
    reply: ReplyTo,
}

impl Solo {
    /// Puts a node under a sequencer.
    #[must_use]
    pub fn start(node: Node, options: SoloOptions, clock: impl Clock) -> Self {
        Self::start_observed(node, options, clock, None)
    }

    /// As [`Solo::start`], and shows every durable block to an observer.
    #[must_use]
    pub fn start_observed(
        node: Node,
        options: SoloOptions,
        clock: impl Clock,
        observer: Option<Box<dyn BlockObserver>>,
    ) -> Self {
        let (submitter, questions, inbox) = queue(&options);
        let is_stopping = Arc::clone(&submitter.is_stopping);
        let thread = std::thread::spawn(move || {
            let _stopped = Stopped(is_stopping);
            Sequencer::new(node, options, clock, inbox, observer).run()
        });
        Self { submitter, questions, thread }
    }

    /// A handle for submitting envelopes.
    #[must_use]
    pub fn submitter(&self) -> Submitter {
        self.submitter.clone()
    }

    /// A handle for asking about the state.
    #[must_use]
    pub fn questions(&self) -> Questions {
        self.questions.clone()
    }

    /// Whether the sequencer has ended by itself, which only a failure makes it do.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Takes no more envelopes, answers all that were taken, makes everything durable, writes a snapshot and closes.
    ///
    /// # Errors
    /// The failure that stopped the sequencer, now or before.
    pub fn stop(self) -> Result<ClosedNode, Arc<NodeError>> {
        self.submitter.is_stopping.store(true, Ordering::Release);
        drop((self.submitter, self.questions));
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Submitter {
    /// Hands an envelope over. Its answer comes through `reply`.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn submit(&self, bytes: Vec<u8>, reply: ReplyTo) -> Result<(), NotTaken> {
        self.require_running()?;
        let size_bytes = bytes.len();
        let before = self.queued_bytes.fetch_add(size_bytes, Ordering::AcqRel);
        let is_within = before.saturating_add(size_bytes) <= self.queue_bytes_max;
        let sent = match is_within {
            true => {
                self.queue.try_send(Message::Submission(Submission { bytes, reply })).map_err(|error| match error {
                    TrySendError::Full(_) => NotTaken::QueueFull,
                    TrySendError::Disconnected(_) => NotTaken::Stopped,
                })
            }
            false => Err(NotTaken::QueueFull),
        };
        sent.inspect_err(|_| {
            self.queued_bytes.fetch_sub(size_bytes, Ordering::AcqRel);
        })
    }

    /// As [`Submitter::submit`], but waits while the queue is full: for a source that can be made to wait itself.
    ///
    /// # Errors
    /// [`NotTaken::Stopped`].
    pub fn submit_waiting(&self, bytes: Vec<u8>, reply: ReplyTo) -> Result<(), NotTaken> {
        self.require_running()?;
        while self.queued_bytes.load(Ordering::Acquire) > self.queue_bytes_max {
            std::thread::sleep(Duration::from_millis(1));
            self.require_running()?;
        }
        self.queued_bytes.fetch_add(bytes.len(), Ordering::AcqRel);
        self.queue.send(Message::Submission(Submission { bytes, reply })).map_err(|_ended| NotTaken::Stopped)
    }

    fn require_running(&self) -> Result<(), NotTaken> {
        if self.is_stopping.load(Ordering::Acquire) { Err(NotTaken::Stopped) } else { Ok(()) }
    }
}

impl ReplyTo {
    /// The tag comes back with the answer.
    #[must_use]
    pub const fn new(tag: u64, answers: Sender<(u64, Answer)>) -> Self {
        Self(Reply::Channel { tag, answers })
    }

    /// Calls with the answer, on a thread of the node: the call must neither wait nor work long.
    #[must_use]
    pub fn call(with_answer: impl FnOnce(Answer) + Send + 'static) -> Self {
        Self(Reply::Call(Box::new(with_answer)))
    }

    fn send(self, answer: Answer) {
        match self.0 {
            // Whoever asked may have gone away; the block stands all the same.
            Reply::Channel { tag, answers } => drop(answers.send((tag, answer))),
            Reply::Call(call) => call(answer),
        }
    }
}

impl std::fmt::Debug for ReplyTo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Reply::Channel { tag, .. } => write!(formatter, "ReplyTo(tag {tag})"),
            Reply::Call(_) => formatter.write_str("ReplyTo(call)"),
        }
    }
}

impl NotTaken {
    /// What the submitter can do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::QueueFull => "wait for answers before submitting more, then submit the same bytes again",
            Self::Stopped => "start the node again, then submit the same bytes",
        }
    }
}

impl std::fmt::Display for NotTaken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::QueueFull => "the queue of the sequencer is full",
            Self::Stopped => "the sequencer has stopped",
        })
    }
}

impl std::error::Error for NotTaken {}

/// The sequencer's end of the queue.
struct Inbox {
    queue: Receiver<Message>,
    queued_bytes: Arc<AtomicUsize>,
    is_stopping: Arc<AtomicBool>,
    /// Came while the sequencer was asleep.
    first: Option<Submission>,
    questions: QuestionInbox,
}

fn queue(options: &SoloOptions) -> (Submitter, Questions, Inbox) {
    let (sender, receiver) = sync_channel(options.queue_envelopes_max);
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    let is_stopping = Arc::new(AtomicBool::new(false));
    let (questions, question_inbox) = questions::queue(sender.clone(), Arc::clone(&is_stopping));
    let inbox = Inbox {
        queue: receiver,
        queued_bytes: Arc::clone(&queued_bytes),
        is_stopping: Arc::clone(&is_stopping),
        first: None,
        questions: question_inbox,
    };
    let submitter = Submitter { queue: sender, queued_bytes, queue_bytes_max: options.queue_bytes_max, is_stopping };
    (submitter, questions, inbox)
}

impl Inbox {
    /// Takes what waits, up to a number of envelopes and about a number of bytes.
    fn drain(&mut self, envelopes_max: usize, bytes_max: usize) -> Vec<Submission> {
        let mut taken = Vec::new();
        let mut size_bytes = 0;
        while taken.len() < envelopes_max && size_bytes < bytes_max {
            let next = match self.first.take() {
                Some(first) => first,
                None => match self.queue.try_recv() {
                    Ok(Message::Submission(next)) => next,
                    Ok(Message::Wake) => continue,
                    Err(_) => break,
                },
            };
            size_bytes += next.bytes.len();
            taken.push(next);
        }
        self.queued_bytes.fetch_sub(size_bytes, Ordering::AcqRel);
        taken
    }

    /// Sleeps until something comes, at most this long.
    fn wait(&mut self, at_most: Duration) {
        if self.first.is_none()
            && let Ok(Message::Submission(first)) = self.queue.recv_timeout(at_most)
        {
            self.first = Some(first);
        }
    }

    /// Whether an envelope waits in the queue.
    fn has_next(&mut self) -> bool {
        while self.first.is_none() {
            match self.queue.try_recv() {
                Ok(Message::Submission(first)) => self.first = Some(first),
                Ok(Message::Wake) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }
}

/// However the sequencer ends, nothing more is taken.
struct Stopped(Arc<AtomicBool>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
