"""What nnsight's own tests ask of language models, on the demo model."""

import pytest

import pellucid


def close(a, b, tolerance=1e-5):
    return bool(((a - b).abs() <= tolerance).all())


def zeros(*shape):
    return pellucid.tensor(0.0).expand(*shape)


def test_greedy_tokens_follow_the_prompt(model):
    with model.generate("The Eiffel", max_new_tokens=4):
        ids = model.generator.output.save()
    assert model.tokenizer.decode(ids[0]) == "The Eiffel Tower is located in"


def test_outputs_and_inputs_are_saved(model, prompt):
    with model.trace(prompt):
        hidden = model.transformer.h[-1].output[0].save()
        into = model.transformer.h[-1].input.save()
    assert hidden.ndim == into.ndim == 3
    assert hidden.value is hidden


def test_a_block_zeroed_in_place_changes_the_text(model, prompt):
    with model.generate(prompt, max_new_tokens=2):
        plain = model.generator.output.save()
    with model.generate(prompt, max_new_tokens=2):
        before = model.transformer.h[-1].output[0].clone().save()
        model.transformer.h[-1].output[0][:] = 0
        after = model.transformer.h[-1].output[0].save()
        changed = model.generator.output.save()
    assert not close(before, zeros(*before.shape)) and close(after, zeros(*after.shape))
    assert plain.tolist() != changed.tolist()


def test_an_embedding_is_swapped(model, prompt):
    with model.trace(prompt):
        model.transformer.wte.output = model.transformer.wte.output * 0
        after = model.transformer.wte.output.save()
        first = model.transformer.h[0].input.save()
        positions = model.transformer.wpe.output.save()
    assert close(after, zeros(*after.shape)) and close(first, positions)


def test_a_tuple_is_swapped(model, prompt):
    with model.trace(prompt):
        before = model.transformer.h[0].output[0].clone().save()
        block = model.transformer.h[0]
        block.output = (block.output[0] * 2,) + block.output[1:]
        after = block.output[0].save()
    assert close(before * 2, after)


def test_a_swap_in_one_invoke_leaves_the_other(model, prompt):
    with model.trace() as tracer:
        with tracer.invoke(prompt):
            model.transformer.wte.output = model.transformer.wte.output * 0
            one = model.transformer.wte.output.save()
        with tracer.invoke(prompt):
            other = model.transformer.wte.output.save()
    assert close(one, zeros(*one.shape)) and not close(other, zeros(*other.shape))


def test_modules_are_called_on_values(model, prompt):
    with model.trace(prompt):
        hidden = model.transformer.h[-1].output[0]
        lens = model.lm_head(model.transformer.ln_f(hidden)).argmax(-1).save()
        tokens = model.lm_head.output.argmax(-1).save()
    assert lens.tolist() == tokens.tolist()
    assert lens.shape == (1, len(model.tokenizer.encode(prompt)))


def test_embeddings_move_between_invokes(model, prompt):
    blank = [0] * len(model.tokenizer.encode(prompt))
    with model.generate(max_new_tokens=2) as tracer:
        with tracer.invoke(prompt):
            embeddings = model.transformer.wte.output
            one = model.generator.output.save()
        with tracer.invoke(blank):
            model.transformer.wte.output = embeddings
            other = model.generator.output.save()
    assert one[0, -2:].tolist() == other[0, -2:].tolist()


def test_embeddings_move_between_traces(model, prompt):
    blank = [0] * len(model.tokenizer.encode(prompt))
    with model.trace(prompt):
        embeddings = model.transformer.wte.output.save()
        one = model.lm_head.output.save()
    with model.trace(blank):
        model.transformer.wte.output = embeddings
        other = model.lm_head.output.save()
    assert close(one, other)


def test_gradients_are_read_and_replaced(model, prompt):
    with model.trace(prompt):
        middle = model.transformer.h[2].output[0]
        middle.grad[:] = 0
        middle_grad = middle.grad.save()
        early_grad = model.transformer.h[0].output[0].grad.save()
        model.lm_head.output.sum().backward()
    assert close(middle_grad, zeros(*middle_grad.shape)) and close(early_grad, zeros(*early_grad.shape))
    with model.trace(prompt):
        last = model.transformer.h[-1].output[0]
        plain = last.grad.save()
        last.grad = last.grad * 2
        doubled = last.grad.save()
        model.lm_head.output.sum().backward()
    assert close(plain * 2, doubled, 1e-4)


def test_two_backwards_give_two_gradients(model, prompt):
    with model.trace(prompt):
        hidden = model.transformer.h[-1].output[0]
        first = hidden.grad.clone().save()
        model.lm_head.output.sum().backward(retain_graph=True)
        second = hidden.grad.clone().save()
        (model.lm_head.output.sum() * 2).backward()
    assert close(first * 2, second, 1e-4) and not close(first, second)


def test_an_edit_makes_a_model_and_leaves_the_other(model, prompt):
    with model.edit() as edited:
        model.transformer.h[1].mlp.output[:] = 0
    with model.trace(prompt):
        plain = model.transformer.h[1].mlp.output.save()
    with edited.trace(prompt):
        ablated = edited.transformer.h[1].mlp.output.save()
    assert not close(plain, zeros(*plain.shape)) and close(ablated, zeros(*ablated.shape))


