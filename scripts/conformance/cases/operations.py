"""Operations on values: arithmetic, comparisons, indexing, creation, functions and methods of PyTorch."""

import torch
import torch.nn.functional as F
from suite import case

IDS = [3, 14, 15, 9, 26]
W = torch.linspace(-1, 1, 16)
M = torch.linspace(-0.5, 0.7, 64).reshape(16, 4)
IDX = torch.tensor([[0, 2], [1, 3], [4, 4], [2, 0], [2, 2]])


def h(model):
    return model.transformer.h[0].mlp.output


@case("operations 4 arithmetic", "gpt2", "the operators of arithmetic work on values and numbers")
def arithmetic_with_numbers(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = (x + 2).save()
        b = (x - 2).save()
        c = (x * 2.5).save()
        d = (x / 4).save()
        e = (x // 0.25).save()
        f = (x % 0.75).save()
        g = (x ** 2).save()
        i = (-x).save()
        j = abs(x).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i, j=j)


@case("operations 4 arithmetic", "gpt2", "a number may stand on the left of an operator", tolerance=1e-4)
def arithmetic_from_the_left(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = (2 + x).save()
        b = (2 - x).save()
        c = (2.5 * x).save()
        d = (4 / (x + 10)).save()
        e = (2 ** x).save()
    return dict(a=a, b=b, c=c, d=d, e=e)


@case("operations 4 arithmetic", "gpt2", "two values and a constant broadcast")
def arithmetic_broadcasts(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        y = model.transformer.h[1].mlp.output[:, :1]
        a = (x * y - x / (abs(y) + 1)).save()
        b = (x + W).save()
        c = (W * x).save()
        d = (W - x).save()
    return dict(a=a, b=b, c=c, d=d)


@case("operations 4 arithmetic", "gpt2", "matrix products by operator, function and method")
def matrix_products(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = (x @ M).save()
        b = torch.matmul(x, M).save()
        c = x[0].mm(M).save()
        d = torch.bmm(x, x.transpose(1, 2)).save()
        e = (x[0, 0] @ W).save()
        f = torch.einsum("bsd,de->bse", x, M).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f)


@case("operations 4 arithmetic", "gpt2", "integers divide, wrap and raise as in PyTorch")
def integer_arithmetic(model, nnsight):
    with model.trace(IDS):
        ids = model.transformer.wte.input
        a = (ids // 4).save()
        b = (ids % 4).save()
        c = ((5 - ids) // 3).save()
        d = ((5 - ids) % 3).save()
        e = (ids / 4).save()
        f = (ids ** 2).save()
        g = (ids * 0.5).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g)


@case("operations 4 comparisons", "gpt2", "comparisons give truth values")
def comparisons(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        y = model.transformer.h[1].mlp.output
        ids = model.transformer.wte.input
        a = (x > y).save()
        b = (x <= 0).save()
        c = (ids == 15).save()
        d = (ids != 15).save()
        e = (ids >= 14).save()
        f = (0 < x).save()
        g = (~(x > 0)).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g)


@case("operations 4 comparisons", "gpt2", "truth values combine by functions")
def logic_functions(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = torch.logical_and(x > 0, x < 0.5).save()
        b = torch.logical_or(x < 0, x > 0.5).save()
        c = torch.logical_not(x > 0).save()
        d = (x > 0).any().save()
        e = (x > -100).all(dim=-1).save()
        f = (x > 0).sum(dim=-1).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f)


@case("operations 4 comparisons", "gpt2", "truth values combine by operators", reason="nnsight has no such operators (4)")
def logic_operators(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = ((x > 0) & (x < 0.5)).save()
        b = ((x < 0) | (x > 0.5)).save()
        c = ((x > 0) ^ (x < 0.5)).save()
        d = (model.transformer.wte.input << 1).save()
        e = (model.transformer.wte.input >> 1).save()
    return dict(a=a, b=b, c=c, d=d, e=e)


@logic_operators.torch
def _(plain):
    x = plain.read(IDS, "transformer.h.0.mlp")
    ids = torch.tensor([IDS])
    return dict(a=(x > 0) & (x < 0.5), b=(x < 0) | (x > 0.5), c=(x > 0) ^ (x < 0.5), d=ids << 1, e=ids >> 1)


@case("operations 4 arithmetic", "gpt2", "unary plus and rounding", reason="nnsight has no such operators (4)")
def unary_plus_and_round(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output * 10
        a = (+x).save()
        b = round(x).save()
    return dict(a=a, b=b)


@unary_plus_and_round.torch
def _(plain):
    x = plain.read(IDS, "transformer.h.0.mlp") * 10
    return dict(a=x, b=x.round())


@case("operations 4 indexing", "gpt2", "integers, slices, steps, ellipses and new axes index")
def basic_indexing(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = x[0].save()
        b = x[:, -1].save()
        c = x[0, 1:4, ::3].save()
        d = x[..., 3].save()
        e = x[:, None, 2].save()
        f = x[0][2][5].save()
        g = x[:, -3:-1, 2:].save()
        i = x[0, ..., -1:].save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i)


@case("operations 4 indexing", "gpt2", "lists, integer tensors and masks index")
def advanced_indexing(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = x[:, [0, 2, 2]].save()
        b = x[0, IDX[:, 0], IDX[:, 1]].save()
        c = x[x > 0.5].save()
        d = x[0, x[0, :, 0] > -0.5].save()
        e = x[:, :, IDX].save()
        f = x[0, [True, False, True, False, True]].save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f)


@case("operations 4 indexing", "gpt2", "a computed index selects")
def computed_index(model, nnsight):
    with model.trace(IDS):
        logits = model.lm_head.output
        best = logits[0, -1].argmax(dim=-1)
        value = logits[0, -1, best].save()
        row = model.transformer.wte.weight[best].save()
        best.save()
    return dict(best=best, value=value, row=row)


@case("operations 4 indexing", "gpt2", "gather, index_select, take_along_dim and masked_select")
def gathering(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output[0]
        a = x.gather(1, IDX).save()
        b = torch.index_select(x, 0, IDX[:, 0] % 5).save()
        c = torch.masked_select(x, x > 1).save()
        d = torch.gather(x, dim=-1, index=IDX).save()
    return dict(a=a, b=b, c=c, d=d)


@case("operations 4 indexing", "gpt2", "items of a new tensor are set")
def setting_items(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output.clone()
        x[:, 0] = 0
        x[0, 1:3, ::2] = W[:8]
        x[x > 0.5] = 0.5
        x[0, [3, 4], [1, 2]] = -1
        x[..., -1] *= 3
        x.save()
        seen = model.transformer.h[0].mlp.output.save()
    return dict(x=x, seen=seen)


@case("operations 4 creation", "gpt2", "tensors are made from nothing inside a trace")
def creation(model, nnsight):
    with model.trace(IDS):
        a = torch.zeros(2, 3).save()
        b = torch.ones((2, 2)).save()
        c = torch.full((3,), 2.5).save()
        d = torch.arange(5).save()
        e = torch.arange(1, 7, 2).save()
        f = torch.eye(3).save()
        g = torch.linspace(0, 1, 5).save()
        logits = model.lm_head.output.save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, logits=logits)


@case("operations 4 creation", "gpt2", "sizes of new tensors come from values")
def creation_from_sizes(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = torch.zeros(x.shape[1], 2).save()
        b = torch.ones_like(x[0]).save()
        c = torch.arange(x.size(-1)).save()
        d = torch.zeros_like(model.transformer.wte.input).save()
        e = torch.full_like(x[0, 0], 0.5).save()
        f = torch.ones(x.shape[0], x.shape[1], dtype=torch.bool).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f)


@case("operations 4 creation", "gpt2", "a constant of the caller's mixes with values")
def constants(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = torch.where(x > 0, x, W).save()
        b = torch.cat([x[0], W[None]], dim=0).save()
        c = (x[0, :, :4] * HALVES).save()
    return dict(a=a, b=b, c=c)


HALVES = torch.tensor([1.0, 0.5, 0.25, 0.125])


@case("operations 4 functions", "gpt2", "exponentials, roots, logarithms and waves", tolerance=2e-5)
def elementwise_functions(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        p = abs(x) + 0.1
        a = torch.exp(x).save()
        b = torch.log(p).save()
        c = torch.sqrt(p).save()
        d = torch.rsqrt(p).save()
        e = torch.sin(x).save()
        f = torch.cos(x).save()
        g = torch.tanh(x).save()
        i = torch.sigmoid(x).save()
        j = torch.sign(x).save()
        k = torch.log1p(p).save()
        m = torch.erf(x).save()
        n = torch.reciprocal(p).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i, j=j, k=k, m=m, n=n)


@case("operations 4 functions", "gpt2", "rounding functions and clamps")
def rounding_and_clamping(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output * 10
        a = torch.floor(x).save()
        b = torch.ceil(x).save()
        c = torch.round(x).save()
        d = torch.trunc(x).save()
        e = torch.clamp(x, min=-1, max=2).save()
        f = x.clamp(min=0).save()
        g = torch.maximum(x, -x).save()
        i = torch.minimum(x, W).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i)


@case("operations 4 functions", "gpt2", "activations of torch.nn.functional", tolerance=2e-5)
def activations(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = F.relu(x).save()
        b = F.gelu(x).save()
        c = F.gelu(x, approximate="tanh").save()
        d = F.silu(x).save()
        e = F.softplus(x).save()
        f = F.leaky_relu(x, 0.1).save()
        g = F.elu(x).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g)


@case("operations 4 functions", "gpt2", "softmax and its logarithm over an axis")
def softmaxes(model, nnsight):
    with model.trace(IDS):
        logits = model.lm_head.output
        a = torch.softmax(logits, dim=-1).save()
        b = logits.softmax(-1).save()
        c = torch.log_softmax(logits, dim=-1).save()
        d = F.softmax(logits, dim=1).save()
        e = torch.logsumexp(logits, dim=-1).save()
    return dict(a=a, b=b, c=c, d=d, e=e)


@case("operations 4 functions", "gpt2", "sums, means, products and extremes over axes")
def reductions(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = x.sum().save()
        b = x.sum(dim=-1).save()
        c = x.mean(dim=(0, 1)).save()
        d = x.mean(dim=-1, keepdim=True).save()
        e = torch.prod(x[0, :, :3], dim=0).save()
        f = x.max().save()
        g = x.min(dim=-1).values.save()
        i = x.max(dim=1)[1].save()
        j = x.amax(dim=(1, 2)).save()
        k = x.argmax(dim=-1).save()
        m = x.argmin().save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i, j=j, k=k, m=m)


@case("operations 4 functions", "gpt2", "spreads, norms and running sums")
def statistics(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = x.var(dim=-1).save()
        b = x.std(dim=-1, unbiased=False).save()
        c = x.norm().save()
        d = x.norm(dim=-1).save()
        e = torch.norm(x, p=1, dim=-1, keepdim=True).save()
        f = x.cumsum(dim=1).save()
        g = torch.linalg.vector_norm(x, dim=-1).save()
        i = torch.var(x, dim=1, unbiased=False).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i)


@case("operations 4 functions", "gpt2", "the largest, and orders")
def order_statistics(model, nnsight):
    with model.trace(IDS):
        logits = model.lm_head.output[0, -1]
        top = torch.topk(logits, 4)
        values = top.values.save()
        indices = top.indices.save()
        low = logits.topk(3, largest=False)[0].save()
        ordered = torch.sort(logits, descending=True)[0].save()
        places = torch.argsort(logits).save()
        both = logits.topk(2).save()
    return dict(values=values, indices=indices, low=low, ordered=ordered, places=places, both=both)


@case("operations 4 functions", "gpt2", "tensors are joined and repeated")
def joining(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        y = model.transformer.h[1].mlp.output
        a = torch.cat([x, y], dim=1).save()
        b = torch.stack([x, y]).save()
        c = torch.stack((x[0], y[0]), dim=-1).save()
        d = x[0, :, :2].repeat(2, 3).save()
        e = x[0, :, :1].expand(5, 4).save()
        f = torch.flip(x, dims=[1]).save()
        g = x[0, :2, :2].repeat_interleave(2, dim=0).save()
        i = torch.concat([x, y], dim=-1).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i)


@case("operations 4 functions", "gpt2", "shapes are changed")
def reshaping(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = x.reshape(5, -1).save()
        b = x.view(1, 5, 2, 8).save()
        c = x.transpose(1, 2).save()
        d = x.permute(2, 0, 1).save()
        e = x.squeeze(0).save()
        f = x.unsqueeze(1).save()
        g = x.flatten().save()
        i = x[0].T.save()
        j = x.mT.save()
        k = x.unflatten(-1, (4, 4)).save()
        m = x.swapaxes(0, 1).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i, j=j, k=k, m=m)


@case("operations 4 functions", "gpt2", "tensors are split into tuples of parts")
def splitting(model, nnsight):
    with model.trace(IDS):
        qkv = model.transformer.h[0].attn.c_attn.output
        a = qkv.split(16, dim=2)[1].save()
        b = torch.chunk(qkv, 3, dim=-1)[2].save()
        c = qkv[0].unbind(0)[4].save()
        d = qkv.split([8, 8, 32], dim=-1).save()
    return dict(a=a, b=b, c=c, d=d)


@case("operations 4 functions", "gpt2", "triangles, diagonals and masked fills")
def masks(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output[0]
        s = x @ x.T
        a = torch.tril(s).save()
        b = s.triu(1).save()
        c = s.diagonal().save()
        d = s.masked_fill(s < 0, 0.0).save()
        e = torch.where(s > 0, s, torch.zeros_like(s)).save()
        f = torch.nonzero(s > 1).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f)


@case("operations 4 functions", "gpt2", "norms of layers, linear maps and losses of torch.nn.functional", tolerance=2e-5)
def network_functions(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        logits = model.lm_head.output
        a = F.layer_norm(x, (16,)).save()
        b = F.linear(x, M.T).save()
        c = F.cross_entropy(logits[0, :-1], TARGET).save()
        d = F.mse_loss(x, x * 0).save()
        e = F.cosine_similarity(x, model.transformer.h[1].mlp.output, dim=-1).save()
        f = F.normalize(x, dim=-1).save()
        g = F.kl_div(logits.log_softmax(-1), (logits * 0.5).softmax(-1), reduction="sum").save()
        i = F.one_hot(model.transformer.wte.input, 30).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i)


TARGET = torch.tensor([14, 15, 9, 26])


@case("operations 4 functions", "gpt2", "types are changed and promoted", tolerance=1e-2)
def types(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        ids = model.transformer.wte.input
        a = x.to(torch.float64).save()
        b = x.half().save()
        c = x.bfloat16().save()
        d = ids.float().save()
        e = (x > 0).int().save()
        f = (ids + x[..., 0]).save()
        g = ids.to(torch.int32).save()
        i = (x.half() + x.to(torch.float32)).save()
        j = x.long().save()
        k = x.type_as(ids).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i, j=j, k=k)


@case("operations 4 functions", "gpt2", "shape, type and number of elements are values")
def attributes(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = x.shape.save()
        b = x.shape[1].save()
        c = x.size().save()
        d = x.size(2).save()
        e = x.dtype.save()
        f = x.ndim.save()
        g = x.numel().save()
        i = x.dim().save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g, i=i)


@case("operations 4 functions", "gpt2", "one element becomes a number")
def item_gives_a_number(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = x[0, 0, 0].item().save()
        b = model.transformer.wte.input[0, 1].item().save()
        c = (x.sum() > 1e9).item().save()
        d = (x[0, 0, 0].item() * 2 + 1).save()
    return dict(a=a, b=b, c=c, d=d)


@case("operations 4 functions", "gpt2", "values are made lists of numbers")
def tolist_gives_numbers(model, nnsight):
    with model.trace(IDS):
        a = model.transformer.wte.input.tolist().save()
        b = model.lm_head.output[0].argmax(-1).tolist().save()
    return dict(a=a, b=b)


@case("operations 4 functions", "gpt2", "einops.rearrange, repeat and einsum", reason="nnsight and einops 0.8 differ over reduce (4)")
def einops_functions(model, nnsight):
    import einops
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output
        a = einops.rearrange(x, "b s (h d) -> b h s d", h=2).save()
        b = einops.repeat(x[0, 0], "d -> n d", n=3).save()
        c = einops.reduce(x, "b s (h d) -> b s h", "mean", h=4).save()
        d = einops.einsum(x, M, "b s d, d e -> b s e").save()
        e = einops.rearrange([x, x * 2], "n b s d -> b (n s) d").save()
    return dict(a=a, b=b, c=c, d=d, e=e)


@einops_functions.torch
def _(plain):
    x = plain.read(IDS, "transformer.h.0.mlp")
    return dict(a=x.reshape(1, 5, 2, 8).transpose(1, 2), b=x[0, 0].expand(3, 16), c=x.reshape(1, 5, 4, 4).mean(-1), d=x @ M,
                e=torch.cat([x, x * 2], dim=1))


@case("operations 5.8", "gpt2", "a chain of two thousand operations runs", reason="nnsight fails at about a thousand (5.8)",
      tolerance=1e-4)
def long_chain(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output[0, 0, :4]
        for _ in range(1000):
            x = x * 1.0005
            x = x + 0.001
        x.save()
    return dict(x=x)


@long_chain.torch
def _(plain):
    x = plain.read(IDS, "transformer.h.0.mlp")[0, 0, :4]
    for _ in range(1000):
        x = x * 1.0005 + 0.001
    return dict(x=x)


@case("operations 4 functions", "gpt2", "a logit difference and a patching score, as notebooks write them")
def logit_difference(model, nnsight):
    with model.trace(IDS):
        logits = model.lm_head.output
        difference = (logits[0, -1, 5] - logits[0, -1, 7]).save()
        scaled = ((logits[0, -1, 5] - logits[0, -1, 7]) / logits[0, -1].std()).item().save()
        probability = logits[0, -1].softmax(dim=-1)[5].save()
        rank = (logits[0, -1] > logits[0, -1, 5]).sum().save()
    return dict(difference=difference, scaled=scaled, probability=probability, rank=rank)


@case("operations 4 creation", "gpt2", "constants of every type and shape")
def constants_of_every_type(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output[0, 0, :2]
        a = (x + DOUBLES).save()
        b = (x + HALF).save()
        c = (x * BYTES).save()
        d = torch.where(TRUTHS, x, -x).save()
        e = (x + SCALAR).save()
        f = torch.add(INTS, model.transformer.wte.input[0, 0]).save()
        g = torch.cat([x, NONE_AT_ALL]).save()
    return dict(a=a, b=b, c=c, d=d, e=e, f=f, g=g)


DOUBLES = torch.tensor([0.1, 0.2], dtype=torch.float64)
HALF = torch.tensor([0.5, 0.25], dtype=torch.bfloat16)
BYTES = torch.tensor([1, 200], dtype=torch.uint8)
TRUTHS = torch.tensor([True, False])
SCALAR = torch.tensor(0.75)
INTS = torch.tensor([1, 2], dtype=torch.int32)
NONE_AT_ALL = torch.zeros(0)


@case("operations 4 functions", "gpt2", "a causal mask of minus infinity and its softmax")
def infinities(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output[0]
        scores = x @ x.T
        masked = scores.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), float("-inf"))
        pattern = masked.softmax(dim=-1).save()
        finite = torch.isfinite(masked).sum().save()
    return dict(pattern=pattern, finite=finite)


@case("operations 4 functions", "gpt2", "attention by hand equals the module's", tolerance=3e-5)
def attention_by_hand(model, nnsight):
    with model.trace(IDS):
        fused = model.transformer.h[0].attn.c_attn.output
        q, k, v = [fused[:, :, 16 * i:16 * (i + 1)].view(1, 5, 2, 8).transpose(1, 2) for i in range(3)]
        scores = q @ k.transpose(-1, -2) / 8 ** 0.5
        scores = scores.masked_fill(CAUSAL, float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(1, 5, 16).save()
        own = model.transformer.h[0].attn.c_proj.input.save()
    return dict(mixed=mixed, own=own)


CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)


@case("operations 4 functions", "gpt2", "equal draws are equal and others differ", ignore=("a", "b"),
      reason="a program's draws name their seed and position, and PyTorch's numbers are other ones")
def seeded_draws(model, nnsight):
    with model.trace(IDS):
        a = nnsight.op("rand", [2, 3], 7, 0).save()
        b = nnsight.op("randn", [4], 7, 6).save()
        again = (nnsight.op("rand", [2, 3], 7, 0) == a).all().save()
        other = (nnsight.op("rand", [2, 3], 8, 0) == a).all().save()
        inside = ((a >= 0) & (a < 1)).all().save()
    return dict(a=a, b=b, again=again, other=other, inside=inside)


@seeded_draws.torch
def _(plain):
    return dict(a=torch.zeros(2, 3), b=torch.zeros(4), again=torch.tensor(True), other=torch.tensor(False),
                inside=torch.tensor(True))


@case("operations 4 functions", "gpt2", "scatters and writes by index into new tensors")
def scattering(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].mlp.output[0]
        a = torch.zeros_like(x).scatter(1, IDX, x[:, :2]).save()
        b = x.scatter(1, IDX, 5.0).save()
        c = torch.scatter_add(x, 1, IDX, x[:, 2:4]).save()
        d = x.index_fill(0, ROWS, 0.5).save()
        e = x.index_add(0, ROWS, x[:2]).save()
    return dict(a=a, b=b, c=c, d=d, e=e)


ROWS = torch.tensor([3, 1])


@case("operations 4 functions", "gpt2", "projections: directions removed and norms kept", tolerance=2e-5)
def projections(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[1].output[0]
        unit = W / W.norm()
        along = (x @ unit)[..., None] * unit
        x[:] = x - along
        left = (model.transformer.h[1].output[0] @ unit).abs().max().save()
        logits = model.lm_head.output.save()
    return dict(left=left, logits=logits)


@case("operations 4 functions", "gpt2", "norms of directions, angles and outer products", tolerance=2e-5)
def directions(model, nnsight):
    with model.trace(IDS):
        a = model.transformer.h[0].mlp.output[0, 0]
        b = model.transformer.h[1].mlp.output[0, 0]
        cosine = torch.cosine_similarity(a, b, dim=0).save()
        outer = torch.outer(a, b).save()
        dot = torch.dot(a, b).save()
        distance = torch.dist(a, b).save()
        cumulative = torch.cumsum(a, dim=0).save()
        unique = (a > b).float().mean().save()
    return dict(cosine=cosine, outer=outer, dot=dot, distance=distance, cumulative=cumulative, unique=unique)
