//! The hub: what is served without asking the node, kept up to date by durable blocks, and told to those who listen.
//!
//! Books by level, late trades, late blocks and pending moves are cheap to keep and asked for all the time, so they live
//! here and no question about them reaches the sequencer. One lock guards them; it is held for one block or one answer,
//! and nobody waits for the network while holding it.
//!
//! **Sequences.** The sequence of every channel is the height of the block that a message tells of, and each change also
//! names the sequence of the change before it on that channel. So a listener sees a gap at once, sequences survive a
//! restart of the node, and are the same on every replica; the first `previous_sequence` after a start is the height at
//! which the node started.
//!
//! **Slow listeners.** Every listener has a bounded queue. One whose queue is full is cut off there and then, and told
//! so by its own connection; nobody else notices.

mod book;
mod late;
mod listeners;
mod markets;
mod moves;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use casemate_audit::RecordBody;
use casemate_ledger::Ledger;
use casemate_protocol::block::Header;
use casemate_protocol::{AccountId, Digest, Event, MarketId, SegmentId};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

pub use listeners::{Listener, ListenerEnd, Told, Topic};
pub use moves::MovesJson;

use crate::asking::node_failed;
use crate::dto::event::{AccountEventJson, account_events};
use crate::dto::liquidation::{LiquidationJson, LiquidationsJson};
use crate::dto::market::{BookJson, LevelJson, TradeJson, TradesJson};
use crate::dto::segment::BreakerMoveJson;
use crate::error::ApiError;
use crate::values::HexArray;
use late::Late;
use listeners::Listeners;
use markets::MarketModel;
use moves::Moves;

/// What is served from memory; see the module.
pub struct Hub {
    model: Mutex<Model>,
    height: watch::Sender<u64>,
}

/// The last durable block.
#[derive(Clone, Copy, Debug)]
pub struct Tip {
    /// Its height.
    pub height: u64,
    /// State root after it.
    pub state_root: Digest,
    /// Its block time.
    pub time_ms: u64,
    /// When it became known here; none for the block that the node was opened with.
    pub since: Option<Instant>,
}

struct Model {
    tip: Tip,
    /// Blocks up to this height are not remembered.
    forgotten_height: u64,
    markets: BTreeMap<MarketId, MarketModel>,
    blocks: VecDeque<BlockNote>,
    moves: Moves,
    breaker_moves: Late<BreakerMoveJson>,
    liquidations: Late<LiquidationJson>,
    /// Where each market is.
    segments: BTreeMap<MarketId, SegmentId>,
    listeners: Listeners,
    /// Sequence of the last change of each account that somebody listens to.
    accounts: BTreeMap<AccountId, u64>,
}

/// A block in a few words.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BlockNote {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub id: HexArray<32>,
    /// Block time.
    pub time_ms: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// Root of the log after it.
    pub log_root: HexArray<32>,
    /// Records in the log after it.
    pub log_size: u64,
    /// Envelopes in it.
    pub envelope_count: u32,
}

/// A message of the stream. `snapshot` comes first; every `change` names the sequence before its own.
#[derive(Serialize)]
struct StreamMessage<'a, T: Serialize> {
    channel: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    subject: Subject,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_sequence: Option<u64>,
    /// What was asked for is not all here: read the resource, then go on from this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    has_gap: Option<bool>,
    #[serde(flatten)]
    content: &'a T,
}

#[derive(Serialize, Default)]
struct Subject {
    #[serde(skip_serializing_if = "Option::is_none")]
    market: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<u64>,
}

#[derive(Serialize)]
struct Levels {
    bids: Vec<LevelJson>,
    asks: Vec<LevelJson>,
}

#[derive(Serialize)]
struct Trades<'a> {
    trades: &'a [TradeJson],
}

#[derive(Serialize)]
struct BlockNotes<'a> {
    blocks: &'a [BlockNote],
}

#[derive(Serialize)]
struct BreakerMoves<'a> {
    moves: &'a [BreakerMoveJson],
}

