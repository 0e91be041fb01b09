//! `SubmitPrice`: a publisher says what it saw.

use casemate_protocol::clearing::fine_ticks;
use casemate_protocol::command::SubmitPrice;
use casemate_protocol::event::PriceObserved;
use casemate_protocol::{Event, PriceNanos, Reject, RejectCode};

use crate::market::Work;
use crate::segment::{Feed, Segment};

/// Takes a publisher's observation.
///
/// # Errors
/// `FeedNotFound`, `NotAPublisher`, `PriceNotPositive`, `PriceBeyondRange`, `SourceTimeAhead`, `SourceTimeTooOld`,
/// `SourceTimeNotLater`.
pub(crate) fn observe(work: &mut Work<'_>, command: &SubmitPrice) -> Result<(), Reject> {
    let missing = Reject::of(RejectCode::FeedNotFound).present(u64::from(command.feed.number()));
    let feed = feed_of(work.segment, command).ok_or(missing)?;
    let publisher = work.context.account;
    let stranger = Reject::of(RejectCode::NotAPublisher).present(publisher.number());
    let place = feed.publishers.iter().position(|(account, _)| *account == publisher).ok_or(stranger)?;
    if command.price.is_zero() {
        return Err(Reject::of(RejectCode::PriceNotPositive));
    }
    require_range(work.segment, feed, command.price)?;
    require_time(work, feed, place, command)?;
    work.emit(Event::PriceObserved(PriceObserved {
        feed: command.feed,
        publisher,
        price: command.price,
        confidence: command.confidence,
        source_ms: command.source_ms,
    }));
    Ok(())
}

fn feed_of<'a>(segment: &'a Segment, command: &SubmitPrice) -> Option<&'a Feed> {
    let clearing = segment.clearing()?;
    clearing.feeds.get(clearing.feed_place(command.feed)?)
}

/// Every market of the feed can express the price.
fn require_range(segment: &Segment, feed: &Feed, price: PriceNanos) -> Result<(), Reject> {
    let markets = segment.markets().iter().filter_map(|market| Some((market, market.margin()?)));
    let mut of_feed = markets.filter(|(_, margin)| margin.rules.feed == feed.rules.id);
    let fits = of_feed.all(|(market, margin)| {
        let ticks = fine_ticks(price, margin.rules.tick_size).map(|fine| fine.fine() >> 16);
        ticks.is_some_and(|ticks| ticks > 0 && ticks <= market.rules.price_max.ticks())
    });
    if fits { Ok(()) } else { Err(Reject::of(RejectCode::PriceBeyondRange)) }
}

/// Later than the publisher's last, not in the future, and young enough to count.
fn require_time(work: &Work<'_>, feed: &Feed, place: usize, command: &SubmitPrice) -> Result<(), Reject> {
    let now_ms = work.block().time_ms;
    let seen = |code, required| Err(Reject::of(code).required(required).present(command.source_ms.ms()));
    if command.source_ms > now_ms {
        return seen(RejectCode::SourceTimeAhead, now_ms.ms());
    }
    let age_ms_max = feed.rules.observation_age_ms_max;
    if now_ms.since(command.source_ms) > age_ms_max {
        return seen(RejectCode::SourceTimeTooOld, now_ms.ms().saturating_sub(age_ms_max.ms()));
    }
    let last_ms = feed.facts.seen.as_slice().get(place).map_or(0, |last| last.source_ms.ms());
    if command.source_ms.ms() <= last_ms {
        return seen(RejectCode::SourceTimeNotLater, last_ms);
    }
    Ok(())
}
