//! A scenario ready to be played to a running venue, with some of its controls loose.

use std::collections::BTreeSet;

use casemate_protocol::AccountId;
use casemate_protocol::genesis::Genesis;

use crate::file::{Cast, Catalogue, ScenarioFile};
use crate::live::{Ended, LiveKeys, LiveVenue};
use crate::matrix::RunReport;
use crate::number::{Numbers, varied};
use crate::problem::ScenarioError;
use crate::stage::{Ending, Interrupted, Story, play_live};
use crate::tables;
use crate::telling::{Audience, Teller};
use crate::told::{ControlSeen, LiveVerdict, Told};
use crate::venue::Venue;

/// A scenario with its numbers, its venue and the keys of everybody in it.
pub struct Production {
    file: ScenarioFile,
    catalogue: Catalogue,
    cast: Cast,
    numbers: Numbers,
    venue: Venue,
    /// Controls that are on.
    on: BTreeSet<String>,
    loose: Vec<String>,
}

/// Somebody who takes part.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// The name.
    pub name: &'a str,
    /// What they do.
    pub what: &'a str,
    /// Whether their gain is the venue's loss.
    pub is_attacker: bool,
    /// The account.
    pub account: AccountId,
}

/// How a production ends when it does not come to its verdict.
#[derive(Clone, Debug)]
pub enum Unplayed {
    /// The scenario cannot be played: its set-up does not stand.
    Scenario(ScenarioError),
    /// The venue ended first.
    Venue(Ended),
}

impl Production {
    /// Prepares a scenario with its numbers as a seed has them, for a chain of this name, with controls loose by name.
    ///
    /// # Errors
    /// A control that the scenario does not have; whatever else is wrong with it.
    pub fn new(
        file: &ScenarioFile,
        catalogue: &Catalogue,
        seed: u64,
        loose: &[String],
        (chain_name, keys): (&str, LiveKeys),
    ) -> Result<Self, ScenarioError> {
        let cast = file.cast(catalogue, seed)?;
        let places = places(file, catalogue, loose)?;
        let loose = places.iter().filter_map(|place| file.fields.control.get(*place));
        let loose = loose.map(|control| control.name.get_ref().clone()).collect();
        let (venue, on) = loosened(file, catalogue, &cast, &places)
            .map_err(|message| ScenarioError::new(&file.path, message, "see controls.toml beside it"))?;
        Ok(Self {
            file: file.clone(),
            catalogue: catalogue.clone(),
            numbers: varied(&file.fields.numbers, file.id(), seed),
            venue: venue.signed_with(chain_name, keys),
            cast,
            on,
            loose,
        })
    }

