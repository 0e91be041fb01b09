//! What a segment has besides accounts and books when it clears on margin: feeds, pricing of its markets, a breaker,
//! proposals; and their only writers.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::clearing::{ClearingRules, FeedRules, MarginRules, fine_ticks};
use casemate_protocol::command::Change;
use casemate_protocol::genesis::Genesis;
use casemate_protocol::limits::{FEED_PUBLISHERS_MAX, OFFICERS_MAX};
use casemate_protocol::{
    AccountId, BoundedVec, BreakerState, DurationMs, FeedId, FineTicks, OperatorId, PriceGrade, PriceNanos,
    QuoteMicros, RecordIndex, SegmentId, TimeMs,
};

use super::{Segment, SegmentUndo};
use crate::breaker::Breaker;
use crate::liquidation::RiskQueue;
use crate::price::stable::PriceWindow;
use crate::regime::RegimeFacts;

/// A segment's clearing on margin.
#[derive(Clone, Debug)]
pub struct Clearing {
    /// Its rules, from genesis.
    pub(crate) rules: ClearingRules,
    /// The account that takes over what the book cannot close.
    pub(crate) backstop: AccountId,
    pub(crate) feeds: Vec<Feed>,
    pub(crate) facts: ClearingFacts,
    /// Proposals that are neither carried out nor over; the others are in their records.
    pub(crate) proposals: BTreeMap<u64, Proposal>,
    /// Who is close to liquidation. Derived from the rows, and not part of the state.
    pub(crate) queue: RiskQueue,
}

/// What changes in a segment's clearing as a whole.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ClearingFacts {
    /// The breaker.
    pub breaker: Breaker,
    /// What insurance paid lately; forgotten over an hour.
    pub insurance_drawn: Fading,
    /// What left by the slow exit lately; forgotten over its window.
    pub exit_used: Fading,
}

/// An amount that is forgotten evenly over a window, as of a moment of the waiting clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Fading {
    amount: i64,
    as_of_ms: DurationMs,
}

/// A feed of the segment.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its rules, from genesis.
    pub(crate) rules: FeedRules,
    /// Its publishers' accounts and operators, in the order of the rules.
    pub(crate) publishers: Vec<(AccountId, OperatorId)>,
    pub(crate) facts: FeedFacts,
}

/// What changes in a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FeedFacts {
    /// What each publisher saw last, in the order of the rules.
    pub seen: BoundedVec<Seen, FEED_PUBLISHERS_MAX>,
    /// Median of what is published.
    pub published: PriceNanos,
    /// The price in use: as far towards the median as the cap lets it move.
    pub price: PriceNanos,
    /// Half the width of the interval around the median.
    pub confidence: PriceNanos,
    /// When the median was seen; zero before the first.
    pub source_ms: TimeMs,
    /// Operators that the median stands on.
    pub operators: u16,
    /// What the price is good for.
    pub grade: PriceGrade,
    /// Waiting clock of the last aggregate: unused time saves up from there.
    pub capped_ms: DurationMs,
    /// Something was published since the last aggregate.
    pub is_changed: bool,
}

/// A publisher's last observation; zeros before its first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Seen {
    /// The price.
    pub price: PriceNanos,
    /// Half the width of its interval.
    pub confidence: PriceNanos,
    /// When it was seen.
    pub source_ms: TimeMs,
}

/// A market's margin.
#[derive(Clone, Debug)]
pub struct Margin {
    /// Its rules, from genesis.
    pub(crate) rules: MarginRules,
    /// Place of its feed in the segment.
    pub(crate) feed: usize,
    pub(crate) pricing: Pricing,
}

