//! What the body of a language model is called with, and what all its blocks derive from it.

use std::rc::Rc;

use pellucid_nn::layers::{padding_mask, positions};
use pellucid_nn::{Args, KvCache, NnError, Result, Value, Var};
use pellucid_tensor::{DType, Tensor};

/// Arguments that the reference's bodies take and these refuse: computing without them would give other numbers.
const REFUSED: &[&str] =
    &["token_type_ids", "head_mask", "inputs_embeds", "encoder_hidden_states", "encoder_attention_mask"];

/// The inputs of one forward pass.
pub(super) struct Inputs {
    /// Token ids `[batch, seq]`.
    pub(super) ids: Var,
    /// Which keys are real, `[batch, 1, 1, seq_k]`; `None` if all are.
    pub(super) mask: Value,
    /// Columns of the mask that was given, or zero.
    pub(super) mask_len: usize,
    /// Keys and values of earlier tokens.
    pub(super) cache: Rc<KvCache>,
    /// Positions `[batch, seq]` or `[1, seq]`.
    pub(super) position_ids: Var,
    /// Places of the new tokens in the cache, `[seq]`.
    pub(super) cache_position: Var,
    /// Whether the output is to have the residual stream before each block.
    pub(super) hidden_states: bool,
    /// Whether the output is to have the attention patterns.
    pub(super) attentions: bool,
}

impl Inputs {
    /// Reads a body's arguments and starts a pass on its cache. `limit` is the number of positions, if there is one.
    ///
    /// # Errors
    /// [`NnError::Argument`] for arguments that are not what they should be, or that are not supported;
    /// [`NnError::ContextLength`].
    pub(super) fn read(args: &Args, limit: Option<usize>) -> Result<Inputs> {
        refuse(args)?;
        let ids = args.var(0, "input_ids")?;
        let tokens = ids.get()?;
        let &[batch, seq] = tokens.dims() else {
            return Err(argument("input_ids", "token ids of shape [batch, seq]", &Value::Tensor(ids)));
        };
        let cache = args.cache("past_key_values").unwrap_or_else(|| Rc::new(KvCache::default()));
        cache.begin_pass();
        let past = cache.past_len();
        if let Some(limit) = limit.filter(|&limit| past + seq > limit) {
            return Err(NnError::ContextLength { got: past + seq, limit });
        }
        let given = args.optional_var(usize::MAX, "attention_mask")?;
        let mask: Option<Tensor> = given.as_ref().map(Var::get).transpose()?;
        if mask.as_ref().is_some_and(|m| m.dims() != [batch, past + seq]) {
            let expected = "one number for each token of each row, cached ones included";
            return Err(argument("attention_mask", expected, &args.get(usize::MAX, "attention_mask")));
        }
        let position_ids = match args.optional_var(usize::MAX, "position_ids")? {
            Some(given) => given,
            None => Var::new(positions(&tokens, mask.as_ref(), past)?),
        };
        let cache_position = Var::new(tokens.engine().arange(past, 1, seq, DType::I64));
        Ok(Inputs {
            ids,
            mask_len: mask.as_ref().map_or(0, |m| m.dims()[1]),
            mask: padding_mask(mask.as_ref())?.map_or(Value::None, Value::tensor),
            cache,
            position_ids,
            cache_position,
            hidden_states: flag(args, "output_hidden_states")?,
            attentions: flag(args, "output_attentions")?,
        })
    }
}

/// Refuses arguments that would have to change the result and cannot.
pub(super) fn refuse(args: &Args) -> Result<()> {
    for (name, value) in &args.named {
        let harmless = matches!(value, Value::None | Value::Bool(false));
        if !harmless && REFUSED.contains(name) {
            return Err(argument(name, "none, because it is not supported", value));
        }
    }
    Ok(())
}

/// A truth value that an argument must be, if given.
pub(super) fn flag(args: &Args, name: &'static str) -> Result<bool> {
    match args.get(usize::MAX, name) {
        Value::None => Ok(false),
        Value::Bool(given) => Ok(given),
        other => Err(argument(name, "a truth value", &other)),
    }
}

/// The fault of an argument that is not what it should be.
pub(super) fn argument(argument: &'static str, expected: &'static str, got: &Value) -> NnError {
    NnError::Argument { module: String::new(), argument, expected, got: got.kind() }
}

/// The mask that a block was handed, as a tensor.
pub(super) fn mask(args: &Args) -> Result<Option<Tensor>> {
    args.optional_var(usize::MAX, "attention_mask")?.map(|v| Ok(v.get()?)).transpose()
}
