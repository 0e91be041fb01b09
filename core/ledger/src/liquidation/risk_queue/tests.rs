//! Tests of the queue's bounds: it finds whom a scan finds, also next to where margin changes its slope, and however it came
//! to be.

use casemate_protocol::clearing::{MarginRules, MarginTier};
use casemate_protocol::command::Side;
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::testing::examples;
use casemate_protocol::{BoundedVec, MarketId, PriceGrade, PriceTicks, QuantityLots, RatioPpm};
use proptest::prelude::*;

use super::*;
use crate::market::fill::Fill;

/// The example's market on margin: a lot at 640,000 ticks is worth 64 quote, and a tick of it 100 micro-quote.
const START_FINE: u64 = 640_000 << 16;
const WAITING_MS: DurationMs = DurationMs::from_ms(1_000);
/// Takes the other side of every position.
const OTHER: u64 = 1_000;
const MARKETS: u16 = 2;
/// More than there are accounts.
const ALL: usize = 64;

struct Hall {
    segment: Segment,
    fine: [u64; 2],
}

impl Hall {
    fn new(price_max: u64, margin: impl Fn(MarginRules) -> MarginRules) -> Self {
        let mut genesis = examples::genesis();
        let wide = QuantityLots::from_lots(1 << 30);
        let price_max = PriceTicks::from_ticks(price_max);
        let market =
            |id| MarketRules { id: MarketId::new(id), price_max, position_lots_max: wide, ..examples::market(id, 2) };
        genesis.markets = BoundedVec::new(vec![market(1), market(2)]).unwrap();
        genesis.margins =
            BoundedVec::new(vec![margin(examples::margin(1, 1)), margin(examples::margin(2, 1))]).unwrap();
        let mut hall = Self { segment: Segment::new(&examples::segment(2), &genesis), fine: [START_FINE; 2] };
        (0..MARKETS).for_each(|market| hall.price(market, START_FINE));
        for (account, micros) in (1..=ACCOUNTS).map(|account| (account, 1)).chain([(OTHER, 1 << 55)]) {
            hall.segment.add_cash(AccountId::new(account), QuoteMicros::from_micros(micros));
        }
        hall
    }

    fn price(&mut self, market: u16, fine: u64) {
        self.fine[usize::from(market)] = fine;
        let fine = FineTicks::from_fine(fine);
        self.segment.change_pricing(market, |pricing, _| {
            (pricing.index, pricing.published, pricing.mark) = (fine, fine, fine);
            pricing.grade = PriceGrade::Valid;
        });
    }

    fn grade(&mut self, market: u16, grade: PriceGrade) {
        self.segment.change_pricing(market, |pricing, _| pricing.grade = grade);
    }

    /// In fine ticks.
    fn fund(&mut self, market: u16, by: i64) {
        self.segment.remember_facts(market);
        let tick_value = i64::from(self.segment.market(market).unwrap().rules().tick_value.micros());
        self.segment.markets[usize::from(market)].facts.funding_cumulative += by * tick_value;
    }

    /// An account gets lots at the mark, or gives them.
    fn trade(&mut self, market: u16, account: u64, lots: i64) {
        let worth = (i128::from(self.fine[usize::from(market)]) * i128::from(lots.abs()) * 100) >> 16;
        let notional = QuoteMicros::from_micros(i64::try_from(worth).unwrap());
        self.segment.remember_facts(market);
        let sides = if lots > 0 { [Side::Bid, Side::Ask] } else { [Side::Ask, Side::Bid] };
        for (account, side) in [account, OTHER].into_iter().zip(sides) {
            let fill = Fill { side, quantity: QuantityLots::from_lots(lots.unsigned_abs()), notional };
            self.segment.apply_fill(AccountId::new(account), market, &fill, QuoteMicros::ZERO, WAITING_MS);
        }
    }

    fn health(&self, account: u64) -> Health {
        let row = self.segment.sub_account(AccountId::new(account));
        Risk::new(self.segment.markets(), WAITING_MS).health(row.unwrap())
    }

    /// Gives an account so much more than maintenance margin, or takes it.
    fn tune(&mut self, account: u64, slack: i64) {
        let health = self.health(account);
        let delta = health.maintenance + slack - health.equity;
        self.segment.add_cash(AccountId::new(account), QuoteMicros::from_micros(delta));
    }

