//! Which crate may depend on which: arrows point inward, apps -> adapters -> core, and core links very little.

use std::collections::BTreeMap;

use super::Finding;
use super::members::{Dependency, Member};

pub const ALLOWED_DEPENDENCIES_PATH: &str = "core/allowed-dependencies.toml";

/// What each core crate may depend on within the repository.
pub const CORE_DIRECTION: [(&str, &[&str]); 5] = [
    ("core/protocol", &[]),
    ("core/ledger", &["core/protocol"]),
    ("core/gate", &["core/protocol", "core/ledger"]),
    ("core/audit", &["core/protocol"]),
    ("core/replica", &["core/protocol", "core/ledger", "core/gate", "core/audit"]),
];

pub fn check_direction(members: &[Member]) -> Vec<Finding> {
    members.iter().flat_map(check_member).collect()
}

fn check_member(member: &Member) -> Vec<Finding> {
    let layer = layer_of(&member.folder);
    let is_on_map = match layer {
        "core" => CORE_DIRECTION.iter().any(|(folder, _)| *folder == member.folder),
        "adapters" | "apps" | "benches" | "xtask" => true,
        _ => false,
    };
    let mut findings = Vec::new();
    if !is_on_map {
        findings.push(Finding {
            path: member.manifest_path(),
            line: 1,
            what: format!("crate `{}` is in no known place", member.name),
            why: "the folder names are the architecture",
            what_to_do: "move it under adapters/ or apps/, or add it to the map in xtask/src/tidy/crates.rs".into(),
        });
    }
    for dependency in &member.dependencies {
        let Some(folder) = dependency.folder.as_deref() else {
            continue;
        };
        if let Err(why) = require_inward(&member.folder, folder) {
            findings.push(Finding {
                path: member.manifest_path(),
                line: member.line_naming(&dependency.name),
                what: format!("`{}` depends on `{folder}`", member.folder),
                why,
                what_to_do: "let the inner crate own a trait and the outer one implement it".into(),
            });
        }
    }
    findings
}

fn require_inward(from: &str, to: &str) -> Result<(), &'static str> {
    // A crate's tests may ask for its own features this way.
    if from == to {
        return Ok(());
    }
    if to == WORLD && !STAGES_THE_WORLD.contains(&from) {
        return Err("the world knows the next price; only what stages a replay or a demonstration may link it");
    }
    if from == SCENARIOS && layer_of(to) != "core" {
        return Err("scenarios drive a bare replica: whatever they show is shown of core");
    }
    match (layer_of(from), layer_of(to)) {
        ("core", "core") => {
            let allowed = CORE_DIRECTION.iter().find(|(folder, _)| *folder == from).map_or(&[][..], |(_, to)| *to);
            let why = "core's order is protocol <- ledger <- gate <- replica and protocol <- audit <- replica";
            if allowed.contains(&to) { Ok(()) } else { Err(why) }
        }
        ("core", _) => Err("core never names an adapter or an app"),
        ("adapters", "adapters") => Err("an adapter wraps one heavy dependency and knows no other adapter"),
        ("adapters", "core") | ("apps", "core" | "adapters" | "apps") => Ok(()),
        ("benches", "core") => Ok(()),
        (_, "benches") => Err("benchmarks claim that commands were verified, so nothing may link them"),
        ("benches", _) => Err("benchmarks measure core; `casemate bench` measures the rest"),
        ("adapters", _) => Err("apps depend on adapters, never the other way"),
        ("xtask", _) => Err("xtask must build when nothing else does"),
        _ => Err("arrows point inward: apps -> adapters -> core"),
    }
}

/// Prices to come, and the apps that play them to a venue.
const WORLD: &str = "apps/world";
const STAGES_THE_WORLD: [&str; 2] = ["apps/casemate", SIMULATOR];

/// Incidents, played to a replica.
const SCENARIOS: &str = "apps/scenarios";

fn layer_of(folder: &str) -> &str {
    folder.split('/').next().unwrap_or(folder)
}

pub fn check_allowed_dependencies(members: &[Member], allowed: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let allowed = parse_allowed(allowed, &mut findings);
    let is_allowed = |section: &str, name: &str| allowed.contains_key(&(section.to_owned(), name.to_owned()));
    let mut used = Vec::new();
    for member in members.iter().filter(|member| layer_of(&member.folder) == "core") {
        for dependency in member.dependencies.iter().filter(|dependency| dependency.folder.is_none()) {
            let section = allowed_section(dependency);
            used.push((section.to_owned(), dependency.name.clone()));
            // What replicas may link, tests may link too.
            if !is_allowed(section, &dependency.name) && !is_allowed("core", &dependency.name) {
                findings.push(not_allowed(member, dependency, section));
            } else if section == "core" && !dependency.requirement.starts_with('=') {
                findings.push(not_pinned(member, dependency));
            }
        }
    }
    for (entry, line) in &allowed {
        if entry.0 == "core" && !used.contains(entry) {
            findings.push(Finding {
                path: ALLOWED_DEPENDENCIES_PATH.into(),
                line: *line,
                what: format!("`{}` is allowed but no core crate uses it", entry.1),
                why: "a stale permission is used without a decision",
                what_to_do: "remove the line".into(),
            });
        }
    }
    findings
}

