"""A frozen sweep is found again under the same id as long as nothing that it holds has changed."""

import importlib
import json
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlab.automata.definition import from_definition, to_definition
from mechlab.automata.tomita import tomita
from mechlab.config.launch import config_dir
from mechlab.core.errors import ConfigError, RunError
from mechlab.sweeps.manifest import Job, code_path, freeze, is_sweep, load
from mechlab.sweeps.planning import plan_sweep
from mechlab.sweeps.slurm import ranges

PACKAGES = {"torch": "2.0"}
COPY = ("task.d=2", "task.s=2", "model.hidden=4")


def jobs_of(*users: str) -> list[Job]:
    """Return two jobs that allow these packages."""
    config = {"analysis": {}, "paths": {"root": "runs"}, "allow_targets": list(users)}
    return [Job(i, f"a-b/0123456789-s{i}", "0123456789", [f"seed={i}"], {**config, "seed": i}) for i in range(2)]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's package, and a user's module of one file."""
    folder = tmp_path / "users"
    (folder / "own_package").mkdir(parents=True)
    (folder / "own_package" / "__init__.py").write_text("A = 1\n")
    (folder / "own_package" / "words.txt").write_text("data\n")
    (folder / "own_module.py").write_text("B = 1\n")
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    yield folder
    for name in ("own_package", "own_module"):
        sys.modules.pop(name, None)


def test_freezing_the_same_again_gives_the_same_sweep_and_writes_nothing(tmp_path):
    first = freeze(tmp_path, jobs_of(), "abc", "a patch", PACKAGES)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert freeze(tmp_path, jobs_of(), "abc", "a patch", PACKAGES) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert [path.name for path in (tmp_path / "_sweeps").iterdir()] == [first.id], "no temporary folder is left"


def test_the_folder_of_the_runs_is_not_part_of_the_id(tmp_path):
    elsewhere = [replace(job, config={**job.config, "paths": {"root": "elsewhere"}}) for job in jobs_of()]
    assert (
        freeze(tmp_path / "a", jobs_of(), None, "", PACKAGES).id
        == freeze(tmp_path / "b", elsewhere, None, "", PACKAGES).id
    )


@pytest.mark.parametrize(
    ("jobs", "packages"),
    [
        (jobs_of()[:1], PACKAGES),
        ([replace(job, config={**job.config, "callbacks": {"x": {}}}) for job in jobs_of()], PACKAGES),
        (jobs_of(), {"torch": "2.1"}),
    ],
    ids=["fewer jobs", "another callback", "another version of a package"],
)
def test_what_a_job_does_or_runs_with_is_part_of_the_id(jobs, packages, tmp_path):
    assert freeze(tmp_path, jobs_of(), None, "", PACKAGES).id != freeze(tmp_path, jobs, None, "", packages).id


@pytest.mark.parametrize("file", ["own_package/__init__.py", "own_package/words.txt", "own_module.py"])
def test_changed_code_is_another_sweep_and_the_first_keeps_its_copy(file, own, tmp_path):
    jobs = jobs_of("own_package", "own_module.Class")
    first = freeze(tmp_path / "runs", jobs, None, "", PACKAGES)
    content = (own / file).read_text()
    (own / file).write_text("changed\n")
    second = freeze(tmp_path / "runs", jobs, None, "", PACKAGES)
    assert first.id != second.id
    assert [(sweep.folder / "code" / file).read_text() for sweep in (first, second)] == [content, "changed\n"]


def test_the_copy_holds_mechlab_its_configuration_and_the_users_packages(own, tmp_path):
    sweep = freeze(tmp_path / "runs", jobs_of("own_package", "own_module"), None, "a patch", PACKAGES)
    code = sweep.folder / "code"
    for path in ("mechlab/sweep.py", "mechlab/core/claim.py", "own_package/words.txt", "own_module.py"):
        assert (code / path).is_file(), path
    kept = {path.relative_to(code / "mechlab" / "conf") for path in (code / "mechlab" / "conf").rglob("*.yaml")}
    assert kept == {path.relative_to(config_dir()) for path in config_dir().rglob("*.yaml")}
    assert not list(code.rglob("__pycache__"))
    assert (sweep.folder / "code.patch").read_text() == "a patch"
    assert code_path(sweep).split(":")[0] == str(code)


def test_a_package_that_python_does_not_find_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError, match="must name packages that Python finds") as caught:
        freeze(tmp_path / "runs", jobs_of("no_such_package"), None, "", PACKAGES)
    assert (caught.value.got, caught.value.key) == ("no_such_package", "allow_targets")
    assert not (tmp_path / "runs").exists()


def test_a_sweep_is_found_by_its_id_its_folder_and_its_manifest(tmp_path):
    sweep = freeze(tmp_path, jobs_of(), "abc", "", PACKAGES)
    for name in (sweep.id, sweep.folder, sweep.folder / "manifest.jsonl"):
        assert load(name, tmp_path) == sweep
        assert is_sweep([str(name)], tmp_path)
    assert not is_sweep([sweep.id, "seed=1"], tmp_path) and not is_sweep(["seed=1"], tmp_path)


def test_an_unknown_sweep_is_refused_with_the_closest_id(tmp_path):
    with pytest.raises(ConfigError, match=r"mechlab\.sweep plan OVERRIDES makes one"):
        load("0123", tmp_path)
    sweep = freeze(tmp_path, jobs_of(), None, "", PACKAGES)
    with pytest.raises(ConfigError, match=f"did you mean '{sweep.id}'"):
        load(sweep.id[:-1] + "x", tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]\n", b'{"index": 0}\n', b"\xff\xfe"])
def test_a_damaged_manifest_is_refused_by_name(content, tmp_path):
    sweep = freeze(tmp_path, jobs_of(), None, "", PACKAGES)
    path = sweep.folder / "manifest.jsonl"
    path.write_bytes(content)
    with pytest.raises(RunError, match="one JSON object per line") as caught:
        load(sweep.id, tmp_path)
    assert caught.value.key == str(path)
    assert "plan it again" in caught.value.fix


def test_a_manifest_that_was_cut_in_the_middle_of_a_line_is_refused(tmp_path):
    sweep = freeze(tmp_path, jobs_of(), None, "", PACKAGES)
    path = sweep.folder / "manifest.jsonl"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(RunError, match="one JSON object per line"):
        load(sweep.id, tmp_path)


def test_chunks_are_the_jobs_in_order_and_the_last_may_be_smaller(tmp_path):
    sweep = freeze(tmp_path, jobs_of(), None, "", PACKAGES)
    sweep = replace(sweep, jobs=[replace(sweep.jobs[0], index=i) for i in range(5)])
    assert [[job.index for job in sweep.chunk(number, 2)] for number in range(4)] == [[0, 1], [2, 3], [4], []]


def test_a_plan_has_each_run_once_whatever_spells_it(tmp_path):
    root = f"paths.root={tmp_path}"
    sweep = plan_sweep([*COPY, root, "seed=1,0,1", "optimizer.lr=1e-3,0.001", "trainer.log_every=10,20"])
    assert [job.index for job in sweep.jobs] == [0, 1]
    assert [job.run[-3:] for job in sweep.jobs] == ["-s1", "-s0"], "in the order of the multirun"
    assert len({job.run_id for job in sweep.jobs}) == 1
    line = json.loads((sweep.folder / "manifest.jsonl").read_text().splitlines()[1])
    assert line["overrides"] == [*COPY, root, "seed=0", "optimizer.lr=0.001", "trainer.log_every=10"]
    assert line["config"]["task"]["d"] == 2 and line["config"]["seed"] == 0
    assert line["packages"]["torch"]


def test_planning_the_same_again_gives_the_same_id(tmp_path):
    line = [*COPY, f"paths.root={tmp_path}", "seed=range(2)"]
    assert plan_sweep(line).id == plan_sweep(line).id == plan_sweep([*line[:-1], "seed=0,1"]).id


def test_an_interpolation_in_an_override_is_resolved_in_each_job(tmp_path):
    line = ["task=tomita", "model=gru", "task.seed=${seed}", f"paths.root={tmp_path}", "seed=0,1"]
    sweep = plan_sweep(line)
    assert [job.config["task"]["seed"] for job in sweep.jobs] == [0, 1]


def test_a_plan_holds_what_was_in_a_file(tmp_path):
    path, automaton = tmp_path / "automaton.json", tomita(3)
    path.write_text(json.dumps(to_definition(automaton)))
    line = ["task=automaton", "model=gru", "task.language=file", f"task.path={path}", "seed=0,1"]
    sweep = plan_sweep([*line, f"paths.root={tmp_path}"])
    path.unlink()
    definitions = [job.config["task"]["definition"] for job in sweep.jobs]
    assert len(definitions) == 2 and all(from_definition(definition) == automaton for definition in definitions)


def test_a_sweep_for_gpus_is_planned_on_a_machine_without(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    sweep = plan_sweep([*COPY, f"paths.root={tmp_path}", "trainer=gpu,cpu"])
    assert [job.config["trainer"]["accelerator"] for job in sweep.jobs] == ["gpu", "cpu"]
    assert sweep.jobs[0].run_id != sweep.jobs[1].run_id


@given(st.sets(st.integers(0, 60)))
def test_ranges_name_just_the_numbers(numbers):
    found = []
    for part in filter(None, ranges(sorted(numbers)).split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    assert found == sorted(numbers)
    assert ranges([3]) == "3" and ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
