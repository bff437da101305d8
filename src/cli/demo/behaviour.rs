//! How an upstream of the demo behaves, and the switch that changes it.
//!
//! ```text
//! ok       a document after 30 to 120 ms
//! fail     503
//! hang     no answer at all
//! garbage  200, and a body that is not JSON
//! slow     a document after `delay`
//! ```

use std::fmt;
use std::time::Duration;

use crate::base::Pretty;
use crate::base::parse_duration;
use crate::cli::demo::CACHE_TTL_SECONDS;
use crate::cli::demo::FAILURE_THRESHOLD;
use crate::cli::demo::RECOVERY_SECONDS;
use crate::cli::demo::TIMEOUT_SECONDS;

/// The words a switch takes.
pub(crate) const MODES: [&str; 5] = ["ok", "fail", "hang", "garbage", "slow"];
/// Of `slow` without a `delay`: slow enough to see, quick enough for the demo's timeout.
const SLOW: Duration = Duration::from_millis(800);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// What an upstream does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Ok,
    Fail,
    Hang,
    Garbage,
    Slow(Duration),
}

/// A switch that can't be followed: what is allowed instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SwitchError {
    #[error("say which: `?mode=` with {all}", all = listed())]
    NoMode,
    #[error("there is no mode `{0}`; there are {all}", all = listed())]
    UnknownMode(String),
    #[error("there is no `{0}`; a switch takes `mode` and, with `mode=slow`, `delay`")]
    UnknownName(String),
    #[error("`delay` goes with `mode=slow` alone")]
    DelayWithout,
    #[error("`{0}` is not a delay; write a number with its unit, such as `800ms`, up to {max}", max = Pretty(LONGEST_DELAY))]
    BadDelay(String),
}

fn listed() -> String {
    MODES.map(|mode| format!("`{mode}`")).join(", ")
}

impl Mode {
    /// The mode that the query of a switch asks for.
    pub(crate) fn parse(query: &str) -> Result<Self, SwitchError> {
        let (mut word, mut delay) = (None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "mode" => word = Some(value.into_owned()),
                "delay" => delay = Some(value.into_owned()),
                _ => return Err(SwitchError::UnknownName(name.into_owned())),
            }
        }
        let word = word.ok_or(SwitchError::NoMode)?;
        let mode = match word.as_str() {
            "ok" => Self::Ok,
            "fail" => Self::Fail,
            "hang" => Self::Hang,
            "garbage" => Self::Garbage,
            "slow" => Self::Slow(SLOW),
            _ => return Err(SwitchError::UnknownMode(word)),
        };
        match (mode, delay) {
            (Self::Slow(_), Some(text)) => match parse_duration(&text).filter(|delay| *delay <= LONGEST_DELAY) {
                Some(delay) => Ok(Self::Slow(delay)),
                None => Err(SwitchError::BadDelay(text)),
            },
            (Self::Ok | Self::Fail | Self::Hang | Self::Garbage, Some(_)) => Err(SwitchError::DelayWithout),
            (mode, None) => Ok(mode),
        }
    }

    /// What there is to see now that an upstream is in this mode.
    pub(crate) fn watch(self, name: &str) -> String {
        let ttl = CACHE_TTL_SECONDS;
        let stands_in = format!(
            "once its answer in the cache is older than {ttl}s, each /aggregate calls {name}, and the last answer stands in \
             (\"status\":\"stale\"); {FAILURE_THRESHOLD} failures in a row open its circuit for {RECOVERY_SECONDS}s: see /health"
        );
        match self {
            Self::Ok => format!(
                "where its circuit is open: {RECOVERY_SECONDS}s after it opened /health says half_open, the next /aggregate \
                 probes {name}, and its success closes the circuit"
            ),
            Self::Fail | Self::Garbage => stands_in,
            Self::Hang => format!("a call is given up after {TIMEOUT_SECONDS}s; {stands_in}"),
            Self::Slow(delay) => format!(
                "/aggregate takes as long as its slowest source; {name} now takes {}, and past {TIMEOUT_SECONDS}s it has failed",
                Pretty(delay)
            ),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Fail => f.write_str("fail"),
            Self::Hang => f.write_str("hang"),
            Self::Garbage => f.write_str("garbage"),
            Self::Slow(delay) => write!(f, "slow ({})", Pretty(*delay)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_switches_and_only_slow_takes_a_delay() {
        for word in MODES {
            let mode = Mode::parse(&format!("mode={word}")).unwrap();
            assert!(mode.to_string().starts_with(word), "{word}");
        }
        assert_eq!(Mode::parse("mode=slow&delay=1.5s"), Ok(Mode::Slow(Duration::from_millis(1500))));
        assert_eq!(Mode::parse("mode=fail&delay=1s"), Err(SwitchError::DelayWithout));
    }

    #[test]
    fn a_wrong_switch_says_what_is_allowed() {
        for (query, said) in [
            ("", "say which: `?mode=` with `ok`, `fail`, `hang`, `garbage`, `slow`"),
            ("mode=down", "there is no mode `down`; there are `ok`, `fail`, `hang`, `garbage`, `slow`"),
            ("mode=ok&x=1", "there is no `x`; a switch takes `mode` and, with `mode=slow`, `delay`"),
            ("mode=slow&delay=5", "`5` is not a delay; write a number with its unit, such as `800ms`, up to 60s"),
            ("mode=slow&delay=2m", "`2m` is not a delay; write a number with its unit, such as `800ms`, up to 60s"),
        ] {
            assert_eq!(Mode::parse(query).unwrap_err().to_string(), said, "{query}");
        }
    }
}
