//! Numbers as JSONPath compares them: by value, whatever way they are written.

use std::cmp::Ordering;

/// A number. What is written as an integer is compared exactly, so that long identifiers differ where they differ.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    /// Written without fraction and exponent, in less than 39 digits.
    Whole(i128),
    /// Anything else.
    Float(f64),
}

impl Number {
    /// Of a JSON number; `None` for another text.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        match raw.parse() {
            Ok(whole) => Some(Self::Whole(whole)),
            Err(_) => raw.parse().ok().map(Self::Float),
        }
    }

    /// Of a length or count.
    pub(super) fn count(count: usize) -> Self {
        i128::try_from(count).map_or(Self::Float(f64::INFINITY), Self::Whole)
    }

    /// Which is greater.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let cases = [
            ("1", "1.0", Ordering::Equal),
            ("100", "1e2", Ordering::Equal),
            ("-0", "0", Ordering::Equal),
            ("-0.0", "0", Ordering::Equal),
            ("12345678901234567890", "12345678901234567891", Ordering::Less),
            ("0.1", "0.10", Ordering::Equal),
            ("2", "10", Ordering::Less),
            ("-2", "-10", Ordering::Greater),
            ("1e400", "1e300", Ordering::Greater),
        ];
        for (a, b, expected) in cases {
            let (left, right) = (Number::parse(a).unwrap(), Number::parse(b).unwrap());
            assert_eq!(left.compare(right), Some(expected), "{a} and {b}");
            assert_eq!(right.compare(left), Some(expected.reverse()), "{b} and {a}");
        }
    }
}
