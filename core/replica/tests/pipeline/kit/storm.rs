//! Random sequences of a segment on margin in which much goes wrong: prices run and jump, everybody is levered, quotes
//! vanish, and money leaves as soon as it may.

use casemate_ledger::risk::Risk;
use casemate_protocol::command::{
    Beneficiary, CancelAllOrders, CancelScope, PlaceOrder, RequestTransfer, RequestWithdrawal, SubmitPrice, TimeInForce,
};
use casemate_protocol::genesis::{Genesis, LimiterRules, SegmentRules, WindowCap};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::{AccountId, Command, DurationMs, FeedId, PriceNanos, SegmentId, Side, TimeMs};

use super::margined::{BACKSTOP, FIRST, NANOS_PER_TICK, PUBLISHERS, patient_venue, random_offices};
use super::random::{Choices, letters};
use super::{Letter, REFERENCE, SEEDED, TICK_VALUE, Venue, ask, bid, claim, list, micros, order};

/// Steps of block time: mostly short enough for prices to stay young.
const STEPS_MS: [u64; 12] = [10, 10, 100, 500, 500, 1_000, 1_000, 1_000, 2_000, 2_000, 2_500, 61_000];

/// A patient venue that lets money in and out fast, also where each amount counts four times: its markets are extreme.
pub fn genesis() -> Genesis {
    let mut genesis = patient_venue().genesis;
    let segments = genesis.segments.iter().map(|rules| SegmentRules {
        inbound: WindowCap { window_ms: DurationMs::from_ms(60_000), amount_max: micros(1_000_000_000) },
        outbound: list(
            rules.outbound.iter().map(|window| LimiterRules { floor: micros(240_000_000), ..*window }).collect(),
        ),
        ..rules.clone()
    });
    genesis.segments = list(segments.collect());
    genesis
}

/// The venue with deep pockets filled and first prices.
pub fn venue() -> Venue {
    let mut venue = Venue::of(genesis());
    venue.deposit(1, MAKER, 400_000_000);
    for feed in [1, 2] {
        venue.publish(feed, REFERENCE);
    }
    venue
}

/// Pseudo-random bytes that are the same everywhere.
pub fn bytes(seed: u64, count: usize) -> Vec<u8> {
    (0u64..)
        .flat_map(|block| hash::digest(Domain::Development, &[b"storm", &seed.to_le_bytes(), &block.to_le_bytes()]).0)
        .take(count)
        .collect()
}

/// The next step of block time.
pub fn step_ms(choices: &mut Choices<'_>) -> u64 {
    choices.pick(&STEPS_MS)
}

/// The letters of one block.
pub fn block(choices: &mut Choices<'_>, venue: &mut Venue) -> Vec<Letter> {
    let mut all = prices(choices, venue);
    all.extend(money(choices, venue));
    for _ in 0..1 + choices.below(3) {
        all.extend(trading(choices, venue));
    }
    all.extend(random_offices(choices, venue));
    if choices.one_in(6) {
        all.extend(letters(choices, venue, 2));
    }
    all
}

/// Both feeds, mostly: a run of so many thousandths in one direction, which turns now and then, and sometimes a jump that
/// the cap holds back.
fn prices(choices: &mut Choices<'_>, venue: &mut Venue) -> Vec<Letter> {
    let mut all = Vec::new();
    for feed in [1u16, 2] {
        if choices.one_in(5) {
            continue;
        }
        let now = venue.published(feed);
        let falls = (venue.time_ms / 25_000 + u64::from(feed)).is_multiple_of(2);
        let change = choices.pick(&[0u64, 0, 3, 5, 8, 8, 10, 10, 12, 15, 30, 80]);
        let ticks = if falls { now * (1_000 - change) / 1_000 } else { (now * (1_000 + change)).div_ceil(1_000) };
        let ticks = ticks.clamp(300, 3_000);
        let publishers = choices.pick(&[5usize, 5, 5, 5, 5, 5, 2]);
        for account in PUBLISHERS.take(publishers) {
            let command = Command::SubmitPrice(SubmitPrice {
                feed: FeedId::new(feed),
                price: PriceNanos::from_nanos(ticks * NANOS_PER_TICK),
                confidence: PriceNanos::from_nanos(NANOS_PER_TICK),
                source_ms: TimeMs::from_ms(venue.time_ms),
            });
            all.push(venue.root(account, vec![command]));
        }
    }
    all
}

