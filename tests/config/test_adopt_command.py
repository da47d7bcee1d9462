"""From somebody else's weights to an answer, by commands alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from warm_process import command

from mechlab.automata.definition import to_definition
from mechlab.automata.tomita import tomita

FEW = ("task.words=150", "task.val_words=80", "task.test_words=80", "task.max_length=9")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a state dict of two layers and an automaton."""
    torch.manual_seed(0)
    layers, readout = nn.LSTM(2, 4, 2), nn.Linear(4, 2)
    state = {f"rnn.{name}": value for name, value in layers.state_dict().items()}
    torch.save({**state, "fc.weight": readout.weight.data, "fc.bias": readout.bias.data}, tmp_path / "weights.pt")
    (tmp_path / "tomita3.json").write_text(json.dumps(to_definition(tomita(3))))
    return tmp_path


@pytest.mark.ci
def test_adopt_then_ask_then_show(folder: Path) -> None:
    words = ("format=rnn_automaton", "path=weights.pt", "automaton=tomita3.json", "cell=lstm", *FEW)
    done = command("adopt", *words, folder=folder)
    assert done.exit == 0, done.text
    last = done.out.strip().splitlines()[-1]
    assert last.startswith("run: runs/automaton-lstm/") and last.endswith("-s0")
    run = last.removeprefix("run: ")
    for name in ("weights.pt", "tomita3.json"):
        (folder / name).rename(folder / f"{name}.gone")

    asked = command(
        "analyze",
        f"run={run}",
        "analysis=ambiguity",
        "analysis.ambiguity.words=60",
        "analysis.ambiguity.n_init=1",
        folder=folder,
    )
    assert asked.exit == 0, asked.text
    assert asked.out.strip().splitlines()[-1] == last and "weighted" in asked.out
    result = json.loads((folder / run / "result.json").read_text())
    assert result["status"] == "done" and result["metrics"]["steps"] == 0
    [(name, finding)] = result["findings"].items()
    assert name.startswith("ambiguity@") and finding["differs"] == {"words": 60, "n_init": 1}
    assert finding["scalars"]["states"] == 5

    shown = command("runs", "show", run, folder=folder)
    assert shown.exit == 0 and f"command: python -m mechlab.adopt {' '.join(words)}" in shown.out
    assert "history: none" in shown.out and "ambiguity@" in shown.out
    assert "1 run;" in (listed := command("runs", "ls", folder=folder)).err and run in listed.out
    reported = command("report", "runs=runs/*/*", folder=folder)
    assert reported.exit == 0 and "0 of the runs failed or damaged" in reported.out
    assert f"mechlab.adopt {words[0]}" in (folder / "runs" / "report.html").read_text()


@pytest.mark.ci
def test_a_mistake_is_told_in_words(folder: Path) -> None:
    done = command(
        "adopt", "format=rnn_automaton", "path=weights.pt", "automaton=tomita3.json", "cell=gru", folder=folder
    )
    assert done.exit == 1 and "cell=lstm" in done.err and "Traceback" not in done.text
    assert not (folder / "runs").exists()
    done = command("adopt", "--help", folder=folder)
    assert done.exit == 0 and "format=rnn_automaton" in done.out and "classes: given" in done.out
