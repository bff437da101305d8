//! One request of a test, and its answer.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::Method;

use crate::config::selftest::RequestSpec;
use crate::config::selftest::Subject;
use crate::config::selftest::Tree;
use crate::plan::encode;
use crate::request;
use crate::request::Ask;
use crate::request::ReplyBody;
use crate::request::Shared;
use crate::request::Trace;
use crate::request::Trail;

/// What a test of a source asks for is a route with it alone; nobody else's can be called so.
const HIDDEN: &str = "/.aggd-test/";

/// Where clients come from.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An answer, read.
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// The body, where it is JSON.
    pub(crate) json: Option<Tree>,
    /// How it was had; `None`: the request was refused.
    pub(crate) mode: Option<&'static str>,
    pub(crate) took: Duration,
}

/// The document that declares the hidden route of a source.
pub(crate) fn hidden_route(subject: &Subject, timeout: Duration) -> Option<String> {
    let Subject::Source(name) = subject else { return None };
    let timeout = timeout.as_millis().clamp(1, 366 * 86_400_000);
    Some(format!("route: {HIDDEN}{name}\nsources: [{name}]\ntimeout: {timeout}ms\nauth: off\n"))
}

/// The path that is asked for.
pub(crate) fn path(subject: &Subject, request: &RequestSpec) -> String {
    match subject {
        Subject::Source(name) => format!("{HIDDEN}{name}"),
        Subject::Route(path) => filled(path, request),
    }
}

/// Asks, and waits for the whole answer; what is to be done behind it begins. `None`: nothing is served there.
pub(crate) async fn ask(shared: &Arc<Shared>, path: &str, request: &RequestSpec, trail: &Trail) -> Option<Seen> {
    let query: Vec<String> =
        request.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let query = query.join("&");
    let arrived = shared.clock.now();
    let ask = Ask {
        method: request.method.as_ref().unwrap_or(&Method::GET),
        path,
        query: (!query.is_empty()).then_some(query.as_str()),
        headers: &request.headers,
        peer: Some(PEER),
        request_id: "aggd-test".into(),
        trace: Trace::read(&request.headers),
        arrived,
        trail: trail.clone(),
    };
    let mut reply = request::run(shared, ask).await?;
    let body = match reply.body {
        ReplyBody::Whole(body) => body.into_vec(),
        ReplyBody::Progressive(mut pieces) => {
            let mut body = Vec::new();
            while let Some(piece) = pieces.recv().await {
                body.extend_from_slice(&piece);
            }
            body
        }
    };
    let took = shared.clock.now().since(arrived);
    let audit = reply.after.audit.take();
    reply.after.begin(shared);
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Seen {
        status: reply.status.as_u16(),
        headers: reply.headers,
        json: Tree::parse(&body),
        body,
        mode: audit.map(|audit| audit.mode),
        took,
    })
}

/// A route's path with its values put in, encoded; those of `{*rest}` keep their slashes.
fn filled(path: &str, request: &RequestSpec) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(&before.replace("}}", "}"));
        if let Some(after) = after.strip_prefix('{') {
            filled.push('{');
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let (name, is_rest) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
        let value = request.path.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let value = value.unwrap_or_default();
        if is_rest {
            let segments: Vec<_> = value.split('/').map(encode).collect();
            filled.push_str(&segments.join("/"));
        } else {
            filled.push_str(&encode(value));
        }
        rest = after;
    }
    filled.push_str(&rest.replace("}}", "}"));
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_filled_and_encoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let path = vec![pair("city", "São/Paulo"), pair("rest", "a b/c")];
        let request = RequestSpec { path, ..RequestSpec::default() };
        assert_eq!(filled("/x/{city}/y", &request), "/x/S%C3%A3o%2FPaulo/y");
        assert_eq!(filled("/files/{*rest}", &request), "/files/a%20b/c");
        assert_eq!(filled("/{{a}}/{city}", &request), "/{a}/S%C3%A3o%2FPaulo");
        assert_eq!(filled("/plain", &request), "/plain");
    }
}
