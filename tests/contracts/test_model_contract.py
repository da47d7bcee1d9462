"""The contract of mechlab's own members; see the module that it is imported from."""

from mechlab.contracts.test_model_contract import *  # noqa: F403
