"""docs/numbers.md: the table of every expected number beside the measured one."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mechlab.config.schema import Expected
from mechlab.jobs.console import number
from mechlab.jobs.result import ROUNDING
from mechlab.statistics.bootstrap import Summary, summarise
from numbers_table.measured import Record, Records
from numbers_table.plan import Row

AGREES, DIFFERS, UNEXPLAINED, MISSING = "agrees", "differs", "differs without a reason", "not measured"
THEORY = "corrected or theory"
HEADER = ("quantity", "measured", "published", THEORY, "n", "deviation", "command", "reason", "version, date")
FOLDED = 12  # numbers of an experiment without a measured one that are folded
WIDTH = 120  # letters of a line
SOURCE = "python scripts/published_numbers.py"

INTRODUCTION = """---
hide: [toc]
---

<style>
  .md-typeset table:not([class]) td:nth-child(1), .md-typeset table:not([class]) td:nth-child(8) {{ min-width: 12rem; }}
  .md-typeset table:not([class]) td:nth-child(7) {{ min-width: 10rem; }}
  .md-typeset table:not([class]) th {{ min-width: 0; }}
</style>

# Published and measured numbers

Every published number for which mechlab has an experiment, beside the one that was measured, and numbers of the
theory where none is published.
`{source}` writes this page and [numbers.csv](numbers.csv) from the runs of a folder; nobody
types a measured number. A number that no run of the folder measured keeps its recorded value, version and date.

{total} numbers, of which {published} are published: {agree}; {differ} with a reason; {unexplained}; {missing}.
Most of the last are means over grids of hundreds of networks.

- *Corrected or theory* is the published number without the defects of the original. Where none is in print it is that
  of the theory, or one that was measured with the original method; agreement with it is no reproduction. The deviation
  is from it, if there is one, else from the published number; *within* and *beyond* give the tolerance of the
  experiment. Of several seeds it is the mean.
- *Measured*: several seeds have their mean with the 95 % bootstrap interval over seeds, which of two or three seeds is
  only their range. A single run (n = 1) has no interval over seeds; if its analysis has a 95 % interval over the
  sample, that one is shown.
- *Command*: the words after `python -m mechlab.train`; experiments whose file says so are multiruns, with `-m`.
  The sources of the published numbers are below each table.
