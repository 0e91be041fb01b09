//! What is told while a scenario plays to a running venue: lines for people, and JSON whose fields are a stable interface.

use std::fmt;

use casemate_protocol::{BreakerState, QuoteMicros, Reject};
use serde_json::{Value, json};

use crate::observed::Loss;

/// Something that happened, and when.
#[derive(Clone, Debug)]
pub struct Told {
    /// Since the scenario began, in milliseconds of the venue's time.
    pub at_ms: u64,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// The set-up stands, and the attack begins.
    Begun,
    /// Somebody did what a line of the scenario says.
    Step {
        /// The line, with its numbers.
        sentence: String,
        /// The refusal, if it was refused.
        refusal: Option<Reject>,
        /// Of an order that trades at once: how much did, and of what, in units of the underlying.
        traded: Option<String>,
    },
    /// Something began that is no command: a price outside moves, somebody quotes from now on or falls silent.
    Note {
        /// The line, with its numbers.
        sentence: String,
    },
    /// A condition of the scenario was looked at.
    Check {
        /// The line, with its numbers.
        sentence: String,
        /// What is so instead, if it does not hold.
        miss: Option<String>,
    },
    /// What somebody repeats by itself, prices or quotes, is refused from now on for this reason, or accepted again.
    Repeated {
        /// Who.
        who: String,
        /// The refusal.
        refusal: Option<Reject>,
    },
    /// Work that was due is refused, such as a withdrawal at its release.
    DueRefused {
        /// What was due.
        work: String,
        /// The refusal.
        refusal: Reject,
    },
    /// The venue's index of a market is a tenth or more away from where it was told last.
    Index {
        /// The market.
        market: String,
        /// The index, in the quote asset.
        index: String,
    },
    /// A breaker moved.
    Breaker {
        /// The segment.
        segment: u16,
        /// From where.
        from: BreakerState,
        /// To where.
        to: BreakerState,
        /// Why.
        cause: &'static str,
        /// What was measured, where something is.
        figure: Option<String>,
    },
    /// An account came into liquidation.
    Liquidation {
        /// Whose.
        who: String,
        /// The segment.
        segment: u16,
        /// What it has.
        equity: QuoteMicros,
        /// What it would need.
        maintenance: QuoteMicros,
    },
    /// Money or a position went somewhere; what follows within half a minute is added up and told then.
    Flow {
        /// `sliced`, `passed`, `deleveraged`, `insured`, `uncovered` or `withdrawn`.
        kind: &'static str,
        /// What went where.
        sentence: String,
        /// How much.
        amount: QuoteMicros,
    },
    /// The scenario is over.
    Over(Box<LiveVerdict>),
}

/// What a scenario came to.
#[derive(Clone, Debug)]
pub struct LiveVerdict {
    /// Its id.
    pub id: String,
    /// Whether no more was lost than may be, and every condition holds.
    pub holds: bool,
    /// What does not hold.
    pub troubles: Vec<String>,
    /// What was lost.
    pub loss: Loss,
    /// The most that may be lost, in millionths of the quote asset.
    pub limit_micros: i64,
    /// The scenario's controls.
    pub controls: Vec<ControlSeen>,
}

/// A control, and whether it showed.
#[derive(Clone, Debug)]
pub struct ControlSeen {
    /// Its name.
    pub name: String,
    /// What it does, in a sentence.
    pub what: String,
    /// Whether it was loose in this run.
    pub is_loose: bool,
    /// The refusal or event by which it shows.
    pub expected_event: String,
    /// Whether that was seen since the set-up.
    pub is_seen: bool,
}

impl Told {
    /// As one JSON object, with refusals as the caller shows them.
    #[must_use]
    pub fn json(&self, refusal_json: fn(&Reject) -> Value) -> Value {
        let mut object = self.what.json(refusal_json);
        object["at_ms"] = json!(self.at_ms);
        object
    }
}

impl Happening {
    fn json(&self, refusal_json: fn(&Reject) -> Value) -> Value {
        match self {
            Self::Begun => json!({ "kind": "begun" }),
            Self::Step { sentence, refusal, traded } => json!({
                "kind": "step", "sentence": sentence, "is_accepted": refusal.is_none(),
                "refusal": refusal.as_ref().map(refusal_json), "traded": traded,
            }),
            Self::Note { sentence } => json!({ "kind": "note", "sentence": sentence }),
            Self::Check { sentence, miss } => {
                json!({ "kind": "check", "sentence": sentence, "holds": miss.is_none(), "miss": miss })
            }
            Self::Repeated { who, refusal } => json!({
                "kind": "repeated", "who": who, "is_accepted": refusal.is_none(),
                "refusal": refusal.as_ref().map(refusal_json),
            }),
            Self::DueRefused { work, refusal } => {
                json!({ "kind": "due_refused", "work": work, "refusal": refusal_json(refusal) })
            }
            Self::Index { market, index } => json!({ "kind": "index", "market": market, "index": index }),
            Self::Breaker { segment, from, to, cause, figure } => json!({
                "kind": "breaker", "segment": segment, "from": from.name(), "to": to.name(), "cause": cause, "figure": figure,
            }),
            Self::Liquidation { who, segment, equity, maintenance } => json!({
                "kind": "liquidation", "who": who, "segment": segment,
                "equity_quote_micros": equity.micros(), "maintenance_quote_micros": maintenance.micros(),
            }),
            Self::Flow { kind, sentence, amount } => {
                json!({ "kind": kind, "sentence": sentence, "amount_quote_micros": amount.micros() })
            }
            Self::Over(verdict) => {
                let mut object = verdict.json();
                object["kind"] = json!("over");
                object
            }
        }
    }
}

