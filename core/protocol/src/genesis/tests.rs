use super::*;
use crate::ids::AssetId;
use crate::testing::examples;
use crate::testing::golden::{assert_golden, hex_of, table};

const CHAIN: GenesisPlace = GenesisPlace::Chain;
const SEGMENT: GenesisPlace = GenesisPlace::Segment(SegmentId::new(2));
const MARKET: GenesisPlace = GenesisPlace::Market(MarketId::new(3));

/// One change to a valid genesis, and what it breaks.
struct Mutation {
    place: GenesisPlace,
    rule: GenesisRule,
    change: Box<dyn Fn(&mut Genesis)>,
}

fn chain(rule: GenesisRule, change: impl Fn(&mut Genesis) + 'static) -> Mutation {
    Mutation { place: CHAIN, rule, change: Box::new(change) }
}

fn segment(rule: GenesisRule, change: impl Fn(&mut SegmentRules) + 'static) -> Mutation {
    let change = move |genesis: &mut Genesis| {
        genesis.segments = changed(&genesis.segments, |segments| change(&mut segments[1]));
    };
    Mutation { place: SEGMENT, rule, change: Box::new(change) }
}

fn market(rule: GenesisRule, change: impl Fn(&mut MarketRules) + 'static) -> Mutation {
    let change = move |genesis: &mut Genesis| {
        genesis.markets = changed(&genesis.markets, |markets| change(&mut markets[2]));
    };
    Mutation { place: MARKET, rule, change: Box::new(change) }
}

fn attestors(rule: GenesisRule, change: impl Fn(&mut Vec<Attestor>) + 'static) -> Mutation {
    chain(rule, move |genesis| genesis.attestors = changed(&genesis.attestors, &change))
}

fn seeded(change: impl Fn(&mut SeededAccounts) + 'static) -> Mutation {
    chain(GenesisRule::SeededInRange, move |genesis| change(genesis.seeded.as_mut().unwrap()))
}

fn changed<T: Clone, const MAX: usize>(list: &BoundedVec<T, MAX>, change: impl Fn(&mut Vec<T>)) -> BoundedVec<T, MAX> {
    let mut items = list.as_slice().to_vec();
    change(&mut items);
    BoundedVec::new(items).unwrap()
}

fn ratio(ppm: u32) -> RatioPpm {
    RatioPpm::from_ppm(ppm)
}

fn mutations() -> Vec<Mutation> {
    let mut all = chain_mutations();
    all.extend(segment_mutations());
    all.extend(market_mutations());
    all
}

fn chain_mutations() -> Vec<Mutation> {
    use GenesisRule as Rule;
    vec![
        chain(Rule::SegmentExists, |genesis| genesis.segments = BoundedVec::empty()),
        chain(Rule::BondPositive, |genesis| genesis.accounts.bond = QuoteMicros::ZERO),
        chain(Rule::BondPositive, |genesis| genesis.accounts.bond = QuoteMicros::from_micros(-1)),
        chain(Rule::OpeningDepositCoversBond, |genesis| {
            genesis.accounts.opening_deposit_min = QuoteMicros::from_micros(genesis.accounts.bond.micros() - 1);
        }),
        chain(Rule::WeightBudgetPositive, |genesis| genesis.accounts.weight_per_second = 0),
        chain(Rule::WeightBudgetPositive, |genesis| genesis.accounts.weight_burst = LEAST_WEIGHT_BURST - 1),
        chain(Rule::AttestorQuorum, |genesis| genesis.attestor_quorum = 0),
        chain(Rule::AttestorQuorum, |genesis| genesis.attestor_quorum = 4),
        attestors(Rule::AttestorQuorum, |attestors| attestors.clear()),
        attestors(Rule::AttestorQuorum, |attestors| attestors[1].operator = OperatorId::NONE),
        // Three keys of one operator are one operator.
        attestors(Rule::AttestorQuorum, |attestors| {
            attestors.iter_mut().for_each(|attestor| attestor.operator = OperatorId::new(1));
        }),
        attestors(Rule::AttestorKeysDistinct, |attestors| attestors[1].root_key = attestors[2].root_key),
        chain(Rule::SeededOnlyInDevelopment, |genesis| genesis.is_development = false),
        seeded(|seeded| seeded.count = 0),
        seeded(|seeded| seeded.count = crate::limits::ACCOUNTS_MAX / 2 + 1),
        seeded(|seeded| seeded.balance = QuoteMicros::ZERO),
        seeded(|seeded| seeded.balance = QuoteMicros::from_micros(BALANCE_MICROS_MAX + 1)),
        seeded(|seeded| seeded.grant_notional = QuoteMicros::ZERO),
        seeded(|seeded| {
            (seeded.position_lots, seeded.grant_notional) = (QuantityLots::from_lots(1), QuoteMicros::from_micros(1));
        }),
        seeded(|seeded| seeded.grant_commands_per_minute = 0),
        seeded(|seeded| seeded.grant_lifetime_ms = DurationMs::ZERO),
        seeded(|seeded| seeded.grant_lifetime_ms = DurationMs::from_ms(GRANT_LIFETIME_MS_MAX + 1)),
    ]
}

