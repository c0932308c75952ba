//! From an invoke's input to token ids and masks.

use pellucid_nn::Value;
use pellucid_program::{Arg, Input};
use pellucid_tensor::{DType, Engine, Tensor};

use crate::error::{Result, RunError, RunErrorKind};

/// Turns text into tokens; implemented over a tokenizer by whoever opens models.
pub trait Encoder {
    /// Token ids of a prompt, special tokens included as the model expects them.
    ///
    /// # Errors
    /// The reason, in words.
    fn encode(&self, prompt: &str) -> std::result::Result<Vec<i64>, String>;

    /// The id put in front of shorter prompts of a list.
    fn pad_id(&self) -> i64;
}

/// Token ids of an invoke's rows, padded on the left to one length.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// `[batch, seq]`.
    pub ids: Tensor,
    /// `[batch, seq]`, one at real tokens.
    pub mask: Tensor,
}

/// What goes into a model, resolved.
enum Prompts {
    Texts(Vec<String>),
    Tokens(Vec<Vec<i64>>),
    /// Token ids of equal length with their mask.
    Batch(Tensor, Option<Tensor>),
}

/// The rows of an input; `argument` resolves what it names.
pub(crate) fn rows(
    engine: &Engine,
    input: &Input,
    encoder: Option<&dyn Encoder>,
    argument: &dyn Fn(&Arg) -> Result<Value>,
) -> Result<Rows> {
    let prompts = match input {
        Input::Text(prompts) => Prompts::Texts(prompts.clone()),
        Input::Tokens(tokens) => Prompts::Tokens(tokens.clone()),
        Input::Value(arg) => resolve(argument(arg)?)?,
        Input::Batch { input_ids, attention_mask } => {
            let ids = resolve(argument(input_ids)?)?;
            match (ids, attention_mask) {
                (ids, None) => ids,
                (Prompts::Batch(ids, _), Some(mask)) => {
                    Prompts::Batch(ids, Some(matrix(&argument(mask)?, "attention_mask")?))
                }
                (Prompts::Tokens(tokens), Some(mask)) => {
                    let seq = tokens.first().map_or(0, Vec::len);
                    if tokens.iter().any(|t| t.len() != seq) {
                        return Err(bad("attention_mask", "rows of one length", &Value::None));
                    }
                    let batch = tokens.len();
                    let ids = engine.from_vec(tokens.concat(), &[batch, seq])?;
                    let mask = matrix(&argument(mask)?, "attention_mask")?;
                    Prompts::Batch(ids, Some(mask))
                }
                (Prompts::Texts(_), Some(_)) => {
                    return Err(bad("input_ids", "token ids", &argument(input_ids)?));
                }
            }
        }
        Input::Empty => {
            let what = "a trace whose invokes all lack an input".into();
            return Err(RunErrorKind::Unsupported { what }.into());
        }
    };
    match prompts {
        Prompts::Texts(texts) => {
            let encoder = encoder.ok_or_else(|| {
                RunError::new(RunErrorKind::Unsupported {
                    what: "text input to a model without a tokenizer".into(),
                })
            })?;
            let encode = |p: &String| {
                let failed = |reason| RunError::new(RunErrorKind::Prompt { prompt: p.clone(), reason });
                let ids = encoder.encode(p).map_err(failed)?;
                if ids.is_empty() { Err(failed("it has no tokens".into())) } else { Ok(ids) }
            };
            let tokens = texts.iter().map(encode).collect::<Result<Vec<_>>>()?;
            padded(engine, &tokens, encoder.pad_id())
        }
        Prompts::Tokens(tokens) => padded(engine, &tokens, encoder.map_or(0, Encoder::pad_id)),
        Prompts::Batch(ids, mask) => {
            let mask = match mask {
                Some(mask) if mask.dims() != ids.dims() => {
                    let expected = format!("the shape of the ids, {:?}", ids.dims());
                    return Err(bad("attention_mask", &expected, &Value::tensor(mask)));
                }
                Some(mask) => mask.cast(DType::I64),
                None => engine.ones(ids.dims(), DType::I64),
            };
            Ok(Rows { ids, mask })
        }
    }
}

/// Rows padded on the left to the longest.
fn padded(engine: &Engine, tokens: &[Vec<i64>], pad: i64) -> Result<Rows> {
    let seq = tokens.iter().map(Vec::len).max().unwrap_or(0);
    if tokens.iter().any(Vec::is_empty) || tokens.is_empty() {
        let reason = "it has no tokens".into();
        return Err(RunErrorKind::Prompt { prompt: String::new(), reason }.into());
    }
    let batch = tokens.len();
    let (mut ids, mut mask) = (Vec::with_capacity(batch * seq), Vec::with_capacity(batch * seq));
    for row in tokens {
        ids.extend(std::iter::repeat_n(pad, seq - row.len()).chain(row.iter().copied()));
        mask.extend(std::iter::repeat_n(0i64, seq - row.len()).chain(std::iter::repeat_n(1, row.len())));
    }
    Ok(Rows { ids: engine.from_vec(ids, &[batch, seq])?, mask: engine.from_vec(mask, &[batch, seq])? })
}

