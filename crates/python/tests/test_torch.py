"""With PyTorch: its tensors come back and go in, its functions are recorded."""

import pytest

import pellucid

torch = pytest.importorskip("torch")

PROMPT = "The Eiffel Tower is in the city of"


def test_saved_values_are_pytorchs(model):
    with model.trace(PROMPT):
        hidden = model.transformer.h[0].output.save()
        shape = model.lm_head.output.shape.save()
    assert isinstance(hidden[0], torch.Tensor) and hidden[0].value is hidden[0]
    assert tuple(shape) == (1, 10, 2048)


def test_functions_and_tensors_are_recorded(model):
    weight = torch.ones(128, 3)
    with model.trace(PROMPT):
        x = model.transformer.h[0].output[0]
        a = torch.nn.functional.softmax(x @ weight, dim=-1).save()
        b = torch.stack([x, x * 2]).save()
        c = (torch.arange(x.shape[1])).save()
        d = x.save()
    assert torch.allclose(a, torch.softmax(d @ weight, -1), atol=1e-6)
    assert b.shape == (2, *d.shape) and c.tolist() == list(range(10))
    assert torch.zeros.__name__ == "zeros" and isinstance(torch.zeros(2), torch.Tensor)


def test_memory_that_others_hold_is_copied_and_ones_own_shared(model):
    with model.trace(PROMPT):
        hidden = model.transformer.h[0].mlp.output.save()
    first = hidden[0, 0, 0].item()
    hidden[0, 0, 0] = first + 1
    with model.trace(PROMPT):
        again = model.transformer.h[0].mlp.output.save()
    assert again[0, 0, 0].item() == first
    before = model.lm_head.weight[0, 0].item()
    model.lm_head.weight[0, 0] = before + 1
    assert model.lm_head.weight[0, 0].item() == before


def test_einops_is_recorded_by_whatever_name(model):
    einops = pytest.importorskip("einops")
    from einops import rearrange

    with model.trace(PROMPT):
        x = model.transformer.h[0].attn.c_proj.input
        heads = rearrange(x, "b s (h d) -> b h s d", h=4).save()
        mean = einops.reduce(x, "b s d -> d", "mean").save()
    assert heads.shape == (1, 4, 10, 32) and mean.shape == (128,)
    assert rearrange(torch.ones(2, 6), "a (b c) -> a b c", b=2).shape == (2, 2, 3)
