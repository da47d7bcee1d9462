"""A frozen sweep is found again under the same id as long as nothing that it holds has changed."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlab.automata.definition import from_definition, to_definition
from mechlab.automata.tomita import tomita
from mechlab.config.choices import config_dir
from mechlab.core.errors import ConfigError, RunError
from mechlab.sweeps import code as sweep_code
from mechlab.sweeps.code import check_copy, copy_digest, environment
from mechlab.sweeps.manifest import Job, below, freeze, is_sweep, load
from mechlab.sweeps.planning import plan_sweep
from mechlab.sweeps.slurm import ranges

PACKAGES = {"torch": "2.0"}
COPY = ("task.d=2", "task.s=2", "model.hidden=4")


def jobs_of(*users: str) -> list[Job]:
    """Return two jobs that allow these packages."""
    config = {"name": "a-b", "analysis": {}, "paths": {"root": "runs"}, "allow_targets": list(users)}
    config["trainer"] = {"accelerator": "cpu"}
    return [Job(i, f"a-b/0123456789-s{i}", "0123456789", [f"seed={i}"], {**config, "seed": i}) for i in range(2)]


@pytest.fixture(autouse=True)
def few_files():
    """Of mechlab itself only two files are copied, since hundreds take long; after `few_files.undo()` all of them."""
    every = sweep_code.sources

    def sources(targets):
        ours = ("mechlab/__init__.py", "mechlab/sweep.py")
        return {name: path for name, path in every(targets).items() if name in ours or not name.startswith("mechlab/")}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_code, "sources", sources)
        yield patch


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


def test_the_copy_holds_mechlab_its_configuration_and_the_users_packages(own, few_files, tmp_path):
    few_files.undo()
    sweep = freeze(tmp_path / "runs", jobs_of("own_package", "own_module"), None, "a patch", PACKAGES)
    code = sweep.folder / "code"
    for path in ("mechlab/sweep.py", "mechlab/record/status.py", "own_package/words.txt", "own_module.py"):
        assert (code / path).is_file(), path
    kept = {path.relative_to(code / "mechlab" / "conf") for path in (code / "mechlab" / "conf").rglob("*.yaml")}
    assert kept == {path.relative_to(config_dir()) for path in config_dir().rglob("*.yaml")}
    assert not list(code.rglob("__pycache__"))
    assert (sweep.folder / "code.patch").read_text() == "a patch"
    assert environment(sweep.folder)["PYTHONPATH"].split(":")[0] == str(code)


def test_a_package_that_python_does_not_find_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError, match="must name importable packages") as caught:
        freeze(tmp_path / "runs", jobs_of("no_such_package"), None, "", PACKAGES)
    assert (caught.value.got, caught.value.key) == ("no_such_package", "allow_targets")
    assert not (tmp_path / "runs").exists()


def test_a_sweep_is_found_by_its_id_its_folder_and_its_manifest(tmp_path):
    sweep = freeze(tmp_path, jobs_of(), "abc", "", PACKAGES)
    for name in (sweep.id, sweep.folder, sweep.folder / "manifest.jsonl"):
        assert load(name, tmp_path) == sweep
        assert is_sweep([str(name)], tmp_path)
        assert is_sweep([str(name), "allow_targets=[a]"], tmp_path)
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


def frozen(root, **changes):
    """Return the manifest of a sweep, and its first line as data, after changes of that line by dotted keys."""
    path = freeze(root, jobs_of("own"), "abc", "", PACKAGES).folder / "manifest.jsonl"
    first, *others = map(json.loads, path.read_text().splitlines())
    for key, value in changes.items():
        *folders, name = key.split("__")
        place = first
        for folder in folders:
            place = place[folder]
        if value is MISSING:
            del place[name]
        else:
            place[name] = value
    path.write_text("".join(f"{json.dumps(line)}\n" for line in (first, *others)))
    return path


MISSING = object()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run", "../a-b/0123456789-s0"),
        ("run", "/elsewhere/0123456789-s0"),
        ("run", "a-b/0123456789-s0/../../../x"),
        ("run", "a-b/0123456789-s0\n"),
        ("run", "a-c/0123456789-s0"),
        ("run", 5),
        ("run", MISSING),
        ("run_id", "../../x"),
        ("run_id", ""),
        ("index", 1),
        ("index", True),
        ("index", 10**400),
        ("overrides", "seed=0"),
        ("overrides", [0]),
        ("config", []),
        ("config", MISSING),
        ("config__name", ".."),
        ("config__name", "a/b"),
        ("config__name", "a\x1b[2Jb"),
        ("config__seed", -1),
        ("config__seed", "0"),
        ("config__seed", "0/../../x"),
        ("config__allow_targets", "os"),
        ("config__allow_targets", ["os; rm"]),
        ("config__trainer", MISSING),
        ("config__trainer__accelerator", ["cpu"]),
        ("packages", None),
        ("packages", {"torch": 2}),
        ("commit", "--upload-pack=x"),
        ("code", "0" * 63),
        ("code", "../code"),
        ("code", MISSING),
    ],
)
@pytest.mark.usefixtures("own_module")
def test_each_value_of_a_manifest_is_checked_and_the_error_names_line_and_key(key, value, tmp_path):
    path = frozen(tmp_path, **{key: value})
    with pytest.raises(RunError, match=r"as `mechlab\.sweep plan` wrote them") as caught:
        load(path, tmp_path)
    assert caught.value.key == str(path) and "plan it again" in caught.value.fix
    assert re.match(rf"line [12](, key| without the key) {key.replace('__', '.')}", caught.value.got), caught.value.got
    assert len(caught.value.got) < 300 and caught.value.got.isprintable()


@pytest.fixture
def own_module(tmp_path_factory, monkeypatch):
    """A user's module of one file, called own."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "own.py").touch()
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize("change", [{"config__callbacks": {}}, {"packages": {"torch": "9"}}, {"code": "0" * 64}])
@pytest.mark.usefixtures("own_module")
def test_a_manifest_with_other_jobs_than_its_id_says_is_refused(change, tmp_path):
    with pytest.raises(RunError, match=r"as `mechlab\.sweep plan` wrote them"):
        load(frozen(tmp_path, **change), tmp_path)


