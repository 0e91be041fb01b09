use casemate_protocol::genesis::GenesisRule;
use casemate_protocol::limits::GRANT_LIFETIME_MS_MAX;
use proptest::prelude::*;

use super::*;
use crate::development_keys::{attestor_key, public_key, root_key};

#[test]
fn the_development_genesis_is_valid_and_survives_its_file() {
    let genesis = development_genesis(TIME);
    assert_eq!(genesis.validate(), Ok(()));
    assert!(genesis.is_development);
    assert_eq!((genesis.segments.len(), genesis.markets.len(), genesis.attestors.len()), (2, 3, 3));
    assert_eq!(genesis.attestor_quorum, 2);
    assert_eq!(genesis.attestors.as_slice()[2].root_key, public_key(&attestor_key(&DEVELOPMENT_SEED, 2)));
    assert_eq!(parse_dev(&write(&genesis)).unwrap(), genesis);
}

#[test]
fn the_replay_genesis_has_a_tick_value_of_one_micro_dollar_and_room_for_the_data() {
    let genesis = order_replay_genesis(1_000, [3; 32]).unwrap();
    assert_eq!(parse_dev(&write(&genesis)).unwrap(), genesis);
    let market = genesis.market(MarketId::new(1)).unwrap();
    // 0.01 USD is 10,000 micro-USD; 10,000 satoshi are 1/10,000 of a bitcoin.
    assert_eq!(market.tick_value.micros(), 10_000 / (100_000_000 / 10_000));
    // The file's highest price is 350 USD and its largest order 200 BTC.
    let largest = casemate_protocol::notional(
        PriceTicks::from_ticks(35_000),
        QuantityLots::from_lots(2_000_000),
        market.tick_value,
    );
    assert!(market.price_max.ticks() >= 35_000 && market.order_lots_max.lots() >= 2_000_000);
    assert!(largest.unwrap() < genesis.seeded.unwrap().balance);
    let rule = order_replay_genesis(0, [3; 32]).unwrap_err().rule;
    assert_eq!(rule, GenesisRule::SeededInRange);
}

