//! The document a route's parts make together.

use crate::shape::strings::quote;

/// `{"alias": data, …}` in the order given; `null` for a part without data.
pub(crate) fn merge(parts: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let size: usize = parts.iter().map(|(alias, data)| alias.len() + data.map_or(4, <[u8]>::len) + 4).sum();
    let mut out = Vec::with_capacity(size + 2);
    out.push(b'{');
    for (place, (alias, data)) in parts.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        quote(alias, &mut out);
        out.push(b':');
        out.extend_from_slice(data.unwrap_or(b"null"));
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_order_and_their_bytes() {
        let parts: [(&str, Option<&[u8]>); 3] = [("b", Some(b"{\"x\": 1.10}")), ("a", None), ("c-d", Some(b"[]"))];
        assert_eq!(merge(&parts), br#"{"b":{"x": 1.10},"a":null,"c-d":[]}"#);
        assert_eq!(merge(&[]), b"{}");
    }
}
