//! Which rules a run of random sequences has reached: a generator that never reaches a rule tests nothing about it.

use std::collections::BTreeMap;

use casemate_protocol::command::{Command, OrderKind, PlaceOrder, SelfTradeMode, Side, TimeInForce};
use casemate_protocol::event::{Event, RemovalCause, TradeExecuted};
use casemate_protocol::{AccountId, Reject, RejectCode};

use super::Model;
use super::generate::Input;

/// Counts of what happened.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    rejects: BTreeMap<RejectCode, u64>,
    removals: BTreeMap<String, u64>,
    features: BTreeMap<&'static str, u64>,
}

/// What a sequence can do, beyond refusals and removals. Each is counted by [`Coverage::record`].
pub const FEATURES: [&str; 30] = [
    "order rested",
    "trade",
    "trade with a rebate",
    "trade under the taker's grant",
    "position closed in part",
    "position turned around",
    "several trades of one command",
    "limit order dropped its rest",
    "immediate-or-cancel dropped its rest",
    "immediate-or-cancel filled",
    "fill-or-kill filled",
    "market order filled",
    "market order dropped its rest",
    "post-only slid",
    "reduce-only cut to the position",
    "reduce-only maker filled",
    "self-trade cancelled the resting order",
    "self-trade cancelled the arriving order",
    "self-trade cancelled both",
    "amend kept its place",
    "amend rested again",
    "amend traded",
    "ladder placed",
    "ladder level skipped",
    "ask traded above its limit under a grant",
    "reduce-only order traded beyond its grant's budget",
    "reduce-only order refused for collateral",
    "reduce-only maker removed for collateral",
    "order of the past removed while matching",
    "order of an ended grant removed while matching",
];

/// Refusals of trading outside the numbers from 500.
const OTHER_CODES: [RejectCode; 4] = [
    RejectCode::GrantNotionalExceeded,
    RejectCode::GrantNotFound,
    RejectCode::InsufficientFreeCollateral,
    RejectCode::SegmentNotFound,
];

/// Out of reach: two markets cannot be more than 64. `tests.rs` reaches it by hand.
const UNREACHABLE: [RejectCode; 1] = [RejectCode::PositionsMax];

/// All causes, which a new one does not join by itself.
const CAUSES: [RemovalCause; 11] = [
    RemovalCause::Cancelled,
    RemovalCause::CancelledAll,
    RemovalCause::Amended,
    RemovalCause::LadderReplaced,
    RemovalCause::SelfTrade,
    RemovalCause::Expired,
    RemovalCause::GrantEnded,
    RemovalCause::GrantRevoked,
    RemovalCause::DeadMan,
    RemovalCause::MakerRisk,
    RemovalCause::NothingToReduce,
];

impl Coverage {
    /// Counts one input, with the model as the input found it and left it.
    pub fn record(&mut self, before: &Model, input: &Input, result: &Result<Vec<Event>, Reject>, after: &Model) {
        let events = match result {
            Ok(events) => events,
            Err(reject) => {
                let is_reducing = matches!(
                    input,
                    Input::Command { command: Command::PlaceOrder(PlaceOrder { is_reduce_only: true, .. }), .. }
                );
                let is_uncovered = reject.code() == RejectCode::InsufficientFreeCollateral;
                self.hit_if(is_reducing && is_uncovered, "reduce-only order refused for collateral");
                *self.rejects.entry(reject.code()).or_default() += 1;
                return;
            }
        };
        for event in events {
            match event {
                Event::OrderRemoved(removed) => {
                    *self.removals.entry(format!("{:?}", removed.cause)).or_default() += 1;
                }
                Event::OrderRested(_) => self.hit("order rested"),
                Event::LadderLevelSkipped(_) => self.hit("ladder level skipped"),
                _ => {}
            }
        }
        let trades: Vec<TradeExecuted> = events.iter().filter_map(trade_of).collect();
        if trades.len() > 1 {
            self.hit("several trades of one command");
        }
        // Only the first trade meets the state as it was before the command.
        if let Some(trade) = trades.first() {
            self.record_trade(before, trade);
        }
        let Input::Command { account, grant, command } = input else {
            return;
        };
        self.record_removals(before, after, events);
        if let (Some(grant), Command::PlaceOrder(place)) = (grant, command) {
            let OrderKind::Limit(terms) = place.kind else { return };
            let is_above = place.side == Side::Ask && trades.iter().any(|trade| trade.price > terms.price);
            self.hit_if(is_above, "ask traded above its limit under a grant");
            let used = after.grant_used(*account, *grant);
            let is_beyond = place.is_reduce_only && !trades.is_empty() && used > after.grant_law(*account, *grant).1;
            self.hit_if(is_beyond, "reduce-only order traded beyond its grant's budget");
        }
        match command {
            Command::PlaceOrder(place) => self.record_place([before, after], *account, place, events),
            Command::AmendOrder(_) => {
                for (feature, is_hit) in [
                    ("amend kept its place", events.iter().any(|event| matches!(event, Event::OrderReduced(_)))),
                    ("amend rested again", events.iter().any(|event| matches!(event, Event::OrderRested(_)))),
                    ("amend traded", !trades.is_empty()),
                ] {
                    self.hit_if(is_hit, feature);
                }
            }
            Command::QuoteLadder(_) => {
                self.hit_if(events.iter().any(|event| matches!(event, Event::OrderRested(_))), "ladder placed");
            }
            _ => {}
        }
    }

