//! What this adapter needs of a node. The app implements it; nothing here knows how a node is built.

use casemate_gate::PolicyDecider;
use casemate_gate::read::Clocks;
use casemate_ledger::Ledger;
use casemate_protocol::block::Block;
use casemate_protocol::{Digest, Reject};
use casemate_replica::CommandOutcome;

/// A node that serves one chain.
///
/// No call waits: answers come through the callbacks, on a thread of the node, which must be quick.
pub trait Venue: Send + Sync + 'static {
    /// Hands a canonical envelope over for judgement. The answer comes when it is refused, or durable.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing is known of it and it can be submitted again.
    fn submit(&self, envelope: Vec<u8>, answer: AnswerTo) -> Result<(), NotTaken>;

    /// Asks about the state between two blocks. What the question says to tell is told once that state is durable, and
    /// dropped untold if the node fails before.
    ///
    /// # Errors
    /// [`NotTaken`].
    fn ask(&self, question: Question) -> Result<(), NotTaken>;

    /// What time it is: for passes the clock of this machine, for grants the one that block time follows.
    fn clocks(&self) -> Clocks;

    /// Reads a durable block; none if there is none at this height yet. May wait for the disk.
    ///
    /// # Errors
    /// The machine failed.
    fn block(&self, height: u64) -> Result<Option<Block>, Failure>;

    /// Reads the receipt of an envelope whose block is old enough to be indexed. May wait for the disk.
    ///
    /// # Errors
    /// The machine failed.
    fn old_receipt(&self, envelope: &Digest) -> Result<Option<Receipt>, Failure>;
}

/// Where the answer to a submission goes.
pub type AnswerTo = Box<dyn FnOnce(Answer) + Send>;

/// Reads some rows and says what to tell.
pub type Question = Box<dyn FnOnce(&StateView<'_>) -> Telling + Send>;

/// Tells what was seen.
pub type Telling = Box<dyn FnOnce() + Send>;

/// The state after one block.
pub struct StateView<'a> {
    /// The state.
    pub ledger: &'a Ledger,
    /// Root over it.
    pub state_root: Digest,
    /// What answers for rules of policies that the state's table does not hold.
    pub decider: &'a dyn PolicyDecider,
    /// Receipts of the latest envelopes, which no index has yet.
    pub recent_receipt: &'a dyn Fn(&Digest) -> Option<Receipt>,
}

/// What became of a submission.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is in a durable block.
    Receipt(Receipt),
    /// It is in no block, and recorded nowhere.
    Refused(Reject),
    /// The machine failed and nothing is certain.
    Failed(Failure),
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

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Too many wait already.
    QueueFull,
    /// The node ends or has ended.
    Stopped,
}

/// The machine failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}
