"""What transformers computes for tiny models of every family and layout.

Run by hand with PyTorch 2.6 and transformers 4.51.3; writes `crates/models/tests/goldens/<family>.json` and
`.safetensors`, which `crates/models/tests/models/parity.rs` reads. Weights are not stored: both sides draw them from a
weight's name, by splitmix64, as `draw` below says. Attention is the reference's eager one, because its fused attention
leaves Gemma 2's soft-capping out.

A case holds, for a prompt of token ids: the logits; of every module's output some elements (`sample`); the gradients
of the difference of two logits at the last position at every block's output; six tokens of greedy continuation with a
cache; and logits of three left-padded rows at their real positions. The first case of a family holds, too, with what
arguments each module is called and what it returns, for two unpadded rows. A family holds the printout of the model
whose configuration names nothing but the family.
"""

import copy
import json
import pathlib
import platform
import warnings

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/models/tests/goldens"
SAMPLE = 24
NEW_TOKENS = 6
LENGTHS = (12, 7, 3)
LOSS = (5, 7)

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()


def draw(seed, name, dims, norm, matrix):
    """A weight: its name's FNV-1a hash and the seed start a splitmix64 stream; each element is 24 bits of it.

    Elements are uniform in [-1, 1), times `matrix` in matrices and 0.1 in biases; the weight of a norm is `norm` plus
    0.2 times them. All in single precision.
    """
    mask = (1 << 64) - 1
    start = 0xCBF29CE484222325
    for byte in name.encode():
        start = (start ^ byte) * 0x100000001B3 & mask
    start ^= seed * 0x9E3779B97F4A7C15 & mask
    with np.errstate(over="ignore"):
        z = np.uint64(start) + np.arange(1, np.prod(dims) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    if len(dims) > 1:
        u = np.float32(matrix) * u
    elif name.endswith("bias"):
        u = np.float32(0.1) * u
    else:
        u = np.float32(norm) + np.float32(0.2) * u
    return torch.from_numpy(u.reshape(dims))


def sample(tensors):
    """Some elements of tensors laid end to end: all of few, else every 7919th, wrapping round."""
    flat = torch.cat([t.detach().float().flatten() for t in tensors]).numpy()
    if flat.size <= SAMPLE:
        return flat
    return flat[np.arange(SAMPLE) * 7919 % flat.size]


def tokens(n, seed, vocab):
    """A prompt, different in every place."""
    return [(seed * 31 + i * i * 7 + i * 13) % (vocab - 2) + 1 for i in range(n)]


def prompt(case):
    """The prompt of a case."""
    return tokens(LENGTHS[0], case["seed"], case["config"]["vocab_size"])


def build(case, attention="eager"):
    """A fresh model of the case: some scalings of rotary embeddings remember earlier lengths."""
    config = transformers.AutoConfig.for_model(**copy.deepcopy(case["config"]))
    dtype = getattr(torch, case["dtype"])
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention, torch_dtype=dtype)
    norm = 0 if config.model_type == "gemma2" else 1
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(draw(case["seed"], name, tuple(p.shape), norm, case["matrix"]))
    return model.eval()


def blocks(model):
    """The list of blocks, and its path."""
    return next((n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.ModuleList))


def first(value):
    """The first tensor in a module's output; both of a rotary module's."""
    if isinstance(value, torch.Tensor):
        return [value]
    if hasattr(value, "to_tuple"):
        return [value[0]]
    both = len(value) == 2 and all(isinstance(v, torch.Tensor) and v.dim() == 3 for v in value)
    return list(value) if both else [value[0]]


def show(value, name=""):
    """An argument or output in short: types and sizes of tensors, the rest as it is."""
    if name in ("past_key_value", "past_key_values", "layer_past") or type(value).__name__.endswith("Cache"):
        return "cache"
    if name == "attention_mask":
        return "mask"
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype)[6:]}{list(value.shape)}"
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))})"
    if hasattr(value, "to_tuple"):
        return type(value).__name__ + "{" + ", ".join(f"{k}={show(v, k)}" for k, v in value.items()) + "}"
    return str(value)


