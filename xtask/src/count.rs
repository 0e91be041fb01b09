//! Counts instructions of hot paths, because they say whether code became dearer on any machine, however busy it is.
//!
//! Each path of `casemate-benches` runs twice under callgrind with the same preparation, once with twice as many
//! operations. The difference is what the operations took, without start and preparation. `benches/instructions.tsv`
//! holds what was accepted last.
//!
//! What is counted is the code that runs on the processor that valgrind shows to programs: it has AVX2 where the
//! machine has it, and neither SHA extensions nor AVX-512. Libraries that choose at run time, `sha2` and
//! `curve25519-dalek` among them, then take their portable or AVX2 code, so a hash counts for many more instructions
//! than it costs in production. Counts tell changes of our own code; what a command costs, `cargo bench` tells.
//!
//! Counts repeat to the instruction, except that a proposed block moves by less than a tenth of a per cent: preparing it
//! checks signatures, whose library keeps them in a hash map with a random seed, and so leaves another heap behind.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::steps::{Failure, cargo, require_program, run};

const ACCEPTED_PATH: &str = "benches/instructions.tsv";

/// A path may grow by this much before someone has to look: a new compiler moves some by a few per cent.
const GROWTH_PERCENT_MAX: u64 = 10;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The table as one line of JSON, the last of standard output.
    pub is_json: bool,
    /// Accept what was counted.
    pub is_accepting: bool,
}

impl Options {
    pub fn parse(arguments: &[&str]) -> Result<Self, Failure> {
        let mut options = Self::default();
        for argument in arguments {
            match *argument {
                "--json" => options.is_json = true,
                "--write" => options.is_accepting = true,
                _ => return Err(Failure::Usage(format!("`count` does not take `{argument}`"))),
            }
        }
        Ok(options)
    }
}

/// Instructions of one operation of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Count {
    path: String,
    instructions: u64,
}

pub fn count(root: &Path, options: Options) -> Result<(), Failure> {
    let file = root.join(ACCEPTED_PATH);
    let accepted = match std::fs::read_to_string(&file) {
        Ok(text) => parse_accepted(&text)?,
        Err(_) if options.is_accepting => Vec::new(),
        Err(error) => return Err(Failure::Failed(format!("cannot read `{ACCEPTED_PATH}`: {error}"))),
    };
    require_program("valgrind", "valgrind")?;
    run(cargo(root).args(["build", "--locked", "--release", "-p", "casemate-benches", "--bin", "count"]))?;
    let program = target_folder(root)?.join("release/count");
    let counted = list(&program)?
        .into_iter()
        .map(|(path, operations)| {
            let instructions = instructions_per_operation(&program, &path, operations)?;
            Ok(Count { path, instructions })
        })
        .collect::<Result<Vec<Count>, Failure>>()?;

    println!(
        "{}",
        if options.is_json { json_rows(&counted, &accepted).to_string() } else { table(&counted, &accepted) }
    );
    if options.is_accepting {
        return std::fs::write(&file, accepted_text(&counted, &compiler(root)?))
            .map_err(|error| Failure::Failed(format!("cannot write `{ACCEPTED_PATH}`: {error}")));
    }
    let findings = compare(&counted, &accepted);
    if findings.is_empty() { Ok(()) } else { Err(Failure::Failed(findings.join("\nxtask: "))) }
}

