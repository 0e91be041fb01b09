//! Deleveraging: who is in profit on the other side closes against a bankrupt position, the most leveraged first.

use casemate_protocol::AccountId;
use casemate_protocol::event::PassCause;
use casemate_protocol::limits::MATCH_STEPS_MAX;

use super::draining::{Candidate, Cut, drain};
use super::step::{Closing, pass};
use crate::market::Work;
use crate::risk::{Held, Risk};
use crate::segment::{Segment, SubAccount};

/// Closes what the other side's profit can pay for, at the bankruptcy price. The cost to a candidate is limited to its profit
/// in this market, and no cut leaves it with a worse ratio of equity to maintenance margin (DESIGN §6). How many lots passed.
pub(super) fn deleverage(work: &mut Work<'_>, closing: &Closing) -> u64 {
    let risk = Risk::new(work.segment.markets(), work.block().waiting_ms);
    let candidates = candidates(work.segment, &risk, closing);
    let mut cuts: Vec<Cut> = Vec::new();
    drain(&candidates, closing.lots(), &mut cuts);
    let cuts_max = usize::try_from(MATCH_STEPS_MAX).unwrap_or(usize::MAX);
    let mut passed = 0u64;
    for cut in cuts.into_iter().filter(|cut| cut.lots > 0).take(cuts_max) {
        // Differences of a running total: together exactly what all of them change hands for.
        let before = closing.bankruptcy_of(passed);
        passed = passed.saturating_add(cut.lots);
        let notional = closing.bankruptcy_of(passed).saturating_sub(before);
        pass(work, closing, AccountId::new(cut.account), cut.lots, notional, PassCause::Deleveraging);
    }
    passed
}

fn candidates(segment: &Segment, risk: &Risk<'_>, closing: &Closing) -> Vec<Candidate> {
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
    let held = risk.held(position, market, market.margin()?);
    if held.profit <= 0 {
        return None;
    }
    let health = risk.health(row);
    if !health.is_safe() || health.equity <= 0 {
        return None;
    }
    // What the bankruptcy price costs beyond the mark, for all lots that are being closed.
    let cost = i128::from(closing.bankruptcy.micros()).saturating_sub(i128::from(closing.held.value.saturating_abs()));
    let cost = if closing.position.lots() > 0 { cost } else { cost.saturating_neg() }.max(0);
    let wanted = i128::from(closing.lots());
    let lots = position.lots().unsigned_abs();
    let paid_for = i128::from(held.profit).saturating_mul(wanted).checked_div(cost).unwrap_or(i128::from(lots));
    let lots_max = u64::try_from(paid_for).unwrap_or(u64::MAX).min(lots);
    if lots_max == 0 || worsens_ratio(&held, health.equity, health.maintenance, cost, wanted, lots) {
        return None;
    }
    let gross = row.positions().iter().fold(0i64, |sum, position| {
        let size = segment
            .market(position.market)
            .and_then(|market| Some(risk.held(position, market, market.margin()?).notional));
        sum.saturating_add(size.unwrap_or(0))
    });
    Some(Candidate { account, lots, notional: held.notional, gross_notional: gross, equity: health.equity, lots_max })
}

/// Whether a lot closed costs a larger part of the account's equity than of its maintenance margin.
fn worsens_ratio(held: &Held, equity: i64, maintenance: i64, cost: i128, wanted: i128, lots: u64) -> bool {
    // cost/wanted of equity against held.maintenance/lots of maintenance, multiplied out in two steps that fit.
    let cost_of_all = cost.saturating_mul(i128::from(lots)).checked_div(wanted.max(1)).unwrap_or(i128::MAX);
    cost_of_all.saturating_mul(maintenance.into()) > i128::from(held.maintenance).saturating_mul(equity.into())
}
