use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use casemate_protocol::command::Side;
use casemate_protocol::{PriceTicks, QuantityLots, TimeMs};
use proptest::prelude::*;

use super::LOT_SATOSHI;
use super::comparison::{Comparison, ComparisonReport, ShortfallCause};
use super::plan::{NotSent, Plan, Step, account_index};
use super::record::Contradiction;
use super::recorded_book::{BestPrices, RecordedBook};
use super::rows::{self, OrderFileError, OrderRows, Row, RowAction, RowProblem};

// Rows.

#[test]
fn rows_are_read_with_their_lines_in_exact_units() {
    let text =
        format!("{HEADER}\n65595247,1430438404518,1430438404000,236.47,200000000,created,bid\n7,8,9,1,0,deleted,ask\n");
    let rows = read_text(&text).unwrap();
    assert_eq!(rows.len(), 2);
    let first = Row {
        line: 2,
        id: 65_595_247,
        time: TimeMs::from_ms(1_430_438_404_518),
        price: PriceTicks::from_ticks(23_647),
        volume_satoshi: 200_000_000,
        action: RowAction::Created,
        side: Side::Bid,
    };
    assert_eq!(rows[0], first);
    assert_eq!((rows[1].line, rows[1].price.ticks(), rows[1].action), (3, 100, RowAction::Deleted));
}

#[test]
fn prices_of_one_or_no_decimal_windows_line_ends_and_a_missing_last_line_end_are_read() {
    let text = format!("{HEADER}\r\n1,2,3,236.5,4,changed,ask\r\n1,2,3,0.010,4,changed,ask");
    let rows = read_text(&text).unwrap();
    assert_eq!(rows[0].price.ticks(), 23_650);
    assert_eq!(rows[1].price.ticks(), 1);
}

#[test]
fn malformed_rows_name_line_column_and_what_was_there() {
    let cases = [
        ("1,2,3,4.00,5,created", None, "`6` columns where `7` belong"),
        ("1,2,3,4.00,5,created,bid,", None, "`8` columns where `7` belong"),
        ("", None, "`1` columns where `7` belong"),
        ("x,2,3,4.00,5,created,bid", Some("id"), "`x` is not a number of the expected form"),
        (",2,3,4.00,5,created,bid", Some("id"), "`` is not a number of the expected form"),
        ("-1,2,3,4.00,5,created,bid", Some("id"), "`-1` is below zero"),
        ("1,2.5,3,4.00,5,created,bid", Some("timestamp"), "`2.5` is not a number of the expected form"),
        ("1,2,-,4.00,5,created,bid", Some("exchange.timestamp"), "`-` is not a number of the expected form"),
        ("1,2,3,4.005,5,created,bid", Some("price"), "`4.005` is not a multiple of the tick, `0.01`"),
        ("1,2,3,-4.00,5,created,bid", Some("price"), "`-4.00` is below zero"),
        ("1,2,3,4.,5,created,bid", Some("price"), "`4.` is not a number of the expected form"),
        ("1,2,3,.5,5,created,bid", Some("price"), "`.5` is not a number of the expected form"),
        ("1,2,3,4e2,5,created,bid", Some("price"), "`4e2` is not a number of the expected form"),
        ("1,2,3,0.00,5,created,bid", Some("price"), "the price is zero"),
        ("1,2,3,99999999999999999999,5,created,bid", Some("price"), "`99999999999999999999` is too large"),
        ("1,2,3,99999999999,5,created,bid", Some("price"), "`99999999999` is too large"),
        ("1,2,3,4.00,-5,created,bid", Some("volume"), "`-5` is below zero"),
        ("1,2,3,4.00,0.5,created,bid", Some("volume"), "`0.5` is not a number of the expected form"),
        ("1,2,3,4.00,18446744073709551616,created,bid", Some("volume"), "`18446744073709551616` is too large"),
        ("1,2,3,4.00,5,filled,bid", Some("action"), "action `filled` is unknown"),
        ("1,2,3,4.00,5,created,buy", Some("direction"), "direction `buy` is unknown"),
        ("1,2,3,4.00,5,created, \u{1b}[31m", Some("direction"), "direction ` \\u{1b}[31m` is unknown"),
    ];
    for (row, column, expected) in cases {
        let error = read_text(&format!("{HEADER}\n{GOOD_ROW}\n{row}\n{GOOD_ROW}\n")).expect_err(row);
        assert_eq!((error.line(), error.column()), (Some(3), column), "{error}");
        let place = column.map_or_else(String::new, |column| format!(", column `{column}`"));
        assert_eq!(error.to_string(), format!("order file `test.csv`, line 3{place}: {expected}"));
        assert!(error.hint().starts_with(|first: char| first.is_lowercase() || first == '`'), "{}", error.hint());
    }
}

