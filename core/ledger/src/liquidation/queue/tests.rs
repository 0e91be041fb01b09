//! Tests of the queue against a plain ordered map.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Account, bound, and how much nearer a bound may be that stays.
    Set(u32, i64, i64),
    Take(i64),
}

/// Few accounts and prices, so that bounds are replaced, shared and passed; now and then the ends of the range. Each in one of
/// the four queues of two markets.
fn step() -> impl Strategy<Value = (u16, Direction, Step)> {
    let price = prop_oneof![20 => -300i64..300, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let step = prop_oneof![
        8 => (1u32..60, price.clone(), prop_oneof![Just(0), 0i64..200])
            .prop_map(|(account, bound, slack)| Step::Set(account, bound, slack)),
        1 => price.prop_map(Step::Take),
    ];
    (0u16..2, prop_oneof![Just(Direction::Falling), Just(Direction::Rising)], step)
}

/// One queue of two markets'.
struct One {
    queues: BoundQueues,
    direction: Direction,
}

impl One {
    fn new(direction: Direction, bucket: u32) -> Self {
        Self { queues: BoundQueues::new([width(bucket); 2]), direction }
    }

    fn set(&mut self, account: u32, bound: i64) {
        self.set_unless_near(account, bound, bound);
    }

    fn set_unless_near(&mut self, account: u32, bound: i64, near: i64) {
        self.queues.set(1, self.direction, account, bound, near);
    }

    fn take_passed(&mut self, price: i64) -> Vec<u32> {
        let mut out = Vec::new();
        self.queues.take_passed(1, self.direction, price, &mut out);
        out
    }

    fn queue(&self) -> &Queue {
        &self.queues.queues[usize::from(queue_number(1, self.direction))]
    }

    fn entry_count(&self) -> usize {
        self.queue().buckets.values().map(Vec::len).sum()
    }
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

proptest! {
    /// INVARIANT(Q1), in each queue as if there were no other.
    #[test]
    fn prop_it_agrees_with_maps(buckets in [1u32..50, 1u32..50], steps in proptest::collection::vec(step(), 0..400)) {
        let mut queues = BoundQueues::new(buckets.map(width));
        let mut models = [(); 4].map(|()| BTreeMap::<u32, (i64, i64)>::new());
        for (market, direction, step) in steps {
            let bucket = buckets[usize::from(market)];
            let model = &mut models[usize::from(queue_number(market, direction))];
            match step {
                Step::Set(account, bound, slack) => {
                    let near = match direction {
                        Direction::Falling => bound.saturating_add(slack),
                        Direction::Rising => bound.saturating_sub(slack),
                    };
                    queues.set(market, direction, account, bound, near);
                    model.insert(account, (bound, near));
                }
                Step::Take(price) => {
                    let mut out = vec![0];
                    queues.take_passed(market, direction, price, &mut out);
                    prop_assert_eq!(out.remove(0), 0, "what was there stays");
                    prop_assert!(out.is_sorted_by(|left, right| left < right), "each once, in order");
                    let taken: BTreeSet<u32> = out.into_iter().collect();
                    for (account, (bound, near)) in model.iter() {
                        let is_taken = taken.contains(account);
                        let is_missed = !is_taken && is_passed(direction, price, *bound);
                        prop_assert!(!is_missed, "{account} at {bound} is missed");
                        let may_come = is_passed(direction, price, *near) || is_near(price, *near, bucket);
                        prop_assert!(!is_taken || may_come, "{account} at {near} is far from {price}");
                    }
                    for account in taken {
                        prop_assert!(model.remove(&account).is_some(), "{account} was not in the queue");
                    }
                }
            }
            for (queue, model) in queues.queues.iter().zip(&models) {
                prop_assert_eq!(queue.live_count, model.len());
                let entries: usize = queue.buckets.values().map(Vec::len).sum();
                prop_assert_eq!(entries, queue.live_count + queue.dead_count);
            }
            let bounds: usize = queues.bounds_of.iter().map(Vec::len).sum();
            prop_assert_eq!(bounds, models.iter().map(BTreeMap::len).sum::<usize>());
        }
    }

    /// However the same bounds came about, the same accounts are taken, if none stays that is nearer than need be.
    #[test]
    fn prop_what_comes_out_depends_on_bounds_alone(
        steps in proptest::collection::vec((1u32..60, -300i64..300), 0..200), price in -300i64..300,
    ) {
        let mut lived = One::new(Direction::Falling, 16);
        let mut bounds = BTreeMap::new();
        for (account, bound) in steps {
            lived.set(account, bound);
            bounds.insert(account, bound);
        }
        let mut rebuilt = One::new(Direction::Falling, 16);
        bounds.iter().rev().for_each(|(account, bound)| rebuilt.set(*account, *bound));
        prop_assert_eq!(lived.take_passed(price), rebuilt.take_passed(price));
    }
}

#[test]
fn what_does_not_count_never_outweighs_what_does() {
    let mut one = One::new(Direction::Falling, 10);
    for round in 0..200 {
        for account in 1..=2_000 {
            one.set(account, i64::from(account) * 7 - round * 13);
        }
    }
    let entries = one.entry_count();
    assert_eq!(one.queue().live_count, 2_000);
    assert!(entries <= 4_000, "400,000 bounds left {entries} entries");
    assert_eq!((one.take_passed(i64::MIN).len(), one.queue().dead_count), (2_000, 0));
}

#[test]
fn a_price_takes_whole_buckets_and_nothing_beyond() {
    let mut one = One::new(Direction::Falling, 10);
    for (account, bound) in [(1, 9), (2, 10), (3, 14), (4, 19), (5, 20), (6, -1)] {
        one.set(account, bound);
    }
    assert_eq!(one.take_passed(15), [2, 3, 4, 5], "2 and 3 are in the price's bucket");
    assert_eq!(one.take_passed(0), [1]);
    assert_eq!(one.queue().live_count, 1);
}

#[test]
fn a_rising_price_passes_what_is_at_most_as_high() {
    let mut one = One::new(Direction::Rising, 1);
    for (account, bound) in [(1, 9), (2, 10), (3, 11), (4, i64::MIN), (5, i64::MAX)] {
        one.set(account, bound);
    }
    assert_eq!(one.take_passed(10), [1, 2, 4]);
}

#[test]
fn a_bound_that_is_nearer_than_need_be_stays_until_it_is_much_nearer() {
    let mut one = One::new(Direction::Falling, 1);
    one.set(1, 80);
    one.set_unless_near(1, 70, 85);
    one.set_unless_near(1, 60, 80);
    assert_eq!(one.queue().dead_count, 0, "80 stayed");
    one.set_unless_near(1, 50, 75);
    assert_eq!(one.queue().dead_count, 1, "80 was too near");
    assert!(one.take_passed(51).is_empty());
    assert_eq!(one.take_passed(50), [1]);
}

#[test]
fn an_account_that_came_back_to_a_bucket_comes_out_once() {
    let mut one = One::new(Direction::Falling, 1);
    for bound in [80, 70, 80, 70, 80] {
        one.set(1, bound);
    }
    assert_eq!(one.take_passed(i64::MIN), [1]);
    assert_eq!((one.queue().live_count, one.queue().dead_count), (0, 0));
}

#[test]
fn the_end_of_the_last_bucket_is_the_end_of_prices() {
    let mut one = One::new(Direction::Falling, 1);
    one.set(1, i64::MAX - 5);
    let nearest: Vec<i64> = one.queues.nearest(1, Direction::Falling, 100).map(|(distance, _)| distance).collect();
    assert_eq!(nearest, [100 - i64::MAX], "no bound in it is nearer than that");
}
