//! `Retry-After`: how long an upstream asks to be left alone.

use std::time::Duration;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The longest that is believed, whatever is written: what a 32-bit count of seconds holds.
const MAX_SECONDS: u64 = 2_147_483_647;

/// The length of an IMF-fixdate. The two obsolete forms of HTTP dates differ in it.
const IMF_FIXDATE: usize = "Thu, 01 Jan 2026 00:00:00 GMT".len();

/// What the header asks for: seconds (digits only, saturating), or a date, which against `wall` may have passed: zero.
/// `None` without the header and for anything else.
pub(crate) fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // The only way for digits not to parse is to be too large.
        let seconds = text.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS);
        return Some(Duration::from_secs(seconds));
    }
    if text.len() != IMF_FIXDATE {
        return None;
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let wait = date.duration_since(wall).unwrap_or_default();
    Some(wait.min(Duration::from_secs(MAX_SECONDS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::HeaderValue;

    #[test]
    fn rap_vectors() {
        let wall = httpdate::parse_http_date("Thu, 01 Jan 2026 00:00:00 GMT").unwrap();
        let vectors = [
            ("RAP-01", "120", Some(120_000)),
            ("RAP-02", "0", Some(0)),
            ("RAP-03", " 5 ", Some(5_000)),
            ("RAP-04", "-1", None),
            ("RAP-05", "1.5", None),
            ("RAP-06", "9999999999", Some(2_147_483_647_000)),
            ("RAP-06, past 64 bits", "99999999999999999999999999", Some(2_147_483_647_000)),
            ("RAP-07", "Thu, 01 Jan 2026 00:00:30 GMT", Some(30_000)),
            ("RAP-08", "Wed, 31 Dec 2025 23:59:00 GMT", Some(0)),
            ("RAP-09", "soon", None),
            ("RAP-10", "", None),
            ("an obsolete date", "Thursday, 01-Jan-26 00:00:30 GMT", None),
            ("a plus sign", "+5", None),
        ];
        for (id, text, millis) in vectors {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(retry_after(&headers, wall), millis.map(Duration::from_millis), "{id}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), wall), None, "no header");
    }
}