#[test]
fn files_that_are_no_records_say_so() {
    let problem = |text: &str| read_text(text).unwrap_err().problem().clone();
    assert_eq!(problem(""), RowProblem::EmptyFile);
    assert!(matches!(problem(GOOD_ROW), RowProblem::HeaderMissing { .. }));
    assert!(matches!(problem(&format!("\n{HEADER}\n")), RowProblem::HeaderMissing { .. }));
    assert_eq!(problem(&format!("{HEADER}\n{}", "1".repeat(100_000))), RowProblem::LineTooLong);
    let mut bytes = format!("{HEADER}\n").into_bytes();
    bytes.extend([0xff, 0xfe, b'\n']);
    let error = OrderRows::new(bytes.as_slice(), Path::new("test.csv")).next().unwrap().unwrap_err();
    assert!(matches!(error.problem(), RowProblem::NotText { .. }), "{error}");
}

#[test]
fn after_an_error_there_are_no_more_rows() {
    let text = format!("{HEADER}\nbad\n{GOOD_ROW}\n");
    let mut rows = OrderRows::new(text.as_bytes(), Path::new("test.csv"));
    assert!(rows.next().unwrap().is_err());
    assert!(rows.next().is_none());
}

#[test]
fn plain_and_compressed_files_read_the_same_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders");
    let text = format!("{HEADER}\n{}", format!("{GOOD_ROW}\n").repeat(5_000));
    fs::write(&path, &text).unwrap();
    let plain = rows::read(&path).unwrap();
    assert_eq!(plain.len(), 5_000);

    let compressed = zstd::encode_all(text.as_bytes(), 3).unwrap();
    fs::write(&path, &compressed).unwrap();
    assert_eq!(rows::read(&path).unwrap(), plain);

    fs::write(&path, &compressed[..compressed.len() - 5]).unwrap();
    let error = rows::read(&path).unwrap_err();
    assert_eq!(*error.problem(), RowProblem::CompressedDataEnds, "{error}");
    assert!(error.line().is_some() && error.hint().contains("fetch the file again"), "{error}");

    let mut damaged = compressed.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    fs::write(&path, &damaged).unwrap();
    assert!(rows::read(&path).is_err());

    fs::write(&path, format!("{HEADER}\n")).unwrap();
    assert_eq!(*rows::read(&path).unwrap_err().problem(), RowProblem::NoRows);
    fs::write(&path, zstd::encode_all(&b""[..], 3).unwrap()).unwrap();
    assert_eq!(*rows::read(&path).unwrap_err().problem(), RowProblem::EmptyFile);
    fs::write(&path, &compressed[..3]).unwrap();
    assert!(matches!(rows::read(&path).unwrap_err().problem(), RowProblem::HeaderMissing { .. }));
    let error = rows::read(&folder.path().join("none")).unwrap_err();
    assert!(matches!(error.problem(), RowProblem::CannotRead(_)), "{error}");
}

// Plan.

#[test]
fn creates_are_placed_cancels_close_the_block_and_fills_are_never_sent() {
    let rows = record(&[
        (1, 100, 5 * LOT_SATOSHI, RowAction::Created, Side::Bid),
        (2, 100, 2 * LOT_SATOSHI, RowAction::Created, Side::Ask),
        (1, 100, 3 * LOT_SATOSHI, RowAction::Changed, Side::Bid),
        (2, 100, 0, RowAction::Deleted, Side::Ask),
        (1, 100, 3 * LOT_SATOSHI, RowAction::Deleted, Side::Bid),
        (3, 101, 1, RowAction::Created, Side::Ask),
        (4, 101, LOT_SATOSHI, RowAction::Created, Side::Ask),
    ]);
    let plan = Plan::of(&rows);
    assert_eq!(
        words(&plan),
        ["create 1 bid 5@100", "create 2 ask 2@100", "close 5", "cancel 1", "create 4 ask 1@101", "close 8"]
    );
    assert_eq!(plan.orders[&1].filled_satoshi, 2 * LOT_SATOSHI);
    assert_eq!(plan.orders[&2].filled_satoshi, 2 * LOT_SATOSHI);
    assert_eq!(plan.orders[&3].not_sent, Some(NotSent::BelowOneLot));
    assert_eq!(plan.counts.not_sent, BTreeMap::from([(NotSent::BelowOneLot, 1)]));
    assert_eq!((plan.counts.remainder_satoshi, plan.counts.blocks, plan.counts.cancels), (1, 2, 1));
}

