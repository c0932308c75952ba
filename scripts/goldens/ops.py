"""What PyTorch computes for small programs over the tensor crate's vocabulary.

Run by hand with PyTorch 2.6; writes `crates/tensor/tests/goldens/*.json`, which `crates/tensor/tests/goldens.rs` reads.
A case is a list of inputs, a list of steps `[operation, operands, arguments]` whose results are numbered after the
inputs, the numbers of the results to compare, what they are, and, for floating results, the gradients of their weighted
sum at each input. A tensor is written `type[sizes] elements`. A case with `error` must be refused, with that kind of
error if it is named.
"""

import json
import math
import pathlib
import re
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F

from vocabulary import DTYPES, LOGICAL, OPS, UNARY, attention, index_items

SEED = 20
OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/tensor/tests/goldens"
RNG = np.random.default_rng(SEED)
torch.set_num_threads(1)
warnings.filterwarnings("ignore")

NAMES = {v: k for k, v in DTYPES.items()}
INF, NAN = math.inf, math.nan


def show(t):
    """A tensor as text: its type, sizes and elements."""
    t = t.detach().cpu()
    name = NAMES[t.dtype]
    if t.dtype in (torch.float16, torch.bfloat16, torch.float32):
        items = [np.format_float_positional(x, unique=True, trim="-") if 1e-4 <= abs(x) < 1e7 or x == 0 else
                 np.format_float_scientific(x, unique=True, trim="-") for x in t.float().numpy().ravel()]
    elif t.dtype == torch.float64:
        items = [repr(float(x)) for x in t.numpy().ravel()]
    else:
        items = [str(int(x)) for x in t.numpy().ravel()]
    return f"{name}{list(t.shape)} {' '.join(items)}".replace(", ", ",").rstrip()


def plain(x):
    """An argument as JSON can hold it."""
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    if isinstance(x, (list, tuple)):
        return [plain(i) for i in x]
    if x is Ellipsis:
        return "..."
    return x


def weights(t):
    """Weights of a result's elements, for a loss: quarters from -1.5 to 1.5."""
    return ((torch.arange(t.numel()) * 7 % 13 - 6) / 4).reshape(t.shape).to(t.dtype)


class Theme:
    """The cases of one file."""

    def __init__(self, name):
        self.name, self.cases = name, []

    def case(self, name, inputs, *steps, out=None, grads=True, tol=None, error=None):
        """Runs the steps and records what they give; what PyTorch refuses is recorded as an error."""
        steps = [list(s) for s in steps]
        record = {"name": name, "in": [show(t) for t in inputs], "steps": plain(steps)}
        wide = (torch.float32, torch.float64)
        leaves = [t.clone().requires_grad_(t.dtype in wide) for t in inputs]
        values = list(leaves)
        try:
            for op, operands, *args in steps:
                result = OPS[op]([values[i] for i in operands], args)
                if isinstance(result, torch.Tensor):
                    result = [result]
                first = len(values)
                values.extend(result)
        except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError) as e:
            record["error"] = error or ""
            record["torch"] = re.sub(r"\s+", " ", str(e).splitlines()[0])[:60]
            self.cases.append(record)
            return
        assert error is None, f"{name}: PyTorch accepts this"
        out = list(range(first, len(values))) if out is None else out
        record["out"] = out
        if len(values) != len(inputs) + len(steps):
            record["count"] = len(values)
        record["is"] = [show(values[i]) for i in out]
        floats = [values[i] for i in out if values[i].requires_grad]
        if any(s[0].endswith("floor_divide") for s in steps):
            grads = False
        if grads and floats:
            loss = sum((t * weights(t)).sum() for t in floats)
            asked = [t for i, t in enumerate(leaves) if t.requires_grad and (grads is True or i in grads)]
            found = iter(torch.autograd.grad(loss, asked, allow_unused=True))
            # What is not asked for is `false`, what has no gradient `null`.
            asked = [any(t is u for u in asked) for t in leaves]
            grads = [next(found) if a else False for a in asked]
            record["grads"] = [g if g is None or g is False else show(g) for g in grads]
        if tol is not None:
            record["tol"] = tol
        self.cases.append(record)

    def write(self):
        head = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__, "script": "scripts/goldens/ops.py",
                "seed": SEED}
        lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in self.cases)
        text = json.dumps(head)[:-1] + ',"cases":[\n' + lines + "\n]}\n"
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / f"{self.name}.json").write_text(text)
        print(f"{self.name}: {len(self.cases)} cases, {len(text) // 1024} KiB")


def normal(*shape, dtype="f32", scale=1.0):
    return torch.tensor(np.round(RNG.normal(size=shape) * scale, 2)).to(DTYPES[dtype])


def ints(low, high, *shape, dtype="i64"):
    return torch.tensor(RNG.integers(low, high, size=shape)).to(DTYPES[dtype])


def distinct(*shape, dtype="f32"):
    n = math.prod(shape)
    return torch.tensor(RNG.permutation(n).reshape(shape) / 4 - n / 8).to(DTYPES[dtype])


def tensor(data, dtype="f32"):
    return torch.tensor(data, dtype=DTYPES[dtype])


WILD = [NAN, INF, -INF, -0.0, 0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, -3.7, 1e-30, 1e30, 88.0, -100.0, 7.0]


