use borsh::BorshDeserialize;
use proptest::prelude::*;

use super::*;
use crate::Side;
use crate::clearing::BreakerState;
use crate::command::{MarketTerms, PlaceOrder, SelfTradeMode};
use crate::ids::{ClientOrderId, MarketId};
use crate::units::{PriceTicks, QuantityLots, RatioPpm};

/// As strict as floors allow: what has no floor is never permitted.
fn strictest(borders: &[i64]) -> PolicyTable {
    filled(borders, |question| question.floor())
}

fn filled(borders: &[i64], answer: impl Fn(&PolicyQuestion) -> Option<Tier>) -> PolicyTable {
    let borders: Vec<QuoteMicros> = borders.iter().copied().map(QuoteMicros::from_micros).collect();
    let no_slow_rules = |_, _| false;
    PolicyTable::fill(&borders, &[], no_slow_rules, |question| Ok::<_, TableError>(answer(question))).unwrap()
}

fn withdrawal(amount: i64) -> PolicyQuestion {
    PolicyQuestion {
        kind: PolicyKind::Trader,
        action: PolicyAction::RequestWithdrawal,
        state: SegmentState::Normal,
        regime: PolicyRegime::Calm,
        amount: QuoteMicros::from_micros(amount),
        conduct: ConductBand::Ordinary,
    }
}

/// An answer that depends on everything a cell is made of, within floors.
fn mixed(question: &PolicyQuestion) -> Option<Tier> {
    let sum = u64::from(question.kind.number())
        + 3 * u64::from(question.action.number())
        + 7 * u64::from(question.state.number())
        + 11 * u64::from(question.regime.number())
        + 13 * u64::from(question.conduct.number())
        + question.amount.micros().unsigned_abs();
    question.floor().or_else(|| Tier::from_number(u8::try_from(sum % 6).unwrap()))
}

fn any_question() -> impl Strategy<Value = PolicyQuestion> {
    let word = |count: usize| (0..count).prop_map(|place| u8::try_from(place).unwrap());
    let words = (word(PolicyKind::ALL.len()), word(PolicyAction::ALL.len()), word(SegmentState::ALL.len()));
    (words, word(PolicyRegime::ALL.len()), word(ConductBand::ALL.len()), -5_i64..100).prop_map(
        |((kind, action, state), regime, conduct, amount)| PolicyQuestion {
            kind: PolicyKind::from_number(kind).unwrap(),
            action: PolicyAction::from_number(action).unwrap(),
            state: SegmentState::from_number(state).unwrap(),
            regime: PolicyRegime::from_number(regime).unwrap(),
            amount: QuoteMicros::from_micros(amount),
            conduct: ConductBand::from_number(conduct).unwrap(),
        },
    )
}

#[test]
fn numbers_are_places_and_names_are_read_back() {
    for (place, action) in PolicyAction::ALL.iter().enumerate() {
        assert_eq!(usize::from(action.number()), place);
        assert_eq!(PolicyAction::from_name(&action.name().to_lowercase()), Some(*action));
    }
    for (place, kind) in PolicyKind::ALL.iter().enumerate() {
        assert_eq!(usize::from(kind.number()), place);
    }
    for (place, state) in SegmentState::ALL.iter().enumerate() {
        assert_eq!(usize::from(state.number()), place);
    }
    assert_eq!(Tier::from_number(5), None);
    assert_eq!(PolicyRegime::from_name("wild"), None);
}

#[test]
fn an_order_is_called_by_what_it_can_do_to_risk() {
    let order = |kind, is_reduce_only| {
        Command::PlaceOrder(PlaceOrder {
            market: MarketId::new(1),
            side: Side::Bid,
            kind,
            quantity: QuantityLots::from_lots(1),
            client_id: ClientOrderId::new(0),
            is_reduce_only,
            self_trade: SelfTradeMode::CancelResting,
        })
    };
    let limit = |time_in_force| OrderKind::Limit(LimitTerms { price: PriceTicks::from_ticks(1), time_in_force });
    let market = OrderKind::Market(MarketTerms { slippage_ppm_max: RatioPpm::from_ppm(1) });
    assert_eq!(PolicyAction::of(&order(market, false)), PolicyAction::PlaceOrder);
    assert_eq!(PolicyAction::of(&order(limit(TimeInForce::GoodTillCancel), false)), PolicyAction::PlaceOrder);
    assert_eq!(PolicyAction::of(&order(limit(TimeInForce::PostOnly), false)), PolicyAction::PlaceRestingOrder);
    assert_eq!(PolicyAction::of(&order(limit(TimeInForce::PostOnlySlide), true)), PolicyAction::PlaceReducingOrder);
}

#[test]
fn every_breaker_state_has_a_word_of_the_same_name() {
    let states = [
        BreakerState::Normal,
        BreakerState::Elevated,
        BreakerState::ReduceOnly,
        BreakerState::WithdrawGated,
        BreakerState::Halted,
    ];
    for state in states {
        assert_eq!(SegmentState::from(state).name(), state.name());
    }
}

#[test]
fn a_border_begins_its_band() {
    let table = filled(&[100, 200], |question| {
        question.floor().or_else(|| {
            let is_small = question.amount < QuoteMicros::from_micros(100);
            Some(if is_small { Tier::Rooted } else { Tier::Quorum })
        })
    });
    let least = |amount| table.answer(&withdrawal(amount)).least;
    assert_eq!([least(-1), least(0), least(99)], [Some(Tier::Rooted); 3]);
    assert_eq!([least(100), least(199), least(i64::MAX)], [Some(Tier::Quorum); 3]);
}

