//! Laws of segments on margin, each with its name, in storms and under attack through the whole pipeline.

use std::collections::BTreeMap;

use casemate_gate::BuiltInTable;
use casemate_ledger::risk::Risk;
use casemate_ledger::{BlockContext, Ledger};
use casemate_protocol::clearing::MarginRules;
use casemate_protocol::command::{
    Beneficiary, CancelAllOrders, CancelScope, PlaceOrder, RequestWithdrawal, SubmitPrice, TimeInForce,
};
use casemate_protocol::event::PassCause;
use casemate_protocol::genesis::Genesis;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{
    AccountId, BreakerState, Command, DurationMs, Event, FeedId, MarketId, PriceNanos, RejectCode, SegmentId, Side,
    TimeMs,
};
use casemate_replica::Replica;
use proptest::prelude::*;

use crate::kit::margined::{FIRST, NANOS_PER_TICK, PUBLISHERS, patient_venue};
use crate::kit::random::Choices;
use crate::kit::{
    BALANCE, Letter, REFERENCE, SEEDED, Step, Venue, ask, bid, claim, list, micros, order, replica, sequences, storm,
};

const SEGMENT: SegmentId = SegmentId::new(1);

fn script() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 300..2_000)
}

fn seal(letters: &[Letter]) -> Vec<Vec<u8>> {
    letters.iter().map(Letter::sealed).collect()
}

/// What an account may use for more, what counts, and what it is worth.
#[derive(Clone, Copy, Debug)]
struct Standing {
    free: i64,
    counted: i64,
    equity: i64,
    maintenance: i64,
}

fn standing(ledger: &Ledger, account: u64) -> Standing {
    let segment = ledger.segment(SEGMENT).expect("segment 1");
    let risk = Risk::new(segment.markets(), ledger.chain().waiting_ms);
    let row = segment.sub_account(AccountId::new(account)).cloned().unwrap_or_default();
    let (view, health) = (risk.initial(&row, None), risk.health(&row));
    Standing {
        free: view.free().micros(),
        counted: view.counted_equity,
        equity: health.equity,
        maintenance: health.maintenance,
    }
}

fn cancel_all() -> Command {
    Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Segment(SEGMENT) })
}

fn withdraw(amount: i64) -> Command {
    let ask = RequestWithdrawal { segment: SEGMENT, amount: micros(amount), chain: 1, destination: list(vec![1]) };
    Command::RequestWithdrawal(Box::new(ask))
}

/// What publishers say in one block, several things each, some of them twice and some of them too late.
fn talk(choices: &mut Choices<'_>, venue: &mut Venue) -> Vec<Letter> {
    let mut letters = Vec::new();
    for account in PUBLISHERS {
        for _ in 0..choices.below(3) {
            let count = 1 + choices.below(3);
            let mut submit = || {
                let feed = 1 + u16::try_from(choices.below(2)).expect("small");
                let near = venue.published(feed) * (990 + choices.below(20)) / 1_000;
                Command::SubmitPrice(SubmitPrice {
                    feed: FeedId::new(feed),
                    price: PriceNanos::from_nanos(near.max(1) * NANOS_PER_TICK),
                    confidence: PriceNanos::from_nanos(NANOS_PER_TICK * choices.below(3)),
                    source_ms: TimeMs::from_ms(venue.time_ms - choices.below(4)),
                })
            };
            let commands = (0..count).map(|_| submit()).collect();
            letters.push(venue.root(account, commands));
        }
    }
    letters
}

/// The letters in another order, and the commands within each.
fn shuffled(choices: &mut Choices<'_>, letters: &[Letter]) -> Vec<Letter> {
    let mut rest = letters.to_vec();
    let mut shuffled = Vec::new();
    while !rest.is_empty() {
        let place = usize::from(choices.byte()) % rest.len();
        let mut letter = rest.swap_remove(place);
        let mut commands = letter.intent.commands.clone().into_vec();
        if choices.one_in(2) {
            commands.reverse();
        }
        letter.intent.commands = list(commands);
        shuffled.push(letter);
    }
    shuffled
}

