"""A program in place of the network: its text, and what is known of their agreement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch

from mechlab.analyses.distill.threshold_network import (
    decided,
    examples_of,
    input_parts,
    layers_of,
    most_frequent,
    parameters,
    parts_of,
    returns_of,
    save_program,
    values_of,
    wanted,
)
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.core.task import Task
from mechlab.distill import distill
from mechlab.distill.certificate import Certificate, DistillError
from mechlab.distill.program import Program
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    from mechlab.record.run import Run

FEWEST = 100  # test decisions below which claim `right` is not made
EQUAL = 0.998  # lower end of the interval of agreement for the claim `equal`


class Distill(Analysis):
    """Turn a network of threshold units into a program, and compare the two.

    The program is written as data (program.json, which `model=program` reads), as numpy (program.py, which needs
    nothing of mechlab), as loops and as formulas. Its certificate says what is known of its agreement with the network:
    "lossless" if they were compared on every input, "proved" if each unit was, for all values of its sums, "tested" if
    they agree on random inputs and on inputs near thresholds. A network without a short program, or whose program
    disagrees, leaves no program, and the note `refused` says why.

    The null of each claim is the most frequent decision.

    Tokens are one-hot vectors, one after the other.

    Args:
        tolerance: largest relative change of a weight that counts as noise of the weights.
        returns: what the program returns; None for the class or the bits that the task is scored by.
        samples: inputs to compare, where there are too many for all.
        test_examples: test examples, at most, of claim `right`.
        lines: most lines of the program for claim `short`.
        accuracy: least share of right decisions for claim `right`.

    Source: the question is that of Blazek, Venkatesh and Lin, "Automated discovery of algorithms from data", Nature
    Computational Science 4 (2024); the method is `mechlab.distill.distill`.
    """

    needs = Needs(kind="static", model=("layers",))
    other_model = "choose model=enn"
    headline = ("lines", "agreement")

    def __init__(
        self,
        tolerance: Annotated[float, between(0, 0.1)] = 1e-2,
        returns: Literal["class", "scores", "probabilities"] | None = None,
        samples: Annotated[int, at_least(1000)] = 3000,
        test_examples: Annotated[int, at_least(100)] = 4000,
        lines: Annotated[int, at_least(1)] = 12,
        accuracy: Annotated[float, between(0, 1)] = 0.99,
    ):
        self.tolerance, self.returns, self.samples, self.test_examples = tolerance, returns, samples, test_examples
        self.lines, self.accuracy = lines, accuracy

    @torch.no_grad()
    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Distil the network, save the program, and compare both on test examples."""
        layers = layers_of(run.model())
        parts = input_parts(run.task)
        scalars = {"layers": len(layers), "parameters": parameters(layers)}
        try:
            program = distill(
                layers,
                list(parts.values()),
                values=values_of(run.task),
                returns=returns_of(run.task, self.returns),
                names=tuple(parts),
                tolerance=self.tolerance,
                samples=self.samples,
                rng=rng,
            )
        except DistillError as error:
            return Finding(
                _floats(scalars | {"distilled": 0}), {"distilled": distilled(False)}, {"refused": refusal(error)}
            )
        save_program(out, program)
        scalars |= {"distilled": 1}
        return self._finding(run, program, scalars)

    def _finding(self, run: Run, program: Program, scalars: dict[str, float]) -> Finding:
        certificate = program.certificate
        assert certificate is not None
        batch = examples_of(run.task, self.test_examples)
        network = decided(run.task, run.predict(batch.inputs).outputs.double().numpy())
        own, right = self._decisions(run.task, program, batch.inputs), wanted(run.task, batch.targets)
        agreement = 1 - certificate.mismatches / certificate.inputs
        exact = certificate.status != "tested"
        scalars |= {
            "lines": program.lines,
            "agreement": agreement,
            "blocks": len(program.blocks),
            "terms": sum(len(block.terms) for block in program.blocks),
            "compared": certificate.inputs,
            "boundary": certificate.boundary,
            "mismatches": certificate.mismatches,
            "units": certificate.units[1],
            "units_proved": certificate.units[0],
            "snapped": certificate.snapped,
            **{status: certificate.status == status for status in ("lossless", "proved", "tested")},
            "test_agreement": float((own == network).mean()),
            "test_accuracy": float((own == right).mean()),
            "network_test_accuracy": float((network == right).mean()),
        }
        null = most_frequent(right)
        correct = own == right
        ends = wilson(int(correct.sum()), correct.size)
        sample = "all inputs, or a proof for each unit" if exact else "lower end of the 95 % interval"
        statement = f"The program decides as the network on at least {EQUAL:g} of the inputs compared ({sample})."
        claims = {
            "distilled": distilled(True),
            "equal": equal(certificate, statement, most_frequent(network)),
            "short": short(program, self.lines),
        }
        if correct.size >= FEWEST:
            claims["right"] = Claim(
                f"The program is right on at least {self.accuracy:g} of the test examples (lower end of the 95 % "
                "interval).",
                value=float(correct.mean()),
                threshold=self.accuracy,
                holds=ends[0] >= self.accuracy,
                kind="statistical",
                null=null,
                interval=ends,
            )
        return Finding(_floats(scalars), claims, {"status": f"The program is {certificate.status}."})

    def _decisions(self, task: Task, program: Program, inputs: torch.Tensor) -> np.ndarray:
        result = program(*parts_of(inputs, task))
        return decided(task, result) if program.returns in ("scores", "probabilities") else result


def distilled(made: bool) -> Claim:
    """Return the claim that there is a program, which holds if one was made."""
    statement = "The network has a short program, of which verification found no disagreement (value 1)."
    return Claim(statement, value=float(made), threshold=1, holds=made, kind="exact")


def equal(certificate: Certificate, statement: str, null: float) -> Claim:
    """Return the claim that a program decides as its network, which a sample supports by the end of an interval."""
    same = certificate.inputs - certificate.mismatches
    exact = certificate.status != "tested"
    low, high = wilson(same, certificate.inputs)
    return Claim(
        statement,
        value=same / certificate.inputs,
        threshold=EQUAL,
        holds=same == certificate.inputs if exact else low >= EQUAL,
        kind="exact" if exact else "statistical",
        null=null,
        interval=None if exact else (low, high),
    )


def short(program: Program, lines: int) -> Claim:
    """Return the claim that a program has at most so many lines."""
    statement = f"The program has at most {lines} lines."
    return Claim(statement, value=program.lines, threshold=lines, holds=program.lines <= lines, kind="exact")


def refusal(error: DistillError) -> str:
    """Return why no program was made, as a sentence."""
    return f"No program was made: {error.must}" + (f" (given: {error.got})." if error.got is not None else ".")


def _floats(scalars: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in scalars.items()}
