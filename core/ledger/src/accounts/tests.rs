//! Tests of accounts.

use casemate_protocol::genesis::{AccountRules, SafeguardRules};
use casemate_protocol::grant::GrantLifetimes;
use casemate_protocol::{AccountId, DurationMs, PublicKey, QuoteMicros, SegmentId, TimeMs};
use proptest::prelude::*;

use super::*;

fn rules(weight_per_second: u32) -> AccountRules {
    AccountRules {
        bond: QuoteMicros::from_micros(1),
        opening_deposit_min: QuoteMicros::from_micros(1),
        weight_burst: 2_000,
        weight_per_second,
        grant_lifetimes: GrantLifetimes::same(DurationMs::from_ms(1)),
        safeguards: SafeguardRules::STAGED,
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

/// Memory per idle account is a budget of the project; a row that grows takes from it a million times.
#[test]
fn a_row_is_ninety_six_bytes_and_a_grant_no_longer_than_before() {
    assert_eq!(size_of::<Account>(), 96);
    assert_eq!(size_of::<Grant>(), 120);
}

#[test]
fn a_passkeys_counter_is_part_of_its_row_and_of_no_other() {
    let row = |key| Account::new(key, SegmentId::new(1), QuoteMicros::ZERO, &rules(1));
    for (key, more) in [(PublicKey::Ed25519([7; 32]), 0), (PublicKey::P256([7; 32]), 4)] {
        let before = row(key);
        let mut after = before.clone();
        after.passkey_count = u32::MAX;
        let encoded = [&before, &after].map(|row| borsh::to_vec(row).unwrap());
        assert_eq!(encoded[0] != encoded[1], more != 0);
        assert_eq!(encoded[0].len(), 80 + more);
        let decoded: Account = borsh::from_slice(&encoded[0]).unwrap();
        assert_eq!(decoded, before);
    }
}

#[test]
fn a_passkeys_counter_is_taken_back_with_the_block() {
    let mut accounts = Accounts::default();
    let (key, account) = (PublicKey::P256([7; 32]), AccountId::new(1));
    accounts.insert(Account::new(key, SegmentId::new(1), QuoteMicros::ZERO, &rules(1)), account);
    accounts.count_passkey(account, 5);
    let savepoint = accounts.savepoint();
    accounts.count_passkey(account, 9);
    assert_eq!(accounts.account(account).unwrap().passkey_count(), 9);
    accounts.roll_back(savepoint);
    assert_eq!(accounts.account(account).unwrap().passkey_count(), 5);
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
        let mut row = Account::new(PublicKey::Ed25519([7; 32]), SegmentId::new(1), QuoteMicros::ZERO, &rules);
        row.set_weight(budget);
        let left = u64::from(row.weight_left(&rules, at(now_ms)));
        prop_assert!(left <= whole);
        // Time is kept in whole milliseconds, so each step may round up by less than one of them.
        prop_assert!(left + 60 * (u64::from(per_second) / 1_000 + 1) >= whole, "{left} of {whole}");
    }
}
