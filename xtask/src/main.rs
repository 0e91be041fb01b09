//! The project's own commands: `cargo xtask check` while working, `cargo xtask test` before a merge.
//!
//! What each command runs is in this file, `tidy` holds the rules that neither rustc nor clippy can check, `fuzz`
//! builds and runs the fuzz targets, `count` counts instructions, and `steps` runs programs and keeps the time.

mod count;
mod fuzz;
mod steps;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use steps::{Failure, Steps, cargo, require_program, run, run_keeping};

const HELP: &str = "\
The project's own commands.

Usage: cargo xtask COMMAND [OPTIONS]

Commands:
  check                    The inner loop for core: format, clippy, tidy, and the tests of the core crates, without the
                           slow model and with a quarter of the pipeline's random sequences (CASEMATE_QUICK=1)
  tidy                     Only the rules that rustc and clippy cannot check: crate direction, core's dependencies,
                           callers of `Verified::assertion`, wire types, floats, banned words, module headers
  test [--slow]            Everything that must pass before a merge, with its own set-up
                             --slow   fuzz each target for 10 minutes instead of 20 seconds, and set CASEMATE_SLOW=1
                                      so that long tests run in full
  fuzz TARGET [OPTIONS]    Fuzz one target
                             --seconds N    how long (default 60)
                             --input FILE   run one input instead, for instance a reproducer
  fuzz --list              Print the fuzz targets, one per line
  count [OPTIONS]          Count instructions of hot paths under valgrind, and fail if one takes 10 % more than
                           benches/instructions.tsv says; not part of `test`
                             --write        accept what was counted
                             --json         end with one line of JSON instead of the table
  help                     Print this text

Exit code: 0 all passed, 1 something failed or was found, 2 the command line was wrong.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => {
            eprintln!("xtask: {message}");
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            eprintln!("xtask: {message}\nTry `cargo xtask help`.");
            ExitCode::from(2)
        }
    }
}

