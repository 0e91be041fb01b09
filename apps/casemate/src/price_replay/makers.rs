//! Market makers: a ladder around the price seen, as deep as the volume there has been says, with limits on inventory and
//! on loss.
//!
//! Each quotes an equal part of the depth that `casemate_world::depth` fits to a recorded book. What has been bought moves
//! the ladder down and makes its bids smaller, and the other way round. Who has lost a tenth of the capital steps back, who
//! has lost a quarter only works off what it holds, until its owner makes the capital up again at midnight.

use casemate_protocol::command::{QuoteLadder, QuoteLevel};
use casemate_protocol::{AccountId, BoundedVec, Command, MarketId, PriceTicks, PriceUse, QuantityLots};
use casemate_world::depth::{Activity, BookSide, quoted_quote_micros};

use super::cast::Actor;
use super::scene::{Letter, PPM, Scene, Wishes};
use super::venue::MAKERS;

/// Capital of a maker, micro-quote.
pub const CAPITAL_QUOTE_MICROS: u64 = 500_000 * PPM;
/// What a maker holds at most, micro-quote at the price seen; its ladder is skewed the more, the closer it is.
pub const INVENTORY_QUOTE_MICROS_MAX: u64 = 800_000 * PPM;
/// A ladder is made anew every so many seconds,
pub const REFRESH_SECONDS: u64 = 4;
/// and at once when the price moves in a second by more than this, ppm.
pub const REFRESH_MOVE_PPM: u64 = 400;
/// Half of the narrowest spread, ppm.
pub const HALF_SPREAD_PPM_MIN: u64 = 100;
/// A quarter of the last ten seconds' range is added to half the spread.
pub const SPREAD_RANGE_SHARE: u64 = 4;
const SPREAD_RANGE_SECONDS: usize = 10;
/// How far a full inventory moves the ladder, ppm.
pub const SKEW_PPM_MAX: i64 = 1_500;
/// Distances of the levels from the best price, ppm. What is fitted lies up to 5 %, and the band ends there.
const LEVELS_PPM: [u64; 6] = [300, 1_000, 2_500, 6_000, 13_000, 28_000];
/// All makers together quote no more than this on a side, micro-quote: what their capital carries.
const DEPTH_QUOTE_MICROS_MAX: u64 = CAPITAL_QUOTE_MICROS * MAKERS;
/// Loss of capital from which a maker quotes half as much twice as wide, ppm.
pub const CAUTIOUS_LOSS_PPM: u64 = 100_000;
/// Loss of capital from which it only reduces what it holds, ppm.
pub const STOPPED_LOSS_PPM: u64 = 250_000;

/// What makers want now.
pub fn act(scene: &Scene<'_>, wishes: &mut Wishes) {
    for index in 0..MAKERS {
        let actor = Actor::Maker(index);
        if is_midnight(scene) {
            let loss = loss_micros(scene, scene.account(actor));
            if loss > 0 {
                wishes.deposits.push((scene.account(actor), loss));
            }
        }
        let ladder = match scene.past.now_micros() {
            Some(price_micros) if is_due(scene, index, price_micros) => {
                ladder(scene, scene.account(actor), price_micros)
            }
            Some(_) => None,
            // Nobody quotes blind.
            None => has_orders(scene, scene.account(actor)).then(QuotesOf::nothing),
        };
        wishes.letters.extend(
            ladder.map(|quotes| Letter { from: actor, commands: vec![quotes.command(scene.venue.place.market)] }),
        );
    }
}

/// Two sides, best first.
struct QuotesOf {
    bids: Vec<QuoteLevel>,
    asks: Vec<QuoteLevel>,
}

impl QuotesOf {
    const fn nothing() -> Self {
        Self { bids: Vec::new(), asks: Vec::new() }
    }

    fn command(self, market: MarketId) -> Command {
        let list = |levels| BoundedVec::new(levels).unwrap_or_default();
        Command::QuoteLadder(Box::new(QuoteLadder { market, bids: list(self.bids), asks: list(self.asks) }))
    }
}

/// In the first second the capital is paid in anyway.
fn is_midnight(scene: &Scene<'_>) -> bool {
    scene.step > 0 && scene.now.ms().is_multiple_of(DAY_MS)
}

fn is_due(scene: &Scene<'_>, index: u64, price_micros: u64) -> bool {
    let is_scheduled = scene.step % REFRESH_SECONDS == index % REFRESH_SECONDS;
    let has_moved = scene.past.ago_micros(1).is_none_or(|before| {
        u128::from(before.abs_diff(price_micros)) * u128::from(PPM) > u128::from(before) * u128::from(REFRESH_MOVE_PPM)
    });
    is_scheduled || has_moved
}

fn has_orders(scene: &Scene<'_>, account: AccountId) -> bool {
    scene.row(account).is_some_and(|row| !row.orders().is_empty())
}

/// What is missing of the capital.
fn loss_micros(scene: &Scene<'_>, account: AccountId) -> u64 {
    let missing = CAPITAL_QUOTE_MICROS as i64 - scene.equity_micros(account);
    u64::try_from(missing).unwrap_or(0)
}

