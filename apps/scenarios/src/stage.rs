//! Plays a scenario to a venue: time, prices outside, publishers, quotes, and the steps of its scripts.

use std::collections::{BTreeMap, BTreeSet};

use casemate_protocol::command::TimeInForce;
use casemate_protocol::{QuoteMicros, Reject, SegmentId};

use crate::client::{Block, Client, Letter, NotIncluded};
use crate::file::Cast;
use crate::number::Number;
use crate::observed::{Loss, Observed};
use crate::orders::{self, Wish};
use crate::script::{Act, Check, Line, Office, Step, Target};
use crate::venue::{MarketNames, Venue};

/// Which of a scenario's two stories is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// The incident.
    Attack,
    /// Its benign twin.
    Benign,
}

/// How a story ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// What was lost since the set-up.
    pub(crate) loss: Loss,
    /// Conditions of the story that do not hold.
    pub(crate) unmet: Vec<String>,
    /// What bystanders could not do.
    pub(crate) bystanders: Vec<String>,
    /// Refusals and events by name, since the set-up.
    pub(crate) seen: BTreeSet<String>,
    /// A line for each step and each thing worth knowing.
    pub(crate) diary: Vec<String>,
}

impl Ending {
    /// Before anything happened.
    pub(crate) fn nothing() -> Self {
        Self { loss: Loss::default(), unmet: vec![], bystanders: vec![], seen: BTreeSet::new(), diary: vec![] }
    }
}

/// A story that could not be told: its set-up does not stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Whose line of a script it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Setup,
    Story,
    Bystanders,
}

/// A price outside of the venue, on its way from one to another.
#[derive(Clone, Copy, Debug)]
struct Outside {
    from: Number,
    to: Number,
    start_ms: u64,
    over_ms: u64,
}

impl Outside {
    fn at(&self, now_ms: u64) -> Number {
        let passed = now_ms.saturating_sub(self.start_ms).min(self.over_ms);
        if self.over_ms == 0 || passed == self.over_ms {
            return self.to;
        }
        // Parts per million of the way, so that no path is longer than an exact sum can hold.
        let way = i128::from(passed) * 1_000_000 / i128::from(self.over_ms);
        self.from.between(self.to, way)
    }

    const fn is_moving(&self, now_ms: u64) -> bool {
        now_ms < self.start_ms + self.over_ms
    }
}

/// What somebody publishes instead of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Silence,
    Price(Number),
}

struct Stage<'a> {
    cast: &'a Cast,
    story: Story,
    /// Controls that are on.
    on: &'a BTreeSet<String>,
    client: Client,
    observed: Observed,
    now_ms: u64,
    outside: BTreeMap<String, Outside>,
    /// By party and market.
    words: BTreeMap<(String, String), Word>,
    /// Lots and distance, by party and market.
    quotes: BTreeMap<(String, String), (u64, u32)>,
    deposits: u64,
    ending: Ending,
}

/// Time between two blocks while something moves.
const STEP_MS: u64 = 1_000;
/// Time between two blocks while nothing does: no more than a waiting clock takes from one block.
const QUIET_STEP_MS: u64 = 2_000;

/// Tells one story in a venue whose controls `on` are on.
///
/// # Errors
/// The set-up does not stand.
pub(crate) fn play(cast: &Cast, story: Story, venue: Venue, on: &BTreeSet<String>) -> Result<Ending, Broken> {
    let checks = match story {
        Story::Attack => &cast.finally,
        Story::Benign => &cast.benign_finally,
    };
    let observed = Observed::new(checks.iter().map(|(_, check)| check), &venue.markets);
    let client = Client::new(venue).map_err(|message| Broken { line: 0, message })?;
    let ending = Ending::nothing();
    let stage = Stage {
        cast,
        story,
        on,
        client,
        observed,
        now_ms: 0,
        outside: BTreeMap::new(),
        words: BTreeMap::new(),
        quotes: BTreeMap::new(),
        deposits: 0,
        ending,
    };
    stage.run(checks)
}

