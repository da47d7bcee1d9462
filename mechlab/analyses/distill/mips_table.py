"""The table of the 62 MIPS tasks: the network of each, its program, and how far the program is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.distill.mips_markdown import markdown_table
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
    a task (`runs` and `seeds`) the one with the best outcome, and of several such the smallest. `table.md` is a short
    form of it. `totals` counts the tasks, and apart those whose program has registers that the hidden states determine
    (`from_states`): the other programs describe inputs and outputs alone. `programs.py` has all programs as functions.

    The claims need a run of each task, and count perfect networks with exact programs. Their null is the number of
    tasks at which the best constant outputs, or the untrained network's program, are exact.

    Args:
        solved: least number of tasks with a perfect network and a program that is right at 10 letters, for claim
            `solved`.
        long: least number of tasks with a perfect network and a program that is right at all lengths, for claim `long`.

    Source: the tasks, and the question, are those of Michaud et al., "Opening the AI black box: program synthesis via
    mechanistic interpretability", arXiv 2402.05110.
    """

    needs = SetNeeds(
        runs=1, each=Needs(kind="sequence", ground_truth=("sequence rule",)), analyses=(DISTILL,), files=READ
    )

    version = 2

    def __init__(
        self, solved: Annotated[int, between(1, len(RULES))] = 32, long: Annotated[int, between(1, len(RULES))] = 25
    ):
        self.solved, self.long = solved, long

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save the tables and the programs, and count."""
        known = [mips_run(run) for run in runs]
        chosen = best(known)
        totals = totals_table(list(chosen.values()))
        tasks = tasks_table(chosen, known)
        out.save_table("tasks", tasks)
        out.save_table("totals", totals)
        out.save_bytes("table.md", markdown_table(tasks).encode())
        programs = {name: run.program for name, run in chosen.items() if run.program is not None}
        out.save_bytes("programs.py", programs_text(programs).encode())
        scalars: dict[str, float] = {"tasks": len(chosen)}
        for row in totals.to_dict("records"):
            scalars |= {row["name"]: row["tasks"], f"{row['name']}_from_states": row["from_states"]}
        nulls = {slug: sum(run.nulls[slug] == 1 for run in chosen.values()) for slug in ("program", "long")}
        scalars |= {"null_exact_10": nulls["program"], "null_exact_1000": nulls["long"]}
        notes = {"published": PUBLISHED}
        claims = {}
        if len(chosen) == len(RULES):
            claims = {
                "solved": self._claim(LENGTHS[0], self.solved, scalars["perfect_and_exact_10"], nulls["program"]),
                "long": self._claim(LENGTHS[-1], self.long, scalars["perfect_and_exact_1000"], nulls["long"]),
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
            f"At least {least} of the {len(RULES)} tasks end in a network that is right at all positions of all test "
            f"sequences, and a program that is on all sequences, of up to {length:,} letters, with which it was "
            f"compared; the null counts best constant outputs and programs of untrained networks.",
            value=count,
            threshold=least,
            holds=count >= least,
            kind="statistical",
            null=float(null),
        )


def tasks_table(chosen: dict[str, MipsRun], known: Sequence[MipsRun]) -> pd.DataFrame:
    """Return a row for each of the 62 tasks: the chosen run, and the number and the seeds of all known ones."""
    import pandas as pd

    rows = []
    for place, name in enumerate(RULES, start=1):
        row = chosen[name].row() if name in chosen else {"outcome": OUTCOMES[-1]}
        seeds = [run.seed for run in known if run.task == name]
        row |= {"runs": len(seeds), "seeds": " ".join(map(str, sorted(seeds)))}
        rows.append({"number": place, "task": name, **row})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(WHOLE, "Int64"))  # whole numbers also beside missing ones


def totals_table(chosen: list[MipsRun]) -> pd.DataFrame:
    """Return how many of the tasks with a run have a perfect network, a program, an exact one at each length, and a
    perfect network with an exact program; and how many of these have a program whose registers the hidden states
    determine."""
    import pandas as pd

    members = {"perfect": [run for run in chosen if run.perfect]}
    members["distilled"] = [run for run in chosen if run.program is not None]
    members |= {f"exact_{length}": [run for run in chosen if run.exact(length)] for length in LENGTHS}
    for length in (LENGTHS[0], LENGTHS[-1]):
        members[f"perfect_and_exact_{length}"] = [run for run in members["perfect"] if run.exact(length)]
    rows = [(name, len(runs), len(chosen), sum(run.from_states for run in runs)) for name, runs in members.items()]
    return pd.DataFrame(rows, columns=["name", "tasks", "of", "from_states"])
