"""Adopting networks of threshold units from a file for each layer."""

import numpy as np
import pytest
import torch
from planted_layers import orientation

from mechlab.adopt import adopt, parse
from mechlab.core.errors import ConfigError
from mechlab.distill.layers import activations, as_layers

SIZE = 6


def layers():
    return [np.asarray(layer, float) for layer in orientation(SIZE)]


def write(folder, ending):
    folder.mkdir()
    for number, layer in enumerate(layers(), 1):
        if ending == "csv":
            np.savetxt(folder / f"{number}.csv", layer, delimiter=",")
        elif ending == "npy":
            np.save(folder / f"{number}.npy", layer)
    if ending == "npz":
        np.savez(folder / "net.npz", **{f"layer{number}": layer for number, layer in enumerate(layers(), 1)})
        return folder / "net.npz"
    return folder


@pytest.mark.parametrize("ending", ["csv", "npy", "npz"])
def test_an_adopted_network_computes_what_its_layers_do(tmp_path, ending):
    path = write(tmp_path / "layers", ending)
    run = adopt("enn", path, tmp_path / "runs", input_shape=[SIZE, SIZE])
    batch = run.evaluation("test")
    expected = activations(as_layers(layers()), batch.inputs.flatten(1).numpy())[-1]
    assert torch.allclose(run.predict(batch.inputs).outputs.double(), torch.from_numpy(expected))
    assert run.results["metrics"]["test/accuracy"] == 1
    assert 0.3 < float(batch.targets.double().mean()) < 0.7


def test_a_named_task_gives_the_examples(tmp_path):
    path = write(tmp_path / "layers", "npy")
    task = {"name": "orientation", "size": SIZE, "held_out": 20}
    run = adopt("enn", path, tmp_path / "runs", input_shape=[SIZE, SIZE], task=task)
    assert run.evaluation("train").inputs.shape == (2 * SIZE, 1, SIZE, SIZE)
    with pytest.raises(ConfigError, match="the task must have inputs of shape"):
        adopt("enn", path, tmp_path / "runs", input_shape=[SIZE, SIZE], task={"name": "orientation", "size": 8})


def test_the_words_of_a_command_line_are_read(tmp_path):
    path = write(tmp_path / "layers", "csv")
    words = ["format=enn", f"path={path}", f"paths.root={tmp_path / 'runs'}", f"input_shape=[{SIZE},{SIZE}]"]
    assert adopt(**parse(words)).task.shape == (SIZE, SIZE)
    for wrong in ("[6,x]", "6", "[]", "[6,0]"):
        with pytest.raises(ConfigError, match="input_shape"):
            adopt(**parse([*words[:3], f"input_shape={wrong}"]))


def test_wrong_files_are_refused(tmp_path):
    folder = write(tmp_path / "layers", "csv")
    with pytest.raises(ConfigError, match="must have 25 inputs"):
        adopt("enn", folder, tmp_path / "runs", input_shape=[5, 5])
    (folder / "2.csv").rename(folder / "4.csv")
    with pytest.raises(ConfigError, match="without a gap"):
        adopt("enn", folder, tmp_path / "runs", input_shape=[SIZE, SIZE])
    (folder / "4.csv").write_text("one,two\n")
    with pytest.raises(ConfigError, match="arrays of numbers"):
        adopt("enn", folder, tmp_path / "runs", input_shape=[SIZE, SIZE])
    with pytest.raises(ConfigError, match="no such file"):
        adopt("enn", tmp_path / "missing.npz", tmp_path / "runs", input_shape=[SIZE, SIZE])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="folder with the layers"):
        adopt("enn", tmp_path / "empty", tmp_path / "runs", input_shape=[SIZE, SIZE])
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ConfigError, match="archive"):
        adopt("enn", tmp_path / "bad.npz", tmp_path / "runs", input_shape=[SIZE, SIZE])
