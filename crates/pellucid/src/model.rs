//! Opening models.

use std::rc::Rc;
use std::sync::Arc;

use pellucid_hub::{
    ChatTemplate, FileSelection, GenerationConfig, HubOptions, ModelFolder, ModelSource, Tokenizer,
};
use pellucid_nn::{RandomWeights, Skeleton, UnloadedWeights};
use pellucid_runtime::{Encoder, Loaded};
use pellucid_tensor::{DType, Engine, Tensor};

use crate::demo;
use crate::edit::Edit;
use crate::error::{Error, Result};
use crate::trace::{Generation, Trace};
use crate::weights::FileWeights;

/// How to open a model.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where to look: environment, revision, progress.
    pub hub: HubOptions,
    /// The type weights are converted to; `None` keeps that of the file. The default is `float32`, as in transformers.
    pub dtype: Option<DType>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { hub: HubOptions::from_env(), dtype: Some(DType::F32) }
    }
}

struct Inner {
    name: String,
    model: pellucid_nn::Model,
    config: serde_json::Value,
    tokenizer: Option<Arc<TokenizerEncoder>>,
    generation: GenerationConfig,
    folder: Option<ModelFolder>,
}

struct TokenizerEncoder {
    tokenizer: Tokenizer,
}

impl Encoder for TokenizerEncoder {
    fn encode(&self, prompt: &str) -> std::result::Result<Vec<i64>, String> {
        let encoding = self.tokenizer.encode(prompt, true).map_err(|e| e.to_string())?;
        Ok(encoding.ids.into_iter().map(i64::from).collect())
    }

    fn pad_id(&self) -> i64 {
        self.tokenizer.special_tokens().pad.as_ref().map_or(0, |t| i64::from(t.id))
    }
}

/// A language model with its tokenizer. Cloning gives another handle to the same model.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
    /// Interventions that every trace starts with, in the order made.
    edits: Rc<Vec<Rc<Edit>>>,
    /// Names that stand for others in paths: new, old.
    renames: Rc<Vec<(String, String)>>,
}

/// What any thread may hold of a model: network, tokenizer and configuration, without edits and new names.
#[derive(Clone)]
pub struct SharedModel {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for SharedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedModel({:?})", self.inner.name)
    }
}

impl PartialEq for SharedModel {
    fn eq(&self, other: &SharedModel) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl SharedModel {
    /// A handle to the model, for the thread that calls.
    #[must_use]
    pub fn model(&self) -> Model {
        Model { inner: self.inner.clone(), edits: Rc::default(), renames: Rc::default() }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.inner.model.tree().printout())
    }
}

impl Model {
    /// Opens a model: `demo`, which ships with the library, a local folder, an entry of the Hugging Face cache, or a hub
    /// id, which is downloaded.
    ///
    /// # Errors
    /// [`Error::Hub`] names the file and what is wrong with it; [`Error::Model`] an attribute or weight.
    pub fn open(name: &str) -> Result<Model> {
        Model::open_with(name, &LoadOptions::default())
    }

