//! Normalisation over the residual stream's channels.

use std::sync::Arc;

use pellucid_tensor::{DType, Op, Tensor};

use crate::error::Result;
use crate::ops::{OpPlace, Ops};
use crate::tree::{ModuleId, TreeBuilder};
use crate::value::{Args, Value};
use crate::weights::Parameter;

/// Layer normalisation with weight and bias, as `torch.nn.LayerNorm`.
#[derive(Debug)]
pub struct LayerNorm {
    module: ModuleId,
    weight: Parameter,
    bias: Parameter,
    eps: f64,
}

impl LayerNorm {
    /// Adds the module to the tree.
    ///
    /// # Errors
    /// A missing or misshapen weight.
    pub fn build(b: &mut TreeBuilder<'_>, name: &str, d_model: usize, eps: f64) -> Result<Arc<LayerNorm>> {
        let detail = format!("({d_model},), eps={}, elementwise_affine=True", python_float(eps));
        b.child(name, "LayerNorm", detail, |b| {
            let module = b.id();
            let layer = LayerNorm {
                module,
                weight: b.parameter("weight", &[d_model])?,
                bias: b.parameter("bias", &[d_model])?,
                eps,
            };
            Ok(b.register(layer))
        })
    }

    fn run(&self, args: &Args) -> Result<Value> {
        let x = args.var(0, "input")?.get()?;
        Ok(Value::tensor(x.layer_norm(Some(&self.weight.get()), Some(&self.bias.get()), self.eps)?))
    }

    async fn announced(&self, ops: Ops<'_>, args: Args) -> Result<Value> {
        let x = wide(&args.var(0, "input")?.get()?);
        let (weight, bias) = (self.weight.get(), self.bias.get());
        let whole = self.run(&args)?;
        let labels = ["mean_0", "sub_0", "mean_1", "rsqrt_0", "mul_0"];
        let normed = in_steps(ops, whole, labels, |given| {
            let or = |i: usize, own: Tensor| -> Tensor { given[i].clone().unwrap_or(own) };
            let mean = or(0, x.mean(&[-1], true)?);
            let centred = or(1, x.sub(&mean)?);
            let variance = or(2, centred.mul(&centred)?.mean(&[-1], true)?);
            let scale = or(3, variance.add_scalar(self.eps)?.rsqrt()?);
            let normalised = or(4, centred.mul(&scale)?);
            let last = normalised.mul(&weight.cast(x.dtype()))?.add(&bias.cast(x.dtype()))?;
            Ok(([mean, centred, variance, scale, normalised], last))
        })
        .await?;
        ops.value("layer_norm_0", normed).await
    }

    fn places(&self) -> Vec<OpPlace> {
        vec![
            OpPlace::new("mean_0", "the mean over channels", ROW).named("mean"),
            OpPlace::new("sub_0", "the input less its mean", CHANNELS),
            OpPlace::new("mean_1", "the variance over channels", ROW).named("variance"),
            OpPlace::new("rsqrt_0", "one over the standard deviation", ROW).named("scale"),
            OpPlace::new("mul_0", "the input less its mean, over its standard deviation", CHANNELS)
                .named("normalized"),
            OpPlace::new("layer_norm_0", "that times the weight, plus the bias", CHANNELS),
        ]
    }
}

/// RMS normalisation with a weight, in the variants of Llama and Gemma.
#[derive(Debug)]
pub struct RmsNorm {
    module: ModuleId,
    weight: Parameter,
    eps: f64,
    /// Added to the weight: 0 in Llama, 1 in Gemma.
    offset: f32,
}

impl RmsNorm {
    /// Adds the module to the tree. `type_name` is the reference's class, such as `LlamaRMSNorm`; one whose weight is
    /// centred at zero (Gemma) has an `offset` of one.
    ///
    /// # Errors
    /// A missing or misshapen weight.
    pub fn build(
        b: &mut TreeBuilder<'_>,
        name: &str,
        type_name: &'static str,
        d_model: usize,
        eps: f64,
        offset: f32,
    ) -> Result<Arc<RmsNorm>> {
        b.child(name, type_name, format!("({d_model},), eps={}", python_float(eps)), |b| {
            let module = b.id();
            let layer = RmsNorm { module, weight: b.parameter("weight", &[d_model])?, eps, offset };
            Ok(b.register(layer))
        })
    }

    fn run(&self, args: &Args) -> Result<Value> {
        let x = args.var(0, "hidden_states")?.get()?;
        Ok(Value::tensor(x.rms_norm(&self.weight.get(), self.eps, self.offset, self.offset == 0.0)?))
    }

