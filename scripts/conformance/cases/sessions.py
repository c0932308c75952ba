"""Sessions, loops, conditions, merges."""

import torch
from suite import ABSENT, case

IDS = [3, 14, 15, 9, 26]
OTHER = [3, 14, 7, 9, 26]


@case("sessions 9.1", "gpt2", "a value of one trace is used in the next without being saved")
def value_passes_between_traces(model, nnsight):
    with model.session():
        with model.trace(IDS):
            hidden = model.transformer.h[1].output[0]
        with model.trace(OTHER):
            model.transformer.h[1].output[0][:] = hidden
            logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("sessions 9.1", "llama", "traces of a session run in order, and operations between them")
def operations_between_traces(model, nnsight):
    with model.session():
        with model.trace(IDS):
            a = model.model.layers[0].output[0]
        with model.trace(OTHER):
            b = model.model.layers[0].output[0]
        difference = (a - b).save()
        with model.trace(IDS):
            model.model.layers[0].output[0][:] += difference
            logits = model.lm_head.output.save()
    return dict(difference=difference, logits=logits)


@case("sessions 9.1", "gpt2", "a later trace writes into an earlier one's value, which changes that value only")
def later_trace_writes_into_an_earlier_value(model, nnsight):
    with model.session():
        with model.trace(IDS):
            hidden = model.transformer.h[1].output[0].save()
            first = model.lm_head.output.save()
        with model.trace(OTHER):
            hidden[:, 0] = 0
            second = model.lm_head.output.save()
    return dict(hidden=hidden, first=first, second=second)


@case("sessions 9.1", "gpt2", "a value saved in one program part is computed once")
def traces_without_a_session(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].output[0].save()
    with model.trace(OTHER):
        model.transformer.h[1].output[0][:] = hidden
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@traces_without_a_session.torch
def _(plain):
    kept = plain.read(IDS, "transformer.h.1")[0].clone()

    def patch(out):
        out[0][:] = kept
    return dict(logits=plain.logits(OTHER, output={"transformer.h.1": patch}))


@case("sessions 9.1", "gpt2", "a session mixes traces and generations",
      reason="nnsight has dropped the earlier trace's value after the first step")
def session_of_trace_and_generation(model, nnsight):
    with model.session():
        with model.trace(IDS):
            steer = model.transformer.h[0].mlp.output[:, -1:] * 3
        with model.generate(OTHER, max_new_tokens=3):
            with model.transformer.all():
                model.transformer.h[1].output[0][:] += steer
            ids = model.generator.output.save()
    return dict(ids=ids)


@session_of_trace_and_generation.torch
def _(plain):
    steer = plain.read(IDS, "transformer.h.0.mlp")[:, -1:] * 3

    def add(out):
        out[0][:] += steer
    with torch.no_grad():
        return dict(ids=plain.generate(OTHER, output={"transformer.h.1": add}, max_new_tokens=3))


@case("sessions 6.12", "gpt2", "ids that one trace computes are the next trace's input")
def computed_input(model, nnsight):
    with model.session():
        with model.trace(IDS):
            best = model.lm_head.output.argmax(dim=-1)
        with model.trace(best):
            ids = model.transformer.wte.input.save()
            logits = model.lm_head.output.save()
    return dict(ids=ids, logits=logits)


