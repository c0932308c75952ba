"""Builds the conformance suite: runs every case with nnsight or PyTorch, and writes programs and expected values.

    python scripts/conformance/build.py --older FOLDER [NAME ...]

needs PyTorch 2.6, transformers 4.51.3, einops and nnsight 0.4.11, and in FOLDER nnsight 0.4.4
(`pip install --no-deps --target FOLDER nnsight==0.4.4`), which a second process uses for gradients over several
invokes. With names, only those cases are run and shown, and nothing is written.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import tiny  # noqa: E402
import suite  # noqa: E402

TORCH = f"pytorch {torch.__version__.split('+')[0]}"

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()


def load_cases():
    for path in sorted((HERE / "cases").glob("*.py")):
        sys.path.insert(0, str(path.parent))
        importlib.import_module(path.stem)
    names = [c.name for c in suite.CASES]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
    return suite.CASES


def value_of(value):
    """The value that a proxy was filled with."""
    from nnsight.intervention.graph import InterventionProxy
    from nnsight.tracing.graph import Proxy
    if isinstance(value, (InterventionProxy, Proxy)):
        try:
            return value_of(value.value)
        except ValueError:
            return suite.ABSENT
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, torch.Size):
        return tuple(value)
    kind = type(value)
    if kind.__module__ == "torch.return_types":
        names = [n for n in dir(kind) if type(getattr(kind, n)).__name__ == "member_descriptor"]
        names.sort(key=lambda n: next(i for i, v in enumerate(value) if v is getattr(value, n)))
        return suite.Record(kind.__name__, {n: value_of(getattr(value, n)) for n in names})
    if isinstance(value, transformers.utils.ModelOutput):
        return suite.Record(kind.__name__, {k: value_of(v) for k, v in value.items()})
    if isinstance(value, (tuple, list)):
        return type(value)(map(value_of, value))
    if isinstance(value, dict):
        return {k: value_of(v) for k, v in value.items()}
    return value


def run_nnsight(case):
    """Runs a case's body for real; its values and what it logged."""
    import nnsight
    from nnsight import CONFIG, LanguageModel

    CONFIG.APP.REMOTE_LOGGING = False
    model = LanguageModel(tiny.build(case.model), tokenizer=tiny.tokenizer())
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        found = case.body(model, nnsight)
    return {k: value_of(v) for k, v in (found or {}).items()}, out.getvalue()


def run_plain(case):
    """A case's values from PyTorch with hand-written hooks."""
    found = case.plain(tiny.Plain(case.model)) or {}
    return {k: value_of(v) for k, v in found.items()}


