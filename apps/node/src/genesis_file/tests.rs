use casemate_protocol::genesis::{Genesis, GenesisRule, PrincipalKind};
use casemate_protocol::policy::PolicySet;
use casemate_protocol::units::{Round, notional};
use casemate_protocol::{PriceTicks, QuantityLots, QuoteMicros, RatioPpm};
use proptest::prelude::*;

use super::values::{PRICE_PLACES, parse_decimal, parse_micros};
use super::*;
use crate::development_keys as keys;
use strategies::valid_genesis;

mod strategies;
mod venue;

#[test]
fn the_development_genesis_is_a_venue_on_margin_and_survives_its_file() {
    let genesis = development_genesis(TIME);
    assert_eq!(genesis.validate(), Ok(()));
    assert!(genesis.is_development);
    let counts = (genesis.segments.len(), genesis.markets.len(), genesis.attestors.len(), genesis.publishers.len());
    assert_eq!(counts, (2, 3, 3, 5));
    assert_eq!((genesis.attestor_quorum, genesis.risk_officers.quorum, genesis.governors.quorum), (2, 2, 2));
    assert_eq!((genesis.clearing.len(), genesis.margins.len(), genesis.feeds.len()), (2, 3, 3));
    assert!(genesis.feeds.iter().all(|feed| feed.operators_min == 3 && feed.publishers.len() == 5));
    assert_eq!(parse_dev(&write(&genesis)).unwrap(), genesis);
}

#[test]
fn whoever_the_development_genesis_names_has_a_key_derived_by_role_and_place() {
    let genesis = development_genesis(TIME);
    let mut places = std::collections::BTreeMap::new();
    for (kind, principal) in genesis.principals() {
        let key = match kind {
            PrincipalKind::Attestor => keys::attestor_key,
            PrincipalKind::Publisher => keys::publisher_key,
            PrincipalKind::RiskOfficer => keys::risk_officer_key,
            PrincipalKind::Governor => keys::governor_key,
            PrincipalKind::Backstop => keys::backstop_key,
            PrincipalKind::Auditor => keys::auditor_key,
        };
        let place = places.entry(format!("{kind:?}")).or_insert(0);
        assert_eq!(principal.root_key, keys::public_key(&key(&DEVELOPMENT_SEED, *place)), "{kind:?} {place}");
        *place += 1;
    }
    assert_eq!(places.into_values().collect::<Vec<_>>(), [3, 1, 2, 3, 5, 3]);
}

#[test]
fn prices_from_outside_and_ticks_of_the_development_markets_mean_the_same() {
    let genesis = development_genesis(TIME);
    // Lots per unit: 0.00001 BTC, 0.0001 ETH, 0.1 coins.
    for (market, lots_per_unit) in genesis.markets.iter().zip([100_000, 10_000, 10]) {
        let margin = genesis.margin_of(market.id).unwrap();
        let feed = genesis.feed(margin.feed).unwrap();
        let ticks = market.reference_price.ticks();
        assert_eq!(margin.tick_size.nanos() * ticks, feed.reference_price.nanos(), "{:?}", market.id);
        // A tick's worth of one unit, in micro-quote, is the tick value of all its lots.
        let unit = u64::from(market.tick_value.micros()) * lots_per_unit;
        assert_eq!(margin.tick_size.nanos(), unit * 1_000, "{:?}", market.id);
    }
}

#[test]
fn bitcoin_of_the_development_venue_is_traded_at_forty_times_when_small_and_at_five_times_at_its_cap() {
    let genesis = development_genesis(TIME);
    let (market, margin) = (genesis.market(MarketId::new(1)).unwrap(), genesis.margin_of(MarketId::new(1)).unwrap());
    let small = QuoteMicros::from_micros(5_000_000_000);
    assert_eq!(margin.initial_margin(small), small.scale(RatioPpm::from_ppm(25_000), Round::Up));
    assert_eq!(margin.maintenance_margin(small), small.scale(RatioPpm::from_ppm(12_500), Round::Up));
    let largest = notional(market.reference_price, market.position_lots_max, market.tick_value).unwrap();
    let share = |part: QuoteMicros| part.micros() * 100 / largest.micros();
    assert_eq!(share(margin.initial_margin(largest).unwrap()), 19);
    assert_eq!(share(margin.maintenance_margin(largest).unwrap()), 9);
}

