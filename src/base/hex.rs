//! Random ids as hexadecimal text, made without the formatting machinery: every request needs some.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal digits; the least significant `N` of them, leading zeros kept.
pub(crate) fn hex<const N: usize>(mut value: u128) -> [u8; N] {
    let mut out = [b'0'; N];
    for digit in out.iter_mut().rev() {
        let low = usize::from(value.to_le_bytes().first().copied().unwrap_or_default() & 15);
        *digit = DIGITS.get(low).copied().unwrap_or(b'0');
        value >>= 4;
    }
    out
}

/// Such digits as text.
pub(crate) fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_what_formatting_would_give() {
        for value in [0, 1, 0xdead_beef, u128::MAX, 1 << 127] {
            assert_eq!(hex::<32>(value), format!("{value:032x}").as_bytes(), "{value}");
        }
        assert_eq!(text(&hex::<4>(0xabc)), "0abc");
    }
}
