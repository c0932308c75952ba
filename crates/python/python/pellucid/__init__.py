"""Look inside language models, change what they compute while they run, and learn why they do what they do.

>>> from pellucid import LanguageModel
>>> model = LanguageModel("demo")
>>> with model.trace("The Eiffel Tower is in the city of"):
...     hidden = model.transformer.h[0].output[0].save()
>>> hidden.shape[0]
1
"""

from . import _hooks, util
from ._context import current
from ._model import LanguageModel, NNsight
from ._pellucid import Tensor, __version__, dtype
from ._proxy import InterventionProxy
from ._tensor import DTYPES as _DTYPES
from ._tensor import tensor
from ._trace import BUILTINS as _BUILTINS
from ._trace import Session, Tracer, apply, cond, iter, local, log, stop, trace
from .config import CONFIG
from .envoy import Envoy
from .errors import NNsightError

globals().update(_BUILTINS)
globals().update({name: kind for name, kind in _DTYPES.items() if name != "bool"})

__all__ = [
    "CONFIG", "Envoy", "InterventionProxy", "LanguageModel", "NNsight", "NNsightError", "Session", "Tensor", "Tracer",
    "apply", "cond", "current", "dtype", "iter", "local", "log", "stop", "tensor", "trace", "util", "__version__",
    *_BUILTINS, *(name for name in _DTYPES if name != "bool"),
]
