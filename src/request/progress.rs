//! Progressive answers: one event per source the moment it is known, then the rest of the envelope. The same work in
//! the same limits, in a task that ends when the client leaves.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use tokio::sync::mpsc;

use crate::config::spec::Respond;
use crate::live::LiveRoute;
use crate::live::Snapshot;
use crate::plan::RoutePlan;
use crate::policy::keys::ApiKey;
use crate::policy::priority::Priority;
use crate::request::admit::PartCall;
use crate::request::assemble;
use crate::request::context::Ask;
use crate::request::context::Context;
use crate::request::context::Deadline;
use crate::request::context::Shared;
use crate::request::envelope;
use crate::request::envelope::Writer;
use crate::request::fanout;
use crate::request::fanout::Arrival;
use crate::request::fanout::Gathered;
use crate::request::part::Part;
use crate::request::reply::After;
use crate::request::reply::Reply;
use crate::request::reply::ReplyBody;

/// Events that wait for a slow reader; a reader slower than that holds up the writer, and nobody else.
const EVENTS_AHEAD: usize = 8;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `text/event-stream`
    Events,
    /// `application/x-ndjson`
    Lines,
}

impl Form {
    /// What the client asks for; `None`: one whole answer. Only envelopes can come in parts.
    pub(crate) fn asked(headers: &HeaderMap, route: &RoutePlan) -> Option<Self> {
        if route.respond != Respond::Envelope {
            return None;
        }
        let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
        let mut best = (0.0, None);
        for kind in accept.split(',') {
            let mut fields = kind.split(';').map(str::trim);
            let form = match fields.next().unwrap_or_default() {
                "text/event-stream" => Some(Self::Events),
                "application/x-ndjson" => Some(Self::Lines),
                "application/json" | "application/*" => None,
                _ => continue,
            };
            let quality = fields.find_map(|field| field.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0);
            if quality > best.0 {
                best = (quality, form);
            }
        }
        best.1
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        })
    }

    /// One event. A JSON text may be laid out over lines, which neither form can hold: there, line breaks are blanks.
    fn write(self, event: &str, mut data: Vec<u8>) -> Bytes {
        for byte in data.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
        let (before, after) = match self {
            Self::Events => (format!("event: {event}\ndata: "), "\n\n"),
            Self::Lines => (format!("{{\"{event}\":"), "}\n"),
        };
        [before.as_bytes(), &data, after.as_bytes()].concat().into()
    }
}

/// What the task keeps of the request: it outlives the call that started it.
struct Owned {
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    route: Arc<RoutePlan>,
    handles: Arc<LiveRoute>,
    chosen: Vec<usize>,
    headers: HeaderMap,
    deadline: Deadline,
    budget: Duration,
    priority: Priority,
    key: Option<ApiKey>,
}

/// What `HEAD` is told: the headers of a progressive answer, which are sent before anything is known. Nothing is called.
pub(crate) fn head(ctx: &Context<'_>, route: &RoutePlan, handles: &LiveRoute, form: Form) -> Reply {
    handles.metrics.answered("fresh", StatusCode::OK.as_u16(), ctx.now().since(ctx.ask.arrived));
    let (_, nothing) = mpsc::channel(1);
    progressive(route, form, nothing)
}

