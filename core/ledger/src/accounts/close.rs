//! `CloseAccount`.

use casemate_protocol::event::AccountClosed;
use casemate_protocol::{AccountId, Reject, RejectCode, TimeMs};

use super::Accounts;
use crate::segment::{Segment, Transfer};

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
    let row =
        accounts.account(account).ok_or_else(|| Reject::of(RejectCode::AccountNotFound).present(account.number()))?;
    let has_rows = segments.iter().any(|segment| segment.sub_account(account).is_some_and(|row| !row.is_empty()));
    let has_grants = row.grants.iter().any(|grant| grant.is_live(now_ms));
    // What left one segment and has not arrived in another would arrive in an account that can do nothing with it.
    let is_awaiting = segments.iter().any(|segment| in_flight_to(segments, segment).any(|row| row.account == account));
    if has_rows || has_grants || is_awaiting {
        return Err(Reject::of(RejectCode::AccountNotEmpty));
    }
    Ok(AccountClosed { account, segment: row.bond_segment, bond: row.bond })
}

/// Transfers that left for a segment and have not arrived there.
fn in_flight_to<'a>(segments: &'a [Segment], target: &'a Segment) -> impl Iterator<Item = &'a Transfer> {
    let to = target.id().number();
    segments.iter().flat_map(move |source| {
        let arrived = target.last_arrived.get(&source.id().number()).copied().unwrap_or(0);
        let waiting = source.left.range((to, arrived.saturating_add(1))..=(to, u64::MAX));
        waiting.filter_map(|(_, number)| source.transfers.get(number))
    })
}
