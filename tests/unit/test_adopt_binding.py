"""Adopted networks of variable binding: four kinds of file, outputs against PyTorch's own module, and bad files."""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import nn

import mechlab
from mechlab.adopt import _words, adopt, help_text, parse
from mechlab.adopting.weight_files import read_tensors
from mechlab.analyses.spectrum import Spectrum
from mechlab.binding import companion_matrix, rule_of_id
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts

ID = (27, 9, 2)  # of d = 4, s = 3: any signed choice
TASK = {"name": "linear_binding", "id": list(ID), "d": 4, "s": 3, "horizon": 12}
SUFFIXES = (".pt", ".npz", ".safetensors", ".ckpt")


class Net(nn.Module):
    """An Elman network as the published code has it: time first."""

    def __init__(self, d: int = 4, hidden: int = 10, bias: bool = False):
        super().__init__()
        self.rnn = nn.RNN(d, hidden, bias=bias)
        self.readout = nn.Linear(hidden, d, bias=bias)


def net(seed: int = 0, **sizes: Any) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net(**sizes)


def hyper_parameters() -> dict[str, Any]:
    """Objects of many classes, as checkpoints of PyTorch Lightning hold them."""
    return {
        "config": OmegaConf.create({"lr": 1e-3, "sizes": [1, {"a": None}]}),
        "arguments": argparse.Namespace(task=(255, 0, 0)),
        "folder": pathlib.PosixPath("runs"),
        "counts": collections.defaultdict(list, {"steps": [1]}),
        "number": np.float64(2.0),
        "module": nn.Linear(2, 2),
        "function": print,
    }


def save(state: dict[str, torch.Tensor], path: Path) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})
    elif path.suffix == ".safetensors":
        save_file({name: value.clone() for name, value in state.items()}, path)
    elif path.suffix == ".ckpt":
        whole = {"state_dict": state, "hyper_parameters": hyper_parameters(), "epoch": 9, "optimizer_states": [{}]}
        torch.save(whole, path)
    else:
        torch.save(state, path)
    return path


def prefixed(made: Net, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in made.state_dict().items()}


@pytest.mark.parametrize(("suffix", "prefix"), [*zip(SUFFIXES, ("", "net.", "module.model.", "model."), strict=True)])
def test_outputs_are_those_of_the_module_whatever_the_file(tmp_path, suffix, prefix):
    made = net()
    path = save(prefixed(made, prefix), tmp_path / f"weights{suffix}")
    run = adopt("rnn_binding", path, root=tmp_path / "runs", task=TASK)
    path.rename(tmp_path / "moved")
    run = mechlab.load_run(run.folder)  # of which nothing outside is needed
    batch = run.evaluation("test")
    with torch.no_grad():
        states, _ = made.rnn(batch.inputs.transpose(0, 1))
        outputs = made.readout(states).transpose(0, 1)
        torch.testing.assert_close(run.model()(batch.inputs).outputs, outputs, atol=1e-5, rtol=0)
    right = ((outputs >= 0) == (batch.targets >= 0))[:, 3:].double().mean()
    assert run.results["metrics"]["test/accuracy"] == pytest.approx(right.item(), abs=1e-6)
    assert run.folder.parent.name == "linear_binding-rnn" and run.config["model"]["bias"] is False
    assert np.array_equal(run.task.ground_truth().matrix, companion_matrix(rule_of_id(*ID, s=3, d=4)))
    finding = Spectrum(draws=2).run(run, Artifacts(tmp_path), np.random.default_rng(0))
    largest = np.abs(np.linalg.eigvals(made.rnn.weight_hh_l0.detach().double().numpy())).max()
    assert finding.scalars["spectral_radius"] == pytest.approx(largest)


def test_the_file_does_not_decide_the_run(tmp_path):
    files = [save(prefixed(net(), "model."), tmp_path / f"weights{suffix}") for suffix in SUFFIXES]
    folders = {adopt("rnn_binding", path, root=tmp_path / "runs", task=TASK).folder for path in files}
    other = adopt("rnn_binding", files[0], root=tmp_path / "runs", task={**TASK, "horizon": 13}).folder
    assert len(folders) == 1 and other not in folders


TASKS = {
    "task=linear_binding task.id=[9241421688590303745,262676,189] task.d=8 task.s=8": 36,
    "task=repeat_copy task.d=8 task.s=3 task.repeats=2": 24,
    "task=linear_binding task.id=T3": 36,
    "task=linear_binding task.cells=[0,1,2,3,4,5,6,7] task.signs=[1,1,1,1,1,1,1,-1] task.s=2": 16,
    "task=linear_binding task.cycles=[5,-3] task.s=4": 8,
    "task=compose_copy task.mix=diagonal": 36,
}


@pytest.mark.parametrize("words", [pytest.param(w, marks=[pytest.mark.ci] * (n > 1)) for n, w in enumerate(TASKS)])
def test_tasks_are_given_as_on_the_command_line(tmp_path, words):
    arguments = parse(["format=rnn_binding", f"path={save(net(d=8).state_dict(), tmp_path / 'w.pt')}", *words.split()])
    assert " ".join(_words({"task": arguments["task"]})) == words
    run = adopt(**arguments, root=tmp_path / "runs")
    assert run.task.ground_truth().rank == TASKS[words]


