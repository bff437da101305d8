//! Scalars → quantities, words, addresses. Each says what to write instead; none shows what came from `${…}`.

mod address;
mod delay;
mod header;
mod limit_key;
mod quantity;
mod rate;

pub(crate) use address::database;
pub(crate) use address::listen;
pub(crate) use address::network;
pub(crate) use address::parse_listen;
pub(crate) use address::proxy;
pub(crate) use delay::delay;
pub(crate) use header::header_name;
pub(crate) use header::header_name_of;
pub(crate) use header::header_value;
pub(crate) use limit_key::limit_key;
pub(crate) use quantity::duration;
pub(crate) use quantity::number;
pub(crate) use quantity::ratio;
pub(crate) use quantity::size;
pub(crate) use quantity::whole;
pub(crate) use rate::rate;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;
use crate::config::scalar::Typed;
use crate::config::similar;
use crate::policy::fallback::Trigger;
use crate::policy::outcome::Kind;
use crate::policy::outcome::Selector;

/// `true` or `false`.
pub(crate) fn switch(scalar: &Scalar) -> Result<bool, Problem> {
    match (&scalar.typed, scalar.text.as_str()) {
        (Typed::Bool(value), _) => Ok(*value),
        // Put in by `${…}` among other text, or quoted: the meaning is plain.
        (_, "true") => Ok(true),
        (_, "false") => Ok(false),
        (_, other) => {
            let help = match other.to_ascii_lowercase().as_str() {
                "yes" | "on" | "1" | "y" => "write `true`",
                "no" | "off" | "0" | "n" => "write `false`",
                _ => "write `true` or `false`",
            };
            Err(problem(codes::BAD_SWITCH, format!("{} is neither `true` nor `false`", scalar.shown())).help(help))
        }
    }
}

/// One of some words.
pub(crate) fn one_of(scalar: &Scalar, words: &[&'static str]) -> Result<&'static str, Problem> {
    if let Some(word) = words.iter().find(|word| **word == scalar.text) {
        return Ok(word);
    }
    let list = listed(words);
    let help = match similar::closest(&scalar.text, words.iter().copied()) {
        Some(word) if !scalar.is_secret() => format!("write `{word}`"),
        Some(_) | None => format!("write {list}"),
    };
    let message = format!("{} is not one of {}", scalar.shown(), list.replace(" or ", ", "));
    Err(problem(codes::BAD_WORD, message).help(help))
}

/// `` `a`, `b` or `c` ``
pub(crate) fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [firsts @ .., last] => {
            let firsts: Vec<_> = firsts.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", firsts.join(", "))
        }
    }
}

/// The name of a source or part.
pub(crate) fn name(scalar: &Scalar) -> Result<Name, Problem> {
    Name::parse(&scalar.text).ok_or_else(|| {
        if scalar.is_secret() {
            return problem(codes::BAD_NAME, format!("{} is not a name", scalar.shown())).help(NAME_RULE);
        }
        bad_name(&scalar.text)
    })
}

const NAME_RULE: &str = "a name is a lower case letter, then lower case letters, digits, `_`, `-`; at most 63 in all";

/// What to say of a text that is no name.
pub(crate) fn bad_name(text: &str) -> Problem {
    let help = match repaired(text) {
        Some(name) => format!("write `{name}`; {NAME_RULE}"),
        None => NAME_RULE.to_owned(),
    };
    problem(codes::BAD_NAME, format!("`{text}` is not a name")).help(help)
}

/// The name that it would be with its letters made right.
fn repaired(text: &str) -> Option<Name> {
    let right = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' };
    let text: String = text.trim().chars().map(right).collect();
    Name::parse(text.trim_start_matches(|c: char| !c.is_ascii_lowercase()))
}

/// A selector of outcomes.
pub(crate) fn selector(scalar: &Scalar) -> Result<Selector, Problem> {
    Selector::parse(&scalar.text).ok_or_else(|| {
        let kinds = Kind::ALL.iter().map(|kind| kind.as_str()).chain(["timeout"]);
        let folded = scalar.text.to_ascii_lowercase();
        let meant = Selector::parse(&folded).map(|_| folded.as_str());
        let help = match meant.or_else(|| similar::closest(&scalar.text, kinds)) {
            Some(kind) if !scalar.is_secret() => format!("write `{kind}`"),
            Some(_) | None => {
                "write a status (`404`), a class (`5xx`) or an outcome (`timeout`, `connect_error`)".to_owned()
            }
        };
        problem(codes::BAD_SELECTOR, format!("{} selects no outcome", scalar.shown())).help(help)
    })
}