    /// Roughly what the queue keeps in reserve for an account.
    fn reserve(&self, account: u64) -> i64 {
        self.health(account).maintenance / 64
    }

    fn due(&mut self) -> Vec<AccountId> {
        liquidatable(&mut self.segment, WAITING_MS, ALL)
    }

    /// The segment as a replica has it that starts here.
    fn restored(&self) -> Segment {
        let mut segment = self.segment.clone();
        segment.clearing.as_mut().unwrap().queue = RiskQueue::default();
        segment
    }

    fn near(&self) -> usize {
        self.segment.clearing().unwrap().queue.near.len()
    }
}

/// Half of initial margin is the larger at every size, as in the development venue.
fn half_of_initial(rules: MarginRules) -> MarginRules {
    let tier = MarginTier {
        notional_from: QuoteMicros::ZERO,
        initial: RatioPpm::from_ppm(50_000),
        maintenance: RatioPpm::from_ppm(25_000),
    };
    MarginRules { tiers: BoundedVec::new(vec![tier]).unwrap(), ..rules }
}

/// Margin that grows faster than a position gains, at the sizes of the tests.
fn steep(rules: MarginRules) -> MarginRules {
    MarginRules { size_rate: RatioPpm::from_ppm(900_000), ..rules }
}

/// Regression: maintenance margin jumped where the root of size passed a hundredth. A long just above it had no distance to
/// spare, was not watched upwards, and fell below unseen when its price rose into the next bucket: 4,095 to 4,096.
#[test]
fn a_long_whose_price_rises_past_a_hundredth_of_the_root_is_judged_as_a_scan_judges_it() {
    let mut hall = Hall::new(10_000_000, half_of_initial);
    hall.price(0, 639_990 << 16);
    hall.trade(0, 1, 47_266);
    hall.tune(1, 100_000_000);
    assert_eq!(hall.due(), []);
    hall.price(0, 640_010 << 16);
    let scanned = hall.segment.scan_due(WAITING_MS, ALL);
    assert_eq!(hall.due(), scanned);
    assert_eq!(scanned, [], "it gained more than its margin grew by");
}

/// Regression: without a bound an account stayed where the queue had put it last.
#[test]
fn an_account_with_no_more_than_its_reserve_is_looked_at_in_every_block_and_no_longer_once_it_has_more() {
    let mut hall = Hall::new(10_000_000, |rules| rules);
    hall.trade(0, 1, 1_000);
    hall.tune(1, 100);
    assert_eq!((hall.due(), hall.near()), (vec![], 1));
    // Funding moves nothing but its equity: 200 micro-quote of a lot, where 100 of all are to spare.
    hall.fund(0, 2 << 16);
    assert_eq!((hall.due(), hall.near()), (vec![AccountId::new(1)], 0));
    hall.tune(1, 1_000_000_000);
    assert_eq!((hall.due(), hall.near()), (vec![], 0));
}

/// Regression: longs were never watched upwards, also where margin grows faster than they gain.
#[test]
fn a_long_so_large_that_margin_grows_faster_than_it_gains_is_found_when_its_price_rises() {
    let mut hall = Hall::new(10_000_000, steep);
    hall.trade(0, 1, 1_000_000);
    hall.tune(1, 3_000_000_000_000);
    assert_eq!((hall.due(), hall.near()), (vec![], 0));
    hall.price(0, 800_000 << 16);
    assert_eq!(hall.segment.scan_due(WAITING_MS, ALL), [AccountId::new(1)]);
    assert_eq!(hall.due(), [AccountId::new(1)]);
}

/// Regression: 64 accounts in a market without a price took every step of a block, to no effect, and lost their orders.
#[test]
fn accounts_whose_every_price_is_unusable_take_no_step_from_those_that_can_be_closed() {
    let mut hall = Hall::new(10_000_000, |rules| rules);
    for account in 1..=6 {
        hall.trade(u16::from(account > 3), account, 1_000);
        hall.tune(account, if account > 3 { -1_000_000 } else { -500_000_000 });
    }
    hall.trade(1, 3, 1);
    let due = |hall: &mut Hall| liquidatable(&mut hall.segment, WAITING_MS, 3);
    // One lot more needs a little more margin.
    assert_eq!(due(&mut hall), [3, 1, 2].map(AccountId::new));
    hall.grade(0, PriceGrade::Unusable);
    assert_eq!(due(&mut hall), [3, 4, 5].map(AccountId::new), "the third also holds what can be closed");
    assert_eq!(hall.segment.scan_below_maintenance(WAITING_MS).len(), 6);
    hall.grade(0, PriceGrade::Uncertain);
    assert_eq!(due(&mut hall), [3, 1, 2].map(AccountId::new));
}

