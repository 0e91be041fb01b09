//! What accounts have and need, and what a command would do about it.

use casemate_ledger::preview::{Preview, Standing};
use casemate_ledger::segment::Segment;
use casemate_protocol::{AccountId, Command, Event, MarketId, Reject, SegmentId};
use serde::Serialize;
use utoipa::ToSchema;

use super::account::PositionJson;
use crate::error::ErrorDetail;
use crate::ports::StateView;
use crate::values::{HexArray, Int, Signed, Unsigned};

/// An account's margin in every segment where it has anything.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MarginJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The account.
    pub account: u64,
    /// Its standing, by segment.
    pub segments: Vec<StandingJson>,
}

/// How an account stands in a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StandingJson {
    /// The segment.
    pub segment: u16,
    /// Cash, without what is set aside.
    pub cash_quote_micros: Signed,
    /// Cash and all profit and loss at the mark.
    pub equity_quote_micros: Signed,
    /// What of it counts for new risk and withdrawals.
    pub counted_equity_quote_micros: Signed,
    /// What does not: profit that is too young, and what a bad price may take.
    pub uncounted_quote_micros: Signed,
    /// Realised profit that is too young to count.
    pub young_profit_quote_micros: Signed,
    /// Initial margin of positions and resting orders.
    pub initial_quote_micros: Signed,
    /// Below this equity it is liquidated.
    pub maintenance_quote_micros: Signed,
    /// What it may use for more.
    pub free_quote_micros: Signed,
    /// Most that a withdrawal may ask for now; its release is judged again.
    pub withdrawable_quote_micros: Signed,
    /// Size of all positions.
    pub gross_notional_quote_micros: Signed,
    /// Equity is at least maintenance margin.
    pub is_safe: bool,
}

/// What a command would do if it came now, signed by the root key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PreviewJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The account.
    pub account: u64,
    /// Whether it would take effect.
    pub is_accepted: bool,
    /// The rule that would refuse it.
    pub refusal: Option<ErrorDetail>,
    /// What an order would trade at once, in order.
    pub fills: Vec<PreviewFillJson>,
    /// Lots that would come to rest.
    pub resting_lots: Unsigned,
    /// How the account stands in the command's segment.
    pub before: StandingJson,
    /// How it would stand.
    pub after: StandingJson,
}

/// A fill that has not happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PreviewFillJson {
    /// The price.
    pub price_ticks: Unsigned,
    /// Lots traded.
    pub quantity_lots: Unsigned,
    /// What the account would pay.
    pub fee_quote_micros: Signed,
}

/// The accounts that are closest to liquidation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NearLiquidationJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The closest first.
    pub accounts: Vec<NearAccountJson>,
}

/// An account with a position, and how far it is from liquidation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NearAccountJson {
    /// The account.
    pub account: u64,
    /// The segment that this is about.
    pub segment: u16,
    /// Share of its positions' size between equity and maintenance margin, in parts per million; below zero it is due.
    pub distance_ppm: i64,
    /// Cash and all profit and loss at the mark.
    pub equity_quote_micros: Signed,
    /// Below this equity it is liquidated.
    pub maintenance_quote_micros: Signed,
    /// Its positions there.
    pub positions: Vec<PositionJson>,
}

impl MarginJson {
    /// Reads an account's margin; none if it does not exist.
    #[must_use]
    pub fn read(view: &StateView<'_>, account: AccountId) -> Option<Self> {
        let ledger = view.ledger;
        ledger.accounts().account(account)?;
        let standing = |segment: &Segment| {
            let standing = ledger.standing(account, segment.id())?;
            Some(StandingJson::of(segment.id(), &standing))
        };
        Some(Self {
            height: ledger.chain().height.number(),
            state_root: view.state_root.into(),
            account: account.number(),
            segments: ledger.segments().iter().filter_map(standing).collect(),
        })
    }
}

