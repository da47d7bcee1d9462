"""The words of the report's command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_runs import write_runs

from mechlab.core.errors import ConfigError
from mechlab.reporting.request import Request, find_runs, parse


def test_words_become_a_request() -> None:
    assert parse(["runs=runs/*/*"]) == Request(("runs/*/*",))
    assert parse(["by=task", "out=a/b.html", "runs=[x,y]"]) == Request(("x", "y"), ("task",), Path("a/b.html"))
    assert parse(["runs=x", "by=[task,model.hidden]"]).by == ("task", "model.hidden")
    assert parse(["runs=x", "by=[task]"]).by == ("task",)


def test_brackets_of_a_glob_stay() -> None:
    assert parse(["runs=runs/*/*-s[0-2]"]).patterns == ("runs/*/*-s[0-2]",)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runs/*/*"], "key=value"),
        (["run=runs/*/*"], "did you mean 'runs'?"),
        (["runs=a", "ou=b"], "did you mean 'out'?"),
        (["runs=a", "runs=b"], "given once"),
        (["runs="], "must have a value"),
        (["by=task"], "name the runs"),
        (["runs=a", "out=folder"], "folder/report.html"),
        ([], 'runs="runs/*/*"'),
    ],
)
def test_bad_words_are_refused(words: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(words)
    assert told in str(refused.value)


def test_runs_are_found_by_glob_and_by_folder(tmp_path: Path) -> None:
    written = write_runs(tmp_path / "runs", runs=4, seeds=2)
    (tmp_path / "runs" / "_multirun" / "2026").mkdir(parents=True)
    for pattern in ("runs/*/*", "runs", "runs/*", "**", str(written[0].parent.parent)):
        assert find_runs([str(tmp_path / pattern)]) == sorted(written), pattern
    assert find_runs([str(written[0])]) == [written[0]]


def test_no_runs_is_an_error_that_knows_the_folder(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs=1)
    with pytest.raises(ConfigError, match=r"did you mean 'tomita-rnn'"):
        find_runs([str(tmp_path / "runs" / "tomita-rn" / "*")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"mechlab\.train makes runs"):
        find_runs([str(tmp_path / "empty" / "*")])
