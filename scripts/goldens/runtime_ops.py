"""What PyTorch, einops and Python compute for the runtime's operations.

Run by hand with PyTorch 2.6 and einops 0.8; writes `crates/runtime/tests/goldens/ops.json`, which
`crates/runtime/tests/ops.rs` reads. A case is `[operation, arguments, keywords, result]`, with a fifth item where the
operation changes its first argument: what that is afterwards. Numbers, texts, truth values, `null` and lists stand for
themselves; everything else is an object of one key that names its kind. A tensor is written `type[sizes] elements`.
A result `{"error": 1}` must be refused.
"""

import builtins
import json
import math
import operator
import pathlib
import warnings

import einops
import numpy as np
import torch
import torch.nn.functional as F

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/runtime/tests/goldens/ops.json"
RNG = np.random.default_rng(30)
torch.set_num_threads(1)
warnings.filterwarnings("ignore")
CASES = []

DTYPES = {torch.bool: "bool", torch.uint8: "uint8", torch.int32: "int32", torch.int64: "int64",
          torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32", torch.float64: "float64"}


def number(x, bits):
    if bits == 32 and math.isfinite(x):
        return np.format_float_positional(np.float32(x), unique=True, trim="-") if 1e-4 <= abs(x) < 1e7 or x == 0 \
            else np.format_float_scientific(np.float32(x), unique=True, trim="-")
    return repr(float(x))


def write(x):
    """A value as JSON."""
    if isinstance(x, torch.Tensor):
        x = x.detach()
        if x.dtype.is_floating_point:
            items = [number(v, 64 if x.dtype == torch.float64 else 32) for v in x.double().flatten().tolist()]
        else:
            items = [str(int(v)) for v in x.flatten().tolist()]
        sizes = ",".join(map(str, x.shape))
        return {"t": f"{DTYPES[x.dtype]}[{sizes}] {' '.join(items)}".rstrip()}
    if isinstance(x, torch.dtype):
        return {"dtype": DTYPES[x]}
    if isinstance(x, torch.device):
        return str(x)
    if x is None or isinstance(x, (bool, str)):
        return x
    if isinstance(x, int):
        return x
    if isinstance(x, float):
        return x if math.isfinite(x) else {"f": repr(x)}
    if isinstance(x, complex):
        return {"complex": [x.real, x.imag]}
    if isinstance(x, bytes):
        return {"bytes": list(x)}
    if isinstance(x, tuple):
        return {"tuple": [write(v) for v in x]}
    if isinstance(x, (set, frozenset)):
        return {"set": sorted((write(v) for v in x), key=str)}
    if isinstance(x, slice):
        return {"slice": [write(x.start), write(x.stop), write(x.step)]}
    if x is Ellipsis:
        return {"ellipsis": 1}
    if isinstance(x, dict):
        return {"dict": [[write(k), write(v)] for k, v in x.items()]}
    if isinstance(x, (range, map, zip, enumerate, list)) or type(x).__name__ in ("dict_keys", "dict_values", "dict_items",
                                                                              "list_reverseiterator"):
        return [write(v) for v in x]
    raise TypeError(type(x))


def delitem(x, i):
    del x[i]


def setitem(x, i, v):
    x[i] = v
    return x


SPECIAL = {
    "truediv": operator.truediv, "floordiv": operator.floordiv, "mod": operator.mod, "and": operator.and_,
    "or": operator.or_, "xor": operator.xor, "lshift": operator.lshift, "rshift": operator.rshift, "not": operator.not_,
    "truth": operator.truth, "is": operator.is_, "is_not": operator.is_not, "getitem": operator.getitem,
    "setitem": setitem, "delitem": delitem, "contains": operator.contains, "invert": operator.invert,
    "radd": lambda a, b: b + a, "rmul": lambda a, b: b * a, "rtruediv": lambda a, b: b / a, "rsub": lambda a, b: b - a,
    "rfloordiv": lambda a, b: b // a, "rmod": lambda a, b: b % a, "rpow": lambda a, b: b ** a,
    "rmatmul": lambda a, b: b @ a, "rlshift": lambda a, b: b << a, "rrshift": lambda a, b: b >> a,
    "rearrange": einops.rearrange, "einops.rearrange": einops.rearrange, "einops.reduce": einops.einops.reduce,
    "einops.repeat": einops.repeat, "einops.einsum": einops.einsum, "str.format": str.format, "set.add": set.add,
    "list.sort": lambda x, reverse=False: list.sort(x, reverse=reverse), "slice": slice,
    "linalg.norm": torch.linalg.norm, "linalg.vector_norm": torch.linalg.vector_norm, "vector_norm": torch.linalg.vector_norm, "getattr": getattr,
    "bytes": lambda x=b"", *a: bytes(x, "utf8") if isinstance(x, str) else bytes(x, *a), "collate": torch.utils.data.default_collate,
    "shape": lambda x: tuple(x.shape), "T": lambda x: x.T, "mT": lambda x: x.mT, "H": lambda x: x.H, "mH": lambda x: x.mH,
    "ndim": lambda x: x.ndim, "dtype": lambda x: x.dtype, "device": lambda x: x.device, "itemsize": lambda x: x.itemsize,
    "nbytes": lambda x: x.nbytes, "dropout": lambda x, p, training: F.dropout(x, p, training), "normalize": F.normalize,
    "size": lambda x, dim=None: tuple(x.size()) if dim is None else x.size(dim), "logsigmoid": F.logsigmoid,
    "set": set, "float": lambda x: x.float() if isinstance(x, torch.Tensor) else float(x),
    "int": lambda x, *a: x.int() if isinstance(x, torch.Tensor) else int(x, *a),
    "bool": lambda x: x.bool() if isinstance(x, torch.Tensor) else bool(x), "repeat": torch.Tensor.repeat,
    "numpy": lambda x: x, "type": torch.Tensor.type, "linear": F.linear, "pad": F.pad, "celu": F.celu,
    "softmax": lambda x, dim, **k: F.softmax(x, dim=dim, **k), "log_softmax": lambda x, dim, **k: F.log_softmax(x, dim=dim, **k),
    "softmin": lambda x, dim: F.softmin(x, dim=dim), "embedding": F.embedding, "prelu": F.prelu, "batch_norm": F.batch_norm,
    "layer_norm": F.layer_norm, "group_norm": F.group_norm, "rms_norm": F.rms_norm, "astype": lambda x, d: x.to(d),
    "threshold": F.threshold, "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits, "conj": lambda x: x.conjugate(),
    "kl_div": F.kl_div, "cosine_embedding_loss": F.cosine_embedding_loss, "margin_ranking_loss": F.margin_ranking_loss,
    "selu": F.selu, "where": torch.where, "rsub": lambda a, b, alpha=1: b - alpha * a, "cat": torch.cat, "hex": lambda x: x.hex() if isinstance(x, bytes) else hex(x), "concat": torch.concat, "count": lambda x, v: x.count(v), "hardtanh": F.hardtanh,
}


def resolve(name, args):
    if name in SPECIAL:
        return SPECIAL[name]
    if name.startswith(("builtins.", "math.")):
        return getattr({"b": builtins, "m": math}[name[0]], name.split(".")[1])
    receiver = args[0] if args else None
    if not any(isinstance(a, torch.Tensor) for a in args) or not isinstance(receiver, torch.Tensor):
        homes = [operator, builtins, torch, F]
        if isinstance(receiver, (str, list, dict, set, tuple, bytes, int, float, complex)):
            homes.insert(2, type(receiver))
        for home in homes:
            if hasattr(home, name) and not (home is builtins and name in ("abs", "round", "sum") and isinstance(
                    receiver, torch.Tensor)) and not (home is operator and name in ("index",)):
                return getattr(home, name)
    if isinstance(receiver, torch.Tensor) or name.endswith("_"):
        for home in (torch.Tensor, torch, F) if isinstance(receiver, torch.Tensor) else (torch, F):
            if hasattr(home, name):
                return getattr(home, name)
    if isinstance(receiver, (str, list, dict, set, tuple, bytes, int, float, complex)) and hasattr(type(receiver), name):
        return getattr(type(receiver), name)
    for home in (torch, F, builtins, operator):
        if hasattr(home, name):
            return getattr(home, name)
    raise KeyError(name)


def case(name, *args, **kwargs):
    given = [write(a) for a in args], {k: write(v) for k, v in kwargs.items()}
    before = given[0][0] if args else None
    function = resolve(name, args)
    try:
        result = write(function(*args, **kwargs))
    except Exception:
        result = {"error": 1}
    after = write(args[0]) if args and not callable(args[0]) else None
    row = [name, given[0], given[1], result]
    if after != before and "error" not in (result if isinstance(result, dict) else {}):
        row.append(after)
    CASES.append(row)


def f(*shape, dtype=torch.float32, scale=1.0):
    """Floats with few digits."""
    x = np.round(RNG.normal(size=shape) * scale, 2)
    return torch.tensor(x, dtype=dtype)


def i(*shape, low=-5, high=6, dtype=torch.int64):
    return torch.tensor(RNG.integers(low, high, size=shape), dtype=dtype)


def b(*shape):
    return torch.tensor(RNG.random(size=shape) < 0.5)


def u(*shape):
    """Floats strictly inside the unit interval."""
    return torch.tensor(np.round(0.05 + 0.9 * RNG.random(size=shape), 2), dtype=torch.float32)


def arithmetic():
    for name in ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "maximum", "minimum", "fmod", "atan2"]:
        python = name not in ("maximum", "minimum", "fmod", "atan2")
        case(name, f(2, 3), f(3).abs() + 0.5)
        case(name, f(2, 3).abs(), f(2, 3, dtype=torch.float64).abs() + 1)
        case(name, i(4, low=1), i(4, low=1))
        if python:
            case(name, i(2, 3), 2)
            case(name, f(3), 2.5)
            case(name, 3, f(3).abs() + 1)
            for x, y in [(7, 2), (-7, 2), (7, -2), (7.5, -2), (True, 3), (-7.5, 2.0), (0, 5), (2, 0.5), (5, 0)]:
                case(name, x, y)
    for name in ["eq", "ne", "lt", "le", "gt", "ge"]:
        case(name, f(2, 3), f(2, 1))
        case(name, i(4), 1)
        case(name, 0.0, f(3))
        for x, y in [(1, 1.0), (2, 3), ("a", "b"), ((1, 2), (1, 3)), ([1, "x"], [1]), (b"a", b"b"), (True, 1)]:
            case(name, x, y)
        case(name, {1, 2}, {1, 2, 3})
    case("eq", None, None), case("eq", "a", 1), case("ne", [1], (1,)), case("lt", "a", 1), case("lt", 1j, 2)
    for name in ["and", "or", "xor", "bitwise_and", "bitwise_or", "bitwise_xor"]:
        case(name, i(4), i(4)), case(name, b(3), b(3)), case(name, i(4), 3)
    for name in ["and", "or", "xor"]:
        case(name, 12, 10), case(name, True, False), case(name, {1, 2}, {2, 3}), case(name, True, 2)
    case("or", {"a": 1}, {"b": 2, "a": 3}), case("sub", {1, 2, 3}, {2})
    case("lshift", i(3, low=0), 2), case("rshift", i(3), 1), case("lshift", 3, 4), case("rshift", -9, 2), case("lshift", 1, -1)
    for name in ["radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rpow"]:
        case(name, f(3).abs() + 1, 2), case(name, 3, 7)
    case("rmatmul", f(2, 3), f(4, 2)), case("rlshift", i(2, low=0), 1), case("rrshift", 1, 9)
    for name in ["logical_and", "logical_or", "logical_xor"]:
        case(name, i(2, 3, low=0, high=2), f(3)), case(name, b(3), b(3))
    case("add", f(2), f(2), alpha=2), case("sub", f(2), f(2), alpha=0.5), case("rsub", f(2), f(2), alpha=3)
    case("subtract", f(2), 1), case("multiply", f(2), f(2)), case("true_divide", i(2), i(2, low=1)), case("float_power", f(2).abs(), 2)
    for mode in [None, "trunc", "floor"]:
        case("div", f(4), f(4).abs() + 0.1, rounding_mode=mode), case("div", i(4), i(4, low=1), rounding_mode=mode)
        case("divide", i(4), 3, rounding_mode=mode)
    case("floor_divide", i(4), 2), case("remainder", f(4), 0.7), case("remainder", i(4), -3)
    case("add", "ab", "cd"), case("add", [1], [2, "x"]), case("add", (1,), (2,)), case("add", b"a", b"b"), case("add", "a", 1)
    case("add", 1j, 2), case("mul", 2 + 1j, 3 - 1j), case("truediv", 1 + 2j, 2 - 1j), case("pow", 2j, 2), case("pow", -8, 0.5)
    case("pow", 2, -2), case("pow", 0, -1), case("pow", 2, 62), case("mul", "ab", 3), case("mul", 2, [1, 2]), case("mul", (1,), 0)
    case("mul", "ab", -1), case("divmod", 7, -2), case("divmod", -7.5, 2), case("is", None, None), case("is_not", 1, None)
    for x in [0, 1, 0.0, "", "a", [], [0], {}, None, True]:
        case("not", x), case("truth", x)
    case("not", f(1)), case("not", f(2))
    case("greater", f(2), 0), case("less_equal", f(2), f(2)), case("not_equal", f(2), 0), case("greater_equal", i(3), 0), case("less", i(3), 1)


