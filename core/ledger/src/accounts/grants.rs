//! `RegisterGrant` and `RevokeGrant`.

use casemate_protocol::command::RevokeGrant;
use casemate_protocol::event::{GrantRegistered, GrantRevoked};
use casemate_protocol::grant::{ActionSet, GrantTerms};
use casemate_protocol::limits::{GRANT_LIFETIME_MS_MAX, GRANTS_LIVE_MAX};
use casemate_protocol::{AccountId, Event, QuoteMicros, Reject, RejectCode, TimeMs};

use super::{Account, Accounts};

/// Decides a registration. That the key is a proper point was checked by the gate.
///
/// # Errors
/// The first check that fails, in the order below.
pub(crate) fn register_grant(
    accounts: &Accounts,
    account: AccountId,
    terms: &GrantTerms,
    now_ms: TimeMs,
    has_full_collateral: bool,
) -> Result<Event, Reject> {
    let row = require_account(accounts, account)?;
    if terms.number != row.next_grant {
        return Err(Reject::of(RejectCode::GrantNumberNotNext)
            .required(u64::from(row.next_grant.number()))
            .present(u64::from(terms.number.number())));
    }
    if !terms.parent.is_none() {
        return Err(Reject::of(RejectCode::ChildGrantNotSupported).present(u64::from(terms.parent.number())));
    }
    if terms.register_before_ms <= now_ms {
        return Err(Reject::of(RejectCode::GrantRegistrationLate)
            .required(terms.register_before_ms.ms())
            .present(now_ms.ms()));
    }
    let lifetime = terms.expires_ms.since(now_ms).ms();
    if lifetime == 0 || lifetime > GRANT_LIFETIME_MS_MAX {
        return Err(Reject::of(RejectCode::GrantLifetimeNotAllowed).required(GRANT_LIFETIME_MS_MAX).present(lifetime));
    }
    if !terms.actions.is_subset_of(ActionSet::TRADING) || terms.actions == ActionSet::EMPTY {
        return Err(Reject::of(RejectCode::GrantActionsNotAllowed));
    }
    require_budgets(terms, has_full_collateral)?;
    let live = row.grants.iter().filter(|grant| grant.is_live(now_ms)).count();
    if live >= GRANTS_LIVE_MAX {
        return Err(Reject::of(RejectCode::GrantsLiveMax)
            .required(u64::try_from(GRANTS_LIVE_MAX).unwrap_or(u64::MAX))
            .present(u64::try_from(live).unwrap_or(u64::MAX)));
    }
    // INVARIANT(A2)
    if accounts.is_session_key_known(&terms.session_key) || accounts.holder_of_root(&terms.session_key).is_some() {
        return Err(Reject::of(RejectCode::SessionKeyTaken));
    }
    Ok(Event::GrantRegistered(Box::new(GrantRegistered { account, terms: terms.clone(), registered_ms: now_ms })))
}

/// Where collateral is full there is no index to measure losses against, so the loss budget must cover all of the notional.
fn require_budgets(terms: &GrantTerms, has_full_collateral: bool) -> Result<(), Reject> {
    let (notional, loss) = (terms.notional_quote_micros_max, terms.loss_quote_micros_max);
    if notional <= QuoteMicros::ZERO || loss <= QuoteMicros::ZERO || terms.commands_per_minute_max == 0 {
        return Err(Reject::of(RejectCode::GrantBudgetMissing));
    }
    if has_full_collateral && loss < notional {
        return Err(Reject::of(RejectCode::GrantLossBudgetTooSmall).quote(notional, loss));
    }
    Ok(())
}

/// Decides a revocation.
///
/// # Errors
/// `GrantNotFound`.
pub(crate) fn revoke_grant(
    accounts: &Accounts,
    account: AccountId,
    command: &RevokeGrant,
    now_ms: TimeMs,
) -> Result<Event, Reject> {
    let row = require_account(accounts, account)?;
    let is_live = row.grants.iter().any(|grant| grant.number == command.number && grant.is_live(now_ms));
    if !is_live {
        return Err(Reject::of(RejectCode::GrantNotFound).present(u64::from(command.number.number())));
    }
    Ok(Event::GrantRevoked(GrantRevoked { account, number: command.number }))
}

fn require_account(accounts: &Accounts, account: AccountId) -> Result<&Account, Reject> {
    accounts.account(account).ok_or_else(|| Reject::of(RejectCode::AccountNotFound).present(account.number()))
}
