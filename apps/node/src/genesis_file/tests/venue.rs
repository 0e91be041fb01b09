//! The development venue at work: its values are good for what they are there for.

use casemate_audit::{RecordBody, Verdict};
use casemate_gate::{Decoded, NoProofs, authenticate_batch};
use casemate_ledger::SeededKeys;
use casemate_policy_cedar::CedarPolicies;
use casemate_protocol::block::SealSecret;
use casemate_protocol::command::{LimitTerms, OrderKind, PlaceOrder, SelfTradeMode, Side, SubmitPrice, TimeInForce};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{
    AccountId, BoundedVec, BreakerState, ClientOrderId, Command, Event, FeedId, MarketId, PriceNanos, PriceTicks,
    PublicKey, QuantityLots, QuoteMicros, RejectCode, SegmentId, TimeMs,
};
use casemate_replica::Replica;
use ed25519_zebra::SigningKey;

use crate::development_keys::{public_key, publisher_key, root_key, seeded_public_keys, sign_envelope};
use crate::genesis_file::{DEVELOPMENT_SEED, development_genesis};

const START_MS: u64 = 1_735_689_600_000;
const BITCOIN: u16 = 1;
const BITCOIN_TICKS: u64 = 1_000_000;

#[test]
fn nobody_takes_risk_before_the_publishers_have_spoken_and_anyone_may_afterwards() {
    let mut venue = Venue::new(100_000);
    let rests = (0, order(BITCOIN, Side::Ask, BITCOIN_TICKS, 1_000));
    let takes = (1, order(BITCOIN, Side::Bid, BITCOIN_TICKS, 1_000));
    let refused = Err(RejectCode::PriceNotGoodEnough);
    assert_eq!(venue.trade(std::slice::from_ref(&rests)), [refused]);
    // Two operators are not enough.
    venue.publish(BITCOIN, PRICES[0], 0..2);
    assert_eq!(venue.trade(std::slice::from_ref(&rests)), [refused]);
    venue.publish_all(PRICES);
    assert_eq!(venue.trade(&[rests, takes]), [Ok(()), Ok(())]);
    assert_eq!(venue.position(BITCOIN, 1), 1_000);
}

#[test]
fn each_market_is_traded_up_to_the_leverage_that_its_listing_names() {
    // Market, ticks, a tenth of the lots worth a million, and what a million needs: brackets, size and taker fee.
    let bitcoin = (1, BITCOIN_TICKS, 100_000, 25_000 + 1_000 + 400);
    let ether = (2, 300_000, 333_333, 20_000 + 40_000 + 1_400 + 400);
    let small = (3, 20_000, 5_000_000, 10_000 + 45_000 + 320_000 + 20_000 + 1_000);
    for (market, ticks, tenth_lots, needed) in [bitcoin, ether, small] {
        for (balance, is_enough) in [(needed + 100, true), (needed - 100, false)] {
            let mut venue = Venue::new(balance);
            venue.publish_all(PRICES);
            let asks: Vec<_> = (2..12).map(|maker| (maker, order(market, Side::Ask, ticks, tenth_lots))).collect();
            assert!(venue.trade(&asks).iter().all(Result::is_ok), "market {market}");
            let bids = vec![(0, order(market, Side::Bid, ticks, tenth_lots)); 10];
            let verdicts = venue.trade(&bids);
            assert!(verdicts[..9].iter().all(Result::is_ok), "market {market}: {verdicts:?}");
            let last = if is_enough { Ok(()) } else { Err(RejectCode::InsufficientFreeCollateral) };
            assert_eq!(verdicts[9], last, "market {market} with {balance}");
            let tenths = if is_enough { 10 } else { 9 };
            assert_eq!(venue.position(market, 0), tenths * tenth_lots as i64);
        }
    }
}

