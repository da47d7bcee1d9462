"""The name of a run: what decides the result changes it, nothing else does."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from mechlab.analyses.spectrum import Spectrum
from mechlab.automata.definition import from_definition, read_automaton, to_definition
from mechlab.automata.dot import to_dot
from mechlab.automata.tomita import tomita
from mechlab.config.build import prepare
from mechlab.config.choices import config_dir
from mechlab.config.identity import masked
from mechlab.config.launch import register, resolve
from mechlab.config.provenance import Origin, write_provenance
from mechlab.config.recipe import load_run
from mechlab.core.analysis import Needs
from mechlab.core.task import Task
from mechlab.jobs.prepare import prepare_run
from mechlab.models.rnn import RNN
from mechlab.record.tensors import save_tensors
from mechlab.tasks.repeat_copy import RepeatCopy
from mechlab.training.callbacks import AnalysisCallback

COPY = ("name=repeat_copy-rnn", "task.d=2", "task.s=2", "model.hidden=8", "trainer=smoke")
WORDS = (
    "name=tomita-gru",
    "task=tomita",
    "model=gru",
    "task.words=300",
    "task.val_words=40",
    "task.test_words=40",
    "task.max_length=8",
)

SPECTRUM = "mechlab.analyses.spectrum.Spectrum"
STOP = "+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss, patience: 1}"
LIGHTNING = "allow_targets=[pytorch_lightning]"
ASKS = (
    "+callbacks.spectrum={_target_: mechlab.training.callbacks.AnalysisCallback, "
    "analysis: {_target_: mechlab.analyses.spectrum.Spectrum}}"
)


@pytest.fixture(autouse=True, scope="module")
def composing() -> Iterator[None]:
    """Hydra, ready to compose the configuration of `mechlab.train`."""
    register([config_dir()])
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield


def run_name(*overrides: str) -> str:
    """Return `<run_id>-s<seed>` of a command line."""
    cfg = hydra.compose("train", overrides=list(overrides))
    return prepare_run(resolve(cfg), masked(cfg)).folder.name


def run_id(*overrides: str) -> str:
    """Return the part of the name that the seed is left out of."""
    return run_name(*overrides).rpartition("-s")[0]


@functools.cache
def copy_name() -> str:
    """Return the name of the run that the tests below change."""
    return run_name(*COPY)


def copy_id() -> str:
    """Return its id."""
    return copy_name().rpartition("-s")[0]


def test_the_name_is_ten_digits_and_the_seed() -> None:
    name, seed = run_name(*COPY, "seed=7").rsplit("-s", 1)
    assert (len(name), int(name, 16) >= 0, seed) == (10, True, "7")


@pytest.mark.parametrize(
    "alike",
    [
        ("trainer.max_steps=1000", "trainer.max_steps=1e3"),
        ("optimizer.lr=0.001", "optimizer.lr=1e-3"),
        ("optimizer.weight_decay=0", "optimizer.weight_decay=0.0"),
        ("trainer.gradient_clip=1", "trainer.gradient_clip=1.0"),
        ("optimizer.betas=[0.9,0.999]", "optimizer=adam"),
        ("model.activation=tanh", "task.repeats=4"),
        ("history=sparse", "history.points=25"),
        ("trainer.precision=32", "trainer.threads=1"),
        ("seed=0", "seed=1"),
        ("task=repeat_copy", "model=rnn"),
    ],
)
def test_the_same_settings_written_differently_have_the_same_id(alike: tuple[str, str]) -> None:
    assert run_id(*COPY, alike[0]) == run_id(*COPY, alike[1])


@pytest.mark.parametrize(
    "spelled",
    [
        "model.bias=false",
        "schedule.kind=constant",
        "init_from=null",
        "init_at=last",
        "init_std=null",
        "curriculum.lengths=[]",
        "curriculum.accuracy=0.5",  # without lengths
        "trainer.stop_on=val",
        "trainer.drop_last=false",
        "history.every=null",
        "history.steps=null",
        "history.per_decade=null",
        "history.optimizer=true",
        "history.dtype=null",
    ],
)
def test_a_default_that_is_spelled_out_changes_nothing(spelled: str) -> None:
    assert run_name(*COPY, spelled) == copy_name()


@pytest.mark.parametrize(
    "override",
    [
        "paths.root=elsewhere",
        "objective=val/accuracy",
        "~analysis.spectrum",
        "analysis.spectrum.draws=7",
        "trainer.log_every=3",
        "trainer.checkpoint_every=7",
        "trainer.chunk=3",
        "history.limit_gb=1",
        "code=accept",
        "rerun=true",
        "allow_targets=[somewhere]",
        ASKS,
        "+loggers.table={_target_: pytorch_lightning.loggers.CSVLogger, save_dir: there}",
    ],
)
def test_what_does_not_decide_the_result_leaves_the_name_alone(override: str) -> None:
    assert run_name(*COPY, override) == copy_name()


@pytest.mark.parametrize(
    "override",
    [
        "task.d=3",
        "model.hidden=9",
        "model.bias=true",
        "optimizer.lr=2e-3",
        "optimizer=sgd",
        "schedule.kind=cosine",
        "trainer.max_steps=61",
        "trainer.batch_size=32",
        "trainer.steps_per_epoch=10",
        "trainer.eval_examples=100",
        "trainer.gradient_clip=null",
        "trainer.threads=2",
        "trainer.precision=64",
        "trainer.overfit=true",
        "trainer.drop_last=true",
        "trainer.stop_at=0.9",
        "trainer.stop_on=both",
        "trainer.max_time=00:00:01:00",
        "history=full",
        "history=none",
        "history=replay",
        "history.every=5",
        "history.steps=[0,10]",
        "history.per_decade=10",
        "history.optimizer=false",
        "history.dtype=float16",
    ],
)
def test_what_decides_the_result_changes_the_id(override: str) -> None:
    assert run_id(*COPY, override) != copy_id()


def test_a_parameter_that_takes_part_only_where_it_is_set_leaves_older_ids_alone() -> None:
    """Such as one that is newer than they are."""
    addition = ("name=modular_addition-mlp", "task=modular_addition", "model=mlp")
    assert run_id(*addition) == run_id(*addition, "task.loss_dtype=null")
    assert run_id(*addition, "task.loss_dtype=float64") != run_id(*addition)
    node = {"_target_": "mechlab.tasks.modular_addition.ModularAddition", "p": 7}
    assert prepare(node, "task", Task).identity() == {
        **{"_target_": "mechlab.tasks.modular_addition.ModularAddition", "p": 7, "tokens": "pair"},
        **{"train_fraction": 0.3, "n_val": None, "n_train": None, "seed": 0},
    }


def test_a_callback_that_may_change_training_changes_the_id() -> None:
    stopped = run_id(*COPY, STOP, LIGHTNING)
    assert stopped != run_id(*COPY, LIGHTNING) == run_id(*COPY)
    assert stopped != run_id(*COPY, STOP.replace("patience: 1", "patience: 2"), LIGHTNING)
    assert stopped == run_id(*COPY, STOP, LIGHTNING, ASKS)
    assert stopped == run_id(*COPY, STOP.replace("stop=", "other_name="), LIGHTNING)


def test_a_callback_that_follows_the_seed_differs_from_one_that_equals_it() -> None:
    tied = {run_id(*COPY, STOP.replace("1}", "${seed}}"), LIGHTNING, f"seed={seed}") for seed in (1, 2)}
    assert len(tied) == 1 and tied != {run_id(*COPY, STOP, LIGHTNING, "seed=1")}


def test_the_classes_of_nested_objects_are_named_too() -> None:
    node = {"_target_": "mechlab.training.callbacks.AnalysisCallback", "analysis": {"_target_": SPECTRUM}}
    assert prepare(node, "callbacks.spectrum", AnalysisCallback).targets() == (AnalysisCallback, Spectrum)


def test_all_seeds_of_a_setting_share_their_id() -> None:
    assert [run_name(*COPY, f"seed={seed}") for seed in range(3)] == [f"{run_id(*COPY)}-s{seed}" for seed in range(3)]


CONFORMANCE = "mechlab.analyses.conformance.Conformance"
FILE = ("name=automaton-gru", "task=automaton", "task.language=file", *WORDS[2:])


def test_the_content_of_a_file_is_part_of_the_id_and_its_path_is_not(tmp_path: Path) -> None:
    first, second = tmp_path / "first.dot", tmp_path / "second.json"
    first.write_text(to_dot(tomita(3)))
    second.write_text(json.dumps(to_definition(read_automaton(first))))
    one = run_id(*FILE, f"task.path={first}")
    assert one == run_id(*FILE, f"task.path={second}")
    assert {run_id(*FILE, f"task.language={path}") for path in (first, second)} == {one}  # which replaces language=file
    second.write_text(json.dumps(to_definition(tomita(3)) | {"accepting": ["s0"]}))
    assert run_id(*FILE, f"task.path={second}") != one


def test_the_record_of_a_run_needs_no_file(tmp_path: Path) -> None:
    path = tmp_path / "automaton.json"
    names = ["???", "null", "1e3", "yes", "~", "$", "- a", "{", "ä", "#"]  # that mean something in YAML
    definition = to_definition(tomita(7))
    definition |= {"alphabet": names, "transitions": [(row * 5)[: len(names)] for row in definition["transitions"]]}
    path.write_text(json.dumps(definition))
    cfg = hydra.compose("train", overrides=[*FILE, f"task.path={path}", f"paths.root={tmp_path}"])
    setup = prepare_run(resolve(cfg), masked(cfg))
    path.unlink()
    write_provenance(setup.folder, setup.values, Origin([], None, ""))
    run = load_run(setup.folder)
    assert run.task.ground_truth() == setup.recipe.task.ground_truth() == from_definition(definition)
    assert run.config["task"] == setup.values["task"] and run.config["task"]["path"] is None


def test_given_words_of_an_analysis_are_recorded_and_leave_the_id_as_it_is(tmp_path: Path) -> None:
    """Those of an analysis at the end of training, and of one in a callback."""
    path, words = tmp_path / "words.txt", ["000", "1 0", "", "11"]
    path.write_text("\n".join([*words, ""]))
    of_end = ("analysis=[conformance]", f"analysis.conformance.words={path}")
    inside = (
        f"+callbacks.it={{_target_:mechlab.training.callbacks.AnalysisCallback,analysis:{{_target_:{CONFORMANCE}}}}}"
    )
    overrides = [*WORDS, *of_end, inside, f"+callbacks.it.analysis.words={path}"]
    cfg = hydra.compose("train", overrides=overrides)
    setup = prepare_run(resolve(cfg), masked(cfg))
    path.unlink()
    assert setup.values["analysis"]["conformance"]["words"] == words
    assert setup.values["callbacks"]["it"]["analysis"]["words"] == words
    assert setup.analyses["conformance"][1].words == tuple(words) == setup.callbacks["it"].analysis.words
    assert setup.run_id == run_id(*WORDS, "analysis=[]")


def test_a_value_that_follows_the_seed_differs_from_one_that_merely_equals_it() -> None:
    tied = {run_id(*WORDS, "task.seed=${seed}", f"seed={seed}") for seed in range(3)}
    fixed = {run_id(*WORDS, "task.seed=0", f"seed={seed}") for seed in range(3)}
    assert len(tied) == len(fixed) == 1
    assert tied != fixed
    assert fixed == {run_id(*WORDS)}


def test_an_analysis_that_needs_more_recorded_changes_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse, full = run_id(*COPY), run_id(*COPY, "history=full")
    monkeypatch.setattr(Spectrum, "needs", Needs(history="full"))
    assert run_id(*COPY) == full != sparse
    assert run_id(*COPY, "~analysis.spectrum") == sparse


def test_changed_weights_to_start_from_change_the_id(tmp_path: Path) -> None:
    model = RNN(RepeatCopy(2, 2).spec, hidden=8)
    ids = []
    for change in (0.0, 0.0, 1.0):
        weights = {name: value + change for name, value in model.state_dict().items()}
        save_tensors(tmp_path / "checkpoints" / "weights.safetensors", weights)
        ids.append(run_id(*COPY, f"init_from={tmp_path}"))
    assert ids[0] == ids[1] != ids[2]
    assert run_id(*COPY) not in ids
