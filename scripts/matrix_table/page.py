"""The page about what runs on what, from the recorded outcomes of trials."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from string import ascii_uppercase
from textwrap import fill

COLUMNS = ("subject", "analysis", "task", "model", "settings", "outcome", "reason")
Row = dict[str, str]
FAMILIES = {
    "Network states and automaton states": (
        *("conformance", "ambiguity", "clusterings", "extraction", "pictures", "states_over_training", "noise_dose"),
        *("retraining", "ambiguity_over_runs"),
    ),
    "Variables and spectra": (
        *("spectrum", "spectrum_over_training", "variable_memories", "causal", "dynamics", "input_gradients"),
        "binding_table",
    ),
    "Attribution to training": (
        *("path_kernel", "metagradient", "datamodeling", "datamodel", "agreement", "balance", "components"),
        *("beyond_labels", "pruning", "swap", "periodicity"),
        *("attribution_table", "datamodel_over_runs", "phases", "transplant"),
    ),
    "Representations of groups": (
        *("irreps", "neurons", "cosets", "certify", "state_irreps"),
        *("group_table", "universality"),
    ),
    "Networks as programs": (*("distill", "distill_sizes", "distill_rnn", "families", "maxsat_table", "mips_table"),),
    "Any runs": ("seeds", "training_curves"),
}
SYMBOLS = {
    "works": "✓",
    "not supported": "✗",
    "ground truth": "○",
    "kind": "–",
    "crash": "!",
    "not tried": "?",
}
MEANINGS = {
    "works": "the analysis gave a finding of finite numbers, and drew its figures",
    "not supported": "the question makes sense, and is refused before training, for the reason in the note",
    "ground truth": "the task lacks the ground truth, or the data, that the analysis compares with",
    "kind": "the question has no meaning for a model or task of this kind",
    "crash": "an error that is no refusal: a defect",
    "not tried": "the command below goes on with it",
}
EXPLANATIONS = {  # of reasons that name methods of a model's class
    "has layers()": (
        "It writes a program from the signs of threshold units, which other networks do not have: `model=enn` and "
        "`model=threshold_network` do."
    ),
    "has clean()": (
        "It compares the trained network with the error-free one that it was built as, which only "
        "`model=constructed` has."
    ),
    "has jacobian()": (
        "The state of a transformer is the list of all its inputs, which grows at every step, so its transition has "
        "neither a Jacobian nor a spectrum."
    ),
    "unembedding()": "It looks at hidden neurons, and the model has none.",
    "has families()": "It measures accuracy on a task's own families of tests.",
    "has size()": "It looks for one program for rings, tori or images of any size.",
}
INTRODUCTION = """# What runs on what

Every analysis is run on every model and on every task: {cells} cells, on networks trained for {steps} steps.
Of the tried cells in which the kind of network and the ground truth fit the question,
**{works} of {fitting} work ({share})**.

Of all cells {counts}.

A cell of the tables of models is a trial on a task that the model can learn and that has what the analysis needs, so
a refusal there holds for every task of the model. A cell of the tables of tasks is a trial with the task's default
model, or with another one where that lacks what the analysis needs. Analyses of several runs were given as many runs
as they need. Task, model and further settings of each trial, and the reason in full, are in
[matrix.csv](matrix.csv).

| symbol | | cells |
|---|---|---|
{legend}

A number after a symbol is that of the reason, below the tables. Models, or tasks, with the same outcomes share a
column, whose letter stands beside their names above the table.
"""
END = """
## How the page is made

```sh
python scripts/matrix.py --work build/matrix   # about an hour of processor time; an interrupted command goes on
```

