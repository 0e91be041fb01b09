//! The sequencer under a clock that stands still until it is moved, and a durability that waits to be allowed.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use casemate_protocol::command::{
    CancelAllOrders, CancelScope, LimitTerms, OrderKind, PlaceOrder, RequestWithdrawal, SelfTradeMode, TimeInForce,
};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, Command, DurationMs, MarketId, PriceTicks, QuantityLots, QuoteMicros,
    RejectCode, SegmentId, Side, TimeMs,
};
use ed25519_zebra::SigningKey;
use tempfile::TempDir;

use super::clock::Clock;
use super::receipts::{BlockObserver, Durability, DurableBlock, Postman};
use super::sequencer::Sequencer;
use super::waiting::{CLOSE_AFTER, CLOSE_AT_ENVELOPES};
use super::{Answer, NotAsked, NotTaken, Questions, Receipt, ReplyTo, SoloOptions, Submitter, Telling, View, queue};
use crate::development_keys::{public_key, root_key, session_key, sign_envelope};
use crate::fault::Fault;
use crate::genesis_file::{DEVELOPMENT_SEED, full_collateral_genesis};
use crate::node::{Node, NodeOptions};

const START_MS: u64 = 1_700_000_000_000;
const MS: Duration = Duration::from_millis(1);

#[derive(Clone)]
struct HeldClock(Arc<Mutex<(u64, Duration)>>);

impl HeldClock {
    fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap();
        time.0 += by.as_millis() as u64;
        time.1 += by;
    }

    /// Somebody sets the time of day back.
    fn set_back(&self, by_ms: u64) {
        self.0.lock().unwrap().0 -= by_ms;
    }
}