/// Prices of a market and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Pricing {
    /// The feed's price in use.
    pub index: FineTicks,
    /// The feed's published price.
    pub published: FineTicks,
    /// The mark: zero before the feed's first price.
    pub mark: FineTicks,
    /// What index and mark are good for.
    pub grade: PriceGrade,
    /// Average distance of the book from the index, in fine ticks.
    pub basis: i64,
    /// Slow average of the index, for the breaker.
    pub index_mean: FineTicks,
    /// Waiting clock of the last move of the mark.
    pub moved_ms: DurationMs,
    /// Sum of premium in parts per million times milliseconds, since the last settlement.
    pub premium_sum: i64,
    /// Milliseconds in that sum.
    pub premium_ms: u64,
    /// When the funding interval ends.
    pub funding_next_ms: TimeMs,
    /// Lows and highs of the mark: how far a profit from its move counts.
    pub window: PriceWindow,
    /// Depth of the thinner side of the book near the index: samples of the last five minutes.
    pub depth_samples: [QuoteMicros; DEPTH_SAMPLES],
    /// Number of the half minute of the newest sample.
    pub depth_slot: u64,
    /// Notional that slices may still take of this sample of depth.
    pub slice_left: QuoteMicros,
    /// Notional that slices may take at all; accrues with each move of the mark.
    pub budget_left: QuoteMicros,
    /// What insurance paid for this market lately; forgotten over its window.
    pub insurance_used: Fading,
    /// What the backstop has realised in this market; negative is a loss.
    pub backstop_realised: i64,
    /// How rough the market is.
    pub regime: RegimeFacts,
}

/// Samples of depth that the median is taken of, half a minute each.
pub const DEPTH_SAMPLES: usize = 10;

/// A proposal and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// Who made it.
    pub proposer: AccountId,
    /// What is to change.
    pub change: Change,
    /// Its end.
    pub expires_ms: TimeMs,
    /// The record it comes from.
    pub origin: RecordIndex,
    /// Operators that approved it.
    pub approvals: BoundedVec<OperatorId, OFFICERS_MAX>,
    /// Waiting clock at which its delay is over; zero while approvals are missing.
    pub due_waiting_ms: DurationMs,
}

impl Clearing {
    /// Clearing of a segment before its first block; none if its collateral is full.
    pub(crate) fn of(segment: SegmentId, genesis: &Genesis) -> Option<Box<Self>> {
        let rules = genesis.clearing_of(segment)?.clone();
        let feeds = genesis.feeds.iter().filter(|feed| feed.segment == segment).map(|feed| Feed::new(feed, genesis));
        Some(Box::new(Self {
            backstop: genesis.backstop_account(segment)?,
            feeds: feeds.collect(),
            facts: ClearingFacts {
                breaker: Breaker::new(&rules.breakers, DurationMs::ZERO),
                insurance_drawn: Fading::default(),
                exit_used: Fading::default(),
            },
            proposals: BTreeMap::new(),
            queue: RiskQueue::default(),
            rules,
        }))
    }

    /// The rules, from genesis.
    #[must_use]
    pub const fn rules(&self) -> &ClearingRules {
        &self.rules
    }

    /// The feeds.
    #[must_use]
    pub fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// The account that takes over what the book cannot close.
    #[must_use]
    pub const fn backstop(&self) -> AccountId {
        self.backstop
    }

    /// Breaker and what was drawn lately.
    #[must_use]
    pub const fn facts(&self) -> &ClearingFacts {
        &self.facts
    }

    /// Open proposals, by number.
    #[must_use]
    pub const fn proposals(&self) -> &BTreeMap<u64, Proposal> {
        &self.proposals
    }

    pub(crate) fn feed_place(&self, id: FeedId) -> Option<usize> {
        self.feeds.iter().position(|feed| feed.rules.id == id)
    }
}

impl Feed {
    fn new(rules: &FeedRules, genesis: &Genesis) -> Self {
        let publisher = |place: &u16| {
            let named = genesis.publishers.as_slice().get(usize::from(*place));
            (genesis.publisher_account(*place), named.map_or(OperatorId::NONE, |publisher| publisher.operator))
        };
        let publishers: Vec<(AccountId, OperatorId)> = rules.publishers.iter().map(publisher).collect();
        let facts = FeedFacts {
            seen: BoundedVec::new(vec![Seen::default(); publishers.len()]).unwrap_or_default(),
            price: rules.reference_price,
            published: rules.reference_price,
            ..FeedFacts::default()
        };
        Self { rules: rules.clone(), publishers, facts }
    }

