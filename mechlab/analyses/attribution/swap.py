"""Exchange of components between a model and itself at earlier steps of its training."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch

from mechlab.analyses.attribution.components import Components, components_of
from mechlab.analyses.attribution.explained_examples import Examples, ExplainedExamples, checkpoint_key
from mechlab.analyses.attribution.swapped_models import DIRECTIONS, MEASURES, SwappedModels
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Filled, at_least, between
from mechlab.core.errors import ConfigError, NotRecorded
from mechlab.core.step import trained_parameters
from mechlab.record.artifacts import Artifacts
from mechlab.record.long_work import carry_out
from mechlab.statistics.paired import paired_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.record.run import Run

PUBLISHED = {  # groups of ExPLAIND's transformer; the published list misspells the bias of linear1 in the third
    "embedding, linear2, decoder": ("input_emb.*", "linear2.*", "decoder.*"),
    "linear2, decoder": ("linear2.*", "decoder.*"),
    "all but attention and decoder": ("input_emb.*", "linear1.*", "linear2.*"),
    "embedding, linear2": ("input_emb.*", "linear2.*"),
    "embedding, decoder": ("input_emb.*", "decoder.*"),
}
PERMUTATIONS = 20  # of the entries of a component's tensors, for the control
FEWEST = 200  # examples below which no claim is made: one half of them chooses, the other measures

Steps = Annotated[int, at_least(2)] | Annotated[tuple[Annotated[int, at_least(0)], ...], Filled()]


class Swap(Analysis):
    """Exchange a component (a set of tensors) between the final model and the model of an earlier step, without
    training, and measure what the exchange changes ("ExPLAIND", arXiv 2505.20076).

    A component of the final model that makes an earlier model more accurate completes what the earlier model's other
    components compute already. A component of an earlier step that leaves the final model as accurate as it is has
    reached its final function by then.

    Args:
        split: of the examples.
        examples: their number, from the first on, or their ids.
        components: the named sets of tensors, each exchanged by itself; see `components_of`. "published": the five
            groups that are published for `model=transformer1`.
        steps: the number of steps, evenly spaced, or the steps themselves. Of a replay history, stored steps are used
            where there are half as many as asked for, since the others are computed again.
        confusion: number of steps, evenly spaced among the others, or steps, of which confusion matrices are drawn (of
            the nearest of the others); of classes only.
        change: least change of the accuracy, for the claims.
    """

    needs = Needs(history="sparse")
    version = 2
    headline = ("final_accuracy", "largest_gain", "largest_gain_step")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 1000,
        components: Literal["published"] | Components = "similar",
        steps: Steps = 40,
        confusion: Annotated[int, at_least(0)] | tuple[Annotated[int, at_least(0)], ...] = 2,
        change: Annotated[float, between(0, 1)] = 0.1,
    ):
        self.split, self.examples, self.components = split, examples, components
        self.steps, self.confusion, self.change = steps, confusion, change

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the task has no accuracy, nothing is trained, or a component or step does not exist."""
        leave_out = f"leave {name} out of {key.partition('.')[0]}=[...]"
        if not recipe.max_steps:
            must, got = f"analysis={name} needs steps of training", "max_steps=0"
            raise ConfigError(must, got=got, key="trainer.max_steps", fix=f"trainer.max_steps=100, or {leave_out}")
        if not recipe.task.has_accuracy:
            must, got = f"analysis={name} needs a task with an accuracy", type(recipe.task).__name__
            raise ConfigError(must, got=got, key=key, fix=f"choose another task, or {leave_out}")
        for parameter, steps in (("steps", self.steps), ("confusion", self.confusion)):
            if not isinstance(steps, int) and steps and max(steps) > recipe.max_steps:
                must = f"{parameter} must be at most trainer.max_steps={recipe.max_steps}"
                fix = "earlier steps, or their number"
                raise ConfigError(must, got=max(steps), key=f"{key}.{parameter}", fix=fix)
        try:
            self._components(recipe)
        except ConfigError as error:
            raise ConfigError(error.must, got=error.got, key=f"{key}.{error.key}", fix=error.fix) from None

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Evaluate all exchanges, resuming an interrupted attempt; save tables of changes and of predicted classes."""
        batch = ExplainedExamples(self.split, self.examples).batch(run)
        steps = self._chosen_steps(run)
        shown = self._shown_steps(steps) if run.spec.loss.indices else []
        model = copy.deepcopy(run.model()).cpu().eval()
        components = self._components(run.recipe)
        swapped = SwappedModels(model, run.task, batch, components, steps, run.history.params, shown)
        checkpoint = f"swap-{checkpoint_key(self, steps[-1])}.safetensors"
        carry_out(swapped, "swap", run.folder / "work" / checkpoint)
        table = _changes(swapped)
        out.save_table("swaps", table)
        out.save_table("confusion", _confusion(swapped))
        return self._finding(swapped, table, rng)

    def _components(self, recipe: Recipe) -> dict[str, list[str]]:
        sample = recipe.source().batch(0)[:2].to("cpu", recipe.dtype)
        shapes = trained_parameters(recipe.architecture().eval(), sample, recipe.task.spec)
        return components_of(shapes, PUBLISHED if self.components == "published" else self.components)

    def _chosen_steps(self, run: Run) -> list[int]:
        if not isinstance(self.steps, int):
            return sorted(set(self.steps))
        last = run.moment if isinstance(run.moment, int) else max(run.history.steps, default=0)
        stored = [step for step in run.history.stored if step <= last]
        recorded = [step for step in run.history.steps if step <= last]
        if len(recorded) < 2:
            fix = "train for longer, or with history=replay"
            must = "a step before the end of training must have been recorded"
            raise NotRecorded(must, got=recorded, key=str(run.folder), fix=fix)
        return _nearest(stored if 2 * len(stored) >= self.steps else recorded, np.linspace(0, last, self.steps))

    def _shown_steps(self, steps: list[int]) -> list[int]:
        if not isinstance(self.confusion, int):
            return _nearest(steps, np.array(self.confusion)) if self.confusion else []
        return _nearest(steps, np.linspace(steps[0], steps[-1], self.confusion + 2)[1:-1]) if self.confusion else []

    def _finding(self, swapped: SwappedModels, table: pd.DataFrame, rng: np.random.Generator) -> Finding:
        gains = table[table["swap"] == DIRECTIONS[0]].set_index(["step", "component"])["change"]
        losses = table[table["swap"] == DIRECTIONS[1]].groupby("component", sort=False)["change"].min()
        scalars = {
            "final_accuracy": swapped.final[0].mean(),
            "first_accuracy": swapped.values[0, 0, 0].mean(),
            "largest_gain": gains.max(),
            "largest_gain_step": gains.idxmax()[0],
            "least_loss": -losses.max(),
            "components": len(swapped.components),
            "steps": len(swapped.steps),
            "examples": len(swapped.batch),
        }
        notes = {
            "largest_gain": f"largest_gain is that of the final tensors of {gains.idxmax()[1]}.",
            "least_loss": "least_loss is the accuracy that the final model loses with the earlier tensors of "
            f"{losses.idxmax()}, at the step where it loses most; it loses more with those of any other component.",
        }
        claims = {}
        if len(swapped.batch) >= FEWEST:
            claims = {"completes": self._completes(swapped, rng), "all_needed": self._all_needed(swapped)}
        else:
            notes["fewest"] = (
                f"No claim is made of {len(swapped.batch)} examples: it would be chosen on one half and measured on "
                f"the other, which needs {FEWEST}."
            )
        return Finding({name: float(value) for name, value in scalars.items()}, claims, notes)

    def _completes(self, swapped: SwappedModels, rng: np.random.Generator) -> Claim:
        """Return the claim that one component of the final model completes an earlier one.

        Component and step are chosen on one half of the examples and measured on the other. The control exchanges the
        component's tensors with their entries in random order.
        """
        own = swapped.values[:, :1, 0]
        gains = (swapped.values[:, 1 : 1 + len(swapped.components), 0] - own).double().numpy()  # (S, G, X)
        place, component = np.unravel_index(gains[..., ::2].mean(-1).argmax(), gains.shape[:2])
        step, name = swapped.steps[place], list(swapped.components)[component]
        params, controls = dict(swapped.params(step)), []
        for _ in range(PERMUTATIONS):
            accuracy = swapped.accuracy(params | _permuted(swapped, name, rng))
            controls.append(float((accuracy - own[place, 0])[1::2].mean()))
        held_out = gains[place, component, 1::2]
        low, high = paired_interval(held_out)
        loses = " and, below 0, says that every one of them makes that model worse" if max(controls) < 0 else ""
        return Claim(
            f"With the final tensors of one component ({name}), the model of step {step} gets at least {self.change:g} "
            "more of the examples right, and more than with each of "
            f"{PERMUTATIONS} random orders of these tensors' entries (component and step chosen on one half of the "
            "examples, value and 95 % interval from the other; the null is the largest gain with a random order"
            f"{loses}).",
            value=float(held_out.mean()),
            threshold=self.change,
            holds=bool(low >= self.change and held_out.mean() > max(controls)),
            kind="statistical",
            null=max(controls),
            interval=(low, high),
        )

    def _all_needed(self, swapped: SwappedModels) -> Claim:
        """Return the claim that the final model needs the training of each component."""
        rows = swapped.values[0, 1 + len(swapped.components) :, 0]
        losses = (swapped.final[0] - rows).double().numpy()  # (G, X)
        component = losses[:, ::2].mean(-1).argmin()
        name, held_out = list(swapped.components)[component], losses[component, 1::2]
        low, high = paired_interval(held_out)
        return Claim(
            f"The final model gets at least {self.change:g} fewer of the examples right with any one component as it "
            f"was at step {swapped.steps[0]} (least with {name}, chosen on one half of the examples; value and 95 % "
            "interval from the other).",
            value=float(held_out.mean()),
            threshold=self.change,
            holds=bool(low >= self.change),
            kind="statistical",
            interval=(low, high),
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the changes against the step, and the confusion matrices."""
        from mechlab.plotting.swap import changes_figure, confusion_figure

        confusion = out.table("confusion")
        shown = {f"confusion_{step}": rows for step, rows in confusion.groupby("step")}
        matrices = {name: confusion_figure(rows) for name, rows in shown.items()}
        return {"swaps": changes_figure(out.table("swaps")), **matrices}


