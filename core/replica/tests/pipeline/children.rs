//! Grants carved out of other grants: a child is narrower than its parent, has its budgets from it, and ends with it.

use std::collections::BTreeMap;

use casemate_gate::PolicyDecider;
use casemate_ledger::accounts::Grant;
use casemate_protocol::command::{RevokeGrant, TimeInForce};
use casemate_protocol::grant::{ActionSet, GrantLifetimes, GrantTerms, MarketScope};
use casemate_protocol::limits::{FRESH_GRANT_MS, GRANT_DEPTH_MAX};
use casemate_protocol::{
    AccountId, Action, Command, DurationMs, Event, GrantNumber, MarketId, Regime, RejectCode, SegmentId, Side, TimeMs,
};
use proptest::prelude::*;

use crate::kit::{
    FIRST, GRANT_NOTIONAL, REFERENCE, Step, Venue, ask, bid, cancel, list, margined, micros, order, sequences, terms,
};

type Verdict = Result<(), RejectCode>;

const ONE: SegmentId = SegmentId::new(1);

fn now(venue: &Venue) -> TimeMs {
    TimeMs::from_ms(venue.time_ms)
}

fn grant(venue: &Venue, account: u64, number: u32) -> &Grant {
    let row = venue.ledger().accounts().account(AccountId::new(account)).unwrap();
    row.grant(GrantNumber::new(number)).unwrap()
}

/// Grants that were revoked in a block, in order.
fn revoked(step: &Step) -> Vec<u32> {
    let number = |event: &Event| match event {
        Event::GrantRevoked(revoked) => Some(revoked.number.number()),
        _ => None,
    };
    step.events().filter_map(number).collect()
}

fn register(terms: GrantTerms) -> Command {
    Command::RegisterGrant(Box::new(terms))
}

fn revoke(number: u32) -> Command {
    Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(number) })
}

/// Terms of a child that fit into those of [`terms`] with room to spare.
fn child_terms(venue: &Venue, account: u64, number: u32, parent: u32) -> GrantTerms {
    let parent = grant(venue, account, parent);
    GrantTerms {
        parent: parent.number(),
        actions: parent.actions(),
        markets: parent.markets().clone(),
        notional_quote_micros_max: micros(2_000_000),
        loss_quote_micros_max: micros(2_000_000),
        commands_per_minute_max: 10,
        expires_ms: parent.expires_ms(),
        ..terms(venue, account, number)
    }
}

/// A venue in which grant 2 of the first account may share itself out, in market 1 only.
fn with_parent() -> Venue {
    let mut venue = Venue::new();
    let mut parent = terms(&venue, FIRST, 2);
    parent.actions = ActionSet::SESSION;
    parent.markets = MarketScope::Only(list(vec![MarketId::new(1), MarketId::new(3)]));
    assert_eq!(venue.ask(FIRST, register(parent)), Ok(()));
    venue
}

/// Whether the parent's session may register a child with something changed.
fn child(change: fn(&mut GrantTerms)) -> Verdict {
    let mut venue = with_parent();
    let mut changed = child_terms(&venue, FIRST, 3, 2);
    change(&mut changed);
    venue.ask_session(FIRST, 2, register(changed))
}

pub fn actions_wider() -> Verdict {
    let mut venue = with_parent();
    let narrow = ActionSet::TRADING.with(Action::RegisterGrant);
    let terms = GrantTerms { actions: narrow, ..child_terms(&venue, FIRST, 3, 2) };
    venue.ask_session(FIRST, 2, register(terms))?;
    let terms = GrantTerms { actions: ActionSet::SESSION, ..child_terms(&venue, FIRST, 4, 3) };
    venue.ask_session(FIRST, 3, register(terms))
}

pub fn markets_wider() -> Verdict {
    let all = child(|terms| terms.markets = MarketScope::All);
    assert_eq!(all, Err(RejectCode::ChildMarketsWider));
    child(|terms| terms.markets = MarketScope::Only(list(vec![MarketId::new(1), MarketId::new(2)])))
}

