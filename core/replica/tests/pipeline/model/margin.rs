//! What an account has and needs.

use casemate_protocol::clearing::MarginTier;
use casemate_protocol::{AccountId, PriceGrade, RatioPpm, Side};

use super::{Account, FINE, MILLION, Market, Model, Position, ceil};

/// What counts for initial margin, between the latest and the earliest that the pages allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub least: i128,
    pub most: i128,
}

/// Prices at which positions of a market are judged for initial margin.
struct Judged {
    low: i128,
    high: i128,
    counts_profit: bool,
}

impl Market {
    /// The worse of published and used while they differ, no profit while publishers disagree; far out where the price
    /// cannot be trusted.
    fn judged(&self) -> Judged {
        let mark = self.mark_or_index();
        let as_published = mark + self.published - self.index;
        match self.grade {
            PriceGrade::Valid | PriceGrade::Aged => Judged { low: mark, high: mark, counts_profit: true },
            PriceGrade::Clamped | PriceGrade::Uncertain => Judged {
                low: mark.min(as_published).max(0),
                high: mark.max(as_published),
                counts_profit: self.grade == PriceGrade::Clamped,
            },
            PriceGrade::Unusable => {
                let far = ceil(mark * i128::from(self.margin.extended_move.ppm()), MILLION);
                Judged { low: mark - far, high: mark + far, counts_profit: false }
            }
        }
    }

    pub(super) fn mark_or_index(&self) -> i128 {
        if self.mark == 0 { self.index } else { self.mark }
    }

    /// Value of signed lots at a price in fine ticks, rounded down.
    pub(super) fn value(&self, lots: i128, price: i128) -> i128 {
        (lots * price * self.tick_value()).div_euclid(FINE)
    }

    /// Value of signed lots at the mark, rounded up.
    pub(super) fn worth_up(&self, lots: i128) -> i128 {
        ceil(lots * self.mark_or_index() * self.tick_value(), FINE)
    }

    /// Size of lots at a price, rounded up.
    fn size(&self, lots: i128, price: i128) -> i128 {
        ceil(lots.abs() * price * self.tick_value(), FINE)
    }

    pub(super) fn funding_owed(&self, position: &Position) -> i128 {
        ceil(position.lots * (self.funding - position.funding_from), FINE)
    }

    /// Profit or loss at the mark, funding included.
    pub(super) fn profit(&self, position: &Position) -> i128 {
        self.value(position.lots, self.mark_or_index()) - position.entry - self.funding_owed(position)
    }

    /// The tax form of brackets: notional at its bracket's rate, less what the brackets below save (R§3.2).
    fn brackets(&self, notional: i128, rate: impl Fn(&MarginTier) -> RatioPpm) -> i128 {
        let (mut of_million, mut saved, mut below) = (0, 0, 0);
        for tier in self.margin.tiers.iter() {
            let (from, rate) = (i128::from(tier.notional_from.micros()), i128::from(rate(tier).ppm()));
            if notional < from {
                break;
            }
            saved += from * (rate - below);
            below = rate;
            of_million = notional * rate - saved;
        }
        ceil(of_million, MILLION)
    }

    /// Rate times size times the root of size over the market's constant: exact where the root is a whole number of
    /// hundredths, which is found by trying, and straight from one to the next. The line from one to two goes on downwards to
    /// nothing.
    fn add_on(&self, notional: i128) -> i128 {
        let constant = i128::from(self.margin.size_notional.micros());
        let fits = |hundredths: i128| hundredths * hundredths * constant <= notional * 10_000;
        let (mut low, mut step) = (1, 1 << 40);
        while step > 0 {
            if fits(low + step) {
                low += step;
            }
            step /= 2;
        }
        // In 1/10,000 of the constant: notional at both ends, and notional times root, in hundredths.
        let high = low + 1;
        let (width, rise) = (high * high - low * low, high * high * high - low * low * low);
        let whole = low * low * low * constant * width + (notional * 10_000 - low * low * constant) * rise;
        ceil(whole * i128::from(self.margin.size_rate.ppm()), width * 10_000 * 100 * MILLION).max(0)
    }

    fn initial(&self, notional: i128) -> i128 {
        self.brackets(notional, |tier| tier.initial) + self.add_on(notional)
    }

    /// Maintenance margin of a position.
    pub(super) fn maintenance(&self, lots: i128) -> i128 {
        let notional = self.size(lots, self.mark_or_index());
        self.brackets(notional, |tier| tier.maintenance).max(ceil(self.initial(notional), 2))
    }
}

