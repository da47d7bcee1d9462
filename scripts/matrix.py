"""What runs on what: try every analysis on every model and every task, and write docs/matrix.csv and docs/matrix.md.

python scripts/matrix.py --work build/matrix    # try what has not been tried, then write
python scripts/matrix.py --page                 # write the page from the recorded matrix alone
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import shutil
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("attribution_table", "datamodel_over_runs", "phases", "ambiguity_over_runs", "dynamics", "mips_table")
CSV, PAGE = ROOT / "docs" / "matrix.csv", ROOT / "docs" / "matrix.md"


def main() -> None:
    """Try what the command line names, and write the table and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder of trials, with which an interrupted command goes on")
    parser.add_argument("--only", nargs="*", default=[], help="models, tasks or analyses to try; all by default")
    parser.add_argument("--again", nargs="*", default=[], help="outcomes to try anew, such as crash")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and scikit-learn are imported
    if not arguments.page:
        if arguments.work is None:
            parser.error("--work must name a folder for the trials, or --page be given")
        try_all(arguments.work, set(arguments.only), set(arguments.again))
    from matrix_table.page import page
    from matrix_table.sizes import STEPS

    rows = list(csv.DictReader(CSV.open(encoding="utf-8", newline="")))
    PAGE.write_text(page(rows, STEPS), encoding="utf-8")
    print(f"matrix: {PAGE}")


def try_all(work: Path, only: set[str], again: set[str]) -> None:
    """Try the cells whose outcome is not in the work folder, and write the table of all."""
    import matplotlib
    from matrix_table.cell import as_row
    from matrix_table.page import COLUMNS
    from matrix_table.trials import Trials

    from mechlab.contracts.registry import Registry

    matplotlib.use("Agg")
    work.mkdir(parents=True, exist_ok=True)
    trials = Trials(Registry([]), work / "runs")
    subjects, log = list(trials.choice.subjects()), work / "outcomes.jsonl"
    done = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        key, row = json.loads(line)
        done[tuple(key)] = row
    done = {key: row for key, row in done.items() if row[5] not in again or (only and not only & set(key))}
    missing = [key for key in subjects if key not in done and (not only or only & set(key))]
    for key in missing:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refused = trials.find_refused(*key)
        if refused is not None:
            done[key] = list(as_row(*refused))
    missing = sorted((key for key in missing if key not in done), key=lambda key: key[2] in SLOW)
    print(f"{len(subjects)} cells, of which {len(missing)} are to be tried", flush=True)
    write_csv(subjects, done, COLUMNS)
    for number, key in enumerate(missing):
        begin, printed = time.process_time(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cell, result = trials.find(*key)
        done[key] = list(as_row(cell, result))
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, done[key]]) + "\n")
        seconds = time.process_time() - begin
        words = f"{number + 1}/{len(missing)} {' '.join(key)}: {result.outcome} {seconds:.1f} s {result.reason}"
        print(words, flush=True)
        if cell in trials.tracebacks:
            with (work / "tracebacks.txt").open("a", encoding="utf-8") as file:
                file.write(f"== {words}\n{trials.tracebacks[cell]}\n")
        if number % 20 == 19 or number + 1 == len(missing):
            write_csv(subjects, done, COLUMNS)
    shutil.rmtree(trials.folder, ignore_errors=True)


def write_csv(subjects: list, done: dict, columns: tuple[str, ...]) -> None:
    """Write a row for each cell; those that have not been tried say so."""
    rows = []
    for subject, name, analysis in subjects:
        empty = [subject, analysis, *(("", name) if subject == "model" else (name, "")), "", "not tried", ""]
        rows.append(done.get((subject, name, analysis), empty))
    with CSV.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
