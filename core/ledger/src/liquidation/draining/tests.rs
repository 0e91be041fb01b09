//! Tests of draining: laws for any candidates, and agreement with cutting one lot at a time.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn cuts_of(candidates: &[Candidate], lots_wanted: u64) -> (u64, Vec<Cut>) {
    let mut cuts = Vec::new();
    let placed = drain(candidates, lots_wanted, &mut cuts);
    (placed, cuts)
}

fn lots_of(cuts: &[Cut], account: u64) -> u64 {
    cuts.iter().find(|cut| cut.account == account).map_or(0, |cut| cut.lots)
}

fn cap(candidate: &Candidate) -> u64 {
    candidate.lots.min(candidate.lots_max)
}

/// Leverage after a cut as a fraction: above the line, below the line. Small candidates only.
fn leverage_after(candidate: &Candidate, lots: u64) -> (i128, i128) {
    let held = i128::from(candidate.lots);
    let above = i128::from(candidate.gross_notional) * held - i128::from(candidate.notional) * i128::from(lots);
    (above, i128::from(candidate.equity) * held)
}

fn compare(left: (i128, i128), right: (i128, i128)) -> Ordering {
    (left.0 * right.1).cmp(&(right.0 * left.1))
}

/// The slow model: one lot after the other from whoever is the most levered then.
fn one_at_a_time(candidates: &[Candidate], lots_wanted: u64) -> Vec<u64> {
    let mut lots = vec![0; candidates.len()];
    for _ in 0..lots_wanted {
        let able = (0..candidates.len()).filter(|&place| lots[place] < cap(&candidates[place]));
        let worst = able.max_by(|&left, &right| {
            let leverage = |place: usize| leverage_after(&candidates[place], lots[place]);
            compare(leverage(left), leverage(right)).then(candidates[right].account.cmp(&candidates[left].account))
        });
        let Some(worst) = worst else { break };
        lots[worst] += 1;
    }
    lots
}

/// Positions of up to 200 lots worth up to a million each; some with little or nothing of their gross notional in the
/// market, some capped.
fn candidate(account: u64) -> impl Strategy<Value = Candidate> {
    let position = (1u64..200, 1i64..1_000_000, prop_oneof![Just(0i64), 0i64..100_000_000], 1i64..100_000_000);
    (position, prop_oneof![3 => Just(u64::MAX), 1 => 0u64..200]).prop_map(
        move |((lots, price, other, equity), lots_max)| {
            let notional = price * i64::try_from(lots).unwrap();
            Candidate { account, lots, notional, gross_notional: notional + other, equity, lots_max }
        },
    )
}

fn candidates(count: std::ops::Range<u64>) -> impl Strategy<Value = Vec<Candidate>> {
    count.prop_flat_map(|count| (1..=count).map(candidate).collect::<Vec<_>>())
}

/// Anything that the types can hold, sensible or not.
fn wild(account: u64) -> impl Strategy<Value = Candidate> {
    let number = prop_oneof![any::<i64>(), -3i64..100, Just(i64::MAX), Just(i64::MIN)];
    let size = prop_oneof![any::<u64>(), 0u64..100, Just(u64::MAX)];
    (size.clone(), size, number.clone(), number.clone(), number).prop_map(
        move |(lots, lots_max, notional, gross_notional, equity)| Candidate {
            account,
            lots,
            notional,
            gross_notional,
            equity,
            lots_max,
        },
    )
}

