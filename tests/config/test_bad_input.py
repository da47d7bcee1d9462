"""Wrong input ends a command before any compute, with one message that names the key and how to mend it."""

from __future__ import annotations

import functools
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
from warm_process import Done, command

USERS = Path(__file__).parent / "users"
SMALL = ("task.d=2", "task.s=2", "model.hidden=8", "trainer.max_steps=3", "trainer.eval_examples=20")
ADDITION = "task=modular_addition model=mlp"
OUTPUTS = "analysis.path_kernel.outputs"
OWN_ANALYSIS = ("+analysis.count._target_=user_parts.CountSteps", "allow_targets=[user_parts]")
LIGHTNING = "allow_targets=[pytorch_lightning] +callbacks.c._target_=pytorch_lightning.callbacks"

# kind of mistake -> (arguments, config key in the message, what the message also says)
TRAIN: dict[str, list[tuple[str, str, str]]] = {
    "misspelt group": [
        ("tsk=tomita", "tsk", "did you mean 'task'?"),
        ("+modle=gru", "modle", "did you mean 'model'?"),
        ("callbacks=ambiguity", "callbacks", "add one with +callbacks=NAME"),
    ],
    "misspelt choice": [
        ("task=tomta", "task", "did you mean 'tomita'?"),
        ("model=gruu", "model", "did you mean 'gru'?"),
        ("analysis=[spectrm]", "analysis", "did you mean 'spectrum'?"),
        ("trainer=5", "trainer", "--help lists them"),
        ("model=[rnn]", "model", "fix:   model=rnn"),
        ("optimizer=[adam,sgd]", "optimizer", "fix:   optimizer=adam, or -m optimizer=adam,sgd for a run of each"),
    ],
    "misspelt key": [
        ("trainer.max_step=5", "trainer.max_step", "did you mean 'trainer.max_steps'?"),
        ("task.dd=3", "task.dd", "did you mean 'task.d'?"),
        ("+trainer.steps=1", "trainer.steps", "did you mean 'max_steps'?"),
        ("+optimizer.learning_rate=1", "optimizer.learning_rate", "choose one of: "),
    ],
    "key of another choice": [
        ("task.index=3", "task.index", "task=tomita has it"),
        ("experiment=distill_mips model.hidden=-1", "model.hidden", "fix:   add model=mlp_rnn"),
        ("analysis.conformance.words=3", "analysis.conformance.words", "analysis=conformance has it"),
        ("analysis=[spectrum] analysis.spectrum.angel=1", "analysis.spectrum.angel", "did you mean"),
        ("callbacks.spectrum.every=3", "callbacks.spectrum.every", "+callbacks=spectrum"),
    ],
    "default of the chosen configuration": [
        ("experiment=epk_quick trainer.max_steps=x", "trainer.max_steps", "is trainer.max_steps=60"),
        ("experiment=epk_quick optimizer.lr=x trainer.max_steps=7", "optimizer.lr", "is optimizer.lr=0.001"),
        ("task=tomita model=gru task.max_length=1", "task.max_length", "is task.max_length=14"),
        ("task=tomita model=gru analysis.ambiguity.multiple=0", "analysis.ambiguity.multiple", "multiple=4"),
    ],
    "grammar of overrides": [
        ("seed=1,2", "seed", "-m seed=1,2, or seed=[1,2] for a list"),
        ("model=rnn,gru", "model", "fix:   -m model=rnn,gru\n"),
        ("task.s", "task.s", "KEY=VALUE"),
        ("task.s=[1", "task.s", "KEY=VALUE"),
        ("task.s=SL(2,3)", "task.s", "Unknown function 'SL'"),
    ],
    "sweeper or launcher": [
        ("-m hydra/sweeper=nevergrad", "hydra/sweeper", "pip install 'hydra-nevergrad-sweeper'"),
        ("-m hydra/sweeper=basci", "hydra/sweeper", "did you mean 'basic'?"),
        ("-m hydra/launcher=ray", "hydra/launcher", "pip install 'hydra-ray-launcher'"),
    ],
    "option of Lightning": [
        ("trainer.devices=2", "trainer.devices", "trainer=gpu"),
        ("+trainer.strategy=ddp", "trainer.strategy", "hydra/launcher=local_gpus"),
        ("trainer.precision=bf16-mixed", "trainer.precision", "history.dtype=float16"),
        ("trainer.precision=16", "trainer.precision", "half precision is not offered"),
        ("trainer.precision=32-true", "trainer.precision", "is trainer.precision=32"),
        ("trainer.accelerator=auto", "trainer.accelerator", "trainer=gpu"),
        ("trainer.accumulate_grad_batches=4", "trainer.accumulate_grad_batches", "trainer.batch_size=N"),
        ("+trainer.profiler=simple", "trainer.profiler", "cProfile"),
        ("+callbacks=model_checkpoint", "callbacks", "trainer.checkpoint_every=N"),
        (
            "+callbacks.c._target_=pytorch_lightning.callbacks.ModelCheckpoint",
            "callbacks.c",
            "trainer.checkpoint_every",
        ),
        (f"{LIGHTNING}.RichProgressBar", "callbacks.c._target_", "a bar on a terminal"),
        (f"{LIGHTNING}.StochasticWeightAveraging", "callbacks.c._target_", "neither replay nor attribution"),
        (f"{LIGHTNING}.GradientAccumulationScheduler", "callbacks.c._target_", "trainer.batch_size=N"),
    ],
    "misspelt value": [
        ("model.activation=tahn", "model.activation", "one of tanh, relu"),
        ("trainer.accelerator=cpuu", "trainer.accelerator", "one of cpu, gpu"),
        ("schedule.kind=cosin", "schedule.kind", "one of constant, cosine, linear, triangular"),
        ("objective=val/acc", "objective", "did you mean 'val/accuracy'?"),
    ],
    "wrong type": [
        ("trainer.max_steps=many", "trainer.max_steps", "whole number"),
        ("trainer.max_steps=1.5", "trainer.max_steps", "given: 1.5"),
        ("task.d=[1]", "task.d", "whole number"),
        ("optimizer.betas=0.9", "optimizer.betas", "a list of 2"),
        ("model.bias=perhaps", "model.bias", "true or false"),
        ("seed=abc", "seed", "whole number"),
        ("trainer.max_time=soon", "trainer.max_time", "DD:HH:MM:SS"),
        ("code=maybe", "code", "one of check, accept"),
        ("rerun=perhaps", "rerun", "true or false"),
        ("trainer.max_time=99999999999:00:00:00", "trainer.max_time", "DD:HH:MM:SS"),
    ],
    "out of range": [
        ("trainer.batch_size=0", "trainer.batch_size", "at least 1"),
        ("task.s=0", "task.s", "at least 1"),
        ("task=tomita model=gru task.index=8", "task.index", "at least 1 and at most 7"),
        ("optimizer.lr=-1", "optimizer", "Invalid learning rate"),
        ("trainer.gradient_clip=0", "trainer.gradient_clip", "above 0"),
        ("seed=-1", "seed", "at least 0"),
        ("seed=18446744073709551616", "seed", "below 2**63"),
        ("task=modular_addition model=mlp task.seed=18446744073709551616", "task.seed", "below 2**63"),
        ("task=tomita model=gru task.seed=1e30", "task.seed", "below 2**63"),
        ("model.hidden=1e9", "model.hidden", "at most 1000000"),
        ("model.layers=1e9", "model.layers", "at most 1000"),
        ("task.d=1e12", "task.d", "at most 1000000"),
        ("history=full history.limit_gb=1e-7", "history.limit_gb", "history=sparse"),
        ("trainer.max_steps=-1", "trainer.max_steps", "at least 0"),
        ("curriculum.lengths=[0]", "curriculum.lengths", "the default is curriculum.lengths=[]"),
        ("task=digits model=mlp task.shift=8", "task.shift", "at most 7"),
    ],
    "too large for memory": [
        ("model.hidden=1e6", "model", "parameters, their gradients, the optimizer's state"),
        ("task.d=1e6", "task, trainer.batch_size, trainer.eval_examples", "examples, as many as are drawn at once"),
        ("trainer.batch_size=1e12", "trainer.batch_size", "must fit into memory"),
        ("trainer.eval_examples=1e15", "trainer.eval_examples", "must fit into memory"),
        ("task=modular_addition model=mlp task.p=1e6", "task.p", "the pairs of 1000000 numbers must fit"),
        ("task=tomita model=gru task.words=1e12 task.max_length=60", "task.words", "words of up to 60 letters must"),
        ("task=context_free model=gru task.words=1e12", "task.words", "words of up to 14 letters must fit"),
    ],
    "missing value": [
        ("model.hidden=???", "model.hidden", "model.hidden=VALUE"),
        ("model.hidden=${nothing}", "model.hidden", "'nothing' not found"),
        ("trainer.max_steps=null", "trainer.max_steps", "max_epochs"),
        ("trainer.batch_size=null", "trainer.batch_size", "trainer.batch_size=64"),
    ],
    "missing or foreign path": [
        ("init_from=nowhere", "init_from", "there is no nowhere"),
        ("init_from=file", "init_from", "a run directory holds"),
        ("--config-dir nowhere", "--config-dir", "not found"),
    ],
    "unwritable folder": [
        ("paths.root=file", "paths.root", "must be writable"),
        ("paths.root=file/below", "paths.root", "must be writable"),
        ("paths.root=occupied", "paths.root", "must be writable"),
    ],
    "does not fit together": [
        ("task=tomita model=gru analysis=[spectrum,ambiguity]", "analysis.spectrum", "companion matrix"),
        ("task=modular_addition model=mlp analysis=ambiguity", "analysis.ambiguity", "a sequence task"),
        ("+callbacks=ambiguity", "callbacks.ambiguity", "task=repeat_copy"),
        ("model=mlp", "model", "model=rnn"),
        (
            "optimizer=sgd ~optimizer.momentum ~optimizer.dampening ~optimizer.nesterov ~optimizer.weight_decay"
            " optimizer._target_=torch.optim.LBFGS",
            "optimizer._target_",
            "from gradients alone",
        ),
        ("init_from=small", "init_from", "must fit the model"),
        (f"{ADDITION} analysis=path_kernel +optimizer.amsgrad=true", "optimizer", "leave path_kernel out of analysis"),
        (
            f"{ADDITION} analysis=metagradient ~optimizer.fused optimizer._target_=torch.optim.NAdam",
            "optimizer",
            "given: NAdam",
        ),
        ("curriculum.lengths=[1,2] curriculum.steps=[0,100]", "curriculum.steps", "multiples of 64"),
        ("curriculum.steps=[0]", "curriculum.steps", "for each length"),
        ("curriculum.lengths=[1,2] trainer.overfit=true", "curriculum.lengths", "trainer.overfit=false"),
        (f"{ADDITION} curriculum.lengths=[1,2]", "curriculum.lengths", "examples without end"),
        ("init_at=3", "init_at", "init_from=RUN"),
        ("curriculum.lengths=[1,2] trainer.seeds=2", "trainer.seeds", "curriculum.steps=[0,...]"),
        ("trainer.max_steps=0 trainer.seeds=2", "trainer.seeds", "must train"),
        ("history=full history.steps=[0,10]", "history.steps", "history=sparse"),
        ("history=weights history.steps=[0,10]", "history.per_decade", "must be null"),
        ("history.steps=[0,10,9999]", "history.steps", "steps of the training"),
        ("history=replay history.optimizer=false", "history.optimizer", "history=replay needs whole states"),
        (f"{ADDITION} analysis=path_kernel history.dtype=float16", "history.dtype", "fix:   history.dtype=null"),
        ("history=none +callbacks=spectrum callbacks.spectrum.every=recorded", "callbacks.spectrum.every", "=sparse"),
        ("task=tomita model=gru model.layers=2 model.dropout=.5 analysis=validation", "model", "dropout"),
        ("task=tomita model=gru model.layers=2 model.dropout=.5 +callbacks=path_kernel", "model", "callbacks=[...]"),
    ],
    "target that is not allowed": [
        ("task._target_=os.system", "task._target_", "allow_targets=[os]"),
        ("+callbacks.x._target_=subprocess.run", "callbacks.x._target_", "must come from mechlab"),
        ("optimizer._target_=mechlab.record.files.os.system", "optimizer._target_", "no module"),
        ("optimizer._target_=torch.optim.lr_scheduler.partial", "optimizer._target_", "of an allowed package"),
        ("task._target_=mechlab.record.files.write_text", "task._target_", "kind Task"),
        ("task._target_=user_parts.OwnTask", "task._target_", "allow_targets=[user_parts]"),
        *(
            (f"{ADDITION} analysis={name} analysis.{name}.outputs={path}", f"analysis.{name}.outputs", says)
            for name in ("path_kernel", "metagradient", "validation")
            for path, says in (("os.getcwd", "allow_targets=[os]"), ("mechlab.record.run.Run", "must be a function"))
        ),
        (f"{ADDITION} +callbacks=path_kernel callbacks.path_kernel.analysis.outputs=os.getcwd", "outputs", "[os]"),
    ],
    "nothing to explain": [
        (
            f"{ADDITION} analysis=path_kernel analysis.path_kernel.examples=[]",
            "path_kernel.examples",
            "one or more items",
        ),
        (f"{ADDITION} analysis=path_kernel analysis.path_kernel.examples=[9999]", "path_kernel.examples", "below"),
        (f"{ADDITION} analysis=path_kernel analysis.path_kernel.nodes=0", "path_kernel.nodes", "at least 1"),
    ],
    "function of outputs": [
        (
            f"{ADDITION} analysis=path_kernel {OUTPUTS}=targt",
            OUTPUTS,
            "margin, loss, irreps or package.",
        ),
        *(
            (f"{ADDITION} allow_targets=[user_parts] analysis=path_kernel {OUTPUTS}=user_parts.{name}", OUTPUTS, says)
            for name, says in (
                ("no_such", "there is no no_such"),
                ("three_axes", ") of float32"),
                ("best_class", "int64"),
                ("not_a_number", "finite numbers"),
            )
        ),
    ],
}
TRAIN_ROWS = [  # the first two of each kind by default, all in continuous integration
    pytest.param(*row, id=f"{kind}: {row[0]}", marks=[pytest.mark.ci] * (place > 1))
    for kind, rows in TRAIN.items()
    for place, row in enumerate(rows)
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs under made/ and a few things that are none."""
    folder = tmp_path_factory.mktemp("runs")
    own = ("task._target_=user_parts.OwnTask", "allow_targets=[user_parts]", "seed=1")
    for line in ((), (*own, "history=none")):
        done = run("train", *SMALL, "paths.root=made", *line, folder=folder)
        assert done.exit == 0, done.text
    plain, foreign = sorted(folder.glob("made/repeat_copy-rnn/*"), key=lambda path: path.name[-1])
    plain.rename(folder / "small")
    foreign.rename(folder / "foreign")
    shutil.rmtree(folder / "made")
    (folder / "file").write_text("not a folder")
    (folder / "occupied").mkdir()
    (folder / "occupied" / "repeat_copy-rnn").write_text("not a folder")
    return folder


def run(program: str, *arguments: str, folder: Path) -> Done:
    """Run a command that can import the user's package."""
    return command(program, *arguments, folder=folder, before=functools.partial(site.addsitedir, str(USERS)))


def check_refused(done: Done, key: str, says: str) -> None:
    """Assert that a command refused with one message for people."""
    assert done.exit == 1, done.text
    assert done.err.count("error: ") == 1, done.text
    assert "Traceback" not in done.text and "Error executing" not in done.text
    assert says in done.err, done.text
    assert any(key in line for line in done.err.splitlines() if line.startswith(("  key:", "  fix:"))), done.text
    assert "training" not in done.out


@pytest.mark.parametrize(("line", "key", "says"), TRAIN_ROWS)
def test_train_refuses_before_it_writes_anything(line: str, key: str, says: str, runs: Path) -> None:
    small = () if "task=" in line or "experiment=" in line else SMALL[:3]
    small = tuple(word for word in (*small, *SMALL[3:]) if word.partition("=")[0] not in line and "mlp" not in line)
    if line == "init_from=small":
        small = ("task.d=2", "task.s=2", "model.hidden=16")
    done = run("train", *small, *line.split(), folder=runs)
    made = list(runs.glob("runs/*"))
    shutil.rmtree(runs / "runs", ignore_errors=True)
    check_refused(done, key, says)
    assert made == []


def damaged(runs: Path, tmp_path: Path, name: str) -> Path:
    """Return a copy of the small run with one of its files cut in half."""
    copy = tmp_path / "repeat_copy-rnn" / "copy"
    shutil.copytree(runs / "small", copy)
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    return copy


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("result.json", "", "valid JSON"),
        ("history/history.json", "", "valid JSON"),
        ("checkpoints/best.ckpt", "at=best", "whole checkpoint"),
        ("provenance/config.yaml", "", "configuration must be"),
    ],
)
def test_analyze_refuses_damaged_files_by_name(name: str, line: str, says: str, runs: Path, tmp_path: Path) -> None:
    copy = damaged(runs, tmp_path, name)
    done = run("analyze", f"run={copy}", "analysis=spectrum", *line.split(), folder=runs)
    check_refused(done, Path(name).name, says)


