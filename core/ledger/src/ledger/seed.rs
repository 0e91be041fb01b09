//! Accounts and positions that a development chain starts with.

use casemate_protocol::genesis::{MarketRules, SeededAccounts};
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::units::notional;
use casemate_protocol::{AccountId, DurationMs, GrantNumber, QuoteMicros, RecordIndex, SegmentId, Side, TimeMs};

use super::{Ledger, SeededKeys};
use crate::accounts::{Account, Grant};
use crate::market::fill::Fill;
use crate::segment::TotalField;

impl Ledger {
    /// Makes the accounts that a development chain starts with.
    pub(super) fn seed_accounts(&mut self, seeded: impl Iterator<Item = SeededKeys>) {
        let Some(rules) = self.genesis.seeded else { return };
        let count = usize::try_from(rules.count).unwrap_or(usize::MAX);
        let expires_ms = self.genesis.time_ms.plus(rules.grant_lifetime_ms);
        for keys in seeded.take(count) {
            let account = self.accounts.last_account().next();
            let row = Account::new(keys.root, SegmentId::new(1), QuoteMicros::ZERO, &self.genesis.accounts);
            self.accounts.insert(row, account);
            let terms = GrantTerms {
                number: SEEDED_GRANT,
                parent: GrantNumber::NONE,
                session_key: keys.session,
                actions: ActionSet::TRADING,
                markets: MarketScope::All,
                notional_quote_micros_max: rules.grant_notional,
                loss_quote_micros_max: rules.grant_notional,
                commands_per_minute_max: rules.grant_commands_per_minute,
                expires_ms,
                register_before_ms: TimeMs::ZERO,
            };
            self.accounts.add_grant(account, Grant::new(&terms, self.genesis.time_ms));
            for segment in &mut self.segments {
                segment.add_deposited(account, rules.balance);
                segment.add_total(TotalField::AttestedIn, i128::from(rules.balance.micros()));
                segment.settle();
            }
            self.accounts.settle();
        }
        self.seed_positions(&rules, expires_ms);
    }

    /// Lets every two seeded neighbours hold a position against each other, at the market's reference price, as if they
    /// had traded it under their grants.
    fn seed_positions(&mut self, seeded: &SeededAccounts, expires_ms: TimeMs) {
        let lots = seeded.position_lots;
        if lots.is_zero() {
            return;
        }
        let principals = self.genesis.principals().count();
        let first = u64::try_from(principals).unwrap_or(u64::MAX).saturating_add(1);
        let last = self.accounts.last_account().number();
        let markets: Vec<MarketRules> = self.genesis.markets.iter().copied().collect();
        let pairs = (first..last).step_by(2);
        for (long, rules) in pairs.zip(markets.into_iter().cycle()) {
            let price = rules.reference_price;
            let traded = notional(price, lots, rules.tick_value).unwrap_or_default();
            let Some(segment) = self.segment_mut(rules.segment) else { continue };
            let Some(place) = segment.market_place(rules.id) else { continue };
            for (account, side) in [(long, Side::Bid), (long.saturating_add(1), Side::Ask)] {
                let account = AccountId::new(account);
                let fill = Fill { side, quantity: lots, notional: traded };
                segment.watch_grant(account, SEEDED_GRANT, expires_ms, seeded.grant_notional, RecordIndex::NONE);
                segment.apply_fill(account, place, &fill, QuoteMicros::ZERO, DurationMs::ZERO);
                segment.add_traded(account, SEEDED_GRANT, traded, QuoteMicros::ZERO);
            }
            segment.settle();
        }
    }
}

/// The grant of every seeded account.
const SEEDED_GRANT: GrantNumber = GrantNumber::new(1);
