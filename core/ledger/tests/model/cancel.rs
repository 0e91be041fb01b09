//! Orders that leave the book without an arriving order: cancels, ends of time, ends of grants.

use std::collections::BTreeSet;

use casemate_protocol::command::{CancelOrder, CancelScope, SetDeadMan};
use casemate_protocol::event::RemovalCause;
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::{AccountId, Event, GrantNumber, Reject, RejectCode, SegmentId, TimeMs};

use super::market::Order;
use super::{Asker, Model, micros};

impl Model {
    pub(super) fn cancel(&mut self, asker: Asker, cancel: &CancelOrder) -> Result<Vec<Event>, Reject> {
        let rules = self.rules_or_reject(cancel.market)?;
        let order = self.order_or_reject(cancel.market, asker.account, cancel.order)?;
        Ok(vec![self.remove(&rules, order, RemovalCause::Cancelled)])
    }

    pub(super) fn cancel_all(&mut self, asker: Asker, scope: CancelScope) -> Result<Vec<Event>, Reject> {
        let cause = RemovalCause::CancelledAll;
        match scope {
            CancelScope::Market(market) => {
                self.rules_or_reject(market)?;
                Ok(self.remove_where(cause, |rules, order| rules.id == market && order.account == asker.account))
            }
            CancelScope::Segment(segment) => {
                self.segment_or_reject(segment)?;
                Ok(self.remove_where(cause, |rules, order| rules.segment == segment && order.account == asker.account))
            }
        }
    }

    /// Arms the switch, arms it anew, or disarms it. It has no event of the model.
    pub(super) fn set_dead_man(&mut self, asker: Asker, switch: &SetDeadMan) -> Result<Vec<Event>, Reject> {
        let least = self.segment_or_reject(switch.segment)?.dead_man_timeout_min_ms;
        if !switch.timeout_ms.is_zero() && switch.timeout_ms < least {
            let reject = Reject::of(RejectCode::DeadManTimeoutNotAllowed);
            return Err(reject.required(least.ms()).present(switch.timeout_ms.ms()));
        }
        let key = (switch.segment, asker.account);
        if !self.cash.contains_key(&key) {
            return Err(Reject::of(RejectCode::InsufficientFreeCollateral).quote(micros(1), micros(0)));
        }
        if switch.timeout_ms.is_zero() {
            self.dead_men.remove(&key);
        } else {
            self.dead_men.insert(key, asker.time_ms.plus(switch.timeout_ms));
        }
        Ok(Vec::new())
    }

    /// What happens at the start of a block, before all commands. Doing it again in the same block does nothing.
    pub fn start_block(&mut self, time_ms: TimeMs) -> Vec<Event> {
        let segments: Vec<SegmentId> = self.segments.iter().map(|segment| segment.id).collect();
        let mut events = Vec::new();
        for segment in segments {
            for due_ms in self.ends(segment, time_ms) {
                events.extend(self.expire(segment, due_ms));
                events.extend(self.end_grants(segment, due_ms));
                events.extend(self.fire_dead_men(segment, due_ms));
            }
        }
        events
    }

    /// Every time up to now at which something of a segment ends, earliest first.
    fn ends(&self, segment: SegmentId, time_ms: TimeMs) -> BTreeSet<TimeMs> {
        let of_orders = self.everything().into_iter().map(|(_, order)| order.expires_ms);
        let of_grants = self.grants.values().map(|grant| grant.expires_ms);
        let of_switches = self.dead_men.iter().filter(|((of, _), _)| *of == segment).map(|(_, fires_ms)| *fires_ms);
        let times = of_orders.chain(of_grants).chain(of_switches);
        times.filter(|due_ms| !due_ms.is_zero() && *due_ms <= time_ms).collect()
    }

    /// Removes the orders whose time this is.
    fn expire(&mut self, segment: SegmentId, due_ms: TimeMs) -> Vec<Event> {
        self.remove_where(RemovalCause::Expired, |rules, order| rules.segment == segment && order.expires_ms == due_ms)
    }

    /// Removes what grants that end here have resting, except what can only reduce.
    fn end_grants(&mut self, segment: SegmentId, due_ms: TimeMs) -> Vec<Event> {
        let ended = self.grants.iter().filter(|(_, grant)| grant.expires_ms == due_ms);
        let ended: Vec<(AccountId, GrantNumber)> = ended.map(|(key, _)| *key).collect();
        let mut events = Vec::new();
        for (account, number) in ended {
            events.extend(self.remove_where(RemovalCause::GrantEnded, |rules, order| {
                let is_of_grant = rules.segment == segment && order.account == account && order.grant == number;
                is_of_grant && !order.is_reduce_only
            }));
        }
        events
    }

    /// Fires the dead-man switches whose time this is.
    fn fire_dead_men(&mut self, segment: SegmentId, due_ms: TimeMs) -> Vec<Event> {
        let due = self.dead_men.iter().filter(|((of, _), fires_ms)| *of == segment && **fires_ms == due_ms);
        let due: Vec<AccountId> = due.map(|((_, account), _)| *account).collect();
        due.into_iter().flat_map(|account| self.fire_dead_man(segment, account)).collect()
    }

    /// A dead-man switch removes all orders of its account in a segment, and is disarmed.
    fn fire_dead_man(&mut self, segment: SegmentId, account: AccountId) -> Vec<Event> {
        self.dead_men.remove(&(segment, account));
        self.remove_where(RemovalCause::DeadMan, |rules, order| rules.segment == segment && order.account == account)
    }

    /// Ends a grant and removes all its resting orders, in every segment.
    ///
    /// # Errors
    /// `GrantNotFound` if there is no such grant or it is over.
    pub fn revoke_grant(
        &mut self,
        account: AccountId,
        number: GrantNumber,
        time_ms: TimeMs,
    ) -> Result<Vec<Event>, Reject> {
        let grant = self.grants.get_mut(&(account, number));
        let Some(grant) = grant.filter(|grant| !grant.is_revoked && time_ms < grant.expires_ms) else {
            return Err(Reject::of(RejectCode::GrantNotFound).present(u64::from(number.number())));
        };
        grant.is_revoked = true;
        Ok(self.remove_where(RemovalCause::GrantRevoked, |_, order| order.account == account && order.grant == number))
    }

    /// Removes the orders that are meant, segment by segment, in the order of their numbers.
    fn remove_where(&mut self, cause: RemovalCause, is_meant: impl Fn(&MarketRules, &Order) -> bool) -> Vec<Event> {
        let mut meant = self.everything();
        meant.retain(|(rules, order)| is_meant(rules, order));
        meant.sort_by_key(|(rules, order)| (rules.segment, order.number));
        meant.into_iter().map(|(rules, order)| self.remove(&rules, order, cause)).collect()
    }

    /// Every resting order with the rules of its market.
    fn everything(&self) -> Vec<(MarketRules, Order)> {
        let orders = self.markets.iter().flat_map(|market| market.orders.iter().map(|order| (market.rules, *order)));
        orders.collect()
    }
}