ANALYZE: dict[str, list[tuple[str, str, str]]] = {
    "missing or foreign path": [
        ("run=nowhere analysis=spectrum", "run", "there is no nowhere"),
        ("run=occupied analysis=spectrum", "run", "a run directory holds"),
        ("run=nowhere/* analysis=spectrum", "run", "nowhere/* matches nothing"),
        ("run=smal analysis=spectrum", "run", "did you mean 'small'?"),
        ("run=. analysis=spectrum", "run", "fix:   'run=./*'"),
        ("run=small,small analysis=spectrum", "run", "fix:   run=[small,small] for a list"),
        ("run=small analysis=spectrum at=9", "at", "recorded are: 0, 1, 2, 3"),
        ("run=foreign allow_targets=[user_parts] analysis=spectrum at=all", "at", "history=sparse"),
    ],
    "missing value": [("analysis=spectrum", "run", "run=VALUE"), ("run=small", "analysis", "analysis=NAME")],
    "misspelt": [
        ("run=small analysis=spectrm", "analysis", "did you mean 'spectrum'?"),
        ("run=small analysis=spectrum at=lst", "at", "must be last, best, all"),
    ],
    "analysis without what it needs": [
        ("run=small analysis=ambiguity", "analysis.ambiguity", "an automaton"),
        (f"run=small {' '.join(OWN_ANALYSIS)}", "history", "train again with history=full"),
        (f"run=small allow_targets=[user_parts] analysis=path_kernel {OUTPUTS}=user_parts.first", "history", "replay"),
    ],
    "target that is not allowed": [
        ("run=foreign analysis=spectrum", "task._target_", "allow_targets=[user_parts]"),
        (f"run=small {OWN_ANALYSIS[0]}", "analysis.count._target_", "allow_targets=[user_parts]"),
        (f"run=small analysis=path_kernel {OUTPUTS}=os.getcwd", OUTPUTS, "allow_targets=[os]"),
    ],
}
ANALYZE_ROWS = [pytest.param(*row, id=f"{kind}: {row[0]}") for kind, rows in ANALYZE.items() for row in rows]


