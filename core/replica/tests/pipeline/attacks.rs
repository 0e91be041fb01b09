//! What an attacker would try. Each control is shown to matter: the attack works where the control is left out.

use casemate_gate::BuiltInTable;
use casemate_ledger::{Ledger, SnapshotError, Verified, VerifiedWork};
use casemate_protocol::command::{
    AmendOrder, Beneficiary, CancelAllOrders, CancelScope, CloseAccount, OrderReference, RequestTransfer,
    RequestWithdrawal, SetDeadMan, TimeInForce,
};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::event::{DepositAccepted, DepositAttested, DepositCredited, RemovalCause, WithdrawalEnded};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::grant::MarketScope;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::RECORD_EVENTS_MAX;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{
    AccountId, AssetId, Command, DurationMs, Event, GrantNumber, MarketId, OperatorId, OrderNumber, PriceTicks,
    QuantityLots, QuoteMicros, RecordIndex, RejectCode, SegmentId, Side, TimeMs, WithdrawalNumber,
};
use casemate_replica::Replica;
use proptest::prelude::*;

use crate::kit::random::{Choices, STEPS_MS, letters};
use crate::kit::{
    FIRST, Letter, OPENING_MIN, SEEDED, Venue, ask, bid, cancel, claim, genesis, list, micros, opener_key, order,
    public_key, root_key, sequences, session_key, terms,
};

const ONE: SegmentId = SegmentId::new(1);
const TWO: SegmentId = SegmentId::new(2);

fn withdraw(segment: SegmentId, amount: i64) -> Command {
    Command::RequestWithdrawal(Box::new(RequestWithdrawal {
        segment,
        amount: micros(amount),
        chain: 1,
        destination: list(vec![1; 20]),
    }))
}

fn transfer(amount: i64) -> Command {
    Command::RequestTransfer(RequestTransfer { from: ONE, to: TWO, amount: micros(amount) })
}

/// Applies a command as if the gate had let it through.
fn apply_past_the_gate(
    ledger: &mut Ledger,
    role: SignerRole,
    grant: Option<GrantNumber>,
    command: &Command,
) -> Result<(), RejectCode> {
    let (height, time_ms) = (ledger.chain().height.next(), ledger.chain().time_ms.plus(DurationMs::from_ms(1)));
    let block = ledger.begin_block(height, time_ms).unwrap();
    let work = VerifiedWork::Account {
        account: AccountId::new(FIRST),
        role,
        key: public_key(&root_key(FIRST)),
        grant,
        command,
    };
    let verdict = ledger.apply(&block, Verified::assertion(work), RecordIndex::new(0), &mut Vec::new());
    ledger.settle();
    verdict.map_err(|reject| reject.code())
}

// Replay.

#[test]
fn a_replayed_envelope_is_refused_and_without_nonces_it_would_act_twice() {
    let mut venue = Venue::new();
    let sealed = venue.root(FIRST, vec![bid(1, 900, 2)]).sealed();
    let step = venue.step_after(10, vec![sealed.clone(), sealed.clone()]);
    assert_eq!(step.refused_outside, [(1, RejectCode::NonceUsed)], "in the same block");
    let step = venue.step_after(10, vec![sealed]);
    assert_eq!(step.refused_outside, [(0, RejectCode::NonceUsed)], "in a later block");
    assert_eq!(venue.open_orders(1, FIRST), 1);

    let mut ledger = venue.ledger().clone();
    for _ in 0..2 {
        assert_eq!(apply_past_the_gate(&mut ledger, SignerRole::Root, None, &bid(1, 900, 2)), Ok(()));
    }
    let open = ledger.segment(ONE).unwrap().sub_account(AccountId::new(FIRST)).unwrap().orders().len();
    assert_eq!(open, 3, "the attack works where inclusion is left out");
}

