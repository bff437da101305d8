//! Who may call what changes something: who has `admin.token`, or without one whoever is on this machine.

use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::base::Secret;
use crate::inbound::listen::Peer;
use crate::request::Problem;

/// Whether this call may change something.
pub(crate) fn allow(token: Option<&Secret>, peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
    // A page in an operator's browser must not be able to use the operator's place on the network.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") || is_foreign_origin(headers) {
        return Err(forbidden("a page of another site may not call this"));
    }
    match token {
        Some(token) => with_token(token, headers),
        None if is_loopback(peer, headers) => Ok(()),
        None => Err(forbidden(
            "without `admin.token` this is allowed from loopback alone, and not through a proxy; set `admin.token`",
        )),
    }
}

fn with_token(token: &Secret, headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match given {
        Some((_, given)) if is_same(given.trim().as_bytes(), token.expose().as_bytes()) => Ok(()),
        Some(_) => Err(unauthorized("the bearer token is not `admin.token`")),
        None => Err(unauthorized("send `Authorization: Bearer …` with the value of `admin.token`")),
    }
}

/// Compares in a time that does not tell how much of it was right.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn is_loopback(peer: Peer, headers: &HeaderMap) -> bool {
    let direct = !headers.contains_key(header::FORWARDED) && !headers.contains_key("x-forwarded-for");
    direct && peer.address().is_loopback()
}

fn is_foreign_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()) else { return false };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    origin.split_once("://").is_none_or(|(_, origin)| origin != host)
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1:5000";
    const REMOTE: &str = "192.0.2.7:5000";

    fn status(token: Option<&str>, peer: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
        let token = token.map(Secret::new);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let peer = Peer::Tcp(peer.parse().unwrap());
        allow(token.as_ref(), peer, &map).err().map(|problem| problem.status.as_u16())
    }

    #[test]
    fn without_a_token_only_loopback_itself_may() {
        assert_eq!(status(None, LOCAL, &[]), None);
        assert_eq!(status(None, "[::1]:1", &[]), None);
        assert_eq!(status(None, "[::ffff:127.0.0.1]:1", &[]), None);
        assert_eq!(status(None, REMOTE, &[]), Some(403));
        assert_eq!(status(None, LOCAL, &[("x-forwarded-for", "127.0.0.1")]), Some(403));
        assert_eq!(status(None, LOCAL, &[("forwarded", "for=127.0.0.1")]), Some(403));
    }

    #[test]
    fn with_a_token_it_alone_counts() {
        assert_eq!(status(Some("t"), LOCAL, &[]), Some(401));
        assert_eq!(status(Some("t"), REMOTE, &[("authorization", "Bearer t")]), None);
        assert_eq!(status(Some("t"), LOCAL, &[("authorization", "Bearer x")]), Some(401));
        assert_eq!(status(Some("t"), LOCAL, &[("authorization", "Basic t")]), Some(401));
    }

    #[test]
    fn a_foreign_page_may_not() {
        assert_eq!(status(None, LOCAL, &[("sec-fetch-site", "cross-site")]), Some(403));
        assert_eq!(status(None, LOCAL, &[("origin", "https://evil.example"), ("host", "localhost:8080")]), Some(403));
        assert_eq!(status(None, LOCAL, &[("origin", "http://localhost:8080"), ("host", "localhost:8080")]), None);
    }
}
