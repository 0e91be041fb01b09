//! Random command sequences from a string of bytes, so that property tests and the fuzzer share them and both shrink.

use casemate_ledger::accounts::{Account, Grant};
use casemate_protocol::command::{
    AddEvidence, AmendOrder, Approve, Beneficiary, CancelAllOrders, CancelOrder, CancelScope, CancelTransfer,
    CancelWithdrawal, Change, ChangeRootKey, CloseAccount, ContestLink, DepositClaim, LeaveBreaker, LimitTerms,
    MarketTerms, OrderKind, OrderReference, PayoutAddress, PlaceOrder, Propose, QuoteLadder, QuoteLevel,
    RequestTransfer, RequestWithdrawal, RevokeGrant, SelfTradeMode, SetDeadMan, SubmitPrice, TimeInForce, Waiting,
};
use casemate_protocol::conduct::{ConductRules, DamageRules};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::{AccountRules, Genesis, SafeguardRules, SegmentRules};
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::{
    AccountId, Action, AssetId, BreakerState, ClientOrderId, Command, DurationMs, FeedId, GrantNumber, MarketId,
    OrderNumber, PriceNanos, PriceTicks, ProposalNumber, QuantityLots, QuoteMicros, RatioPpm, SegmentId, Side, TimeMs,
    TransferNumber, WithdrawalNumber,
};
use ed25519_zebra::SigningKey;

use super::{
    ATTESTORS, Letter, OPENING_MIN, REFERENCE, SEEDED, Venue, guarding, list, margined, micros, next_root_key,
    opener_key, public_key, session_key,
};

/// Bytes read as choices; zero once they are used up.
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        u64::from(self.byte()) % bound
    }

    pub fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == odds - 1
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }
}

/// Lengths of block time that matter to some clock of the venue.
pub const STEPS_MS: [u64; 13] = [1, 5, 5, 5, 5, 5, 500, 500, 500, 1_000, 1_000, 2_000, 61_000];

/// Who signs.
#[derive(Clone)]
struct Actor {
    account: u64,
    role: SignerRole,
    grant: u32,
    key: SigningKey,
}

/// The envelopes of one block.
pub fn letters(choices: &mut Choices<'_>, venue: &mut Venue, count_max: u64) -> Vec<Letter> {
    let count = 1 + choices.below(count_max);
    let mut letters: Vec<Letter> = (0..count).map(|_| letter(choices, venue)).collect();
    if !venue.genesis.feeds.is_empty() {
        letters.extend(margined::random_prices(choices, venue));
        letters.extend(margined::random_offices(choices, venue));
        letters.extend(margined::random_leverage(choices, venue));
    }
    letters
}

/// A venue of either kind: with full collateral, or on margin. Its detectors of conduct fire at next to nothing.
pub fn venue(choices: &mut Choices<'_>) -> Venue {
    let genesis = if choices.one_in(2) { margined::patient_venue().genesis } else { super::genesis() };
    let segments = genesis.segments.iter().map(|rules| SegmentRules { conduct: JUMPY, ..rules.clone() });
    let segments = list(segments.collect());
    let safeguards = SafeguardRules { recovery: guarding::QUICK, ..genesis.accounts.safeguards };
    let accounts = AccountRules { safeguards, ..genesis.accounts };
    Venue::of(Genesis { segments, accounts, ..genesis })
}

const JUMPY: ConductRules = ConductRules {
    wash_gross_min: QuoteMicros::from_micros(1),
    spoof_usual_orders: 1,
    stuffing_messages: 2,
    ignition_run: RatioPpm::from_ppm(1_000),
    pump_run: RatioPpm::from_ppm(1_000),
    loss_of_fill: RatioPpm::from_ppm(100),
    refusals_of_account: 1,
    refusals_of_market: 2,
    damage: DamageRules {
        outflow: RatioPpm::from_ppm(25_000),
        pending: RatioPpm::from_ppm(300_000),
        price_step: RatioPpm::from_ppm(50_000),
        own_loss: RatioPpm::from_ppm(100_000),
        book_depth: RatioPpm::from_ppm(900_000),
        open_interest: RatioPpm::from_ppm(900_000),
    },
};

