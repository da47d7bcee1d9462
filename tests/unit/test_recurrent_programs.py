"""Integer expressions and the programs that read sequences with them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec
from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.expression_text import statement_text, text
from mechlab.distill.recurrent.expressions import (
    OPERATORS,
    Expression,
    Name,
    Number,
    Operation,
    Table,
    bits,
    evaluate,
    names,
    operation,
    substitute,
)
from mechlab.distill.recurrent.observed import observe
from mechlab.distill.recurrent.program import RecurrentProgram, Register
from mechlab.distill.recurrent.program_data import from_data, program_from_data, program_to_data, to_data
from mechlab.distill.recurrent.program_text import program_text
from mechlab.distill.recurrent.shortening import shortened
from mechlab.distill.recurrent.simplifying import simplify
from mechlab.distill.recurrent.verification import verify

X, S, T, V, Y = (Name(name) for name in ("x", "s", "t", "v", "y"))
TOTAL = RecurrentProgram(("x",), (Register("s", 0, (S + X) % 3),), (S,))


def random_expression(choose: random.Random, depth: int) -> Expression:
    if depth == 0 or choose.random() < 0.15:
        numbers = [Number(choose.randint(-3, 9)), Number(choose.choice([2**62, 2**70, -(2**63)]))]
        return choose.choice([X, S, T, X, S, numbers[0], numbers[choose.random() < 0.1]])
    operator = choose.choice([*OPERATORS, "+", "-", "*", "%", "//", "table"])
    if operator == "table":
        return Table(tuple(choose.randint(-4, 4) for _ in range(4)), random_expression(choose, depth - 1) % 4)
    if operator in ("//", "%"):
        return operation(operator, random_expression(choose, depth - 1), choose.randint(1, 9))
    count = OPERATORS[operator].operands
    return Operation(operator, tuple(random_expression(choose, depth - 1) for _ in range(count)))


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_python(seed: int) -> None:
    choose = random.Random(seed)
    letters = {name: [choose.randint(-6, 6) for _ in range(12)] for name in "xst"}
    letters["t"] = [value * 2**60 for value in letters["t"]]
    arrays = {name: np.array(values) for name, values in letters.items()}
    for _ in range(200):
        expression = random_expression(choose, choose.randint(1, 4))
        shorter = simplify(expression)
        assert bits(shorter) <= bits(expression)
        values, kept = evaluate(expression, arrays), evaluate(shorter, arrays)
        for k in range(12):
            point = {name: column[k] for name, column in letters.items()}
            expected = eval(statement_text(expression), {}, point)
            assert int(values[k]) == int(kept[k]) == expected, text(expression)
        assert from_data(json.loads(json.dumps(to_data(expression)))) == expression


@pytest.mark.parametrize(
    ("expression", "short"),
    [
        ((2 * X + 4) % 2, "0"),
        ((3 * X + S - 2 * X + 7) - X, "s + 7"),
        ((4 * X + S) // 4, "x + s // 4"),
        ((X % 6 + S) % 3, "(x + s) % 3"),
        ((S + 6 * X) % 7, "(s - x) % 7"),
        (operation("not", operation("<", X, S)), "x >= s"),
        (operation("<", 2 * X + 3, 4 * S), "x < 2 * s - 1"),
        (operation("==", 2 * X, 2 * S + 1), "0"),
        (operation(">", Number(4), X), "x <= 3"),
        (0 - X, "-x"),
        (Table((5, 5), X), "5"),
    ],
)
def test_simple_forms(expression: Expression, short: str) -> None:
    assert text(simplify(expression)) == short


def test_text_has_the_parentheses_that_python_needs() -> None:
    assert text(X - (S - T)) == "x - (s - t)"
    assert text(X * ((S // 2) * T)) == "x * (s // 2 * t)"
    assert text(operation("==", operation("<", X, S), T)) == "(x < s) == t"
    assert text(operation("xor", operation("==", X, S), T)) == "(x == s) ^ t"
    assert (
        text(operation("if", operation("and", X, S), operation("if", X, 1, 2), 3))
        == "(1 if x else 2) if x and s else 3"
    )
    assert statement_text(operation("or", operation("<", X, S), T)) == "int(x < s or t)"
    assert statement_text(X + operation("<", X, S)) == "x + (x < s)"


def test_wrong_expressions_are_refused() -> None:
    for make in (
        lambda: X // 0,
        lambda: operation("%", X, S),
        lambda: operation("**", X, 2),
        lambda: operation("+", X),
    ):
        with pytest.raises(ValueError, match=r"divisor|operator"):
            make()
    for data in (1.5, True, [], ["+", 1], ["table", [1.5], "x"], ["table", "12", "x"], {"x": 1}, [["+"], 1, 2]):
        with pytest.raises(ValueError):
            from_data(data)
    deep: Any = "x"
    for _ in range(200):
        deep = ["abs", deep]
    with pytest.raises(ValueError, match="no expression"):
        from_data(deep)
    with pytest.raises(IndexError):
        evaluate(Table((1, 2), X), {"x": np.array([0, 2])})
    with pytest.raises(IndexError):
        evaluate(Table((1, 2), X), {"x": np.array([0, 2**70], object)})


def test_names_and_substitution() -> None:
    expression = Table((0, 1, 2), (X + S) % 3)
    assert names(expression) == {"x", "s"}
    assert text(substitute(expression, {"s": X * 2})) == "(0, 1, 2)[(x + x * 2) % 3]"


def run_source(program: RecurrentProgram, xs: list) -> list:
    scope: dict[str, Any] = {}
    exec(program.source, {"__builtins__": {"int": int, "min": min, "max": max, "abs": abs}}, scope)
    return scope["program"](xs)


PROGRAMS = {
    "delays": ((Register("s", 3, T), Register("t", 5, X)), (S, operation("==", S, X))),
    "swap": ((Register("s", 0, T), Register("t", 1, S + T)), (S,)),
    "sums": ((Register("v", 0, V + X), Register("y", 0, Y + V + X)), (Y,)),
    "doubling": ((Register("s", 1, 3 * S + X),), (S, S % 7)),
    "table": ((Register("s", 0, Table((1, 2, 0), S)),), (Table((4, -5, 6), S), operation("<", X, S))),
    "none": ((), (operation("abs", X),)),
    "spare": ((Register("t", 11, S + 11), Register("s", 0, operation("abs", X)), Register("v", 2, X)), (S - T + 11,)),
    "twice": ((Register("s", 0, S + X), Register("t", 0, T + X), Register("v", 4, V)), (S + T - V,)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_text_and_short_form_compute_what_the_program_does(name: str) -> None:
    registers, outputs = PROGRAMS[name]
    program = RecurrentProgram(("x",), registers, outputs)
    words = np.random.default_rng(0).integers(-5, 6, (4, 100, 1))
    values = dict.fromkeys((), 0) | {register.name: register.initial for register in registers}
    expected = []
    for letter in words[0, :, 0].tolist():
        seen = values | {"x": letter}
        values = {register.name: int(eval(text(register.update), {}, seen)) for register in registers}
        expected.append([int(eval(text(output), {}, values | {"x": letter})) for output in outputs])
    short = shortened(program)
    assert short.size <= program.size
    for each in (program, short):
        assert each(words[0]).tolist() == each(words)[0].tolist() == expected
        printed = run_source(each, words[0, :, 0].tolist())
        assert [list(row) if len(outputs) > 1 else [row] for row in printed] == expected
        assert each.lines == len([line for line in each.source.splitlines() if line]) - 1
        assert program_from_data(json.loads(json.dumps(program_to_data(each)))) == each


def test_short_programs_are_as_expected() -> None:
    assert len(shortened(RecurrentProgram(("x",), *PROGRAMS["spare"])).registers) == 2
    assert len(shortened(RecurrentProgram(("x",), *PROGRAMS["twice"])).registers) == 1
    assert "        v = v + x\n        y = y + v\n" in RecurrentProgram(("x",), *PROGRAMS["sums"]).source
    assert "        s, t = t, s + t\n" in RecurrentProgram(("x",), *PROGRAMS["swap"]).source


def test_one_channel_may_be_flat() -> None:
    word = [1, 2, 2, 0]
    assert TOTAL(word).tolist() == TOTAL(np.array(word)[:, None])[:, 0].tolist() == run_source(TOTAL, word)
    assert TOTAL([]).shape == (0,) and TOTAL(np.array([2**70, 1], dtype=object)).tolist() == [
        2**70 % 3,
        (2**70 + 1) % 3,
    ]
    pair = replace(TOTAL, outputs=(S, X))
    assert pair(word).tolist() == pair([[x] for x in word]).tolist() and pair(word).shape == (4, 2)
    assert TOTAL(np.ones((3, 5, 1), int)).shape == (3, 5, 1)
    with pytest.raises(ValueError, match=r"\(T, 1\), or \(T,\)"):
        TOTAL(np.ones((3, 5), int))


def test_no_text_ends_the_docstring() -> None:
    scope: dict[str, Any] = {}
    known = ['a """ and \\ and \n""" + 1', "b" * 300]
    exec(program_text(TOTAL, known), scope)
    assert scope["program"]([1, 1]) == [1, 2] and "a ''' and / and" in scope["program"].__doc__


def test_several_channels() -> None:
    carry = RecurrentProgram(("a", "b"), (Register("v", 0, Name("a") + Name("b") + V // 10),), (V % 10,))
    digits = [(9, 1), (9, 0), (0, 0)]
    assert carry(digits).ravel().tolist() == run_source(carry, digits) == [0, 0, 1]
    with pytest.raises(ValueError, match="inputs must be"):
        carry([[1], [2]])
    with pytest.raises(ValueError, match="inputs must be"):
        carry([1, 2])


def test_wrong_programs_are_refused() -> None:
    for registers, outputs, word in (
        ((), (), "distinct"),
        ((), (S,), "defined"),
        ((Register("x", 0, X),), (X,), "distinct"),
        ((Register("for", 0, X),), (X,), "distinct"),
        ((Register("xs", 0, X),), (X,), "distinct"),
        ((Register("__import__", 0, X),), (X,), "distinct"),
    ):
        with pytest.raises(ValueError, match=word):
            RecurrentProgram(("x",), registers, outputs)
    data = program_to_data(TOTAL)
    for change in (
        {"format": "other"},
        {"outputs": ["q"]},
        {"registers": [{"name": "s", "initial": 0.5, "update": "x"}]},
        {"registers": "s"},
        {"certificate": {"status": "sure", "inputs": 1}},
        {"certificate": {"status": "tested", "inputs": 1, "other": 2}},
        {"certificate": {"status": "tested", "inputs": 1, "origin": "dreams"}},
        {"certificate": {"status": "tested", "inputs": 1, "network_lengths": [[10, "all", 0]]}},
    ):
        with pytest.raises(ConfigError, match="must hold a program"):
            program_from_data(data | change)


@dataclass(frozen=True)
class Sums:
    """The rule: the sum of all letters modulo 3."""

    low: int = 0
    high: int = 2
    channels: int = 1
    late: int = 10**9  # from this position on the rule returns 0

    def targets(self, inputs: np.ndarray) -> np.ndarray:
        place = np.arange(inputs.shape[1])[:, None]
        return np.where(place < self.late, np.cumsum(inputs, 1) % 3, 0)


@dataclass(frozen=True)
class SumsTask:
    rule: Sums
    length: int = 8

    def integers(self, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 3, (n, length, 1))


class SumsNetwork(SequenceModel):
    """Sums modulo 3 with a little noise; one too much where a wrong network's sum is 15 or more."""

    def __init__(self, wrong: bool = False):
        super().__init__(TaskSpec(inputs=1, outputs=1, kind="sequence", loss="mse"))
        self.wrong = wrong

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        total = state + x
        return total % 3 + 0.2 * torch.sin(total) + (total > 14) * self.wrong, total