#[test]
fn a_nonce_is_used_although_the_command_was_refused() {
    let mut venue = Venue::new();
    let sealed = venue.root(FIRST, vec![cancel(1, 77)]).sealed();
    assert_eq!(venue.step_after(10, vec![sealed.clone()]).only(), Err(RejectCode::OrderNotFound));
    assert_eq!(venue.step_after(10, vec![sealed]).only(), Err(RejectCode::NonceUsed));
}

// Deposits.

#[test]
fn a_false_claim_first_does_not_block_the_true_claim_and_the_output_is_credited_once() {
    let mut venue = Venue::new();
    let truth = claim(1, 4_000_000, Beneficiary::Account(AccountId::new(FIRST)));
    let lie = claim(1, 90_000_000, Beneficiary::Account(AccountId::new(FIRST + 1)));
    assert_eq!(venue.attest(&[3], &lie).only(), Ok(()));
    let before = venue.cash(1, FIRST);
    let step = venue.attest(&[1, 2, 3, 4], &truth);
    assert_eq!(step.verdict(1, 0), Ok(()));
    assert_eq!(step.verdict(2, 0), Err(RejectCode::DepositAlreadyCredited));
    assert_eq!(venue.cash(1, FIRST), before + 4_000_000);
    assert_eq!(venue.attest(&[1], &lie).only(), Err(RejectCode::OutputAlreadyCredited));

    // The control off: the events of the lie, as if it had been decided without looking at the output.
    let mut ledger = venue.ledger().clone();
    let (height, time_ms) = (ledger.chain().height.next(), ledger.chain().time_ms.plus(DurationMs::from_ms(1)));
    let block = ledger.begin_block(height, time_ms).unwrap();
    let claim_key = hash::digest_of(Domain::DepositClaim, &lie);
    let (amount, account) = (lie.amount, AccountId::new(FIRST + 1));
    ledger.replay_events(
        &block,
        &[
            Event::DepositAttested(Box::new(DepositAttested { claim_key, operator: OperatorId::new(1), claim: lie })),
            Event::DepositAccepted(DepositAccepted { segment: ONE, claim_key, amount }),
            Event::DepositCredited(DepositCredited {
                segment: ONE,
                claim_key,
                account,
                amount,
                bond: QuoteMicros::ZERO,
            }),
        ],
    );
    assert_eq!(ledger.check_laws_from_rows(), [], "no law of sums sees a deposit that never happened");
    let row = ledger.segment(ONE).unwrap().sub_account(account).unwrap();
    assert_eq!(row.cash().micros(), venue.cash(1, FIRST + 1) + 90_000_000, "the attack works with the control off");
}

#[test]
fn two_keys_of_one_operator_count_once() {
    let mut venue = Venue::new();
    let claim = claim(1, 1_000, Beneficiary::Account(AccountId::new(FIRST)));
    let before = venue.cash(1, FIRST);
    let step = venue.attest(&[3, 4], &claim);
    assert_eq!((step.verdict(0, 0), step.verdict(1, 0)), (Ok(()), Err(RejectCode::DepositAlreadyAttested)));
    assert_eq!(venue.cash(1, FIRST), before);
    assert_eq!(venue.attest(&[1], &claim).only(), Ok(()));
    assert_eq!(venue.cash(1, FIRST), before + 1_000);
}

/// Regression: reading a snapshot indexed the waiting claim last and forgot that the output was accepted.
#[test]
fn an_output_accepted_before_a_snapshot_is_not_credited_again_after_it_because_of_a_waiting_claim() {
    let mut venue = Venue::new();
    let truth = claim(1, 4_000_000, Beneficiary::Account(AccountId::new(FIRST)));
    let lie = claim(1, 9_000_000, Beneficiary::Account(AccountId::new(FIRST + 1)));
    venue.attest(&[1], &truth);
    venue.attest(&[3], &lie);
    venue.attest(&[2], &truth);
    let bytes = venue.snapshot();
    venue.replica = Replica::read_snapshot(&genesis(), BuiltInTable, &mut bytes.as_slice(), &Sequential).unwrap();
    assert_eq!(venue.attest(&[1], &lie).only(), Err(RejectCode::OutputAlreadyCredited));
}

