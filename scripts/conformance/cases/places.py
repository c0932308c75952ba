"""Places: what a module takes and returns, replaced and changed in place."""

import torch

from suite import case

IDS = [3, 14, 15, 9, 26]
BLOCK = "transformer.h.1"


@case("places 3.5", "gpt2", "a block returns a tuple whose first element is the hidden state")
def block_output_is_a_tuple(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].output[0].save()
        logits = model.lm_head.output.save()
    return dict(hidden=hidden, logits=logits)