def test_integers_of_any_size_are_kept(tmp_path):
    task = {"name": "linear_binding", "id": [sum(1 << 11 * k for k in range(10)), 0, 3], "d": 10, "s": 12}
    run = adopt("rnn_binding", save(net(d=10).state_dict(), tmp_path / "w.pt"), root=tmp_path / "runs", task=task)
    again = mechlab.load_run(run.folder)
    assert task["id"][0] > 2**64 and np.array_equal(again.task.ground_truth().F, rule_of_id(*task["id"], s=12, d=10))


def test_biases_are_named(tmp_path, capsys):
    made = net(bias=True)
    run = adopt("rnn_binding", save(made.state_dict(), tmp_path / "w.pt"), root=tmp_path / "runs", task=TASK)
    assert "the network has biases" in capsys.readouterr().out and torch.equal(
        run.model().readout.bias, made.readout.bias
    )
    state = {name: value for name, value in made.state_dict().items() if name != "readout.bias"}
    run = adopt("rnn_binding", save(state, tmp_path / "w.pt"), root=tmp_path / "runs", task=TASK)
    assert not run.model().readout.bias.any() and run.model().layers[0].bias_hh_l0.any()
    for name, value in state.items():
        value.mul_("bias" not in name)
    run = adopt("rnn_binding", save(state, tmp_path / "w.pt"), root=tmp_path / "runs", task=TASK)
    assert "are left out" in capsys.readouterr().out and run.config["model"]["bias"] is False


@pytest.mark.parametrize(
    ("change", "task", "key", "message"),
    [
        ({"readout.weight": None}, {}, "path", "no readout.weight"),
        ({"rnn.weight_hh_l1": torch.ones(10, 10)}, {}, "path", "also rnn.weight_hh_l1"),
        ({"rnn.weight_hh_l0": torch.ones(40, 10)}, {}, "path", r"shape \(40, 10\)"),
        ({"rnn.weight_hh_l0": torch.ones(10)}, {}, "path", r"shape \(10,\)"),
        ({"readout.weight": torch.ones(3, 10)}, {}, "task", r"readout.weight must have shape \(4, 10\)"),
        ({"rnn.bias_hh_l0": torch.ones(9)}, {}, "task", r"rnn.bias_hh_l0 must have shape \(10,\)"),
        ({"rnn.weight_ih_l0": torch.full((10, 4), torch.nan)}, {}, "path", "finite"),
        ({}, {"d": 5, "id": [31, 0, 0]}, "task", r"(?s)rnn.weight_ih_l0 must have shape \(10, 5\).*fix: +task.d=4"),
        ({}, {"id": None}, "task.id", "exactly one of"),
        ({}, {"id": [255, 0, 0]}, "task.id", "exactly d = 4 ones"),
        ({}, {"horizont": 3}, "task.horizont", "did you mean 'horizon'"),
        ({}, {"name": "linear_bindings"}, "task", "did you mean 'linear_binding'"),
        ({}, {"name": None}, "task", "name of a task"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, change, task, key, message):
    state = {**net().state_dict(), **change}
    path = save({name: value for name, value in state.items() if value is not None}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=message) as caught:
        adopt("rnn_binding", path, root=tmp_path / "runs", task={**TASK, **task})
    assert caught.value.key == key and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["tomita", "digits"])
def test_other_kinds_of_task_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="sequences of vectors"):
        adopt("rnn_binding", save(net().state_dict(), tmp_path / "w.pt"), root=tmp_path / "runs", task=name)


class Touch:
    """An object whose unpickling would create a file."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    mark, state = tmp_path / "executed", net().state_dict()
    for number, touch in enumerate(
        (Touch(eval, f"open({str(mark)!r}, 'w')"), Touch(exec, f"open({str(mark)!r}, 'w')"))
    ):
        path = tmp_path / f"{number}.ckpt"
        torch.save({"state_dict": state, "hyper_parameters": {"a": touch}}, path)
        assert set(read_tensors(path)) == set(state)
    for number, content in enumerate((Touch(os.system, f"touch {mark}"), Touch(eval, "1"), nn.Linear(2, 2))):
        path = tmp_path / f"whole{number}.ckpt"
        torch.save(content, path)
        with pytest.raises(ConfigError, match=r"posix is blocked|in place of a state dict"):
            read_tensors(path)
    assert not mark.exists()


def test_the_command_line_gives_name_and_settings_in_either_order():
    start = ["format=rnn_binding", "path=w.pt"]
    expected = {"format": "rnn_binding", "path": "w.pt", "task": {"name": "repeat_copy", "d": 8}}
    assert (
        parse([*start, "task=repeat_copy", "task.d=8"]) == parse([*start, "task.d=8", "task=repeat_copy"]) == expected
    )
    for twice in (["task=a", "task=b"], ["task.d=1", "task.d=2"], ["task=a", "task.d=1", "task=b"]):
        with pytest.raises(ConfigError, match="given once"):
            parse([*start, *twice])
    assert "format=rnn_binding" in help_text() and "task.id=T3" in help_text()


def test_the_record_names_the_command(tmp_path):
    run = adopt("rnn_binding", save(net().state_dict(), tmp_path / "w.pt"), root=tmp_path / "runs", task=TASK)
    record = json.loads((run.folder / "provenance" / "adoption.json").read_text())
    assert record["format"] == "rnn_binding" and record["options"][2:4] == ["task=linear_binding", "task.id=[27,9,2]"]
