//! `GET /events`: what changes, as Server-Sent Events, for as long as the client listens.
//!
//! ```text
//! retry: 2000            how long a browser waits before it comes back
//! id: 01HF7YAT00…        an event: come back with `Last-Event-ID`, and nothing that was kept is missed
//! event: circuit.opened
//! data: {…}
//! event: lagged          the client read too slowly; so many of its events are missing here
//! event: reset           it came back too late, or to another instance
//! :                      nothing happened for a while
//! ```
//!
//! The connection pulls from a queue of its own; a client that does not read makes nobody wait.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde_json::json;

use crate::inbound::control::App;
use crate::inbound::control::bad_request;
use crate::inbound::control::id_of;
use crate::inbound::respond;
use crate::record::EventItem;
use crate::record::EventReset;
use crate::record::EventTypes;
use crate::record::Events;
use crate::record::Subscription;
use crate::request::Problem;

/// A comment is sent where nothing else was for so long: proxies end what seems dead, and so do we what is.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client should wait before it comes back.
const RETRY_MS: u64 = 2_000;
/// Where a client that missed something reads how things stand.
const RESYNC: &str = "/health";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The handler.
pub(crate) async fn stream(State(server): App, request: Request) -> Response {
    let events = &server.shared.events;
    match subscribe(events, &request) {
        Ok(subscription) => {
            let body = Body::from_stream(frames(subscription, opening(&events.instance())));
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                // nginx would collect it otherwise.
                (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
            ];
            (headers, body).into_response()
        }
        Err(problem) => respond::of_problem(&problem, &id_of(&request)),
    }
}

fn subscribe(events: &Events, request: &Request) -> Result<Subscription, Problem> {
    let mut types = None;
    let bad = |parameter: &str, detail: String| {
        bad_request("bad-parameter", "Bad parameter", detail).with("parameter", parameter)
    };
    for (name, value) in crate::request::query_pairs(request.uri().query().unwrap_or_default())? {
        match name.as_str() {
            "types" if types.is_some() => {
                return Err(bad("types", "`types` is given twice; separate types by commas".to_owned()));
            }
            "types" => {
                types = Some(EventTypes::parse(&value).map_err(|unknown| {
                    let problem = bad("types", unknown.to_string());
                    unknown.near.into_iter().fold(problem, |problem, near| problem.with("did_you_mean", near))
                })?);
            }
            other => return Err(bad(other, format!("there is no parameter `{other}`: take `types`"))),
        }
    }
    // An empty text is as good as none.
    let types = types.filter(|types| *types != EventTypes::default()).unwrap_or_else(EventTypes::all);
    let after = request.headers().get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or("?"));
    events.subscribe(types, after.filter(|id| !id.is_empty())).map_err(|full| {
        let detail =
            format!("{} listen already (`events.max_subscribers`); close one, or allow more of them", full.bound);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-subscribers", "Too many subscribers", detail)
            .retry_after(Duration::from_secs(5))
    })
}

fn opening(instance: &str) -> Bytes {
    format!("retry: {RETRY_MS}\n: events of instance {instance}\n\n").into()
}

/// The pieces of the body. It ends with the subscription.
fn frames(subscription: Subscription, opening: Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let first = stream::iter([Ok(opening)]);
    let rest = stream::unfold(subscription, |mut subscription| async move {
        let frame = match tokio::time::timeout(KEEP_ALIVE, subscription.next()).await {
            Ok(item) => frame(&item?),
            Err(_) => Bytes::from_static(b":\n\n"),
        };
        Some((Ok(frame), subscription))
    });
    stream::StreamExt::chain(first, rest)
}

fn frame(item: &EventItem) -> Bytes {
    match item {
        EventItem::Told(told) => {
            format!("id: {}\nevent: {}\ndata: {}\n\n", told.id, told.kind.as_str(), told.json()).into()
        }
        // Without an id: the client's last one stays that of its last event.
        EventItem::Lagged(missed) => {
            let body = json!({"missed": missed, "reason": "slow_reader", "resync": RESYNC});
            format!("event: lagged\ndata: {body}\n\n").into()
        }
        EventItem::Reset(reset) => {
            let body = match reset {
                EventReset::Gone(missed) => json!({"missed": missed, "reason": "not_kept", "resync": RESYNC}),
                EventReset::OtherInstance => json!({"missed": null, "reason": "other_instance", "resync": RESYNC}),
            };
            format!("event: reset\ndata: {body}\n\n").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::StreamExt;

    use super::*;
    use crate::base::Clock;

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_says_that_it_lives_and_ends_with_the_bus() {
        let clock = Clock::start();
        let events = Events::new(clock);
        let subscription = events.subscribe(EventTypes::all(), None).unwrap();
        let mut frames = Box::pin(frames(subscription, opening("0000abcd")));
        let text =
            |frame: Option<Result<Bytes, Infallible>>| String::from_utf8(frame.unwrap().unwrap().to_vec()).unwrap();
        assert_eq!(text(frames.next().await), "retry: 2000\n: events of instance 0000abcd\n\n");
        let begun = clock.now();
        assert!(frames.next().now_or_never().is_none(), "nothing to say yet");
        for n in 1..=3 {
            assert_eq!(text(frames.next().await), ":\n\n");
            assert_eq!(clock.now().since(begun).as_secs(), 15 * n);
        }
        events.close();
        assert!(frames.next().await.is_none());
    }

    #[test]
    fn what_is_missing_is_said_without_an_id() {
        let said = |item: EventItem| String::from_utf8(frame(&item).to_vec()).unwrap();
        let lagged = said(EventItem::Lagged(7));
        assert_eq!(lagged, "event: lagged\ndata: {\"missed\":7,\"reason\":\"slow_reader\",\"resync\":\"/health\"}\n\n");
        let reset = said(EventItem::Reset(EventReset::OtherInstance));
        assert!(reset.starts_with("event: reset\ndata: {\"missed\":null,"), "{reset}");
    }
}
