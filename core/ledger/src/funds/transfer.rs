//! Transfers between segments: movement, not offset. One leaves in a block and arrives in a later one; each side writes
//! only its own tables, and arrivals keep the order in which transfers left.

use casemate_protocol::command::{CancelTransfer, RequestTransfer, SegmentTransfer};
use casemate_protocol::event::{TransferArrived, TransferEnded, TransferReleased, TransferRequested};
use casemate_protocol::limits::BALANCE_MICROS_MAX;
use casemate_protocol::{DurationMs, Event, QuoteMicros, Reject, RejectCode, TransferNumber};

use super::withdraw::charge;
use super::{may_release, require_leave};
use crate::context::BlockContext;
use crate::market::Work;
use crate::segment::{Segment, TotalField, Transfer, TransferState};

/// Sets money aside for another segment. That the target exists was checked by the caller, which sees all segments.
///
/// # Errors
/// `SameSegment`, or what [`require_leave`] refuses.
pub(crate) fn request(work: &mut Work<'_>, command: &RequestTransfer) -> Result<(), Reject> {
    if command.from == command.to {
        return Err(Reject::of(RejectCode::SameSegment).present(u64::from(command.to.number())));
    }
    require_leave(work, command.amount)?;
    let number = TransferNumber::new(work.segment.totals.last_transfer).next();
    let due_waiting_ms = work.block().waiting_ms.saturating_add(work.segment.rules.transfer_delay_ms);
    work.emit(Event::TransferRequested(TransferRequested {
        from: command.from,
        number,
        to: command.to,
        account: work.context.account,
        amount: command.amount,
        due_waiting_ms,
        origin: work.context.record,
        tier: work.context.tier,
    }));
    Ok(())
}

/// Takes a waiting transfer back.
///
/// # Errors
/// `TransferNotFound`.
pub(crate) fn cancel(work: &mut Work<'_>, command: &CancelTransfer) -> Result<(), Reject> {
    let is_own = pending(work.segment, command.number).is_some_and(|row| row.account == work.context.account);
    if !is_own {
        return Err(Reject::of(RejectCode::TransferNotFound).present(command.number.number()));
    }
    work.emit(Event::TransferCancelled(TransferEnded { from: work.segment.id(), number: command.number }));
    Ok(())
}

/// `System`: a transfer leaves its source, if collateral and limiter allow it now.
///
/// # Errors
/// `TransferNotFound`, `InsufficientFreeCollateral`, `LimiterCapacityExceeded`.
pub(crate) fn release(work: &mut Work<'_>, number: TransferNumber) -> Result<(), Reject> {
    let row = pending(work.segment, number)
        .copied()
        .ok_or_else(|| Reject::of(RejectCode::TransferNotFound).present(number.number()))?;
    may_release(work.segment, work.block(), row.account, row.amount)?;
    let sequence = work.segment.last_left.get(&row.to.number()).copied().unwrap_or(0).saturating_add(1);
    work.emit(Event::TransferReleased(TransferReleased { from: work.segment.id(), number, sequence }));
    Ok(())
}

/// `System`: a transfer arrives at its target. `row` and `sequence` were read from the source.
///
/// # Errors
/// `TransferNotFound` if it has arrived, `BalanceTooLarge`.
pub(crate) fn arrive(
    work: &mut Work<'_>,
    transfer: &SegmentTransfer,
    row: &Transfer,
    sequence: u64,
) -> Result<(), Reject> {
    let last = work.segment.last_arrived.get(&transfer.from.number()).copied().unwrap_or(0);
    if sequence != last.saturating_add(1) {
        return Err(Reject::of(RejectCode::TransferNotFound).present(transfer.transfer.number()));
    }
    let cash = work.segment.sub_account(row.account).map_or(QuoteMicros::ZERO, |account| account.cash());
    // What left must arrive: a refusal here would hold up every transfer behind this one. The limit on balances is kept
    // where money enters the venue; here only the range of money itself counts.
    if cash.checked_add(row.amount).is_none() {
        let limit = QuoteMicros::from_micros(BALANCE_MICROS_MAX);
        return Err(Reject::of(RejectCode::BalanceTooLarge).quote(limit, cash.saturating_add(row.amount)));
    }
    work.emit(Event::TransferArrived(TransferArrived {
        from: transfer.from,
        number: transfer.transfer,
        to: work.segment.id(),
        sequence,
        account: row.account,
        amount: row.amount,
    }));
    Ok(())
}

fn pending(segment: &Segment, number: TransferNumber) -> Option<&Transfer> {
    segment.transfers.get(&number.number()).filter(|row| row.state == TransferState::Pending)
}

pub(super) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    match event {
        Event::TransferRequested(requested) => {
            segment.next_number(TotalField::LastTransfer);
            segment.set_aside(requested.account, requested.amount);
            segment.put_transfer(
                requested.number.number(),
                Transfer {
                    account: requested.account,
                    to: requested.to,
                    amount: requested.amount,
                    due_waiting_ms: requested.due_waiting_ms,
                    origin: requested.origin,
                    state: TransferState::Pending,
                    tier: requested.tier,
                    held: None,
                    released_ms: DurationMs::ZERO,
                },
            );
        }
        Event::TransferCancelled(ended) => {
            if let Some(row) = end(segment, block, ended.number, TransferState::Cancelled) {
                segment.set_aside(row.account, row.amount.checked_neg().unwrap_or_default());
            }
        }
        Event::TransferReleased(released) => {
            if let Some(row) = end(segment, block, released.number, TransferState::Left) {
                segment.release_aside(row.account, row.amount);
                segment.add_total(TotalField::TransferredOut, i128::from(row.amount.micros()));
                segment.add_left(row.to, released.sequence, released.number.number());
                charge(segment, row.amount);
            }
        }
        Event::TransferArrived(arrived) => {
            segment.set_arrived(arrived.from, arrived.sequence);
            segment.add_total(TotalField::TransferredIn, i128::from(arrived.amount.micros()));
            segment.add_deposited(arrived.account, arrived.amount);
        }
        _ => {}
    }
}

fn end(segment: &mut Segment, block: &BlockContext, number: TransferNumber, state: TransferState) -> Option<Transfer> {
    let row = *pending(segment, number)?;
    let released_ms = if state == TransferState::Left { block.waiting_ms } else { DurationMs::ZERO };
    segment.put_transfer(number.number(), Transfer { state, held: None, released_ms, ..row });
    Some(row)
}
