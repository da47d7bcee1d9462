"""Recovery of networks that keep a part of another one from some step of its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from mechlab.core.analysis import Claim, Finding
from mechlab.core.constraints import at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import RESAMPLES, Summary, summarise

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

SPLITS = ("train", "val")
NOTHING = "nothing kept"
GROUP = ["kept", "from_step"]


class Transplant(SetAnalysis):
    """Compare how fast networks learn that keep some tensors of another run from a step of its training
    (`init_from`, `init_at`, `init_parts`) and start afresh in all others ("ExPLAIND", arXiv 2505.20076).

    The controls are networks whose kept tensors are those of step 0, and networks that keep nothing.

    Args:
        accuracy: of validation; a network has recovered at the first step at which it is at least this.
        fewest: seeds below which no claim is made.
    """

    needs = SetNeeds(files=("result.json", "metrics.csv"), equal=("task", "model", "optimizer", "trainer.max_steps"))
    version = 2

    def __init__(self, accuracy: Annotated[float, between(0, 1)] = 0.9, fewest: Annotated[int, at_least(3)] = 3):
        self.accuracy, self.fewest = accuracy, fewest

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save tables of networks, of means over seeds, and of accuracies over training."""
        import pandas as pd

        logged = [_logged(run) for run in runs]
        pairs = [(self._network(run, curve), curve) for run, curve in zip(runs, logged, strict=True)]
        pairs.sort(key=lambda pair: _order(pair[0]))
        networks = pd.DataFrame([row for row, _ in pairs])
        curves = pd.concat(curve.assign(**{name: row[name] for name in (*GROUP, "seed")}) for row, curve in pairs)
        groups = networks.groupby(GROUP, sort=False, dropna=False)
        means = pd.DataFrame([{**dict(zip(GROUP, key, strict=True)), **_means(group)} for key, group in groups])
        out.save_table("networks", networks)
        out.save_table("means", means)
        keys = [*GROUP, "split", "step"]
        along = [
            {**dict(zip(keys, key, strict=True)), **_summary("accuracy", group)}
            for key, group in curves.groupby(keys, sort=False, dropna=False)
        ]
        out.save_table("curves", pd.DataFrame(along))
        scalars = {
            "networks": len(networks),
            "recovered": int(networks["recovered"].sum()),
            "kept": networks["kept"].nunique(),
            "final_val_accuracy": networks["final_val_accuracy"].mean(),
        }
        notes = {
            "interval": f"Intervals are percentiles of {RESAMPLES:,} bootstrap means over seeds (95 %).",
            "recovery": "A network that has not recovered by the end counts with the last step, too few.",
        }
        claims = self._claims(networks)
        if not claims:
            notes["fewest"] = (
                f"The claim that a kept part speeds learning up needs {self.fewest} seeds of networks that keep it "
                "from step 0, or keep nothing, and of networks that keep it from a later step."
            )
        return Finding({name: float(value) for name, value in scalars.items()}, claims, notes)

    def _network(self, run: Run, curve: pd.DataFrame) -> dict[str, Any]:
        config = run.config
        frozen = " (frozen)" if config.get("init_freeze") else ""
        kept, step = NOTHING, np.nan
        if config.get("init_from") is not None:
            parts = config.get("init_parts")
            kept = ("everything" if parts is None else ", ".join(part.removesuffix(".*") for part in parts)) + frozen
            step = config.get("init_at", "last")
        validated = curve[curve["split"] == "val"]
        above = validated.loc[validated["accuracy"] >= self.accuracy, "step"]
        ends = {f"final_{split}_accuracy": curve.loc[curve["split"] == split, "accuracy"].iloc[-1] for split in SPLITS}
        recovery = above.iloc[0] if len(above) else validated["step"].iloc[-1]
        return {
            "kept": kept,
            "from_step": step,
            "seed": run.seed,
            "recovered": bool(len(above)),
            "recovery_step": recovery,
            **ends,
        }

    def _claims(self, networks: pd.DataFrame) -> dict[str, Claim]:
        """Return a claim for each kept part that has a control and enough seeds."""
        nothing, claims = _recovery(networks, NOTHING), {}
        parts = dict.fromkeys(networks.loc[networks["kept"] != NOTHING, "kept"])
        for number, kept in enumerate(parts, start=1):
            moments = networks.loc[networks["kept"] == kept, "from_step"]
            latest = max((moment for moment in moments if not isinstance(moment, str)), default=0)
            control = _recovery(networks, kept, 0)
            saved = ((control if len(control) else nothing) - _recovery(networks, kept, latest)).dropna()
            if latest and len(saved) >= self.fewest:
                claims[f"sooner_{number}"] = self._claim(kept, latest, summarise(saved.tolist()))
        return claims

    def _claim(self, kept: str, step: int, saved: Summary) -> Claim:
        return Claim(
            f"Networks that keep {kept} from step {step} reach a validation accuracy of {self.accuracy:g} in fewer "
            f"steps than those that keep it from step 0, or else than those that keep nothing (steps saved, mean over "
            f"{saved.n} seeds with its 95 % bootstrap interval).",
            value=saved.mean,
            threshold=0.0,
            holds=bool(saved.low > 0),
            kind="statistical",
            null=0.0,
            interval=(saved.low, saved.high),
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw accuracies over training and the steps to recovery, as means over seeds with intervals."""
        from mechlab.plotting.transplant import accuracies_figure, recovery_figure

        curves = out.table("curves")
        figures = {f"{split}_accuracy": accuracies_figure(curves[curves["split"] == split]) for split in SPLITS}
        return {**figures, "recovery": recovery_figure(out.table("means"), self.accuracy)}


def _logged(run: Run) -> pd.DataFrame:
    """Return the logged accuracies of a run: columns split, step and accuracy.

    Raises:
        ConfigError: none were logged.
    """
    metrics = run.metrics
    names = [f"{split}/accuracy" for split in SPLITS]
    if missing := [name for name in names if name not in metrics or not metrics[name].notna().any()]:
        must = "analysis=transplant needs runs that logged the accuracy of training and validation"
        raise ConfigError(must, got=f"{run.folder}: no {missing[0]}", key="run", fix="a task with an accuracy")
    long = metrics.rename(columns=dict(zip(names, SPLITS, strict=True))).melt("step", SPLITS, "split", "accuracy")
    return long.dropna().reset_index(drop=True)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return a sort key: by part, what keeps nothing last, then by step, named moments last."""
    step = row["from_step"]
    named = isinstance(step, str)
    return row["kept"] == NOTHING, row["kept"], named, str(step) if named else float(step), row["seed"]


def _recovery(networks: pd.DataFrame, kept: str, step: int | None = None) -> pd.Series:
    """Return the steps to recovery by seed, as means over its networks that keep a part (from one step if given)."""
    chosen = networks["kept"] == kept
    if step is not None:
        chosen &= networks["from_step"] == step
    return networks[chosen].groupby("seed")["recovery_step"].mean()


def _means(networks: pd.DataFrame) -> dict[str, Any]:
    """Return counts of a group of networks, and means over its seeds with intervals."""
    measured = ("recovery_step", "final_train_accuracy", "final_val_accuracy")
    counts = {"networks": len(networks), "seeds": networks["seed"].nunique()}
    counts["recovered"] = int(networks["recovered"].sum())
    return {**counts, **{key: end for name in measured for key, end in _summary(name, networks).items()}}


def _summary(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """Return the mean of a column over seeds and its interval; several networks of one seed count as their mean."""
    summary = summarise(table.groupby("seed")[name].mean().astype(float).tolist())
    return {name: summary.mean, f"{name}_low": summary.low, f"{name}_high": summary.high}
