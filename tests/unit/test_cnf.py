"""Formulas: random ones, DIMACS files, literal matrices."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.core.errors import ConfigError
from mechlab.distill.cnf import CNF, binomial_formula, random_k_sat, read_dimacs


def test_the_literal_matrix_has_two_columns_for_each_variable():
    cnf = CNF(3, ((1, -3), (), (2, -2, 2)))
    assert cnf.clauses == ((1, -3), (), (2, -2))
    assert np.array_equal(cnf.literals(), [[1, 0, 0, 0, 0, 1], [0] * 6, [0, 0, 1, 1, 0, 0]])


def test_clauses_alone_give_the_number_of_variables():
    assert CNF.of([[1, -3], []]) == CNF(3, ((1, -3), ())) and CNF.of([]).variables == 0


@pytest.mark.parametrize("literal", [0, 4, -4])
def test_a_literal_names_a_variable(literal):
    with pytest.raises(ConfigError, match="literals must be"):
        CNF(3, ((1,), (literal,)))


def test_random_clauses_have_distinct_variables_and_fair_signs():
    cnf = random_k_sat(7, 4000, 3, np.random.default_rng(0))
    assert len(cnf.clauses) == 4000 and all(len({abs(v) for v in clause}) == 3 for clause in cnf.clauses)
    frequency = cnf.literals().mean(0)
    assert np.abs(frequency - 3 / 14).max() < 5 * np.sqrt(3 / 14 / 4000)
    with pytest.raises(ConfigError, match="longer"):
        random_k_sat(2, 5, 3, np.random.default_rng(0))


def test_lengths_of_binomial_clauses_are_binomial_without_empty_ones():
    cnf = binomial_formula(50, 5000, 3, np.random.default_rng(0))
    lengths = np.array([len(clause) for clause in cnf.clauses])
    assert lengths.min() == 1 and abs(lengths.mean() - 3 / (1 - 0.94**50)) < 5 * np.sqrt(3 / 5000)
    assert abs(0.5**lengths).mean() == pytest.approx((0.97**50 - 0.94**50) / (1 - 0.94**50), abs=0.01)
    with pytest.raises(ConfigError, match="mean length"):
        binomial_formula(3, 5, 4, np.random.default_rng(0))


def test_a_dimacs_file_is_read(tmp_path):
    text = "c a comment\n\np cnf 4 3\n 1 -2 0 3\n4 0 0\n%\n0\n"
    (tmp_path / "f.cnf").write_text(text)
    assert read_dimacs(tmp_path / "f.cnf") == CNF(4, ((1, -2), (3, 4), ()))


BAD = {
    "header `p cnf": "c nothing else\n",
    "first line that is no comment": "1 2 0\n",
    "no weights": "p wcnf 2 1 10\n3 1 0\n",
    "from -2 to 2": "p cnf 2 1\n1 3 0\n",
    "whole numbers": "p cnf 2 1\n1 x 0\n",
    "last clause must end in 0": "p cnf 2 1\n1 2\n",
    "there must be 2 clauses": "p cnf 2 2\n1 0\n",
}


@pytest.mark.parametrize("must", BAD)
def test_a_file_of_another_form_is_refused(tmp_path, must):
    (tmp_path / "f.cnf").write_text(BAD[must])
    with pytest.raises(ConfigError, match=must) as error:
        read_dimacs(tmp_path / "f.cnf")
    assert "f.cnf" in error.value.key


def test_weights_in_the_form_of_2022_are_refused(tmp_path):
    (tmp_path / "f.wcnf").write_text("c no header\nh 1 2 0\n3 -1 0\n")
    with pytest.raises(ConfigError, match="no weights"):
        read_dimacs(tmp_path / "f.wcnf")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="text file"):
        read_dimacs(tmp_path / "missing.cnf")
    (tmp_path / "f.cnf").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ConfigError, match="text file"):
        read_dimacs(tmp_path / "f.cnf")
