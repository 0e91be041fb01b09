//! Holders of one side of a market, the most levered first, without a look at those who cannot be as levered as that.
//!
//! An account's leverage is the size `G` of its positions over its equity `E`. Its bounds say the most that it can be. Let a
//! bound stem from a look at mark `m0`, with a distance `x·m0` (see the module above), and let the price now be `D` away from
//! the bound, in every market of the account. Then its equity has fallen by at most `q·(x·m0 - D)` in each market, and at the
//! look it was above maintenance margin by `x` of everything, so now `E >= sum of q·D + r·q·m0`, where `r` is the lowest rate of
//! maintenance margin. `G` is the sum of `q·m` at the marks `m` of now, and a fraction of sums is at most the largest of the
//! fractions of its terms: `G/E <= m / (D + r·m0)` in one of its markets.
//!
//! A bound that a look left where it was, because it is nearer than need be, is like one that this look made with a smaller
//! distance: only that it is at most `x·m0` away is used, and then `E` is larger than said.
//!
//! The queues do not keep `m0`. For a long it is its bound and more, `m0 >= m - D` but for funding; for a short that is further
//! from its bound than it was, it is `m` and more; and for one that is nearer to it, the maintenance margin of now takes its
//! place, because the distance covers its growth. So `m - D` serves for all. Funding since then is at most 1/256 of either
//! mark, as [`RiskQueue::prepare`] sees to. Rounding is a few micro-quote a position where every bound has 64 in reserve, which
//! counts only for an account worth next to nothing: below a leverage of 1/32 nothing is told.
//!
//! So buckets are walked in all queues at once, the one that allows most leverage first. Whoever has not been met then has all
//! of his bounds in buckets that allow less. Other queues than that of the market and side matter only for accounts that hold
//! several positions. Accounts that changed since the last look, and those that it found with no more than their reserve, have no
//! bound and come first; those that it found below maintenance margin, and that have not changed, do not come at all.

use core::iter::Peekable;
use core::ops::ControlFlow;

use super::{Direction, RiskQueue, adjusted_mark};
use crate::liquidation::draining::{LEVEL_BITS, Level};
use crate::risk::value::Prices;
use crate::segment::{Market, Segment};

/// Calls `visit` with accounts that may hold that side of a market, and the most leverage that anybody can have who is still
/// to come (`None` if nobody is), until it breaks. Every safe holder comes at least once, some more than once, others too.
///
/// `false`, and no call, where the queue does not stand at the prices of now.
pub(in crate::liquidation) fn walk_most_levered(
    segment: &Segment,
    market: u16,
    is_long: bool,
    mut visit: impl FnMut(&[u64], Option<Level>) -> ControlFlow<()>,
) -> bool {
    let Some(queue) = segment.clearing().map(|clearing| &clearing.queue).filter(|queue| queue.is_current(segment))
    else {
        return false;
    };
    let mut cursors = queue.cursors(segment, market, is_long);
    let mut accounts: Vec<u64> = queue.changed.iter().chain(&queue.near).copied().collect();
    loop {
        let nearest = cursors.iter_mut().filter_map(|cursor| Some((cursor.leverage_max()?, cursor)));
        let nearest = nearest.max_by_key(|(leverage, _)| *leverage);
        let (leverage, cursor) = nearest.unzip();
        if visit(&accounts, leverage).is_break() {
            return true;
        }
        let Some(cursor) = cursor else { return true };
        accounts.clear();
        cursor.take_bucket(queue, &mut accounts);
    }
}

/// A place in one queue.
struct Cursor<Buckets: Iterator> {
    buckets: Peekable<Buckets>,
    mark: i64,
    /// The lowest rate of maintenance margin.
    maintenance_ppm: u32,
    /// Only accounts with several positions matter.
    is_for_spread: bool,
}

impl RiskQueue {
    /// Whether no mark has moved since the last look.
    fn is_current(&self, segment: &Segment) -> bool {
        let is_seen = |(market, watch): (&Market, &super::MarketWatch)| {
            let now = market.margin().map(|margin| (Prices::of(margin).mark, adjusted_mark(market, margin)));
            now == watch.seen
        };
        self.markets.len() == segment.markets().len() && segment.markets().iter().zip(&self.markets).all(is_seen)
    }

    fn cursors(
        &self,
        segment: &Segment,
        target: u16,
        is_long: bool,
    ) -> Vec<Cursor<impl Iterator<Item = (i64, impl Iterator<Item = u32>)>>> {
        let mut cursors = Vec::new();
        let hurts_target = if is_long { Direction::Falling } else { Direction::Rising };
        for (place, market) in (0u16..).zip(segment.markets()) {
            let Some(margin) = market.margin() else { continue };
            for direction in [Direction::Falling, Direction::Rising] {
                // Nobody holds both sides of a market.
                let is_needed = if place == target { direction == hurts_target } else { !self.spread.is_empty() };
                if is_needed {
                    cursors.push(Cursor {
                        buckets: self.bounds.nearest(place, direction, adjusted_mark(market, margin)).peekable(),
                        mark: i64::try_from(Prices::of(margin).mark.fine()).unwrap_or(i64::MAX),
                        maintenance_ppm: margin.rules.tiers.iter().next().map_or(0, |tier| tier.maintenance.ppm()),
                        is_for_spread: place != target,
                    });
                }
            }
        }
        cursors
    }
}

impl<Buckets: Iterator<Item = (i64, Accounts)>, Accounts: Iterator<Item = u32>> Cursor<Buckets> {
    /// The most leverage that whoever is still to come can have in this market alone; `None` at the end.
    fn leverage_max(&mut self) -> Option<Level> {
        let (distance, _) = self.buckets.peek()?;
        Some(leverage_max(self.mark, *distance, self.maintenance_ppm))
    }

    fn take_bucket(&mut self, queue: &RiskQueue, accounts: &mut Vec<u64>) {
        let Some((_, bucket)) = self.buckets.next() else { return };
        let is_for_spread = self.is_for_spread;
        accounts.extend(bucket.map(u64::from).filter(|account| !is_for_spread || queue.is_spread(*account)));
    }
}

/// The most leverage of an account in a market at this mark and distance from its bound, rounded up.
fn leverage_max(mark: i64, distance: i64, maintenance_ppm: u32) -> Level {
    // Funding in whole fine ticks is inexact by up to two.
    let distance = i128::from(distance).saturating_sub(2);
    if distance < 0 {
        // Passed: the account may be worth anything.
        return Level::MAX;
    }
    let mark = i128::from(mark);
    // m0 >= m - D - (m + m0)/256
    let mark_then = mark.saturating_mul(255).saturating_sub(distance.saturating_mul(256)).max(0) / 257;
    let margin = mark_then.saturating_mul(i128::from(maintenance_ppm)) / 1_000_000;
    let part = distance.saturating_add(margin);
    (mark << LEVEL_BITS).checked_div(part).map_or(Level::MAX, |leverage| leverage.saturating_add(1)).max(LEVERAGE_MIN)
}

/// Below this, rounding to micro-quote might matter.
const LEVERAGE_MIN: Level = 1 << (LEVEL_BITS - 5);
