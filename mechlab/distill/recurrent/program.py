"""Programs that read a sequence of integers with integer registers."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mechlab.distill.certificate import Certificate
from mechlab.distill.program import Status
from mechlab.distill.recurrent.encoding import Origin
from mechlab.distill.recurrent.expressions import Expression, bits, evaluate, integers, names

NAME = re.compile(r"[a-z][a-z0-9_]{0,19}")
TAKEN = {"program", "xs", "ys", "min", "max", "abs", "int"}  # names that the text of a program uses otherwise


@dataclass(frozen=True)
class Register:
    """An integer variable of a program.

    Args:
        name: of small letters, digits and underscores.
        initial: its value before the first letter.
        update: its value after a letter, from the registers before it and the letter.
    """

    name: str
    initial: int
    update: Expression


@dataclass(frozen=True)
class RecurrentProgram:
    """A program that returns integers after each letter of a sequence of integers.

    After each letter all registers change at once; the outputs then follow from the new registers and the letter.

    Args:
        inputs: names of the c channels of a letter.
        registers: the variables; () for a program without memory.
        outputs: the k values that are returned after each letter.
        certificate: what is known of its agreement with the network, and whether its registers can be read in the
            hidden states; None for a program that was written by hand.

    Raises:
        ValueError: a name is not allowed, not distinct or not defined, or there is no input or output.

    >>> from mechlab.distill.recurrent.expressions import Name
    >>> total = RecurrentProgram(("x",), (Register("s", 0, Name("s") + Name("x")),), (Name("s"),))
    >>> total([[1], [2], [3]]).tolist()
    [[1], [3], [6]]
    >>> total([1, 2, 3]).tolist()
    [1, 3, 6]
    """

    inputs: tuple[str, ...]
    registers: tuple[Register, ...]
    outputs: tuple[Expression, ...]
    certificate: Certificate | None = None

    def __post_init__(self) -> None:
        defined = [*self.inputs, *(register.name for register in self.registers)]
        wrong = [name for name in defined if not NAME.fullmatch(name) or name in TAKEN or keyword.iskeyword(name)]
        if wrong or len(set(defined)) < len(defined) or not self.inputs or not self.outputs:
            raise ValueError(f"inputs and registers must have distinct names. Got {', '.join(defined)}.")
        used = frozenset().union(*map(names, (*(register.update for register in self.registers), *self.outputs)))
        if not used <= set(defined):
            raise ValueError(f"all names must be defined. Got {', '.join(sorted(used - set(defined)))}.")

    def __call__(self, inputs: Any) -> np.ndarray:
        """Return the outputs (B, T, k) for integers (B, T, c), or (T, k) for one sequence (T, c).

        If letters have one channel, a sequence may also be given flat: (T,). Its outputs are (T,) if there is one after
        each letter, else (T, k). Batches always have the axis of channels.

        They are exact: int64, or Python integers (dtype object) where one does not fit.

        Raises:
            ValueError: the inputs have another number of axes or channels.
            IndexError: an index is outside its table.
        """
        letters = integers(inputs)
        if letters.ndim == 1 and len(self.inputs) == 1:
            outputs = self(letters[:, None])
            return outputs[:, 0] if len(self.outputs) == 1 else outputs
        if letters.ndim not in (2, 3) or letters.shape[-1] != len(self.inputs):
            flat = ", or (T,)" if len(self.inputs) == 1 else ""
            channels = len(self.inputs)
            raise ValueError(f"inputs must be (B, T, {channels}) or (T, {channels}){flat}. Got {letters.shape}.")
        if letters.ndim == 2:
            return self(letters[None])[0]
        values = {register.name: np.full(len(letters), register.initial) for register in self.registers}
        steps = []
        for t in range(letters.shape[1]):
            values |= {name: letters[:, t, channel] for channel, name in enumerate(self.inputs)}
            values |= {register.name: integers(evaluate(register.update, values)) for register in self.registers}
            steps.append(np.stack([evaluate(output, values) for output in self.outputs], -1))
        return integers(np.stack(steps, 1)) if steps else np.zeros((len(letters), 0, len(self.outputs)), np.int64)

    @property
    def status(self) -> Status | None:
        """What is known of its agreement with the network: "lossless" (compared on every sequence of the training
        length) or "tested" (on a sample)."""
        return None if self.certificate is None else self.certificate.status

    @property
    def origin(self) -> Origin | None:
        """Where its registers can be read: "states" if the network's hidden states determine all of them, "outputs" if
        the program describes inputs and outputs alone; None without a certificate."""
        return None if self.certificate is None else self.certificate.origin

    @property
    def size(self) -> int:
        """The description length in bits: of the expressions as they are written, and of the registers' names and
        initial values."""
        from mechlab.distill.recurrent.program_text import written_updates

        updates, _ = written_updates(self.registers)
        kept = sum(5 + 2 * register.initial.bit_length() for register in self.registers)
        return kept + sum(map(bits, updates.values())) + sum(map(bits, self.outputs))

    @property
    def source(self) -> str:
        """The text of a Python module that imports nothing, with one function `program`."""
        from mechlab.distill.recurrent.program_text import program_text

        return program_text(self)

    @property
    def lines(self) -> int:
        """The number of lines of the function in `source`, without its docstring and empty lines."""
        from mechlab.distill.recurrent.program_text import body_lines

        return body_lines(self)

    def verify(
        self, model: Any, task: Any, *, samples: int = 10_000, rng: Any = 0, tolerance: float = 0.0
    ) -> Certificate:
        """Compare with a network and its task's rule, and return a new certificate; see `verification.verify`.

        Raises:
            ConfigError: the task's inputs are no integers, or `samples` is below 100.
            DistillError: the program and the network disagree, with the first counterexample.
        """
        from mechlab.distill.recurrent.verification import verify

        return verify(self, model, task, samples=samples, rng=rng, tolerance=tolerance)

    def certified(self, certificate: Certificate) -> RecurrentProgram:
        """Return the program with this certificate."""
        return replace(self, certificate=certificate)


def fresh_names(taken: Sequence[str], count: int) -> list[str]:
    """Return names of registers that are not taken: s, t, u, ..., then s1, s2, ..."""
    letters = [name for name in "stuvwpqrmnkdefgh" if name not in taken]
    return (letters + [f"s{k}" for k in range(1, count + 1) if f"s{k}" not in taken])[:count]