def _nearest(recorded: list[int], wanted: np.ndarray) -> list[int]:
    return sorted({min(recorded, key=lambda step: abs(step - target)) for target in wanted})


def _permuted(swapped: SwappedModels, name: str, rng: np.random.Generator) -> Mapping[str, torch.Tensor]:
    """Return the final tensors of a component, the entries of each in random order."""
    tensors = {tensor: swapped.last[tensor] for tensor in swapped.components[name]}
    order = {tensor: torch.from_numpy(rng.permutation(value.numel())) for tensor, value in tensors.items()}
    return {tensor: value.flatten()[order[tensor]].view_as(value) for tensor, value in tensors.items()}


def _changes(swapped: SwappedModels) -> pd.DataFrame:
    """Return a row for each step, component and direction, with what the model with most of the tensors has, too."""
    import pandas as pd

    rows, count = [], len(swapped.components)
    for place, step in enumerate(swapped.steps):
        values = swapped.values[place].double().numpy()  # (1 + 2 G, 3, X)
        receivers = (values[0], swapped.final.double().numpy())
        for i, (direction, receiver) in enumerate(zip(DIRECTIONS, receivers, strict=True)):
            for row, name in enumerate(swapped.components, start=1 + i * count):
                means = dict(zip(MEASURES, values[row].mean(-1), strict=True))
                change = values[row, 0] - receiver[0]
                low, high = paired_interval(change)
                ends = {"change": change.mean(), "change_low": low, "change_high": high}
                own = {"unswapped_accuracy": receiver[0].mean(), "unswapped_loss": receiver[1].mean()}
                rows.append({"step": step, "component": name, "swap": direction, **means, **own, **ends})
    table = pd.DataFrame(rows)
    return table if swapped.task.spec.loss.classes else table.drop(columns="kl")


def _confusion(swapped: SwappedModels) -> pd.DataFrame:
    """Return how often each target was given each class, by step and exchanged component; none is the step's model."""
    import pandas as pd

    counted = swapped.batch.mask
    targets = swapped.batch.targets if counted is None else swapped.batch.targets[counted]
    tables = []
    for step, rows in zip(swapped.confusion, swapped.predicted, strict=True):
        for name, predicted in zip(["none", *swapped.components], rows, strict=True):
            classes = predicted if counted is None else predicted[counted]
            pairs = pd.DataFrame({"target": targets.flatten().numpy(), "predicted": classes.flatten().numpy()})
            counts = pairs.value_counts(sort=False).rename("count").reset_index()
            tables.append(counts.assign(step=step, component=name))
    columns = ["step", "component", "target", "predicted", "count"]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)
