//! Paths whose first step is known to lead nowhere: of a route's `project`, past its parts; of `omit`, past the fields
//! that `project` makes. What such a path says is never done.

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Value;
use crate::config::similar;
use crate::config::values::listed;
use crate::shape::Path;

/// What the document that a path looks at has at its top.
struct Root<'a> {
    names: Vec<&'a str>,
    /// `the route has no part`
    lacks: &'a str,
    /// `parts`
    plural: &'a str,
}

/// Tells the paths of a `respond: merge` route that begin at none of its parts, or at no field of its `project`.
pub(crate) fn of_route(route: &Node, at: &At<'_>, findings: &mut Findings) {
    let Some(sources) = route.get("sources") else { return };
    let listed = sources.items().iter().filter_map(Node::text);
    let names: Vec<_> = listed.chain(sources.entries().iter().map(|entry| entry.key.as_str())).collect();
    if names.is_empty() {
        return;
    }
    let parts = Root { names, lacks: "this route has no part", plural: "parts" };
    if let Some(project) = route.get("project") {
        parts.projection(project, &at.key("project"), findings);
    }
    match route.get("project") {
        None => parts.list(route.get("omit"), &at.key("omit"), findings),
        Some(_) => of_fields(route, at, findings),
    }
}

/// Tells the paths of `omit` that begin at no field of `project`, where that is a map of fields.
pub(crate) fn of_fields(document: &Node, at: &At<'_>, findings: &mut Findings) {
    let Some(fields) = document.get("project").map(Node::entries).filter(|fields| !fields.is_empty()) else { return };
    let names = fields.iter().map(|field| field.key.as_str()).collect();
    let root = Root { names, lacks: "`omit` comes after `project`, which makes no field", plural: "fields" };
    root.list(document.get("omit"), &at.key("omit"), findings);
}

impl Root<'_> {
    fn projection(&self, node: &Node, at: &At<'_>, findings: &mut Findings) {
        match &node.value {
            Value::Scalar(_) => self.path(node, at, findings),
            Value::Map(fields) => {
                // `$` under `each` is each match.
                for key in ["path", "each"] {
                    if let Some(path) = node.get(key) {
                        return self.path(path, &at.key(key), findings);
                    }
                }
                if node.entry("value").is_none() {
                    for field in fields {
                        self.projection(&field.value, &at.key(&field.key), findings);
                    }
                }
            }
            Value::List(_) => {}
        }
    }

    fn list(&self, node: Option<&Node>, at: &At<'_>, findings: &mut Findings) {
        for (index, item) in node.map(Node::items).unwrap_or_default().iter().enumerate() {
            self.path(item, &at.item(index), findings);
        }
    }

    fn path(&self, node: &Node, at: &At<'_>, findings: &mut Findings) {
        let Some(scalar) = node.scalar().filter(|scalar| !scalar.is_secret()) else { return };
        // One that does not compile is told already.
        let Ok(path) = Path::compile(&scalar.text) else { return };
        let Some(asked) = path.first_names() else { return };
        let known = |name: &&str| self.names.contains(name);
        if asked.iter().any(known) {
            return;
        }
        let those = match self.names.as_slice() {
            [only] => format!("there is only `{only}`"),
            names => format!("the {} are {}", self.plural, listed(names).replace(" or ", " and ")),
        };
        let Some(name) = asked.first() else {
            let wrong = problem(
                codes::UNKNOWN_PART,
                format!("`{}` matches nothing: this is an object of {}", scalar.text, self.plural),
            );
            return findings.error(
                at,
                node.span,
                wrong.help(format!("name one: `$.{}`; {those}", self.names.first().unwrap_or(&"name"))),
            );
        };
        let meant = similar::closest(name, self.names.iter().copied());
        let help = meant.map_or(those, |meant| format!("write `{}`", scalar.text.replacen(name, meant, 1)));
        let mut wrong = problem(codes::UNKNOWN_PART, format!("{} `{name}`", self.lacks)).help(help);
        if let Some(offset) = scalar.text.find(name) {
            wrong = wrong
                .at(scalar.text.get(..offset).unwrap_or_default().chars().count() + scalar.lead)
                .wide(name.chars().count());
        }
        findings.error(at, node.span, wrong);
    }
}
