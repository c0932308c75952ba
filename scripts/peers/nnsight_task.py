"""One task of nnsight's in a process of its own: `python nnsight_task.py TASK FOLDER THREADS`.

first   the output of the last block for a short prompt, as its documentation reads it
sweep   activation patching: every block's output at every token, patched from one prompt into another, in one trace
logits  the logits of 182 prompts of 15 tokens

Prints one line once the values are there. Whoever started it reads the clock and the memory.
"""

import os
import sys

import torch

PROMPT = "The tall old Eiffel Tower is in the city of"
CLEAN = "After Tom and James sat in the park, Tom read the story to"
CORRUPTED = "After Tom and James sat in the park, James read the story to"
ANSWER, FOIL = " James", " Tom"


def first(model):
    with model.trace(PROMPT):
        saved = model.transformer.h[-1].output[0].save()
    return [float(saved.mean())]


def sweep(model):
    """The clean slices are taken in the clean invoke: this version drops a write of another invoke's slice."""
    answer, foil = (model.tokenizer.encode(word)[0] for word in (ANSWER, FOIL))
    blocks = model.transformer.h
    n_tokens = len(model.tokenizer.encode(CLEAN))
    saved = []

    def metric():
        logits = model.lm_head.output[0, -1]
        saved.append((logits[answer] - logits[foil]).item().save())

    with model.trace() as tracer:
        with tracer.invoke(CLEAN):
            outputs = [block.output[0] for block in blocks]
            clean = [[output[:, token] for token in range(n_tokens)] for output in outputs]
            metric()
        with tracer.invoke(CORRUPTED):
            metric()
        for layer, block in enumerate(blocks):
            for token in range(n_tokens):
                with tracer.invoke(CORRUPTED):
                    block.output[0][:, token] = clean[layer][token]
                    metric()
    return [each.value for each in saved]


def logits(model):
    torch.manual_seed(0)
    with model.trace(torch.randint(model.config.vocab_size, (182, 15))):
        saved = model.lm_head.output.save()
    return [float(saved.mean())]


def main():
    task, folder, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    import nnsight

    values = {"first": first, "sweep": sweep, "logits": logits}[task](
        nnsight.LanguageModel(folder, device_map="cpu", dispatch=True))
    print(nnsight.__version__, len(values), values[0], values[-1], flush=True)
    # Tidying up is no part of the task.
    os._exit(0)


if __name__ == "__main__":
    main()
