"""The path kernel of several networks and tasks: processor time of a step beside that of its training, and errors."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

EXPERIMENTS = ("epk_tomita", "epk_repeat_copy", "epk_group", "epk_mlp", "epk_digits", "epk_quick")
STEPS = 40  # of each training
EXPLAINED = 20  # validation examples, own class or loss


def main(arguments: argparse.Namespace) -> None:
    """Print a row for each experiment."""
    import numpy as np
    import torch

    from mechlab.contracts.registry import Registry
    from mechlab.core.recipe import Recipe
    from mechlab.kernels import path_kernel
    from mechlab.kernels.trajectory import Trajectory
    from mechlab.record.recorder import Recorder
    from mechlab.record.run import Run
    from mechlab.training.fit import FitSettings, fit

    torch.set_num_threads(1)
    registry, steps = Registry([]), arguments.steps or STEPS
    print(f"{'experiment':16} {'parameters':>10} {'batch':>5} {'training':>9} {'kernel':>9} {'ratio':>6}", end=" ")
    print(f"{'residual':>9} {'terms':>9}   CPU ms per step; errors as shares; {steps} steps, {EXPLAINED} examples")

    def recorded(recipe: Recipe, folder: Path) -> tuple[Run, float]:
        started = time.process_time()
        fit(folder, recipe, Recorder(folder / "history", "full", recipe, 2), FitSettings(), {})
        return Run(folder, lambda: recipe), time.process_time() - started

    for name in EXPERIMENTS:
        recipe = dataclasses.replace(registry.setup(f"experiment={name}").recipe, max_steps=steps)
        with tempfile.TemporaryDirectory() as folder:
            recorded(dataclasses.replace(recipe, max_steps=2), Path(folder, "first"))  # what is loaded on first use
            run, training = recorded(recipe, Path(folder, "run"))
            trajectory, batch = Trajectory.of_run(run), run.evaluation("val", EXPLAINED).cropped()
            started = time.process_time()
            found = path_kernel(trajectory, batch, "target", nodes=1, tolerance=0.01, scores=False)
            taken = time.process_time() - started
        movement = np.abs(found.final - found.initial).mean()
        sizes = sum(np.abs(term).mean() for term in (found.data, found.decay, found.clipping, found.residual))
        print(
            f"{name:16} {trajectory.functional.layout.size:10,} {recipe.examples_per_step:5} "
            f"{1e3 * training / steps:9.2f} {1e3 * taken / steps:9.2f} {taken / training:6.1f} "
            f"{np.abs(found.residual).mean() / movement:9.1e} {np.abs(found.completeness).max() / sizes:9.1e}",
            flush=True,
        )
