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
