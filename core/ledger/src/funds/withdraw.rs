//! Withdrawals: requested, waiting, judged again, released.

use casemate_protocol::command::{CancelWithdrawal, OutsideReference, RequestWithdrawal};
use casemate_protocol::event::{WithdrawalEnded, WithdrawalRequested};
use casemate_protocol::{
    AccountId, BreakerState, DurationMs, Event, QuoteMicros, Regime, Reject, RejectCode, WithdrawalNumber,
};

use super::limiter::Leaving;
use super::{require_enough_stays, require_leave, require_pending_room};
use crate::context::BlockContext;
use crate::market::Work;
use crate::risk::Risk;
use crate::segment::{Segment, TotalField, Withdrawal, WithdrawalState};

/// Sets money aside to leave.
///
/// # Errors
/// `DestinationEmpty`, or what [`require_leave`] refuses.
pub(crate) fn request(work: &mut Work<'_>, command: &RequestWithdrawal) -> Result<(), Reject> {
    if command.destination.is_empty() {
        return Err(Reject::of(RejectCode::DestinationEmpty));
    }
    require_leave(work, command.amount)?;
    emit_request(work, command.amount, command.chain, command.destination.clone());
    Ok(())
}

/// Sets principal aside to leave by the slow way: it has a delay and a window of its own, and no state short of Halted
/// holds it up (DESIGN §3). Only what was deposited and is free leaves like this.
///
/// # Errors
/// `DestinationEmpty`, `AmountNotPositive`, `PendingMovesMax`, `TransferMarginShort`, `PrincipalExceeded`, and
/// `LimiterCapacityExceeded` for an amount that the window never lets through at once.
pub(crate) fn request_exit(work: &mut Work<'_>, command: &RequestWithdrawal) -> Result<(), Reject> {
    if command.destination.is_empty() {
        return Err(Reject::of(RejectCode::DestinationEmpty));
    }
    let missing = Reject::of(RejectCode::SegmentNotFound).present(u64::from(command.segment.number()));
    let exit = work.segment.clearing().map(|clearing| clearing.rules.principal_exit).ok_or(missing)?;
    let row = require_pending_room(work, command.amount)?;
    let principal = row.net_deposits();
    if command.amount > principal {
        return Err(Reject::of(RejectCode::PrincipalExceeded).quote(principal.max(QuoteMicros::ZERO), command.amount));
    }
    require_enough_stays(work.segment, &work.risk(), row, command.amount)?;
    if command.amount > exit.limit.amount_max {
        return Err(Reject::of(RejectCode::LimiterCapacityExceeded).quote(exit.limit.amount_max, command.amount));
    }
    let requested = requested(work, command.amount, exit.delay_ms, command.chain, command.destination.clone());
    work.emit(Event::PrincipalExitRequested(Box::new(requested)));
    Ok(())
}

/// Sends a closed account's bond on its way; the bond is cash by now.
pub(crate) fn request_bond(work: &mut Work<'_>, amount: QuoteMicros, chain: u32, destination: OutsideReference) {
    emit_request(work, amount, chain, destination);
}

fn emit_request(work: &mut Work<'_>, amount: QuoteMicros, chain: u32, destination: OutsideReference) {
    let requested = requested(work, amount, work.segment.rules.withdrawal_delay_ms, chain, destination);
    work.emit(Event::WithdrawalRequested(Box::new(requested)));
}

fn requested(
    work: &Work<'_>,
    amount: QuoteMicros,
    delay_ms: DurationMs,
    chain: u32,
    destination: OutsideReference,
) -> WithdrawalRequested {
    WithdrawalRequested {
        segment: work.segment.id(),
        number: WithdrawalNumber::new(work.segment.totals.last_withdrawal).next(),
        account: work.context.account,
        amount,
        due_waiting_ms: work.block().waiting_ms.saturating_add(delay_ms),
        chain,
        destination,
        origin: work.context.record,
        tier: work.context.tier,
    }
}

/// Takes a waiting withdrawal back.
///
/// # Errors
/// `WithdrawalNotFound`.
pub(crate) fn cancel(work: &mut Work<'_>, command: &CancelWithdrawal) -> Result<(), Reject> {
    let is_own = pending(work.segment, command.number).is_some_and(|row| row.account == work.context.account);
    if !is_own {
        return Err(Reject::of(RejectCode::WithdrawalNotFound).present(command.number.number()));
    }
    let ended = WithdrawalEnded { segment: work.segment.id(), number: command.number };
    work.emit(Event::WithdrawalCancelled(ended));
    Ok(())
}