    /// Its rules, from genesis.
    #[must_use]
    pub const fn rules(&self) -> &FeedRules {
        &self.rules
    }

    /// Its price and what it stands on.
    #[must_use]
    pub const fn facts(&self) -> &FeedFacts {
        &self.facts
    }
}

impl Margin {
    /// Margin of a market before its first price; none if its segment's collateral is full.
    pub(crate) fn of(market: casemate_protocol::MarketId, genesis: &Genesis) -> Option<Box<Self>> {
        let rules = genesis.margin_of(market)?.clone();
        let feed_rules = genesis.feed(rules.feed)?;
        let feed = genesis
            .feeds
            .iter()
            .filter(|feed| feed.segment == feed_rules.segment)
            .position(|feed| feed.id == rules.feed)?;
        let index = fine_ticks(feed_rules.reference_price, rules.tick_size)?;
        let pricing = Pricing {
            index,
            published: index,
            mark: FineTicks::ZERO,
            grade: PriceGrade::Unusable,
            basis: 0,
            index_mean: index,
            moved_ms: DurationMs::ZERO,
            premium_sum: 0,
            premium_ms: 0,
            funding_next_ms: next_boundary(genesis.time_ms, rules.funding.interval_ms),
            window: PriceWindow::default(),
            depth_samples: [QuoteMicros::ZERO; DEPTH_SAMPLES],
            depth_slot: 0,
            slice_left: QuoteMicros::ZERO,
            budget_left: QuoteMicros::ZERO,
            insurance_used: Fading::default(),
            backstop_realised: 0,
            regime: RegimeFacts::default(),
        };
        Some(Box::new(Self { rules, feed, pricing }))
    }

    /// The rules, from genesis.
    #[must_use]
    pub const fn rules(&self) -> &MarginRules {
        &self.rules
    }

    /// Prices and what follows from them.
    #[must_use]
    pub const fn pricing(&self) -> &Pricing {
        &self.pricing
    }

    /// The rate that would be settled if the funding interval ended now, in parts per million; positive is paid by longs.
    #[must_use]
    pub fn funding_rate_now_ppm(&self) -> i32 {
        let measured_ms = i64::try_from(self.pricing.premium_ms).unwrap_or(i64::MAX);
        let mean = self.pricing.premium_sum.checked_div(measured_ms).unwrap_or(0);
        crate::price::mark::funding_rate_ppm(mean, &self.rules.funding)
    }

    /// Depth of the thinner side of the book near the index: the newest sample.
    #[must_use]
    pub fn depth(&self) -> QuoteMicros {
        let samples = u64::try_from(DEPTH_SAMPLES).unwrap_or(u64::MAX);
        let place = usize::try_from(self.pricing.depth_slot.checked_rem(samples).unwrap_or(0)).unwrap_or(0);
        self.pricing.depth_samples.get(place).copied().unwrap_or_default()
    }

    /// Depth of the thinner side of the book near the index: the median of the last five minutes.
    #[must_use]
    pub fn median_depth(&self) -> QuoteMicros {
        crate::price::median_depth(&self.pricing)
    }
}

/// The first boundary of an interval after a moment.
pub(crate) fn next_boundary(now: TimeMs, interval: DurationMs) -> TimeMs {
    let passed = now.ms().checked_div(interval.ms()).unwrap_or(0);
    TimeMs::from_ms(passed.saturating_add(1).saturating_mul(interval.ms()))
}

impl Fading {
    /// What is not forgotten yet, rounded up.
    #[must_use]
    pub fn left(&self, now_ms: DurationMs, window_ms: DurationMs) -> i64 {
        let passed = now_ms.saturating_sub(self.as_of_ms);
        let remaining = i128::from(window_ms.saturating_sub(passed).ms());
        let product = i128::from(self.amount).saturating_mul(remaining);
        let window = i128::from(window_ms.ms());
        let left = casemate_protocol::units::div_round(product, window, casemate_protocol::units::Round::Up);
        left.and_then(|left| i64::try_from(left).ok()).unwrap_or(self.amount)
    }

