"""Compares goldens made now with those in the repository: `python compare_goldens.py REPOSITORY FRESH`.

FRESH has the layout of the repository. Text must be equal; numbers may differ by rounding, because PyTorch's kernels
differ from one processor to the next. Versions in a file's head are reported, not compared.
"""

import json
import math
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file

GOLDENS = (
    "crates/tensor/tests/goldens/*.json",
    "crates/tensor/tests/goldens_optim.json",
    "crates/models/tests/goldens/*.json",
    "crates/models/tests/goldens/*.safetensors",
    "crates/hub/tests/fixtures/tokenizers/golden.json",
    "crates/pellucid/tests/conformance/*/expected.safetensors",
    "crates/runtime/tests/goldens/*.json",
)
VERSIONS = ("torch", "transformers", "tokenizers", "python", "numpy", "versions")
RELATIVE, ABSOLUTE = 2e-3, 2e-4


def close(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= ABSOLUTE + RELATIVE * max(abs(a), abs(b))


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def same_text(a, b):
    """Whether two texts are equal but for the rounding of numbers among their words."""
    if a == b:
        return True
    a, b = a.split(), b.split()
    if len(a) != len(b):
        return False
    pairs = ((x, number(x), y, number(y)) for x, y in zip(a, b))
    return all(x == y or (m is not None and n is not None and close(m, n)) for x, m, y, n in pairs)


def difference(a, b, where=""):
    """Where two values of JSON first differ, or nothing."""
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            return f"{where}: keys {sorted(set(a) ^ set(b)) or 'in another order'}"
        found = (difference(a[k], b[k], f"{where}.{k}") for k in a if where or k not in VERSIONS)
        return next((d for d in found if d), None)
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{where}: {len(a)} items, now {len(b)}"
        found = (difference(x, y, f"{where}[{i}]") for i, (x, y) in enumerate(zip(a, b)))
        return next((d for d in found if d), None)
    if isinstance(a, str) and isinstance(b, str):
        return None if same_text(a, b) else f"{where}: {a[:60]!r}, now {b[:60]!r}"
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (a, b))
    if numbers and (isinstance(a, float) or isinstance(b, float)):
        return None if close(a, b) else f"{where}: {a}, now {b}"
    return None if a == b and type(a) is type(b) else f"{where}: {a!r}, now {b!r}"


def difference_of_arrays(old, new):
    if set(old) != set(new):
        return f"arrays {sorted(set(old) ^ set(new))[:3]}"
    for name in old:
        if old[name].shape != new[name].shape:
            return f"{name}: shape {old[name].shape}, now {new[name].shape}"
        if not np.allclose(old[name], new[name], rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
            return f"{name}: differs by {np.nanmax(np.abs(old[name] - new[name])):.2e}"
    return None


def compare(old, new):
    if old.read_bytes() == new.read_bytes():
        return None
    if old.suffix == ".safetensors":
        return difference_of_arrays(load_file(old), load_file(new))
    return difference(json.loads(old.read_text()), json.loads(new.read_text()))


def main():
    repository, fresh = map(pathlib.Path, sys.argv[1:3])
    names = {p.relative_to(root) for root in (repository, fresh) for g in GOLDENS for p in root.glob(g)}
    failed = not names
    for name in sorted(names):
        old, new = repository / name, fresh / name
        if not old.exists() or not new.exists():
            found = "is new: commit it" if new.exists() else "is made by no script"
        else:
            found = compare(old, new)
        failed = failed or bool(found)
        print(f"FAIL {name} {found}" if found else f"PASS {name}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
