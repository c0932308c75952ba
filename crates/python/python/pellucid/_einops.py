"""`einops` on proxies and on our tensors: its functions are operations of the engine."""

import types

from ._pellucid import Node, Tensor
from ._proxy import live, values
from ._tensor import run

__all__ = ["prepare"]


def _reduce(original):
    def reduce(tensor, pattern, reduction, **axes):
        if live((tensor, axes)) is None:
            tensor, axes = values(tensor), values(axes)
        first = tensor[0] if isinstance(tensor, (list, tuple)) and tensor else tensor
        if not isinstance(first, (Node, Tensor)):
            return original(tensor, pattern, reduction, **axes)
        if reduction in ("rearrange", "repeat"):
            name = "rearrange" if reduction == "rearrange" else "einops.repeat"
            return run(name, (tensor, pattern), axes)
        return run("einops.reduce", (tensor, pattern, reduction), axes)

    return reduce


def _einsum(original):
    def einsum(*tensors_and_pattern):
        if live(tensors_and_pattern) is None:
            tensors_and_pattern = values(tensors_and_pattern)
        if not any(isinstance(item, (Node, Tensor)) for item in tensors_and_pattern):
            return original(*tensors_and_pattern)
        return run("einops.einsum", tensors_and_pattern)

    return einsum


def prepare(library):
    """Makes `einops` know our values, by whatever names its functions have been imported."""
    inner = library.einops
    if hasattr(inner, "_pellucid_reduce"):
        return
    for name, wrap, call in (
        ("reduce", _reduce, "def reduce(tensor, pattern, reduction, **axes):\n"
                            "    return _pellucid_reduce(tensor, pattern, reduction, **axes)\n"),
        ("einsum", _einsum, "def einsum(*tensors_and_pattern):\n"
                            "    return _pellucid_einsum(*tensors_and_pattern)\n"),
    ):
        function = getattr(inner, name)
        original = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__,
                                      function.__closure__)
        setattr(inner, f"_pellucid_{name}", wrap(original))
        made = {}
        exec(call, made)
        # The function itself may have been imported by name: it keeps its identity and gets another body.
        function.__code__ = made[name].__code__
        function.__kwdefaults__ = function.__defaults__ = None
