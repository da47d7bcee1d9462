"""The contracts, as part of the test suite, with its settings; see `mechlab.contracts`."""

import pytest

pytest.register_assert_rewrite("mechlab.contracts")

from mechlab.contracts.conftest import *  # noqa: E402, F403
