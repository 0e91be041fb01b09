//! Core crates repeat one `[lints]` table, because cargo cannot extend the workspace's. This keeps them equal, and at
//! least as strict as the workspace; every other crate must inherit.

use std::collections::BTreeSet;

use super::Finding;
use super::members::Member;

pub fn check(members: &[Member], root_manifest: &str) -> Vec<Finding> {
    let workspace = lint_lines(root_manifest, "workspace.lints.");
    let core: Vec<&Member> = members.iter().filter(|member| member.folder.starts_with("core/")).collect();
    let all_in_core: BTreeSet<String> = core.iter().flat_map(|member| lint_lines(&member.manifest, "lints.")).collect();

    let mut findings = Vec::new();
    for member in core {
        let own = lint_lines(&member.manifest, "lints.");
        for missing in all_in_core.union(&workspace).filter(|line| !own.contains(*line)) {
            findings.push(Finding {
                path: member.manifest_path(),
                line: lints_line(&member.manifest),
                what: format!("`{missing}` is missing"),
                why: "core crates share one table of lints, at least as strict as the workspace's",
                what_to_do: "copy the `[lints.*]` tables of core/protocol/Cargo.toml".into(),
            });
        }
    }
    for member in members.iter().filter(|member| !member.folder.starts_with("core/")) {
        if !lint_lines(&member.manifest, "lints").contains(" workspace = true") {
            findings.push(Finding {
                path: member.manifest_path(),
                line: lints_line(&member.manifest),
                what: "the workspace's lints are not inherited".into(),
                why: "a crate without lints erodes unseen",
                what_to_do: "add `[lints]` with `workspace = true`".into(),
            });
        }
    }
    findings
}

/// The lines of every table whose name starts with `prefix`, each led by the rest of the table's name.
fn lint_lines(manifest: &str, prefix: &str) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut table = None;
    for line in manifest.lines() {
        let line = line.split('#').next().unwrap_or(line).trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.strip_prefix(prefix);
        } else if let (Some(table), false) = (table, line.is_empty()) {
            lines.insert(format!("{table} {line}"));
        }
    }
    lines
}

fn lints_line(manifest: &str) -> usize {
    1 + manifest.lines().position(|line| line.starts_with("[lints")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::members::tests::member;
    use super::*;

    const ROOT: &str = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n\n[profile.dev]\nopt-level = 1\n";

    fn with_manifest(folder: &str, manifest: &str) -> Member {
        Member { manifest: manifest.into(), ..member(folder, &[]) }
    }

    #[test]
    fn equal_tables_that_hold_the_workspaces_are_clean() {
        let manifest =
            "# why\n[lints.rust]\nunsafe_code = \"forbid\"\n[lints.clippy]\npanic = \"deny\"\n[dependencies]\n";
        let members = [
            with_manifest("core/protocol", manifest),
            with_manifest("core/ledger", manifest),
            with_manifest("apps/node", "[lints]\nworkspace = true\n"),
        ];
        assert_eq!(check(&members, ROOT), []);
    }

    #[test]
    fn a_lint_that_one_core_crate_lacks_or_weakens_is_found() {
        let strict = "[lints.rust]\nunsafe_code = \"forbid\"\n[lints.clippy]\npanic = \"deny\"\n";
        for weaker in ["[lints.rust]\nunsafe_code = \"forbid\"\n", &strict.replace("deny", "warn")] {
            let members = [with_manifest("core/protocol", strict), with_manifest("core/ledger", weaker)];
            assert!(check(&members, ROOT).iter().any(|finding| finding.path == "core/ledger/Cargo.toml"));
        }
    }

    #[test]
    fn a_lint_of_the_workspace_that_core_lacks_is_found() {
        let members = [with_manifest("core/protocol", "[lints.clippy]\npanic = \"deny\"\n")];
        assert_eq!(check(&members, ROOT).len(), 1);
    }

    #[test]
    fn a_crate_outside_core_must_inherit() {
        assert_eq!(check(&[with_manifest("apps/node", "[package]\n")], ROOT).len(), 1);
    }
}
