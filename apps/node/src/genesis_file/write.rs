//! Writes a genesis as the file that a person reads, edits and keeps: every value with a sentence about it.

mod clearing;

use casemate_protocol::conduct::ConductRules;
use casemate_protocol::genesis::{
    AccountRules, Genesis, LogMode, MarketRules, PasskeyOrigin, RecoveryRules, SeededAccounts, SegmentRules,
};
use casemate_protocol::hash::Hex;
use casemate_protocol::policy::PolicyFile;
use casemate_protocol::{DurationMs, QuoteMicros, RatioPpm, Regime, TickValueMicros};

/// The file of a genesis, with comments. [`super::parse`] reads it back to the same genesis, provided that its name is
/// text and that it is valid.
#[must_use]
pub fn write(genesis: &Genesis) -> String {
    let mut text = head(genesis);
    text += &accounts(&genesis.accounts);
    text += &attestors(genesis);
    text += &clearing::offices(genesis);
    for (index, auditor) in genesis.auditors.iter().enumerate() {
        text += "\n";
        text += &explained_once(clearing::auditor(auditor), AUDITOR_EXPLANATION, index == 0);
    }
    for (index, feed) in genesis.feeds.iter().enumerate() {
        text += "\n";
        text += &explained_once(clearing::feed(feed), clearing::FEED_EXPLANATION, index == 0);
    }
    let first_clearing = genesis.clearing.iter().next().map(|rules| rules.segment);
    for (index, segment) in genesis.segments.iter().enumerate() {
        text += "\n";
        text += &explained_once(self::segment(segment), SEGMENT_EXPLANATION, index == 0);
        if let Some(rules) = genesis.clearing_of(segment.id) {
            text += &explained_once(clearing::clearing(rules), "", first_clearing == Some(segment.id));
        }
    }
    let first_margin = genesis.margins.iter().next().map(|rules| rules.market);
    for (index, market) in genesis.markets.iter().enumerate() {
        text += "\n";
        text += &explained_once(self::market(market), MARKET_EXPLANATION, index == 0);
        if let Some(rules) = genesis.margin_of(market.id) {
            text += &explained_once(clearing::margin(rules), "", first_margin == Some(market.id));
        }
    }
    for (index, origin) in genesis.passkey_origins.iter().enumerate() {
        text += "\n";
        text += &explained_once(passkey_origin(origin), PASSKEY_EXPLANATION, index == 0);
    }
    if let Some(seeded) = &genesis.seeded {
        text += &self::seeded(seeded);
    }
    for (index, file) in genesis.policies.files.iter().enumerate() {
        text += "\n";
        text += &explained_once(policy_file(file), POLICY_EXPLANATION, index == 0);
    }
    text
}

/// The table with its comments for the first of its kind; without them for all others, which say the same.
fn explained_once(table: String, explanation: &str, is_first: bool) -> String {
    if is_first {
        return format!("{explanation}{table}");
    }
    table.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect()
}

fn head(genesis: &Genesis) -> String {
    let name = toml::Value::from(String::from_utf8_lossy(genesis.name.as_slice()).into_owned());
    let log_mode = match genesis.log_mode {
        LogMode::Sealed => "sealed",
        LogMode::Open => "open",
    };
    let warning = if genesis.is_development { DEVELOPMENT_WARNING } else { "" };
    // Lists of tables come after all plain values; an empty one has no table and must be named here.
    let no_markets = if genesis.markets.is_empty() { "market = []\n" } else { "" };
    let no_segments = if genesis.segments.is_empty() { "segment = []\n" } else { "" };
    let no_passkeys = if genesis.passkey_origins.is_empty() { NO_PASSKEYS } else { "" };
    let no_auditors = if genesis.auditors.is_empty() { NO_AUDITORS } else { "" };
    let no_feeds = if genesis.feeds.is_empty() { "feed = []\n" } else { "" };
    format!(
        "{HEADER}{warning}
# For people; at most 64 bytes.
name = {name}
# Block time of height 0, in milliseconds since 1970-01-01 UTC.
time_ms = {time_ms}
# True allows seeded accounts and one-party arrangements, and every face of the chain says so.
development = {development}
# \"sealed\": the public log shows headers and commitments, a record is disclosed alone. \"open\": everything is public.
log_mode = \"{log_mode}\"
{no_auditors}{no_feeds}{no_segments}{no_markets}{no_passkeys}",
        time_ms = grouped(genesis.time_ms.ms()),
        development = genesis.is_development,
    )
}