#[derive(Serialize)]
struct Liquidations<'a> {
    liquidations: &'a [LiquidationJson],
}

#[derive(Serialize)]
struct AccountEvents<'a> {
    events: &'a [AccountEventJson],
}

/// Why nobody was subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSubscribed {
    /// There is no such market.
    MarketNotFound,
    /// A listener has a bounded number of topics.
    TooManyTopics,
}

impl Hub {
    /// Starts from a state that is durable. Blocks up to `forgotten_height` are not remembered; tell those between with
    /// [`Hub::recall`].
    #[must_use]
    pub fn new(ledger: &Ledger, state_root: Digest, forgotten_height: u64) -> Self {
        let chain = ledger.chain();
        let tip = Tip { height: chain.height.number(), state_root, time_ms: chain.time_ms.ms(), since: None };
        let model = Model {
            tip,
            forgotten_height,
            markets: markets::of_ledger(ledger, tip.height, forgotten_height),
            blocks: VecDeque::new(),
            moves: Moves::of_ledger(ledger),
            breaker_moves: Late::new(BREAKER_MOVES_REMEMBERED_MAX, tip.height),
            liquidations: Late::new(LIQUIDATIONS_REMEMBERED_MAX, tip.height),
            segments: ledger.genesis().markets.iter().map(|market| (market.id, market.segment)).collect(),
            listeners: Listeners::default(),
            accounts: BTreeMap::new(),
        };
        Self { model: Mutex::new(model), height: watch::Sender::new(tip.height) }
    }

    /// Tells of a block before the one that the hub started from, oldest first: for those who ask what they missed.
    pub fn recall(&self, header: &Header, bodies: &[RecordBody]) {
        let mut model = self.lock();
        let (height, time_ms) = (header.height.number(), header.time_ms.ms());
        for event in bodies.iter().flat_map(|body| body.events.iter()) {
            if let Event::TradeExecuted(trade) = event
                && let Some(market) = model.markets.get_mut(&trade.market)
            {
                market.remember_trade(TradeJson::of(trade, height, time_ms));
            }
            if let Event::BreakerMoved(moved) = event {
                model.breaker_moves.remember(height, BreakerMoveJson::of(moved, height, time_ms));
            }
            if let Some(step) = model.liquidation_of(event, height, time_ms) {
                model.liquidations.remember(height, step);
            }
        }
        model.remember_block(BlockNote::of(header));
    }

    /// A block became durable.
    pub fn advance(&self, header: &Header, bodies: &[RecordBody]) {
        let mut model = self.lock();
        model.advance(header, bodies);
        drop(model);
        self.height.send_replace(header.height.number());
    }

