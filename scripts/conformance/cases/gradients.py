"""Gradients: read, changed, replaced; several backwards, several invokes."""

import torch
import torch.nn.functional as F
from suite import case

IDS = [3, 14, 15, 9, 26]
OTHER = [3, 14, 7, 9, 26]
THIRD = [8, 1, 2, 40, 5]
TOLERANCE = 3e-5


@case("gradients 7.1", "gpt2", "the gradient at a block's hidden state", tolerance=TOLERANCE)
def gradient_of_a_hidden_state(model, nnsight):
    with model.trace(IDS):
        grad = model.transformer.h[1].output[0].grad.save()
        logits = model.lm_head.output
        (logits[0, -1, 5] - logits[0, -1, 7]).backward()
    return dict(grad=grad)


@case("gradients 7.1", "llama", "gradients of every layer of llama", tolerance=TOLERANCE)
def gradients_of_llama_layers(model, nnsight):
    with model.trace(IDS):
        first = model.model.layers[0].output[0].grad.save()
        second = model.model.layers[1].output[0].grad.save()
        mlp = model.model.layers[0].mlp.output.grad.save()
        model.lm_head.output[0, -1].log_softmax(-1)[5].backward()
    return dict(first=first, second=second, mlp=mlp)


@case("gradients 7.1", "gpt_neox", "gradients at an attention module's parts", tolerance=TOLERANCE)
def gradients_inside_neox_attention(model, nnsight):
    with model.trace(IDS):
        fused = model.gpt_neox.layers[1].attention.query_key_value.output.grad.save()
        dense = model.gpt_neox.layers[1].attention.dense.input.grad.save()
        model.embed_out.output[0, -1, 5].backward()
    return dict(fused=fused, dense=dense)


@case("gradients 7.1", "gpt2", "the gradient of an intermediate value", tolerance=TOLERANCE)
def gradient_of_an_intermediate_value(model, nnsight):
    with model.trace(IDS):
        scaled = model.transformer.h[1].mlp.output * 2
        model.transformer.h[1].mlp.output = scaled
        grad = scaled.grad.save()
        probabilities = model.lm_head.output[0, -1].softmax(-1)
        at_probabilities = probabilities.grad.save()
        probabilities[5].backward()
    return dict(grad=grad, at_probabilities=at_probabilities)


@case("gradients 7.1", "gpt2", "the gradient of the embedding", tolerance=TOLERANCE)
def gradient_of_the_embedding(model, nnsight):
    with model.trace(IDS):
        grad = model.transformer.wte.output.grad.save()
        norm = model.transformer.wte.output.grad.norm(dim=-1).save()
        F.cross_entropy(model.lm_head.output[0, :-1], TARGET).backward()
    return dict(grad=grad, norm=norm)


TARGET = torch.tensor([14, 15, 9, 26])


@case("gradients 7.1", "gpt2", "an attribution: gradient times value", tolerance=TOLERANCE)
def gradient_times_value(model, nnsight):
    with model.trace(IDS):
        out = model.transformer.h[1].attn.output[0]
        grad = out.grad
        model.lm_head.output[0, -1, 5].backward()
        attribution = (grad * out).sum(dim=-1).save()
    return dict(attribution=attribution)


@case("gradients 7.2", "gpt2", "two backwards give two gradients", tolerance=TOLERANCE)
def two_backwards(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].output[0]
        logits = model.lm_head.output
        first = hidden.grad.clone().save()
        logits[0, -1, 5].backward(retain_graph=True)
        second = hidden.grad.clone().save()
        logits[0, 0, 7].backward()
    return dict(first=first, second=second)


@case("gradients 7.2", "gpt2", "a backward of a whole tensor takes the gradient at it", tolerance=TOLERANCE)
def backward_with_a_gradient(model, nnsight):
    with model.trace(IDS):
        grad = model.transformer.h[1].output[0].grad.save()
        model.lm_head.output.backward(gradient=SEED)
    return dict(grad=grad)


SEED = torch.linspace(-1, 1, 240).reshape(1, 5, 48)


@backward_with_a_gradient.torch
def _(plain):
    kept = {}

    def keep(out):
        out[0].retain_grad()
        kept["h"] = out[0]
    plain.logits(IDS, output={"transformer.h.1": keep}).backward(gradient=SEED)
    return dict(grad=kept["h"].grad)


