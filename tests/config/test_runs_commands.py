"""The commands that look at recorded runs, and the Run that Python gets, on two small runs of the main job."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import runpy
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from warm_process import Done, command

import mechlab
from mechlab import cli, runs
from mechlab.config.recipe import stored_config
from mechlab.core.errors import ConfigError, MechlabError, NotRecorded, RunError
from mechlab.jobs.sets import check_distinct
from mechlab.listing.row import read_row
from mechlab.listing.table import print_table
from mechlab.record import sets
from mechlab.record.files import file_digest, read_json, write_json
from mechlab.record.lock import RunLock
from mechlab.record.shards import write_shard
from mechlab.record.tensors import load_metadata, load_tensors

SMALL = ("task.d=2", "task.s=2", "task.repeats=2", "model.hidden=8", "trainer.eval_examples=20", "history.points=5")
STEPS = ("trainer.max_steps=24", "trainer.steps_per_epoch=8", "trainer.log_every=4", "trainer.checkpoint_every=8")
RECORDED = [0, 1, 4, 10, 24]


def train(folder: Path, *arguments: str) -> None:
    done = command("train", *SMALL, *STEPS, *arguments, folder=folder)
    assert done.exit == 0, done.text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run a, run b of the same command elsewhere, and run c of another seed."""
    folder = tmp_path_factory.mktemp("made")
    train(folder, "paths.root=a")
    train(folder, "paths.root=b", "~analysis.spectrum")
    train(folder, "paths.root=a", "seed=1", "~analysis.spectrum")
    return folder


