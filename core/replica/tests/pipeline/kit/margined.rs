//! The small venue with its first segment on margin: feeds, five publishers, officers and a backstop.

use casemate_gate::PolicyDecider;
use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, ProposalRules, RatioLevels,
};
use casemate_protocol::command::{
    Approve, Beneficiary, CancelAllOrders, CancelScope, Change, LeaveBreaker, Propose, SubmitPrice, TimeInForce,
};
use casemate_protocol::genesis::{Genesis, MarketRules, Principal, WindowCap};
use casemate_protocol::regime::{RegimeLevels, RegimeRules};
use casemate_protocol::{
    AccountId, BreakerState, Command, DurationMs, FeedId, MarketId, OperatorId, PriceNanos, ProposalNumber,
    QuantityLots, RatioPpm, SegmentId, Side, TimeMs,
};

use super::random::Choices;
use super::{
    ATTESTORS, Letter, REFERENCE, Venue, ask, bid, claim, genesis as full_genesis, list, micros, order, public_key,
    root_key,
};

/// Accounts of the five publishers.
pub const PUBLISHERS: std::ops::RangeInclusive<u64> = ATTESTORS + 1..=ATTESTORS + 5;
/// Accounts of the three risk officers, of three operators.
pub const RISK_OFFICERS: [u64; 3] = [ATTESTORS + 6, ATTESTORS + 7, ATTESTORS + 8];
/// Accounts of the three governors; the second and the third are one operator.
pub const GOVERNORS: [u64; 3] = [ATTESTORS + 9, ATTESTORS + 10, ATTESTORS + 11];
/// The backstop's account.
pub const BACKSTOP: u64 = ATTESTORS + 12;
/// The first seeded account.
pub const FIRST: u64 = ATTESTORS + 13;

/// One tick of the small venue's markets is one unit of the quote asset.
pub const NANOS_PER_TICK: u64 = 1_000_000_000;
const PROPOSAL_DELAY_MS: u64 = 2_000;

fn ms(ms: u64) -> DurationMs {
    DurationMs::from_ms(ms)
}

fn ppm(ppm: u32) -> RatioPpm {
    RatioPpm::from_ppm(ppm)
}

/// Segment 1 (markets 1 and 2) on margin, segment 2 with full collateral.
pub fn genesis() -> Genesis {
    let full = full_genesis();
    let principal = |account: u64, operator: u16| Principal {
        operator: OperatorId::new(operator),
        root_key: public_key(&root_key(account)),
    };
    let officers = |accounts: [u64; 3], operators: [u16; 3]| Officers {
        members: list(
            accounts.into_iter().zip(operators).map(|(account, operator)| principal(account, operator)).collect(),
        ),
        quorum: 2,
    };
    let mut accounts = full.accounts;
    (accounts.weight_burst, accounts.weight_per_second) = (1_000_000, 1_000_000);
    let markets = full.markets.iter().map(|market| match market.segment.number() {
        1 => MarketRules {
            order_lots_max: QuantityLots::from_lots(10_000),
            position_lots_max: QuantityLots::from_lots(20_000),
            ..*market
        },
        _ => *market,
    });
    Genesis {
        accounts,
        publishers: list(PUBLISHERS.zip(11..).map(|(account, operator)| principal(account, operator)).collect()),
        risk_officers: officers(RISK_OFFICERS, [21, 22, 23]),
        governors: officers(GOVERNORS, [31, 32, 32]),
        proposals: ProposalRules { delay_ms: ms(PROPOSAL_DELAY_MS), life_ms_max: ms(3_600_000) },
        feeds: list(vec![feed(1), feed(2)]),
        markets: list(markets.collect()),
        clearing: list(vec![clearing(principal(BACKSTOP, 41))]),
        margins: list(vec![margin(1), margin(2)]),
        ..full
    }
}

fn feed(id: u16) -> FeedRules {
    FeedRules {
        id: FeedId::new(id),
        segment: SegmentId::new(1),
        publishers: list((0..5).collect()),
        operators_min: 3,
        reference_price: PriceNanos::from_nanos(REFERENCE * NANOS_PER_TICK),
        observation_age_ms_max: ms(5_000),
        open_age_ms_max: ms(3_000),
        liquidate_age_ms_max: ms(60_000),
        confidence_max: ppm(20_000),
        move_per_second_max: ppm(10_000),
    }
}

