"""Contributions of the data against those of weight decay, by component and step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.attribution.checks import check_attribution
from mechlab.analyses.attribution.components import Components, components_of
from mechlab.analyses.attribution.explained_examples import (
    Device,
    Dtype,
    Examples,
    ExplainedExamples,
    Outputs,
    Positive,
    checkpoint_key,
    scalars_of,
)
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import above, at_least
from mechlab.record.artifacts import Artifacts
from mechlab.record.long_work import carry_out
from mechlab.statistics.bootstrap import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from mechlab.core.recipe import Recipe
    from mechlab.kernels.parameter_scores import ParameterScores
    from mechlab.kernels.trajectory import Trajectory
    from mechlab.record.run import Run

LINES = ("data", "decay")
ALL = "all"


class Balance(Analysis):
    """Compare the absolute scores of parameters by the data with those by weight decay ("ExPLAIND", arXiv 2505.20076).

    The score of a parameter is its part in the change of an explained scalar; see `ParameterScoresForward`. The mass of
    a component is the sum of the absolute scores of all its parameters, as a mean over the explained scalars, of single
    steps and of slices of training, within which scores of opposite sign cancel.

    Args:
        split: of the explained examples.
        examples: their number, from the first on, or their ids.
        outputs: the explained scalars: all, target, margin, loss, or package.module.function; see PathKernel.
        nodes, tolerance, most_nodes: of the quadrature along each step.
        dtype: of the arithmetic; that of training if None.
        device: of the arithmetic: cpu, cuda, or that of the training, where there is one, if None.
        memory_gb: memory of one block of work, in 10^9 bytes.
        components: the named sets of parameters; see `components_of`.
        slice_steps: optimiser steps of a slice; in the first and last tenth of training at most a tenth of them.
        factor: largest ratio of either mass to the other in the last tenth of training, for the claim `balanced`.
        fewest: explained examples below which no claim is made.
    """

    needs = Needs(history="replay")
    version = 2
    headline = ("ratio_at_end", "ratio_at_start")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 20,
        outputs: Outputs = "target",
        nodes: Annotated[int, at_least(1)] = 1,
        tolerance: Positive | None = 1e-3,
        most_nodes: Annotated[int, at_least(1)] = 64,
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 1.0,
        components: Components = "similar",
        slice_steps: Annotated[int, at_least(1)] = 50,
        factor: Annotated[float, above(1)] = 1.5,
        fewest: Annotated[int, at_least(2)] = 10,
    ):
        self.split, self.examples, self.outputs = split, examples, outputs
        self.nodes, self.tolerance, self.most_nodes = nodes, tolerance, most_nodes
        self.dtype, self.device, self.memory_gb, self.components = dtype, device, memory_gb, components
        self.slice_steps, self.factor, self.fewest = slice_steps, factor, fewest

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model, the optimizer or the explained scalars are not supported."""
        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        check_attribution(name, recipe, examples, self.outputs, key)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute the masses, resuming an interrupted attempt; save those of steps and of slices."""
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.parameter_scores import ParameterScoresForward
        from mechlab.kernels.quadrature import Quadrature

        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        trajectory = examples.trajectory(run)
        batch = trajectory.functional.placed(examples.batch(run))
        explained = Explained(trajectory.functional, batch, scalars_of(self.outputs, run.task))
        groups = components_of(trajectory.functional.layout.shapes, self.components)
        S = trajectory.steps
        slices = _slices(0, S, self.slice_steps)
        tenth = S // 10  # 0 for a training of fewer steps, which has no first and last tenth
        finest = min(self.slice_steps, tenth)
        ends = _slices(0, tenth, finest) + _slices(S - tenth, S, finest)
        quadrature = Quadrature("midpoint", self.nodes, self.tolerance, self.most_nodes)
        work = ParameterScoresForward(
            trajectory,
            explained,
            quadrature,
            [(step, step + 1) for step in range(S)] + slices + ends,
            lambda number, rows, data, decay: _masses(trajectory, number, data, decay),
            int(self.memory_gb * 1e9),
        )
        checkpoint = f"balance-{checkpoint_key(self, S)}.safetensors"
        carry_out(work, "balance", run.folder / "work" / checkpoint)
        result = work.result()
        return self._save(out, result, groups, S, S + len(slices))

    def _save(
        self, out: Artifacts, result: ParameterScores, groups: dict[str, list[str]], S: int, stop: int
    ) -> Finding:
        """Save the masses of steps and of the slices before row `stop`; the rest is the first and last tenth."""
        import pandas as pd

        names = result.layout.names
        groups = {**{name: members for name, members in groups.items() if name != ALL}, ALL: names}
        rows = {group: [names.index(name) for name in members] for group, members in groups.items()}
        masses = {line: result.joined(line).double().numpy() for line in LINES}  # (S + slices + ends, Q, tensors)
        by_group = {
            f"{line}:{group}": values[:, :, own].sum(-1)
            for line, values in masses.items()
            for group, own in rows.items()
        }  # (S + slices + ends, Q) each
        means = pd.DataFrame({name: values.mean(1) for name, values in by_group.items()})
        norms = result.joined("norm")[:S, 0].double().numpy()
        steps, stops = means[:S], np.array(result.slices[S:stop])
        out.save_table("steps", pd.concat([pd.DataFrame({"step": np.arange(S), "norm": norms}), steps], axis=1))
        slices = means[S:stop].reset_index(drop=True)
        difference = {f"difference:{group}": slices[f"data:{group}"] - slices[f"decay:{group}"] for group in groups}
        edges = {"first": stops[:, 0], "stop": stops[:, 1]}
        slices = pd.concat([pd.DataFrame(edges), slices, pd.DataFrame(difference)], axis=1)
        out.save_table("slices", slices)
        out.save_arrays("masses", **{name: values[S:stop] for name, values in by_group.items()}, slices=stops)
        X = result.change.shape[1]
        scalars = {"steps": float(S)}
        scalars |= {f"{line}_mass": float(slices[f"{line}:{ALL}"].sum() / S) for line in LINES}
        half = (len(means) - stop) // 2
        tenths = {
            end: {name: values[rows].sum(0).reshape(X, -1).mean(1) for name, values in by_group.items()}
            for end, rows in (("start", slice(stop, stop + half)), ("end", slice(stop + half, None)))
        }
        return self._finding(scalars, tenths if half else {}, list(rows))

    def _finding(
        self, scalars: dict[str, float], tenths: dict[str, dict[str, np.ndarray]], groups: list[str]
    ) -> Finding:
        """Summarise the first and last tenth of training.

        Args:
            scalars: of the whole training.
            tenths: "start" and "end" -> line:group -> (X,) masses, means over the scalars of an example.
        """
        if not scalars["decay_mass"]:
            return Finding(scalars, notes={"no_decay": "There is no weight decay, so data have nothing to balance."})
        if not tenths:
            few = f"{scalars['steps']:.0f} steps have no last tenth, so no claim is made."
            return Finding(scalars, notes={"steps": few})
        for name, masses in tenths.items():
            for group in (ALL, *groups[:-1]):  # the last is the whole network
                key = f"ratio_at_{name}" + ("" if group == ALL else f"_{_slug(group)}")
                scalars[key] = _ratio(masses[f"data:{group}"].sum(), masses[f"decay:{group}"].sum())
        scalars = {name: value for name, value in scalars.items() if np.isfinite(value)}
        data, decay = (tenths["end"][f"{line}:{ALL}"] for line in LINES)  # (X,)
        if len(data) < self.fewest:
            few = f"{len(data)} explained examples are fewer than {self.fewest}, so no claim is made."
            return Finding(scalars, notes={"fewest": few})
        if not (data > 0).all() or not (decay > 0).all():
            return Finding(scalars, notes={"zero": "A mass is 0 at the end of training, so no claim is made."})
        summary = summarise(np.log(data / decay).tolist())
        low, mean, high = np.exp([summary.low, summary.mean, summary.high])
        claim = Claim(
            f"In the last tenth of training the masses of data and of weight decay differ by a factor of at most "
            f"{self.factor:g} (geometric mean over explained examples, 95 % bootstrap interval).",
            value=float(mean),
            threshold=self.factor,
            holds=bool(high <= self.factor and low >= 1 / self.factor),
            kind="statistical",
            null=scalars.get("ratio_at_start"),
            interval=(float(low), float(high)),
        )
        return Finding(scalars, {"balanced": claim})

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the ratio of the masses and the masses themselves over the steps, and their differences in slices."""
        from mechlab.plotting import balance as draw
        from mechlab.plotting.path_kernel_steps import mass_over_steps

        steps, slices = out.table("steps"), out.table("slices")
        masses = steps.drop(columns=["norm", *(f"{line}:{ALL}" for line in LINES)])
        figures = {"mass": mass_over_steps(masses), "difference": draw.differences(slices)}
        if steps[f"decay:{ALL}"].any():
            figures["ratio"] = draw.ratios(steps)
        return figures


def _masses(trajectory: Trajectory, number: int, data: Tensor, decay: Tensor | None) -> dict[str, Tensor]:
    """Return the absolute scores (q, tensors) of a slice, and the norm of the parameters after a single step."""
    sums = trajectory.functional.layout.sums
    own = sums(data.abs()).double()
    norm = trajectory.theta(number + 1).norm() if number < trajectory.steps else own.new_zeros(())
    return {"data": own, "decay": own * 0 if decay is None else sums(decay.abs()).double(), "norm": norm[None]}


def _slices(first: int, stop: int, steps: int) -> list[tuple[int, int]]:
    """Return the slices (first, stop) of this many steps, the last of which may be shorter."""
    return [(start, min(start + steps, stop)) for start in range(first, stop, max(1, steps))]


def _ratio(data: float, decay: float) -> float:
    return float(data / decay) if decay > 0 else np.nan


def _slug(group: str) -> str:
    """Return a component's name as part of the name of a scalar.

    >>> _slug("head*_encoder")
    'head_encoder'
    """
    return "_".join("".join(letter if letter.isalnum() else " " for letter in group).split())
