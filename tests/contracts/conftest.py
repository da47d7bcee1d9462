"""The contracts, as part of the test suite, with its settings; see `mechlab.contracts`."""

from mechlab.contracts.conftest import *  # noqa: F403
