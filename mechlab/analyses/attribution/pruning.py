"""Pruning by the path-kernel score of each parameter, compared with other measures of importance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.checks import check_attribution, second_derivatives
from mechlab.analyses.attribution.components import Components, components_of
from mechlab.analyses.attribution.explained_examples import (
    Device,
    Dtype,
    Examples,
    ExplainedExamples,
    Positive,
    checkpoint_key,
    evaluations,
    state_key,
)
from mechlab.analyses.attribution.importance import Importance, Method
from mechlab.analyses.attribution.pruned_networks import PrunedNetworks
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Filled, Interval, at_least
from mechlab.core.errors import ConfigError
from mechlab.core.state import matching
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.core.task import Batch
    from mechlab.kernels.trajectory import Trajectory
    from mechlab.record.run import Run

Share = Annotated[float, Interval(0, 1, open_low=True)]
PUBLISHED = {number / 1000 for number in range(1, 31)} | {number / 100 for number in range(1, 31)}
HIGHER = {number / 10 for number in range(4, 10)}
FEWEST = 50  # evaluation examples of a split, and
LEAST_SPLITS = 3  # splits, that the claims need


class Pruning(Analysis):
    """Set the least important parameters to zero, and measure what remains of the network ("ExPLAIND", arXiv
    2505.20076).

    Some of the examples serve to compute importance, and the others to evaluate the pruned networks; this split is
    drawn several times. Importance is, with sums over the first examples:

    - path_kernel: the sum over examples and outputs of |data score of the parameter over all of training|;
    - path_kernel_total: the same of data and decay score together;
    - metagradient: |theta_0 dL/dtheta_0|, with the derivative of the final loss L through all of training in the
      initial value theta_0: to first order the effect of starting at zero there;
    - magnitude: |theta|;
    - snip: |theta dL/dtheta| at the end (Lee et al., arXiv 1810.02340);
    - taylor: the sum of (theta dL_x/dtheta)^2 over examples x (Molchanov et al., arXiv 1906.10771);
    - fisher: theta^2 F with the diagonal F of the Fisher information, over the network's own distribution of labels;
    - random: in random order.

    Args:
        split: of the examples.
        examples: their number, from the first on, or their ids.
        reserved: share of them that serves to compute importance.
        repeats: number of random splits of the examples.
        outputs: outputs in the path-kernel score: target (the log-probability of the own class) or all (of all
            classes, as published).
        importance: the measures of importance that are compared.
        scopes: global compares all parameters with each other, tensor those of each tensor.
        kept: shares of the parameters that are kept; None for the published ones, .001 to .03 and .01 to .3,
            and for .4 to .9.
        at: the share at which the claims are made; it is added to those that are measured.
        exempt: patterns of tensors that are never pruned; None for those of the last module, or for the last tensor
            where all are of one module.
        nodes, tolerance, most_nodes: of the quadrature along each step; see PathKernel.
        components: the named sets of parameters in the figure; see `components_of`.
        dtype: of the arithmetic; that of training if None.
        device: of the arithmetic: cpu, cuda, or that of the training, where there is one, if None.
        memory_gb: memory of one block of work, in 10^9 bytes.
    """

    needs = Needs(history="replay")
    version = 2
    headline = ("path_kernel_over_random", "path_kernel_over_magnitude")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 200,
        reserved: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.75,
        repeats: Annotated[int, at_least(1)] = 5,
        outputs: Literal["target", "all"] = "target",
        importance: Annotated[tuple[Method, ...], Filled()] = (
            "path_kernel",
            "path_kernel_total",
            "metagradient",
            "magnitude",
            "snip",
            "taylor",
            "fisher",
            "random",
        ),
        scopes: Annotated[tuple[Literal["global", "tensor"], ...], Filled()] = ("global", "tensor"),
        kept: Annotated[tuple[Share, ...], Filled()] | None = None,
        at: Share = 0.1,
        exempt: tuple[str, ...] | None = None,
        nodes: Annotated[int, at_least(1)] = 1,
        tolerance: Positive | None = None,
        most_nodes: Annotated[int, at_least(1)] = 64,
        components: Components = "similar",
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 1.0,
    ):
        self.split, self.examples, self.reserved, self.repeats = split, examples, reserved, repeats
        self.outputs, self.importance, self.scopes, self.kept, self.at = outputs, importance, scopes, kept, at
        self.exempt, self.components = exempt, components
        self.nodes, self.tolerance, self.most_nodes = nodes, tolerance, most_nodes
        self.dtype, self.device, self.memory_gb = dtype, device, memory_gb

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if targets are not classes, or the model or the optimizer is not supported."""
        if not recipe.task.spec.loss.indices:
            must, fix = f"analysis={name} needs targets that are classes", f"leave {name} out of analysis=[...]"
            raise ConfigError(must, got=type(recipe.task.spec.loss).__name__, key=key, fix=fix)
        products = second_derivatives if "metagradient" in self.importance else None
        check_attribution(name, recipe, self._examples, self.outputs, key, products)

    @property
    def shares(self) -> list[float]:
        """The shares of the parameters that are kept, in order."""
        return sorted({*(PUBLISHED | HIGHER if self.kept is None else self.kept), self.at})

    def gradient_evaluations(self, recipe: Recipe) -> float:
        """Return about how many gradients of single examples the path-kernel scores take, at the initial nodes."""
        columns = recipe.task.spec.outputs if self.outputs == "all" else 1
        return evaluations(recipe, self._examples, columns * self.nodes)

    @property
    def _examples(self) -> ExplainedExamples:
        return ExplainedExamples(self.split, self.examples, self.dtype, self.device)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute importance, prune and measure, resuming an interrupted attempt."""
        from mechlab.kernels.quadrature import Quadrature

        examples = self._examples
        trajectory = examples.trajectory(run)
        batch = trajectory.functional.placed(examples.batch(run))
        number = round(self.reserved * len(batch))
        if not 0 < number < len(batch):
            must, got = "importance and evaluation need an example each", f"{number} of {len(batch)} reserved"
            raise ConfigError(must, got=got, key="examples", fix="examples=20, or another share reserved")
        limit = int(self.memory_gb * 1e9)
        parts = Checkpointed(run.folder / "work" / f"pruning-{checkpoint_key(self, trajectory.steps)}-{state_key(rng)}")
        orders = np.stack([rng.permutation(len(batch)) for _ in range(self.repeats)])
        ties = torch.as_tensor(rng.permutation(trajectory.functional.layout.size))
        reserved = torch.zeros(orders.shape, dtype=torch.bool)  # (K, X)
        for split, order in zip(reserved, orders, strict=True):
            split[order[:number]] = True
        quadrature = Quadrature("midpoint", self.nodes, self.tolerance, self.most_nodes)
        importance = Importance(trajectory, batch, reserved, self.outputs, quadrature, limit, parts)
        exempt = self._exempt(trajectory.functional.layout.names)
        work = PrunedNetworks(trajectory, batch, reserved, self.scopes, self.shares, exempt, ties, limit)
        measured, composed = {}, {}
        for method in self.importance:
            values = parts(f"importance-{method}", lambda name=method: {"values": importance(name, rng)})["values"]
            found = parts(f"pruned-{method}", lambda values=values: work.measure(values))
            measured[method], composed[method] = found["measures"].numpy(), found["composition"].numpy()
        curves, by_tensor = self._curves(measured), self._by_tensor(trajectory, composed)
        out.save_table("curves", curves)
        out.save_table("summary", _summary(curves).assign(whole=work.accuracy(), evaluated=len(batch) - number))
        out.save_table("tensors", by_tensor)
        majority = np.array([_most_frequent(batch, ~split) for split in reserved])
        finding = self._finding(curves, work.accuracy(), majority, len(batch) - number)
        parts.clear()
        return finding

    def _exempt(self, names: list[str]) -> list[str]:
        if self.exempt is None:
            module = names[-1].rpartition(".")[0]
            last = [name for name in names if name.rpartition(".")[0] == module]
            return last if len(last) < len(names) else names[-1:]
        if unknown := [pattern for pattern in self.exempt if not matching(names, [pattern])]:
            must, fix = "exempt must name trained tensors of the model", f"one or more of {', '.join(names)}"
            raise ConfigError(must, got=unknown[0], key="exempt", fix=fix)
        if len(exempt := matching(names, self.exempt)) == len(names):
            raise ConfigError("some tensor must be pruned", got="all exempt", key="exempt", fix="exempt=null")
        return exempt

    def _curves(self, measured: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """Return a row for each method, scope, split and share kept, with the measures of the pruned network."""
        import pandas as pd

        from mechlab.kernels.pruning import MEASURES

        rows = [
            (method, scope, split, share, *values[i, split, j])
            for method, values in measured.items()
            for i, scope in enumerate(self.scopes)
            for split in range(self.repeats)
            for j, share in enumerate(self.shares)
        ]
        return pd.DataFrame(rows, columns=["method", "scope", "split", "kept", *MEASURES])

    def _by_tensor(self, trajectory: Trajectory, composed: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """Return the number of parameters of each tensor that global pruning keeps, means over splits."""
        import pandas as pd

        layout = trajectory.functional.layout
        groups = components_of(layout.shapes, self.components)
        owner = {tensor: group for group, tensors in groups.items() for tensor in tensors}
        exempt = self._exempt(layout.names)
        rows = [
            (method, share, name, owner.get(name, name), place.stop - place.start, name in exempt, count)
            for method, counts in composed.items()
            for share, means in zip(self.shares, counts.mean(0), strict=True)
            for (name, place), count in zip(layout.places.items(), means, strict=True)
        ]
        columns = ["method", "kept", "tensor", "component", "size", "exempt", "parameters"]
        table = pd.DataFrame(rows, columns=columns)
        return table.assign(pruned=1 - table["parameters"] / table["size"])

    def _finding(self, curves: pd.DataFrame, accuracy: float, majority: np.ndarray, evaluated: int) -> Finding:
        """Return the numbers at the share of the claims, and the claims.

        Args:
            accuracy: of the whole network on all examples.
            majority: (K,) share of the most frequent class among the evaluation examples of each split.
            evaluated: number of evaluation examples of a split.
        """
        scope = self.scopes[0]
        here = curves[(curves["kept"] == self.at) & (curves["scope"] == scope)]
        by_method = {name: rows.set_index("split") for name, rows in here.groupby("method", sort=False)}
        scalars = {"accuracy": accuracy, "most_frequent_class": float(majority.mean())}
        for name, rows in by_method.items():
            scalars |= {f"{name}_{column}": float(rows[column].mean()) for column in ("accuracy", "agreement", "kl")}
        claims, notes = {}, {}
        for other in ("random", "magnitude"):
            if "path_kernel" not in by_method or other not in by_method:
                continue
            ours, theirs = (by_method[name]["accuracy"].to_numpy() for name in ("path_kernel", other))
            differences = ours - np.maximum(theirs, majority)
            scalars[f"path_kernel_over_{other}"] = float((ours - theirs).mean())
            if evaluated < FEWEST or self.repeats < LEAST_SPLITS:
                notes["claims"] = (
                    f"No claims: they need {LEAST_SPLITS} splits with {FEWEST} evaluation examples each, and these are "
                    f"{self.repeats} with {evaluated}."
                )
                continue
            low, high = over_splits(differences, self.reserved)
            claims[f"above_{other}"] = Claim(
                f"With {100 * self.at:g} % of the parameters kept ({scope}), the network pruned by path-kernel score "
                f"labels more examples correctly than that pruned by {'random order' if other == 'random' else other}, "
                "and than the most frequent class, by more than 0 at the lower end of the 95 % interval over splits.",
                value=float(differences.mean()),
                threshold=0.0,
                holds=bool(low > 0),
                kind="statistical",
                null=0.0,
                interval=(low, high),
            )
        return Finding(scalars, claims, notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw accuracy, agreement and divergence against the share kept, and where the kept parameters are."""
        from mechlab.plotting import pruning as draw

        summary = out.table("summary")
        curves = {
            f"curves_{scope}": draw.curves(summary[summary["scope"] == scope], self.repeats, self.at)
            for scope in dict.fromkeys(summary["scope"])
        }
        return {**curves, "tensors": draw.composition(out.table("tensors"), self.at)}