/// Regression: outputs were remembered by segment, and the segment is a field of the claim.
#[test]
fn an_output_credited_in_one_segment_is_not_credited_in_another() {
    let mut venue = Venue::new();
    let first = claim(1, 4_000_000, Beneficiary::Account(AccountId::new(FIRST)));
    let mut second = first.clone();
    second.segment = TWO;
    venue.attest(&[1], &second);
    assert_eq!(venue.attest(&[1, 2], &first).verdict(1, 0), Ok(()));
    assert_eq!(venue.attest(&[2], &second).only(), Err(RejectCode::OutputAlreadyCredited));
}

/// Regression: every waiting deposit was an event of the opening, more than a record holds, and the record was lost.
#[test]
fn dust_sent_to_a_root_key_does_not_overflow_the_record_of_its_opening() {
    let mut venue = Venue::new();
    let key = opener_key(0);
    let beneficiary = Beneficiary::RootKey(public_key(&key));
    let dust: Vec<Command> =
        (0..1_100).map(|number| Command::AttestDeposit(Box::new(claim(0x10_0000 + number, 1, beneficiary)))).collect();
    for part in dust.chunks(64) {
        let letters = [venue.root(1, part.to_vec()), venue.root(2, part.to_vec())];
        let step = venue.step_after(1_000, letters.iter().map(Letter::sealed).collect());
        assert_eq!(step.refused_outside, []);
    }
    venue.attest(&[1, 2], &claim(1, OPENING_MIN, beneficiary));
    let letter = venue.opening(key);
    let step = venue.step(&[letter]);
    assert_eq!(step.only(), Ok(()));
    assert!(step.records.iter().all(|record| record.events.len() <= RECORD_EVENTS_MAX / 4));
    let account = venue.ledger().accounts().last_account().number();
    assert_eq!(venue.cash(1, account), OPENING_MIN - crate::kit::BOND + 1_100);
    assert_eq!(venue.ledger().segment(ONE).unwrap().totals().unclaimed, 0);
    assert_eq!(venue.ledger().segment(ONE).unwrap().totals().bonds, i128::from(crate::kit::BOND));
}

// What leaves.

#[test]
fn a_withdrawal_leaves_no_faster_than_every_window_of_the_limiter() {
    let mut venue = Venue::new();
    // Windows let 3 in ten seconds and 8 in sixty through; nine accounts' worth of requests wait.
    for account in FIRST..FIRST + SEEDED {
        let letter = venue.root(account, vec![withdraw(ONE, 3_000_000), withdraw(ONE, 3_000_000)]);
        assert_eq!(venue.step(&[letter]).verdict(0, 1), Ok(()));
    }
    let released = |venue: &Venue| venue.ledger().segment(ONE).unwrap().totals().released_out;
    let mut history = Vec::new();
    for _ in 0..120 {
        venue.wait(1_000);
        history.push((venue.time_ms, released(&venue)));
    }
    for (begin, (begin_ms, before)) in history.iter().enumerate() {
        for (end_ms, after) in &history[begin..] {
            let elapsed = i128::from(end_ms - begin_ms);
            assert!(after - before <= 3_000_000 + 3_000_000 * elapsed / 10_000, "short window");
            assert!(after - before <= 8_000_000 + 8_000_000 * elapsed / 60_000, "long window");
        }
    }
    assert!(released(&venue) >= 20_000_000, "and it does leave");

    let mut ledger = venue.ledger().clone();
    let (height, time_ms) = (ledger.chain().height.next(), ledger.chain().time_ms.plus(DurationMs::from_ms(1)));
    let block = ledger.begin_block(height, time_ms).unwrap();
    let all = (1..=12).map(|number| {
        Event::WithdrawalReleased(WithdrawalEnded { segment: ONE, number: WithdrawalNumber::new(number) })
    });
    ledger.replay_events(&block, &all.collect::<Vec<_>>());
    let after = ledger.segment(ONE).unwrap().totals().released_out;
    assert_eq!(after, 36_000_000, "with the control off everything leaves at once");
}