def elementwise():
    t = Theme("elementwise")
    for op in UNARY:
        wild = WILD if op != "gelu" else [x for x in WILD if not math.isinf(x)]
        t.case(f"{op} of special f32", [tensor(wild)], [op, [0]], grads=False)
        t.case(f"{op} of special f64", [tensor(WILD, "f64")], [op, [0]], grads=False)
        positive = op in ("log", "log1p", "sqrt", "rsqrt")
        x = normal(3, 4) if not positive else normal(3, 4).abs() + 0.25
        t.case(f"{op} of a transposed slice", [x], ["transpose", [0], 0, 1], ["index", [1], [[1, None, 2]]], [op, [2]])
        t.case(f"{op} of flipped f64", [x[:2].double()], ["flip", [0], [0, 1]], [op, [1]])
        t.case(f"{op} at zero and one", [tensor([0.0, 1.0, 0.5])], [op, [0]])
        t.case(f"{op} of nothing", [torch.zeros(2, 0)], [op, [0]], grads=False)
        t.case(f"{op} of one number", [tensor(0.75)], [op, [0]])
        for d in ("bf16", "f16"):
            t.case(f"{op} of {d}", [normal(6, dtype=d)], [op, [0]])
        for d, data in (("i64", [-3, 0, 5]), ("i32", [-3, 0, 5]), ("u8", [0, 1, 200]), ("bool", [True, False])):
            t.case(f"{op} of {d}", [tensor(data, d)], [op, [0]])
    # A deliberate difference, listed in the harness.
    t.case("gelu of infinity", [torch.full((16,), INF)], ["gelu", [0]], grads=False)
    ops = ["add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "pow", "maximum", "minimum", "atan2",
           "eq", "ne", "lt", "le", "gt", "ge"]
    special = tensor(WILD[:12] + [3.0])
    for op in ops:
        pairs = [special.reshape(13, 1), special[[0, 1, 2, 3, 4, 6, 8, 10, 12]]]
        t.case(f"{op} of special f32", pairs, [op, [0, 1]], grads=False)
        t.case(f"{op} of special f64", [p.double() for p in pairs], [op, [0, 1]], grads=False)
        x, y = normal(2, 3) + (3 if op == "pow" else 0), normal(3, 1, 3)
        t.case(f"{op} broadcast", [x, y], [op, [0, 1]])
        t.case(f"{op} of views", [distinct(3, 2) + 2.1, distinct(2, 3) + 2.6], ["transpose", [0], 0, 1],
               ["flip", [1], [1]], [op, [2, 3]])
        t.case(f"{op} f64", [x.double(), y[0].double()], [op, [0, 1]])
        t.case(f"{op} of nothing", [torch.zeros(0, 3), torch.ones(1)], [op, [0, 1]], grads=False)
        t.case(f"{op} of one number", [tensor(2.5), tensor(1.5)], [op, [0, 1]])
        for d in ("bf16", "f16"):
            t.case(f"{op} {d}", [normal(5, dtype=d) + 2, normal(5, dtype=d)], [op, [0, 1]], grads=False)
        if op != "atan2":
            a, b = tensor([7, -7, 7, -7, 0, 6, -6], "i64"), tensor([2, 2, -2, -2, 3, 3, 3], "i64")
            t.case(f"{op} i64", [a, b], [op, [0, 1]])
            t.case(f"{op} i32", [a.int(), b.int()], [op, [0, 1]])
            t.case(f"{op} u8", [tensor([7, 250, 0, 200], "u8"), tensor([2, 10, 3, 200], "u8")], [op, [0, 1]])
        t.case(f"{op} bool", [tensor([True, True, False, False], "bool"), tensor([True, False, True, False], "bool")],
               [op, [0, 1]])
    for op in ("eq", "maximum", "pow"):
        t.case(f"{op} of equals", [tensor([1.0, 2.0, -1.0]), tensor([1.0, 3.0, -1.0])], [op, [0, 1]])
    t.case("pow at zero", [tensor([0.0, 0.0, 2.0]), tensor([0.0, 2.0, 0.0])], ["pow", [0, 1]])
    for op in ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"):
        for d in ("u8", "i32", "i64", "bool", "f32"):
            a, b = (ints(0, 2, 6), ints(0, 2, 6)) if d == "bool" else (ints(-90, 90, 6), ints(0, 6, 6))
            t.case(f"{op} {d}", [a.to(DTYPES[d]), b.to(DTYPES[d])], [op, [0, 1]])
    t.case("shifts too far", [tensor([5, -5, 5, -5], "i32"), tensor([40, 40, 32, 31], "i32")],
           ["bitwise_left_shift", [0, 1]], ["bitwise_right_shift", [0, 1]], out=[2, 3])
    t.case("a negative shift", [tensor([5, -5], "i64"), tensor([-1, -1], "i64")],
           ["bitwise_left_shift", [0, 1]], ["bitwise_right_shift", [0, 1]], out=[2, 3])
    for op in LOGICAL:
        t.case(f"{op} of numbers", [tensor([0.0, 0.5, NAN]), tensor([[0], [3]], "i64")], [op, [0, 1]])
    for op in ("floor_divide", "remainder", "fmod"):
        zero = [tensor([4, 1], "i64"), tensor([1, 0], "i64")]
        t.case(f"{op} by zero", zero, [op, [0, 1]], error="DivisionByZero")
    for d in ("f32", "i64", "bool", "bf16"):
        x, y = normal(2, 3).to(DTYPES[d]), normal(3).to(DTYPES[d])
        t.case(f"where {d}", [tensor([[True], [False]], "bool"), x, y], ["where", [0, 1, 2]])
    t.case("where promotes", [tensor([True, False], "bool"), ints(0, 9, 2), normal(2)], ["where", [0, 1, 2]])
    t.case("where with 0-dim", [tensor([True, False], "bool"), normal(2, dtype="f16"), tensor(2.0)],
           ["where", [0, 1, 2]])
    t.case("where not bool", [tensor([1.0, 0.0]), normal(2), normal(2)], ["where", [0, 1, 2]], error="Type")
    for value in (0, 2.5, -INF):
        t.case(f"masked_fill {value}", [normal(2, 3), tensor([True, False, True], "bool")],
               ["masked_fill", [0, 1], value])
    t.case("masked_fill i64", [ints(0, 9, 4), tensor([True, False, True, False], "bool")], ["masked_fill", [0, 1], 7])
    for low, high in ((-0.5, 0.5), (None, 0.5), (0, None), (1, -1)):
        t.case(f"clamp {low} {high}", [normal(2, 5)], ["clamp", [0], low, high])
    t.case("clamp special", [tensor(WILD)], ["clamp", [0], -1.0, 1.0], grads=False)
    t.case("clamp at the bounds", [tensor([-1.0, 0.0, 1.0])], ["clamp", [0], -1, 1])
    t.case("clamp i64", [ints(-9, 9, 6)], ["clamp", [0], -3, 3])
    t.case("clamp i64 by floats", [ints(-9, 9, 6)], ["clamp", [0], -2.5, 2.5])
    for beta, threshold in ((1.0, 20.0), (2.0, 5.0)):
        t.case(f"softplus {beta}", [normal(2, 4, scale=8)], ["softplus", [0], beta, threshold])
    t.case("softplus bf16", [normal(4, dtype="bf16")], ["softplus", [0], 1.0, 20.0])
    sources = {"bool": [True, False], "u8": [0, 1, 255], "i32": [-7, 0, 300], "i64": [-7, 0, 16777217, 65505]}
    for a in DTYPES:
        data = sources.get(a, [0.0, -0.0, 1.5, -2.75, 100.3, 0.3])
        for b in DTYPES:
            t.case(f"cast {a} to {b}", [tensor(data, a)], ["cast", [0], b])
    t.case("cast special to halves", [tensor([NAN, INF, -INF, 70000.0, 1e-8, 65519.0, 65520.0, 1.00390625])],
           ["cast", [0], "f16"], ["cast", [0], "bf16"], ["cast", [0], "bool"], out=[1, 2, 3], grads=False)
    t.write()


def promotion():
    t = Theme("promotion")
    def some(d, dims):
        x = tensor([1, 0, 2] if d != "bool" else [1, 0, 1], d)
        return x if dims else x[2].clone()
    for a in DTYPES:
        for b in DTYPES:
            t.case(f"{a} + {b}", [some(a, 1), some(b, 1)], ["add", [0, 1]], grads=False)
            t.case(f"{a} + 0-dim {b}", [some(a, 1), some(b, 0)], ["add", [0, 1]], grads=False)
            t.case(f"0-dim {a} * 0-dim {b}", [some(a, 0), some(b, 0)], ["mul", [0, 1]], grads=False)
            t.case(f"{a} / 0-dim {b}", [some(a, 1), some(b, 0)], ["div", [0, 1]], grads=False)
            t.case(f"{a} < {b}", [some(a, 1), some(b, 0)], ["lt", [0, 1]], grads=False)
            t.case(f"cat {a} {b}", [some(a, 1), some(b, 1)], ["cat", [0, 1], 0], grads=False)
            if a != b:
                t.case(f"matmul {a} {b}", [some(a, 1), some(b, 1)], ["matmul", [0, 1]], grads=False)
        for s in (True, 2, 2.5):
            for op in ("add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "pow", "eq", "gt",
                       "bitwise_and"):
                if (a, op, s) != ("bool", "pow", True):  # PyTorch allows this power alone.
                    t.case(f"{a} {op} {s}", [some(a, 1)], [op, [0], s], grads=False)
            for op in ("add", "sub", "div", "pow", "lt"):
                x = some(a, 1)
                t.case(f"{s} {op} {a}", [x if op != "div" else x[[0, 2]]], ["scalar_" + op, [0], s], grads=False)
            t.case(f"0-dim {a} mul {s}", [some(a, 0)], ["mul", [0], s], grads=False)
            t.case(f"0-dim {a} eq {s}", [some(a, 0)], ["eq", [0], s], grads=False)
    for op in ("floor_divide", "remainder", "bitwise_and", "bitwise_left_shift", "bitwise_right_shift"):
        t.case(f"7 {op} i64", [tensor([1, 2, 3], "i64")], ["scalar_" + op, [0], 7])
    for s in (2.5, -1.5, 0.5):
        for op in ("add", "sub", "mul", "div", "pow", "floor_divide", "remainder", "fmod"):
            t.case(f"gradient of {op} {s}", [distinct(2, 3).abs() + 1.1], [op, [0], s])
        for op in ("sub", "div", "pow"):
            if op != "pow" or s > 0:
                t.case(f"gradient of {s} {op}", [distinct(2, 3).abs() + 1.1], ["scalar_" + op, [0], s])
    for s in (2, 0, 1, 3, -1, -2):
        t.case(f"gradient of pow {s}", [tensor([0.0, -1.5, 2.0])], ["pow", [0], s])
    t.case("i64 to a negative power", [tensor([1, 2, -1], "i64")], ["pow", [0], -2], error="Argument")
    t.case("i64 to negative powers", [tensor([1, 2, -1, -1], "i64"), tensor([-2, -2, -2, -3], "i64")], ["pow", [0, 1]])
    t.case("u8 wraps", [tensor([200, 255], "u8")], ["add", [0], 100], ["mul", [1], 3], out=[1, 2])
    t.case("a number too large for u8", [tensor([200, 255], "u8")], ["add", [0], 300])
    t.write()


