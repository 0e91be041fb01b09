//! All rows, and what an observation does to them.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{AccountId, MarketId, RejectCode, Side, TimeMs, TradeNumber};

use super::alert::{Alert, Detector, Evidence};
use super::clusters::{Clusters, Joined, LINK_PPM, SharedAct};
use super::collusion::{Funding, OPPOSED_PPM};
use super::features::WHOLE_PPM;
use super::ignition::Aggression;
use super::observation::{Act, Cancelled, LeaveAsked, Observation, Traded, short};
use super::rows::{AccountRow, MarketRow, SubjectRow};
use super::two_keys::{self, Blockable, Gate, History};
use super::wash::WashFigures;
use super::{refusals, sandwich, wash};

/// What one alert is worth to a band.
const ALERT_PPM: u32 = WHOLE_PPM;
/// What an account's alert is worth to those it is linked to.
const LINKED_PPM: u32 = WHOLE_PPM / 2;

/// Conduct of all accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Conduct {
    subjects: BTreeMap<(AccountId, MarketId), SubjectRow>,
    accounts: BTreeMap<AccountId, AccountRow>,
    markets: BTreeMap<MarketId, MarketRow>,
    funding: Funding,
    clusters: Clusters,
    /// Where the last sweep ended.
    swept: (AccountId, MarketId),
}

/// An alert on its way: where its account stands is filled in by whoever raises it.
struct Found {
    market: MarketId,
    account: AccountId,
    score_ppm: u32,
    level: u8,
    evidence: Evidence,
}

impl Conduct {
    /// Takes in what happened, and adds what is to be told. Observations come in the order of block time.
    pub fn observe(&mut self, observation: &Observation, alerts: &mut Vec<Alert>) {
        let Observation { at, market, act } = *observation;
        match act {
            Act::Placed { account, messages } => self.placed(account, messages, market, at, alerts),
            Act::Rested { account, lots } => {
                self.market_at(market, at).median.note(lots.lots(), short(account));
            }
            Act::Cancelled(cancel) => self.cancelled(&cancel, market, at, alerts),
            Act::Traded(trade) => self.traded(&trade, market, at, alerts),
            Act::Refused { account, code } => self.refused(account, code, market, at, alerts),
            Act::Opened { account, side, lots } => {
                let account = self.clusters.representative(account);
                let opposed = self.market_at(market, at).openings.note(account, side, lots.lots(), at);
                for other in opposed {
                    // Strangers open opposite positions all day; see `collusion`.
                    if self.clusters.link_ppm(account, other, at) > 0 {
                        self.inferred((account, other), OPPOSED_PPM, market, at, alerts);
                    }
                }
            }
            Act::Deposited { account, source, amount } => {
                let account = self.clusters.representative(account);
                for (other, worth) in self.funding.note(account, &source, amount, at) {
                    self.inferred((account, other), worth, market, at, alerts);
                }
            }
            Act::KeyChanged { account } => self.account_at(account, at).takeover.note_key(at),
            Act::LeaveAsked(leave) => self.leave_asked(&leave, at, alerts),
        }
    }

    /// The band of an account at a moment, 0 to 3.
    #[must_use]
    pub fn band(&self, account: AccountId, now: TimeMs) -> u8 {
        self.accounts.get(&self.clusters.representative(account)).map_or(0, |row| row.band.level_at(now))
    }

    /// The two-key rule for an act of an account in a market, or none. Reads only.
    #[must_use]
    pub fn gate(&self, account: AccountId, market: MarketId, act: &Blockable, now: TimeMs) -> Gate {
        let subject = self.subjects.get(&(self.clusters.representative(account), market));
        let by_market = subject.map_or(0, |row| row.level_at(now));
        let by_account = self.accounts.get(&account).map_or(0, |row| History::default().level(row.seen_ppm_at(now)));
        two_keys::judge(by_market.max(by_account), act)
    }

    /// Clusters and links.
    #[must_use]
    pub const fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Takes in an act of both sides: from now on the two are one, and so is what they did.
    pub fn join(&mut self, first: AccountId, second: AccountId, by: SharedAct, now: TimeMs) -> Option<Joined> {
        let joined = self.clusters.join(first, second, by)?;
        self.merge(joined, now);
        Some(joined)
    }

    /// One side declares the other; see [`Clusters::declare`].
    pub fn declare(&mut self, from: AccountId, to: AccountId, now: TimeMs) -> Option<Joined> {
        let joined = self.clusters.declare(from, to)?;
        self.merge(joined, now);
        Some(joined)
    }

    /// An account contests what is inferred about it.
    pub fn contest(&mut self, account: AccountId, now: TimeMs) {
        let account = self.clusters.representative(account);
        self.clusters.contest(account);
        self.account_at(account, now).band.contest(now);
    }