/// An optional dependency is linked only with the feature [`TESTING`], which tests ask for and replicas never do.
fn allowed_section(dependency: &Dependency) -> &'static str {
    if dependency.is_dev || dependency.is_optional { "tests" } else { "core" }
}

/// The feature of a core crate that brings strategies and examples for other crates' tests.
const TESTING: &str = "testing";

/// The simulator is a test in itself.
const SIMULATOR: &str = "apps/sim";

pub fn check_testing_feature(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members.iter().filter(|member| member.folder != SIMULATOR) {
        let linked = member.dependencies.iter().filter(|dependency| !dependency.is_dev);
        for dependency in linked.filter(|dependency| dependency.features.iter().any(|name| name == TESTING)) {
            findings.push(Finding {
                path: member.manifest_path(),
                line: member.line_naming(&dependency.name),
                what: format!("`{}` is linked with its feature `{TESTING}`", dependency.name),
                why: "test support would run inside replicas",
                what_to_do: "ask for the feature under [dev-dependencies]".into(),
            });
        }
    }
    findings
}

fn not_allowed(member: &Member, dependency: &Dependency, section: &str) -> Finding {
    Finding {
        path: member.manifest_path(),
        line: member.line_naming(&dependency.name),
        what: format!("core depends on `{}`", dependency.name),
        why: "what core links decides verdicts on every replica",
        what_to_do: format!(
            "move it to an adapter, or write a decision record and add it to [{section}] in {ALLOWED_DEPENDENCIES_PATH}"
        ),
    }
}

fn not_pinned(member: &Member, dependency: &Dependency) -> Finding {
    Finding {
        path: member.manifest_path(),
        line: member.line_naming(&dependency.name),
        what: format!("`{}` is required as `{}`", dependency.name, dependency.requirement),
        why: "an update could change a verdict unseen",
        what_to_do: "pin the exact version with `=` in the workspace's Cargo.toml".into(),
    }
}