def reductions():
    t = Theme("reduce")
    x = distinct(2, 3, 4)
    many = [[], [0], [-1], [0, 2], [1, 2], [0, 1, 2]]
    for op in ("sum", "prod", "amax", "amin", "any", "all", "mean"):
        for dims in many:
            for keep in (False, True):
                t.case(f"{op} {dims} {keep}", [x if op != "prod" else normal(2, 3, 4)], [op, [0], dims, keep],
                       grads=op in ("amax", "amin") or not keep)
        t.case(f"{op} of a view", [distinct(4, 3)], ["transpose", [0], 0, 1], ["flip", [1], [1]], [op, [2], [0], False])
        t.case(f"{op} of one number", [tensor(1.5)], [op, [0], [], False])
        t.case(f"{op} of one number, dim 0", [tensor(1.5)], [op, [0], [0], True])
        t.case(f"{op} of nothing", [torch.zeros(2, 0, 3)], [op, [0], [1], False])
        t.case(f"{op} beside nothing", [torch.zeros(2, 0, 3)], [op, [0], [0], False])
        t.case(f"{op} with NaN", [tensor([[1, NAN, 2], [INF, 0, -INF]])], [op, [0], [1], False], grads=False)
        for d in ("bool", "u8", "i32", "i64", "bf16", "f16", "f64"):
            y = ints(0, 2, 2, 3).to(DTYPES[d]) if d == "bool" else ints(1, 4, 2, 3).to(DTYPES[d])
            t.case(f"{op} {d}", [y], [op, [0], [1], False])
            t.case(f"{op} all {d}", [y], [op, [0], [], False])
        t.case(f"{op} of a wrong dimension", [normal(2, 3)], [op, [0], [2], False], error="Dimension")
        t.case(f"{op} of a dimension twice", [normal(2, 3)], [op, [0], [0, -2], False], error="Argument")
    t.case("ties of amax", [tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])], ["amax", [0], [1], False])
    t.case("sum of many", [torch.full((3000,), 0.1)], ["sum", [0], [], False], grads=False)
    t.case("prod with zeros", [tensor([[2.0, 0.0, 3.0], [0.0, 0.0, 3.0]])], ["prod", [0], [1], False])
    for op in ("var", "std"):
        for dims in many:
            t.case(f"{op} {dims}", [normal(2, 3, 4)], [op, [0], dims, 1.0, False])
        t.case(f"{op} uncorrected, kept", [normal(2, 5)], [op, [0], [-1], 0.0, True])
        t.case(f"{op} of one element", [normal(3, 1)], [op, [0], [1], 1.0, False], grads=False)
        t.case(f"{op} f64", [normal(2, 5, dtype="f64")], [op, [0], [1], 1.0, False])
        t.case(f"{op} bf16", [normal(2, 5, dtype="bf16")], [op, [0], [1], 1.0, False])
        t.case(f"{op} i64", [ints(0, 4, 3)], [op, [0], [], 1.0, False])
        t.case(f"{op} of equals", [torch.ones(2, 3)], [op, [0], [1], 1.0, False])
    for p in (2.0, 1.0, 0.0, 3.0, INF, -INF, 0.5):
        t.case(f"norm {p}", [distinct(3, 4) + 0.1], ["norm", [0], p, [1], False])
        t.case(f"norm {p} of all, kept", [distinct(3, 4) + 0.1], ["norm", [0], p, [], True])
    t.case("norm at zero", [torch.zeros(2, 3)], ["norm", [0], 2.0, [1], False])
    t.case("norm bf16", [normal(2, 5, dtype="bf16")], ["norm", [0], 2.0, [1], False])
    t.write()


def order():
    t = Theme("order")
    ties = tensor([[1.0, 3.0, 3.0, 2.0], [0.0, -0.0, -1.0, -1.0], [NAN, 1.0, NAN, INF]])
    for op in ("argmax", "argmin"):
        for dim in (None, 0, -1):
            for keep in (False, True):
                t.case(f"{op} {dim} {keep}", [distinct(2, 3, 2)], [op, [0], dim, keep])
        t.case(f"{op} of ties and NaN", [ties], [op, [0], 1, False])
        t.case(f"{op} of one number", [tensor(1.0)], [op, [0], None, False])
        t.case(f"{op} of one number, dim 0", [tensor(1.0)], [op, [0], 0, False])
        t.case(f"{op} of nothing", [torch.zeros(0)], [op, [0], None, False], error="Shape")
        t.case(f"{op} along nothing", [torch.zeros(2, 0)], [op, [0], 1, False], error="Shape")
        t.case(f"{op} i64 flipped", [ints(0, 50, 7)], ["flip", [0], [0]], [op, [1], 0, False])
        t.case(f"{op} bf16", [distinct(7, dtype="bf16")], [op, [0], 0, False])
    for op in ("max", "min"):
        for dim in (0, 1, -1):
            t.case(f"{op} {dim}", [distinct(2, 3, 2)], [op, [0], dim, dim == 1])
        t.case(f"{op} with NaN", [ties[:, 1:3]], [op, [0], 1, False], grads=False)
        t.case(f"{op} bool", [tensor([[True, False], [False, False]], "bool")], [op, [0], 1, False])
    for desc in (False, True):
        t.case(f"argsort {desc} of ties and NaN", [ties], ["argsort", [0], 1, desc])
        t.case(f"sort {desc} dim 0", [distinct(4, 2)], ["sort", [0], 0, desc])
        t.case(f"sort {desc} of a flipped view", [distinct(3, 4)], ["flip", [0], [1]], ["sort", [1], -1, desc])
        t.case(f"sort {desc} of ties and NaN", [ties], ["sort", [0], 1, desc], grads=False)
        t.case(f"sort {desc} of one number", [tensor(1.0)], ["sort", [0], 0, desc])
        for d in ("i64", "u8", "bool", "f16"):
            t.case(f"sort {desc} {d}", [ints(0, 5, 8).to(DTYPES[d])], ["sort", [0], 0, desc])
    t.case("sort of nothing", [torch.zeros(2, 0)], ["sort", [0], 1, False])
    for largest in (True, False):
        t.case(f"topk {largest}", [distinct(3, 5)], ["topk", [0], 3, -1, largest])
        t.case(f"topk {largest} dim 0", [distinct(4, 3)], ["topk", [0], 2, 0, largest])
        t.case(f"topk {largest} NaN", [tensor([1.0, NAN, 3.0, -INF])], ["topk", [0], 3, 0, largest], grads=False)
        t.case(f"topk {largest} i64", [ints(0, 2, 1) + torch.arange(6)], ["topk", [0], 6, 0, largest])
    t.case("topk of none", [distinct(3)], ["topk", [0], 0, 0, True])
    t.case("topk too many", [distinct(3)], ["topk", [0], 4, 0, True], error="Argument")
    for op in ("cumsum", "cumprod", "cummax", "cummin"):
        for dim in (0, 1, -1):
            t.case(f"{op} {dim}", [distinct(2, 3, 2) if "m" in op[3] else normal(2, 3, 2)], [op, [0], dim])
        t.case(f"{op} of a view", [distinct(3, 4)], ["transpose", [0], 0, 1], ["flip", [1], [0]], [op, [2], 0])
        t.case(f"{op} special", [tensor([1.0, NAN, 2.0, INF, -INF])], [op, [0], 0], grads=False)
        t.case(f"{op} of one number", [tensor(2.0)], [op, [0], 0])
        t.case(f"{op} of nothing", [torch.zeros(2, 0)], [op, [0], 1])
        for d in ("bool", "u8", "i32", "bf16", "f64"):
            t.case(f"{op} {d}", [ints(0, 2, 5).to(DTYPES[d])], [op, [0], 0])
    t.case("cumprod with zeros", [tensor([2.0, 0.0, 3.0, 0.0, 4.0])], ["cumprod", [0], 0])
    t.case("cummax of ties", [tensor([2.0, 2.0, 1.0, 3.0, 3.0])], ["cummax", [0], 0])
    t.write()


