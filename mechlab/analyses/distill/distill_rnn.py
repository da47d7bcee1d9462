"""A program in place of a recurrent network that reads integers: its text, and what is known of their agreement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch

from mechlab.analyses.distill.distilled import refusal
from mechlab.analyses.distill.exact_at_lengths import (
    AtLength,
    Words,
    distinct,
    lengths_table,
    of_network,
    of_program,
    words_of,
)
from mechlab.analyses.distill.lengths_claims import lengths_claims
from mechlab.analyses.longest_sequence import check_longest
from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.core.recipe import Recipe
from mechlab.core.seeding import Streams
from mechlab.core.state import load_weights
from mechlab.distill import distill_rnn
from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.assembling import register_values
from mechlab.distill.recurrent.expression_text import statement_text
from mechlab.distill.recurrent.observed import observe
from mechlab.distill.recurrent.program import RecurrentProgram
from mechlab.distill.recurrent.program_data import program_to_data
from mechlab.distill.recurrent.program_text import evidence, program_text
from mechlab.distill.recurrent.registers import encodings
from mechlab.distill.recurrent.verification import LENGTHS
from mechlab.record.artifacts import Artifacts
from mechlab.record.sets import run_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

OBSERVED = 2000  # sequences whose states show the registers
DRAWN = 1000  # states in a figure


class DistillRNN(Analysis):
    """Turn a recurrent network that reads integers into a program with integer registers, and compare both with the
    rule of the task on sequences of 10, 100 and 1,000 letters.

    The program is written as Python that imports nothing (program.py; its docstring has task, network, seed and what is
    known of their agreement) and as data (program.json). `lengths` has the
    share of sequences that network and program get right at all positions, for few letters of all words of 10 letters;
    `registers` has the program's variables, and how well the network's hidden states encode each. `from_states` is 1 if
    they determine all of them; otherwise the program describes inputs and outputs alone. A network without a short
    program that agrees with it leaves no program, and the note `refused` gives the reason and the first counterexample.

    The null of the claims is the larger of two such shares: of the best constant outputs, and of the program that the
    untrained network of the same sizes has, which is made although it is right no more often than constant outputs. A
    trained network of which that is true is refused, by comparison with the targets.

    Args:
        samples: random sequences of the training length, and of 10 letters; a tenth of them at 100 and 1,000 letters.
        tolerance: largest share of sequences of the training length on which program and network may differ; a network
            rounds wrongly on rare ones. They are counted (`mismatches`).

    Source: the question is that of Michaud et al., "Opening the AI black box: program synthesis via mechanistic
    interpretability", arXiv 2402.05110; the method is `mechlab.distill.distill_rnn`.
    """

    needs = Needs(kind="sequence", ground_truth=("sequence rule",))
    headline = ("lines", "program_1000")
    version = 2

    def __init__(
        self,
        samples: Annotated[int, at_least(5000)] = 10_000,
        tolerance: Annotated[float, between(0, 0.1)] = 1e-3,
    ):
        self.samples, self.tolerance = samples, tolerance

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model cannot read the longest of the compared sequences."""
        check_longest(name, recipe, max(LENGTHS), key)

    @torch.no_grad()
    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Distil the network and the untrained one, save the program, and compare with the rule."""
        model, task = run.model(), run.task
        seed = int(rng.integers(2**31))
        words = words_of(task, self.samples, rng)
        rows = of_network(model, task, words, self.samples, rng) + self._untrained(run, words, seed)
        scalars: dict[str, Any] = {"parameters": sum(tensor.numel() for tensor in model.parameters())}
        scalars |= {f"{row.subject}_{row.length}": row.share for row in rows}
        scalars |= _data(run, words) | {"distilled": False}
        try:
            program = distill_rnn(model, task, rng=seed, samples=self.samples, tolerance=self.tolerance)
        except DistillError as error:
            out.save_table("lengths", lengths_table(rows))
            refused = {"refused": refusal(error)}
            return Finding(_floats(scalars), lengths_claims(rows), refused | _counterexamples(rows))
        certificate = program.certificate
        assert certificate is not None
        rows += (right := of_program(program, task, words))
        out.save_table("lengths", lengths_table(rows))
        out.save_bytes("program.py", program_text(program, _known(program, run)).encode())
        out.save_bytes("program.json", (json.dumps(program_to_data(program), indent=1) + "\n").encode())
        scalars |= self._save_registers(program, run, out, seed)
        scalars |= {f"program_{row.length}": row.share for row in right}
        scalars |= {f"agreement_{length}": 1 - wrong / count for length, count, wrong in certificate.network_lengths}
        scalars |= {
            "distilled": True,
            "lines": program.lines,
            "bits": program.size,
            "registers": len(program.registers),
            "from_states": program.origin == "states",
            "compared": certificate.inputs,
            "mismatches": certificate.mismatches,
            **{status: certificate.status == status for status in ("lossless", "tested")},
        }
        notes = {"status": f"The program is {certificate.status}.", "origin": _origin(program)}
        return Finding(_floats(scalars), lengths_claims(rows), notes | _counterexamples(rows))

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the share of right sequences against their length, and the hidden states with the registers' values."""
        from mechlab.plotting.recurrent_programs import lengths_figure, registers_figure

        figures = {"lengths": lengths_figure(out.table("lengths"))}
        if (out.folder / "states.safetensors").exists():
            arrays, registers = out.arrays("states"), out.table("registers")
            figures["registers"] = registers_figure(arrays["places"], arrays["values"], arrays["shares"], registers)
        return figures

    def _untrained(self, run: Run, words: Words, seed: int) -> list[AtLength]:
        """Return what a program of the untrained network gets right, made even where the network is right no more often
        than constant outputs; [] if there is none."""
        settings: dict[str, Any] = {"rng": seed, "samples": self.samples, "tolerance": self.tolerance}
        try:
            program = distill_rnn(untrained_alike(run), run.task, require_learned=False, **settings)
        except DistillError:
            return []
        return of_program(program, run.task, words, "untrained")

    def _save_registers(self, program: RecurrentProgram, run: Run, out: Artifacts, seed: int) -> dict[str, float]:
        """Save the registers, and their values at hidden states projected onto two principal components; return the
        smallest share of states over registers at which the affine, or the better, read-out is right."""
        import pandas as pd

        if not program.registers:
            return {}
        observed = observe(run.model(), run.task, OBSERVED, seed)
        results = encodings(program, observed)
        rows = [
            {
                "register": register.name,
                "initial": register.initial,
                "update": statement_text(register.update),
                "r2": found.r2,
                "exact": found.exact,
                "nearest": found.nearest,
                "floor": found.floor,
                "held": found.held,
            }
            for register, found in zip(program.registers, results, strict=True)
        ]
        out.save_table("registers", pd.DataFrame(rows))
        count = max(1, DRAWN // observed.length)
        states = observed.states[:count].reshape(-1, observed.states.shape[2])
        values = register_values(program, observed.inputs[:count])
        places, shares = principal(states)
        numbers = np.stack([value.reshape(-1).astype(np.float64) for value in values.values()], 1)
        out.save_arrays("states", places=places, shares=shares, values=numbers)
        best = [max(found.exact, found.nearest or 0.0) for found in results]
        return {"worst_affine": min(found.exact for found in results), "worst_encoding": min(best)}


def untrained_alike(run: Run) -> torch.nn.Module:
    """Return the untrained network, with the sizes of the trained one where these are found by solving."""
    model = run.untrained()
    if getattr(model, "solve", None) is not None:
        load_weights(model, run.model().state_dict())
        with Streams(run.seed).globally("init"):
            for module in model.modules():
                if isinstance(module, torch.nn.Linear):
                    module.reset_parameters()
    return model


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


def _data(run: Run, words: Words) -> dict[str, Any]:
    """Return how many sequences, and how many distinct ones, the test split and the words of 10 letters have."""
    test = run.evaluation("test").inputs
    return {
        "test_sequences": len(test),
        "test_distinct": distinct(test.cpu().numpy()),
        "words_10": len(words.inputs),
        "distinct_10": words.distinct,
        "every_10": words.every,
        "unseen_10": words.unseen,
    }


def _known(program: RecurrentProgram, run: Run) -> list[str]:
    """Return what the docstring of program.py states: task, network, seed, the certificate, and where the registers can
    be read."""
    assert program.certificate is not None
    task = getattr(run.task.rule, "name", type(run.task).__name__)
    found = getattr(run.model(), "found", "")
    network = f"Task {task}; network {run_name(run.folder)}, seed {run.seed}{found and f' ({found})'}."
    return [network, evidence(program.certificate), _origin(program)]


def _origin(program: RecurrentProgram) -> str:
    """Return where the program's registers can be read, as a sentence."""
    if not program.registers:
        return "The program has no registers; it describes inputs and outputs alone."
    if program.origin != "states":
        return "Hidden states do not determine all registers; the program describes inputs and outputs alone."
    certificate = program.certificate
    assert certificate is not None
    read_out = "an affine read-out" if certificate.read_out == "affine" else "the nearest state"
    return f"Hidden states determine all registers on held-out words, by {read_out}."


def _counterexamples(rows: list[AtLength]) -> dict[str, str]:
    """Return the first counterexample of network and program, where there is one."""
    found = {}
    for row in rows:
        if row.counterexample and row.subject in ("network", "program"):
            found.setdefault(f"{row.subject}_counterexample", row.counterexample)
    return found


def _floats(scalars: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in scalars.items()}