/// Paths with the operations of the shorter run.
fn list(program: &Path) -> Result<Vec<(String, u64)>, Failure> {
    let output = output_of(Command::new(program).arg("--list"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let row = |line: &str| {
        let (path, operations) = line.split_once('\t')?;
        Some((path.to_owned(), operations.parse().ok().filter(|&operations: &u64| operations > 0)?))
    };
    let rows: Option<Vec<(String, u64)>> = text.lines().map(row).collect();
    rows.ok_or_else(|| Failure::Failed("the counted program lists its paths in a form this does not know".into()))
}

/// The two runs share nothing, so they run side by side.
fn instructions_per_operation(program: &Path, path: &str, operations: u64) -> Result<u64, Failure> {
    let twice = 2 * operations;
    let shorter = start(program, path, operations, twice)?;
    let longer = start(program, path, twice, twice)?;
    let shorter = collected(path, &finish(shorter)?)?;
    let longer = collected(path, &finish(longer)?)?;
    Ok(longer.saturating_sub(shorter) / operations)
}

fn start(program: &Path, path: &str, operations: u64, prepared: u64) -> Result<Child, Failure> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    valgrind.args([path, &operations.to_string(), &prepared.to_string()]);
    valgrind.stdout(Stdio::null()).stderr(Stdio::piped());
    valgrind.spawn().map_err(|error| Failure::Failed(format!("cannot run `valgrind`: {error}")))
}

fn finish(child: Child) -> Result<Output, Failure> {
    child.wait_with_output().map_err(|error| Failure::Failed(format!("cannot run `valgrind`: {error}")))
}

fn collected(path: &str, output: &Output) -> Result<u64, Failure> {
    const ILLEGAL_INSTRUCTION: i32 = 4;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.signal() == Some(ILLEGAL_INSTRUCTION) {
        let why = "valgrind does not know an instruction of it; a newer valgrind may";
        return Err(Failure::Failed(format!("`{path}` cannot be counted: {why}\n{}", text.trim_end())));
    }
    if !output.status.success() {
        return Err(Failure::Failed(format!(
            "`{path}` failed under valgrind with {}\n{}",
            output.status,
            text.trim_end()
        )));
    }
    parse_collected(&text)
        .ok_or_else(|| Failure::Failed(format!("callgrind does not say how much `{path}` took\n{}", text.trim_end())))
}

/// The total of callgrind's line `==1== Collected : 123`.
fn parse_collected(text: &str) -> Option<u64> {
    let totals = text.lines().filter_map(|line| line.split_once("Collected : "));
    totals.filter_map(|(_, total)| total.trim().parse().ok()).next_back()
}

/// Reads `path<tab>instructions`, under a line of headings and between comments.
fn parse_accepted(text: &str) -> Result<Vec<Count>, Failure> {
    let rows = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && *line != HEADINGS);
    rows.map(|(index, line)| {
        let row = line.split_once('\t').and_then(|(path, instructions)| {
            Some(Count { path: path.to_owned(), instructions: instructions.parse().ok().filter(|&count| count > 0)? })
        });
        let line = index + 1;
        row.ok_or_else(|| Failure::Failed(format!("{ACCEPTED_PATH}:{line}: not a path, a tab and a number above zero")))
    })
    .collect()
}

const HEADINGS: &str = "path\tinstructions_per_operation";

fn accepted_text(counted: &[Count], compiler: &str) -> String {
    let rows: Vec<String> = counted.iter().map(|count| format!("{}\t{}\n", count.path, count.instructions)).collect();
    format!("# Written by `cargo xtask count --write`, with {compiler}.\n{HEADINGS}\n{}", rows.concat())
}

/// What to say about paths that grew too much, and about paths on one side only.
fn compare(counted: &[Count], accepted: &[Count]) -> Vec<String> {
    const ACCEPT: &str = "`cargo xtask count --write`";
    let mut findings = Vec::new();
    for Count { path, instructions } in counted {
        match accepted_of(accepted, path) {
            None => findings.push(format!("`{path}` is not in {ACCEPTED_PATH}: add it with {ACCEPT}")),
            Some(before) if instructions.saturating_mul(100) > before.saturating_mul(100 + GROWTH_PERCENT_MAX) => {
                findings.push(format!(
                    "`{path}` takes {instructions} instructions, {} more than the {before} of {ACCEPTED_PATH}; \
                     {GROWTH_PERCENT_MAX} % are allowed: find out why, or accept it with {ACCEPT} and say why in the commit",
                    change(*instructions, before).trim_start_matches('+'),
                ));
            }
            Some(_) => {}
        }
    }
    let is_gone = |row: &&Count| counted.iter().all(|count| count.path != row.path);
    findings.extend(accepted.iter().filter(is_gone).map(|row| {
        format!("`{}` is in {ACCEPTED_PATH} and is no hot path any more: remove it with {ACCEPT}", row.path)
    }));
    findings
}

fn accepted_of(accepted: &[Count], path: &str) -> Option<u64> {
    accepted.iter().find(|row| row.path == path).map(|row| row.instructions)
}

/// In per cent, with one digit behind the point.
fn change(now: u64, before: u64) -> String {
    format!("{:+.1} %", 100.0 * (now as f64 / before as f64 - 1.0))
}

fn table(counted: &[Count], accepted: &[Count]) -> String {
    let width = counted.iter().map(|count| count.path.len()).max().unwrap_or(0).max("path".len());
    let mut text = format!("{:width$}  {:>14}  {:>14}  {:>8}", "path", "instructions", "accepted", "change");
    for Count { path, instructions } in counted {
        let before = accepted_of(accepted, path);
        let accepted = before.map_or("none".to_owned(), |before| before.to_string());
        let change = before.map_or(String::new(), |before| change(*instructions, before));
        text += format!("\n{path:width$}  {instructions:>14}  {accepted:>14}  {change:>8}").trim_end();
    }
    text
}