/// Regression: a withdrawal as large as the limiter's capacity became larger than it when anything else left, and
/// everything behind it waited for ever.
#[test]
fn a_withdrawal_that_the_shrunken_vault_can_never_release_does_not_hold_up_those_behind_it() {
    let mut genesis = genesis();
    let mut segments = genesis.segments.clone().into_vec();
    for segment in &mut segments {
        let mut windows = segment.outbound.clone().into_vec();
        for window in &mut windows {
            window.floor = micros(1_000);
        }
        segment.outbound = list(windows);
    }
    genesis.segments = list(segments);
    let mut venue = Venue::of(genesis);
    let capacity = 120_000_000 / 50;
    assert_eq!(venue.ask(FIRST, withdraw(ONE, 1)), Ok(()));
    assert_eq!(venue.ask(FIRST, withdraw(ONE, capacity)), Ok(()));
    assert_eq!(venue.ask(FIRST + 1, withdraw(ONE, 500)), Ok(()));
    venue.wait_through(30_000);
    let released = venue.ledger().segment(ONE).unwrap().totals().released_out;
    assert_eq!(released, 501, "the first and the third left, the second waits for its owner");
}

#[test]
fn a_release_waits_while_the_accounts_margin_does_not_cover_what_it_holds() {
    let mut venue = Venue::new();
    // A short of 50 lots needs 5,000,000 at 1,000 ticks and more with every tick that the price rises.
    let maker = venue.root(FIRST + 1, vec![bid(1, 1_000, 100)]);
    venue.step(&[maker]);
    assert_eq!(venue.ask(FIRST, ask(1, 1_000, 100)), Ok(()));
    let free = 20_000_000 - 10_000_000 - 4_000;
    for part in [3_000_000, 3_000_000, 3_000_000, free - 9_000_000] {
        assert_eq!(venue.ask(FIRST, withdraw(ONE, part)), Ok(()));
    }
    let letters = [venue.root(FIRST + 2, vec![ask(1, 1_050, 2)]), venue.root(FIRST + 3, vec![bid(1, 1_050, 2)])];
    venue.step(&letters);
    venue.wait_through(40_000);
    let totals = |venue: &Venue| *venue.ledger().segment(ONE).unwrap().totals();
    assert_eq!(totals(&venue).released_out, 0, "the price rose, so nothing of it leaves");
    let letters = [venue.root(FIRST + 2, vec![bid(1, 980, 2)]), venue.root(FIRST + 3, vec![ask(1, 980, 2)])];
    venue.step(&letters);
    venue.wait_through(40_000);
    assert_eq!(totals(&venue).released_out, i128::from(free), "it fell again, and all of it leaves");
}

#[test]
fn a_transfer_arrives_in_a_later_block_than_it_leaves_and_only_once() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, transfer(2_000_000)), Ok(()));
    let mut left_at = None;
    let mut arrived_at = None;
    for block in 0..6 {
        let step = venue.wait(1_000);
        for event in step.events() {
            match event {
                Event::TransferReleased(_) => assert_eq!(left_at.replace(block), None, "left twice"),
                Event::TransferArrived(_) => assert_eq!(arrived_at.replace(block), None, "arrived twice"),
                _ => {}
            }
        }
    }
    assert_eq!(arrived_at, left_at.map(|block| block + 1));
    assert_eq!((venue.cash(1, FIRST), venue.cash(2, FIRST)), (18_000_000, 22_000_000));
}

