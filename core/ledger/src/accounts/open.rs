//! `OpenAccount`.

use casemate_protocol::event::AccountOpened;
use casemate_protocol::genesis::AccountRules;
use casemate_protocol::limits::ACCOUNTS_MAX;
use casemate_protocol::{AccountId, Event, PublicKey, Reject, RejectCode, SegmentId};

use super::Accounts;
use crate::funds;
use crate::segment::Segment;

/// The segment whose waiting deposit opens an account for a root key: the first with one of at least the minimum.
///
/// # Errors
/// `RootKeyTaken`, `NoUnclaimedDeposit`, `AccountsMax`.
pub fn opening_deposit(
    accounts: &Accounts,
    segments: &[Segment],
    rules: &AccountRules,
    root_key: PublicKey,
) -> Result<SegmentId, Reject> {
    // INVARIANT(A1)
    if let Some(account) = accounts.holder_of_root(&root_key) {
        return Err(Reject::of(RejectCode::RootKeyTaken).present(account.number()));
    }
    if accounts.last_account().number() >= ACCOUNTS_MAX {
        return Err(Reject::of(RejectCode::AccountsMax).required(ACCOUNTS_MAX));
    }
    let has_enough = |segment: &&Segment| {
        funds::waiting_for(segment, root_key).any(|(_, amount)| amount >= rules.opening_deposit_min)
    };
    segments.iter().find(has_enough).map(Segment::id).ok_or_else(|| {
        Reject::of(RejectCode::NoUnclaimedDeposit)
            .required(u64::try_from(rules.opening_deposit_min.micros()).unwrap_or(0))
    })
}

/// Decides the opening: the new account's number and the segment that will hold its bond.
///
/// # Errors
/// As [`opening_deposit`].
pub(crate) fn open(
    accounts: &Accounts,
    segments: &[Segment],
    rules: &AccountRules,
    root_key: PublicKey,
) -> Result<(AccountId, SegmentId, Event), Reject> {
    let segment = opening_deposit(accounts, segments, rules, root_key)?;
    let account = accounts.last_account().next();
    Ok((account, segment, Event::AccountOpened(AccountOpened { account, root_key, segment })))
}
