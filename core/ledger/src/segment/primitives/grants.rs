//! What sessions have used, when they end, and dead-man switches.

use casemate_protocol::{AccountId, GrantNumber, QuoteMicros, RecordIndex, TimeMs};

use super::SegmentUndo;
use crate::segment::{GrantUsage, Segment};

impl Segment {
    /// Counts notional traded under a grant, and what the fill cost.
    pub(crate) fn add_traded(
        &mut self,
        account: AccountId,
        grant: GrantNumber,
        notional: QuoteMicros,
        lost: QuoteMicros,
    ) {
        if grant.is_none() {
            return;
        }
        let Some(usage) = self.usage_mut(account.number(), grant.number()) else { return };
        let (traded_notional, lost_before) = (usage.traded_notional, usage.lost);
        usage.traded_notional = traded_notional.saturating_add(notional.micros());
        usage.lost = lost_before.saturating_add(lost.micros());
        let (account, grant) = (account.number(), grant.number());
        self.remember(SegmentUndo::Traded { account, grant, traded_notional, lost: lost_before });
    }

    /// Forgets what a grant used once it is no longer watched and its last order is gone: it can never act again.
    pub(super) fn drop_ended_usage(&mut self, account: u64, grant: u32) {
        let Some(row) = self.sub_accounts.row_mut(account) else { return };
        let is_over = |usage: &GrantUsage| usage.grant == grant && usage.open_orders == 0 && !usage.is_watched;
        let trading = row.trading_mut();
        let Some(place) = trading.usage.iter().position(is_over) else { return };
        let usage = trading.usage.remove(place);
        self.remember(SegmentUndo::UsageDropped { account, place, usage });
    }

    /// Starts counting what a grant uses here, and watches for its end.
    pub(crate) fn watch_grant(
        &mut self,
        account: AccountId,
        grant: GrantNumber,
        expires_ms: TimeMs,
        loss_max: QuoteMicros,
        origin: RecordIndex,
    ) {
        let (account, grant) = (account.number(), grant.number());
        let Some(row) = self.sub_accounts.row_mut(account) else { return };
        let trading = row.trading_mut();
        if trading.usage.iter().any(|usage| usage.grant == grant) {
            return;
        }
        trading.usage.push(GrantUsage {
            grant,
            expires_ms,
            loss_max: loss_max.micros(),
            origin,
            is_watched: true,
            ..GrantUsage::default()
        });
        self.grant_watches.insert((expires_ms.ms(), account, grant));
        self.remember(SegmentUndo::UsageMade { account });
    }

    /// Ends the watch of a grant and forgets what it used, unless reduce-only orders of it still rest.
    pub(crate) fn unwatch_grant(&mut self, account: AccountId, grant: GrantNumber, expires_ms: TimeMs) {
        let (account, grant) = (account.number(), grant.number());
        if self.grant_watches.remove(&(expires_ms.ms(), account, grant))
            && let Some(usage) = self.usage_mut(account, grant)
        {
            usage.is_watched = false;
            self.remember(SegmentUndo::Unwatched { account, grant });
        }
        self.drop_ended_usage(account, grant);
    }

    /// Sets what the fills of a grant may cost here.
    pub(crate) fn lower_grant_loss(&mut self, account: AccountId, grant: GrantNumber, loss_max: QuoteMicros) {
        let (account, grant) = (account.number(), grant.number());
        let Some(usage) = self.usage_mut(account, grant) else { return };
        let before = core::mem::replace(&mut usage.loss_max, loss_max.micros());
        self.remember(SegmentUndo::LossMax { account, grant, loss_max: before });
    }

    /// Sets the dead-man switch; zero disarms.
    pub(crate) fn set_dead_man(&mut self, account: AccountId, fires_ms: TimeMs, origin: RecordIndex) {
        let account = account.number();
        let Some(row) = self.sub_accounts.row_mut(account) else { return };
        let trading = row.trading_mut();
        let before = SegmentUndo::DeadMan { account, fires_ms: trading.dead_man_ms, origin: trading.dead_man_origin };
        self.remember(before);
        self.put_dead_man(account, fires_ms, origin);
    }

    fn put_dead_man(&mut self, account: u64, fires_ms: TimeMs, origin: RecordIndex) {
        let Some(row) = self.sub_accounts.row_mut(account) else { return };
        let trading = row.trading_mut();
        let before_ms = core::mem::replace(&mut trading.dead_man_ms, fires_ms);
        trading.dead_man_origin = origin;
        self.dead_men.remove(&(before_ms.ms(), account));
        if !fires_ms.is_zero() {
            self.dead_men.insert((fires_ms.ms(), account), origin);
        }
    }

    /// Puts the queue of grants' ends together again from the rows.
    pub(crate) fn restore_grant_watches(&mut self) {
        let usages =
            self.sub_accounts.iter().flat_map(|(account, row)| row.usage().iter().map(move |usage| (account, usage)));
        let watched = usages.filter(|(_, usage)| usage.is_watched).map(|(account, usage)| usage.watch_key(account));
        self.grant_watches = watched.collect();
    }

    fn usage_mut(&mut self, account: u64, grant: u32) -> Option<&mut GrantUsage> {
        let row = self.sub_accounts.row_mut(account)?;
        row.trading_mut().usage.iter_mut().find(|usage| usage.grant == grant)
    }

    pub(super) fn step_grants_back(&mut self, step: SegmentUndo) {
        match step {
            SegmentUndo::Traded { account, grant, traded_notional, lost } => {
                if let Some(usage) = self.usage_mut(account, grant) {
                    (usage.traded_notional, usage.lost) = (traded_notional, lost);
                }
            }
            SegmentUndo::LossMax { account, grant, loss_max } => {
                if let Some(usage) = self.usage_mut(account, grant) {
                    usage.loss_max = loss_max;
                }
            }
            SegmentUndo::UsageMade { account } => {
                let row = self.sub_accounts.row_mut(account);
                if let Some(usage) = row.and_then(|row| row.trading_mut().usage.pop()) {
                    self.grant_watches.remove(&usage.watch_key(account));
                }
            }
            SegmentUndo::UsageDropped { account, place, usage } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    row.trading_mut().usage.insert(place, usage);
                }
            }
            SegmentUndo::DeadMan { account, fires_ms, origin } => self.put_dead_man(account, fires_ms, origin),
            SegmentUndo::Unwatched { account, grant } => {
                let Some(usage) = self.usage_mut(account, grant) else { return };
                usage.is_watched = true;
                let key = usage.watch_key(account);
                self.grant_watches.insert(key);
            }
            _ => {}
        }
    }
}