/// What `fallback_on` names.
pub(crate) fn failure(scalar: &Scalar) -> Result<Trigger, Problem> {
    Trigger::parse(&scalar.text).ok_or_else(|| {
        let kinds = Kind::ALL.iter().map(|kind| kind.as_str()).filter(|kind| Trigger::parse(kind).is_some());
        let folded = scalar.text.to_ascii_lowercase();
        let meant = Trigger::parse(&folded).map(|_| folded.as_str());
        let help = match meant.or_else(|| similar::closest(&scalar.text, kinds.chain(["failure", "timeout"]))) {
            Some(meant) if !scalar.is_secret() => format!("write `{meant}`"),
            Some(_) | None => {
                "write `failure`, a status (`404`), a class (`5xx`) or an outcome (`timeout`, `breaker_open`)"
                    .to_owned()
            }
        };
        problem(codes::BAD_SELECTOR, format!("{} names no failure", scalar.shown())).help(help)
    })
}

/// A log level or filter.
pub(crate) fn level(scalar: &Scalar) -> Result<String, Problem> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let known = |level: &str| LEVELS.contains(&level.trim().to_ascii_lowercase().as_str());
    let target = |target: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-');
        !target.trim().is_empty() && target.trim().chars().all(letter)
    };
    let directive = |text: &str| match text.split_once('=') {
        Some((name, level)) => target(name) && known(level),
        None => known(text),
    };
    if scalar.text.split(',').all(directive) {
        return Ok(scalar.text.clone());
    }
    let help = match similar::closest(&scalar.text, LEVELS) {
        Some(level) if !scalar.is_secret() => format!("write `{level}`"),
        Some(_) | None => {
            "write `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,aggd=debug`".to_owned()
        }
    };
    Err(problem(codes::BAD_LEVEL, format!("{} is not a log level", scalar.shown())).help(help))
}

#[cfg(test)]
pub(crate) mod testing {
    //! Scalars for the tests of these files.

    use super::*;

    /// A plain scalar.
    pub(crate) fn plain(text: &str) -> Scalar {
        Scalar { text: text.to_owned(), typed: crate::config::scalar::plain(text), written: None, lead: 0 }
    }

    /// One that came from `${X}`.
    pub(crate) fn secret(text: &str) -> Scalar {
        Scalar { written: Some("${X}".to_owned()), ..plain(text) }
    }

    /// The help of a refusal.
    pub(crate) fn help<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
        result.unwrap_err().help.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::help;
    use super::testing::plain;
    use super::testing::secret;
    use super::*;

    #[test]
    fn words_and_switches_say_what_to_write() {
        assert_eq!(switch(&plain("true")), Ok(true));
        assert_eq!(help(switch(&plain("yes"))), "write `true`");
        assert_eq!(one_of(&plain("json"), &["json", "text"]), Ok("json"));
        assert_eq!(help(one_of(&plain("jsn"), &["json", "text"])), "write `json`");
        assert_eq!(help(one_of(&plain("xml"), &["json", "text"])), "write `json` or `text`");
    }

    #[test]
    fn a_name_is_repaired() {
        assert!(help(name(&plain("My Source"))).starts_with("write `my_source`"));
        assert!(help(name(&plain("9lives"))).starts_with("write `lives`"));
        assert!(help(name(&plain("ä"))).starts_with("a name is"));
    }

    #[test]
    fn no_message_holds_what_came_from_outside() {
        let problem = one_of(&secret("jsn"), &["json", "text"]).unwrap_err();
        let said = format!("{problem:?}");
        assert!(!said.contains("jsn") && said.contains("the value of `${X}`"), "{said}");
        assert!(!format!("{:?}", name(&secret("My Source"))).contains("my_source"));
    }

    #[test]
    fn levels_are_words_or_filters() {
        for good in ["info", "info,aggd=debug", "warn,hyper::proto=trace", "OFF"] {
            assert!(level(&plain(good)).is_ok(), "{good}");
        }
        assert_eq!(help(level(&plain("debg"))), "write `debug`");
        assert!(level(&plain("info,=debug")).is_err());
    }

    #[test]
    fn selectors_are_statuses_classes_and_kinds() {
        assert!(
            selector(&plain("5xx")).is_ok() && selector(&plain("404")).is_ok() && selector(&plain("timeout")).is_ok()
        );
        assert_eq!(help(selector(&plain("connect_eror"))), "write `connect_error`");
        assert!(selector(&plain("9xx")).is_err());
    }
}