#[test]
fn cancels_in_a_row_share_a_block() {
    let rows = record(&[
        (1, 100, LOT_SATOSHI, RowAction::Created, Side::Bid),
        (2, 100, LOT_SATOSHI, RowAction::Created, Side::Bid),
        (1, 100, LOT_SATOSHI, RowAction::Deleted, Side::Bid),
        (2, 100, LOT_SATOSHI, RowAction::Deleted, Side::Bid),
    ]);
    assert_eq!(
        words(&Plan::of(&rows)),
        ["create 1 bid 1@100", "create 2 bid 1@100", "close 3", "cancel 1", "cancel 2", "close 5"]
    );
}

#[test]
fn a_changed_price_is_a_cancel_and_a_new_order_and_its_loss_of_volume_is_no_fill() {
    let rows = record(&[
        (1, 100, 9 * LOT_SATOSHI, RowAction::Created, Side::Bid),
        (1, 101, 8 * LOT_SATOSHI, RowAction::Changed, Side::Bid),
        (1, 101, 5 * LOT_SATOSHI, RowAction::Changed, Side::Bid),
    ]);
    let plan = Plan::of(&rows);
    assert_eq!(words(&plan), ["create 1 bid 9@100", "close 2", "cancel 1", "create 1 bid 8@101", "close 4"]);
    assert_eq!((plan.orders[&1].filled_satoshi, plan.orders[&1].placements), (3 * LOT_SATOSHI, 2));
    assert_eq!(plan.counts.orders_repriced, 1);
}

#[test]
fn orders_without_a_create_form_the_opening_book_with_volumes_told_by_the_other_side() {
    let rows = record(&[
        // A maker whose only row is its end: the taker's row before it says how much it had.
        (20, 100, 7 * LOT_SATOSHI, RowAction::Created, Side::Bid),
        (20, 100, 3 * LOT_SATOSHI, RowAction::Changed, Side::Bid),
        (5, 99, 0, RowAction::Deleted, Side::Ask),
        // A maker that is filled in part, reported before its taker.
        (4, 101, 6 * LOT_SATOSHI, RowAction::Changed, Side::Ask),
        (20, 100, 1, RowAction::Changed, Side::Bid),
        // A cancelled order, and one of which nothing is known.
        (6, 90, 4 * LOT_SATOSHI, RowAction::Deleted, Side::Bid),
        (7, 91, 0, RowAction::Deleted, Side::Bid),
        (8, 92, 5 * LOT_SATOSHI, RowAction::Changed, Side::Bid),
    ]);
    let plan = Plan::of(&rows);
    assert_eq!(
        words(&plan)[..5],
        ["open 4 ask 8@101", "open 5 ask 4@99", "open 6 bid 4@90", "open 8 bid 5@92", "close 1"],
        "in the order of their numbers, in a block of their own"
    );
    assert_eq!(plan.orders[&4].filled_satoshi, 3 * LOT_SATOSHI - 1);
    assert_eq!(plan.orders[&4].remainder_satoshi, LOT_SATOSHI - 1);
    assert_eq!(plan.orders[&7].not_sent, Some(NotSent::OpeningVolumeUnknown));
    assert_eq!((plan.counts.opening_orders, plan.counts.opening_orders_inferred), (5, 2));
}

#[test]
fn an_opening_order_that_crosses_the_opening_book_is_left_out_and_counted() {
    let rows = record(&[
        (1, 100, LOT_SATOSHI, RowAction::Deleted, Side::Bid),
        (2, 99, LOT_SATOSHI, RowAction::Deleted, Side::Ask),
        (3, 101, LOT_SATOSHI, RowAction::Deleted, Side::Ask),
    ]);
    let plan = Plan::of(&rows);
    assert_eq!(words(&plan), ["open 1 bid 1@100", "open 3 ask 1@101", "close 1", "cancel 1", "cancel 3", "close 4"]);
    assert_eq!(plan.counts.not_sent, BTreeMap::from([(NotSent::OpeningCrosses, 1)]));
}