fn segment_mutations() -> Vec<Mutation> {
    use GenesisRule as Rule;
    let outbound = |change: fn(&mut LimiterRules)| {
        segment(Rule::LimitPositive, move |segment| {
            segment.outbound = changed(&segment.outbound, |windows| change(&mut windows[1]));
        })
    };
    let misnumbered = |id: u16| Mutation {
        place: GenesisPlace::Segment(SegmentId::new(id)),
        ..segment(Rule::IdsInOrder, move |segment| segment.id = SegmentId::new(id))
    };
    vec![
        misnumbered(0),
        misnumbered(1),
        misnumbered(3),
        segment(Rule::AssetNamed, |segment| segment.asset = AssetId::NONE),
        segment(Rule::DelayAboveMinimum, |segment| segment.withdrawal_delay_ms = DurationMs::from_ms(999)),
        segment(Rule::DelayAboveMinimum, |segment| segment.transfer_delay_ms = DurationMs::from_ms(999)),
        segment(Rule::LimitPositive, |segment| segment.inbound.window_ms = DurationMs::ZERO),
        segment(Rule::LimitPositive, |segment| segment.inbound.amount_max = QuoteMicros::ZERO),
        segment(Rule::LimitPositive, |segment| segment.dead_man_timeout_min_ms = DurationMs::ZERO),
        outbound(|window| window.window_ms = DurationMs::ZERO),
        outbound(|window| window.floor = QuoteMicros::ZERO),
        outbound(|window| window.vault_share = RatioPpm::ZERO),
        outbound(|window| window.vault_share = ratio(1_000_001)),
        segment(Rule::LimiterPresent, |segment| segment.outbound = BoundedVec::empty()),
        segment(Rule::OpenOrdersInRange, |segment| segment.open_orders_max = 0),
        segment(Rule::OpenOrdersInRange, |segment| segment.open_orders_max = OPEN_ORDERS_MAX + 1),
        segment(Rule::FeeSharesWithinWhole, |segment| segment.fee_share_insurance = ratio(800_001)),
        segment(Rule::FeeSharesWithinWhole, |segment| segment.fee_share_validators = ratio(u32::MAX)),
    ]
}

fn market_mutations() -> Vec<Mutation> {
    use GenesisRule as Rule;
    let misnumbered = |id: u16| Mutation {
        place: GenesisPlace::Market(MarketId::new(id)),
        ..market(Rule::IdsInOrder, move |market| market.id = MarketId::new(id))
    };
    vec![
        misnumbered(0),
        misnumbered(2),
        misnumbered(4),
        market(Rule::SegmentExists, |market| market.segment = SegmentId::NONE),
        market(Rule::SegmentExists, |market| market.segment = SegmentId::new(3)),
        market(Rule::TickValuePositive, |market| market.tick_value = TickValueMicros::ZERO),
        market(Rule::PriceInRange, |market| market.price_max = PriceTicks::ZERO),
        market(Rule::PriceInRange, |market| market.price_max = PriceTicks::from_ticks(PRICE_TICKS_MAX + 1)),
        market(Rule::ReferencePriceInRange, |market| market.reference_price = PriceTicks::ZERO),
        market(Rule::ReferencePriceInRange, |market| market.reference_price = PriceTicks::from_ticks(10_000_001)),
        market(Rule::BandInRange, |market| market.band = RatioPpm::ZERO),
        market(Rule::BandInRange, |market| market.band = ratio(1_000_001)),
        market(Rule::LotsInOrder, |market| market.order_lots_min = QuantityLots::ZERO),
        market(Rule::LotsInOrder, |market| market.order_lots_min = QuantityLots::from_lots(100_001)),
        market(Rule::LotsInOrder, |market| market.order_lots_max = QuantityLots::from_lots(1_000_001)),
        market(Rule::LotsInOrder, |market| market.position_lots_max = QuantityLots::from_lots(QUANTITY_LOTS_MAX + 1)),
        market(Rule::NotionalFitsMoney, |market| market.position_lots_max = QuantityLots::from_lots(1 << 44)),
        // Twice 2^54 would just fit, one lot more does not.
        market(Rule::NotionalFitsMoney, |market| {
            *market = largest_market(market);
            market.position_lots_max = QuantityLots::from_lots((1 << 14) + 1);
        }),
        market(Rule::FeesInRange, |market| market.taker_fee = FeePpm::from_ppm(-1)),
        market(Rule::FeesInRange, |market| market.taker_fee = FeePpm::from_ppm(1_000_000)),
        market(Rule::FeesInRange, |market| market.maker_fee = FeePpm::from_ppm(401)),
        market(Rule::RebateWithinTakerFee, |market| market.maker_fee = FeePpm::from_ppm(-401)),
        market(Rule::RebateWithinTakerFee, |market| market.maker_fee = FeePpm::from_ppm(i32::MIN)),
    ]
}

