//! Plays a scenario or a folder of them and shows the diaries: what each step came to in each run. For whoever writes one.

use std::path::Path;
use std::process::ExitCode;

use casemate_scenarios::{RunReport, read, run, text};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "spec/scenarios".to_owned());
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let played = read(Path::new(&path)).and_then(|(catalogue, files)| {
        files.iter().map(|file| run(file, &catalogue, seed, 2)).collect::<Result<Vec<_>, _>>()
    });
    let reports = match played {
        Ok(reports) => reports,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    for report in &reports {
        show("every control on", &report.all_on);
        show("its controls loose", &report.unprotected);
        show("benign twin", &report.benign);
        for control in &report.controls {
            show(&format!("{} loose", control.name), &control.weakened);
            show(&format!("{} alone", control.name), &control.alone);
        }
    }
    print!("{}", text(&reports));
    ExitCode::SUCCESS
}

fn show(what: &str, run: &RunReport) {
    println!("== {what}: {:?}", run.loss);
    run.diary.iter().for_each(|line| println!("   {line}"));
    run.troubles.iter().for_each(|trouble| println!("   trouble: {trouble}"));
    println!("   seen: {:?}", run.seen);
}