#[test]
fn rows_that_contradict_earlier_rows_change_nothing_and_are_counted() {
    let rows = record(&[
        (1, 100, LOT_SATOSHI, RowAction::Deleted, Side::Bid),
        (1, 100, LOT_SATOSHI, RowAction::Created, Side::Bid),
        (2, 100, LOT_SATOSHI, RowAction::Created, Side::Bid),
        (2, 100, LOT_SATOSHI, RowAction::Created, Side::Bid),
        (2, 100, 2 * LOT_SATOSHI, RowAction::Changed, Side::Bid),
        (2, 100, LOT_SATOSHI, RowAction::Changed, Side::Ask),
        (2, 100, LOT_SATOSHI, RowAction::Deleted, Side::Bid),
        (2, 100, LOT_SATOSHI, RowAction::Deleted, Side::Bid),
        (2, 100, LOT_SATOSHI, RowAction::Changed, Side::Bid),
    ]);
    let plan = Plan::of(&rows);
    assert_eq!(words(&plan), ["create 2 bid 1@100", "close 7", "cancel 2", "close 10"]);
    let expected = [
        (Contradiction::BeforeCreated, 1),
        (Contradiction::CreatedAfterDeleted, 1),
        (Contradiction::CreatedTwice, 1),
        (Contradiction::AfterDeleted, 2),
        (Contradiction::VolumeRose, 1),
        (Contradiction::SideChanged, 1),
    ];
    assert_eq!(plan.counts.contradictions, BTreeMap::from(expected));
    assert_eq!(plan.orders[&1].not_sent, Some(NotSent::DeletedBeforeCreated));
    // Before the second delete the volume had risen to two lots: a decrease is a fill, whoever reported it.
    assert_eq!(plan.orders[&2].filled_satoshi, LOT_SATOSHI);
}

#[test]
fn an_empty_record_needs_no_steps() {
    assert!(Plan::of(&[]).steps.is_empty());
}

#[test]
fn owners_depend_on_seed_and_number_and_spread_over_all_accounts() {
    let accounts = NonZeroU64::new(1_000).unwrap();
    let owners = |seed| (0..20_000).map(|id| account_index(&[seed; 32], id, accounts)).collect::<Vec<_>>();
    let first = owners(1);
    assert_eq!(first, owners(1));
    assert_ne!(first, owners(2));
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 1_000);
    assert!(first.iter().all(|owner| *owner < 1_000));
}

proptest! {
    #[test]
    fn prop_within_a_block_cancels_come_before_orders_and_steps_keep_the_order_of_the_file(rows in any_record()) {
        let plan = Plan::of(&rows);
        let mut line = 0;
        let mut has_order = false;
        let mut resting = BTreeSet::new();
        for step in &plan.steps {
            match *step {
                Step::Open(order) => {
                    prop_assert_eq!(line, 0, "the opening book comes first");
                    prop_assert!(resting.insert(order.id));
                    has_order = true;
                }
                Step::Create(order) => {
                    prop_assert!(order.line >= line);
                    prop_assert!(!order.quantity.is_zero());
                    prop_assert!(resting.insert(order.id), "an order is placed again only after its cancel");
                    line = order.line;
                    has_order = true;
                }
                Step::Cancel(cancel) => {
                    prop_assert!(!has_order, "a cancel follows an order of its block");
                    prop_assert!(cancel.line > line);
                    prop_assert!(resting.remove(&cancel.id), "only placed orders are cancelled");
                    line = cancel.line;
                }
                Step::CloseBlock { through_line, .. } => {
                    prop_assert!(through_line >= line);
                    has_order = false;
                }
            }
        }
        let is_closed = plan.steps.last().is_none_or(|step| matches!(step, Step::CloseBlock { .. }));
        prop_assert!(is_closed);
        let counts = &plan.counts;
        prop_assert_eq!(counts.created_rows + counts.changed_rows + counts.deleted_rows, rows.len() as u64);
    }

    #[test]
    fn prop_the_opening_book_does_not_trade_with_itself(rows in any_record()) {
        let plan = Plan::of(&rows);
        let mut book = Book::new(None);
        for step in &plan.steps {
            if let Step::Open(order) = step {
                prop_assert!(book.place(order.id, order.side, order.price, order.quantity).is_empty());
            }
        }
    }

    #[test]
    fn prop_every_missing_satoshi_has_a_cause(rows in any_record(), fills in prop::collection::vec((1u64..6, 1u64..9), 0..6)) {
        let plan = Plan::of(&rows);
        let mut comparison = Comparison::new(&plan);
        for (id, lots) in fills {
            comparison.filled(id, QuantityLots::from_lots(lots));
        }
        let report = comparison.report();
        let explained: u64 = report.shortfall_satoshi.values().sum();
        prop_assert_eq!(report.recorded_satoshi, report.matched_satoshi + explained);
        prop_assert_eq!(report.recorded_satoshi, plan.counts.filled_satoshi);
        prop_assert!((0.0..=1.0).contains(&report.filled_volume_ratio()));
    }
}

