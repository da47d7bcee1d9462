"""Distilling networks of threshold units to programs: an intermediate representation, its description, proof and text.

The intermediate representation is in `program.py`; `interpret.py` runs it. Nothing here is copied from the code of
Blazek, Venkatesh and Lin, "Automated discovery of algorithms from data" (2024), whose question it answers.
"""

from mechlab.distill.distilling import distill as distill
from mechlab.distill.recurrent.distilling import distill_rnn as distill_rnn
from mechlab.distill.sizes import distill_sizes as distill_sizes