@pytest.fixture
def lab(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder to work in."""
    shutil.copytree(made, tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    return tmp_path / "lab"


def folders() -> tuple[str, str, str]:
    """The paths of runs a, b and c in the working directory."""
    a, c = sorted(Path("a/repeat_copy-rnn").iterdir(), key=lambda path: path.name[-1])
    (b,) = Path("b/repeat_copy-rnn").iterdir()
    return str(a), str(b), str(c)


def main(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Done:
    """Run `mechlab.runs` in this process."""
    monkeypatch.setattr(sys, "argv", ["mechlab.runs", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        runs.main()
    return Done(ended.value.code, *capsys.readouterr())


@pytest.fixture
def call(capsys, monkeypatch, lab):
    """Return a function that runs `mechlab.runs` with some arguments in the copied folder."""
    return lambda *arguments: main(capsys, monkeypatch, *arguments)


def change(run: str, step: int, name: str) -> None:
    """Change one float in a recorded step."""
    for path in Path(run).glob("history/*.safetensors"):
        if step in (steps := load_metadata(path)):
            tensors = load_tensors(path)
            tensors[name][steps.index(step)].view(-1)[0] += 1e-3
            write_shard(path.parent, steps, tensors)


def refused(done: Done, *says: str) -> None:
    """Assert that a command refused with one message for people."""
    assert done.exit == 1, done.text
    assert done.err.count("error: ") == 1, done.text
    assert "Traceback" not in done.text
    assert all(text in done.err for text in says), done.text


def table(out: str) -> list[dict[str, str]]:
    """The rows that `ls` prints where it is read by a program, by the names of the columns."""
    head, *lines = (line.split() for line in out.splitlines())
    assert all(len(line) == len(head) for line in lines), out
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_ls_prints_a_line_for_each_run(call):
    done = call("ls", "a")
    assert done.exit == 0 and "2 runs; sizes include histories" in done.err
    for row, folder, claims in zip(table(done.out), folders()[::2], ("3", "-"), strict=True):
        metrics = read_json(Path(folder) / "result.json")["metrics"]
        assert (row["status"], row["steps"], row["run"]) == ("done", "24", folder) and row["claims"].endswith(claims)
        assert row["differs"] == f"seed={folder[-1]}" and row["date"].startswith("20")
        assert float(row["test/accuracy"]) == pytest.approx(metrics["test/accuracy"], rel=1e-3)


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["a"], "ac"),
        (["a", "b"], "acb"),
        (["a/repeat_copy-rnn", "seed=1"], "c"),
        (["a", "--where", "status=done", "--where", "seed=0"], "a"),
        (["a", "seed=0,1", "task=repeat*", "model=RNN", "optimizer=adam"], "ac"),
        (["a", "seed!=1", "init_from=null", "trainer.overfit=false", "history.limit_gb=2"], "a"),
        (["a", "size>1GB"], ""),
        (["a", "size>1kB", "date>=2020-01-01", "test/loss<1e9"], "ac"),
        (["a", "spectrum/rank>=0"], "a"),  # of the other the spectrum is not known
        (["a", "--sort", "seed", "--reverse"], "ca"),
        (["a", "--sort", "spectrum/rank", "--reverse"], "ac"),  # without a value last
        (["a", "--limit", "1"], "a"),
    ],
)
def test_ls_selects_and_sorts(call, words, chosen):
    done = call("ls", *words)
    by_name = dict(zip("abc", folders(), strict=True))
    assert [row["run"] for row in table(done.out)] == [by_name[name] for name in chosen], done.text


def test_ls_has_columns_of_any_name_and_a_document_of_everything(call):
    a = folders()[0]
    row = table(call("ls", "a", "--metric", "spectrum/rank", "--metric", "model.hidden").out)[0]
    result = read_json(Path(a) / "result.json")
    assert (
        row["spectrum/rank"] == f"{result['findings']['spectrum']['scalars']['rank']:.0f}"
        and row["model.hidden"] == "8"
    )
    document = json.loads(call("ls", "a", "--json").out)
    first = document["runs"][0]
    assert document["differs"] == ["seed"] and first["run"] == a and first["config"]["task.d"] == 2
    assert first["numbers"]["test/loss"] == result["metrics"]["test/loss"]
    assert first["size"] == sum(path.stat().st_size for path in Path(a).rglob("*") if path.is_file())
    assert (
        first["claims"]["spectrum/rank"]["statement"] == result["findings"]["spectrum"]["claims"]["rank"]["statement"]
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], ("must exist", "given: nowhere")),
        (["a", "--where", "sed"], ("KEY=VALUE", "given: sed")),
        (["a", "--where", "hiden=8"], ("did you mean 'model.hidden'?",)),
        (["a", "--sort", "spectrum/rnk"], ("--sort", "did you mean 'spectrum/rank'")),
        (["a", "--metric", "accuracy"], ("--metric", "'test/accuracy'")),
        (["a", "test/loss>small"], ("compares with a number", "given: test/loss>small")),
    ],
)
def test_ls_refuses(call, words, says):
    refused(call("ls", *words), *says)


@pytest.mark.parametrize("width", [70, 200])
def test_on_a_terminal_ls_is_as_wide_as_it(lab, width):
    """No line is wider than the terminal, and each run directory is on one line as a whole."""
    from rich.console import Console

    console = Console(force_terminal=True, width=width, color_system=None, file=io.StringIO())
    rows = [read_row(Path(folder)) for folder in folders()]
    with contextlib.redirect_stdout(console.file):
        print_table(rows, ["test/accuracy"], console)
    lines = console.file.getvalue().splitlines()
    assert all(len(line.rstrip()) <= width for line in lines)
    assert len([line for line in lines if any(folder in line for folder in folders())]) == 3
    assert len(lines) == (2 + 2 * 3 if width == 70 else 2 + 3)


def test_a_copy_is_named_and_is_no_further_seed(call, lab):
    a, _, c = folders()
    shutil.copytree(a, copy := a.replace("-s0", "-s7"))
    done = call("ls", "a")
    assert done.err.count("copy: ") == 1 and f"copy: {copy} has the configuration and seed of {a}" in done.err
    configs = {sets.run_name(Path(run)): stored_config(run) for run in (a, c, copy)}
    check_distinct({run: configs[run] for run in list(configs)[:2]})
    with pytest.raises(ConfigError, match="a copy"):
        check_distinct(configs)
    with pytest.raises(ConfigError, match="recorded under"):
        check_distinct({run: configs[run] for run in list(configs)[1:]})


def test_ls_tells_why_a_run_failed(call):
    write_json(Path(folders()[0]) / "status.json", {"status": "failed", "reason": "the loss\nwas not finite"})
    done = call("ls", "a")
    assert done.exit == 0 and f"failed: {folders()[0]}: was not finite" in done.err


@pytest.mark.parametrize(
    "name", ["status.json", "result.json", "provenance/config.yaml", "checkpoints/weights.safetensors"]
)
def test_ls_and_show_say_that_a_record_is_damaged(call, name):
    a, c = folders()[0], folders()[2]
    path = Path(a, name)
    path.unlink() if path.suffix == ".safetensors" else path.write_text(path.read_text()[:-30])
    done = call("ls", "a")
    assert done.exit == 1 and [row["status"] for row in table(done.out)] == ["damaged", "done"]
    assert f"damaged: {a}: " in done.err and path.name in done.err and "2 runs, 1 damaged" in done.err
    done = call("show", a)
    assert done.exit == 1 and path.name in done.err and "Traceback" not in done.text
    assert call("show", c).exit == 0


def test_show_prints_two_scalars_of_a_finding_or_all(call):
    a = folders()[0]
    scalars = read_json(Path(a) / "result.json")["findings"]["spectrum"]["scalars"]
    (brief,) = [line for line in call("show", a).out.splitlines() if line.startswith("spectrum: ")]
    (whole,) = [line for line in call("show", "-v", a).out.splitlines() if line.startswith("spectrum: ")]
    assert brief.startswith("spectrum: rank ") and "angle_error" in brief
    assert f"({len(scalars) - 2} more: runs show -v)" in brief
    assert all(f"{name} " in whole for name in scalars) and "more" not in whole


def test_show_tells_what_a_run_is(call):
    done = call("show", folders()[0])
    assert done.exit == 0
    for text in ("done since", "command: ", "d=2  s=2", "hidden=8", "5 recorded steps, 0 to 24", "test/accuracy"):
        assert text in done.out, text
    assert "spectrum: " in done.out and done.out.splitlines()[-1] == f"run: {folders()[0]}"
    refused(call("show", "a"), "a holds runs, such as a/repeat_copy-rnn", "fix:   'a/*/*'")
    refused(call("show", "a/*x"), "a/*x matches nothing", "runs ls")


def test_a_quoted_glob_is_expanded_to_the_runs_that_it_names(call):
    """As `mechlab.analyze` does; a folder beside them that is no run is left out."""
    a, _, c = folders()
    Path("a/repeat_copy-rnn/notes").mkdir()
    done = call("show", "a/*/*")
    assert done.exit == 0
    assert [line for line in done.out.splitlines() if line.startswith("run: ")] == [f"run: {a}", f"run: {c}"]
    assert len(table(call("ls", "a/*/*").out)) == 2


def test_the_same_command_elsewhere_gives_no_difference(call):
    a, b, _ = folders()
    config = Path(b) / "provenance" / "config.yaml"
    shutil.copy(Path(a) / "provenance" / "config.yaml", config)  # only a was asked for its spectrum, which moves no bit
    config.write_text(config.read_text().replace("root: a", "root: elsewhere"))
    done = call("diff", a, b)
    assert done.exit == 0, done.text
    assert done.out.splitlines() == [
        "configuration: alike",
        "metrics: alike",
        "parameters: bit-equal at all 5 steps that both recorded",
    ]


def test_a_changed_record_is_a_difference(call):
    a, b, _ = folders()
    change(b, 4, "params/readout.weight")
    done = call("diff", a, b)
    assert done.exit == 1 and "parameters: differ from step 4, of 5 that both recorded" in done.out
    assert "metrics: alike" in done.out


def test_another_seed_is_a_difference_from_the_start(call):
    a, _, c = folders()
    done = call("diff", a, c)
    assert done.exit == 1
    assert "\n  seed: 0 | 1\n" in done.out and "  test/loss: " in done.out
    assert "task.d" not in done.out
    assert "parameters: differ from step 0, of 5 that both recorded" in done.out


def test_verify_trains_again(call):
    done = call("verify", folders()[0], "--steps", "24")
    assert done.exit == 0, done.text
    assert done.out.startswith("verified: 4 recorded step(s) from 0 to 24 are bit-equal")
    assert "\nverified: every file is as it was written\n" in done.out


@pytest.mark.parametrize("name", ["params/layers.0.weight_hh_l0", "optimizer/exp_avg_sq/readout.weight"])
def test_verify_names_the_step_and_the_tensor_that_was_changed(call, name):
    a = folders()[0]
    change(a, 10, name)
    done = call("verify", a)
    assert done.exit == 1
    assert done.out.startswith(f"NOT verified: {name.split('/', 1)[1]} differs by up to 0.001 at step 10;"), done.text
    done = call("verify", a, "--steps", "4")
    assert done.out.startswith("verified: 2 recorded step(s) from 0 to 4")  # before that step all is well
    assert done.exit == 1 and "NOT verified: " in done.out and "other content" in done.out


def test_verify_needs_recorded_steps(call):
    refused(call("verify", folders()[0], "--start", "3"), "start=3, recorded are [0, 1, 4, 10, 24]")
    shutil.rmtree(Path(folders()[0]) / "history")
    done = call("verify", folders()[0])
    assert done.exit == 1 and "NOT trained again: " in done.out and "no recorded steps" in done.out
    assert "history.json: every file of the record must be there: no such file" in done.out


def litter(run: str) -> list[Path]:
    """Leave what killed writers leave, and a hidden file of the user's that must stay."""
    Path(run, ".notes.txt").write_text("mine")
    left = [Path(run, ".result.json.abc.tmp"), Path(run, "history", ".00000000-00000001.safetensors.x.tmp")]
    for path in left:
        path.write_bytes(b"x" * 1000)
    return left


def tree(folder: str | Path = ".") -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file() and path.name != ".lock"}