impl Stage<'_> {
    fn run(mut self, checks: &[(usize, Check)]) -> Result<Ending, Broken> {
        let lines = self.lines();
        let mut lines = lines.iter().peekable();
        let setup_end_ms = self.cast.setup.last().map_or(0, |line| line.at_ms);
        let mut has_begun = false;
        while self.now_ms <= self.cast.lasts_ms {
            self.beat()?;
            while let Some((part, line)) = lines.next_if(|(_, line)| line.at_ms <= self.now_ms) {
                if *part == Part::Story && !has_begun {
                    self.observed.begin(&self.client);
                    has_begun = true;
                }
                self.step(*part, line)?;
            }
            if !has_begun && self.now_ms > setup_end_ms {
                self.observed.begin(&self.client);
                has_begun = true;
            }
            let is_moving = self.outside.values().any(|outside| outside.is_moving(self.now_ms));
            let pace = if is_moving { STEP_MS } else { QUIET_STEP_MS };
            let next = lines.peek().map_or(u64::MAX, |(_, line)| line.at_ms);
            self.now_ms = (self.now_ms + pace).min(next.max(self.now_ms + 1));
        }
        for (line, check) in checks {
            if let Err(message) = self.check(check) {
                self.ending.unmet.push(format!("line {line}: {message}"));
            }
        }
        if !self.client.laws_hold() {
            self.ending.unmet.push("a law of conservation does not hold".to_owned());
        }
        self.ending.loss = self.observed.loss(&self.client, &self.cast.attackers);
        self.ending.seen = self.observed.seen;
        Ok(self.ending)
    }

    /// All lines in the order of time; at the same moment the set-up first.
    fn lines(&self) -> Vec<(Part, Line)> {
        let story = match self.story {
            Story::Attack => &self.cast.attack,
            Story::Benign => &self.cast.benign,
        };
        let parts = [(Part::Setup, &self.cast.setup), (Part::Story, story), (Part::Bystanders, &self.cast.bystanders)];
        let mut lines: Vec<(Part, Line)> =
            parts.into_iter().flat_map(|(part, lines)| lines.iter().map(move |line| (part, line.clone()))).collect();
        lines.sort_by_key(|(part, line)| (line.at_ms, *part));
        lines
    }

    /// What happens by itself at each moment: publishers publish, then quotes follow the venue's index. A block without
    /// a letter lets time pass.
    fn beat(&mut self) -> Result<(), Broken> {
        let prices = self.prices();
        self.send(0, prices)?;
        let ladders = self.ladders();
        if !ladders.is_empty() {
            self.send(0, ladders)?;
        }
        Ok(())
    }

    /// One letter for each publisher: the truth as it is outside, or what it says instead. Who says something without
    /// being a publisher says it too, and is refused.
    fn prices(&self) -> Vec<Letter> {
        let genesis = &self.client.venue.genesis;
        let source_ms = (self.client.time_ms() + 1).max(crate::venue::GENESIS_MS + self.now_ms);
        let mut letters: BTreeMap<&String, Vec<_>> = BTreeMap::new();
        for (name, account) in &self.client.venue.accounts {
            for (market_name, market) in &self.client.venue.markets {
                let feed = genesis.feed(market.feed);
                let is_publisher = feed.is_some_and(|feed| {
                    feed.publishers.iter().any(|place| genesis.publisher_account(*place) == *account)
                });
                let word = self.words.get(&(name.clone(), market_name.clone())).copied();
                let truth = self.outside.get(market_name).map(|outside| Word::Price(outside.at(self.now_ms)));
                let said = word.or(truth.filter(|_| is_publisher));
                if let Some(Word::Price(price)) = said {
                    letters.entry(name).or_default().push(orders::submit(market, price, source_ms));
                }
            }
        }
        letters.into_iter().map(|(from, commands)| Letter { from: from.clone(), commands }).collect()
    }

    fn ladders(&self) -> Vec<Letter> {
        let letter = |((who, market), (lots, distance_ppm)): (&(String, String), &(u64, u32))| {
            let market = self.client.venue.markets.get(market)?;
            let command = orders::ladder(&self.client, market, *lots, *distance_ppm)?;
            Some(Letter { from: who.clone(), commands: vec![command] })
        };
        self.quotes.iter().filter_map(letter).collect()
    }

    fn send(&mut self, line: usize, letters: Vec<Letter>) -> Result<Block, Broken> {
        let fail = |refused: NotIncluded| Broken {
            line,
            message: format!("what {} sends is in no block: {}", refused.from, refused.reject),
        };
        let block = self.client.block(self.now_ms, &letters).map_err(fail)?;
        self.observed.note(&self.client, &block);
        if block.is_law_broken {
            self.ending.unmet.push("a law failed in a block".to_owned());
        }
        Ok(block)
    }

    fn step(&mut self, part: Part, line: &Line) -> Result<(), Broken> {
        let verdict = match &line.step {
            Step::Outside { market, target, over_ms } => {
                let now = self.outside.get(market).map_or(Number::default(), |outside| outside.at(self.now_ms));
                let to = match target {
                    Target::At(price) => *price,
                    Target::By(ppm) => now.scaled_ppm(1_000_000 + i128::from(*ppm)),
                };
                let outside = Outside { from: now, to, start_ms: self.now_ms, over_ms: *over_ms };
                self.outside.insert(market.clone(), outside);
                return self.beat();
            }
            Step::Act { who, act } => self.act(line.line, who, act)?,
            Step::Reopen { by, segment } => self.reopen(line.line, *by, SegmentId::new(*segment))?,
            Step::Check { check, unless } => {
                if unless.iter().any(|control| self.on.contains(control)) {
                    return Ok(());
                }
                let is_ready = part == Part::Setup || !unless.is_empty();
                return match self.check(check) {
                    Err(message) if is_ready => {
                        let before = self.ending.diary.last().map_or("nothing", String::as_str);
                        let message = format!("it is not ready: {message}; the step before it: {before}");
                        Err(Broken { line: line.line, message })
                    }
                    Err(message) => {
                        self.miss(part, line.line, message);
                        Ok(())
                    }
                    Ok(()) => Ok(()),
                };
            }
        };
        self.ending.diary.push(match &verdict {
            Ok(()) => format!("line {}: done", line.line),
            Err(reject) => format!("line {}: refused, {} ({reject})", line.line, reject.code().name()),
        });
        let must_go_through = part != Part::Story || self.story == Story::Benign;
        match verdict {
            Err(reject) if part == Part::Setup => {
                Err(Broken { line: line.line, message: format!("the set-up is refused: {reject}") })
            }
            Err(reject) if must_go_through => {
                self.miss(part, line.line, format!("refused: {} ({reject})", reject.code().name()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn miss(&mut self, part: Part, line: usize, message: String) {
        let message = format!("line {line}: {message}");
        match part {
            Part::Bystanders => self.ending.bystanders.push(message),
            Part::Setup | Part::Story => self.ending.unmet.push(message),
        }
    }

    fn act(&mut self, line: usize, who: &str, act: &Act) -> Result<Result<(), Reject>, Broken> {
        let commands = match act {
            Act::Deposit { amount, segment } => return self.deposit(line, who, *amount, SegmentId::new(*segment)),
            Act::Rest { is_bid, quantity, market, price } => {
                self.order(market, (*is_bid, *quantity), *price, TimeInForce::GoodTillCancel)
            }
            Act::Take { is_buy, quantity, market, price } => {
                self.order(market, (*is_buy, *quantity), *price, TimeInForce::ImmediateOrCancel)
            }
            Act::Close { quantity, market, price } => self.close(who, *quantity, market, *price),
            Act::Quote { quantity, market, distance_ppm } => {
                let lots = self.market(market).map_or(0, |market| orders::lots(&market, *quantity));
                self.quotes.insert((who.to_owned(), market.clone()), (lots, *distance_ppm));
                self.beat()?;
                return Ok(Ok(()));
            }
            Act::StopQuoting { market } => {
                self.quotes.remove(&(who.to_owned(), market.clone()));
                self.market(market).map(|market| orders::no_ladder(&market)).into_iter().collect()
            }
            Act::Cancel { segment } => vec![orders::cancel_all(SegmentId::new(*segment))],
            Act::Withdraw { amount, segment } => self.withdraw(who, *amount, SegmentId::new(*segment)),
            Act::Exit { amount, segment } => {
                let amount = QuoteMicros::from_micros(amount.micros());
                let request = orders::withdrawal(self.client.account(who), amount, SegmentId::new(*segment));
                vec![casemate_protocol::Command::RequestPrincipalExit(Box::new(request))]
            }
            Act::Say { market, price } => return self.say(line, who, market, Some(Word::Price(*price))),
            Act::SayNothing { market } => return self.say(line, who, market, Some(Word::Silence)),
            Act::SayTruth { market } => return self.say(line, who, market, None),
        };
        let block = self.send(line, vec![Letter { from: who.to_owned(), commands }])?;
        Ok(first_refusal(&block))
    }

    fn market(&self, name: &str) -> Option<MarketNames> {
        self.client.venue.markets.get(name).copied()
    }

    fn order(
        &self,
        market: &str,
        (is_bid, quantity): (bool, Number),
        price: crate::script::Price,
        time_in_force: TimeInForce,
    ) -> Vec<casemate_protocol::Command> {
        let Some(market) = self.market(market) else { return vec![] };
        let price = orders::ticks(&self.client, &market, price);
        let lots = orders::lots(&market, quantity);
        orders::orders(&market, &Wish { is_bid, lots, price, time_in_force, is_reduce_only: false })
    }

    fn close(
        &self,
        who: &str,
        quantity: Option<Number>,
        market: &str,
        price: crate::script::Price,
    ) -> Vec<casemate_protocol::Command> {
        let Some(names) = self.market(market) else { return vec![] };
        let held = self.held(who, &names);
        let lots = quantity.map_or(held.unsigned_abs(), |quantity| orders::lots(&names, quantity)).max(1);
        let price = orders::ticks(&self.client, &names, price);
        let time_in_force = TimeInForce::ImmediateOrCancel;
        orders::orders(&names, &Wish { is_bid: held < 0, lots, price, time_in_force, is_reduce_only: true })
    }

    /// Signed lots of a position.
    fn held(&self, who: &str, names: &MarketNames) -> i64 {
        self.position(who, names).map_or(0, |position| position.lots())
    }

    fn position(&self, who: &str, names: &MarketNames) -> Option<casemate_ledger::segment::Position> {
        let segment = self.client.segment(names.segment)?;
        let place = segment.markets().iter().position(|market| market.rules().id == names.id)?;
        let row = segment.sub_account(self.client.account(who))?;
        Some(row.position(u16::try_from(place).ok()?))
    }

    fn withdraw(&self, who: &str, amount: Option<Number>, id: SegmentId) -> Vec<casemate_protocol::Command> {
        let all = self.client.segment(id).and_then(|segment| {
            segment
                .sub_account(self.client.account(who))
                .map(|row| orders::withdrawable_at_once(&self.client, segment, row))
        });
        let amount =
            amount.map_or(all.unwrap_or(QuoteMicros::ZERO), |amount| QuoteMicros::from_micros(amount.micros()));
        let request = orders::withdrawal(self.client.account(who), amount, id);
        vec![casemate_protocol::Command::RequestWithdrawal(Box::new(request))]
    }

    fn deposit(
        &mut self,
        line: usize,
        who: &str,
        amount: Number,
        segment: SegmentId,
    ) -> Result<Result<(), Reject>, Broken> {
        self.deposits += 1;
        let account = self.client.account(who);
        let statement = orders::deposit(self.deposits, account, amount, segment);
        let letter = |attestor: u16| Letter { from: format!("attestor-{attestor}"), commands: vec![statement.clone()] };
        let quorum = self.client.venue.genesis.attestor_quorum;
        let block = self.send(line, (1..=quorum).map(letter).collect())?;
        Ok(first_refusal(&block))
    }

    fn say(&mut self, line: usize, who: &str, market: &str, word: Option<Word>) -> Result<Result<(), Reject>, Broken> {
        let key = (who.to_owned(), market.to_owned());
        match word {
            Some(word) => self.words.insert(key, word),
            None => self.words.remove(&key),
        };
        let letters = self.prices();
        let place = letters.iter().position(|letter| letter.from == who);
        let block = self.send(line, letters)?;
        let verdicts = place.and_then(|place| block.verdicts.get(place));
        Ok(verdicts.and_then(|verdicts| verdicts.iter().find_map(|verdict| verdict.err())).map_or(Ok(()), Err))
    }

    fn reopen(&mut self, line: usize, by: Office, id: SegmentId) -> Result<Result<(), Reject>, Broken> {
        let role = match by {
            Office::RiskOfficers => "risk-officer",
            Office::Governors => "governor",
        };
        let (state, number) = self.client.segment(id).map_or((casemate_protocol::BreakerState::Normal, 1), |segment| {
            (segment.breaker_state(), segment.totals().last_proposal + 1)
        });
        let life_ms = self.client.venue.genesis.proposals.life_ms_max.ms();
        let expires_ms = self.client.time_ms() + life_ms / 2;
        let steps = [("1", orders::reopen(id, state, expires_ms)), ("2", orders::approve(id, number))];
        for (officer, command) in steps {
            let block = self.send(line, vec![Letter { from: format!("{role}-{officer}"), commands: vec![command] }])?;
            if let Err(reject) = first_refusal(&block) {
                return Ok(Err(reject));
            }
        }
        Ok(Ok(()))
    }
}

fn first_refusal(block: &Block) -> Result<(), Reject> {
    block.verdicts.iter().flatten().copied().find(Result::is_err).unwrap_or(Ok(()))
}

impl Stage<'_> {
    /// Whether something is so, and if not, what is.
    fn check(&self, check: &Check) -> Result<(), String> {
        match check {
            Check::Position { who, is_long, quantity, market, from } => {
                self.check_position(who, (*is_long, *quantity), market, *from)
            }
            Check::Flat { who, market } => {
                let held = self.market(market).map_or(0, |names| self.held(who, &names));
                if held == 0 { Ok(()) } else { Err(format!("{who} holds {held} lots of {market}")) }
            }
            Check::Has { who, amount, segment } => {
                let cash = self.client.row(who, SegmentId::new(*segment)).map_or(QuoteMicros::ZERO, |row| row.cash());
                let is_so = cash.micros() >= amount.micros();
                if is_so { Ok(()) } else { Err(format!("{who} has {cash} in segment {segment}")) }
            }
            Check::Took { who, amount, segment } => {
                let key = (self.client.account(who), SegmentId::new(*segment));
                let took = self.observed.released.get(&key).copied().unwrap_or(0);
                let shown = QuoteMicros::from_micros(took);
                if took >= amount.micros() { Ok(()) } else { Err(format!("{who} took {shown} from segment {segment}")) }
            }
            Check::Liquidated { who, was } => {
                let is_so = self.observed.liquidated.contains(&self.client.account(who)) == *was;
                let not = if *was { "not " } else { "" };
                if is_so { Ok(()) } else { Err(format!("{who} was {not}liquidated")) }
            }
            Check::Breaker { segment, state } => {
                let id = SegmentId::new(*segment);
                let is = self.client.segment(id).map_or(*state, |segment| segment.breaker_state());
                if is == *state { Ok(()) } else { Err(format!("segment {segment} is {}", is.name())) }
            }
            Check::Index { market, within_ppm, price } => self.check_index(market, *within_ppm, *price),
            Check::Bids { market, within_ppm, amount } => {
                let least = self.observed.worst(check).unwrap_or(0);
                let shown = QuoteMicros::from_micros(least);
                let rate = Number::whole(i64::from(*within_ppm)).scaled_ppm(100);
                if least >= amount.micros() {
                    Ok(())
                } else {
                    Err(format!("bids of {market} within {rate} % fell to {shown}"))
                }
            }
            Check::Trades { market, within_ppm } => {
                let most = self.observed.worst(check).unwrap_or(0);
                let rate = Number::whole(most).scaled_ppm(100);
                let is_so = most <= i64::from(*within_ppm);
                if is_so { Ok(()) } else { Err(format!("{market} traded {rate} % from its index")) }
            }
        }
    }

    fn check_position(
        &self,
        who: &str,
        (is_long, quantity): (bool, Number),
        market: &str,
        from: Option<Number>,
    ) -> Result<(), String> {
        let names = self.market(market).ok_or_else(|| format!("there is no market {market}"))?;
        let position = self.position(who, &names).unwrap_or_default();
        let lots = i64::try_from(orders::lots(&names, quantity)).unwrap_or(i64::MAX);
        let wanted = if is_long { lots } else { -lots };
        if position.lots() != wanted {
            return Err(format!("{who} holds {} lots of {market}, not {wanted}", position.lots()));
        }
        let Some(from) = from else { return Ok(()) };
        let tick_value = self.client.market(&names).map_or(0, |market| i64::from(market.rules().tick_value.micros()));
        let ticks = i64::try_from(from.divided_by(names.tick_size)).unwrap_or(i64::MAX);
        let cost = wanted.saturating_mul(ticks).saturating_mul(tick_value);
        if position.entry_notional() == cost {
            return Ok(());
        }
        let (is, shown) = (QuoteMicros::from_micros(position.entry_notional()), QuoteMicros::from_micros(cost));
        Err(format!("{who} opened {market} for {is}, not {shown}"))
    }

    fn check_index(&self, market: &str, within_ppm: u32, price: Number) -> Result<(), String> {
        let names = self.market(market).ok_or_else(|| format!("there is no market {market}"))?;
        let (index, wanted) = (orders::index(&self.client, &names).ticks(), price.divided_by(names.tick_size));
        let distance = u128::from(index.abs_diff(wanted)) * 1_000_000;
        if distance <= u128::from(within_ppm) * u128::from(wanted) {
            return Ok(());
        }
        let shown = names.tick_size.scaled_ppm(i128::from(index) * 1_000_000);
        Err(format!("the index of {market} is {shown}"))
    }
}
