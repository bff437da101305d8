//! How long: what a client asks for, what a request gets, and what is left for one attempt.

use std::time::Duration;

use crate::base::Moment;

/// With less than this left, an attempt is not worth starting.
pub(crate) const MIN_ATTEMPT_BUDGET: Duration = Duration::from_millis(10);

/// The timeout that a client's header asks for: `2.5` (seconds), `250ms`, `2s`, `1m`. `None`: not of that form, to be
/// ignored and counted.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim_matches([' ', '\t']);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ns: u128 = match text.strip_prefix(digits)? {
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return None,
    };
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || part.is_some_and(|part| !is_number(part)) {
        return None;
    }
    // Digits alone: the only failure left is a number too large, and the longest wait is what that means.
    let whole = u128::from(whole.parse::<u64>().unwrap_or(u64::MAX));
    let part_ns = part.map_or(0, |part| fraction(part, unit_ns));
    let total = whole.saturating_mul(unit_ns).saturating_add(part_ns);
    Some(Duration::from_nanos(u64::try_from(total).unwrap_or(u64::MAX)))
}

/// `0.digits` of a unit. What is beyond nine digits is beyond the nanosecond.
fn fraction(digits: &str, unit_ns: u128) -> u128 {
    let places = digits.bytes().take(9);
    let (value, scale) =
        places.fold((0_u128, 1_u128), |(value, scale), digit| (value * 10 + u128::from(digit - b'0'), scale * 10));
    value * unit_ns / scale
}

/// A budget as the header tells it: seconds, floored to the millisecond, so that nobody is promised more than there is.
pub(crate) fn header_value(budget: Duration) -> String {
    format!("{}.{:03}", budget.as_secs(), budget.subsec_millis())
}

/// What bounds a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    /// `timeout` of the route.
    pub(crate) route: Duration,
    /// `deadline.max`
    pub(crate) max: Duration,
    /// `deadline.low_timeout_threshold`
    pub(crate) low_threshold: Duration,
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestBudget {
    pub(crate) length: Duration,
    /// Whether the client's header is what bounds it. What that cuts short is `deadline_exceeded` and no evidence
    /// against an upstream: else anybody could open everybody's circuit by a header. What an operator's setting cuts
    /// short is `attempt_timeout`.
    pub(crate) by_client: bool,
}

/// The client waits no longer than `low_timeout_threshold`: refused at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's timeout of {0:?} is too short to do anything in")]
pub(crate) struct TooShort(pub(crate) Duration);

/// The budget of a request; `asked` is what [`parse`] made of the client's header, if there was a valid one.
pub(crate) fn request_budget(asked: Option<Duration>, limits: RequestLimits) -> Result<RequestBudget, TooShort> {
    let length = limits.route.min(limits.max);
    match asked {
        Some(asked) if asked <= limits.low_threshold => Err(TooShort(asked)),
        Some(asked) if asked < length => Ok(RequestBudget { length: asked, by_client: true }),
        _ => Ok(RequestBudget { length, by_client: false }),
    }
}

/// The timer of an attempt that is sent now. `None`: too little is left to start one.
pub(crate) fn attempt_budget(
    flight_deadline: Moment,
    attempt_timeout: Option<Duration>,
    min_attempt_budget: Duration,
    now: Moment,
) -> Option<Duration> {
    let left = flight_deadline.since(now);
    (left >= min_attempt_budget).then(|| attempt_timeout.map_or(left, |timeout| timeout.min(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    const LIMITS: RequestLimits = RequestLimits { route: ms(10_000), max: ms(60_000), low_threshold: ms(5) };

    #[test]
    fn dlh_01_to_12_the_budget_of_a_request() {
        let cases = [
            ("DLH-01", None, Some(10_000)),
            ("DLH-02", Some("2.5"), Some(2_500)),
            ("DLH-03", Some("250ms"), Some(250)),
            ("DLH-04", Some("30"), Some(10_000)),
            ("DLH-05", Some("0"), None),
            ("DLH-06", Some("0.005"), None),
            ("DLH-07", Some("0.006"), Some(6)),
            ("DLH-08", Some("-1"), Some(10_000)),
            ("DLH-09", Some("NaN"), Some(10_000)),
            ("DLH-10", Some("1e9"), Some(10_000)),
            ("DLH-11", Some("abc"), Some(10_000)),
            ("DLH-12", Some("999999999999"), Some(10_000)),
        ];
        assert_eq!(cases.len(), 12);
        for (id, header, expected) in cases {
            let budget = request_budget(header.and_then(parse), LIMITS).ok().map(|budget| budget.length);
            assert_eq!(budget, expected.map(ms), "{id}");
        }
    }

    #[test]
    fn dla_01_to_04_the_timer_of_an_attempt() {
        let cases = [
            ("DLA-01", 0, Some(2_000)),
            ("DLA-02", 3_500, Some(1_500)),
            ("DLA-03", 4_995, None),
            ("DLA-04", 4_990, Some(10)),
        ];
        assert_eq!(cases.len(), 4);
        let start = Moment::from_start(ms(70));
        for (id, queued, expected) in cases {
            let now = start.after(ms(queued));
            let budget = attempt_budget(start.after(ms(5_000)), Some(ms(2_000)), MIN_ATTEMPT_BUDGET, now);
            assert_eq!(budget, expected.map(ms), "{id}");
        }
        let all = attempt_budget(start.after(ms(5_000)), None, MIN_ATTEMPT_BUDGET, start);
        assert_eq!(all, Some(ms(5_000)), "without a timeout of its own an attempt may take what is left");
    }

    #[test]
    fn dlp_03_each_attempt_tells_its_own_budget() {
        let (start, end) = (Moment::from_start(ms(70)), Moment::from_start(ms(1_070)));
        let told = |elapsed| attempt_budget(end, None, MIN_ATTEMPT_BUDGET, start.after(elapsed)).map(header_value);
        assert_eq!(told(ms(0)).as_deref(), Some("1.000"));
        assert_eq!(told(ms(500)).as_deref(), Some("0.500"));
        assert_eq!(told(Duration::from_micros(256_001)).as_deref(), Some("0.743"), "floored");
        assert_eq!(header_value(ms(60_007)), "60.007");
    }

    #[test]
    fn only_numbers_with_known_units_are_timeouts() {
        let good =
            [("2s", ms(2_000)), ("1.5m", ms(90_000)), ("0.743", ms(743)), ("2.5ms", Duration::from_micros(2_500))];
        for (text, expected) in good {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        assert_eq!(parse(" 2 "), Some(ms(2_000)), "a field value's own blanks do not count");
        assert_eq!(parse("0.1234567891234"), Some(Duration::from_nanos(123_456_789)));
        assert_eq!(parse("99999999999999999999999999m"), Some(Duration::from_nanos(u64::MAX)));
        for bad in ["", "s", "ms", ".5", "5.", "1.2.3", "1 s", "1S", "1h", "+1", "0x1", "inf", "1_0", "١", "1s1s"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_a_bound_tighter_than_the_operators_is_the_clients() {
        let by_client = |text| request_budget(parse(text), LIMITS).unwrap().by_client;
        assert_eq!(["9.999", "10", "11", "abc"].map(by_client), [true, false, false, false]);
        assert_eq!(request_budget(Some(ms(5)), LIMITS), Err(TooShort(ms(5))));
    }
}
