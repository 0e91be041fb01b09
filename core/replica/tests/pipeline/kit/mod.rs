//! A small venue: a genesis with tight limits, keys that sign, and a driver that steps blocks.

mod guarding;
pub mod margined;
pub mod random;
pub mod storm;
pub mod words;

use std::collections::BTreeMap;

use casemate_audit::{RecordBody, RecordSource, Verdict};
use casemate_gate::{BuiltInTable, Decoded, PolicyDecider, authenticate_batch};
use casemate_ledger::{Ledger, SeededKeys};
use casemate_protocol::block::{Block, SealSecret};
use casemate_protocol::clearing::{Officers, ProposalRules};
use casemate_protocol::command::{
    Beneficiary, CancelOrder, DepositClaim, LimitTerms, OrderKind, OrderReference, PlaceOrder, SelfTradeMode,
    TimeInForce,
};
use casemate_protocol::envelope::{ENVELOPE_VERSION, Envelope, Evidence, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::genesis::{
    AccountRules, Genesis, LimiterRules, LogMode, MarketRules, Principal, RecoveryRules, SafeguardRules,
    SeededAccounts, SegmentRules, WindowCap,
};
use casemate_protocol::grant::{ActionSet, GrantLifetimes, GrantTerms, MarketScope};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::GRANT_LIFETIME_MS_MAX;
use casemate_protocol::parallel::{Parallel, Sequential};
use casemate_protocol::policy::PolicySet;
use casemate_protocol::{
    AccountId, AssetId, BoundedVec, ClientOrderId, Command, Digest, DurationMs, Event, FeePpm, GrantNumber, MarketId,
    OperatorId, OrderNumber, PriceTicks, PublicKey, QuantityLots, QuoteMicros, RatioPpm, RejectCode, SegmentId, Side,
    SignatureBytes, TickValueMicros, TimeMs,
};
use casemate_replica::{Executed, Replica};
use ed25519_zebra::SigningKey;

pub const GENESIS_MS: u64 = 1_000_000;
/// Attestors have the first account numbers; the third and the fourth belong to one operator.
pub const ATTESTORS: u64 = 4;
pub const SEEDED: u64 = 6;
/// The first seeded account.
pub const FIRST: u64 = ATTESTORS + 1;
pub const TICK_VALUE: u64 = 100;
pub const REFERENCE: u64 = 1_000;
pub const BOND: i64 = 5_000_000;
pub const OPENING_MIN: i64 = 10_000_000;
pub const BALANCE: i64 = 20_000_000;
pub const GRANT_NOTIONAL: i64 = 30_000_000;
pub const GRANT_LIFETIME_MS: u64 = 600_000;
pub const OPEN_ORDERS_MAX: u32 = 12;

/// Random sequences of a property: all of them, or a quarter in the inner loop, which asks for it.
#[expect(clippy::disallowed_methods, reason = "how long a test runs decides nothing")]
pub fn sequences(all: u32) -> u32 {
    if std::env::var_os("CASEMATE_QUICK").is_some() { all / 4 } else { all }
}

/// Work in the reverse order, cut as for seven workers: results must not depend on it.
pub struct Backwards;

impl Parallel for Backwards {
    fn width(&self) -> usize {
        7
    }

    fn for_each_mut<T: Send>(&self, items: &mut [T], work: impl Fn(&mut T) + Sync + Send) {
        items.iter_mut().rev().for_each(work);
    }
}

pub fn list<T, const MAX: usize>(items: Vec<T>) -> BoundedVec<T, MAX> {
    BoundedVec::new(items).expect("a list of the kit is short")
}

pub fn micros(amount: i64) -> QuoteMicros {
    QuoteMicros::from_micros(amount)
}

/// Derived once: the fuzzer would spend a good part of its time on the same few keys.
pub fn signing_key(kind: &'static str, number: u64) -> SigningKey {
    let derive = || SigningKey::from(hash::digest(Domain::Development, &[kind.as_bytes(), &number.to_le_bytes()]).0);
    *KEYS.lock().expect("deriving never panics").entry((kind, number)).or_insert_with(derive)
}

#[expect(clippy::disallowed_types, reason = "keys are a function of their names, whoever derived them first")]
static KEYS: std::sync::Mutex<BTreeMap<(&str, u64), SigningKey>> = std::sync::Mutex::new(BTreeMap::new());

#[expect(clippy::disallowed_types, reason = "Ed25519 makes the same signature every time")]
static SIGNATURES: std::sync::Mutex<BTreeMap<(PublicKey, Digest), SignatureBytes>> =
    std::sync::Mutex::new(BTreeMap::new());

/// More signatures than this are forgotten: the fuzzer runs for hours.
const SIGNATURES_KEPT_MAX: usize = 1 << 16;

/// A signature, made once: inputs of the fuzzer share most of their letters with inputs before.
fn sign(key: &SigningKey, digest: Digest) -> SignatureBytes {
    let mut signatures = SIGNATURES.lock().expect("signing never panics");
    if signatures.len() >= SIGNATURES_KEPT_MAX {
        signatures.clear();
    }
    let make = || SignatureBytes::Ed25519(key.sign(digest.bytes()).into());
    signatures.entry((public_key(key), digest)).or_insert_with(make).clone()
}

pub fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey::Ed25519(key.verification_key().into())
}

