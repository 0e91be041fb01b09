//! What came of a scenario: what was refused, what happened, what was lost.

use std::collections::{BTreeMap, BTreeSet};

use casemate_ledger::risk::Risk;
use casemate_protocol::clearing::FINE_PER_TICK;
use casemate_protocol::event::PassCause;
use casemate_protocol::{
    AccountId, BreakerState, Event, MarketId, Reject, RejectCode, SegmentId, Side, WithdrawalNumber, units,
};

use crate::client::{Block, Client, system_refusal};
use crate::orders::{index, withdrawable};
use crate::script::Check;
use crate::venue::MarketNames;

/// What an incident cost, in millionths of the quote asset, each part from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// What attackers took out of the venue or may withdraw, beyond what they brought.
    pub taken_micros: i64,
    /// Losses that nothing covered.
    pub uncovered_micros: i64,
    /// What insurance paid.
    pub insurance_micros: i64,
    /// What backstops lost.
    pub backstop_micros: i64,
}

impl Loss {
    /// All of it. Money that insurance or a backstop lost to an attacker counts twice: as theirs and as taken.
    #[must_use]
    pub const fn total_micros(&self) -> i64 {
        self.taken_micros
            .saturating_add(self.uncovered_micros)
            .saturating_add(self.insurance_micros)
            .saturating_add(self.backstop_micros)
    }

    /// Its parts as a JSON object.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "taken": self.taken_micros,
            "uncovered": self.uncovered_micros,
            "insurance": self.insurance_micros,
            "backstop": self.backstop_micros,
        })
    }
}

/// What is watched while a scenario plays.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Refusals and events by name, since the set-up.
    pub(crate) seen: BTreeSet<String>,
    /// Whose liquidation was begun.
    pub(crate) liquidated: BTreeSet<AccountId>,
    /// What left, by account and segment.
    pub(crate) released: BTreeMap<(AccountId, SegmentId), i64>,
    /// What was brought, by account.
    pub(crate) deposited: BTreeMap<AccountId, i64>,
    insurance_paid: i64,
    /// As of the end of the set-up.
    baseline: Option<Baseline>,
    requests: BTreeMap<(SegmentId, WithdrawalNumber), (AccountId, i64)>,
    watches: Vec<Watch>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Baseline {
    uncovered: i128,
    backstops: i64,
}

/// A condition that holds throughout, and the worst that was seen of it.
#[derive(Clone, Debug)]
struct Watch {
    check: Check,
    market: MarketNames,
    /// Least amount of bids in micro-quote, or largest distance of a trade in parts per million.
    worst: i64,
}