impl Clock for HeldClock {
    fn wall(&self) -> TimeMs {
        TimeMs::from_ms(self.0.lock().unwrap().0)
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// Blocks are durable for receipts when the test says so.
#[derive(Clone, Default)]
struct HeldDurability(Arc<(Mutex<Allowed>, Condvar)>);

#[derive(Default)]
struct Allowed {
    height: u64,
    fault: Option<Fault>,
}

impl HeldDurability {
    fn allow(&self, height: u64) {
        self.0.0.lock().unwrap().height = height;
        self.0.1.notify_all();
    }

    fn fail(&self, fault: Fault) {
        self.0.0.lock().unwrap().fault = Some(fault);
        self.0.1.notify_all();
    }
}

impl Durability for HeldDurability {
    fn wait_durable(&self, height: u64) -> Result<(), Fault> {
        let mut allowed = self.0.0.lock().unwrap();
        while allowed.height < height {
            if let Some(fault) = &allowed.fault {
                return Err(fault.clone());
            }
            allowed = self.0.1.wait(allowed).unwrap();
        }
        Ok(())
    }
}

struct Bench {
    folder: TempDir,
    sequencer: Sequencer<HeldClock>,
    submitter: Submitter,
    questions: Questions,
    clock: HeldClock,
    durability: HeldDurability,
    sender: Sender<(u64, Answer)>,
    answers: Receiver<(u64, Answer)>,
}

impl Bench {
    /// Everything is durable at once unless `is_held`.
    fn new(is_held: bool, options: SoloOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::open(folder, is_held, options)
    }

    fn observed(observer: Option<Box<dyn BlockObserver>>) -> Self {
        Self::open_observed(tempfile::tempdir().unwrap(), true, SoloOptions::default(), observer)
    }

    fn open(folder: TempDir, is_held: bool, options: SoloOptions) -> Self {
        Self::open_observed(folder, is_held, options, None)
    }

    fn open_observed(
        folder: TempDir,
        is_held: bool,
        options: SoloOptions,
        observer: Option<Box<dyn BlockObserver>>,
    ) -> Self {
        let mut genesis = full_collateral_genesis(TimeMs::from_ms(START_MS));
        genesis.accounts.weight_burst = 1_000_000_000;
        genesis.accounts.weight_per_second = 1_000_000_000;
        if let Some(seeded) = &mut genesis.seeded {
            seeded.count = 4;
            seeded.grant_commands_per_minute = 1_000_000_000;
        }
        let options_of_node = NodeOptions { threads: 2, ..NodeOptions::default() };
        let (node, _) = Node::create_or_open(folder.path(), &genesis, options_of_node).unwrap();
        let clock = HeldClock(Arc::new(Mutex::new((START_MS + 1_000, Duration::ZERO))));
        let durability = HeldDurability::default();
        if !is_held {
            durability.allow(u64::MAX);
        }
        let (submitter, questions, inbox) = queue(&options);
        let postman = Postman::start(durability.clone(), observer);
        let sequencer = Sequencer::with_postman(node, options, clock.clone(), inbox, postman);
        let (sender, answers) = channel();
        Self { folder, sequencer, submitter, questions, clock, durability, sender, answers }
    }

    fn submit(&self, tag: u64, bytes: &[u8]) {
        self.submitter.submit(bytes.to_vec(), ReplyTo::new(tag, self.sender.clone())).unwrap();
    }

    /// Takes what came, lets its time pass, and closes the block.
    fn close_block(&mut self) {
        self.sequencer.turn().unwrap();
        self.clock.advance(CLOSE_AFTER);
        assert_eq!(self.sequencer.turn().unwrap(), Duration::ZERO, "no block was due");
    }

    fn answer(&self) -> (u64, Answer) {
        self.answers.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn receipt(&self) -> (u64, Receipt) {
        match self.answer() {
            (tag, Answer::Receipt(receipt)) => (tag, receipt),
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&self) -> (u64, RejectCode) {
        match self.answer() {
            (tag, Answer::Refused(reject)) => (tag, reject.code()),
            other => panic!("{other:?}"),
        }
    }

    /// Receipts and refusals come by different ways, so their order among each other means nothing.
    fn answers(&self, count: usize) -> Vec<(u64, Answer)> {
        let mut answers: Vec<(u64, Answer)> = (0..count).map(|_| self.answer()).collect();
        answers.sort_by_key(|(tag, _)| *tag);
        answers
    }

    fn has_no_answer(&self) -> bool {
        matches!(self.answers.try_recv(), Err(TryRecvError::Empty))
    }

    fn height(&self) -> u64 {
        self.sequencer.node.height()
    }

    fn sign(&self, index: u64, nonce: u64, commands: Vec<Command>) -> Vec<u8> {
        self.sign_as(SignerRole::Session, &session_key(&DEVELOPMENT_SEED, index), index, nonce, commands)
    }

    fn sign_as(&self, role: SignerRole, key: &SigningKey, index: u64, nonce: u64, commands: Vec<Command>) -> Vec<u8> {
        let ledger = self.sequencer.node.replica().ledger();
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: *ledger.chain_id(),
            // The attestors have the first numbers.
            account: AccountId::new(ledger.genesis().principals().count() as u64 + 1 + index),
            signer: Signer { role, key: public_key(key) },
            nonce,
            valid_until_ms: TimeMs::from_ms(START_MS + 3_600_000),
            group: GroupMode::EachAlone,
            commands: BoundedVec::new(commands).unwrap(),
        };
        sign_envelope(intent, key).encode()
    }

    fn order(&self, index: u64, nonce: u64) -> Vec<u8> {
        self.sign(index, nonce, vec![order(TimeInForce::GoodTillCancel)])
    }
}

fn order(time_in_force: TimeInForce) -> Command {
    Command::PlaceOrder(PlaceOrder {
        market: MarketId::new(1),
        side: Side::Bid,
        kind: OrderKind::Limit(LimitTerms { price: PriceTicks::from_ticks(990_000), time_in_force }),
        quantity: QuantityLots::from_lots(1),
        client_id: ClientOrderId::NONE,
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    })
}

#[test]
fn a_block_closes_five_milliseconds_after_its_first_envelope() {
    let mut bench = Bench::new(false, SoloOptions::default());
    bench.submit(1, &bench.order(0, 1));
    assert_eq!(bench.sequencer.turn().unwrap(), CLOSE_AFTER);
    bench.clock.advance(3 * MS);
    bench.submit(2, &bench.order(1, 1));
    assert_eq!(bench.sequencer.turn().unwrap(), 2 * MS, "the second one does not put it off");
    bench.clock.advance(MS);
    assert_eq!(bench.sequencer.turn().unwrap(), MS);
    assert_eq!(bench.height(), 0);
    bench.clock.advance(MS);
    bench.sequencer.turn().unwrap();
    assert_eq!(bench.height(), 1);
    let (first, second) = (bench.receipt(), bench.receipt());
    assert_eq!((first.0, first.1.height, first.1.position), (1, 1, 0));
    assert_eq!((second.0, second.1.height, second.1.position), (2, 1, 1));
    assert_eq!(second.1.commands[0].record.number(), first.1.commands[0].record.number() + 1);
}

#[test]
fn a_block_closes_at_once_when_it_has_enough_envelopes_and_one_key_may_send_them_all() {
    let mut bench = Bench::new(false, SoloOptions::default());
    // More than a nonce window of one session at once: each is in the window by its turn.
    for nonce in 1..=CLOSE_AT_ENVELOPES as u64 + 1 {
        let cancel = Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Market(MarketId::new(1)) });
        bench.submit(nonce, &bench.sign(0, nonce, vec![cancel]));
    }
    assert_eq!(bench.sequencer.turn().unwrap(), Duration::ZERO);
    assert_eq!(bench.height(), 1, "no time has passed");
    for tag in 1..=CLOSE_AT_ENVELOPES as u64 {
        assert_eq!(bench.receipt().0, tag);
    }
    bench.close_block();
    assert_eq!(bench.receipt().1.height, 2);
}

#[test]
fn no_receipt_leaves_before_its_block_is_durable() {
    let mut bench = Bench::new(true, SoloOptions::default());
    let bytes = bench.order(0, 1);
    bench.submit(1, &bytes);
    bench.close_block();
    // The same bytes while the block is on its way wait for it as well.
    bench.submit(2, &bytes);
    bench.sequencer.turn().unwrap();
    bench.submit(3, b"nonsense");
    bench.sequencer.turn().unwrap();
    // The block itself is on disk; only the word that it is has been held back.
    bench.sequencer.node.keeper().wait_durable(1).unwrap();
    assert_eq!(bench.refusal(), (3, RejectCode::EnvelopeVersionUnsupported), "refusals wait for nothing");
    assert!(bench.has_no_answer());
    bench.durability.allow(1);
    let (tag, receipt) = bench.receipt();
    assert_eq!((tag, receipt.is_duplicate), (1, false));
    let (tag, again) = bench.receipt();
    assert_eq!((tag, again), (2, Receipt { is_duplicate: true, ..receipt }));
    assert_eq!(bench.height(), 1);
}

#[test]
fn a_block_that_never_becomes_durable_gives_no_receipt() {
    let mut bench = Bench::new(true, SoloOptions::default());
    bench.submit(1, &bench.order(0, 1));
    bench.close_block();
    bench.durability.fail(Fault::KeeperEnded);
    assert!(matches!(bench.answer(), (1, Answer::Failed(_))));
}

#[test]
fn the_same_bytes_get_the_first_receipt_and_other_bytes_under_the_nonce_are_refused() {
    let mut bench = Bench::new(false, SoloOptions::default());
    let bytes = bench.order(0, 1);
    let other = bench.sign(0, 1, vec![order(TimeInForce::ImmediateOrCancel)]);
    for (tag, bytes) in [(1, &bytes), (2, &bytes), (3, &other)] {
        bench.submit(tag, bytes);
    }
    bench.close_block();
    let answers = bench.answers(3);
    let (1, Answer::Receipt(first)) = &answers[0] else { panic!("{answers:?}") };
    assert!(!first.is_duplicate);
    let again = Receipt { is_duplicate: true, ..first.clone() };
    assert!(matches!(&answers[1], (2, Answer::Receipt(receipt)) if *receipt == again), "{answers:?}");
    assert!(matches!(&answers[2], (3, Answer::Refused(reject)) if reject.code() == RejectCode::NonceUsed));
    // A forged signature under the same intent is not the same bytes.
    let mut forged = bytes.clone();
    let last = forged.len() - 1;
    forged[last - 40] ^= 1;
    bench.submit(4, &forged);
    bench.submit(5, &bytes);
    bench.submit(6, &other);
    bench.sequencer.turn().unwrap();
    let answers = bench.answers(3);
    assert!(matches!(&answers[0], (4, Answer::Refused(reject)) if reject.code() == RejectCode::SignatureInvalid));
    assert!(matches!(&answers[1], (5, Answer::Receipt(receipt)) if *receipt == again));
    assert!(matches!(&answers[2], (6, Answer::Refused(reject)) if reject.code() == RejectCode::NonceUsed));
    assert_eq!(bench.height(), 1, "no block was made for what is known");
}

#[test]
fn receipts_of_old_blocks_are_found_after_a_restart_even_for_expired_envelopes() {
    let mut bench = Bench::new(false, SoloOptions::default());
    let cancel = Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Market(MarketId::new(1)) });
    // The cancel comes after an order of an earlier block: it has a record in two phases, and the last one counts.
    let envelopes = [bench.order(0, 1), bench.sign(0, 2, vec![cancel, order(TimeInForce::FillOrKill)])];
    let mut firsts = Vec::new();
    for (tag, bytes) in (1..).zip(&envelopes) {
        bench.submit(tag, bytes);
        bench.close_block();
        firsts.push(bench.receipt().1);
    }
    assert!(firsts[1].commands[0].refusal.is_none() && firsts[1].commands[1].refusal.is_some());
    let Bench { folder, sequencer, .. } = bench;
    sequencer.node.close().unwrap();
    let mut bench = Bench::open(folder, false, SoloOptions::default());
    bench.clock.advance(Duration::from_secs(7_200));
    for (tag, bytes) in (1..).zip(&envelopes) {
        bench.submit(tag, bytes);
    }
    bench.submit(3, &bench.order(0, 3));
    bench.sequencer.turn().unwrap();
    let answers = bench.answers(3);
    for ((_, answer), first) in answers.iter().zip(firsts) {
        let again = Receipt { is_duplicate: true, ..first };
        assert!(matches!(answer, Answer::Receipt(receipt) if *receipt == again), "{answer:?}");
    }
    assert!(matches!(&answers[2], (3, Answer::Refused(reject)) if reject.code() == RejectCode::EnvelopeExpired));
    assert_eq!(bench.height(), 2);
}