@case("gradients 7.3", "gpt2", "a gradient zeroed in place is zero upstream", tolerance=TOLERANCE)
def gradient_zeroed_in_place(model, nnsight):
    with model.trace(IDS):
        early = model.transformer.h[0].output[0].grad.save()
        late = model.transformer.h[2].output[0]
        late.grad[:] = 0
        seen = late.grad.save()
        model.lm_head.output[0, -1, 5].backward()
    return dict(early=early, seen=seen)


@case("gradients 7.3", "gpt2", "a replaced gradient flows on", tolerance=TOLERANCE)
def gradient_replaced(model, nnsight):
    with model.trace(IDS):
        early = model.transformer.h[0].output[0].grad.save()
        late = model.transformer.h[1].output[0]
        late.grad = late.grad.clone() * 3
        seen = late.grad.save()
        model.lm_head.output[0, -1, 5].backward()
    return dict(early=early, seen=seen)


@case("gradients 7.4", "gpt2", "a gradient is replaced without being read", reason="nnsight fails (7.4)", tolerance=TOLERANCE)
def gradient_replaced_unread(model, nnsight):
    with model.trace(IDS):
        early = model.transformer.h[0].output[0].grad.save()
        model.transformer.h[1].output[0].grad = GRADIENT
        model.lm_head.output[0, -1, 5].backward()
    return dict(early=early)


GRADIENT = torch.linspace(-1, 1, 80).reshape(1, 5, 16)


def keeping(kept, name, replace=None):
    """A hook that keeps the gradient at a hidden state, after a replacement."""
    def hook(out):
        value = out[0] if isinstance(out, tuple) else out

        def at(grad):
            new = grad if replace is None else replace(grad)
            kept[name] = new.clone()
            return new
        value.register_hook(at)
    return hook


@gradient_replaced_unread.torch
def _(plain):
    kept = {}
    hooks = {"transformer.h.0": keeping(kept, "early"), "transformer.h.1": keeping(kept, "_", lambda g: GRADIENT)}
    plain.logits(IDS, output=hooks)[0, -1, 5].backward()
    return dict(early=kept["early"])


@case("gradients 7.3", "llama", "one position's gradient is scaled", tolerance=TOLERANCE)
def gradient_scaled_at_a_position(model, nnsight):
    with model.trace(IDS):
        early = model.model.embed_tokens.output.grad.save()
        late = model.model.layers[1].output[0]
        grad = late.grad.clone()
        grad[:, -1] = grad[:, -1] * 0.5
        late.grad = grad
        model.lm_head.output[0].logsumexp(-1).sum().backward()
    return dict(early=early)


@case("gradients 7.5", "gpt2", "gradients combine, whatever the order in which they are read", tolerance=TOLERANCE)
def gradients_combine(model, nnsight):
    with model.trace(IDS):
        early = model.transformer.h[0].output[0].grad
        late = model.transformer.h[2].output[0].grad
        total = (early + late).save()
        model.lm_head.output[0, -1, 5].backward()
    return dict(total=total)


