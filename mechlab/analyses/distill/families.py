"""Accuracy of a network on families of examples that it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import between
from mechlab.core.evaluation import portions
from mechlab.core.step import aligned_outputs
from mechlab.core.task import Batch, Task
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

FEWEST = 50  # independent draws of a family, below which no claim is made
LEVEL = 0.95


class Families(Analysis):
    """Accuracy of a network on each of the test families of its task, such as those of task=orientation.

    A task has test families if it has a method `families(n, rng)` that returns a Batch of up to n examples for each, by
    name; examples with the same index are one independent draw, such as an image and its transpose. Where outputs are
    scores of classes and k classes share the highest score, one of them the target, the example counts 1/k, the
    expected accuracy of a random choice. Otherwise an example counts the task's own accuracy.

    Args:
        n: examples of each family.
        threshold: least accuracy on every family for the claim `every_family`.
    """

    needs = Needs(task=("families",))
    headline = ("accuracy", "least")

    def __init__(
        self, n: Annotated[int, between(2, 1_000_000)] = 2000, threshold: Annotated[float, between(0, 1)] = 0.9
    ):
        self.n, self.threshold = n, threshold

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Score the network on new draws; save the scores by family, and the first examples of each if they are
        images."""
        import pandas as pd

        model, generator = run.model(), torch.Generator().manual_seed(int(rng.integers(2**62)))
        rows, pictures = [], {}
        for name, batch in run.task.families(self.n, generator).items():
            right, tied = scores_of(model, run.task, batch.to("cpu", run.recipe.dtype))
            rows.append({"family": name, **_row(right, tied, batch.index)})
            if len(run.spec.shape) == 3:
                pictures[name] = batch.inputs[:2, 0].float()
        table = pd.DataFrame(rows)
        out.save_table("families", table)
        if pictures:
            out.save_arrays("pictures", **pictures)
        scalars = {"accuracy": float(table["accuracy"].mean()), "least": float(table["accuracy"].min())}
        scalars |= {f"accuracy_{row['family']}": row["accuracy"] for row in rows}
        scalars["ties"] = float(table["ties"].sum() / table["examples"].sum())
        few = table[table["draws"] < FEWEST]
        if len(few):
            names = ", ".join(f"{row.family} ({row.draws})" for row in few.itertuples())
            note = f"No claim is made, because of these families there are fewer than {FEWEST} draws: {names}."
            return Finding(scalars, notes={"fewest": note})
        return Finding(scalars, {"every_family": self._claim(table, run.task.chance())})

    def _claim(self, table: pd.DataFrame, chance: float) -> Claim:
        """Return the claim about the family whose interval ends lowest; together the intervals have the level."""
        level = 1 - (1 - LEVEL) / len(table)
        ends = [wilson(row.accuracy * row.draws, row.draws, level) for row in table.itertuples()]
        worst = int(np.argmin([low for low, _ in ends]))
        return Claim(
            f"The accuracy on every one of the {len(table)} test families is at least {self.threshold:g} (lower ends "
            f"of the Wilson intervals, {LEVEL * 100:.0f} % for all families together).",
            value=float(table["accuracy"].iloc[worst]),
            threshold=self.threshold,
            holds=ends[worst][0] >= self.threshold,
            kind="statistical",
            null=chance,
            interval=ends[worst],
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the accuracy on each family, beside an image of it if there are any."""
        from mechlab.plotting.families import families_figure

        pictures = out.arrays("pictures") if (out.folder / "pictures.safetensors").exists() else {}
        return {"families": families_figure(out.table("families"), pictures, self.threshold)}


@torch.no_grad()
def scores_of(model: nn.Module, task: Task, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected accuracy (B,) on each example of a batch, and whether its target ties with another class
    for the highest score, (B,) bool."""
    scores = [_scores(aligned_outputs(model, part, task.spec), task, part) for part in portions(batch)]
    right, tied = (torch.cat(column).double().numpy() for column in zip(*scores, strict=True))
    return right, tied > 0


def _scores(outputs: Tensor, task: Task, batch: Batch) -> tuple[Tensor, Tensor]:
    loss = task.spec.loss
    if not (loss.classes and loss.indices and outputs.ndim == 2):
        right: Any = task.score(outputs, batch)["accuracy"]
        return right, torch.zeros_like(right)
    highest = outputs == outputs.amax(1, keepdim=True)
    hit = highest.gather(1, batch.targets[:, None])[:, 0]
    number = highest.sum(1)
    return hit / number, hit & (number > 1)


def _row(right: np.ndarray, tied: np.ndarray, index: Tensor) -> dict[str, float]:
    """Return the accuracy on a family, with the interval over its independent draws."""
    _, draw = np.unique(index.numpy(), return_inverse=True)
    size = np.bincount(draw)
    passed = float((np.bincount(draw, weights=right) / size).sum())
    low, high = wilson(passed, len(size), LEVEL)
    counts = {"examples": len(right), "draws": len(size), "ties": int(tied.sum())}
    return {**counts, "accuracy": passed / len(size), "low": low, "high": high}
