//! What scenarios came to: for people, as JSON whose fields are a stable interface, and as the table of the documentation.

use casemate_protocol::QuoteMicros;
use serde_json::{Value, json};

use crate::matrix::{ControlReport, RunReport, ScenarioReport};

/// The reports as one JSON object with `scenarios`.
#[must_use]
pub fn json(reports: &[ScenarioReport]) -> Value {
    let scenario = |report: &ScenarioReport| {
        let controls: Vec<Value> = report.controls.iter().map(control_json).collect();
        json!({
            "id": report.id,
            "title": report.title,
            "seed": report.seed,
            "passes": report.all_on.passes,
            "benign_twin_passes": report.benign.passes,
            "loss_micros": report.all_on.loss.total_micros(),
            "limit_micros": report.limit_micros,
            "loss_parts_micros": report.all_on.loss.json(),
            "loss_unprotected_micros": report.unprotected.loss.total_micros(),
            "fails_unprotected": !report.unprotected.passes,
            "controls": controls,
            "findings": report.findings,
        })
    };
    json!({ "scenarios": reports.iter().map(scenario).collect::<Vec<_>>() })
}

fn control_json(control: &ControlReport) -> Value {
    json!({
        "name": control.name,
        "passes_weakened": control.weakened.passes,
        "passes_alone": control.alone.passes,
        "redundant": control.redundant,
        "loss_weakened_micros": control.weakened.loss.total_micros(),
        "loss_alone_micros": control.alone.loss.total_micros(),
        "expected_event": control.expected_event,
    })
}

/// The reports for people.
#[must_use]
pub fn text(reports: &[ScenarioReport]) -> String {
    reports.iter().map(scenario_text).collect::<Vec<_>>().join("\n")
}

fn scenario_text(report: &ScenarioReport) -> String {
    let width = report.controls.iter().map(|control| control.name.len()).max().unwrap_or(0).max(NAME_WIDTH_MIN);
    let mut text = format!("{}  {}\n", report.id, report.title);
    let limit = QuoteMicros::from_micros(report.limit_micros);
    for (what, run) in [
        ("every control on", &report.all_on),
        ("its controls loose", &report.unprotected),
        ("benign twin", &report.benign),
    ] {
        text += &format!("  {what:width$}  {:5}  loss {} of at most {limit}\n", verdict(run), loss(run));
    }
    for control in &report.controls {
        let part = if control.redundant { "others suffice; alone it" } else { "needed; alone it" };
        text += &format!(
            "  {:width$}  {:5}  loss {} without it; {part} {}, loss {}; shows as {}\n",
            control.name,
            verdict(&control.weakened),
            loss(&control.weakened),
            verdict(&control.alone),
            loss(&control.alone),
            control.expected_event,
        );
    }
    match report.findings.as_slice() {
        [] => text += "  sound\n",
        findings => findings.iter().for_each(|finding| text += &format!("  NOT SOUND: {finding}\n")),
    }
    text
}

const NAME_WIDTH_MIN: usize = 18;

const fn verdict(run: &RunReport) -> &'static str {
    if run.passes { "pass" } else { "FAIL" }
}

fn loss(run: &RunReport) -> QuoteMicros {
    QuoteMicros::from_micros(run.loss.total_micros())
}

/// The table of controls, as the documentation has it.
#[must_use]
pub fn markdown(reports: &[ScenarioReport]) -> String {
    let mut text =
        String::from("| scenario | control | without it | alone | redundant | shows as |\n|---|---|---|---|---|---|\n");
    for report in reports {
        text += &row(&report.id, "every control on", &whole(&report.all_on), "", "", "");
        text += &row("", "its controls loose", &whole(&report.unprotected), "", "", "");
        text += &row("", "benign twin", verdict(&report.benign), "", "", "");
        for control in &report.controls {
            let redundant = if control.redundant { "yes" } else { "no" };
            let shows = format!("`{}`", control.expected_event);
            text += &row("", &control.name, &whole(&control.weakened), &whole(&control.alone), redundant, &shows);
        }
    }
    text
}

fn row(scenario: &str, control: &str, without: &str, alone: &str, redundant: &str, shows: &str) -> String {
    format!("| {scenario} | {control} | {without} | {alone} | {redundant} | {shows} |\n")
}

/// Verdict and loss in whole units of the quote asset.
fn whole(run: &RunReport) -> String {
    format!("{}, {}", verdict(run).to_lowercase(), run.loss.total_micros().div_euclid(1_000_000))
}
