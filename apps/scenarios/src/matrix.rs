//! All runs of a scenario, and what they say about its controls.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::file::{Cast, Catalogue, ScenarioFile};
use crate::observed::Loss;
use crate::problem::ScenarioError;
use crate::production::loosened;
use crate::stage::{Ending, Interrupted, Story, play};

/// What all runs of a scenario came to.
#[derive(Clone, Debug)]
pub struct ScenarioReport {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The seed that its numbers are of.
    pub seed: u64,
    /// The most that may be lost, in millionths of the quote asset.
    pub limit_micros: i64,
    /// With every control on.
    pub all_on: RunReport,
    /// With all of its controls loose: the incident as it was.
    pub unprotected: RunReport,
    /// The benign twin, with every control on.
    pub benign: RunReport,
    /// Control by control.
    pub controls: Vec<ControlReport>,
    /// What is not as it must be; empty for a sound scenario.
    pub findings: Vec<String>,
}

/// What one run came to.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Whether the loss is within the limit and every condition holds.
    pub passes: bool,
    /// What was lost.
    pub loss: Loss,
    /// What does not hold, bystanders' troubles included.
    pub troubles: Vec<String>,
    /// Refusals and events by name, since the set-up.
    pub seen: BTreeSet<String>,
    /// A line for each step.
    pub diary: Vec<String>,
}

/// What the runs say about one control.
#[derive(Clone, Debug)]
pub struct ControlReport {
    /// Its name in the catalogue.
    pub name: String,
    /// What it does, in a sentence.
    pub what: String,
    /// Whether the scenario says that the others stop the incident without it.
    pub redundant: bool,
    /// The refusal or event by which it shows.
    pub expected_event: String,
    /// With it alone loose.
    pub weakened: RunReport,
    /// With all other controls of the scenario loose.
    pub alone: RunReport,
}

