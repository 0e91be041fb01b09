//! Participants are functions of seed, step and state; the venue lists whatever the price; a short replay from end to end.

use std::fmt::Write as _;

use casemate_protocol::command::Command;
use casemate_protocol::genesis::GenesisError;
use casemate_protocol::{Envelope, PriceTicks};
use casemate_world::crowd::MinuteVolume;
use casemate_world::klines::{Kline, KlineFile, VolumeUnit};
use casemate_world::past::Past;
use casemate_world::steps::{self, Step};
use casemate_world::{MICROS, MINUTE_MS};

use super::cast::{Actor, Cast};
use super::crowd::Crowd;
use super::driver::{Driver, VENUE_VOLUME_QUOTE_MICROS_PER_MINUTE, letters};
use super::options::{AssetClass, Preset};
use super::scene::{Letter, Scene};
use super::*;

const START_MS: u64 = 1_600_000_020_000;
const TRADERS: u64 = 60;

/// Candles of a market that swings and falls, 1.2 % a minute from the tenth minute on; three minutes are missing.
fn minutes(count: u64) -> KlineFile {
    let mut text = String::from("open_time,open,high,low,close,volume\n");
    let mut open = 20_000.0_f64;
    for index in 0..count {
        let swing = if index % 2 == 0 { 1.004 } else { 0.9962 };
        let close = if index < 10 { open * swing } else { open * 0.988 };
        let (high, low) = (open.max(close) * 1.0005, open.min(close) * 0.9995);
        if !(6..9).contains(&index) {
            let time_ms = START_MS + index * MINUTE_MS;
            writeln!(text, "{time_ms},{open:.2},{high:.2},{low:.2},{close:.2},{}", 10 + index).unwrap();
        }
        open = close;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("candles.csv");
    std::fs::write(&path, text).unwrap();
    klines::read(&path, VolumeUnit::Base).unwrap()
}

fn venue_plan(first_price_micros: u64, class: AssetClass, preset: Preset) -> VenuePlan {
    VenuePlan { first_price_micros, first_ms: START_MS, class, preset, crowd: TRADERS, seed: [3; 32] }
}

#[test]
fn more_accounts_than_a_chain_seeds_are_refused() {
    let plan = VenuePlan { crowd: u64::MAX, ..venue_plan(20_000 * MICROS, AssetClass::Major, Preset::Usual) };
    assert!(matches!(plan.genesis(), Err(GenesisError { .. })));
}

/// A replay that has ended, with the folder of its node.
struct Played {
    driver: Driver,
    file: KlineFile,
    venue_plan: VenuePlan,
    _folder: tempfile::TempDir,
}

fn played(count: u64, preset: Preset) -> Played {
    let file = minutes(count);
    let venue_plan = venue_plan(file.minutes()[0].ohlc.open_micros(), AssetClass::Major, preset);
    let folder = tempfile::tempdir().unwrap();
    let options = NodeOptions { threads: 1, secrets: SecretSource::Seeded(venue_plan.seed), ..NodeOptions::default() };
    let (node, _) = Node::create_or_open(folder.path(), &venue_plan.genesis().unwrap(), options).unwrap();
    let plan = DriverPlan {
        venue: venue_plan.venue(),
        world: Seed::from_number(5),
        seed: venue_plan.seed,
        minutes: in_size_of_venue(file.minutes(), true),
        named_from_ms: START_MS,
    };
    let publishers = Publishers::usual(plan.world, worst_hour(file.minutes()));
    let mut driver = Driver::new(node, &plan);
    driver.run(plan, publishers, true).unwrap();
    Played { driver, file, venue_plan, _folder: folder }
}

/// What everybody signs in a second after the end of a replay, by new participants each time.
fn signed(played: &Played, past: &Past, step: u64, seed: [u8; 32], world: u64) -> (Vec<Letter>, Vec<Envelope>) {
    let ledger = played.driver.node.replica().ledger();
    let venue = played.venue_plan.venue();
    let crowd = Crowd::new(Seed::from_number(world), &venue);
    let cast = Cast::new(ledger.genesis(), &played.venue_plan.seed, TRADERS);
    let now = casemate_protocol::TimeMs::from_ms(past.now_ms());
    let volume = MinuteVolume { quote_micros: 64 * MICROS, mean_quote_micros: MICROS };
    let activity =
        casemate_world::depth::Activity { volume_quote_micros_per_minute: 10_000 * MICROS, range_ppm: 2_000 };
    let scene = Scene { seed: &seed, step, now, ledger, past, activity: Some(activity), volume, venue: &venue };
    let letters = letters(&scene, &crowd);
    let envelopes = cast.sign_all(letters.clone(), ledger, now).unwrap();
    (letters, envelopes)
}

#[test]
fn the_same_seed_step_and_state_give_the_same_envelopes() {
    let played = played(6, Preset::Usual);
    let mut past = Past::new(casemate_world::crowd::PAST_SECONDS);
    steps::of_minutes(Seed::from_number(5), played.file.minutes()).for_each(|step| past.push(step));
    let seed = played.venue_plan.seed;
    let mut kinds = std::collections::BTreeSet::new();
    let mut differs_by_seed = false;
    for step in 400..420 {
        let first = signed(&played, &past, step, seed, 5);
        assert_eq!(first, signed(&played, &past, step, seed, 5), "step {step}");
        differs_by_seed |= first.0 != signed(&played, &past, step, [4; 32], 5).0;
        kinds.extend(first.0.iter().map(|letter| format!("{:?}", letter.from).split('(').next().unwrap().to_owned()));
    }
    assert!(differs_by_seed, "draws come from the seed");
    for kind in ["Attestor", "Maker", "Trader"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

#[test]
fn nobody_trades_while_the_market_is_out_and_makers_take_their_quotes_back() {
    let played = played(5, Preset::Usual);
    let mut past = Past::new(casemate_world::crowd::PAST_SECONDS);
    past.push(Step { time_ms: START_MS + 5 * MINUTE_MS, price_micros: None });
    let (letters, _) = signed(&played, &past, 300, played.venue_plan.seed, 5);
    let makers = letters.iter().filter(|letter| matches!(letter.from, Actor::Maker(_))).count();
    assert_eq!(makers, venue::MAKERS as usize, "each has quotes to take back");
    for letter in &letters {
        let Some(Command::QuoteLadder(ladder)) = letter.commands.first() else { panic!("{letter:?}") };
        assert!(ladder.bids.is_empty() && ladder.asks.is_empty());
    }
}

#[test]
fn a_fall_with_an_outage_liquidates_without_breaking_a_law() {
    let played = played(30, Preset::Usual);
    let (driver, totals) = (&played.driver, &played.driver.tally.totals);
    assert!(driver.is_conserved && driver.law_checks > 0);
    // 27 minutes and the outage between them, a block a second.
    assert_eq!(driver.node.height(), 30 * 60);
    assert!(totals.trades > 0 && totals.liquidations > 0, "{totals:?}");
    let liquidated = driver.tally.liquidated();
    assert!(liquidated.all_micros > 0 && liquidated.worst_hour_micros == liquidated.all_micros);
    assert!(totals.crowd_peak_open_interest_micros > 0);
    let causes: Vec<&str> = totals.breaker_transitions.iter().map(|row| row.moved.cause.name()).collect();
    assert!(causes.contains(&"stale price"), "the outage is seen: {causes:?}");
    assert!(causes.contains(&"decided"), "officers reopen: {causes:?}");
}

#[test]
fn the_records_and_the_rows_agree_on_what_the_crowd_holds() {
    let played = played(16, Preset::ThinInsurance);
    let ledger = played.driver.node.replica().ledger();
    let segment = ledger.segment(venue::SEGMENT).unwrap();
    let lots = |index| {
        let row = segment.sub_account(Actor::Trader(index).account(1)).unwrap();
        row.position(venue::MARKET_PLACE).lots()
    };
    let held: Vec<i64> = (0..TRADERS).map(lots).collect();
    assert!(held.iter().any(|lots| *lots != 0));
    assert_eq!(played.driver.tally.lots(), held);
}

#[test]
fn the_venue_passes_listing_checks_at_any_price_of_any_class() -> Result<(), GenesisError> {
    let classes = [AssetClass::Major, AssetClass::Large, AssetClass::Mid, AssetClass::LongTail];
    for class in classes {
        for price_micros in [10, 999, 123_456, 3_214_000, 99_999_999, 43_000 * MICROS, 999_999_999 * MICROS] {
            for preset in [Preset::Usual, Preset::ThinInsurance] {
                let plan = venue_plan(price_micros, class, preset);
                let genesis = plan.genesis()?;
                let market = genesis.markets.iter().next().unwrap();
                // A tick is four to ten millionths of the price, unless that is less than prices are written in.
                let ticks = market.reference_price;
                assert!(ticks <= PriceTicks::from_ticks(250_000), "{class:?} {price_micros}: {ticks:?}");
                assert!(price_micros < 100 || ticks >= PriceTicks::from_ticks(100_000), "{price_micros}: {ticks:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn accounts_of_the_cast_are_those_of_genesis() {
    let plan = venue_plan(20_000 * MICROS, AssetClass::Mid, Preset::Usual);
    let genesis = plan.genesis().unwrap();
    assert_eq!(genesis.backstop_account(venue::SEGMENT), Some(Actor::Backstop(0).account(1)));
    assert_eq!(genesis.publisher_account(4), Actor::Publisher(4).account(1));
    let principals = genesis.principals().count() as u64;
    assert_eq!(Actor::Maker(0).account(1).number(), principals + 1);
    assert_eq!(Actor::Trader(TRADERS - 1).account(1).number(), principals + genesis.seeded.unwrap().count);
}

#[test]
fn volumes_are_in_the_size_of_the_venue_and_keep_their_shape() {
    let file = minutes(30);
    let scaled = in_size_of_venue(file.minutes(), true);
    let sum: u128 = scaled.iter().map(|minute| u128::from(minute.volume_quote_micros)).sum();
    let mean = sum / scaled.len() as u128;
    assert!(mean.abs_diff(u128::from(VENUE_VOLUME_QUOTE_MICROS_PER_MINUTE)) <= 1, "{mean}");
    let ratio = |minutes: &[Kline]| minutes[20].volume_quote_micros as f64 / minutes[2].volume_quote_micros as f64;
    assert!((ratio(&scaled) - ratio(file.minutes())).abs() < 1e-6);
    // Without volumes, a minute that went nowhere has none.
    let stand_in = in_size_of_venue(file.minutes(), false);
    assert!(stand_in.iter().all(|minute| minute.volume_quote_micros > 0));
}

#[test]
fn a_class_follows_from_the_name_unless_it_is_named() {
    #[derive(clap::Parser)]
    struct Wrapped {
        #[arg(long)]
        orders: Option<String>,
        #[arg(long)]
        scenario: Option<String>,
        #[command(flatten)]
        options: PriceOptions,
    }
    let class = |arguments: &[&str], name: &str| {
        let wrapped = <Wrapped as clap::Parser>::parse_from([&["test"], arguments].concat());
        assert!(wrapped.orders.is_none() && wrapped.scenario.is_none());
        wrapped.options.class(Path::new(name))
    };
    assert_eq!(class(&[], "a/binance_spot_BTCUSDT_1m.csv.zst"), AssetClass::Major);
    assert_eq!(class(&[], "btcusdt/FILUSDT-1m.csv"), AssetClass::Mid);
    assert_eq!(class(&["--class", "long-tail"], "BTCUSDT.csv"), AssetClass::LongTail);
}
