"""The lines that commands print: metrics, findings, expected numbers, and what to type next."""

from __future__ import annotations

import math
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechlab.core.printable import printable, quoted

HEADLINE = 2  # scalars of a finding that are printed; see `Analysis.headline`


def number(value: float | None) -> str:
    """Format a number for people: whole numbers as they are, others with four significant digits."""
    if value is None:
        return "-"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"


def numbers(scalars: Mapping[str, float | None]) -> list[str]:
    """Format the scalars of a finding; `name`, `name_low` and `name_high` as one number with its interval.

    >>> numbers({"mean": 0.5, "mean_low": 0.25, "mean_high": 0.75, "runs": 3})
    ['mean 0.5 [0.25, 0.75]', 'runs 3']
    """
    with_ends = [name for name in scalars if f"{name}_low" in scalars and f"{name}_high" in scalars]
    shown = dict(scalars)
    for name in with_ends:
        ends = [shown.pop(f"{name}{ending}", None) for ending in ("_low", "_high")]
        interval = "" if ends == [scalars[name]] * 2 else f" [{', '.join(map(number, ends))}]"
        shown[name] = f"{_scalar(scalars[name])}{interval}"
    return [f"{name} {value if isinstance(value, str) else _scalar(value)}" for name, value in shown.items()]


def headline(scalars: Sequence[str], rest: str) -> str:
    """Return the first two of formatted scalars and, where there are more, their number and where to see them.

    >>> headline(["mean 0.5", "runs 3", "words 7"], "runs show -v")
    'mean 0.5  runs 3  (1 more: runs show -v)'
    """
    more = [f"({len(scalars) - HEADLINE} more: {rest})"] if len(scalars) > HEADLINE else []
    return "  ".join([*scalars[:HEADLINE], *more])


def _scalar(value: float | None) -> str:
    """Format a scalar of a finding; records have null in place of NaN."""
    return "NaN" if value is None or math.isnan(value) else number(value)


def print_folded(text: str) -> None:
    """Print a line; on a terminal that is narrower, folded and the rest indented: between words, or between pairs of
    name and value, which two blanks separate."""
    text = printable(text)
    if sys.stdout.isatty():
        text = folded(text, shutil.get_terminal_size().columns)
    print(text)


def folded(text: str, width: int) -> str:
    r"""Return text in lines of at most so many letters, as `print_folded` prints it.

    >>> folded("of: mean 0.5  runs 3", 14)
    'of: mean 0.5\n    runs 3'
    """
    items = re.split(r"(?<=\S)  (?=\S)", text)
    kept = "  ".join(item.replace(" ", "\xa0") for item in items) if len(items) > 1 else text
    lines = textwrap.fill(kept, width, subsequent_indent=" " * 4, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\xa0", " ")


def print_result(result: Mapping[str, Any]) -> None:
    """Print the metrics, findings and expected numbers of a run, as result.json holds them."""
    print_metrics(result["metrics"])
    print_findings(result["findings"])
    print_expected(result.get("expected", {}))


def print_metrics(metrics: Mapping[str, float]) -> None:
    """Print metrics on one line."""
    print_folded("  ".join(f"{name} {number(value)}" for name, value in sorted(metrics.items())))


def print_findings(findings: Mapping[str, Any], verbose: bool = False) -> None:
    """Print the findings of a run as result.json holds them: of the scalars the first two, or all if `verbose`."""
    for name, finding in findings.items():
        differs = ", ".join(f"{key}={value}" for key, value in finding.get("differs", {}).items())
        title = f"{name} ({differs})" if differs else name
        scalars = numbers(finding["scalars"])
        print_folded(f"{title}: {'  '.join(scalars) if verbose else headline(scalars, 'runs show -v')}")
        for claim in finding["claims"].values():
            verdict = "holds" if claim["holds"] else "FAILS"
            null = "" if claim["null"] is None else f"; null {number(claim['null'])}"
            ends = claim.get("interval")  # which older records lack
            measured = number(claim["value"]) + ("" if ends is None else f" [{', '.join(map(number, ends))}]")
            print_folded(f"  {verdict}: {claim['statement']} (measured {measured}{null})")
        for note in finding.get("notes", {}).values():
            print_folded(f"  {note}")


def print_expected(expected: Mapping[str, Any]) -> None:
    """Print expected numbers beside the measured ones, as result.json holds them."""
    for name, row in expected.items():
        verdict = {True: "as expected", False: "NOT as expected", None: "not measured"}[row["within"]]
        corrected = "expected" if row["published"] is None else "corrected"
        values = {"published": row["published"], corrected: row["corrected"], "tolerance": row["tolerance"]}
        numbers = ", ".join(f"{kind} {number(value)}" for kind, value in values.items() if value is not None)
        print_folded(f"{verdict}: {name} {number(row['measured'])} ({numbers}; {row['source']})")
        if row["within"] is False and row.get("reason"):
            print_folded(f"  {row['reason']}")


def print_next(folder: Path, root: Path, allow_targets: Sequence[str] = ()) -> None:
    """Print what to type next, quoted: pasting a line runs what it shows and nothing else."""
    trusted = f" {quoted('allow_targets=[', ','.join(allow_targets), ']')}" if allow_targets else ""
    print("next:")
    print(f"  look   tensorboard --logdir {quoted(root)}")
    print(f"  ask    python -m mechlab.analyze {quoted('run=', folder)} analysis=NAME at=all{trusted}")
    print(f"  show   python -m mechlab.runs show -v {quoted(folder)}")
    print(f"  report python -m mechlab.report {all_runs(root)}")


def all_runs(root: Path) -> str:
    """Return the argument of `mechlab.report` that names every run of a folder."""
    plain = quoted(root) == str(root)
    return f'runs="{root}/*/*"' if plain else quoted("runs=", root, "/*/*")
