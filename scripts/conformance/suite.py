"""Cases: how they are declared, recorded, run and written."""

import ast
import inspect
import textwrap

import torch

from recorder import Library, Model, Recording, creation_recorded

CASES = []


class Case:
    """A program, and where its expected values come from."""

    def __init__(self, body, section, model, title, version, reason, tolerance, fault, scan, ignore):
        self.body, self.section, self.model, self.title = body, section, model, title
        self.name, self.version, self.reason, self.tolerance = body.__name__, version, reason, tolerance
        self.fault, self.scan, self.ignore = fault, scan, ignore
        self.plain = None

    def torch(self, function):
        """Declares the plain PyTorch function that gives the expected values."""
        self.plain = function
        return self

    def source(self):
        """The body's lines, the first below its `def`, and the number of the `def` line."""
        lines, first = inspect.getsourcelines(self.body)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        start = tree.body[0].body[0].lineno
        below = first + start - 1
        return textwrap.dedent("".join(lines[start - 1:])).rstrip().split("\n"), below - 1

    def record(self):
        """The program's text."""
        _, above = self.source()
        code = {self.body.__code__}
        code |= {c for c in self.body.__code__.co_consts if inspect.iscode(c)}
        recording = Recording(f"{self.name}.py", code, above)
        with creation_recorded(recording):
            found = self.body(Model(recording), Library(recording))
        for name, value in (found or {}).items():
            recording.binds.append((name, value.id))
        return recording.text()


def case(section, model, title, *, version="0.4.11", reason=None, tolerance=1e-5, fault=None, scan=False, ignore=()):
    """Declares a case.

    `reason` says why expected values are PyTorch's and not nnsight's; a case with a PyTorch function and no reason is
    checked by both. `fault` is a kind and the lines that are named.
    `version` is that of nnsight. `ignore` names values whose elements are not compared, only their shape and type.
    """
    def declare(body):
        made = Case(body, section, model, title, version, reason, tolerance, fault, scan, ignore)
        CASES.append(made)
        return made
    return declare


class HostFunction:
    """A function of the host's, by its number in the table that every runner of the suite keeps."""

    def __init__(self, number, function):
        self.number, self.function = number, function

    def __call__(self, *args):
        return self.function(*args)


double = HostFunction(0, lambda x: x * 2)
double.__name__ = "double"


class Absent:
    """A value that was never set."""


ABSENT = Absent()


class Record:
    """Named fields: an output object, or what a function of PyTorch's returns."""

    def __init__(self, name, fields):
        self.name, self.fields = name, fields


def encode(value, key, arrays):
    """A value as JSON; tensors go into `arrays`."""
    if isinstance(value, Absent):
        return {"absent": True}
    if isinstance(value, torch.Tensor):
        arrays[key] = value.detach().clone().contiguous()
        return {"tensor": key}
    if isinstance(value, Record):
        return {"record": [value.name, [[k, encode(v, f"{key}.{k}", arrays)] for k, v in value.fields.items()]]}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return {"tuple": [encode(v, f"{key}.{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, list):
        return [encode(v, f"{key}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {"dict": [[encode(k, f"{key}.k{i}", arrays), encode(v, f"{key}.{i}", arrays)]
                         for i, (k, v) in enumerate(value.items())]}
    raise TypeError(f"{key}: {type(value)} has no place among expected values")