impl StandingJson {
    fn of(segment: SegmentId, standing: &Standing) -> Self {
        let Standing { cash, initial, health, young_realised, withdrawable } = standing;
        Self {
            segment: segment.number(),
            cash_quote_micros: Int(cash.micros()),
            equity_quote_micros: Int(health.equity),
            counted_equity_quote_micros: Int(initial.counted_equity),
            uncounted_quote_micros: Int(health.equity.saturating_sub(initial.counted_equity)),
            young_profit_quote_micros: Int(young_realised.micros()),
            initial_quote_micros: Int(initial.requirement),
            maintenance_quote_micros: Int(health.maintenance),
            free_quote_micros: Int(initial.free().micros()),
            withdrawable_quote_micros: Int(withdrawable.micros()),
            gross_notional_quote_micros: Int(initial.gross_notional),
            is_safe: health.is_safe(),
        }
    }
}

impl PreviewJson {
    /// Previews a command.
    ///
    /// # Errors
    /// The command names nothing, or cannot be previewed.
    pub fn read(view: &StateView<'_>, account: AccountId, command: &Command) -> Result<Self, Reject> {
        let ledger = view.ledger;
        let Preview { verdict, events, before, after } = ledger.preview(account, command)?;
        let segment = ledger.segment_of_command(command).unwrap_or(SegmentId::NONE);
        let fills = events.iter().filter_map(|event| match event {
            Event::TradeExecuted(trade) => Some(PreviewFillJson {
                price_ticks: Int(trade.price.ticks()),
                quantity_lots: Int(trade.quantity.lots()),
                fee_quote_micros: Int(trade.taker_fee.micros()),
            }),
            _ => None,
        });
        let resting = events.iter().filter_map(|event| match event {
            Event::OrderRested(rested) => Some(rested.quantity.lots()),
            _ => None,
        });
        Ok(Self {
            height: ledger.chain().height.number(),
            state_root: view.state_root.into(),
            account: account.number(),
            is_accepted: verdict.is_ok(),
            refusal: verdict.err().map(|reject| ErrorDetail::refusal(&reject)),
            fills: fills.collect(),
            resting_lots: Int(resting.sum()),
            before: StandingJson::of(segment, &before),
            after: StandingJson::of(segment, &after),
        })
    }
}

impl NearLiquidationJson {
    /// Reads the `count` accounts that are closest, over all segments or with a position in one market; none if there is no
    /// such market. An account may come once for each segment.
    #[must_use]
    pub fn read(view: &StateView<'_>, count: usize, market: Option<MarketId>) -> Option<Self> {
        let ledger = view.ledger;
        let of_market = market.map(|market| ledger.segment_of(market));
        if of_market == Some(None) {
            return None;
        }
        let mut accounts: Vec<NearAccountJson> = Vec::new();
        let is_asked = |segment: &&Segment| of_market.flatten().is_none_or(|id| id == segment.id());
        for segment in ledger.segments().iter().filter(|segment| segment.clearing().is_some()).filter(is_asked) {
            // Others of the segment may be closer, and are somebody else's to see.
            let nearest = ledger.nearest_liquidation(segment, market.map_or(count, |_| usize::MAX));
            for (account, health, distance_ppm) in nearest {
                let row = segment.sub_account(account);
                let mut positions = row.map_or_else(Vec::new, |row| PositionJson::all(segment, row));
                positions.retain(|held| market.is_none_or(|market| market.number() == held.market));
                if market.is_some() && positions.iter().all(|held| held.position_lots.0 == 0) {
                    continue;
                }
                accounts.push(NearAccountJson {
                    account: account.number(),
                    segment: segment.id().number(),
                    distance_ppm,
                    equity_quote_micros: Int(health.equity),
                    maintenance_quote_micros: Int(health.maintenance),
                    positions,
                });
            }
        }
        accounts.sort_by_key(|near| (near.distance_ppm, near.account, near.segment));
        accounts.truncate(count);
        Some(Self { height: ledger.chain().height.number(), state_root: view.state_root.into(), accounts })
    }
}