/// Regression: nothing asked whether both vaults hold the same asset, so a transfer changed one into the other.
#[test]
fn a_transfer_between_segments_of_different_assets_is_refused_because_it_would_change_money() {
    let mut genesis = genesis();
    let mut segments = genesis.segments.clone().into_vec();
    segments[1].asset = AssetId::new(2);
    genesis.segments = list(segments);
    let mut venue = Venue::of(genesis);
    assert_eq!(venue.ask(FIRST, transfer(1_000)), Err(RejectCode::AssetNotOfSegment));
}

/// Regression: an account with money between segments counted as empty, and the money arrived where nobody could use it.
#[test]
fn an_account_whose_transfer_is_under_way_cannot_close() {
    let mut venue = Venue::new();
    let account = venue.open(0, OPENING_MIN);
    let key = opener_key(0);
    let cash = venue.cash(1, account);
    let root = |venue: &mut Venue, command| {
        let letter = venue.letter(account, SignerRole::Root, key, vec![command]);
        venue.step(&[letter]).only()
    };
    assert_eq!(root(&mut venue, withdraw(ONE, cash - 3_000_000)), Ok(()));
    venue.wait_through(60_000);
    assert_eq!(root(&mut venue, transfer(3_000_000)), Ok(()));
    // It leaves in this block; the next one in which it would arrive is undone in the target, so it stays under way.
    venue.wait(1_000);
    let height = venue.ledger().chain().height.next();
    venue.replica.break_law_for_testing(TWO, height);
    venue.wait_through(10_000);
    let totals = |segment| *venue.ledger().segment(segment).unwrap().totals();
    assert_eq!((totals(ONE).transferred_out, totals(TWO).transferred_in), (3_000_000, 0));
    let close = Command::CloseAccount(Box::new(CloseAccount { chain: 1, destination: list(vec![1]) }));
    assert_eq!(root(&mut venue, close), Err(RejectCode::AccountNotEmpty));
}

// Sessions.

#[test]
fn a_grants_notional_is_its_limit_and_the_same_order_without_a_grant_passes() {
    let mut venue = Venue::new();
    let mut small = terms(&venue, FIRST, 2);
    small.notional_quote_micros_max = micros(1_000_000);
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(small))), Ok(()));
    assert_eq!(venue.ask_session(FIRST, 2, bid(1, 1_000, 8)), Ok(()));
    assert_eq!(venue.ask_session(FIRST, 2, bid(1, 1_000, 4)), Err(RejectCode::GrantNotionalExceeded));
    assert_eq!(venue.ask_session(FIRST, 2, bid(3, 1_000, 4)), Err(RejectCode::GrantNotionalExceeded), "elsewhere too");
    let mut ledger = venue.ledger().clone();
    let root = apply_past_the_gate(&mut ledger, SignerRole::Root, None, &bid(1, 1_000, 4));
    assert_eq!(root, Ok(()), "the attack works with the control off");
}

/// Regression: a session whose grant was not found acted with the authority of the root key.
#[test]
fn a_session_without_its_grant_has_no_authority() {
    let mut ledger = Venue::new().ledger().clone();
    for grant in [None, Some(GrantNumber::new(9))] {
        let verdict = apply_past_the_gate(&mut ledger, SignerRole::Session, grant, &bid(1, 900, 2));
        assert_eq!(verdict, Err(RejectCode::GrantNotFound));
    }
}

