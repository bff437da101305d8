//! Durations, sizes, ratios, numbers: quantities carry their unit.

use std::time::Duration;

use crate::base::ByteSize;
use crate::base::parse_duration;
use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;
use crate::config::scalar::Typed;

/// Longer than anything meant; sums of several stay far from any overflow.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// `250ms`, `1.5s`, `1m30s`.
pub(crate) fn duration(scalar: &Scalar, zero: bool) -> Result<Duration, Problem> {
    let text = scalar.text.trim();
    if matches!(scalar.typed, Typed::Number(_)) || text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(bare_duration(scalar));
    }
    let Some(duration) = parse_duration(text) else {
        let help = match meant_duration(text).filter(|_| !scalar.is_secret()) {
            Some(meant) => format!("write `{meant}`"),
            None => "write a number with its unit: `250ms`, `2s`, `1m30s`, `1h`".to_owned(),
        };
        return Err(problem(codes::BAD_DURATION, format!("{} is not a duration", scalar.shown())).help(help));
    };
    if duration > LONGEST {
        let help = "the longest duration is `366d`";
        return Err(problem(codes::BAD_DURATION, format!("{} is too long", scalar.shown())).help(help));
    }
    if duration.is_zero() && !zero {
        let message = format!("{} is no time at all", scalar.shown());
        return Err(problem(codes::BAD_DURATION, message).help("write a duration longer than zero"));
    }
    Ok(duration)
}

/// What was most likely meant: `5sec`, `1 minute`, `1h30`, `.5s`, `2w`.
fn meant_duration(text: &str) -> Option<String> {
    let mut meant = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?)?;
        let after = after.trim_start();
        let (unit, next) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let (unit, times) = match unit.to_ascii_lowercase().as_str() {
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => ("ms", 1),
            "s" | "sec" | "secs" | "second" | "seconds" => ("s", 1),
            "m" | "min" | "mins" | "minute" | "minutes" => ("m", 1),
            "h" | "hr" | "hrs" | "hour" | "hours" => ("h", 1),
            "d" | "day" | "days" => ("d", 1),
            "w" | "week" | "weeks" => ("d", 7),
            _ => return None,
        };
        let number = if number.starts_with('.') { format!("0{number}") } else { number.to_owned() };
        let number = if times == 1 { number } else { (number.parse::<u64>().ok()? * times).to_string() };
        meant.push_str(&number);
        meant.push_str(unit);
        rest = next.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        // What `1h30` leaves open.
        if unit == "h" && !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()) {
            meant.push_str(rest);
            meant.push('m');
            break;
        }
    }
    parse_duration(&meant).map(|_| meant)
}

fn bare_duration(scalar: &Scalar) -> Problem {
    let number = scalar.text.trim();
    let help = match &scalar.written {
        Some(written) => format!("write the unit behind it: `{written}s`"),
        None if number.len() >= 3 && !number.contains('.') => format!("write `{number}ms` or `{number}s`"),
        None => format!("write `{number}s`"),
    };
    problem(codes::BAD_DURATION, "a duration needs a unit").help(help)
}

/// A decimal number times a unit, exactly; digits finer than one are cut.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty()
        || (number.contains('.') && fraction.is_empty())
        || fraction.len() > 18
        || fraction.contains('.')
    {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let parts = fraction.parse::<u128>().ok()?.checked_mul(u128::from(unit))?;
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    whole.checked_add(u64::try_from(parts / divisor).ok()?)
}

/// `64KiB`, `8MiB`, `1GiB`.
pub(crate) fn size(scalar: &Scalar) -> Result<ByteSize, Problem> {
    const UNITS: [(&str, u64); 5] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];
    let text = scalar.text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let found = UNITS.iter().find(|(name, _)| *name == unit);
    match found.and_then(|(_, scale)| scaled(number, *scale)) {
        Some(0) => {
            let message = format!("{} is no size at all", scalar.shown());
            Err(problem(codes::BAD_SIZE, message).help("write a size above zero"))
        }
        Some(bytes) => Ok(ByteSize::bytes(bytes)),
        None => Err(bad_size(scalar, number, unit)),
    }
}

