//! `events:` → settings of the event bus.

use crate::config::node::Node;
use crate::policy::events::EVENT_DEFAULTS;
use crate::policy::events::EventSettings;
use crate::policy::events::EventType;

/// Reads `events:`; bad values are findings already.
pub(super) fn events(node: &Node) -> EventSettings {
    let mut set = EVENT_DEFAULTS;
    let size = |key: &str, default| node.whole(key).and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    set.buffer = size("buffer", set.buffer);
    set.max_subscribers = size("max_subscribers", set.max_subscribers);
    if let Some(sample) = node.get("sample") {
        for kind in EventType::ALL {
            if let Some(share) = sample.ratio(kind.as_str()) {
                set.sample.set(kind, share);
            }
        }
    }
    set
}