/// Regression: only commands that name a market were compared with the grant's markets.
#[test]
fn a_session_for_one_market_cannot_reach_the_others_through_their_segment() {
    let mut venue = Venue::new();
    let mut narrow = terms(&venue, FIRST, 2);
    narrow.markets = MarketScope::Only(list(vec![MarketId::new(1)]));
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(narrow))), Ok(()));
    assert_eq!(venue.ask(FIRST, bid(2, 900, 2)), Ok(()));
    let all = |scope| Command::CancelAllOrders(CancelAllOrders { scope });
    let outside = Err(RejectCode::MarketNotGranted);
    assert_eq!(venue.ask_session(FIRST, 2, all(CancelScope::Segment(ONE))), outside);
    assert_eq!(venue.ask_session(FIRST, 2, all(CancelScope::Market(MarketId::new(2)))), outside);
    let dead_man = SetDeadMan { segment: ONE, timeout_ms: DurationMs::from_ms(1_000) };
    assert_eq!(venue.ask_session(FIRST, 2, Command::SetDeadMan(dead_man)), outside);
    assert_eq!(venue.open_orders(1, FIRST), 1);
    assert_eq!(venue.ask_session(FIRST, 2, all(CancelScope::Market(MarketId::new(1)))), Ok(()));
}

/// Regression: cancel-all is judged in the phase of cancels and at its place, and both counted against the rate.
#[test]
fn a_cancel_all_counts_once_against_its_sessions_rate() {
    let mut venue = Venue::new();
    let mut slow = terms(&venue, FIRST, 2);
    slow.commands_per_minute_max = 2;
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(slow))), Ok(()));
    assert_eq!(venue.ask_session(FIRST, 2, bid(1, 900, 2)), Ok(()));
    let all = Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Segment(ONE) });
    assert_eq!(venue.ask_session(FIRST, 2, all.clone()), Ok(()));
    assert_eq!(venue.ask_session(FIRST, 2, all), Err(RejectCode::GrantRateExceeded));
}

/// Regression: taking a group back also took back what its session had used of its rate.
#[test]
fn a_group_that_fails_still_counts_against_its_sessions_rate() {
    let mut venue = Venue::new();
    let mut slow = terms(&venue, FIRST, 2);
    slow.commands_per_minute_max = 3;
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(slow))), Ok(()));
    let group = venue.session(FIRST, 2, vec![bid(1, 900, 2), bid(1, 901, 2), cancel(1, 99)]).group();
    let step = venue.step(&[group]);
    assert_eq!(step.verdict(0, 0), Err(RejectCode::GroupRolledBack));
    assert_eq!(step.verdict(0, 2), Err(RejectCode::OrderNotFound));
    assert_eq!(venue.open_orders(1, FIRST), 0);
    assert_eq!(venue.ask_session(FIRST, 2, bid(1, 900, 2)), Err(RejectCode::GrantRateExceeded));
}

/// Regression: a grant that ended while a reduce-only order of it rested stayed in its owner's row for ever.
#[test]
fn what_an_ended_grant_used_is_forgotten_with_its_last_order() {
    let mut venue = Venue::new();
    let letters = [venue.root(FIRST + 1, vec![ask(1, 1_000, 4)]), venue.session(FIRST, 1, vec![bid(1, 1_000, 4)])];
    venue.step(&letters);
    let mut short = terms(&venue, FIRST, 2);
    short.expires_ms = TimeMs::from_ms(venue.time_ms + 5_000);
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(short))), Ok(()));
    let mut reduce = order(1, Side::Ask, 1_050, 4, TimeInForce::GoodTillCancel);
    reduce.is_reduce_only = true;
    assert_eq!(venue.ask_session(FIRST, 2, Command::PlaceOrder(reduce)), Ok(()));
    assert_eq!(venue.ask_session(FIRST, 2, bid(1, 900, 2)), Ok(()));
    venue.wait_through(6_000);
    assert_eq!(venue.open_orders(1, FIRST), 1, "an order that can only reduce outlives its grant");
    let usage =
        |venue: &Venue| venue.ledger().segment(ONE).unwrap().sub_account(AccountId::new(FIRST)).unwrap().usage().len();
    assert_eq!(usage(&venue), 2);
    let all = Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Segment(ONE) });
    assert_eq!(venue.ask(FIRST, all), Ok(()));
    assert_eq!(usage(&venue), 1, "the live grant's entry stays");
}