writes `docs/matrix.csv` and this page. A contract test, `tests/matrix/test_matrix_cells.py`, repeats the trials: a
cell that works must work, and a refusal must come before training, with the recorded reason.
"""


def page(rows: Sequence[Row], steps: int) -> str:
    """Return the page as Markdown.

    Args:
        rows: of the recorded matrix, each with a value for every name in COLUMNS.
        steps: of training.
    """
    counts = Counter(row["outcome"] for row in rows)
    fitting = sum(counts[name] for name in ("works", "not supported", "crash"))
    legend = "\n".join(
        f"| {SYMBOLS[name]} | {name}: {meaning} | {counts[name]} |"
        for name, meaning in MEANINGS.items()
        if counts[name]
    )
    words = {"works": "work", "kind": "are of another kind", "ground truth": "lack the ground truth"}
    parts = [f"{counts[name]} {words.get(name, f'are {name}')}" for name in MEANINGS if counts[name]]
    text = INTRODUCTION.format(
        steps=steps,
        cells=f"{len(rows):,}",
        works=counts["works"],
        fitting=fitting,
        share=f"{100 * counts['works'] / max(1, fitting):.0f} %",
        counts=", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0],
        legend=legend,
    )
    for family, analyses in FAMILIES.items():
        text += f"\n## {family}\n"
        notes: dict[str, int] = {}
        of_family = [row for row in rows if row["analysis"] in analyses]
        for subject in ("model", "task"):
            chosen = [row for row in of_family if row["subject"] == subject]
            text += f"\n### {subject.capitalize()}s\n\n{_table(chosen, subject, analyses, notes)}"
        sentences = [_filled(f"{n}. {_sentence(reason, of_family)}", 4) + "\n" for reason, n in notes.items()]
        text += "\n" + "".join(sentences) if sentences else ""
    return text + END


def _table(rows: Sequence[Row], subject: str, analyses: Sequence[str], notes: dict[str, int]) -> str:
    """Return a table with a row for each analysis, and a column for each group of models or tasks that are alike;
    reasons are numbered in `notes`."""
    columns: dict[str, dict[str, str]] = {}
    for row in rows:
        columns.setdefault(row[subject], {})[row["analysis"]] = _cell(row, notes)
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, cells in columns.items():
        groups.setdefault(tuple(cells[analysis] for analysis in analyses), []).append(name)
    ordered = sorted(groups.items(), key=lambda item: -sum(cell.startswith(SYMBOLS["works"]) for cell in item[0]))
    letters = ascii_uppercase[: len(ordered)] if len(ordered) <= 26 else [str(i + 1) for i in range(len(ordered))]
    lines = [
        _filled(f"- **{letter}**: {', '.join(f'`{name}`' for name in names)}", 2)
        for letter, (_, names) in zip(letters, ordered, strict=True)
    ]
    lines += ["", f"| | {' | '.join(letters)} |", "|---|" + ":-:|" * len(ordered)]
    lines += [
        f"| `{analysis}` | " + " | ".join(cells[number] for cells, _ in ordered) + " |"
        for number, analysis in enumerate(analyses)
    ]
    return "\n".join(lines) + "\n"


def _cell(row: Row, notes: dict[str, int]) -> str:
    symbol = SYMBOLS[row["outcome"]]
    if not row["reason"]:
        return symbol
    number = notes.setdefault(_general(row["reason"]), len(notes) + 1)
    return f"{symbol} <sup>{number}</sup>"


def _general(reason: str) -> str:
    """Return a reason without the names of the analysis and of the task."""
    reason = re.sub(r"^analysis=\w+:? ", "", reason)
    return re.sub(r", and task=\w+ is not one$", "", reason)


def _sentence(reason: str, rows: Sequence[Row]) -> str:
    """Return a reason as a sentence, with an explanation where there is one, and with the tasks that do fit."""
    text = f"The analysis {reason}" if reason.startswith("needs ") else reason[:1].upper() + reason[1:]
    parts = [text.rstrip(".") + ".", *(more for words, more in EXPLANATIONS.items() if words in reason)]
    if reason.startswith("needs a task "):
        asking = {row["analysis"] for row in rows if _general(row["reason"]) == reason}
        fitting = {
            row["task"]
            for row in rows
            if row["subject"] == "task" and row["analysis"] in asking and row["outcome"] not in ("kind", "ground truth")
        }
        parts.append(f"These fit: {', '.join(f'`{task}`' for task in sorted(fitting))}." if fitting else "None fits.")
    return " ".join(parts)


def _filled(text: str, indent: int) -> str:
    """Return an item of a list in lines of limited length."""
    return fill(text, 120, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
