use super::*;
use crate::PriceNanos;
use crate::clearing::MarginTier;
use crate::ids::AssetId;
use crate::limits::GRANT_LIFETIME_MS_MAX;
use crate::limits::SAFEGUARD_DELAY_MS_MAX;
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

fn attestors(rule: GenesisRule, change: impl Fn(&mut Vec<Principal>) + 'static) -> Mutation {
    chain(rule, move |genesis| genesis.attestors = changed(&genesis.attestors, &change))
}

fn passkey_origin(origin: &str, relying_party: &str) -> PasskeyOrigin {
    let bytes = |text: &str| BoundedVec::new(text.as_bytes().to_vec()).unwrap();
    PasskeyOrigin { origin: bytes(origin), relying_party: bytes(relying_party) }
}

fn passkeys(origin: &str, relying_party: &str) -> Mutation {
    let named = passkey_origin(origin, relying_party);
    chain(GenesisRule::PasskeyOrigins, move |genesis| {
        genesis.passkey_origins = changed(&genesis.passkey_origins, |origins| origins.push(named.clone()));
    })
}

#[test]
fn a_page_may_have_a_port_and_a_development_chain_a_page_of_this_machine() {
    let is_fine = |origin, party, is_development| passkey_origin(origin, party).is_well_formed(is_development);
    assert!(is_fine("https://app.casemate.example:8443", "casemate.example", false));
    assert!(is_fine("https://casemate.example", "casemate.example", false));
    assert!(is_fine("http://localhost:5173", "localhost", true));
    assert!(!is_fine("http://localhost:5173", "localhost", false));
    assert!(!is_fine("http://casemate.example", "casemate.example", true));
}

fn safeguards(change: impl Fn(&mut SafeguardRules) + 'static) -> Mutation {
    chain(GenesisRule::SafeguardTimes, move |genesis| change(&mut genesis.accounts.safeguards))
}

