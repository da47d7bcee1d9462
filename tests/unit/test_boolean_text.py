import itertools

import numpy as np
import planted_layers
import planted_programs as planted
import pytest
from planted_programs import WHOLE, at, term

from mechlab.distill import distill
from mechlab.distill.boolean_text import never_zero
from mechlab.distill.interpret import evaluate
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Block, Input, Program

NETWORKS = {
    "rule 110": (planted_layers.rule_110(7), (7,)),
    "rule 30": (planted_layers.ring(30, 7), (7,)),
    "rule 0": (planted_layers.ring(0, 5), (5,)),
    "circuit": (planted_layers.circuit(8, [6, 5, 2], 2, 0), (8,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_boolean_formulas_have_the_values_of_their_blocks(name):
    layers, shape = NETWORKS[name]
    program = distill(layers, shape, returns="bits")
    x = np.array(list(itertools.product((0, 1), repeat=shape[0])))
    values = evaluate(program, {"x": x})
    shown = 0
    for line in program.formula.splitlines():
        if "; positive if " not in line:
            continue
        shown += 1
        block, text = line.split(" = ")[0].split("[")[0], line.split("; positive if ")[1]
        for example in range(len(x)):
            truth = {key: value[example] > 0 for key, value in values.items()}
            for i in range(len(truth[block]) if truth[block].ndim else 1):
                expected = truth[block][i] if truth[block].ndim else truth[block]
                assert bool(eval(text, {"i": i}, truth)) == expected
    possible = sum(bool(block.terms) for block in program.blocks)
    assert shown == possible if name != "circuit" else 0 < shown <= possible  # some of its sums can be 0


def test_sums_over_all_positions_and_ties_have_no_boolean_formula():
    assert "positive" not in planted.orientation().formula
    tie = Block("m", (), (term(1, "x", at(None, 0)), term(-1, "x", at(None, 1))))
    count = Block("n", (), (term(1, "x", WHOLE),), Polynomial.of(-3))
    output = Block("y", (), (term(1, "m"), term(1, "n")), activation="linear")
    program = Program((Input("x", (Polynomial.of(5),)),), (tie, count, output), ("y",), "bits")
    assert "positive" not in program.formula
    assert not never_zero(tie) and never_zero(planted.ring().blocks[0])