// Comparison and recorded book.

#[test]
fn an_order_counts_with_the_smaller_fill_and_what_is_missing_has_a_cause() {
    let rows = record(&[
        (1, 100, 9 * LOT_SATOSHI + 7, RowAction::Created, Side::Bid),
        (2, 100, 5 * LOT_SATOSHI, RowAction::Created, Side::Bid),
        (3, 100, 5 * LOT_SATOSHI, RowAction::Created, Side::Bid),
        (4, 100, 1, RowAction::Created, Side::Bid),
        (1, 100, 0, RowAction::Deleted, Side::Bid),
        (2, 100, 0, RowAction::Deleted, Side::Bid),
        (3, 100, 0, RowAction::Deleted, Side::Bid),
        (4, 100, 0, RowAction::Deleted, Side::Bid),
    ]);
    let plan = Plan::of(&rows);
    let mut comparison = Comparison::new(&plan);
    comparison.filled(1, QuantityLots::from_lots(6));
    comparison.dropped_for_self_trade(1, QuantityLots::from_lots(1));
    comparison.refused(2);
    comparison.filled(3, QuantityLots::from_lots(8));
    let report = comparison.report();
    let lots = |lots: u64| lots * LOT_SATOSHI;
    assert_eq!((report.recorded_satoshi, report.matched_satoshi), (lots(19) + 8, lots(11)));
    assert_eq!((report.replayed_satoshi, report.beyond_record_satoshi), (lots(14), lots(3)));
    let causes = [
        (ShortfallCause::NotSent(NotSent::BelowOneLot), 1),
        (ShortfallCause::Refused, lots(5)),
        (ShortfallCause::SelfTrade, lots(1)),
        (ShortfallCause::OwnRemainder, 7),
        (ShortfallCause::OtherRemainder, lots(1)),
        (ShortfallCause::PriceTime, lots(1)),
    ];
    assert_eq!(report.shortfall_satoshi, BTreeMap::from(causes));
    assert_eq!((report.filled_orders, report.filled_orders_equal), (4, 2));
    let sentences: BTreeSet<&str> = report.shortfall_satoshi.keys().map(|cause| cause.sentence()).collect();
    assert_eq!(sentences.len(), report.shortfall_satoshi.len());
}

#[test]
fn the_recorded_book_knows_its_best_prices_and_skips_rests_below_one_lot() {
    let rows = record(&[
        (9, 100, 3 * LOT_SATOSHI, RowAction::Created, Side::Bid),
        (1, 99, 2 * LOT_SATOSHI, RowAction::Deleted, Side::Bid),
        (9, 100, 1, RowAction::Changed, Side::Bid),
        (10, 105, LOT_SATOSHI, RowAction::Created, Side::Ask),
        (11, 104, LOT_SATOSHI, RowAction::Created, Side::Ask),
        (11, 104, 0, RowAction::Deleted, Side::Ask),
    ]);
    let plan = Plan::of(&rows);
    let mut book = RecordedBook::opening(&plan);
    let best = |bid: Option<u64>, ask: Option<u64>| BestPrices {
        bid: bid.map(PriceTicks::from_ticks),
        ask: ask.map(PriceTicks::from_ticks),
    };
    let mut expected = [
        best(Some(100), None),
        best(Some(100), None),
        best(None, None),
        best(None, Some(105)),
        best(None, Some(104)),
        best(None, Some(105)),
    ]
    .into_iter();
    assert_eq!(book.best(), best(Some(99), None));
    for row in &rows {
        book.follow(row);
        assert_eq!(Some(book.best()), expected.next(), "after line {}", row.line);
    }
    assert_eq!(book.order(9).unwrap().remaining_satoshi, 1);
    assert!(best(Some(100), Some(100)).is_crossed() && !best(Some(99), Some(100)).is_crossed());
}