/// The root key of an attestor's or seeded account.
pub fn root_key(account: u64) -> SigningKey {
    signing_key("root", account)
}

/// The session key of a grant of an account.
pub fn session_key(account: u64, grant: u32) -> SigningKey {
    signing_key("session", account * 1_000 + u64::from(grant))
}

/// The key that an account may change its root key to.
pub fn next_root_key(account: u64) -> SigningKey {
    signing_key("next root", account)
}

pub fn opener_key(number: u64) -> SigningKey {
    signing_key("opener", number)
}

pub fn genesis() -> Genesis {
    let attestor =
        |operator, account| Principal { operator: OperatorId::new(operator), root_key: public_key(&root_key(account)) };
    Genesis {
        name: list(b"small venue".to_vec()),
        time_ms: TimeMs::from_ms(GENESIS_MS),
        is_development: true,
        log_mode: LogMode::Sealed,
        accounts: AccountRules {
            bond: micros(BOND),
            opening_deposit_min: micros(OPENING_MIN),
            weight_burst: 4_000,
            weight_per_second: 2_000,
            grant_lifetimes: GrantLifetimes::same(DurationMs::from_ms(GRANT_LIFETIME_MS_MAX)),
            safeguards: safeguard_rules(),
        },
        attestors: list(vec![attestor(1, 1), attestor(2, 2), attestor(3, 3), attestor(3, 4)]),
        attestor_quorum: 2,
        publishers: BoundedVec::empty(),
        risk_officers: Officers::default(),
        governors: Officers::default(),
        proposals: ProposalRules { delay_ms: DurationMs::from_ms(1_000), life_ms_max: DurationMs::from_ms(60_000) },
        feeds: BoundedVec::empty(),
        clearing: BoundedVec::empty(),
        margins: BoundedVec::empty(),
        passkey_origins: BoundedVec::empty(),
        segments: list(vec![segment_rules(1), segment_rules(2)]),
        markets: list(vec![market_rules(1, 1), market_rules(2, 1), market_rules(3, 2)]),
        seeded: Some(SeededAccounts {
            count: SEEDED,
            seed: [7; 32],
            balance: micros(BALANCE),
            position_lots: QuantityLots::ZERO,
            grant_notional: micros(GRANT_NOTIONAL),
            grant_commands_per_minute: 200,
            grant_lifetime_ms: DurationMs::from_ms(GRANT_LIFETIME_MS),
        }),
        policies: PolicySet::default(),
        auditors: BoundedVec::empty(),
    }
}

