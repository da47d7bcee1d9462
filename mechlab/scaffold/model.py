"""A new recurrent network, and a new static one."""

from __future__ import annotations

from mechlab.scaffold.template import Template

CODE = '''"""A leaky recurrent network."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, between
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec


class CLASS(SequenceModel):
    """h' = (1 - leak) h + leak tanh(W h + U x + b), y = V h' + c.

    `forward` repeats `step`; override it where a whole sequence can be computed faster. Tensors that are made here are
    made on the device of the parameters or of the inputs: `new_zeros`, `zeros_like`, or `device=x.device`.

    Args:
        spec: the task's specification.
        hidden: units, H.
        leak: share of a state that is replaced in a step.
    """

    def __init__(self, spec: TaskSpec, hidden: Size = 64, leak: Annotated[float, between(0.01, 1)] = 0.5):
        super().__init__(spec)
        self.leak = leak
        self.recurrence = nn.Linear(hidden, hidden, bias=False)
        self.input = nn.Linear(spec.inputs, hidden)
        self.readout = nn.Linear(hidden, spec.outputs)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, H)."""
        return self.readout.weight.new_zeros(batch, self.recurrence.in_features)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, H); return the output (B, outputs) and the next state (B, H)."""
        state = torch.lerp(state, torch.tanh(self.recurrence(state) + self.input(x)), self.leak)
        return self.readout(state), state
'''

YAML = """_target_: MODULE.CLASS
hidden: 64   # units
leak: 0.5    # share of a state that is replaced in a step
"""

STATIC_CODE = '''"""A network with one hidden layer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Size
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec


class CLASS(StaticModel):
    """y = V relu(U x + b) + c, where x is the flat input, or its tokens as one-hot vectors side by side.

    Tensors that are made here are made on the device of the parameters or of the inputs: `new_zeros`, `zeros_like`, or
    `device=inputs.device`.

    Args:
        spec: the task's specification.
        hidden: units.
    """

    def __init__(self, spec: TaskSpec, hidden: Size = 64):
        super().__init__(spec)
        size = math.prod(spec.shape) * (spec.inputs if spec.tokens else 1)
        self.hidden = nn.Linear(size, hidden)
        self.readout = nn.Linear(hidden, spec.outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to outputs (B, outputs)."""
        if self.spec.tokens:
            inputs = F.one_hot(inputs, self.spec.inputs).to(self.hidden.weight.dtype)
        return self.readout(torch.relu(self.hidden(inputs.flatten(1))))
'''

STATIC_YAML = """_target_: MODULE.CLASS
hidden: 64   # units
"""

MODEL = Template("models", "model", CODE, YAML, "task=tomita model=NAME trainer=smoke")
STATIC_MODEL = Template("models", "model", STATIC_CODE, STATIC_YAML, "task=digits model=NAME trainer=smoke")
