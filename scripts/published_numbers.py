"""Write docs/numbers.md and docs/numbers.csv: every published number beside the measured one.

python scripts/published_numbers.py                      runs in runs/, and what numbers.csv recorded before
python scripts/published_numbers.py runs="FOLDER/*/*"    those of another folder
python scripts/published_numbers.py --check              write nothing; status 1 if the files differ from what it writes
"""

from __future__ import annotations

import argparse
import csv
import glob
import io
import sys
from pathlib import Path

from numbers_table.measured import COLUMNS, MEASURED, Records, collect, csv_lines, merged, read_records
from numbers_table.page import UNEXPLAINED, deviation, page, state
from numbers_table.plan import Row, cases, sections

from mechlab.jobs.console import number
from mechlab.record.sets import FOLDER

DOCS = Path(__file__).resolve().parents[1] / "docs"
RUNS = "runs/*/*"


def main() -> int:
    """Read runs, write both files, and print the numbers that deviate without a reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", default=f"runs={RUNS}", help=f"runs=GLOB (default: {RUNS})")
    parser.add_argument("--check", action="store_true", help="compare with the files in docs, and write nothing")
    given = parser.parse_args()
    plan = sections()
    every = list(cases(plan))
    rows = list({row.key: row for case in every for row in case.rows}.values())
    new = {} if given.check else collect(folders(given.runs.removeprefix("runs=")), every)
    records = merged(read_records(DOCS / "numbers.csv"), new)
    texts = {"numbers.csv": table(rows, records), "numbers.md": page(plan, rows, records)}
    if given.check:
        changed = [name for name, text in texts.items() if (DOCS / name).read_text(encoding="utf-8") != text]
        print("\n".join(f"docs/{name} is not what this script writes" for name in changed) or "both files are in sync")
        return int(bool(changed))
    for name, text in texts.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    print_flags(rows, records)
    return 0


def folders(pattern: str) -> list[Path]:
    """Return the run directories that match a glob, and the answers about sets of runs beside them."""
    runs = [Path(path) for path in glob.glob(pattern) if (Path(path) / "status.json").is_file()]
    roots = {path.parent.parent for path in runs}
    return runs + [path for root in roots for path in root.glob(f"{FOLDER}/[!.]*")]


def table(rows: list[Row], records: Records) -> str:
    """Return numbers.csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, (*COLUMNS, *MEASURED), lineterminator="\n")
    writer.writeheader()
    writer.writerows(csv_lines(rows, records))
    return text.getvalue()


def print_flags(rows: list[Row], records: Records) -> None:
    """Print which numbers deviate without a reason, and where to write it."""
    for row in rows:
        if state(row, records) == UNEXPLAINED:
            off = number(deviation(row, records))
            print(f"no reason: {' '.join(filter(None, row.key))} deviates by {off}")
            print(f"  write one into conf/experiment/{row.experiment}.yaml: expected.{row.metric}.reason")


if __name__ == "__main__":
    sys.exit(main())
