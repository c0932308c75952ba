"""Scans: shapes and types without computing."""

import torch
from suite import case

IDS = [3, 14, 15, 9, 26]


@case("scan 10.1", "gpt2", "shapes of a module's values are known", scan=True)
def shapes_of_places(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].output[0].save()
        fused = model.transformer.h[0].attn.c_attn.output.save()
        logits = model.lm_head.output.save()
        ids = model.transformer.wte.input.save()
    return dict(hidden=hidden, fused=fused, logits=logits, ids=ids)


@case("scan 10.1", "llama", "shapes of computed values are known", scan=True)
def shapes_of_computed_values(model, nnsight):
    with model.trace([IDS, IDS]):
        q = model.model.layers[0].self_attn.q_proj.output
        heads = q.view(2, 5, 4, 4).transpose(1, 2).save()
        scores = (heads @ heads.transpose(-1, -2)).softmax(-1).save()
        best = model.lm_head.output.argmax(-1).save()
        mask = (scores > 0).save()
    return dict(heads=heads, scores=scores, best=best, mask=mask)


@case("scan 10.3", "gpt2", "the width of a place is a number in a scan", scan=True)
def width_is_a_number(model, nnsight):
    with model.trace(IDS):
        width = model.transformer.h[0].mlp.c_fc.output.shape[-1].save()
        shape = model.transformer.h[0].output[0].shape.save()
    return dict(width=width, shape=shape)


@case("scan 10.1", "gpt2", "an edited shape is followed downstream", scan=True)
def edited_shape_is_followed(model, nnsight):
    with model.trace(IDS):
        lens = model.lm_head(model.transformer.h[0].output[0][:, -1]).save()
        several = torch.stack([model.transformer.h[i].output[0] for i in range(3)]).save()
    return dict(lens=lens, several=several)


@case("scan 10.4", "gpt2", "a wrong index is found at its line without computing", scan=True, fault=("index", 2))
def wrong_index_in_a_scan(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].output[0][:, 10].save()
    return dict(x=x)


@case("scan 10.4", "gpt2", "a wrong shape is found at its line without computing", scan=True, fault=("shape", 3))
def wrong_shape_in_a_scan(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].output[0]
        y = (x @ torch.ones(15, 3)).save()
    return dict(y=y)
