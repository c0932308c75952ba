"""Calling modules and reading parameters."""

import torch
from suite import case

IDS = [3, 14, 15, 9, 26]


@case("modules 3.11", "gpt2", "the unembedding is called on a middle layer: a logit lens")
def logit_lens(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].output[0]
        logits = model.lm_head(model.transformer.ln_f(hidden)).save()
        best = logits.argmax(dim=-1).save()
    return dict(logits=logits, best=best)


@case("modules 3.11", "llama", "a logit lens over every layer of llama")
def llama_logit_lens(model, nnsight):
    with model.trace(IDS):
        lens = [model.lm_head(model.model.norm(layer_input)) for layer_input in (
            model.model.layers[0].output[0], model.model.layers[1].output[0])]
        stacked = torch.stack(lens).save()
        logits = model.lm_head.output.save()
    return dict(stacked=stacked, logits=logits)


@case("modules 3.11", "gpt_neox", "an mlp is called on another layer's input")
def module_on_another_input(model, nnsight):
    with model.trace(IDS):
        x = model.gpt_neox.layers[0].mlp.input
        other = model.gpt_neox.layers[1].mlp(x).save()
        own = model.gpt_neox.layers[1].mlp.output.save()
    return dict(other=other, own=own)


@case("modules 3.11", "gpt2", "what a called module gives can be written back")
def called_result_written_back(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        model.transformer.h[0].mlp.output = model.transformer.h[2].mlp(x)
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("modules 3.11", "gpt2", "a call does not make the module's places pass")
def call_does_not_pass_places(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].output[0]
        early = model.transformer.ln_f(x).save()
        own = model.transformer.ln_f.output.save()
    return dict(early=early, own=own)


@case("modules 3.11", "gpt2", "the embedding is called on ids")
def embedding_called_on_ids(model, nnsight):
    with model.trace(IDS):
        best = model.lm_head.output.argmax(dim=-1)
        embedded = model.transformer.wte(best).save()
    return dict(embedded=embedded)


@case("modules 3.11", "gpt2", "a module is called on a constant in a trace")
def module_on_a_constant(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = model.transformer.h[0].ln_1(VECTOR).save()
        b = model.lm_head(VECTOR + x[0, 0]).save()
    return dict(a=a, b=b)


VECTOR = torch.linspace(-1, 2, 16)


@case("modules 3.11", "gpt2", "a module called in one invoke on another's value")
def module_called_across_invokes(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(IDS):
            x = model.transformer.h[0].output[0]
        with tracer.invoke([3, 14, 7, 9, 26]):
            lens = model.lm_head(model.transformer.ln_f(x - model.transformer.h[0].output[0])).save()
    return dict(lens=lens)


@case("modules 3.12", "gpt2", "a parameter is a value")
def parameter_is_a_value(model, nnsight):
    with model.trace(IDS):
        weight = model.transformer.h[0].mlp.c_fc.weight.save()
        bias = model.transformer.h[0].mlp.c_fc.bias.save()
        out = model.transformer.h[0].mlp.c_fc.output.save()
    return dict(weight=weight, bias=bias, out=out)


@case("modules 3.12", "gpt2", "a product with a parameter equals the module's output")
def product_with_a_parameter(model, nnsight):
    with model.trace(IDS):
        lm = model.lm_head
        manual = (model.transformer.ln_f.output @ lm.weight.T).save()
        own = model.lm_head.output.save()
    return dict(manual=manual, own=own)


@case("modules 3.12", "llama", "a write into a parameter's value leaves the model as it is")
def write_into_a_parameter_value(model, nnsight):
    with model.trace(IDS):
        weight = model.lm_head.weight
        weight[:] = 0
        weight.save()
        logits = model.lm_head.output.save()
    return dict(weight=weight, logits=logits)


@case("modules 3.12", "gpt2", "a direction from the unembedding projects a hidden state")
def direction_from_the_unembedding(model, nnsight):
    with model.trace(IDS):
        direction = model.lm_head.weight[5] - model.lm_head.weight[7]
        projected = (model.transformer.h[2].output[0] @ direction).save()
        model.transformer.h[1].output[0][:, -1] += direction
        logits = model.lm_head.output.save()
    return dict(projected=projected, logits=logits)


@case("modules 3.11", "gpt2", "a called module with hooks passes its places")
def module_called_with_hooks(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].output[0]
        again = model.transformer.h[2].mlp(x, hook=True).save()
        own = model.transformer.h[2].mlp.output.save()
    return dict(again=again, own=own)


@module_called_with_hooks.torch
def _(plain):
    # The call stands before the model's own: it is the first, so the read means it.
    x = plain.read(IDS, "transformer.h.0")[0]
    again = plain.model.transformer.h[2].mlp(x)
    return dict(again=again, own=again)
