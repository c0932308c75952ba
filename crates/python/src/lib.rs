//! The Python face: what the package `pellucid` needs from the engine.
//!
//! Python code records programs statement by statement (`recorder`), runs them without holding the interpreter
//! (`run`) and gets values back as tensors of its own (`tensor`). What operations mean is the engine's business;
//! nothing of it is written here again.

mod data;
mod dlpack;
mod error;
mod hooks;
mod model;
mod recorder;
mod run;
mod tensor;

use pyo3::prelude::*;

#[pymodule]
fn _pellucid(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<model::PyModel>()?;
    module.add_class::<recorder::Node>()?;
    module.add_class::<recorder::Recorder>()?;
    module.add_class::<tensor::PyDType>()?;
    module.add_class::<tensor::PyTensor>()?;
    module.add_function(wrap_pyfunction!(tensor::call_op, module)?)?;
    module.add_function(wrap_pyfunction!(tensor::op_names, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}
