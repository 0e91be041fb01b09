//! A breaker over HTTP: publishers' prices trip it, everybody sees why, and officers let it go with the client.

mod support;

use std::time::{Duration, Instant};

use casemate_node::development_keys::{public_key, publisher_key, sign_envelope};
use casemate_node::genesis_file::{self, DEVELOPMENT_SEED, development_genesis};
use casemate_protocol::clearing::ClearingRules;
use casemate_protocol::command::SubmitPrice;
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::{BoundedVec, Command, DurationMs, FeedId, PriceNanos, TimeMs};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use support::{NodeProcess, casemate, now, stderr, stdout};

/// The development venue, with breakers whose times a test can wait for.
fn genesis() -> Genesis {
    let mut genesis = development_genesis(now());
    genesis.proposals.delay_ms = DurationMs::from_ms(500);
    let quick = |rules: ClearingRules| {
        let mut rules = rules;
        (rules.breakers.clear_ms, rules.breakers.cooldown_ms) = (DurationMs::from_ms(500), DurationMs::from_ms(500));
        rules
    };
    genesis.clearing = BoundedVec::new(genesis.clearing.clone().into_vec().into_iter().map(quick).collect()).unwrap();
    genesis.validate().unwrap();
    genesis
}

struct Bench {
    process: NodeProcess,
    url: String,
    genesis: Genesis,
    nonce: u64,
}

impl Bench {
    fn start(folder: &std::path::Path) -> Self {
        let genesis = genesis();
        let file = folder.join("genesis.toml.in");
        std::fs::write(&file, genesis_file::write(&genesis)).unwrap();
        let data = folder.join("data");
        let arguments =
            ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap(), "--genesis", file.to_str().unwrap()];
        let process = NodeProcess::start(&arguments);
        process.next().expect("it opens");
        let listening = process.next().expect("it listens");
        let url = format!("http://{}", listening["listening"]["address"].as_str().unwrap());
        // Nonce 1 is that of an opening envelope, whether an account was opened by one or by genesis.
        Self { process, url, genesis, nonce: 2 }
    }

    /// All publishers say these prices of the three feeds, in parts per million of the reference.
    fn publish(&mut self, shares_ppm: [u64; 3]) {
        let source_ms = TimeMs::from_ms(now().ms() - 5);
        for index in 0..5 {
            let submit = |(feed, share_ppm): (&casemate_protocol::clearing::FeedRules, u64)| {
                let nanos = u128::from(feed.reference_price.nanos()) * u128::from(share_ppm) / 1_000_000;
                Command::SubmitPrice(SubmitPrice {
                    feed: FeedId::new(feed.id.number()),
                    price: PriceNanos::from_nanos(u64::try_from(nanos).unwrap()),
                    confidence: PriceNanos::from_nanos(1_000),
                    source_ms,
                })
            };
            let commands: Vec<Command> = self.genesis.feeds.iter().zip(shares_ppm).map(submit).collect();
            let key = publisher_key(&DEVELOPMENT_SEED, index);
            let intent = Intent {
                version: ENVELOPE_VERSION,
                chain_id: self.genesis.chain_id(),
                account: self.genesis.publisher_account(u16::try_from(index).unwrap()),
                signer: Signer { role: SignerRole::Root, key: public_key(&key) },
                nonce: self.nonce,
                valid_until_ms: TimeMs::from_ms(now().ms() + 60_000),
                group: GroupMode::EachAlone,
                commands: BoundedVec::new(commands).unwrap(),
            };
            let body = sign_envelope(intent, &key).encode();
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let posted = agent.post(format!("{}/v1/envelopes", self.url)).content_type("application/octet-stream");
            let mut sent = posted.send(&body).unwrap();
            let receipt: Value = serde_json::from_str(&sent.body_mut().read_to_string().unwrap()).unwrap();
            for verdict in receipt["commands"].as_array().unwrap_or_else(|| panic!("publisher {index}: {receipt}")) {
                assert_eq!(verdict["is_accepted"], true, "{receipt}");
            }
        }
        self.nonce += 1;
    }

    fn breaker(&self) -> Value {
        self.ok("/v1/breakers")["breakers"][0].clone()
    }

    fn ok(&self, path: &str) -> Value {
        let mut response = ureq::get(format!("{}{path}", self.url)).call().unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn client(&self, arguments: &[&str]) -> (bool, String) {
        let output = casemate(&[arguments, &["--url", &self.url]].concat());
        (output.status.success(), format!("{}{}", stdout(&output), stderr(&output)))
    }

    /// Prices stand until the breaker is as wanted; a bound on hanging, not on waiting.
    fn publish_until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let started = Instant::now();
        while !is_so(&self.breaker()) {
            self.publish([1_000_000; 3]);
            assert!(started.elapsed() < Duration::from_secs(60), "{what}: {}", self.breaker());
        }
    }
}

