"""Writes a program's text form from code in the style of nnsight.

A case's body is written once. Run with real nnsight it gives the expected values; run with the stand-ins of this file
it gives the program: every access and operation becomes a statement, in the order written, with its line.
"""

import base64
import contextlib
import inspect
import json
import sys

import einops
import torch

DTYPES = {
    torch.float64: "f64", torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.int64: "i64",
    torch.int32: "i32", torch.uint8: "u8", torch.bool: "bool",
}
# Of a value of the model in its first step, and of one that no step has made.
FIRST, FREE = "first", "free"
ALL = "steps all"
POINTS = ("input", "inputs", "output", "pattern")


def quote(text):
    return json.dumps(text, ensure_ascii=False)


def all_of(key):
    """The selection of steps that an index stands for."""
    if isinstance(key, int):
        return f"step {key}"
    if isinstance(key, (list, tuple)):
        return f"steps [{', '.join(map(str, key))}]"
    if key == slice(None):
        return ALL
    stop = "end" if key.stop is None else key.stop
    by = f" by {key.step}" if key.step not in (None, 1) else ""
    return f"steps {key.start or 0}..{stop}{by}"


class Recording:
    """A program being written."""

    def __init__(self, name, code, first_line):
        self.name, self.code, self.first_line = name, code, first_line
        self.constants, self.regions, self.invokes, self.nodes, self.binds = [], [("root", None)], [], [], []
        self.open, self.invoke, self.steps, self.moved, self.lines = [0], None, [], {}, {}
        self.models = 1
        # The steps in which each open region happens.
        self.happens = [FREE]

    def line(self):
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code in self.code:
                return f"$0:{frame.f_lineno - self.first_line}"
            frame = frame.f_back
        raise RuntimeError("no line of the case is running")

    def node(self, text, operands=(), steps=None, kind=None):
        """Adds a statement; `text` is a word and operands, with the place for invoke and steps after the word."""
        word, _, rest = text.partition(" ")
        steps = steps or self.join(operands)
        steps = self.happens[-1] if steps == FREE else steps
        where = f"@{self.invoke} " if self.invoke is not None else ""
        where += f"{steps} " if steps not in (FIRST, FREE) else ""
        self.nodes.append((self.open[-1], f"{word} {where}{rest}".rstrip(), self.line()))
        return (kind or Proxy)(self, len(self.nodes) - 1, steps)

    def join(self, operands):
        """What is made of values of repeated steps is repeated; else it belongs to the last of its values' steps.

        What is made of free values alone, as the element of a list, happens in the steps that are selected around it;
        what is made of nothing, as a new list, happens once.
        """
        found = [p.steps for p in proxies(operands)]
        if found and set(found) == {FREE}:
            return self.steps[-1][1] if self.steps else FREE
        repeated = [s for s in found if s.startswith("steps")]
        single = sorted((s for s in found if s.startswith("step ")), key=lambda s: int(s.split()[1]))
        return (repeated or single[-1:] or [FIRST if FIRST in found else FREE])[0]

    def op(self, name, args, kwargs=None, kind=None):
        return self.node(f"op {name}{self.call(args, kwargs or {})}", (args, kwargs), kind=kind)

    def call(self, args, kwargs):
        parts = [self.arg(a) for a in args] + [f"{k}: {self.arg(v)}" for k, v in kwargs.items()]
        return f"({', '.join(parts)})"

    def arg(self, value):
        if isinstance(value, Proxy):
            return f"%{value.id}"
        if value is None:
            return "none"
        if value is Ellipsis:
            return "..."
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            text = repr(value)
            return text
        if isinstance(value, str):
            return quote(value)
        if isinstance(value, torch.Tensor):
            return self.constant(value)
        if isinstance(value, torch.dtype):
            return DTYPES[value]
        if isinstance(value, torch.device):
            return f"device({quote(str(value))})"
        if isinstance(value, slice):
            ends = [self.arg(v) if v is not None else "" for v in (value.start, value.stop)]
            step = f":{self.arg(value.step)}" if value.step is not None else ""
            return f"<{ends[0]}:{ends[1]}{step}>"
        if isinstance(value, list):
            return f"[{', '.join(map(self.arg, value))}]"
        if isinstance(value, tuple):
            return f"({', '.join(map(self.arg, value))}{',' if len(value) == 1 else ''})"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self.arg(k)}: {self.arg(v)}" for k, v in value.items()) + "}"
        raise TypeError(f"no argument of a program: {value!r}")

    def constant(self, tensor):
        tensor = tensor.detach().contiguous()
        raw = tensor.flatten().view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
        text = base64.b64encode(bytes(raw.tolist())).decode()
        shape = ", ".join(map(str, tensor.shape))
        entry = f'{DTYPES[tensor.dtype]} [{shape}] "{text}"'
        if entry not in self.constants:
            self.constants.append(entry)
        return f"#{self.constants.index(entry)}"

    @contextlib.contextmanager
    def region(self, what, operands=()):
        self.regions.append((what, self.open[-1]))
        number = len(self.regions) - 1
        self.happens.append(self.node(f"region ^{number}", operands).steps)
        self.open.append(number)
        try:
            yield number
        finally:
            self.open.pop()
            self.happens.pop()

    @contextlib.contextmanager
    def invoking(self, region, inputs, options):
        at = self.line()
        with_ = "".join(f"{k}: {self.arg(v)}, " for k, v in options.items())[:-2]
        text = f"invoke @{len(self.invokes)} in ^{region} {self.input(inputs)}"
        self.invokes.append(text + (f" with {{{with_}}}" if with_ else "") + f" {at}")
        before, self.invoke, self.moved, self.steps = self.invoke, len(self.invokes) - 1, {}, []
        try:
            yield self.invoke
        finally:
            self.invoke = before

    def input(self, inputs):
        if not inputs:
            return "empty"
        (value,) = inputs
        if isinstance(value, str):
            return f"text [{quote(value)}]"
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return f"text [{', '.join(map(quote, value))}]"
        if isinstance(value, list):
            rows = value if isinstance(value[0], list) else [value]
            return "tokens [" + ", ".join(f"[{', '.join(map(str, row))}]" for row in rows) + "]"
        if isinstance(value, dict):
            mask = f" mask {self.arg(value['attention_mask'])}" if "attention_mask" in value else ""
            return f"batch {self.arg(value['input_ids'])}{mask}"
        return f"value {self.arg(value)}"

    def text(self):
        out = ["pellucid program 1", f"source $0 {quote(self.name)}"]
        out += [f"const #{i} {c}" for i, c in enumerate(self.constants)]
        for i, (what, parent) in enumerate(self.regions):
            out.append(f"region ^{i} {what}" + ("" if parent is None else f" in ^{parent}"))
        out += self.invokes
        at = None
        for i, (region, text, line) in enumerate(self.nodes):
            if region != at:
                out.append(f"^{region}:")
                at = region
            out.append(f"  %{i} = {text} {line}")
        out += [f"bind {quote(name)} %{node}" for name, node in self.binds]
        return "\n".join(out) + "\n"


