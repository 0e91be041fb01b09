//! `CloseAccount`.

use casemate_protocol::event::AccountClosed;
use casemate_protocol::{AccountId, Reject, RejectCode, TimeMs};

use super::Accounts;
use crate::segment::Segment;

/// Decides the closing: nothing may be left in any segment, and no grant may live.
///
/// # Errors
/// `AccountNotFound`, `AccountNotEmpty`.
pub(crate) fn close(
    accounts: &Accounts,
    segments: &[Segment],
    account: AccountId,
    now_ms: TimeMs,
) -> Result<AccountClosed, Reject> {
    let row = accounts
        .account(account)
        .ok_or_else(|| Reject::of(RejectCode::AccountNotFound).present(account.number()))?;
    let has_rows = segments.iter().any(|segment| segment.sub_account(account).is_some_and(|row| !row.is_empty()));
    let has_grants = row.grants.iter().any(|grant| grant.is_live(now_ms));
    if has_rows || has_grants {
        return Err(Reject::of(RejectCode::AccountNotEmpty));
    }
    Ok(AccountClosed { account, segment: row.bond_segment, bond: row.bond })
}

