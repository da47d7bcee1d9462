"""Programs as data: blocks of threshold units with index axes, whose inputs are sums over slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mechlab.distill.polynomial import Polynomial

if TYPE_CHECKING:
    from mechlab.distill.certificate import Certificate
    from mechlab.distill.layers import Layer

Values = Literal["bits", "signs", "integers", "reals"]
Returns = Literal["class", "scores", "probabilities", "bits"]
Status = Literal["lossless", "proved", "tested"]
ZERO, ONE = Polynomial(), Polynomial.of(1)


@dataclass(frozen=True)
class Along:
    """The positions along one axis of a source over which a term sums, for a unit with given indices.

    They are first..last, both included, for fixed positions; sign * index + (first..last) if they follow an index of
    the unit; places[index] for irregular wiring; all positions if `first` is None.

    Args:
        first, last: offsets of the first and the last position; both None for the whole axis.
        axis: number of the unit's index that the positions follow; None for fixed ones.
        sign: 1, or -1 where positions fall as the index rises.
        places: position of each value of the index, in place of the offsets.
        periodic: positions are taken modulo the length of the source's axis.
    """

    first: Polynomial | None = None
    last: Polynomial | None = None
    axis: int | None = None
    sign: Literal[1, -1] = 1
    places: tuple[int, ...] = ()
    periodic: bool = False

    @property
    def whole(self) -> bool:
        """True if the term sums over all positions."""
        return self.first is None and not self.places

    @property
    def single(self) -> bool:
        """True if there is one position for each unit."""
        return bool(self.places) or (self.first is not None and self.first == self.last)


WHOLE = Along()


@dataclass(frozen=True)
class Term:
    """A coefficient times a sum over part of a source: an input or an earlier block.

    Args:
        coefficient: of the sum.
        source: name of the input or block.
        along: one for each axis of the source.
    """

    coefficient: Polynomial
    source: str
    along: tuple[Along, ...] = ()


@dataclass(frozen=True)
class Block:
    """Units that compute the same with other indices: activation(bias + sum of terms).

    Args:
        name: by which later terms refer to it.
        sizes: number of values of each index; () for a single unit. Indices start at 0.
        terms: the sums; empty for a constant.
        bias: added to them.
        activation: "sign" (-1, 0 or 1) or "linear" (of outputs).
        where: units that exist: "all"; "less" for those whose first index is less than the second, "different" for
            those whose first two indices differ. Units that do not exist have the value 0.
        equal_biases: open interval of biases that give every unit the same sign for all values of its sums; None if
            only this one does.
    """

    name: str
    sizes: tuple[Polynomial, ...]
    terms: tuple[Term, ...]
    bias: Polynomial = ZERO
    activation: Literal["sign", "linear"] = "sign"
    where: Literal["all", "less", "different"] = "all"
    equal_biases: tuple[Fraction, Fraction] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Input:
    """An input tensor.

    Args:
        name: by which terms refer to it.
        shape: length of each axis.
        values: "bits" (0 or 1), "signs" (-1 or 1), "integers" or "reals".
    """

    name: str
    shape: tuple[Polynomial, ...]
    values: Values = "bits"


@dataclass(frozen=True)
class Program:
    """A program that a network was distilled to.

    Args:
        inputs: the input tensors, in the order of the network's flat input.
        blocks: in order of evaluation.
        outputs: names of the blocks that make up the output vector, one after the other, each in row-major order.
        returns: "class" for the index of the largest output (the first of equal ones), "scores" for the outputs,
            "probabilities" for their softmax, "bits" for outputs > 0, elementwise.
        order: position of each network output in the concatenated blocks; empty where they agree.
        scale: network outputs are `scale` times the program's.
        certificate: what is known of its agreement with the network; None for a program that was written by hand.
        network: the layers it was distilled from, at hand only in the process that did so; not part of its data.
    """

    inputs: tuple[Input, ...]
    blocks: tuple[Block, ...]
    outputs: tuple[str, ...]
    returns: Returns = "class"
    order: tuple[int, ...] = ()
    scale: float = 1.0
    certificate: Certificate | None = None
    network: Mapping[int, Sequence[Layer]] | None = field(default=None, compare=False, repr=False)

    def __call__(self, *inputs: Any) -> np.ndarray:
        """Return what the program returns for inputs of their declared shapes, or for batches (B, *shape) of them.

        A tensor of one input may also be given flat: (B, n) or (n,), in the order of the network's inputs.
        """
        from mechlab.distill.interpret import run

        return run(self, *inputs)

    @property
    def parametric(self) -> bool:
        """True if the program holds for many sizes N."""
        return any(length.degree for tensor in self.inputs for length in tensor.shape)

    @property
    def status(self) -> Status | None:
        """What is known of its agreement with the network: "lossless" (compared on every input), "proved" (unit by
        unit) or "tested" (on a sample)."""
        return None if self.certificate is None else self.certificate.status

    @property
    def source(self) -> str:
        """The text of a Python module that needs numpy only, with one function `program`."""
        from mechlab.distill.numpy_text import numpy_text

        return numpy_text(self)

    @property
    def loops(self) -> str:
        """The same as readable nested loops."""
        from mechlab.distill.loops_text import loops_text

        return loops_text(self)

    @property
    def formula(self) -> str:
        """The same as formulas, one line for each block."""
        from mechlab.distill.formula_text import formula_text

        return formula_text(self)

    @property
    def lines(self) -> int:
        """The number of lines of the function in `source`, without its docstring and empty lines."""
        from mechlab.distill.numpy_text import body_lines

        return body_lines(self)

    def verify(self, layers: Any = None, *, samples: int = 3000, rng: Any = 0) -> Certificate:
        """Compare with the network again, by default the one it was distilled from, and return a new certificate.

        Raises:
            DistillError: the program and the network disagree, or there is no network.
        """
        from mechlab.distill.verification import verify

        return verify(self, layers, samples=samples, rng=rng)

    def certified(self, certificate: Certificate) -> Program:
        """Return the program with this certificate."""
        return replace(self, certificate=certificate)
