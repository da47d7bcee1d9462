"""Distilling networks of threshold units to programs: an intermediate representation, its description, proof and text.

The intermediate representation is in `program.py`; `interpret.py` runs it. Nothing here is copied from the code of
Blazek, Venkatesh and Lin, "Automated discovery of algorithms from data" (2024), whose question it answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mechlab.distill.distilling import distill as distill
from mechlab.distill.sizes import distill_sizes as distill_sizes

if TYPE_CHECKING:
    from mechlab.distill.recurrent.distilling import distill_rnn as distill_rnn


def __getattr__(name: str) -> Any:
    """Import what needs torch at its first use."""
    if name == "distill_rnn":
        from mechlab.distill.recurrent.distilling import distill_rnn

        return distill_rnn
    raise AttributeError(f"module 'mechlab.distill' has no attribute {name!r}")
