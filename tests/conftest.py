"""Settings of all tests."""

import sys

import pytest

if "mechlab.contracts" not in sys.modules:  # as it is where `python -m mechlab.contracts` runs
    pytest.register_assert_rewrite("mechlab.contracts")  # before any test imports from it