def proxies(value):
    if isinstance(value, Proxy):
        value.id
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from proxies(v)
    elif isinstance(value, dict):
        yield from proxies(list(value.values()))
    elif isinstance(value, slice):
        yield from proxies([value.start, value.stop, value.step])


class Proxy:
    """A value of the program."""

    def __init__(self, recording, node, steps=FREE):
        self.__dict__.update(recording=recording, _id=node, steps=steps)

    @property
    def id(self):
        return self._id

    def op(self, name, *args, **kwargs):
        return self.recording.op(name, args, kwargs)

    def save(self):
        return self.recording.node(f"save %{self.id}", self)

    def stop(self):
        self.recording.node(f"stop trace after %{self.id}", self)

    def backward(self, gradient=None, retain_graph=False):
        text = f"backward %{self.id}"
        text += f" gradient {self.recording.arg(gradient)}" if gradient is not None else ""
        self.recording.node(text + (" retain" if retain_graph else ""), (self, gradient))

    @property
    def grad(self):
        return self.recording.node(f"grad %{self.id}", self)

    @grad.setter
    def grad(self, value):
        self.recording.node(f"set_grad %{self.id} with {self.recording.arg(value)}", (self, value))

    def requires_grad_(self, value=True):
        self.recording.node(f"requires_grad %{self.id} {str(value).lower()}", self)
        return self

    def __setattr__(self, name, value):
        if name == "grad":
            Proxy.grad.fset(self, value)
        elif name == "requires_grad":
            self.requires_grad_(value)
        else:
            self.op("setattr", self, name, value)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Attribute(self, name)

    def __len__(self):
        return self.op("len", self)

    def __getitem__(self, index):
        return self.op("getitem", self, index)

    def __setitem__(self, index, value):
        self.op("setitem", self, index, value)

    def __delitem__(self, index):
        self.op("delitem", self, index)

    def __bool__(self):
        raise TypeError("the truth of a value is known only when the program runs")

    def __iter__(self):
        raise TypeError("what a value holds is known only when the program runs")

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        name = function.__name__
        names = {"__rsub__": "rsub", "linalg_vector_norm": "vector_norm", "__setitem__": "setitem"}
        proxy = next(proxies([args, kwargs]))
        given = {k: v for k, v in (kwargs or {}).items() if not is_default(function, k, v)}
        return proxy.recording.op(names.get(name, name), args, given)


