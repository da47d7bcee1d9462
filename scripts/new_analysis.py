"""Write a new analysis; the same as `python -m mechlab.new analysis`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mechlab.new import main

main(["analysis", *sys.argv[1:]])
