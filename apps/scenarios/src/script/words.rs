//! The words of a sentence, taken from the front.

use casemate_protocol::BreakerState;

use super::{Price, Vocabulary};
use crate::number::Number;

/// What is left of a sentence.
pub(super) struct Words<'a> {
    left: &'a str,
    vocabulary: &'a Vocabulary<'a>,
}

impl<'a> Words<'a> {
    pub(super) fn new(sentence: &'a str, vocabulary: &'a Vocabulary<'a>) -> Self {
        Self { left: sentence.trim(), vocabulary }
    }

    fn peek(&self) -> &'a str {
        self.left.split_whitespace().next().unwrap_or("")
    }

    fn skip(&mut self, word: &str) {
        self.left = self.left.get(word.len()..).unwrap_or("").trim_start();
    }

    /// The next word.
    pub(super) fn next(&mut self, wanted: &str) -> Result<&'a str, String> {
        let word = self.peek();
        if word.is_empty() {
            return Err(format!("the line ends where {wanted} is missing"));
        }
        self.skip(word);
        Ok(word)
    }

    /// Takes a word if it comes next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let is_next = self.peek() == word;
        if is_next {
            self.skip(word);
        }
        is_next
    }

    pub(super) fn require(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(format!("`{}` stands where `{word}` is missing", self.peek())) }
    }

    /// That nothing is left but a remark.
    pub(super) fn end(&self) -> Result<(), String> {
        let is_over = self.left.is_empty() || self.left.starts_with('#');
        if is_over { Ok(()) } else { Err(format!("`{}` is left over", self.left)) }
    }

    /// A control of the scenario, in quotes.
    pub(super) fn control(&mut self) -> Result<String, String> {
        let name = self.quoted()?;
        known(&name, self.vocabulary.controls).ok_or_else(|| format!("`{name}` is no control of the scenario"))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let missing = || format!("`{}` stands where a name in quotes is missing", self.left);
        let (name, rest) = self.left.strip_prefix('"').and_then(|rest| rest.split_once('"')).ok_or_else(missing)?;
        self.left = rest.trim_start();
        Ok(name.to_owned())
    }

    /// Minutes and seconds, as milliseconds.
    pub(super) fn time(&mut self, wanted: &str) -> Result<u64, String> {
        let word = self.next(wanted)?;
        let read = |text: &str| text.parse::<u64>().ok().filter(|_| text.len() <= 4);
        let time = word.split_once(':').and_then(|(minutes, seconds)| Some((read(minutes)?, read(seconds)?)));
        let time = time.filter(|(_, seconds)| *seconds < 60).map(|(minutes, seconds)| (minutes * 60 + seconds) * 1_000);
        time.ok_or_else(|| format!("`{word}` is not {wanted}: minutes, a colon, seconds"))
    }

    pub(super) fn number(&mut self, wanted: &str) -> Result<Number, String> {
        let word = self.next(wanted)?;
        self.number_of(word)
    }

    fn number_of(&self, word: &str) -> Result<Number, String> {
        match word.strip_prefix('$') {
            Some(name) => {
                let number = self.vocabulary.numbers.get(name).copied();
                number.ok_or_else(|| format!("`{word}` is not among the scenario's [numbers]"))
            }
            None => Number::parse(word).ok_or_else(|| format!("`{word}` is not a number")),
        }
    }

    pub(super) fn number_or_all(&mut self) -> Result<Option<Number>, String> {
        if self.take("all") { Ok(None) } else { self.number("a number or `all`").map(Some) }
    }

    /// A percentage, as parts per million.
    pub(super) fn rate_ppm(&mut self) -> Result<u32, String> {
        let word = self.next("a rate such as 1 %")?;
        let percent = match word.strip_suffix('%') {
            Some(percent) => self.number_of(percent)?,
            None => {
                let percent = self.number_of(word)?;
                self.require("%")?;
                percent
            }
        };
        u32::try_from(percent.nanos() / 100_000).map_err(|_| format!("`{word}` % is too much"))
    }

    /// A price, or the index and a distance from it.
    pub(super) fn price(&mut self) -> Result<Price, String> {
        if !self.take("index") {
            return self.number("a price or `index`").map(Price::At);
        }
        let sign = match (self.take("+"), self.take("-")) {
            (true, _) => 1,
            (false, true) => -1,
            (false, false) => return Ok(Price::Index { by_ppm: 0 }),
        };
        Ok(Price::Index { by_ppm: sign * i64::from(self.rate_ppm()?) })
    }

    pub(super) fn party(&self, name: &str) -> Result<String, String> {
        known(name, self.vocabulary.parties)
            .ok_or_else(|| format!("`{name}` is nobody in [parties] and no office of the venue"))
    }

    pub(super) fn market(&mut self) -> Result<String, String> {
        let name = self.next("a market")?;
        known(name, self.vocabulary.markets).ok_or_else(|| format!("`{name}` is no market of the scenario's venue"))
    }

    pub(super) fn segment(&mut self) -> Result<u16, String> {
        let word = self.next("the number of a segment")?;
        let number = word.parse::<u16>().ok().filter(|number| (1..=self.vocabulary.segments).contains(number));
        number.ok_or_else(|| format!("`{word}` is no segment of the venue, which has {}", self.vocabulary.segments))
    }

    pub(super) fn state(&mut self) -> Result<BreakerState, String> {
        let word = self.next("a state")?;
        let states = [
            BreakerState::Normal,
            BreakerState::Elevated,
            BreakerState::ReduceOnly,
            BreakerState::WithdrawGated,
            BreakerState::Halted,
        ];
        let state = states.into_iter().find(|state| state.name() == word);
        state.ok_or_else(|| format!("`{word}` is no state of a breaker"))
    }
}

fn known(name: &str, names: &[String]) -> Option<String> {
    names.iter().find(|known| *known == name).cloned()
}
