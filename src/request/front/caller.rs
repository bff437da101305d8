//! Who asks: the key that a request shows, held against `auth`.
//!
//! A key comes in `X-Api-Key`, else in `Authorization: Bearer`. Who sends the first keeps the second for upstreams that
//! want a token of their own (`forward_headers`); another scheme than Bearer is nothing to us.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::live::Snapshot;
use crate::policy::keys::ApiKey;
use crate::policy::keys::Wanted;
use crate::record::AccessResult;
use crate::request::context::Ask;
use crate::request::context::Shared;
use crate::request::error::Problem;
use crate::request::front::refusals;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
enum Shown<'a> {
    Nothing,
    Key(&'a [u8]),
    /// More than one: nobody can tell which is meant.
    Several,
}

/// Whose key the request shows; `Ok(None)`: nobody's, and that is allowed.
pub(crate) fn identify<'s>(
    shared: &Shared,
    snapshot: &'s Snapshot,
    ask: &Ask<'_>,
    wanted: Wanted,
) -> Result<Option<&'s ApiKey>, Problem> {
    let Some(access) = snapshot.plan.server.auth.as_ref().filter(|_| wanted != Wanted::Nothing) else {
        return Ok(None);
    };
    let (answer, counted) = match shown(ask.headers) {
        Shown::Nothing if wanted == Wanted::Required => (Err(refusals::no_key()), AccessResult::Missing),
        Shown::Nothing => (Ok(None), AccessResult::Anonymous),
        Shown::Several => (Err(refusals::wrong_key("there is more than one key; send one")), AccessResult::Wrong),
        Shown::Key(text) => match access.keys.find(text) {
            Some(key) => (Ok(Some(key)), AccessResult::Known),
            None => (Err(refusals::wrong_key("the key is none of `auth.api_keys`")), AccessResult::Wrong),
        },
    };
    shared.metrics.access.asked(counted);
    answer
}

fn shown(headers: &HeaderMap) -> Shown<'_> {
    match one(headers.get_all(X_API_KEY).iter().map(HeaderValue::as_bytes)) {
        Shown::Nothing => one(headers.get_all(header::AUTHORIZATION).iter().filter_map(bearer)),
        own @ (Shown::Key(_) | Shown::Several) => own,
    }
}

fn one<'a>(mut keys: impl Iterator<Item = &'a [u8]>) -> Shown<'a> {
    match (keys.next(), keys.next()) {
        (None, _) => Shown::Nothing,
        (Some(key), None) => Shown::Key(key.trim_ascii()),
        (Some(_), Some(_)) => Shown::Several,
    }
}

/// The token behind `Bearer`, in any case.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let value = value.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, token) = value.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(headers: &[(&'static str, &'static str)]) -> Option<&'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        match shown(&map) {
            Shown::Nothing => None,
            Shown::Key(key) => Some(String::from_utf8(key.to_vec()).unwrap().leak()),
            Shown::Several => Some("(several)"),
        }
    }

    #[test]
    fn a_key_comes_in_its_own_header_or_as_a_bearer_token() {
        assert_eq!(seen(&[]), None);
        assert_eq!(seen(&[("x-api-key", "k")]), Some("k"));
        assert_eq!(seen(&[("authorization", "Bearer k")]), Some("k"));
        assert_eq!(seen(&[("authorization", "bEARER   k ")]), Some("k"));
        assert_eq!(seen(&[("authorization", "Bearer of-the-upstream"), ("x-api-key", "k")]), Some("k"));
    }

    #[test]
    fn other_schemes_are_nothing_to_us() {
        assert_eq!(seen(&[("authorization", "Basic dTpw")]), None);
        assert_eq!(seen(&[("authorization", "Bearer")]), None);
        assert_eq!(seen(&[("authorization", "Bearerk")]), None);
    }

    #[test]
    fn an_empty_key_is_a_key_and_two_are_too_many() {
        assert_eq!(seen(&[("x-api-key", "")]), Some(""));
        assert_eq!(seen(&[("x-api-key", "a"), ("x-api-key", "b")]), Some("(several)"));
        assert_eq!(seen(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]), Some("(several)"));
    }
}
