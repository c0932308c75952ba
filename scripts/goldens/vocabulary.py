"""The words of the golden programs, as calls of PyTorch. Each function takes the operands and the arguments."""

import math

import torch
import torch.nn.functional as F

DTYPES = {
    "bool": torch.bool, "u8": torch.uint8, "i32": torch.int32, "i64": torch.int64,
    "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64,
}
INF = math.inf


def index_items(items, tensors):
    out = []
    for item in items:
        if isinstance(item, str):
            out.append(Ellipsis if item == "..." else tensors[int(item[1:])])
        elif isinstance(item, (list, tuple)):
            out.append(slice(*item))
        else:
            out.append(item)
    return tuple(out)


def index_assign(x, value, tensors, items):
    y = x.clone()
    y[index_items(items, tensors)] = value
    return y


def index_add(x, value, tensors, items):
    at = torch.arange(x.numel()).reshape(x.shape)[index_items(items, tensors)]
    value = value.to(x.dtype).expand(at.shape)
    return x.reshape(-1).index_add(0, at.reshape(-1), value.reshape(-1)).reshape(x.shape)


def rms_norm(x, w, eps, offset, round_first):
    wide = x.to(torch.float32) if x.dtype in (torch.float16, torch.bfloat16) else x
    normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    if round_first:
        return (offset + w) * normed.to(x.dtype)
    return (normed * (offset + w.to(wide.dtype))).to(x.dtype)


def pattern_of(q, k, mask, scale, causal, window, softcap):
    k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    scores = q @ k.transpose(-1, -2) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    seen = torch.ones(scores.shape, dtype=torch.bool)
    if causal:
        i = torch.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
        j = torch.arange(k.shape[2])[None]
        seen = seen & (j <= i)
        if window is not None:
            seen = seen & (j > i - window)
    if mask is not None:
        seen = seen & mask
    some = seen.any(-1, keepdim=True)
    # A row that sees nothing: softmax of anything finite, then zero, keeps the gradients finite.
    scores = torch.where(some, scores.masked_fill(~seen, -INF), torch.zeros(()).to(scores.dtype))
    return torch.where(some, scores.softmax(-1), torch.zeros(()).to(scores.dtype))