def over_splits(differences: np.ndarray, reserved: float, level: float = 0.95) -> tuple[float, float]:
    """Return the interval for the mean of paired differences (K,) over random splits of the same examples.

    The splits overlap, so the variance of the mean is taken as (1/K + evaluation share / reserved share) times that of
    the differences. Source: the corrected resampled t-test of Nadeau and Bengio, Machine Learning 52, 2003.
    """
    from scipy.stats import t

    number, mean = len(differences), float(differences.mean())
    spread = np.sqrt((1 / number + (1 - reserved) / reserved) * differences.var(ddof=1))
    half = float(t.ppf((1 + level) / 2, number - 1) * spread)
    return mean - half, mean + half


def _most_frequent(batch: Batch, chosen: Tensor) -> float:
    """Return the share of the most frequent class among the targets of some examples that count."""
    targets = batch.targets[chosen.to(batch.targets.device)]
    counted = targets.flatten() if batch.mask is None else targets[batch.mask[chosen.to(batch.mask.device)]]
    return float(counted.unique(return_counts=True)[1].max() / len(counted))


def _summary(curves: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over splits of each measure."""
    from mechlab.kernels.pruning import MEASURES

    grouped = curves.groupby(["method", "scope", "kept"], sort=False)[list(MEASURES)]
    return grouped.mean().join(grouped.std(ddof=0).add_suffix("_std")).reset_index()
