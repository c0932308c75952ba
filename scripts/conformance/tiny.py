"""The tiny seeded models of the suite, and plain PyTorch runs of them with hand-written hooks.

Weights are not stored: `draw` of `scripts/goldens/models.py` makes them from a weight's name, here and in Rust.
"""

import contextlib
import pathlib
import sys

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "goldens"))
from models import draw  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2] / "crates/pellucid/tests/conformance"
# Seeds whose greedy continuations are varied and clear.
SEEDS = {"gpt2": 70, "llama": 29, "gpt_neox": 5}
MATRIX = 0.4

CONFIGS = {
    "gpt2": dict(model_type="gpt2", vocab_size=48, n_positions=32, n_embd=16, n_layer=3, n_head=2, bos_token_id=0,
                 eos_token_id=0),
    "llama": dict(model_type="llama", vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                  num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0,
                  eos_token_id=0),
    "gpt_neox": dict(model_type="gpt_neox", vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2,
                     num_attention_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=0),
}

WORDS = ("<end> the a of in is tower palace bridge river city north south east west old new stone iron glass king queen "
         "clock bell gate hill lake sea road ship moon sun star rain snow wind fire gold one two three four five red "
         "green blue . ,").split()


def tokenizer():
    """Words as tokens; id 0 ends a text and pads."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    own = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<end>"))
    own.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=own, eos_token="<end>", pad_token="<end>",
                                                padding_side="left", model_input_names=["input_ids", "attention_mask"])


def build(name, attention=None):
    """A fresh model in evaluation mode."""
    config = transformers.AutoConfig.for_model(**CONFIGS[name])
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    with torch.no_grad():
        for weight, p in model.named_parameters():
            p.copy_(draw(SEEDS[name], weight, tuple(p.shape), 1, MATRIX))
    model.generation_config.pad_token_id = 0
    return model.eval()


class Plain:
    """A model with hooks: `output` maps paths to functions of a module's output, `input` of its first argument.

    A function gives the value that takes the place, or None to leave it; changes in place count, too.
    """

    def __init__(self, name, attention=None):
        self.model = build(name, attention)

    @contextlib.contextmanager
    def hooked(self, output=None, input=None):
        handles = []
        for path, function in (output or {}).items():
            def after(_, args, value, function=function):
                return function(value)
            handles.append(self.model.get_submodule(path).register_forward_hook(after))
        for path, function in (input or {}).items():
            def before(_, args, kwargs, function=function):
                if args:
                    new = function(args[0])
                    return None if new is None else ((new, *args[1:]), kwargs)
                key = next(iter(kwargs))
                new = function(kwargs[key])
                return None if new is None else (args, {**kwargs, key: new})
            handles.append(self.model.get_submodule(path).register_forward_pre_hook(before, with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def run(self, rows, output=None, input=None, **options):
        """The model's output for rows of token ids of one length."""
        rows = rows if isinstance(rows[0], list) else [rows]
        with self.hooked(output, input):
            return self.model(input_ids=torch.tensor(rows), **options)

    def logits(self, rows, output=None, input=None):
        return self.run(rows, output, input).logits

    def generate(self, rows, output=None, input=None, **options):
        rows = torch.tensor(rows if isinstance(rows[0], list) else [rows])
        with self.hooked(output, input):
            return self.model.generate(rows, attention_mask=torch.ones_like(rows), do_sample=False, **options)

    def read(self, rows, *paths, input=False, **hooks):
        """What the named modules return, or take, in one run."""
        found = {}

        def keep(path):
            def function(value):
                found[path] = value
            return function
        hooks.setdefault("input" if input else "output", {}).update({p: keep(p) for p in paths})
        self.run(rows, **hooks)
        return found[paths[0]] if len(paths) == 1 else [found[p] for p in paths]
