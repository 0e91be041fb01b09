//! Who must be looked at: a bound for each account, and the accounts whose bound the marks have passed.
//!
//! The bound of an account is a share `x` such that it stays at or above maintenance margin if every one of its markets
//! moves against it by at most `x` of the mark it was computed at. It stands in the queue of each of its markets and
//! directions; a look is due as soon as one of them is passed.
//!
//! Why that is safe: maintenance margin is a continuous function of size whose slope never falls, but for rounding. So
//! equity falls by at most `x` of gross notional, and the margin of a short grows by at most `x` of what doubling the position
//! adds. A long whose price rises gains more than its margin grows by, up to the highest mark that there can be; a position so
//! large that this is not known is watched in both directions and counts as a short does. Funding moves equity like a move of
//! the price, so queues are kept in marks less cumulative funding; what funding does to maintenance margin beyond that is
//! covered by a reserve of one part in 64, and bounds are made anew before funding has used it up. `x` is at most a half, so
//! that move and funding stay within a doubling.
//!
//! An account with no more to spare than its reserve has no bound and is looked at in every block, like one that is below
//! maintenance margin, or that owes cash and holds nothing.

mod due;
mod walk;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use casemate_protocol::{AccountId, DurationMs, FineTicks, QuoteMicros};

use self::due::{Below, due_first, is_within_reach};
use super::queue::{BoundQueues, Direction};
use crate::paged::Row;
use crate::risk::value::Prices;
use crate::risk::{Health, Held, Risk};
use crate::segment::{Margin, Market, Position, Segment, SubAccount};

pub(super) use walk::walk_most_levered;

/// The queues of a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct RiskQueue {
    bounds: BoundQueues,
    markets: Vec<MarketWatch>,
    /// Accounts whose cash or positions changed since their last bound.
    changed: Vec<u64>,
    /// Accounts that were below maintenance margin when last looked at.
    at_risk: BTreeSet<u64>,
    /// Accounts that were above it by no more than their reserve, and have no bound.
    near: BTreeSet<u64>,
    /// Every account is looked at once, after a start.
    is_primed: bool,
    /// Accounts that held positions in several markets when last looked at, a bit each.
    spread: Vec<u64>,
    /// Deleveragings that this block still allows.
    deleveragings_left: u32,
    /// Positions of the account that is judged; empty between judgements but for its memory.
    held: Vec<(Position, Held)>,
}

/// Positions of a segment that one block deleverages at most; the others wait for the next. One looks at a few accounts as a
/// rule, but at every row of the segment where nobody on the other side is in profit.
const DELEVERAGINGS_MAX: u32 = 1;

/// Accounts whose rows are read ahead of judging them.
const TOUCHED_AHEAD: usize = 16;

#[derive(Clone, Debug)]
struct MarketWatch {
    /// The longest position whose margin never grows faster than a rising price makes it worth more.
    rise_safe_lots: u64,
    /// Cumulative funding, in fine ticks, when the bounds of all holders were last made anew.
    funding_anchor: i64,
    /// Mark and adjusted mark of the last look.
    seen: Option<(FineTicks, i64)>,
}

impl RiskQueue {
    /// An account's cash or position changed.
    pub(crate) fn note_changed(&mut self, account: u64) {
        // Several changes of one account follow each other.
        if self.changed.last() != Some(&account) {
            self.changed.push(account);
        }
    }
}

impl RiskQueue {
    /// Notes whether the account that is judged holds positions in several markets.
    fn note_spread(&mut self, account: u64) {
        let is_spread = self.held.len() > 1;
        let (word, bit) = spread_place(account);
        if is_spread && word >= self.spread.len() {
            self.spread.resize(word.saturating_add(1), 0);
        }
        let Some(word) = self.spread.get_mut(word) else { return };
        *word = if is_spread { *word | bit } else { *word & !bit };
    }

