//! Policies in one line each, for tests: what Cedar does for venues, without Cedar.
//!
//! `ACTION [state S] [regime R] [conduct C] [from AMOUNT] TIER` asks for at least this tier where its words hold, and `never`
//! for more than there is. `slow ACTION account N TIER` is a rule of the slow path that forbids. `fault ACTION` is what this
//! machine cannot answer, `erring ACTION TIER` a policy that errs. `lax ACTION TIER` asks for no more than this tier, whatever the built-in table says. Where no line
//! speaks, that table does.

use casemate_gate::{DecisionFault, PolicyDecider, SetAnswer, SetRefused};
use casemate_ledger::PolicyInForce;
use casemate_protocol::QuoteMicros;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::policy::{
    ConductBand, PolicyAction, PolicyFacts, PolicyQuestion, PolicyRegime, PolicySet, PolicyTable, SegmentState,
    SlowRule, TableError, Tier,
};

/// Decides by lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words;

/// A set of one file.
pub fn set(text: &str) -> PolicySet {
    PolicySet::of_texts([("test", text)]).expect("a short text")
}

#[derive(Clone, Debug)]
struct Line {
    is_slow: bool,
    is_fault: bool,
    is_lax: bool,
    is_erring: bool,
    action: PolicyAction,
    state: Option<SegmentState>,
    regime: Option<PolicyRegime>,
    conduct: Option<ConductBand>,
    from: QuoteMicros,
    account: Option<u64>,
    least: Option<Tier>,
}

fn lines(set: &PolicySet) -> Result<Vec<Line>, SetRefused> {
    let texts = set.files.iter().map(|file| String::from_utf8_lossy(file.text.as_slice()).into_owned());
    let text = texts.collect::<Vec<_>>().join("\n");
    let all = text.lines().filter(|line| !line.trim().is_empty());
    all.map(|line| parse(line).ok_or_else(|| SetRefused(line.to_owned()))).collect()
}

fn parse(text: &str) -> Option<Line> {
    let mut words = text.split_whitespace().peekable();
    let is_slow = words.next_if_eq(&"slow").is_some();
    let is_fault = words.next_if_eq(&"fault").is_some();
    let is_lax = words.next_if_eq(&"lax").is_some();
    let is_erring = words.next_if_eq(&"erring").is_some();
    let mut line = Line {
        is_slow: is_slow || is_fault || is_erring,
        is_fault,
        is_lax,
        is_erring,
        action: PolicyAction::from_name(words.next()?)?,
        state: None,
        regime: None,
        conduct: None,
        from: QuoteMicros::ZERO,
        account: None,
        least: None,
    };
    while let Some(word) = words.next() {
        match word {
            "state" => line.state = Some(SegmentState::from_name(words.next()?)?),
            "regime" => line.regime = Some(PolicyRegime::from_name(words.next()?)?),
            "conduct" => line.conduct = Some(ConductBand::from_name(words.next()?)?),
            "from" => line.from = QuoteMicros::from_micros(words.next()?.parse().ok()?),
            "account" => line.account = Some(words.next()?.parse().ok()?),
            "never" => line.least = None,
            tier => line.least = Some(Tier::from_name(tier)?),
        }
    }
    Some(line)
}

impl Line {
    fn holds(&self, question: &PolicyQuestion) -> bool {
        self.action == question.action
            && self.state.is_none_or(|state| state == question.state)
            && self.regime.is_none_or(|regime| regime == question.regime)
            && self.conduct.is_none_or(|conduct| conduct == question.conduct)
            && question.amount >= self.from
    }
}

fn stricter(one: Option<Tier>, other: Option<Tier>) -> Option<Tier> {
    Some(one?.max(other?))
}

impl PolicyDecider for Words {
    fn compile(&self, set: &PolicySet) -> Result<PolicyTable, SetRefused> {
        let lines = lines(set)?;
        let built_in = PolicyTable::built_in();
        let mut borders: Vec<QuoteMicros> =
            lines.iter().map(|line| line.from).filter(|border| border.is_positive()).collect();
        borders.sort_unstable();
        borders.dedup();
        let slow = |line: &&Line| line.is_slow;
        let mut rules: Vec<SlowRule> = lines
            .iter()
            .filter(slow)
            .map(|line| SlowRule {
                digest: hash::digest(Domain::PolicyRule, &[format!("{line:?}").as_bytes()]),
                is_forbid: true,
            })
            .collect();
        rules.sort_unstable();
        let is_slow = |_, action| lines.iter().filter(slow).any(|line| line.action == action);
        let filled = PolicyTable::fill(&borders, &rules, is_slow, |question| {
            let cells = lines.iter().filter(|line| !line.is_slow && line.holds(question));
            let least = cells.fold(built_in.answer(question).least, |least, line| {
                if line.is_lax { line.least } else { stricter(least, line.least) }
            });
            Ok::<_, TableError>(least)
        });
        filled.map_err(|error| SetRefused(format!("{error:?}")))
    }

    fn read(&self, set: &PolicySet) -> Result<(), SetRefused> {
        lines(set).map(drop)
    }

    fn prepare(&self, _set: &PolicySet) {}

    fn decide(&self, policy: &PolicyInForce, facts: &PolicyFacts) -> Result<SetAnswer, DecisionFault> {
        let lines = lines(policy.set()).map_err(|_refused| DecisionFault)?;
        let mut least = policy.table().answer(&facts.question).least;
        for line in lines.iter().filter(|line| line.is_slow && line.holds(&facts.question)) {
            if line.is_fault {
                return Err(DecisionFault);
            }
            if line.is_erring {
                return Ok(SetAnswer::Errs);
            }
            if line.account.is_none_or(|account| account == facts.account.number()) {
                least = stricter(least, line.least);
            }
        }
        Ok(if least.is_some_and(|least| facts.tier >= least) { SetAnswer::Permits } else { SetAnswer::Denies })
    }
}
