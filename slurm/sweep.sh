#!/bin/bash
# A sweep as a SLURM array. From the folder of runs/:
#
#     sbatch slurm/sweep.sh [--chunk N] [--parallel N] task=tomita task.index=3,5 model=rnn,gru "seed=range(5)"
#     sbatch slurm/sweep.sh SWEEP_ID
#
# This job plans the sweep and submits its array; the array's elements run this script with --element. See slurm/README.md.
#SBATCH --job-name=mechlab-plan
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=USR1@120

cluster=${MECHLAB_CLUSTER:-slurm/cluster.sh}
if [ -f "$cluster" ]; then source "$cluster"; fi
set -u  # only now: module and conda fail with it
if [ -z "${MECHLAB_PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then MECHLAB_PYTHON=.venv/bin/python; else MECHLAB_PYTHON=python; fi
fi

if [ "${1:-}" != --element ]; then
    exec "$MECHLAB_PYTHON" -m mechlab.sweep submit "$@"
fi

# An array element: one chunk of jobs, run with the sweep's own copy of the code. SLURM stores this script and its
# arguments at submission, so a changed copy is detected: its digest is computed before any of it runs.
sweep=$2 chunk=$3 code=$4
shift 4
copied=$(cd "$sweep/code" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
if [ "${copied%% *}" != "$code" ] || [ -n "$(find "$sweep/code" ! -type f ! -type d)" ]; then
    echo "error: the sweep's copy of the code must be as it was frozen: files in $sweep/code were changed, added or" \
        "removed; plan the sweep again, which replaces the copy" >&2
    exit 1
fi
export PYTHONPATH="$sweep/code${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# srun forwards signals to Python; since SLURM 22.05 it does not inherit the number of CPUs
srun --ntasks=1 ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} \
    "$MECHLAB_PYTHON" -P -m mechlab.sweep run "$sweep" "$@" --chunk "$chunk" --index "$SLURM_ARRAY_TASK_ID"
status=$?
# 143: preempted by SLURM, after a checkpoint. SLURM requeues this element if it still runs at the end of the grace time,
# so it waits, with a limit.
if [ "$status" -eq 143 ]; then sleep 3600; fi
if [ "$status" -ne 0 ]; then echo "element ended with status $status" >&2; fi
exit "$status"
