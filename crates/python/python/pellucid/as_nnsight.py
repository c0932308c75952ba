"""Importing this makes `import nnsight` mean Pellucid in this process.

>>> import pellucid.as_nnsight
>>> import nnsight
>>> nnsight.LanguageModel.__module__.partition(".")[0]
'pellucid'
"""

import importlib
import importlib.abc
import importlib.util
import sys


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        root, _, rest = name.partition(".")
        if root != "nnsight":
            return None
        ours = f"pellucid.{rest}" if rest else "pellucid"
        if ours not in sys.modules and importlib.util.find_spec(ours) is None:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec):
        root, _, rest = spec.name.partition(".")
        module = importlib.import_module(f"pellucid.{rest}" if rest else "pellucid")
        self._own = getattr(module, "__spec__", None)
        return module

    def exec_module(self, module):
        # Python has entered its own description of the import; the module keeps the one it had.
        module.__spec__ = self._own


def install():
    """Makes `import nnsight` mean Pellucid from here on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in [name for name in sys.modules if name.partition(".")[0] == "nnsight"]:
        del sys.modules[name]


install()