fn recovery(change: impl Fn(&mut RecoveryRules) + 'static) -> Mutation {
    chain(GenesisRule::RecoveryTimes, move |genesis| change(&mut genesis.accounts.safeguards.recovery))
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
    all.extend(officer_mutations());
    all.extend(feed_mutations());
    all.extend(margin_mutations());
    all.extend(clearing_mutations());
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
        chain(Rule::GrantLifetimes, |genesis| genesis.accounts.grant_lifetimes.extreme_ms = DurationMs::ZERO),
        chain(Rule::GrantLifetimes, |genesis| {
            genesis.accounts.grant_lifetimes = GrantLifetimes::same(DurationMs::from_ms(GRANT_LIFETIME_MS_MAX + 1));
        }),
        chain(Rule::GrantLifetimes, |genesis| {
            let lifetimes = &mut genesis.accounts.grant_lifetimes;
            lifetimes.stressed_ms = lifetimes.elevated_ms.saturating_add(DurationMs::from_ms(1));
        }),
        chain(Rule::SeededInRange, |genesis| {
            genesis.accounts.grant_lifetimes = GrantLifetimes::same(DurationMs::from_ms(1));
        }),
        safeguards(|rules| rules.address_cooling_ms = DurationMs::ZERO),
        safeguards(|rules| rules.root_change_delay_ms = DurationMs::from_ms(SAFEGUARD_DELAY_MS_MAX + 1)),
        recovery(|rules| rules.recovery_delay_ms = DurationMs::ZERO),
        recovery(|rules| rules.guardian_vote_lifetime_ms = DurationMs::ZERO),
        recovery(|rules| rules.recovery_pause_ms = DurationMs::ZERO),
        recovery(|rules| rules.recovery_hold_ms = DurationMs::from_ms(SAFEGUARD_DELAY_MS_MAX + 1)),
        // A change of guardians that is no slower than a recovery outruns it.
        recovery(|rules| rules.guardian_change_delay_ms = rules.recovery_delay_ms),
        recovery(|rules| rules.freeze_ms_max = DurationMs::from_ms(rules.recovery_delay_ms.ms() - 1)),
        recovery(|rules| rules.recovery_cancels_max = 0),
        recovery(|rules| rules.recovery_cancels_max = 9),
        // Two recoveries with pause and votes take eight hours: a window that forgets the first by then counts for nothing.
        recovery(|rules| rules.recovery_cancels_window_ms = DurationMs::from_ms(8 * 3_600_000)),
        chain(Rule::AttestorQuorum, |genesis| genesis.attestor_quorum = 0),
        chain(Rule::AttestorQuorum, |genesis| genesis.attestor_quorum = 4),
        attestors(Rule::AttestorQuorum, |attestors| attestors.clear()),
        attestors(Rule::AttestorQuorum, |attestors| attestors[1].operator = OperatorId::NONE),
        // Three keys of one operator are one operator.
        attestors(Rule::AttestorQuorum, |attestors| {
            attestors.iter_mut().for_each(|attestor| attestor.operator = OperatorId::new(1));
        }),
        attestors(Rule::PrincipalKeysDistinct, |attestors| attestors[1].root_key = attestors[2].root_key),
        chain(Rule::PrincipalKeysDistinct, |genesis| {
            let key = genesis.attestors.as_slice()[0].root_key;
            genesis.clearing = changed(&genesis.clearing, |clearing| clearing[0].backstop.root_key = key);
        }),
        passkeys("http://app.casemate.example", "casemate.example"),
        passkeys("https://app.casemate.example/", "casemate.example"),
        passkeys("https://App.casemate.example", "casemate.example"),
        passkeys("https://app.casemate.example:443x", "casemate.example"),
        passkeys("https://app.casemate.example:0443", "casemate.example"),
        passkeys("https://app.casemate.example", "other.example"),
        passkeys("https://app.casemate.example", "p.casemate.example"),
        passkeys("https://app.casemate.example", ""),
        passkeys("https://", ""),
        passkeys("app.casemate.example", "casemate.example"),
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
        segment(Rule::ConductLimits, |segment| segment.conduct.spoof_usual_orders = 0),
        segment(Rule::ConductLimits, |segment| segment.conduct.damage.outflow = ratio(0)),
        segment(Rule::ConductLimits, |segment| segment.conduct.damage.book_depth = ratio(1_000_001)),
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

fn officer_mutations() -> Vec<Mutation> {
    use GenesisRule as Rule;
    vec![
        chain(Rule::PrincipalOperators, |genesis| {
            genesis.publishers = changed(&genesis.publishers, |members| members[0].operator = OperatorId::NONE);
        }),
        chain(Rule::PrincipalOperators, |genesis| {
            genesis.auditors = changed(&genesis.auditors, |members| members[0].operator = OperatorId::NONE);
        }),
        chain(Rule::PrincipalKeysDistinct, |genesis| {
            let key = genesis.attestors.as_slice()[0].root_key;
            genesis.auditors = changed(&genesis.auditors, |members| members[0].root_key = key);
        }),
        chain(Rule::OfficerQuorum, |genesis| genesis.risk_officers.quorum = 0),
        chain(Rule::OfficerQuorum, |genesis| genesis.governors.quorum = 3),
        // Two keys of one operator are one operator.
        chain(Rule::OfficerQuorum, |genesis| {
            let members = &mut genesis.governors.members;
            *members = changed(members, |members| members[1].operator = members[0].operator);
        }),
        chain(Rule::ProposalTimes, |genesis| genesis.proposals.delay_ms = DurationMs::ZERO),
        chain(Rule::ProposalTimes, |genesis| genesis.proposals.life_ms_max = genesis.proposals.delay_ms),
        chain(Rule::ProposalTimes, |genesis| {
            genesis.proposals.life_ms_max = DurationMs::from_ms(crate::limits::PROPOSAL_LIFE_MS_MAX + 1);
        }),
    ]
}

fn feed(rule: GenesisRule, change: impl Fn(&mut FeedRules) + 'static) -> Mutation {
    let change = move |genesis: &mut Genesis| {
        genesis.feeds = changed(&genesis.feeds, |feeds| change(&mut feeds[0]));
    };
    Mutation { place: GenesisPlace::Feed(FeedId::new(1)), rule, change: Box::new(change) }
}

fn feed_mutations() -> Vec<Mutation> {
    use GenesisRule as Rule;
    let misnumbered = Mutation {
        place: GenesisPlace::Feed(FeedId::new(2)),
        ..feed(Rule::IdsInOrder, |feed| feed.id = FeedId::new(2))
    };
    vec![
        misnumbered,
        feed(Rule::FeedOfClearingSegment, |feed| feed.segment = SegmentId::new(1)),
        feed(Rule::FeedPublishers, |feed| feed.publishers = BoundedVec::empty()),
        feed(Rule::FeedPublishers, |feed| feed.publishers = changed(&feed.publishers, |places| places[2] = 3)),
        feed(Rule::FeedPublishers, |feed| feed.publishers = changed(&feed.publishers, |places| places[1] = 0)),
        feed(Rule::FeedPublishers, |feed| feed.operators_min = 0),
        feed(Rule::FeedPublishers, |feed| feed.operators_min = 4),
        feed(Rule::FeedPricePositive, |feed| feed.reference_price = PriceNanos::ZERO),
        feed(Rule::FeedAges, |feed| feed.observation_age_ms_max = DurationMs::ZERO),
        feed(Rule::FeedAges, |feed| feed.open_age_ms_max = DurationMs::ZERO),
        feed(Rule::FeedAges, |feed| feed.liquidate_age_ms_max = DurationMs::from_ms(2_999)),
        feed(Rule::FeedLimits, |feed| feed.confidence_max = RatioPpm::ZERO),
        feed(Rule::FeedLimits, |feed| feed.move_per_second_max = RatioPpm::ZERO),
        feed(Rule::FeedLimits, |feed| feed.move_per_second_max = ratio(1_000_001)),
    ]
}

fn margin(rule: GenesisRule, change: impl Fn(&mut MarginRules) + 'static) -> Mutation {
    let change = move |genesis: &mut Genesis| {
        genesis.margins = changed(&genesis.margins, |margins| change(&mut margins[0]));
    };
    Mutation { place: MARKET, rule, change: Box::new(change) }
}

fn tiers(rule: GenesisRule, change: impl Fn(&mut Vec<MarginTier>) + 'static) -> Mutation {
    margin(rule, move |margin| margin.tiers = changed(&margin.tiers, &change))
}

fn margin_mutations() -> Vec<Mutation> {
    use GenesisRule as Rule;
    vec![
        Mutation {
            place: GenesisPlace::Market(MarketId::new(9)),
            ..margin(Rule::MarketExists, |margin| margin.market = MarketId::new(9))
        },
        Mutation { place: MARKET, ..chain(Rule::MarginWhereClearing, |genesis| genesis.margins = BoundedVec::empty()) },
        margin(Rule::FeedOfSegment, |margin| margin.feed = FeedId::new(2)),
        margin(Rule::TickSizePositive, |margin| margin.tick_size = PriceNanos::ZERO),
        margin(Rule::IndexInRange, |margin| margin.tick_size = PriceNanos::from_nanos(64_000_000_000_001)),
        margin(Rule::IndexInRange, |margin| margin.tick_size = PriceNanos::from_nanos(1)),
        tiers(Rule::TiersInOrder, Vec::clear),
        tiers(Rule::TiersInOrder, |tiers| tiers[0].notional_from = QuoteMicros::from_micros(1)),
        tiers(Rule::TiersInOrder, |tiers| tiers[1].notional_from = QuoteMicros::ZERO),
        tiers(Rule::TiersInOrder, |tiers| tiers[1].maintenance = ratio(29_999)),
        tiers(Rule::TierRates, |tiers| tiers[0].maintenance = RatioPpm::ZERO),
        tiers(Rule::TierRates, |tiers| tiers[1].maintenance = ratio(100_001)),
        tiers(Rule::TierRates, |tiers| tiers[1].initial = ratio(1_000_001)),
        margin(Rule::SizeAddOnPositive, |margin| margin.size_rate = RatioPpm::ZERO),
        margin(Rule::SizeAddOnPositive, |margin| margin.size_notional = QuoteMicros::ZERO),
        margin(Rule::OpenInterestPositive, |margin| margin.open_interest_notional_max = QuoteMicros::ZERO),
        margin(Rule::BasisInRange, |margin| margin.basis_max = RatioPpm::ZERO),
        margin(Rule::BasisInRange, |margin| margin.basis_window_ms = DurationMs::ZERO),
        margin(Rule::MaturityPositive, |margin| margin.profit_cliff_ms = DurationMs::ZERO),
        margin(Rule::MaturityPositive, |margin| margin.profit_ramp_ms = DurationMs::ZERO),
        margin(Rule::ExtendedMoveInRange, |margin| margin.extended_move = RatioPpm::ZERO),
        margin(Rule::FundingInRange, |margin| margin.funding.interval_ms = DurationMs::ZERO),
        margin(Rule::FundingInRange, |margin| margin.funding.interval_ms = DurationMs::from_ms(7_000_000)),
        margin(Rule::FundingInRange, |margin| margin.funding.rate_max = RatioPpm::ZERO),
        margin(Rule::FundingInRange, |margin| margin.funding.impact_notional = QuoteMicros::ZERO),
        margin(Rule::LiquidationInRange, |margin| margin.liquidation.depth_share = RatioPpm::ZERO),
        margin(Rule::LiquidationInRange, |margin| margin.liquidation.per_second_max = QuoteMicros::ZERO),
        margin(Rule::LiquidationInRange, |margin| margin.liquidation.insurance_window_ms = DurationMs::ZERO),
        margin(Rule::RegimeLevels, |margin| margin.regime.jump.elevated = RatioPpm::ZERO),
        margin(Rule::RegimeLevels, |margin| margin.regime.spread.stressed = margin.regime.spread.extreme),
        margin(Rule::RegimeLevels, |margin| margin.regime.leave = ratio(1_000_000)),
        margin(Rule::RegimeLevels, |margin| margin.regime.leave = RatioPpm::ZERO),
        margin(Rule::RegimeTimes, |margin| margin.regime.hold_ms = DurationMs::ZERO),
        margin(Rule::RegimeTimes, |margin| margin.regime.volatility_window_ms = DurationMs::ZERO),
        margin(Rule::LiquidationFeeWithinMaintenance, |margin| margin.liquidation.fee = ratio(7_501)),
        // A quarter of the speed takes four times as long, in which the price may move four times as far.
        margin(Rule::MaintenanceCoversLiquidation, |margin| {
            margin.liquidation.per_second_max = QuoteMicros::from_micros(100_000_000_000);
        }),
        margin(Rule::MaintenanceCoversLiquidation, |margin| margin.liquidation.slippage_max = ratio(100_000)),
    ]
}

fn clearing_mutations() -> Vec<Mutation> {
    use GenesisRule as Rule;
    let clearing = |rule, change: fn(&mut ClearingRules)| {
        let change = move |genesis: &mut Genesis| {
            genesis.clearing = changed(&genesis.clearing, |clearing| change(&mut clearing[0]));
        };
        Mutation { place: SEGMENT, rule, change: Box::new(change) }
    };
    vec![
        chain(Rule::ClearingInOrder, |genesis| {
            genesis.margins = changed(&genesis.margins, |margins| margins.push(margins[0].clone()));
        }),
        Mutation {
            place: GenesisPlace::Segment(SegmentId::new(1)),
            ..chain(Rule::FullCollateralOnlyInDevelopment, |genesis| {
                (genesis.seeded, genesis.is_development) = (None, false);
            })
        },
        clearing(Rule::TransferMarginInRange, |rules| rules.transfer_margin = RatioPpm::ZERO),
        clearing(Rule::PrincipalExitLimited, |rules| rules.principal_exit.delay_ms = DurationMs::from_ms(999)),
        clearing(Rule::PrincipalExitLimited, |rules| rules.principal_exit.limit.amount_max = QuoteMicros::ZERO),
        clearing(Rule::BreakerLevels, |rules| rules.breakers.price_move.leave = RatioPpm::ZERO),
        clearing(Rule::BreakerLevels, |rules| rules.breakers.outflow.leave = rules.breakers.outflow.elevated),
        clearing(Rule::BreakerLevels, |rules| rules.breakers.divergence.halted = ratio(1)),
        clearing(Rule::BreakerLevels, |rules| rules.breakers.deficit_floor = QuoteMicros::ZERO),
        clearing(Rule::BreakerTimes, |rules| rules.breakers.clear_ms = DurationMs::ZERO),
        clearing(Rule::BreakerTimes, |rules| rules.breakers.cooldown_ms_max = DurationMs::from_ms(1)),
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
    // Whether policies compile is for the policy engine to say, not for `validate`.
    for &rule in GenesisRule::ALL.iter().filter(|rule| **rule != GenesisRule::Policies) {
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
        |genesis| {
            (genesis.markets, genesis.margins) = (BoundedVec::empty(), BoundedVec::empty());
        },
        |genesis| *genesis = without_full_collateral(genesis),
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

/// The example's margined segment alone, which any chain may have.
fn without_full_collateral(genesis: &Genesis) -> Genesis {
    let segments = changed(&genesis.segments, |segments| segments.truncate(1));
    let markets = changed(&genesis.markets, |markets| {
        markets.retain(|market| market.segment == SegmentId::new(2));
        (markets[0].id, markets[0].segment) = (MarketId::new(1), SegmentId::new(1));
    });
    let feeds = changed(&genesis.feeds, |feeds| feeds[0].segment = SegmentId::new(1));
    let clearing = changed(&genesis.clearing, |clearing| clearing[0].segment = SegmentId::new(1));
    let margins = changed(&genesis.margins, |margins| margins[0].market = MarketId::new(1));
    Genesis { is_development: false, seeded: None, segments, markets, feeds, clearing, margins, ..genesis.clone() }
}

#[test]
fn principals_have_the_first_accounts_in_a_fixed_order() {
    let genesis = examples::genesis();
    let kinds: Vec<PrincipalKind> = genesis.principals().map(|(kind, _)| kind).collect();
    assert_eq!(kinds.len(), 3 + 3 + 2 + 2 + 1 + 1);
    assert_eq!(genesis.publisher_account(0), AccountId::new(4));
    assert_eq!(kinds[3], PrincipalKind::Publisher);
    assert_eq!(genesis.backstop_account(SegmentId::new(2)), Some(AccountId::new(11)));
    assert_eq!(genesis.backstop_account(SegmentId::new(1)), None);
    assert_eq!(kinds[10], PrincipalKind::Backstop);
    assert_eq!(kinds[11], PrincipalKind::Auditor);
}

#[test]
fn golden_genesis() {
    let development = examples::genesis();
    let open = Genesis { log_mode: LogMode::Open, ..without_full_collateral(&examples::genesis()) };
    let rows = [("development", development), ("open", open)].map(|(name, genesis)| {
        assert_eq!(genesis.validate(), Ok(()));
        assert_eq!(borsh::from_slice::<Genesis>(&borsh::to_vec(&genesis).unwrap()).unwrap(), genesis);
        [name.to_owned(), hex_of(&genesis), genesis.chain_id().to_string()]
    });
    assert_golden("genesis.tsv", &table(["name", "bytes", "chain_id"], &rows));
}