- *Version*: of mechlab, with the commit in brackets.
"""


def page(plan: Sequence[Mapping[str, Any]], rows: Sequence[Row], records: Records) -> str:
    """Return the page.

    Args:
        plan: its sections, as plan.yaml has them.
        rows: the numbers.
        records: what was measured of them.
    """
    states = Counter(state(row, records) for row in rows)
    text = INTRODUCTION.format(
        source=SOURCE,
        total=len(rows),
        published=sum(_expected(row)[0].published is not None for row in rows),
        agree=f"{states[AGREES]} agree" if states[AGREES] != 1 else "1 agrees",
        differ=f"{states[DIFFERS]} differ" if states[DIFFERS] != 1 else "1 differs",
        unexplained=f"{states[UNEXPLAINED]} without one",
        missing=f"{states[MISSING]} not measured",
    )
    parts = [text]
    for section in plan:
        own = [row for row in rows if row.section == section["title"]]
        link = f"[{section['title']}]({section['page']})"
        parts.append(f"## {section['title']}\n\n{textwrap.fill(section['about'], WIDTH)}\nPage: {link}.\n")
        parts += _tables(own, records)
    return "\n".join(parts)


def _tables(rows: Sequence[Row], records: Records) -> list[str]:
    """Return the table of a section, a folded table of each experiment with many numbers that were not measured, and
    the sources."""
    left = Counter(row.experiment for row in rows if state(row, records) == MISSING)
    folded = {name for name, count in left.items() if count > FOLDED}
    shown = [row for row in rows if row.experiment not in folded or state(row, records) != MISSING]
    parts = [_table(shown, records)] if shown else []
    for name in dict.fromkeys(row.experiment for row in rows if row.experiment in folded):
        own = [row for row in rows if row.experiment == name and state(row, records) == MISSING]
        title = f"{name}: {len(own)} numbers that were not measured (takes {own[0].takes})"
        table = "\n".join(f"    {line}".rstrip() for line in _table(own, records).splitlines())
        parts.append(f'??? note "{title}"\n\n{table}\n')
    sources: dict[str, list[str]] = {}
    for row in rows:
        listed = sources.setdefault(row.experiment, [])
        listed += [text for text in (_expected(row)[0].source,) if text and text not in listed]
    lines = [
        f"- `{name}`: {'; '.join(texts[:4])}{'; ...' if len(texts) > 4 else ''}." for name, texts in sources.items()
    ]
    parts.append('??? note "Sources of the published numbers"\n\n' + "\n".join(f"    {line}" for line in lines) + "\n")
    return parts


def _table(rows: Sequence[Row], records: Records) -> str:
    lines = [HEADER, tuple("---" for _ in HEADER), *(_entries(row, records) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def _entries(row: Row, records: Records) -> tuple[str, ...]:
    known = _records(row, records)
    expected = _expected(row, known)
    command = f"`{' '.join([f'experiment={row.experiment}', *row.choices, *_seeds(row)])}`"
    numbers = [_mean([getattr(each, name) for each in expected]) for name in ("published", "corrected")]
    if not known:
        return row.quantity, f"not measured, takes {row.takes}", *numbers, "", "", command, _reason(row, records), ""
    how = " and ".join(dict.fromkeys(f"{each.version}, {each.date}" for each in known.values()))
    start = (row.quantity, _interval(row, records), *numbers, _size(known), _deviation(row, records))
    return *start, command, _reason(row, records), how


def _records(row: Row, records: Records) -> dict[int | None, Record]:
    known = records.get(row.key, {})
    return {seed: known[seed] for seed in sorted(known, key=str) if None in row.targets or seed in row.targets}


def _expected(row: Row, known: Mapping[int | None, Record] | None = None) -> list[Expected]:
    """Return what is expected of the seeds that were measured; of all seeds if none was."""
    if None in row.targets:
        return [row.targets[None]]
    return [row.targets[seed] for seed in (known or row.targets)]


def _mean(values: Sequence[float | None]) -> str:
    """Format the mean of published numbers; where only some of the numbers of a row are corrected, of those."""
    there = [value for value in values if value is not None]
    return number(sum(there) / len(there)) if there else ""


def summary(row: Row, records: Records) -> Summary | None:
    """Return the mean over seeds with its interval: of a single run, or of a set, that of its analysis."""
    known = list(_records(row, records).values())
    if len(known) == 1:
        return Summary((known[0].measured,), known[0].measured, known[0].low, known[0].high)
    return summarise([each.measured for each in known]) if known else None


def deviation(row: Row, records: Records) -> float | None:
    """Return the mean deviation from the corrected, else published, number; None if nothing was measured."""
    known = _records(row, records)
    pairs = [(each.measured, row.targets.get(None) or row.targets[seed]) for seed, each in known.items()]
    return sum(measured - expected.number for measured, expected in pairs) / len(pairs) if pairs else None


def state(row: Row, records: Records) -> str:
    """Return whether a number agrees, differs (with a reason or without one), or was not measured."""
    off, expected = deviation(row, records), _expected(row)[0]
    if off is None:
        return MISSING
    if abs(off) <= expected.tolerance + ROUNDING * abs(expected.number or 0.0):
        return AGREES
    return DIFFERS if expected.reason else UNEXPLAINED


def _interval(row: Row, records: Records) -> str:
    got = summary(row, records)
    ends = "" if got.low is None or got.high is None else f" [{number(got.low)}, {number(got.high)}]"
    return f"{number(got.mean)}{ends}"


def _size(known: Mapping[int | None, Record]) -> str:
    if None in known:
        return f"{known[None].n} networks"
    return "1" if len(known) == 1 else f"{len(known)} seeds"


def _deviation(row: Row, records: Records) -> str:
    off, tolerance = deviation(row, records), number(_expected(row)[0].tolerance)
    signed = f"{'+' if off > 0 else '−' if off < 0 else ''}{number(abs(off))}"
    return f"{signed} (within {tolerance})" if state(row, records) == AGREES else f"**{signed}** (beyond {tolerance})"


def _reason(row: Row, records: Records) -> str:
    """Return why the published number was corrected, and why the measured one deviates from that, where it does."""
    expected = _expected(row)[0]
    words = [f"Corrected: {expected.correction}"] if expected.correction else []
    words += {DIFFERS: [f"Deviation: {expected.reason}"], UNEXPLAINED: ["**No reason is known.**"]}.get(
        state(row, records), []
    )
    return " ".join(words)


def _seeds(row: Row) -> list[str]:
    seeds = [str(seed) for seed in row.targets if seed is not None]
    return [f"seed={','.join(seeds)}"] if len(seeds) > 1 else []
