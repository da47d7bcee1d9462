"""Write a new task; the same as `python -m mechlab.new task`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mechlab.new import main

main(["task", *sys.argv[1:]])
