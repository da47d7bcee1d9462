"""Where answers about sets of runs are, and which expected numbers they have."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

from mechlab.config.schema import Expected
from mechlab.jobs import sets as jobs_sets
from mechlab.record.sets import place

NUMBER = Expected(published=0.5, tolerance=0.1, source="a table")


def about(expected: Expected) -> dict:
    return {"analysis": "seeds", "runs": {"a-b/c-s0": {"files": {}}}, "expected": {"seeds/rank": asdict(expected)}}


def test_words_about_an_expected_number_leave_an_answer_in_its_place(tmp_path):
    folder = place(tmp_path, about(NUMBER))
    assert place(tmp_path, about(replace(NUMBER, quantity="rank", correction="none", reason="another seed"))) == folder
    assert place(tmp_path, about(replace(NUMBER, tolerance=0.2))) != folder
    fields = {"published": 0.5, "corrected": None, "tolerance": 0.1, "source": "a table"}
    text = json.dumps({**about(NUMBER), "expected": {"seeds/rank": fields}}, sort_keys=True)
    assert folder.parent.name == hashlib.sha256(text.encode()).hexdigest()[:10]


def test_runs_agree_on_a_number_whatever_is_written_about_it(tmp_path, monkeypatch):
    configs = {
        "old": {"seeds/rank": {"published": 0.5, "tolerance": 0.1}, "seeds/error": {"published": 1.0}},
        "new": {"seeds/rank": asdict(NUMBER), "seeds/error": {"published": 2.0}, "other/rank": {"published": 3.0}},
    }
    monkeypatch.setattr(jobs_sets, "stored_config", lambda folder: {"expected": configs[folder.name]})
    assert jobs_sets._expected("seeds", [tmp_path / "old", tmp_path / "new"]) == {"seeds/rank": NUMBER}
