"""Training inside a session: parameters, optimizers, loops."""

import torch
import torch.nn.functional as F
from suite import case

IDS = [3, 14, 15, 9, 26]
TARGET = torch.tensor([14, 15, 9, 26])
START = torch.linspace(-0.5, 0.5, 16)
LEFT = torch.linspace(-0.3, 0.3, 32).reshape(16, 2)
RIGHT = torch.linspace(-0.1, 0.2, 32).reshape(2, 16)
TOLERANCE = 1e-4


def train(plain, parameters, optimizer, hooks, steps):
    """Losses of a few steps."""
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(plain.logits(IDS, output=hooks)[0, :-1], TARGET)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses


@case("training 9.9", "gpt2", "a steering vector is trained with SGD", tolerance=TOLERANCE)
def vector_trained_with_sgd(model, nnsight):
    with model.session() as session:
        vector = torch.nn.Parameter(START.clone())
        optimizer = torch.optim.SGD([vector], lr=0.5)
        losses = nnsight.list().save()
        with session.iter([0, 1, 2]) as item:
            with model.trace(IDS):
                model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.output + vector
                loss = F.cross_entropy(model.lm_head.output[0, :-1], TARGET)
                losses.append(loss.item())
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        vector.save()
    return dict(losses=losses, vector=vector)


@vector_trained_with_sgd.torch
def _(plain):
    vector = torch.nn.Parameter(START.clone())
    hooks = {"transformer.h.1.mlp": lambda out: out + vector}
    losses = train(plain, [vector], torch.optim.SGD([vector], lr=0.5), hooks, 3)
    return dict(losses=losses, vector=vector)


@case("training 9.9", "gpt2", "SGD with momentum and weight decay", tolerance=TOLERANCE)
def vector_trained_with_momentum(model, nnsight):
    with model.session() as session:
        vector = torch.nn.Parameter(START.clone())
        optimizer = torch.optim.SGD([vector], lr=0.2, momentum=0.9, weight_decay=0.1)
        with session.iter([0, 1, 2, 3]) as item:
            with model.trace(IDS):
                model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.output + vector
                F.cross_entropy(model.lm_head.output[0, :-1], TARGET).backward()
            optimizer.step()
            optimizer.zero_grad()
        vector.save()
    return dict(vector=vector)


@vector_trained_with_momentum.torch
def _(plain):
    vector = torch.nn.Parameter(START.clone())
    hooks = {"transformer.h.1.mlp": lambda out: out + vector}
    train(plain, [vector], torch.optim.SGD([vector], lr=0.2, momentum=0.9, weight_decay=0.1), hooks, 4)
    return dict(vector=vector)


@case("training 9.9", "llama", "a low-rank pair of matrices is trained with AdamW", tolerance=TOLERANCE)
def low_rank_trained_with_adamw(model, nnsight):
    with model.session() as session:
        left = torch.nn.Parameter(LEFT.clone())
        right = torch.nn.Parameter(RIGHT.clone())
        optimizer = torch.optim.AdamW([left, right], lr=0.05, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1)
        losses = nnsight.list().save()
        with session.iter([0, 1, 2, 3]) as item:
            with model.trace(IDS):
                out = model.model.layers[0].mlp.output
                model.model.layers[0].mlp.output = out + (out @ left) @ right
                loss = F.cross_entropy(model.lm_head.output[0, :-1], TARGET)
                losses.append(loss.item())
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        left.save()
        right.save()
    return dict(losses=losses, left=left, right=right)


@low_rank_trained_with_adamw.torch
def _(plain):
    left, right = torch.nn.Parameter(LEFT.clone()), torch.nn.Parameter(RIGHT.clone())
    hooks = {"model.layers.0.mlp": lambda out: out + (out @ left) @ right}
    optimizer = torch.optim.AdamW([left, right], lr=0.05, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1)
    losses = train(plain, [left, right], optimizer, hooks, 4)
    return dict(losses=losses, left=left, right=right)


@case("training 9.9", "gpt2", "gradients add up until they are forgotten", tolerance=TOLERANCE)
def gradients_accumulate(model, nnsight):
    with model.session():
        vector = torch.nn.Parameter(START.clone())
        optimizer = torch.optim.SGD([vector], lr=0.1)
        for _ in range(2):
            with model.trace(IDS):
                model.transformer.h[1].mlp.output = model.transformer.h[1].mlp.output + vector
                F.cross_entropy(model.lm_head.output[0, :-1], TARGET).backward()
        optimizer.step()
        vector.save()
    return dict(vector=vector)


@gradients_accumulate.torch
def _(plain):
    vector = torch.nn.Parameter(START.clone())
    optimizer = torch.optim.SGD([vector], lr=0.1)
    for _ in range(2):
        logits = plain.logits(IDS, output={"transformer.h.1.mlp": lambda out: out + vector})
        F.cross_entropy(logits[0, :-1], TARGET).backward()
    optimizer.step()
    return dict(vector=vector)


@case("training 9.9", "gpt2", "a parameter is trained without a model", tolerance=TOLERANCE)
def parameter_trained_without_a_model(model, nnsight):
    with model.session() as session:
        vector = torch.nn.Parameter(START.clone())
        optimizer = torch.optim.AdamW([vector], lr=0.1)
        with session.iter([1, 2, 3]) as item:
            loss = ((vector - item) ** 2).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        vector.save()
    return dict(vector=vector)


@parameter_trained_without_a_model.torch
def _(plain):
    vector = torch.nn.Parameter(START.clone())
    optimizer = torch.optim.AdamW([vector], lr=0.1)
    for item in (1, 2, 3):
        ((vector - item) ** 2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return dict(vector=vector)