    fn record_trade(&mut self, before: &Model, trade: &TradeExecuted) {
        self.hit("trade");
        self.hit_if(trade.maker_fee.is_negative(), "trade with a rebate");
        self.hit_if(!trade.taker_grant.is_none(), "trade under the taker's grant");
        let direction = super::account::sign(trade.taker_side);
        let (lots, quantity) = (before.position(trade.market, trade.taker).0, i128::from(trade.quantity.lots()));
        let after = lots + direction * quantity;
        self.hit_if(lots.signum() == after.signum() && after.abs() < lots.abs(), "position closed in part");
        self.hit_if(lots.signum() * after.signum() < 0, "position turned around");
        let maker = before.resting(trade.market).into_iter().find(|order| order.number == trade.maker_order);
        self.hit_if(maker.is_some_and(|maker| maker.is_reduce_only), "reduce-only maker filled");
    }

    /// Orders that a command found it could not trade with.
    fn record_removals(&mut self, before: &Model, after: &Model, events: &[Event]) {
        for event in events {
            let Event::OrderRemoved(removed) = event else { continue };
            let resting = before.resting(removed.market);
            let is_reduce_only = resting.iter().any(|order| order.number == removed.number && order.is_reduce_only);
            match removed.cause {
                RemovalCause::Expired => self.hit("order of the past removed while matching"),
                RemovalCause::GrantEnded => self.hit("order of an ended grant removed while matching"),
                RemovalCause::MakerRisk => {
                    // With equity to spare at the band's edge, only collateral can have spoken against it.
                    let Some(segment) = after.segment_of(removed.market) else { continue };
                    let is_solvent = after.band_edge_equity(segment, removed.account) > 0;
                    self.hit_if(is_reduce_only && is_solvent, "reduce-only maker removed for collateral");
                }
                _ => {}
            }
        }
    }

    fn record_place(&mut self, [before, after]: [&Model; 2], account: AccountId, place: &PlaceOrder, events: &[Event]) {
        let dropped = events.iter().any(|event| matches!(event, Event::RemainderDropped(_)));
        let traded = events.iter().any(|event| matches!(event, Event::TradeExecuted(_)));
        let met_itself = events
            .iter()
            .any(|event| matches!(event, Event::OrderRemoved(removed) if removed.cause == RemovalCause::SelfTrade));
        let (position, _) = before.position(place.market, account);
        let is_cut = place.is_reduce_only && i128::from(place.quantity.lots()) > position.abs();
        self.hit_if(is_cut, "reduce-only cut to the position");
        match place.self_trade {
            SelfTradeMode::CancelResting => self.hit_if(met_itself, "self-trade cancelled the resting order"),
            SelfTradeMode::CancelBoth => self.hit_if(met_itself, "self-trade cancelled both"),
            SelfTradeMode::CancelArriving => {
                // The order that it would have met next is its owner's own.
                let mut opposite = after.resting(place.market);
                opposite.retain(|order| order.side == place.side.opposite());
                let own = opposite.first().is_some_and(|best| match place.kind {
                    OrderKind::Limit(terms) => best.account == account && place.side.crosses(terms.price, best.price),
                    OrderKind::Market(_) => false,
                });
                self.hit_if(dropped && own, "self-trade cancelled the arriving order");
            }
        }
        match place.kind {
            OrderKind::Market(_) => {
                self.hit_if(traded && !dropped, "market order filled");
                self.hit_if(dropped, "market order dropped its rest");
            }
            OrderKind::Limit(terms) => match terms.time_in_force {
                TimeInForce::ImmediateOrCancel => {
                    self.hit_if(traded && !dropped, "immediate-or-cancel filled");
                    self.hit_if(dropped, "immediate-or-cancel dropped its rest");
                }
                TimeInForce::FillOrKill => self.hit_if(traded, "fill-or-kill filled"),
                TimeInForce::PostOnlySlide => {
                    let slid = events
                        .iter()
                        .any(|event| matches!(event, Event::OrderRested(rested) if rested.price != terms.price));
                    self.hit_if(slid, "post-only slid");
                }
                TimeInForce::GoodTillCancel | TimeInForce::GoodTillTime(_) => {
                    self.hit_if(dropped, "limit order dropped its rest");
                }
                TimeInForce::PostOnly => {}
            },
        }
    }

    /// How often a rule refused.
    pub fn rejects(&self, code: RejectCode) -> u64 {
        self.rejects.get(&code).copied().unwrap_or_default()
    }

    /// How often orders left for a cause.
    pub fn removals(&self, cause: RemovalCause) -> u64 {
        self.removals.get(&format!("{cause:?}")).copied().unwrap_or_default()
    }

    /// How often one of [`FEATURES`] was seen.
    pub fn features(&self, feature: &str) -> u64 {
        self.features.get(feature).copied().unwrap_or_default()
    }

    /// Everything that should have been seen and was not.
    pub fn missing(&self) -> Vec<String> {
        let trading = RejectCode::ALL.iter().copied().filter(|code| (500..=518).contains(&code.number()));
        let codes = trading.chain(OTHER_CODES).filter(|code| !UNREACHABLE.contains(code));
        codes
            .filter(|code| self.rejects(*code) == 0)
            .map(|code| code.name().to_owned())
            .chain(CAUSES.into_iter().filter(|cause| self.removals(*cause) == 0).map(|cause| format!("{cause:?}")))
            .chain(FEATURES.into_iter().filter(|feature| self.features(feature) == 0).map(str::to_owned))
            .collect()
    }

    fn hit(&mut self, feature: &'static str) {
        debug_assert!(FEATURES.contains(&feature), "feature is not listed");
        *self.features.entry(feature).or_default() += 1;
    }

    fn hit_if(&mut self, is_hit: bool, feature: &'static str) {
        if is_hit {
            self.hit(feature);
        }
    }
}

fn trade_of(event: &Event) -> Option<TradeExecuted> {
    match event {
        Event::TradeExecuted(trade) => Some(*trade),
        _ => None,
    }
}