def pointwise():
    plain = ["abs", "neg", "sign", "exp", "expm1", "sin", "cos", "tan", "tanh", "erf", "sigmoid", "floor", "ceil", "trunc", "round",
             "square", "frac", "exp2", "erfc", "sinh", "cosh", "atan", "asinh", "deg2rad", "rad2deg", "isnan", "isinf", "isfinite",
             "isposinf", "isneginf", "signbit", "logical_not", "absolute", "negative", "positive", "arctan", "fix", "sgn"]
    for name in plain:
        case(name, f(2, 3, scale=2))
        if name not in ("frac",):
            case(name, i(3))
    for name in ["isnan", "isinf", "isfinite", "isposinf", "isneginf", "abs", "sign", "nan_to_num"]:
        case(name, torch.tensor([math.nan, math.inf, -math.inf, 0.0, -2.0]))
    case("nan_to_num", torch.tensor([math.nan, math.inf, -math.inf]), nan=1.0, posinf=2.0, neginf=-3.0)
    for name in ["log", "log1p", "sqrt", "rsqrt", "reciprocal", "log2", "log10", "asin", "acos", "atanh", "logit", "arcsin", "arccos"]:
        case(name, u(2, 3)), case(name, u(3).double())
    case("acosh", u(3) + 1), case("logit", torch.tensor([0.0, 0.5, 1.0]), eps=0.1)
    for dtype in [torch.float16, torch.bfloat16]:
        for name in ["exp", "tanh", "sqrt", "sigmoid"]:
            case(name, u(4).to(dtype))
    case("round", f(4, scale=10), decimals=1), case("round", torch.tensor([0.5, 1.5, 2.5])), case("round", 2.5), case("round", 2.675, 2)
    case("round", 1234, -2), case("round", -1250, -2), case("round", 7), case("abs", -3), case("abs", -2.5), case("abs", 3 + 4j), case("neg", 2)
    case("neg", True), case("invert", 5), case("invert", True), case("invert", b(3)), case("invert", i(3)), case("bitwise_not", i(3)), case("invert", f(2))
    case("hypot", f(3), f(3)), case("copysign", f(3), f(3)), case("heaviside", torch.tensor([-1.0, 0.0, 2.0]), torch.tensor(0.5))
    case("logaddexp", f(3), f(3)), case("xlogy", torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 0.5, 3.0]))
    case("clamp", f(5, scale=3), -1, 1), case("clamp", f(5), min=0), case("clamp", i(5), max=2), case("clamp", f(5), f(5), f(5) + 2), case("clamp", i(5), 0.5)
    case("clip", f(5), -0.5, 0.5), case("clamp_min", f(5), 0), case("clamp_max", i(5), 1), case("clamp", f(3))
    case("where", b(2, 3), f(2, 3), f(3)), case("where", b(3), f(3), 0), case("where", b(3), 1.5, i(3)), case("where", b(3), i(3), 1)
    case("where", b(3), f(3, dtype=torch.float16), 2.5), case("where", b(3), f(3), f(3).double()), case("where", b(2, 3))
    case("masked_fill", f(2, 3), b(2, 3), -math.inf), case("masked_fill", f(2, 3), b(3), 0), case("masked_fill", i(3), b(3), torch.tensor(7))
    case("masked_fill", f(2), i(2), 1.0)
    case("lerp", f(3), f(3), 0.25), case("lerp", f(3), f(3), u(3)), case("addcmul", f(3), f(3), f(3), value=2), case("addcdiv", f(3), f(3), u(3))
    x = f(4)
    case("isclose", x, x + torch.tensor([0, 1e-7, 1e-2, 0])), case("allclose", x, x + 1e-7), case("allclose", x, x + 1), case("equal", x, x.clone())
    case("equal", x, f(2)), case("allclose", torch.tensor([math.nan]), torch.tensor([math.nan]), equal_nan=True), case("isclose", x, f(4), atol=1.0)
    for name in ["relu", "relu6", "hardsigmoid", "hardswish", "mish", "logsigmoid", "softsign", "tanhshrink", "silu", "gelu", "selu", "softplus",
                 "leaky_relu", "elu", "celu", "hardtanh"]:
        case(name, f(2, 4, scale=3))
    case("gelu", f(4), approximate="tanh"), case("leaky_relu", f(4), 0.2), case("elu", f(4), alpha=0.5), case("celu", f(4), alpha=2.0)
    case("softplus", f(4, scale=5), beta=2.0, threshold=4.0), case("hardtanh", f(4), -0.5, 0.25), case("threshold", f(4), 0.1, 9.0)
    case("prelu", f(2, 3), torch.tensor([0.1, 0.2, 0.3])), case("prelu", f(3), torch.tensor([0.25])), case("dropout", f(3), 0.5, training=False)
    for name, more in [("add", (2,)), ("mul", (f(3),)), ("relu", ()), ("exp", ()), ("clamp", (-1, 1)), ("zero", ()), ("fill", (3,)), ("copy", (f(3),)),
                       ("masked_fill", (b(3), 9.0)), ("div", (2,)), ("floor", ()), ("sigmoid", ()), ("pow", (2,)), ("neg", ()), ("sub", (1,)), ("cumsum", (0,))]:
        case(name + "_", f(2, 3), *more)
    case("add_", i(3), 1.5), case("add_", i(3), 2), case("add_", f(3), f(2, 3)), case("div_", i(2), 2), case("scatter_", f(3), 0, i(2, low=0, high=3), 1.5)
    case("index_add_", f(3, 2), 0, torch.tensor([0, 2, 0]), f(3, 2)), case("fill_diagonal_", f(3, 3), 7.0)


