"""Attribution of a trained network's outputs to its training examples, parameters and steps."""

from mechlab.kernels.decomposition import PathKernelDecomposition
from mechlab.kernels.first_order import gradient_dot, tracin
from mechlab.kernels.influence_functions import influence
from mechlab.kernels.last_layer import nearest, representer
from mechlab.kernels.metagradients import MetagradientDerivatives, metagradient
from mechlab.kernels.path_kernels import path_kernel
from mechlab.kernels.retrained import retrained_outputs
from mechlab.kernels.trajectory import Arrays, Trajectory, recomputed_states
from mechlab.kernels.trak_scores import trak

__all__ = [
    "Arrays",
    "MetagradientDerivatives",
    "PathKernelDecomposition",
    "Trajectory",
    "gradient_dot",
    "influence",
    "metagradient",
    "nearest",
    "path_kernel",
    "recomputed_states",
    "representer",
    "retrained_outputs",
    "tracin",
    "trak",
]
