//! The crowd as clients: what its traders decide, made orders and deposits.
//!
//! Each trader has one account for the whole replay. It pays in the margin of a position when it opens it, keeps at most
//! twice of that on the venue, and takes the rest out. A liquidated trader comes back with new money, up to a purse that
//! grows by the day; so nobody loses without end, and a month does not run out of people.

use casemate_protocol::command::{OutsideReference, RequestWithdrawal, Side};
use casemate_protocol::{BreakerState, Command, PriceGrade, PriceUse, QuoteMicros};
use casemate_world::Seed;
use casemate_world::crowd::{self, Direction, Intent, Position, Trader, View};

use super::cast::Actor;
use super::scene::{Letter, PPM, Reach, Scene, Wishes};
use super::venue::Venue;

/// The crowd's characters.
pub struct Crowd {
    world: Seed,
    traders: Vec<Trader>,
}

/// Who holds a position looks at it every so many seconds.
pub const LOOK_SECONDS: u64 = 60;
/// Traders that arrive in a second of mean volume, in parts per million of a trader; most of them see nothing to trade.
pub const ARRIVALS_PPM_AT_MEAN: u64 = 400_000;
/// The largest position that a trader of the crowd opens, micro-quote.
pub const NOTIONAL_QUOTE_MICROS_MAX: u64 = 250_000 * PPM;
/// Worst price of an opening order, away from the price seen, ppm.
pub const OPEN_SLIPPAGE_PPM: u64 = 2_000;
/// Worst price of a closing order, away from the price seen, ppm.
pub const CLOSE_SLIPPAGE_PPM: u64 = 10_000;
/// How many first margins a trader may have paid in, less what it took out, for each day begun.
pub const PURSE_MARGINS_A_DAY: u64 = 2;
/// A trader stays out while the last hour's range is more than this part of its distance to liquidation, ppm.
pub const CAUTION_PPM: u64 = 500_000;
/// Below this nobody bothers to take money out, micro-quote.
const WITHDRAWAL_QUOTE_MICROS_MIN: u64 = 10 * PPM;

impl Crowd {
    /// The crowd of a venue.
    pub fn new(world: Seed, venue: &Venue) -> Self {
        let trader = |index| crowd::trader(&world, index, venue.leverage_milli_max);
        Self {
            world,
            traders: (venue.place.first_trader..venue.place.first_trader + venue.crowd)
                .map(trader)
                .map(looking_seldom)
                .collect(),
        }
    }

    /// What the crowd wants now.
    pub fn act(&self, scene: &Scene<'_>, wishes: &mut Wishes) {
        let looks = scene.step % LOOK_SECONDS;
        for trader in self.traders.iter().skip(looks as usize).step_by(LOOK_SECONDS as usize) {
            self.look(scene, trader, wishes);
        }
        let arrivals = crowd::arrivals(&self.world, scene.step, scene.volume, ARRIVALS_PPM_AT_MEAN);
        let mut arrived = Vec::new();
        for place in 0..arrivals {
            let index = scene.draw(b"arrival_", [scene.step, place], self.traders.len() as u64);
            let Some(trader) = self.traders.get(index as usize) else { continue };
            // Who looks in this second has acted already, and nobody arrives twice at once.
            if index % LOOK_SECONDS != looks && !arrived.contains(&index) {
                arrived.push(index);
                self.arrive(scene, trader, wishes);
            }
        }
    }