impl Model {
    /// Cash and all profit and loss at the mark.
    pub fn equity(&self, account: AccountId) -> i128 {
        let Some(row) = self.accounts.get(&account) else { return 0 };
        row.cash + row.positions.iter().map(|(market, position)| self.markets[*market].profit(position)).sum::<i128>()
    }

    /// Maintenance margin of everything held.
    pub fn maintenance(&self, account: AccountId) -> i128 {
        let Some(row) = self.accounts.get(&account) else { return 0 };
        row.positions.iter().map(|(market, position)| self.markets[*market].maintenance(position.lots)).sum()
    }

    /// Initial margin: in each market the worst of now, all bids filled and all asks filled.
    pub fn requirement(&self, account: AccountId) -> i128 {
        let Some(row) = self.accounts.get(&account) else { return 0 };
        (0..self.markets.len()).map(|market| self.market_requirement(row, market)).sum()
    }

    /// Size of everything held.
    pub fn gross(&self, account: AccountId) -> i128 {
        let Some(row) = self.accounts.get(&account) else { return 0 };
        let size = |(market, position): (&usize, &Position)| {
            self.markets[*market].size(position.lots, self.markets[*market].judged().high)
        };
        row.positions.iter().map(size).sum()
    }

    /// Cash, losses at the worse price, and profit that is old enough.
    pub fn counted(&self, account: AccountId) -> Counted {
        let Some(row) = self.accounts.get(&account) else { return Counted { least: 0, most: 0 } };
        let mut counted = Counted { least: row.cash, most: row.cash };
        for (place, market) in self.markets.iter().enumerate() {
            let position = row.positions.get(&place).copied().unwrap_or_default();
            let (least, most) = market.counted_profit(&position);
            // A loss eats the youngest gains of its market.
            let unripe = |loss| match row.young.get(&place) {
                Some(young) => young.unripe_after_loss(loss, self.waiting_ms, &market.margin),
                None => (0, 0),
            };
            // What lots were opened better than the mark was a gain at that time.
            let of_entry = position.aged_entry - position.entry;
            counted.least += of_entry + least - unripe((-least).max(0)).1;
            counted.most += of_entry + most - unripe((-most).max(0)).0;
        }
        counted
    }

    fn market_requirement(&self, row: &Account, place: usize) -> i128 {
        let market = &self.markets[place];
        let judged = market.judged();
        let lots = row.positions.get(&place).map_or(0, |position| position.lots);
        let orders = |side: Side| {
            let of_side = row.orders.values().filter(move |order| order.market == place && order.side == side);
            of_side.filter(|order| !order.is_reduce_only).fold((0, 0), |(lots, notional), order| {
                (lots + order.lots, notional + order.lots * order.price * market.tick_value())
            })
        };
        let (bid_lots, bid_notional) = orders(Side::Bid);
        let (ask_lots, ask_notional) = orders(Side::Ask);
        // What is bought dearer or sold cheaper than it is worth is lost at once.
        let bid_loss = (bid_notional - market.value(bid_lots, judged.low)).max(0);
        let ask_loss = (market.size(ask_lots, judged.high) - ask_notional).max(0);
        let need = |lots: i128| market.initial(market.size(lots, judged.high));
        need(lots).max(need(lots + bid_lots) + bid_loss).max(need(lots - ask_lots) + ask_loss)
    }
}

impl Market {
    fn counted_profit(&self, position: &Position) -> (i128, i128) {
        if position.lots == 0 {
            return (0, 0);
        }
        let judged = self.judged();
        let owed = self.funding_owed(position);
        let worse = if position.lots > 0 { judged.low } else { judged.high };
        let shown = self.value(position.lots, worse) - position.aged_entry;
        if shown <= 0 {
            // Funding received makes a loss smaller, and is no profit before it is settled.
            let loss = if owed < 0 { (shown - owed).min(0) } else { shown - owed };
            return (loss, loss);
        }
        let (least, most) = self.old_profit(position.lots, position.aged_entry);
        // Funding owed is taken out of cash by the next fill, so young profit does not make up for it.
        (least - owed.max(0), most - owed.max(0))
    }

    /// What of the profit of signed lots counts, open or just before they are closed: as late as allowed, and exactly.
    pub(super) fn old_profit(&self, lots: i128, aged_entry: i128) -> (i128, i128) {
        let judged = self.judged();
        if lots == 0 || !judged.counts_profit {
            return (0, 0);
        }
        let shown = self.value(lots, if lots > 0 { judged.low } else { judged.high }) - aged_entry;
        let (least, most) = self.stable_values(lots);
        let old = |value: i128| (value - aged_entry).clamp(0, shown.max(0));
        (old(least), old(most))
    }
}
