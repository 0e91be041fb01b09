//! Rules of this repository that neither rustc nor clippy can check.
//!
//! Each rule is a file, a function over sources or manifests that adds findings, and tests with a violating and a
//! clean input. The rules read text, with Rust comments and literals blanked out where they would mislead; they do
//! not resolve names, so they catch slips and erosion, not someone who hides on purpose.
//!
//! Not here: what a lint can do. Casts, indexing, panics, hash maps, clocks and locks are clippy's
//! (`core/clippy.toml` and the `[lints]` of each core crate).

mod assertion;
mod crates;
mod floats;
mod headers;
mod length;
mod lints;
mod members;
mod source;
mod unsafe_code;
mod wire;
mod words;

use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::steps::Failure;
pub use crates::CORE_DIRECTION;
use members::Member;
use source::SourceFile;

/// What was found. A warning is for the reader to weigh; a finding fails the check.
pub struct Report {
    pub findings: Vec<Finding>,
    pub warnings: Vec<Finding>,
    pub files_count: usize,
}

/// One place that breaks one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub what: String,
    pub why: &'static str,
    pub what_to_do: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, line, what, why, what_to_do } = self;
        write!(formatter, "{path}:{line}: {what}: {why}; {what_to_do}")
    }
}

pub fn check(root: &Path) -> Result<Report, Failure> {
    let files = source_files(root)?;
    let members = members::read(root)?;
    let allowed_path = crates::ALLOWED_DEPENDENCIES_PATH;
    let allowed =
        std::fs::read_to_string(root.join(allowed_path)).map_err(|error| cannot_read(allowed_path, &error))?;
    let root_manifest =
        std::fs::read_to_string(root.join("Cargo.toml")).map_err(|error| cannot_read("Cargo.toml", &error))?;

    let mut findings = check_members(&members, &allowed, &root_manifest);
    let mut warnings = Vec::new();
    for file in &files {
        findings.extend(check_file(file));
        warnings.extend(length::check(file));
    }
    findings.sort();
    warnings.sort();
    Ok(Report { findings, warnings, files_count: files.len() })
}

fn check_members(members: &[Member], allowed: &str, root_manifest: &str) -> Vec<Finding> {
    let mut findings = crates::check_direction(members);
    findings.extend(crates::check_allowed_dependencies(members, allowed));
    findings.extend(crates::check_testing_feature(members));
    findings.extend(lints::check(members, root_manifest));
    findings
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let rules = [
        assertion::check,
        floats::check,
        headers::check,
        unsafe_code::check,
        wire::check,
        words::check_text,
        words::check_module_names,
        words::check_lock_file,
    ];
    rules.iter().flat_map(|rule| rule(file)).collect()
}

/// Every text file that git knows or would add. Without git, in an unpacked archive say, every file there is.
fn source_files(root: &Path) -> Result<Vec<SourceFile>, Failure> {
    let mut paths = if root.join(".git").exists() { paths_from_git(root)? } else { paths_from_folder(root, "")? };
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let full_path = root.join(&path);
        // A path that git knows may be deleted in the working tree, and a link is checked where it leads.
        if !full_path.symlink_metadata().is_ok_and(|about| about.is_file()) {
            continue;
        }
        let bytes = std::fs::read(&full_path).map_err(|error| cannot_read(&path, &error))?;
        // Only text has words; pictures and archives are skipped.
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(SourceFile::new(&path, &text));
        }
    }
    Ok(files)
}

fn paths_from_git(root: &Path) -> Result<Vec<String>, Failure> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output();
    let output = output.map_err(|error| cannot_read("git ls-files", &error))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::Failed(format!("`git ls-files` failed: {message}")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

fn paths_from_folder(root: &Path, folder: &str) -> Result<Vec<String>, Failure> {
    const BUILT: [&str; 5] = ["target", "corpus", "artifacts", "node_modules", ".venv"];
    let mut paths = Vec::new();
    for entry in root.join(folder).read_dir().map_err(|error| cannot_read(folder, &error))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !BUILT.contains(&name.as_str()) => {
                paths.extend(paths_from_folder(root, &path)?);
            }
            Ok(kind) if kind.is_file() => paths.push(path),
            _ => {}
        }
    }
    Ok(paths)
}

fn cannot_read(what: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot read `{what}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_why_and_what_to_do() {
        let finding = Finding {
            path: "core/ledger/src/lib.rs".into(),
            line: 7,
            what: "float `1.5`".into(),
            why: "floats are not exact",
            what_to_do: "scale it".into(),
        };
        assert_eq!(finding.to_string(), "core/ledger/src/lib.rs:7: float `1.5`: floats are not exact; scale it");
    }

    #[test]
    fn every_file_rule_runs() {
        let file = SourceFile::new(
            "core/ledger/src/margin/mod.rs",
            "pub mod utils;\nconst RATE: f64 = 1.5;\nfn f() { unsafe { Verified::assertion(); } }\n",
        );
        let found: Vec<String> = check_file(&file).into_iter().map(|finding| finding.what).collect();
        for part in ["utils", "f64", "1.5", "unsafe", "assertion", "Owns:"] {
            assert!(found.iter().any(|what| what.contains(part)), "{part} is missing from {found:?}");
        }
    }
}
