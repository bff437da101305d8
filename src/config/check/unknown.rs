//! What to say about a key that does not exist: which one was meant, or where it belongs.

use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Entry;
use crate::config::similar;
use crate::config::values::listed;
use crate::config::vocabulary::Block;
use crate::config::vocabulary::POLICIES;
use crate::config::vocabulary::ROUTE;
use crate::config::vocabulary::SERVER;
use crate::config::vocabulary::SOURCE;

/// The finding for a key that `block` does not have.
pub(crate) fn unknown(entry: &Entry, block: &'static Block, root: &'static Block) -> Problem {
    let name = entry.key.as_str();
    if block.is_not_yet(name) {
        let message = format!("`{name}` is not available in this version");
        return problem(codes::NOT_AVAILABLE, message).help("remove it");
    }
    if let Some(problem) = misplaced(entry, block, root) {
        return problem;
    }
    if let Some(meant) = similar::closest(name, block.all().map(|key| key.name)) {
        let message = format!("unknown key `{name}`; did you mean `{meant}`?");
        return problem(codes::UNKNOWN_KEY, message).help(format!("write `{meant}: {}`", shown(entry)));
    }
    if let Some(place) = elsewhere(name, root) {
        return problem(codes::MISPLACED_KEY, format!("`{name}` belongs {place}")).help("move it there");
    }
    let names: Vec<_> = block.all().map(|key| key.name).collect();
    let help = format!("the keys here are {}", listed(&names).replace(" or ", " and "));
    problem(codes::UNKNOWN_KEY, format!("unknown key `{name}`")).help(help)
}

/// A key of the same document that stands in the wrong block.
fn misplaced(entry: &Entry, block: &'static Block, root: &'static Block) -> Option<Problem> {
    let name = entry.key.as_str();
    let at_root = !std::ptr::eq(block, root);
    if at_root && root.find(name).is_some() {
        let message = format!("`{name}` belongs at the top of the document, not in here");
        return Some(problem(codes::MISPLACED_KEY, message).help(format!("write `{name}: {}` there", shown(entry))));
    }
    let mut places = root.places_of(name);
    if std::ptr::eq(root, &raw const SERVER) && places.is_empty() {
        if POLICIES.find(name).is_some() {
            places.push("defaults".to_owned());
        }
        places.extend(POLICIES.places_of(name).into_iter().map(|place| format!("defaults.{place}")));
    }
    // `ttl` is one of `cache` before it is one of `cache.negative`.
    let depth = |place: &str| place.matches('.').count();
    let least = places.iter().map(|place| depth(place)).min()?;
    places.retain(|place| depth(place) == least);
    let first = places.first()?;
    let mut written = format!("{name}: {}", shown(entry));
    for step in first.rsplit('.') {
        written = format!("{step}: {{ {written} }}");
    }
    let names: Vec<_> = places.iter().map(String::as_str).collect();
    Some(
        problem(codes::MISPLACED_KEY, format!("`{name}` belongs under {}", listed(&names)))
            .help(format!("write `{written}`")),
    )
}

/// A key of another kind of document.
fn elsewhere(name: &str, root: &'static Block) -> Option<String> {
    for (other, what) in [(&SERVER, "aggd.yaml"), (&SOURCE, "a `source:` document"), (&ROUTE, "a `route:` document")] {
        if std::ptr::eq(other, root) {
            continue;
        }
        if other.find(name).is_some() {
            return Some(format!("in {what}"));
        }
        if let Some(place) = other.places_of(name).first() {
            return Some(format!("under `{place}` of {what}"));
        }
    }
    None
}

/// The value as written, where it is short and one.
fn shown(entry: &Entry) -> String {
    match entry.value.scalar() {
        Some(scalar) => {
            let text = scalar.written.as_ref().unwrap_or(&scalar.text);
            if text.is_empty() || text.len() > 40 || text.contains('\n') { "…".to_owned() } else { text.clone() }
        }
        None => "…".to_owned(),
    }
}
