"""The methods and operators of `pellucid.Tensor`: each is an operation of the engine, run at once."""

from . import _pellucid
from ._pellucid import Node, Tensor, call_op, dtype

__all__ = ["DTYPES", "Tensor", "dtype", "tensor"]

DTYPES = {
    name: dtype(name)
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool")
}

BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "truediv", "floordiv": "floordiv", "mod": "mod",
    "pow": "pow", "matmul": "matmul", "and": "and", "or": "or", "xor": "xor", "lshift": "lshift",
    "rshift": "rshift",
}
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")
UNARY = {"neg": "neg", "pos": "pos", "abs": "abs", "invert": "invert", "round": "round"}


# Operations that are methods of Python's own types and of no tensor.
_OTHERS = {name for kind in (list, dict, set, str, bytes) for name in dir(kind)} - {"add", "sort", "split"}


def run(name, args, kwargs=None):
    """Carries out an operation, or records it where an argument is a value of an open program."""
    if any(isinstance(arg, (Node, list, tuple)) for arg in args):
        from ._proxy import live

        recording = live(args)
        if recording is not None:
            return recording.proxy_op(name, args, kwargs)
    return call_op(name, args, kwargs)


def _install():
    def method(name):
        def call(self, *args, **kwargs):
            return run(name, (self, *args), kwargs or None)

        call.__name__ = call.__qualname__ = name
        call.__doc__ = f"PyTorch's `{name}`."
        return call

    for name in _pellucid.op_names():
        if name in _OTHERS:
            continue
        for form in (name, f"{name}_"):
            if name.isidentifier() and not hasattr(Tensor, form):
                setattr(Tensor, form, method(form))
    for own in ("T", "mT", "H", "mH", "real", "imag", "data"):
        setattr(Tensor, own, property(lambda self, own=own: call_op("getattr", (self, own))))
    for python, own in BINARY.items():
        setattr(Tensor, f"__{python}__", lambda self, other, own=own: run(own, (self, other)))
        setattr(Tensor, f"__r{python}__", lambda self, other, own=own: run(own, (other, self)))
    for own in COMPARE:
        setattr(Tensor, f"__{own}__", lambda self, other, own=own: run(own, (self, other)))
    for python, own in UNARY.items():
        setattr(Tensor, f"__{python}__", lambda self, *digits, own=own: run(own, (self, *digits)))
    for own, attribute in _METHODS.items():
        setattr(Tensor, own, attribute)


def _setitem(self, index, value):
    run("setitem", (self, index, value))


def _iter(self):
    return iter([self[i] for i in range(len(self))])


def _numpy(self, force=False):
    """A NumPy array with a copy of the elements."""
    import numpy

    return numpy.array(numpy.asarray(self))


def _array(self, dtype=None, copy=None):
    import numpy

    class View:
        __array_interface__ = self.__array_interface__
        owner = self

    array = numpy.asarray(View())
    return numpy.array(array, dtype=dtype) if copy else array.astype(dtype or array.dtype, copy=False)


def _size(self, dim=None):
    return self.shape if dim is None else self.shape[dim]


def _repr(self):
    shown = repr(call_op("builtins.repr", (self,))) if False else _show(self)
    return f"tensor({shown})" if self.dtype in (DTYPES["float32"], DTYPES["int64"], DTYPES["bool"]) else (
        f"tensor({shown}, dtype={self.dtype!r})")


def _show(self, most=1000, edge=3):
    """The elements in brackets; of large tensors those at the edges."""
    short = self.numel() > most

    def element(value):
        return f"{value:.4f}" if isinstance(value, float) else str(value)

    def part(tensor, depth):
        if tensor.ndim == 0:
            return element(tensor.item())
        size = tensor.shape[0]
        at = list(range(size))
        if short and size > 2 * edge:
            at = [*range(edge), None, *range(size - edge, size)]
        if tensor.ndim == 1:
            values = None if short and size > 2 * edge else tensor.tolist()
            items = ["..." if i is None else element(values[i] if values else tensor[i].item()) for i in at]
            return "[" + ", ".join(items) + "]"
        items = ["..." if i is None else part(tensor[i], depth + 1) for i in at]
        return "[" + (",\n" + " " * (len("tensor(") + depth + 1)).join(items) + "]"

    return part(self, 0)


def _format(self, spec):
    return format(self.item(), spec) if spec and self.ndim == 0 else format(repr(self), spec)


def _no_backward(self, *args, **kwargs):
    raise RuntimeError("a computed value does not know what it was computed from; call `.backward()` in the trace")


_METHODS = {
    "__getitem__": lambda self, index: run("getitem", (self, index)),
    "__setitem__": _setitem,
    "__iter__": _iter,
    "__contains__": lambda self, value: bool((self == value).any()),
    "__bool__": lambda self: bool(self.item()),
    "__int__": lambda self: int(self.item()),
    "__float__": lambda self: float(self.item()),
    "__index__": lambda self: self.item().__index__(),
    "__complex__": lambda self: complex(self.item()),
    "__hash__": object.__hash__,
    "__repr__": _repr,
    "__format__": _format,
    "__array__": _array,
    "__array_priority__": 1000,
    "numpy": _numpy,
    "size": _size,
    "dim": lambda self: self.ndim,
    "device": property(lambda self: "cpu"),
    "value": property(lambda self: self, doc="The tensor itself, as a saved proxy's `.value`."),
    "requires_grad": False,
    "grad": None,
    "is_cuda": False,
    "backward": _no_backward,
    "detach": lambda self: self,
    "cpu": lambda self: self,
    "cuda": lambda self, *args, **kwargs: self,
    "save": lambda self: self,
    "tobytes": Tensor.tobytes,
    "tolist": Tensor.tolist,
    "numel": Tensor.numel,
    "nelement": Tensor.numel,
    "element_size": lambda self: self.dtype.itemsize,
    "is_floating_point": lambda self: self.dtype.is_floating_point,
    "__deepcopy__": lambda self, memo: self.clone(),
    "__reduce__": lambda self: (Tensor.from_bytes, (self.tobytes(), self.dtype, list(self.shape))),
}


def tensor(data, dtype=None):
    """A tensor of numbers, nested lists of numbers, or another library's array."""
    if isinstance(data, (list, tuple)) and any(isinstance(item, Tensor) for item in data):
        made = call_op("stack", (list(data),))
    else:
        made = call_op("tensor", (data,))
    return made if dtype is None else call_op("to", (made, dtype))


_install()
