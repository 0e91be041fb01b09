//! The parts of the file that are about clearing on margin.

use std::fmt::Write as _;

use casemate_protocol::PriceNanos;
use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, Officers, RatioLevels,
};
use casemate_protocol::genesis::{Genesis, Principal};
use casemate_protocol::regime::{RegimeLevels, RegimeRules};

use super::{grouped, quote};
use crate::development_keys::public_key_text;

/// Who publishes prices and who governs.
pub(super) fn offices(genesis: &Genesis) -> String {
    let mut text = String::from(
        "\n# Who may publish prices. Feeds name them by their place in this list, from 0.\n[publishers]\n",
    );
    text += &members("publishers", genesis.publishers.as_slice());
    text += "\n# Who reopens a segment after a breaker, except from Halted.\n";
    text += &officers("risk_officers", &genesis.risk_officers, EXPLAINED_QUORUM);
    text += "\n# Who decides what risk officers cannot: leaving Halted.\n";
    text += &officers("governors", &genesis.governors, "");
    let proposals = &genesis.proposals;
    let _infallible = write!(
        text,
        "
[proposals]
# Between the last approval that is needed and the change; outages of the chain do not count.
delay_ms = {delay}
# Longest life of a proposal: above the delay, at most 30 days.
life_max_ms = {life}
",
        delay = grouped(proposals.delay_ms.ms()),
        life = grouped(proposals.life_ms_max.ms()),
    );
    text
}

const EXPLAINED_QUORUM: &str = "\
# Different operators that must approve. 0 only where no segment clears on margin.
";

fn officers(name: &str, officers: &Officers, explanation: &str) -> String {
    let head = format!("[{name}]\n{explanation}quorum_operators = {}\n", officers.quorum);
    head + &members(name, officers.members.as_slice())
}

/// The members of a list of principals; an empty list has no table and must be named in the table of the list.
pub(super) fn members(name: &str, members: &[Principal]) -> String {
    if members.is_empty() {
        return "member = []\n".to_owned();
    }
    let table = |member: &Principal| format!("\n[[{name}.member]]\n{}", principal(member));
    members.iter().map(table).collect()
}

pub(super) fn auditor(auditor: &Principal) -> String {
    format!("[[auditor]]\n{}", principal(auditor))
}

fn principal(Principal { operator, root_key }: &Principal) -> String {
    format!("operator = {operator}\nroot_key = \"{}\"\n", public_key_text(root_key))
}

pub(super) fn feed(rules: &FeedRules) -> String {
    let publishers: Vec<String> = rules.publishers.iter().map(ToString::to_string).collect();
    format!(
        "[[feed]]
id = {id}
# A segment that clears on margin.
segment = {segment}
# Places in the list of publishers, from 0, in rising order.
publishers = [{publishers}]
# Different operators whose observations the median needs at least; with fewer there is no price.
operators_min = {operators_min}
# What the first price is compared with.
reference_quote_per_unit = {reference}
# Older observations are left out of the median.
observation_age_max_ms = {observation_age}
# Age of the median up to which new risk is taken ...
open_age_max_ms = {open_age}
# ... and up to which margin trusts it and liquidation acts on it.
liquidate_age_max_ms = {liquidate_age}
# Half the width of the interval around the median, as a share of it, up to which the price is certain.
confidence_max_ppm = {confidence}
# How far the price in use may move in a second. Unused time saves up for ten seconds; what is beyond waits.
move_per_second_max_ppm = {move_per_second}
",
        id = rules.id,
        segment = rules.segment,
        publishers = publishers.join(", "),
        operators_min = rules.operators_min,
        reference = price(rules.reference_price),
        observation_age = grouped(rules.observation_age_ms_max.ms()),
        open_age = grouped(rules.open_age_ms_max.ms()),
        liquidate_age = grouped(rules.liquidate_age_ms_max.ms()),
        confidence = grouped(u64::from(rules.confidence_max.ppm())),
        move_per_second = grouped(u64::from(rules.move_per_second_max.ppm())),
    )
}

pub(super) const FEED_EXPLANATION: &str = "\
# Price feeds, ids counting up from 1. Publishers sign what they see; a feed's price is the median over operators.
";

