//! The language of steps: one line each, as a risk manager would say it.
//!
//! ```text
//! at 0:05   bob buys 483_000_000 MNGO at 0.0382
//! at 10:00  bob withdraws all from 1
//! ```
//!
//! `spec/scenarios/README.md` lists every sentence. A line that is none of them is an error with its number, and so is a
//! name that the scenario does not introduce.

mod words;

use casemate_protocol::BreakerState;

use crate::number::{Number, Numbers};
use crate::venue::session_of;
use words::Words;

/// A line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub line: usize,
    /// When it happens, from the start of the scenario.
    pub at_ms: u64,
    /// What happens.
    pub step: Step,
}

/// What happens at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody does something.
    Act {
        /// Who, or whose session.
        who: String,
        /// What.
        act: Act,
    },
    /// The price outside of the venue goes somewhere.
    Outside {
        /// The market whose underlying it is.
        market: String,
        /// Where it goes.
        target: Target,
        /// How long it takes, evenly; zero for at once.
        over_ms: u64,
    },
    /// Officers propose and approve that a segment's breaker goes back to Normal.
    Reopen {
        /// Who decides.
        by: Office,
        /// The segment.
        segment: u16,
    },
    /// Something must be so now.
    Check {
        /// What.
        check: Check,
        /// Controls that prevent it: while one of them is on, nothing is checked.
        unless: Vec<String>,
    },
}

/// Where a price outside goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To this, in the quote asset.
    At(Number),
    /// By parts per million of where it is.
    By(i64),
}

/// Who decides that a breaker opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Office {
    /// Two of three risk officers.
    RiskOfficers,
    /// Two of three governors.
    Governors,
}

/// What somebody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Brings money: attestors state a deposit.
    Deposit { amount: Number, segment: u16 },
    /// Places an order that rests.
    Rest { is_bid: bool, quantity: Number, market: String, price: Price },
    /// Places an order that trades at once or goes.
    Take { is_buy: bool, quantity: Number, market: String, price: Price },
    /// Reduces a position at once, or all of it.
    Close { quantity: Option<Number>, market: String, price: Price },
    /// From now on quotes both sides at a distance from the venue's index, renewed with each price.
    Quote { quantity: Number, market: String, distance_ppm: u32 },
    /// Quotes no longer.
    StopQuoting { market: String },
    /// Cancels all orders in a segment.
    Cancel { segment: u16 },
    /// Asks for money to leave, or all that the rules let go.
    Withdraw { amount: Option<Number>, segment: u16 },
    /// Asks for principal to leave by the slow way.
    Exit { amount: Number, segment: u16 },
    /// From now on publishes this price.
    Say { market: String, price: Number },
    /// From now on publishes nothing.
    SayNothing { market: String },
    /// From now on publishes what is outside, as at the start.
    SayTruth { market: String },
}

/// A price of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// In the quote asset.
    At(Number),
    /// The venue's index, moved by parts per million of it.
    Index { by_ppm: i64 },
}

/// Something that must be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A position has exactly this size, and was opened at this price if one is named.
    Position { who: String, is_long: bool, quantity: Number, market: String, from: Option<Number> },
    /// There is no position.
    Flat { who: String, market: String },
    /// Cash of at least this.
    Has { who: String, amount: Number, segment: u16 },
    /// At least this has left the venue.
    Took { who: String, amount: Number, segment: u16 },
    /// A step of liquidation was taken, or none.
    Liquidated { who: String, was: bool },
    /// The breaker's state now.
    Breaker { segment: u16, state: BreakerState },
    /// The index is this far from a price at most.
    Index { market: String, within_ppm: u32, price: Number },
    /// Bids this close to the index were worth this at every block since the set-up.
    Bids { market: String, within_ppm: u32, amount: Number },
    /// No trade since the set-up was further from the index.
    Trades { market: String, within_ppm: u32 },
}

/// Names that a script may use.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    /// Parties of the scenario and parties that the venue names.
    pub parties: &'a [String],
    /// Markets.
    pub markets: &'a [String],
    /// Segments, counted from 1.
    pub segments: u16,
    /// Named numbers, as the seed has them.
    pub numbers: &'a Numbers,
    /// Controls of the scenario.
    pub controls: &'a [String],
}

