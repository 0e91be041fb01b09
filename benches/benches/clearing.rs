//! Liquidation at scale: what a move of the price costs with a million leveraged positions, and what deleveraging costs.
//!
//! What to expect on paper: a mark passes the buckets between its old and its new place; each account in them is judged once,
//! about 0.1 µs in cache and a few loads from memory out of it. With leverage log-uniform from 3 to 30, about one account in
//! a thousand stands within 0.1 % of its bound. Draining sorts candidates by leverage: 100,000 of them in about 10 ms.

use std::time::{Duration, Instant};

use casemate_benches::venue::{
    self, FIRST_ACCOUNT, GENESIS_MS, MARKET, MIDDLE_TICKS, SEGMENT, limit_order, list, named_key, scattered,
};
use casemate_ledger::liquidation::draining::{Candidate, drain};
use casemate_ledger::{BlockContext, Ledger, Verified, VerifiedWork};
use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, RatioLevels,
};
use casemate_protocol::command::{PlaceOrder, Side, SubmitPrice, SystemWork};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::{Genesis, Principal, WindowCap};
use casemate_protocol::{
    AccountId, Command, DurationMs, FeedId, Height, OperatorId, PriceNanos, QuantityLots, QuoteMicros, RatioPpm,
    RecordIndex, SystemCommand, TimeMs,
};

const ACCOUNTS: u64 = 1_000_000;
/// Cash of each: 1,000 quote.
const BALANCE: i64 = 1_000_000_000;
const TICK_NANOS: u64 = 1_000_000_000;
const PUBLISHER: u64 = 2;
/// Attestor, publisher, two officers, two governors and the backstop come before the traders.
const FIRST: u64 = FIRST_ACCOUNT + 6;
const REPEATS: usize = 5;

