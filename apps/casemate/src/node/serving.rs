//! The embedded node behind the HTTP adapter: what the adapter asks for, in the words of the solo sequencer.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use casemate_api_http::feed::{BlockFeeder, FeedThread};
use casemate_api_http::hub::{BLOCKS_REMEMBERED_MAX, Hub};
use casemate_api_http::ports::{self, Failure, NotTaken, StateView, Venue};
use casemate_api_http::{Limits, PagePass, Server, Service};
use casemate_gate::read::Clocks;
use casemate_node::NodeError;
use casemate_node::solo::clock::{Clock, SystemClock};
use casemate_node::solo::{
    Answer, BlockObserver, DurableBlock, NotAsked, Questions, Receipt, ReplyTo, Solo, SoloOptions, Submitter, View,
};
use casemate_node::{ChainReader, Node};
use casemate_protocol::block::Block;
use casemate_protocol::{Digest, TimeMs};

use crate::error::CliError;

/// How a node shows itself.
#[derive(Default)]
pub struct Face {
    /// Bounds on clients.
    pub limits: Limits,
    /// Passes for its page; none where people bring their own.
    pub page_pass: Option<PagePass>,
}

/// A node under its sequencer, with a server in front.
pub struct ServedNode {
    solo: Solo,
    server: Server,
    feed: FeedThread,
}

impl ServedNode {
    /// Puts a node under a sequencer and serves it on a bound listener.
    ///
    /// # Errors
    /// The node's files cannot be read, or the operating system refuses the server.
    pub fn start(
        node: Node,
        options: SoloOptions,
        clock: impl Clock + Clone + Sync,
        listener: TcpListener,
        face: Face,
    ) -> Result<Self, CliError> {
        let hub = Arc::new(hub_of(&node)?);
        let (feed, feed_thread) = BlockFeeder::start(Arc::clone(&hub));
        let (genesis, reader) = (node.genesis().clone(), node.reader());
        let observer: Box<dyn BlockObserver> = Box::new(ToFeed(feed));
        let solo = Solo::start_observed(node, options, clock.clone(), Some(observer));
        let block_clock = Box::new(move || clock.wall());
        let venue = SoloVenue { submitter: solo.submitter(), questions: solo.questions(), reader, block_clock };
        let service = Service::with_page(&genesis, Arc::new(venue), hub, face.limits, face.page_pass);
        let server = Server::start(listener, service).map_err(|error| {
            CliError::new(format!("the server cannot be started: {error}"), "check the limits of processes and files")
        })?;
        Ok(Self { solo, server, feed: feed_thread })
    }

    /// A handle for submitting envelopes beside HTTP.
    pub fn submitter(&self) -> Submitter {
        self.solo.submitter()
    }

    /// A handle for asking about the state beside HTTP.
    pub fn questions(&self) -> Questions {
        self.solo.questions()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Whether something ended that should not have.
    pub fn has_ended(&self) -> bool {
        self.solo.has_ended() || self.feed.is_finished()
    }

    /// Ends in good order: first the server, so that everything it took is answered; then the node.
    ///
    /// # Errors
    /// What stopped the node, now or before.
    pub fn stop(self) -> Result<casemate_node::solo::ClosedNode, CliError> {
        self.server.stop();
        let closed = self.solo.stop().map_err(|error| CliError::new(error.to_string(), error.hint()))?;
        match self.feed.join() {
            Ok(Ok(())) => Ok(closed),
            Ok(Err(error)) => Err(CliError::defect(format!("a durable block's records do not decode: {error}"))),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// What is served from memory begins with the last blocks on disk, so that a client that was away over a restart can
/// still ask what it missed.
fn hub_of(node: &Node) -> Result<Hub, CliError> {
    let height = node.height();
    let mut late = node.reader().last_blocks(u64::try_from(BLOCKS_REMEMBERED_MAX).unwrap_or(u64::MAX))?;
    // Records that do not reach the last block say nothing of what a client missed.
    if late.last().is_none_or(|(header, _)| header.height.number() != height) {
        late.clear();
    }
    let forgotten_height = late.first().map_or(height, |(header, _)| header.height.number() - 1);
    let replica = node.replica();
    let hub = Hub::new(replica.ledger(), *replica.state_root(), forgotten_height);
    for (header, records) in late {
        let bodies: Vec<_> = records.into_iter().map(|record| record.body).collect();
        hub.recall(&header, &bodies);
    }
    Ok(hub)
}

struct ToFeed(BlockFeeder);

impl BlockObserver for ToFeed {
    fn durable_block(&mut self, block: DurableBlock) {
        self.0.block(block.header, block.records);
    }
}

struct SoloVenue {
    submitter: Submitter,
    questions: Questions,
    reader: ChainReader,
    /// What time the next block would have.
    block_clock: Box<dyn Fn() -> TimeMs + Send + Sync>,
}

impl Venue for SoloVenue {
    fn submit(&self, envelope: Vec<u8>, answer: ports::AnswerTo) -> Result<(), NotTaken> {
        let reply = ReplyTo::call(move |answered| {
            answer(match answered {
                Answer::Receipt(receipt) => ports::Answer::Receipt(receipt_of(receipt)),
                Answer::Refused(reject) => ports::Answer::Refused(reject),
                Answer::Failed(error) => ports::Answer::Failed(failure(&error)),
            });
        });
        self.submitter.submit(envelope, reply).map_err(|not_taken| match not_taken {
            casemate_node::solo::NotTaken::QueueFull => NotTaken::QueueFull,
            casemate_node::solo::NotTaken::Stopped => NotTaken::Stopped,
        })
    }

    fn ask(&self, question: ports::Question) -> Result<(), NotTaken> {
        let asked = self.questions.ask(Box::new(move |view: &View<'_>| {
            let recent = |envelope: &Digest| view.recent_receipt(envelope).map(|it| receipt_of((*it).clone()));
            let replica = view.replica();
            question(&StateView {
                ledger: replica.ledger(),
                state_root: *replica.state_root(),
                decider: replica.decider(),
                recent_receipt: &recent,
            })
        }));
        asked.map_err(|not_asked| match not_asked {
            NotAsked::QueueFull => NotTaken::QueueFull,
            NotAsked::Stopped => NotTaken::Stopped,
        })
    }

    /// Passes are about whoever reads, so they go by this machine's clock, also where block time is another's.
    fn clocks(&self) -> Clocks {
        Clocks { reader_ms: SystemClock::start().wall(), venue_ms: (self.block_clock)() }
    }

    fn block(&self, height: u64) -> Result<Option<Block>, Failure> {
        self.reader.block(height).map_err(|error| failure(&error))
    }

    fn old_receipt(&self, envelope: &Digest) -> Result<Option<ports::Receipt>, Failure> {
        let found = self.reader.receipt(envelope).map_err(|error| failure(&error))?;
        Ok(found.map(receipt_of))
    }
}

fn receipt_of(receipt: Receipt) -> ports::Receipt {
    let Receipt { envelope, height, position, commands, is_duplicate } = receipt;
    ports::Receipt { envelope, height, position, commands, is_duplicate }
}

fn failure(error: &NodeError) -> Failure {
    Failure { message: error.to_string(), hint: error.hint().to_owned() }
}
