use super::*;

const VENUE: &str = include_str!("../../../../spec/scenarios/venue.toml");

fn ordinary() -> Table {
    let file: Table = toml::from_str(VENUE).unwrap();
    merged(&file, &Table::new(), &Numbers::new()).unwrap()
}

fn changed(changes: &str) -> Result<Table, String> {
    let file: Table = toml::from_str(VENUE).unwrap();
    let numbers: Numbers = [("start".to_owned(), Number::parse("0.0382").unwrap())].into();
    let merged = merged(&file, &toml::from_str(changes).unwrap(), &numbers);
    merged.map_err(|error| format!("{}: {}", error.path.join("."), error.message))
}

fn number(tables: &Table, path: &str) -> i64 {
    let places = expand(tables, &path.split('.').collect::<Vec<_>>());
    assert_eq!(places.len(), 1, "{path}");
    get(tables, &places[0]).and_then(whole).unwrap()
}

#[test]
fn the_ordinary_venue_is_a_genesis() {
    let venue = venue(&ordinary(), &["alice".to_owned()]).unwrap();
    assert_eq!((venue.genesis.segments.len(), venue.genesis.markets.len()), (2, 1));
    assert!(venue.accounts.contains_key("alice") && venue.accounts.contains_key("backstop-2"));
}

/// A control is loose where one step further is no genesis any more.
#[test]
fn loosening_goes_exactly_as_far_as_genesis_lets_it() {
    let parties = vec!["alice".to_owned()];
    for (path, way) in [
        ("market.CALM.feed.move_per_second_max_ppm", "up"),
        ("market.CALM.liquidation.slippage_max_ppm", "up"),
        ("market.CALM.liquidation.depth_share_ppm", "up"),
        ("market.CALM.feed.operators_min", "down"),
        ("market.CALM.profit_cliff_ms", "down"),
        ("segment.1.transfer_margin_ppm", "down"),
        ("segment.1.breakers.price_move_ppm.4", "up"),
    ] {
        let mut tables = ordinary();
        let before = number(&tables, path);
        loosen(&mut tables, &format!("{path} {way}"), &parties, &[]).unwrap();
        let after = number(&tables, path);
        assert!(venue(&tables, &parties).is_ok(), "{path}");
        assert!(if way == "up" { after > before } else { after < before }, "{path}: {before} to {after}");
        let further = if way == "up" { after + 1 } else { after - 1 };
        let place = expand(&tables, &path.split('.').collect::<Vec<_>>()).remove(0);
        set(&mut tables, &place, Value::Integer(further));
        assert!(venue(&tables, &parties).is_err(), "{path} could go to {further}");
    }
}

#[test]
fn attackers_can_be_the_publishers_of_a_feed() {
    let parties = ["alice", "mallory"].map(str::to_owned);
    let mut tables = ordinary();
    for sentence in ["market.*.feed.operators_min down", "market.*.feed.publishers = attackers"] {
        loosen(&mut tables, sentence, &parties, &parties[1..]).unwrap();
    }
    let venue = venue(&tables, &parties).unwrap();
    let feed = venue.genesis.feeds.iter().next().unwrap();
    let publishers: Vec<_> = feed.publishers.iter().map(|place| venue.genesis.publisher_account(*place)).collect();
    assert_eq!(publishers, [venue.accounts["mallory"]]);
}

#[test]
fn what_loosens_nothing_is_an_error() {
    for sentence in ["market.*.no_such_field up", "market.CALM.tiers up", "market.CALM.size_rate_ppm sideways", ""] {
        assert!(loosen(&mut ordinary(), sentence, &[], &[]).is_err(), "{sentence}");
    }
}

#[test]
fn changes_are_put_over_a_kind_and_nothing_else_is_taken() {
    let market = "[market.MNGO]\nlike = \"small\"\nsegment = 1\nprice = \"$start\"\n";
    let tables = changed(market).unwrap();
    assert_eq!(tables["market"]["MNGO"]["price"].as_str(), Some("0.0382"));
    assert!(tables["market"]["MNGO"].get("like").is_none());
    for (changes, message) in [
        ("[market.MNGO]\nsegment = 1", "market.MNGO: `like` is missing: it names a kind of the ordinary venue"),
        ("[market.MNGO]\nlike = \"huge\"", "market.MNGO: `huge` is no kind of the ordinary venue"),
        ("[market.CALM]\nfee = 1", "market.CALM.fee: `market.CALM.fee` is no field of the venue"),
        ("[market.CALM]\nband_ppm = \"wide\"", "market.CALM.band_ppm: this is string, and must be integer"),
        ("[market.CALM]\nprice = \"$end\"", "market.CALM.price: `$end` is not among the scenario's [numbers]"),
        ("[books.CALM]\nprice = 1", "books: `books` is no field of the venue"),
    ] {
        assert_eq!(changed(changes), Err(message.to_owned()));
    }
}
