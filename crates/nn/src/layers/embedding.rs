//! Tables of vectors.

use std::sync::Arc;

use crate::error::Result;
use crate::ops::{OpPlace, Ops};
use crate::tree::{ModuleId, TreeBuilder};
use crate::value::{Args, Value};
use crate::weights::Parameter;

/// Rows of a table `[entries, d_model]` at integer ids, as `torch.nn.Embedding`.
#[derive(Debug)]
pub struct Embedding {
    module: ModuleId,
    /// `[entries, d_model]`.
    pub weight: Parameter,
}

impl Embedding {
    /// Adds the module to the tree.
    ///
    /// # Errors
    /// A missing or misshapen weight.
    pub fn build(
        b: &mut TreeBuilder<'_>,
        name: &str,
        entries: usize,
        d_model: usize,
        padding: Option<usize>,
    ) -> Result<Arc<Embedding>> {
        let padding = padding.map(|i| format!(", padding_idx={i}")).unwrap_or_default();
        b.child(name, "Embedding", format!("{entries}, {d_model}{padding}"), |b| {
            let module = b.id();
            let layer = Embedding { module, weight: b.parameter("weight", &[entries, d_model])? };
            Ok(b.register(layer))
        })
    }

    fn run(&self, args: &Args) -> Result<Value> {
        let ids = args.var(0, "input")?.get()?;
        Ok(Value::tensor(self.weight.get().embed(&ids)?))
    }

    async fn announced(&self, ops: Ops<'_>, args: Args) -> Result<Value> {
        ops.value("embedding_0", self.run(&args)?).await
    }

    fn places(&self) -> Vec<OpPlace> {
        vec![OpPlace::new("embedding_0", "rows of the table", &["rows", "seq", "d_model"])]
    }
}

leaf!(Embedding);
