//! libFuzzer on the stable compiler: the coverage flags that `cargo-fuzz` would set, and nothing else of it.
//!
//! `fuzz/` is a workspace of its own with its own target folder, so that these flags never reach, or rebuild, the
//! ordinary artefacts. There is no address sanitizer on stable; core forbids `unsafe`, so what we look for are
//! panics, overflows, failed assertions, hangs and memory that grows without bound.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::steps::{Failure, cargo, run, run_keeping};

/// Tells libFuzzer which branches an input took and what its comparisons compared.
const COVERAGE_FLAGS: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// One input must not take longer than this.
const INPUT_SECONDS_MAX: u64 = 10;
const MEMORY_MEBIBYTES_MAX: u64 = 2_048;

/// The files in `fuzz/fuzz_targets/`, by name. Each also needs a `[[bin]]` in `fuzz/Cargo.toml`.
pub fn targets(root: &Path) -> Result<Vec<String>, Failure> {
    let folder = root.join("fuzz/fuzz_targets");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let files = folder.read_dir().map_err(|error| cannot_read(&folder, &error))?;
    let paths = files.filter_map(|file| file.ok().map(|file| file.path()));
    let mut names: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Builds every target: they share nearly everything, so one costs about as much as all.
///
/// The flags go in as configuration for the target triple, which cargo *joins* with `.cargo/config.toml`;
/// `RUSTFLAGS` would replace it. `--target` keeps them away from build scripts and procedural macros.
pub fn build(root: &Path) -> Result<(), Failure> {
    let host = host_triple(root)?;
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", host.to_uppercase().replace('-', "_"));
    run(cargo(root)
        .args(["build", "--locked", "--release", "--bins", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target-dir", "fuzz/target", "--target", &host])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env(variable, COVERAGE_FLAGS.join(" ")))
}

/// Fuzzes a target that is already built, starting from its corpus and from the seeds in `fuzz/seeds/TARGET`.
/// `options` go to libFuzzer as they are.
pub fn run_built(
    root: &Path,
    target: &str,
    length: Duration,
    options: &[&str],
    closing: &mut Vec<String>,
) -> Result<(), Failure> {
    let corpus = root.join("fuzz/corpus").join(target);
    let artifacts = root.join("fuzz/artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder).map_err(|error| cannot_read(folder, &error))?;
    }
    let mut command = executable(root, target)?;
    // libFuzzer writes new inputs into the first folder and only reads the others.
    command.arg(relative(root, &corpus));
    let seeds = root.join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        command.arg(relative(root, &seeds));
    }
    command.args([
        format!("-max_total_time={}", length.as_secs()),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MEBIBYTES_MAX}"),
        format!("-artifact_prefix={}/", relative(root, &artifacts).display()),
        "-print_final_stats=1".to_owned(),
    ]);
    command.args(options);
    // File times come from a coarser clock than this one, so look a little further back.
    let started = SystemTime::now() - Duration::from_millis(100);
    let mut statistics = Vec::new();
    let result = run_keeping(&mut command, |line| line.starts_with(EXECUTIONS), &mut statistics);
    closing.extend(statistics.iter().map(|line| format!("{} executions", line[EXECUTIONS.len()..].trim())));
    result.map_err(|_| Failure::Failed(explain(root, target, &written_since(&artifacts, started))))
}

const EXECUTIONS: &str = "stat::number_of_executed_units:";

/// Runs one input, printing what it does to the target.
pub fn reproduce(root: &Path, target: &str, input: &Path) -> Result<(), Failure> {
    if !root.join(input).is_file() {
        return Err(Failure::Usage(format!("there is no input `{}`", input.display())));
    }
    run(executable(root, target)?.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg(input))
}

fn executable(root: &Path, target: &str) -> Result<Command, Failure> {
    let path = Path::new("fuzz/target").join(host_triple(root)?).join("release").join(target);
    if !root.join(&path).is_file() {
        let advice = "give it a `[[bin]]` in `fuzz/Cargo.toml`";
        return Err(Failure::Failed(format!("fuzz target `{target}` has a file but was not built: {advice}")));
    }
    let mut command = Command::new(root.join(&path));
    command.current_dir(root);
    Ok(command)
}

fn explain(root: &Path, target: &str, reproducers: &[PathBuf]) -> String {
    let mut text = format!("fuzz target `{target}` failed");
    for path in reproducers {
        let path = relative(root, path).display().to_string();
        text += &format!("\n  reproducer:   {path}\n  run it again: cargo xtask fuzz {target} --input {path}");
    }
    text
}

/// A crash that was found before is written again under the same name, so the time tells and the name does not.
fn written_since(folder: &Path, started: SystemTime) -> Vec<PathBuf> {
    let files = folder.read_dir().into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = files
        .filter(|file| file.metadata().and_then(|about| about.modified()).is_ok_and(|written| written >= started))
        .map(|file| file.path())
        .collect();
    paths.sort();
    paths
}

fn host_triple(root: &Path) -> Result<String, Failure> {
    let output = Command::new("rustc").arg("-vV").current_dir(root).output();
    let output = output.map_err(|error| Failure::Failed(format!("cannot run `rustc -vV`: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::Failed("`rustc -vV` does not name its host".into()))
}

fn relative<'a>(root: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(root).unwrap_or(path)
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot use `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_reproducer_and_how_to_run_it() {
        let text = explain(Path::new("/r"), "decode", &[PathBuf::from("/r/fuzz/artifacts/decode/crash-1")]);
        assert!(text.contains("fuzz target `decode` failed"));
        assert!(text.contains("cargo xtask fuzz decode --input fuzz/artifacts/decode/crash-1"));
    }

    #[test]
    fn a_tree_without_fuzz_targets_has_none() {
        assert!(targets(Path::new("/nowhere")).expect("an absent folder is an empty list").is_empty());
    }
}
