//! Every valid genesis: parts drawn within their rules, and put together so that the rules between them hold.

use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, ProposalRules, RatioLevels,
};
use casemate_protocol::conduct::{ConductRules, DamageRules};
use casemate_protocol::genesis::{
    AccountRules, Genesis, LimiterRules, LogMode, MarketRules, PasskeyOrigin, Principal, RecoveryRules, SafeguardRules,
    SeededAccounts, SegmentRules, WindowCap,
};
use casemate_protocol::grant::GrantLifetimes;
use casemate_protocol::limits::{GRANT_LIFETIME_MS_MAX, SAFEGUARD_DELAY_MS_MAX};
use casemate_protocol::policy::PolicySet;
use casemate_protocol::regime::{RegimeLevels, RegimeRules};
use casemate_protocol::{
    AssetId, BoundedVec, DurationMs, FeePpm, FeedId, MarketId, OperatorId, PriceNanos, PriceTicks, QuantityLots,
    QuoteMicros, RatioPpm, SegmentId, TickValueMicros, TimeMs,
};
use proptest::prelude::*;

use crate::development_keys::{public_key, root_key};

fn passkey_origin(host: &str) -> PasskeyOrigin {
    let bytes = |text: String| BoundedVec::new(text.into_bytes()).unwrap();
    PasskeyOrigin {
        origin: bytes(format!("https://app.{host}.example:8443")),
        relying_party: bytes(format!("{host}.example")),
    }
}

/// The longest life while calm, and these in the order in which rougher regimes may have them.
fn falling(mut lifetimes: [u64; 3]) -> GrantLifetimes {
    lifetimes.sort_unstable();
    let [extreme_ms, stressed_ms, elevated_ms] = lifetimes.map(DurationMs::from_ms);
    GrantLifetimes { calm_ms: DurationMs::from_ms(GRANT_LIFETIME_MS_MAX), elevated_ms, stressed_ms, extreme_ms }
}

prop_compose! {
    pub(super) fn valid_genesis()(
        name in ".{0,16}",
        time_ms in any::<u64>(),
        is_sealed in any::<bool>(),
        bond in 1i64..1 << 40,
        extra in 0i64..1 << 40,
        weight in (4_000u32.., 1u32..),
        lifetimes in prop::array::uniform3(1u64..=GRANT_LIFETIME_MS_MAX),
        operators in 1u16..5,
        segments in prop::collection::vec((valid_segment(), prop::option::of(valid_clearing())), 1..4),
        markets in prop::collection::vec(valid_market_on_margin(), 0..4),
        publishers in 1u16..5,
        officers in (1u16..4, 1u16..4),
        auditors in 0u16..3,
        delays in (1u64..1 << 20, 1u64..1 << 20),
        hours in (1u64..500, 1u64..500),
        passkeys in prop::collection::vec("[a-z]{1,9}", 0..4),
        policies in prop::collection::vec(("[ -~]{0,9}", "[ -~\n\r\t\u{e9}]{0,40}'{0,4}[a-z]?"), 0..3),
        seeded in prop::option::of(valid_seeded()),
        is_development in any::<bool>(),
    ) -> Genesis {
        let clearing: Vec<Option<ClearingRules>> = segments.iter().map(|(_, clearing)| clearing.clone()).collect();
        let venue = Venue { clearing, markets, publishers };
        let is_full_somewhere = venue.clearing.iter().any(Option::is_none);
        let (feeds, margins) = venue.feeds_and_margins();
        Genesis {
            name: BoundedVec::new(name.into_bytes()).unwrap(),
            time_ms: TimeMs::from_ms(time_ms),
            is_development: is_development || seeded.is_some() || is_full_somewhere,
            log_mode: if is_sealed { LogMode::Sealed } else { LogMode::Open },
            accounts: AccountRules {
                bond: QuoteMicros::from_micros(bond),
                opening_deposit_min: QuoteMicros::from_micros(bond + extra),
                weight_burst: weight.0,
                weight_per_second: weight.1,
                grant_lifetimes: falling(lifetimes),
                safeguards: SafeguardRules {
                    address_cooling_ms: DurationMs::from_ms(hours.0 * 3_600_000),
                    root_change_delay_ms: DurationMs::from_ms(hours.1 * 3_600_000),
                    recovery: RecoveryRules {
                        recovery_delay_ms: DurationMs::from_ms(hours.0 * 360_000),
                        guardian_change_delay_ms: DurationMs::from_ms(hours.0 * 360_000 + hours.1),
                        freeze_ms_max: DurationMs::from_ms(hours.0 * 360_000 + hours.1 - 1),
                        recovery_cancels_window_ms: DurationMs::from_ms(SAFEGUARD_DELAY_MS_MAX),
                        ..RecoveryRules::STAGED
                    },
                },
            },
            attestors: principals(0, operators),
            attestor_quorum: operators,
            publishers: principals(100, publishers),
            risk_officers: Officers { members: principals(200, officers.0), quorum: officers.0 },
            governors: Officers { members: principals(300, officers.1), quorum: 1 },
            proposals: ProposalRules {
                delay_ms: DurationMs::from_ms(delays.0),
                life_ms_max: DurationMs::from_ms(delays.0 + delays.1),
            },
            feeds: BoundedVec::new(feeds).unwrap(),
            clearing: BoundedVec::new(venue.clearing_rules()).unwrap(),
            margins: BoundedVec::new(margins).unwrap(),
            passkey_origins: BoundedVec::new(passkeys.iter().map(|host| passkey_origin(host)).collect()).unwrap(),
            markets: BoundedVec::new(venue.market_rules()).unwrap(),
            segments: BoundedVec::new(
                segments.into_iter().zip(1..).map(|((rules, _), id)| SegmentRules { id: SegmentId::new(id), ..rules }).collect(),
            ).unwrap(),
            seeded,
            auditors: principals(500, auditors),
            policies: PolicySet::of_texts(policies.iter().map(|(name, text)| (name.as_str(), text.as_str()))).unwrap(),
        }
    }
}