def shapes():
    x = f(2, 3, 4)
    for name, args in [("reshape", (6, -1)), ("reshape", ((4, 6),)), ("view", (2, 12)), ("view", (5, -1)), ("permute", (2, 0, 1)), ("permute", ((1, 0, 2),)),
                       ("transpose", (0, -1)), ("swapaxes", (0, 1)), ("swapdims", (1, 2)), ("movedim", (0, 2)), ("moveaxis", ((0, 1), (1, 0))), ("mT", ()),
                       ("mH", ()), ("adjoint", ()), ("squeeze", ()), ("unsqueeze", (-1,)), ("unsqueeze", (0,)), ("unsqueeze", (5,)), ("flatten", ()), ("flatten", (1,)),
                       ("flatten", (0, 1)), ("ravel", ()), ("unflatten", (2, (2, -1))), ("expand", (5, 2, 3, 4)), ("expand", (-1, 3, 4)), ("expand", (3, 3, 4)),
                       ("narrow", (1, 1, 2)), ("narrow", (-1, 0, 9)), ("select", (1, -1)), ("select", (0, 7)), ("chunk", (2, 2)), ("chunk", (5,)), ("split", (2, 1)),
                       ("split", ([1, 2], 1)), ("split", ([1, 1], 1)), ("tensor_split", (3, 2)), ("tensor_split", ((1, 3), 2)), ("unbind", ()), ("unbind", (1,)),
                       ("diagonal", ()), ("diagonal", (1, 1, 2)), ("size", ()), ("size", (-1,)), ("shape", ()), ("numel", ()), ("dim", ()), ("ndim", ()), ("stride", ()),
                       ("dtype", ()), ("device", ()), ("itemsize", ()), ("nbytes", ()), ("flip", ((0, 2),)), ("flip", (1,)), ("roll", (1, 0)), ("roll", ((1, -2), (0, 2))),
                       ("roll", (5,)), ("rot90", (1, (0, 2))), ("rot90", (2, (0, 1))), ("rot90", (-1, (1, 2))), ("repeat", (2, 1, 1)), ("repeat", (2, 1, 1, 2)),
                       ("repeat", (2,)), ("tile", (2,)), ("repeat_interleave", (2, 1)), ("repeat_interleave", (2,)), ("repeat_interleave", (torch.tensor([1, 0, 2]), 1)),
                       ("unfold", (2, 2, 1)), ("unfold", (1, 2, 3)), ("broadcast_to", ((1, 2, 3, 4),)), ("tril", ()), ("triu", (1,)), ("fliplr", ()), ("flipud", ()),
                       ("nelement", ()), ("is_contiguous", ()), ("contiguous", ()), ("hsplit", (3,)), ("vsplit", (2,)), ("dsplit", (2,))]:
        case(name, x, *args)
    case("squeeze", f(1, 3, 1)), case("squeeze", f(1, 3, 1), 0), case("squeeze", f(1, 3, 1), 1), case("squeeze", f(1, 3, 1), (0, 2)), case("squeeze", f(2), dim=0)
    case("T", f(2, 3)), case("t", f(2, 3)), case("H", f(2, 3)), case("t", f(3)), case("expand_as", f(3), f(2, 3)), case("view_as", f(6), f(2, 3)), case("reshape_as", f(2, 3), f(6))
    case("diagonal", f(3, 4), -1), case("diag", f(3)), case("diag", f(3), 1), case("diag", f(3, 4), -1), case("diag_embed", f(2, 2), -1), case("trace", f(3, 4)), case("trace", i(2, 2))
    case("split", "a b  c"), case("split", "a,b,c", ","), case("split", "a,b,c", ",", 1), case("atleast_1d", f()), case("atleast_2d", f(3))
    y = [f(2, 3), f(2, 3)]
    for name in ["cat", "stack", "hstack", "vstack", "dstack", "column_stack", "concat", "concatenate", "row_stack"]:
        case(name, y)
        if name not in ("stack", "cat", "concat", "concatenate"):
            case(name, [f(3), f(3)])
    case("cat", y, 1), case("cat", (f(2, 3), i(1, 3)), dim=0), case("cat", [f(2), f(2, 2)]), case("stack", y, -1), case("stack", [f(2), f(3)]), case("cat", [])
    case("cat", [f(0), f(3)]), case("meshgrid", i(2), i(3), indexing="ij"), case("meshgrid", i(2), i(3), indexing="xy"), case("cartesian_prod", i(2), i(3))
    case("broadcast_tensors", f(2, 1), f(3)), case("block_diag", f(2, 2), f(1, 3)), case("unbind", f())
    for name, args, kw in [
        ("rearrange", (f(2, 3, 4), "b s d -> s (b d)"), {}), ("rearrange", (f(2, 6), "b (h d) -> b h d"), {"h": 2}), ("rearrange", (f(2, 3, 4), "... d -> d ..."), {}),
        ("rearrange", (f(2, 3), "a b -> a 1 b"), {}), ("rearrange", (f(2, 1, 3), "a 1 b -> b a"), {}), ("rearrange", ([f(2), f(2)], "n d -> d n"), {}),
        ("einops.rearrange", (f(4, 6), "(a b) (c d) -> (a c) (b d)"), {"a": 2, "c": 3}), ("einops.rearrange", (f(2, 3), "a b -> a"), {}), ("rearrange", (f(2, 3), "a b c -> a"), {}),
        ("rearrange", (f(2, 5), "a (b c) -> a b c"), {"b": 2}), ("einops.reduce", (f(2, 3, 4), "b s d -> b d", "mean"), {}), ("einops.reduce", (f(2, 4), "b (s k) -> b s", "max"), {"k": 2}),
        ("einops.reduce", (f(2, 3), "a b -> () b", "sum"), {}), ("einops.reduce", (f(2, 3), "a b ->", "sum"), {}), ("einops.repeat", (f(2, 3), "a b -> a n b"), {"n": 2}),
        ("einops.repeat", (f(3), "d -> (r d)"), {"r": 2}), ("einops.repeat", (f(2, 3), "a b -> b (a c)"), {"c": 2}), ("einops.repeat", (f(2), "a -> a n"), {}),
        ("einops.einsum", (f(2, 3), f(3, 4), "row inner, inner col -> row col"), {}), ("einops.einsum", (f(2, 3, 4), f(3), "... h d, h -> ... d"), {})]:
        case(name, *args, **kw)
    for eq, *ops in [("ij,jk->ik", f(2, 3), f(3, 4)), ("ij,jk", f(2, 3), f(3, 4)), ("bqhd,bkhd->bhqk", f(2, 3, 2, 4), f(2, 3, 2, 4)), ("ii->i", f(3, 3)), ("ii", f(3, 3)),
                     ("i,j->ij", f(2), f(3)), ("...ij,...jk->...ik", f(2, 2, 3), f(2, 3, 1)), ("ij->ji", f(2, 3)), ("ij->", f(2, 3)), ("bi,oi,bo->b", f(2, 3), f(4, 3), f(2, 4)),
                     ("ij,ij->i", f(2, 3), f(2, 3)), ("ij,kj->k", f(2, 3), f(4, 3)), ("ij,jk->iz", f(2, 3), f(3, 4)), ("ij,jk->ik", f(2, 3), f(2, 4)), ("i...,i->...", f(3, 2), f(3))]:
        case("einsum", eq, *ops)