pub fn ends_later() -> Verdict {
    child(|terms| terms.expires_ms = terms.expires_ms.plus(DurationMs::from_ms(1)))
}

pub fn rate_wider() -> Verdict {
    // Of 100 a minute this registration is the first.
    assert_eq!(child(|terms| terms.commands_per_minute_max = 99), Ok(()));
    child(|terms| terms.commands_per_minute_max = 100)
}

pub fn notional_wider() -> Verdict {
    let all = |venue: &Venue, number| GrantTerms {
        notional_quote_micros_max: micros(GRANT_NOTIONAL),
        loss_quote_micros_max: micros(GRANT_NOTIONAL),
        ..child_terms(venue, FIRST, number, 2)
    };
    let mut venue = with_parent();
    let first = all(&venue, 3);
    assert_eq!(venue.ask_session(FIRST, 2, register(first)), Ok(()), "all of it may be given away");
    // What rests is not there to give.
    let mut venue = with_parent();
    venue.ask_session(FIRST, 2, bid(1, 900, 2))?;
    let first = all(&venue, 3);
    venue.ask_session(FIRST, 2, register(first))
}

/// Where collateral is full, the parent keeps as much of its loss budget as of its notional.
pub fn loss_wider() -> Verdict {
    child(|terms| terms.loss_quote_micros_max = micros(2_000_001))
}

pub fn too_deep() -> Verdict {
    let mut venue = with_parent();
    // The root key's grant is the first in the line.
    for (number, place) in (3..).zip(2..=GRANT_DEPTH_MAX) {
        let mut next = child_terms(&venue, FIRST, number, number - 1);
        (next.notional_quote_micros_max, next.loss_quote_micros_max) = (micros(1_000), micros(1_000));
        next.commands_per_minute_max = 20 / u32::try_from(place).unwrap();
        venue.ask_session(FIRST, number - 1, register(next))?;
    }
    let mut last = child_terms(&venue, FIRST, 5, 4);
    (last.notional_quote_micros_max, last.loss_quote_micros_max) = (micros(1), micros(1));
    last.commands_per_minute_max = 1;
    venue.ask_session(FIRST, 4, register(last))
}

pub fn parent_ended() -> Verdict {
    let mut venue = with_parent();
    let late = child_terms(&venue, FIRST, 3, 2);
    let unknown = GrantTerms { parent: GrantNumber::new(9), ..late.clone() };
    assert_eq!(venue.ask(FIRST, register(unknown)), Err(RejectCode::GrantParentEnded));
    venue.ask(FIRST, revoke(2))?;
    venue.ask(FIRST, register(late))
}

pub fn not_own_child() -> Verdict {
    for parent in [0, 1] {
        let mut venue = with_parent();
        let stolen = GrantTerms { parent: GrantNumber::new(parent), ..child_terms(&venue, FIRST, 3, 2) };
        assert_eq!(venue.ask_session(FIRST, 2, register(stolen)), Err(RejectCode::NotOwnChild));
    }
    let mut venue = with_parent();
    let own = child_terms(&venue, FIRST, 3, 2);
    venue.ask_session(FIRST, 2, register(own))?;
    for number in [1, 2, 9] {
        assert_eq!(venue.ask_session(FIRST, 2, revoke(number)), Err(RejectCode::NotOwnChild), "{number}");
    }
    venue.ask_session(FIRST, 3, revoke(3))
}

