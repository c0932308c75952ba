//! Names of places that are the same in every family, and names that users give.
//!
//! | canonical | GPT-2 | Llama, Mistral, Qwen2, Gemma 2 | GPT-NeoX |
//! |---|---|---|---|
//! | `layers[3]` | `transformer.h.3` | `model.layers.3` | `gpt_neox.layers.3` |
//! | `layers[3].attn` | `transformer.h.3.attn` | `model.layers.3.self_attn` | `gpt_neox.layers.3.attention` |
//! | `layers[3].mlp` | `transformer.h.3.mlp` | `model.layers.3.mlp` | `gpt_neox.layers.3.mlp` |
//! | `embed` | `transformer.wte` | `model.embed_tokens` | `gpt_neox.embed_in` |
//! | `norm` | `transformer.ln_f` | `model.norm` | `gpt_neox.final_layer_norm` |
//! | `unembed` | `lm_head` | `lm_head` | `embed_out` |

use crate::model::Model;
use crate::proxy::Proxy;
use crate::trace::Invoke;

impl Model {
    /// The Hugging Face path of a module that goes by its own name, a canonical one or one given with [`Model::rename`].
    ///
    /// A path that leads nowhere comes back as it is, and is refused with the closest known one when the trace runs.
    ///
    /// ```
    /// let model = pellucid::Model::random(pellucid::tiny_config(), 7)?;
    /// assert_eq!(model.path("layers[1].attn.c_proj"), "transformer.h.1.attn.c_proj");
    /// assert_eq!(model.path("transformer.h[1].mlp"), "transformer.h.1.mlp");
    /// assert_eq!(model.rename(&[("h", "blocks")]).path("transformer.blocks.0"), "transformer.h.0");
    /// # Ok::<(), pellucid::Error>(())
    /// ```
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        let plain = name.trim_start_matches('.').replace('[', ".").replace(']', "");
        let tree = self.network().tree();
        if tree.find(&plain).is_some() {
            return plain;
        }
        self.renamed(&plain).or_else(|| self.canonical(&plain)).unwrap_or_else(|| name.to_owned())
    }

    /// Whether a module returns a tuple whose first item is the value people mean: blocks and attention modules.
    pub(crate) fn returns_tuple(&self, module: &str) -> bool {
        let path = self.path(module);
        let sizes = self.sizes();
        let Some(inside) = path.strip_prefix(&sizes.blocks).and_then(|p| p.strip_prefix('.')) else {
            return false;
        };
        match inside.split_once('.') {
            None => true,
            Some((_, part)) => part == sizes.attention,
        }
    }

    /// The path with every part that is no child's name replaced by the name it was given for.
    fn renamed(&self, path: &str) -> Option<String> {
        let tree = self.network().tree();
        let mut at = tree.root();
        let mut out: Vec<&str> = Vec::new();
        for part in path.split('.') {
            let child =
                |name: &str| tree.node(at).children.iter().copied().find(|&c| tree.node(c).name == name);
            let old = self.renames().iter().find(|(new, old)| new == part && child(old).is_some());
            at = child(part).or_else(|| old.and_then(|(_, old)| child(old)))?;
            out.push(&tree.node(at).name);
        }
        Some(out.join("."))
    }

    fn canonical(&self, path: &str) -> Option<String> {
        let sizes = self.sizes();
        let mut parts = path.split('.');
        let mut out = match parts.next()? {
            "embed" => sizes.embedding.clone(),
            "norm" => sizes.final_norm.clone(),
            "unembed" => sizes.unembedding.clone(),
            "layers" => match parts.next() {
                None => sizes.blocks.clone(),
                Some(layer) => {
                    let block = format!("{}.{layer}", sizes.blocks);
                    match parts.next() {
                        None => block,
                        Some("attn") => format!("{block}.{}", sizes.attention),
                        Some("mlp") => format!("{block}.{}", sizes.mlp),
                        Some(other) => format!("{block}.{other}"),
                    }
                }
            },
            _ => return None,
        };
        for part in parts {
            out.push('.');
            out.push_str(part);
        }
        Some(self.renamed(&out).unwrap_or(out))
    }
}

impl Invoke {
    /// The residual stream before a block, `[batch, seq, d_model]`; writes through it reach the model.
    #[must_use]
    #[track_caller]
    pub fn resid_pre(&self, layer: usize) -> Proxy {
        self.input(&self.model().block(layer, ""))
    }

    /// The residual stream after a block, `[batch, seq, d_model]`; writes through it reach the model.
    #[must_use]
    #[track_caller]
    pub fn resid_post(&self, layer: usize) -> Proxy {
        self.output(&self.model().block(layer, "")).item(0)
    }

    /// What a block's attention adds to the residual stream, `[batch, seq, d_model]`.
    #[must_use]
    #[track_caller]
    pub fn attn_out(&self, layer: usize) -> Proxy {
        self.output(&self.model().block(layer, &self.model().sizes().attention)).item(0)
    }

    /// What a block's feed-forward module returns, `[batch, seq, d_model]`.
    #[must_use]
    #[track_caller]
    pub fn mlp_out(&self, layer: usize) -> Proxy {
        self.output(&self.model().block(layer, &self.model().sizes().mlp))
    }

    /// Each attention head's output before they are mixed, `[batch, seq, n_heads, d_head]`, as a view: writes to a head
    /// reach the model.
    #[must_use]
    #[track_caller]
    pub fn heads(&self, layer: usize) -> Proxy {
        let sizes = self.model().sizes();
        let side_by_side = self.input(&self.model().block(layer, &sizes.head_output));
        let dims = [sizes.n_heads as i64, sizes.d_head as i64];
        side_by_side.op("unflatten", [(-1).into(), dims.into()])
    }

    /// The attention pattern of a block, `[batch, n_heads, seq_q, seq_k]`.
    #[must_use]
    #[track_caller]
    pub fn attn_pattern(&self, layer: usize) -> Proxy {
        self.pattern(&self.model().block(layer, &self.model().sizes().attention))
    }

    /// Logits `[batch, seq, d_vocab]`.
    #[must_use]
    #[track_caller]
    pub fn logits(&self) -> Proxy {
        self.output(&self.model().sizes().unembedding)
    }
}