def reductions():
    x = f(2, 3, 4)
    for name in ["sum", "mean", "prod", "amax", "amin", "any", "all", "logsumexp", "std", "var", "norm", "nansum", "nanmean", "count_nonzero"]:
        if name not in ("logsumexp", "amax", "amin"):
            case(name, x)
        case(name, x, 1)
        if name not in ("prod", "any", "all", "norm"):
            case(name, x, (0, -1))
        if name not in ("norm", "count_nonzero", "std", "var"):
            case(name, x, dim=-1, keepdim=True)
    case("sum", i(2, 3)), case("sum", b(4)), case("sum", i(3), dtype=torch.float32), case("mean", i(3)), case("mean", i(3), dtype=torch.float32), case("sum", f(0)), case("mean", f(0))
    case("prod", i(4, low=1)), case("any", i(2, 2)), case("all", f(3)), case("sum", x, 5), case("amax", f(0)), case("sum", f(2, 3).half()), case("mean", f(2, 3).bfloat16(), -1)
    case("sum", x, axis=0), case("mean", x, axis=-1, keepdims=True)
    for name in ["std", "var"]:
        case(name, x, dim=1, correction=0), case(name, x, unbiased=False), case(name, x, dim=(0, 1), keepdim=True), case(name, x, 1, keepdim=True)
    case("var_mean", x, 1), case("std_mean", x, dim=0, correction=0)
    for name in ["max", "min"]:
        case(name, x), case(name, x, 1), case(name, x, dim=-1, keepdim=True), case(name, x, f(4)), case(name, f(0)), case(name, i(3, 2), 0)
    for name in ["argmax", "argmin"]:
        case(name, x), case(name, x, 1), case(name, x, dim=-1, keepdim=True), case(name, i(5), 0)
    case("aminmax", x), case("aminmax", x, dim=0)
    case("norm", x, 1), case("norm", x, p=2, dim=-1), case("norm", x, math.inf), case("norm", x, "fro", (1, 2)), case("norm", x, dim=1, keepdim=True), case("norm", x, 3)
    case("linalg.norm", f(2, 3)), case("linalg.norm", f(2, 3), dim=-1), case("linalg.norm", f(4), ord=1), case("linalg.norm", f(2, 3), 1), case("linalg.norm", f(2, 3), math.inf)
    case("linalg.norm", f(2, 3), "fro"), case("linalg.norm", x, ord=-1, dim=(1, 2), keepdim=True), case("linalg.vector_norm", x), case("linalg.vector_norm", x, 3, 1), case("vector_norm", x, dim=-1)
    for name in ["cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"]:
        case(name, x, 1), case(name, x, -1)
    case("cumsum", i(4), 0), case("cumsum", b(4), 0), case("cumsum", i(4), 0, dtype=torch.float32), case("cumsum", f(), 0)
    case("diff", x), case("diff", x, n=2, dim=1), case("diff", i(5)), case("diff", b(4))
    y = torch.tensor([[3.0, 1.0, 2.0, -1.0], [0.5, 9.0, -2.0, 4.0]])
    for name, args, kw in [("topk", (2,), {}), ("topk", (1,), {"dim": 0, "largest": False}), ("topk", (9,), {}), ("sort", (), {}), ("sort", (0,), {}), ("sort", (), {"descending": True}),
                           ("sort", (-1, True), {}), ("msort", (), {}), ("argsort", (), {}), ("argsort", (), {"dim": 0, "descending": True}), ("kthvalue", (2,), {}), ("kthvalue", (1, 0), {"keepdim": True}),
                           ("kthvalue", (7,), {}), ("median", (), {}), ("median", (1,), {}), ("median", (), {"dim": 0, "keepdim": True}), ("quantile", (0.3,), {}), ("quantile", (0.5,), {"dim": 1}),
                           ("quantile", (torch.tensor([0.1, 0.9]),), {"dim": 0, "keepdim": True}), ("quantile", (0.4,), {"dim": 1, "interpolation": "nearest"}), ("quantile", (2.0,), {}),
                           ("quantile", (0.4,), {"dim": 1, "interpolation": "lower"}), ("quantile", (0.4,), {"dim": 1, "interpolation": "higher"}), ("quantile", (0.4,), {"dim": 1, "interpolation": "midpoint"})]:
        case(name, y, *args, **kw)
    z = torch.tensor([3, 1, 3, 2, 1, 1])
    case("unique", z), case("unique", z, return_inverse=True, return_counts=True), case("unique", y.round()), case("unique_consecutive", z, return_counts=True)
    case("bincount", z), case("bincount", z, minlength=6), case("bincount", z, f(6)), case("bincount", torch.tensor([-1])), case("histc", y, bins=4), case("histc", y, bins=3, min=0, max=4)
    edges = torch.tensor([1.0, 2.0, 3.0])
    case("searchsorted", edges, y), case("searchsorted", edges, y, right=True), case("bucketize", y, edges), case("isin", z, torch.tensor([1, 2])), case("isin", z, torch.tensor([1]), invert=True)