/// An empty list of auditors, and what that means.
const NO_AUDITORS: &str = "\
# Who reads what is not public, as far as policies let them; nobody.
auditor = []
";

const AUDITOR_EXPLANATION: &str = "\
# Who reads what is not public to check it, as far as policies let them.
";

/// An empty list of pages, and what that means.
const NO_PASSKEYS: &str = "\
# Pages on which passkeys may sign; none refuses passkeys.
passkey_origin = []
";

const PASSKEY_EXPLANATION: &str = "\
# Pages on which passkeys may sign, as browsers write their origin, each with the relying party that the passkeys are made
# for: the page's host or a domain above it.
";

fn passkey_origin(origin: &PasskeyOrigin) -> String {
    let text = |bytes: &[u8]| toml::Value::from(String::from_utf8_lossy(bytes).into_owned());
    format!(
        "[[passkey_origin]]\norigin = {}\nrelying_party = {}\n",
        text(origin.origin.as_slice()),
        text(origin.relying_party.as_slice()),
    )
}

const HEADER: &str = "\
# Genesis of a Casemate chain: every rule and limit it starts with. The hash of these values is the chain id, so the
# file of a running chain is kept and never edited; comments and layout do not count.
#
# A name ends in its unit. `_quote` is a decimal string in the quote asset, exact to a millionth; `_quote_per_unit` the
# price of one unit of an underlying, exact to a billionth; `_ms` milliseconds of block time; `_ppm` parts per million;
# `_ticks` and `_lots` are whole ticks and lots of the market.
# Nothing has a default: a missing field is an error. Zero never means \"no limit\".
";

const DEVELOPMENT_WARNING: &str = "\
#
# THIS IS A DEVELOPMENT CHAIN. Its keys derive from a seed that anyone can read: use it with play money only.
";

fn accounts(rules: &AccountRules) -> String {
    let [calm, elevated, stressed, extreme] =
        Regime::ALL.map(|regime| grouped(rules.grant_lifetimes.longest(regime).ms()));
    format!(
        "
[accounts]
# Locked when an account opens, returned when it closes.
bond_quote = {bond}
# Least deposit that opens an account; at least the bond.
opening_deposit_min_quote = {deposit}
# Verification weight (about the cost of checking an envelope) that an account saves up, at least 4000 ...
weight_burst = {burst}
# ... and regains in a second.
weight_per_second = {per_second}
# Longest lives of new session grants, at most 30 days, by the venue's roughest market when they are registered.
grant_lifetime_max_ms = {{ calm = {calm}, elevated = {elevated}, stressed = {stressed}, extreme = {extreme} }}
# Until a new payout address can be used, and until an address book that was emptied does not bind any more; twice, three
# and four times as long when markets are elevated, stressed and extreme. Both are of the waiting clock: an outage does not
# use them up.
address_cooling_ms = {cooling}
# Until an announced root key can take the place of the one before it.
root_change_delay_ms = {root_change}
{recovery}",
        bond = quote(rules.bond),
        deposit = quote(rules.opening_deposit_min),
        burst = grouped(u64::from(rules.weight_burst)),
        per_second = grouped(u64::from(rules.weight_per_second)),
        cooling = grouped(rules.safeguards.address_cooling_ms.ms()),
        root_change = grouped(rules.safeguards.root_change_delay_ms.ms()),
        recovery = recovery(&rules.safeguards.recovery),
    )
}

fn recovery(rules: &RecoveryRules) -> String {
    let time = |time: DurationMs| grouped(time.ms());
    format!(
        "\
# Until announced guardians guard; longer than a recovery takes, so that those before them can answer.
guardian_change_delay_ms = {change}
# From the guardians' quorum to the moment from which their key can take over.
recovery_delay_ms = {delay}
# How long a guardian's vote counts.
guardian_vote_lifetime_ms = {vote}
# How many recoveries the root key can cancel within the window (1 to 8); the window is longer than that many take.
recovery_cancels_max = {cancels}
recovery_cancels_window_ms = {window}
# From a cancel until guardians can begin another recovery.
recovery_pause_ms = {pause}
# How long a freeze by guardians lasts, at least as long as a recovery; as long again they cannot freeze.
freeze_ms_max = {freeze}
# How long nothing leaves an account after its recovery.
recovery_hold_ms = {hold}
",
        change = time(rules.guardian_change_delay_ms),
        delay = time(rules.recovery_delay_ms),
        vote = time(rules.guardian_vote_lifetime_ms),
        cancels = rules.recovery_cancels_max,
        window = time(rules.recovery_cancels_window_ms),
        pause = time(rules.recovery_pause_ms),
        freeze = time(rules.freeze_ms_max),
        hold = time(rules.recovery_hold_ms),
    )
}