fn bad_size(scalar: &Scalar, number: &str, unit: &str) -> Problem {
    let initial = unit.chars().next().map(|c| c.to_ascii_uppercase());
    let help = match (&scalar.written, initial) {
        (Some(written), None) => format!("write the unit behind it: `{written}KiB`"),
        (None, None) if !number.is_empty() => format!("write `{number}B`, `{number}KiB` or `{number}MiB`"),
        (None, Some(c @ ('K' | 'M' | 'G' | 'T'))) if !number.is_empty() => format!("write `{number}{c}iB`"),
        _ => "write a number with its unit: `64KiB`, `8MiB`, `1GiB`".to_owned(),
    };
    let message = match initial {
        None if !number.is_empty() => "a size needs a unit".to_owned(),
        None | Some(_) => format!("{} is not a size", scalar.shown()),
    };
    problem(codes::BAD_SIZE, message).help(help)
}

/// `0.5` or `50%`.
pub(crate) fn ratio(scalar: &Scalar) -> Result<f64, Problem> {
    let text = scalar.text.trim();
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().map(|value| value / 100.0),
        None => text.parse::<f64>(),
    };
    let help = "write a share of 1 (`0.5`) or a percentage (`50%`)";
    match parsed {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        Ok(value) if value > 1.0 && value <= 100.0 && !text.ends_with('%') && !scalar.is_secret() => {
            let message = format!("{} is not between 0 and 1", scalar.shown());
            Err(problem(codes::BAD_RATIO, message).help(format!("write `{text}%`")))
        }
        Ok(_) => Err(problem(codes::BAD_RATIO, format!("{} is not between 0 and 1", scalar.shown())).help(help)),
        Err(_) => Err(problem(codes::BAD_RATIO, format!("{} is not a ratio", scalar.shown())).help(help)),
    }
}

/// A whole number within bounds.
pub(crate) fn whole(scalar: &Scalar, min: u64, max: u64) -> Result<u64, Problem> {
    let range = if min == 0 { format!("up to {max}") } else { format!("from {min} to {max}") };
    if let Some(problem) = quoted_number(scalar) {
        return Err(problem);
    }
    let out_of_range = || {
        let message = format!("{} is out of range", scalar.shown());
        problem(codes::BAD_NUMBER, message).help(format!("write a whole number {range}"))
    };
    let text = match &scalar.typed {
        Typed::Number(json) => json,
        Typed::Null | Typed::Bool(_) | Typed::NotFinite | Typed::Text | Typed::Broken => &scalar.text,
    };
    match text.trim().parse::<u64>() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        Ok(_) => Err(out_of_range()),
        Err(_) if text.starts_with('-') && text[1..].parse::<u64>().is_ok() => Err(out_of_range()),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => Err(out_of_range()),
        Err(_) => {
            let message = format!("{} is not a whole number", scalar.shown());
            Err(problem(codes::BAD_NUMBER, message).help(format!("write a whole number {range}")))
        }
    }
}

/// A number, at least `min`.
pub(crate) fn number(scalar: &Scalar, min: f64) -> Result<f64, Problem> {
    if let Some(problem) = quoted_number(scalar) {
        return Err(problem);
    }
    let text = match &scalar.typed {
        Typed::Number(json) => json,
        Typed::Null | Typed::Bool(_) | Typed::NotFinite | Typed::Text | Typed::Broken => &scalar.text,
    };
    let parsed = text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    match parsed {
        Some(value) if value >= min => Ok(value),
        Some(_) => {
            let message = format!("{} is less than {min}", scalar.shown());
            Err(problem(codes::BAD_NUMBER, message).help(format!("write a number of at least {min}")))
        }
        None => {
            let message = format!("{} is not a number", scalar.shown());
            Err(problem(codes::BAD_NUMBER, message).help("write a number such as `1.5`"))
        }
    }
}