fn margin(market: u16) -> MarginRules {
    let tier = |from: i64, initial, maintenance| MarginTier {
        notional_from: micros(from),
        initial: ppm(initial),
        maintenance: ppm(maintenance),
    };
    MarginRules {
        market: MarketId::new(market),
        feed: FeedId::new(market),
        tick_size: PriceNanos::from_nanos(NANOS_PER_TICK),
        tiers: list(vec![tier(0, 50_000, 30_000), tier(1_000_000_000, 100_000, 60_000)]),
        size_rate: ppm(20_000),
        size_notional: micros(10_000_000_000),
        open_interest_notional_max: micros(500_000_000),
        basis_max: ppm(10_000),
        basis_window_ms: ms(150_000),
        profit_cliff_ms: ms(60_000),
        profit_ramp_ms: ms(120_000),
        extended_move: ppm(200_000),
        funding: FundingRules {
            interval_ms: ms(3_600_000),
            interest: ppm(100),
            clamp: ppm(500),
            rate_max: ppm(10_000),
            impact_notional: micros(1_000_000),
        },
        liquidation: LiquidationRules {
            fee: ppm(5_000),
            depth_share: ppm(500_000),
            slice_min: micros(1_000_000),
            per_second_max: micros(1_000_000_000),
            slippage_max: ppm(15_000),
            backstop_below: ppm(666_667),
            backstop_loss_max: micros(50_000_000),
            insurance_share_max: ppm(400_000),
            insurance_window_ms: ms(3_600_000),
        },
        regime: regime(),
    }
}

/// Its own and not those of the protocol's examples: the fuzz target builds this kit without their feature.
fn regime() -> RegimeRules {
    let levels = |elevated, stressed, extreme| RegimeLevels {
        elevated: ppm(elevated),
        stressed: ppm(stressed),
        extreme: ppm(extreme),
    };
    RegimeRules {
        volatility: levels(10_000, 25_000, 50_000),
        jump: levels(10_000, 25_000, 50_000),
        thinness: levels(600_000, 800_000, 950_000),
        spread: levels(2_000, 10_000, 50_000),
        imbalance: levels(800_000, 950_000, 1_000_000),
        leave: ppm(700_000),
        hold_ms: ms(60_000),
        volatility_window_ms: ms(300_000),
        depth_window_ms: ms(3_600_000),
    }
}

fn clearing(backstop: Principal) -> ClearingRules {
    let levels = |leave, elevated, reduce_only, withdraw_gated, halted| RatioLevels {
        leave: ppm(leave),
        elevated: ppm(elevated),
        reduce_only: ppm(reduce_only),
        withdraw_gated: ppm(withdraw_gated),
        halted: ppm(halted),
    };
    ClearingRules {
        segment: SegmentId::new(1),
        backstop,
        transfer_margin: ppm(100_000),
        principal_exit: PrincipalExitRules {
            delay_ms: ms(20_000),
            limit: WindowCap { window_ms: ms(60_000), amount_max: micros(4_000_000) },
        },
        breakers: BreakerRules {
            price_move: levels(25_000, 50_000, 100_000, 250_000, 500_000),
            divergence: levels(20_000, 40_000, 100_000, 200_000, 500_000),
            price_age: levels(100_000, 250_000, 500_000, 1_000_000, 10_000_000),
            insurance_draw: levels(50_000, 100_000, 250_000, 500_000, 1_000_001),
            outflow: levels(250_000, 500_000, 900_000, 1_000_001, 1_000_002),
            deficit_floor: micros(1_000_000),
            clear_ms: ms(5_000),
            cooldown_ms: ms(10_000),
            cooldown_ms_max: ms(60_000),
        },
    }
}

pub fn venue() -> Venue {
    Venue::of(genesis())
}

