//! Runs programs, keeps the time of each step, and remembers the lines worth repeating at the end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a command did not succeed: what it checked failed, or it was called wrongly.
#[derive(Debug)]
pub enum Failure {
    Failed(String),
    Usage(String),
}

/// The steps run so far. Its table is the last thing a command prints, so that the end of a long log tells the story.
pub struct Steps {
    started: Instant,
    finished: Vec<(String, Duration, bool)>,
    closing: Vec<String>,
}

impl Steps {
    pub fn new() -> Self {
        Steps { started: Instant::now(), finished: Vec::new(), closing: Vec::new() }
    }

    /// `body` may push lines that are printed once more under the table.
    pub fn run(
        &mut self,
        name: &str,
        body: impl FnOnce(&mut Vec<String>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        println!("\n==> {name}");
        let started = Instant::now();
        let mut closing = Vec::new();
        let result = body(&mut closing);
        let elapsed = started.elapsed();
        println!("    {name}: {:.1} s", elapsed.as_secs_f64());
        self.closing.extend(closing.into_iter().map(|line| format!("{name}: {line}")));
        self.finished.push((name.to_owned(), elapsed, result.is_ok()));
        result
    }

    pub fn print(&self) {
        println!("\n{}", table(&self.finished, self.started.elapsed()));
        for line in &self.closing {
            println!("{line}");
        }
    }
}

fn table(finished: &[(String, Duration, bool)], total: Duration) -> String {
    let width = finished.iter().map(|(name, ..)| name.len()).max().unwrap_or(0).max("total".len());
    let mut text = String::new();
    for (name, elapsed, is_ok) in finished {
        let verdict = if *is_ok { "ok" } else { "FAILED" };
        text += &format!("{name:width$}  {:>7.1} s  {verdict}\n", elapsed.as_secs_f64());
    }
    let verdict = if finished.iter().all(|(.., is_ok)| *is_ok) { "ok" } else { "FAILED" };
    text + &format!("{:width$}  {:>7.1} s  {verdict}", "total", total.as_secs_f64())
}

/// A cargo command in the workspace, with the cargo that started us.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a program with our own input and output, and says what it runs.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    let text = announce(command);
    let status = command.status().map_err(|error| cannot_start(&text, &error))?;
    verdict(&text, status)
}

/// As [`run`], and also copies the lines of standard error that `is_kept` picks into `kept`.
pub fn run_keeping(
    command: &mut Command,
    is_kept: impl Fn(&str) -> bool,
    kept: &mut Vec<String>,
) -> Result<(), Failure> {
    let text = announce(command);
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(|error| cannot_start(&text, &error))?;
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            eprintln!("{line}");
            // nextest prints a failure when it happens and again at the end.
            let line = line.trim();
            if is_kept(line) && !kept.iter().any(|known| known == line) {
                kept.push(line.to_owned());
            }
        }
    }
    let status = child.wait().map_err(|error| cannot_start(&text, &error))?;
    verdict(&text, status)
}

/// Whether a line belongs to what nextest prints last: the summary and one line for each test that did not pass.
/// The latter appear while the tests run too; the summary comes last, so the end reads the same.
pub fn nextest_closing_line(line: &str) -> bool {
    let line = line.trim();
    let has_duration = line.split_once('[').is_some_and(|(_, rest)| rest.contains("s]"));
    let is_unhappy = ["FAIL ", "TIMEOUT ", "SIG", "ABORT ", "LEAK-FAIL "].iter().any(|start| line.starts_with(start));
    has_duration && (line.starts_with("Summary ") || is_unhappy)
}

/// Makes sure a program exists, through the Debian package that has it where we may install one.
pub fn require_program(program: &str, debian_package: &str) -> Result<(), Failure> {
    if Command::new(program).arg("--version").output().is_ok() {
        return Ok(());
    }
    println!("`{program}` is missing; installing the Debian package `{debian_package}`");
    run(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", debian_package]))
        .map_err(|_| Failure::Failed(format!("`{program}` is missing: install the Debian package `{debian_package}`")))
}

/// The command line as a reader would type it in the folder it runs in.
fn announce(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| {
            let path = Path::new(word);
            let inside = command.get_current_dir().and_then(|folder| path.strip_prefix(folder).ok());
            let is_cargo = path.is_absolute() && path.ends_with("bin/cargo");
            let word = if is_cargo { "cargo".into() } else { inside.unwrap_or(path).to_string_lossy() };
            if word.contains([' ', '*']) { format!("'{word}'") } else { word.into_owned() }
        })
        .collect();
    let text = words.join(" ");
    println!("+ {text}");
    text
}

fn verdict(text: &str, status: std::process::ExitStatus) -> Result<(), Failure> {
    if status.success() { Ok(()) } else { Err(Failure::Failed(format!("`{text}` failed with {status}"))) }
}

fn cannot_start(text: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot run `{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_which_step_failed_and_how_long_each_took() {
        let finished = [
            ("format".to_owned(), Duration::from_millis(1_234), true),
            ("tests".to_owned(), Duration::from_secs(70), false),
        ];
        let expected = "format      1.2 s  ok\ntests      70.0 s  FAILED\ntotal      71.2 s  FAILED";
        assert_eq!(table(&finished, Duration::from_millis(71_234)), expected);
    }

    #[test]
    fn a_failing_step_stops_the_rest_and_still_counts() {
        let mut steps = Steps::new();
        let result = steps.run("doomed", |closing| {
            closing.push("last words".into());
            Err(Failure::Failed("no".into()))
        });
        assert!(result.is_err());
        assert!(!steps.finished[0].2);
        assert_eq!(steps.closing, ["doomed: last words"]);
    }

    #[test]
    fn output_is_kept_and_the_exit_code_counts() {
        let mut kept = Vec::new();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo one >&2; echo two >&2; echo two >&2; exit 3"]);
        let result = run_keeping(&mut shell, |line| line == "two", &mut kept);
        assert!(matches!(result, Err(Failure::Failed(_))));
        assert_eq!(kept, ["two"]);
    }

    #[test]
    fn a_command_is_announced_as_one_would_type_it() {
        let mut command = Command::new("/tools/bin/cargo");
        command.current_dir("/tree").args(["nextest", "run", "-E", "not all()", "/tree/fuzz/corpus"]);
        assert_eq!(announce(&command), "cargo nextest run -E 'not all()' fuzz/corpus");
    }

    #[test]
    fn the_summary_and_the_failures_of_nextest_are_kept() {
        assert!(nextest_closing_line("     Summary [   0.012s] 3 tests run: 2 passed, 1 failed, 0 skipped"));
        assert!(nextest_closing_line("        FAIL [   0.004s] (2/3) casemate-ledger margin::tests::rounds_up"));
        assert!(nextest_closing_line("     SIGABRT [   0.004s] casemate-ledger margin::tests::rounds_up"));
        assert!(!nextest_closing_line("        PASS [   0.004s] casemate-ledger margin::tests::rounds_down"));
        assert!(!nextest_closing_line("error: test run failed"));
    }
}
