//! How old accounts are, to the hour: numbers are given in the order of opening, so the first of each hour tells all.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::limits::ACCOUNT_AGE_MS_MAX;
use casemate_protocol::{AccountId, TimeMs};

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// First account of each hour of block time in which one opened, as far back as ages are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct AccountAges {
    first_of_hour: BTreeMap<u64, u64>,
}

impl AccountAges {
    /// An account opens.
    pub(super) fn open(&mut self, account: u64, now_ms: TimeMs) {
        self.first_of_hour.entry(now_ms.ms() / HOUR_MS).or_insert(account);
    }

    /// The last opening is taken back.
    pub(super) fn take_back(&mut self, account: u64) {
        if self.first_of_hour.last_key_value().is_some_and(|(_, first)| *first == account) {
            self.first_of_hour.pop_last();
        }
    }

    /// Forgets hours that no age is told from any more; to be called when what was opened stands.
    pub(super) fn forget(&mut self, now_ms: TimeMs) {
        let oldest = now_ms.ms().saturating_sub(ACCOUNT_AGE_MS_MAX) / HOUR_MS;
        if self.first_of_hour.first_key_value().is_some_and(|(hour, _)| *hour < oldest) {
            self.first_of_hour = self.first_of_hour.split_off(&oldest);
        }
    }

    /// Block time since an account opened, rounded down by at most an hour and told up to [`ACCOUNT_AGE_MS_MAX`]. Accounts of
    /// genesis are as old as can be.
    pub(super) fn age_ms(&self, account: AccountId, now_ms: TimeMs) -> u64 {
        let hours = self.first_of_hour.iter().rev();
        let opened = hours.into_iter().find(|(_, first)| **first <= account.number()).map(|(hour, _)| *hour);
        opened.map_or(ACCOUNT_AGE_MS_MAX, |hour| {
            now_ms.ms().saturating_sub(hour.saturating_add(1).saturating_mul(HOUR_MS)).min(ACCOUNT_AGE_MS_MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_to_the_hour_and_never_too_old() {
        let hour = |hour: u64| TimeMs::from_ms(hour * HOUR_MS + 1);
        let mut ages = AccountAges::default();
        let age = |ages: &AccountAges, account, now| ages.age_ms(AccountId::new(account), hour(now)) / HOUR_MS;
        assert_eq!(age(&ages, 3, 50), ACCOUNT_AGE_MS_MAX / HOUR_MS, "of genesis");
        ages.open(5, hour(100));
        ages.open(6, hour(100));
        ages.open(7, hour(120));
        assert_eq!((age(&ages, 5, 130), age(&ages, 6, 130), age(&ages, 7, 130)), (29, 29, 9));
        assert_eq!(age(&ages, 7, 120), 0);
        assert_eq!(age(&ages, 4, 130), ACCOUNT_AGE_MS_MAX / HOUR_MS);
        ages.take_back(7);
        ages.open(7, hour(125));
        assert_eq!(age(&ages, 7, 130), 4);
        ages.forget(hour(100 + 24 * 30 + 1));
        assert_eq!(age(&ages, 6, 100 + 24 * 30 + 1), ACCOUNT_AGE_MS_MAX / HOUR_MS);
        assert_eq!(age(&ages, 7, 100 + 24 * 30 + 1), 24 * 30 + 1 - 26);
    }
}
