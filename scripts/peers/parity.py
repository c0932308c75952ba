"""Runs the `pellucid` command beside transformers on model folders, and compares what both say.

    python parity.py --pellucid COMMAND --models FOLDER [--only NAME,...]

For every folder with a `config.json` under FOLDER: `inspect` against the reference's modules and parameters,
`generate` against its greedy continuation, `lens` against its own final norm and unembedding applied to every block's
output. One line each: PASS, FAIL, or SKIP with the reason. Fails if any line says FAIL, or if nothing was compared.

Each folder is compared by a process of its own, the smallest first: what one takes or breaks, the next does not feel.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import torch
import transformers

PROMPT = "The tall old Eiffel Tower is in the city of Paris. When John and Mary went to the store, John gave"
NEW_TOKENS = 12
TOP = 5
# Logits closer together than this are in an order that rounding decides.
TIE = 1e-3
PROBABILITY = 1e-4
# Seconds that one folder may take. Some 15 suffice for 500 MB on two quiet cores.
LIMIT = 240


class Failed(Exception):
    """The two disagree."""


class Skipped(Exception):
    """The comparison makes no sense here."""


def check(condition, message):
    if not condition:
        raise Failed(message)


def run(command, *arguments):
    done = subprocess.run([command, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing on standard error"]
        raise Failed(f"`{arguments[0]}` exits with {done.returncode}: {said[0]}")
    return json.loads(done.stdout)


def inspect(pellucid, folder, model, _):
    """Every module with its class, and every parameter with its shape."""
    found = run(pellucid, "inspect", "--model", str(folder), "--json")
    ours = {m["path"]: m["type"] for m in found["modules"]}
    theirs = {path: type(m).__name__ for path, m in model.named_modules()}
    check(ours == theirs, f"modules differ: {sorted(set(ours.items()) ^ set(theirs.items()))[:4]}")
    shapes = {}
    for module in found["modules"]:
        for parameter in module["parameters"]:
            shapes[parameter["name"]] = parameter["shape"]
    # Tied parameters have several names there and one here.
    names = dict(model.named_parameters(remove_duplicate=False))
    for name, shape in shapes.items():
        check(name in names, f"parameter {name} is unknown to transformers")
        check(list(names[name].shape) == shape, f"{name} has shape {shape}, not {list(names[name].shape)}")
    n = sum(p.numel() for p in model.parameters())
    check(found["parameters"] == n, f"{found['parameters']} parameters, not {n}")
    return f"{len(ours)} modules, {n} parameters"


def generate(pellucid, folder, model, ids):
    """Greedy continuation, up to where rounding decides."""
    found = run(pellucid, "generate", PROMPT, "--model", str(folder), "-n", str(NEW_TOKENS), "--json")
    n = ids.shape[1]
    check(found["ids"][:n] == ids[0].tolist(), "the prompt has other ids")
    with torch.no_grad():
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False,
            output_logits=True, return_dict_in_generate=True,
        )
    ours, theirs = found["ids"][n:], out.sequences[0, n:].tolist()
    for at, (a, b) in enumerate(zip(ours, theirs)):
        if a == b:
            continue
        logits = out.logits[at][0]
        margin = float(logits[b] - logits[a])
        check(margin < TIE, f"token {at} is {a}, not {b}, whose logit is {margin:.4f} higher")
        return f"{at} tokens, then a tie within {margin:.1e}"
    check(len(ours) == len(theirs), f"{len(ours)} tokens, not {len(theirs)}")
    return f"{len(ours)} tokens"


def final_norm(model):
    base = model.base_model
    for name in ("ln_f", "final_layer_norm", "norm"):
        if hasattr(base, name):
            return getattr(base, name)
    raise Skipped("the final norm has another name")


def blocks(model):
    base = model.base_model
    for name in ("h", "layers"):
        if hasattr(base, name):
            return getattr(base, name)
    raise Skipped("the blocks have another name")


def lens(pellucid, folder, model, ids):
    """The likeliest tokens after each block, with their probabilities."""
    found = run(pellucid, "lens", PROMPT, "--model", str(folder), "--top", str(TOP), "--json")
    check([t["id"] for t in found["tokens"]] == ids[0].tolist(), "the prompt has other ids")
    hidden, handles = [], []
    for block in blocks(model):
        handles.append(block.register_forward_hook(lambda _, __, out: hidden.append(out[0])))
    with torch.no_grad():
        model(ids)
        for handle in handles:
            handle.remove()
        norm, head = final_norm(model), model.get_output_embeddings()
        probabilities = [head(norm(h))[0].softmax(-1) for h in hidden]
    check(len(found["guesses"]) == len(hidden), f"{len(found['guesses'])} layers, not {len(hidden)}")
    worst = 0.0
    for layer, (rows, expected) in enumerate(zip(found["guesses"], probabilities)):
        best = expected.topk(TOP, -1).values
        for position, guesses in enumerate(rows):
            for rank, guess in enumerate(guesses):
                # The probability at its rank, and that of the token itself: equal but for ties.
                for there in (best[position, rank], expected[position, guess["id"]]):
                    worst = max(worst, abs(guess["probability"] - float(there)))
            check(len(guesses) == TOP, f"{len(guesses)} guesses, not {TOP}")
        check(worst <= PROBABILITY, f"layer {layer}: probabilities differ by {worst:.1e}")
    return f"{len(hidden)} layers, probabilities differ by {worst:.1e} at most"


def compare(pellucid, folder):
    """Prints a line for each comparison; whether all passed."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, torch_dtype=torch.float32, attn_implementation="eager")
    model.eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    passed = True
    for comparison in (inspect, generate, lens):
        title = f"{folder.name} {comparison.__name__}"
        try:
            print(f"PASS {title}: {comparison(pellucid, folder, model, ids)}", flush=True)
        except Failed as difference:
            print(f"FAIL {title}: {difference}", flush=True)
            passed = False
        except Skipped as reason:
            print(f"SKIP {title}: {reason}", flush=True)
    return passed