def test_gc_only_tells_unless_it_is_told_to_remove(call):
    left = litter(folders()[0])
    before = tree()
    done = call("gc", "a")
    assert done.exit == 0 and "add --yes to remove" in done.out
    assert all(f"would remove {path}" in done.out for path in left)
    assert f"would remove {folders()[0]}/checkpoints/last.ckpt" in done.out
    assert tree() == before


def test_gc_removes_what_a_finished_run_does_not_need(call):
    a, _, c = folders()
    left, model = litter(a), mechlab.load_run(a).model().state_dict()
    write_json(Path(c) / "status.json", {"status": "preempted"})  # it still needs its checkpoints
    before = tree()
    assert call("gc", "a", "--yes").exit == 0
    gone = {*left, *(Path(a, "checkpoints", f"{name}.ckpt") for name in ("last", "previous"))}
    assert before.keys() - tree().keys() == gone
    assert all(content == before[path] for path, content in tree().items())
    run = mechlab.load_run(a)
    assert all(torch.equal(value, model[name]) for name, value in run.model().state_dict().items())
    assert run.at("best").model() is not None and run.results["status"] == "done"
    assert call("gc", "a").out == "0.0 MB in all; add --yes to remove\n"


def test_gc_leaves_a_run_alone_that_somebody_works_on(call):
    a = folders()[0]
    litter(a)
    before = tree(a)
    with RunLock(Path(a)):
        done = call("gc", "a", "--yes")
        assert f"left alone: {a}: run is held by" in done.out and f":{os.getpid()}" in done.out
        assert tree(a) == before
    assert not Path(folders()[2], "checkpoints", "last.ckpt").exists()  # others are tidied up all the same


