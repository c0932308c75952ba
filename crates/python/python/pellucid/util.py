"""Functions about values of any nesting."""

__all__ = ["WrapperModule", "apply", "fetch_attr"]


def apply(data, function, cls):
    """The same nesting with `function` applied to everything inside that is of class `cls`."""
    if isinstance(data, cls):
        return function(data)
    if isinstance(data, (list, tuple)):
        return type(data)(apply(item, function, cls) for item in data)
    if isinstance(data, dict):
        return {key: apply(value, function, cls) for key, value in data.items()}
    if isinstance(data, slice):
        return slice(apply(data.start, function, cls), apply(data.stop, function, cls), apply(data.step, function, cls))
    return data


def fetch_attr(owner, path):
    """The attribute of a dotted path."""
    for name in path.split("."):
        owner = getattr(owner, name)
    return owner


def __getattr__(name):
    if name == "WrapperModule":
        from ._hooks import torch

        library = torch()
        if library is None:
            raise AttributeError("`WrapperModule` is a module of PyTorch's, which is not installed")

        class WrapperModule(library.nn.Module):
            """A module that returns what it is given: a place for values that users make."""

            def forward(self, *args, **kwargs):
                """The arguments themselves."""
                return args[0] if len(args) == 1 else args

        return WrapperModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