/// Delays short enough to be lived through.
pub fn safeguard_rules() -> SafeguardRules {
    SafeguardRules {
        address_cooling_ms: DurationMs::from_ms(20_000),
        root_change_delay_ms: DurationMs::from_ms(10_000),
        recovery: RecoveryRules {
            guardian_change_delay_ms: DurationMs::from_ms(60_000),
            recovery_delay_ms: DurationMs::from_ms(40_000),
            guardian_vote_lifetime_ms: DurationMs::from_ms(20_000),
            recovery_cancels_max: 2,
            recovery_cancels_window_ms: DurationMs::from_ms(300_000),
            recovery_pause_ms: DurationMs::from_ms(30_000),
            freeze_ms_max: DurationMs::from_ms(50_000),
            recovery_hold_ms: DurationMs::from_ms(30_000),
        },
    }
}

fn segment_rules(id: u16) -> SegmentRules {
    let window = |window_ms, floor, share| LimiterRules {
        window_ms: DurationMs::from_ms(window_ms),
        floor: micros(floor),
        vault_share: RatioPpm::from_ppm(share),
    };
    SegmentRules {
        id: SegmentId::new(id),
        asset: AssetId::new(1),
        withdrawal_delay_ms: DurationMs::from_ms(2_000),
        transfer_delay_ms: DurationMs::from_ms(1_000),
        inbound: WindowCap { window_ms: DurationMs::from_ms(3_600_000), amount_max: micros(100_000_000) },
        outbound: list(vec![window(10_000, 3_000_000, 20_000), window(60_000, 8_000_000, 60_000)]),
        open_orders_max: OPEN_ORDERS_MAX,
        dead_man_timeout_min_ms: DurationMs::from_ms(1_000),
        fee_share_insurance: RatioPpm::from_ppm(300_000),
        fee_share_validators: RatioPpm::from_ppm(200_000),
        conduct: casemate_protocol::conduct::ConductRules::STARTING,
    }
}

fn market_rules(id: u16, segment: u16) -> MarketRules {
    MarketRules {
        id: MarketId::new(id),
        segment: SegmentId::new(segment),
        tick_value: TickValueMicros::from_micros(100),
        price_max: PriceTicks::from_ticks(10_000),
        reference_price: PriceTicks::from_ticks(REFERENCE),
        band: RatioPpm::from_ppm(100_000),
        order_lots_min: QuantityLots::from_lots(2),
        order_lots_max: QuantityLots::from_lots(100),
        position_lots_max: QuantityLots::from_lots(150),
        maker_fee: FeePpm::from_ppm(-50),
        taker_fee: FeePpm::from_ppm(400),
    }
}

/// The first seeded account of a genesis: after everybody whom it names.
pub fn first_seeded(genesis: &Genesis) -> u64 {
    u64::try_from(genesis.principals().count()).expect("few") + 1
}

pub fn seeded_keys(genesis: &Genesis) -> impl Iterator<Item = SeededKeys> + use<> {
    let first = first_seeded(genesis);
    (first..first + SEEDED).map(|account| SeededKeys {
        root: public_key(&root_key(account)),
        session: public_key(&session_key(account, 1)),
    })
}

pub fn replica(genesis: &Genesis) -> Replica<BuiltInTable> {
    Replica::new(genesis, seeded_keys(genesis), BuiltInTable, &Sequential).expect("the genesis of the kit is valid")
}

/// A letter before it is signed: everything that an envelope says, with ordinary values to start from.
#[derive(Clone)]
pub struct Letter {
    pub key: SigningKey,
    pub intent: Intent,
    pub evidence: Vec<Evidence>,
}

impl Letter {
    pub fn group(mut self) -> Self {
        self.intent.group = GroupMode::AllOrNothing;
        self
    }

    pub fn nonce(mut self, nonce: u64) -> Self {
        self.intent.nonce = nonce;
        self
    }

    pub fn valid_until(mut self, time_ms: u64) -> Self {
        self.intent.valid_until_ms = TimeMs::from_ms(time_ms);
        self
    }