/// Regression: accounts with nothing left, that wait for the one deleveraging of a block, came first until all others had
/// nothing left either.
#[test]
fn accounts_with_nothing_left_take_at_most_half_of_the_steps_while_others_wait() {
    let mut hall = Hall::new(10_000_000, |rules| rules);
    for account in 1..=8 {
        hall.trade(0, account, 1_000);
        let health = hall.health(account);
        // Five have nothing or owe, the last the most.
        let equity = if account <= 5 { 1 - i64::try_from(account).unwrap() } else { 1_000_000 };
        hall.tune(account, equity - health.maintenance);
    }
    let due = |hall: &mut Hall, count| {
        let due = liquidatable(&mut hall.segment, WAITING_MS, count);
        assert_eq!(due, hall.segment.scan_due(WAITING_MS, count));
        due.into_iter().map(AccountId::number).collect::<Vec<_>>()
    };
    assert_eq!(due(&mut hall, 4), [5, 4, 6, 7]);
    assert_eq!(due(&mut hall, 7), [5, 4, 3, 2, 6, 7, 8], "where few others wait, the rest is theirs");
    assert_eq!(due(&mut hall, 64), [5, 4, 3, 2, 1, 6, 7, 8]);
    for account in 1..=5 {
        hall.tune(account, 1_000_000_000);
    }
    assert_eq!(due(&mut hall, 2), [6, 7]);
}

/// Regression: who held nothing was never looked at, so a debt stayed with its account for good.
#[test]
fn an_account_that_holds_nothing_and_owes_is_due_until_it_does_not_owe() {
    let mut hall = Hall::new(10_000_000, |rules| rules);
    hall.trade(0, 1, 1_000);
    hall.trade(0, 1, -1_000);
    assert_eq!(hall.due(), []);
    hall.segment.add_cash(AccountId::new(1), QuoteMicros::from_micros(-2));
    for _ in 0..2 {
        assert_eq!(hall.due(), [AccountId::new(1)]);
        assert_eq!(hall.segment.scan_below_maintenance(WAITING_MS), [AccountId::new(1)]);
        assert_eq!(liquidatable(&mut hall.restored(), WAITING_MS, ALL), [AccountId::new(1)]);
    }
    hall.segment.add_cash(AccountId::new(1), QuoteMicros::from_micros(1));
    assert_eq!(hall.due(), []);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// In fine ticks: a tick is 65,536, a bucket about 10 million.
    Move {
        market: u16,
        by: i64,
    },
    /// To a few fine ticks from the edge of a bucket.
    Edge {
        market: u16,
        buckets: i64,
        beside: i64,
    },
    /// Across the start price, which is such an edge: from so far below it to so far above, or the other way, with so much of
    /// the reserve to spare before.
    Cross {
        account: u64,
        slack: i64,
        below: u64,
        above: u64,
        is_rising: bool,
    },
    Fund {
        market: u16,
        by: i64,
    },
    /// In 1/1,000 of the reserve.
    Tune {
        account: u64,
        slack: i64,
    },
    Trade {
        market: u16,
        account: u64,
        lots: i64,
    },
}

