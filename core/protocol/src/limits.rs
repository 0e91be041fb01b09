//! Every maximum of the protocol, and the relations between them as compile-time assertions.

/// Bytes of one encoded envelope.
pub const ENVELOPE_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Commands in one envelope.
pub const ENVELOPE_COMMANDS_MAX: usize = 64;
/// Pieces of evidence in one envelope.
pub const ENVELOPE_EVIDENCE_MAX: usize = 8;
/// Bytes of the body of one piece of evidence.
pub const EVIDENCE_BODY_BYTES_MAX: usize = 4 * 1024;
/// Bytes of what a passkey's authenticator says: 37, and what extensions add.
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = 256;
/// Bytes of what a browser says of a passkey's request.
pub const CLIENT_DATA_BYTES_MAX: usize = 1_024;
/// Longest time between a command's making and its acceptance.
pub const ENVELOPE_VALIDITY_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Bytes of one encoded read pass: what a passkey answers with everything that it may say, and the terms.
pub const READ_PASS_SIZE_BYTES_MAX: usize = 2 * 1024;
/// Longest life of a read pass: who loses one has lost it for so long.
pub const READ_PASS_LIFE_MS_MAX: u64 = 15 * 60 * 1000;

/// Envelopes in one block.
pub const BLOCK_ENVELOPES_MAX: usize = 4_096;
/// Bytes of all envelopes in one block.
pub const BLOCK_SIZE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Verification weight of one block.
pub const BLOCK_WEIGHT_MAX: u64 = 4_096 * 400;
/// Pieces of internal work done in one block; the rest carries over in the same order.
pub const BLOCK_SYSTEM_WORK_MAX: usize = 4_096;

/// Block time that a waiting clock gains in one block at most; the rest of a longer step is an outage.
pub const CLOCK_STEP_MS_MAX: u64 = 2_000;

/// Width of the nonce window of a key.
pub const NONCE_WINDOW: u64 = 64;

/// Live grants of one account.
pub const GRANTS_LIVE_MAX: usize = 16;
/// Markets that a grant can name one by one.
pub const GRANT_MARKETS_MAX: usize = 16;
/// Grants from one that the root key registered by itself down to the last child, both counted.
pub const GRANT_DEPTH_MAX: usize = 3;
/// Longest life of a grant: the ceiling of what genesis may allow in any regime.
pub const GRANT_LIFETIME_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// Addresses in the book of one account.
pub const PAYOUT_ADDRESSES_MAX: usize = 16;
/// Root keys that an account may have had before the one that it has: each is remembered, so that nobody opens an account with
/// it and a deposit to it still finds its owner.
pub const FORMER_ROOT_KEYS_MAX: usize = 64;
/// Guardians of one account.
pub const GUARDIANS_MAX: usize = 9;
/// Recoveries that a root key can cancel within the window: the ceiling of what genesis may allow.
pub const RECOVERY_CANCELS_MAX: usize = 8;
/// Longest delay of a safeguard: one that is longer locks its owner out rather than a thief.
pub const SAFEGUARD_DELAY_MS_MAX: u64 = 60 * 24 * 60 * 60 * 1000;

/// Positions of one account in one segment.
pub const POSITIONS_MAX: usize = 64;
/// Resting orders of one account in one segment: the ceiling of what genesis may allow.
pub const OPEN_ORDERS_MAX: u32 = 1_024;
/// Price levels on one side of a mass quote.
pub const QUOTE_LEVELS_MAX: usize = 32;
/// Resting orders that an arriving order can trade with or remove while it matches; then its rest is dropped. Cancels
/// are bounded by `OPEN_ORDERS_MAX`, mass quotes by `QUOTE_LEVELS_MAX`.
pub const MATCH_STEPS_MAX: u32 = 1_000;
/// Resting orders that could not trade and that an arriving order removes while it matches; then its rest is dropped.
pub const MAKERS_REMOVED_MAX: u32 = 64;
/// Events of one record.
pub const RECORD_EVENTS_MAX: usize = 4_096;
/// Pending withdrawals and transfers of one account in one segment.
pub const PENDING_MOVES_MAX: u32 = 16;

/// Segments of a chain.
pub const SEGMENTS_MAX: usize = 64;
/// Markets of a chain.
pub const MARKETS_MAX: usize = 256;
/// Web origins whose passkeys a chain takes.
pub const PASSKEY_ORIGINS_MAX: usize = 16;
/// Bytes of such an origin, and of its relying party.
pub const ORIGIN_BYTES_MAX: usize = 253;
/// Attestors of deposits.
pub const ATTESTORS_MAX: usize = 64;
/// Publishers of prices.
pub const PUBLISHERS_MAX: usize = 64;
/// Price feeds of a chain.
pub const FEEDS_MAX: usize = 256;
/// Publishers of one feed.
pub const FEED_PUBLISHERS_MAX: usize = 16;
/// Brackets of margin rates of one market.
pub const MARGIN_TIERS_MAX: usize = 8;
/// Auditors of a chain.
pub const AUDITORS_MAX: usize = 32;
/// Members of a set of officers.
pub const OFFICERS_MAX: usize = 32;
/// Proposals of one operator in a segment that are neither carried out nor over. Of a segment there are as many for each
/// operator of one set of officers, since those of a state that was left are over.
pub const PROPOSALS_OPEN_MAX: usize = 2;
/// Longest life of a proposal.
pub const PROPOSAL_LIFE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;
/// Most that unused time saves up for caps that are named per second.
pub const SAVED_UP_MS_MAX: u64 = 10_000;
/// Bytes of an outside transaction id or payout address.
pub const OUTSIDE_REFERENCE_BYTES_MAX: usize = 64;
/// Withdrawal limiter windows of a segment.
pub const LIMITER_WINDOWS_MAX: usize = 8;
/// Accounts, so that an account number always fits 32 bits in memory.
pub const ACCOUNTS_MAX: u64 = (1 << 32) - 1;

