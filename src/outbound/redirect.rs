//! Where a redirect leads, and what goes along.
//!
//! | | |
//! |---|---|
//! | 303, and 301 or 302 of anything but GET and HEAD | GET (HEAD stays), without body |
//! | 307, 308, the rest of 301 and 302 | the same call |
//! | another origin | without credentials: the headers that hold them by name, and values marked sensitive |
//! | another scheme, or user and password in the URL | not followed |

use http::HeaderMap;
use http::Method;
use http::Uri;
use http::header::AUTHORIZATION;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LANGUAGE;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_LOCATION;
use http::header::CONTENT_TYPE;
use http::header::COOKIE;
use http::header::HOST;
use http::header::HeaderName;
use http::header::LOCATION;
use url::Url;

use crate::outbound::error::CallError;
use crate::outbound::exchange::Call;

/// The call that a redirect asks for; `None` if the answer is no redirect that can be followed, and so is the answer.
pub(crate) fn next(call: &Call, status: u16, headers: &HeaderMap) -> Result<Option<Call>, CallError> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else { return Ok(None) };
    let from = Url::parse(&call.url.to_string()).map_err(|_| CallError::Url)?;
    let mut to = from.join(location).map_err(|_| CallError::RedirectTo("to an invalid URL"))?;
    if to.scheme() != from.scheme() {
        return Err(CallError::RedirectTo("to another scheme"));
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(CallError::RedirectTo("to a URL with a user or password"));
    }
    to.set_fragment(None);
    let mut next = call.clone();
    next.url = Uri::try_from(to.as_str()).map_err(|_| CallError::RedirectTo("to an invalid URL"))?;
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    if !reads && matches!(status, 301..=303) {
        next.method = Method::GET;
        next.body = bytes::Bytes::new();
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
            next.headers.remove(name);
        }
    }
    if to.origin() != from.origin() {
        next.headers = without_credentials(&next.headers);
    }
    Ok(Some(next))
}

fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, value)| !value.is_sensitive() && !holds_credentials(name));
    // `Host` is the first origin's.
    kept.filter(|(name, _)| *name != HOST).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn holds_credentials(name: &HeaderName) -> bool {
    *name == AUTHORIZATION || *name == COOKIE || matches!(name.as_str(), "cookie2" | "x-api-key" | "api-key")
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::Bytes;
    use http::HeaderValue;

    fn call(method: Method, url: &'static str) -> Call {
        let mut key = HeaderValue::from_static("k");
        key.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, HeaderValue::from_static("Bearer t")),
            (COOKIE, HeaderValue::from_static("c=1")),
            (HOST, HeaderValue::from_static("a.example")),
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (HeaderName::from_static("x-vendor-token"), key),
            (HeaderName::from_static("x-kept"), HeaderValue::from_static("yes")),
        ]);
        Call { method, url: Uri::from_static(url), headers, body: Bytes::from_static(b"body") }
    }

    fn follow(call: &Call, status: u16, to: &str) -> Result<Option<Call>, CallError> {
        next(call, status, &HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(to).unwrap())]))
    }

    #[test]
    fn a_relative_location_is_resolved_and_loses_its_fragment() {
        let from = call(Method::GET, "http://a.example/x/y?q=1");
        for (to, url) in [
            ("/z", "http://a.example/z"),
            ("z?p=2#frag", "http://a.example/x/z?p=2"),
            ("//b.example:81/", "http://b.example:81/"),
        ] {
            assert_eq!(follow(&from, 302, to).unwrap().unwrap().url, url, "{to}");
        }
    }

    #[test]
    fn the_method_changes_as_the_standard_says() {
        for (method, status, after) in [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::PUT, 303, Method::GET),
            (Method::HEAD, 303, Method::HEAD),
            (Method::GET, 302, Method::GET),
            (Method::POST, 307, Method::POST),
            (Method::POST, 308, Method::POST),
        ] {
            let next = follow(&call(method.clone(), "http://a.example/"), status, "/to").unwrap().unwrap();
            assert_eq!(next.method, after, "{method} {status}");
            assert_eq!(next.body.is_empty(), method != after, "{method} {status}");
            assert_eq!(next.headers.contains_key(CONTENT_TYPE), method == after, "{method} {status}");
        }
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let from = call(Method::GET, "http://a.example/");
        let same = follow(&from, 302, "http://a.example:80/next").unwrap().unwrap();
        assert_eq!(same.headers, from.headers);
        for other in ["http://b.example/", "http://a.example:8080/", "http://sub.a.example/"] {
            let crossed = follow(&from, 302, other).unwrap().unwrap();
            let names = crossed.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>();
            assert_eq!(names, ["content-type", "x-kept"], "{other}");
        }
    }

    #[test]
    fn some_redirects_are_not_followed() {
        let from = call(Method::GET, "http://a.example/");
        for to in ["https://a.example/", "file:///etc/passwd", "http://user:pass@a.example/", "http://"] {
            assert!(matches!(follow(&from, 302, to), Err(CallError::RedirectTo(_))), "{to}");
        }
        for status in [200, 300, 304, 305, 404] {
            assert!(follow(&from, status, "/to").unwrap().is_none(), "{status}");
        }
        assert!(next(&from, 302, &HeaderMap::new()).unwrap().is_none(), "no location");
    }
}
