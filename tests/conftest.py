"""Settings of all tests."""

import pytest

pytest.register_assert_rewrite("mechlab.contracts")  # before any test imports from it