/// A limit that is absent is zero, and zero is nothing.
#[test]
fn a_child_without_a_limit_is_refused_like_any_grant_and_so_is_one_that_was_signed_too_long_ago() {
    use RejectCode::{GrantActionsMissing, GrantBudgetMissing, GrantLifetimeNotAllowed};
    use RejectCode::{GrantMarketsMissing, GrantRegistrationLate};
    assert_eq!(child(|terms| terms.notional_quote_micros_max = micros(0)), Err(GrantBudgetMissing));
    assert_eq!(child(|terms| terms.loss_quote_micros_max = micros(0)), Err(GrantBudgetMissing));
    assert_eq!(child(|terms| terms.commands_per_minute_max = 0), Err(GrantBudgetMissing));
    assert_eq!(child(|terms| terms.actions = ActionSet::EMPTY), Err(GrantActionsMissing));
    assert_eq!(child(|terms| terms.markets = MarketScope::Only(list(vec![]))), Err(GrantMarketsMissing));
    assert_eq!(child(|terms| terms.expires_ms = TimeMs::ZERO), Err(GrantLifetimeNotAllowed));
    assert_eq!(child(|terms| terms.register_before_ms = TimeMs::from_ms(1)), Err(GrantRegistrationLate));
    assert_eq!(child(|_| {}), Ok(()));
}

/// Terms lie in a drawer for three weeks and are presented as if they had just been signed.
#[test]
fn a_grant_signed_weeks_ago_is_not_registered_and_so_is_never_fresh() {
    let mut venue = Venue::new();
    let mut old = terms(&venue, FIRST, 2);
    let weeks_ms = 21 * 24 * 3_600_000;
    old.expires_ms = TimeMs::from_ms(venue.time_ms + weeks_ms + 60_000);
    venue.wait(weeks_ms);
    assert_eq!(venue.ask(FIRST, register(old)), Err(RejectCode::GrantRegistrationLate));
    let new = terms(&venue, FIRST, 2);
    assert_eq!(venue.ask(FIRST, register(new)), Ok(()));
}

#[test]
fn a_grant_is_fresh_for_ten_minutes_and_a_child_never_whoever_registered_it() {
    let mut venue = Venue::new();
    let expires_ms = TimeMs::from_ms(venue.time_ms + 2 * FRESH_GRANT_MS);
    let parent = GrantTerms { actions: ActionSet::SESSION, expires_ms, ..terms(&venue, FIRST, 2) };
    assert_eq!(venue.ask(FIRST, register(parent)), Ok(()));
    let by_session = child_terms(&venue, FIRST, 3, 2);
    assert_eq!(venue.ask_session(FIRST, 2, register(by_session)), Ok(()));
    let by_root = child_terms(&venue, FIRST, 4, 2);
    assert_eq!(venue.ask(FIRST, register(by_root)), Ok(()));
    let is_fresh = |venue: &Venue| [2, 3, 4].map(|number| grant(venue, FIRST, number).is_fresh(now(venue)));
    assert_eq!(is_fresh(&venue), [true, false, false]);
    venue.wait(FRESH_GRANT_MS);
    assert_eq!(is_fresh(&venue), [false; 3]);
}

/// A policy asks for fresh evidence. A thief of an old session cannot make himself a young grant out of it, and the child of a
/// fresh grant is not fresh. Without the policy both act.
#[test]
fn a_child_is_never_the_fresh_evidence_that_a_policy_asks_for() {
    fn acts<D: PolicyDecider>(venue: &mut Venue<D>) -> [Verdict; 3] {
        let parent = GrantTerms {
            actions: ActionSet::SESSION,
            expires_ms: TimeMs::from_ms(venue.time_ms + 2 * FRESH_GRANT_MS),
            register_before_ms: TimeMs::from_ms(venue.time_ms + FRESH_GRANT_MS),
            ..blank_terms(FIRST, 2)
        };
        let budgets = (micros(1_000_000), micros(1_000_000), 10);
        let child = |number| {
            let mut child = GrantTerms { parent: parent.number, ..parent.clone() };
            (child.number, child.session_key) = (GrantNumber::new(number), blank_terms(FIRST, number).session_key);
            (child.notional_quote_micros_max, child.loss_quote_micros_max, child.commands_per_minute_max) = budgets;
            child.register_before_ms = parent.expires_ms;
            register(child)
        };
        let letter = venue.root(FIRST, vec![register(parent.clone())]);
        assert_eq!(venue.step(&[letter]).only(), Ok(()));
        let letter = venue.session(FIRST, 2, vec![child(3)]);
        assert_eq!(venue.step(&[letter]).only(), Ok(()), "sharing out asks for no more than the grant");
        let order = |venue: &mut Venue<D>, number| {
            let letter = venue.session(FIRST, number, vec![bid(1, 900, 2)]);
            venue.step(&[letter]).only()
        };
        let (young, child_of_young) = (order(venue, 2), order(venue, 3));
        venue.wait(FRESH_GRANT_MS);
        let letter = venue.session(FIRST, 2, vec![child(4)]);
        assert_eq!(venue.step(&[letter]).only(), Ok(()));
        [young, child_of_young, order(venue, 4)]
    }
    let low = Err(RejectCode::EvidenceTooLow);
    assert_eq!(acts(&mut crate::policies::venue("PlaceOrder Fresh")), [Ok(()), low, low]);
    assert_eq!(acts(&mut Venue::new()), [Ok(()); 3]);
}

