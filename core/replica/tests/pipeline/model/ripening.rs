//! How old a profit is: every mark that ever was, and every gain with its moment.

use casemate_protocol::clearing::MarginRules;
use casemate_protocol::event::{FundingSettled, MarkMoved};

use super::{FINE, MILLION, Market, Wrong, ceil};

/// Parts of the ramp at which unrealised profit comes to count.
const STEPS: i128 = 4;
/// Buckets of the whole wait; a window may reach back by two of them more.
const BUCKETS: i128 = 30;
/// Points of the whole wait at which realised profit begins to wait; it begins at the next of them.
const STARTS: i128 = 8;

/// All marks of a market: each stands until the next.
#[derive(Default)]
pub(super) struct MarkHistory(Vec<(u64, i128)>);

impl MarkHistory {
    /// The lowest or highest mark that stood at any moment of the last so many milliseconds before the latest one. Before
    /// the first mark there was none, and nothing is known that would speak against it.
    fn extreme(&self, reach_ms: i128, is_low: bool) -> i128 {
        let (now_ms, mut extreme) = self.0.last().map_or((0, 0), |(at_ms, mark)| (i128::from(*at_ms), *mark));
        let since_ms = now_ms - reach_ms;
        for (at_ms, mark) in self.0.iter().rev() {
            extreme = if is_low { extreme.min(*mark) } else { extreme.max(*mark) };
            if i128::from(*at_ms) <= since_ms {
                break;
            }
        }
        extreme
    }

    /// The mean of the worst marks within cliff and one, two, three, four quarters of the ramp, and as long again as
    /// `later_ms`. Rounded against the position.
    fn stable(&self, rules: &MarginRules, later_ms: i128, is_long: bool) -> i128 {
        let (cliff, ramp) = waits(rules);
        let windows = (1..=STEPS).map(|step| cliff + ceil(ramp * step, STEPS) + later_ms);
        let sum: i128 = windows.map(|window| self.extreme(window, is_long)).sum();
        if is_long { sum.div_euclid(STEPS) } else { ceil(sum, STEPS) }
    }

    /// The price to which a straight ramp has come, in fine ticks times milliseconds of the ramp: of a move that was
    /// made `t` ago and kept, `(t - cliff) / ramp` counts, from nothing to all. In other words: the mean of the worst marks
    /// within all windows from the cliff to the end of the ramp.
    fn straight(&self, rules: &MarginRules, is_long: bool) -> i128 {
        let (cliff, ramp) = waits(rules);
        let (now_ms, mut extreme) = self.0.last().map_or((0, 0), |(at_ms, mark)| (i128::from(*at_ms), *mark));
        let (mut sum, mut covered) = (0, cliff);
        for (at_ms, mark) in self.0.iter().rev() {
            extreme = if is_long { extreme.min(*mark) } else { extreme.max(*mark) };
            // Windows up to here see this mark and nothing older.
            let reach = (now_ms - i128::from(*at_ms)).clamp(covered, cliff + ramp);
            sum += (reach - covered) * extreme;
            covered = reach;
        }
        sum + (cliff + ramp - covered) * extreme
    }
}

/// Cliff and ramp in milliseconds.
fn waits(rules: &MarginRules) -> (i128, i128) {
    (rules.profit_cliff_ms.ms().into(), rules.profit_ramp_ms.ms().into())
}

impl Market {
    pub(super) fn mark_moved(&mut self, waiting_ms: u64, moved: &MarkMoved) {
        if let Some((before_ms, _)) = self.marks.0.last() {
            let step = i128::from(waiting_ms - before_ms);
            self.premium.0 += step * i128::from(moved.premium_ppm);
            self.premium.1 += step;
        }
        self.index = moved.index.fine().into();
        self.published = moved.published.fine().into();
        self.mark = moved.mark.fine().into();
        self.marks.0.push((waiting_ms, self.mark));
    }

