//! Policies of a running venue with the client: what is in force, what an account needs, and how officers change it.

mod support;

use std::path::{Path, PathBuf};

use casemate_node::development_keys::root_key;
use casemate_node::genesis_file::{self, DEVELOPMENT_SEED, development_genesis};
use casemate_protocol::genesis::Genesis;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{NodeProcess, casemate, now, stderr, stdout, write_key};

struct Bench {
    process: NodeProcess,
    url: String,
    folder: tempfile::TempDir,
    genesis: Genesis,
}

impl Bench {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let genesis = development_genesis(now());
        let file = folder.path().join("genesis.toml.in");
        std::fs::write(&file, genesis_file::write(&genesis)).unwrap();
        let data = folder.path().join("data");
        let arguments =
            ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap(), "--genesis", file.to_str().unwrap()];
        let process = NodeProcess::start(&arguments);
        process.next().expect("it opens");
        let listening = process.next().expect("it listens");
        let url = format!("http://{}", listening["listening"]["address"].as_str().unwrap());
        Self { process, url, folder, genesis }
    }

    fn client(&self, arguments: &[&str]) -> (bool, String) {
        let output = casemate(&[arguments, &["--url", &self.url]].concat());
        (output.status.success(), format!("{}{}", stdout(&output), stderr(&output)))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = casemate(&[arguments, &["--json", "--url", &self.url]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A copy of the shipped set with another first line of value.
    fn changed(&self, name: &str, from: &str, to: &str) -> PathBuf {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/policies");
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let mut is_changed = false;
        for entry in shipped.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            is_changed |= text.contains(from);
            std::fs::write(folder.join(path.file_name().unwrap()), text.replace(from, to)).unwrap();
        }
        assert!(is_changed, "the shipped set does not say {from}");
        folder
    }
}

#[test]
fn slow_officers_look_at_what_they_sign_and_a_set_that_fails_is_not_proposed() {
    let bench = Bench::start();
    let shown = bench.json(&["policy", "show"]);
    assert_eq!((&shown["epoch"], shown["files"].as_array().unwrap().len()), (&0.into(), 7));
    let out = bench.folder.path().join("shown");
    let (is_done, told) = bench.client(&["policy", "show", "--out", out.to_str().unwrap()]);
    assert!(is_done && told.contains("10-trading.cedar"), "{told}");
    let check = casemate(&["policy", "check", out.to_str().unwrap()]);
    assert!(check.status.success(), "{}", stderr(&check));

    // What an account needs, by policies that were fetched and compiled here.
    let account = (bench.genesis.principals().count() + 1).to_string();
    let key = bench.folder.path().join("root.key");
    write_key(&key, &root_key(&DEVELOPMENT_SEED, 0));
    let whose = ["--account", &account, "--key", key.to_str().unwrap()];
    let asked = [&["policy", "explain", "--action", "RequestWithdrawal", "--segment", "1"][..], &whose].concat();
    let explained = bench.json(&[&asked[..], &["--amount", "5000"]].concat());
    assert_eq!(explained["tier"], 2, "{explained}");
    let explained = bench.json(&[&asked[..], &["--amount", "20000"]].concat());
    assert_eq!(explained["tier"], 3, "{explained}");

    // A property that fails, told before anything is signed.
    let broken = bench.changed("broken", "\"Extreme\" && context.tier < 4", "\"Extreme\" && context.tier < 3");
    let (is_done, told) = bench.client(&["policy", "propose", broken.to_str().unwrap()]);
    assert!(!is_done && told.contains("value-leaves-with-evidence-in-wild-markets"), "{told}");
    let (is_done, told) = bench.client(&["policy", "propose", out.to_str().unwrap()]);
    assert!(!is_done && told.contains("is what is in force"), "{told}");

    // A tightening is for risk officers; who approves compiles it first.
    let tighter = bench.changed("tighter", "\"Stressed\" && context.tier < 3", "\"Stressed\" && context.tier < 4");
    let (is_done, told) = bench.client(&["policy", "propose", tighter.to_str().unwrap()]);
    assert!(
        is_done && told.contains("tightening") && told.contains("proposal 1 of segment 1, for risk officers"),
        "{told}"
    );
    let (is_done, told) = bench.client(&["breakers"]);
    assert!(is_done && told.contains("policies after epoch 0, tightening, 7 files"), "{told}");
    let (is_done, told) = bench.client(&["approve", "--segment", "1", "--number", "1"]);
    assert!(is_done && told.contains("RequestWithdrawal tightened"), "{told}");

    // A loosening is for governors, and waits for two days.
    let looser =
        bench.changed("looser", "context.amountMicros >= 10000000000 ", "context.amountMicros >= 20000000000 ");
    let (is_done, told) = bench.client(&["policy", "propose", looser.to_str().unwrap()]);
    assert!(is_done && told.contains("for governors"), "{told}");
    let (is_done, told) = bench.client(&["approve", "--segment", "1", "--number", "2"]);
    assert!(is_done, "{told}");
    let rows = bench.json(&["breakers"]);
    let proposals = rows["breakers"][0]["proposals"].as_array().unwrap().clone();
    let due_ms: Vec<u64> = proposals.iter().map(|proposal| proposal["due_in_ms"].as_u64().unwrap()).collect();
    let (minutes, days) = (10 * 60_000, 48 * 3_600_000);
    assert!(due_ms[0] <= minutes && due_ms[0] + 60_000 > minutes, "{due_ms:?}");
    assert!(due_ms[1] <= days && due_ms[1] + 60_000 > days, "{due_ms:?}");
    kill_process(Pid::from_child(&bench.process.child), Signal::INT).unwrap();
    let (_, output) = bench.process.finish();
    assert!(output.status.success(), "{}", stderr(&output));
}