#[test]
fn the_full_collateral_genesis_is_the_same_venue_without_clearing() {
    let (full, venue) = (full_collateral_genesis(TIME), development_genesis(TIME));
    assert_eq!(full.validate(), Ok(()));
    assert_eq!((&full.segments, &full.markets, full.seeded), (&venue.segments, &venue.markets, venue.seeded));
    assert!(full.clearing.is_empty() && full.margins.is_empty() && full.feeds.is_empty());
    assert_eq!((full.risk_officers.quorum, full.governors.quorum), (0, 0));
    assert_ne!(full.chain_id(), venue.chain_id());
    assert_eq!(parse_dev(&write(&full)).unwrap(), full);
}

#[test]
fn the_replay_genesis_has_a_tick_value_of_one_micro_dollar_and_room_for_the_data() {
    let genesis = order_replay_genesis(1_000, [3; 32]).unwrap();
    assert_eq!(parse_dev(&write(&genesis)).unwrap(), genesis);
    let market = genesis.market(MarketId::new(1)).unwrap();
    // 0.01 USD is 10,000 micro-USD; 10,000 satoshi are 1/10,000 of a bitcoin.
    assert_eq!(market.tick_value.micros(), 10_000 / (100_000_000 / 10_000));
    // The file's highest price is 350 USD and its largest order 200 BTC.
    let largest = notional(PriceTicks::from_ticks(35_000), QuantityLots::from_lots(2_000_000), market.tick_value);
    assert!(market.price_max.ticks() >= 35_000 && market.order_lots_max.lots() >= 2_000_000);
    assert!(largest.unwrap() < genesis.seeded.unwrap().balance);
    let rule = order_replay_genesis(0, [3; 32]).unwrap_err().rule;
    assert_eq!(rule, GenesisRule::SeededInRange);
}

/// The development genesis, each field of whose file is one line.
fn with_one_line_of_policy() -> Genesis {
    let policies = PolicySet::of_texts([("a.cedar", "it\u{7f}s")]).unwrap();
    Genesis { policies, ..development_genesis(TIME) }
}

#[test]
fn every_field_is_required() {
    let text = write(&with_one_line_of_policy());
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
    assert!(removed > 250, "only {removed} fields were tried");
}

#[test]
fn an_unknown_field_is_an_error_with_its_line() {
    let text = write(&with_one_line_of_policy());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.insert(index + 1, "surprise = 1");
        let error = parse_dev(&lines.join("\n")).expect_err(line);
        assert!(error.to_string().contains("unknown field `surprise`"), "{error}");
        assert_eq!(error.line(), Some(index as u64 + 2), "{error}");
    }
}

