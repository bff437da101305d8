//! Comparison of values in filters (RFC 9535 §2.3.5.2.2): strict about types, and defined where a side has no value.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::shape::document::Inner;
use crate::shape::document::Node;
use crate::shape::document::Value;
use crate::shape::path::ast::Order;
use crate::shape::reader::Written;
use crate::shape::strings::decode;

/// Whether two sides are in an order. `None`: that side has no value, which equals only the same.
pub(super) fn holds(order: Order, left: Option<&Value<'_>>, right: Option<&Value<'_>>) -> bool {
    match order {
        Order::Equal => same_side(left, right),
        Order::NotEqual => !same_side(left, right),
        Order::Less => less(left, right),
        Order::LessOrEqual => less(left, right) || same_side(left, right),
        Order::Greater => less(right, left),
        Order::GreaterOrEqual => less(right, left) || same_side(left, right),
    }
}

fn same_side(left: Option<&Value<'_>>, right: Option<&Value<'_>>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => same(left, right),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn less(left: Option<&Value<'_>>, right: Option<&Value<'_>>) -> bool {
    match (left, right) {
        (Some(Value::Number(left)), Some(Value::Number(right))) => left.compare(*right) == Some(Ordering::Less),
        (Some(Value::String(left)), Some(Value::String(right))) => left < right,
        _ => false,
    }
}

fn same(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Number(left), Value::Number(right)) => left.compare(*right) == Some(Ordering::Equal),
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Container(left), Value::Container(right)) => same_node(left, right),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Container(_), _) => false,
    }
}

/// Recursion is no deeper than documents are.
fn same_node(left: &Node<'_>, right: &Node<'_>) -> bool {
    if left.raw == right.raw {
        return true;
    }
    match (&left.inner, &right.inner) {
        (Inner::Scalar, Inner::Scalar) => same(&left.value(), &right.value()),
        (Inner::Array(left), Inner::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_node(left, right))
        }
        (Inner::Object(left), Inner::Object(right)) => {
            left.len() == right.len()
                && by_name(left)
                    .into_iter()
                    .zip(by_name(right))
                    .all(|((left_name, left), (right_name, right))| left_name == right_name && same_node(left, right))
        }
        (Inner::Scalar | Inner::Array(_) | Inner::Object(_), _) => false,
    }
}

/// Members sorted: their order means nothing.
fn by_name<'v>(members: &'v [(Written<'v>, Node<'v>)]) -> Vec<(Cow<'v, [u8]>, &'v Node<'v>)> {
    let mut sorted: Vec<_> = members.iter().map(|(name, node)| (decode(*name), node)).collect();
    sorted.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    sorted
}
