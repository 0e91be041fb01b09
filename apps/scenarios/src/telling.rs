//! Says what happens in a scenario that plays to a running venue, in names and sentences. Reads blocks and verdicts; decides
//! nothing.

use std::collections::BTreeMap;

use casemate_audit::RecordSource;
use casemate_protocol::command::SystemWork;
use casemate_protocol::event::{BreakerMoved, LiquidationStepped, PassCause, TradeExecuted};
use casemate_protocol::{
    AccountId, BreakerCause, Event, MarketId, QuoteMicros, Reject, RejectCode, SegmentId, WithdrawalNumber,
};

use crate::client::{Block, system_refusal};
use crate::number::{Number, Numbers};
use crate::told::{Happening, Told};
use crate::venue::{MarketNames, Venue};

/// Whom to tell.
pub(crate) type Audience = Box<dyn FnMut(&Told) + Send>;

/// Names, and what was said already.
pub(crate) struct Teller {
    audience: Audience,
    /// Sentences of the scenario by line, with its numbers.
    sentences: BTreeMap<usize, String>,
    accounts: BTreeMap<AccountId, String>,
    markets: BTreeMap<MarketId, (String, MarketNames)>,
    now_ms: u64,
    /// Last refusal of what each repeats.
    refused: BTreeMap<String, RejectCode>,
    /// When an account's last step of liquidation was.
    liquidated: BTreeMap<(SegmentId, AccountId), u64>,
    requests: BTreeMap<(SegmentId, WithdrawalNumber), (AccountId, QuoteMicros)>,
    flows: BTreeMap<(&'static str, String), Flow>,
    /// Ticks that were told last.
    indexes: BTreeMap<MarketId, u64>,
    /// Lots that each traded as a taker in the blocks since the last step.
    taken: BTreeMap<(MarketId, AccountId), u64>,
}

/// Something that goes on and is told now and then.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    untold: QuoteMicros,
    told_at_ms: Option<u64>,
}

/// Time in which what goes on is added up.
const FLOW_EVERY_MS: u64 = 30_000;
/// An index is told when it has moved by one in so many.
const INDEX_MOVES: u128 = 10;
/// An account without a step for so long was out of liquidation.
const LIQUIDATION_OVER_MS: u64 = 60_000;