#[test]
fn each_level_of_a_breaker_or_regime_and_each_lifetime_is_required_and_no_other_is_known() {
    let text = write(&development_genesis(TIME));
    let lines: Vec<&str> = text.lines().collect();
    let with = |index: usize, line: &str| {
        let mut lines = lines.clone();
        lines[index] = line;
        parse_dev(&lines.join("\n")).expect_err(line)
    };
    let mut removed = 0;
    for (index, line) in lines.iter().enumerate() {
        let Some((trigger, levels)) = line.split_once(" = { ") else { continue };
        let levels: Vec<&str> = levels.strip_suffix(" }").unwrap().split(", ").collect();
        for level in &levels {
            let rest: Vec<&str> = levels.iter().filter(|other| *other != level).copied().collect();
            let error = with(index, &format!("{trigger} = {{ {} }}", rest.join(", ")));
            let name = level.split(' ').next().unwrap();
            assert!(error.to_string().contains(&format!("missing field `{name}`")), "{line}: {error}");
            assert_eq!(error.line(), Some(index as u64 + 1), "{line}: {error}");
            removed += 1;
        }
        let error = with(index, &format!("{trigger} = {{ {}, auction = 1 }}", levels.join(", ")));
        assert!(error.to_string().contains("unknown field `auction`"), "{line}: {error}");
        assert_eq!(error.line(), Some(index as u64 + 1), "{line}: {error}");
    }
    let (breakers, regimes, lifetimes) = (2 * 5 * 5, 3 * 5 * 3, 4);
    assert_eq!(
        removed,
        breakers + regimes + lifetimes,
        "two segments, five triggers, five levels; three markets, five figures, three levels; \
         four lifetimes"
    );
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
        ("tick_size_quote_per_unit = \"0.1", "tick_size_quote_per_unit = \"-0.1", "field `tick_size_quote_per_unit`"),
        ("reference_quote_per_unit = \"", "reference_quote_per_unit = \"1e", "at least zero with at most nine places"),
        ("publishers = [0, 1", "publishers = [0, -1", "field `publishers`"),
        ("leave = 25_000", "leave = \"2.5 %\"", "field `leave`: invalid type"),
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
    let starts_of = |header: &str| -> Vec<u64> {
        text.lines().zip(1..).filter(|(line, _)| *line == header).map(|(_, number)| number).collect()
    };
    let (segments, markets, feeds) = (starts_of("[[segment]]"), starts_of("[[market]]"), starts_of("[[feed]]"));
    let broken = |from: &str, nth: usize, to: &str| {
        let (at, _) = text.match_indices(from).nth(nth).unwrap();
        let changed = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        parse_dev(&changed).expect_err(to)
    };
    let error = broken("withdrawal_delay_ms = 60_000", 1, "withdrawal_delay_ms = 0");
    assert_eq!(error.line(), Some(segments[1]), "{error}");
    assert!(error.to_string().contains("segment `2` of genesis: withdrawal and transfer delays"), "{error}");
    let error = broken("band_ppm = 100_000", 0, "band_ppm = 0");
    assert_eq!(error.line(), Some(markets[2]), "{error}");
    assert!(error.to_string().contains("market `3` fails its listing check"), "{error}");
    let error = broken("[[market]]\nid = 2", 0, "[[market]]\nid = 1");
    assert_eq!(error.line(), Some(markets[1]), "the second of two markets with id 1: {error}");
    let error = broken("operators_min = 3", 2, "operators_min = 6");
    assert_eq!(error.line(), Some(feeds[2]), "{error}");
    assert!(error.to_string().contains("feed `3` of genesis: a feed must name publishers"), "{error}");
    let error = broken("[[feed]]\nid = 2", 0, "[[feed]]\nid = 3");
    assert_eq!(error.line(), Some(feeds[1]), "the first of two feeds with id 3: {error}");
    let error = broken("transfer_margin_ppm = 100_000", 1, "transfer_margin_ppm = 0");
    assert_eq!(error.line(), Some(segments[1]), "{error}");
    let error = broken("fee_ppm = 20_000", 0, "fee_ppm = 25_001");
    assert_eq!(error.line(), Some(markets[2]), "{error}");
    assert!(error.to_string().contains("at most a quarter of the lowest maintenance rate"), "{error}");
    let error = broken("move_per_second_max_ppm = 2000\n", 0, "move_per_second_max_ppm = 3000\n");
    assert_eq!(error.line(), Some(markets[0]), "{error}");
    assert!(error.to_string().contains("maintenance of the largest position must cover"), "{error}");
    for quorum in 0..3 {
        let error = broken("quorum_operators = 2", quorum, "quorum_operators = 4");
        assert_eq!(error.line(), None, "{error}");
    }
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
    assert_eq!(parse_decimal("64000.250000001", PRICE_PLACES), Some(64_000_250_000_001));
    assert_eq!(parse_decimal("0.0000000001", PRICE_PLACES), None);
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
