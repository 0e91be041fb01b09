use proptest::prelude::*;

use super::*;
use crate::event::RemovalCause;
use crate::genesis::LogMode;
use crate::grant::MarketScope;
use crate::limits::QUOTE_LEVELS_MAX;
use crate::merkle::TableKind;
use crate::testing::golden::{assert_golden, hex_of, table};
use crate::testing::{arbitrary, examples, known_tags};
use crate::units::PriceTicks;
use crate::{Event, Regime, RegimeCause, limits};

fn first_byte<T: BorshSerialize>(value: &T) -> u8 {
    borsh::to_vec(value).unwrap()[0]
}

fn name_of<T: core::fmt::Debug>(value: &T) -> String {
    format!("{value:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
}

fn assert_round_trip<T: BorshSerialize + BorshDeserialize + PartialEq + core::fmt::Debug>(value: &T) {
    let bytes = borsh::to_vec(value).unwrap();
    assert_eq!(&borsh::from_slice::<T>(&bytes).unwrap(), value);
}

proptest! {
    #[test]
    fn prop_commands_survive_decode_and_encode(command in arbitrary::command()) {
        assert_round_trip(&command);
    }

    #[test]
    fn prop_system_commands_survive_decode_and_encode(command in arbitrary::system_command()) {
        assert_round_trip(&command);
    }

    #[test]
    fn prop_events_survive_decode_and_encode(event in arbitrary::event()) {
        assert_round_trip(&event);
    }
}

#[test]
fn the_list_of_actions_is_complete_and_numbered_like_the_commands() {
    let numbers = Action::ALL.map(Action::number).to_vec();
    assert_eq!(numbers, known_tags::<Action>());
    assert_eq!(numbers, known_tags::<Command>());
    assert!(numbers.iter().all(|&number| number < 64), "an action is a bit of a 64-bit set");
    for action in Action::ALL {
        assert_eq!(first_byte(&action), action.number());
        let command = examples::command(action);
        assert_eq!((command.action(), first_byte(&command)), (action, action.number()));
    }
}

#[test]
fn every_event_and_every_piece_of_work_has_a_strategy_and_an_example() {
    let tags = |values: &[Event]| values.iter().map(first_byte).collect::<Vec<_>>();
    assert_eq!(tags(&examples::events()), known_tags::<Event>());
    let mut sampled = tags(&sample(arbitrary::event_kinds()));
    sampled.sort_unstable();
    assert_eq!(sampled, known_tags::<Event>());

    let tags = |values: &[SystemWork]| values.iter().map(first_byte).collect::<Vec<_>>();
    assert_eq!(tags(&examples::system_works()), known_tags::<SystemWork>());
    assert_eq!(tags(&sample(arbitrary::system_work_kinds())), known_tags::<SystemWork>());
}

fn sample<T: core::fmt::Debug>(kinds: Vec<BoxedStrategy<T>>) -> Vec<T> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    kinds.into_iter().map(|kind| kind.new_tree(&mut runner).unwrap().current()).collect()
}