fn main() {
    // `cargo test --benches` only builds and starts it.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("a million accounts, each with one position of log-uniform leverage from 3 to 30");
    let mut desk = Desk::open();
    let started = Instant::now();
    desk.trade_all();
    println!("  {:>10.1} s  to trade", started.elapsed().as_secs_f64());
    let (found, first_look) = desk.look();
    println!("  {:>10.1} ms first look at every holder, {found} below maintenance", ms(first_look));
    let mut samples: Vec<(Duration, usize)> = Vec::new();
    for step in 0..2 * REPEATS as u64 {
        // Down by a thousandth and back.
        let ticks = if step.is_multiple_of(2) { MIDDLE_TICKS - MIDDLE_TICKS / 1_000 } else { MIDDLE_TICKS };
        desk.move_to(ticks);
        let (found, took) = desk.look();
        samples.push((took, found));
    }
    samples.sort_unstable();
    let (took, _) = samples[samples.len() / 2];
    let most = samples.iter().map(|(_, found)| *found).max().unwrap_or(0);
    println!("  {:>10.3} ms a move of 0.1 %, median of {} (at most {most} below maintenance)", ms(took), samples.len());
    desk.fall_five_percent();
    drain_hundred_thousand();
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

struct Desk {
    ledger: Ledger,
    block: BlockContext,
    records: u64,
    events: Vec<casemate_protocol::Event>,
}

impl Desk {
    fn open() -> Self {
        let genesis = genesis();
        let keys = (0..ACCOUNTS).map(|place| casemate_ledger::SeededKeys {
            root: named_key("root", FIRST + place),
            session: named_key("session", FIRST + place),
        });
        let mut ledger = Ledger::new(&genesis, keys).expect("a valid genesis");
        let block = next_block(&mut ledger);
        let mut desk = Self { ledger, block, records: 0, events: Vec::new() };
        desk.publish(MIDDLE_TICKS);
        desk
    }

    fn next_block(&mut self) {
        self.ledger.settle();
        self.block = next_block(&mut self.ledger);
    }

    fn apply(&mut self, work: VerifiedWork<'_>) {
        let record = RecordIndex::new(self.records);
        self.records += 1;
        let verdict = self.ledger.apply(&self.block, Verified::assertion(work), record, &mut self.events);
        assert_eq!(verdict, Ok(()), "{:?}", self.records);
        self.events.clear();
    }

    fn ask(&mut self, account: u64, command: &Command) {
        self.apply(VerifiedWork::Account {
            account: AccountId::new(account),
            role: SignerRole::Root,
            key: named_key("root", account),
            grant: None,
            command,
        });
    }

    fn system(&mut self, due: Vec<SystemCommand>) {
        for command in &due {
            self.apply(VerifiedWork::System(command));
        }
    }

    /// A price and the mark that follows, in this block.
    fn publish(&mut self, ticks: u64) {
        let command = Command::SubmitPrice(SubmitPrice {
            feed: FeedId::new(1),
            price: PriceNanos::from_nanos(ticks * TICK_NANOS),
            confidence: PriceNanos::from_nanos(1),
            source_ms: self.block.time_ms,
        });
        self.ask(PUBLISHER, &command);
        let due = self.ledger.due_aggregates(&self.block);
        self.system(due);
        let due = self.ledger.due_marks(&self.block);
        self.system(due);
    }

    /// A block in which the price stands here.
    fn move_to(&mut self, ticks: u64) {
        self.next_block();
        self.publish(ticks);
    }

    /// Every two neighbours trade with each other, each pair as much as its leverage says.
    fn trade_all(&mut self) {
        for pair in 0..ACCOUNTS / 2 {
            let (maker, taker) = (FIRST + 2 * pair, FIRST + 2 * pair + 1);
            // 3 · 10^(u), u uniform in [0, 1): a thousand steps of one part in 434.
            let steps = i32::try_from(scattered(pair) % 1_000).expect("small");
            let leverage_milli = 3_000.0 * 10f64.powf(f64::from(steps) / 1_000.0);
            let lots = (BALANCE as f64 / 1e3 * leverage_milli / MIDDLE_TICKS as f64) as u64;
            let order = |side| match limit_order(side, MIDDLE_TICKS, 0) {
                Command::PlaceOrder(order) => {
                    Command::PlaceOrder(PlaceOrder { quantity: QuantityLots::from_lots(lots), ..order })
                }
                other => other,
            };
            let (first, second) = if pair.is_multiple_of(2) { (Side::Bid, Side::Ask) } else { (Side::Ask, Side::Bid) };
            self.ask(maker, &order(first));
            self.ask(taker, &order(second));
            if pair % 1_024 == 1_023 {
                self.move_to(MIDDLE_TICKS);
            }
        }
        self.move_to(MIDDLE_TICKS);
    }

    /// How many accounts are below maintenance, and how long finding them took.
    fn look(&mut self) -> (usize, Duration) {
        let started = Instant::now();
        let due = self.ledger.due_liquidations(&self.block);
        let took = started.elapsed();
        let scanned = self
            .ledger
            .segment(SEGMENT)
            .map_or(0, |segment| segment.scan_below_maintenance(self.ledger.chain().waiting_ms).len());
        assert!(due.len() == scanned.min(64), "the queue found {} of {scanned}", due.len());
        (scanned, took)
    }

    /// The price falls by 5 % in steps that the cap lets through, and everybody below maintenance is worked off in order.
    fn fall_five_percent(&mut self) {
        let (mut blocks, mut steps, mut longest, mut total) = (0u64, 0usize, Duration::ZERO, Duration::ZERO);
        let target = MIDDLE_TICKS - MIDDLE_TICKS / 20;
        let mut ticks = MIDDLE_TICKS;
        loop {
            ticks = ticks.saturating_sub(MIDDLE_TICKS / 500).max(target);
            self.move_to(ticks);
            let started = Instant::now();
            let due = self.ledger.due_liquidations(&self.block);
            let accounts = due.iter().filter(|command| matches!(command.work, SystemWork::Liquidate(_))).count();
            steps += accounts;
            self.system(due);
            let took = started.elapsed();
            longest = longest.max(took);
            total += took;
            blocks += 1;
            let is_over = ticks == target && accounts == 0;
            if is_over || blocks == 400 {
                break;
            }
        }
        let left = self
            .ledger
            .segment(SEGMENT)
            .map_or(0, |segment| segment.scan_below_maintenance(self.ledger.chain().waiting_ms).len());
        println!(
            "  {:>10.3} ms longest block of a fall of 5 %: {steps} steps of liquidation in {blocks} blocks, {:.1} s in all, {left} accounts left below maintenance",
            ms(longest),
            total.as_secs_f64()
        );
    }
}

fn next_block(ledger: &mut Ledger) -> BlockContext {
    let height = Height::new(ledger.chain().height.number() + 1);
    let time_ms = TimeMs::from_ms(GENESIS_MS + 1_000 * height.number());
    let block = ledger.begin_block(height, time_ms).expect("height and time grow");
    ledger.begin_commands();
    block
}

fn drain_hundred_thousand() {
    let candidates: Vec<Candidate> = (0..100_000u64)
        .map(|account| {
            let equity = i64::try_from(1_000_000 + scattered(account) % 1_000_000_000).expect("small");
            let lots = 1 + scattered(account + 7) % 10_000;
            let notional = i64::try_from(lots * 100_000).expect("small");
            Candidate { account, lots, notional, gross_notional: notional, equity, lots_max: lots }
        })
        .collect();
    let held: u64 = candidates.iter().map(|candidate| candidate.lots).sum();
    for percent in [1, 20, 50, 90] {
        let mut samples = Vec::new();
        for _ in 0..REPEATS {
            let mut cuts = Vec::new();
            let started = Instant::now();
            let placed = drain(&candidates, held * percent / 100, &mut cuts);
            samples.push(started.elapsed());
            assert_eq!(placed, held * percent / 100);
        }
        samples.sort_unstable();
        println!("  {:>10.3} ms deleveraging {percent} % over 100,000 candidates", ms(samples[REPEATS / 2]));
    }
}

fn genesis() -> Genesis {
    let full = venue::genesis(ACCOUNTS);
    let principal = |kind, operator: u16| Principal {
        operator: OperatorId::new(operator),
        root_key: named_key(kind, operator.into()),
    };
    let officers = |kind| Officers { members: list(vec![principal(kind, 1), principal(kind, 2)]), quorum: 2 };
    let duration = DurationMs::from_ms;
    let ppm = RatioPpm::from_ppm;
    let micros = QuoteMicros::from_micros;
    let levels = RatioLevels {
        leave: ppm(900_000),
        elevated: ppm(1_000_000),
        reduce_only: ppm(2_000_000),
        withdraw_gated: ppm(3_000_000),
        halted: ppm(4_000_000),
    };
    let feed = FeedRules {
        id: FeedId::new(1),
        segment: SEGMENT,
        publishers: list(vec![0]),
        operators_min: 1,
        reference_price: PriceNanos::from_nanos(MIDDLE_TICKS * TICK_NANOS),
        observation_age_ms_max: duration(5_000),
        open_age_ms_max: duration(5_000),
        liquidate_age_ms_max: duration(60_000),
        confidence_max: ppm(5_000),
        move_per_second_max: ppm(2_500),
    };
    let tier = |from, initial, maintenance| MarginTier {
        notional_from: micros(from),
        initial: ppm(initial),
        maintenance: ppm(maintenance),
    };
    let margin = MarginRules {
        market: MARKET,
        feed: FeedId::new(1),
        tick_size: PriceNanos::from_nanos(TICK_NANOS),
        tiers: list(vec![tier(0, 30_000, 20_000), tier(100_000_000_000, 100_000, 50_000)]),
        size_rate: ppm(10_000),
        size_notional: micros(1_000_000_000_000_000),
        open_interest_notional_max: micros(1 << 60),
        basis_max: ppm(1_000),
        basis_window_ms: duration(150_000),
        profit_cliff_ms: duration(600_000),
        profit_ramp_ms: duration(1_800_000),
        extended_move: ppm(200_000),
        funding: FundingRules {
            interval_ms: duration(28_800_000),
            interest: ppm(100),
            clamp: ppm(500),
            rate_max: ppm(10_000),
            impact_notional: micros(1_000_000_000),
        },
        liquidation: LiquidationRules {
            fee: ppm(2_500),
            depth_share: ppm(250_000),
            slice_min: micros(100_000_000),
            per_second_max: micros(1 << 50),
            slippage_max: ppm(10_000),
            backstop_below: ppm(666_667),
            backstop_loss_max: micros(1 << 40),
            insurance_share_max: ppm(400_000),
            insurance_window_ms: duration(3_600_000),
        },
    };
    let clearing = ClearingRules {
        segment: SEGMENT,
        backstop: principal("backstop", 1),
        transfer_margin: ppm(100_000),
        principal_exit: PrincipalExitRules {
            delay_ms: duration(1_000),
            limit: WindowCap { window_ms: duration(1_000), amount_max: micros(1) },
        },
        breakers: BreakerRules {
            price_move: levels,
            divergence: levels,
            price_age: levels,
            insurance_draw: levels,
            outflow: levels,
            deficit_floor: micros(1 << 60),
            clear_ms: duration(1),
            cooldown_ms: duration(1),
            cooldown_ms_max: duration(1),
        },
    };
    let seeded =
        full.seeded.map(|seeded| casemate_protocol::genesis::SeededAccounts { balance: micros(BALANCE), ..seeded });
    Genesis {
        publishers: list(vec![principal("root", 2)]),
        risk_officers: officers("officer"),
        governors: officers("governor"),
        feeds: list(vec![feed]),
        clearing: list(vec![clearing]),
        margins: list(vec![margin]),
        seeded,
        ..full
    }
}
