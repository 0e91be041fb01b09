//! What the hub keeps of a market: its book and its late trades.

use std::collections::{BTreeMap, VecDeque};

use casemate_ledger::Ledger;
use casemate_protocol::{Event, MarketId};

use super::book::{LevelBook, markets};
use crate::dto::market::{LevelJson, TradeJson};

/// One market.
pub struct MarketModel {
    pub book: LevelBook,
    /// Height of the last block that changed the book, as far as is known.
    pub book_sequence: u64,
    /// Height of the last block with a trade, as far as is known.
    pub trade_sequence: u64,
    trades: VecDeque<TradeJson>,
    /// Trades that were not told yet, at the end of `trades`.
    new_trades: Vec<TradeJson>,
    forgotten: Forgotten,
}

/// Up to where trades are not remembered.
#[derive(Clone, Copy, Debug)]
struct Forgotten {
    height: u64,
    /// Nothing is known of earlier numbers, not even whether there are any.
    number: Option<u64>,
}

/// Every market of a ledger. Blocks up to `forgotten_height` will not be recalled.
pub fn of_ledger(ledger: &Ledger, height: u64, forgotten_height: u64) -> BTreeMap<MarketId, MarketModel> {
    let model = |(id, segment, market)| {
        let number = if forgotten_height == 0 { Some(0) } else { None };
        let model = MarketModel {
            book: LevelBook::of_market(segment, market),
            book_sequence: height,
            trade_sequence: height,
            trades: VecDeque::new(),
            new_trades: Vec::new(),
            forgotten: Forgotten { height: forgotten_height, number },
        };
        (id, model)
    };
    markets(ledger).map(model).collect()
}

impl MarketModel {
    /// Lets an event of this market take effect.
    pub fn apply(&mut self, event: &Event, height: u64, time_ms: u64) {
        self.book.apply(event);
        if let Event::TradeExecuted(trade) = event {
            let trade = TradeJson::of(trade, height, time_ms);
            self.remember_trade(trade);
            self.new_trades.push(trade);
        }
    }

    pub fn remember_trade(&mut self, trade: TradeJson) {
        self.trades.push_back(trade);
        if self.trades.len() > TRADES_REMEMBERED_MAX
            && let Some(oldest) = self.trades.pop_front()
        {
            self.forgotten = Forgotten { height: oldest.height, number: Some(oldest.number) };
        }
    }

    pub fn has_book_changed(&self) -> bool {
        self.book.has_changed()
    }

    pub fn take_changes(&mut self) -> (Vec<LevelJson>, Vec<LevelJson>) {
        self.book.take_changes()
    }

    pub fn take_new_trades(&mut self) -> Vec<TradeJson> {
        std::mem::take(&mut self.new_trades)
    }

    /// Trades after a number, oldest first, or the last ones; and whether some in between are forgotten.
    pub fn trades_after_number(&self, after: Option<u64>, count_max: usize) -> (bool, Vec<TradeJson>) {
        let Some(after) = after else {
            let skipped = self.trades.len().saturating_sub(count_max);
            return (false, self.trades.iter().skip(skipped).copied().collect());
        };
        // Where nothing is known of numbers, the first trade that is remembered need not follow what was asked for.
        let has_gap = match self.forgotten.number {
            Some(number) => after < number,
            None => self.trades.front().is_none_or(|first| after < first.number),
        };
        let from = self.trades.partition_point(|trade| trade.number <= after);
        (has_gap, self.trades.iter().skip(from).take(count_max).copied().collect())
    }

    /// Trades of blocks after a height, oldest first, the last of them if they are many; and whether some in between are
    /// left out or forgotten.
    pub fn trades_after_height(&self, after: Option<u64>) -> (bool, Vec<TradeJson>) {
        let Some(after) = after else { return (false, Vec::new()) };
        let from = self.trades.partition_point(|trade| trade.height <= after);
        let left_out = self.trades.len().saturating_sub(from).saturating_sub(SNAPSHOT_TRADES_MAX);
        let has_gap = after < self.forgotten.height || left_out > 0;
        (has_gap, self.trades.iter().skip(from + left_out).copied().collect())
    }
}

/// Trades in a snapshot at most: as many as an answer has.
pub const SNAPSHOT_TRADES_MAX: usize = 1_000;

/// Late trades of a market that are remembered.
pub const TRADES_REMEMBERED_MAX: usize = 10_000;
