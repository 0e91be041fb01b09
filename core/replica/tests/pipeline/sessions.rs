//! INVARIANT(M3): a session never does more than its grant says.

use std::collections::{BTreeMap, BTreeSet};

use casemate_gate::BuiltInTable;
use casemate_ledger::BlockContext;
use casemate_protocol::command::CancelScope;
use casemate_protocol::envelope::{Intent, SignerRole};
use casemate_protocol::event::OrderRested;
use casemate_protocol::genesis::SeededAccounts;
use casemate_protocol::grant::GrantTerms;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{
    AccountId, Command, DurationMs, Event, GrantNumber, Height, PriceTicks, PublicKey, QuantityLots, TimeMs,
};
use casemate_replica::Replica;
use proptest::prelude::*;

use crate::book::EventBook;
use crate::kit::random::{Choices, STEPS_MS, letters};
use crate::kit::{
    FIRST, GENESIS_MS, GRANT_LIFETIME_MS, GRANT_NOTIONAL, Letter, SEEDED, Step, TICK_VALUE, Venue, genesis,
    is_accepted, micros, public_key, replica, sequences, session_key, terms,
};

#[test]
fn seeded_positions_count_as_traded_under_the_seeded_grants_also_after_a_snapshot() {
    let mut genesis = genesis();
    let lots = QuantityLots::from_lots(3);
    genesis.seeded = genesis.seeded.map(|seeded| SeededAccounts { position_lots: lots, ..seeded });
    let seeded = replica(&genesis);
    let mut snapshot = Vec::new();
    seeded.write_snapshot(&mut snapshot).unwrap();
    let read = Replica::read_snapshot(&genesis, BuiltInTable, &mut snapshot.as_slice(), &Sequential).unwrap();
    let rules = genesis.markets.iter().next().unwrap();
    let traded = i64::try_from(notional(rules.reference_price, lots)).unwrap();
    for ledger in [seeded.ledger(), read.ledger()] {
        let segment = ledger.segment(rules.segment).unwrap();
        for account in [FIRST, FIRST + 1] {
            let usage = segment.sub_account(AccountId::new(account)).unwrap().usage();
            assert_eq!(usage.len(), 1);
            assert_eq!((usage[0].grant(), usage[0].traded()), (GrantNumber::new(1), micros(traded)));
        }
        // The queue of ends has them too: after their end they are due.
        let later = BlockContext {
            height: Height::new(1),
            time_ms: TimeMs::from_ms(GENESIS_MS + GRANT_LIFETIME_MS),
            step_ms: DurationMs::from_ms(1),
            waiting_ms: DurationMs::from_ms(1),
        };
        let before = BlockContext { time_ms: TimeMs::from_ms(GENESIS_MS + GRANT_LIFETIME_MS - 1), ..later };
        assert!(!ledger.is_anything_due(&before) && ledger.is_anything_due(&later));
    }
}

/// What an outsider knows of a grant from the log alone.
struct Known {
    terms: GrantTerms,
    is_revoked: bool,
    /// Notional traded by orders that are not reduce-only.
    traded_micros: i128,
}

/// Follows the log and complains.
struct Watcher {
    book: EventBook,
    grants: BTreeMap<(AccountId, GrantNumber), Known>,
    /// The order that was amended last, as it was: its terms come again.
    amended: Option<OrderRested>,
}

impl Watcher {
    fn new() -> Self {
        let venue = Venue::new();
        let seeded = (FIRST..FIRST + SEEDED).map(|account| {
            let mut terms = terms(&venue, account, 1);
            terms.expires_ms = TimeMs::from_ms(GENESIS_MS + GRANT_LIFETIME_MS);
            terms.notional_quote_micros_max = micros(GRANT_NOTIONAL);
            terms.commands_per_minute_max = 200;
            ((AccountId::new(account), GrantNumber::new(1)), Known { terms, is_revoked: false, traded_micros: 0 })
        });
        Self { book: EventBook::default(), grants: seeded.collect(), amended: None }
    }

    fn grant_of(&self, account: AccountId, key: &PublicKey) -> Option<&Known> {
        self.grants
            .iter()
            .find(|((owner, _), known)| *owner == account && known.terms.session_key == *key)
            .map(|(_, known)| known)
    }

