"""Generation: steps, selections of them, its end, its ids."""

import torch
from suite import case

IDS = [3, 14, 15, 9, 26]
OTHER = [8, 1, 2, 40, 5]
SHORT = [5, 35, 8]


@case("generation 8.9", "gpt2", "greedy tokens follow the prompt")
def greedy_tokens(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 8.9", "llama", "greedy tokens of llama")
def llama_greedy_tokens(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 8.9", "gpt_neox", "greedy tokens of gpt-neox")
def neox_greedy_tokens(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 8.2", "gpt2", "without a length one token is generated")
def one_token_by_default(model, nnsight):
    with model.generate(IDS):
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 8.1", "gpt2", "a read means the first step, which sees the prompt")
def first_step_by_default(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        hidden = model.transformer.h[1].output[0].save()
        logits = model.lm_head.output.save()
    return dict(hidden=hidden, logits=logits)


@case("generation 8.3", "gpt2", "next moves a module to its following steps")
def next_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=4):
        first = model.transformer.h[1].output[0].save()
        second = model.transformer.h[1].next().output[0].save()
        fourth = model.transformer.h[1].next(2).output[0].save()
        sibling = model.transformer.h[0].output[0].save()
    return dict(first=first, second=second, fourth=fourth, sibling=sibling)


@case("generation 8.3", "gpt2", "next moves the modules inside, too")
def next_moves_descendants(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        model.transformer.next()
        mlp = model.transformer.h[0].mlp.output.save()
        logits = model.lm_head.output.save()
    return dict(mlp=mlp, logits=logits)


@case("generation 8.4", "gpt2", "a step by number")
def step_by_number(model, nnsight):
    with model.generate(IDS, max_new_tokens=4):
        with model.transformer.h[2].iter[2]:
            third = model.transformer.h[2].output[0].save()
        ids = model.generator.output.save()
    return dict(third=third, ids=ids)


@case("generation 8.5", "gpt2", "every step's logits are collected in a list")
def all_steps_collected(model, nnsight):
    with model.generate(IDS, max_new_tokens=4):
        values = nnsight.list().save()
        with model.lm_head.all():
            values.append(model.lm_head.output[:, -1])
        ids = model.generator.output.save()
    return dict(values=values, ids=ids)


@case("generation 8.5", "llama", "all, called by itself, holds to the end")
def all_without_a_block(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        values = nnsight.list().save()
        layers = model.model.layers
        layers.all()
        values.append(layers[0].output[0][:, -1])
        values.append(layers[1].mlp.output[:, -1])
    return dict(values=values)


@case("generation 8.6", "gpt2", "a value saved in all steps is the last step's")
def saved_in_all_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        with model.transformer.all():
            hidden = model.transformer.h[1].output[0].save()
        ids = model.generator.output.save()
    return dict(hidden=hidden, ids=ids)


@case("generation 8.6", "gpt2", "a write in all steps changes every token")
def write_in_all_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        with model.transformer.all():
            model.transformer.h[1].mlp.output[:] *= -2
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 8.6", "llama", "a replacement in all steps changes every token")
def replacement_in_all_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        with model.model.all():
            model.model.layers[0].mlp.output = model.model.layers[0].mlp.output + BUMP
        ids = model.generator.output.save()
    return dict(ids=ids)


BUMP = torch.linspace(-2, 2, 16)


@case("generation 8.4", "gpt2", "a range of steps")
def range_of_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        values = nnsight.list().save()
        with model.lm_head.iter[1:3]:
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


@case("generation 8.4", "gpt2", "a list of steps")
def list_of_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        values = nnsight.list().save()
        with model.lm_head.iter[[0, 3]]:
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


@case("generation 8.4", "gpt2", "a range's stride is honoured", reason="nnsight ignores it (8.4)")
def stride_of_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        values = nnsight.list().save()
        with model.lm_head.iter[0:5:2]:
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


def step_logits(plain, n, **options):
    found = []
    plain.generate(IDS, output={"lm_head": lambda out: found.append(out[0, -1, :5].clone())}, max_new_tokens=n, **options)
    return found


@stride_of_steps.torch
def _(plain):
    return dict(values=step_logits(plain, 5)[::2])


@case("generation 8.7", "gpt2", "two selections in one generation are apart", reason="nnsight fails (8.7)")
def two_selections(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        early = nnsight.list().save()
        late = nnsight.list().save()
        with model.lm_head.iter[0:2]:
            early.append(model.lm_head.output[0, -1, :5])
        with model.lm_head.iter[3:5]:
            late.append(model.lm_head.output[0, -1, :5])
    return dict(early=early, late=late)


@two_selections.torch
def _(plain):
    found = step_logits(plain, 5)
    return dict(early=found[:2], late=found[3:])


@case("generation 8.7", "gpt2", "a list made after a selection is made once")
def list_made_after_a_selection(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        with model.lm_head.all():
            values = nnsight.list().save()
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


@list_made_after_a_selection.torch
def _(plain):
    return dict(values=step_logits(plain, 3))


@case("generation 8.6", "gpt2", "a value of the first step is used in all")
def first_step_value_in_all_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=4):
        steer = model.transformer.h[0].mlp.output[:, -1:] * 2
        with model.transformer.all():
            model.transformer.h[1].output[0][:] += steer
        ids = model.generator.output.save()
    return dict(ids=ids)


@first_step_value_in_all_steps.torch
def _(plain):
    kept = {}

    def keep(out):
        kept.setdefault("steer", out[:, -1:] * 2)

    def add(out):
        out[0][:] += kept["steer"]
    with torch.no_grad():
        ids = plain.generate(IDS, output={"transformer.h.0.mlp": keep, "transformer.h.1": add}, max_new_tokens=4)
    return dict(ids=ids)


@case("generation 8.1", "gpt2", "a write in one step changes what follows")
def write_in_one_step(model, nnsight):
    with model.generate(IDS, max_new_tokens=4):
        with model.lm_head.iter[1]:
            model.lm_head.output[:, -1, 33] = 100
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 8.9", "gpt2", "a token that ends the text ends the generation")
def end_of_text_ends(model, nnsight):
    with model.generate(IDS, max_new_tokens=6, eos_token_id=END):
        ids = model.generator.output.save()
    return dict(ids=ids)


def ending():
    """A token that first comes at the third step or later, and not at all in the other prompt's continuation."""
    from tiny import Plain
    own, other = (Plain("gpt2").generate(ids, max_new_tokens=6, eos_token_id=None)[0, 5:].tolist() for ids in (IDS, OTHER))
    return next(t for i, t in enumerate(own) if i >= 2 and t not in own[:i] + other)


END = ending()


@end_of_text_ends.torch
def _(plain):
    ids = plain.generate(IDS, max_new_tokens=6, eos_token_id=END)
    assert 7 < ids.shape[1] < 11
    return dict(ids=ids)


@case("generation 8.9", "gpt2", "a row that ended is padded while others go on")
def ended_rows_are_padded(model, nnsight):
    with model.generate([IDS, OTHER], max_new_tokens=6, eos_token_id=END, pad_token_id=0):
        ids = model.generator.output.save()
    return dict(ids=ids)


@ended_rows_are_padded.torch
def _(plain):
    return dict(ids=plain.generate([IDS, OTHER], max_new_tokens=6, eos_token_id=END, pad_token_id=0))


@case("generation 8.8", "gpt2", "a list collects the steps that came, when a text ends early")
def collected_until_the_end(model, nnsight):
    with model.generate(IDS, max_new_tokens=6, eos_token_id=END):
        values = nnsight.list().save()
        with model.lm_head.all():
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


@collected_until_the_end.torch
def _(plain):
    return dict(values=step_logits(plain, 6, eos_token_id=END))


@case("generation 6.1", "gpt2", "invokes generate side by side, each for itself")
def invokes_generate_side_by_side(model, nnsight):
    with model.generate(max_new_tokens=4) as tracer:
        with tracer.invoke(IDS):
            first = model.generator.output.save()
        with tracer.invoke(OTHER):
            model.transformer.h[1].output[0][:] = 0
            second = model.generator.output.save()
    return dict(first=first, second=second)


@case("generation 6.7", "gpt2", "prompts of different length generate as when alone",
      reason="nnsight pads the shorter prompt in its result")
def lengths_differ_in_generation(model, nnsight):
    with model.generate(max_new_tokens=3) as tracer:
        with tracer.invoke(SHORT):
            short = model.generator.output.save()
        with tracer.invoke(IDS):
            long = model.generator.output.save()
    return dict(short=short, long=long)


@lengths_differ_in_generation.torch
def _(plain):
    return dict(short=plain.generate(SHORT, max_new_tokens=3), long=plain.generate(IDS, max_new_tokens=3))


@case("generation 8.9", "gpt2", "rows of different length are padded on the left and generate as when alone")
def padded_rows_generate(model, nnsight):
    with model.generate([SHORT, IDS], max_new_tokens=3):
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 8.9", "gpt2", "new tokens are cut from the ids")
def new_tokens_are_cut(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        new = model.generator.output[0, 5:].save()
        count = model.generator.output.shape[1].save()
    return dict(new=new, count=count)


@case("generation 8.9", "gpt2", "the streamer sees the prompt, then each token")
def streamer_sees_tokens(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        values = nnsight.list().save()
        with model.generator.streamer.all():
            values.append(model.generator.streamer.output)
    return dict(values=values)


@case("generation 12.5", "gpt2", "sampling from the single best is greedy")
def sampling_from_the_best(model, nnsight):
    with model.generate(IDS, max_new_tokens=5, do_sample=True, top_k=1):
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 12.5", "gpt2", "a repetition penalty changes what is chosen")
def repetition_penalty(model, nnsight):
    with model.generate(IDS, max_new_tokens=6, repetition_penalty=5.0):
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 12.5", "gpt2", "beam search finds the likeliest continuation", reason="nnsight's streamer forbids it (8.9)")
def beam_search(model, nnsight):
    with model.generate(IDS, max_new_tokens=4, num_beams=3):
        ids = model.generator.output.save()
    return dict(ids=ids)


@beam_search.torch
def _(plain):
    return dict(ids=plain.generate(IDS, max_new_tokens=4, num_beams=3))


@case("generation 8.10", "gpt2", "the model's output is the first forward's, unless a step is selected")
def root_output_by_step(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        first = model.output.logits.save()
        second = model.next().output.logits.save()
    return dict(first=first, second=second)


@case("generation 8.4", "gpt2", "a selection without an end goes on to the last step")
def steps_without_an_end(model, nnsight):
    with model.generate(IDS, max_new_tokens=5):
        values = nnsight.list().save()
        with model.lm_head.iter[2:]:
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


@case("generation 8.4", "gpt2", "a selection that ends beyond the last step does no harm")
def steps_beyond_the_end(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        values = nnsight.list().save()
        with model.lm_head.iter[1:100]:
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


@case("generation 6.1", "gpt2", "invokes select steps of their own", reason="nnsight fails with two finite selections (8.7)")
def invokes_select_their_own_steps(model, nnsight):
    with model.generate(max_new_tokens=4) as tracer:
        with tracer.invoke(IDS):
            first = nnsight.list().save()
            with model.lm_head.iter[0:2]:
                first.append(model.lm_head.output[0, -1, :5])
        with tracer.invoke(IDS):
            second = nnsight.list().save()
            with model.lm_head.iter[2:4]:
                second.append(model.lm_head.output[0, -1, :5])
    return dict(first=first, second=second)


@invokes_select_their_own_steps.torch
def _(plain):
    found = step_logits(plain, 4)
    return dict(first=found[:2], second=found[2:])


@case("generation 6.4", "gpt2", "at each step one invoke's value goes into another")
def values_cross_at_each_step(model, nnsight):
    with model.generate(max_new_tokens=4) as tracer:
        with tracer.invoke(IDS):
            with model.transformer.all():
                late = model.transformer.h[2].output[0]
        with tracer.invoke(OTHER):
            with model.transformer.all():
                model.transformer.h[2].output[0][:] = late * 1
            ids = model.generator.output.save()
    return dict(ids=ids)


@values_cross_at_each_step.torch
def _(plain):
    # The other prompt's last states are replaced, so it says what the first says.
    new = plain.generate(IDS, max_new_tokens=4)[:, 5:]
    return dict(ids=torch.cat([torch.tensor([OTHER]), new], dim=1))


@case("generation 8.2", "llama", "later steps see one token and its keys and values")
def shapes_of_later_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        first = model.model.layers[0].self_attn.k_proj.output.shape.save()
        second = model.model.layers[0].self_attn.k_proj.next().output.shape.save()
        hidden = model.model.layers[1].next().output[0].save()
    return dict(first=first, second=second, hidden=hidden)


@case("generation 9.3", "gpt2", "a generation is stopped when a token comes")
def stopped_by_a_token(model, nnsight):
    with model.generate(IDS, max_new_tokens=6) as tracer:
        tokens = nnsight.list().save()
        with model.lm_head.all():
            best = model.lm_head.output[0, -1].argmax(dim=-1)
            tokens.append(best)
            with tracer.cond(best == END):
                best.stop()
    return dict(tokens=tokens)


@stopped_by_a_token.torch
def _(plain):
    ids = plain.generate(IDS, max_new_tokens=6, eos_token_id=END)
    return dict(tokens=list(ids[0, 5:]))


@case("generation 9.3", "gpt2", "a condition is asked at each step",
      reason="nnsight leaves a list that a step with a condition appends to unset")
def condition_at_each_step(model, nnsight):
    with model.generate(IDS, max_new_tokens=5) as tracer:
        values = nnsight.list().save()
        with model.all():
            mlp = model.transformer.h[1].mlp.output
            with tracer.cond(mlp[0, -1, 1] > 0):
                mlp[:] *= -2
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


@condition_at_each_step.torch
def _(plain):
    taken, values = [], []

    def turn(out):
        taken.append(bool(out[0, -1, 1] > 0))
        return out * -2 if taken[-1] else None

    def keep(out):
        values.append(out[0, -1, :5].clone())
    plain.generate(IDS, output={"transformer.h.1.mlp": turn, "lm_head": keep}, max_new_tokens=5)
    assert len(set(taken)) == 2, taken
    return dict(values=values)


@case("generation 6.8", "gpt2", "an empty invoke sees all rows at each step", reason="nnsight 0.4 has no empty invoke (6.8)")
def empty_invoke_in_a_generation(model, nnsight):
    with model.generate(max_new_tokens=4) as tracer:
        with tracer.invoke(IDS):
            first = model.generator.output.save()
        with tracer.invoke(OTHER):
            second = model.generator.output.save()
        with tracer.invoke():
            with model.transformer.all():
                model.transformer.h[1].mlp.output[:] *= -2
    return dict(first=first, second=second)


@empty_invoke_in_a_generation.torch
def _(plain):
    ids = plain.generate([IDS, OTHER], output={"transformer.h.1.mlp": lambda out: out * -2}, max_new_tokens=4)
    return dict(first=ids[:1], second=ids[1:])


@case("generation 8.9", "gpt2", "the generated ids are replaced")
def generated_ids_replaced(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        model.generator.output = model.generator.output[:, :5]
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("generation 12.5", "gpt2", "a minimum length holds back the end of the text")
def minimum_length(model, nnsight):
    with model.generate(IDS, max_new_tokens=6, min_new_tokens=5, eos_token_id=END):
        ids = model.generator.output.save()
    return dict(ids=ids)


@minimum_length.torch
def _(plain):
    return dict(ids=plain.generate(IDS, max_new_tokens=6, min_new_tokens=5, eos_token_id=END))


@case("generation 8.2", "gpt2", "invokes end each at their own time",
      reason="nnsight fails when a text ends early beside another")
def invokes_end_at_their_own_time(model, nnsight):
    with model.generate(max_new_tokens=6, eos_token_id=END) as tracer:
        with tracer.invoke(IDS):
            first = nnsight.list().save()
            with model.lm_head.all():
                first.append(model.lm_head.output[0, -1].argmax(dim=-1))
            ids = model.generator.output.save()
        with tracer.invoke(OTHER):
            second = nnsight.list().save()
            with model.lm_head.all():
                second.append(model.lm_head.output[0, -1].argmax(dim=-1))
    return dict(first=first, second=second, ids=ids)


@invokes_end_at_their_own_time.torch
def _(plain):
    first = plain.generate(IDS, max_new_tokens=6, eos_token_id=END)
    second = plain.generate(OTHER, max_new_tokens=6, eos_token_id=END)
    assert first.shape != second.shape
    return dict(first=list(first[0, 5:]), second=list(second[0, 5:]), ids=first)


@case("generation 8.6", "gpt2", "a running sum over steps is kept in a list", reason="nnsight reads the element in the first step alone")
def running_sum_over_steps(model, nnsight):
    with model.generate(IDS, max_new_tokens=4):
        total = nnsight.list([0.0]).save()
        with model.lm_head.all():
            total[0] = total[0] + model.lm_head.output[0, -1].logsumexp(-1)
    return dict(total=total)


@running_sum_over_steps.torch
def _(plain):
    found = []
    plain.generate(IDS, output={"lm_head": lambda out: found.append(out[0, -1].logsumexp(-1))}, max_new_tokens=4)
    return dict(total=[0.0 + sum(found)])


@case("generation 8.3", "gpt2", "a step's value goes into the next step")
def step_value_into_the_next_step(model, nnsight):
    with model.generate(IDS, max_new_tokens=3):
        first = model.transformer.h[1].output[0][:, -1:]
        model.transformer.h[1].next().output[0][:] = first * 2
        logits = model.lm_head.next().output.save()
    return dict(logits=logits)


@case("generation 7.6", "gpt2", "a value may require a gradient where none is taken")
def requires_grad_without_a_backward(model, nnsight):
    with model.generate(IDS, max_new_tokens=1):
        model.transformer.wte.output.requires_grad_(True)
        logits = model.lm_head.output
        top = logits[0, -1].max().save()
        ids = model.generator.output.save()
    return dict(top=top, ids=ids)


@case("generation 3.8", "llama", "a tuple output is replaced at every step")
def tuple_output_replaced_at_every_step(model, nnsight):
    with model.generate(IDS, max_new_tokens=4):
        values = nnsight.list().save()
        with model.all():
            out = model.model.layers[0].output
            model.model.layers[0].output = (out[0] * 0.5 + BUMP,) + out[1:]
            values.append(model.lm_head.output[0, -1, :5])
    return dict(values=values)


@case("generation 8.1", "gpt_neox", "one step's write stays in the keys and values of later steps")
def write_stays_in_the_cache(model, nnsight):
    with model.generate(IDS, max_new_tokens=4):
        values = nnsight.list().save()
        fused = model.gpt_neox.layers[0].attention.query_key_value.output
        fused[:, 2] = 0
        with model.embed_out.all():
            values.append(model.embed_out.output[0, -1, :5])
    return dict(values=values)