/// Anybody but the one with deep pockets.
fn trader(choices: &mut Choices<'_>) -> u64 {
    FIRST + choices.below(SEEDED - 1)
}

/// Lots that an account can just carry in a market, or some number of them.
fn lots(choices: &mut Choices<'_>, venue: &Venue, market: u16, account: u64) -> u64 {
    let segment = venue.ledger().segment(SegmentId::new(1)).expect("segment 1");
    let risk = Risk::new(segment.markets(), venue.ledger().chain().waiting_ms);
    let row = segment.sub_account(AccountId::new(account));
    let free = row.map_or(0, |row| risk.free_collateral(row, None).micros());
    let free = u64::try_from(free).unwrap_or(0);
    // Initial margin is a twentieth, and something is left for size, fees and slippage.
    let most = free * 18 / (venue.index(market) * TICK_VALUE);
    let wanted = if choices.one_in(3) { 300 + 70 * choices.below(60) } else { most };
    wanted.clamp(2, 9_000)
}

/// Quotes, levered orders, and closing.
fn trading(choices: &mut Choices<'_>, venue: &mut Venue) -> Vec<Letter> {
    let market = 1 + u16::try_from(choices.below(2)).expect("small");
    let index = venue.index(market);
    let account = trader(choices);
    let lots = lots(choices, venue, market, account);
    let cancel = || Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Segment(SegmentId::new(1)) });
    let side = if choices.one_in(2) { Side::Bid } else { Side::Ask };
    let (near, far) = match side {
        Side::Bid => (index + 1 + choices.below(3), index + 12),
        Side::Ask => (index - 1 - choices.below(3), index - 12),
    };
    let now = |side, price, lots| Command::PlaceOrder(order(market, side, price, lots, TimeInForce::ImmediateOrCancel));
    let commands = match choices.below(14) {
        0..=2 => vec![cancel(), bid(market, index - 2, lots / 2), ask(market, index + 2, lots / 2)],
        3 => vec![cancel()],
        4 | 5 => {
            vec![cancel(), if side == Side::Bid { bid(market, index - 6, lots) } else { ask(market, index + 6, lots) }]
        }
        6..=11 => vec![now(side, near, lots)],
        _ => {
            let held = venue.lots(market, account);
            let side = if held > 0 { Side::Ask } else { Side::Bid };
            let price = if held > 0 { far.min(index - 5) } else { far.max(index + 5) };
            let close = order(market, side, price, held.unsigned_abs().max(2), TimeInForce::ImmediateOrCancel);
            vec![Command::PlaceOrder(PlaceOrder { is_reduce_only: choices.one_in(2), ..close })]
        }
    };
    let mut all = vec![venue.root(account, commands)];
    // Who has deep pockets quotes again, more often than not: without a book there is nothing to lever up on.
    if !choices.one_in(3) {
        let gap = choices.pick(&[1u64, 1, 2, 8]);
        let quotes = vec![cancel(), bid(market, index - gap, 2_500), ask(market, index + gap, 2_500)];
        all.insert(0, venue.root(MAKER, quotes));
    }
    all
}

/// The account with deep pockets.
pub const MAKER: u64 = FIRST + SEEDED - 1;

/// Deposits, also for the backstop, and money that leaves.
fn money(choices: &mut Choices<'_>, venue: &mut Venue) -> Vec<Letter> {
    let account = trader(choices);
    let amount = micros(choices.pick(&[500_000i64, 2_000_000, 5_000_000, 12_000_000, 20_000_000]));
    let segment = SegmentId::new(1);
    match choices.below(10) {
        0 | 1 => {
            let beneficiary = if choices.one_in(3) { BACKSTOP } else { account };
            let claim = claim(venue.time_ms, amount.micros(), Beneficiary::Account(AccountId::new(beneficiary)));
            [1, 2].map(|attestor| venue.root(attestor, vec![Command::AttestDeposit(Box::new(claim.clone()))])).into()
        }
        2..=4 => {
            let ask = RequestWithdrawal { segment, amount, chain: 1, destination: list(vec![1]) };
            vec![venue.root(account, vec![Command::RequestWithdrawal(Box::new(ask))])]
        }
        5 => {
            let (from, to) = if choices.one_in(2) { (1, 2) } else { (2, 1) };
            let ask = RequestTransfer { from: SegmentId::new(from), to: SegmentId::new(to), amount };
            vec![venue.root(account, vec![Command::RequestTransfer(ask)])]
        }
        _ => Vec::new(),
    }
}
