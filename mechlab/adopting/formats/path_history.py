"""Recorded trainings of the one-layer transformer: plain arrays of every optimiser step."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.adopting.adopted_network import AdoptedNetwork, TrainingRecord
from mechlab.adopting.archive import Archive
from mechlab.adopting.step_arrays import StepArrays
from mechlab.adopting.training_info import TrainingInfo, read_info

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

POSITIONS = "positional_encoding.pe"
Shapes = dict[str, tuple[int, ...]]


def path_history(path: Path) -> AdoptedNetwork:
    """Return a training of the one-layer transformer of ExPLAIND (arXiv 2505.20076), from plain arrays of every step.

    Args:
        path: a folder with these files.
            - weights.npz: step_0000/NAME, ..., step_SSSS/NAME, the parameters before each of the S steps and at the
              end, by the published names (input_emb.weight, head1_encoder.weight, ..., decoder.weight), float32 or
              float64.
            - adam_exp_avg_sq.npz, optional: the same keys, the raw second moment after s updates.
            - data.npz: train_x and test_x (N, 4) token ids, train_y and test_y (N,), batch_indices (S, B) rows of
              train_x (-1 past the end of a smaller batch), lr (S,) and weight_decay (S,).
            - info.json: p, optimizer (adamw or sgd), and under hyper: betas and eps, or momentum; and, to be checked
              where given, lr, weight_decay, batch, d_model, dim_mlp, nhead.

    Raises:
        ConfigError: a file or an array is missing, invalid, or does not match the others.
    """
    from mechlab.core.errors import ConfigError
    from mechlab.core.state import digest

    if not path.is_dir():
        raise ConfigError("path must be a folder with weights.npz, data.npz and info.json", got=path, key="path")
    info = read_info(path / "info.json")
    weights = StepArrays(Archive(path / "weights.npz"))
    shapes = _shapes(weights, info)
    seconds, seconds_path = None, path / "adam_exp_avg_sq.npz"
    notes = [f"info.json has {name} under hyper, which is not used" for name in info.unknown]
    if seconds_path.exists() and info.optimizer == "adamw":
        seconds = StepArrays(Archive(seconds_path), first=1)
    elif seconds_path.exists():
        notes.append("adam_exp_avg_sq.npz is not read, since the optimizer is sgd")
    else:
        notes += ["the second moments are computed from the gradients"] if info.optimizer == "adamw" else []
    tensors, rates = _data(Archive(path / "data.npz"), weights.last, info)
    checked, fixed = _check(weights, seconds, shapes)
    if not fixed:
        del shapes[POSITIONS]
        notes.append(f"{POSITIONS} changes over training and is left out, since it is not used")
    trained = {name: shape for name, shape in shapes.items() if name != POSITIONS}

    def known(step: int) -> dict[str, Tensor]:
        if seconds is None or step == 0:
            return {}
        return {f"exp_avg_sq/{name}": value for name, value in seconds.at(step, trained, POSITIONS).items()}

    checked.update(repr((rates, digest(tensors))).encode())
    optimizer, schedule, more = info.nodes(rates)
    return AdoptedNetwork(
        name="recorded-transformer1",
        task={"_target_": "mechlab.tasks.recorded.RecordedExpressions", "p": info.p, "digest": digest(tensors)},
        model={
            "_target_": "mechlab.models.transformer1.Transformer1",
            "width": shapes["input_emb.weight"][1],
            "heads": sum(name.endswith("_encoder.weight") for name in shapes),
            "hidden": shapes["linear1.bias"][0],
            "positions": shapes[POSITIONS][1] if POSITIONS in shapes else 0,
        },
        weights=weights.at(weights.last, shapes, POSITIONS),
        files={file.stem: file for file in (path / name for name in FILES) if file.exists()},
        notes=[*notes, *more],
        data=tensors,
        training=TrainingRecord(
            optimizer=optimizer,
            schedule=schedule,
            batch_size=int((tensors["batches"] >= 0).sum(1).max()),
            rates=rates,
            params=lambda step: weights.at(step, shapes, POSITIONS),
            known=known,
            digest=checked.hexdigest(),
        ),
    )


FILES = ("weights.npz", "adam_exp_avg_sq.npz", "data.npz", "info.json")


def _shapes(weights: StepArrays, info: TrainingInfo) -> Shapes:
    """Return the shapes of the parameters, in the order of the model, from the first step."""
    first, refuse = weights.shapes(), weights.archive.refuse
    for name, axes in (("input_emb.weight", 2), ("linear1.weight", 2)):
        if len(first.get(name, ())) != axes:
            refuse(f"{name} must be there, with {axes} axes", f"step_0000 has {first.get(name, 'no such array')}")
    tokens, width = first["input_emb.weight"]
    hidden = first["linear1.weight"][0]
    heads = sum(name.startswith("head") and name.endswith("_encoder.weight") for name in first)
    if tokens != info.p + 2:
        refuse(f"input_emb.weight must have p + 2 = {info.p + 2} rows", f"{tokens} rows")
    for name, value in (("d_model", width), ("dim_mlp", hidden), ("nhead", heads)):
        info.agrees(name, value, "weights.npz")
    if not heads or width % heads:
        refuse("the heads must divide the width", f"{heads} arrays head*_encoder.weight of width {width}")
    shapes: Shapes = {"input_emb.weight": (tokens, width)}
    if POSITIONS in first:
        positions = first[POSITIONS]
        if len(positions) != 3 or positions[0] != 1 or positions[2] != width:
            refuse(f"step_0000/{POSITIONS} must have the shape (1, any, {width})", f"shape {positions}")
        shapes[POSITIONS] = positions
    for i in range(1, heads + 1):
        shapes[f"head{i}_encoder.weight"] = (width // heads, width)
        shapes[f"head{i}_decoder.weight"] = (width, width // heads)
    shapes |= {"linear1.weight": (hidden, width), "linear1.bias": (hidden,)}
    shapes |= {"linear2.weight": (width, hidden), "linear2.bias": (width,)}
    return shapes | {"decoder.weight": (tokens, width)}


def _data(data: Archive, steps: int, info: TrainingInfo) -> tuple[dict[str, Tensor], list[tuple[float, float]]]:
    """Return the task's tensors, and the learning rate and weight decay of each step."""
    import torch

    tensors: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        x = data.within(f"{split}_x", data.numbers(f"{split}_x", (None, 4), "i"), 0, info.p + 1)
        y = data.within(f"{split}_y", data.numbers(f"{split}_y", (len(x),), "i"), 0, info.p + 1)
        tensors |= {f"{split}_inputs": x, f"{split}_targets": y}
    batches = data.numbers("batch_indices", (steps, None), "i")
    data.within("batch_indices", batches, -1, len(tensors["train_inputs"]) - 1)
    if not (batches >= 0).any(1).all():
        step = int((batches < 0).all(1).argmax())
        data.refuse("every step must have examples", f"none in row {step} of batch_indices")
    sizes = (batches >= 0).sum(1)
    if info.batch is not None and sizes.max() > info.batch:
        got = f"{sizes.max()} of them in a row of batch_indices"
        data.refuse(f"no step may have more examples than the batch of {info.batch} in info.json", got)
    tensors["batches"] = batches
    rates = [data.numbers(name, (steps,), "f") for name in ("lr", "weight_decay")]
    for name, values in zip(("lr", "weight_decay"), rates, strict=True):
        info.undo_rounding(name, values)
        if values.min() < 0:
            data.refuse(f"{name} must not be negative", f"{values.min()} at step {int(values.argmin())}")
    small = {name: torch.from_numpy(array).to(torch.int32) for name, array in tensors.items()}
    return small, list(zip(*(values.tolist() for values in rates), strict=True))