@pytest.mark.parametrize(("line", "key", "says"), ANALYZE_ROWS)
def test_analyze_refuses(line: str, key: str, says: str, runs: Path) -> None:
    check_refused(run("analyze", *line.split(), folder=runs), key, says)


def test_the_packages_that_a_record_allows_are_allowed_only_by_the_command(runs: Path) -> None:
    done = run("analyze", "run=foreign", "analysis=spectrum", "allow_targets=[user_parts]", folder=runs)
    assert done.exit == 0, done.text


@pytest.mark.ci
def test_one_failing_job_of_a_multirun_neither_stops_nor_hides_the_others(tmp_path: Path) -> None:
    done = run("train", "-m", *SMALL[1:], "task.d=0,1,2", folder=tmp_path)
    assert done.exit == 1
    assert "error: task.d must be a whole number of at least 1" in done.err
    assert "is task.d=6" in done.err and "Error executing" not in done.text
    assert len(list(tmp_path.glob("runs/repeat_copy-rnn/*/result.json"))) == 2
    table = done.out[done.out.index("#  state") :].splitlines()
    assert [line.split()[:3] for line in table[1:4]] == [["0", "failed", "0"], ["1", "done", "1"], ["2", "done", "2"]]
    assert table[1].endswith("task.d must be a whole number of at least 1 and at most 1000000")
    assert table[4] == "3 jobs: 2 done, 1 failed"
    assert sum(line.startswith("run: ") for line in table[-2:]) == 2


@pytest.mark.ci
@pytest.mark.parametrize("line", ["task.dd=3", "task.d=0"])
def test_a_command_in_a_process_of_its_own_refuses_alike(line: str, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "mechlab.train", line], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    check_refused(Done(process.returncode, process.stdout, process.stderr), line.partition("=")[0], "fix:")
    assert list(tmp_path.glob("runs/*")) == []