#[test]
fn a_session_that_amends_an_order_of_the_root_key_pays_for_it_from_its_own_budget() {
    let mut venue = Venue::new();
    let mut small = terms(&venue, FIRST, 2);
    small.notional_quote_micros_max = micros(500_000);
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(small))), Ok(()));
    assert_eq!(venue.ask(FIRST, bid(1, 900, 4)), Ok(()));
    let amend = |price, lots| {
        Command::AmendOrder(AmendOrder {
            market: MarketId::new(1),
            order: OrderReference::Number(OrderNumber::new(1)),
            price: PriceTicks::from_ticks(price),
            quantity: QuantityLots::from_lots(lots),
        })
    };
    assert_eq!(venue.ask_session(FIRST, 2, amend(901, 10)), Err(RejectCode::GrantNotionalExceeded));
    assert_eq!(venue.ask_session(FIRST, 2, amend(901, 5)), Ok(()));
}

// Internal work.

fn roomy() -> Genesis {
    let mut genesis = genesis();
    let mut seeded = genesis.seeded.unwrap();
    seeded.balance = micros(2_000_000_000);
    genesis.seeded = Some(seeded);
    genesis.accounts.weight_burst = 100_000;
    let mut segments = genesis.segments.clone().into_vec();
    segments[0].open_orders_max = 1_024;
    genesis.segments = list(segments);
    let mut markets = genesis.markets.clone().into_vec();
    markets[0].position_lots_max = QuantityLots::from_lots(10_000);
    genesis.markets = list(markets);
    genesis
}

/// More orders than one block ends, all with the same end; returns that end.
fn many_ending_orders(venue: &mut Venue) -> (u64, usize) {
    let end_ms = venue.time_ms + 2_000;
    let terms = TimeInForce::GoodTillTime(TimeMs::from_ms(end_ms));
    let mut letters = Vec::new();
    for account in [FIRST, FIRST + 1] {
        for _ in 0..10 {
            let orders = (0..64).map(|_| Command::PlaceOrder(order(1, Side::Ask, 1_000, 2, terms)));
            letters.push(venue.root(account, orders.collect()));
        }
    }
    let step = venue.step(&letters);
    assert_eq!(step.refused_outside, []);
    assert_eq!(venue.open_orders(1, FIRST) + venue.open_orders(1, FIRST + 1), 1_280);
    (end_ms, 1_280)
}

#[test]
fn internal_work_beyond_the_cap_carries_over_and_other_segments_are_not_crowded_out() {
    let mut venue = Venue::of(roomy());
    let dead_man = SetDeadMan { segment: TWO, timeout_ms: DurationMs::from_ms(1_500) };
    let letter = venue.root(FIRST + 2, vec![bid(3, 900, 2), Command::SetDeadMan(dead_man)]);
    venue.step(&[letter]);
    let (_, count) = many_ending_orders(&mut venue);
    let removed = |step: &crate::kit::Step, wanted| {
        step.events().filter(|event| matches!(event, Event::OrderRemoved(gone) if gone.cause == wanted)).count()
    };
    let first = venue.wait(3_000);
    assert_eq!(removed(&first, RemovalCause::Expired), 1_024);
    assert_eq!(removed(&first, RemovalCause::DeadMan), 1, "the second segment's switch fires in the same block");
    let second = venue.wait(1);
    assert_eq!(removed(&second, RemovalCause::Expired), count - 1_024);
}

/// Regression: an order whose end waited for its turn could be traded after its end.
#[test]
fn an_order_past_its_end_does_not_trade_while_its_removal_waits_for_its_turn() {
    let mut venue = Venue::of(roomy());
    let (_, _) = many_ending_orders(&mut venue);
    let taker = venue.root(FIRST + 2, vec![bid(1, 1_000, 100)]);
    let step = venue.step_after(3_000, vec![taker.sealed()]);
    assert_eq!(step.executed.trades, 0);
}

// Snapshots.