def norms():
    t = Theme("norm")
    for op in ("softmax", "log_softmax"):
        for dim in (0, 1, -1):
            t.case(f"{op} {dim}", [normal(2, 3, 4)], [op, [0], dim])
        t.case(f"{op} special", [tensor([[1, INF, 0], [NAN, 0, 1], [-INF, 0, 1], [-INF, -INF, -INF], [1e30, 1, 0]])],
               [op, [0], 1], grads=False)
        t.case(f"{op} of a view", [normal(4, 3)], ["transpose", [0], 0, 1], ["flip", [1], [1]], [op, [2], -1])
        t.case(f"{op} of one number", [tensor(3.0)], [op, [0], 0])
        t.case(f"{op} of nothing", [torch.zeros(2, 0)], [op, [0], 1])
        for d in ("f64", "bf16", "f16", "i64"):
            t.case(f"{op} {d}", [normal(2, 5, scale=3).to(DTYPES[d])], [op, [0], 1])
    for dims in ([], [0], [-1], [0, 1]):
        t.case(f"logsumexp {dims}", [normal(2, 3, 2)], ["logsumexp", [0], dims, len(dims) == 1])
    t.case("logsumexp special", [tensor([[1, INF, 0], [NAN, 0, 1], [-INF, 0, 1], [-INF, -INF, -INF], [500, 500, 0]])],
           ["logsumexp", [0], [1], False], grads=False)
    t.case("logsumexp of nothing", [torch.zeros(2, 0)], ["logsumexp", [0], [1], False], grads=False)
    for w, b in ((1, 1), (1, 0), (0, 0)):
        for d in ("f32", "f64", "bf16"):
            inputs = [normal(2, 3, 8, dtype=d)] + [normal(8, dtype=d)] * w + [normal(8, dtype=d)] * b
            t.case(f"layer_norm {w} {b} {d}", inputs, ["layer_norm", list(range(len(inputs))), 1e-5, bool(w), bool(b)],
                   tol=1e-10 if d == "f64" else None)
    t.case("layer_norm of a constant", [torch.ones(1, 4), normal(4), normal(4)],
           ["layer_norm", [0, 1, 2], 1e-5, True, True])
    t.case("layer_norm of nothing", [torch.zeros(0, 4), normal(4), normal(4)],
           ["layer_norm", [0, 1, 2], 1e-5, True, True], grads=False)
    t.case("layer_norm of a wrong weight", [normal(2, 3), normal(2)], ["layer_norm", [0, 1], 1e-5, True, False],
           error="Shape")
    for offset, first in ((0.0, True), (1.0, False), (0.0, False)):
        for d in ("f32", "f64", "bf16", "f16"):
            t.case(f"rms_norm {offset} {first} {d}", [normal(2, 3, 8, dtype=d), normal(8, dtype=d)],
                   ["rms_norm", [0, 1], 1e-6, offset, first], tol={"f64": 1e-10, "f32": None}.get(d, 0.0))
    for reduction in ("none", "mean", "sum"):
        t.case(f"cross_entropy {reduction}", [normal(4, 5), ints(0, 5, 4)], ["cross_entropy", [0, 1], -100, reduction])
        t.case(f"cross_entropy {reduction} ignoring", [normal(4, 5), tensor([0, 2, 2, 4], "i64")],
               ["cross_entropy", [0, 1], 2, reduction])
        t.case(f"cross_entropy {reduction} with positions", [normal(2, 5, 3), tensor([[0, -100, 2], [1, 1, 4]], "i64")],
               ["cross_entropy", [0, 1], -100, reduction])
        t.case(f"cross_entropy {reduction} of one", [normal(5), tensor(3, "i64")],
               ["cross_entropy", [0, 1], -100, reduction])
        t.case(f"cross_entropy {reduction} ignoring all", [normal(2, 3), tensor([-100, -100], "i64")],
               ["cross_entropy", [0, 1], -100, reduction], grads=reduction != "mean")
    t.case("cross_entropy of a class too large", [normal(2, 3), tensor([0, 3], "i64")],
           ["cross_entropy", [0, 1], -100, "mean"], error="IndexValue")
    t.case("cross_entropy of a wrong shape", [normal(2, 3), tensor([0, 1, 2], "i64")],
           ["cross_entropy", [0, 1], -100, "mean"], error="Shape")
    t.write()


def contractions():
    t = Theme("contract")
    shapes = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((2, 2, 3), (3,)), ((3,), (2, 3, 2)),
              ((2, 2, 3), (3, 4)), ((2, 3), (2, 3, 4)), ((2, 2, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 2)),
              ((1, 2, 3), (4, 3, 1)), ((2, 0), (0, 3)), ((0, 3), (3, 2)), ((2, 2, 0), (0, 3)), ((1, 1), (1, 1))]
    for a, b in shapes:
        t.case(f"matmul {list(a)} {list(b)}", [normal(*a), normal(*b)], ["matmul", [0, 1]])
    t.case("matmul of views", [normal(4, 3), normal(2, 4)], ["transpose", [0], 0, 1], ["flip", [2], [1]],
           ["transpose", [1], 0, 1], ["matmul", [3, 4]])
    for d in ("f64", "bf16", "f16", "i64", "i32", "u8", "bool"):
        a, b = normal(3, 7, scale=3), normal(7, 2, scale=3)
        a, b = (a.abs(), b.abs()) if d == "u8" else (a, b)
        t.case(f"matmul {d}", [a.to(DTYPES[d]), b.to(DTYPES[d])], ["matmul", [0, 1]])
    t.case("matmul special", [tensor([[INF, 1.0], [NAN, 0.0]]), tensor([[0.0, 1.0], [2.0, 3.0]])], ["matmul", [0, 1]],
           grads=False)
    for a, b in (((2, 3), (2, 3)), ((3,), (2,)), ((), (3,)), ((2, 2, 3), (3, 3, 2))):
        t.case(f"matmul {list(a)} {list(b)}", [normal(*a), normal(*b)], ["matmul", [0, 1]],
               error="Broadcast" if len(a) == 3 else "Shape")
    for bias in (0, 1):
        for rank in ((4,), (3, 4), (2, 3, 4)):
            inputs = [normal(*rank), normal(2, 4)] + [normal(2)] * bias
            t.case(f"linear {list(rank)} {bias}", inputs, ["linear", list(range(2 + bias))])
    t.case("linear bf16", [normal(3, 8, dtype="bf16"), normal(2, 8, dtype="bf16")], ["linear", [0, 1]])
    t.case("linear of a wrong weight", [normal(3, 4), normal(2, 3)], ["linear", [0, 1]], error="Shape")

    def qkv(b, h, g, s, k, d, e=None, dtype="f32"):
        return [normal(b, h, s, d, dtype=dtype), normal(b, g, k, d, dtype=dtype), normal(b, g, k, e or d, dtype=dtype)]
    specs = {
        "plain": (qkv(1, 2, 2, 3, 3, 4), [0.5, False, None, None]),
        "causal": (qkv(2, 2, 2, 4, 4, 3), [0.577, True, None, None]),
        "causal after a cache": (qkv(1, 2, 2, 2, 5, 4), [0.5, True, None, None]),
        "more queries than keys": (qkv(1, 1, 1, 4, 2, 4), [0.5, True, None, None]),
        "grouped": (qkv(1, 4, 2, 3, 3, 4), [0.5, True, None, None]),
        "grouped in one": (qkv(2, 3, 1, 2, 2, 2), [0.5, False, None, None]),
        "windowed": (qkv(1, 1, 1, 6, 6, 4), [0.5, True, 3, None]),
        "window of one": (qkv(1, 1, 1, 3, 3, 2), [0.5, True, 1, None]),
        "softcapped": (qkv(1, 2, 2, 3, 3, 4), [0.9, True, None, 1.5]),
        "other value size": (qkv(1, 2, 2, 3, 3, 4, 5), [0.5, False, None, None]),
        "f64": (qkv(1, 2, 1, 3, 3, 4, dtype="f64"), [0.5, True, None, None]),
    }
    for name, (inputs, spec) in specs.items():
        t.case(f"attention {name}", inputs, ["attention", [0, 1, 2], *spec])
        t.case(f"attention {name} by pattern", inputs, ["attention_pattern", [0, 1], *spec], ["attend", [3, 2]],
               out=[3, 4])
    mask = tensor([[True, True, False, True], [False, False, False, False], [True, False, False, False]], "bool")
    for causal in (False, True):
        inputs = qkv(2, 2, 1, 3, 4, 4) + [mask]
        t.case(f"attention masked {causal}", inputs, ["attention", [0, 1, 2, 3], 0.5, causal, None, None])
        t.case(f"attention masked {causal} by pattern", inputs,
               ["attention_pattern", [0, 1, 3], 0.5, causal, None, None], ["attend", [4, 2]], out=[4, 5])
    batch_mask = tensor([[[[True, False, True]]], [[[True, True, False]]]], "bool")
    t.case("attention masked by batch", qkv(2, 2, 2, 2, 3, 2) + [batch_mask],
           ["attention", [0, 1, 2, 3], 0.7, False, None, None])
    t.case("attention of views", [normal(1, 3, 2, 4), normal(1, 3, 2, 4), normal(1, 3, 2, 4)],
           ["transpose", [0], 1, 2], ["transpose", [1], 1, 2], ["transpose", [2], 1, 2],
           ["attention", [3, 4, 5], 0.5, True, None, None])
    q, k, v = qkv(1, 2, 2, 3, 3, 4)
    fused = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(fused, attention(q, k, v, None, 0.5, True, None, None), atol=1e-6)
    for pairs in ("halves", "adjacent"):
        angles = normal(3, 2)
        t.case(f"rotary {pairs}", [normal(2, 3, 4), angles.cos(), angles.sin()], ["rotary", [0, 1, 2], pairs],
               grads=False)
        t.case(f"rotary {pairs} gradient", [normal(2, 3, 4), angles.cos(), angles.sin()],
               ["index", [1], [[None, None]]], ["rotary", [0, 1, 2], pairs], grads=(0,))
        t.case(f"rotary {pairs} of a part", [normal(2, 2, 3, 7), angles.cos(), angles.sin()],
               ["rotary", [0, 1, 2], pairs], grads=(0,))
        t.case(f"rotary {pairs} by batch", [normal(2, 2, 3, 4), normal(2, 1, 3, 2), normal(2, 1, 3, 2)],
               ["rotary", [0, 1, 2], pairs], grads=(0,))
        t.case(f"rotary {pairs} of a view", [normal(2, 3, 2, 4), angles.cos(), angles.sin()],
               ["transpose", [0], 1, 2], ["rotary", [3, 1, 2], pairs], grads=(0,))
    t.write()