/// A small part of TOML, read strictly: sections, comments, and `name = "reason"`. Gives the line of each entry.
fn parse_allowed(text: &str, findings: &mut Vec<Finding>) -> BTreeMap<(String, String), usize> {
    let mut entries = BTreeMap::new();
    let mut section = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            continue;
        }
        let entry = line.split_once(" = \"").and_then(|(name, reason)| Some((name, reason.strip_suffix('"')?)));
        match entry {
            Some((name, reason)) if !reason.is_empty() && ["core", "tests"].contains(&section.as_str()) => {
                entries.insert((section.clone(), name.to_owned()), index + 1);
            }
            _ => findings.push(Finding {
                path: ALLOWED_DEPENDENCIES_PATH.into(),
                line: index + 1,
                what: format!("`{line}` is not an entry"),
                why: "a permission that is misread is no permission",
                what_to_do: "write `name = \"reason\"` under [core] or [tests]".into(),
            }),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::super::members::tests::member;
    use super::*;

    fn directions(folder: &str, dependencies: &[&str]) -> usize {
        check_direction(&[member(folder, dependencies)]).len()
    }

    #[test]
    fn core_depends_along_its_order_only() {
        assert_eq!(directions("core/gate", &["core/protocol", "core/ledger", "borsh"]), 0);
        assert_eq!(directions("core/replica", &["core/protocol", "core/ledger", "core/gate", "core/audit"]), 0);
        assert_eq!(directions("core/protocol", &["core/ledger"]), 1);
        assert_eq!(directions("core/ledger", &["core/gate"]), 1);
        assert_eq!(directions("core/audit", &["core/ledger"]), 1);
        assert_eq!(directions("core/ledger", &["core/gate*"]), 1, "tests follow the same order");
        assert_eq!(directions("core/ledger", &["core/ledger+testing*"]), 0, "a crate may test itself");
    }

    #[test]
    fn core_never_depends_outward() {
        assert_eq!(directions("core/gate", &["adapters/policy-cedar"]), 1);
        assert_eq!(directions("core/replica", &["apps/node"]), 1);
    }

    #[test]
    fn adapters_depend_on_core_and_on_no_adapter_or_app() {
        assert_eq!(directions("adapters/api-http", &["core/replica", "core/gate", "axum"]), 0);
        assert_eq!(directions("adapters/api-http", &["adapters/policy-cedar"]), 1);
        assert_eq!(directions("adapters/api-http", &["apps/node"]), 1);
    }

    #[test]
    fn apps_assemble_anything_and_xtask_nothing() {
        assert_eq!(directions("apps/casemate", &["apps/node", "adapters/api-http", "core/replica"]), 0);
        assert_eq!(directions("benches", &["core/ledger", "core/replica", "criterion*"]), 0);
        assert_eq!(directions("benches", &["apps/node"]), 1);
        assert_eq!(directions("apps/node", &["benches/hot"]), 1);
        assert_eq!(directions("xtask", &["serde_json"]), 0);
        assert_eq!(directions("xtask", &["core/protocol"]), 1);
    }

    #[test]
    fn the_world_is_linked_by_what_stages_it_alone() {
        assert_eq!(directions("apps/casemate", &["apps/world"]), 0);
        assert_eq!(directions("apps/sim", &["apps/world"]), 0);
        assert_eq!(directions("apps/node", &["apps/world"]), 1);
        assert_eq!(directions("apps/node", &["apps/world*"]), 1, "tests of the venue must not know the future either");
        assert_eq!(directions("core/ledger", &["apps/world"]), 1);
    }

    #[test]
    fn scenarios_drive_core_and_nothing_else() {
        assert_eq!(directions("apps/scenarios", &["core/replica", "core/gate"]), 0);
        assert_eq!(directions("apps/scenarios", &["apps/node"]), 1);
        assert_eq!(directions("apps/casemate", &["apps/scenarios"]), 0);
    }

    #[test]
    fn a_crate_off_the_map_is_found() {
        assert_eq!(directions("libs/math", &[]), 1);
        assert_eq!(directions("core/extra", &[]), 1);
    }

    #[test]
    fn a_finding_points_at_the_dependency() {
        let findings = check_direction(&[member("core/ledger", &["core/protocol", "core/gate"])]);
        assert_eq!((findings[0].path.as_str(), findings[0].line), ("core/ledger/Cargo.toml", 3));
    }

    const ALLOWED: &str = "# why\n[core]\nborsh = \"bytes\"\n\n[tests]\nproptest = \"properties\"\n";

    #[test]
    fn core_links_only_what_is_allowed_and_pinned() {
        let clean = member("core/protocol", &["borsh@=1.8.1", "proptest@^1*"]);
        assert_eq!(check_allowed_dependencies(&[clean], ALLOWED), []);

        let stranger = member("core/protocol", &["borsh@=1.8.1", "rand@=0.9.0"]);
        assert_eq!(check_allowed_dependencies(&[stranger], ALLOWED).len(), 1);

        let loose = member("core/protocol", &["borsh@^1.8"]);
        assert!(check_allowed_dependencies(&[loose], ALLOWED)[0].what_to_do.contains("pin"));

        let linked_test = member("core/protocol", &["borsh@=1.8.1", "proptest@=1.12.0"]);
        assert_eq!(check_allowed_dependencies(&[linked_test], ALLOWED).len(), 1, "allowed in tests only");

        let used_twice = member("core/protocol", &["borsh@=1.8.1", "borsh@=1.8.1*"]);
        assert_eq!(check_allowed_dependencies(&[used_twice], ALLOWED), []);

        let edge = member("apps/node", &["rand@^0.9"]);
        let core = member("core/protocol", &["borsh@=1.8.1"]);
        assert_eq!(check_allowed_dependencies(&[edge, core], ALLOWED), []);
    }

    #[test]
    fn an_optional_dependency_counts_as_one_of_tests() {
        let optional = member("core/protocol", &["borsh@=1.8.1", "proptest@^1.12?"]);
        assert_eq!(check_allowed_dependencies(&[optional], ALLOWED), []);
        let stranger = member("core/protocol", &["borsh@=1.8.1", "rand@=0.9.0?"]);
        assert_eq!(check_allowed_dependencies(&[stranger], ALLOWED).len(), 1);
    }

    #[test]
    fn test_support_is_linked_into_tests_and_the_simulator_only() {
        let linked = |folder: &str, dependency: &str| check_testing_feature(&[member(folder, &[dependency])]).len();
        assert_eq!(linked("core/ledger", "core/protocol+testing"), 1);
        assert_eq!(linked("apps/node", "core/protocol+testing"), 1);
        assert_eq!(linked("core/ledger", "core/protocol+testing*"), 0);
        assert_eq!(linked("apps/sim", "core/protocol+testing"), 0);
        assert_eq!(linked("apps/node", "core/protocol+other"), 0);
    }

    #[test]
    fn a_stale_or_misspelt_permission_is_found() {
        assert_eq!(check_allowed_dependencies(&[], "[core]\nborsh = \"bytes\"\n").len(), 1);
        assert_eq!(check_allowed_dependencies(&[], "[tests]\ninsta\n").len(), 1);
        assert_eq!(check_allowed_dependencies(&[], "[test]\ninsta = \"golden\"\n").len(), 1);
        assert_eq!(check_allowed_dependencies(&[], "[tests]\ninsta = \"\"\n").len(), 1);
    }
}