/// Terms of a root key's grant without times.
fn blank_terms(account: u64, number: u32) -> GrantTerms {
    let venue = Venue::new();
    terms(&venue, account, number)
}

#[test]
fn a_session_without_the_action_registers_and_revokes_nothing() {
    let mut venue = Venue::new();
    let own = child_terms(&venue, FIRST, 2, 1);
    assert_eq!(venue.ask_session(FIRST, 1, register(own)), Err(RejectCode::ActionNotGranted));
    assert_eq!(venue.ask_session(FIRST, 1, revoke(1)), Err(RejectCode::ActionNotGranted));
}

#[test]
fn what_a_child_is_given_is_gone_for_its_parent_and_does_not_come_back() {
    let mut venue = with_parent();
    let own = child_terms(&venue, FIRST, 3, 2);
    assert_eq!(venue.ask_session(FIRST, 2, register(own)), Ok(()));
    let parent_has = |venue: &Venue| {
        let parent = grant(venue, FIRST, 2);
        (parent.notional_max(), parent.loss_max(), parent.rate_at(now(venue)).0)
    };
    let left = (micros(GRANT_NOTIONAL - 2_000_000), micros(GRANT_NOTIONAL - 2_000_000), 90);
    assert_eq!(parent_has(&venue), left);
    assert_eq!(venue.ask_session(FIRST, 2, revoke(3)), Ok(()));
    assert_eq!(parent_has(&venue), left);
    assert_eq!(venue.ask_session(FIRST, 3, bid(1, 900, 2)), Err(RejectCode::GrantRevoked));

    // A child whose time ends is no different, and the next registration, which sweeps it away, changes nothing.
    let soon = GrantTerms { expires_ms: TimeMs::from_ms(venue.time_ms + 5_000), ..child_terms(&venue, FIRST, 4, 2) };
    assert_eq!(venue.ask_session(FIRST, 2, register(soon)), Ok(()));
    let left = (micros(GRANT_NOTIONAL - 4_000_000), micros(GRANT_NOTIONAL - 4_000_000), 80);
    assert_eq!(parent_has(&venue), left);
    venue.wait(6_000);
    assert_eq!(venue.ask_session(FIRST, 4, bid(1, 900, 2)), Err(RejectCode::GrantExpired));
    let unrelated = terms(&venue, FIRST, 5);
    assert_eq!(venue.ask(FIRST, register(unrelated)), Ok(()));
    assert_eq!(parent_has(&venue), left);
}

