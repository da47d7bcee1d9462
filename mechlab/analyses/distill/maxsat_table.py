"""A network as an algorithm for MAX-SAT, beside the classical ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch

from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Filled, Interval, above, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Task
from mechlab.distill.cnf import CNF, binomial_formula, parse_dimacs, random_k_sat, read_dimacs
from mechlab.distill.maxsat_comparison import Comparison, compared, scores, standard_error
from mechlab.distill.maxsat_optimum import check_solver
from mechlab.distill.maxsat_scorer import Scorer
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

ALGORITHMS = ("johnson", "optimum", "distilled", "greedy", "three_quarters", "random")
FEWEST = 30  # formulas for a claim
QUANTILE = 1.96  # of a normal distribution, for intervals of 95%
RATIOS = (4, 10)  # clauses for each variable
QUICK = 12  # variables up to which the optimum takes seconds


class MaxSatTable(Analysis):
    """The share of clauses that a network satisfies when it assigns one variable after the other, beside random,
    greedy, the randomised 3/4-approximation, the published distilled program, Johnson's algorithm and the optimum, on
    the same formulas. Differences from Johnson's algorithm are paired: their standard errors are those of the mean of
    the differences, formula by formula.

    The network scores both values of a formula's first variable and is used sequentially, as
    `mechlab.distill.maxsat_scorer` describes. Random formulas have as many variables as those that it was trained on.
    The algorithms are described in `mechlab.distill.maxsat`. The null of the claims is a random assignment.

    Args:
        instances: random formulas of each number of clauses.
        clauses: numbers of clauses; null for 4 and 10 for each variable, as far as the network has clause slots.
        formulas: "k_sat" for clauses of `length` distinct variables, "binomial" for binomially distributed lengths with
            the mean `length` before empty clauses are drawn again.
        length: of clauses, in literals.
        files: DIMACS files (.cnf), or their texts, in place of random formulas.
        trials: assignments of each formula, with new coins, whose mean share is its score.
        optimum: whether the optimum is computed; null for up to 12 variables. Past 16 it needs python-sat.
        tolerance: by how much the network may be worse than Johnson's algorithm, for the claim `near_johnson`; the
            claim `above_greedy` is that it is better than the greedy algorithm.

    Source: Blazek, Venkatesh and Lin, "Automated discovery of algorithms from data", Nature Computational Science 4
    (2024), arXiv 2111.08275, whose comparison lacks Johnson's algorithm; Johnson, J. Comput. System Sci. 9 (1974).
    """

    needs = Needs(kind="static", ground_truth=("clause preference",))
    headline = ("network", "network_minus_johnson")

    def __init__(
        self,
        instances: Annotated[int, between(2, 100_000)] = 500,
        clauses: Annotated[tuple[Annotated[int, at_least(1)], ...], Filled()] | None = None,
        formulas: Literal["k_sat", "binomial"] = "k_sat",
        length: Annotated[float, above(0)] = 3.0,
        files: Annotated[tuple[str, ...], Filled()] | None = None,
        trials: Annotated[int, between(1, 10_000)] = 10,
        optimum: bool | None = None,
        tolerance: Annotated[float, Interval(0, 1, open_high=True)] = 0.005,
    ):
        self.instances, self.clauses, self.formulas, self.length = instances, clauses, formulas, length
        self.files, self.trials, self.optimum, self.tolerance = files, trials, optimum, tolerance

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a configuration with the texts of files in place of their paths.

        The answer's identity and record thus hold the formulas. What cannot be read is left for `check` to refuse.
        """
        files = arguments.get("files")
        try:
            texts = [name if "\n" in name else Path(name).read_text(encoding="utf-8") for name in files or ()]
        except (OSError, UnicodeDecodeError, TypeError):
            return dict(arguments)
        return {**arguments, "files": texts} if texts else dict(arguments)

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Raise ConfigError, naming the config key, if the formulas do not fit the task, files cannot be read, or there
        is no solver for the optimum."""
        super().check(name, task_name, task, key, model)
        slots, variables = _size(task.spec.shape)
        if self.optimum:
            check_solver(variables, f"{key}.optimum")
        if self.files is not None:
            for file in self.files:
                cnf = _read(file)
                _check_size(len(cnf.clauses), cnf.variables, slots, variables, f"{key}.files")
            return
        for count in self.clauses or ():
            _check_size(count, variables, slots, variables, f"{key}.clauses")
        if self.formulas == "k_sat" and not float(self.length).is_integer():
            must = "clauses of k_sat formulas must have a whole number of literals"
            raise ConfigError(must, got=self.length, key=f"{key}.length")
        if self.length > variables:
            must = f"clauses must have at most {variables} literals, one for each variable of the task"
            raise ConfigError(must, got=self.length, key=f"{key}.length")

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Solve the formulas by every algorithm; save a table."""
        import pandas as pd

        shape = slots, variables = _size(run.spec.shape)
        cnfs = self._cnfs(slots, variables, rng)
        optimum = variables <= QUICK if self.optimum is None else self.optimum
        names = [name for name in ALGORITHMS if name != "optimum" or optimum]
        values = {"network": scores(cnfs, network_scorer(run.model(), shape), rng, self.trials)}
        values |= {name: scores(cnfs, name, rng, self.trials) for name in names}
        overall = compared(values)
        rows = [{"clauses": "all", **vars(row)} for row in overall]
        sizes = np.array([len(cnf.clauses) for cnf in cnfs])
        for size in () if self.files else sorted(set(sizes.tolist())):
            part = compared({name: own[sizes == size] for name, own in values.items()})
            rows += [{"clauses": str(size), **vars(row)} for row in part]
        out.save_table("algorithms", pd.DataFrame(rows))
        scalars = {row.algorithm: row.score for row in overall}
        scalars |= {f"{row.algorithm}_minus_johnson": row.difference for row in overall if row.algorithm != "johnson"}
        table = f"Mean share of satisfied clauses of {len(cnfs)} formulas, and paired differences, ± standard errors:"
        notes = {"table": table, **{row.algorithm: _line(row) for row in overall}}
        if len(cnfs) < FEWEST:
            return Finding(scalars, {}, notes | {"few": f"Claims need {FEWEST} formulas; there are {len(cnfs)}."})
        claims = self._claims(values)
        low, high = claims["near_johnson"].interval
        scalars |= {"network_minus_johnson_low": low, "network_minus_johnson_high": high}
        return Finding(scalars, claims, notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the differences from Johnson's algorithm."""
        from mechlab.plotting.maxsat_table import differences_figure

        return {"differences": differences_figure(out.table("algorithms"), self.tolerance)}

    def _cnfs(self, slots: int, variables: int, rng: np.random.Generator) -> list[CNF]:
        if self.files is not None:
            return [_read(file) for file in self.files]
        counts = self.clauses or sorted({min(ratio * variables, slots) for ratio in RATIOS})
        if self.formulas == "binomial":
            return [binomial_formula(variables, m, self.length, rng) for m in counts for _ in range(self.instances)]
        return [random_k_sat(variables, m, int(self.length), rng) for m in counts for _ in range(self.instances)]

    def _claims(self, values: Mapping[str, np.ndarray]) -> dict[str, Claim]:
        claims = {}
        for slug, other, words, least in (
            (
                "near_johnson",
                "johnson",
                f"at least that of Johnson's algorithm minus {self.tolerance:g}",
                -self.tolerance,
            ),
            ("above_greedy", "greedy", "above that of the greedy algorithm", 0.0),
        ):
            pairs = values["network"] - values[other]
            ends = tuple(pairs.mean() + side * QUANTILE * standard_error(pairs) for side in (-1, 1))
            claims[slug] = Claim(
                f"The mean score of the network is {words}, on the same {len(pairs)} formulas; the value is the "
                "difference, with a 95% interval over formulas.",
                value=float(pairs.mean()),
                threshold=least,
                holds=bool(ends[0] > least),
                kind="statistical",
                null=float((values["random"] - values[other]).mean()),
                interval=ends,
            )
        return claims


def _line(row: Comparison) -> str:
    """Return a row of the table as printed, with standard errors where there are several formulas."""
    score, difference = (
        f"{value:{sign}.4f}" + ("" if math.isnan(error) else f" ± {error:.4f}")
        for value, error, sign in ((row.score, row.error, ""), (row.difference, row.difference_error, "+"))
    )
    return f"{row.algorithm:14}  {score}  minus Johnson {difference}"


def network_scorer(model: torch.nn.Module, shape: tuple[int, int]) -> Scorer:
    """Return a network as a scorer of formulas up to its size, in float64.

    Args:
        model: maps literal matrices (B, slots, 2 variables) to scores (B, 2).
        shape: slots and variables.
    """
    network = copy.deepcopy(model).to(device="cpu", dtype=torch.float64).eval()

    @torch.no_grad()
    def score(matrices: np.ndarray) -> np.ndarray:
        slots, columns = matrices.shape[1:]
        padded = np.pad(matrices, ((0, 0), (0, shape[0] - slots), (0, 2 * shape[1] - columns)))
        return network(torch.from_numpy(padded)).numpy()

    return score


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the numbers of clause slots and variables of literal matrices."""
    return shape[0], shape[1] // 2


def _read(file: str) -> CNF:
    return parse_dimacs(file) if "\n" in file else read_dimacs(file)


def _check_size(clauses: int, names: int, slots: int, variables: int, key: str) -> None:
    """Raise ConfigError if a formula has more clauses or variables than those of the task."""
    if clauses > slots or names > variables:
        must = f"formulas must have at most {slots} clauses and {variables} variables, as those of the task"
        got = f"{clauses} clauses, {names} variables"
        raise ConfigError(must, got=got, key=key, fix="choose larger task.slots and task.variables")
