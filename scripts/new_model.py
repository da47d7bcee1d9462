"""Write a new model; the same as `python -m mechlab.new model`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mechlab.new import main

main(["model", *sys.argv[1:]])