/// Verdicts by publisher and command; the same command said twice has as many verdicts, in rising order.
fn verdicts(step: &Step) -> BTreeMap<(AccountId, Vec<u8>), Vec<Option<u16>>> {
    let mut verdicts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for outcome in &step.executed.envelopes {
        let intent = &step.intents[outcome.envelope.bytes()];
        for (asked, outcome) in intent.commands.iter().zip(&outcome.commands) {
            let key = (intent.account, borsh::to_vec(asked).expect("a command encodes"));
            verdicts.entry(key).or_default().push(outcome.refusal.map(|reject| reject.code().number()));
        }
    }
    verdicts.values_mut().for_each(|codes| codes.sort_unstable());
    verdicts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences(12)))]

    /// INVARIANT(P4): feeds, markets, accounts, everything: the state has the same root, whoever's price came first.
    #[test]
    fn prop_the_order_of_price_commands_in_a_block_changes_no_verdict_and_no_state(bytes in script()) {
        let mut choices = Choices::new(&bytes);
        let mut venue = storm::venue();
        let mut other = Venue::at_start(venue.genesis.clone(), replica(&venue.genesis));
        other.deposit(1, storm::MAKER, 400_000_000);
        for feed in [1, 2] {
            other.publish(feed, REFERENCE);
        }
        while !choices.is_over() {
            let prices = talk(&mut choices, &mut venue);
            let others: Vec<Letter> = storm::block(&mut choices, &mut venue)
                .into_iter()
                .filter(|letter| !PUBLISHERS.contains(&letter.intent.account.number()))
                .collect();
            let again = shuffled(&mut choices, &prices);
            let step_ms = storm::step_ms(&mut choices);
            let step = venue.propose(step_ms, seal(&[prices, others.clone()].concat()));
            venue.replica.adopt();
            // The others come first here: prices are judged before them all the same.
            let step_again = other.propose(step_ms, seal(&[others, again].concat()));
            other.replica.adopt();
            prop_assert_eq!(verdicts(&step), verdicts(&step_again));
            let aggregates = |step: &Step| -> Vec<Event> {
                step.events().filter(|event| matches!(event, Event::PriceAggregated(_))).cloned().collect()
            };
            prop_assert_eq!(aggregates(&step), aggregates(&step_again));
            prop_assert_eq!(step.executed.state_root, step_again.executed.state_root);
        }
    }

    /// INVARIANT(R1): whoever is below initial margin may cancel, deposit, and close at the mark or better, with
    /// reduce-only orders and with ordinary ones. At every block of a storm everybody who is there tries.
    #[test]
    fn prop_an_account_below_initial_margin_may_always_cancel_deposit_and_reduce(bytes in script()) {
        let mut choices = Choices::new(&bytes);
        let mut venue = storm::venue();
        while !choices.is_over() {
            let letters = storm::block(&mut choices, &mut venue);
            let step_ms = storm::step_ms(&mut choices);
            venue.propose(step_ms, seal(&letters));
            venue.replica.adopt();
            for account in FIRST..storm::MAKER {
                if let Err(wrong) = everything_less_risky(&mut venue, account) {
                    return Err(TestCaseError::fail(wrong));
                }
            }
        }
    }

    /// INVARIANT(L1): a queue of liquidations made anew from a snapshot, whenever that is, lists whom the one that ran through
    /// lists, and the next block has the same events. Else replicas that started at different times part.
    #[test]
    fn prop_a_replica_restored_before_any_block_liquidates_as_the_one_that_ran_through(bytes in script()) {
        let mut choices = Choices::new(&bytes);
        let mut venue = storm::venue();
        while !choices.is_over() {
            let written = venue.snapshot();
            let restored = Replica::read_snapshot(&venue.genesis, BuiltInTable, &mut written.as_slice(), &Sequential);
            let mut restored = restored.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let due = |ledger: &Ledger| {
                let (mut ledger, chain) = (ledger.clone(), *ledger.chain());
                ledger.due_liquidations(&BlockContext {
                    height: chain.height,
                    time_ms: chain.time_ms,
                    step_ms: DurationMs::ZERO,
                    waiting_ms: chain.waiting_ms,
                })
            };
            prop_assert_eq!(due(venue.ledger()), due(restored.ledger()));
            let letters = storm::block(&mut choices, &mut venue);
            let step_ms = storm::step_ms(&mut choices);
            let step = venue.propose(step_ms, seal(&letters));
            venue.replica.adopt();
            match restored.execute(&step.block, &Sequential) {
                Ok(executed) => prop_assert!(executed.is_some_and(|own| own.bodies == step.executed.bodies)),
                Err(wrong) => prop_assert!(false, "{wrong:?}"),
            }
        }
    }

    /// INVARIANT(L2): dYdX 2025 (R§8, 4): within a record insurance has paid before any position passes, and the backstop
    /// has taken over before anybody's profit is touched.
    #[test]
    fn prop_insurance_pays_before_any_position_passes_and_the_backstop_before_any_profit(bytes in script()) {
        let mut choices = Choices::new(&bytes);
        let mut venue = storm::venue();
        while !choices.is_over() {
            let letters = storm::block(&mut choices, &mut venue);
            let step_ms = storm::step_ms(&mut choices);
            let step = venue.propose(step_ms, seal(&letters));
            venue.replica.adopt();
            for record in &step.records {
                let rank = |event: &Event| match event {
                    Event::InsurancePaid(_) => Some(1),
                    Event::PositionPassed(passed) if passed.cause == PassCause::Backstop => Some(2),
                    Event::PositionPassed(_) => Some(3),
                    Event::LossUncovered(_) => Some(4),
                    _ => None,
                };
                let ranks: Vec<u8> = record.events.iter().filter_map(rank).collect();
                prop_assert!(ranks.is_sorted(), "{:?}", record.events);
            }
        }
    }
}

