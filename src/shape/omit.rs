//! `omit`: what is taken out of a projected document.
//!
//! All paths look at the document as it was; then what they match goes, at once. Elements leave no gap. Without `$`
//! itself, `null` is left.

use crate::shape::apply::ShapeError;
use crate::shape::document::Inner;
use crate::shape::document::Node;
use crate::shape::path::Path;
use crate::shape::path::Work;
use crate::shape::project::too_much;

/// Values that go, by where they begin; sorted.
struct Gone(Vec<usize>);

/// The document without what the paths match. `None`: it stays as it is.
pub(super) fn remove<'v>(root: &'v Node<'v>, paths: &'v [Path], work: &'v Work) -> Result<Option<Vec<u8>>, ShapeError> {
    let mut gone = Vec::new();
    for path in paths {
        let matches = path.select(root, work).map_err(|err| too_much(path, err).within("omit"))?;
        gone.extend(matches.into_iter().map(Node::place));
    }
    if gone.is_empty() && root.faithful {
        return Ok(None);
    }
    gone.sort_unstable();
    let gone = Gone(gone);
    let mut out = Vec::with_capacity(root.raw.len());
    if gone.has(root) {
        out.extend_from_slice(b"null");
    } else {
        gone.write(root, &mut out);
    }
    Ok(Some(out))
}

impl Gone {
    fn has(&self, node: &Node<'_>) -> bool {
        self.0.binary_search(&node.place()).is_ok()
    }

    /// Whether something inside a value that stays goes.
    fn touches(&self, node: &Node<'_>) -> bool {
        let first = self.0.partition_point(|place| *place < node.place());
        self.0.get(first).is_some_and(|place| *place < node.place() + node.raw.len())
    }

    /// Recursion is no deeper than documents are.
    fn write(&self, node: &Node<'_>, out: &mut Vec<u8>) {
        // Where a name stands twice the text says more than the tree: the value that does not count is left out too.
        if node.faithful && !self.touches(node) {
            out.extend_from_slice(node.raw.as_bytes());
            return;
        }
        let mut first = true;
        let mut separate = |out: &mut Vec<u8>| {
            if !std::mem::replace(&mut first, false) {
                out.push(b',');
            }
        };
        match &node.inner {
            Inner::Scalar => out.extend_from_slice(node.raw.as_bytes()),
            Inner::Array(elements) => {
                out.push(b'[');
                for element in elements.iter().filter(|element| !self.has(element)) {
                    separate(out);
                    self.write(element, out);
                }
                out.push(b']');
            }
            Inner::Object(members) => {
                out.push(b'{');
                for (name, member) in members.iter().filter(|(_, member)| !self.has(member)) {
                    separate(out);
                    out.push(b'"');
                    out.extend_from_slice(name.raw.as_bytes());
                    out.extend_from_slice(b"\":");
                    self.write(member, out);
                }
                out.push(b'}');
            }
        }
    }
}