/// Parts drawn one by one, before they know of each other.
struct Venue {
    clearing: Vec<Option<ClearingRules>>,
    markets: Vec<(MarketRules, MarginRules, FeedRules)>,
    publishers: u16,
}

impl Venue {
    fn segment_of(&self, market: usize) -> SegmentId {
        SegmentId::new((market % self.clearing.len()) as u16 + 1)
    }

    fn clearing_rules(&self) -> Vec<ClearingRules> {
        let place = |(index, rules): (u16, &Option<ClearingRules>)| {
            let rules = rules.clone()?;
            Some(ClearingRules { segment: SegmentId::new(index), backstop: principal(400 + index), ..rules })
        };
        (1..).zip(&self.clearing).filter_map(place).collect()
    }

    fn market_rules(&self) -> Vec<MarketRules> {
        let place = |(index, (rules, _, _)): (usize, &(MarketRules, MarginRules, FeedRules))| MarketRules {
            id: MarketId::new(index as u16 + 1),
            segment: self.segment_of(index),
            ..*rules
        };
        self.markets.iter().enumerate().map(place).collect()
    }

    /// Each market on margin has a feed of its own, of every publisher but perhaps the last.
    fn feeds_and_margins(&self) -> (Vec<FeedRules>, Vec<MarginRules>) {
        let (mut feeds, mut margins) = (Vec::new(), Vec::new());
        for (index, (_, margin, feed)) in self.markets.iter().enumerate() {
            let segment = self.segment_of(index);
            if self.clearing[usize::from(segment.number()) - 1].is_none() {
                continue;
            }
            let id = FeedId::new(feeds.len() as u16 + 1);
            let named = self.publishers.saturating_sub(index as u16 % 2).max(1);
            let publishers = BoundedVec::new((0..named).collect()).unwrap();
            feeds.push(FeedRules { id, segment, publishers, operators_min: named, ..feed.clone() });
            margins.push(MarginRules { market: MarketId::new(index as u16 + 1), feed: id, ..margin.clone() });
        }
        (feeds, margins)
    }
}

fn principal(number: u16) -> Principal {
    Principal { operator: OperatorId::new(number), root_key: public_key(&root_key(&[9; 32], u64::from(number))) }
}

fn principals<const MAX: usize>(before: u16, count: u16) -> BoundedVec<Principal, MAX> {
    BoundedVec::new((1..=count).map(|number| principal(before + number)).collect()).unwrap()
}