    async fn announced(&self, ops: Ops<'_>, args: Args) -> Result<Value> {
        let x = args.var(0, "hidden_states")?.get()?;
        let (dtype, x) = (x.dtype(), wide(&x));
        let (weight, round_first) = (self.weight.get(), self.offset == 0.0);
        let whole = self.run(&args)?;
        let normed = in_steps(ops, whole, ["mean_0", "rsqrt_0", "mul_0"], |given| {
            let or = |i: usize, own: Tensor| -> Tensor { given[i].clone().unwrap_or(own) };
            let square = or(0, x.mul(&x)?.mean(&[-1], true)?);
            let scale = or(1, square.add_scalar(self.eps)?.rsqrt()?);
            let normalised = or(2, x.mul(&scale)?);
            let rounded = if round_first { normalised.cast(dtype) } else { normalised.clone() };
            let weight = weight.cast(rounded.dtype());
            let weight = if round_first { weight } else { weight.add_scalar(f64::from(self.offset))? };
            Ok(([square, scale, normalised], rounded.mul(&weight)?))
        })
        .await?;
        ops.value("mul_1", normed).await
    }

    fn places(&self) -> Vec<OpPlace> {
        vec![
            OpPlace::new("mean_0", "the mean square over channels", ROW).named("variance"),
            OpPlace::new("rsqrt_0", "one over the root mean square", ROW).named("scale"),
            OpPlace::new("mul_0", "the input over its root mean square", CHANNELS).named("normalized"),
            OpPlace::new("mul_1", "that times the weight", CHANNELS),
        ]
    }
}

const ROW: &[&str] = &["batch", "seq", "1"];
const CHANNELS: &[&str] = &["batch", "seq", "d_model"];

/// In single precision, in which norms of half precision compute.
fn wide(x: &Tensor) -> Tensor {
    if matches!(x.dtype(), DType::F16 | DType::BF16) { x.cast(DType::F32) } else { x.clone() }
}

/// Announces the steps of an operation that is computed at once, and gives its result. `steps` builds the values of
/// all steps and the result from those that were replaced.
///
/// The steps add in another order than the whole does, so they take its place only once one of them is changed.
async fn in_steps<const N: usize>(
    ops: Ops<'_>,
    whole: Value,
    labels: [&'static str; N],
    steps: impl Fn(&[Option<Tensor>; N]) -> Result<([Tensor; N], Tensor)>,
) -> Result<Value> {
    let Value::Tensor(var) = &whole else { return Ok(whole) };
    if !ops.wants(&labels) {
        return Ok(whole);
    }
    let tensor = var.get()?;
    let mut given = [const { None }; N];
    let mut is_changed = false;
    for (i, label) in labels.iter().enumerate() {
        let own = steps(&given)?.0[i].clone();
        let got = ops.tensor(label, own.clone()).await?;
        if !got.same_node(&own) {
            is_changed |= !is_identity_of(&got, &own);
            given[i] = Some(got);
        }
    }
    if given.iter().all(Option::is_none) {
        return Ok(whole);
    }
    let last = steps(&given)?.1.cast(tensor.dtype());
    if is_changed {
        return Ok(Value::tensor(last));
    }
    // The same numbers at nodes of their own, whose gradients somebody reads: nothing is added, but they are reached.
    let plain = steps(&[const { None }; N])?.1.cast(tensor.dtype());
    Ok(Value::tensor(tensor.add(&last.sub(&plain)?)?))
}

/// Whether a node is another one under a name of its own.
fn is_identity_of(node: &Tensor, other: &Tensor) -> bool {
    let mut at = node.clone();
    while let (Op::Identity { .. }, Some(inner)) = (at.op(), at.inputs().first()) {
        at = inner.clone();
    }
    at.same_node(other)
}

/// A float as Python prints it.
pub(super) fn python_float(x: f64) -> String {
    if x != 0.0 && x.abs() < 1e-4 {
        let text = format!("{x:e}");
        match text.split_once("e-") {
            Some((mantissa, exponent)) => format!("{mantissa}e-{exponent:0>2}"),
            None => text,
        }
    } else {
        format!("{x:?}")
    }
}

leaf!(LayerNorm, RmsNorm);

#[cfg(test)]
mod tests {
    #[test]
    fn small_floats_print_as_in_python() {
        assert_eq!(super::python_float(1e-5), "1e-05");
        assert_eq!(super::python_float(1e-12), "1e-12");
        assert_eq!(super::python_float(0.001), "0.001");
    }
}