#[test]
fn a_fall_within_the_cap_liquidates_a_long_on_the_book_and_pays_insurance() {
    let mut venue = Venue::new(27_000);
    venue.publish_all(PRICES);
    let makers = (0..10).map(|maker| (2 + maker, order(BITCOIN, Side::Ask, BITCOIN_TICKS, 100_000)));
    venue.trade(&makers.collect::<Vec<_>>());
    let verdicts = venue.trade(&[(0, order(BITCOIN, Side::Bid, BITCOIN_TICKS, 1_000_000))]);
    assert_eq!(verdicts, [Ok(())]);
    let before = venue.insurance();
    let mut slices = 0;
    // 0.2 % a second for eight seconds: what the cap lets through at once, and what maintenance is made for.
    for second in 1..=8u64 {
        let price = PRICES[0] - PRICES[0] / 500 * second;
        let ticks = price / 100_000_000;
        venue.publish_all([price, PRICES[1], PRICES[2]]);
        // Others still buy, a little below.
        let bids = (2..12).map(|maker| (maker, order(BITCOIN, Side::Bid, ticks - ticks / 1_000, 50_000)));
        let verdicts = venue.trade(&bids.collect::<Vec<_>>());
        assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
        slices += venue.events.iter().filter(|event| matches!(event, Event::LiquidationSliced(_))).count();
    }
    assert!(slices > 0, "nobody was liquidated");
    assert!(venue.position(BITCOIN, 0) < 1_000_000, "the long is as long as before");
    assert!(venue.insurance() > before, "no fee came to insurance");
    assert_eq!(venue.state(1), BreakerState::Normal, "a fall like this trips nothing");
    assert_eq!(venue.replica.ledger().check_laws_from_rows(), []);
}

#[test]
fn a_segment_whose_prices_stop_is_reduce_only_after_a_minute_and_the_other_goes_on() {
    let mut venue = Venue::new(100_000);
    venue.publish_all(PRICES);
    for _ in 0..62 {
        venue.publish(3, PRICES[2], 0..5);
    }
    assert_eq!((venue.state(1), venue.state(2)), (BreakerState::ReduceOnly, BreakerState::Normal));
    venue.publish_all(PRICES);
    assert_eq!(venue.state(1), BreakerState::ReduceOnly, "it does not open by itself");
    assert_eq!(venue.trade(&[(0, order(3, Side::Ask, 20_000, 10))]), [Ok(())]);
}

/// 100,000 for a bitcoin, 3,000 for an ether, 0.20 for a small coin.
const PRICES: [u64; 3] = [100_000_000_000_000, 3_000_000_000_000, 200_000_000];

/// A replica of the development chain, driven by a clock of its own: a second for each block.
struct Venue {
    replica: Replica<CedarPolicies>,
    genesis: Genesis,
    time_ms: u64,
    nonces: std::collections::BTreeMap<PublicKey, u64>,
    /// Those of the last block.
    events: Vec<Event>,
}

impl Venue {
    /// Twelve seeded accounts with so much cash, in whole quote, in each segment.
    fn new(balance: i64) -> Self {
        let mut genesis = development_genesis(TimeMs::from_ms(START_MS));
        let seeded = genesis.seeded.as_mut().unwrap();
        (seeded.count, seeded.balance) = (12, QuoteMicros::from_micros(balance * 1_000_000));
        let keys = seeded_public_keys(seeded).into_iter().map(|(root, session)| SeededKeys { root, session });
        let replica = Replica::new(&genesis, keys, CedarPolicies::new(), &Sequential).unwrap();
        Self { replica, genesis, time_ms: START_MS, nonces: std::collections::BTreeMap::new(), events: Vec::new() }
    }

    fn seeded_account(&self, index: u64) -> AccountId {
        AccountId::new(self.genesis.principals().count() as u64 + 1 + index)
    }