/// Trades back and forth under a grant of the first account until it is refused; returns the notional traded.
fn drained(venue: &mut Venue, number: u32) -> i64 {
    let mut traded = 0;
    for (own, other) in [(bid(1, REFERENCE, 50), ask(1, REFERENCE, 50)), (ask(1, REFERENCE, 50), bid(1, REFERENCE, 50))]
        .into_iter()
        .cycle()
    {
        if venue.ask_session(FIRST, number, own) != Ok(()) {
            break;
        }
        assert_eq!(venue.ask(FIRST + 1, other), Ok(()));
        traded += 5_000_000;
    }
    traded
}

/// The thief of a session that may share wants more than was granted: he makes children before or after he has spent, and
/// children of children. With a grant that stands by itself, which only the root key can sign, it would work.
#[test]
fn a_thief_spends_no_more_with_children_than_without_and_twice_with_a_grant_that_stands_by_itself() {
    let all = |venue: &Venue, number: u32, parent: u32, most: i64| GrantTerms {
        notional_quote_micros_max: micros(most),
        loss_quote_micros_max: micros(most),
        commands_per_minute_max: 40 / number,
        ..child_terms(venue, FIRST, number, parent)
    };
    let mut alone = with_parent();
    assert_eq!(drained(&mut alone, 2), GRANT_NOTIONAL);

    let mut after = with_parent();
    assert_eq!(drained(&mut after, 2), GRANT_NOTIONAL);
    let late = all(&after, 3, 2, 1);
    assert_eq!(after.ask_session(FIRST, 2, register(late)), Err(RejectCode::ChildNotionalWider));

    let mut before = with_parent();
    let child = all(&before, 3, 2, 20_000_000);
    assert_eq!(before.ask_session(FIRST, 2, register(child)), Ok(()));
    let grandchild = all(&before, 4, 3, 15_000_000);
    assert_eq!(before.ask_session(FIRST, 3, register(grandchild)), Ok(()));
    let spent = [4, 3, 2].map(|number| drained(&mut before, number));
    assert_eq!(spent, [15_000_000, 5_000_000, 10_000_000]);

    let mut free = with_parent();
    let by_itself = GrantTerms { parent: GrantNumber::NONE, ..all(&free, 3, 2, GRANT_NOTIONAL) };
    assert_eq!(free.ask_session(FIRST, 2, register(by_itself.clone())), Err(RejectCode::NotOwnChild));
    assert_eq!(free.ask(FIRST, register(by_itself)), Ok(()));
    assert_eq!([2, 3].map(|number| drained(&mut free, number)), [GRANT_NOTIONAL; 2]);
}

#[test]
fn revoking_a_grant_ends_its_descendants_and_their_orders_in_all_segments_in_the_same_block() {
    let mut venue = with_parent();
    for (number, rate) in [(3, 50), (4, 10)] {
        let mut next = child_terms(&venue, FIRST, number, number - 1);
        next.commands_per_minute_max = rate;
        let most = micros(8_000_000 / i64::from(number));
        (next.notional_quote_micros_max, next.loss_quote_micros_max) = (most, most);
        assert_eq!(venue.ask_session(FIRST, number - 1, register(next)), Ok(()));
    }
    // Of another branch, and not of this line.
    let sibling = child_terms(&venue, FIRST, 5, 2);
    assert_eq!(venue.ask(FIRST, register(sibling)), Ok(()));
    for number in [1, 2, 3, 4, 5] {
        for market in [1, 3] {
            assert_eq!(venue.ask_session(FIRST, number, bid(market, 900, 2)), Ok(()), "{number} in {market}");
        }
    }
    let step_of = |venue: &mut Venue, number| {
        let letter = venue.root(FIRST, vec![revoke(number)]);
        venue.step(&[letter])
    };
    let step = step_of(&mut venue, 3);
    assert_eq!(revoked(&step), [3, 4]);
    assert_eq!((venue.open_orders(1, FIRST), venue.open_orders(2, FIRST)), (3, 3));
    let step = step_of(&mut venue, 2);
    assert_eq!(revoked(&step), [2, 5], "what ended before does not end again");
    assert_eq!((venue.open_orders(1, FIRST), venue.open_orders(2, FIRST)), (1, 1), "the seeded grant's");
    assert_eq!(step_of(&mut venue, 4).only(), Err(RejectCode::GrantNotFound));
}

