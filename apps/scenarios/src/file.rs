//! Files of scenarios: the ordinary venue, the catalogue of controls, and one file for each incident.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Spanned, Table};

use crate::number::{Number, Numbers, varied};
use crate::problem::{ScenarioError, line_of};
use crate::script::{self, Check, Line, Vocabulary};
use crate::tables::{self, TableError};

/// The ordinary venue and the controls that it has.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(crate) ordinary: Table,
    /// By name.
    pub(crate) controls: BTreeMap<String, Control>,
}

/// A control: what it is, and how a development chain has it as loose as genesis lets it be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// What it does, in a sentence.
    pub(crate) what: String,
    /// Which fields go where, one after another.
    pub(crate) loosest: Vec<String>,
}

/// An incident as it is written down.
#[derive(Clone, Debug)]
pub struct ScenarioFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) fields: Fields,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fields {
    pub(crate) id: Spanned<String>,
    pub(crate) title: String,
    /// Who they are, by name.
    pub(crate) parties: BTreeMap<String, String>,
    /// Whose gain is the venue's loss.
    pub(crate) attackers: Vec<String>,
    /// The most that may be lost: a number or the name of one.
    pub(crate) limit: Spanned<String>,
    /// How long the scenario runs, as minutes and seconds.
    pub(crate) lasts: Spanned<String>,
    pub(crate) numbers: Numbers,
    pub(crate) genesis: Table,
    pub(crate) control: Vec<ControlOfScenario>,
    pub(crate) setup: Spanned<String>,
    pub(crate) attack: Spanned<String>,
    pub(crate) bystanders: Spanned<String>,
    pub(crate) benign: Spanned<String>,
    /// What must be so at the end of the attack.
    pub(crate) finally: Vec<Spanned<String>>,
    /// What must be so at the end of the benign twin.
    pub(crate) benign_finally: Vec<Spanned<String>>,
}

/// What a scenario says about a control.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlOfScenario {
    /// Its name in the catalogue.
    pub(crate) name: Spanned<String>,
    /// Whether the others stop the incident without it.
    pub(crate) redundant: bool,
    /// The refusal or event by which it shows.
    pub(crate) expected: String,
}

/// A scenario as a seed has it.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    pub(crate) id: String,
    pub(crate) parties: Vec<String>,
    pub(crate) attackers: Vec<String>,
    pub(crate) limit: Number,
    pub(crate) lasts_ms: u64,
    /// The venue's tables with every control on.
    pub(crate) tables: Table,
    pub(crate) setup: Vec<Line>,
    pub(crate) attack: Vec<Line>,
    pub(crate) bystanders: Vec<Line>,
    pub(crate) benign: Vec<Line>,
    pub(crate) finally: Vec<(usize, Check)>,
    pub(crate) benign_finally: Vec<(usize, Check)>,
}

/// The file of the ordinary venue in a folder of scenarios.
pub(crate) const VENUE_FILE: &str = "venue.toml";
/// The file of controls.
pub(crate) const CONTROLS_FILE: &str = "controls.toml";

/// Longest id of a scenario.
const ID_BYTES_MAX: usize = 16;
const FORMAT_HINT: &str = "README.md in the folder of scenarios describes the format";

impl Catalogue {
    /// Reads `venue.toml` and `controls.toml` of a folder.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(folder: &Path) -> Result<Self, ScenarioError> {
        let (venue, controls) = (folder.join(VENUE_FILE), folder.join(CONTROLS_FILE));
        Self::parse((&venue, &read_text(&venue)?), (&controls, &read_text(&controls)?))
    }

    /// From the texts of both files, after their paths.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(venue: (&Path, &str), controls: (&Path, &str)) -> Result<Self, ScenarioError> {
        Ok(Self { ordinary: parse_toml(venue.0, venue.1)?, controls: parse_toml(controls.0, controls.1)? })
    }
}