    /// What the chain begins with.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.venue.genesis
    }

    /// The scenario.
    #[must_use]
    pub const fn scenario(&self) -> &ScenarioFile {
        &self.file
    }

    /// Controls that are loose.
    #[must_use]
    pub fn loose(&self) -> &[String] {
        &self.loose
    }

    /// How long it lasts, in milliseconds of the venue's time.
    #[must_use]
    pub const fn lasts_ms(&self) -> u64 {
        self.cast.lasts_ms
    }

    /// When the attack begins, in milliseconds of the venue's time.
    #[must_use]
    pub fn begins_ms(&self) -> u64 {
        self.cast.attack.first().map_or(0, |line| line.at_ms)
    }

    /// Who takes part.
    pub fn parties(&self) -> impl Iterator<Item = Party<'_>> {
        self.file.fields.parties.iter().map(|(name, what)| Party {
            name,
            what,
            is_attacker: self.cast.attackers.contains(name),
            account: self.venue.accounts.get(name).copied().unwrap_or(AccountId::NONE),
        })
    }

    /// Names of markets with their numbers and segments.
    pub fn markets(&self) -> impl Iterator<Item = (&str, u16, u16)> {
        self.venue.markets.iter().map(|(name, market)| (name.as_str(), market.id.number(), market.segment.number()))
    }

    /// Plays it to a venue that was started with its genesis and holds nothing else yet, and tells what happens. With
    /// `stays`, publishers and makers go on after its end until the venue ends.
    ///
    /// # Errors
    /// The set-up does not stand, or the venue ended before the scenario did.
    pub fn play(
        &self,
        live: Box<dyn LiveVenue>,
        audience: impl FnMut(&Told) + Send + 'static,
        stays: bool,
    ) -> Result<LiveVerdict, Unplayed> {
        let audience: Audience = Box::new(audience);
        let teller = Teller::new(audience, &self.file.text, &self.numbers, &self.venue);
        let verdict = |ending: &Ending| self.verdict(ending);
        play_live((&self.cast, Story::Attack), self.venue.clone(), &self.on, (live, teller), (&verdict, stays)).map_err(
            |interrupted| match interrupted {
                Interrupted::Broken { line, message } => {
                    let hint = "its set-up must stand before its attack says anything, and nobody else may sign for its \
                                parties while it plays";
                    let error = ScenarioError::new(&self.file.path, message, hint);
                    Unplayed::Scenario(if line == 0 { error } else { error.at(line) })
                }
                Interrupted::Ended(ended) => Unplayed::Venue(ended),
            },
        )
    }

    fn verdict(&self, ending: &Ending) -> LiveVerdict {
        let limit_micros = self.cast.limit.micros();
        let mut report = RunReport::of(ending, limit_micros);
        if self.loose.is_empty() {
            report.require_bystanders(ending);
        }
        let control = |control: &crate::file::ControlOfScenario| {
            let name = control.name.get_ref();
            ControlSeen {
                name: name.clone(),
                what: self.catalogue.controls.get(name).map_or_else(String::new, |known| known.what.clone()),
                is_loose: !self.on.contains(name),
                expected_event: control.expected.clone(),
                is_seen: ending.seen.contains(&control.expected),
            }
        };
        LiveVerdict {
            id: self.cast.id.clone(),
            holds: report.passes,
            troubles: report.troubles,
            loss: report.loss,
            limit_micros,
            controls: self.file.fields.control.iter().map(control).collect(),
        }
    }
}

/// The venue with the scenario's controls in these places loose, and the names of those that are on.
///
/// # Errors
/// What is wrong with a control, in words.
pub(crate) fn loosened(
    file: &ScenarioFile,
    catalogue: &Catalogue,
    cast: &Cast,
    loose: &[usize],
) -> Result<(Venue, BTreeSet<String>), String> {
    let mut tables = cast.tables.clone();
    let mut on = BTreeSet::new();
    for (place, control) in file.fields.control.iter().enumerate() {
        let name = control.name.get_ref();
        if !loose.contains(&place) {
            on.insert(name.clone());
            continue;
        }
        for sentence in catalogue.controls.get(name).map_or(&[][..], |control| &control.loosest) {
            tables::loosen(&mut tables, sentence, &cast.parties, &cast.attackers)
                .map_err(|message| format!("`{name}`: {message}"))?;
        }
    }
    Ok((tables::venue(&tables, &cast.parties)?, on))
}

/// Where the scenario has controls of these names; `all` is all of them.
fn places(file: &ScenarioFile, catalogue: &Catalogue, names: &[String]) -> Result<Vec<usize>, ScenarioError> {
    let controls = &file.fields.control;
    if names.iter().any(|name| name.eq_ignore_ascii_case(ALL)) {
        return Ok((0..controls.len()).collect());
    }
    let place = |name: &String| {
        let found = controls.iter().position(|control| control.name.get_ref().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let what = |name: &String| catalogue.controls.get(name).map_or("", |known| known.what.as_str()).to_owned();
            let line = |name: &String| format!("\n  {name}: {}", what(name));
            let known: String = controls.iter().map(|control| line(control.name.get_ref())).collect();
            let id = file.id();
            let message = format!("`{name}` is no control of {id}, which has:{known}");
            ScenarioError::new(&file.path, message, "name one of them, or `all`")
        })
    };
    names.iter().map(place).collect()
}

const ALL: &str = "all";
