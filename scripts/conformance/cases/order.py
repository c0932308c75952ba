"""Order and lifetimes: what happens when, whatever the order in which it is written."""

import torch
from suite import case

IDS = [3, 14, 15, 9, 26]


@case("order 5.1", "gpt2", "layers are read in any order")
def layers_read_in_any_order(model, nnsight):
    with model.trace(IDS):
        late = model.transformer.h[2].output[0].save()
        early = model.transformer.h[0].output[0].save()
    return dict(late=late, early=early)


@case("order 5.1", "gpt2", "values of several layers combine at the latest")
def values_of_layers_combine(model, nnsight):
    with model.trace(IDS):
        total = sum(block.output[0].norm() for block in (
            model.transformer.h[2], model.transformer.h[0], model.transformer.h[1]))
        total.save()
    return dict(total=total)


@case("order 5.1", "gpt2", "a write to an early layer that is written last takes effect",
      reason="nnsight's order of free code is a quirk (5.6)")
def early_write_written_last(model, nnsight):
    with model.trace(IDS):
        logits = model.lm_head.output.save()
        model.transformer.h[0].mlp.output = torch.zeros(1, 5, 16)
    return dict(logits=logits)


@early_write_written_last.torch
def _(plain):
    return dict(logits=plain.logits(IDS, output={"transformer.h.0.mlp": torch.zeros_like}))


@case("order 5.3", "gpt2", "statements at one place happen in written order")
def written_order_at_one_place(model, nnsight):
    with model.trace(IDS):
        out = model.transformer.h[0].mlp.output
        a = out.sum().save()
        out[:] = 1
        b = out.sum().save()
        out[:, 0] = 2
        c = out.sum().save()
    return dict(a=a, b=b, c=c)


@case("order 5.3", "gpt2", "an operation sees what was written before it, not after")
def operations_see_earlier_writes_only(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[0].output[0]
        before = (hidden * 1).save()
        hidden[:, 1] = 5
        after = (hidden * 1).save()
        model.transformer.h[0].output[0][:, 1] = 6
        last = model.transformer.h[1].input.clone().save()
    return dict(before=before, after=after, last=last)


@case("order 5.2", "gpt2", "a module's input comes before its output")
def input_before_output(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.input * 2
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("order 5.1", "gpt2", "a skip connection from an early layer to a late one")
def early_value_into_a_late_layer(model, nnsight):
    with model.trace(IDS):
        early = model.transformer.h[0].output[0].clone()
        model.transformer.h[2].output[0][:] += early
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("order 5.1", "llama", "every layer is steered in a loop of the caller's")
def loop_of_the_callers(model, nnsight):
    with model.trace(IDS):
        for layer in range(2):
            model.model.layers[layer].output[0][:, layer] += 0.5
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("order 5.1", "gpt2", "a mean ablation computed from the same pass")
def mean_ablation(model, nnsight):
    with model.trace(IDS):
        out = model.transformer.h[1].attn.output[0]
        out[:] = out.mean(dim=1, keepdim=True)
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("order 5.6", "gpt2", "free statements run though nothing uses a module")
def free_statements_run(model, nnsight):
    with model.trace(IDS):
        logits = model.lm_head.output.save()
        values = nnsight.list()
        values.append(1)
        values.append(model.transformer.h[0].mlp.output.sum())
        values.save()
    return dict(logits=logits, values=values)


@free_statements_run.torch
def _(plain):
    return dict(logits=plain.logits(IDS), values=[1, plain.read(IDS, "transformer.h.0.mlp").sum()])


@case("order 1.2", "gpt2", "what is not saved is not there, saving twice is harmless")
def saving_twice(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].output[0].save()
        x.save()
        y = (x * 2).save()
    return dict(x=x, y=y)


@case("order 5.3", "gpt2", "a container holds what was put in in written order, whatever comes first")
def container_in_written_order(model, nnsight):
    with model.trace(IDS):
        values = nnsight.list().save()
        values.append(model.transformer.h[2].mlp.output[0, 0])
        values.append(model.transformer.h[0].mlp.output[0, 0])
        values.append(7)
    return dict(values=values)


@container_in_written_order.torch
def _(plain):
    late, early = plain.read(IDS, "transformer.h.2.mlp", "transformer.h.0.mlp")
    return dict(values=[late[0, 0], early[0, 0], 7])


@case("order 5.3", "gpt2", "logs are shown in written order, whatever comes first",
      reason="effects happen in written order; nnsight follows the layers")
def logs_in_written_order(model, nnsight):
    with model.trace(IDS) as tracer:
        tracer.log(model.transformer.h[2].mlp.output[0, 0, 0])
        tracer.log(model.transformer.h[0].mlp.output[0, 0, 0])
        x = model.transformer.wte.input.save()
    return dict(x=x)


@logs_in_written_order.torch
def _(plain):
    late, early = plain.read(IDS, "transformer.h.2.mlp", "transformer.h.0.mlp")
    return dict(x=torch.tensor([IDS]), logged=[[late[0, 0, 0]], [early[0, 0, 0]]])