impl LiveVerdict {
    /// As one JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let control = |control: &ControlSeen| {
            json!({
                "name": control.name, "is_loose": control.is_loose,
                "expected_event": control.expected_event, "is_seen": control.is_seen,
            })
        };
        json!({
            "id": self.id,
            "holds": self.holds,
            "troubles": self.troubles,
            "loss_micros": self.loss.total_micros(),
            "loss_parts_micros": self.loss.json(),
            "limit_micros": self.limit_micros,
            "controls": self.controls.iter().map(control).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at_ms / 1_000;
        write!(formatter, "{:>3}:{:02}  {}", seconds / 60, seconds % 60, self.what)
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun => formatter.write_str("--- the set-up stands; the attack begins ---"),
            Self::Step { sentence, refusal: Some(reject), .. } => write!(formatter, "{sentence}: {}", Refused(reject)),
            Self::Step { sentence, refusal: None, traded } => match traded {
                Some(traded) => write!(formatter, "{sentence}: accepted, {traded} traded"),
                None => write!(formatter, "{sentence}: accepted"),
            },
            Self::Note { sentence } => formatter.write_str(sentence),
            Self::Check { sentence, miss: None } => write!(formatter, "{sentence}: so it is"),
            Self::Check { sentence, miss: Some(miss) } => write!(formatter, "{sentence}: NOT SO, {miss}"),
            Self::Repeated { who, refusal: Some(reject) } => {
                write!(formatter, "what {who} publishes or quotes: {}", Refused(reject))
            }
            Self::Repeated { who, refusal: None } => {
                write!(formatter, "what {who} publishes or quotes: accepted again")
            }
            Self::DueRefused { work, refusal } => write!(formatter, "{work}: {}", Refused(refusal)),
            Self::Index { market, index } => write!(formatter, "the venue's index of {market} is {index}"),
            Self::Breaker { segment, from, to, cause, figure } => {
                write!(formatter, "BREAKER of segment {segment}: {} to {}, {cause}", from.name(), to.name())?;
                figure.as_ref().map_or(Ok(()), |figure| write!(formatter, " {figure}"))
            }
            Self::Liquidation { who, segment, equity, maintenance } => write!(
                formatter,
                "LIQUIDATION of {who} in segment {segment}: equity {equity}, maintenance margin {maintenance}"
            ),
            Self::Flow { sentence, amount, .. } => write!(formatter, "{sentence}: {amount}"),
            Self::Over(verdict) => verdict.fmt(formatter),
        }
    }
}

struct Refused<'a>(&'a Reject);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.0.code();
        write!(formatter, "REFUSED, {} {}: {}", code.number(), code.name(), self.0)
    }
}

impl fmt::Display for LiveVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, holds, troubles, loss, limit_micros, controls } = self;
        let show = QuoteMicros::from_micros;
        let verdict = if *holds { "every condition holds" } else { "its conditions do NOT hold" };
        write!(formatter, "--- {id} is over: {verdict} ---")?;
        write!(formatter, "\n        lost {}, at most {} may be", show(loss.total_micros()), show(*limit_micros))?;
        for (part, micros) in [
            ("attackers took or may take, beyond what they brought", loss.taken_micros),
            ("covered by nothing", loss.uncovered_micros),
            ("paid by insurance", loss.insurance_micros),
            ("lost by backstops", loss.backstop_micros),
        ] {
            if micros > 0 {
                write!(formatter, "\n          {} {part}", show(micros))?;
            }
        }
        for trouble in troubles {
            write!(formatter, "\n        not so: {trouble}")?;
        }
        for ControlSeen { name, is_loose, expected_event, is_seen, .. } in controls {
            let shown = match (is_loose, is_seen) {
                (true, _) => "was loose".to_owned(),
                (false, true) => format!("was seen as `{expected_event}`"),
                (false, false) => format!("was not seen; it shows as `{expected_event}`"),
            };
            write!(formatter, "\n        control `{name}` {shown}")?;
        }
        Ok(())
    }
}
