"""What is known of a program's agreement with the network that it was distilled from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mechlab.core.errors import MechlabError


class DistillError(MechlabError):
    """No program was made: the weights have no short description, or the program disagrees with the network."""


@dataclass(frozen=True)
class Certificate:
    """The evidence that a program equals its network.

    Args:
        status: "lossless": what it returns was compared on every input, without a mismatch. "proved": every unit of the
            network that the outputs depend on has the sign of a unit of the program, and the outputs are equal, for all
            inputs; sums within the rounding error of float64 count as zero (see `equal_signs`). "tested": neither,
            but no refusal on the inputs that were compared. For a program of many sizes, at the sizes below.
        inputs: number of inputs compared.
        boundary: how many of them were made to lie beside a threshold.
        mismatches: inputs on which the network as given decides otherwise. They are counted only where weights were
            snapped, and only where one of the network's sums is within the snapping error of zero; any other mismatch
            is refused.
        snapped: largest relative change of a weight between the network as given and the program.
        units: threshold units of the network that are proved, of how many.
        sizes: sizes N at which a program of many sizes was compared; nothing is proved of others.
        seed: of the random inputs.
        held_out: the size that was used for validation alone, if any.
        lengths: of a program that reads sequences: (length, number of sequences, number of those on which it and the
            rule of the task differ).
        network_lengths: the same counts for the program and the network.
        counterexample: the first of those sequences up to the first difference, a tuple of c integers for each letter;
            () if there is none.
        origin: of a program that reads sequences: "states" if the network's hidden states after held-out words
            determine each of its registers; "outputs" if not, or if it has no registers, so that it describes the
            network's inputs and outputs alone; None if that was not examined.
        read_out: how the states determine the registers: "affine" if a rounded affine read-out does for all, "nearest"
            if some take the value at the nearest state; None unless `origin` is "states".
    """

    status: Literal["lossless", "proved", "tested"]
    inputs: int
    boundary: int = 0
    mismatches: int = 0
    snapped: float = 0.0
    units: tuple[int, int] = (0, 0)
    sizes: tuple[int, ...] = ()
    seed: int = 0
    held_out: int | None = None
    lengths: tuple[tuple[int, int, int], ...] = ()
    network_lengths: tuple[tuple[int, int, int], ...] = ()
    counterexample: tuple[tuple[int, ...], ...] = ()
    origin: Literal["states", "outputs"] | None = None
    read_out: Literal["affine", "nearest"] | None = None