@case("gradients 7.7", "gpt2", "gradients of two invokes are their own", version="0.4.4", tolerance=TOLERANCE)
def gradients_of_two_invokes(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(IDS):
            first = model.transformer.h[1].output[0].grad.save()
            a = model.lm_head.output[0, -1, 5]
        with tracer.invoke(OTHER):
            second = model.transformer.h[1].output[0].grad.save()
            b = model.lm_head.output[0, -1, 5]
            (a + b * 2).backward()
    return dict(first=first, second=second)


@case("gradients 7.7", "gpt2", "attribution patching: clean values, corrupted values and gradients", version="0.4.4",
      tolerance=TOLERANCE)
def attribution_patching(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(IDS):
            clean = model.transformer.h[1].attn.c_proj.input
        with tracer.invoke(OTHER):
            corrupted = model.transformer.h[1].attn.c_proj.input
            grad = model.transformer.h[1].attn.c_proj.input.grad
            logits = model.lm_head.output
            (logits[0, -1, 5] - logits[0, -1, 7]).backward()
            effect = (grad * (clean - corrupted)).reshape(5, 2, 8).sum(dim=-1).save()
    return dict(effect=effect)


@case("gradients 7.7", "gpt2", "a gradient flows through a value that crossed between invokes", version="0.4.4",
      tolerance=TOLERANCE)
def gradient_through_a_crossing(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(IDS):
            clean = model.transformer.h[0].mlp.output
            grad = clean.grad.save()
        with tracer.invoke(OTHER):
            model.transformer.h[1].mlp.output = clean * 2
            model.lm_head.output[0, -1, 5].backward()
    return dict(grad=grad)


@case("gradients 7.7", "gpt2", "two invokes of one prompt do not share a gradient", version="0.4.4", tolerance=TOLERANCE)
def equal_invokes_have_their_own_gradients(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(IDS):
            first = model.transformer.h[1].output[0].grad.save()
            a = model.lm_head.output[0, -1, 5]
        with tracer.invoke(IDS):
            second = model.transformer.h[1].output[0].grad.save()
            b = model.lm_head.output[0, -1, 7]
            (a * 2 - b).backward()
    return dict(first=first, second=second)


@equal_invokes_have_their_own_gradients.torch
def _(plain):
    def at(factor, token):
        kept = {}
        (plain.logits(IDS, output={"transformer.h.1": keeping(kept, "h")})[0, -1, token] * factor).backward()
        return kept["h"]
    return dict(first=at(2, 5), second=at(-1, 7))


@case("gradients 7.7b", "gpt2", "a gradient edited on a branch leaves the residual stream's alone",
      reason="PyTorch's in-place edit can change a shared buffer (7.7b)", tolerance=TOLERANCE)
def gradient_edited_on_a_branch(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].mlp.output.grad[:] = 0
        before = model.transformer.h[0].output[0].grad.save()
        model.lm_head.output[0, -1, 5].backward()
    return dict(before=before)


@gradient_edited_on_a_branch.torch
def _(plain):
    kept = {}
    hooks = {"transformer.h.0": keeping(kept, "before"),
             "transformer.h.1.mlp": keeping(kept, "_", torch.zeros_like)}
    plain.logits(IDS, output=hooks)[0, -1, 5].backward()
    return dict(before=kept["before"])


@case("gradients 7.6", "gpt2", "a value is made to require a gradient", tolerance=TOLERANCE)
def requires_grad(model, nnsight):
    with model.trace(IDS):
        embedded = model.transformer.wte.output
        embedded.requires_grad_(True)
        grad = embedded.grad.save()
        model.lm_head.output[0, -1, 5].backward()
    return dict(grad=grad)


@case("gradients 7.3", "gpt2", "values written in place carry gradients to what was written", tolerance=TOLERANCE)
def gradient_after_a_write_in_place(model, nnsight):
    with model.trace(IDS):
        source = model.transformer.h[0].mlp.output
        grad = source.grad.save()
        model.transformer.h[1].mlp.output[:, 1] = source[:, 0]
        model.lm_head.output[0, -1, 5].backward()
    return dict(grad=grad)


@case("gradients 7.1", "gpt2", "gradients of a slice, of a reshape and of a product", tolerance=TOLERANCE)
def gradients_through_operations(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].output[0]
        pooled = hidden.reshape(5, 2, 8).mean(dim=1)
        at_pooled = pooled.grad.save()
        at_hidden = hidden.grad.save()
        (pooled @ WEIGHT).tanh().pow(2).sum().backward()
    return dict(at_pooled=at_pooled, at_hidden=at_hidden)


WEIGHT = torch.linspace(-1, 1, 24).reshape(8, 3)


@case("gradients 7.1", "gpt2", "three rows of one invoke have their gradients in one tensor", tolerance=TOLERANCE)
def gradients_of_rows(model, nnsight):
    with model.trace([IDS, OTHER, THIRD]):
        grad = model.transformer.h[1].output[0].grad.save()
        model.lm_head.output[:, -1, 5].sum().backward()
    return dict(grad=grad)


@case("gradients 7.1", "gpt2", "integrated gradients: one backward for each scaled input", version="0.4.4", tolerance=TOLERANCE)
def integrated_gradients(model, nnsight):
    with model.trace() as tracer:
        grads = nnsight.list().save()
        losses = nnsight.list()
        scaled = []
        for factor in (0.25, 0.5, 1.0):
            with tracer.invoke(IDS):
                embedded = model.transformer.wte.output
                model.transformer.wte.output = embedded * factor
                own = model.transformer.wte.output.grad
                scaled.append(own.save())
                loss = model.lm_head.output[0, -1, 5]
                losses.append(loss)
        with tracer.invoke(IDS):
            total = losses[0] + losses[1] + losses[2]
            total.backward()
        a, b, c = scaled
    return dict(a=a, b=b, c=c)


@case("gradients 7.2", "gpt2", "the gradient of a mean over rows is shared out", tolerance=TOLERANCE)
def gradient_of_a_mean(model, nnsight):
    with model.trace([IDS, OTHER]):
        grad = model.transformer.h[2].mlp.output.grad.save()
        model.lm_head.output[:, -1, 5].mean().backward()
    return dict(grad=grad)


@case("gradients 7.3", "gpt2", "a gradient is clamped and turned around before it flows on", tolerance=TOLERANCE)
def gradient_clamped(model, nnsight):
    with model.trace(IDS):
        early = model.transformer.wte.output.grad.save()
        late = model.transformer.h[1].output[0]
        late.grad = -late.grad.clamp(-0.1, 0.1)
        model.lm_head.output[0, -1, 5].backward()
    return dict(early=early)


@case("gradients 7.1", "gpt2", "gradients through a called module", tolerance=TOLERANCE)
def gradient_through_a_called_module(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[0].output[0]
        grad = hidden.grad.save()
        lens = model.lm_head(model.transformer.ln_f(hidden))
        lens[0, -1].log_softmax(-1)[5].backward()
    return dict(grad=grad)


@case("gradients 7.2", "gpt2", "a gradient and the value it belongs to are used in one loss later", tolerance=TOLERANCE)
def values_after_a_backward(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].output[0]
        grad = hidden.grad
        logits = model.lm_head.output
        logits[0, -1, 5].backward()
        first = (hidden * grad).sum(dim=(0, 2)).save()
        second = (logits[0, -1, 5] * 2).save()
    return dict(first=first, second=second)


@case("gradients 3.12", "gpt2", "the gradient at a parameter's value that the loss uses", tolerance=TOLERANCE)
def gradient_at_a_parameter(model, nnsight):
    with model.trace(IDS):
        weight = model.lm_head.weight
        grad = weight.grad.save()
        logits = model.transformer.ln_f.output @ weight.T
        logits[0, -1].log_softmax(-1)[5].backward()
    return dict(grad=grad)


@case("gradients 11.1", "gpt2", "gradients of an edited model go through its edit", tolerance=TOLERANCE)
def gradient_of_an_edited_model(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.output * 3
    with edited.trace(IDS):
        grad = model.transformer.h[0].output[0].grad.save()
        model.lm_head.output[0, -1, 5].backward()
    return dict(grad=grad)


@case("gradients 7.1", "gpt2", "gradients of a padded row are those of the row alone",
      reason="nnsight counts positions from the pad (6.7)", tolerance=TOLERANCE)
def gradient_of_a_padded_row(model, nnsight):
    with model.trace([IDS[:3], IDS]):
        grad = model.transformer.h[1].output[0].grad
        short = grad[0, 2:].save()
        long = grad[1].save()
        model.lm_head.output[:, -1, 5].sum().backward()
    return dict(short=short, long=long)


@gradient_of_a_padded_row.torch
def _(plain):
    kept = {}
    plain.logits(IDS[:3], output={"transformer.h.1": keeping(kept, "short")})[0, -1, 5].backward()
    plain.logits(IDS, output={"transformer.h.1": keeping(kept, "long")})[0, -1, 5].backward()
    return {name: grad[0] for name, grad in kept.items()}


@case("gradients 7.3", "gpt2", "a gradient changed in place at a slice", tolerance=TOLERANCE)
def gradient_changed_at_a_slice(model, nnsight):
    with model.trace(IDS):
        early = model.transformer.h[0].output[0].grad.save()
        late = model.transformer.h[1].attn.c_attn.output
        late.grad[:, :, 32:] = 0
        model.lm_head.output[0, -1, 5].backward()
    return dict(early=early)


@case("gradients 7.2", "gpt2", "a second backward goes through values made after the first", tolerance=TOLERANCE)
def backward_after_a_backward(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[0].output[0]
        first = hidden.grad.clone().save()
        early = model.lm_head(model.transformer.ln_f(hidden))[0, -1, 5]
        early.backward(retain_graph=True)
        second = hidden.grad.clone().save()
        model.lm_head.output[0, -1, 5].backward()
    return dict(first=first, second=second)
