//! Modules that act on every element alone.

use pellucid_tensor::{Result as TensorResult, Tensor};

use std::sync::Arc;

use super::norm::python_float;
use crate::error::Result;
use crate::ops::{OpPlace, Ops};
use crate::tree::{ModuleId, TreeBuilder};
use crate::value::{Args, Value};

/// An activation function, by the names of Hugging Face's `ACT2FN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationKind {
    /// `gelu`: with the error function.
    Gelu,
    /// `gelu_new`: tanh approximation.
    GeluNew,
    /// `gelu_fast`: the same approximation, in another class.
    GeluFast,
    /// `gelu_pytorch_tanh`: the same approximation, in another class.
    GeluPytorchTanh,
    /// `silu` or `swish`.
    Silu,
    /// `relu`.
    Relu,
    /// `tanh`.
    Tanh,
}

impl ActivationKind {
    /// The function of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<ActivationKind> {
        Some(match name {
            "gelu" => ActivationKind::Gelu,
            "gelu_new" => ActivationKind::GeluNew,
            "gelu_fast" => ActivationKind::GeluFast,
            "gelu_pytorch_tanh" => ActivationKind::GeluPytorchTanh,
            "silu" | "swish" => ActivationKind::Silu,
            "relu" => ActivationKind::Relu,
            "tanh" => ActivationKind::Tanh,
            _ => return None,
        })
    }

    /// The class of the reference implementation.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            ActivationKind::Gelu => "GELUActivation",
            ActivationKind::GeluNew => "NewGELUActivation",
            ActivationKind::GeluFast => "FastGELUActivation",
            ActivationKind::GeluPytorchTanh => "PytorchGELUTanh",
            ActivationKind::Silu => "SiLU",
            ActivationKind::Relu => "ReLU",
            ActivationKind::Tanh => "Tanh",
        }
    }

    /// The label of the operation, one whichever way the function is computed.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            ActivationKind::Silu => "silu_0",
            ActivationKind::Relu => "relu_0",
            ActivationKind::Tanh => "tanh_0",
            _ => "gelu_0",
        }
    }

    /// The function's values.
    ///
    /// # Errors
    /// As [`Tensor::unary`].
    pub fn apply(self, x: &Tensor) -> TensorResult<Tensor> {
        match self {
            ActivationKind::Gelu => x.gelu(),
            ActivationKind::GeluNew | ActivationKind::GeluFast | ActivationKind::GeluPytorchTanh => {
                x.gelu_tanh()
            }
            ActivationKind::Silu => x.silu(),
            ActivationKind::Relu => x.relu(),
            ActivationKind::Tanh => x.tanh(),
        }
    }
}

/// An activation function as a module.
#[derive(Debug)]
pub struct Activation {
    module: ModuleId,
    kind: ActivationKind,
}

impl Activation {
    /// Adds the module to the tree.
    ///
    /// # Errors
    /// None so far.
    pub fn build(b: &mut TreeBuilder<'_>, name: &str, kind: ActivationKind) -> Result<Arc<Activation>> {
        b.child(name, kind.type_name(), "", |b| {
            let module = b.id();
            let layer = Activation { module, kind };
            Ok(b.register(layer))
        })
    }

    fn run(&self, args: &Args) -> Result<Value> {
        Ok(Value::tensor(self.kind.apply(&args.var(0, "input")?.get()?)?))
    }

    async fn announced(&self, ops: Ops<'_>, args: Args) -> Result<Value> {
        ops.value(self.kind.label(), self.run(&args)?).await
    }

    fn places(&self) -> Vec<OpPlace> {
        vec![OpPlace::new(self.kind.label(), "the activations", &["batch", "seq", "d_mlp"])]
    }
}

/// Dropout: a place like any other, and the identity outside training. Its output is its input's storage.
#[derive(Debug)]
pub struct Dropout {
    module: ModuleId,
}

impl Dropout {
    /// Adds the module to the tree.
    ///
    /// # Errors
    /// None so far.
    pub fn build(b: &mut TreeBuilder<'_>, name: &str, p: f64) -> Result<Arc<Dropout>> {
        b.child(name, "Dropout", format!("p={}, inplace=False", python_float(p)), |b| {
            let module = b.id();
            let layer = Dropout { module };
            Ok(b.register(layer))
        })
    }

    fn run(&self, args: &Args) -> Result<Value> {
        Ok(Value::Tensor(args.var(0, "input")?))
    }

    async fn announced(&self, ops: Ops<'_>, args: Args) -> Result<Value> {
        ops.value("dropout_0", self.run(&args)?).await
    }

    fn places(&self) -> Vec<OpPlace> {
        vec![OpPlace::new("dropout_0", "the input, all of it outside training", &["..."])]
    }
}

leaf!(Activation, Dropout);
