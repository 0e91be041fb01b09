//! Liquidations, as the market sees them: what was closed, by which way, and who bore what was missing. Accounts are not
//! named; who may see an account finds its liquidation among the account's events.

use casemate_protocol::event::PassCause;
use casemate_protocol::{Event, MarketId, SegmentId};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::SideJson;
use crate::values::{HexArray, Int, Signed, Unsigned};

/// Late liquidations.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LiquidationsJson {
    /// Height of the last durable block.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// Oldest first. A node remembers the last ones only.
    pub liquidations: Vec<LiquidationJson>,
}

/// One step of a liquidation that moved money or a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LiquidationJson {
    /// Height of its block.
    pub height: u64,
    /// Block time.
    pub time_ms: u64,
    /// The segment.
    pub segment: u16,
    /// The market; none for what is the segment's.
    pub market: Option<u16>,
    /// What happened.
    pub step: LiquidationStepJson,
    /// Whether the liquidated account sold or bought; of `backstop` and `deleveraging` alone.
    pub side: Option<SideJson>,
    /// Lots that passed; of the same steps alone: slices are trades of the book.
    pub quantity_lots: Option<Unsigned>,
    /// What changed hands, or was paid.
    pub amount_quote_micros: Signed,
}

/// The steps, in the order in which losses fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LiquidationStepJson {
    /// A slice traded on the book.
    Slice,
    /// Insurance paid what an account was missing.
    Insurance,
    /// The backstop took over.
    Backstop,
    /// Somebody in profit closed against it.
    Deleveraging,
    /// Nothing covered this loss.
    Uncovered,
}

impl LiquidationJson {
    /// The step that an event is, if it is one. `segment_of` knows the segment of a market.
    #[must_use]
    pub fn of(
        event: &Event,
        height: u64,
        time_ms: u64,
        segment_of: impl Fn(MarketId) -> Option<SegmentId>,
    ) -> Option<Self> {
        let step = |segment: SegmentId, step, amount: i64| Self {
            height,
            time_ms,
            segment: segment.number(),
            market: None,
            step,
            side: None,
            quantity_lots: None,
            amount_quote_micros: Int(amount),
        };
        let step = match event {
            Event::LiquidationSliced(it) if it.traded.is_positive() => {
                let slice = step(segment_of(it.market)?, LiquidationStepJson::Slice, it.traded.micros());
                Self { market: Some(it.market.number()), ..slice }
            }
            Event::InsurancePaid(it) => {
                let paid = step(it.segment, LiquidationStepJson::Insurance, it.amount.micros());
                Self { market: Some(it.market.number()), ..paid }
            }
            Event::PositionPassed(it) => {
                let way = match it.cause {
                    PassCause::Backstop => LiquidationStepJson::Backstop,
                    PassCause::Deleveraging => LiquidationStepJson::Deleveraging,
                };
                Self {
                    market: Some(it.market.number()),
                    side: Some(it.from_side.into()),
                    quantity_lots: Some(Int(it.quantity.lots())),
                    ..step(segment_of(it.market)?, way, it.notional.micros())
                }
            }
            Event::LossUncovered(it) => step(it.segment, LiquidationStepJson::Uncovered, it.amount.micros()),
            _ => return None,
        };
        Some(step)
    }
}
