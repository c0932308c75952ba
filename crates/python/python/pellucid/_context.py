"""Programs while they are written: which one is open, whose variables it gives values to, at which line it is."""

import ctypes
import sys
import threading
import types

from . import errors
from ._pellucid import Recorder
from .config import CONFIG

# Frames of these packages are never the user's.
INTERNAL = {"pellucid", "torch", "einops", "contextlib"}

_state = threading.local()


def current():
    """The program that is being written, or None."""
    stack = getattr(_state, "stack", None)
    return stack[-1] if stack else None


def needed(what):
    """The program that is being written; an error where there is none."""
    recording = current()
    if recording is None:
        raise errors.make("AttributeError", f"{what} is only available inside a trace",
                          hint="use it in the block of `with model.trace(...):`")
    return recording


def user_frame():
    """The innermost frame of the user's code."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in INTERNAL:
        frame = frame.f_back
    return frame


def patches():
    """What makes other libraries' functions record while a program is written; None where they are not loaded."""
    if "einops" in sys.modules:
        from . import _einops

        _einops.prepare(sys.modules["einops"])
    if "torch" not in sys.modules:
        return None
    from . import _torch

    return _torch.PATCHES


class Recording(Recorder):
    """A program being written, and its values once it has run."""

    def begin(self, scan=False):
        """Makes it the one that is being written. The user's variables get the values in the end."""
        self.frame = user_frame()
        self.done = False
        self.scanned = scan
        self.editing = False
        self.reads = {}
        self.open = []
        self.model_of_trace = None
        self.peeked = None
        self.repeats = False
        self.patches = CONFIG.APP.GLOBAL_TRACING and patches()
        if not hasattr(_state, "stack"):
            _state.stack = []
        _state.stack.append(self)
        if self.patches:
            self.patches.enter()
        return self

    def end(self):
        """Nothing is written to it any more."""
        _state.stack.remove(self)
        if self.patches:
            self.patches.leave()
        self.done = True

    def here(self):
        """Says that what comes next is written at the user's present line."""
        frame = user_frame()
        self.at(frame.f_code.co_filename, frame.f_lineno)
        return self

    def enter(self, what):
        """A region of a kind has been opened."""
        self.reads.clear()
        self.open.append(what)

    def leave(self):
        self.reads.clear()
        self.open.pop()
        self.close()

    def finish(self):
        """Runs the program, shows what was logged, and gives saved values to the user's variables."""
        self.end()
        frame, self.frame = self.frame, None
        try:
            logs = self.run(self.scanned)
        except errors.NNsightError as error:
            raise error.with_traceback(_at(frame, error.line)) from error.__cause__
        for values in logs:
            print(*values)
        if CONFIG.APP.FRAME_INJECTION:
            self.inject(frame)

    def abandon(self):
        """The user's code failed: nothing runs."""
        self.end()
        self.frame = None

    def inject(self, frame):
        from ._proxy import Proxy

        def known(value):
            if not isinstance(value, Proxy) or value.recorder is not self:
                return False
            return value._is_known() and (value._saved or self.scanned)

        names = {name: value.value for name, value in frame.f_locals.items() if known(value)}
        if frame.f_locals is not frame.f_globals:
            for name, value in list(frame.f_globals.items()):
                if known(value):
                    frame.f_globals[name] = value.value
        if names:
            frame.f_locals.update(names)
            if sys.version_info < (3, 13) and frame.f_locals is not frame.f_globals:
                _locals_to_fast(frame, names)

    def peek(self, node):
        """What can be known of a value without computing, while the program is still being written; else None."""
        if not self.is_single(node):
            return None
        if self.peeked != len(self):
            try:
                self.run(True)
            except NotImplementedError:
                return None
            self.peeked = len(self)
        known = self.value(node) if self.has(node) else None
        # A list may grow in steps that a scan does not follow.
        return None if self.repeats and isinstance(known, (list, dict, set)) else known


def _at(frame, line):
    """A traceback that ends at a line of a frame, where the line is one of the frame's code."""
    file, _, number = (line or "").rpartition(":")
    if file != frame.f_code.co_filename:
        return None
    return types.TracebackType(None, frame, -1, int(number))


def _locals_to_fast(frame, names):
    # A frame's dictionary of variables is a snapshot, made anew at each look: fill one and write it back.
    snapshot = frame.f_locals
    snapshot.update(names)
    ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