def _check(weights: StepArrays, seconds: StepArrays | None, shapes: Shapes) -> tuple[Any, bool]:
    """Check all steps; return a hash of their arrays, and True if the table of positions is constant."""
    import torch

    trained = {name: shape for name, shape in shapes.items() if name != POSITIONS}
    first = weights.at(0, shapes)
    dtype, positions = first["input_emb.weight"].dtype, first.get(POSITIONS)
    digest, fixed = hashlib.sha256(), True
    del first
    if seconds is not None and seconds.last != weights.last:
        got = f"steps up to {seconds.last} here and up to {weights.last} in weights.npz"
        seconds.archive.refuse("the second moments must have the steps of the weights", got)
    for step in range(weights.last + 1):
        state = weights.at(step, shapes)
        if wrong := [name for name, value in state.items() if value.dtype != dtype]:
            weights.archive.refuse(f"all arrays must be {dtype} as the first", f"other ones at step {step}: {wrong[0]}")
        fixed &= positions is None or torch.equal(state[POSITIONS], positions)
        moments = {} if seconds is None or step < seconds.first else seconds.at(step, trained, POSITIONS)
        for name, value in moments.items():
            if (value < 0).any() or (step == 0 and value.any()):
                must = "second moments must not be negative, and be zero before the first step"
                seconds.archive.refuse(must, f"step {step}, {name}")
        for values in (state, moments):
            for name, value in values.items():
                digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
                digest.update(value.numpy())
    return digest, fixed
