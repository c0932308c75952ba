"""Language models, by nnsight's module paths."""

from .._model import LanguageModel

__all__ = ["LanguageModel"]