fn wild_group() -> impl Strategy<Value = Vec<Candidate>> {
    (0u64..12).prop_flat_map(|count| (1..=count).map(wild).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn prop_the_total_is_exact_and_caps_hold(group in candidates(0..20), wanted in 0u64..4_000) {
        let (placed, cuts) = cuts_of(&group, wanted);
        let possible: u64 = group.iter().map(cap).sum();
        prop_assert_eq!(placed, wanted.min(possible));
        prop_assert_eq!(placed, cuts.iter().map(|cut| cut.lots).sum::<u64>());
        prop_assert!(cuts.is_sorted_by(|left, right| left.account < right.account), "one cut an account, in order");
        for cut in &cuts {
            let own = group.iter().find(|candidate| candidate.account == cut.account).unwrap();
            prop_assert!(cut.lots > 0 && cut.lots <= cap(own));
        }
    }

    #[test]
    fn prop_the_total_is_exact_for_numbers_without_sense(group in wild_group(), wanted in any::<u64>()) {
        let (placed, cuts) = cuts_of(&group, wanted);
        let able = group.iter().filter(|candidate| candidate.equity > 0);
        let possible: u64 = able.map(|candidate| cap(candidate).min(QUANTITY_LOTS_MAX)).sum();
        prop_assert_eq!(placed, wanted.min(possible));
        for cut in &cuts {
            let own = group.iter().find(|candidate| candidate.account == cut.account).unwrap();
            prop_assert!(cut.lots > 0 && cut.lots <= cap(own) && own.equity > 0);
        }
    }

    #[test]
    fn prop_order_is_irrelevant(
        (group, shuffled) in candidates(0..20).prop_flat_map(|group| (Just(group.clone()), Just(group).prop_shuffle())),
        wanted in 0u64..2_000,
    ) {
        prop_assert_eq!(cuts_of(&group, wanted), cuts_of(&shuffled, wanted));
    }

    /// Giving one lot back to anybody cut leaves it at least as levered as anybody else would be after one lot more.
    #[test]
    fn prop_all_end_at_one_level(group in candidates(1..20), wanted in 0u64..2_000) {
        let (_, cuts) = cuts_of(&group, wanted);
        for one in group.iter().filter(|one| lots_of(&cuts, one.account) > 0) {
            let before_last = leverage_after(one, lots_of(&cuts, one.account) - 1);
            prop_assert!(compare(before_last, leverage_after(one, lots_of(&cuts, one.account))) != Ordering::Less);
            for other in group.iter().filter(|other| lots_of(&cuts, other.account) < cap(other)) {
                let after_next = leverage_after(other, lots_of(&cuts, other.account) + 1);
                prop_assert!(compare(before_last, after_next) != Ordering::Less, "{one:?} {other:?}");
            }
        }
    }

    /// INVARIANT(D2).
    #[test]
    fn prop_splitting_changes_a_cut_by_at_most_one_lot_a_part(
        mut group in candidates(1..12), parts in 2u64..=5, wanted in 0u64..4_000,
    ) {
        let divisor = i64::try_from(parts).unwrap();
        for one in &mut group {
            one.lots *= parts;
            one.notional *= divisor;
            one.gross_notional *= divisor;
            one.equity *= divisor;
            one.lots_max = one.lots_max.min(one.lots) / parts * parts;
        }
        let (_, before) = cuts_of(&group, wanted);
        let whole = group[0];
        let part = Candidate {
            lots: whole.lots / parts,
            notional: whole.notional / divisor,
            gross_notional: whole.gross_notional / divisor,
            equity: whole.equity / divisor,
            lots_max: whole.lots_max / parts,
            ..whole
        };
        let mut split = group[1..].to_vec();
        split.extend((0..parts).map(|number| Candidate { account: 1_000 + number, ..part }));
        let (_, after) = cuts_of(&split, wanted);
        let of_parts: u64 = (0..parts).map(|number| lots_of(&after, 1_000 + number)).sum();
        prop_assert!(of_parts.abs_diff(lots_of(&before, whole.account)) <= parts);
        for other in &group[1..] {
            prop_assert!(lots_of(&after, other.account).abs_diff(lots_of(&before, other.account)) <= 1);
        }
    }

    /// The model rounds each candidate up, so it cuts each of the others by up to one lot too many and one by that many too
    /// few.
    #[test]
    fn prop_it_agrees_with_one_lot_at_a_time(group in candidates(1..10), wanted in 0u64..1_000) {
        let (_, cuts) = cuts_of(&group, wanted);
        let model = one_at_a_time(&group, wanted);
        let count = u64::try_from(group.len()).unwrap();
        for (one, slow) in group.iter().zip(model) {
            let fast = lots_of(&cuts, one.account);
            prop_assert!(slow <= fast + 1 && fast <= slow + count, "{one:?} is cut by {fast}, not {slow}");
        }
    }

    /// With lots of one worth and equal equity a lot is the same step of leverage for all, and rounding has no such effect.
    #[test]
    fn prop_it_agrees_to_the_lot_where_lots_weigh_the_same(
        sizes in proptest::collection::vec((1u64..200, 0i64..1_000_000), 1..10), wanted in 0u64..1_000,
    ) {
        let group: Vec<Candidate> = (1..).zip(sizes).map(|(account, (lots, other))| {
            let notional = 1_000 * i64::try_from(lots).unwrap();
            Candidate { account, lots, notional, gross_notional: notional + other, equity: 7_777, lots_max: lots }
        }).collect();
        let (_, cuts) = cuts_of(&group, wanted);
        for (one, slow) in group.iter().zip(one_at_a_time(&group, wanted)) {
            prop_assert!(lots_of(&cuts, one.account).abs_diff(slow) <= 1);
        }
    }
}

/// The slow model of the search and of rounding: what all ramps cut at every breakpoint, and all fractions in order.
fn slow(candidates: &[Candidate], lots_wanted: u64) -> Vec<Cut> {
    let ramps: Vec<Ramp> = candidates.iter().filter_map(Ramp::of).collect();
    let wanted = u128::from(lots_wanted) << LOTS_BITS;
    let mut cuts: Vec<Cut> = ramps.iter().map(|ramp| Cut { account: ramp.account, lots: ramp.lots }).collect();
    if cuts.iter().map(|cut| u128::from(cut.lots)).sum::<u128>() > lots_wanted.into() {
        let mut breakpoints: Vec<Level> = ramps.iter().flat_map(|ramp| [ramp.lower(), ramp.upper]).collect();
        breakpoints.sort_unstable();
        breakpoints.dedup();
        let sums = breakpoints.iter().map(|level| ramps.iter().map(|ramp| ramp.cut_at(*level)).sum::<u128>());
        let above = sums.filter(|sum| *sum > wanted).count();
        let span = Span { low: breakpoints[above - 1], high: breakpoints[above] };
        let level = Sums::of(&ramps, &span).level(&span, lots_wanted);
        let is_full = |ramp: &Ramp| ramp.lower() >= span.high;
        let exact = |ramp: &Ramp| if is_full(ramp) { u128::from(ramp.lots) << LOTS_BITS } else { ramp.cut_at(level) };
        let cut_of = |ramp: &Ramp| Cut { account: ramp.account, lots: lots_down(exact(ramp)) };
        cuts = ramps.iter().map(cut_of).collect();
        let mut ranks: Vec<_> = ramps.iter().filter(|ramp| lot_fraction(exact(ramp)) > 0).collect();
        ranks.sort_by_key(|ramp| (core::cmp::Reverse(lot_fraction(exact(ramp))), ramp.account));
        let more = usize::try_from(lots_wanted - cuts.iter().map(|cut| cut.lots).sum::<u64>()).unwrap();
        if more > ranks.len() {
            cuts.clear();
            fill_up(more.try_into().unwrap(), &ramps, level, &span, &mut cuts);
        }
        for up in ranks.iter().take(more).filter(|_| more <= ranks.len()) {
            cuts.iter_mut().find(|cut| cut.account == up.account).unwrap().lots += 1;
        }
    }
    cuts.retain(|cut| cut.lots > 0);
    cuts.sort_by_key(|cut| cut.account);
    cuts
}

/// Numbers so small that fractions are often equal.
fn tied(account: u64) -> impl Strategy<Value = Candidate> {
    (1u64..8, 1i64..5, 0i64..4, 1i64..6).prop_map(move |(lots, price, other, equity)| {
        let notional = price * i64::try_from(lots).unwrap();
        Candidate { account, lots, notional, gross_notional: notional + other, equity, lots_max: lots }
    })
}

fn any_group() -> impl Strategy<Value = Vec<Candidate>> {
    let tied = (0u64..20).prop_flat_map(|count| (1..=count).map(tied).collect::<Vec<_>>());
    prop_oneof![candidates(0..40), wild_group(), tied]
}

/// Lots from nothing to all that there are.
fn wanted_of(group: &[Candidate], share_ppm: u128) -> u64 {
    let able = group.iter().filter(|candidate| candidate.equity > 0);
    let possible: u128 = able.map(|candidate| u128::from(cap(candidate).min(QUANTITY_LOTS_MAX))).sum();
    u64::try_from(possible * share_ppm / 1_000_000).unwrap()
}

proptest! {
    #[test]
    fn prop_it_is_what_a_look_at_every_breakpoint_finds(group in any_group(), share_ppm in 0u128..=1_000_000) {
        let wanted = wanted_of(&group, share_ppm);
        prop_assert_eq!(cuts_of(&group, wanted).1, slow(&group, wanted));
    }

    /// INVARIANT(D4).
    #[test]
    fn prop_who_is_below_what_the_others_settle_changes_nothing(
        mut group in any_group(), share_ppm in 0u128..=1_000_000, asked in any::<prop::sample::Index>(),
    ) {
        let wanted = wanted_of(&group, share_ppm);
        let all = cuts_of(&group, wanted);
        let leverages: Vec<Level> = group.iter().filter_map(Ramp::of).map(|ramp| ramp.upper).collect();
        prop_assume!(!leverages.is_empty());
        let leverage = leverages[asked.index(leverages.len())];
        group.retain(|one| Ramp::of(one).is_some_and(|ramp| ramp.upper > leverage));
        if is_settled_above(leverage, &group, wanted) {
            prop_assert_eq!(cuts_of(&group, wanted), all);
        }
    }
}

/// The sample of the search takes every fourth or fifth: here those tell nothing of the others.
#[test]
fn a_sample_that_misleads_only_costs_time() {
    for stride in [4u64, 5] {
        let group: Vec<Candidate> = (0..1_024 * stride)
            .map(|account| {
                let seen = account % stride == 0;
                let equity = if seen {
                    1 + i64::try_from(account).unwrap()
                } else {
                    100_000 + i64::try_from(account * 7_919 % 50_021).unwrap()
                };
                Candidate { account, equity, ..PLAIN }
            })
            .collect();
        for share_ppm in [1_000, 100_000, 400_000, 700_000, 990_000] {
            let wanted = wanted_of(&group, share_ppm);
            let ramps: Vec<Ramp> = group.iter().filter_map(Ramp::of).collect();
            let span = Span::around(&ramps, u128::from(wanted) << LOTS_BITS);
            let sum = |level| ramps.iter().map(|ramp| ramp.cut_at(level)).sum::<u128>() >> LOTS_BITS;
            assert!(sum(span.low) >= wanted.into() && sum(span.high) <= wanted.into());
            let is_inside = |level: Level| span.low < level && level < span.high;
            assert!(!ramps.iter().any(|ramp| is_inside(ramp.upper) || is_inside(ramp.lower())));
            assert_eq!(cuts_of(&group, wanted).0, wanted);
        }
    }
}

const PLAIN: Candidate =
    Candidate { account: 1, lots: 100, notional: 1_000_000, gross_notional: 1_000_000, equity: 100_000, lots_max: 100 };

#[test]
fn the_most_levered_are_cut_first_and_down_to_one_level() {
    // Leverage 10, 20 and 5. Closing 30 lots of the second leaves it at 14; 40 of the second and the rest from both is 10.
    let group =
        [PLAIN, Candidate { account: 2, equity: 50_000, ..PLAIN }, Candidate { account: 3, equity: 200_000, ..PLAIN }];
    assert_eq!(cuts_of(&group, 30), (30, vec![Cut { account: 2, lots: 30 }]));
    let both = vec![Cut { account: 1, lots: 20 }, Cut { account: 2, lots: 60 }];
    assert_eq!(cuts_of(&group, 80), (80, both), "both end at leverage 8");
}

#[test]
fn equal_accounts_share_and_the_smaller_number_rounds_up() {
    let group: Vec<Candidate> = [5, 3, 4].into_iter().map(|account| Candidate { account, ..PLAIN }).collect();
    let cut = |account, lots| Cut { account, lots };
    assert_eq!(cuts_of(&group, 2), (2, vec![cut(3, 1), cut(4, 1)]));
    assert_eq!(cuts_of(&group, 100), (100, vec![cut(3, 34), cut(4, 33), cut(5, 33)]));
}

#[test]
fn the_largest_fraction_is_rounded_up() {
    // As levered and three times as large: of five lots 1.25 and 3.75, of six 1.5 and 4.5.
    let large = Candidate {
        account: 2,
        lots: 300,
        notional: 3_000_000,
        gross_notional: 3_000_000,
        equity: 300_000,
        lots_max: 300,
    };
    let cut = |account, lots| Cut { account, lots };
    assert_eq!(cuts_of(&[PLAIN, large], 1), (1, vec![cut(2, 1)]));
    assert_eq!(cuts_of(&[PLAIN, large], 5), (5, vec![cut(1, 1), cut(2, 4)]));
    assert_eq!(cuts_of(&[PLAIN, large], 6), (6, vec![cut(1, 2), cut(2, 4)]), "of equal fractions the smaller number");
}

#[test]
fn who_is_hedged_is_spared() {
    let hedged = Candidate { account: 2, gross_notional: 100_000, ..PLAIN };
    assert_eq!(cuts_of(&[PLAIN, hedged], 90), (90, vec![Cut { account: 1, lots: 90 }]));
    // Beyond that the hedge itself falls apart, and the level goes on below zero.
    assert_eq!(cuts_of(&[PLAIN, hedged], 150).0, 150);
}

#[test]
fn who_cannot_pay_is_cut_no_further_and_the_others_are() {
    let capped = Candidate { account: 2, equity: 1, lots_max: 7, ..PLAIN };
    assert_eq!(cuts_of(&[PLAIN, capped], 10), (10, vec![Cut { account: 1, lots: 3 }, Cut { account: 2, lots: 7 }]));
    assert_eq!(cuts_of(&[PLAIN, capped], 1_000).0, 107);
}

#[test]
fn a_worthless_position_goes_in_turn() {
    let worthless = Candidate { account: 2, notional: 0, equity: 50_000, ..PLAIN };
    assert_eq!(cuts_of(&[PLAIN, worthless], 60), (60, vec![Cut { account: 2, lots: 60 }]));
    let both = vec![Cut { account: 1, lots: 20 }, Cut { account: 2, lots: 100 }];
    assert_eq!(cuts_of(&[PLAIN, worthless], 120), (120, both));
}

#[test]
fn lots_worth_less_than_a_unit_of_the_level_are_placed_all_the_same() {
    let dust = Candidate { lots: QUANTITY_LOTS_MAX, lots_max: u64::MAX, notional: 1, equity: i64::MAX, ..PLAIN };
    let group = [dust, Candidate { account: 2, ..dust }, Candidate { account: 3, equity: i64::MAX - 1, ..dust }];
    for wanted in [1, 12_345_678_901, QUANTITY_LOTS_MAX + 5, 3 * QUANTITY_LOTS_MAX - 1] {
        assert_eq!(cuts_of(&group, wanted).0, wanted);
    }
}

/// As many as the search needs to go through all its turns.
#[test]
fn thousands_end_at_one_level_too() {
    let group: Vec<Candidate> = (1..=5_000i64)
        .map(|number| {
            let (lots, price) = (1 + number * 7_919 % 997, 1_000 + number * 104_729 % 1_013);
            let notional = lots * price;
            let (gross_notional, equity) = (notional + number * 31 % 9_973, 1 + notional / (1 + number * 17 % 150));
            let account = u64::try_from(number).unwrap();
            let lots = u64::try_from(lots).unwrap();
            Candidate {
                account,
                lots,
                notional,
                gross_notional,
                equity,
                lots_max: if number % 3 == 0 { lots / 2 } else { lots },
            }
        })
        .collect();
    let possible: u64 = group.iter().map(cap).sum();
    for wanted in [1, 4_999, possible / 7, possible / 2, possible - 1] {
        let (placed, cuts) = cuts_of(&group, wanted);
        assert_eq!(placed, wanted);
        let mut lots = vec![0; group.len() + 1];
        cuts.iter().for_each(|cut| lots[usize::try_from(cut.account).unwrap()] = cut.lots);
        let with_cut = || group.iter().zip(&lots[1..]);
        let before_last = with_cut().filter(|(_, lots)| **lots > 0).map(|(one, lots)| leverage_after(one, lots - 1));
        let after_next =
            with_cut().filter(|(one, lots)| **lots < cap(one)).map(|(one, lots)| leverage_after(one, lots + 1));
        let lowest_cut = before_last.min_by(|left, right| compare(*left, *right)).unwrap();
        let highest_left = after_next.max_by(|left, right| compare(*left, *right)).unwrap();
        assert!(compare(lowest_cut, highest_left) != Ordering::Less, "{wanted}");
    }
}

#[test]
fn cuts_are_appended() {
    let mut cuts = vec![Cut { account: 9, lots: 9 }];
    assert_eq!(drain(&[PLAIN], 5, &mut cuts), 5);
    assert_eq!(cuts, [Cut { account: 9, lots: 9 }, Cut { account: 1, lots: 5 }]);
    assert_eq!(drain(&[], 5, &mut cuts), 0);
    assert_eq!(drain(&[Candidate { equity: 0, ..PLAIN }, Candidate { lots: 0, ..PLAIN }], 5, &mut cuts), 0);
    assert_eq!(cuts.len(), 2);
}
