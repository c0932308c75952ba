//! Look inside a language model, change what it computes while it runs, and learn why it does what it does.
//!
//! A [`Model`] opens from a folder, the Hugging Face cache or the hub. A [`Trace`] records what to look at and what to change;
//! nothing is computed until it runs, and then only what was saved.
//!
//! ```
//! use pellucid::Model;
//!
//! # fn main() -> Result<(), pellucid::Error> {
//! let model = Model::random(pellucid::tiny_config(), 7)?; // or `Model::open("gpt2")`
//! let trace = model.trace();
//! let prompt = trace.invoke([1, 2, 3, 4]);
//! let hidden = prompt.output("transformer.h.0").item(0);
//! hidden.set((.., -1), 0.0); // the last token's residual stream, ablated
//! let logits = prompt.output("lm_head").save();
//! let results = trace.run()?;
//! assert_eq!(results.tensor(&logits)?.dims(), [1, 4, 96]);
//! # Ok(())
//! # }
//! ```

mod demo;
mod edit;
mod error;
mod index;
mod model;
mod names;
mod prompt;
mod proxy;
mod recording;
mod results;
mod scope;
mod session;
mod trace;
mod training;
mod weights;

pub use error::{Error, Result};
pub use index::Index;
pub use model::{LoadOptions, Model, SharedModel, tiny_config};
pub use pellucid_hub::{
    ChatMessage, ChatOptions, DownloadEvent, DownloadProgress, GenerationConfig, HubEnvironment, HubError,
    HubOptions, Tokenizer,
};
/// Layers and module trees, for those who write modules of their own.
pub use pellucid_nn as nn;
pub use pellucid_nn::{ModuleTree, NnError, Parameter, Skeleton, Value};
pub use pellucid_program::{Kind, NodeId, ParseError, Program, closest, parse};
pub use pellucid_runtime::{Budget, Explanation, Outcome, RunError, RunErrorKind, RunOptions};
pub use pellucid_tensor::{DType, Engine, Scalar, Tensor};
pub use prompt::Prompt;
pub use proxy::{Operand, Proxy};
pub use results::Results;
pub use scope::{Branch, Scope};
pub use session::Session;
pub use trace::{Generation, Invoke, Trace};
pub use training::{AdamWSettings, OptimizerProxy, SgdSettings};

pub use pellucid_tensor::{set_threads, threads};

/// Intervention programs as data, for faces that record them in another language.
pub mod program {
    pub use pellucid_program::{
        Arg, Builder, Constant, Dtype, FaultKind, Input, InvokeId, Kind, Line, NodeId, Place, Point, Program,
        RegionId, RegionKind, SourceId, Steps, StopScope,
    };
}

/// Running programs that were not recorded by a [`Trace`], and single operations by their canonical names.
pub mod run {
    pub use pellucid_runtime::ops::{call, names, signature};
    pub use pellucid_runtime::{
        Callback, Loaded, LogLine, Outcome, RunError, RunErrorKind, RunOptions, Runner,
    };
    pub use pellucid_tensor::{Dims, HostData, TensorError, Value as Computed};
}

/// Memory of tensors: what is held now, and the most that was held.
pub mod memory {
    pub use pellucid_tensor::memory::{current_bytes, peak_bytes, reset_peak};
}

/// The examples of the README run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