fn letter(choices: &mut Choices<'_>, venue: &mut Venue) -> Letter {
    let kind = choices.below(24);
    if kind == 22 {
        return venue.opening(opener_key(choices.below(3)));
    }
    if kind == 21 || kind == 20 && choices.one_in(4) {
        return acceptance(choices, venue);
    }
    if kind == 20 {
        return guarding::letter(choices, venue);
    }
    let actor = if kind == 23 { opened(choices, venue) } else { actor(choices, venue) };
    let count = [1, 1, 1, 1, 2, 3, 5][usize::try_from(choices.below(7)).expect("small")];
    let commands: Vec<Command> = (0..count).map(|_| command(choices, venue, &actor)).collect();
    let is_group = count > 1 && choices.one_in(2);
    let mut letter = venue.letter(actor.account, actor.role, actor.key, commands);
    if is_group {
        letter = letter.group();
    }
    if choices.one_in(24) {
        let nonce = letter.intent.nonce;
        letter = letter.nonce(choices.pick(&[0, 1, nonce + 40, nonce + 500, u64::MAX]));
    }
    if choices.one_in(32) {
        letter = letter.valid_until(choices.pick(&[0, venue.time_ms, u64::MAX]));
    }
    letter
}

/// What the other key of a seeded account signs to become its root key, whether it is announced or not.
fn acceptance(choices: &mut Choices<'_>, venue: &mut Venue) -> Letter {
    let account = venue.first + choices.below(SEEDED);
    venue.letter(account, SignerRole::Root, next_root_key(account), vec![Command::AcceptRootKey])
}

fn actor(choices: &mut Choices<'_>, venue: &Venue) -> Actor {
    match choices.below(12) {
        0..=2 => {
            let account = 1 + choices.below(ATTESTORS);
            Actor { account, role: SignerRole::Root, grant: 0, key: super::root_key(account) }
        }
        3..=7 => {
            let account = venue.first + choices.below(SEEDED);
            Actor { account, role: SignerRole::Root, grant: 0, key: venue.current_root_key(account) }
        }
        _ => {
            let account = venue.first + choices.below(SEEDED);
            let row = venue.ledger().accounts().account(AccountId::new(account));
            let grants = row.map_or(0, |row| row.grants().len());
            let chosen = usize::try_from(choices.below(4)).expect("small").min(grants.saturating_sub(1));
            let grant = row.and_then(|row| row.grants().get(chosen)).map_or(1, |grant| grant.number().number());
            Actor { account, role: SignerRole::Session, grant, key: session_key(account, grant) }
        }
    }
}

/// An account that was opened in this run, as its root key signs for it.
fn opened(choices: &mut Choices<'_>, venue: &Venue) -> Actor {
    let key = opener_key(choices.below(3));
    let account = venue.ledger().accounts().account_of_root(&public_key(&key));
    Actor { account: account.map_or(9_999, AccountId::number), role: SignerRole::Root, grant: 0, key }
}

fn command(choices: &mut Choices<'_>, venue: &Venue, actor: &Actor) -> Command {
    if actor.account <= ATTESTORS && !choices.one_in(8) {
        return Command::AttestDeposit(Box::new(deposit_claim(choices, venue.first)));
    }
    let action = match choices.below(48) {
        0..=16 => Action::PlaceOrder,
        _ if actor.role == SignerRole::Session && choices.one_in(2) => Action::PlaceOrder,
        17..=19 => Action::AmendOrder,
        20..=22 => Action::CancelOrder,
        23 => Action::CancelAllOrders,
        24 | 36 => Action::RegisterGrant,
        25..=27 => Action::QuoteLadder,
        28 if choices.one_in(3) => Action::ContestLink,
        28 => Action::SetDeadMan,
        29 => Action::AttestDeposit,
        30 | 31 => Action::RequestWithdrawal,
        32 => Action::CancelWithdrawal,
        33 | 34 => Action::RequestTransfer,
        35 => Action::CancelTransfer,
        37 => Action::RevokeGrant,
        38 => Action::CloseAccount,
        39 | 40 => Action::CancelWithdrawal,
        41 | 42 => Action::CancelTransfer,
        43 => choices.pick(&[
            Action::RequestPrincipalExit,
            Action::SubmitPrice,
            Action::Propose,
            Action::Approve,
            Action::AddEvidence,
        ]),
        44 | 45 if choices.one_in(2) => choices.pick(&[Action::AddPayoutAddress, Action::RemovePayoutAddress]),
        47 => choices.pick(&[
            Action::SetGuardians,
            Action::VoteAsGuardian,
            Action::CancelGuardianChange,
            Action::CancelRecovery,
        ]),
        44..=46 => choices.pick(&[
            Action::ChangeRootKey,
            Action::ChangeRootKey,
            Action::ChangeRootKey,
            Action::CancelRootKeyChange,
        ]),
        _ => Action::PlaceOrder,
    };
    command_of(choices, venue, actor, action)
}

