//! What happens to prices, positions in trouble, breakers and proposals.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::clearing::{BreakerCause, BreakerState, PriceGrade};
use crate::command::{Change, Side};
use crate::ids::{AccountId, FeedId, MarketId, OperatorId, ProposalNumber, RecordIndex, SegmentId};
use crate::policy::{ChangeClass, PolicyStamp};
use crate::regime::{Regime, RegimeCause};
use crate::units::{DurationMs, FineTicks, PriceNanos, QuantityLots, QuoteMicros, TimeMs};

/// See [`Event::PriceObserved`](crate::Event::PriceObserved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PriceObserved {
    /// The feed.
    pub feed: FeedId,
    /// The publisher's account.
    pub publisher: AccountId,
    /// The price.
    pub price: PriceNanos,
    /// Half the width of its interval.
    pub confidence: PriceNanos,
    /// When it was seen.
    pub source_ms: TimeMs,
}

/// See [`Event::PriceAggregated`](crate::Event::PriceAggregated).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PriceAggregated {
    /// The feed.
    pub feed: FeedId,
    /// Median of what is published.
    pub published: PriceNanos,
    /// The price in use: the median as far as the cap lets it move.
    pub price: PriceNanos,
    /// Half the width of the interval around the median.
    pub confidence: PriceNanos,
    /// When the median was seen.
    pub source_ms: TimeMs,
    /// Operators that it stands on.
    pub operators: u16,
    /// What the price is good for.
    pub grade: PriceGrade,
}

/// See [`Event::MarkMoved`](crate::Event::MarkMoved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarkMoved {
    /// The market.
    pub market: MarketId,
    /// The feed's price in use.
    pub index: FineTicks,
    /// The feed's published price.
    pub published: FineTicks,
    /// The mark.
    pub mark: FineTicks,
    /// Average distance of the book from the index, in fine ticks.
    pub basis: i64,
    /// Premium of the book over the index now, in parts per million.
    pub premium_ppm: i32,
    /// Notional that rests near the index on the thinner side of the book.
    pub depth: QuoteMicros,
    /// Distance of the best bid from the best ask, as a share of their middle; the whole if a side is empty.
    pub spread_ppm: u32,
    /// What one side of the book has more than the other near the index, as a share of both; zero if neither has anything.
    pub imbalance_ppm: u32,
}

/// See [`Event::RegimeMoved`](crate::Event::RegimeMoved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RegimeMoved {
    /// The market.
    pub market: MarketId,
    /// The regime before.
    pub from: Regime,
    /// The regime after.
    pub to: Regime,
    /// Why.
    pub cause: RegimeCause,
    /// The figure that reached the new regime's level, in parts per million of what it measures; zero if it fell.
    pub figure_ppm: u64,
}

/// See [`Event::FundingSettled`](crate::Event::FundingSettled).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FundingSettled {
    /// The market.
    pub market: MarketId,
    /// Rate of the interval; positive is paid by longs.
    pub rate_ppm: i32,
    /// What one lot held long since genesis has paid, in 1/65536 micro-quote.
    pub cumulative: i64,
    /// When the next interval ends.
    pub next_ms: TimeMs,
}

/// See [`Event::LiquidationStepped`](crate::Event::LiquidationStepped).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LiquidationStepped {
    /// The segment.
    pub segment: SegmentId,
    /// The account.
    pub account: AccountId,
    /// Its equity before the step.
    pub equity: QuoteMicros,
    /// Its maintenance margin before the step.
    pub maintenance: QuoteMicros,
}

/// See [`Event::LiquidationSliced`](crate::Event::LiquidationSliced).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LiquidationSliced {
    /// The market.
    pub market: MarketId,
    /// The account.
    pub account: AccountId,
    /// Notional that traded.
    pub traded: QuoteMicros,
    /// The fee on it, as far as the account had it.
    pub fee: QuoteMicros,
}

