use casemate_ledger::conduct::Detector;
use casemate_protocol::command::Side;
use casemate_protocol::{PriceTicks, TimeMs};
use proptest::prelude::*;

use super::book::{Book, Fill, Resting};
use super::injection::{EPISODES, Kind, Schedule, schedule};
use super::report::{Injected, Report};
use super::stage::{FIRST_INJECTED, Played, Stage};
use crate::order_flow::plan::Plan;
use crate::order_flow::rows::{Row, RowAction};

fn resting(id: u64, account: u64, side: Side, price: u64, lots: u64) -> Resting {
    Resting { id, account, side, price, lots, rested_ms: 0 }
}

#[test]
fn the_book_fills_best_price_first_then_by_time_and_never_an_own_order() {
    let mut book = Book::default();
    for order in [
        resting(1, 10, Side::Ask, 105, 5),
        resting(2, 11, Side::Ask, 103, 5),
        resting(3, 12, Side::Ask, 103, 5),
        resting(4, 20, Side::Ask, 102, 5),
    ] {
        assert_eq!(book.place(order), []);
    }
    assert_eq!(book.reached(Side::Bid, 104, 12), Some(103));
    assert_eq!((book.depth(Side::Ask, 10_000), book.distance_ppm(Side::Ask, 105)), (15, 29_411));
    let fills = book.place(resting(5, 20, Side::Bid, 104, 12));
    let expected = [Fill { maker: 11, price: 103, lots: 5 }, Fill { maker: 12, price: 103, lots: 5 }];
    assert_eq!(fills, expected);
    assert_eq!((book.best(Side::Bid), book.best(Side::Ask)), (Some(104), Some(105)), "own order gone, rest rests");
    assert_eq!(book.order(5).map(|order| order.lots), Some(2));
}

/// Three hours of people who quote around 236 and cancel after a while.
fn calm_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for index in 0..10_800u64 {
        let side = if index % 2 == 0 { Side::Bid } else { Side::Ask };
        let away = 20 + index * 7 % 50;
        let price = PriceTicks::from_ticks(if side == Side::Bid { 23_600 - away } else { 23_600 + away });
        let row = |at: u64, action| Row {
            line: 1,
            id: index + 1,
            time: TimeMs::from_ms(1_430_438_400_000 + at),
            price,
            volume_satoshi: 10_000 * (4_000 + index * 13 % 2_000),
            action,
            side,
        };
        rows.push(row(1_000 * index, RowAction::Created));
        rows.push(row(1_000 * index + 7_300, RowAction::Deleted));
    }
    rows.sort_by_key(|row| row.time);
    rows
}

fn injected(kind: Kind, strength: u64) -> (Schedule, Played) {
    let plan = Plan::of(&calm_rows());
    let schedule = schedule(kind, strength, 1, &plan);
    let played = Stage::play(&plan, 100, 1, &schedule.acts);
    (schedule, played)
}

#[test]
fn strong_manipulation_of_every_kind_is_found_and_weak_is_not() {
    for kind in Kind::ALL {
        let told = |strength| {
            let (schedule, played) = injected(kind, strength);
            let guilty = schedule.episodes.iter().flat_map(|(_, accounts)| accounts);
            guilty.filter(|account| played.first_alert(**account, kind.detector()).is_some()).count() as u64
        };
        let all = if kind == Kind::Wash { 2 * EPISODES } else { EPISODES };
        assert_eq!((told(400), told(25)), (all, 0), "{kind:?}");
    }
}

#[test]
fn nobody_who_is_honest_is_told_of() {
    let (_, played) = injected(Kind::Spoofing, 400);
    for detector in Detector::ALL {
        assert!(played.honest_told(detector).is_empty(), "{detector:?}");
    }
    assert_eq!((played.honest_blocked, played.honest_in_band), (0, [0; 3]));
}

#[test]
fn the_same_seed_gives_the_same_acts_and_another_seed_others() {
    let plan = Plan::of(&calm_rows());
    let acts = |seed| schedule(Kind::Layering, 100, seed, &plan).acts;
    assert_eq!(acts(1), acts(1));
    assert_ne!(acts(1), acts(2));
    assert!(acts(1).iter().all(|act| act.account >= FIRST_INJECTED));
}

#[test]
fn the_report_names_what_is_synthetic_and_what_is_not() {
    let (schedule, played) = injected(Kind::Wash, 400);
    let injected = vec![Injected::of(Kind::Wash, 400, &schedule, &played)];
    let report = Report { injected, ..Report::default() };
    let json = report.json();
    assert_eq!(json["injected"][0]["labels"], "synthetic");
    assert_eq!(json["injected"][0]["recall"], 1.0);
    assert!(report.to_string().contains("synthetic labels"));
}

proptest! {
    /// Lots neither appear nor vanish.
    #[test]
    fn prop_the_book_keeps_every_lot(orders in proptest::collection::vec((0u64..8, any::<bool>(), 90u64..110, 1u64..50), 1..80)) {
        let mut book = Book::default();
        let (mut placed, mut filled) = (0, 0);
        for (id, (account, is_bid, price, lots)) in (0u64..).zip(orders) {
            // Every order has an owner of its own, so none leaves unfilled.
            let side = if is_bid { Side::Bid } else { Side::Ask };
            let fills = book.place(resting(id, account + 100 * id, side, price, lots));
            placed += lots;
            filled += 2 * fills.iter().map(|fill| fill.lots).sum::<u64>();
            prop_assert!(book.best(Side::Bid) < book.best(Side::Ask) || book.best(Side::Ask).is_none());
        }
        let left = book.depth(Side::Bid, 1_000_000) + book.depth(Side::Ask, 1_000_000);
        prop_assert_eq!(placed, filled + left);
    }
}
