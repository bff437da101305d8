//! Parameters: what a client sent, checked against what the source declares.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::spec::ParamKind;
use crate::config::spec::ParamSpec;

/// Values offered to a source, by parameter name.
#[derive(Debug, Default, Clone)]
pub(crate) struct Values {
    given: SmallVec<[(String, String); 4]>,
}

impl Values {
    /// Offers a value; a later one for the same name wins.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        match self.given.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.given.push((name.to_owned(), value)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A value that does not fit; the client gets 400 and no upstream call is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}`: {why}")]
pub(crate) struct ParamError {
    /// Which parameter.
    pub(crate) name: String,
    /// What is wrong, and what would fit.
    pub(crate) why: String,
}

impl ParamError {
    pub(crate) fn new(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), why: why.into() }
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::new(name, "it is required; add it to the request")
    }
}

/// The parameters of one call, each checked: given, default or absent.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    specs: Arc<[ParamSpec]>,
    values: SmallVec<[Option<String>; 4]>,
}

impl Bound {
    /// Checks the values against the declarations. The first that does not fit is the error.
    pub(crate) fn bind(specs: &Arc<[ParamSpec]>, values: &Values) -> Result<Self, ParamError> {
        let mut bound = SmallVec::with_capacity(specs.len());
        for spec in specs.iter() {
            let value = match values.get(&spec.name) {
                Some(given) => {
                    spec.check(given).map_err(|why| {
                        let why = if spec.hidden { "does not fit what the source takes" } else { &why };
                        ParamError::new(&spec.name, format!("it {why}"))
                    })?;
                    Some(given.to_owned())
                }
                None if spec.default.is_some() => spec.default.clone(),
                None if spec.required => return Err(ParamError::missing(&spec.name)),
                None => None,
            };
            bound.push(value);
        }
        Ok(Self { specs: Arc::clone(specs), values: bound })
    }

    /// No parameters at all.
    pub(crate) fn none() -> Self {
        Self { specs: Arc::from([]), values: SmallVec::new() }
    }

    /// The value of a parameter, as text; `None`: absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(spec, _)| spec.name == name).and_then(|(_, value)| value)
    }

    /// The declared type of a parameter.
    pub(crate) fn kind(&self, name: &str) -> Option<ParamKind> {
        self.specs.iter().find(|spec| spec.name == name).map(|spec| spec.kind)
    }

    /// All values that are present, for a fallback source that has parameters of the same names.
    pub(crate) fn values(&self) -> Values {
        let mut values = Values::default();
        for (spec, value) in self.pairs() {
            if let Some(value) = value {
                values.set(&spec.name, value.to_owned());
            }
        }
        values
    }

    /// Name and value of each parameter that is present, in declared order.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs().filter_map(|(spec, value)| value.map(|value| (spec.name.as_str(), value)))
    }

    fn pairs(&self) -> impl Iterator<Item = (&ParamSpec, Option<&str>)> {
        self.specs.iter().zip(self.values.iter().map(Option::as_deref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: ParamKind) -> ParamSpec {
        let limit = |limit: f64| (kind != ParamKind::String).then_some(limit);
        ParamSpec {
            name: "n".into(),
            kind,
            required: true,
            default: None,
            min: limit(-90.0),
            max: limit(90.0),
            pattern: None,
            allowed: Vec::new(),
            hidden: false,
        }
    }

    fn bind(spec: ParamSpec, value: Option<&str>) -> Result<Option<String>, String> {
        let mut values = Values::default();
        if let Some(value) = value {
            values.set("n", value.to_owned());
        }
        let bound = Bound::bind(&Arc::from([spec]), &values).map_err(|error| error.why)?;
        Ok(bound.get("n").map(str::to_owned))
    }

    #[test]
    fn numbers_must_be_json_numbers_within_their_limits() {
        for good in ["1", "-90", "90.0", "1e1"] {
            assert!(bind(spec(ParamKind::Number), Some(good)).is_ok(), "{good}");
        }
        for bad in ["", "+1", "01", "inf", "NaN", "90.1", "-91", "1 ", "0x1", "1,5"] {
            assert!(bind(spec(ParamKind::Number), Some(bad)).is_err(), "{bad}");
        }
        assert!(bind(spec(ParamKind::Integer), Some("1.5")).is_err());
        assert!(bind(spec(ParamKind::Integer), Some("42")).is_ok());
    }

    #[test]
    fn a_required_parameter_that_is_absent_is_an_error_and_a_default_fills_in() {
        assert!(bind(spec(ParamKind::Number), None).unwrap_err().contains("required"));
        let with_default = ParamSpec { required: false, default: Some("5".into()), ..spec(ParamKind::Number) };
        assert_eq!(bind(with_default, None).unwrap().as_deref(), Some("5"));
        let optional = ParamSpec { required: false, ..spec(ParamKind::Number) };
        assert_eq!(bind(optional, None).unwrap(), None);
    }

    #[test]
    fn limits_that_came_from_the_environment_are_not_shown() {
        let mut one = spec(ParamKind::String);
        one.allowed = vec!["hunter2".into()];
        one.hidden = true;
        assert!(!bind(one, Some("c")).unwrap_err().contains("hunter2"));
    }

    #[test]
    fn patterns_and_enumerations_say_what_would_fit() {
        let mut one = spec(ParamKind::String);
        one.allowed = vec!["a".into(), "b".into()];
        assert_eq!(bind(one, Some("c")).unwrap_err(), "it must be `a` or `b`");
        let mut one = spec(ParamKind::String);
        one.pattern = Some(regex::Regex::new("^[a-z]+$").unwrap());
        assert!(bind(one, Some("A")).unwrap_err().contains("[a-z]+"));
    }
}
