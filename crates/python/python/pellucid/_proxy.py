"""Proxies: values of a program that is being written, and, once it has run, of one that has."""

import operator

from . import errors
from ._context import Recording
from ._pellucid import Node
from ._tensor import BINARY, COMPARE, UNARY

__all__ = ["Attribute", "InterventionProxy", "Proxy", "live"]

_UNKNOWN = object()

# Attributes that are no methods: what they give is asked for at once.
_FIELDS = frozenset("shape dtype device ndim T mT H mH data real imag logits past_key_values hidden_states attentions "
                    "last_hidden_state loss indices".split())


def live(value, depth=0):
    """The open program that a value, or one inside it, belongs to; else None."""
    if isinstance(value, Node):
        recording = value.recorder
        return None if recording.done else recording
    if depth > 8:
        return None
    if isinstance(value, (list, tuple, set)):
        items = value
    elif isinstance(value, dict):
        items = value.values()
    elif isinstance(value, slice):
        items = (value.start, value.stop, value.step)
    else:
        return None
    for item in items:
        found = live(item, depth + 1)
        if found is not None:
            return found
    return None


def values(value):
    """The same with proxies of ended programs replaced by their values."""
    if isinstance(value, Node):
        return value.value
    if type(value) in (list, tuple, set):
        return type(value)(values(item) for item in value)
    if type(value) is dict:
        return {key: values(item) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(values(value.start), values(value.stop), values(value.step))
    return value


class Proxy(Node):
    """A value of a program. Operations on it are recorded; once the program has run, it acts as its value."""

    _saved = False
    _value = _UNKNOWN

    # What the value is.

    def _record(self):
        return self._id

    def _is_known(self):
        if self._value is not _UNKNOWN:
            return True
        return self.recorder.done and self._id is not None and self.recorder.has(self._id)

    @property
    def value(self):
        """The value, once the trace has run, if it was saved."""
        if self._value is _UNKNOWN:
            if not self._is_known():
                open_ = not self.recorder.done
                raise errors.make("ValueError", "Accessing value before it's been set.", hint=(
                    "values are there when the block of the trace has ended" if open_
                    else "call `.save()` on it inside the trace; it may also never have been computed"))
            self.__dict__["_value"] = self.recorder.value(self._id)
        return self._value

    def _op(self, name, args, kwargs=None):
        return self.recorder.proxy_op(name, args, kwargs)

    # The language.

    def save(self):
        """Keeps the value when the trace has ended; the same proxy."""
        if not self.recorder.done and not self._saved:
            node = self._record()
            self.recorder.here().save(node)
            self.__dict__["_saved"] = True
        return self

    def stop(self):
        """Ends the forward pass when this value is there."""
        self.recorder.here().stop("trace", self._record())

    def backward(self, gradient=None, retain_graph=False, **_):
        """Differentiates it with respect to whatever gradients are read before this line."""
        if self.recorder.done:
            return self.value.backward(gradient, retain_graph)
        return self.recorder.here().backward(self._record(), gradient, retain_graph)

    @property
    def grad(self):
        """The gradient at this value, during the next `backward`."""
        if self.recorder.done:
            return self.value.grad
        node = self._record()
        return Proxy(self.recorder, self.recorder.here().grad(node))

    @grad.setter
    def grad(self, value):
        node = self._record()
        self.recorder.here().set_grad(node, value)

    def requires_grad_(self, requires_grad=True):
        """Turns differentiation with respect to it on or off."""
        node = self._record()
        self.recorder.here().requires_grad(node, bool(requires_grad))
        return self

    def retain_grad(self):
        """Nothing: every value's gradient can be read inside the trace."""

    # Python's protocols.

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if self.recorder.done:
            return getattr(self.value, name)
        if self.recorder.scanned or name in _FIELDS:
            known = self._attribute(name)
            if known is not None:
                return known
        return Attribute.of(self, name)

    def _attribute(self, name):
        return self._op("getattr", (self, name)) if name in _FIELDS else None

    def __setattr__(self, name, value):
        if name in ("grad", "_id"):
            object.__setattr__(self, name, value)
        elif name == "requires_grad":
            self.requires_grad_(value)
        else:
            self._op("setattr", (self, name, value))

    def __getitem__(self, index):
        if self.recorder.done and live(index) is None:
            return self.value[values(index)]
        return self._op("getitem", (self, index))

    def __setitem__(self, index, value):
        if self.recorder.done and live((index, value)) is None:
            self.value[values(index)] = values(value)
        else:
            self._op("setitem", (self, index, value))

    def __delitem__(self, index):
        if self.recorder.done:
            del self.value[index]
        else:
            self._op("delitem", (self, index))

    def __contains__(self, value):
        if self.recorder.done:
            return value in self.value
        raise self._undecided("whether something is in it")

    def __call__(self, *args, **kwargs):
        if self.recorder.done:
            return self.value(*args, **kwargs)
        raise errors.make("TypeError", "a value of a trace cannot be called")

    def _known(self):
        """What can be known of it at once; None where that needs computing."""
        return self.value if self.recorder.done else self.recorder.peek(self._record())

    def _undecided(self, what):
        return errors.make("TypeError", f"{what} is known only when the trace runs", hint=(
            "write `with tracer.cond(value):` and `else_` for `if`, `with tracer.iter(values) as value:` for `for`, "
            "and `nnsight.int(value)`, `nnsight.float(value)` for conversions"))

    def __bool__(self):
        known = self._known()
        if known is None or not self.recorder.done and not isinstance(known, (bool, int, float, str, tuple, list)):
            raise self._undecided("the truth of a value")
        return bool(known)

    def __len__(self):
        known = self._known()
        if self.recorder.done:
            return len(known)
        length = self._op("len", (self,))
        # `len(value)` asks for the number at once; `value.__len__()` is a value like others.
        length.__dict__["_length"] = None if known is None else len(known)
        return length

    def __iter__(self):
        if self.recorder.done:
            return iter(self.value)
        known = self._known()
        if known is None or not hasattr(known, "__len__"):
            raise self._undecided("what a value holds")
        if isinstance(known, dict):
            return iter(list(known))
        return iter([self[i] for i in range(len(known))])

    def _number(self, what):
        known = self.__dict__["_length"] if "_length" in self.__dict__ else self._known()
        if not self.recorder.done and not isinstance(known, (bool, int, float)):
            raise self._undecided(f"the {what}")
        return known

    def __int__(self):
        return int(self._number("number"))

    def __float__(self):
        return float(self._number("number"))

    def __index__(self):
        return operator.index(self._number("number"))

    def __repr__(self):
        if self._is_known():
            return repr(self.value)
        if self.recorder.done:
            return repr(self.value)
        return f"InterventionProxy ({self._describe()})"

    __str__ = __repr__

    def __format__(self, spec):
        return format(self.value, spec) if self.recorder.done else format(repr(self), spec)

    def _describe(self):
        try:
            known = self.recorder.peek(self._id) if self._id is not None else None
        except Exception:
            known = None
        return f"%{self._id}" if known is None else repr(known)

    __hash__ = object.__hash__

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        from ._torch import record

        return record(function, args, kwargs or {})


def _operators():
    def recorded(python, own, reflected=False):
        act = getattr(operator, {"and": "and_", "or": "or_"}.get(python, python))

        def call(self, other):
            left, right = (other, self) if reflected else (self, other)
            if self.recorder.done and live(other) is None:
                return act(values(left), values(right))
            return self._op(own, (left, right))

        return call

    for python, own in BINARY.items():
        setattr(Proxy, f"__{python}__", recorded(python, own))
        setattr(Proxy, f"__r{python}__", recorded(python, own, reflected=True))
    for own in COMPARE:
        setattr(Proxy, f"__{own}__", recorded(own, own))
    for python, own in UNARY.items():
        act = round if python == "round" else getattr(operator, python)

        def call(self, *args, own=own, act=act):
            return act(self.value, *args) if self.recorder.done else self._op(own, (self, *args))

        setattr(Proxy, f"__{python}__", call)


_operators()


class Attribute(Proxy):
    """An attribute of a value: a field when used, a method when called."""

    @classmethod
    def of(cls, owner, name):
        made = cls(owner.recorder)
        made.__dict__.update(_owner=owner, _name=name)
        return made

    def _record(self):
        if self._id is None:
            self._id = self._op("getattr", (self._owner, self._name))._id
        return self._id

    def __call__(self, *args, **kwargs):
        if self.recorder.done:
            return getattr(self._owner.value, self._name)(*args, **kwargs)
        return self._op(self._name, (self._owner, *args), kwargs)

    def _describe(self):
        return f"attribute `{self._name}`" if self._id is None else super()._describe()


def _proxy_op(self, name, args, kwargs=None):
    return Proxy(self, self.here().op(name, args, kwargs or None))


Recording.proxy_op = _proxy_op
InterventionProxy = Proxy
