"""What transformers returns for the options of a forward pass, for the models of `models.py`.

Run by hand, after `models.py`, with PyTorch 2.6 and transformers 4.51.3; reads the cases of
`crates/models/tests/goldens/<family>.json` and writes `options.safetensors` beside them, which
`crates/models/tests/models/options.rs` reads. For each case: the loss of the prompt with labels of which some do not
count, and elements (`sample`) of each of `hidden_states` and `attentions`; the same two again for one more token with
a cache, where the reference's cache holds all tokens and its rotary frequencies do not move.
"""

import json

import numpy as np
import torch
from safetensors.numpy import save_file

from models import FAMILIES, OUT, build, sample

NEXT = 9


def each(tensors):
    """Elements of each tensor, one after the other."""
    return np.concatenate([sample([t]) for t in tensors])


def labels(ids):
    """The prompt as its own labels, every fourth and the first two left out."""
    return [-100 if i < 2 or i % 4 == 3 else token for i, token in enumerate(ids)]


def run(case):
    ids = torch.tensor([case["ids"]])
    options = dict(output_hidden_states=True, output_attentions=True)
    with torch.no_grad():
        out = build(case)(ids, labels=torch.tensor([labels(case["ids"])]), use_cache=False, **options)
    arrays = {"loss": out.loss.float().reshape(1).numpy(), "hidden_states": each(out.hidden_states),
              "attentions": each(out.attentions)}
    scaling = case["config"].get("rope_scaling") or {}
    moves = scaling.get("rope_type", scaling.get("type")) in ("dynamic", "longrope")
    if case["config"]["model_type"] != "gemma2" and not moves:
        model = build(case)
        with torch.no_grad():
            cache = model(ids, use_cache=True).past_key_values
            out = model(torch.tensor([[NEXT]]), past_key_values=cache, use_cache=True, **options)
        arrays["cached_hidden_states"] = each(out.hidden_states)
        arrays["cached_attentions"] = each(out.attentions)
    return arrays


def main():
    found = {}
    for family in FAMILIES:
        for case in json.loads((OUT / f"{family}.json").read_text())["cases"]:
            for name, array in run(case).items():
                found[f"{family} {case['name']}.{name}"] = np.ascontiguousarray(array, dtype=np.float32)
    save_file(found, OUT / "options.safetensors")
    print(len(found), sum(a.size for a in found.values()))


if __name__ == "__main__":
    main()
