//! The whole way from a body to what is stored: decode, assert, project, omit.

use std::borrow::Cow;

use bytes::Bytes;

use crate::shape::document::Node;
use crate::shape::format::Format;
use crate::shape::format::decode;
use crate::shape::format::explain;
use crate::shape::omit;
use crate::shape::path::Path;
use crate::shape::path::Work;
use crate::shape::project::Job;
use crate::shape::project::Output;
use crate::shape::project::Plan;
use crate::shape::project::too_much;
use crate::shape::projection::Projection;
use crate::shape::reader::MAX_DEPTH;

/// `format`, `success_when`, `project` and `omit`, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// What the body is.
    pub(crate) format: Format,
    /// Must match something in the decoded document.
    pub(crate) success_when: Option<Path>,
    /// What is made of it.
    pub(crate) projection: Projection,
    /// What is then taken out.
    pub(crate) omit: Vec<Path>,
}

/// Why a body does not become data. No message quotes the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShapeError {
    /// The body is not what `format` says.
    #[error("{0}")]
    Decode(String),
    /// `success_when`, a path, matches nothing.
    #[error("`success_when` matches nothing: {0}")]
    Assertion(String),
    /// A field cannot be made.
    #[error("{}{path} {why}", prefix(field))]
    Projection {
        /// Its name, with those around it: `hits[3].title`. Empty where the projection is one path.
        field: String,
        /// Its path, as written.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// A projected document may nest deeper than what it is made of, by as much as the configuration does.
pub(super) const PROJECTED_DEPTH: usize = 4 * MAX_DEPTH;

impl Shape {
    /// The projected JSON. The same bytes where nothing is to be changed.
    pub(crate) fn apply(&self, body: &Bytes, content_type: Option<&str>) -> Result<Bytes, ShapeError> {
        let text = decode(self.format, body, content_type).map_err(ShapeError::Decode)?;
        let work = Work::new();
        let mut plan = Plan::new(&self.projection);
        let success = self.success_when.as_ref().map(|path| plan.want(path));
        let found = plan.read(&text).map_err(|fault| ShapeError::Decode(explain(fault, &text)))?;
        if let Some(wanted) = success {
            let matches = found.matches(wanted, &work).map_err(|err| too_much(wanted.path, err))?;
            if matches.is_empty() {
                return Err(ShapeError::Assertion(wanted.path.text().to_owned()));
            }
        }
        let projected = match (&plan.job, &text) {
            (Job::Whole, Cow::Borrowed(_)) => body.slice_ref(body.trim_ascii()),
            (job, _) => {
                let mut out = Output::new(text.len(), &work);
                out.write(job, &text, &found)?;
                Bytes::from(out.bytes)
            }
        };
        self.without_omitted(projected, &work)
    }

    fn without_omitted(&self, projected: Bytes, work: &Work) -> Result<Bytes, ShapeError> {
        if self.omit.is_empty() {
            return Ok(projected);
        }
        let left = {
            let text = std::str::from_utf8(&projected).map_err(|err| ShapeError::Decode(err.to_string()))?;
            let root = Node::parse(text, PROJECTED_DEPTH).map_err(|fault| ShapeError::Decode(explain(fault, text)))?;
            omit::remove(&root, &self.omit, work)?
        };
        Ok(left.map_or(projected, Bytes::from))
    }
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("field `{field}`: ") }
}

