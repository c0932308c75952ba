//! What the Rust part asks of the Python part: the functions of `pellucid._hooks`.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;

/// Calls a function of `pellucid._hooks`.
pub(crate) fn call<'py>(
    py: Python<'py>,
    name: &str,
    args: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    static HOOKS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let hooks = HOOKS.get_or_try_init(py, || py.import("pellucid._hooks").map(Bound::unbind))?;
    hooks.bind(py).getattr(name)?.call1(args)
}
