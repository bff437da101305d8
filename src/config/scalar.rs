//! What a plain YAML scalar means: the core schema of YAML 1.2.

/// The meaning of a scalar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Null,
    Bool(bool),
    /// A number, as JSON writes it: with the digits it was written with.
    Number(String),
    /// `.inf`, `.nan`: numbers that JSON does not have.
    NotFinite,
    Text,
    /// A `${…}` in it could not be expanded; there is a finding already.
    Broken,
}

/// The meaning of a plain scalar.
pub(crate) fn plain(text: &str) -> Typed {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Typed::Null,
        "true" | "True" | "TRUE" => return Typed::Bool(true),
        "false" | "False" | "FALSE" => return Typed::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Typed::NotFinite,
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Typed::NotFinite;
    }
    radix(text).or_else(|| decimal(text.starts_with('-'), unsigned)).map_or(Typed::Text, Typed::Number)
}

/// `0x1f`, `0o17`.
fn radix(text: &str) -> Option<String> {
    let (digits, base) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text.strip_prefix("0o")?, 8),
    };
    if digits.starts_with('+') {
        return None;
    }
    u128::from_str_radix(digits, base).ok().map(|n| n.to_string())
}

/// `12`, `1.10`, `.5`, `1e3`.
fn decimal(negative: bool, unsigned: &str) -> Option<String> {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !fraction.is_none_or(digits) || (whole.is_empty() && fraction.is_none_or(str::is_empty)) {
        return None;
    }
    let mut json = String::from(if negative { "-" } else { "" });
    match whole.trim_start_matches('0') {
        "" => json.push('0'),
        trimmed => json.push_str(trimmed),
    }
    if let Some(fraction) = fraction {
        json.push('.');
        json.push_str(if fraction.is_empty() { "0" } else { fraction });
    }
    if let Some(exponent) = exponent {
        let plain = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if plain.is_empty() || !digits(plain) {
            return None;
        }
        json.push('e');
        json.push_str(exponent);
    }
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_they_were_written_with() {
        let cases = [
            ("5", "5"),
            ("-7", "-7"),
            ("+7", "7"),
            ("007", "7"),
            ("0", "0"),
            ("1.10", "1.10"),
            ("12345678901234567890", "12345678901234567890"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("1.", "1.0"),
            ("1e3", "1e3"),
            ("1.5E-3", "1.5e-3"),
            ("0x1F", "31"),
            ("0o17", "15"),
        ];
        for (text, json) in cases {
            assert_eq!(plain(text), Typed::Number(json.to_owned()), "{text}");
            assert!(serde_json::from_str::<serde_json::Number>(json).is_ok(), "{json}");
        }
    }

    #[test]
    fn what_only_looks_like_a_number_or_a_switch_is_text() {
        for text in
            [".", "-", "+", "1.2.3", "1e", "e3", "0x", "0xZZ", "0x+1", "60s", "yes", "off", "1_000", "2026-01-01"]
        {
            assert_eq!(plain(text), Typed::Text, "{text}");
        }
    }

    #[test]
    fn null_and_switches_are_those_of_the_core_schema() {
        assert_eq!(plain(""), Typed::Null);
        assert_eq!(plain("~"), Typed::Null);
        assert_eq!(plain("true"), Typed::Bool(true));
        assert_eq!(plain("-.inf"), Typed::NotFinite);
    }
}
