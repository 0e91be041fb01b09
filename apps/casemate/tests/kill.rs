//! The node is killed at random moments under load and started again. Whatever it had acknowledged must be there, with
//! the same receipt; no root may differ, and no record may come twice.
//!
//! `CASEMATE_SEED` repeats a run's load and kill points (not the operating system's timing); `CASEMATE_SLOW=1` runs 200
//! rounds instead of 20.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use casemate_audit::{Log, RecordSource, Verdict};
use casemate_node::node::{decode_block, decode_records};
use casemate_node::{Node, NodeOptions};
use casemate_protocol::{Digest, Envelope, Side};
use serde_json::Value;
use support::{Clients, Dice, NodeProcess, write_genesis};

#[test]
fn kill_at_random_moments_loses_nothing_that_was_acknowledged() {
    let seed = std::env::var("CASEMATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(random_seed);
    let rounds = if std::env::var_os("CASEMATE_SLOW").is_some() { 200 } else { 20 };
    println!("seed {seed}, {rounds} rounds; repeat with CASEMATE_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let genesis_path = folder.path().join("genesis.toml");
    let genesis = write_genesis(&genesis_path, 100);
    let data = folder.path().join("data");
    let mut dice = Dice(seed);
    let mut traffic = Traffic::new(Clients::new(&genesis));
    let mut past = Past::default();
    let started = Instant::now();
    for round in 0..rounds {
        let node = NodeProcess::start(&[
            "--data",
            data.to_str().unwrap(),
            "--genesis",
            genesis_path.to_str().unwrap(),
            "--snapshot-every-blocks",
            "20",
        ]);
        traffic.run_until_killed(node, &mut dice);
        // The next start is the program's own recovery or, every third time, this one's, which looks at everything.
        if round % 3 == 2 || round + 1 == rounds {
            past.check(&data, &traffic);
        }
    }
    let elapsed = started.elapsed();
    println!(
        "{rounds} kills, {} envelopes sent, {} acknowledged, {} asked again, {} blocks, {elapsed:.1?}",
        traffic.sent.len(),
        traffic.receipts.len(),
        traffic.asked_again,
        past.roots.len(),
    );
    assert!(!traffic.receipts.is_empty() && traffic.asked_again > 0, "the load did nothing");
}

fn random_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Everything that was sent, and what was answered.
struct Traffic {
    clients: Clients,
    sent: Vec<Envelope>,
    /// Receipts by place in `sent`.
    receipts: BTreeMap<usize, Value>,
    /// Sent, and neither acknowledged nor refused yet.
    open: Vec<usize>,
    /// Acknowledged in the round before.
    fresh: Vec<usize>,
    asked_again: usize,
    next_client_id: u64,
}

impl Traffic {
    fn new(clients: Clients) -> Self {
        let (sent, open, fresh) = (Vec::new(), Vec::new(), Vec::new());
        Self { clients, sent, receipts: BTreeMap::new(), open, fresh, asked_again: 0, next_client_id: 1 }
    }

    /// Asks again for what is open and for much of what was acknowledged, sends new load, and kills the node after a
    /// random number of answers: perhaps while it starts, perhaps after thousands.
    fn run_until_killed(&mut self, mut node: NodeProcess, dice: &mut Dice) {
        let answers_until_kill = match dice.roll(6) {
            0 => 0,
            1 => dice.roll(50),
            _ => 500 + dice.roll(6_000),
        };
        if answers_until_kill == 0 {
            std::thread::sleep(Duration::from_micros(dice.roll(60_000)));
            drop(node.kill());
            return;
        }
        let Some(opened) = node.next() else { panic!("the node did not start: {}", ended(node)) };
        assert!(opened["opened"].is_object(), "{opened}");
        let mut asked: Vec<usize> = std::mem::take(&mut self.fresh);
        asked.extend((0..200).map(|_| dice.roll(self.sent.len().max(1) as u64) as usize));
        asked.retain(|place| *place < self.sent.len());
        asked.extend(std::mem::take(&mut self.open));
        // Few at a time make many small blocks, many at a time large ones.
        let in_flight_max = [20, 200, 2_000][dice.roll(3) as usize];
        let mut queue = asked.into_iter();
        let mut lines: HashMap<u64, usize> = HashMap::new();
        let mut answered = 0;
        while answered < answers_until_kill {
            let place = queue.next().unwrap_or_else(|| self.make(dice));
            let Some(line) = node.submit(&self.sent[place]) else { panic!("the node ended: {}", ended(node)) };
            lines.insert(line, place);
            let mut next = if lines.len() >= in_flight_max { node.next() } else { node.try_next() };
            while let Some(answer) = next {
                self.take(&mut lines, &answer);
                answered += 1;
                next = node.try_next();
            }
        }
        for answer in node.kill() {
            self.take(&mut lines, &answer);
        }
        // What was asked and not answered is asked again, in the order of its nonces.
        self.open.extend(lines.into_values().chain(queue).filter(|place| !self.receipts.contains_key(place)));
        self.open.sort_unstable();
        self.open.dedup();
    }

    fn make(&mut self, dice: &mut Dice) -> usize {
        let index = dice.roll(100) as usize;
        let id = self.next_client_id;
        self.next_client_id += 1;
        let envelope = if dice.roll(100) < 60 {
            let side = if dice.roll(2) == 0 { Side::Bid } else { Side::Ask };
            self.clients.order(index, side, 999_900 + dice.roll(200), 1 + dice.roll(10), id)
        } else {
            self.clients.cancel(index, 1 + dice.roll(id))
        };
        self.sent.push(envelope);
        self.sent.len() - 1
    }

    fn take(&mut self, lines: &mut HashMap<u64, usize>, answer: &Value) {
        let line = answer["line"].as_u64().unwrap_or_else(|| panic!("not an answer: {answer}"));
        let place = lines.remove(&line).unwrap_or_else(|| panic!("answered twice: {answer}"));
        let mut receipt = answer["receipt"].clone();
        assert!(receipt.is_object(), "envelope {place} has no receipt: {answer}");
        let is_duplicate = receipt.as_object_mut().and_then(|fields| fields.remove("is_duplicate"));
        match self.receipts.get(&place) {
            Some(first) => {
                self.asked_again += 1;
                assert_eq!(*first, receipt, "envelope {place} has another receipt now");
                assert_eq!(is_duplicate, Some(Value::Bool(true)), "envelope {place} was included twice");
            }
            None => {
                self.receipts.insert(place, receipt);
                self.fresh.push(place);
            }
        }
    }
}

fn ended(node: NodeProcess) -> String {
    String::from_utf8(node.finish().1.stderr).unwrap()
}

/// What was seen of the chain in earlier rounds.
#[derive(Default)]
struct Past {
    roots: BTreeMap<u64, Digest>,
}

impl Past {
    /// Opens the folder, which executes every block behind the snapshot again, and reads all that it holds.
    fn check(&mut self, data: &Path, traffic: &Traffic) {
        let (node, _) = Node::open(data, NodeOptions::default()).unwrap();
        assert!(node.replica().ledger().check_laws_from_rows().is_empty(), "conservation is broken");
        let mut verdicts: Vec<(Option<(Digest, u16)>, bool)> = Vec::new();
        if node.height() > 0 {
            let mut parent = Digest::ZERO;
            let mut log = Log::default();
            let mut records = node.records().read_from(1).unwrap();
            for kept in node.journal().read_from(1).unwrap() {
                let kept = kept.unwrap();
                let block = decode_block(kept.height, &kept.payload).unwrap();
                let header = &block.header;
                let known = self.roots.insert(kept.height, header.state_root);
                assert!(known.is_none_or(|root| root == header.state_root), "root of block {} differs", kept.height);
                assert_eq!(header.parent, parent, "parent of block {}", kept.height);
                parent = header.id();
                let kept_records = records.next().expect("records of every block").unwrap();
                assert_eq!(kept_records.height, kept.height, "records of a block are missing or repeated");
                for record in decode_records(&block, &kept_records.payload).unwrap() {
                    assert_eq!(record.header.index, log.append(record.header.leaf()));
                    let source = match record.body.source {
                        RecordSource::Command { envelope, command_index, .. } => Some((envelope, command_index)),
                        RecordSource::System(_) => None,
                    };
                    verdicts.push((source, record.body.verdict == Verdict::Accepted));
                }
                assert_eq!(
                    (log.size(), log.root()),
                    (header.log_size, header.log_root),
                    "log at block {}",
                    kept.height
                );
            }
        }
        assert_eq!(self.roots.len() as u64, node.height(), "an acknowledged block is gone");
        assert_eq!(verdicts.len() as u64, node.replica().log().size());
        for (place, receipt) in &traffic.receipts {
            let id = traffic.sent[*place].intent.digest();
            assert_eq!(receipt["envelope"], id.to_string());
            for (index, command) in receipt["commands"].as_array().unwrap().iter().enumerate() {
                let record = command["record"].as_u64().unwrap() as usize;
                let expected = (Some((id, index as u16)), command["is_accepted"].as_bool().unwrap());
                assert_eq!(verdicts.get(record), Some(&expected), "envelope {place} is not at its record");
            }
        }
        node.close().unwrap();
    }
}
