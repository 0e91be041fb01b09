//! Whom a block takes a step for, of those below maintenance margin, and the same by a scan of all rows.
//!
//! The worst ratio of equity to maintenance comes first. But whoever has nothing left waits for others, insurance or those
//! who are deleveraged, one position a block: he loses nothing by waiting, and many like him must not keep a block from those
//! who can still be closed before they owe. So of a block's steps at most half are theirs while others wait. A step can do
//! nothing for an account all of whose prices are too bad for liquidation: it is not listed, and keeps its orders.

use casemate_protocol::{AccountId, DurationMs, PriceUse};

use crate::risk::{Health, Risk};
use crate::segment::{Segment, SubAccount};

/// An account below maintenance margin.
pub(super) struct Below {
    pub(super) account: u64,
    pub(super) health: Health,
    /// Whether a step can do anything for it.
    pub(super) is_within_reach: bool,
}

/// The first `count` of those within reach. Depends on nothing but who is below maintenance margin, and how.
pub(super) fn due_first(below: Vec<Below>, count: usize) -> Vec<AccountId> {
    let within_reach = below.into_iter().filter(|below| below.is_within_reach);
    let (mut spent, mut solvent): (Vec<Below>, Vec<Below>) = within_reach.partition(|below| below.health.equity <= 0);
    let spent_count = count.saturating_sub(solvent.len()).max(count / 2).min(spent.len());
    worst_first(&mut spent);
    worst_first(&mut solvent);
    let solvent_count = count.saturating_sub(spent_count);
    let due = spent.iter().take(spent_count).chain(solvent.iter().take(solvent_count));
    due.map(|below| AccountId::new(below.account)).collect()
}

/// By ratio of equity to maintenance, then by number.
fn worst_first(below: &mut [Below]) {
    below.sort_unstable_by(|left, right| {
        let ratio =
            |health: &Health, other: &Health| i128::from(health.equity).saturating_mul(other.maintenance.into());
        ratio(&left.health, &right.health)
            .cmp(&ratio(&right.health, &left.health))
            .then(left.account.cmp(&right.account))
    });
}

/// Whether a step can do anything: the account holds nothing, so that only its debt is left, or it has a position whose price
/// is good enough to close it.
pub(super) fn is_within_reach(segment: &Segment, row: &SubAccount) -> bool {
    let mut held = row.positions().iter().filter(|position| position.lots() != 0).peekable();
    held.peek().is_none()
        || held.any(|position| {
            let margin = segment.markets().get(usize::from(position.market)).and_then(|market| market.margin());
            margin.is_some_and(|margin| margin.pricing.grade.allows(PriceUse::Liquidation))
        })
}

impl Segment {
    /// Accounts below maintenance margin by a scan of all rows, by number: what the queue must find (INVARIANT(L1)). Also
    /// those that hold nothing and owe cash.
    #[must_use]
    pub fn scan_below_maintenance(&self, waiting_ms: DurationMs) -> Vec<AccountId> {
        self.scan(waiting_ms).map(|below| AccountId::new(below.account)).collect()
    }

    /// Whom a block takes a step for, at most `count`, in order, by a scan of all rows.
    #[must_use]
    pub fn scan_due(&self, waiting_ms: DurationMs, count: usize) -> Vec<AccountId> {
        due_first(self.scan(waiting_ms).collect(), count)
    }

    fn scan(&self, waiting_ms: DurationMs) -> impl Iterator<Item = Below> {
        let risk = Risk::new(self.markets(), waiting_ms);
        self.sub_accounts.iter().filter_map(move |(account, row)| {
            let health = risk.health(row);
            let is_below = !health.is_safe();
            is_below.then(|| Below { account, health, is_within_reach: is_within_reach(self, row) })
        })
    }
}