def is_default(function, name, value):
    """PyTorch hands on arguments that nobody gave; a program says what was written."""
    try:
        found = inspect.signature(function).parameters.get(name)
    except ValueError:
        found = None
    return name in ("_stacklevel", "out") or value is None or (found is not None and value is found.default)


BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "truediv", "floordiv": "floordiv", "mod": "mod", "pow": "pow",
    "matmul": "matmul", "and": "and", "or": "or", "xor": "xor", "lshift": "lshift", "rshift": "rshift",
}
for python, own in BINARY.items():
    setattr(Proxy, f"__{python}__", lambda self, other, own=own: self.op(own, self, other))
    setattr(Proxy, f"__r{python}__", lambda self, other, own=own: self.op(own, other, self))
for own in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Proxy, f"__{own}__", lambda self, other, own=own: self.op(own, self, other))
for python, own in {"neg": "neg", "pos": "pos", "abs": "abs", "invert": "invert", "round": "round"}.items():
    setattr(Proxy, f"__{python}__", lambda self, own=own: self.op(own, self))
Proxy.__hash__ = object.__hash__


class Attribute(Proxy):
    """An attribute of a value: a field when used, a method when called."""

    def __init__(self, owner, name):
        self.__dict__.update(recording=owner.recording, owner=owner, name=name, _id=None, steps=owner.steps)

    @property
    def id(self):
        if self._id is None:
            self.__dict__["_id"] = self.op("getattr", self.owner, self.name)._id
        return self._id

    def __call__(self, *args, **kwargs):
        return self.op(self.name, self.owner, *args, **kwargs)


class Optimizer(Proxy):
    """The value of `sgd` or `adamw`."""

    def step(self):
        self.recording.node(f"optimizer_step %{self.id}")

    def zero_grad(self):
        self.recording.node(f"zero_grad %{self.id}")


class Module:
    """A module of a model."""

    def __init__(self, recording, model, path="", steps=None):
        self.__dict__.update(recording=recording, number=model, path=path, own_steps=steps)

    def child(self, name):
        path = f"{self.path}.{name}" if self.path else name
        return Module(self.recording, self.number, path, self.own_steps)

    def at(self):
        if self.own_steps:
            return self.own_steps
        within = [s for path, s in self.recording.steps if is_within(self.path, path)]
        if within:
            return within[-1]
        moved = sum(k for path, k in self.recording.moved.items() if is_within(self.path, path))
        return f"step {moved}" if moved else FIRST

    def __getattr__(self, name):
        if name in POINTS:
            return self.recording.node(f"read {quote(self.path)} {name}", steps=self.at())
        if name in ("weight", "bias"):
            return self.recording.node(f"parameter {quote(f'{self.path}.{name}')}")
        return self.child(name)

    def __setattr__(self, name, value):
        value_text = self.recording.arg(value)
        self.recording.node(f"write {quote(self.path)} {name} with {value_text}", steps=self.at())

    def __getitem__(self, index):
        return self.child(str(index))

    def __call__(self, *args, hook=False, **kwargs):
        word = "hooked " if hook else ""
        call = self.recording.call(args, kwargs)
        return self.recording.node(f"module {word}{quote(self.path)}{call}", (args, kwargs))

    def op(self, label):
        return self.recording.node(f"read {quote(self.path)} op {quote(label)}", steps=self.at())

    def skip(self, value):
        self.recording.node(f"skip {quote(self.path)} with {self.recording.arg(value)}", steps=self.at())

    def next(self, k=1):
        moved = self.recording.moved
        moved[self.path] = moved.get(self.path, 0) + k
        return self

    @property
    def iter(self):
        return Steps(self)

    def all(self):
        """Every call, in the block that it opens or, called by itself, up to the invoke's end."""
        block = self.iter[:]
        block.enter()
        return block


def is_within(path, other):
    return not other or path == other or path.startswith(other + ".")


class Steps:
    def __init__(self, module):
        self.module = module

    def __getitem__(self, key):
        module = self.module
        return StepsBlock(module.recording, module.number, module.path, all_of(key))


class StepsBlock(Module):
    def enter(self):
        self.recording.steps.append((self.path, self.own_steps))

    def __enter__(self):
        if (self.path, self.own_steps) not in self.recording.steps:
            self.enter()

    def __exit__(self, *_):
        self.recording.steps.remove((self.path, self.own_steps))


