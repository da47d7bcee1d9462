#!/usr/bin/env bash
# Environment, install, and the test suite; arguments go to pytest.
EXTRAS="[dev,docs,sweep,optuna]"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export PYTHONDONTWRITEBYTECODE=  # empty: bytecode is kept, since many tests start Python anew
# The tests of a file go to one process, so that what they share is made once; files in order, so that the slow come early.
exec .venv/bin/python -m pytest -n "${TEST_PROCESSES:-2}" --dist loadfile --no-loadscope-reorder "$@"
