"""Settings of all tests."""

import sys

import pytest
from hypothesis import settings

if "mechlab.contracts" not in sys.modules:  # as it is where `python -m mechlab.contracts` runs
    pytest.register_assert_rewrite("mechlab.contracts")  # before any test imports from it

settings.register_profile("untimed", deadline=None)  # how long an example takes depends on the machine's load
settings.load_profile("untimed")