@case("sessions 9.2", "gpt2", "a loop runs once for each element")
def loop_over_numbers(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([0, 1, 2]) as item:
            values.append(item * 10)
    return dict(values=values)


@case("sessions 9.2", "gpt2", "a trace in a loop uses the element")
def trace_in_a_loop(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([1, 2, 3]) as item:
            with model.trace(IDS):
                model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.output * item
                values.append(model.lm_head.output[0, -1])
    return dict(values=values)


@case("sessions 9.2", "gpt2", "an element is the input of a trace in a loop")
def element_is_the_input(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([FIRST_ROW, SECOND_ROW]) as item:
            with model.trace(item):
                values.append(model.lm_head.output[0, -1])
    return dict(values=values)


FIRST_ROW, SECOND_ROW = torch.tensor([IDS]), torch.tensor([[8, 1, 2, 40]])


@case("sessions 9.2", "gpt2", "loops nest")
def nested_loops(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([[0, 1], [2, 3]]) as row:
            with session.iter(row) as item:
                values.append(item)
    return dict(values=values)


@case("sessions 9.2", "gpt2", "a list that a program built is gone through")
def loop_over_a_built_list(model, nnsight):
    with model.session() as session:
        source = nnsight.list([1])
        source.append(2)
        values = nnsight.list().save()
        with session.iter(source) as item:
            values.append(item + 0.5)
    return dict(values=values)


@case("sessions 9.2", "gpt2", "what a loop saves is the last turn's")
def saved_in_a_loop(model, nnsight):
    with model.session() as session:
        with session.iter([1, 2, 3]) as item:
            value = (item * 2).save()
            with model.trace(IDS):
                hidden = (model.transformer.h[0].mlp.output * item).save()
    return dict(value=value, hidden=hidden)


@case("sessions 9.2", "gpt2", "a loop over nothing saves nothing")
def loop_over_nothing(model, nnsight):
    with model.session() as session:
        empty = nnsight.list()
        with session.iter(empty) as item:
            value = (item * 2).save()
        after = nnsight.list([1]).save()
    return dict(value=value, after=after)


@case("sessions 9.2", "gpt2", "a stop in a loop ends the loop, and the session goes on")
def stop_in_a_loop(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([0, 1, 2, 3]) as item:
            values.append(item)
            with session.cond(item == 2):
                session.stop()
        after = nnsight.list([9]).save()
    return dict(values=values, after=after)


@case("sessions 9.6", "gpt2", "a stop in a session ends the session")
def stop_in_a_session(model, nnsight):
    with model.session() as session:
        before = nnsight.list([1]).save()
        session.stop()
        after = nnsight.list([2]).save()
    return dict(before=before, after=after)


@case("sessions 9.2", "gpt2", "a pass is stopped in a loop, and the loop goes on")
def stopped_pass_in_a_loop(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([1, 2]) as item:
            with model.trace(IDS):
                hidden = model.transformer.h[0].output[0] * item
                values.append(hidden[0, -1])
                hidden.stop()
                late = model.lm_head.output.save()
    return dict(values=values, late=late)


@case("sessions 9.3", "gpt2", "a condition that holds lets its block happen")
def condition_holds(model, nnsight):
    with model.trace(IDS) as tracer:
        with tracer.cond(True):
            model.transformer.h[1].mlp.output[:] = 0
            seen = model.transformer.h[1].mlp.output.save()
        logits = model.lm_head.output.save()
    return dict(seen=seen, logits=logits)


@case("sessions 9.3", "gpt2", "a condition that does not hold leaves the model and its saves alone")
def condition_does_not_hold(model, nnsight):
    with model.trace(IDS) as tracer:
        with tracer.cond(False):
            model.transformer.h[1].mlp.output[:] = 0
            seen = model.transformer.h[1].mlp.output.save()
        logits = model.lm_head.output.save()
    return dict(seen=seen, logits=logits)


@case("sessions 9.3", "gpt2", "a condition on a value of the same pass")
def condition_on_a_value(model, nnsight):
    with model.trace(IDS) as tracer:
        norm = model.transformer.h[0].output[0].norm()
        with tracer.cond(norm > 0):
            model.transformer.h[1].output[0][:] *= 2
        with tracer.cond(norm < 0):
            model.transformer.h[2].output[0][:] = 0
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("sessions 9.3", "gpt2", "a chain of conditions takes the first that holds")
def chain_of_conditions(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([0, 1, 2, 3]) as item:
            with session.cond(item == 0) as first:
                values.append("zero")
            with first.else_(item == 2) as second:
                values.append("two")
            with second.else_():
                values.append("other")
    return dict(values=values)


@case("sessions 9.3", "gpt2", "conditions nest")
def nested_conditions(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([0, 1, 2, 3, 4]) as item:
            with session.cond(item > 0):
                with session.cond(item % 2 == 0):
                    values.append(item)
    return dict(values=values)


@case("sessions 9.3", "gpt2", "a whole trace stands in a condition")
def trace_in_a_condition(model, nnsight):
    with model.session() as session:
        with model.trace(IDS):
            best = model.lm_head.output[0, -1].argmax()
        with session.cond(best >= 0):
            with model.trace(OTHER):
                taken = model.lm_head.output[0, -1].save()
        with session.cond(best < 0):
            with model.trace(OTHER):
                left = model.lm_head.output[0, -1].save()
    return dict(taken=taken, left=left)


@case("sessions 9.4", "gpt2", "a name that both branches assign is the taken branch's", reason="nnsight binds the last written (9.4)")
def merged_branches(model, nnsight):
    with model.session() as session:
        a = nnsight.int(3)
        with session.cond(a > 1) as first:
            left = a * 10
        with first.else_():
            right = a * 100
        y = nnsight.merge(left, right).save()
    return dict(y=y)


@merged_branches.torch
def _(plain):
    return dict(y=30)


@case("sessions 9.4", "gpt2", "a merge of branches inside a trace flows on in the model",
      reason="nnsight binds the last written (9.4)")
def merged_branches_in_a_trace(model, nnsight):
    with model.trace(IDS) as tracer:
        out = model.transformer.h[0].mlp.output
        with tracer.cond(out.sum() > 1e6) as first:
            left = out * 0
        with first.else_():
            right = out * 2
        model.transformer.h[1].mlp.output = nnsight.merge(left, right)
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@merged_branches_in_a_trace.torch
def _(plain):
    kept = {}

    def keep(out):
        kept["mlp"] = out
    hooks = {"transformer.h.0.mlp": keep, "transformer.h.1.mlp": lambda out: kept["mlp"] * 2}
    return dict(logits=plain.logits(IDS, output=hooks))


@case("sessions 9.4", "gpt2", "a merge after a loop is what the last turn assigned, or the value before",
      reason="nnsight has no such value")
def merge_after_a_loop(model, nnsight):
    with model.session() as session:
        before = nnsight.int(5)
        with session.iter([1, 2, 3]) as item:
            inside = item * 2
        after = nnsight.merge(before, inside).save()
        with session.iter(nnsight.list()) as item:
            never = item * 2
        same = nnsight.merge(before, never).save()
    return dict(after=after, same=same)


@merge_after_a_loop.torch
def _(plain):
    return dict(after=6, same=5)


@case("sessions 9.3", "gpt2", "a loop inside a trace runs over values of the pass")
def loop_inside_a_trace(model, nnsight):
    with model.trace(IDS) as tracer:
        values = nnsight.list().save()
        hidden = model.transformer.h[0].output[0]
        with tracer.iter([0, 2]) as item:
            values.append(hidden[0, item, :4])
        logits = model.lm_head.output.save()
    return dict(values=values, logits=logits)


@case("sessions 13.4", "gpt2", "a local block happens like any other where the program runs")
def local_block(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[0].output[0]
        with nnsight.local():
            scaled = (hidden * 2).save()
    return dict(scaled=scaled)


@case("sessions 9.2", "gpt2", "activation patching: a loop over layers in a session")
def patching_sweep(model, nnsight):
    with model.session():
        scores = nnsight.list().save()
        with model.trace(IDS):
            clean = [model.transformer.h[i].output[0] for i in range(3)]
        for layer in range(3):
            for position in (2, 4):
                with model.trace(OTHER):
                    model.transformer.h[layer].output[0][:, position] = clean[layer][:, position]
                    logits = model.lm_head.output[0, -1]
                    scores.append((logits[5] - logits[7]).item())
    return dict(scores=scores)


@patching_sweep.torch
def _(plain):
    with torch.no_grad():
        clean = [out[0].clone() for out in plain.read(IDS, *(f"transformer.h.{i}" for i in range(3)))]
        scores = []
        for layer in range(3):
            for position in (2, 4):
                def patch(out):
                    out[0][:, position] = clean[layer][:, position]
                logits = plain.logits(OTHER, output={f"transformer.h.{layer}": patch})[0, -1]
                scores.append((logits[5] - logits[7]).item())
    return dict(scores=scores)


@case("sessions 9.2", "gpt2", "a generation in a loop")
def generation_in_a_loop(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([-2.0, 3.0]) as item:
            with model.generate(IDS, max_new_tokens=3):
                model.transformer.h[1].mlp.output[:] *= item
                values.append(model.generator.output)
    return dict(values=values)


@case("sessions 9.7", "gpt2", "logs in a loop are shown at each turn", reason="nnsight prints what is logged and keeps no values")
def log_in_a_loop(model, nnsight):
    with model.session() as session:
        with session.iter([1, 2]) as item:
            nnsight.log("turn", item)
        after = nnsight.list().save()
    return dict(after=after)


@log_in_a_loop.torch
def _(plain):
    return dict(after=[], logged=[["turn", 1], ["turn", 2]])


@case("sessions 11.1", "gpt2", "an edited model is used in a session beside the model itself",
      reason="nnsight fails when an edited model is traced in a session")
def edited_model_in_a_session(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.output * 0
    with model.session():
        with model.trace(IDS):
            plain = model.lm_head.output
        with edited.trace(IDS):
            changed = model.lm_head.output
        difference = (plain - changed).save()
    return dict(difference=difference)


@edited_model_in_a_session.torch
def _(plain):
    return dict(difference=plain.logits(IDS) - plain.logits(IDS, output={"transformer.h.1.mlp": torch.zeros_like}))


@case("sessions 9.2", "gpt2", "a running value is carried through a loop in a list")
def value_carried_through_a_loop(model, nnsight):
    with model.session() as session:
        state = nnsight.list([0])
        with session.iter([1, 2, 3, 4]) as item:
            state[0] = state[0] + item
        total = state[0].save()
    return dict(total=total)


@case("sessions 9.2", "gpt2", "hidden states are averaged over prompts in a loop")
def average_over_prompts(model, nnsight):
    with model.session() as session:
        values = nnsight.list()
        with session.iter([FIRST_ROW, SECOND_ROW]) as item:
            with model.trace(item):
                values.append(model.transformer.h[1].output[0][0, -1])
        mean = ((values[0] + values[1]) / 2).save()
        with model.trace(IDS):
            model.transformer.h[1].output[0][:, -1] = mean
            logits = model.lm_head.output.save()
    return dict(mean=mean, logits=logits)


@case("sessions 9.3", "gpt2", "a stop inside a condition ends the pass when the condition holds")
def stop_inside_a_condition(model, nnsight):
    with model.trace(IDS) as tracer:
        hidden = model.transformer.h[0].output[0].save()
        with tracer.cond(hidden.norm() > 0):
            hidden.stop()
        late = model.lm_head.output.save()
    return dict(hidden=hidden, late=late)


@stop_inside_a_condition.torch
def _(plain):
    return dict(hidden=plain.read(IDS, "transformer.h.0")[0], late=ABSENT)


@case("sessions 9.3", "gpt2", "a condition on a later value makes an earlier write impossible",
      fault=("already passed", 2, 4))
def condition_comes_too_late(model, nnsight):
    with model.trace(IDS) as tracer:
        late = model.lm_head.output.sum()
        with tracer.cond(late > 0):
            model.transformer.h[0].mlp.output[:] = 0
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("sessions 9.2", "gpt2", "a tensor is gone through row by row")
def loop_over_a_tensor(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with model.trace(IDS):
            hidden = model.transformer.h[0].mlp.output[0, :, :3]
        with session.iter(hidden) as row:
            values.append(row.sum())
    return dict(values=values)


@case("sessions 9.2", "gpt2", "a loop inside a trace writes to a place at each turn")
def loop_writes_to_a_place(model, nnsight):
    with model.trace(IDS) as tracer:
        out = model.transformer.h[1].mlp.output
        with tracer.iter([0, 2, 3]) as item:
            out[:, item] = item
        seen = model.transformer.h[1].mlp.output.save()
        logits = model.lm_head.output.save()
    return dict(seen=seen, logits=logits)


@case("sessions 9.3", "gpt2", "conditions in a loop in a trace change the model")
def conditions_in_a_loop_in_a_trace(model, nnsight):
    with model.trace(IDS) as tracer:
        out = model.transformer.h[0].mlp.output
        with tracer.iter([0, 1, 2, 3, 4]) as item:
            with tracer.cond(out[0, item, 0] > 0):
                out[0, item] *= 0
        seen = model.transformer.h[0].mlp.output.save()
        logits = model.lm_head.output.save()
    return dict(seen=seen, logits=logits)


@case("sessions 9.3", "gpt2", "lists, texts and numbers are true as in Python")
def truth_of_values(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.cond(nnsight.list()):
            values.append("empty list")
        with session.cond(nnsight.list([0])):
            values.append("list")
        with session.cond(nnsight.str("")):
            values.append("empty text")
        with session.cond(nnsight.int(0)):
            values.append("zero")
        with session.cond(nnsight.float(0.5)):
            values.append("half")
        after = nnsight.list([1]).save()
    return dict(values=values, after=after)


@case("sessions 9.4", "gpt2", "a merge of branches that were not taken is absent", reason="nnsight has no such value")
def merge_of_nothing(model, nnsight):
    with model.session() as session:
        a = nnsight.int(3)
        with session.cond(a > 5) as first:
            left = a * 10
        with first.else_(a > 4):
            right = a * 100
        y = nnsight.merge(left, right).save()
        z = (a + 1).save()
    return dict(y=y, z=z)


@merge_of_nothing.torch
def _(plain):
    return dict(y=ABSENT, z=4)


@case("sessions 9.4", "gpt2", "an in-place write after a merge goes to the value that was chosen", reason="nnsight has no such value")
def write_into_a_merge(model, nnsight):
    with model.trace(IDS) as tracer:
        a = model.transformer.h[0].mlp.output
        b = a * 2
        with tracer.cond(a.sum() < 1e6) as first:
            left = a[:, :2]
        with first.else_():
            right = b[:, :2]
        chosen = nnsight.merge(left, right)
        chosen[:] = 3
        seen = model.transformer.h[0].mlp.output.save()
        other = b.save()
        logits = model.lm_head.output.save()
    return dict(seen=seen, other=other, logits=logits)


@write_into_a_merge.torch
def _(plain):
    kept = {}

    def write(out):
        kept["other"] = out * 2
        out[:, :2] = 3
        kept["seen"] = out
    logits = plain.logits(IDS, output={"transformer.h.0.mlp": write})
    return dict(seen=kept["seen"], other=kept["other"], logits=logits)


@case("sessions 9.2", "gpt2", "a stop in the inner of two loops ends the inner alone")
def stop_in_an_inner_loop(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter([10, 20]) as row:
            with session.iter([1, 2, 3]) as item:
                values.append(row + item)
                with session.cond(item == 2):
                    session.stop()
            values.append(row)
    return dict(values=values)


@case("sessions 9.1", "gpt2", "gradients in two traces of a session are apart", tolerance=3e-5)
def gradients_in_two_traces(model, nnsight):
    with model.session():
        with model.trace(IDS):
            first = model.transformer.h[1].output[0].grad.save()
            model.lm_head.output[0, -1, 5].backward()
        with model.trace(OTHER):
            second = model.transformer.h[1].output[0].grad.save()
            model.lm_head.output[0, -1, 5].backward()
    return dict(first=first, second=second)


@case("sessions 9.1", "gpt2", "a generation's ids are the next trace's input")
def generated_ids_are_an_input(model, nnsight):
    with model.session():
        with model.generate(IDS, max_new_tokens=3):
            ids = model.generator.output
        with model.trace(ids):
            logits = model.lm_head.output.save()
    return dict(logits=logits)


@generated_ids_are_an_input.torch
def _(plain):
    ids = plain.generate(IDS, max_new_tokens=3)[0].tolist()
    return dict(logits=plain.logits(ids))
