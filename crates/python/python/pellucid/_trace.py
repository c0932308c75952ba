"""The blocks that users open: traces, invokes, sessions, edits, loops and conditions."""

import builtins

from . import errors
from ._context import Recording, current, needed
from ._proxy import Attribute, Proxy

__all__ = ["Invoker", "Scope", "Session", "Tracer"]


def prepared(inputs, kwargs):
    """What goes into an invoke, as the recorder takes it: kind, value, mask."""
    mask = kwargs.pop("attention_mask", None)
    ids = kwargs.pop("input_ids", None)
    if ids is not None:
        inputs = (*inputs, ids)
    if not inputs:
        return "empty", None, None
    if len(inputs) > 1:
        raise errors.make("TypeError", f"an invoke takes one input, got {len(inputs)}",
                          hint="give a list of prompts, or open one invoke for each")
    value = inputs[0]
    if hasattr(value, "keys") and not isinstance(value, Proxy):
        mask = value["attention_mask"] if "attention_mask" in value.keys() else mask
        value = value["input_ids"]
    if mask is not None:
        return "batch", value, mask
    if isinstance(value, str):
        return "text", [value], None
    if isinstance(value, (list, tuple)) and value:
        if all(isinstance(item, str) for item in value):
            return "text", list(value), None
        if all(isinstance(item, int) for item in value):
            return "tokens", [list(value)], None
        if all(isinstance(item, (list, tuple)) and all(isinstance(i, int) for i in item) for item in value):
            return "tokens", [list(item) for item in value], None
    return "value", value, None


class Scope:
    """What can be opened or said inside a block."""

    _what = None

    def iter(self, collection):
        """A loop: its block happens once for each element."""
        return Loop(collection)

    def cond(self, value):
        """A condition: its block happens when the value is true."""
        return Condition(value)

    def stop(self):
        """Ends the innermost loop, or else this block."""
        recording = needed("`stop`")
        recording.here().stop("loop" if recording.in_loop() else self._what or recording.open[0])

    def log(self, *args):
        """Prints values when the program runs."""
        needed("`log`").here().log(args)

    def apply(self, function, *args, **kwargs):
        """Calls a function on values when the program runs."""
        recording = needed("`apply`")
        names = list(kwargs)
        if names:
            plain = function

            def function(*all_args):
                cut = len(all_args) - len(names)
                return plain(*all_args[:cut], **dict(zip(names, all_args[cut:])))

        return Proxy(recording, recording.here().host(function, (*args, *kwargs.values())))

    def local(self):
        """A block that happens in this process, wherever the program runs."""
        return Local()


class _Region(Scope):
    """A block inside an open program."""

    def _begin(self, recording):
        raise NotImplementedError

    def __enter__(self):
        self._recording = needed("this block")
        given = self._begin(self._recording.here())
        self._recording.enter(type(self).__name__.lower())
        return self if given is None else given

    def __exit__(self, kind, error, trace):
        self._recording.leave()


class Loop(_Region):
    """The block of an `iter`."""

    def __init__(self, collection):
        self._collection = collection

    def _begin(self, recording):
        _, item = recording.open_iter(self._collection)
        recording.repeats = True
        return Proxy(recording, item)


class Condition(_Region):
    """The block of a `cond` or `else_`."""

    def __init__(self, value, behind=None):
        self._condition, self._behind = value, behind

    def _begin(self, recording):
        behind = None if self._behind is None else self._behind._region
        self._region = recording.open_cond(self._condition, behind)

    def else_(self, value=None):
        """A block that happens when this condition's did not, and, with a value, when that is true."""
        return Condition(value, self)


class Local(_Region):
    """The block of a `local`."""

    def _begin(self, recording):
        recording.open_local()


class _Program(Scope):
    """A block that may be a program of its own, or stand in another."""

    _scan = False

    def _start(self):
        outer = current()
        self._own = outer is None
        self._recording = Recording().begin(self._scan) if self._own else outer
        return self._recording.here()

    def _end(self, kind):
        self._recording.leave()
        if not self._own:
            return
        if kind is not None:
            self._recording.abandon()
        else:
            self._recording.finish()

    def _fail(self):
        if self._own:
            self._recording.abandon()


class Tracer(_Program):
    """One run of a model, or one generation."""

    _what = "trace"

    def __init__(self, model, inputs, options, generate, scan=False):
        self._model, self._inputs, self._options = model, inputs, options
        self._generate, self._scan = generate, scan
        self.invoker = None

    def __enter__(self):
        recording = self._start()
        try:
            if "tracer" in recording.open or recording.editing:
                raise errors.make("RuntimeError", "a trace cannot be opened inside a trace",
                                  hint="open an invoke: `with tracer.invoke(prompt):`")
            number = recording.model(self._model._handle, self._model._edits)
            recording.open_trace(number, self._generate)
            recording.enter("tracer")
            recording.invoker = None
            recording.repeats |= self._generate is not None
            if self._inputs or "input_ids" in self._options:
                self.invoke(*self._inputs, **self._options).__enter__()
                self.invoker = recording.invoker
        except BaseException:
            self._fail()
            raise
        return self

    def __exit__(self, kind, error, trace):
        if self.invoker is not None:
            self.invoker.__exit__(kind, error, trace)
        self._recording.close_trace_after()
        if self._own:
            if kind is not None:
                self._recording.abandon()
            else:
                self._recording.finish()

    def invoke(self, *inputs, scan=False, **options):
        """An input with rows of its own."""
        return Invoker(self._model, inputs, options)

    def next(self, increment=1):
        """Moves the whole model to a later call."""
        return self._model.next(increment)

    def all(self):
        """Every call of the whole model."""
        return self._model.all()

    @property
    def model(self):
        """The model that is traced."""
        return self._model


