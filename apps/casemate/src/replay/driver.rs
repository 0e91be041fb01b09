//! Turns the steps of a plan into blocks, and what the engine did into the comparison.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;

use casemate_audit::{RecordBody, RecordSource, Verdict};
use casemate_gate::{Authenticated, Decoded, NoProofs, authenticate_batch};
use casemate_node::Node;
use casemate_node::development_keys::{public_key, session_key, sign_envelope};
use casemate_node::node::{decode_block, decode_records};
use casemate_protocol::command::{
    CancelOrder, LimitTerms, OrderKind, OrderReference, PlaceOrder, SelfTradeMode, TimeInForce,
};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::event::RemovalCause;
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, Command, Digest, DurationMs, Envelope, Event, MarketId, PublicKey, Side,
    TimeMs,
};
use ed25519_zebra::SigningKey;
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::CliError;
use crate::order_flow::comparison::Comparison;
use crate::order_flow::plan::{Plan, Step, account_index};
use crate::order_flow::recorded_book::{BestPrices, RecordedBook};
use crate::order_flow::rows::Row;

/// The market of the replay.
const MARKET: MarketId = MarketId::new(1);
/// How long a signed command of the replay stays acceptable.
const VALIDITY: DurationMs = DurationMs::from_ms(30_000);

/// Drives a node through a plan.
pub struct Driver<'plan> {
    pub(super) node: Node,
    pub(super) comparison: Comparison<'plan>,
    pub(super) totals: Totals,
    pub(super) plan: &'plan Plan,
    seed: [u8; 32],
    accounts: NonZeroU64,
    signers: HashMap<u64, SessionSigner>,
    /// Which order of the record an order of the engine is.
    recorded_ids: HashMap<u64, u64>,
}

/// Counts over the whole chain, blocks before a restart included.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub envelopes: u64,
    pub commands: u64,
    pub trades: u64,
    pub refusals: BTreeMap<u16, u64>,
    /// Commands that this run sent itself.
    pub commands_this_run: u64,
    pub blocks_found: u64,
}

struct SessionSigner {
    account: AccountId,
    key: SigningKey,
    public: PublicKey,
    next_nonce: u64,
}

/// What a command of the replay was about.
#[derive(Clone, Copy)]
struct Sent {
    id: u64,
    is_placement: bool,
}

impl<'plan> Driver<'plan> {
    pub fn new(
        node: Node,
        plan: &'plan Plan,
        comparison: Comparison<'plan>,
        seed: [u8; 32],
        accounts: NonZeroU64,
    ) -> Self {
        let (signers, recorded_ids, totals) = (HashMap::new(), HashMap::new(), Totals::default());
        Self { node, comparison, totals, plan, seed, accounts, signers, recorded_ids }
    }

    /// Takes in the blocks that the chain has already, then makes the rest.
    pub fn run(&mut self, rows: &[Row], mut book: RecordedBook, is_quiet: bool) -> Result<(), CliError> {
        self.absorb_kept_blocks()?;
        let progress = progress_bar(self.plan.steps.len() as u64, is_quiet);
        let mut rows = rows.iter().peekable();
        let mut height = 0;
        for block in self.plan.steps.split_inclusive(|step| matches!(step, Step::CloseBlock { .. })) {
            progress.inc(block.len() as u64);
            height += 1;
            let Some((Step::CloseBlock { through_line, time }, steps)) = block.split_last() else { continue };
            while let Some(row) = rows.next_if(|row| row.line <= *through_line) {
                book.follow(row);
            }
            if height <= self.totals.blocks_found {
                continue;
            }
            self.run_block(steps, *time)?;
            self.comparison.sample(book.best(), self.engine_best());
        }
        progress.finish_and_clear();
        self.node.keeper().flush()?;
        Ok(())
    }

    fn run_block(&mut self, steps: &[Step], time: TimeMs) -> Result<(), CliError> {
        let time_ms = time.max(self.node.replica().ledger().chain().time_ms.plus(DurationMs::from_ms(1)));
        let mut sent = HashMap::new();
        let mut decoded = Vec::with_capacity(steps.len());
        for step in steps {
            let Some((id, command, is_placement)) = command_of(step) else { continue };
            let envelope = self.sign(id, command, time_ms);
            let one = Decoded::from_bytes(envelope.encode(), self.node.replica().ledger().chain_id())
                .map_err(|reject| CliError::defect(format!("the replay's own envelope was refused: {reject}")))?;
            sent.insert(one.digests().intent, Sent { id, is_placement });
            decoded.push(one);
        }
        let authenticated: Result<Vec<Authenticated>, _> =
            authenticate_batch(decoded, &NoProofs, self.node.threads()).into_iter().collect();
        let authenticated = authenticated
            .map_err(|reject| CliError::defect(format!("the replay's own signature was refused: {reject}")))?;
        self.totals.commands_this_run += authenticated.len() as u64;
        let proposed = self.node.propose(authenticated, time_ms, &mut ())?;
        if let Some((_, reject, _)) = proposed.left_out.first() {
            return Err(CliError::defect(format!("an envelope of the replay was left out of its block: {reject}")));
        }
        for range in &proposed.executed.body_ranges {
            let bytes = proposed.records.get(range.clone()).unwrap_or(&[]);
            let body: RecordBody = borsh::from_slice(bytes)
                .map_err(|error| CliError::defect(format!("a record does not decode: {error}")))?;
            self.absorb(&body, &sent);
        }
        self.totals.envelopes += proposed.outcomes.len() as u64;
        Ok(())
    }