    /// The last durable block.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.lock().tip
    }

    /// Waits until a block is known here. The hub learns of a block at the same moment as the receipts leave, by another
    /// way, so whoever has a receipt may be ahead of it.
    ///
    /// # Errors
    /// The hub is gone.
    pub async fn wait_height(&self, height: u64) -> Result<(), ApiError> {
        let mut heights = self.height.subscribe();
        heights.wait_for(|&known| known >= height).await.map(drop).map_err(|_gone| node_failed())
    }

    /// The best levels of a market's book; none if there is no such market.
    #[must_use]
    pub fn book(&self, market: MarketId, depth: usize) -> Option<BookJson> {
        let model = self.lock();
        let known = model.markets.get(&market)?;
        let (bids, asks) = known.book.best(depth);
        Some(BookJson {
            height: model.tip.height,
            state_root: model.tip.state_root.into(),
            market: market.number(),
            sequence: known.book_sequence,
            bids,
            asks,
        })
    }

    /// Trades of a market after a number, oldest first, or the last ones; none if there is no such market.
    #[must_use]
    pub fn trades(&self, market: MarketId, after: Option<u64>, count_max: usize) -> Option<TradesJson> {
        let model = self.lock();
        let known = model.markets.get(&market)?;
        let (has_gap, trades) = known.trades_after_number(after, count_max);
        let (height, state_root) = (model.tip.height, model.tip.state_root.into());
        Some(TradesJson { height, state_root, market: market.number(), has_gap, trades })
    }

    /// Withdrawals and transfers of an account that have not ended.
    #[must_use]
    pub fn moves(&self, account: AccountId) -> MovesJson {
        let model = self.lock();
        model.moves.of_account(account, model.tip.height, model.tip.state_root)
    }

    /// Late moves of breakers, oldest first.
    #[must_use]
    pub fn breaker_moves(&self) -> Vec<BreakerMoveJson> {
        self.lock().breaker_moves.after(None)
    }

    /// The last so many steps of late liquidations, oldest first.
    #[must_use]
    pub fn liquidations(&self, count_max: usize) -> LiquidationsJson {
        let model = self.lock();
        LiquidationsJson {
            height: model.tip.height,
            state_root: model.tip.state_root.into(),
            liquidations: model.liquidations.last(count_max),
        }
    }

    /// A new listener, with no topic yet.
    #[must_use]
    pub fn listen(&self) -> Listener {
        self.lock().listeners.add()
    }

    /// Lets a listener go.
    pub fn forget(&self, listener: u64) {
        self.lock().forget(listener);
    }

    /// Listeners now.
    #[must_use]
    pub fn listener_count(&self) -> usize {
        self.lock().listeners.count()
    }

    /// Subscribes a listener. Its first message of the topic is a snapshot; with `after`, the last sequence that the
    /// listener has, it also holds what came since then, or says that it cannot.
    ///
    /// # Errors
    /// [`NotSubscribed`].
    pub fn subscribe(&self, listener: u64, topic: Topic, after: Option<u64>) -> Result<(), NotSubscribed> {
        let mut model = self.lock();
        if let Topic::Book(market) | Topic::Trades(market) = topic
            && !model.markets.contains_key(&market)
        {
            return Err(NotSubscribed::MarketNotFound);
        }
        if !model.listeners.add_topic(listener, topic) {
            return Err(NotSubscribed::TooManyTopics);
        }
        if let Topic::Account(account) = topic {
            let height = model.tip.height;
            model.accounts.entry(account).or_insert(height);
        }
        let snapshot = model.snapshot(topic, after);
        model.listeners.send_one(listener, topic, snapshot);
        Ok(())
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, listener: u64, topic: Topic) {
        let mut model = self.lock();
        model.listeners.remove_topic(listener, topic);
        model.forget_unheard();
    }

    /// The model is whole between two calls, and a panic in one would be a bug that changes nothing here.
    fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Model {
    fn advance(&mut self, header: &Header, bodies: &[RecordBody]) {
        let height = header.height.number();
        let before = self.tip.height;
        let listeners_before = self.listeners.count();
        self.tip =
            Tip { height, state_root: header.state_root, time_ms: header.time_ms.ms(), since: Some(Instant::now()) };
        let mut of_accounts: BTreeMap<AccountId, Vec<AccountEventJson>> = BTreeMap::new();
        let (mut breaker_moves, mut liquidations) = (Vec::new(), Vec::new());
        for event in bodies.iter().flat_map(|body| body.events.iter()) {
            if let Some(market) = market_of(event).and_then(|market| self.markets.get_mut(&market)) {
                market.apply(event, height, self.tip.time_ms);
            }
            if !self.accounts.is_empty() {
                for (account, json) in account_events(event, &self.moves) {
                    if self.accounts.contains_key(&account) {
                        of_accounts.entry(account).or_default().push(json);
                    }
                }
            }
            self.moves.apply(event);
            if let Event::BreakerMoved(moved) = event {
                breaker_moves.push(BreakerMoveJson::of(moved, height, self.tip.time_ms));
            }
            liquidations.extend(self.liquidation_of(event, height, self.tip.time_ms));
        }
        self.tell_markets(height);
        self.tell_breakers(&breaker_moves, height);
        self.tell_liquidations(&liquidations, height);
        self.tell_accounts(&of_accounts, height);
        let note = BlockNote::of(header);
        let content = BlockNotes { blocks: std::slice::from_ref(&note) };
        self.listeners.send(Topic::Blocks, || change("blocks", Subject::default(), height, before, &content));
        self.remember_block(note);
        if self.listeners.count() < listeners_before {
            self.forget_unheard();
        }
    }

    fn tell_markets(&mut self, height: u64) {
        for (id, market) in &mut self.markets {
            let subject = || Subject { market: Some(id.number()), ..Subject::default() };
            if market.has_book_changed() {
                let (bids, asks) = market.take_changes();
                let before = std::mem::replace(&mut market.book_sequence, height);
                let message =
                    || change("book", subject(), height, before, &Levels { bids: bids.clone(), asks: asks.clone() });
                self.listeners.send(Topic::Book(*id), message);
            }
            let trades = market.take_new_trades();
            if !trades.is_empty() {
                let before = std::mem::replace(&mut market.trade_sequence, height);
                let message = || change("trades", subject(), height, before, &Trades { trades: &trades });
                self.listeners.send(Topic::Trades(*id), message);
            }
        }
    }

    fn tell_breakers(&mut self, moves: &[BreakerMoveJson], height: u64) {
        if moves.is_empty() {
            return;
        }
        let before = self.breaker_moves.advance(height, moves);
        let content = BreakerMoves { moves };
        self.listeners.send(Topic::Breakers, || change("breakers", Subject::default(), height, before, &content));
    }

    fn tell_liquidations(&mut self, liquidations: &[LiquidationJson], height: u64) {
        if liquidations.is_empty() {
            return;
        }
        let before = self.liquidations.advance(height, liquidations);
        let content = Liquidations { liquidations };
        let message = || change("liquidations", Subject::default(), height, before, &content);
        self.listeners.send(Topic::Liquidations, message);
    }

    fn liquidation_of(&self, event: &Event, height: u64, time_ms: u64) -> Option<LiquidationJson> {
        LiquidationJson::of(event, height, time_ms, |market| self.segments.get(&market).copied())
    }

    fn tell_accounts(&mut self, events: &BTreeMap<AccountId, Vec<AccountEventJson>>, height: u64) {
        for (account, events) in events {
            let Some(sequence) = self.accounts.get_mut(account) else { continue };
            let before = std::mem::replace(sequence, height);
            let subject = || Subject { account: Some(account.number()), ..Subject::default() };
            let message = || change("account", subject(), height, before, &AccountEvents { events });
            self.listeners.send(Topic::Account(*account), message);
        }
    }

    fn snapshot(&self, topic: Topic, after: Option<u64>) -> String {
        match topic {
            Topic::Blocks => {
                let newer = |note: &&BlockNote| after.is_some_and(|after| note.height > after);
                let blocks: Vec<BlockNote> = self.blocks.iter().filter(newer).cloned().collect();
                let content = BlockNotes { blocks: &blocks };
                snapshot("blocks", Subject::default(), self.tip.height, self.has_gap(after), &content)
            }
            Topic::Breakers => {
                let moves = self.breaker_moves.after(after);
                let content = BreakerMoves { moves: &moves };
                let has_gap = self.has_gap(after) || self.breaker_moves.has_forgotten(after);
                snapshot("breakers", Subject::default(), self.breaker_moves.sequence, has_gap, &content)
            }
            Topic::Liquidations => {
                let liquidations = self.liquidations.after(after);
                let content = Liquidations { liquidations: &liquidations };
                let has_gap = self.has_gap(after) || self.liquidations.has_forgotten(after);
                snapshot("liquidations", Subject::default(), self.liquidations.sequence, has_gap, &content)
            }
            Topic::Book(market) => {
                let Some(known) = self.markets.get(&market) else { return String::new() };
                let (bids, asks) = known.book.best(SNAPSHOT_LEVELS_MAX);
                let subject = Subject { market: Some(market.number()), ..Subject::default() };
                snapshot("book", subject, known.book_sequence, false, &Levels { bids, asks })
            }
            Topic::Trades(market) => {
                let Some(known) = self.markets.get(&market) else { return String::new() };
                let (has_gap, trades) = known.trades_after_height(after);
                let subject = Subject { market: Some(market.number()), ..Subject::default() };
                snapshot("trades", subject, known.trade_sequence, has_gap, &Trades { trades: &trades })
            }
            Topic::Account(account) => {
                let sequence = self.accounts.get(&account).copied().unwrap_or(self.tip.height);
                let subject = Subject { account: Some(account.number()), ..Subject::default() };
                // Events of accounts are not remembered here, so only an unbroken sequence is without a gap.
                let has_gap = after.is_some_and(|after| after < sequence);
                snapshot("account", subject, sequence, has_gap, &AccountEvents { events: &[] })
            }
        }
    }

    /// Whether blocks after a height are forgotten.
    fn has_gap(&self, after: Option<u64>) -> bool {
        after.is_some_and(|after| after < self.forgotten_height)
    }

    fn remember_block(&mut self, note: BlockNote) {
        self.blocks.push_back(note);
        if self.blocks.len() > BLOCKS_REMEMBERED_MAX {
            self.forgotten_height = self.blocks.pop_front().map_or(self.forgotten_height, |oldest| oldest.height);
        }
    }

    fn forget(&mut self, listener: u64) {
        self.listeners.remove(listener);
        self.forget_unheard();
    }

    /// Accounts that nobody listens to any more are not followed.
    fn forget_unheard(&mut self) {
        let listeners = &self.listeners;
        self.accounts.retain(|account, _| listeners.is_heard(Topic::Account(*account)));
    }
}