fn json_rows(counted: &[Count], accepted: &[Count]) -> Value {
    let row = |count: &Count| {
        json!({
            "path": count.path,
            "instructions": count.instructions,
            "accepted": accepted_of(accepted, &count.path),
        })
    };
    json!({ "rows": counted.iter().map(row).collect::<Vec<Value>>() })
}

fn compiler(root: &Path) -> Result<String, Failure> {
    let output = output_of(Command::new("rustc").arg("--version").current_dir(root))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where cargo builds, which its configuration and the environment may change.
fn target_folder(root: &Path) -> Result<PathBuf, Failure> {
    let output = output_of(cargo(root).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let folder = metadata.as_ref().and_then(|metadata| metadata["target_directory"].as_str());
    folder.map(PathBuf::from).ok_or_else(|| Failure::Failed("`cargo metadata` names no target folder".into()))
}

fn output_of(command: &mut Command) -> Result<Output, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Failure::Failed(format!("cannot run `{name}`: {error}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Err(Failure::Failed(format!("`{name}` failed with {}\n{message}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: &[(&str, u64)]) -> Vec<Count> {
        rows.iter().map(|&(path, instructions)| Count { path: path.to_owned(), instructions }).collect()
    }

    #[test]
    fn options_are_read_and_others_refused() {
        assert_eq!(Options::parse(&[]).unwrap(), Options::default());
        assert_eq!(Options::parse(&["--write", "--json"]).unwrap(), Options { is_json: true, is_accepting: true });
        assert!(matches!(Options::parse(&["--wirte"]), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_total_of_callgrind_is_read() {
        let text = "==9== Callgrind\n==9== Events    : Ir\n==9== Collected : 79750566\n==9== \n==9== I   refs:      79,750,566";
        assert_eq!(parse_collected(text), Some(79_750_566));
        assert_eq!(parse_collected("==9== Collected : \nvex: unhandled instruction"), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let rows = counts(&[("a::b/c=1 d=2", 7), ("e::f/g=3", 1_000_000)]);
        let text = accepted_text(&rows, "rustc 1.95.0");
        assert!(text.starts_with("# Written by `cargo xtask count --write`, with rustc 1.95.0.\npath\t"));
        assert_eq!(parse_accepted(&text).unwrap(), rows);
        for wrong in
            ["a::b/c=1 7", "a::b/c=1\t", "a::b/c=1\t0", "a::b/c=1\t-7", ""].map(|line| format!("{HEADINGS}\n{line}\n"))
        {
            assert!(matches!(parse_accepted(&wrong), Err(Failure::Failed(text)) if text.contains("tsv:2:")), "{wrong}");
        }
    }

    #[test]
    fn growth_beyond_ten_per_cent_is_found_and_less_is_not() {
        let accepted = counts(&[("a/b=1", 1_000)]);
        for fine in [1, 999, 1_000, 1_100] {
            assert!(compare(&counts(&[("a/b=1", fine)]), &accepted).is_empty(), "{fine}");
        }
        let findings = compare(&counts(&[("a/b=1", 1_101)]), &accepted);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("`a/b=1` takes 1101 instructions, 10.1 % more than the 1000"), "{findings:?}");
    }

    #[test]
    fn a_path_on_one_side_only_is_found() {
        let findings = compare(&counts(&[("new/b=1", 5)]), &counts(&[("old/b=1", 5)]));
        assert!(findings[0].starts_with("`new/b=1` is not in") && findings[1].starts_with("`old/b=1` is in"));
    }

    #[test]
    fn the_table_and_the_json_show_both_counts() {
        let (counted, accepted) = (counts(&[("a/b=1", 110), ("new/b=1", 5)]), counts(&[("a/b=1", 100)]));
        let table = table(&counted, &accepted);
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["a/b=1", "110", "100", "+10.0", "%"]);
        assert_eq!(rows[2], ["new/b=1", "5", "none"]);
        let rows = json_rows(&counted, &accepted);
        assert_eq!(rows["rows"][0], json!({"path": "a/b=1", "instructions": 110, "accepted": 100}));
        assert!(rows["rows"][1]["accepted"].is_null());
    }
}
