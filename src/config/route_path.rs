//! Paths of routes: well formed, not aggd's own, told apart by the router.

use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;
use crate::config::spec::OWN_SEGMENTS;

/// The names in the path of a route that is there.
pub(crate) fn names(path: &str) -> Vec<String> {
    path.split('/').flat_map(placeholders).collect()
}

/// The names in a route's path, in order.
pub(crate) fn parse(scalar: &Scalar) -> Result<Vec<String>, Problem> {
    let text = scalar.text.as_str();
    let wrong = |what: &str, help: String| {
        if scalar.is_secret() {
            let message = format!("{} is not the path of a route", scalar.shown());
            return problem(codes::BAD_ROUTE_PATH, message).help("give it a path such as `/cities/{city}`");
        }
        problem(codes::BAD_ROUTE_PATH, format!("{} {what}", scalar.shown())).help(help)
    };
    if !text.starts_with('/') {
        return Err(wrong("does not begin with `/`", format!("write `/{text}`")));
    }
    if text.contains(['?', '#', ' ']) || !text.is_ascii() || text.contains("//") {
        let help = "write segments of visible ASCII between single slashes; the query is `{query.x}`".to_owned();
        return Err(wrong("is not a path", help));
    }
    let mut names: Vec<String> = Vec::new();
    for segment in text.split('/').skip(1) {
        if let Some(name) = segment.strip_prefix(':') {
            return Err(wrong("has a segment that begins with `:`", format!("write `{{{name}}}`")));
        }
        if let Some(name) = segment.strip_prefix('*') {
            let name = if name.is_empty() { "rest" } else { name };
            return Err(wrong("has a segment that begins with `*`", format!("write `{{*{name}}}`")));
        }
        if matches!(segment, "." | "..") {
            return Err(wrong("has a segment `.` or `..`", "write the path that it leads to".to_owned()));
        }
        for name in placeholders(segment) {
            if names.contains(&name) {
                return Err(wrong(&format!("has `{{{name}}}` twice"), "give each its own name".to_owned()));
            }
            names.push(name);
        }
    }
    // The router's own opinion of a single path.
    matchit::Router::new().insert(text, ()).map_err(|error| {
        let help = if error == matchit::InsertError::InvalidParamSegment {
            "put one `{name}` at the end of a segment: `/{a}/{b}`, not `/{a}-{b}`"
        } else if error == matchit::InsertError::InvalidCatchAll {
            "put `{*rest}` at the end of the path"
        } else {
            "write `{name}` for one segment, `{*rest}` for the remainder, `{{` for a literal brace"
        };
        wrong("is not a path that can be matched", help.to_owned())
    })?;
    if let Some(bad) = names.iter().find(|name| !is_name(name)) {
        let help = "write letters, digits and `_`, a letter first".to_owned();
        return Err(wrong(&format!("has a placeholder `{{{bad}}}`"), help));
    }
    reserved(text, scalar)?;
    Ok(names)
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(letter)
}

/// `{x}` and `{*x}` of a segment.
fn placeholders(segment: &str) -> Vec<String> {
    let literal = segment.replace("{{", "").replace("}}", "");
    let mut names = Vec::new();
    for piece in literal.split('{').skip(1) {
        if let Some((name, _)) = piece.split_once('}') {
            names.push(name.trim_start_matches('*').to_owned());
        }
    }
    names
}

fn reserved(text: &str, scalar: &Scalar) -> Result<(), Problem> {
    let mut segments = text.split('/').skip(1);
    let first = segments.next().unwrap_or_default();
    let below_aggregate = first == "aggregate" && segments.next().is_some();
    if !OWN_SEGMENTS.contains(&first) && !below_aggregate {
        return Ok(());
    }
    let message = format!("{} is a path of aggd's own", scalar.shown());
    let help = if scalar.is_secret() {
        "choose another path".to_owned()
    } else {
        format!("choose another one, such as `/api{text}`")
    };
    Err(problem(codes::RESERVED_PATH, message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::testing::plain;

    #[test]
    fn placeholders_are_named() {
        assert_eq!(parse(&plain("/a/{x}/b-{y}/{*rest}")).unwrap(), ["x", "y", "rest"]);
        assert_eq!(parse(&plain("/")).unwrap(), Vec::<String>::new());
        assert_eq!(parse(&plain("/aggregate")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_the_router_refuses_is_told_before_it_does() {
        let help = |text: &str| parse(&plain(text)).unwrap_err().help.unwrap();
        assert_eq!(help("cities"), "write `/cities`");
        assert_eq!(help("/cities/:id"), "write `{id}`");
        assert_eq!(help("/files/*"), "write `{*rest}`");
        assert_eq!(help("/a/{*x}/b"), "put `{*rest}` at the end of the path");
        assert!(help("/{a}-{b}").starts_with("put one"));
        for bad in ["/a?b=1", "/a//b", "/a/{x}/{x}", "/{", "/a/../b", "/ä", "/{}", "/{a b}"] {
            assert_eq!(parse(&plain(bad)).unwrap_err().code, codes::BAD_ROUTE_PATH, "{bad}");
        }
    }

    #[test]
    fn paths_of_aggd_are_refused_with_all_below_them() {
        for bad in ["/health", "/history/x", "/admin", "/aggregate/{x}", "/openapi.json", "/ui/"] {
            assert_eq!(parse(&plain(bad)).unwrap_err().code, codes::RESERVED_PATH, "{bad}");
        }
        assert!(parse(&plain("/healthy")).is_ok() && parse(&plain("/{x}")).is_ok());
    }
}
