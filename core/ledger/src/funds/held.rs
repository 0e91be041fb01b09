//! What is due to leave and lacks evidence is held back: cured by more of it, by a policy or a market that asks for less, by
//! taking it back, or by time, which returns it.

use casemate_protocol::command::{AddEvidence, HeldBack, Waiting};
use casemate_protocol::event::{EvidenceAdded, LeavingHeld, TransferEnded, WithdrawalEnded};
use casemate_protocol::limits::{HELD_AGAIN_MS, HELD_MS_MAX};
use casemate_protocol::policy::Tier;
use casemate_protocol::{AccountId, DurationMs, Event, Reject, RejectCode};

use crate::context::BlockContext;
use crate::market::Work;
use crate::segment::{Held, Segment, Transfer, TransferState, Withdrawal, WithdrawalState};

/// What a policy looks at in something that waits to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeavingFacts {
    /// Whose it is.
    pub account: AccountId,
    /// The evidence that it came with, or was given since.
    pub tier: Tier,
    /// What holds it back.
    pub held: Option<Held>,
}

impl LeavingFacts {
    /// Those of something that waits; none if it left or was taken back, or goes the slow way, which no policy holds up.
    #[must_use]
    pub fn of(segment: &Segment, waiting: Waiting) -> Option<Self> {
        match waiting {
            Waiting::Withdrawal(number) => {
                let row = segment.withdrawals.get(&number.number())?;
                let is_judged = row.state == WithdrawalState::Pending && !row.is_principal_exit;
                is_judged.then_some(Self { account: row.account, tier: row.tier, held: row.held })
            }
            Waiting::Transfer(number) => {
                let row = segment.transfers.get(&number.number())?;
                let is_judged = row.state == TransferState::Pending;
                is_judged.then_some(Self { account: row.account, tier: row.tier, held: row.held })
            }
        }
    }

    /// Whether it has been held back for so long that it goes back to the balance.
    #[must_use]
    pub fn is_over(&self, block: &BlockContext) -> bool {
        self.held.is_some_and(|held| block.waiting_ms >= held.since_ms.saturating_add(DurationMs::from_ms(HELD_MS_MAX)))
    }
}

/// `System`: holds back what is due and lacks evidence.
///
/// # Errors
/// `WithdrawalNotFound`, `TransferNotFound`.
pub(crate) fn hold_back(work: &mut Work<'_>, held: &HeldBack) -> Result<(), Reject> {
    LeavingFacts::of(work.segment, held.waiting).ok_or_else(|| missing(held.waiting))?;
    let again_ms = work.block().waiting_ms.saturating_add(DurationMs::from_ms(HELD_AGAIN_MS));
    let HeldBack { segment, waiting, required } = *held;
    work.emit(Event::LeavingHeld(LeavingHeld { segment, waiting, required, again_ms }));
    Ok(())
}

/// `System`: what was held back for too long goes back to the balance.
///
/// # Errors
/// `WithdrawalNotFound`, `TransferNotFound`.
pub(crate) fn give_back(work: &mut Work<'_>, waiting: Waiting) -> Result<(), Reject> {
    LeavingFacts::of(work.segment, waiting).ok_or_else(|| missing(waiting))?;
    let segment = work.segment.id();
    work.emit(match waiting {
        Waiting::Withdrawal(number) => Event::WithdrawalCancelled(WithdrawalEnded { segment, number }),
        Waiting::Transfer(number) => Event::TransferCancelled(TransferEnded { from: segment, number }),
    });
    Ok(())
}

/// Gives something that waits the evidence of this command. What was held back is judged again at once.
///
/// # Errors
/// `WithdrawalNotFound`, `TransferNotFound`, `EvidenceNotMore`.
pub(crate) fn add_evidence(work: &mut Work<'_>, command: &AddEvidence) -> Result<(), Reject> {
    let facts = LeavingFacts::of(work.segment, command.waiting)
        .filter(|facts| facts.account == work.context.account)
        .ok_or_else(|| missing(command.waiting))?;
    let tier = work.context.tier;
    if tier <= facts.tier {
        return Err(Reject::of(RejectCode::EvidenceNotMore)
            .required(u64::from(facts.tier.number()))
            .present(u64::from(tier.number())));
    }
    work.emit(Event::EvidenceAdded(EvidenceAdded { segment: command.segment, waiting: command.waiting, tier }));
    Ok(())
}

fn missing(waiting: Waiting) -> Reject {
    match waiting {
        Waiting::Withdrawal(number) => Reject::of(RejectCode::WithdrawalNotFound).present(number.number()),
        Waiting::Transfer(number) => Reject::of(RejectCode::TransferNotFound).present(number.number()),
    }
}

pub(super) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    match event {
        Event::LeavingHeld(held) => change(segment, held.waiting, |before, tier| {
            let since_ms = before.map_or(block.waiting_ms, |before| before.since_ms);
            (tier, Some(Held { required: held.required, since_ms, again_ms: held.again_ms }))
        }),
        // Its delay was over when it was held back, so it is due now.
        Event::EvidenceAdded(added) => change(segment, added.waiting, |before, _| {
            (added.tier, before.map(|before| Held { again_ms: block.waiting_ms, ..before }))
        }),
        _ => {}
    }
}

/// Changes evidence and hold of something that waits.
fn change(segment: &mut Segment, waiting: Waiting, to: impl FnOnce(Option<Held>, Tier) -> (Tier, Option<Held>)) {
    match waiting {
        Waiting::Withdrawal(number) => {
            let Some(row) = segment.withdrawals.get(&number.number()).cloned() else { return };
            let (tier, held) = to(row.held, row.tier);
            segment.put_withdrawal(number.number(), Withdrawal { tier, held, ..row });
        }
        Waiting::Transfer(number) => {
            let Some(row) = segment.transfers.get(&number.number()).copied() else { return };
            let (tier, held) = to(row.held, row.tier);
            segment.put_transfer(number.number(), Transfer { tier, held, ..row });
        }
    }
}
