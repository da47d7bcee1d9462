"""The gradient of the loss at a step with respect to the input of every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch

from mechlab.binding.input_gradients import dependences, input_gradient_norms, varying
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import NoRule
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import bootstrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from mechlab.core.recipe import Recipe
    from mechlab.core.task import Batch
    from mechlab.record.run import Run

LEAST = 30  # examples for a claim


class InputGradients(Analysis):
    """Norm of the gradient of the loss at a step with respect to the input at each step, and the share of it that falls
    on the steps on which the target depends.

    The norm is over channels; the mean over test examples has a normal 95 % interval. A network that has learned to
    remember needs gradients that reach back to what is remembered; the share of an untrained network is the control.
    The steps on which a target depends are those where another example's input would change it, by the task's rule.

    Args:
        step: the step of the loss, from 0, or from the end if negative; "all" for all steps that have targets; null for
            the last step of each example that has a target. The published one of the copying memory, for the second
            symbol, is s + delay + 1.
        examples: number of test examples.
        share: least share of the norm, for the claim `share`; there is none where a uniform norm has this share.

    Source: Karuvally et al., arXiv 2310.02430, for the copying memory.
    """

    needs = Needs(kind="sequence")
    headline = ("share", "uniform_share", "untrained_share")

    def __init__(
        self,
        step: int | Literal["all"] | None = None,
        examples: Annotated[int, at_least(2)] = 100,
        share: Annotated[float, between(0, 1)] = 0.5,
    ):
        self.step, self.examples, self.share = step, examples, share

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if fewer than two test examples have a target at the step."""
        self._chosen(recipe.source().evaluation("test", self.examples), key)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save the norms at each step, of the trained and the untrained network."""
        import pandas as pd

        batch = run.evaluation("test", self.examples)
        chosen, batch = self._chosen(batch)
        trained, untrained = (
            input_gradient_norms(model, batch, run.spec, chosen).numpy() for model in (run.model(), run.untrained())
        )
        counted = torch.ones_like(chosen) if batch.mask is None else batch.mask
        columns = {
            "norm": trained.mean(0),
            "standard_error": trained.std(0, ddof=1) / np.sqrt(len(trained)),
            "untrained": untrained.mean(0),
            "input": varying(batch.inputs).numpy(),
            "target": (counted.any(0) & varying(batch.targets)).numpy(),
            "loss": chosen.any(0).numpy(),
        }
        scalars = {"norm": trained.sum(1).mean(), "peak_step": trained.mean(0).argmax(), "examples": len(trained)}
        try:
            depends = dependences(lambda inputs: run.task.targets(inputs)[0], batch.inputs, chosen).numpy()
        except NoRule:
            claims = {}
        else:
            columns["depends"] = depends.mean(0)
            shares = {"share": trained, "untrained_share": untrained, "uniform_share": np.ones_like(trained)}
            each = {name: share_on(depends, norms) for name, norms in shares.items()}
            scalars |= {name: values.mean() for name, values in each.items()}
            claims = self._claims(each)
        out.save_table("gradients", pd.DataFrame({"step": np.arange(len(columns["norm"])), **columns}))
        return Finding({name: float(value) for name, value in scalars.items()}, claims)

    def _chosen(self, batch: Batch, key: str = "analysis.input_gradients") -> tuple[Tensor, Batch]:
        """Return the steps (B, T) bool whose loss is differentiated, and the examples that have such a step."""
        T = batch.inputs.shape[1]
        counted = torch.ones(batch.inputs.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
        chosen = counted
        if self.step is None:
            places = torch.arange(T) * counted
            chosen = counted & (torch.arange(T) == places.amax(1, keepdim=True))
        elif self.step != "all":
            chosen = counted & (torch.arange(T) == (self.step if self.step >= 0 else T + self.step))
        rows = chosen.any(1)
        if rows.sum() < 2:
            must = f"{key}.step must have a target in two or more test examples"
            fix = f"choose a step from {int(counted.any(0).nonzero()[0])} to {int(counted.any(0).nonzero()[-1])}"
            raise ConfigError(must, got=self.step, key=f"{key}.step", fix=fix)
        return chosen[rows], batch[rows]

    def _claims(self, shares: dict[str, np.ndarray]) -> dict[str, Claim]:
        uniform, n = float(shares["uniform_share"].mean()), len(shares["share"])
        if not 0 < uniform < self.share or n < LEAST:
            return {}
        value, (low, high) = float(shares["share"].mean()), bootstrap(shares["share"])
        null = float(shares["untrained_share"].mean())
        claim = Claim(
            f"At least {self.share:g} of the norm of the loss's gradient falls on the input steps on which the target "
            f"depends, more than in the untrained network (bootstrap over {n} test examples).",
            value=value,
            threshold=self.share,
            holds=low >= self.share and low > null,
            kind="statistical",
            null=null,
            interval=(low, high),
        )
        return {"share": claim}

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the norms against the input step."""
        from mechlab.plotting.input_gradients import input_gradient_figure

        return {"gradients": input_gradient_figure(out.table("gradients"))}


def share_on(steps: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Return the share (B,) of norms (B, T) that falls on steps (B, T) bool; 0 where all norms are."""
    total = norms.sum(1)
    return np.divide((norms * steps).sum(1), total, out=np.zeros(len(norms)), where=total > 0)
