//! `RegisterGrant` and `RevokeGrant`.

use casemate_protocol::command::RevokeGrant;
use casemate_protocol::event::GrantRegistered;
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::limits::{GRANT_DEPTH_MAX, GRANTS_LIVE_MAX};
use casemate_protocol::{AccountId, DurationMs, Event, GrantNumber, QuoteMicros, Reject, RejectCode, TimeMs};

use super::{Account, Accounts, Grant};

/// What a registration is judged by besides the account's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registering {
    /// Block time.
    pub(crate) now_ms: TimeMs,
    /// Longest life of a new grant, in the regime of the venue.
    pub(crate) lifetime_max: DurationMs,
    /// Some segment has no index to measure losses against.
    pub(crate) has_full_collateral: bool,
    /// What the parent has used in all segments.
    pub(crate) parent_used: GrantUsed,
}

/// What a grant has used of its budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GrantUsed {
    /// Notional, resting orders included.
    pub(crate) notional: QuoteMicros,
    /// Losses.
    pub(crate) lost: QuoteMicros,
}

/// Decides a registration. That the key is a proper point, and that a session names its own grant as parent, was checked
/// by the gate.
///
/// # Errors
/// The first check that fails, in the order below.
pub(crate) fn register_grant(
    accounts: &Accounts,
    account: AccountId,
    terms: &GrantTerms,
    facts: &Registering,
) -> Result<Event, Reject> {
    let row = require_account(accounts, account)?;
    let now_ms = facts.now_ms;
    if terms.number != row.next_grant {
        return Err(Reject::of(RejectCode::GrantNumberNotNext)
            .required(u64::from(row.next_grant.number()))
            .present(u64::from(terms.number.number())));
    }
    if terms.register_before_ms <= now_ms {
        return Err(Reject::of(RejectCode::GrantRegistrationLate)
            .required(terms.register_before_ms.ms())
            .present(now_ms.ms()));
    }
    let (lifetime, longest) = (terms.expires_ms.since(now_ms).ms(), facts.lifetime_max.ms());
    if lifetime == 0 || lifetime > longest {
        return Err(Reject::of(RejectCode::GrantLifetimeNotAllowed).required(longest).present(lifetime));
    }
    require_limits(terms)?;
    if !terms.actions.is_subset_of(ActionSet::SESSION) {
        return Err(Reject::of(RejectCode::GrantActionsNotAllowed));
    }
    require_budgets(terms, facts.has_full_collateral)?;
    if !terms.parent.is_none() {
        require_within_parent(row, terms, facts)?;
    }
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

/// A list that is empty is a limit that somebody forgot: it is refused rather than read as nothing or as all.
fn require_limits(terms: &GrantTerms) -> Result<(), Reject> {
    if terms.actions == ActionSet::EMPTY {
        return Err(Reject::of(RejectCode::GrantActionsMissing));
    }
    if matches!(&terms.markets, MarketScope::Only(markets) if markets.is_empty()) {
        return Err(Reject::of(RejectCode::GrantMarketsMissing));
    }
    Ok(())
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

/// INVARIANT(A4): a child is narrower than its parent in every respect, and the parent has what it asks for.
fn require_within_parent(row: &Account, terms: &GrantTerms, facts: &Registering) -> Result<(), Reject> {
    let number = terms.parent;
    let parent = row
        .grant(number)
        .filter(|parent| parent.is_live(facts.now_ms))
        .ok_or_else(|| Reject::of(RejectCode::GrantParentEnded).present(u64::from(number.number())))?;
    // Ancestors of a live grant are live, so they are all in the row.
    let above = core::iter::successors(Some(parent), |grant| row.grant(grant.parent()));
    if above.take(GRANT_DEPTH_MAX).count() >= GRANT_DEPTH_MAX {
        let most = u64::try_from(GRANT_DEPTH_MAX).unwrap_or(u64::MAX);
        return Err(Reject::of(RejectCode::ChildTooDeep).required(most).present(most.saturating_add(1)));
    }
    let is_wider = |&action: &u8| !parent.actions().has_number(action);
    if let Some(action) = terms.actions.numbers().find(is_wider) {
        return Err(Reject::of(RejectCode::ChildActionsWider).present(u64::from(action)));
    }
    if !terms.markets.is_within(parent.markets()) {
        return Err(Reject::of(RejectCode::ChildMarketsWider));
    }
    if terms.expires_ms > parent.expires_ms() {
        return Err(Reject::of(RejectCode::ChildEndsLater)
            .required(parent.expires_ms().ms())
            .present(terms.expires_ms.ms()));
    }
    let rate_left = parent.rate_left(facts.now_ms);
    if terms.commands_per_minute_max > rate_left {
        return Err(Reject::of(RejectCode::ChildRateWider)
            .required(u64::from(rate_left))
            .present(u64::from(terms.commands_per_minute_max)));
    }
    require_carvable(parent, terms, facts)
}

/// What the parent has neither used nor given away covers the child's budgets.
fn require_carvable(parent: &Grant, terms: &GrantTerms, facts: &Registering) -> Result<(), Reject> {
    let (notional, loss) = (terms.notional_quote_micros_max, terms.loss_quote_micros_max);
    let notional_left = parent.notional_max().saturating_sub(facts.parent_used.notional);
    if notional > notional_left {
        return Err(Reject::of(RejectCode::ChildNotionalWider).quote(notional_left.max(QuoteMicros::ZERO), notional));
    }
    let unused = parent.loss_max().saturating_sub(facts.parent_used.lost);
    // Where collateral is full, what the parent keeps must go on covering all of the notional that it keeps.
    let beyond_notional = parent.loss_max().saturating_sub(parent.notional_max().saturating_sub(notional));
    let loss_left = if facts.has_full_collateral { unused.min(beyond_notional) } else { unused };
    if loss > loss_left {
        return Err(Reject::of(RejectCode::ChildLossWider).quote(loss_left.max(QuoteMicros::ZERO), loss));
    }
    Ok(())
}

/// Decides a revocation: the grants that end, the one named first and then its descendants.
///
/// # Errors
/// `GrantNotFound`.
pub(crate) fn revoke_grant(
    accounts: &Accounts,
    account: AccountId,
    command: &RevokeGrant,
    now_ms: TimeMs,
) -> Result<Vec<GrantNumber>, Reject> {
    let row = require_account(accounts, account)?;
    let is_live = row.grant(command.number).is_some_and(|grant| grant.is_live(now_ms));
    if !is_live {
        return Err(Reject::of(RejectCode::GrantNotFound).present(u64::from(command.number.number())));
    }
    // Grants stand in the order of their registration, so a parent comes before its children.
    let mut ended = vec![command.number];
    for grant in row.grants.iter().filter(|grant| grant.is_live(now_ms)) {
        if ended.contains(&grant.parent()) {
            ended.push(grant.number());
        }
    }
    Ok(ended)
}

fn require_account(accounts: &Accounts, account: AccountId) -> Result<&Account, Reject> {
    accounts.account(account).ok_or_else(|| Reject::of(RejectCode::AccountNotFound).present(account.number()))
}