def compare_apart(pellucid, folder):
    """The same in a process of its own; whether all passed."""
    command = [sys.executable, __file__, "--pellucid", pellucid, "--folder", folder]
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        print(f"FAIL {folder.name}: not done after {LIMIT} s", flush=True)
        return False
    if done.returncode not in (0, 1):
        said = done.stderr.strip().splitlines() or ["nothing on standard error"]
        print(f"FAIL {folder.name}: the comparison itself broke: {said[-1]}", flush=True)
    print(f"     {folder.name} took {time.monotonic() - start:.0f} s", flush=True)
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pellucid", required=True, help="the command")
    parser.add_argument("--models", type=pathlib.Path, help="a folder of model folders")
    parser.add_argument("--only", default="", help="names of folders, with commas between")
    parser.add_argument("--folder", type=pathlib.Path, help="one model folder, compared by this process")
    args = parser.parse_args()
    if args.folder:
        # One thread: several that wait for each other take many times as long beside any other work.
        torch.set_num_threads(1)
        transformers.logging.set_verbosity_error()
        try:
            sys.exit(not compare(args.pellucid, args.folder))
        except Exception as fault:
            print(f"{type(fault).__name__}: {fault}", file=sys.stderr)
            sys.exit(2)
    # Everything is on this machine; looking for it elsewhere takes minutes where there is no network.
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    only = [n for n in args.only.split(",") if n]
    folders = [p.parent for p in args.models.glob("*/config.json") if not only or p.parent.name in only]
    folders.sort(key=lambda folder: sum(p.stat().st_size for p in folder.glob("*.safetensors")))
    if not folders:
        print(f"FAIL nothing was compared: no model folder in {args.models} could be")
    results = [compare_apart(args.pellucid, folder) for folder in folders]
    sys.exit(not (results and all(results)))


if __name__ == "__main__":
    main()