def is_close(case, a, b):
    """Whether two values are the same within a case's tolerance."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and torch.allclose(a, b, rtol=case.tolerance, atol=case.tolerance)
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= case.tolerance * (1 + abs(b))
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(is_close(case, *pair) for pair in zip(a, b))
    return type(a) is type(b) and (a is b or a == b)


def nnsight_agrees(case, values):
    """Whether nnsight gives these values, so that there is no reason to leave it."""
    try:
        found = run_nnsight(case)[0]
    except BaseException:  # nnsight ends the process at some faults
        return False
    return all(name in found and is_close(case, found[name], value) for name, value in values.items())


def header(case, values, versions):
    lines = [f"title: {case.title}", f"section: {case.section}", f"model: {case.model}"]
    if case.fault:
        lines.append(f"fault: {case.fault[0]}")
        lines.append("lines: " + ", ".join(map(str, case.fault[1:])))
        lines.append("source: the project's own rule" if case.plain is None else "source: pytorch")
    else:
        lines.append(f"source: {versions[case.name]}")
    if case.reason:
        lines.append(f"reason: {case.reason}")
    if case.scan:
        lines.append("run: scan")
    lines.append(f"tolerance: {case.tolerance:g}")
    if case.ignore:
        lines.append("shapes only: " + ", ".join(case.ignore))
    body, _ = case.source()
    lines.append("code:")
    lines += [f"{i:4} {line}".rstrip() for i, line in enumerate(body, 1)]
    for name, value in values.items():
        lines.append(f"expect {json.dumps(name)}: {json.dumps(value)}")
    return "".join(f"; {line}".rstrip() + "\n" for line in lines)


def older(folder, names):
    """The values of cases that nnsight 0.4.4 runs."""
    if not names:
        return {}
    env = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, __file__, "--values", *names], env=env, stdout=subprocess.PIPE, check=True)
    return pickle.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--older")
    parser.add_argument("--values", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    cases = load_cases()
    if args.values:
        import nnsight
        out = sys.stdout.buffer
        sys.stdout = sys.stderr
        found = {c.name: run_nnsight(c)[0] for c in cases if c.name in args.names}
        out.write(pickle.dumps((nnsight.__version__, found)))
        return
    chosen = [c for c in cases if not args.names or c.name in args.names]
    old = [c.name for c in chosen if c.version == "0.4.4" and c.reason is None and c.fault is None]
    old_values = {}
    if old:
        version, old_values = older(args.older, old)
        assert version == "0.4.4", version
    import nnsight
    texts, versions, failed = {}, {}, []
    arrays = {}
    for case in chosen:
        section = case.section.split()[0]
        try:
            text = case.record()
            if case.fault:
                values = {}
                versions[case.name] = ""
            elif case.reason is not None:
                values, versions[case.name] = run_plain(case), TORCH
                assert "logged" in values or not nnsight_agrees(case, values), "nnsight gives the same: no reason"
            else:
                is_old = case.name in old_values
                values = old_values[case.name] if is_old else run_nnsight(case)[0]
                versions[case.name] = f"nnsight {case.version if is_old else nnsight.__version__}"
                if case.plain is not None:
                    again = run_plain(case)
                    assert values.keys() == again.keys(), "PyTorch gives other names"
                    for name in values:
                        assert is_close(case, values[name], again[name]), f"PyTorch gives another `{name}`"
                    versions[case.name] += f" and {TORCH}"
            bound = {line.split('"')[1] for line in text.split("\n") if line.startswith("bind ")}
            assert bound == set(values) - {"logged"} or case.fault, (bound, set(values))
        except BaseException as error:  # nnsight ends the process at some faults
            failed.append((case.name, f"{type(error).__name__}: {str(error)[:600]}"))
            continue
        own = arrays.setdefault(section, {})
        coded = {k: suite.encode(v, f"{case.name}.{k}", own) for k, v in values.items()}
        texts[case.name] = (section, header(case, coded, versions) + text)
        if args.names:
            print(texts[case.name][1])
            print({k: (tuple(v.shape), v.flatten()[:4].tolist()) for k, v in own.items() if k.startswith(case.name + ".")})
    if not args.names:
        write(texts, arrays)
        counts = {}
        for section, _ in texts.values():
            counts[section] = counts.get(section, 0) + 1
        print(counts, sum(counts.values()))
    for name, error in failed:
        print("FAILED", name, error, file=sys.stderr)
    sys.exit(bool(failed))


def write(texts, arrays):
    for folder in (p for p in tiny.ROOT.glob("*") if p.is_dir() and p.name != "tokenizer"):
        shutil.rmtree(folder)
    for name, (section, text) in texts.items():
        folder = tiny.ROOT / section
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.pel").write_text(text)
    for section, own in arrays.items():
        if own:
            save_file(own, tiny.ROOT / section / "expected.safetensors")
    (tiny.ROOT / "models.json").write_text(json.dumps(
        {"seeds": tiny.SEEDS, "matrix": tiny.MATRIX, "configs": tiny.CONFIGS}, indent=1) + "\n")
    tokens = tiny.tokenizer()
    tokens.save_pretrained(tiny.ROOT / "tokenizer")


if __name__ == "__main__":
    main()