fn command_of(choices: &mut Choices<'_>, venue: &Venue, actor: &Actor, action: Action) -> Command {
    match action {
        Action::OpenAccount => Command::OpenAccount,
        Action::CloseAccount => {
            let length = if choices.one_in(8) { 0 } else { 20 };
            Command::CloseAccount(Box::new(CloseAccount { chain: 1, destination: list(vec![5; length]) }))
        }
        Action::RegisterGrant => Command::RegisterGrant(Box::new(grant_terms(choices, venue, actor))),
        Action::RevokeGrant => Command::RevokeGrant(RevokeGrant { number: grant_to_revoke(choices, venue, actor) }),
        Action::AddPayoutAddress => Command::AddPayoutAddress(Box::new(payout_address(choices))),
        Action::RemovePayoutAddress => {
            let rows = venue.ledger().accounts().safeguards();
            let entry = rows.of(AccountId::new(actor.account)).and_then(|row| row.book().entries().first());
            let known = entry.map(|entry| entry.address().clone()).filter(|_| !choices.one_in(4));
            Command::RemovePayoutAddress(Box::new(known.unwrap_or_else(|| payout_address(choices))))
        }
        Action::ChangeRootKey => {
            Command::ChangeRootKey(ChangeRootKey { key: public_key(&next_root_key(actor.account)) })
        }
        Action::CancelRootKeyChange => Command::CancelRootKeyChange,
        Action::AcceptRootKey => Command::AcceptRootKey,
        Action::SetGuardians => Command::SetGuardians(Box::new(guarding::set(choices, venue, actor.account))),
        Action::CancelGuardianChange => Command::CancelGuardianChange,
        Action::VoteAsGuardian => Command::VoteAsGuardian(guarding::vote(choices, venue, actor.account)),
        Action::CancelRecovery => Command::CancelRecovery,
        Action::AttestDeposit => Command::AttestDeposit(Box::new(deposit_claim(choices, venue.first))),
        Action::RequestWithdrawal => Command::RequestWithdrawal(Box::new(RequestWithdrawal {
            segment: segment(choices),
            amount: amount(choices),
            chain: 1,
            destination: list(vec![9; 20]),
        })),
        Action::CancelWithdrawal => Command::CancelWithdrawal(CancelWithdrawal {
            segment: SegmentId::new(1),
            number: WithdrawalNumber::new(own_withdrawal(choices, venue, actor)),
        }),
        Action::AddEvidence => Command::AddEvidence(AddEvidence {
            segment: SegmentId::new(1),
            waiting: Waiting::Withdrawal(WithdrawalNumber::new(own_withdrawal(choices, venue, actor))),
        }),
        Action::RequestTransfer => Command::RequestTransfer(RequestTransfer {
            from: segment(choices),
            to: segment(choices),
            amount: amount(choices),
        }),
        Action::CancelTransfer => Command::CancelTransfer(CancelTransfer {
            segment: SegmentId::new(1),
            number: TransferNumber::new(own_transfer(choices, venue, actor)),
        }),
        Action::PlaceOrder => Command::PlaceOrder(place_order(choices, venue)),
        Action::AmendOrder => {
            let (market, order, now) = own_order(choices, venue, actor);
            let (mut price, mut quantity) = (price(choices), quantity(choices));
            if let Some((price_now, quantity_now)) = now.filter(|_| choices.one_in(2)) {
                price = price_now;
                quantity = QuantityLots::from_lots(choices.below(quantity_now.lots().min(100) + 2));
            }
            Command::AmendOrder(AmendOrder { market, order, price, quantity })
        }
        Action::CancelOrder => {
            let (market, order, _) = own_order(choices, venue, actor);
            Command::CancelOrder(CancelOrder { market, order })
        }
        Action::CancelAllOrders => Command::CancelAllOrders(CancelAllOrders {
            scope: match choices.below(2) {
                0 => CancelScope::Market(market(choices)),
                _ => CancelScope::Segment(segment(choices)),
            },
        }),
        Action::QuoteLadder => Command::QuoteLadder(Box::new(ladder(choices))),
        Action::ContestLink => Command::ContestLink(ContestLink { segment: segment(choices) }),
        Action::SetDeadMan => Command::SetDeadMan(SetDeadMan {
            segment: segment(choices),
            timeout_ms: DurationMs::from_ms(choices.pick(&[0, 999, 1_000, 1_000, 5_000, u64::MAX])),
        }),
        Action::RequestPrincipalExit => Command::RequestPrincipalExit(Box::new(RequestWithdrawal {
            segment: segment(choices),
            amount: amount(choices),
            chain: 1,
            destination: list(vec![9; 20]),
        })),
        Action::SubmitPrice => Command::SubmitPrice(SubmitPrice {
            feed: FeedId::new(u16::try_from(choices.below(3)).expect("small")),
            price: PriceNanos::from_nanos(choices.pick(&[0, 1_000_000_000, 1_010_000_000, u64::MAX])),
            confidence: PriceNanos::from_nanos(1),
            source_ms: TimeMs::from_ms(venue.time_ms),
        }),
        Action::Propose => Command::Propose(Box::new(Propose {
            segment: segment(choices),
            change: Change::LeaveBreaker(LeaveBreaker { from: BreakerState::ReduceOnly, to: BreakerState::Normal }),
            expires_ms: TimeMs::from_ms(venue.time_ms + 10_000),
        })),
        Action::Approve => {
            Command::Approve(Approve { segment: segment(choices), number: ProposalNumber::new(1 + choices.below(2)) })
        }
    }
}

