//! `url:` → origin, path and query; placeholders in the latter two alone.

use std::fmt::Write as _;

use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;
use crate::config::spec::Piece;
use crate::config::spec::Template;
use crate::config::spec::UrlTemplate;
use crate::config::template::Part;

/// The URL of these parts of `scalar`.
pub(crate) fn url(scalar: &Scalar, parts: &[Part]) -> Result<UrlTemplate, Problem> {
    let (origin, rest) = split_origin(scalar, parts)?;
    let origin = checked_origin(scalar, &origin)?;
    let (path, query) = split_query(scalar, rest)?;
    Ok(UrlTemplate { origin, path: path_template(scalar, path)?, query: pairs(query), secret: scalar.is_secret() })
}

fn wrong(code: &'static str, scalar: &Scalar, what: &str, help: &str) -> Problem {
    let subject = if scalar.is_secret() { scalar.shown() } else { "this".to_owned() };
    problem(code, format!("{subject} {what}")).help(help)
}

const SAMPLE: &str = "write an absolute URL: `https://api.example.org/v1/things`";

/// The text before the path, and the pieces from the path on.
fn split_origin(scalar: &Scalar, parts: &[Part]) -> Result<(String, Vec<Piece>), Problem> {
    let no_url = || {
        let meant = meant(&scalar.text).filter(|_| !scalar.is_secret()).map(|url| format!("write `{url}`"));
        let help = meant.as_deref().unwrap_or(SAMPLE);
        wrong(codes::BAD_URL, scalar, "is not an absolute http or https URL", help)
    };
    let in_origin = |(at, width): (usize, usize)| {
        let help = "write scheme, host and port out; placeholders stand in path and query";
        let problem = wrong(codes::PLACEHOLDER_IN_ORIGIN, scalar, "has a placeholder in scheme, host or port", help);
        if scalar.is_secret() { problem } else { problem.at(at + scalar.lead).wide(width) }
    };
    let mut parts = parts.iter();
    let first = match parts.next() {
        Some(Part { piece: Piece::Literal(text), .. }) => text,
        Some(part) => return Err(in_origin(extent(part))),
        None => return Err(no_url()),
    };
    let second_at = parts.as_slice().first().map(extent);
    let Some((scheme, after)) = first.split_once("://") else {
        return Err(second_at.filter(|_| !first.contains('/')).map_or_else(no_url, in_origin));
    };
    let end = after.find(['/', '?', '#', '\\']);
    // A host that goes on in a placeholder.
    if let (None, Some(at)) = (end, second_at) {
        return Err(in_origin(at));
    }
    let (authority, tail) = after.split_at(end.unwrap_or(after.len()));
    let mut rest = vec![Piece::Literal(tail.to_owned())];
    rest.extend(parts.map(|part| part.piece.clone()));
    Ok((format!("{scheme}://{authority}"), rest))
}

/// The URL that a text without a scheme is most likely short for.
fn meant(text: &str) -> Option<String> {
    let rest = text.trim_start_matches('/');
    let host = rest.split(['/', '?', ':']).next()?;
    let is_host = host == "localhost" || (host.contains('.') && !host.contains(char::is_whitespace));
    (is_host && !text.contains("://")).then(|| format!("https://{rest}"))
}

/// Where a placeholder stands, and how wide it is.
fn extent(part: &Part) -> (usize, usize) {
    match &part.piece {
        Piece::Placeholder(name) => (part.at, name.chars().count() + 2),
        Piece::Literal(text) => (part.at, text.chars().count()),
    }
}

fn checked_origin(scalar: &Scalar, text: &str) -> Result<String, Problem> {
    if text.contains('@') {
        let help = "write it under `auth`: `auth: { basic: { user: …, password: … } }`";
        return Err(wrong(codes::URL_CREDENTIALS, scalar, "has a user or password in its URL", help));
    }
    let no_url = |what: &str| wrong(codes::BAD_URL, scalar, what, SAMPLE);
    let url = ::url::Url::parse(text).map_err(|error| {
        use ::url::ParseError;
        if error == ParseError::InvalidPort {
            no_url("has a port that is none: ports go from 1 to 65535")
        } else if error == ParseError::EmptyHost {
            no_url("has no host")
        } else if text.contains(' ') {
            no_url("has a blank in its host")
        } else {
            no_url(&format!("is not a URL: {error}"))
        }
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(no_url("is neither http nor https"));
    }
    match url.host_str() {
        Some(host) if !host.is_empty() => Ok(url.origin().ascii_serialization()),
        Some(_) | None => Err(no_url("has no host")),
    }
}

/// The pieces before the first `?` and those after.
fn split_query(scalar: &Scalar, pieces: Vec<Piece>) -> Result<(Vec<Piece>, Vec<Piece>), Problem> {
    let (mut path, mut query, mut in_query) = (Vec::new(), Vec::new(), false);
    for piece in pieces {
        let Piece::Literal(text) = piece else {
            if in_query { &mut query } else { &mut path }.push(piece);
            continue;
        };
        if text.contains('#') {
            let help = "remove it with all that follows; write `%23` for a literal `#`";
            return Err(wrong(codes::BAD_URL, scalar, "has a `#`, which is never sent", help));
        }
        match text.split_once('?').filter(|_| !in_query) {
            Some((before, after)) => {
                path.push(Piece::Literal(before.to_owned()));
                query.push(Piece::Literal(after.to_owned()));
                in_query = true;
            }
            None if in_query => query.push(Piece::Literal(text)),
            None => path.push(Piece::Literal(text)),
        }
    }
    Ok((path, query))
}

fn path_template(scalar: &Scalar, pieces: Vec<Piece>) -> Result<Template, Problem> {
    let mut path = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(text) if text.is_empty() => {}
            Piece::Literal(text) => path.push(Piece::Literal(path_text(&text))),
            Piece::Placeholder(_) => path.push(piece),
        }
    }
    if path.is_empty() {
        path.push(Piece::Literal("/".to_owned()));
    }
    // With every placeholder a letter, what is left of dot segments are those written out.
    let shape: String = path.iter().map(|piece| if let Piece::Literal(text) = piece { text } else { "x" }).collect();
    if shape.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(wrong(codes::BAD_URL, scalar, "has `.` or `..` in its path", "write the path that it leads to"));
    }
    Ok(Template { pieces: path })
}