def indexing():
    t = Theme("index")
    x = distinct(3, 4, 4)
    colon = [None]
    basic = [
        [0], [-1], [1, 2], [1, 2, 3], [[1, 3]], [[None, None, 2]], [colon, 1], [colon, [-3, None]], [colon, colon, [1, -1, 2]],
        ["..."], ["...", 0], [0, "..."], [0, "...", 1], [None], [None, 0], [colon, None, 1], ["...", None],
        [1, None, [1, 3], None, -1], [[5, 9]], [[2, 1]], [[-100, 100]], [[-1, None]], [colon, [None, None, 3], -2],
        ["...", [1, 2]], [],
    ]
    small = distinct(2, 3, 4)
    for items in basic:
        t.case(f"x{items}", [small], ["index", [0], items])
        shape = small[index_items(items, [])].shape
        t.case(f"x{items} = value", [small, normal(*shape)], ["index_assign", [0, 1], items])
        t.case(f"x{items} = number", [small, tensor(0.5)], ["index_assign", [0, 1], items], grads=False)
        t.case(f"x{items} += value", [small, normal(*shape)], ["index_add", [0, 1], items], grads=False)
    for items, kind in [([3], "Index"), ([-4], "Index"), ([0, 4], "Index"), ([0, 0, 0, 0], "TooManyIndices"),
                        ([[None, None, 0]], "Argument")]:
        t.case(f"x{items}", [x], ["index", [0], items], error=kind)
    y = [distinct(3, 4, 4)]
    i2, i23 = tensor([2, 0], "i64"), tensor([[0, 2, 1], [1, -1, -3]], "i64")
    col = tensor([[1], [3]], "i64")
    rows, both = tensor([True, False, True], "bool"), tensor(RNG.random((3, 4)) < 0.5, "bool")
    whole, none = tensor(RNG.random((3, 4, 4)) < 0.3, "bool"), torch.zeros(3, dtype=torch.bool)
    advanced = [
        (["t0"], [i2]), (["t0"], [i23]), ([colon, "t0"], [i2]), (["...", "t0"], [i23]),
        (["t0", "t1"], [i2, i2]), (["t0", "t1"], [i23, tensor([0, 1, 3], "i64")]), (["t0", "t1"], [i2, col]),
        (["t0", colon, "t1"], [i2, i2]), (["t0", colon, "t1"], [i2, col]), ([colon, "t0", "t1"], [i2, i2]),
        (["t0", "t1", "t2"], [i2, i2, i2]), ([0, "t0"], [i2]), (["t0", 1], [i2]), ([0, colon, "t0"], [i2]),
        (["t0", [1, 3]], [i2]), ([[0, 2], "t0"], [i2]), (["t0", None], [i2]), ([None, "t0"], [i2]),
        (["t0", None, "t1"], [i2, i2]), (["t0", "..."], [i2]), (["t0", "...", "t1"], [i2, i2]),
        ([[None, None, 2], "t0", 1], [i2]), (["t0", 1, "t1"], [i2, i2]), ([1, "t0", "t1"], [i2, i2]),
        (["t0"], [tensor(1, "i64")]), (["t0", "t1"], [tensor(1, "i64"), i2]), (["t0"], [tensor([], "i64")]),
        (["t0"], [rows]), (["t0"], [both]), (["t0"], [whole]), (["t0"], [none]), (["t0", 1], [rows]),
        (["t0", "t1"], [rows, i2]), ([colon, "t0"], [tensor([True, False, False, True], "bool")]),
        (["t0", colon, "t1"], [rows, i2]), (["...", "t0"], [tensor([True] * 3 + [False], "bool")]),
        (["t0"], [tensor([2, 0], "i32")]), ([0, "t0", 2], [i2]),
        ([colon, 0, "t0"], [i2]), ([1, colon, "t0"], [i23]), (["t0", "t1", None], [i2, i2]),
    ]
    for items, tensors in advanced:
        label = f"x{items} by {[NAMES[i.dtype] + str(list(i.shape)) for i in tensors]}"
        at = list(range(1, 1 + len(tensors)))
        t.case(label, y + tensors, ["index", [0] + at, items])
        shape = y[0][index_items(items, tensors)].shape
        unique = torch.arange(48).reshape(3, 4, 4)[index_items(items, tensors)].reshape(-1)
        at = [n + 1 for n in at]
        if len(unique.unique()) == len(unique):
            t.case(label + " = value", y + [normal(*shape)] + tensors, ["index_assign", [0, 1] + at, items])
        t.case(label + " = number", y + [tensor(0.5)] + tensors, ["index_assign", [0, 1] + at, items], grads=False)
        t.case(label + " += value", y + [normal(*shape)] + tensors, ["index_add", [0, 1] + at, items],
               grads=len(tensors) == 1)
    t.case("positions out of bounds", y + [tensor([3], "i64")], ["index", [0, 1], ["t0"]], error="IndexValue")
    t.case("positions out of bounds below", y + [tensor([-4], "i64")], ["index", [0, 1], ["t0"]], error="IndexValue")
    t.case("a float index", y + [tensor([1.0])], ["index", [0, 1], ["t0"]], error="Type")
    t.case("a mask of a wrong shape", y + [tensor([True, False], "bool")], ["index", [0, 1], ["t0"]])
    t.case("positions that do not broadcast", y + [tensor([0, 1], "i64"), tensor([0, 1, 2], "i64")],
           ["index", [0, 1, 2], ["t0", "t1"]])
    t.case("a value of a wrong shape", [x, normal(2)], ["index_assign", [0, 1], [0]], error="Shape")
    # Deliberate differences, listed in the harness.
    t.case("two ellipses", [x], ["index", [0], ["...", "..."]])
    t.case("a slice behind a mask of two dimensions", [distinct(3, 3, 3), tensor(np.eye(3), "bool")],
           ["index", [0, 1], ["t0", [1, None]]])
    t.case("a value with leading ones", [x, normal(1, 1, 4, 4)], ["index_assign", [0, 1], [0]])
    t.case("a value that broadcasts", [x, normal(4, 1)], ["index_assign", [0, 1], [[0, 2]]])
    t.case("a value of another type", [x, tensor([1, 2, 3, 4], "i64")], ["index_assign", [0, 1], [0, 1]])
    t.case("a float into integers", [ints(0, 9, 4), tensor([1.7, -1.7])], ["index_assign", [0, 1], [[1, 3]]])
    t.case("masked values", [x, normal(int(whole.sum())), whole], ["index_assign", [0, 1, 2], ["t0"]])
    t.case("masked number", [x, tensor(2.0), whole], ["index_assign", [0, 1, 2], ["t0"]])
    t.case("masked by shape [1]", [x, tensor([2.0]), whole], ["index_assign", [0, 1, 2], ["t0"]])
    t.case("masked rows by a row", [x, normal(4, 4), rows], ["index_assign", [0, 1, 2], ["t0"]])
    t.case("index of a view", [distinct(4, 3)], ["transpose", [0], 0, 1], ["flip", [1], [1]],
           ["index", [2], [[1, None], [None, None, 3]]])
    t.case("write into a view", [distinct(4, 3), normal(2, 2)], ["transpose", [0], 0, 1], ["flip", [2], [1]],
           ["index_assign", [3, 1], [[1, None], [None, None, 3]]])
    t.case("adding at repeated positions", [torch.zeros(3, 2), normal(4, 2), tensor([0, 2, 0, 0], "i64")],
           ["index_add", [0, 1, 2], ["t0"]])
    t.case("adding integers", [ints(0, 9, 5), ints(0, 9, 3), tensor([1, 1, 4], "i64")],
           ["index_add", [0, 1, 2], ["t0"]])
    t.case("embed", [normal(5, 3), tensor([[0, 4], [2, 0]], "i64")], ["embed", [0, 1]])
    t.case("embed nothing", [normal(5, 3), tensor([], "i64")], ["embed", [0, 1]], grads=False)
    t.case("embed too large", [normal(5, 3), tensor([5], "i64")], ["embed", [0, 1]], error="IndexValue")
    for dim in (0, 1, -1):
        t.case(f"index_select {dim}", [distinct(3, 4, 2), tensor([1, 0, 1], "i64")], ["index_select", [0, 1], dim])
        index = ints(0, 2, 2, 2, 2)
        t.case(f"gather {dim}", [distinct(3, 4, 2), index], ["gather", [0, 1], dim])
        for add in (False, True):
            source = normal(2, 2, 2)
            at = index if add else torch.tensor([0, 1]).reshape([2 if d == dim % 3 else 1 for d in range(3)]).expand(2, 2, 2)
            t.case(f"scatter {dim} {add}", [distinct(3, 4, 2), at, source], ["scatter", [0, 1, 2], dim, add])
    t.case("gather longer", [distinct(2, 3), ints(0, 3, 2, 5)], ["gather", [0, 1], 1])
    t.case("gather fewer rows", [distinct(3, 3), ints(0, 3, 1, 5)], ["gather", [0, 1], 1])
    t.case("gather of a view", [distinct(3, 3), ints(0, 3, 3, 2)], ["transpose", [0], 0, 1], ["gather", [2, 1], 1])
    t.case("gather out of bounds", [distinct(2, 3), tensor([[3], [0]], "i64")], ["gather", [0, 1], 1],
           error="IndexValue")
    t.case("gather of another rank", [distinct(2, 3), tensor([0], "i64")], ["gather", [0, 1], 1], error="Shape")
    t.case("gather too many rows", [distinct(2, 3), ints(0, 2, 3, 1)], ["gather", [0, 1], 1], error="Shape")
    t.case("scatter from a larger source", [distinct(2, 3), tensor([[2], [0]], "i64"), normal(2, 3)],
           ["scatter", [0, 1, 2], 1, False], grads=False)
    t.case("scatter from a smaller source", [distinct(2, 3), tensor([[2], [0]], "i64"), normal(1, 1)],
           ["scatter", [0, 1, 2], 1, False], error="Shape")
    t.case("scatter of another type", [distinct(2, 3), tensor([[2], [0]], "i64"), ints(0, 3, 2, 1)],
           ["scatter", [0, 1, 2], 1, False], error="Type")
    for d in ("f32", "i64", "bool"):
        t.case(f"nonzero {d}", [ints(0, 2, 2, 3).to(DTYPES[d])], ["nonzero", [0]])
    t.case("nonzero of one number", [tensor(3.0)], ["nonzero", [0]])
    t.case("nonzero of NaN and -0", [tensor([NAN, -0.0, 0.0, 1.0])], ["nonzero", [0]])
    t.write()


