//! One command through the ledger, with its share of settling the block: no gate, no record, no root.

use casemate_ledger::{BlockContext, Ledger, Verified, VerifiedWork};
use casemate_protocol::command::{AmendOrder, CancelOrder, OrderReference, QuoteLadder, QuoteLevel, Side};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::{
    AccountId, Command, Event, GrantNumber, Height, OrderNumber, PriceTicks, PublicKey, QuantityLots, RecordIndex,
    TimeMs,
};

use crate::venue::{
    self, DEPTH_TICKS, FIRST_ACCOUNT, GENESIS_MS, MARKET, MIDDLE_TICKS, ORDER_LOTS, limit_order, list, named_key,
    passive_order, scattered,
};
use crate::{HotPath, Prepared};

const ACCOUNTS: u64 = 1_000;
/// Resting orders of the market before anything is measured.
const OPENING_ORDERS: u64 = 3_000;
/// After so many commands the block settles, because what it remembers to undo itself grows with it.
const BLOCK_COMMANDS: u32 = 1_024;
/// Orders of a maker's ladder: half bids, half asks.
const LADDER_LEVELS: u64 = 8;

pub const PLACE_RESTING: HotPath = HotPath {
    name: "ledger::apply/command=place_order makers=0 accounts=1000",
    counted: 4_096,
    prepared_max: 100_000,
    prepare: |operations| prepare(&[], (0..u64::from(operations)).map(|number| (number, passive_order(number)))),
};

pub const PLACE_TAKING: HotPath = HotPath {
    name: "ledger::apply/command=place_order makers=1 accounts=1000",
    counted: 4_096,
    prepared_max: 100_000,
    prepare: |operations| {
        // Bids of the other half of the accounts, at any price that crosses: each takes the best ask whole.
        let half = ACCOUNTS / 2;
        let price = |number| MIDDLE_TICKS + 1 + scattered(number) % DEPTH_TICKS;
        let maker = |number| (number % half, limit_order(Side::Ask, price(number), number + 1));
        let taker = |number| (half + number % half, limit_order(Side::Bid, MIDDLE_TICKS + DEPTH_TICKS, number + 1));
        let makers: Vec<(u64, Command)> = (0..u64::from(operations)).map(maker).collect();
        prepare(&makers, (0..u64::from(operations)).map(taker))
    },
};

pub const CANCEL: HotPath = HotPath {
    name: "ledger::apply/command=cancel_order accounts=1000",
    counted: 4_096,
    prepared_max: 100_000,
    prepare: |operations| {
        prepare_named(operations, |order| Command::CancelOrder(CancelOrder { market: MARKET, order }))
    },
};

/// To another price, so that it goes to the end of another queue.
pub const AMEND: HotPath = HotPath {
    name: "ledger::apply/command=amend_order accounts=1000",
    counted: 4_096,
    prepared_max: 100_000,
    prepare: |operations| {
        prepare_named(operations, |order| {
            let OrderReference::Number(number) = order else { unreachable!("orders are named by number") };
            // Orders are bids and asks in turn, from number 1.
            let depth = 1 + scattered(number.number() + 1) % DEPTH_TICKS;
            let is_bid = !number.number().is_multiple_of(2);
            let price = if is_bid { MIDDLE_TICKS - depth } else { MIDDLE_TICKS + depth };
            Command::AmendOrder(AmendOrder {
                market: MARKET,
                order,
                price: PriceTicks::from_ticks(price),
                quantity: QuantityLots::from_lots(ORDER_LOTS + 1),
            })
        })
    },
};

/// Replaces a ladder of as many levels, as a maker does with each move of the market.
pub const QUOTE_LADDER: HotPath = HotPath {
    name: "ledger::apply/command=quote_ladder levels=8 accounts=1000",
    counted: 2_048,
    prepared_max: 50_000,
    prepare: |operations| {
        let opening: Vec<(u64, Command)> = (0..ACCOUNTS).map(|number| (number, ladder(number))).collect();
        prepare(&opening, (0..u64::from(operations)).map(|number| (number, ladder(ACCOUNTS + number))))
    },
};