    /// Blocks that an earlier run left: their commands and records tell what happened.
    fn absorb_kept_blocks(&mut self) -> Result<(), CliError> {
        self.totals.blocks_found = self.node.height();
        if self.totals.blocks_found == 0 {
            return Ok(());
        }
        eprintln!("continuing at block {}", self.totals.blocks_found + 1);
        let blocks = self.node.journal().read_from(1)?;
        let records = self.node.records().read_from(1)?;
        let mut kept = Vec::new();
        for (block, records) in blocks.zip(records) {
            let (block, records) = (block?, records?);
            let block = decode_block(block.height, &block.payload)?;
            kept.push((sent_in(&block), decode_records(&block, &records.payload)?));
        }
        if kept.len() as u64 != self.totals.blocks_found {
            return Err(CliError::new(
                format!("records of {} of {} blocks are there", kept.len(), self.totals.blocks_found),
                "start the replay in an empty folder",
            ));
        }
        for (sent, records) in kept {
            self.totals.envelopes += sent.len() as u64;
            for record in records {
                self.absorb(&record.body, &sent);
            }
        }
        Ok(())
    }

    fn absorb(&mut self, body: &RecordBody, sent: &HashMap<Digest, Sent>) {
        let RecordSource::Command { envelope, .. } = &body.source else { return };
        let Some(sent) = sent.get(envelope).copied() else { return };
        self.totals.commands += 1;
        if let Verdict::Refused(reject) = &body.verdict {
            *self.totals.refusals.entry(reject.code().number()).or_default() += 1;
            if sent.is_placement {
                self.comparison.refused(sent.id);
            }
        }
        for event in &body.events {
            self.absorb_event(event, sent);
        }
    }

    fn absorb_event(&mut self, event: &Event, sent: Sent) {
        match event {
            Event::OrderRested(rested) => {
                self.recorded_ids.insert(rested.number.number(), sent.id);
            }
            Event::TradeExecuted(trade) => {
                self.totals.trades += 1;
                self.recorded_ids.insert(trade.taker_order.number(), sent.id);
                self.comparison.filled(sent.id, trade.quantity);
                if let Some(maker) = self.recorded_ids.get(&trade.maker_order.number()) {
                    self.comparison.filled(*maker, trade.quantity);
                }
            }
            Event::OrderRemoved(removed) if removed.cause == RemovalCause::SelfTrade => {
                if let Some(id) = self.recorded_ids.get(&removed.number.number()) {
                    self.comparison.dropped_for_self_trade(*id, removed.quantity);
                }
            }
            _ => {}
        }
    }

    fn sign(&mut self, id: u64, command: Command, time_ms: TimeMs) -> Envelope {
        let index = account_index(&self.seed, id, self.accounts);
        let ledger = self.node.replica().ledger();
        let signer = self.signers.entry(index).or_insert_with(|| {
            let key = session_key(&self.seed, index);
            let public = public_key(&key);
            // Attestors have the first account numbers, seeded accounts come after them.
            let account = AccountId::new(index + 1 + ledger.genesis().principals().count() as u64);
            let grant = ledger.accounts().account(account).and_then(|row| row.grant_of(&public));
            let next_nonce = grant.map_or(1, |grant| grant.nonces().next());
            SessionSigner { account, key, public, next_nonce }
        });
        let nonce = signer.next_nonce;
        signer.next_nonce += 1;
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: *ledger.chain_id(),
            account: signer.account,
            signer: Signer { role: SignerRole::Session, key: signer.public },
            nonce,
            valid_until_ms: time_ms.plus(VALIDITY),
            group: GroupMode::EachAlone,
            commands: BoundedVec::new(vec![command]).unwrap_or_default(),
        };
        sign_envelope(intent, &signer.key)
    }

    fn engine_best(&self) -> BestPrices {
        let market = self.node.replica().ledger().segments().first().and_then(|segment| segment.markets().first());
        let best = |side| market.and_then(|market| market.book().best_price(side));
        BestPrices { bid: best(Side::Bid), ask: best(Side::Ask) }
    }
}

/// The command of a step, and the order of the record that it is about.
fn command_of(step: &Step) -> Option<(u64, Command, bool)> {
    match step {
        Step::Open(order) | Step::Create(order) => {
            let place = PlaceOrder {
                market: MARKET,
                side: order.side,
                kind: OrderKind::Limit(LimitTerms { price: order.price, time_in_force: TimeInForce::GoodTillCancel }),
                quantity: order.quantity,
                client_id: ClientOrderId::new(order.id),
                is_reduce_only: false,
                self_trade: SelfTradeMode::CancelResting,
            };
            Some((order.id, Command::PlaceOrder(place), true))
        }
        Step::Cancel(cancel) => {
            let order = OrderReference::Client(ClientOrderId::new(cancel.id));
            Some((cancel.id, Command::CancelOrder(CancelOrder { market: MARKET, order }), false))
        }
        Step::CloseBlock { .. } => None,
    }
}

fn sent_in(block: &casemate_protocol::block::Block) -> HashMap<Digest, Sent> {
    let mut sent = HashMap::new();
    for bytes in &block.envelopes {
        let Ok((envelope, digests)) = Envelope::decode(bytes.as_slice()) else { continue };
        let about = envelope.intent.commands.iter().find_map(|command| match command {
            Command::PlaceOrder(place) => Some(Sent { id: place.client_id.number(), is_placement: true }),
            Command::CancelOrder(CancelOrder { order: OrderReference::Client(id), .. }) => {
                Some(Sent { id: id.number(), is_placement: false })
            }
            _ => None,
        });
        sent.extend(about.map(|about| (digests.intent, about)));
    }
    sent
}

fn progress_bar(steps: u64, is_quiet: bool) -> ProgressBar {
    let bar = if is_quiet { ProgressBar::hidden() } else { ProgressBar::new(steps) };
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {per_sec}  {elapsed} of about {duration}");
    bar.with_style(style.unwrap_or_else(|_error| ProgressStyle::default_bar()))
}