    fn is_spread(&self, account: u64) -> bool {
        let (word, bit) = spread_place(account);
        self.spread.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// An account's place among the bits.
fn spread_place(account: u64) -> (usize, u64) {
    (usize::try_from(account / u64::from(u64::BITS)).unwrap_or(usize::MAX), 1 << (account % u64::from(u64::BITS)))
}

/// Whether this block still allows a deleveraging; counts it.
pub(super) fn take_deleveraging(segment: &mut Segment) -> bool {
    let Some(clearing) = segment.clearing.as_mut() else { return false };
    let left = clearing.queue.deleveragings_left;
    clearing.queue.deleveragings_left = left.saturating_sub(1);
    left > 0
}

/// Whom this block takes a step for, at most `count` accounts; see [`due_first`] for their order. INVARIANT(L1).
pub(crate) fn liquidatable(segment: &mut Segment, waiting_ms: DurationMs, count: usize) -> Vec<AccountId> {
    let Some(mut queue) = segment.clearing.as_mut().map(|clearing| core::mem::take(&mut clearing.queue)) else {
        return Vec::new();
    };
    let found = queue.look(segment, waiting_ms);
    queue.deleveragings_left = DELEVERAGINGS_MAX;
    if let Some(clearing) = segment.clearing.as_mut() {
        clearing.queue = queue;
    }
    due_first(found, count)
}

/// What a look says about an account.
enum Standing {
    Below(Health),
    /// Safe, by no more than its reserve.
    Near,
    /// Safe up to its bounds, or without a position.
    Bounded,
}

impl RiskQueue {
    /// Accounts below maintenance margin, by number.
    fn look(&mut self, segment: &Segment, waiting_ms: DurationMs) -> Vec<Below> {
        self.prepare(segment);
        let mut passed = Vec::new();
        for ((place, market), watch) in (0u16..).zip(segment.markets()).zip(&mut self.markets) {
            let Some(margin) = market.margin() else { continue };
            let price = adjusted_mark(market, margin);
            watch.seen = Some((Prices::of(margin).mark, price));
            for direction in [Direction::Falling, Direction::Rising] {
                self.bounds.take_passed(place, direction, price, &mut passed);
            }
        }
        let mut accounts = core::mem::take(&mut self.changed);
        accounts.extend(passed.into_iter().map(u64::from));
        accounts.extend(self.at_risk.iter().chain(&self.near));
        accounts.sort_unstable();
        accounts.dedup();
        let risk = Risk::new(segment.markets(), waiting_ms);
        let mut found = Vec::new();
        for (place, &account) in accounts.iter().enumerate() {
            if place % TOUCHED_AHEAD == 0 {
                let ahead = accounts.get(place..).unwrap_or_default().iter().take(TOUCHED_AHEAD);
                core::hint::black_box(ahead.fold(0u64, |sum, account| sum.wrapping_add(self.touch(segment, *account))));
            }
            let row = segment.sub_account(AccountId::new(account));
            let standing = row.map_or(Standing::Bounded, |row| self.judge(segment, &risk, account, row));
            include(&mut self.at_risk, account, matches!(standing, Standing::Below(_)));
            include(&mut self.near, account, matches!(standing, Standing::Near));
            if let (Standing::Below(health), Some(row)) = (standing, row) {
                found.push(Below { account, health, is_within_reach: is_within_reach(segment, row) });
            }
        }
        found
    }

    /// Reads what judging an account will need; see `touch`.
    fn touch(&self, segment: &Segment, account: u64) -> u64 {
        let Some(row) = segment.sub_account(AccountId::new(account)) else { return 0 };
        row.touch() ^ u32::try_from(account).map_or(0, |account| self.bounds.touch(account))
    }

    /// Makes the queues at the first look, and has all holders looked at where funding has used up the reserve.
    fn prepare(&mut self, segment: &Segment) {
        if !self.is_primed {
            self.is_primed = true;
            self.markets = segment.markets().iter().map(MarketWatch::new).collect();
            self.bounds = BoundQueues::new(segment.markets().iter().map(bucket_width));
            self.changed.extend(holders(segment, |_| true));
            self.changed.extend(debtors(segment));
        }
        let mut drifted = Vec::new();
        for ((place, market), watch) in (0u16..).zip(segment.markets()).zip(&mut self.markets) {
            let Some(margin) = market.margin() else { continue };
            let funding = funding_fine(market);
            let mark = i64::try_from(Prices::of(margin).mark.fine()).unwrap_or(i64::MAX);
            // Half of the reserve, because a bound may stem from as far on the other side of the anchor; and half of that,
            // because it may stem from half of this mark.
            if funding.abs_diff(watch.funding_anchor) > mark.unsigned_abs() / (4 * FUNDING_RESERVE) {
                watch.funding_anchor = funding;
                drifted.push(place);
            }
        }
        if !drifted.is_empty() {
            self.changed.extend(holders(segment, |market| drifted.contains(&market)));
        }
    }

    /// Gives an account its bounds, if it is safe and they are known.
    fn judge(&mut self, segment: &Segment, risk: &Risk<'_>, account: u64, row: &SubAccount) -> Standing {
        self.held.clear();
        let health = risk.health_of_each(row, |position, held| {
            if position.lots() != 0 {
                self.held.push((*position, held));
            }
        });
        if !health.is_safe() {
            return Standing::Below(health);
        }
        if self.held.is_empty() {
            return Standing::Bounded;
        }
        self.note_spread(account);
        let Some(share) = self.safe_share(segment, &health) else { return Standing::Near };
        let account = u32::try_from(account).unwrap_or(u32::MAX);
        for (position, _) in &self.held {
            let place = usize::from(position.market);
            let Some((market, margin)) = market_on_margin(segment, place) else { continue };
            let Some(watch) = self.markets.get(place) else { continue };
            let mark = i128::from(Prices::of(margin).mark.fine());
            let distance =
                i64::try_from(mark.saturating_mul(share) >> SHARE_BITS).unwrap_or(i64::MAX).saturating_sub(1);
            // A bound that is nearer than this costs a look early; one that is not costs less than moving it.
            let near = distance / 2;
            let price = adjusted_mark(market, margin);
            if position.lots() > 0 {
                let (bound, near) = (price.saturating_sub(distance), price.saturating_sub(near));
                self.bounds.set(position.market, Direction::Falling, account, bound, near);
            }
            if watch.is_hurt_by_rise(position) {
                let (bound, near) = (price.saturating_add(distance), price.saturating_add(near));
                self.bounds.set(position.market, Direction::Rising, account, bound, near);
            }
        }
        Standing::Bounded
    }

    /// The share of all marks that may move against the account that is judged, in parts of 2^30, rounded down and at most a
    /// half. `None` if all that it has above maintenance margin is its reserve.
    fn safe_share(&self, segment: &Segment, health: &Health) -> Option<i128> {
        let (mut exposure, mut reserve) = (0i128, 0i128);
        for (position, held) in &self.held {
            let place = usize::from(position.market);
            let (Some((_, margin)), Some(watch)) = (market_on_margin(segment, place), self.markets.get(place)) else {
                continue;
            };
            let growth = growth_by_doubling(margin, held);
            exposure = exposure.saturating_add(held.notional.into());
            if watch.is_hurt_by_rise(position) {
                exposure = exposure.saturating_add(growth);
            }
            reserve = reserve.saturating_add(growth / i128::from(FUNDING_RESERVE)).saturating_add(ROUNDING_MICROS);
        }
        let slack = i128::from(health.equity).saturating_sub(health.maintenance.into()).saturating_sub(reserve);
        if slack <= 0 {
            return None;
        }
        let share = slack.saturating_mul(1 << SHARE_BITS).checked_div(exposure).unwrap_or(SHARE_MAX);
        Some(share.min(SHARE_MAX))
    }
}

fn market_on_margin(segment: &Segment, place: usize) -> Option<(&Market, &Margin)> {
    let market = segment.markets().get(place)?;
    Some((market, market.margin()?))
}

/// What a position of twice the size needs more of maintenance margin.
fn growth_by_doubling(margin: &Margin, held: &Held) -> i128 {
    let doubled = margin.rules.maintenance_margin(QuoteMicros::from_micros(held.notional.saturating_mul(2)));
    i128::from(doubled.map_or(i64::MAX, QuoteMicros::micros)).saturating_sub(held.maintenance.into())
}

fn include(accounts: &mut BTreeSet<u64>, account: u64, is_in: bool) {
    if is_in {
        accounts.insert(account);
    } else {
        accounts.remove(&account);
    }
}

const SHARE_BITS: u32 = 30;
const SHARE_MAX: i128 = 1 << (SHARE_BITS - 1);
/// One part in this of what doubling a position adds to its maintenance margin is kept for funding.
const FUNDING_RESERVE: u64 = 64;
/// What rounding of values, funding and brackets can make of one position, generously.
const ROUNDING_MICROS: i128 = 64;

impl MarketWatch {
    fn new(market: &Market) -> Self {
        Self {
            rise_safe_lots: market.margin().map_or(0, |margin| rise_safe_lots(market, margin)),
            funding_anchor: funding_fine(market),
            seen: None,
        }
    }

    const fn is_hurt_by_rise(&self, position: &Position) -> bool {
        position.lots() < 0 || position.lots().unsigned_abs() > self.rise_safe_lots
    }
}

/// Lots whose maintenance margin grows by at most half of what they gain, wherever their price may rise to: the largest of
/// the market's limit for positions, half of it, a quarter, and so on.
fn rise_safe_lots(market: &Market, margin: &Margin) -> u64 {
    let rules = market.rules();
    // No price is above the market's highest, rounded down, and no mark above twice that.
    let highest = i128::from(rules.price_max.ticks()).saturating_add(1).saturating_mul(2);
    let per_lot = highest.saturating_mul(rules.tick_value.micros().into());
    let needs = |notional: i128| {
        let notional = QuoteMicros::from_micros(i64::try_from(notional).ok()?);
        margin.rules.maintenance_margin(notional).map(|needed| i128::from(needed.micros()))
    };
    // No slope below a size is steeper than what follows it.
    let is_safe = |lots: u64| {
        let notional = per_lot.saturating_mul(lots.into());
        let growth =
            needs(notional.saturating_mul(2)).zip(needs(notional)).map(|(more, less)| more.saturating_sub(less));
        growth.is_some_and(|growth| growth.saturating_mul(2) <= notional)
    };
    let limit = rules.position_lots_max.lots();
    (0..u64::BITS).map(|halvings| limit >> halvings).find(|lots| is_safe(*lots)).unwrap_or(0)
}

fn bucket_width(market: &Market) -> NonZeroU32 {
    let mark = market.margin().map_or(FineTicks::ZERO, |margin| Prices::of(margin).mark);
    let width = u32::try_from(mark.fine() / BUCKETS_PER_PRICE).unwrap_or(u32::MAX);
    NonZeroU32::new(width).unwrap_or(NonZeroU32::MIN)
}

/// Buckets between zero and the mark.
const BUCKETS_PER_PRICE: u64 = 4_096;

/// The mark less cumulative funding, in fine ticks: what a long's equity follows.
fn adjusted_mark(market: &Market, margin: &Margin) -> i64 {
    let mark = i64::try_from(Prices::of(margin).mark.fine()).unwrap_or(i64::MAX);
    mark.saturating_sub(funding_fine(market))
}

/// Cumulative funding in fine ticks: micro-quote per lot over micro-quote per tick and lot.
fn funding_fine(market: &Market) -> i64 {
    market.facts().funding_cumulative.checked_div(market.rules().tick_value.micros().into()).unwrap_or(0)
}

/// Accounts with a position in one of some markets.
fn holders(segment: &Segment, wanted: impl Fn(u16) -> bool) -> Vec<u64> {
    let holds =
        |row: &SubAccount| row.positions().iter().any(|position| position.lots() != 0 && wanted(position.market));
    segment.sub_accounts.iter().filter(|(_, row)| holds(row)).map(|(account, _)| account).collect()
}

/// Accounts that owe cash.
fn debtors(segment: &Segment) -> impl Iterator<Item = u64> {
    segment.sub_accounts.iter().filter(|(_, row)| row.cash().is_negative()).map(|(account, _)| account)
}

#[cfg(test)]
mod tests;