fn ladder(number: u64) -> Command {
    let gap = 1 + scattered(number) % (DEPTH_TICKS / 2);
    let level = |price| QuoteLevel { price: PriceTicks::from_ticks(price), quantity: QuantityLots::from_lots(1) };
    let steps = || (0..LADDER_LEVELS / 2).map(|step| gap + 5 * step);
    Command::QuoteLadder(Box::new(QuoteLadder {
        market: MARKET,
        bids: list(steps().map(|depth| level(MIDDLE_TICKS - depth)).collect()),
        asks: list(steps().map(|depth| level(MIDDLE_TICKS + depth)).collect()),
    }))
}

/// Commands that name an order, over passive orders in a scattered order.
fn prepare_named(operations: u32, command: impl Fn(OrderReference) -> Command) -> Prepared {
    let count = u64::from(operations);
    let orders: Vec<(u64, Command)> = (0..count).map(|number| (number, passive_order(number))).collect();
    let mut numbers: Vec<u64> = (0..count).collect();
    numbers.sort_unstable_by_key(|&number| scattered(number));
    let first = OPENING_ORDERS + 1;
    let named =
        numbers.into_iter().map(|number| (number, command(OrderReference::Number(OrderNumber::new(first + number)))));
    prepare(&orders, named)
}

/// Trading in blocks, without gate and records.
struct Desk {
    ledger: Ledger,
    block: BlockContext,
    commands_left: u32,
    records: u64,
    events: Vec<Event>,
}

/// A command of an account by its place among the seeded ones, around and around.
fn prepare(before: &[(u64, Command)], measured: impl Iterator<Item = (u64, Command)>) -> Prepared {
    let mut desk = Desk::open();
    for number in 0..OPENING_ORDERS {
        let (account, key) = trader(number);
        // Behind everything that is measured, and there to be walked past in the tables.
        let deep = DEPTH_TICKS + 1 + scattered(number) % DEPTH_TICKS;
        let order = if number.is_multiple_of(2) {
            limit_order(Side::Bid, MIDDLE_TICKS - deep, 0)
        } else {
            limit_order(Side::Ask, MIDDLE_TICKS + deep, 0)
        };
        desk.apply(account, key, &order);
    }
    for (number, command) in before {
        let (account, key) = trader(*number);
        desk.apply(account, key, command);
    }
    let measured: Vec<(AccountId, PublicKey, Command)> = measured
        .map(|(number, command)| {
            let (account, key) = trader(number);
            (account, key, command)
        })
        .collect();
    desk.next_block();
    let mut measured = measured.into_iter();
    Box::new(move |operations| {
        for _ in 0..operations {
            let (account, key, command) = measured.next().expect("as many commands as were prepared");
            desk.apply(account, key, &command);
        }
    })
}

fn trader(number: u64) -> (AccountId, PublicKey) {
    let account = FIRST_ACCOUNT + number % ACCOUNTS;
    (AccountId::new(account), named_key("session", account))
}

impl Desk {
    fn open() -> Self {
        let mut ledger =
            Ledger::new(&venue::genesis(ACCOUNTS), venue::unsigned_keys(ACCOUNTS)).expect("a valid genesis");
        let block = open_block(&mut ledger);
        Self { ledger, block, commands_left: BLOCK_COMMANDS, records: 0, events: Vec::new() }
    }

    fn next_block(&mut self) {
        self.ledger.settle();
        self.block = open_block(&mut self.ledger);
        self.commands_left = BLOCK_COMMANDS;
    }

    fn apply(&mut self, account: AccountId, key: PublicKey, command: &Command) {
        if self.commands_left == 0 {
            self.next_block();
        }
        self.commands_left -= 1;
        let work = VerifiedWork::Account {
            account,
            role: SignerRole::Session,
            key,
            grant: Some(GrantNumber::new(1)),
            command,
        };
        let record = RecordIndex::new(self.records);
        let verdict = self.ledger.apply(&self.block, Verified::assertion(work), record, &mut self.events);
        assert_eq!(verdict, Ok(()), "a refused command costs something else");
        self.records += 1;
        self.events.clear();
    }
}

fn open_block(ledger: &mut Ledger) -> BlockContext {
    let height = Height::new(ledger.chain().height.number() + 1);
    let time_ms = TimeMs::from_ms(GENESIS_MS + 10 * height.number());
    let block = ledger.begin_block(height, time_ms).expect("height and time grow");
    ledger.begin_commands();
    block
}