def test_certificates_of_agreement() -> None:
    certificate = TOTAL.verify(SumsNetwork(), SumsTask(Sums()), samples=500)
    assert certificate.status == "lossless"
    assert certificate.inputs == 3**8
    assert certificate.lengths == ((10, 500, 0), (100, 50, 0), (1000, 50, 0))
    assert certificate.counterexample == ()
    assert certificate.network_lengths == certificate.lengths
    assert (certificate.origin, certificate.read_out) == ("states", "nearest")  # the state is the sum
    sampled = verify(TOTAL, SumsNetwork(), SumsTask(Sums(), length=20), samples=500)
    assert (sampled.status, sampled.inputs) == ("tested", 500)
    certified = TOTAL.certified(sampled)
    assert (certified.status, certified.origin, TOTAL.origin) == ("tested", "states", None)
    assert program_from_data(json.loads(json.dumps(program_to_data(certified)))) == certified


def test_a_network_that_differs_is_refused_or_counted() -> None:
    task = SumsTask(Sums())
    with pytest.raises(
        DistillError, match=r"after \[1, 2, 2, 2, 2, 2, 2, 2\] the program returns \[0\], the network \[1\]"
    ):
        TOTAL.verify(SumsNetwork(wrong=True), task, samples=100)
    certificate = TOTAL.verify(SumsNetwork(wrong=True), task, samples=100, tolerance=2e-3)
    assert certificate.status == "tested"
    assert certificate.mismatches == 9  # sums of 15 and 16
    with pytest.raises(DistillError):
        TOTAL.verify(SumsNetwork(wrong=True), task, samples=100, tolerance=1e-3)
    outside = replace(TOTAL, outputs=(Table((0, 1), S),))
    with pytest.raises(DistillError, match="outside its table"):
        outside.verify(SumsNetwork(), task, samples=100)


