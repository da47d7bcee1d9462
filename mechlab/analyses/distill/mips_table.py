"""The table of the 62 MIPS tasks: the network of each, its program, and how far the program is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.distill.mips_rows import (
    COLUMNS,
    DISTILL,
    OUTCOMES,
    READ,
    WHOLE,
    MipsRun,
    best,
    mips_run,
    programs_text,
)
from mechlab.automata.mips_rules import RULES
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import between
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.distill.recurrent.verification import LENGTHS
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

PUBLISHED = (
    "Of the 62 tasks the published system solved 32 and GPT-4 30; 43 were solved by at least one of the two. Which "
    "tasks these are is not part of the table."
)


class MipsTable(SetAnalysis):
    """Tabulate the MIPS tasks: the network, whether it is right on all test sequences, its program, and the share of
    random sequences of 10, 100 and 1,000 letters that the program gets right at all positions.

    `tasks` has a row for each of the 62 tasks in the published order, also for those without a run; of several runs of
    a task the one with the best outcome, and of several such the smallest. `totals` counts them, with 95 % Wilson
    intervals over tasks. `programs.py` has all programs as functions.

    The claims need a run of each task. Their null is the number of tasks at which the untrained network has such a
    program.

    Args:
        solved: least number of tasks with a program that is right at 10 letters, for claim `solved`.
        long: least number of tasks with a program that is right at all lengths, for claim `long`.

    Source: the tasks, and the question, are those of Michaud et al., "Opening the AI black box: program synthesis via
    mechanistic interpretability", arXiv 2402.05110.
    """

    needs = SetNeeds(
        runs=1, each=Needs(kind="sequence", ground_truth=("sequence rule",)), analyses=(DISTILL,), files=READ
    )

    def __init__(
        self, solved: Annotated[int, between(1, len(RULES))] = 32, long: Annotated[int, between(1, len(RULES))] = 25
    ):
        self.solved, self.long = solved, long

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save the tables and the programs, and count."""
        chosen = best([mips_run(run) for run in runs])
        totals = totals_table(list(chosen.values()))
        out.save_table("tasks", tasks_table(chosen))
        out.save_table("totals", totals)
        programs = {name: run.program for name, run in chosen.items() if run.program is not None}
        out.save_bytes("programs.py", programs_text(programs).encode())
        scalars: dict[str, float] = {"tasks": len(chosen)}
        for row in totals.to_dict("records"):
            scalars |= {row["name"]: row["tasks"], f"{row['name']}_low": row["low"], f"{row['name']}_high": row["high"]}
        nulls = {slug: sum(run.nulls[slug] == 1 for run in chosen.values()) for slug in ("program", "long")}
        scalars |= {"null_exact_10": nulls["program"], "null_exact_1000": nulls["long"]}
        notes = {"published": PUBLISHED}
        claims = {}
        if len(chosen) == len(RULES):
            claims = {
                "solved": self._claim(LENGTHS[0], self.solved, scalars["exact_10"], nulls["program"]),
                "long": self._claim(LENGTHS[-1], self.long, scalars["exact_1000"], nulls["long"]),
            }
        else:
            notes["few"] = f"Claims need runs of all {len(RULES)} tasks; there are runs of {len(chosen)}."
        return Finding({name: float(value) for name, value in scalars.items()}, claims, notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the outcome of each task."""
        from mechlab.plotting.mips_table import outcomes_figure

        return {"outcomes": outcomes_figure(out.table("tasks"))}

    def _claim(self, length: int, least: int, count: float, null: float) -> Claim:
        return Claim(
            f"At least {least} of the {len(RULES)} tasks end in a program that is right at all positions of all random "
            f"sequences, of up to {length:,} letters, with which it was compared.",
            value=count,
            threshold=least,
            holds=count >= least,
            kind="statistical",
            null=float(null),
        )


def tasks_table(chosen: dict[str, MipsRun]) -> pd.DataFrame:
    """Return a row for each of the 62 tasks."""
    import pandas as pd

    rows = []
    for place, name in enumerate(RULES, start=1):
        known = chosen[name].row() if name in chosen else {"outcome": OUTCOMES[-1]}
        rows.append({"number": place, "task": name, **known})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(WHOLE, "Int64"))  # whole numbers also beside missing ones


def totals_table(chosen: list[MipsRun]) -> pd.DataFrame:
    """Return how many of the tasks with a run have a perfect network, a program, and an exact one at each length, with
    95 % Wilson intervals of the share."""
    import pandas as pd

    counts = {"perfect": sum(run.perfect for run in chosen)}
    counts["distilled"] = sum(run.program is not None for run in chosen)
    counts |= {f"exact_{length}": sum(run.exact(length) for run in chosen) for length in LENGTHS}
    rows = [(name, count, len(chosen), *wilson(count, len(chosen))) for name, count in counts.items()]
    return pd.DataFrame(rows, columns=["name", "tasks", "of", "low", "high"])
