//! Tests of the queue against a plain ordered map.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Set(u32, i64),
    Clear(u32),
    Take(i64),
}

/// Few accounts and prices, so that bounds are replaced, shared and passed; now and then the ends of the range.
fn step() -> impl Strategy<Value = Step> {
    let price = prop_oneof![20 => -300i64..300, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    prop_oneof![
        8 => (1u32..60, price.clone()).prop_map(|(account, bound)| Step::Set(account, bound)),
        2 => (1u32..80).prop_map(Step::Clear),
        1 => price.prop_map(Step::Take),
    ]
}

fn width(width: u32) -> NonZeroU32 {
    NonZeroU32::new(width).unwrap()
}

fn is_passed(direction: Direction, price: i64, bound: i64) -> bool {
    match direction {
        Direction::Falling => bound >= price,
        Direction::Rising => bound <= price,
    }
}

/// Whether two prices are less than a bucket apart.
fn is_near(left: i64, right: i64, width: u32) -> bool {
    left.abs_diff(right) < u64::from(width)
}

fn agrees_with_a_map(direction: Direction, bucket: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut queue = BoundQueue::new(direction, width(bucket));
    let mut model = BTreeMap::<u32, i64>::new();
    for step in steps {
        match *step {
            Step::Set(account, bound) => {
                queue.set(account, bound);
                model.insert(account, bound);
            }
            Step::Clear(account) => {
                queue.clear(account);
                model.remove(&account);
            }
            Step::Take(price) => {
                let mut out = vec![0];
                queue.take_passed(price, &mut out);
                prop_assert_eq!(out.remove(0), 0, "what was there stays");
                prop_assert!(out.is_sorted_by(|left, right| left < right), "each once, in order");
                let taken: BTreeSet<u32> = out.into_iter().collect();
                for (account, bound) in &model {
                    let is_taken = taken.contains(account);
                    prop_assert!(is_taken || !is_passed(direction, price, *bound), "{account} at {bound} is missed");
                    let may_come = is_passed(direction, price, *bound) || is_near(price, *bound, bucket);
                    prop_assert!(!is_taken || may_come, "{account} at {bound} is far from {price}");
                }
                for account in taken {
                    prop_assert!(model.remove(&account).is_some(), "{account} was not in the queue");
                }
            }
        }
        prop_assert_eq!(queue.len(), model.len());
        prop_assert_eq!(queue.is_empty(), model.is_empty());
        let entries: usize = queue.buckets.values().map(Vec::len).sum();
        prop_assert_eq!(entries, queue.live_count + queue.dead_count);
    }
    Ok(())
}

proptest! {
    /// INVARIANT(Q1).
    #[test]
    fn prop_it_agrees_with_a_map(
        is_rising in any::<bool>(), bucket in 1u32..50, steps in proptest::collection::vec(step(), 0..400),
    ) {
        agrees_with_a_map(if is_rising { Direction::Rising } else { Direction::Falling }, bucket, &steps)?;
    }

    /// Replicas that came to the same bounds by different ways take the same accounts.
    #[test]
    fn prop_what_comes_out_depends_on_bounds_alone(
        steps in proptest::collection::vec(step(), 0..200), price in -300i64..300,
    ) {
        let mut lived = BoundQueue::new(Direction::Falling, width(16));
        let mut bounds = BTreeMap::new();
        for step in &steps {
            match *step {
                Step::Set(account, bound) => {
                    lived.set(account, bound);
                    bounds.insert(account, bound);
                }
                Step::Clear(account) => {
                    lived.clear(account);
                    bounds.remove(&account);
                }
                Step::Take(_) => {}
            }
        }
        let mut rebuilt = BoundQueue::new(Direction::Falling, width(16));
        bounds.iter().rev().for_each(|(account, bound)| rebuilt.set(*account, *bound));
        let (mut left, mut right) = (Vec::new(), Vec::new());
        lived.take_passed(price, &mut left);
        rebuilt.take_passed(price, &mut right);
        prop_assert_eq!(left, right);
    }
}

#[test]
fn what_does_not_count_never_outweighs_what_does() {
    let mut queue = BoundQueue::new(Direction::Falling, width(10));
    for round in 0..200 {
        for account in 1..=2_000 {
            queue.set(account, i64::from(account) * 7 - round * 13);
        }
    }
    let entries: usize = queue.buckets.values().map(Vec::len).sum();
    assert_eq!(queue.len(), 2_000);
    assert!(entries <= 4_000, "400,000 bounds left {entries} entries");
    (1..=2_000).for_each(|account| queue.clear(account));
    let entries: usize = queue.buckets.values().map(Vec::len).sum();
    assert!(queue.is_empty() && entries <= DEAD_COUNT_MIN);
    let mut out = Vec::new();
    queue.take_passed(i64::MIN, &mut out);
    assert_eq!((out.len(), queue.dead_count), (0, 0));
}

#[test]
fn a_price_takes_whole_buckets_and_nothing_beyond() {
    let mut queue = BoundQueue::new(Direction::Falling, width(10));
    for (account, bound) in [(1, 9), (2, 10), (3, 14), (4, 19), (5, 20), (6, -1)] {
        queue.set(account, bound);
    }
    let mut out = Vec::new();
    queue.take_passed(15, &mut out);
    assert_eq!(out, [2, 3, 4, 5], "2 and 3 are in the price's bucket");
    queue.take_passed(0, &mut out);
    assert_eq!(out, [2, 3, 4, 5, 1]);
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_rising_price_passes_what_is_at_most_as_high() {
    let mut queue = BoundQueue::new(Direction::Rising, width(1));
    for (account, bound) in [(1, 9), (2, 10), (3, 11), (4, i64::MIN), (5, i64::MAX)] {
        queue.set(account, bound);
    }
    let mut out = Vec::new();
    queue.take_passed(10, &mut out);
    assert_eq!(out, [1, 2, 4]);
}