def test_gc_removes_failed_runs_on_request_only(call):
    a, _, c = folders()
    write_json(Path(a) / "status.json", {"status": "failed", "reason": "x"})
    call("gc", "a", "--yes")
    assert Path(a, "checkpoints", "last.ckpt").exists()
    call("gc", "a", "--yes", "--failed")
    assert not Path(a).exists() and Path(c).exists()


def analyze(lab: Path, *arguments: str) -> Done:
    return command("analyze", *arguments, folder=lab)


def finding(run: str, *below: str) -> dict:
    return read_json(Path(run, "analyses", "spectrum", *below, "finding.json"))


@pytest.mark.ci
def test_analyze_asks_every_run_that_a_pattern_names(lab):
    a, b, c = folders()
    done = analyze(lab, "run=*/repeat_copy-rnn/*", "analysis=spectrum")
    assert done.exit == 0, done.text
    assert [line for line in done.out.splitlines() if line.startswith("run: ")] == [f"run: {run}" for run in (a, c, b)]
    for run in (a, b, c):
        answer = {key: finding(run)[key] for key in ("scalars", "claims")}
        assert read_json(Path(run, "result.json"))["findings"]["spectrum"] == answer
        assert not any(Path(run, "analyses", "spectrum").glob("over_training*"))
    assert finding(a)["scalars"] == finding(b)["scalars"] != finding(c)["scalars"]


