"""Modules of a model as users see them."""

from . import errors
from ._context import current, needed
from ._proxy import Proxy

__all__ = ["Envoy"]

_POINTS = {"input", "inputs", "output", "pattern", "iter", "source"}


def steps(key):
    """A selection of calls, as the recorder takes it."""
    if isinstance(key, slice):
        parts = [part for part in (key.start, key.stop, key.step) if part is not None]
        if any(part < 0 for part in parts) or key.step == 0:
            raise errors.make("ValueError", "calls are counted from 0, and forwards",
                              hint="say how many there are: `range(n)[-1]` for the last")
        return (key.start or 0, key.stop, key.step or 1)
    if isinstance(key, (list, tuple, range)):
        key = list(key)
        if any(part < 0 for part in key):
            raise errors.make("ValueError", "calls are counted from 0, and forwards")
        return key
    if key < 0:
        raise errors.make("ValueError", "calls are counted from 0, and forwards")
    return int(key)


class Envoy:
    """A module of a model: its `output`, `input` and `inputs` inside a trace, and the modules below it."""

    def __init__(self, root, path, own=None):
        self.__dict__.update(_root=root, _module_path=path, _own=own, _children={})

    # The tree.

    @property
    def path(self):
        """Where the module stands, with a leading dot."""
        return f".{self._module_path}" if self._module_path else ""

    _path = path

    def _module(self):
        return self._root._modules_by_path[self._module_path]

    def _child(self, name):
        if name not in self._children:
            path = f"{self._module_path}.{name}" if self._module_path else name
            self._children[name] = Envoy(self._root, path, self._own)
        return self._children[name]

    def _names(self):
        return self._root._names_below(self._module_path)

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if name in _POINTS:
            # The property itself has failed: there is no trace.
            needed(f"`.{name}`")
        old = self._root._old_name(name)
        if old in self._names():
            return self._child(old)
        parameters = self._module().parameters
        if name in parameters:
            return self._parameter(parameters[name])
        raise errors.make("AttributeError", f"{self._module().type!r} object has no attribute {name!r}",
                          hint=self._root._similar(name, [*self._names(), *parameters]))

    def _parameter(self, name):
        recording = current()
        if recording is None:
            return self._root._handle.parameter(name) if self._root._wrap is None else self._root._wrap(
                self._root._handle.parameter(name))
        return Proxy(recording, recording.here().parameter(name))

    def _list(self):
        return [self._child(name) for name in self._names()]

    def __getitem__(self, index):
        if isinstance(index, str):
            return self.__getattr__(index)
        return self._list()[index]

    def __len__(self):
        return len(self._names())

    def __iter__(self):
        return iter(self._list())

    def __bool__(self):
        return True

    def modules(self, include_fn=None, names=False):
        """This module and all below, as Envoys; with `names`, with their paths."""
        found = []

        def visit(envoy):
            for child in envoy._list():
                visit(child)
            if include_fn is None or include_fn(envoy):
                found.append((envoy.path, envoy) if names else envoy)

        visit(self)
        return found

    def named_modules(self, *args, **kwargs):
        """`modules` with paths."""
        return self.modules(*args, **kwargs, names=True)

    def get(self, path):
        """The module, or the value, of a dotted path."""
        found = self
        for name in path.strip(".").split("."):
            found = found[int(name)] if name.isdigit() else getattr(found, name)
        return found

    def __repr__(self):
        return self._root._printout(self._module_path)

    def __dir__(self):
        return sorted({*object.__dir__(self), *self._names(), *self._module().parameters})

    # Values.

    def _read(self, point, label=None):
        recording = needed(f"`.{point}`")
        if point != "op" and self._names() and self._module().type == "ModuleList":
            return recording.proxy_op("list", ([child._read(point) for child in self._list()],))
        key = (self._module_path, point, label, self._own if not isinstance(self._own, list) else tuple(self._own))
        if key not in recording.reads:
            node = recording.here().read(self._module_path, point, self._own, label)
            recording.reads[key] = Proxy(recording, node)
        return recording.reads[key]

    def _write(self, point, value, label=None):
        recording = needed(f"`.{point}`")
        recording.here().write(self._module_path, point, value, self._own, label)
        recording.reads.clear()

    @property
    def output(self):
        """What the module returns. Assigning to it replaces it."""
        return self._read("output")

    @output.setter
    def output(self, value):
        self._write("output", value)

    @property
    def input(self):
        """The first positional argument of the module. Assigning to it replaces it."""
        return self._read("input")

    @input.setter
    def input(self, value):
        self._write("input", value)

    @property
    def inputs(self):
        """All arguments of the module: a tuple, and a dictionary by name. Assigning to it replaces them."""
        return self._read("inputs")

    @inputs.setter
    def inputs(self, value):
        self._write("inputs", value)

    @property
    def pattern(self):
        """The attention pattern of an attention module, `[batch, n_heads, seq_q, seq_k]`."""
        return self._read("pattern")

    @pattern.setter
    def pattern(self, value):
        self._write("pattern", value)

    def op(self, label):
        """The result of an operation inside the module, by its label such as `softmax_0`."""
        return self._read("op", label)

    def skip(self, value):
        """Does not run the module: it returns `value`."""
        recording = needed("`.skip`")
        recording.here().skip(self._module_path, value)
        recording.reads.clear()

    def __setattr__(self, name, value):
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        elif type(value).__module__.partition(".")[0] == "torch" or hasattr(value, "forward"):
            raise errors.make("NotImplementedError", "attaching modules is not supported yet")
        else:
            self.__dict__[name] = value

    def __call__(self, *args, hook=False, **kwargs):
        recording = current()
        if recording is None:
            return self._root._call_now(self._module_path, args, kwargs)
        hooks = hook or recording.editing
        return Proxy(recording, recording.here().module(self._module_path, args, kwargs, hooks))

    # Calls of the module.

    def next(self, increment=1):
        """Moves the module and all below to a later call."""
        recording = needed("`.next`")
        recording.next(self._module_path, increment)
        recording.reads.clear()
        return self

    @property
    def iter(self):
        """Calls of the module by number: `iter[2].output`, `with module.iter[1:3]:`."""
        return _Calls(self)

    def all(self):
        """Every call, in the block that it opens or, called by itself, to the invoke's end."""
        block = self.iter[:]
        block._enter()
        return block


class _Calls:
    def __init__(self, envoy):
        self.envoy = envoy

    def __getitem__(self, key):
        return _Selected(self.envoy._root, self.envoy._module_path, steps(key))


class _Selected(Envoy):
    """A module at some of its calls; as a block, it selects them for all that is read inside."""

    def __init__(self, root, path, own):
        super().__init__(root, path, own)
        self.__dict__["_entered"] = False

    def _enter(self):
        recording = needed("`.iter`")
        recording.select(self._module_path, self._own)
        recording.repeats = True
        recording.reads.clear()
        self.__dict__["_entered"] = True

    def __enter__(self):
        if not self._entered:
            self._enter()
        return self

    def __exit__(self, *_):
        recording = needed("`.iter`")
        recording.unselect(self._module_path, self._own)
        recording.reads.clear()
        self.__dict__["_entered"] = False
