"""Measures Pellucid beside transformers and nnsight on one model folder, taking turns in one run.

    python speed.py --pellucid COMMAND --model FOLDER [--rounds 5] [--threads 2] [--only KIND,...]

forward, last, decode  transformers on PyTorch without gradients; `last` reads the logits of the last position only
start                  from the start of a process to its first saved value, files in the page cache, against nnsight
memory                 most resident memory of a process that runs 182 prompts of 15 tokens, against nnsight
build                  the graph of one forward pass, and of variants of it; no peer does this

Prints a table of medians: float32, the same threads for both. Ratios are theirs / ours. Other work on the machine
disturbs both, so each measurement waits a while for it to end; how much there was stands below the table.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from nnsight_task import ANSWER, CLEAN, CORRUPTED, FOIL, PROMPT

FORWARDS = ("1x10", "8x15", "182x15")
# How many times faster, or smaller, than the peer each kind of task should be.
GOALS = {"forward": 2, "last": 2, "decode": 2, "start": 10, "memory": 3}
KINDS = (*GOALS, "build")


class Transformers:
    """Forward passes and decoding in this process."""

    def __init__(self, folder, threads):
        import torch
        import transformers

        self.torch = torch
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.name = f"transformers {transformers.__version__} on PyTorch {torch.__version__}"
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
        self.model = model.eval()

    def ids(self, rows, seq):
        return self.torch.randint(self.model.config.vocab_size, (rows, seq))

    def measure(self, task):
        kind, _, shape = task.partition("-")
        with self.torch.no_grad():
            if kind == "decode":
                return self.decode()
            ids = self.ids(*map(int, shape.split("x")))
            start = time.perf_counter()
            logits = self.model(ids, use_cache=False).logits
            if kind == "last":
                logits = logits[:, -1]
            return time.perf_counter() - start

    def decode(self):
        out = self.model(self.ids(1, 15), use_cache=True)
        start = time.perf_counter()
        for _ in range(8):
            token = out.logits[:, -1:].argmax(-1)
            out = self.model(token, past_key_values=out.past_key_values, use_cache=True)
        return (time.perf_counter() - start) / 8


def process(command):
    """Seconds until the first line, and the most memory that was resident, in bytes."""
    start = time.perf_counter()
    # Left to exit by itself, so that the kernel's count of its memory is this child's alone.
    child = subprocess.Popen(
        [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = child.stdout.readline()
    seconds = time.perf_counter() - start
    rest, errors = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0 or not first:
        sys.exit(f"`{' '.join(map(str, command))}` failed: {errors.decode().strip()[-500:]}")
    return seconds, 1024 * usage.ru_maxrss, (first + rest).decode()


class Pellucid:
    """The command, a process for every measurement."""

    def __init__(self, command, folder, threads):
        self.command, self.folder, self.threads = command, folder, threads

    def run(self, *arguments):
        return process([self.command, *arguments, "--model", self.folder, "--json"])

    def bench(self, task, repeats=1):
        _, memory, text = self.run("bench", "--tasks", task, "--repeats", str(repeats), "--threads", str(self.threads))
        return json.loads(text)["tasks"][0], memory


def seconds(x):
    return f"{1e6 * x:.0f} µs" if x < 1e-3 else f"{1e3 * x:.1f} ms" if x < 1 else f"{x:.2f} s"


def gigabytes(x):
    return f"{x / 1e9:.2f} GB"


class Others:
    """What other programs do on the machine meanwhile."""

    def __init__(self, patience):
        self.patience = patience

    @staticmethod
    def now():
        """The clock, and the seconds for which others have kept processors busy."""
        # user, nice, system, idle, iowait, irq, softirq
        ticks = [int(t) for t in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]]
        own = os.times()
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy - (own.user + own.system + own.children_user + own.children_system)

    def busy(self, since):
        """Processors kept busy since then, on average."""
        clock, busy = self.now()
        return max(0.0, busy - since[1]) / (clock - since[0])

    def wait(self):
        """Returns once the others are quiet, or when patience has run out."""
        while self.patience > 0:
            since = self.now()
            time.sleep(0.5)
            if self.busy(since) < 0.1:
                return
            self.patience -= 0.5


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pellucid", required=True)
    ap.add_argument("--model", required=True)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--only", default=",".join(KINDS))
    ap.add_argument("--patience", type=float, default=300, help="seconds to wait in all for other programs to be quiet")
    args = ap.parse_args()
    kinds = args.only.split(",")
    if unknown := set(kinds) - set(KINDS):
        ap.error(f"--only knows {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")
    # Nothing is looked up on the network while the clock runs.
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

    ours = Pellucid(args.pellucid, args.model, args.threads)
    rows, peers = [], []  # (name, kind, theirs(), ours(), how to print)
    in_process = [f"{kind}-{shape}" for kind in ("forward", "last") if kind in kinds for shape in FORWARDS]
    in_process += ["decode"] if "decode" in kinds else []
    if in_process:
        theirs = Transformers(args.model, args.threads)
        peers.append(theirs.name)
        for task in in_process:
            rows.append((task, task.partition("-")[0], lambda t=task: theirs.measure(t),
                         lambda t=task: ours.bench(t)[0]["median_s"], seconds))
    nnsight = [sys.executable, pathlib.Path(__file__).with_name("nnsight_task.py")]

    def peer(task):
        time_, memory, text = process([*nnsight, task, args.model, args.threads])
        name = f"nnsight {text.split()[0]}"
        if name not in peers:
            peers.append(name)
        return time_, memory

    if "start" in kinds:
        rows.append(("start to a saved value", "start", lambda: peer("first")[0],
                     lambda: ours.run("generate", PROMPT, "-n", "1")[0], seconds))
    if "memory" in kinds:
        sweep = ("patch", CLEAN, CORRUPTED, "--answer", ANSWER, "--foil", FOIL)
        rows.append(("memory, sweep of 182x15", "memory", lambda: peer("sweep")[1],
                     lambda: ours.run(*sweep)[1], gigabytes))
        rows.append(("memory, logits of 182x15", "memory", lambda: peer("logits")[1],
                     lambda: ours.bench("forward-182x15")[1], gigabytes))

    others, disturbed = Others(args.patience), []

    def measured(run):
        others.wait()
        since = others.now()
        value = run()
        disturbed.append(others.busy(since))
        return value

    results = [([], []) for _ in rows]
    # The first round warms up caches and pages; what a process takes in memory does not change.
    for turn in range(args.rounds + 1):
        for (_, kind, theirs_, ours_, _), (a, b) in zip(rows, results):
            if kind == "memory":
                if turn == 0:
                    a.append(theirs_())
                    b.append(ours_())
            elif turn == 0:
                theirs_(), ours_()
            else:
                a.append(measured(theirs_))
                b.append(measured(ours_))

    table = [("task", "peer", "pellucid", "ratio", "goal", "")]
    for (name, kind, _, _, shown), (a, b) in zip(rows, results):
        a, b = statistics.median(a), statistics.median(b)
        met = a >= GOALS[kind] * b and (kind != "start" or b < 0.5)
        goal = f"{GOALS[kind]}" + (", < 0.5 s" if kind == "start" else "")
        table.append((name, shown(a), shown(b), f"{a / b:.1f}", goal, "met" if met else "missed"))
    if "build" in kinds:
        for task, goal in (("build", 2e-4), ("build-variant-first", None), ("build-variant-last", None)):
            median = measured(lambda t=task: ours.bench(t, repeats=200)[0]["median_s"])
            met = "" if goal is None else "met" if median < goal else "missed"
            table.append((task, "", seconds(median), "", "" if goal is None else f"< {seconds(goal)}", met))

    print(f"{', '.join(peers)}; {args.threads} threads, float32, medians of {args.rounds}\n")
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    table.insert(1, tuple("-" * width for width in widths))
    for row in table:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    if disturbed:
        print(f"\nOther programs kept {statistics.mean(disturbed):.2f} processors busy while times were taken.")


if __name__ == "__main__":
    main()