pub(super) fn clearing(rules: &ClearingRules) -> String {
    let exit = &rules.principal_exit;
    let mut text = format!(
        "
[segment.clearing]
# Share of the notional of all positions that a withdrawal leaves behind at least.
transfer_margin_ppm = {transfer_margin}

# Takes over what the book cannot close: an account from the start, with its own capital and no special rights.
[segment.clearing.backstop]
{backstop}
# The way out that only Halted holds up: what was deposited and not lost, to the root key, after this delay (at least
# 1000). The whole amount refills over the window.
[segment.clearing.principal_exit]
delay_ms = {exit_delay}
window_ms = {exit_window}
amount_max_quote = {exit_amount}
",
        transfer_margin = grouped(u64::from(rules.transfer_margin.ppm())),
        backstop = principal(&rules.backstop),
        exit_delay = grouped(exit.delay_ms.ms()),
        exit_window = grouped(exit.limit.window_ms.ms()),
        exit_amount = quote(exit.limit.amount_max),
    );
    text += &breakers(&rules.breakers);
    text
}

fn breakers(rules: &BreakerRules) -> String {
    format!(
        "
# Breakers. The state is entered whose level is reached; all figures must be at or below `leave` for it to be left.
[segment.clearing.breakers]
# Move of an index against its mean of five minutes.
price_move_ppm = {price_move}
# Distance between mark and index, and between the price published and the price in use.
divergence_ppm = {divergence}
# Age of a price, as a share of its feed's `liquidate_age_max_ms`.
price_age_ppm = {price_age}
# Share of the insurance fund that was used within an hour.
insurance_draw_ppm = {insurance_draw}
# Share of the outbound windows that is in use.
outflow_ppm = {outflow}
# Losses that nothing covered, above which nothing leaves.
deficit_floor_quote = {deficit_floor}
# How long all figures must be at or below `leave`.
clear_ms = {clear}
# Least time in a state. It doubles with each trip within a day, up to the maximum.
cooldown_ms = {cooldown}
cooldown_max_ms = {cooldown_max}
",
        price_move = levels(&rules.price_move),
        divergence = levels(&rules.divergence),
        price_age = levels(&rules.price_age),
        insurance_draw = levels(&rules.insurance_draw),
        outflow = levels(&rules.outflow),
        deficit_floor = quote(rules.deficit_floor),
        clear = grouped(rules.clear_ms.ms()),
        cooldown = grouped(rules.cooldown_ms.ms()),
        cooldown_max = grouped(rules.cooldown_ms_max.ms()),
    )
}

fn levels(levels: &RatioLevels) -> String {
    let [leave, elevated, reduce_only, withdraw_gated, halted] =
        [levels.leave, levels.elevated, levels.reduce_only, levels.withdraw_gated, levels.halted]
            .map(|level| grouped(u64::from(level.ppm())));
    format!(
        "{{ leave = {leave}, elevated = {elevated}, reduce_only = {reduce_only}, withdraw_gated = {withdraw_gated}, \
         halted = {halted} }}"
    )
}

pub(super) fn margin(rules: &MarginRules) -> String {
    let mut text = format!(
        "
[market.margin]
# Where the index comes from: a feed of the market's segment.
feed = {feed}
# Price of one unit of the underlying per tick. Times the size of a lot in units it is `tick_value_quote`.
tick_size_quote_per_unit = {tick_size}
# Large positions pay more: this rate times the square root of their notional over `size_notional_quote`.
size_rate_ppm = {size_rate}
size_notional_quote = {size_notional}
# Open interest beyond which nothing that adds to it is taken.
open_interest_max_quote = {open_interest}
# How far from the index the mark may be, and the time over which the distance of the book is averaged.
basis_max_ppm = {basis_max}
basis_window_ms = {basis_window}
# Younger profit counts for nothing but maintenance; then it comes to count in equal parts over the ramp.
profit_cliff_ms = {cliff}
profit_ramp_ms = {ramp}
# How far a price that cannot be trusted is assumed to have moved against a position.
extended_move_ppm = {extended_move}
",
        feed = rules.feed,
        tick_size = price(rules.tick_size),
        size_rate = grouped(u64::from(rules.size_rate.ppm())),
        size_notional = quote(rules.size_notional),
        open_interest = quote(rules.open_interest_notional_max),
        basis_max = grouped(u64::from(rules.basis_max.ppm())),
        basis_window = grouped(rules.basis_window_ms.ms()),
        cliff = grouped(rules.profit_cliff_ms.ms()),
        ramp = grouped(rules.profit_ramp_ms.ms()),
        extended_move = grouped(u64::from(rules.extended_move.ppm())),
    );
    if rules.tiers.is_empty() {
        text += "tier = []\n";
    }
    text += &funding(&rules.funding);
    text += &liquidation(&rules.liquidation);
    text += &regime(&rules.regime);
    text += "\n# Brackets: what of a position's notional lies above `notional_from_quote`, up to the next, pays these rates.\n\
             # The first begins at zero; rates rise. Maintenance is at least half of initial margin.\n";
    for tier in &rules.tiers {
        let _infallible = write!(
            text,
            "[[market.margin.tier]]\nnotional_from_quote = {}\ninitial_ppm = {}\nmaintenance_ppm = {}\n",
            quote(tier.notional_from),
            grouped(u64::from(tier.initial.ppm())),
            grouped(u64::from(tier.maintenance.ppm())),
        );
    }
    text
}