    pub fn evidence(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    pub fn sealed(&self) -> Vec<u8> {
        let unsigned = SignatureBytes::Ed25519([0; 64]);
        let mut envelope =
            Envelope { intent: self.intent.clone(), evidence: list(self.evidence.clone()), signature: unsigned };
        envelope.signature = sign(&self.key, envelope.digests().envelope);
        envelope.encode()
    }
}

/// One executed block and what came of it.
pub struct Step {
    pub block: Block,
    pub executed: Executed,
    pub records: Vec<RecordBody>,
    /// By place in the input: refused by the stateless stages or by inclusion.
    pub refused_outside: Vec<(usize, RejectCode)>,
    /// Intents of the block's envelopes by id.
    pub intents: BTreeMap<[u8; 32], Intent>,
}

impl Step {
    /// The verdict of a command of an included envelope.
    pub fn verdict(&self, envelope: usize, command: usize) -> Result<(), RejectCode> {
        let outcome = self.executed.envelopes[envelope].commands[command];
        outcome.refusal.map_or(Ok(()), |reject| Err(reject.code()))
    }

    /// The verdict of the only command of the only envelope, wherever it was given.
    pub fn only(&self) -> Result<(), RejectCode> {
        match self.refused_outside.as_slice() {
            [] => self.verdict(0, 0),
            [(_, code), ..] => Err(*code),
        }
    }

    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().flat_map(|record| record.events.iter())
    }

    /// The command of a record, with its envelope's intent.
    pub fn asked(&self, record: &RecordBody) -> Option<(&Intent, &Command)> {
        let RecordSource::Command { envelope, command_index, .. } = &record.source else { return None };
        let intent = self.intents.get(envelope.bytes())?;
        Some((intent, &intent.commands.as_slice()[usize::from(*command_index)]))
    }
}

pub fn is_accepted(record: &RecordBody) -> bool {
    record.verdict == Verdict::Accepted
}

/// A replica with its clock and its clients' nonces.
pub struct Venue<D = BuiltInTable> {
    /// The first seeded account.
    pub first: u64,
    pub genesis: Genesis,
    pub replica: Replica<D>,
    pub time_ms: u64,
    pub nonces: BTreeMap<PublicKey, u64>,
}

impl Venue {
    pub fn new() -> Self {
        Self::of(genesis())
    }

    pub fn of(genesis: Genesis) -> Self {
        let replica = replica(&genesis);
        Self::at_start(genesis, replica)
    }
}

impl<D: PolicyDecider> Venue<D> {
    /// From a replica at height 0.
    pub fn at_start(genesis: Genesis, replica: Replica<D>) -> Self {
        Self { first: first_seeded(&genesis), genesis, replica, time_ms: GENESIS_MS, nonces: BTreeMap::new() }
    }

    pub fn ledger(&self) -> &Ledger {
        self.replica.ledger()
    }

    pub fn chain_id(&self) -> Digest {
        *self.ledger().chain_id()
    }

    fn next_nonce(&mut self, account: u64, role: SignerRole, key: &PublicKey) -> u64 {
        let row = self.ledger().accounts().account(AccountId::new(account));
        let next = match role {
            SignerRole::Root => row.map_or(1, |row| row.nonces().next()),
            SignerRole::Session => row.and_then(|row| row.grant_of(key)).map_or(1, |grant| grant.nonces().next()),
        };
        let nonce = self.nonces.get(key).copied().unwrap_or(0).max(next);
        self.nonces.insert(*key, nonce + 1);
        nonce
    }