#[test]
fn a_snapshot_that_moves_money_between_sums_is_refused_row_by_row() {
    let mut venue = Venue::new();
    let letters = [venue.root(FIRST, vec![ask(1, 1_000, 50)]), venue.root(FIRST + 1, vec![bid(1, 1_000, 50)])];
    venue.step(&letters);
    let totals = *venue.ledger().segment(ONE).unwrap().totals();
    assert!(totals.fees_venue > 0);
    let pair = |validators: i128, venue: i128| [validators.to_le_bytes(), venue.to_le_bytes()].concat();
    let mut bytes = venue.snapshot();
    let wanted = pair(totals.fees_validators, totals.fees_venue);
    let place = bytes.windows(32).position(|window| window == wanted).unwrap();
    // Every sum still fits the vault, so no law would notice.
    bytes[place..place + 32].copy_from_slice(&pair(totals.fees_validators + totals.fees_venue, 0));
    let read = Replica::read_snapshot(&genesis(), BuiltInTable, &mut bytes.as_slice(), &Sequential);
    assert_eq!(read.err(), Some(SnapshotError::RowMismatch));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences(64)))]

    #[test]
    fn prop_a_damaged_snapshot_is_refused_or_has_the_same_root_and_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 200..1_000),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..=255), 24)
    ) {
        let mut choices = Choices::new(&bytes);
        let mut venue = Venue::new();
        while !choices.is_over() {
            let step_ms = choices.pick(&STEPS_MS);
            let sealed = letters(&mut choices, &mut venue, 8).iter().map(Letter::sealed).collect();
            venue.propose(step_ms, sealed);
            venue.replica.adopt();
        }
        let written = venue.snapshot();
        for (place, change) in damage {
            let mut damaged = written.clone();
            damaged[place.index(written.len())] ^= change;
            if let Ok(read) = Replica::read_snapshot(&genesis(), BuiltInTable, &mut damaged.as_slice(), &Sequential) {
                prop_assert_eq!(read.ledger().check_laws_from_rows(), vec![]);
            }
            let short = &written[..place.index(written.len())];
            prop_assert!(Replica::read_snapshot(&genesis(), BuiltInTable, &mut &short[..], &Sequential).is_err());
        }
    }
}

// Keys.

#[test]
fn a_root_key_with_a_waiting_deposit_still_opens_after_somebody_registered_it_as_a_session_key() {
    let mut venue = Venue::new();
    let key = opener_key(0);
    venue.attest(&[1, 2], &claim(1, OPENING_MIN, Beneficiary::RootKey(public_key(&key))));
    let mut theft = terms(&venue, FIRST, 2);
    theft.session_key = public_key(&key);
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(theft))), Ok(()));
    let letter = venue.opening(key);
    assert_eq!(venue.step(&[letter]).only(), Ok(()));
    let account = venue.ledger().accounts().account_of_root(&public_key(&key)).unwrap();
    assert_ne!(account.number(), FIRST);
    // And a root key is never a session key afterwards.
    let mut again = terms(&venue, FIRST, 3);
    again.session_key = public_key(&key);
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(again))), Err(RejectCode::SessionKeyTaken));
}

#[test]
fn a_deposit_for_a_closed_accounts_root_key_is_refused_and_a_session_key_of_it_stays_taken() {
    let mut venue = Venue::new();
    // An attestor has nothing and can close at once.
    let close = Command::CloseAccount(Box::new(CloseAccount { chain: 1, destination: list(vec![1]) }));
    assert_eq!(venue.ask(4, close), Ok(()));
    let to_closed = claim(1, 5_000_000, Beneficiary::RootKey(public_key(&root_key(4))));
    assert_eq!(venue.attest(&[1], &to_closed).only(), Err(RejectCode::BeneficiaryClosed));
    let mut taken = terms(&venue, FIRST, 2);
    taken.session_key = public_key(&session_key(FIRST + 1, 1));
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(taken))), Err(RejectCode::SessionKeyTaken));
}