    /// Adds an amount to what is not forgotten yet. The sum is then forgotten over a whole window, which only makes it
    /// last longer.
    pub(crate) fn add(&mut self, amount: i64, now_ms: DurationMs, window_ms: DurationMs) {
        *self = Self { amount: self.left(now_ms, window_ms).saturating_add(amount), as_of_ms: now_ms };
    }
}

impl Segment {
    /// The segment's clearing on margin; none if its collateral is full.
    #[must_use]
    pub fn clearing(&self) -> Option<&Clearing> {
        self.clearing.as_deref()
    }

    /// State of the breaker; a segment without one is Normal unless a law failed in it.
    #[must_use]
    pub fn breaker_state(&self) -> BreakerState {
        if self.totals.is_halted {
            return BreakerState::Halted;
        }
        self.clearing.as_ref().map_or(BreakerState::Normal, |clearing| clearing.facts.breaker.state)
    }

    /// Changes a feed.
    pub(crate) fn change_feed(&mut self, place: usize, change: impl FnOnce(&mut FeedFacts)) {
        let Some(feed) = self.clearing.as_mut().and_then(|clearing| clearing.feeds.get_mut(place)) else { return };
        let before = feed.facts.clone();
        change(&mut feed.facts);
        self.remember(SegmentUndo::Feed { place, facts: Box::new(before) });
    }

    /// Changes a market's pricing.
    pub(crate) fn change_pricing(&mut self, market: u16, change: impl FnOnce(&mut Pricing, &MarginRules)) {
        let Some(margin) = self.markets.get_mut(usize::from(market)).and_then(|market| market.margin.as_mut()) else {
            return;
        };
        let before = margin.pricing.clone();
        change(&mut margin.pricing, &margin.rules);
        self.remember(SegmentUndo::Pricing { market, pricing: Box::new(before) });
    }

    /// Changes breaker or draws.
    pub(crate) fn change_clearing(&mut self, change: impl FnOnce(&mut ClearingFacts, &ClearingRules)) {
        let Some(clearing) = self.clearing.as_mut() else { return };
        let before = clearing.facts.clone();
        change(&mut clearing.facts, &clearing.rules);
        self.remember(SegmentUndo::Clearing(Box::new(before)));
    }

    /// Puts a proposal's row, or takes it away.
    pub(crate) fn put_proposal(&mut self, number: u64, proposal: Option<Proposal>) {
        let Some(clearing) = self.clearing.as_mut() else { return };
        let before = match proposal {
            Some(proposal) => clearing.proposals.insert(number, proposal),
            None => clearing.proposals.remove(&number),
        };
        self.remember(SegmentUndo::Proposal { number, proposal: before.map(Box::new) });
    }

    /// Takes back one of the changes above.
    pub(super) fn step_clearing_back(&mut self, step: SegmentUndo) {
        let Some(clearing) = self.clearing.as_mut() else { return };
        match step {
            SegmentUndo::Feed { place, facts } => {
                if let Some(feed) = clearing.feeds.get_mut(place) {
                    feed.facts = *facts;
                }
            }
            SegmentUndo::Pricing { market, pricing } => {
                let market = self.markets.get_mut(usize::from(market));
                if let Some(margin) = market.and_then(|market| market.margin.as_mut()) {
                    margin.pricing = *pricing;
                }
                self.note_worst_regime();
            }
            SegmentUndo::Clearing(facts) => clearing.facts = *facts,
            SegmentUndo::Proposal { number, proposal } => {
                match proposal {
                    Some(proposal) => clearing.proposals.insert(number, *proposal),
                    None => clearing.proposals.remove(&number),
                };
            }
            _ => {}
        }
    }
}
