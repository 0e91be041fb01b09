use borsh::BorshDeserialize as _;
use casemate_protocol::{Digest, DurationMs, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, TradeNumber};
use proptest::prelude::*;

use super::*;
use crate::conduct::rows::SUBJECT_ROW_BYTES_MAX;
use crate::conduct::two_keys::{Damage, NewRisk, ValueLeaves};

const MARKET: MarketId = MarketId::new(1);

fn id(number: u64) -> AccountId {
    AccountId::new(number)
}

fn at(ms: u64) -> TimeMs {
    TimeMs::from_ms(ms)
}

#[derive(Clone, Default)]
struct Played {
    conduct: Conduct,
    alerts: Vec<Alert>,
    now: u64,
    number: u64,
}

impl Played {
    fn new() -> Self {
        Self { now: 1_000_000, ..Self::default() }
    }

    fn observe(&mut self, market: MarketId, act: Act) {
        self.conduct.observe(&Observation { at: at(self.now), market, act }, &mut self.alerts);
    }

    fn trade(&mut self, taker: u64, maker: u64, taker_side: Side, lots: u64) {
        self.number += 1;
        let trade = Traded {
            trade: TradeNumber::new(self.number),
            maker: id(maker),
            taker: id(taker),
            taker_order: OrderNumber::new(self.number),
            taker_side,
            price: PriceTicks::from_ticks(10_000),
            index: PriceTicks::from_ticks(10_000),
            lots: QuantityLots::from_lots(lots),
            notional: QuoteMicros::from_micros(i64::try_from(lots).unwrap() * 1_000_000_000),
        };
        self.observe(MARKET, Act::Traded(trade));
    }

    fn cancel(&mut self, account: u64, side: Side, lots: u64) {
        let cancel = Cancelled {
            account: id(account),
            order: OrderNumber::new(9),
            side,
            lots: QuantityLots::from_lots(lots),
            age: DurationMs::from_ms(900),
            messages: 1,
            distance_ppm: 100,
        };
        self.observe(MARKET, Act::Cancelled(cancel));
    }

    fn usual_orders(&mut self) {
        for account in 100..140 {
            self.observe(MARKET, Act::Rested { account: id(account), lots: QuantityLots::from_lots(10) });
        }
    }

    /// Somebody buys large in show and sells small in earnest; the two can be two accounts.
    fn spoof(&mut self, shows: u64, sells: u64, rounds: u32) {
        for _ in 0..rounds {
            self.now += 60_000;
            self.trade(50, sells, Side::Bid, 10);
            self.now += 200;
            self.cancel(shows, Side::Bid, 400);
        }
    }

    fn seen(&self) -> Vec<(u64, Detector)> {
        self.alerts.iter().map(|alert| (alert.account.number(), alert.evidence.detector())).collect()
    }

    fn band(&self, account: u64) -> u8 {
        self.conduct.band(id(account), at(self.now))
    }
}

/// A row that has seen everything, for what it takes.
fn busy() -> Played {
    let mut played = Played::new();
    played.usual_orders();
    for other in 2..9 {
        played.now += 1_000;
        played.trade(1, other, Side::Bid, 5_000);
        played.trade(other, 1, Side::Bid, 5_000);
        played.cancel(1, Side::Bid, 9_000);
        played.cancel(1, Side::Ask, 9_000);
        played.observe(MARKET, Act::Placed { account: id(1), messages: 900 });
    }
    played
}

#[test]
fn a_row_stays_within_its_bytes() {
    for row in busy().conduct.subjects.iter().map(|(_, _, row)| row) {
        let bytes = borsh::to_vec(row).unwrap();
        assert!(bytes.len() <= SUBJECT_ROW_BYTES_MAX, "{}", bytes.len());
    }
}

#[test]
fn what_is_kept_encodes_and_decodes_to_itself() {
    let played = busy();
    let bytes = borsh::to_vec(&played.conduct).unwrap();
    assert_eq!(Conduct::try_from_slice(&bytes).unwrap(), played.conduct);
    assert!(!played.alerts.is_empty());
    for alert in &played.alerts {
        assert_eq!(Alert::try_from_slice(&borsh::to_vec(alert).unwrap()).unwrap(), *alert);
    }
}

