"""What people do: whole methods of interpretability in small."""

import torch
import torch.nn.functional as F
from suite import case

CLEAN = [3, 14, 15, 9, 26]
CORRUPTED = [3, 14, 7, 9, 26]
THIRD = [8, 1, 2, 40, 5]
FOURTH = [5, 35, 8, 9, 7]
LEFT, RIGHT = 5, 7


def spread(*shape, low=-0.5, high=0.5, turn=7):
    """Numbers between two bounds, in an order that repeats nothing."""
    n = int(torch.tensor(shape).prod())
    order = (torch.arange(n) * turn) % n
    return (low + (high - low) * order / max(n - 1, 1)).reshape(shape)


ENCODER, BIAS, DECODER = spread(16, 24, turn=37), spread(24, turn=5) * 0.2, spread(24, 16, turn=29)
NOISE = spread(1, 5, 16, turn=11) * 3
ROTATION = torch.linalg.qr(spread(16, 16, turn=37) + torch.eye(16))[0].contiguous()


@case("idioms 4", "gpt2", "a sparse autoencoder is spliced in, its error kept, one feature turned off", tolerance=3e-5)
def sparse_autoencoder(model, nnsight):
    with model.trace(CLEAN):
        hidden = model.transformer.h[1].output[0]
        features = F.relu(hidden @ ENCODER + BIAS)
        error = hidden - features @ DECODER
        active = (features > 0).sum(dim=-1).save()
        features[:, :, 3] = 0
        hidden[:] = features @ DECODER + error
        logits = model.lm_head.output.save()
    return dict(active=active, logits=logits)


@case("idioms 6.4", "gpt2", "causal tracing: noise on the subject, one clean state restored", tolerance=3e-5)
def causal_tracing(model, nnsight):
    with model.trace(CLEAN):
        clean = model.transformer.h[1].output[0].save()
    with model.trace(CLEAN):
        embedded = model.transformer.wte.output
        embedded[:, 1:3] += NOISE[:, 1:3]
        noisy = model.lm_head.output[0, -1].softmax(-1)[LEFT].save()
    with model.trace(CLEAN):
        embedded = model.transformer.wte.output
        embedded[:, 1:3] += NOISE[:, 1:3]
        model.transformer.h[1].output[0][:, 2] = clean[:, 2]
        restored = model.lm_head.output[0, -1].softmax(-1)[LEFT].save()
    return dict(noisy=noisy, restored=restored)


@case("idioms 6.4b", "gpt2", "path patching: one head is patched while later attention is frozen",
      reason="nnsight writes slices of another invoke's values too late (6.4b)", tolerance=3e-5)
def path_patching(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CORRUPTED):
            source = model.transformer.h[0].attn.c_proj.input
        with tracer.invoke(CLEAN):
            frozen = [model.transformer.h[layer].attn.output[0] for layer in range(3)]
        with tracer.invoke(CLEAN):
            model.transformer.h[0].attn.c_proj.input[:, :, 8:] = source[:, :, 8:]
            for layer in (1, 2):
                model.transformer.h[layer].attn.output[0][:] = frozen[layer]
            logits = model.lm_head.output.save()
    return dict(logits=logits)


@path_patching.torch
def _(plain):
    source = plain.read(CORRUPTED, "transformer.h.0.attn.c_proj", input=True)
    frozen = [out[0] for out in plain.read(CLEAN, *(f"transformer.h.{i}.attn" for i in range(3)))]

    def patch(z):
        z = z.clone()
        z[:, :, 8:] = source[:, :, 8:]
        return z

    def freeze(layer):
        def hook(out):
            out[0][:] = frozen[layer]
        return hook
    hooks = {f"transformer.h.{i}.attn": freeze(i) for i in (1, 2)}
    return dict(logits=plain.logits(CLEAN, output=hooks, input={"transformer.h.0.attn.c_proj": patch}))


@case("idioms 4", "llama", "a function vector: a head's mean output over prompts is added to another prompt", tolerance=3e-5)
def function_vector(model, nnsight):
    with model.trace([CLEAN, THIRD, FOURTH]):
        z = model.model.layers[0].self_attn.o_proj.input[:, -1]
        mean = z.mean(dim=0)
        only = torch.zeros_like(mean)
        only[4:8] = mean[4:8]
        vector = model.model.layers[0].self_attn.o_proj(only).save()
    with model.trace(CORRUPTED):
        model.model.layers[1].output[0][:, -1] += vector
        logits = model.lm_head.output.save()
    return dict(vector=vector, logits=logits)


