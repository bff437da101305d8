//! What a reload changed, in words.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::spec::ServerSpec;

/// The documents and settings that differ between two configurations, from how `/admin/config` shows them.
pub(crate) fn between(old: &str, new: &str) -> Vec<String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (old, new) = (parse(old), parse(new));
    let mut changes = Vec::new();
    compare(&mut changes, "setting", &members(&old, "server"), &members(&new, "server"));
    compare(&mut changes, "source", &documents(&old, "sources", "source"), &documents(&new, "sources", "source"));
    compare(&mut changes, "route", &documents(&old, "routes", "route"), &documents(&new, "routes", "route"));
    if changes.is_empty() {
        // What is shown as `***` may have changed, or the order of the files.
        changes.push("values that are not shown changed".to_owned());
    }
    changes
}

/// The settings that stay as they were until the process is started anew.
pub(crate) fn needing_restart(started: &ServerSpec, new: &ServerSpec) -> Vec<String> {
    let settings = [
        ("listen", started.listen != new.listen),
        ("admin.listen", started.admin_listen != new.admin_listen),
        ("database", started.database != new.database),
        ("limits.max_connections", started.limits.max_connections != new.limits.max_connections),
    ];
    let changed = settings.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(name, _)| format!("`{name}` changed: restart aggd to apply it")).collect()
}

fn compare(changes: &mut Vec<String>, word: &str, old: &BTreeMap<String, &Value>, new: &BTreeMap<String, &Value>) {
    for (name, value) in new {
        match old.get(name) {
            None => changes.push(format!("{word} `{name}` added")),
            Some(before) if before != value => changes.push(format!("{word} `{name}` changed")),
            Some(_) => {}
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.push(format!("{word} `{name}` removed"));
    }
}

fn members<'a>(root: &'a Value, member: &str) -> BTreeMap<String, &'a Value> {
    let object = root.get(member).and_then(Value::as_object);
    object.into_iter().flatten().map(|(name, value)| (name.clone(), value)).collect()
}

fn documents<'a>(root: &'a Value, member: &str, key: &str) -> BTreeMap<String, &'a Value> {
    let list = root.get(member).and_then(Value::as_array);
    let named = list.into_iter().flatten().map(|document| {
        let name = document.get(key).and_then(Value::as_str).unwrap_or_default();
        match document.get("method").and_then(Value::as_str).filter(|method| key == "route" && *method != "GET") {
            Some(method) => (format!("{method} {name}"), document),
            None => (name.to_owned(), document),
        }
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_and_differs_is_named() {
        let old = r#"{"server":{"limits":{"concurrency":1}},"sources":[{"source":"a","url":"x"},{"source":"b"}],"routes":[]}"#;
        let new = r#"{"server":{"limits":{"concurrency":2}},"sources":[{"source":"a","url":"y"},{"source":"c"}],"routes":[{"route":"/r"}]}"#;
        assert_eq!(
            between(old, new),
            [
                "setting `limits` changed",
                "source `a` changed",
                "source `c` added",
                "source `b` removed",
                "route `/r` added"
            ]
        );
    }

    #[test]
    fn a_change_of_hidden_values_alone_is_said_too() {
        assert_eq!(between("{}", "{}"), ["values that are not shown changed"]);
    }
}
