"""Answers with other parameters lie apart, and one takes the place of another as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from mechlab.core.errors import RunError
from mechlab.record import answers
from mechlab.record.files import write_json

CONFIGURED = {"_target_": "x.Extraction", "method": "clusters", "lengths": [1, 2]}


def folder(parameters: dict, seed: int | None = None) -> str:
    return answers.place(Path("run"), "extraction", parameters, CONFIGURED, seed).name


def test_the_configured_question_has_the_plain_name() -> None:
    assert folder(CONFIGURED) == folder({**CONFIGURED, "lengths": (1, 2)}) == "extraction"


def test_other_parameters_and_other_seeds_have_folders_of_their_own() -> None:
    names = [folder({**CONFIGURED, "method": "lstar"}), folder(CONFIGURED, 5), folder(CONFIGURED, 6)]
    names.append(folder({**CONFIGURED, "method": "lstar"}, 5))
    assert len({*names, "extraction"}) == 5
    assert all(name.startswith("extraction@") for name in names)
    assert names[0] == folder({"method": "lstar", "lengths": (1, 2), "_target_": "x.Extraction"})  # in any order


def test_differences_are_parameters_and_the_seed() -> None:
    other = {**CONFIGURED, "method": "lstar"}
    assert answers.differences(other, CONFIGURED, 5) == {"method": "lstar", "seed": 5}
    assert answers.differences({**CONFIGURED, "lengths": (1, 2)}, CONFIGURED, None) == {}


def answer(path: Path, text: str, moments: tuple[str, ...] = ()) -> Path:
    """Write an answer with one table, and answers about other moments below it."""
    path.mkdir(parents=True)
    (path / "table.csv").write_text(text)
    write_json(path / "finding.json", {"scalars": {}, "claims": {}, "files": answers.digests(path)})
    for moment in moments:
        answer(path / "moments" / moment, f"at {moment}")
    return path


def texts(run: Path) -> dict[str, str]:
    return {str(path.relative_to(run)): path.read_text() for path in sorted(run.rglob("*.csv"))}


WANTED = {"analyses/a/moments/0/table.csv": "at 0", "analyses/a/table.csv": "new"}


@pytest.mark.parametrize("fails", range(5))
def test_a_replacement_is_completed_wherever_it_stops(
    fails: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, made = tmp_path / "run", answer(tmp_path / "made", "new")
    place, calls, rename = answer(run / "analyses" / "a", "old", ("0",)), [], Path.rename

    def stops(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == fails:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", stops)
        try:
            answers.replace(place, made)
        except KeyboardInterrupt:
            assert fails
        else:
            assert not fails and len(calls) == 4
    begun = not answers.is_complete(run)
    assert begun == (fails > 1)
    answers.complete(run)
    assert answers.is_complete(run)
    assert texts(run) == WANTED if fails != 1 else texts(run)["analyses/a/table.csv"] == "old"
    assert answers.read_finding(place)["files"]


def test_a_file_of_an_answer_that_changed_or_is_gone_is_refused(tmp_path: Path) -> None:
    place = answer(tmp_path / "analyses" / "a", "1")
    answers.read_finding(place)
    (place / "table.csv").write_text("2")
    with pytest.raises(RunError, match="as it was written"):
        answers.read_finding(place)
    (place / "table.csv").unlink()
    with pytest.raises(RunError, match="must be there"):
        answers.read_finding(place)
    damaged: list = []
    assert answers.read_findings(tmp_path, damaged) == {} and len(damaged) == 1
