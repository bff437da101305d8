//! The queues of work behind the replies, read at the scrape.

use crate::policy::watermark::Tide;
use crate::record::Event;
use crate::record::Events;
use crate::record::metrics::family::Family;
use crate::record::metrics::family::Labels;
use crate::record::metrics::family::number;

/// One queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BackgroundGauges {
    /// Its name: `refresh`, `audit`.
    pub(crate) queue: &'static str,
    pub(crate) pending: u64,
    pub(crate) max_pending: u64,
    /// Whether it passed its high water mark and has not drained to the low one.
    pub(crate) active: bool,
    pub(crate) dropped: u64,
}

impl BackgroundGauges {
    /// How full it is, as a share.
    pub(crate) fn fill(&self) -> f64 {
        number(self.pending) / number(self.max_pending.max(1))
    }
}

/// Says that a queue passed a mark, with so many jobs in it.
pub(crate) fn tell_tide(events: &Events, queue: &'static str, (tide, pending): (Tide, u32)) {
    let named = u64::from(pending);
    match tide {
        Tide::High => {
            tracing::warn!(event = tide.event(), queue, pending, "a background queue is filling up");
            events.publish(Event::BackpressureHigh { queue, pending: named });
        }
        Tide::Low => {
            tracing::info!(event = tide.event(), queue, pending, "a background queue has drained");
            events.publish(Event::BackpressureLow { queue, pending: named });
        }
    }
}

pub(super) fn families(queues: &[BackgroundGauges], families: &mut Vec<Family>) {
    let labels = |one: &BackgroundGauges| -> Labels { vec![("queue", one.queue.to_owned())] };
    let gauges = |name, help, value: fn(&BackgroundGauges) -> u64| {
        Family::gauge(name, help, queues.iter().map(|one| (labels(one), number(value(one)))).collect())
    };
    let dropped = queues.iter().map(|one| (labels(one), one.dropped)).collect();
    families.extend([
        gauges("aggd_background_pending", "Jobs that wait behind the replies, or are under way", |one| one.pending),
        gauges("aggd_background_max_pending", "The most of them", |one| one.max_pending),
        gauges("aggd_background_backpressure", "Whether the queue drains from its high to its low water mark", |one| {
            one.active.into()
        }),
        Family::counter("aggd_background_dropped", "Jobs dropped for lack of room", dropped),
    ]);
}
