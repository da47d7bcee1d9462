"""One program for all sizes, from networks of several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch

from mechlab.analyses.distill.distilled import EQUAL, distilled, equal, refusal, short
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
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.core.task import Task
from mechlab.distill import distill_sizes
from mechlab.distill.certificate import DistillError
from mechlab.distill.program import Program
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run

LEAST = 3  # sizes
WEIGHTS = "checkpoints/weights.safetensors"


class DistillSizes(SetAnalysis):
    """Turn networks of several sizes N, trained on the same task, into one program of N.

    N is the task's key `size`. The networks of all sizes but one are distilled, their programs matched, and each number
    in them is a polynomial in N. The remaining size validates the program. It is compared with every network, and with
    the task's rule at each size and at further ones.

    Args:
        held_out: the size that validates; None for the largest.
        at: further sizes at which the program is compared with the task's rule, where the task can have them.
        tolerance: largest relative change of a weight that counts as noise.
        returns: what the program returns; None for the class or the bits that the task is scored by.
        samples: inputs of each size to compare with the network, where there are too many for all.
        test_examples: test examples of each size, at most, for claim `right`.
        lines: most lines of the program for claim `short`.
        accuracy: least share of right decisions for claim `right`.
    """

    needs = SetNeeds(
        runs=LEAST,
        each=Needs(kind="static", model=("layers",), task=("size",)),
        files=("result.json", WEIGHTS),
        varies=("task.size",),
        equal=("task._target_", "model._target_", "task.rule"),
    )

    def __init__(
        self,
        held_out: Annotated[int, at_least(1)] | None = None,
        at: tuple[Annotated[int, at_least(1)], ...] = (),
        tolerance: Annotated[float, between(0, 0.1)] = 1e-2,
        returns: Literal["class", "scores", "probabilities"] | None = None,
        samples: Annotated[int, at_least(500)] = 3000,
        test_examples: Annotated[int, at_least(100)] = 4000,
        lines: Annotated[int, at_least(1)] = 12,
        accuracy: Annotated[float, between(0, 1)] = 0.99,
    ):
        self.held_out, self.at, self.tolerance, self.returns = held_out, at, tolerance, returns
        self.samples, self.test_examples, self.lines, self.accuracy = samples, test_examples, lines, accuracy

    @torch.no_grad()
    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Distil the networks, save the program, and a row of comparisons for each size."""
        import pandas as pd

        by_size = {run.task.size: run for run in reversed(runs)}  # of several seeds the first
        if len(by_size) < LEAST:
            must = f"analysis=distill_sizes needs networks of at least {LEAST} sizes, one of them to validate"
            raise ConfigError(must, got=sorted(by_size), key="run", fix="-m task.size=6,8,9,11")
        first = runs[0].task
        networks = {size: layers_of(run.model()) for size, run in sorted(by_size.items())}
        sizes = [(size, len(layers), parameters(layers)) for size, layers in networks.items()]
        out.save_table("networks", pd.DataFrame(sizes, columns=["size", "layers", "parameters"]))
        try:
            program = distill_sizes(
                networks,
                lambda size: list(input_parts(by_size[size].task).values()),
                values=values_of(first),
                returns=returns_of(first, self.returns),
                names=tuple(input_parts(first)),
                held_out=self.held_out,
                tolerance=self.tolerance,
                samples=self.samples,
                rng=int(rng.integers(2**31)),
            )
        except DistillError as error:
            return Finding({"distilled": 0.0}, {"distilled": distilled(False)}, {"refused": refusal(error)})
        save_program(out, program)
        rows = [self._row(program, by_size.get(size), size, runs[0]) for size in sorted({*by_size, *self.at})]
        out.save_table("sizes", pd.DataFrame(rows))
        return self._finding(program, pd.DataFrame(rows))

    def _row(self, program: Program, run: Run | None, size: int, like: Run) -> dict[str, float | int | str]:
        """Return the comparisons at one size: with the network, where there is one, and with the task's rule."""
        certificate = program.certificate
        assert certificate is not None
        task = at_size(like, size) if run is None else run.task
        batch = examples_of(task, self.test_examples)
        own = program(*parts_of(batch.inputs, task))
        own = decided(task, own) if program.returns in ("scores", "probabilities") else own
        right = wanted(task, batch.targets)
        row: dict[str, float | int | str] = {"size": size}
        row["use"] = "rule" if run is None else "validation" if size == certificate.held_out else "fit"
        row |= {"examples": len(own), "right": int((own == right).reshape(len(own), -1).all(1).sum())}
        row |= {"decisions": int(right.size), "right_decisions": int((own == right).sum())}
        network = np.nan if run is None else decided(task, run.predict(batch.inputs).outputs.double().numpy())
        row["network_equal"] = np.nan if run is None else float((own == network).mean())
        row["most_frequent"] = most_frequent(right)
        return row

    def _finding(self, program: Program, rows: pd.DataFrame) -> Finding:
        certificate = program.certificate
        assert certificate is not None
        same = certificate.inputs - certificate.mismatches
        correct, decisions = int(rows["right_decisions"].sum()), int(rows["decisions"].sum())
        ends = wilson(correct, decisions)
        scalars = {
            "lines": program.lines,
            "agreement": same / certificate.inputs,
            "distilled": 1,
            "sizes": len(certificate.sizes),
            "largest": max(rows["size"]),
            "compared": certificate.inputs,
            "boundary": certificate.boundary,
            "mismatches": certificate.mismatches,
            "snapped": certificate.snapped,
            **{status: certificate.status == status for status in ("lossless", "proved", "tested")},
            "right": correct / decisions,
            "right_low": ends[0],
            "right_high": ends[1],
        }
        claims = {
            "distilled": distilled(True),
            "equal": equal(certificate, _EQUAL, float(rows["most_frequent"].max())),
            "short": short(program, self.lines),
            "right": Claim(
                f"The program is right on at least {self.accuracy:g} of the test examples of all sizes (lower end "
                "of the 95 % interval).",
                value=correct / decisions,
                threshold=self.accuracy,
                holds=ends[0] >= self.accuracy,
                kind="statistical",
                null=float(rows["most_frequent"].max()),
                interval=ends,
            ),
        }
        sizes = ", ".join(map(str, certificate.sizes))
        note = f"Sizes {sizes}; {certificate.held_out} validates alone. The program is {certificate.status}."
        return Finding({name: float(value) for name, value in scalars.items()}, claims, {"sizes": note})


_EQUAL = (
    f"The program decides as the networks of all sizes, that of the validation included, on at least {EQUAL:g} of the "
    "inputs compared (lower end of the 95 % interval, where they are a sample)."
)


def at_size(run: Run, size: int) -> Task:
    """Return a run's task at another size.

    Raises:
        ConfigError: the task does not accept the size.
    """
    settings = {name: value for name, value in run.config["task"].items() if name != "_target_"}
    return type(run.task)(**settings | {"size": size})