@pytest.mark.ci
def test_asking_twice_gives_the_same_finding_and_result(lab):
    a = folders()[0]
    before = finding(a), read_json(Path(a, "result.json"))  # as training left it
    for _ in range(2):
        assert analyze(lab, f"run={a}", "analysis=spectrum").exit == 0
        assert (finding(a), read_json(Path(a, "result.json"))) == before


@pytest.mark.ci
def test_analyze_over_all_of_training(lab):
    """A row for each recorded step, each what asking at that step alone gives; the end is where training ended."""
    a = folders()[0]
    before = tree(a)
    done = analyze(lab, f"run={a}", "analysis=spectrum", "at=all")
    assert done.exit == 0, done.text
    (path,) = Path(a).glob("analyses/spectrum/**/over_training.csv")
    table = pd.read_csv(path)
    assert table["step"].tolist() == RECORDED
    assert path.with_suffix(".svg").exists() and path.with_suffix(".png").exists()
    for row in table.to_dict("records"):
        found = finding(a, "moments", str(row.pop("step")))["scalars"]
        assert row == pytest.approx(found, rel=1e-12)
    assert finding(a, "moments", "24")["scalars"] == finding(a)["scalars"] != finding(a, "moments", "0")["scalars"]
    assert all(tree(a)[path] == content for path, content in before.items())  # nothing that was there has changed
    drawn = {file.parent.name for file in Path(a, "analyses").glob("spectrum/moments/*/*.png")}
    assert drawn == {"24"}  # figures are drawn for the last of the steps only
    assert analyze(lab, f"run={a}", "analysis=spectrum", "at=last").exit == 0
    assert pd.read_csv(path)["step"].tolist() == RECORDED  # nor does asking about the end undo it


@pytest.mark.ci
def test_curves_over_training_are_in_tensorboard_once_and_have_digests(lab, call):
    a = folders()[0]
    assert analyze(lab, f"run={a}", "analysis=spectrum", "at=[0,24]").exit == 0
    before = tree(a)
    table = pd.read_csv(Path(a, "analyses/spectrum/moments/over_training.csv"))
    read = EventAccumulator(str(Path(a, "tb")), size_guidance={"scalars": 0}).Reload()
    for name in table.columns[1:]:
        curve = [(entry.step, entry.value) for entry in read.Scalars(f"~spectrum/{name}")]
        wanted = [row for row in zip(table["step"], table[name], strict=True) if math.isfinite(row[1])]
        assert curve == [(step, pytest.approx(value)) for step, value in wanted], name
    assert analyze(lab, f"run={a}", "analysis=spectrum", "at=[0,24]").exit == 0
    assert tree(a) == before and call("verify", a, "--steps", "4").exit == 0
    Path(a, "analyses/spectrum/moments/over_training.csv").write_text("step,rank\n0,1\n")
    done = call("verify", a, "--steps", "4")
    assert done.exit == 1 and "over_training.csv" in done.text and "at=all" in done.text


