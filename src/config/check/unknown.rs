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
use crate::config::vocabulary::TEST;

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
    // The exact name of another kind of document is more likely meant than a slip of the hand.
    let of_another = std::ptr::eq(block, root) && [&SERVER, &SOURCE, &ROUTE].iter().any(|of| of.find(name).is_some());
    if let Some(place) = elsewhere(name, root).filter(|_| of_another) {
        return misplaced_in(name, &place);
    }
    if let Some(problem) = spelled_together(entry, block) {
        return problem;
    }
    if let Some(meant) = similar::closest(name, block.all().map(|key| key.name)).or_else(|| within(name, block)) {
        let message = format!("unknown key `{name}`; did you mean `{meant}`?");
        return problem(codes::UNKNOWN_KEY, message).help(format!("write `{meant}: {}`", shown(entry)));
    }
    if let Some(place) = elsewhere(name, root) {
        return misplaced_in(name, &place);
    }
    let names: Vec<_> = block.all().map(|key| key.name).collect();
    let help = format!("the keys here are {}", listed(&names).replace(" or ", " and "));
    problem(codes::UNKNOWN_KEY, format!("unknown key `{name}`")).help(help)
}

fn misplaced_in(name: &str, place: &str) -> Problem {
    problem(codes::MISPLACED_KEY, format!("`{name}` belongs {place}")).help("move it there")
}

/// Block and key in one word: `cacheTTL`, `breaker_recovery_timeout`.
fn spelled_together(entry: &Entry, block: &'static Block) -> Option<Problem> {
    let name = similar::fold(&entry.key);
    for outer in block.all() {
        let Some(inner) = outer.kind.block() else { continue };
        let Some(rest) = name.strip_prefix(&similar::fold(outer.name)) else { continue };
        if let Some(key) = inner.all().find(|key| similar::fold(key.name) == rest) {
            let message = format!("unknown key `{}`; did you mean `{}` under `{}`?", entry.key, key.name, outer.name);
            let help = format!("write `{}: {{ {}: {} }}`", outer.name, key.name, shown(entry));
            return Some(problem(codes::UNKNOWN_KEY, message).help(help));
        }
    }
    None
}

/// A key whose name is part of this one: `circuit_breaker`.
fn within(name: &str, block: &'static Block) -> Option<&'static str> {
    let is_word = |key: &&str| key.len() >= 5 && name.to_ascii_lowercase().split(['_', '-']).any(|word| word == *key);
    block.all().map(|key| key.name).find(is_word)
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
    let others = || {
        let all = [
            (&SERVER, "aggd.yaml"),
            (&SOURCE, "a `source:` document"),
            (&ROUTE, "a `route:` document"),
            (&TEST, "a `test:` document"),
        ];
        all.into_iter().filter(|(other, _)| !std::ptr::eq(*other, root))
    };
    let tops: Vec<_> = others().filter(|(other, _)| other.find(name).is_some()).map(|(_, what)| what).collect();
    if !tops.is_empty() {
        return Some(format!("in {}", tops.join(", or in ")));
    }
    others().find_map(|(other, what)| Some(format!("under `{}` of {what}", other.places_of(name).first()?)))
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
