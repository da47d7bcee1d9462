# The settings of your cluster. Copy this file to slurm/cluster.sh (or anywhere, and set MECHLAB_CLUSTER to its path).
# It is a shell script: sweep.sh sources it first in every job, and `mechlab.sweep submit` for the first setting.

# Options for the sbatch of the array, as on its command line. Put here what your site requires.
SBATCH_OPTIONS="--partition=main --account=my_project --time=04:00:00 --cpus-per-task=1 --mem=4G"
# One GPU per array element (and trainer=gpu on the command line):
# SBATCH_OPTIONS="--partition=gpu --gres=gpu:1 --time=04:00:00 --mem=8G"
# An earlier signal before the time limit than the two minutes of sweep.sh:
# SBATCH_OPTIONS="$SBATCH_OPTIONS --signal=USR1@300"

# Commands to load modules or environments in every job.
# module load python/3.11
# source "$HOME/mechlab/.venv/bin/activate"

# The Python to use: .venv/bin/python if there is one in the working directory, else `python`.
# MECHLAB_PYTHON=/path/to/python