    fn follow(&mut self, venue: &Venue, step: &Step) -> Result<(), String> {
        let now_ms = step.block.header.time_ms;
        for record in &step.records {
            let asked = step.asked(record);
            if let Some((intent, command)) = asked.filter(|_| is_accepted(record)) {
                self.require_entitled(venue, intent, command, now_ms)?;
            }
            for event in &record.events {
                self.count(asked, event);
                if let Event::OrderRemoved(removed) = event {
                    self.amended = self.book.order(removed.market, removed.number.number()).copied();
                }
                self.book.follow(event)?;
                match event {
                    Event::GrantRegistered(registered) => {
                        let key = (registered.account, registered.terms.number);
                        self.carve(registered.account, &registered.terms)?;
                        let known = Known { terms: registered.terms.clone(), is_revoked: false, traded_micros: 0 };
                        self.grants.insert(key, known);
                    }
                    Event::GrantRevoked(revoked) => {
                        let grant = self.grants.get_mut(&(revoked.account, revoked.number));
                        grant.ok_or("an unknown grant was revoked")?.is_revoked = true;
                    }
                    _ => {}
                }
            }
        }
        self.require_budgets()?;
        self.require_families(venue)?;
        self.require_no_orders_of_ended_grants(now_ms)
    }

    /// Only a live grant acts, and only in its actions and markets.
    fn require_entitled(
        &self,
        venue: &Venue,
        intent: &Intent,
        command: &Command,
        now_ms: TimeMs,
    ) -> Result<(), String> {
        if intent.signer.role == SignerRole::Root {
            return Ok(());
        }
        let known = self.grant_of(intent.account, &intent.signer.key).ok_or("a key without a grant acted")?;
        if known.is_revoked || now_ms >= known.terms.expires_ms {
            return Err(format!("{command:?} under a grant that had ended"));
        }
        if !known.terms.actions.contains(command.action()) {
            return Err(format!("{command:?} is not an action of the grant"));
        }
        let segment = match command {
            Command::CancelAllOrders(cancel) => match cancel.scope {
                CancelScope::Segment(segment) => Some(segment),
                CancelScope::Market(_) => None,
            },
            Command::SetDeadMan(set) => Some(set.segment),
            _ => None,
        };
        let reached = venue
            .genesis
            .markets
            .iter()
            .filter(|market| Some(market.id) == command.market() || Some(market.segment) == segment);
        for market in reached {
            if !known.terms.markets.contains(market.id) {
                return Err(format!("{command:?} reaches market {} outside the grant", market.id));
            }
        }
        Ok(())
    }

    /// Adds up what a trade uses of both sides' budgets.
    fn count(&mut self, asked: Option<(&Intent, &Command)>, event: &Event) {
        let Event::TradeExecuted(trade) = event else { return };
        let micros = |price: PriceTicks| notional(price, trade.quantity);
        if let Some(resting) = self.book.order(trade.market, trade.maker_order.number()).copied()
            && !resting.is_reduce_only
            && let Some(known) = self.grants.get_mut(&(resting.account, resting.grant))
        {
            known.traded_micros += micros(trade.price);
        }
        let is_reduce_only = match asked.map(|(_, command)| command) {
            Some(Command::PlaceOrder(order)) => order.is_reduce_only,
            Some(Command::AmendOrder(_)) => self.amended.is_some_and(|order| order.is_reduce_only),
            // Nothing else takes.
            _ => false,
        };
        if let Some(known) = self.grants.get_mut(&(trade.taker, trade.taker_grant)).filter(|_| !is_reduce_only) {
            known.traded_micros += micros(trade.price);
        }
    }

    /// INVARIANT(A4): takes what a child has off its parent, which must have the right to all of it.
    fn carve(&mut self, account: AccountId, child: &GrantTerms) -> Result<(), String> {
        if child.parent.is_none() {
            return Ok(());
        }
        let parent = self.grants.get_mut(&(account, child.parent)).ok_or("a child of an unknown grant")?;
        let left = &mut parent.terms;
        let is_within = child.actions.is_subset_of(left.actions)
            && child.markets.is_within(&left.markets)
            && child.expires_ms <= left.expires_ms;
        if !is_within || parent.is_revoked {
            return Err(format!("{child:?} is wider than {left:?}, or outlives it"));
        }
        left.notional_quote_micros_max = left.notional_quote_micros_max.saturating_sub(child.notional_quote_micros_max);
        left.loss_quote_micros_max = left.loss_quote_micros_max.saturating_sub(child.loss_quote_micros_max);
        left.commands_per_minute_max = left
            .commands_per_minute_max
            .checked_sub(child.commands_per_minute_max)
            .ok_or("a child has more commands per minute than its parent had")?;
        Ok(())
    }