impl BlockNote {
    fn of(header: &Header) -> Self {
        Self {
            height: header.height.number(),
            id: header.id().into(),
            time_ms: header.time_ms.ms(),
            state_root: header.state_root.into(),
            log_root: header.log_root.into(),
            log_size: header.log_size,
            envelope_count: header.envelope_count,
        }
    }
}

const fn market_of(event: &Event) -> Option<MarketId> {
    match event {
        Event::OrderRested(it) => Some(it.market),
        Event::OrderRemoved(it) => Some(it.market),
        Event::OrderReduced(it) => Some(it.market),
        Event::TradeExecuted(it) => Some(it.market),
        // Every other event leaves books and trades as they are.
        _ => None,
    }
}

fn snapshot<T: Serialize>(
    channel: &'static str,
    subject: Subject,
    sequence: u64,
    has_gap: bool,
    content: &T,
) -> String {
    let has_gap = Some(has_gap);
    encode(&StreamMessage { channel, kind: "snapshot", subject, sequence, previous_sequence: None, has_gap, content })
}

fn change<T: Serialize>(channel: &'static str, subject: Subject, sequence: u64, before: u64, content: &T) -> String {
    let previous_sequence = Some(before);
    encode(&StreamMessage { channel, kind: "change", subject, sequence, previous_sequence, has_gap: None, content })
}

fn encode<T: Serialize>(message: &T) -> String {
    // Our own messages have string keys and no failing parts.
    serde_json::to_string(message).unwrap_or_default()
}

/// Levels of each side in a snapshot of a book at most; changes tell of all levels.
pub const SNAPSHOT_LEVELS_MAX: usize = 1_000;
/// Late moves of breakers that are remembered.
const BREAKER_MOVES_REMEMBERED_MAX: usize = 256;
/// Late liquidations that are remembered.
const LIQUIDATIONS_REMEMBERED_MAX: usize = 1_024;
/// Late blocks that are remembered.
pub const BLOCKS_REMEMBERED_MAX: usize = 1_024;
