"""Invokes: several inputs in one trace, values that cross between them, padding, batches with a mask."""

import torch
from suite import case

CLEAN = [3, 14, 15, 9, 26]
OTHER = [3, 14, 7, 9, 26]
THIRD = [8, 1, 2, 40, 5]
SHORT = [5, 35, 8]


@case("invokes 6.1", "gpt2", "each invoke sees its own rows")
def invokes_see_their_own_rows(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            first = model.lm_head.output.save()
        with tracer.invoke(OTHER):
            second = model.lm_head.output.save()
    return dict(first=first, second=second)


@case("invokes 6.3", "gpt2", "a write in place changes only its invoke")
def write_changes_one_invoke(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            model.transformer.h[0].output[0][:] = 0
            first = model.lm_head.output.save()
        with tracer.invoke(CLEAN):
            second = model.lm_head.output.save()
    return dict(first=first, second=second)


@case("invokes 6.3", "llama", "a replacement changes only its invoke")
def replacement_changes_one_invoke(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            first = model.lm_head.output.save()
        with tracer.invoke(CLEAN):
            model.model.layers[0].mlp.output = model.model.layers[0].mlp.output * 2
            second = model.lm_head.output.save()
        with tracer.invoke(THIRD):
            third = model.lm_head.output.save()
    return dict(first=first, second=second, third=third)


@case("invokes 6.4", "gpt2", "a value of an earlier invoke is written at the same layer of a later one")
def patch_at_the_same_layer(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            clean = model.transformer.h[1].output[0]
        with tracer.invoke(OTHER):
            model.transformer.h[1].output[0][:] = clean
            logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("invokes 6.4", "gpt2", "the embedding of one prompt is given to another")
def embedding_moves_between_invokes(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            embedded = model.transformer.wte.output
        with tracer.invoke([1, 1, 1, 1, 1]):
            model.transformer.wte.output = embedded
            logits = model.lm_head.output.save()
    return dict(logits=logits)


def hidden(plain, ids, path, **hooks):
    out = plain.read(ids, path, **hooks)
    return out[0] if isinstance(out, tuple) else out


@case("invokes 6.4b", "gpt2", "a slice of a clean value patches one position of a later invoke",
      reason="nnsight writes too late where the slice is taken in the later invoke (6.4b)")
def patch_at_a_position(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            clean = model.transformer.h[0].output[0]
            before = model.lm_head.output.save()
        with tracer.invoke(OTHER):
            model.transformer.h[0].output[0][:, 2, :] = clean[:, 2, :]
            patched = model.lm_head.output.save()
    return dict(before=before, patched=patched)


@patch_at_a_position.torch
def _(plain):
    clean = hidden(plain, CLEAN, "transformer.h.0")

    def patch(out):
        out[0][:, 2] = clean[:, 2]
    return dict(before=plain.logits(CLEAN), patched=plain.logits(OTHER, output={"transformer.h.0": patch}))


@case("invokes 6.4", "gpt2", "a later layer's value of one invoke goes into an earlier layer of another",
      reason="nnsight skips it silently (5.4)")
def later_layer_into_earlier_layer_of_another(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            late = model.transformer.h[2].output[0]
        with tracer.invoke(OTHER):
            model.transformer.h[0].output[0][:] = late
            logits = model.lm_head.output.save()
    return dict(logits=logits)


@later_layer_into_earlier_layer_of_another.torch
def _(plain):
    late = hidden(plain, CLEAN, "transformer.h.2")

    def patch(out):
        out[0][:] = late
    return dict(logits=plain.logits(OTHER, output={"transformer.h.0": patch}))


@case("invokes 6.4b", "gpt2", "a value of a later invoke is written into an earlier one",
      reason="in nnsight it does not reach the logits (6.4b)")
def value_flows_to_an_earlier_invoke(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(OTHER):
            held = model.transformer.h[2].output[0]
            logits = model.lm_head.output.save()
        with tracer.invoke(CLEAN):
            held[:] = model.transformer.h[1].output[0]
    return dict(logits=logits)


@value_flows_to_an_earlier_invoke.torch
def _(plain):
    early = hidden(plain, CLEAN, "transformer.h.1")

    def patch(out):
        out[0][:] = early
    return dict(logits=plain.logits(OTHER, output={"transformer.h.2": patch}))


@case("invokes 5.6", "gpt2", "an edit with a new tensor in a second invoke is not skipped",
      reason="nnsight skips it silently where the first invoke reads logits (5.6)")
def new_tensor_in_a_second_invoke(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            first = model.lm_head.output.save()
        with tracer.invoke(CLEAN):
            model.transformer.h[0].mlp.output = torch.zeros(1, 5, 16)
            second = model.lm_head.output.save()
    return dict(first=first, second=second)


@new_tensor_in_a_second_invoke.torch
def _(plain):
    return dict(first=plain.logits(CLEAN), second=plain.logits(
        CLEAN, output={"transformer.h.0.mlp": torch.zeros_like}))


@case("invokes 6.4", "gpt2", "three invokes hand a value along")
def three_invokes_hand_a_value_along(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            a = model.transformer.h[0].mlp.output
        with tracer.invoke(OTHER):
            model.transformer.h[1].mlp.output = a
            b = model.transformer.h[1].output[0]
        with tracer.invoke(THIRD):
            model.transformer.h[2].mlp.output = b
            logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("invokes 6.4", "llama", "values of two invokes are combined in a third")
def values_of_two_invokes_combined(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            a = model.model.layers[0].output[0]
        with tracer.invoke(OTHER):
            b = model.model.layers[0].output[0]
        with tracer.invoke(THIRD):
            model.model.layers[1].input[:] = (a + b) / 2
            logits = model.lm_head.output.save()
            difference = (a - b).norm(dim=-1).save()
    return dict(logits=logits, difference=difference)


@case("invokes 6.7", "gpt2", "prompts of different length in two invokes are as when run alone",
      reason="nnsight pads them and counts positions from the pad (6.7)")
def lengths_differ_between_invokes(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(SHORT):
            short = model.lm_head.output.save()
        with tracer.invoke(CLEAN):
            long = model.lm_head.output.save()
    return dict(short=short, long=long)


@lengths_differ_between_invokes.torch
def _(plain):
    return dict(short=plain.logits(SHORT), long=plain.logits(CLEAN))


@case("invokes 6.7", "gpt2", "prompts of different length in one invoke are padded on the left and as when run alone",
      reason="nnsight counts positions from the pad (6.7)")
def lengths_differ_within_an_invoke(model, nnsight):
    with model.trace([SHORT, CLEAN]):
        short = model.lm_head.output[0, 2:].save()
        long = model.lm_head.output[1].save()
        last = model.lm_head.output[:, -1].save()
    return dict(short=short, long=long, last=last)


@lengths_differ_within_an_invoke.torch
def _(plain):
    short, long = plain.logits(SHORT)[0], plain.logits(CLEAN)[0]
    return dict(short=short, long=long, last=torch.stack([short[-1], long[-1]]))


@case("invokes 6.5", "llama", "padding on the left does not change a rotary model's rows")
def padded_rows_of_a_rotary_model(model, nnsight):
    with model.trace([SHORT, CLEAN]):
        last = model.lm_head.output[:, -1].save()
        shape = model.lm_head.output.shape.save()
    return dict(last=last, shape=shape)


@case("invokes 6.5b", "gpt2", "a second invoke of several lengths is as when run alone",
      reason="nnsight pads it again and gives its pads a mask of one (6.5b)")
def padded_rows_beside_another_invoke(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(THIRD):
            first = model.lm_head.output.save()
        with tracer.invoke([SHORT, CLEAN]):
            last = model.lm_head.output[:, -1].save()
    return dict(first=first, last=last)


@padded_rows_beside_another_invoke.torch
def _(plain):
    last = [plain.logits(r)[0, -1] for r in (SHORT, CLEAN)]
    return dict(first=plain.logits(THIRD), last=torch.stack(last))


MASKED = {"input_ids": torch.tensor([[0, 0, 5, 35, 8], [3, 14, 15, 9, 26]]),
          "attention_mask": torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])}


@case("invokes 12.3", "llama", "a batch with a mask computes its real tokens only")
def batch_with_a_mask(model, nnsight):
    with model.trace(MASKED):
        last = model.lm_head.output[:, -1].save()
    return dict(last=last)


@case("invokes 12.3", "gpt2", "positions of a batch follow its mask", reason="nnsight counts positions from the pad (6.7)")
def positions_follow_the_mask(model, nnsight):
    with model.trace(MASKED):
        short = model.lm_head.output[0, 2:].save()
        long = model.lm_head.output[1].save()
    return dict(short=short, long=long)


@positions_follow_the_mask.torch
def _(plain):
    return dict(short=plain.logits(SHORT)[0], long=plain.logits(CLEAN)[0])


@case("invokes 6.6", "gpt2", "a batch without a mask has a mask of ones")
def batch_without_a_mask(model, nnsight):
    with model.trace(FULL):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


FULL = {"input_ids": torch.tensor([[8, 1, 2, 40, 5], [3, 14, 15, 9, 26]])}


@case("invokes 12.3", "gpt2", "a tensor of ids is an input, and ids equal to the pad count")
def tensor_of_ids(model, nnsight):
    with model.trace(WITH_PADS):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


WITH_PADS = torch.tensor([[0, 0, 5, 35, 8]])


@case("invokes 6.8", "gpt2", "an empty invoke sees the rows of all invokes", reason="nnsight 0.4 has no empty invoke (6.8)")
def empty_invoke_sees_all_rows(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            pass
        with tracer.invoke([OTHER, THIRD]):
            pass
        with tracer.invoke():
            hidden = model.transformer.h[1].output[0].save()
            logits = model.lm_head.output.save()
    return dict(hidden=hidden, logits=logits)


@empty_invoke_sees_all_rows.torch
def _(plain):
    rows = [CLEAN, OTHER, THIRD]
    return dict(hidden=hidden(plain, rows, "transformer.h.1"), logits=plain.logits(rows))


@case("invokes 6.8", "gpt2", "a write in an empty invoke changes all rows", reason="nnsight 0.4 has no empty invoke (6.8)")
def empty_invoke_writes_all_rows(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            first = model.lm_head.output.save()
        with tracer.invoke(OTHER):
            second = model.lm_head.output.save()
        with tracer.invoke():
            model.transformer.h[1].output[0][:, -1] = 0
            all_rows = model.lm_head.output.save()
    return dict(first=first, second=second, all_rows=all_rows)


@empty_invoke_writes_all_rows.torch
def _(plain):
    def zero(out):
        out[0][:, -1] = 0
    logits = plain.logits([CLEAN, OTHER], output={"transformer.h.1": zero})
    return dict(first=logits[:1], second=logits[1:], all_rows=logits)


@case("invokes 6.8", "gpt2", "where lengths differ an empty invoke sees zeros on the left",
      reason="nnsight 0.4 has no empty invoke (6.8)")
def empty_invoke_pads_on_the_left(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(SHORT):
            short = model.lm_head.output.save()
        with tracer.invoke(CLEAN):
            long = model.lm_head.output.save()
        with tracer.invoke():
            both = model.transformer.h[0].output[0].save()
            model.transformer.h[1].output[0][:] *= 2
    return dict(short=short, long=long, both=both)


@empty_invoke_pads_on_the_left.torch
def _(plain):
    def twice(out):
        out[0][:] *= 2
    both = torch.zeros(2, 5, 16)
    both[0, 2:] = hidden(plain, SHORT, "transformer.h.0")[0]
    both[1] = hidden(plain, CLEAN, "transformer.h.0")[0]
    own = {"transformer.h.1": twice}
    return dict(short=plain.logits(SHORT, output=own), long=plain.logits(CLEAN, output=own), both=both)


@case("invokes 6.2", "gpt2", "an object's fields are those of the invoke's rows",
      reason="nnsight does not narrow output objects (6.2)")
def output_object_of_an_invoke(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            first = model.output.logits.save()
        with tracer.invoke([OTHER, THIRD]):
            second = model.output.logits.save()
    return dict(first=first, second=second)


@output_object_of_an_invoke.torch
def _(plain):
    return dict(first=plain.logits(CLEAN), second=plain.logits([OTHER, THIRD]))


@case("invokes 5.2", "gpt2", "a module gives two invokes of one prompt values that are written apart")
def equal_invokes_are_written_apart(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            a = model.transformer.h[0].mlp.output.save()
            model.transformer.h[0].mlp.output[:, 0] = 1
        with tracer.invoke(CLEAN):
            b = model.transformer.h[0].mlp.output.save()
            model.transformer.h[0].mlp.output[:, 0] = 2
        with tracer.invoke(CLEAN):
            c = model.transformer.h[0].mlp.output.save()
    return dict(a=a, b=b, c=c)


@case("invokes 12.4", "gpt2", "labels give a loss", tolerance=2e-5)
def labels_give_a_loss(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN, labels=LABELS):
            loss = model.output.loss.save()
    return dict(loss=loss)


LABELS = torch.tensor([[3, 14, 15, 9, 26]])


@case("invokes 12.3", "gpt2", "text is split into the tokenizer's tokens")
def text_prompt(model, nnsight):
    with model.trace("the tower of the old city"):
        ids = model.transformer.wte.input.save()
        logits = model.lm_head.output.save()
    return dict(ids=ids, logits=logits)


@case("invokes 12.3", "llama", "texts of different length are padded on the left")
def text_prompts(model, nnsight):
    with model.trace(["the tower", "the bridge in the river city"]):
        last = model.lm_head.output[:, -1].save()
        ids = model.model.embed_tokens.input[1].save()
    return dict(last=last, ids=ids)


@case("invokes 2", "gpt2", "options of a trace reach the model's forward pass", tolerance=2e-5)
def options_reach_the_forward_pass(model, nnsight):
    with model.trace(CLEAN, output_hidden_states=True):
        first = model.output.hidden_states[0].save()
        last = model.output.hidden_states[-1].save()
        rest = model.output.hidden_states[1:].save()
    return dict(first=first, last=last, rest=rest)


@case("invokes 12.3", "gpt2", "one row of ids may come without a batch axis")
def one_dimensional_ids(model, nnsight):
    with model.trace(ONE_ROW):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


ONE_ROW = torch.tensor([5, 35, 8])


@case("invokes 6.1", "gpt_neox", "twenty invokes run side by side")
def twenty_invokes(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            base = model.gpt_neox.layers[0].output[0]
        rows = []
        for channel in range(19):
            with tracer.invoke(OTHER):
                model.gpt_neox.layers[0].output[0][:, :, channel] = 0
                rows.append(model.embed_out.output[0, -1, :3].save())
        base.save()
    return dict(base=base, **{f"row{i}": row for i, row in enumerate(rows)})