def test_analyze_at_one_moment(lab):
    a = folders()[0]
    for at in ("4", "best"):
        assert analyze(lab, f"run={a}", "analysis=spectrum", f"at={at}").exit == 0
    assert (finding(a, "moments", "4")["at"], finding(a, "moments", "best")["at"]) == (4, "best")
    assert finding(a, "moments", "4")["scalars"] != finding(a)["scalars"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run={a}", "analysis=spectrum", "at=5"), ("recorded are: 0, 1, 4, 10, 24", "given: 5")),
        (("run={a}", "analysis=spectrum", "at=lst"), ("at must be last, best, all", "given: lst")),
        (("run={a}",), ("at least one analysis", "analysis=NAME")),
        (("run=nowhere/*", "analysis=spectrum"), ("nowhere/* matches nothing", "runs ls")),
        (("run=*", "analysis=spectrum"), ("a holds runs, such as", "'run=a/*/*'")),
        (("analysis=spectrum",), ("run=VALUE",)),
    ],
)
def test_analyze_refuses_with_one_message_and_changes_nothing(lab, arguments, says):
    before = tree()
    refused(analyze(lab, *(argument.format(a=folders()[0]) for argument in arguments)), *says)
    assert tree() == before


def test_analyze_at_all_needs_a_record(lab):
    a = folders()[0]
    shutil.rmtree(Path(a) / "history")
    refused(analyze(lab, f"run={a}", "analysis=spectrum", "at=all"), "at=all needs recorded steps", "history=sparse")


def test_a_run_from_python(lab):
    a = folders()[0]
    run = mechlab.load_run(a)
    assert (run.task.d, run.seed, run.spec.length) == (2, 0, 6)
    assert run.history.steps == RECORDED
    assert run.metrics["step"].tolist()[-1] == 24 and run.metrics["train/loss"].count() == 6
    assert run.results["metrics"]["steps"] == 24 and run.status["status"] == "done"
    assert run.findings["spectrum"]["scalars"] == run.results["findings"]["spectrum"]["scalars"]
    assert run.artifacts("spectrum").folder == Path(a, "analyses", "spectrum")


def test_the_moments_of_a_run(lab):
    run = mechlab.load_run(folders()[0])

    def same(one, other):
        return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())

    assert same(run.model(), run.at(24).model()) and same(run.untrained(), run.at(0).model())
    assert not same(run.model(), run.at(10).model())
    assert same(mechlab.load_run(run.folder, at=10).model(), run.at(10).model())
    rows = run.metrics.dropna(subset="val/loss").set_index("step")["val/loss"]
    best = same(run.at("best").model(), run.model())
    assert best == (rows.idxmin() == 24)  # the lowest validation loss
    assert not run.model().training


def test_the_model_of_a_run_gives_its_results(lab):
    """The recorded test accuracy is that of the recorded weights on the recorded evaluation."""
    run = mechlab.load_run(folders()[0])
    batch = run.evaluation("test")
    score = run.task.score(run.model()(batch.inputs).outputs, batch)["accuracy"].mean().item()
    assert score == pytest.approx(run.results["metrics"]["test/accuracy"], abs=1e-6)


def test_activations_and_patches_of_a_run(lab):
    run = mechlab.load_run(folders()[0])
    inputs = run.evaluation("test", 3).inputs
    found = run.cache(inputs)
    assert found["state"].shape == (3, 7, 8) and found["outputs"].shape == (3, 6, 2)
    torch.testing.assert_close(run.patch(inputs, {"state@3": found["state"][:, 3]}), found["outputs"])
    swapped = run.patch(inputs, {"state@3": lambda state: state.flip(0)})
    assert not torch.allclose(swapped[:, 3:], found["outputs"][:, 3:])
    torch.testing.assert_close(swapped[:, :3], found["outputs"][:, :3])
    assert torch.equal(run.patch(inputs, {"readout": torch.zeros(3, 6, 2)}), torch.zeros(3, 6, 2))
    with pytest.raises(MechlabError, match="did you mean 'readout'"):
        run.patch(inputs, {"redout": 0.0})


def test_what_is_not_there_is_refused(lab):
    a = folders()[0]
    with pytest.raises(RunError, match="there is no nowhere"):
        mechlab.load_run("nowhere")
    with pytest.raises(NotRecorded, match="step 5; recorded are 0, 1, 4, 10, 24"):
        mechlab.load_run(a, at=5).model()
    Path(a, "checkpoints", "best.ckpt").unlink()
    with pytest.raises(RunError, match=r"no best\.ckpt"):
        mechlab.load_run(a, at="best").model()


