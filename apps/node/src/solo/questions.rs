//! Questions about the state, asked from any thread and answered by the sequencer between two blocks.
//!
//! The state that a question sees stands but may not be durable yet. What is told about it waits, like a receipt, until
//! it is: nobody ever hears of a block that a crash could take back. Questions have a queue of their own, so that a
//! flood of envelopes does not hold them up, and a budget in each turn, so that they do not hold
//! up envelopes for longer than the last of them takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use casemate_policy_cedar::CedarPolicies;
use casemate_protocol::Digest;
use casemate_replica::Replica;

use super::receipts::RecentReceipts;
use super::{Message, Receipt};
use crate::node::Node;

/// Looks at the state and says what to tell. Runs between two blocks, so it must be short: it reads some rows, and leaves
/// encoding to whoever is told.
pub type Question = Box<dyn FnOnce(&View<'_>) -> Telling + Send>;

/// Tells what was seen, once that is durable. Dropped untold if the machine fails before.
pub type Telling = Box<dyn FnOnce() + Send>;

/// What a question sees.
pub struct View<'a> {
    node: &'a Node,
    recent: &'a RecentReceipts,
}

impl<'a> View<'a> {
    pub(super) const fn new(node: &'a Node, recent: &'a RecentReceipts) -> Self {
        Self { node, recent }
    }

    /// What stands.
    #[must_use]
    pub fn replica(&self) -> &'a Replica<CedarPolicies> {
        self.node.replica()
    }

    /// The receipt of an envelope of a late block; those of old blocks are read from disk.
    #[must_use]
    pub fn recent_receipt(&self, envelope: &Digest) -> Option<Arc<Receipt>> {
        self.recent.by_id(envelope)
    }
}

/// A handle for asking, from any thread.
#[derive(Clone)]
pub struct Questions {
    queue: SyncSender<Question>,
    wake: SyncSender<Message>,
    is_woken: Arc<AtomicBool>,
    is_stopping: Arc<AtomicBool>,
}

/// Why a question was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// Too many wait already.
    QueueFull,
    /// The sequencer ends or has ended.
    Stopped,
}

impl Questions {
    /// Asks. The answer comes the way that the question itself brings.
    ///
    /// # Errors
    /// [`NotAsked`].
    pub fn ask(&self, question: Question) -> Result<(), NotAsked> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err(NotAsked::Stopped);
        }
        self.queue.try_send(question).map_err(|error| match error {
            TrySendError::Full(_) => NotAsked::QueueFull,
            TrySendError::Disconnected(_) => NotAsked::Stopped,
        })?;
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            // A full queue of envelopes means that the sequencer is not asleep.
            let _ = self.wake.try_send(Message::Wake);
        }
        Ok(())
    }
}

/// The sequencer's end.
pub(super) struct QuestionInbox {
    queue: Receiver<Question>,
    is_woken: Arc<AtomicBool>,
}

pub(super) fn queue(wake: SyncSender<Message>, is_stopping: Arc<AtomicBool>) -> (Questions, QuestionInbox) {
    let (sender, receiver) = sync_channel(QUESTIONS_WAITING_MAX);
    let is_woken = Arc::new(AtomicBool::new(false));
    let inbox = QuestionInbox { queue: receiver, is_woken: Arc::clone(&is_woken) };
    (Questions { queue: sender, wake, is_woken, is_stopping }, inbox)
}

impl QuestionInbox {
    /// From here on a new question wakes the sequencer again.
    pub(super) fn begin_turn(&self) {
        self.is_woken.store(false, Ordering::Release);
    }

    pub(super) fn next(&self) -> Option<Question> {
        self.queue.try_recv().ok()
    }
}

/// Questions that may wait; one more is refused.
const QUESTIONS_WAITING_MAX: usize = 1_024;
/// Time that questions get between two blocks while envelopes wait, but never less than one whole question.
pub(super) const QUESTIONS_BUDGET: Duration = Duration::from_micros(500);
/// Questions that are answered in one turn at most, whatever the clock says.
pub(super) const QUESTIONS_PER_TURN_MAX: usize = 256;