/// Every other tag is refused. Numbers are permanent: this list only ever grows.
#[test]
fn only_these_tags_are_known() {
    assert_eq!(known_tags::<Beneficiary>(), [1, 2]);
    assert_eq!(known_tags::<Side>(), [1, 2]);
    assert_eq!(known_tags::<TimeInForce>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(known_tags::<OrderKind>(), [1, 2]);
    assert_eq!(known_tags::<SelfTradeMode>(), [1, 2, 3]);
    assert_eq!(known_tags::<OrderReference>(), [1, 2]);
    assert_eq!(known_tags::<CancelScope>(), [1, 2]);
    assert_eq!(known_tags::<GuardianAct>(), [1, 2, 3]);
    assert_eq!(known_tags::<SystemWork>(), (1..=18).chain([20, 22, 23, 26, 27]).collect::<Vec<u8>>());
    assert_eq!(known_tags::<PublicKey>(), [1, 2, 3]);
    assert_eq!(known_tags::<crate::envelope::GroupMode>(), [1, 2]);
    assert_eq!(known_tags::<crate::envelope::SignerRole>(), [1, 2]);
    assert_eq!(known_tags::<MarketScope>(), [1, 2]);
    assert_eq!(known_tags::<RemovalCause>(), (1..=14).collect::<Vec<u8>>());
    assert_eq!(known_tags::<LogMode>(), [1, 2]);
    assert_eq!(known_tags::<Regime>(), [1, 2, 3, 4]);
    assert_eq!(known_tags::<RegimeCause>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(known_tags::<TableKind>(), (1..=10).collect::<Vec<u8>>());
    let commands = (1..=25).chain([30, 40, 41, 42, 50]).collect::<Vec<u8>>();
    assert_eq!(known_tags::<Command>(), commands);
    let events = (1..=5)
        .chain(7..=31)
        .chain(40..=44)
        .chain(50..=55)
        .chain(60..=64)
        .chain(70..=72)
        .chain(90..=99)
        .collect::<Vec<u8>>();
    assert_eq!(known_tags::<Event>(), events);
}

#[test]
fn lists_in_commands_end_at_their_maximum() {
    assert_list_maximum::<OutsideReference>(OUTSIDE_REFERENCE_BYTES_MAX, &[0]);
    assert_list_maximum::<BoundedVec<QuoteLevel, QUOTE_LEVELS_MAX>>(QUOTE_LEVELS_MAX, &[0; 16]);
    assert_list_maximum::<BoundedVec<MarketId, { limits::GRANT_MARKETS_MAX }>>(limits::GRANT_MARKETS_MAX, &[0; 2]);
}

fn assert_list_maximum<T: BorshDeserialize>(maximum: usize, item: &[u8]) {
    let list_of = |count: usize| {
        let mut bytes = u32::try_from(count).unwrap().to_le_bytes().to_vec();
        bytes.extend(item.repeat(count));
        borsh::from_slice::<T>(&bytes)
    };
    assert!(list_of(0).is_ok() && list_of(maximum).is_ok());
    assert!(list_of(maximum + 1).is_err());
}

#[test]
fn a_command_names_its_market() {
    let with_market = |action| examples::command(action).market();
    for action in [Action::PlaceOrder, Action::AmendOrder, Action::CancelOrder] {
        assert_eq!(with_market(action), Some(MarketId::new(2)));
    }
    assert_eq!(with_market(Action::QuoteLadder), Some(MarketId::new(1)));
    let scope = CancelScope::Market(MarketId::new(5));
    assert_eq!(Command::CancelAllOrders(CancelAllOrders { scope }).market(), Some(MarketId::new(5)));
    assert_eq!(with_market(Action::CancelAllOrders), None);
    assert_eq!(with_market(Action::SetDeadMan), None);
}

#[test]
fn orders_cross_at_the_same_price_and_beyond() {
    let [low, high] = [1, 2].map(PriceTicks::from_ticks);
    assert!(Side::Bid.crosses(high, low) && Side::Bid.crosses(low, low) && !Side::Bid.crosses(low, high));
    assert!(Side::Ask.crosses(low, high) && Side::Ask.crosses(low, low) && !Side::Ask.crosses(high, low));
    assert_eq!([Side::Bid, Side::Ask].map(Side::opposite), [Side::Ask, Side::Bid]);
}

#[test]
fn golden_commands_and_events() {
    let row = |kind: &str, name: String, hex: String| [kind.to_owned(), name, hex];
    let mut rows = Vec::new();
    for action in Action::ALL {
        rows.push(row("command", format!("{action:?}"), hex_of(&examples::command(action))));
    }
    for work in examples::system_works() {
        rows.push(row("system", name_of(&work), hex_of(&examples::system_command(work))));
    }
    rows.push(row("change", "AdoptPolicies".to_owned(), hex_of(&examples::adopt_policies())));
    for event in examples::events() {
        rows.push(row("event", name_of(&event), hex_of(&event)));
    }
    for action in Action::ALL {
        let count = rows.iter().filter(|[kind, name, _]| kind == "command" && *name == format!("{action:?}")).count();
        assert_eq!(count, 1, "{action:?}");
    }
    assert_golden("commands.tsv", &table(["kind", "name", "bytes"], &rows));
}