impl Observed {
    /// With the conditions that must hold throughout.
    pub(crate) fn new<'a>(checks: impl Iterator<Item = &'a Check>, markets: &BTreeMap<String, MarketNames>) -> Self {
        let watch = |check: &Check| {
            let (market, worst) = match check {
                Check::Bids { market, .. } => (market, i64::MAX),
                Check::Trades { market, .. } => (market, 0),
                _ => return None,
            };
            Some(Watch { check: check.clone(), market: *markets.get(market)?, worst })
        };
        Self { watches: checks.filter_map(watch).collect(), ..Self::default() }
    }

    /// From here on things count.
    pub(crate) fn begin(&mut self, client: &Client) {
        self.baseline = Some(Baseline { uncovered: uncovered(client), backstops: backstop_equity(client) });
        self.seen.clear();
        self.liquidated.clear();
        self.insurance_paid = 0;
    }

    /// The worst of a condition that must hold throughout; none if it is not watched.
    pub(crate) fn worst(&self, check: &Check) -> Option<i64> {
        self.watches.iter().find(|watch| watch.check == *check).map(|watch| watch.worst)
    }

    /// Takes in what a block did.
    pub(crate) fn note(&mut self, client: &Client, block: &Block) {
        for record in &block.records {
            if let Some(reject) = system_refusal(record) {
                self.note_refusal(&reject);
            }
            record.events.iter().for_each(|event| self.note_event(client, event));
        }
        for verdict in block.verdicts.iter().flat_map(|(_, verdicts)| verdicts) {
            if let Err(reject) = verdict {
                self.note_refusal(reject);
            }
        }
        if self.baseline.is_some() {
            self.note_bids(client);
        }
    }

    fn note_refusal(&mut self, reject: &Reject) {
        let code = reject.code();
        self.seen.insert(code.name().to_owned());
        if code == RejectCode::PriceNotGoodEnough {
            let (_, grade) = reject.numbers();
            let name = ["Valid", "Aged", "Clamped", "Uncertain", "Unusable"]
                .get(usize::try_from(grade).unwrap_or(0).saturating_sub(1))
                .copied()
                .unwrap_or("unknown");
            self.seen.insert(format!("{} {name}", code.name()));
        }
    }

    fn note_event(&mut self, client: &Client, event: &Event) {
        match event {
            Event::BreakerMoved(moved) if moved.to > moved.from => {
                self.seen.insert(format!("breaker: {}", moved.cause.name()));
                self.seen.insert(format!("breaker: {} to {}", moved.cause.name(), moved.to.name()));
            }
            Event::LiquidationStepped(stepped) => {
                self.liquidated.insert(stepped.account);
            }
            Event::LiquidationSliced(_) => {
                self.seen.insert("LiquidationSliced".to_owned());
            }
            Event::PositionPassed(passed) => {
                let cause = match passed.cause {
                    PassCause::Backstop => "to the backstop",
                    PassCause::Deleveraging => "by deleveraging",
                };
                self.seen.insert(format!("PositionPassed {cause}"));
            }
            Event::InsurancePaid(paid) => {
                self.insurance_paid = self.insurance_paid.saturating_add(paid.amount.micros());
                self.seen.insert("InsurancePaid".to_owned());
            }
            Event::DeficitRepaid(repaid) => {
                self.insurance_paid = self.insurance_paid.saturating_add(repaid.amount.micros());
            }
            Event::DepositCredited(credited) => {
                let sum = self.deposited.entry(credited.account).or_default();
                *sum = sum.saturating_add(credited.amount.micros());
            }
            Event::WithdrawalRequested(requested) | Event::PrincipalExitRequested(requested) => {
                let money = (requested.account, requested.amount.micros());
                self.requests.insert((requested.segment, requested.number), money);
            }
            Event::WithdrawalReleased(ended) => {
                if let Some((account, amount)) = self.requests.get(&(ended.segment, ended.number)) {
                    let sum = self.released.entry((*account, ended.segment)).or_default();
                    *sum = sum.saturating_add(*amount);
                }
            }
            Event::TradeExecuted(trade) if self.baseline.is_some() => {
                self.note_trade(client, trade.market, trade.price.ticks());
            }
            _ => {}
        }
    }

    fn note_trade(&mut self, client: &Client, market: MarketId, ticks: u64) {
        for watch in self.watches.iter_mut().filter(|watch| watch.market.id == market) {
            if matches!(watch.check, Check::Trades { .. }) {
                let index = index(client, &watch.market).ticks();
                let distance = u128::from(index.abs_diff(ticks)) * 1_000_000 / u128::from(index.max(1));
                watch.worst = watch.worst.max(i64::try_from(distance).unwrap_or(i64::MAX));
            }
        }
    }

    fn note_bids(&mut self, client: &Client) {
        for watch in &mut self.watches {
            if let Check::Bids { within_ppm, .. } = watch.check {
                watch.worst = watch.worst.min(bids_near(client, &watch.market, within_ppm));
            }
        }
    }

    /// What was lost since the set-up.
    pub(crate) fn loss(&self, client: &Client, attackers: &[String]) -> Loss {
        let baseline = self.baseline.unwrap_or_default();
        let since = uncovered(client).saturating_sub(baseline.uncovered).max(0);
        Loss {
            taken_micros: self.taken(client, attackers).max(0),
            uncovered_micros: i64::try_from(since).unwrap_or(i64::MAX),
            insurance_micros: self.insurance_paid,
            backstop_micros: baseline.backstops.saturating_sub(backstop_equity(client)).max(0),
        }
    }

    /// What attackers have outside, or may take there, beyond what they brought; negative where they lost.
    fn taken(&self, client: &Client, attackers: &[String]) -> i64 {
        // What genesis gave everybody in each segment.
        let genesis = client.ledger().genesis();
        let balance = genesis.seeded.map_or(0, |seeded| seeded.balance.micros());
        let seeded = balance.saturating_mul(i64::try_from(genesis.segments.len()).unwrap_or(1));
        attackers.iter().fold(0i64, |sum, name| {
            let account = client.account(name);
            let released = self.released.iter().filter(|((who, _), _)| *who == account).map(|(_, amount)| *amount);
            let out = released.fold(0i64, i64::saturating_add);
            let brought = self.deposited.get(&account).copied().unwrap_or(0).saturating_add(seeded);
            sum.saturating_add(out).saturating_add(may_take(client, name)).saturating_sub(brought)
        })
    }
}

/// What somebody may still take out as things stand: nothing where the breaker lets nothing leave, principal alone in
/// ReduceOnly.
fn may_take(client: &Client, name: &str) -> i64 {
    client.ledger().segments().iter().fold(0i64, |sum, segment| {
        let Some(row) = segment.sub_account(client.account(name)) else { return sum };
        let free = withdrawable(client, segment, row).saturating_add(row.pending());
        let may = match segment.breaker_state() {
            BreakerState::Normal | BreakerState::Elevated => free.micros(),
            BreakerState::ReduceOnly => {
                free.micros().min(row.net_deposits().saturating_add(row.pending()).micros().max(0))
            }
            BreakerState::WithdrawGated | BreakerState::Halted => 0,
        };
        sum.saturating_add(may)
    })
}

fn uncovered(client: &Client) -> i128 {
    client.ledger().segments().iter().map(|segment| segment.totals().uncovered).sum()
}

/// Equity of all backstops at the mark.
fn backstop_equity(client: &Client) -> i64 {
    client.ledger().segments().iter().fold(0i64, |sum, segment| {
        let row = segment.clearing().and_then(|clearing| segment.sub_account(clearing.backstop()));
        let risk = Risk::new(segment.markets(), client.ledger().chain().waiting_ms);
        sum.saturating_add(row.map_or(0, |row| risk.health(row).equity))
    })
}

/// What bids within a distance of the index are worth, in micro-quote.
pub(crate) fn bids_near(client: &Client, names: &MarketNames, within_ppm: u32) -> i64 {
    let (Some(market), Some(segment)) = (client.market(names), client.segment(names.segment)) else { return 0 };
    let index = market.margin().map_or(0, |margin| margin.pricing().index.fine() / FINE_PER_TICK);
    let least = u128::from(index) * u128::from(1_000_000 - within_ppm.min(1_000_000)) / 1_000_000;
    let orders = market.book().slots(Side::Bid, segment.orders()).filter_map(|slot| segment.orders().order(slot));
    let near = orders.take_while(|order| u128::from(order.price.ticks()) >= least);
    near.fold(0i64, |sum, order| {
        let worth = units::notional(order.price, order.remaining, market.rules().tick_value);
        sum.saturating_add(worth.map_or(0, |worth| worth.micros()))
    })
}