/// What a value of the program means as an input.
fn resolve(value: Value) -> Result<Prompts> {
    let items = match &value {
        Value::Str(text) => return Ok(Prompts::Texts(vec![text.to_string()])),
        Value::Tensor(_) => return Ok(Prompts::Batch(matrix(&value, "input_ids")?, None)),
        Value::Dict(pairs) => {
            let field = |name: &str| {
                let pairs = pairs.borrow();
                pairs.iter().find(|(k, _)| matches!(k, Value::Str(s) if &**s == name)).map(|(_, v)| v.clone())
            };
            let Some(ids) = field("input_ids") else {
                return Err(
                    RunErrorKind::NoItem { container: value.kind(), key: "`input_ids`".into() }.into()
                );
            };
            return with_mask(ids, field("attention_mask"));
        }
        Value::Record(record) => {
            let Some(ids) = record.get("input_ids") else {
                return Err(
                    RunErrorKind::NoItem { container: value.kind(), key: "`input_ids`".into() }.into()
                );
            };
            return with_mask(ids, record.get("attention_mask"));
        }
        Value::Tuple(items) => items.to_vec(),
        Value::List(items) => items.borrow().clone(),
        other => return Err(bad("input", EXPECTED, other)),
    };
    if items.iter().all(|v| matches!(v, Value::Str(_))) && !items.is_empty() {
        let text = |v: &Value| match v {
            Value::Str(s) => s.to_string(),
            _ => String::new(),
        };
        return Ok(Prompts::Texts(items.iter().map(text).collect()));
    }
    if items.iter().all(|v| matches!(v, Value::Int(_))) && !items.is_empty() {
        return Ok(Prompts::Tokens(vec![integers(&value)?]));
    }
    Ok(Prompts::Tokens(items.iter().map(integers).collect::<Result<_>>()?))
}

const EXPECTED: &str = "a prompt, prompts, token ids, or a dict with `input_ids`";

fn with_mask(ids: Value, mask: Option<Value>) -> Result<Prompts> {
    let mask = match mask {
        None | Some(Value::None) => None,
        Some(mask) => Some(matrix(&mask, "attention_mask")?),
    };
    match resolve(ids)? {
        Prompts::Batch(ids, _) => Ok(Prompts::Batch(ids, mask)),
        other => Ok(other),
    }
}

/// Integers of a list or of a tensor with one axis.
fn integers(value: &Value) -> Result<Vec<i64>> {
    let items = match value {
        Value::Tuple(items) => items.to_vec(),
        Value::List(items) => items.borrow().clone(),
        Value::Tensor(var) => {
            let tensor = var.get()?;
            if tensor.rank() == 1 && !tensor.dtype().is_float() {
                return Ok(tensor.cast(DType::I64).to_vec::<i64>()?);
            }
            return Err(bad("input", "token ids of one row", value));
        }
        other => return Err(bad("input", EXPECTED, other)),
    };
    items
        .iter()
        .map(|v| match v {
            Value::Int(i) => Ok(*i),
            Value::Tensor(var) if var.get()?.numel() == 1 => {
                Ok(var.get()?.cast(DType::I64).to_vec::<i64>()?[0])
            }
            other => Err(bad("input", EXPECTED, other)),
        })
        .collect()
}

/// Integers `[batch, seq]`; a tensor with one axis is one row.
fn matrix(value: &Value, argument: &str) -> Result<Tensor> {
    let Value::Tensor(var) = value else { return Err(bad(argument, "a tensor of integers", value)) };
    let tensor = var.get()?;
    if tensor.dtype().is_float() || tensor.numel() == 0 {
        return Err(bad(argument, "integers `[batch, seq]`, not empty", value));
    }
    let tensor = tensor.cast(DType::I64);
    match tensor.rank() {
        1 => Ok(tensor.unsqueeze(0)?),
        2 => Ok(tensor),
        _ => Err(bad(argument, "integers `[batch, seq]`", value)),
    }
}

fn bad(argument: &str, expected: &str, got: &Value) -> RunError {
    RunErrorKind::Argument {
        op: "invoke".into(),
        argument: argument.into(),
        expected: expected.into(),
        got: got.kind(),
    }
    .into()
}