/// For random sequences: breakers that let markets run far before they trip, and funding every minute.
pub fn patient_venue() -> Venue {
    let mut genesis = genesis();
    let mut clearing = genesis.clearing.clone().into_vec();
    let breakers = &mut clearing[0].breakers;
    for levels in [&mut breakers.price_move, &mut breakers.divergence] {
        let later = |level: RatioPpm| ppm(level.ppm().saturating_mul(5));
        *levels = RatioLevels {
            leave: later(levels.leave),
            elevated: later(levels.elevated),
            reduce_only: later(levels.reduce_only),
            withdraw_gated: later(levels.withdraw_gated),
            halted: later(levels.halted),
        };
    }
    // Steps of a minute are ordinary in random sequences.
    let breakers = &mut clearing[0].breakers;
    breakers.price_age = RatioLevels {
        leave: ppm(1_000_000),
        elevated: ppm(3_000_000),
        reduce_only: ppm(4_000_000),
        withdraw_gated: ppm(5_000_000),
        halted: ppm(10_000_000),
    };
    genesis.clearing = list(clearing);
    let mut margins = genesis.margins.clone().into_vec();
    for margin in &mut margins {
        margin.funding.interval_ms = ms(60_000);
        margin.open_interest_notional_max = micros(5_000_000_000);
    }
    genesis.margins = list(margins);
    Venue::of(genesis)
}

/// Quotes and leveraged orders around the index, for random sequences: what makes liquidations happen.
pub fn random_leverage(choices: &mut Choices<'_>, venue: &mut Venue) -> Vec<Letter> {
    if choices.one_in(2) {
        return Vec::new();
    }
    let market = 1 + u16::try_from(choices.below(2)).expect("small");
    let index = venue.index(market).max(20);
    let (maker, taker) = (FIRST + choices.below(super::SEEDED), FIRST + choices.below(super::SEEDED));
    let lots = 400 + 60 * choices.below(60);
    let near = choices.below(8);
    let cancel = Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Segment(SegmentId::new(1)) });
    let quotes = match choices.below(4) {
        0 => vec![cancel],
        1 => vec![bid(market, index - 1 - near, lots), ask(market, index + 1 + near, lots)],
        2 => vec![cancel, bid(market, index - 1, lots)],
        _ => vec![cancel, ask(market, index + 1, lots)],
    };
    let side = if choices.one_in(2) { Side::Bid } else { Side::Ask };
    let limit = if side == Side::Bid { index + 9 } else { index - 9 };
    let take = Command::PlaceOrder(order(market, side, limit, lots, TimeInForce::ImmediateOrCancel));
    vec![venue.root(maker, quotes), venue.root(taker, vec![take])]
}

/// What one publisher says now: in the block after the next 10 ms it was seen `age_ms` ago.
pub fn price<D: PolicyDecider>(venue: &Venue<D>, feed: u16, ticks: u64, age_ms: u64) -> Command {
    Command::SubmitPrice(SubmitPrice {
        feed: FeedId::new(feed),
        price: PriceNanos::from_nanos(ticks * NANOS_PER_TICK),
        confidence: PriceNanos::from_nanos(NANOS_PER_TICK / 2),
        source_ms: TimeMs::from_ms(venue.time_ms + 10 - age_ms),
    })
}

impl<D: PolicyDecider> Venue<D> {
    /// All publishers say this price of a feed, in one block 10 ms later.
    pub fn publish(&mut self, feed: u16, ticks: u64) -> super::Step {
        let letters: Vec<Letter> = PUBLISHERS
            .map(|account| {
                let command = price(self, feed, ticks, 0);
                self.root(account, vec![command])
            })
            .collect();
        self.step(&letters)
    }

    /// The price of both feeds stands here for so long, published each second.
    pub fn hold(&mut self, prices: [u64; 2], seconds: u64) {
        for _ in 0..seconds {
            self.wait(980);
            for (feed, ticks) in (1..).zip(prices) {
                self.publish(feed, ticks);
            }
        }
    }

    /// The price of the first feed moves here, a hundredth each second at most, which the cap lets through.
    pub fn move_to(&mut self, ticks: u64) {
        for _ in 0..200 {
            let now = self.index(1);
            if now == ticks {
                return;
            }
            let step = (now / 110).max(1);
            let next = if ticks > now { (now + step).min(ticks) } else { now.saturating_sub(step).max(ticks) };
            self.hold([next, REFERENCE], 1);
        }
        panic!("the price does not come to {ticks}");
    }

