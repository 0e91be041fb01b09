//! Withdrawals: requested, waiting, judged again, released.

use casemate_protocol::command::{CancelWithdrawal, OutsideReference, RequestWithdrawal};
use casemate_protocol::event::{WithdrawalEnded, WithdrawalRequested};
use casemate_protocol::{AccountId, Event, QuoteMicros, Reject, RejectCode, WithdrawalNumber};

use super::require_leave;
use crate::market::Work;
use crate::risk::{self, FullCollateral};
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

/// Sends a closed account's bond on its way; the bond is cash by now.
pub(crate) fn request_bond(work: &mut Work<'_>, amount: QuoteMicros, chain: u32, destination: OutsideReference) {
    emit_request(work, amount, chain, destination);
}

fn emit_request(work: &mut Work<'_>, amount: QuoteMicros, chain: u32, destination: OutsideReference) {
    let number = WithdrawalNumber::new(work.segment.totals.last_withdrawal).next();
    let due_waiting_ms = work.block().waiting_ms.saturating_add(work.segment.rules.withdrawal_delay_ms);
    work.emit(Event::WithdrawalRequested(Box::new(WithdrawalRequested {
        segment: work.segment.id(),
        number,
        account: work.context.account,
        amount,
        due_waiting_ms,
        chain,
        destination,
        origin: work.context.record,
    })));
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
    may_release(work.segment, account, amount)?;
    work.emit(Event::WithdrawalReleased(WithdrawalEnded { segment: work.segment.id(), number }));
    Ok(())
}

/// Whether an account's money may leave now: its collateral covers what it holds, and the limiter has room.
///
/// # Errors
/// `InsufficientFreeCollateral`, `LimiterCapacityExceeded`.
pub(crate) fn may_release(segment: &Segment, account: AccountId, amount: QuoteMicros) -> Result<(), Reject> {
    let free = segment
        .sub_account(account)
        .map_or(QuoteMicros::ZERO, |row| risk::Risk::free_collateral(&FullCollateral, row, &segment.markets, None));
    if free.is_negative() {
        return Err(Reject::of(RejectCode::InsufficientFreeCollateral).quote(QuoteMicros::ZERO, free));
    }
    // INVARIANT(F4)
    if !segment.limiter.has_room_out(&segment.rules, amount) {
        let capacity = super::limiter::capacity_max(&segment.rules, segment.totals.vault());
        return Err(Reject::of(RejectCode::LimiterCapacityExceeded).quote(capacity, amount));
    }
    Ok(())
}

fn pending(segment: &Segment, number: WithdrawalNumber) -> Option<&Withdrawal> {
    segment.withdrawals.get(&number.number()).filter(|row| row.state == WithdrawalState::Pending)
}

pub(super) fn evolve(segment: &mut Segment, event: &Event) {
    match event {
        Event::WithdrawalRequested(requested) => {
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
                    state: WithdrawalState::Pending,
                },
            );
        }
        Event::WithdrawalCancelled(ended) => {
            if let Some(row) = end(segment, ended.number, WithdrawalState::Cancelled) {
                segment.set_aside(row.account, row.amount.checked_neg().unwrap_or_default());
            }
        }
        Event::WithdrawalReleased(ended) => {
            if let Some(row) = end(segment, ended.number, WithdrawalState::Released) {
                segment.release_aside(row.account, row.amount);
                segment.add_total(TotalField::ReleasedOut, i128::from(row.amount.micros()));
                let rules = segment.rules.clone();
                segment.change_limiter(|limiter| limiter.charge_out(&rules, row.amount));
            }
        }
        _ => {}
    }
}

fn end(segment: &mut Segment, number: WithdrawalNumber, state: WithdrawalState) -> Option<Withdrawal> {
    let row = pending(segment, number)?.clone();
    segment.put_withdrawal(number.number(), Withdrawal { state, ..row.clone() });
    Some(row)
}
