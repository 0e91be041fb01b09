//! Who listens to what, each behind a bounded queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::ws::Utf8Bytes;
use casemate_protocol::{AccountId, MarketId};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What can be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Every block.
    Blocks,
    /// Moves of breakers.
    Breakers,
    /// Liquidations of all markets.
    Liquidations,
    /// Changes of a book.
    Book(MarketId),
    /// Trades of a market.
    Trades(MarketId),
    /// What happens to an account.
    Account(AccountId),
}

/// A message, and what it is about: whoever passes on what is not public looks whether that may still be seen.
#[derive(Clone, Debug)]
pub struct Told {
    /// What it is about.
    pub topic: Topic,
    /// The message.
    pub text: Utf8Bytes,
}

/// One listener's end: messages until it is cut off.
#[derive(Debug)]
pub struct Listener {
    /// Its number.
    pub id: u64,
    /// Its messages. Ends when the listener was cut off.
    pub messages: Receiver<Told>,
    end: Arc<AtomicBool>,
}

/// Why a listener's messages ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerEnd {
    /// It did not read fast enough.
    TooSlow,
    /// The hub is gone.
    HubGone,
}

impl Listener {
    /// Why the messages ended.
    #[must_use]
    pub fn end(&self) -> ListenerEnd {
        if self.end.load(Ordering::Acquire) { ListenerEnd::TooSlow } else { ListenerEnd::HubGone }
    }
}

/// All listeners.
#[derive(Default)]
pub struct Listeners {
    by_id: BTreeMap<u64, Entry>,
    /// How many listen to each topic that is listened to.
    heard: BTreeMap<Topic, usize>,
    last_id: u64,
}

struct Entry {
    messages: Sender<Told>,
    topics: BTreeSet<Topic>,
    is_too_slow: Arc<AtomicBool>,
}

impl Listeners {
    pub fn add(&mut self) -> Listener {
        let (sender, messages) = channel(MESSAGES_QUEUED_MAX);
        let is_too_slow = Arc::new(AtomicBool::new(false));
        self.last_id = self.last_id.wrapping_add(1);
        let entry = Entry { messages: sender, topics: BTreeSet::new(), is_too_slow: Arc::clone(&is_too_slow) };
        self.by_id.insert(self.last_id, entry);
        Listener { id: self.last_id, messages, end: is_too_slow }
    }

    pub fn remove(&mut self, id: u64) {
        for topic in self.by_id.remove(&id).map(|entry| entry.topics).unwrap_or_default() {
            self.unhear(topic);
        }
    }

    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Says whether there was room.
    pub fn add_topic(&mut self, id: u64, topic: Topic) -> bool {
        // One that was cut off meanwhile hears of it from its queue.
        let Some(entry) = self.by_id.get_mut(&id) else { return true };
        if entry.topics.contains(&topic) {
            return true;
        }
        let has_room = entry.topics.len() < TOPICS_MAX;
        if has_room {
            entry.topics.insert(topic);
            *self.heard.entry(topic).or_default() += 1;
        }
        has_room
    }

    pub fn remove_topic(&mut self, id: u64, topic: Topic) {
        if self.by_id.get_mut(&id).is_some_and(|entry| entry.topics.remove(&topic)) {
            self.unhear(topic);
        }
    }

    pub fn is_heard(&self, topic: Topic) -> bool {
        self.heard.contains_key(&topic)
    }

    /// Sends to everyone who listens to a topic. The message is made once, and only if somebody does.
    pub fn send(&mut self, topic: Topic, message: impl FnOnce() -> String) {
        if !self.is_heard(topic) {
            return;
        }
        let message = Told { topic, text: Utf8Bytes::from(message()) };
        let listening = self.by_id.iter().filter(|(_, entry)| entry.topics.contains(&topic));
        let too_slow: Vec<u64> =
            listening.filter(|(_, entry)| !entry.is_sent(message.clone())).map(|(id, _)| *id).collect();
        too_slow.into_iter().for_each(|id| self.remove(id));
    }

    pub fn send_one(&mut self, id: u64, topic: Topic, message: String) {
        let message = Told { topic, text: Utf8Bytes::from(message) };
        if self.by_id.get(&id).is_some_and(|entry| !entry.is_sent(message)) {
            self.remove(id);
        }
    }

    fn unhear(&mut self, topic: Topic) {
        if let Some(count) = self.heard.get_mut(&topic) {
            *count -= 1;
            if *count == 0 {
                self.heard.remove(&topic);
            }
        }
    }
}

impl Entry {
    /// Never waits: a full queue is the end of its listener.
    fn is_sent(&self, message: Told) -> bool {
        let is_sent = self.messages.try_send(message).is_ok();
        if !is_sent {
            self.is_too_slow.store(true, Ordering::Release);
        }
        is_sent
    }
}

/// Messages that wait for one listener at most.
pub const MESSAGES_QUEUED_MAX: usize = 256;
/// Topics of one listener.
pub const TOPICS_MAX: usize = 64;
