"""Edits: interventions that later traces of a model start with."""

import torch
from suite import case

IDS = [3, 14, 15, 9, 26]
OTHER = [8, 1, 2, 40, 5]
BUMP = torch.linspace(-2, 2, 16)


@case("edits 11.1", "gpt2", "an edited model starts with its edit, the model itself does not")
def edit_makes_another_model(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.output * 0
    with edited.trace(IDS):
        changed = model.lm_head.output.save()
    with model.trace(IDS):
        plain = model.lm_head.output.save()
    return dict(changed=changed, plain=plain)


@case("edits 11.1", "gpt2", "an edit in place changes the model itself")
def edit_in_place(model, nnsight):
    with model.trace(IDS):
        before = model.lm_head.output.save()
    with model.edit(inplace=True):
        model.transformer.h[0].output[0][:, -1] = BUMP
    with model.trace(IDS):
        after = model.lm_head.output.save()
    return dict(before=before, after=after)


@case("edits 11.1", "gpt2", "edits stack")
def edits_stack(model, nnsight):
    with model.edit() as once:
        model.transformer.h[0].mlp.output = model.transformer.h[0].mlp.output + 1
    with once.edit() as twice:
        once.transformer.h[0].mlp.output = once.transformer.h[0].mlp.output * 2
    with once.trace(IDS):
        first = model.transformer.h[0].mlp.output.save()
    with twice.trace(IDS):
        second = model.transformer.h[0].mlp.output.save()
        logits = model.lm_head.output.save()
    return dict(first=first, second=second, logits=logits)


@case("edits 11.1", "llama", "a trace of an edited model sees and changes what the edit left")
def trace_after_an_edit(model, nnsight):
    with model.edit() as edited:
        model.model.layers[0].mlp.output = model.model.layers[0].mlp.output * 2
    with edited.trace(IDS):
        seen = model.model.layers[0].mlp.output.save()
        model.model.layers[0].mlp.output[:, 0] = 0
        logits = model.lm_head.output.save()
    return dict(seen=seen, logits=logits)


@case("edits 11.3", "gpt2", "an edit applies to all rows of an invoke")
def edit_applies_to_all_rows(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[1].output[0][:, 1] = 0
    with edited.trace([IDS, OTHER]):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("edits 11.3", "gpt2", "an edit applies to every invoke", reason="in nnsight it applies to the last alone (11.3)")
def edit_applies_to_every_invoke(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[1].output[0][:] *= 0.5
    with edited.trace() as tracer:
        with tracer.invoke(IDS):
            first = model.lm_head.output.save()
        with tracer.invoke(OTHER):
            second = model.lm_head.output.save()
    return dict(first=first, second=second)


@edit_applies_to_every_invoke.torch
def _(plain):
    def half(out):
        out[0][:] *= 0.5
    own = {"transformer.h.1": half}
    return dict(first=plain.logits(IDS, output=own), second=plain.logits(OTHER, output=own))


@case("edits 11.3", "gpt2", "an edit applies to every step of a generation", reason="in nnsight it applies to the first alone (11.3)")
def edit_applies_to_every_step(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.output + BUMP
    with edited.generate(IDS, max_new_tokens=5):
        ids = model.generator.output.save()
    return dict(ids=ids)


@edit_applies_to_every_step.torch
def _(plain):
    return dict(ids=plain.generate(IDS, output={"transformer.h.1.mlp": lambda out: out + BUMP}, max_new_tokens=5))


@case("edits 11.4", "gpt2", "what an edit saves is never set")
def saves_of_an_edit_are_not_set(model, nnsight):
    with model.edit() as edited:
        hidden = model.transformer.h[1].output[0].save()
        model.transformer.h[1].output[0][:] = 0
    with edited.trace(IDS):
        logits = model.lm_head.output.save()
    return dict(hidden=hidden, logits=logits)


@case("edits 11.1", "gpt2", "an edit moves values between places, as an added module would")
def edit_calls_a_module(model, nnsight):
    with model.edit() as edited:
        x = model.transformer.h[0].mlp.input
        model.transformer.h[0].mlp.output = model.transformer.h[2].mlp(x)
    with edited.trace(IDS):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@edit_calls_a_module.torch
def _(plain):
    kept = {}

    def keep(x):
        kept["x"] = x
    return dict(logits=plain.logits(IDS, input={"transformer.h.0.mlp": keep}, output={
        "transformer.h.0.mlp": lambda out: plain.model.transformer.h[2].mlp(kept["x"])}))


@case("edits 11.3", "gpt2", "an edit's write happens before those of an invoke", reason="in nnsight it applies to the last invoke alone (11.3)")
def edit_before_invokes(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[0].mlp.output = model.transformer.h[0].mlp.output * 0 + 1
    with edited.trace() as tracer:
        with tracer.invoke(IDS):
            model.transformer.h[0].mlp.output[:, 0] += 5
            first = model.transformer.h[0].mlp.output.save()
        with tracer.invoke(OTHER):
            second = model.transformer.h[0].mlp.output.save()
    return dict(first=first, second=second)


@edit_before_invokes.torch
def _(plain):
    ones = torch.ones(1, 5, 16)
    first = ones.clone()
    first[:, 0] = 6
    return dict(first=first, second=ones)


@case("edits 11.1", "gpt2", "an edit in place applies to models edited from it afterwards")
def edit_in_place_then_another(model, nnsight):
    with model.edit(inplace=True):
        model.transformer.h[0].mlp.output = model.transformer.h[0].mlp.output + 1
    with model.edit() as edited:
        model.transformer.h[0].mlp.output = model.transformer.h[0].mlp.output * 2
    with edited.trace(IDS):
        both = model.transformer.h[0].mlp.output.save()
    with model.trace(IDS):
        one = model.transformer.h[0].mlp.output.save()
    return dict(both=both, one=one)


@case("edits 11.3", "gpt2", "a generation of an edited model, with writes of its own at every step",
      reason="in nnsight an edit applies to the first step alone (11.3)")
def edited_generation_with_writes(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[0].mlp.output = model.transformer.h[0].mlp.output + BUMP
    with edited.generate(IDS, max_new_tokens=4):
        values = nnsight.list().save()
        with model.all():
            model.transformer.h[0].mlp.output[:] *= 2
            values.append(model.lm_head.output[0, -1, :6])
    return dict(values=values)


@edited_generation_with_writes.torch
def _(plain):
    values = []

    def keep(out):
        values.append(out[0, -1, :6].clone())
    plain.generate(IDS, output={"transformer.h.0.mlp": lambda out: (out + BUMP) * 2, "lm_head": keep}, max_new_tokens=4)
    return dict(values=values)