/// What may not stand in a path as it is, encoded; what is encoded already stays so.
fn path_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0..=32 | 127..=255 => {
                // Writing to a String cannot fail.
                _ = write!(out, "%{byte:02X}");
            }
            plain => out.push(char::from(plain)),
        }
    }
    out
}

/// The pairs of a query, decoded.
fn pairs(pieces: Vec<Piece>) -> Vec<(String, Template)> {
    let mut pairs = Vec::new();
    let mut pair = Pair::default();
    for piece in pieces {
        match piece {
            Piece::Literal(text) => {
                for (index, text) in text.split('&').enumerate() {
                    if index > 0 {
                        std::mem::take(&mut pair).finish(&mut pairs);
                    }
                    pair.literal(text);
                }
            }
            Piece::Placeholder(name) => pair.placeholder(name),
        }
    }
    pair.finish(&mut pairs);
    pairs
}

#[derive(Default)]
struct Pair {
    name: String,
    /// `None` before the `=`.
    value: Option<Vec<Piece>>,
}

impl Pair {
    fn literal(&mut self, text: &str) {
        match (&mut self.value, text.split_once('=')) {
            (Some(_), _) if text.is_empty() => {}
            (Some(value), _) => value.push(Piece::Literal(decoded(text))),
            (None, None) => self.name.push_str(&decoded(text)),
            (None, Some((name, rest))) => {
                self.name.push_str(&decoded(name));
                let rest = (!rest.is_empty()).then(|| Piece::Literal(decoded(rest)));
                self.value = Some(rest.into_iter().collect());
            }
        }
    }

    /// A placeholder in a name: `?{flag}` is a pair of the parameter's own name.
    fn placeholder(&mut self, name: String) {
        if self.value.is_none() && self.name.is_empty() {
            self.name.clone_from(&name);
        }
        self.value.get_or_insert_default().push(Piece::Placeholder(name));
    }

    fn finish(self, pairs: &mut Vec<(String, Template)>) {
        if !self.name.is_empty() || self.value.is_some() {
            pairs.push((self.name, Template { pieces: self.value.unwrap_or_default() }));
        }
    }
}

/// As forms write it: `+` is a space.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template;
    use crate::config::values::testing::plain;

    fn read(text: &str) -> Result<UrlTemplate, Problem> {
        let scalar = plain(text);
        url(&scalar, &template::parts(&scalar)?)
    }

    fn literal(text: &str) -> Piece {
        Piece::Literal(text.to_owned())
    }

    fn placeholder(name: &str) -> Piece {
        Piece::Placeholder(name.to_owned())
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = read("https://API.example.org:443/v1/{id}/x y?a=1&b={b}&c=x%20{c}+z&flag").unwrap();
        assert_eq!(url.origin, "https://api.example.org");
        assert_eq!(url.path.pieces, [literal("/v1/"), placeholder("id"), literal("/x%20y")]);
        let names: Vec<_> = url.query.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "flag"]);
        assert_eq!(url.query[1].1.pieces, [placeholder("b")]);
        assert_eq!(url.query[2].1.pieces, [literal("x "), placeholder("c"), literal(" z")]);
    }

    #[test]
    fn a_path_is_at_least_a_slash() {
        assert_eq!(read("http://h").unwrap().path.pieces, [literal("/")]);
        assert_eq!(read("http://h?x=1").unwrap().path.pieces, [literal("/")]);
        assert_eq!(read("http://[::1]:8080/").unwrap().origin, "http://[::1]:8080");
    }

    #[test]
    fn placeholders_stand_in_path_and_query_alone() {
        for text in ["{u}", "{scheme}://h/", "http://{host}/", "http://h{x}/", "http://h:{port}/", "http{s}://h/"] {
            assert_eq!(read(text).unwrap_err().code, codes::PLACEHOLDER_IN_ORIGIN, "{text}");
        }
        assert!(read("http://h/{x}").is_ok() && read("http://h?{x}").is_ok());
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        for text in
            ["example.org/x", "/x", "ftp://h/", "http://", "http:///x", "http://h/a#b", "http://h/../x", "http://h:x/"]
        {
            assert_eq!(read(text).unwrap_err().code, codes::BAD_URL, "{text}");
        }
        assert_eq!(read("http://u:p@h/").unwrap_err().code, codes::URL_CREDENTIALS);
        assert!(read("http://h/a..b/{x}..").is_ok());
    }
}