impl Hall {
    fn take(&mut self, step: Step) {
        let moved = |fine: u64, by: i64| fine.saturating_add_signed(by).clamp(START_FINE / 4, START_FINE * 4);
        match step {
            Step::Move { market, by } => self.price(market, moved(self.fine[usize::from(market)], by)),
            Step::Edge { market, buckets, beside } => {
                let width = i64::try_from(START_FINE / BUCKETS_PER_PRICE).unwrap();
                let key = i64::try_from(self.fine[usize::from(market)]).unwrap() / width + buckets;
                self.price(market, moved(0, key * width + beside));
            }
            Step::Cross { account, slack, below, above, is_rising } => {
                let (from, to) = (START_FINE - below, START_FINE + above);
                let (from, to) = if is_rising { (from, to) } else { (to, from) };
                let market = market_of(account);
                self.price(market, from);
                self.take(Step::Tune { account, slack });
                self.due();
                self.price(market, to);
            }
            Step::Fund { market, by } => self.fund(market, by),
            Step::Tune { account, slack } => self.tune(account, self.reserve(account) / 1_000 * slack),
            Step::Trade { market, account, lots } => self.trade(market, account, lots),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (market, account) = (|| 0..MARKETS, || 1..=ACCOUNTS);
    let slack = || prop_oneof![0i64..200, 0i64..2_000];
    let by = prop_oneof![-200_000i64..200_000, -20_000_000i64..20_000_000, -1_000_000_000i64..1_000_000_000];
    let funding = prop_oneof![-200_000i64..200_000, -400_000_000i64..400_000_000];
    let beside = || prop_oneof![0u64..2, 0u64..2_000_000];
    prop_oneof![
        6 => (market(), by).prop_map(|(market, by)| Step::Move { market, by }),
        2 => (market(), -2i64..3, -1i64..2).prop_map(|(market, buckets, beside)| Step::Edge { market, buckets, beside }),
        4 => (account(), slack(), beside(), beside(), any::<bool>()).prop_map(|(account, slack, below, above, is_rising)| {
            Step::Cross { account, slack, below, above, is_rising }
        }),
        1 => (market(), funding).prop_map(|(market, by)| Step::Fund { market, by }),
        4 => (account(), slack()).prop_map(|(account, slack)| Step::Tune { account, slack }),
        1 => (market(), account(), lots()).prop_map(|(market, account, lots)| Step::Trade { market, account, lots }),
    ]
}

/// Up to 128 million quote: any, most of them small, or as much as makes the root of size at the start price, or a little
/// below it, a hundredth.
fn lots() -> impl Strategy<Value = i64> {
    let any_size = (1i64..2_000_000, 0u32..12).prop_map(|(lots, bits)| (lots >> bits).max(1));
    // The square of a hundredth in parts of 10 million quote, over 64 quote.
    let of_root = (20u64..350).prop_map(|root| i64::try_from((root * root * 1_000).div_ceil(64)).unwrap());
    (prop_oneof![any_size, of_root], any::<bool>()).prop_map(|(lots, is_long)| if is_long { lots } else { -lots })
}

/// The market in which an account holds its first position.
fn market_of(account: u64) -> u16 {
    u16::from(account.is_multiple_of(3))
}

const ACCOUNTS: u64 = 12;

fn require_as_a_scan(mut hall: Hall, lots: &[i64], steps: &[Step]) -> Result<(), TestCaseError> {
    for (account, lots) in (1..).zip(lots) {
        hall.trade(market_of(account), account, *lots);
        hall.tune(account, 1_000);
    }
    for step in steps {
        hall.take(*step);
        let due = hall.due();
        prop_assert_eq!(&due, &hall.segment.scan_due(WAITING_MS, ALL));
        prop_assert_eq!(&due, &liquidatable(&mut hall.restored(), WAITING_MS, ALL));
    }
    Ok(())
}

proptest! {
    /// INVARIANT(L1): accounts with next to nothing to spare, at sizes where the root of size passes its hundredths.
    #[test]
    fn prop_next_to_maintenance_the_queue_finds_what_a_scan_and_a_queue_made_anew_find(
        lots in proptest::collection::vec(lots(), usize::try_from(ACCOUNTS).unwrap()),
        steps in proptest::collection::vec(step(), 1..40),
        is_half in any::<bool>(),
    ) {
        let hall = Hall::new(10_000_000, |rules| if is_half { half_of_initial(rules) } else { rules });
        require_as_a_scan(hall, &lots, &steps)?;
    }

    /// The same where margin grows faster than a rising price pays.
    #[test]
    fn prop_where_margin_is_steep_the_queue_finds_what_a_scan_finds(
        lots in proptest::collection::vec(lots(), usize::try_from(ACCOUNTS).unwrap()),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        require_as_a_scan(Hall::new(10_000_000, steep), &lots, &steps)?;
    }
}
