//! Plays a scenario to a venue: time, prices outside, publishers, quotes, and the steps of its scripts.

mod checks;

use std::collections::{BTreeMap, BTreeSet};

use casemate_protocol::command::TimeInForce;
use casemate_protocol::{AccountId, MarketId, QuoteMicros, Reject, SegmentId};

use crate::client::{Client, Letter, NotIncluded, Unsent};
use crate::file::Cast;
use crate::live::{Ended, LiveVenue};
use crate::number::Number;
use crate::observed::{Loss, Observed};
use crate::orders::{self, Wish};
use crate::script::{Act, Check, Line, Office, Step, Target};
use crate::telling::Teller;
use crate::told::{Happening, LiveVerdict};
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

/// Why a story was not told to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// It cannot be told: its set-up does not stand.
    Broken { line: usize, message: String },
    /// The venue that it is told to has ended.
    Ended(Ended),
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
    /// Told what happens, where somebody watches.
    teller: Option<Teller>,
}

/// Time between two blocks while something moves.
const STEP_MS: u64 = 1_000;
/// Time between two blocks while nothing does: no more than a waiting clock takes from one block.
const QUIET_STEP_MS: u64 = 2_000;

/// Tells one story in a venue whose controls `on` are on.
///
/// # Errors
/// The set-up does not stand.
pub(crate) fn play(cast: &Cast, story: Story, venue: Venue, on: &BTreeSet<String>) -> Result<Ending, Interrupted> {
    let observed = Observed::new(finally(cast, story).iter().map(|(_, check)| check), &venue.markets);
    let client = Client::new(venue).map_err(broken)?;
    let mut stage = Stage::new((cast, story), on, client, observed);
    stage.run()?;
    Ok(stage.ending)
}

/// Tells one story to a running venue and to whoever watches. With `stays`, publishers and quotes go on after the verdict
/// until the venue ends.
///
/// # Errors
/// The set-up does not stand, or the venue ends before the story does.
pub(crate) fn play_live(
    (cast, story): (&Cast, Story),
    venue: Venue,
    on: &BTreeSet<String>,
    (live, teller): (Box<dyn LiveVenue>, Teller),
    (verdict, stays): (&dyn Fn(&Ending) -> LiveVerdict, bool),
) -> Result<LiveVerdict, Interrupted> {
    let observed = Observed::new(finally(cast, story).iter().map(|(_, check)| check), &venue.markets);
    let client = Client::live(venue, live).map_err(broken)?;
    let mut stage = Stage { teller: Some(teller), ..Stage::new((cast, story), on, client, observed) };
    stage.run()?;
    let verdict = verdict(&stage.ending);
    stage.tell(|teller| {
        teller.finish();
        teller.tell(Happening::Over(Box::new(verdict.clone())));
    });
    // Nobody judges this any more: what goes wrong now is the venue's end, or a stranger who signs for a party.
    stage.teller = None;
    while stays && !matches!(stage.beat(), Err(Interrupted::Ended(_))) {
        stage.now_ms += QUIET_STEP_MS;
    }
    Ok(verdict)
}

fn finally(cast: &Cast, story: Story) -> &[(usize, Check)] {
    match story {
        Story::Attack => &cast.finally,
        Story::Benign => &cast.benign_finally,
    }
}

const fn broken(message: String) -> Interrupted {
    Interrupted::Broken { line: 0, message }
}