    fn sign(&mut self, account: AccountId, role: SignerRole, key: &SigningKey, command: Command) -> Vec<u8> {
        // A root key's first nonce went into opening the account.
        let used = u64::from(role == SignerRole::Root);
        let nonce = self.nonces.entry(public_key(key)).or_insert(used);
        *nonce += 1;
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: *self.replica.ledger().chain_id(),
            account,
            signer: Signer { role, key: public_key(key) },
            nonce: *nonce,
            valid_until_ms: TimeMs::from_ms(self.time_ms + 30_000),
            group: GroupMode::EachAlone,
            commands: BoundedVec::new(vec![command]).unwrap(),
        };
        sign_envelope(intent, key).encode()
    }

    /// A block a second later; the verdicts of its envelopes, which hold a command each.
    fn block(&mut self, envelopes: Vec<Vec<u8>>) -> Vec<Result<(), RejectCode>> {
        self.time_ms += 1_000;
        let chain_id = *self.replica.ledger().chain_id();
        let decoded = envelopes.into_iter().map(|bytes| Decoded::from_bytes(bytes, &chain_id).unwrap()).collect();
        let authenticated =
            authenticate_batch(decoded, &NoProofs, &Sequential).into_iter().map(Result::unwrap).collect();
        let time_ms = TimeMs::from_ms(self.time_ms);
        let proposal = self.replica.propose(authenticated, time_ms, SealSecret([1; 32]), &Sequential, &mut ()).unwrap();
        let left_out: Vec<_> = proposal.left_out.iter().map(|(place, reject, _)| (*place, reject.code())).collect();
        assert_eq!(left_out, []);
        self.replica.adopt();
        let executed = proposal.executed;
        self.events.clear();
        for range in &executed.body_ranges {
            let record: RecordBody = borsh::from_slice(&executed.bodies[range.clone()]).unwrap();
            self.events.extend(record.events.iter().cloned());
        }
        let verdict = |record: usize| {
            let record: RecordBody = borsh::from_slice(&executed.bodies[executed.body_ranges[record].clone()]).unwrap();
            match record.verdict {
                Verdict::Accepted => Ok(()),
                Verdict::Refused(reject) => Err(reject.code()),
            }
        };
        let first = executed.records.first().map_or(0, |record| record.index.number());
        let commands = executed.envelopes.iter().flat_map(|envelope| envelope.commands.iter());
        commands.map(|command| verdict((command.record.number() - first) as usize)).collect()
    }

    /// Some publishers say that a feed's underlying costs so much now.
    fn publish(&mut self, feed: u16, nanos: u64, publishers: std::ops::Range<u64>) {
        let envelopes = publishers.map(|index| self.price(feed, nanos, index)).collect();
        let verdicts = self.block(envelopes);
        assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    }

    /// All publishers say what everything costs, in one block.
    fn publish_all(&mut self, prices: [u64; 3]) {
        let mut envelopes = Vec::new();
        for (feed, nanos) in (1..).zip(prices) {
            envelopes.extend((0..5).map(|index| self.price(feed, nanos, index)));
        }
        let verdicts = self.block(envelopes);
        assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    }

    fn price(&mut self, feed: u16, nanos: u64, publisher: u64) -> Vec<u8> {
        let command = Command::SubmitPrice(SubmitPrice {
            feed: FeedId::new(feed),
            price: PriceNanos::from_nanos(nanos),
            confidence: PriceNanos::from_nanos(nanos / 10_000),
            source_ms: TimeMs::from_ms(self.time_ms + 900),
        });
        let account = self.genesis.publisher_account(publisher as u16);
        self.sign(account, SignerRole::Root, &publisher_key(&DEVELOPMENT_SEED, publisher), command)
    }

    /// Orders of seeded accounts in one block, by root keys: when a fall makes a market wild, a session is not enough.
    fn trade(&mut self, orders: &[(u64, Command)]) -> Vec<Result<(), RejectCode>> {
        let sign = |(index, command): &(u64, Command)| {
            let key = root_key(&DEVELOPMENT_SEED, *index);
            self.sign(self.seeded_account(*index), SignerRole::Root, &key, command.clone())
        };
        let envelopes = orders.iter().map(sign).collect();
        self.block(envelopes)
    }

    fn state(&self, segment: u16) -> BreakerState {
        self.replica.ledger().segment(SegmentId::new(segment)).unwrap().breaker_state()
    }

    fn insurance(&self) -> i128 {
        self.replica.ledger().segment(SegmentId::new(1)).unwrap().totals().insurance
    }

    /// Signed lots of a seeded account.
    fn position(&self, market: u16, index: u64) -> i64 {
        let (ledger, market) = (self.replica.ledger(), MarketId::new(market));
        let segment = ledger.segment_of(market).and_then(|id| ledger.segment(id)).unwrap();
        let place = segment.market_place(market).unwrap();
        segment.sub_account(self.seeded_account(index)).map_or(0, |row| row.position(place).lots())
    }
}

fn order(market: u16, side: Side, ticks: u64, lots: u64) -> Command {
    Command::PlaceOrder(PlaceOrder {
        market: MarketId::new(market),
        side,
        kind: OrderKind::Limit(LimitTerms {
            price: PriceTicks::from_ticks(ticks),
            time_in_force: TimeInForce::GoodTillCancel,
        }),
        quantity: QuantityLots::from_lots(lots),
        client_id: ClientOrderId::NONE,
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    })
}
