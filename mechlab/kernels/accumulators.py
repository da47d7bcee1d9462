"""Zero-initialised accumulators of a path-kernel decomposition, and masks for groups of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.layout import Layout
from mechlab.kernels.decomposition import TERMS, PathKernelSettings
from mechlab.kernels.trajectory import Trajectory


def zero_accumulators(trajectory: Trajectory, X: int, C: int, settings: PathKernelSettings) -> dict[str, Tensor]:
    """Return an accumulator for each array of the decomposition, float64 on the device of the arithmetic.

    Raises:
        ConfigError: a bin begins, or a chosen step is, after the last step.
    """
    last, N, layout = trajectory.steps, trajectory.examples, trajectory.functional.layout
    T = len(layout.names)
    if len(settings.bins) and settings.bins[-1] >= last:
        must = f"bins must begin before the end of training, which has {last} steps"
        raise ConfigError(must, got=settings.bins[-1], key="bins", fix=f"first steps of at most {last - 1}")
    settings.check_steps(last)
    S = len(chosen_steps(settings, last))
    shapes = {
        "initial": (X, C),
        "final": (X, C),
        "influence": (max(1, len(settings.bins)), X, C, N),
        "data": (S if settings.steps_by_tensor else 1, X, C, T),
        "nodes": (S,),
        "evaluations": (S,),
        "movement": (S,),
        "earlier": (X, C),
        "ends": (len(settings.steps or [0]), X, C),
        **{f"step/{name}": (S, X, C) for name in (*TERMS, "path", "change", "uncorrected")},
        **{f"tensor/{name}": (X, C, T) for name in ("decay", "clipping")},
        **{f"mass/{name}": (S, T) for name in ("data", "decay")},
        **{f"norm/{name}": (S,) for name in ("data", "decay")},
    }
    if settings.groups:
        shapes["groups"] = (len(settings.groups), X, C, N)
    if settings.scores:
        shapes |= {f"scores/{name}": (X * C, layout.size) for name in ("data", "decay")}
    device = trajectory.functional.device
    return {name: torch.zeros(shape, dtype=torch.float64, device=device) for name, shape in shapes.items()}


def chosen_steps(settings: PathKernelSettings, steps: int) -> list[int]:
    """Return the steps that are explained, of a training of this many steps, in their order."""
    ranges = [(0, steps)] if settings.steps is None else settings.steps
    return [step for first, stop in ranges for step in range(first, stop)]


def parameter_masks(
    groups: Mapping[str, Sequence[str] | Tensor], layout: Layout, device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return the mask (P,) of each group of parameters.

    Raises:
        ConfigError: there is no tensor of a name, or a mask has another shape.
    """
    masks = {}
    for group, members in groups.items():
        if isinstance(members, Tensor):
            if members.shape != (layout.size,):
                must = f"a group that is a mask must have one number for each of the {layout.size} parameters"
                got = f"shape {tuple(members.shape)} in group {group}"
                raise ConfigError(must, got=got, key="groups", fix="give the names of tensors instead")
            masks[group] = members.to(device, dtype)
            continue
        masks[group] = torch.zeros(layout.size, device=device, dtype=dtype)
        for name in members:
            if name not in layout.places:
                got, fix = f"{name} in group {group}", f"choose among {', '.join(layout.names)}"
                raise ConfigError("groups must name trained tensors of the model", got=got, key="groups", fix=fix)
            masks[group][layout.places[name]] = 1
    return masks