def test_differences_from_the_rule_are_counted_at_each_length() -> None:
    certificate = TOTAL.verify(SumsNetwork(), SumsTask(Sums(late=50)), samples=100)
    assert [wrong for *_, wrong in certificate.lengths] == [0, 10, 10]
    assert 50 < len(certificate.counterexample) <= 60
    word = np.array(certificate.counterexample)
    assert (TOTAL(word)[:-1] == Sums(late=50).targets(word[None])[0, :-1]).all()
    assert (TOTAL(word)[-1] != 0).all()


def test_a_network_that_forgets_is_compared_at_each_length() -> None:
    class Forgetful(SumsNetwork):
        def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            output, total = super().step(x, state)
            return torch.where(total < 90, output, torch.zeros_like(output)), total

    certificate = TOTAL.verify(Forgetful(), SumsTask(Sums()), samples=200)
    assert [wrong for *_, wrong in certificate.lengths] == [0, 0, 0]
    short, middle, long = certificate.network_lengths
    assert (short[2], long) == (0, (1000, 20, 20))
    assert middle[2] > 0


@pytest.mark.parametrize("samples", [0, 1, 99])
def test_certificates_on_few_samples_are_refused(samples: int) -> None:
    with pytest.raises(ConfigError, match="samples must be at least 100"):
        TOTAL.verify(SumsNetwork(), SumsTask(Sums()), samples=samples)