impl ShapeError {
    /// Adds the name of what is around the field.
    pub(super) fn within(self, outer: &str) -> Self {
        match self {
            Self::Projection { field, path, why } => {
                let dot = if field.is_empty() || field.starts_with('[') { "" } else { "." };
                Self::Projection { field: format!("{outer}{dot}{field}"), path, why }
            }
            Self::Decode(_) | Self::Assertion(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::projection::Cast;
    use crate::shape::projection::Field;
    use crate::shape::projection::Missing;
    use crate::shape::projection::Take;

    fn path(text: &str) -> Path {
        Path::compile(text).unwrap()
    }

    fn shape(projection: Projection) -> Shape {
        Shape { format: Format::ByContentType, success_when: None, projection, omit: Vec::new() }
    }

    fn omitting(projection: Projection, omit: &[&str]) -> Shape {
        Shape { omit: omit.iter().map(|text| path(text)).collect(), ..shape(projection) }
    }

    fn plain(text: &str) -> Field {
        taking(text, Missing::Null, None, Take::ByPath)
    }

    fn taking(text: &str, missing: Missing, cast: Option<Cast>, take: Take) -> Field {
        Field::Path { path: path(text), missing, cast, take }
    }

    fn each(text: &str, limit: Option<usize>, project: Projection) -> Field {
        Field::Each { path: path(text), limit, project: Box::new(project) }
    }

    fn fields(fields: Vec<(&str, Field)>) -> Projection {
        Projection::Fields(fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect())
    }

    fn apply(shape: &Shape, body: &str) -> Result<String, ShapeError> {
        let out = shape.apply(&Bytes::copy_from_slice(body.as_bytes()), None)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    /// One field `x` of a document.
    fn one(field: Field, body: &str) -> Result<String, ShapeError> {
        apply(&shape(fields(vec![("x", field)])), body)
    }

    #[test]
    fn a_whole_document_is_the_same_bytes_without_the_blanks_around_it() {
        let body = Bytes::from_static(b" {\"n\" : 1.10, \"s\":\"\\ud800\\u00e9\", \"n\":2}\n");
        let out = shape(Projection::Whole).apply(&body, Some("application/json")).unwrap();
        assert_eq!(out.as_ptr(), body.slice(1..).as_ptr(), "no copy");
        assert_eq!(out, body.slice(1..body.len() - 1));
    }

    #[test]
    fn a_projected_value_is_copied_as_written() {
        let body =
            r#"{"big":12345678901234567890,"money":1.10,"e":1E+2,"s":"\u00e9\/\ud800","o":{ "k" : [ ] , "k":0 }}"#;
        let names = ["s", "o", "money", "big", "e"];
        let list: Vec<_> = names.iter().map(|name| (*name, plain(&format!("$.{name}")))).collect();
        assert_eq!(
            apply(&shape(fields(list)), body).unwrap(),
            r#"{"s":"\u00e9\/\ud800","o":{ "k" : [ ] , "k":0 },"money":1.10,"big":12345678901234567890,"e":1E+2}"#,
            "in the order of the configuration"
        );
    }

    #[test]
    fn a_path_alone_gives_a_value_or_an_array() {
        for (text, expected) in [
            ("$.a", "[1, 2]"),
            ("$.none", "null"),
            ("$.a[*]", "[1,2]"),
            ("$.a[5:]", "[]"),
            ("$", r#"{"a":[1, 2]}"#),
            ("$.a[-1]", "2"),
            ("$..[?@ > 1]", "[2]"),
        ] {
            assert_eq!(apply(&shape(Projection::Path(path(text))), r#"{"a":[1, 2]}"#).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_stands_for_no_match_depends_on_the_field() {
        let default = || Missing::Default("{\"d\":0}".to_owned());
        let cases = [
            ("$.z", Missing::Null, Take::ByPath, "null"),
            ("$.z[*]", Missing::Null, Take::ByPath, "[]"),
            ("$.z[*]", Missing::Null, Take::First, "null"),
            ("$.z[*]", Missing::Null, Take::Last, "null"),
            ("$.z[*]", Missing::Null, Take::Count, "0"),
            ("$.z", Missing::Null, Take::All, "[]"),
            ("$.z", default(), Take::ByPath, "{\"d\":0}"),
            ("$.z[*]", default(), Take::ByPath, "{\"d\":0}"),
            ("$.z[*]", default(), Take::First, "{\"d\":0}"),
            ("$.z[*]", default(), Take::Count, "{\"d\":0}"),
            ("$.n", default(), Take::ByPath, "null"),
            ("$.n", Missing::Required, Take::ByPath, "null"),
            ("$.xs[*]", Missing::Null, Take::ByPath, "[1,2,3]"),
            ("$.xs[*]", Missing::Null, Take::All, "[1,2,3]"),
            ("$.xs[*]", Missing::Null, Take::First, "1"),
            ("$.xs[*]", Missing::Null, Take::Last, "3"),
            ("$.xs[*]", Missing::Required, Take::Count, "3"),
            ("$.n", Missing::Null, Take::All, "[null]"),
            ("$.n", Missing::Null, Take::Count, "1"),
        ];
        for (text, missing, take, expected) in cases {
            let label = format!("{text} {missing:?} {take:?}");
            let out = one(taking(text, missing, None, take), r#"{"n":null,"xs":[1,2,3]}"#).unwrap();
            assert_eq!(out, format!("{{\"x\":{expected}}}"), "{label}");
        }
    }

    #[test]
    fn a_required_path_without_match_names_field_and_path() {
        let required = |text: &str, take| taking(text, Missing::Required, None, take);
        for take in [Take::ByPath, Take::First, Take::Last, Take::Count, Take::All] {
            let err = one(required("$.z[*]", take), "{}").unwrap_err();
            assert_eq!(err.to_string(), "field `x`: $.z[*] matches nothing, and is required", "{take:?}");
        }
        let inner = fields(vec![("o", Field::Object(vec![("id".to_owned(), required("$.id", Take::ByPath))]))]);
        let err = one(each("$[*]", None, inner), r#"[{"id":1},{"secret":2}]"#).unwrap_err();
        let ShapeError::Projection { field, path, .. } = &err else { panic!("{err}") };
        assert_eq!((field.as_str(), path.as_str()), ("x[1].o.id", "$.id"));
        assert!(!err.to_string().contains("secret"));
    }

    #[test]
    fn a_value_is_converted_or_the_field_fails() {
        let cast = |text: &str, to, take| taking(text, Missing::Default("\"none\"".to_owned()), Some(to), take);
        let body = r#"{"n":"42","f":1.5,"l":["1",2,null],"o":{}}"#;
        let good = [
            (cast("$.n", Cast::Integer, Take::ByPath), "42"),
            (cast("$.f", Cast::String, Take::ByPath), "\"1.5\""),
            (cast("$.l[*]", Cast::Integer, Take::ByPath), "[1,2,null]"),
            (cast("$.l[*]", Cast::String, Take::Last), "null"),
            (cast("$.l[*]", Cast::String, Take::Count), "\"3\""),
            (cast("$.z", Cast::Integer, Take::ByPath), "\"none\""),
        ];
        for (field, expected) in good {
            assert_eq!(one(field, body).unwrap(), format!("{{\"x\":{expected}}}"));
        }
        let err = one(cast("$.f", Cast::Integer, Take::ByPath), body).unwrap_err();
        assert_eq!(err.to_string(), "field `x`: $.f is a number with a fraction, not an integer");
        let err = one(cast("$.*", Cast::Number, Take::ByPath), body).unwrap_err();
        assert_eq!(err.to_string(), "field `x[2]`: $.* is an array, not a number");
    }

    #[test]
    fn each_projects_every_match_with_the_match_as_root() {
        let body = r#"{"t":"no","hits":[{"t":"a","m":{"k":[1]}},{"t":"b"},3,{"t":null}]}"#;
        let inner =
            || fields(vec![("t", plain("$.t")), ("k", plain("$.m.k[*]")), ("v", Field::Value("42".to_owned()))]);
        assert_eq!(
            one(each("$.hits[*]", None, inner()), body).unwrap(),
            r#"{"x":[{"t":"a","k":[1],"v":42},{"t":"b","k":[],"v":42},{"t":null,"k":[],"v":42},{"t":null,"k":[],"v":42}]}"#
        );
        assert_eq!(one(each("$.hits[*]", Some(1), inner()), body).unwrap(), r#"{"x":[{"t":"a","k":[1],"v":42}]}"#);
        assert_eq!(one(each("$.none", None, inner()), body).unwrap(), r#"{"x":[]}"#);
        assert_eq!(one(each("$.t", None, Projection::Whole), body).unwrap(), r#"{"x":["no"]}"#);
        assert_eq!(one(each("$.hits[?@.m]", None, Projection::Path(path("$.m.k[0]"))), body).unwrap(), r#"{"x":[1]}"#);
        let nested = fields(vec![("k", each("$.m.k[*]", None, Projection::Whole))]);
        assert_eq!(one(each("$.hits[:1]", None, nested), body).unwrap(), r#"{"x":[{"k":[1]}]}"#);
    }

    #[test]
    fn an_object_nests_and_names_are_escaped() {
        let inner =
            Field::Object(vec![("b\"\n".to_owned(), plain("$.a.b")), ("c".to_owned(), Field::Value("[]".to_owned()))]);
        assert_eq!(one(inner, r#"{"a":{"b":1}}"#).unwrap(), r#"{"x":{"b\"\n":1,"c":[]}}"#);
        assert_eq!(one(Field::Object(Vec::new()), "1").unwrap(), r#"{"x":{}}"#);
    }

    #[test]
    fn a_document_is_checked_where_nothing_is_wanted_of_it() {
        let projection = fields(vec![("a", plain("$.a"))]);
        let deep = format!("{{\"a\":1,\"b\":{}", "[".repeat(100_000));
        let bad = [
            "{\"a\":1,\"b\":01}",
            "{\"a\":1} x",
            "{\"a\":1,\"b\":\"\\x\"}",
            "{\"a\":1,\"b\":[1,]}",
            "{\"a\":1,\"b\":NaN}",
            "{\"a\":1",
            "\u{feff}{\"a\":1}",
            "",
            "  ",
            deep.as_str(),
        ];
        for projection in [projection, Projection::Whole, Projection::Path(path("$.a")), Projection::Path(path("$..a"))]
        {
            for body in bad {
                let result = apply(&shape(projection.clone()), body);
                assert!(matches!(result, Err(ShapeError::Decode(_))), "{body:.40} gave {result:?}");
            }
            let utf8 = Bytes::from_static(b"{\"a\":1,\"b\":\"\xff\"}");
            let result = shape(projection).apply(&utf8, None);
            assert_eq!(result, Err(ShapeError::Decode("invalid UTF-8 at byte 12".to_owned())));
        }
    }

    #[test]
    fn a_decode_error_quotes_no_content() {
        let err = apply(&shape(Projection::Whole), "{\"token\":hunter2}").unwrap_err();
        assert_eq!(err.to_string(), "not JSON at line 1, column 10 (byte 9): expected a value");
    }

    #[test]
    fn text_is_a_string_that_can_be_projected() {
        let body = Bytes::from_static("a \"b\"\né".as_bytes());
        let quoted = r#""a \"b\"\né""#;
        let text = Shape { format: Format::Text, ..shape(Projection::Whole) };
        assert_eq!(text.apply(&body, None).unwrap(), quoted.as_bytes());
        let field = Shape { format: Format::Text, ..shape(fields(vec![("t", plain("$")), ("u", plain("$.u"))])) };
        assert_eq!(field.apply(&body, None).unwrap(), format!("{{\"t\":{quoted},\"u\":null}}").as_bytes());
        assert_eq!(shape(Projection::Whole).apply(&body, Some("text/plain")).unwrap(), quoted.as_bytes());
        assert!(shape(Projection::Whole).apply(&body, Some("text/html")).is_err());
    }

    #[test]
    fn success_when_must_match_before_the_projection() {
        let asserting =
            |text: &str| Shape { success_when: Some(path(text)), ..shape(Projection::Path(path("$.data"))) };
        let body = r#"{"status":"ok","data":{"a":1}}"#;
        for text in ["$[?@ == 'ok']", "$.status", "$.data.a", "$..a"] {
            assert_eq!(apply(&asserting(text), body).unwrap(), r#"{"a":1}"#, "{text}");
        }
        for text in ["$.error", "$.a", "$[?@.status == 'ok']"] {
            assert_eq!(apply(&asserting(text), body), Err(ShapeError::Assertion(text.to_owned())), "{text}");
        }
        assert!(matches!(apply(&asserting("$.none"), "{"), Err(ShapeError::Decode(_))), "decoding comes first");
    }

    #[test]
    fn omit_takes_out_what_matches_after_the_projection() {
        let body = r#"{ "a" : 1.10, "s":{"k":1 , "p":[1, 2,3]}, "\u0062":null }"#;
        let cases: [(&[&str], &str); 8] = [
            (&["$.none", "$.s.none"], body),
            (&["$.a"], r#"{"s":{"k":1 , "p":[1, 2,3]},"\u0062":null}"#),
            (&["$.b", "$.s"], r#"{"a":1.10}"#),
            (&["$.s.p[0]", "$.s.p[2]"], r#"{"a":1.10,"s":{"k":1,"p":[2]},"\u0062":null}"#),
            (&["$.s.p[?@ > 1]"], r#"{"a":1.10,"s":{"k":1,"p":[1]},"\u0062":null}"#),
            (&["$..k", "$.s.p", "$.s.k"], r#"{"a":1.10,"s":{},"\u0062":null}"#),
            (&["$.*"], "{}"),
            (&["$"], "null"),
        ];
        for (omit, expected) in cases {
            assert_eq!(apply(&omitting(Projection::Whole, omit), body).unwrap(), expected, "{omit:?}");
        }
        let renamed = omitting(fields(vec![("x", plain("$.s")), ("a", plain("$.a"))]), &["$.x.p", "$.s"]);
        assert_eq!(apply(&renamed, body).unwrap(), r#"{"x":{"k":1},"a":1.10}"#);
    }

    #[test]
    fn omit_leaves_no_trace_of_a_name_that_stands_twice() {
        let body = r#"[{"k":{"secret":1},"k":{"open":2}}]"#;
        for omit in [["$..secret"], ["$[0].k.secret"]] {
            assert_eq!(apply(&omitting(Projection::Whole, &omit), body).unwrap(), r#"[{"k":{"open":2}}]"#);
        }
        assert_eq!(apply(&omitting(Projection::Whole, &["$[0].k"]), body).unwrap(), "[{}]");
    }

    #[test]
    fn a_small_document_cannot_become_an_endless_answer() {
        let body = format!("{}\"{}\"{}", "[".repeat(120), "x".repeat(1 << 19), "]".repeat(120));
        let err = apply(&shape(Projection::Path(path("$..*"))), &body).unwrap_err();
        assert!(err.to_string().contains("$..* gives more than "), "{err}");
    }
}
