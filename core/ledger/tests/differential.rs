//! The ledger against the model: random sequences go through both, and after every step the verdict, the events and
//! everything that can be read must be equal. Every command is taken back once before it counts, every block too.

#![cfg(test)]

mod model;

use std::cell::RefCell;
use std::fmt::{Arguments, Debug, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use casemate_ledger::risk::Risk;
use casemate_ledger::{BlockContext, Ledger, Verified, VerifiedWork};
use casemate_protocol::block::SealSecret;
use casemate_protocol::command::{Beneficiary, Command, DepositClaim, RevokeGrant, Side};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::event::OrderRested;
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{
    AccountId, AssetId, BoundedVec, ClientOrderId, Digest, DurationMs, Event, GrantNumber, Height, MarketId, PublicKey,
    RecordIndex, Reject, SegmentId, SystemCommand, TimeMs,
};
use model::coverage::Coverage;
use model::generate::{Input, Sequence, feed, sequence};
use model::world::{ACCOUNTS, START_MS, World, WorldGrant};
use model::{Model, comparable};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Sequences of 30 to 90 steps in a normal run, and where `CASEMATE_SLOW` is set.
const SEQUENCES: u32 = 3_000;
const SEQUENCES_SLOW: u32 = 100_000;

#[test]
fn prop_ledger_and_model_agree_on_every_step() {
    let coverage = RefCell::new(Coverage::default());
    let config = Config { cases: sequences(), failure_persistence: None, ..Config::default() };
    // The same sequences in every run; a longer run goes on where a shorter one ends.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&sequence(), |sequence| {
        run(&sequence, &mut coverage.borrow_mut()).map_err(|difference| TestCaseError::fail(difference.what))
    });
    match outcome {
        Ok(()) => {
            let missing = coverage.borrow().missing();
            assert!(missing.is_empty(), "never reached: {missing:?} of {coverage:#?}");
        }
        Err(TestError::Fail(_, sequence)) => panic!("{}", report(&without_idle_steps(sequence))),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs decides nothing")]
fn sequences() -> u32 {
    if std::env::var_os("CASEMATE_SLOW").is_some() { SEQUENCES_SLOW } else { SEQUENCES }
}

/// Where ledger and model part.
struct Difference {
    /// Steps before.
    step: usize,
    what: String,
}

fn run(sequence: &Sequence, coverage: &mut Coverage) -> Result<(), Difference> {
    let world = sequence.world();
    let mut pair = Pair::new(&world);
    for (step, planned) in sequence.steps.iter().enumerate() {
        let input = planned.resolve(&pair.model, pair.block.time_ms);
        pair.step(&input, coverage).map_err(|what| Difference { step, what })?;
    }
    pair.end_block().map_err(|what| Difference { step: sequence.steps.len(), what })
}

/// The two, side by side.
struct Pair<'a> {
    world: &'a World,
    ledger: Ledger,
    model: Model,
    block: BlockContext,
    next_record: u64,
    /// What the ledger was given in this block.
    given: Vec<Given>,
}

/// Something that the ledger was given, and what came of it.
struct Given {
    work: Work,
    record: RecordIndex,
    outcome: Result<Vec<Event>, Reject>,
}

#[derive(Clone)]
enum Work {
    Account { account: AccountId, grant: Option<GrantNumber>, command: Command },
    System(SystemCommand),
}

impl Work {
    fn verified(&self) -> Verified<'_> {
        Verified::assertion(match self {
            Self::Account { account, grant, command } => VerifiedWork::Account {
                account: *account,
                role: if grant.is_some() { SignerRole::Session } else { SignerRole::Root },
                // The ledger asks for the key of an opening only.
                key: PublicKey::Ed25519([0; 32]),
                grant: *grant,
                command,
            },
            Self::System(command) => VerifiedWork::System(command),
        })
    }
}

