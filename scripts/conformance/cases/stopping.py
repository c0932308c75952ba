"""Stopping and skipping."""

import torch
from suite import ABSENT, case

IDS = [3, 14, 15, 9, 26]


@case("stopping 9.6", "gpt2", "what was saved before a stop is kept")
def saved_before_a_stop(model, nnsight):
    with model.trace(IDS):
        early = model.transformer.h[0].output[0].save()
        early.stop()
        late = model.lm_head.output.save()
    return dict(early=early, late=late)


@case("stopping 9.6", "llama", "a stop after a value ends the pass when the value exists")
def stop_after_a_value(model, nnsight):
    with model.trace(IDS):
        norm = model.model.layers[0].output[0].norm().save()
        norm.stop()
        late = model.lm_head.output.save()
    return dict(norm=norm, late=late)


@case("stopping 9.6", "gpt2", "a stop of the trace ends it at the value before")
def stop_of_the_trace(model, nnsight):
    with model.trace(IDS) as tracer:
        early = model.transformer.h[1].output[0].save()
        tracer.stop()
        late = model.lm_head.output.save()
    return dict(early=early, late=late)


@case("stopping 9.6", "gpt2", "a stop that comes first lets nothing run")
def stop_that_comes_first(model, nnsight):
    with model.trace(IDS) as tracer:
        tracer.stop()
        early = model.transformer.h[1].output[0].save()
    return dict(early=early)


@case("stopping 8.12", "gpt2", "a stop ends a whole generation")
def stop_ends_a_generation(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        values = nnsight.list().save()
        with model.transformer.h[0].all():
            values.append(model.transformer.h[0].output[0][:, -1])
        model.transformer.h[0].next(2).output[0].stop()
        ids = model.generator.output.save()
    return dict(values=values, ids=ids)


@case("stopping 9.6", "gpt2", "a stop in one invoke ends the trace")
def stop_in_one_invoke(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(IDS):
            first = model.transformer.h[0].output[0].save()
        with tracer.invoke([8, 1, 2, 40, 5]):
            second = model.transformer.h[1].output[0].save()
            second.stop()
            late = model.lm_head.output.save()
    return dict(first=first, second=second, late=late)


@stop_in_one_invoke.torch
def _(plain):
    return dict(first=plain.read(IDS, "transformer.h.0")[0], second=plain.read([8, 1, 2, 40, 5], "transformer.h.1")[0],
                late=ABSENT)


@case("stopping 3.17", "gpt2", "a skipped module gives the value instead", reason="nnsight 0.4 cannot skip (3.17)")
def skipped_module(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].mlp.skip(model.transformer.h[0].mlp.output)
        mlp = model.transformer.h[1].mlp.output.save()
        logits = model.lm_head.output.save()
    return dict(mlp=mlp, logits=logits)


@skipped_module.torch
def _(plain):
    kept = {}

    def keep(out):
        kept["mlp"] = out

    logits = plain.logits(IDS, output={"transformer.h.0.mlp": keep, "transformer.h.1.mlp": lambda out: kept["mlp"]})
    return dict(mlp=kept["mlp"], logits=logits)


@case("stopping 3.17", "llama", "a skipped block gives a tuple instead", reason="nnsight 0.4 cannot skip (3.17)")
def skipped_block(model, nnsight):
    with model.trace(IDS):
        model.model.layers[1].skip((model.model.layers[0].output[0],))
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@skipped_block.torch
def _(plain):
    kept = {}

    def keep(out):
        kept["h"] = out[0].clone()
    hooks = {"model.layers.0": keep, "model.layers.1": lambda out: (kept["h"],)}
    return dict(logits=plain.logits(IDS, output=hooks))
