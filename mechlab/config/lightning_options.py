"""Options and callbacks of Lightning that are not offered here, each with the reason and an alternative."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """Why an option is not offered, and what to type instead."""

    reason: str
    fix: str


ONE_DEVICE = Refusal(
    "a run trains on one device",
    "trainer=gpu for a GPU; hydra/launcher=local_gpus spreads the jobs of a multirun over all",
)
STEPS = Refusal("an epoch is a number of optimiser steps here", "trainer.steps_per_epoch=N, trainer.max_steps=N")
OUTPUT = Refusal(
    "commands print a bar on a terminal, and a line a minute elsewhere, in any case", "redirect the output: ... > log"
)
CHECKPOINTS = Refusal(
    "each run writes its last, best and final weights, from which it resumes bit for bit",
    "trainer.checkpoint_every=N to resume from; history.steps=[...] for weights at chosen steps; at=best to analyse",
)
ACCUMULATION = Refusal(
    "an optimiser step has one batch, whose loss is the mean over its examples",
    "trainer.batch_size=N, N times as large: it gives the same gradient",
)
AVERAGES = Refusal(
    "the weights would not be those of the recorded updates, so neither replay nor attribution would be exact",
    "history=full, and the average of run.history.params(step) in Python",
)
SEARCH = Refusal("it changes settings that are the run's identity", "-m optimizer.lr=1e-2,1e-3 compares several")
PROFILE = Refusal(
    "Lightning would measure calls of many optimiser steps each",
    "python -m cProfile -m mechlab.train ... debug=one_step",
)
EXACT = Refusal("training is deterministic in any case, on a GPU by deterministic kernels", "leave it out")
HALF = Refusal(
    "half precision is not offered: recorded steps are replayed bit for bit and compared with theory in their own type",
    "trainer.precision=32 or 64; history.dtype=float16 halves the size of the record",
)

TRAINER = {
    **dict.fromkeys(("devices", "num_nodes", "strategy", "plugins", "sync_batchnorm"), ONE_DEVICE),
    "use_distributed_sampler": ONE_DEVICE,
    "accumulate_grad_batches": ACCUMULATION,
    "gradient_clip_val": Refusal("the norm of the whole gradient is clipped by another key", "trainer.gradient_clip=1"),
    "gradient_clip_algorithm": Refusal(
        "the norm of the whole gradient is clipped, not values", "trainer.gradient_clip=1"
    ),
    "profiler": PROFILE,
    "fast_dev_run": Refusal("one step is tried by another name", "debug=one_step"),
    "overfit_batches": Refusal("one batch is memorised by another name", "debug=overfit, or trainer.overfit=true"),
    "limit_train_batches": STEPS,
    "limit_val_batches": Refusal("held-out examples are counted", "trainer.eval_examples=N"),
    "limit_test_batches": Refusal("held-out examples are counted", "trainer.eval_examples=N"),
    "val_check_interval": STEPS,
    "check_val_every_n_epoch": STEPS,
    "min_steps": Refusal("training ends early under a rule only", "trainer.stop_at=1 trainer.stop_patience=N"),
    "min_epochs": Refusal("training ends early under a rule only", "trainer.stop_at=1 trainer.stop_patience=N"),
    "log_every_n_steps": Refusal("it has another name", "trainer.log_every=N"),
    "enable_checkpointing": CHECKPOINTS,
    "enable_progress_bar": OUTPUT,
    "enable_model_summary": Refusal("a run prints its size before training", "--cfg job shows the model's settings"),
    "deterministic": EXACT,
    "benchmark": EXACT,
    "detect_anomaly": Refusal("a loss that is not finite ends the run as failed, with the step", "leave it out"),
    "default_root_dir": Refusal("the folder of all runs has another name", "paths.root=DIR"),
    "logger": Refusal(
        "loggers have a section of their own", "+loggers.NAME._target_=pytorch_lightning.loggers.CSVLogger"
    ),
    "callbacks": Refusal(
        "callbacks have a section of their own", "+callbacks=spectrum, or +callbacks.NAME._target_=CLASS"
    ),
    "num_sanity_val_steps": Refusal("held-out data are checked before any run is written", "leave it out"),
    "reload_dataloaders_every_n_epochs": Refusal("each step's data are a function of the step", "leave it out"),
}
CALLBACKS = {
    **dict.fromkeys(("ModelCheckpoint", "OnExceptionCheckpoint"), CHECKPOINTS),
    **dict.fromkeys(("RichProgressBar", "TQDMProgressBar", "ProgressBar"), OUTPUT),
    **dict.fromkeys(("StochasticWeightAveraging", "WeightAveraging", "EMAWeightAveraging", "ModelPruning"), AVERAGES),
    "GradientAccumulationScheduler": ACCUMULATION,
    **dict.fromkeys(("BatchSizeFinder", "LearningRateFinder"), SEARCH),
    "SpikeDetection": Refusal(
        "it reads the loss of each batch, which training here does not return", "a loss that is not finite ends the run"
    ),
    "DeviceStatsMonitor": PROFILE,
}
ACCELERATORS = Refusal(
    "a run trains on the CPU or on one GPU, by choice: its device decides its last bits", "trainer=gpu"
)
HALVES = ("bf16", "16", "half", "float16", "bfloat16", "transformer-engine")  # beginnings of the names of precisions


def refused_key(key: str) -> Refusal | None:
    """Return why a key of Lightning's trainer is not one here; None for all other keys.

    >>> refused_key("trainer.devices").reason
    'a run trains on one device'
    """
    section, _, name = key.partition(".")
    return TRAINER.get(name) if section == "trainer" else None


def refused_value(key: str, value: object) -> Refusal | None:
    """Return why a value that Lightning's trainer accepts is not accepted here; None for all other values."""
    if key == "trainer.precision" and str(value).startswith(HALVES):
        return HALF
    if key == "trainer.accelerator" and value in ("cuda", "auto", "mps", "tpu", "hpu", "xla"):
        return ACCELERATORS
    return None


def refused_callback(name: str) -> Refusal | None:
    """Return why a callback of Lightning is not offered; None for all others.

    Args:
        name: the class, its path, or the same in lower case with underscores (model_checkpoint).
    """
    wanted = name.rpartition(".")[2].replace("_", "").lower()
    return next((refusal for known, refusal in CALLBACKS.items() if known.lower() == wanted), None)