impl<'a> Pair<'a> {
    /// Both at the start of a block, balances and grants of the world in place.
    fn new(world: &'a World) -> Self {
        let mut ledger = Ledger::new(&world.genesis, core::iter::empty()).unwrap();
        let block = ledger.begin_block(Height::new(1), TimeMs::from_ms(START_MS - 1)).unwrap();
        let mut pair = Self { world, ledger, model: world.model(), block, next_record: 1, given: Vec::new() };
        for (output, &(segment, account, amount)) in (0..).zip(&world.balances) {
            let claim = DepositClaim {
                chain: 1,
                transaction: BoundedVec::new(b"transaction".to_vec()).unwrap(),
                output,
                asset: AssetId::new(1),
                amount,
                segment,
                beneficiary: Beneficiary::Account(account),
            };
            pair.act(AccountId::new(1), None, &Command::AttestDeposit(Box::new(claim))).unwrap();
        }
        for grant in &world.grants {
            pair.act(grant.account, None, &Command::RegisterGrant(Box::new(terms(grant)))).unwrap();
        }
        pair.end_block().unwrap();
        pair.begin_block(TimeMs::from_ms(START_MS)).unwrap();
        pair
    }

    /// Gives an input to both and compares what comes of it.
    fn step(&mut self, input: &Input, coverage: &mut Coverage) -> Result<(), String> {
        let before = self.model.clone();
        let mut time_ms = self.block.time_ms;
        let record = RecordIndex::new(self.next_record);
        let of_ledger = self.give(input)?.map(|events| comparable(&events));
        let of_model = feed(&mut self.model, &mut time_ms, record, input);
        coverage.record(&before, input, &of_model, &self.model);
        same(format_args!("verdict and events"), &of_ledger, &of_model)?;
        self.compare()
    }

    fn give(&mut self, input: &Input) -> Result<Result<Vec<Event>, Reject>, String> {
        Ok(match input {
            Input::Command { account, grant, command } => self.act(*account, *grant, command),
            Input::Wait { ms, is_behind } => {
                self.end_block()?;
                self.begin_block(self.block.time_ms.plus(DurationMs::from_ms(*ms)))?;
                if *is_behind { Ok(Vec::new()) } else { self.run_due() }
            }
            Input::CatchUp => self.run_due(),
            Input::Revoke { account, grant } => {
                self.act(*account, None, &Command::RevokeGrant(RevokeGrant { number: *grant }))
            }
        })
    }

    /// A command, and what it leaves to be done right after it.
    fn act(&mut self, account: AccountId, grant: Option<GrantNumber>, command: &Command) -> Result<Vec<Event>, Reject> {
        let segment = self.ledger.segment_of_command(command);
        let work = Work::Account { account, grant, command: command.clone() };
        // Where a group of commands would be taken back, so is this one, once.
        if let Some(group) = segment.and_then(|segment| self.ledger.begin_group(segment)) {
            let _forgotten = self.apply(&work, RecordIndex::new(self.next_record));
            self.ledger.roll_back_group(group);
        }
        let mut events = self.give_work(work)?;
        for work in self.ledger.take_follow_ups() {
            events.extend(self.give_work(Work::System(work))?);
        }
        Ok(events)
    }

    fn run_due(&mut self) -> Result<Vec<Event>, Reject> {
        let mut events = Vec::new();
        for work in self.ledger.due_at_start(&self.block) {
            events.extend(self.give_work(Work::System(work))?);
        }
        Ok(events)
    }

    fn give_work(&mut self, work: Work) -> Result<Vec<Event>, Reject> {
        let record = RecordIndex::new(self.next_record);
        self.next_record += 1;
        let outcome = self.apply(&work, record);
        self.given.push(Given { work, record, outcome: outcome.clone() });
        outcome
    }

    fn apply(&mut self, work: &Work, record: RecordIndex) -> Result<Vec<Event>, Reject> {
        let mut events = Vec::new();
        self.ledger.apply(&self.block, work.verified(), record, &mut events)?;
        Ok(events)
    }

    fn begin_block(&mut self, time_ms: TimeMs) -> Result<(), String> {
        let height = self.ledger.chain().height.next();
        self.block = self.ledger.begin_block(height, time_ms).ok_or("the block does not follow")?;
        Ok(())
    }

