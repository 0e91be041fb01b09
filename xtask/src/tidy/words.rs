//! Words that do not belong in code or prose, names that say nothing, and places that exist on one machine only.
//!
//! This file has to spell what it bans, so it is the one file the text rule skips.

use super::Finding;
use super::source::{SourceFile, words};

const THIS_FILE: &str = "xtask/src/tidy/words.rs";

const UNFINISHED: [&str; 3] = ["TODO", "FIXME", "XXX"];

const NAMELESS_MODULES: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "misc", "types", "stuff"];

/// Only at the start of a path: `a/work/b` is somebody's folder, `/work/` is one machine's.
const MACHINE_PATHS: [&str; 3] = ["/work/", "/root/", "/tmp/bash_jobs"];

/// Where a machine fetches packages from is its own configuration.
const REGISTRY_HOSTS: [&str; 7] = [
    "index.crates.io",
    "static.crates.io",
    "crates.io-index",
    "registry.npmjs.org",
    "files.pythonhosted.org",
    "pypi.org/simple",
    "proxy.golang.org",
];

pub fn check_text(file: &SourceFile) -> Vec<Finding> {
    if file.path == THIS_FILE || is_lock_file(&file.path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut add = |offset: usize, word: &str, why, what_to_do: &str| {
        findings.push(Finding {
            path: file.path.clone(),
            line: file.line_at(offset),
            what: format!("`{word}`"),
            why,
            what_to_do: what_to_do.into(),
        });
    };
    for (offset, word) in words(&file.text).filter(|(_, word)| UNFINISHED.contains(word)) {
        let why = "unfinished work hides in comments";
        add(offset, word, why, "finish it, or say what is deliberately absent and why");
    }
    for path in MACHINE_PATHS {
        for (offset, _) in file.text.match_indices(path).filter(|(offset, _)| starts_path(&file.text, *offset)) {
            add(offset, path, "this path exists on one machine only", "use a path relative to the workspace");
        }
    }
    for host in REGISTRY_HOSTS {
        for (offset, _) in file.text.match_indices(host) {
            add(offset, host, "where packages come from is the machine's configuration", "leave it out");
        }
    }
    findings
}

fn starts_path(text: &str, offset: usize) -> bool {
    let before = text[..offset].chars().next_back();
    before.is_none_or(|character| !character.is_alphanumeric() && !"._-~}$/".contains(character))
}

fn is_lock_file(path: &str) -> bool {
    path.ends_with(".lock") || path.ends_with("-lock.json") || path.ends_with("-lock.yaml")
}

/// Inline modules, and the files and folders that are modules.
pub fn check_module_names(file: &SourceFile) -> Vec<Finding> {
    if !file.path.ends_with(".rs") && !file.path.ends_with(".py") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let stem = file.path.rsplit_once('.').map_or(file.path.as_str(), |(stem, _)| stem);
    found.extend(stem.split('/').filter(|part| NAMELESS_MODULES.contains(part)).map(|part| (1, part)));
    let names: Vec<(usize, &str)> = words(&file.code).collect();
    for pair in names.windows(2).filter(|pair| pair[0].1 == "mod" && NAMELESS_MODULES.contains(&pair[1].1)) {
        found.push((file.line_at(pair[1].0), pair[1].1));
    }
    found
        .into_iter()
        .map(|(line, name)| Finding {
            path: file.path.clone(),
            line,
            what: format!("a module is called `{name}`"),
            why: "the name does not say what is inside, so everything ends up there",
            what_to_do: "name the thing, or put it next to its only caller".into(),
        })
        .collect()
}

/// A lock file that names a mirror works on the machines that have it and nowhere else.
pub fn check_lock_file(file: &SourceFile) -> Vec<Finding> {
    const PUBLIC: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    if !file.path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate();
    lines
        .filter(|(_, line)| line.starts_with("source = ") && *line != PUBLIC)
        .map(|(index, line)| Finding {
            path: file.path.clone(),
            line: index + 1,
            what: format!("`{line}`"),
            why: "every dependency comes from the public registry",
            what_to_do: "remove the mirror or the git source and lock again".into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, text: &str) -> Vec<(usize, String)> {
        check_text(&SourceFile::new(path, text)).into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_prose() {
        assert_eq!(text("core/ledger/src/lib.rs", "fn f() {}\n// TODO: later"), [(2, "`TODO`".into())]);
        assert_eq!(text("docs/a.md", "FIXME and XXX").len(), 2);
        assert_eq!(text("docs/a.md", "todo!() is denied, mastodon TODOS, 0xXXXX"), []);
    }

    #[test]
    fn machine_paths_are_found_at_the_start_of_a_path() {
        assert_eq!(text("docs/a.md", "see /work/main and (/root/.cargo)").len(), 2);
        assert_eq!(text("docs/a.md", "frame/work/x, ./work/y and $HOME/work/z"), []);
    }

    #[test]
    fn registry_hosts_are_found_except_in_lock_files() {
        assert_eq!(text("README.md", "fetched from index.crates.io").len(), 1);
        assert_eq!(text("README.md", "docs are on docs.rs and crates.io"), []);
        assert_eq!(text("console/package-lock.json", "https://registry.npmjs.org/a"), []);
    }

    #[test]
    fn nameless_modules_are_found() {
        let names = |path: &str, text: &str| check_module_names(&SourceFile::new(path, text)).len();
        assert_eq!(names("core/ledger/src/lib.rs", "mod margin;\npub mod utils;"), 1);
        assert_eq!(names("core/ledger/src/helpers.rs", ""), 1);
        assert_eq!(names("core/ledger/src/common/mod.rs", ""), 1);
        assert_eq!(names("clients/python/casemate/utils.py", ""), 1);
        assert_eq!(names("core/ledger/src/margin/mod.rs", "mod rounding;\nlet types = 1;"), 0);
        assert_eq!(names("docs/common.md", ""), 0);
    }

    #[test]
    fn a_lock_file_with_another_source_is_found() {
        let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        let mirror = "source = \"registry+https://mirror.example/index\"\n";
        assert_eq!(check_lock_file(&SourceFile::new("Cargo.lock", public)), []);
        assert_eq!(check_lock_file(&SourceFile::new("fuzz/Cargo.lock", &[public, mirror].concat()))[0].line, 2);
    }
}