class Invoker(Scope):
    """One input of a trace, and what is done with it."""

    _what = "trace"

    def __init__(self, model, inputs, options):
        self._model, self._given, self._options = model, inputs, dict(options)

    def __enter__(self):
        recording = self._recording = needed("`invoke`")
        if recording.invoker is not None:
            raise errors.make("RuntimeError", "Can't create an invoker context with one already open!")
        options = dict(self._options)
        kind, value, mask = prepared(self._given, options)
        options = {name: option for name, option in options.items() if option is not None}
        recording.here().invoke(kind, value, mask, options or None)
        self._prepared = (kind, value, mask)
        recording.invoker = self
        recording.reads.clear()
        return self

    def __exit__(self, kind, error, trace):
        self._recording.end_invoke()
        self._recording.invoker = None
        self._recording.reads.clear()

    @property
    def inputs(self):
        """Arguments of the model: a tuple of one batch of tokens, and keyword arguments."""
        batch = self._model._batch(*self._prepared)
        return ((batch,), {"labels": self._options.get("labels")})

    @property
    def input(self):
        """The batch of tokens."""
        return self.inputs[0][0]

    @property
    def batch_size(self):
        """How many rows the input has."""
        kind, value, _ = self._prepared
        return len(value) if kind in ("text", "tokens") else self.input["input_ids"].shape[0]


class Session(_Program):
    """Several traces as one program."""

    _what = "session"

    def __init__(self, model):
        self._model = model

    def __enter__(self):
        if current() is not None:
            raise errors.make("ValueError", "Can't create a Session with one already open!")
        recording = self._start()
        recording.invoker = None
        recording.model(self._model._handle, [])
        recording.open_session()
        recording.enter("session")
        return self

    def __exit__(self, kind, error, trace):
        self._end(kind)


class Edit(Scope):
    """Interventions that every later trace of a model starts with."""

    def __init__(self, model, inplace):
        self._model, self._inplace = model, inplace

    def __enter__(self):
        if current() is not None:
            raise errors.make("RuntimeError", "a model is edited outside of traces and sessions")
        self._recording = Recording().begin()
        self._recording.editing, self._recording.invoker = True, None
        self._recording.here().open_edit()
        self._recording.enter("edit")
        self._edited = self._model if self._inplace else self._model._copy()
        return self._edited

    def __exit__(self, kind, error, trace):
        self._recording.leave()
        self._recording.abandon()
        if kind is None:
            self._edited._edits = [*self._model._edits, self._recording]


def _close_trace_after(self):
    self.reads.clear()
    self.open.pop()
    self.close_trace()
    self.invoker = None


Recording.close_trace_after = _close_trace_after


# What nnsight offers at the top of its module: about the innermost open block.

_scope = Scope()


def apply(function, *args, **kwargs):
    """Calls a function on values when the program runs."""
    return _scope.apply(function, *args, **kwargs)


def log(*args):
    """Prints values when the program runs."""
    _scope.log(*args)


def local():
    """A block that happens in this process, wherever the program runs."""
    return Local()


def cond(value):
    """A condition: its block happens when the value is true."""
    return Condition(value)


def iter(collection):
    """A loop: its block happens once for each element."""
    return Loop(collection)


def stop():
    """Ends the innermost loop, or else the trace or session."""
    recording = needed("`stop`")
    inner = "trace" if "tracer" in recording.open else "session"
    recording.here().stop("loop" if recording.in_loop() else inner)


def trace(function):
    """Makes a function one that, inside a trace, is called when the program runs."""
    import functools

    @functools.wraps(function)
    def traced(*args, **kwargs):
        return function(*args, **kwargs) if current() is None else apply(function, *args, **kwargs)

    return traced


def _builtin(name):
    plain = getattr(builtins, name)
    operation = f"builtins.{name}" if name in ("int", "float", "bool") else name

    def made(*args, **kwargs):
        recording = current()
        if recording is None:
            return plain(*args, **kwargs)
        return recording.proxy_op(operation, args, kwargs)

    made.__name__ = made.__qualname__ = name
    made.__doc__ = f"Python's `{name}`; inside a trace, made when the program runs."
    return made


BUILTINS = {name: _builtin(name) for name in (
    "list", "dict", "tuple", "set", "int", "float", "str", "bool", "bytes", "bytearray", "complex")}

__all__ += ["Attribute", "BUILTINS", "apply", "cond", "iter", "local", "log", "stop", "trace"]