#[test]
fn a_spoofer_is_told_once_with_its_numbers_and_comes_into_a_band() {
    let mut played = Played::new();
    played.usual_orders();
    played.spoof(1, 1, 4);
    assert_eq!(played.seen(), [(1, Detector::Spoof)], "once, though it goes on");
    let Evidence::Spoof { figures, order } = played.alerts[0].evidence else { panic!("{:?}", played.alerts) };
    assert!(figures.side == Side::Bid && figures.quick_lots >= 1_000 && order.number() == 9, "{figures:?}");
    assert_eq!((played.band(1), played.band(50)), (1, 0));
    played.spoof(1, 1, 6);
    assert_eq!(played.alerts.len(), 2, "and again after five minutes");
    assert_eq!(played.band(1), 2);
    played.now += 5 * 3_600_000;
    assert_eq!(played.band(1), 0, "and then it is forgotten");
}

#[test]
fn two_accounts_share_a_spoof_unless_they_are_one_cluster() {
    let mut apart = Played::new();
    apart.usual_orders();
    apart.spoof(1, 2, 4);
    assert_eq!(apart.seen(), [], "the one shows, the other sells");
    let mut together = Played::new();
    together.usual_orders();
    together.conduct.join(id(1), id(2), SharedAct::Nullifier, at(1_000_000));
    together.spoof(1, 2, 4);
    assert_eq!(together.seen(), [(1, Detector::Spoof)]);
    assert_eq!((together.band(1), together.band(2)), (1, 1), "the band is the cluster's");
}

#[test]
fn a_cluster_that_trades_with_itself_is_told_at_once() {
    let mut played = Played::new();
    played.conduct.declare(id(1), id(2), at(1));
    played.trade(1, 2, Side::Bid, 10);
    assert_eq!(played.seen(), [], "one side alone declared");
    played.conduct.declare(id(2), id(1), at(1));
    played.trade(1, 2, Side::Bid, 10);
    let Evidence::SelfTrade { accounts, .. } = played.alerts[0].evidence else { panic!("{:?}", played.alerts) };
    assert_eq!(accounts, [id(2), id(1)]);
}

#[test]
fn a_wash_raises_both_and_joining_does_not_forget_it() {
    let mut played = Played::new();
    for round in 0..100 {
        played.now += 5_000;
        played.trade(1, 2, if round % 2 == 0 { Side::Bid } else { Side::Ask }, 1);
    }
    assert_eq!(played.seen()[..2], [(1, Detector::Wash), (2, Detector::Wash)]);
    let band = played.band(2);
    assert!(band >= 1);
    played.conduct.join(id(2), id(3), SharedAct::Transfer, at(played.now));
    assert_eq!((played.band(2), played.band(3)), (band, band));
}

#[test]
fn a_pair_with_one_origin_and_opposite_positions_is_linked_and_one_alert_reaches_the_other() {
    let mut played = Played::new();
    for account in [1, 2] {
        let amount = QuoteMicros::from_micros(1_000_000);
        played.observe(MarketId::NONE, Act::Deposited { account: id(account), source: Digest([7; 32]), amount });
    }
    for (account, side) in [(1, Side::Bid), (2, Side::Ask), (3, Side::Ask)] {
        played.now += 1_000;
        played.observe(MARKET, Act::Opened { account: id(account), side, lots: QuantityLots::from_lots(100) });
    }
    assert_eq!(played.seen(), [(2, Detector::Collusion), (1, Detector::Collusion)], "and nobody else");
    assert!(!played.conduct.clusters().are_one(id(1), id(2)), "C4");
    played.usual_orders();
    played.spoof(1, 1, 4);
    assert_eq!((played.band(1), played.band(2)), (2, 1), "C3");
    played.observe(MarketId::NONE, Act::Contested { account: id(2) });
    assert_eq!(played.band(2), 0);
}

#[test]
fn a_surge_of_refusals_is_told_of_the_account_and_of_nobody_else() {
    let mut played = Played::new();
    for _ in 0..40 {
        played.now += 100;
        played.observe(MARKET, Act::Refused { account: id(1), code: RejectCode::PriceOutsideBand });
        played.observe(MARKET, Act::Placed { account: id(2), messages: 1 });
    }
    assert_eq!(played.seen(), [(1, Detector::Refusals)]);
    let Evidence::Refusals(figures) = played.alerts[0].evidence else { panic!("{:?}", played.alerts) };
    assert_eq!(figures.last_code, RejectCode::PriceOutsideBand.number());
}

