"""A program in place of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec
from mechlab.distill.interpret import existing, term_sum
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import WHOLE, Block, Input, Program, Term
from mechlab.distill.program_data import from_data, read_program, to_data


class ProgramModel(StaticModel):
    """The outputs of a program whose coefficients and biases are parameters.

    With trainer.max_steps=0 it is the program as it is written; training changes its numbers, with the gradient of
    clamp(z, -1, 1) in place of that of sign(z). Every analysis of a static network applies. Nothing in a file is
    executed.

    Args:
        spec: of a static task; tokens become one-hot vectors, one after the other.
        file: a program.json, as analysis=distill writes it. None for random multiples of the sum of all inputs, a
            baseline.
        definition: what is in such a file, in place of it.

    Raises:
        ConfigError: the file holds no program, or one whose inputs and outputs are not the task's.
    """

    def __init__(self, spec: TaskSpec, file: str | None = None, definition: dict[str, Any] | None = None):
        super().__init__(spec)
        shape = spec.shape[1:] if len(spec.shape) > 1 and spec.shape[0] == 1 else spec.shape
        if spec.tokens:
            shape = (*spec.shape, spec.inputs)
        if definition is not None:
            program = from_data(definition, "model.definition")
        else:
            program = multiples(shape, spec.outputs) if file is None else read_program(file)
        self.size = _size(program, math.prod(shape))
        self.shapes = [tuple(int(length(self.size)) for length in tensor.shape) for tensor in program.inputs]
        self.program = program
        terms = [float(term.coefficient(self.size)) for block in program.blocks for term in block.terms]
        biases = [float(block.bias(self.size)) for block in program.blocks]
        random = definition is None and file is None
        self.coefficients = nn.Parameter(torch.randn(len(terms)) if random else torch.tensor(terms))
        self.biases = nn.Parameter(torch.tensor(biases))
        self._check(sum(map(math.prod, self.shapes)) == math.prod(shape))

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
        numbers = F.one_hot(inputs, self.spec.inputs) if self.spec.tokens else inputs
        flat = numbers.flatten(1).to(self.biases.dtype)
        parts = flat.split([math.prod(shape) for shape in self.shapes], 1)
        values = {
            tensor.name: part.unflatten(1, shape)
            for tensor, part, shape in zip(self.program.inputs, parts, self.shapes, strict=True)
        }
        coefficients = iter(self.coefficients)
        for block, bias in zip(self.program.blocks, self.biases, strict=True):
            sizes = tuple(int(count(self.size)) for count in block.sizes)
            total = bias.expand(len(flat), *[1] * len(sizes))
            for term in block.terms:
                total = total + next(coefficients) * term_sum(term, values[term.source], sizes, self.size)
            result = (sign(total) if block.activation == "sign" else total).expand(len(flat), *sizes)
            if block.where != "all":
                result = result * torch.from_numpy(existing(block, sizes)).to(result)
            values[block.name] = result
        joined = torch.cat([values[name].reshape(len(flat), -1) for name in self.program.outputs], 1)
        return self.program.scale * (joined[:, list(self.program.order)] if self.program.order else joined)

    def _check(self, fits: bool) -> None:
        """Raise ConfigError unless the program reads and returns what the task gives and wants."""
        fix = "a program that was distilled for this task"
        if not fits:
            must = f"the program must read inputs of shape {self.spec.shape}, as the task gives them"
            raise ConfigError(must, got=self.shapes, key="model.file", fix=fix)
        counts = {
            block.name: math.prod(int(count(self.size)) for count in block.sizes) for block in self.program.blocks
        }
        count = sum(counts[name] for name in self.program.outputs)
        if count != self.spec.outputs:
            must = f"the program must have {self.spec.outputs} outputs, as many as the task"
            raise ConfigError(must, got=count, key="model.file", fix=fix)


def multiples(shape: tuple[int, ...], count: int) -> Program:
    """Return the program of `count` outputs that are multiples of the sum of all inputs."""
    tensor = Input("x", tuple(map(Polynomial.of, shape)), "reals")
    term = Term(Polynomial.of(1), "x", (WHOLE,) * len(shape))
    blocks = tuple(Block(f"y{k}", (), (term,), activation="linear") for k in range(count))
    return Program((tensor,), blocks, tuple(block.name for block in blocks), "scores")


def sign(value: Tensor) -> Tensor:
    """Return the sign, -1, 0 or 1, with the gradient of clamp(value, -1, 1)."""
    soft = value.clamp(-1, 1)
    return soft + (torch.sign(value) - soft).detach()


def _size(program: Program, count: int) -> int | None:
    """Return the N at which a program of many sizes has so many inputs; None for a program of one size, or if no N
    up to `count` does."""
    if not program.parametric:
        return None
    for size in range(1, count + 1):
        shapes = [[length(size) for length in tensor.shape] for tensor in program.inputs]
        if sum(math.prod(shape) for shape in shapes) == count:
            return size
    return 1
