"""PyTorch's tensors on our values, ours on theirs, and its functions on proxies."""

import inspect
import sys

from ._pellucid import Tensor, call_op, dtype
from ._context import INTERNAL, current
from ._proxy import Proxy, live, values

# Functions whose canonical names are others.
_NAMES = {
    "__rsub__": "rsub", "__rpow__": "rpow", "linalg_vector_norm": "vector_norm", "__setitem__": "setitem",
    "__getitem__": "getitem", "__get__": "getattr", "true_divide": "truediv", "divide": "truediv", "div": "truediv",
    "remainder": "mod", "multiply": "mul", "subtract": "sub", "floor_divide": "floordiv",
}


def prepare(library):
    """Called once PyTorch is there: saved tensors answer `.value` as proxies do."""
    if not hasattr(library.Tensor, "value"):
        library.Tensor.value = property(lambda self: self, doc="The tensor itself, as a saved proxy's `.value`.")


def to_torch(library, own):
    """PyTorch's tensor on the memory of ours."""
    if own.dtype == dtype("bool"):
        return library.utils.dlpack.from_dlpack(call_op("to", (own, dtype("uint8")))).view(library.bool)
    return library.utils.dlpack.from_dlpack(own)


def from_torch(library, value):
    """A copy of PyTorch's tensor as ours."""
    value = value.detach().cpu().contiguous()
    if value.is_conj() or value.is_neg():
        value = value.resolve_conj().resolve_neg()
    if value.dtype == library.bool:
        return call_op("to", (from_torch(library, value.view(library.uint8)), dtype("bool")))
    if value.dtype in (library.int8, library.int16):
        value = value.int()
    return Tensor.from_dlpack(library.utils.dlpack.to_dlpack(value))


def _is_default(function, name, value):
    """Whether nobody gave an argument: PyTorch hands on all of them."""
    try:
        found = inspect.signature(function).parameters.get(name)
    except (TypeError, ValueError):
        found = None
    return name in ("_stacklevel", "out") or value is None or (found is not None and value is found.default)


def record(function, args, kwargs):
    """A function of PyTorch's on proxies: recorded, or called at once where all are values of ended traces."""
    recording = live((args, kwargs))
    if recording is None:
        return function(*values(args), **values(kwargs))
    name = function.__name__
    given = {key: value for key, value in kwargs.items() if not _is_default(function, key, value)}
    found = recording.proxy_op(_NAMES.get(name, name), args, given)
    if name == "__setitem__":
        return None
    return found if isinstance(found, Proxy) else None


class Optimizer(Proxy):
    """An optimizer of the program."""

    def step(self, closure=None):
        """One update of its parameters."""
        self.recorder.here().optimizer_step(self._id)

    def zero_grad(self, set_to_none=True):
        """Forgets the gradients that its parameters hold."""
        self.recorder.here().zero_grad(self._id)


class Patches:
    """Functions of PyTorch's that make something from nothing: inside a trace, they are recorded."""

    _CREATION = ("arange", "empty", "eye", "full", "linspace", "logspace", "ones", "rand", "randint", "randn", "randperm",
                 "zeros")
    _OPTIMIZERS = {"SGD": "sgd", "AdamW": "adamw", "Adam": "adam"}
    # Packages whose own calls are left alone.
    _OTHERS = INTERNAL | {"transformers", "numpy"}

    def __init__(self):
        self._depth, self._kept = 0, []

    def enter(self):
        """Puts them in place."""
        self._depth += 1
        if self._depth > 1:
            return
        library = sys.modules["torch"]
        for name in self._CREATION:
            self._replace(library, name, name)
        self._replace(library.nn, "Parameter", "nn_parameter")
        for name, operation in self._OPTIMIZERS.items():
            self._replace(library.optim, name, operation, Optimizer)

    def leave(self):
        """Puts PyTorch's own back."""
        self._depth -= 1
        if self._depth == 0:
            for owner, name, own in self._kept:
                setattr(owner, name, own)
            self._kept.clear()

    def _replace(self, owner, name, operation, kind=None):
        own = getattr(owner, name)

        def made(*args, **kwargs):
            recording = current()
            caller = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
            if recording is None or caller in self._OTHERS:
                return own(*args, **kwargs)
            if kind is not None:
                args = (_listed(args[0]), *args[1:])
            if operation == "nn_parameter":
                kwargs.pop("requires_grad", None)
            found = recording.proxy_op(operation, args, kwargs)
            return found if kind is None else kind(recording, found._id)

        made.__name__ = name
        self._kept.append((owner, name, own))
        setattr(owner, name, made)


def _listed(parameters):
    return parameters if isinstance(parameters, (list, Proxy)) else list(parameters)


PATCHES = Patches()
