//! What is told to a request that may not come in.

use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::request::error::Problem;

/// A route that wants a key, and a request without one.
pub(crate) fn no_key() -> Problem {
    unauthorized("send a key as `X-Api-Key: …` or `Authorization: Bearer …`", "Bearer realm=\"aggd\"")
}

/// A key that is none.
pub(crate) fn wrong_key(detail: &'static str) -> Problem {
    unauthorized(detail, "Bearer realm=\"aggd\", error=\"invalid_token\"")
}

fn unauthorized(detail: &'static str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}