fn funding(rules: &FundingRules) -> String {
    format!(
        "
[market.margin.funding]
# Time between settlements: a divisor of eight hours.
interval_ms = {interval}
# Interest for eight hours, and how far it may pull the rate from the premium.
interest_ppm = {interest}
clamp_ppm = {clamp}
# Largest rate of one settlement, in either direction.
rate_max_ppm = {rate_max}
# Notional for which the premium asks the book's prices.
impact_notional_quote = {impact}
",
        interval = grouped(rules.interval_ms.ms()),
        interest = grouped(u64::from(rules.interest.ppm())),
        clamp = grouped(u64::from(rules.clamp.ppm())),
        rate_max = grouped(u64::from(rules.rate_max.ppm())),
        impact = quote(rules.impact_notional),
    )
}

fn liquidation(rules: &LiquidationRules) -> String {
    format!(
        "
# Maintenance of the largest position must cover the worst move that the feed's cap allows in the time that these rules
# take to close it, and the fee and the slippage.
[market.margin.liquidation]
# What a liquidated account pays to insurance: at most a quarter of the lowest maintenance rate.
fee_ppm = {fee}
# Share of the book's depth, counted up to the slippage, that one slice may take, but at least `slice_min_quote`.
depth_share_ppm = {depth_share}
slice_min_quote = {slice_min}
# Notional of all slices in a second; unused time saves up for ten seconds.
per_second_max_quote = {per_second}
# How far from the index a slice may trade.
slippage_max_ppm = {slippage}
# Below this share of maintenance margin, the backstop takes what is left, until it has lost this much in the market.
backstop_below_ppm = {backstop_below}
backstop_loss_max_quote = {backstop_loss}
# Share of the insurance fund that the market may use, and the time in which it is free again.
insurance_share_max_ppm = {insurance_share}
insurance_window_ms = {insurance_window}
",
        fee = grouped(u64::from(rules.fee.ppm())),
        depth_share = grouped(u64::from(rules.depth_share.ppm())),
        slice_min = quote(rules.slice_min),
        per_second = quote(rules.per_second_max),
        slippage = grouped(u64::from(rules.slippage_max.ppm())),
        backstop_below = grouped(u64::from(rules.backstop_below.ppm())),
        backstop_loss = quote(rules.backstop_loss_max),
        insurance_share = grouped(u64::from(rules.insurance_share_max.ppm())),
        insurance_window = grouped(rules.insurance_window_ms.ms()),
    )
}

fn regime(rules: &RegimeRules) -> String {
    format!(
        "
# When the market counts as rough. It does so at once, and less so step by step, when all figures have been below the share
# `leave_ppm` of its own levels for `hold_ms`, and it had been as rough for as long.
[market.margin.regime]
# Standard deviation of the published price over an hour.
volatility_ppm = {volatility}
# Largest move within half a minute, forgotten over ten minutes.
jump_ppm = {jump}
# What is missing of the usual depth near the index.
thinness_ppm = {thinness}
# Distance of best bid and ask, and what one side of the book has more than the other; averaged over a minute.
spread_ppm = {spread}
imbalance_ppm = {imbalance}
leave_ppm = {leave}
hold_ms = {hold}
# Times over which volatility and the usual depth are averaged.
volatility_window_ms = {volatility_window}
depth_window_ms = {depth_window}
",
        volatility = regime_levels(&rules.volatility),
        jump = regime_levels(&rules.jump),
        thinness = regime_levels(&rules.thinness),
        spread = regime_levels(&rules.spread),
        imbalance = regime_levels(&rules.imbalance),
        leave = grouped(u64::from(rules.leave.ppm())),
        hold = grouped(rules.hold_ms.ms()),
        volatility_window = grouped(rules.volatility_window_ms.ms()),
        depth_window = grouped(rules.depth_window_ms.ms()),
    )
}

fn regime_levels(levels: &RegimeLevels) -> String {
    let [elevated, stressed, extreme] =
        [levels.elevated, levels.stressed, levels.extreme].map(|level| grouped(u64::from(level.ppm())));
    format!("{{ elevated = {elevated}, stressed = {stressed}, extreme = {extreme} }}")
}

/// A decimal string with nine places.
fn price(price: PriceNanos) -> String {
    format!("\"{}.{:09}\"", price.nanos() / NANOS, price.nanos() % NANOS)
}

const NANOS: u64 = 1_000_000_000;
