//! Those who hold an office: attestors who state deposits, officers who reopen the segment, and the backstop.

use casemate_ledger::breaker::Breaker;
use casemate_protocol::command::{Approve, Beneficiary, Change, DepositClaim, LeaveBreaker, OutsideReference, Propose};
use casemate_protocol::limits::ENVELOPE_COMMANDS_MAX;
use casemate_protocol::{AccountId, BreakerState, Command, DurationMs, ProposalNumber, QuoteMicros};

use super::cast::Actor;
use super::makers::CAPITAL_QUOTE_MICROS;
use super::scene::{Letter, PPM, Scene, Wishes};
use super::venue::{ASSET, ATTESTOR_QUORUM, MAKERS};

/// The backstop works off what it took over every so many seconds,
pub const BACKSTOP_SECONDS: u64 = 5;
/// a part of it at a time,
pub const BACKSTOP_PARTS: u64 = 20;
/// no less than so much, micro-quote,
pub const BACKSTOP_SLICE_QUOTE_MICROS_MIN: u64 = 500 * PPM;
/// at no worse a price than this away from the one seen, ppm.
pub const BACKSTOP_SLIPPAGE_PPM: u64 = 5_000;
/// How long a proposal of officers stands.
const PROPOSAL_LIFE_MS: u64 = 60 * 60 * 1_000;

/// In the first second makers and backstop pay in their capital.
pub fn open_accounts(scene: &Scene<'_>, wishes: &mut Wishes) {
    if scene.step == 0 {
        let makers = (0..MAKERS).map(|index| (scene.account(Actor::Maker(index)), CAPITAL_QUOTE_MICROS));
        wishes.deposits.extend(makers);
        let backstop = Actor::Backstop(scene.venue.place.backstop);
        wishes.deposits.push((scene.account(backstop), scene.venue.backstop_quote_micros));
    }
}

/// Attestors state the deposits of a second: each of them sees every one.
pub fn attest(scene: &Scene<'_>, deposits: &[(AccountId, u64)]) -> Vec<Letter> {
    let claims: Vec<Command> = deposits.iter().map(|(account, micros)| claim(scene, *account, *micros)).collect();
    let letters = (0..ATTESTOR_QUORUM).flat_map(|index| {
        let from = Actor::Attestor(index);
        claims.chunks(ENVELOPE_COMMANDS_MAX).map(move |commands| Letter { from, commands: commands.to_vec() })
    });
    letters.collect()
}

/// Step and account name the transaction, and the market its output: nobody pays in twice in a second for one market.
fn claim(scene: &Scene<'_>, account: AccountId, micros: u64) -> Command {
    let transaction = [scene.step.to_le_bytes(), account.number().to_le_bytes()].concat();
    Command::AttestDeposit(Box::new(DepositClaim {
        chain: 1,
        transaction: OutsideReference::new(transaction).unwrap_or_default(),
        output: u32::from(scene.venue.place.market.number()) - 1,
        asset: ASSET,
        amount: QuoteMicros::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)),
        segment: scene.venue.place.segment,
        beneficiary: Beneficiary::Account(account),
    }))
}

/// Officers propose to reopen once all clear tests hold, and approve what is proposed; after a halt, governors do.
pub fn reopen(scene: &Scene<'_>, wishes: &mut Wishes) {
    let state = scene.breaker();
    if state < BreakerState::ReduceOnly {
        return;
    }
    let Some(clearing) = scene.segment().and_then(|segment| segment.clearing()) else { return };
    let officer: fn(u64) -> Actor = match state {
        BreakerState::Halted => Actor::Governor,
        _ => Actor::RiskOfficer,
    };
    let leave = Change::LeaveBreaker(LeaveBreaker { from: state, to: BreakerState::Normal });
    let is_standing = |expires_ms| expires_ms > scene.now;
    let open = clearing.proposals().iter().find(|(_, row)| row.change == leave && is_standing(row.expires_ms));
    let letter = match open {
        None if are_tests_clear(&clearing.facts().breaker) => {
            let expires_ms = scene.now.plus(DurationMs::from_ms(PROPOSAL_LIFE_MS));
            let propose = Propose { segment: scene.venue.place.segment, change: leave, expires_ms };
            Some(Letter { from: officer(0), commands: vec![Command::Propose(Box::new(propose))] })
        }
        Some((number, row)) if row.due_waiting_ms.is_zero() => {
            let approve = Approve { segment: scene.venue.place.segment, number: ProposalNumber::new(*number) };
            Some(Letter { from: officer(1), commands: vec![Command::Approve(approve)] })
        }
        None | Some(_) => None,
    };
    wishes.letters.extend(letter);
}

/// The change itself waits for the tests to have held long enough, and for the cool-down.
const fn are_tests_clear(breaker: &Breaker) -> bool {
    breaker.clear_since_ms.is_some()
}

/// The backstop sells what it took over, a part at a time.
pub fn work_off(scene: &Scene<'_>, wishes: &mut Wishes) {
    let backstop = Actor::Backstop(scene.venue.place.backstop);
    let lots = scene.lots(scene.account(backstop));
    let Some(price_micros) = scene.past.now_micros() else { return };
    if lots == 0 || !scene.step.is_multiple_of(BACKSTOP_SECONDS) || scene.breaker() == BreakerState::Halted {
        return;
    }
    let lot_micros = scene.lot_micros(scene.ticks(price_micros));
    let part = (lots.unsigned_abs() / BACKSTOP_PARTS).max(BACKSTOP_SLICE_QUOTE_MICROS_MIN / lot_micros).max(1);
    let order = scene.close(lots, part, BACKSTOP_SLIPPAGE_PPM);
    wishes.letters.extend(order.map(|order| Letter { from: backstop, commands: vec![order] }));
}