impl<'a> Stage<'a> {
    fn new((cast, story): (&'a Cast, Story), on: &'a BTreeSet<String>, client: Client, observed: Observed) -> Self {
        Self {
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
            ending: Ending::nothing(),
            teller: None,
        }
    }

    fn tell(&mut self, say: impl FnOnce(&mut Teller)) {
        if let Some(teller) = &mut self.teller {
            say(teller);
        }
    }

    /// From here on counts what the attack does.
    fn begin(&mut self, has_begun: &mut bool) {
        if !*has_begun {
            self.observed.begin(&self.client);
            *has_begun = true;
            self.tell(|teller| teller.tell(Happening::Begun));
        }
    }

    fn run(&mut self) -> Result<(), Interrupted> {
        let lines = self.lines();
        let mut lines = lines.iter().peekable();
        let setup_end_ms = self.cast.setup.last().map_or(0, |line| line.at_ms);
        let mut has_begun = false;
        while self.now_ms <= self.cast.lasts_ms {
            let now_ms = self.now_ms;
            self.tell(|teller| teller.pass(now_ms));
            self.beat()?;
            while let Some((part, line)) = lines.next_if(|(_, line)| line.at_ms <= self.now_ms) {
                if *part == Part::Story {
                    self.begin(&mut has_begun);
                }
                self.step(*part, line)?;
            }
            if self.now_ms > setup_end_ms {
                self.begin(&mut has_begun);
            }
            let is_moving = self.outside.values().any(|outside| outside.is_moving(self.now_ms));
            let pace = if is_moving { STEP_MS } else { QUIET_STEP_MS };
            let next = lines.peek().map_or(u64::MAX, |(_, line)| line.at_ms);
            self.now_ms = (self.now_ms + pace).min(next.max(self.now_ms + 1));
        }
        for (line, check) in finally(self.cast, self.story) {
            if let Err(message) = self.check(check) {
                self.ending.unmet.push(format!("line {line}: {message}"));
            }
        }
        if !self.client.laws_hold() {
            self.ending.unmet.push("a law of conservation does not hold".to_owned());
        }
        self.ending.loss = self.observed.loss(&self.client, &self.cast.attackers);
        self.ending.seen = std::mem::take(&mut self.observed.seen);
        Ok(())
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
    fn beat(&mut self) -> Result<(), Interrupted> {
        let prices = self.prices();
        self.repeat(prices)?;
        let (client, markets) = (&self.client, self.client.venue.markets.values());
        let indexes = markets.map(|market| (market.id, orders::index(client, market).ticks()));
        if let Some(teller) = &mut self.teller {
            teller.indexes(indexes);
        }
        let ladders = self.ladders();
        if !ladders.is_empty() {
            self.repeat(ladders)?;
        }
        Ok(())
    }

    fn repeat(&mut self, letters: Vec<Letter>) -> Result<(), Interrupted> {
        let from: Vec<String> = match self.teller {
            Some(_) => letters.iter().map(|letter| letter.from.clone()).collect(),
            None => vec![],
        };
        let verdicts = self.send(0, letters)?;
        self.tell(|teller| {
            for (who, verdicts) in from.iter().zip(&verdicts) {
                teller.repeated(who, first_of(verdicts), false);
            }
        });
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

    /// Sends letters and takes in every block until they are judged; their verdicts, by place.
    fn send(&mut self, line: usize, letters: Vec<Letter>) -> Result<Vec<Verdicts>, Interrupted> {
        let fail = |unsent: Unsent| match unsent {
            Unsent::NotIncluded(NotIncluded { from, why }) => {
                Interrupted::Broken { line, message: format!("what {from} sends is in no block: {why}") }
            }
            Unsent::Ended(ended) => Interrupted::Ended(ended),
        };
        let mut judged = vec![Verdicts::new(); letters.len()];
        self.client.send(self.now_ms, &letters).map_err(fail)?;
        while let Some(block) = self.client.next_block().map_err(fail)? {
            self.observed.note(&self.client, &block);
            if block.is_law_broken {
                self.ending.unmet.push("a law failed in a block".to_owned());
            }
            self.tell(|teller| teller.block(&block));
            for (place, verdicts) in block.verdicts {
                if let Some(slot) = judged.get_mut(place) {
                    *slot = verdicts;
                }
            }
        }
        Ok(judged)
    }

    fn step(&mut self, part: Part, line: &Line) -> Result<(), Interrupted> {
        let verdict = match &line.step {
            Step::Outside { market, target, over_ms } => {
                let now = self.outside.get(market).map_or(Number::default(), |outside| outside.at(self.now_ms));
                let to = match target {
                    Target::At(price) => *price,
                    Target::By(ppm) => now.scaled_ppm(1_000_000 + i128::from(*ppm)),
                };
                let outside = Outside { from: now, to, start_ms: self.now_ms, over_ms: *over_ms };
                self.outside.insert(market.clone(), outside);
                self.tell(|teller| teller.note(line.line));
                return self.beat();
            }
            Step::Act { who, act } => self.act(line.line, who, act)?,
            Step::Reopen { by, segment } => self.reopen(line.line, *by, SegmentId::new(*segment))?,
            Step::Check { check, unless } => {
                if unless.iter().any(|control| self.on.contains(control)) {
                    return Ok(());
                }
                let is_ready = part == Part::Setup || !unless.is_empty();
                let checked = self.check(check);
                self.tell(|teller| teller.check(line.line, checked.as_ref().err().cloned()));
                return match checked {
                    Err(message) if is_ready => {
                        let before = self.ending.diary.last().map_or("nothing", String::as_str);
                        let message = format!("it is not ready: {message}; the step before it: {before}");
                        Err(Interrupted::Broken { line: line.line, message })
                    }
                    Err(message) => {
                        self.miss(part, line.line, message);
                        Ok(())
                    }
                    Ok(()) => Ok(()),
                };
            }
        };
        self.tell_step(line, verdict);
        self.ending.diary.push(match &verdict {
            Ok(()) => format!("line {}: done", line.line),
            Err(reject) => format!("line {}: refused, {} ({reject})", line.line, reject.code().name()),
        });
        let must_go_through = part != Part::Story || self.story == Story::Benign;
        match verdict {
            Err(reject) if part == Part::Setup => {
                Err(Interrupted::Broken { line: line.line, message: format!("the set-up is refused: {reject}") })
            }
            Err(reject) if must_go_through => {
                self.miss(part, line.line, format!("refused: {} ({reject})", reject.code().name()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn tell_step(&mut self, line: &Line, verdict: Result<(), Reject>) {
        let taker = self.taker(&line.step);
        // What goes on from now on is judged with each price, and told where it is refused.
        let goes_on = matches!(
            line.step,
            Step::Act { act: Act::Quote { .. } | Act::SayNothing { .. } | Act::SayTruth { .. }, .. }
        );
        self.tell(|teller| match goes_on {
            true => teller.note(line.line),
            false => teller.step(line.line, taker, verdict),
        });
    }

    /// Who trades at once by a step, and where.
    fn taker(&self, step: &Step) -> Option<(AccountId, MarketId)> {
        match step {
            Step::Act { who, act: Act::Take { market, .. } | Act::Close { market, .. } } => {
                Some((self.client.account(who), self.market(market)?.id))
            }
            _ => None,
        }
    }

    fn miss(&mut self, part: Part, line: usize, message: String) {
        let message = format!("line {line}: {message}");
        match part {
            Part::Bystanders => self.ending.bystanders.push(message),
            Part::Setup | Part::Story => self.ending.unmet.push(message),
        }
    }

    fn act(&mut self, line: usize, who: &str, act: &Act) -> Result<Result<(), Reject>, Interrupted> {
        let fail = |message| Interrupted::Broken { line, message };
        let commands = match act {
            Act::Deposit { amount, segment } => return self.deposit(line, who, *amount, SegmentId::new(*segment)),
            Act::Rest { is_bid, quantity, market, price } => {
                self.order(market, (*is_bid, *quantity), *price, TimeInForce::GoodTillCancel).map_err(fail)?
            }
            Act::Take { is_buy, quantity, market, price } => {
                self.order(market, (*is_buy, *quantity), *price, TimeInForce::ImmediateOrCancel).map_err(fail)?
            }
            Act::Close { quantity, market, price } => self.close(who, *quantity, market, *price).map_err(fail)?,
            Act::Quote { quantity, market, distance_ppm } => {
                let lots = self.market(market).map_or(Ok(0), |market| orders::quoted_lots(&market, *quantity));
                let lots = lots.map_err(fail)?;
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
        let verdicts = self.send(line, vec![Letter { from: who.to_owned(), commands }])?;
        Ok(first_refusal(&verdicts))
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
    ) -> Result<Vec<casemate_protocol::Command>, String> {
        let Some(market) = self.market(market) else { return Ok(vec![]) };
        let price = orders::ticks(&self.client, &market, price)?;
        let lots = orders::lots(&market, quantity)?;
        orders::orders(&market, &Wish { is_bid, lots, price, time_in_force, is_reduce_only: false })
    }

    fn close(
        &self,
        who: &str,
        quantity: Option<Number>,
        market: &str,
        price: crate::script::Price,
    ) -> Result<Vec<casemate_protocol::Command>, String> {
        let Some(names) = self.market(market) else { return Ok(vec![]) };
        let held = self.held(who, &names);
        let lots = quantity.map_or(Ok(held.unsigned_abs()), |quantity| orders::lots(&names, quantity))?.max(1);
        let price = orders::ticks(&self.client, &names, price)?;
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
    ) -> Result<Result<(), Reject>, Interrupted> {
        self.deposits += 1;
        let account = self.client.account(who);
        let statement = orders::deposit(self.deposits, account, amount, segment);
        let letter = |attestor: u16| Letter { from: format!("attestor-{attestor}"), commands: vec![statement.clone()] };
        let quorum = self.client.venue.genesis.attestor_quorum;
        let verdicts = self.send(line, (1..=quorum).map(letter).collect())?;
        Ok(first_refusal(&verdicts))
    }

    fn say(
        &mut self,
        line: usize,
        who: &str,
        market: &str,
        word: Option<Word>,
    ) -> Result<Result<(), Reject>, Interrupted> {
        let key = (who.to_owned(), market.to_owned());
        let is_step = matches!(word, Some(Word::Price(_)));
        match word {
            Some(word) => self.words.insert(key, word),
            None => self.words.remove(&key),
        };
        let letters = self.prices();
        let place = letters.iter().position(|letter| letter.from == who);
        let judged = self.send(line, letters)?;
        let verdict = place.and_then(|place| judged.get(place)).map_or(Ok(()), first_of);
        // A price is told as the step that it is, and not once more with the next one.
        self.tell(|teller| teller.repeated(who, verdict, is_step));
        Ok(verdict)
    }

    fn reopen(&mut self, line: usize, by: Office, id: SegmentId) -> Result<Result<(), Reject>, Interrupted> {
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
            let letter = Letter { from: format!("{role}-{officer}"), commands: vec![command] };
            if let Err(reject) = first_refusal(&self.send(line, vec![letter])?) {
                return Ok(Err(reject));
            }
        }
        Ok(Ok(()))
    }
}

/// Verdicts of one letter's commands.
type Verdicts = Vec<Result<(), Reject>>;

/// The first command that was refused, letter by letter.
fn first_refusal(judged: &[Verdicts]) -> Result<(), Reject> {
    judged.iter().map(first_of).find(Result::is_err).unwrap_or(Ok(()))
}

fn first_of(verdicts: &Verdicts) -> Result<(), Reject> {
    verdicts.iter().copied().find(Result::is_err).unwrap_or(Ok(()))
}