/// The ladder of a maker; none before the first whole minute, and while the venue's price is good for nothing.
fn ladder(scene: &Scene<'_>, account: AccountId, price_micros: u64) -> Option<QuotesOf> {
    if !scene.grade().allows(PriceUse::Margin) {
        return None;
    }
    let activity = scene.activity?;
    let mood = Mood::of(loss_micros(scene, account));
    let ticks = scene.ticks(price_micros);
    let lot_micros = scene.lot_micros(ticks);
    let inventory = Inventory::of(scene.lots(account), lot_micros);
    let center = moved(ticks, -inventory.share_ppm * SKEW_PPM_MAX / PPM as i64);
    let half_ppm = half_spread_ppm(scene, price_micros) * mood.width;
    let side = |book_side: BookSide| {
        let room_ppm = match book_side {
            BookSide::Bid => PPM as i64 - inventory.share_ppm,
            BookSide::Ask => PPM as i64 + inventory.share_ppm,
        };
        let is_quoted = !mood.reduces_only || inventory.is_reduced_by(book_side);
        let room_ppm = if is_quoted { u64::try_from(room_ppm).unwrap_or(0) } else { 0 };
        let size = |depth_micros: u64| share(depth_micros / MAKERS / mood.width, room_ppm) / lot_micros;
        levels(book_side, &activity, center, half_ppm, size)
    };
    let quotes = QuotesOf { bids: side(BookSide::Bid), asks: side(BookSide::Ask) };
    // With nothing to quote and nothing resting there is nothing to say.
    let is_silent = quotes.bids.is_empty() && quotes.asks.is_empty() && !has_orders(scene, account);
    (!is_silent).then_some(quotes)
}

/// Levels of a side: each holds the depth between its distance and that of the level before it.
fn levels(
    side: BookSide,
    activity: &Activity,
    center: u64,
    half_ppm: u64,
    size: impl Fn(u64) -> u64,
) -> Vec<QuoteLevel> {
    let mut levels: Vec<QuoteLevel> = Vec::with_capacity(LEVELS_PPM.len());
    let (mut depth_before, mut price_before) = (0, center);
    for distance_ppm in LEVELS_PPM {
        let depth_micros = quoted_quote_micros(side, distance_ppm, activity).min(DEPTH_QUOTE_MICROS_MAX);
        let lots = size(depth_micros - depth_before);
        depth_before = depth_micros;
        let away_ppm = i64::try_from(half_ppm + distance_ppm - LEVELS_PPM[0]).unwrap_or(i64::MAX);
        let (price, is_further) = match side {
            BookSide::Bid => (moved(center, -away_ppm), moved(center, -away_ppm) < price_before),
            BookSide::Ask => (moved(center, away_ppm), moved(center, away_ppm) > price_before),
        };
        if lots > 0 && is_further {
            price_before = price;
            levels.push(QuoteLevel { price: PriceTicks::from_ticks(price), quantity: QuantityLots::from_lots(lots) });
        }
    }
    levels
}

/// A part of an amount in parts per million, rounded down.
fn share(amount: u64, ppm: u64) -> u64 {
    u64::try_from(u128::from(amount) * u128::from(ppm) / u128::from(PPM)).unwrap_or(u64::MAX)
}

/// How a maker takes what it has lost.
struct Mood {
    /// Spreads are so many times as wide, and sizes so much smaller.
    width: u64,
    reduces_only: bool,
}

impl Mood {
    fn of(loss_micros: u64) -> Self {
        let is_beyond = |share_ppm: u64| loss_micros >= CAPITAL_QUOTE_MICROS / PPM * share_ppm;
        Self { width: if is_beyond(CAUTIOUS_LOSS_PPM) { 2 } else { 1 }, reduces_only: is_beyond(STOPPED_LOSS_PPM) }
    }
}

/// What a maker holds, as a signed share of what it may.
struct Inventory {
    share_ppm: i64,
}

impl Inventory {
    fn of(lots: i64, lot_micros: u64) -> Self {
        let held = i128::from(lots) * i128::from(lot_micros) * i128::from(PPM);
        let share = held / i128::from(INVENTORY_QUOTE_MICROS_MAX);
        Self { share_ppm: share.clamp(-i128::from(PPM), i128::from(PPM)) as i64 }
    }

    const fn is_reduced_by(&self, side: BookSide) -> bool {
        match side {
            BookSide::Bid => self.share_ppm < 0,
            BookSide::Ask => self.share_ppm > 0,
        }
    }
}

fn half_spread_ppm(scene: &Scene<'_>, price_micros: u64) -> u64 {
    let range_micros = scene.past.range_micros(SPREAD_RANGE_SECONDS).unwrap_or(0);
    let range_ppm = u128::from(range_micros) * u128::from(PPM) / u128::from(price_micros.max(1));
    HALF_SPREAD_PPM_MIN + u64::try_from(range_ppm).unwrap_or(PPM).min(PPM) / SPREAD_RANGE_SHARE
}

/// A price some parts per million higher or lower, at least one tick.
fn moved(ticks: u64, ppm: i64) -> u64 {
    let moved = i128::from(ticks) + i128::from(ticks) * i128::from(ppm) / i128::from(PPM);
    u64::try_from(moved.max(1)).unwrap_or(u64::MAX)
}

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