/// One of few, so that the one that withdrawals name is among them.
fn payout_address(choices: &mut Choices<'_>) -> PayoutAddress {
    PayoutAddress { chain: 1, destination: list(vec![choices.pick(&[9, 9, 9, 5, 7]); 20]) }
}

fn place_order(choices: &mut Choices<'_>, venue: &Venue) -> PlaceOrder {
    let side = if choices.one_in(2) { Side::Ask } else { Side::Bid };
    let kind = if choices.one_in(8) {
        let slippage = choices.pick(&[0, 10_000, 200_000, u32::MAX]);
        OrderKind::Market(MarketTerms { slippage_ppm_max: RatioPpm::from_ppm(slippage) })
    } else {
        let end_ms = choices.pick(&[venue.time_ms, venue.time_ms + 600, venue.time_ms + 3_000, u64::MAX]);
        let time_in_force = match choices.below(10) {
            0..=4 => TimeInForce::GoodTillCancel,
            5 => TimeInForce::GoodTillTime(TimeMs::from_ms(end_ms)),
            6 => TimeInForce::ImmediateOrCancel,
            7 => TimeInForce::FillOrKill,
            8 => TimeInForce::PostOnly,
            _ => TimeInForce::PostOnlySlide,
        };
        OrderKind::Limit(LimitTerms { price: price(choices), time_in_force })
    };
    PlaceOrder {
        market: market(choices),
        side,
        kind,
        quantity: quantity(choices),
        client_id: ClientOrderId::new(choices.below(12).saturating_sub(6)),
        is_reduce_only: choices.one_in(6),
        self_trade: choices.pick(&[
            SelfTradeMode::CancelResting,
            SelfTradeMode::CancelArriving,
            SelfTradeMode::CancelBoth,
        ]),
    }
}

type PriceAndQuantity = (PriceTicks, QuantityLots);

/// An order of the actor, mostly one that rests, with what it is now.
fn own_order(
    choices: &mut Choices<'_>,
    venue: &Venue,
    actor: &Actor,
) -> (MarketId, OrderReference, Option<PriceAndQuantity>) {
    let segment_id = segment(choices);
    let any = OrderReference::Number(OrderNumber::new(choices.below(64)));
    let resting = venue.ledger().segment(segment_id).and_then(|segment| {
        let open = segment.sub_account(AccountId::new(actor.account))?.orders();
        let chosen = open.get(usize::from(choices.byte()) % open.len().max(1))?;
        let books = segment.markets().iter().flat_map(|market| {
            let sides = [Side::Bid, Side::Ask].into_iter();
            sides.flat_map(|side| market.book().slots(side, segment.orders()).map(|slot| (market.rules().id, slot)))
        });
        let mut orders = books.filter_map(|(id, slot)| Some((id, *segment.orders().order(slot)?)));
        orders.find(|(_, order)| order.number.number() == chosen.number())
    });
    match resting {
        Some((market, order)) if order.client_id != 0 && choices.one_in(2) => {
            let reference = OrderReference::Client(ClientOrderId::new(order.client_id));
            (market, reference, Some((order.price, order.remaining)))
        }
        Some((market, order)) => (market, OrderReference::Number(order.number), Some((order.price, order.remaining))),
        None => (market(choices), any, None),
    }
}