def calls(case):
    """How every module is called on two unpadded rows, in the order in which they return."""
    # As users run them: fused attention, where there is one, returns no pattern.
    model, lines = build(case, None), []

    def record(path):
        def hook(_, args, kwargs, output):
            named = ", ".join(f"{k}={show(v, k)}" for k, v in kwargs.items())
            lines.append(f"{path or 'root'} | {', '.join(map(show, args))} | {named} | {show(output)}")
        return hook

    for path, module in model.named_modules():
        module.register_forward_hook(record(path), with_kwargs=True)
    ids = torch.tensor([tokens(4, 1, 96), tokens(4, 2, 96)])
    model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return lines


def single(case, ids):
    """Logits of one unpadded row."""
    with torch.no_grad():
        return build(case)(torch.tensor([ids])).logits[0]


def padded(case, rows):
    """Logits of left-padded rows at their real positions."""
    if case["rows_alone"]:
        return [single(case, row) for row in rows]
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(r)) + r for r in rows])
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
    positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1)
    with torch.no_grad():
        logits = build(case)(ids, attention_mask=mask, position_ids=positions).logits
    return [logits[i, width - len(r):] for i, r in enumerate(rows)]


def greedy(case, ids):
    """The continuation with a cache, or none if it is unclear; the same without, where frequencies do not move."""
    model = build(case)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    prompt = torch.tensor([ids])
    out = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW_TOKENS, do_sample=False,
                         output_scores=True, return_dict_in_generate=True)
    gaps = [float(s[0].topk(2).values.diff().abs()) for s in out.scores]
    if min(gaps) < (0.05 if case["dtype"] == "bfloat16" else 5e-3):
        return None
    new = out.sequences[0, len(ids):].tolist()
    if not case["rows_alone"] and case["dtype"] == "float32":
        row = list(ids)
        for token in new:
            assert int(single(case, row)[-1].argmax()) == token, f"{case['name']}: the cache changes the continuation"
            row.append(token)
    return new


def run(case):
    """All of a case: what goes into JSON, and the arrays."""
    ids = prompt(case)
    rows = [tokens(n, case["seed"] + i + 1, 96) for i, n in enumerate(LENGTHS)]
    model, modules, elements, residuals = build(case), [], [], []
    prefix, _ = blocks(model)

    def record(path):
        def hook(_, args, output):
            found = sample(first(output))
            modules.append([path, len(found)])
            elements.append(found)
            if path.startswith(prefix + ".") and path[len(prefix) + 1:].isdigit():
                output[0].retain_grad()
                residuals.append(output[0])
        return hook

    for path, module in model.named_modules():
        if not isinstance(module, torch.nn.ModuleList):
            module.register_forward_hook(record(path))
    logits = model(torch.tensor([ids]), use_cache=False).logits
    (logits[0, -1, LOSS[0]] - logits[0, -1, LOSS[1]]).backward()
    # Modules that are not called have no output to compare.
    arrays = {
        "logits": logits[0].detach().float().numpy(),
        "outputs": np.concatenate(elements),
        "gradients": np.stack([r.grad[0].float().numpy() for r in residuals]),
        "padded": np.stack([sample([x]) for x in padded(case, rows)]),
    }
    text = {
        "name": case["name"], "dtype": case["dtype"], "seed": case["seed"], "matrix": case["matrix"], "config": case["config"],
        "ids": ids, "rows": rows, "greedy": greedy(case, ids), "modules": modules, "printout": str(model).split("\n"),
    }
    return text, arrays