    pub fn letter(&mut self, account: u64, role: SignerRole, key: SigningKey, commands: Vec<Command>) -> Letter {
        let public = public_key(&key);
        let nonce = self.next_nonce(account, role, &public);
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: self.chain_id(),
            account: AccountId::new(account),
            signer: Signer { role, key: public },
            nonce,
            valid_until_ms: TimeMs::from_ms(self.time_ms + 3_600_000),
            group: GroupMode::EachAlone,
            commands: list(commands),
        };
        Letter { key, intent, evidence: Vec::new() }
    }

    /// The root key that an attestor or seeded account has now.
    pub fn current_root_key(&self, account: u64) -> SigningKey {
        let row = self.ledger().accounts().account(AccountId::new(account));
        let next = next_root_key(account);
        if row.is_some_and(|row| *row.root_key() == public_key(&next)) { next } else { root_key(account) }
    }

    /// Commands signed by the root key of an attestor or seeded account.
    pub fn root(&mut self, account: u64, commands: Vec<Command>) -> Letter {
        let key = self.current_root_key(account);
        self.letter(account, SignerRole::Root, key, commands)
    }

    /// Commands signed by a session key.
    pub fn session(&mut self, account: u64, grant: u32, commands: Vec<Command>) -> Letter {
        self.letter(account, SignerRole::Session, session_key(account, grant), commands)
    }

    pub fn opening(&mut self, key: SigningKey) -> Letter {
        let mut letter = self.letter(0, SignerRole::Root, key, vec![Command::OpenAccount]);
        letter.intent.nonce = 1;
        letter
    }

    /// Proposes a block this much later. It is pending afterwards.
    pub fn propose(&mut self, step_ms: u64, envelopes: Vec<Vec<u8>>) -> Step {
        let mut refused_outside = Vec::new();
        let (mut decoded, mut decoded_places) = (Vec::new(), Vec::new());
        for (place, bytes) in envelopes.into_iter().enumerate() {
            match Decoded::from_bytes(bytes, self.ledger().chain_id()) {
                Ok(envelope) => {
                    decoded.push(envelope);
                    decoded_places.push(place);
                }
                Err(reject) => refused_outside.push((place, reject.code())),
            }
        }
        let (mut authenticated, mut places) = (Vec::new(), Vec::new());
        for (place, verdict) in
            decoded_places.into_iter().zip(authenticate_batch(decoded, self.replica.proofs(), &Sequential))
        {
            match verdict {
                Ok(envelope) => {
                    authenticated.push(envelope);
                    places.push(place);
                }
                Err(reject) => refused_outside.push((place, reject.code())),
            }
        }
        self.time_ms += step_ms;
        let time_ms = TimeMs::from_ms(self.time_ms);
        let secret = SealSecret(hash::digest(Domain::Development, &[b"secret", &self.time_ms.to_le_bytes()]).0);
        let proposal = self.replica.propose(authenticated, time_ms, secret, &Sequential, &mut ()).expect("time grows");
        refused_outside.extend(proposal.left_out.iter().map(|(place, reject, _)| (places[*place], reject.code())));
        refused_outside.sort_unstable_by_key(|(place, _)| *place);
        let intents = proposal.block.envelopes.iter().map(|bytes| {
            let (envelope, digests) = Envelope::decode(bytes.as_slice()).expect("a block holds what decodes");
            (*digests.intent.bytes(), envelope.intent)
        });
        Step {
            intents: intents.collect(),
            records: records(&proposal.executed),
            block: proposal.block,
            executed: proposal.executed,
            refused_outside,
        }
    }

    pub fn step_after(&mut self, step_ms: u64, envelopes: Vec<Vec<u8>>) -> Step {
        let step = self.propose(step_ms, envelopes);
        self.replica.adopt();
        assert_eq!(self.ledger().check_laws_from_rows(), [], "a law is broken");
        step
    }

    pub fn step(&mut self, letters: &[Letter]) -> Step {
        self.step_after(10, letters.iter().map(Letter::sealed).collect())
    }

    /// A block without envelopes, this much later.
    pub fn wait(&mut self, step_ms: u64) -> Step {
        self.step_after(step_ms, Vec::new())
    }

    /// Blocks without envelopes until the waiting clock has gained this much.
    pub fn wait_through(&mut self, wait_ms: u64) -> Vec<Step> {
        (0..wait_ms.div_ceil(2_000)).map(|_| self.wait(2_000)).collect()
    }

    /// One command signed by a root key, in a block of its own.
    pub fn ask(&mut self, account: u64, command: Command) -> Result<(), RejectCode> {
        let letter = self.root(account, vec![command]);
        self.step(&[letter]).only()
    }

    /// One command signed by a session key, in a block of its own.
    pub fn ask_session(&mut self, account: u64, grant: u32, command: Command) -> Result<(), RejectCode> {
        let letter = self.session(account, grant, vec![command]);
        self.step(&[letter]).only()
    }

    /// Statements of these attestors about a claim, in one block.
    pub fn attest(&mut self, attestors: &[u64], claim: &DepositClaim) -> Step {
        let letters: Vec<Letter> = attestors
            .iter()
            .map(|&attestor| self.root(attestor, vec![Command::AttestDeposit(Box::new(claim.clone()))]))
            .collect();
        self.step(&letters)
    }

    /// Opens an account for an opener's key with this deposit; returns its number.
    pub fn open(&mut self, opener: u64, amount: i64) -> u64 {
        let key = opener_key(opener);
        let claim = claim(0x40_0000 + opener, amount, Beneficiary::RootKey(public_key(&key)));
        self.attest(&[1, 2], &claim);
        let letter = self.opening(key);
        assert_eq!(self.step(&[letter]).only(), Ok(()));
        self.ledger().accounts().last_account().number()
    }

    pub fn cash(&self, segment: u16, account: u64) -> i64 {
        let segment = self.ledger().segment(SegmentId::new(segment)).expect("the segment exists");
        segment.sub_account(AccountId::new(account)).map_or(0, |row| row.cash().micros())
    }

    pub fn lots(&self, market: u16, account: u64) -> i64 {
        let id = MarketId::new(market);
        let segment = self.ledger().segment_of(id).and_then(|id| self.ledger().segment(id)).expect("a market");
        let place = segment.market_place(id).expect("a market of its segment");
        segment.sub_account(AccountId::new(account)).map_or(0, |row| row.position(place).lots())
    }

    pub fn open_orders(&self, segment: u16, account: u64) -> usize {
        let segment = self.ledger().segment(SegmentId::new(segment)).expect("the segment exists");
        segment.sub_account(AccountId::new(account)).map_or(0, |row| row.orders().len())
    }

    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.replica.write_snapshot(&mut bytes).expect("memory takes everything");
        bytes
    }
}