/// Starts the work and answers at once with what will come of it.
pub(crate) fn start(
    ctx: &Context<'_>,
    route: &Arc<RoutePlan>,
    handles: &Arc<LiveRoute>,
    (chosen, calls): (Vec<usize>, Vec<PartCall>),
    form: Form,
) -> Reply {
    let (events, stream) = mpsc::channel(EVENTS_AHEAD);
    let owned = Owned {
        shared: Arc::clone(ctx.shared),
        snapshot: Arc::clone(ctx.snapshot),
        route: Arc::clone(route),
        handles: Arc::clone(handles),
        chosen,
        headers: ctx.ask.headers.clone(),
        deadline: ctx.deadline,
        budget: ctx.budget,
        priority: ctx.priority,
        key: ctx.key.clone(),
    };
    let (id, trace, arrived) = (Arc::clone(&ctx.ask.request_id), ctx.ask.trace.clone(), ctx.ask.arrived);
    let peer = ctx.ask.peer;
    drop(ctx.shared.tasks.spawn(async move {
        let ask = Ask {
            method: &Method::GET,
            path: &owned.route.path,
            query: None,
            headers: &owned.headers,
            request_id: id,
            trace,
            arrived,
            peer,
            trail: crate::request::trail::Trail::default(),
        };
        let ctx = Context {
            shared: &owned.shared,
            snapshot: &owned.snapshot,
            ask: &ask,
            path_params: Vec::new(),
            query: Vec::new(),
            deadline: owned.deadline,
            budget: owned.budget,
            priority: owned.priority,
            key: owned.key.clone(),
        };
        tokio::select! {
            () = tell(&ctx, &owned, calls, form, &events) => {}
            // The client has left: what was begun for it alone ends here.
            () = events.closed() => {}
        }
    }));
    progressive(route, form, stream)
}

fn progressive(route: &RoutePlan, form: Form, stream: mpsc::Receiver<Bytes>) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, form.content_type());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // Proxies that collect an answer before they pass it on would defeat its purpose.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    for (name, value) in &route.headers {
        headers.append(name, value.clone());
    }
    Reply { status: StatusCode::OK, headers, body: ReplyBody::Progressive(stream), after: After::default() }
}

/// Tells each part as it comes, then the rest.
async fn tell(ctx: &Context<'_>, owned: &Owned, calls: Vec<PartCall>, form: Form, events: &mpsc::Sender<Bytes>) {
    let mut refreshes = Vec::new();
    let mut coming = pin!(fanout::coming(ctx, &owned.handles.tag, calls, owned.route.max_parallel));
    let mut known: Vec<Option<Part>> = owned.chosen.iter().map(|_| None).collect();
    while let Some(Arrival { place, part, refreshes: due }) = coming.next().await {
        refreshes.extend(due);
        let plan = owned.chosen.get(place).and_then(|at| owned.route.parts.get(*at));
        if let (Some(plan), Some(slot)) = (plan, known.get_mut(place)) {
            let mut text = Writer::default();
            envelope::result(&mut text, plan, &part);
            *slot = Some(part);
            if events.send(form.write("result", text.into_bytes())).await.is_err() {
                return;
            }
        }
    }
    let gathered = Gathered { parts: known.into_iter().flatten().collect(), refreshes };
    let (rest, after) = assemble::rest(ctx, &owned.route, &owned.handles, &owned.chosen, gathered);
    // A reader that has gone has gone; what was done is recorded all the same.
    drop(events.send(form.write("done", rest)).await);
    after.begin(ctx.shared);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_the_client_likes_best_is_taken() {
        let route = crate::plan::RoutePlan {
            path: "/aggregate".into(),
            description: None,
            method: Method::GET,
            parts: Vec::new(),
            respond: Respond::Envelope,
            shape: None,
            timeout: Duration::ZERO,
            min_sources: 0,
            max_parallel: None,
            fallback: Vec::new(),
            tag: "t".into(),
            headers: Vec::new(),
            door: crate::plan::DoorPlan::default(),
            limits: crate::config::spec::RouteLimits::default(),
            exempt: false,
        };
        for (accept, form) in [
            ("text/event-stream", Some(Form::Events)),
            ("application/x-ndjson, application/json;q=0.5", Some(Form::Lines)),
            ("text/event-stream;q=0", None),
            ("application/json, text/event-stream;q=0.1", None),
            ("*/*", None),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Form::asked(&headers, &route), form, "{accept}");
        }
    }

    #[test]
    fn an_event_never_spans_lines_of_its_data() {
        let written = Form::Events.write("result", b"{\n\"a\": 1}\r\n".to_vec());
        assert_eq!(&written[..], b"event: result\ndata: { \"a\": 1}  \n\n");
        assert_eq!(&Form::Lines.write("done", b"{\n}".to_vec())[..], b"{\"done\":{ }}\n");
    }
}