/// `"5"` where `5` is meant. What came from `${…}` among other text is text and means the number.
fn quoted_number(scalar: &Scalar) -> Option<Problem> {
    let number = matches!(crate::config::scalar::plain(&scalar.text), Typed::Number(_));
    (scalar.typed == Typed::Text && !scalar.is_secret() && number).then(|| {
        problem(codes::BAD_NUMBER, "a text, where a number should be")
            .help(format!("write {} without quotes", scalar.text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::testing::help;
    use crate::config::values::testing::plain;
    use crate::config::values::testing::secret;

    #[test]
    fn durations_carry_their_unit() {
        let cases = [("250ms", 250), ("2s", 2000), ("1.5s", 1500), ("1m30s", 90_000), ("1h", 3_600_000), ("0.5ms", 0)];
        for (text, ms) in cases {
            assert_eq!(duration(&plain(text), true).unwrap().as_millis(), ms, "{text}");
        }
        assert_eq!(help(duration(&plain("5"), true)), "write `5s`");
        assert_eq!(help(duration(&plain("250"), true)), "write `250ms` or `250s`");
        assert_eq!(help(duration(&secret("5"), true)), "write the unit behind it: `${X}s`");
        for bad in ["", "s", "5 s", "5sec", "-5s", "1.s", ".5s", "5s5", "1.2.3s", "99999999999h", "1e3s"] {
            assert!(duration(&plain(bad), true).is_err(), "{bad}");
        }
    }

    #[test]
    fn zero_is_a_duration_only_where_the_table_says_so() {
        assert_eq!(duration(&plain("0s"), true), Ok(Duration::ZERO));
        assert!(duration(&plain("0s"), false).is_err());
        assert!(duration(&plain("400d"), false).is_err());
    }

    #[test]
    fn sizes_carry_their_unit() {
        assert_eq!(size(&plain("64KiB")), Ok(ByteSize::kib(64)));
        assert_eq!(size(&plain("1.5MiB")), Ok(ByteSize::kib(1536)));
        assert_eq!(help(size(&plain("5mb"))), "write `5MiB`");
        assert_eq!(help(size(&plain("4096"))), "write `4096B`, `4096KiB` or `4096MiB`");
        assert!(size(&plain("0KiB")).is_err() && size(&plain("big")).is_err() && size(&plain("KiB")).is_err());
    }

    #[test]
    fn ratios_are_shares_or_percentages() {
        assert_eq!(ratio(&plain("0.5")), Ok(0.5));
        assert_eq!(ratio(&plain("50%")), Ok(0.5));
        assert_eq!(help(ratio(&plain("50"))), "write `50%`");
        for bad in ["-0.1", "101%", "half", "nan", "%"] {
            assert!(ratio(&plain(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_say_their_range() {
        assert_eq!(whole(&plain("0x10"), 0, 20), Ok(16));
        assert_eq!(help(whole(&plain("21"), 0, 20)), "write a whole number up to 20");
        assert_eq!(help(whole(&plain("-1"), 1, 20)), "write a whole number from 1 to 20");
        assert!(whole(&plain("1.5"), 0, 20).is_err() && whole(&plain("99999999999999999999"), 0, 20).is_err());
        assert_eq!(number(&plain("1.5"), 1.0), Ok(1.5));
        assert!(number(&plain("0.5"), 1.0).is_err() && number(&plain(".nan"), 1.0).is_err());
        let quoted = Scalar { typed: Typed::Text, ..plain("5") };
        assert_eq!(help(whole(&quoted, 0, 9)), "write 5 without quotes");
        assert_eq!(whole(&Scalar { typed: Typed::Text, ..secret("5") }, 0, 9), Ok(5));
    }
}
