//! Taking apart what modules return, and putting together what a body returns.

use pellucid_nn::{NnError, Result, Value, Var};

use super::inputs::Inputs;

/// What a body's output has beside the last hidden states and the cache, if asked for.
pub(super) struct Collected {
    hidden_states: Option<Vec<Value>>,
    attentions: Option<Vec<Value>>,
}

impl Collected {
    pub(super) fn new(inputs: &Inputs) -> Collected {
        Collected {
            hidden_states: inputs.hidden_states.then(Vec::new),
            attentions: inputs.attentions.then(Vec::new),
        }
    }

    /// The residual stream before a block.
    pub(super) fn before(&mut self, hidden: &Var) {
        if let Some(all) = &mut self.hidden_states {
            all.push(Value::Tensor(hidden.clone()));
        }
    }

    /// What a block returned, its pattern at a place of the tuple.
    pub(super) fn after(&mut self, output: &Value, at: usize) {
        if let Some(all) = &mut self.attentions {
            all.push(item(output, at));
        }
    }

    /// The fields of the body's output. The reference counts the last hidden states among them all.
    pub(super) fn fields(self, last: Value, past: Value) -> Vec<(&'static str, Value)> {
        let hidden_states = self.hidden_states.map(|mut all| {
            all.push(last.clone());
            all
        });
        let mut fields = vec![("last_hidden_state", last), ("past_key_values", past)];
        fields.extend(hidden_states.map(|all| ("hidden_states", Value::tuple(all))));
        fields.extend(self.attentions.map(|all| ("attentions", Value::tuple(all))));
        fields
    }
}

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
