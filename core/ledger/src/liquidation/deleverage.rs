//! Deleveraging: who is in profit on the other side closes against a bankrupt position, the most leveraged first.

use core::ops::ControlFlow;

use casemate_protocol::AccountId;
use casemate_protocol::event::PassCause;
use casemate_protocol::limits::MATCH_STEPS_MAX;

use super::draining::{Candidate, Cut, drain, is_settled_above};
use super::losses::pass;
use super::risk_queue::walk_most_levered;
use super::step::Closing;
use crate::market::Work;
use crate::risk::{Held, Risk};
use crate::segment::{Segment, SubAccount};

/// Who of the other side closes how much, as far as their profit pays for it. The cost to a candidate is limited to its
/// profit in this market, and no cut leaves it with a worse ratio of equity to maintenance margin (DESIGN §6).
pub(super) fn cuts_against(work: &Work<'_>, closing: &Closing) -> Vec<Cut> {
    let risk = Risk::new(work.segment.markets(), work.block().waiting_ms);
    let candidates = candidates(work.segment, &risk, closing);
    let mut cuts: Vec<Cut> = Vec::new();
    drain(&candidates, closing.lots(), &mut cuts);
    cuts.retain(|cut| cut.lots > 0);
    cuts.truncate(usize::try_from(MATCH_STEPS_MAX).unwrap_or(usize::MAX));
    cuts
}

/// Lets lots pass to those who are cut, at the bankruptcy price.
pub(super) fn pass_cuts(work: &mut Work<'_>, closing: &Closing, cuts: &[Cut]) {
    let mut passed = 0u64;
    for cut in cuts {
        // Differences of a running total: together exactly what all of them change hands for.
        let before = closing.bankruptcy_of(passed);
        passed = passed.saturating_add(cut.lots);
        let notional = closing.bankruptcy_of(passed).saturating_sub(before);
        pass(work, closing, AccountId::new(cut.account), cut.lots, notional, PassCause::Deleveraging);
    }
}

/// Those who may be cut, without those of whom it is known that they are not levered enough (INVARIANT(D4)).
fn candidates(segment: &Segment, risk: &Risk<'_>, closing: &Closing) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let (mut possible, mut checked) = (0u64, 0usize);
    let is_walked =
        walk_most_levered(segment, closing.market, closing.position.lots() < 0, |accounts, leverage_left| {
            for account in accounts {
                let row = segment.sub_account(AccountId::new(*account));
                let Some(candidate) = row.and_then(|row| candidate(segment, risk, closing, *account, row)) else {
                    continue;
                };
                possible = possible.saturating_add(candidate.lots.min(candidate.lots_max));
                found.push(candidate);
            }
            // A quarter more each time, so that all checks together cost as much as a few.
            let is_due = possible > closing.lots() && found.len() > checked.saturating_add(checked / 4);
            let Some(leverage_left) = leverage_left.filter(|_| is_due) else { return ControlFlow::Continue(()) };
            keep_one_each(&mut found);
            checked = found.len();
            let is_settled = is_settled_above(leverage_left, &found, closing.lots());
            if is_settled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    if !is_walked {
        return scanned(segment, risk, closing);
    }
    keep_one_each(&mut found);
    found
}

/// Sorts candidates by account; the same one may have been met more than once.
fn keep_one_each(candidates: &mut Vec<Candidate>) {
    candidates.sort_unstable_by_key(|candidate| candidate.account);
    candidates.dedup_by_key(|candidate| candidate.account);
}

/// All who may be cut, by a look at every row.
fn scanned(segment: &Segment, risk: &Risk<'_>, closing: &Closing) -> Vec<Candidate> {
    let rows = segment.sub_accounts.iter();
    rows.filter_map(|(account, row)| candidate(segment, risk, closing, account, row)).collect()
}

fn candidate(
    segment: &Segment,
    risk: &Risk<'_>,
    closing: &Closing,
    account: u64,
    row: &SubAccount,
) -> Option<Candidate> {
    let position = row.positions().iter().find(|position| position.market == closing.market)?;
    let is_other_side = position.lots() != 0 && (position.lots() > 0) != (closing.position.lots() > 0);
    if !is_other_side {
        return None;
    }
    let market = segment.market(closing.market)?;
    let margin = market.margin()?;
    // What is cheap comes first: most are out by their profit.
    let (_, profit) = risk.value_and_profit(position, market, margin);
    if profit <= 0 {
        return None;
    }
    // What the bankruptcy price costs beyond the mark, for all lots that are being closed.
    let cost = i128::from(closing.bankruptcy.micros()).saturating_sub(i128::from(closing.held.value.saturating_abs()));
    let cost = if closing.position.lots() > 0 { cost } else { cost.saturating_neg() }.max(0);
    let wanted = i128::from(closing.lots());
    let lots = position.lots().unsigned_abs();
    let paid_for = i128::from(profit).saturating_mul(wanted).checked_div(cost).unwrap_or(i128::from(lots));
    let lots_max = u64::try_from(paid_for).unwrap_or(u64::MAX).min(lots);
    if lots_max == 0 {
        return None;
    }
    let (health, gross_notional) = risk.health_and_size(row);
    let is_able = health.is_safe() && health.equity > 0;
    let held = risk.held(position, market, margin);
    if !is_able || worsens_ratio(&held, health.equity, health.maintenance, cost, wanted, lots) {
        return None;
    }
    Some(Candidate { account, lots, notional: held.notional, gross_notional, equity: health.equity, lots_max })
}

/// Whether a lot closed costs a larger part of the account's equity than of its maintenance margin.
fn worsens_ratio(held: &Held, equity: i64, maintenance: i64, cost: i128, wanted: i128, lots: u64) -> bool {
    // cost/wanted of equity against held.maintenance/lots of maintenance, multiplied out in two steps that fit.
    let cost_of_all = cost.saturating_mul(i128::from(lots)).checked_div(wanted.max(1)).unwrap_or(i128::MAX);
    cost_of_all.saturating_mul(maintenance.into()) > i128::from(held.maintenance).saturating_mul(equity.into())
}

#[cfg(test)]
mod tests;