prop_compose! {
    fn valid_clearing()(
        transfer_margin in share(),
        exit in (1_000u64.., 1u64.., 1i64..),
        levels in prop::array::uniform5(levels()),
        deficit_floor in 1i64..,
        times in (1u64.., 1u64..1 << 40, 0u64..1 << 40),
    ) -> ClearingRules {
        let [price_move, divergence, price_age, insurance_draw, outflow] = levels;
        ClearingRules {
            segment: SegmentId::NONE,
            backstop: principal(0),
            transfer_margin,
            principal_exit: PrincipalExitRules {
                delay_ms: DurationMs::from_ms(exit.0),
                limit: WindowCap {
                    window_ms: DurationMs::from_ms(exit.1),
                    amount_max: QuoteMicros::from_micros(exit.2),
                },
            },
            breakers: BreakerRules {
                price_move,
                divergence,
                price_age,
                insurance_draw,
                outflow,
                deficit_floor: QuoteMicros::from_micros(deficit_floor),
                clear_ms: DurationMs::from_ms(times.0),
                cooldown_ms: DurationMs::from_ms(times.1),
                cooldown_ms_max: DurationMs::from_ms(times.1 + times.2),
            },
        }
    }
}

prop_compose! {
    fn levels()(leave in 1u32..1 << 30, rises in (1u32..1 << 29, 0u32..1 << 29, 0u32..1 << 29, 0u32..1 << 29)) -> RatioLevels {
        let elevated = leave + rises.0;
        let (reduce_only, withdraw_gated) = (elevated + rises.1, elevated + rises.1 + rises.2);
        RatioLevels {
            leave: RatioPpm::from_ppm(leave),
            elevated: RatioPpm::from_ppm(elevated),
            reduce_only: RatioPpm::from_ppm(reduce_only),
            withdraw_gated: RatioPpm::from_ppm(withdraw_gated),
            halted: RatioPpm::from_ppm(withdraw_gated + rises.3),
        }
    }
}

/// Above nothing and at most the whole.
fn share() -> impl Strategy<Value = RatioPpm> {
    (1u32..=1_000_000).prop_map(RatioPpm::from_ppm)
}

prop_compose! {
    /// A market with margin that passes its listing check: a second is enough to close the largest position, and fee,
    /// slippage and the move of that second take a quarter of the lowest maintenance each.
    fn valid_market_on_margin()(market in valid_market(), lowest in 4u32..=1_000_000)(
        lowest in Just(lowest),
        quarters in prop::array::uniform3(1u32..=lowest / 4),
        tick_nanos in 1u64..1 << 40,
        tiers in prop::collection::vec((1i64..1 << 40, 0u32..1_000_000, 0u32..1_000_000), 0..8),
        margin in valid_margin(),
        feed in valid_feed(),
        market in Just(market),
    ) -> (MarketRules, MarginRules, FeedRules) {
        let [fee, slippage, worst_move] = quarters.map(RatioPpm::from_ppm);
        let tick_size = PriceNanos::from_nanos(tick_nanos);
        let reference_price = PriceNanos::from_nanos(tick_nanos * market.reference_price.ticks());
        let liquidation = LiquidationRules { fee, slippage_max: slippage, ..margin.liquidation };
        let tiers = BoundedVec::new(rising_tiers(lowest, &tiers)).unwrap();
        let margin = MarginRules { tick_size, tiers, liquidation, ..margin };
        (market, margin, FeedRules { reference_price, move_per_second_max: worst_move, ..feed })
    }
}

/// Brackets from the lowest maintenance on; each step is a rise of the notional and of both rates.
fn rising_tiers(lowest: u32, steps: &[(i64, u32, u32)]) -> Vec<MarginTier> {
    let whole = 1_000_000;
    let tier = |from, initial, maintenance| MarginTier {
        notional_from: QuoteMicros::from_micros(from),
        initial: RatioPpm::from_ppm(initial),
        maintenance: RatioPpm::from_ppm(maintenance),
    };
    let (mut from, mut initial, mut maintenance) = (0, lowest, lowest);
    let mut tiers = vec![tier(from, initial, maintenance)];
    for (notional, initial_rise, maintenance_rise) in steps.iter().take(7) {
        from += notional;
        initial = (initial + initial_rise).min(whole);
        maintenance = (maintenance + maintenance_rise).min(initial);
        tiers.push(tier(from, initial, maintenance));
    }
    tiers
}