    /// One interval of funding: the mean premium, pulled towards interest, for the interval's part of eight hours.
    pub(super) fn settle(&mut self, settled: &FundingSettled) -> Result<(), Wrong> {
        let rules = &self.margin.funding;
        let premium = self.premium.0 / self.premium.1.max(1);
        let clamp = i128::from(rules.clamp.ppm());
        let eight_hours = premium + (i128::from(rules.interest.ppm()) - premium).clamp(-clamp, clamp);
        let most = i128::from(rules.rate_max.ppm());
        let rate = (eight_hours * i128::from(rules.interval_ms.ms()) / 28_800_000).clamp(-most, most);
        // Fine ticks times micro-quote for a tick are 1/65536 micro-quote.
        self.funding += self.index * self.tick_value() * rate / MILLION;
        self.premium = (0, 0);
        if rate != i128::from(settled.rate_ppm) || self.funding != i128::from(settled.cumulative) {
            return Err(format!("funding is {rate} ppm, {}: {settled:?}", self.funding));
        }
        Ok(())
    }

    /// Value of signed lots at the price to which profit counts: as late as allowed, and exactly.
    pub(super) fn stable_values(&self, lots: i128) -> (i128, i128) {
        if self.marks.0.is_empty() {
            return (i128::MIN / 2, i128::MIN / 2);
        }
        let is_long = lots > 0;
        let (cliff, ramp) = waits(&self.margin);
        let later_ms = 2 * ceil(cliff + ramp, BUCKETS);
        let value = |price: i128| (lots * price * self.tick_value()).div_euclid(FINE);
        let exact = self.marks.stable(&self.margin, 0, is_long);
        let straight = self.marks.straight(&self.margin, is_long);
        let is_within = if is_long { exact * ramp <= straight } else { exact * ramp >= straight };
        assert!(is_within, "four steps are never before a straight ramp: {exact}, {straight} / {ramp}");
        (value(self.marks.stable(&self.margin, later_ms, is_long)), value(exact))
    }
}

/// Profit that deals made an account in a market, gain by gain, oldest first.
#[derive(Default)]
pub(super) struct YoungProfit(Vec<Gain>);

/// One gain and what is left of it: at least and at most, because what counted before is known between two bounds.
#[derive(Clone, Copy)]
struct Gain {
    at_ms: u64,
    least: i128,
    most: i128,
}

impl YoungProfit {
    /// Something is gained, of which between two amounts was old enough to count already.
    pub(super) fn realise(&mut self, at_ms: u64, realised: i128, old_least: i128, old_most: i128) {
        if realised < 0 {
            self.0 = self.after_loss(-realised);
        } else {
            self.0.push(Gain { at_ms, least: realised - old_most, most: realised - old_least });
        }
    }

    /// What is left after a loss: the youngest goes first.
    fn after_loss(&self, loss: i128) -> Vec<Gain> {
        let (mut of_least, mut of_most) = (loss, loss);
        let mut gains = self.0.clone();
        for gain in gains.iter_mut().rev() {
            let (least, most) = (of_least.min(gain.least), of_most.min(gain.most));
            gain.least -= least;
            gain.most -= most;
            of_least -= least;
            of_most -= most;
        }
        gains
    }

    /// What does not count yet after a loss: at least, each gain having begun to wait when it was realised, and at most,
    /// having begun a whole step later.
    pub(super) fn unripe_after_loss(&self, loss: i128, now_ms: u64, rules: &MarginRules) -> (i128, i128) {
        let (cliff, ramp) = waits(rules);
        let step = ceil(cliff + ramp, STARTS);
        let (mut least, mut most) = (0, 0);
        for gain in self.after_loss(loss) {
            let age = i128::from(now_ms - gain.at_ms);
            // Parts of the ramp that are still to come.
            let left = |age: i128| (ramp - (age - cliff)).clamp(0, ramp);
            least += gain.least * left(age) / ramp;
            most += ceil(gain.most * left((age - step).max(0)), ramp);
        }
        (least, most)
    }
}
