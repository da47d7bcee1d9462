"""A program in place of a recurrent network that reads integers: its text, and what is known of their agreement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch

from mechlab.analyses.distill.distilled import refusal
from mechlab.analyses.distill.exact_at_lengths import AtLength, lengths_table, of_network, of_program
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.distill import distill_rnn
from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.assembling import register_values
from mechlab.distill.recurrent.expression_text import statement_text
from mechlab.distill.recurrent.observed import observe
from mechlab.distill.recurrent.program import RecurrentProgram
from mechlab.distill.recurrent.program_data import program_to_data
from mechlab.distill.recurrent.registers import encodings
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

OBSERVED = 600  # sequences whose states show the registers
DRAWN = 1000  # states in a figure
LONG = 1000  # letters, of claim `long`
EQUAL, EQUAL_LONG = 0.999, 0.99  # least lower ends of the intervals of the claims


class DistillRNN(Analysis):
    """Turn a recurrent network that reads integers into a program with integer registers, and compare both with the
    rule of the task on sequences of 10, 100 and 1,000 letters.

    The program is written as Python that imports nothing (program.py) and as data (program.json). `lengths` has the
    share of sequences that network and program get right at all positions; `registers` has the program's variables, and
    how well the network's hidden states encode each. A network without a short program that agrees with it leaves no
    program, and the note `refused` gives the reason and the first counterexample.

    The null of the claims is the same share for a program of the untrained network, 0 if it has none.

    Args:
        samples: random sequences of the training length, and of 10 letters; a tenth of them at 100 and 1,000 letters.
        tolerance: largest share of sequences of the training length on which program and network may differ; a network
            rounds wrongly on rare ones. They are counted (`mismatches`).

    Source: the question is that of Michaud et al., "Opening the AI black box: program synthesis via mechanistic
    interpretability", arXiv 2402.05110; the method is `mechlab.distill.distill_rnn`.
    """

    needs = Needs(kind="sequence", ground_truth=("sequence rule",))
    headline = ("lines", "program_1000")

    def __init__(
        self,
        samples: Annotated[int, at_least(5000)] = 10_000,
        tolerance: Annotated[float, between(0, 0.1)] = 1e-3,
    ):
        self.samples, self.tolerance = samples, tolerance

    @torch.no_grad()
    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Distil the network and the untrained one, save the program, and compare with the rule."""
        model, task = run.model(), run.task
        seed = int(rng.integers(2**31))
        rows = of_network(model, task, self.samples, rng)
        scalars: dict[str, Any] = {"parameters": sum(tensor.numel() for tensor in model.parameters())}
        scalars |= {f"network_{row.length}": row.share for row in rows}
        null = self._null(run, seed)
        scalars |= {"null_distilled": bool(null), "distilled": False}
        try:
            program = distill_rnn(model, task, rng=seed, samples=self.samples, tolerance=self.tolerance)
        except DistillError as error:
            out.save_table("lengths", lengths_table(rows))
            refused = {"refused": refusal(error)}
            return Finding(_floats(scalars), _claims([], null), refused | _counterexamples(rows))
        certificate = program.certificate
        assert certificate is not None
        rows += (right := of_program(program, task))
        out.save_table("lengths", lengths_table(rows))
        out.save_bytes("program.py", program.source.encode())
        out.save_bytes("program.json", (json.dumps(program_to_data(program), indent=1) + "\n").encode())
        self._save_registers(program, run, out, seed)
        scalars |= {f"program_{row.length}": row.share for row in right}
        scalars |= {
            "distilled": True,
            "lines": program.lines,
            "bits": program.size,
            "registers": len(program.registers),
            "compared": certificate.inputs,
            "mismatches": certificate.mismatches,
            **{status: certificate.status == status for status in ("lossless", "tested")},
        }
        notes = {"status": f"The program is {certificate.status}.", **_counterexamples(rows)}
        return Finding(_floats(scalars), _claims(right, null), notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the share of right sequences against their length, and the hidden states with the registers' values."""
        from mechlab.plotting.recurrent_programs import lengths_figure, registers_figure

        figures = {"lengths": lengths_figure(out.table("lengths"))}
        if (out.folder / "states.safetensors").exists():
            names = out.table("registers")["register"].tolist()
            arrays = out.arrays("states")
            figures["registers"] = registers_figure(arrays["places"], arrays["values"], arrays["shares"], names)
        return figures

    def _null(self, run: Run, seed: int) -> list[AtLength]:
        """Return what a program of the untrained network gets right; [] if there is none."""
        model = run.untrained()
        try:
            program = distill_rnn(model, run.task, rng=seed, samples=self.samples, tolerance=self.tolerance)
        except DistillError:
            return []
        return of_program(program, run.task)

    def _save_registers(self, program: RecurrentProgram, run: Run, out: Artifacts, seed: int) -> None:
        """Save the registers, and their values at hidden states projected onto two principal components."""
        import pandas as pd

        if not program.registers:
            return
        observed = observe(run.model(), run.task, OBSERVED, seed)
        rows = [
            {
                "register": register.name,
                "initial": register.initial,
                "update": statement_text(register.update),
                "r2": found.r2,
                "exact": found.exact,
                "nearest": found.nearest,
            }
            for register, found in zip(program.registers, encodings(program, observed), strict=True)
        ]
        out.save_table("registers", pd.DataFrame(rows))
        count = max(1, DRAWN // observed.length)
        states = observed.states[:count].reshape(-1, observed.states.shape[2])
        values = register_values(program, observed.inputs[:count])
        places, shares = principal(states)
        numbers = np.stack([value.reshape(-1).astype(np.float64) for value in values.values()], 1)
        out.save_arrays("states", places=places, shares=shares, values=numbers)


def principal(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two principal components (P, 2) of states (P, H), and the shares of variance (2,); zeros for the
    second component if H is 1."""
    centred = states - states.mean(0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(
        right[np.arange(len(right)), np.abs(right).argmax(1)]
    )  # else a matter of the linear algebra library
    places = np.zeros((len(states), 2))
    shares = np.zeros(2)
    count = min(2, len(singular))
    places[:, :count] = (left * singular * signs)[:, :count]
    total = float((singular**2).sum())
    shares[:count] = singular[:count] ** 2 / total if total else 0.0
    return places, shares


def _claims(rows: list[AtLength], null: list[AtLength]) -> dict[str, Claim]:
    """Return the claims that the program is right at 10 and at 1,000 letters; without a program they do not hold."""
    claims = {}
    by_length, nulls = ({row.length: row for row in part} for part in (rows, null))
    for slug, length, least in (("program", 10, EQUAL), ("long", LONG, EQUAL_LONG)):
        row, control = by_length.get(length), nulls.get(length)
        claims[slug] = Claim(
            f"There is a program that agrees with the network, and it is right at all positions of all random "
            f"sequences of {length:,} letters (of at least {least:g} by the lower end of the 95 % interval).",
            value=row.share if row else 0.0,
            threshold=least,
            holds=bool(row and row.right == row.sequences and row.interval[0] >= least),
            kind="statistical",
            null=control.share if control else 0.0,
            interval=row.interval if row else None,
        )
    return claims


def _counterexamples(rows: list[AtLength]) -> dict[str, str]:
    """Return the first counterexample of each subject that has one."""
    found = {}
    for row in rows:
        if row.counterexample:
            found.setdefault(f"{row.subject}_counterexample", row.counterexample)
    return found


def _floats(scalars: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in scalars.items()}