def attend(pattern, v):
    return pattern @ v.repeat_interleave(pattern.shape[1] // v.shape[1], 1)


def attention(q, k, v, mask, *spec):
    return attend(pattern_of(q, k, mask, *spec), v)


def rotary(x, cos, sin, pairs):
    n = 2 * cos.shape[-1]
    turned, rest = x[..., :n], x[..., n:]
    if pairs == "halves":
        a, b = turned.chunk(2, -1)
        out = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
    else:
        a, b = turned[..., ::2], turned[..., 1::2]
        out = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
    return torch.cat([out, rest], -1)


def prod(x, dims, keepdim):
    x.sum(dims)  # Refuses wrong dimensions.
    for d in sorted([d % max(x.dim(), 1) for d in dims] or range(x.dim()), reverse=True):
        x = x.prod(d, keepdim=keepdim)
    return x if dims or x.dim() or x.dtype.is_floating_point else x.to(torch.int64)


def all_dims(f):
    return lambda o, a: f(o[0], a[0] if a[0] else list(range(o[0].dim())), a[1])


UNARY = [
    "neg", "abs", "sign", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tan", "tanh",
    "erf", "sigmoid", "relu", "silu", "gelu", "gelu_tanh", "floor", "ceil", "round", "trunc", "bitwise_not",
    "logical_not", "isnan", "isinf", "isfinite",
]
SPECIAL = {"silu": F.silu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}
BINARY = [
    "add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "pow", "maximum", "minimum", "atan2",
    "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift",
    "eq", "ne", "lt", "le", "gt", "ge",
]
LOGICAL = ["logical_and", "logical_or", "logical_xor"]
REVERSED = {
    "add": lambda s, x: s + x, "sub": lambda s, x: s - x, "mul": lambda s, x: s * x, "div": lambda s, x: s / x,
    "floor_divide": lambda s, x: s // x, "remainder": lambda s, x: s % x, "pow": lambda s, x: s ** x,
    "bitwise_and": lambda s, x: s & x, "bitwise_left_shift": lambda s, x: s << x,
    "bitwise_right_shift": lambda s, x: s >> x, "lt": lambda s, x: s < x,
}

OPS = {
    "identity": lambda o, a: o[0] + 0 if o[0].dtype != torch.bool else o[0].clone(),
    "where": lambda o, a: torch.where(*o),
    "masked_fill": lambda o, a: o[0].masked_fill(o[1], a[0]),
    "clamp": lambda o, a: torch.clamp(o[0], a[0], a[1]),
    "softplus": lambda o, a: F.softplus(o[0], a[0], a[1]),
    "cast": lambda o, a: o[0].to(DTYPES[a[0]]),
    "sum": all_dims(torch.sum), "amax": all_dims(torch.amax), "amin": all_dims(torch.amin),
    "any": all_dims(torch.any), "all": all_dims(torch.all), "mean": all_dims(torch.mean),
    "prod": lambda o, a: prod(o[0], *a),
    "var": lambda o, a: torch.var(o[0], a[0] or None, correction=a[1], keepdim=a[2]),
    "std": lambda o, a: torch.std(o[0], a[0] or None, correction=a[1], keepdim=a[2]),
    "norm": lambda o, a: torch.linalg.vector_norm(o[0], a[0], a[1] or None, keepdim=a[2]),
    "argmax": lambda o, a: torch.argmax(o[0], a[0], keepdim=a[1]),
    "argmin": lambda o, a: torch.argmin(o[0], a[0], keepdim=a[1]),
    "max": lambda o, a: torch.max(o[0], a[0], keepdim=a[1]),
    "min": lambda o, a: torch.min(o[0], a[0], keepdim=a[1]),
    "argsort": lambda o, a: torch.argsort(o[0], dim=a[0], descending=a[1], stable=True),
    "sort": lambda o, a: torch.sort(o[0], dim=a[0], descending=a[1], stable=True),
    "topk": lambda o, a: torch.topk(o[0], a[0], dim=a[1], largest=a[2]),
    "cumsum": lambda o, a: torch.cumsum(o[0], a[0]), "cumprod": lambda o, a: torch.cumprod(o[0], a[0]),
    "cummax": lambda o, a: torch.cummax(o[0], a[0])[0], "cummin": lambda o, a: torch.cummin(o[0], a[0])[0],
    "softmax": lambda o, a: torch.softmax(o[0], a[0], dtype=None if o[0].is_floating_point() else torch.float32),
    "log_softmax": lambda o, a: torch.log_softmax(
        o[0], a[0], dtype=None if o[0].is_floating_point() else torch.float32),
    "logsumexp": lambda o, a: torch.logsumexp(o[0], a[0] or list(range(o[0].dim())), keepdim=a[1]),
    "layer_norm": lambda o, a: F.layer_norm(
        o[0], o[0].shape[-1:], o[1] if a[1] else None, o[-1] if a[2] else None, a[0]),
    "rms_norm": lambda o, a: rms_norm(*o, *a),
    "cross_entropy": lambda o, a: F.cross_entropy(*o, ignore_index=a[0], reduction=a[1]),
    "matmul": lambda o, a: torch.matmul(*o),
    "linear": lambda o, a: F.linear(*o),
    "attention": lambda o, a: attention(*o[:3], o[3] if len(o) > 3 else None, *a),
    "attention_pattern": lambda o, a: pattern_of(*o[:2], o[2] if len(o) > 2 else None, *a),
    "attend": lambda o, a: attend(*o),
    "conv1d": lambda o, a: F.conv1d(o[0], o[1], o[2] if len(o) > 2 else None, *a),
    "conv2d": lambda o, a: F.conv2d(o[0], o[1], o[2] if len(o) > 2 else None, *a),
    "resize": lambda o, a: F.interpolate(
        o[0], size=a[0], mode=a[1], **({} if a[1] == "nearest" else {"align_corners": a[2]})),
    "rotary": lambda o, a: rotary(*o, *a),
    "index": lambda o, a: o[0][index_items(a[0], o[1:])],
    "index_assign": lambda o, a: index_assign(o[0], o[1], o[2:], a[0]),
    "index_add": lambda o, a: index_add(o[0], o[1], o[2:], a[0]),
    "embed": lambda o, a: F.embedding(o[1], o[0]),
    "index_select": lambda o, a: torch.index_select(o[0], a[0], o[1]),
    "gather": lambda o, a: torch.gather(o[0], a[0], o[1]),
    "scatter": lambda o, a: (torch.scatter_add if a[1] else torch.scatter)(o[0], a[0], o[1], o[2]),
    "nonzero": lambda o, a: torch.nonzero(o[0]),
    "reshape": lambda o, a: o[0].reshape(a[0]), "permute": lambda o, a: o[0].permute(a[0]),
    "transpose": lambda o, a: o[0].transpose(*a), "expand": lambda o, a: o[0].expand(a[0]),
    "squeeze": lambda o, a: o[0].squeeze() if a[0] is None else o[0].squeeze(a[0]),
    "unsqueeze": lambda o, a: o[0].unsqueeze(a[0]), "flatten": lambda o, a: o[0].flatten(*a),
    "narrow": lambda o, a: o[0].narrow(*a), "split": lambda o, a: o[0].split(a[0], a[1]),
    "split_sizes": lambda o, a: o[0].split(list(a[0]), a[1]), "chunk": lambda o, a: o[0].chunk(*a),
    "flip": lambda o, a: o[0].flip(a[0]), "cat": lambda o, a: torch.cat(o, a[0]),
    "stack": lambda o, a: torch.stack(o, a[0]), "repeat": lambda o, a: o[0].repeat(a[0]),
    "repeat_interleave": lambda o, a: o[0].repeat_interleave(a[0], a[1]),
    "tril": lambda o, a: o[0].tril(a[0]), "triu": lambda o, a: o[0].triu(a[0]),
    "diagonal": lambda o, a: o[0].diagonal(*a),
    "arange": lambda o, a: torch.arange(a[0], a[0] + a[1] * a[2], a[1], dtype=DTYPES[a[3]]),
    "full": lambda o, a: torch.full(a[0], a[1], dtype=DTYPES[a[2]]),
}
for name in UNARY:
    OPS[name] = lambda o, a, f=SPECIAL.get(name) or getattr(torch, name): f(o[0])
for name in BINARY + LOGICAL:
    OPS[name] = lambda o, a, f=getattr(torch, name): f(o[0], o[1] if len(o) > 1 else a[0])
for name, f in REVERSED.items():
    OPS["scalar_" + name] = lambda o, a, f=f: f(a[0], o[0])
