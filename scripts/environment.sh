# Sourced by demo.sh and test.sh: makes .venv and installs mechlab into it, with the extras in $EXTRAS (such as "[dev]").
# Nothing is done that was done before. Set PYTHON to choose the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
if ! "$PYTHON" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: mechlab needs Python 3.11 or newer with venv; $PYTHON is not. Set PYTHON=/path/to/python3.11" >&2
    exit 1
fi
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv

stamp=.venv/installed-${EXTRAS:-plain}
if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ scripts/constraints.txt -nt "$stamp" ]; then
    echo "installing mechlab${EXTRAS:-} into .venv (about a minute)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c scripts/constraints.txt -e ".${EXTRAS:-}"
    touch "$stamp"
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