def test_a_record_that_names_a_foreign_class_is_refused_unless_it_is_trusted(lab, monkeypatch, call):
    a = folders()[0]
    Path("stranger.py").write_text(
        "from mechlab.tasks.repeat_copy import RepeatCopy\nopen('was imported', 'w').close()\n"
        "class Stranger(RepeatCopy):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(lab))
    path = Path(a, "provenance", "config.yaml")
    config = yaml.safe_load(path.read_text())
    config["task"]["_target_"] = "stranger.Stranger"
    config["allow_targets"] = ["stranger"]  # what a record says of itself is not trusted
    path.write_text(yaml.safe_dump(config))
    about = path.with_name("environment.json")
    environment = read_json(about)
    write_json(about, environment | {"files": environment["files"] | {path.name: file_digest(path)}})
    with pytest.raises(ConfigError, match=r"stranger\.Stranger") as caught:
        mechlab.load_run(a).model()
    assert caught.value.key == "task._target_"
    refused(call("verify", a), "stranger.Stranger")
    assert not Path("was imported").exists()
    run = mechlab.load_run(a, allow_targets=["stranger"])
    assert type(run.task).__name__ == "Stranger" and run.model() is not None
    assert call("verify", a, "--allow-targets", "stranger").exit == 0


def test_help_of_the_console_script_lists_its_commands(capsys, monkeypatch):
    outputs = []
    for arguments in ([], ["--help"], ["-h"]):
        monkeypatch.setattr(sys, "argv", ["mechlab", *arguments])
        cli.main()
        outputs.append(capsys.readouterr().out)
    assert len(set(outputs)) == 1 and outputs[0].startswith("usage: mechlab COMMAND")
    assert all(f"\n  {name} " in outputs[0] for name in cli.COMMANDS)


@pytest.mark.parametrize(("word", "hint"), [("rnus", "did you mean 'runs'?"), ("x", "choose one of: adopt, analyze, ")])
def test_an_unknown_command_gets_a_hint(capsys, monkeypatch, word, hint):
    monkeypatch.setattr(sys, "argv", ["mechlab", word])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    assert ended.value.code == 2 and hint in captured.err and repr(word) in captured.err and not captured.out


def test_the_console_script_is_the_same_program(capsys, monkeypatch, lab):
    outputs = []
    for program, arguments in ((cli.main, ["mechlab", "runs", "ls", "a"]), (as_module, ["mechlab.runs", "ls", "a"])):
        monkeypatch.setattr(sys, "argv", arguments)
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as ended:
            program()
        outputs.append((ended.value.code, capsys.readouterr().out))
    assert outputs[0] == outputs[1] and outputs[0][0] == 0


def as_module() -> None:
    """As `python -m mechlab.runs` does, in this process."""
    module = sys.modules.pop("mechlab.runs")
    try:
        runpy.run_module("mechlab.runs", run_name="__main__")
    finally:
        sys.modules["mechlab.runs"] = module


EVIL = {
    "a function of ours": {
        "_target_": "mechlab.record.files.write_text",
        "path": "evil.txt",
        "text": "written by opening a run",
    },
    "a pool of commands": {
        "_target_": "mechlab.jobs.pool.run_all",
        "commands": [["touch", "evil.txt"]],
        "slots": {"_target_": "mechlab.jobs.pool.cpu_slots", "count": 1},
        "environment": {},
    },
    "a class of another kind": {"_target_": "mechlab.record.lock.RunLock", "folder": "evil.txt"},
}


@pytest.mark.parametrize("node", EVIL.values(), ids=EVIL.keys())
def test_opening_a_run_calls_nothing_but_classes_of_the_right_kind(node, lab):
    """A record can come from anybody: a target that is no task is refused before it is called."""
    a, _, _ = folders()
    path = Path(a) / "provenance" / "config.yaml"
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(values | {"task": node}))
    with pytest.raises(ConfigError, match="must be a class of kind Task"):
        _ = mechlab.load_run(a).task
    values["task"]["d"] = node  # nested inside a good one
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError):
        _ = mechlab.load_run(a).task
    assert not Path("evil.txt").exists()