    /// Ends the block, after taking it back and doing it again.
    fn end_block(&mut self) -> Result<(), String> {
        let root = self.seal_block()?;
        self.ledger.roll_back_block();
        self.begin_block(self.block.time_ms)?;
        for Given { work, record, outcome } in core::mem::take(&mut self.given) {
            let again = self.apply(&work, record);
            same(format_args!("what comes of record {record} when it is done again"), &again, &outcome)?;
        }
        self.ledger.take_follow_ups();
        let again = self.seal_block()?;
        same(format_args!("state root of a block that is done again"), &again, &root)?;
        self.ledger.settle();
        Ok(())
    }

    fn seal_block(&mut self) -> Result<Digest, String> {
        same(format_args!("broken laws"), &self.ledger.enforce_laws(), &Vec::new())?;
        same(format_args!("laws broken in rows"), &self.ledger.check_laws_from_rows(), &Vec::new())?;
        Ok(self.ledger.seal(&SealSecret([7; 32]), &Sequential))
    }

    /// Everything that both can be asked.
    fn compare(&self) -> Result<(), String> {
        for segment in &self.world.genesis.segments {
            self.compare_segment(segment.id)?;
        }
        for grant in &self.world.grants {
            // INVARIANT(M3): the model counts from its own list of trades.
            let (committed, budget) = self.model.grant_law(grant.account, grant.number);
            if committed > budget {
                return Err(format!("grant {} of account {} is over its budget", grant.number, grant.account));
            }
        }
        Ok(())
    }

    fn compare_segment(&self, id: SegmentId) -> Result<(), String> {
        let (segment, model) = (self.ledger.segment(id).ok_or("no segment")?, &self.model);
        let totals = segment.totals();
        let fees = totals.insurance + totals.fees_validators + totals.fees_venue;
        same(format_args!("fees of segment {id}"), &fees, &model.fees(id))?;
        for (place, market) in (0..).zip(segment.markets()) {
            let (rules, facts) = (market.rules(), market.facts());
            let resting: Vec<OrderRested> = [Side::Bid, Side::Ask]
                .into_iter()
                .flat_map(|side| market.book().slots(side, segment.orders()))
                .filter_map(|slot| segment.orders().order(slot))
                .map(|order| rested(rules.id, order))
                .collect();
            same(format_args!("book of market {}", rules.id), &resting, &model.resting(rules.id))?;
            let open_interest = (i128::from(facts.open_long), -i128::from(facts.open_short));
            same(format_args!("open interest of market {}", rules.id), &open_interest, &model.open_interest(rules.id))?;
            let prices = [facts.reference_price, facts.band_lower, facts.band_upper];
            let (lower, upper) = model.band(rules);
            let of_model = [model.reference(rules.id), lower, upper];
            let of_ledger = prices.map(|price| i128::from(price.ticks()));
            same(format_args!("reference and band of market {}", rules.id), &of_ledger, &of_model)?;
            for account in (1..=ACCOUNTS).map(AccountId::new) {
                let position = segment.sub_account(account).map(|row| row.position(place)).unwrap_or_default();
                let position = (i128::from(position.lots()), i128::from(position.entry_notional()));
                let of_model = model.position(rules.id, account);
                same(format_args!("position of account {account} in market {}", rules.id), &position, &of_model)?;
                // INVARIANT(M4)
                if position.0.unsigned_abs() > u128::from(rules.position_lots_max.lots()) {
                    return Err(format!("position of account {account} is beyond its maximum"));
                }
            }
        }
        (1..=ACCOUNTS).try_for_each(|account| self.compare_account(id, AccountId::new(account)))
    }

    fn compare_account(&self, id: SegmentId, account: AccountId) -> Result<(), String> {
        let (segment, model) = (self.ledger.segment(id).ok_or("no segment")?, &self.model);
        let row = segment.sub_account(account).cloned().unwrap_or_default();
        let risk = Risk::new(segment.markets(), self.block.waiting_ms);
        let free = risk.free_collateral(&row, None);
        let equity = risk.band_edge_equity(&row, None);
        let of_ledger = [row.cash(), free, equity].map(|amount| i128::from(amount.micros()));
        let of_model = [model.cash(id, account), model.free(id, account), model.band_edge_equity(id, account)];
        same(format_args!("cash, free and band-edge equity of account {account} in {id}"), &of_ledger, &of_model)?;
        for grant in self.world.grants.iter().filter(|grant| grant.account == account) {
            let used = row.usage().iter().find(|usage| usage.grant() == grant.number);
            // Nobody asks any more what a grant used that is over and has nothing resting.
            if used.is_none() && !model.is_grant_live(account, grant.number, self.block.time_ms) {
                continue;
            }
            let of_ledger =
                used.map_or([0; 2], |usage| [usage.traded(), usage.reserved()].map(|amount| amount.micros()));
            let of_model =
                [model.grant_traded(id, account, grant.number), model.grant_reserved(id, account, grant.number)];
            let what = format_args!("traded and reserved under grant {} of account {account} in {id}", grant.number);
            same(what, &of_ledger.map(i128::from), &of_model)?;
        }
        Ok(())
    }
}

