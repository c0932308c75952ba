"""Errors: each is an `NNsightError` and also the exception that Python or PyTorch raises for that kind of mistake."""

import builtins

__all__ = ["NNsightError"]


class NNsightError(Exception):
    """A mistake in a trace, or a failure while it ran.

    `line` is the place of the user's statement, `file:number`; `hint` is what to do about it. Both may be None.
    """

    line = None
    hint = None

    def __str__(self):
        # A KeyError would show its message in quotes.
        return str(self.args[0]) if self.args else ""


_KINDS = {}


def kind(base):
    """The class of errors that are both `NNsightError` and `base`; it goes by the name of `base`."""
    if issubclass(base, NNsightError):
        return base
    if base not in _KINDS:
        try:
            made = type(base.__name__, (NNsightError, base), {"__module__": "pellucid.errors"})
        except TypeError:  # an exception of the user's that nothing can be derived from together with ours
            made = NNsightError
        _KINDS[base] = made
    return _KINDS[base]


def make(base, message, line=None, hint=None):
    """An error of a kind, such as `IndexError`."""
    base = getattr(builtins, base, RuntimeError) if isinstance(base, str) else base
    text = message
    if line:
        text += f"\n  at {line}"
        source = _source(line)
        text += f": {source}" if source else ""
    if hint:
        text += f"\n  hint: {hint}"
    try:
        error = kind(base)(text)
    except TypeError:
        error = NNsightError(text)
    error.line, error.hint, error.message = line, hint, message
    return error


def _source(line):
    import linecache

    file, _, number = line.rpartition(":")
    return linecache.getline(file, int(number)).strip() if number.isdigit() else ""