def selection():
    x = f(3, 4)
    for index in [0, -1, slice(1, None), slice(None, None, 2), (slice(None), 1), (Ellipsis, 0), None, (0, 0), [0, 2], ([0, 1], [1, 2]), torch.tensor([2, 0]), x > 0,
                  (slice(None), torch.tensor([1, 1])), (slice(None), slice(None, None, 2)), 9, (0, 0, 0), [True, False, True], slice(-2, 100), torch.tensor(1), (None, Ellipsis, None)]:
        case("getitem", x, index)
    for index, value in [(0, 1.0), (slice(1, None), f(4)), ((slice(None), 0), f(3)), (Ellipsis, 0), (torch.tensor([0, 0, 2]), f(4)), (b(3, 4), 5), ((0, 0), f()), (0, f(3))]:
        case("setitem", f(3, 4), index, value)
    index = torch.tensor([[0, 1, 2, 0], [2, 0, 0, 1]])
    case("gather", x, 0, index), case("gather", x, 1, torch.tensor([[3], [0], [1]])), case("gather", x, 0, torch.tensor([[5]])), case("gather", x, 0, torch.tensor([0]))
    case("take_along_dim", x, torch.tensor([[1], [2], [0]]), 1), case("take_along_dim", x, torch.tensor([5, 0])), case("take", x, torch.tensor([[0, 11], [3, 2]]))
    case("scatter", torch.zeros(3, 4), 0, index, f(2, 4)), case("scatter", torch.zeros(3, 4), 1, torch.tensor([[0], [1], [3]]), 2.0), case("scatter_add", torch.zeros(3, 4), 0, index, f(2, 4))
    case("scatter_reduce", f(3), 0, torch.tensor([0, 0, 1]), f(3), "sum"), case("scatter_reduce", f(3), 0, torch.tensor([0, 0, 1]), f(3), "mean"), case("scatter_reduce", f(3), 0, torch.tensor([0, 0, 1]), f(3), "mean", include_self=False)
    case("index_select", x, 1, torch.tensor([0, 3])), case("index_select", x, 0, torch.tensor([[0]])), case("index_add", x, 1, torch.tensor([0, 0]), f(3, 2)), case("index_add", x, 0, torch.tensor([1]), f(1, 4), alpha=2)
    case("index_copy", x, 0, torch.tensor([2, 0]), f(2, 4)), case("index_fill", x, 1, torch.tensor([1, 2]), -1.0), case("index_put", x, (torch.tensor([0, 0]), torch.tensor([1, 1])), torch.tensor([1.0, 2.0]), accumulate=True)
    case("masked_select", x, x > 0), case("masked_select", x, b(4)), case("masked_scatter", x, x > 0, f(12)), case("nonzero", i(2, 3, low=0, high=2)), case("nonzero", i(2, 3, low=0, high=2), as_tuple=True)
    case("argwhere", b(4)), case("select_scatter", x, f(4), 0, 1), case("slice_scatter", x, f(3, 2), 1, 1, 3), case("renorm", f(2, 3), 2, 0, 1.0)
    case("getattr", x, "shape"), case("getattr", x, "dtype"), case("getattr", x, "T"), case("getattr", x, "ndim"), case("getattr", x, "nope"), case("getattr", 1 + 2j, "imag"), case("getattr", x, "nope", 3)
    for v, k in [([1, 2, 3, 4, 5], 1), ([1, 2, 3], -1), ([1, 2], 5), ((1, 2, 3), slice(1, None)), ("hello", 1), ("hello", slice(1, 4)), ([1, 2, 3, 4, 5], slice(None, None, -1)), ([1, 2, 3, 4, 5], slice(4, 0, -2)), ([1, 2, 3], slice(-9, 9)),
                 ({"a": 1}, "a"), ({"a": 1}, "b"), ({1: "x"}, True), ((1, 2), "a"), (b"abc", 1), (b"abc", slice(0, 2)), ([1, 2], slice(None, None, 0)), ({(1, 2): 3}, (1, 2))]:
        case("getitem", v, k)
    case("setitem", [1, 2, 3], 0, 9), case("setitem", [1, 2, 3, 4], slice(1, 3), [7, 8, 9]), case("setitem", [1, 2, 3, 4], slice(None, None, 2), [5, 6]), case("setitem", [1, 2, 3], slice(3, 1), ["x"]), case("setitem", [1], 4, 0)
    case("setitem", {"a": 1}, "b", 2), case("setitem", {"a": 1}, [1], 2), case("setitem", (1, 2), 0, 3), case("setitem", [1, 2, 3], slice(None, None, 2), [1])
    case("delitem", [1, 2, 3], 1), case("delitem", [1, 2, 3, 4], slice(0, 3, 2)), case("delitem", {"a": 1}, "a"), case("delitem", {"a": 1}, "b"), case("delitem", [], 0)