/// Waiting clock for which what left an account still counts towards the amount that policies look at.
pub const LEAVING_WINDOW_MS: u64 = 24 * 60 * 60 * 1_000;
/// A grant of the root key is fresh for so long after its registration; one carved out of another never is.
pub const FRESH_GRANT_MS: u64 = 10 * 60 * 1_000;
/// Ages of accounts are told up to here.
pub const ACCOUNT_AGE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Waiting clock between the last approval of policies that only tighten and their coming into force, at least: what is
/// on its way by then was signed under the old ones.
pub const POLICY_TIGHTENING_DELAY_MS_MIN: u64 = 10 * 60 * 1_000;
/// The same for all other policies: who does not want them has left by then.
pub const POLICY_LOOSENING_DELAY_MS_MIN: u64 = 48 * 60 * 60 * 1_000;
/// Waiting clock until something that is held back is judged again.
pub const HELD_AGAIN_MS: u64 = 10 * 60 * 1_000;
/// Waiting clock after which what is held back goes back to the balance.
pub const HELD_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1_000;
/// Files of a set of policies.
pub const POLICY_FILES_MAX: usize = 32;
/// Bytes of one of them. A whole set must fit into an envelope besides.
pub const POLICY_FILE_BYTES_MAX: usize = 48 * 1024;
/// Bytes of a file's name.
pub const POLICY_FILE_NAME_BYTES_MAX: usize = 64;
/// Borders between bands of amounts in a policy.
pub const POLICY_AMOUNT_BORDERS_MAX: usize = 15;
/// Rules of a policy that its table does not hold.
pub const POLICY_SLOW_RULES_MAX: usize = 256;
/// Cells of a policy table: what the vocabulary makes with all borders, and room for words to come.
pub const POLICY_CELLS_MAX: usize = 1 << 17;

/// Highest price in ticks of any market.
pub const PRICE_TICKS_MAX: u64 = 1 << 40;
/// Largest order or position in lots of any market.
pub const QUANTITY_LOTS_MAX: u64 = 1 << 44;
/// Largest notional of one position, in micro-quote: 64 of them, and their doubles, stay inside `i64`.
pub const POSITION_NOTIONAL_MICROS_MAX: i64 = 1 << 55;
/// Largest cash balance of one sub-account, in micro-quote.
pub const BALANCE_MICROS_MAX: i64 = 1 << 60;

/// Shortest delay of any withdrawal: a constant of the software version, genesis can only lengthen it.
pub const WITHDRAWAL_DELAY_MS_MIN: u64 = 1_000;

const _: () = assert!(BLOCK_SIZE_BYTES_MAX >= ENVELOPE_SIZE_BYTES_MAX, "one envelope of any legal size fits a block");
const _: () = assert!(
    READ_PASS_SIZE_BYTES_MAX >= AUTHENTICATOR_DATA_BYTES_MAX + CLIENT_DATA_BYTES_MAX + 256,
    "a pass that any passkey signed fits"
);
const _: () = assert!(NONCE_WINDOW == 64, "the nonce window is one machine word");
#[expect(clippy::as_conversions, reason = "widening only, and `From` is not usable in constants")]
const _: () = assert!(
    POSITION_NOTIONAL_MICROS_MAX as i128 * 2 * POSITIONS_MAX as i128 <= i64::MAX as i128,
    "the sum over all positions of an account, with resting orders on top, stays inside i64"
);
#[expect(clippy::as_conversions, reason = "widening only, and `From` is not usable in constants")]
const _: () = assert!(
    BALANCE_MICROS_MAX as i128 + POSITION_NOTIONAL_MICROS_MAX as i128 * POSITIONS_MAX as i128 <= i64::MAX as i128,
    "a full balance and the profit of all positions stay inside i64"
);
#[expect(clippy::as_conversions, reason = "widening only, and `From` is not usable in constants")]
const _: () = assert!(2 * QUOTE_LEVELS_MAX <= OPEN_ORDERS_MAX as usize, "a full ladder fits the open-order ceiling");
#[expect(clippy::as_conversions, reason = "widening only, and `From` is not usable in constants")]
const _: () = assert!(
    RECORD_EVENTS_MAX > 4 * MATCH_STEPS_MAX as usize + MAKERS_REMOVED_MAX as usize,
    "a command that takes every step it can, with four events a step, still fits one record"
);
