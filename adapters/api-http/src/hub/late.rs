//! What a channel remembers of late: bounded, oldest first, with the sequence of its last change.

use std::collections::VecDeque;

/// Late messages of a channel.
#[derive(Debug)]
pub struct Late<T> {
    items: VecDeque<(u64, T)>,
    count_max: usize,
    /// Height of the newest thing that had to make room.
    forgotten_height: u64,
    /// Height of the last block that added something, as far as is known.
    pub sequence: u64,
}

impl<T: Copy> Late<T> {
    /// Nothing yet, as of a height.
    pub const fn new(count_max: usize, height: u64) -> Self {
        Self { items: VecDeque::new(), count_max, forgotten_height: 0, sequence: height }
    }

    /// Remembers something of a block.
    pub fn remember(&mut self, height: u64, item: T) {
        self.items.push_back((height, item));
        if self.items.len() > self.count_max {
            self.forgotten_height = self.items.pop_front().map_or(self.forgotten_height, |(oldest, _)| oldest);
        }
    }

    /// A block added these. The sequence of the change before.
    pub fn advance(&mut self, height: u64, items: &[T]) -> u64 {
        items.iter().for_each(|item| self.remember(height, *item));
        std::mem::replace(&mut self.sequence, height)
    }

    /// Whether something that came after a height had to make room.
    pub fn has_forgotten(&self, height: Option<u64>) -> bool {
        height.is_some_and(|height| height < self.forgotten_height)
    }

    /// The last so many, oldest first.
    pub fn last(&self, count_max: usize) -> Vec<T> {
        let skipped = self.items.len().saturating_sub(count_max);
        self.items.iter().skip(skipped).map(|(_, item)| *item).collect()
    }

    /// All, or what came after a height; oldest first.
    pub fn after(&self, height: Option<u64>) -> Vec<T> {
        let newer = |(of, _): &&(u64, T)| height.is_none_or(|height| *of > height);
        self.items.iter().filter(newer).map(|(_, item)| *item).collect()
    }
}