def linear():
    for name, args, kw in [
        ("matmul", (f(2, 3), f(3, 4)), {}), ("matmul", (f(3), f(3)), {}), ("matmul", (f(2, 2, 3), f(3)), {}), ("matmul", (f(2, 1, 2, 3), f(4, 3, 2)), {}), ("matmul", (f(2, 3), f(2, 3)), {}), ("matmul", (i(2, 3), i(3, 2)), {}),
        ("mm", (f(2, 3), f(3, 1)), {}), ("mm", (f(3), f(3, 1)), {}), ("bmm", (f(2, 2, 3), f(2, 3, 1)), {}), ("mv", (f(2, 3), f(3)), {}), ("dot", (f(3), f(3)), {}), ("vdot", (f(3), f(3)), {}), ("inner", (f(2, 3), f(4, 3)), {}), ("inner", (f(3), f(3)), {}),
        ("outer", (f(2), f(3)), {}), ("ger", (f(2), f(3)), {}), ("addmm", (f(4), f(2, 3), f(3, 4)), {}), ("addmm", (f(2, 4), f(2, 3), f(3, 4)), {"beta": 0.5, "alpha": 2}), ("addmv", (f(2), f(2, 3), f(3)), {}),
        ("baddbmm", (f(2, 2, 4), f(2, 2, 3), f(2, 3, 4)), {"beta": 0}), ("addbmm", (f(2, 4), f(3, 2, 3), f(3, 3, 4)), {}), ("matrix_power", (f(2, 2), 3), {}), ("tensordot", (f(2, 3, 4), f(3, 4, 2)), {}), ("tensordot", (f(2, 3), f(2, 3)), {"dims": ([0], [0])}), ("tensordot", (f(2, 3), f(3, 4)), {"dims": 1}),
        ("kron", (f(2, 2), f(1, 3)), {}), ("kron", (f(2), f(2, 2)), {}), ("cross", (f(2, 3), f(2, 3)), {}), ("cosine_similarity", (f(2, 3), f(2, 3)), {}), ("cosine_similarity", (f(2, 3), f(3)), {"dim": -1}), ("cosine_similarity", (f(3), torch.zeros(3)), {"dim": 0}),
        ("pairwise_distance", (f(2, 3), f(2, 3)), {}), ("dist", (f(3), f(3)), {}), ("dist", (f(3), f(3), 1), {}), ("cdist", (f(2, 3), f(4, 3)), {}), ("cdist", (f(2, 3), f(4, 3)), {"p": 1.0}), ("cov", (f(2, 5),), {}), ("corrcoef", (f(2, 5),), {}),
        ("linear", (f(2, 3), f(4, 3), f(4)), {}), ("linear", (f(3), f(4, 3)), {}), ("linear", (f(2), f(4, 3)), {})]:
        case(name, *args, **kw)


def functional():
    x, labels = f(4, 5), torch.tensor([1, 0, 4, -100])
    for reduction in ["mean", "sum", "none"]:
        case("cross_entropy", x, labels, reduction=reduction), case("nll_loss", x, labels, reduction=reduction), case("cross_entropy", x, labels, weight=u(5), reduction=reduction, label_smoothing=0.1)
        case("cross_entropy", x, x.softmax(1), reduction=reduction), case("mse_loss", f(2, 3), f(2, 3), reduction=reduction), case("l1_loss", f(2, 3), f(2, 3), reduction=reduction)
        case("smooth_l1_loss", f(4, scale=2), f(4), reduction=reduction, beta=0.5), case("huber_loss", f(4, scale=2), f(4), reduction=reduction, delta=0.7)
        case("kl_div", f(2, 3).log_softmax(-1), f(2, 3).softmax(-1), reduction=reduction), case("binary_cross_entropy", u(4), u(4).round(), reduction=reduction)
        case("binary_cross_entropy_with_logits", f(4), u(4), reduction=reduction), case("soft_margin_loss", f(4), f(4).sign(), reduction=reduction)
    case("cross_entropy", f(5), torch.tensor(2)), case("cross_entropy", f(2, 5, 3), i(2, 3, low=0, high=5)), case("cross_entropy", x, torch.tensor([1, 0, 4, 2]), ignore_index=4, weight=u(5)), case("cross_entropy", x, labels[:2]), case("nll_loss", x.log_softmax(1), labels, u(5))
    case("cross_entropy", x, labels, reduction="bad"), case("kl_div", f(2, 3).log_softmax(-1), f(2, 3).log_softmax(-1), reduction="batchmean", log_target=True), case("kl_div", f(3), torch.tensor([0.0, 0.5, 0.5]), reduction="sum")
    case("binary_cross_entropy", u(4), u(4), weight=u(4)), case("binary_cross_entropy_with_logits", f(4), u(4), weight=u(4), pos_weight=u(4)), case("binary_cross_entropy", u(4), u(2))
    case("cosine_embedding_loss", f(2, 3), f(2, 3), torch.tensor([1, -1]), margin=0.1), case("margin_ranking_loss", f(3), f(3), torch.tensor([1, -1, 1]), margin=0.5)
    for name in ["softmax", "log_softmax", "softmin"]:
        case(name, x, -1), case(name, x, 0), case(name, f(2, 2, 2), dim=1)
    case("softmax", f(3).half(), 0, dtype=torch.float32), case("softmax", x, 4), case("glu", f(2, 4)), case("glu", f(3)), case("normalize", x), case("normalize", x, p=1.0, dim=0), case("softmax", torch.tensor([-math.inf, 0.0]), 0)
    case("layer_norm", x, (5,), u(5), f(5)), case("layer_norm", f(2, 3, 4), [3, 4], u(3, 4), f(3, 4), 1e-3), case("layer_norm", x, (4,)), case("layer_norm", x, [5])
    case("rms_norm", x, (5,), u(5), 1e-6), case("rms_norm", x, (5,)), case("group_norm", f(2, 4, 3), 2, u(4), f(4)), case("batch_norm", f(2, 3, 2), f(3), u(3), u(3), f(3)), case("batch_norm", f(4, 3), f(3), u(3), training=True)
    case("embedding", i(2, 3, low=0, high=4), f(4, 2)), case("embedding", f(2), f(4, 2)), case("one_hot", torch.tensor([[0, 2], [1, 1]])), case("one_hot", torch.tensor([1, 0]), 4), case("one_hot", torch.tensor([1, 0]), num_classes=3)
    case("pad", f(2, 3), (1, 2)), case("pad", f(2, 3), (1, 0, 0, 1), value=9.0), case("pad", f(2, 3), (-1, 1)), case("pad", f(1, 2, 4), (2, 1), mode="reflect"), case("pad", f(1, 2, 3), (1, 2), "replicate"), case("pad", f(1, 2, 3), (1, 2), "circular"), case("pad", f(2), (1, 1, 1, 1))
    q = f(1, 2, 3, 4)
    case("scaled_dot_product_attention", q, f(1, 2, 5, 4), f(1, 2, 5, 2)), case("scaled_dot_product_attention", q, q, q, is_causal=True), case("scaled_dot_product_attention", q, q, q, attn_mask=torch.ones(3, 3).tril().bool()), case("scaled_dot_product_attention", q, q, q, attn_mask=f(3, 3), scale=0.3)
    case("scaled_dot_product_attention", f(1, 4, 3, 2), f(1, 2, 3, 2), f(1, 2, 3, 2), enable_gqa=True)