impl Teller {
    pub(crate) fn new(audience: Audience, text: &str, numbers: &Numbers, venue: &Venue) -> Self {
        let accounts = venue.accounts.iter().map(|(name, account)| (*account, name.clone()));
        let markets = venue.markets.iter().map(|(name, names)| (names.id, (name.clone(), *names)));
        Self {
            audience,
            sentences: (1..).zip(text.lines().map(|line| sentence(line, numbers))).collect(),
            accounts: accounts.collect(),
            markets: markets.collect(),
            now_ms: 0,
            refused: BTreeMap::new(),
            liquidated: BTreeMap::new(),
            requests: BTreeMap::new(),
            flows: BTreeMap::new(),
            indexes: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    pub(crate) fn tell(&mut self, what: Happening) {
        (self.audience)(&Told { at_ms: self.now_ms, what });
    }

    /// Time has come to this; what was added up long enough is told.
    pub(crate) fn pass(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.tell_flows(FLOW_EVERY_MS);
    }

    /// Tells everything that was added up.
    pub(crate) fn finish(&mut self) {
        self.tell_flows(0);
    }

    pub(crate) fn step(&mut self, line: usize, taker: Option<(AccountId, MarketId)>, verdict: Result<(), Reject>) {
        let traded = taker.map(|(account, market)| {
            let lots = self.taken.get(&(market, account)).copied().unwrap_or(0);
            let (name, lot_size) = match self.markets.get(&market) {
                Some((name, names)) => (name.as_str(), names.lot_size),
                None => ("", Number::default()),
            };
            format!("{} {name}", grouped(lot_size.scaled_ppm(i128::from(lots) * 1_000_000)))
        });
        self.taken.clear();
        let sentence = self.sentence(line);
        self.tell(Happening::Step { sentence, refusal: verdict.err(), traded });
    }

    pub(crate) fn note(&mut self, line: usize) {
        let sentence = self.sentence(line);
        self.tell(Happening::Note { sentence });
    }

    pub(crate) fn check(&mut self, line: usize, miss: Option<String>) {
        let sentence = self.sentence(line);
        self.tell(Happening::Check { sentence, miss });
    }

    /// What somebody repeats was judged; told only where it is judged otherwise than before.
    pub(crate) fn repeated(&mut self, who: &str, verdict: Result<(), Reject>, is_told_otherwise: bool) {
        let before = match verdict {
            Ok(()) => self.refused.remove(who),
            Err(reject) => self.refused.insert(who.to_owned(), reject.code()),
        };
        if before != verdict.err().map(|reject| reject.code()) && !is_told_otherwise {
            self.tell(Happening::Repeated { who: who.to_owned(), refusal: verdict.err() });
        }
    }

    /// Where the venue's index of each market is, in ticks.
    pub(crate) fn indexes(&mut self, indexes: impl Iterator<Item = (MarketId, u64)>) {
        for (market, ticks) in indexes {
            let told = self.indexes.get(&market).copied().unwrap_or(0);
            if ticks == 0 || u128::from(told.abs_diff(ticks)) * INDEX_MOVES < u128::from(told) {
                continue;
            }
            self.indexes.insert(market, ticks);
            let Some((name, names)) = self.markets.get(&market) else { continue };
            let index = grouped(names.tick_size.scaled_ppm(i128::from(ticks) * 1_000_000));
            let market = name.clone();
            self.tell(Happening::Index { market, index });
        }
    }

    /// Events of a block, in their order.
    pub(crate) fn block(&mut self, block: &Block) {
        for record in &block.records {
            if let (Some(refusal), RecordSource::System(command)) = (system_refusal(record), &record.source) {
                let work = self.work(&command.work);
                self.tell(Happening::DueRefused { work, refusal });
            }
            record.events.iter().for_each(|event| self.event(event));
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::BreakerMoved(moved) => self.breaker(moved),
            Event::LiquidationStepped(stepped) => self.liquidation(stepped),
            Event::LiquidationSliced(sliced) => {
                let (who, market) = (self.name(sliced.account), self.market(sliced.market));
                self.flow("sliced", format!("slices of {who} traded on the book of {market}"), sliced.traded);
            }
            Event::PositionPassed(passed) => {
                let (from, to) = (self.name(passed.from), self.name(passed.to));
                let market = self.market(passed.market);
                let (kind, how) = match passed.cause {
                    PassCause::Backstop => ("passed", "passed to"),
                    PassCause::Deleveraging => ("deleveraged", "was deleveraged against"),
                };
                self.flow(kind, format!("{market} of {from} {how} {to}"), passed.notional);
            }
            Event::InsurancePaid(paid) => {
                let who = self.name(paid.account);
                self.flow("insured", format!("insurance paid for {who}"), paid.amount);
            }
            Event::LossUncovered(loss) => {
                let who = self.name(loss.account);
                self.flow("uncovered", format!("a loss of {who} is covered by nothing"), loss.amount);
            }
            Event::WithdrawalRequested(requested) | Event::PrincipalExitRequested(requested) => {
                let money = (requested.account, requested.amount);
                self.requests.insert((requested.segment, requested.number), money);
            }
            Event::WithdrawalReleased(ended) => {
                if let Some((account, amount)) = self.requests.remove(&(ended.segment, ended.number)) {
                    let sentence = format!("{} took out of segment {}", self.name(account), ended.segment.number());
                    self.tell(Happening::Flow { kind: "withdrawn", sentence, amount });
                }
            }
            Event::TradeExecuted(TradeExecuted { market, taker, quantity, .. }) => {
                let sum = self.taken.entry((*market, *taker)).or_default();
                *sum = sum.saturating_add(quantity.lots());
            }
            _ => {}
        }
    }

    fn breaker(&mut self, moved: &BreakerMoved) {
        let figure = match moved.cause {
            BreakerCause::PriceMove
            | BreakerCause::Divergence
            | BreakerCause::InsuranceDraw
            | BreakerCause::Outflow => {
                let per_cent = Number::whole(i64::try_from(moved.figure).unwrap_or(i64::MAX)).scaled_ppm(100);
                Some(format!("{per_cent} %"))
            }
            BreakerCause::Deficit => {
                let micros = i64::try_from(moved.figure).unwrap_or(i64::MAX);
                Some(QuoteMicros::from_micros(micros).to_string())
            }
            BreakerCause::StalePrice | BreakerCause::LawFailed | BreakerCause::Cleared | BreakerCause::Decided => None,
        };
        let market = self.markets.get(&moved.market).map(|(name, _)| format!("in {name}"));
        let parts: Vec<String> = figure.into_iter().chain(market).collect();
        let figure = (!parts.is_empty()).then(|| parts.join(" "));
        let (segment, cause) = (moved.segment.number(), moved.cause.name());
        self.tell(Happening::Breaker { segment, from: moved.from, to: moved.to, cause, figure });
    }

    fn liquidation(&mut self, stepped: &LiquidationStepped) {
        let last = self.liquidated.insert((stepped.segment, stepped.account), self.now_ms);
        if last.is_some_and(|last| self.now_ms.saturating_sub(last) < LIQUIDATION_OVER_MS) {
            return;
        }
        let (who, segment) = (self.name(stepped.account), stepped.segment.number());
        let (equity, maintenance) = (stepped.equity, stepped.maintenance);
        self.tell(Happening::Liquidation { who, segment, equity, maintenance });
    }

    fn flow(&mut self, kind: &'static str, sentence: String, amount: QuoteMicros) {
        let now_ms = self.now_ms;
        let flow = self.flows.entry((kind, sentence.clone())).or_default();
        flow.untold = flow.untold.saturating_add(amount);
        if flow.told_at_ms.is_none() {
            *flow = Flow { untold: QuoteMicros::ZERO, told_at_ms: Some(now_ms) };
            self.tell(Happening::Flow { kind, sentence, amount });
        }
    }

    fn tell_flows(&mut self, after_ms: u64) {
        let now_ms = self.now_ms;
        let mut due = Vec::new();
        for ((kind, sentence), flow) in &mut self.flows {
            let is_due = flow.told_at_ms.is_none_or(|told| now_ms.saturating_sub(told) >= after_ms);
            if is_due && flow.untold != QuoteMicros::ZERO {
                due.push(Happening::Flow { kind, sentence: format!("more {sentence}"), amount: flow.untold });
                *flow = Flow { untold: QuoteMicros::ZERO, told_at_ms: Some(now_ms) };
            }
        }
        due.into_iter().for_each(|what| self.tell(what));
    }

    fn work(&self, work: &SystemWork) -> String {
        match work {
            SystemWork::ReleaseWithdrawal(due) => match self.requests.get(&(due.segment, due.withdrawal)) {
                Some((account, amount)) => format!("the withdrawal of {amount} of {}, now due", self.name(*account)),
                None => "a withdrawal, now due".to_owned(),
            },
            SystemWork::Liquidate(due) => format!("a step to liquidate {}", self.name(due.account)),
            SystemWork::CarryOutProposal(due) => format!("a proposal in segment {}", due.segment.number()),
            other => format!("{other:?}"),
        }
    }

    fn sentence(&self, line: usize) -> String {
        self.sentences.get(&line).cloned().unwrap_or_default()
    }

    fn name(&self, account: AccountId) -> String {
        self.accounts.get(&account).cloned().unwrap_or_else(|| format!("account {}", account.number()))
    }

    fn market(&self, market: MarketId) -> String {
        self.markets.get(&market).map_or_else(|| format!("market {}", market.number()), |(name, _)| name.clone())
    }
}

/// A line without its time, remark and the controls that a check waits for, and with numbers where their names stand.
fn sentence(line: &str, numbers: &Numbers) -> String {
    let line = line.split_once('#').map_or(line, |(before, _)| before);
    let line = line.split_once(" unless ").map_or(line, |(before, _)| before);
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if words.first() == Some(&"at") {
        words.drain(..words.len().min(2));
    }
    let say = |word: &str| {
        let named = word.strip_prefix('$').and_then(|name| numbers.get(name)).copied();
        named.or_else(|| Number::parse(word)).map_or_else(|| word.to_owned(), grouped)
    };
    words.into_iter().map(say).collect::<Vec<_>>().join(" ")
}

/// With a comma between thousands, as people read it.
fn grouped(number: Number) -> String {
    let text = number.to_string();
    let (whole, places) =
        text.split_once('.').map_or((text.as_str(), String::new()), |(whole, places)| (whole, format!(".{places}")));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_with_its_numbers_and_without_its_time() {
        let numbers: Numbers = [("size".to_owned(), Number::whole(483_000_000))].into();
        assert_eq!(
            sentence("at 1:00   alice offers $size MNGO at 0.0382", &numbers),
            "alice offers 483,000,000 MNGO at 0.0382"
        );
        let check = "  at 1:02 check bob is long 1_000 MNGO  unless \"price cap\"";
        assert_eq!(sentence(check, &numbers), "check bob is long 1,000 MNGO");
        assert_eq!(
            sentence("at 2:00 alice withdraws all from 1 # as much as it can", &numbers),
            "alice withdraws all from 1"
        );
    }
}