/// Between maintenance and initial margin: what an account there tries, each in a block that is then discarded.
fn everything_less_risky(venue: &mut Venue, account: u64) -> Result<u32, String> {
    let now = standing(venue.ledger(), account);
    let segment = venue.ledger().segment(SEGMENT).expect("segment 1");
    if now.free >= 0 || now.equity < now.maintenance || segment.breaker_state() == BreakerState::Halted {
        return Ok(0);
    }
    let mut tried = 0;
    for market in [1u16, 2] {
        let held = venue.lots(market, account);
        if held.unsigned_abs() < 2 {
            continue;
        }
        let segment = venue.ledger().segment(SEGMENT).expect("segment 1");
        let mark = segment.markets()[usize::from(market) - 1].margin().expect("on margin").pricing().mark.fine();
        // The whole tick at the mark or on the better side of it.
        let (side, price) = if held > 0 { (Side::Ask, mark.div_ceil(1 << 16)) } else { (Side::Bid, mark >> 16) };
        let lots = held.unsigned_abs().min(9_000);
        let quote = if held > 0 { bid(market, price, lots) } else { ask(market, price, lots) };
        let close = order(market, side, price, lots, TimeInForce::ImmediateOrCancel);
        let resting = order(market, side, price + 3, lots, TimeInForce::PostOnlySlide);
        let ways = [
            PlaceOrder { is_reduce_only: true, ..close },
            close,
            order(market, side, price, lots / 2 + 1, TimeInForce::ImmediateOrCancel),
            PlaceOrder { is_reduce_only: true, ..resting },
        ];
        for way in ways {
            let step = attempt(venue, account, quote.clone(), vec![cancel_all(), Command::PlaceOrder(way)]);
            let is_liquidated = step.events().any(|event| matches!(event, Event::LiquidationStepped(_)));
            let is_moved = step.events().any(|event| matches!(event, Event::MarkMoved(_)));
            let verdicts = [step.verdict(1, 0), step.verdict(1, 1)];
            tried += 1;
            if verdicts != [Ok(()), Ok(())] && !is_liquidated && !is_moved {
                return Err(format!("account {account} with {now:?} and {held} lots tried {way:?}: {verdicts:?}"));
            }
        }
    }
    let claim = claim(venue.time_ms + 7, 1_000_000, Beneficiary::Account(AccountId::new(account)));
    let nonces = venue.nonces.clone();
    let letters = [1, 2].map(|attestor| venue.root(attestor, vec![Command::AttestDeposit(Box::new(claim.clone()))]));
    let step = venue.propose(1, seal(&letters));
    venue.replica.discard();
    (venue.time_ms, venue.nonces) = (venue.time_ms - 1, nonces);
    if step.verdict(1, 0) != Ok(()) {
        return Err(format!("a deposit is refused: {:?}", step.verdict(1, 0)));
    }
    Ok(tried)
}