fn terms(grant: &WorldGrant) -> GrantTerms {
    let mut session_key = [0; 32];
    session_key[..8].copy_from_slice(&grant.account.number().to_le_bytes());
    session_key[8..12].copy_from_slice(&grant.number.number().to_le_bytes());
    GrantTerms {
        number: grant.number,
        parent: GrantNumber::NONE,
        session_key: PublicKey::Ed25519(session_key),
        actions: ActionSet::TRADING,
        markets: MarketScope::All,
        notional_quote_micros_max: grant.notional_max,
        loss_quote_micros_max: grant.notional_max,
        commands_per_minute_max: 1,
        expires_ms: grant.expires_ms,
        register_before_ms: TimeMs::from_ms(START_MS),
    }
}

fn rested(market: MarketId, order: &casemate_ledger::segment::RestingOrder) -> OrderRested {
    OrderRested {
        market,
        number: order.number,
        account: order.owner(),
        client_id: ClientOrderId::new(order.client_id),
        grant: GrantNumber::new(order.grant),
        side: order.side,
        price: order.price,
        quantity: order.remaining,
        is_reduce_only: order.is_reduce_only,
        is_ladder: order.is_ladder,
        expires_ms: order.expires_ms,
        origin: order.origin,
    }
}

fn same<T: PartialEq + Debug>(what: Arguments<'_>, ledger: &T, model: &T) -> Result<(), String> {
    if ledger == model { Ok(()) } else { Err(format!("{what}\n  ledger: {ledger:?}\n  model:  {model:?}")) }
}

// What a failure prints.

/// Takes out what is not needed to fail: proptest makes steps simpler, but keeps at least as many as it would make.
fn without_idle_steps(mut sequence: Sequence) -> Sequence {
    let mut size = sequence.steps.len();
    while size > 0 {
        let mut start = 0;
        while start < sequence.steps.len() {
            let mut shorter = sequence.clone();
            let end = (start + size).min(shorter.steps.len());
            shorter.steps.drain(start..end);
            if fails(&shorter) {
                sequence = shorter;
            } else {
                start += size;
            }
        }
        size /= 2;
    }
    sequence
}

fn fails(sequence: &Sequence) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(sequence, &mut Coverage::default()).is_err())).unwrap_or(true)
}

fn report(sequence: &Sequence) -> String {
    let mut text = format!("ledger and model part, in {} segments:\n", sequence.world().genesis.segments.len());
    let outcome = catch_unwind(AssertUnwindSafe(|| run(sequence, &mut Coverage::default())));
    let difference = match outcome {
        Ok(Ok(())) => Difference { step: sequence.steps.len(), what: "nothing: it fails by chance".to_owned() },
        Ok(Err(difference)) => difference,
        Err(_) => Difference { step: sequence.steps.len(), what: "one of them panicked".to_owned() },
    };
    // The model alone tells what the steps meant, as far as both went together.
    let (mut model, mut time_ms) = (sequence.world().model(), TimeMs::from_ms(START_MS));
    for (step, planned) in sequence.steps.iter().enumerate().take(difference.step + 1) {
        let input = planned.resolve(&model, time_ms);
        let _ = writeln!(text, "{step}. {input:?}");
        let fed = catch_unwind(AssertUnwindSafe(|| feed(&mut model, &mut time_ms, RecordIndex::NONE, &input)));
        if fed.is_err() {
            break;
        }
    }
    let _ = writeln!(text, "then differ: {}", difference.what);
    text
}