fn attestors(genesis: &Genesis) -> String {
    let head = format!(
        "
# Who may attest deposits. Attestors have the first account numbers, in this order; publishers, risk officers,
# governors, backstops and auditors have the next.
[attestors]
# A deposit counts when this many different operators have attested it; operators count, not keys.
quorum_operators = {quorum}
",
        quorum = genesis.attestor_quorum,
    );
    head + &clearing::members("attestors", genesis.attestors.as_slice())
}

fn conduct(rules: &ConductRules) -> String {
    let ppm = |share: RatioPpm| grouped(u64::from(share.ppm()));
    let count = |count: u32| grouped(u64::from(count));
    let damage = &rules.damage;
    format!(
        "
# From where detectors of conduct fire; docs/conduct.md says what each one sees. Zero never means off.
[segment.conduct]
# What two accounts trade with each other within an hour or so before it can be a wash.
wash_gross_min_quote = {wash}
# Orders that were never meant to fill: so many times the usual order.
spoof_usual_orders = {spoof}
# Messages within ten seconds or so.
stuffing_messages = {stuffing}
# Runs of the price with one account behind it, and of a pump.
ignition_run_ppm = {ignition}
pump_run_ppm = {pump}
# Fills that are worse than the index by less are usual.
loss_of_fill_ppm = {loss}
# Refused commands within a minute or so.
refusals_of_account = {of_account}
refusals_of_market = {of_market}

# From where an act of an account that stands out is damage, and refused: shares of the vault that leaves, of money that
# waits to leave while keys change, of the price that moves, of equity that is lost, of the book's side, of open interest.
[segment.conduct.damage]
outflow_ppm = {outflow}
pending_ppm = {pending}
price_step_ppm = {step}
own_loss_ppm = {own_loss}
book_depth_ppm = {depth}
open_interest_ppm = {interest}
",
        wash = quote(rules.wash_gross_min),
        spoof = count(rules.spoof_usual_orders),
        stuffing = count(rules.stuffing_messages),
        ignition = ppm(rules.ignition_run),
        pump = ppm(rules.pump_run),
        loss = ppm(rules.loss_of_fill),
        of_account = count(rules.refusals_of_account),
        of_market = count(rules.refusals_of_market),
        outflow = ppm(damage.outflow),
        pending = ppm(damage.pending),
        step = ppm(damage.price_step),
        own_loss = ppm(damage.own_loss),
        depth = ppm(damage.book_depth),
        interest = ppm(damage.open_interest),
    )
}

fn segment(rules: &SegmentRules) -> String {
    let mut text = format!(
        "[[segment]]
id = {id}
# The asset that the segment's vault holds.
asset = {asset}
# Between request and release, at least 1000: time in which a theft can be seen and stopped.
withdrawal_delay_ms = {withdrawal}
transfer_delay_ms = {transfer}
# Resting orders of one account, at most 1024.
open_orders_max = {open_orders}
# Shortest timeout of the switch that cancels the orders of an account that went silent.
dead_man_timeout_min_ms = {dead_man}
# Shares of net fees; the venue has what is left of 1000000.
fee_share_insurance_ppm = {insurance}
fee_share_validators_ppm = {validators}

# Deposits: the whole cap refills over the window.
[segment.inbound]
window_ms = {inbound_window}
amount_max_quote = {inbound_max}
",
        id = rules.id,
        asset = rules.asset,
        withdrawal = grouped(rules.withdrawal_delay_ms.ms()),
        transfer = grouped(rules.transfer_delay_ms.ms()),
        open_orders = grouped(u64::from(rules.open_orders_max)),
        dead_man = grouped(rules.dead_man_timeout_min_ms.ms()),
        insurance = grouped(u64::from(rules.fee_share_insurance.ppm())),
        validators = grouped(u64::from(rules.fee_share_validators.ppm())),
        inbound_window = grouped(rules.inbound.window_ms.ms()),
        inbound_max = quote(rules.inbound.amount_max),
    );
    text += &conduct(&rules.conduct);
    text += "\n# Withdrawals and transfers out: each window refills to the larger of its floor and its share of the vault,\n\
             # and all windows must have room.\n";
    for window in &rules.outbound {
        text += &format!(
            "[[segment.outbound]]\nwindow_ms = {}\nfloor_quote = {}\nvault_share_ppm = {}\n",
            grouped(window.window_ms.ms()),
            quote(window.floor),
            grouped(u64::from(window.vault_share.ppm())),
        );
    }
    text
}

