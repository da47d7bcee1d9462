"""What commands print of findings."""

from __future__ import annotations

import pytest

from mechlab.core.analysis import Claim, Finding
from mechlab.jobs.console import folded, print_findings


@pytest.mark.parametrize(("interval", "shown"), [(None, "measured 0.02; null"), ((0, 0.07), "0.02 [0, 0.07]; null")])
def test_a_claim_is_printed_with_its_interval(interval, shown, capsys):
    claim = Claim("It is at most 0.05.", 0.02, 0.05, holds=False, kind="statistical", null=0.5, interval=interval)
    print_findings({"some": Finding({"a": 1}, {"c": claim}).as_dict()})
    assert shown in capsys.readouterr().out


def test_claims_of_older_records_have_no_interval(capsys):
    claim = Finding({}, {"c": Claim("It is.", 1, 1, holds=True, kind="exact")}).as_dict()["claims"]["c"]
    del claim["interval"]
    print_findings({"some": {"scalars": {}, "claims": {"c": claim}}})
    assert "holds: It is. (measured 1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("task: T  index=3  words=50  max_length=14", ["task: T  index=3", "    words=50", "    max_length=14"]),
        ("steps 60  val/loss 0.5  a 1", ["steps 60", "    val/loss 0.5", "    a 1"]),
        ("  holds: It is at most 1.", ["  holds: It is at", "    most 1."]),
        ("a/path/that/is/longer/than/any/line", ["a/path/that/is/longer/than/any/line"]),
    ],
)
def test_lines_are_folded_between_words_or_pairs(text, lines):
    assert folded(text, 17).split("\n") == lines
    assert folded(text, 100) == text


def test_a_scalar_that_is_no_number_is_printed_alike_before_and_after_it_is_recorded(capsys):
    notes = {"error": "error is NaN, as the spectra differ in rank."}
    for error in (float("nan"), None):  # JSON has null
        print_findings({"some": {"scalars": {"error": error, "rank": 3}, "claims": {}, "notes": notes}})
        out = capsys.readouterr().out
        assert "some: error NaN  rank 3" in out and notes["error"] in out
