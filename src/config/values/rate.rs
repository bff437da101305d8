//! Rates: so many in a unit of time.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;
use crate::policy::gcra::Rate;

/// More in one unit of time is no limit any more.
const MOST: u32 = 1_000_000;
const UNITS: [(&str, &str, u64); 4] =
    [("s", "second", 1), ("m", "minute", 60), ("h", "hour", 3_600), ("d", "day", 86_400)];

/// `10/second`, `100/m`.
pub(crate) fn rate(scalar: &Scalar) -> Result<Rate, Problem> {
    let text = scalar.text.trim();
    let Some((count, unit)) = text.split_once('/') else {
        let help = match &scalar.written {
            Some(written) => format!("write the unit of time behind it: `{written}/second`"),
            None if text.parse::<u32>().is_ok() => format!("write `{text}/second` or `{text}/minute`"),
            None => "write a number and a unit of time: `10/second`, `100/minute`".to_owned(),
        };
        return Err(problem(codes::BAD_RATE, "a rate needs a unit of time").help(help));
    };
    let (count, unit) = (count.trim(), unit.trim());
    let Some((_, _, seconds)) = UNITS.iter().find(|(short, long, _)| [*short, *long].contains(&unit)) else {
        let help = "write `/second`, `/minute`, `/hour` or `/day`";
        return Err(problem(codes::BAD_RATE, format!("{} is not a rate", scalar.shown())).help(help));
    };
    match count.parse::<NonZeroU32>() {
        Ok(count) if count.get() <= MOST => Ok(Rate { count, per: Duration::from_secs(*seconds) }),
        Ok(_) => Err(not_one(scalar).help(format!("the highest rate is `{MOST}/{unit}`"))),
        Err(_) if count.parse::<f64>().is_ok_and(|count| count > 0.0 && count < 1.0) => {
            Err(not_one(scalar).help("write a whole number in a longer time: `30/minute` is one in two seconds"))
        }
        Err(_) => Err(not_one(scalar)
            .help(format!("write a whole number from 1 to {MOST} before the `/`; there is no rate of none"))),
    }
}

fn not_one(scalar: &Scalar) -> Problem {
    problem(codes::BAD_RATE, format!("{} is not a rate", scalar.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::testing::help;
    use crate::config::values::testing::plain;
    use crate::config::values::testing::secret;

    #[test]
    fn rates_carry_their_unit_of_time() {
        let cases = [
            ("10/second", 10, 1),
            ("10/s", 10, 1),
            ("100/minute", 100, 60),
            ("100 / m", 100, 60),
            ("1000/h", 1000, 3_600),
            ("1/day", 1, 86_400),
        ];
        for (text, count, seconds) in cases {
            let read = rate(&plain(text)).unwrap();
            assert_eq!((read.count.get(), read.per.as_secs()), (count, seconds), "{text}");
        }
        assert_eq!(help(rate(&plain("10"))), "write `10/second` or `10/minute`");
        assert_eq!(help(rate(&secret("10"))), "write the unit of time behind it: `${X}/second`");
        assert_eq!(help(rate(&plain("10/sec"))), "write `/second`, `/minute`, `/hour` or `/day`");
        assert!(help(rate(&plain("0.5/s"))).contains("`30/minute`"));
        for bad in ["", "/s", "0/s", "-1/s", "1.5/s", "10/", "1000001/s", "10/10s", "often"] {
            assert!(rate(&plain(bad)).is_err(), "{bad}");
        }
    }
}
