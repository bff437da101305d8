//! What a request carries from stage to stage.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;

use crate::base::Clock;
use crate::base::Moment;
use crate::base::Tasks;
use crate::base::hex;
use crate::live::Live;
use crate::live::Snapshot;
use crate::plan::RequestValues;
use crate::plan::SourcePlan;
use crate::policy::deadline;
use crate::policy::deadline::RequestLimits;
use crate::policy::freshness::CacheScope;
use crate::policy::keys::ApiKey;
use crate::policy::pressure::Level;
use crate::policy::priority::Priority;
use crate::record::AuditQueue;
use crate::record::BackgroundGauges;
use crate::record::Events;
use crate::record::Metrics;
use crate::record::Stage;
use crate::request::background::Refreshes;
use crate::request::error::Problem;
use crate::request::front::Entry;
use crate::request::trail::Trail;

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) live: Live,
    pub(crate) metrics: Arc<Metrics>,
    /// `None`: there is no audit log.
    pub(crate) audit: Option<AuditQueue>,
    pub(crate) events: Events,
    pub(crate) tasks: Tasks,
    /// What is to be fetched behind the replies.
    pub(crate) refreshes: Refreshes,
}

impl Shared {
    /// The queues of work behind the replies.
    pub(crate) fn background(&self) -> Vec<BackgroundGauges> {
        let refresh = self.refreshes.gauges(&self.live.load().plan.server.background.refresh);
        std::iter::once(refresh).chain(self.audit.as_ref().map(AuditQueue::gauges)).collect()
    }

    /// How hard the machine is pressed: at `High` and above there are no refreshes and no hedges.
    pub(crate) fn pressure_level(&self) -> Level {
        self.live.load().overload.level(self.clock.now())
    }
}

/// A request as it came in.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a Method,
    /// The raw path, not decoded.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) request_id: Arc<str>,
    pub(crate) trace: Trace,
    pub(crate) arrived: Moment,
    /// The address at the other end of its connection; `None`: this very process asks.
    pub(crate) peer: Option<IpAddr>,
    /// Where the stages note what they decide, for `aggd get --explain`.
    pub(crate) trail: Trail,
}

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// W3C trace context: the trace we are in, and the span that is this request.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// The `traceparent` that we send on and answer with: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
    pub(crate) parent: [u8; 55],
    /// The client's `tracestate`, passed on as it is.
    pub(crate) state: Option<HeaderValue>,
}

impl Trace {
    /// Continues the client's trace, or starts one where there is none or a malformed one.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let known = headers.get(&TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(trace_id_and_flags);
        let fresh = hex::<32>(fastrand::u128(1..));
        let (trace, flags) =
            known.map_or((&fresh[..], &b"00"[..]), |(trace, flags)| (trace.as_bytes(), flags.as_bytes()));
        let span = hex::<16>(fastrand::u64(1..).into());
        let mut parent = [b'-'; 55];
        // Each part has the length of its place: what is not so long was not let through above.
        for (place, part) in [(0..2, &b"00"[..]), (3..35, trace), (36..52, &span[..]), (53..55, flags)] {
            if let Some(slot) = parent.get_mut(place).filter(|slot| slot.len() == part.len()) {
                slot.copy_from_slice(part);
            }
        }
        let state = known.and_then(|_| headers.get(TRACESTATE).cloned());
        Self { parent, state }
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, neither id all zeros.
fn trace_id_and_flags(text: &str) -> Option<(&str, &str)> {
    let mut fields = text.split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let lengths = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    let exact = version != "00" || fields.next().is_none();
    let nonzero = [trace, span].into_iter().all(|field| field.bytes().any(|b| b != b'0'));
    (lengths && exact && nonzero && version != "ff").then_some((trace, flags))
}

/// Until when a request may take, and who says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// When every part must be known: the reserve for assembling is taken off.
    pub(crate) at: Moment,
    /// Whether the client's header is what bounds it. Then running out says nothing about an upstream.
    pub(crate) by_client: bool,
}

/// A request with its snapshot and its deadline: what the stages read.
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) ask: &'a Ask<'a>,
    pub(crate) path_params: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) deadline: Deadline,
    /// How much time the whole request had; for messages.
    pub(crate) budget: Duration,
    pub(crate) priority: Priority,
    /// The key that the client showed, where it showed one.
    pub(crate) key: Option<ApiKey>,
}

impl<'a> Context<'a> {
    /// Admits a request: its deadline is worth starting for, its query is readable.
    pub(crate) fn admit(
        shared: &'a Arc<Shared>,
        snapshot: &'a Arc<Snapshot>,
        ask: &'a Ask<'a>,
        path_params: Vec<(String, String)>,
        timeout: Duration,
    ) -> Result<Self, Problem> {
        let set = &snapshot.plan.server.deadline;
        let header = set.header.as_ref().and_then(|name| ask.headers.get(name));
        let wanted = header.and_then(|value| {
            let parsed = value.to_str().ok().and_then(deadline::parse);
            if parsed.is_none() {
                shared.metrics.server.deadline_header_invalid();
            }
            parsed
        });
        let limits = RequestLimits { route: timeout, max: set.max, low_threshold: set.low_timeout_threshold };
        let budget = deadline::request_budget(wanted, limits).map_err(|_| {
            shared.metrics.server.deadline_exceeded(Stage::Admission);
            Problem::low_timeout(set)
        })?;
        let at = ask.arrived.after(budget.length - set.response_reserve.min(budget.length / 2));
        Ok(Self {
            shared,
            snapshot,
            ask,
            path_params,
            query: query_pairs(ask.query.unwrap_or_default())?,
            deadline: Deadline { at, by_client: budget.by_client },
            budget: budget.length,
            priority: Priority::default(),
            key: None,
        })
    }

    /// The same, of the client that came in so.
    pub(crate) fn of(mut self, entry: &Entry) -> Self {
        self.priority = entry.priority;
        self.key.clone_from(&entry.key);
        self
    }

    /// What a route's placeholders read.
    pub(crate) fn values(&self) -> RequestValues<'_> {
        RequestValues { path: &self.path_params, query: &self.query, headers: self.ask.headers }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Moment {
        self.shared.clock.now()
    }
}

/// Who asks, as far as it tells copies apart: nobody may be answered with what was fetched for others.
pub(crate) fn asker(ctx: &Context<'_>, source: &SourcePlan) -> String {
    let scope = source.cache.as_ref().map_or(CacheScope::Shared, |cache| cache.scope);
    match (scope, &ctx.key) {
        (CacheScope::Shared, _) => String::new(),
        (CacheScope::Tenant | CacheScope::Principal, None) => "@".to_owned(),
        (CacheScope::Tenant, Some(key)) => format!("@tenant={}", crate::plan::encode(&key.tenant)),
        (CacheScope::Principal, Some(key)) => format!("@key={}", crate::plan::encode(key.name.as_str())),
    }
}

/// The pairs of a query string, decoded.
pub(crate) fn query_pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    });
    pairs.collect::<Option<_>>().ok_or_else(Problem::bad_query)
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_only_when_it_is_well_formed() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace_id_and_flags(good), Some(("0af7651916cd43dd8448eb211c80319c", "01")));
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(trace_id_and_flags(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_query_is_decoded_once() {
        let pairs = query_pairs("a=1&b=x%26y+z&&c").ok().unwrap();
        let expected = [("a", "1"), ("b", "x&y z"), ("c", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs, expected);
        assert!(query_pairs("a=%FF").is_err());
    }
}