/// A line that is no sentence, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Its number in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads a script whose first line has this number in its file.
///
/// # Errors
/// The first line that is no sentence.
pub fn parse(text: &str, first_line: usize, vocabulary: &Vocabulary<'_>) -> Result<Vec<Line>, ScriptError> {
    let mut lines: Vec<Line> = Vec::new();
    for (line, sentence) in (first_line..).zip(text.lines()).filter(|(_, sentence)| is_sentence(sentence)) {
        let fail = |message| ScriptError { line, message };
        let mut words = Words::new(sentence, vocabulary);
        words.require("at").map_err(fail)?;
        let at_ms = words.time("a time such as 10:05 after `at`").map_err(fail)?;
        let step = step(&mut words).and_then(|step| words.end().map(|()| step)).map_err(fail)?;
        if lines.last().is_some_and(|before| before.at_ms > at_ms) {
            return Err(fail("this line is earlier than the line before it".to_owned()));
        }
        lines.push(Line { line, at_ms, step });
    }
    Ok(lines)
}

/// Reads one condition.
///
/// # Errors
/// Why it is none.
pub fn parse_check(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Check, String> {
    let mut words = Words::new(text, vocabulary);
    let check = check(&mut words)?;
    words.end().map(|()| check)
}

fn is_sentence(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

fn step(words: &mut Words<'_>) -> Result<Step, String> {
    match words.next("somebody, `outside`, `check`, `risk officers` or `governors`")? {
        "outside" => outside(words),
        "check" => {
            let check = check(words)?;
            let mut unless = Vec::new();
            if words.take("unless") {
                unless.push(words.control()?);
                while words.take("or") {
                    unless.push(words.control()?);
                }
            }
            Ok(Step::Check { check, unless })
        }
        "risk" => {
            words.require("officers")?;
            reopen(words, Office::RiskOfficers)
        }
        "governors" => reopen(words, Office::Governors),
        // Whoever holds the key: it is the account of the party that trades.
        "session" => {
            words.require("of")?;
            let party = words.next("somebody whose session it is")?;
            let who = session_of(&words.party(party)?);
            Ok(Step::Act { who, act: act(words)? })
        }
        who => {
            let who = words.party(who)?;
            Ok(Step::Act { who, act: act(words)? })
        }
    }
}

fn outside(words: &mut Words<'_>) -> Result<Step, String> {
    let market = words.market()?;
    let verb = words.next("`is`, `rises` or `falls`")?;
    if verb == "is" {
        return Ok(Step::Outside { market, target: Target::At(words.number("a price")?), over_ms: 0 });
    }
    let sign = match verb {
        "rises" => 1,
        "falls" => -1,
        other => return Err(format!("`{other}`: a price outside `is` something, `rises` or `falls`")),
    };
    words.require("by")?;
    let target = Target::By(sign * i64::from(words.rate_ppm()?));
    words.require("over")?;
    Ok(Step::Outside { market, target, over_ms: words.time("a length of time such as 10:00")? })
}

fn reopen(words: &mut Words<'_>, by: Office) -> Result<Step, String> {
    words.require("reopen")?;
    Ok(Step::Reopen { by, segment: words.segment()? })
}

fn act(words: &mut Words<'_>) -> Result<Act, String> {
    match words.next("what is done")? {
        "deposits" => {
            let amount = words.number("an amount")?;
            words.require("into")?;
            Ok(Act::Deposit { amount, segment: words.segment()? })
        }
        verb @ ("bids" | "offers" | "buys" | "sells") => order(words, verb),
        "closes" => {
            let quantity = words.number_or_all()?;
            let market = words.market()?;
            words.require("at")?;
            Ok(Act::Close { quantity, market, price: words.price()? })
        }
        "quotes" => {
            let quantity = words.number("a quantity")?;
            let market = words.market()?;
            words.require("within")?;
            Ok(Act::Quote { quantity, market, distance_ppm: words.rate_ppm()? })
        }
        "stops" => {
            words.require("quoting")?;
            Ok(Act::StopQuoting { market: words.market()? })
        }
        "cancels" => {
            words.require("orders")?;
            words.require("in")?;
            Ok(Act::Cancel { segment: words.segment()? })
        }
        "withdraws" => {
            let amount = words.number_or_all()?;
            words.require("from")?;
            Ok(Act::Withdraw { amount, segment: words.segment()? })
        }
        "exits" => {
            words.require("with")?;
            let amount = words.number("an amount")?;
            words.require("from")?;
            Ok(Act::Exit { amount, segment: words.segment()? })
        }
        "says" => say(words),
        other => Err(format!("`{other}` is nothing that somebody can do; see spec/scenarios/README.md")),
    }
}

fn order(words: &mut Words<'_>, verb: &str) -> Result<Act, String> {
    let quantity = words.number("a quantity")?;
    let market = words.market()?;
    words.require("at")?;
    let price = words.price()?;
    Ok(match verb {
        "bids" | "offers" => Act::Rest { is_bid: verb == "bids", quantity, market, price },
        _ => Act::Take { is_buy: verb == "buys", quantity, market, price },
    })
}

fn say(words: &mut Words<'_>) -> Result<Act, String> {
    if words.take("nothing") {
        words.require("about")?;
        return Ok(Act::SayNothing { market: words.market()? });
    }
    if words.take("the") {
        words.require("truth")?;
        words.require("about")?;
        return Ok(Act::SayTruth { market: words.market()? });
    }
    let market = words.market()?;
    words.require("is")?;
    Ok(Act::Say { market, price: words.number("a price")? })
}

fn check(words: &mut Words<'_>) -> Result<Check, String> {
    match words.next("a condition")? {
        "segment" => {
            let segment = words.segment()?;
            words.require("is")?;
            Ok(Check::Breaker { segment, state: words.state()? })
        }
        "index" => {
            words.require("of")?;
            let market = words.market()?;
            words.require("within")?;
            let within_ppm = words.rate_ppm()?;
            words.require("of")?;
            Ok(Check::Index { market, within_ppm, price: words.number("a price")? })
        }
        "bids" => {
            words.require("of")?;
            let market = words.market()?;
            words.require("within")?;
            let within_ppm = words.rate_ppm()?;
            for word in ["never", "below"] {
                words.require(word)?;
            }
            Ok(Check::Bids { market, within_ppm, amount: words.number("an amount")? })
        }
        "trades" => {
            words.require("of")?;
            let market = words.market()?;
            words.require("within")?;
            let within_ppm = words.rate_ppm()?;
            for word in ["of", "index"] {
                words.require(word)?;
            }
            Ok(Check::Trades { market, within_ppm })
        }
        who => {
            let who = words.party(who)?;
            check_party(words, who)
        }
    }
}

fn check_party(words: &mut Words<'_>, who: String) -> Result<Check, String> {
    match words.next("`is`, `has`, `took` or `was`")? {
        "is" => match words.next("`long`, `short` or `flat`")? {
            "flat" => {
                words.require("in")?;
                Ok(Check::Flat { who, market: words.market()? })
            }
            side @ ("long" | "short") => {
                let quantity = words.number("a quantity")?;
                let market = words.market()?;
                let from = if words.take("from") { Some(words.number("a price")?) } else { None };
                Ok(Check::Position { who, is_long: side == "long", quantity, market, from })
            }
            other => Err(format!("`{other}`: a position is `long`, `short` or `flat`")),
        },
        verb @ ("has" | "took") => {
            for word in ["at", "least"] {
                words.require(word)?;
            }
            let amount = words.number("an amount")?;
            words.require(if verb == "has" { "in" } else { "from" })?;
            let segment = words.segment()?;
            Ok(match verb {
                "has" => Check::Has { who, amount, segment },
                _ => Check::Took { who, amount, segment },
            })
        }
        "was" => {
            let was = !words.take("not");
            words.require("liquidated")?;
            Ok(Check::Liquidated { who, was })
        }
        other => Err(format!("`{other}`: somebody `is`, `has`, `took` or `was` something")),
    }
}

#[cfg(test)]
mod tests;
