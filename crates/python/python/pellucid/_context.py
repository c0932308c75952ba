"""Programs while they are written: which one is open, whose variables it gives values to, at which line it is."""

import ctypes
import sys
import threading

from . import errors
from ._pellucid import Recorder
from .config import CONFIG

# Frames of these packages are never the user's.
_INTERNAL = {"pellucid", "torch", "einops", "contextlib"}

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
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INTERNAL:
        frame = frame.f_back
    return frame


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
        if not hasattr(_state, "stack"):
            _state.stack = []
        _state.stack.append(self)
        return self

    def end(self):
        """Nothing is written to it any more."""
        _state.stack.remove(self)
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
        for values in self.run(self.scanned):
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
        if self.peeked != len(self):
            try:
                self.run(True)
            except NotImplementedError:
                return None
            self.peeked = len(self)
        return self.value(node) if self.has(node) else None


def _locals_to_fast(frame, names):
    # A frame's dictionary of variables is a snapshot, made anew at each look: fill one and write it back.
    snapshot = frame.f_locals
    snapshot.update(names)
    ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
