"""A Boolean function: a formula, a truth table or a random linear threshold unit."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from mechlab.core.constraints import Filled, Seed, Size, between
from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams
from mechlab.tasks.bit_function import BitFunction
from mechlab.tasks.coded import number_of
from mechlab.tasks.formula import evaluate, parsed


class Boolean(BitFunction):
    """Compute a Boolean function of n bits.

    Inputs (N, n) and targets (N, 1) are 0 and 1. The function is a formula or a truth table; without them it is a
    random linear threshold unit, which is 1 where w . (2 x - 1) + b > 0 with independent normal weights w and bias b.

    Args:
        n: bits of an input, x0, x1, ...
        formula: in the bits, with ~ & ^ | (or `not`, `and`, `or`), parentheses and the constants 0 and 1, such as
            "x0 & ~x1 | x2"; the operators bind as in Python.
        table: the 2^n values, that of the input x0 + 2 x1 + 4 x2 + ... first.
        unit_seed: of the weights of the random threshold unit.
        examples: number of distinct training inputs; at most three quarters of all.
        held_out: number of other inputs for validation, and as many again for test, as far as there are so many.
        seed: of the inputs.

    Raises:
        ConfigError: a formula and a table are given, the formula cannot be read, or the table has another length.
    """

    def __init__(
        self,
        n: Annotated[int, between(2, 1000)] = 6,
        formula: str | None = None,
        table: Annotated[tuple[Annotated[int, between(0, 1)], ...], Filled()] | None = None,
        unit_seed: Seed = 0,
        examples: Size = 200,
        held_out: Size = 1000,
        seed: Seed = 0,
    ):
        self.n, self.formula, self.table, self.unit_seed = n, formula, table, unit_seed
        if formula is not None and table is not None:
            fix = "task.table=null or task.formula=null"
            raise ConfigError("the function must be a formula or a truth table", got="both", key="task.table", fix=fix)
        if table is not None and len(table) != 2**n:
            must = f"a truth table of {n} bits must have {2**n} values"
            raise ConfigError(must, got=f"{len(table)} values", key="task.table", fix="choose another task.n")
        self._tree = None if formula is None else parsed(formula, n)
        rng = Streams(unit_seed).torch("unit")
        self.weight, self.bias = torch.randn(n, generator=rng).double(), torch.randn(1, generator=rng).double()
        super().__init__(self._value, {"x": (n,)}, (n,), 1, examples, held_out, seed)

    def _value(self, inputs: Tensor) -> Tensor:
        if self._tree is not None:
            values = evaluate(self._tree, inputs > 0.5)
        elif self.table is not None:
            values = torch.tensor(self.table, device=inputs.device)[number_of(inputs)]
        else:
            terms = (2 * inputs.double() - 1) * self.weight.to(inputs.device)
            values = terms.sum(1) + self.bias.to(inputs.device) > 0
        return values[:, None].to(inputs.dtype)
