//! Header names and values that may be set.

use http::HeaderName;
use http::HeaderValue;

use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;

/// What belongs to one connection or is made from the message itself: setting it breaks the message.
const OF_THE_MESSAGE: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The name of a header that may be set or passed on.
pub(crate) fn header_name(scalar: &Scalar) -> Result<HeaderName, Problem> {
    header_name_of(&scalar.text)
        .map_err(|(what, help)| problem(codes::BAD_HEADER, format!("{} {what}", scalar.shown())).help(help))
}

/// The same from a text; `Err` says what is wrong and what to write.
pub(crate) fn header_name_of(text: &str) -> Result<HeaderName, (&'static str, &'static str)> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        return Err(("is not a header name", "write letters, digits and `-`, such as `X-Api-Version`"));
    };
    if OF_THE_MESSAGE.contains(&name.as_str()) {
        return Err(("is made by HTTP itself", "remove it: it belongs to one connection or follows from the message"));
    }
    Ok(name)
}

/// A header's value.
pub(crate) fn header_value(scalar: &Scalar) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(&scalar.text).map_err(|_| {
        let message = format!("{} is not a header value", scalar.shown().escape_debug());
        problem(codes::BAD_HEADER, message).help("a value is one line of visible ASCII")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::testing::plain;

    #[test]
    fn headers_of_the_message_are_refused() {
        assert!(header_name(&plain("X-Thing")).is_ok());
        for bad in ["Host", "content-length", "Transfer-Encoding", "Connection", "X Y", "", "ä"] {
            assert!(header_name(&plain(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_is_one_line() {
        assert!(header_value(&plain("a b")).is_ok());
        assert!(header_value(&plain("a\nX: b")).is_err());
    }
}
