"""The device that a run trains on, and the settings that make it deterministic."""

from __future__ import annotations

import os

import torch

from mechlab.core.errors import ConfigError


def set_up_device(accelerator: str) -> None:
    """Set up deterministic training on a device, or raise ConfigError if there is none.

    On a GPU: deterministic kernels only, and no TF32 in place of 32-bit floats.
    """
    if accelerator == "gpu" and not torch.cuda.is_available():
        must = "trainer.accelerator=gpu needs a CUDA device"
        raise ConfigError(must, got="none is visible", key="trainer.accelerator", fix="trainer=cpu")
    if accelerator == "gpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def check_generator(device: torch.device) -> None:
    """Raise ConfigError if examples were drawn by the generator of a GPU, and there is none to draw them again."""
    if device.type == "cuda" and not torch.cuda.is_available():
        must = "examples that were drawn or augmented on a GPU can be drawn again on a GPU only"
        raise ConfigError(must, got="none is visible", key="device", fix="read this run on a machine with a GPU")


def arithmetic_device(device: str | None, trained: str = "cpu") -> str:
    """Return the device of an analysis's arithmetic, and set it up.

    Args:
        device: cpu or cuda; None for that of the training, where there is one.
        trained: the device of the training.

    Raises:
        ConfigError: there is no such device.
    """
    if device is None:
        device = trained if trained == "cpu" or torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda needs a CUDA device", got="none is visible", key="device", fix="device=null")
    set_up_device("gpu" if device == "cuda" else "cpu")
    return device
