#!/usr/bin/env bash
# Environment, install, and the test suite; arguments go to pytest.
EXTRAS="[dev,sweep]"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec .venv/bin/python -m pytest -n "${TEST_PROCESSES:-2}" --dist loadfile "$@"  # what a file's tests share is made once