    /// Descendants of what was revoked are revoked in the same block, and budgets are those that carving left.
    fn require_families(&self, venue: &Venue) -> Result<(), String> {
        for (&(account, number), known) in &self.grants {
            let parent = self.grants.get(&(account, known.terms.parent));
            let row = venue.ledger().accounts().account(account).and_then(|row| row.grant(number));
            let is_past = row.is_none_or(|row| !row.is_live(TimeMs::from_ms(venue.time_ms)));
            if parent.is_some_and(|parent| parent.is_revoked) && !is_past {
                return Err(format!("grant {number} of account {account} outlived its parent"));
            }
            let budgets = (known.terms.notional_quote_micros_max, known.terms.loss_quote_micros_max);
            if row.is_some_and(|row| (row.notional_max(), row.loss_max()) != budgets) {
                return Err(format!("grant {number} of account {account} has other budgets than {budgets:?}"));
            }
        }
        Ok(())
    }

    fn require_budgets(&self) -> Result<(), String> {
        for (&(account, number), known) in &self.grants {
            let open = self
                .book
                .orders()
                .filter(|order| order.account == account && order.grant == number && !order.is_reduce_only);
            let resting: i128 = open.map(|order| notional(order.price, order.quantity)).sum();
            let budget = i128::from(known.terms.notional_quote_micros_max.micros());
            if known.traded_micros + resting > budget {
                return Err(format!(
                    "grant {number} of account {account}: {} traded and {resting} resting of {budget}",
                    known.traded_micros
                ));
            }
        }
        Ok(())
    }

    /// In the block of a revocation all of the grant's orders are gone, in every segment; after its natural end those
    /// that can add risk.
    fn require_no_orders_of_ended_grants(&self, now_ms: TimeMs) -> Result<(), String> {
        for order in self.book.orders() {
            let Some(known) = self.grants.get(&(order.account, order.grant)) else { continue };
            let has_ended = now_ms >= known.terms.expires_ms && !order.is_reduce_only;
            if known.is_revoked || has_ended {
                return Err(format!("{order:?} outlived its grant"));
            }
        }
        Ok(())
    }
}

fn notional(price: PriceTicks, quantity: QuantityLots) -> i128 {
    i128::from(price.ticks()) * i128::from(quantity.lots()) * i128::from(TICK_VALUE)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences(96)))]

    /// INVARIANT(M3)
    #[test]
    fn prop_a_session_stays_within_actions_markets_time_and_notional_of_its_grant(
        bytes in proptest::collection::vec(any::<u8>(), 400..4_000)
    ) {
        let mut choices = Choices::new(&bytes);
        let mut venue = Venue::new();
        let mut watcher = Watcher::new();
        while !choices.is_over() {
            let step_ms = choices.pick(&STEPS_MS);
            let letters = letters(&mut choices, &mut venue, 8);
            let step = venue.propose(step_ms, letters.iter().map(Letter::sealed).collect());
            venue.replica.adopt();
            if let Err(wrong) = watcher.follow(&venue, &step) {
                return Err(TestCaseError::fail(wrong));
            }
        }
    }

    /// No session key is registered twice, whatever is swept in between.
    #[test]
    fn prop_a_session_key_is_registered_once_ever(bytes in proptest::collection::vec(any::<u8>(), 400..4_000)) {
        let mut choices = Choices::new(&bytes);
        let mut venue = Venue::new();
        let mut seen: BTreeSet<PublicKey> =
            (FIRST..FIRST + SEEDED).map(|account| public_key(&session_key(account, 1))).collect();
        while !choices.is_over() {
            let step_ms = choices.pick(&STEPS_MS);
            let letters = letters(&mut choices, &mut venue, 8);
            let step = venue.propose(step_ms, letters.iter().map(Letter::sealed).collect());
            venue.replica.adopt();
            for event in step.events() {
                if let Event::GrantRegistered(registered) = event {
                    prop_assert!(seen.insert(registered.terms.session_key));
                    prop_assert!(venue.ledger().accounts().is_session_key_known(&registered.terms.session_key));
                }
            }
            prop_assert!(seen.iter().all(|key| venue.ledger().accounts().is_session_key_known(key)));
        }
    }
}
