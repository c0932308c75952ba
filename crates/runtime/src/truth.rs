//! Whether a value counts as true, as Python and PyTorch have it.

use pellucid_nn::Value;

use crate::error::{Result, RunErrorKind};

/// Whether a value is true; `None` for a tensor that is not computed when only shapes are asked for.
///
/// # Errors
/// For a tensor that does not have exactly one element.
pub(crate) fn of(value: &Value, scan: bool) -> Result<Option<bool>> {
    Ok(Some(match value {
        Value::None => false,
        Value::Bool(b) => *b,
        Value::Int(i) => *i != 0,
        Value::Float(f) => *f != 0.0,
        Value::Str(text) => !text.is_empty(),
        Value::Tuple(items) => !items.is_empty(),
        Value::List(items) => !items.borrow().is_empty(),
        Value::Dict(items) => !items.borrow().is_empty(),
        Value::Tensor(var) => {
            let tensor = var.get()?;
            if tensor.numel() != 1 {
                return Err(RunErrorKind::Argument {
                    op: "bool".into(),
                    argument: "condition".into(),
                    expected: "one element; say `any` or `all` of several".into(),
                    got: value.kind(),
                }
                .into());
            }
            if scan && !tensor.is_evaluated() {
                return Ok(None);
            }
            tensor.to_f64s()?[0] != 0.0
        }
        _ => true,
    }))
}
