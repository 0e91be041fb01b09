use proptest::prelude::*;

use super::*;
use crate::testing::arbitrary;
use crate::testing::golden::{assert_golden, table};

proptest! {
    #[test]
    fn prop_refusals_survive_decode_and_encode(reject in arbitrary::reject()) {
        let bytes = borsh::to_vec(&reject).unwrap();
        prop_assert_eq!(bytes.len(), 18);
        prop_assert_eq!(borsh::from_slice::<Reject>(&bytes).unwrap(), reject);
        prop_assert!(!reject.to_string().contains(['{', '}']), "a number is missing in `{}`", reject);
    }
}

#[test]
fn numbers_are_unique_and_lead_back_to_their_code() {
    let numbers: Vec<u16> = RejectCode::ALL.iter().map(|code| code.number()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "in order, none twice");
    let found: Vec<u16> = (0..=u16::MAX).filter(|&number| RejectCode::from_number(number).is_some()).collect();
    assert_eq!(found, numbers);
    for &code in RejectCode::ALL {
        assert_eq!(RejectCode::from_number(code.number()), Some(code));
    }
}

#[test]
fn an_unknown_number_does_not_decode() {
    let mut bytes = borsh::to_vec(&Reject::of(RejectCode::Malformed)).unwrap();
    bytes[0] = 0;
    assert!(borsh::from_slice::<Reject>(&bytes).is_err());
}

#[test]
fn messages_show_numbers_exactly_where_the_rule_measures_something() {
    for &code in RejectCode::ALL {
        let shows = |placeholder: &str| code.message().contains(placeholder);
        let shows_any = shows("`{required}`") || shows("`{present}`");
        assert_eq!(shows_any, code.measure() != Measure::Nothing, "{code:?}: {}", code.message());
        let rest = code.message().replace("`{required}`", "").replace("`{present}`", "");
        assert!(!rest.contains(['{', '}']), "{code:?}: a placeholder outside backticks or unknown: {}", code.message());
    }
}

#[test]
fn messages_and_hints_are_worded_as_the_style_guide_asks() {
    for &code in RejectCode::ALL {
        for text in [code.message(), code.hint()] {
            assert!(text.starts_with(|first: char| first.is_lowercase() || first == '`'), "{code:?}: {text}");
            assert!(!text.ends_with(['.', ' ', '!']), "{code:?}: {text}");
            assert!(!text.contains("{hint}") && !text.contains("  "), "{code:?}: {text}");
        }
        assert!(!code.hint().contains(['{', '}']), "{code:?}: a hint has no numbers");
    }
}

#[test]
fn numbers_are_shown_in_their_measure() {
    let quote = QuoteMicros::from_micros;
    let reject = Reject::of(RejectCode::InsufficientFreeCollateral).quote(quote(250_000_000), quote(-1));
    assert_eq!(reject.to_string(), "the command needs `250.000000` of free collateral, the account has `-0.000001`");
    let reject = Reject::of(RejectCode::EnvelopeExpired).required(5).present(7);
    assert_eq!(reject.to_string(), "envelope was valid until `5 ms`, block time is `7 ms`");
    assert_eq!(Reject::of(RejectCode::MarketNotFound).present(9).to_string(), "market `9` does not exist");
}

#[test]
fn numbers_beyond_the_range_are_held_at_its_end() {
    let reject = Reject::of(RejectCode::NonceOutOfWindow).required(u64::MAX).present(u64::MAX);
    assert_eq!(reject.numbers(), (i64::MAX, i64::MAX));
}

#[test]
fn golden_rejects() {
    let row = |code: &RejectCode| {
        let measure = format!("{:?}", code.measure()).to_lowercase();
        [code.number().to_string(), code.name().into(), measure, code.message().into(), code.hint().into()]
    };
    let rows: Vec<_> = RejectCode::ALL.iter().map(row).collect();
    assert_golden("rejects.tsv", &table(["number", "name", "measure", "message", "hint"], &rows));
}

#[test]
fn an_action_is_shown_by_its_name_and_an_unknown_one_by_its_number() {
    let refused = |present: u64| Reject::of(RejectCode::ActionNotGranted).present(present).to_string();
    assert_eq!(refused(11), "the grant does not include action `RequestWithdrawal`");
    assert_eq!(refused(63), "the grant does not include action `63`");
}