impl ScenarioReport {
    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One run: which story, and which of the scenario's controls are loose.
#[derive(Clone, Debug)]
struct Job {
    what: String,
    story: Story,
    loose: Vec<usize>,
}

/// Plays all runs of a scenario with its numbers as a seed has them, on so many threads.
///
/// # Errors
/// A line that is no sentence, a venue that is no genesis, a set-up that does not stand.
pub fn run(
    file: &ScenarioFile,
    catalogue: &Catalogue,
    seed: u64,
    threads: usize,
) -> Result<ScenarioReport, ScenarioError> {
    let cast = file.cast(catalogue, seed)?;
    let jobs = jobs(file);
    let runs = play_all(file, catalogue, &cast, &jobs, threads)?;
    let limit_micros = cast.limit.micros();
    let mut reports = runs.iter().map(|ending| RunReport::of(ending, limit_micros));
    let mut next = || reports.next().unwrap_or_else(|| RunReport::of(&Ending::nothing(), 0));
    let (mut all_on, unprotected, mut benign) = (next(), next(), next());
    for (report, ending) in [&mut all_on, &mut benign].into_iter().zip([runs.first(), runs.get(2)]) {
        // Bystanders count where the venue is as it should be.
        if let Some(ending) = ending {
            report.require_bystanders(ending);
        }
    }
    let controls = file.fields.control.iter().map(|control| {
        let name = control.name.get_ref();
        ControlReport {
            name: name.clone(),
            what: catalogue.controls.get(name).map_or_else(String::new, |known| known.what.clone()),
            redundant: control.redundant,
            expected_event: control.expected.clone(),
            weakened: next(),
            alone: next(),
        }
    });
    let controls = controls.collect();
    let mut report = ScenarioReport {
        id: cast.id.clone(),
        title: file.fields.title.clone(),
        seed,
        limit_micros,
        all_on,
        unprotected,
        benign,
        controls,
        findings: vec![],
    };
    report.findings = findings(&report);
    Ok(report)
}

/// All on, all loose, the benign twin; then each control loose, and each alone.
fn jobs(file: &ScenarioFile) -> Vec<Job> {
    let names: Vec<&String> = file.fields.control.iter().map(|control| control.name.get_ref()).collect();
    let job = |what: &str, story, loose| Job { what: what.to_owned(), story, loose };
    let every: Vec<usize> = (0..names.len()).collect();
    let mut jobs = vec![
        job("with every control on", Story::Attack, vec![]),
        job("with its controls loose", Story::Attack, every.clone()),
        job("the benign twin", Story::Benign, vec![]),
    ];
    for (place, name) in names.iter().enumerate() {
        let others = every.iter().copied().filter(|other| *other != place).collect();
        jobs.push(job(&format!("with `{name}` loose"), Story::Attack, vec![place]));
        jobs.push(job(&format!("with `{name}` alone"), Story::Attack, others));
    }
    jobs
}

fn play_all(
    file: &ScenarioFile,
    catalogue: &Catalogue,
    cast: &Cast,
    jobs: &[Job],
    threads: usize,
) -> Result<Vec<Ending>, ScenarioError> {
    let (taken, endings) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((place, job)) = {
            let place = taken.fetch_add(1, Ordering::Relaxed);
            jobs.get(place).map(|job| (place, job))
        } {
            let ending = play_job(file, catalogue, cast, job);
            endings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((place, ending));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    let mut endings = endings.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    endings.sort_by_key(|(place, _)| *place);
    endings.into_iter().map(|(_, ending)| ending).collect()
}

fn play_job(file: &ScenarioFile, catalogue: &Catalogue, cast: &Cast, job: &Job) -> Result<Ending, ScenarioError> {
    let fail = |message: String| ScenarioError::new(&file.path, format!("{}: {message}", job.what), BROKEN_HINT);
    let (venue, on) = loosened(file, catalogue, cast, &job.loose).map_err(fail)?;
    play(cast, job.story, venue, &on).map_err(|interrupted| match interrupted {
        Interrupted::Broken { line: 0, message } => fail(message),
        Interrupted::Broken { line, message } => fail(message).at(line),
        // A replica that makes its own blocks does not end.
        Interrupted::Ended(ended) => fail(format!("{ended:?}")),
    })
}

const BROKEN_HINT: &str = "a scenario whose set-up does not stand says nothing about controls: correct the set-up";

impl RunReport {
    pub(crate) fn of(ending: &Ending, limit_micros: i64) -> Self {
        let mut troubles = ending.unmet.clone();
        let total = ending.loss.total_micros();
        if total > limit_micros {
            let show = casemate_protocol::QuoteMicros::from_micros;
            troubles.insert(0, format!("{} was lost, at most {} may be", show(total), show(limit_micros)));
        }
        Self {
            passes: troubles.is_empty(),
            loss: ending.loss,
            troubles,
            seen: ending.seen.clone(),
            diary: ending.diary.clone(),
        }
    }

    /// What bystanders could not do is a trouble too.
    pub(crate) fn require_bystanders(&mut self, ending: &Ending) {
        self.passes &= ending.bystanders.is_empty();
        self.troubles.extend(ending.bystanders.iter().map(|trouble| format!("bystanders: {trouble}")));
    }
}

/// What is not as it must be.
fn findings(report: &ScenarioReport) -> Vec<String> {
    let mut findings = Vec::new();
    let mut note = |is_so: bool, finding: String| {
        if is_so {
            findings.push(finding);
        }
    };
    note(!report.all_on.passes, format!("fails with every control on: {}", report.all_on.troubles.join("; ")));
    note(!report.benign.passes, format!("its benign twin does not go through: {}", report.benign.troubles.join("; ")));
    note(report.unprotected.passes, "passes with all of its controls loose: the incident is none".to_owned());
    for control in &report.controls {
        let ControlReport { name, redundant, weakened, alone, expected_event, .. } = control;
        note(
            weakened.passes && !redundant,
            format!("`{name}` is not marked redundant, and without it the scenario passes"),
        );
        note(
            !weakened.passes && *redundant,
            format!(
                "`{name}` is marked redundant, and without it the scenario fails: {}",
                weakened.troubles.join("; ")
            ),
        );
        note(
            *redundant && !alone.passes,
            format!("`{name}` alone does not stop the incident: {}", alone.troubles.join("; ")),
        );
        let decisive = if *redundant { alone } else { &report.all_on };
        let is_silent = !decisive.seen.contains(expected_event);
        note(is_silent, format!("`{name}` does not show as `{expected_event}`; seen: {}", list(&decisive.seen)));
    }
    findings
}

fn list(seen: &BTreeSet<String>) -> String {
    if seen.is_empty() { "nothing".to_owned() } else { seen.iter().cloned().collect::<Vec<_>>().join(", ") }
}