/// R§2 S18: the thief changes a key, and asks for everything to go to an address of its own.
#[test]
fn money_that_leaves_by_a_new_key_to_a_new_address_is_blocked_if_it_is_much_of_the_vault() {
    let mut played = Played::new();
    let leave = LeaveAsked {
        account: id(1),
        is_known_address: false,
        amount: QuoteMicros::from_micros(900),
        balance: QuoteMicros::from_micros(1_000),
    };
    let gate = |played: &Played, reserve| {
        let value = ValueLeaves { net_outflow: leave.amount, reserve: QuoteMicros::from_micros(reserve) };
        played.conduct.gate(id(1), MarketId::NONE, &Blockable::ValueLeaves(value), at(played.now))
    };
    played.observe(MarketId::NONE, Act::LeaveAsked(leave));
    assert_eq!(gate(&played, 1_000), Gate::Pass);
    played.observe(MarketId::NONE, Act::KeyChanged { account: id(1) });
    played.now += 60_000;
    played.observe(MarketId::NONE, Act::LeaveAsked(leave));
    assert_eq!(played.seen(), [(1, Detector::Takeover)]);
    assert_eq!(gate(&played, 1_000), Gate::Block(Damage::Outflow));
    assert_eq!(gate(&played, 1_000_000), Gate::Alert);
}

#[test]
fn a_spoofer_is_blocked_from_half_of_the_book_and_a_calm_whale_is_not() {
    let mut played = Played::new();
    played.usual_orders();
    played.spoof(1, 1, 5);
    let half = Blockable::NewRisk(NewRisk { resting_lots: 400, depth_lots: 300, ..NewRisk::default() });
    let part = Blockable::NewRisk(NewRisk { resting_lots: 4, depth_lots: 300, ..NewRisk::default() });
    let gate = |account, act| played.conduct.gate(id(account), MARKET, act, at(played.now));
    assert_eq!(gate(1, &half), Gate::Block(Damage::BookDepth));
    assert_eq!(gate(1, &part), Gate::Alert);
    assert_eq!(gate(2, &half), Gate::Pass);
    let later = played.conduct.gate(id(1), MARKET, &half, at(played.now + 86_400_000));
    assert_eq!(later, Gate::Pass);
}

#[test]
fn sandwiches_are_told_at_the_third() {
    let mut played = Played::new();
    let mut take = |account: u64, side, price| {
        played.number += 1;
        let trade = Traded {
            trade: TradeNumber::new(played.number),
            maker: id(90),
            taker: id(account),
            taker_order: OrderNumber::new(played.number),
            taker_side: side,
            price: PriceTicks::from_ticks(price),
            index: PriceTicks::ZERO,
            lots: QuantityLots::from_lots(10),
            notional: QuoteMicros::from_micros(10),
        };
        played.observe(MARKET, Act::Traded(trade));
    };
    for _ in 0..3 {
        take(1, Side::Bid, 10_000);
        take(2, Side::Bid, 10_010);
        take(1, Side::Ask, 10_005);
    }
    // The third of three in one moment is the second that counts two.
    assert_eq!(played.seen(), [(1, Detector::Sandwich)]);
}

#[test]
fn rows_that_have_faded_go() {
    let mut played = busy();
    let rows = played.conduct.rows();
    played.conduct.sweep(10_000, at(played.now + 3_600_000));
    assert_eq!(played.conduct.rows(), rows, "not while they may still tell something");
    played.conduct.sweep(10_000, at(played.now + 60 * 86_400_000));
    assert_eq!(played.conduct.rows(), 0);
}

proptest! {
    /// The same observations give the same rows and alerts, whatever was held between: a copy made on the way goes on alike.
    #[test]
    fn prop_rows_follow_from_rows_and_observations(acts in proptest::collection::vec((0u8..5, 1u64..6, 1u64..6, 1u64..500, 0u64..4_000), 1..200), cut in 0usize..200) {
        let mut played = Played::new();
        let mut copy = None;
        for (index, (kind, one, two, lots, wait)) in acts.iter().enumerate() {
            if index == cut {
                let bytes = borsh::to_vec(&played.conduct).unwrap();
                copy = Some(Played { conduct: Conduct::try_from_slice(&bytes).unwrap(), ..played.clone() });
            }
            for world in [Some(&mut played), copy.as_mut()].into_iter().flatten() {
                world.now += wait;
                match kind {
                    0 if one != two => world.trade(*one, *two, Side::Bid, *lots),
                    1 if one != two => world.trade(*one, *two, Side::Ask, *lots),
                    2 => world.cancel(*one, Side::Bid, *lots),
                    3 => world.observe(MARKET, Act::Placed { account: id(*one), messages: 1 }),
                    _ => world.observe(MARKET, Act::Rested { account: id(*one), lots: QuantityLots::from_lots(*lots) }),
                }
            }
        }
        if let Some(copy) = copy {
            prop_assert_eq!(&copy.conduct, &played.conduct);
            prop_assert_eq!(copy.alerts, played.alerts);
        }
    }
}
