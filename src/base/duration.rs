//! Durations as configuration and calls write them: `250ms`, `1.5s`, `1m30s`, `2h`.

use std::fmt;
use std::time::Duration;

/// Prints a duration the way it is written in YAML.
pub(crate) struct Pretty(pub(crate) Duration);

impl fmt::Display for Pretty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let whole_minutes = millis.is_multiple_of(60_000) && millis > 60_000;
        if whole_minutes && millis.is_multiple_of(3_600_000) {
            write!(f, "{}h", millis / 3_600_000)
        } else if whole_minutes {
            write!(f, "{}m", millis / 60_000)
        } else if millis >= 1000 && millis.is_multiple_of(1000) {
            write!(f, "{}s", millis / 1000)
        } else if millis >= 1000 && millis.is_multiple_of(100) {
            write!(f, "{}.{}s", millis / 1000, millis % 1000 / 100)
        } else {
            write!(f, "{millis}ms")
        }
    }
}

/// The duration that a text writes; `None` where it is none. The unit is required: `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit)?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let well_formed = !number.starts_with('.') && !number.ends_with('.');
        let number: f64 = number.parse().ok().filter(|_| well_formed)?;
        // Whole nanoseconds, so that 0.1s is 100ms and not a little more.
        sum = sum.checked_add(Duration::try_from_secs_f64((number * seconds * 1e6).round() / 1e6).ok()?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_they_are_written() {
        let cases = [
            (0, "0ms"),
            (250, "250ms"),
            (2000, "2s"),
            (1500, "1.5s"),
            (1234, "1234ms"),
            (60_000, "60s"),
            (120_000, "2m"),
            (7_200_000, "2h"),
        ];
        for (millis, text) in cases {
            assert_eq!(Pretty(Duration::from_millis(millis)).to_string(), text);
        }
    }

    #[test]
    fn a_duration_needs_its_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("2s", 2000),
            ("1.5s", 1500),
            ("0.1s", 100),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("0s", 0),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5x", "-1s", "1 s", "1.s", ".5s", "1e3s", "5s5", "99999999999999999999h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
