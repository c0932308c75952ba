"""Lists, dictionaries, numbers and texts of a program; logs; applied functions."""

import torch
from suite import case, double

IDS = [3, 14, 15, 9, 26]


@case("builtins 9.7", "gpt2", "a list takes values")
def list_takes_values(model, nnsight):
    with model.trace(IDS):
        values = nnsight.list().save()
        values.append(model.transformer.h[0].mlp.output[0, 0])
        values.append(3)
        values.append("text")
        values.extend([1, 2])
    return dict(values=values)


@case("builtins 9.7", "gpt2", "a list is indexed, changed and measured")
def list_is_changed(model, nnsight):
    with model.trace(IDS):
        values = nnsight.list([5, 6, 7])
        values[1] = model.transformer.h[0].mlp.output.sum()
        values.insert(0, 4)
        last = values.pop().save()
        second = values[2].save()
        values.save()
        count = values.__len__().save()
    return dict(values=values, last=last, second=second, count=count)


@case("builtins 9.7", "gpt2", "a dictionary takes values by key")
def dict_takes_values(model, nnsight):
    with model.trace(IDS):
        values = nnsight.dict().save()
        values["hidden"] = model.transformer.h[0].mlp.output[0, -1]
        values["layer"] = 0
        again = (values["hidden"] * 2).save()
        keys = nnsight.list(values.keys()).save()
        missing = values.get("missing", 5).save()
    return dict(values=values, again=again, keys=keys, missing=missing)


@case("builtins 9.7", "gpt2", "a dictionary is updated and emptied")
def dict_methods(model, nnsight):
    with model.trace(IDS):
        values = nnsight.dict({"a": 1})
        values.update({"b": 2, "c": model.transformer.wte.input[0, 0].item()})
        b = values.pop("b").save()
        values.setdefault("d", 9)
        values.save()
        items = nnsight.list(values.items()).save()
    return dict(values=values, b=b, items=items)


@case("builtins 9.7", "gpt2", "tuples are made and read")
def tuples(model, nnsight):
    with model.trace(IDS):
        values = nnsight.tuple([1, model.transformer.wte.input[0], "a"]).save()
        first = values[0].save()
        part = values[1:].save()
        joined = (values + (4,)).save()
    return dict(values=values, first=first, part=part, joined=joined)


@case("builtins 9.7", "gpt2", "tensors become Python's numbers")
def numbers(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output[0, 0, 0]
        a = nnsight.float(x).save()
        b = nnsight.int(x * 100).save()
        c = nnsight.bool(x > 100).save()
        d = (nnsight.int(7) // 2).save()
        e = (nnsight.float(7) / 2 + 1).save()
    return dict(a=a, b=b, c=c, d=d, e=e)


@case("builtins 9.7", "gpt2", "texts are made and changed")
def texts(model, nnsight):
    with model.trace(IDS):
        a = nnsight.str("layer").save()
        b = (nnsight.str("layer ") + nnsight.str(3)).save()
        c = nnsight.str("Tower").upper().save()
        d = nnsight.str("a b c").split(" ").save()
        e = nnsight.str("tower")[1:3].save()
    return dict(a=a, b=b, c=c, d=d, e=e)


@case("builtins 9.7", "gpt2", "a list of values is stacked")
def list_is_stacked(model, nnsight):
    with model.trace(IDS):
        values = nnsight.list()
        for layer in range(3):
            values.append(model.transformer.h[layer].output[0])
        stacked = torch.stack([values[0], values[1], values[2]]).save()
    return dict(stacked=stacked)


@case("builtins 9.7", "gpt2", "a list is stacked as a whole", reason="torch.stack refuses a proxy of a list")
def whole_list_is_stacked(model, nnsight):
    with model.trace(IDS):
        values = nnsight.list()
        for layer in range(3):
            values.append(model.transformer.h[layer].output[0])
        stacked = nnsight.op("stack", values, dim=0).save()
    return dict(stacked=stacked)


@whole_list_is_stacked.torch
def _(plain):
    blocks = plain.read(IDS, *(f"transformer.h.{i}" for i in range(3)))
    return dict(stacked=torch.stack([b[0] for b in blocks]))


@case("builtins 9.7", "gpt2", "what is logged is shown in written order, once", reason="nnsight prints what is logged and keeps no values")
def log(model, nnsight):
    with model.trace(IDS) as tracer:
        x = model.transformer.wte.input[0, 0]
        tracer.log("first", x)
        tracer.log(model.lm_head.output[0, -1].argmax())
        x.save()
    return dict(x=x)


@log.torch
def _(plain):
    best = plain.logits(IDS)[0, -1].argmax()
    return dict(x=torch.tensor(3), logged=[["first", torch.tensor(3)], [best]])


@case("builtins 9.7", "gpt2", "a log in a generation happens at each of its steps", reason="nnsight prints what is logged and keeps no values")
def log_at_each_step(model, nnsight):
    with model.generate(IDS, max_new_tokens=3) as tracer:
        with model.lm_head.all():
            tracer.log(model.lm_head.output[0, -1].argmax())
        ids = model.generator.output.save()
    return dict(ids=ids)


@log_at_each_step.torch
def _(plain):
    ids = plain.generate(IDS, max_new_tokens=3)
    return dict(ids=ids, logged=[[ids[0, 5 + i]] for i in range(3)])


@case("builtins 9.7", "gpt2", "a function of the host's is applied to a value")
def applied_function(model, nnsight):
    with model.trace(IDS):
        x = nnsight.apply(double, model.transformer.h[0].mlp.output).save()
        model.transformer.h[1].mlp.output = x
        logits = model.lm_head.output.save()
    return dict(x=x, logits=logits)


@case("builtins 4", "gpt2", "length, membership, division with rest and deletion", reason="nnsight has none of them (4)")
def python_protocols(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        length = x.__len__().save()
        both = nnsight.op("divmod", nnsight.int(17), 5).save()
        values = nnsight.list([1, 2, 3])
        found = nnsight.op("contains", values, 2).save()
        del values[0]
        values.save()
    return dict(length=length, both=both, found=found, values=values)


@python_protocols.torch
def _(plain):
    return dict(length=1, both=(3, 2), found=True, values=[2, 3])


@case("builtins 9.7", "gpt2", "a function is applied once for each turn of a loop, used or not")
def applied_in_a_loop(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([1, 2, 3]) as item:
            with model.trace(IDS):
                values.append(nnsight.apply(double, model.transformer.h[0].mlp.output[0, 0, :2] * item))
    return dict(values=values)


@case("builtins 9.7", "gpt2", "lists, tuples and dictionaries nest, and what they share is shared")
def containers_nest(model, nnsight):
    with model.trace(IDS):
        inner = nnsight.list()
        values = nnsight.dict().save()
        values["inner"] = inner
        values["again"] = inner
        values["pair"] = nnsight.tuple([inner, model.transformer.wte.input[0, 1]])
        inner.append(model.transformer.h[0].mlp.output[0, 0, :2])
        values["inner"].append(5)
    return dict(values=values)