/// The last withdrawal of the actor in segment 1, or any number.
fn own_withdrawal(choices: &mut Choices<'_>, venue: &Venue, actor: &Actor) -> u64 {
    let Some(segment) = venue.ledger().segment(SegmentId::new(1)) else { return 0 };
    let is_own = |number: &u64| {
        let row = segment.withdrawal(WithdrawalNumber::new(*number));
        row.is_some_and(|row| row.account.number() == actor.account)
    };
    let own = (1..=segment.totals().last_withdrawal).rev().find(is_own);
    own.filter(|_| !choices.one_in(6)).unwrap_or(choices.below(9))
}

fn own_transfer(choices: &mut Choices<'_>, venue: &Venue, actor: &Actor) -> u64 {
    let Some(segment) = venue.ledger().segment(SegmentId::new(1)) else { return 0 };
    let is_own = |number: &u64| {
        let row = segment.transfer(TransferNumber::new(*number));
        row.is_some_and(|row| row.account.number() == actor.account)
    };
    let own = (1..=segment.totals().last_transfer).rev().find(is_own);
    own.filter(|_| !choices.one_in(6)).unwrap_or(choices.below(9))
}

fn ladder(choices: &mut Choices<'_>) -> QuoteLadder {
    let middle = REFERENCE - 20 + choices.below(40);
    let mut side = |is_bid: bool| {
        let count = choices.below(4);
        let levels = (0..count).map(|step| {
            let gap = 1 + choices.below(5) + step * 5;
            let price = if is_bid { middle - gap } else { middle + gap };
            let price = if choices.one_in(24) { middle } else { price };
            QuoteLevel { price: PriceTicks::from_ticks(price), quantity: quantity(choices) }
        });
        list(levels.collect())
    };
    let bids = side(true);
    let asks = side(false);
    QuoteLadder { market: market(choices), bids, asks }
}

/// One of a few true claims, now and then with something wrong about it.
fn deposit_claim(choices: &mut Choices<'_>, first: u64) -> DepositClaim {
    let transaction = choices.below(6);
    let mut claim = DepositClaim {
        chain: 7,
        transaction: list(vec![u8::try_from(transaction).expect("small")]),
        output: 0,
        asset: AssetId::new(1),
        amount: micros(OPENING_MIN + 1_000_000),
        segment: SegmentId::new(if transaction == 5 { 2 } else { 1 }),
        beneficiary: match transaction {
            0 | 1 => Beneficiary::RootKey(public_key(&opener_key(transaction))),
            2 | 5 => Beneficiary::RootKey(public_key(&opener_key(0))),
            account => Beneficiary::Account(AccountId::new(first + account)),
        },
    };
    match choices.below(24) {
        0 => claim.output = 1,
        1 => claim.segment = segment(choices),
        2 => claim.amount = micros(choices.pick(&[1, 0, -1, i64::MAX])),
        3 => claim.asset = AssetId::new(2),
        4 => claim.beneficiary = Beneficiary::Account(AccountId::new(choices.below(16))),
        _ => {}
    }
    claim
}

