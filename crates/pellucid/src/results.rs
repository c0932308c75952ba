//! What a trace gave.

use pellucid_nn::Value;
use pellucid_runtime::Outcome;
use pellucid_tensor::Tensor;

use crate::error::{Error, Result};
use crate::proxy::Proxy;
use crate::recording::SharedRecording;

/// The values that a trace saved.
pub struct Results {
    outcome: Outcome,
    recording: SharedRecording,
}

impl std::fmt::Debug for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.outcome)
    }
}

impl Results {
    pub(crate) fn new(outcome: Outcome, recording: SharedRecording) -> Results {
        Results { outcome, recording }
    }

    /// A saved value; after a scan, any value.
    ///
    /// # Errors
    /// [`Error::Run`] if it was not saved; [`Error::OtherTrace`].
    pub fn value(&self, proxy: &Proxy) -> Result<&Value> {
        if !proxy.belongs_to(&self.recording) {
            return Err(Error::OtherTrace);
        }
        Ok(self.outcome.value(proxy.node())?)
    }

    /// A saved tensor.
    ///
    /// # Errors
    /// As [`Results::value`]; [`Error::Kind`] if it is not a tensor.
    pub fn tensor(&self, proxy: &Proxy) -> Result<Tensor> {
        match self.value(proxy)? {
            Value::Tensor(var) => Ok(var.get()?),
            other => Err(Error::Kind { expected: "a tensor", got: other.kind() }),
        }
    }

    /// The tensors of a saved list or tuple.
    ///
    /// # Errors
    /// As [`Results::tensor`].
    pub fn tensors(&self, proxy: &Proxy) -> Result<Vec<Tensor>> {
        let items = match self.value(proxy)? {
            Value::List(items) => items.borrow().clone(),
            Value::Tuple(items) => items.to_vec(),
            other => return Err(Error::Kind { expected: "a sequence", got: other.kind() }),
        };
        items
            .iter()
            .map(|item| match item {
                Value::Tensor(var) => Ok(var.get()?),
                other => Err(Error::Kind { expected: "a tensor", got: other.kind() }),
            })
            .collect()
    }

    /// Elements of a saved tensor, row-major.
    ///
    /// # Errors
    /// As [`Results::tensor`].
    pub fn floats(&self, proxy: &Proxy) -> Result<Vec<f32>> {
        Ok(self.tensor(proxy)?.cast(pellucid_tensor::DType::F32).to_vec()?)
    }

    /// Elements of the tensors of a saved list, one tensor after another: what a loop collected, such as losses.
    ///
    /// ```
    /// use pellucid::{Model, tiny_config};
    ///
    /// # fn main() -> Result<(), pellucid::Error> {
    /// let model = Model::random(tiny_config(), 7)?;
    /// let trace = model.trace();
    /// let norms = trace.list().save();
    /// let prompt = trace.invoke([1, 2, 3]);
    /// for layer in 0..2 {
    ///     norms.append(&prompt.resid_post(layer).op("norm", []));
    /// }
    /// assert_eq!(trace.run()?.list_floats(&norms)?.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Results::tensors`].
    pub fn list_floats(&self, proxy: &Proxy) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for tensor in self.tensors(proxy)? {
            all.extend(tensor.cast(pellucid_tensor::DType::F32).to_vec::<f32>()?);
        }
        Ok(all)
    }

    /// Elements of a saved tensor of integers, row-major.
    ///
    /// # Errors
    /// As [`Results::tensor`].
    pub fn ints(&self, proxy: &Proxy) -> Result<Vec<i64>> {
        Ok(self.tensor(proxy)?.cast(pellucid_tensor::DType::I64).to_vec()?)
    }

    /// The texts of a saved list of texts.
    ///
    /// # Errors
    /// As [`Results::value`]; [`Error::Kind`] if it is not one.
    pub fn texts(&self, proxy: &Proxy) -> Result<Vec<String>> {
        let text = |value: &Value| match value {
            Value::Str(text) => Ok(text.to_string()),
            other => Err(Error::Kind { expected: "a text", got: other.kind() }),
        };
        match self.value(proxy)? {
            Value::List(items) => items.borrow().iter().map(text).collect(),
            other => Err(Error::Kind { expected: "a list of texts", got: other.kind() }),
        }
    }

    /// Whether the value was saved: not if its condition did not hold, its loop had no turn, or the trace was stopped
    /// before.
    #[must_use]
    pub fn has(&self, proxy: &Proxy) -> bool {
        self.value(proxy).is_ok()
    }

    /// What was logged, in order.
    pub fn logs(&self) -> impl Iterator<Item = &[Value]> {
        self.outcome.logs.iter().map(|l| l.values.as_slice())
    }
}