/// `System`: lets a withdrawal go. INVARIANT(F3): margin and limiter are judged now, whatever was true at the request.
///
/// # Errors
/// `WithdrawalNotFound`, `InsufficientFreeCollateral`, `LimiterCapacityExceeded`.
pub(crate) fn release(work: &mut Work<'_>, number: WithdrawalNumber) -> Result<(), Reject> {
    let row = pending(work.segment, number)
        .ok_or_else(|| Reject::of(RejectCode::WithdrawalNotFound).present(number.number()))?;
    let (account, amount) = (row.account, row.amount);
    if row.is_principal_exit {
        may_release_exit(work.segment, work.block(), account, amount)?;
    } else {
        may_release(work.segment, work.block(), account, amount)?;
    }
    work.emit(Event::WithdrawalReleased(WithdrawalEnded { segment: work.segment.id(), number }));
    Ok(())
}

/// Whether an account's money may leave now: see [`require_may_leave`], and the limiter has room. While the breaker is
/// Elevated or the worst market stressed each amount counts twice, in ReduceOnly or an extreme market four times, so half or
/// a quarter of the limiter lets as much through however it is split (R§5.2).
///
/// # Errors
/// What [`require_may_leave`] refuses, and `LimiterCapacityExceeded`.
pub(crate) fn may_release(
    segment: &Segment,
    block: &BlockContext,
    account: AccountId,
    amount: QuoteMicros,
) -> Result<(), Reject> {
    require_may_leave(segment, block, account)?;
    // INVARIANT(F4)
    let weight = weight_now(segment);
    let vault = segment.totals.vault();
    if !segment.limiter.has_room_out(&segment.rules, vault, Leaving { amount, weight }) {
        let capacity = super::limiter::capacity_max(&segment.rules, vault);
        let counted = QuoteMicros::from_micros(amount.micros().saturating_mul(weight));
        return Err(Reject::of(RejectCode::LimiterCapacityExceeded).quote(capacity, counted));
    }
    Ok(())
}

/// Whether an account's money may leave now, but for the limiter: the breaker lets it, in ReduceOnly only principal, and
/// the account's collateral covers what it holds.
///
/// # Errors
/// `BreakerForbids`, `TransferMarginShort` or `InsufficientFreeCollateral`.
pub(crate) fn require_may_leave(segment: &Segment, block: &BlockContext, account: AccountId) -> Result<(), Reject> {
    let state = segment.breaker_state();
    let row = segment.sub_account(account);
    if state > BreakerState::ReduceOnly {
        return Err(forbids(BreakerState::ReduceOnly, state));
    }
    // What was asked for is off the balance: below zero, some of it was profit.
    if state == BreakerState::ReduceOnly && row.is_some_and(|row| row.net_deposits().is_negative()) {
        return Err(forbids(BreakerState::Elevated, state));
    }
    require_covered(segment, block, account)
}

/// How many times an amount counts against the limiter now: what the breaker's state or the regime of the worst market asks
/// for, whichever is more. From WithdrawGated on nothing leaves.
pub(crate) fn weight_now(segment: &Segment) -> i64 {
    let by_breaker = match segment.breaker_state() {
        BreakerState::Normal => 1,
        BreakerState::Elevated => 2,
        BreakerState::ReduceOnly | BreakerState::WithdrawGated | BreakerState::Halted => 4,
    };
    let by_regime = match segment.regime() {
        Regime::Calm | Regime::Elevated => 1,
        Regime::Stressed => 2,
        Regime::Extreme => 4,
    };
    by_breaker.max(by_regime)
}

/// Charges to the limiter what leaves now.
pub(super) fn charge(segment: &mut Segment, amount: QuoteMicros) {
    let (rules, weight) = (segment.rules.clone(), weight_now(segment));
    segment.change_limiter(|limiter| limiter.charge_out(&rules, Leaving { amount, weight }));
}