#[test]
fn slow_officers_let_a_tripped_breaker_go_with_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(folder.path());
    bench.publish([1_000_000; 3]);
    assert_eq!(bench.breaker()["breaker"]["state"], "normal");
    let (is_done, told) = bench.client(&["propose", "--segment", "1", "--to", "normal"]);
    assert!(!is_done && told.contains("702 ChangeNotAllowed"), "{told}");

    // Twelve per cent at once: the cap holds the price in use back, and the breaker sees what was published.
    bench.publish([1_120_000, 1_000_000, 1_000_000]);
    let breaker = bench.breaker();
    assert_eq!(
        (&breaker["breaker"]["state"], &breaker["breaker"]["cause"]),
        (&"withdraw_gated".into(), &"divergence".into())
    );
    let market = bench.ok("/v1/markets/1");
    assert_eq!(market["pricing"]["grade"], "clamped");
    let price = |name: &str| market["pricing"][name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(price("index_nanos") < price("published_nanos"), "{market}");
    let (is_done, told) = bench.client(&["breakers"]);
    assert!(is_done && told.contains("withdraw_gated") && told.contains("divergence"), "{told}");
    let moves = bench.ok("/v1/breakers")["moves"].clone();
    assert_eq!((&moves[0]["from"], &moves[0]["market"]), (&"normal".into(), &1.into()), "{moves}");

    let (is_done, told) = bench.client(&["propose", "--segment", "1", "--to", "normal"]);
    assert!(is_done && told.contains("proposal 1 of segment 1"), "{told}");
    // The second officer signs by itself; the first has approved by proposing.
    let (is_done, told) = bench.client(&["approve", "--segment", "1", "--number", "1", "--officer", "1"]);
    assert!(!is_done && told.contains("703 AlreadyApproved"), "{told}");
    let (is_done, told) = bench.client(&["approve", "--segment", "1", "--number", "1"]);
    assert!(is_done, "{told}");
    assert_eq!(bench.breaker()["proposals"][0]["approvals"].as_array().unwrap().len(), 2);
    // Nothing moves before the clear tests have held; prices come back, and it moves by itself.
    assert_eq!(bench.breaker()["breaker"]["state"], "withdraw_gated");
    bench.publish_until("it is let go", |row| row["breaker"]["state"] == "normal");
    let moves = bench.ok("/v1/breakers")["moves"].clone();
    assert_eq!(moves.as_array().unwrap().last().unwrap()["cause"], "decided");

    // Risk officers do not stand for governors.
    bench.publish([1_500_000, 1_000_000, 1_000_000]);
    assert_eq!(bench.breaker()["breaker"]["state"], "halted");
    let (is_done, told) = bench.client(&["propose", "--segment", "1", "--to", "elevated", "--json"]);
    assert!(is_done, "the client lets a governor sign: {told}");
    assert!(told.contains("\"proposal\": 2"), "{told}");
    let principals = bench.ok("/v1/chain")["principals"].clone();
    let proposer = bench.breaker()["proposals"][0]["approvals"][0].clone();
    let role = principals.as_array().unwrap().iter().find(|row| row["operator"] == proposer).unwrap()["role"].clone();
    assert_eq!(role, "governor");
    kill_process(Pid::from_child(&bench.process.child), Signal::INT).unwrap();
    let (_, output) = bench.process.finish();
    assert!(output.status.success(), "{}", stderr(&output));
}
