//! Every command as a user runs it.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use casemate_protocol::Side;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Clients, NodeProcess, casemate, program, stderr, stdout, write_genesis};

#[test]
fn genesis_init_writes_a_file_that_check_accepts_and_never_overwrites_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("genesis.toml");
    let file = file.to_str().unwrap();
    let init = casemate(&["genesis", "init", "--dev", "--out", file]);
    assert!(init.status.success(), "{}", stderr(&init));
    assert!(stderr(&init).contains("DEVELOPMENT CHAIN"), "{}", stderr(&init));
    let check = casemate(&["genesis", "check", file]);
    assert!(check.status.success(), "{}", stderr(&check));
    assert_eq!(stdout(&check), stdout(&init));
    assert_eq!(stdout(&check).trim().len(), 64);
    let again = casemate(&["genesis", "init", "--dev", "--out", file]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("not overwritten") && stderr(&again).contains("hint: "), "{}", stderr(&again));
    let shown = casemate(&["genesis", "init", "--dev"]);
    assert!(stdout(&shown).contains("THIS IS A DEVELOPMENT CHAIN"));
}

#[test]
fn wrong_usage_has_exit_code_2_and_failures_1() {
    for arguments in [&["genesis", "init"][..], &["nodes"], &["node"], &[], &["inspect", "account", "x", "--data", "."]]
    {
        assert_eq!(casemate(arguments).status.code(), Some(2), "{arguments:?}");
    }
    // What a mode does not use is not ignored.
    for option in [
        &["--from", "2021-05-19"][..],
        &["--to", "2021-05-20"],
        &["--class", "major"],
        &["--preset", "usual"],
        &["--volume-unit", "base"],
        &["--data", "."],
        &["--accounts", "10"],
        &["--sync-every-blocks", "10"],
    ] {
        let output = casemate(&[&["replay", "--scenario", "/no/such/file"], option].concat());
        assert_eq!(output.status.code(), Some(2), "{option:?}: {}", stderr(&output));
    }
    let segment = casemate(&["margin", "--account", "4", "--segment", "2", "--url", "http://127.0.0.1:1"]);
    assert_eq!(segment.status.code(), Some(2), "{}", stderr(&segment));
    for arguments in [&["genesis", "check", "/no/such/file"][..], &["keys", "show", "/no/such/file"]] {
        let output = casemate(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains("hint: "), "{}", stderr(&output));
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is_told() {
    let told = |stdout: Stdio| {
        let mut command = program(&["genesis", "init", "--dev"]);
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).output().unwrap()
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let enough = told(writer.into());
    assert_eq!(enough.status.code(), Some(0), "{}", stderr(&enough));
    assert!(!stderr(&enough).contains("panicked"), "{}", stderr(&enough));
    // The kernel's own answer: every write to this device fails with "no space left".
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
    let full = told(full.into());
    assert_eq!(full.status.code(), Some(1), "{}", stderr(&full));
    let text = stderr(&full);
    assert!(text.contains("error: cannot write to standard output") && text.contains("hint: "), "{text}");
}

#[test]
fn keys_are_made_once_and_shown_without_their_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    let file = path.to_str().unwrap();
    let made = casemate(&["keys", "new", file]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(stdout(&made).starts_with("ed25519:"));
    let shown = casemate(&["keys", "show", file]);
    assert_eq!(stdout(&shown), stdout(&made));
    let secret = std::fs::read_to_string(&path).unwrap();
    assert!(!stdout(&shown).contains(secret.trim()) && !stderr(&shown).contains(secret.trim()));
    let again = casemate(&["keys", "new", file]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), secret);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = casemate(&["keys", "show", file]);
    assert_eq!(open.status.code(), Some(1));
    assert!(stderr(&open).contains("chmod 600"), "{}", stderr(&open));
}

fn inspect(what: &[&str], data: &Path) -> Value {
    let mut arguments = vec!["inspect"];
    arguments.extend(what);
    arguments.extend(["--json", "--data", data.to_str().unwrap()]);
    let output = casemate(&arguments);
    assert!(output.status.success(), "{what:?}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn a_trade_can_be_inspected_with_proofs() {
    let folder = tempfile::tempdir().unwrap();
    let genesis_path = folder.path().join("genesis.toml");
    let genesis = write_genesis(&genesis_path, 10);
    let data = folder.path().join("data");
    let mut clients = Clients::new(&genesis);
    let mut node = NodeProcess::start(&["--data", data.to_str().unwrap(), "--genesis", genesis_path.to_str().unwrap()]);
    let opened = node.next().unwrap();
    assert_eq!(opened["opened"]["chain_id"], genesis.chain_id().to_string());
    assert_eq!(opened["opened"]["is_development"], true);
    let resting = node.ask_envelope(&clients.order(0, Side::Ask, 1_000_000, 7, 1));
    assert_eq!(resting["receipt"]["commands"][0]["is_accepted"], true, "{resting}");
    let taking = node.ask_envelope(&clients.order(1, Side::Bid, 1_000_000, 5, 1));
    let height = taking["receipt"]["height"].as_u64().unwrap();
    let record = taking["receipt"]["commands"][0]["record"].as_u64().unwrap();
    assert!(height > resting["receipt"]["height"].as_u64().unwrap());
    let refused = node.ask_envelope(&clients.cancel(1, 99));
    assert_eq!(refused["receipt"]["commands"][0]["refusal"]["name"], "OrderNotFound", "{refused}");
    let (rest, output) = node.finish();
    assert!(output.status.success(), "{}", stderr(&output));
    let closed = &rest.last().unwrap()["closed"];

    let latest = inspect(&["block", "latest"], &data);
    assert_eq!((&latest["height"], &latest["state_root"]), (&closed["height"], &closed["state_root"]));
    let block = inspect(&["block", &height.to_string()], &data);
    assert_eq!(block["envelopes"][0]["id"], taking["receipt"]["envelope"]);
    assert_eq!(block["is_verified"], true);

    let shown = inspect(&["record", &record.to_string()], &data);
    assert_eq!(shown["source"]["envelope"], taking["receipt"]["envelope"]);
    assert_eq!((&shown["is_accepted"], &shown["proof"]["is_verified"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(shown["events"].to_string().contains("TradeExecuted"), "{shown}");
    assert_eq!(shown["proof"]["log_root"], latest["log_root"]);

    let taker = clients.account(1).to_string();
    let account = inspect(&["account", &taker], &data);
    assert_eq!(account["proof"]["state_root"], latest["state_root"]);
    let position = &account["segments"][0]["sub_account"]["positions"][0];
    assert_eq!((position["market"].as_u64(), position["lots"].as_i64()), (Some(1), Some(5)));
    // The taker's fee: 5 lots at 1,000,000 ticks of a micro, times 400 ppm.
    let cash: i64 = account["segments"][0]["sub_account"]["cash_micros"].as_str().unwrap().parse().unwrap();
    assert_eq!(cash, 100_000_000_000 - 5_000_000 * 400 / 1_000_000);
    let maker = inspect(&["account", &clients.account(0).to_string(), "--segment", "1"], &data);
    let position = &maker["segments"][0]["sub_account"]["positions"][0];
    assert_eq!((position["lots"].as_i64(), position["ask_lots"].as_i64()), (Some(-5), Some(2)));
    assert_eq!(maker["segments"].as_array().unwrap().len(), 1);

    let text = stdout(&casemate(&["inspect", "account", &taker, "--data", data.to_str().unwrap()]));
    let proof =
        format!("verified against state root {} of block {}", latest["state_root"].as_str().unwrap(), latest["height"]);
    assert!(text.contains(&proof), "{text}");
    for missing in
        [&["account", "9999"][..], &["record", "9999"], &["block", "9999"], &["account", &taker, "--segment", "9"]]
    {
        let mut arguments = vec!["inspect"];
        arguments.extend(missing);
        arguments.extend(["--data", data.to_str().unwrap()]);
        let output = casemate(&arguments);
        assert_eq!(output.status.code(), Some(1), "{missing:?}");
        assert!(stderr(&output).contains("does not exist") || stderr(&output).contains("there is no"), "{missing:?}");
    }
}

#[test]
fn a_signal_closes_the_node_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let genesis_path = folder.path().join("genesis.toml");
    let genesis = write_genesis(&genesis_path, 10);
    let data = folder.path().join("data");
    let mut clients = Clients::new(&genesis);
    for signal in [Signal::INT, Signal::TERM] {
        let arguments = ["--data", data.to_str().unwrap(), "--genesis", genesis_path.to_str().unwrap()];
        let mut node = NodeProcess::start(&arguments);
        node.next().unwrap();
        let receipt = node.ask_envelope(&clients.order(0, Side::Bid, 990_000, 1, 0));
        assert!(receipt["receipt"].is_object(), "{receipt}");
        kill_process(Pid::from_child(&node.child), signal).unwrap();
        // Its input stays open.
        let closed = node.next().unwrap();
        assert_eq!(closed["closed"]["height"], receipt["receipt"]["height"], "{closed}");
        let (_, output) = node.finish();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let node = NodeProcess::start(&["--data", data.to_str().unwrap()]);
    let opened = node.next().unwrap();
    assert_eq!((&opened["opened"]["snapshot_height"], &opened["opened"]["blocks_replayed"]), (&2.into(), &0.into()));
}

/// Normally with 20,000 accounts, only for what it says; with `CASEMATE_SLOW=1` with 1,000,000 and on time.
#[test]
fn slow_restart_from_a_snapshot() {
    let is_slow = std::env::var_os("CASEMATE_SLOW").is_some();
    let accounts = if is_slow { 1_000_000 } else { 20_000 };
    let folder = tempfile::tempdir().unwrap();
    let genesis_path = folder.path().join("genesis.toml");
    let genesis = write_genesis(&genesis_path, accounts);
    let data = folder.path().join("data");
    let mut clients = Clients::new(&genesis);
    let mut node = NodeProcess::start(&["--data", data.to_str().unwrap(), "--genesis", genesis_path.to_str().unwrap()]);
    node.next().unwrap();
    let order = clients.order(accounts as usize - 1, Side::Bid, 990_000, 1, 0);
    let receipt = node.ask_envelope(&order);
    let (rest, _) = node.finish();
    let closed = rest.last().unwrap()["closed"].clone();
    let started = Instant::now();
    let mut node = NodeProcess::start(&["--data", data.to_str().unwrap()]);
    let opened = node.next().unwrap();
    let elapsed = started.elapsed();
    println!("{accounts} accounts: {:.2} s from start to ready", elapsed.as_secs_f64());
    assert_eq!(opened["opened"]["snapshot_height"], receipt["receipt"]["height"]);
    assert_eq!(opened["opened"]["blocks_replayed"], 0);
    assert_eq!(opened["opened"]["state_root"], closed["state_root"]);
    assert_eq!(node.ask_envelope(&order)["receipt"]["is_duplicate"], true);
    assert!(!is_slow || cfg!(debug_assertions) || elapsed.as_secs_f64() < 5.0, "restart took {elapsed:?}");
}

/// Envelopes with one command each, written to standard input as fast as the node takes them.
#[test]
fn slow_receipts_through_standard_input() {
    let count = if std::env::var_os("CASEMATE_SLOW").is_some() { 200_000 } else { 5_000 };
    let folder = tempfile::tempdir().unwrap();
    let genesis_path = folder.path().join("genesis.toml");
    let genesis = write_genesis(&genesis_path, 1_000);
    let data = folder.path().join("data");
    let mut clients = Clients::new(&genesis);
    let lines: Vec<String> = (0..count)
        .map(|number| {
            let side = if number % 2 == 0 { Side::Bid } else { Side::Ask };
            let price = if number % 3 == 0 { 1_000_000 } else { 1_000_500 };
            support::hex(&clients.order(number % 1_000, side, price, 1, 0).encode())
        })
        .collect();
    let mut node = NodeProcess::start(&["--data", data.to_str().unwrap(), "--genesis", genesis_path.to_str().unwrap()]);
    node.next().unwrap();
    let started = Instant::now();
    let mut stdin = node.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        for chunk in lines.chunks(64) {
            stdin.write_all((chunk.join("\n") + "\n").as_bytes()).unwrap();
        }
    });
    let mut receipts = 0;
    while let Some(answer) = node.next() {
        if answer["closed"].is_object() {
            break;
        }
        assert!(answer["receipt"].is_object(), "{answer}");
        receipts += 1;
    }
    let elapsed = started.elapsed().as_secs_f64();
    writer.join().unwrap();
    assert_eq!(receipts, count);
    println!("{count} receipts in {elapsed:.2} s: {:.0} per second", count as f64 / elapsed);
}
