//! Models and their tokenizers.

use pellucid::{ChatMessage, ChatOptions, DType, LoadOptions, Model, SharedModel};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::data::settled;
use crate::error::failed;
use crate::tensor::{PyDType, PyTensor};

/// One module: path, type, what its printout says, its children's positions, its parameters' names.
type Module = (String, String, String, Vec<u32>, Vec<(String, String)>);

/// Where each token begins and ends in the text.
type Offsets = Vec<(usize, usize)>;

/// An opened model.
#[pyclass(name = "Model", module = "pellucid._pellucid", frozen)]
pub(crate) struct PyModel {
    pub(crate) shared: SharedModel,
}

#[pymethods]
impl PyModel {
    /// Opens a model by the name of a folder, an entry of the cache or the hub; `demo` ships with the library.
    #[staticmethod]
    #[pyo3(signature = (name, dtype=None, revision=None, keep_dtype=false))]
    fn open(
        py: Python<'_>,
        name: &str,
        dtype: Option<PyDType>,
        revision: Option<String>,
        keep_dtype: bool,
    ) -> PyResult<PyModel> {
        let mut options = LoadOptions::default();
        if let Some(revision) = revision {
            options.hub.revision = Some(revision);
        }
        options.dtype = match dtype {
            Some(dtype) => Some(dtype.0),
            None if keep_dtype => None,
            None => Some(DType::F32),
        };
        let opened = py.detach(|| Model::open_with(name, &options).map(|model| model.share()));
        Ok(PyModel { shared: opened.map_err(failed)? })
    }

    #[getter]
    fn name(&self) -> String {
        self.shared.model().name().to_owned()
    }

    /// The contents of `config.json`.
    fn config(&self) -> String {
        self.shared.model().config().to_string()
    }

    /// Every module, parents before children.
    fn tree(&self) -> Vec<Module> {
        let model = self.shared.model();
        let tree = model.network().tree();
        let module = |id| {
            let node = tree.node(id);
            let parameters = node.parameters.iter().map(|p| {
                // A tied parameter goes by the name of its first owner.
                let local = p.name().rsplit('.').next().unwrap_or_default().to_owned();
                (local, p.name().to_owned())
            });
            let children = node.children.iter().map(|id| id.0).collect();
            (node.path.clone(), node.type_name.into(), node.detail.clone(), children, parameters.collect())
        };
        tree.iter().map(|(id, _)| module(id)).collect()
    }

    /// The printout of a module and all inside.
    fn printout(&self, path: &str) -> PyResult<String> {
        let model = self.shared.model();
        let tree = model.network().tree();
        let id = tree.find(path).ok_or_else(|| PyKeyError::new_err(path.to_owned()))?;
        Ok(tree.printout_of(id))
    }

    /// A parameter's present values.
    fn parameter(&self, name: &str) -> PyResult<PyTensor> {
        let parameters = self.shared.model().network().parameters();
        let found = parameters.iter().find(|p| p.name() == name);
        let found = found.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
        Ok(PyTensor::new(settled(&found.get()).map_err(failed)?))
    }

    /// Defaults of generation that programs are given: ends of texts, padding.
    fn generation<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.shared.model();
        let config = model.generation_config();
        let options = PyDict::new(py);
        options.set_item("eos_token_id", &config.eos_token_ids)?;
        options.set_item("pad_token_id", config.pad_token_id)?;
        Ok(options)
    }

    fn has_tokenizer(&self) -> bool {
        self.shared.model().tokenizer().is_ok()
    }

    /// Token ids of a text, and where in the text, in bytes, each begins and ends.
    fn encode(&self, text: &str, add_special_tokens: bool) -> PyResult<(Vec<u32>, Offsets)> {
        let model = self.shared.model();
        let encoding = model.tokenizer().map_err(failed)?.encode(text, add_special_tokens);
        let encoding = encoding.map_err(|e| failed(pellucid::Error::from(e)))?;
        let offsets = encoding.offsets.iter().map(|range| (range.start, range.end)).collect();
        Ok((encoding.ids, offsets))
    }

    fn decode(&self, ids: Vec<u32>, skip_special_tokens: bool) -> PyResult<String> {
        let model = self.shared.model();
        let text = model.tokenizer().map_err(failed)?.decode(&ids, skip_special_tokens);
        text.map_err(|e| failed(pellucid::Error::from(e)))
    }

    /// A token as the vocabulary writes it.
    fn token(&self, id: u32) -> PyResult<Option<String>> {
        let model = self.shared.model();
        Ok(model.tokenizer().map_err(failed)?.token_as_written(id))
    }

    /// A token as the text it stands for.
    fn token_text(&self, id: u32) -> PyResult<String> {
        let model = self.shared.model();
        let text = model.tokenizer().map_err(failed)?.token_text(id);
        text.map_err(|e| failed(pellucid::Error::from(e)))
    }

    fn token_id(&self, token: &str) -> PyResult<Option<u32>> {
        let model = self.shared.model();
        Ok(model.tokenizer().map_err(failed)?.token_id(token))
    }

    fn vocab_size(&self) -> PyResult<usize> {
        let model = self.shared.model();
        Ok(model.tokenizer().map_err(failed)?.vocab_size())
    }

    /// Special tokens by their roles: text and id.
    fn special_tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.shared.model();
        let tokens = model.tokenizer().map_err(failed)?.special_tokens();
        let all = PyDict::new(py);
        for (role, token) in
            [("bos", &tokens.bos), ("eos", &tokens.eos), ("pad", &tokens.pad), ("unk", &tokens.unk)]
        {
            if let Some(token) = token {
                all.set_item(role, (&token.text, token.id))?;
            }
        }
        Ok(all)
    }

    /// A conversation as the model expects it; messages are JSON.
    fn chat(&self, messages: &str, add_generation_prompt: bool) -> PyResult<String> {
        let bad = |e: serde_json::Error| PyValueError::new_err(e.to_string());
        let list: Vec<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_str(messages).map_err(bad)?;
        let message = |mut fields: serde_json::Map<String, serde_json::Value>| {
            let role = fields.remove("role").and_then(|r| r.as_str().map(str::to_owned)).unwrap_or_default();
            let content = fields.remove("content").unwrap_or_default();
            ChatMessage { role, content, extra: fields }
        };
        let messages: Vec<ChatMessage> = list.into_iter().map(message).collect();
        let template = self.shared.model().chat_template().map_err(failed)?;
        let options = ChatOptions { add_generation_prompt, ..ChatOptions::default() };
        template.render(&messages, &options).map_err(|e| failed(pellucid::Error::from(e)))
    }
}