fn grant_terms(choices: &mut Choices<'_>, venue: &Venue, actor: &Actor) -> GrantTerms {
    let row = venue.ledger().accounts().account(AccountId::new(actor.account));
    let next = row.and_then(|row| row.grants().last()).map_or(1, |grant| grant.number().number() + 1);
    let number = if choices.one_in(12) { next + 1 } else { next };
    let key_number = if choices.one_in(12) { actor.grant.max(1) } else { number };
    let notional = choices.pick(&[1_000_000, 3_000_000, 3_000_000, 3_000_000, 10_000_000, 10_000_000, 0, i64::MAX]);
    let now_ms = venue.time_ms;
    let mut terms = GrantTerms {
        number: GrantNumber::new(number),
        parent: GrantNumber::new(u32::from(choices.one_in(24))),
        session_key: public_key(&session_key(actor.account, key_number)),
        actions: match choices.below(12) {
            0 => ActionSet::EMPTY,
            1..=5 => ActionSet::TRADING,
            _ => ActionSet::SESSION,
        },
        markets: match choices.below(3) {
            0 => MarketScope::All,
            1 => MarketScope::Only(list(vec![MarketId::new(1), MarketId::new(3)])),
            _ => MarketScope::Only(list(vec![market(choices)])),
        },
        notional_quote_micros_max: micros(notional),
        loss_quote_micros_max: micros(if choices.one_in(24) { 1 } else { notional }),
        commands_per_minute_max: choices.pick(&[100, 100, 100, 6, 6, 0]),
        expires_ms: TimeMs::from_ms(choices.pick(&[
            now_ms + 3_000,
            now_ms + 70_000,
            now_ms + 70_000,
            now_ms + 70_000,
            now_ms,
            u64::MAX,
        ])),
        register_before_ms: TimeMs::from_ms(choices.pick(&[
            u64::MAX,
            u64::MAX,
            u64::MAX,
            u64::MAX,
            u64::MAX,
            u64::MAX,
            now_ms,
        ])),
    };
    if let Some(parent) = row.and_then(|row| parent_of_child(choices, row, actor)) {
        make_child(choices, &mut terms, parent);
    }
    terms
}

/// A session's own grant; for a root key now and then the last one.
fn parent_of_child<'a>(choices: &mut Choices<'_>, row: &'a Account, actor: &Actor) -> Option<&'a Grant> {
    match actor.role {
        SignerRole::Session if choices.one_in(12) => None,
        SignerRole::Session => row.grant(GrantNumber::new(actor.grant)),
        SignerRole::Root => row.grants().last().filter(|_| choices.one_in(3)),
    }
}

/// Terms that mostly fit into the parent.
fn make_child(choices: &mut Choices<'_>, terms: &mut GrantTerms, parent: &Grant) {
    terms.parent = parent.number();
    terms.commands_per_minute_max = choices.pick(&[1, 3, 3, 20]);
    let notional = choices.pick(&[200_000, 1_000_000, 1_000_000, 5_000_000]);
    terms.notional_quote_micros_max = micros(notional);
    terms.loss_quote_micros_max = micros(notional);
    if !choices.one_in(8) {
        terms.markets = parent.markets().clone();
    }
    if !choices.one_in(8) {
        terms.expires_ms = parent.expires_ms();
    }
    if !choices.one_in(8) && terms.actions == ActionSet::SESSION {
        terms.actions = parent.actions();
    }
}

/// A session's own child, if it has one; else any.
fn grant_to_revoke(choices: &mut Choices<'_>, venue: &Venue, actor: &Actor) -> GrantNumber {
    let any = GrantNumber::new(u32::try_from(1 + choices.below(3)).expect("small"));
    let row = venue.ledger().accounts().account(AccountId::new(actor.account));
    let is_child = |grant: &&Grant| actor.grant != 0 && grant.parent().number() == actor.grant;
    row.and_then(|row| row.grants().iter().find(is_child)).map_or(any, Grant::number)
}

fn market(choices: &mut Choices<'_>) -> MarketId {
    MarketId::new(choices.pick(&[1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 1, 2, 3, 1, 4, 0]))
}

fn segment(choices: &mut Choices<'_>) -> SegmentId {
    SegmentId::new(choices.pick(&[1, 1, 1, 1, 1, 2, 2, 2, 2, 1, 2, 1, 2, 1, 2, 3, 0]))
}

fn price(choices: &mut Choices<'_>) -> PriceTicks {
    let ticks = match choices.below(20) {
        0 => choices.pick(&[0, 1, 500, 2_000, 10_000, 10_001, u64::MAX]),
        1 => REFERENCE - 60 + choices.below(120),
        _ => REFERENCE - 6 + choices.below(13),
    };
    PriceTicks::from_ticks(ticks)
}

fn quantity(choices: &mut Choices<'_>) -> QuantityLots {
    let lots = match choices.below(20) {
        0 => choices.pick(&[0, 1, 100, 101, u64::MAX]),
        1 => 20 + choices.below(60),
        _ => 2 + choices.below(12),
    };
    QuantityLots::from_lots(lots)
}

fn amount(choices: &mut Choices<'_>) -> QuoteMicros {
    micros(choices.pick(&[1_000_000, 2_000_000, 500_000, 3_000_000, 20_000_000, 1, 0, -5, i64::MAX]))
}