/// What would happen if the maker quoted and the account asked, a millisecond later. Nothing of it stays.
fn attempt(venue: &mut Venue, account: u64, quote: Command, asked: Vec<Command>) -> Step {
    let nonces = venue.nonces.clone();
    let letters = [venue.root(storm::MAKER, vec![cancel_all(), quote]), venue.root(account, asked)];
    let step = venue.propose(1, seal(&letters));
    venue.replica.discard();
    (venue.time_ms, venue.nonces) = (venue.time_ms - 1, nonces);
    step
}

#[test]
fn storms_bring_many_accounts_below_initial_margin() {
    let mut tried = 0;
    for seed in 0..16 {
        let bytes = storm::bytes(seed, 1_500);
        let mut choices = Choices::new(&bytes);
        let mut venue = storm::venue();
        while !choices.is_over() {
            let letters = storm::block(&mut choices, &mut venue);
            let step_ms = storm::step_ms(&mut choices);
            venue.propose(step_ms, seal(&letters));
            venue.replica.adopt();
            tried +=
                (FIRST..storm::MAKER).map(|account| everything_less_risky(&mut venue, account).unwrap()).sum::<u32>();
        }
    }
    assert!(tried >= 60, "only {tried} orders were tried by accounts below initial margin");
}

// Young profit.

/// One move of two partners who make a profit out of nothing and want it out.
#[derive(Clone, Copy, Debug)]
enum Ploy {
    /// One buys from the other: market, whether the first buys, hundreds of lots.
    Trade(u16, bool, u64),
    /// The price goes up or down by a step.
    Walk(u16, bool),
}

fn ploy() -> impl Strategy<Value = Ploy> {
    prop_oneof![
        (1..=2u16, any::<bool>(), 1..12u64).prop_map(|(market, buys, lots)| Ploy::Trade(market, buys, lots)),
        (1..=2u16, prop::bool::weighted(0.7)).prop_map(|(market, rises)| Ploy::Walk(market, rises)),
    ]
}

/// A venue whose profit ripens as the rules say after a change.
fn ripening(change: impl Fn(&mut MarginRules)) -> Venue {
    let mut genesis: Genesis = storm::genesis();
    let mut margins = genesis.margins.clone().into_vec();
    margins.iter_mut().for_each(change);
    genesis.margins = list(margins);
    assert_eq!(genesis.validate(), Ok(()));
    let mut venue = Venue::of(genesis);
    for feed in [1, 2] {
        venue.publish(feed, REFERENCE);
    }
    venue
}

