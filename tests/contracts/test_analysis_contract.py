"""The contract of mechlab's own members; see the module that it is imported from."""

from mechlab.contracts.test_analysis_contract import *  # noqa: F403
