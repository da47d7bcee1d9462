"""Options of Lightning that are refused: they are Lightning's, they are none of ours, and what replaces them exists."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

import pytest
import pytorch_lightning as pl

from mechlab.config.lightning_options import CALLBACKS, TRAINER, refused_callback, refused_key, refused_value
from mechlab.config.schema import TrainConfig, TrainerConfig, typed
from mechlab.core.errors import ConfigError, WrongValue

OURS = {item.name for item in fields(TrainerConfig)}
LIGHTNINGS = set(inspect.signature(pl.Trainer).parameters)


def test_every_option_of_lightning_is_ours_or_refused():
    rest = {"barebones", "inference_mode", "limit_predict_batches", "model_registry", "enable_autolog_hparams"}
    assert not set(TRAINER) & OURS and set(TRAINER) <= LIGHTNINGS
    assert LIGHTNINGS - set(TRAINER) - OURS - rest == set()


def test_alternatives_are_keys_of_ours():
    named = {key for _, fix in (*TRAINER.values(), *CALLBACKS.values()) for key in re.findall(r"trainer\.(\w+)=", fix)}
    assert named and named <= OURS


@pytest.mark.parametrize("name", CALLBACKS)
def test_refused_callbacks_are_known_by_class_path_and_name(name):
    assert hasattr(pl.callbacks, name)
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    assert refused_callback(f"lightning.pytorch.callbacks.{name}") == refused_callback(snake) == CALLBACKS[name]


def test_what_is_not_lightnings_is_not_refused():
    assert refused_key("trainer.max_steps") is refused_key("model.devices") is refused_callback("EarlyStopping") is None
    assert refused_value("trainer.precision", 64) is refused_value("history.dtype", "float16") is None
    with pytest.raises(ConfigError, match=r"(?s)devices is not offered.*fix: .*trainer=gpu"):
        typed(TrainConfig, {"trainer": {"devices": 2}})
    with pytest.raises(WrongValue, match="one of 32, 64"):
        typed(TrainConfig, {"trainer": {"precision": 8}})
