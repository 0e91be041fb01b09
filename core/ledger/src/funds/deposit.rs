//! Deposits: claims about the outside, believed when enough operators say the same.
//!
//! A claim's key covers every field, so a false statement about an output cannot stand in the way of the true one; the
//! output itself is accepted once, ever.

use casemate_protocol::command::{Beneficiary, DepositClaim};
use casemate_protocol::event::{DepositAccepted, DepositAttested, DepositCredited};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::{BALANCE_MICROS_MAX, RECORD_EVENTS_MAX};
use casemate_protocol::{AccountId, Digest, Event, OperatorId, PublicKey, QuoteMicros, Reject, RejectCode};

use crate::market::Work;
use crate::segment::{Deposit, DepositState, Segment, TotalField, output_key};

/// What an attestation is judged by besides its segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attesting {
    /// The operator that makes the statement.
    pub(crate) operator: OperatorId,
    /// Operators that must agree.
    pub(crate) quorum: u16,
    /// The open account that the beneficiary is by now, if there is one.
    pub(crate) owner: Option<AccountId>,
    /// Whether another segment accepted a claim on the same outside output.
    pub(crate) is_output_taken: bool,
}

/// Whether a segment accepted a claim on the output that this one is about.
pub(crate) fn has_accepted_output(segment: &Segment, claim: &DepositClaim) -> bool {
    segment.accepted_outputs.contains(&output_key(claim))
}

/// Counts an operator's statement, and accepts the deposit when it completes the quorum.
///
/// # Errors
/// `AmountNotPositive`, `AssetNotOfSegment`, `DepositAlreadyAttested`, `DepositAlreadyCredited`,
/// `OutputAlreadyCredited`, `InboundCapExceeded`, `BalanceTooLarge`.
pub(crate) fn attest(work: &mut Work<'_>, claim: &DepositClaim, attesting: &Attesting) -> Result<(), Reject> {
    let Attesting { operator, quorum, owner, is_output_taken } = *attesting;
    if !claim.amount.is_positive() {
        return Err(Reject::of(RejectCode::AmountNotPositive).quote(QuoteMicros::ZERO, claim.amount));
    }
    if claim.asset != work.segment.rules.asset {
        return Err(Reject::of(RejectCode::AssetNotOfSegment).present(u64::from(claim.asset.number())));
    }
    let claim_key = hash::digest_of(Domain::DepositClaim, claim);
    let known = find(work.segment, &claim_key);
    if let Some(deposit) = known {
        if deposit.state != DepositState::Attesting {
            return Err(Reject::of(RejectCode::DepositAlreadyCredited));
        }
        if deposit.operators.contains(&operator) {
            return Err(Reject::of(RejectCode::DepositAlreadyAttested).present(u64::from(operator.number())));
        }
    }
    // INVARIANT(F2): once, whatever segment the claim names.
    if is_output_taken || has_accepted_output(work.segment, claim) {
        return Err(Reject::of(RejectCode::OutputAlreadyCredited));
    }
    let statements = known.map_or(0, |deposit| deposit.operators.len()).saturating_add(1);
    let is_accepted = statements >= usize::from(quorum);
    if is_accepted {
        require_acceptable(work.segment, claim, owner)?;
    }
    work.emit(Event::DepositAttested(Box::new(DepositAttested { claim_key, operator, claim: claim.clone() })));
    if is_accepted {
        let segment = work.segment.id();
        work.emit(Event::DepositAccepted(DepositAccepted { segment, claim_key, amount: claim.amount }));
        if let Some(account) = owner {
            credit(work, claim_key, account, claim.amount, QuoteMicros::ZERO);
        }
    }
    Ok(())
}

/// Credits the deposit that opens an account: the first of at least `least`. It pays the bond.
pub(crate) fn credit_opening(
    work: &mut Work<'_>,
    account: AccountId,
    root_key: PublicKey,
    least: QuoteMicros,
    bond: QuoteMicros,
) {
    let opening = waiting_for(work.segment, root_key).find(|(_, amount)| *amount >= least);
    if let Some((claim_key, amount)) = opening {
        credit(work, claim_key, account, amount.saturating_sub(bond), bond);
    }
}

