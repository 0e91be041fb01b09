//! Tests of deleveraging: whom the walk leaves out would not have been cut.

use casemate_protocol::command::Side;
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::testing::examples;
use casemate_protocol::{BoundedVec, DurationMs, FineTicks, MarketId, PriceGrade, QuantityLots, QuoteMicros};
use proptest::prelude::*;

use super::*;
use crate::liquidation::liquidatable;
use crate::liquidation::slice::MarginShare;
use crate::market::fill::Fill;

/// As in the tests of liquidation: a lot at 640,000 ticks is worth 64 quote.
const START_TICKS: u64 = 640_000;
/// As many as there are deposits in the property.
const ACCOUNTS: u64 = 90;
const WAITING_MS: DurationMs = DurationMs::from_ms(1_000);

struct Floor {
    segment: Segment,
    ticks: [u64; 2],
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Trade {
        market: u16,
        long: u64,
        short: u64,
        lots: u64,
    },
    /// In parts of a thousand.
    Move {
        market: u16,
        by: i64,
    },
    /// In fine ticks.
    Fund {
        market: u16,
        by: i64,
    },
    Deposit {
        account: u64,
        quote: i64,
    },
    Look,
}

impl Floor {
    fn new() -> Self {
        let mut genesis = examples::genesis();
        let market = |id| MarketRules { id: MarketId::new(id), ..examples::market(id, 2) };
        genesis.markets = BoundedVec::new(vec![market(1), market(2)]).unwrap();
        genesis.margins = BoundedVec::new(vec![examples::margin(1, 1), examples::margin(2, 1)]).unwrap();
        let mut floor = Self { segment: Segment::new(&examples::segment(2), &genesis), ticks: [START_TICKS; 2] };
        floor.move_by(0, 0);
        floor.move_by(1, 0);
        floor
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Trade { market, long, short, lots } if long != short => self.trade(market, long, short, lots),
            Step::Trade { .. } => {}
            Step::Move { market, by } => self.move_by(market, by),
            Step::Fund { market, by } => {
                self.segment.remember_facts(market);
                let tick_value = i64::from(self.segment.market(market).unwrap().rules().tick_value.micros());
                self.segment.markets[usize::from(market)].facts.funding_cumulative += by * tick_value;
            }
            Step::Deposit { account, quote } => self.deposit(account, quote),
            Step::Look => drop(liquidatable(&mut self.segment, WAITING_MS, 64)),
        }
    }

    fn move_by(&mut self, market: u16, by: i64) {
        let ticks = &mut self.ticks[usize::from(market)];
        *ticks = ticks.checked_add_signed(i64::try_from(*ticks).unwrap() * by / 1_000).unwrap();
        let fine = FineTicks::from_fine(*ticks << 16);
        self.segment.change_pricing(market, |pricing, _| {
            (pricing.index, pricing.published, pricing.mark) = (fine, fine, fine);
            pricing.grade = PriceGrade::Valid;
        });
    }

    fn deposit(&mut self, account: u64, quote: i64) {
        self.segment.add_deposited(AccountId::new(account), QuoteMicros::from_micros(quote * 1_000_000));
    }

    fn trade(&mut self, market: u16, long: u64, short: u64, lots: u64) {
        let notional = self.ticks[usize::from(market)] * lots * 100;
        let notional = QuoteMicros::from_micros(i64::try_from(notional).unwrap());
        self.segment.remember_facts(market);
        for (account, side) in [(long, Side::Bid), (short, Side::Ask)] {
            let fill = Fill { side, quantity: QuantityLots::from_lots(lots), notional };
            self.segment.apply_fill(AccountId::new(account), market, &fill, QuoteMicros::ZERO, WAITING_MS);
        }
    }

    fn risk(&self) -> Risk<'_> {
        Risk::new(self.segment.markets(), WAITING_MS)
    }

    /// An account's position as if it were to be closed a few thousandths beyond the mark.
    fn closing(&self, market: u16, account: u64, beyond: i64) -> Option<Closing> {
        let position = self.segment.sub_account(AccountId::new(account))?.position(market);
        let of = self.segment.market(market)?;
        let held = self.risk().held(&position, of, of.margin()?);
        let cost = held.notional / 1_000 * beyond;
        let bankruptcy = if position.lots() > 0 { held.notional + cost } else { held.notional - cost };
        let bankruptcy = QuoteMicros::from_micros(bankruptcy);
        (position.lots() != 0).then_some(Closing {
            account: AccountId::new(account),
            market,
            position,
            held,
            share: MarginShare { part: QuoteMicros::from_micros(1), whole: QuoteMicros::from_micros(1) },
            equity: QuoteMicros::ZERO,
            bankruptcy,
        })
    }

    fn cuts(closing: &Closing, candidates: &[Candidate]) -> Vec<Cut> {
        let mut cuts = Vec::new();
        drain(candidates, closing.lots(), &mut cuts);
        cuts
    }
}