/// A revocation and a registration of a grandchild in one block: whatever comes first, nothing outlives the block.
#[test]
fn a_child_registered_in_the_block_in_which_its_ancestor_is_revoked_is_refused_or_ends_with_it() {
    for is_first in [true, false] {
        let mut venue = with_parent();
        let terms = child_terms(&venue, FIRST, 3, 2);
        let register = venue.session(FIRST, 2, vec![register(terms)]);
        let revoke = venue.root(FIRST, vec![revoke(2)]);
        let step = venue.step(&if is_first { [revoke, register] } else { [register, revoke] });
        if is_first {
            assert_eq!(step.verdict(1, 0), Err(RejectCode::GrantRevoked));
        } else {
            assert_eq!(revoked(&step), [2, 3]);
        }
        let row = venue.ledger().accounts().account(AccountId::new(FIRST)).unwrap();
        assert!(row.grants().iter().all(|grant| grant.number().number() == 1 || !grant.is_live(now(&venue))));
    }
}

/// Minutes by regime: calm, elevated, stressed, extreme.
fn lifetimes(minutes: [u64; 4]) -> GrantLifetimes {
    let [calm_ms, elevated_ms, stressed_ms, extreme_ms] = minutes.map(|count| DurationMs::from_ms(count * 60_000));
    GrantLifetimes { calm_ms, elevated_ms, stressed_ms, extreme_ms }
}

#[test]
fn the_rougher_the_worst_market_the_shorter_new_grants_live_and_those_that_live_stay() {
    let cases =
        [(100, Regime::Calm, 60), (101, Regime::Elevated, 30), (103, Regime::Stressed, 10), (106, Regime::Extreme, 2)];
    for (hundredths, regime, minutes) in cases {
        let mut genesis = margined::genesis();
        genesis.accounts.grant_lifetimes = lifetimes([60, 30, 10, 2]);
        let mut venue = Venue::of(genesis);
        for feed in [1, 2] {
            venue.publish(feed, REFERENCE);
        }
        let owner = margined::FIRST;
        let living = |venue: &Venue, number, minutes: u64| GrantTerms {
            expires_ms: TimeMs::from_ms(venue.time_ms + 10 + minutes * 60_000),
            ..terms(venue, owner, number)
        };
        let before = living(&venue, 2, 60);
        assert_eq!(venue.ask(owner, register(before)), Ok(()));
        venue.publish(1, REFERENCE * hundredths / 100);
        assert_eq!(venue.ledger().worst_regime(), regime);
        assert_eq!(venue.ledger().segment(ONE).unwrap().regime(), regime);
        assert_eq!(
            venue.ledger().segment(SegmentId::new(2)).unwrap().regime(),
            Regime::Calm,
            "each segment has its own"
        );
        let mut long = living(&venue, 3, minutes);
        long.expires_ms = long.expires_ms.plus(DurationMs::from_ms(1));
        let letter = venue.root(owner, vec![register(long)]);
        let step = venue.step(&[letter]);
        let refusal = step.executed.envelopes[0].commands[0].refusal.unwrap();
        let said = (refusal.code(), refusal.numbers());
        let most = i64::try_from(minutes * 60_000).unwrap();
        assert_eq!(said, (RejectCode::GrantLifetimeNotAllowed, (most, most + 1)));
        let allowed = living(&venue, 3, minutes);
        assert_eq!(venue.ask(owner, register(allowed)), Ok(()), "{regime:?}");
        assert_eq!(venue.ask_session(owner, 2, cancel(1, 9)), Err(RejectCode::OrderNotFound), "the old one acts");
    }
}

