//! Every domain folder of the ledger opens with the same headings, so knowing one means knowing all.

use super::Finding;
use super::source::SourceFile;

const HEADINGS: [&str; 6] = ["Owns:", "Reads:", "Commands:", "Events:", "Invariants:", "Not here:"];

pub fn check(file: &SourceFile) -> Vec<Finding> {
    if !is_domain(&file.path) {
        return Vec::new();
    }
    let opening: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
    let missing = HEADINGS.iter().filter(|heading| !opening.iter().any(|line| line.contains(*heading)));
    missing
        .map(|heading| Finding {
            path: file.path.clone(),
            line: 1,
            what: format!("the module's opening has no `{heading}`"),
            why: "every domain says what it owns, what it keeps true and what is elsewhere",
            what_to_do: "add the heading to the `//!` lines; write `none` where there is nothing".into(),
        })
        .collect()
}

/// `core/ledger/src/DOMAIN/mod.rs`.
fn is_domain(path: &str) -> bool {
    let inside = path.strip_prefix("core/ledger/src/").and_then(|path| path.strip_suffix("/mod.rs"));
    inside.is_some_and(|domain| !domain.contains('/') && domain != "tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_heading_is_found() {
        let text = "//! Margin.\n//! Owns: nothing. Reads: positions.\n//! Commands: none. Events: none.\n\nmod a; // Not here:\n";
        let found = check(&SourceFile::new("core/ledger/src/margin/mod.rs", text));
        let what: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(what, ["the module's opening has no `Invariants:`", "the module's opening has no `Not here:`"]);
    }

    #[test]
    fn all_headings_are_clean() {
        let text =
            "//! M.\n//!\n//! Owns: a. Reads: b.\n//! Commands: c. Events: d.\n//! Invariants: e.\n//! Not here: f.\n";
        assert_eq!(check(&SourceFile::new("core/ledger/src/margin/mod.rs", text)), []);
    }

    #[test]
    fn other_modules_need_none() {
        for path in ["core/ledger/src/lib.rs", "core/ledger/src/margin/tests/mod.rs", "core/gate/src/policy/mod.rs"] {
            assert_eq!(check(&SourceFile::new(path, "")), [], "{path}");
        }
    }
}
