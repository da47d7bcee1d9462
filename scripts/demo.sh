#!/usr/bin/env bash
# Environment, install, and the main job: train an RNN to repeat sequences from memory and compare its spectrum with theory.
EXTRAS=
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec .venv/bin/python -m mechlab.train task=repeat_copy model=rnn "$@"
