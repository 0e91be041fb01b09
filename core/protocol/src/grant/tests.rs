use super::*;

#[test]
fn a_set_holds_exactly_what_was_put_in() {
    for action in Action::ALL {
        let set = ActionSet::EMPTY.with(action);
        for other in Action::ALL {
            assert_eq!(set.contains(other), action == other);
        }
        assert!(ActionSet::EMPTY.is_subset_of(set) && set.is_subset_of(set) && !set.is_subset_of(ActionSet::EMPTY));
    }
}

#[test]
fn trading_lets_nothing_of_value_leave() {
    let leaving = [Action::RequestWithdrawal, Action::RequestTransfer, Action::RegisterGrant, Action::CloseAccount];
    assert!(leaving.into_iter().all(|action| !ActionSet::TRADING.contains(action)));
}

#[test]
fn a_session_may_trade_and_share_its_grant_out_and_nothing_else() {
    let is_sharing = |action| matches!(action, Action::RegisterGrant | Action::RevokeGrant);
    for action in Action::ALL {
        let is_session = ActionSet::TRADING.contains(action) || is_sharing(action);
        assert_eq!(ActionSet::SESSION.contains(action), is_session, "{action:?}");
    }
}

#[test]
fn a_bit_without_an_action_is_in_no_subset_of_trading() {
    let unknown: ActionSet = borsh::from_slice(&(1u64 << 63).to_le_bytes()).unwrap();
    assert!(!unknown.is_subset_of(ActionSet::TRADING));
}

#[test]
fn a_scope_reaches_the_markets_it_names() {
    let [one, two] = [1, 2].map(MarketId::new);
    let only = MarketScope::Only(BoundedVec::new(vec![one]).unwrap());
    assert!(only.contains(one) && !only.contains(two) && MarketScope::All.contains(two));
    assert!(!MarketScope::Only(BoundedVec::empty()).contains(one), "no market named is no market reached");
}

#[test]
fn a_scope_is_within_another_that_reaches_all_of_its_markets() {
    let only = |numbers: &[u16]| {
        MarketScope::Only(BoundedVec::new(numbers.iter().copied().map(MarketId::new).collect()).unwrap())
    };
    let all = MarketScope::All;
    assert!(all.is_within(&all) && only(&[1]).is_within(&all) && only(&[]).is_within(&only(&[])));
    assert!(only(&[2, 1]).is_within(&only(&[1, 2, 3])));
    assert!(!only(&[1, 4]).is_within(&only(&[1, 2, 3])));
    assert!(!all.is_within(&only(&[1, 2, 3])), "all is also what is listed later");
}