/// Reads a scenario, or all of a folder in the order of their names, with what the folder says about the venue.
///
/// # Errors
/// A file that cannot be read, or the first thing that is wrong, with its line.
pub fn read(path: &Path) -> Result<(Catalogue, Vec<ScenarioFile>), ScenarioError> {
    let is_folder = path.is_dir();
    let folder = if is_folder { path } else { path.parent().unwrap_or(path) };
    let catalogue = Catalogue::read(folder)?;
    let paths = if is_folder { scenario_paths(folder)? } else { vec![path.to_path_buf()] };
    if paths.is_empty() {
        return Err(ScenarioError::new(folder, "the folder holds no scenario", FORMAT_HINT));
    }
    let files = paths.iter().map(|path| ScenarioFile::read(path)).collect::<Result<_, _>>()?;
    Ok((catalogue, files))
}

fn scenario_paths(folder: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let fail = |error: std::io::Error| ScenarioError::new(folder, format!("cannot be read: {error}"), "check the path");
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if name.ends_with(".toml") && name != VENUE_FILE && name != CONTROLS_FILE {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_text(path: &Path) -> Result<String, ScenarioError> {
    let hint = "a scenario lies beside venue.toml and controls.toml; check the path";
    std::fs::read_to_string(path).map_err(|error| ScenarioError::new(path, format!("cannot be read: {error}"), hint))
}

fn parse_toml<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, ScenarioError> {
    toml::from_str(text).map_err(|error| ScenarioError::of_toml(path, text, &error))
}

impl ScenarioFile {
    /// Reads a scenario's file.
    ///
    /// # Errors
    /// It cannot be read, or a field is missing, unknown or of the wrong kind.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        Self::parse(path, read_text(path)?)
    }

    /// From the text of a file.
    ///
    /// # Errors
    /// A field is missing, unknown or of the wrong kind.
    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, ScenarioError> {
        let fields = parse_toml(path, &text)?;
        let file = Self { path: path.to_path_buf(), text, fields };
        file.require_id()?;
        Ok(file)
    }

    /// Its id, such as `S4`.
    #[must_use]
    pub fn id(&self) -> &str {
        self.fields.id.get_ref()
    }

    /// It names folders and chains.
    fn require_id(&self) -> Result<(), ScenarioError> {
        let id = self.id();
        let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_plain && (1..=ID_BYTES_MAX).contains(&id.len()) {
            return Ok(());
        }
        let message = format!("the id `{id}` must be 1 to {ID_BYTES_MAX} letters, digits and hyphens");
        Err(self.error_at(self.fields.id.span().start, message))
    }

    /// What happened.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.fields.title
    }

    /// As it is written down.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The scenario with its numbers as a seed has them.
    ///
    /// # Errors
    /// A line that is no sentence, a field that the venue does not have, a control that the catalogue does not have.
    pub(crate) fn cast(&self, catalogue: &Catalogue, seed: u64) -> Result<Cast, ScenarioError> {
        let fields = &self.fields;
        let numbers = varied(&fields.numbers, self.id(), seed);
        let tables =
            tables::merged(&catalogue.ordinary, &fields.genesis, &numbers).map_err(|error| self.of_table(&error))?;
        let parties: Vec<String> = fields.parties.keys().cloned().collect();
        // The scenario's own venue must hold before any control is touched.
        let venue = tables::venue(&tables, &parties)
            .map_err(|message| ScenarioError::new(&self.path, format!("[genesis]: {message}"), FORMAT_HINT))?;
        self.require_names(catalogue)?;
        let mut known = parties.clone();
        known.extend(venue.accounts.keys().filter(|name| !parties.contains(name)).cloned());
        let markets: Vec<String> = venue.markets.keys().cloned().collect();
        let segments = u16::try_from(venue.genesis.segments.len()).unwrap_or(u16::MAX);
        let controls: Vec<String> = fields.control.iter().map(|control| control.name.get_ref().clone()).collect();
        let vocabulary =
            Vocabulary { parties: &known, markets: &markets, segments, numbers: &numbers, controls: &controls };
        Ok(Cast {
            id: self.id().to_owned(),
            attackers: fields.attackers.clone(),
            limit: self.limit(&numbers)?,
            lasts_ms: self.lasts_ms()?,
            setup: self.script(&fields.setup, &vocabulary)?,
            attack: self.script(&fields.attack, &vocabulary)?,
            bystanders: self.script(&fields.bystanders, &vocabulary)?,
            benign: self.script(&fields.benign, &vocabulary)?,
            finally: self.checks(&fields.finally, &vocabulary)?,
            benign_finally: self.checks(&fields.benign_finally, &vocabulary)?,
            parties,
            tables,
        })
    }

    fn error_at(&self, offset: usize, message: impl Into<String>) -> ScenarioError {
        ScenarioError::new(&self.path, message, FORMAT_HINT).at(line_of(&self.text, offset))
    }

    fn require_names(&self, catalogue: &Catalogue) -> Result<(), ScenarioError> {
        for control in &self.fields.control {
            if !catalogue.controls.contains_key(control.name.get_ref()) {
                let message = format!("`{}` is no control of {CONTROLS_FILE}", control.name.get_ref());
                return Err(self.error_at(control.name.span().start, message));
            }
        }
        let stranger = self.fields.attackers.iter().find(|name| !self.fields.parties.contains_key(*name));
        match stranger {
            Some(name) => {
                let message = format!("attacker `{name}` is nobody in [parties]");
                Err(ScenarioError::new(&self.path, message, FORMAT_HINT))
            }
            None => Ok(()),
        }
    }

    fn limit(&self, numbers: &Numbers) -> Result<Number, ScenarioError> {
        let text = self.fields.limit.get_ref();
        let number = match text.strip_prefix('$') {
            Some(name) => numbers.get(name).copied(),
            None => Number::parse(text),
        };
        let wrong = || self.error_at(self.fields.limit.span().start, format!("`{text}` is no number and names none"));
        number.ok_or_else(wrong)
    }

    fn lasts_ms(&self) -> Result<u64, ScenarioError> {
        let text = self.fields.lasts.get_ref();
        let parts =
            text.split_once(':').and_then(|(minutes, seconds)| Some((minutes.parse().ok()?, seconds.parse().ok()?)));
        let parts = parts.filter(|(minutes, seconds): &(u64, u64)| *minutes < 10_000 && *seconds < 60);
        let wrong = || self.error_at(self.fields.lasts.span().start, format!("`{text}` is no time such as 70:00"));
        parts.map(|(minutes, seconds)| (minutes * 60 + seconds) * 1_000).ok_or_else(wrong)
    }

    fn script(&self, script: &Spanned<String>, vocabulary: &Vocabulary<'_>) -> Result<Vec<Line>, ScenarioError> {
        // A text of several lines begins after its quotes, on the line below them if they end theirs.
        let start = script.span().start;
        let quotes = self.text.get(start..).unwrap_or("");
        let begins_below = quotes.starts_with("'''\n") || quotes.starts_with("\"\"\"\n");
        let first_line = line_of(&self.text, start) + usize::from(begins_below);
        script::parse(script.get_ref(), first_line, vocabulary)
            .map_err(|error| ScenarioError::new(&self.path, error.message, FORMAT_HINT).at(error.line))
    }

    fn checks(
        &self,
        conditions: &[Spanned<String>],
        vocabulary: &Vocabulary<'_>,
    ) -> Result<Vec<(usize, Check)>, ScenarioError> {
        let read = |condition: &Spanned<String>| {
            let start = condition.span().start;
            let check = script::parse_check(condition.get_ref(), vocabulary);
            check.map(|check| (line_of(&self.text, start), check)).map_err(|message| self.error_at(start, message))
        };
        conditions.iter().map(read).collect()
    }

    /// Finds the line of a field of [genesis].
    fn of_table(&self, error: &TableError) -> ScenarioError {
        let problem = ScenarioError::new(&self.path, error.message.clone(), FORMAT_HINT);
        let Ok(document) = toml::de::DeTable::parse(&self.text) else { return problem };
        let mut offset = None;
        let mut tables = Some(document.get_ref());
        for key in ["genesis"].into_iter().chain(error.path.iter().map(String::as_str)) {
            let entry = tables.and_then(|tables| tables.iter().find(|(name, _)| name.get_ref() == key));
            let Some((name, value)) = entry else { break };
            offset = Some(name.span().start);
            tables = value.get_ref().as_table();
        }
        match offset {
            Some(offset) => problem.at(line_of(&self.text, offset)),
            None => problem,
        }
    }
}