// The real file.

/// The recorded file with a slow, obvious matcher: what plan and record reach when matching is price and time alone.
#[test]
fn the_recorded_file_is_reproduced_by_price_time_matching() {
    let path = data_folder().join("orderbook/bitstamp_l3/orders.csv.zst");
    if !path.exists() {
        println!("skipped: `{}` is not there; set CASEMATE_DATA to the data folder", path.display());
        return;
    }
    let rows = rows::read(&path).unwrap();
    let plan = Plan::of(&rows);
    let counts = &plan.counts;
    println!("{counts:#?}");
    assert_eq!((counts.created_rows, counts.changed_rows, counts.deleted_rows), (24_894, 602, 24_918));
    assert_eq!((counts.opening_orders, counts.opening_orders_inferred), (182, 25));
    assert_eq!(counts.not_sent, BTreeMap::from([(NotSent::DeletedBeforeCreated, 5)]));
    assert_eq!(counts.orders_repriced, 36);

    let alone = replay(&rows, &plan, None);
    println!("an account for each order: {:.6} {alone:#?}", alone.filled_volume_ratio());
    assert!(alone.filled_volume_ratio() > 0.999, "{}", alone.filled_volume_ratio());
    let shared = replay(&rows, &plan, NonZeroU64::new(1_000));
    println!("1,000 accounts: {:.6} {shared:#?}", shared.filled_volume_ratio());
    assert!(shared.filled_volume_ratio() > 0.95, "{}", shared.filled_volume_ratio());
    // What differs are rests of one lot that exist on one side of the rounding only.
    let prices = alone.best_prices;
    assert!(prices.bids_equal * 100 > prices.compared * 99 && prices.asks_equal * 100 > prices.compared * 99);
}

fn data_folder() -> PathBuf {
    let beside_the_workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    std::env::var_os("CASEMATE_DATA").map_or(beside_the_workspace, PathBuf::from)
}

/// Runs a plan through the matcher, as a driver runs it through the engine. Without `accounts` each order has its own.
fn replay(rows: &[Row], plan: &Plan, accounts: Option<NonZeroU64>) -> ComparisonReport {
    let mut recorded = RecordedBook::opening(plan);
    let mut next_row = rows.iter().peekable();
    let mut book = Book::new(accounts);
    let mut comparison = Comparison::new(plan);
    for step in &plan.steps {
        match *step {
            Step::Open(order) | Step::Create(order) => {
                for outcome in book.place(order.id, order.side, order.price, order.quantity) {
                    match outcome {
                        Outcome::Traded(id, lots) => comparison.filled(id, lots),
                        Outcome::Dropped(id, lots) => comparison.dropped_for_self_trade(id, lots),
                    }
                }
            }
            Step::Cancel(cancel) => book.cancel(cancel.id),
            Step::CloseBlock { through_line, .. } => {
                while let Some(row) = next_row.next_if(|row| row.line <= through_line) {
                    recorded.follow(row);
                }
                comparison.sample(recorded.best(), book.best());
            }
        }
    }
    comparison.report()
}

/// A book as simple as can be: two sorted maps.
struct Book {
    accounts: Option<NonZeroU64>,
    /// Resting orders, best first: by how far the price is from the best possible, then by arrival.
    sides: [BTreeMap<(u64, u64), (u64, u64)>; 2],
    places: BTreeMap<u64, (Side, (u64, u64))>,
    arrivals: u64,
}

enum Outcome {
    Traded(u64, QuantityLots),
    Dropped(u64, QuantityLots),
}

impl Book {
    fn new(accounts: Option<NonZeroU64>) -> Self {
        Self { accounts, sides: [BTreeMap::new(), BTreeMap::new()], places: BTreeMap::new(), arrivals: 0 }
    }