#[test]
fn every_field_is_required() {
    let text = write(&development_genesis(TIME));
    let mut removed = 0;
    for (index, line) in text.lines().enumerate() {
        let Some((field, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let without: Vec<&str> =
            text.lines().enumerate().filter(|(at, _)| *at != index).map(|(_, line)| line).collect();
        let error = parse_dev(&without.join("\n")).expect_err(line);
        assert!(error.to_string().contains(&format!("missing field `{field}`")), "{line}: {error}");
        assert_eq!(error.hint(), "add it: no limit has a default");
        // The table that lacks the field is named by the line on which it starts.
        let header = text.lines().take(index).enumerate().filter(|(_, line)| line.starts_with('[')).last();
        assert_eq!(error.line(), Some(header.map_or(1, |(at, _)| at as u64 + 1)), "{line}: {error}");
        removed += 1;
    }
    assert!(removed > 70, "only {removed} fields were tried");
}

#[test]
fn an_unknown_field_is_an_error_with_its_line() {
    let text = write(&development_genesis(TIME));
    for (index, line) in text.lines().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.insert(index + 1, "surprise = 1");
        let error = parse_dev(&lines.join("\n")).expect_err(line);
        assert!(error.to_string().contains("unknown field `surprise`"), "{error}");
        assert_eq!(error.line(), Some(index as u64 + 2), "{error}");
    }
}

#[test]
fn wrong_values_name_field_line_and_form() {
    let cases = [
        ("bond_quote = \"10.000000\"", "bond_quote = 10", "field `bond_quote`: invalid type: integer `10`"),
        ("bond_quote = \"10.000000\"", "bond_quote = \"10.0000001\"", "at most six places"),
        ("bond_quote = \"10.000000\"", "bond_quote = \"1e3\"", "field `bond_quote`: invalid value"),
        ("bond_quote = \"10.000000\"", "bond_quote = \"9223372036854.775808\"", "field `bond_quote`"),
        ("weight_burst = 40_000", "weight_burst = -1", "field `weight_burst`"),
        ("weight_burst = 40_000", "weight_burst = 4_294_967_296", "field `weight_burst`"),
        ("weight_burst = 40_000", "weight_burst = 1.5", "field `weight_burst`"),
        ("log_mode = \"open\"", "log_mode = \"secret\"", "unknown variant `secret`"),
        ("development = true", "development = \"yes\"", "field `development`"),
        ("tick_value_quote = \"0.000001\"", "tick_value_quote = \"-0.000001\"", "field `tick_value_quote`"),
        ("root_key = \"ed25519:", "root_key = \"ed25518:", "field `root_key`"),
        ("seed_hex = \"63", "seed_hex = \"6g", "64 hexadecimal digits"),
        ("quorum_operators = 2", "quorum_operators = 2\nquorum_operators = 2", "duplicate key"),
        ("[accounts]", "[accounts", "expected `]`"),
        ("operator = 2", "operator = ", "value"),
        (
            "name = \"casemate development chain\"",
            "name = \"a name of more bytes than sixty-four, which is what the protocol has room for\"",
            "at most 64 bytes of text",
        ),
    ];
    let text = write(&development_genesis(TIME));
    for (from, to, expected) in cases {
        let line = line_of(&text, text.find(from).unwrap()..0);
        let error = parse_dev(&text.replacen(from, to, 1)).expect_err(to);
        assert!(error.to_string().contains(expected), "{to}: {error}");
        assert!((line..=line + 1).contains(&error.line().unwrap()), "{to}: {error}");
        let message = error.to_string();
        assert!(message.starts_with("genesis file `dev.toml`, line ") && !message.ends_with('.'), "{message}");
        assert!(error.hint().starts_with(char::is_lowercase), "{}", error.hint());
    }
}

#[test]
fn a_rule_that_does_not_hold_names_the_table_it_is_about() {
    let text = write(&development_genesis(TIME));
    let starts: Vec<u64> = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| *line == "[[segment]]" || *line == "[[market]]")
        .map(|(_, number)| number)
        .collect();
    let broken = |from: &str, nth: usize, to: &str| {
        let (at, _) = text.match_indices(from).nth(nth).unwrap();
        let changed = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        parse_dev(&changed).expect_err(to)
    };
    let error = broken("withdrawal_delay_ms = 60_000", 1, "withdrawal_delay_ms = 0");
    assert_eq!(error.line(), Some(starts[1]), "{error}");
    assert!(error.to_string().contains("segment `2` of genesis: withdrawal and transfer delays"), "{error}");
    let error = broken("band_ppm = 100_000", 0, "band_ppm = 0");
    assert_eq!(error.line(), Some(starts[4]), "{error}");
    assert!(error.to_string().contains("market `3` fails its listing check"), "{error}");
    let error = broken("[[market]]\nid = 2", 0, "[[market]]\nid = 1");
    assert_eq!(error.line(), Some(starts[3]), "the second of two markets with id 1: {error}");
    let error = broken("quorum_operators = 2", 0, "quorum_operators = 4");
    assert_eq!(error.line(), None, "{error}");
    let error = broken("development = true", 0, "development = false");
    assert!(error.to_string().contains("seeded accounts need `development = true`"), "{error}");
}

