"""What PyTorch's optimisers make of two small parameters over a few steps.

Run by hand with PyTorch 2.6; writes `crates/tensor/tests/goldens_optim.json`, which `crates/tensor/tests/optim.rs` reads.
A case has an optimiser, its settings, starting parameters, the gradients of every step (null where there was none), the
learning rate of every step, the norm to clip at (null for none), and the parameters after every step.
"""

import json
import pathlib

import numpy as np
import torch

SEED = 21
OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/tensor/tests/goldens_optim.json"
RNG = np.random.default_rng(SEED)
torch.set_num_threads(1)

SHAPES = [[2, 3], [4]]
STEPS = 5


def draw(shape):
    return RNG.normal(size=shape).astype(np.float32)


def flat(t):
    return [float(x) for x in t.detach().numpy().ravel()]


def case(name, make, settings, clip=None, absent=(), rates=None, exempt=False):
    params = [torch.nn.Parameter(torch.from_numpy(draw(s))) for s in SHAPES]
    groups = params
    if exempt:
        groups = [{"params": params[:1]}, {"params": params[1:], "weight_decay": 0.0}]
    optimizer = make(groups, **settings)
    rates = rates or [settings["lr"]] * STEPS
    out = {"optimizer": name, "settings": settings, "clip": clip, "exempt": [1] if exempt else [],
           "rates": rates, "start": [flat(p) for p in params], "steps": []}
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        grads = [None if (step, i) in absent else torch.from_numpy(draw(s)) for i, s in enumerate(SHAPES)]
        for p, g in zip(params, grads):
            p.grad = None if g is None else g.clone()
        norm = None
        if clip is not None:
            norm = float(torch.nn.utils.clip_grad_norm_(params, clip))
        optimizer.step()
        out["steps"].append({"grads": [None if g is None else flat(g) for g in grads], "norm": norm,
                             "params": [flat(p) for p in params]})
    return out


def main():
    sgd, adamw = torch.optim.SGD, torch.optim.AdamW
    cases = [
        case("sgd", sgd, {"lr": 0.1}),
        case("sgd", sgd, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}, absent={(0, 1), (3, 0)}),
        case("sgd", sgd, {"lr": 0.05, "momentum": 0.8, "nesterov": True}, clip=1.0),
        case("adamw", adamw, {"lr": 0.01}),
        case("adamw", adamw, {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.0}, clip=0.5),
        case("adamw", adamw, {"lr": 0.02, "weight_decay": 0.3}, absent={(1, 0), (2, 1)},
             rates=[0.01, 0.02, 0.02, 0.01, 0.001]),
        case("adamw", adamw, {"lr": 0.02, "weight_decay": 0.3}, exempt=True, clip=100.0),
    ]
    head = {"made_by": "scripts/goldens/optim.py", "torch": torch.__version__, "shapes": SHAPES}
    OUT.write_text(json.dumps(head | {"cases": cases}) + "\n")


if __name__ == "__main__":
    main()
