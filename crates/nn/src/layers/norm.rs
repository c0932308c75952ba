//! Normalisation over the residual stream's channels.

use std::sync::Arc;

use crate::error::Result;
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
