"""Attribution of what a network knows of each irrep, on trainings in a small group."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of
from small_tasks import train

from mechlab.analyses.attribution.explained_examples import scalars_of
from mechlab.analyses.metagradient import Metagradient
from mechlab.analyses.path_kernel import PathKernel
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.groups import group, irreps
from mechlab.groups.logit_parts import LogitParts
from mechlab.models.group_mlp import GroupMLP
from mechlab.models.group_transformer import GroupTransformer
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.group import GroupProduct
