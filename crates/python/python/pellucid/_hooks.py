"""What the Rust part asks of Python: other libraries' values, output objects, errors."""

import sys

from . import errors
from ._pellucid import Tensor, dtype as Dtype
from .records import record

__all__ = ["dtype", "error", "foreign", "record", "shape_only", "tensor"]

_torch = None


def torch():
    """PyTorch, where it is installed; else None."""
    global _torch
    if _torch is None:
        module = sys.modules.get("torch")
        if module is None:
            import importlib.util

            found = importlib.util.find_spec("torch") is not None
            module = __import__("torch") if found else False
        if module:
            from ._torch import prepare

            prepare(module)
        _torch = module
    return _torch or None


def tensor(own):
    """A tensor as users are given it: PyTorch's, on the same memory, where there is PyTorch."""
    library = torch()
    if library is None:
        return own
    from ._torch import to_torch

    return to_torch(library, own)


def dtype(own):
    """An element type as users are given it."""
    library = torch()
    return own if library is None else getattr(library, own.name)


class ShapeOnly:
    """What a scan knows of a tensor."""

    def __init__(self, shape, dtype):
        library = torch()
        self.shape = shape if library is None else library.Size(shape)
        self.dtype = dtype if library is None else getattr(library, dtype.name)
        self.ndim = len(shape)

    @property
    def device(self):
        library = torch()
        return "cpu" if library is None else library.device("cpu")

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def dim(self):
        return self.ndim

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        return f"<{self.dtype} of shape {tuple(self.shape)}, not computed>"


def shape_only(shape, dtype):
    return ShapeOnly(shape, dtype)


def foreign(value):
    """A value of another library as one of ours; ('device', name) stands for a device."""
    kind = type(value)
    root = kind.__module__.partition(".")[0]
    if root == "torch" or "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
        library = sys.modules["torch"]
        if isinstance(value, library.dtype):
            return Dtype(str(value))
        if isinstance(value, library.device):
            return ("device", str(value))
        if isinstance(value, library.Tensor):
            from ._torch import from_torch

            return from_torch(library, value)
        if isinstance(value, (library.memory_format, library.layout)):
            return None
    if root == "numpy":
        import numpy

        if isinstance(value, numpy.generic):
            return value.item()
        if isinstance(value, numpy.ndarray):
            known = {"int16": "int32", "int8": "int32", "uint16": "int32", "uint32": "int64"}
            name = known.get(value.dtype.name, value.dtype.name)
            array = numpy.ascontiguousarray(value, dtype=name)
            return Tensor.from_bytes(array.tobytes(), Dtype(name), list(value.shape))
        if isinstance(value, numpy.dtype):
            return Dtype(value.name)
    if isinstance(value, (frozenset, range)) or hasattr(value, "__next__"):
        return list(value)
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {key: value[key] for key in value.keys()}
    if hasattr(value, "__index__"):
        return value.__index__()
    if hasattr(value, "__dlpack__"):
        return Tensor.from_dlpack(value.__dlpack__())
    if value in (int, float, bool):
        return Dtype({int: "int64", float: "float32", bool: "bool"}[value])
    raise TypeError(f"a value of type `{kind.__name__}` cannot be an argument of a traced operation")


def error(base, message, line, hint, cause):
    """An exception; `cause` is what a function of the user's raised."""
    if base == "KeyboardInterrupt":
        return KeyboardInterrupt()
    if cause is not None:
        made = errors.make(type(cause), str(cause), line, hint)
        made.__cause__ = cause
        return made
    return errors.make(base, message, line, hint)
