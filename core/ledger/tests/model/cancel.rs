//! Orders that leave the book without an arriving order: cancels, ends of time, ends of grants.

use casemate_protocol::command::{CancelOrder, CancelScope};
use casemate_protocol::event::RemovalCause;
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::{AccountId, Event, GrantNumber, Reject, SegmentId, TimeMs};

use super::market::Order;
use super::{Asker, Model};

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

    /// Removes every order whose time has come, earliest first, then by number.
    pub fn expire(&mut self, time_ms: TimeMs) -> Vec<Event> {
        let mut events = Vec::new();
        let mut times: Vec<TimeMs> = self.everything().iter().map(|(_, order)| order.expires_ms).collect();
        times.retain(|expires_ms| !expires_ms.is_zero() && *expires_ms <= time_ms);
        times.sort_unstable();
        times.dedup();
        for due_ms in times {
            events.extend(self.remove_where(RemovalCause::Expired, |_, order| order.expires_ms == due_ms));
        }
        events
    }

    /// Ends a grant and removes all its resting orders, in every segment.
    pub fn revoke_grant(&mut self, account: AccountId, number: GrantNumber) -> Vec<Event> {
        if let Some(grant) = self.grants.get_mut(&(account, number)) {
            grant.is_revoked = true;
        }
        self.remove_where(RemovalCause::GrantRevoked, |_, order| order.account == account && order.grant == number)
    }

    /// System work at a grant's end: its orders of a segment go, except those that can only reduce.
    pub fn expire_grant_orders(&mut self, segment: SegmentId, account: AccountId, number: GrantNumber) -> Vec<Event> {
        self.remove_where(RemovalCause::GrantEnded, |rules, order| {
            let is_of_grant = rules.segment == segment && order.account == account && order.grant == number;
            is_of_grant && !order.is_reduce_only
        })
    }

    /// System work of a dead-man switch: all orders of the account in a segment go.
    pub fn fire_dead_man(&mut self, segment: SegmentId, account: AccountId) -> Vec<Event> {
        self.remove_where(RemovalCause::DeadMan, |rules, order| rules.segment == segment && order.account == account)
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
