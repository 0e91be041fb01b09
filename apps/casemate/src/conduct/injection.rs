//! Manipulation to be injected into recorded flow, by strength. Seeded: the same seed gives the same acts.
//!
//! A strength of 100 % is what a detector's own threshold is stated in, so less must go unseen and more must not. Each kind
//! has eight episodes at drawn times over the record, each by an account, or a pair, of its own. Recorded traders do not react
//! to anything: whoever the spoofer sells to is injected too, as a stranger who takes once.

use casemate_ledger::conduct::Detector;
use casemate_protocol::command::Side;
use casemate_protocol::hash::{self, Domain};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use super::stage::FIRST_INJECTED;
use crate::order_flow::plan::{Plan, Step};

/// Strengths, in per cent of thresholds.
pub const STRENGTHS_PERCENT: [u64; 5] = [25, 50, 100, 200, 400];
/// Episodes of a kind and strength.
pub const EPISODES: u64 = 8;
/// Accounts that take once.
const FIRST_STRANGER: u64 = 2 * FIRST_INJECTED;

/// What is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One large order, shown while a small one of the other side fills.
    Spoofing,
    /// The same in five orders at five prices.
    Layering,
    /// Orders placed and cancelled at once, many a second.
    Stuffing,
    /// Two accounts that pass the same lots to and fro.
    Wash,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Spoofing, Self::Layering, Self::Stuffing, Self::Wash];

    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spoofing => "spoofing",
            Self::Layering => "layering",
            Self::Stuffing => "stuffing",
            Self::Wash => "wash",
        }
    }

    /// The detector that is to find it.
    pub const fn detector(self) -> Detector {
        match self {
            Self::Spoofing | Self::Layering => Detector::Spoof,
            Self::Stuffing => Detector::Stuffing,
            Self::Wash => Detector::Wash,
        }
    }
}

/// An injected act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    pub at_ms: u64,
    pub account: u64,
    /// Its order.
    pub key: u64,
    pub what: What,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An order next to be hit.
    Inside { side: Side, lots: u64 },
    /// An order behind the best price.
    Away { side: Side, lots: u64, away_ppm: u64 },
    /// An order that takes another.
    Hit { key: u64 },
    /// The order leaves.
    Cancel,
}

/// Acts by time, and who is behind them.
pub struct Schedule {
    pub acts: Vec<Injected>,
    /// When each episode begins, and its accounts.
    pub episodes: Vec<(u64, Vec<u64>)>,
}

/// The acts of a kind at a strength.
pub fn schedule(kind: Kind, strength_percent: u64, seed: u64, plan: &Plan) -> Schedule {
    let orders = || {
        plan.steps.iter().filter_map(|step| match step {
            Step::Create(order) => Some(order),
            Step::Open(_) | Step::Cancel(_) | Step::CloseBlock { .. } => None,
        })
    };
    let times = orders().map(|order| order.time.ms());
    let (first, last) = times.fold((u64::MAX, 0), |(first, last), time| (first.min(time), last.max(time)));
    let mut sizes: Vec<u64> = orders().map(|order| order.quantity.lots()).collect();
    sizes.sort_unstable();
    let usual_lots = sizes.get(sizes.len() / 2).copied().unwrap_or(1);
    let tag = [seed.to_le_bytes(), strength_percent.to_le_bytes()].concat();
    let digest = hash::digest(Domain::Development, &[b"conduct.", kind.name().as_bytes(), &tag]);
    let mut writer =
        Writer { usual_lots, draws: ChaCha20Rng::from_seed(digest.0), acts: Vec::new(), key: 0, strangers: 0 };
    let mut episodes = Vec::new();
    // Not in the first half hour, while medians settle, and early enough to end within the record.
    let (from, span) = (first.saturating_add(1_800_000), last.saturating_sub(first).saturating_sub(2 * 3_600_000));
    for episode in 0..EPISODES {
        let begins = from + writer.below(span.max(1));
        let accounts = vec![FIRST_INJECTED + 2 * episode, FIRST_INJECTED + 2 * episode + 1];
        match kind {
            Kind::Spoofing => writer.spoof(begins, accounts[0], strength_percent, 1),
            Kind::Layering => writer.spoof(begins, accounts[0], strength_percent, 5),
            Kind::Stuffing => writer.stuff(begins, accounts[0], strength_percent),
            Kind::Wash => writer.wash(begins, accounts[0], accounts[1], strength_percent),
        }
        let guilty = if kind == Kind::Wash { accounts } else { vec![accounts[0]] };
        episodes.push((begins, guilty));
    }
    writer.acts.sort_by_key(|act| (act.at_ms, act.key));
    Schedule { acts: writer.acts, episodes }
}

