"""The rows of the table of MIPS tasks: for each task the network, its program, and what is known of both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mechlab.automata.mips_rules import RULES
from mechlab.core.model import Model
from mechlab.distill.recurrent.expression_text import statement_text
from mechlab.distill.recurrent.program import RecurrentProgram
from mechlab.distill.recurrent.program_data import program_from_data
from mechlab.distill.recurrent.program_text import right_on
from mechlab.distill.recurrent.verification import LENGTHS
from mechlab.record.files import read_json
from mechlab.record.sets import run_name

if TYPE_CHECKING:
    from mechlab.record.run import Run

DISTILL = "distill_rnn"
READ = (
    "result.json",
    "checkpoints/weights.safetensors",
    f"analyses/{DISTILL}/*.csv",
    f"analyses/{DISTILL}/program.json",
)
OUTCOMES = ("exact_1000", "exact_10", "exact_imperfect", "no_program", "imperfect", "no_run")  # the best first


@dataclass(frozen=True, eq=False)
class MipsRun:
    """A network that was trained on a MIPS task, with what `distill_rnn` found of it.

    Args:
        task: short name of the task.
        run: name of the run, `<task>-<model>/<run_id>-s<seed>`.
        seed: of the run.
        max_steps: optimiser steps of the training; 0 for weights that were found otherwise.
        sizes: hidden units and parameters; where f and g are lists of layers also depths and widths.
        test: metrics on the test split by name, without `test/`.
        scalars: those of `distill_rnn`.
        nulls: the nulls of its claims by slug.
        program: the program, or None.
        problem: why there is no program, or the program's first counterexample; empty if neither is the case.
    """

    task: str
    run: str
    seed: int
    max_steps: int
    sizes: Mapping[str, int]
    test: Mapping[str, float]
    scalars: Mapping[str, float]
    nulls: Mapping[str, float]
    program: RecurrentProgram | None
    problem: str

    @property
    def perfect(self) -> bool:
        """True if the network is right at all positions of all test sequences."""
        return self.test.get("exact", self.test.get("accuracy", math.nan)) == 1

    def exact(self, length: int) -> bool:
        """Return whether there is a program that is right on all sequences of this length and of the shorter ones."""
        return all(self.scalars.get(f"program_{n}") == 1 for n in LENGTHS if n <= length)

    @property
    def from_states(self) -> bool:
        """True if the hidden states determine all registers of the program, and it has some."""
        return self.program is not None and self.program.origin == "states"

    @property
    def outcome(self) -> str:
        """One of OUTCOMES; a program that is wrong on some sequence of 10 letters counts as none, and one that is right
        counts apart if the network is not perfect."""
        if self.exact(LENGTHS[0]) and not self.perfect:
            return "exact_imperfect"
        if self.exact(LENGTHS[-1]):
            return "exact_1000"
        if self.exact(LENGTHS[0]):
            return "exact_10"
        return "no_program" if self.perfect else "imperfect"

    def row(self) -> dict[str, Any]:
        """Return the columns of the table that are known."""
        row = {"outcome": self.outcome, "run": self.run, "seed": self.seed, "max_steps": self.max_steps, **self.sizes}
        row |= {"perfect": self.perfect}
        row |= {f"test_{name}": self.test[name] for name in ("accuracy", "exact") if name in self.test}
        row |= {name: self.scalars[name] for name in DATA}
        row |= {name: self.scalars[name] for name in _at_lengths("network", "constant")}
        row |= {name: self.scalars[name] for name in _at_lengths("untrained") if name in self.scalars}
        if self.program is not None:
            certificate = self.program.certificate
            assert certificate is not None
            row |= {"program": one_line(self.program), "lines": self.program.lines, "bits": self.program.size}
            row |= {"registers": len(self.program.registers), "status": self.program.status}
            row |= {"origin": certificate.origin, "read_out": certificate.read_out}
            row |= {name: self.scalars[name] for name in ("worst_affine", "worst_encoding") if name in self.scalars}
            row |= {name: self.scalars[name] for name in ("compared", "mismatches")}
            row |= {name: self.scalars[name] for name in _at_lengths("program", "agreement")}
        return row | {"problem": self.problem}


def _at_lengths(*subjects: str) -> tuple[str, ...]:
    return tuple(f"{subject}_{length}" for subject in subjects for length in LENGTHS)


DATA = ("test_sequences", "test_distinct", "words_10", "distinct_10", "every_10", "unseen_10")
COLUMNS = (
    *("number", "task", "outcome", "runs", "seeds", "run", "seed", "max_steps", "parameters", "hidden"),
    *("transition_depth", "readout_depth", "transition_width", "readout_width"),
    *("perfect", "test_accuracy", "test_exact", *DATA),
    *("program", "lines", "bits", "registers", "origin", "read_out", "worst_affine", "worst_encoding"),
    *("status", "compared", "mismatches"),
    *_at_lengths("program", "network", "agreement", "constant", "untrained"),
    "problem",
)
WHOLE = (
    *("runs", "seed", "max_steps", "parameters", "hidden", "transition_depth", "readout_depth", "transition_width"),
    *("readout_width", "test_sequences", "test_distinct", "words_10", "distinct_10", "every_10"),
    *("lines", "bits", "registers", "compared", "mismatches"),
)


def mips_run(run: Run) -> MipsRun:
    """Return what is known of a run."""
    results = run.results
    found = results["findings"][DISTILL]
    file = run.artifacts(DISTILL).folder / "program.json"
    program = program_from_data(read_json(file), str(file)) if found["scalars"]["distilled"] else None
    notes = found.get("notes", {})
    claims = found["claims"]
    return MipsRun(
        task=run.task.rule.name,
        run=run_name(run.folder),
        seed=run.seed,
        max_steps=int(run.config["trainer"]["max_steps"]),
        sizes=sizes_of(run.model()),
        test={name[5:]: value for name, value in results["metrics"].items() if name.startswith("test/")},
        scalars=found["scalars"],
        nulls={slug: claim["null"] for slug, claim in claims.items()},
        program=program,
        problem=notes.get("refused", notes.get("program_counterexample", "")),
    )


def sizes_of(model: torch.nn.Module) -> dict[str, int]:
    """Return the sizes of a network: parameters and components of the state; where f and g are lists of layers,
    as in `mlp_rnn`, their depths too, and the widths that are used."""
    sizes = {"parameters": sum(tensor.numel() for tensor in model.parameters())}
    if isinstance(model, Model) and hasattr(model, "initial_state"):
        sizes["hidden"] = model.initial_state(1).shape[1]
    for name in ("transition", "readout"):
        layers = getattr(model, name, None)
        if isinstance(layers, torch.nn.ModuleList):
            sizes[f"{name}_depth"] = len(layers)
            if len(layers) > 1:
                sizes[f"{name}_width"] = layers[0].out_features
    return sizes


def best(runs: Sequence[MipsRun]) -> dict[str, MipsRun]:
    """Return for each task the run with the best outcome (of a perfect network, if one has an exact program), of
    several the one with the fewest parameters, of several the first; in the order of the published table."""
    chosen: dict[str, MipsRun] = {}
    for run in runs:
        chosen[run.task] = min(chosen.get(run.task, run), run, key=_rank)
    return {name: chosen[name] for name in RULES if name in chosen}


def one_line(program: RecurrentProgram) -> str:
    """Return a program in one line: initial values, the update of all registers at once, and what is returned.

    >>> from mechlab.distill.recurrent.expressions import Name
    >>> from mechlab.distill.recurrent.program import Register
    >>> one_line(RecurrentProgram(("x",), (Register("s", 0, Name("s") + Name("x")),), (Name("s"),)))
    's = 0; for x: s = s + x; return s'
    """
    names = ", ".join(register.name for register in program.registers)
    start = f"{names} = {', '.join(str(register.initial) for register in program.registers)}; " if names else ""
    update = ", ".join(statement_text(register.update) for register in program.registers)
    outputs = ", ".join(map(statement_text, program.outputs))
    step = f"{names} = {update}; " if names else ""
    return f"{start}for {', '.join(program.inputs)}: {step}return {outputs}"


def programs_text(programs: Mapping[str, RecurrentProgram]) -> str:
    """Return a Python module that imports nothing, with a function `program_TASK` for each task, each after a comment
    on its certificate."""
    return "\n\n".join(f"{_remark(program)}\n{_renamed(program, name)}" for name, program in programs.items())


def _renamed(program: RecurrentProgram, name: str) -> str:
    return program.source.replace("def program(", f"def program_{name}(", 1)


def _remark(program: RecurrentProgram) -> str:
    found = program.certificate
    assert found is not None
    with_network = f"equals its network on {found.inputs - found.mismatches:,} of {found.inputs:,} sequences"
    return f"# {found.status}: {with_network};\n# {right_on(found)}"


def _rank(run: MipsRun) -> tuple[int, int]:
    return OUTCOMES.index(run.outcome), run.sizes["parameters"]
