"""What BeyondLabels finds, from its table of measures by component."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mechlab.core.analysis import Claim, Finding

if TYPE_CHECKING:
    import pandas as pd

MOMENTS = ("end", "control")
FEWEST = 20  # explained examples that the claim needs


def finding_of(table: pd.DataFrame, classes: int, examples: int, steps: int) -> Finding:
    """Return the scalars, the claim and the notes.

    Args:
        table: the measures, one row for each component, the whole network first.
        classes, examples: numbers of repeated classes and of explained examples.
        steps: of the control.
    """
    whole = table.iloc[0]
    words = ("unnamed", "named", "classes", "within_sums", "within_inputs")
    scalars = {
        "unnamed_gain": whole["unnamed_gain"],
        "named_control": whole["named_control"],
        **{f"{word}_{moment}": whole[f"{word}_{moment}"] for word in words for moment in MOMENTS},
        "examples": examples,
        "classes": classes,
        "control_steps": steps,
    }
    scalars = {name: float(value) for name, value in scalars.items() if np.isfinite(value)}
    first = f"the first {steps} steps" if steps > 1 else "the first step"
    notes = {
        "control": f"Influences of {first} alone on the own class separate equal labels from others with an area "
        f"under the ROC curve of {whole['named_control']:.3f} ({whole['named_end']:.3f} at the end): the diagonal "
        "of the matrix of influences is no evidence of a learned mechanism."
    }
    if examples < FEWEST:
        notes["claims"] = f"No claim: it needs {FEWEST} explained examples, and these are {examples}."
        return Finding(scalars, {}, notes)
    low, high, chance = (whole[f"unnamed_{word}"] for word in ("gain_low", "gain_high", "null_high"))
    claim = Claim(
        "Influences on the confidence, which names no class, separate training examples of the explained example's "
        f"label from others better than those of {first} alone: the difference of the areas under the ROC curve is "
        "above 0 at the lower end of the 95 % bootstrap interval over explained examples, and the area at the end "
        "above those of 97.5 % of the permutations of their labels.",
        value=float(whole["unnamed_gain"]),
        threshold=0.0,
        holds=bool(low > 0 and whole["unnamed_end"] > chance),
        kind="statistical",
        null=0.0,
        interval=(float(low), float(high)),
    )
    return Finding(scalars, {"beyond_labels": claim}, notes)
