//! `QuoteLadder`: a maker's whole ladder in one command.

use casemate_protocol::command::{QuoteLadder, QuoteLevel, SelfTradeMode};
use casemate_protocol::event::{LadderLevelSkipped, RemovalCause};
use casemate_protocol::{
    ClientOrderId, Event, OrderNumber, PriceGrade, PriceUse, QuoteMicros, Reject, RejectCode, Side, TimeMs,
};

use super::matching::remove;
use super::order::{Arriving, Remainder, Taking, rest};
use super::{AddedOrders, MarketNow, OrderCost, Work};

/// Replaces the account's ladder in a market.
///
/// # Errors
/// The first check that fails; the former ladder then stands.
pub(crate) fn quote_ladder(work: &mut Work<'_>, command: &QuoteLadder) -> Result<(), Reject> {
    let market = MarketNow::of(work.segment, command.market)?;
    require_sorted(command)?;
    for (side, level) in levels(command) {
        market.require_quantity(level.quantity)?;
        market.require_price(side, level.price)?;
    }
    let grade = work.segment.market(market.place).and_then(|market| market.margin()).map(|margin| margin.pricing.grade);
    if let Some(grade) = grade.filter(|grade| !grade.allows(PriceUse::Margin) && levels(command).next().is_some()) {
        return Err(Reject::of(RejectCode::PriceNotGoodEnough)
            .required(u64::from(PriceGrade::Uncertain.number()))
            .present(u64::from(grade.number())));
    }
    let free_before = work.free_collateral();
    remove_former(work, &market);
    let mut added = AddedOrders::default();
    for (side, level) in levels(command).filter(|(side, level)| !takes(work, &market, *side, level)) {
        let reserve = market.notional(level.price, level.quantity)?;
        // It never takes, so it pays no taker fee and its own price is its dearest.
        added.add(side, level.quantity, OrderCost { reserve, dearest: reserve, taker_fee: QuoteMicros::ZERO });
        added.resting_count = added.resting_count.saturating_add(1);
    }
    if added.resting_count > 0 {
        work.require_room(&market, &added, Some(free_before))?;
        work.watch_grant();
    }
    for (side, level) in levels(command) {
        place_level(work, &market, side, level);
    }
    Ok(())
}

fn levels(command: &QuoteLadder) -> impl Iterator<Item = (Side, &QuoteLevel)> {
    let bids = command.bids.iter().map(|level| (Side::Bid, level));
    bids.chain(command.asks.iter().map(|level| (Side::Ask, level)))
}

fn require_sorted(command: &QuoteLadder) -> Result<(), Reject> {
    let unsorted = |before: &QuoteLevel, level: &QuoteLevel| {
        Reject::of(RejectCode::LadderNotSorted).required(before.price.ticks()).present(level.price.ticks())
    };
    for pair in command.bids.as_slice().windows(2) {
        let [before, level] = pair else { continue };
        if level.price >= before.price {
            return Err(unsorted(before, level));
        }
    }
    for pair in command.asks.as_slice().windows(2) {
        let [before, level] = pair else { continue };
        if level.price <= before.price {
            return Err(unsorted(before, level));
        }
    }
    match (command.bids.iter().next(), command.asks.iter().next()) {
        (Some(bid), Some(ask)) if bid.price >= ask.price => {
            Err(Reject::of(RejectCode::LadderCrossed).required(ask.price.ticks()).present(bid.price.ticks()))
        }
        _ => Ok(()),
    }
}

fn remove_former(work: &mut Work<'_>, market: &MarketNow) {
    let Some(row) = work.segment.sub_account(work.context.account) else { return };
    let slots: Vec<u32> =
        row.orders().iter().filter(|order| order.market == market.place).map(|order| order.slot).collect();
    for slot in slots {
        if let Some(order) = work.segment.orders.order(slot).copied().filter(|order| order.is_ladder) {
            remove(work, market, &order, RemovalCause::LadderReplaced);
        }
    }
}

/// Whether a level would trade with the other side of the book as it stands.
fn takes(work: &Work<'_>, market: &MarketNow, side: Side, level: &QuoteLevel) -> bool {
    work.best_price(market, side.opposite()).is_some_and(|best| side.crosses(level.price, best))
}

fn place_level(work: &mut Work<'_>, market: &MarketNow, side: Side, level: &QuoteLevel) {
    if takes(work, market, side, level) {
        work.emit(Event::LadderLevelSkipped(LadderLevelSkipped {
            market: market.rules.id,
            side,
            price: level.price,
            rule: RejectCode::PostOnlyWouldTake.number(),
        }));
        return;
    }
    let number = OrderNumber::new(work.segment.totals.last_order).next();
    let order = Arriving {
        side,
        limit: level.price,
        quantity: level.quantity,
        taking: Taking::Refused,
        remainder: Remainder::Rests,
        self_trade: SelfTradeMode::CancelArriving,
        is_reduce_only: false,
        is_ladder: true,
        is_liquidation: false,
        client_id: ClientOrderId::NONE,
        expires_ms: TimeMs::ZERO,
        number: None,
    };
    rest(work, market, &order, number, level.quantity);
}
