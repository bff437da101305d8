//! Whose requests count together.

use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;
use crate::config::similar;
use crate::config::values::header_name_of;
use crate::policy::quota::KeyPart;

const WORDS: [&str; 5] = ["tenant", "api_key", "ip", "route", "header:"];

/// `tenant`, `api_key`, `ip`, `route`, `header:X-Name`
pub(crate) fn limit_key(scalar: &Scalar) -> Result<KeyPart, Problem> {
    let wrong =
        |help: String| problem(codes::BAD_WORD, format!("{} tells no clients apart", scalar.shown())).help(help);
    match scalar.text.as_str() {
        "tenant" => Ok(KeyPart::Tenant),
        "api_key" => Ok(KeyPart::ApiKey),
        "ip" => Ok(KeyPart::Ip),
        "route" => Ok(KeyPart::Route),
        other => match other.strip_prefix("header:") {
            Some(name) => header_name_of(name.trim())
                .map(KeyPart::Header)
                .map_err(|_| wrong("write the name of a header: `header:X-Tenant-ID`".to_owned())),
            None => Err(wrong(match similar::closest(other, WORDS) {
                Some("header:") => "write `header:NAME`".to_owned(),
                Some(word) if !scalar.is_secret() => format!("write `{word}`"),
                Some(_) | None => "write `tenant`, `api_key`, `ip`, `route` or `header:NAME`".to_owned(),
            })),
        },
    }
}