def test_edits_in_place_stack_and_are_cleared(prompt):
    model = pellucid.LanguageModel("demo")
    with model.edit(inplace=True):
        model.transformer.h[1].mlp.output[:] = 0
    with model.edit() as twice:
        twice.transformer.h[1].mlp.output[:, -1] = 1
    with twice.trace([prompt, prompt]):
        both = twice.transformer.h[1].mlp.output.save()
    with model.trace(prompt):
        once = model.transformer.h[1].mlp.output.save()
    model.clear_edits()
    with model.trace(prompt):
        none = model.transformer.h[1].mlp.output.save()
    assert both[:, -1].min() == both[:, -1].max() == 1 and both[:, 0].abs().max() == 0
    assert once.abs().max() == 0 and none.abs().max() > 0


def test_an_input_is_set_from_another_trace(model, prompt):
    with model.trace(prompt):
        arguments = model.transformer.h[2].inputs.save()
        hidden = model.transformer.h[2].output[0].save()
    with model.trace("The Louvre stands in the heart of"):
        model.transformer.h[2].input = arguments[0][0]
        again = model.transformer.h[2].output[0].save()
    assert close(hidden, again)


def test_parameters_are_values_in_a_trace_and_stay_as_they_are(model, prompt):
    before = model.lm_head.weight.clone()
    with model.trace(prompt):
        into = model.lm_head.input.save()
        weight = model.lm_head.weight.save()
        logits = model.lm_head.output.save()
    assert close(into @ weight.T, logits, 1e-3)
    with model.trace(prompt):
        changed = model.lm_head.weight
        changed[:] = 0
        changed = changed.save()
    assert changed.abs().max() == 0
    assert close(model.lm_head.weight, before)


def test_without_a_block_the_model_runs_at_once(model, prompt):
    output = model.trace(prompt, trace=False)
    assert output.logits.shape == output["logits"].shape == output[0].shape
    ids = model.generate(prompt, max_new_tokens=2, trace=False)
    assert ids.shape == (1, len(model.tokenizer.encode(prompt)) + 2)


def test_values_are_collected_over_steps(model, prompt):
    with model.generate(prompt, max_new_tokens=3):
        tokens = pellucid.list().save()
        with model.lm_head.all():
            tokens.append(model.lm_head.output[0, -1].argmax(-1))
        second = model.lm_head.iter[1].output.save()
        ids = model.generator.output.save()
    assert [int(token) for token in tokens] == ids[0, -3:].tolist()
    assert second.shape[1] == 1


def test_next_moves_a_module(model, prompt):
    with model.generate(prompt, max_new_tokens=3):
        first = model.transformer.h[0].output[0].save()
        second = model.transformer.h[0].next().output[0].save()
    assert first.shape[1] > 1 and second.shape[1] == 1


def test_negative_steps_are_refused(model, prompt):
    with pytest.raises(ValueError, match="counted from 0"):
        with model.generate(prompt, max_new_tokens=3):
            model.lm_head.iter[-1]


def test_an_empty_invoke_sees_all_rows(model, prompt):
    with model.trace() as tracer:
        with tracer.invoke(prompt):
            pass
        with tracer.invoke(prompt):
            model.transformer.h[0].output[0][:] = 0
        with tracer.invoke():
            hidden = model.transformer.h[0].output[0].save()
    assert hidden.shape[0] == 2
    assert hidden[0].abs().max() > 0 and hidden[1].abs().max() == 0


@pytest.mark.parametrize("given", [
    [40, 289, 401], [[40, 289, 401]], pellucid.tensor([40, 289, 401]), {"input_ids": [[40, 289, 401]]},
    {"input_ids": pellucid.tensor([[40, 289, 401]]), "attention_mask": pellucid.tensor([[1, 1, 1]])},
])
def test_inputs_of_every_kind_are_the_same(model, given):
    with model.trace(given):
        logits = model.lm_head.output.save()
    with model.trace(input_ids=[40, 289, 401]):
        again = model.lm_head.output.save()
    assert close(logits, again)


def test_an_invoker_shows_its_inputs(model, prompt):
    with model.trace(prompt) as tracer:
        ids = tracer.invoker.inputs[0][0]["input_ids"]
        assert tracer.invoker.batch_size == 1
    assert ids[0].tolist() == model.tokenizer.encode(prompt)


def test_the_printout_has_the_generator(model):
    assert "(0-5): 6 x GPT2Block(" in repr(model)
    assert repr(model).endswith("  (generator): Generator(\n    (streamer): Streamer()\n  )\n)")


def test_renamed_modules_go_by_both_names(prompt):
    model = pellucid.LanguageModel("demo", rename={"transformer": "model", "h": "layers"})
    with model.trace(prompt):
        new = model.model.layers[1].output[0].save()
        old = model.transformer.h[1].output[0].save()
    assert close(new, old)
    assert model.model.layers[1].path == ".transformer.h.1"
    assert "(layers): ModuleList(" in repr(model)
