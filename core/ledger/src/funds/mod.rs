//! Funds: what comes into vaults, what leaves them, and what moves between segments.
//!
//! Owns:        deposits, withdrawals, transfers, the limiter.        Reads: balances, risk, attestors, accounts.
//! Commands:    `AttestDeposit`, `RequestWithdrawal`, `CancelWithdrawal`, `RequestTransfer`, `CancelTransfer`,
//!              `RequestPrincipalExit`, `AddEvidence`, and the `System`
//!              work that releases, holds back, gives back, arrives and credits.   Events: `DepositAttested`,
//!              `WithdrawalReleased`, `LeavingHeld`, and kin.
//! Invariants:  F1 attested in − released out = vault, always. F2 an outside output is credited once, ever.
//!              F3 what waits is judged again when it acts. F4 nothing leaves faster than the limiter.
//! Not here:    who may ask (`gate`); how custodians sign payouts (treasury, later).

mod deposit;
mod held;
pub mod limiter;
mod recall;
mod transfer;
mod withdraw;

use casemate_protocol::{Event, QuoteMicros, Reject, RejectCode};

pub(crate) use deposit::{
    Attesting, CREDITS_MAX, attest, credit_opening, credit_waiting, has_accepted_output, waiting_for,
};
pub use held::LeavingFacts;
pub(crate) use held::{add_evidence, give_back, hold_back};
pub(crate) use recall::{recall_all, recall_withdrawals};
pub(crate) use transfer::{
    arrive as arrive_transfer, cancel as cancel_transfer, release as release_transfer, request as request_transfer,
};
pub(crate) use withdraw::{
    cancel as cancel_withdrawal, exit_left, may_release, release as release_withdrawal, request as request_withdrawal,
    request_bond, request_exit, require_may_exit, require_may_leave, weight_now,
};

use crate::context::BlockContext;
use crate::market::Work;
use crate::risk::Risk;
use crate::segment::{Segment, SubAccount};

/// Applies an event about money to the segment that it belongs to.
pub(crate) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    deposit::evolve(segment, event);
    withdraw::evolve(segment, block, event);
    transfer::evolve(segment, block, event);
    held::evolve(segment, block, event);
}

/// After an amount has left, what counts must still be initial margin and a share of everything held (DESIGN §6).
fn require_enough_stays(
    segment: &Segment,
    risk: &Risk<'_>,
    row: &SubAccount,
    amount: QuoteMicros,
) -> Result<(), Reject> {
    let view = risk.initial(row, None);
    let Some(clearing) = segment.clearing() else {
        let free = view.free();
        if amount > free {
            return Err(Reject::of(RejectCode::InsufficientFreeCollateral).quote(amount, free));
        }
        return Ok(());
    };
    let must_stay = view.must_stay(clearing.rules.transfer_margin);
    let stays = QuoteMicros::from_micros(view.counted_equity).saturating_sub(amount);
    if stays < must_stay {
        return Err(Reject::of(RejectCode::TransferMarginShort).quote(must_stay, stays));
    }
    if amount > row.cash() {
        return Err(Reject::of(RejectCode::InsufficientFreeCollateral).quote(amount, row.cash()));
    }
    Ok(())
}

/// What any move out needs: an amount above zero, room among pending moves, free collateral, and a limiter that can
/// ever let it through.
fn require_leave(work: &Work<'_>, amount: QuoteMicros) -> Result<(), Reject> {
    let row = require_pending_room(work, amount)?;
    require_enough_stays(work.segment, &work.risk(), row, amount)?;
    let capacity = limiter::capacity_max(&work.segment.rules, work.segment.totals.vault());
    if amount > capacity {
        return Err(Reject::of(RejectCode::LimiterCapacityExceeded).quote(capacity, amount));
    }
    Ok(())
}

/// An amount above zero, and room among the account's pending moves.
fn require_pending_room<'a>(work: &'a Work<'_>, amount: QuoteMicros) -> Result<&'a SubAccount, Reject> {
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
    Ok(row)
}