GPT2 = dict(model_type="gpt2", vocab_size=96, n_positions=32, n_embd=16, n_layer=2, n_head=2)
NEOX = dict(model_type="gpt_neox", vocab_size=96, hidden_size=32, intermediate_size=40, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=64)
GPTJ = dict(model_type="gptj", vocab_size=96, n_positions=32, n_embd=16, n_layer=2, n_head=2, rotary_dim=4)
LLAMA = dict(model_type="llama", vocab_size=96, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
MISTRAL = dict(LLAMA, model_type="mistral", sliding_window=5)
QWEN2 = dict(LLAMA, model_type="qwen2")
GEMMA2 = dict(LLAMA, model_type="gemma2", head_dim=6, sliding_window=5, num_hidden_layers=3, query_pre_attn_scalar=12,
              attn_logit_softcapping=2.0, final_logit_softcapping=3.0)
LONG = dict(short_factor=[1.0, 1.5], long_factor=[2.0, 5.0])

FAMILIES = {
    "gpt2": (GPT2, {
        "plain": {},
        "scaled_by_layer": dict(scale_attn_by_inverse_layer_idx=True, n_layer=3),
        "unscaled": dict(scale_attn_weights=False),
        "narrow_mlp": dict(n_inner=20, embd_pdrop=0.0, resid_pdrop=1e-05),
        "untied": dict(tie_word_embeddings=False),
        "gelu": dict(activation_function="gelu"),
        "gelu_fast": dict(activation_function="gelu_fast"),
        "relu": dict(activation_function="relu", layer_norm_epsilon=0.001),
        "tanh": dict(activation_function="tanh"),
        "bf16": {},
    }),
    "gpt_neox": (NEOX, {
        "parallel": {},
        "sequential": dict(use_parallel_residual=False),
        "all_turned": dict(rotary_pct=1.0),
        "half_turned_other_base": dict(rotary_pct=0.5, rotary_emb_base=100),
        "without_attention_bias": dict(attention_bias=False),
        "tied": dict(tie_word_embeddings=True),
        "linear": dict(rope_scaling={"type": "linear", "factor": 2.0}),
        "dropout": dict(hidden_dropout=0.1, hidden_act="gelu_new"),
        "bf16": {},
        "sequential_bf16": dict(use_parallel_residual=False),
    }),
    "gptj": (GPTJ, {
        "plain": {},
        "all_turned": dict(rotary_dim=8),
        "narrow_mlp": dict(n_inner=20, activation_function="gelu"),
        "tied": dict(tie_word_embeddings=True),
        "one_head": dict(n_head=1, rotary_dim=6),
        "bf16": {},
    }),
    "llama": (LLAMA, {
        "grouped": {},
        "one_kv_head": dict(num_key_value_heads=1),
        "all_kv_heads": dict(num_key_value_heads=None),
        "wide_heads": dict(head_dim=6),
        "attention_bias": dict(attention_bias=True),
        "mlp_bias": dict(mlp_bias=True, pad_token_id=-1),
        "tied": dict(tie_word_embeddings=True, rms_norm_eps=1e-05),
        "relu_other_base": dict(hidden_act="relu", rope_theta=500.0),
        "linear": dict(rope_scaling={"type": "linear", "factor": 4.0}),
        "dynamic_within": dict(rope_scaling={"type": "dynamic", "factor": 2.0}),
        "dynamic_beyond": dict(max_position_embeddings=8, rope_scaling={"rope_type": "dynamic", "factor": 2.0}),
        "llama3": dict(rope_theta=100.0, head_dim=8, rope_scaling={
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}),
        "yarn": dict(rope_theta=50.0, head_dim=8, rope_scaling={"rope_type": "yarn", "factor": 4.0}),
        "yarn_of_context": dict(rope_theta=50.0, head_dim=8, rope_scaling={
            "rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 16, "beta_fast": 4.0,
            "beta_slow": 0.5}),
        "yarn_mscale": dict(rope_scaling={
            "rope_type": "yarn", "factor": 4.0, "mscale": 0.7, "mscale_all_dim": 1.3}),
        "yarn_attention": dict(rope_scaling={"rope_type": "yarn", "factor": 4.0, "attention_factor": 0.8}),
        "longrope_short": dict(original_max_position_embeddings=32, rope_scaling=dict(LONG, rope_type="longrope")),
        "longrope_long": dict(original_max_position_embeddings=8, rope_scaling=dict(LONG, rope_type="longrope")),
        "longrope_factor": dict(rope_scaling=dict(LONG, rope_type="longrope", factor=3.0)),
        "longrope_attention": dict(rope_scaling=dict(LONG, rope_type="longrope", attention_factor=1.25)),
        "bf16": {},
    }),
    "mistral": (MISTRAL, {
        "window": {},
        "window_of_the_prompt": dict(sliding_window=12),
        "window_of_one": dict(sliding_window=1),
        "without_window": dict(sliding_window=None),
        "default_window": dict(sliding_window=...),
        "wide_heads_llama3": dict(head_dim=8, rope_theta=100.0, rope_scaling={
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}),
        "tied": dict(tie_word_embeddings=True),
        "bf16": {},
    }),
    "qwen2": (QWEN2, {
        "plain": {},
        "tied_all_kv_heads": dict(tie_word_embeddings=True, num_key_value_heads=4),
        "window": dict(sliding_window=5, use_sliding_window=True, max_window_layers=1),
        "unused_window": dict(sliding_window=5, use_sliding_window=False),
        "without_window": dict(sliding_window=None),
        "yarn": dict(rope_scaling={"type": "yarn", "factor": 3.0, "original_max_position_embeddings": 16}),
        "bf16": {},
    }),
    "gemma2": (GEMMA2, {
        "all": {},
        "without_caps": dict(attn_logit_softcapping=None, final_logit_softcapping=None),
        "default_caps": dict(attn_logit_softcapping=..., final_logit_softcapping=..., pad_token_id=None),
        "attention_bias": dict(attention_bias=True),
        "untied_gelu": dict(tie_word_embeddings=False, hidden_activation="gelu", query_pre_attn_scalar=...),
        "bf16": dict(num_hidden_layers=2),
    }),
}


def case_of(base, name, changes, seed):
    """A case's configuration; `...` takes an attribute out, so that its default holds."""
    config = {k: v for k, v in {**base, **changes}.items() if v is not ...}
    scaling = config.get("rope_scaling") or {}
    moving = scaling.get("rope_type", scaling.get("type")) in ("dynamic", "longrope")
    dtype = "bfloat16" if name.endswith("bf16") else "float32"
    # Smaller weights keep a half-precision model's logits about one, where neighbouring numbers are close enough to
    # tell a mistake from rounding.
    matrix = 0.2 if dtype == "bfloat16" else 0.4
    return {"name": name, "config": config, "dtype": dtype, "seed": seed, "matrix": matrix, "rows_alone": moving}


def main():
    OUT.mkdir(exist_ok=True)
    for family, (base, variants) in FAMILIES.items():
        cases, arrays = [], {}
        for at, (name, changes) in enumerate(variants.items()):
            # The first seed whose continuation rounding cannot change.
            seeds = (seed for seed in range(at + 1, 4000, 40))
            case = next(c for c in (case_of(base, name, changes, s) for s in seeds) if greedy(c, prompt(c)))
            text, found = run(case)
            if not cases:
                text["calls"] = calls(case)
            cases.append(text)
            arrays.update({f"{name}.{k}": np.ascontiguousarray(v, dtype=np.float32) for k, v in found.items()})
        header = {"torch": torch.__version__, "transformers": transformers.__version__,
                  "python": platform.python_version(), "numpy": np.__version__}
        # A configuration that names nothing but its family: shapes only.
        with torch.device("meta"):
            plain = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(family))
        versions = json.dumps({**header, "defaults": str(plain).split("\n")})[1:-1]
        lines = ",\n".join(json.dumps(c) for c in cases)
        (OUT / f"{family}.json").write_text(f'{{{versions}, "cases": [\n{lines}\n]}}\n')
        save_file(arrays, OUT / f"{family}.safetensors")
        print(family, len(cases), sum(a.size for a in arrays.values()))


if __name__ == "__main__":
    main()
