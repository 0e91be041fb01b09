//! Runs a hot path without a clock, for a tool that counts instructions.
//!
//! `count PATH RUN PREPARED` prepares one number of operations and runs another, so that two runs with the same
//! preparation differ by operations alone. `count --list` prints each path with the number to run.

use std::process::ExitCode;

use casemate_benches::{HOT_PATHS, hot_path};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--list"] => {
            for path in &HOT_PATHS {
                println!("{}\t{}", path.name, path.counted);
            }
            ExitCode::SUCCESS
        }
        [name, run, prepared] => match (hot_path(name), run.parse(), prepared.parse()) {
            (Some(path), Ok(run), Ok(prepared)) => {
                let mut operations = (path.prepare)(prepared);
                operations(run);
                // Without taking the tables apart: that is no part of an operation, and depends on how many were run.
                std::process::exit(0)
            }
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: count PATH RUN PREPARED | count --list");
    ExitCode::from(2)
}