    /// A trader looks at its position, or at money that it has no use for.
    fn look(&self, scene: &Scene<'_>, trader: &Trader, wishes: &mut Wishes) {
        let actor = Actor::Trader(trader.index);
        let Some(row) = scene.row(scene.account(actor)) else { return };
        let held = row.position(scene.venue.place.market_place);
        let cash_micros = u64::try_from(row.cash().micros()).unwrap_or(0);
        if held.lots() == 0 {
            take_out(scene, trader, cash_micros, wishes);
            return;
        }
        let position = Position {
            direction: if held.lots() > 0 { Direction::Long } else { Direction::Short },
            notional_quote_micros: held.entry_notional().unsigned_abs(),
            // Cash is what was there at entry and was paid in since, less what a part that is closed has lost.
            paid_in_quote_micros: cash_micros,
        };
        let equity_quote_micros = scene.equity_micros(scene.account(actor));
        let view = View { past: scene.past, position: Some(position), equity_quote_micros };
        match crowd::decide(&self.world, scene.step, trader, &view) {
            Intent::Close => {
                let order = scene.close(held.lots(), held.lots().unsigned_abs(), CLOSE_SLIPPAGE_PPM);
                wishes.letters.extend(order.map(|order| Letter { from: actor, commands: vec![order] }));
            }
            Intent::TopUp { amount_quote_micros } => {
                let amount = amount_quote_micros.min(purse_left(scene, trader, row.net_deposits()));
                if amount > 0 {
                    wishes.deposits.push((scene.account(actor), amount));
                }
            }
            Intent::Open { .. } | Intent::Wait => {}
        }
    }

    /// A trader without a position sees whether it wants one.
    fn arrive(&self, scene: &Scene<'_>, trader: &Trader, wishes: &mut Wishes) {
        let actor = Actor::Trader(trader.index);
        let Some(row) = scene.row(scene.account(actor)) else { return };
        let may_open = scene.breaker() < BreakerState::ReduceOnly && scene.grade().allows(PriceUse::NewRisk);
        debug_assert!(!may_open || scene.grade() == PriceGrade::Valid, "nothing else allows new risk");
        if row.position(scene.venue.place.market_place).lots() != 0 || !row.pending().is_zero() || !may_open {
            return;
        }
        if is_too_wild(scene, trader) {
            return;
        }
        let view = View { past: scene.past, position: None, equity_quote_micros: row.cash().micros() };
        let Intent::Open { direction, .. } = crowd::decide(&self.world, scene.step, trader, &view) else { return };
        let cash_micros = u64::try_from(row.cash().micros()).unwrap_or(0);
        let Some(plan) = opening(scene, trader, cash_micros) else { return };
        if plan.deposit_micros > purse_left(scene, trader, row.net_deposits()) {
            return;
        }
        let side = if direction == Direction::Long { Side::Bid } else { Side::Ask };
        let Some(order) = scene.take(side, plan.lots, OPEN_SLIPPAGE_PPM, Reach::Any) else { return };
        if plan.deposit_micros > 0 {
            wishes.deposits.push((scene.account(actor), plan.deposit_micros));
        }
        wishes.letters.push(Letter { from: actor, commands: vec![order] });
    }
}

/// Whether the price went further within the last hour than from where the trader would enter to where it would be
/// liquidated. People choose a trade that the last hour would not have ended.
fn is_too_wild(scene: &Scene<'_>, trader: &Trader) -> bool {
    let Some(range_ppm) = scene.activity.map(|activity| activity.range_ppm) else { return true };
    let margin_ppm = PPM * 1_000 / trader.leverage_milli.max(1);
    let maintenance_ppm = scene.market().map_or(PPM, |(_, margin)| {
        margin.rules().tiers.iter().next().map_or(PPM, |tier| u64::from(tier.maintenance.ppm()))
    });
    range_ppm > scaled(margin_ppm.saturating_sub(maintenance_ppm), CAUTION_PPM, PPM)
}

/// A trader that looks only now and then loses its patience as often in an hour.
fn looking_seldom(trader: Trader) -> Trader {
    Trader { patience_seconds: (trader.patience_seconds / LOOK_SECONDS).max(1), ..trader }
}

/// What a trader opens and pays in for it.
struct Opening {
    lots: u64,
    deposit_micros: u64,
}