@pytest.mark.usefixtures("own_module")
def test_a_manifest_with_a_job_twice_or_too_few_is_refused(tmp_path):
    path = frozen(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    for damaged, says in (
        ([lines[0], lines[0]], "line 2, key index"),
        ([lines[0], lines[0].replace('"index": 0', '"index": 1')], "line 2, key run"),
        ([lines[0]], "other jobs"),
        ([lines[1], lines[0]], "line 1, key index"),
        ([*lines, "[" * 100_000], "line 3: more than 64 containers"),
    ):
        path.write_text("".join(damaged))
        with pytest.raises(RunError) as caught:
            load(path, tmp_path)
        assert says in caught.value.got


@pytest.mark.usefixtures("own_module")
def test_a_huge_manifest_is_not_read(tmp_path, monkeypatch):
    path = frozen(tmp_path)
    monkeypatch.setattr("mechlab.sweeps.entries.LINES_BYTES", path.stat().st_size - 1)
    with pytest.raises(RunError, match="must have at most"):
        load(path, tmp_path)


@pytest.mark.usefixtures("own_module")
def test_a_manifest_in_another_place_than_that_of_its_id_is_refused(tmp_path):
    folder = frozen(tmp_path / "runs").parent
    for place in (tmp_path / "runs" / folder.name, tmp_path / "_sweeps" / "0123456789", tmp_path / "_sweeps" / "x"):
        shutil.copytree(folder, place)
        with pytest.raises(RunError, match=r"as `mechlab\.sweep plan` wrote them"):
            load(place / "manifest.jsonl", tmp_path)
    shutil.move(folder, tmp_path / "aside")
    folder.symlink_to(tmp_path / "aside")
    with pytest.raises(RunError, match="must lie below the folder of the runs"):
        load(folder.name, tmp_path / "runs")


@pytest.mark.parametrize("path", ["..", "a/..", "../a", "/a", "a//b", "a/./b", "a\nb", "a/b\x00", ""])
def test_a_folder_below_another_has_plain_names(path, tmp_path):
    with pytest.raises(RunError, match="must lie below the folder of the runs"):
        below(tmp_path, path)


def test_a_link_below_a_folder_must_not_lead_out_of_it(tmp_path):
    root, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    (root / "real").mkdir(parents=True)
    elsewhere.mkdir()
    (root / "inside").symlink_to("real")
    (root / "outside").symlink_to(elsewhere)
    assert below(root, "inside/a-s0") == root / "inside" / "a-s0"
    with pytest.raises(RunError, match="must lie below"):
        below(root, "outside/a-s0")


def test_the_digest_of_a_copy_is_that_of_coreutils_and_tells_of_every_change(tmp_path):
    folder = tmp_path / "code"
    for name in ("b/c.py", "b.py", "a b.py", "b/__init__.py", "\u00e4.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    command = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    printed = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    first = copy_digest(folder)
    assert first == printed.split()[0]
    changes = [
        lambda: (folder / "b.py").write_text("x"),
        lambda: (folder / "a b.py").rename(folder / "a_b.py"),
        lambda: (folder / "b" / "c.pyc").touch(),
    ]
    digests = [first]
    for change in changes:
        change()
        digests.append(copy_digest(folder))
    assert len(set(digests)) == 4
    (folder / "b" / "link.py").symlink_to(folder / "b.py")
    assert copy_digest(folder) is None
    assert copy_digest(tmp_path / "missing") is None


def test_what_was_damaged_is_frozen_again_and_logs_stay(tmp_path, capsys):
    sweep = freeze(tmp_path, jobs_of(), "abc", "", PACKAGES)
    content = (sweep.folder / "manifest.jsonl").read_text()
    (sweep.folder / "logs").mkdir()
    damages = [
        lambda: (sweep.folder / "manifest.jsonl").write_text("{}"),
        lambda: (sweep.folder / "manifest.jsonl").unlink(),
        lambda: (sweep.folder / "code" / "mechlab" / "sweep.py").write_text("x"),
        lambda: shutil.rmtree(sweep.folder / "code"),
    ]
    for damage in damages:
        damage()
        assert freeze(tmp_path, jobs_of(), "abc", "", PACKAGES) == sweep
        assert "replaced" in capsys.readouterr().out
        assert (sweep.folder / "manifest.jsonl").read_text() == content
        check_copy(sweep.folder, sweep.code)
    assert (sweep.folder / "logs").is_dir()
    assert [path.name for path in (tmp_path / "_sweeps").iterdir()] == [sweep.id], "no temporary folder is left"


def test_numbers_as_keys_of_a_configuration_survive_the_manifest(tmp_path):
    jobs = [replace(job, config={**job.config, "task": {2: "b", 10: "a"}}) for job in jobs_of()]
    sweep = freeze(tmp_path, jobs, None, "", PACKAGES)
    assert load(sweep.id, tmp_path).id == sweep.id


def test_a_root_that_cannot_be_on_pythons_path_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="must not have a colon"):
        freeze(tmp_path / "a:b", jobs_of(), None, "", PACKAGES)
    assert not (tmp_path / "a:b").exists()


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


@pytest.mark.ci
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
