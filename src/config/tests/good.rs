//! What right files mean.

use crate::config::tests::clean;

#[test]
fn the_shipped_looking_example_has_no_findings() {
    let loaded = clean("source: a\nurl: https://example.org/\n");
    assert_eq!(loaded.spec.sources.len(), 1);
}
