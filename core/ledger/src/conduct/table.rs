//! All rows, and what an observation does to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::conduct::ConductRules;
use casemate_protocol::{AccountId, MarketId, QuoteMicros, RejectCode, Side, TimeMs, TradeNumber};

use super::alert::{Alert, Detector, Evidence};
use super::clusters::{Clusters, Joined, LINK_PPM, SharedAct};
use super::collusion::{Funding, OPPOSED_PPM};
use super::features::WHOLE_PPM;
use super::ignition::Aggression;
use super::observation::{Act, Cancelled, LeaveAsked, Observation, Traded, short};
use super::row_table::RowTable;
use super::rows::{AccountRow, MarketRow, SubjectRow};
use super::two_keys::{self, Blockable, Gate};
use super::wash::WashFigures;
use super::{band, sandwich, wash};

/// What one alert is worth to a band.
const ALERT_PPM: u32 = WHOLE_PPM;
/// What an account's alert is worth to those it is linked to.
const LINKED_PPM: u32 = WHOLE_PPM / 2;
/// Alerts that wait to be told. What is found beyond them raises bands and is told by them alone.
const UNTOLD_MAX: usize = 4_096;

/// Conduct of all accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Conduct {
    subjects: RowTable<SubjectRow>,
    /// Under no market.
    accounts: RowTable<AccountRow>,
    markets: BTreeMap<MarketId, MarketRow>,
    funding: Funding,
    clusters: Clusters,
    /// The account with which the last sweep ended.
    swept: u64,
    #[borsh(skip)]
    rules: Rules,
    /// The number of the last alert.
    last_alert: u64,
    /// Alerts that are to be told.
    untold: VecDeque<Alert>,
    /// Accounts that there is evidence against.
    held: BTreeSet<AccountId>,
    /// Those of them whose band may not be what the ledger says.
    moved: BTreeSet<AccountId>,
    /// When all that are held were looked at.
    looked_at: TimeMs,
}

/// The limits of the segment. Genesis has them; a snapshot does not repeat them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rules(ConductRules);

impl Default for Rules {
    fn default() -> Self {
        Self(ConductRules::STARTING)
    }
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
    /// Nobody has done anything yet.
    #[must_use]
    pub fn new(rules: &ConductRules) -> Self {
        Self { rules: Rules(*rules), ..Self::default() }
    }

    /// What was read from a snapshot, under the rules of its segment.
    #[must_use]
    pub fn under(self, rules: &ConductRules) -> Self {
        Self { rules: Rules(*rules), ..self }
    }

    /// A block stands: keeps what is to be told of what was found, and finds out whose band is not what is stated of it.
    /// `told` is the last alert that was told.
    pub(crate) fn keep(&mut self, found: Vec<Alert>, told: u64, stated: impl Fn(AccountId) -> u8, now: TimeMs) {
        while self.untold.front().is_some_and(|alert| alert.number <= told) {
            self.untold.pop_front();
        }
        let room = UNTOLD_MAX.saturating_sub(self.untold.len());
        self.untold.extend(found.into_iter().take(room));
        if self.held.is_empty() {
            return;
        }
        let candidates: Vec<AccountId> = self.candidates(now).collect();
        if self.is_time_to_look(now) {
            self.looked_at = now;
        }
        let is_moved = |account: &AccountId| self.band(*account, now) != stated(*account);
        self.moved = candidates.iter().filter(|account| is_moved(account)).copied().collect();
        for account in candidates {
            let is_faded = self.accounts.get(account, MarketId::NONE).is_none_or(|row| row.band.is_faded_at(now));
            if is_faded && stated(account) == 0 {
                self.held.remove(&account);
            }
        }
    }

    /// Alerts that were not told when the last block began, in the order of their numbers.
    pub(crate) fn untold(&self) -> impl Iterator<Item = &Alert> {
        self.untold.iter()
    }

    /// Accounts whose band may have moved: those that something was found of, and now and then, when evidence has faded by
    /// a step, all that there is evidence against.
    pub(crate) fn candidates(&self, now: TimeMs) -> impl Iterator<Item = AccountId> {
        let all = if self.is_time_to_look(now) { &self.held } else { &self.moved };
        all.iter().copied()
    }

    fn is_time_to_look(&self, now: TimeMs) -> bool {
        !band::FADES.fading(self.looked_at, now).is_still()
    }