    /// The index of a market of segment 1, in ticks.
    pub fn index(&self, market: u16) -> u64 {
        let segment = self.ledger().segment(SegmentId::new(1)).expect("segment 1");
        let margin = segment.markets()[usize::from(market) - 1].margin().expect("on margin");
        margin.pricing().index.fine() >> 16
    }

    /// The median that is published of a feed, in ticks.
    pub fn published(&self, feed: u16) -> u64 {
        let segment = self.ledger().segment(SegmentId::new(1)).expect("segment 1");
        let feed = &segment.clearing().expect("on margin").feeds()[usize::from(feed) - 1];
        (feed.facts().published.nanos() / NANOS_PER_TICK).max(1)
    }

    /// Gives an account money through the attestors.
    pub fn deposit(&mut self, number: u64, account: u64, amount: i64) {
        let claim = claim(number, amount, Beneficiary::Account(AccountId::new(account)));
        let step = self.attest(&[1, 2], &claim);
        assert_eq!(step.verdict(1, 0), Ok(()));
    }
}

/// What officers and the depositor of the backstop do now and then, for random sequences.
pub fn random_offices(choices: &mut Choices<'_>, venue: &mut Venue) -> Vec<Letter> {
    let segment = venue.ledger().segment(SegmentId::new(1)).expect("segment 1");
    let state = segment.breaker_state();
    let open = segment.clearing().and_then(|clearing| clearing.proposals().keys().next_back().copied());
    if state == BreakerState::Normal && open.is_none() || choices.one_in(3) {
        return Vec::new();
    }
    let officers = if state == BreakerState::Halted { GOVERNORS } else { RISK_OFFICERS };
    let officer = choices.pick(&officers);
    let to = choices.pick(&[BreakerState::Normal, BreakerState::Normal, BreakerState::Elevated]);
    let command = match open {
        Some(number) => Command::Approve(Approve { segment: SegmentId::new(1), number: ProposalNumber::new(number) }),
        None => Command::Propose(Box::new(Propose {
            segment: SegmentId::new(1),
            change: Change::LeaveBreaker(LeaveBreaker { from: state, to }),
            expires_ms: TimeMs::from_ms(venue.time_ms + choices.pick(&[5_000u64, 600_000, 600_000, 600_000])),
        })),
    };
    vec![venue.root(officer, vec![command])]
}

/// Prices of some publishers, near the last ones or far away, for random sequences.
pub fn random_prices(choices: &mut Choices<'_>, venue: &mut Venue) -> Vec<Letter> {
    if choices.one_in(3) {
        return Vec::new();
    }
    let feed = 1 + u16::try_from(choices.below(2)).expect("small");
    let now = venue.published(feed);
    // A trend that turns now and then takes prices far enough to liquidate somebody.
    let falls = (venue.time_ms / 20_000).is_multiple_of(2);
    // Mostly a price stands for some blocks: while the cap holds it back, nobody takes new risk.
    let change = choices.pick(&[1_000u64, 1_000, 1_000, 1_000, 1_000, 1_000, 1_005, 1_010, 1_015, 1_030, 1_100]);
    let change = if falls { 1_000_000 / change } else { change };
    let ticks = (now * change / 1_000).clamp(1, 9_000);
    let count = choices.pick(&[5usize, 5, 5, 5, 3, 2]);
    let outlier = choices.one_in(8);
    PUBLISHERS
        .take(count)
        .map(|account| {
            let ticks = if outlier && account == ATTESTORS + 1 { ticks * 3 % 9_000 + 1 } else { ticks };
            let command = Command::SubmitPrice(SubmitPrice {
                feed: FeedId::new(feed),
                price: PriceNanos::from_nanos(ticks * NANOS_PER_TICK),
                confidence: PriceNanos::from_nanos(NANOS_PER_TICK),
                source_ms: TimeMs::from_ms(venue.time_ms + choices.pick(&[0u64, 0, 1, 1, 2_000])),
            });
            venue.root(account, vec![command])
        })
        .collect()
}