prop_compose! {
    fn valid_margin()(
        size in (1u32.., 1i64 << 50..),
        open_interest in 1i64..,
        shares in prop::array::uniform3(share()),
        times in prop::array::uniform4(1u64..),
        interval in prop::sample::select(vec![1u64, 1_000, 60_000, 3_600_000, 28_800_000]),
        rates in (0u32..=1_000_000, share(), share()),
        amounts in prop::array::uniform3(1i64..),
        per_second in 1i64 << 50..,
        portions in prop::array::uniform3(share()),
        regime in valid_regime(),
    ) -> MarginRules {
        let [impact, slice_min, backstop_loss] = amounts.map(QuoteMicros::from_micros);
        let [basis_window, cliff, ramp, insurance_window] = times.map(DurationMs::from_ms);
        MarginRules {
            market: MarketId::NONE,
            feed: FeedId::NONE,
            tick_size: PriceNanos::ZERO,
            tiers: BoundedVec::empty(),
            size_rate: RatioPpm::from_ppm(size.0),
            size_notional: QuoteMicros::from_micros(size.1),
            open_interest_notional_max: QuoteMicros::from_micros(open_interest),
            basis_max: shares[0],
            basis_window_ms: basis_window,
            profit_cliff_ms: cliff,
            profit_ramp_ms: ramp,
            extended_move: shares[1],
            funding: FundingRules {
                interval_ms: DurationMs::from_ms(interval),
                interest: RatioPpm::from_ppm(rates.0),
                clamp: rates.1,
                rate_max: rates.2,
                impact_notional: impact,
            },
            liquidation: LiquidationRules {
                fee: RatioPpm::ZERO,
                depth_share: portions[0],
                slice_min,
                per_second_max: QuoteMicros::from_micros(per_second),
                slippage_max: RatioPpm::ZERO,
                backstop_below: portions[1],
                backstop_loss_max: backstop_loss,
                insurance_share_max: portions[2],
                insurance_window_ms: insurance_window,
            },
            regime,
        }
    }
}

prop_compose! {
    fn valid_regime_levels()(steps in prop::array::uniform3(1u32..1 << 30)) -> RegimeLevels {
        let [elevated, more, most] = steps;
        let (stressed, extreme) = (elevated + more, elevated + more + most);
        let ppm = RatioPpm::from_ppm;
        RegimeLevels { elevated: ppm(elevated), stressed: ppm(stressed), extreme: ppm(extreme) }
    }
}

prop_compose! {
    fn valid_regime()(
        levels in prop::array::uniform5(valid_regime_levels()),
        leave in 1u32..1_000_000,
        times in prop::array::uniform3(1u64..),
    ) -> RegimeRules {
        let [volatility, jump, thinness, spread, imbalance] = levels;
        let [hold_ms, volatility_window_ms, depth_window_ms] = times.map(DurationMs::from_ms);
        let leave = RatioPpm::from_ppm(leave);
        RegimeRules {
            volatility,
            jump,
            thinness,
            spread,
            imbalance,
            leave,
            hold_ms,
            volatility_window_ms,
            depth_window_ms,
        }
    }
}

prop_compose! {
    fn valid_feed()(ages in (1u64.., 1u64..1 << 40, 0u64..1 << 40), confidence in share()) -> FeedRules {
        FeedRules {
            id: FeedId::NONE,
            segment: SegmentId::NONE,
            publishers: BoundedVec::empty(),
            operators_min: 1,
            reference_price: PriceNanos::ZERO,
            observation_age_ms_max: DurationMs::from_ms(ages.0),
            open_age_ms_max: DurationMs::from_ms(ages.1),
            liquidate_age_ms_max: DurationMs::from_ms(ages.1 + ages.2),
            confidence_max: confidence,
            move_per_second_max: RatioPpm::ZERO,
        }
    }
}