#[test]
fn too_long_lists_name_the_first_entry_too_many() {
    let text = write(&development_genesis(TIME));
    let market = "\n[[market]]\nid = 4\nsegment = 1\ntick_value_quote = \"0.000001\"\nprice_max_ticks = 1\n\
                  reference_price_ticks = 1\nband_ppm = 1\norder_min_lots = 1\norder_max_lots = 1\n\
                  position_max_lots = 1\nmaker_fee_ppm = 0\ntaker_fee_ppm = 0\n";
    let head = text.split("\n[seeded]").next().unwrap();
    let error = parse_dev(&format!("{head}{}", market.repeat(254))).unwrap_err();
    assert!(error.to_string().contains("more than `256` markets"), "{error}");
    let lines = head.lines().count() as u64;
    assert_eq!(error.line(), Some(lines + 13 * 253 + 1), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = read(Path::new("no/such/genesis.toml")).unwrap_err();
    assert!(error.to_string().starts_with("genesis file `no/such/genesis.toml`: cannot be read: "), "{error}");
}

#[test]
fn decimals_are_exact() {
    assert_eq!(parse_micros("0.000001"), Some(1));
    assert_eq!(parse_micros("12.5"), Some(12_500_000));
    assert_eq!(parse_micros("7"), Some(7_000_000));
    assert_eq!(parse_micros("-0.5"), Some(-500_000));
    assert_eq!(parse_micros("9223372036854.775807"), Some(i64::MAX));
    assert_eq!(parse_micros("-9223372036854.775808"), Some(i64::MIN));
    for bad in ["", ".5", "5.", "-", "--1", "+1", "1,5", "1_000", "1.2.3", "1.0000000", " 1", "٣", "0x10", "nan"] {
        assert_eq!(parse_micros(bad), None, "{bad}");
    }
    assert_eq!(parse_micros(&"9".repeat(60)), None);
}

proptest! {
    #[test]
    fn prop_every_valid_genesis_survives_its_file(genesis in valid_genesis()) {
        prop_assert_eq!(genesis.validate(), Ok(()));
        let text = write(&genesis);
        let read = parse_dev(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(read.chain_id(), genesis.chain_id());
        prop_assert_eq!(read, genesis);
    }

    #[test]
    fn prop_a_decimal_survives_its_text(micros in any::<i64>()) {
        prop_assert_eq!(parse_micros(&QuoteMicros::from_micros(micros).to_string()), Some(micros));
    }

    #[test]
    fn prop_damaged_files_are_refused_or_read_but_never_panic(at in 0usize..6_000, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = write(&development_genesis(TIME)).into_bytes();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let _either = parse_dev(&String::from_utf8_lossy(&bytes));
    }
}

const TIME: TimeMs = TimeMs::from_ms(1_735_689_600_000);

fn parse_dev(text: &str) -> Result<Genesis, GenesisFileError> {
    parse(text, Path::new("dev.toml"))
}

prop_compose! {
    fn valid_genesis()(
        name in ".{0,16}",
        time_ms in any::<u64>(),
        is_sealed in any::<bool>(),
        bond in 1i64..1 << 40,
        extra in 0i64..1 << 40,
        weight in (2_000u32.., 1u32..),
        operators in 1u16..5,
        segments in prop::collection::vec(valid_segment(), 1..4),
        markets in prop::collection::vec(valid_market(), 0..4),
        seeded in prop::option::of(valid_seeded()),
        is_development in any::<bool>(),
    ) -> Genesis {
        let count = segments.len() as u16;
        let number = |rules: (usize, SegmentRules)| SegmentRules { id: SegmentId::new(rules.0 as u16 + 1), ..rules.1 };
        let place = |rules: (usize, MarketRules)| MarketRules {
            id: MarketId::new(rules.0 as u16 + 1),
            segment: SegmentId::new(rules.0 as u16 % count + 1),
            ..rules.1
        };
        let attestor = |operator: u16| Attestor {
            operator: OperatorId::new(operator),
            root_key: public_key(&root_key(&[9; 32], u64::from(operator))),
        };
        Genesis {
            name: BoundedVec::new(name.into_bytes()).unwrap(),
            time_ms: TimeMs::from_ms(time_ms),
            is_development: is_development || seeded.is_some(),
            log_mode: if is_sealed { LogMode::Sealed } else { LogMode::Open },
            accounts: AccountRules {
                bond: QuoteMicros::from_micros(bond),
                opening_deposit_min: QuoteMicros::from_micros(bond + extra),
                weight_burst: weight.0,
                weight_per_second: weight.1,
            },
            attestors: BoundedVec::new((1..=operators).map(attestor).collect()).unwrap(),
            attestor_quorum: operators,
            segments: BoundedVec::new(segments.into_iter().enumerate().map(number).collect()).unwrap(),
            markets: BoundedVec::new(markets.into_iter().enumerate().map(place).collect()).unwrap(),
            seeded,
        }
    }
}

prop_compose! {
    fn valid_segment()(
        asset in 1u16..,
        delays in (1_000u64.., 1_000u64..),
        inbound in (1u64.., 1i64..),
        outbound in prop::collection::vec((1u64.., 1i64.., 1u32..=1_000_000), 1..4),
        open_orders_max in 1u32..=1_024,
        dead_man_ms in 1u64..,
        shares in (0u32..=500_000, 0u32..=500_000),
    ) -> SegmentRules {
        let window = |(window_ms, floor, share)| LimiterRules {
            window_ms: DurationMs::from_ms(window_ms),
            floor: QuoteMicros::from_micros(floor),
            vault_share: RatioPpm::from_ppm(share),
        };
        SegmentRules {
            id: SegmentId::NONE,
            asset: AssetId::new(asset),
            withdrawal_delay_ms: DurationMs::from_ms(delays.0),
            transfer_delay_ms: DurationMs::from_ms(delays.1),
            inbound: WindowCap {
                window_ms: DurationMs::from_ms(inbound.0),
                amount_max: QuoteMicros::from_micros(inbound.1),
            },
            outbound: BoundedVec::new(outbound.into_iter().map(window).collect()).unwrap(),
            open_orders_max,
            dead_man_timeout_min_ms: DurationMs::from_ms(dead_man_ms),
            fee_share_insurance: RatioPpm::from_ppm(shares.0),
            fee_share_validators: RatioPpm::from_ppm(shares.1),
        }
    }
}

prop_compose! {
    fn valid_market()(
        tick_value in 1u32..4,
        prices in (1u64..1 << 20, 0u64..1 << 20),
        band in 1u32..=1_000_000,
        lots in (1u64..1 << 20, 0u64..1 << 20, 0u64..1 << 20),
        taker in 0i32..999_999,
        rebate in 0i32..999_999,
    ) -> MarketRules {
        MarketRules {
            id: MarketId::NONE,
            segment: SegmentId::NONE,
            tick_value: TickValueMicros::from_micros(tick_value),
            price_max: PriceTicks::from_ticks(prices.0 + prices.1),
            reference_price: PriceTicks::from_ticks(prices.0),
            band: RatioPpm::from_ppm(band),
            order_lots_min: QuantityLots::from_lots(lots.0),
            order_lots_max: QuantityLots::from_lots(lots.0 + lots.1),
            position_lots_max: QuantityLots::from_lots(lots.0 + lots.1 + lots.2),
            maker_fee: FeePpm::from_ppm(-rebate.min(taker)),
            taker_fee: FeePpm::from_ppm(taker),
        }
    }
}

prop_compose! {
    fn valid_seeded()(
        count in 1u64..1_000_000,
        seed in any::<[u8; 32]>(),
        balance in 1i64..=1 << 60,
        position_lots in 0u64..=1,
        notional in 1i64..,
        commands in 1u32..,
        lifetime_ms in 1u64..=GRANT_LIFETIME_MS_MAX,
    ) -> SeededAccounts {
        SeededAccounts {
            count,
            seed,
            balance: QuoteMicros::from_micros(balance),
            position_lots: QuantityLots::from_lots(position_lots),
            grant_notional: QuoteMicros::from_micros(notional),
            grant_commands_per_minute: commands,
            grant_lifetime_ms: DurationMs::from_ms(lifetime_ms),
        }
    }
}