/// Why a position passed without an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum PassCause {
    /// The backstop took it over.
    Backstop = 1,
    /// It was deleveraged against an opposite position in profit.
    Deleveraging = 2,
}

/// See [`Event::PositionPassed`](crate::Event::PositionPassed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PositionPassed {
    /// The market.
    pub market: MarketId,
    /// Whose position.
    pub from: AccountId,
    /// Who got it.
    pub to: AccountId,
    /// The side on which `from` trades: a long passes by an ask.
    pub from_side: Side,
    /// Lots.
    pub quantity: QuantityLots,
    /// What they changed hands for.
    pub notional: QuoteMicros,
    /// Why.
    pub cause: PassCause,
}

/// See [`Event::InsurancePaid`](crate::Event::InsurancePaid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InsurancePaid {
    /// The segment.
    pub segment: SegmentId,
    /// The market whose share of the fund pays.
    pub market: MarketId,
    /// The account.
    pub account: AccountId,
    /// How much.
    pub amount: QuoteMicros,
}

/// See [`Event::LossUncovered`](crate::Event::LossUncovered).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LossUncovered {
    /// The segment.
    pub segment: SegmentId,
    /// The account.
    pub account: AccountId,
    /// How much.
    pub amount: QuoteMicros,
}

/// See [`Event::DeficitRepaid`](crate::Event::DeficitRepaid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DeficitRepaid {
    /// The segment.
    pub segment: SegmentId,
    /// How much.
    pub amount: QuoteMicros,
}

/// See [`Event::BreakerMoved`](crate::Event::BreakerMoved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BreakerMoved {
    /// The segment.
    pub segment: SegmentId,
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// Why.
    pub cause: BreakerCause,
    /// The market whose figure pulled the trigger; none if it is the segment's.
    pub market: MarketId,
    /// The figure, in parts per million of what its trigger measures; in micro-quote for uncovered losses.
    pub figure: u64,
    /// Waiting clock before which the state is not left.
    pub cooldown_until_ms: DurationMs,
}

/// See [`Event::ProposalMade`](crate::Event::ProposalMade).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposalMade {
    /// The segment.
    pub segment: SegmentId,
    /// The new proposal.
    pub number: ProposalNumber,
    /// The account that made it.
    pub proposer: AccountId,
    /// What is to change.
    pub change: Change,
    /// Its end.
    pub expires_ms: TimeMs,
    /// The record it comes from.
    pub origin: RecordIndex,
}

/// See [`Event::ProposalApproved`](crate::Event::ProposalApproved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposalApproved {
    /// The segment.
    pub segment: SegmentId,
    /// The proposal.
    pub number: ProposalNumber,
    /// The operator.
    pub operator: OperatorId,
    /// Waiting clock at which the delay is over; zero while approvals are missing.
    pub due_waiting_ms: DurationMs,
}

/// How a proposal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ProposalOutcome {
    /// The change was made.
    CarriedOut = 1,
    /// Its time was over first.
    Expired = 2,
    /// The old value was another one by then.
    Superseded = 3,
    /// It cannot be carried out: the set does not compile, its table is not the one that was named, or it loosens and was
    /// declared not to.
    Failed = 4,
}

/// See [`Event::PolicyAdopted`](crate::Event::PolicyAdopted).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PolicyAdopted {
    /// The segment of the proposal.
    pub segment: SegmentId,
    /// The proposal, which has the texts.
    pub proposal: ProposalNumber,
    /// What is in force from the next block on.
    pub policy: PolicyStamp,
    /// What it comes to, by the cells of the old table and the new one.
    pub class: ChangeClass,
}

/// See [`Event::ProposalEnded`](crate::Event::ProposalEnded).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposalEnded {
    /// The segment.
    pub segment: SegmentId,
    /// The proposal.
    pub number: ProposalNumber,
    /// How.
    pub outcome: ProposalOutcome,
}
