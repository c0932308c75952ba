#!/usr/bin/env python3
"""Times Pellucid and transformers side by side on one model folder, taking turns in one run.

    python scripts/peers/speed.py --pellucid target/release/pellucid --model FOLDER [--rounds 5] [--threads 2]

Prints a table of medians and the ratio transformers / Pellucid; float32, the same threads for both. Other work on the
machine disturbs both, so look at the ratios, and repeat.
"""
import argparse
import json
import statistics
import subprocess
import time


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pellucid", required=True)
    ap.add_argument("--model", required=True)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--tasks", default="forward-1x10,forward-8x15,forward-182x15,decode")
    args = ap.parse_args()

    import torch
    import transformers

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, torch_dtype=torch.float32).eval()
    vocab = model.config.vocab_size

    def forward(rows, seq):
        ids = torch.randint(vocab, (rows, seq))
        start = time.perf_counter()
        model(ids, use_cache=False)
        return time.perf_counter() - start

    def decode():
        ids = torch.randint(vocab, (1, 15))
        out = model(ids, use_cache=True)
        past, token = out.past_key_values, out.logits[:, -1:].argmax(-1)
        start = time.perf_counter()
        for _ in range(8):
            out = model(token, past_key_values=past, use_cache=True)
            past, token = out.past_key_values, out.logits[:, -1:].argmax(-1)
        return (time.perf_counter() - start) / 8

    def peer(task):
        if task == "decode":
            return decode()
        rows, seq = task.removeprefix("forward-").split("x")
        return forward(int(rows), int(seq))

    tasks = args.tasks.split(",")
    times = {task: ([], []) for task in tasks}
    with torch.no_grad():
        for task in tasks:
            peer(task)
        for _ in range(args.rounds):
            for task in tasks:
                times[task][0].append(peer(task))
                command = [args.pellucid, "bench", "--json", "--model", args.model, "--tasks", task]
                command += ["--repeats", "1", "--threads", str(args.threads)]
                answer = subprocess.run(command, check=True, capture_output=True, text=True)
                times[task][1].append(json.loads(answer.stdout)["tasks"][0]["median_s"])

    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {args.threads} threads, float32")
    print(f"{'task':<16} {'transformers':>14} {'pellucid':>12} {'ratio':>7}")
    for task, (theirs, ours) in times.items():
        a, b = statistics.median(theirs), statistics.median(ours)
        print(f"{task:<16} {1e3 * a:>11.1f} ms {1e3 * b:>9.1f} ms {a / b:>7.2f}")


if __name__ == "__main__":
    main()
