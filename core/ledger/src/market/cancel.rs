//! Everything that takes orders out of the book without a fill: `CancelOrder`, `CancelAllOrders`, `SetDeadMan`, and the
//! `System` work of ends and switches.

use casemate_protocol::command::{CancelOrder, CancelScope, OrderReference, SetDeadMan};
use casemate_protocol::event::{DeadManSet, GrantLossLowered, GrantWatched, OrderRemoved, RemovalCause};
use casemate_protocol::{AccountId, Event, GrantNumber, OrderNumber, QuoteMicros, Reject, RejectCode, TimeMs};

use super::{MarketNow, Work};
use crate::segment::{RestingOrder, Segment};

/// Cancels one order.
///
/// # Errors
/// `MarketNotFound`, `OrderNotFound`.
pub(crate) fn cancel(work: &mut Work<'_>, command: &CancelOrder) -> Result<(), Reject> {
    let market = MarketNow::of(work.segment, command.market)?;
    let (_, order) = require_own_order(work.segment, work.context.account, market.place, command.order)?;
    super::matching::remove(work, &market, &order, RemovalCause::Cancelled);
    Ok(())
}

/// Cancels all orders of the account in a scope, or only those that rested before a time.
///
/// # Errors
/// `MarketNotFound`.
pub(crate) fn cancel_all(work: &mut Work<'_>, scope: CancelScope, rested_before: Option<TimeMs>) -> Result<(), Reject> {
    let place = match scope {
        CancelScope::Market(market) => Some(MarketNow::of(work.segment, market)?.place),
        CancelScope::Segment(_) => None,
    };
    let account = work.context.account;
    remove_where(work, account, RemovalCause::CancelledAll, |order| {
        place.is_none_or(|place| order.market == place) && rested_before.is_none_or(|time| order.rested_ms < time)
    });
    Ok(())
}

/// Arms, re-arms or disarms the dead-man switch.
///
/// # Errors
/// `DeadManTimeoutNotAllowed`, `InsufficientFreeCollateral` if the account never had money in the segment.
pub(crate) fn set_dead_man(work: &mut Work<'_>, command: &SetDeadMan) -> Result<(), Reject> {
    let least = work.segment.rules.dead_man_timeout_min_ms;
    if !command.timeout_ms.is_zero() && command.timeout_ms < least {
        return Err(Reject::of(RejectCode::DeadManTimeoutNotAllowed)
            .required(least.ms())
            .present(command.timeout_ms.ms()));
    }
    if work.segment.sub_account(work.context.account).is_none() {
        // It never had money here, so it can have no orders to guard.
        return Err(
            Reject::of(RejectCode::InsufficientFreeCollateral).quote(QuoteMicros::from_micros(1), QuoteMicros::ZERO)
        );
    }
    let fires_ms =
        if command.timeout_ms.is_zero() { TimeMs::ZERO } else { work.block().time_ms.plus(command.timeout_ms) };
    work.emit(Event::DeadManSet(DeadManSet {
        segment: work.segment.id(),
        account: work.context.account,
        fires_ms,
        origin: work.context.record,
    }));
    Ok(())
}

/// `System`: the dead-man switch was not re-armed in time.
pub(crate) fn fire_dead_man(work: &mut Work<'_>, account: AccountId) {
    remove_where(work, account, RemovalCause::DeadMan, |_| true);
    work.emit(Event::DeadManSet(DeadManSet {
        segment: work.segment.id(),
        account,
        fires_ms: TimeMs::ZERO,
        origin: work.context.record,
    }));
}

/// `System`: a good-till-time order reached its end.
pub(crate) fn expire_order(work: &mut Work<'_>, account: AccountId, number: OrderNumber) {
    remove_where(work, account, RemovalCause::Expired, |order| order.number == number);
}

/// `System`: a grant with resting orders ended. Orders that only reduce stay.
pub(crate) fn expire_grant_orders(work: &mut Work<'_>, account: AccountId, grant: GrantNumber) {
    remove_where(work, account, RemovalCause::GrantEnded, |order| {
        order.grant == grant.number() && !order.is_reduce_only
    });
    unwatch(work, account, grant);
}

/// `System`: a grant was revoked. All its orders go.
pub(crate) fn cancel_grant_orders(work: &mut Work<'_>, account: AccountId, grant: GrantNumber) {
    remove_where(work, account, RemovalCause::GrantRevoked, |order| order.grant == grant.number());
    unwatch(work, account, grant);
}

/// `System`: a grant gave some of its loss budget to a child, so its orders may lose less here as well.
pub(crate) fn lower_grant_loss(work: &mut Work<'_>, account: AccountId, grant: GrantNumber, loss_max: QuoteMicros) {
    let row = work.segment.sub_account(account);
    let usage = row.and_then(|row| row.usage().iter().find(|usage| usage.grant == grant.number()));
    if usage.is_some_and(|usage| usage.loss_max > loss_max.micros()) {
        work.emit(Event::GrantLossLowered(GrantLossLowered { segment: work.segment.id(), account, grant, loss_max }));
    }
}

fn unwatch(work: &mut Work<'_>, account: AccountId, grant: GrantNumber) {
    let usage = work
        .segment
        .sub_account(account)
        .and_then(|row| row.usage().iter().find(|usage| usage.grant == grant.number()).copied());
    let Some(usage) = usage else { return };
    work.emit(Event::GrantUnwatched(GrantWatched {
        segment: work.segment.id(),
        account,
        grant,
        expires_ms: usage.expires_ms,
        loss_max: QuoteMicros::from_micros(usage.loss_max),
        origin: work.context.record,
    }));
}

/// A resting order of an account in a market, by reference, with its slot.
///
/// # Errors
/// `OrderNotFound`.
pub(crate) fn require_own_order(
    segment: &Segment,
    account: AccountId,
    market: u16,
    reference: OrderReference,
) -> Result<(u32, RestingOrder), Reject> {
    let named = match reference {
        OrderReference::Number(number) => number.number(),
        OrderReference::Client(client_id) => client_id.number(),
    };
    let missing = || Reject::of(RejectCode::OrderNotFound).present(named);
    let row = segment.sub_account(account).ok_or_else(missing)?;
    let orders = row.orders();
    let found = match reference {
        OrderReference::Number(number) => {
            orders.binary_search_by_key(&number.number(), |order| order.number).ok().and_then(|at| orders.get(at))
        }
        OrderReference::Client(client_id) if client_id.is_none() => None,
        OrderReference::Client(client_id) => orders.iter().find(|order| order.client_id == client_id.number()),
    };
    let slot = found.filter(|order| order.market == market).ok_or_else(missing)?.slot;
    segment.orders.order(slot).copied().map(|order| (slot, order)).ok_or_else(missing)
}

/// Cancels an account's orders that are wanted, with a cause.
pub(crate) fn remove_where(
    work: &mut Work<'_>,
    account: AccountId,
    cause: RemovalCause,
    wanted: impl Fn(&RestingOrder) -> bool,
) {
    let Some(row) = work.segment.sub_account(account) else { return };
    let slots: Vec<u32> = row.orders().iter().map(|order| order.slot).collect();
    for slot in slots {
        let Some(order) = work.segment.orders.order(slot).copied().filter(&wanted) else { continue };
        let Some(market) = work.segment.market(order.market).map(|market| market.rules.id) else { continue };
        work.emit(Event::OrderRemoved(OrderRemoved {
            market,
            number: order.number,
            account,
            quantity: order.remaining,
            cause,
        }));
    }
}
