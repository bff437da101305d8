//! The key by which an upstream knows that two attempts are one call.

use std::fmt::Write as _;

use http::HeaderValue;
use sha2::Digest as _;
use sha2::Sha256;

use crate::plan::CallPlan;
use crate::policy::retry::KeyFrom;
use crate::request::flight::Flight;

/// The key of this call, the same on all its attempts; `None`: the source sends none.
pub(super) fn key(flight: &Flight) -> Option<HeaderValue> {
    let set = flight.source.plan.terms.retry.idempotency_key.as_ref()?;
    let key = match set.from {
        KeyFrom::Uuid => uuid(fastrand::u128(..)),
        KeyFrom::Hash => hash(flight),
    };
    HeaderValue::try_from(key).ok()
}

/// A version 4 UUID of these bits.
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let mut text = format!("{bits:032x}");
    for dash in [20, 16, 12, 8] {
        text.insert(dash, '-');
    }
    text
}

/// Of everything that makes the request what it is; the endpoint is not part of it.
fn hash(flight: &Flight) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &[u8]| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    add(flight.source.plan.name.as_str().as_bytes());
    if let CallPlan::Http(http) = &flight.source.plan.call {
        add(http.method.as_str().as_bytes());
    }
    for (name, value) in flight.bound.present() {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    for (name, value) in &flight.forwarded {
        add(name.as_str().as_bytes());
        add(value.as_bytes());
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_its_version_and_variant_whatever_the_bits() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