    /// A contest was decided.
    pub fn decide_contest(&mut self, account: AccountId, is_upheld: bool, now: TimeMs) {
        let account = self.clusters.representative(account);
        self.clusters.decide(account, is_upheld);
        self.account_at(account, now).band.decide(is_upheld, now);
    }

    /// Looks at the next so many rows by account and market, and lets those go that have faded.
    pub fn sweep(&mut self, rows: u32, now: TimeMs) {
        use core::ops::Bound::{Excluded, Unbounded};
        for _ in 0..rows {
            let next = self.subjects.range((Excluded(self.swept), Unbounded)).next();
            let Some((key, is_faded)) = next.map(|(key, row)| (*key, row.is_faded(now))) else {
                self.swept = Default::default();
                return;
            };
            self.swept = key;
            if is_faded {
                self.subjects.remove(&key);
            }
        }
    }

    /// Rows by account and market.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.subjects.len()
    }

    fn placed(&mut self, account: AccountId, messages: u32, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let row = self.account_at(account, at);
        row.takeover.note_act(market, at);
        row.refusals.note_accepted();
        let subject = self.clusters.representative(account);
        let row = self.subject_at(subject, market, at);
        row.stuffing.note_messages(messages);
        let found = judge_stuffing(row, subject, market, at);
        self.raise(found, at, alerts);
    }

    fn cancelled(&mut self, cancel: &Cancelled, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let median = self.market_at(market, at).median.value();
        let subject = self.clusters.representative(cancel.account);
        let row = self.subject_at(subject, market, at);
        row.stuffing.note_messages(1);
        row.spoof.note_cancel(cancel, median, at);
        let (score_ppm, figures) = row.spoof.judge();
        let level = row.note_score(score_ppm);
        let found = row.firing.note(Detector::Spoof, score_ppm, at).then(|| {
            let evidence = Evidence::Spoof { order: cancel.order, figures };
            Found { market, account: subject, score_ppm, level, evidence }
        });
        let stuffed = judge_stuffing(row, subject, market, at);
        self.raise(found, at, alerts);
        self.raise(stuffed, at, alerts);
    }

    fn traded(&mut self, trade: &Traded, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let [taker, maker] = [trade.taker, trade.maker].map(|account| self.clusters.representative(account));
        let aggression = if taker == maker {
            self.traded_with_itself(trade, taker, market, at, alerts)
        } else {
            self.washed(trade, [taker, maker], market, at, alerts)
        };
        // By cluster, as everything here.
        self.moved(&Traded { taker, maker, ..*trade }, &aggression, market, at, alerts);
        self.lost(trade, market, at, alerts);
    }

    /// A cluster on both sides of a trade: D1 without a doubt.
    fn traded_with_itself(
        &mut self,
        trade: &Traded,
        subject: AccountId,
        market: MarketId,
        at: TimeMs,
        alerts: &mut Vec<Alert>,
    ) -> Aggression {
        let row = self.subject_at(subject, market, at);
        row.note_score(WHOLE_PPM);
        let aggression = row.aggression;
        let found = row.firing.note(Detector::Wash, WHOLE_PPM, at).then_some(Found {
            market,
            account: subject,
            score_ppm: WHOLE_PPM,
            level: two_keys::ANOMALOUS,
            evidence: Evidence::SelfTrade { accounts: [trade.maker, trade.taker], trade: trade.trade },
        });
        self.raise(found, at, alerts);
        aggression
    }

    /// What a trade does to the rows of its two sides, and D1. Gives the aggression of the taker.
    fn washed(
        &mut self,
        trade: &Traded,
        [taker, maker]: [AccountId; 2],
        market: MarketId,
        at: TimeMs,
        alerts: &mut Vec<Alert>,
    ) -> Aggression {
        let bought = match trade.taker_side {
            Side::Bid => trade.notional.micros(),
            Side::Ask => trade.notional.micros().saturating_neg(),
        };
        let lots = trade.lots.lots();
        let row = self.subject_at(maker, market, at);
        row.spoof.note_fill(trade.taker_side.opposite(), lots, at);
        row.stuffing.note_trade();
        row.wash.note(short(taker), bought.saturating_neg());
        let other = row.wash;
        let row = self.subject_at(taker, market, at);
        row.spoof.note_fill(trade.taker_side, lots, at);
        row.stuffing.note_trade();
        row.aggression.note(trade.taker_side, lots);
        row.wash.note(short(maker), bought);
        let aggression = row.aggression;
        let judged = wash::judge((short(taker), &row.wash), (short(maker), &other));
        let Some((score_ppm, figures)) = judged else { return aggression };
        let found = judge_wash(row, (taker, maker), (score_ppm, figures), (trade.trade, market, at));
        self.raise(found, at, alerts);
        // The maker's row is met again when there is something to say; else when it takes itself.
        if score_ppm >= WHOLE_PPM {
            let row = self.subject_at(maker, market, at);
            let found = judge_wash(row, (maker, taker), (score_ppm, figures), (trade.trade, market, at));
            self.raise(found, at, alerts);
        }
        aggression
    }

    /// What a trade does to its market: D4 and D7.
    fn moved(&mut self, trade: &Traded, takers: &Aggression, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let taker = trade.taker;
        let row = self.market_at(market, at);
        row.momentum.note(trade, takers, at);
        let ignited = row.momentum.judge_ignitions(trade.price);
        let (score_ppm, figures) = row.momentum.judge_pump(trade.price, at);
        let pumped = row.firing.note(Detector::Pump, score_ppm, at).then(|| {
            let evidence = Evidence::Pump { trade: trade.trade, figures };
            Found { market, account: AccountId::NONE, score_ppm, level: two_keys::ANOMALOUS, evidence }
        });
        let closed = row.takers.note(trade, at);
        self.raise(pumped, at, alerts);
        if let Some((score_ppm, account, figures)) = ignited {
            let account = AccountId::new(account.into());
            let row = self.subject_at(account, market, at);
            let level = row.note_score(score_ppm);
            let evidence = Evidence::Ignition { trade: trade.trade, figures };
            // A run that fired is forgotten, so each is told once.
            let found = (score_ppm >= WHOLE_PPM).then_some(Found { market, account, score_ppm, level, evidence });
            self.raise(found, at, alerts);
        }
        if let Some(figures) = closed {
            let row = self.subject_at(taker, market, at);
            row.sandwiches_ppm = row.sandwiches_ppm.saturating_add(WHOLE_PPM);
            let score_ppm = row.sandwiches_ppm.div_euclid(sandwich::HITS_PPM / WHOLE_PPM);
            let level = row.note_score(score_ppm);
            let found = row.firing.note(Detector::Sandwich, score_ppm, at).then(|| {
                let figures = sandwich::SandwichFigures { hits_ppm: row.sandwiches_ppm, ..figures };
                Found { market, account: taker, score_ppm, level, evidence: Evidence::Sandwich(figures) }
            });
            self.raise(found, at, alerts);
        }
    }

    /// D9 on fills: by account, not by cluster, since keys are an account's. A maker's price was its own choice before the
    /// index moved, so only takers are judged.
    fn lost(&mut self, trade: &Traded, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let account = trade.taker;
        let row = self.account_at(account, at);
        let Some((score_ppm, figures)) = row.takeover.note_fill(trade.taker_side, trade, market) else { return };
        row.seen_ppm = row.seen_ppm.max(score_ppm);
        let found = row.firing.note(Detector::Takeover, score_ppm, at).then(|| {
            let evidence = Evidence::Loss { trade: trade.trade, figures };
            Found { market, account, score_ppm, level: two_keys::ANOMALOUS, evidence }
        });
        self.raise(found, at, alerts);
    }

    fn leave_asked(&mut self, leave: &LeaveAsked, at: TimeMs, alerts: &mut Vec<Alert>) {
        let account = leave.account;
        let row = self.account_at(account, at);
        let (score_ppm, figures) = row.takeover.judge_leave(leave, at);
        row.seen_ppm = row.seen_ppm.max(score_ppm);
        let found = row.firing.note(Detector::Takeover, score_ppm, at).then_some(Found {
            market: MarketId::NONE,
            account,
            score_ppm,
            level: two_keys::ANOMALOUS,
            evidence: Evidence::Takeover(figures),
        });
        self.raise(found, at, alerts);
    }

    fn refused(&mut self, account: AccountId, code: RejectCode, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let subject = self.clusters.representative(account);
        let row = self.account_at(account, at);
        row.refusals.note_refused();
        let (score_ppm, figures) = row.refusals.judge(refusals::ACCOUNT_MIN, code.number());
        row.seen_ppm = row.seen_ppm.max(score_ppm);
        let level = two_keys::ANOMALOUS;
        let evidence = Evidence::Refusals(figures);
        let is_told = row.firing.note(Detector::Refusals, score_ppm, at);
        self.raise(is_told.then_some(Found { market, account: subject, score_ppm, level, evidence }), at, alerts);
        if market.is_none() {
            return;
        }
        let row = self.market_at(market, at);
        row.refusals.note_refused();
        let (score_ppm, figures) = row.refusals.judge(refusals::MARKET_MIN, code.number());
        let evidence = Evidence::Refusals(figures);
        let is_told = row.firing.note(Detector::Refusals, score_ppm, at);
        let found = Found { market, account: AccountId::NONE, score_ppm, level, evidence };
        self.raise(is_told.then_some(found), at, alerts);
        let row = self.subject_at(subject, market, at);
        row.stuffing.note_messages(1);
        let found = judge_stuffing(row, subject, market, at);
        self.raise(found, at, alerts);
    }

    /// Adds to a link, and tells when it comes to be acted on.
    fn inferred(
        &mut self,
        accounts: (AccountId, AccountId),
        worth_ppm: u32,
        market: MarketId,
        at: TimeMs,
        alerts: &mut Vec<Alert>,
    ) {
        let (first, second) = accounts;
        let before = self.clusters.link_ppm(first, second, at);
        self.clusters.infer(first, second, worth_ppm, at);
        let weight_ppm = self.clusters.link_ppm(first, second, at);
        if before >= LINK_PPM || weight_ppm < LINK_PPM {
            return;
        }
        for (account, with) in [(first, second), (second, first)] {
            let row = self.account_at(account, at);
            row.band.note_inferred(ALERT_PPM, at);
            let band = row.band.level_at(at);
            let evidence = Evidence::Collusion { with, weight_ppm };
            alerts.push(Alert {
                at,
                market,
                account,
                score_ppm: weight_ppm,
                level: two_keys::ANOMALOUS,
                band,
                evidence,
            });
        }
    }

    /// Tells what was found, and raises bands.
    fn raise(&mut self, found: Option<Found>, at: TimeMs, alerts: &mut Vec<Alert>) {
        let Some(Found { market, account, score_ppm, level, evidence }) = found else { return };
        if account.is_none() {
            alerts.push(Alert { at, market, account, score_ppm, level, band: 0, evidence });
            return;
        }
        let subject = self.clusters.representative(account);
        let row = self.account_at(subject, at);
        row.band.note_own(ALERT_PPM, at);
        let band = row.band.level_at(at);
        alerts.push(Alert { at, market, account, score_ppm, level, band, evidence });
        let linked: Vec<AccountId> = self.clusters.linked(subject, at).collect();
        for other in linked {
            let other = self.clusters.representative(other);
            self.account_at(other, at).band.note_inferred(LINKED_PPM, at);
        }
    }

    /// What two did becomes what one did. The band is the higher one's.
    fn merge(&mut self, joined: Joined, now: TimeMs) {
        let Joined { kept, gone, .. } = joined;
        let keys = (gone, MarketId::NONE)..=(gone, MarketId::new(u16::MAX));
        let rows: Vec<_> = self.subjects.range(keys).map(|((_, market), row)| (*market, *row)).collect();
        for (market, mut row) in rows {
            self.subjects.remove(&(gone, market));
            row.bring_to(now);
            self.subject_at(kept, market, now).absorb(&row, short(kept), short(gone));
        }
        let gone_band = self.account_at(gone, now).band;
        let row = self.account_at(kept, now);
        if gone_band.evidence_ppm() > row.band.evidence_ppm() {
            row.band = gone_band;
        }
    }

    fn subject_at(&mut self, account: AccountId, market: MarketId, now: TimeMs) -> &mut SubjectRow {
        let row = self.subjects.entry((account, market)).or_default();
        row.bring_to(now);
        row
    }

    fn account_at(&mut self, account: AccountId, now: TimeMs) -> &mut AccountRow {
        let row = self.accounts.entry(account).or_default();
        row.bring_to(now);
        row
    }

    fn market_at(&mut self, market: MarketId, now: TimeMs) -> &mut MarketRow {
        let row = self.markets.entry(market).or_default();
        row.bring_to(now);
        row
    }
}

/// D1 for one of a pair, `(about, with)`.
fn judge_wash(
    row: &mut SubjectRow,
    (account, with): (AccountId, AccountId),
    (score_ppm, figures): (u32, WashFigures),
    (trade, market, at): (TradeNumber, MarketId, TimeMs),
) -> Option<Found> {
    let level = row.note_score(score_ppm);
    let is_told = row.firing.note(Detector::Wash, score_ppm, at);
    let evidence = Evidence::Wash { with, trade, figures };
    is_told.then_some(Found { market, account, score_ppm, level, evidence })
}

fn judge_stuffing(row: &mut SubjectRow, account: AccountId, market: MarketId, at: TimeMs) -> Option<Found> {
    let (score_ppm, figures) = row.stuffing.judge();
    let level = row.note_score(score_ppm);
    let evidence = Evidence::Stuffing(figures);
    let is_told = row.firing.note(Detector::Stuffing, score_ppm, at);
    is_told.then_some(Found { market, account, score_ppm, level, evidence })
}

#[cfg(test)]
mod tests;