const SEGMENT_EXPLANATION: &str = "\
# Segments, ids counting up from 1. A segment is the unit of containment: it has its own vaults, limits and write set,
# and no loss crosses its border. Markets of one underlying, and the majors, belong together. A segment clears on margin
# if it has a table `clearing`, and then each of its markets has a table `margin`; otherwise collateral is full, which only
# a development chain may have.
";

fn market(rules: &MarketRules) -> String {
    format!(
        "[[market]]
id = {id}
segment = {segment}
# What one lot gains when the price rises by one tick.
tick_value_quote = {tick_value}
# Highest price. With the largest position and the tick value it bounds the notional: their product is at most
# 18014398509.481984 quote, so that no sum can overflow.
price_max_ticks = {price_max}
# Bands refer to the last trade, and to this price before the first.
reference_price_ticks = {reference}
# Prices further away are refused where they could trade; at most 1000000.
band_ppm = {band}
order_min_lots = {order_min}
order_max_lots = {order_max}
# Position of one account, resting orders included.
position_max_lots = {position_max}
# Below zero is a rebate, never above the taker fee.
maker_fee_ppm = {maker}
taker_fee_ppm = {taker}
",
        id = rules.id,
        segment = rules.segment,
        tick_value = tick_value(rules.tick_value),
        price_max = grouped(rules.price_max.ticks()),
        reference = grouped(rules.reference_price.ticks()),
        band = grouped(u64::from(rules.band.ppm())),
        order_min = grouped(rules.order_lots_min.lots()),
        order_max = grouped(rules.order_lots_max.lots()),
        position_max = grouped(rules.position_lots_max.lots()),
        maker = rules.maker_fee.ppm(),
        taker = rules.taker_fee.ppm(),
    )
}

const MARKET_EXPLANATION: &str = "\
# Markets, ids counting up from 1: linear perpetuals, priced in ticks and traded in lots.
";

fn seeded(seeded: &SeededAccounts) -> String {
    format!(
        "
# Accounts that exist from the start, development chains only. Their root and session keys derive from the seed.
[seeded]
accounts = {count}
seed_hex = \"{seed}\"
# Cash of each account in each segment.
balance_quote = {balance}
# Lots that every two neighbours hold against each other, in turn over the markets; 0 for no positions.
position_lots = {position}
# The session grant of each: notional and loss budget, rate, and life from genesis time.
grant_notional_quote = {notional}
grant_commands_per_minute = {commands}
grant_lifetime_ms = {lifetime}
",
        count = grouped(seeded.count),
        seed = Hex(&seeded.seed),
        balance = quote(seeded.balance),
        position = grouped(seeded.position_lots.lots()),
        notional = quote(seeded.grant_notional),
        commands = grouped(u64::from(seeded.grant_commands_per_minute)),
        lifetime = grouped(seeded.grant_lifetime_ms.ms()),
    )
}

const POLICY_EXPLANATION: &str = "\
# Policies in force from the start, as files of a folder that `casemate policy check` accepts, in the order of their names.
# Without any, the built-in table says who may do what.
";

fn policy_file(file: &PolicyFile) -> String {
    let name = basic_string(&String::from_utf8_lossy(file.name.as_slice()));
    let text = String::from_utf8_lossy(file.text.as_slice());
    let is_literal = |letter: char| matches!(letter, '\n' | '\t') || !letter.is_control();
    // A literal string keeps every character but its own end, and reads as the file does.
    let text = if text.chars().all(is_literal) && !text.contains("''") && !text.ends_with('\'') {
        format!("'''\n{text}'''")
    } else {
        basic_string(&text)
    };
    format!("[[policy]]\nname = {name}\ntext = {text}\n")
}

/// Any text in one line.
fn basic_string(text: &str) -> String {
    let mut written = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => written.extend(['\\', letter]),
            letter if letter.is_control() => written += &format!("\\u{:04X}", u32::from(letter)),
            letter => written.push(letter),
        }
    }
    written + "\""
}

/// A decimal string with six places, as `Display` of money writes it.
fn quote(amount: QuoteMicros) -> String {
    format!("\"{amount}\"")
}

fn tick_value(value: TickValueMicros) -> String {
    quote(QuoteMicros::from_micros(i64::from(value.micros())))
}

/// A whole number with `_` between groups of three digits from five digits on, as TOML allows.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let first = digits.len() % 3;
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 3 == first % 3 {
            text.push('_');
        }
        text.push(digit);
    }
    text
}