fn dispatch(arguments: &[&str]) -> Result<(), Failure> {
    match arguments {
        [] | ["help" | "--help" | "-h", ..] | [_, "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["check"] => check(&root()?),
        ["tidy"] => tidy(&root()?),
        ["test"] => test(&root()?, Length::Short),
        ["test", "--slow"] => test(&root()?, Length::Slow),
        ["fuzz", "--list"] => {
            for target in fuzz::targets(&root()?)? {
                println!("{target}");
            }
            Ok(())
        }
        ["fuzz", target, options @ ..] if !target.starts_with('-') => fuzz_one(&root()?, target, options),
        ["count", options @ ..] => count::count(&root()?, count::Options::parse(options)?),
        ["fuzz", ..] => Err(Failure::Usage("`fuzz` needs a target; `cargo xtask fuzz --list` prints them".into())),
        [command @ ("check" | "tidy" | "test"), rest @ ..] => {
            Err(Failure::Usage(format!("`{command}` does not take `{}`", rest.join(" "))))
        }
        [command, ..] => Err(Failure::Usage(format!("there is no command `{command}`"))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Short,
    Slow,
}

/// Stops at the first failure, because the reader is about to mend exactly that.
fn check(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new();
    let result = check_steps(root, &mut steps);
    steps.print();
    result
}

fn check_steps(root: &Path, steps: &mut Steps) -> Result<(), Failure> {
    steps.run("format", |_| format(root))?;
    steps.run("tidy", |_| tidy(root))?;
    steps.run("clippy, core", |_| {
        run(cargo(root).arg("clippy").args(core_packages()).args(["--all-targets", "--", "-D", "warnings"]))
    })?;
    steps.run("tests, core", |_| {
        let runner: &[&str] = if has_nextest(root) { &["nextest", "run"] } else { &["test"] };
        let targets = quick_core_tests(root)?;
        run(cargo(root).args(runner).args(core_packages()).arg("--lib").args(targets).env("CASEMATE_QUICK", "1"))
    })
}

/// Thousands of random sequences against the slow model: they take as long as everything else together, to build and to
/// run, so they are left to `test`. Clippy reads them all the same.
const SLOW_CORE_TESTS: [&str; 1] = ["differential"];

/// Selects the integration tests of core, by the rule by which cargo finds them, without the slow ones.
fn quick_core_tests(root: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for (folder, _) in tidy::CORE_DIRECTION {
        let folder = root.join(folder).join("tests");
        let Ok(entries) = folder.read_dir() else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_test = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
            names.extend(path.file_stem().filter(|_| is_test).map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    if let Some(gone) = SLOW_CORE_TESTS.iter().find(|slow| !names.iter().any(|name| name == *slow)) {
        return Err(Failure::Failed(format!("core has no tests `{gone}` that `check` could leave out")));
    }
    names.retain(|name| !SLOW_CORE_TESTS.contains(&name.as_str()));
    Ok(names.into_iter().flat_map(|name| ["--test".to_owned(), name]).collect())
}

/// Everything is `--locked`: what is tested is what `Cargo.lock` says, and a stale lock file is a failure.
fn test(root: &Path, length: Length) -> Result<(), Failure> {
    let mut steps = Steps::new();
    let result = test_steps(root, length, &mut steps);
    steps.print();
    result
}

fn test_steps(root: &Path, length: Length, steps: &mut Steps) -> Result<(), Failure> {
    steps.run("format", |_| format(root))?;
    steps.run("tidy", |_| tidy(root))?;
    // Clippy and the tests select the same packages, features and profile, so they share what build scripts and
    // procedural macros produce.
    steps.run("clippy", |_| {
        run(cargo(root).args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    steps.run("tests", |closing| {
        // The analysis of policies asks it.
        require_program("cvc5", "cvc5")?;
        workspace_tests(root, length, closing)
    })?;
    if length == Length::Slow && has_nextest(root) {
        steps.run("slow model", |closing| slow_model_tests(root, closing))?;
    }
    steps.run("documentation tests", |_| run(cargo(root).args(["test", "--locked", "--doc", "--workspace"])))?;
    steps.run("documentation, core", |_| {
        run(cargo(root).args(["doc", "--locked", "--no-deps"]).args(core_packages()).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    steps.run("release build", |_| run(cargo(root).args(["build", "--locked", "--release", "-p", "casemate"])))?;
    if root.join("apps/casemate/tests").is_dir() {
        steps.run("end to end", |closing| end_to_end_tests(root, length, closing))?;
    }
    let fuzz_targets = fuzz::targets(root)?;
    if !fuzz_targets.is_empty() {
        steps.run("fuzz, build", |_| {
            require_program("c++", "g++")?;
            fuzz::build(root)
        })?;
    }
    let fuzz_time = Duration::from_secs(if length == Length::Slow { 600 } else { 20 });
    // A line for each new input would bury the rest of the log.
    let fuzz_options = ["-verbosity=0"];
    for target in fuzz_targets {
        steps.run(&format!("fuzz, {target}"), |closing| {
            fuzz::run_built(root, &target, fuzz_time, &fuzz_options, closing)
        })?;
    }
    Ok(())
}

/// The end-to-end tests are left out here: they run later against the release build, which is what users get. So is,
/// where it runs in full, the long comparison with the slow model.
fn workspace_tests(root: &Path, length: Length, closing: &mut Vec<String>) -> Result<(), Failure> {
    if has_nextest(root) {
        let mut nextest = cargo(root);
        nextest.args(["nextest", "run", "--locked", "--workspace"]);
        let selection = match length {
            Length::Short => "not (package(casemate) & kind(test))",
            Length::Slow => "not (package(casemate) & kind(test)) & not binary(differential)",
        };
        nextest.args(["-E", selection]);
        run_keeping(with_length(&mut nextest, length), steps::nextest_closing_line, closing)
    } else {
        run(with_length(cargo(root).args(["test", "--locked", "--workspace", "--all-targets"]), length))
    }
}

/// A hundred thousand sequences, optimised: it saves more than the second build costs.
fn slow_model_tests(root: &Path, closing: &mut Vec<String>) -> Result<(), Failure> {
    let mut nextest = cargo(root);
    nextest.args(["nextest", "run", "--locked", "--release", "-p", "casemate-ledger", "--test", "differential"]);
    run_keeping(with_length(&mut nextest, Length::Slow), steps::nextest_closing_line, closing)
}

fn end_to_end_tests(root: &Path, length: Length, closing: &mut Vec<String>) -> Result<(), Failure> {
    let selection = ["--locked", "--release", "-p", "casemate", "--test", "*"];
    if has_nextest(root) {
        let mut nextest = cargo(root);
        nextest.args(["nextest", "run"]).args(selection).arg("--no-tests=pass");
        run_keeping(with_length(&mut nextest, length), steps::nextest_closing_line, closing)
    } else {
        run(with_length(cargo(root).arg("test").args(selection), length))
    }
}

fn with_length(command: &mut Command, length: Length) -> &mut Command {
    match length {
        Length::Short => command,
        Length::Slow => command.env("CASEMATE_SLOW", "1"),
    }
}

fn tidy(root: &Path) -> Result<(), Failure> {
    let report = tidy::check(root)?;
    for warning in &report.warnings {
        println!("warning: {warning}");
    }
    for finding in &report.findings {
        println!("{finding}");
    }
    println!(
        "tidy: {} files, {} findings, {} warnings",
        report.files_count,
        report.findings.len(),
        report.warnings.len()
    );
    if report.findings.is_empty() { Ok(()) } else { Err(Failure::Failed("tidy found something".into())) }
}

fn fuzz_one(root: &Path, target: &str, options: &[&str]) -> Result<(), Failure> {
    let known = fuzz::targets(root)?;
    if !known.iter().any(|name| name == target) {
        let known = known.join("`, `");
        return Err(Failure::Usage(format!("there is no fuzz target `{target}`; there are: `{known}`")));
    }
    let mut seconds = 60;
    let mut input = None;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = options.next().ok_or_else(|| Failure::Usage(format!("`{option}` needs a value")))?;
        match *option {
            "--seconds" => {
                seconds = value
                    .parse()
                    .map_err(|_| Failure::Usage(format!("`--seconds` takes a whole number, not `{value}`")))?;
            }
            "--input" => input = Some(PathBuf::from(value)),
            _ => return Err(Failure::Usage(format!("`fuzz` does not take `{option}`"))),
        }
    }
    require_program("c++", "g++")?;
    fuzz::build(root)?;
    match input {
        Some(input) => fuzz::reproduce(root, target, &input),
        None => {
            let mut closing = Vec::new();
            let result = fuzz::run_built(root, target, Duration::from_secs(seconds), &[], &mut closing);
            closing.iter().for_each(|line| println!("{line}"));
            result
        }
    }
}

/// The fuzz crate is outside the workspace, so `--all` does not reach it.
fn format(root: &Path) -> Result<(), Failure> {
    run(cargo(root).args(["fmt", "--all", "--check"]))?;
    if root.join("fuzz/Cargo.toml").is_file() {
        run(cargo(root).args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))?;
    }
    Ok(())
}

fn core_packages() -> impl Iterator<Item = String> {
    let names = tidy::CORE_DIRECTION.iter().map(|(folder, _)| folder.replacen("core/", "casemate-", 1));
    names.flat_map(|name| ["-p".to_owned(), name])
}

fn has_nextest(root: &Path) -> bool {
    cargo(root).args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The folder of the workspace, wherever the command was started from.
fn root() -> Result<PathBuf, Failure> {
    let manifest_folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    match manifest_folder.as_deref().and_then(Path::parent) {
        Some(root) if root.join("Cargo.toml").is_file() => Ok(root.to_path_buf()),
        _ => Err(Failure::Usage("start it as `cargo xtask`, which tells it where the workspace is".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_line_is_a_usage_failure() {
        for arguments in [
            &["chekc"][..],
            &["check", "--slow"],
            &["test", "fast"],
            &["fuzz"],
            &["fuzz", "--seconds"],
            &["count", "9"],
        ] {
            assert!(matches!(dispatch(arguments), Err(Failure::Usage(_))), "{arguments:?}");
        }
    }

    #[test]
    fn core_packages_are_named_as_cargo_wants_them() {
        let packages: Vec<String> = core_packages().collect();
        assert_eq!(packages[..2], ["-p", "casemate-protocol"]);
        assert_eq!(packages.len(), 10);
    }

    #[test]
    fn the_inner_loop_runs_every_integration_test_of_core_but_the_slow_ones() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace");
        assert_eq!(quick_core_tests(root).expect("core has tests"), ["--test", "pipeline"]);
        assert!(quick_core_tests(Path::new("/nowhere")).is_err(), "a name that is gone is noticed");
    }
}