/// Where genesis has the same for all regimes, a thief takes out a grant for an hour while the market is wild.
#[test]
fn without_the_control_a_grant_of_full_length_is_taken_out_while_the_market_is_extreme() {
    for (minutes, verdict) in [([60; 4], Ok(())), ([60, 30, 10, 2], Err(RejectCode::GrantLifetimeNotAllowed))] {
        let mut genesis = margined::genesis();
        genesis.accounts.grant_lifetimes = lifetimes(minutes);
        let mut venue = Venue::of(genesis);
        for (feed, price) in [(1, REFERENCE), (2, REFERENCE), (1, REFERENCE * 106 / 100)] {
            venue.publish(feed, price);
        }
        assert_eq!(venue.ledger().worst_regime(), Regime::Extreme);
        let hour =
            GrantTerms { expires_ms: TimeMs::from_ms(venue.time_ms + 3_600_000), ..terms(&venue, margined::FIRST, 2) };
        assert_eq!(venue.ask(margined::FIRST, register(hour)), verdict);
    }
}

/// A venue on margin alone, so that losses are measured; grant 2 may lose 100,000 and share itself out.
fn measured() -> Venue {
    let mut genesis = margined::genesis();
    genesis.segments = list(genesis.segments.iter().take(1).cloned().collect());
    genesis.markets = list(genesis.markets.iter().take(2).copied().collect());
    let mut venue = Venue::of(genesis);
    for feed in [1, 2] {
        venue.publish(feed, REFERENCE);
    }
    let parent = GrantTerms {
        actions: ActionSet::SESSION,
        loss_quote_micros_max: micros(LOSS),
        expires_ms: TimeMs::from_ms(venue.time_ms + 600_000),
        ..terms(&venue, margined::FIRST, 2)
    };
    assert_eq!(venue.ask(margined::FIRST, register(parent)), Ok(()));
    venue
}

const LOSS: i64 = 100_000;

/// An order of the parent rests before a child takes most of the loss budget: it may lose only what is left, although the
/// segment counted with all of it.
#[test]
fn a_resting_order_of_the_parent_loses_no_more_than_the_child_left_it() {
    let (owner, thief) = (margined::FIRST, margined::FIRST + 5);
    for given in [LOSS / 2, LOSS - 10_000] {
        let mut venue = measured();
        let bid_above = Command::PlaceOrder(order(1, Side::Bid, REFERENCE + 5, 100, TimeInForce::PostOnly));
        assert_eq!(venue.ask_session(owner, 2, bid_above), Ok(()));
        let mut child = child_terms(&venue, owner, 3, 2);
        child.loss_quote_micros_max = micros(given);
        let letter = venue.session(owner, 2, vec![register(child)]);
        let step = venue.step(&[letter]);
        assert_eq!(step.only(), Ok(()));
        let is_lowered =
            |event: &Event| matches!(event, Event::GrantLossLowered(it) if it.loss_max == micros(LOSS - given));
        assert!(step.events().any(is_lowered));
        // Five ticks above the index on a hundred lots cost 50,000.
        assert_eq!(venue.ask(thief, ask(1, REFERENCE + 5, 100)), Ok(()));
        assert_eq!(venue.lots(1, owner), if given == LOSS / 2 { 100 } else { 0 });
    }
}

/// What is traded, lost and left over a whole tree of grants, added up by an outsider.
#[derive(Default)]
struct Tree {
    /// The most that each grant was seen to have used: traded with reserves while it lives, and lost.
    used: BTreeMap<u32, (i64, i64)>,
    traded: BTreeMap<u32, i64>,
}

