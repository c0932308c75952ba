"""Runs the bodies of the conformance cases through the Python package and compares with the suite's expected values.

    python crates/python/scripts/conformance.py [NAME ...]

needs PyTorch, transformers, einops and safetensors, and the package `pellucid` installed beside them. With names, only
cases whose name contains one of them run, and faults are shown in full.
"""

import collections
import contextlib
import importlib
import io
import json
import pathlib
import sys
import tempfile
import traceback

HERE = pathlib.Path(__file__).resolve().parents[3] / "scripts/conformance"
sys.path.insert(0, str(HERE))

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

import pellucid  # noqa: E402
import suite  # noqa: E402
import tiny  # noqa: E402

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()


def load_cases():
    sys.path.insert(0, str(HERE / "cases"))
    for path in sorted((HERE / "cases").glob("*.py")):
        importlib.import_module(path.stem)
    return suite.CASES


def expected(case):
    """The values that the suite's file of a case names."""
    section = case.section.split()[0]
    folder = tiny.ROOT / section
    arrays = load_file(folder / "expected.safetensors") if (folder / "expected.safetensors").exists() else {}
    values = {}
    for line in (folder / f"{case.name}.pel").read_text().splitlines():
        if line.startswith("; expect "):
            name, rest = json.JSONDecoder().raw_decode(line.removeprefix("; expect "))
            values[name] = decode(json.loads(line.removeprefix("; expect ")[rest:].removeprefix(":")), arrays)
    return values


def decode(value, arrays):
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    (kind, inner), = value.items()
    if kind == "tensor":
        return arrays[inner]
    if kind == "tuple":
        return tuple(decode(item, arrays) for item in inner)
    if kind == "dict":
        return {decode(k, arrays): decode(v, arrays) for k, v in inner}
    if kind == "record":
        return {k: decode(v, arrays) for k, v in inner[1]}
    if kind == "dtype":
        return getattr(torch, inner)
    return suite.ABSENT


def plain(value):
    """A value without proxies; named fields as a dictionary."""
    if isinstance(value, pellucid.InterventionProxy):
        try:
            return plain(value.value)
        except ValueError:
            return suite.ABSENT
    if hasattr(value, "_asdict"):
        return {k: plain(v) for k, v in value._asdict().items()}
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (tuple, list)):
        return type(value)(plain(item) for item in value)
    return value


def differs(case, name, got, want):
    """How a value differs from the expected one; None if it does not."""
    if isinstance(want, torch.Tensor):
        if case.scan and hasattr(got, "shape"):
            return None if tuple(got.shape) == tuple(want.shape) else f"shape {tuple(got.shape)} for {tuple(want.shape)}"
        if not isinstance(got, torch.Tensor):
            return f"{type(got).__name__} for a tensor"
        if got.shape != want.shape or got.dtype != want.dtype:
            return f"{got.dtype} {tuple(got.shape)} for {want.dtype} {tuple(want.shape)}"
        if name in case.ignore or got.numel() == 0:
            return None
        a, b = got.double(), want.double()
        same = torch.isclose(a, b, rtol=case.tolerance, atol=case.tolerance, equal_nan=True).all()
        return None if same else f"off by {(a - b).abs().max():g}"
    if isinstance(want, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(want):
            return f"{got!r:.60} for {want!r:.60}"
        return next((d for g, w in zip(got, want) if (d := differs(case, name, g, w))), None)
    if isinstance(want, dict):
        if not isinstance(got, dict) or got.keys() != want.keys():
            return f"{got!r:.60} for {want!r:.60}"
        return next((d for k in want if (d := differs(case, name, got[k], want[k]))), None)
    if isinstance(want, float) and isinstance(got, float):
        return None if abs(got - want) <= case.tolerance * (1 + abs(want)) or got != got and want != want else (
            f"{got} for {want}")
    return None if type(got) is type(want) and (got is want or got == want) else f"{got!r:.60} for {want!r:.60}"


class Library:
    """The package as a case's `nnsight`; with what only the recorder of the suite has, by its own means."""

    def __getattr__(self, name):
        return getattr(pellucid, name)

    @staticmethod
    def merge(*values):
        recording = pellucid.current()
        return type(values[0])(recording, recording.here().merge([value._record() for value in values]))

    @staticmethod
    def op(name, *args, **kwargs):
        return pellucid.current().proxy_op(name, args, kwargs)


def main():
    chosen = [c for c in load_cases() if not sys.argv[1:] or any(part in c.name for part in sys.argv[1:])]
    counts, seen = collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as place:
        folders = {}
        for case in chosen:
            if case.model not in folders:
                folders[case.model] = pathlib.Path(place) / case.model
                tiny.build(case.model).save_pretrained(folders[case.model])
                tiny.tokenizer().save_pretrained(folders[case.model])
            model = pellucid.LanguageModel(str(folders[case.model]))
            fault, out = None, io.StringIO()
            try:
                with contextlib.redirect_stdout(out):
                    found = case.body(model, Library()) or {}
                    found = {name: plain(value) for name, value in found.items()}
                if case.fault:
                    fault = f"no fault, where `{case.fault[0]}` should come"
                else:
                    want = expected(case)
                    want.pop("logged", None)
                    fault = next((f"{name}: {d}" for name in want
                                  if (d := differs(case, name, found.get(name, suite.ABSENT), want[name]))), None)
            except Exception as error:  # noqa: BLE001
                if not case.fault:
                    fault = f"{type(error).__name__}: {str(error)[:300]}"
                    if sys.argv[1:]:
                        traceback.print_exc()
            finally:
                stack = getattr(__import__("pellucid._context")._context._state, "stack", [])
                stack.clear()
            counts["failed" if fault else "passed"] += 1
            if fault:
                seen[fault.split("\n")[0][:60]] += 1
                print(f"{case.section.split()[0]}/{case.name}: {fault.splitlines()[0][:230]}")
    print(dict(counts))
    sys.exit(bool(counts["failed"]))


if __name__ == "__main__":
    main()
