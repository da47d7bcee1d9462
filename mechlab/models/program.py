"""A program in place of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from mechlab.core.constraints import OnlyWhereSet
from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec
from mechlab.distill.interpret import arranged, evaluate, outputs
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Block, Input, Program
from mechlab.distill.program_data import from_data, read_program, to_data


class ProgramModel(StaticModel):
    """The outputs of a program, which has nothing to train: trainer.max_steps=0.

    Every analysis of a static network applies to it. The program is interpreted; nothing in a file is executed.

    Args:
        spec: of a static task with real inputs.
        file: a program.json, as analysis=distill writes it; None for the program whose outputs are all 0.
        definition: what is in such a file, in place of it.

    Raises:
        ConfigError: the file holds no program, or one whose inputs and outputs are not the task's.
    """

    def __init__(
        self,
        spec: TaskSpec,
        file: str | None = None,
        definition: Annotated[dict[str, Any] | None, OnlyWhereSet()] = None,
    ):
        super().__init__(spec)
        if spec.tokens:
            must = "model=program needs a task whose inputs are numbers"
            raise ConfigError(must, got="tokens", key="model", fix="task=orientation")
        shape = spec.shape[1:] if len(spec.shape) > 1 and spec.shape[0] == 1 else spec.shape
        if definition is not None:
            self.program = from_data(definition, "model.definition")
        else:
            self.program = nothing(shape, spec.outputs) if file is None else read_program(file)
        self.file, self.definition = file, definition
        self._check(shape)

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with the content of the file in place of its path."""
        file = arguments.get("file")
        if file is None:
            return dict(arguments)
        try:
            return {**arguments, "file": None, "definition": to_data(read_program(file))}
        except ConfigError:
            return dict(arguments)  # for the constructor to refuse

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to outputs (B, outputs)."""
        flat = inputs.detach().flatten(1).cpu().double().numpy()
        tensors, size, _ = arranged(self.program, flat.reshape(len(flat), *self._shape))
        scores = self.program.scale * outputs(self.program, evaluate(self.program, tensors, size))
        return torch.from_numpy(np.ascontiguousarray(scores)).to(inputs)

    def _check(self, shape: tuple[int, ...]) -> None:
        """Raise ConfigError unless the program reads and returns what the task gives and wants."""
        self._shape = (len(self.program.inputs) > 1 and (math.prod(shape),)) or shape
        example = np.zeros((1, *self._shape)) if self._allowed(0) else np.ones((1, *self._shape))
        tensors, size, _ = arranged(self.program, example)
        count = outputs(self.program, evaluate(self.program, tensors, size)).shape[1]
        if count != self.spec.outputs:
            must = f"the program must have {self.spec.outputs} outputs, as many as the task"
            raise ConfigError(must, got=count, key="model.file", fix="a program that was distilled for this task")

    def _allowed(self, value: int) -> bool:
        return all(tensor.values != "signs" for tensor in self.program.inputs) or value != 0


def nothing(shape: tuple[int, ...], count: int) -> Program:
    """Return the program with `count` outputs that are all 0."""
    tensor = Input("x", tuple(map(Polynomial.of, shape)), "reals")
    zeros = Block("y", (Polynomial.of(count),), (), activation="linear")
    return Program((tensor,), (zeros,), ("y",), "scores")
