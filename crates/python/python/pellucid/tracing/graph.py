"""Values of programs, by nnsight's module paths."""

from .._proxy import Proxy

__all__ = ["Proxy"]
