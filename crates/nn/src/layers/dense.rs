//! Affine maps.

use std::sync::Arc;

use crate::error::Result;
use crate::ops::{OpPlace, Ops};
use crate::tree::{ModuleId, TreeBuilder};
use crate::value::{Args, Value};
use crate::weights::Parameter;

/// `x W^T + b`, weight `[d_out, d_in]`, as `torch.nn.Linear`.
#[derive(Debug)]
pub struct Linear {
    module: ModuleId,
    /// `[d_out, d_in]`.
    pub weight: Parameter,
    /// `[d_out]`, if any.
    pub bias: Option<Parameter>,
}

impl Linear {
    /// Adds the module to the tree.
    ///
    /// # Errors
    /// A missing or misshapen weight.
    pub fn build(
        b: &mut TreeBuilder<'_>,
        name: &str,
        d_in: usize,
        d_out: usize,
        bias: bool,
    ) -> Result<Arc<Linear>> {
        let printed = if bias { "True" } else { "False" };
        let detail = format!("in_features={d_in}, out_features={d_out}, bias={printed}");
        b.child(name, "Linear", detail, |b| {
            let module = b.id();
            let layer = Linear {
                module,
                weight: b.parameter("weight", &[d_out, d_in])?,
                bias: if bias { Some(b.parameter("bias", &[d_out])?) } else { None },
            };
            Ok(b.register(layer))
        })
    }

    /// Adds the module to the tree with a weight `[d_out, d_in]` that another module owns, and a bias of its own, if
    /// any.
    ///
    /// # Errors
    /// A missing or misshapen bias.
    pub fn tied(b: &mut TreeBuilder<'_>, name: &str, weight: &Parameter, bias: bool) -> Result<Arc<Linear>> {
        let (d_out, d_in) = (weight.get().dims()[0], weight.get().dims()[1]);
        let printed = if bias { "True" } else { "False" };
        let detail = format!("in_features={d_in}, out_features={d_out}, bias={printed}");
        b.child(name, "Linear", detail, |b| {
            b.tied(weight);
            let module = b.id();
            let bias = if bias { Some(b.parameter("bias", &[d_out])?) } else { None };
            Ok(b.register(Linear { module, weight: weight.clone(), bias }))
        })
    }

    fn run(&self, args: &Args) -> Result<Value> {
        let x = args.var(0, "input")?.get()?;
        let bias = self.bias.as_ref().map(Parameter::get);
        Ok(Value::tensor(x.linear(&self.weight.get(), bias.as_ref())?))
    }

    async fn announced(&self, ops: Ops<'_>, args: Args) -> Result<Value> {
        let x = args.var(0, "input")?.get()?;
        let product = ops.tensor("matmul_0", x.matmul(&self.weight.get().transpose(-1, -2)?)?).await?;
        let Some(bias) = &self.bias else { return Ok(Value::tensor(product)) };
        Ok(Value::Tensor(ops.fresh("add_0", product.add(&bias.get())?).await?))
    }

    fn places(&self) -> Vec<OpPlace> {
        affine(self.bias.is_some())
    }
}

/// `x W + b`, weight `[d_in, d_out]`, as GPT-2's `Conv1D`.
#[derive(Debug)]
pub struct Conv1D {
    module: ModuleId,
    /// `[d_in, d_out]`.
    pub weight: Parameter,
    /// `[d_out]`.
    pub bias: Parameter,
}

impl Conv1D {
    /// Adds the module to the tree.
    ///
    /// # Errors
    /// A missing or misshapen weight.
    pub fn build(b: &mut TreeBuilder<'_>, name: &str, d_in: usize, d_out: usize) -> Result<Arc<Conv1D>> {
        b.child(name, "Conv1D", format!("nf={d_out}, nx={d_in}"), |b| {
            let module = b.id();
            let layer = Conv1D {
                module,
                weight: b.parameter("weight", &[d_in, d_out])?,
                bias: b.parameter("bias", &[d_out])?,
            };
            Ok(b.register(layer))
        })
    }

    fn run(&self, args: &Args) -> Result<Value> {
        let x = args.var(0, "x")?.get()?;
        Ok(Value::tensor(x.matmul(&self.weight.get())?.add(&self.bias.get())?))
    }

    async fn announced(&self, ops: Ops<'_>, args: Args) -> Result<Value> {
        let x = args.var(0, "x")?.get()?;
        let product = ops.tensor("matmul_0", x.matmul(&self.weight.get())?).await?;
        Ok(Value::Tensor(ops.fresh("add_0", product.add(&self.bias.get())?).await?))
    }

    fn places(&self) -> Vec<OpPlace> {
        affine(true)
    }
}

/// The operations of an affine map.
fn affine(bias: bool) -> Vec<OpPlace> {
    let product = OpPlace::new("matmul_0", "the product with the weight", &["batch", "seq", "d_out"]);
    let sum = OpPlace::new("add_0", "the product with the bias added", &["batch", "seq", "d_out"]);
    if bias { vec![product, sum] } else { vec![product] }
}

leaf!(Linear, Conv1D);