#[test]
fn what_a_full_block_leaves_out_is_in_the_next() {
    let mut bench = Bench::new(false, SoloOptions::default());
    let cancel = Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Market(MarketId::new(1)) });
    // Few bytes and much weight: the weight of a block is used up before its envelopes and its mebibyte.
    let count = 2_000;
    for number in 0..count {
        bench.submit(number, &bench.sign(number % 4, number / 4 + 1, vec![cancel.clone(); 64]));
    }
    bench.sequencer.turn().unwrap();
    bench.clock.advance(CLOSE_AFTER);
    bench.sequencer.turn().unwrap();
    assert!(!bench.sequencer.waiting.is_empty(), "nothing was left out");
    bench.sequencer.turn().unwrap();
    assert!(bench.sequencer.waiting.is_empty());
    assert_eq!(bench.height(), 2);
    let receipts: Vec<(u64, Receipt)> = (0..count).map(|_| bench.receipt()).collect();
    let in_order: Vec<u64> = receipts.iter().map(|(tag, _)| *tag).collect();
    assert_eq!(in_order, (0..count).collect::<Vec<_>>(), "first come, first served");
    assert_eq!((receipts[0].1.height, receipts[count as usize - 1].1.height), (1, 2));
}

#[test]
fn a_full_queue_is_a_refusal_and_loses_nothing() {
    let options = SoloOptions { queue_envelopes_max: 3, queue_bytes_max: 1_000, ..SoloOptions::default() };
    let mut bench = Bench::new(false, options);
    for nonce in 1..=3 {
        bench.submit(nonce, &bench.order(0, nonce));
    }
    let more = bench.order(0, 4);
    let try_submit =
        |bench: &Bench, bytes: &[u8]| bench.submitter.submit(bytes.to_vec(), ReplyTo::new(4, bench.sender.clone()));
    assert_eq!(try_submit(&bench, &more), Err(NotTaken::QueueFull));
    bench.sequencer.turn().unwrap();
    assert_eq!(try_submit(&bench, &vec![0; 1_001]), Err(NotTaken::QueueFull), "bytes count too");
    assert_eq!(try_submit(&bench, &more), Ok(()));
    bench.close_block();
    assert_eq!((1..=4).map(|_| bench.receipt().0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    drop(bench.sequencer);
    assert_eq!(bench.submitter.submit(more, ReplyTo::new(5, bench.sender.clone())), Err(NotTaken::Stopped));
}

#[test]
fn an_idle_chain_makes_no_blocks_until_something_is_due() {
    let mut bench = Bench::new(false, SoloOptions::default());
    let until = TimeMs::from_ms(START_MS + 60_000);
    bench.submit(1, &bench.sign(0, 1, vec![order(TimeInForce::GoodTillTime(until))]));
    bench.close_block();
    for _ in 0..58 {
        bench.clock.advance(Duration::from_secs(1));
        bench.sequencer.turn().unwrap();
    }
    assert_eq!(bench.height(), 1, "nothing was due");
    bench.clock.advance(Duration::from_secs(2));
    bench.sequencer.turn().unwrap();
    assert_eq!(bench.height(), 2, "the order's time is over");
    for _ in 0..100 {
        bench.clock.advance(Duration::from_secs(1));
        bench.sequencer.turn().unwrap();
    }
    assert_eq!(bench.height(), 2);
}

#[test]
fn blocks_close_every_second_while_a_withdrawal_waits_so_that_its_clock_goes_on() {
    let mut bench = Bench::new(false, SoloOptions::default());
    let withdrawal = Command::RequestWithdrawal(Box::new(RequestWithdrawal {
        segment: SegmentId::new(1),
        amount: QuoteMicros::from_micros(5_000_000),
        chain: 1,
        destination: BoundedVec::new(b"payout".to_vec()).unwrap(),
    }));
    // Opening took the root key's first nonce.
    let bytes = bench.sign_as(SignerRole::Root, &root_key(&DEVELOPMENT_SEED, 0), 0, 2, vec![withdrawal]);
    bench.submit(1, &bytes);
    bench.close_block();
    assert_eq!(bench.receipt().1.commands[0].refusal, None);
    let delay = bench.sequencer.node.genesis().segments.as_slice()[0].withdrawal_delay_ms;
    let began = bench.sequencer.node.replica().ledger().chain().waiting_ms;
    let mut turns = 0;
    while bench.sequencer.node.replica().ledger().is_anything_waiting() {
        bench.clock.advance(Duration::from_millis(100));
        bench.sequencer.turn().unwrap();
        turns += 1;
        assert!(turns < 1_000, "it was never released");
    }
    let waited = bench.sequencer.node.replica().ledger().chain().waiting_ms.saturating_sub(began);
    assert!(waited >= delay && waited < delay.saturating_add(DurationMs::from_ms(1_200)), "{waited:?}");
    let blocks = bench.height() - 1;
    assert!((delay.ms() / 1_000..=delay.ms() / 1_000 + 2).contains(&blocks), "{blocks} blocks");
}

#[test]
fn block_time_follows_the_clock_and_never_goes_back() {
    let mut bench = Bench::new(false, SoloOptions::default());
    let time = |bench: &Bench| bench.sequencer.node.replica().ledger().chain().time_ms.ms();
    bench.submit(1, &bench.order(0, 1));
    bench.close_block();
    assert_eq!(time(&bench), START_MS + 1_005);
    bench.clock.set_back(60_000);
    bench.submit(2, &bench.order(0, 2));
    bench.close_block();
    assert_eq!(time(&bench), START_MS + 1_006);
    bench.clock.advance(Duration::from_secs(120));
    bench.submit(3, &bench.order(0, 3));
    bench.close_block();
    assert_eq!(time(&bench), START_MS + 61_015);
}

#[test]
fn a_nonce_too_far_ahead_makes_no_block() {
    let mut bench = Bench::new(false, SoloOptions::default());
    bench.submit(1, &bench.order(0, 100));
    bench.sequencer.turn().unwrap();
    assert_eq!(bench.refusal(), (1, RejectCode::NonceOutOfWindow));
    assert!(bench.sequencer.waiting.is_empty());
    // Behind one that waits it gets its chance, and is refused by the block itself.
    bench.submit(2, &bench.order(0, 1));
    bench.submit(3, &bench.order(0, 100));
    bench.close_block();
    let answers = bench.answers(2);
    assert!(matches!(&answers[0], (2, Answer::Receipt(_))));
    assert!(matches!(&answers[1], (3, Answer::Refused(reject)) if reject.code() == RejectCode::NonceOutOfWindow));
}

#[test]
fn snapshots_are_written_while_nothing_waits() {
    let options = SoloOptions { snapshot_every_blocks: 2, ..SoloOptions::default() };
    let mut bench = Bench::new(false, options);
    let snapshots = bench.folder.path().join("snapshots");
    let count = || std::fs::read_dir(&snapshots).map_or(0, Iterator::count);
    for nonce in 1..=2 {
        bench.submit(nonce, &bench.order(0, nonce));
        bench.close_block();
        assert_eq!(count(), 0);
    }
    bench.sequencer.turn().unwrap();
    assert_eq!(count(), 1);
    bench.sequencer.turn().unwrap();
    assert_eq!(count(), 1);
}

/// Asks for the height, which comes back when it may be told.
fn ask_height(bench: &Bench) -> Receiver<u64> {
    let (sender, heights) = channel();
    let question = move |view: &View<'_>| -> Telling {
        let height = view.replica().ledger().chain().height.number();
        Box::new(move || sender.send(height).unwrap())
    };
    bench.questions.ask(Box::new(question)).unwrap();
    heights
}

#[test]
fn what_a_question_saw_is_told_only_once_it_is_durable() {
    let mut bench = Bench::new(true, SoloOptions::default());
    let at_genesis = ask_height(&bench);
    bench.sequencer.turn().unwrap();
    assert_eq!(at_genesis.recv_timeout(Duration::from_secs(60)), Ok(0));
    let envelope = bench.order(0, 1);
    bench.submit(1, &envelope);
    bench.close_block();
    let after_block = ask_height(&bench);
    bench.sequencer.turn().unwrap();
    // Deliveries keep their order, so a receipt that is still out says that nothing behind it was told.
    assert!(bench.has_no_answer() && after_block.try_recv().is_err());
    bench.durability.allow(1);
    assert_eq!(bench.receipt().1.height, 1);
    assert_eq!(after_block.recv_timeout(Duration::from_secs(60)), Ok(1));
}

#[test]
fn nothing_is_told_of_a_block_that_will_never_be_durable() {
    let mut bench = Bench::new(true, SoloOptions::default());
    let envelope = bench.order(0, 1);
    bench.submit(1, &envelope);
    bench.close_block();
    let heights = ask_height(&bench);
    bench.sequencer.turn().unwrap();
    bench.durability.fail(Fault::KeeperEnded);
    assert!(matches!(bench.answer(), (1, Answer::Failed(_))));
    assert!(heights.recv_timeout(Duration::from_secs(60)).is_err(), "whoever waits learns that nothing comes");
}

/// A question must not make the sequencer believe that no envelope came before it was told to stop.
#[test]
fn a_question_in_front_of_an_envelope_does_not_hide_it_from_a_stop() {
    let bench = Bench::new(false, SoloOptions::default());
    let heights = ask_height(&bench);
    let envelope = bench.order(0, 1);
    bench.submit(1, &envelope);
    bench.submitter.is_stopping.store(true, std::sync::atomic::Ordering::Release);
    let Bench { sequencer, answers, folder: _folder, .. } = bench;
    let closed = sequencer.run().unwrap();
    assert_eq!(closed.height, 1);
    assert!(matches!(answers.recv(), Ok((1, Answer::Receipt(receipt))) if receipt.height == 1));
    assert!(heights.recv_timeout(Duration::from_secs(60)).is_ok());
}

#[test]
fn questions_over_the_maximum_are_refused_and_those_taken_are_answered() {
    let mut bench = Bench::new(false, SoloOptions::default());
    let taken: Vec<Receiver<u64>> = (0..1_024).map(|_| ask_height(&bench)).collect();
    let refused = bench.questions.ask(Box::new(|_view| Box::new(|| {})));
    assert_eq!(refused, Err(NotAsked::QueueFull));
    // The clock stands still, so only the number bounds a turn.
    while bench.sequencer.turn().unwrap().is_zero() {}
    assert!(taken.iter().all(|heights| heights.recv_timeout(Duration::from_secs(60)) == Ok(0)));
}

struct Shown(Sender<u64>);

impl BlockObserver for Shown {
    fn durable_block(&mut self, block: DurableBlock) {
        let bodies: Vec<Vec<u8>> = borsh::from_slice(&block.records).unwrap();
        assert_eq!(bodies.len(), 1, "one record for one command");
        self.0.send(block.header.height.number()).unwrap();
    }
}

#[test]
fn an_observer_is_shown_every_block_in_order_once_it_is_durable() {
    let (sender, shown) = channel();
    let mut bench = Bench::observed(Some(Box::new(Shown(sender))));
    for nonce in 1..=3 {
        let envelope = bench.order(0, nonce);
        bench.submit(nonce, &envelope);
        bench.close_block();
    }
    assert!(shown.try_recv().is_err(), "nothing is durable yet");
    bench.durability.allow(3);
    let heights: Vec<u64> = (0..3).map(|_| shown.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
    assert_eq!(heights, [1, 2, 3]);
}
