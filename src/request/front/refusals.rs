//! What is told to a request that may not come in.

use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::policy::quota::Refusal;
use crate::policy::quota::Short;
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

/// A request that a limit does not let in.
pub(crate) fn over_limit(refusal: &Refusal, short: Short, violated: &[String]) -> Problem {
    let detail = match (&refusal.message, short) {
        (Some(message), _) => message.to_string(),
        (None, Short::Rate(_)) => format!("too many requests ({}); ask again later", violated.join(", ")),
        (None, Short::InFlight) => {
            format!("too many requests at the same time ({}); wait for one to end", violated.join(", "))
        }
    };
    let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", "Quota exceeded", detail)
        .registered()
        .with("violated-policies", violated);
    problem.status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    problem
}