impl Tree {
    /// Sums of what is used and what may still be used: notional, losses, commands a minute.
    fn sums(&mut self, venue: &Venue, account: u64) -> (i64, i64, u32) {
        let row = venue.ledger().accounts().account(AccountId::new(account)).unwrap();
        let part = venue.ledger().segment(ONE).unwrap().sub_account(AccountId::new(account)).unwrap();
        let mut live_rate = 0;
        // The seeded grant is no part of it.
        for usage in part.usage().iter().filter(|usage| usage.grant().number() > 1) {
            let number = usage.grant().number();
            self.traded.insert(number, usage.traded().micros());
            self.used.insert(number, (usage.traded().micros() + usage.reserved().micros(), usage.lost().micros()));
        }
        let (mut notional, mut lost) = (0, 0);
        for grant in row.grants().iter().filter(|grant| grant.number().number() > 1) {
            let (used, cost) = self.used.get(&grant.number().number()).copied().unwrap_or_default();
            if grant.is_live(now(venue)) {
                notional += used.max(grant.notional_max().micros());
                lost += cost.max(grant.loss_max().micros());
                live_rate += grant.rate_at(now(venue)).0;
                assert!(cost <= grant.loss_max().micros() && used <= grant.notional_max().micros());
            }
        }
        let is_live = |number: u32| row.grant(GrantNumber::new(number)).is_some_and(|grant| grant.is_live(now(venue)));
        for (number, (_, cost)) in self.used.iter().filter(|(number, _)| !is_live(**number)) {
            notional += self.traded[number];
            lost += cost;
        }
        (notional, lost, live_rate)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences(64)))]

    /// INVARIANT(A4): whatever is carved out of what, by whom, and traded, lost and revoked in between, all grants of a tree
    /// together have used and may use at most what the root key granted.
    #[test]
    fn prop_a_tree_of_grants_never_has_more_than_the_root_key_granted(
        steps in proptest::collection::vec((0u8..10, any::<u32>(), 0i64..60_000, 0u64..12), 1..50)
    ) {
        let owner = margined::FIRST;
        let mut venue = measured();
        let mut tree = Tree::default();
        for (kind, choice, amount, near) in steps {
            let row = venue.ledger().accounts().account(AccountId::new(owner)).unwrap();
            let next = row.next_grant().number();
            let live: Vec<u32> = row.grants().iter().filter(|grant| grant.is_live(now(&venue)))
                .map(|grant| grant.number().number()).filter(|&number| number > 1).collect();
            let Some(&actor) = live.get(usize::try_from(choice).unwrap() % live.len().max(1)) else { break };
            match kind {
                0..=2 => {
                    let mut terms = child_terms(&venue, owner, next, actor);
                    terms.notional_quote_micros_max = micros(amount * 200 + 1);
                    terms.loss_quote_micros_max = micros(amount + 1);
                    terms.commands_per_minute_max = 1 + choice % 30;
                    let _verdict = match kind {
                        0 => venue.ask(owner, register(terms)),
                        _ => venue.ask_session(owner, actor, register(terms)),
                    };
                }
                3 => {
                    // Mostly leaves: a tree whose root is gone has nothing to show.
                    let last = live.last().copied().filter(|&number| number > 2);
                    if let Some(number) = last {
                        let _verdict = venue.ask(owner, revoke(number));
                    }
                }
                4 | 5 => {
                    // Rests above the index, and now and then somebody sells into it.
                    let _verdict = venue.ask_session(owner, actor, bid(1, REFERENCE + near, 2 + u64::from(choice) % 20));
                }
                6 | 7 => {
                    let _verdict = venue.ask(owner + 5, ask(1, REFERENCE + near, 2 + u64::from(choice) % 40));
                }
                8 => {
                    let orders = venue.ledger().segment(ONE).unwrap().sub_account(AccountId::new(owner)).unwrap().orders();
                    let number = orders.first().map_or(1, |order| order.number());
                    let _verdict = venue.ask(owner, cancel(1, number));
                }
                _ => venue.hold([REFERENCE, REFERENCE], 1),
            }
            let (notional, lost, rate) = tree.sums(&venue, owner);
            prop_assert!(notional <= GRANT_NOTIONAL, "{notional} of notional");
            prop_assert!(lost <= LOSS, "{lost} lost");
            prop_assert!(rate <= 100, "{rate} commands a minute");
        }
    }
}
