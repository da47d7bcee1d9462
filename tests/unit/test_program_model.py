"""A program in place of a network."""

import json
import math

import numpy as np
import pytest
import torch
from random_programs import random_inputs, random_program
from test_program_texts import orientation

from mechlab.core.errors import ConfigError
from mechlab.core.task import TaskSpec
from mechlab.distill.program_data import to_data
from mechlab.models.program import ProgramModel


def spec(shape: tuple[int, ...], outputs: int) -> TaskSpec:
    return TaskSpec(math.prod(shape), outputs, "static", "cross_entropy", shape=shape)


@pytest.mark.parametrize("seed", range(40))
def test_outputs_are_those_of_the_interpreter(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    program = type(program)(program.inputs, program.blocks, program.outputs, "scores", program.order, program.scale)
    inputs = random_inputs(program, 4, rng)
    flat = np.concatenate([tensor.reshape(4, -1) for tensor in inputs], 1)
    expected = program(*inputs)
    model = ProgramModel(spec(flat.shape[1:], expected.shape[1]), definition=to_data(program)).double()
    assert np.allclose(model(torch.from_numpy(flat)).detach(), expected)


def test_a_program_of_all_sizes_is_read_from_a_file_at_the_size_of_the_task(tmp_path):
    path = tmp_path / "program.json"
    path.write_text(json.dumps(to_data(orientation())))
    model = ProgramModel(spec((1, 7, 7), 2), file=str(path))
    images = (torch.rand(30, 1, 7, 7, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    assert model(images).argmax(1).tolist() == orientation()(images[:, 0].numpy()).tolist()
    in_place = ProgramModel.without_files({"file": str(path)})
    assert in_place == {"file": None, "definition": to_data(orientation())}
    assert ProgramModel.without_files({"file": "missing.json"}) == {"file": "missing.json"}


def test_a_program_that_does_not_fit_is_refused(tmp_path):
    data = to_data(orientation())
    with pytest.raises(ConfigError, match="read inputs of shape"):
        ProgramModel(spec((7,), 2), definition=data)
    with pytest.raises(ConfigError, match="must have 3 outputs"):
        ProgramModel(spec((7, 7), 3), definition=data)
    with pytest.raises(ConfigError, match=r"program\.json"):
        ProgramModel(spec((7, 7), 2), file=str(tmp_path / "missing.json"))
    (tmp_path / "bad.json").write_text("[" * 10_000)
    with pytest.raises(ConfigError, match=r"program\.json"):
        ProgramModel(spec((7, 7), 2), file=str(tmp_path / "bad.json"))
