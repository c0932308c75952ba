//! Operations inside modules as places: how a module announces them, and how they are listed.

use std::future::poll_fn;

use pellucid_tensor::Tensor;

use crate::error::{NnError, Result};
use crate::forward::Forward;
use crate::tree::ModuleId;
use crate::value::Value;
use crate::var::Var;

/// An operation inside a module, whose result can be read and replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpPlace {
    /// What the operation is called: its kind and a number counted per kind and module, such as `matmul_0`.
    pub label: &'static str,
    /// The name that the same value has in every family, such as `query`.
    pub alias: Option<&'static str>,
    /// What the value is.
    pub what: &'static str,
    /// Names of the value's dimensions; `1` for a dimension of one.
    pub axes: &'static [&'static str],
}

impl OpPlace {
    /// An operation without a name of its own.
    #[must_use]
    pub const fn new(label: &'static str, what: &'static str, axes: &'static [&'static str]) -> OpPlace {
        OpPlace { label, alias: None, what, axes }
    }

    /// The same with a name that every family has.
    #[must_use]
    pub const fn named(self, alias: &'static str) -> OpPlace {
        OpPlace { alias: Some(alias), ..self }
    }

    /// Whether the operation goes by that label or name.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.label == name || self.alias == Some(name)
    }

    /// The dimensions as they are written, such as `[batch, n_heads, seq_q, seq_k]`.
    #[must_use]
    pub fn shape(&self) -> String {
        format!("[{}]", self.axes.join(", "))
    }
}

/// Announces the operations of one call of a module. Where nobody looks inside the module, values pass unchanged.
#[derive(Clone, Copy)]
pub struct Ops<'a> {
    pass: &'a Forward<'a>,
    module: ModuleId,
    watched: bool,
}

impl std::fmt::Debug for Ops<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ops").field("module", &self.module).field("watched", &self.watched).finish()
    }
}

impl<'a> Ops<'a> {
    /// The operations of a module in this pass.
    #[must_use]
    pub fn of(pass: &'a Forward<'a>, module: ModuleId) -> Ops<'a> {
        Ops { pass, module, watched: pass.hooks.watches(module) }
    }

    /// Whether somebody looks inside the module.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watched
    }

    /// Whether one of these operations is looked at.
    #[must_use]
    #[inline]
    pub fn wants(&self, labels: &[&'static str]) -> bool {
        self.watched && labels.iter().any(|label| self.pass.hooks.wants(self.module, label))
    }

    /// Announces a value that others may hold as well; what comes back is gone on with.
    ///
    /// # Errors
    /// Whatever the hooks return; [`NnError::Argument`] if they put something else than a tensor in its place.
    pub async fn var(&self, label: &'static str, var: Var) -> Result<Var> {
        if !self.wants(&[label]) {
            return Ok(var);
        }
        // Futures of modules stay small, and quick to move, where the unusual is elsewhere.
        Box::pin(self.announce(label, var)).await
    }

    /// Announces a freshly computed value; what comes back is gone on with.
    ///
    /// # Errors
    /// As [`Ops::var`].
    pub async fn tensor(&self, label: &'static str, tensor: Tensor) -> Result<Tensor> {
        if !self.wants(&[label]) {
            return Ok(tensor);
        }
        Ok(Box::pin(self.announce(label, Var::new(tensor))).await?.get()?)
    }

    /// Announces a freshly computed value that flows on as a storage.
    ///
    /// # Errors
    /// As [`Ops::var`].
    pub async fn fresh(&self, label: &'static str, tensor: Tensor) -> Result<Var> {
        self.var(label, Var::new(tensor)).await
    }

    /// Announces what a module without modules inside gives.
    ///
    /// # Errors
    /// As [`Ops::var`].
    pub async fn value(&self, label: &'static str, value: Value) -> Result<Value> {
        match value {
            Value::Tensor(var) => Ok(Value::Tensor(self.var(label, var).await?)),
            other => Ok(other),
        }
    }

    async fn announce(self, label: &'static str, var: Var) -> Result<Var> {
        let mut value = Value::Tensor(var);
        poll_fn(|_| self.pass.hooks.poll_inner(self.module, label, &mut value)).await?;
        match value {
            Value::Tensor(var) => Ok(var),
            other => Err(NnError::Argument {
                module: String::new(),
                argument: label,
                expected: "a tensor",
                got: other.kind(),
            }),
        }
    }
}