def views():
    t = Theme("view")
    x = distinct(2, 3, 4)
    many = [
        ("reshape", [6, 4]), ("reshape", [-1]), ("reshape", [2, -1, 2]), ("reshape", [1, 24, 1]),
        ("permute", [2, 0, 1]), ("permute", [-1, 0, 1]), ("transpose", 0, 2), ("transpose", -1, -2),
        ("expand", [5, 2, 3, 4]), ("expand", [-1, 3, -1]), ("squeeze", None), ("squeeze", 0), ("unsqueeze", 0),
        ("unsqueeze", -1), ("unsqueeze", 2), ("unsqueeze", -4), ("flatten", 0, -1), ("flatten", 1, 2), ("flatten", 1, 1),
        ("narrow", 1, 1, 2), ("narrow", -1, -2, 2), ("narrow", 0, 2, 0), ("split", 2, 1), ("split", 3, -1),
        ("split_sizes", [1, 0, 3], 2), ("chunk", 2, 1), ("chunk", 3, 2), ("chunk", 5, 0), ("flip", [0]),
        ("flip", [0, -1]), ("flip", []), ("repeat", [2, 1, 1]), ("repeat", [2, 1, 2, 3]), ("repeat", [1, 0, 1]),
        ("repeat_interleave", 2, 1), ("repeat_interleave", 3, -1), ("repeat_interleave", 0, 0),
        ("tril", 0), ("tril", 1), ("tril", -1), ("triu", 0), ("triu", 2), ("triu", -1),
        ("diagonal", 0, 0, 1), ("diagonal", 1, 1, 2), ("diagonal", -1, -1, 0), ("diagonal", 9, 0, 1),
    ]
    for op, *args in many:
        t.case(f"{op} {args}", [x], [op, [0], *args])
        t.case(f"{op} {args} of a view", [distinct(4, 3, 2)], ["permute", [0], [2, 1, 0]], ["flip", [1], [1]],
               [op, [2], *args], grads=False)
    for op, *args in [("squeeze", None), ("squeeze", 1), ("squeeze", -3), ("squeeze", 0), ("expand", [4, 2, 3]),
                      ("expand", [4, -1, 3]), ("flatten", 0, 1)]:
        t.case(f"{op} {args} of ones", [distinct(1, 2, 1)], [op, [0], *args])
    for op, *args in [("unsqueeze", 0), ("unsqueeze", -1), ("flatten", 0, -1), ("expand", [2, 3]), ("reshape", [1, 1]),
                      ("squeeze", None), ("squeeze", 0), ("repeat", [3]), ("repeat", []), ("flip", []), ("permute", []),
                      ("transpose", 0, 0), ("reshape", []), ("split", 1, 0), ("chunk", 1, 0),
                      ("narrow", 0, 0, 1), ("flip", [0])]:
        t.case(f"{op} {args} of one number", [tensor(2.5)], [op, [0], *args])
    empty = [("reshape", [0, 5]), ("reshape", [-1]), ("reshape", [0, -1]), ("transpose", 0, 1), ("flip", [0, 1]),
             ("expand", [2, 3, 0]), ("split", 2, 1), ("split", 1, 0), ("chunk", 2, 1), ("repeat", [2, 2]), ("flatten", 0, 1),
             ("repeat_interleave", 2, 1), ("tril", 0), ("diagonal", 0, 0, 1), ("squeeze", None), ("narrow", 1, 0, 0)]
    for op, *args in empty:
        t.case(f"{op} {args} of nothing", [torch.zeros(3, 0)], [op, [0], *args], grads=False)
    bad = [("reshape", [5, 5], "Shape"), ("reshape", [-1, -1], "Shape"), ("reshape", [-2, 12], "Shape"),
           ("reshape", [7, -1], "Shape"), ("permute", [0, 1], "Argument"), ("permute", [0, 0, 1], "Argument"),
           ("permute", [0, 1, 3], "Dimension"), ("transpose", 0, 3, "Dimension"), ("expand", [2, 3], "Shape"),
           ("expand", [2, 3, 5], "Shape"), ("expand", [-1, 2, 3, 4], "Shape"), ("squeeze", 3, "Dimension"),
           ("unsqueeze", 4, "Dimension"), ("flatten", 2, 1, "Argument"), ("flatten", 0, 3, "Dimension"),
           ("narrow", 1, 2, 2, "Index"), ("narrow", 1, -4, 1, "Index"), ("narrow", 1, 4, 0, "Index"),
           ("split_sizes", [1, 1], 1, "Argument"), ("split", 2, 3, "Dimension"), ("chunk", 0, 0, "Argument"),
           ("flip", [3], "Dimension"), ("flip", [0, 0], "Argument"), ("repeat", [2, 2], "Argument"),
           ("repeat_interleave", 2, 3, "Dimension"), ("diagonal", 0, 1, 1, "Argument")]
    for op, *args, kind in bad:
        t.case(f"{op} {args} refused", [x], [op, [0], *args], error=kind)
    t.case("tril of one dimension", [distinct(3)], ["tril", [0], 0], error="Shape")
    t.case("split in zeros", [distinct(3)], ["split", [0], 0, 0], error="Argument")
    for d in ("bool", "u8", "i32", "bf16", "f64"):
        t.case(f"tril {d}", [ints(0, 2, 3, 3).to(DTYPES[d])], ["tril", [0], 0])
        t.case(f"flip {d}", [ints(0, 2, 2, 3).to(DTYPES[d])], ["flip", [0], [1]])
    parts = [distinct(2, 3), normal(2, 1), normal(2, 2)]
    t.case("cat", parts, ["cat", [0, 1, 2], 1])
    t.case("cat negative", parts, ["cat", [0, 1, 2], -1])
    t.case("cat of one twice", parts[:1], ["cat", [0, 0], 0])
    t.case("cat of views", [distinct(3, 2), distinct(2, 2)], ["transpose", [0], 0, 1], ["flip", [1], [0]],
           ["cat", [2, 3], 1])
    t.case("cat with an empty vector", [torch.zeros(0), distinct(2, 3)], ["cat", [0, 1], 0], grads=False)
    t.case("cat of nothing and something", [torch.zeros(0, 3), distinct(2, 3)], ["cat", [0, 1], 0])
    t.case("cat of empty vectors", [torch.zeros(0), torch.zeros(0)], ["cat", [0, 1], 0], grads=False)
    t.case("cat of wrong sizes", parts, ["cat", [0, 1, 2], 0], error="Shape")
    t.case("cat of another rank", [distinct(2, 3), distinct(3)], ["cat", [0, 1], 0], error="Shape")
    t.case("cat of numbers", [tensor(1.0), tensor(2.0)], ["cat", [0, 1], 0], error="Argument")
    t.case("cat in a wrong dimension", parts, ["cat", [0, 1], 2], error="Dimension")
    for dim in (0, 1, -1):
        t.case(f"stack {dim}", [distinct(2, 3), normal(2, 3)], ["stack", [0, 1], dim])
    t.case("stack numbers", [tensor(1.0), tensor(2.0)], ["stack", [0, 1], 0])
    t.case("stack nothing", [torch.zeros(2, 0), torch.zeros(2, 0)], ["stack", [0, 1], 1], grads=False)
    t.case("stack empty vectors", [torch.zeros(0), torch.zeros(0)], ["stack", [0, 1], 0], grads=False)
    t.case("stack of types", [tensor([1, 2], "i64"), tensor([0.5, 1.5])], ["stack", [0, 1], 0])
    t.case("stack of wrong shapes", [distinct(2, 3), distinct(3, 2)], ["stack", [0, 1], 0], error="Shape")
    t.case("broadcast refused", [distinct(2, 3), distinct(2, 4)], ["add", [0, 1]], error="Broadcast")
    t.case("arange", [], ["arange", [], 3, 2, 4, "i64"], ["arange", [], 5, -1, 5, "i32"],
           ["arange", [], 0.5, 0.25, 4, "f32"], ["arange", [], 0, 1, 3, "bf16"], ["arange", [], 0.0, 0.1, 5, "f64"],
           out=[0, 1, 2, 3, 4])
    t.case("full", [], ["full", [], [2, 2], 1.5, "bf16"], ["full", [], [], 7, "f32"], ["full", [], [0, 3], 1, "i64"],
           ["full", [], [2], True, "bool"], ["full", [], [1], 255, "u8"], out=[0, 1, 2, 3, 4])
    t.case("a view of a view of a view", [distinct(4, 6)], ["reshape", [0], [2, 2, 6]], ["index", [1], [None, 1, [None, None, 2]]],
           ["transpose", [2], -1, -2], ["flip", [3], [1]], ["reshape", [4], [-1]], out=[5])
    t.write()