prop_compose! {
    fn valid_conduct()(
        gross in 1i64..1 << 50,
        counts in [1u32..=1_000_000, 1u32..=1_000_000, 1u32..=1_000_000, 1u32..=1_000_000],
        runs in [1u32..=1_000_000, 1u32..=1_000_000, 1u32..=1_000_000],
        damage in [1u32..=1_000_000, 1u32..=1_000_000, 1u32..=1_000_000, 1u32..=1_000_000, 1u32..=1_000_000, 1u32..=1_000_000],
    ) -> ConductRules {
        let [outflow, pending, price_step, own_loss, book_depth, open_interest] = damage.map(RatioPpm::from_ppm);
        let [ignition_run, pump_run, loss_of_fill] = runs.map(RatioPpm::from_ppm);
        ConductRules {
            wash_gross_min: QuoteMicros::from_micros(gross),
            spoof_usual_orders: counts[0],
            stuffing_messages: counts[1],
            ignition_run,
            pump_run,
            loss_of_fill,
            refusals_of_account: counts[2],
            refusals_of_market: counts[3],
            damage: DamageRules { outflow, pending, price_step, own_loss, book_depth, open_interest },
        }
    }
}

prop_compose! {
    fn valid_segment()(
        asset in 1u16..,
        delays in (1_000u64.., 1_000u64..),
        inbound in (1u64.., 1i64..),
        outbound in prop::collection::vec((1u64.., 1i64.., 1u32..=1_000_000), 1..4),
        open_orders_max in 1u32..=1_024,
        dead_man_ms in 1u64..,
        shares in (0u32..=500_000, 0u32..=500_000),
        conduct in valid_conduct(),
    ) -> SegmentRules {
        let window = |(window_ms, floor, share)| LimiterRules {
            window_ms: DurationMs::from_ms(window_ms),
            floor: QuoteMicros::from_micros(floor),
            vault_share: RatioPpm::from_ppm(share),
        };
        SegmentRules {
            id: SegmentId::NONE,
            asset: AssetId::new(asset),
            withdrawal_delay_ms: DurationMs::from_ms(delays.0),
            transfer_delay_ms: DurationMs::from_ms(delays.1),
            inbound: WindowCap {
                window_ms: DurationMs::from_ms(inbound.0),
                amount_max: QuoteMicros::from_micros(inbound.1),
            },
            outbound: BoundedVec::new(outbound.into_iter().map(window).collect()).unwrap(),
            open_orders_max,
            dead_man_timeout_min_ms: DurationMs::from_ms(dead_man_ms),
            fee_share_insurance: RatioPpm::from_ppm(shares.0),
            fee_share_validators: RatioPpm::from_ppm(shares.1),
            conduct,
        }
    }
}

prop_compose! {
    fn valid_market()(
        tick_value in 1u32..4,
        prices in (1u64..1 << 20, 0u64..1 << 20),
        band in 1u32..=1_000_000,
        lots in (1u64..1 << 20, 0u64..1 << 20, 0u64..1 << 20),
        taker in 0i32..999_999,
        rebate in 0i32..999_999,
    ) -> MarketRules {
        MarketRules {
            id: MarketId::NONE,
            segment: SegmentId::NONE,
            tick_value: TickValueMicros::from_micros(tick_value),
            price_max: PriceTicks::from_ticks(prices.0 + prices.1),
            reference_price: PriceTicks::from_ticks(prices.0),
            band: RatioPpm::from_ppm(band),
            order_lots_min: QuantityLots::from_lots(lots.0),
            order_lots_max: QuantityLots::from_lots(lots.0 + lots.1),
            position_lots_max: QuantityLots::from_lots(lots.0 + lots.1 + lots.2),
            maker_fee: FeePpm::from_ppm(-rebate.min(taker)),
            taker_fee: FeePpm::from_ppm(taker),
        }
    }
}

prop_compose! {
    fn valid_seeded()(
        count in 1u64..1_000_000,
        seed in any::<[u8; 32]>(),
        balance in 1i64..=1 << 60,
        position_lots in 0u64..=1,
        notional in 1i64..,
        commands in 1u32..,
        lifetime_ms in 1u64..=GRANT_LIFETIME_MS_MAX,
    ) -> SeededAccounts {
        SeededAccounts {
            count,
            seed,
            balance: QuoteMicros::from_micros(balance),
            position_lots: QuantityLots::from_lots(position_lots),
            grant_notional: QuoteMicros::from_micros(notional),
            grant_commands_per_minute: commands,
            grant_lifetime_ms: DurationMs::from_ms(lifetime_ms),
        }
    }
}
