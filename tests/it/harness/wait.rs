//! Waiting for what must come, and reading what came.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

/// Asks again and again until it holds; fails with the words given when it does not in time.
pub(crate) async fn eventually(within: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + within;
    loop {
        if holds().await {
            return;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The texts of a JSON array.
pub(crate) fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap_or_else(|| panic!("not a list: {list}")).iter().filter_map(Value::as_str).collect()
}