/// Credits deposits of this segment that wait for a root key, as many as fit one record.
pub(crate) fn credit_waiting(work: &mut Work<'_>, account: AccountId, root_key: PublicKey) {
    let waiting: Vec<(Digest, QuoteMicros)> = waiting_for(work.segment, root_key).take(CREDITS_MAX).collect();
    for (claim_key, amount) in waiting {
        credit(work, claim_key, account, amount, QuoteMicros::ZERO);
    }
}

/// Deposits that one piece of work credits at most. Anyone can send dust to a root key, and each deposit is an event.
pub(crate) const CREDITS_MAX: usize = RECORD_EVENTS_MAX / 4;

/// Deposits of a segment that wait for a root key: claim keys and amounts, in the order of their claims.
pub(crate) fn waiting_for(segment: &Segment, root_key: PublicKey) -> impl Iterator<Item = (Digest, QuoteMicros)> {
    segment
        .unclaimed
        .range((root_key, 0)..=(root_key, u32::MAX))
        .filter_map(|&(_, place)| segment.deposits.get(usize::try_from(place).ok()?))
        .map(|deposit| (deposit.claim_key, deposit.claim.amount))
}

fn credit(work: &mut Work<'_>, claim_key: Digest, account: AccountId, amount: QuoteMicros, bond: QuoteMicros) {
    let segment = work.segment.id();
    work.emit(Event::DepositCredited(DepositCredited { segment, claim_key, account, amount, bond }));
}

fn require_acceptable(segment: &Segment, claim: &DepositClaim, owner: Option<AccountId>) -> Result<(), Reject> {
    let left = segment.limiter.inbound_left(&segment.rules);
    if claim.amount > left {
        return Err(Reject::of(RejectCode::InboundCapExceeded).quote(left, claim.amount));
    }
    let waiting = match claim.beneficiary {
        Beneficiary::RootKey(key) => {
            waiting_for(segment, key).fold(QuoteMicros::ZERO, |sum, (_, amount)| sum.saturating_add(amount))
        }
        Beneficiary::Account(_) => QuoteMicros::ZERO,
    };
    let cash = owner.and_then(|account| segment.sub_account(account)).map_or(waiting, |row| row.cash());
    let balance = cash.saturating_add(claim.amount);
    if balance.micros() > BALANCE_MICROS_MAX {
        let limit = QuoteMicros::from_micros(BALANCE_MICROS_MAX);
        return Err(Reject::of(RejectCode::BalanceTooLarge).quote(limit, balance));
    }
    Ok(())
}

fn find<'a>(segment: &'a Segment, claim_key: &Digest) -> Option<&'a Deposit> {
    segment.deposits.get(place_of(segment, claim_key)?)
}

fn place_of(segment: &Segment, claim_key: &Digest) -> Option<usize> {
    usize::try_from(*segment.deposit_index.get(claim_key)?).ok()
}

pub(super) fn evolve(segment: &mut Segment, event: &Event) {
    match event {
        Event::DepositAttested(attested) => match place_of(segment, &attested.claim_key) {
            Some(place) => segment.change_deposit(place, |deposit| deposit.operators.push(attested.operator)),
            None => {
                segment.add_deposit(Deposit {
                    claim_key: attested.claim_key,
                    claim: attested.claim.clone(),
                    operators: vec![attested.operator],
                    state: DepositState::Attesting,
                });
            }
        },
        Event::DepositAccepted(accepted) => {
            if let Some(place) = place_of(segment, &accepted.claim_key) {
                segment.change_deposit(place, |deposit| deposit.state = DepositState::Unclaimed);
            }
            let amount = i128::from(accepted.amount.micros());
            segment.add_total(TotalField::AttestedIn, amount);
            segment.add_total(TotalField::Unclaimed, amount);
            let rules = segment.rules.clone();
            segment.change_limiter(|limiter| limiter.charge_in(&rules, accepted.amount));
        }
        Event::DepositCredited(credited) => {
            if let Some(place) = place_of(segment, &credited.claim_key) {
                segment.change_deposit(place, |deposit| deposit.state = DepositState::Credited);
            }
            let whole = credited.amount.saturating_add(credited.bond);
            segment.add_total(TotalField::Unclaimed, i128::from(whole.micros()).saturating_neg());
            segment.add_total(TotalField::Bonds, i128::from(credited.bond.micros()));
            segment.add_deposited(credited.account, credited.amount);
        }
        _ => {}
    }
}