    fn place(&mut self, id: u64, side: Side, price: PriceTicks, quantity: QuantityLots) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut left = quantity.lots();
        while left > 0 {
            let Some((key, (maker, resting))) = self.first(side.opposite()) else {
                break;
            };
            if !side.crosses(price, price_of(side.opposite(), key)) {
                break;
            }
            let lots = left.min(resting);
            if self.owner(id) == self.owner(maker) {
                self.cancel(maker);
                outcomes.push(Outcome::Dropped(maker, QuantityLots::from_lots(resting)));
                continue;
            }
            left -= lots;
            outcomes.extend([id, maker].map(|id| Outcome::Traded(id, QuantityLots::from_lots(lots))));
            if lots == resting {
                self.cancel(maker);
            } else {
                self.sides[index(side.opposite())].insert(key, (maker, resting - lots));
            }
        }
        if left > 0 {
            self.arrivals += 1;
            let key = (rank(side, price), self.arrivals);
            self.sides[index(side)].insert(key, (id, left));
            self.places.insert(id, (side, key));
        }
        outcomes
    }

    fn cancel(&mut self, id: u64) {
        if let Some((side, key)) = self.places.remove(&id) {
            self.sides[index(side)].remove(&key);
        }
    }

    fn best(&self) -> BestPrices {
        let price = |side| self.first(side).map(|(key, _)| price_of(side, key));
        BestPrices { bid: price(Side::Bid), ask: price(Side::Ask) }
    }

    fn first(&self, side: Side) -> Option<((u64, u64), (u64, u64))> {
        self.sides[index(side)].first_key_value().map(|(key, order)| (*key, *order))
    }

    fn owner(&self, id: u64) -> u64 {
        self.accounts.map_or(id, |accounts| account_index(&[0; 32], id, accounts))
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Ask)
}

fn rank(side: Side, price: PriceTicks) -> u64 {
    match side {
        Side::Bid => u64::MAX - price.ticks(),
        Side::Ask => price.ticks(),
    }
}

fn price_of(side: Side, key: (u64, u64)) -> PriceTicks {
    PriceTicks::from_ticks(rank(side, PriceTicks::from_ticks(key.0)))
}

// Fixtures.

const HEADER: &str = "id,timestamp,exchange.timestamp,price,volume,action,direction";
const GOOD_ROW: &str = "1,2,3,4.00,5,created,bid";

fn read_text(text: &str) -> Result<Vec<Row>, OrderFileError> {
    OrderRows::new(text.as_bytes(), Path::new("test.csv")).collect()
}

type Event = (u64, u64, u64, RowAction, Side);

fn record(events: &[Event]) -> Vec<Row> {
    let row = |(index, event): (usize, &Event)| {
        let (id, price, volume_satoshi, action, side) = *event;
        let (line, time) = (index as u64 + 2, TimeMs::from_ms(1_000 + index as u64));
        Row { line, id, time, price: PriceTicks::from_ticks(price), volume_satoshi, action, side }
    };
    events.iter().enumerate().map(row).collect()
}

fn words(plan: &Plan) -> Vec<String> {
    let side = |side| if side == Side::Bid { "bid" } else { "ask" };
    let word = |step: &Step| match step {
        Step::Open(order) => {
            format!("open {} {} {}@{}", order.id, side(order.side), order.quantity.lots(), order.price.ticks())
        }
        Step::Create(order) => {
            format!("create {} {} {}@{}", order.id, side(order.side), order.quantity.lots(), order.price.ticks())
        }
        Step::Cancel(cancel) => format!("cancel {}", cancel.id),
        Step::CloseBlock { through_line, .. } => format!("close {through_line}"),
    };
    plan.steps.iter().map(word).collect()
}

/// Few orders and prices, so that rows meet, cross and contradict each other.
fn any_record() -> impl Strategy<Value = Vec<Row>> {
    let action = prop_oneof![Just(RowAction::Created), Just(RowAction::Changed), Just(RowAction::Deleted)];
    let side = prop_oneof![Just(Side::Bid), Just(Side::Ask)];
    let volume = prop_oneof![Just(0), 1..8 * LOT_SATOSHI];
    let event = (1u64..8, 98u64..103, volume, action, side);
    prop::collection::vec(event, 0..40).prop_map(|events| record(&events))
}