/// A market whose largest notional is exactly 2^54 micro-quote.
fn largest_market(market: &MarketRules) -> MarketRules {
    MarketRules {
        tick_value: TickValueMicros::from_micros(1),
        price_max: PriceTicks::from_ticks(PRICE_TICKS_MAX),
        order_lots_max: QuantityLots::from_lots(1 << 10),
        position_lots_max: QuantityLots::from_lots(1 << 14),
        ..*market
    }
}

#[test]
fn the_example_is_valid() {
    assert_eq!(examples::genesis().validate(), Ok(()));
}

#[test]
fn each_rule_of_genesis_is_broken_by_one_change() {
    let mutations = mutations();
    for &rule in GenesisRule::ALL {
        assert!(mutations.iter().any(|mutation| mutation.rule == rule), "no change breaks {rule:?}");
    }
    for (number, Mutation { place, rule, change }) in mutations.into_iter().enumerate() {
        let mut genesis = examples::genesis();
        change(&mut genesis);
        assert_eq!(genesis.validate(), Err(GenesisError { place, rule }), "change {number}");
    }
}

#[test]
fn values_at_the_edge_of_each_rule_are_accepted() {
    let changes: [fn(&mut Genesis); 8] = [
        |genesis| genesis.accounts.opening_deposit_min = genesis.accounts.bond,
        |genesis| genesis.accounts.weight_burst = LEAST_WEIGHT_BURST,
        |genesis| genesis.attestor_quorum = 3,
        |genesis| genesis.seeded = None,
        |genesis| (genesis.seeded, genesis.is_development) = (None, false),
        |genesis| genesis.markets = BoundedVec::empty(),
        |genesis| {
            genesis.segments = changed(&genesis.segments, |segments| {
                let segment = &mut segments[0];
                segment.withdrawal_delay_ms = DurationMs::from_ms(WITHDRAWAL_DELAY_MS_MIN);
                segment.transfer_delay_ms = DurationMs::from_ms(WITHDRAWAL_DELAY_MS_MIN);
                segment.open_orders_max = OPEN_ORDERS_MAX;
                segment.fee_share_insurance = ratio(800_000);
            });
        },
        |genesis| {
            genesis.markets = changed(&genesis.markets, |markets| {
                markets[0] = MarketRules { band: ratio(1_000_000), ..largest_market(&markets[0]) };
                markets[1].maker_fee = FeePpm::from_ppm(-400);
            });
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut genesis = examples::genesis();
        change(&mut genesis);
        assert_eq!(genesis.validate(), Ok(()), "change {number}");
    }
}

#[test]
fn sentences_say_what_is_asked_and_where() {
    for &rule in GenesisRule::ALL {
        let sentence = rule.sentence();
        assert!(sentence.starts_with(char::is_lowercase) && !sentence.ends_with('.'), "{sentence}");
        let error = GenesisError { place: MARKET, rule };
        assert_eq!(error.to_string(), format!("market `3` fails its listing check: {sentence}"));
    }
    let error = GenesisError { place: CHAIN, rule: GenesisRule::BondPositive };
    assert_eq!(error.to_string(), "genesis: the account bond must be above zero");
}

#[test]
fn segments_and_markets_are_found_by_their_ids() {
    let genesis = examples::genesis();
    assert_eq!(genesis.segment(SegmentId::new(2)).unwrap().id, SegmentId::new(2));
    assert_eq!(genesis.market(MarketId::new(3)).unwrap().id, MarketId::new(3));
    assert!(genesis.segment(SegmentId::NONE).is_none() && genesis.segment(SegmentId::new(3)).is_none());
    assert!(genesis.market(MarketId::NONE).is_none() && genesis.market(MarketId::new(4)).is_none());
}

#[test]
fn golden_genesis() {
    let development = examples::genesis();
    let open = Genesis { log_mode: LogMode::Open, is_development: false, seeded: None, ..examples::genesis() };
    let rows = [("development", development), ("open", open)].map(|(name, genesis)| {
        assert_eq!(genesis.validate(), Ok(()));
        assert_eq!(borsh::from_slice::<Genesis>(&borsh::to_vec(&genesis).unwrap()).unwrap(), genesis);
        [name.to_owned(), hex_of(&genesis), genesis.chain_id().to_string()]
    });
    assert_golden("genesis.tsv", &table(["name", "bytes", "chain_id"], &rows));
}