def creation():
    for name in ["zeros", "ones"]:
        case(name, 2, 3), case(name, (2, 3)), case(name, [0]), case(name, 2, dtype=torch.int64), case(name, -1), case(name, size=(2,))
    case("full", (2, 2), 1.5), case("full", [2], 3), case("full", (2,), True), case("full", (2,), 1, dtype=torch.float16), case("zeros_like", i(3)), case("ones_like", f(2, 2), dtype=torch.bool), case("full_like", f(2), 7)
    for args in [(5,), (1, 5), (1, 6, 2), (5, 0, -2), (0.0, 1.0, 0.25), (3.0,), (5, 1), (0,), (2, 2)]:
        case("arange", *args)
    case("arange", 4, dtype=torch.float32), case("arange", start=1, end=4), case("arange", 0, 5, 0), case("arange", end=3)
    case("linspace", 0, 1, 5), case("linspace", -1, 2, 4, dtype=torch.float64), case("linspace", 3, 3, 1), case("linspace", 0, 10, steps=3), case("logspace", 0, 2, 3), case("logspace", 0, 3, 4, 2)
    case("eye", 3), case("eye", 2, 3), case("eye", 2, dtype=torch.int64), case("tril_indices", 3, 3), case("triu_indices", 2, 3, 1), case("tril", f(3, 3), -1), case("tril", f(3)), case("scalar_tensor", 2.5)
    for data in [1, 2.5, True, [1, 2], [1, 2.0], [[1, 2], [3, 4]], [True, False], [], [[]], [[1], [2, 3]], "a", [torch.tensor(1), torch.tensor(2)], (1.5, 2)]:
        case("tensor", data)
    case("tensor", [1, 2], dtype=torch.float64), case("as_tensor", f(2)), case("as_tensor", [1, 2], dtype=torch.float32), case("new_zeros", i(2), 2, 2), case("new_ones", f(2), (3,)), case("new_full", f(2), (2,), 4), case("new_tensor", f(2), [1, 2])
    case("to", f(3), torch.int64), case("to", i(3), torch.float16), case("to", f(3), "cpu"), case("to", f(3), f(2).double()), case("to", f(3), dtype=torch.bool), case("type_as", i(2), f(2)), case("to", f(2), "cpu", torch.float64)
    for name in ["float", "double", "half", "bfloat16", "int", "long", "bool", "byte"]:
        case(name, f(4, scale=3).abs()), case(name, i(3, low=0))
    case("item", f()), case("item", i(1)), case("item", b(1, 1)), case("item", f(2)), case("tolist", i(2, 2)), case("tolist", f(2).double()), case("tolist", b(2)), case("tolist", i()), case("clone", f(2)), case("detach", f(2)), case("cpu", f(2)), case("numpy", f(2))
    case("is_floating_point", f(2)), case("is_floating_point", i(2)), case("is_tensor", f(2)), case("is_tensor", 3), case("is_nonzero", f(1)), case("element_size", i(2)), case("type", f(2)), case("result_type", i(2), 1.5), case("result_type", f(2), f(2).double())


