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
use casemate_ledger::segment::Segment;
use casemate_ledger::{BlockContext, Ledger, Verified, VerifiedWork};
use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, RatioLevels,
};
use casemate_protocol::command::{
    Beneficiary, DepositClaim, PlaceOrder, QuoteLadder, QuoteLevel, Side, SubmitPrice, SystemWork,
};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::event::PassCause;
use casemate_protocol::genesis::{Genesis, MarketRules, Principal, WindowCap};
use casemate_protocol::regime::{RegimeLevels, RegimeRules};
use casemate_protocol::{
    AccountId, AssetId, Command, DurationMs, Event, FeedId, Height, OperatorId, PriceNanos, PriceTicks, QuantityLots,
    QuoteMicros, RatioPpm, RecordIndex, SystemCommand, TimeMs,
};

const ACCOUNTS: u64 = 1_000_000;
/// Cash of each: 1,000 quote.
const BALANCE: i64 = 1_000_000_000;
const TICK_NANOS: u64 = 1_000_000_000;
const PUBLISHER: u64 = 2;
/// Attestor, publisher, two officers, two governors and the backstop come before the traders.
const FIRST: u64 = FIRST_ACCOUNT + 6;
const REPEATS: usize = 5;
const ATTESTOR: u64 = 1;
/// The account after the traders.
const MAKER: u64 = FIRST + ACCOUNTS;
const MAKER_BALANCE: i64 = 1_000_000_000_000_000;
/// Of a level of the maker's ladder: 1.6 million quote.
const LEVEL_LOTS: u64 = 16_000_000;
/// Blocks from one check of the order against a scan of a million rows to the next.
const CHECKED_EVERY: usize = 250;
/// Blocks of the fall without quotes: in 25 of them it falls.
const UNQUOTED_BLOCKS: usize = 100;