impl Venue {
    fn play(&mut self, ploy: Ploy, prices: &mut [u64; 2]) {
        match ploy {
            Ploy::Trade(market, buys, hundreds) => {
                let (buyer, seller) = if buys { (FIRST, FIRST + 1) } else { (FIRST + 1, FIRST) };
                let price = self.index(market);
                let quote = self.root(seller, vec![cancel_all(), ask(market, price, hundreds * 100)]);
                let take = order(market, Side::Bid, price, hundreds * 100, TimeInForce::ImmediateOrCancel);
                let take = self.root(buyer, vec![cancel_all(), Command::PlaceOrder(take)]);
                self.step(&[quote, take]);
            }
            Ploy::Walk(market, rises) => {
                let price = &mut prices[usize::from(market) - 1];
                *price = if rises { *price * 1_009 / 1_000 } else { (*price * 991).div_ceil(1_000) };
                self.hold(*prices, 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences(24)))]

    /// INVARIANT(P3): Mango (R§2 S4) within the cliff: whatever two partners trade with each other while they walk the
    /// price, in whatever order they realise it, neither can ever take out more than it brought, nor more than it has.
    #[test]
    fn prop_before_the_cliff_nobody_withdraws_more_than_deposits_less_losses(ploys in prop::collection::vec(ploy(), 1..40)) {
        let mut venue = ripening(|rules| rules.profit_cliff_ms = DurationMs::from_ms(600_000));
        let mut prices = [REFERENCE; 2];
        for ploy in ploys {
            venue.play(ploy, &mut prices);
            for account in [FIRST, FIRST + 1] {
                let now = standing(venue.ledger(), account);
                prop_assert!(now.counted <= BALANCE.min(now.equity), "account {account}: {now:?}");
            }
        }
        for account in [FIRST, FIRST + 1] {
            let verdict = venue.ask(account, withdraw(BALANCE + 1));
            prop_assert!(verdict.is_err());
        }
    }
}

/// Long against the partner, five per cent up, sold to him again: 10 of profit on 20 of deposit, realised.
fn mango(venue: &mut Venue) {
    let mut prices = [REFERENCE; 2];
    venue.play(Ploy::Trade(1, true, 11), &mut prices);
    for _ in 0..6 {
        venue.play(Ploy::Walk(1, true), &mut prices);
    }
    venue.play(Ploy::Trade(1, false, 11), &mut prices);
}

#[test]
fn the_attack_on_young_profit_works_with_the_loosest_maturity_and_not_with_a_cliff() {
    let mut loose = ripening(|rules| {
        (rules.profit_cliff_ms, rules.profit_ramp_ms) = (DurationMs::from_ms(1), DurationMs::from_ms(1));
    });
    mango(&mut loose);
    loose.wait(1_000);
    let won = standing(loose.ledger(), FIRST);
    assert!(won.counted > BALANCE + 4_000_000, "{won:?}");
    assert_eq!(loose.ask(FIRST, withdraw(BALANCE + 2_000_000)), Ok(()), "{won:?}");
    let mut strict = ripening(|_| {});
    mango(&mut strict);
    strict.wait(1_000);
    let won = standing(strict.ledger(), FIRST);
    assert!(won.equity > BALANCE + 4_000_000 && won.counted <= BALANCE, "{won:?}");
    assert_eq!(strict.ask(FIRST, withdraw(BALANCE + 2_000_000)), Err(RejectCode::TransferMarginShort));
}

// Deleveraging.

/// Lots cut from each account when a long of 2,000 is bankrupt, of two groups of winners: the first short 3,000 on 40 of
/// deposits, in so many equal parts, the second 1,000 on 20.
fn cuts(parts: u64) -> BTreeMap<u64, u64> {
    let (loser, other, rich) = (FIRST, FIRST + 4, storm::MAKER);
    let mut venue = patient_venue();
    for feed in [1, 2] {
        venue.publish(feed, REFERENCE);
    }
    venue.deposit(1, rich, 60_000_000);
    if parts == 1 {
        venue.deposit(2, FIRST + 1, BALANCE);
    }
    for buyer in [loser, rich] {
        let mut letters: Vec<Letter> =
            (1..=parts).map(|part| venue.root(FIRST + part, vec![ask(1, REFERENCE, 1_500 / parts)])).collect();
        letters.push(venue.root(other, vec![ask(1, REFERENCE, 500)]));
        letters.push(venue.root(buyer, vec![bid(1, REFERENCE, 2_000)]));
        let step = venue.step(&letters);
        assert_eq!(step.verdict(letters.len() - 1, 0), Ok(()));
        assert_eq!(venue.lots(1, buyer), 2_000);
    }
    let mut cuts = BTreeMap::new();
    let mut ticks = REFERENCE;
    while venue.lots(1, loser) > 0 && ticks > 850 {
        ticks -= 5;
        venue.wait(980);
        let step = venue.publish(1, ticks);
        for event in step.events() {
            if let Event::PositionPassed(passed) = event {
                assert_eq!((passed.cause, passed.market), (PassCause::Deleveraging, MarketId::new(1)));
                *cuts.entry(passed.to.number()).or_default() += passed.quantity.lots();
            }
        }
        venue.publish(2, REFERENCE);
    }
    cuts
}

/// DESIGN §6: the total is exact, and a group's cut does not depend on the number of accounts in it, but for a lot each.
#[test]
fn splitting_an_account_changes_what_deleveraging_cuts_by_at_most_one_lot_a_part() {
    let whole = cuts(1);
    let split = cuts(2);
    assert_eq!(whole.values().sum::<u64>(), 2_000, "{whole:?}");
    assert_eq!(split.values().sum::<u64>(), 2_000, "{split:?}");
    assert!(whole[&(FIRST + 1)] > 0 && whole[&(FIRST + 1)] < 3_000, "{whole:?}");
    assert!(split[&(FIRST + 1)].abs_diff(split[&(FIRST + 2)]) <= 1, "equal parts are cut alike: {split:?}");
    let group = split[&(FIRST + 1)] + split[&(FIRST + 2)];
    assert!(group.abs_diff(whole[&(FIRST + 1)]) <= 2, "{whole:?} and {split:?}");
    let is_known = |account: &u64| (FIRST..FIRST + SEEDED).contains(account);
    assert!(split.keys().all(is_known));
}
