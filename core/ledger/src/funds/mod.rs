//! Funds: what comes into vaults, what leaves them, and what moves between segments.
//!
//! Owns:        deposits, withdrawals, transfers, the limiter.        Reads: balances, risk, attestors, accounts.
//! Commands:    `AttestDeposit`, `RequestWithdrawal`, `CancelWithdrawal`, `RequestTransfer`, `CancelTransfer`, and the `System`
//!              work that releases, arrives and credits.   Events: `DepositAttested`, `WithdrawalReleased`, and kin.
//! Invariants:  F1 attested in − released out = vault, always. F2 an outside output is credited once, ever.
//!              F3 what waits is judged again when it acts. F4 nothing leaves faster than the limiter.
//! Not here:    who may ask (`gate`); how custodians sign payouts (treasury, later).

mod deposit;
pub mod limiter;
mod transfer;
mod withdraw;

use casemate_protocol::{Event, QuoteMicros, Reject, RejectCode};

pub(crate) use deposit::{
    Attesting, CREDITS_MAX, attest, credit_opening, credit_waiting, has_accepted_output, waiting_for,
};
pub(crate) use transfer::{
    arrive as arrive_transfer, cancel as cancel_transfer, release as release_transfer, request as request_transfer,
};
pub(crate) use withdraw::{
    cancel as cancel_withdrawal, may_release, release as release_withdrawal, request as request_withdrawal,
    request_bond,
};

use crate::market::Work;
use crate::risk::{self, FullCollateral};
use crate::segment::Segment;

/// Applies an event about money to the segment that it belongs to.
pub(crate) fn evolve(segment: &mut Segment, event: &Event) {
    deposit::evolve(segment, event);
    withdraw::evolve(segment, event);
    transfer::evolve(segment, event);
}

/// What any move out needs: an amount above zero, room among pending moves, free collateral, and a limiter that can
/// ever let it through.
fn require_leave(work: &Work<'_>, amount: QuoteMicros) -> Result<(), Reject> {
    if !amount.is_positive() {
        return Err(Reject::of(RejectCode::AmountNotPositive).quote(QuoteMicros::ZERO, amount));
    }
    let missing = Reject::of(RejectCode::InsufficientFreeCollateral).quote(amount, QuoteMicros::ZERO);
    let row = work.segment.sub_account(work.context.account).ok_or(missing)?;
    let pending_max = casemate_protocol::limits::PENDING_MOVES_MAX;
    if row.pending_count >= pending_max {
        return Err(Reject::of(RejectCode::PendingMovesMax)
            .required(u64::from(pending_max))
            .present(u64::from(row.pending_count)));
    }
    let free = risk::Risk::free_collateral(&FullCollateral, row, &work.segment.markets, None);
    if amount > free {
        return Err(Reject::of(RejectCode::InsufficientFreeCollateral).quote(amount, free));
    }
    let capacity = limiter::capacity_max(&work.segment.rules, work.segment.totals.vault());
    if amount > capacity {
        return Err(Reject::of(RejectCode::LimiterCapacityExceeded).quote(capacity, amount));
    }
    Ok(())
}
