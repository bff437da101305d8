//! The body of an order as its members. A name that comes twice is refused: which of both was meant, nobody knows, and
//! an order carried out is not taken back.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Value;
use serde_json::error::Category;

/// The members of a JSON object, or what is wrong with the text.
pub(crate) fn parse(body: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice::<Members>(body) {
        Ok(Members(members)) => Ok(members),
        Err(error) if error.classify() == Category::Data => {
            // It ends with a place, which in a body of one line is of no use.
            let text = error.to_string();
            Err(text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned())
        }
        Err(error) => Err(format!("the body is not JSON: {error}")),
    }
}

struct Members(Map<String, Value>);

struct Once;

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Once)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object, or no body")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.contains_key(&name) {
                return Err(serde::de::Error::custom(format!("`{name}` is there twice, and nothing was done")));
            }
            members.insert(name, value);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_its_members() {
        let members = parse(br#"{"source": "a", "more": {"x": 1}}"#).unwrap();
        assert_eq!((members.len(), &members["source"]), (2, &Value::from("a")));
        assert!(parse(b"{}").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_object_or_says_a_thing_twice_is_refused() {
        let cases = [
            (r#"{"source": "a", "source": "b"}"#, "`source` is there twice, and nothing was done"),
            (r#"{"k\u0065y": "a", "key": "a"}"#, "`key` is there twice, and nothing was done"),
            ("[]", "invalid type: sequence, expected a JSON object, or no body"),
            ("\"a\"", "invalid type: string \"a\", expected a JSON object, or no body"),
        ];
        for (body, wrong) in cases {
            assert_eq!(parse(body.as_bytes()).unwrap_err(), wrong, "{body}");
        }
        assert!(parse(b"{\"source\"").unwrap_err().starts_with("the body is not JSON: "));
        assert!(parse(b"{} x").unwrap_err().starts_with("the body is not JSON: "));
    }
}
