//! An ordinary Ethereum wallet library against a served node: JavaScript on one side, the built program on the other.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use support::{NodeProcess, stderr, stdout, write_genesis};

/// Files of the JavaScript side, beside this file.
const FILES: [&str; 4] = ["package.json", "package-lock.json", "casemate.mjs", "login.mjs"];

/// The folder with the wallet library installed, once for all runs; a reason if that cannot be.
fn installed() -> Result<PathBuf, String> {
    for program in ["node", "npm"] {
        let asked = Command::new(program).arg("--version").output();
        if !asked.is_ok_and(|output| output.status.success()) {
            return Err(format!("`{program}` is not installed"));
        }
    }
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wallet");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wallet");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = std::fs::read(from.join("package-lock.json")).unwrap();
    let is_installed = std::fs::read(folder.join("installed.json")).is_ok_and(|installed| installed == lock);
    for file in FILES {
        std::fs::copy(from.join(file), folder.join(file)).unwrap();
    }
    if !is_installed {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]);
        let output = npm.current_dir(&folder).stdin(Stdio::null()).output().unwrap();
        if !output.status.success() {
            return Err(format!("`npm ci` failed: {}", stderr(&output)));
        }
        std::fs::write(folder.join("installed.json"), lock).unwrap();
    }
    Ok(folder)
}

fn run(folder: &Path, script: &str, url: &str) -> Output {
    let mut node = Command::new("node");
    node.args([script, "--url", url, "--casemate", env!("CARGO_BIN_EXE_casemate")]);
    node.current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn slow_an_ethereum_wallet_opens_an_account_grants_withdraws_and_is_refused_for_what_it_did_not_sign() {
    let folder = match installed() {
        Ok(folder) => folder,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("genesis.toml.in");
    write_genesis(&file, 1);
    let (data, file) = (data.path().join("data"), file.to_str().unwrap().to_owned());
    let process =
        NodeProcess::start(&["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap(), "--genesis", &file]);
    assert!(process.next().unwrap()["opened"].is_object());
    let listening = process.next().unwrap();
    let url = format!("http://{}", listening["listening"]["address"].as_str().unwrap());

    let output = run(&folder, "login.mjs", &url);
    assert!(output.status.success(), "{}", stderr(&output));
    let told: Value = serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
    let expected = serde_json::json!({
        "other_chain": 104, "other_chain_lifted_here": 106, "other_amount": 106, "expired": 112, "two_commands": 124,
        "no_pass": 140, "another_account": 147,
    });
    assert_eq!(told["refusals"], expected, "{told}");
}