@case("idioms 6.4", "gpt2", "an interchange in a rotated subspace", tolerance=3e-5)
def rotated_interchange(model, nnsight):
    with model.trace(CORRUPTED):
        source = model.transformer.h[1].output[0][:, 2].save()
    with model.trace(CLEAN):
        base = model.transformer.h[1].output[0][:, 2]
        turned, other = base @ ROTATION, source @ ROTATION
        mixed = torch.cat([other[:, :4], turned[:, 4:]], dim=-1)
        model.transformer.h[1].output[0][:, 2] = mixed @ ROTATION.T
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@case("idioms 4", "gpt2", "contrastive steering: a mean difference added at every position of a generation")
def contrastive_steering(model, nnsight):
    with model.trace([CLEAN, THIRD]):
        positive = model.transformer.h[1].output[0][:, -1].mean(dim=0).save()
    with model.trace([CORRUPTED, FOURTH]):
        negative = model.transformer.h[1].output[0][:, -1].mean(dim=0).save()
    direction = positive - negative
    with model.generate(CLEAN, max_new_tokens=5):
        with model.transformer.all():
            model.transformer.h[1].output[0][:] += direction * 4
        ids = model.generator.output.save()
    return dict(ids=ids)


@case("idioms 4", "gpt2", "direct logit attribution: each layer's writing along a direction", tolerance=3e-5)
def direct_logit_attribution(model, nnsight):
    with model.trace(CLEAN):
        direction = model.lm_head.weight[LEFT] - model.lm_head.weight[RIGHT]
        parts = [model.transformer.wte.output[0, -1] + model.transformer.wpe.output[0, -1]]
        for layer in range(3):
            parts.append(model.transformer.h[layer].attn.output[0][0, -1])
            parts.append(model.transformer.h[layer].mlp.output[0, -1])
        stacked = torch.stack(parts)
        total = stacked.sum(dim=0).save()
        scores = (stacked @ direction).save()
        residual = model.transformer.ln_f.input[0, -1].save()
    return dict(total=total, scores=scores, residual=residual)


@case("idioms 4", "gpt2", "heads are replaced by their mean over the rows of a batch", tolerance=3e-5)
def mean_ablated_heads(model, nnsight):
    with model.trace([CLEAN, THIRD, FOURTH]):
        z = model.transformer.h[1].attn.c_proj.input.view(3, 5, 2, 8)
        z[:, :, 1] = z[:, :, 1].mean(dim=0, keepdim=True)
        logits = model.lm_head.output[:, -1].save()
    return dict(logits=logits)


@case("idioms 6.1", "gpt2", "logits of every layer's lens, and where the answer ranks", tolerance=3e-5)
def lens_over_layers(model, nnsight):
    with model.trace(CLEAN):
        rows = []
        for layer in range(3):
            hidden = model.transformer.ln_f(model.transformer.h[layer].output[0])
            rows.append(model.lm_head(hidden)[0, -1].softmax(dim=-1))
        probabilities = torch.stack(rows)
        answer = model.lm_head.output[0, -1].argmax()
        chosen = probabilities[:, answer].save()
        ranks = (probabilities > chosen[:, None]).sum(dim=-1).save()
        top = probabilities.topk(3, dim=-1).indices.save()
        entropy = (-(probabilities * probabilities.log()).sum(dim=-1)).save()
    return dict(chosen=chosen, ranks=ranks, top=top, entropy=entropy)


@case("idioms 7.7", "llama", "attribution patching over all heads of two layers", version="0.4.4", tolerance=5e-5)
def attribution_over_heads(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            clean = [model.model.layers[layer].self_attn.o_proj.input for layer in range(2)]
        with tracer.invoke(CORRUPTED):
            corrupted = [model.model.layers[layer].self_attn.o_proj.input for layer in range(2)]
            grads = [z.grad for z in corrupted]
            logits = model.lm_head.output[0, -1]
            (logits[LEFT] - logits[RIGHT]).backward()
            effects = [((c - k) * g).reshape(5, 4, 4).sum(dim=(0, 2)).save()
                       for c, k, g in zip(clean, corrupted, grads)]
        first, second = effects
    return dict(first=first, second=second)


@case("idioms 4", "gpt_neox", "activation patching, position by position, with a normed score", tolerance=3e-5)
def patching_with_a_score(model, nnsight):
    with model.trace(CLEAN):
        clean = model.gpt_neox.layers[0].output[0].save()
        best = model.embed_out.output[0, -1]
        high = (best[LEFT] - best[RIGHT]).save()
    with model.trace(CORRUPTED):
        worst = model.embed_out.output[0, -1]
        low = (worst[LEFT] - worst[RIGHT]).save()
    with model.trace(CORRUPTED):
        model.gpt_neox.layers[0].output[0][:, 2] = clean[:, 2]
        logits = model.embed_out.output[0, -1]
        score = ((logits[LEFT] - logits[RIGHT] - low) / (high - low)).save()
    return dict(score=score)


@case("idioms 8.6", "llama", "a residual direction is projected out at every step of a generation")
def direction_projected_out(model, nnsight):
    with model.generate(CLEAN, max_new_tokens=5):
        values = nnsight.list().save()
        with model.all():
            for layer in range(2):
                hidden = model.model.layers[layer].output[0]
                hidden[:] = hidden - (hidden @ UNIT)[..., None] * UNIT
            values.append(model.lm_head.output[0, -1, :8])
    return dict(values=values)


UNIT = spread(16, turn=5) / spread(16, turn=5).norm()
