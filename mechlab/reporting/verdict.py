"""The verdict on runs in words: how many finished, which claims hold, and which expected numbers are met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mechlab.reporting.entries import Verdict, rounded
from mechlab.reporting.record import DONE, Problem, Record, title
from mechlab.reporting.section import Section
from mechlab.reporting.sets import SetAnswer
from mechlab.reporting.table import count, join

NAMED = 4  # failures that are named of each kind
SLUGS = 3  # claims of an analysis that are named
REASON = 160  # letters


@dataclass
class Line:
    """One line of a verdict: a sentence with its grade (yes, no or some), and the exceptions to it."""

    grade: str
    text: str
    exceptions: list[str] = field(default_factory=list)


def verdict(
    sections: Sequence[Section], sets: Sequence[SetAnswer] = (), problems: Sequence[Problem] = ()
) -> list[Line]:
    """Return the verdict on the runs of tasks, and on answers about sets of them."""
    lines = (_runs(sections, problems), _claims(sections, sets), _expected(sections, sets))
    return [line for line in lines if line is not None]


def claims_held(sections: Sequence[Section], sets: Sequence[SetAnswer] = ()) -> Verdict:
    """Return how many claims hold, one for each run or set that makes it."""
    made = [claim.holds for *_, claims in _tallies(sections, sets) for claim in claims]
    return Verdict(sum(made), len(made))


def expected_met(sections: Sequence[Section], sets: Sequence[SetAnswer] = ()) -> Verdict:
    """Return how many expected numbers are met, one for each run or set that was compared."""
    rows = [row for section in sections for cell in section.done for rows in cell.expected.values() for row in rows]
    rows += [row for answer in sets for row in answer.expected.values()]
    compared = [row.within for row in rows if row.within is not None]
    return Verdict(sum(compared), len(compared))


def _runs(sections: Sequence[Section], problems: Sequence[Problem]) -> Line:
    records = [record for section in sections for cell in section.cells for record in cell.records]
    states = Counter(record.state for record in records)
    damaged = [record for record in records if any(problem.kind == "damaged" for problem in record.problems)]
    others = [f"{number} {state}" for state, number in states.most_common() if state not in (DONE, "damaged")]
    others += [f"{len(damaged)} damaged"] if damaged else []
    text = f"{states[DONE]} of {count(len(records), 'run')} finished" + (f"; {join(others)}" if others else "")
    return Line(_grade(states[DONE] - len(damaged), len(records)), f"{text}.", _named(_problems(records, problems)))


def _problems(records: Sequence[Record], problems: Sequence[Problem]) -> list[str]:
    met = [problem for record in records for problem in record.problems] + list(problems)
    words = []
    for problem in sorted(met, key=lambda problem: problem.kind != "failed"):
        file = "" if problem.kind == "failed" else f" {problem.file}:"
        reason = problem.reason.replace(f"{problem.run}/{problem.file}: ", "")
        name = "/".join(problem.run.rsplit("/", 2)[-2:])
        words.append(f"{problem.kind}: {name},{file} {reason[:REASON]}")
    words += [
        f"{record.state}: {record.folder.parent.name}/{record.folder.name}"
        + (f", step {step}" if (step := record.status.get("step")) else "")
        for record in records
        if record.state not in (DONE, "failed", "damaged")
    ]
    return words


def _claims(sections: Sequence[Section], sets: Sequence[SetAnswer]) -> Line | None:
    held = claims_held(sections, sets)
    if not held.n:
        return None
    tasks = [section.task for section in sections]
    groups: dict[tuple[str, str], list[tuple[str, list]]] = {}
    for place, analysis, slug, claims in _tallies(sections, sets):
        groups.setdefault((place, analysis), []).append((slug, claims))
    exceptions = []
    for (place, analysis), made in groups.items():
        verdicts = {slug: Verdict(sum(claim.holds for claim in claims), len(claims)) for slug, claims in made}
        failing = [f"{slug} ({_of(got)})" for slug, got in verdicts.items() if got.grade != "yes"]
        if failing:
            more = f" and {len(failing) - SLUGS} more" if len(failing) > SLUGS else ""
            where = f" on {place}" if len(sections) > 1 or place not in tasks else ""
            exceptions.append(f"{title(analysis)}{where}: {', '.join(failing[:SLUGS])}{more}")
    text = f"{held.count} of {count(held.n, 'claim')} {'holds' if held.n == 1 else 'hold'}"
    return Line(held.grade, f"{text}{'; these fail:' if exceptions else '.'}", _named(exceptions))


def _of(got: Verdict) -> str:
    return "fails" if got.n == 1 else f"holds in {got.count} of {got.n}"


def _tallies(sections: Sequence[Section], sets: Sequence[SetAnswer]) -> Iterator[tuple[str, str, str, list]]:
    """Yield (task or set, analysis, slug, claims) of each claim."""
    for section in sections:
        for key in section.claims:
            made = [claim for cell in section.done for claim in cell.claims.get(key, ())]
            yield section.task, *key, made
    for answer in sets:
        for slug, claim in answer.claims.items():
            yield f"a set of {count(len(answer.runs), 'run')}", answer.analysis, slug, [claim]


def _expected(sections: Sequence[Section], sets: Sequence[SetAnswer]) -> Line | None:
    met = expected_met(sections, sets)
    rows = [
        (metric, f"{section.task} {section.label(cell)}", row)
        for section in sections
        for cell in section.done
        for metric, rows in cell.expected.items()
        for row in rows
    ]
    rows += [(metric, f"{len(answer.runs)} runs", row) for answer in sets for metric, row in answer.expected.items()]
    if not rows:
        return None
    exceptions = []
    for metric, place, row in sorted(rows, key=lambda entry: entry[2].within is None):
        right = row.published if row.corrected is None else row.corrected
        if row.within is None:
            exceptions.append(f"not measured: {metric} of {place}")
        elif not row.within:
            wanted = "" if right is None else f" where {rounded(right)}{_tolerance(row.tolerance)} was expected"
            got = "" if row.measured is None else f" is {rounded(row.measured)}"
            exceptions.append(f"{metric}{got}{wanted} ({place})")
    missing = sum(row.within is None for *_, row in rows)
    text = f"{met.count} of {count(met.n, 'expected number')} met" + (f"; {missing} not measured" if missing else "")
    return Line(
        "some" if missing and met.grade == "yes" else met.grade,
        f"{text}{':' if exceptions else '.'}",
        _named(exceptions),
    )


def _tolerance(tolerance: float | None) -> str:
    return f" ± {rounded(tolerance)}" if tolerance else ""


def _named(words: list[str]) -> list[str]:
    return [*words[:NAMED], *([f"and {len(words) - NAMED} more"] if len(words) > NAMED else [])]


def _grade(good: int, n: int) -> str:
    return "yes" if good >= n else "no" if good <= 0 else "some"