fn main() {
    // `cargo test --benches` only builds and starts it.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    drain_hundred_thousand();
    println!("a million accounts, each with one position of log-uniform leverage from 3 to 30");
    let mut desk = Desk::open_and_trade();
    desk.move_by_a_thousandth();
    desk.fall_with_quotes();
    Desk::open_and_trade().fall_without_quotes();
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

struct Desk {
    ledger: Ledger,
    block: BlockContext,
    records: u64,
    events: Vec<Event>,
    /// Cuts of accounts in profit, so far.
    deleveraged: u64,
}

impl Desk {
    fn open_and_trade() -> Self {
        let started = Instant::now();
        let mut desk = Self::open();
        desk.trade_all();
        let (found, took) = desk.look();
        println!(
            "  {:>10.1} s  to open and trade; {:.1} ms first look at every holder, {found} below maintenance",
            started.elapsed().as_secs_f64(),
            ms(took)
        );
        desk
    }

    fn open() -> Self {
        let genesis = genesis();
        // One more, who quotes.
        let keys = (0..=ACCOUNTS).map(|place| casemate_ledger::SeededKeys {
            root: named_key("root", FIRST + place),
            session: named_key("session", FIRST + place),
        });
        let mut ledger = Ledger::new(&genesis, keys).expect("a valid genesis");
        let block = next_block(&mut ledger);
        let mut desk = Self { ledger, block, records: 0, events: Vec::new(), deleveraged: 0 };
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
        let is_cut =
            |event: &Event| matches!(event, Event::PositionPassed(passed) if passed.cause == PassCause::Deleveraging);
        self.deleveraged += self.events.iter().filter(|event| is_cut(event)).count() as u64;
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

    /// The price falls by a thousandth, and rises again, some times.
    fn move_by_a_thousandth(&mut self) {
        let mut samples: Vec<(Duration, usize)> = Vec::new();
        for step in 0..2 * REPEATS as u64 {
            let ticks = if step.is_multiple_of(2) { MIDDLE_TICKS - MIDDLE_TICKS / 1_000 } else { MIDDLE_TICKS };
            self.move_to(ticks);
            let (found, took) = self.look();
            samples.push((took, found));
        }
        samples.sort_unstable();
        let (took, _) = samples[samples.len() / 2];
        let most = samples.iter().map(|(_, found)| *found).max().unwrap_or(0);
        println!(
            "  {:>10.3} ms a move of 0.1 %, median of {} (at most {most} below maintenance)",
            ms(took),
            samples.len()
        );
    }

    /// The price falls by 5 % over most of an hour, faster at first than 64 accounts a block follow. A maker's ladder is
    /// renewed in each block. Everybody below maintenance is worked off, the worst first.
    fn fall_with_quotes(&mut self) {
        self.fund_maker();
        let mut worked = Worked::default();
        let (mut ticks, mut left_most) = (MIDDLE_TICKS, 0usize);
        loop {
            // Three ticks in two blocks.
            ticks = (ticks - 1 - worked.blocks.len() as u64 % 2).max(MIDDLE_TICKS - MIDDLE_TICKS / 20);
            self.quote(ticks);
            self.move_to(ticks);
            if worked.blocks.len().is_multiple_of(CHECKED_EVERY) {
                left_most = left_most.max(self.check_order());
            }
            let accounts = self.work_off(&mut worked);
            if ticks == MIDDLE_TICKS - MIDDLE_TICKS / 20 && accounts == 0 {
                break;
            }
            assert!(worked.blocks.len() < 20_000, "it does not end");
        }
        let left = self.below_maintenance();
        worked.print("a fall of 5 % with quotes");
        println!(
            "             at most {left_most} waiting, {left} left below maintenance, {} cuts in profit",
            self.deleveraged
        );
        assert_eq!(left, 0, "nobody waits for the next block once nobody is due");
    }

    /// The price falls by 5 % as fast as the cap allows, and nobody quotes: what cannot be closed on the book comes to
    /// deleveraging, one position a block.
    fn fall_without_quotes(&mut self) {
        let mut worked = Worked::default();
        let mut ticks = MIDDLE_TICKS;
        for _ in 0..UNQUOTED_BLOCKS {
            ticks = (ticks - MIDDLE_TICKS / 500).max(MIDDLE_TICKS - MIDDLE_TICKS / 20);
            self.move_to(ticks);
            self.work_off(&mut worked);
        }
        worked.print("a fall of 5 % without quotes");
        worked.steps.retain(|(_, cuts)| *cuts > 0);
        worked.steps.sort_unstable();
        let (Some((longest, _)), (median, _)) = (worked.steps.last(), worked.steps[worked.steps.len() / 2]) else {
            return;
        };
        let left = self.below_maintenance();
        println!(
            "  {:>10.3} ms median, {:.3} ms longest of the steps of a block with a deleveraging, {} of them, {} cuts, {left} still below maintenance",
            ms(median),
            ms(*longest),
            worked.steps.len(),
            self.deleveraged
        );
    }

    /// Liquidations of this block. How many accounts.
    fn work_off(&mut self, worked: &mut Worked) -> usize {
        let started = Instant::now();
        let due = self.ledger.due_liquidations(&self.block);
        let looked = started.elapsed();
        let accounts = due.iter().filter(|command| matches!(command.work, SystemWork::Liquidate(_))).count();
        assert!(accounts <= 64, "{accounts} in one block");
        let before = self.deleveraged;
        self.system(due);
        let took = started.elapsed();
        worked.looks.push(looked);
        worked.steps.push((took.saturating_sub(looked), self.deleveraged - before));
        worked.blocks.push(took);
        worked.accounts += accounts;
        accounts
    }

    fn segment(&self) -> &Segment {
        self.ledger.segment(SEGMENT).expect("the segment")
    }

    fn below_maintenance(&self) -> usize {
        self.segment().scan_below_maintenance(self.ledger.chain().waiting_ms).len()
    }

    /// Whether the next to be worked off are those of a scan of all rows, in its order. How many a scan finds.
    fn check_order(&mut self) -> usize {
        let due = self.ledger.due_liquidations(&self.block);
        let waiting_ms = self.ledger.chain().waiting_ms;
        let expected = self.segment().scan_due(waiting_ms, 64);
        let found: Vec<AccountId> = due
            .iter()
            .filter_map(|command| match command.work {
                SystemWork::Liquidate(of) => Some(of.account),
                _ => None,
            })
            .collect();
        assert_eq!(found, expected);
        self.below_maintenance()
    }

    /// The maker can carry what a million accounts may have to sell.
    fn fund_maker(&mut self) {
        let claim = DepositClaim {
            chain: 1,
            transaction: list(vec![1]),
            output: 0,
            asset: AssetId::new(1),
            amount: QuoteMicros::from_micros(MAKER_BALANCE),
            segment: SEGMENT,
            beneficiary: Beneficiary::Account(AccountId::new(MAKER)),
        };
        self.ask(ATTESTOR, &Command::AttestDeposit(Box::new(claim)));
    }

    /// The maker's ladder around a price: ten levels a side.
    fn quote(&mut self, ticks: u64) {
        let level =
            |price| QuoteLevel { price: PriceTicks::from_ticks(price), quantity: QuantityLots::from_lots(LEVEL_LOTS) };
        let command = Command::QuoteLadder(Box::new(QuoteLadder {
            market: MARKET,
            bids: list((1..=10).map(|place| level(ticks - 5 * place)).collect()),
            asks: list((1..=10).map(|place| level(ticks + 5 * place)).collect()),
        }));
        self.ask(MAKER, &command);
    }
}

/// What liquidation cost, block by block.
#[derive(Default)]
struct Worked {
    looks: Vec<Duration>,
    /// With cuts of accounts in profit.
    steps: Vec<(Duration, u64)>,
    blocks: Vec<Duration>,
    accounts: usize,
}

impl Worked {
    fn print(&self, name: &str) {
        let median = |samples: &[Duration]| {
            let mut sorted = samples.to_vec();
            sorted.sort_unstable();
            (ms(sorted[sorted.len() / 2]), ms(sorted[sorted.len() - 1]))
        };
        let ((block, longest), (look, longest_look)) = (median(&self.blocks), median(&self.looks));
        let total: Duration = self.blocks.iter().sum();
        println!(
            "  {block:>10.3} ms median, {longest:.3} ms longest block of {name}: {} steps of liquidation in {} blocks, {:.1} s in all",
            self.accounts,
            self.blocks.len(),
            total.as_secs_f64()
        );
        println!("             of that {look:.3} ms median, {longest_look:.3} ms longest to find who is due");
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
    let full = venue::genesis(ACCOUNTS + 1);
    let officers = |kind| Officers { members: list(vec![principal(kind, 1), principal(kind, 2)]), quorum: 2 };
    let seeded = full.seeded.map(|seeded| casemate_protocol::genesis::SeededAccounts {
        balance: QuoteMicros::from_micros(BALANCE),
        ..seeded
    });
    // Wide enough for the maker, and worth no more than a position may be at the highest price.
    let wide = QuantityLots::from_lots(1 << 36);
    let price_max = PriceTicks::from_ticks(2 * MIDDLE_TICKS);
    let markets = full.markets.iter().map(|market| MarketRules {
        price_max,
        order_lots_max: wide,
        position_lots_max: wide,
        ..*market
    });
    let markets = list(markets.collect());
    Genesis {
        markets,
        publishers: list(vec![principal("root", 2)]),
        risk_officers: officers("officer"),
        governors: officers("governor"),
        feeds: list(vec![feed()]),
        clearing: list(vec![clearing()]),
        margins: list(vec![margin()]),
        seeded,
        ..full
    }
}

fn principal(kind: &'static str, operator: u16) -> Principal {
    Principal { operator: OperatorId::new(operator), root_key: named_key(kind, operator.into()) }
}

fn feed() -> FeedRules {
    let duration = DurationMs::from_ms;
    let ppm = RatioPpm::from_ppm;
    FeedRules {
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
    }
}

fn margin() -> MarginRules {
    let duration = DurationMs::from_ms;
    let ppm = RatioPpm::from_ppm;
    let micros = QuoteMicros::from_micros;
    let tier = |from, initial, maintenance| MarginTier {
        notional_from: micros(from),
        initial: ppm(initial),
        maintenance: ppm(maintenance),
    };
    MarginRules {
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
        regime: regime(),
    }
}

/// Levels that nothing in here reaches.
fn regime() -> RegimeRules {
    let ppm = RatioPpm::from_ppm;
    let far = RegimeLevels { elevated: ppm(2_000_000), stressed: ppm(3_000_000), extreme: ppm(4_000_000) };
    RegimeRules {
        volatility: far,
        jump: far,
        thinness: far,
        spread: far,
        imbalance: far,
        leave: ppm(700_000),
        hold_ms: DurationMs::from_ms(600_000),
        volatility_window_ms: DurationMs::from_ms(1_800_000),
        depth_window_ms: DurationMs::from_ms(86_400_000),
    }
}

/// Breakers that let a market fall as far as it likes.
fn clearing() -> ClearingRules {
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
    ClearingRules {
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
    }
}
