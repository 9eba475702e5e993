//! What an expression means: slow, obvious, and the judge of everything faster.

use crate::expression::{Comparison, Expression, Relation};
use crate::field::Field;
use crate::file::ListId;
use crate::value::Value;

/// A packet and its session.
pub trait Facts {
    /// The values of a field; none where packet or session do not have it.
    fn values(&self, field: Field) -> Vec<Value>;

    /// Whether a list has a value.
    fn is_listed(&self, list: ListId, value: &Value) -> bool;
}

/// Whether an expression holds.
#[must_use]
pub fn holds(expression: &Expression, facts: &impl Facts) -> bool {
    match expression {
        Expression::And(parts) => parts.iter().all(|part| holds(part, facts)),
        Expression::Or(parts) => parts.iter().any(|part| holds(part, facts)),
        Expression::Not(part) => !holds(part, facts),
        Expression::Compare(comparison) => compares(comparison, facts),
    }
}

fn compares(comparison: &Comparison, facts: &impl Facts) -> bool {
    let values = facts.values(comparison.field);
    let listed = |list, value: &Value| facts.is_listed(list, value);
    let bytes = |value: &Value, test: &dyn Fn(&[u8]) -> bool| match value {
        Value::Bytes(bytes) => test(bytes),
        _ => false,
    };
    match &comparison.relation {
        Relation::Present => values.iter().any(|value| *value != Value::Truth(false)),
        Relation::In(set) => values.iter().any(|value| set.has(value, &listed)),
        Relation::NotIn(set) => !values.is_empty() && !values.iter().any(|value| set.has(value, &listed)),
        Relation::Contains(part) => {
            let has = |whole: &[u8]| whole.windows(part.len()).any(|window| window == part);
            values.iter().any(|value| bytes(value, &has))
        }
        Relation::Matches(pattern) => values.iter().any(|value| bytes(value, &|whole| pattern.is_in(whole))),
    }
}
