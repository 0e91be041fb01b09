//! What participants want of a second, from the state and prices that they can see.

use std::collections::BTreeMap;

use casemate_ledger::Ledger;
use casemate_protocol::command::SubmitPrice;
use casemate_protocol::{AccountId, Command, PriceNanos, QuoteMicros, SegmentId, TimeMs};
use casemate_world::SECOND_MS;

use super::world::{MarketWorld, World};
use crate::price_replay::cast::{Actor, next_nonce};
use crate::price_replay::scene::{Letter, Scene, Wishes};
use crate::price_replay::{makers, offices};

/// A letter with the next nonce of its sender.
pub struct Draft {
    /// What is to be signed.
    pub letter: Letter,
    /// The nonce that the ledger expects, as far as its last block knows.
    pub nonce: u64,
}

/// What everybody signs in a second: publishers first, then offices, makers and crowd, market by market.
pub fn drafts(world: &World, ledger: &Ledger, now: TimeMs, genesis_ms: u64) -> Vec<Draft> {
    let mut letters = prices(world);
    for market in &world.markets {
        letters.extend(of_market(market, ledger, now, genesis_ms));
    }
    let mut used: BTreeMap<AccountId, u64> = BTreeMap::new();
    let late_offices = world.markets.first().map_or(0, |market| market.plan.venue.place.late_offices);
    let draft = |letter: Letter| {
        let account = letter.from.account(late_offices);
        let nonce = used.entry(account).or_insert_with(|| next_nonce(ledger, account));
        let draft = Draft { letter, nonce: *nonce };
        *nonce += 1;
        draft
    };
    letters.into_iter().map(draft).collect()
}

/// What publishers saw of every market, one letter each.
fn prices(world: &World) -> Vec<Letter> {
    let mut seen: BTreeMap<u64, Vec<Command>> = BTreeMap::new();
    for market in &world.markets {
        for observation in market.publishers.observations(&market.past) {
            let nanos = |micros: u64| PriceNanos::from_nanos(micros.saturating_mul(1_000));
            let submit = SubmitPrice {
                feed: market.feed(),
                price: nanos(observation.price_micros),
                confidence: nanos(observation.confidence_micros),
                source_ms: TimeMs::from_ms(observation.source_time_ms),
            };
            seen.entry(observation.publisher_index).or_default().push(Command::SubmitPrice(submit));
        }
    }
    seen.into_iter().map(|(index, commands)| Letter { from: Actor::Publisher(index), commands }).collect()
}

fn of_market(market: &MarketWorld, ledger: &Ledger, now: TimeMs, genesis_ms: u64) -> Vec<Letter> {
    let plan = &market.plan;
    let scene = Scene {
        seed: &market.seed,
        // From 1: in second 0 capital is paid in, and here that waits for whatever second comes first.
        step: now.ms().saturating_sub(genesis_ms) / SECOND_MS,
        now,
        ledger,
        past: &market.past,
        activity: market.minutes.activity,
        volume: market.minutes.volume,
        venue: &plan.venue,
    };
    let mut wishes = Wishes::default();
    if plan.is_first_of_segment {
        if !has_capital(&scene, plan.venue.place.segment) {
            // Always as of second 0, so that what some attestors stated before a stop is completed and not repeated.
            offices::open_accounts(&Scene { step: 0, ..scene }, &mut wishes);
            return offices::attest(&Scene { step: 0, ..scene }, &wishes.deposits);
        }
        offices::reopen(&scene, &mut wishes);
    }
    offices::work_off(&scene, &mut wishes);
    makers::act(&scene, &mut wishes);
    market.crowd.act(&scene, &mut wishes);
    // Money is there before it is used.
    let mut letters = offices::attest(&scene, &wishes.deposits);
    letters.append(&mut wishes.letters);
    letters
}

/// The backstop's money came last, so with it everybody's is there.
fn has_capital(scene: &Scene<'_>, segment: SegmentId) -> bool {
    let backstop = scene.account(Actor::Backstop(scene.venue.place.backstop));
    let row = scene.ledger.segment(segment).and_then(|segment| segment.sub_account(backstop));
    row.is_some_and(|row| row.net_deposits() > QuoteMicros::ZERO)
}
