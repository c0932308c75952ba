//! Configurations: nothing that could change the arithmetic passes unnoticed, and nothing makes the reader panic.

use crate::goldens::{cases, lines, text};
use pellucid_models::{FAMILIES, ModelError, Result, build};
use pellucid_nn::{Model, UnloadedWeights};
use pellucid_tensor::{DType, Engine};
use serde_json::{Value, json};

/// A model without weights.
pub(crate) fn skeleton(config: &Value) -> Result<Model> {
    let engine = Engine::new();
    build(config, &mut UnloadedWeights { engine: engine.clone(), dtype: DType::BF16 }, &engine)
}

/// The fault of a family's first golden configuration with an attribute changed.
fn fault(family: &str, attribute: &str, value: Value) -> ModelError {
    let mut config = cases(family)[0].config().clone();
    config[attribute] = value;
    skeleton(&config).err().unwrap_or_else(|| panic!("`{family}` accepts `{attribute}`"))
}

fn message(family: &str, attribute: &str, value: Value) -> String {
    fault(family, attribute, value).to_string()
}

#[test]
fn an_unknown_attribute_is_named() {
    for family in FAMILIES {
        let error = fault(family.model_type, "clever_new_trick", json!(true));
        let expected = format!(
            "config.json: attribute `clever_new_trick` = true is not supported by `{}`",
            family.model_type
        );
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_value_that_is_not_handled_is_named() {
    for (family, attribute, value, shown) in [
        ("gpt2", "reorder_and_upcast_attn", json!(true), "true"),
        ("gpt2", "add_cross_attention", json!(true), "true"),
        ("gpt2", "activation_function", json!("mish"), "mish"),
        ("gpt_neox", "hidden_act", json!("mish"), "mish"),
        ("gpt_neox", "rope_theta", json!(500.0), "another value than its GPT-NeoX name"),
        ("gptj", "scale_attn_weights", json!(false), "false"),
        ("gptj", "rotary", json!(false), "false"),
        ("llama", "hidden_act", json!("mish"), "mish"),
        ("llama", "partial_rotary_factor", json!(0.5), "0.5"),
        ("mistral", "attention_bias", json!(true), "true"),
        ("mistral", "hidden_act", json!("mish"), "mish"),
        ("qwen2", "use_mrope", json!(true), "true"),
        ("qwen2", "attention_bias", json!(false), "false"),
        ("gemma2", "hidden_activation", json!("mish"), "mish"),
        ("gemma2", "sliding_window_pattern", json!(6), "6"),
    ] {
        let expected =
            format!("config.json: attribute `{attribute}` = {shown} is not supported by `{family}`");
        assert_eq!(message(family, attribute, value), expected);
    }
}

#[test]
fn faults_of_rotary_scaling_name_its_attributes() {
    let of = |scaling: Value| message("llama", "rope_scaling", scaling);
    assert_eq!(
        of(json!({"rope_type": "mrope"})),
        "config.json: attribute `rope_scaling.rope_type` = mrope is not supported by `llama`"
    );
    assert_eq!(of(json!({"rope_type": "linear"})), "config.json: attribute `rope_scaling.factor` is missing");
    assert_eq!(of(json!({"factor": 2.0})), "config.json: attribute `rope_scaling.rope_type` is missing");
    assert_eq!(
        of(json!({"rope_type": "linear", "factor": 2.0, "finetuned": true})),
        "config.json: attribute `rope_scaling.finetuned` = true is not supported by `llama`"
    );
    assert_eq!(
        of(json!({"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0, 2.0], "factor": 2.0})),
        "config.json: attribute `rope_scaling.short_factor`: expected a list of 2 numbers, got [1.0]"
    );
    assert_eq!(
        of(json!({"rope_type": "linear", "type": "dynamic", "factor": 2.0})),
        "config.json: attribute `rope_scaling.type`: expected the same as `rope_type`, `linear`, got dynamic"
    );
    assert_eq!(
        of(json!("linear")),
        "config.json: attribute `rope_scaling`: expected an object, got \"linear\""
    );
}

#[test]
fn sizes_that_do_not_fit_each_other_are_refused() {
    for (family, attribute, value, expected) in [
        ("gpt2", "n_head", json!(3), "`n_head`: expected a divisor of the width 16, got 3"),
        ("gptj", "rotary_dim", json!(10), "at most the 8 channels of a head, got 10"),
        ("gptj", "rotary_dim", json!(null), "at most the 8 channels of a head, got null"),
        ("llama", "num_key_value_heads", json!(3), "expected a divisor of the 4 query heads, got 3"),
        ("llama", "num_key_value_heads", json!(0), "expected a divisor of the 4 query heads, got 0"),
        ("llama", "head_dim", json!(5), "expected an even number greater than zero, got 5"),
        ("llama", "pad_token_id", json!(96), "expected a token id below 96, got 96"),
        ("llama", "num_hidden_layers", json!(1_000_000), "expected at most 4096 layers, got 1000000"),
        ("gpt_neox", "rotary_pct", json!(0.0), "expected an even number greater than zero, got 0"),
        ("qwen2", "vocab_size", json!("many"), "`vocab_size`: expected a size, got \"many\""),
    ] {
        let message = message(family, attribute, value);
        assert!(message.ends_with(expected), "{message}");
    }
}

#[test]
fn a_family_that_does_not_exist_is_named_with_those_that_do() {
    let error = skeleton(&json!({"model_type": "bert"})).expect_err("no such family");
    assert_eq!(error.to_string(), "config.json: models of type `bert` are not supported");
    assert_eq!(
        error.hint().as_deref(),
        Some("supported families: gemma2, gpt2, gpt_neox, gptj, llama, mistral, qwen2")
    );
    let error = skeleton(&json!([])).expect_err("no object");
    assert_eq!(error.to_string(), "config.json: attribute `model_type` is missing");
}

#[test]
fn missing_attributes_have_the_defaults_of_transformers() {
    for family in FAMILIES {
        let model = skeleton(&json!({"model_type": family.model_type})).expect("a model");
        let expected = lines(&text(family.model_type)["defaults"]);
        assert_eq!(model.tree().printout().lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn skeletons_name_places_that_exist() {
    for family in FAMILIES {
        let model = skeleton(cases(family.model_type)[0].config()).expect("a model");
        let (tree, places) = (model.tree(), model.skeleton());
        assert_eq!(places.model_type, family.model_type);
        let blocks = tree.find(&places.blocks).expect("blocks");
        assert_eq!(tree.node(blocks).children.len(), places.n_layers);
        assert!(places.blocks.starts_with(&format!("{}.", family.base_prefix)));
        for path in [&places.final_norm, &places.unembedding, &places.embedding] {
            assert!(tree.find(path).is_some(), "{path}");
        }
        for name in [&places.attention, &places.mlp, &places.head_output] {
            assert!(tree.find(&format!("{}.0.{name}", places.blocks)).is_some(), "{name}");
        }
        let width =
            |path: &str| tree.node(tree.find(path).expect("a module")).parameters[0].get().dims().to_vec();
        assert_eq!(width(&places.embedding), [places.d_vocab, places.d_model]);
        assert!(
            width(&format!("{}.0.{}", places.blocks, places.head_output))
                .contains(&(places.n_heads * places.d_head))
        );
    }
}

/// What the makers of a family's best-known model wrote into its `config.json`.
fn published() -> [(Value, usize); 6] {
    [
        (
            json!({
                "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
                "bos_token_id": 50_256, "embd_pdrop": 0.1, "eos_token_id": 50_256, "initializer_range": 0.02,
                "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12,
                "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": null,
                "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index",
                "summary_use_proj": true, "vocab_size": 50_257,
                "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}
            }),
            124_439_808,
        ),
        (
            json!({
                "architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "gelu",
                "hidden_size": 512, "initializer_range": 0.02, "intermediate_size": 2048, "layer_norm_eps": 1e-05,
                "max_position_embeddings": 2048, "model_type": "gpt_neox", "num_attention_heads": 8,
                "num_hidden_layers": 6, "rotary_emb_base": 10_000, "rotary_pct": 0.25, "tie_word_embeddings": false,
                "torch_dtype": "float16", "transformers_version": "4.24.0", "use_cache": true,
                "use_parallel_residual": true, "vocab_size": 50_304
            }),
            70_426_624,
        ),
        (
            json!({
                "activation_function": "gelu_new", "architectures": ["GPTJForCausalLM"], "attn_pdrop": 0.0,
                "bos_token_id": 50_256, "embd_pdrop": 0.0, "eos_token_id": 50_256, "gradient_checkpointing": false,
                "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gptj", "n_embd": 4096,
                "n_head": 16, "n_inner": null, "n_layer": 28, "n_positions": 2048, "resid_pdrop": 0.0,
                "rotary": true, "rotary_dim": 64, "scale_attn_weights": true, "summary_activation": null,
                "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index",
                "summary_use_proj": true, "tie_word_embeddings": false, "tokenizer_class": "GPT2Tokenizer",
                "transformers_version": "4.18.0.dev0", "use_cache": true, "vocab_size": 50_400
            }),
            6_050_882_784,
        ),
        (
            json!({
                "architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
                "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14_336,
                "max_position_embeddings": 32_768, "model_type": "mistral", "num_attention_heads": 32,
                "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10_000.0,
                "sliding_window": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
                "transformers_version": "4.34.0.dev0", "use_cache": true, "vocab_size": 32_000
            }),
            7_241_732_096,
        ),
        (
            json!({
                "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151_643,
                "eos_token_id": 151_643, "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02,
                "intermediate_size": 4864, "max_position_embeddings": 32_768, "max_window_layers": 24,
                "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24,
                "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1_000_000.0,
                "sliding_window": 32_768, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
                "transformers_version": "4.40.1", "use_cache": true, "use_mrope": false,
                "use_sliding_window": false, "vocab_size": 151_936
            }),
            494_032_768,
        ),
        (
            json!({
                "architectures": ["Gemma2ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
                "attn_logit_softcapping": 50.0, "bos_token_id": 2, "cache_implementation": "hybrid",
                "eos_token_id": 1, "final_logit_softcapping": 30.0, "head_dim": 256,
                "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304,
                "initializer_range": 0.02, "intermediate_size": 9216, "max_position_embeddings": 8192,
                "model_type": "gemma2", "num_attention_heads": 8, "num_hidden_layers": 26,
                "num_key_value_heads": 4, "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
                "rope_theta": 10_000.0, "sliding_window": 4096, "torch_dtype": "float32",
                "transformers_version": "4.42.4", "use_cache": true, "vocab_size": 256_000
            }),
            2_614_341_888,
        ),
    ]
}

#[test]
fn published_configurations_give_models_of_the_published_size() {
    for (config, expected) in published() {
        let model = skeleton(&config).unwrap_or_else(|e| panic!("{}: {e}", config["model_type"]));
        let parameters: usize = model.parameters().iter().map(|p| p.get().numel()).sum();
        assert_eq!(parameters, expected, "{}", config["model_type"]);
    }
}

#[test]
fn a_skeleton_of_70_billion_parameters_needs_no_weights() {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 128_000, "eos_token_id": 128_001, "hidden_act": "silu", "hidden_size": 8192,
        "initializer_range": 0.02, "intermediate_size": 28_672, "max_position_embeddings": 131_072,
        "mlp_bias": false, "model_type": "llama", "num_attention_heads": 64, "num_hidden_layers": 80,
        "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_scaling": {
            "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3"
        },
        "rope_theta": 500_000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "transformers_version": "4.42.3", "use_cache": true, "vocab_size": 128_256
    });
    let model = skeleton(&config).expect("a model");
    let printout = model.tree().printout();
    assert!(printout.contains("(0-79): 80 x LlamaDecoderLayer("), "{printout}");
    assert!(
        printout.contains("(k_proj): Linear(in_features=8192, out_features=1024, bias=False)"),
        "{printout}"
    );
    let parameters: usize = model.parameters().iter().map(|p| p.get().numel()).sum();
    assert_eq!(parameters, 70_553_706_496);
    // Shapes follow without weights, too.
    let ids = model.engine().from_vec(vec![1i64; 12], &[2, 6]).expect("ids");
    assert_eq!(model.logits(&ids, None).expect("shapes").dims(), [2, 6, 128_256]);
}

#[test]
fn no_value_of_an_attribute_makes_the_reader_panic() {
    let values = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(7),
        json!(0.3),
        json!(-1e300),
        json!((1u64 << 30) - 1),
        json!(1u64 << 30),
        json!(u64::MAX),
        json!("yarn"),
        json!([]),
        json!({}),
        json!({"type": "yarn", "factor": 0, "original_max_position_embeddings": 0}),
        json!({"type": "llama3", "factor": 0, "low_freq_factor": 0, "high_freq_factor": 0,
               "original_max_position_embeddings": 1e300}),
    ];
    for family in FAMILIES {
        let base = cases(family.model_type).swap_remove(0);
        let mut attributes: Vec<String> =
            base.config().as_object().expect("an object").keys().cloned().collect();
        let more = [
            "n_inner",
            "rope_scaling",
            "rope_theta",
            "rotary_pct",
            "rotary_emb_base",
            "head_dim",
            "sliding_window",
            "pad_token_id",
            "tie_word_embeddings",
            "query_pre_attn_scalar",
            "final_logit_softcapping",
            "layer_norm_epsilon",
            "hidden_act",
            "original_max_position_embeddings",
            "layer_norm_eps",
        ];
        attributes.extend(more.map(String::from));
        for attribute in attributes.iter().filter(|a| *a != "model_type") {
            for value in &values {
                let mut config = base.config().clone();
                config[attribute] = value.clone();
                if let Err(error) = skeleton(&config) {
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}