# A name, the shapes of input and weight, and stride, padding, dilation and groups.
CONVOLUTIONS = [
    ("plain", (2, 3, 6), (4, 3, 3), ([1], [0], [1], 1)),
    ("of stride and padding", (2, 3, 7), (2, 3, 3), ([2], [1], [1], 1)),
    ("dilated", (1, 2, 9), (2, 2, 3), ([2], [2], [2], 1)),
    ("with more padding than kernel", (1, 2, 4), (2, 2, 2), ([3], [3], [1], 1)),
    ("with a rest", (1, 1, 8), (1, 1, 2), ([3], [0], [1], 1)),
    ("in groups", (2, 4, 5), (6, 2, 2), ([1], [1], [1], 2)),
    ("plain", (2, 2, 4, 5), (3, 2, 3, 2), ([1, 1], [0, 0], [1, 1], 1)),
    ("of stride and padding", (1, 2, 5, 6), (2, 2, 3, 3), ([2, 1], [1, 2], [1, 1], 1)),
    ("dilated", (2, 1, 6, 7), (2, 1, 2, 3), ([1, 2], [1, 0], [3, 2], 1)),
    ("with more padding than kernel", (1, 1, 3, 3), (2, 1, 1, 2), ([2, 3], [2, 4], [1, 1], 1)),
    ("with a rest", (1, 1, 6, 8), (1, 1, 3, 3), ([4, 3], [1, 1], [1, 1], 1)),
    ("in groups", (2, 4, 3, 4), (6, 2, 2, 2), ([1, 2], [1, 1], [1, 1], 2)),
    ("by channel", (1, 3, 4, 4), (6, 1, 2, 2), ([2, 2], [0, 0], [1, 1], 3)),
    ("of one place", (2, 3, 2, 2), (4, 3, 2, 2), ([1, 1], [0, 0], [1, 1], 1)),
    ("of one pixel", (2, 3, 2, 3), (4, 3, 1, 1), ([1, 1], [0, 0], [1, 1], 1)),
]


def convolutions():
    global RNG
    RNG = np.random.default_rng(SEED + 2)
    t = Theme("conv")
    for name, x, w, args in CONVOLUTIONS:
        op = "conv1d" if len(x) == 3 else "conv2d"
        for dtype in ("f32", "f64"):
            inputs = [normal(*x, dtype=dtype), normal(*w, dtype=dtype), normal(w[0], dtype=dtype)]
            t.case(f"{op} {name} {dtype}", inputs, [op, [0, 1, 2], *args])
            t.case(f"{op} {name} {dtype} without bias", inputs[:2], [op, [0, 1], *args])
        for dtype in ("bf16", "f16"):
            inputs = [normal(*x, dtype=dtype), normal(*w, dtype=dtype)]
            t.case(f"{op} {name} {dtype}", inputs, [op, [0, 1], *args])
        t.case(f"{op} {name} of one", [normal(*x[1:]), normal(*w)], [op, [0, 1], *args])
    one, two = ([1], [0], [1], 1), ([1, 1], [0, 0], [1, 1], 1)
    t.case("conv2d of views", [normal(2, 4, 3, 3), normal(3, 3, 2, 2)], ["permute", [0], [0, 2, 1, 3]],
           ["flip", [1], [3]], ["conv2d", [2, 3], *two])
    t.case("conv2d of no batch", [normal(0, 2, 3, 3), normal(3, 2, 2, 2)], ["conv2d", [0, 1], *two])
    t.case("conv2d of wrong channels", [normal(1, 3, 4, 4), normal(2, 2, 2, 2)], ["conv2d", [0, 1], *two], error="Shape")
    t.case("conv2d of too large a kernel", [normal(1, 2, 4, 4), normal(2, 2, 5, 2)], ["conv2d", [0, 1], *two],
           error="Shape")
    t.case("conv2d of a wrong bias", [normal(1, 2, 4, 4), normal(2, 2, 2, 2), normal(3)], ["conv2d", [0, 1, 2], *two],
           error="Shape")
    t.case("conv2d of wrong groups", [normal(1, 4, 4, 4), normal(3, 2, 2, 2)],
           ["conv2d", [0, 1], [1, 1], [0, 0], [1, 1], 2], error="Shape")
    t.case("conv2d of no stride", [normal(1, 2, 4, 4), normal(2, 2, 2, 2)],
           ["conv2d", [0, 1], [0, 1], [0, 0], [1, 1], 1], error="Argument")
    t.case("conv2d of mixed types", [normal(1, 2, 4, 4), normal(2, 2, 2, 2, dtype="f64")], ["conv2d", [0, 1], *two],
           error="Type")
    t.case("conv1d of an image", [normal(1, 2, 4, 4), normal(2, 2, 2)], ["conv1d", [0, 1], *one], error="Shape")
    t.case("conv2d of a signal's weight", [normal(1, 2, 4, 4), normal(2, 2, 2)], ["conv2d", [0, 1], *two], error="Shape")
    for dtype in ("f32", "f64", "bf16", "f16"):
        for old, new in (((3, 4), (6, 8)), ((3, 4), (5, 3)), ((5, 2), (1, 7)), ((4, 6), (2, 3)), ((1, 1), (3, 2)),
                         ((7, 5), (7, 5)), ((10, 3), (3, 10))):
            for mode, corners in (("nearest", False), ("bilinear", False), ("bilinear", True)):
                # Half precision: PyTorch's bilinear rounds in other places.
                tol = None if dtype in ("f32", "f64") else 0.02
                t.case(f"resize {list(old)} to {list(new)} {mode} {corners} {dtype}", [normal(2, 2, *old, dtype=dtype)],
                       ["resize", [0], list(new), mode, corners], tol=tol)
    for mode, corners in (("nearest", False), ("linear", False), ("linear", True)):
        for old, new in ((5, 8), (8, 5), (3, 1), (6, 29)):
            t.case(f"resize {old} to {new} {mode} {corners}", [normal(2, 3, old)], ["resize", [0], [new], mode, corners])
    t.case("resize to nothing", [normal(1, 1, 3, 3)], ["resize", [0], [0, 3], "nearest", False], error="Argument")
    t.write()