    /// Opens a model with options.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open_with(name: &str, options: &LoadOptions) -> Result<Model> {
        if name == demo::NAME {
            // Weights stay mapped after the files' names are gone.
            let place = tempfile::tempdir().map_err(Error::Demo)?;
            demo::unpack(place.path()).map_err(Error::Demo)?;
            return Model::open_folder(name, &place.path().to_string_lossy(), options);
        }
        Model::open_folder(name, name, options)
    }

    fn open_folder(name: &str, place: &str, options: &LoadOptions) -> Result<Model> {
        let folder = ModelSource::resolve(place, &options.hub)?;
        let engine = Engine::new();
        let config = folder.config()?;
        let family = pellucid_models::family(&config)?;
        let mut weights = FileWeights {
            engine: engine.clone(),
            weights: folder.weights()?,
            base_prefix: family.base_prefix,
            dtype: options.dtype,
        };
        let model = pellucid_models::build(&config, &mut weights, &engine)?;
        Model::with_folder(name, model, config, folder)
    }

    /// Opens a model without its weights, from `config.json` and tokenizer alone: its tree can be looked at and its traces
    /// scanned for shapes.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn skeleton(name: &str, options: &LoadOptions) -> Result<Model> {
        if name == demo::NAME {
            return Model::open_with(name, options);
        }
        let hub = HubOptions { files: FileSelection::ConfigOnly, ..options.hub.clone() };
        let folder = ModelSource::resolve(name, &hub)?;
        let config = folder.config()?;
        let model = unloaded(&config, options.dtype.unwrap_or(DType::F32))?;
        Model::with_folder(name, model, config, folder)
    }

    fn with_folder(
        name: &str,
        model: pellucid_nn::Model,
        config: serde_json::Value,
        folder: ModelFolder,
    ) -> Result<Model> {
        // A folder without a tokenizer still takes token ids.
        let tokenizer = match folder.file("tokenizer.json") {
            Some(_) => Some(Arc::new(TokenizerEncoder { tokenizer: folder.tokenizer()? })),
            None => None,
        };
        let generation = folder.generation_config()?;
        let name = name.to_owned();
        Ok(Model::whole(Inner { name, model, config, tokenizer, generation, folder: Some(folder) }))
    }

    /// A model of the given configuration with seeded random weights and no tokenizer.
    ///
    /// # Errors
    /// [`Error::Model`] names an attribute that is wrong or not supported.
    pub fn random(config: serde_json::Value, seed: u64) -> Result<Model> {
        let engine = Engine::new();
        let n_layers = config.get("n_layer").and_then(serde_json::Value::as_f64).unwrap_or(1.0);
        let mut weights = RandomWeights {
            engine: engine.clone(),
            seed,
            deviation: 0.02,
            residual_scale: 1.0 / (2.0 * n_layers).sqrt(),
        };
        let model = pellucid_models::build(&config, &mut weights, &engine)?;
        Ok(Model::from_parts("random", model, config, None))
    }

    /// A model of the given configuration without weights.
    ///
    /// # Errors
    /// [`Error::Model`] names an attribute that is wrong or not supported.
    pub fn skeleton_of(config: serde_json::Value) -> Result<Model> {
        let model = unloaded(&config, DType::F32)?;
        Ok(Model::from_parts("skeleton", model, config, None))
    }

    /// A model put together by hand.
    #[must_use]
    pub fn from_parts(
        name: &str,
        model: pellucid_nn::Model,
        config: serde_json::Value,
        tokenizer: Option<Tokenizer>,
    ) -> Model {
        Model::whole(Inner {
            name: name.to_owned(),
            model,
            config,
            tokenizer: tokenizer.map(|tokenizer| Arc::new(TokenizerEncoder { tokenizer })),
            generation: GenerationConfig::default(),
            folder: None,
        })
    }

    fn whole(inner: Inner) -> Model {
        Model { inner: Arc::new(inner), edits: Rc::default(), renames: Rc::default() }
    }

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The network: module tree, layers, parameters.
    #[must_use]
    pub fn network(&self) -> &pellucid_nn::Model {
        &self.inner.model
    }

    /// Sizes and places.
    #[must_use]
    pub fn sizes(&self) -> &Skeleton {
        self.inner.model.skeleton()
    }

    /// The contents of `config.json`.
    #[must_use]
    pub fn config(&self) -> &serde_json::Value {
        &self.inner.config
    }

    /// The tokenizer, if there is one.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`].
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        self.inner.tokenizer.as_ref().map(|t| &t.tokenizer).ok_or(Error::NoTokenizer)
    }

    /// Defaults of generation.
    #[must_use]
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.inner.generation
    }

    /// The chat template.
    ///
    /// # Errors
    /// [`Error::Hub`] if the model has none.
    pub fn chat_template(&self) -> Result<ChatTemplate> {
        match &self.inner.folder {
            Some(folder) => Ok(folder.chat_template()?),
            None => Err(Error::NoTokenizer),
        }
    }

    /// Owner of the model's tensors.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.inner.model.engine()
    }

    /// The path of a module of a block, such as `block(3, "attn")`; an empty name is the block itself.
    #[must_use]
    pub fn block(&self, layer: usize, module: &str) -> String {
        let blocks = &self.sizes().blocks;
        if module.is_empty() { format!("{blocks}.{layer}") } else { format!("{blocks}.{layer}.{module}") }
    }

    /// Token ids of a prompt, special tokens included as the model expects them.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`], [`Error::Hub`].
    pub fn encode(&self, prompt: &str) -> Result<Vec<i64>> {
        Ok(self.tokenizer()?.encode(prompt, true)?.ids.into_iter().map(i64::from).collect())
    }

    /// The text of token ids.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`]; [`Error::Hub`] for an id outside the vocabulary.
    pub fn decode(&self, ids: &[i64]) -> Result<String> {
        let ids: Vec<u32> = ids.iter().map(|&id| u32::try_from(id).unwrap_or(u32::MAX)).collect();
        Ok(self.tokenizer()?.decode(&ids, false)?)
    }

    /// Starts recording a trace.
    #[must_use]
    #[track_caller]
    pub fn trace(&self) -> Trace {
        Trace::new(self, None)
    }

    /// Starts recording a generation of at most `max_new_tokens` greedy tokens.
    #[must_use]
    #[track_caller]
    pub fn generate(&self, max_new_tokens: usize) -> Trace {
        self.generate_with(Generation::new(max_new_tokens))
    }

    /// As [`Model::generate`], but going on after tokens that would end the text: always `max_new_tokens` are added.
    #[must_use]
    #[track_caller]
    pub fn generate_all(&self, max_new_tokens: usize) -> Trace {
        self.generate_with(Generation::new(max_new_tokens).endless())
    }

    /// Starts recording a generation.
    #[must_use]
    #[track_caller]
    pub fn generate_with(&self, options: Generation) -> Trace {
        Trace::new(self, Some(options))
    }

    /// The same model with another module below the one at `parent`, such as a sparse autoencoder. Weights are shared; the
    /// module runs only where it is called, with [`crate::Invoke::call_hooked`].
    ///
    /// # Errors
    /// [`Error::Nn`] if there is no such parent or it has a child of that name; whatever `build` returns.
    pub fn attach<L: pellucid_nn::Layer + 'static>(
        &self,
        parent: &str,
        name: &str,
        type_name: &'static str,
        weights: &mut dyn pellucid_nn::WeightSource,
        build: impl FnOnce(&mut pellucid_nn::TreeBuilder<'_>) -> pellucid_nn::Result<L>,
    ) -> Result<Model> {
        let model = self.inner.model.attach(&self.path(parent), name, type_name, weights, build)?;
        let inner = Inner {
            name: self.inner.name.clone(),
            model,
            config: self.inner.config.clone(),
            tokenizer: self.inner.tokenizer.clone(),
            generation: self.inner.generation.clone(),
            folder: self.inner.folder.clone(),
        };
        Ok(Model { inner: Arc::new(inner), edits: self.edits.clone(), renames: self.renames.clone() })
    }

    /// The same model, in whose paths new names stand for old ones at every level; the old names keep working.
    #[must_use]
    pub fn rename(&self, names: &[(&str, &str)]) -> Model {
        let mut renames = (*self.renames).clone();
        renames.extend(names.iter().map(|(old, new)| ((*new).to_owned(), (*old).to_owned())));
        Model { renames: Rc::new(renames), ..self.clone() }
    }

    pub(crate) fn renames(&self) -> &[(String, String)] {
        &self.renames
    }

    /// The same model without its edits.
    #[must_use]
    pub fn without_edits(&self) -> Model {
        Model { edits: Rc::default(), ..self.clone() }
    }

    /// Forgets this handle's edits.
    pub fn clear_edits(&mut self) {
        self.edits = Rc::default();
    }

    pub(crate) fn edits(&self) -> &[Rc<Edit>] {
        &self.edits
    }

    pub(crate) fn with_edit(&self, edit: Edit) -> Model {
        let mut edits = (*self.edits).clone();
        edits.push(Rc::new(edit));
        Model { edits: Rc::new(edits), ..self.clone() }
    }

    pub(crate) fn same_network(&self, other: &Model) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn same_edits(&self, other: &Model) -> bool {
        self.edits.len() == other.edits.len()
            && self.edits.iter().zip(other.edits.iter()).all(|(a, b)| Rc::ptr_eq(a, b))
    }

    /// What such a program would do. Nothing is computed.
    ///
    /// # Errors
    /// [`Error::Run`] for every mistake that can be seen without computing.
    pub fn explain_program(
        &self,
        program: &pellucid_program::Program,
    ) -> Result<pellucid_runtime::Explanation> {
        let runner = pellucid_runtime::Runner { models: &[self.loaded()], callbacks: &[] };
        Ok(runner.explain(program)?)
    }

    /// Runs a program that was not recorded here, such as one read from its text form, on this model as its model 0.
    ///
    /// # Errors
    /// [`Error::Run`], with the line at fault.
    pub fn run_program(
        &self,
        program: &pellucid_program::Program,
        options: pellucid_runtime::RunOptions,
    ) -> Result<pellucid_runtime::Outcome> {
        let runner = pellucid_runtime::Runner { models: &[self.loaded()], callbacks: &[] };
        Ok(runner.run(program, options)?)
    }

    /// Logits `[batch, seq, d_vocab]` of token ids `[batch, seq]`, without interventions and not yet computed.
    ///
    /// # Errors
    /// [`Error::Nn`] if the ids do not fit the model.
    pub fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        Ok(self.inner.model.logits(ids, None)?)
    }

    /// What of the model other threads may hold.
    #[must_use]
    pub fn share(&self) -> SharedModel {
        SharedModel { inner: self.inner.clone() }
    }

    /// The model as a [`crate::run::Runner`] wants it.
    #[must_use]
    pub fn loaded(&self) -> Loaded<'_> {
        Loaded {
            model: &self.inner.model,
            encoder: self.inner.tokenizer.as_deref().map(|t| t as &dyn Encoder),
        }
    }
}

fn unloaded(config: &serde_json::Value, dtype: DType) -> Result<pellucid_nn::Model> {
    let engine = Engine::new();
    let mut weights = UnloadedWeights { engine: engine.clone(), dtype };
    Ok(pellucid_models::build(config, &mut weights, &engine)?)
}

/// The configuration of a very small GPT-2, for examples and tests.
#[must_use]
pub fn tiny_config() -> serde_json::Value {
    serde_json::json!({
        "model_type": "gpt2", "vocab_size": 96, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2,
    })
}
