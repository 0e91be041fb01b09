//! Segments: what their vaults hold, and what their breakers let happen.

use casemate_ledger::Ledger;
use casemate_ledger::breaker::machine::{Signals, Trigger, may_leave};
use casemate_ledger::segment::{Clearing, Proposal, Segment};
use casemate_protocol::DurationMs;
use casemate_protocol::clearing::RatioLevels;
use casemate_protocol::event::BreakerMoved;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{BreakerCauseJson, BreakerStateJson, ChangeJson};
use crate::ports::StateView;
use crate::values::{HexArray, Int, Unsigned, Wide};

/// Every segment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SegmentsJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// Its block time.
    pub time_ms: u64,
    /// The waiting clock: block time without outages.
    pub waiting_ms: u64,
    /// The segments, by id.
    pub segments: Vec<SegmentStateJson>,
}

/// A segment as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SegmentStateJson {
    /// Its id.
    pub segment: u16,
    /// The asset its vault holds.
    pub asset: u16,
    /// Whether it clears on margin; else collateral is full and there is no breaker.
    pub is_on_margin: bool,
    /// Its markets.
    pub markets: Vec<u16>,
    /// What the vault holds.
    pub vault_quote_micros: Wide,
    /// Cash of all accounts.
    pub cash_quote_micros: Wide,
    /// Set aside to leave.
    pub pending_quote_micros: Wide,
    /// The insurance fund.
    pub insurance_quote_micros: Wide,
    /// Losses that nothing covered so far.
    pub uncovered_quote_micros: Wide,
    /// How much of the fullest window of the withdrawal limiter is in use, in parts per million.
    pub limiter_used_ppm: u64,
    /// The account of the backstop.
    pub backstop_account: Option<u64>,
    /// State of the breaker; of a segment without one whether a law failed in it.
    pub breaker: BreakerJson,
    /// Open proposals.
    pub proposals: Vec<ProposalJson>,
}

/// A breaker.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BreakerJson {
    /// Its state.
    pub state: BreakerStateJson,
    /// Why it was entered.
    pub cause: Option<BreakerCauseJson>,
    /// How long it has been in it, by the waiting clock.
    pub since_ms: u64,
    /// How long it stays at least, from now.
    pub cooldown_left_ms: u64,
    /// How long all clear tests have held; none while one fails.
    pub clear_for_ms: Option<u64>,
    /// How long they must.
    pub clear_needed_ms: u64,
    /// Whether the state may be left now.
    pub may_leave: bool,
    /// What it is judged by.
    pub figures: Vec<FigureJson>,
}

/// One figure of a breaker and its levels, in parts per million.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FigureJson {
    /// The cause that it would be recorded as.
    pub cause: BreakerCauseJson,
    /// The market where it was seen; none if it is the segment's.
    pub market: Option<u16>,
    /// The figure.
    pub figure_ppm: u64,
    /// At or below it the clear test holds.
    pub leave_ppm: u32,
    /// At or above it the segment is Elevated.
    pub elevated_ppm: u32,
    /// At or above it the segment is ReduceOnly.
    pub reduce_only_ppm: u32,
    /// At or above it the segment is WithdrawGated.
    pub withdraw_gated_ppm: u32,
    /// At or above it the segment is Halted.
    pub halted_ppm: u32,
}

/// An open proposal.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProposalJson {
    /// Its number in the segment.
    pub number: u64,
    /// Who made it.
    pub proposer: u64,
    /// What is to change.
    pub change: ChangeJson,
    /// Operators that approved it.
    pub approvals: Vec<u16>,
    /// How long its delay still runs, by the waiting clock; none while approvals are missing.
    pub due_in_ms: Option<u64>,
    /// Its end.
    pub expires_ms: u64,
}

/// Every breaker, and how breakers moved lately.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BreakersJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The breakers, by segment.
    pub breakers: Vec<SegmentBreakerJson>,
    /// Late moves of all of them, oldest first. A node remembers those of the last blocks only.
    pub moves: Vec<BreakerMoveJson>,
}

/// A segment's breaker.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SegmentBreakerJson {
    /// The segment.
    pub segment: u16,
    /// Its breaker.
    pub breaker: BreakerJson,
    /// Open proposals to move it.
    pub proposals: Vec<ProposalJson>,
}

/// A breaker moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BreakerMoveJson {
    /// Height of its block.
    pub height: u64,
    /// Block time.
    pub time_ms: u64,
    /// The segment.
    pub segment: u16,
    /// The state before.
    pub from: BreakerStateJson,
    /// The state after.
    pub to: BreakerStateJson,
    /// Why.
    pub cause: BreakerCauseJson,
    /// The market whose figure pulled the trigger; none if it is the segment's.
    pub market: Option<u16>,
    /// The figure: parts per million, or micro-quote for an uncovered loss.
    pub figure: Unsigned,
}

impl SegmentsJson {
    /// Reads all segments.
    #[must_use]
    pub fn read(view: &StateView<'_>) -> Self {
        let ledger = view.ledger;
        let chain = ledger.chain();
        Self {
            height: chain.height.number(),
            state_root: view.state_root.into(),
            time_ms: chain.time_ms.ms(),
            waiting_ms: chain.waiting_ms.ms(),
            segments: ledger.segments().iter().map(|segment| SegmentStateJson::of(ledger, segment)).collect(),
        }
    }
}

