"""A slow and obvious path kernel: every per-example gradient in memory, momentum buffers per example, loops.

It follows the update equations of torch.optim forwards in time and books each path step as it comes.
"""

from __future__ import annotations

from collections import defaultdict

import torch

from mechlab.core.model import outputs_of


def flat(tensors) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def gradient(value, model, names) -> torch.Tensor:
    parameters = dict(model.named_parameters())
    return flat(torch.autograd.grad(value, [parameters[name] for name in names], retain_graph=True))


def reference(recipe, arrays, inputs, scalars, nodes, names, n) -> dict[str, torch.Tensor]:
    """Account for scalars(outputs) -> (X, C) by dense sums; lines by path step, example, and scalar parameter.

    Returns influence (S, X, C, N), per-scalar data scores (X, C, P), decay and clipping (S, X, C), and the averaged
    gradients' inner products with the steps (S, X, C).
    """
    model = recipe.model()
    data = recipe.task.examples("train").to("cpu", recipe.dtype)
    options = recipe.optimizer(model).defaults
    kind = type(recipe.optimizer(model)).__name__
    P = sum(dict(model.named_parameters())[name].numel() for name in names)
    per_example = torch.zeros(n, P, dtype=recipe.dtype)  # the share of each example in the momentum
    clipped, decayed = torch.zeros(P, dtype=recipe.dtype), torch.zeros(P, dtype=recipe.dtype)
    second = torch.zeros(P, dtype=recipe.dtype)
    out = defaultdict(list)
    for s, ids in enumerate(arrays.batches):
        model.load_state_dict(arrays.params(s))
        rate, decay = arrays.rates(s)
        theta, end = (flat(arrays.params(i)[name] for name in names) for i in (s, s + 1))
        single = torch.zeros(n, P, dtype=recipe.dtype)
        for k in ids.tolist():
            loss = torch.nn.functional.cross_entropy(outputs_of(model, data.inputs[k : k + 1]), data.targets[k : k + 1])
            single[k] = gradient(loss, model, names) / len(ids)
        g = single.sum(0)
        factor = 1.0 if recipe.clip is None else min(1.0, recipe.clip / (g.norm() + 1e-6))
        lost, coupled = (factor - 1) * g, torch.zeros(P, dtype=recipe.dtype)
        if kind != "AdamW":
            coupled = decay * theta
        seen = g + lost + coupled
        if kind == "SGD":
            mu = options["momentum"]
            keep, take = (0.0, 1.0) if s == 0 else (mu, 1 - options["dampening"])
            shares = [(single, per_example), (lost, clipped), (coupled, decayed)]
            per_example, clipped, decayed = (keep * old + take * new for new, old in shares)
            parts = (per_example, clipped, decayed)
            if options["nesterov"]:
                parts = [now + mu * buffer for (now, _), buffer in zip(shares, parts, strict=True)]
            weight = torch.full((P,), rate, dtype=recipe.dtype)
        else:
            b1, b2 = options["betas"]
            shares = [(single, per_example), (lost, clipped), (coupled, decayed)]
            per_example, clipped, decayed = parts = [b1 * old + (1 - b1) * new for new, old in shares]
            second = b2 * second + (1 - b2) * seen**2
            weight = rate / (1 - b1 ** (s + 1)) / ((second / (1 - b2 ** (s + 1))).sqrt() + options["eps"])
        shrink = rate * decay * theta if kind == "AdamW" else 0.0
        jacobian = 0
        for node in range(nodes):
            at = theta + (node + 0.5) / nodes * (end - theta)
            start = 0
            with torch.no_grad():
                for name in names:
                    parameter = dict(model.named_parameters())[name]
                    parameter.copy_(at[start : start + parameter.numel()].view_as(parameter))
                    start += parameter.numel()
            values = scalars(outputs_of(model, inputs))
            rows = [gradient(value, model, names) for value in values.flatten()]
            jacobian = jacobian + torch.stack(rows).view(*values.shape, P) / nodes  # (X, C, P)
        out["influence"].append(-(jacobian * weight) @ parts[0].T)
        out["scores"].append(-jacobian * weight * parts[0].sum(0))
        out["clipping"].append(-(jacobian * weight) @ parts[1])
        out["decay"].append(-(jacobian * weight) @ parts[2] - jacobian @ (shrink + torch.zeros(P, dtype=recipe.dtype)))
        out["inner"].append(jacobian @ (end - theta))
    found = {name: torch.stack(values) for name, values in out.items()}
    return {**found, "scores": found["scores"].sum(0)}