def test_seeds_are_recorded() -> None:
    task = SumsTask(Sums(late=50), length=20)
    for rng in (7, np.int64(7)):
        assert TOTAL.verify(SumsNetwork(), task, samples=100, rng=rng).seed == 7
    drawn = TOTAL.verify(SumsNetwork(), task, samples=100, rng=np.random.default_rng(5))
    assert drawn.seed not in (0, 5)
    assert TOTAL.verify(SumsNetwork(), task, samples=100, rng=drawn.seed) == drawn
    assert type(drawn.seed) is int


def test_observations() -> None:
    observed = observe(SumsNetwork(), SumsTask(Sums()), samples=50, rng=1)
    assert observed.inputs.shape == observed.outputs.shape == (50, 8, 1)
    assert observed.states.shape == (50, 8, 1)
    assert observed.initial.shape == (1,)
    assert (observed.outputs == Sums().targets(observed.inputs)).all()
    assert (observed.names, observed.letters, observed.length) == (("x",), 3, 8)
    again = observed.query(observed.inputs[:3, :4])
    assert (again.states == observed.states[:3, :4]).all()
    with pytest.raises(ConfigError, match="integer sequences"):
        observe(SumsNetwork(), object())

    class Infinite(SumsNetwork):
        def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            output, state = super().step(x, state)
            return output / 0, state / 0

    with pytest.raises(DistillError, match="finite"):
        observe(Infinite(), SumsTask(Sums()))