class Model(Module):
    """A model: its modules, and the contexts it opens."""

    def __init__(self, recording, number=0):
        super().__init__(recording, number)

    def trace(self, *inputs, invoker_kwargs=None, **options):
        return self.running(f"trace {self.number}", inputs, invoker_kwargs or {}, options)

    def generate(self, *inputs, invoker_kwargs=None, **options):
        pairs = ", ".join(f"{k}: {self.recording.arg(v)}" for k, v in options.items())
        return self.running(f"trace {self.number} generate {{{pairs}}}", inputs, invoker_kwargs or {}, {})

    def scan(self, *inputs):
        return self.running(f"trace {self.number}", inputs, {}, {})

    @contextlib.contextmanager
    def running(self, what, inputs, invoke_options, options):
        with self.recording.region(what) as region:
            tracer = Tracer(self.recording, region)
            if inputs:
                with tracer.invoke(*inputs, **invoke_options, **options):
                    yield tracer
            else:
                yield tracer

    @contextlib.contextmanager
    def session(self):
        with self.recording.region("session"):
            yield Scope(self.recording, "session")

    @contextlib.contextmanager
    def edit(self, inplace=False):
        number = self.number
        if not inplace:
            number = self.recording.models
            self.recording.models += 1
        with self.recording.region(f"edit {self.number} as {number}"):
            yield Model(self.recording, number)


class Scope:
    """A session, loop or condition: what can be opened or said in it."""

    def __init__(self, recording, what, number=None):
        self.recording, self.what, self.number = recording, what, number

    @contextlib.contextmanager
    def iter(self, collection):
        with self.recording.region(f"iter {self.recording.arg(collection)}", collection) as number:
            yield self.recording.node(f"item ^{number}", steps=FREE)

    @contextlib.contextmanager
    def cond(self, value):
        with self.recording.region(f"cond {self.recording.arg(value)}", value) as number:
            yield Scope(self.recording, "cond", number)

    @contextlib.contextmanager
    def else_(self, value=None):
        what = "else" if value is None else f"cond {self.recording.arg(value)}"
        with self.recording.region(f"{what} after ^{self.number}", value) as number:
            yield Scope(self.recording, "cond", number)

    def stop(self):
        in_loop = any(self.recording.regions[r][0].startswith("iter") for r in self.recording.open)
        word = "loop" if in_loop else self.what
        self.recording.node(f"stop {word}", steps=FREE)

    def log(self, *args):
        self.recording.node(f"log {self.recording.call(args, {})}", args)

    def apply(self, function, *args):
        return self.recording.node(f"host {function.number}{self.recording.call(args, {})}", args)


class Tracer(Scope):
    def __init__(self, recording, region):
        super().__init__(recording, "trace", region)

    def invoke(self, *inputs, **options):
        return self.recording.invoking(self.number, inputs, options)


class Library:
    """What the name `nnsight` stands for while a case is recorded."""

    def __init__(self, recording):
        self.recording = recording

    def __getattr__(self, name):
        # Where a builtin differs from the method of its name it has a prefix.
        name = f"builtins.{name}" if name in ("int", "float", "bool") else name
        return lambda *args, **kwargs: self.recording.op(name, args, kwargs)

    def log(self, *args):
        Scope(self.recording, "trace").log(*args)

    def apply(self, function, *args):
        return Scope(self.recording, "trace").apply(function, *args)

    def cond(self, value):
        return Scope(self.recording, "cond").cond(value)

    def iter(self, collection):
        return Scope(self.recording, "iter").iter(collection)

    @contextlib.contextmanager
    def local(self):
        with self.recording.region("local"):
            yield

    def merge(self, *values):
        names = ", ".join(f"%{v.id}" for v in values)
        return self.recording.node(f"merge [{names}]", values)

    def op(self, name, *args, **kwargs):
        """An operation by its canonical name, where nnsight has no way to say it."""
        return self.recording.op(name, args, kwargs)


CREATION = ("arange", "empty", "eye", "full", "linspace", "logspace", "ones", "zeros")


@contextlib.contextmanager
def creation_recorded(recording):
    """Inside, tensors made from nothing, parameters, optimizers and `einops` are recorded too, as nnsight records them."""
    kept = [(torch, name, getattr(torch, name)) for name in CREATION]
    for _, name, _ in kept:
        setattr(torch, name, lambda *a, name=name, **k: recording.op(name, a, k))
    others = [
        (torch.nn, "Parameter", lambda t, requires_grad=True: recording.op("nn_parameter", [t])),
        (torch.optim, "SGD", lambda p, **k: recording.op("sgd", [p], k, kind=Optimizer)),
        (torch.optim, "AdamW", lambda p, **k: recording.op("adamw", [p], k, kind=Optimizer)),
        (einops, "rearrange", lambda t, p, **k: recording.op("rearrange", [t, p], k)),
        (einops, "repeat", lambda t, p, **k: recording.op("einops.repeat", [t, p], k)),
        (einops, "reduce", lambda t, p, r, **k: recording.op("einops.reduce", [t, p, r], k)),
        (einops, "einsum", lambda *a: recording.op("einops.einsum", a)),
    ]
    for owner, name, stand_in in others:
        kept.append((owner, name, getattr(owner, name)))
        setattr(owner, name, stand_in)
    try:
        yield
    finally:
        for owner, name, own in kept:
            setattr(owner, name, own)
