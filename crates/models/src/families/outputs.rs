//! Taking apart what modules return.

use pellucid_nn::{NnError, Result, Value, Var};

/// The tensor a module must have returned.
pub(super) fn tensor(value: &Value) -> Result<Var> {
    value.as_var().cloned().ok_or_else(|| NnError::Argument {
        module: String::new(),
        argument: "output",
        expected: "a tensor",
        got: value.kind(),
    })
}

/// The tensor at the head of the tuple a module must have returned.
pub(super) fn first(value: &Value) -> Result<Var> {
    tensor(&item(value, 0))
}

/// An item of the tuple or list a module returned; `None` if it has none there.
pub(super) fn item(value: &Value, at: usize) -> Value {
    match value {
        Value::Tuple(items) => items.get(at).cloned().unwrap_or_default(),
        Value::List(items) => items.borrow().get(at).cloned().unwrap_or_default(),
        other if at == 0 => other.clone(),
        _ => Value::None,
    }
}

/// A field of the record a module returned; `None` if it has none of that name.
pub(super) fn field(value: &Value, name: &str) -> Value {
    match value {
        Value::Record(record) => record.get(name).unwrap_or_default(),
        _ => Value::None,
    }
}