fn step() -> impl Strategy<Value = Step> {
    let account = || 1..=ACCOUNTS;
    prop_oneof![
        24 => (0u16..2, account(), account(), 1u64..40).prop_map(|(market, long, short, lots)| Step::Trade { market, long, short, lots }),
        3 => (0u16..2, -25i64..=25).prop_map(|(market, by)| Step::Move { market, by }),
        1 => (0u16..2, -400_000_000i64..=400_000_000).prop_map(|(market, by)| Step::Fund { market, by }),
        1 => (account(), 1i64..400).prop_map(|(account, quote)| Step::Deposit { account, quote }),
        1 => Just(Step::Look),
    ]
}

proptest! {
    /// INVARIANT(D4): with bounds of many ages, in two markets, and with accounts that changed since the last look.
    #[test]
    fn prop_the_walk_cuts_whom_a_look_at_every_row_cuts(
        deposits in proptest::collection::vec(60i64..4_000, 90),
        steps in proptest::collection::vec(step(), 20..300),
        after in proptest::collection::vec(step(), 0..6),
        beyond in 0i64..60,
    ) {
        let mut floor = Floor::new();
        (1..).zip(&deposits).for_each(|(account, quote)| floor.deposit(account, *quote));
        steps.into_iter().for_each(|step| floor.take(step));
        floor.take(Step::Look);
        after.into_iter().for_each(|step| floor.take(step));
        let risk = floor.risk();
        for account in 1..=ACCOUNTS {
            for closing in (0u16..2).filter_map(|market| floor.closing(market, account, beyond)) {
                let found = candidates(&floor.segment, &risk, &closing);
                let all = scanned(&floor.segment, &risk, &closing);
                prop_assert!(found.iter().all(|one| all.contains(one)) && found.len() <= all.len());
                prop_assert_eq!(Floor::cuts(&closing, &found), Floor::cuts(&closing, &all));
            }
        }
    }
}

/// A thousand shorts in profit; for a small position only the most levered are looked at.
#[test]
fn a_small_position_needs_few_candidates() {
    let mut floor = Floor::new();
    floor.deposit(2_000, 10_000_000);
    for account in 1..=1_000u64 {
        floor.deposit(account, 70 + i64::try_from(account).unwrap());
        floor.trade(0, 2_000, account, 20);
    }
    floor.deposit(2_001, 10_000);
    floor.trade(0, 2_001, 2_000, 30);
    floor.take(Step::Look);
    floor.move_by(0, -20);
    let blind = candidates(&floor.segment, &floor.risk(), &floor.closing(0, 2_001, 1).unwrap());
    assert_eq!(blind.len(), 1_000, "without a look at this price nothing is known");
    floor.take(Step::Look);
    let closing = floor.closing(0, 2_001, 1).unwrap();
    let (found, all) =
        (candidates(&floor.segment, &floor.risk(), &closing), scanned(&floor.segment, &floor.risk(), &closing));
    assert_eq!(all.len(), 1_000);
    assert!(found.len() < 50, "{}", found.len());
    assert_eq!(Floor::cuts(&closing, &found), Floor::cuts(&closing, &all));
}