impl BreakersJson {
    /// Reads all breakers; how they moved is for the hub to say.
    #[must_use]
    pub fn read(view: &StateView<'_>) -> Self {
        let ledger = view.ledger;
        let with_breaker = ledger.segments().iter().filter(|segment| segment.clearing().is_some());
        let breakers = with_breaker.map(|segment| SegmentBreakerJson {
            segment: segment.id().number(),
            breaker: BreakerJson::of(ledger, segment),
            proposals: proposals(ledger, segment),
        });
        let (height, state_root) = (ledger.chain().height.number(), view.state_root.into());
        Self { height, state_root, breakers: breakers.collect(), moves: Vec::new() }
    }
}

impl SegmentStateJson {
    fn of(ledger: &Ledger, segment: &Segment) -> Self {
        let totals = segment.totals();
        Self {
            segment: segment.id().number(),
            asset: segment.rules().asset.number(),
            is_on_margin: segment.clearing().is_some(),
            markets: segment.markets().iter().map(|market| market.rules().id.number()).collect(),
            vault_quote_micros: Int(totals.vault()),
            cash_quote_micros: Int(totals.cash),
            pending_quote_micros: Int(totals.pending),
            insurance_quote_micros: Int(totals.insurance),
            uncovered_quote_micros: Int(totals.uncovered),
            limiter_used_ppm: segment.limiter_used_ppm(),
            backstop_account: segment.clearing().map(|clearing| clearing.backstop().number()),
            breaker: BreakerJson::of(ledger, segment),
            proposals: proposals(ledger, segment),
        }
    }
}

impl BreakerJson {
    fn of(ledger: &Ledger, segment: &Segment) -> Self {
        let state = segment.breaker_state().into();
        let now_ms = ledger.chain().waiting_ms;
        let (Some(clearing), Some(figures)) = (segment.clearing(), ledger.breaker_figures(segment)) else {
            return Self {
                state,
                cause: None,
                since_ms: 0,
                cooldown_left_ms: 0,
                clear_for_ms: None,
                clear_needed_ms: 0,
                may_leave: false,
                figures: Vec::new(),
            };
        };
        let (breaker, rules) = (&clearing.facts().breaker, &clearing.rules().breakers);
        let since = |start: DurationMs| now_ms.saturating_sub(start).ms();
        Self {
            state,
            cause: breaker.last_trip_ms.map(|_| breaker.cause.into()),
            since_ms: since(breaker.entered_ms),
            cooldown_left_ms: breaker.cooldown_until_ms.saturating_sub(now_ms).ms(),
            clear_for_ms: breaker.clear_since_ms.map(since),
            clear_needed_ms: rules.clear_ms.ms(),
            may_leave: may_leave(breaker, rules, now_ms),
            figures: Trigger::ALL.into_iter().map(|trigger| FigureJson::of(trigger, clearing, &figures)).collect(),
        }
    }
}

impl FigureJson {
    fn of(trigger: Trigger, clearing: &Clearing, figures: &Signals) -> Self {
        let figure = figures.figure(trigger);
        let RatioLevels { leave, elevated, reduce_only, withdraw_gated, halted } =
            *trigger.levels(&clearing.rules().breakers);
        Self {
            cause: trigger.cause().into(),
            market: market(figure.market),
            figure_ppm: figure.ppm,
            leave_ppm: leave.ppm(),
            elevated_ppm: elevated.ppm(),
            reduce_only_ppm: reduce_only.ppm(),
            withdraw_gated_ppm: withdraw_gated.ppm(),
            halted_ppm: halted.ppm(),
        }
    }
}

impl BreakerMoveJson {
    /// A move in a block.
    #[must_use]
    pub fn of(moved: &BreakerMoved, height: u64, time_ms: u64) -> Self {
        Self {
            height,
            time_ms,
            segment: moved.segment.number(),
            from: moved.from.into(),
            to: moved.to.into(),
            cause: moved.cause.into(),
            market: market(moved.market),
            figure: Int(moved.figure),
        }
    }
}

fn market(id: casemate_protocol::MarketId) -> Option<u16> {
    Some(id.number()).filter(|number| *number != 0)
}

fn proposals(ledger: &Ledger, segment: &Segment) -> Vec<ProposalJson> {
    let now_ms = ledger.chain().waiting_ms;
    let show = |(number, proposal): (&u64, &Proposal)| ProposalJson {
        number: *number,
        proposer: proposal.proposer.number(),
        change: (&proposal.change).into(),
        approvals: proposal.approvals.iter().map(|operator| operator.number()).collect(),
        due_in_ms: (!proposal.due_waiting_ms.is_zero()).then(|| proposal.due_waiting_ms.saturating_sub(now_ms).ms()),
        expires_ms: proposal.expires_ms.ms(),
    };
    segment.clearing().map_or_else(Vec::new, |clearing| clearing.proposals().iter().map(show).collect())
}
