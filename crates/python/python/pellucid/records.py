"""Values with named fields: output objects of models and named results of operations."""

import collections

__all__ = ["ModelOutput", "record"]


class ModelOutput(dict):
    """An output object of a model: fields by attribute, by key, and, without those that are None, by position."""

    def __getattr__(self, name):
        if name in self:
            return self[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        self[name] = value

    def __getitem__(self, key):
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self):
        """The fields that are not None, in order."""
        return tuple(value for value in self.values() if value is not None)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.items())})"


_TYPES = {}


def record(name, fields):
    """A value of the type of that name: a named tuple for results of operations, else an output object."""
    if name[:1].islower():
        key = (name, tuple(fields))
        if key not in _TYPES:
            _TYPES[key] = collections.namedtuple(name, fields)
        return _TYPES[key](**fields)
    if name not in _TYPES:
        _TYPES[name] = type(name, (ModelOutput,), {"__module__": __name__})
    return _TYPES[name]({key: value for key, value in fields.items() if value is not None})