def python():
    for name in ["int", "float", "bool", "str", "repr", "builtins.int", "builtins.float", "builtins.bool"]:
        for x in [3, -2.7, True, "12", " 7 ", "x", 0.1, 1e20, None]:
            if name.split(".")[-1] in ("int", "float") and (x == 1e20 and name != "float"):
                continue
            case(name, x)
    case("int", "ff", 16), case("int", "0b11", 2), case("int", "1_000"), case("builtins.int", f()), case("builtins.float", i()), case("builtins.bool", f(1)), case("builtins.float", f(2)), case("int", math.inf)
    for x in [[1, "a", None], (1,), (), {"a": [1.5]}, {1}, 1 + 2j, -0.0, 2j, b"a\x00'", "it's", "tab\t", slice(1, 2), 1e-7, 1e16, 123456789.123, float("nan"), True]:
        case("str", x), case("repr", x)
    for x, spec in [(3.14159, ".2f"), (3.14159, "8.3f"), (3.14159, "<10.2f"), (-3.5, "+.1f"), (42, "d"), (42, "05d"), (42, "x"), (42, "#b"), (1234567, ","), (1234567.891, ",.2f"), (0.123, ".1%"), (1e-10, "g"), (123456789.0, "g"), (12345.678, ".3e"), ("abc", ">6"),
                    ("abc", "*^7"), ("abcdef", ".3"), (7, "3"), (True, "d"), (2.0, ""), (2.0, ".3"), (12345.0, ".3"), (0.00001, ""), (3, ".2f"), ("a", "d"), (1.5, "d"), (65, "c"), (math.nan, ".2f"), (math.inf, "8"), (-5, "=6d"), (5, " d"), (255, "08b"), (1234, "_"), (0.5, "G"), (100.0, ".4"), (10, "e")]:
        case("format", x, spec)
    case("str.format", "{} and {:.1f}", 1, 2.0), case("str.format", "{1}{0}{{}}", "a", "b"), case("str.format", "{!r:>5}", "a"), case("str.format", "{}"), case("str.format", "{", 1)
    for name, args in [("upper", ("aB c",)), ("lower", ("AbC",)), ("strip", ("  x ",)), ("strip", ("xxaxx", "x")), ("lstrip", (" a ",)), ("rstrip", (" a ",)), ("replace", ("banana", "an", "X")), ("replace", ("aaa", "a", "b", 2)), ("replace", ("ab", "", "-")), ("startswith", ("hello", "he")),
                       ("startswith", ("hello", ("x", "h"))), ("endswith", ("hello", "lo")), ("find", ("hello", "l")), ("find", ("hello", "z")), ("find", ("hello", "l", 3)), ("rfind", ("hello", "l")), ("index", ("hello", "l")), ("index", ("hello", "z")), ("count", ("banana", "a")), ("join", (", ", ["a", "b"])),
                       ("join", ("", [1])), ("splitlines", ("a\nb\n",)), ("title", ("hello wORLD",)), ("capitalize", ("hELLO",)), ("swapcase", ("aB",)), ("isdigit", ("12",)), ("isalpha", ("ab1",)), ("isspace", (" ",)), ("isupper", ("AB",)), ("islower", ("aB",)), ("isalnum", ("a1",)), ("zfill", ("-5", 4)),
                       ("ljust", ("a", 3)), ("rjust", ("a", 3, "-")), ("center", ("ab", 5)), ("center", ("a", 4)), ("removeprefix", ("abc", "ab")), ("removesuffix", ("abc", "bc")), ("encode", ("hé",)), ("decode", (b"h\xc3\xa9",)), ("decode", (b"\xff",)), ("hex", (255,)), ("hex", (-16,)), ("hex", (b"\x01\xff",)),
                       ("ord", ("a",)), ("chr", (233,)), ("chr", (-1,)), ("bytes", ("hi",)), ("bytes", ([1, 255],)), ("bytes", ([256],)), ("bytes", (2,)), ("casefold", ("Ab",))]:
        case(name, *args)
    for name, args in [("append", ([1], 2)), ("extend", ([1], (2, 3))), ("extend", ([1], 5)), ("insert", ([1, 2], 1, "x")), ("insert", ([1, 2], -9, 0)), ("pop", ([1, 2, 3],)), ("pop", ([1, 2, 3], 0)), ("pop", ([],)), ("pop", ({"a": 1}, "a")), ("pop", ({"a": 1}, "b", 5)), ("pop", ({"a": 1}, "b")),
                       ("remove", ([1, 2, 1], 1)), ("remove", ([1], 5)), ("remove", ({1, 2}, 2)), ("reverse", ([1, 2, 3],)), ("list.sort", ([3, 1, 2],)), ("list.sort", (["b", "a"], True)), ("sort", ([2, 1],)), ("list.sort", ([1, "a"],)), ("clear", ([1],)), ("clear", ({1: 2},)), ("copy", ([1, 2],)), ("copy", ({"a": 1},)),
                       ("index", ([1, 2, 3], 2)), ("index", ((1, 2, 1), 1, 1)), ("index", ([1], 9)), ("count", ([1, 2, 1], 1)), ("count", ((1, True, 1.0), 1)), ("get", ({"a": 1}, "a")), ("get", ({"a": 1}, "b")), ("get", ({"a": 1}, "b", 7)), ("keys", ({"a": 1, "b": 2},)), ("values", ({"a": 1},)),
                       ("items", ({"a": 1},)), ("popitem", ({"a": 1, "b": 2},)), ("popitem", ({},)), ("setdefault", ({"a": 1}, "b", 2)), ("setdefault", ({"a": 1}, "a", 2)), ("update", ({"a": 1}, {"a": 2, "c": 3})), ("update", ({1}, [2, 3])), ("set.add", ({1}, 2)), ("set.add", ({1}, [2])), ("discard", ({1}, 1)),
                       ("discard", ({1}, 4)), ("union", ({1}, {2}, [3])), ("intersection", ({1, 2}, {2, 3})), ("difference", ({1, 2}, {2})), ("symmetric_difference", ({1, 2}, {2, 3})), ("issubset", ({1}, {1, 2})), ("issuperset", ({1, 2}, {1})), ("isdisjoint", ({1}, {2})), ("list", ((1, 2),)), ("list", ("ab",)), ("list", ()),
                       ("tuple", ([1, 2],)), ("dict", ([(1, 2), ("a", 3)],)), ("dict", ([1],)), ("set", ([1, 1, 2.0],)), ("set", ([[1]],)), ("len", ([1, 2],)), ("len", ("abc",)), ("len", ({1: 2},)), ("len", ({1},)), ("len", (3,)), ("contains", ([1, 2], 2)), ("contains", ("abc", "bc")), ("contains", ({"a": 1}, "a")),
                       ("contains", ({1}, 2)), ("contains", ((1, 2), 3)), ("contains", ("abc", 1)), ("range", (4,)), ("range", (1, 4)), ("range", (5, 0, -2)), ("range", (0, 3, 0)), ("enumerate", (["a", "b"],)), ("enumerate", (["a"], 5)), ("zip", ([1, 2], "ab")), ("zip", ([1, 2], [3])), ("zip", ()), ("sorted", ([3, 1, 2],)),
                       ("sorted", ([(1, "b"), (1, "a")],)), ("sorted", ("bca",)), ("reversed", ([1, 2],)), ("builtins.sum", ([1, 2.5],)), ("builtins.sum", ([1], 10)), ("builtins.sum", (["a"],)), ("builtins.max", ([1, 3, 2],)), ("builtins.max", (1, 5)), ("builtins.min", ("b", "a")), ("builtins.min", ([],)), ("builtins.any", ([0, ""],)),
                       ("builtins.any", ([0, 1],)), ("builtins.all", ([1, 0],)), ("builtins.all", ([],)), ("slice", (1, 2, 3)), ("complex", (1, 2)), ("complex", (1j, 1j)), ("conjugate", (1 + 2j,)), ("conj", (2 + 1j,)), ("is_integer", (2.0,)), ("bit_length", (-5,))]:
        case(name, *args)
    case("builtins.min", [], default=4), case("sorted", [1, 3, 2], reverse=True), case("builtins.sum", [f(2), f(2)]), case("list", f(2, 2)), case("len", f(3, 2)), case("len", f()), case("contains", i(3, low=0, high=2), 1), case("contains", [1, 2], f())
    case("set", ["a", "b", "a"]), case("eq", {"a": [1, (2,)]}, {"a": [1, (2,)]}), case("eq", {1, 2}, {2, 1}), case("sum", [1, 2]), case("max", [1, 2]), case("min", (3, 2)), case("any", [0]), case("all", [1])
    for name in ["sqrt", "exp", "log", "log2", "log10", "sin", "cos", "tan", "floor", "ceil", "trunc", "fabs", "log1p", "expm1", "tanh", "atan", "degrees", "radians", "isnan", "isfinite", "isinf", "sinh", "cosh"]:
        case("math." + name, 2.3), case("math." + name, 4), case("math." + name, -1.5)
    for name, args in [("log", (8, 2)), ("pow", (2, 0.5)), ("atan2", (1, 2)), ("hypot", (3, 4)), ("fmod", (-7, 3)), ("copysign", (1, -2)), ("isclose", (1.0, 1.0 + 1e-12)), ("gcd", (12, -18)), ("factorial", (5,)), ("comb", (10, 3)), ("prod", ([2, 3.5],)), ("fsum", ([0.5, 0.25],)), ("sqrt", (torch.tensor(4.0),)), ("log", (0,)), ("floor", (math.inf,))]:
        case("math." + name, *args)
    for name, args in [("bitwise_left_shift", (i(3, low=0), 1)), ("bitwise_right_shift", (i(3), i(3, low=0, high=3))), ("pos", (f(2),)), ("pos", (-3,)), ("astype", (f(2), torch.int64)), ("split_with_sizes", (f(4), [1, 3])), ("ndimension", (f(2, 2),)),
                       ("isnumeric", ("12",)), ("isnumeric", ("a",)), ("math.asin", (0.5,)), ("math.acos", (0.5,)), ("math.asin", (2.0,))]:
        case(name, *args)
    case("collate", [1, 2]), case("collate", [1.5, 2.5]), case("collate", ["a", "b"]), case("collate", [(1, "x"), (2, "y")]), case("collate", [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}]), case("collate", [f(2), f(2)]), case("collate", [f(2), f(3)])


def main():
    for part in [arithmetic, pointwise, shapes, reductions, selection, linear, functional, creation, python]:
        part()
    lines = [json.dumps(c, separators=(",", ":"), ensure_ascii=False) for c in CASES]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    names = {c[0] for c in CASES}
    print(len(CASES), "cases of", len(names), "operations,", OUT.stat().st_size, "bytes")
    for c in CASES:
        if c[3] == {"error": 1}:
            print("refused:", c[0], str(c[1])[:90])


if __name__ == "__main__":
    main()
