"""Print pip constraints that pin every dependency of mechlab to the lowest version that pyproject.toml allows.

python scripts/lowest.py > lowest.txt; pip install -c lowest.txt .

torch has the version of constraints.txt instead: older ones are published without a CPU build.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Print one constraint a line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(each for extra in extras for each in extra)]:
        name, bound = re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)(?:,<[\w.]+)?", requirement).groups()
        if name != "torch":
            print(f"{name}=={bound}")
    constraints = (ROOT / "scripts" / "constraints.txt").read_text(encoding="utf-8")
    print(re.search(r"^torch==.+$", constraints, re.MULTILINE)[0])


if __name__ == "__main__":
    main()