#[test]
fn who_has_no_account_reads_and_nothing_else() {
    let table = filled(&[], |_| Some(Tier::Session));
    let mut question = PolicyQuestion { kind: PolicyKind::Anonymous, ..withdrawal(1) };
    assert_eq!(table.answer(&question).least, None);
    question.action = PolicyAction::ReadPublic;
    assert_eq!(table.answer(&question).least, Some(Tier::Session));
}

#[test]
fn a_table_below_a_floor_is_refused_with_the_cell() {
    let cancel = |question: &PolicyQuestion| {
        question.action == PolicyAction::CancelOrder && question.state == SegmentState::Halted
    };
    let filled = PolicyTable::fill(
        &[],
        &[],
        |_, _| false,
        |question| {
            let least = if cancel(question) { Some(Tier::Fresh) } else { question.floor() };
            Ok::<_, TableError>(least)
        },
    );
    let Err(TableError::Floor { question, least, floor }) = filled else { panic!("accepted") };
    assert!(cancel(&question));
    assert_eq!((least, floor), (Some(Tier::Fresh), Tier::Session));
}

#[test]
fn borders_rise_from_above_zero() {
    for borders in [&[0][..], &[5, 5], &[6, 5]] {
        let borders: Vec<QuoteMicros> = borders.iter().copied().map(QuoteMicros::from_micros).collect();
        let filled = PolicyTable::fill(&borders, &[], |_, _| false, |question| Ok::<_, TableError>(question.floor()));
        assert_eq!(filled, Err(TableError::Borders));
    }
}

#[test]
fn bytes_of_a_table_are_read_back_and_checked() {
    let table = filled(&[7, 70], mixed);
    let bytes = borsh::to_vec(&table).unwrap();
    assert_eq!(PolicyTable::try_from_slice(&bytes).unwrap(), table);
    assert_eq!(table.digest(), PolicyTable::try_from_slice(&bytes).unwrap().digest());

    let last = bytes.len() - 1;
    let mut unknown_tier = bytes.clone();
    unknown_tier[last] = 9;
    assert!(PolicyTable::try_from_slice(&unknown_tier).unwrap_err().to_string().contains("tier"));
    assert!(PolicyTable::try_from_slice(&bytes[..last]).is_err());
    let mut other_version = bytes;
    other_version[0] = 2;
    assert!(PolicyTable::try_from_slice(&other_version).unwrap_err().to_string().contains("version"));
}

#[test]
fn bytes_that_forbid_a_floor_are_refused() {
    let table = strictest(&[]);
    let mut bytes = borsh::to_vec(&table).unwrap();
    let cells = bytes.len() - table.cells_count();
    let cancel = table.questions().position(|question| question.action == PolicyAction::CancelOrder).unwrap();
    bytes[cells + cancel] = u8::MAX;
    assert!(PolicyTable::try_from_slice(&bytes).unwrap_err().to_string().contains("floors"));
}

#[test]
fn the_class_of_a_change_comes_from_cells_alone() {
    let old = filled(&[100], |question| question.floor().or(Some(Tier::Rooted)));
    let class = |new: &PolicyTable| PolicyComparison::of(&old, new).class();
    assert_eq!(class(&old), ChangeClass::Same);
    // A border that moves and changes no answer is no change.
    assert_eq!(class(&filled(&[50, 60], |question| question.floor().or(Some(Tier::Rooted)))), ChangeClass::Same);
    assert_eq!(class(&strictest(&[])), ChangeClass::Tightening);
    assert_eq!(PolicyComparison::of(&strictest(&[]), &old).class(), ChangeClass::Loosening);
    let both = filled(&[60], |question| {
        let is_small = question.amount < QuoteMicros::from_micros(60);
        question.floor().or(if is_small { Some(Tier::Session) } else { None })
    });
    assert_eq!(class(&both), ChangeClass::Both);
}

#[test]
fn a_slow_rule_tightens_only_if_it_is_added_and_forbids() {
    let with = |rules: &[SlowRule]| {
        PolicyTable::fill(&[], rules, |_, _| true, |question| Ok::<_, TableError>(question.floor())).unwrap()
    };
    let rule = |byte, is_forbid| SlowRule { digest: crate::Digest([byte; 32]), is_forbid };
    let old = with(&[rule(1, true)]);
    let class = |rules: &[SlowRule]| PolicyComparison::of(&old, &with(rules)).class();
    assert_eq!(class(&[rule(1, true)]), ChangeClass::Same);
    assert_eq!(class(&[rule(1, true), rule(2, true)]), ChangeClass::Tightening);
    assert_eq!(class(&[]), ChangeClass::Loosening);
    assert_eq!(class(&[rule(1, true), rule(2, false)]), ChangeClass::Loosening);
    assert_eq!(class(&[rule(2, true)]), ChangeClass::Both);
}

#[test]
fn all_borders_fit_a_table() {
    let borders: Vec<i64> = (1..=15).collect();
    let table = filled(&borders, mixed);
    assert!(table.cells_count() < crate::limits::POLICY_CELLS_MAX);
}

proptest! {
    #[test]
    fn prop_a_cell_answers_as_it_was_filled(question in any_question()) {
        let table = filled(&[7, 20, 70], mixed);
        let band = [70, 20, 7, 0].into_iter().find(|least| question.amount.micros() >= *least).unwrap_or(0);
        let amount = QuoteMicros::from_micros(if question.action.has_amount() { band } else { 0 });
        let is_venue = question.action.scope() == ActionScope::Venue;
        let state = if is_venue { SegmentState::Normal } else { question.state };
        let cell = PolicyQuestion { amount, state, ..question };
        let expected = if question.kind.can_ask(question.action) { mixed(&cell) } else { None };
        prop_assert_eq!(table.answer(&question).least, expected);
    }
}
