//! Tests of accounts.

use casemate_protocol::genesis::AccountRules;
use casemate_protocol::{AccountId, PublicKey, QuoteMicros, SegmentId, TimeMs};
use proptest::prelude::*;

use super::*;

fn rules(weight_per_second: u32) -> AccountRules {
    AccountRules {
        bond: QuoteMicros::from_micros(1),
        opening_deposit_min: QuoteMicros::from_micros(1),
        weight_burst: 2_000,
        weight_per_second,
    }
}

fn at(ms: u64) -> TimeMs {
    TimeMs::from_ms(ms)
}

/// Regression: each step's remainder was lost, so an account that acted in every short block regained nothing.
#[test]
fn weight_refills_as_much_in_many_short_blocks_as_in_one_long_one() {
    let rules = rules(100);
    let key = PublicKey::Ed25519([7; 32]);
    let mut accounts = Accounts::default();
    accounts.insert(Account::new(key, SegmentId::new(1), QuoteMicros::ZERO, &rules), AccountId::new(1));
    accounts.consume(AccountId::new(1), None, 2, 2_000, &rules, at(1_000));
    for (nonce, block) in (3..).zip(1..=200u64) {
        accounts.consume(AccountId::new(1), None, nonce, 0, &rules, at(1_000 + 5 * block));
    }
    let row = accounts.account(AccountId::new(1)).unwrap();
    assert_eq!(row.weight_left(&rules, at(2_000)), 100);
}

proptest! {
    /// However the time is cut, an account regains at most its share of it, and loses less than one unit.
    #[test]
    fn prop_weight_refill_does_not_depend_on_how_time_is_cut(
        per_second in 1u32..5_000, steps in proptest::collection::vec(1u64..400, 1..60)
    ) {
        let rules = AccountRules { weight_burst: u32::MAX, ..rules(per_second) };
        let mut budget = WeightBudget::default().spend(&rules, at(0), 0);
        let mut now_ms = 0;
        for step_ms in steps {
            now_ms += step_ms;
            budget = budget.spend(&rules, at(now_ms), 0);
        }
        let whole = now_ms * u64::from(per_second) / 1_000;
        let row = Account { weight: budget, ..Account::new(
            PublicKey::Ed25519([7; 32]), SegmentId::new(1), QuoteMicros::ZERO, &rules) };
        let left = u64::from(row.weight_left(&rules, at(now_ms)));
        prop_assert!(left <= whole);
        // Time is kept in whole milliseconds, so each step may round up by less than one of them.
        prop_assert!(left + 60 * (u64::from(per_second) / 1_000 + 1) >= whole, "{left} of {whole}");
    }
}