/// The records of an executed block, opened.
pub fn records(executed: &Executed) -> Vec<RecordBody> {
    let body = |range: &std::ops::Range<usize>| {
        borsh::from_slice(&executed.bodies[range.clone()]).expect("a record's body decodes")
    };
    executed.body_ranges.iter().map(body).collect()
}

/// A deposit claim of segment 1; the number names the outside transaction.
pub fn claim(number: u64, amount: i64, beneficiary: Beneficiary) -> DepositClaim {
    DepositClaim {
        chain: 7,
        transaction: list(number.to_le_bytes().to_vec()),
        output: 0,
        asset: AssetId::new(1),
        amount: micros(amount),
        segment: SegmentId::new(1),
        beneficiary,
    }
}

pub fn order(market: u16, side: Side, price: u64, lots: u64, time_in_force: TimeInForce) -> PlaceOrder {
    PlaceOrder {
        market: MarketId::new(market),
        side,
        kind: OrderKind::Limit(LimitTerms { price: PriceTicks::from_ticks(price), time_in_force }),
        quantity: QuantityLots::from_lots(lots),
        client_id: ClientOrderId::NONE,
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    }
}

pub fn bid(market: u16, price: u64, lots: u64) -> Command {
    Command::PlaceOrder(order(market, Side::Bid, price, lots, TimeInForce::GoodTillCancel))
}

pub fn ask(market: u16, price: u64, lots: u64) -> Command {
    Command::PlaceOrder(order(market, Side::Ask, price, lots, TimeInForce::GoodTillCancel))
}

pub fn cancel(market: u16, number: u64) -> Command {
    let order = OrderReference::Number(OrderNumber::new(number));
    Command::CancelOrder(CancelOrder { market: MarketId::new(market), order })
}

/// Terms of a grant for trading everywhere, generous in every respect.
pub fn terms<D>(venue: &Venue<D>, account: u64, number: u32) -> GrantTerms {
    GrantTerms {
        number: GrantNumber::new(number),
        parent: GrantNumber::NONE,
        session_key: public_key(&session_key(account, number)),
        actions: ActionSet::TRADING,
        markets: MarketScope::All,
        notional_quote_micros_max: micros(GRANT_NOTIONAL),
        loss_quote_micros_max: micros(GRANT_NOTIONAL),
        commands_per_minute_max: 100,
        expires_ms: TimeMs::from_ms(venue.time_ms + 60_000),
        register_before_ms: TimeMs::from_ms(venue.time_ms + 30_000),
    }
}
