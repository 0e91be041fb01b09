//! The workspace's crates and what they depend on, as cargo itself reads them.

use std::path::Path;

use serde_json::Value;

use crate::steps::{Failure, cargo};

pub struct Member {
    pub name: String,
    /// Relative to the workspace, such as `core/ledger`.
    pub folder: String,
    pub manifest: String,
    pub dependencies: Vec<Dependency>,
}

pub struct Dependency {
    /// The package's name, also where the manifest renames it.
    pub name: String,
    pub requirement: String,
    /// Under `[dev-dependencies]`.
    pub is_dev: bool,
    /// Linked only when a feature asks for it.
    pub is_optional: bool,
    pub features: Vec<String>,
    /// Where it is, for a crate of this repository.
    pub folder: Option<String>,
}

impl Member {
    pub fn manifest_path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// The line that names a dependency, or the first where the manifest spells it in an unusual way.
    pub fn line_naming(&self, dependency: &str) -> usize {
        let is_named = |line: &str| {
            let behind = line.trim_start().strip_prefix(dependency);
            behind.is_some_and(|rest| rest.starts_with([' ', '.', '=']))
        };
        1 + self.manifest.lines().position(is_named).unwrap_or(0)
    }
}

/// Needs neither the network nor a lock file.
pub fn read(root: &Path) -> Result<Vec<Member>, Failure> {
    let output = cargo(root).args(["metadata", "--no-deps", "--format-version", "1"]).output();
    let output = output.map_err(|error| Failure::Failed(format!("cannot run `cargo metadata`: {error}")))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::Failed(format!("`cargo metadata` failed: {message}")));
    }
    parse(root, &output.stdout, |path| std::fs::read_to_string(path))
        .ok_or_else(|| Failure::Failed("`cargo metadata` answered in a form this does not know".into()))
}

fn parse(
    root: &Path,
    metadata: &[u8],
    read_manifest: impl Fn(&Path) -> std::io::Result<String>,
) -> Option<Vec<Member>> {
    let metadata: Value = serde_json::from_slice(metadata).ok()?;
    let inside = |path: &Path| path.strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned());
    let dependency = |value: &Value| {
        Some(Dependency {
            name: value["name"].as_str()?.to_owned(),
            requirement: value["req"].as_str()?.to_owned(),
            is_dev: value["kind"] == "dev",
            is_optional: value["optional"] == true,
            features: value["features"].as_array()?.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
            folder: value["path"].as_str().map(|path| inside(Path::new(path)).unwrap_or_else(|| path.to_owned())),
        })
    };
    let member = |value: &Value| {
        let manifest_path = Path::new(value["manifest_path"].as_str()?);
        Some(Member {
            name: value["name"].as_str()?.to_owned(),
            folder: inside(manifest_path.parent()?)?,
            manifest: read_manifest(manifest_path).ok()?,
            dependencies: value["dependencies"].as_array()?.iter().map(dependency).collect::<Option<_>>()?,
        })
    };
    metadata["packages"].as_array()?.iter().map(member).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A member for rules to look at. Each dependency is a folder of ours or the name of a foreign crate, then
    /// perhaps `@` and a requirement, then perhaps `+` and a feature, then perhaps `*` for a dependency of tests or
    /// `?` for an optional one.
    pub fn member(folder: &str, dependencies: &[&str]) -> Member {
        let dependency = |text: &&str| {
            let (is_dev, is_optional) = (text.ends_with('*'), text.ends_with('?'));
            let text = text.trim_end_matches(['*', '?']);
            let (text, feature) = text.split_once('+').map_or((text, None), |(text, feature)| (text, Some(feature)));
            let (path, requirement) = text.split_once('@').unwrap_or((text, "*"));
            Dependency {
                name: path.replace('/', "-"),
                requirement: requirement.to_owned(),
                is_dev,
                is_optional,
                features: feature.map(str::to_owned).into_iter().collect(),
                folder: path.contains('/').then(|| path.to_owned()),
            }
        };
        let dependencies: Vec<Dependency> = dependencies.iter().map(dependency).collect();
        let lines: Vec<String> = dependencies.iter().map(|one| format!("{} = {{}}\n", one.name)).collect();
        Member {
            name: folder.replace('/', "-"),
            folder: folder.to_owned(),
            manifest: format!("[dependencies]\n{}", lines.concat()),
            dependencies,
        }
    }

    #[test]
    fn the_answer_of_cargo_is_understood() {
        let metadata = br#"{"packages": [{
            "name": "casemate-gate", "manifest_path": "/r/core/gate/Cargo.toml", "dependencies": [
                {"name": "borsh", "req": "=1.8.1", "kind": null, "optional": false, "features": ["derive"]},
                {"name": "casemate-ledger", "req": "*", "kind": null, "path": "/r/core/ledger", "features": []},
                {"name": "proptest", "req": "^1.12", "kind": "dev", "optional": false, "features": []},
                {"name": "proptest", "req": "^1.12", "kind": null, "optional": true, "features": []}
        ]}]}"#;
        let members = parse(Path::new("/r"), metadata, |_| Ok("[dependencies]\nborsh.workspace = true\n".into()));
        let members = members.expect("the sample is what cargo prints");
        assert_eq!(members[0].folder, "core/gate");
        assert_eq!(members[0].line_naming("borsh"), 2);
        let dependencies = &members[0].dependencies;
        assert_eq!(dependencies[0].requirement, "=1.8.1");
        assert_eq!(dependencies[1].folder.as_deref(), Some("core/ledger"));
        assert_eq!(dependencies[0].features, ["derive"]);
        assert!(dependencies[2].is_dev && !dependencies[0].is_dev);
        assert!(dependencies[3].is_optional && !dependencies[0].is_optional);
    }

    #[test]
    fn an_answer_without_packages_is_refused() {
        assert!(parse(Path::new("/r"), b"{}", |_| Ok(String::new())).is_none());
    }
}