    /// The alert that raised the band of an account last, and whether it was about another one.
    pub(crate) fn raised_by(&self, account: AccountId) -> (u64, bool) {
        let row = self.accounts.get(account, MarketId::NONE);
        row.map_or((0, false), |row| (row.raised_by, row.is_raised_by_link))
    }

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
            Act::Contested { account } => self.contested(account, at),
            Act::Left { account, address } => self.account_at(account, at).takeover.note_address(address),
        }
    }

    /// The band of an account at a moment, 0 to 3.
    #[must_use]
    pub fn band(&self, account: AccountId, now: TimeMs) -> u8 {
        let row = self.accounts.get(self.clusters.representative(account), MarketId::NONE);
        row.map_or(0, |row| row.band.level_at(now))
    }

    /// How rare the worst score of late is for an account in a market, and the number of the detector that gave it. Without
    /// a market, in any of them: money is of all.
    #[must_use]
    pub fn level(&self, account: AccountId, market: MarketId, now: TimeMs) -> (u8, u8) {
        let rows = self.subjects.of_account(self.clusters.representative(account));
        let by_market = rows
            .filter(|(of, _)| market.is_none() || *of == market)
            .map(|(_, row)| (row.level_at(now), row.seen_by()))
            .max()
            .unwrap_or_default();
        let by_account = self.accounts.get(account, MarketId::NONE).map_or((0, 0), |row| row.level_at(now));
        if by_account.0 > by_market.0 { by_account } else { by_market }
    }

    /// Whether money of an account left to an address before, as far as that is remembered; see
    /// [`super::observation::address`].
    #[must_use]
    pub fn knows_address(&self, account: AccountId, address: u64) -> bool {
        self.accounts.get(account, MarketId::NONE).is_some_and(|row| row.takeover.knows_address(address))
    }

    /// What fills cost an account against the index of late.
    #[must_use]
    pub fn lost_of(&self, account: AccountId, now: TimeMs) -> QuoteMicros {
        self.accounts.get(account, MarketId::NONE).map_or(QuoteMicros::ZERO, |row| row.lost_at(now))
    }

    /// The two-key rule for an act of an account in a market, or none. Reads only.
    #[must_use]
    pub fn gate(&self, account: AccountId, market: MarketId, act: &Blockable, now: TimeMs) -> Gate {
        two_keys::judge(self.level(account, market, now).0, act, &self.rules.0.damage)
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

    /// When the account, or the cluster that it is of, contested its links last; zero if never.
    #[must_use]
    pub fn contested_at(&self, account: AccountId) -> TimeMs {
        let row = self.accounts.get(self.clusters.representative(account), MarketId::NONE);
        row.map_or(TimeMs::ZERO, |row| row.contested)
    }

    /// Looks at the rows of the next so many accounts, and lets those go that have faded.
    pub fn sweep(&mut self, accounts: u64, now: TimeMs) {
        let end = self.subjects.accounts().max(self.accounts.accounts());
        let from = if self.swept >= end { 0 } else { self.swept };
        self.swept = from.saturating_add(accounts).min(end);
        let mut faded = Vec::new();
        for account in (from..self.swept).map(AccountId::new) {
            if self.accounts.get(account, MarketId::NONE).is_some_and(|row| row.is_faded(now)) {
                self.accounts.remove(account, MarketId::NONE);
            }
            let rows = self.subjects.of_account(account).filter(|(_, row)| row.is_faded(now));
            faded.extend(rows.map(|(market, _)| (account, market)));
        }
        for (account, market) in faded {
            self.subjects.remove(account, market);
        }
    }

    /// Rows by account and market.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.subjects.len()
    }

    fn placed(&mut self, account: AccountId, messages: u32, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let stuffing_messages = self.rules.0.stuffing_messages;
        let row = self.account_at(account, at);
        row.takeover.note_act(market, at);
        row.refusals.note_accepted();
        let subject = self.clusters.representative(account);
        let row = self.subject_at(subject, market, at);
        row.stuffing.note_messages(messages);
        let found = judge_stuffing(row, stuffing_messages, (subject, market, at));
        self.raise(found, at, alerts);
    }

    fn cancelled(&mut self, cancel: &Cancelled, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let usual = self.market_at(market, at).median.value();
        let outsized = usual.saturating_mul(self.rules.0.spoof_usual_orders.into());
        let stuffing_messages = self.rules.0.stuffing_messages;
        let subject = self.clusters.representative(cancel.account);
        let row = self.subject_at(subject, market, at);
        row.stuffing.note_messages(cancel.messages);
        row.spoof.note_cancel(cancel, outsized, at);
        let (score_ppm, figures) = row.spoof.judge();
        let level = row.note_score(Detector::Spoof, score_ppm);
        let found = row.firing.note(Detector::Spoof, score_ppm, at).then(|| {
            let evidence = Evidence::Spoof { order: cancel.order, figures };
            Found { market, account: subject, score_ppm, level, evidence }
        });
        let stuffed = judge_stuffing(row, stuffing_messages, (subject, market, at));
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
        row.note_score(Detector::Wash, WHOLE_PPM);
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
        let gross_min = self.rules.0.wash_gross_min;
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
        let judged = wash::judge((short(taker), &row.wash), (short(maker), &other), gross_min);
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
        let ConductRules { ignition_run, pump_run, .. } = self.rules.0;
        let row = self.market_at(market, at);
        row.momentum.note(trade, takers, ignition_run, at);
        let ignited = row.momentum.judge_ignitions(trade.price, ignition_run);
        let (score_ppm, figures) = row.momentum.judge_pump(trade.price, pump_run, at);
        let pumped = row.firing.note(Detector::Pump, score_ppm, at).then(|| {
            let evidence = Evidence::Pump { trade: trade.trade, figures };
            Found { market, account: AccountId::NONE, score_ppm, level: two_keys::ANOMALOUS, evidence }
        });
        let closed = row.takers.note(trade, at);
        self.raise(pumped, at, alerts);
        if let Some((score_ppm, account, figures)) = ignited {
            let account = AccountId::new(account.into());
            let row = self.subject_at(account, market, at);
            let level = row.note_score(Detector::Ignition, score_ppm);
            let evidence = Evidence::Ignition { trade: trade.trade, figures };
            // A run that fired is forgotten, so each is told once.
            let found = (score_ppm >= WHOLE_PPM).then_some(Found { market, account, score_ppm, level, evidence });
            self.raise(found, at, alerts);
        }
        if let Some(figures) = closed {
            let row = self.subject_at(taker, market, at);
            row.sandwiches_ppm = row.sandwiches_ppm.saturating_add(WHOLE_PPM);
            let score_ppm = row.sandwiches_ppm.div_euclid(sandwich::HITS_PPM / WHOLE_PPM);
            let level = row.note_score(Detector::Sandwich, score_ppm);
            let found = row.firing.note(Detector::Sandwich, score_ppm, at).then(|| {
                let figures = sandwich::SandwichFigures { hits_ppm: row.sandwiches_ppm, ..figures };
                Found { market, account: taker, score_ppm, level, evidence: Evidence::Sandwich(figures) }
            });
            self.raise(found, at, alerts);
        }
    }

    /// What was inferred about an account is dropped; what is inferred from now on counts.
    fn contested(&mut self, account: AccountId, at: TimeMs) {
        let account = self.clusters.representative(account);
        self.clusters.contest(account);
        let row = self.account_at(account, at);
        row.band.contest(at);
        row.contested = at;
        self.hold(account);
    }

    /// D9 on fills: by account, not by cluster, since keys are an account's. A maker's price was its own choice before the
    /// index moved, so only takers are judged.
    fn lost(&mut self, trade: &Traded, market: MarketId, at: TimeMs, alerts: &mut Vec<Alert>) {
        let account = trade.taker;
        let loss_of_fill = self.rules.0.loss_of_fill;
        let row = self.account_at(account, at);
        let judged = row.takeover.note_fill(trade.taker_side, trade, market, loss_of_fill);
        let Some((score_ppm, figures)) = judged else { return };
        row.note_score(Detector::Takeover, score_ppm);
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
        row.note_score(Detector::Takeover, score_ppm);
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
        let ConductRules { refusals_of_account, refusals_of_market, stuffing_messages, .. } = self.rules.0;
        let row = self.account_at(account, at);
        row.refusals.note_refused();
        let (score_ppm, figures) = row.refusals.judge(refusals_of_account, code.number());
        row.note_score(Detector::Refusals, score_ppm);
        let level = two_keys::ANOMALOUS;
        let evidence = Evidence::Refusals(figures);
        let is_told = row.firing.note(Detector::Refusals, score_ppm, at);
        self.raise(is_told.then_some(Found { market, account: subject, score_ppm, level, evidence }), at, alerts);
        if market.is_none() {
            return;
        }
        let row = self.market_at(market, at);
        row.refusals.note_refused();
        let (score_ppm, figures) = row.refusals.judge(refusals_of_market, code.number());
        let evidence = Evidence::Refusals(figures);
        let is_told = row.firing.note(Detector::Refusals, score_ppm, at);
        let found = Found { market, account: AccountId::NONE, score_ppm, level, evidence };
        self.raise(is_told.then_some(found), at, alerts);
        let row = self.subject_at(subject, market, at);
        row.stuffing.note_messages(1);
        let found = judge_stuffing(row, stuffing_messages, (subject, market, at));
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
            let number = self.next_alert();
            let row = self.account_at(account, at);
            row.band.note_inferred(ALERT_PPM, at);
            (row.raised_by, row.is_raised_by_link) = (number, true);
            let band = row.band.level_at(at);
            let evidence = Evidence::Collusion { with, weight_ppm };
            self.hold(account);
            alerts.push(Alert {
                number,
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
        let number = self.next_alert();
        if account.is_none() {
            alerts.push(Alert { number, at, market, account, score_ppm, level, band: 0, evidence });
            return;
        }
        let subject = self.clusters.representative(account);
        let row = self.account_at(subject, at);
        row.band.note_own(ALERT_PPM, at);
        (row.raised_by, row.is_raised_by_link) = (number, false);
        let band = row.band.level_at(at);
        self.hold(subject);
        alerts.push(Alert { number, at, market, account, score_ppm, level, band, evidence });
        let linked: Vec<AccountId> = self.clusters.linked(subject, at).collect();
        for other in linked {
            let other = self.clusters.representative(other);
            let row = self.account_at(other, at);
            row.band.note_inferred(LINKED_PPM, at);
            (row.raised_by, row.is_raised_by_link) = (number, true);
            self.hold(other);
        }
    }

    const fn next_alert(&mut self) -> u64 {
        self.last_alert = self.last_alert.saturating_add(1);
        self.last_alert
    }

    fn hold(&mut self, account: AccountId) {
        self.held.insert(account);
        self.moved.insert(account);
    }

    /// What two did becomes what one did. The band is the higher one's.
    fn merge(&mut self, joined: Joined, now: TimeMs) {
        let Joined { kept, gone, .. } = joined;
        let markets: Vec<MarketId> = self.subjects.of_account(gone).map(|(market, _)| market).collect();
        for market in markets {
            let Some(mut row) = self.subjects.remove(gone, market) else { continue };
            row.bring_to(now);
            self.subject_at(kept, market, now).absorb(&row, short(kept), short(gone));
        }
        let gone_band = self.account_at(gone, now).band;
        let row = self.account_at(kept, now);
        if gone_band.evidence_ppm() > row.band.evidence_ppm() {
            row.band = gone_band;
        }
        self.hold(kept);
        self.hold(gone);
    }

    fn subject_at(&mut self, account: AccountId, market: MarketId, now: TimeMs) -> &mut SubjectRow {
        let row = self.subjects.row_mut(account, market);
        row.bring_to(now);
        row
    }

    fn account_at(&mut self, account: AccountId, now: TimeMs) -> &mut AccountRow {
        let row = self.accounts.row_mut(account, MarketId::NONE);
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
    let level = row.note_score(Detector::Wash, score_ppm);
    let is_told = row.firing.note(Detector::Wash, score_ppm, at);
    let evidence = Evidence::Wash { with, trade, figures };
    is_told.then_some(Found { market, account, score_ppm, level, evidence })
}

fn judge_stuffing(
    row: &mut SubjectRow,
    messages_min: u32,
    (account, market, at): (AccountId, MarketId, TimeMs),
) -> Option<Found> {
    let (score_ppm, figures) = row.stuffing.judge(messages_min);
    let level = row.note_score(Detector::Stuffing, score_ppm);
    let evidence = Evidence::Stuffing(figures);
    let is_told = row.firing.note(Detector::Stuffing, score_ppm, at);
    is_told.then_some(Found { market, account, score_ppm, level, evidence })
}

#[cfg(test)]
mod tests;
