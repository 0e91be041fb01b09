//! Holds what the engine did against what the record says, order by order, and names the cause of each difference.
//!
//! The measure is strict: an order counts with the smaller of its recorded and its replayed fill, so filling another
//! order instead is no help. What is missing is put down to causes in a fixed order, from those known for certain to the
//! rest, which only a difference in price-time priority can explain.

use std::collections::{BTreeMap, BTreeSet};

use casemate_protocol::QuantityLots;

use super::LOT_SATOSHI;
use super::plan::{NotSent, Plan, RecordedOrder};
use super::recorded_book::BestPrices;

/// Collects replayed fills and sampled prices while a plan runs.
#[derive(Clone, Debug)]
pub struct Comparison<'plan> {
    plan: &'plan Plan,
    replayed_satoshi: BTreeMap<u64, u64>,
    self_trade_satoshi: BTreeMap<u64, u64>,
    refused: BTreeSet<u64>,
    best_prices: BestPriceAgreement,
}

/// Why a recorded fill was not replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShortfallCause {
    /// The order was not placed.
    NotSent(NotSent),
    /// The engine refused the order.
    Refused,
    /// The engine kept two orders of one account from trading.
    SelfTrade,
    /// The order's volume was rounded down to lots.
    OwnRemainder,
    /// The other sides' volumes were rounded down to lots: less than one lot for each recorded fill.
    OtherRemainder,
    /// Another order was filled instead.
    PriceTime,
}

/// How often the engine's best prices were the record's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BestPriceAgreement {
    /// Samples that could be compared.
    pub compared: u64,
    /// Samples left out, because the recorded book was crossed while a trade was being reported.
    pub crossed: u64,
    /// Of the compared: equal bid.
    pub bids_equal: u64,
    /// Of the compared: equal ask.
    pub asks_equal: u64,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparisonReport {
    /// Filled in the record, both sides of each trade.
    pub recorded_satoshi: u64,
    /// Filled in the replay, both sides of each trade.
    pub replayed_satoshi: u64,
    /// The smaller of the two for each order, over all orders.
    pub matched_satoshi: u64,
    /// Filled in the replay where the record has less: mostly takers whose last fill the record shows as a cancel.
    pub beyond_record_satoshi: u64,
    /// Recorded and not replayed, by cause.
    pub shortfall_satoshi: BTreeMap<ShortfallCause, u64>,
    /// Orders with a recorded fill.
    pub filled_orders: u64,
    /// Of these: missing less than one lot.
    pub filled_orders_equal: u64,
    /// Best prices.
    pub best_prices: BestPriceAgreement,
}

impl<'plan> Comparison<'plan> {
    /// Nothing replayed yet.
    #[must_use]
    pub fn new(plan: &'plan Plan) -> Self {
        Self {
            plan,
            replayed_satoshi: BTreeMap::new(),
            self_trade_satoshi: BTreeMap::new(),
            refused: BTreeSet::new(),
            best_prices: BestPriceAgreement::default(),
        }
    }

    /// The engine filled an order by this much; called for both sides of a trade.
    pub fn filled(&mut self, id: u64, quantity: QuantityLots) {
        *self.replayed_satoshi.entry(id).or_default() += satoshi(quantity);
    }

    /// The engine dropped this much of an order, so that an account would not trade with itself.
    pub fn dropped_for_self_trade(&mut self, id: u64, quantity: QuantityLots) {
        *self.self_trade_satoshi.entry(id).or_default() += satoshi(quantity);
    }

    /// The engine refused to place an order.
    pub fn refused(&mut self, id: u64) {
        self.refused.insert(id);
    }

    /// Compares best prices at a moment at which record and engine have taken in the same rows.
    pub fn sample(&mut self, recorded: BestPrices, replayed: BestPrices) {
        if recorded.is_crossed() {
            self.best_prices.crossed += 1;
            return;
        }
        self.best_prices.compared += 1;
        self.best_prices.bids_equal += u64::from(recorded.bid == replayed.bid);
        self.best_prices.asks_equal += u64::from(recorded.ask == replayed.ask);
    }

    /// The outcome so far.
    #[must_use]
    pub fn report(&self) -> ComparisonReport {
        let mut report = ComparisonReport {
            recorded_satoshi: 0,
            replayed_satoshi: self.replayed_satoshi.values().sum(),
            matched_satoshi: 0,
            beyond_record_satoshi: 0,
            shortfall_satoshi: BTreeMap::new(),
            filled_orders: 0,
            filled_orders_equal: 0,
            best_prices: self.best_prices,
        };
        for (id, order) in &self.plan.orders {
            let replayed = self.replayed_satoshi.get(id).copied().unwrap_or(0);
            let matched = replayed.min(order.filled_satoshi);
            let missing = order.filled_satoshi - matched;
            report.recorded_satoshi += order.filled_satoshi;
            report.matched_satoshi += matched;
            report.beyond_record_satoshi += replayed - matched;
            if order.filled_satoshi > 0 {
                report.filled_orders += 1;
                report.filled_orders_equal += u64::from(missing < LOT_SATOSHI);
            }
            self.explain(*id, order, missing, &mut report.shortfall_satoshi);
        }
        report
    }

    /// Puts what is missing of an order down to causes, each up to what it can account for.
    fn explain(
        &self,
        id: u64,
        order: &RecordedOrder,
        missing_satoshi: u64,
        shortfall: &mut BTreeMap<ShortfallCause, u64>,
    ) {
        let not_sent = order.not_sent.map(|reason| (ShortfallCause::NotSent(reason), u64::MAX));
        let refused = self.refused.contains(&id).then_some((ShortfallCause::Refused, u64::MAX));
        let self_trade_satoshi = self.self_trade_satoshi.get(&id).copied().unwrap_or(0);
        let causes = [
            (ShortfallCause::SelfTrade, self_trade_satoshi),
            (ShortfallCause::OwnRemainder, order.remainder_satoshi),
            (ShortfallCause::OtherRemainder, u64::from(order.fill_rows) * LOT_SATOSHI),
            (ShortfallCause::PriceTime, u64::MAX),
        ];
        let mut rest_satoshi = missing_satoshi;
        for (cause, most_satoshi) in not_sent.into_iter().chain(refused).chain(causes) {
            let part_satoshi = rest_satoshi.min(most_satoshi);
            if part_satoshi > 0 {
                *shortfall.entry(cause).or_default() += part_satoshi;
                rest_satoshi -= part_satoshi;
            }
        }
    }
}

impl ComparisonReport {
    /// The share of recorded volume that was replayed, order by order; 1 if nothing was recorded.
    #[must_use]
    pub fn filled_volume_ratio(&self) -> f64 {
        if self.recorded_satoshi == 0 { 1.0 } else { self.matched_satoshi as f64 / self.recorded_satoshi as f64 }
    }
}

impl ShortfallCause {
    /// The cause in words.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotSent(NotSent::OpeningVolumeUnknown) => "opening volume unknown",
            Self::NotSent(NotSent::OpeningCrosses) => "opening order crosses the opening book",
            Self::NotSent(NotSent::BelowOneLot) => "order below one lot",
            Self::NotSent(NotSent::DeletedBeforeCreated) => "deleted before created",
            Self::Refused => "refused by the engine",
            Self::SelfTrade => "self-trade prevented",
            Self::OwnRemainder => "rounded down to lots",
            Self::OtherRemainder => "other side rounded down to lots",
            Self::PriceTime => "another order filled instead",
        }
    }
}

fn satoshi(quantity: QuantityLots) -> u64 {
    quantity.lots().saturating_mul(LOT_SATOSHI)
}