/// Whether principal may leave by the slow way now: see [`require_may_exit`], and its window has room.
///
/// # Errors
/// What [`require_may_exit`] refuses, and `LimiterCapacityExceeded`.
pub(crate) fn may_release_exit(
    segment: &Segment,
    block: &BlockContext,
    account: AccountId,
    amount: QuoteMicros,
) -> Result<(), Reject> {
    require_may_exit(segment, block, account)?;
    let left = exit_left(segment, block);
    if amount > left {
        return Err(Reject::of(RejectCode::LimiterCapacityExceeded).quote(left, amount));
    }
    Ok(())
}

/// Whether an account's principal may leave by the slow way now, but for its window.
///
/// # Errors
/// `BreakerForbids`, `TransferMarginShort`.
pub(crate) fn require_may_exit(segment: &Segment, block: &BlockContext, account: AccountId) -> Result<(), Reject> {
    let state = segment.breaker_state();
    if state == BreakerState::Halted {
        return Err(forbids(BreakerState::WithdrawGated, state));
    }
    require_covered(segment, block, account)
}

/// What the window of the slow exit lets through now; nothing in a segment without one.
pub(crate) fn exit_left(segment: &Segment, block: &BlockContext) -> QuoteMicros {
    segment.clearing().map_or(QuoteMicros::ZERO, |clearing| {
        let limit = clearing.rules.principal_exit.limit;
        let used = clearing.facts.exit_used.left(block.waiting_ms, limit.window_ms);
        limit.amount_max.saturating_sub(QuoteMicros::from_micros(used))
    })
}

/// What is left covers what the account holds.
fn require_covered(segment: &Segment, block: &BlockContext, account: AccountId) -> Result<(), Reject> {
    let risk = Risk::new(segment.markets(), block.waiting_ms);
    match segment.sub_account(account) {
        Some(row) => require_enough_stays(segment, &risk, row, QuoteMicros::ZERO),
        None => Ok(()),
    }
}

fn forbids(at_most: BreakerState, state: BreakerState) -> Reject {
    Reject::of(RejectCode::BreakerForbids).required(u64::from(at_most.number())).present(u64::from(state.number()))
}

fn pending(segment: &Segment, number: WithdrawalNumber) -> Option<&Withdrawal> {
    segment.withdrawals.get(&number.number()).filter(|row| row.state == WithdrawalState::Pending)
}

pub(super) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    match event {
        Event::WithdrawalRequested(requested) => put_request(segment, requested, false),
        Event::PrincipalExitRequested(requested) => put_request(segment, requested, true),
        Event::WithdrawalCancelled(ended) => {
            if let Some(row) = end(segment, block, ended.number, WithdrawalState::Cancelled) {
                segment.set_aside(row.account, row.amount.checked_neg().unwrap_or_default());
            }
        }
        Event::WithdrawalReleased(ended) => {
            if let Some(row) = end(segment, block, ended.number, WithdrawalState::Released) {
                segment.release_aside(row.account, row.amount);
                segment.add_total(TotalField::ReleasedOut, i128::from(row.amount.micros()));
                if row.is_principal_exit {
                    segment.change_clearing(|facts, rules| {
                        let window_ms = rules.principal_exit.limit.window_ms;
                        facts.exit_used.add(row.amount.micros(), block.waiting_ms, window_ms);
                    });
                    return;
                }
                charge(segment, row.amount);
            }
        }
        _ => {}
    }
}

fn put_request(segment: &mut Segment, requested: &WithdrawalRequested, is_principal_exit: bool) {
    segment.next_number(TotalField::LastWithdrawal);
    segment.set_aside(requested.account, requested.amount);
    segment.put_withdrawal(
        requested.number.number(),
        Withdrawal {
            account: requested.account,
            amount: requested.amount,
            due_waiting_ms: requested.due_waiting_ms,
            chain: requested.chain,
            destination: requested.destination.clone(),
            origin: requested.origin,
            is_principal_exit,
            state: WithdrawalState::Pending,
            tier: requested.tier,
            held: None,
            released_ms: DurationMs::ZERO,
        },
    );
}

fn end(
    segment: &mut Segment,
    block: &BlockContext,
    number: WithdrawalNumber,
    state: WithdrawalState,
) -> Option<Withdrawal> {
    let row = pending(segment, number)?.clone();
    let released_ms = if state == WithdrawalState::Released { block.waiting_ms } else { DurationMs::ZERO };
    segment.put_withdrawal(number.number(), Withdrawal { state, held: None, released_ms, ..row.clone() });
    Some(row)
}