struct Writer {
    /// The median order of the record.
    usual_lots: u64,
    draws: ChaCha20Rng,
    acts: Vec<Injected>,
    key: u64,
    strangers: u64,
}

impl Writer {
    fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.draws.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }

    fn write(&mut self, at_ms: u64, account: u64, what: What) -> u64 {
        self.key += 1;
        self.acts.push(Injected { at_ms, account, key: self.key, what });
        self.key
    }

    fn cancel(&mut self, at_ms: u64, account: u64, key: u64) {
        self.acts.push(Injected { at_ms, account, key, what: What::Cancel });
    }

    /// Twelve times, every 40 to 80 seconds: a small order of one side where it is next; the volume that is not meant on the
    /// other, 0.02 to 0.2 % behind the best price; a stranger takes the small one half a second to a second and a half
    /// later; and the volume leaves a tenth to nine tenths of a second after that. Its size is the strength times ten usual
    /// orders, a usual one being the median of the record.
    fn spoof(&mut self, begins: u64, account: u64, strength_percent: u64, orders: u64) {
        let mut now = begins;
        for _ in 0..12 {
            let meant = if self.below(2) == 0 { Side::Bid } else { Side::Ask };
            let meant = self.same_side(account).unwrap_or(meant);
            let small = self.write(now, account, What::Inside { side: meant, lots: (self.usual_lots / 2).max(1) });
            let lots = (self.usual_lots * 10 * strength_percent / 100 / orders).max(1);
            let shown: Vec<u64> = (0..orders)
                .map(|order| {
                    let away_ppm = 200 + self.below(360) * (order + 1);
                    self.write(now + 50 + 20 * order, account, What::Away { side: meant.opposite(), lots, away_ppm })
                })
                .collect();
            let hit = now + 500 + self.below(1_000);
            self.strangers += 1;
            let stranger = FIRST_STRANGER + self.strangers;
            self.write(hit, stranger, What::Hit { key: small });
            let leaves = hit + 100 + self.below(800);
            shown.into_iter().for_each(|key| self.cancel(leaves, account, key));
            self.cancel(leaves + 500, account, small);
            now += 40_000 + self.below(40_000);
        }
    }

    /// The side that an account means, which stays the same over an episode.
    fn same_side(&self, account: u64) -> Option<Side> {
        self.acts.iter().find_map(|act| match act.what {
            What::Inside { side, .. } if act.account == account => Some(side),
            _ => None,
        })
    }

    /// A minute of the usual, an order and its cancel every three seconds; then for fifteen seconds the strength times
    /// forty messages a second, half orders and half cancels, 0.3 % behind the best price.
    fn stuff(&mut self, begins: u64, account: u64, strength_percent: u64) {
        let order = What::Away { side: Side::Bid, lots: self.usual_lots / 10 + 1, away_ppm: 3_000 };
        for usual in 0..20 {
            let at = begins + 3_000 * usual;
            let key = self.write(at, account, order);
            self.cancel(at + 1_500, account, key);
        }
        let pairs = 15 * 20 * strength_percent / 100;
        for pair in 0..pairs {
            let at = begins + 60_000 + 15_000 * pair / pairs.max(1);
            let key = self.write(at, account, order);
            let rests = 1 + self.below(20);
            self.cancel(at + rests, account, key);
        }
    }

    /// For forty minutes the two trade every five to fifteen seconds, to and fro, inside the spread. The size is the
    /// strength times what makes the threshold of gross within the window: some 80 quote a trade at 100 %.
    fn wash(&mut self, begins: u64, one: u64, other: u64, strength_percent: u64) {
        let lots = 3_400 * strength_percent / 100;
        let (mut now, mut is_first) = (begins, true);
        while now < begins + 2_400_000 {
            let side = if is_first { Side::Bid } else { Side::Ask };
            let key = self.write(now, one, What::Inside { side, lots });
            self.write(now + 20, other, What::Hit { key });
            self.cancel(now + 100, one, key);
            is_first = !is_first;
            now += 5_000 + self.below(10_000);
        }
    }
}