def second():
    """Gradients of gradients: those of the weighted sum of the first ones."""
    global RNG
    RNG = np.random.default_rng(SEED + 1)
    t = Theme("second")

    def case(name, inputs, *steps, out=None, tol=None):
        """In both precisions; the numbers of the inputs are the same."""
        for wide in (True, False):
            kind = "f64" if wide else "f32"
            cast = [x.to(DTYPES[kind]) if x.is_floating_point() else x for x in inputs]
            leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in cast]
            values = list(leaves)
            for op, operands, *args in steps:
                result = OPS[op]([values[i] for i in operands], args)
                values.extend([result] if isinstance(result, torch.Tensor) else result)
            at = [len(values) - 1] if out is None else out
            asked = [x for x in leaves if x.requires_grad]
            loss = sum((values[i] * weights(values[i])).sum() for i in at)
            first = torch.autograd.grad(loss, asked, allow_unused=True, create_graph=True)
            again = [g for g in first if g is not None]
            loss = sum((g * weights(g)).sum() for g in again)
            if loss.requires_grad:
                # Zeros that PyTorch holds without memory are written out by a sum.
                found = [g if g is None else g + 0 for g in torch.autograd.grad(loss, asked, allow_unused=True)]
            else:
                found = [None] * len(asked)
            rows = []
            for gradients in (first, found):
                it = iter(gradients)
                each = [next(it) if x.requires_grad else False for x in leaves]
                rows.append([g if g is None or g is False else show(g) for g in each])
            record = {"name": f"{name} {kind}", "in": [show(x) for x in cast], "steps": plain([list(s) for s in steps]),
                      "out": at, "is": [show(values[i]) for i in at], "grads": rows[0], "second": rows[1],
                      "tol": 1e-10 if wide else tol or 2e-5}
            if len(values) != len(inputs) + len(steps):
                record["count"] = len(values)
            t.cases.append(record)

    x = normal(3, 4)
    for op in ("neg", "abs", "exp", "expm1", "reciprocal", "sin", "cos", "tan", "tanh", "erf", "sigmoid", "relu", "silu",
               "gelu", "gelu_tanh"):
        case(op, [x], [op, [0]])
    for op in ("log", "log1p", "sqrt", "rsqrt"):
        case(op, [x.abs() + 0.25], [op, [0]])
    wide = tensor([-40.0, -9.0, -4.0, -0.01, 0.0, 0.01, 4.0, 9.0, 40.0])
    for op in ("silu", "gelu", "gelu_tanh"):
        case(f"{op} far and near", [wide], [op, [0]])
    a, b = normal(2, 3), normal(2, 3).abs() + 0.5
    for op in ("add", "sub", "mul", "div", "maximum", "minimum", "atan2", "fmod", "remainder"):
        case(op, [a, b], [op, [0, 1]])
    case("mul broadcast", [normal(2, 3), normal(3)], ["mul", [0, 1]])
    case("div broadcast", [normal(2, 3), b[:1]], ["div", [0, 1]])
    case("pow", [b, a], ["pow", [0, 1]])
    for power in (2, 3, 0.5, -1, 1):
        case(f"pow of {power}", [b], ["pow", [0], power])
    case("where", [a, b], ["gt", [0, 1]], ["mul", [0, 1]], ["where", [2, 3, 0]])
    case("clamp", [normal(3, 4)], ["clamp", [0], -0.5, 0.8], ["mul", [1, 0]])
    case("softplus", [normal(3, 4)], ["softplus", [0], 1.5, 20])
    for dim in (-1, 0):
        case(f"softmax {dim}", [normal(3, 4)], ["softmax", [0], dim])
        case(f"log_softmax {dim}", [normal(3, 4)], ["log_softmax", [0], dim])
    case("logsumexp", [normal(3, 4)], ["logsumexp", [0], [1], False])
    labels = torch.tensor([2, 0, -100, 3])
    for reduction in ("mean", "sum", "none"):
        case(f"cross_entropy {reduction}", [normal(4, 5), labels], ["cross_entropy", [0, 1], -100, reduction])
    case("layer_norm", [normal(3, 6)], ["layer_norm", [0], 2**-17, False, False])
    case("layer_norm with weight", [normal(2, 3, 6), normal(6)], ["layer_norm", [0, 1], 2**-17, True, False])
    case("layer_norm with both", [normal(3, 6), normal(6), normal(6)], ["layer_norm", [0, 1, 2], 2**-17, True, True])
    for offset in (0, 1):
        case(f"rms_norm {offset}", [normal(2, 3, 6), normal(6)], ["rms_norm", [0, 1], 1e-5, offset, False])
    for op in ("sum", "mean", "amax"):
        case(op, [distinct(3, 4)], [op, [0], [1], True], ["mul", [1, 0]])
    case("var", [normal(3, 4)], ["var", [0], [1], 1, False])
    case("std", [normal(3, 4)], ["std", [0], [0], 1, True])
    case("norm", [normal(3, 4)], ["norm", [0], 2.0, [1], False])
    case("prod", [normal(2, 3)], ["prod", [0], [1], False])
    case("cumsum", [normal(2, 3)], ["cumsum", [0], 1], ["mul", [1, 1]])
    case("cumprod", [b], ["cumprod", [0], 1])
    case("cummax", [distinct(2, 4)], ["cummax", [0], 1], ["mul", [1, 1]])
    case("sort", [distinct(2, 4)], ["sort", [0], -1, True], ["mul", [1, 0]])
    case("matmul", [normal(2, 3), normal(3, 4)], ["matmul", [0, 1]])
    case("matmul of stacks", [normal(2, 2, 3), normal(2, 3, 2)], ["matmul", [0, 1]], ["mul", [2, 2]])
    case("linear", [normal(2, 3, 4), normal(5, 4), normal(5)], ["linear", [0, 1, 2]], ["tanh", [3]])
    for name, spec, group in (("plain", [0.5, False, None, None], 2), ("causal", [0.5, True, None, None], 2),
                              ("grouped", [0.75, True, None, None], 1), ("windowed", [0.5, True, 2, None], 2),
                              ("softcapped", [0.875, True, None, 1.5], 2)):
        inputs = [normal(1, 2, 3, 4), normal(1, group, 3, 4), normal(1, group, 3, 4)]
        case(f"attention {name}", inputs, ["attention", [0, 1, 2], *spec])
    mask = tensor([[True, True, False], [False, False, False], [True, False, False]], "bool")
    inputs = [normal(1, 2, 3, 4), normal(1, 2, 3, 4), normal(1, 2, 3, 4), mask]
    case("attention masked", inputs, ["attention", [0, 1, 2, 3], 0.5, False, None, None])
    for pairs in ("halves", "adjacent"):
        case(f"rotary {pairs}", [normal(2, 3, 4), normal(3, 2), normal(3, 2)], ["rotary", [0, 1, 2], pairs])
    ids = torch.tensor([[2, 0, 2], [1, 4, 0]])
    case("embed", [normal(5, 3), ids], ["embed", [0, 1]], ["tanh", [2]])
    case("gather", [normal(2, 4), ids % 4], ["gather", [0, 1], 1], ["mul", [2, 2]])
    case("scatter", [normal(2, 4), ids % 4, normal(2, 3)], ["scatter", [0, 1, 2], 1, True], ["mul", [3, 3]])
    case("index", [normal(4, 3), torch.tensor([3, 0, 3])], ["index", [0, 1], ["t0", [None, 2]]], ["exp", [2]])
    case("index_assign", [normal(4, 3), normal(2, 3)], ["index_assign", [0, 1], [[1, 3]]], ["mul", [2, 2]])
    case("index_add", [normal(4, 3), normal(2, 3)], ["index_add", [0, 1], [[1, 3]]], ["mul", [2, 2]])
    case("views", [normal(2, 6)], ["reshape", [0], [3, 4]], ["transpose", [1], 0, 1], ["flip", [2], [0]],
         ["narrow", [3], 0, 1, 2], ["mul", [4, 4]])
    case("cat", [normal(2, 3), normal(2, 1)], ["cat", [0, 1], 1], ["mul", [2, 2]])
    case("expand", [normal(2, 1)], ["expand", [0], [3, 2, 4]], ["exp", [1]])
    for name, x, w, args in CONVOLUTIONS:
        op = "conv1d" if len(x) == 3 else "conv2d"
        case(f"{op} {name}", [normal(*x), normal(*w), normal(w[0])], [op, [0, 1, 2], *args])
    for mode, corners in (("nearest", False), ("bilinear", False), ("bilinear", True)):
        case(f"resize {mode} {corners}", [normal(1, 2, 3, 4)], ["resize", [0], [5, 3], mode, corners], ["mul", [1, 1]])
    # One layer of a language model, from the ids to the loss.
    d = 4
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    inputs = [normal(6, d), normal(5, d), ids, normal(d), normal(d), normal(d, 3 * d, scale=0.5), normal(3 * d),
              normal(d, d, scale=0.5), normal(d, 8, scale=0.5), normal(8), normal(8, d, scale=0.5),
              torch.tensor([1, 4, 1, 5, 2])]
    case("a language model", inputs, ["embed", [0, 2]], ["add", [12, 1]], ["layer_norm", [13, 3, 4], 2**-17, True, True],
         ["matmul", [14, 5]], ["add", [15, 6]], ["reshape", [16], [1, 5, 3, 2, 2]], ["permute", [17], [2, 0, 3, 1, 4]],
         ["index", [18], [0]], ["index", [18], [1]], ["index", [18], [2]],
         ["attention", [19, 20, 21], 0.75, True, None, None], ["permute", [22], [0, 2, 1, 3]],
         ["reshape", [23], [1, 5, d]], ["matmul", [24, 7]], ["add", [25, 13]],
         ["layer_norm", [26, 3, 4], 2**-17, True, True], ["matmul", [27, 8]], ["add", [28, 9]], ["gelu_tanh", [29]],
         ["matmul", [30, 10]], ["add", [31, 26]], ["layer_norm", [32, 3, 4], 2**-17, True, True],
         ["linear", [33, 0]], ["reshape", [34], [5, 6]], ["cross_entropy", [35, 11], -100, "mean"], tol=2e-4)
    t.write()


STREAM = [elementwise, promotion, reductions, order, norms, contractions, indexing, views]
ALONE = [convolutions, second]

if __name__ == "__main__":
    # Themes that have a stream of random numbers of their own can be named on the command line and are then written alone;
    # the others share one.
    named = [f for f in ALONE if f.__name__ in sys.argv[1:]]
    for theme in named or STREAM + ALONE:
        theme()