/// A trader with half to twice the margin of its usual position opens what its cash carries; with less it pays in the rest.
fn opening(scene: &Scene<'_>, trader: &Trader, cash_micros: u64) -> Option<Opening> {
    let usual = usual_notional(trader);
    let needed = margin_with_costs(scene, trader, usual)?;
    let carried = scaled(usual, cash_micros, needed).min(2 * usual).min(NOTIONAL_QUOTE_MICROS_MAX);
    let (notional, deposit_micros) =
        if 2 * cash_micros >= needed { (carried, 0) } else { (usual, needed - cash_micros) };
    let ticks = scene.ticks(scene.past.now_micros()?);
    Some(Opening { lots: notional / scene.lot_micros(ticks), deposit_micros })
}

fn usual_notional(trader: &Trader) -> u64 {
    trader.notional_quote_micros.min(NOTIONAL_QUOTE_MICROS_MAX)
}

/// Margin by the trader's leverage, but at least what the venue asks, and what opening costs at worst.
fn margin_with_costs(scene: &Scene<'_>, trader: &Trader, notional_micros: u64) -> Option<u64> {
    let (_, margin) = scene.market()?;
    let notional = QuoteMicros::from_micros(i64::try_from(notional_micros).ok()?);
    let asked = u64::try_from(margin.rules().initial_margin(notional)?.micros()).ok()?;
    let costs = scaled(notional_micros, OPEN_SLIPPAGE_PPM + scene.venue.taker_fee_ppm, PPM);
    Some(first_margin(trader).max(asked) + costs)
}

fn first_margin(trader: &Trader) -> u64 {
    scaled(usual_notional(trader), 1_000, trader.leverage_milli)
}

/// What the trader may still pay in.
fn purse_left(scene: &Scene<'_>, trader: &Trader, net_deposits: QuoteMicros) -> u64 {
    let days = 1 + scene.step / SECONDS_A_DAY;
    // Entry costs are on top of margins, and a small margin is mostly costs.
    let margin = margin_with_costs(scene, trader, usual_notional(trader)).unwrap_or(0);
    let purse = margin.saturating_mul(PURSE_MARGINS_A_DAY).saturating_mul(days);
    let left = i128::from(purse) - i128::from(net_deposits.micros());
    u64::try_from(left.max(0)).unwrap_or(u64::MAX)
}

/// Takes out what is more than twice what the next position needs.
fn take_out(scene: &Scene<'_>, trader: &Trader, cash_micros: u64, wishes: &mut Wishes) {
    if cash_micros < WITHDRAWAL_QUOTE_MICROS_MIN || scene.breaker() >= BreakerState::ReduceOnly {
        return;
    }
    let actor = Actor::Trader(trader.index);
    let keeps = 2 * margin_with_costs(scene, trader, usual_notional(trader)).unwrap_or(u64::MAX / 2);
    let is_waiting = scene.row(scene.account(actor)).is_none_or(|row| !row.pending().is_zero());
    if cash_micros <= keeps || is_waiting {
        return;
    }
    // Profit that is too young stays until it has matured.
    let free_micros = u64::try_from(scene.free_micros(scene.account(actor))).unwrap_or(0);
    let amount = (cash_micros - keeps / 2).min(free_micros);
    if amount < WITHDRAWAL_QUOTE_MICROS_MIN {
        return;
    }
    let withdrawal = RequestWithdrawal {
        segment: scene.venue.place.segment,
        amount: QuoteMicros::from_micros(i64::try_from(amount).unwrap_or(i64::MAX)),
        chain: 1,
        destination: OutsideReference::new(trader.index.to_le_bytes().to_vec()).unwrap_or_default(),
    };
    let commands = vec![Command::RequestWithdrawal(Box::new(withdrawal))];
    wishes.letters.push(Letter { from: actor, commands });
}

/// `amount × part ÷ whole`, rounded down.
fn scaled(amount: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(amount) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(product).unwrap_or(u64::MAX)
}

const SECONDS_A_DAY: u64 = 24 * 60 * 60;
